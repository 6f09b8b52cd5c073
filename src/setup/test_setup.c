/* A host to be set up that is made up. */
#include "setup/test_setup.h"

#include "base/fault.h"
#include "base/sysfs.h"
#include "nic/host_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define VFS_7 7

struct test_setup test_setup;

/* ---- the kernel ---- */

void test_setup_make_vfs(const char *pf, unsigned n)
{
	for (unsigned i = 0; i < VFS_7; i++) {
		g_autofree char *link =
			g_strdup_printf("%s/" TEST_SETUP_BUS "%s/virtfn%u", test_setup.tree->root, pf, i);
		unlink(link);
	}
	for (unsigned i = 0; i < n; i++) {
		g_autofree char *vf = g_strdup_printf("0000:01:10.%u", i),
				*target = g_strdup_printf("../%s", vf);
		tree_write(test_setup.tree, "0x020000", TEST_SETUP_BUS "%s/class", vf);
		tree_write(test_setup.tree, "0x8086", TEST_SETUP_BUS "%s/vendor", vf);
		tree_link(test_setup.tree, target, TEST_SETUP_BUS "%s/virtfn%u", pf, i);
		g_autofree char *physfn =
			sysfs_link_name(test_setup.tree->root, "/" TEST_SETUP_BUS "%s/physfn", vf);
		if (!physfn)
			tree_link(test_setup.tree, "../" TEST_SETUP_PF, TEST_SETUP_BUS "%s/physfn", vf);
	}
}

/* Source: Linux drivers/pci/pci-sysfs.c, sriov_numvfs_store(). */
static int write_numvfs(const char *path, const char *text)
{
	unsigned now = (unsigned)sysfs_number("", 0, "%s", path), want = (unsigned)strtoul(text, NULL, 10);
	g_autofree char *folder = g_path_get_dirname(path), *pf = g_path_get_basename(folder);
	g_autofree char *line = g_strdup_printf("%s\n", text);

	if (want > VFS_7)
		return -ERANGE;
	if (now && want)
		return -EBUSY;
	g_assert_true(g_file_set_contents(path, line, -1, NULL));
	test_setup_make_vfs(pf, test_setup.makes_vfs ? want : 0);
	return 0;
}

/* While VFs are taken away or made no agent claims any; where none has been there is nothing to lock. */
static void check_lock(void)
{
	g_autofree char *folder = g_strconcat(test_setup.tree->root, TEST_SETUP_STATE "/agent", NULL);
	g_autofree char *path = g_build_filename(folder, "vfs.json.lock", NULL);
	int lock = open(path, O_RDWR);

	g_assert_cmpint(lock >= 0, ==, g_file_test(folder, G_FILE_TEST_IS_DIR));
	if (lock < 0)
		return;
	g_assert_cmpint(flock(lock, LOCK_EX | LOCK_NB), <, 0);
	close(lock);
}

static int write_attribute(const char *path, const char *text)
{
	g_autofree char *name = g_path_get_basename(path), *line = g_strdup_printf("%s\n", text);

	g_string_append_printf(test_setup.writes, "%s=%s ", name, text);
	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return -ENOENT;
	if (g_str_equal(name, "sriov_numvfs")) {
		check_lock();
		return write_numvfs(path, text);
	}
	return g_file_set_contents(path, line, -1, NULL) ? 0 : -EIO;
}

static bool set_link(const char *netdev, bool up, GError **error)
{
	tree_write(test_setup.tree, up ? "0x1003" : "0x1002", "sys/class/net/%s/flags", netdev);
	return true;
}

static bool has_address(const char *netdev)
{
	return test_setup.has_addresses;
}

/* Its driver takes another mode only while there are no VFs, and leaves tc offload off, as ice. */
static struct genl *open_genl(const char *family, GError **error)
{
	if (g_str_equal(family, "ethtool"))
		return test_ethtool_open(test_setup.features, G_N_ELEMENTS(test_setup.features));
	g_assert_cmpstr(family, ==, "devlink");
	test_setup.eswitch.refusal =
		sysfs_number(test_setup.tree->root, 0, "/" TEST_SETUP_BUS TEST_SETUP_PF "/sriov_numvfs")
			? "there are VFs"
			: NULL;
	if (test_setup.wants_headers && g_str_equal(test_setup.eswitch.is.mode, DEVLINK_SWITCHDEV)) {
		test_setup.eswitch.is.inline_mode = "link";
		test_setup.wants_headers = false;
	}
	return test_devlink_open(&test_setup.eswitch, test_setup.eswitch.handle ? 1 : 0);
}

static char *run(const char *const *argv, GError **error)
{
	g_autofree char *line = g_strjoinv(" ", (char **)argv);

	g_string_append_printf(test_setup.runs, "%s; ", line);
	if (g_strcmp0(argv[0], test_setup.failing_program) == 0) {
		fault_set(error, FAULT_INTERNAL, "%s failed: no", argv[0]);
		return NULL;
	}
	return g_strdup("");
}

/* ---- the machine ---- */

void test_setup_add_pf(const struct tree *tree)
{
	tree_write(tree, "0x020000", TEST_SETUP_BUS TEST_SETUP_PF "/class");
	tree_write(tree, "0x8086", TEST_SETUP_BUS TEST_SETUP_PF "/vendor");
	tree_write(tree, "0x10c9", TEST_SETUP_BUS TEST_SETUP_PF "/device");
	tree_link(tree, "../../../bus/pci/drivers/igb", TEST_SETUP_BUS TEST_SETUP_PF "/driver");
	tree_write(tree, "2", TEST_SETUP_BUS TEST_SETUP_PF "/net/eth0/ifindex");
	tree_write(tree, "7", TEST_SETUP_BUS TEST_SETUP_PF "/sriov_totalvfs");
	tree_write(tree, "0", TEST_SETUP_BUS TEST_SETUP_PF "/sriov_numvfs");
	tree_write(tree, "1", TEST_SETUP_BUS TEST_SETUP_PF "/sriov_drivers_autoprobe");
	tree_write(tree, "0x1002", "sys/class/net/eth0/flags");
}

struct tree *test_setup_new(void)
{
	struct tree *tree = tree_new();

	test_setup.tree = tree;
	if (!test_setup.writes) {
		test_setup.writes = g_string_new(NULL);
		test_setup.runs = g_string_new(NULL);
	}
	g_string_truncate(test_setup.writes, 0);
	g_string_truncate(test_setup.runs, 0);
	test_setup.failing_program = NULL;
	test_setup.eswitch =
		(struct test_eswitch){.is.mode = DEVLINK_LEGACY, .representors = {"rep0", "rep1", "rep2"}};
	test_setup.features[0] = (struct test_feature){"eth0", ETHTOOL_TC_OFFLOAD, ETHTOOL_OFF, false};
	for (unsigned i = 0; i < TEST_SETUP_VFS; i++)
		test_setup.features[1 + i] = (struct test_feature){
			test_setup.eswitch.representors[i], ETHTOOL_TC_OFFLOAD, ETHTOOL_OFF, false};
	test_setup.wants_headers = false;
	test_setup.makes_vfs = true;
	test_setup.has_addresses = false;
	test_setup_add_pf(tree);
	tree_write(tree, "vendor_id : GenuineIntel", "proc/cpuinfo");
	tree_write(tree, "root=/dev/sda1 quiet", "proc/cmdline");
	tree_write(tree, "0", "proc/sys/vm/nr_hugepages");
	tree_write(tree, "GRUB_DEFAULT=0", "etc/default/grub");
	tree_write(tree, "", "usr/lib/systemd/systemd");
	tree_write(tree, "", "run/udev/control");
	return tree;
}

struct setup_machine test_setup_machine(const struct tree *tree)
{
	return (struct setup_machine){.root = tree->root,
		.state = TEST_SETUP_STATE,
		.program = "/usr/bin/sluice host setup",
		.write_attribute = write_attribute,
		.open_genl = open_genl,
		.set_link = set_link,
		.has_address = has_address,
		.run = run,
		.wait_ms = 100};
}

GPtrArray *test_setup_plan(const struct tree *tree, const char *text, bool boot, GError **error)
{
	const struct setup_machine machine = test_setup_machine(tree);
	g_autofree char *path = g_build_filename(tree->root, "host.conf", NULL);

	tree_write(tree, text, "host.conf");
	_cleanup_(host_file_free) struct host_file *file = host_file_read(path, NULL);
	g_assert_nonnull(file);
	return setup_plan(&machine, file, boot, error);
}

GPtrArray *test_setup_apply(const struct tree *tree, const char *text, bool boot)
{
	const struct setup_machine machine = test_setup_machine(tree);
	g_autoptr(GError) error = NULL;
	GPtrArray *steps = test_setup_plan(tree, text, boot, &error);

	g_assert_no_error(error);
	setup_apply(&machine, steps, boot, &error);
	g_assert_no_error(error);
	return steps;
}

GPtrArray *test_setup_revert(const struct tree *tree)
{
	const struct setup_machine machine = test_setup_machine(tree);
	GPtrArray *steps = setup_revert(&machine, NULL);

	g_assert_nonnull(steps);
	return steps;
}

unsigned test_setup_count(const GPtrArray *steps, enum setup_state state)
{
	unsigned n = 0;

	for (guint i = 0; i < steps->len; i++)
		n += ((const struct setup_step *)steps->pdata[i])->state == state;
	return n;
}

const struct setup_step *test_setup_find(const GPtrArray *steps, enum setup_kind kind)
{
	for (guint i = 0; i < steps->len; i++) {
		const struct setup_step *step = steps->pdata[i];
		if (step->kind == kind)
			return step;
	}
	g_assert_not_reached();
}

char *test_setup_snapshot(const struct tree *tree)
{
	const char *const argv[] = {"/bin/sh", "-c",
		"cd \"$0\" && find . -type f ! -name host-setup.json ! -name host.conf ! -path "
		"'*/0000:01:10.*' | sort | "
		"while read -r f; do echo \"$f: $(cat \"$f\")\"; done",
		tree->root, NULL};
	char *output = NULL;

	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, 0, NULL, NULL, &output, NULL, NULL, NULL));
	return output;
}

char *test_setup_text(const struct tree *tree, const char *path)
{
	return sysfs_text(tree->root, "%s", path);
}

void test_setup_expect_blocked(
	const struct tree *tree, const char *text, enum setup_kind kind, const char *says)
{
	g_autofree char *before = test_setup_snapshot(tree);
	g_autoptr(GPtrArray) steps = test_setup_apply(tree, text, false);
	const struct setup_step *step = test_setup_find(steps, kind);
	g_autofree char *after = test_setup_snapshot(tree);

	g_assert_false(setup_is_well(steps));
	g_assert_cmpint(step->state, ==, SETUP_BLOCKED);
	g_test_message("%s", step->problem);
	g_assert_nonnull(strstr(step->problem, says));
	g_assert_cmpstr(before, ==, after);
}
