/* The switch's flows as an eswitch is given them. */
#include "switch/offload_flows.h"

#include "switch/wire.h"

static const char no_port[] = "the way that it comes or leaves by is not there";
static const char no_mac[] = "the MAC of a neighbour is not known to the switch";

/* What is being made of what. */
struct making {
	const struct datapath *datapath;
	const struct snapshot *snapshot;
	const struct flow *flow, *pair;
	uint32_t now_ms;
	struct offload_match *match;
	struct offload_actions *actions;
	const char *reason; /* why not; NULL: nothing is in the way */
};

static bool refuse(struct making *m, const char *reason)
{
	m->reason = reason;
	return false;
}

static void set_mac(bool *has, uint8_t to[6], const uint8_t mac[6])
{
	*has = true;
	memcpy(to, mac, 6);
}

/* The one port that packets of the NIC come by and go to. */
static bool find_port(struct making *m, const struct nic *nic, uint32_t *ret)
{
	const struct port *found = NULL;

	for (unsigned i = 0; nic && i < nic->n_attachments; i++) {
		if (!nic->attachments[i].active)
			continue;
		if (found)
			return refuse(m, "its NIC is on two paths while its function comes or goes");
		found = nic->attachments[i].port;
	}
	if (!found)
		return refuse(m, no_port);
	*ret = found->index;
	return true;
}

static bool find_edge_port(struct making *m, const struct edge *edge, uint32_t *ret)
{
	if (!edge->present || !edge->port)
		return refuse(m, no_port);
	*ret = edge->port->index;
	return true;
}

static bool find_neighbour(
	struct making *m, struct neighbour_table *table, const uint8_t address[4], uint8_t ret_mac[6])
{
	return neighbour_find(table, address, m->now_ms, ret_mac) || refuse(m, no_mac);
}

/* ---- limits ---- */

/* A meter's kinds do not change: who gets others has another meter. */
static uint32_t meter_id(const struct nic *nic, bool receive)
{
	const struct limit *limit = receive ? &nic->receive : &nic->send;

	return 1 + (2 * nic_slot(nic->id) + receive) * 4 + 2 * (limit->packets_per_s != 0) +
	       (limit->bits_per_s != 0);
}

bool offload_flows_meter(const struct nic *nic, bool receive, struct offload_meter *ret)
{
	const struct limit *limit = receive ? &nic->receive : &nic->send;

	*ret = (struct offload_meter){.id = meter_id(nic, receive),
		.bits_per_s = limit->bits_per_s,
		.packets_per_s = limit->packets_per_s,
		.burst_ms = limit->burst_ms};
	return limit_is_set(limit);
}

static void hold_rate(struct making *m, const struct nic *nic, bool receive)
{
	struct offload_meter meter;

	if (offload_flows_meter(nic, receive, &meter))
		m->actions->meters[receive] = meter.id;
}

/* ---- the match ---- */

static bool match_nic(struct making *m, const struct nic *nic)
{
	if (!find_port(m, nic, &m->match->port))
		return false;
	set_mac(&m->match->has_smac, m->match->smac, nic->mac.bytes);
	hold_rate(m, nic, false);
	return true;
}

static bool match_edge(struct making *m, const struct edge *edge)
{
	set_mac(&m->match->has_dmac, m->match->dmac, edge->mac.bytes);
	return find_edge_port(m, edge, &m->match->port);
}

static bool match_tunnel(struct making *m, const struct nic *nic)
{
	const struct underlay *underlay = &m->snapshot->underlay;
	struct offload_tunnel *tunnel = &m->match->tunnel;

	if (!nic)
		return refuse(m, no_port);
	tunnel->used = true;
	tunnel->vni = nic->network->segment;
	memcpy(tunnel->source, m->flow->action.next_hop, 4);
	memcpy(tunnel->destination, underlay->address.bytes, 4);
	set_mac(&m->match->has_dmac, m->match->dmac, nic->mac.bytes);
	return find_edge_port(m, &underlay->edge, &m->match->port);
}

/* Only what comes from the neighbour that the answers go to: others may not be who they say. */
static bool match_physical(struct making *m, const struct nic *nic)
{
	if (!nic || !nic->network->physical)
		return refuse(m, no_port);
	m->match->vlan = segment_vlan_id(nic->network->segment);
	set_mac(&m->match->has_dmac, m->match->dmac, nic->mac.bytes);
	m->match->has_smac = true;
	return find_edge_port(m, &nic->network->physical->edge, &m->match->port) &&
	       find_neighbour(m, nic->network->neighbours, m->pair->action.next_hop, m->match->smac);
}

static bool make_match(struct making *m)
{
	const struct flow_key *key = &m->flow->key;
	const struct nic *nic = snapshot_nic(m->snapshot, key->nic);

	m->match->family = key->family;
	m->match->protocol = key->protocol;
	memcpy(m->match->src, key->src, sizeof key->src);
	memcpy(m->match->dst, key->dst, sizeof key->dst);
	m->match->sport = key->sport;
	m->match->dport = key->dport;
	switch ((enum flow_origin)key->origin) {
	case FLOW_FROM_NIC: return match_nic(m, nic);
	case FLOW_FROM_TUNNEL: return match_tunnel(m, nic);
	case FLOW_FROM_PHYSICAL: return match_physical(m, nic);
	case FLOW_FROM_OUTSIDE:
	case FLOW_FROM_HOST: return match_edge(m, snapshot_edge(m->snapshot, key->origin));
	}
	return refuse(m, no_port);
}

/* ---- the actions ---- */

static bool leave_to_nic(struct making *m)
{
	const struct nic *nic = snapshot_nic(m->snapshot, m->flow->action.target);

	if (!find_port(m, nic, &m->actions->port))
		return false;
	hold_rate(m, nic, true);
	return true;
}

static bool leave_by_tunnel(struct making *m)
{
	const struct underlay *underlay = &m->snapshot->underlay;
	const uint8_t *vtep = m->flow->action.next_hop;
	struct offload_tunnel *tunnel = &m->actions->tunnel;

	tunnel->used = true;
	tunnel->vni = m->flow->action.target;
	memcpy(tunnel->source, underlay->address.bytes, 4);
	memcpy(tunnel->destination, vtep, 4);
	memcpy(m->actions->outer_smac, underlay->edge.mac.bytes, 6);
	return find_edge_port(m, &underlay->edge, &m->actions->port) &&
	       find_neighbour(m, datapath_neighbours(m->datapath, FLOW_TO_TUNNEL),
		       underlay_is_on_link(underlay, vtep) ? vtep : underlay->edge.gateway.bytes,
		       m->actions->outer_dmac);
}

/* A bridged frame may be for the gateway, whose way is another one: so it is matched for its neighbour alone. */
static bool leave_to_physical(struct making *m)
{
	const struct network *network = snapshot_vlan(m->snapshot, m->flow->action.target);
	bool bridged = m->flow->action.flags & FLOW_BRIDGED;

	if (!network || !network->physical)
		return refuse(m, no_port);
	m->actions->push_vlan = segment_vlan_id(network->segment);
	m->match->has_dmac |= bridged;
	return find_edge_port(m, &network->physical->edge, &m->actions->port) &&
	       find_neighbour(m, network->neighbours, m->flow->action.next_hop,
		       bridged ? m->match->dmac : m->actions->dmac);
}

static bool leave_by_edge(struct making *m)
{
	uint8_t exit = m->flow->action.exit;

	return find_edge_port(m, snapshot_edge(m->snapshot, exit), &m->actions->port) &&
	       find_neighbour(
		       m, datapath_neighbours(m->datapath, exit), m->flow->action.next_hop, m->actions->dmac);
}

static void make_rewrite(struct making *m)
{
	const struct flow_action *action = &m->flow->action;
	struct offload_actions *actions = m->actions;

	actions->mtu = action->mtu;
	actions->set_macs = !(action->flags & FLOW_BRIDGED);
	memcpy(actions->smac, action->smac, 6);
	memcpy(actions->dmac, action->dmac, 6);
	actions->hop = action->flags & FLOW_ROUTED;
	actions->set_src = action->flags & FLOW_REWRITE_SRC;
	actions->set_dst = action->flags & FLOW_REWRITE_DST;
	actions->set_sport = action->flags & FLOW_REWRITE_SPORT;
	actions->set_dport = action->flags & FLOW_REWRITE_DPORT;
	memcpy(actions->new_src, action->new_src, 4);
	memcpy(actions->new_dst, action->new_dst, 4);
	actions->new_sport = actions->set_sport ? action->new_port : 0;
	actions->new_dport = actions->set_dport ? action->new_port : 0;
}

static bool make_actions(struct making *m)
{
	make_rewrite(m);
	switch ((enum flow_exit)m->flow->action.exit) {
	case FLOW_TO_NIC: return leave_to_nic(m);
	case FLOW_TO_TUNNEL: return leave_by_tunnel(m);
	case FLOW_TO_PHYSICAL: return leave_to_physical(m);
	case FLOW_TO_OUTSIDE:
	case FLOW_TO_HOST: return leave_by_edge(m);
	}
	return refuse(m, no_port);
}

bool offload_flows_make(const struct datapath *datapath, const struct flow *flow, const struct flow *pair,
	uint32_t now_ms, struct offload_flow *ret, const char **ret_reason)
{
	memset(ret, 0, sizeof *ret); /* also between the members: they are compared as bytes */
	ret->id = offload_flows_id(flow, pair);
	struct making m = {.datapath = datapath,
		.snapshot = datapath_snapshot(datapath),
		.flow = flow,
		.pair = pair,
		.now_ms = now_ms,
		.match = &ret->match,
		.actions = &ret->actions};

	if (flow->key.protocol == PROTO_ICMP || flow->key.protocol == PROTO_ICMPV6)
		refuse(&m, "eswitches do not match ICMP's identifiers");
	else if (flow->blocked)
		refuse(&m, "policy has revoked it");
	else if (flow->epoch != m.snapshot->epoch)
		refuse(&m, "it has not been decided by the present policy yet");
	else if (make_match(&m))
		make_actions(&m);
	*ret_reason = m.reason;
	return m.reason == NULL;
}
