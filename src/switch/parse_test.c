/* Tests of the parser. */
#include "switch/parse.h"

#include "switch/test_frame.h"

#define MAC_A "02:00:00:00:00:01"
#define MAC_B "02:00:00:00:00:02"

static struct packet parse(const struct test_frame *frame)
{
	/* From the heap, so that a sanitizer sees the first byte past the frame. */
	g_autofree uint8_t *copy = g_memdup2(frame->bytes, frame->length);
	struct packet packet;

	parse_frame(copy, frame->length, frame->length, &packet);
	return packet;
}

static void assert_drop(const struct test_frame *frame, enum drop reason)
{
	struct packet packet = parse(frame);

	g_assert_cmpint(packet.kind, ==, PACKET_DROP);
	g_assert_cmpstr(drop_word(packet.drop), ==, drop_word(reason));
}

static void test_tcp_key(void)
{
	struct test_frame frame =
		test_tcp(MAC_A, MAC_B, "10.0.0.4", 1234, "10.0.0.5", 22, TCP_SYN | TCP_ACK, 10);
	struct packet packet = parse(&frame);

	g_assert_cmpint(packet.kind, ==, PACKET_FLOW);
	g_assert_cmpint(packet.key.family, ==, IP_V4);
	g_assert_cmpint(packet.key.protocol, ==, 6);
	g_assert_cmpuint(be16toh(packet.key.sport), ==, 1234);
	g_assert_cmpuint(be16toh(packet.key.dport), ==, 22);
	g_assert_cmphex(load32(packet.key.src), ==, 0x0a000004);
	g_assert_cmphex(load32(packet.key.dst), ==, 0x0a000005);
	g_assert_cmpint(packet.tcp_flags, ==, TCP_SYN | TCP_ACK);
	g_assert_cmpint(packet.l3, ==, 14);
	g_assert_cmpint(packet.l4, ==, 34);
	g_assert_cmpuint(packet.l3_length, ==, 50);
	g_assert_true(packet.flags & PACKET_DF);
}

static void test_icmp_key(void)
{
	struct test_frame frame = test_icmp(MAC_A, MAC_B, "10.0.0.4", "10.0.0.5", 8, 0, 77, 32);
	struct packet packet = parse(&frame);
	struct flow_key reply = flow_key_reverse(&packet.key);

	g_assert_cmpint(packet.kind, ==, PACKET_FLOW);
	frame = test_icmp(MAC_B, MAC_A, "10.0.0.5", "10.0.0.4", 0, 0, 77, 32);
	packet = parse(&frame);
	g_assert_true(flow_key_equal(&packet.key, &reply));
}

static void test_icmp_kinds(void)
{
	struct test_frame frame = test_icmp(MAC_A, MAC_B, "10.0.0.4", "10.0.0.5", 3, 1, 0, 28);

	g_assert_cmpint(parse(&frame).kind, ==, PACKET_ICMP_ERROR);
	frame = test_icmp(MAC_A, MAC_B, "10.0.0.4", "10.0.0.5", 5, 1, 0, 28);
	assert_drop(&frame, DROP_ICMP_TYPE);
	frame = test_icmp(MAC_A, MAC_B, "10.0.0.4", "10.0.0.5", 9, 0, 0, 28);
	assert_drop(&frame, DROP_ICMP_TYPE);
}

/* Every prefix of a good frame is refused, and none is read past its end. */
static void test_truncated(void)
{
	const struct test_frame whole[] = {
		test_tcp(MAC_A, MAC_B, "10.0.0.4", 1, "10.0.0.5", 2, TCP_ACK, 4),
		test_udp(MAC_A, MAC_B, "10.0.0.4", 1, "10.0.0.5", 2, 4),
		test_icmp(MAC_A, MAC_B, "10.0.0.4", "10.0.0.5", 8, 0, 1, 4),
		test_arp(MAC_A, 1, MAC_A, "10.0.0.4", "10.0.0.5"),
	};

	for (size_t i = 0; i < G_N_ELEMENTS(whole); i++) {
		struct test_frame frame = whole[i];
		for (frame.length = 0; frame.length < whole[i].length; frame.length++)
			assert_drop(&frame, DROP_TRUNCATED);
		frame.length = whole[i].length;
		g_assert_cmpint(parse(&frame).kind, !=, PACKET_DROP);
	}
}

static void test_padding(void)
{
	struct test_frame frame = test_udp(MAC_A, MAC_B, "10.0.0.4", 1, "10.0.0.5", 2, 4);

	frame.length += 20;
	g_assert_cmpint(parse(&frame).kind, ==, PACKET_FLOW);
	g_assert_cmpuint(parse(&frame).l3_length, ==, 32);
}

static void test_contradictions(void)
{
	struct test_frame good = test_tcp(MAC_A, MAC_B, "10.0.0.4", 1, "10.0.0.5", 2, TCP_ACK, 40);
	static const struct {
		unsigned offset;
		uint8_t value;
		enum drop reason;
	} cases[] = {
		{14, 0x65, DROP_MALFORMED}, /* version 6 in an IPv4 frame */
		{14, 0x44, DROP_MALFORMED}, /* header of 16 bytes */
		{14, 0x4f, DROP_MALFORMED}, /* options that are none */
		{17, 19, DROP_MALFORMED}, /* total length below the header */
		{16, 0xff, DROP_TRUNCATED}, /* total length above the frame */
		{46, 0x40, DROP_MALFORMED}, /* TCP header of 16 bytes */
		{46, 0xf0, DROP_NONE}, /* TCP header of 60 bytes: exactly what is there */
		{17, 79, DROP_NONE}, /* one byte less: fits no more only with the next */
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct test_frame frame = good;
		frame.bytes[cases[i].offset] = cases[i].value;
		if (cases[i].reason)
			assert_drop(&frame, cases[i].reason);
		else
			g_assert_cmpint(parse(&frame).kind, ==, PACKET_FLOW);
	}
	good.bytes[46] = 0xf0;
	good.bytes[17] = 79; /* one byte less, and the TCP header does not fit */
	assert_drop(&good, DROP_MALFORMED);
}

static void test_udp_length(void)
{
	struct test_frame frame = test_udp(MAC_A, MAC_B, "10.0.0.4", 1, "10.0.0.5", 2, 4);

	store16(frame.bytes + 38, 7);
	assert_drop(&frame, DROP_MALFORMED);
	store16(frame.bytes + 38, 13);
	assert_drop(&frame, DROP_MALFORMED);
}

static struct test_frame with_options(const uint8_t *options, uint32_t n)
{
	struct test_frame frame = test_ipv4(MAC_A, MAC_B, "10.0.0.4", "10.0.0.5", 50, n + 16);

	frame.bytes[14] = (uint8_t)(0x40 | (20 + n) / 4);
	memcpy(frame.bytes + 34, options, n);
	return frame;
}

static void test_options(void)
{
	struct test_frame frame = with_options((uint8_t[]){0x94, 4, 0, 0}, 4); /* router alert */

	g_assert_cmpint(parse(&frame).kind, ==, PACKET_FLOW);
	g_assert_true(parse(&frame).flags & PACKET_OPTIONS);
	frame = with_options((uint8_t[]){1, 131, 7, 4, 1, 2, 3, 4}, 8);
	assert_drop(&frame, DROP_SOURCE_ROUTE);
	frame = with_options((uint8_t[]){137, 3, 4, 0}, 4);
	assert_drop(&frame, DROP_SOURCE_ROUTE);
	frame = with_options((uint8_t[]){7, 5, 0, 0}, 4); /* longer than what is there */
	assert_drop(&frame, DROP_MALFORMED);
	frame = with_options((uint8_t[]){7, 1, 0, 0}, 4);
	assert_drop(&frame, DROP_MALFORMED);
}

static void test_fragments(void)
{
	struct test_frame frame = test_udp(MAC_A, MAC_B, "10.0.0.4", 1, "10.0.0.5", 2, 64);

	store16(frame.bytes + 20, 0x2000);
	g_assert_cmpint(parse(&frame).kind, ==, PACKET_FLOW);
	g_assert_true(parse(&frame).flags & PACKET_FRAGMENT_FIRST);
	store16(frame.bytes + 20, 9);
	g_assert_cmpint(parse(&frame).kind, ==, PACKET_FRAGMENT);
	g_assert_cmpuint(parse(&frame).key.sport, ==, 0);
	store16(frame.bytes + 20, 8182); /* its 72 bytes end at 65528 */
	g_assert_cmpint(parse(&frame).kind, ==, PACKET_FRAGMENT);
	store16(frame.bytes + 20, 8183); /* at 65536, where no datagram does */
	assert_drop(&frame, DROP_MALFORMED);

	frame = test_tcp(MAC_A, MAC_B, "10.0.0.4", 1, "10.0.0.5", 2, TCP_ACK, 64);
	store16(frame.bytes + 20, 0x2001);
	assert_drop(&frame, DROP_FRAGMENT_TINY);
	store16(frame.bytes + 20, 0x2000);
	store16(frame.bytes + 16, 20 + 16); /* the flags would be in the next one */
	assert_drop(&frame, DROP_FRAGMENT_TINY);
}

static void test_other_frames(void)
{
	struct test_frame frame = test_udp(MAC_A, MAC_B, "10.0.0.4", 1, "10.0.0.5", 2, 64);

	store16(frame.bytes + 12, 0x8100);
	assert_drop(&frame, DROP_VLAN);
	store16(frame.bytes + 12, 0x88cc);
	assert_drop(&frame, DROP_ETHERTYPE);
	frame = test_arp(MAC_A, 1, MAC_A, "10.0.0.4", "10.0.0.5");
	frame.bytes[14 + 4] = 8;
	assert_drop(&frame, DROP_MALFORMED);
}

/* IPv6 with the given chain of headers: each is its type and its length in bytes. */
static struct test_frame ipv6(const uint8_t *chain, size_t n, uint8_t last)
{
	struct test_frame frame = {.length = 14 + 40};
	uint8_t *at = frame.bytes + 54;

	store16(frame.bytes + 12, 0x86dd);
	frame.bytes[14] = 0x60;
	frame.bytes[20] = n ? chain[0] : last;
	frame.bytes[22] = 0xfd;
	frame.bytes[38] = 0xfd;
	for (size_t i = 0; i < n; i++) {
		at[0] = i + 1 < n ? chain[i + 1] : last;
		at += 8;
	}
	store16(at, 1);
	store16(at + 2, 2);
	store16(at + 4, 8);
	at[12] = 0x50;
	frame.length = (uint32_t)(at + 20 - frame.bytes);
	store16(frame.bytes + 18, (uint16_t)(frame.length - 54));
	return frame;
}

static void test_ipv6(void)
{
	struct test_frame frame = ipv6(NULL, 0, 17);
	struct packet packet = parse(&frame);

	g_assert_cmpint(packet.kind, ==, PACKET_FLOW);
	g_assert_cmpint(packet.key.family, ==, IP_V6);
	g_assert_cmpuint(be16toh(packet.key.dport), ==, 2);
	for (uint32_t length = frame.length; --length > 0;) {
		struct test_frame shorter = frame;
		shorter.length = length;
		assert_drop(&shorter, DROP_TRUNCATED);
	}
	frame = ipv6((uint8_t[]){0, 60}, 2, 6);
	g_assert_cmpint(parse(&frame).kind, ==, PACKET_FLOW);
	g_assert_cmpint(parse(&frame).key.protocol, ==, 6);
	frame = ipv6((uint8_t[]){43}, 1, 6);
	assert_drop(&frame, DROP_SOURCE_ROUTE);
	frame = ipv6((uint8_t[]){60, 60, 60, 60, 60, 60, 60, 60, 60}, 9, 6);
	assert_drop(&frame, DROP_MALFORMED);
	frame = ipv6(NULL, 0, 1); /* ICMP of IPv4 */
	assert_drop(&frame, DROP_MALFORMED);
	frame = ipv6((uint8_t[]){0}, 1, 58);
	for (unsigned type = 130; type <= 143; type++) {
		frame.bytes[62] = (uint8_t)type; /* behind a header, where MLD has one and nobody else has */
		assert_drop(&frame, type <= 132 || type == 143 ? DROP_MLD
				    : type <= 137              ? DROP_ND_MALFORMED
							       : DROP_ICMP_TYPE);
	}
	frame = ipv6(NULL, 0, 58);
	for (unsigned type = 133; type <= 137; type++) {
		frame.bytes[54] = (uint8_t)type;
		g_assert_cmpint(parse(&frame).kind, ==, PACKET_ND);
	}
}

static void test_quoted(void)
{
	struct test_frame frame = test_tcp(MAC_A, MAC_B, "10.0.0.4", 5, "10.0.0.5", 6, TCP_ACK, 40);
	struct flow_key key;
	uint16_t l4;

	/* Eight bytes of transport are all that an error must quote. */
	g_assert_cmpint(parse_quoted(frame.bytes + 14, 28, &key, &l4), ==, 0);
	g_assert_cmpuint(be16toh(key.sport), ==, 5);
	g_assert_cmpuint(be16toh(key.dport), ==, 6);
	for (uint32_t n = 0; n < 28; n++) {
		g_autofree uint8_t *copy = g_memdup2(frame.bytes + 14, n);
		g_assert_cmpint(parse_quoted(copy, n, &key, &l4), <, 0);
	}
	frame = test_icmp(MAC_A, MAC_B, "10.0.0.4", "10.0.0.5", 3, 3, 0, 28);
	g_assert_cmpint(parse_quoted(frame.bytes + 14, 56, &key, &l4), <, 0);
}

static void test_quoted6(void)
{
	struct test_frame frame = ipv6((uint8_t[]){60, 44}, 2, 6);
	const uint8_t *ip = frame.bytes + 14;
	struct flow_key key;
	uint16_t l4;

	g_assert_cmpint(parse_quoted(ip, 64, &key, &l4), ==, 0);
	g_assert_cmpuint(l4, ==, 56);
	g_assert_cmpint(key.family, ==, IP_V6);
	g_assert_cmpint(key.protocol, ==, 6);
	g_assert_cmpmem(key.dst, 16, ip + 24, 16);
	for (uint32_t n = 0; n < 64; n++) {
		g_autofree uint8_t *copy = g_memdup2(ip, n);
		g_assert_cmpint(parse_quoted(copy, n, &key, &l4), <, 0);
	}
	store16(frame.bytes + 14 + 50, 8); /* a later fragment has no ports */
	g_assert_cmpint(parse_quoted(ip, 64, &key, &l4), <, 0);
	frame = ipv6(NULL, 0, 58);
	frame.bytes[54] = 1;
	g_assert_cmpint(parse_quoted(ip, 48, &key, &l4), <, 0);
	frame.bytes[54] = 128;
	g_assert_cmpint(parse_quoted(ip, 48, &key, &l4), ==, 0);
}

/* Random bytes with a plausible start: whatever comes out, nothing is read or promised past the frame. */
static void test_random(void)
{
	for (unsigned i = 0; i < 200000; i++) {
		uint32_t length = (uint32_t)g_test_rand_int_range(0, 120);
		g_autofree uint8_t *bytes = g_malloc(length + 1);
		struct packet packet;

		for (uint32_t j = 0; j < length; j++)
			bytes[j] = (uint8_t)g_test_rand_int();
		if (length > 15) {
			static const uint16_t types[] = {0x0800, 0x86dd, 0x0806, 0x0800};
			store16(bytes + 12, types[i % 4]);
			bytes[14] = i % 4 == 1 ? 0x60 : 0x45;
		}
		if (length > 40 && i % 2 == 0)
			store16(bytes + 16, (uint16_t)(length - 14));
		g_autofree uint8_t *exact = g_memdup2(bytes, length);
		parse_frame(exact, length, length, &packet);
		if (packet.kind == PACKET_FLOW && packet.key.protocol == 6)
			g_assert_cmpuint(packet.l4 + 20u, <=, length);
		if (packet.kind != PACKET_DROP && packet.kind != PACKET_ARP)
			g_assert_cmpuint(packet.l3 + packet.l3_length, <=, length);
	}
}

/* True when parse_plain took the frame; then it said what parse_frame says. */
static bool plain_agrees(const uint8_t *bytes, uint32_t length)
{
	g_autofree uint8_t *exact = g_memdup2(bytes, length);
	struct packet expected, plain;

	if (!parse_plain(exact, length, length, 7, FLOW_FROM_OUTSIDE, &plain))
		return false;
	parse_frame(exact, length, length, &expected);
	expected.key.nic = 7;
	expected.key.origin = FLOW_FROM_OUTSIDE;
	g_assert_cmpint(expected.kind, ==, plain.kind);
	g_assert_true(flow_key_equal(&expected.key, &plain.key));
	g_assert_cmpuint(expected.flags, ==, plain.flags);
	g_assert_cmpuint(expected.tcp_flags, ==, plain.tcp_flags);
	g_assert_cmpuint(expected.l3, ==, plain.l3);
	g_assert_cmpuint(expected.l4, ==, plain.l4);
	g_assert_cmpuint(expected.l3_length, ==, plain.l3_length);
	g_assert_cmpuint(expected.fragment_id, ==, plain.fragment_id);
	return true;
}

/* Good frames with a few bits turned, and cut short. */
static void test_plain(void)
{
	const struct test_frame frames[] = {
		test_tcp(MAC_A, MAC_B, "10.0.0.4", 1234, "10.0.0.5", 22, TCP_SYN, 10),
		test_udp(MAC_A, MAC_B, "10.0.0.4", 1234, "10.0.0.5", 53, 6),
	};
	unsigned taken = 0, rounds = 200000;

	for (unsigned i = 0; i < rounds; i++) {
		struct test_frame frame = frames[i % 2];
		for (int n = g_test_rand_int_range(0, 4); n; n--)
			frame.bytes[g_test_rand_int_range(12, 50)] ^=
				(uint8_t)(1 << g_test_rand_int_range(0, 8));
		if (g_test_rand_int_range(0, 4) == 0)
			frame.length = (uint32_t)g_test_rand_int_range(0, (int)frame.length);
		taken += plain_agrees(frame.bytes, frame.length);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(frames); i++)
		g_assert_true(plain_agrees(frames[i].bytes, frames[i].length));
	g_assert_cmpuint(taken, >, rounds / 4);
	g_assert_cmpuint(taken, <, rounds);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/parse/a TCP segment gives its key, flags and offsets", test_tcp_key);
	g_test_add_func("/parse/an echo reply has the reversed key of its request", test_icmp_key);
	g_test_add_func("/parse/ICMP errors are told from queries, and redirects refused", test_icmp_kinds);
	g_test_add_func("/parse/every truncation of a good frame is refused", test_truncated);
	g_test_add_func("/parse/padding after the packet is no part of it", test_padding);
	g_test_add_func("/parse/headers that contradict themselves are refused", test_contradictions);
	g_test_add_func("/parse/a UDP length that does not fit is refused", test_udp_length);
	g_test_add_func("/parse/options pass, source routes and broken ones do not", test_options);
	g_test_add_func("/parse/fragments are told apart, and tiny ones refused", test_fragments);
	g_test_add_func("/parse/tags and unknown protocols are refused", test_other_frames);
	g_test_add_func("/parse/IPv6 extension headers are followed, up to a limit", test_ipv6);
	g_test_add_func("/parse/a quotation of eight transport bytes gives its key", test_quoted);
	g_test_add_func(
		"/parse/a quotation of IPv6 gives its key, behind extension headers too", test_quoted6);
	g_test_add_func("/parse/the parser in line says what the whole one says, or nothing", test_plain);
	g_test_add_func("/parse/random bytes are never read past their end", test_random);
	return g_test_run();
}
