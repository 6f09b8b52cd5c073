/* What all providers of NIC functions share. */
#include "nic/provider.h"

void nic_function_free(struct nic_function *function)
{
	if (!function)
		return;
	g_free(function->name);
	g_free(function->nic);
	g_free(function->representor);
	g_free(function->loss);
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

const char *nic_use_word(enum nic_use use)
{
	static const char *const words[] = {
		[NIC_USE_FREE] = "free",
		[NIC_USE_CLAIMED] = "claimed",
		[NIC_USE_ARMED] = "armed",
		[NIC_USE_CUT] = "cut",
		[NIC_USE_RELEASING] = "releasing",
		[NIC_USE_QUARANTINED] = "quarantined",
		[NIC_USE_LOST] = "lost",
		[NIC_USE_UNAVAILABLE] = "unavailable",
	};

	return words[use];
}

void nic_device_free(struct nic_device *device)
{
	if (!device)
		return;
	g_free(device->name);
	g_free(device->physical);
	g_free(device->pf);
	g_free(device->pf_netdev);
	g_free(device->representor);
	g_free(device->nic);
	g_free(device->detail);
	g_free(device);
}
