/* Who uses a VF. */
#include "nic/vf_use.h"

#include "base/sysfs.h"
#include "nic/pci_driver.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* ---- guests ---- */

/* Device numbers of what programs open to have a device by vfio, in a folder of sysfs. */
static void add_numbers(GHashTable *numbers, const char *root, const char *class)
{
	g_auto(GStrv) names = sysfs_children(root, "", "/sys/class/%s", class);

	for (char **name = names; *name; name++) {
		g_autofree char *text = sysfs_text(root, "/sys/class/%s/%s/dev", class, *name);
		if (text)
			g_hash_table_add(numbers, g_steal_pointer(&text));
	}
}

/* To look at a file itself can block for ever, where it is on a mount whose server is gone; to read what the link says cannot. */
static bool is_in_dev(const char *link)
{
	g_autofree char *target = g_file_read_link(link, NULL);

	return target && g_str_has_prefix(target, "/dev/");
}

/* By number, not by path: QEMU may have a /dev of its own. Enters those that the process has open. */
static void look_into_process(GHashTable *guests, GHashTable *numbers, const char *root, const char *pid)
{
	g_auto(GStrv) files = sysfs_children(root, "", "/proc/%s/fd", pid);
	struct stat is;

	for (char **file = files; *file; file++) {
		g_autofree char *path = g_strdup_printf("%s/proc/%s/fd/%s", root, pid, *file);
		if (!is_in_dev(path) || stat(path, &is) < 0 || !S_ISCHR(is.st_mode))
			continue;
		g_autofree char *number = g_strdup_printf("%u:%u", major(is.st_rdev), minor(is.st_rdev));
		if (!g_hash_table_contains(numbers, number))
			continue;
		g_autofree char *program = sysfs_text(root, "/proc/%s/comm", pid);
		g_hash_table_insert(guests, g_steal_pointer(&number),
			g_strdup_printf("%s (process %s)", program ? program : "a program", pid));
	}
}

GHashTable *vf_use_guests(const char *root)
{
	GHashTable *guests = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_autoptr(GHashTable) numbers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	add_numbers(numbers, root, "vfio");
	add_numbers(numbers, root, "vfio-dev");
	if (g_hash_table_size(numbers) == 0)
		return guests;
	g_auto(GStrv) pids = sysfs_children(root, "", "/proc");
	for (char **pid = pids; *pid; pid++)
		if (g_ascii_isdigit(**pid))
			look_into_process(guests, numbers, root, *pid);
	return guests;
}

const char *vf_use_guest(GHashTable *guests, const char *root, const struct nic_vf *vf)
{
	g_autofree char *group = sysfs_text(root, "/sys/class/vfio/%d/dev", vf->iommu_group);
	g_auto(GStrv) devices = sysfs_children(root, "vfio", "/sys/bus/pci/devices/%s/vfio-dev", vf->address);
	g_autofree char *device =
		devices[0] ? sysfs_text(root, "/sys/class/vfio-dev/%s/dev", devices[0]) : NULL;
	const char *guest = group ? g_hash_table_lookup(guests, group) : NULL;

	return guest || !device ? guest : g_hash_table_lookup(guests, device);
}

/* ---- this host ---- */

char *vf_use_netdev(const char *root, const char *netdev, bool has_address)
{
	g_autofree char *master = sysfs_link_name(root, "/sys/class/net/%s/master", netdev);
	g_auto(GStrv) uppers = sysfs_children(root, "upper_", "/sys/class/net/%s", netdev);

	if (master)
		return g_strdup_printf("is a port of %s, as %s", master, netdev);
	if (uppers[0])
		return g_strdup_printf("carries %s, as %s", uppers[0] + strlen("upper_"), netdev);
	if (sysfs_number(root, 0, "/sys/class/net/%s/flags", netdev) & 1)
		return g_strdup_printf("is up, as %s", netdev);
	if (has_address)
		return g_strdup_printf("has addresses of this host, as %s", netdev);
	return NULL;
}

/* Other devices of its IOMMU group, which would come with it. */
static char *group_obstacle(const char *root, const struct nic_vf *vf)
{
	if (vf->iommu_group == INVENTORY_NONE)
		return g_strdup("has no IOMMU group, so no guest can have it (`sluice doctor` says why)");
	g_auto(GStrv) group = inventory_group(root, vf->iommu_group);
	for (char **address = group; *address; address++)
		if (!g_str_equal(*address, vf->address))
			return g_strdup_printf("shares its IOMMU group with %s", *address);
	return NULL;
}

char *vf_use_obstacle(GHashTable *guests, const char *root, struct links *links, const struct nic_vf *vf)
{
	const char *guest = vf_use_guest(guests, root, vf);

	if (guest)
		return g_strdup_printf("is open in %s", guest);
	if (vf->driver && !pci_driver_is_vfio(vf->driver)) {
		char *obstacle =
			vf->netdev ? vf_use_netdev(root, vf->netdev, links_has_address(links, vf->netdev))
				   : g_strdup_printf("is bound to %s, with no interface here", vf->driver);
		if (obstacle)
			return obstacle;
	}
	return group_obstacle(root, vf);
}
