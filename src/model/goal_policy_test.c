/* Policy out of a goal, against golden text. */
#include "model/goal_policy.h"

#include "base/fault.h"

#include <string.h>

/* A goal with one group, whose rules are these as JSON. Owned by the caller. */
static struct goal *goal_of(const char *rules)
{
	g_autofree char *text =
		g_strdup_printf("{\"uid\": \"group-1\", \"name\": \"myGroup\", \"rules\": [%s]}", rules);
	json_auto_t *json = json_loads(text, 0, NULL);
	struct goal *goal = shape_new(&goal_shape);
	g_autoptr(GError) error = NULL;

	g_assert_nonnull(json);
	g_clear_pointer(&goal->groups, g_ptr_array_unref);
	goal->groups = shape_list_new(&goal_group_shape);
	g_ptr_array_add(goal->groups, shape_decode(&goal_group_shape, json, SHAPE_STRICT, &error));
	g_assert_no_error(error);
	return goal;
}

static json_t *group_of(const struct goal *goal)
{
	g_autoptr(GError) error = NULL;
	json_t *group = goal_policy_group(goal, goal->groups->pdata[0], &error);

	g_assert_no_error(error);
	return group;
}

static void assert_json(const json_t *json, const char *golden)
{
	json_error_t error;
	json_auto_t *wanted = json_loads(golden, JSON_DECODE_ANY, &error);

	if (!wanted)
		g_error("the golden text is no JSON: %s", error.text);
	if (json_equal(json, wanted))
		return;
	char *text = json_dumps(json, JSON_INDENT(1) | JSON_ENCODE_ANY);
	g_error("this is not what is wanted: %s", text);
}

static void test_rules(void)
{
	_cleanup_(goal_free) struct goal *goal = goal_of(
		"{\"name\": \"ssh\", \"priority\": 100, \"access\": \"allow\", \"protocol\": \"tcp\","
		" \"source\": {\"addresses\": [\"Internet\", \"10.0.0.0/8\", \"10.1.2.3\"], \"ports\": "
		"[\"*\"]},"
		" \"destination\": {\"addresses\": [\"*\"], \"ports\": [\"22\", \"1000-2000\"]}},"
		"{\"name\": \"out\", \"priority\": 4096, \"direction\": \"outbound\","
		" \"source\": {\"addresses\": [\"virtualnetwork\"]}, \"destination\": {\"addresses\": "
		"[\"AzureLoadBalancer\"]}}");
	json_auto_t *group = group_of(goal);
	assert_json(group,
		"{\"uid\": \"group-1\", \"name\": \"myGroup\", \"revalidate\": true, \"rules\": ["
		"{\"name\": \"ssh\", \"direction\": \"inbound\", \"priority\": 100, \"protocol\": \"tcp\", "
		"\"action\": \"allow\","
		" \"source\": {\"any\": false, \"tags\": [\"Internet\"], \"prefixes\": [\"10.0.0.0/8\", "
		"\"10.1.2.3\"], "
		"\"ports\": []},"
		" \"destination\": {\"any\": true, \"tags\": [], \"prefixes\": [], \"ports\": [[22, 22], "
		"[1000, "
		"2000]]}},"
		"{\"name\": \"out\", \"direction\": \"outbound\", \"priority\": 4096, \"protocol\": \"any\", "
		"\"action\": \"deny\","
		" \"source\": {\"any\": false, \"tags\": [\"VirtualNetwork\"], \"prefixes\": [], \"ports\": "
		"[]},"
		" \"destination\": {\"any\": false, \"tags\": [\"AzureLoadBalancer\"], \"prefixes\": [], "
		"\"ports\": "
		"[]}}]}");
}

/* The switch would refuse the state for it, and has nothing to do without it. */
static void test_never_matches(void)
{
	_cleanup_(goal_free) struct goal *goal =
		goal_of("{\"name\": \"ping\", \"priority\": 100, \"protocol\": \"icmp\","
			" \"source\": {\"addresses\": [\"*\"], \"ports\": [\"*\"]},"
			" \"destination\": {\"addresses\": [\"*\"], \"ports\": [\"*\"]}},"
			"{\"name\": \"old\", \"priority\": 101, \"protocol\": \"icmp\","
			" \"source\": {\"addresses\": [\"*\"], \"ports\": [\"*\"]},"
			" \"destination\": {\"addresses\": [\"*\"], \"ports\": [\"80\"]}}");
	json_auto_t *group = group_of(goal);
	json_t *rules = json_object_get(group, "rules");
	g_assert_cmpuint(json_array_size(rules), ==, 1);
	g_assert_cmpstr(json_string_value(json_object_get(json_array_get(rules, 0), "name")), ==, "ping");
}

/* Each of these would open something, or close something, if it were left out. */
static void test_refused(void)
{
	static const char *const sides[] = {
		"{\"addresses\": [\"Intenet\"]}",
		"{\"addresses\": [\"10.0.0.1/8\"]}",
		"{\"addresses\": [\"*\"], \"ports\": [\"ssh\"]}",
		"{\"addresses\": [\"*\"], \"ports\": [\"65536\"]}",
		"{\"addresses\": [\"*\"], \"ports\": [\"2000-1000\"]}",
		"{\"addresses\": [\"*\"], \"ports\": [\"\"]}",
		"{\"addresses\": [\"*\"], \"ports\": [\"1-2-3\"]}",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(sides); i++) {
		g_autofree char *rule =
			g_strdup_printf("{\"name\": \"bad\", \"priority\": 100, \"source\": %s, "
					"\"destination\": {\"addresses\": [\"*\"]}}",
				sides[i]);
		g_autoptr(GError) error = NULL;
		_cleanup_(goal_free) struct goal *goal = goal_of(rule);
		g_assert_null(goal_policy_group(goal, goal->groups->pdata[0], &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
		g_assert_nonnull(strstr(error->message, "rule bad"));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/goal-policy/rules keep tags, prefixes and port ranges apart", test_rules);
	g_test_add_func("/goal-policy/a stored rule with ports of a protocol without ports is left out",
		test_never_matches);
	g_test_add_func("/goal-policy/a rule that is not understood refuses its group", test_refused);
	return g_test_run();
}
