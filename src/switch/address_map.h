/* Maps from addresses, of either family, to sets of rules: a rule_map each (rule_sets.h). */
#pragma once
#include "base/ip.h"
#include "switch/rule_sets.h"
#include "switch/wire.h"

struct address_map {
	struct rule_map v4, v6;
};

/* What a map is made of: prefixes, each of one rule. Any may overlap. */
struct address_ranges {
	struct rule_ranges v4, v6;
};

void address_ranges_init(struct address_ranges *ranges);
void address_ranges_done(struct address_ranges *ranges);
void address_ranges_add(struct address_ranges *ranges, unsigned rule, struct ip_prefix prefix);
/* Every address of either family. */
void address_ranges_add_all(struct address_ranges *ranges, unsigned rule);

void address_map_init(struct address_map *map, struct rule_sets *sets, struct address_ranges *ranges);
void address_map_done(struct address_map *map);

static inline field_value address_wide(struct ip_addr addr)
{
	field_value value = 0;

	for (unsigned i = 0; i < 16; i += 4)
		value = value << 32 | load32(addr.bytes + i);
	return value;
}

/* The number of the set of rules that hold at the address. */
static inline uint32_t address_map_find(const struct address_map *map, struct ip_addr addr)
{
	return addr.family == IP_V4 ? rule_map_narrow(&map->v4, load32(addr.bytes))
				    : rule_map_wide(&map->v6, address_wide(addr));
}
