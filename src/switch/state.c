/* Decoding of the switch's state: see state.h and decode.h.
 *
 * How it works: one table of members for each kind of object, in the order in which they refer to each other:
 * edges and physical networks, groups, networks with their subnets, NICs (state_nic.c), load balancers. So every reference is
 * resolved where it stands, and its fault has a path. What concerns two objects (addresses taken twice, names
 * used twice) is checked as each is added to its index.
 */
#include "switch/state.h"

#include "base/fault.h"
#include "policy/policy_json.h"
#include "switch/classifier.h"
#include "switch/port.h"
#include "switch/state_priv.h"

#include <net/if.h>
#include <string.h>

#define NETWORKS_MAX    1024
#define SUBNETS_MAX     1024
#define PREFIXES_MAX    64
#define DNS_MAX         8
#define GROUPS_MAX      4096
#define VNI_MAX         0xffffff
#define DEVICE_NAME_MAX 63 /* of DPDK's own */

/* ---- security groups ---- */

static const struct group *previous_group(const struct snapshot *previous, const char *uid, json_t *source)
{
	for (unsigned i = 0; previous && i < previous->groups->len; i++) {
		const struct group *group = g_ptr_array_index(previous->groups, i);
		if (g_str_equal(group->uid, uid))
			return json_equal(group->source, source) ? group : NULL;
	}
	return NULL;
}

/* The policy code says its own path within the group: "rules[0].priority: ...". */
static bool fail_rules(struct decode *d, GError *error)
{
	g_prefix_error(&error, "%s.", d->path->str);
	d->error = error;
	return false;
}

static struct group *compile_group(
	struct decode *d, json_t *source, const char *uid, const char *name, bool revalidate)
{
	GError *error = NULL;
	_cleanup_(policy_rules_free) struct policy_rules *rules =
		policy_rules_decode(name, json_object_get(source, "rules"), &error);

	if (!rules) {
		fail_rules(d, error);
		return NULL;
	}
	struct group *group = g_new0(struct group, 1);
	g_atomic_ref_count_init(&group->references);
	group->uid = g_strdup(uid);
	group->name = g_strdup(name);
	group->revalidate = revalidate;
	group->source = json_incref(source);
	group->text = json_dumps(source, JSON_COMPACT);
	group->classifier = classifier_new(&rules->group);
	return group;
}

struct group_words {
	char *uid, *name;
	bool revalidate;
};

static bool skip_value(struct decode *d, json_t *value, void *to)
{
	return true; /* the rules are decoded by policy/, from the whole group */
}

static const struct decode_member group_members[] = {
	{"uid", decode_text, offsetof(struct group_words, uid)},
	{"name", decode_text, offsetof(struct group_words, name)},
	{"revalidate", decode_bool, offsetof(struct group_words, revalidate)},
	{"rules", skip_value, 0},
	{},
};

static bool decode_group(struct decode *d, json_t *value, void *to)
{
	struct state_index *index = index_of(d);
	struct group_words words = {};

	if (!decode_object(d, value, group_members, &words))
		return false;
	if (g_hash_table_contains(index->groups, words.uid))
		return decode_fail_at(d, "uid", "two groups have the uid %s", words.uid);
	struct group *group = (struct group *)previous_group(index->previous, words.uid, value);
	group = group ? group_ref(group) : compile_group(d, value, words.uid, words.name, words.revalidate);
	if (!group)
		return false;
	g_ptr_array_add(d->snapshot->groups, group);
	g_hash_table_insert(index->groups, group->uid, group);
	return true;
}

static bool decode_groups(struct decode *d, json_t *value, void *to)
{
	unsigned n;

	decode_list(d, value, 1, GROUPS_MAX, decode_group, &n);
	return !d->error;
}

bool decode_group_reference(struct decode *d, json_t *value, void *to)
{
	const char *uid = json_string_value(value);
	const struct group *group = uid ? g_hash_table_lookup(index_of(d)->groups, uid) : NULL;

	if (!group)
		return decode_fail(d, "must be null or the uid of a group of this state");
	*(const struct group **)to = group;
	return true;
}

/* ---- networks ---- */

static bool decode_subnet_dns(struct decode *d, json_t *value, void *to)
{
	struct subnet *subnet = to;

	subnet->dns = decode_list(d, value, sizeof *subnet->dns, DNS_MAX, decode_ip, &subnet->n_dns);
	return !d->error;
}

/* A link of IPv6 has 64 bits for its hosts, or fewer where addresses come by DHCP; two at least are not the
 * gateway's. */
static bool decode_prefix6(struct decode *d, json_t *value, void *to)
{
	struct ip_prefix *prefix = to;

	if (!decode_prefix(d, value, prefix))
		return false;
	if (prefix->addr.family != IP_V6 || prefix->length < 64 || prefix->length > 126 ||
		prefix->addr.bytes[0] == 0xff || ip_is_link_local(prefix->addr))
		return decode_fail(
			d, "must be an IPv6 prefix of length 64 to 126, of addresses that are routed");
	return true;
}

static const struct decode_member subnet_members[] = {
	{"uid", decode_text, offsetof(struct subnet, uid)},
	{"prefix", decode_prefix_ipv4, offsetof(struct subnet, prefix), .optional = true},
	{"gateway", decode_ipv4, offsetof(struct subnet, gateway), .optional = true},
	{"prefix6", decode_prefix6, offsetof(struct subnet, prefix6), .optional = true},
	{"gateway6", decode_ip, offsetof(struct subnet, gateway6), .optional = true},
	{"gateway_external", decode_bool, offsetof(struct subnet, gateway_external), .optional = true},
	{"dns", decode_subnet_dns, 0},
	{"group", decode_group_reference, offsetof(struct subnet, group), .optional = true},
	{"routes", decode_routes, 0, .optional = true},
	{},
};

/* A prefix and a gateway are there both, or neither. */
static bool check_gateway(struct decode *d, const char *name, struct ip_prefix prefix, struct ip_addr gateway)
{
	if (prefix.addr.family == IP_NONE && gateway.family == IP_NONE)
		return true;
	if (gateway.family == IP_NONE)
		return decode_fail_at(d, name, "is missing");
	if (!prefix_contains(prefix, gateway) || (gateway.family == IP_V6 && ip_equal(prefix.addr, gateway)))
		return decode_fail_at(d, name, "is no address of the subnet's prefix");
	return true;
}

static bool decode_subnet(struct decode *d, json_t *value, void *to)
{
	struct subnet *subnet = to;

	if (!decode_object(d, value, subnet_members, subnet))
		return false;
	if (subnet->prefix.addr.family == IP_NONE && subnet->prefix6.addr.family == IP_NONE)
		return decode_fail_at(d, "prefix", "is missing, and prefix6 too");
	return check_gateway(d, "gateway", subnet->prefix, subnet->gateway) &&
	       check_gateway(d, "gateway6", subnet->prefix6, subnet->gateway6);
}

static bool decode_vni(struct decode *d, json_t *value, void *to)
{
	int64_t vni;

	if (!decode_whole(d, value, 1, VNI_MAX, &vni))
		return false;
	if (!g_hash_table_add(index_of(d)->segments, GUINT_TO_POINTER((unsigned)vni)))
		return decode_fail(d, "two networks have the VNI %d", (int)vni);
	*(uint32_t *)to = (uint32_t)vni;
	return true;
}

static bool decode_network_prefixes(struct decode *d, json_t *value, void *to)
{
	struct network *network = to;

	network->prefixes = decode_list(
		d, value, sizeof *network->prefixes, PREFIXES_MAX, decode_prefix, &network->n_prefixes);
	return !d->error;
}

static bool decode_network_subnets(struct decode *d, json_t *value, void *to)
{
	struct network *network = to;

	network->subnets = decode_list(
		d, value, sizeof *network->subnets, SUBNETS_MAX, decode_subnet, &network->n_subnets);
	return !d->error;
}

static const struct decode_member network_members[] = {
	{"uid", decode_text, offsetof(struct network, uid)},
	{"vni", decode_vni, offsetof(struct network, segment), .optional = true},
	{"vlan", decode_vlan, 0, .optional = true},
	{"prefixes", decode_network_prefixes, 0},
	{"subnets", decode_network_subnets, 0},
	{"mappings", decode_mappings, 0, .optional = true},
	{"application_groups", decode_application_groups, 0, .optional = true},
	{"source_nat", decode_source_nat, 0, .optional = true},
	{},
};

static bool is_inside(const struct network *network, struct ip_prefix prefix)
{
	if (prefix.addr.family == IP_NONE)
		return true;
	for (unsigned i = 0; i < network->n_prefixes; i++)
		if (prefix_covers(network->prefixes[i], prefix))
			return true;
	return false;
}

static bool check_subnets(struct decode *d, const struct network *network)
{
	for (unsigned i = 0; i < network->n_subnets; i++) {
		const struct subnet *subnet = &network->subnets[i];
		if (!is_inside(network, subnet->prefix) || !is_inside(network, subnet->prefix6))
			return decode_fail(d, "subnet %s lies outside the network's prefixes", subnet->uid);
		for (unsigned j = 0; j < i; j++)
			if (prefix_overlaps(subnet->prefix, network->subnets[j].prefix) ||
				prefix_overlaps(subnet->prefix6, network->subnets[j].prefix6))
				return decode_fail(
					d, "subnets %s and %s overlap", network->subnets[j].uid, subnet->uid);
	}
	return true;
}

static bool decode_network(struct decode *d, json_t *value, void *to)
{
	struct network *network = to;

	if (!decode_object(d, value, network_members, network) || !check_segment(d, network) ||
		!check_subnets(d, network) || !check_routes(d, network) || !make_memberships(d, network))
		return false;
	if (!g_hash_table_insert(index_of(d)->networks, network->uid, network))
		return decode_fail_at(d, "uid", "two networks have the uid %s", network->uid);
	return true;
}

static bool decode_networks(struct decode *d, json_t *value, void *to)
{
	struct snapshot *snapshot = d->snapshot;

	snapshot->networks = decode_list(
		d, value, sizeof *snapshot->networks, NETWORKS_MAX, decode_network, &snapshot->n_networks);
	for (unsigned i = 0; i < snapshot->n_networks; i++)
		snapshot->networks[i].space = SPACE_NETWORKS + i;
	if (d->error)
		return false;
	link_vlans(snapshot, index_of(d)->previous);
	return true;
}

/* ---- edges ---- */

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

/* `name` is what a port is called (port.h). */
static bool claim_port(struct decode *d, const char *name, const char *shown, void *to)
{
	char *copy = snapshot_strdup(d->snapshot, name);

	if (!g_hash_table_add(index_of(d)->ports, copy))
		return decode_fail(d, "%s is used twice", shown);
	*(char **)to = copy;
	return true;
}

bool check_interface(struct decode *d, const char *name)
{
	return (name && *name && strlen(name) < IFNAMSIZ && strspn(name, NAME_LETTERS) == strlen(name)) ||
	       decode_fail(d,
		       "must be the name of a network interface: 1 to %d letters, digits, '.', '_', "
		       "'-'",
		       IFNAMSIZ - 1);
}

bool decode_interface_behind(struct decode *d, const char *prefix, json_t *value, void *to)
{
	const char *name = json_string_value(value);

	if (!check_interface(d, name))
		return false;
	g_autofree char *port = g_strconcat(prefix, name, NULL);
	return claim_port(d, port, name, to);
}

bool decode_interface(struct decode *d, json_t *value, void *to)
{
	return decode_interface_behind(d, "", value, to);
}

/* Comes after the interface in the tables. */
bool decode_device(struct decode *d, json_t *value, void *to)
{
	const char *name = json_string_value(value);

	if (*(char **)to)
		return decode_fail(d, "cannot be beside an interface: a port is one or the other");
	if (!name || !*name || strlen(name) > DEVICE_NAME_MAX ||
		strspn(name, NAME_LETTERS ":") != strlen(name))
		return decode_fail(d,
			"must be the name of a DPDK device: 1 to %d letters, digits, '.', '_', '-', ':'",
			DEVICE_NAME_MAX);
	g_autofree char *port = g_strconcat(PORT_DEVICE, name, NULL);
	return claim_port(d, port, name, to);
}

bool decode_port_named(struct decode *d, const char *name)
{
	return name || decode_fail_at(d, "interface", "is missing");
}

bool decode_offload(struct decode *d, json_t *value, void *to)
{
	*(bool *)to = g_strcmp0(json_string_value(value), "tc") == 0;
	return *(bool *)to || decode_fail(d, "must be \"tc\", or be left out");
}

bool check_offload(struct decode *d, const char *name, bool offload)
{
	return !offload || !g_str_has_prefix(name, PORT_DEVICE) ||
	       decode_fail_at(d, "offload", "is of network interfaces: the kernel has no driver of a device");
}

static const struct decode_member outside_members[] = {
	{"interface", decode_interface, offsetof(struct edge, interface), .optional = true},
	{"device", decode_device, offsetof(struct edge, interface), .optional = true},
	{"mac", decode_mac, offsetof(struct edge, mac)},
	{"prefix", decode_prefix_ipv4, offsetof(struct edge, prefix)},
	{"gateway", decode_ipv4, offsetof(struct edge, gateway), .optional = true},
	{"offload", decode_offload, offsetof(struct edge, offload), .optional = true},
	{},
};

static const struct decode_member host_members[] = {
	{"interface", decode_interface, offsetof(struct edge, interface), .optional = true},
	{"device", decode_device, offsetof(struct edge, interface), .optional = true},
	{"mac", decode_mac, offsetof(struct edge, mac)},
	{"prefix", decode_prefix_ipv4, offsetof(struct edge, prefix)},
	{},
};

static bool decode_outside(struct decode *d, json_t *value, void *to)
{
	struct edge *edge = to;

	if (!decode_object(d, value, outside_members, edge) || !decode_port_named(d, edge->interface) ||
		!check_offload(d, edge->interface, edge->offload))
		return false;
	if (edge->gateway.family != IP_NONE && !prefix_contains(edge->prefix, edge->gateway))
		return decode_fail_at(d, "gateway", "lies outside the prefix");
	edge->present = true;
	return true;
}

static bool decode_host(struct decode *d, json_t *value, void *to)
{
	struct edge *edge = to;

	edge->present = true;
	return decode_object(d, value, host_members, edge) && decode_port_named(d, edge->interface);
}

/* ---- the whole ---- */

static bool decode_generation(struct decode *d, json_t *value, void *to)
{
	const struct snapshot *previous = index_of(d)->previous;
	int64_t generation;

	if (!decode_whole(d, value, 0, INT64_MAX, &generation))
		return false;
	if (previous && (uint64_t)generation < previous->generation)
		return decode_fail(d,
			"%" G_GINT64_FORMAT " is older than %" G_GUINT64_FORMAT ", which is in use",
			generation, previous->generation);
	*(uint64_t *)to = (uint64_t)generation;
	return true;
}

static const struct decode_member state_members[] = {
	{"generation", decode_generation, offsetof(struct snapshot, generation)},
	{"outside", decode_outside, offsetof(struct snapshot, outside), .optional = true},
	{"host_port", decode_host, offsetof(struct snapshot, host), .optional = true},
	{"underlay", decode_underlay, offsetof(struct snapshot, underlay), .optional = true},
	{"physicals", decode_physicals, .optional = true},
	{"groups", decode_groups},
	{"networks", decode_networks},
	{"nics", decode_nics},
	{"balancers", decode_balancers, .optional = true},
	{},
};

static GHashTable *text_set(void)
{
	return g_hash_table_new(g_str_hash, g_str_equal);
}

struct snapshot *state_decode(json_t *json, const struct snapshot *previous, GError **error)
{
	_cleanup_(snapshot_free) struct snapshot *snapshot = snapshot_new();
	g_autoptr(GHashTable) groups = text_set(), networks = text_set(), nics = text_set(),
			      ports = text_set();
	g_autoptr(GHashTable) segments = g_hash_table_new(NULL, NULL);
	g_autoptr(GHashTable) tables = prefix_tables_new();
	struct state_index index = {
		.previous = previous,
		.state = json,
		.groups = groups,
		.networks = networks,
		.nics = nics,
		.ports = ports,
		.segments = segments,
		.tables = tables,
	};
	struct decode d;

	if (previous) {
		memcpy(snapshot->incarnations, previous->incarnations, sizeof snapshot->incarnations);
		snapshot->epoch = previous->epoch + 1;
		for (unsigned i = 0; i < previous->tables->len; i++)
			g_hash_table_add(tables, g_ptr_array_index(previous->tables, i));
	}
	decode_init(&d, snapshot, &index);
	if (decode_object(&d, json, state_members, snapshot))
		check_source_nats(&d);
	if (!decode_done(&d, error))
		return NULL;
	return g_steal_pointer(&snapshot);
}
