/* The walk through the layers, and the composition of what they said. */
#include "switch/decide.h"

#include "base/gateway.h"
#include "switch/checksum.h"
#include "switch/layers/layer.h"

const uint8_t gateway_mac[6] = GATEWAY_MAC;
const struct ip_addr gateway_link_local = {.family = IP_V6,
	.bytes = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x10, 0x34, 0x56, 0xff, 0xfe, 0x78, 0x9a, 0xbc}};

/* From the NIC outwards: see layers/layer.h. */
const struct layer *const layer_table[] = {
	&layer_spoof,
	&layer_nic_group,
	&layer_subnet_group,
	&layer_route,
	&layer_vxlan,
	&layer_vlan,
	&layer_platform,
	&layer_nat,
	&layer_load_balancer,
	&layer_outside,
	NULL,
};

#define LAYER_COUNT (sizeof layer_table / sizeof layer_table[0] - 1)

/* ---- the walk ---- */

/* decide() and decide_observed() are one body, made twice: in the first the compiler knows that nobody looks. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

/* Asks one layer, if it has a say. */
static ALWAYS_INLINE bool ask(struct walk *walk, const struct layer *layer, enum policy_direction direction,
	const struct decide_observer *observer)
{
	bool (*say)(struct walk * walk) = direction == POLICY_OUTBOUND ? layer->outbound : layer->inbound;

	if (!say)
		return true;
	walk->group = NULL;
	walk->rule = NULL;
	if (!observer)
		return say(walk);
	const struct walk before = *walk;
	bool passed = say(walk);
	observer->asked(observer->data, layer, direction, &before, walk, passed);
	return passed;
}

/* The layer that refused, or NULL. */
static ALWAYS_INLINE const struct layer *walk_out(struct walk *walk, const struct decide_observer *observer)
{
	for (size_t i = 0; i < LAYER_COUNT; i++)
		if (!ask(walk, layer_table[i], POLICY_OUTBOUND, observer))
			return layer_table[i];
	return NULL;
}

static ALWAYS_INLINE const struct layer *walk_in(struct walk *walk, const struct decide_observer *observer)
{
	/* A load balancer's layer may find that the target is on another switch. */
	for (size_t i = LAYER_COUNT; i-- > 0 && walk->target;)
		if (!ask(walk, layer_table[i], POLICY_INBOUND, observer))
			return layer_table[i];
	return NULL;
}

static struct walk walk_begin(const struct snapshot *state, const struct flow_key *first, bool existing,
	const struct flow_alias *alias)
{
	struct walk walk = {.state = state, .existing = existing, .alias = alias, .key = *first};
	const struct nic *nic = snapshot_nic(state, first->nic);

	if (first->origin == FLOW_FROM_NIC) {
		walk.source = nic;
	} else {
		walk.target = nic;
		walk.exit = FLOW_TO_NIC;
		walk.routed = first->origin == FLOW_FROM_OUTSIDE;
	}
	return walk;
}

/* ---- composition ---- */

/* Sets the rewrites that turn `from`'s addresses into those given, and what they do to checksums. */
static void compose_rewrite(
	struct flow_action *action, const struct flow_key *from, const uint8_t src[16], const uint8_t dst[16])
{
	uint64_t sum = 0;

	if (memcmp(from->src, src, 16) != 0) {
		action->flags |= FLOW_REWRITE_SRC;
		memcpy(action->new_src, src, 4);
		sum = checksum_difference(sum, from->src, src, 4);
	}
	if (memcmp(from->dst, dst, 16) != 0) {
		action->flags |= FLOW_REWRITE_DST;
		memcpy(action->new_dst, dst, 4);
		sum = checksum_difference(sum, from->dst, dst, 4);
	}
	action->difference = checksum_fold(sum);
}

/* The same of the port, where a connection shares its address. `flag`: which of them it is in this direction. */
static void compose_port(struct flow_action *action, uint16_t from, uint16_t to, uint8_t flag)
{
	if (from == to)
		return;
	action->flags |= flag;
	action->new_port = to;
}

/* The MAC that `nic`, or who is at the other end of the tunnel, has for its neighbours; NULL: neither is there. */
static const uint8_t *mac_of(const struct walk *walk, const struct nic *nic)
{
	return nic ? nic->mac.bytes : walk->remote ? walk->remote->mac.bytes : NULL;
}

/* Delivery to `to`; the frame's source is its neighbour where they share a subnet, else the gateway. */
static void compose_to_nic(
	struct flow_action *action, const struct walk *walk, const struct nic *to, const struct nic *from)
{
	const uint8_t *smac = mac_of(walk, from);

	action->exit = FLOW_TO_NIC;
	action->target = to->id;
	action->mtu = to->mtu;
	memcpy(action->dmac, to->mac.bytes, 6);
	memcpy(action->smac, smac && !walk->routed ? smac : gateway_mac, 6);
	if (!from && walk->remote)
		memcpy(action->next_hop, walk->remote->vtep, 4);
}

/* To the NIC's peer on another switch. */
static void compose_to_tunnel(struct flow_action *action, const struct walk *walk, const struct nic *from)
{
	action->exit = FLOW_TO_TUNNEL;
	action->target = from->network->segment;
	action->mtu = (uint16_t)(walk->state->underlay.mtu - VXLAN_MTU_LESS);
	memcpy(action->dmac, walk->remote->mac.bytes, 6);
	memcpy(action->smac, walk->routed ? gateway_mac : from->mac.bytes, 6);
	memcpy(action->next_hop, walk->remote->vtep, 4);
}

/* To the NIC's physical network, as a bridge or as the router. */
static void compose_to_physical(struct flow_action *action, const struct walk *walk, const struct nic *from)
{
	action->exit = FLOW_TO_PHYSICAL;
	action->target = from->network->segment;
	action->mtu = from->network->physical->mtu;
	memcpy(action->next_hop, walk->next_hop, 4);
	if (!walk->routed) {
		action->flags |= FLOW_BRIDGED;
		return;
	}
	memcpy(action->dmac, gateway_mac, 6);
	memcpy(action->smac, from->mac.bytes, 6);
}

static void compose_to_edge(struct flow_action *action, const struct snapshot *state, enum flow_exit exit,
	const uint8_t next_hop[4])
{
	const struct edge *edge = snapshot_edge(state, exit);

	action->exit = (uint8_t)exit;
	action->mtu = OUTSIDE_MTU;
	memcpy(action->smac, edge->mac.bytes, 6);
	memcpy(action->next_hop, next_hop, 4);
}

/* The sender's switch is the router of what crosses the tunnel or a physical network; the latter's frames stay
 * as they are. */
static void compose_hop(struct flow_half *half, const struct walk *walk)
{
	uint8_t origin = half->key.origin;

	if (origin == FLOW_FROM_PHYSICAL)
		half->action.flags = FLOW_BRIDGED;
	else
		half->action.flags = walk->routed && origin != FLOW_FROM_TUNNEL ? FLOW_ROUTED : 0;
}

static void compose_forward(const struct walk *walk, const struct flow_key *first, struct flow_half *half)
{
	half->key = *first;
	compose_hop(half, walk);
	compose_rewrite(&half->action, first, walk->key.src, walk->key.dst);
	compose_port(&half->action, first->sport, walk->key.sport, FLOW_REWRITE_SPORT);
	compose_port(&half->action, first->dport, walk->key.dport, FLOW_REWRITE_DPORT);
	if (walk->target)
		compose_to_nic(&half->action, walk, walk->target, walk->source);
	else if (walk->exit == FLOW_TO_TUNNEL)
		compose_to_tunnel(&half->action, walk, walk->front ? walk->front : walk->source);
	else if (walk->exit == FLOW_TO_PHYSICAL)
		compose_to_physical(&half->action, walk, walk->source);
	else
		compose_to_edge(&half->action, walk->state, walk->exit, walk->next_hop);
}

/* Whose the answers are where they enter: the receiver's, or who is known by the address that they are for. */
static uint32_t answered_to(const struct walk *walk)
{
	if (walk->target)
		return walk->target->id;
	if (walk->front)
		return walk->front->id;
	if (!walk->shared)
		return walk->source->id;
	struct owner owner = snapshot_find(walk->state, SPACE_PUBLIC, flow_key_source(&walk->key));
	return owner.kind == OWNER_NIC ? owner.nic->id : FLOW_NIC_SHARED;
}

/* To the uplink; what comes by the tunnel may come by one VTEP only. */
static bool compose_to_outside(struct flow_action *action, const struct walk *walk, const uint8_t to[4])
{
	uint8_t next_hop[4];

	if (!walk->state->outside.present || !route_outside(walk->state, to, next_hop))
		return false;
	compose_to_edge(action, walk->state, FLOW_TO_OUTSIDE, next_hop);
	if (walk->remote)
		memcpy(&action->target, walk->remote->vtep, sizeof action->target);
	return true;
}

/* What the answers look like where they enter, and what undoes the translation. */
static bool compose_reply(const struct walk *walk, const struct flow_key *first, struct flow_half *half)
{
	half->key = flow_key_reverse(&walk->key);
	half->key.nic = answered_to(walk);
	half->key.origin = walk->target ? FLOW_FROM_NIC : walk->exit;
	compose_hop(half, walk);
	compose_rewrite(&half->action, &half->key, first->dst, first->src);
	compose_port(&half->action, walk->key.sport, first->sport, FLOW_REWRITE_DPORT);
	compose_port(&half->action, walk->key.dport, first->dport, FLOW_REWRITE_SPORT);
	if (walk->source) {
		compose_to_nic(&half->action, walk, walk->source, walk->target);
	} else if (first->origin == FLOW_FROM_OUTSIDE) {
		return compose_to_outside(&half->action, walk, first->src);
	} else if (first->origin == FLOW_FROM_TUNNEL) {
		compose_to_tunnel(&half->action, walk, walk->target);
	} else if (first->origin == FLOW_FROM_PHYSICAL) {
		compose_to_physical(&half->action, walk, walk->target);
	} else {
		compose_to_edge(&half->action, walk->state, FLOW_TO_HOST, first->src);
	}
	return true;
}

static ALWAYS_INLINE bool decide_with(const struct snapshot *state, const struct flow_key *first,
	bool existing, const struct flow_alias *alias, const struct decide_observer *observer,
	struct decision *ret)
{
	struct walk walk = walk_begin(state, first, existing, alias);
	const struct layer *refused = NULL;
	const struct nic *refuser = walk.source;

	*ret = (struct decision){};
	if (!walk.source && !walk.target) {
		/* No connection is begun by an address that NICs share; else the NIC is gone. */
		ret->drop = first->nic == FLOW_NIC_SHARED ? DROP_SHARED_ADDRESS : DROP_NO_DESTINATION;
		return false;
	}
	if (walk.source)
		refused = walk_out(&walk, observer);
	if (!refused && walk.target) {
		refused = walk_in(&walk, observer);
		refuser = walk.target; /* a load balancer, or by now its member */
	}
	if (refused) {
		ret->drop = walk.drop;
		ret->refuser = refuser;
		ret->layer = refused->name;
		ret->group = walk.group;
		ret->rule = walk.rule;
		return false;
	}
	if (first->sport != walk.key.sport && first->dport != walk.key.dport) {
		ret->drop = DROP_TWO_PORTS;
		ret->layer = layer_load_balancer.name;
		return false;
	}
	ret->shared = walk.shared;
	compose_forward(&walk, first, &ret->forward);
	if (!compose_reply(&walk, first, &ret->reply)) {
		ret->drop = DROP_NO_DESTINATION;
		ret->layer = layer_route.name;
		return false;
	}
	return true;
}

bool decide(const struct snapshot *state, const struct flow_key *first, bool existing, struct decision *ret)
{
	return decide_with(state, first, existing, NULL, NULL, ret);
}

bool decide_as(const struct snapshot *state, const struct flow_key *first, bool existing,
	const struct flow_alias *alias, struct decision *ret)
{
	return decide_with(state, first, existing, alias, NULL, ret);
}

bool decide_observed(const struct snapshot *state, const struct flow_key *first, bool existing,
	const struct flow_alias *alias, const struct decide_observer *observer, struct decision *ret)
{
	return decide_with(state, first, existing, alias, observer, ret);
}
