/* Functions past the host: a NIC's function is on the physical network itself. See test_vlan.h for the switch.
 *
 * NIC a's function is on the wire, where the test is the hardware, too; its synthetic attachment is "/a".
 */
#include "switch/advertise.h"
#include "switch/mirror_session.h"
#include "switch/offload.h"
#include "switch/report.h"
#include "switch/test_vlan.h"
#include "switch/trace.h"

#include <string.h>

#define MAC_OTHER "02:00:00:00:00:55" /* of somebody on the wire */
#define MAC_PORT  "02:00:00:00:00:66" /* of the port of the physical network */
#define PACKETS   10 /* of a flow: the first is no other than the last */

/* ---- the state ---- */

/* NIC i gets a function on the wire beside its synthetic attachment. */
static void put_on_wire(struct fixture *f, size_t i, const char *socket)
{
	json_object_set_new(lab_nic(f, i), "attachments",
		json_pack("[{s:s, s:b}, {s:s, s:s}]", "kind", "function", "physical", 1, "kind", "synthetic",
			"socket", socket));
}

static void set_active(struct fixture *f, size_t i, const char *active)
{
	json_object_set_new(lab_nic(f, i), "active", json_string(active));
	lab_apply(f);
}

static void setup(struct fixture *f, const void *data)
{
	vlan_setup(f, data);
	put_on_wire(f, 0, "/a");
	lab_apply(f);
	lab_expect_none(f, "phys");
}

/* Nothing comes out anywhere. */
static void expect_silence(struct fixture *f)
{
	static const char *const ports[] = {"/a", "b", "c", "/c", "v", "w", "phys", "out", "host"};

	for (unsigned i = 0; i < G_N_ELEMENTS(ports); i++)
		lab_expect_none(f, ports[i]);
}

/* It comes by the wire, in VLAN 100, is dropped for that reason, and nothing comes of it: as often as it comes. */
static void refuse(struct fixture *f, struct test_frame frame, enum drop reason)
{
	for (unsigned i = 0; i < PACKETS; i++) {
		uint64_t before = lab_drops(f, reason);
		vlan_from_wire(f, 100, frame);
		g_assert_cmpuint(lab_drops(f, reason), ==, before + 1);
		expect_silence(f);
	}
}

static json_int_t count(struct fixture *f, size_t nic, size_t attachment, const char *member)
{
	json_auto_t *nics = report_nics(f->datapath);
	const json_t *rows = json_object_get(json_array_get(nics, nic), "attachments");

	return json_integer_value(json_object_get(json_array_get(rows, attachment), member));
}

/* ---- from the guest ---- */

static void test_sends(struct fixture *f, const void *data)
{
	struct test_frame there = test_udp(MAC_A, MAC_B, IP_A, 1000, IP_B, 53, 30);
	struct test_frame back = test_udp(MAC_B, MAC_A, IP_B, 53, IP_A, 1000, 30);

	for (unsigned i = 0; i < PACKETS; i++) {
		vlan_from_wire(f, 100, there);
		vlan_assert_same(lab_expect(f, "b"), there);
		lab_put(f, "b", back);
		vlan_assert_same(vlan_on_wire(f, 100), back);
		expect_silence(f);
	}
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
	g_assert_cmpint(count(f, 0, 0, "rx_packets"), ==, PACKETS);
	g_assert_cmpint(count(f, 0, 0, "rx_bytes"), ==, PACKETS * there.length);
	g_assert_cmpint(count(f, 0, 0, "tx_packets"), ==, PACKETS);
	g_assert_cmpint(count(f, 0, 1, "tx_packets"), ==, 0);
}

/* Its frames are the NIC's whatever is active: it is used before the switch is told, and after. */
static void test_sends_early(struct fixture *f, const void *data)
{
	struct test_frame there = test_udp(MAC_A, MAC_B, IP_A, 1000, IP_B, 53, 30);
	static const char *const active[] = {"synthetic", "both", "function"};

	for (unsigned i = 0; i < G_N_ELEMENTS(active); i++) {
		set_active(f, 0, active[i]);
		vlan_from_wire(f, 100, there);
		vlan_assert_same(lab_expect(f, "b"), there);
		lab_put(f, "/a", there);
		vlan_assert_same(lab_expect(f, "b"), there);
		expect_silence(f);
	}
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
}

static void test_spoofs(struct fixture *f, const void *data)
{
	refuse(f, test_udp(MAC_A, MAC_B, IP_PEER, 1, IP_B, 2, 0), DROP_SPOOFED_IP);
	refuse(f, test_udp(MAC_A, MAC_GATEWAY, IP_C, 1, IP_B, 2, 0), DROP_SPOOFED_IP);
	refuse(f, test_arp(MAC_A, 1, MAC_A, IP_B, IP_PEER), DROP_SPOOFED_ARP);
	refuse(f, test_udp(MAC_A, MAC_B, IP_A, 67, IP_B, 68, 300), DROP_DHCP_SERVER);
	/* Others' MACs are as ever, and a's in another VLAN is nobody's. */
	refuse(f, test_udp(MAC_B, MAC_A, IP_B, 1, IP_A, 2, 0), DROP_SPOOFED_PHYSICAL);
	refuse(f, test_udp(MAC_GATEWAY, MAC_B, IP_A, 1, IP_B, 2, 0), DROP_SPOOFED_PHYSICAL);
	vlan_refused(f, vlan_tagged(test_udp(MAC_A, MAC_V, IP_A, 1, IP_V, 2, 0), 200), DROP_SPOOFED_PHYSICAL);
}

/* What a switch that floods, or a promiscuous port, shows of it. */
static void test_sends_to_wire(struct fixture *f, const void *data)
{
	put_on_wire(f, 2, "/c");
	lab_apply(f);
	refuse(f, test_udp(MAC_A, MAC_PEER, IP_A, 1000, IP_PEER, 53, 3), DROP_ON_WIRE);
	refuse(f, test_tcp(MAC_A, MAC_PEER, IP_A, 1, IP_REMOTE, 2, TCP_SYN, 0), DROP_ON_WIRE);
	refuse(f, vlan_to_mac(test_arp(MAC_A, 2, MAC_A, IP_A, IP_PEER), MAC_PEER), DROP_ON_WIRE);
	refuse(f, test_arp(MAC_A, 1, MAC_A, IP_A, IP_PEER), DROP_ON_WIRE);
	refuse(f, test_arp(MAC_A, 1, MAC_A, "0.0.0.0", IP_A), DROP_ON_WIRE);
	refuse(f, test_udp(MAC_A, MAC_C, IP_A, 1000, IP_C, 53, 3), DROP_ON_WIRE); /* its function has it */
	refuse(f, test_udp(MAC_A, "01:00:5e:00:00:01", IP_A, 1, "224.0.0.1", 2, 0), DROP_MULTICAST);
	/* A neighbour's MAC, but an address that is on the wire: it does not go back there. */
	refuse(f, test_udp(MAC_A, MAC_B, IP_A, 1, IP_PEER, 2, 0), DROP_ON_WIRE);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
}

/* ARP, DHCP, the gateway, metadata, neighbour discovery: the answers are for its function alone. */
static void test_answered(struct fixture *f, const void *data)
{
	vlan_from_wire(f, 100, test_arp(MAC_A, 1, MAC_A, IP_A, IP_B));
	struct test_frame frame = vlan_to_mac(vlan_on_wire(f, 100), MAC_A);
	vlan_assert_arp(frame, 2, MAC_B, IP_B, IP_A);
	vlan_from_wire(f, 100, test_arp(MAC_A, 1, MAC_A, IP_A, "192.168.1.1"));
	frame = vlan_on_wire(f, 100);
	vlan_assert_arp(frame, 2, MAC_GATEWAY, "192.168.1.1", IP_A);
	vlan_from_wire(f, 100, test_icmp(MAC_A, MAC_GATEWAY, IP_A, "192.168.1.1", 8, 0, 7, 56));
	frame = vlan_on_wire(f, 100);
	lab_assert_path(&frame, MAC_GATEWAY, MAC_A, "192.168.1.1", IP_A);
	vlan_from_wire(f, 100, test_tcp(MAC_A, MAC_GATEWAY, IP_A, 1000, METADATA, 80, TCP_SYN, 0));
	frame = lab_expect(f, "host");
	vlan_assert_arp(frame, 1, MAC_HOST, "100.64.0.4", METADATA);
	/* An error is an answer, too. */
	struct test_frame dying = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 2, 0);
	dying.bytes[22] = 1;
	test_fix(&dying);
	vlan_from_wire(f, 100, dying);
	frame = vlan_on_wire(f, 100);
	lab_assert_path(&frame, MAC_GATEWAY, MAC_A, "192.168.1.1", IP_A);
	g_assert_cmpuint(frame.bytes[34], ==, 11);
	expect_silence(f);
}

/* Whoever asks for a broadcast gets the answer to its MAC: the wire is others', too. */
static void test_dhcp(struct fixture *f, const void *data)
{
	struct test_frame discover =
		test_udp(MAC_A, "ff:ff:ff:ff:ff:ff", "0.0.0.0", 68, "255.255.255.255", 67, 300);
	uint8_t *bootp = discover.bytes + 42, mac[6];

	memset(bootp, 0, 300);
	bootp[0] = bootp[1] = 1;
	bootp[2] = 6;
	bootp[10] = 0x80;
	test_mac(MAC_A, mac);
	memcpy(bootp + 28, mac, 6);
	memcpy(bootp + 236, (uint8_t[]){99, 130, 83, 99, 53, 1, 1, 255}, 8);
	test_fix(&discover);
	vlan_from_wire(f, 100, discover);
	struct test_frame offer = vlan_on_wire(f, 100);
	lab_assert_path(&offer, MAC_GATEWAY, MAC_A, "192.168.1.1", "255.255.255.255");
	expect_silence(f);
}

static void test_of_ipv6(struct fixture *f, const void *data)
{
	json_array_append_new(json_object_get(vlan_network(f, 0), "prefixes"), json_string("fd00::/48"));
	json_object_update_new(vlan_subnet(f, 0, 0),
		json_pack("{s:s, s:s}", "prefix6", "fd00:0:0:1::/64", "gateway6", GATEWAY6_1));
	json_array_append_new(json_object_get(lab_nic(f, 0), "addresses"), json_pack("{s:s}", "ip", IP6_A));
	json_array_append_new(json_object_get(lab_nic(f, 1), "addresses"), json_pack("{s:s}", "ip", IP6_B));
	lab_apply(f);
	/* The advertisement is for the NIC alone, whose link it is. */
	struct test_frame frame = vlan_on_wire(f, 100);
	lab_assert_path6(&frame, MAC_GATEWAY, MAC_A, GATEWAY_LL, "ff02::1");
	lab_expect(f, "b");
	vlan_from_wire(
		f, 100, test_nd(MAC_A, "33:33:ff:00:00:0b", IP6_A, "ff02::1:ff00:b", 135, IP6_B, 1, MAC_A));
	frame = vlan_on_wire(f, 100);
	lab_assert_path6(&frame, MAC_B, MAC_A, IP6_B, IP6_A);
	vlan_from_wire(f, 100, test_udp6(MAC_A, MAC_B, IP6_A, 1, IP6_B, 2, 9));
	frame = lab_expect(f, "b");
	lab_assert_path6(&frame, MAC_A, MAC_B, IP6_A, IP6_B);
	expect_silence(f);
}

/* ---- between the two ---- */

static void test_gateway(struct fixture *f, const void *data)
{
	struct test_frame answer = test_arp(MAC_PEER, 2, MAC_PEER, IP_REMOTE, "0.0.0.0");
	uint8_t mac[6];

	/* To another subnet of the same wire, where the switch is the router. It asks in the name of its port: an answer
	 * to the NIC would go to the function. */
	test_mac(MAC_PORT, mac);
	port_set_mac(lab_port(f, "phys"), mac);
	vlan_from_wire(f, 100, test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_REMOTE, 53, 3));
	struct test_frame frame = vlan_on_wire(f, 100);
	vlan_assert_arp(frame, 1, MAC_PORT, "0.0.0.0", IP_REMOTE);
	refuse(f, vlan_to_mac(answer, MAC_OTHER), DROP_UNKNOWN_MAC);
	uint64_t drops = datapath_counters(f->datapath).drops;
	vlan_from_wire(f, 100, vlan_to_mac(answer, MAC_PORT));
	g_assert_cmpuint(datapath_counters(f->datapath).drops, ==, drops);
	frame = vlan_on_wire(f, 100);
	lab_assert_path(&frame, MAC_A, MAC_PEER, IP_A, IP_REMOTE);
	g_assert_cmpuint(frame.bytes[22], ==, 63);
	for (unsigned i = 0; i < PACKETS; i++) {
		vlan_from_wire(f, 100, test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_REMOTE, 53, 3));
		frame = vlan_on_wire(f, 100);
		lab_assert_path(&frame, MAC_A, MAC_PEER, IP_A, IP_REMOTE);
	}
	/* To another function there, and outside. */
	put_on_wire(f, 2, "/c");
	lab_apply(f);
	for (unsigned i = 0; i < PACKETS; i++) {
		vlan_from_wire(f, 100, test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_C, 53, 3));
		frame = vlan_on_wire(f, 100);
		lab_assert_path(&frame, MAC_GATEWAY, MAC_C, IP_A, IP_C);
	}
	vlan_from_wire(f, 100, test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, PEER, 53, 3));
	lab_expect(f, "out");
	expect_silence(f);
}

/* A frame for a neighbour's MAC, but another's address: the wire has brought it to the neighbour alone. */
static void test_other_address(struct fixture *f, const void *data)
{
	put_on_wire(f, 2, "/c");
	lab_apply(f);
	for (unsigned i = 0; i < PACKETS; i++) {
		vlan_from_wire(f, 100, test_udp(MAC_A, MAC_B, IP_A, 1000, IP_C, 53, 3));
		struct test_frame frame = vlan_on_wire(f, 100);
		lab_assert_path(&frame, MAC_GATEWAY, MAC_C, IP_A, IP_C);
	}
	expect_silence(f);
}

static void test_fragments(struct fixture *f, const void *data)
{
	struct test_frame first = test_udp(MAC_A, MAC_B, IP_A, 1000, IP_B, 53, 72);
	struct test_frame second = test_ipv4(MAC_A, MAC_B, IP_A, IP_B, 17, 80);

	store16(first.bytes + 18, 7);
	store16(first.bytes + 20, 0x2000);
	test_set_check(first.bytes + 24, 0);
	test_set_check(first.bytes + 24, checksum_of(first.bytes + 14, 20));
	store16(second.bytes + 18, 7);
	store16(second.bytes + 20, 10);
	test_set_check(second.bytes + 24, 0);
	test_set_check(second.bytes + 24, checksum_of(second.bytes + 14, 20));
	vlan_from_wire(f, 100, first);
	g_autoptr(GBytes) one = port_fake_take(lab_port(f, "b"));
	g_assert_nonnull(one);
	vlan_from_wire(f, 100, second);
	g_autoptr(GBytes) two = port_fake_take(lab_port(f, "b"));
	g_assert_nonnull(two);
}

/* ---- to the guest ---- */

static void test_from_wire(struct fixture *f, const void *data)
{
	struct test_frame frame = test_udp(MAC_PEER, MAC_A, IP_PEER, 53, IP_A, 1000, 3);

	/* Its function has got it. */
	refuse(f, frame, DROP_ON_WIRE);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 0);
	refuse(f, vlan_to_mac(test_arp(MAC_PEER, 2, MAC_PEER, IP_PEER, IP_A), MAC_A), DROP_ON_WIRE);
	/* While it comes and goes, it is for the other attachment; and for that alone. */
	static const char *const active[] = {"both", "synthetic", "both"};
	for (unsigned j = 0; j < G_N_ELEMENTS(active); j++) {
		set_active(f, 0, active[j]);
		for (unsigned i = 0; i < PACKETS; i++) {
			vlan_from_wire(f, 100, frame);
			vlan_assert_same(lab_expect(f, "/a"), frame);
			expect_silence(f);
		}
	}
	set_active(f, 0, "function");
	refuse(f, frame, DROP_ON_WIRE);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
}

/* From a neighbour here: where it goes follows `active`, also of a flow that is there, and no copy harms another. */
static void test_active(struct fixture *f, const void *data)
{
	struct test_frame frame = test_udp(MAC_B, MAC_A, IP_B, 53, IP_A, 1000, 3);
	static const struct {
		const char *word;
		bool synthetic, function;
	} active[] = {{"function", .function = true}, {"both", true, true}, {"synthetic", .synthetic = true},
		{"both", true, true}, {"function", .function = true}};

	for (unsigned j = 0; j < G_N_ELEMENTS(active); j++) {
		set_active(f, 0, active[j].word);
		for (unsigned i = 0; i < PACKETS; i++) {
			lab_put(f, "b", frame);
			if (active[j].function)
				vlan_assert_same(vlan_on_wire(f, 100), frame);
			if (active[j].synthetic)
				vlan_assert_same(lab_expect(f, "/a"), frame);
			expect_silence(f);
		}
	}
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
}

/* One function to another's NIC while that one is changing. */
static void test_both_functions(struct fixture *f, const void *data)
{
	struct test_frame frame = test_udp(MAC_A, MAC_C, IP_A, 1000, IP_C, 53, 3);

	put_on_wire(f, 2, "/c");
	set_active(f, 2, "both");
	for (unsigned i = 0; i < PACKETS; i++) {
		vlan_from_wire(f, 100, frame);
		struct test_frame got = lab_expect(f, "/c"); /* the wire has it for the function */
		lab_assert_path(&got, MAC_GATEWAY, MAC_C, IP_A, IP_C);
		expect_silence(f);
	}
}

static void test_announced(struct fixture *f, const void *data)
{
	struct test_frame moved = test_arp(MAC_PEER, 1, MAC_PEER, IP_PEER, IP_PEER);
	struct test_frame own = test_arp(MAC_A, 1, MAC_A, IP_A, IP_A);
	static const char *const active[] = {"function", "both", "synthetic"};

	for (unsigned i = 0; i < G_N_ELEMENTS(active); i++) {
		set_active(f, 0, active[i]);
		/* The wire's: functions have heard it there. */
		vlan_from_wire(f, 100, moved);
		vlan_assert_same(lab_expect(f, "b"), moved);
		vlan_assert_same(lab_expect(f, "c"), moved);
		if (i > 0)
			vlan_assert_same(lab_expect(f, "/a"), moved);
		expect_silence(f);
		/* Its own by the function: told once to those that are not on the wire. */
		vlan_from_wire(f, 100, own);
		vlan_assert_same(lab_expect(f, "b"), own);
		vlan_assert_same(lab_expect(f, "c"), own);
		expect_silence(f);
	}
	/* A neighbour's goes to the wire once, which covers all functions. */
	struct test_frame question = test_arp(MAC_B, 1, MAC_B, IP_B, IP_PEER);
	lab_put(f, "b", question);
	vlan_assert_same(vlan_on_wire(f, 100), question);
	expect_silence(f);
}

/* Who asks on the wire for a NIC is answered once: by the guest where it hears the question, else by the switch. */
static void test_asked_for(struct fixture *f, const void *data)
{
	struct test_frame question = test_arp(MAC_PEER, 1, MAC_PEER, IP_PEER, IP_A);

	refuse(f, question, DROP_ON_WIRE);
	/* So of another function; and of what is behind the switch. */
	put_on_wire(f, 2, "/c");
	lab_apply(f);
	refuse(f, test_arp(MAC_C, 1, MAC_C, IP_C, IP_A), DROP_ON_WIRE);
	vlan_from_wire(f, 100, test_arp(MAC_C, 1, MAC_C, IP_C, IP_B));
	vlan_assert_arp(vlan_on_wire(f, 100), 2, MAC_B, IP_B, IP_C);
	set_active(f, 0, "both");
	vlan_from_wire(f, 100, test_arp(MAC_C, 1, MAC_C, IP_C, IP_A));
	vlan_assert_arp(vlan_on_wire(f, 100), 2, MAC_A, IP_A, IP_C);
	vlan_from_wire(f, 100, question);
	struct test_frame answer = vlan_on_wire(f, 100);
	vlan_assert_arp(answer, 2, MAC_A, IP_A, IP_PEER);
	expect_silence(f);
}

/* ---- connections that began past the switch ---- */

static void test_taken_up(struct fixture *f, const void *data)
{
	struct test_frame ack = test_tcp(MAC_A, MAC_PEER, IP_A, 1000, IP_PEER, 80, TCP_ACK, 9);
	struct test_frame of_b = test_tcp(MAC_B, MAC_PEER, IP_B, 1000, IP_PEER, 80, TCP_ACK, 9);
	struct test_frame in = test_tcp(MAC_PEER, MAC_A, IP_PEER, 81, IP_A, 1000, TCP_ACK, 9);

	set_active(f, 0, "synthetic");
	lab_put(f, "/a", ack);
	vlan_assert_same(vlan_on_wire(f, 100), ack);
	vlan_from_wire(f, 100, in);
	vlan_assert_same(lab_expect(f, "/a"), in);
	lab_put(f, "b", of_b); /* which has never had one */
	expect_silence(f);
	g_assert_cmpuint(lab_drops(f, DROP_TCP_NO_SYN), ==, 1);
	/* Also when the state no longer says that it has one. */
	json_object_set_new(
		lab_nic(f, 0), "attachments", json_pack("[{s:s, s:s}]", "kind", "synthetic", "socket", "/a"));
	lab_apply(f);
	store16(ack.bytes + 34, 1001);
	test_fix(&ack);
	lab_put(f, "/a", ack);
	vlan_assert_same(vlan_on_wire(f, 100), ack);
}

/* What a new connection may not do, one that is taken up may not. */
static void test_taken_up_by_policy(struct fixture *f, const void *data)
{
	json_object_set_new(lab_nic(f, 0), "group", json_string("g"));
	set_active(f, 0, "synthetic");
	vlan_refused(f, vlan_tagged(test_tcp(MAC_PEER, MAC_A, "10.9.9.9", 80, IP_A, 1000, TCP_ACK, 9), 100),
		DROP_SPOOFED_PHYSICAL);
	json_object_set_new(
		vlan_network(f, 0), "prefixes", json_pack("[s, s]", "192.168.1.0/24", "192.168.2.0/24"));
	json_object_set_new(vlan_subnet(f, 0, 0), "gateway_external", json_true());
	lab_apply(f);
	vlan_refused(f, vlan_tagged(test_tcp(MAC_ROUTER, MAC_A, IP_FAR, 80, IP_A, 1000, TCP_ACK, 9), 100),
		DROP_DENIED_INBOUND);
}

/* ---- signs of life ---- */

static void expect_probe(struct test_frame probe)
{
	uint8_t mac[6];

	vlan_assert_arp(probe, 1, MAC_GATEWAY, "0.0.0.0", IP_A);
	test_mac(MAC_A, mac);
	g_assert_cmpmem(probe.bytes, 6, mac, 6); /* to nobody else on the wire */
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
	expect_silence(f);
	set_active(f, 0, "both");
	lab_pass(f, 100);
	expect_probe(vlan_on_wire(f, 100));
	expect_probe(lab_expect(f, "/a"));
	expect_silence(f);
	/* lab_pass has steps of 200 ms. */
	g_assert_cmpuint(probes_in(f, 2 * SECOND), ==, 10);
	probes_in(f, 2 * SECOND);
	g_assert_cmpuint(probes_in(f, 10 * SECOND), ==, 10);
	/* The answer ends here, by whatever path it comes. */
	uint64_t drops = datapath_counters(f->datapath).drops;
	struct test_frame answer = vlan_to_mac(test_arp(MAC_A, 2, MAC_A, IP_A, "0.0.0.0"), MAC_GATEWAY);
	json_int_t heard = count(f, 0, 0, "rx_packets");
	vlan_from_wire(f, 100, answer);
	g_assert_cmpint(count(f, 0, 0, "rx_packets"), ==, heard + 1);
	lab_put(f, "/a", answer);
	expect_silence(f);
	g_assert_cmpuint(datapath_counters(f->datapath).drops, ==, drops);
	/* In nobody else's name. */
	lab_put(f, "b", answer);
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_MAC), ==, 1);
	set_active(f, 0, "function");
	g_assert_cmpuint(probes_in(f, 5 * SECOND), ==, 0);
	set_active(f, 0, "both"); /* anew, and quickly */
	g_assert_cmpuint(probes_in(f, 2 * SECOND), ==, 10);
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
	set_active(f, 0, "both");
	vlan_drain(f, "phys");
	vlan_drain(f, "/a");
	vlan_drain(f, "a");
	lab_pass(f, 100);
	struct test_frame probe = lab_expect(f, "a");
	vlan_assert_same(lab_expect(f, "/a"), probe);
	lab_assert_path6(&probe, MAC_GATEWAY, MAC_A, GATEWAY_LL, IP6_A);
	g_assert_cmpuint(probe.bytes[54], ==, 135);
	lab_put(f, "a", test_nd(MAC_A, MAC_GATEWAY, IP6_A, GATEWAY_LL, 136, IP6_A, 2, MAC_A));
	expect_silence(f);
	g_assert_cmpuint(lab_drops(f, DROP_ND_HEARD), ==, 1);
}

/* ---- ports and operators ---- */

/* What the network's port takes open is left open, behind the tag; else it is completed. */
static void test_open(struct fixture *f, const void *data)
{
	for (unsigned i = 0; i < 2; i++) {
		struct test_frame frame = test_udp(MAC_B, MAC_A, IP_B, 53, IP_A, 1000, 30);
		struct rte_mbuf *packet = rte_pktmbuf_alloc(lab_pool());
		struct port_fake_open open;
		lab_port(f, "phys")->takes = i ? PORT_TAKES_CHECKSUM : 0;
		memcpy(rte_pktmbuf_append(packet, (uint16_t)frame.length), frame.bytes, frame.length);
		packet->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
		lab_put_packets(f, "b", &packet, 1);
		g_autoptr(GBytes) sent = port_fake_take_open(lab_port(f, "phys"), &open);
		g_assert_nonnull(sent);
		g_assert_cmpuint(g_bytes_get_size(sent), ==, frame.length + 4);
		g_assert_cmpuint(open.flags != 0, ==, i == 1);
	}
}

static void test_down(struct fixture *f, const void *data)
{
	struct test_frame frame = test_udp(MAC_B, MAC_A, IP_B, 53, IP_A, 1000, 3);

	port_fake_set_down(lab_port(f, "phys"), true);
	lab_put(f, "b", frame);
	g_assert_cmpuint(lab_drops(f, DROP_PORT_DOWN), ==, 1);
	json_auto_t *nics = report_nics(f->datapath);
	const json_t *row = json_array_get(json_object_get(json_array_get(nics, 0), "attachments"), 0);
	g_assert_cmpstr(json_string_value(json_object_get(row, "kind")), ==, "function");
	g_assert_cmpstr(json_string_value(json_object_get(row, "physical")), ==, "physnet1");
	g_assert_cmpstr(json_string_value(json_object_get(row, "state")), ==, "waiting");
	port_fake_set_down(lab_port(f, "phys"), false);
	port_fake_limit(lab_port(f, "phys"), 0);
	lab_put(f, "b", frame);
	g_assert_cmpuint(lab_drops(f, DROP_PORT_FULL), ==, 1);
	g_assert_cmpint(count(f, 0, 0, "drops"), ==, 2);
	json_auto_t *edges = report_edges(f->datapath);
	g_assert_cmpint(json_integer_value(json_object_get(json_array_get(edges, 2), "drops")), ==, 2);
}

static void test_limited(struct fixture *f, const void *data)
{
	struct test_frame frame = test_udp(MAC_B, MAC_A, IP_B, 53, IP_A, 1000, 3);

	json_object_set_new(lab_nic(f, 0), "limits",
		json_pack("{s:{s:i, s:i}}", "receive", "packets_per_s", 10, "burst_ms", 100));
	lab_apply(f);
	for (unsigned i = 0; i < PACKETS; i++)
		lab_put(f, "b", frame);
	g_assert_cmpuint(lab_drops(f, DROP_RATE), >, 0);
	g_assert_cmpuint(lab_drops(f, DROP_RATE), <, PACKETS);
}

static void test_mirrored(struct fixture *f, const void *data)
{
	_cleanup_(mirror_session_free) struct mirror_session *session = mirror_session_new(f->datapath);
	json_auto_t *params = json_pack("{s:s}", "nic", "a");
	json_auto_t *started = mirror_session_start(session, params, NULL);

	worker_begin(f->worker, f->now_ms);
	vlan_from_wire(f, 100, test_udp(MAC_A, MAC_B, IP_A, 1000, IP_B, 53, 3));
	lab_put(f, "b", test_udp(MAC_B, MAC_A, IP_B, 53, IP_A, 1000, 3));
	vlan_from_wire(f, 100, test_udp(MAC_PEER, MAC_B, IP_PEER, 53, IP_B, 1000, 3)); /* not its */
	json_auto_t *which = json_pack("{s:O}", "mirror", json_object_get(started, "mirror"));
	json_auto_t *read = mirror_session_read(session, which, NULL);
	const json_t *packets = json_object_get(read, "packets");
	g_assert_cmpuint(json_array_size(packets), ==, 2);
	for (unsigned i = 0; i < 2; i++) {
		const json_t *packet = json_array_get(packets, i);
		g_assert_cmpstr(json_string_value(json_object_get(packet, "direction")), ==, i ? "tx" : "rx");
		g_assert_cmpstr(json_string_value(json_object_get(packet, "attachment")), ==, "function");
		g_assert_cmpint(json_integer_value(json_object_get(packet, "length")), ==, 45);
	}
}

/* The packet's verdict, and the reason or the last step's text. */
static void expect_trace(
	struct fixture *f, const char *nic, const char *words, const char *verdict, const char *says)
{
	g_autoptr(GError) error = NULL;
	json_auto_t *params = json_pack("{s:s, s:s}", "nic", nic, "packet", words);
	json_auto_t *trace = trace_packet(f->datapath, params, &error);

	g_assert_no_error(error);
	const json_t *steps = json_object_get(trace, "steps");
	const json_t *last = json_array_get(steps, json_array_size(steps) - 1);
	const char *reason = json_string_value(json_object_get(json_object_get(trace, "drop"), "reason"));
	g_assert_cmpstr(json_string_value(json_object_get(trace, "verdict")), ==, verdict);
	g_assert_cmpstr(reason ? reason : json_string_value(json_object_get(last, "text")), ==, says);
}

static void test_traced(struct fixture *f, const void *data)
{
	static const char past[] = "its function sends it to the physical network, past the switch";
	static const char to_a[] = "to the function attachment of NIC a on the physical network, ready";

	put_on_wire(f, 2, "/c");
	lab_apply(f);
	expect_trace(f, "a", "out udp " IP_A ":1 > " IP_B ":2", "forwarded",
		"to the function attachment of NIC b, ready");
	expect_trace(f, "a", "out udp " IP_A ":1 > " IP_PEER ":2", "forwarded", past);
	expect_trace(f, "a", "out udp " IP_A ":1 > " IP_PEER ":2 dmac " MAC_PEER, "dropped", "on-wire");
	expect_trace(f, "a", "out udp " IP_A ":1 > " IP_PEER ":2 dmac " MAC_B, "dropped", "on-wire");
	expect_trace(f, "a", "out udp " IP_A ":1 > " IP_C ":2", "forwarded",
		"to the function attachment of NIC c on the physical network, ready");
	expect_trace(f, "a", "out udp " IP_A ":1 > " IP_C ":2 dmac " MAC_C, "dropped", "on-wire");
	expect_trace(f, "a", "out udp " IP_A ":1 > " IP_REMOTE ":2", "forwarded",
		"by the physical network, ready");
	expect_trace(f, "a", "out arp who-has " IP_PEER " tell " IP_A, "forwarded",
		"it is on vlan 100 of physnet1 as it is");
	expect_trace(f, "a", "out arp who-has " IP_B " tell " IP_A, "answered",
		"the switch answers that it is at " MAC_B);
	expect_trace(f, "a", "in udp " IP_B ":1 > " IP_A ":2", "forwarded", to_a);
	expect_trace(f, "a", "in udp " IP_PEER ":1 > " IP_A ":2", "dropped", "on-wire");
	set_active(f, 0, "both");
	expect_trace(f, "a", "in udp " IP_PEER ":1 > " IP_A ":2", "forwarded",
		"to the synthetic attachment of NIC a, ready");
	expect_trace(f, "a", "in udp " IP_B ":1 > " IP_A ":2", "forwarded",
		"to the function attachment of NIC a on the physical network, ready; to the synthetic "
		"attachment of NIC a, ready");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, test) g_test_add("/function/" name, struct fixture, NULL, setup, test, lab_teardown)
	TEST("what it sends is its NIC's, and what is for the NIC leaves for it, tagged", test_sends);
	TEST("its frames are the NIC's whatever attachment is active", test_sends_early);
	TEST("it may send what its NIC may", test_spoofs);
	TEST("what it sends to others on the wire stays there", test_sends_to_wire);
	TEST("it is answered as by any attachment", test_answered);
	TEST("a broadcast answer is for it alone", test_dhcp);
	TEST("it has IPv6 within the switch, and a router", test_of_ipv6);
	TEST("the switch routes for it, also back to its own wire", test_gateway);
	TEST("by another's MAC it reaches who has the address", test_other_address);
	TEST("fragments of it keep together", test_fragments);
	TEST("what the wire brings for it is not brought twice", test_from_wire);
	TEST("a change of what is active takes effect at once", test_active);
	TEST("one that changes gets another's frames by its other attachment", test_both_functions);
	TEST("announcements reach everybody once", test_announced);
	TEST("a question for it on the wire is answered once", test_asked_for);
	TEST("connections that began past the switch are taken up", test_taken_up);
	TEST("connections are taken up as policy allows", test_taken_up_by_policy);
	TEST("while both are active the guest is asked for a sign of life", test_probed);
	TEST("a guest of IPv6 alone is asked by neighbour discovery", test_probed_ipv6);
	TEST("what the network's port takes open is left open", test_open);
	TEST("it is as its network's port is, and has counters of its own", test_down);
	TEST("the NIC's limit holds for it", test_limited);
	TEST("a mirror shows what it sends and gets", test_mirrored);
	TEST("a trace tells the same", test_traced);
	return lab_run();
}
