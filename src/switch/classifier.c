/* Compiled security groups: see classifier.h. */
#include "switch/classifier.h"

#include "switch/address_map.h"

#include <glib.h>
#include <string.h>

/* The tags that depend on the packet; POLICY_TAG_ANY is a range of all addresses. */
#define TAGS (POLICY_TAG_VIRTUAL_NETWORK | POLICY_TAG_INTERNET | POLICY_TAG_LOAD_BALANCER)

enum which { SOURCE, DESTINATION, SIDES };

struct group_set {
	uint32_t group, set;
};

struct side {
	struct address_map addresses;
	struct rule_map ports;
	uint32_t no_ports; /* set of the rules that a packet without ports satisfies */
	uint32_t tags[TAGS + 1]; /* by the address's tags: set of the rules with one of them */
	GArray *groups; /* Owned, of struct group_set, in order of group */
};

struct rule {
	bool allow;
	char *name; /* Owned */
};

/* The rules of one direction. */
struct table {
	struct rule_sets sets;
	struct rule *rules; /* Owned */
	uint32_t protocols[256]; /* set by protocol number */
	struct side sides[SIDES];
};

struct classifier {
	struct table tables[2]; /* by enum policy_direction */
};

static const struct policy_side *side_of(const struct policy_rule *rule, enum which which)
{
	return which == SOURCE ? &rule->source : &rule->destination;
}

/* ---- compiling ---- */

/* `rules` are those of one direction, borrowed, in order of priority. */
static const struct policy_rule *rule_at(const GPtrArray *rules, unsigned i)
{
	return rules->pdata[i];
}

static void compile_addresses(
	struct rule_sets *sets, struct side *side, const GPtrArray *rules, enum which which)
{
	struct address_ranges ranges;

	address_ranges_init(&ranges);
	for (unsigned i = 0; i < rules->len; i++) {
		const struct policy_side *from = side_of(rule_at(rules, i), which);
		for (size_t p = 0; p < from->n_prefixes; p++)
			address_ranges_add(&ranges, i, from->prefixes[p]);
		if (from->tags & POLICY_TAG_ANY)
			address_ranges_add_all(&ranges, i);
	}
	address_map_init(&side->addresses, sets, &ranges);
	address_ranges_done(&ranges);
}

/* The set of the rules for which holds() is true. */
#define SET_WHERE(sets, rules, rule, holds)                                                                  \
	({                                                                                                   \
		g_autofree uint64_t *bits_ = g_new0(uint64_t, (sets)->n_words);                              \
		for (unsigned i_ = 0; i_ < (rules)->len; i_++) {                                             \
			const struct policy_rule *rule = rule_at(rules, i_);                                 \
			bits_[i_ / 64] |= (uint64_t)(holds) << i_ % 64;                                      \
		}                                                                                            \
		rule_sets_add(sets, bits_);                                                                  \
	})

static void compile_ports(struct rule_sets *sets, struct side *side, const GPtrArray *rules, enum which which)
{
	struct rule_ranges ranges;

	rule_ranges_init(&ranges, UINT16_MAX);
	for (unsigned i = 0; i < rules->len; i++) {
		const struct policy_side *from = side_of(rule_at(rules, i), which);
		for (size_t p = 0; p < from->n_ports; p++)
			rule_ranges_add(&ranges, i, from->ports[p].first, from->ports[p].last);
		if (from->n_ports == 0)
			rule_ranges_add(&ranges, i, 0, UINT16_MAX);
	}
	rule_map_init(&side->ports, sets, &ranges);
	rule_ranges_done(&ranges);
	side->no_ports = SET_WHERE(sets, rules, rule, side_of(rule, which)->n_ports == 0);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static bool names_group(const struct policy_side *side, uint32_t group)
{
	for (size_t i = 0; i < side->n_groups; i++)
		if (side->groups[i] == group)
			return true;
	return false;
}

static void compile_groups(
	struct rule_sets *sets, struct side *side, const GPtrArray *rules, enum which which)
{
	g_autoptr(GArray) named = g_array_new(false, false, sizeof(uint32_t));

	side->groups = g_array_new(false, false, sizeof(struct group_set));
	for (unsigned i = 0; i < rules->len; i++) {
		const struct policy_side *from = side_of(rule_at(rules, i), which);
		if (from->n_groups)
			g_array_append_vals(named, from->groups, (unsigned)from->n_groups);
	}
	g_array_sort(named, by_number);
	for (unsigned i = 0; i < named->len; i++) {
		uint32_t group = g_array_index(named, uint32_t, i);
		if (i && group == g_array_index(named, uint32_t, i - 1))
			continue;
		struct group_set entry = {
			group, SET_WHERE(sets, rules, rule, names_group(side_of(rule, which), group))};
		g_array_append_val(side->groups, entry);
	}
}

static void compile_side(struct rule_sets *sets, struct side *side, const GPtrArray *rules, enum which which)
{
	compile_addresses(sets, side, rules, which);
	compile_ports(sets, side, rules, which);
	compile_groups(sets, side, rules, which);
	for (unsigned tags = 0; tags <= TAGS; tags++)
		side->tags[tags] = SET_WHERE(sets, rules, rule, (side_of(rule, which)->tags & tags) != 0);
}

static void compile_protocols(struct table *table, const GPtrArray *rules)
{
	uint32_t other = SET_WHERE(&table->sets, rules, rule, rule->protocol == POLICY_ANY);
	bool done[256] = {};

	for (unsigned protocol = 0; protocol < 256; protocol++)
		table->protocols[protocol] = other;
	for (unsigned i = 0; i < rules->len; i++) {
		uint8_t named = rule_at(rules, i)->protocol;
		if (named == POLICY_ANY || done[named])
			continue;
		done[named] = true;
		table->protocols[named] = SET_WHERE(
			&table->sets, rules, rule, rule->protocol == POLICY_ANY || rule->protocol == named);
	}
}

static void compile_table(struct table *table, const GPtrArray *rules)
{
	rule_sets_init(&table->sets, rules->len);
	table->rules = g_new(struct rule, rules->len);
	for (unsigned i = 0; i < rules->len; i++)
		table->rules[i] = (struct rule){
			.allow = rule_at(rules, i)->action == POLICY_ALLOW,
			.name = g_strdup(rule_at(rules, i)->name),
		};
	compile_protocols(table, rules);
	for (enum which which = SOURCE; which < SIDES; which++)
		compile_side(&table->sets, &table->sides[which], rules, which);
}

static int by_priority(const void *a, const void *b)
{
	const struct policy_rule *const *x = a, *const *y = b;

	return (int)(*x)->priority - (int)(*y)->priority;
}

static void collect(
	GPtrArray *rules, const struct policy_rule *from, size_t n, enum policy_direction direction)
{
	for (size_t i = 0; i < n; i++)
		if (from[i].direction == direction)
			g_ptr_array_add(rules, (void *)&from[i]);
}

struct classifier *classifier_new(const struct policy_group *group)
{
	struct classifier *classifier = g_new0(struct classifier, 1);
	size_t n_defaults;
	const struct policy_rule *defaults = policy_default_rules(&n_defaults);

	for (unsigned d = 0; d < 2; d++) {
		g_autoptr(GPtrArray) rules = g_ptr_array_new();
		collect(rules, group->rules, group->n_rules, (enum policy_direction)d);
		collect(rules, defaults, n_defaults, (enum policy_direction)d);
		g_ptr_array_sort(rules, by_priority);
		compile_table(&classifier->tables[d], rules);
	}
	return classifier;
}

static void side_done(struct side *side)
{
	address_map_done(&side->addresses);
	rule_map_done(&side->ports);
	g_array_unref(side->groups);
}

static void table_done(struct table *table)
{
	for (unsigned i = 0; i < table->sets.n_rules; i++)
		g_free(table->rules[i].name);
	g_free(table->rules);
	side_done(&table->sides[SOURCE]);
	side_done(&table->sides[DESTINATION]);
	rule_sets_done(&table->sets);
}

void classifier_free(struct classifier *classifier)
{
	if (!classifier)
		return;
	for (unsigned d = 0; d < 2; d++)
		table_done(&classifier->tables[d]);
	g_free(classifier);
}

/* ---- checking ---- */

/* The sets that an address's set is the union of. */
struct address_sets {
	unsigned n;
	const uint64_t *sets[2 + CLASSIFIER_GROUPS_MAX];
};

static inline void add_group(
	struct address_sets *ret, const struct rule_sets *sets, const struct side *side, uint32_t group)
{
	unsigned low = 0, high = side->groups->len;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		const struct group_set *at = &g_array_index(side->groups, struct group_set, middle);
		if (at->group == group) {
			ret->sets[ret->n++] = rule_set(sets, at->set);
			return;
		}
		low = at->group < group ? middle + 1 : low;
		high = at->group < group ? high : middle;
	}
}

static inline void find_address(struct address_sets *ret, const struct rule_sets *sets,
	const struct side *side, struct ip_addr addr, uint8_t tags, const uint32_t *groups, unsigned n_groups)
{
	ret->n = 2;
	ret->sets[0] = rule_set(sets, address_map_find(&side->addresses, addr));
	ret->sets[1] = rule_set(sets, side->tags[tags & TAGS]);
	for (unsigned i = 0; i < n_groups && i < CLASSIFIER_GROUPS_MAX; i++)
		add_group(ret, sets, side, groups[i]);
}

static inline uint64_t address_word(const struct address_sets *address, unsigned at)
{
	uint64_t word = address->sets[0][at] | address->sets[1][at];

	for (unsigned i = 2; i < address->n; i++)
		word |= address->sets[i][at];
	return word;
}

/* A packet's five sets. */
struct match {
	const uint64_t *protocol, *ports[SIDES];
	struct address_sets address[SIDES];
};

static inline uint64_t match_word(const struct match *match, unsigned at)
{
	return match->protocol[at] & match->ports[SOURCE][at] & match->ports[DESTINATION][at] &
	       address_word(&match->address[SOURCE], at) & address_word(&match->address[DESTINATION], at);
}

/* The first rule that is in all sets. */
static inline unsigned first_rule(const struct rule_sets *sets, const struct match *match)
{
	for (unsigned s = 0; s < sets->n_summary; s++) {
		for (uint64_t some = match_word(match, s); some; some &= some - 1) {
			unsigned word = s * 64 + (unsigned)__builtin_ctzll(some);
			uint64_t rules = match_word(match, sets->n_summary + word);
			if (rules)
				return word * 64 + (unsigned)__builtin_ctzll(rules);
		}
	}
	g_assert_not_reached(); /* DenyAllInBound and DenyAllOutBound match everything */
}

struct classifier_verdict classifier_check(const struct classifier *classifier,
	enum policy_direction direction, const struct classifier_packet *packet)
{
	const struct table *table = &classifier->tables[direction];
	const struct rule_sets *sets = &table->sets;
	const uint16_t ports[SIDES] = {packet->source_port, packet->destination_port};
	struct match match = {.protocol = rule_set(sets, table->protocols[packet->protocol])};

	find_address(&match.address[SOURCE], sets, &table->sides[SOURCE], packet->source, packet->source_tags,
		packet->source_groups, packet->n_source_groups);
	find_address(&match.address[DESTINATION], sets, &table->sides[DESTINATION], packet->destination,
		packet->destination_tags, packet->destination_groups, packet->n_destination_groups);
	for (enum which which = SOURCE; which < SIDES; which++) {
		const struct side *side = &table->sides[which];
		match.ports[which] = rule_set(sets,
			packet->has_ports ? rule_map_narrow(&side->ports, ports[which]) : side->no_ports);
	}
	const struct rule *rule = &table->rules[first_rule(sets, &match)];
	return (struct classifier_verdict){.allow = rule->allow, .rule = rule->name};
}
