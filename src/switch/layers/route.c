/* Routing: where a packet of a NIC goes.
 *
 * Within the network, to the NIC that has the address, here or on another switch; networks never reach each other,
 * however alike their prefixes. A platform address, to the host port. Everything else, to the outside, which may be a
 * public address of a NIC of this very switch: then it turns round here, translated both ways.
 *
 * On a VLAN an address that no NIC here has is looked for on the physical network. A subnet there whose gateway is a
 * physical router leads to it what is not its own, but for what is here.
 *
 * Those are the system's routes: the network's prefixes, and all else. A route of the NIC's subnet beats them where its
 * prefix is as long or longer, and leads within the network, outside, to an appliance, or nowhere. Platform addresses
 * have no other way.
 */
#include "switch/layers/layer.h"

#include <string.h>

bool route_is_unicast(struct ip_addr addr)
{
	static const uint8_t zero[16];

	if (addr.family == IP_V4)
		return addr.bytes[0] != 0 && addr.bytes[0] != 127 && addr.bytes[0] < 224;
	if (addr.bytes[0] == 0xff)
		return false;
	return memcmp(addr.bytes, zero, 15) != 0 || addr.bytes[15] > 1; /* neither :: nor ::1 */
}

bool route_outside(const struct snapshot *state, const uint8_t destination[4], uint8_t ret_next_hop[4])
{
	struct ip_addr addr = {.family = IP_V4};
	const struct edge *outside = &state->outside;

	memcpy(addr.bytes, destination, 4);
	if (!prefix_contains(outside->prefix, addr)) {
		if (outside->gateway.family == IP_NONE)
			return false;
		addr = outside->gateway;
	}
	memcpy(ret_next_hop, addr.bytes, 4);
	return true;
}

static bool to_host(struct walk *walk)
{
	static const uint8_t none[4];

	if (!walk->state->host.present || memcmp(walk->source->host_address, none, 4) == 0)
		return layer_refuse(walk, DROP_NO_HOST_PORT);
	walk->exit = FLOW_TO_HOST;
	memcpy(walk->next_hop, walk->key.dst, 4);
	return true;
}

/* ---- which route ---- */

/* Length of the longest of the network's prefixes that holds the address; -1: none does. */
static int network_length(const struct network *network, struct ip_addr addr)
{
	int longest = -1;

	for (unsigned i = 0; i < network->n_prefixes; i++)
		if (network->prefixes[i].length > longest && prefix_contains(network->prefixes[i], addr))
			longest = network->prefixes[i].length;
	return longest;
}

static struct route find_route(const struct nic *nic, struct ip_addr destination)
{
	const struct prefix_table *routes = nic->subnet->routes;
	const struct route *user = routes ? prefix_table_find(routes, destination) : NULL;
	int length = network_length(nic->network, destination);

	if (user && user->prefix.length >= length)
		return *user;
	if (nic->subnet->gateway_external && destination.family == IP_V4 &&
		!subnet_contains(nic->subnet, destination))
		return (struct route){.kind = ROUTE_GATEWAY, .appliance = nic->subnet->gateway};
	return (struct route){.kind = length < 0 ? ROUTE_OUTSIDE : ROUTE_NETWORK};
}

struct ip_addr route_via(const struct nic *nic, struct ip_addr destination, bool *ret_routed)
{
	static const struct ip_addr nobody;

	if (!route_is_unicast(destination) || policy_is_platform(destination))
		return nobody;
	struct route route = find_route(nic, destination);
	if (ret_routed)
		*ret_routed = route.kind == ROUTE_APPLIANCE ||
			      (route.kind == ROUTE_NETWORK && !subnet_contains(nic->subnet, destination));
	switch ((enum route_kind)route.kind) {
	case ROUTE_NETWORK: return destination;
	case ROUTE_APPLIANCE:
	case ROUTE_GATEWAY: return route.appliance;
	case ROUTE_OUTSIDE:
	case ROUTE_NOWHERE: break;
	}
	return nobody;
}

/* ---- where it leads ---- */

/* To whoever of the network has the address `via`. */
static bool to_network(struct walk *walk, struct ip_addr via)
{
	struct owner owner = snapshot_find(walk->state, walk->source->network->space, via);

	if (owner.kind == OWNER_GATEWAY)
		return layer_refuse(walk, DROP_NO_DESTINATION);
	if (owner.kind == OWNER_NIC) {
		walk->exit = FLOW_TO_NIC;
		walk->target = owner.nic;
		walk->routed = owner.nic->subnet != walk->source->subnet;
	} else {
		walk->exit = walk->source->network->physical ? FLOW_TO_PHYSICAL : FLOW_TO_TUNNEL;
		walk->via = via;
		walk->routed = !subnet_contains(walk->source->subnet, via);
	}
	return true;
}

static bool to_appliance(struct walk *walk, struct ip_addr appliance)
{
	if (!to_network(walk, appliance))
		return false;
	if (walk->target == walk->source || (walk->target && !walk->target->forwarding))
		return layer_refuse(walk, DROP_NO_FORWARDING);
	walk->routed = true;
	return true;
}

/* To the subnet's physical router, which its guests have for what is not of their subnet; but a NIC that is here is as
 * near as the router. */
static bool to_gateway(struct walk *walk, struct ip_addr destination, struct ip_addr gateway)
{
	uint32_t space = walk->source->network->space;

	if (snapshot_find(walk->state, space, destination).kind == OWNER_NIC)
		return to_network(walk, destination);
	if (snapshot_find(walk->state, space, gateway).kind == OWNER_NIC)
		return to_appliance(walk, gateway);
	return to_network(walk, gateway);
}

static bool to_outside(struct walk *walk, struct ip_addr destination)
{
	if (destination.family != IP_V4)
		return layer_refuse(walk, DROP_IPV6_OUTSIDE);
	walk->leaves = walk->routed = true;
	struct owner owner = snapshot_find(walk->state, SPACE_PUBLIC, destination);
	if (owner.kind == OWNER_SHARED)
		return layer_refuse(walk, DROP_SHARED_ADDRESS);
	if (owner.kind == OWNER_NIC) {
		walk->exit = FLOW_TO_NIC;
		walk->target = owner.nic;
		return true;
	}
	if (!walk->state->outside.present)
		return layer_refuse(walk, DROP_NO_OUTSIDE);
	walk->exit = FLOW_TO_OUTSIDE;
	if (!route_outside(walk->state, destination.bytes, walk->next_hop))
		return layer_refuse(walk, DROP_NO_DESTINATION);
	return true;
}

static bool outbound(struct walk *walk)
{
	struct ip_addr destination = flow_key_destination(&walk->key);

	if (!route_is_unicast(destination))
		return layer_refuse(walk, DROP_BAD_DESTINATION);
	if (policy_is_platform(destination))
		return to_host(walk);
	if (destination.family == IP_V6 && ip_is_link_local(destination))
		return layer_refuse(walk, DROP_LINK_LOCAL);
	struct route route = find_route(walk->source, destination);
	if (route.kind != ROUTE_NETWORK && ip_is_link_local(destination))
		return layer_refuse(walk, DROP_BAD_DESTINATION);
	switch ((enum route_kind)route.kind) {
	case ROUTE_NETWORK: return to_network(walk, destination);
	case ROUTE_APPLIANCE: return to_appliance(walk, route.appliance);
	case ROUTE_GATEWAY: return to_gateway(walk, destination, route.appliance);
	case ROUTE_OUTSIDE: return to_outside(walk, destination);
	case ROUTE_NOWHERE: break;
	}
	return layer_refuse(walk, DROP_NO_ROUTE);
}

const struct layer layer_route = {.name = "route", .outbound = outbound};
