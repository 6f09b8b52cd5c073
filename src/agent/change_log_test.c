/* What the log says of functions given and taken: who asked, of what NIC and function, why, what came of it; once each. */
#include "agent/agent_priv.h"
#include "agent/test_bypass.h"
#include "agent/test_operator.h"
#include "base/log.h"

#include <string.h>
#include <unistd.h>

/* The log of this program at the level that is tested; several threads write it. */
static GMutex mutex;
static GPtrArray *lines; /* "OBJECT: MESSAGE" */

static const char *field(const GLogField *fields, gsize n, const char *key)
{
	for (gsize i = 0; i < n; i++)
		if (g_str_equal(fields[i].key, key))
			return fields[i].value;
	return "";
}

static GLogWriterOutput keep(GLogLevelFlags level, const GLogField *fields, gsize n, void *data)
{
	if (level & G_LOG_LEVEL_INFO) {
		g_mutex_lock(&mutex);
		g_ptr_array_add(lines,
			g_strdup_printf("%s: %s", field(fields, n, "OBJECT"), field(fields, n, "MESSAGE")));
		g_mutex_unlock(&mutex);
	}
	return G_LOG_WRITER_HANDLED;
}

/* Those that are like this; all are forgotten. */
static unsigned take(const char *pattern)
{
	unsigned found = 0;

	g_mutex_lock(&mutex);
	for (guint i = 0; i < lines->len; i++) {
		g_test_message("%s", (char *)lines->pdata[i]);
		found += g_pattern_match_simple(pattern, lines->pdata[i]);
	}
	g_ptr_array_set_size(lines, 0);
	g_mutex_unlock(&mutex);
	return found;
}

/* That line and no other has been written since the last look. */
static void expect_only(const char *pattern)
{
	g_mutex_lock(&mutex);
	guint all = lines->len;
	g_mutex_unlock(&mutex);
	g_assert_cmpuint(take(pattern), ==, 1);
	g_assert_cmpuint(all, ==, 1);
}

static bool is_told(struct world *w)
{
	g_mutex_lock(&mutex);
	bool told = lines->len > 0;
	g_mutex_unlock(&mutex);
	return told;
}

static void setup(struct world *w, gconstpointer data)
{
	take("*");
	bypass_setup(w, data);
	bypass_bring_up(w);
	world_wait(w, "the log has it that the NIC has a function", is_told);
}

/* ---- an operator ---- */

/* Takes the parameters; NULL: it is refused. New reference. */
static json_t *operate(struct world *w, const char *method, json_t *params)
{
	g_autoptr(GError) error = NULL;

	return operator_ask(w, method, params, &error);
}

static json_t *the_nic(void)
{
	return json_pack("{s:s}", "nic", WORLD_NIC);
}

/* ---- tests ---- */

/* "NIC: METHOD, asked for by uid U, process P (…: NIC nic-4, function F: RESULT (N ms)" */
static void expect_request(const char *method, const char *result)
{
	g_autofree char *pattern =
		g_strdup_printf(WORLD_NIC ": %s, asked for by uid %u, process %d (*): NIC nic-4, "
					  "function " WORLD_VF ": %s (* ms)",
			method, geteuid(), getpid(), result);

	expect_only(pattern);
}

static void test_requests(struct world *w, gconstpointer data)
{
	expect_only(WORLD_NIC ": NIC nic-4 of VM myvm: function " WORLD_VF " was given in * ms");
	json_auto_t *revoked = operate(w, "vf.revoke", the_nic());
	g_assert_cmpstr(json_string_value(json_object_get(revoked, "function")), ==, WORLD_VF);
	expect_request("vf.revoke", "revoked");
	json_auto_t *again = operate(w, "vf.revoke", the_nic());
	g_assert_nonnull(again);
	g_assert_cmpuint(take("*"), ==, 0);
	json_auto_t *restored = operate(w, "vf.restore", the_nic());
	g_assert_cmpstr(json_string_value(json_object_get(restored, "state")), ==, "attached");
	expect_request("vf.restore", "attached");
	g_assert_null(operate(w, "vf.revoke", json_pack("{s:s}", "nic", "none")));
	expect_only("none: vf.revoke, asked for by uid *: NIC none: failed: no NIC of this host is called "
		    "none,*(* ms)");
}

static void test_notice(struct world *w, gconstpointer data)
{
	take("*");
	json_auto_t *told = operate(w, "vf.revoke", json_pack("{s:s, s:i}", "nic", WORLD_NIC, "notice_s", 1));
	g_assert_nonnull(told);
	expect_only("*: vf.revoke with 1 s of notice, asked for by uid *: NIC nic-4, function " WORLD_VF
		    ": its guest has * s of notice (* ms)");
	world_wait(w, "its time is over", bypass_is_back);
	world_wait(w, "the log has it", is_told);
	expect_only("*: NIC nic-4 of VM myvm: function " WORLD_VF
		    " was taken in * ms: The operator has revoked its function.");
}

/* A revocation that is over on a drained host is over; its function comes when the drain is. */
static void test_drain(struct world *w, gconstpointer data)
{
	take("*");
	json_auto_t *revoked = operate(w, "vf.revoke", the_nic());
	take("*");
	json_auto_t *drained = operate(w, "host.drain", NULL);
	g_assert_nonnull(drained);
	expect_only("*: host.drain, asked for by uid *: drained; NICs that have functions: 0 (* ms)");
	json_auto_t *status = operate(w, "status", NULL);
	g_assert_true(json_is_true(json_object_get(status, "drained")));
	json_auto_t *restored = operate(w, "vf.restore", the_nic());
	g_assert_cmpstr(json_string_value(json_object_get(restored, "state")), ==, "detached");
	g_assert_nonnull(
		strstr(json_string_value(json_object_get(restored, "reason")), "sluice host undrain"));
	g_assert_false(ledger_find_nic(w->agent->ledger, WORLD_NIC)->revoked);
	expect_only("*: vf.restore, asked for by uid *: NIC nic-4: detached, as Its host is drained *");
	world_run(100);
	g_assert_true(bypass_is_back(w));
	json_auto_t *undrained = operate(w, "host.undrain", NULL);
	world_wait(w, "it has a function again", bypass_is_on);
	world_run(100);
	g_assert_cmpuint(
		take("*: host.undrain, asked for by uid *: not drained; NICs that have functions: 0 (* ms)"),
		==, 1);
	g_assert_false(json_is_true(json_object_get(undrained, "drained")));
}

static bool is_stopped(struct world *w)
{
	return world_power(w, WORLD_VM) == POWER_STATE_STOPPED;
}

/* So is one whose VM does not run. */
static void test_stopped(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal_physical(2, true);

	take("*");
	world_vm(goal)->power = POWER_STOPPED;
	agent_take_goal(w->agent, goal);
	world_wait(w, "the machine is off", is_stopped);
	world_wait(w, "nothing is claimed", bypass_nothing_is_claimed);
	world_wait(w, "the log has it", is_told);
	expect_only("*: NIC nic-4 of VM myvm: function " WORLD_VF
		    " was taken in * ms: its virtual machine is off");
	json_auto_t *revoked = operate(w, "vf.revoke", the_nic());
	g_assert_cmpstr(json_string_value(json_object_get(revoked, "state")), ==, "revoked");
	json_auto_t *restored = operate(w, "vf.restore", the_nic());
	g_assert_nonnull(strstr(json_string_value(json_object_get(restored, "reason")), "does not run"));
	g_assert_false(ledger_find_nic(w->agent->ledger, WORLD_NIC)->revoked);
}

/* Why a function goes that nobody waits for; what says so while it has not gone. */
static void test_unasked(struct world *w, gconstpointer data)
{
	take("*");
	vm_fake_hold_primaries(w->machines, true);
	json_auto_t *drained = operate(w, "host.drain", NULL);
	const json_t *held = json_array_get(json_object_get(drained, "holding"), 0);
	const char *reason = json_string_value(json_object_get(held, "reason"));
	g_assert_nonnull(strstr(
		reason, "Its guest is about to be asked for function " WORLD_VF ". Its host is drained"));
	expect_only("*: host.drain, asked for by uid *: drained; NICs that have functions: 1 (* ms)");
	vm_fake_hold_primaries(w->machines, false);
	world_wait(w, "the function is back", bypass_is_back);
	world_wait(w, "the log has it", is_told);
	expect_only("*: NIC nic-4 of VM myvm: function " WORLD_VF
		    " was taken in * ms: Its host is drained for *");
}

static void add(const char *name, void (*fn)(struct world *, gconstpointer))
{
	g_test_add(name, struct world, NULL, setup, fn, bypass_teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	lines = g_ptr_array_new_with_free_func(g_free);
	g_log_set_writer_func(keep, NULL, NULL);
	add("/change_log/an operator's revocation and restoration have a line each, with who asked",
		test_requests);
	add("/change_log/one with notice has one when it is asked for, and one when the function is gone",
		test_notice);
	add("/change_log/on a drained host a revocation is called off, and its function comes when that is "
	    "undrained",
		test_drain);
	add("/change_log/where its VM is off, too, and the log says so of the function that this took",
		test_stopped);
	add("/change_log/a function that a drain takes says so", test_unasked);
	int status = g_test_run();
	g_ptr_array_unref(lines);
	return status;
}
