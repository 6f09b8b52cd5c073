/* Tests of the host file. */
#include "base/fault.h"
#include "base/test_tree.h"
#include "nic/host_file.h"
#include "nic/inventory.h"

#include <string.h>

#define BUS "sys/bus/pci/devices/"

static struct host_file *read_text(const char *text, GError **error)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	g_autofree char *path = g_build_filename(tree->root, "host.conf", NULL);

	if (text)
		tree_write(tree, text, "host.conf");
	return host_file_read(path, error);
}

static struct host_file *read_well(const char *text)
{
	g_autoptr(GError) error = NULL;
	struct host_file *file = read_text(text, &error);

	g_assert_no_error(error);
	return file;
}

static void expect_fault(const GError *error, enum fault code, const char *says)
{
	g_assert_error(error, FAULT, (int)code);
	g_test_message("%s", error->message);
	g_assert_nonnull(strstr(error->message, says));
}

/* ---- the file ---- */

static void test_whole(void)
{
	_cleanup_(host_file_free) struct host_file *file = read_well(
		"# of this host\n[physical physnet1]   # to the fabric\ndevices = ens1f0; 0000:3B:00.1;  # "
		"both\n"
		"vfs=8\t# on each\nmode = switchdev \n\n"
		"[physical Storage.2]\ndevices=8086:10C9\nmode=switchdev\n[memory]\nhugepages = 512\n");
	const struct host_physical *first = file->physicals->pdata[0], *second = file->physicals->pdata[1];

	g_assert_cmpuint(file->physicals->len, ==, 2);
	g_assert_cmpuint(file->hugepages, ==, 512);
	g_assert_cmpstr(first->name, ==, "physnet1");
	g_assert_cmpuint(first->devices->len, ==, 2);
	g_assert_cmpstr(first->devices->pdata[0], ==, "ens1f0");
	g_assert_cmpstr(first->devices->pdata[1], ==, "0000:3b:00.1");
	g_assert_cmpuint(first->vfs, ==, 8);
	g_assert_true(first->switchdev);
	g_assert_cmpstr(second->name, ==, "storage.2");
	g_assert_cmpstr(second->devices->pdata[0], ==, "8086:10c9");
	g_assert_cmpuint(second->vfs, ==, 0);
	g_assert_true(second->switchdev);
}

static void test_mode(void)
{
	_cleanup_(host_file_free) struct host_file *file =
		read_well("[physical p]\ndevices=a\n[physical q]\ndevices=b\nmode=legacy\n");

	for (guint i = 0; i < file->physicals->len; i++)
		g_assert_false(((const struct host_physical *)file->physicals->pdata[i])->switchdev);
}

static void test_missing(void)
{
	_cleanup_(host_file_free) struct host_file *missing = read_well(NULL);
	_cleanup_(host_file_free) struct host_file *empty = read_well("");

	g_assert_cmpuint(missing->physicals->len, ==, 0);
	g_assert_cmpuint(empty->physicals->len, ==, 0);
}

static void test_refused(void)
{
	static const struct {
		const char *text, *says;
	} wrong[] = {
		{"[physical p]\ndevices=a\nvf=8\n",
			"host.conf: [physical p]: there is no key 'vf'; it may have devices"},
		{"[fysical p]\ndevices=a\n", "host.conf: there is no group [fysical p]"},
		{"[physical p]\nvfs=8\n", "[physical p]: devices: name the NICs"},
		{"[physical p]\ndevices=\n", "[physical p]: devices: name the NICs"},
		{"[physical p]\ndevices=a;a\n", "[physical p]: devices: a is named twice"},
		{"[physical p]\ndevices=a\n[physical q]\ndevices=b;a\n",
			"[physical q]: devices: a is named twice"},
		{"[physical p]\ndevices=0000:3B:00.0;0000:3b:00.0\n", "0000:3b:00.0 is named twice"},
		{"[physical p]\ndevices=3b:00.0\n", "'3b:00.0' is no interface's name"},
		{"[physical p]\ndevices=0000:3b:00.9\n", "'0000:3b:00.9' is no interface's name"},
		{"[physical p]\ndevices=a/b\n", "'a/b' is no interface's name"},
		{"[physical p]\ndevices=interface-of-16\n[physical p2]\ndevices=interface-of-016\n",
			"'interface-of-016' is no"},
		{"[physical p]\ndevices=a\nvfs=-1\n", "[physical p]: vfs: '-1' is no number from 0 to 65535"},
		{"[physical p]\ndevices=a\nvfs=65536\n", "vfs: '65536' is no number"},
		{"[physical p]\ndevices=a\nvfs=many\n", "vfs: 'many' is no number"},
		{"[physical p]\ndevices=a\nmode=fast\n", "mode: 'fast' is neither legacy nor switchdev"},
		{"[physical p]\ndevices=a;b\nmode=switchdev\n[physical q]\ndevices=c\n",
			"host.conf: [physical p] has a in switchdev mode, [physical q] has c in legacy mode; "
			"all NICs of a host have one mode: write the same 'mode' in every [physical], or "
			"leave one of the two out"},
		{"[physical p]\ndevices=a\nmode=legacy\n[physical q]\ndevices=b\n[physical "
		 "r]\ndevices=c\nvfs=2\nmode=switchdev\n",
			"[physical p] has a in legacy mode, [physical r] has c in switchdev mode"},
		{"[physical ]\ndevices=a\n", "'' is no name of a physical network"},
		{"[physical a b]\ndevices=a\n", "'a b' is no name of a physical network"},
		{"[memory]\nhugepages=1g\n", "[memory]: hugepages: '1g' is no number"},
		{"[memory]\nsize=1\n", "[memory]: there is no key 'size'; it may have hugepages"},
		{"[physical p]\ndevices=a\n[physical p]\ndevices=b\n", "[physical p] is there twice"},
		{"[physical p]\ndevices=a\n[physical P]\ndevices=b\n", "[physical P] is there twice"},
		{"[physical p]\ndevices=a\ndevices = b\n", "[physical p]: devices is there twice"},
		{"devices=a\n", "host.conf: "},
		{"[physical p]\nwords\n", "host.conf: "},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(read_text(wrong[i].text, &error));
		expect_fault(error, FAULT_INVALID, wrong[i].says);
	}
}

static void test_unreadable(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	g_autoptr(GError) error = NULL;

	g_assert_null(host_file_read(tree->root, &error)); /* a folder */
	expect_fault(error, FAULT_INTERNAL, tree->root);
}

/* ---- its devices ---- */

static void add_nic(const struct tree *tree, const char *address, const char *device, const char *netdev)
{
	tree_write(tree, "0x020000", BUS "%s/class", address);
	tree_write(tree, "0x8086", BUS "%s/vendor", address);
	tree_write(tree, device, BUS "%s/device", address);
	if (netdev)
		tree_write(tree, "1", BUS "%s/net/%s/ifindex", address, netdev);
}

/* Two of one model, as eth0 and eth1, and one of another that has no driver. */
static GPtrArray *inventory_of_three(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();

	add_nic(tree, "0000:01:00.0", "0x10c9", "eth0");
	add_nic(tree, "0000:02:00.0", "0x10c9", "eth1");
	add_nic(tree, "0000:03:00.0", "0x10fb", NULL);
	return inventory_read(tree->root);
}

/* Addresses of the first physical network's PFs, with ' ' between them. */
static char *pfs_of(const char *text, GError **error)
{
	_cleanup_(host_file_free) struct host_file *file = read_well(text);
	g_autoptr(GPtrArray) inventory = inventory_of_three();
	g_autoptr(GPtrArray) pfs = host_file_pfs(file->physicals->pdata[0], inventory, error);

	if (!pfs)
		return NULL;
	g_ptr_array_add(pfs, NULL);
	return g_strjoinv(" ", (char **)pfs->pdata);
}

static void test_found(void)
{
	static const struct {
		const char *text, *pfs;
	} table[] = {
		{"[physical p]\ndevices=eth1;eth0\n", "0000:02:00.0 0000:01:00.0"},
		{"[physical p]\ndevices=0000:03:00.0\n", "0000:03:00.0"},
		{"[physical p]\ndevices=8086:10c9\n", "0000:01:00.0 0000:02:00.0"},
		{"[physical p]\ndevices=eth0;8086:10fb\n", "0000:01:00.0 0000:03:00.0"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autofree char *pfs = pfs_of(table[i].text, NULL);
		g_assert_cmpstr(pfs, ==, table[i].pfs);
	}
}

static void test_not_found(void)
{
	g_autoptr(GError) error = NULL, same = NULL;

	g_assert_null(pfs_of("[physical p]\ndevices=eth0;ens9\n", &error));
	expect_fault(error, FAULT_NOT_FOUND,
		"physical network p: its device ens9 is not there; this host has eth0 (0000:01:00.0, "
		"8086:10c9), eth1");
	g_assert_null(pfs_of("[physical p]\ndevices=eth0;0000:01:00.0\n", &same));
	expect_fault(same, FAULT_INVALID, "its device 0000:01:00.0 is 0000:01:00.0, which it has already");
}

static void test_lacks(void)
{
	_cleanup_(host_file_free) struct host_file *file =
		read_well("[physical p]\ndevices=ens9;eth1;0000:02:00.0;8086:10fb\n");
	g_autoptr(GPtrArray) inventory = inventory_of_three(), lacks = g_ptr_array_new_with_free_func(g_free),
			     pfs = host_file_find_pfs(file->physicals->pdata[0], inventory, lacks);

	g_assert_cmpuint(pfs->len, ==, 2);
	g_assert_cmpstr(pfs->pdata[0], ==, "0000:02:00.0");
	g_assert_cmpstr(pfs->pdata[1], ==, "0000:03:00.0");
	g_assert_cmpuint(lacks->len, ==, 2);
	g_assert_nonnull(strstr(lacks->pdata[0], "physical network p: its device ens9 is not there"));
	g_assert_nonnull(strstr(lacks->pdata[1], "which it has already by another name"));
}

static void test_two_networks(void)
{
	g_autoptr(GPtrArray) inventory = inventory_of_three();
	_cleanup_(host_file_free) struct host_file *well =
		read_well("[physical p]\ndevices=eth0\n[physical q]\ndevices=eth1\n");
	_cleanup_(host_file_free) struct host_file *wrong =
		read_well("[physical p]\ndevices=eth1\n[physical q]\ndevices=8086:10c9\n");
	g_autoptr(GError) error = NULL;

	g_assert_true(host_file_check(well, inventory, NULL));
	g_assert_false(host_file_check(wrong, inventory, &error));
	expect_fault(error, FAULT_INVALID, "0000:02:00.0 is a device of two physical networks, p and q");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add_func("/host file/" name, function)
	TEST("every group and key is read", test_whole);
	TEST("a NIC without a mode is in legacy mode", test_mode);
	TEST("a missing file and an empty one name nothing", test_missing);
	TEST("what is unknown, repeated or malformed is refused by file, group and key", test_refused);
	TEST("a file that cannot be read is told, not taken for an empty one", test_unreadable);
	TEST("devices are found by interface, PCI address and model", test_found);
	TEST("a device that is not there, or is there by another name, is told", test_not_found);
	TEST("devices that are there are found beside those that are not", test_lacks);
	TEST("a device of two physical networks is refused, by whatever names", test_two_networks);
	return g_test_run();
}
