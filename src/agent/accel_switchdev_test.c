/* Acceleration by VFs with representors: what the switch is told, who may have one, and what is said of them. */
#include "agent/agent_priv.h"
#include "agent/test_world.h"

#include <string.h>

#define REP       " +rep0 offloaded"
#define SYNTHETIC "switch " WORLD_NIC " synthetic"
#define BESIDE    SYNTHETIC REP
#define BOTH      "switch " WORLD_NIC " both" REP
#define FUNCTION  "switch " WORLD_NIC " function" REP
#define PLUG      "plug " WORLD_NIC " " WORLD_VF " vlan 0"

#define SIDE_ANY "{\"addresses\": [\"*\"], \"ports\": [\"*\"]}"
#define DENY_TCP                                                                                             \
	"{\"name\": \"r\", \"priority\": 100, \"access\": \"Deny\", \"protocol\": \"Tcp\", "                 \
	"\"source\": " SIDE_ANY ", \"destination\": " SIDE_ANY "}"

static void setup(struct world *w, gconstpointer data)
{
	world_init(w);
	w->switchdev = true;
}

static void teardown(struct world *w, gconstpointer data)
{
	world_done(w);
}

/* ---- looking ---- */

static const struct report_nic *nic_of(const struct report *report)
{
	return report->nics->pdata[0];
}

static bool is_on(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	return nic_of(report)->path == PATH_VF && world_find(w, FUNCTION, 0) >= 0;
}

static bool is_offloaded(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	return is_on(w) && nic_of(report)->enforcement == ENFORCEMENT_HARDWARE;
}

static bool is_back(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	g_autoptr(GPtrArray) list = w->provider->ops->list(w->provider);

	return nic_of(report)->path == PATH_SYNTHETIC && list->len == 0;
}

static bool says_why(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	return nic_of(report)->reason && strstr(nic_of(report)->reason, w->offload_error) &&
	       nic_of(report)->enforcement == ENFORCEMENT_SWITCH;
}

static bool says_nothing(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	return !nic_of(report)->reason && nic_of(report)->enforcement == ENFORCEMENT_HARDWARE;
}

/* With rules that a VF without a representor could not hold. */
static void bring_up(struct world *w, struct goal *goal)
{
	world_add_rules(goal, DENY_TCP);
	world_start_agent(w, true);
	agent_take_goal(w->agent, goal);
	world_wait(w, "the NIC is on its function", is_on);
}

/* ---- tests ---- */

static void test_policy(struct world *w, gconstpointer data)
{
	bring_up(w, world_goal_physical(1, true));
	world_expect(w, SYNTHETIC, "start " WORLD_VM, "claim " WORLD_VF, BESIDE, "arm " WORLD_VF, BOTH, PLUG,
		FUNCTION, NULL);
	world_wait(w, "the switch says that the NIC takes flows", is_offloaded);
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	g_assert_null(nic_of(report)->reason);
	json_auto_t *described = accel_describe(g_hash_table_lookup(w->agent->accels, WORLD_NIC));
	g_assert_cmpint(json_integer_value(json_object_get(described, "offloaded_flows")), ==, WORLD_FLOWS);
}

static bool is_synthetic_for_vxlan(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	const struct report_nic *nic = nic_of(report);

	return is_back(w) && nic->enforcement == ENFORCEMENT_SWITCH && nic->reason &&
	       strstr(nic->reason, "vxlan segment");
}

/* An eswitch tunnels by addresses of the kernel, which the host's underlay has not. */
static void test_vxlan(struct world *w, gconstpointer data)
{
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal(1, true));
	world_wait(w, "it says why it has no function", is_synthetic_for_vxlan);
	g_assert_cmpint(world_find(w, "claim " WORLD_VF, 0), <, 0);
}

/* One that it has all the same goes as any other, without a loss. */
static void test_vxlan_later(struct world *w, gconstpointer data)
{
	bring_up(w, world_goal_physical(1, true));
	world_forget(w);
	agent_take_goal(w->agent, world_goal(2, true));
	world_wait(w, "the function is taken back", is_synthetic_for_vxlan);
	world_expect(w, BOTH, "unplug " WORLD_NIC, BESIDE, SYNTHETIC, "release " WORLD_VF, NULL);
}

/* The underlay leaves by the second physical network's NIC, or by none. */
static void set_underlay(struct world *w, bool tunnels)
{
	static const struct switch_underlay underlay = {.kernel = true,
		.vxlan_device = "sl-vxlan",
		.interface = "ens4",
		.address = {.family = IP_V4, .bytes = {172, 16, 0, 1}},
		.prefix = {{.family = IP_V4, .bytes = {172, 16, 0, 0}}, 24},
		.mtu = 1600};
	static const struct switch_physical with[] = {{"physnet1", "ens3", 1500, .switchdev = true},
		{"physnet2", "ens4", 1600, .switchdev = true, .vxlans = true}},
					    without[] = {{"physnet1", "ens3", 1500, .switchdev = true}};
	struct switch_site *site = &w->agent->config.site;

	site->underlay = &underlay;
	site->physicals = tunnels ? with : without;
	site->n_physicals = tunnels ? G_N_ELEMENTS(with) : G_N_ELEMENTS(without);
}

/* Where it is the kernel's, and leaves by a NIC of the host, VFs of that one are for VXLANs. */
static void test_tunnel(struct world *w, gconstpointer data)
{
	world_start_agent(w, true);
	set_underlay(w, true);
	struct goal *goal = world_goal(1, true);
	world_add_rules(goal, DENY_TCP);
	agent_take_goal(w->agent, goal);
	world_wait(w, "the NIC is on its function", is_on);
	world_wait(w, "the switch says that the NIC takes flows", is_offloaded);
	const struct ledger_nic *record = ledger_find_nic(w->agent->ledger, WORLD_NIC);
	g_assert_cmpstr(record->physical, ==, "physnet2");
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	g_assert_cmpstr(report->vxlans, ==, "physnet2");
	const json_t *underlay = json_object_get(w->state, "underlay");
	g_assert_true(json_is_true(json_object_get(underlay, "kernel")));
	g_assert_cmpstr(json_string_value(json_object_get(underlay, "vxlan_device")), ==, "sl-vxlan");
	g_assert_cmpstr(json_string_value(json_object_get(underlay, "offload")), ==, "tc");
	/* It is taken back without a loss when none carries it any more. */
	world_forget(w);
	set_underlay(w, false);
	agent_take_goal(w->agent, world_goal(2, true));
	world_wait(w, "the function is taken back", is_synthetic_for_vxlan);
	world_expect(w, BOTH, "unplug " WORLD_NIC, BESIDE, SYNTHETIC, "release " WORLD_VF, NULL);
	g_assert_null(json_object_get(json_object_get(w->state, "underlay"), "vxlan_device"));
}

/* The switch tags: neither VM manager nor VF are told of the VLAN. */
static void test_vlan(struct world *w, gconstpointer data)
{
	static const struct switch_physical physicals[] = {{"physnet1", "ens3", 1500, true}};
	const json_t *physical;

	world_start_agent(w, true);
	w->agent->config.site.physicals = physicals;
	struct goal *goal = world_goal_physical(1, true);
	world_add_rules(goal, DENY_TCP);
	agent_take_goal(w->agent, goal);
	world_wait(w, "the NIC is on its function", is_on);
	world_expect(w, BOTH, PLUG, FUNCTION, NULL);
	physical = json_array_get(json_object_get(w->state, "physicals"), 0);
	g_assert_cmpstr(json_string_value(json_object_get(physical, "offload")), ==, "tc");
}

/* Copies to both until it is gone: a representor's can be. */
static void test_revoke(struct world *w, gconstpointer data)
{
	bring_up(w, world_goal_physical(1, true));
	world_forget(w);
	struct goal *goal = world_goal_physical(2, false);
	world_add_rules(goal, DENY_TCP);
	agent_take_goal(w->agent, goal);
	world_wait(w, "the function is taken back", is_back);
	world_expect(w, BOTH, "unplug " WORLD_NIC, BESIDE, SYNTHETIC, "release " WORLD_VF, NULL);
	world_expect(w, "unplug " WORLD_NIC, "left " WORLD_VF, "release " WORLD_VF, NULL);
}

static void test_fallback(struct world *w, gconstpointer data)
{
	w->offload_error = "tc: cannot give interface rep0 an ingress";
	bring_up(w, world_goal_physical(1, true));
	world_wait(w, "it says why the switch does it all", says_why);
	w->offload_error = NULL;
	world_wait(w, "and nothing when the NIC takes flows", says_nothing);
}

/* The next process knows the representor. */
static void test_restart(struct world *w, gconstpointer data)
{
	bring_up(w, world_goal_physical(1, true));
	world_stop_agent(w);
	world_forget(w);
	world_start_agent(w, true);
	struct goal *goal = world_goal_physical(2, true);
	world_add_rules(goal, DENY_TCP);
	agent_take_goal(w->agent, goal);
	world_wait(w, "it is as it was", says_nothing);
	g_assert_cmpint(world_find(w, "claim " WORLD_VF, 0), <, 0);
	g_assert_cmpint(world_find(w, "unplug " WORLD_NIC, 0), <, 0);
}

static bool is_driverless(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	return is_back(w) && nic_of(report)->reason && strstr(nic_of(report)->reason, "has no driver");
}

/* What comes for it goes to the VF alone, also by the representor. */
static void test_set_down(struct world *w, gconstpointer data)
{
	bring_up(w, world_goal_physical(1, true));
	world_forget(w);
	w->has_no_driver = true;
	world_wait(w, "its function is taken back", is_driverless);
	world_expect(w, BOTH, "unplug " WORLD_NIC, BESIDE, SYNTHETIC, "release " WORLD_VF, NULL);
}

static void test_chatter(struct world *w, gconstpointer data)
{
	w->chatters = true;
	bring_up(w, world_goal_physical(1, true));
	world_forget(w);
	world_run(1500);
	world_expect(w, BOTH, FUNCTION, NULL);
	g_assert_cmpint(world_find(w, "unplug " WORLD_NIC, 0), <, 0);
}

#define TEST(name, function)                                                                                 \
	g_test_add("/acceleration/switchdev/" name, struct world, NULL, setup, function, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("a VF with a representor is given for any rules", test_policy);
	TEST("on a vxlan segment none is given where the underlay is the switch's own, and it is said why",
		test_vxlan);
	TEST("on a vxlan segment one is given of the NIC that the underlay leaves by", test_tunnel);
	TEST("a NIC whose network is a vxlan segment now loses its function", test_vxlan_later);
	TEST("on a VLAN the switch tags, and the physical network is an eswitch's", test_vlan);
	TEST("taken back it is copied to until it has left", test_revoke);
	TEST("where the eswitch takes nothing the switch enforces, and it is said why", test_fallback);
	TEST("the next process leaves it as it is", test_restart);
	TEST("a guest that sets its function down loses it, and not its packets", test_set_down);
	TEST("a guest that sends something by its standby now and then keeps its function", test_chatter);
	return g_test_run();
}
