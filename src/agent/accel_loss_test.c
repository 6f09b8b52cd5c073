/* Functions whose end on the host is gone while guests have them. */
#include "agent/accel_priv.h"
#include "agent/test_world.h"

#include <glib/gstdio.h>
#include <string.h>

#define BOTH      "switch " WORLD_NIC " both +sl-f0"
#define FUNCTION  "switch " WORLD_NIC " function +sl-f0"
#define DRAINING  "switch " WORLD_NIC " synthetic +sl-f0"
#define SYNTHETIC "switch " WORLD_NIC " synthetic"
#define PLUG      "plug " WORLD_NIC " sl-f0"
#define UNPLUG    "unplug " WORLD_NIC
#define LOSS      "is not there any more"

static void setup(struct world *w, gconstpointer data)
{
	world_init(w);
}

static void teardown(struct world *w, gconstpointer data)
{
	world_done(w);
}

/* As `sluice vf list` has the NIC. New reference. */
static json_t *described(struct world *w)
{
	const struct accel *accel = g_hash_table_lookup(w->agent->accels, WORLD_NIC);

	return accel ? accel_describe(accel) : NULL;
}

static const char *text(const json_t *object, const char *member)
{
	const char *value = json_string_value(json_object_get(object, member));

	return value ? value : "";
}

static bool is_on(struct world *w)
{
	json_auto_t *entry = described(w);

	return g_str_equal(text(entry, "state"), "attached") && world_find(w, FUNCTION, 0) >= 0;
}

static bool waits_for_guest(struct world *w)
{
	json_auto_t *entry = described(w);

	return g_str_equal(text(entry, "state"), "unplugging") && world_find(w, UNPLUG, 0) >= 0;
}

static char *function_path(struct world *w)
{
	return g_build_filename(w->folder, "sl-f0", NULL);
}

static void bring_up(struct world *w)
{
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal(1, true));
	world_wait(w, "the NIC is on its function", is_on);
	world_forget(w);
}

static void lose(struct world *w)
{
	g_autofree char *path = function_path(w);

	g_assert_cmpint(g_unlink(path), ==, 0);
}

/* Its guest is reached by its standby before the function goes, and until it has it again. */
static void expect_replaced(struct world *w, int times)
{
	g_autofree char *path = function_path(w);

	world_wait(w, "the NIC is on a function again", is_on);
	world_expect(w, BOTH, UNPLUG, DRAINING, SYNTHETIC, BOTH, PLUG, FUNCTION, NULL);
	g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
	json_auto_t *entry = described(w);
	g_assert_nonnull(strstr(text(entry, "repaired"), "function sl-f0 (NIC " WORLD_NIC ") " LOSS));
	g_assert_cmpint(json_integer_value(json_object_get(entry, "repairs")), ==, times);
	g_assert_cmpstr(text(entry, "reason"), ==, "");
	g_assert_false(json_is_true(json_object_get(entry, "revoked")));
	g_assert_cmpuint(health_repairs(w->agent->health), ==, (unsigned)times);
}

static void test_replaced(struct world *w, gconstpointer data)
{
	bring_up(w);
	for (int times = 1; times <= 2; times++) {
		lose(w);
		expect_replaced(w, times);
		world_forget(w);
	}
	world_run(300); /* several looks */
	g_assert_cmpint(world_find(w, UNPLUG, 0), <, 0);
}

/* While no agent runs, as when all of a host is killed and started again. */
static void test_lost_unseen(struct world *w, gconstpointer data)
{
	bring_up(w);
	world_stop_agent(w);
	lose(w);
	world_start_agent(w, true);
	expect_replaced(w, 1);
}

static void test_held(struct world *w, gconstpointer data)
{
	bring_up(w);
	vm_fake_hold_primaries(w->machines, true);
	lose(w);
	world_wait(w, "its guest is asked for the function", waits_for_guest);
	json_auto_t *entry = described(w);
	g_assert_nonnull(strstr(text(entry, "repaired"), LOSS));
	g_assert_cmpstr(text(entry, "active"), ==, "both");
	vm_fake_hold_primaries(w->machines, false);
	expect_replaced(w, 1);
}

static bool is_asked_back(struct world *w)
{
	return world_find(w, UNPLUG, 0) >= 0;
}

/* The next look by itself would be long after. */
static void test_switch_says(struct world *w, gconstpointer data)
{
	w->config.times.health_ms = 600000;
	bring_up(w);
	world_run(1500); /* the look that follows the change */
	lose(w);
	world_run(300);
	g_assert_false(is_asked_back(w));
	w->function_fails = true;
	world_wait(w, "its guest is asked for the function", is_asked_back);
	w->function_fails = false;
	expect_replaced(w, 1);
}

/* A look that began before the guest had the function says nothing of it. */
static void test_old_look(struct world *w, gconstpointer data)
{
	bring_up(w);
	struct accel *accel = g_hash_table_lookup(w->agent->accels, WORLD_NIC);

	accel_lose(accel, LOSS, accel->entered_us[ACCEL_ON] - 1);
	g_assert_null(accel->loss);
	world_run(200);
	g_assert_true(accel_state(accel) == ACCEL_ON);
	g_assert_cmpint(world_find(w, UNPLUG, 0), <, 0);
}

static void add(const char *name, void (*run)(struct world *, gconstpointer))
{
	g_test_add(name, struct world, NULL, setup, run, teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK); /* the loss is a warning */
	add("/accel/a function whose device went is taken back and given anew, each time", test_replaced);
	add("/accel/a function that went while no agent was there is given anew", test_lost_unseen);
	add("/accel/a guest that holds on to a lost function has its standby meanwhile", test_held);
	add("/accel/where the switch cannot open a function, that is looked at at once", test_switch_says);
	add("/accel/a look from before the guest had its function says nothing", test_old_look);
	return g_test_run();
}
