/* Tests of the check of physical devices. */
#include "switch/pci.h"

#include "base/fault.h"
#include "base/test_tree.h"

#include <string.h>

#define DEVICE "0000:3b:00.0"

static void set_up(struct tree **tree, gconstpointer driver)
{
	*tree = tree_new();
	tree_write(*tree, "0x020000", "sys/bus/pci/devices/" DEVICE "/class");
	if (driver)
		tree_link(*tree, driver, "sys/bus/pci/devices/" DEVICE "/driver");
}

static void tear_down(struct tree **tree, gconstpointer driver)
{
	(void)driver;
	tree_free(*tree);
}

static void expect_fault(struct tree *const *tree, const char *address, int code, const char *says)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(pci_check((*tree)->root, address, &error));
	g_assert_error(error, FAULT, code);
	g_assert_nonnull(strstr(error->message, says));
}

static void test_left(struct tree **tree, gconstpointer driver)
{
	g_autoptr(GError) error = NULL;

	(void)driver;
	g_assert_true(pci_check((*tree)->root, DEVICE, &error));
	g_assert_no_error(error);
}

static void test_held(struct tree **tree, gconstpointer driver)
{
	(void)driver;
	expect_fault(tree, DEVICE, FAULT_CONFLICT, "is bound to ixgbe");
	expect_fault(tree, DEVICE, FAULT_CONFLICT, "driverctl set-override " DEVICE " vfio-pci");
}

static void test_unbound(struct tree **tree, gconstpointer driver)
{
	(void)driver;
	expect_fault(tree, DEVICE, FAULT_CONFLICT, "bound to no driver");
}

static void test_absent(struct tree **tree, gconstpointer driver)
{
	(void)driver;
	expect_fault(tree, "0000:3b:00.1", FAULT_NOT_FOUND, "no PCI device 0000:3b:00.1");
}

static void test_words(struct tree **tree, gconstpointer driver)
{
	static const char *const bad[] = {
		"", "eth0", "3b:00.0", "0000:3b:00.8", "0000:3b:00.0 ", "0000:3b:00.0,x=1", "../../../../x"};

	(void)driver;
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		expect_fault(tree, bad[i], FAULT_INVALID, "is no PCI address");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, driver, function)                                                                         \
	g_test_add("/pci/" name, struct tree *, driver, set_up, function, tear_down)
	TEST("a device that is bound to vfio-pci is left to DPDK", "vfio-pci", test_left);
	TEST("a device whose kernel driver DPDK works beside is, too", "mlx5_core", test_left);
	TEST("a device that a kernel driver holds is refused by its name, with the remedy", "ixgbe",
		test_held);
	TEST("a device that is bound to nothing is refused", NULL, test_unbound);
	TEST("an address that no device has is refused", "vfio-pci", test_absent);
	TEST("what is no PCI address is refused", "vfio-pci", test_words);
	return g_test_run();
}
