/* Policy out of a switch's state: see policy_state.h. */
#include "policy/policy_state.h"

#include "base/fault.h"
#include "policy/policy_json.h"

struct network {
	const char *uid; /* Borrowed from the JSON */
	const json_t *subnets; /* Borrowed */
	struct policy_space space; /* Owned */
};

struct policy_state {
	json_t *json; /* Ref */
	GPtrArray *groups; /* of struct policy_rules, Owned */
	GPtrArray *networks; /* of struct network, Owned */
	GPtrArray *nics; /* of struct policy_state_nic, Owned */
};

/* ---- parts ---- */

static bool text_decode(const json_t *object, const char *member, const char **ret, GError **error)
{
	const char *text = json_string_value(json_object_get(object, member));

	if (!text || !*text)
		return fault_set(error, FAULT_INVALID, ".%s: must be text", member);
	*ret = text;
	return true;
}

/* Text or null. */
static bool optional_decode(const json_t *object, const char *member, const char **ret, GError **error)
{
	const json_t *value = json_object_get(object, member);

	if (value && !json_is_null(value))
		return text_decode(object, member, ret, error);
	*ret = NULL;
	return true;
}

/* Prefixes in the array object[member]; *ret is Owned by the caller. */
static bool prefixes_decode(
	const json_t *object, const char *member, struct ip_prefix **ret, size_t *ret_n, GError **error)
{
	const json_t *array = json_object_get(object, member);
	size_t n = json_array_size(array);

	if (!json_is_array(array))
		return fault_set(error, FAULT_INVALID, ".%s: must be an array", member);
	g_autofree struct ip_prefix *prefixes = g_new0(struct ip_prefix, n);
	for (size_t i = 0; i < n; i++)
		if (prefix_parse(json_string_value(json_array_get(array, i)), &prefixes[i]) < 0)
			return fault_set(error, FAULT_INVALID,
				".%s[%zu]: must be a prefix like \"10.0.0.0/16\"", member, i);
	*ret = g_steal_pointer(&prefixes);
	*ret_n = n;
	return true;
}

/* Decodes one element of an array into `state`. */
typedef bool (*element_decode)(struct policy_state *state, const json_t *element, GError **error);

static bool array_decode(
	struct policy_state *state, const char *member, element_decode decode, GError **error)
{
	const json_t *array = json_object_get(state->json, member);

	if (!json_is_array(array))
		return fault_set(error, FAULT_INVALID, "%s: must be an array", member);
	for (size_t i = 0; i < json_array_size(array); i++) {
		if (!decode(state, json_array_get(array, i), error)) {
			g_prefix_error(error, "%s[%zu]", member, i);
			return false;
		}
	}
	return true;
}

/* ---- groups ---- */

static bool group_decode(struct policy_state *state, const json_t *object, GError **error)
{
	const char *uid = NULL, *name = NULL;

	if (!text_decode(object, "uid", &uid, error) || !text_decode(object, "name", &name, error))
		return false;
	struct policy_rules *rules = policy_rules_decode(name, json_object_get(object, "rules"), error);
	if (!rules) {
		g_prefix_error(error, ".");
		return false;
	}
	rules->group.uid = uid;
	g_ptr_array_add(state->groups, rules);
	return true;
}

/* The group that object["group"] names; NULL for none. */
static bool group_find(const struct policy_state *state, const json_t *object,
	const struct policy_group **ret, GError **error)
{
	const char *uid = NULL;

	*ret = NULL;
	if (!optional_decode(object, "group", &uid, error))
		return false;
	for (guint i = 0; uid && i < state->groups->len; i++) {
		const struct policy_rules *rules = state->groups->pdata[i];
		if (g_str_equal(rules->group.uid, uid))
			*ret = &rules->group;
	}
	return !uid || *ret || fault_set(error, FAULT_INVALID, ".group: no group has the uid %s", uid);
}

/* ---- networks ---- */

static bool members_decode(const json_t *object, struct policy_members *members, GError **error)
{
	const json_t *number = json_object_get(object, "number");
	json_int_t value = json_integer_value(number);
	struct ip_prefix *prefixes = NULL;

	if (!json_is_integer(number) || value < 0 || value > UINT32_MAX)
		return fault_set(
			error, FAULT_INVALID, ".number: must be a whole number from 0 to %u", UINT32_MAX);
	members->group = (uint32_t)value;
	bool ok = text_decode(object, "name", &members->name, error) &&
		  prefixes_decode(object, "members", &prefixes, &members->n_prefixes, error);
	members->prefixes = prefixes;
	return ok;
}

static bool application_groups_decode(const json_t *object, struct policy_space *space, GError **error)
{
	const json_t *array = json_object_get(object, "application_groups");
	size_t n = json_array_size(array);

	if (array && !json_is_array(array))
		return fault_set(error, FAULT_INVALID, ".application_groups: must be an array");
	struct policy_members *members = g_new0(struct policy_members, n);
	space->members = members;
	space->n_members = n;
	for (size_t i = 0; i < n; i++) {
		if (!members_decode(json_array_get(array, i), &members[i], error)) {
			g_prefix_error(error, ".application_groups[%zu]", i);
			return false;
		}
	}
	return true;
}

static void network_free(void *data)
{
	struct network *network = data;

	for (size_t i = 0; i < network->space.n_members; i++)
		g_free((void *)network->space.members[i].prefixes);
	g_free((void *)network->space.members);
	g_free((void *)network->space.prefixes);
	g_free(network);
}

static bool network_decode(struct policy_state *state, const json_t *object, GError **error)
{
	struct network *network = g_new0(struct network, 1);
	struct ip_prefix *prefixes = NULL;

	g_ptr_array_add(state->networks, network);
	network->subnets = json_object_get(object, "subnets");
	if (!text_decode(object, "uid", &network->uid, error) ||
		!prefixes_decode(object, "prefixes", &prefixes, &network->space.n_prefixes, error))
		return false;
	network->space.prefixes = prefixes;
	return application_groups_decode(object, &network->space, error);
}

static const struct network *network_find(const struct policy_state *state, const char *uid, GError **error)
{
	for (guint i = 0; i < state->networks->len; i++) {
		const struct network *network = state->networks->pdata[i];
		if (g_str_equal(network->uid, uid))
			return network;
	}
	fault_set(error, FAULT_INVALID, ".network: no network has the uid %s", uid);
	return NULL;
}

static const json_t *subnet_find(const struct network *network, const char *uid, GError **error)
{
	for (size_t i = 0; i < json_array_size(network->subnets); i++) {
		const json_t *subnet = json_array_get(network->subnets, i);
		if (g_strcmp0(json_string_value(json_object_get(subnet, "uid")), uid) == 0)
			return subnet;
	}
	fault_set(error, FAULT_INVALID, ".subnet: the NIC's network has no subnet of the uid %s", uid);
	return NULL;
}

/* ---- NICs ---- */

static bool address_decode(const json_t *object, struct policy_state_address *address, GError **error)
{
	const char *ip = NULL, *public_ip = NULL;

	if (!text_decode(object, "ip", &ip, error) || !optional_decode(object, "public", &public_ip, error))
		return false;
	address->standard = json_is_true(json_object_get(object, "standard"));
	if (ip_parse(ip, &address->ip) < 0)
		return fault_set(error, FAULT_INVALID, ".ip: must be an IP address");
	if (public_ip && ip_parse(public_ip, &address->public_ip) < 0)
		return fault_set(error, FAULT_INVALID, ".public: must be an IP address");
	return true;
}

static bool addresses_decode(const json_t *object, struct policy_state_nic *nic, GError **error)
{
	const json_t *array = json_object_get(object, "addresses");
	size_t n = json_array_size(array);

	if (!json_is_array(array))
		return fault_set(error, FAULT_INVALID, ".addresses: must be an array");
	struct policy_state_address *addresses = g_new0(struct policy_state_address, n);
	nic->addresses = addresses;
	nic->n_addresses = (unsigned)n;
	for (size_t i = 0; i < n; i++) {
		if (!address_decode(json_array_get(array, i), &addresses[i], error)) {
			g_prefix_error(error, ".addresses[%zu]", i);
			return false;
		}
	}
	return true;
}

static bool nic_decode(struct policy_state *state, const json_t *object, GError **error)
{
	struct policy_state_nic *nic = g_new0(struct policy_state_nic, 1);
	const char *network_uid = NULL, *subnet_uid = NULL;

	g_ptr_array_add(state->nics, nic);
	if (!text_decode(object, "uid", &nic->uid, error) ||
		!text_decode(object, "name", &nic->name, error) ||
		!text_decode(object, "network", &network_uid, error) ||
		!text_decode(object, "subnet", &subnet_uid, error))
		return false;
	const struct network *network = network_find(state, network_uid, error);
	const json_t *subnet = network ? subnet_find(network, subnet_uid, error) : NULL;
	if (!subnet)
		return false;
	nic->policy.space = network->space;
	return group_find(state, subnet, &nic->policy.subnet_group, error) &&
	       group_find(state, object, &nic->policy.nic_group, error) &&
	       addresses_decode(object, nic, error);
}

static void nic_free(void *data)
{
	struct policy_state_nic *nic = data;

	g_free((void *)nic->addresses);
	g_free(nic);
}

/* ---- the whole ---- */

struct policy_state *policy_state_decode(json_t *json, GError **error)
{
	_cleanup_(policy_state_free) struct policy_state *state = g_new0(struct policy_state, 1);

	state->json = json_incref(json);
	state->groups = g_ptr_array_new_with_free_func((GDestroyNotify)policy_rules_free);
	state->networks = g_ptr_array_new_with_free_func(network_free);
	state->nics = g_ptr_array_new_with_free_func(nic_free);
	if (!array_decode(state, "groups", group_decode, error) ||
		!array_decode(state, "networks", network_decode, error) ||
		!array_decode(state, "nics", nic_decode, error))
		return NULL;
	return g_steal_pointer(&state);
}

void policy_state_free(struct policy_state *state)
{
	if (!state)
		return;
	g_ptr_array_unref(state->nics);
	g_ptr_array_unref(state->networks);
	g_ptr_array_unref(state->groups);
	json_decref(state->json);
	g_free(state);
}

unsigned policy_state_length(const struct policy_state *state)
{
	return state->nics->len;
}

const struct policy_state_nic *policy_state_get(const struct policy_state *state, unsigned i)
{
	return state->nics->pdata[i];
}

const struct policy_state_nic *policy_state_find(
	const struct policy_state *state, const char *name, GError **error)
{
	const struct policy_state_nic *found = NULL;

	for (guint i = 0; i < state->nics->len; i++) {
		const struct policy_state_nic *nic = state->nics->pdata[i];
		if (g_str_equal(nic->uid, name))
			return nic;
	}
	for (guint i = 0; i < state->nics->len; i++) {
		const struct policy_state_nic *nic = state->nics->pdata[i];
		if (!g_str_equal(nic->name, name))
			continue;
		if (found) {
			fault_set(error, FAULT_INVALID,
				"several NICs of this host are called %s (%s and %s); give the uid", name,
				found->uid, nic->uid);
			return NULL;
		}
		found = nic;
	}
	if (!found)
		fault_set(error, FAULT_NOT_FOUND,
			"the switch of this host has no NIC called %s; it has those of virtual machines that "
			"are on this host and not deallocated",
			name);
	return found;
}

const struct policy_state_address *policy_state_find_address(
	const struct policy_state_nic *nic, struct ip_addr addr)
{
	for (unsigned i = 0; addr.family != IP_NONE && i < nic->n_addresses; i++)
		if (ip_equal(nic->addresses[i].ip, addr) || ip_equal(nic->addresses[i].public_ip, addr))
			return &nic->addresses[i];
	return NULL;
}
