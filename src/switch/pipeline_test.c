/* Tests of the whole pipeline: packets in by one port, out by another, between them everything but real
 * devices. */
#include "switch/test_lab.h"

#include <rte_mbuf.h>
#include <string.h>

/* ---- forwarding ---- */

static void test_neighbours(struct fixture *f, const void *data)
{
	for (unsigned i = 0; i < 10; i++) {
		lab_put(f, "a", test_udp(MAC_A, MAC_C, IP_A, 1000, IP_B, 53, i));
		struct test_frame frame = lab_expect(f, "b");
		lab_assert_path(&frame, MAC_A, MAC_B, IP_A, IP_B);
		g_assert_cmpuint(frame.bytes[22], ==, 64);
		lab_put(f, "b", test_udp(MAC_B, MAC_A, IP_B, 53, IP_A, 1000, i));
		frame = lab_expect(f, "a");
		lab_assert_path(&frame, MAC_B, MAC_A, IP_B, IP_A);
	}
	g_assert_cmpuint(f->worker->counters.misses, ==, 1);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
}

static void test_subnets(struct fixture *f, const void *data)
{
	lab_put(f, "a", test_tcp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_C, 80, TCP_SYN, 0));
	struct test_frame frame = lab_expect(f, "c");
	lab_assert_path(&frame, MAC_GATEWAY, MAC_C, IP_A, IP_C);
	g_assert_cmpuint(frame.bytes[22], ==, 63);
	lab_put(f, "c", test_tcp(MAC_C, MAC_GATEWAY, IP_C, 80, IP_A, 1000, TCP_SYN | TCP_ACK, 0));
	frame = lab_expect(f, "a");
	lab_assert_path(&frame, MAC_GATEWAY, MAC_A, IP_C, IP_A);
}

static void test_burst(struct fixture *f, const void *data)
{
	struct test_frame frames[WORKER_BURST];

	/* Half of one new flow, a quarter each of another and of what is refused, interleaved. */
	for (unsigned i = 0; i < WORKER_BURST; i++)
		frames[i] = i % 4 == 3   ? test_udp(MAC_B, MAC_B, IP_A, 1, IP_B, 1, i)
			    : i % 4 == 1 ? test_udp(MAC_A, MAC_C, IP_A, 7, IP_C, 7, i)
					 : test_udp(MAC_A, MAC_B, IP_A, 8, IP_B, 8, i);
	lab_put_burst(f, "a", frames, WORKER_BURST);
	for (unsigned i = 0; i < WORKER_BURST; i += 2) {
		struct test_frame frame = lab_expect(f, "b");
		g_assert_cmpuint(frame.length, ==, 42 + i); /* in order */
	}
	for (unsigned i = 1; i < WORKER_BURST; i += 4) {
		struct test_frame frame = lab_expect(f, "c");
		g_assert_cmpuint(frame.length, ==, 42 + i);
	}
	lab_expect_none(f, "b");
	lab_expect_none(f, "c");
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_MAC), ==, 8);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 2);
}

static void test_both(struct fixture *f, const void *data)
{
	lab_put(f, "b", test_udp(MAC_B, MAC_A, IP_B, 1, IP_A, 2, 10));
	lab_expect(f, "a");
	lab_expect_none(f, "/a");
	json_object_set_new(lab_nic(f, 0), "active", json_string("both"));
	lab_apply(f);
	lab_put(f, "b", test_udp(MAC_B, MAC_A, IP_B, 1, IP_A, 2, 10));
	struct test_frame one = lab_expect(f, "a"), other = lab_expect(f, "/a");
	g_assert_cmpmem(one.bytes, one.length, other.bytes, other.length);
	json_object_set_new(lab_nic(f, 0), "active", json_string("synthetic"));
	lab_apply(f);
	lab_put(f, "b", test_udp(MAC_B, MAC_A, IP_B, 1, IP_A, 2, 10));
	lab_expect_none(f, "a");
	lab_expect(f, "/a");
	/* Arrivals are taken from either. */
	lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, 2, IP_B, 1, 10));
	lab_expect(f, "b");
	lab_put(f, "/a", test_udp(MAC_A, MAC_B, IP_A, 2, IP_B, 1, 10));
	lab_expect(f, "b");
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
}

static void test_receiver(struct fixture *f, const void *data)
{
	struct test_frame frames[8];

	for (unsigned i = 0; i < 8; i++)
		frames[i] = test_udp(MAC_A, MAC_B, IP_A, 8, IP_B, 8, 0);
	port_fake_limit(lab_port(f, "b"), 3);
	lab_put_burst(f, "a", frames, 8);
	g_assert_cmpuint(lab_drops(f, DROP_PORT_FULL), ==, 5);
	port_fake_set_down(lab_port(f, "b"), true);
	lab_put_burst(f, "a", frames, 8);
	g_assert_cmpuint(lab_drops(f, DROP_PORT_DOWN), ==, 8);
	struct port_counters sum = port_counters_sum(lab_port(f, "b"));
	g_assert_cmpuint(sum.tx_packets, ==, 3);
	g_assert_cmpuint(sum.drops, ==, 13);
}

static uint64_t answered_by(struct fixture *f, const char *asked)
{
	lab_put(f, "a", test_arp(MAC_A, 1, MAC_A, IP_A, asked));
	g_autoptr(GBytes) answer = port_fake_take(lab_port(f, "a"));

	return answer ? (uint64_t)load32((const uint8_t *)g_bytes_get_data(answer, NULL) + 22) : 0;
}

static void test_arp_answers(struct fixture *f, const void *data)
{
	g_assert_cmphex(answered_by(f, "192.168.1.1"), ==, 0x12345678);
	g_assert_cmphex(answered_by(f, "192.168.2.1"), ==, 0x12345678);
	g_assert_cmphex(answered_by(f, IP_B), ==, 0x000d3a00); /* a neighbour by its own MAC */
	g_assert_cmphex(answered_by(f, IP_C), ==, 0x12345678); /* another subnet's by the gateway's */
	g_assert_cmphex(answered_by(f, IP_A), ==, 0);
	g_assert_cmphex(answered_by(f, "192.168.1.77"), ==, 0);
	g_assert_cmphex(answered_by(f, PEER), ==, 0);
	lab_put(f, "a", test_arp(MAC_A, 1, MAC_B, IP_A, IP_B));
	lab_put(f, "a", test_arp(MAC_A, 2, MAC_A, IP_B, IP_C));
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_ARP), ==, 2);
}

/* ---- translation ---- */

static void test_translation(struct fixture *f, const void *data)
{
	lab_meet_peer(f);
	for (unsigned length = 0; length < 40; length++) {
		lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, PEER, 53, length));
		struct test_frame frame = lab_expect(f, "out");
		lab_assert_path(&frame, MAC_OUT, MAC_PEER, PUBLIC_A, PEER);
		g_assert_cmpuint(frame.bytes[22], ==, 63);
		lab_put(f, "out", test_udp(MAC_PEER, MAC_OUT, PEER, 53, PUBLIC_A, 1000, length));
		frame = lab_expect(f, "a");
		lab_assert_path(&frame, MAC_GATEWAY, MAC_A, PEER, IP_A);
	}
	lab_put(f, "a", test_tcp(MAC_A, MAC_GATEWAY, IP_A, 1001, PEER, 80, TCP_SYN, 3));
	lab_expect(f, "out");
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 80, PUBLIC_A, 1001, TCP_SYN | TCP_ACK, 7));
	lab_expect(f, "a");
	lab_put(f, "a", test_icmp(MAC_A, MAC_GATEWAY, IP_A, PEER, 8, 0, 77, 33));
	lab_expect(f, "out");
	lab_put(f, "out", test_icmp(MAC_PEER, MAC_OUT, PEER, PUBLIC_A, 0, 0, 77, 33));
	lab_expect(f, "a");
	/* UDP without a checksum stays without. */
	struct test_frame frame = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, PEER, 53, 5);
	memset(frame.bytes + 40, 0, 2);
	lab_put(f, "a", frame);
	frame = lab_expect(f, "out");
	g_assert_cmpuint(load16(frame.bytes + 40), ==, 0);
	/* A protocol without ports. */
	frame = test_ipv4(MAC_A, MAC_GATEWAY, IP_A, PEER, 50, 64);
	test_fix(&frame);
	lab_put(f, "a", frame);
	frame = lab_expect(f, "out");
	lab_assert_path(&frame, MAC_OUT, MAC_PEER, PUBLIC_A, PEER);
}

/* Checksums whose difference passes through 0 and 0xffff. */
static void test_checksum_extremes(struct fixture *f, const void *data)
{
	lab_meet_peer(f);
	for (unsigned i = 0; i < 20000; i++) {
		struct test_frame frame =
			test_udp(MAC_A, MAC_GATEWAY, IP_A, (uint16_t)(1000 + i % 3), PEER, 53, 4);
		store32(frame.bytes + 42, g_test_rand_int());
		test_fix(&frame);
		lab_put(f, "a", frame);
		lab_expect(f, "out"); /* asserts the checksums */
	}
}

static void test_hairpin(struct fixture *f, const void *data)
{
	lab_allow_port(f, 22);
	lab_put(f, "a", test_tcp(MAC_A, MAC_GATEWAY, IP_A, 1000, PUBLIC_B, 22, TCP_SYN, 0));
	struct test_frame frame = lab_expect(f, "b");
	lab_assert_path(&frame, MAC_GATEWAY, MAC_B, PUBLIC_A, IP_B);
	lab_put(f, "b", test_tcp(MAC_B, MAC_GATEWAY, IP_B, 22, PUBLIC_A, 1000, TCP_SYN | TCP_ACK, 0));
	frame = lab_expect(f, "a");
	lab_assert_path(&frame, MAC_GATEWAY, MAC_A, PUBLIC_B, IP_A);
	/* Itself by its own public address. */
	lab_put(f, "a", test_tcp(MAC_A, MAC_GATEWAY, IP_A, 1000, PUBLIC_A, 22, TCP_SYN, 0));
	frame = lab_expect(f, "a");
	lab_assert_path(&frame, MAC_GATEWAY, MAC_A, PUBLIC_A, IP_A);
}

static void test_platform(struct fixture *f, const void *data)
{
	lab_put(f, "a", test_tcp(MAC_A, MAC_GATEWAY, IP_A, 1000, "169.254.169.254", 80, TCP_SYN, 0));
	struct test_frame frame = lab_expect(f, "host"); /* ARP first */
	g_assert_cmpuint(load16(frame.bytes + 12), ==, 0x0806);
	g_assert_cmphex(load32(frame.bytes + 28), ==, 0x64400004); /* asked in the NIC's name */
	lab_put(f, "host", test_arp(MAC_PEER, 2, MAC_PEER, "169.254.169.254", "100.64.0.4"));
	frame = lab_expect(f, "host");
	lab_assert_path(&frame, MAC_HOST, MAC_PEER, "100.64.0.4", "169.254.169.254");
	lab_put(f, "host",
		test_tcp(
			MAC_PEER, MAC_HOST, "169.254.169.254", 80, "100.64.0.4", 1000, TCP_SYN | TCP_ACK, 0));
	frame = lab_expect(f, "a");
	lab_assert_path(&frame, MAC_GATEWAY, MAC_A, "169.254.169.254", IP_A);
	lab_put(f, "c", test_tcp(MAC_C, MAC_GATEWAY, IP_C, 1, "169.254.169.254", 80, TCP_SYN, 0));
	g_assert_cmpuint(lab_drops(f, DROP_NO_HOST_PORT), ==, 1); /* c has no host address */
	/* Nobody else may speak for the platform. */
	lab_put(f, "out", test_udp(MAC_PEER, MAC_OUT, "169.254.169.254", 80, PUBLIC_A, 9, 0));
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_OUTSIDE), ==, 1);
}

/* ---- what is behind a packet ---- */

/* The frame with so many bytes more, in several buffers. */
static struct rte_mbuf *with_trailer(const struct test_frame *frame, uint32_t trailer)
{
	struct rte_mbuf *packet = rte_pktmbuf_alloc(lab_pool());

	memcpy(rte_pktmbuf_append(packet, (uint16_t)frame->length), frame->bytes, frame->length);
	for (uint32_t left = trailer, n; left; left -= n) {
		struct rte_mbuf *part = left == trailer ? packet : rte_pktmbuf_alloc(lab_pool());
		n = MIN(left, (uint32_t)rte_pktmbuf_tailroom(part));
		memset(rte_pktmbuf_append(part, (uint16_t)n), 0xee, n);
		if (part != packet)
			g_assert_cmpint(rte_pktmbuf_chain(packet, part), ==, 0);
	}
	return packet;
}

/* A guest may make a small packet a frame of any size. */
static void test_trailer(struct fixture *f, const void *data)
{
	static const struct {
		uint32_t trailer, length;
	} cases[] = {{0, 68}, {100, 168}, {1446, 1514}, {1447, 68}, {9000, 68}, {65525, 68}};
	struct test_frame frame = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, PEER, 2, 26);

	lab_meet_peer(f);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct rte_mbuf *packet = with_trailer(&frame, cases[i].trailer);
		lab_put_packets(f, "a", &packet, 1);
		g_assert_cmpuint(lab_expect(f, "out").length, ==, cases[i].length);
	}
	/* Nor what the switch answers itself, which has no flow. */
	frame = test_arp(MAC_A, 1, MAC_A, IP_A, "192.168.1.1");
	struct rte_mbuf *packet = with_trailer(&frame, 65000);
	lab_put_packets(f, "a", &packet, 1);
	frame = lab_expect(f, "a");
	g_assert_cmpuint(frame.length, ==, 60);
	g_assert_cmpuint(load16(frame.bytes + 20), ==, 2); /* the answer */
}

/* ---- neighbours outside ---- */

static void test_arp_wait(struct fixture *f, const void *data)
{
	for (unsigned i = 0; i < 10; i++)
		lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, PEER, 53, i));
	struct test_frame frame = lab_expect(f, "out");
	g_assert_cmpuint(load16(frame.bytes + 12), ==, 0x0806);
	lab_expect_none(f, "out"); /* asked once */
	g_assert_cmpuint(lab_drops(f, DROP_NEIGHBOUR_WAIT), ==, 2);
	lab_put(f, "out", test_arp(MAC_PEER, 2, MAC_PEER, PEER, PUBLIC_A));
	for (unsigned i = 0; i < 8; i++) {
		frame = lab_expect(f, "out");
		g_assert_cmpuint(frame.length, ==, 42 + i);
		lab_assert_path(&frame, MAC_OUT, MAC_PEER, PUBLIC_A, PEER);
	}
	lab_expect_none(f, "out");
}

static void test_arp_fails(struct fixture *f, const void *data)
{
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, "203.0.113.77", 53, 0));
	lab_pass(f, 10 * SECOND);
	for (unsigned i = 0; i < 3; i++)
		lab_expect(f, "out");
	lab_expect_none(f, "out");
	g_assert_cmpuint(lab_drops(f, DROP_NEIGHBOUR_FAILED), ==, 1);
}

static void test_arp_again(struct fixture *f, const void *data)
{
	unsigned requests = 0, packets = 0;

	lab_meet_peer(f);
	for (unsigned i = 0; i < 40; i++) {
		lab_pass(f, 1 * SECOND);
		lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, PEER, 1, 0));
		for (GBytes *bytes; (bytes = port_fake_take(lab_port(f, "out"))); g_bytes_unref(bytes)) {
			if (load16((const uint8_t *)g_bytes_get_data(bytes, NULL) + 12) == 0x0800) {
				packets++;
			} else if (++requests == 2) { /* the first question is lost */
				lab_put(f, "out", test_arp(MAC_PEER, 2, MAC_PEER, PEER, PUBLIC_A));
			}
		}
	}
	g_assert_cmpuint(packets, ==, 40);
	g_assert_cmpuint(requests, ==, 2);
}

/* The public address that asked first is another's now: nobody is told that it is here. */
static void test_arp_moved(struct fixture *f, const void *data)
{
	const char *const moved = "203.0.113.50";
	json_t *address = json_array_get(json_object_get(lab_nic(f, 0), "addresses"), 0);
	unsigned packets = 0, asked = 0;

	lab_meet_peer(f);
	json_object_set_new(address, "public", json_string(moved));
	lab_apply(f);
	lab_expect(f, "out"); /* its announcement */
	for (unsigned i = 0; i < 40; i++) {
		lab_pass(f, 1 * SECOND);
		lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, PEER, 1, 0));
		for (GBytes *bytes; (bytes = port_fake_take(lab_port(f, "out"))); g_bytes_unref(bytes)) {
			const uint8_t *frame = g_bytes_get_data(bytes, NULL);
			packets += load16(frame + 12) == 0x0800;
			if (load16(frame + 12) != 0x0806)
				continue;
			g_assert_cmphex(load32(frame + 28), ==, 0xcb007132); /* 203.0.113.50 asks */
			lab_put(f, "out", test_arp(MAC_PEER, 2, MAC_PEER, PEER, moved));
			asked++;
		}
	}
	g_assert_cmpuint(packets, ==, 40);
	g_assert_cmpuint(asked, >, 0);
}

static void test_announce(struct fixture *f, const void *data)
{
	json_t *address = json_array_get(json_object_get(lab_nic(f, 0), "addresses"), 0);

	json_object_set_new(address, "public", json_string("203.0.113.50"));
	lab_apply(f);
	struct test_frame frame = lab_expect(f, "out");
	g_assert_cmpuint(load16(frame.bytes + 12), ==, 0x0806);
	g_assert_cmphex(load32(frame.bytes + 28), ==, 0xcb007132);
	g_assert_cmphex(load32(frame.bytes + 38), ==, 0xcb007132);
	lab_expect_none(f, "out"); /* b's did not change */
}

/* ---- policy and connections ---- */

static void open_tcp(struct fixture *f)
{
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, PUBLIC_B, 22, TCP_SYN, 0));
	lab_expect(f, "b");
	lab_put(f, "b", test_tcp(MAC_B, MAC_GATEWAY, IP_B, 22, PEER, 1000, TCP_SYN | TCP_ACK, 0));
	lab_expect(f, "out");
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, PUBLIC_B, 22, TCP_ACK, 0));
	lab_expect(f, "b");
}

static void test_denied(struct fixture *f, const void *data)
{
	lab_meet_peer(f);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, PUBLIC_B, 22, TCP_SYN, 0));
	lab_expect_none(f, "b");
	g_assert_cmpuint(lab_drops(f, DROP_DENIED_INBOUND), ==, 1);
	lab_allow_port(f, 22);
	open_tcp(f);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, PUBLIC_B, 23, TCP_SYN, 0));
	lab_expect_none(f, "b");
}

static void test_revoked(struct fixture *f, const void *data)
{
	lab_meet_peer(f);
	lab_allow_port(f, 22);
	open_tcp(f);
	lab_deny_all(f);
	/* The side that was spoken to first: its segments are no connection of their own. */
	lab_put(f, "b", test_tcp(MAC_B, MAC_GATEWAY, IP_B, 22, PEER, 1000, TCP_ACK, 5));
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, PUBLIC_B, 22, TCP_ACK, 5));
	lab_expect_none(f, "b");
	lab_expect_none(f, "out");
	g_assert_cmpuint(lab_drops(f, DROP_REVOKED), ==, 2);
	for (unsigned i = 0; i < 20; i++) { /* however long it keeps trying */
		lab_pass(f, 30 * SECOND);
		lab_put(f, "b", test_tcp(MAC_B, MAC_GATEWAY, IP_B, 22, PEER, 1000, TCP_ACK, 5));
	}
	g_assert_cmpuint(lab_drops(f, DROP_REVOKED), ==, 22);
	/* And when it has fallen silent, it is forgotten. */
	lab_pass(f, 100 * SECOND);
	lab_put(f, "b", test_tcp(MAC_B, MAC_GATEWAY, IP_B, 22, PEER, 1000, TCP_ACK, 5));
	g_assert_cmpuint(lab_drops(f, DROP_TCP_NO_SYN), ==, 1);
}

static void test_allowed_again(struct fixture *f, const void *data)
{
	lab_meet_peer(f);
	lab_allow_port(f, 22);
	open_tcp(f);
	lab_deny_all(f);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, PUBLIC_B, 22, TCP_ACK, 5));
	lab_expect_none(f, "b");
	lab_allow_port(f, 22);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, PUBLIC_B, 22, TCP_ACK, 5));
	lab_expect(f, "b");
}

static void test_not_revalidated(struct fixture *f, const void *data)
{
	lab_meet_peer(f);
	json_object_set_new(lab_group(f), "revalidate", json_false());
	lab_allow_port(f, 22);
	open_tcp(f);
	lab_deny_all(f);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, PUBLIC_B, 22, TCP_ACK, 5));
	lab_expect(f, "b");
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1001, PUBLIC_B, 22, TCP_SYN, 0));
	lab_expect_none(f, "b");
}

static void test_unchanged(struct fixture *f, const void *data)
{
	lab_allow_port(f, 22);
	lab_meet_peer(f);
	open_tcp(f);
	uint64_t misses = f->worker->counters.misses;
	for (unsigned i = 0; i < 5; i++) {
		lab_apply(f);
		lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, PUBLIC_B, 22, TCP_ACK, 5));
		lab_expect(f, "b");
		lab_put(f, "b", test_tcp(MAC_B, MAC_GATEWAY, IP_B, 22, PEER, 1000, TCP_ACK, 5));
		lab_expect(f, "out");
	}
	/* Decided anew once a state, and the counters went on. */
	g_assert_cmpuint(f->worker->counters.revalidations, ==, 5);
	g_assert_cmpuint(f->worker->counters.misses, ==, misses + 5);
	struct flow flow;
	uint64_t most = 0;
	for (uint32_t i = 1; i < flow_table_end(f->datapath->flows); i++)
		if (flow_table_copy(f->datapath->flows, i, &flow))
			most = MAX(most, flow.packets);
	g_assert_cmpuint(most, ==, 7);
}

static void test_moved(struct fixture *f, const void *data)
{
	json_t *address = json_array_get(json_object_get(lab_nic(f, 0), "addresses"), 0);

	lab_meet_peer(f);
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, PEER, 53, 1));
	lab_expect(f, "out");
	json_object_set_new(address, "public", json_string("203.0.113.50"));
	lab_apply(f);
	lab_expect(f, "out"); /* announced */
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, PEER, 53, 1));
	struct test_frame frame = lab_expect(f, "out");
	lab_assert_path(&frame, MAC_OUT, MAC_PEER, "203.0.113.50", PEER);
	lab_put(f, "out", test_udp(MAC_PEER, MAC_OUT, PEER, 53, PUBLIC_A, 1000, 1));
	lab_expect_none(f, "a"); /* nobody has that address any more */
	lab_put(f, "out", test_udp(MAC_PEER, MAC_OUT, PEER, 53, "203.0.113.50", 1000, 1));
	lab_expect(f, "a");
}

/* A public address that goes to another NIC takes no connection with it. */
static void test_handed_over(struct fixture *f, const void *data)
{
	json_t *from = json_array_get(json_object_get(lab_nic(f, 1), "addresses"), 0);
	json_t *to = json_array_get(json_object_get(lab_nic(f, 2), "addresses"), 0);

	lab_meet_peer(f);
	lab_allow_port(f, 22);
	open_tcp(f);
	json_object_set_new(from, "public", json_null());
	json_object_set_new(to, "public", json_string(PUBLIC_B));
	lab_apply(f);
	lab_put(f, "b", test_tcp(MAC_B, MAC_GATEWAY, IP_B, 22, PEER, 1000, TCP_ACK, 5));
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, PUBLIC_B, 22, TCP_ACK, 5));
	lab_expect_none(f, "b");
	lab_expect_none(f, "c");
	lab_expect_none(f, "out");
	g_assert_cmpuint(lab_drops(f, DROP_REVOKED), ==, 1);
	g_assert_cmpuint(lab_drops(f, DROP_TCP_NO_SYN), ==, 1);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1001, PUBLIC_B, 22, TCP_SYN, 0));
	lab_expect(f, "c");
}

static uint64_t drops_of(struct fixture *f, const char *uid, enum drop reason)
{
	const struct snapshot *state = datapath_snapshot(f->datapath);

	for (unsigned i = 0; i < NIC_SLOTS; i++)
		if (state->nics[i] && g_str_equal(state->nics[i]->uid, uid))
			return datapath_nic_drops(f->datapath, state->nics[i], reason);
	g_error("no NIC %s", uid);
}

/* Between two NICs of the switch: what a receiver's rules deny is found under the receiver. */
static void test_refuser(struct fixture *f, const void *data)
{
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, PUBLIC_B, 53, 1));
	g_assert_cmpuint(lab_drops(f, DROP_DENIED_INBOUND), ==, 1);
	g_assert_cmpuint(drops_of(f, "b", DROP_DENIED_INBOUND), ==, 1);
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_B, 1, PEER, 53, 1));
	g_assert_cmpuint(drops_of(f, "a", DROP_SPOOFED_IP), ==, 1);
}

/* Without an uplink what leaves is refused, and said. */
static void test_no_outside(struct fixture *f, const void *data)
{
	json_object_set_new(f->state, "outside", json_null());
	lab_apply(f);
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, PEER, 53, 1));
	g_assert_cmpuint(lab_drops(f, DROP_NO_OUTSIDE), ==, 1);
	struct test_frame error = lab_expect(f, "a");
	g_assert_cmpuint(load16(error.bytes + 34), ==, 3 << 8 | 0);
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, PUBLIC_B, 53, 1));
	g_assert_cmpuint(lab_drops(f, DROP_DENIED_INBOUND), ==, 1); /* NICs of the switch need no uplink */
}

static void test_tcp_life(struct fixture *f, const void *data)
{
	lab_meet_peer(f);
	lab_allow_port(f, 22);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, PUBLIC_B, 22, TCP_ACK, 5));
	g_assert_cmpuint(lab_drops(f, DROP_TCP_NO_SYN), ==, 1);
	open_tcp(f);
	lab_pass(f, 7000 * SECOND); /* idle, and still there */
	lab_put(f, "b", test_tcp(MAC_B, MAC_GATEWAY, IP_B, 22, PEER, 1000, TCP_ACK, 5));
	struct test_frame frame;
	do
		frame = lab_expect(f, "out"); /* ARP may come first */
	while (load16(frame.bytes + 12) != 0x0806);
	lab_put(f, "out", test_arp(MAC_PEER, 2, MAC_PEER, PEER, PUBLIC_A));
	lab_expect(f, "out");
	lab_put(f, "b", test_tcp(MAC_B, MAC_GATEWAY, IP_B, 22, PEER, 1000, TCP_ACK | TCP_FIN, 0));
	lab_expect(f, "out");
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, PUBLIC_B, 22, TCP_ACK | TCP_FIN, 0));
	lab_expect(f, "b");
	/* The same ports begin anew at once, as a connection that lives. */
	open_tcp(f);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
	lab_pass(f, 300 * SECOND);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, PUBLIC_B, 22, TCP_RST, 0));
	lab_expect(f, "b");
	lab_pass(f, 60 * SECOND);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 0);
	g_assert_cmpuint(atomic_load(&f->datapath->nic_connections[1]), ==, 0);
}

static void test_learning(struct fixture *f, const void *data)
{
	f->now_ms = f->datapath->started_ms + 10 * SECOND;
	worker_begin(f->worker, f->now_ms);
	lab_allow_port(f, 22);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, PUBLIC_B, 22, TCP_ACK, 5));
	lab_expect(f, "b");
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, PUBLIC_B, 23, TCP_ACK, 5));
	lab_expect_none(f, "b"); /* what policy forbids is not learnt */
	/* It is over, also when the clock has gone round. */
	lab_allow_port(f, 23);
	lab_pass(f, 60 * SECOND);
	f->now_ms = f->datapath->started_ms + 10 * SECOND;
	worker_begin(f->worker, f->now_ms);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, PUBLIC_B, 23, TCP_ACK, 5));
	lab_expect_none(f, "b");
	g_assert_cmpuint(lab_drops(f, DROP_TCP_NO_SYN), ==, 1);
}

static void test_timeouts(struct fixture *f, const void *data)
{
	lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, 1, IP_B, 1, 0));
	lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, 2, IP_B, 2, 0));
	lab_put(f, "b", test_udp(MAC_B, MAC_A, IP_B, 2, IP_A, 2, 0));
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 2);
	lab_pass(f, 40 * SECOND);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
	for (unsigned i = 0; i < 4; i++) { /* one direction alone keeps both */
		lab_pass(f, 200 * SECOND);
		lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, 2, IP_B, 2, 0));
	}
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
	lab_pass(f, 320 * SECOND);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 0);
	g_assert_cmpuint(f->worker->counters.expired, ==, 2);
}

static void test_quota(struct fixture *f, const void *data)
{
	for (uint16_t i = 0; i < 600; i++)
		lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, (uint16_t)(1 + i), IP_B, 1, 0));
	g_assert_cmpuint(lab_drops(f, DROP_FLOW_QUOTA), ==, 100);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 500);
	lab_put(f, "c", test_udp(MAC_C, MAC_GATEWAY, IP_C, 1, IP_B, 1, 0));
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 501); /* others are unhurt */
	lab_pass(f, 60 * SECOND);
	lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, 9999, IP_B, 1, 0));
	g_assert_cmpuint(lab_drops(f, DROP_FLOW_QUOTA), ==, 100);
}

static void test_full(struct fixture *f, const void *data)
{
	for (uint16_t i = 0; i < 40; i++)
		lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, (uint16_t)(1 + i), IP_B, 1, 0));
	g_assert_cmpuint(lab_drops(f, DROP_TABLE_FULL), ==, 24);
}

/* Its places are all taken, and the workers still hold what it had: a connection goes another way all the
 * same. */
static void test_full_moved(struct fixture *f, const void *data)
{
	json_t *address = json_array_get(json_object_get(lab_nic(f, 0), "addresses"), 0);

	lab_meet_peer(f);
	lab_put(f, "a", test_tcp(MAC_A, MAC_GATEWAY, IP_A, 1000, PEER, 80, TCP_SYN, 0));
	lab_expect(f, "out");
	for (uint16_t i = 0; i < 40; i++)
		lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, (uint16_t)(1 + i), IP_B, 1, 0));
	uint64_t full = lab_drops(f, DROP_TABLE_FULL);
	g_assert_cmpuint(full, >, 0);
	for (unsigned i = 0; i < 5; i++) {
		g_autofree char *ip = g_strdup_printf("203.0.113.%u", 50 + i);
		json_object_set_new(address, "public", json_string(ip));
		lab_apply(f);
		lab_expect(f, "out"); /* announced */
		lab_put(f, "a", test_tcp(MAC_A, MAC_GATEWAY, IP_A, 1000, PEER, 80, TCP_ACK, 5));
		struct test_frame frame = lab_expect(f, "out");
		lab_assert_path(&frame, MAC_OUT, MAC_PEER, ip, PEER);
		lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 80, ip, 1000, TCP_ACK, 5));
		lab_expect(f, "a");
	}
	g_assert_cmpuint(lab_drops(f, DROP_TABLE_FULL), ==, full);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 16);
}

static void test_removed(struct fixture *f, const void *data)
{
	json_t *nics = json_object_get(f->state, "nics");
	json_auto_t *b = json_incref(json_array_get(nics, 1));

	lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, 1, IP_B, 1, 0));
	lab_expect(f, "b");
	lab_put(f, "b", test_udp(MAC_A, MAC_B, IP_B, 1, IP_A, 1, 0));
	g_assert_cmpuint(
		datapath_nic_drops(f->datapath, datapath_snapshot(f->datapath)->nics[1], DROP_SPOOFED_MAC),
		==, 1);
	json_array_remove(nics, 1);
	lab_apply(f);
	lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, 1, IP_B, 1, 0));
	lab_expect_none(f, "b");
	g_assert_cmpuint(lab_drops(f, DROP_REVOKED), ==, 1);
	/* A NIC that comes back, even by the same uid, is another one: it starts with counters of its own,
	 * and the old flow is judged again and re-made. */
	json_array_insert(nics, 1, b);
	lab_apply(f);
	g_assert_cmpuint(
		datapath_nic_drops(f->datapath, datapath_snapshot(f->datapath)->nics[1], DROP_SPOOFED_MAC),
		==, 0);
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_MAC), ==, 1);
	lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, 1, IP_B, 1, 0));
	lab_expect(f, "b");
}

/* ---- anything ---- */

/* Good frames with random changes, by every port: nothing crashes, nothing leaks, and nothing that leaves for
 * a NIC has another's MAC. */
static void test_anything(struct fixture *f, const void *data)
{
	static const char *const names[] = {"a", "b", "c", "out", "host", "/a"};
	const struct test_frame seeds[] = {
		test_tcp(MAC_A, MAC_B, IP_A, 1, IP_B, 22, TCP_SYN, 20),
		test_tcp(MAC_B, MAC_GATEWAY, IP_B, 22, PEER, 1000, TCP_ACK, 9),
		test_udp(MAC_A, "ff:ff:ff:ff:ff:ff", "0.0.0.0", 68, "255.255.255.255", 67, 300),
		test_udp(MAC_PEER, MAC_OUT, PEER, 53, PUBLIC_A, 1000, 30),
		test_icmp(MAC_A, MAC_GATEWAY, IP_A, "192.168.1.1", 8, 0, 1, 20),
		test_icmp(MAC_PEER, MAC_OUT, PEER, PUBLIC_A, 3, 4, 0, 60),
		test_arp(MAC_A, 1, MAC_A, IP_A, IP_B),
		test_arp(MAC_PEER, 1, MAC_PEER, PEER, PUBLIC_A),
		test_tcp(MAC_PEER, MAC_HOST, "169.254.169.254", 80, "100.64.0.4", 1, TCP_SYN, 0),
	};

	lab_allow_port(f, 22);
	for (unsigned i = 0; i < 60000; i++) {
		struct test_frame frame = seeds[g_test_rand_int_range(0, G_N_ELEMENTS(seeds))];
		for (int n = g_test_rand_int_range(0, 4); n; n--)
			frame.bytes[g_test_rand_int_range(12, (int)frame.length)] =
				(uint8_t)g_test_rand_int();
		uint32_t total = load16(frame.bytes + 16);
		if (g_test_rand_int_range(0, 2) && total >= 40 && 14 + total <= frame.length)
			test_fix(&frame);
		if (g_test_rand_int_range(0, 6) == 0)
			frame.length = (uint32_t)g_test_rand_int_range(1, (int)frame.length + 1);
		lab_put(f, names[g_test_rand_int_range(0, G_N_ELEMENTS(names))], frame);
		if (i % 1000 == 0)
			lab_pass(f, 200);
	}
	uint8_t mac[6];
	test_mac(MAC_B, mac);
	for (GBytes *bytes; (bytes = port_fake_take(lab_port(f, "b"))); g_bytes_unref(bytes))
		if (!(*(const uint8_t *)g_bytes_get_data(bytes, NULL) & 1))
			g_assert_cmpmem(g_bytes_get_data(bytes, NULL), 6, mac, 6);
}

#define ADD(name, fn) g_test_add("/pipeline/" name, struct fixture, NULL, lab_setup, fn, lab_teardown)

static void add_tests(void)
{
	ADD("neighbours in a subnet see each other's MAC, and one packet decides", test_neighbours);
	ADD("packets between subnets make a hop by the gateway", test_subnets);
	ADD("a burst keeps the order of each flow and makes each flow once", test_burst);
	ADD("delivery goes to the active attachments, arrival is taken from any", test_both);
	ADD("a receiver that is slow or gone is counted", test_receiver);
	ADD("translation keeps checksums right, for all protocols and lengths", test_translation);
	ADD("translation keeps checksums right, for any payload", test_checksum_extremes);
	ADD("NICs reach each other, and themselves, by public addresses", test_hairpin);
	ADD("a NIC has its own address behind the host port", test_platform);
	ADD("packets wait for the next hop's MAC, a few", test_arp_wait);
	ADD("a next hop that does not answer is given up", test_arp_fails);
	ADD("a next hop in use is confirmed without interruption", test_arp_again);
	ADD("a public address that is new is announced", test_announce);
	ADD("what no rule allows is dropped, before and after", test_denied);
	ADD("a revoked connection drops in both directions as long as it tries", test_revoked);
	ADD("a revoked connection that is allowed again goes on", test_allowed_again);
	ADD("a group may leave established connections alone", test_not_revalidated);
	ADD("an equal state keeps flows and their counters", test_unchanged);
	ADD("a changed public address changes its connections", test_moved);
	ADD("TCP begins with SYN, lives long, ends with FIN or RST", test_tcp_life);
	ADD("connections are taken up in the middle right after start only", test_learning);
	ADD("connections end by their time-outs, in both directions together", test_timeouts);
	ADD("a NIC over its quota hurts itself only", test_quota);
	ADD("a NIC that is removed gets nothing more", test_removed);
	ADD("a public address that goes to another NIC takes no connection along", test_handed_over);
	ADD("a drop is found under the NIC whose rules refuse", test_refuser);
	ADD("without an uplink what leaves is refused and said", test_no_outside);
	ADD("no frame is larger than its way carries by what is behind the packet", test_trailer);
	ADD("a public address that has moved asks for no next hop", test_arp_moved);
	ADD("ARP is answered for gateways and other NICs only", test_arp_answers);
	ADD("any bytes from anywhere do no harm", test_anything);
	g_test_add("/pipeline/a full table keeps its connections when their way changes", struct fixture,
		NULL, lab_setup_small, test_full_moved, lab_teardown);
	g_test_add("/pipeline/a full table drops new connections and counts them", struct fixture, NULL,
		lab_setup_small, test_full, lab_teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add_tests();
	return lab_run();
}
