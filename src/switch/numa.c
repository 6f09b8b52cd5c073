/* NUMA nodes, by sysfs and the kernel's memory policy. */
#include "switch/numa.h"

#include "base/fault.h"
#include "base/sysfs.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NODES_MAX 64 /* bits of the mask that the kernel is given */

/* "0-3,8-11". What cannot be read ends the list. */
static void parse_list(const char *text, cpu_set_t *ret)
{
	g_auto(GStrv) ranges = g_strsplit(text, ",", -1);

	CPU_ZERO(ret);
	for (char **range = ranges; *range; range++) {
		unsigned first, last;
		int n = sscanf(*range, "%u-%u", &first, &last);
		if (n < 1)
			return;
		for (unsigned cpu = first; cpu <= (n == 2 ? last : first) && cpu < CPU_SETSIZE; cpu++)
			CPU_SET(cpu, ret);
	}
}

bool numa_processors(
	const char *root, unsigned node, const cpu_set_t *allowed, cpu_set_t *ret, GError **error)
{
	g_autofree char *list = sysfs_text(root, "/sys/devices/system/node/node%u/cpulist", node);

	if (!list)
		return fault_set(error, FAULT_NOT_FOUND,
			"there is no NUMA node %u on this machine; lscpu lists those there are", node);
	parse_list(list, ret);
	CPU_AND(ret, ret, allowed);
	if (CPU_COUNT(ret) == 0)
		return fault_set(error, FAULT_INVALID,
			"NUMA node %u has no processor that this process may use (it has %s)", node,
			*list ? list : "none");
	return true;
}

int numa_node_of(const char *root, const char *pci_address)
{
	g_autofree char *text = sysfs_text(root, "/sys/bus/pci/devices/%s/numa_node", pci_address);
	gint64 node;

	return text && g_ascii_string_to_signed(text, 10, 0, NODES_MAX - 1, &node, NULL) ? (int)node : -1;
}

bool numa_enter(const char *root, unsigned node, GError **error)
{
	unsigned long mask = node < NODES_MAX ? 1ul << node : 0;
	cpu_set_t allowed, processors;

	if (sched_getaffinity(0, sizeof allowed, &allowed) < 0)
		return fault_set(error, FAULT_INTERNAL, "cannot ask for this process's processors: %s",
			g_strerror(errno));
	if (!numa_processors(root, node, &allowed, &processors, error))
		return false;
	if (sched_setaffinity(0, sizeof processors, &processors) < 0 ||
		syscall(SYS_set_mempolicy, MPOL_PREFERRED, &mask, NODES_MAX + 1) < 0)
		return fault_set(
			error, FAULT_INTERNAL, "cannot keep to NUMA node %u: %s", node, g_strerror(errno));
	return true;
}
