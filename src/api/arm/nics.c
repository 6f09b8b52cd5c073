/* Network interfaces. */
#include "api/arm/arm_priv.h"

/* Shown, never stored: `az network nic show` prints tags, and no member that ARM does not have. */
#define TAG_ACCELERATION "sluice-acceleration"

static const char *const owned[] = {"ipConfigurations", "macAddress", "virtualMachine", "primary",
	"enableAcceleratedNetworking", "enableIPForwarding", "networkSecurityGroup", "dnsSettings",
	"hostedWorkloads", "tapConfigurations", "accelerationStatus", "nicType", NULL};

static const struct refusal refused[] = {
	{"properties.dnsSettings.dnsServers", "DNS servers of one's own"},
	{"properties.dnsSettings.internalDnsNameLabel", "internal DNS names"},
	{"properties.ipConfigurations[].properties.applicationGatewayBackendAddressPools",
		"application gateways"},
	{"properties.ipConfigurations[].properties.virtualNetworkTaps", "virtual network taps"},
	{"properties.ipConfigurations[].properties.gatewayLoadBalancer", "gateway load balancers"},
	{"properties.tapConfigurations", "virtual network taps"},
	{"extendedLocation", "extended locations"},
	{},
};

const char *const arm_allocations[] = {
	[ALLOCATION_DYNAMIC] = "Dynamic", [ALLOCATION_STATIC] = "Static", NULL};
const char *const arm_versions[] = {"IPv4", "IPv6", NULL};

/* ---- from JSON ---- */

static const struct nic_config *find_config(const struct nic *nic, const char *name)
{
	for (guint i = 0; nic && name && i < list_length(nic->spec.configs); i++) {
		const struct nic_config *config = nic->spec.configs->pdata[i];
		if (g_ascii_strcasecmp(config->name, name) == 0)
			return config;
	}
	return NULL;
}

/* A dynamic address is kept as long as the configuration stays in its subnet, whatever the client sends back.
 */
static struct nic_config *decode_config(struct arm *arm, const struct cursor *item, const struct nic *old)
{
	struct nic_config *config = shape_new(&nic_config_shape);
	struct cursor properties = cursor_object(item, "properties");
	const struct nic_config *was;

	config->name = cursor_need(item, "name");
	config->allocation =
		cursor_word(&properties, "privateIPAllocationMethod", arm_allocations, ALLOCATION_DYNAMIC);
	config->primary = cursor_bool(&properties, "primary", false);
	config->address = arm_reference(arm, &properties, "publicIPAddress", KIND_ADDRESS);
	config->pools =
		arm_balancer_refs(arm, &properties, "loadBalancerBackendAddressPools", "backendAddressPools");
	config->nat_rules =
		arm_balancer_refs(arm, &properties, "loadBalancerInboundNatRules", "inboundNatRules");
	config->application_groups =
		arm_references(arm, &properties, "applicationSecurityGroups", KIND_APPLICATION_GROUP);
	config->ipv6 = cursor_word(&properties, "privateIPAddressVersion", arm_versions, 0) != 0;
	if (!arm_subnet_reference(arm, &properties, "subnet", &config->network, &config->subnet))
		cursor_fail(&properties, "subnet", "it is required");
	config->ip = cursor_dup(&properties, "privateIPAddress");
	if (config->allocation == ALLOCATION_STATIC) {
		if (!config->ip)
			cursor_fail(&properties, "privateIPAddress", "it is required with the Static method");
		return config;
	}
	was = find_config(old, config->name);
	g_clear_pointer(&config->ip, g_free);
	if (was && was->ipv6 == config->ipv6 && g_strcmp0(was->subnet, config->subnet) == 0)
		config->ip = g_strdup(was->ip);
	return config;
}

/* The primary one comes first, as the model wants it; where none is, the control plane chooses. */
static void order_configs(const struct cursor *configs, GPtrArray *list)
{
	guint first = 0, n = 0;

	for (guint i = 0; i < list->len; i++)
		if (((struct nic_config *)list->pdata[i])->primary) {
			first = i;
			n++;
		}
	if (n > 1)
		cursor_fail(configs, NULL, "only one can be primary");
	if (n == 1)
		g_ptr_array_insert(list, 0, g_ptr_array_steal_index(list, first));
}

/* Clients send back the tags that they were shown. */
static void forget_shown_tag(struct nic *nic)
{
	if (json_object_del(nic->meta.tags, TAG_ACCELERATION) == 0 && json_object_size(nic->meta.tags) == 0)
		g_clear_pointer(&nic->meta.tags, json_decref);
}

static void decode(struct arm *arm, const struct cursor *body, const void *old, void *wanted)
{
	struct nic *nic = wanted;
	struct cursor properties = cursor_object(body, "properties");
	struct cursor configs = cursor_array(&properties, "ipConfigurations");

	forget_shown_tag(nic);
	nic->spec.accelerated = cursor_bool(&properties, "enableAcceleratedNetworking", false);
	nic->spec.ip_forwarding = cursor_bool(&properties, "enableIPForwarding", false);
	nic->spec.security_group =
		arm_reference(arm, &properties, "networkSecurityGroup", KIND_SECURITY_GROUP);
	nic->spec.configs = shape_list_new(&nic_config_shape);
	if (cursor_length(&configs) == 0)
		cursor_fail(&properties, "ipConfigurations", "it is required");
	for (size_t i = 0; i < cursor_length(&configs); i++) {
		struct cursor item = cursor_item(&configs, i);
		g_ptr_array_add(nic->spec.configs, decode_config(arm, &item, old));
	}
	order_configs(&configs, nic->spec.configs);
}

/* ---- to JSON ---- */

void arm_put_subnet(struct arm *arm, json_t *properties, const char *network_uid, const char *subnet_uid)
{
	_cleanup_(model_free) struct network *network =
		control_get(arm->control, KIND_NETWORK, network_uid, NULL);
	g_autofree char *id = network ? arm_id_of_object(arm, &network->meta) : NULL;

	for (guint i = 0; id && i < list_length(network->spec.subnets); i++) {
		const struct subnet *subnet = network->spec.subnets->pdata[i];
		if (g_strcmp0(subnet->uid, subnet_uid) == 0)
			put_id(properties, "subnet", g_strdup_printf("%s/subnets/%s", id, subnet->name));
	}
}

static json_t *encode_config(struct arm *arm, const struct nic *nic, const struct nic_config *config,
	const char *nic_id, unsigned flags, json_t *state)
{
	json_t *json = json_object(), *properties = put_object(json, "properties");
	bool given = config->allocation == ALLOCATION_DYNAMIC;
	g_autofree char *id = g_strdup_printf("%s/ipConfigurations/%s", nic_id, config->name);
	g_autofree char *etag = arm_etag(&nic->meta);

	put_text(json, "id", id);
	put_text(json, "name", config->name);
	put_text(json, "type", "Microsoft.Network/networkInterfaces/ipConfigurations");
	put_text(json, "etag", etag);
	json_object_set(properties, "provisioningState", state);
	put_flag(properties, "primary", config->primary);
	if (!given || !(flags & ENCODE_WANTED))
		put_text(properties, "privateIPAddress", config->ip);
	put_text(properties, "privateIPAddressVersion", arm_versions[config->ipv6]);
	put_text(properties, "privateIPAllocationMethod", arm_allocations[config->allocation]);
	put_id(properties, "publicIPAddress", arm_id_of(arm, KIND_ADDRESS, config->address));
	arm_put_subnet(arm, properties, config->network, config->subnet);
	if (list_length(config->pools))
		put_json(properties, "loadBalancerBackendAddressPools",
			arm_encode_balancer_refs(arm, config->pools, "backendAddressPools"));
	if (list_length(config->nat_rules))
		put_json(properties, "loadBalancerInboundNatRules",
			arm_encode_balancer_refs(arm, config->nat_rules, "inboundNatRules"));
	arm_put_references(arm, properties, "applicationSecurityGroups", KIND_APPLICATION_GROUP,
		config->application_groups);
	return json;
}

/* "00-0D-3A-01-02-03" */
static void put_mac(json_t *properties, const char *mac)
{
	g_autofree char *text = mac ? g_ascii_strup(mac, -1) : NULL;

	put_text(properties, "macAddress", text ? g_strdelimit(text, ":", '-') : NULL);
}

static const char *const guest_words[] = {
	[GUEST_NOT_ASKED] = NULL, [GUEST_NOT_ALLOWED] = "notAllowed", [GUEST_ALLOWED] = "allowed"};

/* Where the NIC's packets go and who enforces its policy: what "accelerated" means at this moment. ARM has no
 * word for it; clients ignore members they do not know. */
static json_t *encode_acceleration(struct arm *arm, const struct nic *nic)
{
	json_t *json = json_object();
	enum guest guest;

	put_text(json, "path", path_words[nic->status.path]);
	put_text(json, "enforcement", enforcement_words[nic->status.enforcement]);
	put_text(json, "reason", nic->status.reason);
	put_text(json, "guestDriver", nic->status.driver);
	if (control_guest(arm->control, nic, &guest, NULL))
		put_text(json, "guestEnforcement", guest_words[guest]);
	return json;
}

/* "synthetic, policy by switch: the segment is ..." */
static void put_shown_tag(const struct nic *nic, json_t *answer)
{
	const char *reason = nic->status.reason;
	json_t *tags = nic->meta.tags ? json_copy(nic->meta.tags) : json_object();
	g_autofree char *text = g_strdup_printf("%s, policy by %s%s%s", path_words[nic->status.path],
		enforcement_words[nic->status.enforcement], reason ? ": " : "", reason ? reason : "");

	put_text(tags, TAG_ACCELERATION, text);
	put_json(answer, "tags", tags);
}

static void encode(struct arm *arm, const void *object, unsigned flags, json_t *answer, json_t *properties)
{
	const struct nic *nic = object;
	const char *id = json_string_value(json_object_get(answer, "id"));
	json_t *configs = json_array(), *state = json_object_get(properties, "provisioningState");

	for (guint i = 0; i < list_length(nic->spec.configs); i++)
		json_array_append_new(
			configs, encode_config(arm, nic, nic->spec.configs->pdata[i], id, flags, state));
	put_json(properties, "ipConfigurations", configs);
	put_flag(properties, "enableAcceleratedNetworking", nic->spec.accelerated);
	put_flag(properties, "enableIPForwarding", nic->spec.ip_forwarding);
	put_id(properties, "networkSecurityGroup",
		arm_id_of(arm, KIND_SECURITY_GROUP, nic->spec.security_group));
	if (flags & ENCODE_WANTED)
		return;
	put_text(properties, "resourceGuid", nic->meta.uid);
	put_mac(properties, nic->status.mac);
	put_id(properties, "virtualMachine", arm_id_of(arm, KIND_VM, nic->status.vm));
	if (nic->status.vm)
		put_flag(properties, "primary", nic->status.primary);
	put_json(properties, "dnsSettings", json_pack("{s:[], s:[]}", "dnsServers", "appliedDnsServers"));
	put_json(properties, "hostedWorkloads", json_array());
	put_json(properties, "tapConfigurations", json_array());
	put_text(properties, "nicType", "Standard");
	put_json(properties, "accelerationStatus", encode_acceleration(arm, nic));
	if (nic->spec.accelerated && nic->status.path != PATH_NONE)
		put_shown_tag(nic, answer);
}

static const struct arm_report reports[] = {
	{"effectiveNetworkSecurityGroups", arm_effective_groups},
	{"effectiveRouteTable", arm_effective_routes},
	{},
};

const struct arm_type arm_nics = {
	.namespace = "Microsoft.Network",
	.name = "networkInterfaces",
	.kind = KIND_NIC,
	.owned = owned,
	.refused = refused,
	.decode = decode,
	.encode = encode,
	.reports = reports,
};
