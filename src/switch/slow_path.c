/* The slow path: first packets, packets of stale flows, and what the switch answers itself.
 *
 * How it works. A packet comes here because no flow matched, or the flow was last decided by another state (its
 * epoch), or is blocked, or a SYN wants to begin it anew, or an RST or FIN to end it. It is looked up once
 * more, since a packet before it in the burst, or another worker, may have put the flow in meanwhile. Then:
 *
 *   no flow  Responders; else the layers decide, both directions are put in, and the packet is executed. Where
 *            the NIC shares its public address, and its port there is taken, another is found (source_nat.h). Before it
 *            is refused, it is looked for among the connections of NICs that have come or gone (connections.h).
 *   stale    The layers decide again (connections.h). Where there is no room just now for what comes out, the packet is
 *            dropped and the next one tries again.
 *   blocked  Dropped. A SYN begins anew; so does a state that allows it again.
 *   ending   An RST, or FIN, is held against the connection's window (tcp.h) before it is executed; but not where a NIC
 *            carries what moves that window.
 *
 * A TCP connection begins with a SYN. Others are dropped, except for SLOW_PATH_LEARN_MS after a start that found
 * no table to adopt (flow_memory.h): then those that were established before are taken up in the middle, if policy
 * allows the direction of the first packet that is seen. A connection that was revoked before can come
 * back so only where other rules allow it from the other side: no more than a new connection from there could do.
 * NICs whose functions are past the host have others that begin unseen: bypass.c says which are taken up. And a load
 * balancer that has come from another switch brings its own: takeover.c.
 */
#include "switch/slow_path.h"

#include "switch/bypass.h"
#include "switch/connections.h"
#include "switch/datapath.h"
#include "switch/decide.h"
#include "switch/execute.h"
#include "switch/load_balancer.h"
#include "switch/output.h"
#include "switch/probe.h"
#include "switch/respond/respond.h"
#include "switch/source_nat.h"
#include "switch/split.h"
#include "switch/takeover.h"
#include "switch/tcp.h"
#include "switch/wire.h"

#include <errno.h>

#define PORT_RACES 4 /* with other workers, for a port of a shared address */

/* ---- connections ---- */

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
			connections_evict_finished(worker, &decision->reply.key);
		flow = connections_put(worker, decision, ret_error);
	}
	return flow;
}

static enum drop drop_of_put(int error)
{
	return error == -EEXIST       ? DROP_TUPLE_IN_USE
	       : error == -EADDRINUSE ? DROP_PORTS_USED
				      : DROP_TABLE_FULL;
}

/* The connection that has the key of the answers by an older state is decided anew, and may be the packet's then, or out of
 * its way. NULL: it is not the packet's. */
static struct flow *settle_older(
	struct worker *worker, const struct packet *parsed, const struct flow_key *reply)
{
	struct flow *older = flow_table_find(worker->datapath->flows, reply);

	if (!older || !connections_is_stale(worker, older))
		return NULL;
	connections_revalidate(worker, older);
	return flow_table_find(worker->datapath->flows, &parsed->key);
}

/* Puts both directions in. Returns the flow of the packet's direction, or NULL and why there is none. */
static struct flow *install(
	struct worker *worker, const struct packet *parsed, struct decision *decision, enum drop *ret_reason)
{
	int error = 0;
	struct flow *flow = connections_put(worker, decision, &error);

	if (!flow && error == -EEXIST) {
		/* The other side's worker may just have put in the same connection, seen from there. */
		flow = flow_table_find(worker->datapath->flows, &parsed->key);
		if (!flow && decision->shared)
			flow = put_shared(worker, &parsed->key, decision, &error);
		else if (!flow && !(flow = settle_older(worker, parsed, &decision->reply.key)) &&
			 connections_evict_finished(worker, &decision->reply.key))
			flow = connections_put(worker, decision, &error);
	}
	*ret_reason = drop_of_put(error);
	return flow;
}

/* The packet goes the way of its valid flow; what TCP's says of the connection is taken down, if it is believed. */
static void follow(struct worker *worker, struct flow *flow, struct packet *parsed, struct rte_mbuf *packet)
{
	const uint8_t *frame = rte_pktmbuf_mtod(packet, const uint8_t *);
	const struct flow *pair = flow_table_pair(worker->datapath->flows, flow);
	uint32_t back = __atomic_load_n(&pair->tcp, __ATOMIC_RELAXED);

	if (parsed->tcp_flags & (TCP_RST | TCP_FIN) && !flow_is_carried(pair) &&
		!tcp_believes(back, parsed, frame)) {
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

static bool is_learning(const struct datapath *datapath, uint32_t now_ms)
{
	return atomic_load_explicit(&datapath->learning, memory_order_relaxed) &&
	       now_ms - datapath->started_ms <= SLOW_PATH_LEARN_MS;
}

/* The clock comes round to the start again after 50 days. */
void slow_path_tick(const struct worker *worker)
{
	struct datapath *datapath = worker->datapath;

	if (!is_learning(datapath, worker->now_ms))
		atomic_store_explicit(&datapath->learning, false, memory_order_relaxed);
}

/* Whether it is of a TCP connection that this process should have seen begin. */
static bool is_unknown(const struct datapath *datapath, uint32_t now_ms, const struct packet *parsed)
{
	return parsed->key.protocol == PROTO_TCP && !slow_path_is_opening(parsed) &&
	       !is_learning(datapath, now_ms);
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
	if (is_unknown(datapath, now_ms, parsed) && !bypass_may_have_begun(datapath, state, key) &&
		!takeover_may_have_begun(datapath, state, key))
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
	if (is_unknown(datapath, now_ms, parsed) && !bypass_takes_up(datapath, state, decision) &&
		!takeover_may_have_begun(datapath, state, &decision->forward.key))
		return DROP_TCP_NO_SYN;
	return DROP_NONE;
}

/* The answer goes out in the packet that asked, without what was behind it. */
static void answer_echo(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet)
{
	split_trim(packet, packet_frame_length(parsed));
	icmp_answer_echo(worker, nic, parsed, packet);
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
		answer_echo(worker, nic, parsed, packet);
	else
		return probe_hear(worker, nic, parsed, packet);
	return true;
}

/* Whether it may begin a connection: then that is decided. Else the reason why it may not. */
static enum drop judge_first(
	struct worker *worker, const struct packet *parsed, const uint8_t *frame, struct decision *ret)
{
	enum drop reason =
		slow_path_check_first(worker->datapath, worker->snapshot, worker->now_ms, parsed, frame);

	ret->refuser = NULL;
	if (reason != DROP_NONE)
		return reason;
	if (!decide(worker->snapshot, &parsed->key, false, ret))
		return ret->drop;
	if (execute_is_foreign(parsed, &ret->forward.action))
		return DROP_SPOOFED_TUNNEL;
	reason = slow_path_check_decided(worker->datapath, worker->snapshot, worker->now_ms, parsed, ret);
	if (reason == DROP_NONE && connections_are_over_quota(worker->datapath, parsed->key.nic))
		reason = DROP_FLOW_QUOTA;
	return reason;
}

/* A member speaks first of a connection that its load balancer had on another switch: it is taken up as its client began
 * it. NULL: there is no such. */
static struct flow *take_up_answered(struct worker *worker, const struct packet *parsed)
{
	const struct snapshot *state = worker->snapshot;
	struct load_asked at = {};
	struct decision decision;
	struct flow_key asked;
	int error;

	if (slow_path_is_opening(parsed) || !takeover_may_have_begun(worker->datapath, state, &parsed->key))
		return NULL;
	while (load_balancer_next_asked(state, &parsed->key, &at, &asked))
		if (decide(state, &asked, false, &decision) &&
			flow_key_equal(&decision.reply.key, &parsed->key) &&
			!execute_is_foreign(parsed, &decision.reply.action) &&
			connections_put(worker, &decision, &error))
			return flow_table_find(worker->datapath->flows, &parsed->key);
	return NULL;
}

static void known_flow(
	struct worker *worker, struct flow *flow, struct packet *parsed, struct rte_mbuf *packet);

static void first_packet(struct worker *worker, struct packet *parsed, struct rte_mbuf *packet)
{
	struct decision decision;
	struct flow *flow;

	if (respond(worker, parsed, packet))
		return;
	enum drop reason = judge_first(worker, parsed, rte_pktmbuf_mtod(packet, const uint8_t *), &decision);
	if (reason == DROP_NONE && (flow = install(worker, parsed, &decision, &reason)))
		follow(worker, flow, parsed, packet);
	else if ((flow = connections_find_moved(worker, &parsed->key)) ||
		 (flow = take_up_answered(worker, parsed)))
		known_flow(worker, flow, parsed, packet);
	else
		icmp_refuse(worker, parsed, decision.refuser ? decision.refuser->id : parsed->key.nic, reason,
			0, packet);
}

/* ---- flows that are there ---- */

static void known_flow(
	struct worker *worker, struct flow *flow, struct packet *parsed, struct rte_mbuf *packet)
{
	/* Who may not speak for the source changes nothing of the connection. */
	if (slow_path_is_opening(parsed) && !execute_is_foreign(parsed, &flow->action)) {
		enum connection_state state = connections_state(worker, flow);
		if (state == CONNECTION_CLOSED || state == CONNECTION_BLOCKED) {
			connections_remove(worker, flow);
			first_packet(worker, parsed, packet);
			return;
		}
	}
	if (connections_is_stale(worker, flow)) {
		connections_revalidate(worker, flow);
		flow = flow_table_find(worker->datapath->flows, &parsed->key);
		if (!flow) {
			first_packet(worker, parsed, packet);
			return;
		}
		if (connections_is_stale(worker, flow)) {
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

/* A NIC has come here; nobody else's is of use. */
static void rarp(struct worker *worker, const struct packet *parsed, struct rte_mbuf *packet)
{
	const struct nic *nic = snapshot_nic(worker->snapshot, parsed->key.nic);

	if (nic && parsed->key.origin == FLOW_FROM_NIC)
		rarp_from_nic(worker, nic, parsed, packet);
	else
		output_drop(worker, parsed->key.nic, DROP_ETHERTYPE, packet);
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

/* What has no flow. Answers go out in the packet that asked, and some go on as they came; not what was behind them, which
 * is held against no MTU. */
static void flowless(struct worker *worker, const struct packet *parsed, struct rte_mbuf *packet)
{
	split_trim(packet, packet_frame_length(parsed));
	if (parsed->kind == PACKET_ARP)
		arp(worker, parsed, packet);
	else if (parsed->kind == PACKET_RARP)
		rarp(worker, parsed, packet);
	else if (parsed->kind == PACKET_ND)
		nd(worker, parsed, packet);
	else
		icmp_error_forward(worker, parsed, packet);
}

void slow_path(struct worker *worker, struct packet *parsed, struct rte_mbuf *packet)
{
	struct flow *flow;

	switch ((enum packet_kind)parsed->kind) {
	case PACKET_DROP: output_drop(worker, parsed->key.nic, parsed->drop, packet); return;
	case PACKET_ARP:
	case PACKET_RARP:
	case PACKET_ND:
	case PACKET_ICMP_ERROR: flowless(worker, parsed, packet); return;
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
