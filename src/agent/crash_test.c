/* The agent is killed at every one of its failpoints, started again, and must reach the end state.
 *
 * The agent runs in a child process (test_child.h) against the fake switch and the VM
 * manager in the parent, which outlive it as real ones do. One scenario passes all failpoints: a VM is
 * started, accelerated, restarted, its acceleration taken away, given a new disk, deallocated and removed. It is run with
 * functions that the switch reaches by an interface, with functions that pass the host, and with such that have representors.
 */
#include "agent/test_child.h"
#include "base/failpoint.h"
#include "base/fault.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What one step of the scenario waits for. */
struct aim {
	int64_t version;
	int power; /* enum power_state */
	int path; /* enum nic_path */
	int64_t restarts;
	bool absent;
	bool cut; /* its function is in the guest still, and cut off */
};

/* That the goal of that version asks for. */
static int64_t reimages_of(int64_t version)
{
	return version >= 4;
}

static bool is_reached(struct world *w, const struct aim *aim)
{
	struct report *report = child_report(w);
	bool reached = report && report->received == aim->version && report->applied == aim->version;

	if (!report)
		return false;
	for (guint i = 0; reached && i < list_length(report->vms); i++) {
		const struct report_vm *vm = report->vms->pdata[i];
		reached = (vm->power == aim->power && vm->restarts == aim->restarts &&
				  vm->reimages == reimages_of(aim->version)) ||
			  vm->absent;
		reached = reached && vm->absent == aim->absent;
	}
	for (guint i = 0; reached && i < list_length(report->nics); i++) {
		const struct report_nic *nic = report->nics->pdata[i];
		reached = nic->path == aim->path && (!aim->cut || nic->enforcement == ENFORCEMENT_CUT);
	}
	report_free(report);
	return reached;
}

static gboolean tick(void *data)
{
	return G_SOURCE_CONTINUE;
}

/* Waits for the aim; starts the agent again, without its failpoint, whenever it died. Returns how often. */
static unsigned reach(struct world *w, struct child *child, const struct aim *aim)
{
	int64_t deadline = g_get_monotonic_time() + 15 * G_USEC_PER_SEC;
	guint ticking = g_timeout_add(5, tick, NULL);
	unsigned deaths = 0;

	while (!is_reached(w, aim)) {
		g_main_context_iteration(NULL, true);
		if (child->over) {
			g_assert_true(WIFSIGNALED(child->status) && WTERMSIG(child->status) == SIGKILL);
			deaths++;
			child_start(w, child, NULL);
		}
		if (g_get_monotonic_time() > deadline) {
			for (guint i = 0; i < w->log->len; i++)
				g_test_message("%u: %s", i, (char *)w->log->pdata[i]);
			g_error("goal %d was not reached", (int)aim->version);
		}
	}
	g_source_remove(ticking);
	return deaths;
}

static struct goal *goal_of(
	struct world *w, int64_t version, bool accelerated, enum power power, int64_t restarts)
{
	struct goal *goal =
		(w->bypass || w->switchdev ? world_goal_physical : world_goal)(version, accelerated);

	world_vm(goal)->power = power;
	world_vm(goal)->restarts = restarts;
	world_vm(goal)->reimages = reimages_of(version);
	if (power == POWER_DEALLOCATED)
		g_ptr_array_set_size(goal->nics, 0);
	return goal;
}

/* From nothing to nothing. Returns how often the agent died. */
static unsigned run_scenario(struct world *w, struct child *child)
{
	const int function = w->bypass || w->switchdev ? PATH_VF : PATH_EMULATED;
	const struct aim up = {1, POWER_STATE_RUNNING, function, 0, false};
	const struct aim restarted = {2, POWER_STATE_RUNNING, function, 1, false};
	const struct aim plain = {3, POWER_STATE_RUNNING, PATH_SYNTHETIC, 1, false};
	const struct aim again = {4, POWER_STATE_RUNNING, function, 1, false};
	const struct aim down = {5, POWER_STATE_DEALLOCATED, PATH_NONE, 1, false};
	const struct aim gone = {6, POWER_STATE_DEALLOCATED, PATH_NONE, 0, true};
	struct goal *last = goal_of(w, 6, true, POWER_DEALLOCATED, 1);
	unsigned deaths = 0;

	child_want(w, goal_of(w, 1, true, POWER_RUNNING, 0));
	deaths += reach(w, child, &up);
	child_want(w, goal_of(w, 2, true, POWER_RUNNING, 1));
	deaths += reach(w, child, &restarted);
	child_want(w, goal_of(w, 3, false, POWER_RUNNING, 1));
	deaths += reach(w, child, &plain);
	g_assert_cmpint(world_machine(w, WORLD_VM), ==, VM_RUNNING);
	child_want(w, goal_of(w, 4, true, POWER_RUNNING, 1));
	deaths += reach(w, child, &again);
	g_assert_cmpint(world_find(w, "remove " WORLD_VM, 0), >=, 0);
	child_want(w, goal_of(w, 5, true, POWER_DEALLOCATED, 1));
	deaths += reach(w, child, &down);
	g_assert_cmpint(world_machine(w, WORLD_VM), ==, VM_STOPPED);
	world_vm(last)->remove = true;
	child_want(w, last);
	deaths += reach(w, child, &gone);
	g_assert_cmpint(world_machine(w, WORLD_VM), ==, VM_ABSENT);
	return deaths;
}

/* A copy on the function alone before its device was plugged, or after it was gone, would be lost; so would be what is
 * not copied to both while the guest lets the device go. */
static void check_order(const struct world *w)
{
	const char *delivery = "nothing";
	bool plugged = false;

	for (guint i = 0; i < w->log->len; i++) {
		const char *line = w->log->pdata[i];
		if (g_str_has_prefix(line, "plug "))
			plugged = true;
		if (g_str_has_prefix(line, "start "))
			plugged = false;
		if (g_str_has_prefix(line, "switch " WORLD_NIC))
			delivery = line;
		if (g_str_has_prefix(line, "switch " WORLD_NIC " function"))
			g_assert_true(plugged);
		if (g_str_has_prefix(line, "unplug ")) {
			if (!g_str_has_prefix(delivery, "switch " WORLD_NIC " both"))
				g_error("'%s' came under '%s'", line, delivery);
			plugged = false;
		}
	}
}

static void check_nothing_left(struct world *w, const char *functions)
{
	_cleanup_(nic_provider_close) struct nic_provider *provider =
		child_open_provider(w->folder, functions);
	g_autoptr(GPtrArray) list = provider->ops->list(provider);
	g_autofree char *device = g_build_filename(w->folder, functions ? WORLD_VF : "sl-f0", NULL);
	g_autofree char *ledger = g_build_filename(w->folder, "agent.json", NULL);
	json_auto_t *json = json_load_file(ledger, 0, NULL);

	g_assert_cmpuint(list->len, ==, 0);
	g_assert_false(g_file_test(device, G_FILE_TEST_EXISTS));
	g_assert_cmpuint(json_array_size(json_object_get(json, "vms")), ==, 0);
}

/* functions: see child_open_provider(). */
static void init(struct world *w, const char *functions)
{
	world_init(w);
	w->bypass = g_strcmp0(functions, "bypass") == 0;
	w->switchdev = g_strcmp0(functions, "switchdev") == 0;
}

static void run_with_failpoint(const char *functions, const char *failpoint, unsigned deaths)
{
	struct world w;
	struct child child;

	init(&w, functions);
	child_start(&w, &child, failpoint);
	g_assert_cmpuint(run_scenario(&w, &child), ==, deaths);
	child_stop(&child);
	g_assert_true(WIFEXITED(child.status));
	check_order(&w);
	if (w.switchdev)
		world_expect(&w, "switch " WORLD_NIC " function +rep0 offloaded", NULL);
	check_nothing_left(&w, functions);
	world_done(&w);
}

static void test_undisturbed(void)
{
	run_with_failpoint(NULL, NULL, 0);
	run_with_failpoint("bypass", NULL, 0);
	run_with_failpoint("switchdev", NULL, 0);
}

static void test_failpoint(gconstpointer data)
{
	run_with_failpoint(NULL, data, 1);
}

static void test_failpoint_bypass(gconstpointer data)
{
	run_with_failpoint("bypass", data, 1);
}

/* A guest holds on to what a rule forbids, until it does not. */
static void test_failpoint_cut(gconstpointer failpoint)
{
	const struct aim up = {1, POWER_STATE_RUNNING, PATH_VF, 0, false, false};
	const struct aim cut = {2, POWER_STATE_RUNNING, PATH_SYNTHETIC, 0, false, true};
	const struct aim again = {3, POWER_STATE_RUNNING, PATH_VF, 0, false, false};
	struct world w;
	struct child child;
	unsigned deaths = 0;

	init(&w, "bypass");
	struct goal *denying = goal_of(&w, 2, true, POWER_RUNNING, 0);
	world_add_rules(denying,
		"{\"name\": \"r\", \"priority\": 100, \"access\": \"deny\", \"protocol\": \"any\", "
		"\"source\": {\"addresses\": [\"*\"], \"ports\": [\"*\"]}, "
		"\"destination\": {\"addresses\": [\"*\"], \"ports\": [\"*\"]}}");
	child_start(&w, &child, failpoint);
	child_want(&w, goal_of(&w, 1, true, POWER_RUNNING, 0));
	deaths += reach(&w, &child, &up);
	vm_fake_hold_primaries(w.machines, true);
	child_want(&w, denying);
	deaths += reach(&w, &child, &cut);
	vm_fake_hold_primaries(w.machines, false);
	child_want(&w, goal_of(&w, 3, true, POWER_RUNNING, 0));
	deaths += reach(&w, &child, &again);
	g_assert_cmpuint(deaths, ==, 1);
	child_stop(&child);
	world_done(&w);
}

static void test_failpoint_switchdev(gconstpointer data)
{
	run_with_failpoint("switchdev", data, 1);
}

/* And forgets its last report. */
static void kill_child(struct world *w, struct child *child)
{
	g_autofree char *report = g_build_filename(w->folder, "report.json", NULL);

	kill(child->pid, SIGKILL);
	while (!child->over)
		g_main_context_iteration(NULL, true);
	g_unlink(report);
}

/* Kills at random moments, from a printed seed. */
static void test_random(gconstpointer functions)
{
	struct world w;
	struct child child;
	struct aim aims[] = {{1, POWER_STATE_RUNNING, functions ? PATH_VF : PATH_EMULATED, 0, false},
		{2, POWER_STATE_RUNNING, PATH_SYNTHETIC, 0, false}};

	init(&w, functions);
	child_start(&w, &child, NULL);
	for (int64_t version = 1; version <= 12; version++) {
		struct aim *aim = &aims[(version + 1) % 2];
		aim->version = version;
		child_want(&w, goal_of(&w, version, version % 2 == 1, POWER_RUNNING, 0));
		world_run((unsigned)g_test_rand_int_range(1, 120));
		kill_child(&w, &child);
		child_start(&w, &child, NULL);
		g_assert_cmpuint(reach(&w, &child, aim), ==, 0);
		g_assert_cmpint(world_machine(&w, WORLD_VM), ==, VM_RUNNING);
	}
	child_stop(&child);
	check_order(&w);
	world_done(&w);
}

static void add_failpoint(unsigned i)
{
	const char *name = failpoint_name(i);
	bool of_vfs = strstr(name, ".vf-") != NULL;
	g_autofree char *path = g_strdup_printf("/crash/killed when %s (%s)", failpoint_text(i), name);
	g_autofree char *past = g_strdup_printf("%s, past the host", path);
	g_autofree char *represented = g_strdup_printf("%s, with a representor", path);

	if (g_str_has_prefix(name, "agent.vf-cut")) {
		g_test_add_data_func(path, name, test_failpoint_cut);
		return;
	}
	if (!of_vfs)
		g_test_add_data_func(path, name, test_failpoint);
	if (!g_str_has_prefix(name, "agent.accel-") && !of_vfs)
		return;
	g_test_add_data_func(past, name, test_failpoint_bypass);
	g_test_add_data_func(represented, name, test_failpoint_switchdev);
}

int main(int argc, char **argv)
{
	if (argc == 2 && g_str_equal(argv[1], "--agent"))
		return child_main();
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/crash/undisturbed, the scenario leaves nothing behind", test_undisturbed);
	for (unsigned i = 0; i < FAILPOINT_COUNT; i++)
		if (g_str_has_prefix(failpoint_name(i), "agent.") ||
			g_str_has_prefix(failpoint_name(i), "nic.function-"))
			add_failpoint(i);
	g_test_add_data_func("/crash/killed at random moments, the end state is right and the VM never stops",
		NULL, test_random);
	g_test_add_data_func(
		"/crash/killed at random moments, past the host, likewise", "bypass", test_random);
	g_test_add_data_func(
		"/crash/killed at random moments, with a representor, likewise", "switchdev", test_random);
	return g_test_run();
}
