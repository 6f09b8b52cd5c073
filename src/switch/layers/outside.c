/* What may come in from outside: nothing that claims to be inside.
 *
 * Such a source would pass groups as VirtualNetwork, or, as a platform address, pass them altogether.
 */
#include "switch/layers/layer.h"

static bool claims_inside(const struct walk *walk, struct ip_addr source)
{
	const struct edge *host = &walk->state->host;

	return policy_is_platform(source) || network_contains(walk->target->network, source) ||
	       (host->present && prefix_contains(host->prefix, source)) ||
	       snapshot_find(walk->state, SPACE_PUBLIC, source).kind != OWNER_NONE;
}

static bool inbound(struct walk *walk)
{
	struct ip_addr source = flow_key_source(&walk->key);

	if (walk->key.origin != FLOW_FROM_OUTSIDE)
		return true;
	if (!route_is_unicast(source) || claims_inside(walk, source))
		return layer_refuse(walk, DROP_SPOOFED_OUTSIDE);
	return true;
}

const struct layer layer_outside = {.name = "outside", .inbound = inbound};
