/* Table tests of the reference evaluator: one table a topic, one line a promise. */
#include "policy/policy.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>

#define TAG_VNET POLICY_TAG_VIRTUAL_NETWORK
#define TAG_INET POLICY_TAG_INTERNET
#define TAG_LB   POLICY_TAG_LOAD_BALANCER
#define ANY_SIDE                                                                                             \
	{                                                                                                    \
		.tags = POLICY_TAG_ANY                                                                       \
	}
#define PORTS(...)                                                                                           \
	.ports = (const struct policy_ports[]){__VA_ARGS__},                                                 \
	.n_ports = G_N_ELEMENTS(((const struct policy_ports[]){__VA_ARGS__}))
#define PREFIXES(...)                                                                                        \
	.prefixes = (const struct ip_prefix[]){__VA_ARGS__},                                                 \
	.n_prefixes = G_N_ELEMENTS(((const struct ip_prefix[]){__VA_ARGS__}))
#define GROUPS(...)                                                                                          \
	.groups = (const uint32_t[]){__VA_ARGS__}, .n_groups = G_N_ELEMENTS(((const uint32_t[]){__VA_ARGS__}))
#define GROUP(...)                                                                                           \
	&(const struct policy_group)                                                                         \
	{                                                                                                    \
		.rules = (const struct policy_rule[]){__VA_ARGS__},                                          \
		.n_rules = G_N_ELEMENTS(((const struct policy_rule[]){__VA_ARGS__}))                         \
	}
#define V4(a, b, c, d, len)                                                                                  \
	{                                                                                                    \
		.addr = {.family = IP_V4, .bytes = {a, b, c, d}}, .length = len                              \
	}
#define V6_FD00(n, len)                                                                                      \
	{                                                                                                    \
		.addr = {.family = IP_V6, .bytes = {0xfd, [15] = n}}, .length = len                          \
	}

/* The network of all tests: 192.168.0.0/16 and fd00::/64. */
static const struct ip_prefix space_prefixes[] = {V4(192, 168, 0, 0, 16), V6_FD00(0, 64)};
static const struct policy_space space = {
	.prefixes = space_prefixes, .n_prefixes = G_N_ELEMENTS(space_prefixes)};

/* "in tcp 1.2.3.4 1000 5.6.7.8 22", as many words always; ports are 0 where the protocol has none. */
static struct policy_packet packet_parse(const char *text)
{
	char direction[8], protocol[8], source[IP_TEXT_MAX], destination[IP_TEXT_MAX];
	struct policy_packet packet = {};
	static const struct {
		const char *name;
		uint8_t number;
	} protocols[] = {{"icmp", POLICY_ICMP}, {"tcp", POLICY_TCP}, {"udp", POLICY_UDP}, {"esp", POLICY_ESP},
		{"ah", POLICY_AH}, {"gre", 47}};

	g_assert_cmpint(sscanf(text, "%7s %7s %45s %hu %45s %hu", direction, protocol, source,
				&packet.source_port, destination, &packet.destination_port),
		==, 6);
	g_assert_cmpint(ip_parse(source, &packet.source), ==, 0);
	g_assert_cmpint(ip_parse(destination, &packet.destination), ==, 0);
	packet.direction = g_str_equal(direction, "in") ? POLICY_INBOUND : POLICY_OUTBOUND;
	for (size_t i = 0; i < G_N_ELEMENTS(protocols); i++)
		if (g_str_equal(protocol, protocols[i].name))
			packet.protocol = protocols[i].number;
	g_assert_cmpint(packet.protocol, !=, 0);
	return packet;
}

static struct policy_verdict check(const struct policy_nic *nic, const char *text)
{
	struct policy_packet packet = packet_parse(text);

	return policy_check(nic, &packet);
}

struct match_case {
	const char *packet;
	bool matches;
	struct policy_rule rule;
};

static void assert_matches(const struct match_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct policy_packet packet = packet_parse(cases[i].packet);
		if (policy_rule_matches(&cases[i].rule, &space, &packet) != cases[i].matches)
			g_error("case %zu: \"%s\" should %smatch", i, cases[i].packet,
				cases[i].matches ? "" : "not ");
	}
}

static void test_direction_and_protocol(void)
{
	static const struct match_case cases[] = {
		{"in tcp 9.9.9.9 1 192.168.1.4 2", true, {.source = ANY_SIDE, .destination = ANY_SIDE}},
		{"out tcp 9.9.9.9 1 192.168.1.4 2", false, {.source = ANY_SIDE, .destination = ANY_SIDE}},
		{"out tcp 192.168.1.4 1 9.9.9.9 2", true,
			{.direction = POLICY_OUTBOUND, .source = ANY_SIDE, .destination = ANY_SIDE}},
		{"in tcp 9.9.9.9 1 192.168.1.4 2", true,
			{.protocol = POLICY_TCP, .source = ANY_SIDE, .destination = ANY_SIDE}},
		{"in udp 9.9.9.9 1 192.168.1.4 2", false,
			{.protocol = POLICY_TCP, .source = ANY_SIDE, .destination = ANY_SIDE}},
		{"in udp 9.9.9.9 1 192.168.1.4 2", true,
			{.protocol = POLICY_UDP, .source = ANY_SIDE, .destination = ANY_SIDE}},
		{"in esp 9.9.9.9 0 192.168.1.4 0", true,
			{.protocol = POLICY_ESP, .source = ANY_SIDE, .destination = ANY_SIDE}},
		{"in ah 9.9.9.9 0 192.168.1.4 0", true,
			{.protocol = POLICY_AH, .source = ANY_SIDE, .destination = ANY_SIDE}},
		{"in ah 9.9.9.9 0 192.168.1.4 0", false,
			{.protocol = POLICY_ESP, .source = ANY_SIDE, .destination = ANY_SIDE}},
		{"in gre 9.9.9.9 0 192.168.1.4 0", true, {.source = ANY_SIDE, .destination = ANY_SIDE}},
	};

	assert_matches(cases, G_N_ELEMENTS(cases));
}

static void test_icmp(void)
{
	const struct policy_rule icmp = {
		.protocol = POLICY_ICMP, .source = ANY_SIDE, .destination = ANY_SIDE};
	const struct match_case cases[] = {
		{"in icmp 9.9.9.9 0 192.168.1.4 0", true, icmp},
		{"in icmp 2001:db8::9 0 fd00::4 0", true, icmp},
		{"in tcp 2001:db8::9 1 fd00::4 2", false, icmp},
	};

	assert_matches(cases, G_N_ELEMENTS(cases));
}

static void test_tags(void)
{
	const struct match_case cases[] = {
		{"in tcp 192.168.255.255 1 192.168.1.4 2", true,
			{.source = {.tags = TAG_VNET}, .destination = {.tags = TAG_VNET}}},
		{"in tcp 192.167.255.255 1 192.168.1.4 2", false,
			{.source = {.tags = TAG_VNET}, .destination = ANY_SIDE}},
		{"in tcp 168.63.129.16 1 192.168.1.4 2", true,
			{.source = {.tags = TAG_VNET}, .destination = ANY_SIDE}},
		{"in tcp 169.254.169.254 1 192.168.1.4 2", false,
			{.source = {.tags = TAG_VNET}, .destination = ANY_SIDE}},
		{"in tcp 9.9.9.9 1 192.168.1.4 2", true,
			{.source = {.tags = TAG_INET}, .destination = ANY_SIDE}},
		{"in tcp 192.168.7.7 1 192.168.1.4 2", false,
			{.source = {.tags = TAG_INET}, .destination = ANY_SIDE}},
		{"in tcp 168.63.129.16 1 192.168.1.4 2", false,
			{.source = {.tags = TAG_INET}, .destination = ANY_SIDE}},
		{"in tcp 168.63.129.16 1 192.168.1.4 2", true,
			{.source = {.tags = TAG_LB}, .destination = ANY_SIDE}},
		{"in tcp 9.9.9.9 1 192.168.1.4 2", false,
			{.source = {.tags = TAG_LB}, .destination = ANY_SIDE}},
		{"in tcp 9.9.9.9 1 192.168.1.4 2", true,
			{.source = {.tags = TAG_INET | TAG_VNET}, .destination = ANY_SIDE}},
		{"in tcp fd00::9 1 fd00::4 2", true,
			{.source = {.tags = TAG_VNET}, .destination = {.tags = TAG_VNET}}},
		{"in tcp 2001:db8::9 1 fd00::4 2", true,
			{.source = {.tags = TAG_INET}, .destination = ANY_SIDE}},
		{"in tcp 9.9.9.9 1 192.168.1.4 2", false,
			{.destination = ANY_SIDE}}, /* a side that names nothing */
	};

	assert_matches(cases, G_N_ELEMENTS(cases));
}

static void test_prefixes(void)
{
	const struct policy_side two = {PREFIXES(V4(10, 0, 0, 0, 8), V4(9, 9, 9, 9, 32))};
	const struct policy_side all_v4 = {PREFIXES(V4(0, 0, 0, 0, 0))};
	const struct policy_side v6 = {PREFIXES(V6_FD00(9, 128))};
	const struct match_case cases[] = {
		{"in tcp 10.255.0.1 1 192.168.1.4 2", true, {.source = two, .destination = ANY_SIDE}},
		{"in tcp 9.9.9.9 1 192.168.1.4 2", true, {.source = two, .destination = ANY_SIDE}},
		{"in tcp 9.9.9.10 1 192.168.1.4 2", false, {.source = two, .destination = ANY_SIDE}},
		{"in tcp 192.168.1.4 1 10.255.0.1 2", false, {.source = two, .destination = ANY_SIDE}},
		{"in tcp 192.168.1.4 1 10.255.0.1 2", true, {.source = ANY_SIDE, .destination = two}},
		{"in tcp 1.2.3.4 1 192.168.1.4 2", true, {.source = all_v4, .destination = ANY_SIDE}},
		{"in tcp 2001:db8::9 1 fd00::4 2", false, {.source = all_v4, .destination = ANY_SIDE}},
		{"in tcp fd00::9 1 fd00::4 2", true, {.source = v6, .destination = ANY_SIDE}},
		{"in tcp fd00::8 1 fd00::4 2", false, {.source = v6, .destination = ANY_SIDE}},
	};

	assert_matches(cases, G_N_ELEMENTS(cases));
}

static void test_ports(void)
{
	const struct policy_side web = {.tags = POLICY_TAG_ANY, PORTS({80, 80}, {8000, 8999})};
	const struct policy_side all = {.tags = POLICY_TAG_ANY, PORTS({0, 65535})};
	const struct match_case cases[] = {
		{"in tcp 9.9.9.9 1 192.168.1.4 80", true, {.source = ANY_SIDE, .destination = web}},
		{"in udp 9.9.9.9 1 192.168.1.4 80", true, {.source = ANY_SIDE, .destination = web}},
		{"in tcp 9.9.9.9 1 192.168.1.4 79", false, {.source = ANY_SIDE, .destination = web}},
		{"in tcp 9.9.9.9 1 192.168.1.4 8000", true, {.source = ANY_SIDE, .destination = web}},
		{"in tcp 9.9.9.9 1 192.168.1.4 8999", true, {.source = ANY_SIDE, .destination = web}},
		{"in tcp 9.9.9.9 1 192.168.1.4 9000", false, {.source = ANY_SIDE, .destination = web}},
		{"in tcp 9.9.9.9 80 192.168.1.4 1", false, {.source = ANY_SIDE, .destination = web}},
		{"in tcp 9.9.9.9 80 192.168.1.4 1", true, {.source = web, .destination = ANY_SIDE}},
		{"in tcp 9.9.9.9 0 192.168.1.4 65535", true, {.source = all, .destination = all}},
		{"in icmp 9.9.9.9 0 192.168.1.4 0", false, {.source = ANY_SIDE, .destination = all}},
		{"in esp 9.9.9.9 0 192.168.1.4 0", false, {.source = all, .destination = ANY_SIDE}},
		/* No decoder makes such rules; one that came all the same is never held against port 0. */
		{"in icmp 9.9.9.9 0 192.168.1.4 0", false,
			{.protocol = POLICY_ICMP, .source = ANY_SIDE, .destination = all}},
		{"in esp 9.9.9.9 0 192.168.1.4 0", false,
			{.protocol = POLICY_ESP, .source = all, .destination = ANY_SIDE}},
	};

	assert_matches(cases, G_N_ELEMENTS(cases));
}

/* 7 is the jump host 192.168.1.9, 3 and 5 have 192.168.1.4 and fd00::4. */
static const struct policy_members members[] = {
	{.group = 7, PREFIXES(V4(192, 168, 1, 9, 32))},
	{.group = 3, PREFIXES(V4(192, 168, 1, 4, 32))},
	{.group = 5, PREFIXES(V6_FD00(4, 128), V4(192, 168, 1, 4, 32))},
};

static void test_application_groups(void)
{
	const struct policy_rule web_from_jump = {
		.source = {GROUPS(7)}, .destination = {GROUPS(2, 5), PORTS({22, 22})}};
	const struct policy_space network = {.members = members, .n_members = G_N_ELEMENTS(members)};
	static const struct {
		const char *packet;
		bool matches;
	} cases[] = {
		{"in tcp 192.168.1.9 1 192.168.1.4 22", true},
		{"in tcp 192.168.1.9 1 192.168.1.4 23", false},
		{"in tcp 192.168.1.9 1 192.168.1.5 22", false}, /* a member of none */
		{"in tcp 192.168.1.8 1 192.168.1.4 22", false},
		{"in tcp 192.168.1.4 1 192.168.1.9 22", false},
		{"in tcp fd00::9 1 fd00::4 22", false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct policy_packet packet = packet_parse(cases[i].packet);
		g_test_message("%s", cases[i].packet);
		g_assert_cmpint(policy_rule_matches(&web_from_jump, &network, &packet), ==, cases[i].matches);
		/* In another network these addresses are somebody else's. */
		g_assert_false(policy_rule_matches(&web_from_jump, &space, &packet));
	}
}

/* A verdict by a rule, named. */
struct rule_case {
	const char *packet;
	bool allow;
	const char *rule;
};

static void assert_rules(const struct policy_nic *nic, const struct rule_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct policy_verdict verdict = check(nic, cases[i].packet);
		g_test_message("%s", cases[i].packet);
		g_assert_cmpint(verdict.reason, ==, POLICY_BY_RULE);
		g_assert_cmpstr(verdict.rule->name, ==, cases[i].rule);
		g_assert_cmpint(verdict.allow, ==, cases[i].allow);
	}
}

static void test_default_rules(void)
{
	static const struct policy_group empty = {.name = "empty"};
	const struct policy_nic nic = {.nic_group = &empty, .space = space};
	static const struct rule_case cases[] = {
		{"in tcp 192.168.9.9 1 192.168.1.4 22", true, "AllowVnetInBound"},
		{"in tcp 9.9.9.9 1 192.168.1.4 22", false, "DenyAllInBound"},
		{"in icmp 9.9.9.9 0 192.168.1.4 0", false, "DenyAllInBound"},
		{"in tcp 192.168.9.9 1 10.0.0.1 22", false, "DenyAllInBound"},
		{"in tcp fd00::9 1 fd00::4 22", true, "AllowVnetInBound"},
		{"in tcp 2001:db8::9 1 fd00::4 22", false, "DenyAllInBound"},
		{"out tcp 192.168.1.4 1 192.168.9.9 22", true, "AllowVnetOutBound"},
		{"out gre 192.168.1.4 0 192.168.9.9 0", true, "AllowVnetOutBound"},
		{"out udp 192.168.1.4 1 9.9.9.9 53", true, "AllowInternetOutBound"},
		{"out udp fd00::4 1 2001:db8::9 53", true, "AllowInternetOutBound"},
		{"out udp 9.9.9.8 1 192.168.9.9 53", false, "DenyAllOutBound"},
	};
	static const struct {
		const char *name;
		unsigned priority, direction, action;
	} expected[] = {
		{"AllowVnetInBound", 65000, POLICY_INBOUND, POLICY_ALLOW},
		{"AllowAzureLoadBalancerInBound", 65001, POLICY_INBOUND, POLICY_ALLOW},
		{"DenyAllInBound", 65500, POLICY_INBOUND, POLICY_DENY},
		{"AllowVnetOutBound", 65000, POLICY_OUTBOUND, POLICY_ALLOW},
		{"AllowInternetOutBound", 65001, POLICY_OUTBOUND, POLICY_ALLOW},
		{"DenyAllOutBound", 65500, POLICY_OUTBOUND, POLICY_DENY},
	};
	size_t n;
	const struct policy_rule *rules = policy_default_rules(&n);

	g_assert_cmpuint(n, ==, G_N_ELEMENTS(expected));
	for (size_t i = 0; i < n; i++) {
		g_assert_cmpstr(rules[i].name, ==, expected[i].name);
		g_assert_cmpuint(rules[i].priority, ==, expected[i].priority);
		g_assert_cmpuint(rules[i].direction, ==, expected[i].direction);
		g_assert_cmpuint(rules[i].action, ==, expected[i].action);
	}
	assert_rules(&nic, cases, G_N_ELEMENTS(cases));
}

static void test_load_balancer_rule(void)
{
	size_t n;
	const struct policy_rule *rule = &policy_default_rules(&n)[1];
	const struct match_case cases[] = {
		{"in tcp 168.63.129.16 1 192.168.1.4 80", true, *rule},
		{"in tcp 9.9.9.9 1 192.168.1.4 80", false, *rule},
	};

	assert_matches(cases, G_N_ELEMENTS(cases));
}

static void test_priority_order(void)
{
	const struct policy_rule deny_net = {.name = "deny-net",
		.priority = 300,
		.action = POLICY_DENY,
		.source = {PREFIXES(V4(9, 9, 9, 0, 24))},
		.destination = ANY_SIDE};
	const struct policy_rule allow_ssh = {.name = "allow-ssh",
		.priority = 200,
		.action = POLICY_ALLOW,
		.protocol = POLICY_TCP,
		.source = ANY_SIDE,
		.destination = {.tags = POLICY_TAG_ANY, PORTS({22, 22})}};
	const struct policy_rule deny_one = {.name = "deny-one",
		.priority = 100,
		.action = POLICY_DENY,
		.source = {PREFIXES(V4(9, 9, 9, 9, 32))},
		.destination = ANY_SIDE};
	const struct policy_rule allow_rest = {.name = "allow-rest",
		.priority = 4096,
		.action = POLICY_ALLOW,
		.source = ANY_SIDE,
		.destination = ANY_SIDE};
	static const struct rule_case cases[] = {
		{"in tcp 9.9.9.9 1 192.168.1.4 22", false, "deny-one"},
		{"in tcp 9.9.9.8 1 192.168.1.4 22", true, "allow-ssh"},
		{"in tcp 9.9.9.8 1 192.168.1.4 23", false, "deny-net"},
		{"in tcp 9.9.8.8 1 192.168.1.4 23", true, "allow-rest"},
		{"out tcp 192.168.1.4 22 9.9.9.9 1", true, "AllowInternetOutBound"},
	};
	const struct policy_group *const orders[] = {
		GROUP(deny_net, allow_ssh, deny_one, allow_rest),
		GROUP(allow_rest, deny_one, allow_ssh, deny_net),
		GROUP(deny_one, allow_ssh, deny_net, allow_rest),
		GROUP(allow_ssh, allow_rest, deny_net, deny_one),
	};

	for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
		const struct policy_nic nic = {.nic_group = orders[i], .space = space};
		assert_rules(&nic, cases, G_N_ELEMENTS(cases));
	}
}

static const struct policy_rule allow_in = {.name = "allow-in",
	.priority = 100,
	.direction = POLICY_INBOUND,
	.action = POLICY_ALLOW,
	.source = ANY_SIDE,
	.destination = ANY_SIDE};
static const struct policy_rule deny_in = {.name = "deny-in",
	.priority = 100,
	.direction = POLICY_INBOUND,
	.action = POLICY_DENY,
	.source = ANY_SIDE,
	.destination = ANY_SIDE};
static const struct policy_rule deny_out = {.name = "deny-out",
	.priority = 100,
	.direction = POLICY_OUTBOUND,
	.action = POLICY_DENY,
	.source = ANY_SIDE,
	.destination = ANY_SIDE};

static void test_both_must_allow(void)
{
	const struct policy_group *allow = GROUP(allow_in), *deny = GROUP(deny_in, deny_out);
	const struct {
		const struct policy_group *subnet, *nic;
		const char *packet;
		bool allow;
		const struct policy_group *decided;
	} cases[] = {
		{allow, allow, "in tcp 9.9.9.9 1 192.168.1.4 22", true, allow},
		{deny, allow, "in tcp 9.9.9.9 1 192.168.1.4 22", false, deny},
		{allow, deny, "in tcp 9.9.9.9 1 192.168.1.4 22", false, deny},
		{allow, NULL, "in tcp 9.9.9.9 1 192.168.1.4 22", true, allow},
		{deny, NULL, "in tcp 9.9.9.9 1 192.168.1.4 22", false, deny},
		{NULL, allow, "in tcp 9.9.9.9 1 192.168.1.4 22", true, allow},
		{NULL, deny, "in tcp 9.9.9.9 1 192.168.1.4 22", false, deny},
		{deny, allow, "out tcp 192.168.1.4 1 9.9.9.9 22", false, deny},
		{allow, deny, "out tcp 192.168.1.4 1 9.9.9.9 22", false, deny},
		{allow, NULL, "out tcp 192.168.1.4 1 9.9.9.9 22", true, allow},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct policy_nic nic = {
			.subnet_group = cases[i].subnet, .nic_group = cases[i].nic, .space = space};
		struct policy_verdict verdict = check(&nic, cases[i].packet);
		g_test_message("case %zu", i);
		g_assert_cmpint(verdict.allow, ==, cases[i].allow);
		g_assert_true(verdict.group == cases[i].decided);
	}
}

static void test_order_of_groups(void)
{
	const struct policy_group *subnet_group = GROUP(deny_in, deny_out),
				  *nic_group = GROUP(deny_in, deny_out);
	const struct policy_group *open = GROUP(allow_in);
	struct policy_nic nic = {.subnet_group = subnet_group, .nic_group = nic_group, .space = space};

	g_assert_true(check(&nic, "in tcp 9.9.9.9 1 192.168.1.4 22").group == subnet_group);
	g_assert_true(check(&nic, "out tcp 192.168.1.4 1 9.9.9.9 22").group == nic_group);
	nic.nic_group = open;
	nic.subnet_group = GROUP(allow_in);
	g_assert_true(check(&nic, "in tcp 9.9.9.9 1 192.168.1.4 22").group == open);
	g_assert_true(check(&nic, "out tcp 192.168.1.4 1 9.9.9.9 22").group == nic.subnet_group);
}

static void test_platform_addresses(void)
{
	const struct policy_group *closed = GROUP(deny_in, deny_out);
	const struct policy_nic nic = {.subnet_group = closed, .nic_group = closed, .space = space};
	static const struct {
		const char *packet;
		bool platform;
	} cases[] = {
		{"out tcp 192.168.1.4 1 169.254.169.254 80", true},
		{"out tcp 192.168.1.4 1 168.63.129.16 80", true},
		{"in tcp 168.63.129.16 1 192.168.1.4 80", true},
		{"in tcp 169.254.169.254 80 192.168.1.4 1", true},
		{"out tcp 192.168.1.4 1 169.254.169.253 80", false},
		{"out tcp 168.63.129.16 1 9.9.9.9 80", false}, /* the far end counts, not the near one */
		{"in tcp 9.9.9.9 1 169.254.169.254 80", false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct policy_verdict verdict = check(&nic, cases[i].packet);
		g_test_message("%s", cases[i].packet);
		g_assert_cmpint(verdict.allow, ==, cases[i].platform);
		g_assert_cmpint(verdict.reason, ==, cases[i].platform ? POLICY_BY_PLATFORM : POLICY_BY_RULE);
	}
}

static void test_no_group(void)
{
	static const struct {
		const char *packet;
		bool standard, allow;
		enum policy_reason reason;
	} cases[] = {
		{"in tcp 9.9.9.9 1 192.168.1.4 22", false, true, POLICY_BY_NO_GROUP},
		{"out tcp 192.168.1.4 1 9.9.9.9 22", false, true, POLICY_BY_NO_GROUP},
		{"in tcp 9.9.9.9 1 192.168.1.4 22", true, false, POLICY_BY_ADDRESS},
		{"in icmp 2001:db8::9 0 fd00::4 0", true, false, POLICY_BY_ADDRESS},
		{"in tcp 192.168.9.9 1 192.168.1.4 22", true, true, POLICY_BY_NO_GROUP},
		{"out tcp 192.168.1.4 1 9.9.9.9 22", true, true, POLICY_BY_NO_GROUP},
		{"in tcp 168.63.129.16 1 192.168.1.4 22", true, true, POLICY_BY_PLATFORM},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct policy_nic nic = {.space = space, .standard_address = cases[i].standard};
		struct policy_verdict verdict = check(&nic, cases[i].packet);
		g_test_message("case %zu", i);
		g_assert_cmpint(verdict.allow, ==, cases[i].allow);
		g_assert_cmpint(verdict.reason, ==, cases[i].reason);
		g_assert_null(verdict.rule);
	}
}

static void test_group_with_standard_address(void)
{
	const struct policy_nic nic = {
		.subnet_group = GROUP(allow_in), .space = space, .standard_address = true};

	g_assert_true(check(&nic, "in tcp 9.9.9.9 1 192.168.1.4 22").allow);
}

static void test_explanation(void)
{
	const struct policy_group *subnet_group = GROUP(deny_in), *nic_group = GROUP(allow_in);
	const struct policy_nic nic = {.subnet_group = subnet_group, .nic_group = nic_group, .space = space};
	struct policy_packet packet = packet_parse("in tcp 9.9.9.9 1 192.168.1.4 22");
	struct policy_explanation in = policy_explain(&nic, &packet);

	g_assert_false(in.verdict.allow);
	g_assert_true(in.verdict.group == subnet_group);
	g_assert_cmpuint(in.n_steps, ==, 2);
	g_assert_cmpint(in.steps[0].at, ==, POLICY_AT_SUBNET);
	g_assert_cmpstr(in.steps[0].rule->name, ==, "deny-in");
	g_assert_false(in.steps[0].allow);
	g_assert_cmpint(in.steps[1].at, ==, POLICY_AT_NIC);
	g_assert_cmpstr(in.steps[1].rule->name, ==, "allow-in");
	g_assert_true(in.steps[1].allow);

	packet = packet_parse("out tcp 192.168.1.4 1 9.9.9.9 22");
	struct policy_explanation out = policy_explain(&nic, &packet);
	g_assert_true(out.verdict.allow);
	g_assert_cmpuint(out.n_steps, ==, 2);
	g_assert_cmpint(out.steps[0].at, ==, POLICY_AT_NIC);
	g_assert_cmpstr(out.steps[1].rule->name, ==, "AllowInternetOutBound");

	packet = packet_parse("out tcp 192.168.1.4 1 169.254.169.254 80");
	g_assert_cmpuint(policy_explain(&nic, &packet).n_steps, ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/policy/a rule matches its own direction and protocol", test_direction_and_protocol);
	g_test_add_func("/policy/an ICMP rule matches ICMP and ICMPv6", test_icmp);
	g_test_add_func("/policy/tags stand for their addresses in both families", test_tags);
	g_test_add_func("/policy/a prefix matches addresses of its own family inside it", test_prefixes);
	g_test_add_func("/policy/ports match inclusively and never on portless protocols", test_ports);
	g_test_add_func(
		"/policy/application groups stand for their members in the network", test_application_groups);
	g_test_add_func("/policy/the six default rules decide last", test_default_rules);
	g_test_add_func("/policy/the load balancer rule matches probes only", test_load_balancer_rule);
	g_test_add_func("/policy/priority decides, whatever the order of the array", test_priority_order);
	g_test_add_func("/policy/both groups must allow", test_both_must_allow);
	g_test_add_func("/policy/inbound asks the subnet first, outbound the NIC", test_order_of_groups);
	g_test_add_func("/policy/platform addresses pass groups", test_platform_addresses);
	g_test_add_func("/policy/no group allows, but not to a Standard address from outside", test_no_group);
	g_test_add_func("/policy/a group opens a Standard address", test_group_with_standard_address);
	g_test_add_func("/policy/an explanation has the word of every group", test_explanation);
	return g_test_run();
}
