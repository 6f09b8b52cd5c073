/* Networks on a physical network: routers, sizes, errors, and what operators see. */
#include "switch/flow_query.h"
#include "switch/test_vlan.h"
#include "switch/trace.h"

#include <string.h>

/* ---- routers ---- */

static void test_switch_routes(struct fixture *f, const void *data)
{
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_REMOTE, 53, 3));
	struct test_frame frame = vlan_on_wire(f, 100);
	vlan_assert_arp(frame, 1, MAC_A, IP_A, IP_REMOTE);
	vlan_from_wire(f, 100, vlan_to_mac(test_arp(MAC_PEER, 2, MAC_PEER, IP_REMOTE, IP_A), MAC_A));
	frame = vlan_on_wire(f, 100);
	lab_assert_path(&frame, MAC_A, MAC_PEER, IP_A, IP_REMOTE);
	g_assert_cmpuint(frame.bytes[22], ==, 63);
	lab_expect(f, "a"); /* the answer, which is for its MAC */
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_REMOTE, 53, 3));
	frame = vlan_on_wire(f, 100);
	lab_assert_path(&frame, MAC_A, MAC_PEER, IP_A, IP_REMOTE);
	/* Who answers has made its own hop, if any. */
	struct test_frame back = test_udp(MAC_PEER, MAC_A, IP_REMOTE, 53, IP_A, 1000, 3);
	vlan_from_wire(f, 100, back);
	vlan_assert_same(lab_expect(f, "a"), back);
}

static void test_router_answers(struct fixture *f, const void *data)
{
	struct test_frame syn = test_tcp(MAC_PEER, MAC_A, IP_REMOTE, 1000, IP_A, 80, TCP_SYN, 0);

	vlan_from_wire(f, 100, syn);
	vlan_assert_same(lab_expect(f, "a"), syn);
	lab_put(f, "a", test_tcp(MAC_A, MAC_GATEWAY, IP_A, 80, IP_REMOTE, 1000, TCP_SYN | TCP_ACK, 0));
	struct test_frame frame = vlan_on_wire(f, 100);
	vlan_assert_arp(frame, 1, MAC_A, IP_A, IP_REMOTE);
	vlan_from_wire(f, 100, vlan_to_mac(test_arp(MAC_PEER, 2, MAC_PEER, IP_REMOTE, IP_A), MAC_A));
	frame = vlan_on_wire(f, 100);
	lab_assert_path(&frame, MAC_A, MAC_PEER, IP_A, IP_REMOTE);
	g_assert_cmpuint(frame.bytes[22], ==, 63);
}

/* A question in the name of a NIC that has gone would lead others astray. */
static void test_asker_gone(struct fixture *f, const void *data)
{
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_REMOTE, 53, 3));
	vlan_on_wire(f, 100);
	lab_pass(f, SECOND);
	vlan_on_wire(f, 100); /* asked again */
	json_array_remove(json_object_get(f->state, "nics"), 0);
	lab_apply(f);
	lab_pass(f, 5 * SECOND);
	lab_expect_none(f, "phys");
	g_assert_cmpuint(lab_drops(f, DROP_NEIGHBOUR_FAILED), ==, 1);
}

static void test_unanswered(struct fixture *f, const void *data)
{
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_REMOTE, 53, 3));
	lab_pass(f, 10 * SECOND);
	for (unsigned i = 0; i < 3; i++)
		vlan_on_wire(f, 100);
	lab_expect_none(f, "phys");
	g_assert_cmpuint(lab_drops(f, DROP_NEIGHBOUR_FAILED), ==, 1);
}

static void test_external(struct fixture *f, const void *data)
{
	struct test_frame frames[] = {
		test_udp(MAC_V, MAC_ROUTER, IP_V, 1, IP_FAR, 2, 0), /* away */
		test_udp(MAC_V, MAC_ROUTER, IP_V, 1, "192.168.7.9", 2,
			0), /* in the network, but not the subnet */
		test_udp(MAC_V, MAC_ROUTER, IP_V, 1, IP_ROUTER, 2, 0), /* the router itself */
		test_icmp(MAC_V, MAC_ROUTER, IP_V, IP_ROUTER, 8, 0, 7, 0),
		test_arp(MAC_V, 1, MAC_V, IP_V, IP_ROUTER),
		test_udp(MAC_V, "02:00:00:00:00:77", IP_V, 3, IP_FAR, 2,
			0), /* by a router of the guest's choice */
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(frames); i++) {
		lab_put(f, "v", frames[i]);
		vlan_assert_same(vlan_on_wire(f, 200), frames[i]);
	}
	struct test_frame back = test_udp(MAC_ROUTER, MAC_V, IP_FAR, 2, IP_V, 1, 0);
	vlan_from_wire(f, 200, back);
	vlan_assert_same(lab_expect(f, "v"), back);
	lab_expect_none(f, "out");
}

/* A guest that takes the gateway to be the switch all the same is led to it. */
static void test_led_to_router(struct fixture *f, const void *data)
{
	lab_put(f, "v", test_udp(MAC_V, MAC_GATEWAY, IP_V, 1, IP_FAR, 2, 0));
	struct test_frame frame = vlan_on_wire(f, 200);
	vlan_assert_arp(frame, 1, MAC_V, IP_V, IP_ROUTER);
	vlan_from_wire(f, 200, vlan_to_mac(test_arp(MAC_ROUTER, 2, MAC_ROUTER, IP_ROUTER, IP_V), MAC_V));
	frame = vlan_on_wire(f, 200);
	lab_assert_path(&frame, MAC_V, MAC_ROUTER, IP_V, IP_FAR);
	g_assert_cmpuint(frame.bytes[22], ==, 64); /* the router makes the hop */
}

static void test_appliance(struct fixture *f, const void *data)
{
	json_object_set_new(vlan_subnet(f, 1, 0), "routes",
		json_pack("[{s:s, s:s}, {s:s, s:s}]", "prefix", "198.51.100.0/24", "via", "192.168.1.77",
			"prefix", "198.51.101.0/24", "via", "none"));
	lab_apply(f);
	/* The operator's route holds, whatever MAC the guest has found. */
	lab_put(f, "v", test_udp(MAC_V, MAC_ROUTER, IP_V, 1, IP_FAR, 2, 0));
	struct test_frame frame = vlan_on_wire(f, 200);
	vlan_assert_arp(frame, 1, MAC_V, IP_V, "192.168.1.77");
	vlan_from_wire(f, 200, vlan_to_mac(test_arp(MAC_PEER, 2, MAC_PEER, "192.168.1.77", IP_V), MAC_V));
	frame = vlan_on_wire(f, 200);
	lab_assert_path(&frame, MAC_V, MAC_PEER, IP_V, IP_FAR);
	g_assert_cmpuint(frame.bytes[22], ==, 63);
	lab_put(f, "v", test_udp(MAC_V, MAC_ROUTER, IP_V, 1, "198.51.101.1", 2, 0));
	lab_expect_none(f, "phys");
	g_assert_cmpuint(lab_drops(f, DROP_NO_ROUTE), ==, 1);
}

static void test_elsewhere(struct fixture *f, const void *data)
{
	/* Platform addresses and, by a gateway of the switch, the outside are where they always are. */
	lab_put(f, "a", test_udp(MAC_A, MAC_PEER, IP_A, 1, METADATA, 80, 0));
	struct test_frame frame = lab_expect(f, "host");
	vlan_assert_arp(frame, 1, MAC_HOST, "100.64.0.4", METADATA);
	lab_meet_peer(f);
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_FAR, 80, 0));
	frame = lab_expect(f, "out");
	lab_assert_path(&frame, MAC_OUT, MAC_PEER, PUBLIC_A, IP_FAR);
	lab_expect_none(f, "phys");
}

/* ---- sizes ---- */

static void test_sizes(struct fixture *f, const void *data)
{
	json_t *physical = json_array_get(json_object_get(f->state, "physicals"), 0);

	json_object_set_new(physical, "mtu", json_integer(1000));
	json_object_set_new(lab_nic(f, 1), "mtu", json_integer(600));
	lab_apply(f);
	lab_put(f, "a", test_udp(MAC_A, MAC_PEER, IP_A, 1, IP_PEER, 2, 1000 - 28));
	g_assert_cmpuint(vlan_on_wire(f, 100).length, ==, 1014);
	lab_put(f, "a", test_udp(MAC_A, MAC_PEER, IP_A, 1, IP_PEER, 2, 1001 - 28));
	lab_expect_none(f, "phys");
	struct test_frame error = lab_expect(f, "a");
	g_assert_cmpuint(load16(error.bytes + 14 + 20), ==, 3 << 8 | 4);
	g_assert_cmpuint(load16(error.bytes + 14 + 26), ==, 1000);
	/* A sender on the wire is told, too. */
	vlan_from_wire(f, 100, test_udp(MAC_PEER, MAC_B, IP_PEER, 1, IP_B, 2, 601 - 28));
	lab_expect_none(f, "b");
	error = vlan_on_wire(f, 100);
	lab_assert_path(&error, MAC_B, MAC_PEER, IP_B, IP_PEER);
	g_assert_cmpuint(load16(error.bytes + 14 + 26), ==, 600);
}

/* An ICMP error about a packet that went out by the wire comes back to who sent it. */
static void test_errors(struct fixture *f, const void *data)
{
	struct test_frame there = test_udp(MAC_V, MAC_ROUTER, IP_V, 1000, IP_FAR, 53, 0);
	struct test_frame error = test_icmp(MAC_ROUTER, MAC_V, IP_ROUTER, IP_V, 3, 1, 0, 28);

	lab_put(f, "v", there);
	vlan_on_wire(f, 200);
	memcpy(error.bytes + 14 + 28, there.bytes + 14, 28);
	memset(error.bytes + 14 + 24, 0, 4);
	test_fix(&error);
	vlan_from_wire(f, 200, error);
	vlan_assert_same(lab_expect(f, "v"), error);
	memcpy(error.bytes + 14 + 12, (uint8_t[]){169, 254, 169, 254}, 4);
	test_fix(&error);
	vlan_refused(f, vlan_tagged(error, 200), DROP_SPOOFED_PHYSICAL);
}

/* ---- what operators see ---- */

/* The texts of a trace's steps and its verdict, in one. */
static char *trace(struct fixture *f, const char *nic, const char *packet)
{
	json_auto_t *params = json_pack("{s:s, s:s}", "nic", nic, "packet", packet);
	g_autoptr(GError) error = NULL;
	json_auto_t *result = trace_packet(f->datapath, params, &error);

	g_assert_no_error(error);
	return json_dumps(result, 0);
}

static void assert_trace(struct fixture *f, const char *nic, const char *packet, const char *const *says)
{
	char *text = trace(f, nic, packet);

	for (; *says; says++)
		if (!strstr(text, *says))
			g_error("%s: '%s' does not say '%s'", packet, text, *says);
	free(text);
}
#define SAYS(...)                                                                                            \
	(const char *const[])                                                                                \
	{                                                                                                    \
		__VA_ARGS__, NULL                                                                            \
	}

static void test_traced(struct fixture *f, const void *data)
{
	assert_trace(f, "a", "out udp " IP_A ":1 > " IP_PEER ":2",
		SAYS("to " IP_PEER ", which no NIC here has", "by vlan 100 of physnet1, bridged",
			"by the physical network, ready", "[\"vlan 100 of physnet1\"]", "\"forwarded\""));
	assert_trace(f, "a", "out udp " IP_A ":1 > " IP_REMOTE ":2",
		SAYS("routed to " IP_REMOTE, "[\"hop\", \"vlan 100 of physnet1 by " IP_REMOTE "\"]",
			"\"forwarded\""));
	assert_trace(f, "v", "out udp " IP_V ":1 > " IP_FAR ":2",
		SAYS("bridged; for the gateway's MAC, to " IP_ROUTER, "[\"vlan 200 of physnet1\"]",
			"\"forwarded\""));
	assert_trace(f, "w", "out udp " IP_W ":1 > 10.0.0.9:2",
		SAYS("[\"untagged on physnet1\"]", "\"forwarded\""));
	assert_trace(f, "a", "in tcp " IP_PEER ":1 > " IP_A ":2",
		SAYS("it comes by the physical network, vlan 100 of physnet1",
			"it is answered by vlan 100 of physnet1", "to the function attachment of NIC a",
			"\"forwarded\""));
	assert_trace(f, "v", "in tcp " IP_FAR ":1 > " IP_V ":22", SAYS("\"denied-inbound\""));
	assert_trace(f, "a", "in tcp " IP_PEER ":1 > " IP_A ":2 smac " MAC_B, SAYS("\"spoofed-physical\""));
	assert_trace(f, "a", "out arp who-has " IP_PEER " tell " IP_A,
		SAYS("it goes to vlan 100 of physnet1 as it is", "\"forwarded\""));
	assert_trace(f, "a", "out arp who-has " IP_B " tell " IP_A, SAYS("it is at " MAC_B, "\"answered\""));
}

static void test_listed(struct fixture *f, const void *data)
{
	json_auto_t *params = json_pack("{s:s}", "nic", "a");
	g_autoptr(GError) error = NULL;

	lab_put(f, "a", test_udp(MAC_A, MAC_PEER, IP_A, 1000, IP_PEER, 53, 3));
	vlan_from_wire(f, 100, test_udp(MAC_PEER, MAC_A, IP_PEER, 53, IP_A, 1000, 3));
	json_auto_t *flows = flow_query_list(f->datapath, params, &error);
	g_assert_no_error(error);
	char *text = json_dumps(flows, JSON_COMPACT);
	g_assert_nonnull(strstr(text, "[\"vlan 100 of physnet1\"]"));
	g_assert_nonnull(strstr(text, "[\"deliver a\"]"));
	free(text);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, test) g_test_add("/vlan/" name, struct fixture, NULL, vlan_setup, test, lab_teardown)
	TEST("the switch routes to other subnets of the VLAN", test_switch_routes);
	TEST("answers to another subnet are routed", test_router_answers);
	TEST("nobody is asked for in the name of a NIC that is gone", test_asker_gone);
	TEST("who does not answer three questions is not there", test_unanswered);
	TEST("an external gateway gets what guests send it", test_external);
	TEST("what is sent to the switch's gateway MAC finds the external one", test_led_to_router);
	TEST("a subnet's routes hold on the wire", test_appliance);
	TEST("platform addresses and the outside stay where they are", test_elsewhere);
	TEST("the wire carries what it carries, and senders are told", test_sizes);
	TEST("ICMP errors about what went out come back", test_errors);
	TEST("trace says what the switch does with a VLAN's packets", test_traced);
	TEST("flows say which VLAN they leave by", test_listed);
	return lab_run();
}
