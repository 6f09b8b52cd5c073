/* Paths that flap: what operators see of their damping, over restarts of the agent too, and how they end it. */
#include "agent/accel_state.h"
#include "agent/ledger.h"
#include "agent/test_bypass.h"
#include "agent/test_operator.h"
#include "base/fault.h"

#include <string.h>

#define CHANGES "Its path changed more than 20 times in a minute"

static bool is_damped(struct world *w)
{
	return bypass_reason_has(w, WORLD_NIC, CHANGES);
}

static bool has_come_back(struct world *w)
{
	return is_damped(w) || bypass_is_on(w);
}

/* The NIC's entry. New reference. */
static json_t *listed(struct world *w)
{
	g_autoptr(GError) error = NULL;
	json_auto_t *list = operator_ask(w, "vf.list", NULL, &error);

	g_assert_no_error(error);
	return json_incref(json_array_get(list, 0));
}

static const char *text_of(const json_t *entry, const char *member)
{
	return json_string_value(json_object_get(entry, member));
}

static json_t *restore(struct world *w, GError **error)
{
	return operator_ask(w, "vf.restore", json_pack("{s:s}", "nic", WORLD_NIC), error);
}

/* Its guest gives each function away as soon as it has it, until it is given none. What is listed then; new reference. */
static json_t *flap(struct world *w)
{
	const struct vm_primary primary = {.nic_uid = WORLD_NIC, .pci = WORLD_VF};

	for (int i = 0; i < AGENT_CHANGES_MAX && !is_damped(w); i++) {
		world_forget(w);
		g_assert_true(w->machines->ops->unplug(w->machines, WORLD_VM, &primary, 0, NULL));
		world_wait(w, "the NIC gets another function, or waits for one", has_come_back);
	}
	g_assert_true(is_damped(w));
	return listed(w);
}

/* As if its path had flapped for long. */
static void damp_for_long(struct world *w)
{
	g_autofree char *path = g_build_filename(w->config.state_dir, "agent.json", NULL);
	g_autoptr(GError) error = NULL;
	_cleanup_(ledger_free) struct ledger *ledger = ledger_load(path, &error);

	g_assert_no_error(error);
	ledger_find_nic(ledger, WORLD_NIC)->damped_until_ms = g_get_real_time() / 1000 + 55000;
	g_assert_true(ledger_save(ledger, &error));
}

static void test_flaps(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	json_auto_t *before = listed(w);
	g_assert_cmpint(json_integer_value(json_object_get(before, "dampings")), ==, 0);
	g_assert_null(json_object_get(before, "damped_until"));
	json_auto_t *damped = flap(w);
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autoptr(GDateTime) until = g_date_time_new_from_iso8601(text_of(damped, "damped_until"), NULL);
	g_autofree char *at = g_date_time_format(until, "offered a function again at %H:%M:%S (UTC)");

	g_assert_cmpint(json_integer_value(json_object_get(damped, "dampings")), >, 0);
	g_assert_cmpint(json_integer_value(json_object_get(damped, "changes")), >, AGENT_CHANGES_MAX);
	g_assert_cmpint(g_date_time_difference(until, now), <=, 60 * G_TIME_SPAN_SECOND);
	g_assert_nonnull(strstr(text_of(damped, "reason"), CHANGES));
	g_assert_nonnull(strstr(text_of(damped, "reason"), at));
	world_wait(w, "it is given a function again by itself", bypass_is_on);
	json_auto_t *after = listed(w);
	g_assert_null(json_object_get(after, "damped_until"));
	g_assert_cmpint(json_integer_value(json_object_get(after, "dampings")), >=,
		json_integer_value(json_object_get(damped, "dampings")));
}

static void test_restart(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	json_auto_t *damped = flap(w);
	world_stop_agent(w);
	damp_for_long(w);
	world_start_agent(w, true);
	world_run(500);
	g_assert_true(bypass_is_back(w));
	g_assert_true(is_damped(w));
	json_auto_t *still = listed(w);
	g_assert_nonnull(text_of(still, "damped_until"));
	g_assert_true(json_equal(json_object_get(still, "dampings"), json_object_get(damped, "dampings")));
	/* An operator need not wait for it. */
	g_autoptr(GError) error = NULL;
	json_auto_t *restored = restore(w, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(text_of(restored, "state"), ==, "attached");
	g_assert_true(bypass_is_on(w));
	json_auto_t *ended = listed(w);
	g_assert_true(json_equal(json_object_get(ended, "dampings"), json_object_get(damped, "dampings")));
}

static void test_insists(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	json_auto_t *damped = flap(w);
	g_autoptr(GError) none = NULL;
	g_autoptr(GError) error = NULL;

	json_auto_t *revoked = operator_ask(w, "vf.revoke", json_pack("{s:s}", "nic", WORLD_NIC), &none);
	g_assert_no_error(none);
	world_stop_agent(w);
	damp_for_long(w);
	world_start_agent(w, true);
	world_run(100);
	/* To revoke and restore in turn is flapping, too. */
	json_auto_t *refused = restore(w, &error);
	g_assert_null(refused);
	g_assert_error(error, FAULT, FAULT_UNAVAILABLE);
	g_assert_nonnull(strstr(error->message, "is held off for 5"));
	g_assert_true(is_damped(w));
	json_auto_t *restored = restore(w, &none);
	g_assert_no_error(none);
	g_assert_cmpstr(text_of(restored, "state"), ==, "attached");
}

static void add(const char *name, void (*fn)(struct world *, gconstpointer))
{
	g_test_add(name, struct world, NULL, bypass_setup, fn, bypass_teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/accel_damping/a guest that gives its functions away again and again gets none for a while, and "
	    "operators see until when",
		test_flaps);
	add("/accel_damping/an agent that starts anew goes on with it, and an operator who restores the NIC "
	    "ends it",
		test_restart);
	add("/accel_damping/an operator who ends a revocation is told of it, and ends it by asking again",
		test_insists);
	return g_test_run();
}
