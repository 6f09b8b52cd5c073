/* Where packets leave the pipeline: delivered, or dropped with a reason.
 *
 * Everything here takes the packet over. Deliveries are gathered by port and sent together when the burst is
 * through, in order (output_flush).
 */
#pragma once
#include "switch/port.h"
#include "switch/worker.h"

/* Counts without a packet. nic: number of the NIC that it concerns, or NO_NIC (or FLOW_NIC_SHARED, which is
 * nobody's either). */
void output_count_drop(struct worker *worker, uint32_t nic, enum drop reason);
void output_drop(struct worker *worker, uint32_t nic, enum drop reason, struct rte_mbuf *packet);

/* To a NIC's active attachments: a copy to each when both are. The frame is complete. */
void output_nic(struct worker *worker, const struct nic *nic, struct rte_mbuf *packet);
/* The same of what came as `parsed`: where its physical network has brought it to the NIC's function already, to the
 * other attachment alone. */
void output_arrived(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet);

/* Sends what is in the box. */
void output_send(struct worker *worker, struct outbox *box);

/* To one port. */
static inline void output_port(
	struct worker *worker, struct port *port, uint32_t nic, struct rte_mbuf *packet)
{
	struct outbox *box = &worker->outboxes[port->index];

	if (box->n == WORKER_BURST)
		output_send(worker, box); /* stays in the list of dirty ones */
	else if (box->port == NULL)
		worker->dirty[worker->n_dirty++] = (uint16_t)port->index;
	box->port = port;
	box->nics[box->n] = nic;
	box->packets[box->n++] = packet;
}

/* To the next hop on an edge: its MAC is found (neighbour.h) and written. The frame's source MAC is the
 * edge's already. */
void output_edge(struct worker *worker, enum flow_exit edge, const uint8_t next_hop[4], uint32_t nic,
	struct rte_mbuf *packet);

/* A frame to a VTEP, in a VNI: it is put into a packet of the underlay. packet->hash.rss: its flow's. */
void output_tunnel(
	struct worker *worker, uint32_t vni, const uint8_t vtep[4], uint32_t nic, struct rte_mbuf *packet);

/* To the physical network, as the flow says, unless it is there already: to the MAC that the frame bears, or, where that
 * is the switch's gateway, to the next hop's. */
void output_physical(struct worker *worker, const struct flow_action *action, const struct packet *parsed,
	struct rte_mbuf *packet);

/* A frame as it is, in the network's VLAN. Who calls this is the packet's only owner. */
void output_vlan(struct worker *worker, const struct network *network, uint32_t nic, struct rte_mbuf *packet);

/* As the flow says what came as `parsed`; the frame is complete but for the next hop's MAC. */
void output_flow(struct worker *worker, const struct flow_action *action, const struct packet *parsed,
	struct rte_mbuf *packet);

void output_flush(struct worker *worker);
