/* The field tables of every kind, and what they have in common. */
#include "model/model.h"

#include "base/fault.h"

#include <string.h>

const char *const provisioning_words[] = {"succeeded", "creating", "updating", "deleting", "failed", NULL};
const char *const direction_words[] = {"inbound", "outbound", NULL};
const char *const access_words[] = {"deny", "allow", NULL};
const char *const protocol_words[] = {"any", "tcp", "udp", "icmp", "esp", "ah", NULL};
const char *const power_words[] = {"running", "stopped", "deallocated", NULL};
const char *const power_state_words[] = {
	"unknown", "starting", "running", "stopping", "stopped", "deallocating", "deallocated", NULL};
const char *const path_words[] = {"none", "synthetic", "emulated", "vf", NULL};
const char *const enforcement_words[] = {"none", "switch", "hardware", "guest", "cut", NULL};
const char *const verb_words[] = {"put", "delete", "start", "powerOff", "deallocate", "restart", "migrate",
	"upgrade", "remove", "reimage", "roll", NULL};
const char *const upgrade_words[] = {"manual", "automatic", "rolling", NULL};
const char *const scale_in_words[] = {"default", "newest", "oldest", NULL};
const char *const rolling_words[] = {"none", "forward", "completed", "cancelled", "faulted", NULL};
const char *const migration_phase_words[] = {"preparing", "moving", "cancelling", NULL};
const char *const operation_words[] = {"running", "succeeded", "failed", NULL};
const char *const allocation_words[] = {"dynamic", "static", NULL};
const char *const distribution_words[] = {"tuple", "source", "source-protocol", NULL};
const char *const next_hop_words[] = {"network", "outside", "none", "appliance", NULL};
const char *const probe_words[] = {"tcp", "http", NULL};
static const char *const segment_words[] = {"vxlan", "vlan", NULL};
static const char *const sku_words[] = {"basic", "standard", NULL};
static const char *const kind_words[] = {"none", "subscription", "principal", "group", "network",
	"securityGroup", "address", "nic", "vm", "deployment", "operation", "host", "physical",
	"availabilitySet", "scaleSet", "balancer", "applicationGroup", "routeTable", "customImage", "keyPair",
	NULL};

/* Defines NAME_shape from a field list. */
#define SHAPE(linkage, NAME, type, title, ...)                                                               \
	static const struct field NAME##_fields[] = {__VA_ARGS__, F_END};                                    \
	linkage const struct shape NAME##_shape = {title, sizeof(type), NAME##_fields}
#define PUBLIC

SHAPE(static, meta, struct meta, "meta", F_STRING(meta, uid), F_STRING(meta, name), F_STRING(meta, parent),
	F_ENUM(meta, parent_kind, kind_words), F_STRING(meta, location), F_INT(meta, generation),
	F_INT(meta, created_us), F_JSON(meta, tags), F_JSON(meta, extra));
SHAPE(static, outcome, struct outcome, "outcome", F_ENUM(outcome, state, provisioning_words),
	F_STRING(outcome, fault), F_STRING(outcome, message));

/* A resource is meta, spec and status; STATUS may be left out. */
#define RESOURCE(NAME, title)                                                                                \
	SHAPE(static, NAME, struct NAME, title, F_STRUCT(NAME, meta, meta_shape),                            \
		F_STRUCT(NAME, spec, NAME##_spec_shape), F_STRUCT(NAME, status, NAME##_status_shape))

SHAPE(PUBLIC, quota_line, struct quota_line, "quota", F_STRING(quota_line, name), F_INT(quota_line, n));
SHAPE(static, subscription_spec, struct subscription_spec, "spec", F_STRING(subscription_spec, tenant),
	F_LIST(subscription_spec, limits, quota_line_shape));
SHAPE(static, subscription_status, struct subscription_status, "status",
	F_LIST(subscription_status, used, quota_line_shape));
RESOURCE(subscription, "subscription");

SHAPE(static, principal_spec, struct principal_spec, "spec", F_STRING(principal_spec, secret_hash),
	F_STRING(principal_spec, tenant), F_BOOL(principal_spec, user));
SHAPE(static, principal, struct principal, "principal", F_STRUCT(principal, meta, meta_shape),
	F_STRUCT(principal, spec, principal_spec_shape));

SHAPE(static, group_status, struct group_status, "status", F_STRUCT(group_status, outcome, outcome_shape));
SHAPE(static, group, struct group, "resource group", F_STRUCT(group, meta, meta_shape),
	F_STRUCT(group, status, group_status_shape));

SHAPE(PUBLIC, subnet, struct subnet, "subnet", F_STRING(subnet, uid), F_STRING(subnet, name),
	F_STRING(subnet, prefix), F_STRING(subnet, prefix6), F_STRING(subnet, security_group),
	F_STRING(subnet, route_table), F_BOOL(subnet, no_outbound), F_JSON(subnet, extra));
SHAPE(static, network_spec, struct network_spec, "spec", F_STRINGS(network_spec, prefixes),
	F_LIST(network_spec, subnets, subnet_shape), F_ENUM(network_spec, segment, segment_words),
	F_STRING(network_spec, physical));
SHAPE(static, network_status, struct network_status, "status",
	F_STRUCT(network_status, outcome, outcome_shape), F_INT(network_status, vni),
	F_INT(network_status, vlan));
RESOURCE(network, "virtual network");

SHAPE(static, physical_spec, struct physical_spec, "spec", F_STRING(physical_spec, vlans),
	F_BOOL(physical_spec, guest_enforcement));
SHAPE(static, physical_status, struct physical_status, "status",
	F_STRUCT(physical_status, outcome, outcome_shape));
RESOURCE(physical, "physical network");

SHAPE(static, rule_side, struct rule_side, "side of a rule", F_STRINGS(rule_side, addresses),
	F_STRINGS(rule_side, ports), F_STRINGS(rule_side, application_groups));
SHAPE(PUBLIC, rule, struct rule, "security rule", F_STRING(rule, uid), F_STRING(rule, name),
	F_STRING(rule, description), F_ENUM(rule, direction, direction_words),
	F_ENUM(rule, access, access_words), F_ENUM(rule, protocol, protocol_words), F_INT(rule, priority),
	F_STRUCT(rule, source, rule_side_shape), F_STRUCT(rule, destination, rule_side_shape));
SHAPE(static, security_group_spec, struct security_group_spec, "spec",
	F_LIST(security_group_spec, rules, rule_shape), F_BOOL(security_group_spec, keep_established));
SHAPE(static, security_group_status, struct security_group_status, "status",
	F_STRUCT(security_group_status, outcome, outcome_shape));
RESOURCE(security_group, "network security group");

SHAPE(PUBLIC, application_member, struct application_member, "member", F_STRING(application_member, nic),
	F_STRING(application_member, ip));
SHAPE(static, application_group_status, struct application_group_status, "status",
	F_STRUCT(application_group_status, outcome, outcome_shape), F_INT(application_group_status, number),
	F_STRING(application_group_status, network),
	F_LIST(application_group_status, members, application_member_shape));
SHAPE(static, application_group, struct application_group, "application security group",
	F_STRUCT(application_group, meta, meta_shape),
	F_STRUCT(application_group, status, application_group_status_shape));

SHAPE(PUBLIC, user_route, struct user_route, "route", F_STRING(user_route, uid), F_STRING(user_route, name),
	F_STRING(user_route, prefix), F_ENUM(user_route, next_hop, next_hop_words),
	F_STRING(user_route, appliance));
SHAPE(static, route_table_spec, struct route_table_spec, "spec",
	F_LIST(route_table_spec, routes, user_route_shape), F_BOOL(route_table_spec, no_propagation));
SHAPE(static, route_table_status, struct route_table_status, "status",
	F_STRUCT(route_table_status, outcome, outcome_shape));
RESOURCE(route_table, "route table");

SHAPE(static, address_spec, struct address_spec, "spec", F_ENUM(address_spec, sku, sku_words),
	F_ENUM(address_spec, allocation, allocation_words), F_INT(address_spec, idle_timeout_min));
SHAPE(static, address_status, struct address_status, "status",
	F_STRUCT(address_status, outcome, outcome_shape), F_STRING(address_status, ip),
	F_STRING(address_status, nic), F_STRING(address_status, balancer));
RESOURCE(address, "public IP address");

SHAPE(PUBLIC, balancer_ref, struct balancer_ref, "part of a load balancer", F_STRING(balancer_ref, balancer),
	F_STRING(balancer_ref, name));
SHAPE(PUBLIC, nic_config, struct nic_config, "IP configuration", F_STRING(nic_config, name),
	F_STRING(nic_config, network), F_STRING(nic_config, subnet),
	F_ENUM(nic_config, allocation, allocation_words), F_STRING(nic_config, ip), F_BOOL(nic_config, ipv6),
	F_STRING(nic_config, address), F_BOOL(nic_config, primary),
	F_LIST(nic_config, pools, balancer_ref_shape), F_LIST(nic_config, nat_rules, balancer_ref_shape),
	F_LIST(nic_config, nat_pools, balancer_ref_shape), F_STRINGS(nic_config, application_groups));
SHAPE(static, nic_spec, struct nic_spec, "spec", F_BOOL(nic_spec, accelerated),
	F_BOOL(nic_spec, ip_forwarding), F_STRING(nic_spec, security_group),
	F_LIST(nic_spec, configs, nic_config_shape));
SHAPE(static, nic_status, struct nic_status, "status", F_STRUCT(nic_status, outcome, outcome_shape),
	F_STRING(nic_status, mac), F_STRING(nic_status, host_address), F_STRING(nic_status, vm),
	F_BOOL(nic_status, primary), F_ENUM(nic_status, path, path_words),
	F_ENUM(nic_status, enforcement, enforcement_words), F_STRING(nic_status, reason),
	F_STRINGS(nic_status, well), F_STRING(nic_status, driver));
RESOURCE(nic, "network interface");

SHAPE(static, availability_set_spec, struct availability_set_spec, "spec",
	F_BOOL(availability_set_spec, aligned), F_INT(availability_set_spec, fault_domains),
	F_INT(availability_set_spec, update_domains));
SHAPE(static, availability_set_status, struct availability_set_status, "status",
	F_STRUCT(availability_set_status, outcome, outcome_shape));
RESOURCE(availability_set, "availability set");

SHAPE(static, custom_image_spec, struct custom_image_spec, "spec", F_STRING(custom_image_spec, image));
SHAPE(static, custom_image_status, struct custom_image_status, "status",
	F_STRUCT(custom_image_status, outcome, outcome_shape));
RESOURCE(custom_image, "custom image");

SHAPE(static, key_pair_spec, struct key_pair_spec, "spec", F_STRING(key_pair_spec, key));
SHAPE(static, key_pair_status, struct key_pair_status, "status",
	F_STRUCT(key_pair_status, outcome, outcome_shape));
RESOURCE(key_pair, "SSH public key");

SHAPE(PUBLIC, balancer_front, struct balancer_front, "front end", F_STRING(balancer_front, name),
	F_STRING(balancer_front, address), F_STRING(balancer_front, network),
	F_STRING(balancer_front, subnet), F_ENUM(balancer_front, allocation, allocation_words),
	F_STRING(balancer_front, ip));
SHAPE(PUBLIC, balancer_pool, struct balancer_pool, "backend pool", F_STRING(balancer_pool, name));
SHAPE(PUBLIC, balancer_probe, struct balancer_probe, "probe", F_STRING(balancer_probe, name),
	F_ENUM(balancer_probe, protocol, probe_words), F_INT(balancer_probe, port),
	F_STRING(balancer_probe, path), F_INT(balancer_probe, interval_s), F_INT(balancer_probe, threshold));
SHAPE(PUBLIC, balancer_rule, struct balancer_rule, "load-balancing rule", F_STRING(balancer_rule, name),
	F_STRING(balancer_rule, front), F_STRING(balancer_rule, pool), F_STRING(balancer_rule, probe),
	F_ENUM(balancer_rule, protocol, protocol_words), F_INT(balancer_rule, front_port),
	F_INT(balancer_rule, back_port), F_BOOL(balancer_rule, floating),
	F_ENUM(balancer_rule, distribution, distribution_words), F_BOOL(balancer_rule, no_outbound),
	F_INT(balancer_rule, idle_timeout_min));
SHAPE(PUBLIC, balancer_nat, struct balancer_nat, "NAT rule", F_STRING(balancer_nat, name),
	F_STRING(balancer_nat, front), F_STRING(balancer_nat, pool),
	F_ENUM(balancer_nat, protocol, protocol_words), F_INT(balancer_nat, first_port),
	F_INT(balancer_nat, last_port), F_INT(balancer_nat, back_port), F_BOOL(balancer_nat, floating),
	F_INT(balancer_nat, idle_timeout_min));
SHAPE(PUBLIC, balancer_member, struct balancer_member, "member", F_STRING(balancer_member, pool),
	F_STRING(balancer_member, nic), F_STRING(balancer_member, config));
SHAPE(PUBLIC, balancer_target, struct balancer_target, "target", F_STRING(balancer_target, nat),
	F_BOOL(balancer_target, of_pool), F_STRING(balancer_target, nic), F_STRING(balancer_target, config),
	F_INT(balancer_target, port));
SHAPE(static, balancer_spec, struct balancer_spec, "spec", F_ENUM(balancer_spec, sku, sku_words),
	F_LIST(balancer_spec, fronts, balancer_front_shape),
	F_LIST(balancer_spec, pools, balancer_pool_shape),
	F_LIST(balancer_spec, probes, balancer_probe_shape),
	F_LIST(balancer_spec, rules, balancer_rule_shape),
	F_LIST(balancer_spec, nat_rules, balancer_nat_shape),
	F_LIST(balancer_spec, nat_pools, balancer_nat_shape));
SHAPE(static, balancer_status, struct balancer_status, "status",
	F_STRUCT(balancer_status, outcome, outcome_shape), F_STRING(balancer_status, mac),
	F_STRING(balancer_status, host), F_STRING(balancer_status, network),
	F_LIST(balancer_status, members, balancer_member_shape),
	F_LIST(balancer_status, targets, balancer_target_shape));
RESOURCE(balancer, "load balancer");

SHAPE(PUBLIC, vm_nic_ref, struct vm_nic_ref, "network interface reference", F_STRING(vm_nic_ref, nic),
	F_BOOL(vm_nic_ref, primary));
SHAPE(PUBLIC, ssh_key, struct ssh_key, "ssh key", F_STRING(ssh_key, path), F_STRING(ssh_key, key));
SHAPE(static, set_address, struct set_address, "public address of instances", F_STRING(set_address, name),
	F_ENUM(set_address, sku, sku_words), F_INT(set_address, idle_timeout_min));
SHAPE(PUBLIC, set_config, struct set_config, "IP configuration of instances",
	F_STRUCT(set_config, nic, nic_config_shape), F_STRUCT(set_config, address, set_address_shape));
SHAPE(PUBLIC, set_nic, struct set_nic, "network interface of instances", F_STRING(set_nic, name),
	F_BOOL(set_nic, primary), F_BOOL(set_nic, accelerated), F_BOOL(set_nic, ip_forwarding),
	F_STRING(set_nic, security_group), F_LIST(set_nic, configs, set_config_shape));
SHAPE(PUBLIC, set_model, struct set_model, "model of instances", F_STRING(set_model, size),
	F_STRING(set_model, image), F_STRING(set_model, custom_image), F_JSON(set_model, image_reference),
	F_INT(set_model, disk_gib), F_STRING(set_model, name_prefix), F_STRING(set_model, admin_user),
	F_LIST(set_model, ssh_keys, ssh_key_shape), F_LIST(set_model, nics, set_nic_shape));
SHAPE(static, set_rolling_policy, struct set_rolling_policy, "policy of rolling upgrades",
	F_INT(set_rolling_policy, batch_percent), F_INT(set_rolling_policy, unhealthy_percent),
	F_INT(set_rolling_policy, unhealthy_upgraded_percent), F_INT(set_rolling_policy, pause_s));
SHAPE(static, set_rolling_status, struct set_rolling_status, "rolling upgrade",
	F_STRING(set_rolling_status, operation), F_ENUM(set_rolling_status, state, rolling_words),
	F_BOOL(set_rolling_status, cancel), F_STRINGS(set_rolling_status, batch),
	F_INT(set_rolling_status, resume_us), F_INT(set_rolling_status, patience_us),
	F_INT(set_rolling_status, started_us), F_INT(set_rolling_status, finished_us),
	F_STRING(set_rolling_status, message));
SHAPE(static, scale_set_spec, struct scale_set_spec, "spec", F_BOOL(scale_set_spec, flexible),
	F_INT(scale_set_spec, capacity), F_INT(scale_set_spec, fault_domains),
	F_ENUM(scale_set_spec, upgrade, upgrade_words),
	F_STRUCT(scale_set_spec, rolling, set_rolling_policy_shape),
	F_ENUM(scale_set_spec, scale_in, scale_in_words),
	F_STRUCT(scale_set_spec, health, balancer_ref_shape),
	F_STRUCT(scale_set_spec, model, set_model_shape));
SHAPE(static, scale_set_status, struct scale_set_status, "status",
	F_STRUCT(scale_set_status, outcome, outcome_shape), F_INT(scale_set_status, model),
	F_INT(scale_set_status, instances_made),
	F_STRUCT(scale_set_status, rolling, set_rolling_status_shape));
RESOURCE(scale_set, "scale set");

SHAPE(static, vm_spec, struct vm_spec_model, "spec", F_STRING(vm_spec_model, size),
	F_STRING(vm_spec_model, image), F_STRING(vm_spec_model, custom_image),
	F_STRING(vm_spec_model, computer_name), F_STRING(vm_spec_model, admin_user),
	F_LIST(vm_spec_model, ssh_keys, ssh_key_shape), F_LIST(vm_spec_model, nics, vm_nic_ref_shape),
	F_INT(vm_spec_model, disk_gib), F_ENUM(vm_spec_model, power, power_words),
	F_INT(vm_spec_model, restarts), F_INT(vm_spec_model, reimages),
	F_JSON(vm_spec_model, image_reference), F_STRING(vm_spec_model, availability_set),
	F_STRING(vm_spec_model, scale_set), F_INT(vm_spec_model, instance),
	F_BOOL(vm_spec_model, boot_diagnostics));
SHAPE(static, vm_migration_status, struct vm_migration_status, "migration",
	F_STRING(vm_migration_status, uid), F_STRING(vm_migration_status, target),
	F_ENUM(vm_migration_status, phase, migration_phase_words), F_INT(vm_migration_status, notice_s),
	F_STRING(vm_migration_status, message));
SHAPE(static, vm_status, struct vm_status, "status", F_STRUCT(vm_status, outcome, outcome_shape),
	F_STRING(vm_status, host), F_ENUM(vm_status, power, power_state_words), F_STRING(vm_status, detail),
	F_INT(vm_status, restarts_done), F_INT(vm_status, started_us), F_INT(vm_status, vcpus),
	F_INT(vm_status, update_domain), F_INT(vm_status, model), F_STRING(vm_status, set_operation),
	F_STRING(vm_status, made_by), F_STRUCT(vm_status, migration, vm_migration_status_shape),
	F_STRUCT(vm_status, guest, guest_os_shape), F_BOOL(vm_status, guest_heard),
	F_STRING(vm_status, lost));
RESOURCE(vm, "virtual machine");

SHAPE(PUBLIC, deployment_resource, struct deployment_resource, "deployed resource",
	F_STRING(deployment_resource, type), F_STRING(deployment_resource, name),
	F_STRING(deployment_resource, id), F_STRING(deployment_resource, operation),
	F_ENUM(deployment_resource, state, provisioning_words), F_BOOL(deployment_resource, removed),
	F_STRING(deployment_resource, code), F_STRING(deployment_resource, message),
	F_JSON(deployment_resource, details));
SHAPE(static, deployment_spec, struct deployment_spec, "spec", F_JSON(deployment_spec, template),
	F_JSON(deployment_spec, parameters), F_STRING(deployment_spec, mode),
	F_STRING(deployment_spec, within));
SHAPE(static, deployment_status, struct deployment_status, "status",
	F_STRUCT(deployment_status, outcome, outcome_shape), F_STRING(deployment_status, operation),
	F_LIST(deployment_status, resources, deployment_resource_shape), F_JSON(deployment_status, outputs),
	F_JSON(deployment_status, details), F_INT(deployment_status, finished_us),
	F_INT(deployment_status, cancelled));
RESOURCE(deployment, "deployment");

SHAPE(static, operation_spec, struct operation_spec, "spec", F_ENUM(operation_spec, verb, verb_words),
	F_ENUM(operation_spec, target_kind, kind_words), F_STRING(operation_spec, target),
	F_STRING(operation_spec, target_name), F_STRING(operation_spec, principal),
	F_STRING(operation_spec, request), F_STRING(operation_spec, parent), F_BOOL(operation_spec, created),
	F_STRINGS(operation_spec, instances));
SHAPE(static, operation_status, struct operation_status, "status",
	F_ENUM(operation_status, state, operation_words), F_STRING(operation_status, fault),
	F_STRING(operation_status, message), F_JSON(operation_status, details),
	F_INT(operation_status, finished_us));
RESOURCE(operation, "operation");

SHAPE(static, host_spec, struct host_spec, "spec", F_STRING(host_spec, fault_domain));
SHAPE(static, host_status, struct host_status, "status", F_INT(host_status, vcpus),
	F_INT(host_status, memory_mib), F_BOOL(host_status, kvm), F_STRING(host_status, accel_detail),
	F_STRING(host_status, provider), F_STRING(host_status, version), F_STRING(host_status, vtep),
	F_STRING(host_status, vtep_fault), F_STRING(host_status, tunnel), F_STRING(host_status, source_nat),
	F_STRINGS(host_status, physicals));
RESOURCE(host, "host");

#define OUTCOME(type) offsetof(struct type, status.outcome)

static const struct kind_info kinds[KIND_COUNT] = {
	[KIND_SUBSCRIPTION] = {KIND_SUBSCRIPTION, "subscription", "subscription", &subscription_shape},
	[KIND_PRINCIPAL] = {KIND_PRINCIPAL, "principal", "principal", &principal_shape},
	[KIND_GROUP] = {KIND_GROUP, "group", "resource group", &group_shape, KIND_SUBSCRIPTION,
		OUTCOME(group)},
	[KIND_NETWORK] = {KIND_NETWORK, "network", "virtual network", &network_shape, KIND_GROUP,
		OUTCOME(network)},
	[KIND_SECURITY_GROUP] = {KIND_SECURITY_GROUP, "security-group", "network security group",
		&security_group_shape, KIND_GROUP, OUTCOME(security_group)},
	[KIND_ADDRESS] = {KIND_ADDRESS, "address", "public IP address", &address_shape, KIND_GROUP,
		OUTCOME(address)},
	[KIND_NIC] = {KIND_NIC, "nic", "network interface", &nic_shape, KIND_GROUP, OUTCOME(nic)},
	[KIND_VM] = {KIND_VM, "vm", "virtual machine", &vm_shape, KIND_GROUP, OUTCOME(vm)},
	[KIND_DEPLOYMENT] = {KIND_DEPLOYMENT, "deployment", "deployment", &deployment_shape, KIND_GROUP,
		OUTCOME(deployment)},
	[KIND_OPERATION] = {KIND_OPERATION, "operation", "operation", &operation_shape},
	[KIND_HOST] = {KIND_HOST, "host", "host", &host_shape},
	[KIND_PHYSICAL] = {KIND_PHYSICAL, "physical", "physical network", &physical_shape, KIND_NONE,
		OUTCOME(physical)},
	[KIND_AVAILABILITY_SET] = {KIND_AVAILABILITY_SET, "availability-set", "availability set",
		&availability_set_shape, KIND_GROUP, OUTCOME(availability_set)},
	[KIND_SCALE_SET] = {KIND_SCALE_SET, "scale-set", "scale set", &scale_set_shape, KIND_GROUP,
		OUTCOME(scale_set)},
	[KIND_BALANCER] = {KIND_BALANCER, "balancer", "load balancer", &balancer_shape, KIND_GROUP,
		OUTCOME(balancer)},
	[KIND_APPLICATION_GROUP] = {KIND_APPLICATION_GROUP, "application-group", "application security group",
		&application_group_shape, KIND_GROUP, OUTCOME(application_group)},
	[KIND_ROUTE_TABLE] = {KIND_ROUTE_TABLE, "route-table", "route table", &route_table_shape, KIND_GROUP,
		OUTCOME(route_table)},
	[KIND_CUSTOM_IMAGE] = {KIND_CUSTOM_IMAGE, "custom-image", "custom image", &custom_image_shape,
		KIND_GROUP, OUTCOME(custom_image)},
	[KIND_KEY_PAIR] = {KIND_KEY_PAIR, "key-pair", "SSH public key", &key_pair_shape, KIND_GROUP,
		OUTCOME(key_pair)},
};

const struct kind_info *kind_info(enum kind kind)
{
	g_assert(kind > KIND_NONE && kind < KIND_COUNT);
	return &kinds[kind];
}

void *model_new(enum kind kind, const char *name, const char *parent)
{
	struct meta *meta = shape_new(kind_info(kind)->shape);

	meta->kind = kind;
	meta->uid = g_uuid_string_random();
	meta->name = g_strdup(name);
	meta->parent = g_strdup(parent);
	meta->created_us = g_get_real_time();
	return meta;
}

static const struct shape *shape_of(const void *object)
{
	return kind_info((enum kind)((const struct meta *)object)->kind)->shape;
}

void model_free(void *object)
{
	if (object)
		shape_free(shape_of(object), object);
}

void *model_copy(const void *object)
{
	const struct meta *from = object;
	struct meta *to = shape_copy(shape_of(object), object);

	to->kind = from->kind;
	to->revision = from->revision;
	return to;
}

struct outcome *model_outcome(void *object)
{
	size_t offset = kind_info((enum kind)model_meta(object)->kind)->outcome;

	return offset ? (struct outcome *)((char *)object + offset) : NULL;
}

/* Values carry the version of their schema; an older one would be migrated in model_decode(). */
#define SCHEMA_VERSION 1

char *model_encode(const void *object)
{
	json_t *json = shape_encode(shape_of(object), object);

	json_object_set_new(json, "v", json_integer(SCHEMA_VERSION));
	char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(json);
	return text;
}

void *model_decode(enum kind kind, const char *text, size_t length, int64_t revision, GError **error)
{
	json_error_t where;
	json_t *json = json_loadb(text, length, 0, &where);
	struct meta *meta = NULL;
	int version = json ? (int)json_integer_value(json_object_get(json, "v")) : 0;

	if (!json)
		fault_set(error, FAULT_INTERNAL, "a stored %s is no JSON: %s", kind_info(kind)->title,
			where.text);
	else if (version != SCHEMA_VERSION)
		fault_set(error, FAULT_INTERNAL,
			"a stored %s has schema version %d, this program knows %d: run the newer program",
			kind_info(kind)->title, version, SCHEMA_VERSION);
	else {
		json_object_del(json, "v");
		meta = shape_decode(kind_info(kind)->shape, json, SHAPE_LENIENT, error);
	}
	json_decref(json);
	if (meta) {
		meta->kind = (int)kind;
		meta->revision = revision;
	}
	return meta;
}
