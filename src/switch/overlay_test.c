/* What crosses between two switches: NICs' packets, policy, sizes, changes. */
#include "switch/test_pair.h"
#include "switch/trace.h"

#include <string.h>

/* ---- crossing ---- */

static void test_neighbours(struct pair *p, const void *data)
{
	pair_meet(p);
	for (unsigned length = 0; length < 40; length++) {
		lab_put(&p->one, "a", test_udp(MAC_A, MAC_D, IP_A, 1000, IP_D, 53, length));
		pair_settle(p);
		struct test_frame frame = lab_expect(&p->two, "d");
		lab_assert_path(&frame, MAC_A, MAC_D, IP_A, IP_D);
		g_assert_cmpuint(frame.bytes[22], ==, 64);
		g_assert_cmpuint(frame.length, ==, 42 + length);
		lab_put(&p->two, "d", test_udp(MAC_D, MAC_A, IP_D, 53, IP_A, 1000, length));
		pair_settle(p);
		frame = lab_expect(&p->one, "a");
		lab_assert_path(&frame, MAC_D, MAC_A, IP_D, IP_A);
	}
	g_assert_cmpuint(flow_table_count(p->one.datapath->flows), ==, 2);
	g_assert_cmpuint(flow_table_count(p->two.datapath->flows), ==, 2);
}

static void test_subnets(struct pair *p, const void *data)
{
	lab_put(&p->one, "a", test_tcp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_E, 80, TCP_SYN, 0));
	pair_settle(p);
	struct test_frame frame = lab_expect(&p->two, "e");
	lab_assert_path(&frame, MAC_GATEWAY, MAC_E, IP_A, IP_E);
	g_assert_cmpuint(frame.bytes[22], ==, 63); /* one hop, whichever way */
	lab_put(&p->two, "e", test_tcp(MAC_E, MAC_GATEWAY, IP_E, 80, IP_A, 1000, TCP_SYN | TCP_ACK, 0));
	pair_settle(p);
	frame = lab_expect(&p->one, "a");
	lab_assert_path(&frame, MAC_GATEWAY, MAC_A, IP_E, IP_A);
	g_assert_cmpuint(frame.bytes[22], ==, 63);
}

static void test_outer(struct pair *p, const void *data)
{
	uint8_t expected[6], address[4];
	struct test_frame outer;
	bool ports[2] = {};

	pair_meet(p);
	for (unsigned i = 0; i < 64; i++) {
		struct test_frame inner = test_udp(MAC_A, MAC_D, IP_A, (uint16_t)(1000 + i), IP_D, 53, i);
		lab_put(&p->one, "a", inner);
		g_assert_true(pair_take(&p->one, &outer));
		test_assert_checksums(outer.bytes, outer.length);
		g_assert_cmpuint(outer.length, ==, inner.length + OUTER);
		test_mac(MAC_W2, expected);
		g_assert_cmpmem(outer.bytes, 6, expected, 6);
		test_mac(MAC_W1, expected);
		g_assert_cmpmem(outer.bytes + 6, 6, expected, 6);
		g_assert_cmphex(load16(outer.bytes + 14), ==, 0x4500);
		g_assert_cmpuint(load16(outer.bytes + 16), ==, inner.length + 36);
		g_assert_cmphex(load16(outer.bytes + 20), ==, 0x4000);
		g_assert_cmphex(load16(outer.bytes + 22), ==, 64 << 8 | 17);
		test_ip(VTEP_1, address);
		g_assert_cmpmem(outer.bytes + 26, 4, address, 4);
		test_ip(VTEP_2, address);
		g_assert_cmpmem(outer.bytes + 30, 4, address, 4);
		g_assert_cmpuint(load16(outer.bytes + 34), >=, 49152);
		ports[load16(outer.bytes + 34) & 1] = true;
		g_assert_cmpuint(load16(outer.bytes + 36), ==, 4789);
		g_assert_cmpuint(load16(outer.bytes + 38), ==, inner.length + 16);
		g_assert_cmpuint(load16(outer.bytes + 40), ==, 0); /* no UDP checksum */
		g_assert_cmphex(load32(outer.bytes + 42), ==, 0x08000000);
		g_assert_cmphex(load32(outer.bytes + 46), ==, 1 << 8);
		g_assert_cmpmem(outer.bytes + OUTER, inner.length, inner.bytes, inner.length);
	}
	g_assert_true(ports[0] && ports[1]); /* flows are spread */
}

static void test_gateway(struct pair *p, const void *data)
{
	struct test_frame frame;

	json_object_set_new(
		pair_network(&p->one), "mappings", json_pack("[o]", pair_mapping(IP_D, "172.17.0.9", MAC_D)));
	lab_apply(&p->one);
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_D, IP_A, 1, IP_D, 1, 0));
	g_assert_true(pair_take(&p->one, &frame));
	g_assert_cmphex(load16(frame.bytes + 12), ==, 0x0806);
	g_assert_cmphex(load32(frame.bytes + 28), ==, 0xac100001); /* in the VTEP's name */
	g_assert_cmphex(load32(frame.bytes + 38), ==, 0xac1000fe); /* for the gateway */
	lab_put(&p->one, "wire", test_arp(MAC_PEER, 2, MAC_PEER, "172.16.0.254", VTEP_1));
	g_assert_true(pair_take(&p->one, &frame));
	g_assert_cmphex(load32(frame.bytes + 30), ==, 0xac110009);
	/* Without a gateway there is no way. */
	json_object_del(json_object_get(p->one.state, "underlay"), "gateway");
	lab_apply(&p->one);
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_D, IP_A, 2, IP_D, 1, 0));
	g_assert_cmpuint(lab_drops(&p->one, DROP_NO_DESTINATION), ==, 1);
}

static void test_arp_answers(struct pair *p, const void *data)
{
	uint8_t mac[6];

	lab_put(&p->one, "a", test_arp(MAC_A, 1, MAC_A, IP_A, IP_D));
	struct test_frame answer = lab_expect(&p->one, "a");
	test_mac(MAC_D, mac);
	g_assert_cmpmem(answer.bytes + 22, 6, mac, 6); /* a neighbour by its own MAC */
	lab_put(&p->one, "a", test_arp(MAC_A, 1, MAC_A, IP_A, IP_E));
	answer = lab_expect(&p->one, "a");
	test_mac(MAC_GATEWAY, mac);
	g_assert_cmpmem(answer.bytes + 22, 6, mac, 6);
	lab_put(&p->one, "a", test_arp(MAC_A, 1, MAC_A, IP_A, "192.168.1.99"));
	lab_expect_none(&p->one, "a");
	/* On the wire, the switch answers for its VTEP. */
	lab_put(&p->one, "wire", test_arp(MAC_PEER, 1, MAC_PEER, "172.16.0.7", VTEP_1));
	answer = lab_expect(&p->one, "wire");
	test_mac(MAC_W1, mac);
	g_assert_cmpmem(answer.bytes + 22, 6, mac, 6);
	lab_put(&p->one, "wire", test_arp(MAC_PEER, 1, MAC_PEER, "172.16.0.7", VTEP_2));
	lab_expect_none(&p->one, "wire");
	/* But where it is the kernel's, which does. */
	json_object_set_new(json_object_get(p->one.state, "underlay"), "kernel", json_true());
	lab_apply(&p->one);
	uint64_t unanswered = lab_drops(&p->one, DROP_ARP_UNANSWERED);
	lab_put(&p->one, "wire", test_arp(MAC_PEER, 1, MAC_PEER, "172.16.0.7", VTEP_1));
	lab_expect_none(&p->one, "wire");
	g_assert_cmpuint(lab_drops(&p->one, DROP_ARP_UNANSWERED), ==, unanswered);
}

/* ---- policy ---- */

static void set_rule(struct fixture *f, const char *direction, const char *action)
{
	json_t *rules = json_pack("[{s:s, s:s, s:i, s:s, s:s, s:{s:b}, s:{s:b}}]", "name", "r", "direction",
		direction, "priority", 100, "protocol", "any", "action", action, "source", "any", 1,
		"destination", "any", 1);

	json_object_set_new(lab_group(f), "rules", rules);
	lab_apply(f);
}

static void test_receiver_decides(struct pair *p, const void *data)
{
	pair_meet(p);
	set_rule(&p->two, "inbound", "deny");
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_D, IP_A, 1, IP_D, 1, 0));
	pair_settle(p);
	lab_expect_none(&p->two, "d");
	g_assert_cmpuint(lab_drops(&p->two, DROP_DENIED_INBOUND), ==, 1);
	/* d may begin, and is answered. */
	lab_put(&p->two, "d", test_udp(MAC_D, MAC_A, IP_D, 5, IP_A, 5, 0));
	pair_settle(p);
	lab_expect(&p->one, "a");
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_D, IP_A, 5, IP_D, 5, 0));
	pair_settle(p);
	lab_expect(&p->two, "d");
}

/* A SYN begins a revoked connection anew, but only its own sender's. */
static void test_spoofed_syn(struct pair *p, const void *data)
{
	struct test_frame syn = test_tcp(MAC_D, MAC_A, IP_D, 9, IP_A, 9, TCP_SYN, 0), foreign = syn;
	struct test_frame ack = test_tcp(MAC_D, MAC_A, IP_D, 9, IP_A, 9, TCP_ACK, 0);

	lab_put(&p->one, "wire", pair_from_two(syn));
	lab_expect(&p->one, "a");
	json_object_set_new(lab_nic(&p->one, 0), "group", json_string("g"));
	set_rule(&p->one, "inbound", "deny");
	pair_refused(p, pair_from_two(ack), DROP_REVOKED);
	pair_outer(&foreign, MAC_PEER, MAC_W1, VTEP_3, VTEP_1, 1);
	pair_refused(p, foreign, DROP_SPOOFED_TUNNEL);
	g_assert_cmpuint(flow_table_count(p->one.datapath->flows), ==, 1);
	pair_refused(p, pair_from_two(ack), DROP_REVOKED);
}

static void test_sender_decides(struct pair *p, const void *data)
{
	pair_meet(p);
	set_rule(&p->two, "outbound", "deny");
	lab_put(&p->two, "d", test_udp(MAC_D, MAC_A, IP_D, 1, IP_A, 1, 0));
	lab_expect_none(&p->two, "wire");
	g_assert_cmpuint(lab_drops(&p->two, DROP_DENIED_OUTBOUND), ==, 1);
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_D, IP_A, 5, IP_D, 5, 0));
	pair_settle(p);
	lab_expect(&p->two, "d");
	lab_put(&p->two, "d", test_udp(MAC_D, MAC_A, IP_D, 5, IP_A, 5, 0));
	pair_settle(p);
	lab_expect(&p->one, "a");
}

static void test_revoked(struct pair *p, const void *data)
{
	pair_meet(p);
	set_rule(&p->two, "inbound", "deny");
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_D, IP_A, 9, IP_D, 9, 0)); /* of an old connection */
	pair_settle(p);
	lab_expect_none(&p->two, "d");
	g_assert_cmpuint(lab_drops(&p->two, DROP_REVOKED), ==, 1);
}

/* ---- sizes and fragments ---- */

static void test_too_big(struct pair *p, const void *data)
{
	pair_meet(p);
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_D, IP_A, 1, IP_D, 1, WIRE_MTU - 50 - 28)); /* just fits */
	pair_settle(p);
	lab_expect(&p->two, "d");
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_D, IP_A, 1, IP_D, 1, WIRE_MTU - 50 - 27));
	lab_expect_none(&p->one, "wire");
	struct test_frame error = lab_expect(&p->one, "a");
	lab_assert_path(&error, MAC_GATEWAY, MAC_A, "192.168.1.1", IP_A);
	g_assert_cmphex(load16(error.bytes + 34), ==, 3 << 8 | 4);
	g_assert_cmpuint(load16(error.bytes + 40), ==, WIRE_MTU - 50);
}

/* The receiver's own MTU is smaller: its switch says so, through the tunnel. */
static void test_too_big_there(struct pair *p, const void *data)
{
	pair_meet(p);
	json_object_set_new(lab_nic(&p->two, 0), "mtu", json_integer(1000));
	lab_apply(&p->two);
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_D, IP_A, 9, IP_D, 9, 1000));
	pair_settle(p);
	lab_expect_none(&p->two, "d");
	struct test_frame error = lab_expect(&p->one, "a");
	lab_assert_path(&error, MAC_D, MAC_A, IP_D, IP_A);
	g_assert_cmphex(load16(error.bytes + 34), ==, 3 << 8 | 4);
	g_assert_cmpuint(load16(error.bytes + 40), ==, 1000);
}

static void test_inner_fragments(struct pair *p, const void *data)
{
	struct test_frame first = test_udp(MAC_A, MAC_D, IP_A, 1, IP_D, 1, 24);
	struct test_frame later = test_ipv4(MAC_A, MAC_D, IP_A, IP_D, 17, 16);

	pair_meet(p);
	store16(first.bytes + 18, 77);
	store16(first.bytes + 20, 0x2000);
	store16(first.bytes + 38, 48); /* of the whole */
	test_fix(&first);
	store16(later.bytes + 18, 77);
	store16(later.bytes + 20, 4);
	memset(later.bytes + 24, 0, 2);
	test_set_check(later.bytes + 24, checksum_of(later.bytes + 14, 20));
	lab_put(&p->one, "a", first);
	lab_put(&p->one, "a", later);
	pair_settle(p);
	lab_expect(&p->two, "d");
	lab_expect(&p->two, "d");
}

/* d says that nobody listens. */
static void test_icmp_error(struct pair *p, const void *data)
{
	struct test_frame asked = test_udp(MAC_A, MAC_D, IP_A, 9, IP_D, 9, 8);
	struct test_frame error = test_icmp(MAC_D, MAC_A, IP_D, IP_A, 3, 3, 0, 36);

	pair_meet(p);
	memcpy(error.bytes + 42, asked.bytes + 14, 36);
	store32(error.bytes + 38, 0);
	test_fix(&error);
	lab_put(&p->two, "d", error);
	pair_settle(p);
	struct test_frame got = lab_expect(&p->one, "a");
	lab_assert_path(&got, MAC_D, MAC_A, IP_D, IP_A);
	g_assert_cmphex(load16(got.bytes + 34), ==, 3 << 8 | 3);
	/* From the wrong VTEP it goes nowhere. */
	pair_outer(&error, MAC_PEER, MAC_W1, VTEP_3, VTEP_1, 1);
	pair_refused(p, error, DROP_SPOOFED_TUNNEL);
}

/* ---- changes ---- */

static void test_moved(struct pair *p, const void *data)
{
	struct test_frame frame;

	pair_meet(p);
	json_object_set_new(json_array_get(json_object_get(pair_network(&p->one), "mappings"), 0), "vtep",
		json_string(VTEP_3));
	lab_apply(&p->one);
	/* The old host is no longer believed, the new one is, and the connection goes on there. */
	pair_refused(p, pair_from_two(test_udp(MAC_D, MAC_A, IP_D, 9, IP_A, 9, 0)), DROP_SPOOFED_TUNNEL);
	frame = test_udp(MAC_D, MAC_A, IP_D, 9, IP_A, 9, 0);
	pair_outer(&frame, MAC_PEER, MAC_W1, VTEP_3, VTEP_1, 1);
	lab_put(&p->one, "wire", frame);
	lab_expect(&p->one, "a");
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_D, IP_A, 9, IP_D, 9, 0));
	g_assert_true(pair_take(&p->one, &frame)); /* ARP */
	lab_put(&p->one, "wire", test_arp(MAC_PEER, 2, MAC_PEER, VTEP_3, VTEP_1));
	g_assert_true(pair_take(&p->one, &frame));
	g_assert_cmphex(load32(frame.bytes + 30), ==, 0xac100003);
	g_assert_cmpuint(flow_table_count(p->one.datapath->flows), ==, 1);
}

static void test_no_underlay(struct pair *p, const void *data)
{
	pair_meet(p);
	json_object_del(p->one.state, "underlay");
	lab_apply(&p->one);
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_D, IP_A, 9, IP_D, 9, 0));
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_D, IP_A, 10, IP_D, 9, 0));
	g_assert_cmpuint(lab_drops(&p->one, DROP_REVOKED), ==, 1);
	g_assert_cmpuint(lab_drops(&p->one, DROP_NO_UNDERLAY), ==, 1);
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_B, IP_A, 9, IP_B, 9, 0));
	lab_expect(&p->one, "b");
}

/* What each layer says is of what the layer does. */
static void test_traced(struct pair *p, const void *data)
{
	json_auto_t *params =
		json_pack("{s:s, s:s}", "nic", "a", "packet", "out udp " IP_A ":9 > " IP_D ":9");
	json_auto_t *result = trace_packet(p->one.datapath, params, NULL);
	json_t *step;
	size_t i;

	json_array_foreach(json_object_get(result, "steps"), i, step)
	{
		const char *stage = json_string_value(json_object_get(step, "stage"));
		const char *text = json_string_value(json_object_get(step, "text"));
		if (g_str_equal(stage, "vxlan"))
			g_assert_cmpstr(text, ==, "to the switch " VTEP_2);
		else if (g_str_equal(stage, "vlan"))
			g_assert_cmpstr(text, ==, "nothing to object");
	}
	g_assert_cmpstr(json_string_value(json_object_get(result, "verdict")), ==, "forwarded");
}

static void test_outside_is_unaffected(struct pair *p, const void *data)
{
	lab_meet_peer(&p->one);
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, PEER, 53, 5));
	struct test_frame frame = lab_expect(&p->one, "out");
	lab_assert_path(&frame, MAC_OUT, MAC_PEER, PUBLIC_A, PEER);
	lab_expect_none(&p->one, "wire");
}

/* ---- the list ---- */

#define ADD(sentence, test)                                                                                  \
	g_test_add("/overlay/" sentence, struct pair, NULL, pair_setup, test, pair_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("neighbours on two switches see each other's MAC", test_neighbours);
	ADD("packets between subnets on two switches make one hop", test_subnets);
	ADD("the outer headers are right for every packet", test_outer);
	ADD("a VTEP that is not on the link is reached by the gateway", test_gateway);
	ADD("ARP is answered for NICs of other switches, and for the VTEP on the wire", test_arp_answers);
	ADD("the receiver's switch asks the receiver's groups", test_receiver_decides);
	ADD("the sender's switch asks the sender's groups", test_sender_decides);
	ADD("a connection that crosses can be revoked", test_revoked);
	ADD("a revoked connection is begun anew by its own VTEP only", test_spoofed_syn);
	ADD("what the underlay cannot carry is told its MTU", test_too_big);
	ADD("what the receiver cannot take is told, through the tunnel", test_too_big_there);
	ADD("fragments of inner packets cross", test_inner_fragments);
	ADD("ICMP errors cross with their connection, by the right VTEP only", test_icmp_error);
	ADD("a NIC that moves takes its connections along", test_moved);
	ADD("without an underlay what crosses is refused and said", test_no_underlay);
	ADD("trace tells of each layer what it did", test_traced);
	ADD("translation to the outside is as before", test_outside_is_unaffected);
	return lab_run();
}
