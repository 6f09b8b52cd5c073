/* The whole pipeline on open frames and on packets that are longer than their way carries. */
#include "switch/packet_words.h"
#include "switch/segmentation.h"
#include "switch/test_large.h"
#include "switch/test_pair.h"

#include <rte_mbuf.h>
#include <string.h>

#define TAKES_ALL (PORT_TAKES_CHECKSUM | PORT_TAKES_TSO4 | PORT_TAKES_TSO6 | PORT_TAKES_CWR)
#define SEGMENT   1400

static const struct large a_to_c = {.smac = MAC_A,
	.dmac = MAC_GATEWAY,
	.src = IP_A,
	.dst = IP_C,
	.sport = 1,
	.dport = 2,
	.payload = 60000};
/* The same as c gets it. */
static const struct large at_c = {.smac = MAC_GATEWAY,
	.dmac = MAC_C,
	.src = IP_A,
	.dst = IP_C,
	.sport = 1,
	.dport = 2,
	.payload = 60000};
static const struct large a_to_peer = {.smac = MAC_A,
	.dmac = MAC_GATEWAY,
	.src = IP_A,
	.dst = PEER,
	.sport = 1,
	.dport = 2,
	.payload = 60000};
static const struct large at_peer = {.smac = MAC_OUT,
	.dmac = MAC_PEER,
	.src = PUBLIC_A,
	.dst = PEER,
	.sport = 1,
	.dport = 2,
	.payload = 60000};
static const struct large a_to_d = {
	.smac = MAC_A, .dmac = MAC_D, .src = IP_A, .dst = IP_D, .sport = 1, .dport = 2, .payload = 60000};

/* ---- helpers ---- */

/* A connection from its first packet on. */
static void connect_from(struct fixture *f, const char *port, const struct large *large)
{
	lab_put(f, port,
		test_tcp(large->smac, large->dmac, large->src, large->sport, large->dst, large->dport,
			TCP_SYN, 0));
}

static void put_claimed(struct fixture *f, const char *port, struct rte_mbuf *packet, uint16_t segment)
{
	large_claim(packet, segment);
	lab_put_packets(f, port, &packet, 1);
}

static void put_large(struct fixture *f, const char *port, const struct large *large, uint16_t segment)
{
	put_claimed(f, port, large_make(large, lab_pool(), 0), segment);
}

/* Its segments come out of the port, each complete. */
static void expect_segments(
	struct fixture *f, const char *port, const struct large *large, uint32_t segment, uint8_t ttl)
{
	struct port_fake_open open;
	uint32_t from = 0;

	for (unsigned n = 0; from < large->payload; n++) {
		g_autoptr(GBytes) bytes = port_fake_take_open(lab_port(f, port), &open);
		g_assert_nonnull(bytes);
		g_assert_cmphex(open.flags, ==, 0);
		from = large_check(large, g_bytes_get_data(bytes, NULL), (uint32_t)g_bytes_get_size(bytes), n,
			from, segment, ttl);
	}
	lab_expect_none(f, port);
}

static void expect_whole(struct fixture *f, const char *port, const struct large *large, uint8_t ttl)
{
	struct port_fake_open open;
	g_autoptr(GBytes) bytes = port_fake_take_open(lab_port(f, port), &open);

	g_assert_nonnull(bytes);
	g_assert_cmphex(open.flags, ==, RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG);
	g_assert_cmpuint(open.segment, ==, SEGMENT);
	large_check_whole(large, g_bytes_get_data(bytes, NULL), (uint32_t)g_bytes_get_size(bytes), ttl);
	lab_expect_none(f, port);
}

/* ---- segments ---- */

static void test_cut(struct fixture *f, const void *data)
{
	connect_from(f, "a", &a_to_c);
	lab_expect(f, "c");
	put_large(f, "a", &a_to_c, SEGMENT);
	expect_segments(f, "c", &at_c, SEGMENT, 63);
	/* Both ends of the flow's counters are the guest's frame, the port's those that it sent. */
	const struct flow *flow = flow_table_at(f->datapath->flows, 1);
	g_assert_cmpuint(flow->packets + flow_table_pair(f->datapath->flows, flow)->packets, ==, 2);
	g_assert_cmpuint(port_counters_sum(lab_port(f, "c")).tx_packets, ==, 1 + 43);
}

static void test_whole(struct fixture *f, const void *data)
{
	lab_port(f, "c")->takes = TAKES_ALL;
	connect_from(f, "a", &a_to_c);
	lab_expect(f, "c");
	put_large(f, "a", &a_to_c, SEGMENT);
	expect_whole(f, "c", &at_c, 63);
}

/* What the port does not take of it is done, and no more. */
static void test_checksum_only(struct fixture *f, const void *data)
{
	struct port_fake_open open;
	unsigned n = 0;

	lab_port(f, "c")->takes = PORT_TAKES_CHECKSUM;
	connect_from(f, "a", &a_to_c);
	lab_expect(f, "c");
	put_large(f, "a", &a_to_c, SEGMENT);
	for (GBytes *bytes; (bytes = port_fake_take_open(lab_port(f, "c"), &open)); g_bytes_unref(bytes), n++)
		g_assert_cmphex(open.flags, ==, RTE_MBUF_F_TX_TCP_CKSUM);
	g_assert_cmpuint(n, ==, 43);
}

/* Frames keep their order, whether they are cut or not. */
static void test_order(struct fixture *f, const void *data)
{
	struct rte_mbuf *packets[3];

	connect_from(f, "a", &a_to_c);
	lab_expect(f, "c");
	for (unsigned i = 0; i < 3; i++) {
		struct large large = a_to_c;
		large.payload = i == 1 ? 10000 : 10;
		packets[i] = large_make(&large, lab_pool(), 0);
		large_claim(packets[i], SEGMENT);
	}
	lab_put_packets(f, "a", packets, 3);
	for (unsigned i = 0; i < 3; i++) {
		struct large large = at_c;
		uint32_t from = 0;
		large.payload = i == 1 ? 10000 : 10;
		for (unsigned n = 0; from < large.payload; n++) {
			struct test_frame frame = lab_expect(f, "c");
			from = large_check(&large, frame.bytes, frame.length, n, from, SEGMENT, 63);
		}
	}
	lab_expect_none(f, "c");
}

static void test_translated(struct fixture *f, const void *data)
{
	static const struct large from_peer = {.smac = MAC_PEER,
		.dmac = MAC_OUT,
		.src = PEER,
		.dst = PUBLIC_A,
		.sport = 2,
		.dport = 1,
		.payload = 60000};
	static const struct large at_a = {.smac = MAC_GATEWAY,
		.dmac = MAC_A,
		.src = PEER,
		.dst = IP_A,
		.sport = 2,
		.dport = 1,
		.payload = 60000};

	lab_meet_peer(f);
	connect_from(f, "a", &a_to_peer);
	lab_expect(f, "out");
	put_large(f, "a", &a_to_peer, SEGMENT);
	expect_segments(f, "out", &at_peer, SEGMENT, 63);
	lab_port(f, "out")->takes = TAKES_ALL;
	put_large(f, "a", &a_to_peer, SEGMENT);
	expect_whole(f, "out", &at_peer, 63);

	/* What a device outside merged. */
	put_large(f, "out", &from_peer, SEGMENT);
	expect_segments(f, "a", &at_a, SEGMENT, 63);
	lab_port(f, "a")->takes = TAKES_ALL;
	put_large(f, "out", &from_peer, SEGMENT);
	expect_whole(f, "a", &at_a, 63);
}

static void test_both(struct fixture *f, const void *data)
{
	static const struct large c_to_a = {.smac = MAC_C,
		.dmac = MAC_GATEWAY,
		.src = IP_C,
		.dst = IP_A,
		.sport = 1,
		.dport = 2,
		.payload = 60000};
	static const struct large at_a = {.smac = MAC_GATEWAY,
		.dmac = MAC_A,
		.src = IP_C,
		.dst = IP_A,
		.sport = 1,
		.dport = 2,
		.payload = 60000};

	json_object_set_new(lab_nic(f, 0), "active", json_string("both"));
	lab_apply(f);
	lab_port(f, "a")->takes = TAKES_ALL;
	connect_from(f, "c", &c_to_a);
	lab_expect(f, "a");
	lab_expect(f, "/a");
	put_large(f, "c", &c_to_a, SEGMENT);
	expect_whole(f, "a", &at_a, 63);
	expect_segments(f, "/a", &at_a, SEGMENT, 63);
}

/* Nobody is to have the buffers of many large frames wait. */
static void test_neighbour(struct fixture *f, const void *data)
{
	connect_from(f, "a", &a_to_peer);
	lab_expect(f, "out"); /* who has the peer's address */
	put_large(f, "a", &a_to_peer, SEGMENT);
	g_assert_cmpuint(lab_drops(f, DROP_NEIGHBOUR_WAIT), ==, 1);
	lab_put(f, "out", test_arp(MAC_PEER, 2, MAC_PEER, PEER, PUBLIC_A));
	lab_expect(f, "out");
	put_large(f, "a", &a_to_peer, SEGMENT);
	expect_segments(f, "out", &at_peer, SEGMENT, 63);
}

/* ---- open checksums ---- */

static void test_open_checksum(struct fixture *f, const void *data)
{
	struct test_frame frame = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 1, 1000), want = frame;
	struct rte_mbuf *packet;

	lab_put(f, "a", frame);
	want = lab_expect(f, "c");
	for (unsigned i = 0; i < 2; i++) {
		struct port_fake_open open;
		lab_port(f, "c")->takes = i ? PORT_TAKES_CHECKSUM : 0;
		packet = rte_pktmbuf_alloc(lab_pool());
		memset(frame.bytes + 40, 0xaa, 2);
		memcpy(rte_pktmbuf_append(packet, (uint16_t)frame.length), frame.bytes, frame.length);
		put_claimed(f, "a", packet, 0);
		g_autoptr(GBytes) bytes = port_fake_take_open(lab_port(f, "c"), &open);
		g_assert_cmphex(open.flags, ==, i ? RTE_MBUF_F_TX_UDP_CKSUM : 0);
		if (i == 0)
			g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), want.bytes,
				want.length);
	}
}

/* A request whose checksum was left open; the answer lies in the same buffer. */
static void test_answer(struct fixture *f, const void *data)
{
	struct rte_mbuf *packet = rte_pktmbuf_alloc(lab_pool());
	struct port_fake_open open;
	struct packet_words words;
	uint8_t bytes[PACKET_WORDS_FRAME];

	g_assert_true(packet_words_parse("out dhcp", &words, NULL));
	mac_parse(MAC_A, &words.smac);
	uint32_t length = packet_words_build(&words, bytes);
	memset(bytes + 40, 0xaa, 2);
	memcpy(rte_pktmbuf_append(packet, (uint16_t)length), bytes, length);
	lab_port(f, "a")->takes = TAKES_ALL;
	put_claimed(f, "a", packet, 0);
	g_autoptr(GBytes) answer = port_fake_take_open(lab_port(f, "a"), &open);
	g_assert_nonnull(answer);
	g_assert_cmphex(open.flags, ==, 0);
	test_assert_checksums(g_bytes_get_data(answer, NULL), (uint32_t)g_bytes_get_size(answer));
}

/* ---- the tunnel ---- */

static void test_tunnel(struct pair *p, const void *data)
{
	pair_meet(p);
	connect_from(&p->one, "a", &a_to_d);
	pair_settle(p);
	lab_expect(&p->two, "d");
	lab_port(&p->one, "wire")->takes = TAKES_ALL; /* of what is within an outer packet it takes nothing */
	put_large(&p->one, "a", &a_to_d, SEGMENT);
	pair_settle(p);
	expect_segments(&p->two, "d", &a_to_d, SEGMENT, 64);
}

/* Another VTEP's kernel sends the whole run in one outer packet. */
static void test_from_tunnel(struct pair *p, const void *data)
{
	static const struct large d_to_a = {.smac = MAC_D,
		.dmac = MAC_A,
		.src = IP_D,
		.dst = IP_A,
		.sport = 2,
		.dport = 1,
		.payload = 60000};
	struct test_frame outer = pair_from_two(test_tcp(MAC_D, MAC_A, IP_D, 2, IP_A, 1, TCP_SYN, 0));
	struct rte_mbuf *packet = large_make(&d_to_a, lab_pool(), 0);
	uint32_t length = packet->pkt_len;

	pair_meet(p);
	lab_put(&p->one, "wire", outer);
	lab_expect(&p->one, "a");
	store16(outer.bytes + 16, (uint16_t)(length + 36));
	store16(outer.bytes + 38, (uint16_t)(length + 16));
	pair_fix_outer(&outer);
	memcpy(rte_pktmbuf_prepend(packet, OUTER), outer.bytes, OUTER);
	packet->l3_len = OUTER + 34;
	put_claimed(&p->one, "wire", packet, SEGMENT);
	expect_segments(&p->one, "a", &d_to_a, SEGMENT, 64);
	g_assert_cmpuint(lab_drops(&p->one, DROP_BAD_OFFLOAD), ==, 0);
}

/* ---- sizes ---- */

static void assert_too_big(struct fixture *f, uint16_t mtu, unsigned n)
{
	struct test_frame error = lab_expect(f, "a");

	lab_assert_path(&error, MAC_GATEWAY, MAC_A, "192.168.1.1", IP_A);
	g_assert_cmphex(load16(error.bytes + 34), ==, 3 << 8 | 4);
	g_assert_cmpuint(load16(error.bytes + 40), ==, mtu);
	lab_expect_none(f, "a");
	g_assert_cmpuint(lab_drops(f, DROP_TOO_BIG), ==, n);
}

static void test_segment_too_big(struct fixture *f, const void *data)
{
	struct large large = a_to_c, want = at_c;

	lab_port(f, "a")->takes = TAKES_ALL; /* the answer is complete all the same */
	json_object_set_new(lab_nic(f, 2), "mtu", json_integer(1000));
	lab_apply(f);
	connect_from(f, "a", &a_to_c);
	lab_expect(f, "c");
	put_large(f, "a", &a_to_c, 960); /* just fits */
	expect_segments(f, "c", &at_c, 960, 63);
	put_large(f, "a", &a_to_c, 961);
	lab_expect_none(f, "c");
	assert_too_big(f, 1000, 1);
	large.may_fragment = want.may_fragment = true;
	put_large(f, "a", &large, SEGMENT);
	expect_segments(f, "c", &want, 960, 63);
	lab_expect_none(f, "a");
}

static void test_tunnel_too_big(struct pair *p, const void *data)
{
	pair_meet(p);
	connect_from(&p->one, "a", &a_to_d);
	pair_settle(p);
	put_large(&p->one, "a", &a_to_d, 1410); /* just fits */
	unsigned n = 0;
	for (struct test_frame frame; pair_take(&p->one, &frame); n++)
		g_assert_cmpuint(frame.length, <=, 14 + WIRE_MTU);
	g_assert_cmpuint(n, ==, 43);
	put_large(&p->one, "a", &a_to_d, 1411);
	lab_expect_none(&p->one, "wire");
	assert_too_big(&p->one, WIRE_MTU - 50, 1);
}

/* ---- fragments ---- */

/* Puts the payload of fragments that come out of the port into ret. */
static uint32_t gather(struct fixture *f, const char *port, uint16_t mtu, uint8_t *ret, unsigned *ret_n)
{
	uint32_t length = 0;

	for (*ret_n = 0;; ++*ret_n) {
		g_autoptr(GBytes) bytes = port_fake_take(lab_port(f, port));
		if (!bytes)
			return length;
		const uint8_t *frame = g_bytes_get_data(bytes, NULL), *ip = frame + 14;
		uint32_t total = load16(ip + 2), word = load16(ip + 6);
		g_assert_cmpuint(total, <=, mtu);
		g_assert_cmpuint(checksum_of(ip, 20), ==, 0);
		g_assert_cmpuint((word & 0x1fff) * 8, ==, length);
		g_assert_cmpuint(ip[8], ==, 63);
		memcpy(ret + length, ip + 20, total - 20);
		length += total - 20;
	}
}

static struct test_frame fragmentable(const char *dst)
{
	struct test_frame frame = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, dst, 1, 1400);

	store16(frame.bytes + 18, 77);
	store16(frame.bytes + 20, 0);
	test_fix(&frame);
	return frame;
}

static void test_fragments(struct fixture *f, const void *data)
{
	struct test_frame frame = fragmentable(IP_C);
	struct rte_mbuf *packet = rte_pktmbuf_alloc(lab_pool());
	uint8_t got[TEST_FRAME_MAX];
	unsigned n;

	json_object_set_new(lab_nic(f, 2), "mtu", json_integer(600));
	lab_apply(f);
	lab_put(f, "a", frame);
	uint32_t length = gather(f, "c", 600, got, &n);
	g_assert_cmpuint(n, ==, 3);
	g_assert_cmpmem(got, length, frame.bytes + 34, frame.length - 34);
	/* An open checksum is of the whole: it is made before. */
	memset(frame.bytes + 40, 0xaa, 2);
	memcpy(rte_pktmbuf_append(packet, (uint16_t)frame.length), frame.bytes, frame.length);
	lab_port(f, "c")->takes = TAKES_ALL;
	put_claimed(f, "a", packet, 0);
	test_fix(&frame);
	length = gather(f, "c", 600, got, &n);
	g_assert_cmpmem(got, length, frame.bytes + 34, frame.length - 34);
	g_assert_cmpuint(lab_drops(f, DROP_TOO_BIG), ==, 0);
}

/* The checksum follows the translation of the address, which it covers. */
static void test_translated_fragments(struct fixture *f, const void *data)
{
	struct test_frame frame = fragmentable(PEER), want;
	uint8_t got[TEST_FRAME_MAX];
	unsigned n;

	lab_meet_peer(f);
	frame.length += 300; /* over the 1500 bytes that go outside */
	memset(frame.bytes + frame.length - 300, 0x5a, 300);
	store16(frame.bytes + 16, (uint16_t)(frame.length - 14));
	store16(frame.bytes + 38, (uint16_t)(frame.length - 34));
	test_fix(&frame);
	lab_put(f, "a", frame);
	uint32_t length = gather(f, "out", 1500, got, &n);
	g_assert_cmpuint(n, ==, 2);
	want = frame;
	test_ip(PUBLIC_A, want.bytes + 26);
	test_fix(&want);
	g_assert_cmpmem(got, length, want.bytes + 34, want.length - 34);
}

static void test_tunnel_fragments(struct pair *p, const void *data)
{
	struct test_frame frame = test_udp(MAC_A, MAC_D, IP_A, 9, IP_D, 9, 1450), first, last;

	pair_meet(p);
	store16(frame.bytes + 18, 77);
	store16(frame.bytes + 20, 0);
	test_fix(&frame);
	lab_put(&p->one, "a", frame);
	pair_settle(p);
	first = lab_expect(&p->two, "d");
	last = lab_expect(&p->two, "d");
	g_assert_cmpuint(first.length, <=, 14 + WIRE_MTU - 50);
	g_assert_cmpuint(first.length - 34 + last.length - 34, ==, frame.length - 34);
	g_assert_cmpmem(first.bytes + 34, first.length - 34, frame.bytes + 34, first.length - 34);
	g_assert_cmpmem(last.bytes + 34, last.length - 34, frame.bytes + first.length, last.length - 34);
	g_assert_cmphex(load16(first.bytes + 20), ==, 0x2000);
	g_assert_cmphex(load16(last.bytes + 20), ==, (first.length - 34) / 8);
	lab_expect_none(&p->two, "d");
}

/* ---- who lies ---- */

static void test_lies(struct fixture *f, const void *data)
{
	struct rte_mbuf *packet;

	connect_from(f, "a", &a_to_c);
	lab_expect(f, "c");
	put_large(f, "a", &a_to_c, 1); /* 60,000 frames of it */
	packet = large_make(&a_to_c, lab_pool(), 0);
	packet->l3_len = 100;
	put_claimed(f, "a", packet, SEGMENT);
	g_assert_cmpuint(lab_drops(f, DROP_BAD_OFFLOAD), ==, 2);
	/* Segments that no MTU carries. */
	put_large(f, "a", &a_to_c, 9000);
	assert_too_big(f, 1500, 1);
	/* More than any packet can be. */
	packet = large_make(&a_to_c, lab_pool(), 0);
	for (unsigned i = 0; i < 4; i++) {
		struct rte_mbuf *more = rte_pktmbuf_alloc(lab_pool());
		rte_pktmbuf_append(more, 2000);
		g_assert_cmpint(rte_pktmbuf_chain(packet, more), ==, 0);
	}
	put_claimed(f, "a", packet, SEGMENT);
	g_assert_cmpuint(lab_drops(f, DROP_MALFORMED), ==, 1);
	lab_expect_none(f, "c");
	lab_expect_none(f, "a");
}

#define ADD(name, test) g_test_add("/segmentation/" name, struct fixture, NULL, lab_setup, test, lab_teardown)
#define ADD_PAIR(name, test)                                                                                 \
	g_test_add("/segmentation/" name, struct pair, NULL, pair_setup, test, pair_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("a receiver that takes no segments in one gets each", test_cut);
	ADD("one that does gets them as they were sent", test_whole);
	ADD("what a receiver takes is left to it", test_checksum_only);
	ADD("frames keep their order, cut or not", test_order);
	ADD("translated segments are right, out and in", test_translated);
	ADD("two attachments get what each takes", test_both);
	ADD("a large frame does not wait for a neighbour", test_neighbour);
	ADD("an open checksum is completed for who does not take it", test_open_checksum);
	ADD("answers are complete, whatever the question left open", test_answer);
	ADD_PAIR("segments go by the tunnel each by itself", test_tunnel);
	ADD_PAIR("segments that come by the tunnel in one are cut", test_from_tunnel);
	ADD("segments too big for the way are told its MTU, or made smaller", test_segment_too_big);
	ADD_PAIR("so are those that the tunnel does not carry", test_tunnel_too_big);
	ADD("what may be fragmented is", test_fragments);
	ADD("fragments of translated packets are right", test_translated_fragments);
	ADD_PAIR("fragments go by the tunnel", test_tunnel_fragments);
	ADD("claims that are lies are counted, and nothing comes of them", test_lies);
	return lab_run();
}
