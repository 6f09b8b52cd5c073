/* Layers: what decides a connection, one file a layer, one interface, one table.
 *
 * Theory of operation. The first packet of a connection walks the layers once, and what they say adds up to
 * two unified flows, one a direction, that execute every later packet (flow.h). The table is ordered from the
 * NIC outwards. What a NIC sends goes down the table, what is delivered to a NIC goes up; a packet between
 * two NICs of this switch goes down for the one and up for the other:
 *
 *     sender ─── spoof → nic group → subnet group → route → vxlan → vlan → platform → nat ─→ outside ─┐
 *     receiver ←─ spoof ← nic group ← subnet group ← route ← vxlan ← vlan ← platform ← nat ← outside ─┘ or an edge
 *
 * Between nat and outside a load balancer, which has no guest, is left for the member that gets the connection.
 *
 * So policy sees private addresses on either side: translation comes after the groups on the way out and
 * before them on the way in. A layer may refuse (with a drop reason), change the packet's key (translation)
 * or choose the way (route).
 *
 * Rate limits are no layer: they act on packets, not on connections (meter.h).
 *
 * The walk is a pure function of the snapshot, the first packet's key and, where NICs share addresses, the
 * connection's alias. That is what makes revalidation simple: an existing connection is walked again with
 * `existing` set, and what comes out is compared with what it has.
 */
#pragma once
#include "switch/drop.h"
#include "switch/flow.h"
#include "switch/membership.h"
#include "switch/snapshot.h"

/* The ends of the packet as a network's rules see them: found by the first group that is asked, kept for the others
 * (layers/group.c). */
struct walk_ends {
	const struct network *network; /* NULL: not found yet */
	struct ip_addr addrs[2]; /* source, destination */
	struct membership are[2];
};

struct walk {
	const struct snapshot *state;
	bool existing; /* the connection is there already: groups that do not revalidate are not asked */
	const struct flow_alias
		*alias; /* that it has or would have, if its NIC shares addresses; NULL: any */

	/* The first packet, as translated so far. nic and origin stay as they came. */
	struct flow_key key;
	const struct nic *source; /* that sent it; NULL: it came from outside or by the host port */
	const struct nic *target; /* that gets it; NULL: it leaves by `exit` */
	const struct nic *front; /* the load balancer that led it there; NULL: none here did */
	bool standard; /* a load balancer, here or not, led it, and lets no connection in without a group */

	struct walk_ends ends;

	/* Where it goes: set by route on the way out. */
	uint8_t exit; /* enum flow_exit */
	/* FLOW_TO_TUNNEL, FLOW_TO_PHYSICAL: who of the network gets it, its destination, an appliance or a
	 * router. Of what came by a physical network: who gets the answers. */
	struct ip_addr via;
	uint8_t next_hop[4];
	const struct mapping *remote; /* of the end that is on another switch; set by vxlan */
	bool leaves; /* it is addressed to the outside, also when a NIC of this switch has that address */
	bool routed; /* it crosses a router: between subnets, or to and from the outside */
	bool shared; /* its source became an address that others have too, and a port of that: set by nat */

	/* Set by the layer that refuses. */
	enum drop drop;
	const struct group *group; /* that denied */
	const char *rule; /* of that group; or of the load balancer */
};

struct layer {
	const char *name;
	/* Both may be NULL: the layer has no say in that direction. False after layer_refuse. */
	bool (*outbound)(struct walk *walk);
	bool (*inbound)(struct walk *walk);
};

extern const struct layer layer_spoof, layer_nic_group, layer_subnet_group, layer_route, layer_platform,
	layer_vxlan, layer_vlan, layer_nat, layer_load_balancer, layer_outside;

/* The table: NULL at its end. */
extern const struct layer *const layer_table[];

/* Always false. */
static inline bool layer_refuse(struct walk *walk, enum drop reason)
{
	walk->drop = reason;
	return false;
}

/* The next hop on the uplink towards an address outside. False when there is no way. */
bool route_outside(const struct snapshot *state, const uint8_t destination[4], uint8_t ret_next_hop[4]);

/* Who of the NIC's network gets what the NIC sends to an address: whoever has it, an appliance, or the physical
 * router of its subnet. IP_NONE: it leaves the network otherwise. ret_routed (may be NULL): whether the switch
 * makes a router's hop for it. */
struct ip_addr route_via(const struct nic *nic, struct ip_addr destination, bool *ret_routed);

/* Where that is, when it is on another switch; NULL: it is not. */
const struct mapping *vxlan_remote(
	const struct snapshot *state, const struct nic *nic, struct ip_addr destination);

/* The load balancer on another switch that may bring the NIC packets from outside of that source; NULL: none may. */
const struct front *vxlan_front(const struct snapshot *state, const struct nic *nic, struct ip_addr source);

/* Who gets it on the NIC's physical network: its destination, an appliance or a router there, of which the switch knows
 * nothing. IP_NONE: it does not go there. */
struct ip_addr vlan_remote(const struct snapshot *state, const struct nic *nic, struct ip_addr destination);

/* Whether the NIC may send with that source. */
bool spoof_may_send(const struct nic *nic, struct ip_addr source);

/* Whether a packet from outside to a NIC of that network may have the source: it is a unicast address, and
 * none that is inside. */
bool outside_may_send(const struct snapshot *state, const struct network *network, struct ip_addr source);

/* Neither multicast, broadcast, loopback nor unspecified. */
bool route_is_unicast(struct ip_addr addr);
