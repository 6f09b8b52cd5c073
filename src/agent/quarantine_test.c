/* Functions that cannot be given back: what an operator does about them, and what is told of repairs. */
#include "agent/agent_priv.h"
#include "agent/quarantine.h"
#include "agent/test_bypass.h"
#include "agent/test_operator.h"
#include "base/fault.h"

#include <string.h>

#define OTHER_VF "0000:3b:10.1"

/* ---- an operator ---- */

/* What vf.release answers; takes the parameters. */
static json_t *release(struct world *w, json_t *params, GError **error)
{
	return operator_ask(w, "vf.release", params, error);
}

static void expect_refused(struct world *w, json_t *params, int code, const char *says)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(release(w, params, &error));
	g_test_message("%s", error->message);
	g_assert_error(error, FAULT, code);
	g_assert_nonnull(strstr(error->message, says));
}

/* ---- a function in quarantine ---- */

static bool has_other(struct world *w)
{
	const struct ledger_nic *record = ledger_find_nic(w->agent->ledger, WORLD_NIC);

	return record && g_strcmp0(record->function, OTHER_VF) == 0 && bypass_is_on(w);
}

static enum nic_use use_of(struct world *w, unsigned index)
{
	g_autoptr(GPtrArray) survey = w->provider->ops->survey(w->provider);

	return ((const struct nic_device *)survey->pdata[index])->use;
}

/* Its NIC has another function then. */
static void quarantine(struct world *w)
{
	bypass_bring_up(w);
	bypass_touch(w, "fail-release");
	vm_fake_crash(w->machines, WORLD_VM);
	world_wait(w, "its machine starts and has another function", has_other);
	g_assert_cmpint(use_of(w, 0), ==, NIC_USE_QUARANTINED);
}

static void test_tried_again(struct world *w, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	/* Nothing but an operator tries again. */
	w->config.times.health_ms = 600000;
	quarantine(w);
	expect_refused(w, json_pack("{s:s}", "function", WORLD_VF), FAULT_INTERNAL,
		"the test says fail-release; see to that, or give it up: `sluice vf release --as-is " WORLD_VF
		"`");
	g_assert_cmpint(use_of(w, 0), ==, NIC_USE_QUARANTINED);
	bypass_untouch(w, "fail-release");
	json_auto_t *released = release(w, json_pack("{s:s}", "function", WORLD_VF), &error);
	g_assert_no_error(error);
	g_assert_cmpstr(json_string_value(json_object_get(released, "function")), ==, WORLD_VF);
	g_assert_cmpuint(json_array_size(json_object_get(released, "given_up")), ==, 0);
	g_assert_cmpint(use_of(w, 0), ==, NIC_USE_FREE);
	g_assert_cmpint(use_of(w, 1), ==, NIC_USE_ARMED);
}

static void test_given_up(struct world *w, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	quarantine(w);
	json_auto_t *released =
		release(w, json_pack("{s:s, s:b}", "function", WORLD_VF, "as_is", true), &error);
	g_assert_no_error(error);
	const json_t *lost = json_object_get(released, "given_up");
	g_assert_cmpuint(json_array_size(lost), ==, 1);
	g_assert_cmpstr(json_string_value(json_array_get(lost, 0)), ==, "the test says fail-release");
	g_assert_cmpint(use_of(w, 0), ==, NIC_USE_FREE);
	g_assert_cmpint(use_of(w, 1), ==, NIC_USE_ARMED);
}

static void test_refused(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	expect_refused(w, json_pack("{s:s, s:b}", "function", WORLD_VF, "as_is", true), FAULT_NOT_ALLOWED,
		"it is NIC " WORLD_NIC "'s");
	expect_refused(
		w, json_pack("{s:s}", "function", "0000:09:10.0"), FAULT_NOT_FOUND, "no function 0000:09");
	expect_refused(w, json_object(), FAULT_INVALID, "name a function");
	g_assert_true(bypass_is_on(w));
}

/* ---- repairs ---- */

#define LABEL    "VF 0 of ens3 (NIC " WORLD_NIC ")"
#define FIRST    LABEL ": its vlan was 7; it is 100 again"
#define SENTENCE LABEL ": its spoofchk was off; it is on again"

static json_t *describe(struct world *w)
{
	return accel_describe(g_hash_table_lookup(w->agent->accels, WORLD_NIC));
}

static void drift(struct world *w, const char *sentence)
{
	g_autofree char *path = g_build_filename(w->folder, "drift", NULL);

	g_assert_true(g_file_set_contents(path, sentence, -1, NULL));
}

static bool is_repaired(struct world *w)
{
	return health_repairs(w->agent->health) == 1;
}

static bool is_repaired_again(struct world *w)
{
	return health_repairs(w->agent->health) == 2;
}

static bool is_repaired_once_more(struct world *w)
{
	return health_repairs(w->agent->health) == 3;
}

static bool is_forgotten(struct world *w)
{
	json_auto_t *said = health_describe_finding(w->agent->health, WORLD_NIC);

	return json_is_null(json_object_get(said, "repaired"));
}

static void test_repairs(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	json_auto_t *before = describe(w);
	g_assert_true(json_is_null(json_object_get(before, "repaired")));
	g_assert_null(json_object_get(before, "repairs"));
	drift(w, FIRST);
	world_wait(w, "the repair is counted", is_repaired);
	drift(w, SENTENCE);
	world_wait(w, "so is the next", is_repaired_again);
	json_auto_t *entry = describe(w);
	g_assert_cmpstr(json_string_value(json_object_get(entry, "repaired")), ==, SENTENCE);
	g_assert_cmpint(json_integer_value(json_object_get(entry, "repairs")), ==, 2);
	g_autoptr(GDateTime) at =
		g_date_time_new_from_iso8601(json_string_value(json_object_get(entry, "repaired_at")), NULL);
	g_assert_nonnull(at);
	int64_t age_s = g_get_real_time() / G_USEC_PER_SEC - g_date_time_to_unix(at);
	g_assert_cmpint(age_s, >=, 0);
	g_assert_cmpint(age_s, <, 60);
	g_assert_nonnull(health_last_repair(w->agent->health));

	/* The NIC gets another function: of that nothing was repaired. */
	bypass_touch(w, "fail-release");
	vm_fake_crash(w->machines, WORLD_VM);
	world_wait(w, "it has another function", has_other);
	world_wait(w, "what was said of the former one is forgotten", is_forgotten);
	/* Nor is it so of what is found of that one now. */
	drift(w, LABEL ": something else");
	world_wait(w, "it is counted all the same", is_repaired_once_more);
	g_assert_true(is_forgotten(w));
	g_assert_cmpstr(health_last_repair(w->agent->health), ==, LABEL ": something else");
}

/* ---- what is not repaired ---- */

#define FOREIGN LABEL ": somebody has told ens3 to hear its MAC"

static bool is_condition(struct world *w, const char *sentence)
{
	json_auto_t *conditions = agent_conditions(w->agent);

	for (size_t i = 0; i < json_array_size(conditions); i++)
		if (g_str_equal(json_string_value(json_array_get(conditions, i)), sentence))
			return true;
	return false;
}

/* Each look finds it. */
static bool stands(struct world *w)
{
	drift(w, FOREIGN);
	return is_condition(w, FOREIGN);
}

static bool stands_beside_repair(struct world *w)
{
	drift(w, FOREIGN "\n" SENTENCE);
	return is_repaired_again(w);
}

static bool is_over(struct world *w)
{
	return !is_condition(w, FOREIGN);
}

/* conditions: how many vf.list tells of the NIC's function. */
static void expect_told(struct world *w, const char *repaired, json_int_t repairs, size_t conditions)
{
	json_auto_t *entry = describe(w);

	g_assert_cmpstr(json_string_value(json_object_get(entry, "repaired")), ==, repaired);
	g_assert_cmpint(json_integer_value(json_object_get(entry, "repairs")), ==, repairs);
	g_assert_cmpstr(health_last_repair(w->agent->health), ==, repaired);
	g_assert_cmpuint(health_repairs(w->agent->health), ==, (unsigned)repairs);
	g_assert_cmpuint(json_array_size(json_object_get(entry, "conditions")), ==, conditions);
	g_assert_cmpint(json_object_get(entry, "conditions") != NULL, ==, conditions != 0);
}

static void test_conditions(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	drift(w, FIRST);
	world_wait(w, "the repair is counted", is_repaired);
	world_wait(w, "what each look finds is a condition", stands);
	g_assert_false(is_condition(w, FIRST));
	/* It is no repair, and takes the place of none. */
	expect_told(w, FIRST, 1, 1);
	world_wait(w, "a repair is counted meanwhile", stands_beside_repair);
	drift(w, FOREIGN); /* the repair is not found again */
	expect_told(w, SENTENCE, 2, 1);
	world_wait(w, "it is none any more when a look does not find it", is_over);
	expect_told(w, SENTENCE, 2, 0);
	/* Nor is one of a function that the NIC has no more one of its own. */
	world_wait(w, "it is found again", stands);
	bypass_touch(w, "fail-release");
	vm_fake_crash(w->machines, WORLD_VM);
	world_wait(w, "it has another function", has_other);
	world_wait(w, "it is found of the former one", stands);
	json_auto_t *entry = describe(w);
	g_assert_null(json_object_get(entry, "conditions"));
}

static void add(const char *name, void (*fn)(struct world *, gconstpointer))
{
	g_test_add(name, struct world, NULL, bypass_setup, fn, bypass_teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK); /* that a function is given to nobody is logged */
	add("/quarantine/an operator has a function tried again at once", test_tried_again);
	add("/quarantine/an operator gives up what cannot be restored, and is told what that is",
		test_given_up);
	add("/quarantine/what a NIC has, and what there is not, is in no quarantine", test_refused);
	add("/quarantine/repairs are told with their number and time, and only of the function that a NIC "
	    "has",
		test_repairs);
	add("/quarantine/what look after look finds is a condition as long as it does, and no repair",
		test_conditions);
	return g_test_run();
}
