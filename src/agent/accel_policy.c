/* Whether the rules of a NIC allow everything. */
#include "agent/accel_policy.h"

#include "model/goal_policy.h"
#include "policy/policy_open.h"
#include "policy/policy_state.h"

enum nic_policy accel_policy_of(const struct goal *goal, const struct goal_nic *nic)
{
	json_auto_t *json = goal_policy_of_nic(goal, nic, NULL);
	_cleanup_(policy_state_free) struct policy_state *state =
		json ? policy_state_decode(json, NULL) : NULL;

	if (!state)
		return NIC_POLICY_OTHER;
	const struct policy_state_nic *read = policy_state_get(state, 0);
	struct policy_nic policy = read->policy;
	for (unsigned i = 0; i < read->n_addresses; i++)
		policy.standard_address |=
			read->addresses[i].standard && read->addresses[i].public_ip.family != IP_NONE;
	return policy_is_open(&policy) ? NIC_POLICY_ALLOW_ALL : NIC_POLICY_OTHER;
}
