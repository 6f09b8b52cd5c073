/* Load balancers and their parts: from JSON to the model and back.
 *
 * A load balancer names its own parts by their ids, also in the body that creates it: so these are read as text, and
 * what they name is checked with all else. Others' references to parts are looked up (lookup.c).
 */
#include "api/arm/balancers.h"

static const char *const owned[] = {
	FRONTS, POOLS, PROBES, RULES, NAT_RULES, NAT_POOLS, "outboundRules", NULL};

static const struct refusal refused[] = {
	{"properties." FRONTS "[].properties.publicIPPrefix", "public address prefixes"},
	{"properties." FRONTS "[].properties.gatewayLoadBalancer", "gateway load balancers"},
	{"properties." FRONTS "[].zones", "availability zones"},
	{"properties.outboundRules", "outbound rules"},
	{"extendedLocation", "extended locations"},
	{},
};
static const struct refusal refused_pool[] = {
	{"properties.loadBalancerBackendAddresses[].properties.ipAddress",
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

#define INTERVAL_S 15
#define THRESHOLD  2

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

/* What a client sends back of a dynamic address is no wish: it is kept as long as the front end stays in its subnet. */
static void decode_private(const struct cursor *properties, struct balancer_front *front)
{
	front->allocation =
		cursor_word(properties, "privateIPAllocationMethod", arm_allocations, ALLOCATION_DYNAMIC);
	if (cursor_word(properties, "privateIPAddressVersion", arm_versions, 0) != 0)
		cursor_fail(properties, "privateIPAddressVersion", "load balancers are of IPv4 here");
	if (front->allocation != ALLOCATION_STATIC)
		return;
	front->ip = cursor_dup(properties, "privateIPAddress");
	if (!front->ip)
		cursor_fail(properties, "privateIPAddress", "it is required with the Static method");
}

static void decode_front(struct arm *arm, const struct cursor *body, const void *parent, void *element)
{
	struct balancer_front *front = element;
	struct cursor properties = cursor_object(body, "properties");

	front->name = cursor_dup(body, "name");
	front->address = arm_reference(arm, &properties, "publicIPAddress", KIND_ADDRESS);
	if (arm_subnet_reference(arm, &properties, "subnet", &front->network, &front->subnet))
		decode_private(&properties, front);
	if (!front->address && !front->subnet)
		cursor_fail(&properties, "publicIPAddress", "it, or a subnet, is required");
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
	probe->protocol = cursor_word(&properties, "protocol", balancer_probe_protocols, PROBE_TCP);
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
	rule->protocol = cursor_word(&properties, "protocol", balancer_protocols, PROTOCOL_TCP);
	rule->front_port = cursor_int(&properties, "frontendPort", 0);
	rule->back_port = cursor_int(&properties, "backendPort", rule->front_port);
	rule->floating = cursor_bool(&properties, "enableFloatingIP", false);
	rule->distribution =
		cursor_word(&properties, "loadDistribution", balancer_distributions, DISTRIBUTION_TUPLE);
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
	nat->protocol = cursor_word(&properties, "protocol", balancer_protocols, PROTOCOL_TCP);
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

/* What a client has read of a NAT pool's port among the NAT rules, and gives back with the rest: "POOL.PLACE", for the port
 * in that place. Some clients drop who it leads to. */
static bool is_shown_port(const struct cursor *balancer, const struct cursor *item)
{
	struct cursor properties = cursor_object(item, "properties"),
		      pools = cursor_array(balancer, NAT_POOLS);
	const char *name = cursor_string(item, "name");
	int64_t port = cursor_int(&properties, "frontendPort", 0);

	for (size_t i = 0; name && i < cursor_length(&pools); i++) {
		struct cursor pool = cursor_item(&pools, i), its = cursor_object(&pool, "properties");
		const char *pool_name = cursor_string(&pool, "name");
		int64_t first = cursor_int(&its, "frontendPortRangeStart", 0);
		g_autofree char *shown = pool_name ? balancer_port_name(pool_name, port - first) : NULL;
		if (shown && g_ascii_strcasecmp(shown, name) == 0)
			return true;
	}
	return false;
}

static GPtrArray *decode_list(struct arm *arm, const struct cursor *properties, const char *key,
	const struct balancer *balancer, const struct shape *shape,
	void (*decode)(struct arm *arm, const struct cursor *body, const void *parent, void *element))
{
	struct cursor array = cursor_array(properties, key);
	GPtrArray *list = shape_list_new(shape);

	for (size_t i = 0; i < cursor_length(&array); i++) {
		struct cursor item = cursor_item(&array, i);
		if (decode == decode_nat_rule && is_shown_port(properties, &item))
			continue;
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

	spec->sku = cursor_word(&sku, "name", balancer_skus, was ? was->spec.sku : ADDRESS_BASIC);
	spec->fronts = decode_list(arm, &properties, FRONTS, balancer, &balancer_front_shape, decode_front);
	spec->pools = decode_list(arm, &properties, POOLS, balancer, &balancer_pool_shape, decode_pool);
	spec->probes = decode_list(arm, &properties, PROBES, balancer, &balancer_probe_shape, decode_probe);
	spec->rules = decode_list(arm, &properties, RULES, balancer, &balancer_rule_shape, decode_rule);
	spec->nat_rules =
		decode_list(arm, &properties, NAT_RULES, balancer, &balancer_nat_shape, decode_nat_rule);
	spec->nat_pools =
		decode_list(arm, &properties, NAT_POOLS, balancer, &balancer_nat_shape, decode_nat_pool);
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
	.encode = balancer_encode,
	.children = children,
};
