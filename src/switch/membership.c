/* Tags and application groups of addresses: see membership.h. */
#include "switch/membership.h"

#include "base/fault.h"
#include "switch/address_map.h"
#include "switch/classifier.h"

#include <assert.h>

/* What is a rule to rule_sets.h. */
enum { IS_VIRTUAL_NETWORK, IS_LOAD_BALANCER, FIRST_GROUP };

/* What one set of them amounts to. */
struct kind {
	uint8_t tags;
	uint8_t n_groups;
	uint32_t first; /* of its groups, in map->numbers */
};
static_assert(CLASSIFIER_GROUPS_MAX <= UINT8_MAX, "n_groups holds it");

struct membership_map {
	struct address_map addresses; /* to numbers of kinds */
	struct kind *kinds; /* Owned */
	GArray *numbers; /* Owned, of uint32_t: the groups of all kinds */
};

/* ---- making ---- */

static int by_number(const void *a, const void *b)
{
	const struct policy_members *const *x = a, *const *y = b;

	return ((*x)->group > (*y)->group) - ((*x)->group < (*y)->group);
}

/* The groups in order of number, Borrowed. */
static GPtrArray *sort_groups(const struct policy_space *space)
{
	GPtrArray *sorted = g_ptr_array_new();

	for (size_t i = 0; i < space->n_members; i++)
		g_ptr_array_add(sorted, (void *)&space->members[i]);
	g_ptr_array_sort(sorted, by_number);
	return sorted;
}

static void map_addresses(struct address_map *map, struct rule_sets *sets, const struct policy_space *space,
	const GPtrArray *groups)
{
	struct address_ranges ranges;

	address_ranges_init(&ranges);
	for (size_t i = 0; i < space->n_prefixes; i++)
		address_ranges_add(&ranges, IS_VIRTUAL_NETWORK, space->prefixes[i]);
	address_ranges_add(&ranges, IS_VIRTUAL_NETWORK, policy_platform_prefix());
	address_ranges_add(&ranges, IS_LOAD_BALANCER, policy_platform_prefix());
	for (unsigned g = 0; g < groups->len; g++) {
		const struct policy_members *members = groups->pdata[g];
		for (size_t i = 0; i < members->n_prefixes; i++)
			address_ranges_add(&ranges, FIRST_GROUP + g, members->prefixes[i]);
	}
	address_map_init(map, sets, &ranges);
	address_ranges_done(&ranges);
}

static bool holds(const struct rule_sets *sets, uint32_t set, unsigned rule)
{
	return rule_set(sets, set)[sets->n_summary + rule / 64] >> rule % 64 & 1;
}

static uint8_t spell_tags(const struct rule_sets *sets, uint32_t set)
{
	uint8_t tags = holds(sets, set, IS_LOAD_BALANCER) ? POLICY_TAG_LOAD_BALANCER : 0;

	return tags |
	       (holds(sets, set, IS_VIRTUAL_NETWORK) ? POLICY_TAG_VIRTUAL_NETWORK : POLICY_TAG_INTERNET);
}

/* An address of each kind, for the fault. */
static struct ip_addr example_of(const struct address_map *map, uint32_t set)
{
	struct ip_addr addr = {.family = IP_V4};

	for (unsigned i = 0; i < map->v4.n; i++) {
		if (map->v4.sets[i] == set) {
			store32(addr.bytes, map->v4.starts.narrow[i]);
			return addr;
		}
	}
	addr.family = IP_V6;
	for (unsigned i = 0; i < map->v6.n; i++)
		if (map->v6.sets[i] == set)
			for (unsigned byte = 0; byte < 16; byte++)
				addr.bytes[byte] = (uint8_t)(map->v6.starts.wide[i] >> (120 - 8 * byte));
	return addr;
}

static bool fail_too_many(const struct address_map *map, uint32_t set, GError **error)
{
	char text[IP_TEXT_MAX];

	return fault_set(error, FAULT_INVALID,
		"%s is in more than %d application groups; take its NIC out of some of them",
		ip_format(example_of(map, set), text), CLASSIFIER_GROUPS_MAX);
}

/* The first rule of the set after `rule`, or UINT_MAX. */
static unsigned next_rule(const struct rule_sets *sets, uint32_t set, unsigned rule)
{
	const uint64_t *words = rule_set(sets, set) + sets->n_summary;

	for (unsigned at = rule + 1; at < sets->n_rules; at = (at / 64 + 1) * 64) {
		uint64_t rest = words[at / 64] >> at % 64;
		if (rest)
			return at + (unsigned)__builtin_ctzll(rest);
	}
	return UINT_MAX;
}

static bool spell_kind(struct membership_map *map, const struct rule_sets *sets, uint32_t set,
	const GPtrArray *groups, GError **error)
{
	struct kind *kind = &map->kinds[set];
	unsigned rule = FIRST_GROUP - 1;

	*kind = (struct kind){.tags = spell_tags(sets, set), .first = map->numbers->len};
	while ((rule = next_rule(sets, set, rule)) != UINT_MAX) {
		const struct policy_members *members = groups->pdata[rule - FIRST_GROUP];
		if (kind->n_groups++ == CLASSIFIER_GROUPS_MAX)
			return fail_too_many(&map->addresses, set, error);
		g_array_append_val(map->numbers, members->group);
	}
	return true;
}

struct membership_map *membership_map_new(const struct policy_space *space, GError **error)
{
	_cleanup_(membership_map_free) struct membership_map *map = g_new0(struct membership_map, 1);
	g_autoptr(GPtrArray) groups = sort_groups(space);
	struct rule_sets sets;
	bool ok = true;

	rule_sets_init(&sets, FIRST_GROUP + groups->len);
	map_addresses(&map->addresses, &sets, space, groups);
	unsigned n_sets = sets.words->len / sets.stride;
	map->kinds = g_new(struct kind, n_sets);
	map->numbers = g_array_sized_new(false, false, sizeof(uint32_t), n_sets);
	for (unsigned i = 0; ok && i < n_sets; i++)
		ok = spell_kind(map, &sets, i, groups, error);
	rule_sets_done(&sets);
	return ok ? g_steal_pointer(&map) : NULL;
}

void membership_map_free(struct membership_map *map)
{
	if (!map)
		return;
	address_map_done(&map->addresses);
	g_free(map->kinds);
	if (map->numbers)
		g_array_unref(map->numbers);
	g_free(map);
}

/* ---- asking ---- */

struct membership membership_find(const struct membership_map *map, struct ip_addr addr)
{
	const struct kind *kind = &map->kinds[address_map_find(&map->addresses, addr)];

	return (struct membership){
		.tags = kind->tags,
		.n_groups = kind->n_groups,
		.groups = &g_array_index(map->numbers, uint32_t, kind->first),
	};
}
