/* Who uses a VF: it must not be taken away under anybody.
 *
 * Nothing in the kernel says so in one place. A VF is in use when a program has its vfio group open (a virtual machine, DPDK),
 * when the agent has claimed it for a NIC, or when its interface is configured: up, with addresses, in a bridge or bond, or
 * with interfaces on top. A VF whose driver shows no interface here is in use too: its interface is in another namespace. */
#pragma once
#include "nic/inventory.h"

#include <stdbool.h>

/* What is looked at; a seam for tests. */
struct vf_watch {
	const char *root; /* see base/sysfs.h */
	/* Ledger of the SR-IOV provider, below root; one that is not there claims nothing, one that cannot be read all. */
	const char *claims;
	bool (*has_address)(const char *netdev);
};

/* Who uses it, as the end of a sentence about it: "is open in qemu-system-x86 (process 123)"; NULL: nobody. Owned by the caller. */
char *vf_user(const struct vf_watch *watch, const struct nic_vf *vf);

/* Whether nobody uses a VF of the PF; FAULT_IN_USE names each that is in use, and by whom. */
bool vf_check_unused(const struct vf_watch *watch, const struct nic_pf *pf, GError **error);

/* For vf_watch: links_has_address of an interface of this process's namespace. */
bool vf_has_address(const char *netdev);
