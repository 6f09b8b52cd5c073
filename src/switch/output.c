/* Outboxes and drops. */
#include "switch/output.h"

#include "switch/datapath.h"
#include "switch/meter.h"
#include "switch/mirror.h"
#include "switch/neighbour.h"
#include "switch/wire.h"

#include <rte_mbuf.h>

void output_count_drop(struct worker *worker, uint32_t nic, enum drop reason)
{
	unsigned row = nic == NO_NIC ? NIC_SLOTS : RTE_MIN(nic_slot(nic), (unsigned)NIC_SLOTS);

	counter_add(&worker->drops[row][reason], 1);
	counter_add(&worker->counters.drops, 1);
}

void output_drop(struct worker *worker, uint32_t nic, enum drop reason, struct rte_mbuf *packet)
{
	output_count_drop(worker, nic, reason);
	rte_pktmbuf_free(packet);
}

void output_send(struct worker *worker, struct outbox *box)
{
	struct port_counters *counters = &box->port->counters[worker->index];
	uint64_t bytes = 0;
	bool down = false;

	for (unsigned i = 0; i < box->n; i++)
		bytes += box->packets[i]->pkt_len;
	if (__builtin_expect(worker->mirror != NULL, 0))
		mirror_delivered(worker, box);
	uint16_t sent = port_tx(box->port, worker->index, box->packets, box->n, &down);
	counter_add(&counters->tx_packets, sent);
	/* Which packets of a burst a full ring refused is not said; frames of a burst are much alike. */
	counter_add(&counters->tx_bytes, sent == box->n ? bytes : bytes * sent / box->n);
	counter_add(&counters->drops, box->n - sent);
	counter_add(&worker->counters.tx, sent);
	for (unsigned i = sent; i < box->n; i++)
		output_count_drop(worker, box->nics[i], down ? DROP_PORT_DOWN : DROP_PORT_FULL);
	box->n = 0;
}

void output_flush(struct worker *worker)
{
	for (unsigned i = 0; i < worker->n_dirty; i++) {
		struct outbox *box = &worker->outboxes[worker->dirty[i]];
		if (box->n)
			output_send(worker, box);
		box->port = NULL;
	}
	worker->n_dirty = 0;
}

void output_nic(struct worker *worker, const struct nic *nic, struct rte_mbuf *packet)
{
	bool limited = limit_is_set(&nic->receive), first = true;

	worker->recent.nic = 0;
	if (__builtin_expect(limited, 0) && !meter_may_deliver(&worker->datapath->meters[nic_slot(nic->id)],
						    nic, worker->now_ms, packet)) {
		output_drop(worker, nic->id, DROP_RATE, packet);
		return;
	}
	for (unsigned i = 0; i < nic->n_attachments; i++) {
		const struct attachment *attachment = &nic->attachments[i];
		if (!attachment->active || !attachment->port)
			continue;
		/* Ports copy what they send and change nothing, so two may share the buffer. */
		if (!first)
			rte_pktmbuf_refcnt_update(packet, 1);
		output_port(worker, attachment->port, nic->id, packet);
		worker->recent.port = attachment->port;
		worker->recent.nic = first && !limited ? nic->id : 0;
		first = false;
	}
	if (first)
		output_drop(worker, nic->id, DROP_PORT_DOWN, packet);
}

void output_edge(struct worker *worker, enum flow_exit edge, const uint8_t next_hop[4], uint32_t nic,
	struct rte_mbuf *packet)
{
	static const enum drop absent[] = {
		[FLOW_TO_OUTSIDE] = DROP_NO_OUTSIDE,
		[FLOW_TO_HOST] = DROP_NO_HOST_PORT,
		[FLOW_TO_TUNNEL] = DROP_NO_UNDERLAY,
	};
	uint8_t *dmac = rte_pktmbuf_mtod(packet, uint8_t *) + ETH_DST;

	if (worker->hop.exit == edge && memcmp(worker->hop.ip, next_hop, 4) == 0) {
		memcpy(dmac, worker->hop.mac, 6);
		output_port(worker, worker->hop.port, nic, packet);
		return;
	}
	const struct edge *to = snapshot_edge(worker->snapshot, edge);
	struct neighbour_table *table = datapath_neighbours(worker->datapath, edge);
	if (!to->present || !to->port) {
		output_drop(worker, nic, absent[edge], packet);
		return;
	}
	if (!neighbour_find(table, next_hop, worker->now_ms, dmac)) {
		neighbour_wait(table, worker, to, next_hop, nic, packet);
		return;
	}
	worker->hop.exit = (uint8_t)edge;
	worker->hop.port = to->port;
	memcpy(worker->hop.ip, next_hop, 4);
	memcpy(worker->hop.mac, dmac, 6);
	output_port(worker, to->port, nic, packet);
}

void output_tunnel(
	struct worker *worker, uint32_t vni, const uint8_t vtep[4], uint32_t nic, struct rte_mbuf *packet)
{
	const struct underlay *underlay = &worker->snapshot->underlay;
	uint32_t length = packet->pkt_len;
	uint8_t *outer = (uint8_t *)rte_pktmbuf_prepend(packet, VXLAN_OVERHEAD);

	if (!outer) {
		output_drop(worker, nic, DROP_NO_BUFFER, packet);
		return;
	}
	vxlan_encapsulate(outer, &underlay->outer, length, vtep, vni, packet->hash.rss);
	output_edge(worker, FLOW_TO_TUNNEL,
		underlay_is_on_link(underlay, vtep) ? vtep : underlay->edge.gateway.bytes, nic, packet);
}

void output_flow(
	struct worker *worker, const struct flow_action *action, uint32_t sender, struct rte_mbuf *packet)
{
	const struct nic *nic;

	switch ((enum flow_exit)action->exit) {
	case FLOW_TO_NIC:
		nic = snapshot_nic(worker->snapshot, action->target);
		if (nic)
			output_nic(worker, nic, packet);
		else
			output_drop(worker, sender, DROP_NO_DESTINATION, packet);
		return;
	case FLOW_TO_TUNNEL: output_tunnel(worker, action->target, action->next_hop, sender, packet); return;
	case FLOW_TO_OUTSIDE:
	case FLOW_TO_HOST: output_edge(worker, action->exit, action->next_hop, sender, packet); return;
	}
}
