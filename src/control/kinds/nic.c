/* Network interfaces.
 *
 * A NIC holds one private address for each of its IP configurations, perhaps a public address each, a MAC and
 * a host-port address; all are claimed in the transaction of the put that names them. It belongs to the
 * virtual network of its first configuration for good. The primary configuration is of IPv4; others may be of
 * IPv6, and have no public address and no load balancer then, as both are of IPv4 here.
 */
#include "base/fault.h"
#include "control/control_priv.h"

#include <string.h>

static struct nic_config *find_config(const struct nic *nic, const char *name)
{
	for (guint i = 0; nic && i < list_length(nic->spec.configs); i++) {
		struct nic_config *config = nic->spec.configs->pdata[i];
		if (g_ascii_strcasecmp(config->name, name) == 0)
			return config;
	}
	return NULL;
}

#define CONFIGS_MAX 64 /* what a switch takes for one NIC */

static bool check_config(const struct nic *nic, guint index, GError **error)
{
	const struct nic_config *config = nic->spec.configs->pdata[index],
				*first = nic->spec.configs->pdata[0];

	if (find_config(nic, config->name) != config)
		return fault_set(error, FAULT_INVALID,
			"network interface %s has two IP configurations named %s", nic->meta.name,
			config->name);
	if (!g_str_equal(config->network, first->network) || !g_str_equal(config->subnet, first->subnet))
		return fault_set(error, FAULT_INVALID_REFERENCE,
			"network interface %s: all its IP configurations must be in one subnet",
			nic->meta.name);
	for (guint i = 0; i < index; i++) {
		const struct nic_config *before = nic->spec.configs->pdata[i];
		if (config->address && g_strcmp0(config->address, before->address) == 0)
			return fault_set(error, FAULT_INVALID,
				"network interface %s: IP configurations %s and %s name the same public "
				"address",
				nic->meta.name, before->name, config->name);
	}
	return true;
}

static bool check_ipv6(const struct nic *nic, const struct nic_config *config, GError **error)
{
	const char *what = NULL;

	if (config->primary)
		return fault_set(error, FAULT_INVALID,
			"network interface %s: IP configuration %s is of IPv6 and cannot be the primary one; "
			"add it beside a primary one of IPv4",
			nic->meta.name, config->name);
	if (config->address)
		what = "public address";
	else if (list_length(config->pools) || list_length(config->nat_rules) ||
		 list_length(config->nat_pools))
		what = "load balancer";
	return !what ||
	       fault_set(error, FAULT_UNSUPPORTED,
		       "network interface %s: IP configuration %s is of IPv6 and cannot have a %s, which "
		       "are of IPv4 here; name it in one of IPv4",
		       nic->meta.name, config->name, what);
}

/* Where no configuration is said to be the primary one, the first is: but not in the place of another one, which is
 * what a client does that takes the primary one away. */
static bool choose_primary(const struct nic *nic, const struct nic *old, GError **error)
{
	for (guint i = 0; old && i < list_length(old->spec.configs); i++) {
		const struct nic_config *was = old->spec.configs->pdata[i];
		if (was->primary && !find_config(nic, was->name))
			return fault_set(error, FAULT_NOT_ALLOWED,
				"network interface %s: its primary IP configuration %s cannot be taken away; "
				"make another one primary first (az network nic ip-config update "
				"--make-primary)",
				nic->meta.name, was->name);
	}
	((struct nic_config *)nic->spec.configs->pdata[0])->primary = true;
	return true;
}

/* One primary configuration, names and public addresses unique, all in one subnet. */
static bool check_configs(const struct nic *nic, const struct nic *old, GError **error)
{
	guint primaries = 0, n = list_length(nic->spec.configs);

	if (n == 0 || n > CONFIGS_MAX)
		return fault_set(error, FAULT_INVALID,
			"network interface %s needs 1 to %d IP configurations, it has %u", nic->meta.name,
			CONFIGS_MAX, n);
	for (guint i = 0; i < n; i++) {
		if (!check_config(nic, i, error))
			return false;
		primaries += ((struct nic_config *)nic->spec.configs->pdata[i])->primary;
	}
	if (primaries > 1)
		return fault_set(error, FAULT_INVALID,
			"network interface %s has %u primary IP configurations, one is needed",
			nic->meta.name, primaries);
	if (primaries == 0 && !choose_primary(nic, old, error))
		return false;
	for (guint i = 0; i < n; i++) {
		const struct nic_config *config = nic->spec.configs->pdata[i];
		if (config->ipv6 && !check_ipv6(nic, config, error))
			return false;
	}
	return true;
}

/* What a VM that is on does not allow. */
static bool check_bound(struct put *put, GError **error)
{
	const struct nic *old = put->old;
	const struct nic *nic = put->object;

	if (!old || !old->status.vm)
		return true;
	const struct vm *vm = change_get(put->change, KIND_VM, old->status.vm, error);
	if (!vm)
		return false;
	if (vm->spec.scale_set)
		return scale_set_check_nic(put, vm, error);
	const struct size *size = control_size(put->control, vm->spec.size);
	g_autofree char *what = g_strdup_printf(
		"Accelerated networking of network interface %s cannot be changed", nic->meta.name);
	if (old->spec.accelerated != nic->spec.accelerated &&
		!availability_check_off(put->change, vm, what, error))
		return false;
	if (nic->spec.accelerated && size && !size_takes_acceleration(size))
		return fault_set(error, FAULT_NOT_ALLOWED,
			"Size %s of virtual machine %s does not support accelerated networking; resize it "
			"first, to a size "
			"that 'az vm list-skus' shows with AcceleratedNetworkingEnabled",
			vm->spec.size, vm->meta.name);
	const struct machine_image image = {vm->spec.image, vm->spec.custom_image};
	return !nic->spec.accelerated || old->spec.accelerated ||
	       (machine_check_support(put, &vm->meta, &image, nic->meta.name, error) &&
		       vm_check_kernel(vm, nic->meta.name, error));
}

/* ---- giving back what is no longer wanted; all of it before anything is claimed, so that two configurations
 * of one NIC may swap what they hold ---- */

static bool release_public(
	struct change *change, const struct nic *nic, const char *address_uid, GError **error)
{
	struct address *address = change_get(change, KIND_ADDRESS, address_uid, error);

	if (!address)
		return false;
	g_clear_pointer(&address->status.nic, g_free);
	change_put(change, address);
	change_unref(change, address_uid, nic->meta.uid);
	return true;
}

/* The configuration keeps the private address that it has: nothing else is asked for. */
static bool keeps_private(const struct nic_config *config, const struct nic_config *was)
{
	return was->ipv6 == config->ipv6 && g_str_equal(was->subnet, config->subnet) &&
	       (!config->ip || g_strcmp0(config->ip, was->ip) == 0);
}

static bool release_unwanted(struct put *put, GError **error)
{
	const struct nic *old = put->old;
	const struct nic *nic = put->object;

	for (guint i = 0; old && i < list_length(old->spec.configs); i++) {
		const struct nic_config *was = old->spec.configs->pdata[i],
					*config = find_config(nic, was->name);
		if (!config || !keeps_private(config, was))
			change_release(put->change, was->subnet, was->ip);
		if (was->address && (!config || g_strcmp0(config->address, was->address) != 0) &&
			!release_public(put->change, nic, was->address, error))
			return false;
	}
	return true;
}

/* ---- claiming ---- */

static bool claim_public(struct put *put, const struct nic_config *config, GError **error)
{
	struct nic *nic = put->object;

	if (!config->address)
		return true;
	struct address *address =
		check_reference(put->change, KIND_ADDRESS, config->address, &nic->meta, error);
	if (!address)
		return false;
	if (address->status.balancer)
		return fault_set(error, FAULT_IN_USE,
			"public IP address %s is in use by a load balancer; take it off there first",
			address->meta.name);
	if (address->status.nic && !g_str_equal(address->status.nic, nic->meta.uid)) {
		const struct nic *other = change_get(put->change, KIND_NIC, address->status.nic, NULL);
		return fault_set(error, FAULT_IN_USE,
			"public IP address %s is in use by network interface %s; take it off there first",
			address->meta.name, other ? other->meta.name : address->status.nic);
	}
	g_free(address->status.nic);
	address->status.nic = g_strdup(nic->meta.uid);
	change_put(put->change, address);
	change_ref(put->change, config->address, &nic->meta);
	return true;
}

/* It has addresses of the configuration's version. */
static bool check_version(
	const struct nic *nic, const struct nic_config *config, const struct subnet *subnet, GError **error)
{
	return !config->ipv6 || subnet->prefix6 ||
	       fault_set(error, FAULT_INVALID,
		       "network interface %s: IP configuration %s is of IPv6, and subnet %s has no IPv6 "
		       "prefix; "
		       "give it one beside %s (az network vnet subnet update --address-prefixes)",
		       nic->meta.name, config->name, subnet->name, subnet->prefix);
}

static const struct subnet *check_subnet(struct put *put, const struct nic_config *config, GError **error)
{
	const struct nic *nic = put->object;
	const struct network *network =
		check_reference(put->change, KIND_NETWORK, config->network, &nic->meta, error);
	const struct subnet *subnet = network ? network_find_subnet(network, config->subnet) : NULL;

	if (network && !subnet)
		fault_set(error, FAULT_INVALID_REFERENCE,
			"network interface %s refers to a subnet that virtual network %s does not have",
			nic->meta.name, network->meta.name);
	else if (network && !g_str_equal(network->meta.location, nic->meta.location)) {
		fault_set(error, FAULT_INVALID_REFERENCE,
			"network interface %s is in %s but virtual network %s is in %s; both must be in one "
			"location",
			nic->meta.name, nic->meta.location, network->meta.name, network->meta.location);
		return NULL;
	}
	return subnet && check_version(nic, config, subnet, error) ? subnet : NULL;
}

static bool claim_private(
	struct put *put, struct nic_config *config, const struct nic_config *was, GError **error)
{
	const struct nic *nic = put->object;
	const struct subnet *subnet = check_subnet(put, config, error);

	if (!subnet)
		return false;
	if (was && keeps_private(config, was)) {
		g_free(config->ip);
		config->ip = g_strdup(was->ip);
		return true;
	}
	/* A dynamic address that is given back as it was read is no wish, once the subnet changed. */
	bool moved = was && (was->ipv6 != config->ipv6 || !g_str_equal(was->subnet, config->subnet));
	bool wish = config->ip && (config->allocation == ALLOCATION_STATIC || !moved);
	char *ip =
		ipam_claim(put->change, subnet, config->ipv6, wish ? config->ip : NULL, nic->meta.uid, error);
	if (!ip)
		return false;
	g_free(config->ip);
	config->ip = ip;
	change_ref(put->change, config->network, &nic->meta);
	return true;
}

static bool stage_group(struct put *put, GError **error)
{
	const struct nic *old = put->old;
	const struct nic *nic = put->object;

	if (old && old->spec.security_group)
		change_unref(put->change, old->spec.security_group, nic->meta.uid);
	if (!nic->spec.security_group)
		return true;
	if (!check_reference(put->change, KIND_SECURITY_GROUP, nic->spec.security_group, &nic->meta, error))
		return false;
	change_ref(put->change, nic->spec.security_group, &nic->meta);
	return true;
}

static bool claim_configs(struct put *put, GError **error)
{
	const struct nic *nic = put->object;

	for (guint i = 0; i < nic->spec.configs->len; i++) {
		struct nic_config *config = nic->spec.configs->pdata[i],
				  *was = find_config(put->old, config->name);
		if (!claim_private(put, config, was, error) || !claim_public(put, config, error))
			return false;
	}
	return true;
}

bool nic_check(struct put *put, GError **error)
{
	const struct nic *nic = put->object;
	const char *group = nic->spec.security_group;

	if (!check_configs(nic, NULL, error))
		return false;
	for (guint i = 0; i < nic->spec.configs->len; i++)
		if (!check_subnet(put, nic->spec.configs->pdata[i], error))
			return false;
	return (!group || check_reference(put->change, KIND_SECURITY_GROUP, group, &nic->meta, error)) &&
	       application_groups_check(put->change, nic, error);
}

static bool nic_prepare(struct put *put, GError **error)
{
	const struct nic *old = put->old;
	struct nic *nic = put->object;

	if (!check_configs(nic, old, error) || !segment_check_nic(nic, error) || !check_bound(put, error))
		return false;
	if (old && list_length(old->spec.configs) &&
		!g_str_equal(((struct nic_config *)old->spec.configs->pdata[0])->network,
			((struct nic_config *)nic->spec.configs->pdata[0])->network))
		return fault_set(error, FAULT_NOT_ALLOWED,
			"network interface %s cannot move to another virtual network; delete it and create "
			"it there",
			nic->meta.name);
	if (!balancer_join(put->change, old, nic, error) || !release_unwanted(put, error) ||
		!claim_configs(put, error) || !stage_group(put, error) ||
		!application_groups_join(put->control, put->change, old, nic, error))
		return false;
	if (!nic->status.mac)
		nic->status.mac = ipam_claim_mac(put->change, nic->meta.uid, error);
	if (nic->status.mac && !nic->status.host_address)
		nic->status.host_address = ipam_claim_host_address(put->change, nic->meta.uid, error);
	return nic->status.mac && nic->status.host_address;
}

static bool nic_release(struct control *control, struct change *change, void *object, GError **error)
{
	struct nic *nic = object;

	if (nic->status.vm) {
		const struct vm *vm = change_get(change, KIND_VM, nic->status.vm, NULL);
		return fault_set(error, FAULT_IN_USE,
			"Network interface %s is attached to virtual machine %s; delete the virtual machine "
			"first",
			nic->meta.name, vm ? vm->meta.name : nic->status.vm);
	}
	for (guint i = 0; i < list_length(nic->spec.configs); i++) {
		const struct nic_config *config = nic->spec.configs->pdata[i];
		change_release(change, config->subnet, config->ip);
		change_unref(change, config->network, nic->meta.uid);
		if (config->address && !release_public(change, nic, config->address, error))
			return false;
	}
	if (nic->spec.security_group)
		change_unref(change, nic->spec.security_group, nic->meta.uid);
	if (!balancer_join(change, nic, NULL, error) ||
		!application_groups_join(control, change, nic, NULL, error))
		return false;
	change_release(change, POOL_MAC, nic->status.mac);
	change_release(change, POOL_HOST, nic->status.host_address);
	return true;
}

static void take_refs(GPtrArray **list, const GPtrArray *other)
{
	g_clear_pointer(list, g_ptr_array_unref);
	*list = shape_list_new(&balancer_ref_shape);
	for (guint i = 0; i < list_length(other); i++)
		g_ptr_array_add(*list, shape_copy(&balancer_ref_shape, other->pdata[i]));
}

void nic_config_take_memberships(struct nic_config *config, const struct nic_config *other)
{
	take_refs(&config->pools, other->pools);
	take_refs(&config->nat_rules, other->nat_rules);
	take_refs(&config->nat_pools, other->nat_pools);
	g_clear_pointer(&config->application_groups, g_ptr_array_unref);
	config->application_groups = strings_new();
	for (guint i = 0; i < list_length(other->application_groups); i++)
		g_ptr_array_add(config->application_groups, g_strdup(other->application_groups->pdata[i]));
}

void nic_clear_path(struct nic *nic)
{
	nic->status.path = PATH_NONE;
	nic->status.enforcement = ENFORCEMENT_NONE;
	g_clear_pointer(&nic->status.reason, g_free);
	g_clear_pointer(&nic->status.well, g_ptr_array_unref);
	g_clear_pointer(&nic->status.driver, g_free);
}

char *nic_reason(struct control *control, const struct nic *nic, const struct vm *vm, const char *reported)
{
	const struct size *size = control_size(control, vm->spec.size);

	/* Its host was not told that it is to be accelerated. */
	if (!reported && nic->spec.accelerated && size && size->accelerated_ignored)
		return g_strdup_printf("size %s accepts accelerated networking, but does not support it: it "
				       "has no effect there",
			size->name);
	return nic->spec.accelerated ? guest_os_explain(&vm->status.guest, reported) : g_strdup(reported);
}

const struct kind_hooks nic_hooks = {
	.prepare = nic_prepare,
	.release = nic_release,
	.reaches_hosts = true,
};
