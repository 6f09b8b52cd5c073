/* Route tables: what subnets that refer to one do with packets to its prefixes.
 *
 * The routes that every subnet has, to its network and outside, are not stored; what all of them come to is said here
 * (route_table_effective), for whoever asks, and by the switch, which has them built in.
 */
#include "base/fault.h"
#include "control/control_priv.h"

#include <errno.h>

#define ROUTES_MAX 400 /* as in Azure; a switch takes 1024 for a subnet */

static bool same_prefix(struct ip_prefix a, struct ip_prefix b)
{
	return a.length == b.length && ip_equal(a.addr, b.addr);
}

/* ---- routes ---- */

static bool check_next_hop(const struct user_route *route, struct ip_prefix prefix, GError **error)
{
	struct ip_addr appliance;

	if (route->next_hop != NEXT_HOP_APPLIANCE)
		return !route->appliance || fault_set(error, FAULT_INVALID,
						    "route %s has a next hop address, %s, which only a route "
						    "to a virtual appliance can have",
						    route->name, route->appliance);
	if (!route->appliance)
		return fault_set(error, FAULT_INVALID,
			"route %s leads to a virtual appliance and does not say which; give its address",
			route->name);
	if (ip_parse(route->appliance, &appliance) < 0)
		return fault_set(error, FAULT_INVALID, "route %s: the next hop '%s' is no IP address",
			route->name, route->appliance);
	return appliance.family == prefix.addr.family ||
	       fault_set(error, FAULT_INVALID,
		       "route %s: the next hop %s and the prefix %s are not of one IP version", route->name,
		       route->appliance, route->prefix);
}

static bool check_route(const struct route_table *table, guint index, GError **error)
{
	const struct user_route *route = table->spec.routes->pdata[index];
	struct ip_prefix prefix, other;
	int bad;

	if (!check_name(KIND_ROUTE_TABLE, route->name, error)) {
		g_prefix_error(error, "route of %s: ", table->meta.name);
		return false;
	}
	bad = prefix_parse(route->prefix, &prefix);
	if (bad == -ERANGE)
		return fault_set(error, FAULT_INVALID,
			"route %s: '%s' has bits set behind its length; the first address of the range is "
			"needed",
			route->name, route->prefix);
	if (bad)
		return fault_set(error, FAULT_INVALID,
			"route %s: '%s' is no address prefix such as 10.1.0.0/16; service tags cannot be "
			"routed here",
			route->name, route->prefix);
	for (guint i = 0; i < index; i++) {
		const struct user_route *before = table->spec.routes->pdata[i];
		if (g_ascii_strcasecmp(before->name, route->name) == 0)
			return fault_set(error, FAULT_INVALID, "route %s is there twice", route->name);
		if (prefix_parse(before->prefix, &other) == 0 && same_prefix(prefix, other))
			return fault_set(error, FAULT_OVERLAP,
				"Route %s conflicts with route %s: routes of one table cannot share the "
				"prefix %s.",
				route->name, before->name, route->prefix);
	}
	return check_next_hop(route, prefix, error);
}

bool route_table_check_fits(const struct route_table *table, const struct network *network, GError **error)
{
	for (guint i = 0; i < list_length(table->spec.routes); i++) {
		const struct user_route *route = table->spec.routes->pdata[i];
		struct ip_addr appliance;
		if (route->next_hop == NEXT_HOP_APPLIANCE && ip_parse(route->appliance, &appliance) == 0 &&
			!network_has_address(network, appliance))
			return fault_set(error, FAULT_INVALID,
				"route %s of route table %s: the virtual appliance %s is in no subnet of "
				"virtual network %s, which uses the table",
				route->name, table->meta.name, route->appliance, network->meta.name);
	}
	return true;
}

/* ---- what they come to ---- */

static bool has_prefix(const struct route_table *table, const char *prefix)
{
	struct ip_prefix wanted, its;

	for (guint i = 0; table && i < list_length(table->spec.routes); i++) {
		const struct user_route *route = table->spec.routes->pdata[i];
		if (prefix_parse(prefix, &wanted) == 0 && prefix_parse(route->prefix, &its) == 0 &&
			same_prefix(wanted, its))
			return true;
	}
	return false;
}

/* Takes the route. */
static void add_route(GPtrArray *list, struct user_route *route, bool is_default, bool is_active)
{
	struct control_route *out = g_new0(struct control_route, 1);

	*out = (struct control_route){route, is_default, is_active};
	g_ptr_array_add(list, out);
}

static void add_default(
	GPtrArray *list, const struct route_table *table, const char *prefix, enum next_hop next_hop)
{
	struct user_route *route = shape_new(&user_route_shape);

	route->prefix = g_strdup(prefix);
	route->next_hop = (int)next_hop;
	add_route(list, route, true, !has_prefix(table, prefix));
}

static void free_route(void *data)
{
	struct control_route *route = data;

	shape_free(&user_route_shape, route->route);
	g_free(route);
}

GPtrArray *route_table_effective(const struct network *network, const struct route_table *table)
{
	GPtrArray *list = g_ptr_array_new_with_free_func(free_route);

	for (guint i = 0; i < list_length(network->spec.prefixes); i++)
		add_default(list, table, network->spec.prefixes->pdata[i], NEXT_HOP_NETWORK);
	add_default(list, table, "0.0.0.0/0", NEXT_HOP_OUTSIDE);
	for (guint i = 0; table && i < list_length(table->spec.routes); i++)
		add_route(list, shape_copy(&user_route_shape, table->spec.routes->pdata[i]), false, true);
	return list;
}

/* ---- hooks ---- */

/* Not guarded against networks that come to use it meanwhile: hosts are told that such a route leads nowhere. */
static bool check_users(struct put *put, GError **error)
{
	const struct route_table *table = put->object;
	g_autoptr(GHashTable) refs = change_refs(put->change, table->meta.uid, error);
	GHashTableIter iter;
	void *source;

	if (!refs)
		return false;
	g_hash_table_iter_init(&iter, refs);
	while (g_hash_table_iter_next(&iter, &source, NULL)) {
		_cleanup_(model_free) struct network *network =
			control_get(put->control, KIND_NETWORK, source, NULL);
		if (network && !route_table_check_fits(table, network, error))
			return false;
	}
	return true;
}

static const char *uid_of(const struct route_table *table, const char *name)
{
	for (guint i = 0; table && i < list_length(table->spec.routes); i++) {
		const struct user_route *route = table->spec.routes->pdata[i];
		if (g_ascii_strcasecmp(route->name, name) == 0)
			return route->uid;
	}
	return NULL;
}

static bool route_table_prepare(struct put *put, GError **error)
{
	struct route_table *table = put->object;

	if (list_length(table->spec.routes) > ROUTES_MAX)
		return fault_set(error, FAULT_QUOTA, "route table %s has %u routes, %d is the most",
			table->meta.name, table->spec.routes->len, ROUTES_MAX);
	for (guint i = 0; i < list_length(table->spec.routes); i++) {
		struct user_route *route = table->spec.routes->pdata[i];
		if (!check_route(table, i, error))
			return false;
		const char *was = uid_of(put->old, route->name);
		g_free(route->uid);
		route->uid = was ? g_strdup(was) : g_uuid_string_random();
	}
	return check_users(put, error);
}

static bool route_table_release(struct control *control, struct change *change, void *object, GError **error)
{
	return change_unreferenced(change, object, error);
}

const struct kind_hooks route_table_hooks = {
	.prepare = route_table_prepare,
	.release = route_table_release,
	.reaches_hosts = true,
};
