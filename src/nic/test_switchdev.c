/* A PF as if it were in switchdev mode. */
#include "nic/test_switchdev.h"

#include "base/sysfs.h"
#include "nic/sriov_priv.h"

#include <stdlib.h>

static const char *pf_address(void)
{
	static char *address;

	if (!address)
		address = sysfs_link_name("", "/sys/class/net/%s/device", g_getenv("SLUICE_PF"));
	return address;
}

struct test_eswitch *test_switchdev_eswitch(void)
{
	static struct test_eswitch eswitch = {
		.is.mode = DEVLINK_SWITCHDEV, .representors = {"rep0", "rep1", "rep2"}};

	if (!eswitch.handle)
		eswitch.handle = devlink_handle(pf_address());
	return &eswitch;
}

void test_switchdev_make_vfs(void)
{
	g_autofree char *command = g_strdup_printf("set -e; for n in 0 1 2; do ip link del dev rep$n "
						   "2>/dev/null || true; done; cd /sys/bus/pci/devices/%s; "
						   "echo 0 >sriov_numvfs; echo %d >sriov_numvfs; for n in 0 "
						   "1 2; do ip link add dev rep$n type dummy; done",
		pf_address(), TEST_SWITCHDEV_VFS);

	g_assert_cmpint(system(command), ==, 0);
}

bool test_switchdev_is_up(unsigned index)
{
	return sysfs_number("", 0, "/sys/class/net/rep%u/flags", index) & 1;
}

struct nic_provider *test_switchdev_open(const char *ledger, GError **error)
{
	g_autoptr(GPtrArray) pfs = g_ptr_array_new();

	g_ptr_array_add(pfs, (char *)pf_address());
	return switchdev_open("", ledger, test_devlink_open(test_switchdev_eswitch(), 1),
		&(struct sriov_physical){"physnet1", pfs}, 1, error);
}
