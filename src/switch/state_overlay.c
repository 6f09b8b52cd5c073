/* Decoding of what joins switches and leads packets: the underlay, mappings, routes, source NAT. See state.c.
 *
 * Mappings may be many (MAPPINGS_MAX a network), and the whole state comes with every change: so they become a
 * table that the snapshot before has too, if it has the same (prefix_table.h), and none is made anew.
 */
#include "switch/layers/layer.h"
#include "switch/port.h"
#include "switch/state_priv.h"

#include <assert.h>
#include <string.h>

#define MAPPINGS_MAX     100000 /* of one network */
#define ROUTES_MAX       1024 /* of one subnet */
#define SOURCE_NAT_MAX   16 /* addresses of one network */
#define UNDERLAY_MTU_MIN (NIC_MTU_MIN + VXLAN_MTU_LESS)
#define UNDERLAY_MTU_MAX (NIC_MTU_MAX + VXLAN_MTU_LESS)

/* ---- underlay ---- */

static bool decode_underlay_mtu(struct decode *d, json_t *value, void *to)
{
	int64_t mtu;

	if (!decode_whole(d, value, UNDERLAY_MTU_MIN, UNDERLAY_MTU_MAX, &mtu))
		return false;
	*(uint16_t *)to = (uint16_t)mtu;
	return true;
}

/* Not a port: packets of the switch's own do not go by it. */
static bool decode_vxlan_device(struct decode *d, json_t *value, void *to)
{
	return check_interface(d, json_string_value(value)) && decode_text(d, value, to);
}

/* Comes after "kernel" in the table. */
static bool decode_underlay_interface(struct decode *d, json_t *value, void *to)
{
	struct underlay *underlay = to;

	return decode_interface_behind(
		d, underlay->kernel ? PORT_UNDERLAY : "", value, &underlay->edge.interface);
}

static const struct decode_member underlay_members[] = {
	{"kernel", decode_bool, offsetof(struct underlay, kernel), .optional = true},
	{"interface", decode_underlay_interface, 0, .optional = true},
	{"device", decode_device, offsetof(struct underlay, edge.interface), .optional = true},
	{"mac", decode_mac, offsetof(struct underlay, edge.mac)},
	{"address", decode_ipv4, offsetof(struct underlay, address)},
	{"prefix", decode_prefix_ipv4, offsetof(struct underlay, edge.prefix)},
	{"gateway", decode_ipv4, offsetof(struct underlay, edge.gateway), .optional = true},
	{"mtu", decode_underlay_mtu, offsetof(struct underlay, mtu)},
	{"vxlan_device", decode_vxlan_device, offsetof(struct underlay, vxlan_device), .optional = true},
	{"offload", decode_offload, offsetof(struct underlay, edge.offload), .optional = true},
	{},
};

/* What an eswitch tunnels goes by the kernel's addresses and routes. */
static bool check_kernel(struct decode *d, const struct underlay *underlay)
{
	if (underlay->kernel && g_str_has_prefix(underlay->edge.interface, PORT_DEVICE))
		return decode_fail_at(d, "device", "is no interface of the kernel's");
	if (underlay->edge.offload && !underlay->vxlan_device)
		return decode_fail_at(d, "offload", "needs \"vxlan_device\", the kernel's VXLAN device");
	if (underlay->vxlan_device && !underlay->kernel)
		return decode_fail_at(
			d, "vxlan_device", "needs \"kernel\": its packets leave by the kernel's address");
	return true;
}

bool decode_underlay(struct decode *d, json_t *value, void *to)
{
	struct underlay *underlay = to;
	struct edge *edge = &underlay->edge;

	if (!decode_object(d, value, underlay_members, underlay) || !decode_port_named(d, edge->interface) ||
		!check_kernel(d, underlay))
		return false;
	if (!prefix_contains(edge->prefix, underlay->address))
		return decode_fail_at(d, "address", "lies outside the prefix");
	if (edge->gateway.family != IP_NONE && !prefix_contains(edge->prefix, edge->gateway))
		return decode_fail_at(d, "gateway", "lies outside the prefix");
	edge->present = true;
	memcpy(&underlay->on_link, edge->prefix.addr.bytes, sizeof underlay->on_link);
	if (edge->prefix.length)
		underlay->on_link_mask = htobe32(UINT32_MAX << (32 - edge->prefix.length));
	vxlan_outer_init(&underlay->outer, edge->mac.bytes, underlay->address.bytes);
	return true;
}

/* ---- tables ---- */

/* An array of rows, each with its prefix, as a table of the snapshot. NULL: it is empty, or after decode_fail. */
static const struct prefix_table *decode_table(
	struct decode *d, json_t *value, size_t row_size, unsigned max, decode_value decode)
{
	size_t n = json_array_size(value), length = d->path->len;
	char text[PREFIX_TEXT_MAX];
	struct ip_prefix twice;

	if (!json_is_array(value) || n > max) {
		decode_fail(d, "must be an array of at most %u elements", max);
		return NULL;
	}
	g_autoptr(GArray) rows = g_array_sized_new(false, true, (guint)row_size, (guint)n);
	g_array_set_size(rows, (guint)n);
	for (size_t i = 0; i < n; i++) {
		g_string_append_printf(d->path, "[%zu]", i);
		if (!decode(d, json_array_get(value, i), rows->data + i * row_size))
			return NULL;
		g_string_truncate(d->path, length);
	}
	if (n == 0)
		return NULL;
	struct prefix_table *table = prefix_tables_get(index_of(d)->tables, g_steal_pointer(&rows), &twice);
	if (!table) {
		decode_fail(d, "has two elements of the prefix %s", prefix_format(twice, text));
		return NULL;
	}
	g_ptr_array_add(d->snapshot->tables, table);
	return table;
}

/* ---- mappings ---- */

bool decode_vtep(struct decode *d, json_t *value, void *to)
{
	struct ip_addr addr;

	if (!decode_ipv4(d, value, &addr))
		return false;
	memcpy(to, addr.bytes, 4);
	return true;
}

static const struct decode_member mapping_members[] = {
	{"prefix", decode_prefix, offsetof(struct mapping, prefix)},
	{"vtep", decode_vtep, offsetof(struct mapping, vtep)},
	{"mac", decode_mac, offsetof(struct mapping, mac)},
	{},
};

static bool decode_mapping(struct decode *d, json_t *value, void *to)
{
	return decode_object(d, value, mapping_members, to);
}
static_assert(sizeof(struct mapping) == sizeof(struct ip_prefix) + 6 + 4, "rows have no padding");

bool decode_mappings(struct decode *d, json_t *value, void *to)
{
	struct network *network = to;

	network->mappings = decode_table(d, value, sizeof(struct mapping), MAPPINGS_MAX, decode_mapping);
	return !d->error;
}

/* ---- routes ---- */

static const char *const via_words[] = {
	[ROUTE_NETWORK] = "network",
	[ROUTE_OUTSIDE] = "outside",
	[ROUTE_NOWHERE] = "none",
};

static bool decode_via(struct decode *d, json_t *value, void *to)
{
	struct route *route = to;
	const char *word = json_string_value(value);

	for (unsigned i = 0; i < G_N_ELEMENTS(via_words); i++) {
		if (via_words[i] && g_strcmp0(word, via_words[i]) == 0) {
			route->kind = (uint8_t)i;
			return true;
		}
	}
	if (ip_parse(word, &route->appliance) < 0)
		return decode_fail(d,
			"must be one of network, outside, none, or the IP address of an appliance in the "
			"network");
	route->kind = ROUTE_APPLIANCE;
	return true;
}

static const struct decode_member route_members[] = {
	{"prefix", decode_prefix, offsetof(struct route, prefix)},
	{"via", decode_via, 0},
	{},
};

static bool decode_route(struct decode *d, json_t *value, void *to)
{
	return decode_object(d, value, route_members, to);
}
static_assert(sizeof(struct route) == sizeof(struct ip_prefix) + 1 + sizeof(struct ip_addr),
	"rows have no padding");

bool decode_routes(struct decode *d, json_t *value, void *to)
{
	struct subnet *subnet = to;

	subnet->routes = decode_table(d, value, sizeof(struct route), ROUTES_MAX, decode_route);
	return !d->error;
}

/* Somebody can be there: in a subnet, on whatever host, or where a mapping leads. */
static bool has_place_for(const struct network *network, struct ip_addr addr)
{
	for (unsigned i = 0; i < network->n_subnets; i++)
		if (subnet_contains(&network->subnets[i], addr))
			return true;
	return network->mappings && prefix_table_find(network->mappings, addr);
}

static bool check_routes_of(struct decode *d, const struct network *network, unsigned subnet)
{
	const struct prefix_table *routes = network->subnets[subnet].routes;
	const struct route *route;
	char text[IP_TEXT_MAX];

	for (unsigned i = 0; routes && (route = prefix_table_row(routes, i)); i++) {
		if (route->kind != ROUTE_APPLIANCE || has_place_for(network, route->appliance))
			continue;
		g_autofree char *name = g_strdup_printf("subnets[%u].routes[%u].via", subnet, i);
		return decode_fail_at(d, name,
			"%s is in no subnet of the network, so that the route would lead nowhere; name an "
			"appliance in one, or \"none\"",
			ip_format(route->appliance, text));
	}
	return true;
}

bool check_routes(struct decode *d, const struct network *network)
{
	for (unsigned i = 0; i < network->n_subnets; i++)
		if (!check_routes_of(d, network, i))
			return false;
	return true;
}

/* ---- public addresses, source NAT ---- */

/* Who is at that address already; NULL: nobody. */
static const char *holder_of(const struct snapshot *snapshot, struct ip_addr addr)
{
	if (ip_equal(snapshot->outside.gateway, addr))
		return "the uplink's gateway";
	if (ip_equal(snapshot->underlay.address, addr))
		return "this switch on the underlay";
	if (ip_equal(snapshot->underlay.edge.gateway, addr))
		return "the underlay's gateway";
	if (snapshot->host.present && prefix_contains(snapshot->host.prefix, addr))
		return "something behind the host port";
	return NULL;
}

/* A NIC's, a load balancer's, or one to be shared by all networks that name it, once each. */
bool decode_public_address(struct decode *d, json_t *value, void *to)
{
	struct ip_addr addr;

	if (!decode_ipv4(d, value, &addr))
		return false;
	const char *holder = holder_of(d->snapshot, addr);
	if (holder)
		return decode_fail(d, "is the address of %s", holder);
	if (!route_is_unicast(addr) || policy_is_platform(addr))
		return decode_fail(d, "must be an address that others can send to");
	*(struct ip_addr *)to = addr;
	return true;
}

static bool decode_shared_addresses(struct decode *d, json_t *value, void *to)
{
	struct network *network = to;
	char text[IP_TEXT_MAX];

	network->source_nat = decode_list(d, value, sizeof *network->source_nat, SOURCE_NAT_MAX,
		decode_public_address, &network->n_source_nat);
	if (d->error)
		return false;
	if (network->n_source_nat == 0)
		return decode_fail(
			d, "must name an address at least; without source NAT there is no source_nat");
	for (unsigned i = 0; i < network->n_source_nat; i++)
		for (unsigned j = 0; j < i; j++)
			if (ip_equal(network->source_nat[i], network->source_nat[j]))
				return decode_fail(
					d, "names %s twice", ip_format(network->source_nat[i], text));
	return true;
}

static const struct decode_member source_nat_members[] = {
	{"addresses", decode_shared_addresses, 0},
	{},
};

bool decode_source_nat(struct decode *d, json_t *value, void *to)
{
	return decode_object(d, value, source_nat_members, to);
}
