/* Physical devices: whether DPDK can have one, and what is missing when it cannot. */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* Whether the PCI device of that address ("0000:3b:00.0") is there and left to DPDK: bound to vfio-pci or a UIO driver,
 * or to one of those kernel drivers that DPDK works beside. root: see base/sysfs.h.
 * FAULT_INVALID, FAULT_NOT_FOUND, or FAULT_CONFLICT with the driver that holds it and what to do. */
bool pci_check(const char *root, const char *address, GError **error);
