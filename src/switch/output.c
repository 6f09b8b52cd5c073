/* Outboxes and drops. */
#include "switch/output.h"

#include "switch/datapath.h"
#include "switch/decide.h"
#include "switch/meter.h"
#include "switch/mirror.h"
#include "switch/neighbour.h"
#include "switch/segmentation.h"
#include "switch/split.h"
#include "switch/vlan.h"
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

/* ---- to ports ---- */

/* Hands the port what it takes as it is, so many bytes; the box is empty then. */
static inline void transmit(struct worker *worker, struct outbox *box, uint64_t bytes)
{
	struct port_counters *counters = &box->port->counters[worker->index];
	bool down = false;
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

/* What is put together for a port out of a box. */
struct ready {
	struct outbox box;
	uint64_t bytes;
};

static void send_ready(struct worker *worker, struct ready *ready)
{
	transmit(worker, &ready->box, ready->bytes);
	ready->bytes = 0;
}

static void put(struct worker *worker, struct ready *ready, uint32_t nic, struct rte_mbuf *packet)
{
	struct outbox *box = &ready->box;

	if (box->n == WORKER_BURST)
		send_ready(worker, ready);
	box->nics[box->n] = nic;
	box->packets[box->n++] = packet;
	ready->bytes += packet->pkt_len;
}

/* An open frame that the port does not take. */
static void put_finished(
	struct worker *worker, struct ready *ready, uint32_t nic, struct rte_mbuf *packet, uint32_t takes)
{
	struct rte_mbuf *piece;
	struct split split;

	if (!segmentation_is_needed(packet)) {
		segmentation_complete(packet);
		put(worker, ready, nic, packet);
		return;
	}
	split_segments(&split, packet, worker->datapath->pool);
	while ((piece = split_next(&split))) {
		if (!(takes & PORT_TAKES_CHECKSUM))
			segmentation_complete(piece);
		put(worker, ready, nic, piece);
	}
	if (split.left)
		output_count_drop(worker, nic, DROP_NO_BUFFER);
	rte_pktmbuf_free(packet);
}

/* The box has open frames among others: the port gets what it does not take completed, cut, in order. */
static __attribute__((noinline)) void transmit_open(struct worker *worker, struct outbox *box)
{
	const struct port *device = box->port->below ? box->port->below : box->port;
	uint32_t takes = atomic_load_explicit(&device->takes, memory_order_relaxed);
	struct ready ready = {.box.port = box->port};

	for (unsigned i = 0; i < box->n; i++) {
		struct rte_mbuf *packet = box->packets[i];
		if (!segmentation_is_open(packet) || segmentation_is_taken(packet, takes))
			put(worker, &ready, box->nics[i], packet);
		else
			put_finished(worker, &ready, box->nics[i], packet, takes);
	}
	if (ready.box.n)
		send_ready(worker, &ready);
	box->n = 0;
}

void output_send(struct worker *worker, struct outbox *box)
{
	uint64_t flags = 0, bytes = 0;

	for (unsigned i = 0; i < box->n; i++) {
		flags |= box->packets[i]->ol_flags;
		bytes += box->packets[i]->pkt_len;
	}
	if (__builtin_expect(worker->mirror != NULL, 0))
		mirror_delivered(worker, box);
	if (__builtin_expect((flags & SEGMENTATION_OPEN) != 0, 0))
		transmit_open(worker, box);
	else
		transmit(worker, box, bytes);
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

/* The packet once more, for another port. Ports change nothing in what is complete, so two may share the buffer. NULL:
 * there is no buffer. */
static struct rte_mbuf *share(struct worker *worker, uint32_t nic, struct rte_mbuf *packet)
{
	if (!segmentation_is_open(packet)) {
		rte_pktmbuf_refcnt_update(packet, 1);
		return packet;
	}
	struct rte_mbuf *copy = rte_pktmbuf_copy(packet, worker->datapath->pool, 0, UINT32_MAX);
	if (!copy)
		output_count_drop(worker, nic, DROP_NO_BUFFER);
	return copy;
}

/* beside_wire: not to a function on the physical network. */
static void deliver(struct worker *worker, const struct nic *nic, bool beside_wire, struct rte_mbuf *packet)
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
		if (!attachment->active || !attachment->port || (beside_wire && attachment->physical))
			continue;
		struct rte_mbuf *sent = first ? packet : share(worker, nic->id, packet);
		if (!sent)
			continue;
		output_port(worker, attachment->port, nic->id, sent);
		worker->recent.port = attachment->port;
		worker->recent.nic = first && !limited && !beside_wire ? nic->id : 0;
		first = false;
	}
	if (first)
		output_drop(worker, nic->id, DROP_PORT_DOWN, packet);
}

void output_nic(struct worker *worker, const struct nic *nic, struct rte_mbuf *packet)
{
	deliver(worker, nic, false, packet);
}

/* A NIC whose function alone is active gets it there in any case: then it came for another's MAC, as the worker has
 * refused what came for its own. */
void output_arrived(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet)
{
	deliver(worker, nic, parsed->flags & PACKET_ON_WIRE && nic_is_changing(nic), packet);
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

/* ---- by the tunnel ---- */

static inline __attribute__((always_inline)) void encapsulate(
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

/* What is within an outer packet no port completes. */
static __attribute__((noinline)) void encapsulate_open(
	struct worker *worker, uint32_t vni, const uint8_t vtep[4], uint32_t nic, struct rte_mbuf *packet)
{
	struct rte_mbuf *piece;
	struct split split;

	if (!segmentation_is_needed(packet)) {
		segmentation_complete(packet);
		encapsulate(worker, vni, vtep, nic, packet);
		return;
	}
	split_segments(&split, packet, worker->datapath->pool);
	while ((piece = split_next(&split))) {
		segmentation_complete(piece);
		encapsulate(worker, vni, vtep, nic, piece);
	}
	if (split.left)
		output_count_drop(worker, nic, DROP_NO_BUFFER);
	rte_pktmbuf_free(packet);
}

void output_tunnel(
	struct worker *worker, uint32_t vni, const uint8_t vtep[4], uint32_t nic, struct rte_mbuf *packet)
{
	if (__builtin_expect(segmentation_is_open(packet), 0))
		encapsulate_open(worker, vni, vtep, nic, packet);
	else
		encapsulate(worker, vni, vtep, nic, packet);
}

/* ---- to physical networks ---- */

/* The wire of the network, and the packet with its tag on; NULL, and it is dropped, when there is none. What goes there
 * came from a NIC or was made here: no other port shares the buffer. */
static const struct edge *tag(
	struct worker *worker, const struct network *network, uint32_t nic, struct rte_mbuf *packet)
{
	const struct edge *edge = network ? &network->physical->edge : NULL;

	if (!edge || !edge->port)
		output_drop(worker, nic, DROP_NO_PHYSICAL, packet);
	else if (!vlan_push(packet, segment_vlan_id(network->segment)))
		output_drop(worker, nic, DROP_NO_BUFFER, packet);
	else
		return edge;
	return NULL;
}

void output_vlan(struct worker *worker, const struct network *network, uint32_t nic, struct rte_mbuf *packet)
{
	const struct edge *edge = tag(worker, network, nic, packet);

	if (edge)
		output_port(worker, edge->port, nic, packet);
}

void output_physical(struct worker *worker, const struct flow_action *action, const struct packet *parsed,
	struct rte_mbuf *packet)
{
	const struct network *network = snapshot_vlan(worker->snapshot, action->target);
	uint32_t nic = parsed->key.nic;

	if (parsed->flags & PACKET_ON_WIRE) {
		output_drop(worker, nic, DROP_ON_WIRE, packet);
		return;
	}
	if (*(rte_pktmbuf_mtod(packet, uint8_t *) + ETH_DST) & 1) { /* it is no part of a flow's key */
		output_drop(worker, nic, DROP_MULTICAST, packet);
		return;
	}
	const struct edge *edge = tag(worker, network, nic, packet);
	if (!edge)
		return;
	uint8_t *dmac = rte_pktmbuf_mtod(packet, uint8_t *) + ETH_DST;
	if (memcmp(dmac, gateway_mac, 6) == 0 &&
		!neighbour_find(network->neighbours, action->next_hop, worker->now_ms, dmac))
		neighbour_wait(network->neighbours, worker, edge, action->next_hop, nic, packet);
	else
		output_port(worker, edge->port, nic, packet);
}

void output_flow(struct worker *worker, const struct flow_action *action, const struct packet *parsed,
	struct rte_mbuf *packet)
{
	uint32_t sender = parsed->key.nic;
	const struct nic *nic;

	switch ((enum flow_exit)action->exit) {
	case FLOW_TO_NIC:
		nic = snapshot_nic(worker->snapshot, action->target);
		if (nic)
			output_arrived(worker, nic, parsed, packet);
		else
			output_drop(worker, sender, DROP_NO_DESTINATION, packet);
		return;
	case FLOW_TO_TUNNEL: output_tunnel(worker, action->target, action->next_hop, sender, packet); return;
	case FLOW_TO_PHYSICAL: output_physical(worker, action, parsed, packet); return;
	case FLOW_TO_OUTSIDE:
	case FLOW_TO_HOST: output_edge(worker, action->exit, action->next_hop, sender, packet); return;
	}
}
