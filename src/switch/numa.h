/* Memory and processors of one NUMA node: a switch's tables, buffers and workers lie beside the device that it serves. */
#pragma once
#include <glib.h>
#include <sched.h>
#include <stdbool.h>

/* The node's processors, of those that `allowed` has. FAULT_NOT_FOUND when there is no such node, FAULT_INVALID when it has
 * no processor that is allowed. root: see base/sysfs.h. */
bool numa_processors(
	const char *root, unsigned node, const cpu_set_t *allowed, cpu_set_t *ret, GError **error);

/* The node of the PCI device; -1 where the machine does not say. */
int numa_node_of(const char *root, const char *pci_address);

/* The calling thread, and those that it makes from now on, run on the node's processors and take memory of it, and of another
 * only when it has no more. */
bool numa_enter(const char *root, unsigned node, GError **error);
