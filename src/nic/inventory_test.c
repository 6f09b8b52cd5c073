/* Tests of the inventory, on made-up sysfs trees. */
#include "base/test_tree.h"
#include "nic/ethtool.h"
#include "nic/inventory.h"
#include "nic/pci_config.h"
#include "nic/test_devlink.h"
#include "nic/test_trace.h"

#include <string.h>

#define BUS "sys/bus/pci/devices/"

/* A device as sysfs shows one that is on the root bus. */
static void add_device(const struct tree *tree, const char *address, const char *class, const char *vendor,
	const char *device)
{
	tree_write(tree, class, BUS "%s/class", address);
	tree_write(tree, vendor, BUS "%s/vendor", address);
	tree_write(tree, device, BUS "%s/device", address);
}

/* An Intel 82599 whose kernel allows 63 VFs, as ens1, with `num_vfs` of them. */
static void add_82599(const struct tree *tree, const char *address, unsigned num_vfs)
{
	g_autofree char *number = g_strdup_printf("%u", num_vfs);

	add_device(tree, address, "0x020000", "0x8086", "0x10fb");
	tree_link(tree, "../../../bus/pci/drivers/ixgbe", BUS "%s/driver", address);
	tree_write(tree, "1", BUS "%s/net/ens1/ifindex", address);
	tree_write(tree, "1", BUS "%s/numa_node", address);
	tree_link(tree, "../../../kernel/iommu_groups/17", BUS "%s/iommu_group", address);
	tree_write(tree, "63", BUS "%s/sriov_totalvfs", address);
	tree_write(tree, number, BUS "%s/sriov_numvfs", address);
}

static void add_vf(const struct tree *tree, const char *pf, unsigned index, const char *address)
{
	g_autofree char *target = g_strdup_printf("../%s", address);
	g_autofree char *back = g_strdup_printf("../%s", pf);

	add_device(tree, address, "0x020000", "0x8086", "0x10ed");
	tree_link(tree, target, BUS "%s/virtfn%u", pf, index);
	tree_link(tree, back, BUS "%s/physfn", address);
}

static const struct nic_pf *pf_of(const GPtrArray *pfs, guint i)
{
	g_assert_cmpuint(i, <, pfs->len);
	return pfs->pdata[i];
}

static void test_functions(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	add_82599(tree, "0000:03:00.0", 2);
	add_vf(tree, "0000:03:00.0", 0, "0000:03:10.0");
	add_vf(tree, "0000:03:00.0", 1, "0000:03:10.2");
	tree_link(tree, "../../../bus/pci/drivers/vfio-pci", BUS "0000:03:10.0/driver");
	tree_link(tree, "../../../kernel/iommu_groups/40", BUS "0000:03:10.0/iommu_group");
	tree_write(tree, "9", BUS "0000:03:10.2/net/ens1v1/ifindex");

	g_autoptr(GPtrArray) pfs = inventory_read(tree->root);
	g_assert_cmpuint(pfs->len, ==, 1);
	const struct nic_pf *pf = pf_of(pfs, 0);
	g_assert_cmpstr(pf->address, ==, "0000:03:00.0");
	g_assert_cmpstr(pf->driver, ==, "ixgbe");
	g_assert_cmpstr(pf->netdev, ==, "ens1");
	g_assert_cmpint(pf->numa_node, ==, 1);
	g_assert_cmpint(pf->iommu_group, ==, 17);
	g_assert_true(pf->sriov);
	g_assert_cmpuint(pf->total_vfs, ==, 63);
	g_assert_cmpuint(pf->num_vfs, ==, 2);
	g_assert_cmpuint(pf->vfs->len, ==, 2);

	const struct nic_vf *first = pf->vfs->pdata[0], *second = pf->vfs->pdata[1];
	g_assert_cmpstr(first->address, ==, "0000:03:10.0");
	g_assert_cmpstr(first->driver, ==, "vfio-pci");
	g_assert_cmpint(first->iommu_group, ==, 40);
	g_assert_null(first->netdev);
	g_assert_cmpstr(second->netdev, ==, "ens1v1");
	g_assert_null(second->driver);
	g_assert_cmpint(second->iommu_group, ==, INVENTORY_NONE);
}

static void test_others(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	add_device(tree, "0000:00:02.0", "0x030000", "0x8086", "0x1234"); /* a display */
	add_device(tree, "0000:00:03.0", "0x020000", "0x1af4", "0x1000"); /* virtio */
	add_device(tree, "0000:00:04.0", "0x020000", "0x8086", "0x10d3");
	tree_write(tree, "-1", BUS "0000:00:04.0/numa_node");

	g_autoptr(GPtrArray) pfs = inventory_read(tree->root);
	g_assert_cmpuint(pfs->len, ==, 1);
	g_assert_cmpstr(pf_of(pfs, 0)->address, ==, "0000:00:04.0");
	g_assert_false(pf_of(pfs, 0)->sriov);
	g_assert_null(pf_of(pfs, 0)->driver);
	g_assert_cmpint(pf_of(pfs, 0)->numa_node, ==, INVENTORY_NONE);
}

static void test_empty(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	g_autoptr(GPtrArray) pfs = inventory_read(tree->root);

	g_assert_cmpuint(pfs->len, ==, 0);
}

static void test_representors(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	const char *const ports[][3] = {{"ens1", "aa", "p1"}, {"eth0", "aa", "pf0vf1"},
		{"eth1", "aa", "pf1vf1"}, {"eth2", "bb", "pf1vf1"}, {"eth3", "aa", "pf1vf11"}};

	add_82599(tree, "0000:03:00.0", 2);
	add_vf(tree, "0000:03:00.0", 0, "0000:03:10.0");
	add_vf(tree, "0000:03:00.0", 1, "0000:03:10.2");
	for (size_t i = 0; i < G_N_ELEMENTS(ports); i++) {
		tree_write(tree, ports[i][1], "sys/class/net/%s/phys_switch_id", ports[i][0]);
		tree_write(tree, ports[i][2], "sys/class/net/%s/phys_port_name", ports[i][0]);
	}
	g_autoptr(GPtrArray) pfs = inventory_read(tree->root);
	const struct nic_vf *first = pf_of(pfs, 0)->vfs->pdata[0], *second = pf_of(pfs, 0)->vfs->pdata[1];
	g_assert_cmpstr(pf_of(pfs, 0)->switch_id, ==, "aa");
	g_assert_null(first->representor);
	g_assert_cmpstr(second->representor, ==, "eth1");
}

/* As mlx5_core has them: all are interfaces of the PF, and the uplink comes last by its name. */
static void test_uplink(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();

	add_82599(tree, "0000:03:00.0", 0);
	tree_write(tree, "7", BUS "0000:03:00.0/net/eth0/ifindex");
	tree_write(tree, "p0", "sys/class/net/ens1/phys_port_name");
	tree_write(tree, "pf0vf0", "sys/class/net/eth0/phys_port_name");
	g_autoptr(GPtrArray) pfs = inventory_read(tree->root);
	g_assert_cmpstr(pf_of(pfs, 0)->netdev, ==, "ens1");
	tree_remove(tree, BUS "0000:03:00.0/net/ens1/ifindex");
	tree_remove(tree, BUS "0000:03:00.0/net/ens1");
	g_autoptr(GPtrArray) without = inventory_read(tree->root);
	g_assert_null(pf_of(without, 0)->netdev);
}

static void test_eswitches(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	struct test_eswitch eswitch = {.handle = "pci/0000:03:00.0",
		.is.mode = DEVLINK_SWITCHDEV,
		.is.encap_mode = "basic",
		.firmware = "22.31.1014",
		.representors = {NULL, "eth7", "eth8"}};
	_cleanup_(genl_close) struct genl *devlink = test_devlink_open(&eswitch, 1);

	add_82599(tree, "0000:03:00.0", 2);
	add_vf(tree, "0000:03:00.0", 0, "0000:03:10.0");
	add_vf(tree, "0000:03:00.0", 1, "0000:03:10.2");
	add_device(tree, "0000:04:00.0", "0x020000", "0x8086", "0x10c9");
	g_autoptr(GPtrArray) pfs = inventory_read(tree->root);
	inventory_add_eswitches(pfs, NULL);
	g_assert_null(pf_of(pfs, 0)->eswitch.mode);
	inventory_add_eswitches(pfs, devlink);
	const struct nic_vf *first = pf_of(pfs, 0)->vfs->pdata[0], *second = pf_of(pfs, 0)->vfs->pdata[1];
	g_assert_cmpstr(pf_of(pfs, 0)->firmware, ==, "22.31.1014");
	g_assert_cmpstr(pf_of(pfs, 0)->eswitch.mode, ==, "switchdev");
	g_assert_null(first->representor);
	g_assert_cmpstr(second->representor, ==, "eth7");
	g_assert_null(pf_of(pfs, 1)->eswitch.mode);

	json_auto_t *json = inventory_encode(pfs);
	json_auto_t *want = json_pack("{s:s, s:s}", "mode", "switchdev", "encap_mode", "basic");
	g_assert_true(json_equal(json_object_get(json_array_get(json, 0), "eswitch"), want));
	g_assert_true(json_is_null(json_object_get(json_array_get(json, 1), "eswitch")));
}

static void test_firmware(void)
{
	static const char unended[32] = "0x800009fa, 1.2028.0, 1.2028.000"; /* as the kernel's field, full */
	_cleanup_(tree_free) struct tree *tree = tree_new();
	g_autofree char *none = ethtool_firmware_parse("", 32), *na = ethtool_firmware_parse("N/A", 32),
			*igb = ethtool_firmware_parse(" 2. 1-0 ", 32),
			*whole = ethtool_firmware_parse(unended, sizeof unended),
			*lo = ethtool_firmware("lo"), *nobody = ethtool_firmware("none9");

	g_assert_null(none);
	g_assert_null(na);
	g_assert_cmpstr(igb, ==, "2. 1-0");
	g_assert_cmpuint(strlen(whole), ==, 32);
	g_assert_null(lo);
	g_assert_null(nobody);
	add_82599(tree, "0000:03:00.0", 0);
	g_autoptr(GPtrArray) pfs = inventory_read(tree->root);
	struct nic_pf *pf = pfs->pdata[0];
	g_free(pf->netdev);
	pf->netdev = g_strdup("lo");
	inventory_add_firmware(pfs);
	g_assert_null(pf->firmware);
	pf->firmware = g_strdup("of devlink");
	inventory_add_firmware(pfs);
	g_assert_cmpstr(pf->firmware, ==, "of devlink");
}

static void test_counters(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();

	add_82599(tree, "0000:03:00.0", 2);
	add_vf(tree, "0000:03:00.0", 0, "0000:03:10.0");
	add_vf(tree, "0000:03:00.0", 1, "0000:03:10.2");
	g_autoptr(GPtrArray) pfs = inventory_read(tree->root);
	struct nic_vf *second = pf_of(pfs, 0)->vfs->pdata[1];
	second->counters = (struct vf_counters){
		.index = 1, .known = 1u << VF_RX_BYTES, .values = {[VF_RX_BYTES] = 1500}};
	json_auto_t *json = inventory_encode(pfs), *want = json_pack("{s:i}", "rx_bytes", 1500);
	const json_t *vfs = json_object_get(json_array_get(json, 0), "vfs");
	g_assert_null(json_object_get(json_array_get(vfs, 0), "statistics"));
	g_assert_true(json_equal(json_object_get(json_array_get(vfs, 1), "statistics"), want));
}

/* Asserts that the queues are told so in text (NULL: not at all), and in JSON. */
static void expect_queues(
	const struct ethtool_queues *queues, const json_t *encoded, const char *text, json_t *want)
{
	g_autofree char *is = inventory_queues_format(queues);

	g_assert_cmpstr(is, ==, text);
	g_assert_true(json_equal(json_object_get(encoded, "queues"), want));
	json_decref(want);
}

/* The PF is netdevsim's, as it was recorded; lo, which has no channels, stands for a driver that tells none, as igbvf. */
static void test_queues(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	g_autofree char *path = g_test_build_filename(G_TEST_DIST, "traces", "netdevsim-ethtool.trace", NULL);
	_cleanup_(genl_close) struct genl *ethtool = trace_replay(path);

	add_device(tree, "0000:03:00.0", "0x020000", "0x8086", "0x10fb");
	tree_write(tree, "1", BUS "0000:03:00.0/net/sim1p/ifindex");
	tree_write(tree, "2", BUS "0000:03:00.0/sriov_numvfs");
	add_vf(tree, "0000:03:00.0", 0, "0000:03:10.0");
	add_vf(tree, "0000:03:00.0", 1, "0000:03:10.2");
	tree_write(tree, "1", BUS "0000:03:10.2/net/lo/ifindex");
	for (unsigned i = 0; i < 3; i++)
		tree_write(tree, "0", "sys/class/net/sim1p/queues/rx-%u/rps_cpus", i);
	tree_write(tree, "0", "sys/class/net/lo/queues/rx-0/rps_cpus");
	tree_write(tree, "0", "sys/class/net/lo/queues/tx-0/xps_cpus");
	tree_write(tree, "0", "sys/class/net/lo/queues/tx-1/xps_cpus");

	g_autoptr(GPtrArray) pfs = inventory_read(tree->root);
	const struct nic_pf *pf = pf_of(pfs, 0);
	const struct nic_vf *first = pf->vfs->pdata[0], *second = pf->vfs->pdata[1];
	json_auto_t *before = inventory_encode(pfs);
	expect_queues(&pf->queues, json_array_get(before, 0), NULL, json_null());

	inventory_add_queues(pfs, tree->root, ethtool);
	json_auto_t *json = inventory_encode(pfs);
	const json_t *vfs = json_object_get(json_array_get(json, 0), "vfs");
	expect_queues(&pf->queues, json_array_get(json, 0), "2/4",
		json_pack("{s:{s:i, s:i}}", "combined", "count", 2, "max", 4));
	expect_queues(&first->queues, json_array_get(vfs, 0), NULL, json_null());
	expect_queues(&second->queues, json_array_get(vfs, 1), "rx 1, tx 2",
		json_pack("{s:{s:i}, s:{s:i}}", "rx", "count", 1, "tx", "count", 2));

	inventory_add_queues(pfs, tree->root, NULL); /* a kernel without ethtool by netlink */
	g_autofree char *without = inventory_queues_format(&pf->queues);
	g_assert_cmpstr(without, ==, "rx 3");
}

/* As drivers that have both kinds tell them: those that are not in use are in JSON alone. */
static void test_queue_kinds(void)
{
	const struct ethtool_queues apart = {.count = {0, 4, 2}, .max = {8, 4, 8}},
				    mixed = {.count = {7, 1, 0}, .max = {8, 8, 0}};
	g_autofree char *of_apart = inventory_queues_format(&apart),
			*of_mixed = inventory_queues_format(&mixed);

	g_assert_cmpstr(of_apart, ==, "rx 4/4, tx 2/8");
	g_assert_cmpstr(of_mixed, ==, "7/8, rx 1/8");
}

static void test_bridge(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	const char *const folder = "sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0";

	tree_write(tree, "0x020000", "%s/class", folder);
	tree_link(tree, "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0", BUS "0000:01:00.0");
	tree_write(tree, "0x020000", "sys/devices/pci0000:00/0000:00:04.0/class");
	tree_link(tree, "../../../devices/pci0000:00/0000:00:04.0", BUS "0000:00:04.0");
	g_autoptr(GPtrArray) pfs = inventory_read(tree->root);
	g_assert_cmpstr(pf_of(pfs, 1)->bridge, ==, "0000:00:01.0");
	g_assert_null(pf_of(pfs, 0)->bridge);
}

static void test_group(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();

	add_device(tree, "0000:00:01.0", "0x060400", "0x8086", "0x1"); /* a bridge */
	add_device(tree, "0000:01:00.0", "0x020000", "0x8086", "0x10fb");
	add_device(tree, "0000:01:00.1", "0x010700", "0x1000", "0x1");
	for (const char *const *address =
			(const char *const[]){"0000:00:01.0", "0000:01:00.0", "0000:01:00.1", NULL};
		*address; address++)
		tree_write(tree, "", "sys/kernel/iommu_groups/5/devices/%s", *address);
	g_auto(GStrv) group = inventory_group(tree->root, 5);
	g_assert_cmpuint(g_strv_length(group), ==, 2);
	g_assert_cmpstr(group[0], ==, "0000:01:00.0");
	g_assert_cmpstr(group[1], ==, "0000:01:00.1");
}

static void test_classes(void)
{
	static const struct {
		unsigned vfs, classes;
	} table[] = {{0, 8}, {15, 8}, {16, 4}, {31, 4}, {32, 1}, {63, 1}};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_assert_cmpuint(
			inventory_traffic_classes(0x8086, 0x10fb, table[i].vfs), ==, table[i].classes);
		g_assert_cmpuint(
			inventory_traffic_classes(0x8086, 0x1528, table[i].vfs), ==, table[i].classes);
	}
	g_assert_cmpuint(inventory_traffic_classes(0x8086, 0x154f, 63), ==, 1);
	g_assert_cmpuint(inventory_traffic_classes(0x8086, 0x10c9, 4), ==, 0);
	g_assert_cmpuint(inventory_traffic_classes(0x15b3, 0x10fb, 4), ==, 0);
}

static void test_classes_shown(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();

	add_82599(tree, "0000:03:00.0", 32);
	add_device(tree, "0000:04:00.0", "0x020000", "0x8086", "0x10c9");
	g_autoptr(GPtrArray) pfs = inventory_read(tree->root);
	json_auto_t *json = inventory_encode(pfs);
	g_assert_cmpuint(pf_of(pfs, 0)->traffic_classes, ==, 1);
	g_assert_cmpint(
		json_integer_value(json_object_get(json_array_get(json, 0), "traffic_classes")), ==, 1);
	g_assert_true(json_is_null(json_object_get(json_array_get(json, 1), "traffic_classes")));
}

/* ---- configuration space ---- */

static void put(struct pci_config *config, size_t offset, uint32_t word)
{
	for (size_t i = 0; i < 4; i++)
		config->bytes[offset + i] = (uint8_t)(word >> 8 * i);
}

/* Power management at 0x40, PCI Express at 0x70; error reporting at 0x100, ACS at 0x140, SR-IOV at 0x160. */
static struct pci_config config_of_nic(void)
{
	struct pci_config config = {.length = PCI_CONFIG_SIZE};

	put(&config, 0x34, 0x40);
	put(&config, 0x40, 0x7001);
	put(&config, 0x70, 0x0010);
	put(&config, 0x70 + 0x24, 1u << 5);
	put(&config, 0x100, 0x140u << 20 | 1u << 16 | 0x01);
	put(&config, 0x140, 0x160u << 20 | 1u << 16 | 0x0d);
	put(&config, 0x144, 0x1d);
	put(&config, 0x160, 1u << 16 | 0x10);
	put(&config, 0x160 + 0x0c, 63u << 16 | 63); /* TotalVFs above InitialVFs */
	return config;
}

static void test_config(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	const struct pci_config written = config_of_nic();
	struct pci_config config;

	tree_write_bytes(tree, written.bytes, sizeof written.bytes, BUS "0000:03:00.0/config");
	pci_config_read(tree->root, "0000:03:00.0", &config);
	g_assert_true(pci_config_is_whole(&config));
	g_assert_cmpuint(pci_config_total_vfs(&config), ==, 63);
	g_assert_true(pci_config_forwards_ari(&config));
	g_assert_true(pci_config_isolates(&config));
	put(&config, 0x144, 0x0d); /* no upstream forwarding */
	g_assert_false(pci_config_isolates(&config));
}

static void test_config_cut(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	const struct pci_config written = config_of_nic();
	struct pci_config config;

	tree_write_bytes(tree, written.bytes, 64, BUS "0000:03:00.0/config");
	pci_config_read(tree->root, "0000:03:00.0", &config);
	g_assert_false(pci_config_is_whole(&config));
	g_assert_cmpuint(pci_config_total_vfs(&config), ==, 0);
	g_assert_false(pci_config_forwards_ari(&config));
	g_assert_false(pci_config_isolates(&config));
}

static void test_config_circle(void)
{
	struct pci_config config = {.length = PCI_CONFIG_SIZE};

	put(&config, 0x34, 0x40);
	put(&config, 0x40, 0x4001);
	put(&config, 0x100, 0x100u << 20 | 1u << 16 | 0x01);
	g_assert_false(pci_config_forwards_ari(&config));
	g_assert_cmpuint(pci_config_total_vfs(&config), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add_func("/inventory/" name, function)
	TEST("a PF is listed with its VFs, drivers, interfaces and groups", test_functions);
	TEST("displays and virtio are left out, and a plain NIC has no SR-IOV", test_others);
	TEST("a machine without PCI has an empty inventory", test_empty);
	TEST("a VF's representor is that of its own PF and eswitch", test_representors);
	TEST("a PF's interface is its uplink, not one of its VFs' representors", test_uplink);
	TEST("firmware, eswitch and representors are devlink's, where it is there", test_eswitches);
	TEST("firmware is its driver's word where devlink told none, and never made up", test_firmware);
	TEST("of counters those that are known are told", test_counters);
	TEST("queues are the driver's channels, else those that the interface shows", test_queues);
	TEST("of kinds of queues those in use are shown", test_queue_kinds);
	TEST("the bridge above a device is found", test_bridge);
	TEST("an IOMMU group is its devices without bridges", test_group);
	TEST("X540 and 82599 leave traffic classes by their number of VFs", test_classes);
	TEST("traffic classes are told of the NICs that share them with VFs", test_classes_shown);
	TEST("SR-IOV, ARI and ACS are read from the configuration space", test_config);
	TEST("a configuration space that is cut short has no capability", test_config_cut);
	TEST("a list of capabilities that leads in circles ends", test_config_circle);
	return g_test_run();
}
