/* Load balancers and their parts: from JSON to the model and back.
 *
 * A load balancer names its own parts by their ids, also in the body that creates it: so these are read as text, and
 * what they name is checked with all else. Others' references to parts are looked up (lookup.c).
 */
#include "api/arm/arm_priv.h"

#define FRONTS    "frontendIPConfigurations"
#define POOLS     "backendAddressPools"
#define PROBES    "probes"
#define RULES     "loadBalancingRules"
#define NAT_RULES "inboundNatRules"
#define NAT_POOLS "inboundNatPools"

static const char *const owned[] = {
	FRONTS, POOLS, PROBES, RULES, NAT_RULES, NAT_POOLS, "outboundRules", NULL};

static const struct refusal refused[] = {
	{"properties." FRONTS "[].properties.subnet", "internal load balancers (front ends in a subnet)"},
	{"properties." FRONTS "[].properties.privateIPAddress",
		"internal load balancers (front ends in a subnet)"},
	{"properties." FRONTS "[].properties.publicIPPrefix", "public address prefixes"},
	{"properties." FRONTS "[].properties.gatewayLoadBalancer", "gateway load balancers"},
	{"properties." FRONTS "[].zones", "availability zones"},
	{"properties.outboundRules", "outbound rules"},
	{"extendedLocation", "extended locations"},
	{},
};
static const struct refusal refused_pool[] = {
	{"properties.loadBalancerBackendAddresses",
		"backend pools of addresses instead of network interfaces"},
	{"properties.tunnelInterfaces", "gateway load balancers"},
	{"properties.drainPeriodInSeconds", "drain periods"},
	{},
};
static const struct refusal refused_rule[] = {
	{"properties.enableTcpReset", "resets of idle connections"},
	{"properties.enableConnectionTracking", "rules with connection tracking"},
	{},
};

static const char *const skus[] = {[ADDRESS_BASIC] = "Basic", [ADDRESS_STANDARD] = "Standard", NULL};
static const char *const protocols[] = {
	[PROTOCOL_ANY] = "All", [PROTOCOL_TCP] = "Tcp", [PROTOCOL_UDP] = "Udp", NULL};
static const char *const probe_protocols[] = {[PROBE_TCP] = "Tcp", [PROBE_HTTP] = "Http", NULL};
static const char *const distributions[] = {[DISTRIBUTION_TUPLE] = "Default",
	[DISTRIBUTION_SOURCE] = "SourceIP",
	[DISTRIBUTION_SOURCE_PROTOCOL] = "SourceIPProtocol",
	NULL};

#define IDLE_MINUTES 4
#define INTERVAL_S   15
#define THRESHOLD    2

/* ---- from JSON ---- */

/* Name of the balancer's own part that {key: {"id": ...}} names. Owned; NULL when absent or wrong. */
static char *own_part_at(const struct cursor *reference, const struct balancer *balancer, const char *list)
{
	_cleanup_(arm_id_clear) struct arm_id id = {};
	const char *text = cursor_string(reference, "id");
	g_autoptr(GError) failure = NULL;

	if (!text)
		return NULL;
	if (!arm_id_parse(text, &id, &failure))
		cursor_fail(reference, "id", "%s", failure->message);
	else if (!id.child_name || g_ascii_strcasecmp(id.type, "loadBalancers") != 0 ||
		 g_ascii_strcasecmp(id.name, balancer->meta.name) != 0 ||
		 g_ascii_strcasecmp(id.child, list) != 0)
		cursor_fail(reference, "id", "it must be the id of one of %s of load balancer %s", list,
			balancer->meta.name);
	else
		return g_strdup(id.child_name);
	return NULL;
}

static char *own_part(
	const struct cursor *at, const char *key, const struct balancer *balancer, const char *list)
{
	struct cursor reference = cursor_object(at, key);

	return own_part_at(&reference, balancer, list);
}

static char *need_part(
	const struct cursor *at, const char *key, const struct balancer *balancer, const char *list)
{
	char *name = own_part(at, key, balancer, list);

	if (!name)
		cursor_fail(at, key, "it is required");
	return name;
}

static void decode_front(struct arm *arm, const struct cursor *body, const void *parent, void *element)
{
	struct balancer_front *front = element;
	struct cursor properties = cursor_object(body, "properties");

	front->name = cursor_dup(body, "name");
	front->address = arm_reference(arm, &properties, "publicIPAddress", KIND_ADDRESS);
	if (!front->address)
		cursor_fail(&properties, "publicIPAddress", "it is required");
}

static void decode_pool(struct arm *arm, const struct cursor *body, const void *parent, void *element)
{
	struct balancer_pool *pool = element;

	extra_refuse(body, refused_pool);
	pool->name = cursor_dup(body, "name");
}

static void decode_probe(struct arm *arm, const struct cursor *body, const void *parent, void *element)
{
	struct balancer_probe *probe = element;
	struct cursor properties = cursor_object(body, "properties");

	probe->name = cursor_dup(body, "name");
	probe->protocol = cursor_word(&properties, "protocol", probe_protocols, PROBE_TCP);
	probe->port = cursor_int(&properties, "port", 0);
	probe->path = cursor_dup(&properties, "requestPath");
	probe->interval_s = cursor_int(&properties, "intervalInSeconds", INTERVAL_S);
	probe->threshold = cursor_int(
		&properties, "probeThreshold", cursor_int(&properties, "numberOfProbes", THRESHOLD));
}

/* Newer clients name several pools, of which there is one as a rule. */
static char *decode_pool_of_rule(const struct cursor *properties, const struct balancer *balancer)
{
	struct cursor pools = cursor_array(properties, "backendAddressPools");
	char *name = own_part(properties, "backendAddressPool", balancer, POOLS);

	if (cursor_length(&pools) > 1)
		cursor_fail(properties, "backendAddressPools", "a rule has one pool here");
	if (!name && cursor_length(&pools) == 1) {
		struct cursor first = cursor_item(&pools, 0);
		name = own_part_at(&first, balancer, POOLS);
	}
	if (!name)
		cursor_fail(properties, "backendAddressPool", "it is required");
	return name;
}

static void decode_rule(struct arm *arm, const struct cursor *body, const void *parent, void *element)
{
	const struct balancer *balancer = parent;
	struct balancer_rule *rule = element;
	struct cursor properties = cursor_object(body, "properties");

	extra_refuse(body, refused_rule);
	rule->name = cursor_dup(body, "name");
	rule->front = need_part(&properties, "frontendIPConfiguration", balancer, FRONTS);
	rule->pool = decode_pool_of_rule(&properties, balancer);
	rule->probe = own_part(&properties, "probe", balancer, PROBES);
	rule->protocol = cursor_word(&properties, "protocol", protocols, PROTOCOL_TCP);
	rule->front_port = cursor_int(&properties, "frontendPort", 0);
	rule->back_port = cursor_int(&properties, "backendPort", rule->front_port);
	rule->floating = cursor_bool(&properties, "enableFloatingIP", false);
	rule->distribution = cursor_word(&properties, "loadDistribution", distributions, DISTRIBUTION_TUPLE);
	rule->no_outbound = cursor_bool(&properties, "disableOutboundSnat", false);
	rule->idle_timeout_min = cursor_int(&properties, "idleTimeoutInMinutes", 0);
}

/* What NAT rules and NAT pools have in common. */
static struct cursor decode_nat(
	const struct cursor *body, const struct balancer *balancer, struct balancer_nat *nat)
{
	struct cursor properties = cursor_object(body, "properties");

	extra_refuse(body, refused_rule);
	nat->name = cursor_dup(body, "name");
	nat->front = need_part(&properties, "frontendIPConfiguration", balancer, FRONTS);
	nat->protocol = cursor_word(&properties, "protocol", protocols, PROTOCOL_TCP);
	nat->first_port = cursor_int(&properties, "frontendPortRangeStart", 0);
	nat->last_port = cursor_int(&properties, "frontendPortRangeEnd", 0);
	nat->back_port = cursor_int(&properties, "backendPort", 0);
	nat->floating = cursor_bool(&properties, "enableFloatingIP", false);
	nat->idle_timeout_min = cursor_int(&properties, "idleTimeoutInMinutes", 0);
	return properties;
}

static void decode_nat_rule(struct arm *arm, const struct cursor *body, const void *parent, void *element)
{
	const struct balancer *balancer = parent;
	struct balancer_nat *nat = element;
	struct cursor properties = decode_nat(body, balancer, nat);
	int64_t port = cursor_int(&properties, "frontendPort", 0);

	nat->pool = own_part(&properties, "backendAddressPool", balancer, POOLS);
	if (nat->pool && port)
		cursor_fail(&properties, "frontendPort",
			"a rule for a pool has a range, frontendPortRangeStart to frontendPortRangeEnd");
	else if (!nat->pool && (nat->first_port || nat->last_port))
		cursor_fail(&properties, "backendAddressPool", "it is required with a range of ports");
	else if (!nat->pool)
		nat->first_port = nat->last_port = port;
}

static void decode_nat_pool(struct arm *arm, const struct cursor *body, const void *parent, void *element)
{
	decode_nat(body, parent, element);
}

static GPtrArray *decode_list(struct arm *arm, const struct cursor *properties, const char *key,
	const struct balancer *balancer, const struct shape *shape,
	void (*decode)(struct arm *arm, const struct cursor *body, const void *parent, void *element))
{
	struct cursor array = cursor_array(properties, key);
	GPtrArray *list = shape_list_new(shape);

	for (size_t i = 0; i < cursor_length(&array); i++) {
		struct cursor item = cursor_item(&array, i);
		void *element = shape_new(shape);
		g_ptr_array_add(list, element);
		decode(arm, &item, balancer, element);
		if (!*(char **)element) /* the name is the first member of all */
			cursor_fail(&item, "name", "it is required");
	}
	return list;
}

static void decode(struct arm *arm, const struct cursor *body, const void *old, void *wanted)
{
	const struct balancer *was = old;
	struct balancer *balancer = wanted;
	struct cursor sku = cursor_object(body, "sku"), properties = cursor_object(body, "properties");
	struct balancer_spec *spec = &balancer->spec;

	spec->sku = cursor_word(&sku, "name", skus, was ? was->spec.sku : ADDRESS_BASIC);
	spec->fronts = decode_list(arm, &properties, FRONTS, balancer, &balancer_front_shape, decode_front);
	spec->pools = decode_list(arm, &properties, POOLS, balancer, &balancer_pool_shape, decode_pool);
	spec->probes = decode_list(arm, &properties, PROBES, balancer, &balancer_probe_shape, decode_probe);
	spec->rules = decode_list(arm, &properties, RULES, balancer, &balancer_rule_shape, decode_rule);
	spec->nat_rules =
		decode_list(arm, &properties, NAT_RULES, balancer, &balancer_nat_shape, decode_nat_rule);
	spec->nat_pools =
		decode_list(arm, &properties, NAT_POOLS, balancer, &balancer_nat_shape, decode_nat_pool);
}

/* ---- to JSON ---- */

/* What every part's answer needs. */
struct encode {
	struct arm *arm;
	const struct balancer *balancer;
	const char *id; /* of the balancer */
	json_t *state;
	GHashTable *nics; /* uid → id, of members */
};

static json_t *encode_part(
	const struct encode *e, const char *list, const char *name, json_t **ret_properties)
{
	json_t *json = json_object();
	g_autofree char *id = g_strdup_printf("%s/%s/%s", e->id, list, name);
	g_autofree char *type = g_strdup_printf("Microsoft.Network/loadBalancers/%s", list);
	g_autofree char *etag = arm_etag(&e->balancer->meta);

	put_text(json, "id", id);
	put_text(json, "name", name);
	put_text(json, "type", type);
	put_text(json, "etag", etag);
	*ret_properties = put_object(json, "properties");
	json_object_set(*ret_properties, "provisioningState", e->state);
	return json;
}

static void put_part(
	const struct encode *e, json_t *properties, const char *key, const char *list, const char *name)
{
	if (name)
		put_id(properties, key, g_strdup_printf("%s/%s/%s", e->id, list, name));
}

/* Id of a NIC's configuration. Owned; NULL when the NIC is gone. */
static char *configuration_of(const struct encode *e, const char *nic, const char *config)
{
	if (!g_hash_table_contains(e->nics, nic))
		g_hash_table_insert(e->nics, g_strdup(nic), arm_id_of(e->arm, KIND_NIC, nic));
	const char *id = g_hash_table_lookup(e->nics, nic);
	return id ? g_strdup_printf("%s/ipConfigurations/%s", id, config) : NULL;
}

static json_t *encode_front(const struct encode *e, const void *part)
{
	const struct balancer_front *front = part;
	json_t *properties, *json = encode_part(e, FRONTS, front->name, &properties);

	put_id(properties, "publicIPAddress", arm_id_of(e->arm, KIND_ADDRESS, front->address));
	put_text(properties, "privateIPAllocationMethod", "Dynamic");
	return json;
}

static json_t *encode_pool(const struct encode *e, const void *part)
{
	const struct balancer_pool *pool = part;
	json_t *properties, *json = encode_part(e, POOLS, pool->name, &properties), *members = json_array();
	const GPtrArray *list = e->balancer->status.members;

	for (guint i = 0; i < list_length(list); i++) {
		const struct balancer_member *member = list->pdata[i];
		g_autofree char *id = g_ascii_strcasecmp(member->pool, pool->name) == 0
					      ? configuration_of(e, member->nic, member->config)
					      : NULL;
		if (id)
			json_array_append_new(members, json_pack("{s:s}", "id", id));
	}
	put_json(properties, "backendIPConfigurations", members);
	return json;
}

static json_t *encode_probe(const struct encode *e, const void *part)
{
	const struct balancer_probe *probe = part;
	json_t *properties, *json = encode_part(e, PROBES, probe->name, &properties);

	put_text(properties, "protocol", probe_protocols[probe->protocol]);
	put_number(properties, "port", probe->port);
	put_text(properties, "requestPath", probe->path);
	put_number(properties, "intervalInSeconds", probe->interval_s);
	put_number(properties, "numberOfProbes", probe->threshold);
	put_number(properties, "probeThreshold", probe->threshold);
	return json;
}

static void put_idle(json_t *properties, int64_t minutes)
{
	put_number(properties, "idleTimeoutInMinutes", minutes ? minutes : IDLE_MINUTES);
	put_flag(properties, "enableTcpReset", false);
}

static json_t *encode_rule(const struct encode *e, const void *part)
{
	const struct balancer_rule *rule = part;
	json_t *properties, *json = encode_part(e, RULES, rule->name, &properties);

	put_part(e, properties, "frontendIPConfiguration", FRONTS, rule->front);
	put_part(e, properties, "backendAddressPool", POOLS, rule->pool);
	put_json(properties, "backendAddressPools",
		json_pack("[O]", json_object_get(properties, "backendAddressPool")));
	put_part(e, properties, "probe", PROBES, rule->probe);
	put_text(properties, "protocol", protocols[rule->protocol]);
	put_number(properties, "frontendPort", rule->front_port);
	put_number(properties, "backendPort", rule->back_port);
	put_flag(properties, "enableFloatingIP", rule->floating);
	put_text(properties, "loadDistribution", distributions[rule->distribution]);
	put_flag(properties, "disableOutboundSnat", rule->no_outbound);
	put_idle(properties, rule->idle_timeout_min);
	return json;
}

static json_t *encode_nat(
	const struct encode *e, const struct balancer_nat *nat, const char *list, json_t **ret_properties)
{
	json_t *properties, *json = encode_part(e, list, nat->name, &properties);

	put_part(e, properties, "frontendIPConfiguration", FRONTS, nat->front);
	put_part(e, properties, "backendAddressPool", POOLS, nat->pool);
	put_text(properties, "protocol", protocols[nat->protocol]);
	put_number(properties, "backendPort", nat->back_port);
	put_flag(properties, "enableFloatingIP", nat->floating);
	put_idle(properties, nat->idle_timeout_min);
	*ret_properties = properties;
	return json;
}

static void put_range(json_t *properties, const struct balancer_nat *nat)
{
	put_number(properties, "frontendPortRangeStart", nat->first_port);
	put_number(properties, "frontendPortRangeEnd", nat->last_port);
}

static json_t *encode_nat_rule(const struct encode *e, const void *part)
{
	const struct balancer_nat *nat = part;
	const GPtrArray *targets = e->balancer->status.targets;
	json_t *properties, *json = encode_nat(e, nat, NAT_RULES, &properties);

	if (nat->pool)
		put_range(properties, nat);
	else
		put_number(properties, "frontendPort", nat->first_port);
	for (guint i = 0; !nat->pool && i < list_length(targets); i++) {
		const struct balancer_target *target = targets->pdata[i];
		if (!target->of_pool && g_ascii_strcasecmp(target->nat, nat->name) == 0)
			put_id(properties, "backendIPConfiguration",
				configuration_of(e, target->nic, target->config));
	}
	return json;
}

static json_t *encode_nat_pool(const struct encode *e, const void *part)
{
	json_t *properties, *json = encode_nat(e, part, NAT_POOLS, &properties);

	put_range(properties, part);
	return json;
}

static void put_parts(const struct encode *e, json_t *properties, const char *key, const GPtrArray *parts,
	json_t *(*one)(const struct encode *e, const void *part))
{
	json_t *array = json_array();

	for (guint i = 0; i < list_length(parts); i++)
		json_array_append_new(array, one(e, parts->pdata[i]));
	put_json(properties, key, array);
}

static void encode(struct arm *arm, const void *object, unsigned flags, json_t *answer, json_t *properties)
{
	const struct balancer *balancer = object;
	const struct balancer_spec *spec = &balancer->spec;
	g_autoptr(GHashTable) nics = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	const struct encode e = {arm, balancer, json_string_value(json_object_get(answer, "id")),
		json_object_get(properties, "provisioningState"), nics};
	json_t *sku = put_object(answer, "sku");

	put_text(sku, "name", skus[spec->sku]);
	put_text(sku, "tier", "Regional");
	put_text(properties, "resourceGuid", balancer->meta.uid);
	put_parts(&e, properties, FRONTS, spec->fronts, encode_front);
	put_parts(&e, properties, POOLS, spec->pools, encode_pool);
	put_parts(&e, properties, PROBES, spec->probes, encode_probe);
	put_parts(&e, properties, RULES, spec->rules, encode_rule);
	put_parts(&e, properties, NAT_RULES, spec->nat_rules, encode_nat_rule);
	put_parts(&e, properties, NAT_POOLS, spec->nat_pools, encode_nat_pool);
	put_json(properties, "outboundRules", json_array());
}

static GPtrArray **list_pools(void *object)
{
	return &((struct balancer *)object)->spec.pools;
}

static GPtrArray **list_nat_rules(void *object)
{
	return &((struct balancer *)object)->spec.nat_rules;
}

static const struct arm_child children[] = {
	{POOLS, &balancer_pool_shape, offsetof(struct balancer_pool, name), list_pools, decode_pool},
	{NAT_RULES, &balancer_nat_shape, offsetof(struct balancer_nat, name), list_nat_rules,
		decode_nat_rule},
	{},
};

const struct arm_type arm_balancers = {
	.namespace = "Microsoft.Network",
	.name = "loadBalancers",
	.kind = KIND_BALANCER,
	.owned = owned,
	.refused = refused,
	.decode = decode,
	.encode = encode,
	.children = children,
};
