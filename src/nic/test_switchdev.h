/* For tests in the lab: a PF with three legacy VFs (SLUICE_PF names its interface) as if it were in switchdev mode. VFs, their
 * drivers and attributes are the kernel's; devlink is made up, and the representors are dummy interfaces, rep0 to rep2. */
#pragma once
#include "nic/provider.h"
#include "nic/test_devlink.h"

#define TEST_SWITCHDEV_VFS 3

/* The PF's eswitch; the caller may change it. */
struct test_eswitch *test_switchdev_eswitch(void);

/* Makes VFs and representors anew; these are down. */
void test_switchdev_make_vfs(void);

bool test_switchdev_is_up(unsigned index);

/* The provider, with the PF on the physical network physnet1. */
struct nic_provider *test_switchdev_open(const char *ledger, GError **error);
