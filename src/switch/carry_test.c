/* Connections that move with NIC a from switch one to switch two: see carry.h, and test_talk.h for the switches.
 *
 * a talks to others on both sides, each in each protocol, whoever began. Then it moves. What was under way goes on where
 * a is now, with whoever it was, and nothing else does.
 */
#include "switch/carry.h"

#include "base/fault.h"
#include "switch/connection_file.h"
#include "switch/conntrack.h"
#include "switch/test_talk.h"
#include "switch/trace.h"

#include <glib/gstdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MANY 500000u

static const struct nic *nic_a(const struct fixture *f)
{
	const struct snapshot *state = datapath_snapshot(f->datapath);

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++)
		if (state->nics[slot] && g_str_equal(state->nics[slot]->uid, "a"))
			return state->nics[slot];
	g_error("a is not here");
}

/* The contents of the file that switch one exports. */
static GBytes *export(struct pair *p, unsigned wanted, unsigned wanted_left)
{
	g_autofree char *folder = g_dir_make_tmp("carry-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "a", NULL);
	_cleanup_(connection_writer_free) struct connection_writer *writer = connection_writer_new("a");
	struct carry_left left;
	char *contents;
	gsize size;

	carry_export(p->one.datapath, nic_a(&p->one), p->one.now_ms, writer, &left);
	g_assert_cmpuint(connection_writer_count(writer), ==, wanted);
	g_assert_cmpuint(left.shared + left.host, ==, wanted_left);
	g_assert_true(connection_writer_save(writer, path, NULL));
	g_assert_true(g_file_get_contents(path, &contents, &size, NULL));
	g_unlink(path);
	g_rmdir(folder);
	return g_bytes_new_take(contents, size);
}

static struct carry_taken import(struct pair *p, GBytes *file)
{
	g_autoptr(GError) error = NULL;
	struct carry_taken taken;
	gsize size;
	const uint8_t *bytes = g_bytes_get_data(file, &size);
	_cleanup_(connection_reader_free) struct connection_reader *reader =
		connection_reader_new(bytes, size, "a", MANY, &error);

	g_assert_no_error(error);
	carry_import(p->two.datapath, nic_a(&p->two), p->two.now_ms, reader, &taken);
	return taken;
}

static unsigned refused(const struct carry_taken *taken)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < DROP_COUNT; i++)
		sum += taken->refused[i];
	return sum;
}

static void assert_taken(struct carry_taken taken, unsigned imported, unsigned known, unsigned n_refused)
{
	g_assert_cmpuint(taken.imported, ==, imported);
	g_assert_cmpuint(taken.known, ==, known);
	g_assert_cmpuint(refused(&taken), ==, n_refused);
}

/* One rule for everything that goes that way. */
static json_t *rules_of(const char *direction, const char *action)
{
	return json_pack("[{s:s, s:s, s:i, s:s, s:s, s:{s:b}, s:{s:b}}]", "name", "r", "direction", direction,
		"priority", 100, "protocol", "any", "action", action, "source", "any", 1, "destination",
		"any", 1);
}

static void set_rules(struct fixture *f, const char *direction, const char *action)
{
	json_object_set_new(lab_group(f), "rules", rules_of(direction, action));
	lab_apply(f);
}

/* All groups allow all; everybody knows everybody. */
static void setup(struct pair *p, const void *data)
{
	pair_setup(p, data);
	set_rules(&p->one, "inbound", "allow");
	set_rules(&p->two, "inbound", "allow");
	pair_meet(p);
	lab_meet_peer(&p->one);
}

/* The peer outside finds a at switch two. */
static void move_all(struct pair *p)
{
	talk_arrive(p);
	lab_meet_peer(&p->two);
}

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
	g_autoptr(GBytes) file = export(p, TALKS + 2, 0); /* and those by which they met */
	move_all(p);
	/* Those that d and e know are theirs already; a has spoken to the peer here itself. */
	assert_taken(import(p, file), TALKS - elsewhere, elsewhere + 2, 0);
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

#define VIP    "203.0.113.20"
#define MAC_LB "00:0d:3a:00:00:1b"

static struct test_frame to_member(uint8_t flags)
{
	return test_tcp(MAC_PEER, MAC_OUT, PEER, 999, VIP, 80, flags, 4);
}

/* The load balancer stays where it is, and so the member's connections come by the tunnel from there. */
static void test_member(struct pair *p, const void *data)
{
	json_object_set_new(p->one.state, "balancers",
		json_pack("[{s:s, s:s, s:s, s:s, s:[s], s:[{s:s, s:s, s:s, s:i, s:i, s:[{s:s, s:b}]}]}]",
			"uid", "lb", "name", "lb", "mac", MAC_LB, "network", "n", "addresses", VIP, "rules",
			"name", "web", "address", VIP, "protocol", "tcp", "port", 80, "member_port", 8080,
			"members", "ip", IP_A, "healthy", true));
	lab_apply(&p->one);
	lab_expect(&p->one, "out");
	lab_put(&p->one, "out", to_member(TCP_SYN));
	lab_expect(&p->one, "a");
	lab_put(&p->one, "a", test_tcp(MAC_A, MAC_GATEWAY, IP_A, 8080, PEER, 999, TCP_SYN | TCP_ACK, 0));
	lab_expect(&p->one, "out");
	g_autoptr(GBytes) file = export(p, 3, 0);

	talk_arrive(p);
	json_t *nics = json_object_get(p->two.state, "nics");
	json_object_set_new(json_array_get(nics, json_array_size(nics) - 1), "front",
		json_pack("{s:s, s:s}", "vtep", VTEP_1, "mac", MAC_LB));
	lab_apply(&p->two);
	struct carry_taken taken = import(p, file);
	g_assert_cmpuint(refused(&taken), ==, 0);
	talk_leave(p);
	lab_put(&p->one, "out", to_member(TCP_ACK));
	pair_settle(p);
	struct test_frame in = lab_expect(&p->two, "a");
	lab_assert_path(&in, MAC_GATEWAY, MAC_A, PEER, IP_A);
	lab_put(&p->two, "a", test_tcp(MAC_A, MAC_GATEWAY, IP_A, 8080, PEER, 999, TCP_ACK, 5));
	pair_settle(p);
	struct test_frame out = lab_expect(&p->one, "out");
	lab_assert_path(&out, MAC_OUT, MAC_PEER, VIP, PEER);
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
	g_autoptr(GBytes) file = export(p, TALKS + 2, 0);
	for (unsigned copy = 0; copy < 2; copy++) {
		for (unsigned i = 0; i < TALKS; i++) {
			const struct talk talk = talk_of(i);
			talk_go_on(p, &p->one, &talk, i & 4, true);
		}
		assert_taken(import(p, file), copy ? 0 : TALKS + 1 - elsewhere,
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
			g_autoptr(GBytes) file = export(p, TALKS / 3 + 2, 0);
			import(p, file);
		}
		talk_begin(p, &p->one, &talk);
	}
	set_away(&p->one, here, VTEP_2);
	lab_expect_none(&p->one, "out");
	assert_nowhere(p);
	g_autoptr(GBytes) file = export(p, TALKS + 2, 0);
	const struct carry_taken taken = import(p, file);
	g_assert_cmpuint(refused(&taken), ==, 0);
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
	g_autoptr(GBytes) file = export(p, 3, 0);
	move_all(p);
	assert_taken(import(p, file), 1, 2, 0);
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
	g_autoptr(GBytes) early = export(p, 3, 0);
	move_all(p);
	assert_taken(import(p, early), 1, 2, 0);
	assert_taken(import(p, early), 0, 3, 0);
	talk_go_on(p, &p->two, &first, true, true);
	uint32_t count = flow_table_count(p->two.datapath->flows);
	talk_begin(p, &p->one, &second);
	g_autoptr(GBytes) late = export(p, 4, 0);
	assert_taken(import(p, late), 1, 3, 0);
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
	g_autoptr(GBytes) file = export(p, 1, 0);
	lab_pass(&p->two, 70 * SECOND);
	talk_arrive(p);
	assert_taken(import(p, file), 1, 0, 0);
	find(&p->two, 6, &is[0], &is[1]);
	g_assert_cmpint(connection_state(&is[0], &is[1]), ==, CONNECTION_ESTABLISHED);
	for (unsigned i = 0; i < 2; i++) {
		g_assert_cmpuint(p->two.now_ms - is[i].created_ms, ==, p->one.now_ms - was[i].created_ms);
		g_assert_cmpuint(p->two.now_ms - is[i].seen_ms, ==, 500 * SECOND);
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
	g_autoptr(GBytes) file = export(p, 3, 0);
	talk_arrive(p);
	import(p, file);
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

/* It is as old as clocks can tell, and has been silent for as long as before. */
static void test_old(struct pair *p, const void *data)
{
	const uint32_t days = 86400 * SECOND;
	struct talk talk = talk_of(TALK_OUT);
	struct flow forward, reply;

	talk_begin(p, &p->one, &talk);
	lab_pass(&p->one, 5 * SECOND);
	for (uint32_t i = 1; i < flow_table_end(p->one.datapath->flows); i++)
		flow_table_at(p->one.datapath->flows, i)->created_ms -= 30 * days;
	g_autoptr(GBytes) file = export(p, 3, 0);
	talk_arrive(p);
	import(p, file);
	find(&p->two, 6, &forward, &reply);
	g_assert_cmpuint(p->two.now_ms - forward.created_ms, ==, INT32_MAX);
	g_assert_cmpuint(p->two.now_ms - forward.seen_ms, ==, 5 * SECOND);
}

/* One outbound rule of a's group at switch two, for all it sends. */
static void judge_a(struct pair *p, const char *action, bool revalidate)
{
	json_t *group = json_pack("{s:s, s:s, s:b, s:o}", "uid", "ga", "name", "ga", "revalidate", revalidate,
		"rules", rules_of("outbound", action));
	json_t *groups = json_object_get(p->two.state, "groups");
	json_t *nics = json_object_get(p->two.state, "nics");

	g_assert_nonnull(group);
	if (json_array_size(groups) == 2)
		json_array_set_new(groups, 1, group);
	else
		json_array_append_new(groups, group);
	json_object_set_new(json_array_get(nics, json_array_size(nics) - 1), "group", json_string("ga"));
	lab_apply(&p->two);
}

/* What the rules there forbid comes in blocked, whatever other rules would let in as new; and comes back with them. */
static void test_denied(struct pair *p, const void *data)
{
	struct talk began = talk_of(TALK_UDP), answered = talk_of(TALK_UDP + 1); /* UDP with b */

	talk_begin(p, &p->one, &began);
	talk_begin(p, &p->one, &answered);
	g_autoptr(GBytes) file = export(p, 4, 0);
	talk_arrive(p);
	judge_a(p, "deny", true);
	struct carry_taken taken = import(p, file);
	g_assert_cmpuint(taken.refused[DROP_DENIED_OUTBOUND], ==, 3); /* began, and those by which they met */
	assert_taken(taken, 1, 0, 3);
	assert_taken(import(p, file), 0, 3, 1); /* that of d's is d's to remember */
	talk_leave(p);
	/* An answer of b's to what a began is no connection of b's, though b might begin one. */
	talk_expect(talk_to_a(p, &p->two, &began, 0), false, &began, "an answer");
	talk_expect(talk_from_a(p, &p->two, &began, 0), false, &began, "a packet to");
	g_assert_cmpuint(lab_drops(&p->two, DROP_REVOKED), ==, 2);
	talk_go_on(p, &p->two, &answered, true, true);
	judge_a(p, "allow", true);
	talk_go_on(p, &p->two, &began, true, true);
}

/* A group that does not revalidate lets go on what it would not let begin. */
static void test_kept(struct pair *p, const void *data)
{
	struct talk talk = talk_of(0), fresh = talk_of(0);

	fresh.number++;
	talk_begin(p, &p->one, &talk);
	g_autoptr(GBytes) file = export(p, 3, 0);
	talk_arrive(p);
	judge_a(p, "deny", false);
	assert_taken(import(p, file), 2, 1, 0);
	talk_leave(p);
	talk_go_on(p, &p->two, &talk, true, true);
	talk_expect(talk_from_a(p, &p->two, &fresh, TCP_SYN), false, &fresh, "a new connection to");
}

/* A rule that changes after it came holds for it as for any other. */
static void test_changed_later(struct pair *p, const void *data)
{
	struct talk talk = talk_of(0);

	talk_begin(p, &p->one, &talk);
	g_autoptr(GBytes) file = export(p, 3, 0);
	talk_arrive(p);
	assert_taken(import(p, file), 2, 1, 0);
	talk_leave(p);
	judge_a(p, "deny", true);
	talk_go_on(p, &p->two, &talk, true, false);
	g_assert_cmpuint(lab_drops(&p->two, DROP_REVOKED), ==, 2);
}

/* What was revoked there is so here, as long as a new one would not be allowed. */
static void test_blocked(struct pair *p, const void *data)
{
	struct talk talk = talk_of(1); /* b began */

	talk_begin(p, &p->one, &talk);
	json_object_set_new(lab_nic(&p->one, 0), "group", json_string("g"));
	set_rules(&p->one, "inbound", "deny");
	talk_go_on(p, &p->one, &talk, true, false);
	g_autoptr(GBytes) file = export(p, 3, 0);
	talk_arrive(p);
	json_object_set_new(lab_group(&p->two), "revalidate", json_false());
	set_rules(&p->two, "inbound", "deny");
	struct carry_taken taken = import(p, file);
	g_assert_cmpuint(taken.refused[DROP_DENIED_INBOUND], ==, 1);
	talk_leave(p);
	set_rules(&p->one, "inbound", "allow");
	talk_go_on(p, &p->two, &talk, true, false);
	set_rules(&p->two, "inbound", "allow");
	talk_go_on(p, &p->two, &talk, true, true);
}

static void test_quota(struct pair *p, const void *data)
{
	struct talk talk = talk_of(0);

	for (unsigned i = 0; i < 20; i++, talk.number++)
		talk_begin(p, &p->one, &talk);
	g_autoptr(GBytes) file = export(p, 22, 0);
	p->two.datapath->limits.nic_connections = 8;
	talk_arrive(p);
	struct carry_taken taken = import(p, file);
	/* What d had with a counts for a since a is here: a began it. */
	g_assert_cmpuint(taken.refused[DROP_FLOW_QUOTA], ==, 14);
	assert_taken(taken, 7, 1, 14);
	g_assert_cmpuint(p->two.datapath->nic_connections[nic_slot(nic_a(&p->two)->id)], ==, 8);
	g_assert_cmpuint(p->one.datapath->nic_connections[nic_slot(nic_a(&p->one)->id)], ==, 22);
	talk_leave(p);
	lab_pass(&p->one, 8 * SECOND);
	g_assert_cmpuint(p->one.datapath->nic_connections[0], ==, 0);
	g_assert_cmpuint(p->one.datapath->nic_connections[1], ==, 20); /* they are b's now */
}

static void test_full(struct pair *p, const void *data)
{
	struct talk talk = talk_of(0);

	for (unsigned i = 0; i < 400; i++, talk.number++)
		talk_begin(p, &p->one, &talk);
	g_autoptr(GBytes) file = export(p, 402, 0);
	talk_arrive(p);
	p->two.datapath->limits.nic_connections = 10000;
	struct test_frame frame = test_udp(MAC_E, MAC_GATEWAY, IP_E, 1, IP_B, 1, 0);
	for (uint16_t i = 1; lab_drops(&p->two, DROP_TABLE_FULL) == 0; i++) {
		store16(frame.bytes + 34, i);
		test_fix(&frame);
		lab_put(&p->two, "e", frame);
	}
	g_assert_cmpuint(import(p, file).refused[DROP_TABLE_FULL], ==, 401);
	talk_drain(&p->two);
}

/* Not by an address that stays there, nor with the host. */
static void test_left(struct pair *p, const void *data)
{
	for (unsigned i = 0; i < 2; i++) {
		struct fixture *f = i ? &p->two : &p->one;
		json_object_set_new(pair_network(f), "source_nat",
			json_pack("{s:[s]}", "addresses", i ? "203.0.113.251" : "203.0.113.250"));
	}
	json_object_set_new(
		json_array_get(json_object_get(lab_nic(&p->one, 0), "addresses"), 0), "public", json_null());
	lab_apply(&p->one);
	lab_apply(&p->two);
	talk_drain(&p->one);
	talk_drain(&p->two);
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, PEER, 53, 20));
	lab_expect(&p->one, "out");
	lab_put(&p->one, "a", test_tcp(MAC_A, MAC_GATEWAY, IP_A, 1000, "169.254.169.254", 80, TCP_SYN, 0));
	lab_expect(&p->one, "host");
	g_autoptr(GBytes) file = export(p, 1, 3); /* that with PEER from before has its address no more */
	assert_taken((talk_arrive(p), import(p, file)), 0, 1, 0);
}

/* Its public address is another one there: who is outside knows the connection by the one before. */
static void test_readdressed(struct pair *p, const void *data)
{
	struct talk began = talk_of(TALK_OUT), answered = talk_of(TALK_OUT + 1);

	talk_begin(p, &p->one, &began);
	talk_begin(p, &p->one, &answered);
	g_autoptr(GBytes) file = export(p, 4, 0);
	talk_arrive(p);
	json_t *nic = json_array_get(json_object_get(p->two.state, "nics"), 2);
	json_object_set_new(
		json_array_get(json_object_get(nic, "addresses"), 0), "public", json_string("203.0.113.12"));
	lab_apply(&p->two);
	struct carry_taken taken = import(p, file);
	g_assert_cmpuint(taken.refused[DROP_NOT_OURS], ==, 3);
	assert_taken(taken, 0, 1, 3);
}

/* In another's name, or by another's public address: what other NICs here have, or may begin, is not touched. */
static void test_spoofed(struct pair *p, const void *data)
{
	static const struct {
		const char *src, *alias;
		enum drop drop;
	} bad[] = {{IP_D, IP_D, DROP_SPOOFED_IP}, {IP_E, PUBLIC_A, DROP_SPOOFED_IP},
		{IP_A, PUBLIC_B, DROP_NOT_OURS}, {IP_A, IP_D, DROP_NOT_OURS}};
	g_autofree char *path = g_strdup_printf("/dev/shm/carry-test-%d", (int)getpid());

	talk_arrive(p);
	uint32_t count = flow_table_count(p->two.datapath->flows);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		_cleanup_(connection_writer_free) struct connection_writer *writer =
			connection_writer_new("a");
		struct connection_record record = {.answers = i & 1,
			.own = {.family = IP_V4, .protocol = 17, .sport = htobe16(1), .dport = htobe16(2)}};
		char *contents;
		gsize size;
		test_ip(bad[i].src, record.own.src);
		test_ip(bad[i].alias, record.alias);
		test_ip(IP_E, record.own.dst);
		connection_writer_add(writer, &record);
		g_assert_true(connection_writer_save(writer, path, NULL));
		g_assert_true(g_file_get_contents(path, &contents, &size, NULL));
		g_unlink(path);
		g_autoptr(GBytes) file = g_bytes_new_take(contents, size);
		struct carry_taken taken = import(p, file);
		g_assert_cmpuint(taken.refused[bad[i].drop], ==, 1);
		assert_taken(taken, 0, 0, 1);
	}
	g_assert_cmpuint(flow_table_count(p->two.datapath->flows), ==, count);
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
	lab_start(f, state, MANY + 10000, MANY + 1000);
}

/* Of this thread's processor. */
static void tell_time(clock_t *start, const char *what)
{
	clock_t now = clock();
	double seconds = (double)(now - *start) / CLOCKS_PER_SEC;

	g_test_minimized_result(seconds, "%s of %u connections: %.3f s", what, MANY, seconds);
	*start = now;
}

static void test_many(struct pair *p, const void *data)
{
	struct test_frame frame = test_udp(MAC_A, MAC_GATEWAY, IP_A, 0, PEER, 0, 20);

	enlarge(&p->one);
	enlarge(&p->two);
	lab_meet_peer(&p->one);
	for (uint32_t i = 1; i < MANY; i++) {
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
	g_autoptr(GBytes) file = export(p, MANY, 0);
	tell_time(&start, "export, to a file that is read again");
	assert_taken(import(p, file), MANY, 0, 0);
	tell_time(&start, "import");
	assert_taken(import(p, file), 0, MANY, 0);
	tell_time(&start, "a second one");
}

#define ADD(name, fn) g_test_add("/carry/" name, struct pair, NULL, setup, fn, pair_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("connections of all kinds go on where their NIC has gone, and it speaks first", test_all);
	g_test_add(
		"/carry/connections of all kinds go on where their NIC has gone, and it is spoken to first",
		struct pair, "", setup, test_all, pair_teardown);
	ADD("a load balancer's member keeps its connections on another host", test_member);
	ADD("until a NIC has arrived, all of it goes on where it was", test_arriving);
	ADD("once a NIC has stopped, what is for it goes to its new host, and the last copy has all of it",
		test_leaving);
	g_test_add("/carry/if it stays after all, all of it goes on where it was", struct pair, "", setup,
		test_leaving, pair_teardown);
	ADD("a silent connection is not lost with the NIC that began it", test_silent);
	ADD("a connection whose NIC has left is given up when nobody says where to", test_nowhere);
	ADD("a second copy adds what is new and touches nothing else", test_again);
	ADD("states, times, counters and windows move", test_past);
	ADD("windows that a NIC had moved are not held against the ends of a connection", test_carried);
	ADD("a packet of a connection whose NIC has gone is traced as it goes", test_traced);
	ADD("a connection that is older than clocks can tell moves", test_old);
	ADD("what the rules there forbid is counted and stays blocked", test_denied);
	ADD("a group that does not revalidate keeps what it would not let begin", test_kept);
	ADD("a rule that changes later holds for what has come", test_changed_later);
	ADD("what was revoked there does not come back here", test_blocked);
	ADD("no NIC holds more than it may", test_quota);
	ADD("a full table refuses", test_full);
	ADD("what belongs to the old host stays and is counted", test_left);
	ADD("a connection by a public address that the NIC has no more is refused", test_readdressed);
	ADD("a connection in another NIC's name is refused", test_spoofed);
	ADD("the methods say what came of it", test_methods);
	if (g_test_perf())
		ADD("half a million connections move in a few seconds", test_many);
	return lab_run();
}
