/* Effective rules, what names stand for in them, and explanations as JSON. */
#include "policy/policy_effective.h"

#include "policy/policy_prefixes.h"

/* "a, b, c" → list. */
static GArray *parse_list(const char *text)
{
	g_auto(GStrv) words = g_strsplit(text, ", ", -1);
	GArray *list = policy_prefixes_new();

	for (char **word = words; *word && **word; word++) {
		struct ip_prefix prefix;
		g_assert_cmpint(prefix_parse(*word, &prefix), ==, 0);
		g_array_append_val(list, prefix);
	}
	return list;
}

static char *format_list(const GArray *list)
{
	GString *text = g_string_new(NULL);
	char word[PREFIX_TEXT_MAX];

	for (unsigned i = 0; i < list->len; i++)
		g_string_append_printf(text, "%s%s", i ? ", " : "",
			prefix_format(g_array_index(list, struct ip_prefix, i), word));
	return g_string_free(text, false);
}

struct set_case {
	const char *prefixes, *expected;
};

static void assert_sets(GArray *(*operation)(const GArray *), const struct set_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		g_autoptr(GArray) list = parse_list(cases[i].prefixes);
		g_autoptr(GArray) result = operation(list);
		g_autofree char *text = format_list(result);
		g_assert_cmpstr(text, ==, cases[i].expected);
	}
}

static void test_union(void)
{
	static const struct set_case cases[] = {
		{"", ""},
		{"10.0.0.0/8", "10.0.0.0/8"},
		{"10.0.1.0/24, 10.0.0.0/24", "10.0.0.0/23"},
		{"10.0.1.0/24, 10.0.2.0/24", "10.0.1.0/24, 10.0.2.0/24"},
		{"10.1.2.3/32, 10.0.0.0/8, 10.1.0.0/16", "10.0.0.0/8"},
		{"10.0.0.0/8, 10.0.0.0/8", "10.0.0.0/8"},
		{"0.0.0.0/1, 128.0.0.0/1", "0.0.0.0/0"},
		{"fd00::/64, 10.0.0.0/8", "10.0.0.0/8, fd00::/64"},
		{"::/1, 8000::/1, 1.1.1.1/32", "1.1.1.1/32, ::/0"},
		{"fd00::1/128, fd00::/128, fd00::2/128", "fd00::/127, fd00::2/128"},
		/* Four quarters that come in any order. */
		{"10.0.0.192/26, 10.0.0.0/26, 10.0.0.128/26, 10.0.0.64/26", "10.0.0.0/24"},
	};

	assert_sets(policy_prefixes_union, cases, G_N_ELEMENTS(cases));
}

static void test_complement(void)
{
	static const struct set_case cases[] = {
		{"", "0.0.0.0/0, ::/0"},
		{"0.0.0.0/0", "::/0"},
		{"0.0.0.0/0, ::/0", ""},
		{"128.0.0.0/2, ::/0", "0.0.0.0/1, 192.0.0.0/2"},
		{"0.0.0.0/32, 0.0.0.2/31, 0.0.0.4/30, 0.0.0.8/29, 0.0.0.16/28, 0.0.0.32/27, 0.0.0.64/26, "
		 "0.0.0.128/25, 0.0.1.0/24, 0.0.2.0/23, 0.0.4.0/22, 0.0.8.0/21, 0.0.16.0/20, 0.0.32.0/19, "
		 "0.0.64.0/18, 0.0.128.0/17, 0.1.0.0/16, 0.2.0.0/15, 0.4.0.0/14, 0.8.0.0/13, 0.16.0.0/12, "
		 "0.32.0.0/11, 0.64.0.0/10, 0.128.0.0/9, 1.0.0.0/8, 2.0.0.0/7, 4.0.0.0/6, 8.0.0.0/5, "
		 "16.0.0.0/4, 32.0.0.0/3, 64.0.0.0/2, 128.0.0.0/1, ::/0",
			"0.0.0.1/32"},
	};

	assert_sets(policy_prefixes_complement, cases, G_N_ELEMENTS(cases));
}

/* ---- a NIC ---- */

static const struct ip_prefix space_prefixes[] = {
	{.addr = {.family = IP_V4, .bytes = {192, 168}}, .length = 16},
	{.addr = {.family = IP_V6, .bytes = {0xfd}}, .length = 64}};
static const struct ip_prefix web_members[] = {
	{.addr = {.family = IP_V4, .bytes = {192, 168, 1, 5}}, .length = 32},
	{.addr = {.family = IP_V4, .bytes = {192, 168, 1, 4}}, .length = 32}};
static const struct policy_members members[] = {
	{.group = 3, .name = "web", .n_prefixes = G_N_ELEMENTS(web_members), .prefixes = web_members}};
#define SPACE                                                                                                \
	{                                                                                                    \
		.n_prefixes = G_N_ELEMENTS(space_prefixes), .prefixes = space_prefixes,                      \
		.n_members = G_N_ELEMENTS(members), .members = members                                       \
	}
static const struct policy_space space = SPACE;
static const uint32_t web[] = {3}, nobody[] = {4};
static const struct policy_ports ssh = {22, 22};

/* Not in the order of priority. */
static const struct policy_rule subnet_rules[] = {
	{.name = "late",
		.priority = 300,
		.action = POLICY_DENY,
		.source.tags = POLICY_TAG_INTERNET,
		.destination.tags = POLICY_TAG_ANY},
	{.name = "early",
		.priority = 200,
		.action = POLICY_ALLOW,
		.protocol = POLICY_TCP,
		.source.tags = POLICY_TAG_ANY,
		.destination = {.groups = web, .n_groups = 1, .ports = &ssh, .n_ports = 1}},
	{.name = "leaving",
		.priority = 200,
		.direction = POLICY_OUTBOUND,
		.action = POLICY_DENY,
		.source.tags = POLICY_TAG_ANY,
		.destination.tags = POLICY_TAG_ANY},
};
static const struct policy_rule nic_rules[] = {{.name = "own",
	.priority = 4096,
	.action = POLICY_ALLOW,
	.source.tags = POLICY_TAG_ANY,
	.destination.tags = POLICY_TAG_ANY}};
static const struct policy_group subnet_group = {
	.name = "sn", .uid = "u-sn", .n_rules = G_N_ELEMENTS(subnet_rules), .rules = subnet_rules};
static const struct policy_group nic_group = {
	.name = "nn", .n_rules = G_N_ELEMENTS(nic_rules), .rules = nic_rules};
static const struct policy_nic nic = {.subnet_group = &subnet_group, .nic_group = &nic_group, .space = SPACE};

static void assert_order(enum policy_direction direction, const char *expected)
{
	g_autoptr(GArray) list = policy_effective(&nic, direction);
	g_autoptr(GString) text = g_string_new(NULL);

	for (unsigned i = 0; i < list->len; i++) {
		const struct policy_effective_rule *entry =
			&g_array_index(list, struct policy_effective_rule, i);
		g_string_append_printf(text, "%s%s%s/%s", i ? " " : "", entry->is_default ? "+" : "",
			entry->group->name, entry->rule->name);
	}
	g_assert_cmpstr(text->str, ==, expected);
}

static void test_order(void)
{
	assert_order(POLICY_INBOUND,
		"sn/early sn/late +sn/AllowVnetInBound +sn/AllowAzureLoadBalancerInBound +sn/DenyAllInBound "
		"nn/own +nn/AllowVnetInBound +nn/AllowAzureLoadBalancerInBound +nn/DenyAllInBound");
	assert_order(POLICY_OUTBOUND,
		"+nn/AllowVnetOutBound +nn/AllowInternetOutBound +nn/DenyAllOutBound "
		"sn/leaving +sn/AllowVnetOutBound +sn/AllowInternetOutBound +sn/DenyAllOutBound");
}

static void test_resolved(void)
{
	const struct {
		struct policy_side side;
		const char *expected;
	} cases[] = {
		{{.tags = POLICY_TAG_ANY}, "0.0.0.0/0, ::/0"},
		{{.tags = POLICY_TAG_VIRTUAL_NETWORK}, "168.63.129.16/32, 192.168.0.0/16, fd00::/64"},
		{{.tags = POLICY_TAG_LOAD_BALANCER}, "168.63.129.16/32"},
		{{.tags = POLICY_TAG_INTERNET | POLICY_TAG_VIRTUAL_NETWORK}, "0.0.0.0/0, ::/0"},
		{{.groups = web, .n_groups = 1}, "192.168.1.4/31"},
		{{.groups = nobody, .n_groups = 1}, ""},
		{{.prefixes = space_prefixes, .n_prefixes = 1, .groups = web, .n_groups = 1},
			"192.168.0.0/16"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GArray) list = policy_side_prefixes(&cases[i].side, &space);
		g_autofree char *text = format_list(list);
		g_assert_cmpstr(text, ==, cases[i].expected);
	}
}

static void test_internet(void)
{
	const struct policy_side internet = {.tags = POLICY_TAG_INTERNET};
	const struct policy_space none = {};
	g_autoptr(GArray) list = policy_side_prefixes(&internet, &space);
	g_autoptr(GArray) all = policy_side_prefixes(&internet, &none);
	struct ip_addr platform = policy_platform_prefix().addr;

	g_assert_cmpuint(list->len, >, 40);
	g_assert_cmpuint(all->len, ==, 33); /* all of IPv6, all of IPv4 but one address */
	for (unsigned i = 0; i < list->len; i++) {
		struct ip_prefix prefix = g_array_index(list, struct ip_prefix, i);
		g_assert_false(prefix_contains(prefix, platform));
		for (size_t j = 0; j < G_N_ELEMENTS(space_prefixes); j++)
			g_assert_false(prefix_overlaps(prefix, space_prefixes[j]));
	}
}

static void assert_json(json_t *json, const char *expected)
{
	json_t *wanted = json_loads(expected, 0, NULL);

	g_assert_nonnull(wanted);
	if (!json_equal(json, wanted))
		g_error("%s", json_dumps(json, JSON_INDENT(1)));
	json_decref(wanted);
}

static void test_json(void)
{
	json_t *json = policy_effective_encode(&nic);
	json_t *inbound = json_object_get(json, "inbound");

	g_assert_cmpuint(json_array_size(inbound), ==, 9);
	g_assert_cmpuint(json_array_size(json_object_get(json, "outbound")), ==, 7);
	assert_json(json_array_get(inbound, 0),
		"{\"at\": \"subnet\", \"group\": \"sn\", \"group_uid\": \"u-sn\", \"default\": false,"
		" \"name\": \"early\", \"direction\": \"inbound\", \"priority\": 200, \"protocol\": \"tcp\","
		" \"action\": \"allow\","
		" \"source\": {\"any\": true, \"tags\": [], \"prefixes\": [], \"ports\": [],"
		"   \"resolved\": [\"0.0.0.0/0\", \"::/0\"]},"
		" \"destination\": {\"any\": false, \"tags\": [], \"prefixes\": [], \"ports\": [[22, 22]],"
		"   \"groups\": [3], \"resolved\": [\"192.168.1.4/31\"]}}");
	assert_json(json_array_get(inbound, 8),
		"{\"at\": \"nic\", \"group\": \"nn\", \"group_uid\": null, \"default\": true,"
		" \"name\": \"DenyAllInBound\", \"direction\": \"inbound\", \"priority\": 65500,"
		" \"protocol\": \"any\", \"action\": \"deny\","
		" \"source\": {\"any\": true, \"tags\": [], \"prefixes\": [], \"ports\": [],"
		"   \"resolved\": [\"0.0.0.0/0\", \"::/0\"]},"
		" \"destination\": {\"any\": true, \"tags\": [], \"prefixes\": [], \"ports\": [],"
		"   \"resolved\": [\"0.0.0.0/0\", \"::/0\"]}}");
	json_decref(json);
}

static void test_explanation_json(void)
{
	struct policy_packet packet = {.protocol = POLICY_UDP, .destination_port = 53};

	g_assert_cmpint(ip_parse("9.9.9.9", &packet.source), ==, 0);
	g_assert_cmpint(ip_parse("192.168.1.4", &packet.destination), ==, 0);
	const struct policy_explanation explanation = policy_explain(&nic, &packet);
	json_t *json = policy_explanation_encode(&explanation);
	assert_json(json,
		"{\"verdict\": \"deny\", \"reason\": \"rule\", \"groups\": ["
		" {\"at\": \"subnet\", \"group\": \"sn\", \"group_uid\": \"u-sn\", \"rule\": \"late\","
		"  \"priority\": 300, \"default\": false, \"action\": \"deny\"},"
		" {\"at\": \"nic\", \"group\": \"nn\", \"group_uid\": null, \"rule\": \"own\","
		"  \"priority\": 4096, \"default\": false, \"action\": \"allow\"}]}");
	json_decref(json);
}

static void test_platform_json(void)
{
	const struct policy_packet packet = {.source = policy_platform_prefix().addr};
	const struct policy_explanation explanation = policy_explain(&nic, &packet);
	json_t *json = policy_explanation_encode(&explanation);

	assert_json(json, "{\"verdict\": \"allow\", \"reason\": \"platform\", \"groups\": []}");
	json_decref(json);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/policy_prefixes/a union is the shortest list of its addresses", test_union);
	g_test_add_func("/policy_prefixes/a complement is all that is not in the list", test_complement);
	g_test_add_func("/policy_effective/rules stand in the order in which they are asked", test_order);
	g_test_add_func("/policy_effective/tags and groups resolve to prefixes", test_resolved);
	g_test_add_func("/policy_effective/Internet is all but the network and the platform", test_internet);
	g_test_add_func("/policy_effective/JSON says the group, the place and the addresses", test_json);
	g_test_add_func("/policy_effective/an explanation's JSON has both groups", test_explanation_json);
	g_test_add_func(
		"/policy_effective/a platform address is explained without groups", test_platform_json);
	return g_test_run();
}
