/* The first stage of the pipeline: what is in each frame of a burst, and whose it is.
 *
 * A frame belongs to the NIC that sent it, or to the one that it is addressed to: from an edge by its address, from the
 * tunnel and physical networks, which carry frames within something else, by its destination MAC. What may not come from
 * there is PACKET_DROP, with the reason: MACs are no part of a flow's key, so nothing later looks at them.
 */
#pragma once
#include "switch/packet.h"
#include "switch/worker.h"

/* Fills parsed[0..n]; what is around the inner frames is taken off the packets. */
void arrival_parse(struct worker *worker, const struct source *source, struct rte_mbuf **packets, unsigned n,
	struct packet *parsed);
