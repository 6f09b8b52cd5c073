/* Random rules. */
#include "policy/policy_gen_priv.h"

#include <string.h>

#define PREFIXES_MAX 12
#define PORTS_MAX    6
#define N_PRIORITIES (POLICY_PRIORITY_MAX - POLICY_PRIORITY_MIN + 1)

static const uint8_t worded[] = {POLICY_ANY, POLICY_TCP, POLICY_TCP, POLICY_TCP, POLICY_UDP, POLICY_UDP,
	POLICY_ICMP, POLICY_ESP, POLICY_AH};
static const uint8_t numbered[] = {47, 132, 2, 255}; /* GRE, SCTP, IGMP, reserved */

/* ---- one side ---- */

static struct ip_prefix random_prefix(struct policy_gen *gen)
{
	struct gen_random *random = &gen->random;
	struct ip_addr addr = gen_address(gen, IP_NONE);
	unsigned bits = gen_bits(addr.family);

	switch (gen_below(random, 8)) {
	case 0: return gen_prefix_of(addr, 0);
	case 1:
	case 2: return gen_prefix_of(addr, bits);
	case 3: return gen_prefix_of(gen_once_in(random, 2) ? gen_after(addr) : gen_before(addr), bits);
	case 4: return gen_prefix_of(addr, bits - gen_below(random, 4));
	default: return gen_prefix_of(addr, gen_below(random, bits + 1));
	}
}

static void add_prefixes(struct policy_gen *gen, struct policy_side *side)
{
	unsigned n = gen_once_in(&gen->random, 4) ? 1 + gen_below(&gen->random, PREFIXES_MAX)
						  : 1 + gen_below(&gen->random, 2);
	struct ip_prefix *prefixes = gen_alloc(gen, n, sizeof *prefixes);

	for (unsigned i = 0; i < n; i++)
		prefixes[i] = random_prefix(gen);
	side->prefixes = prefixes;
	side->n_prefixes = n;
}

static void add_groups(struct policy_gen *gen, struct policy_side *side)
{
	unsigned n = 1 + gen_below(&gen->random, 2);
	uint32_t *groups = gen_alloc(gen, n, sizeof *groups);

	for (unsigned i = 0; i < n; i++)
		groups[i] = 1 + gen_below(&gen->random, GEN_APPLICATION_GROUPS);
	side->groups = groups;
	side->n_groups = n;
}

/* `narrow`: one of many rules, which would leave the others nothing if it were for any address. */
static void add_addresses(struct policy_gen *gen, struct policy_side *side, bool narrow)
{
	struct gen_random *random = &gen->random;

	switch (gen_below(random, 12)) {
	case 0:
	case 1: side->tags = narrow ? POLICY_TAG_VIRTUAL_NETWORK : POLICY_TAG_ANY; break;
	case 2:
	case 3: side->tags = POLICY_TAG_VIRTUAL_NETWORK; break;
	case 4: side->tags = POLICY_TAG_INTERNET; break;
	case 5: side->tags = gen_once_in(random, 2) ? POLICY_TAG_LOAD_BALANCER : POLICY_TAG_INTERNET; break;
	case 6:
	case 7:
		if (!gen->config.no_application_groups)
			add_groups(gen, side);
		break;
	default: break;
	}
	if ((!side->tags && !side->n_groups) || gen_once_in(random, 8))
		add_prefixes(gen, side);
	if (gen_once_in(random, 24))
		side->tags |= POLICY_TAG_LOAD_BALANCER | POLICY_TAG_VIRTUAL_NETWORK;
}

static void add_ports(struct policy_gen *gen, struct policy_side *side)
{
	struct gen_random *random = &gen->random;
	unsigned n = gen_once_in(random, 3) ? 1 + gen_below(random, PORTS_MAX) : 1;
	struct policy_ports *ports = gen_alloc(gen, n, sizeof *ports);

	for (unsigned i = 0; i < n; i++) {
		uint16_t a = gen_port(random), b = gen_once_in(random, 2) ? a : gen_port(random);
		ports[i] = (struct policy_ports){MIN(a, b), MAX(a, b)};
	}
	if (gen_once_in(random, 16))
		ports[0] = (struct policy_ports){0, UINT16_MAX};
	side->ports = ports;
	side->n_ports = n;
}

/* ---- one rule ---- */

static uint8_t random_protocol(struct policy_gen *gen)
{
	if (!gen->config.no_numbers && gen_once_in(&gen->random, 12))
		return numbered[gen_below(&gen->random, G_N_ELEMENTS(numbered))];
	return worded[gen_below(&gen->random, G_N_ELEMENTS(worded))];
}

/* All of it but for name and priority. */
static void random_rule(struct policy_gen *gen, struct policy_rule *rule, bool narrow)
{
	struct gen_random *random = &gen->random;

	rule->direction = gen_once_in(random, 2) ? POLICY_INBOUND : POLICY_OUTBOUND;
	rule->action = gen_once_in(random, 2) ? POLICY_ALLOW : POLICY_DENY;
	rule->protocol = random_protocol(gen);
	/* In many rules one end is narrow, the other often any. */
	bool narrow_source = narrow && gen_once_in(random, 2);
	add_addresses(gen, &rule->source, narrow_source);
	add_addresses(gen, &rule->destination, narrow && !narrow_source);
	bool has_ports = rule->protocol == POLICY_ANY || policy_protocol_has_ports(rule->protocol);
	if (has_ports && !gen_once_in(random, 3))
		add_ports(gen, &rule->destination);
	if (has_ports && gen_once_in(random, 8))
		add_ports(gen, &rule->source);
}

static unsigned random_length(struct policy_gen *gen)
{
	struct gen_random *random = &gen->random;
	unsigned max = gen->config.rules_max;

	switch (gen_below(random, 8)) {
	case 0: return gen_once_in(random, 2) ? 0 : 1;
	case 1: return max;
	case 2: return 1 + gen_below(random, max);
	case 3:
	case 4: return 1 + gen_below(random, MIN(max, 100));
	default: return 1 + gen_below(random, MIN(max, 16));
	}
}

/* The first n of all priorities in random order, sometimes with both ends among them. */
static void random_priorities(struct gen_random *random, uint16_t priorities[N_PRIORITIES], unsigned n)
{
	for (unsigned i = 0; i < N_PRIORITIES; i++)
		priorities[i] = (uint16_t)(POLICY_PRIORITY_MIN + i);
	for (unsigned i = 0; i < n; i++) {
		unsigned j = i + gen_below(random, N_PRIORITIES - i);
		if (i == 0 && gen_once_in(random, 4))
			j = 0;
		if (i == 1 && gen_once_in(random, 4))
			j = N_PRIORITIES - 1;
		uint16_t taken = priorities[j];
		priorities[j] = priorities[i];
		priorities[i] = taken;
	}
}

void gen_rules(struct policy_gen *gen, struct policy_group *group)
{
	unsigned n = random_length(gen);
	struct policy_rule *rules = gen_alloc(gen, n, sizeof *rules);
	uint16_t priorities[N_PRIORITIES];

	random_priorities(&gen->random, priorities, n);
	for (unsigned i = 0; i < n; i++) {
		rules[i].priority = priorities[i];
		rules[i].name = gen_text(gen, "%s-%u", group->uid, priorities[i]);
		random_rule(gen, &rules[i], n > 16);
		/* A priority may be there twice, once in each direction. */
		if (i && rules[i].direction != rules[i - 1].direction && gen_once_in(&gen->random, 4) &&
			rules[i - 1].priority == priorities[i - 1])
			rules[i].priority = priorities[i - 1];
	}
	group->rules = rules;
	group->n_rules = n;
}

/* ---- changes ---- */

static bool is_taken(const struct policy_group *group, unsigned priority)
{
	for (size_t i = 0; i < group->n_rules; i++)
		if (group->rules[i].priority == priority)
			return true;
	return false;
}

/* A copy, with room for one more. */
static struct policy_rule *copy_rules(struct policy_gen *gen, const struct policy_group *group)
{
	struct policy_rule *rules = gen_alloc(gen, group->n_rules + 1, sizeof *rules);

	if (group->n_rules)
		memcpy(rules, group->rules, group->n_rules * sizeof *rules);
	return rules;
}

static void append_rule(struct policy_gen *gen, struct policy_group *group, struct policy_rule *rules)
{
	unsigned priority = POLICY_PRIORITY_MIN + gen_below(&gen->random, N_PRIORITIES);

	while (is_taken(group, priority))
		priority = priority == POLICY_PRIORITY_MAX ? POLICY_PRIORITY_MIN : priority + 1;
	rules[group->n_rules] = (struct policy_rule){
		.name = gen_text(gen, "%s-%u", group->uid, priority),
		.priority = (uint16_t)priority,
	};
	random_rule(gen, &rules[group->n_rules++], false);
}

void gen_change_rule(struct policy_gen *gen, struct policy_group *group)
{
	struct policy_rule *rules = copy_rules(gen, group);
	unsigned i = gen_below(&gen->random, (unsigned)group->n_rules);
	unsigned what = gen_below(&gen->random, 3);

	if (group->n_rules == 0 || (what == 0 && group->n_rules < gen->config.rules_max)) {
		append_rule(gen, group, rules);
	} else if (what == 1) {
		rules[i] = rules[--group->n_rules];
	} else {
		rules[i] = (struct policy_rule){.name = rules[i].name, .priority = rules[i].priority};
		uint8_t direction = group->rules[i].direction;
		random_rule(gen, &rules[i], false);
		rules[i].direction = direction;
	}
	group->rules = rules;
}
