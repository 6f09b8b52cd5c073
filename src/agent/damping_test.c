/* Damping: which changes of a path hold attaching off, for how long, and what ends it. */
#include "agent/agent.h"
#include "agent/damping.h"

#include <glib/gstdio.h>

#define NIC "22222222-2222-4222-8222-222222222222"
#define T0  INT64_C(1795455000000) /* Unix time in ms */

struct fixture {
	char *folder, *path;
	struct ledger *ledger;
	struct ledger_nic *nic;
};

static void setup(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	f->folder = g_dir_make_tmp("damping-XXXXXX", &error);
	g_assert_no_error(error);
	f->path = g_build_filename(f->folder, "ledger.json", NULL);
	f->ledger = ledger_load(f->path, &error);
	g_assert_no_error(error);
	f->nic = ledger_add_nic(f->ledger, NIC);
}

static void teardown(struct fixture *f, gconstpointer data)
{
	ledger_free(f->ledger);
	g_unlink(f->path);
	g_assert_cmpint(g_rmdir(f->folder), ==, 0);
	g_free(f->path);
	g_free(f->folder);
}

/* The next process' ledger. */
static void start_anew(struct fixture *f)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(ledger_save(f->ledger, &error));
	ledger_free(f->ledger);
	f->ledger = ledger_load(f->path, &error);
	g_assert_no_error(error);
	f->nic = ledger_find_nic(f->ledger, NIC);
}

/* So many changes, each `every_ms` after the one before, none of which damps the path; returns the time of the last one. */
static int64_t change(struct fixture *f, int64_t from_ms, int64_t every_ms, int n)
{
	for (int i = 0; i < n; i++)
		g_assert_cmpint(damping_note(f->nic, from_ms + i * every_ms), ==, 0);
	return from_ms + (n - 1) * every_ms;
}

static void test_limit(struct fixture *f, gconstpointer data)
{
	int64_t last = change(f, T0, 1000, AGENT_CHANGES_MAX);

	g_assert_cmpint(damping_left_ms(f->nic, last), ==, 0);
	g_assert_cmpint(damping_note(f->nic, T0 + 60000), ==, 1000);
	g_assert_cmpint(f->nic->dampings, ==, 1);
	g_assert_cmpint(damping_left_ms(f->nic, T0 + 60001), ==, 999);
	g_assert_cmpint(damping_left_ms(f->nic, T0 + 61000), ==, 0);
	g_assert_cmpint(damping_left_ms(NULL, T0), ==, 0);
}

static void test_slow(struct fixture *f, gconstpointer data)
{
	change(f, T0, 60001 / AGENT_CHANGES_MAX + 1, 10 * AGENT_CHANGES_MAX);
	g_assert_cmpint(f->nic->dampings, ==, 0);
	g_assert_cmpuint(f->nic->changed->len, <=, AGENT_CHANGES_MAX + 1);
}

static void test_doubles(struct fixture *f, gconstpointer data)
{
	static const int64_t holds[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
	int64_t now = change(f, T0, 1, AGENT_CHANGES_MAX);

	for (size_t i = 0; i < G_N_ELEMENTS(holds); i++)
		g_assert_cmpint(damping_note(f->nic, ++now), ==, holds[i]);
	g_assert_cmpint(f->nic->dampings, ==, G_N_ELEMENTS(holds));
	g_assert_cmpint(damping_left_ms(f->nic, now), ==, 60000);
	/* A minute's rest after it. */
	now = change(f, now + 120001, 1, AGENT_CHANGES_MAX);
	g_assert_cmpint(damping_note(f->nic, now), ==, 1000);
}

static void test_restart(struct fixture *f, gconstpointer data)
{
	int64_t now = change(f, T0, 100, AGENT_CHANGES_MAX / 2);

	start_anew(f);
	now = change(f, now + 100, 100, AGENT_CHANGES_MAX - AGENT_CHANGES_MAX / 2);
	start_anew(f);
	g_assert_cmpint(damping_note(f->nic, ++now), ==, 1000);
	g_assert_cmpint(damping_note(f->nic, ++now), ==, 2000);
	start_anew(f);
	g_assert_cmpint(damping_left_ms(f->nic, now), ==, 2000);
	g_assert_cmpint(damping_note(f->nic, ++now), ==, 4000);
	g_assert_cmpint(f->nic->dampings, ==, 3);
}

static void test_end(struct fixture *f, gconstpointer data)
{
	int64_t now = change(f, T0, 1, AGENT_CHANGES_MAX);

	damping_note(f->nic, ++now);
	damping_end(f->nic);
	start_anew(f);
	g_assert_cmpint(damping_left_ms(f->nic, now), ==, 0);
	now = change(f, now + 1, 1, AGENT_CHANGES_MAX);
	g_assert_cmpint(damping_note(f->nic, ++now), ==, 1000);
	g_assert_cmpint(f->nic->dampings, ==, 2);
}

static void test_clock(struct fixture *f, gconstpointer data)
{
	int64_t now = change(f, T0, 1, AGENT_CHANGES_MAX), hour_ms = 3600000;

	g_assert_cmpint(damping_note(f->nic, ++now), ==, 1000);
	g_assert_cmpint(damping_left_ms(f->nic, now - hour_ms), ==, 0);
	now = change(f, now - hour_ms, 1, AGENT_CHANGES_MAX);
	g_assert_cmpint(damping_note(f->nic, ++now), <=, 60000);
	g_assert_cmpint(damping_left_ms(f->nic, now), >, 0);
}

/* As it was written before paths were damped by it. */
static void test_older(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(g_file_set_contents(f->path,
		"{\"generation\": 3, \"nics\": [{\"uid\": \"" NIC "\", \"state\": \"on\", \"changes\": 7}]}",
		-1, &error));
	ledger_free(f->ledger);
	f->ledger = ledger_load(f->path, &error);
	g_assert_no_error(error);
	f->nic = ledger_find_nic(f->ledger, NIC);
	g_assert_cmpint(f->nic->changes, ==, 7);
	g_assert_cmpint(damping_left_ms(f->nic, T0), ==, 0);
	damping_end(f->nic);
	g_assert_cmpint(damping_note(f->nic, change(f, T0, 1, AGENT_CHANGES_MAX)), ==, 1000);
}

static void add(const char *name, void (*fn)(struct fixture *, gconstpointer))
{
	g_test_add(name, struct fixture, NULL, setup, fn, teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/damping/a path that changes more often than a minute allows is held off for a second",
		test_limit);
	add("/damping/one that changes as often as that, for long, is not", test_slow);
	add("/damping/each one that follows lasts twice as long, a minute at most, until there was a "
	    "minute's rest",
		test_doubles);
	add("/damping/changes and dampings go on counting where the agent starts anew", test_restart);
	add("/damping/who ends it has the changes of the last minute forgotten", test_end);
	add("/damping/a clock that is set back leaves no path held off for longer than a minute", test_clock);
	add("/damping/a ledger of before has none", test_older);
	return g_test_run();
}
