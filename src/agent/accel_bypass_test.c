/* Acceleration by functions that pass the host: the order of their steps, who hears which MAC, who may have one. */
#include "agent/agent_priv.h"
#include "agent/test_bypass.h"
#include "base/fault.h"

#include <string.h>

/* ---- the order ---- */

static void test_attach(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	world_expect(w, SYNTHETIC, "start " WORLD_VM, CLAIM, BESIDE, ARM, BOTH, PLUG, FUNCTION, NULL);
	g_autofree char *file = bypass_read_file(w, WORLD_VF);
	g_assert_cmpstr(file, ==, "armed " PLACE " 500\n");
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	g_assert_cmpint(bypass_entry_of(report, WORLD_NIC)->enforcement, ==, ENFORCEMENT_HARDWARE);
	g_assert_null(bypass_entry_of(report, WORLD_NIC)->reason);
}

static void test_take_back(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	world_forget(w);
	agent_take_goal(w->agent, world_goal_physical(2, false));
	world_wait(w, "the function is taken back", bypass_is_back);
	world_expect(w, BOTH, UNPLUG, BESIDE, SYNTHETIC, RELEASE, NULL);
	world_expect(w, UNPLUG, LEFT, RELEASE, NULL);
	g_assert_cmpint(world_find(w, ARM, 0), <, 0);
	g_assert_cmpint(bypass_enforcement(w), ==, ENFORCEMENT_SWITCH);
}

static bool has_left(struct world *w)
{
	return world_find(w, LEFT, 0) >= 0;
}

/* The guest gives the device away by itself while the switch is not there. */
static void test_left_at_once(struct world *w, gconstpointer data)
{
	const struct vm_primary primary = {.nic_uid = WORLD_NIC, .pci = WORLD_VF};

	bypass_bring_up(w);
	world_stop_switch(w);
	world_forget(w);
	g_assert_true(w->machines->ops->unplug(w->machines, WORLD_VM, &primary, 0, NULL));
	world_wait(w, "its MAC is cleared though the switch is away", has_left);
	world_run(50);
	g_assert_cmpint(world_find(w, RELEASE, 0), <, 0);
	world_start_switch(w);
	world_wait(w, "it is attached again", bypass_is_on);
	world_expect(w, LEFT, RELEASE, CLAIM, ARM, PLUG, NULL);
}

static void test_crash(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	world_forget(w);
	vm_fake_crash(w->machines, WORLD_VM);
	world_wait(w, "it runs and is accelerated again", bypass_is_on);
	world_expect(w, LEFT, RELEASE, "start " WORLD_VM, CLAIM, BESIDE, ARM, BOTH, PLUG, FUNCTION, NULL);
	g_assert_cmpint(world_find(w, UNPLUG, 0), <, 0);
}

/* ---- machines that are held still, as their disk fails ---- */

static bool is_seen_frozen(struct world *w)
{
	return vm_machine_may_linger(g_hash_table_lookup(w->agent->machines, WORLD_VM));
}

/* The agent has seen it, and can do nothing yet. Its pauses are long, so that nothing that is waited for comes by them. */
static struct vm_machine *freeze(struct world *w)
{
	w->config.times.retry_ms = w->config.times.retry_max_ms = 60000;
	bypass_bring_up(w);
	world_forget(w);
	struct vm_machine *machine = g_hash_table_lookup(w->agent->machines, WORLD_VM);
	g_assert_true(vm_machine_hold(machine));
	vm_fake_freeze(w->machines, WORLD_VM);
	world_wait(w, "the agent sees it", is_seen_frozen);
	return machine;
}

static void go_on(struct world *w, struct vm_machine *machine)
{
	vm_machine_unhold(machine);
	agent_kick(w->agent);
}

static bool is_given_back(struct world *w)
{
	return world_find(w, RELEASE, 0) >= 0 && bypass_nothing_is_claimed(w);
}

/* The process, which has the function open, before what the host does to the function. */
static void expect_ended_first(struct world *w)
{
	world_expect(w, "stop " WORLD_VM, LEFT, RELEASE, NULL);
	g_assert_cmpint(world_find(w, "stop " WORLD_VM, 0), <, world_find(w, LEFT, 0));
	g_assert_cmpint(world_find(w, UNPLUG, 0), <, 0);
}

static void test_frozen(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	world_forget(w);
	vm_fake_freeze(w->machines, WORLD_VM);
	world_wait(w, "it runs and is accelerated again", bypass_is_on);
	expect_ended_first(w);
	world_expect(w, LEFT, RELEASE, "start " WORLD_VM, CLAIM, BESIDE, ARM, BOTH, PLUG, FUNCTION, NULL);
}

static void test_frozen_pause(struct world *w, gconstpointer data)
{
	go_on(w, freeze(w));
	world_wait(w, "its function is given back before its next start is due", is_given_back);
	expect_ended_first(w);
	g_assert_cmpint(world_find(w, "start " WORLD_VM, 0), <, 0);
	g_assert_cmpint(world_power(w, WORLD_VM), ==, POWER_STATE_STOPPED);
	g_assert_cmpint(world_machine(w, WORLD_VM), ==, VM_STOPPED);
}

/* Nothing is done to the function while the machine cannot be ended, and it is not said to be off. Copies may go to both, as
 * its guest is silent. */
static void test_frozen_held(struct world *w, gconstpointer data)
{
	struct vm_machine *machine = freeze(w);

	world_run(200);
	g_assert_true(vm_machine_may_linger(machine));
	g_assert_false(vm_machine_is_off(machine));
	g_assert_cmpint(world_find(w, LEFT, 0), <, 0);
	g_assert_cmpint(world_find(w, UNPLUG, 0), <, 0);
	go_on(w, machine);
	world_wait(w, "its function is given back", is_given_back);
	expect_ended_first(w);
}

static bool is_deallocated(struct world *w)
{
	return world_power(w, WORLD_VM) == POWER_STATE_DEALLOCATED && bypass_nothing_is_claimed(w);
}

static void test_frozen_deallocated(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal_physical(2, true);
	struct vm_machine *machine = freeze(w);

	world_vm(goal)->power = POWER_DEALLOCATED;
	agent_take_goal(w->agent, goal);
	world_run(100);
	g_assert_cmpint(world_power(w, WORLD_VM), ==, POWER_STATE_DEALLOCATING);
	go_on(w, machine);
	world_wait(w, "it is deallocated", is_deallocated);
	expect_ended_first(w);
	g_assert_cmpint(world_machine(w, WORLD_VM), ==, VM_STOPPED);
	agent_take_goal(w->agent, world_goal_physical(3, true));
	world_wait(w, "it is accelerated again", bypass_is_on);
}

static bool is_removed(struct world *w)
{
	return world_machine(w, WORLD_VM) == VM_ABSENT && bypass_nothing_is_claimed(w);
}

static void test_frozen_removed(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal_physical(2, true);
	struct vm_machine *machine = freeze(w);

	world_vm(goal)->remove = true;
	agent_take_goal(w->agent, goal);
	go_on(w, machine);
	world_wait(w, "it is removed", is_removed);
	expect_ended_first(w);
	world_expect(w, RELEASE, "remove " WORLD_VM, NULL);
}

/* Also what an agent before this one has left so. */
static void test_frozen_without_agent(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	world_stop_agent(w);
	vm_fake_freeze(w->machines, WORLD_VM);
	world_forget(w);
	world_start_agent(w, true);
	world_wait(w, "it runs and is accelerated again", bypass_is_on);
	expect_ended_first(w);
}

static void test_not_armed_twice(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	world_stop_agent(w);
	world_forget(w);
	world_start_agent(w, true);
	world_run(300);
	g_assert_cmpint(bypass_path_of(w, WORLD_NIC), ==, PATH_VF);
	g_assert_cmpint(world_find(w, ARM, 0), <, 0);
	g_assert_cmpint(world_find(w, PLUG, 0), <, 0);
}

static void test_strays(struct world *w, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *name = NULL;
	struct nic_provider *provider = nic_fake_open_bypass(w->folder, 2, NULL, NULL, &error);
	const struct nic_request request = {.nic = "nobody's", .physical = "physnet1", .vlan = 7};

	g_assert_true(provider->ops->claim(provider, &request, &name, &error));
	g_assert_true(provider->ops->arm(provider, request.nic, &error));
	nic_provider_close(provider);
	world_start_agent(w, true);
	world_expect(w, LEFT, RELEASE, NULL);
	g_assert_true(bypass_nothing_is_claimed(w));
}

/* ---- functions that leave unseen ---- */

/* The guest has no function any more, and gets another. */
static void gets_another(struct world *w, const char *what)
{
	world_wait(w, what, bypass_is_on);
	world_expect(w, LEFT, RELEASE, CLAIM, ARM, PLUG, FUNCTION, NULL);
	g_assert_cmpint(world_find(w, UNPLUG, 0), <, 0);
}

static void test_left_without_agent(struct world *w, gconstpointer data)
{
	const struct vm_primary primary = {.nic_uid = WORLD_NIC, .pci = WORLD_VF};

	bypass_bring_up(w);
	world_stop_agent(w);
	g_assert_true(w->machines->ops->unplug(w->machines, WORLD_VM, &primary, 0, NULL));
	world_run(20);
	world_forget(w);
	world_start_agent(w, true);
	gets_another(w, "the next agent sees that it has left");
}

/* Nobody says so; the agent goes on as it was. */
static void lose_unseen(struct world *w)
{
	bypass_bring_up(w);
	vm_fake_drop_primary(w->machines, WORLD_VM, WORLD_NIC);
	world_run(200);
	g_assert_cmpint(world_find(w, LEFT, 0), <, 0);
	world_forget(w);
}

static void test_left_without_manager(struct world *w, gconstpointer data)
{
	lose_unseen(w);
	vm_fake_come_back(w->machines);
	gets_another(w, "the VM manager, which was away, is asked");
}

static void test_left_unopened(struct world *w, gconstpointer data)
{
	lose_unseen(w);
	bypass_touch(w, "unopened");
	world_wait(w, "the VM manager is asked about a function that nobody has open", has_left);
	bypass_untouch(w, "unopened");
	gets_another(w, "its NIC gets another");
}

/* It is asked again and again, and says that all is well. */
static void test_unopened(struct world *w, gconstpointer data)
{
	bypass_touch(w, "unopened");
	bypass_bring_up(w);
	world_run(300);
	g_assert_true(bypass_is_on(w));
	g_assert_cmpint(world_find(w, LEFT, 0), <, 0);
}

/* The machine is still about something else. */
static void test_left_while_held(struct world *w, gconstpointer data)
{
	const struct vm_primary primary = {.nic_uid = WORLD_NIC, .pci = WORLD_VF};

	bypass_bring_up(w);
	struct vm_machine *machine = g_hash_table_lookup(w->agent->machines, WORLD_VM);
	g_assert_true(vm_machine_hold(machine));
	world_forget(w);
	g_assert_true(w->machines->ops->unplug(w->machines, WORLD_VM, &primary, 0, NULL));
	world_run(100);
	g_assert_cmpint(world_find(w, LEFT, 0), <, 0);
	vm_machine_unhold(machine);
	gets_another(w, "it is asked once it is not");
}

/* The word of it comes before that of its plugging. */
static void test_left_at_plug(struct world *w, gconstpointer data)
{
	w->drops_next = true;
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal_physical(1, true));
	gets_another(w, "the next one stays");
	g_assert_false(w->drops_next);
}

/* ---- what the host hears ---- */

static void test_heard(struct world *w, gconstpointer data)
{
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal_physical(1, false));
	world_wait(w, "the gateway and the NIC are heard", bypass_hears_both);
	agent_take_goal(w->agent, world_goal_physical(2, true));
	world_wait(w, "the NIC is on its function", bypass_is_on);
	g_assert_true(bypass_heard_is(w, GATEWAY));
	agent_take_goal(w->agent, world_goal_physical(3, false));
	world_wait(w, "the NIC is heard again", bypass_hears_both);
}

static bool waits_for_filters(struct world *w)
{
	return bypass_reason_has(w, WORLD_NIC, "fail-hear");
}

static void test_deaf(struct world *w, gconstpointer data)
{
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal_physical(1, false));
	world_wait(w, "the NIC is heard", bypass_hears_both);
	bypass_touch(w, "fail-hear");
	agent_take_goal(w->agent, world_goal_physical(2, true));
	world_wait(w, "it says why it waits", waits_for_filters);
	world_run(200);
	g_assert_cmpint(world_find(w, ARM, 0), <, 0);
	bypass_untouch(w, "fail-hear");
	world_wait(w, "the NIC is on its function", bypass_is_on);
}

static bool has_condition(struct world *w)
{
	json_auto_t *conditions = agent_conditions(w->agent);
	const char *text = json_string_value(json_array_get(conditions, 0));

	return text && strstr(text, "find no room");
}

static bool is_on_and_full(struct world *w)
{
	return bypass_is_on(w) && has_condition(w);
}

static bool hears_all(struct world *w)
{
	json_auto_t *conditions = agent_conditions(w->agent);

	return bypass_heard_is(w, GATEWAY "physnet1 100 00:0d:3a:00:00:05\n") &&
	       json_array_size(conditions) == 0;
}

static void make_room_for_one(struct world *w)
{
	g_autofree char *path = g_build_filename(w->folder, "hear-room", NULL);

	g_assert_true(g_file_set_contents(path, "1", -1, NULL));
}

static void test_no_room(struct world *w, gconstpointer data)
{
	make_room_for_one(w);
	world_start_agent(w, true);
	agent_take_goal(w->agent, bypass_two_nics(1, true, false));
	world_wait(w, "the NIC is on its function, and what is missing is told", is_on_and_full);
	g_assert_true(bypass_heard_is(w, GATEWAY));
	bypass_untouch(w, "hear-room");
	world_wait(w, "the other NIC is heard", hears_all);
}

/* Each of the lists is told once, however long the pauses between tries are. */
static void test_no_room_pauses(struct world *w, gconstpointer data)
{
	make_room_for_one(w);
	w->config.times.retry_ms = w->config.times.retry_max_ms = 60000;
	world_start_agent(w, true);
	agent_take_goal(w->agent, bypass_two_nics(1, true, false));
	world_wait(w, "the NIC is on its function, and what is missing is told", is_on_and_full);
}

/* ---- what fails ---- */

static bool cannot_arm(struct world *w)
{
	return bypass_reason_has(w, WORLD_NIC, "fail-arm") && world_find(w, RELEASE, 0) >= 0;
}

static void test_arm_fails(struct world *w, gconstpointer data)
{
	bypass_touch(w, "fail-arm");
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal_physical(1, true));
	world_wait(w, "it is given back", cannot_arm);
	world_expect(w, CLAIM, ARM, LEFT, RELEASE, NULL);
	g_assert_cmpint(world_find(w, PLUG, 0), <, 0);
	bypass_untouch(w, "fail-arm");
	world_wait(w, "the NIC is on its function", bypass_is_on);
}

static void test_left_fails(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	bypass_touch(w, "fail-left");
	world_forget(w);
	agent_take_goal(w->agent, world_goal_physical(2, false));
	world_wait(w, "it is tried", has_left);
	world_run(200);
	g_assert_cmpint(world_find(w, RELEASE, 0), <, 0);
	bypass_untouch(w, "fail-left");
	world_wait(w, "it is released", bypass_nothing_is_claimed);
}

/* ---- who may have one ---- */

static void stays_synthetic(struct world *w, struct goal *goal, const char *reason)
{
	agent_take_goal(w->agent, goal);
	world_run(200);
	g_assert_cmpint(world_find(w, CLAIM, 0), <, 0);
	if (!bypass_reason_has(w, WORLD_NIC, reason)) {
		_cleanup_(report_free) struct report *report = agent_report(w->agent);
		g_error("'%s' is not the reason: %s", reason, bypass_entry_of(report, WORLD_NIC)->reason);
	}
}

static void test_refused(struct world *w, gconstpointer data)
{
	struct goal *closed = world_goal_physical(2, true), *wanted = world_goal_physical(3, true);
	struct goal *standard = world_goal_physical(4, true), *elsewhere = world_goal_physical(5, true);
	struct goal_network *network = elsewhere->networks->pdata[0];
	struct goal_address *address = world_nic(standard)->addresses->pdata[0];

	world_add_rules(closed, RULE("allow", "tcp"));
	world_add_rules(wanted, RULE("allow", "tcp"));
	world_nic(wanted)->guest_enforcement = true;
	address->public_ip = g_strdup("203.0.113.4");
	g_free(network->physical);
	network->physical = g_strdup("physnet2");
	world_start_agent(w, true);
	stays_synthetic(w, world_goal(1, true), "vxlan");
	stays_synthetic(w, closed, "operator and NIC have not both");
	stays_synthetic(w, wanted, guest_policy_sentence(w->agent, WORLD_NIC));
	stays_synthetic(w, standard, "security groups");
	stays_synthetic(w, elsewhere, "physnet2");
}

/* As the guest's tool does by the metadata service. */
static void guest_reports(struct world *w, bool did)
{
	struct guest_policies *policies = agent_guest_policies(w->agent);
	g_autoptr(GError) error = NULL;
	json_auto_t *report = json_pack("{s:s, s:b, s:s}", "hash", guest_policies_hash(policies, WORLD_NIC),
		"applied", did, "error", "there is no nft");

	guest_policies_report(policies, WORLD_NIC, report, &error);
	g_assert_no_error(error);
}

static struct goal *guarded_goal(int64_t version, const char *protocol)
{
	g_autofree char *rule = g_strdup_printf(RULE("allow", "%s"), protocol);
	struct goal *goal = world_goal_physical(version, true);

	world_add_rules(goal, rule);
	world_nic(goal)->guest_enforcement = true;
	return goal;
}

/* Without its guest's word the NIC gets no function, keeps the one that it has while a change is followed, and loses it by a
 * refusal or a reboot. */
static void test_guest(struct world *w, gconstpointer data)
{
	world_start_agent(w, true);
	agent_take_goal(w->agent, guarded_goal(1, "tcp"));
	world_wait(w, "the NIC is there", bypass_is_back);
	world_run(200);
	g_assert_true(bypass_is_back(w));
	guest_reports(w, true);
	world_wait(w, "the VF is active", bypass_is_on);
	g_assert_cmpint(bypass_enforcement(w), ==, ENFORCEMENT_GUEST);
	agent_take_goal(w->agent, guarded_goal(2, "udp"));
	world_run(200);
	g_assert_true(bypass_is_on(w));
	g_assert_cmpint(bypass_enforcement(w), ==, ENFORCEMENT_NONE);
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	g_assert_null(bypass_entry_of(report, WORLD_NIC)->reason);
	g_autofree char *exposed = bypass_exposure(w, WORLD_NIC);
	g_assert_nonnull(strstr(exposed, "by other rules"));
	guest_reports(w, true);
	g_assert_cmpint(bypass_enforcement(w), ==, ENFORCEMENT_GUEST);
	g_autofree char *none = bypass_exposure(w, WORLD_NIC);
	g_assert_null(none);
	g_assert_cmpint(world_find(w, UNPLUG, 0), <, 0);
	w->reboot = true;
	world_wait(w, "the VF is taken from a guest that starts anew", bypass_is_back);
	w->reboot = false;
	world_run(200);
	g_assert_true(bypass_is_back(w));
	guest_reports(w, false);
	g_assert_true(bypass_reason_has(w, WORLD_NIC, "there is no nft"));
}

static void test_open_group(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal_physical(1, true);

	world_add_rules(goal, RULE("allow", "any"));
	world_start_agent(w, true);
	agent_take_goal(w->agent, goal);
	world_wait(w, "the NIC is on its function", bypass_is_on);
	g_assert_cmpint(bypass_enforcement(w), ==, ENFORCEMENT_HARDWARE);
}

/* ---- scarcity ---- */

static bool one_waits(struct world *w)
{
	return bypass_path_of(w, WORLD_NIC) == PATH_VF && bypass_reason_has(w, WORLD_NIC_2, "in use");
}

static bool second_is_on(struct world *w)
{
	return bypass_path_of(w, WORLD_NIC_2) == PATH_VF;
}

static void test_full(struct world *w, gconstpointer data)
{
	w->vfs = 1;
	w->config.times.retry_ms = w->config.times.retry_max_ms = 60000;
	bypass_bring_up(w);
	agent_take_goal(w->agent, bypass_two_nics(2, true, true));
	world_wait(w, "the second NIC finds no function free", one_waits);
	g_assert_cmpint(bypass_path_of(w, WORLD_NIC_2), ==, PATH_SYNTHETIC);
	agent_take_goal(w->agent, bypass_two_nics(3, false, true));
	world_wait(w, "it gets the one that was freed", second_is_on);
	g_assert_cmpint(bypass_path_of(w, WORLD_NIC), ==, PATH_SYNTHETIC);
}

static bool is_driverless(struct world *w)
{
	return bypass_is_back(w) && bypass_reason_has(w, WORLD_NIC, "no driver");
}

static void test_no_driver(struct world *w, gconstpointer data)
{
	struct goal *restarted = world_goal_physical(2, true);

	w->has_no_driver = true;
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal_physical(1, true));
	world_wait(w, "its function is taken back", is_driverless);
	world_expect(w, PLUG, UNPLUG, LEFT, RELEASE, NULL);
	g_assert_cmpint(world_find(w, FUNCTION, 0), <, 0);
	world_forget(w);
	world_run(300);
	g_assert_cmpint(world_find(w, CLAIM, 0), <, 0);
	w->has_no_driver = false;
	world_vm(restarted)->restarts = 1;
	agent_take_goal(w->agent, restarted);
	world_wait(w, "with its next start it gets one", bypass_is_on);
}

static void test_set_down(struct world *w, gconstpointer data)
{
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal_physical(1, true));
	world_wait(w, "the function is on", bypass_is_on);
	world_forget(w);
	w->has_no_driver = true;
	world_wait(w, "its function is taken back", is_driverless);
	world_expect(w, BOTH, UNPLUG, LEFT, RELEASE, NULL);
}

static void test_chatter(struct world *w, gconstpointer data)
{
	w->chatters = true;
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal_physical(1, true));
	world_wait(w, "the function is on", bypass_is_on);
	world_forget(w);
	world_run(1500);
	world_expect(w, BOTH, FUNCTION, NULL);
	g_assert_cmpint(world_find(w, UNPLUG, 0), <, 0);
}

static void test_idle(struct world *w, gconstpointer data)
{
	w->guest_is_quiet = true;
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal_physical(1, true));
	world_run(1000);
	world_expect(w, PLUG, NULL);
	g_assert_cmpint(world_find(w, UNPLUG, 0), <, 0);
	g_assert_true(bypass_reason_has(w, WORLD_NIC, "sent nothing"));
	w->guest_is_quiet = false;
	world_wait(w, "its first frame makes the function active", bypass_is_on);
}

/* ---- what is told of functions ---- */

static const struct report_function *function_of(const struct report *report, const char *name)
{
	for (guint i = 0; i < report->functions->len; i++) {
		const struct report_function *function = report->functions->pdata[i];
		if (g_str_equal(function->name, name))
			return function;
	}
	return NULL;
}

static bool all_are_told(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	const struct report_function *used = function_of(report, WORLD_VF);

	return report->functions->len == 2 && used && g_strcmp0(used->state, "attached") == 0 && used->mac;
}

static void test_functions(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	world_wait(w, "the VF in use and the free one are in the report", all_are_told);
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	g_assert_cmpstr(report->physicals->pdata[0], ==, "physnet1");
	g_assert_cmpuint(report->physicals->len, ==, 1);
	const struct report_function *used = function_of(report, WORLD_VF);
	g_assert_cmpstr(used->nic, ==, WORLD_NIC);
	g_assert_cmpstr(used->vm, ==, WORLD_VM);
	g_assert_cmpstr(used->physical, ==, "physnet1");
	g_assert_cmpstr(used->pf, ==, "ens3");
	g_assert_cmpstr(used->mac, ==, "00:0d:3a:00:00:04");
	g_assert_cmpint(used->vlan, ==, 100);
	const struct report_function *other = function_of(report, "0000:3b:10.1");
	g_assert_cmpstr(other->state, ==, "free");
	g_assert_null(other->nic);
	g_assert_cmpint(other->index, ==, 1);
}

static bool is_repaired(struct world *w)
{
	return health_repairs(w->agent->health) == 1;
}

static void test_drift(struct world *w, gconstpointer data)
{
	g_autofree char *path = g_build_filename(w->folder, "drift", NULL);
	const char *sentence = "VF 0 of ens3 (NIC " WORLD_NIC "): its vlan was 7; it is 100 again";

	bypass_bring_up(w);
	g_assert_true(g_file_set_contents(path, sentence, -1, NULL));
	world_wait(w, "the repair is counted", is_repaired);
	g_assert_cmpstr(health_last_repair(w->agent->health), ==, sentence);
	json_auto_t *entry = accel_describe(g_hash_table_lookup(w->agent->accels, WORLD_NIC));
	g_assert_cmpstr(json_string_value(json_object_get(entry, "repaired")), ==, sentence);
	g_assert_cmpstr(json_string_value(json_object_get(entry, "pf")), ==, "ens3");
	json_auto_t *carried = json_pack("{s:i, s:i}", "rx_packets", 3, "tx_packets", 5);
	g_assert_true(json_equal(json_object_get(entry, "statistics"), carried));
	world_run(200);
	g_assert_cmpuint(health_repairs(w->agent->health), ==, 1);
}

static void add(const char *name, void (*fn)(struct world *, gconstpointer))
{
	g_test_add(name, struct world, NULL, bypass_setup, fn, bypass_teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/accel_bypass/attach: arm, then copies to both, then plug, then the first frame makes it active",
		test_attach);
	add("/accel_bypass/take back: copies to both, unplug, left, then the synthetic path, release",
		test_take_back);
	add("/accel_bypass/a function that left is told so at once, and released when the switch knows",
		test_left_at_once);
	add("/accel_bypass/a function that left while no agent was there is noticed by the next",
		test_left_without_agent);
	add("/accel_bypass/one that left while the VM manager was away is noticed when that is back",
		test_left_without_manager);
	add("/accel_bypass/one that nobody has open is asked about, and noticed when it has left",
		test_left_unopened);
	add("/accel_bypass/one that nobody has open stays when it is in its guest", test_unopened);
	add("/accel_bypass/one that leaves while its machine is busy is not forgotten", test_left_while_held);
	add("/accel_bypass/one that leaves while it is being plugged is not forgotten", test_left_at_plug);
	add("/accel_bypass/a machine that crashed has its function cleared and gets another", test_crash);
	add("/accel_bypass/a machine whose disk fails is ended before its function is cleared", test_frozen);
	add("/accel_bypass/which does not wait for its next start", test_frozen_pause);
	add("/accel_bypass/nothing is done to its function, and it is not off, while it cannot be ended",
		test_frozen_held);
	add("/accel_bypass/such a machine can be deallocated and started again", test_frozen_deallocated);
	add("/accel_bypass/and removed", test_frozen_removed);
	add("/accel_bypass/one that a new agent finds so is ended and started", test_frozen_without_agent);
	add("/accel_bypass/an agent that starts anew does not arm what is in a guest", test_not_armed_twice);
	add("/accel_bypass/functions that nobody knows are cleared and released at the start", test_strays);
	add("/accel_bypass/the host hears gateways and the NICs that no function has", test_heard);
	add("/accel_bypass/nothing is armed before the host has stopped hearing its MAC", test_deaf);
	add("/accel_bypass/where filters are full NICs get functions all the same, and what is missing is "
	    "told",
		test_no_room);
	add("/accel_bypass/no NIC waits for a pause between tries to hear the others", test_no_room_pauses);
	add("/accel_bypass/what cannot be armed is given back and tried again", test_arm_fails);
	add("/accel_bypass/what cannot be cleared is not released", test_left_fails);
	add("/accel_bypass/where the guest applies the rules it must say so, and again after each change and "
	    "start",
		test_guest);
	add("/accel_bypass/a NIC that may have none stays synthetic and says why", test_refused);
	add("/accel_bypass/a NIC whose groups allow everything gets one", test_open_group);
	add("/accel_bypass/a NIC that found none free gets the next that is freed", test_full);
	add("/accel_bypass/a guest without a driver loses its function until it starts anew", test_no_driver);
	add("/accel_bypass/a guest that sets its function down loses it, and not its packets", test_set_down);
	add("/accel_bypass/a guest that sends something by its standby now and then keeps its function",
		test_chatter);
	add("/accel_bypass/a guest that is idle keeps its function", test_idle);
	add("/accel_bypass/the report has all functions of the host, also the free ones", test_functions);
	add("/accel_bypass/what the provider repaired is counted and told of its NIC", test_drift);
	return g_test_run();
}
