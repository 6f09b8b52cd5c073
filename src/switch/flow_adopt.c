/* Adoption of the connections that another process left: see flow_table.h.
 *
 * How it works. One pass over all entries that were ever used takes each forward direction that is whole,
 * whose pair is whole and says the same, and whose keys nobody has yet, and links both into the (empty)
 * buckets. What was taken is noted in a bitmap. A second pass makes all else free. The first runs ahead of itself
 * in three steps, so that the misses overlap: the entry, its pair and its bucket, the pair's bucket.
 *
 * Why damage does no harm. An index is used only after its range was checked; a key only if its hash, which a
 * secret goes into, is the entry's; an entry's epoch is one that no state of this process has, so that what its
 * action says is compared with a new decision before any packet follows it (connections.h). What remains to
 * believe is that the connection exists, its TCP flags, its times and counters.
 */
#include "switch/flow_table_priv.h"

#include <stdlib.h>

#define AHEAD_ENTRY  24
#define AHEAD_PAIR   16
#define AHEAD_BUCKET 8

struct pass {
	struct flow_table *table;
	const struct flow_header *header;
	uint32_t end, epoch;
	uint64_t *taken; /* Owned: a bit an entry */
	struct flow_adoption *adoption;
};

static inline bool is_taken(const struct pass *pass, uint32_t index)
{
	return pass->taken[index / 64] >> index % 64 & 1;
}

static inline void take(struct pass *pass, uint32_t index)
{
	pass->taken[index / 64] |= UINT64_C(1) << index % 64;
}

/* ---- what is whole ---- */

static bool is_known_nic(const struct pass *pass, uint32_t number)
{
	uint32_t slot = number & 0xffff; /* nic_slot */

	return number && slot < NIC_SLOTS && pass->header->nics[slot].number == number;
}

/* Only answers come for an address that NICs share. */
static bool is_shared(const struct flow_key *key, bool reply)
{
	return key->nic == FLOW_NIC_SHARED && key->origin == FLOW_FROM_OUTSIDE && reply;
}

static bool is_key(const struct pass *pass, const struct flow_key *key, bool reply)
{
	return key->origin <= FLOW_FROM_PHYSICAL && (key->family == IP_V4 || key->family == IP_V6) &&
	       !key->zero && (is_known_nic(pass, key->nic) || is_shared(key, reply));
}

/* blocked may differ between the two: a kill can come between its stores. */
static bool is_whole(const struct pass *pass, uint32_t index, uint32_t pair, bool reply)
{
	const struct flow *flow = &pass->table->entries[index];

	return !(flow->seq & 1) && flow->live == true && flow->reply == reply && flow->blocked <= true &&
	       flow->pair == pair && (int32_t)(pass->epoch - flow->epoch) >= 0 &&
	       is_key(pass, &flow->key, reply) && flow->hash == flow_table_hash(pass->table, &flow->key);
}

/* ---- the passes ---- */

static void adopt_one(struct pass *pass, uint32_t index)
{
	struct flow_table *table = pass->table;
	const struct flow *flow = &table->entries[index];
	uint32_t pair = flow->pair;

	if (flow->live != true || flow->reply || pair < 1 || pair >= pass->end)
		return;
	const struct flow *reply = &table->entries[pair];
	if (!is_whole(pass, index, pair, false) || !is_whole(pass, pair, index, true) ||
		flow_key_equal(&flow->key, &reply->key) || flow_table_search(table, flow->hash, &flow->key) ||
		flow_table_search(table, reply->hash, &reply->key) || !flow_table_link(table, index, pair))
		return;
	take(pass, index);
	take(pass, pair);
	pass->adoption->connections++;
	pass->adoption->by_slot[flow->key.nic & 0xffff]++;
}

static inline void fetch_ahead(const struct pass *pass, uint32_t index)
{
	const struct flow_table *table = pass->table;
	const struct flow *entries = table->entries;

	if (index + AHEAD_ENTRY >= pass->end)
		return;
	__builtin_prefetch(&entries[index + AHEAD_ENTRY]);
	__builtin_prefetch(&entries[index + AHEAD_ENTRY].action);
	const struct flow *flow = &entries[index + AHEAD_PAIR];
	if (flow->live && !flow->reply && flow->pair < pass->end) {
		__builtin_prefetch(&entries[flow->pair]);
		__builtin_prefetch(flow_table_bucket(table, flow->hash), 1);
	}
	flow = &entries[index + AHEAD_BUCKET];
	if (flow->live && !flow->reply && flow->pair < pass->end)
		__builtin_prefetch(flow_table_bucket(table, entries[flow->pair].hash), 1);
}

/* Whatever it was, it is whole and not live. */
static void clear(struct pass *pass, struct flow *flow)
{
	if (!flow->live && !(flow->seq & 1))
		return;
	pass->adoption->dropped++;
	flow->live = false;
	flow->seq += flow->seq & 1;
}

/* From the top, so that low entries are used first, and the high water falls to what is in use. */
static void free_the_rest(struct pass *pass)
{
	struct flow_table *table = pass->table;
	uint32_t high_water = 1;

	for (uint32_t index = pass->end; --index >= 1;) {
		if (is_taken(pass, index)) {
			high_water = high_water == 1 ? index + 1 : high_water;
			continue;
		}
		clear(pass, &table->entries[index]);
		if (high_water > 1)
			flow_table_give(table, index);
	}
	atomic_store_explicit(&table->memory->header->high_water, high_water, memory_order_relaxed);
}

void flow_table_adopt(struct flow_table *table, struct flow_adoption *ret)
{
	const struct flow_header *header = table->memory->header;
	struct pass pass = {
		.table = table,
		.header = header,
		.end = header->high_water,
		.epoch = header->epoch,
		.adoption = ret,
	};

	*ret = (struct flow_adoption){};
	pass.taken = calloc(pass.end / 64 + 1, sizeof *pass.taken);
	if (!pass.taken)
		abort(); /* as GLib does: control code does not go on without memory */
	for (uint32_t index = 1; index < pass.end; index++) {
		fetch_ahead(&pass, index);
		adopt_one(&pass, index);
	}
	free_the_rest(&pass);
	free(pass.taken);
}
