/* Scale sets: from JSON to the model and back. Their instances are in scale_set_instances.c. */
#include "api/arm/arm_priv.h"

#define FAULT_DOMAINS          5 /* when a client says nothing, as the next ones */
#define FLEXIBLE_FAULT_DOMAINS 1
#define ROLLING_PERCENT        20

static const char *const owned[] = {"orchestrationMode", "platformFaultDomainCount", "upgradePolicy",
	"scaleInPolicy", "uniqueId", "timeCreated", NULL};

#define PROFILE "properties.virtualMachineProfile."
#define NICS    PROFILE "networkProfile.networkInterfaceConfigurations[].properties."
#define CONFIGS NICS "ipConfigurations[].properties."
#define ROLLING "properties.upgradePolicy.rollingUpgradePolicy."

static const struct refusal refused[] = {
	{"properties.additionalCapabilities.ultraSSDEnabled", "ultra disks"},
	{"properties.automaticRepairsPolicy.enabled", "automatic repairs"},
	{"properties.hostGroup", "dedicated hosts"},
	{"properties.priorityMixPolicy", "spot prices"},
	{"properties.proximityPlacementGroup", "proximity placement groups"},
	{"properties.scaleInPolicy.forceDeletion", "forced deletions"},
	{"properties.skuProfile", "mixed sizes"},
	{"properties.spotRestorePolicy.enabled", "spot prices"},
	{"properties.upgradePolicy.automaticOSUpgradePolicy.enableAutomaticOSUpgrade",
		"automatic upgrades of images"},
	{"properties.zoneBalance", "availability zones"},
	{ROLLING "enableCrossZoneUpgrade", "availability zones"},
	{ROLLING "maxSurge", "upgrades by additional instances"},
	{ROLLING "rollbackFailedInstancesOnPolicyBreach", "rollbacks of upgrades"},
	{PROFILE "applicationProfile", "gallery applications"},
	{PROFILE "billingProfile", "spot prices"},
	{PROFILE "capacityReservation", "capacity reservations"},
	{PROFILE "extensionProfile.extensions", "extensions of scale sets"},
	{PROFILE "hardwareProfile.vmSizeProperties", "customized sizes"},
	{PROFILE "osProfile.customData", "custom data"},
	{PROFILE "osProfile.secrets", "certificates from a key vault"},
	{PROFILE "osProfile.windowsConfiguration", "Windows machines"},
	{PROFILE "scheduledEventsProfile", "policies of scheduled events"},
	{PROFILE "securityProfile.encryptionAtHost", "encrypted hosts"},
	{PROFILE "securityProfile.securityType", "security types"},
	{PROFILE "storageProfile.dataDisks", "data disks"},
	{PROFILE "storageProfile.osDisk.diffDiskSettings", "ephemeral disks"},
	{PROFILE "storageProfile.osDisk.image", "images by URL"},
	{PROFILE "storageProfile.osDisk.managedDisk.diskEncryptionSet", "encrypted disks"},
	{PROFILE "userData", "user data"},
	{NICS "dnsSettings.dnsServers", "DNS servers of one's own"},
	{CONFIGS "applicationGatewayBackendAddressPools", "application gateways"},
	{CONFIGS "publicIPAddressConfiguration.properties.dnsSettings", "DNS names of public addresses"},
	{CONFIGS "publicIPAddressConfiguration.properties.publicIPPrefix", "public IP prefixes"},
	{"identity", "managed identities"},
	{"zones", "availability zones"},
	{"extendedLocation", "extended locations"},
	{},
};

static const char *const modes[] = {"Uniform", "Flexible", NULL};
static const char *const upgrades[] = {
	[UPGRADE_MANUAL] = "Manual", [UPGRADE_AUTOMATIC] = "Automatic", [UPGRADE_ROLLING] = "Rolling", NULL};
static const char *const scale_ins[] = {
	[SCALE_IN_DEFAULT] = "Default", [SCALE_IN_NEWEST] = "NewestVM", [SCALE_IN_OLDEST] = "OldestVM", NULL};
static const char *const priorities[] = {"Regular", NULL};
static const char *const skus[] = {[ADDRESS_BASIC] = "Basic", [ADDRESS_STANDARD] = "Standard", NULL};

/* ---- from JSON ---- */

/* "PT1H2M3S" in seconds; negative when it is none. */
static int64_t parse_duration(const char *text)
{
	static const int64_t factors[] = {3600, 60, 1};
	g_autoptr(GRegex) regex = g_regex_new(
		"^PT(?:(\\d{1,6})H)?(?:(\\d{1,6})M)?(?:(\\d{1,6})S)?$", G_REGEX_CASELESS, 0, NULL);
	g_autoptr(GMatchInfo) match = NULL;
	int64_t seconds = 0;

	if (!g_regex_match(regex, text, 0, &match))
		return -1;
	for (int i = 0; i < 3; i++) {
		g_autofree char *number = g_match_info_fetch(match, i + 1);
		seconds += factors[i] * g_ascii_strtoll(number ? number : "", NULL, 10);
	}
	return seconds;
}

static void decode_upgrades(
	const struct cursor *properties, const struct scale_set *old, struct scale_set *set)
{
	struct cursor policy = cursor_object(properties, "upgradePolicy"),
		      rolling = cursor_object(&policy, "rollingUpgradePolicy");
	const struct set_rolling_policy first = {ROLLING_PERCENT, ROLLING_PERCENT, ROLLING_PERCENT, 0};
	struct set_rolling_policy *its = &set->spec.rolling;
	const char *pause = cursor_string(&rolling, "pauseTimeBetweenBatches");

	*its = old ? old->spec.rolling : first;
	set->spec.upgrade = cursor_word(&policy, "mode", upgrades, old ? old->spec.upgrade : UPGRADE_MANUAL);
	its->batch_percent = cursor_int(&rolling, "maxBatchInstancePercent", its->batch_percent);
	its->unhealthy_percent = cursor_int(&rolling, "maxUnhealthyInstancePercent", its->unhealthy_percent);
	its->unhealthy_upgraded_percent =
		cursor_int(&rolling, "maxUnhealthyUpgradedInstancePercent", its->unhealthy_upgraded_percent);
	if (pause)
		its->pause_s = parse_duration(pause);
	if (its->pause_s < 0)
		cursor_fail(
			&rolling, "pauseTimeBetweenBatches", "a duration is needed, such as PT0S or PT5M");
}

static int decode_scale_in(const struct cursor *properties, const struct scale_set *old)
{
	struct cursor policy = cursor_object(properties, "scaleInPolicy"),
		      rules = cursor_array(&policy, "rules");
	g_autoptr(GPtrArray) words = cursor_strings(&policy, "rules");

	if (!cursor_is_set(&rules))
		return old ? old->spec.scale_in : SCALE_IN_DEFAULT;
	int word = words && words->len == 1 ? words_find(scale_ins, words->pdata[0]) : -1;
	if (word < 0)
		cursor_fail(&policy, "rules", "one of Default, NewestVM and OldestVM is needed");
	return MAX(word, 0);
}

static void decode_address(const struct cursor *properties, struct set_address *address)
{
	struct cursor at = cursor_object(properties, "publicIPAddressConfiguration"),
		      its = cursor_object(&at, "properties"), sku = cursor_object(&at, "sku");

	if (!cursor_is_set(&at))
		return;
	address->name = cursor_need(&at, "name");
	address->sku = cursor_word(&sku, "name", skus, ADDRESS_BASIC);
	address->idle_timeout_min = cursor_int(&its, "idleTimeoutInMinutes", 0);
	arm_check_public_version(&its);
}

static struct set_config *decode_config(struct arm *arm, const struct cursor *item)
{
	struct set_config *config = shape_new(&set_config_shape);
	struct cursor properties = cursor_object(item, "properties");

	config->nic.name = cursor_need(item, "name");
	config->nic.primary = cursor_bool(&properties, "primary", false);
	config->nic.ipv6 = cursor_word(&properties, "privateIPAddressVersion", arm_versions, 0) != 0;
	if (!arm_subnet_reference(arm, &properties, "subnet", &config->nic.network, &config->nic.subnet))
		cursor_fail(&properties, "subnet", "it is required");
	decode_address(&properties, &config->address);
	config->nic.pools =
		arm_balancer_refs(arm, &properties, "loadBalancerBackendAddressPools", "backendAddressPools");
	config->nic.nat_pools =
		arm_balancer_refs(arm, &properties, "loadBalancerInboundNatPools", "inboundNatPools");
	config->nic.application_groups =
		arm_references(arm, &properties, "applicationSecurityGroups", KIND_APPLICATION_GROUP);
	return config;
}

static struct set_nic *decode_nic(struct arm *arm, const struct cursor *item, bool only)
{
	struct set_nic *nic = shape_new(&set_nic_shape);
	struct cursor properties = cursor_object(item, "properties"),
		      configs = cursor_array(&properties, "ipConfigurations");

	nic->name = cursor_need(item, "name");
	nic->primary = cursor_bool(&properties, "primary", only);
	nic->accelerated = cursor_bool(&properties, "enableAcceleratedNetworking", false);
	nic->ip_forwarding = cursor_bool(&properties, "enableIPForwarding", false);
	nic->security_group = arm_reference(arm, &properties, "networkSecurityGroup", KIND_SECURITY_GROUP);
	nic->configs = shape_list_new(&set_config_shape);
	if (cursor_length(&configs) == 0)
		cursor_fail(&properties, "ipConfigurations", "it is required");
	for (size_t i = 0; i < cursor_length(&configs); i++) {
		struct cursor config = cursor_item(&configs, i);
		g_ptr_array_add(nic->configs, decode_config(arm, &config));
	}
	/* The only one is it without a flag. */
	if (nic->configs->len == 1)
		((struct set_config *)nic->configs->pdata[0])->nic.primary = true;
	return nic;
}

static void decode_nics(
	struct arm *arm, const struct cursor *profile, const struct scale_set *old, struct set_model *model)
{
	struct cursor network = cursor_object(profile, "networkProfile"),
		      nics = cursor_array(&network, "networkInterfaceConfigurations");

	model->nics = shape_list_new(&set_nic_shape);
	for (size_t i = 0; i < cursor_length(&nics); i++) {
		struct cursor item = cursor_item(&nics, i);
		g_ptr_array_add(model->nics, decode_nic(arm, &item, cursor_length(&nics) == 1));
	}
	for (guint i = 0; old && !cursor_is_set(&nics) && i < list_length(old->spec.model.nics); i++)
		g_ptr_array_add(model->nics, shape_copy(&set_nic_shape, old->spec.model.nics->pdata[i]));
	if (model->nics->len == 0)
		cursor_fail(&network, "networkInterfaceConfigurations", "at least one interface is required");
}

static void decode_health(
	struct arm *arm, const struct cursor *profile, const struct scale_set *old, struct scale_set *set)
{
	struct cursor network = cursor_object(profile, "networkProfile");
	const struct balancer_ref *was = old ? &old->spec.health : NULL;

	if (cursor_is_set(&network))
		arm_balancer_ref(arm, &network, "healthProbe", "probes", &set->spec.health);
	else if (was)
		set->spec.health = (struct balancer_ref){g_strdup(was->balancer), g_strdup(was->name)};
}

/* What a machine's profile has alike goes by way of one. */
static void decode_machine(
	struct arm *arm, const struct cursor *profile, const struct scale_set *old, struct set_model *model)
{
	_cleanup_(model_free) struct vm *was = old ? control_scale_set_machine(old) : NULL,
					*vm = model_new(KIND_VM, NULL, NULL);

	arm_decode_machine(arm, profile, was, vm);
	model->image = g_steal_pointer(&vm->spec.image);
	model->custom_image = g_steal_pointer(&vm->spec.custom_image);
	model->image_reference = g_steal_pointer(&vm->spec.image_reference);
	model->disk_gib = vm->spec.disk_gib;
	model->admin_user = g_steal_pointer(&vm->spec.admin_user);
	model->ssh_keys = g_steal_pointer(&vm->spec.ssh_keys);
}

static void decode_model(
	struct arm *arm, const struct cursor *profile, const struct scale_set *old, struct scale_set *set)
{
	struct set_model *model = &set->spec.model;
	struct cursor os = cursor_object(profile, "osProfile");

	cursor_word(profile, "priority", priorities, 0);
	decode_machine(arm, profile, old, model);
	decode_nics(arm, profile, old, model);
	model->name_prefix = cursor_dup(&os, "computerNamePrefix");
	if (!model->name_prefix)
		model->name_prefix = g_strdup(old ? old->spec.model.name_prefix : set->meta.name);
}

static void decode_sku(
	struct arm *arm, const struct cursor *body, const struct scale_set *old, struct scale_set *set)
{
	struct cursor sku = cursor_object(body, "sku");
	const char *name = cursor_string(&sku, "name");
	const struct size *size = name ? control_size(arm->control, name) : NULL;

	if (!old && !name)
		cursor_fail(&sku, "name", "it is required");
	set->spec.model.size = g_strdup(size ? size->name : name ? name : old ? old->spec.model.size : NULL);
	set->spec.capacity = cursor_int(&sku, "capacity", old ? old->spec.capacity : -1);
	if (!old && set->spec.capacity < 0)
		cursor_fail(&sku, "capacity", "a number of instances is required");
}

static void decode(struct arm *arm, const struct cursor *body, const void *object, void *wanted)
{
	const struct scale_set *old = object;
	struct scale_set *set = wanted;
	struct cursor properties = cursor_object(body, "properties"),
		      profile = cursor_object(&properties, "virtualMachineProfile");
	int mode = cursor_word(&properties, "orchestrationMode", modes, old && old->spec.flexible);

	set->spec.flexible = mode == 1;
	set->spec.fault_domains = cursor_int(&properties, "platformFaultDomainCount",
		old         ? old->spec.fault_domains
		: mode == 1 ? FLEXIBLE_FAULT_DOMAINS
			    : FAULT_DOMAINS);
	decode_upgrades(&properties, old, set);
	set->spec.scale_in = decode_scale_in(&properties, old);
	decode_health(arm, &profile, old, set);
	decode_sku(arm, body, old, set);
	decode_model(arm, &profile, old, set);
}

/* ---- to JSON ---- */

static json_t *encode_address(const struct set_address *address)
{
	json_t *json = json_object();

	put_text(json, "name", address->name);
	put_text(put_object(json, "sku"), "name", skus[address->sku]);
	put_text(put_object(json, "sku"), "tier", "Regional");
	if (address->idle_timeout_min)
		put_number(put_object(json, "properties"), "idleTimeoutInMinutes", address->idle_timeout_min);
	return json;
}

static json_t *encode_config(struct arm *arm, const struct set_config *config)
{
	json_t *json = json_object(), *properties = put_object(json, "properties");

	put_text(json, "name", config->nic.name);
	put_flag(properties, "primary", config->nic.primary);
	put_text(properties, "privateIPAddressVersion", arm_versions[config->nic.ipv6]);
	arm_put_subnet(arm, properties, config->nic.network, config->nic.subnet);
	if (config->address.name)
		put_json(properties, "publicIPAddressConfiguration", encode_address(&config->address));
	if (list_length(config->nic.pools))
		put_json(properties, "loadBalancerBackendAddressPools",
			arm_encode_balancer_refs(arm, config->nic.pools, "backendAddressPools"));
	if (list_length(config->nic.nat_pools))
		put_json(properties, "loadBalancerInboundNatPools",
			arm_encode_balancer_refs(arm, config->nic.nat_pools, "inboundNatPools"));
	arm_put_references(arm, properties, "applicationSecurityGroups", KIND_APPLICATION_GROUP,
		config->nic.application_groups);
	return json;
}

json_t *arm_encode_set_nic(struct arm *arm, const struct set_nic *nic)
{
	json_t *json = json_object(), *properties = put_object(json, "properties"), *configs = json_array();

	for (guint i = 0; i < list_length(nic->configs); i++)
		json_array_append_new(configs, encode_config(arm, nic->configs->pdata[i]));
	put_text(json, "name", nic->name);
	put_flag(properties, "primary", nic->primary);
	put_flag(properties, "enableAcceleratedNetworking", nic->accelerated);
	put_flag(properties, "enableIPForwarding", nic->ip_forwarding);
	put_id(properties, "networkSecurityGroup", arm_id_of(arm, KIND_SECURITY_GROUP, nic->security_group));
	put_json(properties, "dnsSettings", json_pack("{s:[]}", "dnsServers"));
	put_json(properties, "ipConfigurations", configs);
	return json;
}

static void encode_upgrades(const struct scale_set *set, json_t *properties)
{
	json_t *policy = put_object(properties, "upgradePolicy"), *rolling;
	const struct set_rolling_policy *its = &set->spec.rolling;
	g_autofree char *pause = g_strdup_printf("PT%" G_GINT64_FORMAT "S", its->pause_s);

	put_text(policy, "mode", upgrades[set->spec.upgrade]);
	if (set->spec.upgrade != UPGRADE_ROLLING)
		return;
	rolling = put_object(policy, "rollingUpgradePolicy");
	put_number(rolling, "maxBatchInstancePercent", its->batch_percent);
	put_number(rolling, "maxUnhealthyInstancePercent", its->unhealthy_percent);
	put_number(rolling, "maxUnhealthyUpgradedInstancePercent", its->unhealthy_upgraded_percent);
	put_text(rolling, "pauseTimeBetweenBatches", pause);
}

static void encode_model(struct arm *arm, const struct scale_set *set, json_t *profile)
{
	_cleanup_(model_free) struct vm *vm = control_scale_set_machine(set);
	json_t *nics = json_array(), *network = put_object(profile, "networkProfile");

	arm_encode_machine(vm, profile);
	put_text(put_object(profile, "osProfile"), "computerNamePrefix", set->spec.model.name_prefix);
	for (guint i = 0; i < list_length(set->spec.model.nics); i++)
		json_array_append_new(nics, arm_encode_set_nic(arm, set->spec.model.nics->pdata[i]));
	put_json(network, "networkInterfaceConfigurations", nics);
	if (set->spec.health.balancer)
		put_id(network, "healthProbe", arm_id_of_part(arm, &set->spec.health, "probes"));
}

static void encode(struct arm *arm, const void *object, unsigned flags, json_t *answer, json_t *properties)
{
	const struct scale_set *set = object;
	json_t *sku = put_object(answer, "sku");

	put_text(sku, "name", set->spec.model.size);
	put_text(sku, "tier", "Standard");
	put_number(sku, "capacity", set->spec.capacity);
	put_text(properties, "orchestrationMode", modes[set->spec.flexible]);
	put_number(properties, "platformFaultDomainCount", set->spec.fault_domains);
	if (!(flags & ENCODE_WANTED)) {
		put_text(properties, "uniqueId", set->meta.uid);
		put_time(properties, "timeCreated", set->meta.created_us);
	}
	encode_upgrades(set, properties);
	if (set->spec.scale_in != SCALE_IN_DEFAULT)
		put_json(properties, "scaleInPolicy",
			json_pack("{s:[s]}", "rules", scale_ins[set->spec.scale_in]));
	encode_model(arm, set, put_object(properties, "virtualMachineProfile"));
}

/* The size that it has may have from none to as many instances as there can be. */
static json_t *encode_skus(struct arm *arm, const void *object)
{
	const struct scale_set *set = object;

	return put_list(json_pack("[{s:s, s:{s:s, s:s}, s:{s:i, s:i, s:i, s:s}}]", "resourceType",
		"Microsoft.Compute/virtualMachineScaleSets", "sku", "name", set->spec.model.size, "tier",
		"Standard", "capacity", "minimum", 0, "maximum", 1000, "defaultCapacity", 1, "scaleType",
		"Automatic"));
}

static const struct arm_view views[] = {
	{"instanceView", arm_scale_set_view},
	{"skus", encode_skus},
	{},
};

static const struct arm_action actions[] = {
	{"start", VERB_START},
	{"powerOff", VERB_POWER_OFF},
	{"deallocate", VERB_DEALLOCATE},
	{"restart", VERB_RESTART},
	{"manualupgrade", VERB_UPGRADE},
	{"delete", VERB_REMOVE},
	{"reimage", VERB_REIMAGE},
	{"reimageall", VERB_REIMAGE}, /* there are no other disks */
	{"osRollingUpgrade", VERB_ROLL},
	{},
};

const struct arm_type arm_scale_sets = {
	.namespace = "Microsoft.Compute",
	.name = "virtualMachineScaleSets",
	.kind = KIND_SCALE_SET,
	.owned = owned,
	.refused = refused,
	.decode = decode,
	.encode = encode,
	.views = views,
	.actions = actions,
	.keeps = true,
};
