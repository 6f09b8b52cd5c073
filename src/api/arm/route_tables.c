/* Route tables and their routes. */
#include "api/arm/arm_priv.h"

static const char *const owned[] = {"routes", "subnets", "disableBgpRoutePropagation", NULL};

const char *const arm_next_hops[] = {[NEXT_HOP_NETWORK] = "VnetLocal",
	[NEXT_HOP_OUTSIDE] = "Internet",
	[NEXT_HOP_NONE] = "None",
	[NEXT_HOP_APPLIANCE] = "VirtualAppliance",
	NULL};

/* ---- from JSON ---- */

static enum next_hop decode_next_hop(const struct cursor *properties)
{
	const char *word = cursor_string(properties, "nextHopType");
	GError *error = NULL;

	if (!word) {
		cursor_fail(properties, "nextHopType", "it is required");
	} else if (g_ascii_strcasecmp(word, "VirtualNetworkGateway") == 0) {
		fault_set(&error, FAULT_UNSUPPORTED,
			"Routes to virtual network gateways are not supported, as there are none; use "
			"VirtualAppliance.");
		cursor_take_error(properties, error);
	}
	return cursor_is_good(properties)
		       ? (enum next_hop)cursor_word(properties, "nextHopType", arm_next_hops, 0)
		       : NEXT_HOP_NETWORK;
}

static void decode_route(struct arm *arm, const struct cursor *body, const void *parent, void *element)
{
	struct user_route *route = element;
	struct cursor properties = cursor_object(body, "properties");
	g_autofree char *appliance = cursor_dup(&properties, "nextHopIpAddress");

	route->name = cursor_dup(body, "name");
	route->prefix = cursor_need(&properties, "addressPrefix");
	route->next_hop = (int)decode_next_hop(&properties);
	route->appliance = appliance && *appliance ? g_steal_pointer(&appliance) : NULL;
}

static void decode(struct arm *arm, const struct cursor *body, const void *old, void *wanted)
{
	struct route_table *table = wanted;
	struct cursor properties = cursor_object(body, "properties");
	struct cursor routes = cursor_array(&properties, "routes");

	table->spec.no_propagation = cursor_bool(&properties, "disableBgpRoutePropagation", false);
	table->spec.routes = shape_list_new(&user_route_shape);
	for (size_t i = 0; i < cursor_length(&routes); i++) {
		struct cursor item = cursor_item(&routes, i);
		struct user_route *route = shape_new(&user_route_shape);
		g_ptr_array_add(table->spec.routes, route);
		decode_route(arm, &item, table, route);
		if (!route->name)
			cursor_fail(&item, "name", "it is required");
	}
}

/* ---- to JSON ---- */

static json_t *encode_route(
	const struct route_table *table, const struct user_route *route, const char *table_id, json_t *state)
{
	json_t *json = json_object(), *properties = put_object(json, "properties");
	g_autofree char *id = g_strdup_printf("%s/routes/%s", table_id, route->name);
	g_autofree char *etag = arm_etag(&table->meta);

	put_text(json, "id", id);
	put_text(json, "name", route->name);
	put_text(json, "type", "Microsoft.Network/routeTables/routes");
	put_text(json, "etag", etag);
	json_object_set(properties, "provisioningState", state);
	put_text(properties, "addressPrefix", route->prefix);
	put_text(properties, "nextHopType", arm_next_hops[route->next_hop]);
	put_text(properties, "nextHopIpAddress", route->appliance);
	put_flag(properties, "hasBgpOverride", false);
	return json;
}

static void encode(struct arm *arm, const void *object, unsigned flags, json_t *answer, json_t *properties)
{
	const struct route_table *table = object;
	const char *id = json_string_value(json_object_get(answer, "id"));
	json_t *routes = json_array(), *state = json_object_get(properties, "provisioningState");

	for (guint i = 0; i < list_length(table->spec.routes); i++)
		json_array_append_new(routes, encode_route(table, table->spec.routes->pdata[i], id, state));
	put_text(properties, "resourceGuid", table->meta.uid);
	put_flag(properties, "disableBgpRoutePropagation", table->spec.no_propagation);
	put_json(properties, "routes", routes);
	if (!(flags & ENCODE_WANTED))
		arm_put_subnets(arm, properties, table->meta.uid, offsetof(struct subnet, route_table));
}

static GPtrArray **list_routes(void *object)
{
	return &((struct route_table *)object)->spec.routes;
}

static const struct arm_child children[] = {
	{"routes", &user_route_shape, offsetof(struct user_route, name), list_routes, decode_route},
	{},
};

const struct arm_type arm_route_tables = {
	.namespace = "Microsoft.Network",
	.name = "routeTables",
	.kind = KIND_ROUTE_TABLE,
	.owned = owned,
	.decode = decode,
	.encode = encode,
	.children = children,
};
