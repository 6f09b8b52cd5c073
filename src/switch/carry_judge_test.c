/* What a switch lets in of connections that come with a NIC from another one: see carry.h. */
#include "switch/connection_file.h"
#include "switch/test_carry.h"

#include <glib/gstdio.h>
#include <unistd.h>

/* One outbound rule of a's group at switch two, for all it sends. */
static void judge_a(struct pair *p, const char *action, bool revalidate)
{
	json_t *group = json_pack("{s:s, s:s, s:b, s:o}", "uid", "ga", "name", "ga", "revalidate", revalidate,
		"rules", carry_rules("outbound", action));
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
	g_autoptr(GBytes) file = carry_file(p, 4, 0);
	talk_arrive(p);
	judge_a(p, "deny", true);
	struct carry_taken taken = carry_take(p, file);
	g_assert_cmpuint(taken.refused[DROP_DENIED_OUTBOUND], ==, 3); /* began, and those by which they met */
	carry_assert_taken(taken, 1, 0, 3);
	carry_assert_taken(carry_take(p, file), 0, 3, 1); /* that of d's is d's to remember */
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
	g_autoptr(GBytes) file = carry_file(p, 3, 0);
	talk_arrive(p);
	judge_a(p, "deny", false);
	carry_assert_taken(carry_take(p, file), 2, 1, 0);
	talk_leave(p);
	talk_go_on(p, &p->two, &talk, true, true);
	talk_expect(talk_from_a(p, &p->two, &fresh, TCP_SYN), false, &fresh, "a new connection to");
}

/* A rule that changes after it came holds for it as for any other. */
static void test_changed_later(struct pair *p, const void *data)
{
	struct talk talk = talk_of(0);

	talk_begin(p, &p->one, &talk);
	g_autoptr(GBytes) file = carry_file(p, 3, 0);
	talk_arrive(p);
	carry_assert_taken(carry_take(p, file), 2, 1, 0);
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
	carry_set_rules(&p->one, "inbound", "deny");
	talk_go_on(p, &p->one, &talk, true, false);
	g_autoptr(GBytes) file = carry_file(p, 3, 0);
	talk_arrive(p);
	json_object_set_new(lab_group(&p->two), "revalidate", json_false());
	carry_set_rules(&p->two, "inbound", "deny");
	struct carry_taken taken = carry_take(p, file);
	g_assert_cmpuint(taken.refused[DROP_DENIED_INBOUND], ==, 1);
	talk_leave(p);
	carry_set_rules(&p->one, "inbound", "allow");
	talk_go_on(p, &p->two, &talk, true, false);
	carry_set_rules(&p->two, "inbound", "allow");
	talk_go_on(p, &p->two, &talk, true, true);
}

static void test_quota(struct pair *p, const void *data)
{
	struct talk talk = talk_of(0);

	for (unsigned i = 0; i < 20; i++, talk.number++)
		talk_begin(p, &p->one, &talk);
	g_autoptr(GBytes) file = carry_file(p, 22, 0);
	p->two.datapath->limits.nic_connections = 8;
	talk_arrive(p);
	struct carry_taken taken = carry_take(p, file);
	/* What d had with a counts for a since a is here: a began it. */
	g_assert_cmpuint(taken.refused[DROP_FLOW_QUOTA], ==, 14);
	carry_assert_taken(taken, 7, 1, 14);
	g_assert_cmpuint(p->two.datapath->nic_connections[nic_slot(carry_nic_a(&p->two)->id)], ==, 8);
	g_assert_cmpuint(p->one.datapath->nic_connections[nic_slot(carry_nic_a(&p->one)->id)], ==, 22);
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
	g_autoptr(GBytes) file = carry_file(p, 402, 0);
	talk_arrive(p);
	p->two.datapath->limits.nic_connections = 10000;
	struct test_frame frame = test_udp(MAC_E, MAC_GATEWAY, IP_E, 1, IP_B, 1, 0);
	for (uint16_t i = 1; lab_drops(&p->two, DROP_TABLE_FULL) == 0; i++) {
		store16(frame.bytes + 34, i);
		test_fix(&frame);
		lab_put(&p->two, "e", frame);
	}
	g_assert_cmpuint(carry_take(p, file).refused[DROP_TABLE_FULL], ==, 401);
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
	g_autoptr(GBytes) file = carry_file(p, 1, 3); /* that with PEER from before has its address no more */
	carry_assert_taken((talk_arrive(p), carry_take(p, file)), 0, 1, 0);
}

/* Its public address is another one there: who is outside knows the connection by the one before. */
static void test_readdressed(struct pair *p, const void *data)
{
	struct talk began = talk_of(TALK_OUT), answered = talk_of(TALK_OUT + 1);

	talk_begin(p, &p->one, &began);
	talk_begin(p, &p->one, &answered);
	g_autoptr(GBytes) file = carry_file(p, 4, 0);
	talk_arrive(p);
	json_t *nic = json_array_get(json_object_get(p->two.state, "nics"), 2);
	json_object_set_new(
		json_array_get(json_object_get(nic, "addresses"), 0), "public", json_string("203.0.113.12"));
	lab_apply(&p->two);
	struct carry_taken taken = carry_take(p, file);
	g_assert_cmpuint(taken.refused[DROP_NOT_OURS], ==, 3);
	carry_assert_taken(taken, 0, 1, 3);
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
		struct carry_taken taken = carry_take(p, file);
		g_assert_cmpuint(taken.refused[bad[i].drop], ==, 1);
		carry_assert_taken(taken, 0, 0, 1);
	}
	g_assert_cmpuint(flow_table_count(p->two.datapath->flows), ==, count);
}

#define ADD(name, fn) g_test_add("/carry_judge/" name, struct pair, NULL, carry_setup, fn, pair_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("what the rules there forbid is counted and stays blocked", test_denied);
	ADD("a group that does not revalidate keeps what it would not let begin", test_kept);
	ADD("a rule that changes later holds for what has come", test_changed_later);
	ADD("what was revoked there does not come back here", test_blocked);
	ADD("no NIC holds more than it may", test_quota);
	ADD("a full table refuses", test_full);
	ADD("what belongs to the old host stays and is counted", test_left);
	ADD("a connection by a public address that the NIC has no more is refused", test_readdressed);
	ADD("a connection in another NIC's name is refused", test_spoofed);
	return lab_run();
}
