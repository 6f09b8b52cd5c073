/* The life of VMs under the agent: with a fake switch and a fake VM manager. */
#include "agent/test_world.h"
#include "base/fault.h"

#include <glib/gstdio.h>
#include <string.h>

static void setup(struct world *w, gconstpointer data)
{
	world_init(w);
}

static void teardown(struct world *w, gconstpointer data)
{
	world_done(w);
}

static bool is_running(struct world *w)
{
	return world_power(w, WORLD_VM) == POWER_STATE_RUNNING;
}

static bool both_run(struct world *w)
{
	return is_running(w) && world_power(w, WORLD_VM_2) == POWER_STATE_RUNNING;
}

static bool is_stopped(struct world *w)
{
	return world_power(w, WORLD_VM) == POWER_STATE_STOPPED;
}

static bool is_deallocated(struct world *w)
{
	return world_power(w, WORLD_VM) == POWER_STATE_DEALLOCATED;
}

/* Entry of the VM in a fresh report. Owned by the report, which is. */
static const struct report_vm *entry_of(const struct report *report, const char *vm)
{
	for (guint i = 0; i < report->vms->len; i++) {
		const struct report_vm *entry = report->vms->pdata[i];
		if (g_str_equal(entry->uid, vm))
			return entry;
	}
	return NULL;
}

static bool is_absent(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	const struct report_vm *entry = entry_of(report, WORLD_VM);

	return entry && entry->absent;
}

static bool is_applied(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	return report->applied == report->received;
}

static bool has_fault(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	const struct report_vm *entry = entry_of(report, WORLD_VM);

	return entry && entry->fault;
}

static char *fault_of(struct world *w, char **ret_message)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	const struct report_vm *entry = entry_of(report, WORLD_VM);

	*ret_message = g_strdup(entry->message);
	return g_strdup(entry->fault);
}

/* An agent with the VM running. */
static void bring_up(struct world *w)
{
	world_start_agent(w, false);
	agent_take_goal(w->agent, world_goal(1, false));
	world_wait(w, "the VM runs", is_running);
}

static unsigned count(struct world *w, const char *text)
{
	unsigned n = 0;

	for (int at = -1; (at = world_find(w, text, at + 1)) >= 0;)
		n++;
	return n;
}

/* ---- up and down ---- */

static void test_start(struct world *w, gconstpointer data)
{
	bring_up(w);
	g_assert_cmpint(world_machine(w, WORLD_VM), ==, VM_RUNNING);
	world_expect(w, "define " WORLD_VM, "start " WORLD_VM, NULL);
	g_assert_cmpint(
		world_find(w, "switch " WORLD_NIC " synthetic", 0), <, world_find(w, "start " WORLD_VM, 0));
	g_assert_true(is_applied(w));
	const struct vm_spec *spec = vm_fake_spec(w->machines, WORLD_VM);
	const struct vm_nic *nic = spec->nics->pdata[0];
	g_assert_cmpuint(spec->vcpus, ==, 8);
	g_assert_cmpuint(spec->memory_mib, ==, 28672);
	g_assert_false(nic->teamed);
	g_assert_true(g_str_has_suffix(nic->vhost_socket, "/vhost/" WORLD_NIC ".sock"));
	g_assert_true(g_str_has_suffix(spec->directory, "/vms/" WORLD_VM));
}

/* By this goal, which is of nothing else. */
static void deallocate(struct world *w, struct goal *goal)
{
	world_vm(goal)->power = POWER_DEALLOCATED;
	g_ptr_array_set_size(goal->nics, 0);
	agent_take_goal(w->agent, goal);
	world_wait(w, "the VM is deallocated", is_deallocated);
}

static void test_deallocate(struct world *w, gconstpointer data)
{
	bring_up(w);
	deallocate(w, world_goal(2, false));
	g_assert_cmpint(world_machine(w, WORLD_VM), ==, VM_STOPPED);
	g_assert_cmpint(world_find(w, "remove " WORLD_VM, 0), <, 0);
	world_wait(w, "the switch has no NIC", is_applied);
	g_assert_cmpuint(json_array_size(json_object_get(w->state, "nics")), ==, 0);
	agent_take_goal(w->agent, world_goal(3, false));
	world_wait(w, "the VM runs again", is_running);
}

static void test_stop(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal(2, false);

	bring_up(w);
	world_vm(goal)->power = POWER_STOPPED;
	agent_take_goal(w->agent, goal);
	world_wait(w, "the VM is stopped", is_stopped);
	g_assert_cmpint(world_machine(w, WORLD_VM), ==, VM_STOPPED);
	g_assert_cmpuint(json_array_size(json_object_get(w->state, "nics")), ==, 1);
}

static bool restarted(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	return entry_of(report, WORLD_VM)->restarts == 2 && is_running(w);
}

static void test_restart(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal(2, false), *same = world_goal(3, false);

	bring_up(w);
	world_vm(goal)->restarts = 2;
	world_vm(same)->restarts = 2;
	agent_take_goal(w->agent, goal);
	world_wait(w, "the VM was restarted twice", restarted);
	g_assert_cmpuint(count(w, "stop " WORLD_VM), ==, 2);
	g_assert_cmpuint(count(w, "start " WORLD_VM), ==, 3);
	agent_take_goal(w->agent, same);
	world_run(100);
	g_assert_cmpuint(count(w, "start " WORLD_VM), ==, 3);
}

static bool reimaged(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	return entry_of(report, WORLD_VM)->reimages == 2;
}

static bool reimaged_and_runs(struct world *w)
{
	return reimaged(w) && is_running(w);
}

static void test_reimage(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal(2, false), *same = world_goal(3, false);

	bring_up(w);
	/* Two that were asked for come to one new disk. */
	world_vm(goal)->reimages = world_vm(same)->reimages = 2;
	agent_take_goal(w->agent, goal);
	world_wait(w, "the VM runs from a new disk", reimaged_and_runs);
	world_expect(w, "define " WORLD_VM, "start " WORLD_VM, "stop " WORLD_VM, "remove " WORLD_VM,
		"define " WORLD_VM, "start " WORLD_VM, NULL);
	agent_take_goal(w->agent, same);
	world_run(100);
	g_assert_cmpuint(count(w, "remove " WORLD_VM), ==, 1);
}

static void test_reimage_deallocated(struct world *w, gconstpointer data)
{
	struct goal *off = world_goal(2, false), *wiped = world_goal(3, false);

	bring_up(w);
	world_vm(off)->power = world_vm(wiped)->power = POWER_DEALLOCATED;
	world_vm(wiped)->reimages = 2;
	agent_take_goal(w->agent, off);
	world_wait(w, "the VM is deallocated", is_deallocated);
	agent_take_goal(w->agent, wiped);
	world_wait(w, "its disk is gone", reimaged);
	g_assert_cmpuint(count(w, "remove " WORLD_VM), ==, 1);
	g_assert_cmpuint(count(w, "define " WORLD_VM), ==, 1);
	g_assert_true(is_deallocated(w));
}

/* A goal with another size of the VM. */
static struct goal *resized(int64_t version, int64_t restarts)
{
	struct goal *goal = world_goal(version, false);

	world_vm(goal)->vcpus = 2;
	world_vm(goal)->memory_mib = 7168;
	world_vm(goal)->restarts = restarts;
	return goal;
}

static void assert_size(struct world *w, unsigned vcpus, unsigned memory_mib)
{
	const struct vm_spec *spec = vm_fake_spec(w->machines, WORLD_VM);

	g_assert_cmpuint(spec->vcpus, ==, vcpus);
	g_assert_cmpuint(spec->memory_mib, ==, memory_mib);
}

static bool restarted_once(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	return entry_of(report, WORLD_VM)->restarts == 1 && is_running(w);
}

static void test_resize(struct world *w, gconstpointer data)
{
	bring_up(w);
	agent_take_goal(w->agent, resized(2, 0));
	world_run(100);
	assert_size(w, 8, 28672); /* a machine that runs keeps what it has */
	agent_take_goal(w->agent, resized(3, 1));
	world_wait(w, "the VM was restarted", restarted_once);
	world_expect(w, "start " WORLD_VM, "stop " WORLD_VM, "define " WORLD_VM, "start " WORLD_VM, NULL);
	assert_size(w, 2, 7168);
}

static void test_resize_deallocated(struct world *w, gconstpointer data)
{
	bring_up(w);
	deallocate(w, resized(2, 0));
	agent_take_goal(w->agent, resized(3, 0));
	world_wait(w, "the VM runs again", is_running);
	assert_size(w, 2, 7168);
}

static void test_remove(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal(2, false);

	bring_up(w);
	world_vm(goal)->remove = true;
	g_ptr_array_set_size(goal->nics, 0);
	agent_take_goal(w->agent, goal);
	world_wait(w, "the VM is reported absent", is_absent);
	g_assert_cmpint(world_machine(w, WORLD_VM), ==, VM_ABSENT);
	world_expect(w, "start " WORLD_VM, "stop " WORLD_VM, "remove " WORLD_VM, NULL);
}

static void test_remove_unknown(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal(1, false);

	world_vm(goal)->remove = true;
	world_start_agent(w, false);
	agent_take_goal(w->agent, goal);
	world_wait(w, "a VM that never was is reported absent", is_absent);
}

static bool machine_is_off(struct world *w)
{
	return world_machine(w, WORLD_VM) == VM_STOPPED;
}

static void test_unnamed(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal(2, false);

	bring_up(w);
	g_ptr_array_set_size(goal->vms, 0);
	g_ptr_array_set_size(goal->nics, 0);
	agent_take_goal(w->agent, goal);
	world_wait(w, "a VM that the goal forgot is off", machine_is_off);
	world_run(100);
	g_assert_cmpint(world_find(w, "remove " WORLD_VM, 0), <, 0);
	agent_take_goal(w->agent, world_goal(3, false));
	world_wait(w, "the VM runs again", is_running);
}

static void assert_follows(struct world *w, const char *host, int64_t version, int64_t applied)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	g_assert_cmpstr(report->goal_host, ==, host);
	g_assert_cmpint(report->received, ==, version);
	g_assert_cmpint(report->applied, ==, applied);
}

static void test_other_store(struct world *w, gconstpointer data)
{
	static const struct {
		const char *host;
		int64_t version;
	} rows[] = {{"other-uid", 900}, {"other-uid", 899}, {"third-uid", 5000}};

	world_start_agent(w, false);
	agent_take_goal(w->agent, world_goal(5000, false));
	world_wait(w, "the first store's goal is in force", is_applied);
	assert_follows(w, "host-uid", 5000, 5000);
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct goal *goal = world_goal(rows[i].version, false);
		g_free(goal->host);
		goal->host = g_strdup(rows[i].host);
		world_vm(goal)->power = i % 2 ? POWER_RUNNING : POWER_STOPPED;
		agent_take_goal(w->agent, goal);
		assert_follows(
			w, rows[i].host, rows[i].version, 0); /* nothing of this store is in force yet */
		world_wait(w, "the other store's goal is in force", is_applied);
		world_wait(w, "the VM is as it wants", i % 2 ? is_running : is_stopped);
	}
	world_stop_agent(w);
	world_start_agent(w, false);
	assert_follows(w, "third-uid", 5000, 0);
}

/* ---- the switch ---- */

static void test_no_switch(struct world *w, gconstpointer data)
{
	g_autofree char *message = NULL, *fault = NULL;

	world_stop_switch(w);
	w->config.times.confirm_ms = 100;
	world_start_agent(w, false);
	agent_take_goal(w->agent, world_goal(1, false));
	world_wait(w, "a fault is reported", has_fault);
	fault = fault_of(w, &message);
	g_assert_cmpstr(fault, ==, "unavailable");
	g_assert_nonnull(strstr(message, "myvm"));
	g_assert_cmpint(world_find(w, "start " WORLD_VM, 0), <, 0);
	world_start_switch(w);
	world_wait(w, "the VM runs once the switch is there", is_running);
	g_assert_false(has_fault(w));
}

static bool applied_three_times(struct world *w)
{
	return w->applies >= 3;
}

static void test_switch_restart(struct world *w, gconstpointer data)
{
	bring_up(w);
	unsigned before = w->applies;
	world_stop_switch(w);
	world_run(50);
	w->generation += 1000;
	json_object_set_new(w->state, "generation", json_integer(w->generation));
	w->applies = 2;
	world_start_switch(w);
	world_wait(w, "the new switch is told, above what it knew", applied_three_times);
	g_assert_cmpuint(before, >=, 1);
	g_assert_true(is_running(w));
}

static bool is_told(struct world *w)
{
	return w->applies >= 1;
}

static void test_switch_away(struct world *w, gconstpointer data)
{
	world_start_agent(w, false);
	agent_take_goal(w->agent, world_goal(1, false));
	world_wait(w, "the switch is told", is_told);
	world_stop_switch(w);
	world_run(300);
	int64_t before = w->generation;
	w->applies = 0;
	world_start_switch(w);
	world_wait(w, "the switch is told again", is_told);
	g_assert_cmpint(w->generation, <=, before + 3);
}

static void test_switch_refuses(struct world *w, gconstpointer data)
{
	bring_up(w);
	int64_t before = w->generation;
	w->refuse_apply = true;
	agent_take_goal(w->agent, world_goal(2, true));
	struct goal *goal = world_goal(3, true);
	world_add_vm(goal);
	agent_take_goal(w->agent, goal);
	world_run(300);
	g_assert_false(is_applied(w));
	w->refuse_apply = false;
	goal = world_goal(4, false);
	world_vm(goal)->power = POWER_STOPPED;
	agent_take_goal(w->agent, goal);
	world_wait(w, "the next state is taken", is_applied);
	g_assert_cmpint(w->generation, <=, before + 4);
}

static void test_deaf_guest(struct world *w, gconstpointer data)
{
	g_autofree char *message = NULL, *fault = NULL;

	w->guest_is_deaf = true;
	bring_up(w);
	fault = fault_of(w, &message);
	g_assert_null(fault);
	g_assert_nonnull(strstr(message, "nic-4"));
	w->guest_is_deaf = false;
	world_run(100);
	g_free(message);
	g_free(fault);
	fault = fault_of(w, &message);
	g_assert_null(message);
}

static bool is_up(struct world *w)
{
	return world_power(w, WORLD_VM) == POWER_STATE_RUNNING;
}

/* A look at the switch each eager_ms would be 400. */
static void test_slow_guest(struct world *w, gconstpointer data)
{
	w->config.times.port_ms = 60000;
	w->config.times.idle_ms = 1000;
	w->guest_is_deaf = true;
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal(1, false));
	world_run(2000);
	unsigned looks = w->looks;
	g_assert_cmpuint(looks, >=, 8);
	g_assert_cmpuint(looks, <=, 60);
	w->guest_is_deaf = false;
	world_wait(w, "the guest is seen", is_up);
	g_assert_cmpuint(w->looks, <=, looks + 2);
}

static void test_bad_rule(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal(2, false);
	g_autofree char *rules =
		g_strdup("{\"uid\": \"g\", \"name\": \"group\", \"rules\": [{\"name\": \"odd\", "
			 "\"priority\": 100, \"source\": "
			 "{\"addresses\": [\"Nowhere\"]}, \"destination\": {\"addresses\": [\"*\"]}}]}");
	json_auto_t *json = json_loads(rules, 0, NULL);
	unsigned before;

	bring_up(w);
	before = w->applies;
	goal->groups = shape_list_new(&goal_group_shape);
	g_ptr_array_add(goal->groups, shape_decode(&goal_group_shape, json, SHAPE_STRICT, NULL));
	agent_take_goal(w->agent, goal);
	world_run(150);
	g_assert_cmpuint(w->applies, ==, before);
	g_assert_false(is_applied(w));
	agent_take_goal(w->agent, world_goal(3, false));
	world_wait(w, "the next goal is in force", is_applied);
}

static const char *reason_of(const struct report *report, const char *nic)
{
	for (guint i = 0; i < list_length(report->nics); i++) {
		const struct report_nic *entry = report->nics->pdata[i];
		if (g_str_equal(entry->uid, nic))
			return entry->path == PATH_NONE ? entry->reason : NULL;
	}
	return NULL;
}

static void test_bad_nic(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal(1, false);

	world_add_vm(goal);
	struct goal_nic *nic = goal->nics->pdata[1];
	struct goal_address *address = nic->addresses->pdata[0];
	g_free(address->public_ip);
	address->public_ip = g_strdup("203.0.113.4");
	world_start_agent(w, false);
	agent_take_goal(w->agent, goal);
	world_wait(w, "the goal is in force but for that NIC", is_applied);
	world_wait(w, "the other VM runs", is_running);
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	g_assert_null(reason_of(report, WORLD_NIC));
	g_assert_nonnull(strstr(reason_of(report, WORLD_NIC_2), "203.0.113.4 is another's"));
	goal = world_goal(2, false);
	world_add_vm(goal);
	agent_take_goal(w->agent, goal);
	world_wait(w, "both run once it is right", both_run);
}

/* ---- faults and death ---- */

static void write_memory(struct world *w, const char *available)
{
	g_autofree char *path = g_build_filename(w->folder, "meminfo", NULL);
	g_autofree char *text = g_strdup_printf("MemTotal: 67108864 kB\nMemAvailable: %s kB\n", available);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void test_admission(struct world *w, gconstpointer data)
{
	g_autofree char *message = NULL, *fault = NULL;

	write_memory(w, "1048576");
	world_start_agent(w, false);
	agent_take_goal(w->agent, world_goal(1, false));
	world_wait(w, "a fault is reported", has_fault);
	fault = fault_of(w, &message);
	g_assert_cmpstr(fault, ==, "allocation");
	g_assert_nonnull(strstr(message, "1024 MiB"));
	g_assert_cmpint(world_power(w, WORLD_VM), ==, POWER_STATE_STOPPED);
	write_memory(w, "33554432");
	world_wait(w, "the VM runs once there is memory", is_running);
}

/* The same of the VM as before, once more. */
static struct goal *repeated(int64_t version)
{
	struct goal *goal = world_goal(version, false);

	world_vm(goal)->generation = version;
	return goal;
}

static void test_repeated_command(struct world *w, gconstpointer data)
{
	write_memory(w, "1048576");
	w->config.times.retry_ms = w->config.times.retry_max_ms = 60000;
	world_start_agent(w, false);
	agent_take_goal(w->agent, repeated(1));
	world_wait(w, "a fault is reported", has_fault);
	write_memory(w, "33554432");
	world_run(100);
	g_assert_true(has_fault(w));
	agent_take_goal(w->agent, repeated(2));
	g_assert_false(has_fault(w)); /* it was about the goal before */
	world_wait(w, "the VM runs without the rest of the pause", is_running);
}

static gboolean repeat_during_start(void *data)
{
	struct world *w = data;

	if (!w->half_started)
		return G_SOURCE_CONTINUE;
	agent_take_goal(w->agent, repeated(2));
	return G_SOURCE_REMOVE;
}

static bool runs_without_fault(struct world *w)
{
	g_assert_false(has_fault(w));
	return is_running(w);
}

static void test_goal_during_failure(struct world *w, gconstpointer data)
{
	w->half_starts = 1;
	w->config.times.retry_ms = w->config.times.retry_max_ms = 60000;
	world_start_agent(w, false);
	agent_take_goal(w->agent, repeated(1));
	g_timeout_add(10, repeat_during_start, w); /* a start that will fail */
	world_wait(w, "the VM runs by a try of its own", runs_without_fault);
	g_assert_cmpuint(count(w, "start " WORLD_VM), ==, 2);
}

static void test_crash(struct world *w, gconstpointer data)
{
	bring_up(w);
	w->config.times.retry_ms = 200;
	vm_fake_crash(w->machines, WORLD_VM);
	world_wait(w, "the death is reported", is_stopped);
	world_wait(w, "the VM runs again", is_running);
	g_assert_cmpuint(count(w, "start " WORLD_VM), ==, 2);
}

/* It runs and dies, with a pause before its next start that is longer than the test. */
static void die(struct world *w, void (*how)(struct vm_manager *manager, const char *uid))
{
	w->config.times.retry_ms = w->config.times.retry_max_ms = 60000;
	bring_up(w);
	how(w->machines, WORLD_VM);
	world_wait(w, "the death is reported", is_stopped);
}

static void test_command_ends_pause(struct world *w, gconstpointer data)
{
	die(w, vm_fake_crash);
	agent_take_goal(w->agent, world_goal(2, false)); /* about something else */
	world_run(100);
	g_assert_true(is_stopped(w));
	agent_take_goal(w->agent, repeated(3));
	world_wait(w, "the VM runs without the rest of the pause", is_running);
}

/* Without a function it is as it is until its next start, unless it is to be off: then it ends. */
static void test_freeze(struct world *w, gconstpointer data)
{
	die(w, vm_fake_freeze);
	world_run(100);
	g_assert_cmpint(world_machine(w, WORLD_VM), ==, VM_CRASHED);
	world_forget(w);
	deallocate(w, world_goal(2, false));
	g_assert_cmpint(world_machine(w, WORLD_VM), ==, VM_STOPPED);
	world_run(200);
	g_assert_cmpuint(count(w, "stop " WORLD_VM), ==, 1);
}

/* What a look finds crashed after that is known to be over. */
static void test_crash_deallocated(struct world *w, gconstpointer data)
{
	die(w, vm_fake_crash);
	deallocate(w, world_goal(2, false));
	world_run(200);
	g_assert_cmpint(world_machine(w, WORLD_VM), ==, VM_CRASHED);
	g_assert_cmpuint(count(w, "stop " WORLD_VM), ==, 1);
}

static bool is_left_alone(struct world *w)
{
	g_autofree char *message = NULL, *fault = fault_of(w, &message);

	if (world_machine(w, WORLD_VM) == VM_RUNNING && is_running(w))
		vm_fake_crash(w->machines, WORLD_VM);
	return message && strstr(message, "left alone");
}

static void test_crash_loop(struct world *w, gconstpointer data)
{
	struct goal *again = repeated(2), *goal = world_goal(3, false);

	bring_up(w);
	world_wait(w, "a VM that keeps dying is left alone", is_left_alone);
	world_vm(again)->restarts = 1;
	agent_take_goal(w->agent, again);
	world_wait(w, "a command starts it", is_running);
	world_wait(w, "it is left alone after as many deaths", is_left_alone);
	g_assert_cmpuint(count(w, "start " WORLD_VM), ==, 2 * (AGENT_DEATHS_MAX + 1));
	world_stop_agent(w);
	world_start_agent(w, false);
	world_run(150);
	g_assert_cmpint(world_machine(w, WORLD_VM), ==, VM_CRASHED);
	world_vm(goal)->restarts = 2;
	agent_take_goal(w->agent, goal);
	world_wait(w, "a restart that is asked for starts it", is_running);
}

static void test_start_fails_late(struct world *w, gconstpointer data)
{
	w->half_starts = 1;
	bring_up(w);
	g_assert_cmpuint(count(w, "start " WORLD_VM), ==, 2);
}

static void test_power_off_in_guest(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal(2, false), *again = world_goal(3, false);
	g_autofree char *message = NULL, *fault = NULL;

	bring_up(w);
	g_assert_true(w->machines->ops->stop(w->machines, WORLD_VM, 0, NULL));
	world_wait(w, "the VM is reported stopped", is_stopped);
	world_run(150);
	g_assert_cmpint(world_machine(w, WORLD_VM), ==, VM_STOPPED);
	fault = fault_of(w, &message);
	g_assert_null(fault);
	g_assert_nonnull(strstr(message, "powered itself off"));
	world_vm(goal)->power = POWER_STOPPED;
	agent_take_goal(w->agent, goal);
	world_run(100);
	agent_take_goal(w->agent, again);
	world_wait(w, "off and on again starts it", is_running);
}

/* ---- the agent goes and comes ---- */

static void test_agent_restart(struct world *w, gconstpointer data)
{
	bring_up(w);
	world_stop_agent(w);
	g_assert_cmpint(world_machine(w, WORLD_VM), ==, VM_RUNNING);
	unsigned starts = count(w, "start " WORLD_VM);
	world_start_agent(w, false);
	world_wait(w, "the VM is found running, from the stored goal", is_running);
	world_run(100);
	g_assert_cmpuint(count(w, "start " WORLD_VM), ==, starts);
	g_assert_cmpuint(count(w, "stop " WORLD_VM), ==, 0);
}

static void test_host_reboot(struct world *w, gconstpointer data)
{
	bring_up(w);
	world_stop_agent(w);
	g_assert_true(w->machines->ops->stop(w->machines, WORLD_VM, 0, NULL));
	world_start_agent(w, false);
	world_wait(w, "a VM that was meant to run is started", is_running);
}

static void test_two(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal(1, false), *next = world_goal(2, false);

	world_add_vm(goal);
	world_add_vm(next);
	world_start_agent(w, false);
	agent_take_goal(w->agent, goal);
	world_wait(w, "both VMs run", both_run);
	world_vm(next)->power = POWER_STOPPED;
	agent_take_goal(w->agent, next);
	world_wait(w, "one is stopped", is_stopped);
	g_assert_cmpint(world_power(w, WORLD_VM_2), ==, POWER_STATE_RUNNING);
	g_assert_cmpuint(count(w, "stop " WORLD_VM_2), ==, 0);
}

static void test_damaged_ledger(struct world *w, gconstpointer data)
{
	g_autofree char *path = g_build_filename(w->folder, "agent.json", NULL);
	g_autoptr(GError) error = NULL;

	g_assert_true(g_file_set_contents(path, "{\"vms\": 3}", -1, NULL));
	g_assert_null(agent_new(&w->config, &error));
	g_assert_error(error, FAULT, FAULT_INTERNAL);
	g_assert_nonnull(strstr(error->message, path));
}

static void add(const char *name, void (*fn)(struct world *, gconstpointer))
{
	g_test_add(name, struct world, NULL, setup, fn, teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/agent/a VM is defined, then the switch has its port, then it is started", test_start);
	add("/agent/a deallocated VM keeps its disk and can be started again", test_deallocate);
	add("/agent/a stopped VM keeps its port in the switch", test_stop);
	add("/agent/each step of the restart count restarts once, repeated goals do not", test_restart);
	add("/agent/a VM that gets a new disk is removed and defined anew, once", test_reimage);
	add("/agent/one that is off gets it when it is started", test_reimage_deallocated);
	add("/agent/a VM that is resized is defined anew by its restart, and not before", test_resize);
	add("/agent/a VM that is resized while deallocated starts with its new size",
		test_resize_deallocated);
	add("/agent/a removed VM is stopped, removed and reported absent", test_remove);
	add("/agent/a VM that was never here is reported absent when it is to be removed",
		test_remove_unknown);
	add("/agent/a VM that the goal does not name is stopped, its disk stays", test_unnamed);
	add("/agent/a goal of another store, or of one that was set back, is followed", test_other_store);
	add("/agent/no VM is started before the switch confirms its port", test_no_switch);
	add("/agent/a switch that was restarted is told again, with a higher generation",
		test_switch_restart);
	add("/agent/a switch that is away uses up no generations", test_switch_away);
	add("/agent/a state that the switch refuses is not offered again and again", test_switch_refuses);
	add("/agent/a guest that sets no NIC up is reported running, with a sentence", test_deaf_guest);
	add("/agent/the longer a guest boots, the less often the switch is asked for it", test_slow_guest);
	add("/agent/a rule that is not understood leaves the switch as it is", test_bad_rule);
	add("/agent/a NIC that the switch would refuse is reported, all else goes on", test_bad_nic);
	add("/agent/a VM for which memory is missing is refused with the numbers, and tried again",
		test_admission);
	add("/agent/a command that is repeated is tried at once, and answered by that try",
		test_repeated_command);
	add("/agent/a failure of what was begun for an older goal is not told of the new one",
		test_goal_during_failure);
	add("/agent/a VM that crashes is reported and started again", test_crash);
	add("/agent/a command starts a VM that crashed at once", test_command_ends_pause);
	add("/agent/a VM whose disk failed is ended when it is to be off", test_freeze);
	add("/agent/a VM that crashed is ended once when it is to be off", test_crash_deallocated);
	add("/agent/a VM that keeps crashing is left alone until a restart is asked for", test_crash_loop);
	add("/agent/a start that fails when the machine seemed to run is tried again", test_start_fails_late);
	add("/agent/a guest that powers itself off stays off until off and on again",
		test_power_off_in_guest);
	add("/agent/an agent that comes back finds VMs running and leaves them alone", test_agent_restart);
	add("/agent/VMs that the host's reboot ended are started", test_host_reboot);
	add("/agent/two VMs do not disturb each other", test_two);
	add("/agent/a damaged ledger is refused by its name", test_damaged_ledger);
	return g_test_run();
}
