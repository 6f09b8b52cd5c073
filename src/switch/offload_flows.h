/* The switch's flows as an eswitch is given them (offload/flow.h): what the switch looks up for each packet (ports, next
 * hops, VTEPs) is looked up once, and what it checks of each packet beside the flow's key (MACs, tunnels) becomes part of
 * the match.
 *
 * Ports have their index in the switch as number; a NIC's limits are the meters offload_flows_meter names.
 */
#pragma once
#include "offload/flow.h"
#include "switch/datapath.h"

/* The id of a direction; another one when its entry is used again. */
static inline uint64_t offload_flows_id(const struct flow *flow, const struct flow *pair)
{
	return (uint64_t)flow->seq << 32 | pair->pair;
}

/* A direction, and the other, as copies of one moment. False: only the switch can execute it, and *ret_reason says why
 * (a constant). What it gives is right as long as the snapshot, the next hops' MACs, and the NICs' active paths are the
 * same. */
bool offload_flows_make(const struct datapath *datapath, const struct flow *flow, const struct flow *pair,
	uint32_t now_ms, struct offload_flow *ret, const char **ret_reason);

/* What a NIC may send, or receive. False: it has no limit. */
bool offload_flows_meter(const struct nic *nic, bool receive, struct offload_meter *ret);
