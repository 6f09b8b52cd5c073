/* Load balancers and their parts: from the model to JSON.
 *
 * Two things are shown twice, as clients look for them in either place: members of a pool, and ports of NAT pools, which
 * older clients read as NAT rules of one target each.
 */
#include "api/arm/balancers.h"

#define IDLE_MINUTES 4

const char *const balancer_skus[] = {[ADDRESS_BASIC] = "Basic", [ADDRESS_STANDARD] = "Standard", NULL};
const char *const balancer_protocols[] = {
	[PROTOCOL_ANY] = "All", [PROTOCOL_TCP] = "Tcp", [PROTOCOL_UDP] = "Udp", NULL};
const char *const balancer_probe_protocols[] = {[PROBE_TCP] = "Tcp", [PROBE_HTTP] = "Http", NULL};
const char *const balancer_distributions[] = {[DISTRIBUTION_TUPLE] = "Default",
	[DISTRIBUTION_SOURCE] = "SourceIP",
	[DISTRIBUTION_SOURCE_PROTOCOL] = "SourceIPProtocol",
	NULL};

/* What every part's answer needs. */
struct encode {
	struct arm *arm;
	const struct balancer *balancer;
	const char *id; /* of the balancer */
	json_t *state;
	GHashTable *nics; /* uid → id, of members */
	bool wanted; /* without members and who they are */
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
	put_text(properties, "privateIPAllocationMethod", arm_allocations[front->allocation]);
	if (!front->subnet)
		return json;
	if (front->allocation == ALLOCATION_STATIC || !e->wanted)
		put_text(properties, "privateIPAddress", front->ip);
	put_text(properties, "privateIPAddressVersion", "IPv4");
	arm_put_subnet(e->arm, properties, front->network, front->subnet);
	return json;
}

static const struct balancer_nat *find_nat(const struct encode *e, const struct balancer_target *target)
{
	const struct balancer_spec *spec = &e->balancer->spec;
	const GPtrArray *list = target->of_pool ? spec->nat_pools : spec->nat_rules;

	for (guint i = 0; i < list_length(list); i++) {
		const struct balancer_nat *nat = list->pdata[i];
		if (g_ascii_strcasecmp(nat->name, target->nat) == 0)
			return nat;
	}
	return NULL;
}

/* Ports by which NAT rules for the pool reach a member. */
static json_t *encode_ports(
	const struct encode *e, const struct balancer_pool *pool, const struct balancer_member *member)
{
	const GPtrArray *targets = e->balancer->status.targets;
	json_t *ports = json_array();

	for (guint i = 0; i < list_length(targets); i++) {
		const struct balancer_target *target = targets->pdata[i];
		const struct balancer_nat *nat = find_nat(e, target);
		if (nat && nat->pool && g_ascii_strcasecmp(nat->pool, pool->name) == 0 &&
			g_str_equal(target->nic, member->nic) &&
			g_ascii_strcasecmp(target->config, member->config) == 0)
			json_array_append_new(ports,
				json_pack("{s:s, s:s, s:I, s:I}", "inboundNatRuleName", nat->name, "protocol",
					balancer_protocols[nat->protocol], "frontendPort",
					(json_int_t)target->port, "backendPort", (json_int_t)nat->back_port));
	}
	return ports;
}

/* The members again, as newer clients look for them. */
static json_t *encode_backends(const struct encode *e, const struct balancer_pool *pool)
{
	const GPtrArray *members = e->balancer->status.members;
	json_t *backends = json_array();

	for (guint i = 0; i < list_length(members); i++) {
		const struct balancer_member *member = members->pdata[i];
		bool its = g_ascii_strcasecmp(member->pool, pool->name) == 0;
		g_autofree char *id = its ? configuration_of(e, member->nic, member->config) : NULL;
		if (id)
			json_array_append_new(backends,
				json_pack("{s:s, s:{s:{s:s}, s:o}}", "name", member->nic, "properties",
					"networkInterfaceIPConfiguration", "id", id,
					"inboundNatRulesPortMapping", encode_ports(e, pool, member)));
	}
	return backends;
}

static json_t *encode_pool(const struct encode *e, const void *part)
{
	const struct balancer_pool *pool = part;
	json_t *properties, *json = encode_part(e, POOLS, pool->name, &properties), *members = json_array();
	const GPtrArray *list = e->wanted ? NULL : e->balancer->status.members;

	for (guint i = 0; i < list_length(list); i++) {
		const struct balancer_member *member = list->pdata[i];
		g_autofree char *id = g_ascii_strcasecmp(member->pool, pool->name) == 0
					      ? configuration_of(e, member->nic, member->config)
					      : NULL;
		if (id)
			json_array_append_new(members, json_pack("{s:s}", "id", id));
	}
	put_json(properties, "backendIPConfigurations", members);
	if (!e->wanted)
		put_json(properties, "loadBalancerBackendAddresses", encode_backends(e, pool));
	return json;
}

static json_t *encode_probe(const struct encode *e, const void *part)
{
	const struct balancer_probe *probe = part;
	json_t *properties, *json = encode_part(e, PROBES, probe->name, &properties);

	put_text(properties, "protocol", balancer_probe_protocols[probe->protocol]);
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
	put_text(properties, "protocol", balancer_protocols[rule->protocol]);
	put_number(properties, "frontendPort", rule->front_port);
	put_number(properties, "backendPort", rule->back_port);
	put_flag(properties, "enableFloatingIP", rule->floating);
	put_text(properties, "loadDistribution", balancer_distributions[rule->distribution]);
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
	put_text(properties, "protocol", balancer_protocols[nat->protocol]);
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
	for (guint i = 0; !e->wanted && !nat->pool && i < list_length(targets); i++) {
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

/* A NAT pool's port as the NAT rule that it stands for; NULL when who it leads to is gone. */
static json_t *encode_port(const struct encode *e, const struct balancer_target *target)
{
	const struct balancer_nat *pool = find_nat(e, target);
	g_autofree char *id = pool ? configuration_of(e, target->nic, target->config) : NULL;
	struct balancer_nat rule;
	json_t *properties, *json;

	if (!id)
		return NULL;
	g_autofree char *name = balancer_port_name(pool->name, target->port - pool->first_port);
	rule = *pool;
	rule.name = name;
	json = encode_nat(e, &rule, NAT_RULES, &properties);
	put_number(properties, "frontendPort", target->port);
	put_id(properties, "backendIPConfiguration", g_steal_pointer(&id));
	return json;
}

/* Behind the NAT rules that there are. */
static void append_ports(const struct encode *e, json_t *rules)
{
	const GPtrArray *targets = e->balancer->status.targets;

	for (guint i = 0; i < list_length(targets); i++) {
		const struct balancer_target *target = targets->pdata[i];
		json_t *json = target->of_pool ? encode_port(e, target) : NULL;
		if (json)
			json_array_append_new(rules, json);
	}
}

static void put_parts(const struct encode *e, json_t *properties, const char *key, const GPtrArray *parts,
	json_t *(*one)(const struct encode *e, const void *part))
{
	json_t *array = json_array();

	for (guint i = 0; i < list_length(parts); i++)
		json_array_append_new(array, one(e, parts->pdata[i]));
	put_json(properties, key, array);
}

void balancer_encode(struct arm *arm, const void *object, unsigned flags, json_t *answer, json_t *properties)
{
	const struct balancer *balancer = object;
	const struct balancer_spec *spec = &balancer->spec;
	g_autoptr(GHashTable) nics = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	const struct encode e = {arm, balancer, json_string_value(json_object_get(answer, "id")),
		json_object_get(properties, "provisioningState"), nics, flags & ENCODE_WANTED};
	json_t *sku = put_object(answer, "sku");

	put_text(sku, "name", balancer_skus[spec->sku]);
	put_text(sku, "tier", "Regional");
	put_text(properties, "resourceGuid", balancer->meta.uid);
	put_parts(&e, properties, FRONTS, spec->fronts, encode_front);
	put_parts(&e, properties, POOLS, spec->pools, encode_pool);
	put_parts(&e, properties, PROBES, spec->probes, encode_probe);
	put_parts(&e, properties, RULES, spec->rules, encode_rule);
	put_parts(&e, properties, NAT_RULES, spec->nat_rules, encode_nat_rule);
	if (!e.wanted)
		append_ports(&e, json_object_get(properties, NAT_RULES));
	put_parts(&e, properties, NAT_POOLS, spec->nat_pools, encode_nat_pool);
	put_json(properties, "outboundRules", json_array());
}
