/* Execution of a flow: the last stage, on the fast path and after a slow one. */
#pragma once
#include "switch/output.h"
#include "switch/respond/respond.h"
#include "switch/rewrite.h"
#include "switch/tcp.h"

/* What each packet leaves in its flow; this direction's worker is the only writer. */
static inline __attribute__((always_inline)) void execute_account(struct flow *flow,
	const struct packet *parsed, const uint8_t *frame, uint32_t length, uint32_t now_ms)
{
	uint32_t tcp = tcp_follow(flow->tcp, parsed, frame + parsed->l4);

	__atomic_store_n(&flow->seen_ms, now_ms, __ATOMIC_RELAXED);
	__atomic_store_n(&flow->tcp, tcp, __ATOMIC_RELAXED);
	__atomic_store_n(&flow->packets, flow->packets + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&flow->bytes, flow->bytes + length, __ATOMIC_RELAXED);
}

/* It came by the tunnel, but not from the VTEP that the flow's source is behind. */
static inline __attribute__((always_inline)) bool execute_is_foreign(
	const struct packet *parsed, const struct flow_action *action)
{
	return parsed->key.origin == FLOW_FROM_TUNNEL &&
	       memcmp(parsed->vtep, flow_action_vtep(action), 4) != 0;
}

/* The NIC that a packet of the flow concerns: where NICs share the address that it came for, the one that gets it. */
static inline uint32_t execute_subject(const struct packet *parsed, const struct flow_action *action)
{
	return parsed->key.nic == FLOW_NIC_SHARED ? action->target : parsed->key.nic;
}

/* In the name of that NIC. */
static inline __attribute__((cold)) void execute_refuse(struct worker *worker, const struct packet *parsed,
	const struct flow_action *action, enum drop reason, struct rte_mbuf *packet)
{
	struct packet of_nic = *parsed;

	of_nic.key.nic = execute_subject(parsed, action);
	icmp_refuse(
		worker, &of_nic, of_nic.key.nic, reason, reason == DROP_TOO_BIG ? action->mtu : 0, packet);
}

/* To a NIC of this switch. */
static inline __attribute__((always_inline)) void execute_delivery(struct worker *worker,
	const struct flow_action *action, const struct packet *parsed, struct rte_mbuf *packet)
{
	if (__builtin_expect(worker->recent.nic == action->target, 1)) {
		output_port(worker, worker->recent.port, action->target, packet);
		return;
	}
	const struct nic *nic = snapshot_nic(worker->snapshot, action->target);
	if (nic)
		output_arrived(worker, nic, parsed, packet);
	else
		output_drop(worker, parsed->key.nic, DROP_NO_DESTINATION, packet);
}

/* What the flow does with a packet that fits the way ahead. */
static inline __attribute__((always_inline)) void execute_action(
	struct worker *worker, struct flow *flow, const struct packet *parsed, struct rte_mbuf *packet)
{
	const struct flow_action *action = &flow->action;
	uint8_t *frame = rte_pktmbuf_mtod(packet, uint8_t *);

	if (__builtin_expect(action->flags & FLOW_ROUTED && rewrite_is_last_hop(frame, parsed), 0)) {
		execute_refuse(worker, parsed, action, DROP_TTL, packet);
		return;
	}
	execute_account(flow, parsed, frame, packet->pkt_len, worker->now_ms);
	rewrite_packet(frame, parsed, action);
	packet->hash.rss = flow->hash;
	if (action->exit == FLOW_TO_NIC)
		execute_delivery(worker, action, parsed, packet);
	else if (action->exit == FLOW_TO_TUNNEL)
		output_tunnel(worker, action->target, action->next_hop, parsed->key.nic, packet);
	else if (action->exit == FLOW_TO_PHYSICAL)
		output_physical(worker, action, parsed, packet);
	else
		output_edge(worker, action->exit, action->next_hop, parsed->key.nic, packet);
}

/* A frame that is longer than what the way ahead carries: by what is behind the packet, which is cut off; several
 * segments that fit, or that may be made shorter; or an IPv4 packet that may be fragmented. Else its sender is told.
 * Takes it over. */
void execute_oversized(
	struct worker *worker, struct flow *flow, const struct packet *parsed, struct rte_mbuf *packet);

/* Runs a packet through its valid flow; takes it over. */
static inline __attribute__((always_inline)) void execute_flow(
	struct worker *worker, struct flow *flow, const struct packet *parsed, struct rte_mbuf *packet)
{
	if (__builtin_expect(execute_is_foreign(parsed, &flow->action), 0))
		output_drop(worker, parsed->key.nic, DROP_SPOOFED_TUNNEL, packet);
	else if (__builtin_expect(packet->pkt_len - parsed->l3 > flow->action.mtu, 0))
		execute_oversized(worker, flow, parsed, packet);
	else
		execute_action(worker, flow, parsed, packet);
}
