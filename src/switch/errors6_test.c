/* The whole pipeline on IPv6 packets that cannot go on, and on what others say of them; here and over the tunnel. */
#include "switch/test_pair.h"

#include <string.h>

#define IP6_D   "fd00:0:0:1::d"
#define IP6_E   "fd00:0:0:2::e"
#define QUOTED  1232 /* of a packet, at most: an error is of 1280 bytes */
#define TOO_BIG 2

static void setup(struct fixture *f, const void *data)
{
	lab_setup(f, data);
	lab_setup_ipv6(f);
}

/* An error comes out of the port: from, to, type and code, about that packet. Returns what it says of an MTU. */
static uint32_t assert_error(struct fixture *f, const char *port, const char *src, const char *dst,
	uint16_t type_code, const struct test_frame *about)
{
	struct test_frame error = lab_expect(f, port);
	uint32_t quoted = MIN(about->length - 14, (uint32_t)QUOTED);
	uint8_t ip[16];

	test_ip6(src, ip);
	g_assert_cmpmem(error.bytes + 22, 16, ip, 16);
	test_ip6(dst, ip);
	g_assert_cmpmem(error.bytes + 38, 16, ip, 16);
	g_assert_cmpuint(error.bytes[20], ==, 58);
	g_assert_cmphex(load16(error.bytes + 54), ==, type_code);
	g_assert_cmpuint(error.length, ==, 54 + 8 + quoted);
	g_assert_cmpmem(error.bytes + 62, quoted, about->bytes + 14, quoted);
	return load32(error.bytes + 58);
}

static void test_too_big(struct fixture *f, const void *data)
{
	json_object_set_new(lab_nic(f, 2), "mtu", json_integer(1300));
	lab_apply(f);
	lab_expect(f, "c"); /* it is told of its MTU */
	lab_put(f, "a", test_udp6(MAC_A, MAC_GATEWAY, IP6_A, 1, IP6_C, 1, 1252)); /* just fits */
	lab_expect(f, "c");
	struct test_frame big = test_udp6(MAC_A, MAC_GATEWAY, IP6_A, 1, IP6_C, 1, 1253);
	lab_put(f, "a", big);
	lab_expect_none(f, "c");
	g_assert_cmpuint(assert_error(f, "a", GATEWAY6_1, IP6_A, TOO_BIG << 8, &big), ==, 1300);
	g_assert_cmpuint(lab_drops(f, DROP_TOO_BIG), ==, 1);
	/* An echo's answer as well: only its sender can make it smaller. */
	lab_put(f, "c", test_icmp6(MAC_C, MAC_GATEWAY, IP6_C, IP6_A, 128, 0, 0));
	lab_expect(f, "a");
	big = test_icmp6(MAC_A, MAC_GATEWAY, IP6_A, IP6_C, 129, 0, 1300);
	lab_put(f, "a", big);
	assert_error(f, "a", GATEWAY6_1, IP6_A, TOO_BIG << 8, &big);
}

static void test_refusals(struct fixture *f, const void *data)
{
	struct test_frame frame = test_udp6(MAC_A, MAC_GATEWAY, IP6_A, 1, IP6_C, 1, 100);

	frame.bytes[21] = 1;
	lab_put(f, "a", frame);
	assert_error(f, "a", GATEWAY6_1, IP6_A, 3 << 8, &frame);
	frame = test_udp6(MAC_A, MAC_GATEWAY, IP6_A, 1, "fd00:0:0:1::99", 1, 100);
	lab_put(f, "a", frame);
	assert_error(f, "a", GATEWAY6_1, IP6_A, 1 << 8 | 3, &frame);
	frame = test_udp6(MAC_A, MAC_GATEWAY, IP6_A, 1, "2001:db8::1", 1, 100);
	lab_put(f, "a", frame);
	assert_error(f, "a", GATEWAY6_1, IP6_A, 1 << 8, &frame);
	/* Whoever speaks in another's name is told nothing. */
	lab_put(f, "c", test_udp6(MAC_C, MAC_GATEWAY, "fd00:0:0:2::99", 1, IP6_A, 1, 0));
	lab_expect_none(f, "c");
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_IP), ==, 1);
}

static void test_rate(struct fixture *f, const void *data)
{
	struct test_frame frame = test_udp6(MAC_A, MAC_GATEWAY, IP6_A, 1, IP6_C, 1, 0);

	frame.bytes[21] = 1;
	for (unsigned i = 0; i < 1500; i++)
		lab_put(f, "a", frame);
	g_assert_cmpuint(lab_drops(f, DROP_ERROR_RATE), ==, 500);
}

/* The error of a NIC about what came to it. */
static struct test_frame complaint(
	const char *smac, const char *src, const char *dst, const struct test_frame *about)
{
	struct test_frame error = test_icmp6(smac, MAC_GATEWAY, src, dst, 1, 4, 100);

	memcpy(error.bytes + 62, about->bytes + 14, 100);
	test_fix6(&error);
	return error;
}

static void test_forwarded(struct fixture *f, const void *data)
{
	lab_put(f, "a", test_udp6(MAC_A, MAC_GATEWAY, IP6_A, 1000, IP6_C, 53, 100));
	struct test_frame arrived = lab_expect(f, "c");
	struct test_frame error = complaint(MAC_C, IP6_C, IP6_A, &arrived);
	lab_put(f, "c", error);
	struct test_frame got = lab_expect(f, "a");
	lab_assert_path6(&got, MAC_GATEWAY, MAC_A, IP6_C, IP6_A);
	g_assert_cmpuint(got.bytes[21], ==, 63); /* c is in another subnet */
	g_assert_cmpmem(got.bytes + 54, got.length - 54, error.bytes + 54, error.length - 54);
	/* Not with a broken checksum, about no connection, in another's name, to another. */
	struct test_frame bad = error;
	bad.bytes[58] ^= 1;
	lab_put(f, "c", bad);
	bad = error;
	bad.bytes[62 + 41]++;
	test_fix6(&bad);
	lab_put(f, "c", bad);
	lab_put(f, "c", complaint(MAC_C, IP6_C, IP6_B, &arrived));
	g_assert_cmpuint(lab_drops(f, DROP_ICMP_NO_FLOW), ==, 3);
	lab_put(f, "c", complaint(MAC_C, IP6_B, IP6_A, &arrived));
	lab_put(f, "c", complaint(MAC_C, "fe80::c", IP6_A, &arrived));
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_IP), ==, 2);
	lab_expect_none(f, "a");
}

/* ---- over the tunnel ---- */

static void add_ipv6(struct fixture *f, size_t n, const char *const nics[][2])
{
	json_t *network = pair_network(f), *subnets = json_object_get(network, "subnets");

	json_array_append_new(json_object_get(network, "prefixes"), json_string("fd00::/48"));
	json_object_update_new(json_array_get(subnets, 0),
		json_pack("{s:s, s:s}", "prefix6", "fd00:0:0:1::/64", "gateway6", GATEWAY6_1));
	json_object_update_new(json_array_get(subnets, 1),
		json_pack("{s:s, s:s}", "prefix6", "fd00:0:0:2::/64", "gateway6", GATEWAY6_2));
	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			json_object_get(lab_nic(f, i), "addresses"), json_pack("{s:s}", "ip", nics[i][1]));
	lab_apply(f);
	for (size_t i = 0; i < n; i++)
		lab_expect(f, nics[i][0]);
}

static void setup_pair(struct pair *p, const void *data)
{
	static const char *const one[][2] = {{"a", IP6_A}, {"b", IP6_B}, {"c", IP6_C}};
	static const char *const two[][2] = {{"d", IP6_D}, {"e", IP6_E}};

	pair_setup(p, data);
	json_t *mappings = json_object_get(pair_network(&p->one), "mappings");
	json_array_append_new(mappings, pair_mapping(IP6_D, VTEP_2, MAC_D));
	json_array_append_new(mappings, pair_mapping(IP6_E, VTEP_2, MAC_E));
	mappings = json_object_get(pair_network(&p->two), "mappings");
	json_array_append_new(mappings, pair_mapping(IP6_A, VTEP_1, MAC_A));
	json_array_append_new(mappings, pair_mapping(IP6_C, VTEP_1, MAC_C));
	add_ipv6(&p->one, 3, one);
	add_ipv6(&p->two, 2, two);
	pair_meet(p);
}

static void test_tunnel(struct pair *p, const void *data)
{
	lab_put(&p->one, "a", test_udp6(MAC_A, MAC_D, IP6_A, 7, IP6_D, 8, 30));
	pair_settle(p);
	struct test_frame got = lab_expect(&p->two, "d");
	lab_assert_path6(&got, MAC_A, MAC_D, IP6_A, IP6_D);
	g_assert_cmpuint(got.bytes[21], ==, 64);
	lab_put(&p->two, "d", test_udp6(MAC_D, MAC_A, IP6_D, 8, IP6_A, 7, 30));
	pair_settle(p);
	got = lab_expect(&p->one, "a");
	lab_assert_path6(&got, MAC_D, MAC_A, IP6_D, IP6_A);
	/* Between subnets there is one router, the sender's switch. */
	lab_put(&p->one, "a", test_udp6(MAC_A, MAC_GATEWAY, IP6_A, 7, IP6_E, 8, 30));
	pair_settle(p);
	got = lab_expect(&p->two, "e");
	lab_assert_path6(&got, MAC_GATEWAY, MAC_E, IP6_A, IP6_E);
	g_assert_cmpuint(got.bytes[21], ==, 63);
	/* Its errors come back, as its answers do. */
	lab_put(&p->two, "e", complaint(MAC_E, IP6_E, IP6_A, &got));
	pair_settle(p);
	got = lab_expect(&p->one, "a");
	lab_assert_path6(&got, MAC_GATEWAY, MAC_A, IP6_E, IP6_A);
	g_assert_cmpuint(got.bytes[54], ==, 1);
}

static void test_tunnel_solicitation(struct pair *p, const void *data)
{
	static const struct {
		const char *target, *mac;
	} cases[] = {{IP6_D, MAC_D}, {IP6_E, MAC_GATEWAY}};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		lab_put(&p->one, "a",
			test_nd(MAC_A, "33:33:ff:00:00:0d", IP6_A, "ff02::1:ff00:d", 135, cases[i].target, 1,
				MAC_A));
		struct test_frame got = lab_expect(&p->one, "a");
		lab_assert_path6(&got, cases[i].mac, MAC_A, cases[i].target, IP6_A);
	}
	lab_expect_none(&p->one, "wire"); /* each switch answers its own NICs */
	struct test_frame frame = test_nd(MAC_D, MAC_A, IP6_D, IP6_A, 135, IP6_A, 1, MAC_D);
	pair_refused(p, pair_from_two(frame), DROP_ND_UNANSWERED);
	frame = test_nd(MAC_D, MAC_A, IP6_D, IP6_A, 134, NULL, 1, MAC_D);
	pair_refused(p, pair_from_two(frame), DROP_ND_UNANSWERED);
}

static void test_tunnel_too_big(struct pair *p, const void *data)
{
	const uint32_t fits = WIRE_MTU - OUTER - 48;

	lab_put(&p->one, "a", test_udp6(MAC_A, MAC_D, IP6_A, 7, IP6_D, 8, fits));
	pair_settle(p);
	lab_expect(&p->two, "d");
	struct test_frame big = test_udp6(MAC_A, MAC_D, IP6_A, 7, IP6_D, 8, fits + 1);
	lab_put(&p->one, "a", big);
	g_assert_cmpuint(
		assert_error(&p->one, "a", GATEWAY6_1, IP6_A, TOO_BIG << 8, &big), ==, WIRE_MTU - OUTER);
	/* Where the receiver's link is the smaller one, its switch tells the sender, by the tunnel. */
	json_object_set_new(lab_nic(&p->two, 0), "mtu", json_integer(1280));
	lab_apply(&p->two);
	lab_expect(&p->two, "d");
	struct test_frame larger = test_udp6(MAC_A, MAC_D, IP6_A, 7, IP6_D, 8, 1300);
	lab_put(&p->one, "a", larger);
	pair_settle(p);
	lab_expect_none(&p->two, "d");
	g_assert_cmpuint(assert_error(&p->one, "a", IP6_D, IP6_A, TOO_BIG << 8, &larger), ==, 1280);
}

#define ADD(name, fn)      g_test_add("/errors6/" name, struct fixture, NULL, setup, fn, lab_teardown)
#define ADD_PAIR(name, fn) g_test_add("/errors6/" name, struct pair, NULL, setup_pair, fn, pair_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("a packet too big for the way ahead is told its MTU", test_too_big);
	ADD("who is refused is told by its gateway, with what was refused", test_refusals);
	ADD("errors are limited in rate", test_rate);
	ADD("a NIC's errors go with the connection that they are about", test_forwarded);
	ADD_PAIR("packets and errors pass the tunnel both ways, with one hop between subnets", test_tunnel);
	ADD_PAIR("neighbours behind the tunnel are answered for here", test_tunnel_solicitation);
	ADD_PAIR("what the tunnel or the far link cannot carry is told", test_tunnel_too_big);
	return lab_run();
}
