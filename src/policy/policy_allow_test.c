/* Allow-only groups, compiled. */
#include "policy/policy_allow.h"

#include "base/fault.h"

#define RULES(...)                                                                                           \
	.rules = (const struct policy_allow_rule[]){__VA_ARGS__},                                            \
	.n_rules = G_N_ELEMENTS(((const struct policy_allow_rule[]){__VA_ARGS__}))

/* Members of group 7: 10.0.0.7 and fd00::7. */
static const struct ip_prefix seven[] = {{.addr = {.family = IP_V4, .bytes = {10, 0, 0, 7}}, .length = 32},
	{.addr = {.family = IP_V6, .bytes = {0xfd, [15] = 7}}, .length = 128}};
static const struct policy_members members[] = {{.group = 7, .n_prefixes = 2, .prefixes = seven}};
static const struct ip_prefix network[] = {{.addr = {.family = IP_V4, .bytes = {10}}, .length = 8}};
static const struct policy_space space = {
	.n_prefixes = 1, .prefixes = network, .n_members = 1, .members = members};

static bool allows(const struct policy_rules *rules, enum policy_direction direction, uint8_t protocol,
	const char *far, uint16_t port)
{
	const struct policy_nic nic = {.nic_group = &rules->group, .space = space};
	struct policy_packet packet = {
		.direction = direction, .protocol = protocol, .source_port = 1000, .destination_port = port};
	struct ip_addr addr, own;

	g_assert_cmpint(ip_parse(far, &addr), ==, 0);
	g_assert_cmpint(ip_parse(addr.family == IP_V4 ? "10.0.0.4" : "fd00::4", &own), ==, 0);
	packet.source = direction == POLICY_INBOUND ? addr : own;
	packet.destination = direction == POLICY_INBOUND ? own : addr;
	return policy_check(&nic, &packet).allow;
}

static void test_union(void)
{
	const struct policy_allow_group groups[] = {
		{.name = "ssh",
			RULES({.name = "r1",
				.family = IP_V4,
				.protocol = POLICY_TCP,
				.has_ports = true,
				.ports = {22, 22},
				.remote = POLICY_REMOTE_PREFIX,
				.prefix = {.addr = {.family = IP_V4, .bytes = {9}}, .length = 8}})},
		{.name = "web",
			RULES({.name = "r1", .protocol = POLICY_TCP, .has_ports = true, .ports = {80, 81}},
				{.name = "r2", .direction = POLICY_OUTBOUND, .family = IP_V4})},
	};
	g_autoptr(GError) error = NULL;
	_cleanup_(policy_rules_free) struct policy_rules *rules =
		policy_allow_compile("port-1", groups, G_N_ELEMENTS(groups), &error);

	g_assert_no_error(error);
	g_assert_cmpstr(rules->group.name, ==, "port-1");
	g_assert_cmpuint(rules->group.n_rules, ==, 5);
	g_assert_cmpstr(rules->group.rules[0].name, ==, "ssh/r1");
	g_assert_cmpstr(rules->group.rules[2].name, ==, "web/r2");
	g_assert_true(allows(rules, POLICY_INBOUND, POLICY_TCP, "9.1.1.1", 22));
	g_assert_false(allows(rules, POLICY_INBOUND, POLICY_UDP, "9.1.1.1", 22));
	g_assert_false(allows(rules, POLICY_INBOUND, POLICY_TCP, "8.1.1.1", 22));
	g_assert_true(allows(rules, POLICY_INBOUND, POLICY_TCP, "8.1.1.1", 81));
	g_assert_true(allows(rules, POLICY_INBOUND, POLICY_TCP, "fd00::9", 80));
	g_assert_false(allows(rules, POLICY_INBOUND, POLICY_TCP, "8.1.1.1", 82));
	g_assert_true(allows(rules, POLICY_OUTBOUND, POLICY_UDP, "8.8.8.8", 53));
	g_assert_false(allows(rules, POLICY_OUTBOUND, POLICY_UDP, "2001:db8::1", 53));
}

static void test_remote_group(void)
{
	const struct policy_allow_group groups[] = {{.name = "db",
		RULES({.name = "peers", .remote = POLICY_REMOTE_GROUP, .group = 7},
			{.name = "v4 peers",
				.direction = POLICY_OUTBOUND,
				.family = IP_V4,
				.remote = POLICY_REMOTE_GROUP,
				.group = 7})}};
	_cleanup_(policy_rules_free) struct policy_rules *rules = policy_allow_compile("p", groups, 1, NULL);

	g_assert_true(allows(rules, POLICY_INBOUND, POLICY_TCP, "10.0.0.7", 5432));
	g_assert_true(allows(rules, POLICY_INBOUND, POLICY_ICMP, "fd00::7", 0));
	g_assert_false(allows(rules, POLICY_INBOUND, POLICY_TCP, "10.0.0.8", 5432));
	g_assert_true(allows(rules, POLICY_OUTBOUND, POLICY_TCP, "10.0.0.7", 5432));
	g_assert_false(allows(rules, POLICY_OUTBOUND, POLICY_TCP, "fd00::7", 5432));
}

/* Default rules let a network's own NICs in and everything out; allow-only groups do not. */
static void test_nothing_else(void)
{
	_cleanup_(policy_rules_free) struct policy_rules *rules = policy_allow_compile("p", NULL, 0, NULL);

	g_assert_false(allows(rules, POLICY_INBOUND, POLICY_TCP, "10.0.0.9", 22));
	g_assert_false(allows(rules, POLICY_OUTBOUND, POLICY_TCP, "10.0.0.9", 22));
	g_assert_false(allows(rules, POLICY_OUTBOUND, POLICY_TCP, "8.8.8.8", 22));
	g_assert_true(allows(rules, POLICY_OUTBOUND, POLICY_TCP, "169.254.169.254", 80));
}

static void test_json(void)
{
	const struct policy_allow_group groups[] = {{.name = "db",
		RULES({.name = "peers", .remote = POLICY_REMOTE_GROUP, .group = 7},
			{.name = "gre", .protocol = 47, .family = IP_V6})}};
	_cleanup_(policy_rules_free) struct policy_rules *rules = policy_allow_compile("p", groups, 1, NULL);
	json_t *json = policy_rules_encode(&rules->group);
	g_autoptr(GError) error = NULL;
	_cleanup_(policy_rules_free) struct policy_rules *decoded = policy_rules_decode("p", json, &error);

	g_assert_no_error(error);
	g_assert_true(allows(decoded, POLICY_INBOUND, POLICY_TCP, "10.0.0.7", 5432));
	g_assert_true(allows(decoded, POLICY_INBOUND, 47, "fd00::9", 0));
	g_assert_false(allows(decoded, POLICY_INBOUND, 47, "10.0.0.9", 0));
	json_decref(json);
}

static void test_faults(void)
{
	static const struct {
		struct policy_allow_rule rule;
		const char *text;
	} cases[] = {
		{{.name = "r", .protocol = POLICY_ICMP, .has_ports = true},
			"*rule r of group g*only TCP and UDP*"},
		{{.name = "r", .has_ports = true}, "*only TCP and UDP*"},
		{{.name = "r", .protocol = POLICY_TCP, .has_ports = true, .ports = {2, 1}}, "*end before*"},
		{{.name = "r",
			 .family = IP_V6,
			 .remote = POLICY_REMOTE_PREFIX,
			 .prefix = {.addr = {.family = IP_V4}}},
			"*for IPv6*"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct policy_allow_group group = {.name = "g", .n_rules = 1, .rules = &cases[i].rule};
		g_autoptr(GError) error = NULL;
		g_assert_null(policy_allow_compile("p", &group, 1, &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
		g_assert_true(g_pattern_match_simple(cases[i].text, error->message));
	}
}

static void test_quota(void)
{
	enum { MOST = POLICY_PRIORITY_MAX - POLICY_PRIORITY_MIN };
	g_autofree struct policy_allow_rule *many = g_new0(struct policy_allow_rule, MOST + 1);
	g_autoptr(GError) error = NULL;

	for (unsigned i = 0; i <= MOST; i++)
		many[i] = (struct policy_allow_rule){.name = "r", .protocol = POLICY_TCP};
	struct policy_allow_group group = {.name = "g", .n_rules = MOST, .rules = many};
	_cleanup_(policy_rules_free) struct policy_rules *rules =
		policy_allow_compile("p", &group, 1, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(rules->group.rules[MOST - 1].priority, <, POLICY_PRIORITY_MAX);
	group.n_rules++;
	g_assert_null(policy_allow_compile("p", &group, 1, &error));
	g_assert_error(error, FAULT, FAULT_QUOTA);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/policy_allow/what any group allows is allowed", test_union);
	g_test_add_func("/policy_allow/a remote group stands for its members", test_remote_group);
	g_test_add_func("/policy_allow/nothing else is allowed, but the platform", test_nothing_else);
	g_test_add_func("/policy_allow/compiled groups go through the state's JSON", test_json);
	g_test_add_func("/policy_allow/rules that could never match are refused", test_faults);
	g_test_add_func("/policy_allow/all priorities but one are for rules", test_quota);
	return g_test_run();
}
