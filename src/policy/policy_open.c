/* Open policies: see policy_open.h. */
#include "policy/policy_open.h"

#include "policy/policy_effective.h"
#include "policy/policy_prefixes.h"

static bool lies_within(struct ip_prefix inner, struct ip_prefix outer)
{
	return inner.addr.family == outer.addr.family && inner.length >= outer.length &&
	       prefix_contains(outer, inner.addr);
}

/* A list of policy_prefixes_union(): what lies in it as a whole lies in one of its prefixes. */
static bool covers(const GArray *list, struct ip_prefix prefix)
{
	for (unsigned i = 0; i < list->len; i++)
		if (lies_within(prefix, g_array_index(list, struct ip_prefix, i)))
			return true;
	return false;
}

static bool covers_space(const struct policy_side *side, const struct policy_space *space, uint8_t family)
{
	g_autoptr(GArray) list = policy_side_prefixes(side, space);

	for (size_t i = 0; i < space->n_prefixes; i++)
		if (space->prefixes[i].addr.family == family && !covers(list, space->prefixes[i]))
			return false;
	return true;
}

/* Adds the far ends that the rule allows any packet with; none when it looks at more than them. */
static void add_far_ends(
	GArray *far, const struct policy_rule *rule, const struct policy_space *space, uint8_t family)
{
	bool inbound = rule->direction == POLICY_INBOUND;
	const struct policy_side *far_side = inbound ? &rule->source : &rule->destination;
	const struct policy_side *near_side = inbound ? &rule->destination : &rule->source;

	if (rule->protocol != POLICY_ANY || rule->source.n_ports || rule->destination.n_ports ||
		!covers_space(near_side, space, family))
		return;
	g_autoptr(GArray) added = policy_side_prefixes(far_side, space);
	if (added->len)
		g_array_append_vals(far, added->data, added->len);
}

/* Whether the group whose rules begin at `first` of the effective ones opens the family. They end with one that
 * denies. */
static bool group_is_open(
	const GArray *rules, unsigned first, const struct policy_space *space, uint8_t family)
{
	g_autoptr(GArray) far = policy_prefixes_new();

	for (unsigned i = first; i < rules->len; i++) {
		const struct policy_rule *rule = g_array_index(rules, struct policy_effective_rule, i).rule;
		if (rule->action == POLICY_DENY)
			return false;
		add_far_ends(far, rule, space, family);
		g_autoptr(GArray) all = policy_prefixes_union(far);
		if (covers(all, (struct ip_prefix){.addr.family = family}))
			return true;
	}
	return false;
}

static bool direction_is_open(const struct policy_nic *nic, enum policy_direction direction, uint8_t family)
{
	g_autoptr(GArray) rules = policy_effective(nic, direction);
	enum policy_place at = POLICY_AT_NIC;

	for (unsigned i = 0; i < rules->len; i++) {
		const struct policy_effective_rule *entry =
			&g_array_index(rules, struct policy_effective_rule, i);
		if ((i == 0 || entry->at != at) && !group_is_open(rules, i, &nic->space, family))
			return false;
		at = entry->at;
	}
	return true;
}

bool policy_is_open(const struct policy_nic *nic)
{
	if (!nic->subnet_group && !nic->nic_group)
		return !nic->standard_address;
	for (size_t i = 0; i < nic->space.n_prefixes; i++) {
		uint8_t family = nic->space.prefixes[i].addr.family;
		if (!direction_is_open(nic, POLICY_INBOUND, family) ||
			!direction_is_open(nic, POLICY_OUTBOUND, family))
			return false;
	}
	return nic->space.n_prefixes > 0;
}
