/* Effective rules and explanations: see policy_effective.h. */
#include "policy/policy_effective.h"

#include "policy/policy_json.h"
#include "policy/policy_prefixes.h"
#include "policy/policy_words.h"

static int by_priority(const void *a, const void *b)
{
	const struct policy_effective_rule *x = a, *y = b;

	return (int)x->rule->priority - (int)y->rule->priority;
}

static void add_rules(GArray *list, const struct policy_step *step, enum policy_direction direction,
	const struct policy_rule *rules, size_t n, bool is_default)
{
	for (size_t i = 0; i < n; i++) {
		const struct policy_effective_rule entry = {
			.at = step->at,
			.group = step->group,
			.rule = &rules[i],
			.is_default = is_default,
		};
		if (rules[i].direction == direction)
			g_array_append_val(list, entry);
	}
}

GArray *policy_effective(const struct policy_nic *nic, enum policy_direction direction)
{
	GArray *list = g_array_new(false, false, sizeof(struct policy_effective_rule));
	struct policy_step steps[2];
	unsigned n_steps = policy_order(nic, direction, steps);
	size_t n_defaults;
	const struct policy_rule *defaults = policy_default_rules(&n_defaults);

	for (unsigned i = 0; i < n_steps; i++) {
		const struct policy_group *group = steps[i].group;
		g_autoptr(GArray) own = g_array_new(false, false, sizeof(struct policy_effective_rule));
		add_rules(own, &steps[i], direction, group->rules, group->n_rules, false);
		g_array_sort(own, by_priority);
		if (own->len)
			g_array_append_vals(list, own->data, own->len);
		add_rules(list, &steps[i], direction, defaults, n_defaults, true);
	}
	return list;
}

/* ---- addresses of a side ---- */

static void add_prefixes(GArray *list, const struct ip_prefix *prefixes, size_t n)
{
	if (n)
		g_array_append_vals(list, prefixes, (unsigned)n);
}

static GArray *virtual_network(const struct policy_space *space)
{
	GArray *list = policy_prefixes_new();
	const struct ip_prefix platform = policy_platform_prefix();

	add_prefixes(list, space->prefixes, space->n_prefixes);
	add_prefixes(list, &platform, 1);
	return list;
}

static void add_tags(GArray *list, uint8_t tags, const struct policy_space *space)
{
	static const struct ip_prefix all[] = {{.addr.family = IP_V4}, {.addr.family = IP_V6}};
	const struct ip_prefix platform = policy_platform_prefix();
	g_autoptr(GArray) network = virtual_network(space);

	if (tags & POLICY_TAG_ANY)
		add_prefixes(list, all, G_N_ELEMENTS(all));
	if (tags & POLICY_TAG_VIRTUAL_NETWORK)
		add_prefixes(list, (const struct ip_prefix *)network->data, network->len);
	if (tags & POLICY_TAG_INTERNET) {
		g_autoptr(GArray) rest = policy_prefixes_complement(network);
		add_prefixes(list, (const struct ip_prefix *)rest->data, rest->len);
	}
	if (tags & POLICY_TAG_LOAD_BALANCER)
		add_prefixes(list, &platform, 1);
}

static void add_members(GArray *list, uint32_t group, const struct policy_space *space)
{
	for (size_t i = 0; i < space->n_members; i++)
		if (space->members[i].group == group)
			add_prefixes(list, space->members[i].prefixes, space->members[i].n_prefixes);
}

GArray *policy_side_prefixes(const struct policy_side *side, const struct policy_space *space)
{
	g_autoptr(GArray) list = policy_prefixes_new();

	add_tags(list, side->tags, space);
	add_prefixes(list, side->prefixes, side->n_prefixes);
	for (size_t i = 0; i < side->n_groups; i++)
		add_members(list, side->groups[i], space);
	return policy_prefixes_union(list);
}

/* ---- JSON ---- */

static json_t *resolved_encode(const struct policy_side *side, const struct policy_space *space)
{
	g_autoptr(GArray) prefixes = policy_side_prefixes(side, space);
	json_t *list = json_array();
	char text[PREFIX_TEXT_MAX];

	for (unsigned i = 0; i < prefixes->len; i++)
		json_array_append_new(
			list, json_string(prefix_format(g_array_index(prefixes, struct ip_prefix, i), text)));
	return list;
}

static json_t *entry_encode(const struct policy_effective_rule *entry, const struct policy_space *space)
{
	const struct policy_rule *rule = entry->rule;
	json_t *json = json_pack("{s:s, s:s, s:s?, s:b}", "at",
		policy_word_text(policy_place_words, entry->at), "group", entry->group->name, "group_uid",
		entry->group->uid, "default", entry->is_default);

	json_object_update_new(json, policy_rule_encode(rule));
	json_object_set_new(
		json_object_get(json, "source"), "resolved", resolved_encode(&rule->source, space));
	json_object_set_new(
		json_object_get(json, "destination"), "resolved", resolved_encode(&rule->destination, space));
	return json;
}

static json_t *direction_encode(const struct policy_nic *nic, enum policy_direction direction)
{
	g_autoptr(GArray) list = policy_effective(nic, direction);
	json_t *json = json_array();

	for (unsigned i = 0; i < list->len; i++)
		json_array_append_new(json,
			entry_encode(&g_array_index(list, struct policy_effective_rule, i), &nic->space));
	return json;
}

json_t *policy_effective_encode(const struct policy_nic *nic)
{
	return json_pack("{s:o, s:o}", "inbound", direction_encode(nic, POLICY_INBOUND), "outbound",
		direction_encode(nic, POLICY_OUTBOUND));
}

static const char *action_word(bool allow)
{
	return policy_word_text(policy_action_words, allow ? POLICY_ALLOW : POLICY_DENY);
}

json_t *policy_explanation_encode(const struct policy_explanation *explanation)
{
	json_t *groups = json_array();

	for (unsigned i = 0; i < explanation->n_steps; i++) {
		const struct policy_step *step = &explanation->steps[i];
		json_array_append_new(
			groups, json_pack("{s:s, s:s, s:s?, s:s, s:i, s:b, s:s}", "at",
					policy_word_text(policy_place_words, (uint8_t)step->at), "group",
					step->group->name, "group_uid", step->group->uid, "rule",
					step->rule->name, "priority", step->rule->priority, "default",
					step->rule->priority > POLICY_PRIORITY_MAX, "action",
					action_word(step->allow)));
	}
	return json_pack("{s:s, s:s, s:o}", "verdict", action_word(explanation->verdict.allow), "reason",
		policy_word_text(policy_reason_words, (uint8_t)explanation->verdict.reason), "groups",
		groups);
}
