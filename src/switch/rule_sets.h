/* Sets of rules, and maps from a packet's field to the set of rules that the field satisfies.
 *
 * A set is a row of bits, one a rule in order of priority, after a summary with one bit for each 64 of them: set where
 * one of the 64 is. So sets are cut by walking the few words of their summaries, and only where all agree, the rules'.
 *
 * A field is a number: an address, a port. Rules cut its range into intervals, in each of which the same rules
 * hold. The map is the intervals' starts, in order, beside the number of a set each; intervals of the same
 * rules share it.
 *
 * Bounds: n ranges make at most 2n + 1 intervals, so a map of n ranges over r rules takes at most (2n + 1) · r
 * / 8 bytes of sets and is made in that order of time, whatever the rules are. That is why it was taken rather
 * than a trie of all fields (rte_acl, HiCuts), where rules that an adversary chooses multiply.
 *
 * Source: Lakshman and Stiliadis, SIGCOMM 1998; the summary is Baboescu and Varghese's, SIGCOMM 2001.
 *
 * Threads: immutable once made.
 */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- sets ---- */

struct rule_sets {
	unsigned n_rules, n_words, n_summary;
	unsigned stride; /* words of a set: n_summary, then n_words */
	GArray *words; /* Owned, of uint64_t: all sets */
	GHashTable *known; /* Owned: hash of a set's words → its number */
};

void rule_sets_init(struct rule_sets *sets, unsigned n_rules);
void rule_sets_done(struct rule_sets *sets);

/* The number of the set with these bits (n_words words); a new one unless it is there. */
uint32_t rule_sets_add(struct rule_sets *sets, const uint64_t *bits);

/* Borrowed until the next rule_sets_add. */
static inline const uint64_t *rule_set(const struct rule_sets *sets, uint32_t number)
{
	return (const uint64_t *)(const void *)sets->words->data + (size_t)number * sets->stride;
}

/* ---- maps ---- */

/* Wide enough for an IPv6 address. */
typedef unsigned __int128 field_value;

struct rule_map {
	unsigned n; /* intervals, at least one; the first starts at 0 */
	bool is_wide;
	union {
		uint32_t *narrow; /* Owned */
		field_value *wide; /* Owned */
	} starts;
	uint32_t *sets; /* Owned */
};

/* What a map is made of: ranges, each of one rule. Any may overlap. */
struct rule_ranges {
	GArray *edges; /* Owned */
	field_value last; /* the field's highest value */
};

void rule_ranges_init(struct rule_ranges *ranges, field_value last);
void rule_ranges_done(struct rule_ranges *ranges);
/* first ≤ last ≤ the field's last. */
void rule_ranges_add(struct rule_ranges *ranges, unsigned rule, field_value first, field_value last);

/* Narrow where the field's last fits in 32 bits. */
void rule_map_init(struct rule_map *map, struct rule_sets *sets, struct rule_ranges *ranges);
void rule_map_done(struct rule_map *map);

/* The number of the set of rules that the value satisfies. */
static inline uint32_t rule_map_narrow(const struct rule_map *map, uint32_t value)
{
	const uint32_t *at = map->starts.narrow;

	for (unsigned n = map->n; n > 1; n -= n / 2)
		at += at[n / 2] <= value ? n / 2 : 0;
	return map->sets[at - map->starts.narrow];
}

static inline uint32_t rule_map_wide(const struct rule_map *map, field_value value)
{
	const field_value *at = map->starts.wide;

	for (unsigned n = map->n; n > 1; n -= n / 2)
		at += at[n / 2] <= value ? n / 2 : 0;
	return map->sets[at - map->starts.wide];
}
