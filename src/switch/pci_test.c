/* Tests of the check of physical devices, on a sysfs of our own. */
#include "switch/pci.h"

#include "base/fault.h"

#include <glib/gstdio.h>
#include <unistd.h>

#define DEVICE "0000:3b:00.0"

struct sysfs {
	char *root;
};

static void set_up(struct sysfs *s, gconstpointer driver)
{
	s->root = g_dir_make_tmp("pci-XXXXXX", NULL);
	g_autofree char *folder = g_build_filename(s->root, "bus/pci/devices", DEVICE, NULL);
	g_autofree char *link = g_build_filename(folder, "driver", NULL);
	g_autofree char *target = g_strdup_printf("../../../bus/pci/drivers/%s", (const char *)driver);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	if (driver)
		g_assert_cmpint(symlink(target, link), ==, 0);
}

static void tear_down(struct sysfs *s, gconstpointer driver)
{
	static const char *const parts[] = {"bus/pci/devices/" DEVICE "/driver", "bus/pci/devices/" DEVICE,
		"bus/pci/devices", "bus/pci", "bus", ""};

	for (size_t i = driver ? 0 : 1; i < G_N_ELEMENTS(parts); i++) {
		g_autofree char *path = g_build_filename(s->root, parts[i], NULL);
		g_assert_cmpint(g_remove(path), ==, 0);
	}
	g_free(s->root);
}

static void expect_fault(const struct sysfs *s, const char *address, int code, const char *says)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(pci_check(s->root, address, &error));
	g_assert_error(error, FAULT, code);
	g_assert_nonnull(strstr(error->message, says));
}

static void test_left(struct sysfs *s, gconstpointer driver)
{
	g_autoptr(GError) error = NULL;

	(void)driver;
	g_assert_true(pci_check(s->root, DEVICE, &error));
	g_assert_no_error(error);
}

static void test_held(struct sysfs *s, gconstpointer driver)
{
	(void)driver;
	expect_fault(s, DEVICE, FAULT_CONFLICT, "is bound to ixgbe");
	expect_fault(s, DEVICE, FAULT_CONFLICT, "driverctl set-override " DEVICE " vfio-pci");
}

static void test_unbound(struct sysfs *s, gconstpointer driver)
{
	(void)driver;
	expect_fault(s, DEVICE, FAULT_CONFLICT, "bound to no driver");
}

static void test_absent(struct sysfs *s, gconstpointer driver)
{
	(void)driver;
	expect_fault(s, "0000:3b:00.1", FAULT_NOT_FOUND, "no PCI device 0000:3b:00.1");
}

static void test_words(struct sysfs *s, gconstpointer driver)
{
	static const char *const bad[] = {
		"", "eth0", "3b:00.0", "0000:3b:00.8", "0000:3b:00.0 ", "0000:3b:00.0,x=1", "../../../../x"};

	(void)driver;
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		expect_fault(s, bad[i], FAULT_INVALID, "is no PCI address");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, driver, function)                                                                         \
	g_test_add("/pci/" name, struct sysfs, driver, set_up, function, tear_down)
	TEST("a device that is bound to vfio-pci is left to DPDK", "vfio-pci", test_left);
	TEST("a device whose kernel driver DPDK works beside is, too", "mlx5_core", test_left);
	TEST("a device that a kernel driver holds is refused by its name, with the remedy", "ixgbe",
		test_held);
	TEST("a device that is bound to nothing is refused", NULL, test_unbound);
	TEST("an address that no device has is refused", "vfio-pci", test_absent);
	TEST("what is no PCI address is refused", "vfio-pci", test_words);
	return g_test_run();
}
