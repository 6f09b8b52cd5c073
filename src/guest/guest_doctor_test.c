/* Tests of the guest's doctor: a guest in which all is well, and the same one broken in one way after the other. */
#include "base/test_tree.h"
#include "guest/doctor.h"

#include <string.h>

#define BUS "sys/bus/pci/devices/"
#define NET "sys/class/net/"
#define VF  "0000:02:00.0"
#define MAC "00:0d:3a:00:00:01"

static bool no_statistics(const char *netdev, struct accel_counters *ret)
{
	return false;
}

/* ---- a guest ---- */

static void add_netdev(
	const struct tree *tree, const char *name, const char *bus, const char *driver, const char *packets)
{
	g_autofree char *subsystem = g_strdup_printf("../../bus/%s", bus),
			*to = g_strdup_printf("../../%s", driver);

	tree_write(tree, MAC, NET "%s/address", name);
	tree_write(tree, "0x1003", NET "%s/flags", name);
	tree_write(tree, "1", NET "%s/carrier", name);
	tree_write(tree, packets, NET "%s/statistics/rx_packets", name);
	tree_link(tree, subsystem, NET "%s/device/subsystem", name);
	if (driver)
		tree_link(tree, to, NET "%s/device/driver", name);
}

/* eth0 = failover of eth0nsby and the 82576's VF eth0npri, which has two interrupts. */
static struct tree *guest_new(void)
{
	struct tree *tree = tree_new();

	tree_write(tree, "6.1.0", "proc/sys/kernel/osrelease");
	tree_write(tree,
		"kernel/net/igbvf.ko:\nkernel/net/other-driver.ko.xz:", "lib/modules/6.1.0/modules.dep");
	tree_write(
		tree, "alias pci:v00001234d*sv*sd*bc*sc*i* other_driver", "lib/modules/6.1.0/modules.alias");
	tree_write(tree,
		"      CPU0  CPU1\n 45:  40  2  PCI-MSIX  eth0npri-0\n 46: 7 0 PCI-MSIX  eth0npri-1\n 47: 9 "
		"9 x",
		"proc/interrupts");
	add_netdev(tree, "eth0", "virtio", "virtio_net", "1000");
	add_netdev(tree, "eth0nsby", "virtio", "virtio_net", "100");
	add_netdev(tree, "eth0npri", "pci", "igbvf", "900");
	tree_link(tree, "../eth0nsby", NET "eth0/lower_eth0nsby");
	tree_link(tree, "../eth0npri", NET "eth0/lower_eth0npri");
	tree_link(tree, "../eth0", NET "eth0nsby/master");
	tree_link(tree, "../eth0", NET "eth0npri/master");
	tree_write(tree, "", NET "eth0npri/queues/rx-0/x");
	tree_write(tree, "", NET "eth0npri/queues/tx-0/x");
	tree_write(tree, "0x020000", BUS VF "/class");
	tree_write(tree, "0x8086", BUS VF "/vendor");
	tree_write(tree, "0x10ca", BUS VF "/device");
	tree_write(tree, "pci:v00001234d00005678sv0sd0bc02sc00i00", BUS VF "/modalias");
	tree_link(tree, "../../../bus/pci/drivers/igbvf", BUS VF "/driver");
	tree_write(tree, "4", BUS VF "/net/eth0npri/ifindex");
	tree_write(tree, "msix", BUS VF "/msi_irqs/45");
	tree_write(tree, "msix", BUS VF "/msi_irqs/46");
	return tree;
}

/* The VF is on the bus, and nobody made an interface of it. */
static void take_interface(const struct tree *tree)
{
	tree_remove(tree, NET "eth0npri");
	tree_remove(tree, NET "eth0/lower_eth0npri");
	tree_remove(tree, BUS VF "/net");
}

static GPtrArray *examine(const struct tree *tree)
{
	const struct accel_source source = {.root = tree->root, .vf_statistics = no_statistics};

	return doctor_examine(&source);
}

static const struct finding *find(const GPtrArray *findings, const char *check)
{
	for (guint i = 0; i < findings->len; i++) {
		const struct finding *finding = findings->pdata[i];
		if (g_str_equal(finding->check, check))
			return finding;
	}
	g_assert_not_reached();
}

static void expect(const struct tree *tree, enum finding_level level, const char *check, const char *subject,
	const char *says, const char *remedy)
{
	g_autoptr(GPtrArray) findings = examine(tree);
	const struct finding *finding = find(findings, check);

	g_test_message("%s: %s -> %s", finding->check, finding->text, finding->remedy);
	g_assert_cmpint(finding->level, ==, level);
	g_assert_cmpstr(finding->subject, ==, subject);
	g_assert_nonnull(strstr(finding->text, says));
	if (remedy)
		g_assert_nonnull(strstr(finding->remedy, remedy));
	g_assert_cmpint(
		findings_exit_of(findings), ==, level == FINDING_PROBLEM ? FINDINGS_PROBLEM : FINDINGS_WELL);
}

/* ---- tests ---- */

static void test_well(void)
{
	_cleanup_(tree_free) struct tree *tree = guest_new();
	g_autoptr(GPtrArray) findings = examine(tree);

	g_assert_cmpuint(findings_count(findings, FINDING_OK), ==, findings->len);
	g_assert_cmpstr(find(findings, "interrupts")->text, ==, "2 of them, which came 49 times");
	g_assert_cmpstr(find(findings, "queues")->text, ==, "it has 1 to receive and 1 to send");
	g_assert_cmpstr(
		find(findings, "traffic")->text, ==, "900 packets through eth0npri, 100 the synthetic way");
}

static void test_managers(void)
{
	_cleanup_(tree_free) struct tree *tree = guest_new();

	tree_write(tree, "2", NET "eth0/ifindex");
	tree_write(tree, "3", NET "eth0nsby/ifindex");
	tree_write(tree, "4", NET "eth0npri/ifindex");
	for (const char *const *index = (const char *const[]){"2", "3", "4", NULL}; *index; index++)
		tree_write(tree,
			g_str_equal(*index, "2") ? "# private\nADMIN_STATE=configured"
						 : "ADMIN_STATE=unmanaged",
			"run/systemd/netif/links/%s", *index);
	expect(tree, FINDING_OK, "manager", "eth0", "systemd-networkd configures it", NULL);
	tree_write(tree, "[device]\nmanaged=true\n", "run/NetworkManager/devices/2");
	expect(tree, FINDING_PROBLEM, "manager", "eth0", "systemd-networkd and NetworkManager configure it",
		"one of them");
	tree_remove(tree, "run/NetworkManager/devices/2");
	tree_remove(tree, "run/systemd/netif/links/2");
	tree_write(tree, "ADMIN_STATE=configuring", "run/systemd/netif/links/4");
	expect(tree, FINDING_PROBLEM, "manager", "eth0npri",
		"systemd-networkd configures it, which is for eth0",
		"Name=eth0npri and [Link] Unmanaged=yes");
	tree_remove(tree, "run/systemd/netif/links/4");
	tree_write(tree, "[device]\nmanaged=true\n", "run/NetworkManager/devices/3");
	expect(tree, FINDING_PROBLEM, "manager", "eth0nsby", "NetworkManager", "interface-name:eth0nsby");
	tree_remove(tree, "run/NetworkManager/devices/3");
	tree_write(tree, "lo=lo\neth0nsby=eth0nsby\n", "run/network/ifstate");
	expect(tree, FINDING_PROBLEM, "manager", "eth0nsby", "ifupdown", "ifdown --force eth0nsby");
}

static void test_drivers(void)
{
	_cleanup_(tree_free) struct tree *tree = guest_new();

	take_interface(tree);
	tree_remove(tree, BUS VF "/driver");
	expect(tree, FINDING_PROBLEM, "driver", VF, "no driver is bound to " VF " Intel 82576",
		"modprobe igbvf");
	tree_write(tree, "kernel/net/ixgbevf.ko:", "lib/modules/6.1.0/modules.dep");
	expect(tree, FINDING_PROBLEM, "driver", VF, "no driver for " VF, "install a kernel that has igbvf");
	tree_write(tree, "kernel/net/igbvf.ko", "lib/modules/6.1.0/modules.builtin");
	expect(tree, FINDING_PROBLEM, "driver", VF, "no driver is bound", "modprobe igbvf");
	tree_link(tree, "../../../bus/pci/drivers/vfio-pci", BUS VF "/driver");
	expect(tree, FINDING_PROBLEM, "driver", VF, "held by vfio-pci", "give it back");
}

static void test_unknown_function(void)
{
	_cleanup_(tree_free) struct tree *tree = guest_new();

	take_interface(tree);
	tree_remove(tree, BUS VF "/driver");
	tree_write(tree, "0x5678", BUS VF "/device");
	tree_link(tree, "../0000:01:00.0", BUS VF "/physfn");
	expect(tree, FINDING_PROBLEM, "driver", VF, "no driver is bound", "modprobe other_driver");
	tree_remove(tree, "lib/modules/6.1.0/modules.alias");
	expect(tree, FINDING_PROBLEM, "driver", VF, "the kernel has no driver", "the NIC's vendor");
}

static void test_pairs(void)
{
	_cleanup_(tree_free) struct tree *tree = guest_new();

	tree_remove(tree, NET "eth0npri/master");
	tree_remove(tree, NET "eth0/lower_eth0npri");
	expect(tree, FINDING_PROBLEM, "pair", "eth0", "eth0npri has its address, and is not paired",
		"net_failover");
	tree_write(tree, "00:0d:3a:00:00:99", NET "eth0npri/address");
	expect(tree, FINDING_PROBLEM, "mac", "eth0npri", "address 00:0d:3a:00:00:99 is no NIC's here",
		"revoke, restore");
}

static void test_away(void)
{
	_cleanup_(tree_free) struct tree *tree = guest_new();

	take_interface(tree);
	tree_remove(tree, BUS VF);
	expect(tree, FINDING_NOTE, "pair", "eth0", "it has no VF now", "sluice vf list");
	expect(tree, FINDING_NOTE, "function", NULL, "no VF is on the PCI bus", "by itself");
}

static void test_plain(void)
{
	_cleanup_(tree_free) struct tree *tree = guest_new();
	char features[65];

	memset(features, '0', sizeof features - 1);
	features[64] = '\0';
	take_interface(tree);
	tree_remove(tree, NET "eth0nsby");
	tree_remove(tree, NET "eth0/lower_eth0nsby");
	tree_remove(tree, BUS VF);
	tree_write(tree, features, NET "eth0/device/features");
	expect(tree, FINDING_NOTE, "pair", "eth0", "a plain virtio NIC", "deallocated");
	features[62] = '1';
	tree_write(tree, features, NET "eth0/device/features");
	expect(tree, FINDING_PROBLEM, "pair", "eth0", "has made no failover pair", "modprobe net_failover");
}

static void test_links(void)
{
	_cleanup_(tree_free) struct tree *tree = guest_new();

	tree_write(tree, "0", NET "eth0npri/carrier");
	expect(tree, FINDING_PROBLEM, "link", "eth0npri", "no carrier", "sluice doctor host");
	tree_write(tree, "0x1002", NET "eth0npri/flags");
	expect(tree, FINDING_PROBLEM, "link", "eth0npri", "it is down", "ip link set eth0 up");
	tree_write(tree, "0x1003", NET "eth0npri/flags");
	tree_write(tree, "1", NET "eth0npri/carrier");
	tree_write(tree, "00:0d:3a:00:00:99", NET "eth0nsby/address");
	expect(tree, FINDING_PROBLEM, "mac", "eth0", "is not that of eth0nsby",
		"ip link set eth0 address 00:0d:3a:00:00:99");
}

static void test_interrupts(void)
{
	_cleanup_(tree_free) struct tree *tree = guest_new();

	tree_write(tree, "      CPU0\n 45: 0 0 PCI-MSIX\n 46: 0 0 x\n 47: 9 9 x", "proc/interrupts");
	expect(tree, FINDING_PROBLEM, "interrupts", "eth0npri", "none of its 2 interrupts has ever come",
		"remapping");
	tree_remove(tree, BUS VF "/msi_irqs");
	expect(tree, FINDING_PROBLEM, "interrupts", "eth0npri", "no message-signalled interrupts",
		"remapping");
}

static void test_traffic(void)
{
	_cleanup_(tree_free) struct tree *tree = guest_new();

	tree_write(tree, "0", NET "eth0npri/statistics/rx_packets");
	expect(tree, FINDING_NOTE, "traffic", "eth0", "nothing went through eth0npri yet, and 100 packets",
		"sluice vf revoke");
}

static void test_kernels(void)
{
	static const struct {
		const char *release, *kernel;
		bool old;
	} cases[] = {
		{"NAME=\"Ubuntu\"\nID=ubuntu\nVERSION_ID=\"16.04\"", "4.4.0-21-generic", true},
		{"ID=ubuntu\nVERSION_ID=\"16.04\"", "4.11.0-1009-azure", true},
		{"ID=ubuntu\nVERSION_ID=\"16.04\"", "4.11.0-1013-azure", false},
		{"ID=ubuntu\nVERSION_ID=\"16.04\"", "4.15.0-1113-azure", false},
		{"ID=\"sles\"\nVERSION_ID=\"12.3\"", "4.4.73-5-default", true},
		{"ID=\"sles\"\nVERSION_ID=\"12.3\"", "4.4.92-6.18-default", false},
	};
	_cleanup_(tree_free) struct tree *tree = guest_new();

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		tree_write(tree, cases[i].release, "etc/os-release");
		tree_write(tree, cases[i].kernel, "proc/sys/kernel/osrelease");
		g_autoptr(GPtrArray) findings = examine(tree);
		const struct finding *finding = find(findings, "kernel");
		g_test_message("%s: %s", cases[i].kernel, finding->text);
		g_assert_cmpint(finding->level, ==, cases[i].old ? FINDING_PROBLEM : FINDING_OK);
	}
}

static void test_empty(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();

	expect(tree, FINDING_NOTE, "pair", NULL, "there is no virtio or Hyper-V network interface", NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add_func("/guest doctor/" name, function)
	TEST("nothing is found in a guest in which all is well", test_well);
	TEST("a driver that is missing is told from one that is not loaded", test_drivers);
	TEST("an interface below a pair that somebody configures is a problem, with who does", test_managers);
	TEST("a function that is in no table is looked up by its modalias", test_unknown_function);
	TEST("a VF that is not paired is a problem, by its address or in spite of it", test_pairs);
	TEST("a VF that the host took back is no problem", test_away);
	TEST("a plain NIC is told from one whose pair the kernel did not make", test_plain);
	TEST("a link that is down, has no carrier or another address is a problem", test_links);
	TEST("interrupts that never come are a problem", test_interrupts);
	TEST("a VF that carried nothing yet is noted", test_traffic);
	TEST("a kernel that is too old for its distribution is a problem", test_kernels);
	TEST("a guest without a NIC is told so", test_empty);
	return g_test_run();
}
