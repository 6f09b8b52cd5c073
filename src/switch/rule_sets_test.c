/* Maps from fields to sets of rules, against a walk over the ranges that they are made of. */
#include "switch/rule_sets.h"

#include <string.h>

#define RULES  300
#define RANGES 900

struct range {
	unsigned rule;
	field_value first, last;
};

static bool set_has(const struct rule_sets *sets, uint32_t number, unsigned rule)
{
	const uint64_t *bits = rule_set(sets, number) + sets->n_summary;

	return bits[rule / 64] >> rule % 64 & 1;
}

static field_value random_value(field_value last)
{
	field_value value = 0;

	for (unsigned i = 0; i < 4; i++)
		value = value << 32 | (uint32_t)g_test_rand_int();
	/* Small ones, so that ranges meet; and the ends. */
	switch (g_test_rand_int_range(0, 8)) {
	case 0: return 0;
	case 1: return last;
	case 2: return last - (value & 0xff);
	case 3: return value & last;
	default: return value & 0x3ff & last;
	}
}

static void check_value(const struct rule_sets *sets, const struct rule_map *map, const struct range *ranges,
	field_value value)
{
	bool expected[RULES] = {};
	uint32_t set = map->is_wide ? rule_map_wide(map, value) : rule_map_narrow(map, (uint32_t)value);

	for (unsigned i = 0; i < RANGES; i++)
		expected[ranges[i].rule] |= ranges[i].first <= value && value <= ranges[i].last;
	for (unsigned rule = 0; rule < RULES; rule++)
		g_assert_cmpint(set_has(sets, set, rule), ==, expected[rule]);
}

static void check_map(field_value last)
{
	struct range ranges[RANGES];
	struct rule_sets sets;
	struct rule_ranges builder;
	struct rule_map map;

	rule_sets_init(&sets, RULES);
	rule_ranges_init(&builder, last);
	for (unsigned i = 0; i < RANGES; i++) {
		field_value a = random_value(last), b = random_value(last);
		ranges[i] = (struct range){(unsigned)g_test_rand_int_range(0, RULES), MIN(a, b), MAX(a, b)};
		rule_ranges_add(&builder, ranges[i].rule, ranges[i].first, ranges[i].last);
	}
	rule_map_init(&map, &sets, &builder);
	g_assert_cmpint(map.is_wide, ==, last > UINT32_MAX);
	for (unsigned i = 0; i < RANGES; i++) {
		check_value(&sets, &map, ranges, ranges[i].first);
		check_value(&sets, &map, ranges, ranges[i].last);
		if (ranges[i].first > 0)
			check_value(&sets, &map, ranges, ranges[i].first - 1);
		if (ranges[i].last < last)
			check_value(&sets, &map, ranges, ranges[i].last + 1);
	}
	rule_map_done(&map);
	rule_ranges_done(&builder);
	rule_sets_done(&sets);
}

static void test_ports(void)
{
	check_map(UINT16_MAX);
}

static void test_v4(void)
{
	check_map(UINT32_MAX);
}

static void test_v6(void)
{
	check_map(~(field_value)0);
}

static void test_shared(void)
{
	struct rule_sets sets;
	uint64_t bits[RULES / 64 + 1] = {1};

	rule_sets_init(&sets, RULES);
	uint32_t one = rule_sets_add(&sets, bits);
	bits[3] = 5;
	uint32_t two = rule_sets_add(&sets, bits);
	g_assert_cmpuint(one, !=, two);
	g_assert_cmpuint(rule_sets_add(&sets, bits), ==, two);
	bits[3] = 0;
	g_assert_cmpuint(rule_sets_add(&sets, bits), ==, one);
	g_assert_cmphex(rule_set(&sets, two)[0], ==, 1 | 1 << 3);
	rule_sets_done(&sets);
}

static void test_empty(void)
{
	struct rule_sets sets;
	struct rule_ranges builder;
	struct rule_map map;

	rule_sets_init(&sets, 1);
	rule_ranges_init(&builder, UINT16_MAX);
	rule_map_init(&map, &sets, &builder);
	g_assert_cmpuint(map.n, ==, 1);
	g_assert_false(set_has(&sets, rule_map_narrow(&map, 0), 0));
	g_assert_false(set_has(&sets, rule_map_narrow(&map, UINT16_MAX), 0));
	rule_map_done(&map);
	rule_ranges_done(&builder);
	rule_sets_done(&sets);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/rule_sets/a port's set is that of a walk over all ranges", test_ports);
	g_test_add_func("/rule_sets/an IPv4 address's set is that of a walk over all ranges", test_v4);
	g_test_add_func("/rule_sets/an IPv6 address's set is that of a walk over all ranges", test_v6);
	g_test_add_func(
		"/rule_sets/equal sets are one, and a summary tells which words have bits", test_shared);
	g_test_add_func("/rule_sets/a map of no ranges satisfies nothing anywhere", test_empty);
	return g_test_run();
}
