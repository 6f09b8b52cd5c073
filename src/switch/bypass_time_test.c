/* For how long connections that began past the switch are taken up: over its restart, and on another host. See
 * test_function.h for the switch.
 */
#include "switch/bypass.h"
#include "switch/carry.h"
#include "switch/connection_file.h"
#include "switch/test_function.h"

#include <glib/gstdio.h>
#include <unistd.h>

#define HOUR (3600 * SECOND)

/* ---- the switch begins anew ---- */

static void setup(struct fixture *f, const void *data)
{
	f->memory_path = g_strdup_printf("/dev/shm/bypass-time-test-%d", (int)getpid());
	g_unlink(f->memory_path);
	function_setup(f, data);
}

static void teardown(struct fixture *f, const void *data)
{
	lab_teardown(f, data);
	g_unlink(f->memory_path);
	g_free((char *)f->memory_path);
}

/* Its process ends, and so much later the next one begins with the same state, and with the memory that is there. */
static void restart(struct fixture *f, uint32_t later_ms)
{
	struct fixture next = {.memory_path = f->memory_path};
	json_t *state = json_deep_copy(f->state);
	uint64_t now_ms = f->now_ms + later_ms;

	lab_teardown(f, NULL);
	*f = next;
	lab_start(f, state, 1000, 500);
	atomic_store(&f->datapath->learning, false);
	f->now_ms = now_ms;
	worker_begin(f->worker, now_ms);
	vlan_drain(f, "phys");
}

static struct nic *nic_a(struct fixture *f)
{
	const struct snapshot *state = datapath_snapshot(f->datapath);

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++)
		if (state->nics[slot] && g_str_equal(state->nics[slot]->uid, "a"))
			return state->nics[slot];
	g_error("a is not here");
}

/* The function goes, a second after it was active. */
static void take_function(struct fixture *f)
{
	lab_pass(f, SECOND);
	function_set_active(f, 0, "synthetic");
}

static void test_restart(struct fixture *f, const void *data)
{
	take_function(f);
	function_detach(f);
	lab_pass(f, HOUR);
	restart(f, HOUR / 2);
	function_expect_taken_up(f, 1000, true); /* before the first tick, too */
	lab_pass(f, SECOND);
	function_expect_taken_up(f, 1001, true);
	restart(f, SECOND);
	lab_pass(f, BYPASS_TAKE_UP_S * SECOND - HOUR - HOUR / 2 - 3 * SECOND);
	function_expect_taken_up(f, 1002, true);
	lab_pass(f, 4 * SECOND);
	function_expect_taken_up(f, 1003, false);
	function_expect_taken_up(f, 1002, true); /* it is known */
	restart(f, SECOND);
	lab_pass(f, SECOND);
	function_expect_taken_up(f, 1003, false);
}

/* Who has the attachment, and has not used it for long, is known for that. */
static void test_restart_inactive(struct fixture *f, const void *data)
{
	take_function(f);
	lab_pass(f, (BYPASS_TAKE_UP_S + 2) * SECOND);
	function_expect_taken_up(f, 1000, false);
	restart(f, SECOND);
	function_expect_taken_up(f, 1000, false);
	lab_pass(f, SECOND);
	function_expect_taken_up(f, 1000, false);
	/* Active when it ended, and while there was no switch. */
	function_set_active(f, 0, "function");
	lab_pass(f, SECOND);
	restart(f, 3 * HOUR);
	lab_pass(f, SECOND);
	function_set_active(f, 0, "synthetic");
	function_expect_taken_up(f, 1000, true);
	/* Over since, while there was none. */
	restart(f, BYPASS_TAKE_UP_S * SECOND + 3 * SECOND);
	lab_pass(f, SECOND);
	function_expect_taken_up(f, 1001, false);
}

/* Nothing is left of the process before, which may have had the function active to the end. */
static void test_restart_forgotten(struct fixture *f, const void *data)
{
	take_function(f);
	lab_pass(f, 3 * HOUR);
	g_unlink(f->memory_path);
	restart(f, 0);
	function_expect_taken_up(f, 1000, true);
	lab_pass(f, BYPASS_TAKE_UP_S * SECOND);
	function_expect_taken_up(f, 1001, true);
	lab_pass(f, 3 * SECOND);
	function_expect_taken_up(f, 1002, false);
	/* One that has no attachment had none. */
	function_detach(f);
	g_unlink(f->memory_path);
	restart(f, 0);
	function_expect_taken_up(f, 1000, false);
}

/* A NIC that has another's slot has nothing of it, also when it bears its name. */
static void test_another(struct fixture *f, const void *data)
{
	take_function(f);
	function_detach(f);
	json_t *nics = json_object_get(f->state, "nics");
	json_t *a = json_incref(lab_nic(f, 0));
	json_array_remove(nics, 0);
	lab_apply(f);
	json_array_insert_new(nics, 0, a);
	lab_apply(f);
	vlan_drain(f, "phys"); /* its announcements */
	vlan_drain(f, "out");
	function_expect_taken_up(f, 1000, false);
}

/* A time that no clock of this machine's has told, as of a damaged file. */
static void test_damaged(struct fixture *f, const void *data)
{
	const uint32_t now_s = (uint32_t)(f->now_ms / 1000);
	const uint32_t absurd[] = {now_s + 3600, now_s + (1u << 31), now_s - 2 * BYPASS_TAKE_UP_S};

	take_function(f);
	unsigned slot = nic_slot(nic_a(f)->id);

	for (unsigned i = 0; i < G_N_ELEMENTS(absurd); i++) {
		atomic_store(
			&flow_table_memory(f->datapath->flows)->header->nics[slot].function_s, absurd[i]);
		restart(f, 0);
		lab_pass(f, 200);
		function_expect_taken_up(f, 1000, false);
	}
}

/* What was revoked does not come back by a restart: here the client's port is its server's, and another rule allows what it
 * sends. */
static void test_restart_revoked(struct fixture *f, const void *data)
{
	struct test_frame syn = test_tcp(MAC_PEER, MAC_A, IP_PEER, 80, IP_A, 40000, TCP_SYN, 0);
	struct test_frame ack = test_tcp(MAC_A, MAC_PEER, IP_A, 40000, IP_PEER, 80, TCP_ACK, 9);

	function_let_in(f, 40000);
	take_function(f);
	vlan_from_wire(f, 100, syn);
	vlan_assert_same(lab_expect(f, "/a"), syn);
	lab_put(f, "/a", ack);
	vlan_assert_same(vlan_on_wire(f, 100), ack);
	function_let_in(f, 0);
	lab_put(f, "/a", ack);
	g_assert_cmpuint(lab_drops(f, DROP_REVOKED), ==, 1);
	function_detach(f);
	restart(f, SECOND);
	lab_pass(f, 7000 * SECOND);
	lab_put(f, "/a", ack);
	g_assert_cmpuint(lab_drops(f, DROP_REVOKED), ==, 1);
	function_expect_silence(f);
	function_expect_taken_up(f, 40001, true); /* no other than that */
}

/* ---- the NIC moves to another host ---- */

struct move {
	struct fixture from, to;
};

static void setup_move(struct move *m, const void *data)
{
	function_setup(&m->from, data);
	vlan_setup(&m->to, data);
	json_object_set_new(lab_nic(&m->to, 0), "active", json_string("synthetic"));
	function_detach(&m->to);
	lab_pass(&m->to, 3 * HOUR); /* whatever its clock */
}

static void teardown_move(struct move *m, const void *data)
{
	lab_teardown(&m->from, data);
	lab_teardown(&m->to, data);
}

/* Its connections, as agents copy them. */
static void copy(struct fixture *from, struct fixture *to)
{
	g_autofree char *folder = g_dir_make_tmp("bypass-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "a", NULL);
	_cleanup_(connection_writer_free) struct connection_writer *writer = connection_writer_new("a");
	g_autoptr(GError) error = NULL;
	struct carry_left left;
	struct carry_taken taken;

	carry_export(from->datapath, nic_a(from), from->now_ms, writer, &left);
	g_assert_true(connection_writer_save(writer, path, NULL));
	_cleanup_(connection_reader_free) struct connection_reader *reader =
		connection_reader_open(path, "a", 1000, &error);
	g_assert_no_error(error);
	carry_import(to->datapath, nic_a(to), to->now_ms, reader, &taken);
	g_unlink(path);
	g_rmdir(folder);
}

/* The target never gives a function; the connection was silent from before the old one went. */
static void test_moves(struct move *m, const void *data)
{
	function_expect_taken_up(&m->to, 1000, false);
	lab_pass(&m->from, SECOND);
	copy(&m->from, &m->to); /* it is active still */
	function_set_active(&m->from, 0, "synthetic");
	lab_pass(&m->from, 100 * SECOND);
	lab_pass(&m->to, 100 * SECOND);
	function_detach(&m->from);
	copy(&m->from, &m->to);
	function_expect_taken_up(&m->to, 1000, true);
	lab_pass(&m->to, (BYPASS_TAKE_UP_S - 102) * SECOND);
	function_expect_taken_up(&m->to, 1001, true);
	lab_pass(&m->to, 4 * SECOND);
	function_expect_taken_up(&m->to, 1002, false);
	function_expect_taken_up(&m->to, 1001, true); /* it is known */
	copy(&m->to, &m->from); /* what is over here is not over there */
	function_expect_taken_up(&m->from, 1003, true);
}

/* By the machine on the wire, which speaks first. */
static void test_moves_and_is_spoken_to(struct move *m, const void *data)
{
	struct test_frame in = test_tcp(MAC_PEER, MAC_A, IP_PEER, 81, IP_A, 1000, TCP_ACK, 9);

	take_function(&m->from);
	copy(&m->from, &m->to);
	vlan_from_wire(&m->to, 100, in);
	vlan_assert_same(lab_expect(&m->to, "/a"), in);
}

/* From host to host before it says anything: time counts from the one function that it had. */
static void test_moves_on(struct move *m, const void *data)
{
	take_function(&m->from);
	lab_pass(&m->from, HOUR);
	copy(&m->from, &m->to);
	lab_pass(&m->to, HOUR);
	function_detach(&m->from);
	lab_pass(&m->from, 3 * HOUR);
	function_expect_taken_up(&m->from, 1000, false);
	copy(&m->to, &m->from);
	function_expect_taken_up(&m->from, 1000, true);
	lab_pass(&m->from, BYPASS_TAKE_UP_S * SECOND - 2 * HOUR + 2 * SECOND);
	function_expect_taken_up(&m->from, 1001, false);
}

/* An older copy, and one of a NIC without a function, take nothing away. */
static void test_moves_with_less(struct move *m, const void *data)
{
	copy(&m->to, &m->from);
	take_function(&m->from);
	lab_pass(&m->from, HOUR);
	copy(&m->from, &m->to);
	function_put_on_wire(&m->to, 0, "/a");
	function_set_active(&m->to, 0, "both");
	take_function(&m->to);
	vlan_drain(&m->to, "phys");
	vlan_drain(&m->to, "/a");
	copy(&m->from, &m->to);
	lab_pass(&m->to, (BYPASS_TAKE_UP_S - 2) * SECOND);
	function_expect_taken_up(&m->to, 1000, true);
}

/* As where it was, policy allows it both ways, or nothing is taken up. */
static void test_moves_to_rules(struct move *m, const void *data)
{
	take_function(&m->from);
	function_let_in(&m->to, 0);
	copy(&m->from, &m->to);
	function_expect_taken_up(&m->to, 22, false);
	function_expect_taken_up(&m->to, 40000, true);
	vlan_refused(&m->to,
		vlan_tagged(test_tcp(MAC_PEER, MAC_A, IP_PEER, 80, IP_A, 40001, TCP_ACK, 9), 100),
		DROP_DENIED_INBOUND);
	/* Another NIC of the target's has nothing of it. */
	lab_put(&m->to, "b", test_tcp(MAC_B, MAC_PEER, IP_B, 1000, IP_PEER, 80, TCP_ACK, 9));
	function_expect_silence(&m->to);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, test) g_test_add("/bypass time/" name, struct fixture, NULL, setup, test, teardown)
#define MOVE(name, test) g_test_add("/bypass time/" name, struct move, NULL, setup_move, test, teardown_move)
	TEST("a restart keeps the time, also without the attachment", test_restart);
	TEST("a restart does not begin it anew", test_restart_inactive);
	TEST("a start that finds no memory begins it, where the attachment is", test_restart_forgotten);
	TEST("a NIC that comes again has nothing of the one before", test_another);
	TEST("a time that cannot be is none", test_damaged);
	TEST("what was revoked is remembered over a restart", test_restart_revoked);
	MOVE("a connection that was silent from before the function went is taken up on another host",
		test_moves);
	MOVE("so it is when the machine on the wire speaks first", test_moves_and_is_spoken_to);
	MOVE("time counts from the function, over hosts that had none", test_moves_on);
	MOVE("a copy takes no time away", test_moves_with_less);
	MOVE("only what policy of the new host allows is taken up there", test_moves_to_rules);
	return lab_run();
}
