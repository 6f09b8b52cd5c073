/* Rate limits of NICs: token buckets, in bits and in packets a second, for what a NIC sends and for what it receives.
 *
 * This is no layer: layers decide connections, once each (layers/layer.h), and a limit is the NIC's, over all of its
 * connections and whatever the switch itself sends it. It acts on packets, where they enter and where they leave.
 *
 * What a NIC sends is shaped, by back-pressure. A NIC whose bucket is empty is not polled until there is
 * something in it: its virtio ring fills, the guest's driver stops its queue, and the guest's own queueing
 * discipline decides what waits; nothing is dropped here, and nothing is queued. How large packets are is known
 * only when they are there, so they are asked for by as many as the bucket has room for at EXPECTED_BYTES each,
 * accounted for when they have come, and may leave a debt, which is paid before the next poll: over time, the
 * rate is what the limit says. The bucket has one writer, the worker that polls the NIC's attachments, and
 * moves with them (polling.h): there is no lock. All of them share it, and whichever found it empty first is
 * the first to find something in it, so that none takes all. An interface (interface.c) or DPDK device is not
 * polled either; there the kernel or the device queues as much as its ring holds, and drops what comes when
 * that is full.
 *
 * What a NIC receives is policed: there is nobody to hold back, and a queue of ours would take all NICs'
 * buffers. What comes while the bucket is empty is dropped and counted (DROP_RATE); a TCP stream needs a deeper
 * bucket then (snapshot.h). Any worker delivers to any NIC, so that bucket has a lock. It is taken once a
 * packet, by NICs that have such a limit only, before a packet is copied to two attachments: so both copies
 * live or die together, and count once. Rejected: the port's tx_lock, which comes after copying.
 *
 * What a NIC sends by a function past the host comes by a port that it shares, and cannot be held back there either: it
 * is policed, by the same limit and a bucket of its own, as another worker may have it. What one announcement becomes
 * many of, one for each NIC of the network, is policed whether or not there is a limit.
 *
 * What an eswitch carries of a NIC's packets it holds to the limit as well. The buckets here are then filled with what
 * that was short of the limit lately, and with an eighth of the limit at least: first packets, and flows that the eswitch
 * does not take, must get through. So a NIC may have an eighth more than its limit, and for a round that much more in
 * which the eswitch begins to carry it.
 *
 * Cost. A NIC without a limit has no meter: a branch on a pointer each time that a source is polled, and one
 * where the slower way of delivery looks the NIC up; the quick one (worker.h, `recent`) is not for NICs that
 * are policed.
 *
 * Bytes are those of frames, without preamble and checksum. A packet that is to be segmented further on counts
 * its bytes once, and as many packets as it will be.
 *
 * Lifetime. Meters belong to the data path, by the NIC's slot: a new state has other limits at once, and finds
 * in the bucket what there was. Whoever is new in a slot begins with a full one, and counters of zero.
 */
#pragma once
#include "switch/snapshot.h"

#include <rte_spinlock.h>

struct rte_mbuf;

/* Of one limit. All of it is zero at first. */
struct meter_bucket {
	int64_t bits, packets; /* thousandths that may pass now; below 0: a debt */
	uint32_t filled_ms;
	uint32_t nic; /* whose it is; 0: nobody's yet */
};

/* What an eswitch carries of a NIC's packets (offloader.h), and holds to the limit by itself. */
struct meter_carried {
	_Atomic uint64_t bits_per_s, packets_per_s;
};

struct meter {
	struct meter_carried sent, received; /* the offloader's, read by anybody */

	/* The polling worker's; nic, holds and held_ms are read by anybody. */
	struct meter_bucket send;
	const struct port
		*waiting; /* compared only: the attachment that found the bucket empty first; or NULL */
	uint32_t polled_ms; /* when its turn came last, */
	bool held; /* and was not taken */
	uint32_t nic; /* whose the counters are */
	uint64_t holds, held_ms;

	struct {
		rte_spinlock_t lock;
		struct meter_bucket receive, past, announcements; /* under the lock */
	} shared __attribute__((aligned(64)));
};

/* ---- the bucket ---- */

/* Fills it by the time that has passed (the clock wraps, and another worker's may be a little ahead), and says whether
 * anything may pass. */
bool meter_bucket_is_open(
	struct meter_bucket *bucket, const struct limit *limit, uint32_t nic, uint32_t now_ms);
/* How many packets may be asked for, of at most `max`; of a bucket that is open. */
unsigned meter_bucket_room(const struct meter_bucket *bucket, const struct limit *limit, unsigned max);
void meter_bucket_spend(struct meter_bucket *bucket, uint64_t bytes, uint64_t packets);

/* So much of it in that time. */
void meter_set_carried(struct meter_carried *carried, uint64_t packets, uint64_t bytes, uint32_t elapsed_ms);

/* ---- NICs ---- */

/* Receives from a source that has a limit: at most WORKER_BURST packets, none while the NIC is held back. */
uint16_t meter_poll(const struct source *source, uint32_t now_ms, struct rte_mbuf **packets);

/* Whether the packet may be delivered to the NIC, whose meter it is and which has a limit; if so, it is
 * accounted for. */
bool meter_may_deliver(
	struct meter *meter, const struct nic *nic, uint32_t now_ms, const struct rte_mbuf *packet);

/* Whether a packet that the NIC's function past the host sent to the switch may go on; the NIC has a limit on what it
 * sends. */
bool meter_may_send(
	struct meter *meter, const struct nic *nic, uint32_t now_ms, const struct rte_mbuf *packet);
/* Whether an announcement of the NIC's may be told to others once more. */
bool meter_may_announce(struct meter *meter, const struct nic *nic, uint32_t now_ms);

/* How often the NIC was held back, and for how long altogether. */
struct meter_holds {
	uint64_t times, ms;
};
struct meter_holds meter_holds_of(const struct meter *meter, const struct nic *nic);
