/* Decoding of the networks' application groups: see state.c. */
#include "base/fault.h"
#include "switch/membership.h"
#include "switch/state_priv.h"

#define APPLICATION_GROUPS_MAX 4096 /* of one network */
#define MEMBERS_MAX            65536 /* of one group */

static bool decode_number(struct decode *d, json_t *value, void *to)
{
	int64_t number;

	if (!decode_whole(d, value, 0, UINT32_MAX, &number))
		return false;
	*(uint32_t *)to = (uint32_t)number;
	return true;
}

static bool decode_members(struct decode *d, json_t *value, void *to)
{
	struct policy_members *members = to;
	unsigned n = 0;

	members->prefixes = decode_list(d, value, sizeof *members->prefixes, MEMBERS_MAX, decode_prefix, &n);
	members->n_prefixes = n;
	return !d->error;
}

static const struct decode_member application_group_members[] = {
	{"number", decode_number, offsetof(struct policy_members, group)},
	{"name", decode_text, offsetof(struct policy_members, name)},
	{"members", decode_members, 0},
	{},
};

static bool decode_application_group(struct decode *d, json_t *value, void *to)
{
	return decode_object(d, value, application_group_members, to);
}

static bool check_numbers(struct decode *d, const struct policy_members *groups, unsigned n)
{
	g_autoptr(GHashTable) numbers = g_hash_table_new(NULL, NULL);

	for (unsigned i = 0; i < n; i++)
		if (!g_hash_table_add(numbers, GUINT_TO_POINTER(groups[i].group)))
			return decode_fail(d, "two application groups have the number %u", groups[i].group);
	return true;
}

bool decode_application_groups(struct decode *d, json_t *value, void *to)
{
	struct network *network = to;

	network->application_groups = decode_list(d, value, sizeof *network->application_groups,
		APPLICATION_GROUPS_MAX, decode_application_group, &network->n_application_groups);
	return !d->error && check_numbers(d, network->application_groups, network->n_application_groups);
}

bool make_memberships(struct decode *d, struct network *network)
{
	const struct policy_space space = {
		.n_prefixes = network->n_prefixes,
		.prefixes = network->prefixes,
		.n_members = network->n_application_groups,
		.members = network->application_groups,
	};
	g_autoptr(GError) error = NULL;
	struct membership_map *map = membership_map_new(&space, &error);

	if (!map)
		return decode_fail_at(d, "application_groups", "%s", error->message);
	g_ptr_array_add(d->snapshot->memberships, map);
	network->memberships = map;
	return true;
}
