/* Which policies are open: a table of groups, and random worlds against the reference evaluator. */
#include "policy/policy_open.h"

#include "policy/policy_gen.h"
#include "policy/policy_json.h"

#define WORLDS  200
#define PACKETS 300

#define ANY  "{\"any\": true}"
#define VNET "{\"any\": false, \"tags\": [\"VirtualNetwork\"]}"
#define INET "{\"any\": false, \"tags\": [\"Internet\"]}"
#define RULE(direction, priority, action, protocol, source, destination)                                     \
	"{\"name\": \"r" #priority "\", \"direction\": \"" direction "\", \"priority\": " #priority          \
	", \"protocol\": \"" protocol "\", \"action\": \"" action "\", \"source\": " source                  \
	", \"destination\": " destination "}"
#define IN_ALL  RULE("inbound", 4000, "allow", "any", ANY, ANY)
#define OUT_ALL RULE("outbound", 4000, "allow", "any", ANY, ANY)

static const struct ip_prefix v4 = {.addr = {.family = IP_V4, .bytes = {10}}, .length = 16};
static const struct ip_prefix both[] = {
	{.addr = {.family = IP_V4, .bytes = {10}}, .length = 16},
	{.addr = {.family = IP_V6, .bytes = {0xfd}}, .length = 48},
};

static struct policy_rules *rules_of(const char *text)
{
	g_autofree char *list = g_strdup_printf("[%s]", text);
	json_auto_t *json = json_loads(list, 0, NULL);
	g_autoptr(GError) error = NULL;

	g_assert_nonnull(json);
	struct policy_rules *rules = policy_rules_decode("group", json, &error);
	g_assert_no_error(error);
	return rules;
}

static bool opens(const char *text, const struct ip_prefix *prefixes, size_t n)
{
	_cleanup_(policy_rules_free) struct policy_rules *rules = rules_of(text);
	struct policy_nic nic = {.space = {.prefixes = prefixes, .n_prefixes = n}};

	nic.nic_group = &rules->group;
	bool open = policy_is_open(&nic);
	nic = (struct policy_nic){.subnet_group = &rules->group, .space = nic.space};
	g_assert_cmpint(policy_is_open(&nic), ==, open);
	return open;
}

static void test_groups(void)
{
	static const struct {
		const char *rules;
		bool open;
	} cases[] = {
		{"", false}, /* the defaults deny what comes from outside */
		{IN_ALL, true}, /* and allow all that goes out */
		{OUT_ALL, false}, {IN_ALL "," OUT_ALL, true},
		{RULE("inbound", 100, "allow", "any", INET, ANY), true}, /* the default has the rest */
		{RULE("inbound", 100, "allow", "any", VNET, ANY), false},
		{RULE("inbound", 100, "allow", "any", ANY, VNET), true}, /* all that is here */
		{RULE("inbound", 100, "allow", "any", ANY, INET), false},
		{RULE("inbound", 100, "allow", "tcp", ANY, ANY), false},
		{RULE("inbound", 100, "allow", "any", ANY, "{\"any\": true, \"ports\": [[0, 65535]]}"),
			false},
		{RULE("inbound", 100, "allow", "any", "{\"any\": true, \"ports\": [[1, 2]]}", ANY), false},
		{RULE("inbound", 100, "allow", "any", "{\"prefixes\": [\"0.0.0.0/1\"]}", ANY) "," RULE(
			 "inbound", 101, "allow", "any", "{\"prefixes\": [\"128.0.0.0/1\"]}", ANY),
			true},
		{RULE("inbound", 100, "allow", "any", "{\"prefixes\": [\"0.0.0.0/0\"]}",
			 "{\"prefixes\": [\"10.0.0.0/17\"]}"),
			false}, /* half of the network */
		{RULE("inbound", 100, "deny", "tcp", "{\"prefixes\": [\"1.2.3.4/32\"]}", ANY) "," IN_ALL,
			false},
		{IN_ALL "," RULE("inbound", 4001, "deny", "any", ANY, ANY), true}, /* nothing gets to it */
		{IN_ALL "," RULE("outbound", 100, "deny", "any", ANY, "{\"prefixes\": [\"1.2.3.4/32\"]}"),
			false},
		{IN_ALL "," RULE("outbound", 100, "allow", "any", VNET, ANY) "," RULE(
			 "outbound", 101, "deny", "any", ANY, ANY),
			true}, /* what it denies nobody here may send */
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		if (opens(cases[i].rules, &v4, 1) != cases[i].open)
			g_error("case %zu is not %s", i, cases[i].open ? "open" : "closed");
}

static void test_families(void)
{
	const char *one = RULE("inbound", 100, "allow", "any", "{\"prefixes\": [\"0.0.0.0/0\"]}",
		"{\"prefixes\": [\"0.0.0.0/0\"]}");
	g_autofree char *two = g_strdup_printf("%s, %s", one,
		RULE("inbound", 101, "allow", "any", "{\"prefixes\": [\"::/0\"]}",
			"{\"prefixes\": [\"::/0\"]}"));

	g_assert_true(opens(one, both, 1));
	g_assert_false(opens(one, both, 2));
	g_assert_true(opens(two, both, 2));
	g_assert_false(opens(IN_ALL, both, 0));
}

static void test_no_group(void)
{
	struct policy_nic nic = {.space = {.prefixes = &v4, .n_prefixes = 1}};

	g_assert_true(policy_is_open(&nic));
	nic.standard_address = true;
	g_assert_false(policy_is_open(&nic));
}

static void test_two_groups(void)
{
	_cleanup_(policy_rules_free) struct policy_rules *open = rules_of(IN_ALL), *closed = rules_of("");
	struct policy_nic nic = {.space = {.prefixes = &v4, .n_prefixes = 1}, .standard_address = true};

	nic.subnet_group = nic.nic_group = &open->group;
	g_assert_true(policy_is_open(&nic));
	nic.nic_group = &closed->group;
	g_assert_false(policy_is_open(&nic));
	nic.nic_group = &open->group;
	nic.subnet_group = &closed->group;
	g_assert_false(policy_is_open(&nic));
}

/* The group with rules before its own that allow all; some of them deny something nevertheless. */
static struct policy_group with_open_rules(const struct policy_group *group, GArray *rules)
{
	const struct policy_side any = {.tags = POLICY_TAG_ANY};

	if (group->n_rules)
		g_array_append_vals(rules, group->rules, (unsigned)group->n_rules);
	for (uint8_t direction = POLICY_INBOUND; direction <= POLICY_OUTBOUND; direction++) {
		const struct policy_rule allow = {.name = "all",
			.priority = (uint16_t)g_test_rand_int_range(99, 600),
			.direction = direction,
			.action = POLICY_ALLOW,
			.source = any,
			.destination = any};
		g_array_append_val(rules, allow);
	}
	return (struct policy_group){
		.name = "with", .rules = (const void *)rules->data, .n_rules = rules->len};
}

static void test_random(void)
{
	unsigned n_open = 0, n_closed = 0;

	for (unsigned i = 0; i < WORLDS; i++) {
		const struct policy_gen_config config = {
			.rules_max = 8, .nics = 1, .groups = 2, .networks = 1};
		_cleanup_(policy_gen_free) struct policy_gen *gen = policy_gen_new(i + 1, &config);
		const struct policy_gen_world *world = policy_gen_world(gen);
		g_autoptr(GArray) rules = g_array_new(false, false, sizeof(struct policy_rule));
		struct policy_nic nic = policy_gen_policy(world, 0, 0);
		const struct policy_group group = with_open_rules(&world->groups[0], rules);
		nic.nic_group = &group;
		bool open = policy_is_open(&nic);
		open ? n_open++ : n_closed++;
		for (unsigned p = 0; open && p < PACKETS; p++) {
			struct policy_gen_packet packet = policy_gen_packet(gen, 0);
			g_assert_true(policy_check(&nic, &packet.packet).allow);
		}
	}
	g_test_message("%u open, %u not", n_open, n_closed);
	g_assert_cmpuint(n_open, >, WORLDS / 20);
	g_assert_cmpuint(n_closed, >, WORLDS / 20);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/policy_open/a group is open when it allows all before it denies any", test_groups);
	g_test_add_func("/policy_open/each family of the network must be open", test_families);
	g_test_add_func(
		"/policy_open/no group at all is open, but for a Standard public address", test_no_group);
	g_test_add_func("/policy_open/two groups must both be open", test_two_groups);
	g_test_add_func(
		"/policy_open/nothing is refused by a policy that is open, whatever its rules", test_random);
	return g_test_run();
}
