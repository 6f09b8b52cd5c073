/* How TCP connections end, and do not: the whole pipeline, from a to c and back. */
#include "switch/conntrack.h"
#include "switch/test_lab.h"

#define A_BEGAN 0xfffffff0u
#define C_BEGAN 5000000u
#define FAR     0x40000000u

static struct test_frame segment(bool from_a, uint8_t flags, uint32_t sequence, uint32_t acknowledged)
{
	struct test_frame frame = from_a ? test_tcp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_C, 80, flags, 0)
					 : test_tcp(MAC_C, MAC_GATEWAY, IP_C, 80, IP_A, 1000, flags, 0);

	store32(frame.bytes + 38, sequence);
	store32(frame.bytes + 42, acknowledged);
	test_fix(&frame);
	return frame;
}

/* It passes, unchanged in what TCP says. */
static void pass(struct fixture *f, bool from_a, uint8_t flags, uint32_t sequence, uint32_t acknowledged)
{
	lab_put(f, from_a ? "a" : "c", segment(from_a, flags, sequence, acknowledged));
	struct test_frame seen = lab_expect(f, from_a ? "c" : "a");
	g_assert_cmpuint(seen.bytes[47], ==, flags);
	g_assert_cmpuint(load32(seen.bytes + 38), ==, sequence);
}

static void refuse(struct fixture *f, bool from_a, uint8_t flags, uint32_t sequence, uint32_t acknowledged)
{
	uint64_t before = lab_drops(f, DROP_TCP_WINDOW);

	lab_put(f, from_a ? "a" : "c", segment(from_a, flags, sequence, acknowledged));
	lab_expect_none(f, from_a ? "c" : "a");
	g_assert_cmpuint(lab_drops(f, DROP_TCP_WINDOW), ==, before + 1);
}

/* Of the only connection. */
static enum connection_state state(struct fixture *f)
{
	struct flow_table *table = f->datapath->flows;
	struct flow flow, pair;

	g_assert_cmpuint(flow_table_count(table), ==, 1);
	for (uint32_t i = 1; i < flow_table_end(table); i++)
		if (flow_table_copy_both(table, i, &flow, &pair) && !flow.reply)
			return connection_state(&flow, &pair);
	g_assert_not_reached();
}

static void establish(struct fixture *f)
{
	pass(f, true, TCP_SYN, A_BEGAN, 0);
	pass(f, false, TCP_SYN | TCP_ACK, C_BEGAN, A_BEGAN + 1);
	pass(f, true, TCP_ACK, A_BEGAN + 1, C_BEGAN + 1);
	g_assert_cmpint(state(f), ==, CONNECTION_ESTABLISHED);
}

static void test_forged(struct fixture *f, const void *data)
{
	establish(f);
	refuse(f, true, TCP_RST, A_BEGAN + FAR, 0);
	refuse(f, false, TCP_RST | TCP_ACK, C_BEGAN + FAR, A_BEGAN + 1);
	g_assert_cmpint(state(f), ==, CONNECTION_ESTABLISHED);
	pass(f, true, TCP_FIN | TCP_ACK, A_BEGAN + FAR, C_BEGAN + 1); /* c decides */
	pass(f, false, TCP_FIN | TCP_ACK, C_BEGAN + FAR, A_BEGAN + 1);
	g_assert_cmpint(state(f), ==, CONNECTION_ESTABLISHED);
	pass(f, true, TCP_RST, A_BEGAN + 1, 0);
	g_assert_cmpint(state(f), ==, CONNECTION_CLOSED);
}

/* a has lost its memory and begins anew; c knows the connection still. */
static void test_half_open(struct fixture *f, const void *data)
{
	establish(f);
	pass(f, true, TCP_SYN, 123456789, 0);
	g_assert_cmpint(state(f), ==, CONNECTION_ESTABLISHED);
	pass(f, false, TCP_ACK, C_BEGAN + 1, A_BEGAN + 1); /* the challenge */
	pass(f, true, TCP_RST, A_BEGAN + 1, 0);
	g_assert_cmpint(state(f), ==, CONNECTION_CLOSED);
	pass(f, true, TCP_SYN, 123456789, 0);
	g_assert_cmpint(state(f), ==, CONNECTION_NEW);
	pass(f, false, TCP_SYN | TCP_ACK, C_BEGAN + FAR, 123456790);
	pass(f, true, TCP_ACK, 123456790, C_BEGAN + FAR + 1);
	g_assert_cmpint(state(f), ==, CONNECTION_ESTABLISHED);
	refuse(f, true, TCP_RST, A_BEGAN + 1, 0); /* of the one before */
}

static void test_again(struct fixture *f, const void *data)
{
	establish(f);
	pass(f, true, TCP_FIN | TCP_ACK, A_BEGAN + 1, C_BEGAN + 1);
	g_assert_cmpint(state(f), ==, CONNECTION_CLOSING);
	pass(f, false, TCP_FIN | TCP_ACK, C_BEGAN + 1, A_BEGAN + 2);
	pass(f, true, TCP_ACK, A_BEGAN + 2, C_BEGAN + 2);
	g_assert_cmpint(state(f), ==, CONNECTION_CLOSED);
	pass(f, true, TCP_SYN, A_BEGAN + FAR, 0); /* the same ports, while c waits */
	g_assert_cmpint(state(f), ==, CONNECTION_NEW);
}

static void test_refused(struct fixture *f, const void *data)
{
	pass(f, true, TCP_SYN, A_BEGAN, 0);
	refuse(f, false, TCP_RST | TCP_ACK, 0, A_BEGAN + FAR);
	g_assert_cmpint(state(f), ==, CONNECTION_NEW);
	pass(f, false, TCP_RST | TCP_ACK, 0, A_BEGAN + 1);
	g_assert_cmpint(state(f), ==, CONNECTION_CLOSED);
}

/* The state has changed meanwhile; the window is known still. */
static void test_after_change(struct fixture *f, const void *data)
{
	establish(f);
	json_object_set_new(lab_nic(f, 2), "mtu", json_integer(1400));
	lab_apply(f);
	refuse(f, true, TCP_RST, A_BEGAN + FAR, 0);
	pass(f, false, TCP_RST, C_BEGAN + 1, 0);
	g_assert_cmpint(state(f), ==, CONNECTION_CLOSED);
}

#define ADD(name, fn) g_test_add("/ending/" name, struct fixture, NULL, lab_setup, fn, lab_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("nobody ends a connection who does not see it", test_forged);
	ADD("a host that forgot a connection gets a new one after the challenge", test_half_open);
	ADD("ports are used again after both sides have finished", test_again);
	ADD("a SYN is refused only by who saw it", test_refused);
	ADD("a connection that was sent another way keeps its window", test_after_change);
	return lab_run();
}
