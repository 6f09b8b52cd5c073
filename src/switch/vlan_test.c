/* Networks on a physical network: frames on the wire and off it, who may send them, policy, ARP. */
#include "switch/test_vlan.h"

#include <string.h>

/* ---- neighbours ---- */

static void test_bridged(struct fixture *f, const void *data)
{
	for (unsigned length = 0; length < 60; length++) {
		struct test_frame there = test_udp(MAC_A, MAC_PEER, IP_A, 1000, IP_PEER, 53, length);
		struct test_frame back = test_udp(MAC_PEER, MAC_A, IP_PEER, 53, IP_A, 1000, length);
		lab_put(f, "a", there);
		vlan_assert_same(vlan_on_wire(f, 100), there);
		vlan_from_wire(f, 100, back);
		vlan_assert_same(lab_expect(f, "a"), back);
	}
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
}

static void test_from_wire(struct fixture *f, const void *data)
{
	struct test_frame syn = test_tcp(MAC_PEER, MAC_A, IP_PEER, 1000, IP_A, 80, TCP_SYN, 0);
	struct test_frame answer = test_tcp(MAC_A, MAC_PEER, IP_A, 80, IP_PEER, 1000, TCP_SYN | TCP_ACK, 0);

	vlan_from_wire(f, 100, syn);
	vlan_assert_same(lab_expect(f, "a"), syn);
	lab_put(f, "a", answer);
	vlan_assert_same(vlan_on_wire(f, 100), answer);
	/* Another machine takes the address over: its frames are passed as they are. */
	struct test_frame ack = test_tcp("02:00:00:00:00:98", MAC_A, IP_PEER, 1000, IP_A, 80, TCP_ACK, 9);
	vlan_from_wire(f, 100, ack);
	vlan_assert_same(lab_expect(f, "a"), ack);
	answer = test_tcp(MAC_A, "02:00:00:00:00:98", IP_A, 80, IP_PEER, 1000, TCP_ACK, 0);
	lab_put(f, "a", answer);
	vlan_assert_same(vlan_on_wire(f, 100), answer);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
}

static void test_untagged(struct fixture *f, const void *data)
{
	struct test_frame there = test_udp(MAC_W, MAC_PEER, IP_W, 1000, "10.0.0.9", 53, 3);
	struct test_frame back = test_udp(MAC_PEER, MAC_W, "10.0.0.9", 53, IP_W, 1000, 3);

	lab_put(f, "w", there);
	vlan_assert_same(vlan_on_wire(f, UNTAGGED), there);
	vlan_from_wire(f, UNTAGGED, back);
	vlan_assert_same(lab_expect(f, "w"), back);
	/* A tag that gives a priority only. */
	lab_put(f, "phys", vlan_with_tag(back, 0x8100, 5 << 13));
	vlan_assert_same(lab_expect(f, "w"), back);
	/* A priority beside an id is taken off with it. */
	back = test_udp(MAC_PEER, MAC_A, IP_PEER, 53, IP_A, 1000, 3);
	lab_put(f, "phys", vlan_with_tag(back, 0x8100, 7 << 13 | 100));
	vlan_assert_same(lab_expect(f, "a"), back);
}

static void test_apart(struct fixture *f, const void *data)
{
	struct test_frame to_a = test_udp(MAC_PEER, MAC_A, IP_PEER, 53, IP_A, 1000, 3);
	struct test_frame to_v = test_udp(MAC_PEER, MAC_V, IP_PEER, 53, IP_V, 1000, 3);

	vlan_from_wire(f, 100, to_a);
	vlan_assert_same(lab_expect(f, "a"), to_a);
	vlan_from_wire(f, 200, to_v);
	vlan_assert_same(lab_expect(f, "v"), to_v);
	vlan_refused(f, vlan_tagged(to_a, 200), DROP_UNKNOWN_MAC);
	vlan_refused(f, vlan_tagged(to_v, 100), DROP_UNKNOWN_MAC);
	vlan_refused(f, to_a, DROP_UNKNOWN_MAC);
	/* The neighbour of one answers nobody of the other. */
	lab_put(f, "v", test_udp(MAC_V, MAC_A, IP_V, 1, IP_B, 2, 0));
	vlan_on_wire(f, 200);
	lab_expect_none(f, "b");
}

static void test_one_switch(struct fixture *f, const void *data)
{
	lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, 1, IP_B, 2, 0));
	lab_expect(f, "b");
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 2, 0));
	struct test_frame frame = lab_expect(f, "c");
	g_assert_cmpuint(frame.bytes[22], ==, 63);
	lab_expect_none(f, "phys");
}

static void test_both(struct fixture *f, const void *data)
{
	struct test_frame back = test_udp(MAC_PEER, MAC_A, IP_PEER, 53, IP_A, 1000, 30);

	json_object_set_new(lab_nic(f, 0), "active", json_string("both"));
	lab_apply(f);
	lab_put(f, "/a", test_udp(MAC_A, MAC_PEER, IP_A, 1000, IP_PEER, 53, 30));
	vlan_on_wire(f, 100);
	vlan_from_wire(f, 100, back);
	vlan_assert_same(lab_expect(f, "a"), back);
	vlan_assert_same(lab_expect(f, "/a"), back);
	lab_expect_none(f, "phys");
}

static void test_moved(struct fixture *f, const void *data)
{
	struct test_frame there = test_udp(MAC_A, MAC_PEER, IP_A, 1000, IP_PEER, 53, 3);

	lab_put(f, "a", there);
	vlan_assert_same(vlan_on_wire(f, 100), there);
	json_object_set_new(vlan_network(f, 0), "vlan", vlan_segment(4094));
	lab_apply(f);
	vlan_drain(f, "phys");
	lab_put(f, "a", there);
	vlan_assert_same(vlan_on_wire(f, 4094), there);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
	vlan_refused(f, vlan_tagged(test_udp(MAC_PEER, MAC_A, IP_PEER, 53, IP_A, 1000, 3), 100),
		DROP_UNKNOWN_VLAN);
}

/* Between a and b, one connection that each began; `wire`: a is there. Who speaks first makes no difference. */
static void talk_on(struct fixture *f, bool wire, uint8_t flags, bool a_first)
{
	for (unsigned i = 0; i < 4; i++) {
		uint16_t sport = i & 2 ? 1000 : 80, dport = i & 2 ? 80 : 1000;
		struct test_frame there = test_tcp(MAC_A, MAC_B, IP_A, sport, IP_B, dport, flags, 3);
		struct test_frame back = test_tcp(MAC_B, MAC_A, IP_B, dport, IP_A, sport, flags, 3);
		if ((i & 1) == a_first) {
			lab_put(f, "b", back);
			vlan_assert_same(wire ? vlan_on_wire(f, 100) : lab_expect(f, "a"), back);
		} else if (wire) {
			vlan_from_wire(f, 100, there);
			vlan_assert_same(lab_expect(f, "b"), there);
		} else {
			lab_put(f, "a", there);
			vlan_assert_same(lab_expect(f, "b"), there);
		}
	}
}

/* A neighbour that goes to another host is on the wire from then on, whether or not its port is gone; until it has come from there, it is
 * there still. */
static void test_neighbour_moves(struct fixture *f, const void *data)
{
	json_t *nics = json_object_get(f->state, "nics");
	json_auto_t *a = json_incref(lab_nic(f, 0));

	lab_put(f, "a", test_tcp(MAC_A, MAC_B, IP_A, 1000, IP_B, 80, TCP_SYN, 0));
	lab_expect(f, "b");
	lab_put(f, "b", test_tcp(MAC_B, MAC_A, IP_B, 1000, IP_A, 80, TCP_SYN, 0));
	lab_expect(f, "a");
	talk_on(f, false, TCP_ACK, true);
	for (unsigned i = 0; i < 4; i++) {
		if (i & 2) {
			json_array_remove(nics, 0);
			lab_apply(f);
			talk_on(f, true, TCP_ACK, i & 1);
			json_array_insert(nics, 0, a);
		}
		json_object_set_new(a, "away", json_true());
		lab_apply(f);
		lab_expect_none(f, "phys");
		talk_on(f, true, TCP_ACK, i & 1);
		json_object_del(a, "away");
		lab_apply(f);
		vlan_assert_arp(vlan_on_wire(f, 100), 1, MAC_A, IP_A, IP_A);
		talk_on(f, false, TCP_ACK, i & 1);
	}
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 2);
}

static void test_gone(struct fixture *f, const void *data)
{
	struct test_frame there = test_udp(MAC_A, MAC_PEER, IP_A, 1000, IP_PEER, 53, 3);

	lab_put(f, "a", there);
	vlan_on_wire(f, 100);
	json_object_del(vlan_network(f, 0), "vlan");
	json_object_set_new(vlan_network(f, 0), "vni", json_integer(1));
	lab_apply(f);
	lab_put(f, "a", there);
	lab_expect_none(f, "phys");
	g_assert_cmpuint(lab_drops(f, DROP_REVOKED), ==, 1);
}

/* ---- what must not come ---- */

static void test_refused(struct fixture *f, const void *data)
{
	struct test_frame good = test_udp(MAC_PEER, MAC_A, IP_PEER, 1, IP_A, 2, 30);

	vlan_refused(f, vlan_tagged(good, 101), DROP_UNKNOWN_VLAN);
	vlan_refused(f, vlan_tagged(good, 4095), DROP_UNKNOWN_VLAN);
	vlan_refused(f, vlan_with_tag(good, 0x88a8, 100), DROP_VLAN);
	vlan_refused(f, vlan_with_tag(vlan_tagged(good, 100), 0x88a8, 100), DROP_VLAN);
	vlan_refused(f, vlan_with_tag(vlan_tagged(good, 100), 0x8100, 100), DROP_VLAN);
	vlan_refused(f, vlan_to_mac(vlan_tagged(good, 100), MAC_GATEWAY), DROP_UNKNOWN_MAC);
	vlan_refused(f, vlan_to_mac(vlan_tagged(good, 100), "02:00:00:00:00:55"), DROP_UNKNOWN_MAC);
	vlan_refused(f, vlan_to_mac(vlan_tagged(good, 100), "ff:ff:ff:ff:ff:ff"), DROP_MULTICAST);
	vlan_refused(f, vlan_to_mac(vlan_tagged(good, 100), "01:00:5e:00:00:01"), DROP_MULTICAST);
	for (uint32_t length = 1; length < 18; length++) {
		struct test_frame cut = vlan_tagged(good, 100);
		cut.length = length;
		vlan_refused(f, cut, DROP_TRUNCATED);
	}
	struct test_frame cut = vlan_tagged(good, 100);
	cut.length--;
	vlan_refused(f, cut, DROP_TRUNCATED);
	vlan_from_wire(f, 100, good);
	vlan_assert_same(lab_expect(f, "a"), good);
}

static void test_spoofed(struct fixture *f, const void *data)
{
	static const char *const sources[] = {IP_A, IP_B, IP_C, "192.168.1.1", METADATA, "168.63.129.16",
		"127.0.0.1", "0.0.0.0", "224.0.0.1", IP_FAR};
	static const char *const macs[] = {MAC_A, MAC_B, MAC_GATEWAY, "03:00:00:00:00:99"};

	for (unsigned i = 0; i < G_N_ELEMENTS(sources); i++)
		vlan_refused(f, vlan_tagged(test_udp(MAC_PEER, MAC_A, sources[i], 1, IP_A, 2, 0), 100),
			DROP_SPOOFED_PHYSICAL);
	/* Of established connections, too: the MAC is no part of their key. */
	lab_put(f, "a", test_udp(MAC_A, MAC_PEER, IP_A, 2, IP_PEER, 1, 0));
	vlan_on_wire(f, 100);
	for (unsigned i = 0; i < G_N_ELEMENTS(macs); i++)
		vlan_refused(f, vlan_tagged(test_udp(macs[i], MAC_A, IP_PEER, 1, IP_A, 2, 0), 100),
			DROP_SPOOFED_PHYSICAL);
	vlan_refused(f, vlan_tagged(test_udp(MAC_PEER, MAC_A, IP_PEER, 1, "192.168.1.77", 2, 0), 100),
		DROP_NO_FORWARDING);
	/* A MAC of another network is nobody's here. */
	struct test_frame frame = test_udp(MAC_V, MAC_A, IP_PEER, 1, IP_A, 2, 0);
	vlan_from_wire(f, 100, frame);
	vlan_assert_same(lab_expect(f, "a"), frame);
}

static void test_flooding(struct fixture *f, const void *data)
{
	struct test_frame there = test_udp(MAC_A, MAC_PEER, IP_A, 1000, IP_PEER, 53, 3);

	lab_put(f, "a", there);
	vlan_on_wire(f, 100);
	lab_put(f, "a", vlan_to_mac(there, "ff:ff:ff:ff:ff:ff"));
	lab_expect_none(f, "phys");
	g_assert_cmpuint(lab_drops(f, DROP_MULTICAST), ==, 1);
}

static struct test_frame ipv6_frame(const char *smac, const char *dmac)
{
	struct test_frame frame = {.length = 14 + 40 + 8};
	uint8_t *ip = frame.bytes + 14;

	test_mac(dmac, frame.bytes);
	test_mac(smac, frame.bytes + 6);
	store16(frame.bytes + 12, 0x86dd);
	ip[0] = 0x60;
	store16(ip + 4, 8);
	ip[6] = 17;
	ip[7] = 64;
	memcpy(ip + 8, (uint8_t[]){0xfd, [15] = 9}, 16);
	memcpy(ip + 24, (uint8_t[]){0xfd, [15] = 4}, 16);
	store16(ip + 44, 8);
	return frame;
}

static void test_only_ipv4(struct fixture *f, const void *data)
{
	json_t *addresses = json_object_get(lab_nic(f, 3), "addresses");
	json_t *prefixes = json_object_get(vlan_network(f, 1), "prefixes");

	json_array_append_new(prefixes, json_string("fd00::/48"));
	json_object_set_new(vlan_subnet(f, 1, 0), "prefix6", json_string("fd00::/64"));
	json_object_set_new(vlan_subnet(f, 1, 0), "gateway6", json_string("fd00::1"));
	json_array_append_new(addresses, json_pack("{s:s}", "ip", "fd00::4"));
	lab_apply(f);
	vlan_drain(f, "v"); /* it is told of its router */
	vlan_refused(f, vlan_tagged(ipv6_frame(MAC_PEER, MAC_V), 200), DROP_IPV6_PHYSICAL);
	struct test_frame out = ipv6_frame(MAC_V, MAC_PEER);
	out.bytes[14 + 8 + 15] = 4;
	out.bytes[14 + 24 + 15] = 9;
	lab_put(f, "v", out);
	lab_expect_none(f, "phys");
	g_assert_cmpuint(lab_drops(f, DROP_IPV6_PHYSICAL), ==, 2);
}

/* ---- policy ---- */

static void test_policy(struct fixture *f, const void *data)
{
	struct test_frame far = test_tcp(MAC_ROUTER, MAC_V, IP_FAR, 1000, IP_V, 22, TCP_SYN, 0);
	struct test_frame near = test_tcp(MAC_PEER, MAC_V, IP_PEER, 1000, IP_V, 22, TCP_SYN, 0);

	/* v's group has no rules: what the network's prefixes hold may come, the rest of the world may not. */
	vlan_from_wire(f, 200, near);
	vlan_assert_same(lab_expect(f, "v"), near);
	vlan_refused(f, vlan_tagged(far, 200), DROP_DENIED_INBOUND);
	lab_allow_port(f, 22);
	vlan_from_wire(f, 200, far);
	vlan_assert_same(lab_expect(f, "v"), far);
	struct test_frame answer = test_tcp(MAC_V, MAC_ROUTER, IP_V, 22, IP_FAR, 1000, TCP_SYN | TCP_ACK, 0);
	lab_put(f, "v", answer);
	vlan_assert_same(vlan_on_wire(f, 200), answer);
	/* Revoked, both ways. */
	lab_deny_all(f);
	vlan_refused(f, vlan_tagged(test_tcp(MAC_ROUTER, MAC_V, IP_FAR, 1000, IP_V, 22, TCP_ACK, 0), 200),
		DROP_REVOKED);
	lab_put(f, "v", answer);
	lab_expect_none(f, "phys");
}

/* ---- ARP ---- */

static void test_arp_asked(struct fixture *f, const void *data)
{
	struct test_frame question = test_arp(MAC_A, 1, MAC_A, IP_A, IP_PEER);
	struct test_frame answer = vlan_to_mac(test_arp(MAC_PEER, 2, MAC_PEER, IP_PEER, IP_A), MAC_A);

	lab_put(f, "a", question);
	vlan_assert_same(vlan_on_wire(f, 100), question);
	vlan_from_wire(f, 100, answer);
	vlan_assert_same(lab_expect(f, "a"), answer);
	/* What is here is answered here: the neighbour's own MAC, in whatever subnet. */
	lab_put(f, "a", test_arp(MAC_A, 1, MAC_A, IP_A, IP_C));
	struct test_frame frame = lab_expect(f, "a");
	vlan_assert_arp(frame, 2, MAC_C, IP_C, IP_A);
	lab_put(f, "a", test_arp(MAC_A, 1, MAC_A, IP_A, "192.168.1.1"));
	frame = lab_expect(f, "a");
	vlan_assert_arp(frame, 2, MAC_GATEWAY, "192.168.1.1", IP_A);
	lab_expect_none(f, "phys");
	/* Announcements and probes of one's own address, and unicast, pass. */
	struct test_frame own[] = {test_arp(MAC_A, 1, MAC_A, IP_A, IP_A),
		test_arp(MAC_A, 1, MAC_A, "0.0.0.0", IP_A), test_arp(MAC_A, 2, MAC_A, IP_A, IP_A),
		vlan_to_mac(question, MAC_PEER)};
	for (unsigned i = 0; i < G_N_ELEMENTS(own); i++) {
		lab_put(f, "a", own[i]);
		vlan_assert_same(vlan_on_wire(f, 100), own[i]);
	}
}

static void test_arp_held(struct fixture *f, const void *data)
{
	struct test_frame bad[] = {
		test_arp(MAC_A, 1, MAC_A, IP_B, IP_PEER), /* in another's name */
		test_arp(MAC_A, 2, MAC_PEER, IP_A, IP_PEER),
		test_arp(MAC_A, 1, MAC_A, IP_A, METADATA), /* which is nobody's there */
		test_arp(MAC_A, 3, MAC_A, IP_A, IP_PEER), /* RARP */
		test_arp(MAC_A, 2, MAC_A, IP_A, IP_B),
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		lab_put(f, "a", bad[i]);
		lab_expect_none(f, "phys");
	}
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_ARP), ==, 2);
	g_assert_cmpuint(lab_drops(f, DROP_ARP_UNANSWERED), ==, 3);
}

/* As librte_vhost makes it when QEMU asks it to, after a migration. */
static struct test_frame rarp(const char *mac, uint16_t operation)
{
	struct test_frame frame = test_arp(mac, operation, mac, "0.0.0.0", "0.0.0.0");

	store16(frame.bytes + 12, 0x8035);
	test_mac(mac, frame.bytes + 32);
	return frame;
}

static void test_rarp(struct fixture *f, const void *data)
{
	struct test_frame own = rarp(MAC_A, 3), spoofed = own;

	lab_put(f, "a", own);
	vlan_assert_same(vlan_on_wire(f, 100), own);
	test_mac(MAC_B, spoofed.bytes + 22);
	lab_put(f, "a", spoofed);
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_ARP), ==, 1);
	lab_put(f, "a", rarp(MAC_B, 3));
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_MAC), ==, 1);
	lab_put(f, "a", rarp(MAC_A, 4));
	g_assert_cmpuint(lab_drops(f, DROP_MALFORMED), ==, 1);
	lab_expect_none(f, "phys");
	/* Others' are for the wire's own switches, and teach nothing. */
	vlan_refused(f, vlan_tagged(rarp(MAC_PEER, 3), 100), DROP_MULTICAST);
	vlan_refused(f, vlan_to_mac(vlan_tagged(rarp(MAC_PEER, 3), 100), MAC_A), DROP_ETHERTYPE);
	vlan_refused(f, vlan_tagged(rarp(MAC_A, 3), 100), DROP_SPOOFED_PHYSICAL);
}

static void test_arp_answered(struct fixture *f, const void *data)
{
	vlan_from_wire(f, 100, test_arp(MAC_PEER, 1, MAC_PEER, IP_PEER, IP_A));
	struct test_frame frame = vlan_on_wire(f, 100);
	vlan_assert_arp(frame, 2, MAC_A, IP_A, IP_PEER);
	lab_expect_none(f, "a");
	vlan_from_wire(f, 200, test_arp(MAC_PEER, 1, MAC_PEER, IP_PEER, IP_V));
	frame = vlan_on_wire(f, 200);
	vlan_assert_arp(frame, 2, MAC_V, IP_V, IP_PEER);
	/* Who probes for the address learns that it is taken (RFC 5227). */
	vlan_from_wire(f, 100, test_arp(MAC_PEER, 1, MAC_PEER, "0.0.0.0", IP_A));
	frame = vlan_on_wire(f, 100);
	vlan_assert_arp(frame, 2, MAC_A, IP_A, "0.0.0.0");
	/* The gateway is every switch's, and an external one is not ours at all. */
	vlan_refused(f, vlan_tagged(test_arp(MAC_PEER, 1, MAC_PEER, IP_PEER, "192.168.1.1"), 100),
		DROP_ARP_UNANSWERED);
	vlan_refused(f, vlan_tagged(test_arp(MAC_PEER, 1, MAC_PEER, IP_PEER, IP_ROUTER), 200),
		DROP_ARP_UNANSWERED);
	vlan_refused(f, vlan_tagged(test_arp(MAC_PEER, 1, MAC_PEER, IP_PEER, "192.168.1.98"), 100),
		DROP_ARP_UNANSWERED);
	vlan_refused(f, vlan_tagged(test_arp(MAC_PEER, 1, MAC_PEER, IP_PEER, IP_W), UNTAGGED + 7),
		DROP_UNKNOWN_VLAN);
}

static void test_arp_spoofed(struct fixture *f, const void *data)
{
	static const struct {
		const char *mac, *sender;
	} bad[] = {{MAC_A, IP_PEER}, {MAC_GATEWAY, IP_PEER}, {MAC_PEER, IP_A}, {MAC_PEER, IP_C},
		{MAC_PEER, "192.168.1.1"}, {MAC_PEER, METADATA}};

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		vlan_refused(f, vlan_tagged(test_arp(MAC_PEER, 1, bad[i].mac, bad[i].sender, IP_B), 100),
			DROP_SPOOFED_PHYSICAL);
		vlan_refused(f,
			vlan_tagged(
				vlan_to_mac(test_arp(MAC_PEER, 2, bad[i].mac, bad[i].sender, IP_B), MAC_B),
				100),
			DROP_SPOOFED_PHYSICAL);
	}
	vlan_refused(f, vlan_tagged(test_arp(MAC_A, 1, MAC_PEER, IP_PEER, IP_B), 100), DROP_SPOOFED_PHYSICAL);
	vlan_refused(f,
		vlan_tagged(vlan_to_mac(test_arp(MAC_PEER, 1, MAC_PEER, IP_PEER, IP_A), MAC_ROUTER), 100),
		DROP_UNKNOWN_MAC);
}

static void test_arp_announced(struct fixture *f, const void *data)
{
	struct test_frame moved = test_arp(MAC_PEER, 1, MAC_PEER, IP_PEER, IP_PEER);

	vlan_from_wire(f, 100, moved);
	vlan_assert_same(lab_expect(f, "a"), moved);
	vlan_assert_same(lab_expect(f, "b"), moved);
	vlan_assert_same(lab_expect(f, "c"), moved);
	lab_expect_none(f, "v");
	lab_expect_none(f, "w");
	lab_expect_none(f, "/a"); /* which is not active */
}

static void test_announcing(struct fixture *f, const void *data)
{
	static const struct {
		uint16_t id;
		const char *mac, *ip;
	} expected[] = {{100, MAC_A, IP_A}, {100, MAC_B, IP_B}, {100, MAC_C, IP_C}, {200, MAC_V, IP_V},
		{UNTAGGED, MAC_W, IP_W}};

	for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++) {
		struct test_frame frame = vlan_on_wire(f, expected[i].id);
		vlan_assert_arp(frame, 1, expected[i].mac, expected[i].ip, expected[i].ip);
	}
	lab_apply(f);
	lab_expect_none(f, "phys"); /* nothing is new */
	json_array_append_new(
		json_object_get(lab_nic(f, 3), "addresses"), json_pack("{s:s}", "ip", "192.168.1.40"));
	lab_apply(f);
	struct test_frame frame = vlan_on_wire(f, 200);
	vlan_assert_arp(frame, 1, MAC_V, "192.168.1.40", "192.168.1.40");
	lab_expect_none(f, "phys");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, test) g_test_add("/vlan/" name, struct fixture, NULL, vlan_setup, test, lab_teardown)
	TEST("neighbours get each other's frames as they are, with the tag", test_bridged);
	TEST("whoever is on the wire may begin, and answers go to the MAC that the guest has for it",
		test_from_wire);
	TEST("the network without a tag has frames without one, or with a priority alone", test_untagged);
	TEST("VLANs are apart", test_apart);
	TEST("what is between NICs of one switch stays there", test_one_switch);
	TEST("both attachments get what the wire brings, and share it unharmed", test_both);
	TEST("connections follow their network to another VLAN", test_moved);
	TEST("a network that leaves the physical one takes its connections' way with it", test_gone);
	TEST("frames that are for nobody here are refused by name", test_refused);
	TEST("nobody on the wire is somebody here", test_spoofed);
	TEST("no flow carries a broadcast", test_flooding);
	TEST("IPv6 is refused both ways", test_only_ipv4);
	TEST("the receiver's groups are asked: the network's prefixes are the virtual network", test_policy);
	TEST("a guest's ARP goes to the wire unless the answer is here", test_arp_asked);
	TEST("ARP that must not leave does not", test_arp_held);
	TEST("NICs that are here are answered for on the wire", test_arp_answered);
	TEST("ARP in the name of somebody here is refused", test_arp_spoofed);
	TEST("connections with a neighbour that goes to another host go on by the wire",
		test_neighbour_moves);
	TEST("a NIC that has come from another host is told to the wire in its VLAN", test_rarp);
	TEST("an address that moves on the wire is told to all NICs of the VLAN", test_arp_announced);
	g_test_add("/vlan/NICs that come are announced, once", struct fixture, NULL, vlan_setup_announcing,
		test_announcing, lab_teardown);
	return lab_run();
}
