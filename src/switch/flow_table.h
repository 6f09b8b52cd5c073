/* The flow table: exact match of struct flow_key, both directions of a connection put in at once.
 *
 * Theory of operation. Buckets are one cache line: eight 16-bit tags of the hash beside eight 32-bit indices
 * of entries, and the index of an overflow bucket, which few have, since there are twice as many slots as
 * entries. A lookup touches a bucket's line, and where a tag agrees, the entry's two lines.
 *
 * Two memories. The entries lie in a flow_memory, which may be a file that the next process adopts: they refer
 * to each other by index only, and each is headed by its own sequence, odd while it is written. All else (the
 * buckets, the lists of free entries, those in limbo) can be made again from the entries, is this process's
 * own, and so is never half-written for anybody.
 *
 * Threads. Lookups take no lock. Changes take `lock`, and happen once per connection, not per packet:
 *
 *   put     The entry is written, its seq even again → its index is stored, with release → its tag, with
 *           release. A reader that sees the tag and the index (acquire) sees the entry.
 *   remove  The tag is cleared → the entry rests in limbo until every worker has passed a quiescent state
 *           (rte_rcu_qsbr) → it is free. Who looked it up before may use it to the end of the burst.
 *
 *   replace The new entries are written → a direction whose key is the same has its index take the old one's
 *           place in its slot, by one store; another is put in before the old one is removed → the old ones rest
 *           in limbo. A reader sees the one or the other, never neither.
 *
 * What is under the lock is kept short: keys are hashed and lines fetched before it is taken. One lock is
 * enough for a few workers that open connections by the million; for more, the table can become several by
 * some bits of the hash, each with a lock, a limbo and a share of the entries, which no caller would see.
 *
 * Zones. Each packet writes its flow's second line, and processors fetch lines beside those that are asked for. So
 * that two workers do not take each other's lines, entries are given out by chunks of a zone each, and a
 * worker's directions lie in its own; another zone's are taken only when all else is used up.
 *
 * A put takes an entry only while FLOW_MEMORY_SPARE connections' worth of others are free, which are there for
 * replacing: a full table can still send its connections another way.
 *
 * A reader can miss an entry that is being put in at that moment; the slow path looks again. Entries are
 * never changed in place, but for what flow.h says each packet writes, and `epoch` and `blocked`, which are
 * single words: to give a connection other actions it is replaced.
 *
 * The kill at any moment. An entry is adopted if its seq is even, it is live, and its pair says the same of it.
 * So a put or a removal that was half done leaves nothing. A replacement that was half done leaves two
 * connections of one key: either will do, as each is decided anew before its first packet. Counters and times
 * are as of the last packet.
 *
 * The hash is keyed by a secret of the memory, so that nobody outside can aim at one bucket.
 */
#pragma once
#include "base/cleanup.h"
#include "switch/flow_memory.h"

#include <stdint.h>

#define FLOW_TABLE_BURST 32
#define FLOW_TABLE_NONE  0 /* the index of no entry */
#define FLOW_TABLE_ZONES 16

struct rte_rcu_qsbr;
struct flow_table;

/* An empty table, or one that waits for flow_table_adopt, on `memory` (taken). readers (Borrowed): whose grace
 * periods entries wait for before they are used again. NULL when there is no memory for the rest. */
struct flow_table *flow_table_new(struct flow_memory *memory, struct rte_rcu_qsbr *readers);
void flow_table_free(struct flow_table *table);
CLEANUP_FUNC(struct flow_table *, flow_table_free)

struct flow_adoption {
	uint32_t connections; /* adopted */
	uint32_t dropped; /* entries: half-written, damaged, or of NICs that were gone already */
	uint32_t by_slot[NIC_SLOTS]; /* adopted, by the slot of the NIC of their forward key */
};

/* Takes over the connections of a memory that holds what another process left; before any other call on the
 * table. What is in the memory may be anything: only what is whole and agrees with the rest is taken. Flows
 * are of the memory's epoch at most, so a newer state decides each anew. */
void flow_table_adopt(struct flow_table *table, struct flow_adoption *ret);

/* Looks up n ≤ FLOW_TABLE_BURST keys; ret[i] is NULL where there is none. What is found may be used until the
 * calling thread's next quiescent state. */
void flow_table_lookup_burst(
	struct flow_table *table, const struct flow_key *const keys[], unsigned n, struct flow *ret[]);
struct flow *flow_table_find(struct flow_table *table, const struct flow_key *key);

/* Keyed by the memory's secret: nobody outside can foretell it. */
uint32_t flow_table_key_hash(const struct flow_table *table, const struct flow_key *key);

/* One direction to be put in. */
struct flow_half {
	struct flow_key key;
	struct flow_action action;
	uint8_t zone; /* below FLOW_TABLE_ZONES: the worker that will see its packets */
};

/* Puts both directions in and returns the forward one. NULL with *ret_error:
 * -EEXIST when either key is there already (also when both keys are the same), -ENOSPC when the table is
 * full. */
struct flow *flow_table_put(struct flow_table *table, const struct flow_half *forward,
	const struct flow_half *reply, uint32_t epoch, uint64_t now_ms, int *ret_error);

/* The same of a connection that is not new: `past` has the times, counters, what TCP left, and whether it is
 * blocked, of the forward direction and of the reply; all else of them is not looked at. */
struct flow *flow_table_take_in(struct flow_table *table, const struct flow_half *forward,
	const struct flow_half *reply, const struct flow past[2], uint32_t epoch, int *ret_error);

/* Gives the connection that `flow` is a direction of other actions, and perhaps other keys. Times, counters and
 * TCP flags go on. Returns the new forward direction. NULL with *ret_error, and the connection is as it was:
 * -EEXIST when another connection has one of the keys, -ENOSPC when no entry is free before a grace period is
 * over, -ESTALE when another thread has removed or replaced it. */
struct flow *flow_table_replace(struct flow_table *table, struct flow *flow, const struct flow_half *forward,
	const struct flow_half *reply, uint32_t epoch, int *ret_error);

/* Says of both directions that the state of that epoch has decided them: they go on as they are, or are
 * blocked. Nothing when the connection is gone, or a newer state has decided it: workers may know different
 * states for a while, and the older one's word must not stand. */
void flow_table_decide(struct flow_table *table, struct flow *flow, bool blocked, uint32_t epoch);
/* The same for who is no reader of the table, if the entry is still the one that flow_table_copy gave: else false. */
bool flow_table_decide_seen(
	struct flow_table *table, uint32_t index, const struct flow *copy, bool blocked, uint32_t epoch);

/* Removes the connection that `flow` is a direction of. False when another thread has done so already. */
bool flow_table_remove(struct flow_table *table, struct flow *flow);
/* The same, if the entry is still the one that flow_table_copy gave. */
bool flow_table_remove_seen(struct flow_table *table, struct flow *flow, const struct flow *copy);

/* Whether a NIC has, or may have, packets of the direction, of which that is a copy. False: it is gone. */
bool flow_table_set_carried(struct flow_table *table, uint32_t index, const struct flow *copy, bool carried);
/* A NIC had packets of it up to now. */
void flow_table_touch(struct flow_table *table, uint32_t index, const struct flow *copy, uint32_t now_ms);

struct flow *flow_table_pair(struct flow_table *table, const struct flow *flow);

/* Entries that were ever used have indices 1 .. flow_table_end - 1. */
uint32_t flow_table_end(const struct flow_table *table);
/* The entry, live or not; for the thread that ages entries. */
struct flow *flow_table_at(struct flow_table *table, uint32_t index);
/* Copies a live entry as of one moment, from any thread. False when it is not live. */
bool flow_table_copy(const struct flow_table *table, uint32_t index, struct flow *ret);

/* The same of both directions of one connection. */
bool flow_table_copy_both(
	const struct flow_table *table, uint32_t index, struct flow *ret_flow, struct flow *ret_pair);
/* The same of the direction that has the key, and the other. */
bool flow_table_find_copy(const struct flow_table *table, const struct flow_key *key, struct flow *ret_flow,
	struct flow *ret_pair);

/* Connections in the table. */
uint32_t flow_table_count(const struct flow_table *table);
uint32_t flow_table_capacity(const struct flow_table *table);
struct flow_memory *flow_table_memory(const struct flow_table *table);
