/* What flows need of an eswitch. */
#include "offload/flow.h"

#include <stddef.h>

uint32_t offload_flow_needs(const struct offload_flow *flow)
{
	const struct offload_match *match = &flow->match;
	const struct offload_actions *actions = &flow->actions;
	uint32_t needs = match->family == IP_V6 ? OFFLOAD_IPV6 : OFFLOAD_IPV4;

	if (match->vlan != OFFLOAD_VLAN_NONE)
		needs |= OFFLOAD_VLAN_POP;
	if (actions->push_vlan != OFFLOAD_VLAN_NONE)
		needs |= OFFLOAD_VLAN_PUSH;
	if (match->tunnel.used)
		needs |= OFFLOAD_TUNNEL_MATCH;
	if (actions->tunnel.used)
		needs |= OFFLOAD_TUNNEL_SET;
	if (actions->set_macs || actions->hop)
		needs |= OFFLOAD_REWRITE;
	if (actions->set_src || actions->set_dst || actions->set_sport || actions->set_dport)
		needs |= OFFLOAD_TRANSLATE;
	if (actions->meters[0] || actions->meters[1])
		needs |= OFFLOAD_METER;
	return needs;
}

const char *offload_flow_refuse(const struct offload_flow *flow, uint32_t abilities)
{
	static const char *const texts[] = {
#define X(NAME, text) text,
		OFFLOAD_ABILITIES(X)
#undef X
	};
	uint32_t missing = offload_flow_needs(flow) & ~abilities;

	for (size_t bit = 0; bit < OFFLOAD_N_ABILITIES; bit++)
		if (missing >> bit & 1)
			return texts[bit];
	return NULL;
}
