/* Virtual networks and their subnets. */
#include "api/arm/arm_priv.h"

#include <string.h>

static const char *const owned[] = {"addressSpace", "subnets", "virtualNetworkPeerings", NULL};
static const char *const owned_subnet[] = {"addressPrefix", "addressPrefixes", "networkSecurityGroup",
	"routeTable", "defaultOutboundAccess", "delegations", "privateEndpointNetworkPolicies",
	"privateLinkServiceNetworkPolicies", "ipConfigurations", NULL};

static const struct refusal refused_subnet[] = {
	{"properties.natGateway", "NAT gateways"},
	{"properties.delegations", "delegations"},
	{"properties.serviceEndpoints", "service endpoints"},
	{},
};

static const struct refusal refused[] = {
	{"properties.virtualNetworkPeerings", "peerings"},
	{"properties.dhcpOptions.dnsServers", "DNS servers of one's own"},
	{"properties.ddosProtectionPlan", "DDoS protection plans"},
	{"properties.enableDdosProtection", "DDoS protection plans"},
	{"extendedLocation", "extended locations"},
	{},
};

static void decode_prefixes(const struct cursor *properties, struct subnet *subnet)
{
	g_autoptr(GPtrArray) prefixes = cursor_strings(properties, "addressPrefixes");

	for (guint i = 0; i < list_length(prefixes); i++) {
		const char *prefix = prefixes->pdata[i];
		char **to = strchr(prefix, ':') ? &subnet->prefix6 : &subnet->prefix;
		if (*to)
			cursor_fail(properties, "addressPrefixes",
				"a subnet has one prefix of IPv4 here, and one of IPv6 beside it if need be");
		else
			*to = g_strdup(prefix);
	}
	if (list_length(prefixes) == 0)
		subnet->prefix = cursor_dup(properties, "addressPrefix");
	/* One of IPv6 alone goes on as it is: the control plane refuses it. */
	if (!subnet->prefix)
		subnet->prefix = g_steal_pointer(&subnet->prefix6);
	if (!subnet->prefix)
		cursor_fail(properties, "addressPrefix", "it is required");
}

static void decode_subnet(struct arm *arm, const struct cursor *body, const void *parent, void *element)
{
	struct subnet *subnet = element;
	struct cursor properties = cursor_object(body, "properties");

	extra_refuse(body, refused_subnet);
	subnet->name = cursor_dup(body, "name");
	decode_prefixes(&properties, subnet);
	subnet->security_group = arm_reference(arm, &properties, "networkSecurityGroup", KIND_SECURITY_GROUP);
	subnet->route_table = arm_reference(arm, &properties, "routeTable", KIND_ROUTE_TABLE);
	subnet->no_outbound = !cursor_bool(&properties, "defaultOutboundAccess", true);
	subnet->extra = body->json ? extra_of(body->json, owned_subnet) : NULL;
}

/* Subnets that are not mentioned at all stay; an empty list removes them. */
static void decode(struct arm *arm, const struct cursor *body, const void *old, void *wanted)
{
	const struct network *was = old;
	struct network *network = wanted;
	struct cursor properties = cursor_object(body, "properties");
	struct cursor space = cursor_object(&properties, "addressSpace");
	struct cursor subnets = cursor_array(&properties, "subnets");

	network->spec.prefixes = cursor_strings(&space, "addressPrefixes");
	if (list_length(network->spec.prefixes) == 0)
		cursor_fail(&space, "addressPrefixes", "it is required");
	network->spec.subnets = shape_list_new(&subnet_shape);
	for (size_t i = 0; i < cursor_length(&subnets); i++) {
		struct cursor item = cursor_item(&subnets, i);
		struct subnet *subnet = shape_new(&subnet_shape);
		g_ptr_array_add(network->spec.subnets, subnet);
		decode_subnet(arm, &item, network, subnet);
		if (!subnet->name)
			cursor_fail(&item, "name", "it is required");
	}
	for (guint i = 0; was && !cursor_is_set(&subnets) && i < list_length(was->spec.subnets); i++)
		g_ptr_array_add(
			network->spec.subnets, shape_copy(&subnet_shape, was->spec.subnets->pdata[i]));
}

static json_t *encode_subnet(struct arm *arm, const struct network *network, const struct subnet *subnet,
	const char *network_id, json_t *state)
{
	json_t *json = subnet->extra ? json_deep_copy(subnet->extra) : json_object(), *properties;
	g_autofree char *id = g_strdup_printf("%s/subnets/%s", network_id, subnet->name);
	g_autofree char *etag = arm_etag(&network->meta);

	put_text(json, "id", id);
	put_text(json, "name", subnet->name);
	put_text(json, "etag", etag);
	put_text(json, "type", "Microsoft.Network/virtualNetworks/subnets");
	properties = put_object(json, "properties");
	if (subnet->prefix6)
		put_json(properties, "addressPrefixes", json_pack("[s, s]", subnet->prefix, subnet->prefix6));
	else
		put_text(properties, "addressPrefix", subnet->prefix);
	put_id(properties, "networkSecurityGroup",
		arm_id_of(arm, KIND_SECURITY_GROUP, subnet->security_group));
	put_id(properties, "routeTable", arm_id_of(arm, KIND_ROUTE_TABLE, subnet->route_table));
	if (subnet->no_outbound)
		put_json(properties, "defaultOutboundAccess", json_false());
	json_object_set(properties, "provisioningState", state);
	put_json(properties, "delegations", json_array());
	put_text(properties, "privateEndpointNetworkPolicies", "Disabled");
	put_text(properties, "privateLinkServiceNetworkPolicies", "Enabled");
	return json;
}

static void encode(struct arm *arm, const void *object, unsigned flags, json_t *answer, json_t *properties)
{
	const struct network *network = object;
	const char *id = json_string_value(json_object_get(answer, "id"));
	json_t *subnets = json_array(), *state = json_object_get(properties, "provisioningState");

	put_json(put_object(properties, "addressSpace"), "addressPrefixes",
		put_strings(network->spec.prefixes));
	for (guint i = 0; i < list_length(network->spec.subnets); i++)
		json_array_append_new(
			subnets, encode_subnet(arm, network, network->spec.subnets->pdata[i], id, state));
	put_json(properties, "subnets", subnets);
	put_text(properties, "resourceGuid", network->meta.uid);
	put_json(properties, "virtualNetworkPeerings", json_array());
}

static GPtrArray **list_subnets(void *object)
{
	return &((struct network *)object)->spec.subnets;
}

static const struct arm_child children[] = {
	{"subnets", &subnet_shape, offsetof(struct subnet, name), list_subnets, decode_subnet},
	{},
};

const struct arm_type arm_networks = {
	.namespace = "Microsoft.Network",
	.name = "virtualNetworks",
	.kind = KIND_NETWORK,
	.owned = owned,
	.refused = refused,
	.decode = decode,
	.encode = encode,
	.children = children,
};
