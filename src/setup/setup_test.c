/* Tests of setting a host up, on a made-up one. */
#include "base/failpoint.h"
#include "base/fault.h"
#include "base/sysfs.h"
#include "setup/test_setup.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define USUAL "[physical physnet1]\ndevices = eth0\nvfs = 3\n"
#define GRUB  "/etc/default/grub.d/50-sluice.cfg"

/* ---- doing and undoing ---- */

static void test_plan(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();
	g_autofree char *before = test_setup_snapshot(tree);
	g_autoptr(GPtrArray) steps = test_setup_plan(tree, USUAL, false, NULL);
	g_autofree char *after = test_setup_snapshot(tree), *text = setup_text(steps);

	g_assert_cmpstr(before, ==, after);
	g_assert_cmpuint(test_setup.writes->len + test_setup.runs->len, ==, 0);
	g_assert_cmpuint(test_setup_count(steps, SETUP_TO_DO), ==, steps->len);
	g_assert_nonnull(strstr(text,
		"to do    vfs        0000:01:00.0 (0 -> 3): VFs of eth0, for physical network physnet1\n"));
	g_assert_nonnull(strstr(text,
		"| GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT intel_iommu=on iommu=pt\"\n"));
	g_assert_nonnull(strstr(text, "| ExecStart=/usr/bin/sluice host setup --boot\n"));
}

static void test_apply(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();
	g_autofree char *before = test_setup_snapshot(tree);
	g_autoptr(GPtrArray) first = test_setup_apply(tree, USUAL, false);
	g_autofree char *vfs = test_setup_text(tree, "/" TEST_SETUP_BUS TEST_SETUP_PF "/sriov_numvfs");

	g_assert_cmpuint(test_setup_count(first, SETUP_DONE), ==, first->len);
	g_assert_cmpstr(vfs, ==, "3");
	g_assert_cmpstr(test_setup.writes->str, ==, "sriov_drivers_autoprobe=0 sriov_numvfs=3 ");
	g_assert_cmpstr(
		test_setup.runs->str, ==, "update-grub; modprobe vfio-pci; udevadm control --reload; ");

	g_autoptr(GPtrArray) second = test_setup_apply(tree, USUAL, false);
	g_assert_cmpuint(test_setup_count(second, SETUP_SO), ==, second->len);
	g_assert_cmpstr(test_setup.writes->str, ==, "sriov_drivers_autoprobe=0 sriov_numvfs=3 ");

	g_autoptr(GPtrArray) undone = test_setup_revert(tree);
	g_autofree char *after = test_setup_snapshot(tree);
	g_assert_cmpuint(test_setup_count(undone, SETUP_UNDONE), ==, first->len);
	g_assert_cmpstr(before, ==, after);
	g_assert_true(g_str_has_suffix(test_setup.runs->str, "update-grub; "));
	g_autoptr(GPtrArray) nothing = test_setup_revert(tree);
	g_assert_cmpuint(nothing->len, ==, 0);
}

static void test_number(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();

	tree_write(tree, "2", TEST_SETUP_BUS TEST_SETUP_PF "/sriov_numvfs");
	test_setup_make_vfs(TEST_SETUP_PF, 2);
	g_autoptr(GPtrArray) first = test_setup_apply(tree, USUAL, false);
	g_assert_nonnull(strstr(test_setup.writes->str, "sriov_numvfs=0 sriov_numvfs=3 "));
	g_autoptr(GPtrArray) second =
		test_setup_apply(tree, "[physical p]\ndevices=" TEST_SETUP_PF "\nvfs=7\n", false);
	g_assert_true(setup_is_well(second));
	g_autoptr(GPtrArray) undone = test_setup_revert(tree);
	g_autofree char *vfs = test_setup_text(tree, "/" TEST_SETUP_BUS TEST_SETUP_PF "/sriov_numvfs");
	g_assert_cmpstr(vfs, ==, "2"); /* not 3 */
}

static void test_own_changes(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();

	tree_write(tree, "kvm", "etc/modules-load.d/sluice.conf");
	g_autoptr(GPtrArray) steps = test_setup_apply(tree, USUAL, false);
	tree_write(tree, "mine", "%s", &GRUB[1]);
	g_autoptr(GPtrArray) undone = test_setup_revert(tree);
	g_autofree char *grub = test_setup_text(tree, GRUB),
			*modules = test_setup_text(tree, "/etc/modules-load.d/sluice.conf");
	g_autofree char *text = setup_text(undone);

	g_assert_cmpstr(grub, ==, "mine");
	g_assert_cmpstr(modules, ==, "kvm");
	g_assert_cmpuint(test_setup_count(undone, SETUP_LEFT), ==, 1);
	g_assert_nonnull(strstr(text, "left     file       " GRUB));
}

static void test_crashes(void)
{
	static const enum failpoint points[] = {
		FAILPOINT_SETUP_INTENDED, FAILPOINT_SETUP_WRITTEN, FAILPOINT_SETUP_RESTORED};
	unsigned deaths = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(points); i++) {
		for (unsigned nth = 1, died = true; died; nth++) {
			_cleanup_(tree_free) struct tree *tree = test_setup_new();
			tree_remove(tree, "usr/lib/systemd"); /* which leaves two files */
			g_autofree char *before = test_setup_snapshot(tree);
			g_autofree char *at = g_strdup_printf("%s:%u", failpoint_name(points[i]), nth);
			int status;
			pid_t child = fork();

			if (child == 0) {
				g_setenv("SLUICE_FAILPOINT", at, true);
				g_ptr_array_unref(test_setup_apply(tree, USUAL, false));
				g_ptr_array_unref(test_setup_revert(tree));
				_exit(0);
			}
			g_assert_cmpint(waitpid(child, &status, 0), ==, child);
			died = WIFSIGNALED(status);
			deaths += died;
			g_autoptr(GPtrArray) again = test_setup_apply(tree, USUAL, false);
			g_autofree char *vfs =
				test_setup_text(tree, "/" TEST_SETUP_BUS TEST_SETUP_PF "/sriov_numvfs");
			g_assert_true(setup_is_well(again));
			g_assert_cmpstr(vfs, ==, "3");
			g_autoptr(GPtrArray) undone = test_setup_revert(tree);
			g_autofree char *after = test_setup_snapshot(tree);
			g_assert_cmpstr(before, ==, after);
		}
	}
	g_assert_cmpuint(deaths, ==, 3 * 5); /* each point at each of the steps */
}

static void test_told_again(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();

	test_setup.failing_program = "update-grub";
	g_autoptr(GPtrArray) first = test_setup_apply(tree, USUAL, false);
	g_assert_cmpint(test_setup_find(first, SETUP_FILE)->state, ==, SETUP_FAILED);
	g_assert_cmpuint(test_setup_count(first, SETUP_FAILED), ==, 1); /* the others are done */
	test_setup.failing_program = NULL;
	g_autoptr(GPtrArray) second = test_setup_apply(tree, USUAL, false);
	g_assert_cmpint(test_setup_find(second, SETUP_FILE)->state, ==, SETUP_DONE);
	g_assert_true(g_str_has_suffix(test_setup.runs->str, "update-grub; "));
}

static void test_foreign_ledger(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();
	const struct setup_machine machine = test_setup_machine(tree);
	const char *const texts[] = {"{", "{\"version\": 2, \"entries\": []}",
		"{\"version\": 1, \"entries\": [{\"kind\": \"moon\", \"object\": \"a\", \"wrote\": \"b\"}]}"};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) error = NULL;
		tree_write(tree, texts[i], "var/lib/sluice/" SETUP_LEDGER);
		g_assert_null(setup_revert(&machine, &error));
		g_assert_error(error, FAULT, FAULT_INTERNAL);
	}
}

static void test_busy(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();
	const struct setup_machine machine = test_setup_machine(tree);
	g_autoptr(GError) error = NULL;
	int to[2], from[2];
	char byte;

	g_autoptr(GPtrArray) steps = test_setup_apply(tree, USUAL, false);
	g_assert_true(pipe(to) == 0 && pipe(from) == 0);
	pid_t child = fork();
	if (child == 0) {
		const char *const argv[] = {"flock", "", "/bin/sh", "-c", "echo; read x", NULL};
		const char *copy[G_N_ELEMENTS(argv)];
		g_autofree char *folder = g_strconcat(tree->root, TEST_SETUP_STATE, NULL);
		memcpy(copy, argv, sizeof argv);
		copy[1] = folder;
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[1]);
		execvp("flock", (char **)copy);
		_exit(1);
	}
	g_assert_cmpint(read(from[0], &byte, 1), ==, 1);
	g_assert_null(setup_revert(&machine, &error));
	g_assert_error(error, FAULT, FAULT_BUSY);
	g_assert_cmpint(write(to[1], "\n", 1), ==, 1);
	g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
	for (size_t i = 0; i < 2; i++) {
		close(to[i]);
		close(from[i]);
	}
}

/* ---- what keeps it from being done ---- */

static void test_in_use(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();

	tree_write(tree, "2", TEST_SETUP_BUS TEST_SETUP_PF "/sriov_numvfs");
	test_setup_make_vfs(TEST_SETUP_PF, 2);
	tree_link(tree, "../../../bus/pci/drivers/igbvf", TEST_SETUP_BUS "0000:01:10.1/driver");
	tree_write(tree, "9", TEST_SETUP_BUS "0000:01:10.1/net/eth3/ifindex");
	tree_write(tree, "0x1003", "sys/class/net/eth3/flags");
	test_setup_expect_blocked(tree, USUAL, SETUP_VFS, "VF 1 (0000:01:10.1) is up, as eth3");
	tree_write(tree, "0x1002", "sys/class/net/eth3/flags");
	tree_write(tree, "{\"claims\": [{\"vf\": \"0000:01:10.0\", \"nic\": \"nic-7\"}]}",
		"var/lib/sluice/agent/vfs.json");
	test_setup_expect_blocked(
		tree, USUAL, SETUP_VFS, "VF 0 (0000:01:10.0) is claimed by the agent, for NIC nic-7");
}

static void test_revert_in_use(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();
	g_autoptr(GPtrArray) steps = test_setup_apply(tree, USUAL, false);

	tree_write(tree, "{\"claims\": [{\"vf\": \"0000:01:10.0\", \"nic\": \"nic-7\"}]}",
		"var/lib/sluice/agent/vfs.json");
	g_autoptr(GPtrArray) first = test_setup_revert(tree);
	g_assert_cmpint(test_setup_find(first, SETUP_VFS)->state, ==, SETUP_FAILED);
	g_assert_cmpuint(test_setup_count(first, SETUP_FAILED), ==, 1);
	tree_remove(tree, "var/lib/sluice/agent");
	g_autoptr(GPtrArray) second = test_setup_revert(tree);
	g_autofree char *vfs = test_setup_text(tree, "/" TEST_SETUP_BUS TEST_SETUP_PF "/sriov_numvfs");
	g_assert_cmpuint(second->len, ==, 1);
	g_assert_cmpstr(vfs, ==, "0");
}

static void test_too_many(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();

	test_setup_expect_blocked(tree, "[physical p]\ndevices=eth0\nvfs=8\n", SETUP_VFS,
		"eth0 can have 7 VFs, and 8 are wanted");
	tree_remove(tree, TEST_SETUP_BUS TEST_SETUP_PF "/sriov_totalvfs");
	test_setup_expect_blocked(tree, USUAL, SETUP_VFS, "eth0 has no SR-IOV that this kernel could use");
}

static void test_no_device(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();
	g_autoptr(GError) error = NULL;

	g_assert_null(test_setup_plan(tree, "[physical p]\ndevices=eth9\nvfs=1\n", false, &error));
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
	g_assert_nonnull(strstr(error->message, "its device eth9 is not there"));
}

static void test_no_vfs_come(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();

	test_setup.makes_vfs = false;
	g_autoptr(GPtrArray) steps = test_setup_apply(tree, USUAL, false);
	g_assert_cmpint(test_setup_find(steps, SETUP_VFS)->state, ==, SETUP_FAILED);
	g_assert_nonnull(
		strstr(test_setup_find(steps, SETUP_VFS)->problem, "was told to make 3 VFs, and has not"));
}

static void test_links(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();
	g_autoptr(GPtrArray) steps = test_setup_apply(tree, USUAL, false);

	test_setup.has_addresses = true;
	g_autoptr(GPtrArray) undone = test_setup_revert(tree);
	g_assert_nonnull(strstr(
		test_setup_find(undone, SETUP_LINK)->problem, "eth0 is not set down: it has addresses"));
	tree_remove(tree, TEST_SETUP_BUS TEST_SETUP_PF "/net");
	test_setup_expect_blocked(
		tree, "[physical p]\ndevices=" TEST_SETUP_PF "\nvfs=3\n", SETUP_LINK, "no interface here");
}

/* ---- at boot, and by NIC ---- */

static void test_boot(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();
	const char *const text = USUAL "[physical physnet2]\ndevices=eth9\nvfs=1\n";
	g_autoptr(GPtrArray) first = test_setup_apply(tree, USUAL, false);

	tree_remove(tree, TEST_SETUP_BUS TEST_SETUP_PF); /* a restart */
	test_setup_add_pf(tree);
	g_autoptr(GPtrArray) steps = test_setup_apply(tree, text, true);
	g_autofree char *vfs = test_setup_text(tree, "/" TEST_SETUP_BUS TEST_SETUP_PF "/sriov_numvfs");
	g_assert_cmpstr(vfs, ==, "3");
	g_assert_cmpint(test_setup_find(steps, SETUP_VFS)->state, ==, SETUP_DONE);
	g_assert_cmpint(test_setup_find(steps, SETUP_PERSON)->state, ==, SETUP_BLOCKED);
	g_assert_nonnull(
		strstr(test_setup_find(steps, SETUP_PERSON)->problem, "its device eth9 is not there"));
	for (guint i = 0; i < steps->len; i++)
		g_assert_cmpint(((const struct setup_step *)steps->pdata[i])->kind, !=, SETUP_FILE);
}

/* One of a physical network's NICs is broken: the other has its VFs as ever. */
static void test_boot_lacks(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();
	g_autoptr(GPtrArray) steps =
		test_setup_apply(tree, "[physical p]\ndevices=eth9;eth0;0000:09:00.0\nvfs=3\n", true);

	g_assert_cmpint(test_setup_find(steps, SETUP_VFS)->state, ==, SETUP_DONE);
	g_assert_cmpint(test_setup_find(steps, SETUP_LINK)->state, ==, SETUP_DONE);
	g_assert_cmpuint(test_setup_count(steps, SETUP_BLOCKED), ==, 2);
	g_assert_nonnull(
		strstr(test_setup_find(steps, SETUP_PERSON)->problem, "its device eth9 is not there"));
}

/* In place of the usual PF. */
static bool comes(const struct tree *tree, const char *text)
{
	const struct setup_machine machine = test_setup_machine(tree);
	g_autofree char *path = g_build_filename(tree->root, "host.conf", NULL);

	tree_write(tree, text, "host.conf");
	_cleanup_(host_file_free) struct host_file *file = host_file_read(path, NULL);
	g_assert_nonnull(file);
	return setup_wait_for_devices(&machine, file);
}

static void test_waits(void)
{
	static const char model[] = "[physical p]\ndevices=8086:10c9\nvfs=3\n";
	_cleanup_(tree_free) struct tree *tree = test_setup_new();

	g_assert_false(comes(tree, USUAL)); /* udev has yet to name it */
	tree_write(tree, "", "run/udev/data/n2");
	g_assert_true(comes(tree, USUAL));
	g_assert_true(comes(tree, model));
	tree_write(tree, "0x020000", TEST_SETUP_BUS "0000:02:00.0/class");
	tree_write(tree, "0x8086", TEST_SETUP_BUS "0000:02:00.0/vendor");
	tree_write(tree, "0x10c9", TEST_SETUP_BUS "0000:02:00.0/device");
	tree_write(tree, "7", TEST_SETUP_BUS "0000:02:00.0/sriov_totalvfs");
	g_assert_true(comes(tree, USUAL));
	g_assert_false(comes(tree, model)); /* no driver has it yet */
	tree_write(tree, "3", TEST_SETUP_BUS "0000:02:00.0/net/eth1/ifindex");
	g_assert_false(comes(tree, model));
	tree_remove(tree, "run/udev/control"); /* nobody names interfaces here */
	g_assert_true(comes(tree, model));
	g_assert_false(comes(tree, "[physical p]\ndevices=eth9\n"));
}

/* Firmware gives it another number, and udev its interface another name: VFs are made there, and a revert takes them away. */
static void test_moves(void)
{
	static const char text[] = "[physical p]\ndevices=8086:10c9\nvfs=3\n";
	_cleanup_(tree_free) struct tree *tree = test_setup_new();
	g_autoptr(GPtrArray) first = test_setup_apply(tree, text, false);
	static const char *const other = TEST_SETUP_BUS "0000:05:00.0";

	test_setup_make_vfs(TEST_SETUP_PF, 0);
	tree_remove(tree, TEST_SETUP_BUS TEST_SETUP_PF);
	tree_remove(tree, "sys/class/net/eth0");
	tree_write(tree, "0x020000", "%s/class", other);
	tree_write(tree, "0x8086", "%s/vendor", other);
	tree_write(tree, "0x10c9", "%s/device", other);
	tree_link(tree, "../../../bus/pci/drivers/igb", "%s/driver", other);
	tree_write(tree, "4", "%s/net/uplink0/ifindex", other);
	tree_write(tree, "7", "%s/sriov_totalvfs", other);
	tree_write(tree, "0", "%s/sriov_numvfs", other);
	tree_write(tree, "1", "%s/sriov_drivers_autoprobe", other);
	tree_write(tree, "0x1002", "sys/class/net/uplink0/flags");
	g_autofree char *bare = test_setup_text(tree, "/sys/class/net/uplink0/flags");
	g_autoptr(GPtrArray) steps = test_setup_apply(tree, text, true);
	g_autofree char *vfs = test_setup_text(tree, "/" TEST_SETUP_BUS "0000:05:00.0/sriov_numvfs");
	g_assert_true(setup_is_well(steps));
	g_assert_cmpstr(vfs, ==, "3");
	g_autoptr(GPtrArray) again = test_setup_plan(tree, text, false, NULL);
	g_assert_cmpuint(test_setup_count(again, SETUP_TO_DO), ==, 0);
	g_autoptr(GPtrArray) undone = test_setup_revert(tree);
	g_autofree char *left = test_setup_text(tree, "/" TEST_SETUP_BUS "0000:05:00.0/sriov_numvfs");
	g_autofree char *link = test_setup_text(tree, "/sys/class/net/uplink0/flags");
	g_assert_cmpuint(test_setup_count(undone, SETUP_UNDONE), ==, undone->len);
	g_assert_cmpstr(left, ==, "0");
	g_assert_cmpstr(link, ==, bare);
}

/* The folder is there at every start of systemd, with networkd or without. */
static void test_networkd(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();
	static const char reload[] = "networkctl reload; ";

	tree_write(tree, "", "run/systemd/netif/links/keep");
	test_setup.failing_program = "networkctl"; /* as it does where there is none to be told */
	g_autoptr(GPtrArray) steps = test_setup_apply(tree, USUAL, false);
	g_assert_true(setup_is_well(steps));
	g_assert_null(strstr(test_setup.runs->str, reload));
	g_autoptr(GPtrArray) undone = test_setup_revert(tree);
	g_assert_true(setup_is_well(undone));

	test_setup.failing_program = NULL;
	tree_write(tree, "OPER_STATE=routable", "run/systemd/netif/state");
	g_autoptr(GPtrArray) with = test_setup_apply(tree, USUAL, false);
	g_assert_true(setup_is_well(with));
	g_assert_nonnull(strstr(test_setup.runs->str, reload));
}

static void test_hugepages(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();
	g_autoptr(GPtrArray) steps = test_setup_apply(tree, "[memory]\nhugepages=512\n", false);
	g_autofree char *now = test_setup_text(tree, "/proc/sys/vm/nr_hugepages");
	g_autofree char *later = test_setup_text(tree, "/etc/sysctl.d/50-sluice.conf");

	g_assert_cmpuint(steps->len, ==, 2);
	g_assert_cmpstr(now, ==, "512");
	g_assert_true(g_str_has_suffix(later, "\nvm.nr_hugepages=512"));
}

static void test_kernel_lines(void)
{
	static const struct {
		const char *line, *processor;
		bool dmar, grub;
		const char *says; /* NULL: there is no step */
	} ways[] = {
		{"quiet", "GenuineIntel", false, true, "intel_iommu=on iommu=pt\""},
		{"intel_iommu=on", "GenuineIntel", false, true, "intel_iommu=on iommu=pt\""},
		{"intel_iommu=on iommu=pt", "GenuineIntel", false, true, NULL},
		{"quiet", "AuthenticAMD", false, true, " iommu=pt\""},
		{"quiet", "AuthenticAMD", true, true, "intel_iommu=on iommu=pt\""},
		{"iommu=pt", "AuthenticAMD", false, true, NULL},
		{"quiet", "GenuineIntel", false, false,
			"does not start by GRUB: add 'intel_iommu=on iommu=pt' to where"},
		{"intel_iommu=off", "GenuineIntel", false, true, "take intel_iommu=off out"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
		_cleanup_(tree_free) struct tree *tree = test_setup_new();
		tree_write(tree, ways[i].line, "proc/cmdline");
		tree_write(tree, ways[i].processor, "proc/cpuinfo");
		if (ways[i].dmar)
			tree_write(tree, "", "sys/firmware/acpi/tables/DMAR");
		if (!ways[i].grub)
			tree_remove(tree, "etc/default/grub");
		g_autoptr(GPtrArray) steps = test_setup_plan(tree, USUAL, false, NULL);
		g_autofree char *text = setup_text(steps);
		g_test_message("%s: %s", ways[i].line, ways[i].says);
		if (ways[i].says)
			g_assert_nonnull(strstr(text, ways[i].says));
		else
			g_assert_null(strstr(text, "iommu"));
	}
}

static void test_keepers(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();

	tree_write(tree, "3", TEST_SETUP_BUS TEST_SETUP_PF "/sriov_numvfs");
	test_setup_make_vfs(TEST_SETUP_PF, 3);
	tree_write(tree, "9", TEST_SETUP_BUS "0000:01:10.1/net/eth3/ifindex");
	tree_write(tree, "auto eth3", "etc/network/interfaces");
	g_autoptr(GPtrArray) steps = test_setup_plan(tree, USUAL, false, NULL);
	g_assert_cmpint(test_setup_find(steps, SETUP_PERSON)->state, ==, SETUP_FOR_PERSON);
	g_assert_nonnull(
		strstr(test_setup_find(steps, SETUP_PERSON)->text, "take eth3 out: it is VF 1 of eth0"));
}

static void test_output(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();
	g_autoptr(GPtrArray) steps =
		test_setup_plan(tree, "[physical p]\ndevices=eth0\nvfs=8\n", false, NULL);
	json_auto_t *json = setup_encode(steps);
	const char *state, *now, *wanted, *problem;
	size_t i;
	json_t *step;

	json_array_foreach(json, i, step)
	{
		if (g_strcmp0(json_string_value(json_object_get(step, "kind")), "vfs") != 0)
			continue;
		g_assert_cmpint(json_unpack(step, "{s:s, s:s, s:s, s:s}", "state", &state, "now", &now,
					"wanted", &wanted, "problem", &problem),
			==, 0);
		g_assert_cmpstr(state, ==, "blocked");
		g_assert_cmpstr(now, ==, "0");
		g_assert_cmpstr(wanted, ==, "8");
		g_assert_nonnull(strstr(problem, "7 VFs"));
		return;
	}
	g_assert_not_reached();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add_func("/setup/" name, function)
	TEST("a plan tells all that would be done, and changes nothing", test_plan);
	TEST("an apply does it, a second is quiet, and a revert leaves the machine as found", test_apply);
	TEST("a number of VFs changes through zero, and reverts to the first", test_number);
	TEST("what somebody has changed since is left", test_own_changes);
	TEST("a crash at any step ends well by the same call again, and reverts", test_crashes);
	TEST("a program that did not hear of its file is told again", test_told_again);
	TEST("a ledger that cannot be understood is left alone", test_foreign_ledger);
	TEST("two at a time are refused", test_busy);
	TEST("a VF in use keeps everything from being done, with its user's name", test_in_use);
	TEST("a VF in use keeps its number at a revert, until it is free", test_revert_in_use);
	TEST("more VFs than the NIC can have are refused", test_too_many);
	TEST("a device that is not there is refused", test_no_device);
	TEST("VFs that do not come are waited for, and told", test_no_vfs_come);
	TEST("an interface with addresses is not set down; a PF without one is told", test_links);
	TEST("at boot what is there is done, and what is missing is told", test_boot);
	TEST("at boot a NIC that is not there keeps no other of its network from its VFs", test_boot_lacks);
	TEST("at boot NICs that have no interface yet, or none that udev has named, are waited for",
		test_waits);
	TEST("a NIC at another address, by another name, has its VFs at boot, and reverts", test_moves);
	TEST("systemd-networkd is told only where it runs", test_networkd);
	TEST("huge pages are kept when they are asked for", test_hugepages);
	TEST("the kernel's line gets what it lacks, by GRUB or by hand", test_kernel_lines);
	TEST("a VF that ifupdown configures is a person's to take out", test_keepers);
	TEST("JSON says what is and what is wanted", test_output);
	return g_test_run();
}
