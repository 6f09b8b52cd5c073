/* Tests of connection states and time-outs. */
#include "switch/conntrack.h"

#include "switch/wire.h"

#include <glib.h>

#define SECOND 1000u

static enum connection_state tcp(uint8_t forward, uint8_t reply)
{
	const struct flow there = {.key.protocol = 6, .tcp = forward};
	const struct flow back = {.key.protocol = 6, .tcp = reply};

	return connection_state(&there, &back);
}

static void test_tcp(void)
{
	const uint8_t open = TCP_SYN | TCP_ACK;

	g_assert_cmpint(tcp(TCP_SYN, 0), ==, CONNECTION_NEW);
	g_assert_cmpint(tcp(TCP_SYN, TCP_SYN | TCP_ACK), ==, CONNECTION_NEW);
	g_assert_cmpint(tcp(open, open), ==, CONNECTION_ESTABLISHED);
	g_assert_cmpint(tcp(open | TCP_FIN, open), ==, CONNECTION_CLOSING);
	g_assert_cmpint(tcp(open, open | TCP_FIN), ==, CONNECTION_CLOSING);
	g_assert_cmpint(tcp(open | TCP_FIN, open | TCP_FIN), ==, CONNECTION_CLOSED);
	g_assert_cmpint(tcp(open, open | TCP_RST), ==, CONNECTION_CLOSED);
	g_assert_cmpint(tcp(TCP_SYN, TCP_RST | TCP_ACK), ==, CONNECTION_CLOSED);
}

static void test_others(void)
{
	struct flow there = {.key.protocol = 17, .packets = 9}, back = {.key.protocol = 17};

	g_assert_cmpint(connection_state(&there, &back), ==, CONNECTION_NEW);
	back.packets = 1;
	g_assert_cmpint(connection_state(&there, &back), ==, CONNECTION_ESTABLISHED);
	there.blocked = back.blocked = true;
	g_assert_cmpint(connection_state(&there, &back), ==, CONNECTION_BLOCKED);
}

static bool expired(uint8_t protocol, uint8_t flags, uint32_t idle_ms)
{
	const struct flow flow = {.key.protocol = protocol, .tcp = flags, .packets = 1, .seen_ms = 500};

	return connection_expired(&flow, &flow, 500 + idle_ms);
}

static void test_timeouts(void)
{
	static const struct {
		uint8_t protocol, flags;
		uint32_t seconds;
	} cases[] = {
		{6, TCP_SYN, 60},
		{6, TCP_ACK, 7440},
		{6, TCP_ACK | TCP_FIN, 30},
		{17, 0, 300},
		{1, 0, 60},
		{50, 0, 300},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_assert_false(expired(cases[i].protocol, cases[i].flags, cases[i].seconds * SECOND));
		g_assert_true(expired(cases[i].protocol, cases[i].flags, cases[i].seconds * SECOND + 1));
	}
}

static void test_clock(void)
{
	struct flow there = {.key.protocol = 17, .seen_ms = UINT32_MAX - 10}, back = there;

	g_assert_false(connection_expired(&there, &back, 20)); /* 31 ms, over the wrap */
	g_assert_true(connection_expired(&there, &back, 31 * SECOND));
	back.seen_ms = 30 * SECOND; /* one direction keeps both */
	g_assert_false(connection_expired(&there, &back, 31 * SECOND));
	back.seen_ms = there.seen_ms = 1000; /* another worker's clock is ahead */
	g_assert_false(connection_expired(&there, &back, 990));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/conntrack/TCP's state is what both directions' flags say", test_tcp);
	g_test_add_func("/conntrack/other protocols are established by an answer", test_others);
	g_test_add_func("/conntrack/each state has its time-out, to the millisecond", test_timeouts);
	g_test_add_func("/conntrack/clocks wrap, and differ between workers", test_clock);
	return g_test_run();
}
