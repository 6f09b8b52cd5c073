/* The network's other switches: what leaves by the tunnel, and what may come by it.
 *
 * A mapping says on which switch (VTEP) an address lives and which MAC it has there. Outwards, the sender's switch has
 * asked the groups of its own NIC, and routed; the receiver's switch asks those of the receiver. Each keeps both
 * directions of the connection, so answers need no rule on either.
 *
 * Inwards, a packet may come only by the VTEP that a packet to its source would go to: not from one host in the
 * name of another's NIC, nor of one that is here. The VTEP is no part of a flow's key, and so it is written
 * into the flow, and every packet's is compared with it (execute.h). Where routes lead over an appliance, the
 * way back must, too.
 */
#include "switch/layers/layer.h"
#include "switch/load_balancer.h"

#include <string.h>

/* Whether packets can be sent to the VTEP: it is another switch's, and not out of reach. */
static bool is_reachable(const struct underlay *underlay, const uint8_t vtep[4])
{
	return memcmp(vtep, underlay->address.bytes, 4) != 0 &&
	       (underlay_is_on_link(underlay, vtep) || underlay->edge.gateway.family != IP_NONE);
}

/* Where an address lives that no NIC here has; NULL: nobody knows. */
static const struct mapping *find(const struct network *network, struct ip_addr addr)
{
	return network->mappings ? prefix_table_find(network->mappings, addr) : NULL;
}

const struct mapping *vxlan_remote(
	const struct snapshot *state, const struct nic *nic, struct ip_addr destination)
{
	struct ip_addr via = route_via(nic, destination, NULL);

	if (nic->network->physical || !state->underlay.edge.present || via.family == IP_NONE ||
		snapshot_find(state, nic->network->space, via).kind != OWNER_NONE)
		return NULL;
	const struct mapping *mapping = find(nic->network, via);
	return mapping && is_reachable(&state->underlay, mapping->vtep) ? mapping : NULL;
}

static bool outbound(struct walk *walk)
{
	const struct underlay *underlay = &walk->state->underlay;

	if (walk->exit != FLOW_TO_TUNNEL)
		return true;
	const struct mapping *mapping = find(walk->source->network, walk->via);
	if (!mapping)
		return layer_refuse(walk, DROP_NO_DESTINATION);
	if (!underlay->edge.present)
		return layer_refuse(walk, DROP_NO_UNDERLAY);
	if (!is_reachable(underlay, mapping->vtep))
		return layer_refuse(walk, DROP_NO_DESTINATION);
	walk->remote = mapping;
	memcpy(walk->next_hop, mapping->vtep, 4);
	return true;
}

const struct front *vxlan_front(const struct snapshot *state, const struct nic *nic, struct ip_addr source)
{
	const struct front *front = nic->front;

	return front && state->underlay.edge.present && is_reachable(&state->underlay, front->way.vtep) &&
			       source.family == IP_V4 && outside_may_send(state, nic->network, source)
		       ? front
		       : NULL;
}

/* From outside, by a load balancer on another switch that the NIC is behind: it has chosen and translated. */
static bool by_front(struct walk *walk, const struct nic *nic)
{
	const struct front *front = vxlan_front(walk->state, nic, flow_key_source(&walk->key));
	struct ip_addr destination = flow_key_destination(&walk->key);

	if (!front)
		return layer_refuse(walk, DROP_SPOOFED_TUNNEL);
	if (!nic_find_address(nic, destination) && !front_is_floating(front, destination))
		return layer_refuse(walk, DROP_NO_FORWARDING);
	walk->remote = &front->way;
	walk->standard = front->standard;
	walk->routed = true;
	memcpy(walk->next_hop, front->way.vtep, 4);
	return true;
}

static bool inbound(struct walk *walk)
{
	const struct nic *nic = walk->target;

	if (walk->key.origin != FLOW_FROM_TUNNEL)
		return true;
	walk->remote = vxlan_remote(walk->state, nic, flow_key_source(&walk->key));
	if (!walk->remote)
		return by_front(walk, nic);
	if (!nic->forwarding && !nic_find_address(nic, flow_key_destination(&walk->key)) &&
		!load_balancer_floats_to(walk->state, nic, &walk->key))
		return layer_refuse(walk, DROP_NO_FORWARDING);
	memcpy(walk->next_hop, walk->remote->vtep, 4);
	walk->routed = !subnet_contains(nic->subnet, flow_key_source(&walk->key)) ||
		       !nic_find_address(nic, flow_key_destination(&walk->key));
	return true;
}

const struct layer layer_vxlan = {.name = "vxlan", .outbound = outbound, .inbound = inbound};
