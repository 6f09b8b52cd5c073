/* Sets of rules and maps to them: see rule_sets.h. */
#include "switch/rule_sets.h"

#include <string.h>

/* ---- sets ---- */

void rule_sets_init(struct rule_sets *sets, unsigned n_rules)
{
	unsigned n_words = (n_rules + 63) / 64, n_summary = (n_words + 63) / 64;

	*sets = (struct rule_sets){
		.n_rules = n_rules,
		.n_words = n_words,
		.n_summary = n_summary,
		.stride = n_summary + n_words,
		.words = g_array_new(false, true, sizeof(uint64_t)),
		.known = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL),
	};
}

void rule_sets_done(struct rule_sets *sets)
{
	if (sets->words)
		g_array_unref(sets->words);
	g_clear_pointer(&sets->known, g_hash_table_unref);
}

static gint64 hash_of(const uint64_t *words, unsigned n)
{
	uint64_t h = n;

	for (unsigned i = 0; i < n; i++) {
		h = (h ^ words[i]) * 0x9e3779b97f4a7c15u;
		h ^= h >> 32;
	}
	return (gint64)h;
}

static uint32_t append(struct rule_sets *sets, const uint64_t *bits)
{
	uint32_t number = sets->words->len / sets->stride;

	g_array_set_size(sets->words, sets->words->len + sets->stride);
	uint64_t *set = (uint64_t *)(void *)sets->words->data + (size_t)number * sets->stride;
	for (unsigned i = 0; i < sets->n_words; i++)
		if (bits[i])
			set[i / 64] |= UINT64_C(1) << i % 64;
	memcpy(set + sets->n_summary, bits, sets->n_words * sizeof *bits);
	return number;
}

uint32_t rule_sets_add(struct rule_sets *sets, const uint64_t *bits)
{
	gint64 hash = hash_of(bits, sets->n_words);
	gpointer found;

	if (!g_hash_table_lookup_extended(sets->known, &hash, NULL, &found)) {
		uint32_t number = append(sets, bits);
		g_hash_table_insert(sets->known, g_memdup2(&hash, sizeof hash), GUINT_TO_POINTER(number));
		return number;
	}
	const uint64_t *known = rule_set(sets, GPOINTER_TO_UINT(found)) + sets->n_summary;
	/* Two sets of one hash: the second is not shared, that is all. */
	return memcmp(known, bits, sets->n_words * sizeof *bits) == 0 ? GPOINTER_TO_UINT(found)
								      : append(sets, bits);
}

/* ---- maps ---- */

/* Where a range begins, or the first value beyond it. */
struct edge {
	field_value at;
	uint32_t rule;
	int32_t step; /* 1 or -1 */
};

void rule_ranges_init(struct rule_ranges *ranges, field_value last)
{
	*ranges = (struct rule_ranges){.edges = g_array_new(false, false, sizeof(struct edge)), .last = last};
}

void rule_ranges_done(struct rule_ranges *ranges)
{
	if (ranges->edges)
		g_array_unref(ranges->edges);
}

void rule_ranges_add(struct rule_ranges *ranges, unsigned rule, field_value first, field_value last)
{
	const struct edge edges[] = {{first, rule, 1}, {last + 1, rule, -1}};

	g_array_append_vals(ranges->edges, edges, last == ranges->last ? 1 : 2);
}

static int by_place(const void *a, const void *b)
{
	field_value x = ((const struct edge *)a)->at, y = ((const struct edge *)b)->at;

	return (x > y) - (x < y);
}

/* The rules that hold as the sweep goes from edge to edge; a rule may have several ranges over one another. */
struct sweep {
	uint64_t *bits; /* Owned */
	uint32_t *ranges; /* Owned: open ones, by rule */
};

static void sweep_pass(struct sweep *sweep, const struct edge *edge)
{
	uint64_t bit = UINT64_C(1) << edge->rule % 64, *word = &sweep->bits[edge->rule / 64];

	sweep->ranges[edge->rule] += (uint32_t)edge->step;
	*word = sweep->ranges[edge->rule] ? *word | bit : *word & ~bit;
}

static void append_interval(struct rule_map *map, field_value start, uint32_t set)
{
	if (map->n && map->sets[map->n - 1] == set)
		return; /* the same rules as before: no new interval */
	if (map->is_wide)
		map->starts.wide[map->n] = start;
	else
		map->starts.narrow[map->n] = (uint32_t)start;
	map->sets[map->n++] = set;
}

void rule_map_init(struct rule_map *map, struct rule_sets *sets, struct rule_ranges *ranges)
{
	const struct edge *edges = (const struct edge *)(const void *)ranges->edges->data;
	unsigned n = ranges->edges->len, i = 0, most = n + 1;
	struct sweep sweep = {g_new0(uint64_t, sets->n_words), g_new0(uint32_t, sets->n_rules)};

	*map = (struct rule_map){.is_wide = ranges->last > UINT32_MAX, .sets = g_new(uint32_t, most)};
	if (map->is_wide)
		map->starts.wide = g_new(field_value, most);
	else
		map->starts.narrow = g_new(uint32_t, most);
	g_array_sort(ranges->edges, by_place);
	for (field_value at = 0;;) {
		for (; i < n && edges[i].at == at; i++)
			sweep_pass(&sweep, &edges[i]);
		append_interval(map, at, rule_sets_add(sets, sweep.bits));
		if (i == n)
			break;
		at = edges[i].at;
	}
	g_free(sweep.bits);
	g_free(sweep.ranges);
}

void rule_map_done(struct rule_map *map)
{
	if (map->is_wide)
		g_free(map->starts.wide);
	else
		g_free(map->starts.narrow);
	g_free(map->sets);
}
