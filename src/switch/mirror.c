/* Mirror: the copying half. See mirror.h. */
#include "switch/mirror.h"

#include "switch/datapath.h"
#include "switch/parse.h"
#include "switch/wire.h"

#include <stdatomic.h>
#include <time.h>

#define LANE_BYTES (4u * 1024 * 1024)
#define SLOTS_MIN  64u
#define SLOTS_MAX  1024u
#define WINDOW_MS  100 /* in which the rate is held */

struct lane {
	/* The worker's. */
	_Atomic uint32_t head; /* slots filled so far; wraps */
	uint32_t window_ms, window_used;
	struct mirror_counters counters;

	/* The main thread's. */
	_Atomic uint32_t tail __attribute__((aligned(64))); /* slots emptied so far; wraps */
	uint8_t *slots; /* Owned */
} __attribute__((aligned(64)));

struct mirror {
	struct mirror_config config;
	bool has_filter;
	uint32_t n_slots; /* of a lane, a power of two */
	size_t slot_size;
	unsigned n_lanes;
	struct lane lanes[];
};

/* ---- life ---- */

static uint32_t slots_for(size_t slot_size)
{
	uint32_t n = SLOTS_MAX;

	while (n > SLOTS_MIN && n * slot_size > LANE_BYTES)
		n /= 2;
	return n;
}

struct mirror *mirror_new(const struct mirror_config *config, unsigned workers)
{
	struct mirror *mirror = g_aligned_alloc0(1, sizeof *mirror + workers * sizeof(struct lane), 64);
	const struct flow_filter *filter = &config->filter;

	mirror->config = *config;
	mirror->has_filter = config->has_flow || filter->protocol >= 0 || filter->has_port ||
			     filter->prefix.addr.family != IP_NONE;
	mirror->slot_size = RTE_ALIGN_CEIL(sizeof(struct mirror_packet) + config->snaplen, 64);
	mirror->n_slots = slots_for(mirror->slot_size);
	mirror->n_lanes = workers;
	for (unsigned i = 0; i < workers; i++)
		mirror->lanes[i].slots = g_aligned_alloc0(mirror->n_slots, mirror->slot_size, 64);
	return mirror;
}

void mirror_free(struct mirror *mirror)
{
	if (!mirror)
		return;
	for (unsigned i = 0; i < mirror->n_lanes; i++)
		g_aligned_free(mirror->lanes[i].slots);
	g_aligned_free(mirror);
}

const struct mirror_config *mirror_config_of(const struct mirror *mirror)
{
	return &mirror->config;
}

static struct mirror_packet *slot_at(const struct mirror *mirror, const struct lane *lane, uint32_t position)
{
	return (void *)(lane->slots + (position & (mirror->n_slots - 1)) * mirror->slot_size);
}

/* ---- which packets ---- */

static bool same_ends(const struct flow_key *a, const struct flow_key *b, bool ports)
{
	return memcmp(a->src, b->src, 16) == 0 && memcmp(a->dst, b->dst, 16) == 0 &&
	       (!ports || (a->sport == b->sport && a->dport == b->dport));
}

/* ports: the key has them. Of ICMP all messages between the two count: a description need not know the id. */
static bool is_of_flow(const struct flow_key *flow, const struct flow_key *key, bool ports)
{
	const struct flow_key reverse = flow_key_reverse(flow);

	ports = ports && flow_key_has_ports(key);
	return flow->family == key->family && flow->protocol == key->protocol &&
	       (same_ends(flow, key, ports) || same_ends(&reverse, key, ports));
}

static bool key_is_wanted(const struct mirror_config *config, const struct flow_key *key, bool ports)
{
	struct flow_filter filter = config->filter;

	filter.has_port = filter.has_port && ports;
	return flow_filter_matches_key(&filter, key) &&
	       (!config->has_flow || is_of_flow(&config->flow, key, ports));
}

static bool is_wanted(const struct mirror *mirror, const struct rte_mbuf *packet)
{
	uint8_t copy[PARSE_CONTIGUOUS];
	uint32_t available = RTE_MIN(packet->pkt_len, (uint32_t)sizeof copy);
	struct packet parsed;
	uint16_t l4;

	if (!mirror->has_filter)
		return true;
	const uint8_t *data = rte_pktmbuf_read(packet, 0, available, copy);
	parse_frame(data, available, packet->pkt_len, &parsed);
	switch ((enum packet_kind)parsed.kind) {
	case PACKET_FLOW:
	case PACKET_FRAGMENT: return key_is_wanted(&mirror->config, &parsed.key, parsed.kind == PACKET_FLOW);
	case PACKET_ICMP_ERROR: /* goes with the connection that it is about */
		return parse_quoted(data + parsed.l4 + ICMP_MIN, available - parsed.l4 - ICMP_MIN,
			       &parsed.key, &l4) == 0 &&
		       key_is_wanted(&mirror->config, &parsed.key, true);
	case PACKET_ND: return key_is_wanted(&mirror->config, &parsed.key, false);
	case PACKET_ARP:
	case PACKET_RARP:
	case PACKET_DROP: return false;
	}
	return false;
}

/* ---- copying ---- */

/* Whether the rate allows one more. */
static bool take_token(const struct mirror *mirror, struct lane *lane, uint32_t now_ms)
{
	if (now_ms - lane->window_ms >= WINDOW_MS) {
		lane->window_ms = now_ms;
		lane->window_used = 0;
	}
	return lane->window_used++ < RTE_MAX(mirror->config.rate * WINDOW_MS / 1000, 1u);
}

static void write_slot(const struct mirror *mirror, struct mirror_packet *slot, const struct rte_mbuf *packet,
	enum mirror_direction direction, enum attachment_kind attachment)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	slot->time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	slot->length = packet->pkt_len;
	slot->captured = RTE_MIN(packet->pkt_len, mirror->config.snaplen);
	slot->direction = (uint8_t)direction;
	slot->attachment = (uint8_t)attachment;
	const uint8_t *data = rte_pktmbuf_read(packet, 0, slot->captured, slot->bytes);
	if (data != slot->bytes)
		memcpy(slot->bytes, data, slot->captured);
}

static void copy_packets(struct worker *worker, struct rte_mbuf *const *packets, unsigned n,
	enum mirror_direction direction, enum attachment_kind attachment)
{
	struct mirror *mirror = worker->mirror;
	struct lane *lane = &mirror->lanes[worker->index];
	uint32_t head = atomic_load_explicit(&lane->head, memory_order_relaxed);
	uint32_t tail = atomic_load_explicit(&lane->tail, memory_order_acquire);

	for (unsigned i = 0; i < n; i++) {
		if (!is_wanted(mirror, packets[i]))
			continue;
		counter_add(&lane->counters.wanted, 1);
		if (!take_token(mirror, lane, worker->now_ms)) {
			counter_add(&lane->counters.limited, 1);
		} else if (head - tail == mirror->n_slots) {
			counter_add(&lane->counters.overrun, 1);
		} else {
			write_slot(mirror, slot_at(mirror, lane, head++), packets[i], direction, attachment);
			atomic_store_explicit(&lane->head, head, memory_order_release);
		}
	}
}

/* The NIC's attachment of that port, or NULL. */
static const struct attachment *attachment_of(const struct worker *worker, const struct port *port)
{
	const struct nic *nic = snapshot_nic(worker->snapshot, worker->mirror->config.nic);

	for (unsigned i = 0; nic && i < nic->n_attachments; i++)
		if (nic->attachments[i].port == port)
			return &nic->attachments[i];
	return NULL;
}

void mirror_received(
	struct worker *worker, const struct port *port, struct rte_mbuf *const *packets, unsigned n)
{
	const struct attachment *attachment = attachment_of(worker, port);

	if (attachment)
		copy_packets(worker, packets, n, MIRROR_RECEIVED, attachment->kind);
}

void mirror_delivered(struct worker *worker, const struct outbox *box)
{
	const struct attachment *attachment = attachment_of(worker, box->port);

	if (attachment)
		copy_packets(worker, box->packets, box->n, MIRROR_DELIVERED, attachment->kind);
}

/* ---- reading ---- */

const struct mirror_packet *mirror_peek(const struct mirror *mirror, unsigned worker)
{
	const struct lane *lane = &mirror->lanes[worker];
	uint32_t tail = atomic_load_explicit(&lane->tail, memory_order_relaxed);

	if (tail == atomic_load_explicit(&lane->head, memory_order_acquire))
		return NULL;
	return slot_at(mirror, lane, tail);
}

void mirror_pop(struct mirror *mirror, unsigned worker)
{
	struct lane *lane = &mirror->lanes[worker];

	atomic_store_explicit(&lane->tail, atomic_load_explicit(&lane->tail, memory_order_relaxed) + 1,
		memory_order_release);
}

struct mirror_counters mirror_counters_sum(const struct mirror *mirror)
{
	struct mirror_counters sum = {};

	for (unsigned i = 0; i < mirror->n_lanes; i++) {
		const struct mirror_counters *c = &mirror->lanes[i].counters;
		sum.wanted += __atomic_load_n(&c->wanted, __ATOMIC_RELAXED);
		sum.limited += __atomic_load_n(&c->limited, __ATOMIC_RELAXED);
		sum.overrun += __atomic_load_n(&c->overrun, __ATOMIC_RELAXED);
	}
	return sum;
}
