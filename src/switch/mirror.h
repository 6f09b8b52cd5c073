/* Mirror: copies of the packets of one NIC, for an operator to look at.
 *
 * How it works. A NIC's packets are seen at its port: what it sends as it sends it, before any stage, and what
 * is delivered to it as it gets it. A worker copies those that are wanted, cut to `snaplen` bytes, into its own
 * lane, a ring of slots that the main thread empties. Everything is allocated before the mirror is published.
 *
 * Cost. While nobody looks, a burst costs one test of a pointer that was read with the turn. While somebody
 * does, packets of other NICs cost a comparison a burst. A worker never waits: at most `rate` packets a second
 * and worker are copied, and none when its lane is full; both are counted, and the packet goes on as ever.
 *
 * Threads. A lane has one writer, its worker, and one reader, the main thread: `head` is stored with release
 * behind what was written, `tail` with release behind what was read. The mirror is published in the datapath
 * and freed after a grace period (datapath_set_mirror).
 */
#pragma once
#include "switch/flow_query.h"
#include "switch/worker.h"

#define MIRROR_SNAPLEN     2048
#define MIRROR_SNAPLEN_MAX 65535
#define MIRROR_RATE        10000 /* packets a second and worker */
#define MIRROR_RATE_MAX    1000000

struct mirror_config {
	uint32_t nic; /* number */
	struct flow_filter filter; /* its protocol, prefix and port */
	bool has_flow; /* only packets of `flow`'s tuple, in either direction, and errors about them */
	struct flow_key flow; /* addresses, ports and protocol count */
	uint32_t snaplen, rate;
};

enum mirror_direction { MIRROR_RECEIVED /* the NIC sent it */, MIRROR_DELIVERED /* to the NIC */ };

/* A copy. */
struct mirror_packet {
	uint64_t time_ns; /* since 1970 */
	uint32_t length; /* of the packet */
	uint32_t captured; /* bytes of it that are here */
	uint8_t direction; /* enum mirror_direction */
	uint8_t attachment; /* enum attachment_kind */
	uint8_t bytes[];
};

struct mirror_counters {
	uint64_t wanted; /* packets that the mirror is about */
	uint64_t limited, overrun; /* not copied: over the rate, lane full */
};

struct mirror;

struct mirror *mirror_new(const struct mirror_config *config, unsigned workers);
void mirror_free(struct mirror *mirror);
CLEANUP_FUNC(struct mirror *, mirror_free)

const struct mirror_config *mirror_config_of(const struct mirror *mirror);

/* For workers, with worker->mirror set. */
void mirror_received(
	struct worker *worker, const struct port *port, struct rte_mbuf *const *packets, unsigned n);
void mirror_delivered(struct worker *worker, const struct outbox *box);

/* For the main thread: the oldest copy of a lane, Borrowed until mirror_pop; NULL when it is empty. */
const struct mirror_packet *mirror_peek(const struct mirror *mirror, unsigned worker);
void mirror_pop(struct mirror *mirror, unsigned worker);
/* Sum over workers. */
struct mirror_counters mirror_counters_sum(const struct mirror *mirror);
