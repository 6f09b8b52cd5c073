/* Field tables of the goal state and the report. */
#include "model/goal.h"

#define SHAPE(NAME, type, title, ...)                                                                        \
	static const struct field NAME##_fields[] = {__VA_ARGS__, F_END};                                    \
	const struct shape NAME##_shape = {title, sizeof(type), NAME##_fields}

const char *const migration_state_words[] = {"waiting", "ready", "moving", "moved", "failed", NULL};
const char *const migration_role_words[] = {"source", "target", NULL};

SHAPE(goal_address, struct goal_address, "address", F_STRING(goal_address, ip),
	F_STRING(goal_address, public_ip), F_BOOL(goal_address, standard));
SHAPE(goal_probe, struct goal_probe, "probe", F_STRING(goal_probe, key),
	F_ENUM(goal_probe, protocol, probe_words), F_INT(goal_probe, port), F_STRING(goal_probe, path),
	F_INT(goal_probe, interval_s), F_INT(goal_probe, threshold));
SHAPE(goal_front, struct goal_front, "front end", F_STRING(goal_front, vtep), F_STRING(goal_front, mac),
	F_BOOL(goal_front, standard), F_STRINGS(goal_front, floating));
SHAPE(goal_nic, struct goal_nic, "NIC", F_STRING(goal_nic, uid), F_STRING(goal_nic, name),
	F_STRING(goal_nic, mac), F_STRING(goal_nic, vm), F_STRING(goal_nic, network),
	F_STRING(goal_nic, subnet), F_STRING(goal_nic, security_group), F_STRING(goal_nic, host_address),
	F_BOOL(goal_nic, accelerated), F_BOOL(goal_nic, primary), F_BOOL(goal_nic, forwarding),
	F_BOOL(goal_nic, guest_enforcement), F_INT(goal_nic, bandwidth_mbps),
	F_LIST(goal_nic, addresses, goal_address_shape), F_LIST(goal_nic, probes, goal_probe_shape),
	F_STRUCT(goal_nic, front, goal_front_shape), F_STRING(goal_nic, source_nat));
SHAPE(goal_member, struct goal_member, "member", F_STRING(goal_member, nic), F_STRING(goal_member, ip),
	F_BOOL(goal_member, well));
SHAPE(goal_balance, struct goal_balance, "load-balancing rule", F_STRING(goal_balance, name),
	F_STRING(goal_balance, address), F_ENUM(goal_balance, protocol, protocol_words),
	F_INT(goal_balance, port), F_INT(goal_balance, member_port), F_BOOL(goal_balance, floating),
	F_ENUM(goal_balance, distribution, distribution_words), F_STRING(goal_balance, probe),
	F_LIST(goal_balance, members, goal_member_shape));
SHAPE(goal_balancer, struct goal_balancer, "load balancer", F_STRING(goal_balancer, uid),
	F_STRING(goal_balancer, name), F_STRING(goal_balancer, mac), F_STRING(goal_balancer, network),
	F_BOOL(goal_balancer, internal), F_BOOL(goal_balancer, standard), F_STRINGS(goal_balancer, addresses),
	F_LIST(goal_balancer, rules, goal_balance_shape));
SHAPE(goal_migration, struct goal_migration, "migration", F_STRING(goal_migration, uid),
	F_ENUM(goal_migration, role, migration_role_words), F_STRING(goal_migration, peer),
	F_STRING(goal_migration, address), F_STRING(goal_migration, vtep), F_INT(goal_migration, notice_s),
	F_BOOL(goal_migration, go), F_BOOL(goal_migration, cancel));
SHAPE(goal_vm, struct goal_vm, "VM", F_STRING(goal_vm, uid), F_INT(goal_vm, generation),
	F_STRING(goal_vm, name), F_STRING(goal_vm, group_name), F_STRING(goal_vm, location),
	F_STRING(goal_vm, size), F_STRING(goal_vm, subscription), F_INT(goal_vm, vcpus),
	F_INT(goal_vm, memory_mib), F_STRING(goal_vm, image), F_INT(goal_vm, disk_gib),
	F_STRING(goal_vm, computer_name), F_STRING(goal_vm, admin_user), F_STRINGS(goal_vm, ssh_keys),
	F_JSON(goal_vm, tags), F_ENUM(goal_vm, power, power_words), F_INT(goal_vm, restarts),
	F_INT(goal_vm, reimages), F_BOOL(goal_vm, remove),
	F_STRUCT(goal_vm, migration, goal_migration_shape));
SHAPE(goal_route, struct goal_route, "route", F_STRING(goal_route, prefix), F_STRING(goal_route, via));
SHAPE(goal_subnet, struct goal_subnet, "subnet", F_STRING(goal_subnet, uid), F_STRING(goal_subnet, prefix),
	F_STRING(goal_subnet, gateway), F_STRING(goal_subnet, prefix6), F_STRING(goal_subnet, gateway6),
	F_STRING(goal_subnet, security_group), F_LIST(goal_subnet, routes, goal_route_shape));
SHAPE(goal_mapping, struct goal_mapping, "mapping", F_STRING(goal_mapping, ip), F_STRING(goal_mapping, vtep),
	F_STRING(goal_mapping, mac));
SHAPE(goal_network, struct goal_network, "network", F_STRING(goal_network, uid), F_STRING(goal_network, name),
	F_INT(goal_network, vni), F_STRING(goal_network, physical), F_INT(goal_network, vlan),
	F_STRINGS(goal_network, prefixes), F_LIST(goal_network, subnets, goal_subnet_shape),
	F_BOOL(goal_network, no_outbound), F_LIST(goal_network, mappings, goal_mapping_shape));
SHAPE(goal_group, struct goal_group, "security group", F_STRING(goal_group, uid), F_STRING(goal_group, name),
	F_BOOL(goal_group, keep_established), F_LIST(goal_group, rules, rule_shape));
SHAPE(goal_application_group, struct goal_application_group, "application security group",
	F_STRING(goal_application_group, uid), F_INT(goal_application_group, number),
	F_STRING(goal_application_group, name), F_STRING(goal_application_group, network),
	F_STRINGS(goal_application_group, members));
SHAPE(goal, struct goal, "goal", F_INT(goal, version), F_STRING(goal, host), F_STRING(goal, source_nat),
	F_LIST(goal, networks, goal_network_shape), F_LIST(goal, groups, goal_group_shape),
	F_LIST(goal, application_groups, goal_application_group_shape), F_LIST(goal, vms, goal_vm_shape),
	F_LIST(goal, nics, goal_nic_shape), F_LIST(goal, balancers, goal_balancer_shape),
	F_STRINGS(goal, conditions));

SHAPE(report_migration, struct report_migration, "migration's report", F_STRING(report_migration, uid),
	F_ENUM(report_migration, state, migration_state_words), F_INT(report_migration, percent),
	F_STRING(report_migration, message));
SHAPE(report_vm, struct report_vm, "VM's report", F_STRING(report_vm, uid),
	F_ENUM(report_vm, power, power_state_words), F_BOOL(report_vm, absent), F_STRING(report_vm, fault),
	F_STRING(report_vm, message), F_INT(report_vm, restarts), F_INT(report_vm, reimages),
	F_STRUCT(report_vm, migration, report_migration_shape), F_STRUCT(report_vm, guest, guest_os_shape));
SHAPE(report_nic, struct report_nic, "NIC's report", F_STRING(report_nic, uid),
	F_ENUM(report_nic, path, path_words), F_ENUM(report_nic, enforcement, enforcement_words),
	F_STRING(report_nic, reason), F_STRINGS(report_nic, well), F_STRING(report_nic, driver));
SHAPE(report_exposure, struct report_exposure, "exposed NIC's report", F_STRING(report_exposure, nic),
	F_STRING(report_exposure, vm), F_STRING(report_exposure, reason));
SHAPE(report_function, struct report_function, "function's report", F_STRING(report_function, name),
	F_STRING(report_function, provider), F_STRING(report_function, nic), F_STRING(report_function, vm),
	F_STRING(report_function, state), F_STRING(report_function, physical), F_STRING(report_function, pf),
	F_BOOL(report_function, vxlan), F_INT(report_function, index), F_STRING(report_function, mac),
	F_INT(report_function, vlan));
SHAPE(report, struct report, "report", F_STRING(report, host), F_STRING(report, goal_host),
	F_INT(report, received), F_INT(report, applied), F_INT(report, vcpus), F_INT(report, memory_mib),
	F_INT(report, available_mib), F_BOOL(report, kvm), F_STRING(report, accel_detail),
	F_STRING(report, provider), F_BOOL(report, drained), F_STRING(report, version),
	F_STRING(report, vtep), F_STRING(report, tunnel), F_STRINGS(report, physicals),
	F_STRING(report, vxlans), F_LIST(report, vms, report_vm_shape),
	F_LIST(report, nics, report_nic_shape), F_LIST(report, exposed, report_exposure_shape),
	F_LIST(report, functions, report_function_shape));

struct goal *goal_new(void)
{
	return shape_new(&goal_shape);
}

void goal_free(struct goal *goal)
{
	shape_free(&goal_shape, goal);
}

bool goal_is_astray(const struct goal *goal, const char *host, int64_t version)
{
	return g_strcmp0(goal->host, host) != 0 || goal->version < version;
}

const struct goal_network *goal_find_network(const struct goal *goal, const char *uid)
{
	for (guint i = 0; uid && i < list_length(goal->networks); i++) {
		const struct goal_network *network = goal->networks->pdata[i];
		if (g_strcmp0(network->uid, uid) == 0)
			return network;
	}
	return NULL;
}

const struct goal_subnet *goal_find_subnet(const struct goal_network *network, const char *uid)
{
	for (guint i = 0; network && uid && i < list_length(network->subnets); i++) {
		const struct goal_subnet *subnet = network->subnets->pdata[i];
		if (g_strcmp0(subnet->uid, uid) == 0)
			return subnet;
	}
	return NULL;
}

const struct goal_vm *goal_find_vm(const struct goal *goal, const char *uid)
{
	for (guint i = 0; uid && i < list_length(goal->vms); i++) {
		const struct goal_vm *vm = goal->vms->pdata[i];
		if (g_strcmp0(vm->uid, uid) == 0)
			return vm;
	}
	return NULL;
}

const struct goal_nic *goal_find_nic(const struct goal *goal, const char *uid)
{
	for (guint i = 0; uid && i < list_length(goal->nics); i++) {
		const struct goal_nic *nic = goal->nics->pdata[i];
		if (g_strcmp0(nic->uid, uid) == 0)
			return nic;
	}
	return NULL;
}

struct report *report_new(void)
{
	return shape_new(&report_shape);
}

void report_free(struct report *report)
{
	shape_free(&report_shape, report);
}
