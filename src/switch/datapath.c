/* The data path: life, publication, counters. */
#include "switch/datapath.h"

#include "base/fault.h"
#include "base/log.h"
#include "switch/advertise.h"
#include "switch/bypass.h"
#include "switch/grace.h"
#include "switch/meter.h"
#include "switch/offloader.h"
#include "switch/respond/respond.h"
#include "switch/slow_path.h"
#include "switch/takeover.h"
#include "switch/vlan.h"

#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <time.h>

uint64_t datapath_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static_assert(FLOW_TABLE_ZONES >= SNAPSHOT_WORKERS, "a zone for each worker");

/* ---- life ---- */

static struct rte_rcu_qsbr *readers_new(unsigned n)
{
	struct rte_rcu_qsbr *readers = g_aligned_alloc0(1, rte_rcu_qsbr_get_memsize(n), RTE_CACHE_LINE_SIZE);

	rte_rcu_qsbr_init(readers, n);
	for (unsigned i = 0; i < n; i++)
		rte_rcu_qsbr_thread_register(readers, i);
	return readers;
}

/* NICs keep the numbers by which adopted flows know them, and states begin after the one that decided them. */
static void adopt_numbers(struct snapshot *snapshot, const struct flow_memory *memory)
{
	snapshot->epoch = memory->header->epoch + 1;
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const char *uid = flow_memory_nic_uid(memory, slot);
		if (!uid)
			continue;
		snapshot->adopted[slot] = snapshot_strdup(snapshot, uid);
		snapshot->incarnations[slot] = nic_incarnation(memory->header->nics[slot].number);
	}
}

static void adopt(struct datapath *datapath)
{
	const struct flow_memory *memory = flow_table_memory(datapath->flows);
	g_autofree struct flow_adoption *adoption = g_new(struct flow_adoption, 1);

	if (memory->refused)
		log_warn(NULL, "the connections in %s cannot be adopted: %s; TCP's are learnt anew for %d s",
			memory->path, memory->refused, SLOW_PATH_LEARN_MS / 1000);
	else if (!memory->adopted && memory->path)
		log_info(NULL, "no connections to adopt, %s is new; TCP's are learnt for %d s", memory->path,
			SLOW_PATH_LEARN_MS / 1000);
	if (!memory->adopted)
		return;
	flow_table_adopt(datapath->flows, adoption);
	adopt_numbers(atomic_load(&datapath->snapshot), memory);
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++)
		atomic_init(&datapath->nic_connections[slot], adoption->by_slot[slot]);
	atomic_init(&datapath->learning, false);
	log_info(NULL,
		"adopted %u connections from %s in %.1f ms; dropped %u directions that "
		"were half-written, damaged or of NICs that are gone",
		adoption->connections, memory->path,
		(double)(g_get_monotonic_time() - memory->opened_us) / 1000, adoption->dropped);
}

/* What workers have until the first state. */
static struct snapshot *snapshot_empty(unsigned workers)
{
	struct snapshot *snapshot = snapshot_new();

	atomic_init(&snapshot->polling, polling_new(&(struct polling_plan){.workers = workers}));
	return snapshot;
}

struct datapath *datapath_new(const struct datapath_limits *limits, struct flow_memory *memory,
	struct rte_mempool *pool, GError **error)
{
	_cleanup_(datapath_free) struct datapath *datapath = g_new0(struct datapath, 1);

	g_assert(limits->workers >= 1 && limits->workers <= SNAPSHOT_WORKERS);
	datapath->limits = *limits;
	datapath->pool = pool;
	datapath->started_ms = datapath->advertised_ms = datapath_clock_ms();
	datapath->readers = readers_new(limits->workers + 1); /* the last one is the main thread */
	datapath->drops_before = g_malloc0_n(NIC_SLOTS, sizeof *datapath->drops_before);
	datapath->meters = g_aligned_alloc0(NIC_SLOTS, sizeof *datapath->meters, RTE_CACHE_LINE_SIZE);
	datapath->bypasses = g_new0(struct bypass, NIC_SLOTS);
	datapath->takeovers = g_new0(struct takeover, NIC_SLOTS);
	datapath->outside = neighbour_table_new(0);
	datapath->host = neighbour_table_new(0);
	datapath->underlay = neighbour_table_new(0);
	atomic_init(&datapath->snapshot, snapshot_empty(limits->workers));
	if (!memory)
		memory = flow_memory_new(limits->connections);
	datapath->flows = memory ? flow_table_new(memory, datapath->readers) : NULL;
	if (!datapath->flows) {
		fault_set(error, FAULT_INTERNAL, "no memory for a flow table of %u connections",
			limits->connections);
		return NULL;
	}
	atomic_init(&datapath->learning, true);
	adopt(datapath);
	for (unsigned i = 0; i < limits->workers; i++)
		datapath->workers[i] = worker_new(datapath, i);
	return g_steal_pointer(&datapath);
}

void datapath_free(struct datapath *datapath)
{
	if (!datapath)
		return;
	for (unsigned i = 0; i < datapath->limits.workers; i++)
		worker_free(datapath->workers[i]);
	neighbour_table_unref(datapath->outside);
	neighbour_table_unref(datapath->host);
	neighbour_table_unref(datapath->underlay);
	flow_table_free(datapath->flows);
	snapshot_free(atomic_load(&datapath->snapshot));
	g_aligned_free(datapath->readers);
	g_free(datapath->drops_before);
	g_aligned_free(datapath->meters);
	g_free(datapath->bypasses);
	g_free(datapath->takeovers);
	g_free(datapath);
}

void datapath_start(struct datapath *datapath)
{
	unsigned lcore, i = 0;

	RTE_LCORE_FOREACH_WORKER(lcore)
	{
		if (i == datapath->limits.workers)
			break;
		rte_eal_remote_launch(worker_main, datapath->workers[i++], lcore);
	}
	g_assert(i == datapath->limits.workers);
}

void datapath_stop(struct datapath *datapath)
{
	atomic_store(&datapath->stop, true);
	rte_eal_mp_wait_lcore();
	grace_acquire(datapath->readers);
}

/* ---- publication ---- */

static uint64_t slot_drops(const struct datapath *datapath, unsigned slot, enum drop reason)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < datapath->limits.workers; i++)
		sum += __atomic_load_n(&datapath->workers[i]->drops[slot][reason], __ATOMIC_RELAXED);
	return sum;
}

static void add_edge(struct polling *polling, const struct polling_plan *plan, const struct edge *edge,
	enum flow_origin origin)
{
	polling_add(
		polling, plan, (struct source){.port = edge->port, .nic = NO_NIC, .origin = (uint8_t)origin});
}

static struct source source_of(struct datapath *datapath, const struct nic *nic, struct port *port)
{
	struct source source = {.port = port, .nic = nic->id, .origin = FLOW_FROM_NIC};

	if (limit_is_set(&nic->send)) {
		source.limit = &nic->send;
		source.meter = &datapath->meters[nic_slot(nic->id)];
	}
	return source;
}

/* Gives each source to the worker that polls it. */
static struct polling *spread_sources(
	struct datapath *datapath, const struct snapshot *snapshot, const struct polling_plan *plan)
{
	struct polling *polling = polling_new(plan);

	add_edge(polling, plan, &snapshot->outside, FLOW_FROM_OUTSIDE);
	add_edge(polling, plan, &snapshot->host, FLOW_FROM_HOST);
	add_edge(polling, plan, &snapshot->underlay.edge, FLOW_FROM_TUNNEL);
	for (unsigned slot = 0; slot < PHYSICAL_SLOTS; slot++)
		polling_add(polling, plan,
			(struct source){.port = snapshot->physicals[slot].edge.port,
				.nic = NO_NIC,
				.origin = FLOW_FROM_PHYSICAL,
				.physical = (uint8_t)slot});
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = snapshot->nics[slot];
		for (unsigned i = 0; nic && i < nic->n_attachments; i++)
			polling_add(polling, plan, source_of(datapath, nic, nic->attachments[i].port));
	}
	return polling;
}

static bool same_edge(const struct edge *a, const struct edge *b)
{
	return a->present == b->present && a->port == b->port &&
	       memcmp(&a->mac, &b->mac, sizeof a->mac) == 0 &&
	       memcmp(&a->prefix, &b->prefix, sizeof a->prefix) == 0;
}

void datapath_send(struct port *port, struct rte_mbuf *packet)
{
	struct port_counters *counters = &port->counters[SNAPSHOT_WORKERS];
	uint32_t length = packet->pkt_len;
	bool down;

	if (port_tx(port, SNAPSHOT_WORKERS, &packet, 1, &down) == 1) {
		counter_add(&counters->tx_packets, 1);
		counter_add(&counters->tx_bytes, length);
	}
}

/* vlan: 0 for none. */
static void announce(struct datapath *datapath, struct port *port, uint16_t vlan, const struct mac_addr *mac,
	struct ip_addr ip)
{
	struct rte_mbuf *packet = rte_pktmbuf_alloc(datapath->pool);

	if (!packet)
		return;
	arp_build_announcement(packet, mac->bytes, ip.bytes);
	vlan_push(packet, vlan); /* a new buffer has room */
	datapath_send(port, packet);
}

/* Unless it was here before. */
static void announce_if_new(struct datapath *datapath, const struct snapshot *before,
	const struct edge *outside, struct ip_addr ip)
{
	if (ip.family == IP_V4 && (!same_edge(&before->outside, outside) ||
					  snapshot_find(before, SPACE_PUBLIC, ip).kind == OWNER_NONE))
		announce(datapath, outside->port, 0, &outside->mac, ip);
}

/* Neighbours on the uplink may hold another MAC for an address that is new here. A load balancer's may have gone to another
 * switch since what is on disk was said: a process does not begin by announcing it (takeover.c). */
static void announce_new_addresses(
	struct datapath *datapath, const struct snapshot *before, const struct snapshot *after)
{
	if (!after->outside.port)
		return;
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = after->nics[slot];
		bool late = nic && nic->load_balancer &&
			    (before->generation == 0 || takeover_has_yielded(datapath, nic));
		for (unsigned i = 0; nic && !nic->away && !late && i < nic->n_addresses; i++)
			announce_if_new(datapath, before, &after->outside, nic->addresses[i].public_ip);
	}
	for (unsigned i = 0; i < after->n_networks; i++)
		for (unsigned j = 0; j < after->networks[i].n_source_nat; j++)
			announce_if_new(datapath, before, &after->outside, after->networks[i].source_nat[j]);
}

/* Whether the NIC had that address before, on the same wire. */
static bool was_there(const struct snapshot *before, const struct nic *nic, struct ip_addr ip)
{
	const struct nic *was = snapshot_nic(before, nic->id);

	return was && !was->away && was->network->segment == nic->network->segment &&
	       was->network->physical->edge.port == nic->network->physical->edge.port &&
	       memcmp(&was->mac, &nic->mac, sizeof was->mac) == 0 && nic_find_address(was, ip);
}

/* Its function on the physical network was taken: that may have been on another NIC of this host than the switch's port, and a
 * guest that only receives would be looked for there until the bridges upstream forget its MAC. */
static bool has_left_wire(const struct snapshot *before, const struct nic *nic)
{
	const struct nic *was = snapshot_nic(before, nic->id);

	return was && nic_uses_wire(was) && !nic_uses_wire(nic);
}

/* Neighbours on a physical network may have known the address, and switches in between the MAC, somewhere else. */
static void announce_neighbours(
	struct datapath *datapath, const struct snapshot *before, const struct snapshot *after)
{
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = after->nics[slot];
		const struct physical *physical = nic && !nic->away ? nic->network->physical : NULL;
		for (unsigned i = 0; physical && physical->edge.port && i < nic->n_addresses; i++) {
			struct ip_addr ip = nic->addresses[i].ip;
			if (ip.family == IP_V4 && (!was_there(before, nic, ip) || has_left_wire(before, nic)))
				announce(datapath, physical->edge.port,
					segment_vlan_id(nic->network->segment), &nic->mac, ip);
		}
	}
}

/* Counters belong to workers and are never set back: a slot's new NIC starts from what is there. */
static void remember_drops(
	struct datapath *datapath, const struct snapshot *before, const struct snapshot *after)
{
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *was = before->nics[slot], *is = after->nics[slot];
		for (unsigned i = 0; is && (!was || was->id != is->id) && i < DROP_COUNT; i++)
			datapath->drops_before[slot][i] = slot_drops(datapath, slot, (enum drop)i);
	}
}

/* Before a flow can name them: what the next process must know of the state. */
static void remember_numbers(struct datapath *datapath, const struct snapshot *snapshot)
{
	struct flow_memory *memory = flow_table_memory(datapath->flows);

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = snapshot->nics[slot];
		flow_memory_set_nic(memory, slot, nic ? nic->id : 0, nic ? nic->uid : NULL);
	}
	atomic_store_explicit(&memory->header->epoch, snapshot->epoch, memory_order_release);
}

struct snapshot *datapath_publish(struct datapath *datapath, struct snapshot *snapshot)
{
	const struct polling_plan plan = {
		.workers = datapath->limits.workers, .before = datapath_polling(datapath)};

	offloader_hold(datapath->offloader);
	atomic_init(&snapshot->polling, spread_sources(datapath, snapshot, &plan));
	remember_numbers(datapath, snapshot);
	bypass_begin(datapath, datapath_snapshot(datapath), snapshot);
	takeover_begin(datapath, datapath_snapshot(datapath), snapshot);
	struct snapshot *before =
		atomic_exchange_explicit(&datapath->snapshot, snapshot, memory_order_acq_rel);
	grace_wait(datapath->readers);
	polling_grant(atomic_load(&snapshot->polling));
	offloader_follow(datapath->offloader);
	if (!same_edge(&before->outside, &snapshot->outside))
		neighbour_flush(datapath->outside);
	if (!same_edge(&before->host, &snapshot->host))
		neighbour_flush(datapath->host);
	if (!same_edge(&before->underlay.edge, &snapshot->underlay.edge))
		neighbour_flush(datapath->underlay);
	remember_drops(datapath, before, snapshot);
	announce_new_addresses(datapath, before, snapshot);
	advertise_changes(datapath, before, snapshot);
	announce_neighbours(datapath, before, snapshot);
	return before;
}

void datapath_move(struct datapath *datapath, const struct source *source, unsigned worker)
{
	struct snapshot *snapshot = atomic_load(&datapath->snapshot);
	const struct polling_plan plan = {.workers = datapath->limits.workers,
		.before = datapath_polling(datapath),
		.moved = source,
		.to = worker};
	struct polling *polling = spread_sources(datapath, snapshot, &plan);
	struct polling *before = atomic_exchange_explicit(&snapshot->polling, polling, memory_order_acq_rel);

	grace_wait(datapath->readers);
	polling_grant(polling);
	polling_free(before);
}

void datapath_read_begin(struct datapath *datapath)
{
	rte_rcu_qsbr_thread_online(datapath->readers, datapath->limits.workers);
}

void datapath_read_on(struct datapath *datapath)
{
	rte_rcu_qsbr_quiescent(datapath->readers, datapath->limits.workers);
}

void datapath_read_end(struct datapath *datapath)
{
	rte_rcu_qsbr_thread_offline(datapath->readers, datapath->limits.workers);
}

void datapath_set_mirror(struct datapath *datapath, struct mirror *mirror)
{
	atomic_store_explicit(&datapath->mirror, mirror, memory_order_release);
	grace_wait(datapath->readers);
}

struct neighbour_table *datapath_neighbours(const struct datapath *datapath, unsigned place)
{
	return place == FLOW_TO_OUTSIDE  ? datapath->outside
	       : place == FLOW_TO_TUNNEL ? datapath->underlay
					 : datapath->host;
}

/* ---- counters ---- */

struct worker_counters datapath_counters(const struct datapath *datapath)
{
	struct worker_counters sum = {};

	for (unsigned i = 0; i < datapath->limits.workers; i++) {
		const struct worker_counters *counters = &datapath->workers[i]->counters;
#define X(name, help) sum.name += __atomic_load_n(&counters->name, __ATOMIC_RELAXED);
		WORKER_COUNTERS(X)
#undef X
	}
	return sum;
}

uint64_t datapath_drops(const struct datapath *datapath, enum drop reason)
{
	uint64_t sum = 0;

	for (unsigned slot = 0; slot <= NIC_SLOTS; slot++)
		sum += slot_drops(datapath, slot, reason);
	return sum;
}

uint64_t datapath_nic_drops(const struct datapath *datapath, const struct nic *nic, enum drop reason)
{
	unsigned slot = nic_slot(nic->id);

	return slot_drops(datapath, slot, reason) - datapath->drops_before[slot][reason];
}
