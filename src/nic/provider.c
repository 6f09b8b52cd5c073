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

bool nic_caps_allow(const struct nic_caps *caps, enum nic_segment segment, enum nic_policy policy,
	const char **ret_reason)
{
	if (caps->bypass && !caps->tunnels && segment == NIC_SEGMENT_VXLAN)
		*ret_reason = "Its network is a vxlan segment, which the host's functions cannot carry; "
			      "put the network on a vlan segment.";
	else if (caps->bypass && !caps->flow_policy && policy == NIC_POLICY_OTHER)
		*ret_reason = "Its security groups do more than allow everything, which the host's functions "
			      "cannot enforce.";
	else
		return true;
	return false;
}
