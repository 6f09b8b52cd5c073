/* Routing: where a packet of a NIC goes.
 *
 * Within the network, to the NIC that has the address; networks never reach each other, however alike their
 * prefixes. A platform address, to the host port. Everything else, to the outside, which may be a public
 * address of a NIC of this very switch: then it turns round here, translated both ways.
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

static bool is_link_local(struct ip_addr addr)
{
	if (addr.family == IP_V4)
		return addr.bytes[0] == 169 && addr.bytes[1] == 254;
	return addr.bytes[0] == 0xfe && (addr.bytes[1] & 0xc0) == 0x80;
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

static bool to_network(struct walk *walk, struct ip_addr destination)
{
	struct owner owner = snapshot_find(walk->state, walk->source->network->space, destination);

	if (owner.kind != OWNER_NIC)
		return layer_refuse(walk, DROP_NO_DESTINATION);
	walk->exit = FLOW_TO_NIC;
	walk->target = owner.nic;
	walk->routed = owner.nic->subnet != walk->source->subnet;
	return true;
}

static bool to_outside(struct walk *walk, struct ip_addr destination)
{
	if (destination.family != IP_V4)
		return layer_refuse(walk, DROP_IPV6_OUTSIDE);
	walk->leaves = walk->routed = true;
	struct owner owner = snapshot_find(walk->state, SPACE_PUBLIC, destination);
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
	if (network_contains(walk->source->network, destination))
		return to_network(walk, destination);
	if (is_link_local(destination))
		return layer_refuse(walk, DROP_BAD_DESTINATION);
	return to_outside(walk, destination);
}

const struct layer layer_route = {.name = "route", .outbound = outbound};
