/* A worker: one thread that moves packets, and what it owns.
 *
 * Theory of operation. A worker turns a wheel: poll each of its ports for a burst of at most 32 packets and
 * run it through the stages (worker.c), then housekeeping by the clock. What it owns is written by no other
 * thread: its counters, its outboxes, its fragments. What workers share is read-only (the snapshot), or
 * changes once per connection under a lock (flow table, neighbours).
 *
 * Ports are given to workers by NIC, all attachments together, so that the per-packet part of a flow has one
 * writer; they move between workers as load does (polling.h, balance.h).
 *
 * Grace periods: between two turns a worker holds nothing (rte_rcu_qsbr_quiescent); while it sleeps it is
 * offline, so nobody waits for it.
 *
 * Idle: after some empty turns it sleeps, twice as long each time, up to SLEEP_MAX_US. So an idle switch
 * costs little, and a packet that wakes it waits that long at most.
 */
#pragma once
#include "switch/flow_table.h"
#include "switch/packet.h"
#include "switch/port.h"

#include <rte_mbuf.h>

#define WORKER_BURST 32
#define SLEEP_MAX_US 500
#define NO_NIC       UINT32_MAX /* for drops that concern no NIC */
#define NO_SEGMENT   UINT32_MAX

struct datapath;
struct fragment_table;
struct mirror;
struct polling;
struct probe;

/* Packets on their way out of one port. */
struct outbox {
	struct port *port;
	uint16_t n;
	struct rte_mbuf *packets[WORKER_BURST];
	uint32_t nics[WORKER_BURST]; /* whom a drop is counted for */
};

/* X(name, "help"): of one worker, shown by `counters` as sums. */
#define WORKER_COUNTERS(X)                                                                                   \
	X(rx, "packets received from all ports")                                                             \
	X(tx, "packets delivered to all ports")                                                              \
	X(drops, "packets dropped, for any reason")                                                          \
	X(misses, "packets that no flow matched, or that begin or end a connection: the slow path's")        \
	X(revalidations, "flows decided anew because the state had changed")                                 \
	X(expired, "connections that ended by their time-out")                                               \
	X(turns, "turns of the wheel")                                                                       \
	X(sleeps, "times that a worker had nothing to do and slept")

/* One writer, many readers: a plain addition that readers see whole. */
static inline void counter_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

struct worker_counters {
#define X(name, help) uint64_t name;
	WORKER_COUNTERS(X)
#undef X
};

struct worker {
	struct datapath *datapath; /* Borrowed */
	unsigned index;
	const struct snapshot *snapshot; /* Borrowed; of this turn */
	const struct polling *polling; /* Borrowed; of this turn */
	uint32_t now_ms, now_s; /* of this turn; now_ms wraps */
	struct mirror *mirror; /* Borrowed; of this turn; NULL: nobody looks */

	/* The NIC that was last delivered to, where it has one active attachment and no limit: its port. 0:
	 * none; of this turn. */
	struct {
		uint32_t nic;
		struct port *port; /* Borrowed */
	} recent;

	/* The next hop that was last sent to, on the edge of that exit; of this turn. */
	struct {
		uint8_t exit; /* FLOW_TO_NIC: none */
		uint8_t ip[4], mac[6];
		struct port *port; /* Borrowed */
	} hop;

	/* Whom the tunnel or a physical network brought a packet last; of this turn. */
	struct {
		uint32_t segment; /* NO_SEGMENT: nobody */
		uint32_t nic;
		bool on_wire; /* nic_is_on_wire */
		uint8_t mac[6];
	} brought;

	/* Who sent one by a physical network last: no NIC of that segment here, or one whose function is there; of
	 * this turn. */
	struct {
		uint32_t segment; /* NO_SEGMENT: nobody */
		const struct nic *nic; /* Borrowed; NULL: none here */
		struct port *port; /* Borrowed: the function's, which counts what it sent; NULL: none */
		uint8_t mac[6];
	} sender;

	struct worker_counters counters;
	uint64_t busy_cycles; /* of turns that brought packets (rte_rdtsc) */
	uint64_t (*drops)[DROP_COUNT]; /* Owned: by slot; the last row is of no NIC */
	struct outbox *outboxes; /* Owned: by port index */
	unsigned n_dirty;
	uint16_t dirty[PORTS_MAX]; /* indices of the outboxes that hold packets */
	struct fragment_table *fragments; /* Owned */
	struct probe *probes; /* Owned: by slot */

	uint32_t age_next; /* the next entry of the flow table to look at */
	uint32_t aged_ms; /* when that was last done */
	uint32_t housekept_ms; /* when all else of housekeeping was */
	uint32_t error_tokens; /* ICMP errors that may still be sent this second */
	uint32_t error_second;
} __attribute__((aligned(64)));

struct worker *worker_new(struct datapath *datapath, unsigned index);
void worker_free(struct worker *worker);

/* Begins a turn: takes the present snapshot and the time. */
void worker_begin(struct worker *worker, uint64_t now_ms);
/* Runs a burst of at most WORKER_BURST packets from one source through all stages; their delivery waits in
 * the outboxes. */
void worker_burst(struct worker *worker, const struct source *source, struct rte_mbuf **packets, unsigned n);
/* One turn over all sources of the worker; returns how many packets came. */
unsigned worker_turn(struct worker *worker);

/* By the clock of worker_begin: the first worker looks after what is shared, time-outs of connections and
 * neighbours. */
void worker_housekeep(struct worker *worker);

/* The thread: turns until the datapath stops. data: struct worker. */
int worker_main(void *data);
