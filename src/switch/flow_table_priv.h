/* What flow_table.c and flow_adopt.c share: the table's parts. */
#pragma once
#include "switch/flow_table.h"

#include <rte_spinlock.h>
#include <stdatomic.h>

#define BUCKET_SLOTS 8
#define CHUNK        64 /* entries that go to a zone at once: two pages */

struct bucket {
	_Atomic uint16_t tag[BUCKET_SLOTS]; /* 0: the slot is empty */
	_Atomic uint32_t index[BUCKET_SLOTS];
	_Atomic uint32_t next; /* overflow bucket, 0: none */
	uint32_t unused[3];
};
static_assert(sizeof(struct bucket) == 64, "a bucket is one cache line");

/* An entry that was removed and that workers may still hold. */
struct limbo {
	uint32_t index;
	uint64_t token; /* of rte_rcu_qsbr_start */
};

/* Free entries for one worker's directions. */
struct zone {
	uint32_t free; /* the first that was used before; FLOW_TABLE_NONE: none */
	uint32_t next, end; /* of its chunk: entries that were never used */
};

struct flow_table {
	/* Read by every lookup. */
	uint64_t secret[6]; /* as in the memory's header */
	struct bucket *buckets;
	struct flow *entries;
	struct bucket *overflow;
	uint32_t bucket_mask; /* their number is a power of two */
	uint32_t n_overflow; /* overflow bucket 0 is never used */

	/* Changed under the lock. */
	rte_spinlock_t lock __attribute__((aligned(64)));
	uint32_t overflow_used;
	uint32_t n_free; /* in all zones */
	uint32_t limbo_head, limbo_count;
	_Atomic uint32_t connections;
	struct zone zones[FLOW_TABLE_ZONES];
	uint32_t *next_free; /* by entry: the one after it in its zone's list */
	uint8_t *chunk_zones; /* by entry / CHUNK */
	struct limbo *limbo; /* a ring of n_entries */
	struct flow_memory *memory; /* Owned */
	struct rte_rcu_qsbr *readers; /* Borrowed */
	void *derived; /* Owned: the mapping in which buckets, overflow and what goes with entries lie */
	size_t derived_size;
};

static inline uint64_t flow_table_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The n-th word of a key. Read from where it lies: a copy would be written in other pieces than it is read. */
static inline uint64_t flow_table_word(const struct flow_key *key, unsigned n)
{
	uint64_t word;

	memcpy(&word, (const uint8_t *)key + n * sizeof word, sizeof word);
	return word;
}

/* Folded multiplication of the key's words, each hidden by a secret. */
static inline uint32_t flow_table_hash(const struct flow_table *table, const struct flow_key *key)
{
	const uint64_t *secret = table->secret;
	uint32_t last; /* four bytes that are half a word */

	memcpy(&last, (const uint8_t *)key + 5 * sizeof(uint64_t), sizeof last);
	uint64_t h =
		flow_table_mix(flow_table_word(key, 0) ^ secret[0], flow_table_word(key, 1) ^ secret[1]) ^
		flow_table_mix(flow_table_word(key, 2) ^ secret[2], flow_table_word(key, 3) ^ secret[3]) ^
		flow_table_mix(flow_table_word(key, 4) ^ secret[4], last ^ secret[5]);
	return (uint32_t)flow_table_mix(h, secret[0]);
}

static inline struct bucket *flow_table_bucket(const struct flow_table *table, uint32_t hash)
{
	return &table->buckets[hash & table->bucket_mask];
}

/* The entry of the key, whose hash that is, or NULL. */
struct flow *flow_table_search(const struct flow_table *table, uint32_t hash, const struct flow_key *key);

/* The entry may be taken again. Under the lock, or before there are workers. */
void flow_table_give(struct flow_table *table, uint32_t index);

/* Links both entries, which are written; the answers first: whoever finds the one direction finds the other.
 * False, and neither is linked, when the overflow buckets are used up. */
bool flow_table_link(struct flow_table *table, uint32_t first, uint32_t second);
