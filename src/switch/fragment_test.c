/* Tests of the fragment table. */
#include "switch/fragment.h"

#include <glib.h>

static struct packet packet(uint32_t nic, uint32_t id, uint8_t kind)
{
	struct packet packet = {.kind = kind, .fragment_id = id};

	packet.key = (struct flow_key){.family = IP_V4, .protocol = 17, .nic = nic, .src = {10}, .dst = {11}};
	return packet;
}

static void learn(struct fragment_table *table, uint32_t nic, uint32_t id, uint16_t port, uint32_t now_ms)
{
	struct packet first = packet(nic, id, PACKET_FLOW);

	first.key.sport = port;
	fragment_learn(table, &first, now_ms);
}

/* The source port that a later fragment gets; 0: its first one is not known. */
static uint16_t resolve(struct fragment_table *table, uint32_t nic, uint32_t id, uint32_t now_ms)
{
	struct packet later = packet(nic, id, PACKET_FRAGMENT);

	return fragment_resolve(table, &later, now_ms) ? later.key.sport : 0;
}

static void test_resolve(void)
{
	_cleanup_(fragment_table_free) struct fragment_table *table = fragment_table_new();

	learn(table, 1, 7, 53, 1000);
	g_assert_cmpuint(resolve(table, 1, 7, 1001), ==, 53);
	g_assert_cmpuint(resolve(table, 1, 7, 1002), ==, 53);
	learn(table, 1, 7, 54, 1003); /* the identification is used again */
	g_assert_cmpuint(resolve(table, 1, 7, 1004), ==, 54);
}

static void test_strangers(void)
{
	_cleanup_(fragment_table_free) struct fragment_table *table = fragment_table_new();
	struct packet later = packet(1, 7, PACKET_FRAGMENT);

	learn(table, 1, 7, 53, 1000);
	g_assert_cmpuint(resolve(table, 2, 7, 1000), ==, 0); /* equal addresses in another network */
	g_assert_cmpuint(resolve(table, 1, 8, 1000), ==, 0);
	later.key.protocol = 6;
	g_assert_false(fragment_resolve(table, &later, 1000));
	later = packet(1, 7, PACKET_FRAGMENT);
	later.key.origin = FLOW_FROM_OUTSIDE;
	g_assert_false(fragment_resolve(table, &later, 1000));
	later = packet(1, 7, PACKET_FRAGMENT);
	later.key.dst[3] = 1;
	g_assert_false(fragment_resolve(table, &later, 1000));
}

static void test_age(void)
{
	_cleanup_(fragment_table_free) struct fragment_table *table = fragment_table_new();

	learn(table, 1, 7, 53, UINT32_MAX - 1000); /* the clock wraps meanwhile */
	g_assert_cmpuint(resolve(table, 1, 7, 3000), ==, 53);
	g_assert_cmpuint(resolve(table, 1, 7, 5000), ==, 0);
}

/* A flood of first fragments pushes out the oldest, and the newest are still there. */
static void test_flood(void)
{
	_cleanup_(fragment_table_free) struct fragment_table *table = fragment_table_new();
	unsigned known = 0;

	for (uint32_t id = 1; id <= 100000; id++)
		learn(table, 1, id, 53, id / 100);
	for (uint32_t id = 100000 - 200; id <= 100000; id++)
		known += resolve(table, 1, id, 1000) == 53;
	g_assert_cmpuint(known, >, 190);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/fragment/later fragments take the ports of their first", test_resolve);
	g_test_add_func("/fragment/fragments of another packet, NIC or origin do not", test_strangers);
	g_test_add_func("/fragment/a first fragment is forgotten after a while", test_age);
	g_test_add_func("/fragment/a flood pushes out the oldest", test_flood);
	return g_test_run();
}
