/* The life of offloaded flows, on the model NIC. */
#include "offload/fake.h"
#include "offload/manager.h"

#include <string.h>

#define ROOM  8
#define STATS 1000
#define IDLE  5000
#define RETRY 3000

struct fixture {
	struct offload_manager *manager;
	struct offload_provider *nic; /* Borrowed: the manager's */
	uint64_t now_ms;
	struct offload_stats carried; /* of all flows, as the listener heard */
	GString *left; /* "1 refused: reason\n" */
};

/* ---- the owner's side ---- */

static void on_carried(void *data, uint64_t flow, const struct offload_stats *more)
{
	struct fixture *f = data;

	f->carried.packets += more->packets;
	f->carried.bytes += more->bytes;
}

static void on_left(void *data, uint64_t flow, enum offload_state state, const char *reason)
{
	struct fixture *f = data;

	g_string_append_printf(f->left, "%u %s: %s\n", (unsigned)flow, offload_state_word(state), reason);
}

static void assert_left(struct fixture *f, const char *text)
{
	g_assert_cmpstr(f->left->str, ==, text);
	g_string_truncate(f->left, 0);
}

static void attach(struct fixture *f)
{
	f->nic = offload_fake_new(OFFLOAD_ALL & ~OFFLOAD_IPV6, ROOM);
	offload_manager_attach(f->manager, f->nic);
}

static void poll_once(struct fixture *f)
{
	while (offload_manager_poll(f->manager, f->now_ms))
		;
}

static void pass(struct fixture *f, uint64_t milliseconds)
{
	f->now_ms += milliseconds;
	if (offload_manager_provider(f->manager))
		offload_fake_set_clock(f->nic, f->now_ms);
	poll_once(f); /* asks */
	poll_once(f); /* hears */
}

static void setup(struct fixture *f, const void *data)
{
	static const struct offload_listener listener = {.carried = on_carried, .left = on_left};
	const struct offload_policy policy = {
		.packets = 3, .pending = 6, .idle_ms = IDLE, .stats_ms = STATS, .retry_ms = RETRY};

	f->manager = offload_manager_new(&policy, &listener, f);
	f->left = g_string_new(NULL);
	f->now_ms = 100000;
	attach(f);
	poll_once(f);
	offload_manager_set_generation(f->manager, 1);
}

static void teardown(struct fixture *f, const void *data)
{
	offload_manager_free(f->manager);
	g_string_free(f->left, true);
}

/* UDP from 10.0.0.n to 10.0.1.1, in by port 1 and out by port 2. */
static struct offload_flow flow_of(uint64_t id)
{
	struct offload_flow flow = {.id = id};

	flow.match = (struct offload_match){.port = 1,
		.family = IP_V4,
		.protocol = 17,
		.src = {10, 0, 0, (uint8_t)id},
		.dst = {10, 0, 1, 1},
		.sport = GUINT16_TO_BE(1000),
		.dport = GUINT16_TO_BE(53)};
	flow.actions = (struct offload_actions){.mtu = 1500, .port = 2};
	return flow;
}

static enum offload_state offer(struct fixture *f, uint64_t id)
{
	struct offload_flow flow = flow_of(id);

	return offload_manager_offer(f->manager, &flow, 1, 3, f->now_ms);
}

static enum offload_state state(struct fixture *f, uint64_t id)
{
	return offload_manager_find(f->manager, id).state;
}

/* A packet of that flow arrives at the NIC. */
static enum offload_fake_verdict send_packet(struct fixture *f, uint64_t id)
{
	uint8_t frame[60] = {[12] = 8, [14] = 0x45, [17] = 28, [22] = 64, [23] = 17};
	g_autoptr(GByteArray) out = NULL;
	uint32_t port;

	memcpy(frame + 26,
		(uint8_t[]){10, 0, 0, (uint8_t)id, 10, 0, 1, 1, 1000 >> 8, 1000 & 0xff, 0, 53, 0, 8}, 14);
	return offload_fake_receive(f->nic, 1, frame, sizeof frame, &port, &out);
}

/* ---- tests ---- */

static void test_life(struct fixture *f, const void *data)
{
	struct offload_flow flow = flow_of(1);

	g_assert_cmpint(offload_manager_offer(f->manager, &flow, 1, 2, f->now_ms), ==, OFFLOAD_STATE_NONE);
	g_assert_cmpint(send_packet(f, 1), ==, OFFLOAD_FAKE_UP);
	g_assert_cmpint(offer(f, 1), ==, OFFLOAD_STATE_QUEUED);
	poll_once(f);
	g_assert_cmpint(state(f, 1), ==, OFFLOAD_STATE_INSTALLED);
	g_assert_cmpint(offer(f, 1), ==, OFFLOAD_STATE_INSTALLED);
	g_assert_cmpint(send_packet(f, 1), ==, OFFLOAD_FAKE_SENT);
	offload_manager_withdraw(f->manager, 1, "its connection is over");
	g_assert_cmpint(state(f, 1), ==, OFFLOAD_STATE_EVICTING);
	g_assert_cmpint(offer(f, 1), ==, OFFLOAD_STATE_EVICTING);
	poll_once(f);
	g_assert_cmpint(state(f, 1), ==, OFFLOAD_STATE_NONE);
	g_assert_cmpint(send_packet(f, 1), ==, OFFLOAD_FAKE_UP);
	g_assert_cmpuint(f->carried.packets, ==, 1); /* counted though nobody asked before it left */
	assert_left(f, "1 none: its connection is over\n");
}

static void test_counters(struct fixture *f, const void *data)
{
	offer(f, 1);
	poll_once(f);
	for (unsigned i = 0; i < 5; i++)
		send_packet(f, 1);
	pass(f, STATS);
	g_assert_cmpuint(f->carried.packets, ==, 5);
	g_assert_cmpuint(f->carried.bytes, ==, 300);
	pass(f, STATS);
	g_assert_cmpuint(f->carried.packets, ==, 5);
	send_packet(f, 1);
	pass(f, STATS);
	g_assert_cmpuint(f->carried.packets, ==, 6);
	g_assert_cmpuint(offload_manager_find(f->manager, 1).stats.packets, ==, 6);
}

static void test_idle(struct fixture *f, const void *data)
{
	offer(f, 1);
	offer(f, 2);
	poll_once(f);
	for (unsigned i = 0; i < IDLE / STATS + 2; i++) {
		send_packet(f, 2);
		pass(f, STATS);
	}
	g_assert_cmpint(state(f, 1), ==, OFFLOAD_STATE_NONE);
	g_assert_cmpint(state(f, 2), ==, OFFLOAD_STATE_INSTALLED);
	assert_left(f, "1 none: no packets came\n");
}

static void test_refused(struct fixture *f, const void *data)
{
	offload_fake_refuse(f->nic, 1, "the NIC does not like it");
	offer(f, 1);
	poll_once(f);
	g_assert_cmpint(state(f, 1), ==, OFFLOAD_STATE_REFUSED);
	g_assert_cmpstr(offload_manager_find(f->manager, 1).reason, ==, "the NIC does not like it");
	assert_left(f, "1 refused: the NIC does not like it\n");
	g_assert_cmpint(offer(f, 1), ==, OFFLOAD_STATE_REFUSED);
	f->now_ms += RETRY;
	g_assert_cmpint(offer(f, 1), ==, OFFLOAD_STATE_QUEUED);
	poll_once(f);
	g_assert_cmpint(state(f, 1), ==, OFFLOAD_STATE_INSTALLED);
	g_assert_null(offload_manager_find(f->manager, 1).reason);
}

static void test_unable(struct fixture *f, const void *data)
{
	struct offload_flow flow = flow_of(1);

	flow.match.family = IP_V6;
	g_assert_cmpint(offload_manager_offer(f->manager, &flow, 1, 3, f->now_ms), ==, OFFLOAD_STATE_REFUSED);
	assert_left(f, "1 refused: the NIC cannot match IPv6\n");
	g_assert_cmpuint(offload_fake_count(f->nic), ==, 0);
	offload_manager_withdraw(f->manager, 1, "its connection is over");
	g_assert_cmpint(state(f, 1), ==, OFFLOAD_STATE_NONE);
}

static void test_full(struct fixture *f, const void *data)
{
	for (unsigned id = 1; id <= ROOM + 1; id++) {
		offer(f, id);
		poll_once(f);
	}
	g_assert_cmpuint(offload_fake_count(f->nic), ==, ROOM);
	assert_left(f, "9 refused: the NIC's table is full\n");
	offload_manager_withdraw(f->manager, 1, "its connection is over");
	pass(f, RETRY);
	offer(f, 9);
	poll_once(f);
	g_assert_cmpint(state(f, 9), ==, OFFLOAD_STATE_INSTALLED);
}

static void test_pending(struct fixture *f, const void *data)
{
	for (unsigned id = 1; id <= 6; id++)
		g_assert_cmpint(offer(f, id), ==, OFFLOAD_STATE_QUEUED);
	g_assert_cmpint(offer(f, 7), ==, OFFLOAD_STATE_NONE);
	poll_once(f);
	g_assert_cmpint(offer(f, 7), ==, OFFLOAD_STATE_QUEUED);
}

static void test_evicted(struct fixture *f, const void *data)
{
	offer(f, 1);
	poll_once(f);
	send_packet(f, 1);
	g_assert_true(offload_fake_evict(f->nic, 1, "the NIC needs the place"));
	g_assert_cmpint(send_packet(f, 1), ==, OFFLOAD_FAKE_UP);
	poll_once(f);
	g_assert_cmpint(state(f, 1), ==, OFFLOAD_STATE_REFUSED);
	assert_left(f, "1 refused: the NIC needs the place\n");
	g_assert_cmpuint(f->carried.packets, ==, 1);
	g_assert_cmpuint(offload_manager_counts(f->manager).evicted, ==, 1);
}

static void test_evicted_while_leaving(struct fixture *f, const void *data)
{
	offer(f, 1);
	poll_once(f);
	offload_manager_withdraw(f->manager, 1, "its connection is over");
	offload_fake_evict(f->nic, 1, "the NIC needs the place");
	poll_once(f);
	g_assert_cmpint(state(f, 1), ==, OFFLOAD_STATE_NONE);
	assert_left(f, "1 none: its connection is over\n");
}

static void test_withdrawn_while_queued(struct fixture *f, const void *data)
{
	offload_fake_hold(f->nic, true);
	offer(f, 1);
	poll_once(f);
	offload_manager_withdraw(f->manager, 1, "its connection is over");
	g_assert_false(offload_manager_is_settled(f->manager));
	offload_fake_hold(f->nic, false);
	poll_once(f);
	g_assert_true(offload_manager_is_settled(f->manager));
	g_assert_false(offload_fake_has(f->nic, 1));
	assert_left(f, "1 none: its connection is over\n");
}

static void test_withdrawn_and_refused(struct fixture *f, const void *data)
{
	offload_fake_refuse(f->nic, 1, "no");
	offer(f, 1);
	offload_manager_withdraw(f->manager, 1, "its connection is over");
	poll_once(f);
	g_assert_cmpint(state(f, 1), ==, OFFLOAD_STATE_NONE);
	g_assert_true(offload_manager_is_settled(f->manager));
	assert_left(f, "1 none: its connection is over\n");
}

static void test_order(struct fixture *f, const void *data)
{
	offer(f, 1);
	poll_once(f);
	offload_fake_hold(f->nic, true);
	offload_fake_refuse(f->nic, 1, "no");
	offer(f, 2);
	offer(f, 3);
	offload_manager_withdraw(f->manager, 1, "its connection is over");
	poll_once(f);
	poll_once(f);
	offload_fake_reverse(f->nic);
	offload_fake_hold(f->nic, false);
	poll_once(f);
	g_assert_cmpint(state(f, 1), ==, OFFLOAD_STATE_NONE);
	g_assert_cmpint(state(f, 2), ==, OFFLOAD_STATE_REFUSED);
	g_assert_cmpint(state(f, 3), ==, OFFLOAD_STATE_INSTALLED);
	assert_left(f, "1 none: its connection is over\n2 refused: no\n");
}

static void test_generation(struct fixture *f, const void *data)
{
	struct offload_flow flow = flow_of(3);

	offer(f, 1);
	offer(f, 2);
	poll_once(f);
	offload_manager_set_generation(f->manager, 2);
	g_assert_false(offload_manager_is_settled(f->manager));
	g_assert_cmpint(
		send_packet(f, 1), ==, OFFLOAD_FAKE_SENT); /* still, so nobody may say that it holds */
	g_assert_cmpint(offer(f, 3), ==, OFFLOAD_STATE_NONE); /* decided by the old one */
	g_assert_cmpint(offload_manager_offer(f->manager, &flow, 2, 3, f->now_ms), ==, OFFLOAD_STATE_QUEUED);
	poll_once(f);
	g_assert_true(offload_manager_is_settled(f->manager));
	g_assert_cmpint(send_packet(f, 1), ==, OFFLOAD_FAKE_UP);
	g_assert_cmpint(state(f, 3), ==, OFFLOAD_STATE_INSTALLED);
	g_assert_cmpuint(offload_fake_count(f->nic), ==, 1);
}

static void test_confirm(struct fixture *f, const void *data)
{
	offer(f, 1);
	offer(f, 2);
	poll_once(f);
	offload_manager_confirm(f->manager, 2, 2);
	offload_manager_confirm(f->manager, 3, 2); /* nobody's */
	offload_manager_set_generation(f->manager, 2);
	g_assert_cmpint(send_packet(f, 2), ==, OFFLOAD_FAKE_SENT);
	poll_once(f);
	g_assert_true(offload_manager_is_settled(f->manager));
	g_assert_false(offload_fake_has(f->nic, 1));
	g_assert_true(offload_fake_has(f->nic, 2));
	assert_left(f, "1 none: policy has changed\n");
}

static void test_death(struct fixture *f, const void *data)
{
	struct offload_meter meter = {.id = 5, .packets_per_s = 1000, .burst_ms = 1000};
	struct offload_flow metered = flow_of(4);

	offload_manager_set_meter(f->manager, &meter);
	offer(f, 1);
	poll_once(f);
	offer(f, 2);
	offload_fake_die(f->nic);
	poll_once(f);
	g_assert_null(offload_manager_provider(f->manager));
	g_assert_cmpint(state(f, 1), ==, OFFLOAD_STATE_NONE);
	g_assert_cmpint(offer(f, 1), ==, OFFLOAD_STATE_NONE);
	g_assert_true(strstr(f->left->str, "1 none: the NIC is gone\n") &&
		      strstr(f->left->str, "2 none: the NIC is gone\n"));
	g_assert_cmpuint(offload_manager_counts(f->manager).deaths, ==, 1);
	g_assert_cmpuint(offload_manager_counts(f->manager).states[OFFLOAD_STATE_INSTALLED], ==, 0);
	attach(f);
	g_assert_cmpint(offer(f, 1), ==, OFFLOAD_STATE_NONE); /* it is not flushed yet */
	poll_once(f);
	metered.actions.meters[0] = 5; /* the new one has it, too */
	g_assert_cmpint(
		offload_manager_offer(f->manager, &metered, 1, 3, f->now_ms), ==, OFFLOAD_STATE_QUEUED);
	poll_once(f);
	g_assert_cmpint(state(f, 4), ==, OFFLOAD_STATE_INSTALLED);
}

static void test_flush(struct fixture *f, const void *data)
{
	struct offload_flow old = flow_of(77);
	struct offload_event event;

	offload_fake_die(f->nic);
	poll_once(f);
	f->nic = offload_fake_new(OFFLOAD_ALL, ROOM);
	f->nic->ops->put(f->nic, &old);
	g_assert_cmpint(f->nic->ops->poll(f->nic, &event, 1), ==, 1);
	g_assert_true(offload_fake_has(f->nic, 77));
	offload_manager_attach(f->manager, f->nic);
	poll_once(f);
	g_assert_false(offload_fake_has(f->nic, 77));
}

static void test_meter(struct fixture *f, const void *data)
{
	struct offload_meter meter = {.id = 5, .packets_per_s = 10, .burst_ms = 1000};
	struct offload_flow flow = flow_of(1);
	unsigned sent = 0;

	flow.actions.meters[1] = 5;
	offload_manager_offer(f->manager, &flow, 1, 3, f->now_ms);
	poll_once(f);
	assert_left(f, "1 refused: it names a meter that the NIC does not have\n");
	offload_manager_set_meter(f->manager, &meter);
	pass(f, RETRY);
	offload_manager_offer(f->manager, &flow, 1, 3, f->now_ms);
	poll_once(f);
	for (unsigned i = 0; i < 30; i++)
		sent += send_packet(f, 1) == OFFLOAD_FAKE_SENT;
	g_assert_cmpuint(sent, ==, 10);
	pass(f, 500);
	for (unsigned i = 0; i < 30; i++)
		sent += send_packet(f, 1) == OFFLOAD_FAKE_SENT;
	g_assert_cmpuint(sent, ==, 15);
}

/* The flow that has it leaves, and comes back when the NIC takes it; the other one does not care. */
static void test_meter_refused(struct fixture *f, const void *data)
{
	struct offload_meter meter = {.id = 5, .packets_per_s = 1000, .burst_ms = 1000};
	struct offload_flow flow = flow_of(1);

	flow.actions.meters[0] = 5;
	offload_manager_set_meter(f->manager, &meter);
	offload_manager_offer(f->manager, &flow, 1, 3, f->now_ms);
	offer(f, 2);
	poll_once(f);
	g_assert_cmpint(state(f, 1), ==, OFFLOAD_STATE_INSTALLED);
	offload_fake_refuse_meters(f->nic, true);
	meter.packets_per_s = 10;
	offload_manager_set_meter(f->manager, &meter);
	g_assert_false(offload_manager_is_settled(f->manager));
	poll_once(f);
	g_assert_true(offload_manager_is_settled(f->manager));
	g_assert_false(offload_fake_has(f->nic, 1));
	g_assert_true(offload_fake_has(f->nic, 2));
	assert_left(f, "1 none: the NIC did not take its limit: Operation not supported\n");
	offload_manager_offer(f->manager, &flow, 1, 3, f->now_ms);
	assert_left(f, "1 refused: the NIC did not take its limit\n");
	offload_fake_refuse_meters(f->nic, false);
	pass(f, RETRY);
	offload_manager_offer(f->manager, &flow, 1, 3, f->now_ms);
	poll_once(f);
	g_assert_cmpint(state(f, 1), ==, OFFLOAD_STATE_INSTALLED);
	pass(f, 1000);
	for (unsigned i = 0; i < 10; i++)
		g_assert_cmpint(send_packet(f, 1), ==, OFFLOAD_FAKE_SENT);
	g_assert_cmpint(send_packet(f, 1), ==, OFFLOAD_FAKE_METERED);
}

#define TEST(name, function)                                                                                 \
	g_test_add("/offload manager/" name, struct fixture, NULL, setup, function, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("a flow that is worth it is put, and taken out when its connection ends", test_life);
	TEST("what the NIC carried is told once", test_counters);
	TEST("a silent flow makes room", test_idle);
	TEST("a refusal is told with its reason, and tried again later", test_refused);
	TEST("a flow that the NIC cannot hold is not put", test_unable);
	TEST("a full table refuses, until there is room", test_full);
	TEST("only so many puts are under way", test_pending);
	TEST("an eviction is told with its reason and the last counters", test_evicted);
	TEST("an eviction of what leaves is no refusal", test_evicted_while_leaving);
	TEST("what is withdrawn while it is queued leaves when the NIC has answered",
		test_withdrawn_while_queued);
	TEST("what is withdrawn and then refused is gone", test_withdrawn_and_refused);
	TEST("answers may come in any order", test_order);
	TEST("with a new policy all flows of the old one leave first", test_generation);
	TEST("a flow that is confirmed for a new policy stays", test_confirm);
	TEST("a NIC that dies gives all flows back, and another one may follow", test_death);
	TEST("what another process left in the NIC is flushed", test_flush);
	TEST("a meter holds flows to its rate", test_meter);
	TEST("flows whose meter the NIC does not take anew leave it, until it does", test_meter_refused);
	return g_test_run();
}
