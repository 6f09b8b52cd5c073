/* Tests of open frames and of cutting, against frames that are made anew from the same fields. */
#include "switch/checksum.h"
#include "switch/parse.h"
#include "switch/port.h"
#include "switch/segmentation.h"
#include "switch/split.h"
#include "switch/test_lab.h"
#include "switch/test_large.h"
#include "switch/test_values.h"

#include <rte_mbuf.h>

#define V4 .src = "192.168.1.4", .dst = "192.168.1.5"
#define V6 .src = "fd00::4", .dst = "fd00::5"

static const struct large plain = {
	.smac = MAC_A, .dmac = MAC_B, V4, .sport = 40000, .dport = 443, .payload = 60000};

/* ---- helpers ---- */

static enum drop accept_frame(struct rte_mbuf *packet, uint32_t stripped)
{
	struct packet parsed;

	parse_frame(rte_pktmbuf_mtod(packet, const uint8_t *), packet->data_len, packet->pkt_len, &parsed);
	return segmentation_accept(packet, &parsed, stripped);
}

static const uint8_t *bytes_of(const struct rte_mbuf *packet, uint8_t copy[static LARGE_MAX])
{
	g_assert_cmpuint(packet->pkt_len, <=, LARGE_MAX);
	return rte_pktmbuf_read(packet, 0, packet->pkt_len, copy);
}

/* Cuts the frame, which it takes, and judges each piece. */
static void check_segments(const struct large *large, struct rte_mbuf *packet, uint32_t segment)
{
	g_autofree uint8_t *copy = g_malloc(LARGE_MAX);
	struct rte_mbuf *piece;
	uint32_t from = 0, n = 0;
	struct split split;

	packet->hash.rss = 12345;
	split_segments(&split, packet, lab_pool());
	while ((piece = split_next(&split))) {
		g_assert_true(segmentation_is_open(piece));
		g_assert_false(segmentation_is_needed(piece));
		g_assert_cmpuint(piece->hash.rss, ==, 12345);
		segmentation_complete(piece);
		g_assert_false(segmentation_is_open(piece));
		from = large_check(large, bytes_of(piece, copy), piece->pkt_len, n++, from, segment, 64);
		rte_mbuf_sanity_check(piece, 1);
		rte_pktmbuf_free(piece);
	}
	g_assert_cmpuint(split.left, ==, 0);
	g_assert_cmpuint(from, ==, large->payload);
	rte_pktmbuf_free(packet);
}

static struct rte_mbuf *open_frame(const struct large *large, uint32_t part, uint16_t segment)
{
	struct rte_mbuf *packet = large_make(large, lab_pool(), part);

	large_claim(packet, segment);
	g_assert_cmpint(accept_frame(packet, 0), ==, DROP_NONE);
	return packet;
}

/* ---- segments ---- */

static void test_segments(void)
{
	for (unsigned i = 0; i < 300; i++) {
		struct large large = plain, v6 = {V6};
		uint16_t segment = (uint16_t)(test_below(4) ? 500 + test_below(8500) : 48 + test_below(100));
		if (test_below(2)) {
			large.src = v6.src;
			large.dst = v6.dst;
		} else {
			large.ip_words = test_below(3) ? 0 : test_below(11);
			large.may_fragment = test_below(2);
		}
		large.tcp_words = test_below(11);
		large.tcp_flags = (uint8_t)(test_below(256) & ~(TCP_SYN | TCP_RST));
		large.payload = segment + 1u + (uint32_t)test_below((unsigned)(65400 - segment));
		check_segments(&large,
			open_frame(&large, (uint32_t)(test_below(2) ? 0 : 40 + test_below(2000)), segment),
			segment);
	}
}

static void test_largest(void)
{
	struct large large = plain;

	large.payload = 65535 - 40;
	check_segments(&large, open_frame(&large, 0, 1460), 1460);
}

/* What is behind the IP packet in the frame is no payload. */
static void test_padding(void)
{
	struct large large = plain;

	large.payload = 1000;
	struct rte_mbuf *packet = open_frame(&large, 0, 400);
	memset(rte_pktmbuf_append(packet, 30), 0xee, 30);
	check_segments(&large, packet, 400);
}

static void test_one(void)
{
	struct large large = plain;
	g_autofree uint8_t *copy = g_malloc(LARGE_MAX);

	large.payload = 1000;
	struct rte_mbuf *packet = open_frame(&large, 0, 1000);
	g_assert_false(segmentation_is_needed(packet));
	segmentation_complete(packet);
	large_check(&large, bytes_of(packet, copy), packet->pkt_len, 0, 0, 1000, 64);
	rte_pktmbuf_free(packet);
}

/* ---- checksums ---- */

static struct rte_mbuf *packet_of(const struct test_frame *frame)
{
	struct rte_mbuf *packet = rte_pktmbuf_alloc(lab_pool());

	memcpy(rte_pktmbuf_append(packet, (uint16_t)frame->length), frame->bytes, frame->length);
	return packet;
}

static void test_udp_checksum(void)
{
	unsigned zeros = 0;

	/* Of 65536 datagrams in a row, one sums up to zero. */
	for (unsigned i = 0; i < 0x10000; i++) {
		struct test_frame frame = test_udp(MAC_A, MAC_B, IP_A, (uint16_t)i, IP_B, 2, 3);
		uint16_t want = load16(frame.bytes + 40), got;
		memset(frame.bytes + 40, 0xaa, 2);
		struct rte_mbuf *packet = packet_of(&frame);
		large_claim(packet, 0);
		g_assert_cmpint(accept_frame(packet, 0), ==, DROP_NONE);
		segmentation_complete(packet);
		got = load16(rte_pktmbuf_mtod_offset(packet, const uint8_t *, 40));
		g_assert_cmphex(got, ==, want == 0 ? 0xffff : want);
		zeros += want == 0;
		rte_pktmbuf_free(packet);
	}
	g_assert_cmpuint(zeros, ==, 1);
}

/* A receiver of an open frame sums it up, with what is in the field, and has the checksum. */
static void test_start(void)
{
	const struct test_frame frame = test_tcp(MAC_A, MAC_B, IP_A, 1, IP_B, 2, TCP_ACK, 777);
	struct test_frame got = frame;

	memset(got.bytes + 50, 0xaa, 2);
	struct rte_mbuf *packet = packet_of(&got);
	large_claim(packet, 0);
	g_assert_cmpint(accept_frame(packet, 0), ==, DROP_NONE);
	segmentation_start_checksum(packet);
	memcpy(got.bytes, rte_pktmbuf_mtod(packet, const void *), frame.length);
	test_set_check(got.bytes + 50, checksum_of(got.bytes + 34, frame.length - 34));
	g_assert_cmpmem(got.bytes, got.length, frame.bytes, frame.length);
	rte_pktmbuf_free(packet);
}

/* ---- claims ---- */

static enum drop claim(const struct large *large, uint16_t segment, uint32_t start, uint32_t stripped)
{
	struct rte_mbuf *packet = large_make(large, lab_pool(), 0);

	large_claim(packet, segment);
	packet->l3_len = (uint16_t)start;
	enum drop drop = accept_frame(packet, stripped);
	rte_pktmbuf_free(packet);
	return drop;
}

static void test_claims(void)
{
	struct large syn = plain, reset = plain;

	syn.tcp_flags = TCP_SYN;
	reset.tcp_flags = TCP_RST | TCP_ACK;
	g_assert_cmpint(claim(&plain, 1460, 34, 0), ==, DROP_NONE);
	g_assert_cmpint(claim(&plain, 1460, 84, 50), ==, DROP_NONE);
	g_assert_cmpint(claim(&plain, 1460, 34, 50), ==, DROP_BAD_OFFLOAD);
	g_assert_cmpint(claim(&plain, 1460, 35, 0), ==, DROP_BAD_OFFLOAD);
	g_assert_cmpint(claim(&plain, 1460, 14, 0), ==, DROP_BAD_OFFLOAD);
	g_assert_cmpint(claim(&plain, 47, 0, 0), ==, DROP_BAD_OFFLOAD);
	g_assert_cmpint(claim(&plain, 1, 0, 0), ==, DROP_BAD_OFFLOAD);
	g_assert_cmpint(claim(&syn, 1460, 0, 0), ==, DROP_BAD_OFFLOAD);
	g_assert_cmpint(claim(&reset, 1460, 0, 0), ==, DROP_BAD_OFFLOAD);
}

static enum drop claim_frame(const struct test_frame *frame, uint16_t segment, bool *ret_open)
{
	struct rte_mbuf *packet = packet_of(frame);

	large_claim(packet, segment);
	packet->ol_flags |= segment ? RTE_MBUF_F_RX_LRO : 0;
	enum drop drop = accept_frame(packet, 0);
	*ret_open = segmentation_is_open(packet);
	rte_pktmbuf_free(packet);
	return drop;
}

/* Headers before TCP's that are longer than what an mbuf can say: cut by that, segments would have others. */
static void test_long_headers(void)
{
	struct test_frame frame = {.length = 14 + 40 + 512 + 20 + 900};
	uint8_t *ip = frame.bytes + 14, *options = ip + 40, *tcp = options + 512;
	bool open;

	store16(frame.bytes + 12, ETH_IPV6);
	ip[0] = 0x60;
	store16(ip + IPV6_PAYLOAD, (uint16_t)(frame.length - 54));
	ip[IPV6_NEXT] = 60; /* destination options */
	ip[7] = 64;
	ip[IPV6_SRC] = ip[IPV6_DST] = 0xfd;
	options[0] = PROTO_TCP;
	options[1] = 512 / 8 - 1;
	store16(tcp, 1);
	store16(tcp + 2, 80);
	tcp[TCP_OFFSET] = 0x50;
	tcp[TCP_FLAGS] = TCP_ACK;
	g_assert_cmpint(claim_frame(&frame, 500, &open), ==, DROP_BAD_OFFLOAD);
	g_assert_cmpint(claim_frame(&frame, 0, &open), ==, DROP_BAD_OFFLOAD);
}

static void test_claims_of_others(void)
{
	struct test_frame udp = test_udp(MAC_A, MAC_B, IP_A, 1, IP_B, 2, 1000);
	struct test_frame icmp = test_icmp(MAC_A, MAC_B, IP_A, IP_B, 8, 0, 1, 1000);
	struct test_frame arp = test_arp(MAC_A, 1, MAC_A, IP_A, IP_B);
	struct test_frame tcp = test_tcp(MAC_A, MAC_B, IP_A, 1, IP_B, 2, TCP_ACK, 1000), bad = tcp;
	bool open;

	g_assert_cmpint(claim_frame(&udp, 500, &open), ==, DROP_BAD_OFFLOAD);
	g_assert_cmpint(claim_frame(&icmp, 500, &open), ==, DROP_BAD_OFFLOAD);
	g_assert_cmpint(claim_frame(&arp, 500, &open), ==, DROP_BAD_OFFLOAD);
	/* An open checksum that can be none is nobody's harm. */
	g_assert_cmpint(claim_frame(&icmp, 0, &open), ==, DROP_NONE);
	g_assert_false(open);
	g_assert_cmpint(claim_frame(&arp, 0, &open), ==, DROP_NONE);
	g_assert_false(open);
	store16(bad.bytes + 20, IPV4_MF);
	test_fix(&bad);
	g_assert_cmpint(claim_frame(&bad, 500, &open), ==, DROP_BAD_OFFLOAD);
	g_assert_cmpint(claim_frame(&bad, 0, &open), ==, DROP_NONE);
	g_assert_false(open); /* it covers the whole packet, which is not there */
	bad = tcp;
	bad.bytes[46] = 0x60; /* options that are there */
	g_assert_cmpint(claim_frame(&bad, 500, &open), ==, DROP_NONE);
	g_assert_true(open);
	bad.bytes[24] ^= 1; /* the header's own checksum */
	g_assert_cmpint(claim_frame(&bad, 500, &open), ==, DROP_CHECKSUM);
}

static void test_taken(void)
{
	struct large cwr = plain, v6 = plain;
	const uint32_t v4_all = PORT_TAKES_CHECKSUM | PORT_TAKES_TSO4;

	cwr.tcp_flags = TCP_ACK | TCP_CWR;
	v6.src = "fd00::4";
	v6.dst = "fd00::5";
	const struct {
		const struct large *large;
		uint16_t segment;
		uint32_t takes;
		bool taken;
	} cases[] = {
		{&plain, 1460, 0, false},
		{&plain, 1460, PORT_TAKES_TSO4, false},
		{&plain, 1460, PORT_TAKES_CHECKSUM | PORT_TAKES_TSO6, false},
		{&plain, 1460, v4_all, true},
		{&v6, 1460, v4_all, false},
		{&v6, 1460, v4_all | PORT_TAKES_TSO6, true},
		{&cwr, 1460, v4_all, false},
		{&cwr, 1460, v4_all | PORT_TAKES_CWR, true},
		{&cwr, 0, PORT_TAKES_CHECKSUM, true},
		{&cwr, 0, 0, false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct rte_mbuf *packet = open_frame(cases[i].large, 0, cases[i].segment);
		g_assert_cmpint(segmentation_is_taken(packet, cases[i].takes), ==, cases[i].taken);
		rte_pktmbuf_free(packet);
	}
}

/* ---- fragments ---- */

/* What a receiver puts together from the fragments of a frame, which it takes: the payload. */
static GByteArray *reassemble(
	struct rte_mbuf *packet, uint16_t mtu, uint32_t first_header, uint32_t later_header)
{
	GByteArray *payload = g_byte_array_new();
	g_autofree uint8_t *copy = g_malloc(LARGE_MAX);
	uint16_t whole = load16(rte_pktmbuf_mtod_offset(packet, const uint8_t *, 20));
	struct rte_mbuf *piece;
	struct split split;
	bool more = true;

	split_fragments(&split, packet, 14, mtu, lab_pool());
	while ((piece = split_next(&split))) {
		const uint8_t *bytes = bytes_of(piece, copy), *ip = bytes + 14;
		uint32_t header = (ip[0] & 15u) * 4, total = load16(ip + 2), word = load16(ip + 6);
		g_assert_true(more);
		more = word & 0x2000;
		g_assert_cmpuint(header, ==, payload->len ? later_header : first_header);
		g_assert_cmpuint(total, <=, mtu);
		g_assert_cmpuint(piece->pkt_len, ==, 14 + total);
		g_assert_cmpuint(checksum_of(ip, header), ==, 0);
		g_assert_cmpuint((word & 0x1fff) * 8, ==, (whole & 0x1fffu) * 8 + payload->len);
		g_assert_true(!more || (total - header) % 8 == 0);
		g_assert_cmpmem(bytes, 14, rte_pktmbuf_mtod(packet, const void *), 14);
		g_assert_cmpmem(ip + 12, 8, rte_pktmbuf_mtod_offset(packet, const uint8_t *, 26), 8);
		g_assert_cmpuint(load16(ip + 4), ==, 4242);
		g_byte_array_append(payload, ip + header, total - header);
		rte_pktmbuf_free(piece);
	}
	g_assert_cmpuint(split.left, ==, 0);
	g_assert_cmpint(more, ==, (whole & 0x2000) != 0);
	rte_pktmbuf_free(packet);
	return payload;
}

static void test_fragments(void)
{
	for (unsigned i = 0; i < 1000; i++) {
		struct test_frame frame = test_ipv4(MAC_A, MAC_B, IP_A, IP_B, 17, 104 + test_below(237) * 8);
		uint16_t mtu = (uint16_t)(68 + test_below(1500));
		store16(frame.bytes + 18, 4242);
		/* Whole, or itself a fragment: the first, one between, the last. */
		store16(frame.bytes + 20,
			(uint16_t)((test_below(2) ? 0x2000 : 0) | (test_below(2) ? 185 : 0)));
		memset(frame.bytes + 24, 0, 2);
		test_set_check(frame.bytes + 24, checksum_of(frame.bytes + 14, 20));
		g_autoptr(GByteArray) got = reassemble(packet_of(&frame), mtu, 20, 20);
		g_assert_cmpmem(got->data, got->len, frame.bytes + 34, frame.length - 34);
	}
}

/* Options: a NOP; record route, of the first alone; router alert, of all. */
static void test_options(void)
{
	static const uint8_t options[16] = {1, 7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 0, 0, 0, 0};
	struct test_frame frame = test_ipv4(MAC_A, MAC_B, IP_A, IP_B, 17, 1000);

	store16(frame.bytes + 18, 4242);
	store16(frame.bytes + 20, 0);
	memcpy(frame.bytes + 34, options, sizeof options);
	frame.bytes[14] = 0x49;
	memset(frame.bytes + 24, 0, 2);
	test_set_check(frame.bytes + 24, checksum_of(frame.bytes + 14, 36));
	g_autoptr(GByteArray) got = reassemble(packet_of(&frame), 300, 36, 24);
	g_assert_cmpmem(got->data, got->len, frame.bytes + 50, 1000 - 16);
}

static void test_dry(void)
{
	struct rte_mbuf *packet = open_frame(&plain, 0, 1460);
	unsigned n = rte_mempool_avail_count(lab_pool());
	g_autofree struct rte_mbuf **all = g_new(struct rte_mbuf *, n);
	struct split split;
	unsigned taken = 0;

	while (taken < n && (all[taken] = rte_pktmbuf_alloc(lab_pool())))
		taken++;
	split_segments(&split, packet, lab_pool());
	g_assert_null(split_next(&split));
	g_assert_cmpuint(split.left, ==, plain.payload);
	rte_pktmbuf_free_bulk(all, taken);
	rte_pktmbuf_free(packet);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/segmentation/segments are those that the sender would have sent", test_segments);
	g_test_add_func("/segmentation/the longest packet is cut", test_largest);
	g_test_add_func("/segmentation/what is behind the packet is not cut", test_padding);
	g_test_add_func("/segmentation/what fits one segment is one", test_one);
	g_test_add_func("/segmentation/UDP's checksum is made, and is never zero", test_udp_checksum);
	g_test_add_func("/segmentation/an open frame holds what its receiver goes on from", test_start);
	g_test_add_func("/segmentation/claims that the headers belie are refused", test_claims);
	g_test_add_func("/segmentation/headers longer than a buffer can say are refused", test_long_headers);
	g_test_add_func(
		"/segmentation/only TCP is segmented, and nothing else is opened", test_claims_of_others);
	g_test_add_func("/segmentation/a port takes what it says that it takes", test_taken);
	g_test_add_func("/segmentation/fragments make up the packet, whatever part it is", test_fragments);
	g_test_add_func("/segmentation/options go with the fragments that they belong to", test_options);
	g_test_add_func("/segmentation/without buffers nothing comes out", test_dry);
	return lab_run();
}
