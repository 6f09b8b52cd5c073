/* Allow-only groups: see policy_allow.h. */
#include "policy/policy_allow.h"

#include "base/fault.h"

static const struct ip_prefix all_v4 = {.addr.family = IP_V4}, all_v6 = {.addr.family = IP_V6};

struct compiler {
	struct policy_rules *rules;
	struct policy_rule *out;
	size_t n_out;
	uint16_t next[2]; /* priority, by direction */
};

/* A copy that lives as long as the rules. */
static void *keep(struct compiler *compiler, const void *data, size_t size)
{
	void *copy = g_memdup2(data, size);

	g_ptr_array_add(compiler->rules->blocks, copy);
	return copy;
}

static char *keep_text(struct compiler *compiler, char *text)
{
	g_ptr_array_add(compiler->rules->blocks, text);
	return text;
}

static void add_prefix(struct compiler *compiler, struct policy_side *side, struct ip_prefix prefix)
{
	side->prefixes = keep(compiler, &prefix, sizeof prefix);
	side->n_prefixes = 1;
}

/* Any address of the family. */
static void add_family(struct compiler *compiler, struct policy_side *side, uint8_t family)
{
	if (family == IP_NONE)
		side->tags = POLICY_TAG_ANY;
	else
		add_prefix(compiler, side, family == IP_V4 ? all_v4 : all_v6);
}

static void add_remote(
	struct compiler *compiler, struct policy_side *side, const struct policy_allow_rule *rule)
{
	switch (rule->remote) {
	case POLICY_REMOTE_PREFIX: add_prefix(compiler, side, rule->prefix); break;
	case POLICY_REMOTE_GROUP:
		side->groups = keep(compiler, &rule->group, sizeof rule->group);
		side->n_groups = 1;
		break;
	default: add_family(compiler, side, rule->family);
	}
}

static bool check(
	const struct policy_allow_group *group, const struct policy_allow_rule *rule, GError **error)
{
	if (rule->has_ports && !policy_protocol_has_ports(rule->protocol))
		return fault_set(error, FAULT_INVALID,
			"rule %s of group %s has ports, which only TCP and UDP have", rule->name,
			group->name);
	if (rule->has_ports && rule->ports.first > rule->ports.last)
		return fault_set(error, FAULT_INVALID,
			"the ports of rule %s of group %s end before they start", rule->name, group->name);
	if (rule->remote == POLICY_REMOTE_PREFIX && rule->family != IP_NONE &&
		rule->prefix.addr.family != rule->family)
		return fault_set(error, FAULT_INVALID,
			"rule %s of group %s is for IPv%d and its remote prefix is not", rule->name,
			group->name, rule->family);
	return true;
}

static bool compile_rule(struct compiler *compiler, const struct policy_allow_group *group,
	const struct policy_allow_rule *rule, GError **error)
{
	bool inbound = rule->direction == POLICY_INBOUND;
	struct policy_rule *out = &compiler->out[compiler->n_out];
	struct policy_side *remote = inbound ? &out->source : &out->destination;
	struct policy_side *local = inbound ? &out->destination : &out->source;

	if (!check(group, rule, error))
		return false;
	/* The last priority is kept for the rule that denies. */
	if (compiler->next[rule->direction] == POLICY_PRIORITY_MAX)
		return fault_set(error, FAULT_QUOTA,
			"the groups of one NIC have more than %d rules of one direction; group %s is too "
			"much",
			POLICY_PRIORITY_MAX - POLICY_PRIORITY_MIN, group->name);
	*out = (struct policy_rule){
		.name = keep_text(compiler, g_strdup_printf("%s/%s", group->name, rule->name)),
		.priority = compiler->next[rule->direction]++,
		.direction = rule->direction,
		.action = POLICY_ALLOW,
		.protocol = rule->protocol,
	};
	add_remote(compiler, remote, rule);
	/* Both ends of a packet are of one family, so the near one tells it where the far one is a group. */
	add_family(compiler, local, rule->family);
	if (rule->has_ports) {
		out->destination.ports = keep(compiler, &rule->ports, sizeof rule->ports);
		out->destination.n_ports = 1;
	}
	compiler->n_out++;
	return true;
}

static void deny_rest(struct compiler *compiler)
{
	for (uint8_t direction = POLICY_INBOUND; direction <= POLICY_OUTBOUND; direction++)
		compiler->out[compiler->n_out++] = (struct policy_rule){
			.name = "nothing else is allowed",
			.priority = POLICY_PRIORITY_MAX,
			.direction = direction,
			.action = POLICY_DENY,
			.source.tags = POLICY_TAG_ANY,
			.destination.tags = POLICY_TAG_ANY,
		};
}

struct policy_rules *policy_allow_compile(
	const char *name, const struct policy_allow_group *groups, size_t n, GError **error)
{
	_cleanup_(policy_rules_free) struct policy_rules *rules = g_new0(struct policy_rules, 1);
	struct compiler compiler = {.rules = rules, .next = {POLICY_PRIORITY_MIN, POLICY_PRIORITY_MIN}};
	size_t n_rules = 2;

	for (size_t i = 0; i < n; i++)
		n_rules += groups[i].n_rules;
	rules->blocks = g_ptr_array_new_with_free_func(g_free);
	compiler.out = g_new0(struct policy_rule, n_rules);
	g_ptr_array_add(rules->blocks, compiler.out);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < groups[i].n_rules; j++)
			if (!compile_rule(&compiler, &groups[i], &groups[i].rules[j], error))
				return NULL;
	deny_rest(&compiler);
	rules->group = (struct policy_group){
		.name = keep_text(&compiler, g_strdup(name)),
		.n_rules = compiler.n_out,
		.rules = compiler.out,
	};
	return g_steal_pointer(&rules);
}
