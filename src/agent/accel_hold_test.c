/* Guests that hold on to functions that pass the host, and functions that cannot be given back. */
#include "agent/agent_priv.h"
#include "agent/test_bypass.h"

#include <string.h>

static bool is_applied(struct world *w)
{
	return bypass_applied(w) == 2;
}

static bool is_exposed(struct world *w)
{
	g_autofree char *reason = bypass_exposure(w, WORLD_NIC);

	return reason && bypass_enforcement(w) == ENFORCEMENT_NONE && world_find(w, UNPLUG, 0) >= 0;
}

static bool is_cut(struct world *w)
{
	g_autofree char *reason = bypass_exposure(w, WORLD_NIC), *file = bypass_read_file(w, WORLD_VF);

	return !reason && bypass_enforcement(w) == ENFORCEMENT_CUT && g_str_has_prefix(file, "cut ");
}

static struct goal *denying_goal(int64_t version)
{
	struct goal *goal = world_goal_physical(version, true);

	world_add_rules(goal, RULE("deny", "tcp"));
	return goal;
}

/* A guest that holds on has long to let go. */
static void test_rule_added(struct world *w, gconstpointer data)
{
	w->config.times.unplug_ms = 60000;
	bypass_bring_up(w);
	vm_fake_hold_primaries(w->machines, true);
	agent_take_goal(w->agent, denying_goal(2));
	world_wait(w, "nobody enforces the rule yet", is_exposed);
	g_autofree char *reason = bypass_exposure(w, WORLD_NIC);
	g_assert_nonnull(
		strstr(reason, "does not let go of function " WORLD_VF "; 'sluice vf revoke --force nic-4'"));
	world_run(200);
	g_assert_true(is_exposed(w));
	g_assert_true(json_array_size(json_object_get(w->state, "groups")) == 1);
	vm_fake_hold_primaries(w->machines, false);
	world_wait(w, "the function has left", bypass_is_back);
	g_autofree char *none = bypass_exposure(w, WORLD_NIC);
	g_assert_null(none);
	g_assert_cmpint(bypass_enforcement(w), ==, ENFORCEMENT_SWITCH);
	g_assert_true(bypass_reason_has(w, WORLD_NIC, "security groups"));
}

/* A process that starts with such a goal on disk says so too. */
static void test_rule_added_over_restart(struct world *w, gconstpointer data)
{
	w->config.times.unplug_ms = 60000;
	bypass_bring_up(w);
	vm_fake_hold_primaries(w->machines, true);
	agent_take_goal(w->agent, denying_goal(2));
	world_wait(w, "nobody enforces the rule yet", is_exposed);
	world_stop_agent(w);
	world_forget(w);
	world_start_agent(w, true);
	world_wait(w, "it is exposed still", is_exposed);
	vm_fake_hold_primaries(w->machines, false);
	world_wait(w, "its function is released", bypass_is_back);
}

/* Another machine's NIC, which no function has, gets a rule of its own. */
static void test_others_go_on(struct world *w, gconstpointer data)
{
	struct goal *goal = bypass_two_nics(2, true, false);

	world_add_rules(goal, RULE("deny", "tcp"));
	w->config.times.unplug_ms = 60000;
	bypass_bring_up(w);
	vm_fake_hold_primaries(w->machines, true);
	agent_take_goal(w->agent, goal);
	world_wait(w, "the host has applied it all", is_applied);
	world_wait(w, "its NIC does not follow", is_exposed);
	g_autofree char *other = bypass_exposure(w, WORLD_NIC_2);
	g_assert_null(other);
	vm_fake_hold_primaries(w->machines, false);
}

/* ---- guests that hold on ---- */

/* The guest of the NIC does not let its function go, which carries what is denied now. */
static void hold_on(struct world *w)
{
	bypass_bring_up(w);
	world_forget(w);
	vm_fake_hold_primaries(w->machines, true);
	agent_take_goal(w->agent, denying_goal(2));
}

static bool is_asked_again(struct world *w)
{
	int cut = world_find(w, CUT, 0);

	return cut >= 0 && world_find(w, UNPLUG, cut) > cut;
}

static bool is_steered(struct world *w)
{
	int both = world_find(w, BOTH, 0);

	return both >= 0 && world_find(w, SYNTHETIC, both) > both;
}

static bool is_started_again(struct world *w)
{
	return world_find(w, "start " WORLD_VM, 0) >= 0;
}

static void test_cut(struct world *w, gconstpointer data)
{
	hold_on(w);
	world_wait(w, "its function is cut off", is_cut);
	world_expect(w, BOTH, UNPLUG, CUT, NULL);
	world_wait(w, "the switch delivers to the synthetic path alone", is_steered);
	g_assert_true(bypass_reason_has(
		w, WORLD_NIC, "does not let go of function " WORLD_VF ", which is cut off"));
	g_assert_cmpint(bypass_path_of(w, WORLD_NIC), ==, PATH_SYNTHETIC);
	world_wait(w, "the host hears its MAC", bypass_hears_both);
	world_wait(w, "the guest is asked again", is_asked_again);
	g_assert_cmpint(world_find(w, LEFT, 0), <, 0);
	/* It is no way back that the rules allow it again. */
	agent_take_goal(w->agent, world_goal_physical(3, true));
	world_run(200);
	g_assert_true(is_cut(w));
	vm_fake_hold_primaries(w->machines, false);
	world_wait(w, "the guest lets go, and gets another", bypass_is_on);
	world_expect(w, CUT, UNPLUG, LEFT, RELEASE, CLAIM, ARM, PLUG, NULL);
}

static void test_cut_over_restart(struct world *w, gconstpointer data)
{
	hold_on(w);
	world_wait(w, "its function is cut off", is_cut);
	world_stop_agent(w);
	world_forget(w);
	world_start_agent(w, true);
	world_wait(w, "it is cut off again", is_asked_again);
	g_assert_true(is_cut(w));
	vm_fake_hold_primaries(w->machines, false);
	world_wait(w, "its function is released", bypass_is_back);
}

static void test_cut_without_switch(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	vm_fake_hold_primaries(w->machines, true);
	world_stop_switch(w);
	agent_take_goal(w->agent, denying_goal(2));
	world_wait(w, "its function is cut off", is_cut);
	world_start_switch(w);
	vm_fake_hold_primaries(w->machines, false);
	world_wait(w, "its function is released", bypass_is_back);
}

static bool cannot_be_cut(struct world *w)
{
	g_autofree char *reason = bypass_exposure(w, WORLD_NIC);

	return reason && strstr(reason, "cannot be cut off either (the test says fail-cut)");
}

static void test_cut_fails(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	bypass_touch(w, "fail-cut");
	vm_fake_hold_primaries(w->machines, true);
	agent_take_goal(w->agent, denying_goal(2));
	world_wait(w, "it says that it is exposed", cannot_be_cut);
	g_assert_cmpint(bypass_enforcement(w), ==, ENFORCEMENT_NONE);
	bypass_untouch(w, "fail-cut");
	world_wait(w, "its function is cut off", is_cut);
	vm_fake_hold_primaries(w->machines, false);
	world_wait(w, "its function is released", bypass_is_back);
}

/* That it cannot be cut off does not keep its guest from giving it back. */
static void test_cut_fails_for_good(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	bypass_touch(w, "fail-cut");
	vm_fake_hold_primaries(w->machines, true);
	agent_take_goal(w->agent, denying_goal(2));
	world_wait(w, "it says that it is exposed", cannot_be_cut);
	json_auto_t *told = accel_describe(g_hash_table_lookup(w->agent->accels, WORLD_NIC));
	g_assert_cmpstr(json_string_value(json_object_get(told, "state")), ==, "unplugging");
	vm_fake_hold_primaries(w->machines, false);
	world_wait(w, "its function is released", bypass_is_back);
}

static void test_cut_and_off(struct world *w, gconstpointer data)
{
	hold_on(w);
	world_wait(w, "its function is cut off", is_cut);
	vm_fake_crash(w->machines, WORLD_VM);
	world_wait(w, "its machine's end releases it", bypass_is_back);
	world_wait(w, "its machine is started again", is_started_again);
	world_expect(w, CUT, LEFT, RELEASE, "start " WORLD_VM, NULL);
	vm_fake_hold_primaries(w->machines, false);
}

static void test_revoked_is_no_exposure(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	vm_fake_hold_primaries(w->machines, true);
	agent_take_goal(w->agent, world_goal_physical(2, false));
	world_wait(w, "the goal is applied though the guest holds the function", is_applied);
	world_run(300);
	g_autofree char *reason = bypass_exposure(w, WORLD_NIC);
	g_assert_null(reason);
	g_assert_cmpint(bypass_enforcement(w), ==, ENFORCEMENT_HARDWARE);
	g_assert_cmpint(world_find(w, CUT, 0), <, 0);
	vm_fake_hold_primaries(w->machines, false);
}

static bool is_on_vlan_200(struct world *w)
{
	return bypass_applied(w) == 2 && bypass_path_of(w, WORLD_NIC) == PATH_VF;
}

static void test_moved(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal_physical(2, true);
	struct goal_network *network = goal->networks->pdata[0];

	network->vlan = 200;
	bypass_bring_up(w);
	world_forget(w);
	vm_fake_hold_primaries(w->machines, true);
	agent_take_goal(w->agent, goal);
	world_wait(w, "the function of the other VLAN is cut off", is_cut);
	vm_fake_hold_primaries(w->machines, false);
	world_wait(w, "the NIC is on a function of the other VLAN", is_on_vlan_200);
	world_expect(w, UNPLUG, LEFT, RELEASE, CLAIM, ARM, "plug " WORLD_NIC " " WORLD_VF " vlan 200", NULL);
	/* While its function was in the old VLAN, the switch had none. */
	world_expect(w, SYNTHETIC, UNPLUG, NULL);
}

static bool has_another(struct world *w)
{
	return bypass_is_on(w) && world_find(w, "plug " WORLD_NIC " 0000:3b:10.1 vlan 100", 0) >= 0;
}

static enum nic_use use_of(struct world *w, guint index)
{
	g_autoptr(GPtrArray) survey = w->provider->ops->survey(w->provider);

	return ((const struct nic_device *)survey->pdata[index])->use;
}

static bool is_free_again(struct world *w)
{
	return use_of(w, 0) == NIC_USE_FREE;
}

/* As by a cable that is out, without which igb takes no rate. */
static void test_quarantine(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	bypass_touch(w, "fail-release");
	world_forget(w);
	vm_fake_crash(w->machines, WORLD_VM);
	world_wait(w, "its machine starts and has another function", has_another);
	world_expect(w, LEFT, RELEASE, "start " WORLD_VM, "claim 0000:3b:10.1", NULL);
	g_assert_cmpint(use_of(w, 0), ==, NIC_USE_QUARANTINED);
	world_stop_agent(w);
	world_start_agent(w, true);
	world_wait(w, "it keeps that one", bypass_is_on);
	g_assert_cmpint(use_of(w, 0), ==, NIC_USE_QUARANTINED);
	bypass_untouch(w, "fail-release");
	world_wait(w, "what could not be given back is free in the end", is_free_again);
	g_assert_cmpint(use_of(w, 1), ==, NIC_USE_ARMED);
}

/* As by a libvirtd that died between the device's leave and giving it back. */
static void test_abandoned(struct world *w, gconstpointer data)
{
	bypass_bring_up(w);
	bypass_touch(w, "stuck");
	world_forget(w);
	agent_take_goal(w->agent, world_goal_physical(2, false));
	world_wait(w, "it is taken back", bypass_is_back);
	world_expect(w, UNPLUG, LEFT, LEFT, LEFT, LEFT, RELEASE, NULL);
}

static void add(const char *name, void (*fn)(struct world *, gconstpointer))
{
	g_test_add(name, struct world, NULL, bypass_setup, fn, bypass_teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/accel_hold/what cannot be given back holds up neither its machine nor its NIC",
		test_quarantine);
	add("/accel_hold/what nobody gives back after its leave is taken back after some tries",
		test_abandoned);
	add("/accel_hold/a NIC is exposed by a rule until its function has left", test_rule_added);
	add("/accel_hold/also to an agent that starts anew", test_rule_added_over_restart);
	add("/accel_hold/a NIC that is exposed holds up no other", test_others_go_on);
	add("/accel_hold/a guest that holds on to what is denied has it cut off, and is asked on", test_cut);
	add("/accel_hold/what was cut off is so for an agent that starts anew", test_cut_over_restart);
	add("/accel_hold/it is cut off without the switch, too", test_cut_without_switch);
	add("/accel_hold/what cannot be cut off is exposed, and says so", test_cut_fails);
	add("/accel_hold/what can never be cut off is given back when its guest lets go",
		test_cut_fails_for_good);
	add("/accel_hold/the end of its machine ends a cut as well", test_cut_and_off);
	add("/accel_hold/a function that is not wanted but allowed exposes nothing, and is not cut off",
		test_revoked_is_no_exposure);
	add("/accel_hold/a network that moves to another VLAN takes its functions along", test_moved);
	return g_test_run();
}
