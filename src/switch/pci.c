/* Physical devices, looked up in sysfs before DPDK is started: what it says itself of a device that it cannot have is
 * that there is none. */
#include "switch/pci.h"

#include "base/fault.h"
#include "base/sysfs.h"

#include <string.h>

#define DEVICES "/sys/bus/pci/devices"

/* To which a device is bound when DPDK may drive it; of the last three, the kernel's driver stays in charge and
 * DPDK works beside it, by verbs or rings of its own. */
static const char *const drivers[] = {
	"vfio-pci", "uio_pci_generic", "igb_uio", "mlx5_core", "mlx4_core", "mana", NULL};

/* "0000:3b:00.0" */
static bool is_address(const char *text)
{
	static const char shape[] = "xxxx:xx:xx.o";

	if (strlen(text) != sizeof shape - 1)
		return false;
	for (size_t i = 0; i < sizeof shape - 1; i++) {
		bool fits = shape[i] == 'x'   ? g_ascii_isxdigit(text[i])
			    : shape[i] == 'o' ? text[i] >= '0' && text[i] <= '7'
					      : text[i] == shape[i];
		if (!fits)
			return false;
	}
	return true;
}

bool pci_check(const char *root, const char *address, GError **error)
{
	if (!is_address(address))
		return fault_set(error, FAULT_INVALID,
			"'%s' is no PCI address; one looks like 0000:3b:00.0 (lspci -D lists them)", address);
	g_autofree char *class = sysfs_text(root, DEVICES "/%s/class", address);
	if (!class)
		return fault_set(error, FAULT_NOT_FOUND,
			"there is no PCI device %s on this machine; lspci -D lists those there are", address);
	g_autofree char *driver = sysfs_link_name(root, DEVICES "/%s/driver", address);
	if (driver && g_strv_contains(drivers, driver))
		return true;
	return fault_set(error, FAULT_CONFLICT,
		"PCI device %s is %s%s, so DPDK cannot drive it; bind it to vfio-pci first: "
		"driverctl set-override %s vfio-pci",
		address, driver ? "bound to " : "bound to no driver", driver ? driver : "", address);
}
