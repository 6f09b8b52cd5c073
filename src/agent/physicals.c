/* The physical networks that this host is on. */
#include "agent/physicals.h"

#include "base/fault.h"
#include "base/sysfs.h"
#include "nic/host_file.h"
#include "nic/inventory.h"

#include <string.h>

#define USUAL_MTU  1500 /* of an interface that does not say */
#define LOWER      "lower_" /* in sysfs, before the names of what an interface lies above */
#define LAYERS_MAX 3 /* of interfaces: a VLAN on a bond of two PFs has two */

struct host_file *physicals_open(const char *path, GError **error)
{
	_cleanup_(host_file_free) struct host_file *file = host_file_read(path, error);

	if (file && file->physicals->len > PHYSICALS_MAX) {
		fault_set(error, FAULT_INVALID, "%s names %u physical networks; a host can be on %d", path,
			file->physicals->len, PHYSICALS_MAX);
		return NULL;
	}
	return g_steal_pointer(&file);
}

static void physical_free(void *data)
{
	struct physical_port *physical = data;

	g_free(physical->interface);
	g_ptr_array_unref(physical->pfs);
	g_ptr_array_unref(physical->tunnel_pfs);
	g_ptr_array_unref(physical->conditions);
	g_free(physical);
}

/* ---- finding ---- */

static const struct nic_pf *find_pf(const GPtrArray *inventory, const char *address)
{
	for (guint i = 0; i < inventory->len; i++) {
		const struct nic_pf *pf = inventory->pdata[i];
		if (g_str_equal(pf->address, address))
			return pf;
	}
	return NULL;
}

static void G_GNUC_PRINTF(2, 3) add_condition(struct physical_port *physical, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *text = g_strdup_vprintf(format, args);
	va_end(args);
	g_ptr_array_add(
		physical->conditions, g_strdup_printf("physical network %s: %s", physical->name, text));
}

/* Whether the physical network can have the NIC, as its own. owners: names of physical networks by PCI address. */
static bool check_pf(struct physical_port *physical, const struct host_physical *from,
	const struct nic_pf *pf, GHashTable *owners)
{
	const char *owner = g_hash_table_lookup(owners, pf->address);

	if (owner) {
		add_condition(physical, "%s is a device of %s, too, which has it; a device leads to one",
			pf->address, owner);
		return false;
	}
	g_hash_table_insert(owners, g_strdup(pf->address), from->name);
	if (!pf->netdev) {
		add_condition(physical, "%s has no interface; bind its driver to it", pf->address);
		return false;
	}
	if (pf->num_vfs < from->vfs)
		add_condition(physical,
			"%s has %u of the %u VFs that the host file asks for; `sluice host setup --apply` "
			"makes them",
			pf->netdev, pf->num_vfs, from->vfs);
	return true;
}

/* Whether packets that leave by `upper` leave by that interface: it is that one, or lies above. */
static bool is_below(const char *root, const char *upper, const char *interface, unsigned depth)
{
	if (g_str_equal(upper, interface))
		return true;
	if (depth == 0)
		return false;
	g_auto(GStrv) below = sysfs_children(root, LOWER, "/sys/class/net/%s", upper);
	for (char **one = below; *one; one++)
		if (is_below(root, *one + strlen(LOWER), interface, depth - 1))
			return true;
	return false;
}

static void find_pfs(struct physical_port *physical, const struct physicals_source *source,
	const struct host_physical *from, const GPtrArray *inventory, GHashTable *owners)
{
	g_autoptr(GPtrArray) pfs = host_file_find_pfs(from, inventory, physical->conditions);

	for (guint i = 0; i < pfs->len; i++) {
		const struct nic_pf *pf = find_pf(inventory, pfs->pdata[i]);
		if (!check_pf(physical, from, pf, owners))
			continue;
		g_ptr_array_add(physical->pfs, g_strdup(pf->address));
		if (source->underlay && is_below(source->root, source->underlay, pf->netdev, LAYERS_MAX))
			g_ptr_array_add(physical->tunnel_pfs, g_strdup(pf->address));
	}
}

/* "sl-none0": names that begin so are Sluice's. */
static char *absent_name(
	const struct physicals_source *source, const struct physical_port *before, guint index)
{
	g_autofree char *other =
		before ? sysfs_text(source->root, "/sys/class/net/%s/ifindex", before->interface) : NULL;

	return before && !other ? g_strdup(before->interface) : g_strdup_printf("sl-none%u", index);
}

/* A NIC that is away, or has no interface for a moment, is still the one that the underlay leaves by. */
static void keep_tunnels(struct physical_port *physical, const struct physical_port *before)
{
	for (guint i = 0; before && i < before->tunnel_pfs->len; i++) {
		const char *address = before->tunnel_pfs->pdata[i];
		if (!g_ptr_array_find_with_equal_func(physical->pfs, address, g_str_equal, NULL))
			g_ptr_array_add(physical->tunnel_pfs, g_strdup(address));
	}
}

static void find_interface(struct physical_port *physical, const struct physicals_source *source,
	const GPtrArray *inventory, const struct physical_port *before, guint index)
{
	const struct nic_pf *first = physical->pfs->len ? find_pf(inventory, physical->pfs->pdata[0]) : NULL;

	physical->interface = first ? g_strdup(first->netdev) : absent_name(source, before, index);
	physical->mtu = before ? before->mtu : USUAL_MTU;
	if (first)
		physical->mtu = (unsigned)sysfs_number(
			source->root, USUAL_MTU, "/sys/class/net/%s/mtu", first->netdev);
}

GPtrArray *physicals_find(const struct physicals_source *source, const GPtrArray *before)
{
	GPtrArray *physicals = g_ptr_array_new_with_free_func(physical_free);
	g_autoptr(GPtrArray) inventory = inventory_read(source->root);
	g_autoptr(GHashTable) owners = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (guint i = 0; i < source->file->physicals->len; i++) {
		const struct host_physical *from = source->file->physicals->pdata[i];
		struct physical_port *physical = g_new0(struct physical_port, 1);
		g_ptr_array_add(physicals, physical);
		physical->name = from->name;
		physical->switchdev = from->switchdev;
		physical->pfs = g_ptr_array_new_with_free_func(g_free);
		physical->conditions = g_ptr_array_new_with_free_func(g_free);
		physical->tunnel_pfs = g_ptr_array_new_with_free_func(g_free);
		find_pfs(physical, source, from, inventory, owners);
		keep_tunnels(physical, before ? before->pdata[i] : NULL);
		find_interface(physical, source, inventory, before ? before->pdata[i] : NULL, i);
	}
	return physicals;
}

/* ---- telling ---- */

struct switch_physical *physicals_for_switch(const GPtrArray *physicals)
{
	struct switch_physical *list = g_new0(struct switch_physical, physicals->len + 1);

	for (guint i = 0; i < physicals->len; i++) {
		const struct physical_port *physical = physicals->pdata[i];
		list[i] = (struct switch_physical){.name = physical->name,
			.interface = physical->interface,
			.mtu = physical->mtu,
			.switchdev = physical->switchdev,
			.absent = physical->pfs->len == 0,
			.vxlans = physical->tunnel_pfs->len != 0};
	}
	return list;
}

struct sriov_physical *physicals_for_provider(const GPtrArray *physicals)
{
	struct sriov_physical *list = g_new0(struct sriov_physical, physicals->len + 1);

	for (guint i = 0; i < physicals->len; i++) {
		const struct physical_port *physical = physicals->pdata[i];
		list[i] = (struct sriov_physical){physical->name, physical->pfs, physical->tunnel_pfs};
	}
	return list;
}
