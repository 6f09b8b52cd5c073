/* What may come by the tunnel, and what not. */
#include "switch/test_pair.h"

#include <string.h>

static void test_spoofed(struct pair *p, const void *data)
{
	struct test_frame frame, good = test_udp(MAC_D, MAC_A, IP_D, 9, IP_A, 9, 0);

	pair_meet(p);
	/* d is not behind that VTEP: neither in a connection that is there, nor in a new one. */
	frame = good;
	pair_outer(&frame, MAC_PEER, MAC_W1, VTEP_3, VTEP_1, 1);
	pair_refused(p, frame, DROP_SPOOFED_TUNNEL);
	frame = test_udp(MAC_D, MAC_A, IP_D, 10, IP_A, 9, 0);
	pair_outer(&frame, MAC_PEER, MAC_W1, VTEP_3, VTEP_1, 1);
	pair_refused(p, frame, DROP_SPOOFED_TUNNEL);
	g_assert_cmpuint(flow_table_count(p->one.datapath->flows), ==, 1); /* it began nothing */
	/* Nobody may be a NIC that is here, the platform, the outside, or nobody. */
	static const char *const sources[] = {
		IP_B, "192.168.1.1", "169.254.169.254", "168.63.129.16", PEER, "192.168.1.99", "127.0.0.1"};
	for (unsigned i = 0; i < G_N_ELEMENTS(sources); i++)
		pair_refused(p, pair_from_two(test_udp(MAC_D, MAC_A, sources[i], 1, IP_A, 1, 0)),
			DROP_SPOOFED_TUNNEL);
	/* And it must be for an address of the NIC. */
	pair_refused(p, pair_from_two(test_udp(MAC_D, MAC_A, IP_D, 1, IP_B, 1, 0)), DROP_NO_FORWARDING);
	lab_put(&p->one, "wire", pair_from_two(good));
	lab_expect(&p->one, "a");
}

static void test_unknown(struct pair *p, const void *data)
{
	struct test_frame frame = test_udp(MAC_D, MAC_A, IP_D, 1, IP_A, 1, 0);

	pair_outer(&frame, MAC_W2, MAC_W1, VTEP_2, VTEP_1, 2);
	pair_refused(p, frame, DROP_UNKNOWN_VNI);
	pair_refused(p, pair_from_two(test_udp(MAC_D, MAC_E, IP_D, 1, IP_A, 1, 0)), DROP_UNKNOWN_MAC);
	frame = test_arp(MAC_D, 1, MAC_D, IP_D, IP_A);
	pair_refused(p, pair_from_two(frame), DROP_UNKNOWN_MAC); /* broadcast */
	test_mac(MAC_A, frame.bytes);
	pair_refused(p, pair_from_two(frame), DROP_ARP_UNANSWERED);
}

/* Another network, alike in all but its VNI, and in one burst. */
static void test_networks_apart(struct pair *p, const void *data)
{
	struct fixture *f = &p->one;
	json_t *other = json_deep_copy(pair_network(f)),
	       *twin = pair_nic("x", MAC_A, "s1", IP_A, json_null());
	struct test_frame frames[4];

	json_object_set_new(other, "uid", json_string("n2"));
	json_object_set_new(other, "vni", json_integer(2));
	json_array_append_new(json_object_get(f->state, "networks"), other);
	json_object_set_new(twin, "network", json_string("n2"));
	json_array_append_new(json_object_get(f->state, "nics"), twin);
	lab_apply(f);
	for (unsigned i = 0; i < 4; i++) {
		frames[i] = test_udp(MAC_D, MAC_A, IP_D, 1, IP_A, 1, i);
		pair_outer(&frames[i], MAC_W2, MAC_W1, VTEP_2, VTEP_1, 1 + i % 2);
	}
	lab_put_burst(f, "wire", frames, 4);
	for (unsigned i = 0; i < 4; i++)
		g_assert_cmpuint(lab_expect(f, i % 2 ? "x" : "a").length, ==, 42 + i);
	lab_expect_none(f, "a");
	lab_expect_none(f, "x");
	/* And back, each in its own. */
	lab_put(f, "x", test_udp(MAC_A, MAC_D, IP_A, 1, IP_D, 1, 0));
	lab_expect(f, "wire"); /* ARP */
	lab_put(f, "wire", test_arp(MAC_W2, 2, MAC_W2, VTEP_2, VTEP_1));
	g_assert_cmphex(load32(lab_expect(f, "wire").bytes + 46), ==, 2 << 8);
}

static void test_bad_outer(struct pair *p, const void *data)
{
	const struct test_frame good = pair_from_two(test_udp(MAC_D, MAC_A, IP_D, 1, IP_A, 1, 20));
	struct test_frame frame;

#define REFUSED(reason, ...)                                                                                 \
	do {                                                                                                 \
		frame = good;                                                                                \
		__VA_ARGS__;                                                                                 \
		pair_fix_outer(&frame);                                                                      \
		pair_refused(p, frame, reason);                                                              \
	} while (0)
	REFUSED(DROP_NOT_OURS, frame.bytes[5] ^= 1); /* another MAC */
	REFUSED(DROP_NOT_OURS, frame.bytes[33] ^= 1); /* another VTEP */
	REFUSED(DROP_NOT_OURS, frame.bytes[23] = 6);
	REFUSED(DROP_NOT_OURS, store16(frame.bytes + 36, 4790));
	REFUSED(DROP_MALFORMED, frame.bytes[14] = 0x44);
	REFUSED(DROP_MALFORMED, frame.bytes[14] = 0x65);
	REFUSED(DROP_MALFORMED, store16(frame.bytes + 16, 19));
	REFUSED(DROP_TRUNCATED, store16(frame.bytes + 16, (uint16_t)(good.length - 13)));
	REFUSED(DROP_TRUNCATED, store16(frame.bytes + 16, 27));
	REFUSED(DROP_MALFORMED, store16(frame.bytes + 38, (uint16_t)(good.length - 33)));
	REFUSED(DROP_MALFORMED, store16(frame.bytes + 38, 7));
	REFUSED(DROP_TRUNCATED, store16(frame.bytes + 38, 16 + 13));
	REFUSED(DROP_MALFORMED, frame.bytes[42] = 0); /* no VNI */
	REFUSED(DROP_TUNNEL_FRAGMENT, store16(frame.bytes + 20, 0x2000));
	REFUSED(DROP_TUNNEL_FRAGMENT, store16(frame.bytes + 20, 1));
	/* The inner packet must lie within the datagram, not in what pads the frame behind it. */
	REFUSED(DROP_TRUNCATED, store16(frame.bytes + 38, (uint16_t)(16 + 14 + 40)));
#undef REFUSED
	frame = good;
	frame.bytes[24] ^= 0xff;
	pair_refused(p, frame, DROP_CHECKSUM);
	lab_put(&p->one, "wire", good);
	lab_expect(&p->one, "a");
}

/* Options, padding, reserved bits and a checksum are no fault. */
static void test_odd_outer(struct pair *p, const void *data)
{
	struct test_frame frame = pair_from_two(test_udp(MAC_D, MAC_A, IP_D, 1, IP_A, 1, 20));
	uint32_t inner = frame.length - OUTER;

	frame.length += 9; /* padding */
	frame.bytes[42] = 0xff;
	frame.bytes[49] = 0xff;
	store16(frame.bytes + 40, 0x1234);
	lab_put(&p->one, "wire", frame);
	g_assert_cmpuint(lab_expect(&p->one, "a").length, ==, inner);
	memmove(frame.bytes + 38, frame.bytes + 34, frame.length - 34);
	memset(frame.bytes + 34, 1, 4); /* no operation */
	frame.bytes[14] = 0x46;
	store16(frame.bytes + 16, (uint16_t)(load16(frame.bytes + 16) + 4));
	memset(frame.bytes + 24, 0, 2);
	test_set_check(frame.bytes + 24, checksum_of(frame.bytes + 14, 24));
	frame.length += 4;
	lab_put(&p->one, "wire", frame);
	g_assert_cmpuint(lab_expect(&p->one, "a").length, ==, inner);
}

/* RFC 6040: what the underlay marks is marked inside, where the sender can be told so; else it is lost. */
static void test_congestion(struct pair *p, const void *data)
{
	struct test_frame frame, inner = test_udp(MAC_D, MAC_A, IP_D, 1, IP_A, 1, 20);

	for (uint8_t ecn = 0; ecn < 4; ecn++) {
		inner.bytes[15] = 0xa0 | ecn;
		test_fix(&inner);
		frame = pair_from_two(inner);
		frame.bytes[15] = 3;
		pair_fix_outer(&frame);
		if (ecn == 0) {
			pair_refused(p, frame, DROP_CONGESTION);
			continue;
		}
		lab_put(&p->one, "wire", frame);
		g_assert_cmphex(lab_expect(&p->one, "a").bytes[15], ==, 0xa3); /* its checksum is right */
	}
}

/* Whatever is changed, and wherever it is cut. */
static void test_anything(struct pair *p, const void *data)
{
	const struct test_frame good = pair_from_two(test_udp(MAC_D, MAC_A, IP_D, 1, IP_A, 1, 20));
	GBytes *out;

	for (unsigned i = 0; i < 30000; i++) {
		struct test_frame frame = good;
		for (int n = g_test_rand_int_range(0, 4); n; n--)
			frame.bytes[g_test_rand_int_range(12, 100)] = (uint8_t)g_test_rand_int();
		if (g_test_rand_bit())
			pair_fix_outer(&frame);
		frame.length = (uint32_t)g_test_rand_int_range(1, (int)frame.length + 1);
		lab_put(&p->one, "wire", frame);
		static const char *const ports[] = {"a", "b", "c", "wire", "out", "host"};
		for (unsigned port = 0; port < G_N_ELEMENTS(ports); port++)
			while ((out = port_fake_take(lab_port(&p->one, ports[port]))))
				g_bytes_unref(out);
	}
	lab_put(&p->one, "wire", pair_from_two(test_udp(MAC_D, MAC_A, IP_D, 2, IP_A, 2, 20)));
	lab_expect(&p->one, "a"); /* and the switch works on */
}

/* ---- the list ---- */

#define ADD(sentence, test)                                                                                  \
	g_test_add("/tunnel/" sentence, struct pair, NULL, pair_setup, test, pair_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("nobody speaks for another by the tunnel", test_spoofed);
	ADD("unknown networks and MACs are refused and counted", test_unknown);
	ADD("networks are apart, however alike", test_networks_apart);
	ADD("outer headers that are wrong are refused, each with its reason", test_bad_outer);
	ADD("outer headers that are odd but right pass", test_odd_outer);
	ADD("congestion of the underlay is told to who can be told", test_congestion);
	ADD("any bytes from the wire do no harm", test_anything);
	return lab_run();
}
