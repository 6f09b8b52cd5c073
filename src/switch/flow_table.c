/* The flow table: see flow_table.h for how it works. */
#include "switch/flow_table_priv.h"

#include "switch/grace.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
/* A sanitizer of threads knows atomic accesses, not vector loads that are as good. */
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
#define TAGS_BY_VECTOR 1
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#undef TAGS_BY_VECTOR
#endif
#endif
#endif
#ifdef TAGS_BY_VECTOR
#include <emmintrin.h>
#endif

static inline uint16_t tag_of(uint32_t hash)
{
	uint16_t tag = (uint16_t)(hash >> 16);

	return tag ? tag : 1;
}

/* ---- lookup ---- */

/* One bit a slot whose tag agrees. */
static inline unsigned matching_slots(const struct bucket *bucket, uint16_t tag)
{
#ifdef TAGS_BY_VECTOR
	__m128i tags = _mm_load_si128((const __m128i *)(const void *)bucket->tag);
	__m128i equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16((short)tag));

	return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));
#else
	unsigned found = 0;

	for (unsigned i = 0; i < BUCKET_SLOTS; i++)
		if (atomic_load_explicit(&bucket->tag[i], memory_order_relaxed) == tag)
			found |= 1u << i;
	return found;
#endif
}

/* Follows the chain from the hash's bucket. */
static inline struct flow *search(const struct flow_table *table, uint32_t hash, const struct flow_key *key)
{
	const struct bucket *bucket = flow_table_bucket(table, hash);
	uint16_t tag = tag_of(hash);

	for (;;) {
		for (unsigned found = matching_slots(bucket, tag); found; found &= found - 1) {
			unsigned slot = (unsigned)__builtin_ctz(found);
			/* Acquire: the entry was written before its index, which may have changed since the
			 * tag. */
			uint32_t index = atomic_load_explicit(&bucket->index[slot], memory_order_acquire);
			struct flow *flow = &table->entries[index];
			if (flow_key_equal(&flow->key, key))
				return flow;
		}
		uint32_t next = atomic_load_explicit(&bucket->next, memory_order_acquire);
		if (!next)
			return NULL;
		bucket = &table->overflow[next];
	}
}

/* The entry of the first slot of the bucket itself whose tag agrees, both its lines on their way; NULL: none. */
static inline struct flow *fetch_candidate(const struct flow_table *table, uint32_t hash)
{
	const struct bucket *bucket = flow_table_bucket(table, hash);
	unsigned found = matching_slots(bucket, tag_of(hash));

	if (!found)
		return NULL;
	struct flow *flow = &table->entries[atomic_load_explicit(
		&bucket->index[__builtin_ctz(found)], memory_order_acquire)];
	__builtin_prefetch(flow);
	__builtin_prefetch(&flow->action, 1);
	return flow;
}

/* Three passes, so that the misses of a burst overlap: the bucket's line, the entry's two lines, the compare.
 */
void flow_table_lookup_burst(
	struct flow_table *table, const struct flow_key *const keys[], unsigned n, struct flow *ret[])
{
	uint32_t hash[FLOW_TABLE_BURST];

	assert(n <= FLOW_TABLE_BURST);
	for (unsigned i = 0; i < n; i++) {
		hash[i] = flow_table_hash(table, keys[i]);
		__builtin_prefetch(flow_table_bucket(table, hash[i]));
	}
	for (unsigned i = 0; i < n; i++)
		ret[i] = fetch_candidate(table, hash[i]);
	for (unsigned i = 0; i < n; i++)
		if (!ret[i] || !flow_key_equal(&ret[i]->key, keys[i]))
			ret[i] = search(table, hash[i], keys[i]);
}

struct flow *flow_table_find(struct flow_table *table, const struct flow_key *key)
{
	return search(table, flow_table_hash(table, key), key);
}

uint32_t flow_table_key_hash(const struct flow_table *table, const struct flow_key *key)
{
	return flow_table_hash(table, key);
}

struct flow *flow_table_search(const struct flow_table *table, uint32_t hash, const struct flow_key *key)
{
	return search(table, hash, key);
}

/* ---- entries ---- */

static inline uint32_t high_water(const struct flow_table *table)
{
	return atomic_load_explicit(&table->memory->header->high_water, memory_order_relaxed);
}

void flow_table_give(struct flow_table *table, uint32_t index)
{
	struct zone *zone = &table->zones[table->chunk_zones[index / CHUNK]];

	table->next_free[index] = zone->free;
	zone->free = index;
	table->n_free++;
}

/* Moves entries whose grace period is over from limbo to their zones. */
static void reclaim(struct flow_table *table)
{
	uint32_t waiting = table->limbo_count;

	while (table->limbo_count) {
		struct limbo *oldest = &table->limbo[table->limbo_head];
		if (rte_rcu_qsbr_check(table->readers, oldest->token, false) != 1)
			break;
		flow_table_give(table, oldest->index);
		if (++table->limbo_head == table->memory->n_entries)
			table->limbo_head = 0;
		table->limbo_count--;
	}
	if (table->limbo_count == 0)
		table->limbo_head = 0; /* an empty ring begins where its memory is warm */
	if (table->limbo_count != waiting)
		grace_acquire(table->readers);
}

/* From the zone itself; FLOW_TABLE_NONE when it has no more. */
static inline uint32_t zone_take(struct flow_table *table, struct zone *zone)
{
	uint32_t index = zone->free;

	if (index)
		zone->free = table->next_free[index];
	else if (zone->next < zone->end)
		index = zone->next++;
	table->n_free -= index != FLOW_TABLE_NONE;
	return index;
}

/* Gives the zone, which has nothing left of its last one, a chunk that was never used. False: there is none. */
static bool zone_extend(struct flow_table *table, struct zone *zone)
{
	uint32_t first = high_water(table), end = (first / CHUNK + 1) * CHUNK;

	if (first == table->memory->n_backed)
		return false;
	zone->next = first;
	zone->end = end < table->memory->n_backed ? end : table->memory->n_backed;
	table->n_free += zone->end - first;
	table->chunk_zones[first / CHUNK] = (uint8_t)(zone - table->zones);
	atomic_store_explicit(&table->memory->header->high_water, zone->end, memory_order_release);
	return true;
}

/* Only after entries_ready. */
static uint32_t entry_take(struct flow_table *table, unsigned zone)
{
	uint32_t index = zone_take(table, &table->zones[zone]);

	if (!index && zone_extend(table, &table->zones[zone]))
		index = zone_take(table, &table->zones[zone]);
	for (unsigned other = 0; !index && other < FLOW_TABLE_ZONES; other++)
		index = zone_take(table, &table->zones[other]);
	assert(index);
	return index;
}

static inline uint32_t entries_at_hand(const struct flow_table *table)
{
	return table->n_free + table->memory->n_backed - high_water(table);
}

/* Makes sure that `wanted` entries can be taken. */
static bool entries_ready(struct flow_table *table, uint32_t wanted)
{
	struct flow_memory *memory = table->memory;

	if (__builtin_expect(entries_at_hand(table) >= wanted, 1))
		return true;
	reclaim(table);
	if (entries_at_hand(table) >= wanted)
		return true;
	uint32_t end = memory->n_backed + wanted - entries_at_hand(table);
	return end <= memory->n_entries && flow_memory_back(memory, end);
}

static void entry_rest(struct flow_table *table, uint32_t index, uint64_t token)
{
	uint32_t tail = (table->limbo_head + table->limbo_count) % table->memory->n_entries;

	table->limbo[tail] = (struct limbo){.index = index, .token = token};
	table->limbo_count++;
}

/* flow_table_copy reads entries while they are written: both sides do it by whole words, so that a copy is at
 * worst mixed, and the sequence tells. */
typedef uint64_t __attribute__((may_alias)) word;
static_assert(sizeof(struct flow) % sizeof(word) == 0, "copied by words");

static inline void words_store(struct flow *to, const struct flow *from)
{
	for (size_t i = 0; i < sizeof *to / sizeof(word); i++)
		__atomic_store_n(
			(word *)(void *)to + i, ((const word *)(const void *)from)[i], __ATOMIC_RELAXED);
}

static inline void words_load(struct flow *to, const struct flow *from)
{
	for (size_t i = 0; i < sizeof *to / sizeof(word); i++)
		((word *)(void *)to)[i] =
			__atomic_load_n((const word *)(const void *)from + i, __ATOMIC_RELAXED);
}

/* The next odd number before an entry is written. No store of the writing comes before it, for readers and for who
 * finds the memory after a kill. */
static inline uint32_t seq_begin(struct flow *flow)
{
	uint32_t seq = (flow->seq + 1) | 1;

	__atomic_store_n(&flow->seq, seq, __ATOMIC_RELAXED);
	atomic_thread_fence(memory_order_release);
	return seq;
}

/* The next even one after. */
static inline void seq_end(struct flow *flow)
{
	__atomic_store_n(&flow->seq, flow->seq + 1, __ATOMIC_RELEASE);
}

/* One direction to be put in, and the hash of its key. */
struct hashed {
	const struct flow_half *half;
	uint32_t hash;
};

/* Hashes the key and begins to fetch its bucket, which will be written. */
static inline struct hashed hashed_half(const struct flow_table *table, const struct flow_half *half)
{
	struct hashed hashed = {half, flow_table_hash(table, &half->key)};

	__builtin_prefetch(flow_table_bucket(table, hashed.hash), 1);
	return hashed;
}

/* `past`: what the entry begins with, as of flow_table_take_in. */
static void entry_write(struct flow_table *table, uint32_t index, const struct hashed *hashed, uint32_t pair,
	bool reply, uint32_t epoch, const struct flow *past)
{
	struct flow *flow = &table->entries[index];
	const struct flow fresh = {
		.key = hashed->half->key,
		.seq = seq_begin(flow),
		.pair = pair,
		.created_s = past->created_s,
		.hash = hashed->hash,
		.live = true,
		.reply = reply,
		.blocked = past->blocked,
		.action = hashed->half->action,
		.epoch = epoch,
		.seen_ms = past->seen_ms,
		.tcp = past->tcp,
		.carried = past->carried,
		.packets = past->packets,
		.bytes = past->bytes,
	};

	words_store(flow, &fresh);
	seq_end(flow);
}

/* No longer live; it may be used until the grace period that the token stands for is over. */
static void entry_retire(struct flow_table *table, uint32_t index, uint64_t token)
{
	struct flow *flow = &table->entries[index];

	seq_begin(flow);
	__atomic_store_n(&flow->live, false, __ATOMIC_RELAXED);
	seq_end(flow);
	entry_rest(table, index, token);
}

/* ---- buckets ---- */

static bool slot_fill(struct bucket *bucket, uint16_t tag, uint32_t index)
{
	for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
		if (atomic_load_explicit(&bucket->tag[i], memory_order_relaxed))
			continue;
		atomic_store_explicit(&bucket->index[i], index, memory_order_release);
		atomic_store_explicit(&bucket->tag[i], tag, memory_order_release);
		return true;
	}
	return false;
}

/* The last bucket of the chain that is at hand, with one more appended when all are full. */
static bool link_entry(struct flow_table *table, uint32_t index)
{
	const struct flow *flow = &table->entries[index];
	struct bucket *bucket = flow_table_bucket(table, flow->hash);

	while (!slot_fill(bucket, tag_of(flow->hash), index)) {
		uint32_t next = atomic_load_explicit(&bucket->next, memory_order_relaxed);
		if (!next) {
			if (table->overflow_used == table->n_overflow)
				return false;
			next = table->overflow_used++;
			atomic_store_explicit(&bucket->next, next, memory_order_release);
		}
		bucket = &table->overflow[next];
	}
	return true;
}

static void unlink_entry(struct flow_table *table, uint32_t index)
{
	struct bucket *bucket = flow_table_bucket(table, table->entries[index].hash);

	for (;;) {
		for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
			if (atomic_load_explicit(&bucket->index[i], memory_order_relaxed) != index ||
				!atomic_load_explicit(&bucket->tag[i], memory_order_relaxed))
				continue;
			atomic_store_explicit(&bucket->tag[i], 0, memory_order_release);
			return;
		}
		uint32_t next = atomic_load_explicit(&bucket->next, memory_order_relaxed);
		if (!next)
			return;
		bucket = &table->overflow[next];
	}
}

/* One entry takes another's place in its slot; their keys are the same. */
static void relink_entry(struct flow_table *table, uint32_t from, uint32_t to)
{
	struct bucket *bucket = flow_table_bucket(table, table->entries[from].hash);

	for (;;) {
		for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
			if (atomic_load_explicit(&bucket->index[i], memory_order_relaxed) != from ||
				!atomic_load_explicit(&bucket->tag[i], memory_order_relaxed))
				continue;
			atomic_store_explicit(&bucket->index[i], to, memory_order_release);
			return;
		}
		uint32_t next = atomic_load_explicit(&bucket->next, memory_order_relaxed);
		assert(next); /* a live entry is linked */
		bucket = &table->overflow[next];
	}
}

/* ---- put, replace and remove ---- */

static void retire_both(struct flow_table *table, uint32_t first, uint32_t second)
{
	uint64_t token = rte_rcu_qsbr_start(table->readers);

	entry_retire(table, first, token);
	entry_retire(table, second, token);
}

bool flow_table_link(struct flow_table *table, uint32_t first, uint32_t second)
{
	if (!link_entry(table, second))
		return false;
	if (!link_entry(table, first)) {
		unlink_entry(table, second);
		return false;
	}
	atomic_fetch_add_explicit(&table->connections, 1, memory_order_relaxed);
	return true;
}

/* The two entries, taken and fetched for writing. */
static void take_both(struct flow_table *table, const struct hashed *forward, const struct hashed *reply,
	uint32_t *ret_first, uint32_t *ret_second)
{
	uint32_t taken[2] = {entry_take(table, forward->half->zone), entry_take(table, reply->half->zone)};

	for (unsigned i = 0; i < 2; i++) {
		__builtin_prefetch(&table->entries[taken[i]], 1);
		__builtin_prefetch(&table->entries[taken[i]].action, 1);
	}
	*ret_first = taken[0];
	*ret_second = taken[1];
}

static struct flow *put_locked(struct flow_table *table, const struct hashed *forward,
	const struct hashed *reply, const struct flow past[2], uint32_t epoch, int *ret_error)
{
	uint32_t first, second;

	*ret_error = -EEXIST;
	if (search(table, forward->hash, &forward->half->key) ||
		search(table, reply->hash, &reply->half->key))
		return NULL;
	*ret_error = -ENOSPC;
	if (!entries_ready(table, 2 * (FLOW_MEMORY_SPARE + 1)))
		return NULL;
	take_both(table, forward, reply, &first, &second);
	entry_write(table, first, forward, second, false, epoch, &past[0]);
	entry_write(table, second, reply, first, true, epoch, &past[1]);
	if (flow_table_link(table, first, second))
		return &table->entries[first];
	/* One may have been seen: both wait like any other entry. */
	retire_both(table, first, second);
	return NULL;
}

struct flow *flow_table_put(struct flow_table *table, const struct flow_half *forward,
	const struct flow_half *reply, uint32_t epoch, uint64_t now_ms, int *ret_error)
{
	const struct flow fresh = {.created_s = (uint32_t)(now_ms / 1000), .seen_ms = (uint32_t)now_ms},
			  past[2] = {fresh, fresh};

	return flow_table_take_in(table, forward, reply, past, epoch, ret_error);
}

struct flow *flow_table_take_in(struct flow_table *table, const struct flow_half *forward,
	const struct flow_half *reply, const struct flow past[2], uint32_t epoch, int *ret_error)
{
	const struct hashed there = hashed_half(table, forward), back = hashed_half(table, reply);

	*ret_error = -EEXIST;
	if (flow_key_equal(&forward->key, &reply->key))
		return NULL;
	rte_spinlock_lock(&table->lock);
	struct flow *flow = put_locked(table, &there, &back, past, epoch, ret_error);
	rte_spinlock_unlock(&table->lock);
	return flow;
}

/* The n-th of the two directions: what it is now, and what it becomes. */
struct change {
	const struct hashed *half;
	uint32_t was, is;
	bool same; /* it keeps its key, and so its slot */
};

/* Both new entries get their places, the answers' first; those of other keys before all, as they may find none. */
static bool link_changes(struct flow_table *table, const struct change changes[2])
{
	for (unsigned i = 2; i-- > 0;) {
		if (changes[i].same || link_entry(table, changes[i].is))
			continue;
		if (i == 0 && !changes[1].same)
			unlink_entry(table, changes[1].is);
		return false;
	}
	for (unsigned i = 2; i-- > 0;) {
		if (changes[i].same)
			relink_entry(table, changes[i].was, changes[i].is);
		else
			unlink_entry(table, changes[i].was);
	}
	return true;
}

static struct flow *replace_locked(struct flow_table *table, uint32_t old, const struct hashed *forward,
	const struct hashed *reply, uint32_t epoch, int *ret_error)
{
	struct flow *entries = table->entries;
	struct change changes[2] = {
		{.half = forward, .was = old},
		{.half = reply, .was = entries[old].pair},
	};
	struct flow past;

	*ret_error = -EEXIST;
	for (unsigned i = 0; i < 2; i++) {
		struct change *change = &changes[i];
		change->same = flow_key_equal(&entries[change->was].key, &change->half->half->key);
		if (!change->same && search(table, change->half->hash, &change->half->half->key))
			return NULL;
	}
	*ret_error = -ENOSPC;
	if (!entries_ready(table, 2))
		return NULL;
	take_both(table, forward, reply, &changes[0].is, &changes[1].is);
	for (unsigned i = 0; i < 2; i++) {
		words_load(&past, &entries[changes[i].was]); /* whose packets go on meanwhile */
		past.blocked = false;
		entry_write(table, changes[i].is, changes[i].half, changes[!i].is, i == 1, epoch, &past);
	}
	if (!link_changes(table, changes)) {
		retire_both(table, changes[0].is, changes[1].is);
		return NULL;
	}
	retire_both(table, changes[0].was, changes[1].was);
	return &entries[changes[0].is];
}

/* Epochs wrap. */
static inline bool is_newer(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

struct flow *flow_table_replace(struct flow_table *table, struct flow *flow, const struct flow_half *forward,
	const struct flow_half *reply, uint32_t epoch, int *ret_error)
{
	const struct hashed there = hashed_half(table, forward), back = hashed_half(table, reply);
	struct flow *made = NULL;

	*ret_error = -EEXIST;
	if (flow_key_equal(&forward->key, &reply->key))
		return NULL;
	rte_spinlock_lock(&table->lock);
	*ret_error = -ESTALE;
	if (flow->live && !is_newer(flow->epoch, epoch)) {
		uint32_t index = (uint32_t)(flow - table->entries);
		made = replace_locked(
			table, flow->reply ? flow->pair : index, &there, &back, epoch, ret_error);
		reclaim(table);
	}
	rte_spinlock_unlock(&table->lock);
	return made;
}

static void decide_entry(struct flow *flow, bool blocked, uint32_t epoch)
{
	__atomic_store_n(&flow->blocked, blocked, __ATOMIC_RELAXED);
	/* Who sees the epoch sees the verdict. */
	__atomic_store_n(&flow->epoch, epoch, __ATOMIC_RELEASE);
}

/* seq: which entry it must be still; NULL: it is held by the caller. */
static bool decide_if(
	struct flow_table *table, struct flow *flow, const uint32_t *seq, bool blocked, uint32_t epoch)
{
	rte_spinlock_lock(&table->lock);
	bool live = flow->live && (!seq || flow->seq == *seq);
	if (live && !is_newer(flow->epoch, epoch)) {
		decide_entry(flow, blocked, epoch);
		decide_entry(&table->entries[flow->pair], blocked, epoch);
	}
	rte_spinlock_unlock(&table->lock);
	return live;
}

void flow_table_decide(struct flow_table *table, struct flow *flow, bool blocked, uint32_t epoch)
{
	decide_if(table, flow, NULL, blocked, epoch);
}

bool flow_table_decide_seen(
	struct flow_table *table, uint32_t index, const struct flow *copy, bool blocked, uint32_t epoch)
{
	return decide_if(table, &table->entries[index], &copy->seq, blocked, epoch);
}

static bool remove_if(struct flow_table *table, struct flow *flow, const uint32_t *seq)
{
	rte_spinlock_lock(&table->lock);
	bool live = flow->live && (!seq || flow->seq == *seq);
	if (live) {
		uint32_t index = (uint32_t)(flow - table->entries), pair = flow->pair;
		unlink_entry(table, index);
		unlink_entry(table, pair);
		retire_both(table, index, pair);
		atomic_fetch_sub_explicit(&table->connections, 1, memory_order_relaxed);
		reclaim(table);
	}
	rte_spinlock_unlock(&table->lock);
	return live;
}

bool flow_table_remove(struct flow_table *table, struct flow *flow)
{
	return remove_if(table, flow, NULL);
}

bool flow_table_remove_seen(struct flow_table *table, struct flow *flow, const struct flow *copy)
{
	return remove_if(table, flow, &copy->seq);
}

bool flow_table_set_carried(struct flow_table *table, uint32_t index, const struct flow *copy, bool carried)
{
	struct flow *flow = &table->entries[index];

	rte_spinlock_lock(&table->lock);
	bool live = flow->live && flow->seq == copy->seq;
	if (live)
		__atomic_store_n(&flow->carried, carried, __ATOMIC_RELAXED);
	rte_spinlock_unlock(&table->lock);
	return live;
}

void flow_table_touch(struct flow_table *table, uint32_t index, const struct flow *copy, uint32_t now_ms)
{
	struct flow *flow = &table->entries[index];

	rte_spinlock_lock(&table->lock);
	if (flow->live && flow->seq == copy->seq)
		__atomic_store_n(&flow->seen_ms, now_ms, __ATOMIC_RELAXED);
	rte_spinlock_unlock(&table->lock);
}

/* ---- access ---- */

struct flow *flow_table_pair(struct flow_table *table, const struct flow *flow)
{
	return &table->entries[flow->pair];
}

uint32_t flow_table_end(const struct flow_table *table)
{
	return atomic_load_explicit(&table->memory->header->high_water, memory_order_acquire);
}

struct flow *flow_table_at(struct flow_table *table, uint32_t index)
{
	return &table->entries[index];
}

bool flow_table_copy(const struct flow_table *table, uint32_t index, struct flow *ret)
{
	const struct flow *flow = &table->entries[index];

	for (unsigned attempt = 0; attempt < 16; attempt++) {
		uint32_t before = __atomic_load_n(&flow->seq, __ATOMIC_ACQUIRE);
		words_load(ret, flow);
		atomic_thread_fence(memory_order_acquire);
		if (!(before & 1) && before == __atomic_load_n(&flow->seq, __ATOMIC_RELAXED))
			return ret->live;
	}
	return false;
}

bool flow_table_copy_both(
	const struct flow_table *table, uint32_t index, struct flow *ret_flow, struct flow *ret_pair)
{
	if (!flow_table_copy(table, index, ret_flow) || !flow_table_copy(table, ret_flow->pair, ret_pair))
		return false;
	/* Both entries may have become another connection's between the two copies. */
	atomic_thread_fence(memory_order_acquire);
	return __atomic_load_n(&table->entries[index].seq, __ATOMIC_RELAXED) == ret_flow->seq;
}

bool flow_table_find_copy(const struct flow_table *table, const struct flow_key *key, struct flow *ret_flow,
	struct flow *ret_pair)
{
	uint32_t hash = flow_table_hash(table, key);
	const struct bucket *bucket = flow_table_bucket(table, hash);

	for (;;) {
		for (unsigned found = matching_slots(bucket, tag_of(hash)); found; found &= found - 1) {
			uint32_t index = atomic_load_explicit(
				&bucket->index[__builtin_ctz(found)], memory_order_acquire);
			if (flow_table_copy_both(table, index, ret_flow, ret_pair) &&
				flow_key_equal(&ret_flow->key, key))
				return true;
		}
		uint32_t next = atomic_load_explicit(&bucket->next, memory_order_acquire);
		if (!next)
			return false;
		bucket = &table->overflow[next];
	}
}

uint32_t flow_table_count(const struct flow_table *table)
{
	return atomic_load_explicit(&table->connections, memory_order_relaxed);
}

uint32_t flow_table_capacity(const struct flow_table *table)
{
	return table->memory->connections;
}

struct flow_memory *flow_table_memory(const struct flow_table *table)
{
	return table->memory;
}

/* ---- life ---- */

static uint32_t power_of_two(uint32_t at_least)
{
	uint32_t n = 1;

	while (n < at_least)
		n <<= 1;
	return n;
}

/* Where the parts of our own lie, in bytes from their mapping's start. */
struct plan {
	uint32_t n_buckets, n_overflow;
	size_t overflow, next_free, chunk_zones, limbo, size;
};

static struct plan plan_for(const struct flow_memory *memory)
{
	struct plan plan = {/* four entries in a bucket of eight slots */
		.n_buckets = power_of_two(memory->connections / 2 + 1)};

	plan.n_overflow = plan.n_buckets / 8 + 2;
	plan.overflow = (size_t)plan.n_buckets * sizeof(struct bucket);
	plan.limbo = plan.overflow + (size_t)plan.n_overflow * sizeof(struct bucket);
	plan.next_free = plan.limbo + memory->n_entries * sizeof(struct limbo);
	plan.chunk_zones = plan.next_free + memory->n_entries * sizeof(uint32_t);
	plan.size = plan.chunk_zones + memory->n_entries / CHUNK + 1;
	return plan;
}

struct flow_table *flow_table_new(struct flow_memory *memory, struct rte_rcu_qsbr *readers)
{
	const struct plan plan = plan_for(memory);
	struct flow_table *table = aligned_alloc(64, (sizeof *table + 63) / 64 * 64);
	char *at = mmap(
		NULL, plan.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (!table || at == MAP_FAILED) {
		free(table);
		if (at != MAP_FAILED)
			munmap(at, plan.size);
		flow_memory_free(memory);
		return NULL;
	}
	/* Any bucket may be the next: with small pages each would cost a miss of the TLB too. */
	madvise(at, plan.limbo, MADV_HUGEPAGE);
	*table = (struct flow_table){
		.buckets = (struct bucket *)(void *)at,
		.overflow = (struct bucket *)(void *)(at + plan.overflow),
		.entries = memory->entries,
		.bucket_mask = plan.n_buckets - 1,
		.n_overflow = plan.n_overflow,
		.overflow_used = 1,
		.lock = RTE_SPINLOCK_INITIALIZER,
		.next_free = (uint32_t *)(void *)(at + plan.next_free),
		.chunk_zones = (uint8_t *)at + plan.chunk_zones,
		.limbo = (struct limbo *)(void *)(at + plan.limbo),
		.memory = memory,
		.readers = readers,
		.derived = at,
		.derived_size = plan.size,
	};
	memcpy(table->secret, memory->header->secret, sizeof table->secret);
	return table;
}

void flow_table_free(struct flow_table *table)
{
	if (!table)
		return;
	munmap(table->derived, table->derived_size);
	flow_memory_free(table->memory);
	free(table);
}
