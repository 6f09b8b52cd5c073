/* Tests of moving sources between two workers, which the test turns itself. */
#include "switch/port.h"
#include "switch/rebalance.h"
#include "switch/test_lab.h"

#include <string.h>

#define PERIOD 1000 /* cycles */

static void setup(struct fixture *f, const void *data)
{
	f->workers = 2;
	lab_setup(f, data);
	lab_allow_port(f, 80);
}

/* Packets by a, b and c in a period; the workers were busy for so long. */
static bool period(struct fixture *f, struct rebalance *rebalance, const unsigned packets[3], unsigned first,
	unsigned second)
{
	const struct test_frame frames[3] = {
		test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 2, 0),
		test_udp(MAC_B, MAC_A, IP_B, 1, IP_A, 2, 0),
		test_udp(MAC_C, MAC_GATEWAY, IP_C, 1, IP_A, 2, 0),
	};
	static const char *const from[3] = {"a", "b", "c"}, *const to[3] = {"c", "a", "a"};

	for (unsigned i = 0; i < 3; i++) {
		for (unsigned n = 0; n < packets[i]; n++) {
			lab_put(f, from[i], frames[i]);
			lab_expect(f, to[i]);
		}
	}
	f->datapath->workers[0]->busy_cycles += first;
	f->datapath->workers[1]->busy_cycles += second;
	bool moved = rebalance_look(rebalance, PERIOD);
	for (unsigned i = 0; i < 2; i++)
		worker_begin(f->datapath->workers[i], f->now_ms);
	return moved;
}

static unsigned worker_of(struct fixture *f, unsigned slot)
{
	return datapath_polling(f->datapath)->nics[slot];
}

static void assert_owner(struct fixture *f, const char *port, unsigned worker)
{
	g_assert_true(port_is_owner(lab_port(f, port), 0, worker));
}

static void test_shift(struct fixture *f, const void *data)
{
	_cleanup_(rebalance_free) struct rebalance *rebalance = rebalance_new(f->datapath);
	const unsigned even[3] = {10, 10, 10}, steep[3] = {20, 1, 30};

	assert_owner(f, "a", 0);
	assert_owner(f, "b", 1);
	assert_owner(f, "out", 1);
	for (unsigned i = 0; i < 5; i++)
		g_assert_false(period(f, rebalance, even, 600, 500));
	/* The load shifts to the first worker, which has a and c. */
	g_assert_false(period(f, rebalance, steep, 900, 10));
	g_assert_false(period(f, rebalance, steep, 900, 10));
	g_assert_true(period(f, rebalance, steep, 900, 10));
	g_assert_cmpuint(worker_of(f, 0), ==, 1);
	g_assert_cmpuint(worker_of(f, 2), ==, 0);
	assert_owner(f, "a", 1);
	assert_owner(f, "/a", 1); /* all attachments */
	assert_owner(f, "c", 0);
	for (unsigned i = 0; i < 5; i++)
		g_assert_false(period(f, rebalance, steep, 500, 560));
	g_assert_cmpuint(lab_drops(f, DROP_NO_DESTINATION), ==, 0);
}

/* What the flow's two pollers counted is all. */
static void test_one_connection(struct fixture *f, const void *data)
{
	struct source a = {.port = lab_port(f, "a"), .nic = datapath_snapshot(f->datapath)->nics[0]->id};
	struct test_frame frame = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 2, 4);
	struct flow *flow = NULL;

	for (unsigned i = 0; i < 100; i++) {
		store16(frame.bytes + 18, (uint16_t)i); /* its IP identification */
		test_fix(&frame);
		lab_put(f, "a", frame);
		if (i % 10 == 9) {
			datapath_move(f->datapath, &a, worker_of(f, 0) == 0);
			worker_begin(f->datapath->workers[0], f->now_ms);
			worker_begin(f->datapath->workers[1], f->now_ms);
		}
	}
	for (unsigned i = 0; i < 100; i++)
		g_assert_cmpuint(load16(lab_expect(f, "c").bytes + 18), ==, i);
	for (uint32_t i = 1; i < flow_table_end(f->datapath->flows); i++)
		if (flow_table_at(f->datapath->flows, i)->live &&
			!flow_table_at(f->datapath->flows, i)->reply)
			flow = flow_table_at(f->datapath->flows, i);
	g_assert_nonnull(flow);
	g_assert_cmpuint(flow->packets, ==, 100);
	g_assert_cmpuint(f->datapath->workers[0]->counters.rx, ==, 50);
	g_assert_cmpuint(f->datapath->workers[1]->counters.rx, ==, 50);
}

/* An edge's queue and a NIC stay where they were moved to, whatever the states are. */
static void test_states(struct fixture *f, const void *data)
{
	struct source out = {.port = lab_port(f, "out"), .nic = NO_NIC, .origin = FLOW_FROM_OUTSIDE};
	struct source b = {.port = lab_port(f, "b"), .nic = datapath_snapshot(f->datapath)->nics[1]->id};

	datapath_move(f->datapath, &out, 0);
	datapath_move(f->datapath, &b, 0);
	assert_owner(f, "out", 0);
	assert_owner(f, "host", 1);
	lab_deny_all(f);
	assert_owner(f, "out", 0);
	assert_owner(f, "b", 0);
	g_assert_cmpuint(polling_worker(datapath_polling(f->datapath), FLOW_FROM_OUTSIDE, NO_NIC), ==, 0);
	g_assert_cmpuint(polling_worker(datapath_polling(f->datapath), FLOW_FROM_HOST, NO_NIC), ==, 1);
	lab_put(f, "out", test_udp(MAC_PEER, MAC_OUT, PEER, 1, PUBLIC_A, 2, 0));
	lab_expect(f, "a");
	g_assert_cmpuint(f->worker->counters.rx, ==, 1);
}

#define ADD(name, fn) g_test_add("/rebalance/" name, struct fixture, NULL, setup, fn, lab_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("a NIC moves to where there is time when the load has shifted for long enough", test_shift);
	ADD("a connection that moves keeps its order and its counters", test_one_connection);
	ADD("what was moved stays when states change", test_states);
	return lab_run();
}
