/* A provider on a host that had another one before: see heir.c. */
#pragma once
#include "nic/provider.h"

/* Functions of `now` (NULL: none is given), beside those that `former` has given, which are shown, checked and taken back, while
 * none is given any more. Has the caps of `now`. Takes both. */
struct nic_provider *nic_heir_open(struct nic_provider *now, struct nic_provider *former);

enum nic_former { NIC_FORMER_EMULATED, NIC_FORMER_VFS };

/* The provider that has the ledger, as far as it takes to take back what it gave. *ret_provider is NULL when it has nothing to take
 * back; else the caller's. Faults as of nic_emulated_open, nic_sriov_open and nic_switchdev_open. */
bool nic_former_open(
	enum nic_former former, const char *ledger, struct nic_provider **ret_provider, GError **error);
