/* The rules of one NIC of the goal: see guest_document.h. */
#include "agent/guest_document.h"

#include "model/goal_policy.h"
#include "policy/policy_document.h"
#include "policy/policy_state.h"

/* Whether connections are asked again when the group's rules change; NULL: there is no group. */
static bool revalidates(const struct goal *goal, const struct policy_group *asked)
{
	for (guint i = 0; asked && i < list_length(goal->groups); i++) {
		const struct goal_group *group = goal->groups->pdata[i];
		if (g_strcmp0(group->uid, asked->uid) == 0)
			return !group->keep_established;
	}
	return false;
}

/* Those of the NIC that have Standard public addresses: list of struct ip_prefix. */
static GArray *standard_addresses(const struct policy_state_nic *nic)
{
	GArray *list = g_array_new(false, false, sizeof(struct ip_prefix));

	for (unsigned i = 0; i < nic->n_addresses; i++) {
		const struct ip_addr ip = nic->addresses[i].ip;
		const struct ip_prefix prefix = {ip, ip.family == IP_V6 ? 128 : 32};
		if (nic->addresses[i].standard)
			g_array_append_val(list, prefix);
	}
	return list;
}

char *guest_document_text(const struct goal *goal, const struct goal_nic *nic, GError **error)
{
	json_auto_t *state_json = goal_policy_of_nic(goal, nic, error);
	_cleanup_(policy_state_free) struct policy_state *state =
		state_json ? policy_state_decode(state_json, error) : NULL;

	if (!state)
		return NULL;
	const struct policy_state_nic *asked = policy_state_get(state, 0);
	g_autoptr(GArray) standard = standard_addresses(asked);
	json_auto_t *json = policy_document_encode(&(struct policy_document){
		.nic = &asked->policy,
		.subnet_revalidates = revalidates(goal, asked->policy.subnet_group),
		.nic_revalidates = revalidates(goal, asked->policy.nic_group),
		.n_standard = standard->len,
		.standard = (const struct ip_prefix *)standard->data,
	});
	return policy_document_text(json);
}
