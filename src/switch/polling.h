/* Who polls what: sources and the workers that they belong to.
 *
 * How it works. A NIC belongs to one worker with all its attachments that are polled, so that the per-packet part of
 * a flow has one writer (flow.h); so does each queue of an edge. A snapshot has one polling, which the main thread makes;
 * it can be replaced beside the snapshot, to move load from worker to worker (rebalance.h). What is there
 * already keeps its worker when states change.
 *
 * Handover. Workers see a new polling at different moments, and a queue must never have two pollers. So what counts in
 * the end is the queue's owner (port.h): the new worker leaves the queue alone until the main thread, after a grace
 * period, in which the one before has polled it for the last time and sent all that it got, makes it the owner. Packets
 * wait in the queue meanwhile, for the length of a turn. So no flow is reordered, none of its packets lost, and its
 * counters have one writer at any time. Of a packet that is in fragments at that moment, the later ones are lost: what
 * the first one said is known to the worker before (fragment.h).
 */
#pragma once
#include "switch/flow.h"
#include "switch/snapshot.h"

#define POLLING_PLACES 8 /* at least as many as enum flow_origin has */

struct polling {
	GArray *sources[SNAPSHOT_WORKERS]; /* Owned, of struct source, by worker */
	uint8_t nics[NIC_SLOTS]; /* worker, by slot */
	uint8_t places[POLLING_PLACES]; /* worker of the first source, by origin; not of NICs */
};

/* Whom sources are given to. */
struct polling_plan {
	unsigned workers;
	const struct polling *before; /* sources keep the worker that they have there; NULL: they have none */
	const struct source *moved; /* but for this one (where it is a NIC's: all of that NIC); NULL: none */
	unsigned to; /* its new worker */
};

/* Without sources. */
struct polling *polling_new(const struct polling_plan *plan);
void polling_free(struct polling *polling);
/* Adds all queues of the source's port; none where it has no port. */
void polling_add(struct polling *polling, const struct polling_plan *plan, struct source source);

/* A grace period is over: each worker may poll what the polling gives it. */
void polling_grant(const struct polling *polling);

/* The worker that polls what brings packets of that origin, of a NIC where it is FLOW_FROM_NIC. Of an edge with several
 * queues it is that of one of them. */
static inline unsigned polling_worker(const struct polling *polling, unsigned origin, uint32_t nic)
{
	return origin == FLOW_FROM_NIC ? polling->nics[nic_slot(nic) % NIC_SLOTS]
				       : polling->places[origin % POLLING_PLACES];
}
