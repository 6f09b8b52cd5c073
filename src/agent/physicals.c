/* The physical networks that this host is on. */
#include "agent/physicals.h"

#include "base/fault.h"
#include "base/sysfs.h"
#include "nic/host_file.h"
#include "nic/inventory.h"

#define USUAL_MTU 1500 /* of an interface that does not say */

static void physical_free(void *data)
{
	struct physical_port *physical = data;

	g_free(physical->name);
	g_free(physical->interface);
	g_clear_pointer(&physical->pfs, g_ptr_array_unref);
	g_free(physical);
}

static const struct nic_pf *find_pf(const GPtrArray *inventory, const char *address)
{
	for (guint i = 0; i < inventory->len; i++) {
		const struct nic_pf *pf = inventory->pdata[i];
		if (g_str_equal(pf->address, address))
			return pf;
	}
	return NULL;
}

static bool complete(
	struct physical_port *physical, const char *root, const GPtrArray *inventory, GError **error)
{
	const struct nic_pf *first = find_pf(inventory, physical->pfs->pdata[0]);

	if (!first || !first->netdev)
		return fault_set(error, FAULT_NOT_FOUND,
			"%s, which leads to physical network %s, has no interface; bind its driver to it",
			(const char *)physical->pfs->pdata[0], physical->name);
	physical->interface = g_strdup(first->netdev);
	physical->mtu = (unsigned)sysfs_number(root, USUAL_MTU, "/sys/class/net/%s/mtu", first->netdev);
	return true;
}

GPtrArray *physicals_read(const char *root, const char *host_file, GError **error)
{
	_cleanup_(host_file_free) struct host_file *file = host_file_read(host_file, error);
	g_autoptr(GPtrArray) physicals = g_ptr_array_new_with_free_func(physical_free);

	if (!file || file->physicals->len == 0)
		return file ? g_steal_pointer(&physicals) : NULL;
	g_autoptr(GPtrArray) inventory = inventory_read(root);
	if (!host_file_check(file, inventory, error))
		return NULL;
	if (file->physicals->len > PHYSICALS_MAX) {
		fault_set(error, FAULT_INVALID, "%s names %u physical networks; a host can be on %d",
			host_file, file->physicals->len, PHYSICALS_MAX);
		return NULL;
	}
	for (guint i = 0; i < file->physicals->len; i++) {
		const struct host_physical *from = file->physicals->pdata[i];
		struct physical_port *physical = g_new0(struct physical_port, 1);
		g_ptr_array_add(physicals, physical);
		physical->name = g_strdup(from->name);
		physical->switchdev = from->switchdev;
		physical->pfs = host_file_pfs(from, inventory, error);
		if (!physical->pfs || !complete(physical, root, inventory, error))
			return NULL;
	}
	return g_steal_pointer(&physicals);
}

struct switch_physical *physicals_for_switch(const GPtrArray *physicals)
{
	struct switch_physical *list = g_new0(struct switch_physical, physicals->len + 1);

	for (guint i = 0; i < physicals->len; i++) {
		const struct physical_port *physical = physicals->pdata[i];
		list[i] = (struct switch_physical){
			physical->name, physical->interface, physical->mtu, physical->switchdev};
	}
	return list;
}
