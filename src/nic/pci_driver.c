/* Drivers of PCI functions, by sysfs. */
#include "nic/pci_driver.h"

#include "base/fault.h"
#include "base/sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define DEVICES "/sys/bus/pci/devices"

/* 0 or -errno. */
static int write_text(const char *root, const char *text, const char *file)
{
	g_autofree char *path = g_strconcat(root, file, NULL);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ssize_t n = write(fd, text, strlen(text));
	int rc = n < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static int write_device(const char *root, const char *address, const char *file, const char *text)
{
	g_autofree char *path = g_strdup_printf(DEVICES "/%s/%s", address, file);

	return write_text(root, text, path);
}

char *pci_driver_get(const char *root, const char *address)
{
	return sysfs_link_name(root, DEVICES "/%s/driver", address);
}

char *pci_driver_get_override(const char *root, const char *address)
{
	g_autofree char *text = sysfs_text(root, DEVICES "/%s/driver_override", address);

	return text && *text && !g_str_equal(text, "(null)") ? g_steal_pointer(&text) : NULL;
}

bool pci_driver_set_override(const char *root, const char *address, const char *driver, GError **error)
{
	/* An empty line is none. */
	int rc = write_device(root, address, "driver_override", driver ? driver : "\n");

	return rc == 0 || fault_set(error, FAULT_INTERNAL, "cannot choose the driver of %s: %s", address,
				  g_strerror(-rc));
}

bool pci_driver_unbind(const char *root, const char *address, GError **error)
{
	g_autofree char *driver = pci_driver_get(root, address);

	if (!driver)
		return true;
	int rc = write_device(root, address, "driver/unbind", address);
	return rc == 0 || rc == -ENODEV || rc == -ENOENT ||
	       fault_set(error, FAULT_INTERNAL, "cannot unbind %s from %s: %s", address, driver,
		       g_strerror(-rc));
}

bool pci_driver_bind(const char *root, const char *address, const char *driver, GError **error)
{
	g_autofree char *old = pci_driver_get(root, address);

	if (g_strcmp0(old, driver) == 0)
		return true;
	if (!pci_driver_unbind(root, address, error))
		return false;
	if (!driver)
		return true;
	if (!pci_driver_set_override(root, address, driver, error))
		return false;
	int rc = write_text(root, address, "/sys/bus/pci/drivers_probe");
	g_autofree char *now = pci_driver_get(root, address);
	return g_strcmp0(now, driver) == 0 ||
	       fault_set(error, FAULT_INTERNAL, "%s does not take %s: %s; see that its module is loaded",
		       driver, address, rc < 0 ? g_strerror(-rc) : "the kernel does not say why");
}

bool pci_driver_reset(const char *root, const char *address, GError **error)
{
	g_autofree char *device = g_strdup_printf("%s/sys/bus/pci/devices/%s", root, address);
	int rc = write_device(root, address, "reset", "1");

	if (rc == -ENOENT && g_file_test(device, G_FILE_TEST_EXISTS))
		return fault_set(error, FAULT_UNSUPPORTED, "the kernel knows no way to reset %s", address);
	return rc == 0 || rc == -ENOENT ||
	       fault_set(error, FAULT_INTERNAL, "cannot reset %s: %s", address, g_strerror(-rc));
}

bool pci_driver_is_vfio(const char *driver)
{
	return driver && strstr(driver, "vfio");
}
