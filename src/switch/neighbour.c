/* The neighbour table: see neighbour.h for how it works. */
#include "switch/neighbour.h"

#include "switch/datapath.h"
#include "switch/output.h"
#include "switch/respond/respond.h"
#include "switch/wire.h"

#include <rte_jhash.h>
#include <rte_mbuf.h>
#include <rte_spinlock.h>
#include <stdatomic.h>
#include <sys/random.h>

#define ENTRIES      1024 /* of an edge's table; a power of two */
#define ENTRIES_VLAN 256 /* of a VLAN's */
#define PROBE_MAX    16 /* places that an address may be in */
#define WAIT_MAX     8 /* packets that wait in one entry */
#define OPEN_MAX     32 /* entries that are INCOMPLETE for one NIC */
#define TRIES        3
#define RETRY_MS     1000
#define CONFIRM_MS   30000
#define UNUSED_MS    60000
#define IDLE_MS      10000 /* from then on another address may have its place */
#define USED_GRAIN   1000 /* how exactly the last use is known */

enum neighbour_state { NEIGHBOUR_FREE, NEIGHBOUR_INCOMPLETE, NEIGHBOUR_REACHABLE, NEIGHBOUR_PROBING };

struct neighbour {
	_Atomic uint32_t ip; /* in memory order */
	_Atomic uint64_t mac; /* in its low 48 bits; 0: not known */
	_Atomic uint32_t used_ms;

	/* Under the table's lock. */
	uint8_t state; /* enum neighbour_state */
	uint8_t tries;
	uint8_t n_waiting;
	uint8_t asker[4]; /* who asks: the source of the packet that wanted it */
	uint32_t asker_nic; /* the NIC that wanted it */
	uint32_t confirmed_ms, asked_ms;
	struct rte_mbuf *waiting[WAIT_MAX];
	uint32_t nics[WAIT_MAX];
};

struct neighbour_table {
	gatomicrefcount references;
	uint32_t segment; /* 0: an edge's */
	unsigned n_entries; /* a power of two */
	uint32_t secret; /* nobody is to know which addresses meet in a place */
	rte_spinlock_t lock;
	_Atomic unsigned n_used; /* entries that are not free; changed under the lock */
	uint8_t open[NIC_SLOTS +
		     1]; /* INCOMPLETE ones, by the asker's slot; the last: of no NIC; under the lock */
	struct neighbour entries[];
};

static inline uint32_t word_of(const uint8_t ip[4])
{
	uint32_t word;

	memcpy(&word, ip, sizeof word);
	return word;
}

/* The i-th place that the address may be in. */
static inline struct neighbour *probe(struct neighbour_table *table, uint32_t word, unsigned i)
{
	return &table->entries[(rte_jhash_1word(word, table->secret) + i) & (table->n_entries - 1)];
}

static uint64_t mac_pack(const uint8_t mac[6])
{
	uint64_t packed = 0;

	memcpy(&packed, mac, 6);
	return packed;
}

bool neighbour_find(struct neighbour_table *table, const uint8_t ip[4], uint32_t now_ms, uint8_t ret_mac[6])
{
	uint32_t word = word_of(ip);

	for (unsigned i = 0; i < PROBE_MAX; i++) {
		struct neighbour *n = probe(table, word, i);
		if (atomic_load_explicit(&n->ip, memory_order_acquire) != word)
			continue;
		uint64_t mac = atomic_load_explicit(&n->mac, memory_order_acquire);
		if (!mac || atomic_load_explicit(&n->ip, memory_order_relaxed) != word)
			return false;
		if (now_ms - atomic_load_explicit(&n->used_ms, memory_order_relaxed) > USED_GRAIN)
			atomic_store_explicit(&n->used_ms, now_ms, memory_order_relaxed);
		memcpy(ret_mac, &mac, 6);
		return true;
	}
	return false;
}

/* ---- under the lock ---- */

static void entry_set_mac(struct neighbour *n, uint64_t mac)
{
	atomic_store_explicit(&n->mac, mac, memory_order_release);
}

static struct neighbour *entry_of(struct neighbour_table *table, uint32_t word)
{
	for (unsigned i = 0; i < PROBE_MAX; i++) {
		struct neighbour *n = probe(table, word, i);
		if (n->state != NEIGHBOUR_FREE && n->ip == word)
			return n;
	}
	return NULL;
}

/* How many entries are INCOMPLETE for that NIC. */
static uint8_t *open_of(struct neighbour_table *table, uint32_t nic)
{
	return &table->open[RTE_MIN(nic_slot(nic), (unsigned)NIC_SLOTS)];
}

/* All others' packets may depend on it. */
static bool is_gateway(const struct neighbour_table *table, const struct worker *worker,
	const struct edge *edge, uint32_t word)
{
	const struct network *network =
		table->segment ? snapshot_vlan(worker->snapshot, table->segment) : NULL;

	for (unsigned i = 0; network && i < network->n_subnets; i++) {
		const struct subnet *subnet = &network->subnets[i];
		if (subnet->gateway_external && word_of(subnet->gateway.bytes) == word)
			return true;
	}
	return !table->segment && edge->gateway.family == IP_V4 && word_of(edge->gateway.bytes) == word;
}

/* Of two that may give way: a neighbour that has been idle, and longest, rather than a question; of those, one of the
 * NIC that has most of them open. */
static bool gives_way_before(struct neighbour_table *table, const struct neighbour *n,
	const struct neighbour *other, uint32_t now_ms)
{
	bool asks = n->state == NEIGHBOUR_INCOMPLETE;

	if (asks != (other->state == NEIGHBOUR_INCOMPLETE))
		return !asks;
	return asks ? *open_of(table, n->asker_nic) > *open_of(table, other->asker_nic)
		    : now_ms - n->used_ms > now_ms - other->used_ms;
}

/* Whether it has to give its place to an address that `nic` wants. */
static bool may_give_way(struct neighbour_table *table, struct worker *worker, const struct edge *edge,
	const struct neighbour *n, uint32_t nic, bool for_gateway)
{
	if (is_gateway(table, worker, edge, n->ip))
		return false;
	if (n->state == NEIGHBOUR_INCOMPLETE)
		return for_gateway || *open_of(table, n->asker_nic) > *open_of(table, nic) + 1;
	return for_gateway || worker->now_ms - n->used_ms > IDLE_MS;
}

/* A place for an address that the NIC wants: a free one, or one whose holder gives way. NULL: there is none. */
static struct neighbour *place_for(struct neighbour_table *table, struct worker *worker,
	const struct edge *edge, uint32_t word, uint32_t nic)
{
	bool for_gateway = is_gateway(table, worker, edge, word);
	struct neighbour *best = NULL;

	if (*open_of(table, nic) >= OPEN_MAX && !for_gateway)
		return NULL;
	for (unsigned i = 0; i < PROBE_MAX; i++) {
		struct neighbour *n = probe(table, word, i);
		if (n->state == NEIGHBOUR_FREE)
			return n;
		if (may_give_way(table, worker, edge, n, nic, for_gateway) &&
			(!best || gives_way_before(table, n, best, worker->now_ms)))
			best = n;
	}
	return best;
}

static void entry_free(
	struct neighbour_table *table, struct neighbour *n, struct worker *worker, enum drop reason)
{
	for (unsigned i = 0; i < n->n_waiting; i++) {
		if (worker)
			output_drop(worker, n->nics[i], reason, n->waiting[i]);
		else
			rte_pktmbuf_free(n->waiting[i]);
	}
	table->n_used -= n->state != NEIGHBOUR_FREE;
	*open_of(table, n->asker_nic) -= n->state == NEIGHBOUR_INCOMPLETE;
	n->n_waiting = 0;
	entry_set_mac(n, 0);
	n->ip = 0;
	n->state = NEIGHBOUR_FREE;
}

static void entry_begin(
	struct neighbour_table *table, struct neighbour *n, uint32_t word, uint32_t nic, uint32_t now_ms)
{
	n->ip = word;
	n->used_ms = now_ms;
	n->state = NEIGHBOUR_INCOMPLETE;
	n->tries = 0;
	n->asker_nic = nic;
	table->n_used++;
	++*open_of(table, nic);
}

/* In the NIC's name; but where its function is on the wire, the answer would go there and past the switch: then it is a
 * probe in the name of the network's port, which changes nobody's cache. There is no address to ask with instead: the
 * gateway's and the platform's are at other MACs on the same wire, and neighbours would note this one. */
static void build_question(struct rte_mbuf *request, const struct nic *nic, const struct nic_address *asker,
	const uint8_t target[4])
{
	static const uint8_t nobody[4];
	const struct attachment *function = nic_physical_function(nic);
	const struct port *port = nic->network->physical->edge.port;
	uint8_t mac[6];

	if (function && function->active && port && port_get_mac(port, mac))
		arp_build_request(request, mac, nobody, target);
	else
		arp_build_request(request, nic->mac.bytes, asker->ip.bytes, target);
}

/* In the name of the NIC that wanted it. False: it is gone from the VLAN. */
static bool ask_on_vlan(struct worker *worker, uint32_t segment, const struct neighbour *n,
	const uint8_t target[4], struct rte_mbuf *request)
{
	const struct network *network = snapshot_vlan(worker->snapshot, segment);
	const struct nic *nic = snapshot_nic(worker->snapshot, n->asker_nic);
	const struct nic_address *asker =
		nic && !nic->away && nic->network == network ? nic_first_address(nic, IP_V4) : NULL;

	if (!network || !asker) {
		rte_pktmbuf_free(request);
		return false;
	}
	build_question(request, nic, asker, target);
	output_vlan(worker, network, NO_NIC, request);
	return true;
}

/* On the uplink: the address that asked first has gone, as to another switch, where answers would not find it. */
static bool is_gone(const struct worker *worker, const struct edge *edge, const struct neighbour *n)
{
	struct ip_addr asker = {.family = IP_V4};

	memcpy(asker.bytes, n->asker, sizeof n->asker);
	return edge == &worker->snapshot->outside &&
	       snapshot_find(worker->snapshot, SPACE_PUBLIC, asker).kind == OWNER_NONE;
}

/* False: there is nobody who could ask. */
static bool ask(
	struct neighbour_table *table, struct worker *worker, const struct edge *edge, struct neighbour *n)
{
	struct rte_mbuf *request = rte_pktmbuf_alloc(worker->datapath->pool);
	uint32_t ip = n->ip;
	uint8_t target[4];

	n->tries++;
	n->asked_ms = worker->now_ms;
	if (!request) {
		output_count_drop(worker, NO_NIC, DROP_NO_BUFFER);
		return true;
	}
	memcpy(target, &ip, sizeof target);
	if (table->segment)
		return ask_on_vlan(worker, table->segment, n, target, request);
	if (is_gone(worker, edge, n)) {
		rte_pktmbuf_free(request);
		return false;
	}
	arp_build_request(request, edge->mac.bytes, n->asker, target);
	output_port(worker, edge->port, NO_NIC, request);
	return true;
}

/* ---- the interface ---- */

static void wait_locked(struct neighbour_table *table, struct worker *worker, const struct edge *edge,
	const uint8_t ip[4], uint32_t nic, struct rte_mbuf *packet)
{
	uint32_t word = word_of(ip);
	struct neighbour *n = entry_of(table, word);

	if (!n) {
		n = place_for(table, worker, edge, word, nic);
		if (!n) {
			output_drop(worker, nic, DROP_NEIGHBOUR_WAIT, packet);
			return;
		}
		entry_free(table, n, worker, DROP_NEIGHBOUR_FAILED);
		entry_begin(table, n, word, nic, worker->now_ms);
		memcpy(n->asker, rte_pktmbuf_mtod(packet, uint8_t *) + ETH_LEN + IPV4_SRC, 4);
		if (!ask(table, worker, edge, n)) {
			/* No entry is kept in such a name: others' packets would wait in it for nothing. */
			entry_free(table, n, worker, DROP_NEIGHBOUR_FAILED);
			output_drop(worker, nic, DROP_NEIGHBOUR_FAILED, packet);
			return;
		}
	}
	uint64_t mac = atomic_load_explicit(&n->mac, memory_order_relaxed);
	if (mac) { /* it was learnt meanwhile */
		memcpy(rte_pktmbuf_mtod(packet, uint8_t *) + ETH_DST, &mac, 6);
		output_port(worker, edge->port, nic, packet);
		return;
	}
	if (n->n_waiting == WAIT_MAX || packet->nb_segs > 1) {
		output_drop(worker, nic, DROP_NEIGHBOUR_WAIT, packet);
		return;
	}
	n->nics[n->n_waiting] = nic;
	n->waiting[n->n_waiting++] = packet;
}

void neighbour_wait(struct neighbour_table *table, struct worker *worker, const struct edge *edge,
	const uint8_t ip[4], uint32_t nic, struct rte_mbuf *packet)
{
	rte_spinlock_lock(&table->lock);
	wait_locked(table, worker, edge, ip, nic, packet);
	rte_spinlock_unlock(&table->lock);
}

static void learn_locked(struct neighbour_table *table, struct neighbour *n, struct worker *worker,
	const struct edge *edge, const uint8_t mac[6])
{
	*open_of(table, n->asker_nic) -= n->state == NEIGHBOUR_INCOMPLETE;
	n->state = NEIGHBOUR_REACHABLE;
	n->confirmed_ms = worker->now_ms;
	n->tries = 0;
	entry_set_mac(n, mac_pack(mac));
	for (unsigned i = 0; i < n->n_waiting; i++) {
		memcpy(rte_pktmbuf_mtod(n->waiting[i], uint8_t *) + ETH_DST, mac, 6);
		output_port(worker, edge->port, n->nics[i], n->waiting[i]);
	}
	n->n_waiting = 0;
}

void neighbour_learn(struct neighbour_table *table, struct worker *worker, const struct edge *edge,
	const uint8_t ip[4], const uint8_t mac[6])
{
	if (mac[0] & 1 || mac_pack(mac) == 0)
		return; /* nobody has such a MAC */
	rte_spinlock_lock(&table->lock);
	struct neighbour *n = entry_of(table, word_of(ip));
	if (n)
		learn_locked(table, n, worker, edge, mac);
	rte_spinlock_unlock(&table->lock);
}

static void ask_again(
	struct neighbour_table *table, struct neighbour *n, struct worker *worker, const struct edge *edge)
{
	if (!ask(table, worker, edge, n))
		entry_free(table, n, worker, DROP_NEIGHBOUR_FAILED);
}

static void tick_entry(
	struct neighbour_table *table, struct neighbour *n, struct worker *worker, const struct edge *edge)
{
	uint32_t now = worker->now_ms;

	switch ((enum neighbour_state)n->state) {
	case NEIGHBOUR_FREE: return;
	case NEIGHBOUR_REACHABLE:
		if (now - n->used_ms > UNUSED_MS) {
			entry_free(table, n, worker, DROP_NEIGHBOUR_FAILED);
		} else if (now - n->confirmed_ms > CONFIRM_MS) {
			n->state = NEIGHBOUR_PROBING;
			ask_again(table, n, worker, edge);
		}
		return;
	case NEIGHBOUR_INCOMPLETE:
	case NEIGHBOUR_PROBING:
		if (now - n->asked_ms < RETRY_MS)
			return;
		if (n->tries == TRIES)
			entry_free(table, n, worker, DROP_NEIGHBOUR_FAILED);
		else
			ask_again(table, n, worker, edge);
		return;
	}
}

void neighbour_tick(struct neighbour_table *table, struct worker *worker, const struct edge *edge)
{
	if (!edge->present || !edge->port || atomic_load_explicit(&table->n_used, memory_order_relaxed) == 0)
		return;
	rte_spinlock_lock(&table->lock);
	for (unsigned i = 0; i < table->n_entries; i++)
		tick_entry(table, &table->entries[i], worker, edge);
	rte_spinlock_unlock(&table->lock);
}

void neighbour_flush(struct neighbour_table *table)
{
	rte_spinlock_lock(&table->lock);
	for (unsigned i = 0; i < table->n_entries; i++)
		entry_free(table, &table->entries[i], NULL, DROP_NONE);
	rte_spinlock_unlock(&table->lock);
}

struct neighbour_table *neighbour_table_new(uint32_t segment)
{
	unsigned n_entries = segment ? ENTRIES_VLAN : ENTRIES;
	struct neighbour_table *table =
		g_aligned_alloc0(1, sizeof *table + n_entries * sizeof table->entries[0], 64);

	g_atomic_ref_count_init(&table->references);
	table->segment = segment;
	table->n_entries = n_entries;
	if (getrandom(&table->secret, sizeof table->secret, 0) != sizeof table->secret)
		abort(); /* never: the kernel gives so few bytes whole */
	rte_spinlock_init(&table->lock);
	return table;
}

struct neighbour_table *neighbour_table_ref(struct neighbour_table *table)
{
	g_atomic_ref_count_inc(&table->references);
	return table;
}

void neighbour_table_unref(struct neighbour_table *table)
{
	if (!table || !g_atomic_ref_count_dec(&table->references))
		return;
	neighbour_flush(table);
	g_aligned_free(table);
}
