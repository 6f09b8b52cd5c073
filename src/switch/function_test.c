/* Functions past the host: a NIC's function is on the physical network itself. See test_function.h for the switch.
 */
#include "switch/advertise.h"
#include "switch/mirror_session.h"
#include "switch/report.h"
#include "switch/segmentation.h"
#include "switch/test_function.h"
#include "switch/trace.h"

#include <string.h>

#define MAC_OTHER "02:00:00:00:00:55" /* of somebody on the wire */
#define MAC_PORT  "02:00:00:00:00:66" /* of the port of the physical network */

/* ---- from the guest ---- */

static void test_sends(struct fixture *f, const void *data)
{
	struct test_frame there = test_udp(MAC_A, MAC_B, IP_A, 1000, IP_B, 53, 30);
	struct test_frame back = test_udp(MAC_B, MAC_A, IP_B, 53, IP_A, 1000, 30);

	for (unsigned i = 0; i < FUNCTION_PACKETS; i++) {
		vlan_from_wire(f, 100, there);
		vlan_assert_same(lab_expect(f, "b"), there);
		lab_put(f, "b", back);
		vlan_assert_same(vlan_on_wire(f, 100), back);
		function_expect_silence(f);
	}
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
	g_assert_cmpint(function_count(f, 0, 0, "rx_packets"), ==, FUNCTION_PACKETS);
	g_assert_cmpint(function_count(f, 0, 0, "rx_bytes"), ==, FUNCTION_PACKETS * there.length);
	g_assert_cmpint(function_count(f, 0, 0, "tx_packets"), ==, FUNCTION_PACKETS);
	g_assert_cmpint(function_count(f, 0, 1, "tx_packets"), ==, 0);
}

/* While it is active, its frames are the NIC's beside those of the other attachment; else they cannot be its. */
static void test_sends_while_active(struct fixture *f, const void *data)
{
	struct test_frame there = test_udp(MAC_A, MAC_B, IP_A, 1000, IP_B, 53, 30);
	static const char *const active[] = {"both", "function"};

	for (unsigned i = 0; i < G_N_ELEMENTS(active); i++) {
		function_set_active(f, 0, active[i]);
		vlan_from_wire(f, 100, there);
		vlan_assert_same(lab_expect(f, "b"), there);
		lab_put(f, "/a", there);
		vlan_assert_same(lab_expect(f, "b"), there);
		function_expect_silence(f);
	}
	function_set_active(f, 0, "synthetic");
	json_int_t heard = function_count(f, 0, 0, "rx_packets");
	function_refuse(f, there, DROP_SPOOFED_PHYSICAL);
	function_refuse(f, test_arp(MAC_A, 1, MAC_A, IP_A, IP_A), DROP_SPOOFED_PHYSICAL);
	function_refuse(f, test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_C, 53, 30), DROP_SPOOFED_PHYSICAL);
	g_assert_cmpint(function_count(f, 0, 0, "rx_packets"), ==, heard);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
}

static void test_spoofs(struct fixture *f, const void *data)
{
	function_refuse(f, test_udp(MAC_A, MAC_B, IP_PEER, 1, IP_B, 2, 0), DROP_SPOOFED_IP);
	function_refuse(f, test_udp(MAC_A, MAC_GATEWAY, IP_C, 1, IP_B, 2, 0), DROP_SPOOFED_IP);
	function_refuse(f, test_arp(MAC_A, 1, MAC_A, IP_B, IP_PEER), DROP_SPOOFED_ARP);
	function_refuse(f, test_udp(MAC_A, MAC_B, IP_A, 67, IP_B, 68, 300), DROP_DHCP_SERVER);
	/* Others' MACs are as ever, and a's in another VLAN is nobody's. */
	function_refuse(f, test_udp(MAC_B, MAC_A, IP_B, 1, IP_A, 2, 0), DROP_SPOOFED_PHYSICAL);
	function_refuse(f, test_udp(MAC_GATEWAY, MAC_B, IP_A, 1, IP_B, 2, 0), DROP_SPOOFED_PHYSICAL);
	vlan_refused(f, vlan_tagged(test_udp(MAC_A, MAC_V, IP_A, 1, IP_V, 2, 0), 200), DROP_SPOOFED_PHYSICAL);
	/* None of them is taken for its frame. */
	g_assert_cmpint(function_count(f, 0, 0, "rx_packets"), ==, FUNCTION_PACKETS);
	g_assert_cmpint(lab_drops(f, DROP_DHCP_SERVER), ==, FUNCTION_PACKETS);
}

/* What a switch that floods, or a promiscuous port, shows of it. */
static void test_sends_to_wire(struct fixture *f, const void *data)
{
	function_put_on_wire(f, 2, "/c");
	lab_apply(f);
	function_refuse(f, test_udp(MAC_A, MAC_PEER, IP_A, 1000, IP_PEER, 53, 3), DROP_ON_WIRE);
	function_refuse(f, test_tcp(MAC_A, MAC_PEER, IP_A, 1, IP_REMOTE, 2, TCP_SYN, 0), DROP_ON_WIRE);
	function_refuse(f, vlan_to_mac(test_arp(MAC_A, 2, MAC_A, IP_A, IP_PEER), MAC_PEER), DROP_ON_WIRE);
	function_refuse(f, test_arp(MAC_A, 1, MAC_A, IP_A, IP_PEER), DROP_ON_WIRE);
	function_refuse(f, test_arp(MAC_A, 1, MAC_A, "0.0.0.0", IP_A), DROP_ON_WIRE);
	function_refuse(
		f, test_udp(MAC_A, MAC_C, IP_A, 1000, IP_C, 53, 3), DROP_ON_WIRE); /* its function has it */
	function_refuse(f, test_udp(MAC_A, "01:00:5e:00:00:01", IP_A, 1, "224.0.0.1", 2, 0), DROP_MULTICAST);
	/* A neighbour's MAC, but an address that is on the wire: it does not go back there. */
	function_refuse(f, test_udp(MAC_A, MAC_B, IP_A, 1, IP_PEER, 2, 0), DROP_ON_WIRE);
	function_refuse(f, test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_PEER, 2, 0), DROP_ON_WIRE);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 0);
}

/* A frame in its name does not let in who is on the wire. */
static void test_forged(struct fixture *f, const void *data)
{
	struct test_frame in = test_udp(MAC_PEER, MAC_A, IP_PEER, 53, IP_A, 1000, 3);

	function_let_in(f, 0);
	function_set_active(f, 0, "both");
	function_refuse(f, in, DROP_DENIED_INBOUND);
	function_refuse(f, test_udp(MAC_A, MAC_B, IP_A, 1000, IP_PEER, 53, 3), DROP_ON_WIRE);
	function_refuse(f, test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_PEER, 53, 3), DROP_ON_WIRE);
	function_refuse(f, in, DROP_DENIED_INBOUND);
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
	lab_put(f, "host", test_arp(MAC_PEER, 2, MAC_PEER, METADATA, "100.64.0.4"));
	lab_expect(f, "host");
	/* The platform is known by the gateway's MAC, whoever of the two begins. */
	lab_put(f, "host",
		test_tcp(MAC_PEER, MAC_HOST, METADATA, 80, "100.64.0.4", 1000, TCP_SYN | TCP_ACK, 0));
	frame = vlan_on_wire(f, 100);
	lab_assert_path(&frame, MAC_GATEWAY, MAC_A, METADATA, IP_A);
	lab_put(f, "host", test_tcp(MAC_PEER, MAC_HOST, "168.63.129.16", 9, "100.64.0.4", 22, TCP_SYN, 0));
	frame = vlan_on_wire(f, 100);
	lab_assert_path(&frame, MAC_GATEWAY, MAC_A, "168.63.129.16", IP_A);
	/* An error is an answer, too. */
	struct test_frame dying = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 2, 0);
	dying.bytes[22] = 1;
	test_fix(&dying);
	vlan_from_wire(f, 100, dying);
	frame = vlan_on_wire(f, 100);
	lab_assert_path(&frame, MAC_GATEWAY, MAC_A, "192.168.1.1", IP_A);
	g_assert_cmpuint(frame.bytes[34], ==, 11);
	function_expect_silence(f);
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
	function_expect_silence(f);
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
	function_expect_silence(f);
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
	function_refuse(f, vlan_to_mac(answer, MAC_OTHER), DROP_UNKNOWN_MAC);
	uint64_t drops = datapath_counters(f->datapath).drops;
	vlan_from_wire(f, 100, vlan_to_mac(answer, MAC_PORT));
	g_assert_cmpuint(datapath_counters(f->datapath).drops, ==, drops);
	frame = vlan_on_wire(f, 100);
	lab_assert_path(&frame, MAC_A, MAC_PEER, IP_A, IP_REMOTE);
	g_assert_cmpuint(frame.bytes[22], ==, 63);
	for (unsigned i = 0; i < FUNCTION_PACKETS; i++) {
		vlan_from_wire(f, 100, test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_REMOTE, 53, 3));
		frame = vlan_on_wire(f, 100);
		lab_assert_path(&frame, MAC_A, MAC_PEER, IP_A, IP_REMOTE);
	}
	/* To another function there, and outside. */
	function_put_on_wire(f, 2, "/c");
	lab_apply(f);
	for (unsigned i = 0; i < FUNCTION_PACKETS; i++) {
		vlan_from_wire(f, 100, test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_C, 53, 3));
		frame = vlan_on_wire(f, 100);
		lab_assert_path(&frame, MAC_GATEWAY, MAC_C, IP_A, IP_C);
	}
	vlan_from_wire(f, 100, test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, PEER, 53, 3));
	lab_expect(f, "out");
	function_expect_silence(f);
}

/* A frame for a neighbour's MAC, but another's address: the wire has brought it to the neighbour alone. */
static void test_other_address(struct fixture *f, const void *data)
{
	function_put_on_wire(f, 2, "/c");
	lab_apply(f);
	for (unsigned i = 0; i < FUNCTION_PACKETS; i++) {
		vlan_from_wire(f, 100, test_udp(MAC_A, MAC_B, IP_A, 1000, IP_C, 53, 3));
		struct test_frame frame = vlan_on_wire(f, 100);
		lab_assert_path(&frame, MAC_GATEWAY, MAC_C, IP_A, IP_C);
	}
	function_expect_silence(f);
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
	function_refuse(f, frame, DROP_ON_WIRE);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 0);
	function_refuse(f, vlan_to_mac(test_arp(MAC_PEER, 2, MAC_PEER, IP_PEER, IP_A), MAC_A), DROP_ON_WIRE);
	/* While it comes and goes, it is for the other attachment; and for that alone. */
	static const char *const active[] = {"both", "synthetic", "both"};
	for (unsigned j = 0; j < G_N_ELEMENTS(active); j++) {
		function_set_active(f, 0, active[j]);
		for (unsigned i = 0; i < FUNCTION_PACKETS; i++) {
			vlan_from_wire(f, 100, frame);
			vlan_assert_same(lab_expect(f, "/a"), frame);
			function_expect_silence(f);
		}
	}
	function_set_active(f, 0, "function");
	function_refuse(f, frame, DROP_ON_WIRE);
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
		function_set_active(f, 0, active[j].word);
		for (unsigned i = 0; i < FUNCTION_PACKETS; i++) {
			lab_put(f, "b", frame);
			if (active[j].function)
				vlan_assert_same(vlan_on_wire(f, 100), frame);
			if (active[j].synthetic)
				vlan_assert_same(lab_expect(f, "/a"), frame);
			function_expect_silence(f);
		}
	}
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
}

/* One function to another's NIC while that one is changing. */
static void test_both_functions(struct fixture *f, const void *data)
{
	struct test_frame frame = test_udp(MAC_A, MAC_C, IP_A, 1000, IP_C, 53, 3);

	function_put_on_wire(f, 2, "/c");
	function_set_active(f, 2, "both");
	for (unsigned i = 0; i < FUNCTION_PACKETS; i++) {
		vlan_from_wire(f, 100, frame);
		struct test_frame got = lab_expect(f, "/c"); /* the wire has it for the function */
		lab_assert_path(&got, MAC_GATEWAY, MAC_C, IP_A, IP_C);
		function_expect_silence(f);
	}
}

/* What is delivered beside the wire says nothing of where the next packet of the burst goes. */
static void test_both_in_one_burst(struct fixture *f, const void *data)
{
	struct test_frame beside = test_udp(MAC_PEER, MAC_A, IP_PEER, 53, IP_A, 1000, 3);
	struct test_frame routed = test_udp(MAC_C, MAC_GATEWAY, IP_C, 53, IP_A, 1000, 3);
	const struct test_frame burst[] = {vlan_tagged(beside, 100), vlan_tagged(routed, 100)};

	function_put_on_wire(f, 2, "/c");
	function_set_active(f, 0, "both");
	for (unsigned i = 0; i < FUNCTION_PACKETS; i++) {
		lab_put_burst(f, "phys", burst, G_N_ELEMENTS(burst));
		vlan_assert_same(lab_expect(f, "/a"), beside);
		struct test_frame here = lab_expect(f, "/a"), there = vlan_on_wire(f, 100);
		lab_assert_path(&here, MAC_GATEWAY, MAC_A, IP_C, IP_A);
		vlan_assert_same(there, here);
		function_expect_silence(f);
	}
}

static void test_announced(struct fixture *f, const void *data)
{
	struct test_frame moved = test_arp(MAC_PEER, 1, MAC_PEER, IP_PEER, IP_PEER);
	struct test_frame own = test_arp(MAC_A, 1, MAC_A, IP_A, IP_A);
	static const char *const active[] = {"function", "both", "synthetic"};

	for (unsigned i = 0; i < G_N_ELEMENTS(active); i++) {
		function_set_active(f, 0, active[i]);
		/* The wire's: functions have heard it there. */
		vlan_from_wire(f, 100, moved);
		vlan_assert_same(lab_expect(f, "b"), moved);
		vlan_assert_same(lab_expect(f, "c"), moved);
		if (i > 0)
			vlan_assert_same(lab_expect(f, "/a"), moved);
		function_expect_silence(f);
		/* Its own by the function: told once to those that are not on the wire. */
		if (g_str_equal(active[i], "synthetic"))
			break;
		vlan_from_wire(f, 100, own);
		vlan_assert_same(lab_expect(f, "b"), own);
		vlan_assert_same(lab_expect(f, "c"), own);
		function_expect_silence(f);
	}
	function_expect_silence(f);
	/* A neighbour's goes to the wire once, which covers all functions. */
	struct test_frame question = test_arp(MAC_B, 1, MAC_B, IP_B, IP_PEER);
	lab_put(f, "b", question);
	vlan_assert_same(vlan_on_wire(f, 100), question);
	function_expect_silence(f);
}

static void test_announced_often(struct fixture *f, const void *data)
{
	struct test_frame own = test_arp(MAC_A, 1, MAC_A, IP_A, IP_A);

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 10; i++) {
			vlan_from_wire(f, 100, own);
			vlan_assert_same(lab_expect(f, "b"), own);
			vlan_assert_same(lab_expect(f, "c"), own);
		}
		function_refuse(f, own, DROP_RATE);
		lab_pass(f, SECOND);
	}
}

/* Who asks on the wire for a NIC is answered once: by the guest where it hears the question, else by the switch. */
static void test_asked_for(struct fixture *f, const void *data)
{
	struct test_frame question = test_arp(MAC_PEER, 1, MAC_PEER, IP_PEER, IP_A);

	function_refuse(f, question, DROP_ON_WIRE);
	/* So of another function; and of what is behind the switch. */
	function_put_on_wire(f, 2, "/c");
	lab_apply(f);
	function_refuse(f, test_arp(MAC_C, 1, MAC_C, IP_C, IP_A), DROP_ON_WIRE);
	vlan_from_wire(f, 100, test_arp(MAC_C, 1, MAC_C, IP_C, IP_B));
	vlan_assert_arp(vlan_on_wire(f, 100), 2, MAC_B, IP_B, IP_C);
	function_set_active(f, 0, "both");
	vlan_from_wire(f, 100, test_arp(MAC_C, 1, MAC_C, IP_C, IP_A));
	vlan_assert_arp(vlan_on_wire(f, 100), 2, MAC_A, IP_A, IP_C);
	vlan_from_wire(f, 100, question);
	struct test_frame answer = vlan_on_wire(f, 100);
	vlan_assert_arp(answer, 2, MAC_A, IP_A, IP_PEER);
	function_expect_silence(f);
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
	g_assert_cmpint(function_count(f, 0, 0, "drops"), ==, 2);
	json_auto_t *edges = report_edges(f->datapath);
	g_assert_cmpint(json_integer_value(json_object_get(json_array_get(edges, 2), "drops")), ==, 2);
}

static void test_limited(struct fixture *f, const void *data)
{
	struct test_frame frame = test_udp(MAC_B, MAC_A, IP_B, 53, IP_A, 1000, 3);

	json_object_set_new(lab_nic(f, 0), "limits",
		json_pack("{s:{s:i, s:i}}", "receive", "packets_per_s", 10, "burst_ms", 100));
	lab_apply(f);
	for (unsigned i = 0; i < FUNCTION_PACKETS; i++)
		lab_put(f, "b", frame);
	g_assert_cmpuint(lab_drops(f, DROP_RATE), >, 0);
	g_assert_cmpuint(lab_drops(f, DROP_RATE), <, FUNCTION_PACKETS);
}

/* What it sends here is policed; it may be sending by its other attachment, too. */
static void test_limited_in_sending(struct fixture *f, const void *data)
{
	struct test_frame frame = test_udp(MAC_A, MAC_B, IP_A, 1000, IP_B, 53, 3);

	json_object_set_new(lab_nic(f, 0), "limits",
		json_pack("{s:{s:i, s:i}}", "send", "packets_per_s", 10, "burst_ms", 500));
	lab_apply(f);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 5; i++) {
			vlan_from_wire(f, 100, frame);
			vlan_assert_same(lab_expect(f, "b"), frame);
		}
		function_refuse(f, frame, DROP_RATE);
		function_refuse(f, test_arp(MAC_A, 1, MAC_A, IP_A, IP_B), DROP_RATE);
		function_refuse(f, test_udp(MAC_A, MAC_PEER, IP_A, 1, IP_PEER, 2, 3),
			DROP_ON_WIRE); /* is not for here */
		lab_pass(f, SECOND);
	}
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

	function_put_on_wire(f, 2, "/c");
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
	function_set_active(f, 0, "both");
	expect_trace(f, "a", "in udp " IP_PEER ":1 > " IP_A ":2", "forwarded",
		"to the synthetic attachment of NIC a, ready");
	expect_trace(f, "a", "in udp " IP_B ":1 > " IP_A ":2", "forwarded",
		"to the function attachment of NIC a on the physical network, ready; to the synthetic "
		"attachment of NIC a, ready");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, test)                                                                                     \
	g_test_add("/function/" name, struct fixture, NULL, function_setup, test, lab_teardown)
	TEST("what it sends is its NIC's, and what is for the NIC leaves for it, tagged", test_sends);
	TEST("its frames are the NIC's while it is active", test_sends_while_active);
	TEST("it may send what its NIC may", test_spoofs);
	TEST("what it sends to others on the wire stays there", test_sends_to_wire);
	TEST("a frame in its name opens nothing to the wire", test_forged);
	TEST("it is answered as by any attachment", test_answered);
	TEST("a broadcast answer is for it alone", test_dhcp);
	TEST("it has IPv6 within the switch, and a router", test_of_ipv6);
	TEST("the switch routes for it, also back to its own wire", test_gateway);
	TEST("by another's MAC it reaches who has the address", test_other_address);
	TEST("fragments of it keep together", test_fragments);
	TEST("what the wire brings for it is not brought twice", test_from_wire);
	TEST("a change of what is active takes effect at once", test_active);
	TEST("one that changes gets another's frames by its other attachment", test_both_functions);
	TEST("one that changes gets the rest of a burst as if alone", test_both_in_one_burst);
	TEST("announcements reach everybody once", test_announced);
	TEST("so many announcements are told in a second", test_announced_often);
	TEST("a question for it on the wire is answered once", test_asked_for);
	TEST("what the network's port takes open is left open", test_open);
	TEST("it is as its network's port is, and has counters of its own", test_down);
	TEST("the NIC's limit holds for it", test_limited);
	TEST("the NIC's limit holds for what it sends here", test_limited_in_sending);
	TEST("a mirror shows what it sends and gets", test_mirrored);
	TEST("a trace tells the same", test_traced);
	return lab_run();
}
