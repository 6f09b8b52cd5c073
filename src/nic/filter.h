/* Which unicast MACs an interface hears besides its own: the filters of its hardware, by netlink, as
 * `bridge fdb add MAC dev INTERFACE self` has them set.
 *
 * A NIC with VFs switches between them and the wire by these filters: without one, what a VF sends to the MAC of
 * somebody behind the PF goes out to the wire, also where the PF is promiscuous.
 * Source: Linux net/core/rtnetlink.c, rtnl_fdb_add() and ndo_dflt_fdb_add().
 */
#pragma once
#include "base/ip.h"
#include "nic/link.h"

/* Those that are set, whoever did: GArray of struct mac_addr, Owned by the caller. NULL with *error. */
GArray *filter_list(struct links *links, const char *name, GError **error);

/* One that is set already is fine. FAULT_POOL_FULL when the hardware holds no more. */
bool filter_add(struct links *links, const char *name, struct mac_addr mac, GError **error);
/* One that is not set is fine. */
bool filter_remove(struct links *links, const char *name, struct mac_addr mac, GError **error);
