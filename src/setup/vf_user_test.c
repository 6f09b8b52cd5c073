/* Tests of who uses a VF and who configures its interface, on made-up trees. */
#include "base/fault.h"
#include "base/test_tree.h"
#include "nic/keeper.h"
#include "setup/vf_user.h"

#include <string.h>

#define BUS "sys/bus/pci/devices/"
#define PF  "0000:03:00.0"
#define VF  "0000:03:10.0"

static bool has_addresses;

static bool has_address(const char *netdev)
{
	return has_addresses;
}

static void add_device(const struct tree *tree, const char *address)
{
	tree_write(tree, "0x020000", BUS "%s/class", address);
	tree_write(tree, "0x8086", BUS "%s/vendor", address);
}

/* A PF ens1 with one VF that no driver has. */
static struct tree *machine_new(void)
{
	struct tree *tree = tree_new();

	has_addresses = false;
	add_device(tree, PF);
	add_device(tree, VF);
	tree_write(tree, "1", BUS PF "/net/ens1/ifindex");
	tree_write(tree, "7", BUS PF "/sriov_totalvfs");
	tree_write(tree, "1", BUS PF "/sriov_numvfs");
	tree_link(tree, "../" VF, BUS PF "/virtfn0");
	tree_link(tree, "../" PF, BUS VF "/physfn");
	tree_link(tree, "../../../kernel/iommu_groups/40", BUS VF "/iommu_group");
	return tree;
}

static void bind_driver(const struct tree *tree, const char *driver, const char *netdev)
{
	g_autofree char *target = g_strdup_printf("../../../bus/pci/drivers/%s", driver);

	tree_link(tree, target, BUS VF "/driver");
	if (netdev) {
		tree_write(tree, "9", BUS VF "/net/%s/ifindex", netdev);
		tree_write(tree, "9", "sys/class/net/%s/ifindex", netdev);
		tree_write(tree, "0x1002", "sys/class/net/%s/flags", netdev);
	}
}

/* What says that the VF is in use; NULL: nothing does. */
static void expect_user(const struct tree *tree, const char *says)
{
	const struct vf_watch watch = {tree->root, "/var/lib/sluice/agent/vfs.json", has_address};
	g_autoptr(GPtrArray) pfs = inventory_read(tree->root);
	g_autoptr(GError) error = NULL;

	g_assert_cmpuint(pfs->len, ==, 1);
	bool unused = vf_check_unused(&watch, pfs->pdata[0], &error);
	g_assert_cmpint(unused, ==, says == NULL);
	if (!says)
		return;
	g_assert_error(error, FAULT, FAULT_IN_USE);
	g_test_message("%s", error->message);
	g_assert_nonnull(strstr(error->message, says));
	g_assert_nonnull(strstr(error->message, "VF 0 (" VF ")"));
}

static void test_unused(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	expect_user(tree, NULL);
	bind_driver(tree, "igbvf", "ens1v0");
	expect_user(tree, NULL);
}

static void test_vfio(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	bind_driver(tree, "vfio-pci", NULL);
	tree_write(tree, "1:3", "sys/class/vfio/40/dev"); /* of /dev/null */
	tree_link(tree, "/dev/zero", "proc/77/fd/3");
	expect_user(tree, NULL);
	tree_write(tree, "qemu-system-x86", "proc/123/comm");
	tree_link(tree, "/dev/null", "proc/123/fd/12");
	expect_user(tree, "is open in qemu-system-x86 (process 123)");
	tree_remove(tree, "proc/123/fd/12");
	tree_link(tree, "/dev/full", "proc/123/fd/13");
	expect_user(tree, NULL);
	tree_write(tree, "", BUS VF "/vfio-dev/vfio0/dev");
	tree_write(tree, "1:7", "sys/class/vfio-dev/vfio0/dev"); /* of /dev/full */
	expect_user(tree, "is open in qemu-system-x86 (process 123)");
}

static void test_claimed(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	tree_write(tree, "{\"claims\": [{\"vf\": \"0000:03:10.2\", \"nic\": \"other\"}]}",
		"var/lib/sluice/agent/vfs.json");
	expect_user(tree, NULL);
	tree_write(tree, "{\"claims\": [{\"vf\": \"" VF "\", \"nic\": \"nic-1\"}]}",
		"var/lib/sluice/agent/vfs.json");
	expect_user(tree, "is claimed by the agent, for NIC nic-1");
	tree_write(tree, "{\"claims\": [{", "var/lib/sluice/agent/vfs.json");
	expect_user(tree, "the agent's ledger /var/lib/sluice/agent/vfs.json cannot be read");
}

static void test_interface(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	bind_driver(tree, "igbvf", "ens1v0");
	has_addresses = true;
	expect_user(tree, "has addresses of this host, as ens1v0");
	tree_write(tree, "0x1003", "sys/class/net/ens1v0/flags");
	expect_user(tree, "is up, as ens1v0");
	tree_link(tree, "../br0", "sys/class/net/ens1v0/upper_br0");
	expect_user(tree, "carries br0, as ens1v0");
	tree_link(tree, "../br0", "sys/class/net/ens1v0/master");
	expect_user(tree, "is a port of br0, as ens1v0");
}

static void test_elsewhere(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	bind_driver(tree, "igbvf", NULL);
	expect_user(tree, "is bound to igbvf, with no interface here");
}

/* ---- keepers ---- */

static void test_keepers(void)
{
	static const struct {
		const char *file, *text;
		enum keeper keeper;
	} table[] = {
		{"run/NetworkManager/devices/9", "[device]\nmanaged=true", KEEPER_NETWORKMANAGER},
		{"run/NetworkManager/devices/9", "[device]\nmanaged=false", KEEPER_NONE},
		{"run/NetworkManager/devices/8", "[device]\nmanaged=true", KEEPER_NONE},
		{"run/systemd/netif/links/9", "ADMIN_STATE=configured\nOPER_STATE=off", KEEPER_NETWORKD},
		{"run/systemd/netif/links/9", "ADMIN_STATE=unmanaged", KEEPER_NONE},
		{"etc/network/interfaces", "auto lo\n  allow-hotplug ens1v0", KEEPER_IFUPDOWN},
		{"etc/network/interfaces.d/vfs", "iface ens1v0 inet dhcp", KEEPER_IFUPDOWN},
		{"etc/network/interfaces", "# auto ens1v0\niface ens1v01 inet dhcp", KEEPER_NONE},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		_cleanup_(tree_free) struct tree *tree = machine_new();
		bind_driver(tree, "igbvf", "ens1v0");
		tree_write(tree, table[i].text, "%s", table[i].file);
		g_assert_cmpint(keeper_of(tree->root, "ens1v0"), ==, table[i].keeper);
	}
}

static void test_addresses(void)
{
	g_assert_false(vf_has_address("no-such-name"));
	g_assert_true(vf_has_address("lo"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add_func("/vf use/" name, function)
	TEST("a VF without a driver, and one whose interface is idle, are nobody's", test_unused);
	TEST("a VF whose vfio group or device a process has open is that process's", test_vfio);
	TEST("a VF that the agent has claimed is its NIC's, and one that it may have is not free",
		test_claimed);
	TEST("a VF whose interface is up, has an address or a master is the host's", test_interface);
	TEST("a VF whose driver shows no interface here is somebody's", test_elsewhere);
	TEST("the keeper of an interface is known by what it says itself", test_keepers);
	TEST("an interface has the addresses that it was given", test_addresses);
	return g_test_run();
}
