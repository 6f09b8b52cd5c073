/* The rules of one NIC of the goal: see guest_document.h. */
#include "agent/guest_document.h"

#include "agent/switch_state.h"
#include "base/fault.h"
#include "policy/policy_document.h"
#include "policy/policy_json.h"

/* A group of the goal as the policy engine has it. */
struct asked_group {
	struct policy_rules *rules; /* Owned; NULL: no group */
	bool revalidates;
};

static void asked_group_clear(struct asked_group *group)
{
	g_clear_pointer(&group->rules, policy_rules_free);
}
CLEANUP_CLEAR_FUNC(struct asked_group, asked_group_clear)

static const struct policy_group *policy_of(const struct asked_group *group)
{
	return group->rules ? &group->rules->group : NULL;
}

/* The same way as the switch is told its rules. uid NULL: no group. */
static bool read_group(const struct goal *goal, const char *uid, struct asked_group *ret, GError **error)
{
	for (guint i = 0; uid && i < list_length(goal->groups); i++) {
		const struct goal_group *group = goal->groups->pdata[i];
		if (g_strcmp0(group->uid, uid) != 0)
			continue;
		json_auto_t *json = switch_state_group(group, error);
		ret->rules =
			json ? policy_rules_decode(group->name, json_object_get(json, "rules"), error) : NULL;
		ret->revalidates = !group->keep_established;
		return ret->rules != NULL;
	}
	return !uid ||
	       fault_set(error, FAULT_INVALID, "the goal names security group %s and does not have it", uid);
}

static bool add_prefix(GArray *prefixes, const char *text, const char *what, GError **error)
{
	struct ip_prefix prefix;

	if (prefix_parse(text, &prefix) < 0)
		return fault_set(error, FAULT_INVALID, "%s is no %s", text, what);
	g_array_append_val(prefixes, prefix);
	return true;
}

/* Two lists of struct ip_prefix: what VirtualNetwork means, and the NIC's Standard addresses. */
static bool read_prefixes(const struct goal_network *network, const struct goal_nic *nic, GArray *space,
	GArray *standard, GError **error)
{
	for (guint i = 0; i < list_length(network->prefixes); i++)
		if (!add_prefix(space, network->prefixes->pdata[i], "prefix of a network", error))
			return false;
	for (guint i = 0; i < list_length(nic->addresses); i++) {
		const struct goal_address *address = nic->addresses->pdata[i];
		if (address->standard && !add_prefix(standard, address->ip, "IP address", error))
			return false;
	}
	return true;
}

char *guest_document_text(const struct goal *goal, const struct goal_nic *nic, GError **error)
{
	const struct goal_network *network = goal_find_network(goal, nic->network);
	const struct goal_subnet *subnet = goal_find_subnet(network, nic->subnet);
	_cleanup_(asked_group_clear) struct asked_group at_subnet = {}, at_nic = {};
	g_autoptr(GArray) space = g_array_new(false, false, sizeof(struct ip_prefix));
	g_autoptr(GArray) standard = g_array_new(false, false, sizeof(struct ip_prefix));

	if (!subnet) {
		fault_set(error, FAULT_INVALID, "the goal does not have its subnet");
		return NULL;
	}
	if (!read_group(goal, subnet->security_group, &at_subnet, error) ||
		!read_group(goal, nic->security_group, &at_nic, error) ||
		!read_prefixes(network, nic, space, standard, error))
		return NULL;
	const struct policy_nic policy = {
		.subnet_group = policy_of(&at_subnet),
		.nic_group = policy_of(&at_nic),
		.space = {.n_prefixes = space->len, .prefixes = (const struct ip_prefix *)space->data},
	};
	json_auto_t *json = policy_document_encode(&(struct policy_document){
		.nic = &policy,
		.subnet_revalidates = at_subnet.revalidates,
		.nic_revalidates = at_nic.revalidates,
		.n_standard = standard->len,
		.standard = (const struct ip_prefix *)standard->data,
	});
	return policy_document_text(json);
}
