/* Rate limits: see meter.h. */
#include "switch/meter.h"

#include "switch/port.h"
#include "switch/worker.h"

#include <rte_mbuf.h>

#define EXPECTED_BYTES 1514 /* of a packet that has not come yet */
#define CLOCK_SKEW_MS  1000u /* that another worker's clock may be ahead */
#define ELAPSED_MAX_MS 1000000u /* more pays any debt, and fills any bucket */
#define TURN_MAX_MS    1000u /* polls that are further apart had a time without a limit between them */

/* ---- the bucket ---- */

static_assert(LIMIT_BITS_MAX <= INT64_MAX / 2 / ELAPSED_MAX_MS && LIMIT_PACKETS_MAX <= LIMIT_BITS_MAX,
	"no overflow, from any debt");

/* A rate a second is as many thousandths a millisecond. */
static int64_t filled(int64_t tokens, uint64_t rate, uint32_t elapsed_ms, uint32_t burst_ms)
{
	int64_t depth = (int64_t)(rate * burst_ms);

	if (rate == 0)
		return 0; /* what is not limited owes nothing */
	tokens += (int64_t)(rate * RTE_MIN(elapsed_ms, ELAPSED_MAX_MS));
	return RTE_MIN(tokens, depth);
}

bool meter_bucket_is_open(
	struct meter_bucket *bucket, const struct limit *limit, uint32_t nic, uint32_t now_ms)
{
	uint32_t elapsed = now_ms - bucket->filled_ms;

	if (bucket->nic != nic) {
		*bucket = (struct meter_bucket){.nic = nic};
		elapsed = ELAPSED_MAX_MS;
	}
	if (elapsed != 0 && elapsed < UINT32_MAX - CLOCK_SKEW_MS) {
		bucket->bits = filled(bucket->bits, limit->bits_per_s, elapsed, limit->burst_ms);
		bucket->packets = filled(bucket->packets, limit->packets_per_s, elapsed, limit->burst_ms);
		bucket->filled_ms = now_ms;
	}
	return (limit->bits_per_s == 0 || bucket->bits > 0) &&
	       (limit->packets_per_s == 0 || bucket->packets > 0);
}

unsigned meter_bucket_room(const struct meter_bucket *bucket, const struct limit *limit, unsigned max)
{
	int64_t room = max;

	if (limit->bits_per_s)
		room = RTE_MIN(room, bucket->bits / (EXPECTED_BYTES * 8 * 1000) + 1);
	if (limit->packets_per_s)
		room = RTE_MIN(room, (bucket->packets + 999) / 1000);
	return (unsigned)room;
}

void meter_bucket_spend(struct meter_bucket *bucket, uint64_t bytes, uint64_t packets)
{
	bucket->bits -= (int64_t)(bytes * 8 * 1000);
	bucket->packets -= (int64_t)(packets * 1000);
}

/* ---- eswitches ---- */

static uint64_t rate_of(uint64_t n, uint32_t elapsed_ms)
{
	return (uint64_t)((double)n * 1000 / MAX(elapsed_ms, 1));
}

/* The mean of now and before: counters come by jumps. */
static void set_rate(_Atomic uint64_t *rate, uint64_t now)
{
	uint64_t before = atomic_load_explicit(rate, memory_order_relaxed);

	atomic_store_explicit(rate, (before + now) / 2, memory_order_relaxed);
}

void meter_set_carried(struct meter_carried *carried, uint64_t packets, uint64_t bytes, uint32_t elapsed_ms)
{
	set_rate(&carried->bits_per_s, rate_of(bytes * 8, elapsed_ms));
	set_rate(&carried->packets_per_s, rate_of(packets, elapsed_ms));
}

static uint64_t rest_of(uint64_t rate, const _Atomic uint64_t *carried)
{
	return rate - RTE_MIN(rate / 8 * 7, atomic_load_explicit(carried, memory_order_relaxed));
}

/* What an eswitch leaves of the limit. */
static struct limit limit_left(const struct limit *limit, const struct meter_carried *carried)
{
	return (struct limit){.bits_per_s = rest_of(limit->bits_per_s, &carried->bits_per_s),
		.packets_per_s = rest_of(limit->packets_per_s, &carried->packets_per_s),
		.burst_ms = limit->burst_ms};
}

/* ---- packets ---- */

/* That it will be, when it is segmented. The size means something only where a flag says so: before the frame is parsed,
 * and after (segmentation.h). */
static uint32_t packets_in(const struct rte_mbuf *packet)
{
	bool segmented = packet->ol_flags & (RTE_MBUF_F_RX_LRO | RTE_MBUF_F_TX_TCP_SEG);

	return segmented && packet->tso_segsz ? (packet->pkt_len + packet->tso_segsz - 1) / packet->tso_segsz
					      : 1;
}

static void spend_all(struct meter_bucket *bucket, struct rte_mbuf *const *packets, unsigned n)
{
	uint64_t bytes = 0, segments = 0;

	for (unsigned i = 0; i < n; i++) {
		bytes += packets[i]->pkt_len;
		segments += packets_in(packets[i]);
	}
	meter_bucket_spend(bucket, bytes, segments);
}

/* ---- NICs ---- */

/* Whether it is held back now: counts how often and for how long it is. */
static void note(struct meter *meter, bool held, uint32_t now_ms)
{
	uint32_t since_ms = now_ms - meter->polled_ms;
	bool was_held = meter->held && since_ms <= TURN_MAX_MS;

	if (was_held)
		counter_add(&meter->held_ms, since_ms);
	else if (held)
		counter_add(&meter->holds, 1);
	meter->held = held;
	meter->polled_ms = now_ms;
}

/* A new NIC in the slot. */
static void begin(struct meter *meter, uint32_t nic)
{
	meter->held = false;
	__atomic_store_n(&meter->holds, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&meter->held_ms, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&meter->nic, nic, __ATOMIC_RELAXED);
}

/* Whether the attachment may be polled before others of the NIC: one that waits comes first, once. */
static bool is_next(struct meter *meter, const struct port *port)
{
	bool next = !meter->waiting || meter->waiting == port;

	meter->waiting = NULL;
	return next;
}

uint16_t meter_poll(const struct source *source, uint32_t now_ms, struct rte_mbuf **packets)
{
	struct meter *meter = source->meter;
	const struct limit limit = limit_left(source->limit, &meter->sent);

	if (meter->nic != source->nic)
		begin(meter, source->nic);
	bool open = meter_bucket_is_open(&meter->send, &limit, source->nic, now_ms);
	note(meter, !open, now_ms);
	if (!open && !meter->waiting)
		meter->waiting = source->port;
	if (!open || !is_next(meter, source->port))
		return 0;
	unsigned room = meter_bucket_room(&meter->send, &limit, WORKER_BURST);
	/* Some devices' drivers give packets by eights only; what is too much is a debt. */
	if (source->port->ops->rx_queue)
		room = RTE_ALIGN_CEIL(room, 8u);
	uint16_t n = port_rx(source->port, source->queue, packets, (uint16_t)room);
	spend_all(&meter->send, packets, n);
	return n;
}

static bool pass(struct meter *meter, struct meter_bucket *bucket, const struct limit *limit, uint32_t nic,
	uint32_t now_ms, uint64_t bytes, uint64_t packets)
{
	rte_spinlock_lock(&meter->shared.lock);
	bool open = meter_bucket_is_open(bucket, limit, nic, now_ms);
	if (open)
		meter_bucket_spend(bucket, bytes, packets);
	rte_spinlock_unlock(&meter->shared.lock);
	return open;
}

bool meter_may_deliver(
	struct meter *meter, const struct nic *nic, uint32_t now_ms, const struct rte_mbuf *packet)
{
	const struct limit limit = limit_left(&nic->receive, &meter->received);

	return pass(
		meter, &meter->shared.receive, &limit, nic->id, now_ms, packet->pkt_len, packets_in(packet));
}

bool meter_may_send(
	struct meter *meter, const struct nic *nic, uint32_t now_ms, const struct rte_mbuf *packet)
{
	return pass(
		meter, &meter->shared.past, &nic->send, nic->id, now_ms, packet->pkt_len, packets_in(packet));
}

bool meter_may_announce(struct meter *meter, const struct nic *nic, uint32_t now_ms)
{
	/* RFC 5227, section 2.3, has two of an address, and some guests repeat them. */
	static const struct limit limit = {.packets_per_s = 10, .burst_ms = 1000};

	return pass(meter, &meter->shared.announcements, &limit, nic->id, now_ms, 0, 1);
}

struct meter_holds meter_holds_of(const struct meter *meter, const struct nic *nic)
{
	if (__atomic_load_n(&meter->nic, __ATOMIC_RELAXED) != nic->id)
		return (struct meter_holds){};
	return (struct meter_holds){
		.times = __atomic_load_n(&meter->holds, __ATOMIC_RELAXED),
		.ms = __atomic_load_n(&meter->held_ms, __ATOMIC_RELAXED),
	};
}
