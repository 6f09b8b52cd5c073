/* Connections that move with NIC a from switch one to switch two: see carry.h, and test_talk.h for the switches.
 *
 * a talks to others on both sides, each in each protocol, whoever began. Then it moves. What was under way goes on where
 * a is now, with whoever it was, and nothing else does.
 */
#include "base/fault.h"
#include "switch/connection_file.h"
#include "switch/conntrack.h"
#include "switch/test_carry.h"
#include "switch/trace.h"

#include <glib/gstdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- tests ---- */

static void test_all(struct pair *p, const void *data)
{
	unsigned elsewhere = 0, before = flow_table_count(p->two.datapath->flows);

	for (unsigned i = 0; i < TALKS; i++) {
		const struct talk talk = talk_of(i);
		talk_begin(p, &p->one, &talk);
		elsewhere += talk.other->side == TALK_TWO;
	}
	before = flow_table_count(p->two.datapath->flows);
	g_autoptr(GBytes) file = carry_file(p, TALKS + 2, 0); /* and those by which they met */
	carry_move(p);
	/* Those that d and e know are theirs already; a has spoken to the peer here itself. */
	carry_assert_taken(carry_take(p, file), TALKS - elsewhere, elsewhere + 2, 0);
	g_assert_cmpuint(flow_table_count(p->two.datapath->flows), ==, before + 1 + TALKS - elsewhere);
	talk_leave(p);
	for (unsigned i = 0; i < TALKS; i++) {
		const struct talk talk = talk_of(i);
		talk_go_on(p, &p->two, &talk, data == NULL, true);
	}
	g_assert_cmpuint(lab_drops(&p->two, DROP_TCP_NO_SYN), ==, 0);
	g_assert_cmpuint(lab_drops(&p->one, DROP_TCP_NO_SYN), ==, 0);
	g_assert_cmpuint(lab_drops(&p->one, DROP_REVOKED), ==, 0);
}

/* While a is still on the old host all of it goes on there, though the new one has its port and its connections. */
static void test_arriving(struct pair *p, const void *data)
{
	json_t *mappings = json_object_get(pair_network(&p->two), "mappings"), *a;
	unsigned elsewhere = 0;

	for (unsigned i = 0; i < TALKS; i++) {
		const struct talk talk = talk_of(i);
		talk_begin(p, &p->one, &talk);
		elsewhere += talk.other->side == TALK_TWO;
	}
	a = json_deep_copy(lab_nic(&p->one, 0));
	json_object_set_new(a, "away", json_true());
	json_array_append_new(json_object_get(p->two.state, "nics"), a);
	lab_apply(&p->two);
	lab_expect_none(&p->two, "out"); /* its public address is not announced */
	lab_put(&p->two, "out", test_arp(MAC_PEER, 1, MAC_PEER, PEER, PUBLIC_A));
	lab_expect_none(&p->two, "out"); /* nor answered for */
	g_autoptr(GBytes) file = carry_file(p, TALKS + 2, 0);
	for (unsigned copy = 0; copy < 2; copy++) {
		for (unsigned i = 0; i < TALKS; i++) {
			const struct talk talk = talk_of(i);
			talk_go_on(p, &p->one, &talk, i & 4, true);
		}
		carry_assert_taken(carry_take(p, file), copy ? 0 : TALKS + 1 - elsewhere,
			copy ? TALKS + 2 : elsewhere + 1, 0);
	}
	json_object_del(a, "away");
	json_array_remove(mappings, 0);
	lab_apply(&p->two);
	struct test_frame frame = lab_expect(&p->two, "out");
	g_assert_cmphex(load16(frame.bytes + 12), ==, 0x0806);
	g_assert_cmphex(load32(frame.bytes + 28), ==, load32((uint8_t[]){203, 0, 113, 10}));
	lab_meet_peer(&p->two);
	talk_leave(p);
	for (unsigned i = 0; i < TALKS; i++) {
		const struct talk talk = talk_of(i);
		talk_go_on(p, &p->two, &talk, i & 4, true);
	}
}

static void set_away(struct fixture *f, json_t *nic, const char *vtep)
{
	json_array_append_new(json_object_get(pair_network(f), "mappings"), pair_mapping(IP_A, vtep, MAC_A));
	json_object_set_new(nic, "away", json_true());
	lab_apply(f);
}

/* Its mapping is the last one. */
static void set_here(struct fixture *f, json_t *nic)
{
	json_t *mappings = json_object_get(pair_network(f), "mappings");

	json_array_remove(mappings, json_array_size(mappings) - 1);
	json_object_del(nic, "away");
	lab_apply(f);
}

/* Between its stop on one host and its start on the other a is on neither; what is for it goes to the new one, and no further. */
static void assert_nowhere(struct pair *p)
{
	for (unsigned i = 0; i < TALKS; i++) {
		const struct talk talk = talk_of(i);
		if (talk.other->side == TALK_ONE)
			talk_expect(talk_to_a(p, &p->one, &talk, TCP_ACK), false, &talk, "a packet");
	}
	g_assert_cmpuint(lab_drops(&p->one, DROP_REVOKED), ==, 0);
	lab_expect_none(&p->two, "a");
}

/* a has stopped on the old host, and not begun on the new one; `data`: nor will it. Some connections began since the first
 * copy, and neighbours go on speaking before the last one. */
static void test_leaving(struct pair *p, const void *data)
{
	struct fixture *home = data ? &p->one : &p->two;
	json_t *here = lab_nic(&p->one, 0), *there = json_deep_copy(here);

	json_array_append_new(json_object_get(p->two.state, "nics"), there);
	json_array_remove(json_object_get(pair_network(&p->two), "mappings"), 0);
	set_away(&p->two, there, VTEP_1);
	for (unsigned i = 0; i < TALKS; i++) {
		const struct talk talk = talk_of(i);
		if (i == TALKS / 3) {
			g_autoptr(GBytes) file = carry_file(p, TALKS / 3 + 2, 0);
			carry_take(p, file);
		}
		talk_begin(p, &p->one, &talk);
	}
	set_away(&p->one, here, VTEP_2);
	lab_expect_none(&p->one, "out");
	assert_nowhere(p);
	g_autoptr(GBytes) file = carry_file(p, TALKS + 2, 0);
	const struct carry_taken taken = carry_take(p, file);
	g_assert_cmpuint(carry_refused(&taken), ==, 0);
	assert_nowhere(p);
	set_here(home, data ? here : there);
	talk_drain(home);
	if (!data)
		lab_meet_peer(home);
	for (unsigned i = 0; i < TALKS; i++) {
		const struct talk talk = talk_of(i);
		talk_go_on(p, home, &talk, i & 4, true);
	}
	if (data)
		return;
	json_array_remove(json_object_get(p->one.state, "nics"), 0);
	lab_apply(&p->one);
	for (unsigned i = 0; i < TALKS; i++) {
		const struct talk talk = talk_of(i);
		talk_go_on(p, home, &talk, !(i & 4), true);
	}
}

/* A connection that is silent while a leaves, and for long after, is there when its other end speaks again. */
static void test_silent(struct pair *p, const void *data)
{
	struct talk talk = talk_of(0);

	talk_begin(p, &p->one, &talk);
	g_autoptr(GBytes) file = carry_file(p, 3, 0);
	carry_move(p);
	carry_assert_taken(carry_take(p, file), 1, 2, 0);
	talk_leave(p);
	lab_pass(&p->one, 3600 * SECOND);
	lab_pass(&p->two, 3600 * SECOND);
	talk_drain(&p->one);
	talk_drain(&p->two);
	talk_go_on(p, &p->two, &talk, false, true);
}

/* Until it is known where a has gone, if it ever is. */
static void test_nowhere(struct pair *p, const void *data)
{
	struct talk talk = talk_of(0);

	for (unsigned i = 0; i < 2; i++) {
		talk_begin(p, &p->one, &talk);
		json_auto_t *a = json_incref(lab_nic(&p->one, 0));
		json_array_remove(json_object_get(p->one.state, "nics"), 0);
		lab_apply(&p->one);
		lab_pass(&p->one, 20 * SECOND);
		g_assert_cmpuint(flow_table_count(p->one.datapath->flows), ==, 1);
		talk_expect(talk_to_a(p, &p->two, &talk, TCP_ACK), false, &talk, "a packet");
		g_assert_cmpuint(lab_drops(&p->one, DROP_REVOKED), ==, i + 1);
		talk_drain(&p->one);
		if (i == 0) {
			json_array_insert(json_object_get(p->one.state, "nics"), 0, a);
			lab_apply(&p->one);
			talk_drain(&p->one);
			talk_go_on(p, &p->one, &talk, true, true);
			talk.number++;
			lab_pass(&p->one, 2 * 7440 * SECOND);
			talk_drain(&p->one);
		}
	}
	lab_pass(&p->one, 70 * SECOND);
	g_assert_cmpuint(flow_table_count(p->one.datapath->flows), ==, 0);
}

/* The copy that is made while it runs there, and the one when it has stopped. */
static void test_again(struct pair *p, const void *data)
{
	struct talk first = talk_of(TALK_OUT), second = talk_of(TALK_OUT + 1); /* with the outside */

	talk_begin(p, &p->one, &first);
	g_autoptr(GBytes) early = carry_file(p, 3, 0);
	carry_move(p);
	carry_assert_taken(carry_take(p, early), 1, 2, 0);
	carry_assert_taken(carry_take(p, early), 0, 3, 0);
	talk_go_on(p, &p->two, &first, true, true);
	uint32_t count = flow_table_count(p->two.datapath->flows);
	talk_begin(p, &p->one, &second);
	g_autoptr(GBytes) late = carry_file(p, 4, 0);
	carry_assert_taken(carry_take(p, late), 1, 3, 0);
	g_assert_cmpuint(flow_table_count(p->two.datapath->flows), ==, count + 1);
	talk_leave(p);
	talk_go_on(p, &p->two, &first, true, true);
	talk_go_on(p, &p->two, &second, true, true);
}

static void find(struct fixture *f, uint8_t protocol, struct flow *ret_forward, struct flow *ret_reply)
{
	for (uint32_t i = 1; i < flow_table_end(f->datapath->flows); i++)
		if (flow_table_copy_both(f->datapath->flows, i, ret_forward, ret_reply) &&
			!ret_forward->reply && ret_forward->key.protocol == protocol)
			return;
	g_error("no connection of protocol %u", protocol);
}

static uint32_t age_of(const struct fixture *f, const struct flow *flow)
{
	return (uint32_t)(f->now_ms / 1000) - flow->created_s;
}

static uint32_t idle_of(const struct fixture *f, const struct flow *flow)
{
	return (uint32_t)f->now_ms - flow->seen_ms;
}

/* State, times, counters and windows are what they were; clocks differ. */
static void test_past(struct pair *p, const void *data)
{
	struct talk talk = talk_of(TALK_OUT); /* with the outside, by TCP */
	struct flow was[2], is[2];

	g_assert_cmpint(talk.other->side, ==, TALK_OUTSIDE);
	talk_begin(p, &p->one, &talk);
	lab_pass(&p->one, 10 * SECOND);
	talk_go_on(p, &p->one, &talk, true, true);
	lab_pass(&p->one, 500 * SECOND);
	find(&p->one, 6, &was[0], &was[1]);
	g_autoptr(GBytes) file = carry_file(p, 1, 0);
	lab_pass(&p->two, 70 * SECOND);
	talk_arrive(p);
	carry_assert_taken(carry_take(p, file), 1, 0, 0);
	find(&p->two, 6, &is[0], &is[1]);
	g_assert_cmpint(connection_state(&is[0], &is[1]), ==, CONNECTION_ESTABLISHED);
	for (unsigned i = 0; i < 2; i++) {
		g_assert_cmpuint(age_of(&p->two, &is[i]), ==, age_of(&p->one, &was[i]));
		g_assert_cmpuint(idle_of(&p->two, &is[i]), ==, 500 * SECOND);
		g_assert_cmpuint(is[i].tcp, ==, was[i].tcp);
		g_assert_cmpuint(is[i].packets, ==, was[i].packets);
		g_assert_cmpuint(is[i].bytes, ==, was[i].bytes);
	}
	/* What somebody made up who does not see the connection ends it here as little as there. */
	uint64_t before = lab_drops(&p->two, DROP_TCP_WINDOW);
	struct test_frame reset = test_tcp(MAC_PEER, MAC_OUT, PEER, 80, PUBLIC_A, talk.number, TCP_RST, 0);
	lab_put(&p->two, "out", reset);
	g_assert_cmpuint(lab_drops(&p->two, DROP_TCP_WINDOW), ==, before + 1);
	/* It has as long as it had left. */
	lab_pass(&p->two, 6900 * SECOND);
	g_assert_cmpuint(flow_table_count(p->two.datapath->flows), ==, 1);
	lab_pass(&p->two, 60 * SECOND);
	g_assert_cmpuint(flow_table_count(p->two.datapath->flows), ==, 0);
}

/* What a's NIC there had of it moved the windows past what the old switch knew, which is all that the new one has: so an
 * end of the connection is believed wherever it lies. */
static void test_carried(struct pair *p, const void *data)
{
	const struct talk talk = talk_of(TALK_OUT);
	struct flow forward, reply;

	talk_begin(p, &p->one, &talk);
	lab_pass(&p->one, 10 * SECOND);
	for (uint32_t i = 1; i < flow_table_end(p->one.datapath->flows); i++) {
		struct flow *flow = flow_table_at(p->one.datapath->flows, i);
		flow->carried = flow->key.protocol == 6 && !flow->reply; /* what a sends */
	}
	g_autoptr(GBytes) file = carry_file(p, 3, 0);
	talk_arrive(p);
	carry_take(p, file);
	find(&p->two, 6, &forward, &reply);
	g_assert_true(forward.carried);
	g_assert_false(reply.carried);
	lab_meet_peer(&p->two);
	talk_drain(&p->two);
	uint64_t before = lab_drops(&p->two, DROP_TCP_WINDOW);
	struct test_frame reset = test_tcp(MAC_PEER, MAC_OUT, PEER, 80, PUBLIC_A, talk.number, TCP_RST, 0);
	store32(reset.bytes + 38, 0x70000000);
	test_fix(&reset);
	lab_put(&p->two, "out", reset);
	g_assert_cmpuint(lab_drops(&p->two, DROP_TCP_WINDOW), ==, before);
	find(&p->two, 6, &forward, &reply);
	g_assert_cmpint(connection_state(&forward, &reply), ==, CONNECTION_CLOSED);
}

static void assert_forwarded(struct fixture *f, const char *packet)
{
	json_auto_t *params = json_pack("{s:s, s:s}", "nic", "b", "packet", packet);
	g_autoptr(GError) error = NULL;
	json_auto_t *result = trace_packet(f->datapath, params, &error);

	g_assert_no_error(error);
	if (!g_str_equal(json_string_value(json_object_get(result, "verdict")), "forwarded"))
		g_error("%s: %s", packet, json_dumps(result, JSON_INDENT(1)));
	g_assert_false(json_is_null(json_object_get(result, "flow")));
}

/* What the switch passes, trace does not call a segment of no connection. */
static void test_traced(struct pair *p, const void *data)
{
	const struct talk begun = talk_of(0), answered = talk_of(1); /* with b, by TCP */
	struct fixture *f = &p->one;

	talk_begin(p, f, &begun);
	talk_begin(p, f, &answered);
	talk_arrive(p);
	talk_leave(p);
	f->datapath->started_ms -= 3600 * SECOND; /* of the real clock, which trace looks at */
	for (unsigned i = 0; i < 2; i++) {
		g_autofree char *in = g_strdup_printf("in tcp " IP_A ":%u > " IP_B ":80 ack", 2000 + i);
		g_autofree char *out = g_strdup_printf("out tcp " IP_B ":80 > " IP_A ":%u ack", 2000 + i);
		assert_forwarded(f, in);
		assert_forwarded(f, out);
	}
}

/* It is as old as it was, past what milliseconds tell in 32 bits, and has been silent for as long as before. */
static void test_old(struct pair *p, const void *data)
{
	const uint32_t day = 86400;
	struct talk talk = talk_of(TALK_OUT);
	struct flow forward, reply;

	talk_begin(p, &p->one, &talk);
	lab_pass(&p->one, 5 * SECOND);
	for (uint32_t i = 1; i < flow_table_end(p->one.datapath->flows); i++)
		flow_table_at(p->one.datapath->flows, i)->created_s -= 300 * day;
	g_autoptr(GBytes) file = carry_file(p, 3, 0);
	talk_arrive(p);
	carry_take(p, file);
	find(&p->two, 6, &forward, &reply);
	g_assert_cmpuint(age_of(&p->two, &forward), ==, 300 * day + 5);
	g_assert_cmpuint(idle_of(&p->two, &forward), ==, 5 * SECOND);
}

/* ---- the methods ---- */

static void expect_fault(
	struct pair *p, const char *nic, const char *path, enum fault code, const char *words)
{
	g_autoptr(GError) error = NULL;
	json_auto_t *params = json_pack("{s:s, s:s}", "nic", nic, "path", path);

	g_assert_null(carry_method_import(p->two.datapath, params, &error));
	g_assert_error(error, FAULT, (int)code);
	if (!strstr(error->message, words))
		g_error("%s", error->message);
}

static void test_methods(struct pair *p, const void *data)
{
	g_autofree char *folder = g_dir_make_tmp("carry-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "a", NULL);
	json_auto_t *params = json_pack("{s:s, s:s}", "nic", "a", "path", path);
	struct talk talk = talk_of(0);
	g_autoptr(GError) error = NULL;

	talk_begin(p, &p->one, &talk);
	/* The methods have the real clock, of which the lab's is an hour ahead. */
	json_auto_t *exported = carry_method_export(p->one.datapath, params, &error);
	g_assert_no_error(error);
	g_assert_cmpint(json_integer_value(json_object_get(exported, "connections")), ==, 3);
	talk_arrive(p);
	json_auto_t *imported = carry_method_import(p->two.datapath, params, &error);
	g_assert_no_error(error);
	g_assert_cmpint(json_integer_value(json_object_get(imported, "imported")), ==, 2);
	g_assert_cmpint(json_integer_value(json_object_get(imported, "known")), ==, 1);
	g_assert_cmpuint(json_object_size(json_object_get(imported, "refused")), ==, 0);
	expect_fault(p, "d", path, FAULT_INVALID, "another NIC");
	expect_fault(p, "nobody", path, FAULT_NOT_FOUND, "nobody");
	expect_fault(p, "a", "a", FAULT_INVALID, "path");
	expect_fault(p, "a", folder, FAULT_NOT_FOUND, "regular");
	g_unlink(path);
	expect_fault(p, "a", path, FAULT_NOT_FOUND, path);
	g_rmdir(folder);
	g_assert_null(carry_method_export(p->one.datapath, params, &error));
	g_assert_error(error, FAULT, FAULT_UNAVAILABLE);
}

/* ---- how long it takes: carry_test -m perf ---- */

/* The same state, with room for them. */
static void enlarge(struct fixture *f)
{
	json_t *state = json_deep_copy(f->state);

	lab_teardown(f, NULL);
	*f = (struct fixture){};
	lab_start(f, state, CARRY_MANY + 10000, CARRY_MANY + 1000);
}

/* Of this thread's processor. */
static void tell_time(clock_t *start, const char *what)
{
	clock_t now = clock();
	double seconds = (double)(now - *start) / CLOCKS_PER_SEC;

	g_test_minimized_result(seconds, "%s of %u connections: %.3f s", what, CARRY_MANY, seconds);
	*start = now;
}

static void test_many(struct pair *p, const void *data)
{
	struct test_frame frame = test_udp(MAC_A, MAC_GATEWAY, IP_A, 0, PEER, 0, 20);

	enlarge(&p->one);
	enlarge(&p->two);
	lab_meet_peer(&p->one);
	for (uint32_t i = 1; i < CARRY_MANY; i++) {
		store16(frame.bytes + 34, (uint16_t)(1000 + i / 60000));
		store16(frame.bytes + 36, (uint16_t)(1000 + i % 60000));
		test_fix(&frame);
		lab_put(&p->one, "a", frame);
		if (i % 100 == 0)
			talk_drain(&p->one);
	}
	talk_drain(&p->one);
	talk_arrive(p);
	clock_t start = clock();
	g_autoptr(GBytes) file = carry_file(p, CARRY_MANY, 0);
	tell_time(&start, "export, to a file that is read again");
	carry_assert_taken(carry_take(p, file), CARRY_MANY, 0, 0);
	tell_time(&start, "import");
	carry_assert_taken(carry_take(p, file), 0, CARRY_MANY, 0);
	tell_time(&start, "a second one");
}

#define ADD(name, fn) g_test_add("/carry/" name, struct pair, NULL, carry_setup, fn, pair_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("connections of all kinds go on where their NIC has gone, and it speaks first", test_all);
	g_test_add(
		"/carry/connections of all kinds go on where their NIC has gone, and it is spoken to first",
		struct pair, "", carry_setup, test_all, pair_teardown);
	ADD("until a NIC has arrived, all of it goes on where it was", test_arriving);
	ADD("once a NIC has stopped, what is for it goes to its new host, and the last copy has all of it",
		test_leaving);
	g_test_add("/carry/if it stays after all, all of it goes on where it was", struct pair, "",
		carry_setup, test_leaving, pair_teardown);
	ADD("a silent connection is not lost with the NIC that began it", test_silent);
	ADD("a connection whose NIC has left is given up when nobody says where to", test_nowhere);
	ADD("a second copy adds what is new and touches nothing else", test_again);
	ADD("states, times, counters and windows move", test_past);
	ADD("windows that a NIC had moved are not held against the ends of a connection", test_carried);
	ADD("a packet of a connection whose NIC has gone is traced as it goes", test_traced);
	ADD("a connection that is older than clocks can tell moves", test_old);
	ADD("the methods say what came of it", test_methods);
	if (g_test_perf())
		ADD("half a million connections move in a few seconds", test_many);
	return lab_run();
}
