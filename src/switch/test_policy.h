/* Random security groups and addresses for differential tests. Everything comes from g_test_rand_*, so that
 * the seed which the test prints replays it (--seed). Values are drawn from small sets, so that rules and
 * packets meet. */
#pragma once
#include "policy/policy.h"

#include <glib.h>

#define TEST_RULES_MAX 40

struct test_group {
	struct policy_group group;
	struct policy_rule rules[TEST_RULES_MAX];
	struct ip_prefix prefixes[TEST_RULES_MAX][2][2];
	struct policy_ports ports[TEST_RULES_MAX][2][2];
	char names[TEST_RULES_MAX][16];
};

static inline unsigned test_below(unsigned n)
{
	return (unsigned)g_test_rand_int_range(0, (int)n);
}

static inline struct ip_addr test_addr(const char *text)
{
	struct ip_addr addr;

	g_assert_cmpint(ip_parse(text, &addr), ==, 0);
	return addr;
}

static inline struct ip_prefix test_prefix(const char *text)
{
	struct ip_prefix prefix;

	g_assert_cmpint(prefix_parse(text, &prefix), ==, 0);
	return prefix;
}

static inline struct ip_prefix test_random_prefix(void)
{
	static const char *const prefixes[] = {"0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24",
		"10.1.1.4/32", "10.1.1.4/31", "10.1.2.0/25", "203.0.113.0/24", "203.0.113.77/32",
		"8.8.8.8/32", "168.63.129.16/32", "128.0.0.0/1", "::/0", "fd00::/8", "fd00:1::/64",
		"fd00:1::4/128", "fd00:1::4/127", "2001:db8::/33"};

	return test_prefix(prefixes[test_below(G_N_ELEMENTS(prefixes))]);
}

static inline uint16_t test_random_port(void)
{
	static const uint16_t ports[] = {
		0, 1, 21, 22, 23, 53, 80, 443, 1023, 1024, 8079, 8080, 8081, 65534, 65535};

	return ports[test_below(G_N_ELEMENTS(ports))];
}

static inline uint8_t test_random_protocol(void)
{
	static const uint8_t protocols[] = {POLICY_ANY, POLICY_ICMP, POLICY_TCP, POLICY_TCP, POLICY_TCP,
		POLICY_UDP, POLICY_UDP, POLICY_ESP, POLICY_AH};

	return protocols[test_below(G_N_ELEMENTS(protocols))];
}

static inline void test_random_side(
	struct test_group *group, unsigned rule, unsigned which, struct policy_side *side)
{
	struct ip_prefix *prefixes = group->prefixes[rule][which];
	struct policy_ports *ports = group->ports[rule][which];

	switch (test_below(5)) {
	case 0: side->tags = POLICY_TAG_ANY; break;
	case 1: side->tags = POLICY_TAG_VIRTUAL_NETWORK; break;
	case 2: side->tags = POLICY_TAG_INTERNET; break;
	case 3: side->tags = test_below(2) ? POLICY_TAG_LOAD_BALANCER : 0; break;
	default: break;
	}
	side->n_prefixes = side->tags && test_below(2) ? 0 : 1 + test_below(2);
	side->prefixes = prefixes;
	for (unsigned i = 0; i < side->n_prefixes; i++)
		prefixes[i] = test_random_prefix();
	side->n_ports = which == 0 && test_below(4) ? 0 : test_below(3);
	side->ports = ports;
	for (unsigned i = 0; i < side->n_ports; i++) {
		uint16_t a = test_random_port(), b = test_random_port();
		ports[i] = (struct policy_ports){MIN(a, b), MAX(a, b)};
	}
}

/* Fills *group; it must not be moved afterwards. */
static inline void test_random_group(struct test_group *group, const char *name)
{
	unsigned n = test_below(TEST_RULES_MAX + 1), base = 100 + test_below(3000);

	*group = (struct test_group){.group = {.name = name, .n_rules = n, .rules = group->rules}};
	for (unsigned i = 0; i < n; i++) {
		struct policy_rule *rule = &group->rules[i];
		/* Unique, and in no order. */
		rule->priority = (uint16_t)(base + i * 17 % TEST_RULES_MAX * 3);
		g_snprintf(group->names[i], sizeof group->names[i], "%.4s-%u", name, i);
		rule->name = group->names[i];
		rule->direction = test_below(2) ? POLICY_INBOUND : POLICY_OUTBOUND;
		rule->action = test_below(5) < 3 ? POLICY_ALLOW : POLICY_DENY;
		rule->protocol = test_random_protocol();
		test_random_side(group, i, 0, &rule->source);
		test_random_side(group, i, 1, &rule->destination);
	}
}
