/* The host's physical networks, from a host file and a made-up sysfs. */
#include "agent/physicals.h"

#include "base/capacity.h"
#include "base/fault.h"
#include "base/test_tree.h"
#include "nic/host_file.h"

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

static struct host_file *read_text(const struct tree *tree, const char *text, GError **error)
{
	g_autofree char *path = g_build_filename(tree->root, "host.conf", NULL);

	if (text)
		tree_write(tree, text, "host.conf");
	return physicals_open(path, error);
}

/* What is found by a host file: takes its place in the tree. */
struct found {
	struct host_file *file;
	GPtrArray *physicals;
};

static struct found find(const struct tree *tree, const char *text)
{
	g_autoptr(GError) error = NULL;
	struct found found = {.file = read_text(tree, text, &error)};

	g_assert_no_error(error);
	found.physicals = physicals_find(&(struct physicals_source){tree->root, found.file}, NULL);
	return found;
}

static void look_again(struct found *found, const struct tree *tree)
{
	GPtrArray *before = found->physicals;

	found->physicals = physicals_find(&(struct physicals_source){tree->root, found->file}, before);
	g_ptr_array_unref(before);
}

static void found_done(struct found *found)
{
	g_ptr_array_unref(found->physicals);
	host_file_free(found->file);
}
CLEANUP_CLEAR_FUNC(struct found, found_done)

static void expect_condition(const struct found *found, guint index, const char *part)
{
	const struct physical_port *physical = found->physicals->pdata[index];

	g_assert_cmpuint(physical->conditions->len, ==, 1);
	g_test_message("%s", (char *)physical->conditions->pdata[0]);
	g_assert_nonnull(strstr(physical->conditions->pdata[0], part));
}

static void expect_port(const struct found *found, guint index, const char *interface, bool absent)
{
	g_autofree struct switch_physical *ports = physicals_for_switch(found->physicals);

	g_assert_cmpstr(ports[index].interface, ==, interface);
	g_assert_cmpint(ports[index].absent, ==, absent);
}

static void test_found(void)
{
	_cleanup_(tree_free) struct tree *tree = host_of_two();

	tree_write(tree, "3", BUS "0000:03:00.0/net/ens3/ifindex");
	_cleanup_(found_done) struct found found =
		find(tree, "[physical physnet1]\ndevices=ens2;0000:01:00.0\nmode=switchdev\n[physical "
			   "lab]\ndevices=0000:03:00.0\nmode=switchdev\n"
			   "[memory]\nhugepages=0\n");
	GPtrArray *physicals = found.physicals;
	g_assert_cmpuint(physicals->len, ==, 2);
	g_autofree struct switch_physical *ports = physicals_for_switch(physicals);
	g_assert_cmpstr(ports[0].name, ==, "physnet1");
	g_assert_cmpstr(ports[0].interface, ==, "ens2");
	g_assert_cmpuint(ports[0].mtu, ==, 9000);
	g_assert_cmpstr(ports[1].interface, ==, "ens3");
	g_assert_cmpuint(ports[1].mtu, ==, 1500);
	g_assert_true(ports[0].switchdev && ports[1].switchdev);
	_cleanup_(found_done) struct found plain = find(tree, "[physical physnet1]\ndevices=ens2\n");
	g_autofree struct switch_physical *legacy = physicals_for_switch(plain.physicals);
	g_assert_false(legacy[0].switchdev);
	const struct physical_port *first = physicals->pdata[0];
	g_assert_cmpuint(first->pfs->len, ==, 2);
	g_assert_cmpstr(first->pfs->pdata[1], ==, "0000:01:00.0");
	g_assert_cmpuint(first->conditions->len, ==, 0);
	g_autofree struct sriov_physical *given = physicals_for_provider(physicals);
	g_assert_cmpstr(given[1].name, ==, "lab");
	g_assert_cmpstr(given[1].pfs->pdata[0], ==, "0000:03:00.0");
}

/* NICs that the underlay leaves by: it is a NIC's interface, a VLAN of one, or a VLAN of a bond of both. */
static void test_tunnels(void)
{
	static const struct {
		const char *underlay;
		guint n;
	} rows[] = {{"ens2", 1}, {"ens1.7", 1}, {"bond0.7", 2}, {"eth0", 0}, {NULL, 0}};
	_cleanup_(tree_free) struct tree *tree = host_of_two();
	g_autoptr(GError) error = NULL;

	tree_link(tree, "../../ens1", "sys/class/net/ens1.7/lower_ens1");
	tree_link(tree, "../../bond0", "sys/class/net/bond0.7/lower_bond0");
	tree_link(tree, "../../ens1", "sys/class/net/bond0/lower_ens1");
	tree_link(tree, "../../ens2", "sys/class/net/bond0/lower_ens2");
	tree_write(tree, "1", "sys/class/net/eth0/ifindex");
	_cleanup_(host_file_free) struct host_file *file =
		read_text(tree, "[physical p]\ndevices=ens1;ens2\nmode=switchdev\n", &error);
	g_assert_no_error(error);
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		const struct physicals_source source = {tree->root, file, rows[i].underlay};
		g_autoptr(GPtrArray) physicals = physicals_find(&source, NULL);
		const struct physical_port *port = physicals->pdata[0];
		g_autofree struct switch_physical *ports = physicals_for_switch(physicals);
		g_autofree struct sriov_physical *given = physicals_for_provider(physicals);
		g_assert_cmpuint(port->tunnel_pfs->len, ==, rows[i].n);
		g_assert_cmpint(ports[0].vxlans, ==, rows[i].n != 0);
		g_assert_true(given[0].tunnel_pfs == port->tunnel_pfs);
		if (rows[i].n == 1)
			g_assert_cmpstr(port->tunnel_pfs->pdata[0], ==,
				g_str_equal(rows[i].underlay, "ens2") ? "0000:02:00.0" : "0000:01:00.0");
	}
}

/* A NIC whose driver or name changes is away for a moment; what its VFs are for stays so. */
static void test_tunnels_away(void)
{
	_cleanup_(tree_free) struct tree *tree = host_of_two();
	g_autoptr(GError) error = NULL;
	_cleanup_(host_file_free) struct host_file *file =
		read_text(tree, "[physical p]\ndevices=0000:01:00.0;0000:02:00.0\nmode=switchdev\n", &error);
	const struct physicals_source source = {tree->root, file, "ens2"};
	g_autoptr(GPtrArray) before = physicals_find(&source, NULL);

	g_assert_no_error(error);
	tree_remove(tree, BUS "0000:02:00.0/net/ens2");
	g_autoptr(GPtrArray) away = physicals_find(&source, before), longer = physicals_find(&source, away);
	const struct physical_port *port = longer->pdata[0];
	g_autofree struct switch_physical *ports = physicals_for_switch(longer);
	g_assert_true(ports[0].vxlans);
	g_assert_cmpuint(port->tunnel_pfs->len, ==, 1);
	g_assert_cmpstr(port->tunnel_pfs->pdata[0], ==, "0000:02:00.0");
	/* It is back, and the underlay is not on it any more. */
	tree_write(tree, "9", BUS "0000:02:00.0/net/eth7/ifindex");
	g_autoptr(GPtrArray) back = physicals_find(&source, longer);
	g_assert_cmpuint(((struct physical_port *)back->pdata[0])->tunnel_pfs->len, ==, 0);
}

static void test_none(void)
{
	_cleanup_(tree_free) struct tree *tree = host_of_two();
	_cleanup_(found_done) struct found found = find(tree, NULL);

	g_assert_cmpuint(found.physicals->len, ==, 0);
}

/* A NIC that is not there, one without a driver, one with too few VFs: the rest is as it would be without them. */
static void test_absent(void)
{
	_cleanup_(tree_free) struct tree *tree = host_of_two();
	_cleanup_(found_done) struct found found =
		find(tree, "[physical gone]\ndevices=ens9\n[physical bare]\ndevices=0000:03:00.0\n"
			   "[physical few]\ndevices=ens1\nvfs=2\n[physical well]\ndevices=ens2\n");

	expect_condition(&found, 0, "physical network gone: its device ens9 is not there");
	expect_port(&found, 0, "sl-none0", true);
	expect_condition(&found, 1, "physical network bare: 0000:03:00.0 has no interface");
	expect_port(&found, 1, "sl-none1", true);
	expect_condition(&found, 2, "physical network few: ens1 has 0 of the 2 VFs");
	expect_port(&found, 2, "ens1", false);
	g_assert_cmpuint(((struct physical_port *)found.physicals->pdata[3])->conditions->len, ==, 0);
	expect_port(&found, 3, "ens2", false);
	tree_write(tree, "3", BUS "0000:03:00.0/net/ens3/ifindex");
	look_again(&found, tree);
	expect_port(&found, 1, "ens3", false);
	g_assert_cmpuint(((struct physical_port *)found.physicals->pdata[1])->conditions->len, ==, 0);
}

/* By the address it stays the same NIC, whatever it is called; while it is away its name is kept for it. */
static void test_renamed(void)
{
	_cleanup_(tree_free) struct tree *tree = host_of_two();
	_cleanup_(found_done) struct found found = find(tree, "[physical p]\ndevices=0000:02:00.0\n");

	expect_port(&found, 0, "ens2", false);
	tree_remove(tree, BUS "0000:02:00.0/net/ens2");
	look_again(&found, tree);
	expect_port(&found, 0, "ens2", true);
	g_assert_cmpuint(((struct physical_port *)found.physicals->pdata[0])->mtu, ==, 9000);
	tree_write(tree, "7", "sys/class/net/ens2/ifindex");
	look_again(&found, tree);
	expect_port(&found, 0, "sl-none0", true);
	tree_write(tree, "8", BUS "0000:02:00.0/net/eth7/ifindex");
	tree_write(tree, "1400\n", "sys/class/net/eth7/mtu");
	look_again(&found, tree);
	expect_port(&found, 0, "eth7", false);
	g_assert_cmpuint(((struct physical_port *)found.physicals->pdata[0])->mtu, ==, 1400);
}

/* The second one goes on where the first is away. */
static void test_second(void)
{
	_cleanup_(tree_free) struct tree *tree = host_of_two();
	_cleanup_(found_done) struct found found = find(tree, "[physical p]\ndevices=0000:01:00.0;ens2\n");

	expect_port(&found, 0, "ens1", false);
	tree_remove(tree, BUS "0000:01:00.0/net/ens1");
	look_again(&found, tree);
	expect_port(&found, 0, "ens2", false);
	expect_condition(&found, 0, "0000:01:00.0 has no interface");
}

static void test_shared(void)
{
	_cleanup_(tree_free) struct tree *tree = host_of_two();
	_cleanup_(found_done) struct found found =
		find(tree, "[physical p]\ndevices=ens1\n[physical q]\ndevices=0000:01:00.0\n");

	expect_port(&found, 0, "ens1", false);
	expect_port(&found, 1, "sl-none1", true);
	expect_condition(&found, 1, "0000:01:00.0 is a device of p, too");
}

static void test_too_many(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GError) error = NULL;

	for (unsigned i = 0; i <= PHYSICALS_MAX; i++)
		g_string_append_printf(text, "[physical p%u]\ndevices=0000:01:%02x.0\n", i, i);
	g_assert_null(read_text(tree, text->str, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_assert_nonnull(strstr(error->message, "9 physical networks"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/physicals/the first NIC's interface is the switch's port, with its MTU", test_found);
	g_test_add_func("/physicals/what is not there is a condition, and the rest goes on", test_absent);
	g_test_add_func("/physicals/a NIC with another name is followed by its address", test_renamed);
	g_test_add_func("/physicals/another NIC of the network stands in for one that is away", test_second);
	g_test_add_func("/physicals/a NIC of two physical networks is the first one's", test_shared);
	g_test_add_func("/physicals/NICs that the underlay leaves by are known", test_tunnels);
	g_test_add_func("/physicals/one of them that is away is known still", test_tunnels_away);
	g_test_add_func("/physicals/a host without a host file is on none", test_none);
	g_test_add_func("/physicals/more than a switch takes are refused", test_too_many);
	return g_test_run();
}
