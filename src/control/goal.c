/* What one host must do, computed whole from the store: its VMs, their NICs, the networks and groups that
 * these use, and where on other hosts these networks go on. Objects are the mirror's, and a goal refers to lists of theirs, so
 * that what did not change is not copied, and equal to what it was at a glance. */
#include "base/fault.h"
#include "control/control_priv.h"

#include <string.h>

struct builder {
	struct control *control;
	const struct host *host;
	struct goal *goal;
	const struct places *places;
	struct overlay *overlay; /* NULL: what is on other hosts is not asked for */
	GHashTable *networks, *groups; /* uids that are in the goal already; of groups of either kind */
};

static GPtrArray *ref_list(GPtrArray *list)
{
	return list ? g_ptr_array_ref(list) : NULL;
}

static bool add_application_group(struct builder *builder, const char *uid, GError **error)
{
	if (!g_hash_table_add(builder->groups, g_strdup(uid)))
		return true;
	const struct application_group *group =
		mirror_get(builder->control->mirror, KIND_APPLICATION_GROUP, uid, error);
	if (!group)
		return false;
	struct goal_application_group *out = shape_new(&goal_application_group_shape);
	out->uid = g_strdup(uid);
	out->number = group->status.number;
	out->name = g_strdup(group->meta.name);
	out->network = g_strdup(group->status.network);
	out->members = strings_new();
	for (guint i = 0; i < list_length(group->status.members); i++) {
		const struct application_member *member = group->status.members->pdata[i];
		g_ptr_array_add(out->members, g_strdup(member->ip));
	}
	g_ptr_array_add(builder->goal->application_groups, out);
	return true;
}

static bool add_named(struct builder *builder, const struct rule_side *side, GError **error)
{
	for (guint i = 0; i < list_length(side->application_groups); i++)
		if (!add_application_group(builder, side->application_groups->pdata[i], error))
			return false;
	return true;
}

static bool add_group(struct builder *builder, const char *uid, GError **error)
{
	if (!uid || !g_hash_table_add(builder->groups, g_strdup(uid)))
		return true;
	const struct security_group *group =
		mirror_get(builder->control->mirror, KIND_SECURITY_GROUP, uid, error);
	if (!group)
		return false;
	struct goal_group *out = shape_new(&goal_group_shape);
	out->uid = g_strdup(uid);
	out->name = g_strdup(group->meta.name);
	out->keep_established = group->spec.keep_established;
	out->rules = ref_list(group->spec.rules);
	g_ptr_array_add(builder->goal->groups, out);
	for (guint i = 0; i < list_length(out->rules); i++) {
		const struct rule *rule = out->rules->pdata[i];
		if (!add_named(builder, &rule->source, error) ||
			!add_named(builder, &rule->destination, error))
			return false;
	}
	return true;
}

/* A switch takes no state with an appliance that is in no subnet. */
static const char *via_of(const struct user_route *route, const struct network *network)
{
	struct ip_addr appliance;

	if (route->next_hop != NEXT_HOP_APPLIANCE)
		return next_hop_words[route->next_hop];
	return ip_parse(route->appliance, &appliance) == 0 && network_has_address(network, appliance)
		       ? route->appliance
		       : next_hop_words[NEXT_HOP_NONE];
}

static bool set_routes(struct builder *builder, const struct network *network, const struct subnet *subnet,
	GPtrArray **ret, GError **error)
{
	if (!subnet->route_table)
		return true;
	const struct route_table *table =
		mirror_get(builder->control->mirror, KIND_ROUTE_TABLE, subnet->route_table, error);
	if (!table)
		return false;
	*ret = shape_list_new(&goal_route_shape);
	for (guint i = 0; i < list_length(table->spec.routes); i++) {
		const struct user_route *route = table->spec.routes->pdata[i];
		struct goal_route *out = shape_new(&goal_route_shape);
		out->prefix = g_strdup(route->prefix);
		out->via = g_strdup(via_of(route, network));
		g_ptr_array_add(*ret, out);
	}
	return true;
}

static bool set_range(
	const struct subnet *subnet, const char *range, char **ret_prefix, char **ret_gateway, GError **error)
{
	struct ip_prefix prefix;
	char gateway[IP_TEXT_MAX];

	if (prefix_parse(range, &prefix) < 0)
		return fault_set(
			error, FAULT_INTERNAL, "subnet %s has a prefix that cannot be read", subnet->name);
	ipam_gateway(prefix, gateway);
	*ret_prefix = g_strdup(range);
	*ret_gateway = g_strdup(gateway);
	return true;
}

static bool add_subnet(struct builder *builder, const struct network *network, struct goal_network *ret,
	const struct subnet *subnet, GError **error)
{
	struct goal_subnet *out = shape_new(&goal_subnet_shape);

	g_ptr_array_add(ret->subnets, out);
	if (!set_range(subnet, subnet->prefix, &out->prefix, &out->gateway, error) ||
		(subnet->prefix6 &&
			!set_range(subnet, subnet->prefix6, &out->prefix6, &out->gateway6, error)))
		return false;
	out->uid = g_strdup(subnet->uid);
	out->security_group = g_strdup(subnet->security_group);
	return set_routes(builder, network, subnet, &out->routes, error) &&
	       add_group(builder, subnet->security_group, error);
}

static bool set_segment(
	struct builder *builder, const struct network *network, struct goal_network *out, GError **error)
{
	out->vni = network->status.vni;
	out->vlan = network->status.vlan;
	if (!network->spec.physical)
		return true;
	const struct physical *physical =
		mirror_get(builder->control->mirror, KIND_PHYSICAL, network->spec.physical, error);
	out->physical = physical ? g_strdup(physical->meta.name) : NULL;
	return physical != NULL;
}

static bool add_network(struct builder *builder, const char *uid, GError **error)
{
	if (!g_hash_table_add(builder->networks, g_strdup(uid)))
		return true;
	const struct network *network = mirror_get(builder->control->mirror, KIND_NETWORK, uid, error);
	if (!network)
		return false;
	struct goal_network *out = shape_new(&goal_network_shape);
	g_ptr_array_add(builder->goal->networks, out);
	out->uid = g_strdup(uid);
	out->name = g_strdup(network->meta.name);
	out->prefixes = ref_list(network->spec.prefixes);
	out->subnets = shape_list_new(&goal_subnet_shape);
	for (guint i = 0; i < list_length(network->spec.subnets); i++)
		if (!add_subnet(builder, network, out, network->spec.subnets->pdata[i], error))
			return false;
	out->no_outbound = network_has_no_outbound(network);
	if (!set_segment(builder, network, out, error))
		return false;
	if (builder->overlay)
		overlay_map(builder->overlay, out);
	return true;
}

static bool add_address(
	struct builder *builder, struct goal_nic *nic, const struct nic_config *config, GError **error)
{
	struct goal_address *out = shape_new(&goal_address_shape);

	out->ip = g_strdup(config->ip);
	if (config->primary)
		g_ptr_array_insert(nic->addresses, 0, out);
	else
		g_ptr_array_add(nic->addresses, out);
	if (!config->address)
		return true;
	const struct address *address =
		mirror_get(builder->control->mirror, KIND_ADDRESS, config->address, error);
	if (!address)
		return false;
	out->public_ip = g_strdup(address->status.ip);
	out->standard = address->spec.sku == ADDRESS_STANDARD;
	return true;
}

/* What is the NIC's own, with its network and its groups. *ret is the goal's. */
static bool add_nic(struct builder *builder, const struct nic *nic, struct goal_nic **ret, GError **error)
{
	const struct nic_config *first = nic->spec.configs->pdata[0];
	struct goal_nic *out = shape_new(&goal_nic_shape);

	g_ptr_array_add(builder->goal->nics, out);
	out->uid = g_strdup(nic->meta.uid);
	out->name = g_strdup(nic->meta.name);
	out->mac = g_strdup(nic->status.mac);
	out->network = g_strdup(first->network);
	out->subnet = g_strdup(first->subnet);
	out->security_group = g_strdup(nic->spec.security_group);
	out->host_address = g_strdup(nic->status.host_address);
	out->forwarding = nic->spec.ip_forwarding;
	out->addresses = shape_list_new(&goal_address_shape);
	for (guint i = 0; i < nic->spec.configs->len; i++)
		if (!add_address(builder, out, nic->spec.configs->pdata[i], error))
			return false;
	*ret = out;
	return add_network(builder, first->network, error) &&
	       add_group(builder, nic->spec.security_group, error);
}

static bool add_nic_of(struct builder *builder, const struct vm *vm, const struct size *size,
	const struct vm_nic_ref *ref, GError **error)
{
	const struct nic *nic = mirror_get(builder->control->mirror, KIND_NIC, ref->nic, error);
	struct goal_nic *out;
	enum guest guest;

	if (!nic || !add_nic(builder, nic, &out, error) ||
		!control_guest(builder->control, nic, &guest, error))
		return false;
	out->vm = g_strdup(vm->meta.uid);
	out->accelerated = nic->spec.accelerated && size->accelerated;
	out->guest_enforcement = guest == GUEST_ALLOWED;
	out->primary = ref->primary;
	out->bandwidth_mbps = size->bandwidth_mbps;
	balancing_fill_nic(builder->control, builder->host, builder->places, nic, out);
	return true;
}

static const struct group *group_of(struct builder *builder, const struct meta *meta)
{
	const struct meta *outer = meta;

	while (outer && model_is_inner(outer))
		outer = mirror_get(
			builder->control->mirror, (enum kind)outer->parent_kind, outer->parent, NULL);
	return outer ? mirror_get(builder->control->mirror, KIND_GROUP, outer->parent, NULL) : NULL;
}

/* size NULL: the catalog has it no more; the VM holds nothing but its disk. */
static void fill_vm(
	struct builder *builder, struct goal_vm *out, const struct vm *vm, const struct size *size)
{
	const struct group *group = group_of(builder, &vm->meta);

	out->uid = g_strdup(vm->meta.uid);
	out->generation = vm->meta.generation;
	out->name = g_strdup(vm->meta.name);
	out->group_name = g_strdup(group ? group->meta.name : NULL);
	out->location = g_strdup(vm->meta.location);
	out->size = g_strdup(vm->spec.size);
	out->subscription = g_strdup(builder->control->subscription);
	out->vcpus = size ? size->vcpus : vm->status.vcpus;
	out->memory_mib = size ? size->memory_mib : 0;
	out->image = g_strdup(vm->spec.image);
	out->disk_gib = vm->spec.disk_gib;
	out->computer_name = g_strdup(vm->spec.computer_name);
	out->admin_user = g_strdup(vm->spec.admin_user);
	out->tags = json_incref(vm->meta.tags);
	out->power = vm->spec.power;
	out->restarts = vm->spec.restarts;
	out->reimages = vm->spec.reimages;
	out->remove = vm->status.outcome.state == PROVISIONING_DELETING;
	out->ssh_keys = strings_new();
	for (guint i = 0; i < list_length(vm->spec.ssh_keys); i++)
		g_ptr_array_add(
			out->ssh_keys, g_strdup(((struct ssh_key *)vm->spec.ssh_keys->pdata[i])->key));
}

static bool add_vm(struct builder *builder, const char *uid, GError **error)
{
	const struct vm *vm = mirror_get(builder->control->mirror, KIND_VM, uid, error);
	const struct size *size = vm ? control_size(builder->control, vm->spec.size) : NULL;

	if (!vm)
		return false;
	if (!size && vm_needs_size(vm))
		return fault_set(error, FAULT_INVALID,
			"virtual machine %s has size %s, which is no longer in the catalog", vm->meta.name,
			vm->spec.size);
	struct goal_vm *out = shape_new(&goal_vm_shape);
	g_ptr_array_add(builder->goal->vms, out);
	fill_vm(builder, out, vm, size);
	if (!migrate_fill(builder->control, builder->host, vm, &out->migration, error))
		return false;
	if (out->remove || out->power == POWER_DEALLOCATED)
		return true;
	for (guint i = 0; i < list_length(vm->spec.nics); i++)
		if (!add_nic_of(builder, vm, size, vm->spec.nics->pdata[i], error))
			return false;
	return true;
}

/* A load balancer's network may have no NIC here. */
static bool add_balancers(struct builder *builder, GError **error)
{
	if (!balancing_fill(builder->control, builder->host, builder->goal, error))
		return false;
	for (guint i = 0; i < builder->goal->balancers->len; i++) {
		const struct goal_balancer *balancer = builder->goal->balancers->pdata[i];
		if (!add_network(builder, balancer->network, error))
			return false;
	}
	return true;
}

static struct goal *empty_goal(void)
{
	struct goal *goal = goal_new();

	goal->networks = shape_list_new(&goal_network_shape);
	goal->groups = shape_list_new(&goal_group_shape);
	goal->application_groups = shape_list_new(&goal_application_group_shape);
	goal->vms = shape_list_new(&goal_vm_shape);
	goal->nics = shape_list_new(&goal_nic_shape);
	return goal;
}

struct goal *goal_of_nic(struct control *control, const struct nic *nic, GError **error)
{
	_cleanup_(goal_free) struct goal *goal = empty_goal();
	g_autoptr(GHashTable) networks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GHashTable) groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	struct builder builder = {.control = control, .goal = goal, .networks = networks, .groups = groups};
	struct goal_nic *out;
	int64_t revision;

	if (!control_revision(control, &revision, error))
		return NULL;
	mirror_at(control->mirror, revision);
	return add_nic(&builder, nic, &out, error) ? g_steal_pointer(&goal) : NULL;
}

struct goal *goal_build(struct control *control, const struct host *host, int64_t revision, GError **error)
{
	g_autofree char *prefix = key_placements(host->meta.uid), *end = store_prefix_end(prefix);
	_cleanup_(store_range_clear) struct store_range range = {};
	const struct places *places = places_at(control, revision, error);
	_cleanup_(overlay_free) struct overlay *overlay = places ? overlay_new(places, host) : NULL;
	_cleanup_(goal_free) struct goal *goal = empty_goal();
	g_autoptr(GHashTable) networks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GHashTable) groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	struct builder builder = {control, host, goal, places, overlay, networks, groups};

	goal->host = g_strdup(host->meta.uid);
	mirror_at(control->mirror, revision);
	if (!overlay || !store_list(control->store, prefix, end, 0, 0, &range, NULL, error))
		return NULL;
	for (guint i = 0; i < range.kvs->len; i++)
		if (!add_vm(&builder, strrchr(((struct store_kv *)range.kvs->pdata[i])->key, '/') + 1, error))
			return NULL;
	if (!add_balancers(&builder, error))
		return NULL;
	goal->conditions = overlay_conditions(overlay);
	outbound_fill(control, host, goal);
	segment_fill(host, goal);
	return g_steal_pointer(&goal);
}
