/* Which NICs of a goal have an open policy. */
#include "agent/accel_policy.h"

#include "agent/test_world.h"

#define SIDE_ANY "{\"addresses\": [\"*\"], \"ports\": [\"*\"]}"
#define ALLOW_ALL                                                                                            \
	"{\"name\": \"all\", \"priority\": 100, \"access\": \"allow\", \"source\": " SIDE_ANY                \
	", \"destination\": " SIDE_ANY "}"
static struct goal *goal_with(const char *rules)
{
	struct goal *goal = world_goal_physical(1, true);

	if (rules)
		world_add_rules(goal, rules);
	return goal;
}

static enum nic_policy policy_of(const char *rules)
{
	_cleanup_(goal_free) struct goal *goal = goal_with(rules);

	return accel_policy_of(goal, world_nic(goal));
}

static void test_groups(void)
{
	g_assert_cmpint(policy_of(NULL), ==, NIC_POLICY_ALLOW_ALL);
	g_assert_cmpint(policy_of(""), ==, NIC_POLICY_OTHER);
	g_assert_cmpint(policy_of(ALLOW_ALL), ==, NIC_POLICY_ALLOW_ALL);
}

static void test_deny(void)
{
	_cleanup_(goal_free) struct goal *goal = goal_with(ALLOW_ALL);
	struct goal_group *group = goal->groups->pdata[0];
	struct rule *rule = group->rules->pdata[0];

	rule->access = ACCESS_DENY;
	g_assert_cmpint(accel_policy_of(goal, world_nic(goal)), ==, NIC_POLICY_OTHER);
}

static void test_not_understood(void)
{
	_cleanup_(goal_free) struct goal *goal = goal_with(ALLOW_ALL);
	struct goal_group *group = goal->groups->pdata[0];
	struct rule *rule = group->rules->pdata[0];

	g_free(rule->source.addresses->pdata[0]);
	rule->source.addresses->pdata[0] = g_strdup("Everywhere");
	g_assert_cmpint(accel_policy_of(goal, world_nic(goal)), ==, NIC_POLICY_OTHER);
	g_free(group->uid);
	group->uid = g_strdup("another");
	g_assert_cmpint(accel_policy_of(goal, world_nic(goal)), ==, NIC_POLICY_OTHER);
}

static void test_subnet(void)
{
	_cleanup_(goal_free) struct goal *goal = goal_with("");
	struct goal_network *network = goal->networks->pdata[0];
	struct goal_subnet *subnet = network->subnets->pdata[0];

	g_clear_pointer(&world_nic(goal)->security_group, g_free);
	g_assert_cmpint(accel_policy_of(goal, world_nic(goal)), ==, NIC_POLICY_ALLOW_ALL);
	subnet->security_group = g_strdup("group-1");
	g_assert_cmpint(accel_policy_of(goal, world_nic(goal)), ==, NIC_POLICY_OTHER);
}

static void test_standard_address(void)
{
	_cleanup_(goal_free) struct goal *goal = goal_with(NULL);
	struct goal_address *address = world_nic(goal)->addresses->pdata[0];

	address->public_ip = g_strdup("203.0.113.4");
	g_assert_cmpint(accel_policy_of(goal, world_nic(goal)), ==, NIC_POLICY_OTHER);
	address->standard = false;
	g_assert_cmpint(accel_policy_of(goal, world_nic(goal)), ==, NIC_POLICY_ALLOW_ALL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/accel_policy/no group and a group that allows all are open, a group as such is not",
		test_groups);
	g_test_add_func("/accel_policy/a rule that denies is not open", test_deny);
	g_test_add_func("/accel_policy/what is not understood is not open", test_not_understood);
	g_test_add_func("/accel_policy/the subnet's group counts", test_subnet);
	g_test_add_func(
		"/accel_policy/a Standard public address without a group is not open", test_standard_address);
	return g_test_run();
}
