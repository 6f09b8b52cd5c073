/* The switch as neighbour and router of IPv6: what it answers, tells and refuses. */
#include "switch/advertise.h"
#include "switch/decide.h"
#include "switch/test_lab.h"

#include <rte_mbuf.h>
#include <string.h>

#define GROUP_MAC "33:33:ff:00:00:01"
#define ALL_MAC   "33:33:00:00:00:01"
#define ALL_NODES "ff02::1"
#define GROUP     "ff02::1:ff00:1"
#define NS        135
#define NA        136
#define RS        133

static void drain(struct fixture *f, const char *port)
{
	for (GBytes *bytes; (bytes = port_fake_take(lab_port(f, port)));)
		g_bytes_unref(bytes);
}

static void setup(struct fixture *f, const void *data)
{
	lab_setup(f, data);
	lab_setup_ipv6(f);
}

/* a asks by that address who has the target; nobody does. */
static struct test_frame solicit(const char *src, const char *target)
{
	return test_nd(MAC_A, GROUP_MAC, src, GROUP, NS, target, 1, strcmp(src, "::") == 0 ? NULL : MAC_A);
}

static void assert_advertised(
	const struct test_frame *frame, const char *target, uint8_t flags, const char *mac)
{
	uint8_t ip[16], link[6];

	g_assert_cmpuint(frame->length, ==, 54 + 32);
	g_assert_cmpuint(frame->bytes[21], ==, 255);
	g_assert_cmpuint(frame->bytes[54], ==, NA);
	g_assert_cmphex(frame->bytes[58], ==, flags);
	test_ip6(target, ip);
	g_assert_cmpmem(frame->bytes + 62, 16, ip, 16);
	g_assert_cmpuint(load16(frame->bytes + 78), ==, 2 << 8 | 1);
	test_mac(mac, link);
	g_assert_cmpmem(frame->bytes + 80, 6, link, 6);
}

static void test_gateway_address(void)
{
	struct mac_addr mac;

	memcpy(mac.bytes, gateway_mac, 6);
	g_assert_true(ip_equal(gateway_link_local, ip_link_local(mac)));
}

static void test_solicitation(struct fixture *f, const void *data)
{
	static const struct {
		const char *target, *mac;
		uint8_t flags; /* router 80, solicited 40, override 20 */
	} cases[] = {
		{GATEWAY6_1, MAC_GATEWAY, 0xe0}, {GATEWAY6_2, MAC_GATEWAY, 0xe0},
		{GATEWAY_LL, MAC_GATEWAY, 0xe0},
		{IP6_B, MAC_B, 0x60}, /* a neighbour's own MAC in the subnet, */
		{IP6_C, MAC_GATEWAY, 0x60}, /* and else the router's */
	};
	static const char *const askers[] = {IP6_A, LINK_A};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		for (size_t j = 0; j < G_N_ELEMENTS(askers); j++) {
			lab_put(f, "a", solicit(askers[j], cases[i].target));
			struct test_frame frame = lab_expect(f, "a");
			lab_assert_path6(&frame, cases[i].mac, MAC_A, cases[i].target, askers[j]);
			assert_advertised(&frame, cases[i].target, cases[i].flags, cases[i].mac);
		}
	}
	lab_expect_none(f, "b");
	lab_put(f, "a", solicit(IP6_A, IP6_A));
	lab_put(f, "a", solicit(IP6_A, "fd00:0:0:1::99"));
	lab_put(f, "a", solicit(IP6_A, LINK_A));
	lab_expect_none(f, "a");
	g_assert_cmpuint(lab_drops(f, DROP_ND_UNANSWERED), ==, 3);
}

static void test_duplicate(struct fixture *f, const void *data)
{
	lab_put(f, "a", solicit("::", IP6_B));
	struct test_frame frame = lab_expect(f, "a");
	lab_assert_path6(&frame, MAC_B, ALL_MAC, IP6_B, ALL_NODES);
	assert_advertised(&frame, IP6_B, 0x20, MAC_B);
	lab_put(f, "a", solicit("::", GATEWAY_LL));
	frame = lab_expect(f, "a");
	assert_advertised(&frame, GATEWAY_LL, 0xa0, MAC_GATEWAY);
	lab_put(f, "a", solicit("::", IP6_A)); /* its own */
	lab_put(f, "a", solicit("::", LINK_A));
	lab_expect_none(f, "a");
	g_assert_cmpuint(lab_drops(f, DROP_ND_UNANSWERED), ==, 2);
}

static void refused(struct fixture *f, struct test_frame frame, enum drop reason)
{
	uint64_t before = lab_drops(f, reason), all = datapath_counters(f->datapath).drops;

	lab_put(f, "a", frame);
	lab_expect_none(f, "a");
	lab_expect_none(f, "b");
	g_assert_cmpuint(lab_drops(f, reason), ==, before + 1);
	g_assert_cmpuint(datapath_counters(f->datapath).drops, ==, all + 1);
}

static void test_spoofed(struct fixture *f, const void *data)
{
	refused(f, solicit(IP6_B, GATEWAY6_1), DROP_SPOOFED_ND);
	refused(f, solicit(GATEWAY_LL, IP6_B), DROP_SPOOFED_ND);
	refused(f, test_nd(MAC_A, GROUP_MAC, IP6_A, GROUP, NS, IP6_B, 1, MAC_B), DROP_SPOOFED_ND);
	refused(f, test_nd(MAC_A, GROUP_MAC, LINK_A, "ff02::2", RS, NULL, 1, MAC_B), DROP_SPOOFED_ND);
	refused(f, test_nd(MAC_A, ALL_MAC, IP6_A, ALL_NODES, NA, IP6_B, 2, MAC_A), DROP_SPOOFED_ND);
	refused(f, test_nd(MAC_A, ALL_MAC, IP6_A, ALL_NODES, NA, GATEWAY_LL, 2, MAC_A), DROP_SPOOFED_ND);
	refused(f, test_nd(MAC_A, ALL_MAC, IP6_A, ALL_NODES, NA, IP6_A, 2, MAC_B), DROP_SPOOFED_ND);
	refused(f, test_nd(MAC_A, ALL_MAC, IP6_A, ALL_NODES, NA, IP6_A, 2, MAC_A), DROP_ND_HEARD);
	refused(f, test_nd(MAC_A, ALL_MAC, LINK_A, ALL_NODES, NA, LINK_A, 2, MAC_A), DROP_ND_HEARD);
	refused(f, test_nd(MAC_B, GROUP_MAC, IP6_A, GROUP, NS, IP6_B, 1, MAC_A), DROP_SPOOFED_MAC);
	refused(f, test_nd(MAC_A, ALL_MAC, LINK_A, ALL_NODES, 134, IP6_A, 1, MAC_A), DROP_ROGUE_ROUTER);
	refused(f, test_nd(MAC_A, MAC_B, IP6_A, IP6_B, 137, IP6_C, 2, MAC_A), DROP_ROGUE_ROUTER);
}

/* Every rule of RFC 4861 about what is to be ignored, one after the other. */
static void test_malformed(struct fixture *f, const void *data)
{
	struct test_frame good = solicit(IP6_A, IP6_B), bad = good;

	bad.bytes[21] = 254; /* it has crossed a router */
	refused(f, bad, DROP_ND_MALFORMED);
	bad = good;
	bad.bytes[55] = 1; /* code */
	test_fix6(&bad);
	refused(f, bad, DROP_ND_MALFORMED);
	bad = good;
	bad.bytes[70] ^= 1; /* checksum */
	refused(f, bad, DROP_ND_MALFORMED);
	bad = good;
	bad.bytes[79] = 0; /* an option of no length */
	test_fix6(&bad);
	refused(f, bad, DROP_ND_MALFORMED);
	bad.bytes[79] = 2; /* beyond the message */
	test_fix6(&bad);
	refused(f, bad, DROP_ND_MALFORMED);
	for (bad = good, bad.length = 62; bad.length < good.length; bad.length++) {
		test_fix6(&bad); /* cut short, but before its options */
		if (bad.length != 78)
			refused(f, bad, DROP_ND_MALFORMED);
	}
	refused(f, test_nd(MAC_A, GROUP_MAC, "::", GROUP, NS, IP6_B, 1, MAC_A), DROP_ND_MALFORMED);
	refused(f, test_nd(MAC_A, ALL_MAC, "::", ALL_NODES, NS, IP6_B, 1, NULL), DROP_ND_MALFORMED);
	refused(f, test_nd(MAC_A, GROUP_MAC, IP6_A, GROUP, NS, "ff02::5", 1, MAC_A), DROP_ND_MALFORMED);
	lab_put(f, "a", good);
	lab_expect(f, "a");
}

static void test_router(struct fixture *f, const void *data)
{
	static const uint8_t prefix[16] = {0xfd, [7] = 1};

	json_object_set_new(lab_nic(f, 0), "mtu", json_integer(1400));
	lab_apply(f);
	drain(f, "a");
	lab_put(f, "a", test_nd(MAC_A, "33:33:00:00:00:02", LINK_A, "ff02::2", RS, NULL, 1, MAC_A));
	struct test_frame frame = lab_expect(f, "a");
	lab_assert_path6(&frame, MAC_GATEWAY, ALL_MAC, GATEWAY_LL, ALL_NODES);
	const uint8_t *icmp = frame.bytes + 54, *options = icmp + 16;
	g_assert_cmpuint(frame.bytes[21], ==, 255);
	g_assert_cmpuint(icmp[0], ==, 134);
	g_assert_cmpuint(icmp[4], ==, 64);
	g_assert_cmphex(icmp[5], ==, 0xc0); /* addresses and all else by DHCPv6 */
	g_assert_cmpuint(load16(icmp + 6), ==, 1800);
	g_assert_cmpuint(load16(options), ==, 1 << 8 | 1);
	g_assert_cmpmem(options + 2, 6, gateway_mac, 6);
	g_assert_cmpuint(load16(options + 8), ==, 5 << 8 | 1);
	g_assert_cmpuint(load32(options + 12), ==, 1400);
	g_assert_cmpuint(load16(options + 16), ==, 3 << 8 | 4);
	g_assert_cmpuint(options[18], ==, 64);
	g_assert_cmphex(options[19], ==, 0x80); /* on the link, and nothing to make addresses of */
	g_assert_cmpmem(options + 32, 16, prefix, 16);
	g_assert_cmpuint(frame.length, ==, 54 + 16 + 8 + 8 + 32);
	/* A host that has no address yet is answered the same. */
	lab_put(f, "a", test_nd(MAC_A, "33:33:00:00:00:02", "::", "ff02::2", RS, NULL, 1, NULL));
	struct test_frame again = lab_expect(f, "a");
	g_assert_cmpmem(again.bytes, again.length, frame.bytes, frame.length);
	/* A NIC without IPv6 has no router of it. */
	json_array_remove(json_object_get(lab_nic(f, 0), "addresses"), 1);
	lab_apply(f);
	refused(f, test_nd(MAC_A, "33:33:00:00:00:02", LINK_A, "ff02::2", RS, NULL, 1, MAC_A), DROP_NO_IPV6);
}

/* How many router advertisements come within the time. */
static unsigned advertised(struct fixture *f, const char *port, uint32_t milliseconds)
{
	unsigned n = 0;

	for (uint32_t now = 0; now < milliseconds; now += SECOND) {
		f->now_ms += SECOND;
		advertise_tick(f->datapath, f->now_ms);
	}
	for (GBytes *bytes; (bytes = port_fake_take(lab_port(f, port))); n++) {
		g_assert_cmpuint(((const uint8_t *)g_bytes_get_data(bytes, NULL))[54], ==, 134);
		g_bytes_unref(bytes);
	}
	return n;
}

static void test_periodic(struct fixture *f, const void *data)
{
	f->datapath->advertised_ms = f->now_ms;
	drain(f, "a");
	drain(f, "c");
	g_assert_cmpuint(advertised(f, "a", 10 * ADVERTISE_PERIOD_MS), >=, 9);
	g_assert_cmpuint(advertised(f, "c", 1), >=, 9);
	g_assert_cmpuint(advertised(f, "/a", 1), ==, 0); /* not the active path */
	g_assert_cmpuint(advertised(f, "a", 10 * ADVERTISE_PERIOD_MS), <=, 11);
	/* Nobody is told twice for a clock that went on without us. */
	drain(f, "c");
	f->now_ms += 100 * ADVERTISE_PERIOD_MS;
	g_assert_cmpuint(advertised(f, "c", 1), <=, 1);
	/* What changes is told at once, and what does not is not. */
	drain(f, "a");
	drain(f, "b");
	lab_apply(f);
	lab_expect_none(f, "a");
	json_object_set_new(lab_nic(f, 0), "mtu", json_integer(1300));
	lab_apply(f);
	struct test_frame frame = lab_expect(f, "a");
	g_assert_cmpuint(load32(frame.bytes + 54 + 16 + 12), ==, 1300);
	lab_expect_none(f, "b");
}

static void test_echo(struct fixture *f, const void *data)
{
	static const char *const gateways[] = {GATEWAY6_1, GATEWAY6_2, GATEWAY_LL};
	static const char *const sources[] = {IP6_A, LINK_A};

	for (size_t i = 0; i < G_N_ELEMENTS(gateways); i++) {
		for (size_t j = 0; j < G_N_ELEMENTS(sources); j++) {
			struct test_frame echo =
				test_icmp6(MAC_A, MAC_GATEWAY, sources[j], gateways[i], 128, 0, 56);
			lab_put(f, "a", echo);
			struct test_frame got = lab_expect(f, "a");
			lab_assert_path6(&got, MAC_GATEWAY, MAC_A, gateways[i], sources[j]);
			g_assert_cmpuint(got.bytes[54], ==, 129);
			g_assert_cmpmem(got.bytes + 58, 60, echo.bytes + 58, 60);
		}
	}
	refused(f, test_icmp6(MAC_A, MAC_GATEWAY, IP6_B, GATEWAY6_1, 128, 0, 0), DROP_SPOOFED_IP);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 0);
}

/* Link-local addresses end at the switch; nor does anything to many pass. */
static void test_link_local(struct fixture *f, const void *data)
{
	refused(f, test_udp6(MAC_A, MAC_B, LINK_A, 1, IP6_B, 2, 0), DROP_LINK_LOCAL);
	refused(f, test_udp6(MAC_A, MAC_B, IP6_A, 1, "fe80::b", 2, 0), DROP_LINK_LOCAL);
	refused(f, test_icmp6(MAC_A, MAC_B, LINK_A, "fe80::b", 128, 0, 0), DROP_LINK_LOCAL);
	refused(f, test_udp6(MAC_A, ALL_MAC, LINK_A, 1, ALL_NODES, 2, 0), DROP_MULTICAST);
	refused(f, test_icmp6(MAC_A, "33:33:00:00:00:16", LINK_A, "ff02::16", 143, 0, 20), DROP_MLD);
	refused(f, test_udp6(MAC_A, MAC_B, LINK_A, 547, "fe80::b", 546, 40), DROP_DHCP_SERVER);
	refused(f, test_udp6(MAC_A, MAC_B, IP6_A, 547, IP6_B, 546, 40), DROP_DHCP_SERVER);
	json_object_set_new(lab_nic(f, 0), "forwarding", json_true()); /* nor do appliances' */
	lab_apply(f);
	refused(f, test_udp6(MAC_A, MAC_B, LINK_A, 1, IP6_B, 2, 0), DROP_LINK_LOCAL);
}

/* A DHCPv6 client behind an extension header, whose checksum its sender has left to a device. */
static void test_open_checksum(struct fixture *f, const void *data)
{
	uint8_t payload[8 + 8 + 4 + 14 + 16] = {17, 0, 1, 4}, *udp = payload + 8, *message = udp + 8;
	struct rte_mbuf *packet = rte_pktmbuf_alloc(lab_pool());

	store16(udp, 546);
	store16(udp + 2, 547);
	store16(udp + 4, sizeof payload - 8);
	message[0] = 1;
	memcpy(message + 4, (const uint8_t[]){0, 1, 0, 10, 0, 3, 0, 1, 0, 0x0d, 0x3a, 0, 0, 0x0a}, 14);
	memcpy(message + 18, (const uint8_t[]){0, 3, 0, 12, 0, 0, 0, 7}, 8);
	struct test_frame frame =
		test_ipv6(MAC_A, "33:33:00:01:00:02", LINK_A, "ff02::1:2", 60, payload, sizeof payload);
	memcpy(rte_pktmbuf_append(packet, (uint16_t)frame.length), frame.bytes, frame.length);
	packet->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
	lab_put_packets(f, "a", &packet, 1);
	struct test_frame got = lab_expect(f, "a");
	lab_assert_path6(&got, MAC_GATEWAY, MAC_A, GATEWAY_LL, LINK_A);
	g_assert_cmpuint(load32(got.bytes + 54), ==, 547 << 16 | 546);
	g_assert_cmpuint(got.bytes[62], ==, 2);
	g_assert_cmpuint(load16(got.bytes + 66), ==, 1); /* nothing was written into it */
}

#define ADD(name, fn) g_test_add("/nd/" name, struct fixture, NULL, setup, fn, lab_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nd/the gateway's link-local address is made of its MAC", test_gateway_address);
	ADD("a solicitation is answered for gateways and neighbours", test_solicitation);
	ADD("an address that another has is defended, one's own is not", test_duplicate);
	ADD("nobody speaks for another, nor as a router", test_spoofed);
	ADD("what RFC 4861 ignores is dropped by name", test_malformed);
	ADD("a router solicitation is answered with prefix, MTU and the word on DHCPv6", test_router);
	ADD("every NIC is told of its router again, and at once when it changes", test_periodic);
	ADD("the gateway answers echoes on all of its addresses", test_echo);
	ADD("an answer is whole, whatever its question left open", test_open_checksum);
	ADD("link-local addresses reach the switch and no NIC", test_link_local);
	return lab_run();
}
