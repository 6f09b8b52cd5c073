/* Network functions on the guest's PCI bus. */
#include "guest/function.h"

#include "base/sysfs.h"

#define PCI_VENDOR_VIRTIO 0x1af4
#define PCI_CLASS_NETWORK 0x02 /* first byte of the class code */
#define PCI_DEVICES       "/sys/bus/pci/devices"

struct known_function {
	uint16_t vendor;
	uint16_t device;
	enum function_kind kind;
	const char *model;
	const char *driver;
};

/* PCI ids from the drivers' own tables (Linux, drivers/net/ethernet). QEMU imitates the 82540EM (e1000) and
 * the 82574L (e1000e), both long gone from servers: seen in a guest, they are emulated. */
static const struct known_function known_functions[] = {
	{0x15b3, 0x1002, FUNCTION_VF, "Mellanox ConnectX-2 Virtual Function", "mlx4_core"},
	{0x15b3, 0x1004, FUNCTION_VF, "Mellanox ConnectX-3 Virtual Function", "mlx4_core"},
	{0x15b3, 0x1012, FUNCTION_VF, "Mellanox Connect-IB Virtual Function", "mlx5_core"},
	{0x15b3, 0x1014, FUNCTION_VF, "Mellanox ConnectX-4 Virtual Function", "mlx5_core"},
	{0x15b3, 0x1016, FUNCTION_VF, "Mellanox ConnectX-4 Lx Virtual Function", "mlx5_core"},
	{0x15b3, 0x1018, FUNCTION_VF, "Mellanox ConnectX-5 Virtual Function", "mlx5_core"},
	{0x15b3, 0x101a, FUNCTION_VF, "Mellanox ConnectX-5 Ex Virtual Function", "mlx5_core"},
	{0x15b3, 0x101c, FUNCTION_VF, "Mellanox ConnectX-6 Virtual Function", "mlx5_core"},
	{0x15b3, 0x101e, FUNCTION_VF, "Mellanox ConnectX Family Virtual Function", "mlx5_core"},
	{0x15b3, 0xa2d3, FUNCTION_VF, "Mellanox BlueField Virtual Function", "mlx5_core"},
	{0x1414, 0x00ba, FUNCTION_VF, "Microsoft Azure Network Adapter Virtual Function", "mana"},
	{0x14e4, 0x1606, FUNCTION_VF, "Broadcom BCM574xx Virtual Function", "bnxt_en"},
	{0x14e4, 0x1609, FUNCTION_VF, "Broadcom BCM574xx Virtual Function", "bnxt_en"},
	{0x14e4, 0x16c1, FUNCTION_VF, "Broadcom NetXtreme-E Virtual Function", "bnxt_en"},
	{0x14e4, 0x16dc, FUNCTION_VF, "Broadcom NetXtreme-E Virtual Function", "bnxt_en"},
	{0x14e4, 0x1806, FUNCTION_VF, "Broadcom BCM5750X Virtual Function", "bnxt_en"},
	{0x8086, 0x10ca, FUNCTION_VF, "Intel 82576 Virtual Function", "igbvf"},
	{0x8086, 0x1520, FUNCTION_VF, "Intel I350 Virtual Function", "igbvf"},
	{0x8086, 0x10ed, FUNCTION_VF, "Intel 82599 Virtual Function", "ixgbevf"},
	{0x8086, 0x1515, FUNCTION_VF, "Intel X540 Virtual Function", "ixgbevf"},
	{0x8086, 0x1565, FUNCTION_VF, "Intel X550 Virtual Function", "ixgbevf"},
	{0x8086, 0x15a8, FUNCTION_VF, "Intel X552 Virtual Function", "ixgbevf"},
	{0x8086, 0x15c5, FUNCTION_VF, "Intel X553 Virtual Function", "ixgbevf"},
	{0x8086, 0x154c, FUNCTION_VF, "Intel 700 Series Virtual Function", "iavf"},
	{0x8086, 0x37cd, FUNCTION_VF, "Intel X722 Virtual Function", "iavf"},
	{0x8086, 0x1889, FUNCTION_VF, "Intel Adaptive Virtual Function", "iavf"},
	{0x8086, 0x100e, FUNCTION_EMULATED, "Intel 82540EM (QEMU e1000)", "e1000"},
	{0x8086, 0x10d3, FUNCTION_EMULATED, "Intel 82574L (QEMU e1000e)", "e1000e"},
};

const char *function_kind_name(enum function_kind kind)
{
	static const char *const names[] = {
		[FUNCTION_VF] = "virtual-function",
		[FUNCTION_EMULATED] = "emulated",
		[FUNCTION_OTHER] = "other",
	};

	return names[kind];
}

void function_free(struct function *function)
{
	if (!function)
		return;
	g_free(function->address);
	g_free(function->driver);
	g_free(function->netdev);
	g_free(function);
}

static void function_identify(struct function *function)
{
	for (size_t i = 0; i < G_N_ELEMENTS(known_functions); i++) {
		const struct known_function *known = &known_functions[i];

		if (known->vendor != function->vendor || known->device != function->device)
			continue;
		function->kind = known->kind;
		function->model = known->model;
		function->wanted = known->driver;
	}
}

static struct function *function_read(const char *root, const char *address)
{
	struct function *function = g_new0(struct function, 1);
	g_autofree char *physfn = sysfs_link_name(root, PCI_DEVICES "/%s/physfn", address);
	g_auto(GStrv) netdevs = sysfs_children(root, "", PCI_DEVICES "/%s/net", address);

	function->address = g_strdup(address);
	function->driver = sysfs_link_name(root, PCI_DEVICES "/%s/driver", address);
	function->netdev = g_strdup(netdevs[0]);
	function->vendor = (uint16_t)sysfs_number(root, 0, PCI_DEVICES "/%s/vendor", address);
	function->device = (uint16_t)sysfs_number(root, 0, PCI_DEVICES "/%s/device", address);
	function->kind = physfn ? FUNCTION_VF : FUNCTION_OTHER;
	function_identify(function);
	return function;
}

GPtrArray *function_list(const char *root)
{
	GPtrArray *functions = g_ptr_array_new_with_free_func((GDestroyNotify)function_free);
	g_auto(GStrv) addresses = sysfs_children(root, "", PCI_DEVICES);

	for (char **address = addresses; *address; address++) {
		uint64_t class = sysfs_number(root, 0, PCI_DEVICES "/%s/class", *address);
		uint64_t vendor = sysfs_number(root, 0, PCI_DEVICES "/%s/vendor", *address);

		if (class >> 16 == PCI_CLASS_NETWORK && vendor != PCI_VENDOR_VIRTIO)
			g_ptr_array_add(functions, function_read(root, *address));
	}
	return functions;
}

char *function_describe(const struct function *function)
{
	static const char *const unknown[] = {
		[FUNCTION_VF] = "virtual function",
		[FUNCTION_EMULATED] = "emulated device",
		[FUNCTION_OTHER] = "network device",
	};

	return g_strdup_printf("%s %s [%04x:%04x]", function->address,
		function->model ? function->model : unknown[function->kind], function->vendor,
		function->device);
}
