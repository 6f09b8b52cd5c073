/* What may come in from outside: nothing that claims to be inside.
 *
 * Such a source would pass groups as VirtualNetwork, or, as a platform address, pass them altogether.
 */
#include "switch/layers/layer.h"

static bool claims_inside(const struct snapshot *state, const struct network *network, struct ip_addr source)
{
	return policy_is_platform(source) || network_contains(network, source) ||
	       (state->host.present && prefix_contains(state->host.prefix, source)) ||
	       snapshot_find(state, SPACE_PUBLIC, source).kind != OWNER_NONE;
}

bool outside_may_send(const struct snapshot *state, const struct network *network, struct ip_addr source)
{
	return route_is_unicast(source) && !claims_inside(state, network, source);
}

static bool inbound(struct walk *walk)
{
	if (walk->key.origin != FLOW_FROM_OUTSIDE ||
		outside_may_send(walk->state, walk->target->network, flow_key_source(&walk->key)))
		return true;
	return layer_refuse(walk, DROP_SPOOFED_OUTSIDE);
}

const struct layer layer_outside = {.name = "outside", .inbound = inbound};
