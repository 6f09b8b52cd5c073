/* The worker's loop and the stages of its pipeline.
 *
 *     receive ─ parse ─ match ─ execute ─ transmit
 *                         └ slow path ─┘
 *
 * A burst goes through each stage as a whole, so that the cache misses of its packets overlap: while one
 * packet is parsed (arrival.h), the header of one further on is fetched; the lookups of all keys are in flight together
 * (flow_table.h). Execution then goes packet by packet in the order of arrival, whether by its flow or by the
 * slow path, so no flow is reordered.
 */
#include "switch/worker.h"

#include "switch/arrival.h"
#include "switch/bypass.h"
#include "switch/connections.h"
#include "switch/datapath.h"
#include "switch/execute.h"
#include "switch/fragment.h"
#include "switch/meter.h"
#include "switch/mirror.h"
#include "switch/probe.h"
#include "switch/slow_path.h"
#include "switch/takeover.h"
#include "switch/wire.h"

#include <rte_cycles.h>
#include <rte_pause.h>
#include <rte_rcu_qsbr.h>
#include <sys/prctl.h>
#include <time.h>

#define IDLE_SPINS      64 /* empty turns before the first sleep */
#define SLEEP_MIN_US    16
#define HOUSEKEEPING_MS 100
#define AGE_ROUND_MS    4000 /* in which every entry of the flow table is looked at once */

struct burst {
	unsigned n;
	struct rte_mbuf **packets;
	struct packet parsed[WORKER_BURST];
	struct flow *flows[WORKER_BURST]; /* NULL: none */
};

/* ---- match ---- */

static inline bool has_flow(const struct packet *parsed)
{
	return parsed->kind == PACKET_FLOW || parsed->kind == PACKET_FRAGMENT;
}

static inline void stage_match(struct worker *worker, struct burst *burst)
{
	const struct flow_key *keys[WORKER_BURST];
	struct flow *found[WORKER_BURST];
	unsigned at[WORKER_BURST], n = 0;

	for (unsigned i = 0; i < burst->n; i++) {
		burst->flows[i] = NULL;
		if (has_flow(&burst->parsed[i])) {
			keys[n] = &burst->parsed[i].key;
			at[n++] = i;
		}
	}
	flow_table_lookup_burst(worker->datapath->flows, keys, n, found);
	for (unsigned i = 0; i < n; i++)
		burst->flows[at[i]] = found[i];
}

/* ---- execute ---- */

/* Whether the flow may be executed as it is. It may have been blocked, or removed, since it was matched. */
static inline bool is_valid(const struct worker *worker, const struct flow *flow, const struct packet *parsed)
{
	return flow && __atomic_load_n(&flow->epoch, __ATOMIC_ACQUIRE) == worker->snapshot->epoch &&
	       flow_is_live(flow) && !flow_is_blocked(flow) &&
	       !(parsed->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST));
}

static inline void stage_execute(struct worker *worker, struct burst *burst)
{
	for (unsigned i = 0; i < burst->n; i++) {
		struct packet *parsed = &burst->parsed[i];
		if (__builtin_expect(is_valid(worker, burst->flows[i], parsed), 1))
			execute_flow(worker, burst->flows[i], parsed, burst->packets[i]);
		else
			slow_path(worker, parsed, burst->packets[i]);
	}
}

/* ---- receive ---- */

static inline void account_rx(struct worker *worker, const struct source *source, const struct burst *burst)
{
	struct port_counters *counters = &source->port->counters[worker->index];
	uint64_t bytes = 0;

	for (unsigned i = 0; i < burst->n; i++)
		bytes += burst->packets[i]->pkt_len;
	counter_add(&counters->rx_packets, burst->n);
	counter_add(&counters->rx_bytes, bytes);
	counter_add(&worker->counters.rx, burst->n);
}

void worker_burst(struct worker *worker, const struct source *source, struct rte_mbuf **packets, unsigned n)
{
	struct burst burst; /* not cleared: each stage fills what the next one reads */

	burst.n = n;
	burst.packets = packets;
	account_rx(worker, source, &burst);
	if (__builtin_expect(worker->mirror != NULL, 0))
		mirror_received(worker, source->port, packets, n);
	arrival_parse(worker, source, packets, n, burst.parsed);
	stage_match(worker, &burst);
	stage_execute(worker, &burst);
	output_flush(worker);
}

unsigned worker_turn(struct worker *worker)
{
	const GArray *sources = worker->polling->sources[worker->index];
	unsigned received = 0;

	for (unsigned i = 0; i < sources->len; i++) {
		const struct source *source = &g_array_index(sources, struct source, i);
		struct rte_mbuf *packets[WORKER_BURST];
		if (__builtin_expect(!port_is_owner(source->port, source->queue, worker->index), 0))
			continue; /* another worker is about to let it go */
		uint16_t n = __builtin_expect(source->limit != NULL, 0)
				     ? meter_poll(source, worker->now_ms, packets)
				     : port_rx(source->port, source->queue, packets, WORKER_BURST);
		if (n)
			worker_burst(worker, source, packets, n);
		received += n;
	}
	counter_add(&worker->counters.turns, 1);
	return received;
}

void worker_begin(struct worker *worker, uint64_t now_ms)
{
	worker->snapshot = atomic_load_explicit(&worker->datapath->snapshot, memory_order_acquire);
	worker->polling = atomic_load_explicit(&worker->snapshot->polling, memory_order_acquire);
	worker->mirror = atomic_load_explicit(&worker->datapath->mirror, memory_order_acquire);
	worker->now_ms = (uint32_t)now_ms;
	worker->now_s = (uint32_t)(now_ms / 1000);
	worker->recent.nic = 0;
	worker->hop.exit = FLOW_TO_NIC;
	worker->brought.segment = NO_SEGMENT;
	worker->sender.segment = NO_SEGMENT;
}

/* ---- housekeeping ---- */

/* Whether the NIC has or had a function past the host, here or in the switch before: what is forgotten might be taken up
 * then. */
static bool is_nic_bypassed(const struct worker *worker, uint32_t id)
{
	const struct nic *nic = snapshot_nic(worker->snapshot, id);

	return nic && (nic->bypassed || bypass_was_active(worker->datapath, nic));
}

static bool is_bypassed(const struct worker *worker, const struct flow *forward, const struct flow *reply)
{
	return is_nic_bypassed(worker, forward->key.nic) || is_nic_bypassed(worker, reply->key.nic);
}

/* The NIC that began it has left, and a NIC that is here goes on with it. */
static bool is_left(const struct worker *worker, const struct flow *forward, const struct flow *reply)
{
	return !snapshot_knows(worker->snapshot, forward->key.nic) && reply->key.origin == FLOW_FROM_NIC &&
	       snapshot_nic(worker->snapshot, reply->key.nic);
}

static bool may_be_over(const struct worker *worker, const struct flow *forward, const struct flow *reply)
{
	bool knows = snapshot_knows(worker->snapshot, forward->key.nic);

	if (!knows && !is_left(worker, forward, reply))
		return true;
	return connection_expired(forward, reply, worker->now_ms) &&
	       !(knows && flow_is_blocked(forward) && is_bypassed(worker, forward, reply) &&
		       !connection_is_forgotten(forward, reply, worker->now_ms));
}

static void age_flow(struct worker *worker, uint32_t index)
{
	struct flow_table *table = worker->datapath->flows;
	struct flow *flow = flow_table_at(table, index), seen, pair;

	/* Its packets go on, and it may be another connection's the next moment: whole copies are looked at. */
	if (!flow_is_live(flow) || flow_is_reply(flow) || !flow_table_copy_both(table, index, &seen, &pair))
		return;
	if (seen.reply)
		return;
	/* What has been left may be silent for long, and its other end on another host. */
	if (may_be_over(worker, &seen, &pair)) {
		if (connections_remove_seen(worker, flow, &seen))
			counter_add(&worker->counters.expired, 1);
	} else if (is_left(worker, &seen, &pair) && connections_is_stale(worker, flow)) {
		connections_revalidate(worker, flow);
	}
}

/* Looks at the share of the table that is due after `elapsed_ms`. */
static void age_flows(struct worker *worker, uint32_t elapsed_ms)
{
	struct flow_table *table = worker->datapath->flows;
	uint32_t end = flow_table_end(table);
	uint32_t share = (uint32_t)((uint64_t)end * RTE_MIN(elapsed_ms, 1000u) / AGE_ROUND_MS) + 1;

	for (; share; share--) {
		if (worker->age_next >= end)
			worker->age_next = 1;
		if (worker->age_next < end)
			age_flow(worker, worker->age_next++);
	}
}

void worker_housekeep(struct worker *worker)
{
	struct datapath *datapath = worker->datapath;

	if (worker->index != 0 || worker->aged_ms == worker->now_ms)
		return;
	/* A little every millisecond: of a large table, a tenth of a second's share would hold packets up. */
	age_flows(worker, worker->now_ms - worker->aged_ms);
	worker->aged_ms = worker->now_ms;
	if (worker->now_ms - worker->housekept_ms < HOUSEKEEPING_MS)
		return;
	worker->housekept_ms = worker->now_ms;
	neighbour_tick(datapath->outside, worker, &worker->snapshot->outside);
	neighbour_tick(datapath->host, worker, &worker->snapshot->host);
	neighbour_tick(datapath->underlay, worker, &worker->snapshot->underlay.edge);
	for (unsigned i = 0; i < worker->snapshot->n_networks; i++) {
		const struct network *network = &worker->snapshot->networks[i];
		if (network->physical)
			neighbour_tick(network->neighbours, worker, &network->physical->edge);
	}
	slow_path_tick(worker);
	bypass_tick(worker);
	takeover_tick(worker);
	probe_tick(worker);
	output_flush(worker);
}

/* ---- the thread ---- */

/* Nobody waits for a worker that sleeps. */
static void nap(struct worker *worker, unsigned microseconds)
{
	struct rte_rcu_qsbr *readers = worker->datapath->readers;
	struct timespec time = {.tv_nsec = (long)microseconds * 1000};

	counter_add(&worker->counters.sleeps, 1);
	rte_rcu_qsbr_thread_offline(readers, worker->index);
	nanosleep(&time, NULL);
	rte_rcu_qsbr_thread_online(readers, worker->index);
}

int worker_main(void *data)
{
	struct worker *worker = data;
	struct datapath *datapath = worker->datapath;
	unsigned empty = 0, sleep_us = SLEEP_MIN_US;
	uint64_t since = rte_rdtsc();

	prctl(PR_SET_TIMERSLACK, 1000); /* ns: a nap of 16 µs is not to become 66 */
	rte_rcu_qsbr_thread_online(datapath->readers, worker->index);
	while (!atomic_load_explicit(&datapath->stop, memory_order_relaxed)) {
		worker_begin(worker, datapath_clock_ms());
		unsigned received = worker_turn(worker);
		worker_housekeep(worker);
		worker->snapshot = NULL;
		rte_rcu_qsbr_quiescent(datapath->readers, worker->index);
		uint64_t now = rte_rdtsc();
		if (received) {
			counter_add(&worker->busy_cycles, now - since);
			empty = 0;
			sleep_us = SLEEP_MIN_US;
		} else if (++empty < IDLE_SPINS) {
			rte_pause();
		} else {
			nap(worker, sleep_us);
			sleep_us = RTE_MIN(sleep_us * 2, (unsigned)SLEEP_MAX_US);
			now = rte_rdtsc();
		}
		since = now;
	}
	rte_rcu_qsbr_thread_offline(datapath->readers, worker->index);
	return 0;
}

/* ---- life ---- */

struct worker *worker_new(struct datapath *datapath, unsigned index)
{
	struct worker *worker = g_aligned_alloc0(1, sizeof *worker, 64);

	worker->datapath = datapath;
	worker->index = index;
	worker->drops = g_malloc0_n(NIC_SLOTS + 1, sizeof *worker->drops);
	worker->outboxes = g_new0(struct outbox, PORTS_MAX);
	worker->fragments = fragment_table_new();
	worker->probes = g_new0(struct probe, NIC_SLOTS);
	worker->housekept_ms = worker->aged_ms = datapath_clock_ms();
	return worker;
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	fragment_table_free(worker->fragments);
	g_free(worker->probes);
	g_free(worker->outboxes);
	g_free(worker->drops);
	g_aligned_free(worker);
}
