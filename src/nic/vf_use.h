/* Who uses a VF: a guest that has it open, or this host itself.
 *
 * Read at the moment of asking. A program that has a device open by vfio is found by its open files, as the kernel tells
 * nobody; to open the device oneself, and see that it is busy, would fail the guest that is about to open it.
 */
#pragma once
#include "nic/inventory.h"

/* Which programs have devices open by vfio. Owned by the caller. */
GHashTable *vf_use_guests(const char *root);
/* The one that has it: "qemu-system-x86 (process 4711)"; NULL: none. Borrowed from the table. */
const char *vf_use_guest(GHashTable *guests, const char *root, const struct nic_vf *vf);

/* Why this host has a use for the interface itself, as the end of a sentence about it; NULL: it has none. has_address: as
 * links_has_address says. Owned by the caller. */
char *vf_use_netdev(const char *root, const char *netdev, bool has_address);

/* Why the VF cannot be given to a guest as it is, as the end of a sentence about it ("is up as ens1v0"); NULL: it can be.
 * links: of this process's namespace. Owned by the caller. */
char *vf_use_obstacle(GHashTable *guests, const char *root, struct links *links, const struct nic_vf *vf);
