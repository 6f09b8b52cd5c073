/* Tests of setting a host up, on a made-up one: a PF eth0 of 7 VFs at most, and a kernel that makes them when it is told. */
#include "base/failpoint.h"
#include "base/fault.h"
#include "base/sysfs.h"
#include "base/test_tree.h"
#include "nic/host_file.h"
#include "nic/test_devlink.h"
#include "setup/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUS   "sys/bus/pci/devices/"
#define PF    "0000:01:00.0"
#define STATE "/var/lib/sluice"
#define USUAL "[physical physnet1]\ndevices = eth0\nvfs = 3\n"
#define GRUB  "/etc/default/grub.d/50-sluice.cfg"
#define VFS_7 7

static const struct tree *here; /* the machine of the test that runs: hooks have no argument */
static GString *log_of_writes, *log_of_runs;
static const char *failing_program;
static bool makes_vfs, has_addresses;
static struct test_eswitch eswitch; /* of the PF; no handle: it has none */
static bool wants_headers; /* in switchdev mode the NIC wants VFs' headers, which shows only then */

/* ---- the kernel ---- */

static void make_vfs(const char *pf, unsigned n)
{
	for (unsigned i = 0; i < VFS_7; i++) {
		g_autofree char *link = g_strdup_printf("%s/" BUS "%s/virtfn%u", here->root, pf, i);
		unlink(link);
	}
	for (unsigned i = 0; i < n; i++) {
		g_autofree char *vf = g_strdup_printf("0000:01:10.%u", i),
				*target = g_strdup_printf("../%s", vf);
		tree_write(here, "0x020000", BUS "%s/class", vf);
		tree_write(here, "0x8086", BUS "%s/vendor", vf);
		tree_link(here, target, BUS "%s/virtfn%u", pf, i);
		g_autofree char *physfn = sysfs_link_name(here->root, "/" BUS "%s/physfn", vf);
		if (!physfn)
			tree_link(here, "../" PF, BUS "%s/physfn", vf);
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
	make_vfs(pf, makes_vfs ? want : 0);
	return 0;
}

/* While VFs are taken away or made no agent claims any; where none has been there is nothing to lock. */
static void check_lock(void)
{
	g_autofree char *folder = g_strconcat(here->root, STATE "/agent", NULL);
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

	g_string_append_printf(log_of_writes, "%s=%s ", name, text);
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
	tree_write(here, up ? "0x1003" : "0x1002", "sys/class/net/%s/flags", netdev);
	return true;
}

static bool has_address(const char *netdev)
{
	return has_addresses;
}

/* Its driver takes another mode only while there are no VFs, as ice. */
static struct genl *open_genl(const char *family, GError **error)
{
	g_assert_cmpstr(family, ==, "devlink");
	eswitch.refusal = sysfs_number(here->root, 0, "/" BUS PF "/sriov_numvfs") ? "there are VFs" : NULL;
	if (wants_headers && g_str_equal(eswitch.is.mode, DEVLINK_SWITCHDEV)) {
		eswitch.is.inline_mode = "link";
		wants_headers = false;
	}
	return test_devlink_open(&eswitch, eswitch.handle ? 1 : 0);
}

static char *run(const char *const *argv, GError **error)
{
	g_autofree char *line = g_strjoinv(" ", (char **)argv);

	g_string_append_printf(log_of_runs, "%s; ", line);
	if (g_strcmp0(argv[0], failing_program) == 0) {
		fault_set(error, FAULT_INTERNAL, "%s failed: no", argv[0]);
		return NULL;
	}
	return g_strdup("");
}

/* ---- the machine ---- */

static void add_pf(const struct tree *tree)
{
	tree_write(tree, "0x020000", BUS PF "/class");
	tree_write(tree, "0x8086", BUS PF "/vendor");
	tree_write(tree, "0x10c9", BUS PF "/device");
	tree_link(tree, "../../../bus/pci/drivers/igb", BUS PF "/driver");
	tree_write(tree, "2", BUS PF "/net/eth0/ifindex");
	tree_write(tree, "7", BUS PF "/sriov_totalvfs");
	tree_write(tree, "0", BUS PF "/sriov_numvfs");
	tree_write(tree, "1", BUS PF "/sriov_drivers_autoprobe");
	tree_write(tree, "0x1002", "sys/class/net/eth0/flags");
}

/* A host with GRUB and systemd on which nothing is set up. */
static struct tree *machine_new(void)
{
	struct tree *tree = tree_new();

	here = tree;
	g_string_truncate(log_of_writes, 0);
	g_string_truncate(log_of_runs, 0);
	failing_program = NULL;
	eswitch = (struct test_eswitch){.is.mode = DEVLINK_LEGACY};
	wants_headers = false;
	makes_vfs = true;
	has_addresses = false;
	add_pf(tree);
	tree_write(tree, "vendor_id : GenuineIntel", "proc/cpuinfo");
	tree_write(tree, "root=/dev/sda1 quiet", "proc/cmdline");
	tree_write(tree, "0", "proc/sys/vm/nr_hugepages");
	tree_write(tree, "GRUB_DEFAULT=0", "etc/default/grub");
	tree_write(tree, "", "usr/lib/systemd/systemd");
	tree_write(tree, "", "run/udev/control");
	return tree;
}

static struct setup_machine machine_of(const struct tree *tree)
{
	return (struct setup_machine){.root = tree->root,
		.state = STATE,
		.program = "/usr/bin/sluice host setup",
		.write_attribute = write_attribute,
		.open_genl = open_genl,
		.set_link = set_link,
		.has_address = has_address,
		.run = run,
		.wait_ms = 100};
}

static GPtrArray *plan_text(const struct tree *tree, const char *text, bool boot, GError **error)
{
	const struct setup_machine machine = machine_of(tree);
	g_autofree char *path = g_build_filename(tree->root, "host.conf", NULL);

	tree_write(tree, text, "host.conf");
	_cleanup_(host_file_free) struct host_file *file = host_file_read(path, NULL);
	g_assert_nonnull(file);
	return setup_plan(&machine, file, boot, error);
}

static GPtrArray *apply_text(const struct tree *tree, const char *text, bool boot)
{
	const struct setup_machine machine = machine_of(tree);
	g_autoptr(GError) error = NULL;
	GPtrArray *steps = plan_text(tree, text, boot, &error);

	g_assert_no_error(error);
	setup_apply(&machine, steps, boot, &error);
	g_assert_no_error(error);
	return steps;
}

static GPtrArray *revert(const struct tree *tree)
{
	const struct setup_machine machine = machine_of(tree);
	GPtrArray *steps = setup_revert(&machine, NULL);

	g_assert_nonnull(steps);
	return steps;
}

static unsigned count(const GPtrArray *steps, enum setup_state state)
{
	unsigned n = 0;

	for (guint i = 0; i < steps->len; i++)
		n += ((const struct setup_step *)steps->pdata[i])->state == state;
	return n;
}

static const struct setup_step *find(const GPtrArray *steps, enum setup_kind kind)
{
	for (guint i = 0; i < steps->len; i++) {
		const struct setup_step *step = steps->pdata[i];
		if (step->kind == kind)
			return step;
	}
	g_assert_not_reached();
}

/* All files but the ledger, as "path: contents" lines. */
static char *snapshot(const struct tree *tree)
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

static char *text_of(const struct tree *tree, const char *path)
{
	return sysfs_text(tree->root, "%s", path);
}

/* ---- doing and undoing ---- */

static void test_plan(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();
	g_autofree char *before = snapshot(tree);
	g_autoptr(GPtrArray) steps = plan_text(tree, USUAL, false, NULL);
	g_autofree char *after = snapshot(tree), *text = setup_text(steps);

	g_assert_cmpstr(before, ==, after);
	g_assert_cmpuint(log_of_writes->len + log_of_runs->len, ==, 0);
	g_assert_cmpuint(count(steps, SETUP_TO_DO), ==, steps->len);
	g_assert_nonnull(strstr(text,
		"to do    vfs        0000:01:00.0 (0 -> 3): VFs of eth0, for physical network physnet1\n"));
	g_assert_nonnull(strstr(text,
		"| GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT intel_iommu=on iommu=pt\"\n"));
	g_assert_nonnull(strstr(text, "| ExecStart=/usr/bin/sluice host setup --boot\n"));
}

static void test_apply(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();
	g_autofree char *before = snapshot(tree);
	g_autoptr(GPtrArray) first = apply_text(tree, USUAL, false);
	g_autofree char *vfs = text_of(tree, "/" BUS PF "/sriov_numvfs");

	g_assert_cmpuint(count(first, SETUP_DONE), ==, first->len);
	g_assert_cmpstr(vfs, ==, "3");
	g_assert_cmpstr(log_of_writes->str, ==, "sriov_drivers_autoprobe=0 sriov_numvfs=3 ");
	g_assert_cmpstr(log_of_runs->str, ==, "update-grub; modprobe vfio-pci; udevadm control --reload; ");

	g_autoptr(GPtrArray) second = apply_text(tree, USUAL, false);
	g_assert_cmpuint(count(second, SETUP_SO), ==, second->len);
	g_assert_cmpstr(log_of_writes->str, ==, "sriov_drivers_autoprobe=0 sriov_numvfs=3 ");

	g_autoptr(GPtrArray) undone = revert(tree);
	g_autofree char *after = snapshot(tree);
	g_assert_cmpuint(count(undone, SETUP_UNDONE), ==, first->len);
	g_assert_cmpstr(before, ==, after);
	g_assert_true(g_str_has_suffix(log_of_runs->str, "update-grub; "));
	g_autoptr(GPtrArray) nothing = revert(tree);
	g_assert_cmpuint(nothing->len, ==, 0);
}

static void test_number(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	tree_write(tree, "2", BUS PF "/sriov_numvfs");
	make_vfs(PF, 2);
	g_autoptr(GPtrArray) first = apply_text(tree, USUAL, false);
	g_assert_nonnull(strstr(log_of_writes->str, "sriov_numvfs=0 sriov_numvfs=3 "));
	g_autoptr(GPtrArray) second = apply_text(tree, "[physical p]\ndevices=" PF "\nvfs=7\n", false);
	g_assert_true(setup_is_well(second));
	g_autoptr(GPtrArray) undone = revert(tree);
	g_autofree char *vfs = text_of(tree, "/" BUS PF "/sriov_numvfs");
	g_assert_cmpstr(vfs, ==, "2"); /* not 3 */
}

static void test_own_changes(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	tree_write(tree, "kvm", "etc/modules-load.d/sluice.conf");
	g_autoptr(GPtrArray) steps = apply_text(tree, USUAL, false);
	tree_write(tree, "mine", "%s", &GRUB[1]);
	g_autoptr(GPtrArray) undone = revert(tree);
	g_autofree char *grub = text_of(tree, GRUB),
			*modules = text_of(tree, "/etc/modules-load.d/sluice.conf");
	g_autofree char *text = setup_text(undone);

	g_assert_cmpstr(grub, ==, "mine");
	g_assert_cmpstr(modules, ==, "kvm");
	g_assert_cmpuint(count(undone, SETUP_LEFT), ==, 1);
	g_assert_nonnull(strstr(text, "left     file       " GRUB));
}

static void test_crashes(void)
{
	static const enum failpoint points[] = {
		FAILPOINT_SETUP_INTENDED, FAILPOINT_SETUP_WRITTEN, FAILPOINT_SETUP_RESTORED};
	unsigned deaths = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(points); i++) {
		for (unsigned nth = 1, died = true; died; nth++) {
			_cleanup_(tree_free) struct tree *tree = machine_new();
			tree_remove(tree, "usr/lib/systemd"); /* which leaves two files */
			g_autofree char *before = snapshot(tree);
			g_autofree char *at = g_strdup_printf("%s:%u", failpoint_name(points[i]), nth);
			int status;
			pid_t child = fork();

			if (child == 0) {
				g_setenv("SLUICE_FAILPOINT", at, true);
				g_ptr_array_unref(apply_text(tree, USUAL, false));
				g_ptr_array_unref(revert(tree));
				_exit(0);
			}
			g_assert_cmpint(waitpid(child, &status, 0), ==, child);
			died = WIFSIGNALED(status);
			deaths += died;
			g_autoptr(GPtrArray) again = apply_text(tree, USUAL, false);
			g_autofree char *vfs = text_of(tree, "/" BUS PF "/sriov_numvfs");
			g_assert_true(setup_is_well(again));
			g_assert_cmpstr(vfs, ==, "3");
			g_autoptr(GPtrArray) undone = revert(tree);
			g_autofree char *after = snapshot(tree);
			g_assert_cmpstr(before, ==, after);
		}
	}
	g_assert_cmpuint(deaths, ==, 3 * 5); /* each point at each of the steps */
}

static void test_told_again(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	failing_program = "update-grub";
	g_autoptr(GPtrArray) first = apply_text(tree, USUAL, false);
	g_assert_cmpint(find(first, SETUP_FILE)->state, ==, SETUP_FAILED);
	g_assert_cmpuint(count(first, SETUP_FAILED), ==, 1); /* the others are done */
	failing_program = NULL;
	g_autoptr(GPtrArray) second = apply_text(tree, USUAL, false);
	g_assert_cmpint(find(second, SETUP_FILE)->state, ==, SETUP_DONE);
	g_assert_true(g_str_has_suffix(log_of_runs->str, "update-grub; "));
}

static void test_foreign_ledger(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();
	const struct setup_machine machine = machine_of(tree);
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
	_cleanup_(tree_free) struct tree *tree = machine_new();
	const struct setup_machine machine = machine_of(tree);
	g_autoptr(GError) error = NULL;
	int to[2], from[2];
	char byte;

	g_autoptr(GPtrArray) steps = apply_text(tree, USUAL, false);
	g_assert_true(pipe(to) == 0 && pipe(from) == 0);
	pid_t child = fork();
	if (child == 0) {
		const char *const argv[] = {"flock", "", "/bin/sh", "-c", "echo; read x", NULL};
		const char *copy[G_N_ELEMENTS(argv)];
		g_autofree char *folder = g_strconcat(tree->root, STATE, NULL);
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

/* Planned as blocked with that sentence, and an apply does nothing at all. */
static void expect_blocked(const struct tree *tree, const char *text, enum setup_kind kind, const char *says)
{
	g_autofree char *before = snapshot(tree);
	g_autoptr(GPtrArray) steps = apply_text(tree, text, false);
	const struct setup_step *step = find(steps, kind);
	g_autofree char *after = snapshot(tree);

	g_assert_false(setup_is_well(steps));
	g_assert_cmpint(step->state, ==, SETUP_BLOCKED);
	g_test_message("%s", step->problem);
	g_assert_nonnull(strstr(step->problem, says));
	g_assert_cmpstr(before, ==, after);
}

static void test_in_use(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	tree_write(tree, "2", BUS PF "/sriov_numvfs");
	make_vfs(PF, 2);
	tree_link(tree, "../../../bus/pci/drivers/igbvf", BUS "0000:01:10.1/driver");
	tree_write(tree, "9", BUS "0000:01:10.1/net/eth3/ifindex");
	tree_write(tree, "0x1003", "sys/class/net/eth3/flags");
	expect_blocked(tree, USUAL, SETUP_VFS, "VF 1 (0000:01:10.1) is up, as eth3");
	tree_write(tree, "0x1002", "sys/class/net/eth3/flags");
	tree_write(tree, "{\"claims\": [{\"vf\": \"0000:01:10.0\", \"nic\": \"nic-7\"}]}",
		"var/lib/sluice/agent/vfs.json");
	expect_blocked(tree, USUAL, SETUP_VFS, "VF 0 (0000:01:10.0) is claimed by the agent, for NIC nic-7");
}

static void test_revert_in_use(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();
	g_autoptr(GPtrArray) steps = apply_text(tree, USUAL, false);

	tree_write(tree, "{\"claims\": [{\"vf\": \"0000:01:10.0\", \"nic\": \"nic-7\"}]}",
		"var/lib/sluice/agent/vfs.json");
	g_autoptr(GPtrArray) first = revert(tree);
	g_assert_cmpint(find(first, SETUP_VFS)->state, ==, SETUP_FAILED);
	g_assert_cmpuint(count(first, SETUP_FAILED), ==, 1);
	tree_remove(tree, "var/lib/sluice/agent");
	g_autoptr(GPtrArray) second = revert(tree);
	g_autofree char *vfs = text_of(tree, "/" BUS PF "/sriov_numvfs");
	g_assert_cmpuint(second->len, ==, 1);
	g_assert_cmpstr(vfs, ==, "0");
}

static void test_too_many(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	expect_blocked(tree, "[physical p]\ndevices=eth0\nvfs=8\n", SETUP_VFS,
		"eth0 can have 7 VFs, and 8 are wanted");
	tree_remove(tree, BUS PF "/sriov_totalvfs");
	expect_blocked(tree, USUAL, SETUP_VFS, "eth0 has no SR-IOV that this kernel could use");
}

static void test_no_device(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();
	g_autoptr(GError) error = NULL;

	g_assert_null(plan_text(tree, "[physical p]\ndevices=eth9\nvfs=1\n", false, &error));
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
	g_assert_nonnull(strstr(error->message, "its device eth9 is not there"));
}

static void test_no_vfs_come(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	makes_vfs = false;
	g_autoptr(GPtrArray) steps = apply_text(tree, USUAL, false);
	g_assert_cmpint(find(steps, SETUP_VFS)->state, ==, SETUP_FAILED);
	g_assert_nonnull(strstr(find(steps, SETUP_VFS)->problem, "was told to make 3 VFs, and has not"));
}

static void test_links(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();
	g_autoptr(GPtrArray) steps = apply_text(tree, USUAL, false);

	has_addresses = true;
	g_autoptr(GPtrArray) undone = revert(tree);
	g_assert_nonnull(strstr(find(undone, SETUP_LINK)->problem, "eth0 is not set down: it has addresses"));
	tree_remove(tree, BUS PF "/net");
	expect_blocked(tree, "[physical p]\ndevices=" PF "\nvfs=3\n", SETUP_LINK, "no interface here");
}

/* ---- at boot, and by NIC ---- */

static void test_boot(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();
	const char *const text = USUAL "[physical physnet2]\ndevices=eth9\nvfs=1\n";
	g_autoptr(GPtrArray) first = apply_text(tree, USUAL, false);

	tree_remove(tree, BUS PF); /* a restart */
	add_pf(tree);
	g_autoptr(GPtrArray) steps = apply_text(tree, text, true);
	g_autofree char *vfs = text_of(tree, "/" BUS PF "/sriov_numvfs");
	g_assert_cmpstr(vfs, ==, "3");
	g_assert_cmpint(find(steps, SETUP_VFS)->state, ==, SETUP_DONE);
	g_assert_cmpint(find(steps, SETUP_PERSON)->state, ==, SETUP_BLOCKED);
	g_assert_nonnull(strstr(find(steps, SETUP_PERSON)->problem, "its device eth9 is not there"));
	for (guint i = 0; i < steps->len; i++)
		g_assert_cmpint(((const struct setup_step *)steps->pdata[i])->kind, !=, SETUP_FILE);
}

#define SWITCHDEV "[physical p]\ndevices=eth0\nvfs=3\nmode=switchdev\n"

static void test_switchdev(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	expect_blocked(tree, SWITCHDEV, SETUP_MODE, "the NIC or its driver has no eswitch");
	eswitch.handle = "pci/" PF;
	g_autoptr(GPtrArray) steps = apply_text(tree, SWITCHDEV, false);
	g_assert_true(setup_is_well(steps));
	g_assert_cmpstr(eswitch.is.mode, ==, DEVLINK_SWITCHDEV);
	g_assert_cmpint(find(steps, SETUP_INLINE_MODE)->state, ==, SETUP_SO);
	g_assert_cmpint(find(steps, SETUP_ENCAP_MODE)->state, ==, SETUP_SO);
	eswitch.is.mode = DEVLINK_LEGACY; /* a restart */
	tree_write(tree, "0", BUS PF "/sriov_numvfs");
	g_autoptr(GPtrArray) again = apply_text(tree, SWITCHDEV, true);
	g_assert_true(setup_is_well(again));
	g_assert_cmpstr(eswitch.is.mode, ==, DEVLINK_SWITCHDEV);
	g_autoptr(GPtrArray) undone = revert(tree);
	g_assert_true(setup_is_well(undone));
	g_assert_cmpstr(eswitch.is.mode, ==, DEVLINK_LEGACY);
}

static void use_vf(const struct tree *tree)
{
	tree_link(tree, "../../../bus/pci/drivers/igbvf", BUS "0000:01:10.1/driver");
	tree_write(tree, "7", BUS "0000:01:10.1/net/eth5/ifindex");
	tree_write(tree, "0x1003", "sys/class/net/eth5/flags");
}

static void expect_vfs(const struct tree *tree, const char *number, const char *mode)
{
	g_autofree char *now = text_of(tree, "/" BUS PF "/sriov_numvfs");

	g_assert_cmpstr(now, ==, number);
	g_assert_cmpstr(eswitch.is.mode, ==, mode);
}

/* Through zero there and back, and not while one is in use. */
static void test_switchdev_with_vfs(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	eswitch.handle = "pci/" PF;
	tree_write(tree, "2", BUS PF "/sriov_numvfs");
	make_vfs(PF, 2);
	g_autoptr(GPtrArray) steps = apply_text(tree, SWITCHDEV, false);
	g_assert_true(setup_is_well(steps));
	expect_vfs(tree, "3", DEVLINK_SWITCHDEV);
	use_vf(tree);
	g_autoptr(GPtrArray) failed = revert(tree);
	g_assert_false(setup_is_well(failed));
	expect_vfs(tree, "3", DEVLINK_SWITCHDEV);
	tree_write(tree, "0x1002", "sys/class/net/eth5/flags");
	g_autoptr(GPtrArray) undone = revert(tree);
	g_assert_true(setup_is_well(undone));
	expect_vfs(tree, "2", DEVLINK_LEGACY);
}

static void test_switchdev_in_use(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	eswitch.handle = "pci/" PF;
	tree_write(tree, "3", BUS PF "/sriov_numvfs");
	make_vfs(PF, 3);
	use_vf(tree);
	expect_blocked(tree, SWITCHDEV, SETUP_MODE, "VF 1 (0000:01:10.1) is up, as eth5");
	g_assert_cmpstr(eswitch.is.mode, ==, DEVLINK_LEGACY);
}

#define LEGACY "[physical p]\ndevices=eth0\nvfs=3\nmode=legacy\n"

/* What we have put into switchdev mode, and a NIC that was in it before us. */
static void test_legacy(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	eswitch.handle = "pci/" PF;
	wants_headers = true;
	g_autoptr(GPtrArray) switchdev = apply_text(tree, SWITCHDEV, false);
	use_vf(tree);
	expect_blocked(tree, LEGACY, SETUP_MODE, "VF 1 (0000:01:10.1) is up, as eth5");
	expect_vfs(tree, "3", DEVLINK_SWITCHDEV);
	tree_write(tree, "0x1002", "sys/class/net/eth5/flags");
	g_autoptr(GPtrArray) legacy = apply_text(tree, LEGACY, false);
	g_assert_cmpint(find(legacy, SETUP_MODE)->state, ==, SETUP_DONE);
	expect_vfs(tree, "3", DEVLINK_LEGACY);
	g_autoptr(GPtrArray) undone = revert(tree);
	g_assert_true(setup_is_well(switchdev) && setup_is_well(legacy) && setup_is_well(undone));
	g_assert_cmpstr(eswitch.is.inline_mode, ==, "transport"); /* which legacy mode has not */
	expect_vfs(tree, "0", DEVLINK_LEGACY);
	eswitch.is.mode = DEVLINK_SWITCHDEV;
	g_autoptr(GPtrArray) boot = apply_text(tree, USUAL, true);
	expect_vfs(tree, "3", DEVLINK_LEGACY);
	g_autoptr(GPtrArray) as_before = revert(tree);
	g_assert_true(setup_is_well(boot) && setup_is_well(as_before));
	expect_vfs(tree, "0", DEVLINK_SWITCHDEV);
}

static void test_headers(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	eswitch.handle = "pci/" PF;
	eswitch.is.inline_mode = "none";
	eswitch.is.encap_mode = "none";
	wants_headers = true;
	g_autoptr(GPtrArray) steps = apply_text(tree, SWITCHDEV, false);
	g_assert_true(setup_is_well(steps));
	g_assert_cmpint(find(steps, SETUP_INLINE_MODE)->state, ==, SETUP_DONE);
	g_assert_cmpstr(eswitch.is.inline_mode, ==, "transport");
	g_assert_cmpstr(eswitch.is.encap_mode, ==, "basic");
	g_autoptr(GPtrArray) undone = revert(tree);
	g_assert_true(setup_is_well(undone));
	g_assert_cmpstr(eswitch.is.inline_mode, ==, "link");
	g_assert_cmpstr(eswitch.is.encap_mode, ==, "none");
}

static void test_hugepages(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();
	g_autoptr(GPtrArray) steps = apply_text(tree, "[memory]\nhugepages=512\n", false);
	g_autofree char *now = text_of(tree, "/proc/sys/vm/nr_hugepages");
	g_autofree char *later = text_of(tree, "/etc/sysctl.d/50-sluice.conf");

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
		_cleanup_(tree_free) struct tree *tree = machine_new();
		tree_write(tree, ways[i].line, "proc/cmdline");
		tree_write(tree, ways[i].processor, "proc/cpuinfo");
		if (ways[i].dmar)
			tree_write(tree, "", "sys/firmware/acpi/tables/DMAR");
		if (!ways[i].grub)
			tree_remove(tree, "etc/default/grub");
		g_autoptr(GPtrArray) steps = plan_text(tree, USUAL, false, NULL);
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
	_cleanup_(tree_free) struct tree *tree = machine_new();

	tree_write(tree, "3", BUS PF "/sriov_numvfs");
	make_vfs(PF, 3);
	tree_write(tree, "9", BUS "0000:01:10.1/net/eth3/ifindex");
	tree_write(tree, "auto eth3", "etc/network/interfaces");
	g_autoptr(GPtrArray) steps = plan_text(tree, USUAL, false, NULL);
	g_assert_cmpint(find(steps, SETUP_PERSON)->state, ==, SETUP_FOR_PERSON);
	g_assert_nonnull(strstr(find(steps, SETUP_PERSON)->text, "take eth3 out: it is VF 1 of eth0"));
}

static void test_output(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();
	g_autoptr(GPtrArray) steps = plan_text(tree, "[physical p]\ndevices=eth0\nvfs=8\n", false, NULL);
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
	log_of_writes = g_string_new(NULL);
	log_of_runs = g_string_new(NULL);
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
	TEST("an eswitch is set before there are VFs, again at a start, and reverted", test_switchdev);
	TEST("VFs are made again around a change of the eswitch's mode", test_switchdev_with_vfs);
	TEST("an eswitch whose VFs are in use is left alone, and they are named", test_switchdev_in_use);
	TEST("an eswitch is set back where the host file has legacy, never under VFs in use, and reverted",
		test_legacy);
	TEST("headers and tunnels are seen to once the mode shows what they are", test_headers);
	TEST("huge pages are kept when they are asked for", test_hugepages);
	TEST("the kernel's line gets what it lacks, by GRUB or by hand", test_kernel_lines);
	TEST("a VF that ifupdown configures is a person's to take out", test_keepers);
	TEST("JSON says what is and what is wanted", test_output);
	int status = g_test_run();
	g_string_free(log_of_writes, true);
	g_string_free(log_of_runs, true);
	return status;
}
