/* Whether the rules of a NIC allow everything. */
#include "agent/accel_policy.h"

#include "agent/switch_state.h"
#include "policy/policy_json.h"
#include "policy/policy_open.h"

/* A NIC's groups while they are looked at; zero: none. */
struct groups {
	struct policy_rules *subnet, *nic; /* Owned */
};

static void groups_done(struct groups *groups)
{
	if (groups->subnet)
		policy_rules_free(groups->subnet);
	if (groups->nic)
		policy_rules_free(groups->nic);
}
CLEANUP_CLEAR_FUNC(struct groups, groups_done)

/* False when there is such a group and its rules are not known. uid NULL: there is none. */
static bool read_group(const struct goal *goal, const char *uid, struct policy_rules **ret)
{
	*ret = NULL;
	for (guint i = 0; uid && i < list_length(goal->groups); i++) {
		const struct goal_group *group = goal->groups->pdata[i];
		if (g_strcmp0(group->uid, uid) != 0)
			continue;
		json_auto_t *json = switch_state_group(group, NULL);
		*ret = json ? policy_rules_decode(group->name, json_object_get(json, "rules"), NULL) : NULL;
		break;
	}
	return !uid || *ret;
}

/* Owned by the caller. */
static GArray *read_prefixes(const struct goal_network *network)
{
	GArray *prefixes = g_array_new(false, false, sizeof(struct ip_prefix));

	for (guint i = 0; i < list_length(network->prefixes); i++) {
		struct ip_prefix prefix;
		if (prefix_parse(network->prefixes->pdata[i], &prefix) == 0)
			g_array_append_val(prefixes, prefix);
	}
	return prefixes;
}

static bool has_standard_address(const struct goal_nic *nic)
{
	for (guint i = 0; i < list_length(nic->addresses); i++) {
		const struct goal_address *address = nic->addresses->pdata[i];
		if (address->public_ip && address->standard)
			return true;
	}
	return false;
}

enum nic_policy accel_policy_of(const struct goal *goal, const struct goal_nic *nic)
{
	const struct goal_network *network = goal_find_network(goal, nic->network);
	const struct goal_subnet *subnet = goal_find_subnet(network, nic->subnet);
	_cleanup_(groups_done) struct groups groups = {};

	if (!subnet || !read_group(goal, subnet->security_group, &groups.subnet) ||
		!read_group(goal, nic->security_group, &groups.nic))
		return NIC_POLICY_OTHER;
	g_autoptr(GArray) prefixes = read_prefixes(network);
	const struct policy_nic policy = {
		.subnet_group = groups.subnet ? &groups.subnet->group : NULL,
		.nic_group = groups.nic ? &groups.nic->group : NULL,
		.space = {.prefixes = (const void *)prefixes->data, .n_prefixes = prefixes->len},
		.standard_address = has_standard_address(nic),
	};
	return policy_is_open(&policy) ? NIC_POLICY_ALLOW_ALL : NIC_POLICY_OTHER;
}
