/* What all providers of NIC functions share. */
#include "nic/provider.h"

void nic_function_free(struct nic_function *function)
{
	if (!function)
		return;
	g_free(function->name);
	g_free(function->nic);
	g_free(function);
}

bool nic_caps_allow(const struct nic_caps *caps, enum nic_segment segment, enum nic_policy policy, bool guest,
	enum nic_enforcer *ret_enforcer, const char **ret_reason)
{
	if (caps->bypass && !caps->tunnels && segment == NIC_SEGMENT_VXLAN) {
		*ret_reason = "Its network is a vxlan segment, which the host's functions cannot carry; "
			      "put the network on a vlan segment.";
		return false;
	}
	*ret_enforcer = caps->bypass ? NIC_ENFORCER_HARDWARE : NIC_ENFORCER_SWITCH;
	if (!caps->bypass || caps->flow_policy || policy == NIC_POLICY_ALLOW_ALL)
		return true;
	*ret_enforcer = NIC_ENFORCER_GUEST;
	*ret_reason = "Its security groups do more than allow everything, which the host's functions "
		      "cannot enforce.";
	return guest;
}
