/* Functions past the host that come and go: what the switch takes up from them, and what it asks their guests. See
 * test_function.h for the switch.
 */
#include "switch/bypass.h"
#include "switch/test_function.h"

#include <string.h>

/* ---- connections that began past the switch ---- */

static void test_taken_up(struct fixture *f, const void *data)
{
	struct test_frame in = test_tcp(MAC_PEER, MAC_A, IP_PEER, 81, IP_A, 1000, TCP_ACK, 9);

	lab_pass(f, SECOND);
	function_set_active(f, 0, "synthetic");
	function_expect_taken_up(f, 1000, true);
	vlan_from_wire(f, 100, in);
	vlan_assert_same(lab_expect(f, "/a"), in);
	lab_put(f, "b",
		test_tcp(MAC_B, MAC_PEER, IP_B, 1000, IP_PEER, 80, TCP_ACK, 9)); /* it never had one */
	function_expect_silence(f);
	g_assert_cmpuint(lab_drops(f, DROP_TCP_NO_SYN), ==, 1);
	/* Also when the state no longer says that it has one. */
	function_detach(f);
	function_expect_taken_up(f, 1001, true);
}

static void test_taken_up_for_a_while(struct fixture *f, const void *data)
{
	lab_pass(f, SECOND);
	function_set_active(f, 0, "synthetic");
	lab_pass(f, BYPASS_TAKE_UP_S * SECOND);
	function_expect_taken_up(f, 1000, true);
	lab_pass(f, 2 * SECOND);
	function_expect_taken_up(f, 1001, false);
	function_expect_taken_up(f, 1000, true); /* it is known now */
	/* A function that is there again, and goes again. */
	function_set_active(f, 0, "both");
	lab_pass(f, 200);
	vlan_drain(f, "phys");
	vlan_drain(f, "/a");
	function_set_active(f, 0, "synthetic");
	function_expect_taken_up(f, 1002, true);
}

/* Between two that have functions; with others, and by the gateway, it went through the switch from the beginning. */
static void test_taken_up_by_wire(struct fixture *f, const void *data)
{
	static const struct {
		const char *dmac, *dst;
	} seen[] = {{MAC_B, IP_B}, {MAC_GATEWAY, IP_REMOTE}, {MAC_GATEWAY, IP_C}, {MAC_GATEWAY, PEER},
		{MAC_GATEWAY, METADATA}};
	struct test_frame ack = test_tcp(MAC_A, MAC_B, IP_A, 1001, IP_B, 80, TCP_ACK, 9);

	lab_pass(f, SECOND);
	function_set_active(f, 0, "synthetic");
	for (unsigned i = 0; i < G_N_ELEMENTS(seen); i++) {
		lab_put(f, "/a", test_tcp(MAC_A, seen[i].dmac, IP_A, 1000, seen[i].dst, 80, TCP_ACK, 9));
		g_assert_cmpuint(lab_drops(f, DROP_TCP_NO_SYN), ==, i + 1);
		function_expect_silence(f);
	}
	function_put_on_wire(f, 1, "/b");
	lab_apply(f);
	lab_put(f, "/a", ack);
	vlan_assert_same(vlan_on_wire(f, 100), ack);
}

/* What a new connection may not do, one that is taken up may not; nor one the other way. */
static void test_taken_up_by_policy(struct fixture *f, const void *data)
{
	lab_pass(f, SECOND);
	function_let_in(f, 0);
	function_set_active(f, 0, "synthetic");
	vlan_refused(f, vlan_tagged(test_tcp(MAC_PEER, MAC_A, "10.9.9.9", 80, IP_A, 1000, TCP_ACK, 9), 100),
		DROP_SPOOFED_PHYSICAL);
	vlan_refused(f, vlan_tagged(test_tcp(MAC_PEER, MAC_A, IP_PEER, 80, IP_A, 1000, TCP_ACK, 9), 100),
		DROP_DENIED_INBOUND);
	function_expect_taken_up(f, 22, false); /* a server's answer to whom it may not serve */
	function_expect_taken_up(f, 32767, false);
	function_expect_taken_up(f, 32768, true); /* a client's */
	lab_put(f, "/a", test_tcp(MAC_A, MAC_PEER, IP_A, 32769, IP_PEER, 40000, TCP_ACK, 9));
	function_expect_silence(f);
	g_assert_cmpuint(lab_drops(f, DROP_TCP_NO_SYN), ==, 3);
	/* Who is on the wire does not say by its port whose connection it is. */
	function_let_in(f, 22);
	json_array_append_new(json_object_get(lab_group(f), "rules"),
		json_pack("{s:s, s:s, s:i, s:s, s:s, s:{s:b}, s:{s:b}}", "name", "out", "direction",
			"outbound", "priority", 100, "protocol", "any", "action", "deny", "source", "any", 1,
			"destination", "any", 1));
	lab_apply(f);
	vlan_refused(f, vlan_tagged(test_tcp(MAC_PEER, MAC_A, IP_PEER, 40000, IP_A, 22, TCP_ACK, 9), 100),
		DROP_TCP_NO_SYN);
}

/* A connection that a rule had allowed, and no longer does: its server goes on sending. */
static void test_revoked(struct fixture *f, const void *data)
{
	struct test_frame syn = test_tcp(MAC_PEER, MAC_A, IP_PEER, 80, IP_A, 40000, TCP_SYN, 0);
	struct test_frame ack = test_tcp(MAC_A, MAC_PEER, IP_A, 40000, IP_PEER, 80, TCP_ACK, 9);

	function_let_in(f, 40000);
	function_set_active(f, 0, "synthetic");
	vlan_from_wire(f, 100, syn);
	vlan_assert_same(lab_expect(f, "/a"), syn);
	lab_put(f, "/a", ack);
	vlan_assert_same(vlan_on_wire(f, 100), ack);
	function_let_in(f, 0);
	lab_put(f, "/a", ack);
	g_assert_cmpuint(lab_drops(f, DROP_REVOKED), ==, 1);
	lab_pass(f, 7000 * SECOND); /* of 7440, as any established one has */
	function_set_active(f, 0, "both");
	lab_pass(f, SECOND);
	function_set_active(f, 0, "synthetic");
	vlan_drain(f, "phys");
	vlan_drain(f, "/a");
	lab_put(f, "/a", ack);
	g_assert_cmpuint(lab_drops(f, DROP_REVOKED), ==, 2);
	function_expect_silence(f);
	lab_pass(f, 7450 * SECOND);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 0);
}

/* ---- signs of life ---- */

/* To the NIC alone, in the name of the gateway, which the guest may note: RFC 5227 has a question without a sender as a
 * claim to the address. */
static void expect_probe(struct test_frame probe, const char *sender)
{
	uint8_t mac[6];

	vlan_assert_arp(probe, 1, MAC_GATEWAY, sender, IP_A);
	test_mac(MAC_A, mac);
	g_assert_cmpmem(probe.bytes, 6, mac, 6);
}

/* The question that only who got it can answer; the guest's answer to it. */
static struct test_frame expect_echo(struct test_frame echo)
{
	lab_assert_path(&echo, MAC_GATEWAY, MAC_A, "192.168.1.1", IP_A);
	g_assert_cmpuint(echo.bytes[34], ==, 8);
	struct test_frame answer = test_icmp(MAC_A, MAC_GATEWAY, IP_A, "192.168.1.1", 0, 0, 0, 8);
	g_assert_cmpuint(answer.length, ==, echo.length);
	memcpy(answer.bytes + 38, echo.bytes + 38, 12);
	test_fix(&answer);
	return answer;
}

static bool has_answered(struct fixture *f)
{
	json_auto_t *nics = NULL;
	const json_t *answered = json_object_get(function_row_of(f, 0, 0, &nics), "answered");

	return json_is_true(answered);
}

static unsigned probes_in(struct fixture *f, uint32_t milliseconds)
{
	unsigned n = 0;

	lab_pass(f, milliseconds);
	for (GBytes *bytes; (bytes = port_fake_take(lab_port(f, "phys"))); n++)
		g_bytes_unref(bytes);
	vlan_drain(f, "/a");
	return n;
}

static void test_probed(struct fixture *f, const void *data)
{
	lab_pass(f, 10 * SECOND);
	function_expect_silence(f);
	function_set_active(f, 0, "both");
	lab_pass(f, 100);
	expect_probe(vlan_on_wire(f, 100), "192.168.1.1");
	expect_probe(lab_expect(f, "/a"), "192.168.1.1");
	expect_echo(vlan_on_wire(f, 100));
	expect_echo(lab_expect(f, "/a"));
	function_expect_silence(f);
	/* lab_pass has steps of 200 ms, and there are two questions. */
	g_assert_cmpuint(probes_in(f, 2 * SECOND), ==, 2 * 10);
	probes_in(f, 2 * SECOND);
	g_assert_cmpuint(probes_in(f, 10 * SECOND), ==, 2 * 10);
	/* The answer ends here, by whatever path it comes. */
	uint64_t drops = datapath_counters(f->datapath).drops;
	struct test_frame answer = vlan_to_mac(test_arp(MAC_A, 2, MAC_A, IP_A, "192.168.1.1"), MAC_GATEWAY);
	json_int_t heard = function_count(f, 0, 0, "rx_packets");
	vlan_from_wire(f, 100, answer);
	g_assert_cmpint(function_count(f, 0, 0, "rx_packets"), ==, heard + 1);
	lab_put(f, "/a", answer);
	function_expect_silence(f);
	g_assert_cmpuint(datapath_counters(f->datapath).drops, ==, drops);
	/* In nobody else's name. */
	lab_put(f, "b", answer);
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_MAC), ==, 1);
	function_set_active(f, 0, "function");
	g_assert_cmpuint(probes_in(f, 5 * SECOND), ==, 0);
	function_set_active(f, 0, "both"); /* anew, and quickly */
	g_assert_cmpuint(probes_in(f, 2 * SECOND), ==, 2 * 10);
}

/* A physical router has the gateway's address: the guest is not told otherwise, nor given what the router would get the
 * answer to. */
static void test_probed_by_metadata(struct fixture *f, const void *data)
{
	json_object_set_new(vlan_subnet(f, 0, 0), "gateway_external", json_true());
	function_set_active(f, 0, "both");
	lab_pass(f, 100);
	expect_probe(vlan_on_wire(f, 100), METADATA);
	expect_probe(lab_expect(f, "/a"), METADATA);
	function_expect_silence(f);
}

/* The question that is asked in `both`. */
static struct test_frame asked(struct fixture *f)
{
	function_set_active(f, 0, "synthetic");
	function_set_active(f, 0, "both");
	g_assert_false(has_answered(f));
	lab_pass(f, 200);
	vlan_on_wire(f, 100);
	struct test_frame answer = expect_echo(vlan_on_wire(f, 100));
	vlan_drain(f, "/a");
	return answer;
}

static void test_answers(struct fixture *f, const void *data)
{
	struct test_frame answer = asked(f), forged;

	/* What anybody can send. */
	vlan_from_wire(f, 100, test_udp(MAC_A, MAC_B, IP_A, 1000, IP_B, 53, 3));
	lab_expect(f, "b");
	vlan_from_wire(f, 100, vlan_to_mac(test_arp(MAC_A, 2, MAC_A, IP_A, "192.168.1.1"), MAC_GATEWAY));
	function_refuse(f, test_icmp(MAC_A, MAC_GATEWAY, IP_A, "192.168.1.1", 0, 0, 0, 8), DROP_ICMP_NO_FLOW);
	for (unsigned bit = 0; bit < 64; bit++) {
		forged = answer;
		forged.bytes[42 + bit / 8] ^= (uint8_t)(1u << bit % 8);
		test_fix(&forged);
		vlan_from_wire(f, 100, forged);
	}
	/* By the other attachment, and from another address. */
	uint64_t drops = lab_drops(f, DROP_ICMP_NO_FLOW);
	lab_put(f, "/a", answer);
	g_assert_cmpuint(lab_drops(f, DROP_ICMP_NO_FLOW), ==, drops);
	forged = answer;
	test_ip(IP_PEER, forged.bytes + 26);
	test_fix(&forged);
	vlan_from_wire(f, 100, forged);
	g_assert_false(has_answered(f));
	vlan_from_wire(f, 100, answer);
	g_assert_true(has_answered(f));
	function_expect_silence(f);
	g_assert_cmpuint(probes_in(f, 2 * SECOND), ==, 10); /* one question is done with */
	function_set_active(f, 0, "function");
	g_assert_true(has_answered(f));
	/* It is asked another the next time. */
	struct test_frame next = asked(f);
	vlan_from_wire(f, 100, answer);
	g_assert_false(has_answered(f));
	vlan_from_wire(f, 100, next);
	g_assert_true(has_answered(f));
	function_set_active(f, 0, "function");
	g_assert_true(has_answered(f));
	function_set_active(f, 0, "both"); /* does it still? */
	g_assert_false(has_answered(f));
	function_set_active(f, 0, "synthetic");
	g_assert_false(has_answered(f));
}

/* A function that is here is asked as well; a NIC of IPv6 alone by neighbour discovery. */
static void test_probed_ipv6(struct fixture *f, const void *data)
{
	json_array_append_new(json_object_get(vlan_network(f, 0), "prefixes"), json_string("fd00::/48"));
	json_object_update_new(vlan_subnet(f, 0, 0),
		json_pack("{s:s, s:s}", "prefix6", "fd00:0:0:1::/64", "gateway6", GATEWAY6_1));
	json_object_set_new(lab_nic(f, 0), "addresses", json_pack("[{s:s}]", "ip", IP6_A));
	json_object_set_new(lab_nic(f, 0), "attachments",
		json_pack("[{s:s, s:s}, {s:s, s:s}]", "kind", "function", "interface", "a", "kind",
			"synthetic", "socket", "/a"));
	function_set_active(f, 0, "both");
	vlan_drain(f, "phys");
	vlan_drain(f, "/a");
	vlan_drain(f, "a");
	lab_pass(f, 100);
	struct test_frame probe = lab_expect(f, "a");
	vlan_assert_same(lab_expect(f, "/a"), probe);
	lab_assert_path6(&probe, MAC_GATEWAY, MAC_A, GATEWAY_LL, IP6_A);
	g_assert_cmpuint(probe.bytes[54], ==, 135);
	lab_put(f, "a", test_nd(MAC_A, MAC_GATEWAY, IP6_A, GATEWAY_LL, 136, IP6_A, 2, MAC_A));
	function_expect_silence(f);
	g_assert_cmpuint(lab_drops(f, DROP_ND_HEARD), ==, 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, test) g_test_add("/bypass/" name, struct fixture, NULL, function_setup, test, lab_teardown)
	TEST("connections that began past the switch are taken up", test_taken_up);
	TEST("connections are taken up for as long after the function as the switch keeps its own",
		test_taken_up_for_a_while);
	TEST("only connections that the wire can have carried are taken up", test_taken_up_by_wire);
	TEST("connections are taken up as policy allows both ways", test_taken_up_by_policy);
	TEST("what was revoked is remembered", test_revoked);
	TEST("while both are active the guest is asked for a sign of life", test_probed);
	TEST("behind an external gateway it is asked as by its metadata service", test_probed_by_metadata);
	TEST("it has answered when nobody else can have", test_answers);
	TEST("a guest of IPv6 alone is asked by neighbour discovery", test_probed_ipv6);
	return lab_run();
}
