/* The data path as a whole: what workers share, and how the main thread changes it.
 *
 * Ordering contract of a change. The main thread builds a snapshot aside; opens its ports; stores its pointer
 * with release; waits until each worker has passed a quiescent state or sleeps (grace.h).
 * From then on no worker sees the snapshot before: it and the ports that only it named are freed. A worker
 * loads the pointer with acquire at the start of a turn and reports quiescence at its end.
 */
#pragma once
#include "switch/flow_table.h"
#include "switch/neighbour.h"
#include "switch/polling.h"
#include "switch/snapshot.h"
#include "switch/worker.h"

#include <stdatomic.h>

struct offloader;
struct rte_rcu_qsbr;

struct datapath_limits {
	unsigned workers;
	uint32_t connections; /* of the whole table */
	uint32_t nic_connections; /* of one NIC */
};

struct datapath {
	struct snapshot *_Atomic snapshot; /* Owned */
	struct mirror *_Atomic mirror; /* Borrowed; NULL: nobody looks */
	struct offloader *offloader; /* Borrowed; the main thread's; NULL: nothing is offloaded */
	struct rte_rcu_qsbr *readers; /* Owned */
	struct rte_mempool *pool; /* Borrowed */
	struct flow_table *flows; /* Owned */
	struct neighbour_table *outside, *host, *underlay; /* Owned */
	struct datapath_limits limits;
	struct worker *workers[SNAPSHOT_WORKERS]; /* Owned */
	_Atomic uint32_t
		nic_connections[NIC_SLOTS]; /* that each NIC began, or that were begun with it from an edge */
	uint64_t (
		*drops_before)[DROP_COUNT]; /* Owned: by slot, what was counted before its present NIC came */
	struct meter *meters; /* Owned: of NICs, by slot */
	struct bypass *bypasses; /* Owned: of NICs' functions past the host, by slot */
	struct takeover *takeovers; /* Owned: of public load balancers, by slot */
	uint32_t started_ms;
	uint32_t advertised_ms,
		advertise_next; /* the main thread's: whose turn it is, and since when (advertise.c) */
	_Atomic bool
		learning; /* TCP connections from before the start are taken up (slow_path.h); it ends once */
	_Atomic bool stop;
};

/* Milliseconds since the machine began; the clock never jumps. What is kept of it in 32 bits wraps. */
uint64_t datapath_clock_ms(void);

/* An empty data path: its snapshot has nothing in it. memory (taken): of the connections, as many as the limits
 * say; what a process before left in it is adopted, and the first state decides it anew. NULL: connections go
 * with the process. The pool (Borrowed) is where packets are made. NULL with *error when there is no memory. */
struct datapath *datapath_new(const struct datapath_limits *limits, struct flow_memory *memory,
	struct rte_mempool *pool, GError **error);
/* All workers have stopped. */
void datapath_free(struct datapath *datapath);
CLEANUP_FUNC(struct datapath *, datapath_free)

/* Starts one thread a worker, on DPDK's lcores, and stops them. */
void datapath_start(struct datapath *datapath);
void datapath_stop(struct datapath *datapath);

/* The main thread sends a packet, which it takes, by a port, and counts it there. */
void datapath_send(struct port *port, struct rte_mbuf *packet);

/* Makes the snapshot, whose ports are resolved, the one in use; takes it. Returns the one before when no
 * worker sees it any more, and no eswitch executes what is decided otherwise now; the caller frees it. Public addresses that are new here are announced on the
 * uplink, addresses of NICs in VLANs on their physical networks, other routers of IPv6 to their NICs. */
struct snapshot *datapath_publish(struct datapath *datapath, struct snapshot *snapshot);

/* The snapshot in use; for the main thread, which alone replaces it. */
static inline const struct snapshot *datapath_snapshot(const struct datapath *datapath)
{
	return atomic_load_explicit(&datapath->snapshot, memory_order_acquire);
}

/* The neighbours on the edge of that origin or exit, which is none of a NIC's. */
struct neighbour_table *datapath_neighbours(const struct datapath *datapath, unsigned place);

/* The main thread becomes a reader of the flow table, as workers are, until the call of datapath_read_end; it publishes
 * nothing meanwhile. datapath_read_on: it holds no flow any more, and goes on. */
void datapath_read_begin(struct datapath *datapath);
void datapath_read_on(struct datapath *datapath);
void datapath_read_end(struct datapath *datapath);

/* Lets workers copy packets for the mirror, or for none (NULL). When it returns, no worker uses another one. */
void datapath_set_mirror(struct datapath *datapath, struct mirror *mirror);

/* Who polls what now; for the main thread. */
static inline const struct polling *datapath_polling(const struct datapath *datapath)
{
	return atomic_load_explicit(&datapath_snapshot(datapath)->polling, memory_order_acquire);
}

/* Gives a source of the present polling (where it is a NIC's: all of that NIC) to that worker. When it returns, the new
 * one polls it. */
void datapath_move(struct datapath *datapath, const struct source *source, unsigned worker);

/* Sum over workers. */
struct worker_counters datapath_counters(const struct datapath *datapath);
/* Packets dropped for the reason: all of them, and those of one NIC of the present snapshot. */
uint64_t datapath_drops(const struct datapath *datapath, enum drop reason);
uint64_t datapath_nic_drops(const struct datapath *datapath, const struct nic *nic, enum drop reason);
