/* The slow path: first packets, packets of stale flows, and what the switch answers itself.
 *
 * How it works. A packet comes here because no flow matched, or the flow was last decided by another state (its
 * epoch), or is blocked, or a SYN wants to begin it anew, or an RST or FIN to end it. It is looked up once
 * more, since a packet before it in the burst, or another worker, may have put the flow in meanwhile. Then:
 *
 *   no flow  Responders; else the layers decide, both directions are put in, and the packet is executed. Where
 *            the NIC shares its public address, and its port there is taken, another is found (source_nat.h).
 *   stale    The layers decide again, from the connection's first key and the alias that it has. The same comes
 *            out: the epoch is brought up to date. Another way or translation: both directions are replaced;
 *            where there is no room for that just now, the packet is dropped and the next one tries again.
 *            Refused: the connection is blocked.
 *   blocked  Dropped. A SYN begins anew; so does a state that allows it again.
 *   ending   An RST, or FIN, is held against the connection's window (tcp.h) before it is executed.
 *
 * A TCP connection begins with a SYN. Others are dropped, except for SLOW_PATH_LEARN_MS after a start that found
 * no table to adopt (flow_memory.h): then those that were established before are taken up in the middle, if policy
 * allows the direction of the first packet that is seen. A connection that was revoked before can come
 * back so only where other rules allow it from the other side: no more than a new connection from there could do.
 * NICs whose functions are past the host have others that begin unseen: bypass.c says which are taken up.
 */
#include "switch/slow_path.h"

#include "switch/bypass.h"
#include "switch/conntrack.h"
#include "switch/datapath.h"
#include "switch/decide.h"
#include "switch/execute.h"
#include "switch/output.h"
#include "switch/probe.h"
#include "switch/respond/respond.h"
#include "switch/source_nat.h"
#include "switch/tcp.h"
#include "switch/wire.h"

#include <errno.h>

#define PORT_RACES 4 /* with other workers, for a port of a shared address */

/* ---- connections ---- */

static _Atomic uint32_t *quota_of(struct worker *worker, const struct flow *forward)
{
	return &worker->datapath->nic_connections[nic_slot(forward->key.nic) % NIC_SLOTS];
}

/* The NIC that began the connection, or with which it was begun, has one less. */
static void give_back(struct worker *worker, const struct flow *flow)
{
	const struct flow *forward = flow->reply ? flow_table_pair(worker->datapath->flows, flow) : flow;

	atomic_fetch_sub_explicit(quota_of(worker, forward), 1, memory_order_relaxed);
}

static void remove_flow(struct worker *worker, struct flow *flow)
{
	if (flow_table_remove(worker->datapath->flows, flow))
		give_back(worker, flow);
}

bool slow_path_expire(struct worker *worker, struct flow *flow, const struct flow *seen)
{
	bool removed = flow_table_remove_seen(worker->datapath->flows, flow, seen);

	if (removed)
		give_back(worker, flow);
	return removed;
}

static struct flow *put(struct worker *worker, const struct decision *decision, int *ret_error)
{
	struct flow *flow = flow_table_put(worker->datapath->flows, &decision->forward, &decision->reply,
		worker->snapshot->epoch, worker->now_ms, ret_error);

	if (flow)
		atomic_fetch_add_explicit(quota_of(worker, flow), 1, memory_order_relaxed);
	return flow;
}

static enum connection_state state_of(struct worker *worker, const struct flow *flow)
{
	const struct flow *pair = flow_table_pair(worker->datapath->flows, flow);

	return flow->reply ? connection_state(pair, flow) : connection_state(flow, pair);
}

/* Another connection holds the translated tuple: it gives way if it is over. */
static bool evict_finished(struct worker *worker, const struct flow_key *key)
{
	struct flow *flow = flow_table_find(worker->datapath->flows, key);

	if (!flow || state_of(worker, flow) != CONNECTION_CLOSED)
		return false;
	remove_flow(worker, flow);
	return true;
}

/* Which workers will see the packets. */
static void set_zones(const struct worker *worker, struct decision *decision)
{
	struct flow_half *halves[] = {&decision->forward, &decision->reply};

	for (size_t i = 0; i < RTE_DIM(halves); i++)
		halves[i]->zone =
			(uint8_t)polling_worker(worker->polling, halves[i]->key.origin, halves[i]->key.nic);
}

/* By another port of its shared address, as another connection has the present one. -EADDRINUSE: none is free. */
static struct flow *put_shared(
	struct worker *worker, const struct flow_key *first, struct decision *decision, int *ret_error)
{
	struct flow *flow = NULL;
	bool over;

	/* Another worker may take the port that is found: not each time. */
	*ret_error = -EEXIST;
	for (unsigned i = 0; i < PORT_RACES && !flow && *ret_error == -EEXIST; i++) {
		*ret_error = -EADDRINUSE;
		if (!source_nat_choose(worker->datapath->flows, worker->snapshot, first, decision, &over))
			return NULL;
		if (over)
			evict_finished(worker, &decision->reply.key);
		set_zones(worker, decision);
		flow = put(worker, decision, ret_error);
	}
	return flow;
}

static enum drop drop_of_put(int error)
{
	return error == -EEXIST       ? DROP_TUPLE_IN_USE
	       : error == -EADDRINUSE ? DROP_PORTS_USED
				      : DROP_TABLE_FULL;
}

/* Puts both directions in. Returns the flow of the packet's direction, or NULL when it was dropped. */
static struct flow *install(struct worker *worker, const struct packet *parsed, struct decision *decision,
	struct rte_mbuf *packet)
{
	int error = 0;
	struct flow *flow = put(worker, decision, &error);

	if (!flow && error == -EEXIST) {
		/* The other side's worker may just have put in the same connection, seen from there. */
		flow = flow_table_find(worker->datapath->flows, &parsed->key);
		if (!flow && decision->shared)
			flow = put_shared(worker, &parsed->key, decision, &error);
		else if (!flow && evict_finished(worker, &decision->reply.key))
			flow = put(worker, decision, &error);
	}
	if (!flow)
		icmp_refuse(worker, parsed, drop_of_put(error), 0, packet);
	return flow;
}

/* The packet goes the way of its valid flow; what TCP's says of the connection is taken down, if it is believed. */
static void follow(struct worker *worker, struct flow *flow, struct packet *parsed, struct rte_mbuf *packet)
{
	const uint8_t *frame = rte_pktmbuf_mtod(packet, const uint8_t *);
	const struct flow *pair = flow_table_pair(worker->datapath->flows, flow);
	uint32_t back = __atomic_load_n(&pair->tcp, __ATOMIC_RELAXED);

	if (parsed->tcp_flags & (TCP_RST | TCP_FIN) && !tcp_believes(back, parsed, frame)) {
		if (parsed->tcp_flags & TCP_RST) {
			output_drop(worker, execute_subject(parsed, &flow->action), DROP_TCP_WINDOW, packet);
			return;
		}
		parsed->tcp_flags &= (uint8_t)~TCP_FIN;
	}
	if (parsed->tcp_flags & TCP_SYN)
		__atomic_store_n(&flow->tcp, tcp_begin(flow->tcp, parsed, frame), __ATOMIC_RELAXED);
	execute_flow(worker, flow, parsed, packet);
}

/* ---- first packets ---- */

bool slow_path_is_opening(const struct packet *parsed)
{
	return (parsed->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

/* Whether it is of a TCP connection that this process should have seen begin. */
static bool is_unknown(const struct datapath *datapath, uint32_t now_ms, const struct packet *parsed)
{
	return parsed->key.protocol == PROTO_TCP && !slow_path_is_opening(parsed) &&
	       (datapath->adopted || now_ms - datapath->started_ms > SLOW_PATH_LEARN_MS);
}

enum drop slow_path_check_first(const struct datapath *datapath, const struct snapshot *state,
	uint32_t now_ms, const struct packet *parsed, const uint8_t *frame)
{
	const struct flow_key *key = &parsed->key;

	if (frame[ETH_DST] & 1)
		return DROP_MULTICAST;
	if (parsed->kind == PACKET_FRAGMENT)
		return DROP_FRAGMENT;
	if (key->family == IP_V4 && checksum_of(frame + parsed->l3, (size_t)(parsed->l4 - parsed->l3)) != 0)
		return DROP_CHECKSUM;
	if (is_unknown(datapath, now_ms, parsed) && !bypass_may_have_begun(datapath, state, key))
		return DROP_TCP_NO_SYN;
	if ((key->protocol == PROTO_ICMP || key->protocol == PROTO_ICMPV6) &&
		!flow_icmp_type_asks(key->family, (uint8_t)(be16toh(key->dport) >> 8)))
		return DROP_ICMP_NO_FLOW;
	return DROP_NONE;
}

/* What a function sends to its wire by another way than the switch's gateway never comes here: a forged frame is not to
 * open the NIC for answers. */
static bool is_past(const struct packet *parsed, const struct decision *decision)
{
	const struct flow_action *action = &decision->forward.action;

	return parsed->flags & PACKET_BY_FUNCTION && action->exit == FLOW_TO_PHYSICAL &&
	       !(action->flags & FLOW_ROUTED);
}

enum drop slow_path_check_decided(const struct datapath *datapath, const struct snapshot *state,
	uint32_t now_ms, const struct packet *parsed, const struct decision *decision)
{
	if (is_past(parsed, decision))
		return DROP_ON_WIRE;
	if (is_unknown(datapath, now_ms, parsed) && !bypass_takes_up(datapath, state, decision))
		return DROP_TCP_NO_SYN;
	return DROP_NONE;
}

bool slow_path_is_over_quota(const struct datapath *datapath, uint32_t nic)
{
	return atomic_load_explicit(&datapath->nic_connections[nic_slot(nic) % NIC_SLOTS],
		       memory_order_relaxed) >= datapath->limits.nic_connections;
}

/* What the switch answers itself. True when it took the packet. */
static bool respond(struct worker *worker, const struct packet *parsed, struct rte_mbuf *packet)
{
	const struct nic *nic = snapshot_nic(worker->snapshot, parsed->key.nic);

	if (parsed->key.origin != FLOW_FROM_NIC || !nic)
		return false;
	if (dhcp_is_request(parsed))
		dhcp_from_nic(worker, nic, parsed, packet);
	else if (dhcp6_is_request(parsed))
		dhcp6_from_nic(worker, nic, parsed, packet);
	else if (icmp_is_gateway_echo(worker->snapshot, nic, parsed))
		icmp_answer_echo(worker, nic, parsed, packet);
	else
		return probe_hear(worker, nic, parsed, packet);
	return true;
}

static void first_packet(struct worker *worker, struct packet *parsed, struct rte_mbuf *packet)
{
	struct decision decision;

	if (respond(worker, parsed, packet))
		return;
	enum drop reason = slow_path_check_first(worker->datapath, worker->snapshot, worker->now_ms, parsed,
		rte_pktmbuf_mtod(packet, const uint8_t *));
	if (reason != DROP_NONE) {
		output_drop(worker, parsed->key.nic, reason, packet);
		return;
	}
	if (!decide(worker->snapshot, &parsed->key, false, &decision)) {
		icmp_refuse(worker, parsed, decision.drop, 0, packet);
		return;
	}
	if (execute_is_foreign(parsed, &decision.forward.action)) {
		output_drop(worker, parsed->key.nic, DROP_SPOOFED_TUNNEL, packet);
		return;
	}
	reason = slow_path_check_decided(
		worker->datapath, worker->snapshot, worker->now_ms, parsed, &decision);
	if (reason != DROP_NONE) {
		output_drop(worker, parsed->key.nic, reason, packet);
		return;
	}
	if (slow_path_is_over_quota(worker->datapath, parsed->key.nic)) {
		output_drop(worker, parsed->key.nic, DROP_FLOW_QUOTA, packet);
		return;
	}
	set_zones(worker, &decision);
	struct flow *flow = install(worker, parsed, &decision, packet);
	if (flow)
		follow(worker, flow, parsed, packet);
}

/* ---- flows that are there ---- */

static bool is_same(const struct flow_half *half, const struct flow *flow)
{
	return flow_key_equal(&half->key, &flow->key) &&
	       memcmp(&half->action, &flow->action, sizeof half->action) == 0;
}

/* The connection goes on, another way. */
static void replace(struct worker *worker, struct flow *forward, const struct decision *decision)
{
	struct flow_table *table = worker->datapath->flows;
	uint32_t epoch = worker->snapshot->epoch;
	int error = 0;

	if (flow_table_replace(table, forward, &decision->forward, &decision->reply, epoch, &error) ||
		error != -EEXIST)
		return;
	if (!evict_finished(worker, &decision->reply.key) ||
		(!flow_table_replace(table, forward, &decision->forward, &decision->reply, epoch, &error) &&
			error == -EEXIST))
		remove_flow(worker, forward); /* another connection has its new tuple */
}

/* Decides a connection anew by the present state. The flow may be another one afterwards, or gone, or as stale
 * as before: there was no room to replace it. */
static void revalidate(struct worker *worker, struct flow *flow)
{
	struct flow_table *table = worker->datapath->flows;
	struct flow *pair = flow_table_pair(table, flow);
	struct flow *forward = flow->reply ? pair : flow, *reply = flow->reply ? flow : pair;
	const struct flow_alias alias = flow_alias_of(&reply->key);
	uint32_t epoch = worker->snapshot->epoch;
	struct decision decision;

	counter_add(&worker->counters.revalidations, 1);
	/* A blocked connection comes back only when all groups allow it. */
	bool allowed =
		decide_as(worker->snapshot, &forward->key, !flow_is_blocked(forward), &alias, &decision);
	set_zones(worker, &decision);
	if (!allowed)
		flow_table_decide(table, forward, true, epoch);
	else if (is_same(&decision.forward, forward) && is_same(&decision.reply, reply))
		flow_table_decide(table, forward, false, epoch);
	else
		replace(worker, forward, &decision);
}

/* An older state than this worker's decided it. One that a newer state has decided is as good: its worker was
 * quicker. */
static bool is_stale(const struct worker *worker, const struct flow *flow)
{
	uint32_t epoch = __atomic_load_n(&flow->epoch, __ATOMIC_ACQUIRE);

	return (int32_t)(worker->snapshot->epoch - epoch) > 0;
}

struct flow *slow_path_find(struct worker *worker, const struct flow_key *key)
{
	struct flow *flow = flow_table_find(worker->datapath->flows, key);

	if (flow && is_stale(worker, flow)) {
		revalidate(worker, flow);
		flow = flow_table_find(worker->datapath->flows, key);
	}
	return flow && !is_stale(worker, flow) && !flow_is_blocked(flow) ? flow : NULL;
}

static void known_flow(
	struct worker *worker, struct flow *flow, struct packet *parsed, struct rte_mbuf *packet)
{
	/* Who may not speak for the source changes nothing of the connection. */
	if (slow_path_is_opening(parsed) && !execute_is_foreign(parsed, &flow->action)) {
		enum connection_state state = state_of(worker, flow);
		if (state == CONNECTION_CLOSED || state == CONNECTION_BLOCKED) {
			remove_flow(worker, flow);
			first_packet(worker, parsed, packet);
			return;
		}
	}
	if (is_stale(worker, flow)) {
		revalidate(worker, flow);
		flow = flow_table_find(worker->datapath->flows, &parsed->key);
		if (!flow) {
			first_packet(worker, parsed, packet);
			return;
		}
		if (is_stale(worker, flow)) {
			output_drop(worker, execute_subject(parsed, &flow->action), DROP_TABLE_FULL, packet);
			return;
		}
	}
	if (execute_is_foreign(parsed, &flow->action)) {
		output_drop(worker, parsed->key.nic, DROP_SPOOFED_TUNNEL, packet);
		return;
	}
	if (flow_is_blocked(flow)) {
		/* It stays blocked while packets come. */
		__atomic_store_n(&flow->seen_ms, worker->now_ms, __ATOMIC_RELAXED);
		output_drop(worker, execute_subject(parsed, &flow->action), DROP_REVOKED, packet);
		return;
	}
	follow(worker, flow, parsed, packet);
}

/* ---- entry ---- */

static void arp(struct worker *worker, const struct packet *parsed, struct rte_mbuf *packet)
{
	const struct nic *nic = snapshot_nic(worker->snapshot, parsed->key.nic);

	if (parsed->key.origin == FLOW_FROM_PHYSICAL)
		arp_from_physical(worker, parsed, packet);
	else if (parsed->key.origin != FLOW_FROM_NIC)
		arp_from_edge(worker, parsed->key.origin, packet);
	else if (nic)
		arp_from_nic(worker, nic, parsed, packet);
	else
		output_drop(worker, NO_NIC, DROP_NO_DESTINATION, packet);
}

/* Each switch answers its own NICs, and nobody else. */
static void nd(struct worker *worker, const struct packet *parsed, struct rte_mbuf *packet)
{
	const struct nic *nic = snapshot_nic(worker->snapshot, parsed->key.nic);

	if (!nic)
		output_drop(worker, NO_NIC, DROP_NO_DESTINATION, packet);
	else if (parsed->key.origin != FLOW_FROM_NIC)
		output_drop(worker, nic->id, DROP_ND_UNANSWERED, packet);
	else
		nd_from_nic(worker, nic, parsed, packet);
}

void slow_path(struct worker *worker, struct packet *parsed, struct rte_mbuf *packet)
{
	struct flow *flow;

	switch ((enum packet_kind)parsed->kind) {
	case PACKET_DROP: output_drop(worker, parsed->key.nic, parsed->drop, packet); return;
	case PACKET_ARP: arp(worker, parsed, packet); return;
	case PACKET_ND: nd(worker, parsed, packet); return;
	case PACKET_ICMP_ERROR: icmp_error_forward(worker, parsed, packet); return;
	case PACKET_FLOW:
	case PACKET_FRAGMENT:
		counter_add(&worker->counters.misses, 1);
		flow = flow_table_find(worker->datapath->flows, &parsed->key);
		if (flow)
			known_flow(worker, flow, parsed, packet);
		else
			first_packet(worker, parsed, packet);
		return;
	}
}
