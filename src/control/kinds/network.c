/* Virtual networks and their subnets.
 *
 * Subnets live inside the network, so one compare-and-swap of it guards overlap. A subnet keeps its uid over
 * puts that name it again; one that is left out is removed, if no NIC has an address in it.
 */
#include "base/fault.h"
#include "control/control_priv.h"

#include <errno.h>

static struct subnet *find_subnet(const struct network *network, const char *name)
{
	for (guint i = 0; network && i < list_length(network->spec.subnets); i++) {
		struct subnet *subnet = network->spec.subnets->pdata[i];
		if (g_ascii_strcasecmp(subnet->name, name) == 0)
			return subnet;
	}
	return NULL;
}

static bool parse_prefix(
	const char *what, const char *name, const char *text, struct ip_prefix *ret, GError **error)
{
	switch (prefix_parse(text, ret)) {
	case 0: return true;
	case -ERANGE:
		return fault_set(error, FAULT_INVALID,
			"%s %s: '%s' has bits set behind its length; the first address of the range is "
			"needed",
			what, name, text);
	default:
		return fault_set(error, FAULT_INVALID, "%s %s: '%s' is no address prefix such as 10.0.0.0/16",
			what, name, text ? text : "");
	}
}

#define PREFIXES_MAX 64 /* what a switch takes for one network */

/* What an address of IPv6 may be of: private ones, and those that the Internet routes. */
static bool check_unicast(const char *name, struct ip_prefix prefix, GError **error)
{
	static const char *const spaces[] = {"fc00::/7", "2000::/3"};
	struct ip_prefix space;
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < G_N_ELEMENTS(spaces); i++)
		if (prefix_parse(spaces[i], &space) == 0 && prefix_covers(space, prefix))
			return true;
	return fault_set(error, FAULT_INVALID,
		"virtual network %s: %s are no addresses for machines; take a range of fc00::/7, such as "
		"fd00:1234:5678::/48, or one of 2000::/3",
		name, prefix_format(prefix, text));
}

/* What the platform answers from, as a NIC with such an address would pass all groups as the platform, and what no machine can
 * have. Source: Azure's virtual networks refuse the same. */
static bool is_free_of_platform(const char *name, struct ip_prefix prefix, GError **error)
{
	static const char *const taken[] = {
		"168.63.129.16/32", "169.254.0.0/16", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32"};
	struct ip_prefix one;
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < G_N_ELEMENTS(taken); i++)
		if (prefix_parse(taken[i], &one) == 0 && prefix_overlaps(one, prefix))
			return fault_set(error, FAULT_INVALID,
				"virtual network %s: %s has addresses of %s, which are the platform's or no "
				"machine's; "
				"take a private range, such as 10.0.0.0/16",
				name, prefix_format(prefix, text), taken[i]);
	return true;
}

static bool check_prefixes(const struct network *network, GArray *ret, GError **error)
{
	if (list_length(network->spec.prefixes) == 0)
		return fault_set(error, FAULT_INVALID,
			"virtual network %s needs at least one prefix in its address space",
			network->meta.name);
	if (network->spec.prefixes->len > PREFIXES_MAX)
		return fault_set(error, FAULT_QUOTA, "virtual network %s has %u prefixes, %d is the most",
			network->meta.name, network->spec.prefixes->len, PREFIXES_MAX);
	for (guint i = 0; i < network->spec.prefixes->len; i++) {
		struct ip_prefix prefix;
		if (!parse_prefix("virtual network", network->meta.name, network->spec.prefixes->pdata[i],
			    &prefix, error))
			return false;
		if (!(prefix.addr.family == IP_V6 ? check_unicast : is_free_of_platform)(
			    network->meta.name, prefix, error))
			return false;
		for (guint j = 0; j < ret->len; j++)
			if (prefix_overlaps(prefix, g_array_index(ret, struct ip_prefix, j)))
				return fault_set(error, FAULT_OVERLAP,
					"virtual network %s: prefixes %s and %s overlap", network->meta.name,
					(char *)network->spec.prefixes->pdata[i],
					(char *)network->spec.prefixes->pdata[j]);
		g_array_append_val(ret, prefix);
	}
	return true;
}

static bool covered(const GArray *space, struct ip_prefix prefix)
{
	for (guint i = 0; i < space->len; i++)
		if (prefix_covers(g_array_index(space, struct ip_prefix, i), prefix))
			return true;
	return false;
}

/* One of the subnet's prefixes by itself. */
static bool check_range(const struct network *network, const struct subnet *subnet, const char *text,
	enum ip_family family, const GArray *space, GError **error)
{
	struct ip_prefix prefix;

	if (!parse_prefix("subnet", subnet->name, text, &prefix, error))
		return false;
	if (prefix.addr.family != family)
		return fault_set(error, FAULT_INVALID,
			"subnet %s needs an IPv4 prefix, of which its network interfaces have their primary "
			"addresses; one IPv6 prefix may stand beside it",
			subnet->name);
	if (!covered(space, prefix))
		return fault_set(error, FAULT_INVALID,
			"Subnet '%s' is not valid because its IP address range is outside the IP "
			"address range of virtual network '%s'.",
			subnet->name, network->meta.name);
	if (family == IP_V4 && prefix.length > 29)
		return fault_set(error, FAULT_INVALID,
			"subnet %s: %s is too small, /29 is the smallest subnet", subnet->name, text);
	return family == IP_V4 || prefix.length == 64 ||
	       fault_set(error, FAULT_INVALID,
		       "subnet %s: %s has not the size of an IPv6 subnet, which is /64", subnet->name, text);
}

/* Either may be NULL. */
static bool ranges_overlap(const char *a, const char *b)
{
	struct ip_prefix one, other;

	return a && b && prefix_parse(a, &one) == 0 && prefix_parse(b, &other) == 0 &&
	       prefix_overlaps(one, other);
}

/* The subnet's own prefixes, its name and how it stands to the subnets before it. */
static bool check_subnet(const struct network *network, guint index, const GArray *space, GError **error)
{
	const struct subnet *subnet = network->spec.subnets->pdata[index];

	if (!check_name(KIND_NETWORK, subnet->name, error)) {
		g_prefix_error(error, "subnet of %s: ", network->meta.name);
		return false;
	}
	if (!check_range(network, subnet, subnet->prefix, IP_V4, space, error) ||
		(subnet->prefix6 && !check_range(network, subnet, subnet->prefix6, IP_V6, space, error)))
		return false;
	for (guint i = 0; i < index; i++) {
		const struct subnet *before = network->spec.subnets->pdata[i];
		if (g_ascii_strcasecmp(before->name, subnet->name) == 0)
			return fault_set(error, FAULT_INVALID, "virtual network %s names subnet %s twice",
				network->meta.name, subnet->name);
		bool six = ranges_overlap(before->prefix6, subnet->prefix6);
		if (six || ranges_overlap(before->prefix, subnet->prefix))
			return fault_set(error, FAULT_OVERLAP, "subnet %s (%s) overlaps with subnet %s (%s)",
				subnet->name, six ? subnet->prefix6 : subnet->prefix, before->name,
				six ? before->prefix6 : before->prefix);
	}
	return true;
}

/* A prefix that goes, or becomes another one, must be nobody's; NULL is. */
static bool check_empty(
	struct put *put, const struct subnet *subnet, const char *range, const char *what, GError **error)
{
	g_autoptr(GHashTable) held = range ? change_pool_guarded(put->change, subnet->uid, error) : NULL;
	struct ip_prefix prefix;
	struct ip_addr addr;
	GHashTableIter iter;
	void *key;

	if (!range)
		return true;
	if (!held)
		return false;
	g_hash_table_iter_init(&iter, held);
	while (prefix_parse(range, &prefix) == 0 && g_hash_table_iter_next(&iter, &key, NULL))
		if (ip_parse(key, &addr) == 0 && prefix_contains(prefix, addr))
			return fault_set(error, FAULT_IN_USE,
				"Subnet %s is in use by network interfaces or load balancers with addresses "
				"of %s and cannot "
				"be %s; delete those first",
				subnet->name, range, what);
	return true;
}

static bool check_moved(
	struct put *put, const struct subnet *was, const char *range, const char *wanted, GError **error)
{
	return g_strcmp0(range, wanted) == 0 || check_empty(put, was, range, "moved", error);
}

static bool keep_identities(struct put *put, GError **error)
{
	const struct network *old = put->old;
	struct network *network = put->object;

	for (guint i = 0; i < list_length(network->spec.subnets); i++) {
		struct subnet *subnet = network->spec.subnets->pdata[i],
			      *was = find_subnet(old, subnet->name);
		g_free(subnet->uid);
		subnet->uid = was ? g_strdup(was->uid) : g_uuid_string_random();
		if (was && (!check_moved(put, was, was->prefix, subnet->prefix, error) ||
				   !check_moved(put, was, was->prefix6, subnet->prefix6, error)))
			return false;
	}
	for (guint i = 0; old && i < list_length(old->spec.subnets); i++) {
		const struct subnet *was = old->spec.subnets->pdata[i];
		if (!find_subnet(network, was->name) &&
			(!check_empty(put, was, was->prefix, "deleted", error) ||
				!check_empty(put, was, was->prefix6, "deleted", error)))
			return false;
	}
	return true;
}

bool network_has_address(const struct network *network, struct ip_addr addr)
{
	for (guint i = 0; i < list_length(network->spec.subnets); i++) {
		const struct subnet *subnet = network->spec.subnets->pdata[i];
		const char *range = addr.family == IP_V6 ? subnet->prefix6 : subnet->prefix;
		struct ip_prefix prefix;
		if (range && prefix_parse(range, &prefix) == 0 && prefix_contains(prefix, addr))
			return true;
	}
	return false;
}

const struct subnet *network_find_subnet(const struct network *network, const char *uid)
{
	for (guint i = 0; i < list_length(network->spec.subnets); i++) {
		const struct subnet *subnet = network->spec.subnets->pdata[i];
		if (g_str_equal(subnet->uid, uid))
			return subnet;
	}
	return NULL;
}

bool network_has_no_outbound(const struct network *network)
{
	const GPtrArray *subnets = network->spec.subnets;

	return list_length(subnets) && ((const struct subnet *)subnets->pdata[0])->no_outbound;
}

/* The switch has one answer for a network; a subnet's own would silently not apply. */
static bool check_outbound(const struct network *network, GError **error)
{
	for (guint i = 0; i < list_length(network->spec.subnets); i++) {
		const struct subnet *subnet = network->spec.subnets->pdata[i];
		if (subnet->no_outbound != network_has_no_outbound(network))
			return fault_set(error, FAULT_UNSUPPORTED,
				"Subnets of virtual network %s differ in default outbound access, which is "
				"one for "
				"all subnets of a network here; set defaultOutboundAccess alike in all of "
				"them",
				network->meta.name);
	}
	return true;
}

static void unref_all(struct change *change, const struct network *network)
{
	for (guint i = 0; network && i < list_length(network->spec.subnets); i++) {
		const struct subnet *subnet = network->spec.subnets->pdata[i];
		if (subnet->security_group)
			change_unref(change, subnet->security_group, network->meta.uid);
		if (subnet->route_table)
			change_unref(change, subnet->route_table, network->meta.uid);
	}
}

static bool stage_group(struct put *put, const struct subnet *subnet, GError **error)
{
	const struct network *network = put->object;
	const char *uid = subnet->security_group;

	if (!uid)
		return true;
	if (!check_reference(put->change, KIND_SECURITY_GROUP, uid, &network->meta, error))
		return false;
	change_ref(put->change, uid, &network->meta);
	return true;
}

static bool stage_table(struct put *put, const struct subnet *subnet, GError **error)
{
	const struct network *network = put->object;
	const char *uid = subnet->route_table;

	if (!uid)
		return true;
	const struct route_table *table =
		check_reference(put->change, KIND_ROUTE_TABLE, uid, &network->meta, error);
	if (!table)
		return false;
	if (!g_str_equal(table->meta.location, network->meta.location))
		return fault_set(error, FAULT_INVALID_REFERENCE,
			"virtual network %s is in %s but route table %s is in %s; both must be in one "
			"location",
			network->meta.name, network->meta.location, table->meta.name, table->meta.location);
	change_ref(put->change, uid, &network->meta);
	return route_table_check_fits(table, network, error);
}

static bool stage_refs(struct put *put, GError **error)
{
	const struct network *network = put->object;

	unref_all(put->change, put->old);
	for (guint i = 0; i < list_length(network->spec.subnets); i++) {
		const struct subnet *subnet = network->spec.subnets->pdata[i];
		if (!stage_group(put, subnet, error) || !stage_table(put, subnet, error))
			return false;
	}
	return true;
}

static bool network_prepare(struct put *put, GError **error)
{
	struct network *network = put->object;
	g_autoptr(GArray) space = g_array_new(FALSE, FALSE, sizeof(struct ip_prefix));

	if (!check_prefixes(network, space, error))
		return false;
	for (guint i = 0; i < list_length(network->spec.subnets); i++)
		if (!check_subnet(network, i, space, error))
			return false;
	return check_outbound(network, error) && keep_identities(put, error) && stage_refs(put, error) &&
	       segment_prepare(put, error);
}

static bool network_release(struct control *control, struct change *change, void *object, GError **error)
{
	struct network *network = object;

	if (!change_unreferenced(change, &network->meta, error))
		return false;
	unref_all(change, network);
	segment_release(change, network);
	return true;
}

const struct kind_hooks network_hooks = {
	.prepare = network_prepare,
	.release = network_release,
	.reaches_hosts = true,
};
