/* The host's physical networks, from a host file and a made-up sysfs. */
#include "agent/physicals.h"

#include "base/capacity.h"
#include "base/fault.h"
#include "base/test_tree.h"

#include <string.h>

#define BUS "sys/bus/pci/devices/"

static struct tree *host_of_two(void)
{
	static const char *const addresses[] = {"0000:01:00.0", "0000:02:00.0", "0000:03:00.0"};
	struct tree *tree = tree_new();

	for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++) {
		tree_write(tree, "0x020000", BUS "%s/class", addresses[i]);
		tree_write(tree, "0x8086", BUS "%s/vendor", addresses[i]);
		tree_write(tree, "0x10c9", BUS "%s/device", addresses[i]);
	}
	tree_write(tree, "1", BUS "0000:01:00.0/net/ens1/ifindex");
	tree_write(tree, "2", BUS "0000:02:00.0/net/ens2/ifindex");
	tree_write(tree, "9000\n", "sys/class/net/ens2/mtu");
	return tree;
}

static GPtrArray *read_text(const struct tree *tree, const char *text, GError **error)
{
	g_autofree char *path = g_build_filename(tree->root, "host.conf", NULL);

	if (text)
		tree_write(tree, text, "host.conf");
	return physicals_read(tree->root, path, error);
}

static void test_found(void)
{
	_cleanup_(tree_free) struct tree *tree = host_of_two();
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) physicals = read_text(tree,
		"[physical physnet1]\ndevices=ens2;0000:01:00.0\nvfs=2\nmode=switchdev\n[physical "
		"lab]\ndevices=0000:03:00.0\n"
		"[memory]\nhugepages=0\n",
		&error);

	g_assert_null(physicals);
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
	g_assert_nonnull(strstr(
		error->message, "0000:03:00.0, which leads to physical network lab, has no interface"));
	tree_write(tree, "3", BUS "0000:03:00.0/net/ens3/ifindex");
	physicals = read_text(tree, NULL, NULL);
	g_assert_cmpuint(physicals->len, ==, 2);
	g_autofree struct switch_physical *ports = physicals_for_switch(physicals);
	g_assert_cmpstr(ports[0].name, ==, "physnet1");
	g_assert_cmpstr(ports[0].interface, ==, "ens2");
	g_assert_cmpuint(ports[0].mtu, ==, 9000);
	g_assert_cmpstr(ports[1].interface, ==, "ens3");
	g_assert_cmpuint(ports[1].mtu, ==, 1500);
	g_assert_true(ports[0].switchdev && !ports[1].switchdev);
	const struct physical_port *first = physicals->pdata[0];
	g_assert_cmpuint(first->pfs->len, ==, 2);
	g_assert_cmpstr(first->pfs->pdata[1], ==, "0000:01:00.0");
}

static void test_none(void)
{
	_cleanup_(tree_free) struct tree *tree = host_of_two();
	g_autoptr(GPtrArray) physicals = read_text(tree, NULL, NULL);

	g_assert_cmpuint(physicals->len, ==, 0);
}

static void test_too_many(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GError) error = NULL;

	for (unsigned i = 0; i <= PHYSICALS_MAX; i++) {
		g_string_append_printf(text, "[physical p%u]\ndevices=0000:01:%02x.0\n", i, i);
		tree_write(tree, "0x020000", BUS "0000:01:%02x.0/class", i);
		tree_write(tree, "1", BUS "0000:01:%02x.0/net/ens%u/ifindex", i, i);
	}
	g_assert_null(read_text(tree, text->str, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_assert_nonnull(strstr(error->message, "9 physical networks"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/physicals/the first NIC's interface is the switch's port, with its MTU", test_found);
	g_test_add_func("/physicals/a host without a host file is on none", test_none);
	g_test_add_func("/physicals/more than a switch takes are refused", test_too_many);
	return g_test_run();
}
