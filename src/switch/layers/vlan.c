/* The network's physical network: what leaves to its VLAN, and what may come from there.
 *
 * Whoever is on the wire is not known here: other switches' NICs, functions that their guests hold, machines,
 * routers. So the switch is a bridge for what is between neighbours, and for what a guest sends to a router of
 * its own choice: the frame keeps the MACs that it has, which are those that the guest would have used by a
 * function past the switch. Where the switch is the router (another subnet of the network, an appliance), it
 * makes the hop and finds the next hop's MAC (neighbour.h); the frame's source stays the NIC's, as the
 * gateway's MAC is every switch's, and machines in between would see it come from all sides.
 *
 * A flow's key has no MACs. That needs no care inwards, since a frame is claimed by its destination MAC before
 * its flow is looked up; outwards they are taken from each frame (output_physical).
 *
 * Inwards, the source may be whoever a packet to it would go to the physical network for: not an address that a NIC
 * here has, nor one that the NIC's routes seek elsewhere. The answers have a way then.
 *
 * A NIC whose function is on the wire itself (function.c) is here all the same: its frames that the switch gets are
 * those of a NIC (arrival.c), and what is between it and others on the wire is not the switch's.
 */
#include "switch/layers/layer.h"

#include <string.h>

/* The walk of a packet between the NIC and a remote address. False after layer_refuse. */
static bool find(struct walk *walk, const struct nic *nic, struct ip_addr remote)
{
	if (remote.family != IP_V4)
		return layer_refuse(walk, DROP_IPV6_PHYSICAL);
	if (!nic->network->physical->edge.present)
		return layer_refuse(walk, DROP_NO_PHYSICAL);
	walk->via = remote;
	memcpy(walk->next_hop, remote.bytes, 4);
	return true;
}

static bool is_here(const struct snapshot *state, const struct nic *nic, struct ip_addr addr)
{
	return snapshot_find(state, nic->network->space, addr).kind != OWNER_NONE;
}

struct ip_addr vlan_remote(const struct snapshot *state, const struct nic *nic, struct ip_addr destination)
{
	struct ip_addr via = route_via(nic, destination, NULL);

	if (!nic->network->physical || via.family == IP_NONE || is_here(state, nic, via) ||
		is_here(state, nic, destination))
		return (struct ip_addr){};
	return via;
}

static bool outbound(struct walk *walk)
{
	return walk->exit != FLOW_TO_PHYSICAL || find(walk, walk->source, walk->via);
}

static bool inbound(struct walk *walk)
{
	const struct nic *nic = walk->target;
	struct ip_addr source = flow_key_source(&walk->key);

	if (walk->key.origin != FLOW_FROM_PHYSICAL)
		return true;
	if (source.family != IP_V4)
		return layer_refuse(walk, DROP_IPV6_PHYSICAL);
	struct ip_addr remote = vlan_remote(walk->state, nic, source);
	if (remote.family == IP_NONE)
		return layer_refuse(walk, DROP_SPOOFED_PHYSICAL);
	if (!nic->forwarding && !nic_find_address(nic, flow_key_destination(&walk->key)))
		return layer_refuse(walk, DROP_NO_FORWARDING);
	route_via(nic, source, &walk->routed);
	return find(walk, nic, remote);
}

const struct layer layer_vlan = {.name = "vlan", .outbound = outbound, .inbound = inbound};
