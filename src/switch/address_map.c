/* Maps from addresses to sets of rules: see address_map.h. */
#include "switch/address_map.h"

void address_ranges_init(struct address_ranges *ranges)
{
	rule_ranges_init(&ranges->v4, UINT32_MAX);
	rule_ranges_init(&ranges->v6, ~(field_value)0);
}

void address_ranges_done(struct address_ranges *ranges)
{
	rule_ranges_done(&ranges->v4);
	rule_ranges_done(&ranges->v6);
}

void address_ranges_add(struct address_ranges *ranges, unsigned rule, struct ip_prefix prefix)
{
	bool v4 = prefix.addr.family == IP_V4;
	struct rule_ranges *of_family = v4 ? &ranges->v4 : &ranges->v6;
	field_value first = v4 ? load32(prefix.addr.bytes) : address_wide(prefix.addr);
	field_value rest = of_family->last;

	/* No shift by the whole width: prefix.length may be 0. */
	if (prefix.length)
		rest = ((field_value)1 << ((v4 ? 32 : 128) - prefix.length)) - 1;
	rule_ranges_add(of_family, rule, first & ~rest, first | rest);
}

void address_ranges_add_all(struct address_ranges *ranges, unsigned rule)
{
	rule_ranges_add(&ranges->v4, rule, 0, ranges->v4.last);
	rule_ranges_add(&ranges->v6, rule, 0, ranges->v6.last);
}

void address_map_init(struct address_map *map, struct rule_sets *sets, struct address_ranges *ranges)
{
	rule_map_init(&map->v4, sets, &ranges->v4);
	rule_map_init(&map->v6, sets, &ranges->v6);
}

void address_map_done(struct address_map *map)
{
	rule_map_done(&map->v4);
	rule_map_done(&map->v6);
}
