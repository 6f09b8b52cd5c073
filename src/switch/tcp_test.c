/* Tests of what is believed of TCP. Sequence numbers are those of a connection that is near the wrap. */
#include "switch/tcp.h"

#include "switch/parse.h"
#include "switch/test_frame.h"

#define MAC   "02:00:00:00:00:01"
#define BASE  (UINT32_MAX - 10000) /* a has acknowledged so much of b */
#define LOOSE (2 * TCP_MARK_GRAIN) /* how much may be believed beyond what is right, at either end */

struct segment {
	struct test_frame frame;
	struct packet parsed;
};

/* options: those of the header, n bytes, a multiple of four. */
static struct segment segment(uint8_t flags, uint32_t sequence, uint32_t acknowledged, const uint8_t *options,
	unsigned n, uint32_t data)
{
	struct segment s = {.frame = test_tcp(MAC, MAC, "10.0.0.1", 1, "10.0.0.2", 2, flags, n + data)};
	uint8_t *tcp = s.frame.bytes + 34;

	store32(tcp + 4, sequence);
	store32(tcp + 8, acknowledged);
	tcp[12] = (uint8_t)((5 + n / 4) << 4);
	if (n)
		memcpy(tcp + 20, options, n);
	parse_frame(s.frame.bytes, s.frame.length, s.frame.length, &s.parsed);
	g_assert_cmpint(s.parsed.kind, ==, PACKET_FLOW);
	return s;
}

static uint32_t followed(uint32_t word, struct segment s)
{
	return tcp_follow(tcp_begin(word, &s.parsed, s.frame.bytes), &s.parsed, s.frame.bytes + s.parsed.l4);
}

static bool believes(uint32_t back, struct segment s)
{
	return tcp_believes(back, &s.parsed, s.frame.bytes);
}

/* What one side left that offers windows of that shift and has acknowledged up to BASE. */
static uint32_t side(uint8_t shift)
{
	const uint8_t options[] = {2, 4, 5, 0xb4, 1, 3, 3, shift};
	uint32_t word = followed(0, segment(TCP_SYN, 1000, 0, options, sizeof options, 0));

	return followed(word, segment(TCP_ACK, 1001, BASE, NULL, 0, 0));
}

static bool believes_reset(uint32_t back, uint32_t sequence)
{
	return believes(back, segment(TCP_RST, sequence, 0, NULL, 0, 0));
}

static void test_reset(void)
{
	for (uint8_t shift = 0; shift <= TCP_SHIFT_MAX; shift++) {
		uint32_t back = side(shift), window = UINT32_C(65535) << shift;
		g_assert_true(believes_reset(back, BASE));
		g_assert_true(believes_reset(back, BASE + window));
		g_assert_true(believes_reset(back, BASE + (uint32_t)g_test_rand_int() % window));
		g_assert_false(believes_reset(back, BASE - LOOSE - 1));
		g_assert_false(believes_reset(back, BASE + window + LOOSE + 1));
		g_assert_false(believes_reset(back, BASE + UINT32_C(0x80000000)));
	}
	g_assert_true(believes_reset(side(200), BASE + (UINT32_C(65535) << TCP_SHIFT_MAX))); /* RFC 7323 */
}

static void test_blind(void)
{
	uint32_t back = side(0);
	unsigned believed = 0;

	for (unsigned i = 0; i < 65536; i++)
		believed += believes_reset(back, i << 16 | 0x8000);
	g_assert_cmpuint(believed, <=, 2);
}

static void test_fin(void)
{
	uint32_t back = side(0), first, last;

	g_assert_true(believes(back, segment(TCP_FIN | TCP_ACK, BASE, 0, NULL, 0, 0)));
	g_assert_true(believes(back, segment(TCP_FIN | TCP_ACK, BASE, 0, NULL, 0, 1000)));
	g_assert_false(believes(back, segment(TCP_FIN | TCP_ACK, BASE + 1000000, 0, NULL, 0, 0)));
	/* Its place is behind its data; what follows the IP packet in the frame is none. */
	tcp_window(back, &first, &last);
	g_assert_true(believes(back, segment(TCP_FIN | TCP_ACK, last, 0, NULL, 0, 0)));
	struct segment s = segment(TCP_FIN | TCP_ACK, last, 0, NULL, 0, 1);
	g_assert_false(believes(back, s));
	s.parsed.l3_length--;
	g_assert_true(believes(back, s));
}

static void test_refused(void)
{
	uint32_t asked = followed(0, segment(TCP_SYN, 70000, 0, NULL, 0, 0));

	g_assert_true(believes(asked, segment(TCP_RST | TCP_ACK, 0, 70001, NULL, 0, 0)));
	g_assert_true(
		believes(asked, segment(TCP_RST | TCP_ACK, 0, 70001 + 1400, NULL, 0, 0))); /* it had data */
	g_assert_false(believes(asked, segment(TCP_RST | TCP_ACK, 0, 70001 + 20000, NULL, 0, 0)));
	g_assert_false(believes(asked, segment(TCP_RST | TCP_ACK, 0, 70001 - 20000, NULL, 0, 0)));
	g_assert_false(believes(asked, segment(TCP_RST, 70001, 0, NULL, 0, 0)));
	g_assert_false(believes(asked, segment(TCP_FIN, 70001, 0, NULL, 0, 0)));
	/* It was tried again, with another number. */
	asked = followed(asked, segment(TCP_SYN, 900000, 0, NULL, 0, 0));
	g_assert_true(believes(asked, segment(TCP_RST | TCP_ACK, 0, 900001, NULL, 0, 0)));
	/* Nobody was heard yet. */
	g_assert_true(believes(0, segment(TCP_RST, 1, 0, NULL, 0, 0)));
}

static void test_learnt(void)
{
	uint32_t back = followed(0, segment(TCP_ACK, 5, BASE, NULL, 0, 10));

	g_assert_cmpuint(tcp_shift(back), ==, TCP_SHIFT_MAX);
	g_assert_true(believes_reset(back, BASE + (UINT32_C(65535) << TCP_SHIFT_MAX)));
	g_assert_false(believes_reset(back, BASE + UINT32_C(0x80000000)));
}

/* A SYN in an established connection, whoever sent it, says nothing. */
static void test_late(void)
{
	const uint8_t options[] = {1, 3, 3, 14};
	uint32_t word = side(2), after = followed(word, segment(TCP_SYN, 7, 0, options, sizeof options, 0));

	g_assert_cmphex(after, ==, word | TCP_SYN);
	g_assert_cmphex(
		followed(0, segment(TCP_SYN | TCP_ACK, 7, BASE, options, sizeof options, 0)) & TCP_MARK_MASK,
		==, BASE & TCP_MARK_MASK);
}

static void test_options(void)
{
	static const struct {
		uint8_t bytes[8];
		unsigned shift;
	} cases[] = {
		{{3, 3, 7, 0}, 7},
		{{1, 1, 3, 3, 9, 0}, 9},
		{{0, 3, 3, 7}, 0}, /* behind the end */
		{{3, 4, 7, 7}, 0}, /* of no such length */
		{{3, 0, 3, 3, 7}, 0}, /* of none */
		{{2, 200, 3, 3, 7}, 0}, /* over the header's end */
		{{1, 1, 1, 1, 1, 1, 3, 3}, 0},
		{{1, 1, 1, 1, 1, 1, 1, 3}, 0},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		g_assert_cmpuint(tcp_shift(followed(0, segment(TCP_SYN, 1, 0, cases[i].bytes, 8, 0))), ==,
			cases[i].shift);
	struct segment s = segment(TCP_SYN, 1, 0, cases[0].bytes, 8, 0);
	s.parsed.flags |= PACKET_FRAGMENT_FIRST; /* the header may end elsewhere */
	g_assert_cmpuint(tcp_shift(followed(0, s)), ==, TCP_SHIFT_MAX);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tcp/an RST is believed in the window that the other side can offer", test_reset);
	g_test_add_func("/tcp/who sees nothing of a connection must try all of its windows", test_blind);
	g_test_add_func("/tcp/a FIN is believed in the window", test_fin);
	g_test_add_func("/tcp/a SYN is refused by who acknowledges it", test_refused);
	g_test_add_func("/tcp/of a connection that was learnt the window may be any", test_learnt);
	g_test_add_func("/tcp/a SYN in an established connection changes nothing", test_late);
	g_test_add_func("/tcp/the shift is read from options, however they are", test_options);
	return g_test_run();
}
