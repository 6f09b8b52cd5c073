/* The flow table: see flow_table.h for how it works. */
#include "switch/flow_table.h"

#include <errno.h>
#include <rte_rcu_qsbr.h>
#include <rte_spinlock.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
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

#define BUCKET_SLOTS   8
#define LAYOUT_MAGIC   0x534c4643u /* changes with anything that lies in the mapping */
#define LAYOUT_VERSION 2u

struct bucket {
	_Atomic uint16_t tag[BUCKET_SLOTS]; /* 0: the slot is empty */
	_Atomic uint32_t index[BUCKET_SLOTS];
	_Atomic uint32_t next; /* overflow bucket, 0: none */
	uint32_t unused[3];
};
static_assert(sizeof(struct bucket) == 64, "a bucket is one cache line");

/* Start of the mapping. What follows it: buckets, overflow buckets, entries, the stack of free entries. */
struct layout {
	uint32_t magic, version;
	uint32_t capacity; /* connections */
	uint32_t n_buckets; /* a power of two */
	uint32_t n_overflow; /* overflow bucket 0 is never used */
	uint32_t overflow_used;
	_Atomic uint32_t high_water; /* entries from here on were never used; entry 0 never is */
	uint32_t n_free; /* on the stack */
	_Atomic uint32_t connections;
	uint64_t secret[6];
} __attribute__((aligned(64)));

/* An entry that was removed and that workers may still hold. */
struct limbo {
	uint32_t index;
	uint64_t token; /* of rte_rcu_qsbr_start */
};

struct flow_table {
	struct layout *layout; /* Owned: the mapping */
	size_t size;
	struct bucket *buckets, *overflow;
	struct flow *entries;
	uint32_t *free_stack;

	/* Of this process only. */
	rte_spinlock_t lock;
	struct rte_rcu_qsbr *readers; /* Borrowed */
	struct limbo *limbo; /* Owned: a ring of n_entries */
	uint32_t limbo_head, limbo_count;
};

static uint32_t entries_for(uint32_t capacity)
{
	return (capacity + FLOW_TABLE_SPARE) * 2 + 1;
}

static uint32_t n_entries(const struct layout *layout)
{
	return entries_for(layout->capacity);
}

/* ---- hash ---- */

static inline uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Folded multiplication of the key's words, each hidden by a secret. */
static inline uint32_t hash_of(const struct flow_table *table, const struct flow_key *key)
{
	const uint64_t *secret = table->layout->secret;
	uint64_t word[6] = {};

	memcpy(word, key, sizeof *key);
	uint64_t h = mix(word[0] ^ secret[0], word[1] ^ secret[1]) ^
		     mix(word[2] ^ secret[2], word[3] ^ secret[3]) ^
		     mix(word[4] ^ secret[4], word[5] ^ secret[5]);
	return (uint32_t)mix(h, secret[0]);
}

static inline uint16_t tag_of(uint32_t hash)
{
	uint16_t tag = (uint16_t)(hash >> 16);

	return tag ? tag : 1;
}

static inline struct bucket *bucket_of(const struct flow_table *table, uint32_t hash)
{
	return &table->buckets[hash & (table->layout->n_buckets - 1)];
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

/* Follows the chain from `bucket`. */
static inline struct flow *search(
	const struct flow_table *table, const struct bucket *bucket, uint16_t tag, const struct flow_key *key)
{
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

/* Three passes, so that the misses of a burst overlap: the bucket's line, the entry's two lines, the compare.
 */
void flow_table_lookup_burst(
	struct flow_table *table, const struct flow_key *const keys[], unsigned n, struct flow *ret[])
{
	uint32_t hash[FLOW_TABLE_BURST];

	assert(n <= FLOW_TABLE_BURST);
	for (unsigned i = 0; i < n; i++) {
		hash[i] = hash_of(table, keys[i]);
		__builtin_prefetch(bucket_of(table, hash[i]));
	}
	for (unsigned i = 0; i < n; i++) {
		const struct bucket *bucket = bucket_of(table, hash[i]);
		unsigned found = matching_slots(bucket, tag_of(hash[i]));
		if (found) {
			unsigned slot = (unsigned)__builtin_ctz(found);
			const struct flow *flow = &table->entries[atomic_load_explicit(
				&bucket->index[slot], memory_order_relaxed)];
			__builtin_prefetch(flow);
			__builtin_prefetch(&flow->action, 1);
		}
	}
	for (unsigned i = 0; i < n; i++)
		ret[i] = search(table, bucket_of(table, hash[i]), tag_of(hash[i]), keys[i]);
}

struct flow *flow_table_find(struct flow_table *table, const struct flow_key *key)
{
	uint32_t hash = hash_of(table, key);

	return search(table, bucket_of(table, hash), tag_of(hash), key);
}

/* ---- entries ---- */

/* Moves entries whose grace period is over from limbo to the free stack. */
static void reclaim(struct flow_table *table)
{
	struct layout *layout = table->layout;

	while (table->limbo_count) {
		struct limbo *oldest = &table->limbo[table->limbo_head];
		if (rte_rcu_qsbr_check(table->readers, oldest->token, false) != 1)
			return;
		table->free_stack[layout->n_free++] = oldest->index;
		table->limbo_head = (table->limbo_head + 1) % n_entries(layout);
		table->limbo_count--;
	}
}

/* Only after entries_ready. */
static uint32_t entry_take(struct flow_table *table)
{
	struct layout *layout = table->layout;

	if (layout->n_free)
		return table->free_stack[--layout->n_free];
	uint32_t index = atomic_load_explicit(&layout->high_water, memory_order_relaxed);
	assert(index < n_entries(layout));
	atomic_store_explicit(&layout->high_water, index + 1, memory_order_release);
	return index;
}

/* Makes sure that `wanted` entries can be taken. */
static bool entries_ready(struct flow_table *table, uint32_t wanted)
{
	const struct layout *layout = table->layout;
	uint32_t unused = n_entries(layout) - atomic_load_explicit(&layout->high_water, memory_order_relaxed);

	if (layout->n_free + unused < wanted)
		reclaim(table);
	return layout->n_free + unused >= wanted;
}

static void entry_rest(struct flow_table *table, uint32_t index, uint64_t token)
{
	uint32_t tail = (table->limbo_head + table->limbo_count) % n_entries(table->layout);

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

/* To an odd number before an entry is written, to the next even one after. */
static inline uint32_t seq_step(struct flow *flow)
{
	uint32_t seq = flow->seq + 1;

	__atomic_store_n(&flow->seq, seq, __ATOMIC_RELEASE);
	atomic_thread_fence(memory_order_seq_cst);
	return seq;
}

/* `past`: the times, counters and TCP flags that the entry begins with. */
static void entry_write(struct flow_table *table, uint32_t index, const struct flow_half *half, uint32_t pair,
	bool reply, uint32_t epoch, const struct flow *past)
{
	struct flow *flow = &table->entries[index];
	const struct flow fresh = {
		.key = half->key,
		.seq = seq_step(flow),
		.pair = pair,
		.created_ms = past->created_ms,
		.hash = hash_of(table, &half->key),
		.live = true,
		.reply = reply,
		.action = half->action,
		.epoch = epoch,
		.seen_ms = past->seen_ms,
		.tcp_seen = past->tcp_seen,
		.packets = past->packets,
		.bytes = past->bytes,
	};

	words_store(flow, &fresh);
	seq_step(flow);
}

/* No longer live; it may be used until the grace period that the token stands for is over. */
static void entry_retire(struct flow_table *table, uint32_t index, uint64_t token)
{
	struct flow *flow = &table->entries[index];

	seq_step(flow);
	__atomic_store_n(&flow->live, false, __ATOMIC_RELAXED);
	seq_step(flow);
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
	struct layout *layout = table->layout;
	struct bucket *bucket = bucket_of(table, flow->hash);

	while (!slot_fill(bucket, tag_of(flow->hash), index)) {
		uint32_t next = atomic_load_explicit(&bucket->next, memory_order_relaxed);
		if (!next) {
			if (layout->overflow_used == layout->n_overflow)
				return false;
			next = layout->overflow_used++;
			atomic_store_explicit(&bucket->next, next, memory_order_release);
		}
		bucket = &table->overflow[next];
	}
	return true;
}

static void unlink_entry(struct flow_table *table, uint32_t index)
{
	struct bucket *bucket = bucket_of(table, table->entries[index].hash);

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
	struct bucket *bucket = bucket_of(table, table->entries[from].hash);

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

/* The answers first: whoever finds the one direction finds the other. */
static bool link_both(struct flow_table *table, uint32_t first, uint32_t second)
{
	if (!link_entry(table, second))
		return false;
	if (!link_entry(table, first)) {
		unlink_entry(table, second);
		return false;
	}
	atomic_fetch_add_explicit(&table->layout->connections, 1, memory_order_relaxed);
	return true;
}

static struct flow *put_locked(struct flow_table *table, const struct flow_half *forward,
	const struct flow_half *reply, uint32_t epoch, uint32_t now_ms, int *ret_error)
{
	const struct flow past = {.created_ms = now_ms, .seen_ms = now_ms};

	*ret_error = -EEXIST;
	if (flow_key_equal(&forward->key, &reply->key) || flow_table_find(table, &forward->key) ||
		flow_table_find(table, &reply->key))
		return NULL;
	*ret_error = -ENOSPC;
	if (!entries_ready(table, 2 * (FLOW_TABLE_SPARE + 1)))
		return NULL;
	uint32_t first = entry_take(table), second = entry_take(table);
	entry_write(table, first, forward, second, false, epoch, &past);
	entry_write(table, second, reply, first, true, epoch, &past);
	if (link_both(table, first, second))
		return &table->entries[first];
	/* One may have been seen: both wait like any other entry. */
	retire_both(table, first, second);
	return NULL;
}

struct flow *flow_table_put(struct flow_table *table, const struct flow_half *forward,
	const struct flow_half *reply, uint32_t epoch, uint32_t now_ms, int *ret_error)
{
	rte_spinlock_lock(&table->lock);
	struct flow *flow = put_locked(table, forward, reply, epoch, now_ms, ret_error);
	rte_spinlock_unlock(&table->lock);
	return flow;
}

static struct flow *replace_locked(struct flow_table *table, uint32_t old, const struct flow_half *forward,
	const struct flow_half *reply, uint32_t epoch, int *ret_error)
{
	struct flow *entries = table->entries;
	uint32_t old_reply = entries[old].pair;
	bool same_reply = flow_key_equal(&entries[old_reply].key, &reply->key);

	assert(flow_key_equal(&entries[old].key, &forward->key));
	*ret_error = -EEXIST;
	if (!same_reply && flow_table_find(table, &reply->key))
		return NULL;
	*ret_error = -ENOSPC;
	if (!entries_ready(table, 2))
		return NULL;
	uint32_t first = entry_take(table), second = entry_take(table);
	entry_write(table, first, forward, second, false, epoch, &entries[old]);
	entry_write(table, second, reply, first, true, epoch, &entries[old_reply]);
	if (same_reply) {
		relink_entry(table, old_reply, second);
	} else if (link_entry(table, second)) {
		unlink_entry(table, old_reply);
	} else {
		retire_both(table, first, second);
		return NULL;
	}
	relink_entry(table, old, first);
	retire_both(table, old, old_reply);
	return &entries[first];
}

struct flow *flow_table_replace(struct flow_table *table, struct flow *flow, const struct flow_half *forward,
	const struct flow_half *reply, uint32_t epoch, int *ret_error)
{
	struct flow *made = NULL;

	rte_spinlock_lock(&table->lock);
	*ret_error = -ESTALE;
	if (flow->live) {
		uint32_t index = (uint32_t)(flow - table->entries);
		made = replace_locked(
			table, flow->reply ? flow->pair : index, forward, reply, epoch, ret_error);
		reclaim(table);
	}
	rte_spinlock_unlock(&table->lock);
	return made;
}

bool flow_table_remove(struct flow_table *table, struct flow *flow)
{
	rte_spinlock_lock(&table->lock);
	bool live = flow->live;
	if (live) {
		uint32_t index = (uint32_t)(flow - table->entries), pair = flow->pair;
		unlink_entry(table, index);
		unlink_entry(table, pair);
		retire_both(table, index, pair);
		atomic_fetch_sub_explicit(&table->layout->connections, 1, memory_order_relaxed);
		reclaim(table);
	}
	rte_spinlock_unlock(&table->lock);
	return live;
}

/* ---- access ---- */

struct flow *flow_table_pair(struct flow_table *table, const struct flow *flow)
{
	return &table->entries[flow->pair];
}

uint32_t flow_table_end(const struct flow_table *table)
{
	return atomic_load_explicit(&table->layout->high_water, memory_order_acquire);
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

uint32_t flow_table_count(const struct flow_table *table)
{
	return atomic_load_explicit(&table->layout->connections, memory_order_relaxed);
}

uint32_t flow_table_capacity(const struct flow_table *table)
{
	return table->layout->capacity;
}

/* ---- life ---- */

static uint32_t power_of_two(uint32_t at_least)
{
	uint32_t n = 1;

	while (n < at_least)
		n <<= 1;
	return n;
}

/* Where the parts lie in the mapping, in bytes from its start. */
struct plan {
	uint32_t n_buckets, n_overflow;
	size_t buckets, overflow, entries, free_stack, size;
};

static struct plan plan_for(uint32_t capacity)
{
	struct plan plan = {
		.n_buckets = power_of_two(capacity / 2 + 1)}; /* four entries in a bucket of eight slots */
	size_t n = entries_for(capacity);

	plan.n_overflow = plan.n_buckets / 8 + 2;
	plan.buckets = sizeof(struct layout);
	plan.overflow = plan.buckets + (size_t)plan.n_buckets * sizeof(struct bucket);
	plan.entries = plan.overflow + (size_t)plan.n_overflow * sizeof(struct bucket);
	plan.free_stack = plan.entries + n * sizeof(struct flow);
	plan.size = plan.free_stack + n * sizeof(uint32_t);
	return plan;
}

static void layout_init(struct layout *layout, const struct plan *plan, uint32_t capacity)
{
	layout->magic = LAYOUT_MAGIC;
	layout->version = LAYOUT_VERSION;
	layout->capacity = capacity;
	layout->n_buckets = plan->n_buckets;
	layout->n_overflow = plan->n_overflow;
	layout->overflow_used = 1;
	layout->high_water = 1;
	if (getrandom(layout->secret, sizeof layout->secret, 0) != sizeof layout->secret)
		abort(); /* never: the kernel gives so few bytes whole */
}

struct flow_table *flow_table_new(uint32_t capacity, struct rte_rcu_qsbr *readers)
{
	const struct plan plan = plan_for(capacity);
	struct flow_table *table = calloc(1, sizeof *table);
	struct limbo *limbo = calloc(entries_for(capacity), sizeof *limbo);
	char *at = mmap(
		NULL, plan.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (!table || !limbo || at == MAP_FAILED) {
		free(table);
		free(limbo);
		if (at != MAP_FAILED)
			munmap(at, plan.size);
		return NULL;
	}
	*table = (struct flow_table){
		.layout = (struct layout *)(void *)at,
		.size = plan.size,
		.buckets = (struct bucket *)(void *)(at + plan.buckets),
		.overflow = (struct bucket *)(void *)(at + plan.overflow),
		.entries = (struct flow *)(void *)(at + plan.entries),
		.free_stack = (uint32_t *)(void *)(at + plan.free_stack),
		.lock = RTE_SPINLOCK_INITIALIZER,
		.readers = readers,
		.limbo = limbo,
	};
	layout_init(table->layout, &plan, capacity);
	return table;
}

void flow_table_free(struct flow_table *table)
{
	if (!table)
		return;
	munmap(table->layout, table->size);
	free(table->limbo);
	free(table);
}
