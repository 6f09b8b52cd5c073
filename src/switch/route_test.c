/* Routes of subnets, and many mappings. */
#include "switch/test_pair.h"

#include <string.h>

static void set_routes(struct fixture *f, unsigned subnet, json_t *routes)
{
	json_object_set_new(
		json_array_get(json_object_get(pair_network(f), "subnets"), subnet), "routes", routes);
	lab_apply(f);
}

/* ---- routes ---- */

static json_t *route(const char *prefix, const char *via)
{
	return json_pack("{s:s, s:s}", "prefix", prefix, "via", via);
}

static void test_routes(struct pair *p, const void *data)
{
	struct fixture *f = &p->one;

	lab_meet_peer(f);
	set_routes(f, 0,
		json_pack("[o,o,o,o]", route("203.0.113.0/25", "none"), route("203.0.113.1", "outside"),
			route("192.168.0.0/16", "none"), route(IP_B, "network")));
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, "203.0.113.77", 1, 0));
	g_assert_cmpuint(lab_drops(f, DROP_NO_ROUTE), ==, 1);
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, PEER, 1, 0)); /* the longer one */
	lab_expect(f, "out");
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 1, 0)); /* as long as the network's */
	g_assert_cmpuint(lab_drops(f, DROP_NO_ROUTE), ==, 2);
	lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, 1, IP_B, 1, 0));
	lab_expect(f, "b");
	lab_put(f, "c", test_udp(MAC_C, MAC_GATEWAY, IP_C, 1, IP_A, 2, 0)); /* of another subnet */
	lab_expect(f, "a");
	/* A shorter one than the system's loses. */
	set_routes(f, 0, json_pack("[o]", route("192.0.0.0/8", "none")));
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 3, IP_C, 1, 0));
	lab_expect(f, "c");
	/* No route takes the platform away. */
	set_routes(f, 0, json_pack("[o]", route("0.0.0.0/0", "none")));
	lab_put(f, "a", test_tcp(MAC_A, MAC_GATEWAY, IP_A, 1, "169.254.169.254", 80, TCP_SYN, 0));
	lab_expect(f, "host");
	lab_put(f, "host", test_arp(MAC_PEER, 2, MAC_PEER, "169.254.169.254", "100.64.0.4"));
	lab_expect(f, "host");
}

static void set_forwarding(struct fixture *f, size_t i, bool forwarding)
{
	json_object_set_new(lab_nic(f, i), "forwarding", json_boolean(forwarding));
	lab_apply(f);
}

/* a sends to the outside by c, on the same switch. */
static void test_appliance_here(struct pair *p, const void *data)
{
	struct fixture *f = &p->one;

	set_routes(f, 0, json_pack("[o]", route("0.0.0.0/0", IP_C)));
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, "10.9.9.9", 1, 0));
	g_assert_cmpuint(lab_drops(f, DROP_NO_FORWARDING), ==, 1);
	set_forwarding(f, 2, true);
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, "10.9.9.9", 1, 0));
	struct test_frame frame = lab_expect(f, "c");
	lab_assert_path(&frame, MAC_GATEWAY, MAC_C, IP_A, "10.9.9.9");
	lab_put(f, "c", test_udp(MAC_C, MAC_GATEWAY, "10.9.9.9", 1, IP_A, 1, 0));
	frame = lab_expect(f, "a");
	lab_assert_path(&frame, MAC_GATEWAY, MAC_A, "10.9.9.9", IP_A);
	/* It forwards for others, it is not the platform. */
	lab_put(f, "c", test_udp(MAC_C, MAC_GATEWAY, "168.63.129.16", 1, IP_A, 1, 0));
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_IP), ==, 1);
	set_forwarding(f, 2, false);
	lab_put(f, "c", test_udp(MAC_C, MAC_GATEWAY, "10.9.9.9", 2, IP_A, 2, 0));
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_IP), ==, 2);
}

/* a's way to everything is e, on the other switch, and back. */
static void test_appliance_there(struct pair *p, const void *data)
{
	set_routes(&p->one, 0, json_pack("[o]", route("0.0.0.0/0", IP_E)));
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, "10.9.9.9", 1, 0));
	pair_settle(p);
	lab_expect_none(&p->two, "e");
	g_assert_cmpuint(lab_drops(&p->two, DROP_NO_FORWARDING), ==, 1);
	set_forwarding(&p->two, 1, true);
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, "10.9.9.9", 1, 0));
	pair_settle(p);
	struct test_frame frame = lab_expect(&p->two, "e");
	lab_assert_path(&frame, MAC_GATEWAY, MAC_E, IP_A, "10.9.9.9");
	g_assert_cmpuint(frame.bytes[22], ==, 63);
	lab_put(&p->two, "e", test_udp(MAC_E, MAC_GATEWAY, "10.9.9.9", 1, IP_A, 1, 0));
	pair_settle(p);
	frame = lab_expect(&p->one, "a");
	lab_assert_path(&frame, MAC_GATEWAY, MAC_A, "10.9.9.9", IP_A);
	/* What begins there comes by the same way. */
	lab_put(&p->two, "e", test_udp(MAC_E, MAC_GATEWAY, "10.9.9.8", 5, IP_A, 5, 0));
	pair_settle(p);
	lab_expect(&p->one, "a");
	/* The switch of an appliance that forwards no more stops what it forwarded. */
	set_forwarding(&p->two, 1, false);
	lab_put(&p->two, "e", test_udp(MAC_E, MAC_GATEWAY, "10.9.9.8", 5, IP_A, 5, 0));
	lab_expect_none(&p->two, "wire");
	g_assert_cmpuint(lab_drops(&p->two, DROP_REVOKED), ==, 1);
}

/* ---- many mappings ---- */

static void test_many(struct pair *p, const void *data)
{
	struct fixture *f = &p->one;
	json_t *mappings = json_array();

	for (unsigned i = 0; i < 20000; i++) {
		g_autofree char *ip = g_strdup_printf("192.168.%u.%u", 100 + i / 256, i % 256);
		json_array_append_new(mappings, pair_mapping(ip, i % 2 ? VTEP_2 : VTEP_3, MAC_D));
	}
	json_array_append_new(mappings, pair_mapping("192.168.64.0/18", VTEP_3, MAC_E));
	json_object_set_new(pair_network(f), "mappings", mappings);
	lab_apply(f);
	const struct prefix_table *table = datapath_snapshot(f->datapath)->networks[0].mappings;
	lab_allow_port(f, 22);
	g_assert_true(datapath_snapshot(f->datapath)->networks[0].mappings == table); /* not made anew */
	json_object_set_new(json_array_get(mappings, 7), "vtep", json_string(VTEP_3));
	lab_apply(f);
	g_assert_true(datapath_snapshot(f->datapath)->networks[0].mappings != table);
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, "192.168.100.9", 1, 0));
	struct test_frame frame = lab_expect(f, "wire");
	g_assert_cmphex(load32(frame.bytes + 38), ==, 0xac100002);
	lab_put(f, "wire", test_arp(MAC_W2, 2, MAC_W2, VTEP_2, VTEP_1));
	lab_expect(f, "wire");
	lab_put(f, "a",
		test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, "192.168.99.1", 1, 0)); /* only by the wide one */
	frame = lab_expect(f, "wire");
	g_assert_cmphex(load32(frame.bytes + 38), ==, 0xac100003);
	lab_put(f, "wire", test_arp(MAC_PEER, 2, MAC_PEER, VTEP_3, VTEP_1));
	lab_expect(f, "wire");
}

/* ---- the list ---- */

#define ADD(sentence, test) g_test_add("/route/" sentence, struct pair, NULL, pair_setup, test, pair_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("the longest route wins, and the user's among equals", test_routes);
	ADD("a route leads over an appliance on this switch", test_appliance_here);
	ADD("a route leads over an appliance on another switch", test_appliance_there);
	ADD("many mappings are looked up right and kept from state to state", test_many);
	return lab_run();
}
