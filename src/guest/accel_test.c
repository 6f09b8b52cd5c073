/* Acceleration reports from made-up sysfs trees. */
#include "base/test_tree.h"
#include "guest/accel.h"
#include "guest/status.h"

#include <jansson.h>
#include <string.h>

/* ---- where it looks ---- */

static bool no_statistics(const char *netdev, struct accel_counters *ret)
{
	return false;
}

static bool netvsc_statistics(const char *netdev, struct accel_counters *ret)
{
	g_assert_cmpstr(netdev, ==, "eth0");
	*ret = (struct accel_counters){992956, 2749784180, 2656684, 1099443970, 0};
	return true;
}

static struct accel_report *inspect(const struct tree *tree)
{
	const struct accel_source source = {.root = tree->root, .vf_statistics = no_statistics};

	return accel_inspect(&source);
}

/* As on Hyper-V, whose driver counts the VF's packets itself. */
static struct accel_report *inspect_netvsc(const struct tree *tree)
{
	const struct accel_source source = {.root = tree->root, .vf_statistics = netvsc_statistics};

	return accel_inspect(&source);
}

/* ---- what stands in it ---- */

#define MAC_1 "00:0d:3a:00:00:01"
#define MAC_2 "00:0d:3a:00:00:02"

struct netdev {
	const char *name;
	const char *bus; /* "virtio", "vmbus", "pci" */
	const char *driver;
	const char *mac;
	const char *master; /* NULL: none */
	const char *flags; /* NULL: up */
	const char *carrier; /* NULL: present */
	unsigned packets; /* received; twice as many sent */
};

static void add_counter(const struct tree *tree, const char *netdev, const char *name, unsigned value)
{
	g_autofree char *text = g_strdup_printf("%u", value);

	tree_write(tree, text, "sys/class/net/%s/statistics/%s", netdev, name);
}

static void add_netdev(const struct tree *tree, const struct netdev *netdev)
{
	const char *name = netdev->name;

	tree_write(tree, netdev->mac, "sys/class/net/%s/address", name);
	tree_write(tree, netdev->flags ? netdev->flags : "0x1003", "sys/class/net/%s/flags", name);
	tree_write(tree, netdev->carrier ? netdev->carrier : "1", "sys/class/net/%s/carrier", name);
	add_counter(tree, name, "rx_packets", netdev->packets);
	add_counter(tree, name, "rx_bytes", netdev->packets * 100);
	add_counter(tree, name, "tx_packets", netdev->packets * 2);
	add_counter(tree, name, "tx_bytes", netdev->packets * 200);
	add_counter(tree, name, "tx_dropped", netdev->packets ? 3 : 0);
	if (netdev->bus)
		tree_link(tree, netdev->bus, "sys/class/net/%s/device/subsystem", name);
	if (netdev->driver)
		tree_link(tree, netdev->driver, "sys/class/net/%s/device/driver", name);
	if (netdev->master) {
		tree_link(tree, netdev->master, "sys/class/net/%s/master", name);
		tree_link(tree, name, "sys/class/net/%s/lower_%s", netdev->master, name);
	}
}

struct pci {
	const char *address;
	const char *vendor;
	const char *device;
	const char *driver; /* NULL: none bound */
	const char *netdev; /* NULL: none yet */
};

static void add_pci(const struct tree *tree, const struct pci *pci)
{
	tree_write(tree, "0x020000", "sys/bus/pci/devices/%s/class", pci->address);
	tree_write(tree, pci->vendor, "sys/bus/pci/devices/%s/vendor", pci->address);
	tree_write(tree, pci->device, "sys/bus/pci/devices/%s/device", pci->address);
	if (pci->driver)
		tree_link(tree, pci->driver, "sys/bus/pci/devices/%s/driver", pci->address);
	if (pci->netdev)
		tree_write(tree, "", "sys/bus/pci/devices/%s/net/%s/x", pci->address, pci->netdev);
}

/* eth0 over eth0nsby, as virtio_net makes it for a NIC with the standby feature. */
static struct tree *tree_with_standby(void)
{
	struct tree *tree = tree_new();

	tree_write(tree, "6.1.0-56-amd64", "proc/sys/kernel/osrelease");
	add_pci(tree, &(struct pci){"0000:01:00.0", "0x1af4", "0x1041", "virtio-pci", NULL});
	add_netdev(tree, &(struct netdev){"eth0", "virtio", "virtio_net", MAC_1, .packets = 9});
	add_netdev(tree, &(struct netdev){"eth0nsby", "virtio", "virtio_net", MAC_1, "eth0", .packets = 7});
	return tree;
}

static const struct pci e1000e = {"0000:02:00.0", "0x8086", "0x10d3", "e1000e", "eth0npri"};
static const struct netdev e1000e_netdev = {"eth0npri", "pci", "e1000e", MAC_1, "eth0", .packets = 50};
static const struct pci connectx = {"c001:00:02.0", "0x15b3", "0x1016", "mlx5_core", "enP1s1"};

static const struct accel_nic *only_nic(const struct accel_report *report)
{
	g_assert_cmpint(report->nics->len, ==, 1);
	return report->nics->pdata[0];
}

static void assert_summary(const struct accel_report *report, enum accel_state state, const char *part)
{
	if (!strstr(report->summary, part))
		g_error("\"%s\" does not contain \"%s\"", report->summary, part);
	g_assert_cmpint(report->state, ==, state);
}

/* ---- net_failover ---- */

static void test_emulated_pair(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_with_standby();
	add_pci(tree, &e1000e);
	add_netdev(tree, &e1000e_netdev);

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);
	const struct accel_nic *nic = only_nic(report);

	g_assert_cmpint(nic->pairing, ==, ACCEL_FAILOVER);
	g_assert_cmpstr(nic->standby->netdev, ==, "eth0nsby");
	g_assert_cmpstr(nic->primary->netdev, ==, "eth0npri");
	g_assert_cmpint(nic->vf.rx_packets, ==, 50);
	g_assert_cmpint(nic->vf.tx_bytes, ==, 10000);
	g_assert_cmpint(nic->vf.tx_dropped, ==, 3);
	g_assert_cmpint(nic->standby->counters.rx_packets, ==, 7);
	assert_summary(report, ACCEL_WORKING, "on and working: eth0 sends and receives through eth0npri");
	assert_summary(report, ACCEL_WORKING, "emulated (no host bypass, no speed claim)");
}

static void test_real_vf(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_with_standby();
	add_pci(tree, &(struct pci){"0000:02:00.0", "0x8086", "0x10ed", "ixgbevf", "ens2"});
	add_netdev(tree, &(struct netdev){"ens2", "pci", "ixgbevf", MAC_1, "eth0", .packets = 5});

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);

	g_assert_cmpint(only_nic(report)->function->kind, ==, FUNCTION_VF);
	assert_summary(report, ACCEL_WORKING, "on and working");
	g_assert_null(strstr(report->summary, "emulated"));
}

static void test_no_packet_yet(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_with_standby();
	struct netdev idle = e1000e_netdev;
	idle.packets = 0;
	add_pci(tree, &e1000e);
	add_netdev(tree, &idle);

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);

	assert_summary(report, ACCEL_WORKING, "nothing went through it yet");
}

static void test_vf_away(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_with_standby();
	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);

	g_assert_null(only_nic(report)->primary);
	assert_summary(report, ACCEL_OFF, "the host took it back; eth0nsby (virtio) carries the packets");
}

static void test_no_driver(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_with_standby();
	add_pci(tree, &(struct pci){"0000:02:00.0", "0x15b3", "0x1018", NULL, NULL});

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);

	assert_summary(report, ACCEL_BROKEN, "modprobe mlx5_core");
}

static void test_foreign_driver(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_with_standby();
	add_pci(tree, &(struct pci){"0000:02:00.0", "0x15b3", "0x1018", "vfio-pci", NULL});

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);

	assert_summary(report, ACCEL_BROKEN, "is held by vfio-pci");
}

static void test_not_paired(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_with_standby();
	add_pci(tree, &(struct pci){"0000:02:00.0", "0x8086", "0x10ed", "ixgbevf", "ens2"});
	add_netdev(tree, &(struct netdev){"ens2", "pci", "ixgbevf", MAC_1});

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);

	g_assert_cmpstr(only_nic(report)->name, ==, "eth0");
	assert_summary(report, ACCEL_BROKEN, "has the address of eth0 but is not paired with it");
}

static void test_stranger_is_no_primary(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_with_standby();
	add_pci(tree, &(struct pci){"0000:02:00.0", "0x8086", "0x10d3", "e1000e", "ens2"});
	add_netdev(tree, &(struct netdev){"ens2", "pci", "e1000e", MAC_2});

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);

	assert_summary(report, ACCEL_OFF, "has no VF now");
}

static void test_no_carrier(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_with_standby();
	struct netdev dead = e1000e_netdev;
	dead.carrier = "0";
	add_pci(tree, &e1000e);
	add_netdev(tree, &dead);

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);

	assert_summary(report, ACCEL_BROKEN, "eth0npri has no carrier");
}

static void test_interface_down(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_with_standby();
	struct netdev down = e1000e_netdev;
	down.flags = "0x1002";
	add_pci(tree, &e1000e);
	add_netdev(tree, &down);

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);

	assert_summary(report, ACCEL_BROKEN, "ip link set eth0 up");
}

/* ---- hv_netvsc ---- */

static struct tree *tree_on_azure(void)
{
	struct tree *tree = tree_new();

	add_pci(tree, &connectx);
	add_netdev(tree, &(struct netdev){"eth0", "vmbus", "hv_netvsc", MAC_1, .packets = 9});
	add_netdev(tree, &(struct netdev){"enP1s1", "pci", "mlx5_core", MAC_1, "eth0", .packets = 50});
	return tree;
}

static void test_netvsc(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_on_azure();

	_cleanup_(accel_report_free) struct accel_report *report = inspect_netvsc(tree);
	const struct accel_nic *nic = only_nic(report);

	g_assert_cmpint(nic->pairing, ==, ACCEL_NETVSC);
	g_assert_null(nic->standby);
	g_assert_cmpint(nic->vf.rx_packets, ==, 992956);
	g_assert_cmpint(nic->vf.tx_bytes, ==, 1099443970);
	assert_summary(report, ACCEL_WORKING, "eth0 sends and receives through enP1s1 (mlx5_core)");
}

static void test_netvsc_without_statistics(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_on_azure();
	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);

	g_assert_cmpint(only_nic(report)->vf.rx_packets, ==, 50);
}

static void test_netvsc_without_vf(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	add_netdev(tree, &(struct netdev){"eth0", "vmbus", "hv_netvsc", MAC_1, .packets = 9});

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);

	assert_summary(report, ACCEL_OFF, "the host offers eth0 no VF");
}

/* ---- other machines ---- */

static void test_plain_virtio(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	add_netdev(tree, &(struct netdev){"lo", .mac = "00:00:00:00:00:00"});
	add_netdev(tree, &(struct netdev){"eth0", "virtio", "virtio_net", MAC_1, .packets = 9});

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);

	g_assert_cmpstr(only_nic(report)->name, ==, "eth0");
	assert_summary(report, ACCEL_OFF, "eth0 is a plain virtio NIC");
}

static void test_plain_virtio_in_bridge(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	add_netdev(tree, &(struct netdev){"br0", .mac = MAC_1});
	add_netdev(tree, &(struct netdev){"eth0", "virtio", "virtio_net", MAC_1, "br0"});

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);

	g_assert_cmpstr(only_nic(report)->name, ==, "eth0");
	g_assert_cmpint(only_nic(report)->pairing, ==, ACCEL_PLAIN);
}

static void test_whole_device(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	add_pci(tree, &(struct pci){"0000:02:00.0", "0x8086", "0x10d3", "e1000e", "eth0"});
	add_netdev(tree, &(struct netdev){"eth0", "pci", "e1000e", MAC_1, .packets = 9});

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);

	g_assert_cmpint(report->nics->len, ==, 0);
	assert_summary(report, ACCEL_OFF, "no VF");
}

static void test_direct_vf(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	add_pci(tree, &(struct pci){"0000:02:00.0", "0x8086", "0x1889", "iavf", "eth0"});
	add_netdev(tree, &(struct netdev){"eth0", "pci", "iavf", MAC_1, .packets = 9});

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);

	g_assert_cmpint(only_nic(report)->pairing, ==, ACCEL_DIRECT);
	assert_summary(report, ACCEL_WORKING, "on and working");
}

static void test_physfn(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	add_pci(tree, &(struct pci){"0000:02:10.0", "0xabcd", "0x1234", NULL, NULL});
	tree_link(tree, "../0000:02:00.0", "sys/bus/pci/devices/0000:02:10.0/physfn");

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);
	const struct function *function = report->functions->pdata[0];
	g_autofree char *what = function_describe(function);

	g_assert_cmpint(function->kind, ==, FUNCTION_VF);
	g_assert_cmpstr(what, ==, "0000:02:10.0 virtual function [abcd:1234]");
}

static void test_empty_tree(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);

	g_assert_null(report->kernel);
	g_assert_cmpint(report->functions->len, ==, 0);
	assert_summary(report, ACCEL_OFF, "no virtio or Hyper-V network interface");
}

static void test_worst_nic_decides(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_with_standby();
	add_pci(tree, &e1000e);
	add_netdev(tree, &e1000e_netdev);
	add_pci(tree, &(struct pci){"0000:03:00.0", "0x8086", "0x10d3", "e1000e", "eth1npri"});
	add_netdev(tree, &(struct netdev){"eth1", "virtio", "virtio_net", MAC_2});
	add_netdev(tree, &(struct netdev){"eth1nsby", "virtio", "virtio_net", MAC_2, "eth1"});
	add_netdev(tree, &(struct netdev){"eth1npri", "pci", "e1000e", MAC_2, "eth1", .carrier = "0"});

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);

	g_assert_cmpint(report->nics->len, ==, 2);
	assert_summary(report, ACCEL_BROKEN, "eth1npri has no carrier");
}

/* ---- output ---- */

static void test_text(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_with_standby();
	add_pci(tree, &e1000e);
	add_netdev(tree, &e1000e_netdev);

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);
	g_autofree char *text = status_text(report);

	g_assert_cmpstr(text, ==,
		"Kernel:       6.1.0-56-amd64\n"
		"VF:           0000:02:00.0 Intel 82574L (QEMU e1000e) [8086:10d3], driver e1000e, "
		"emulated (no host bypass, no speed claim)\n"
		"Pairing:      eth0 = net_failover of standby eth0nsby and primary eth0npri\n"
		"     vf_rx_packets: 50\n"
		"     vf_rx_bytes: 5000\n"
		"     vf_tx_packets: 100\n"
		"     vf_tx_bytes: 10000\n"
		"     vf_tx_dropped: 3\n"
		"Acceleration: on and working: eth0 sends and receives through eth0npri (e1000e), "
		"emulated (no host bypass, no speed claim)\n");
}

static void test_json(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_with_standby();
	add_pci(tree, &e1000e);
	add_netdev(tree, &e1000e_netdev);

	_cleanup_(accel_report_free) struct accel_report *report = inspect(tree);
	g_autofree char *text = status_json(report);
	json_t *object = json_loads(text, 0, NULL), *counters, *standby;
	const char *state, *function, *pairing;
	int emulated, vf_rx, standby_rx;

	g_assert_nonnull(object);
	g_assert_cmpint(json_unpack(object, "{s:s, s:b, s:[{s:s, s:s, s:o, s:o}]}", "state", &state,
				"emulated", &emulated, "nics", "pairing", &pairing, "function", &function,
				"counters", &counters, "standby", &standby),
		==, 0);
	g_assert_cmpint(json_unpack(counters, "{s:i}", "vf_rx_packets", &vf_rx), ==, 0);
	g_assert_cmpint(json_unpack(standby, "{s:{s:i}}", "counters", "rx_packets", &standby_rx), ==, 0);
	g_assert_cmpstr(state, ==, "working");
	g_assert_true(emulated);
	g_assert_cmpstr(pairing, ==, "net_failover");
	g_assert_cmpstr(function, ==, "0000:02:00.0");
	g_assert_cmpint(vf_rx, ==, 50);
	g_assert_cmpint(standby_rx, ==, 7);
	json_decref(object);
}

static void test_exit_status(void)
{
	static const enum status_exit exits[] = {
		[ACCEL_WORKING] = 0,
		[ACCEL_OFF] = 1,
		[ACCEL_BROKEN] = 2,
	};

	for (size_t state = 0; state < G_N_ELEMENTS(exits); state++) {
		const struct accel_report report = {.state = (enum accel_state)state};

		g_assert_cmpint(status_exit_of(&report), ==, exits[state]);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		GTestFunc run;
	} tests[] = {
		{"/failover/an e1000e primary is on and working, and called emulated", test_emulated_pair},
		{"/failover/a VF primary is on and working", test_real_vf},
		{"/failover/a primary without a packet says so", test_no_packet_yet},
		{"/failover/without primary it is off and the standby carries", test_vf_away},
		{"/failover/a VF without driver is broken and names the driver", test_no_driver},
		{"/failover/a VF that another driver holds is broken", test_foreign_driver},
		{"/failover/a VF of the same address without master is broken", test_not_paired},
		{"/failover/a device of another address is not taken for the primary",
			test_stranger_is_no_primary},
		{"/failover/a primary without carrier is broken", test_no_carrier},
		{"/failover/a primary that is down is broken", test_interface_down},
		{"/netvsc/counters come from ethtool", test_netvsc},
		{"/netvsc/without ethtool counters come from the VF", test_netvsc_without_statistics},
		{"/netvsc/no VF is off", test_netvsc_without_vf},
		{"/other/plain virtio is off", test_plain_virtio},
		{"/other/a bridge over virtio is no pair", test_plain_virtio_in_bridge},
		{"/other/a lone e1000e is no acceleration", test_whole_device},
		{"/other/a VF alone is on and working", test_direct_vf},
		{"/other/a physfn link marks an unknown VF", test_physfn},
		{"/other/an empty tree is off", test_empty_tree},
		{"/other/the worst NIC decides", test_worst_nic_decides},
		{"/output/text has kernel, VF, pairing, counters and the verdict", test_text},
		{"/output/JSON carries the same", test_json},
		{"/output/exit status follows the state", test_exit_status},
	};

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add_func(tests[i].name, tests[i].run);
	return g_test_run();
}
