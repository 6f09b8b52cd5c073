/* Tests of what the host's doctor finds of eswitches: a NIC in switchdev mode on which all is well, and the same broken in one way
 * after the other. devlink is made up; ethtool's answers are those that netdevsim gave for interfaces with offload on (sim1p), off
 * (sim2p) and without it (lo), and for a representor with it on. */
#include "base/test_tree.h"
#include "doctor/host_priv.h"
#include "nic/host_file.h"
#include "nic/test_devlink.h"
#include "nic/test_trace.h"

#include <string.h>

#define BUS "sys/bus/pci/devices/"
#define PF  "0000:03:00.0"
#define VF  "0000:03:00.2"

#define ON "sim2vf0" /* a representor */

#define WANTED   "[physical p]\ndevices = " PF "\nvfs = 1\nmode = switchdev\n"
#define UNWANTED "[physical p]\ndevices = " PF "\nvfs = 1\n"

static const struct test_eswitch well = {.handle = "pci/" PF,
	.is.mode = DEVLINK_SWITCHDEV,
	.is.inline_mode = "transport",
	.is.encap_mode = "basic",
	.firmware = "22.31.1014",
	.steering = "smfs",
	.representors = {ON}};

/* Of the test that runs: hooks have no argument. */
static struct test_eswitch eswitch;

static struct genl *open_genl(const char *family, GError **error)
{
	g_autofree char *path = g_test_build_filename(G_TEST_DIST, "traces", "netdevsim-ethtool.trace", NULL);

	return g_str_equal(family, "ethtool") ? trace_replay(path)
					      : test_devlink_open(&eswitch, eswitch.handle ? 1 : 0);
}

static const char *kernel; /* its release; NULL: it tells none */

static GPtrArray *examine(const char *host_file, const char *netdev)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	const struct host_source source = {
		.root = tree->root, .host_file = HOST_FILE, .open_genl = open_genl};
	GPtrArray *findings = findings_new();

	tree_write(tree, "0x020000", BUS PF "/class");
	tree_link(tree, "../../../bus/pci/drivers/mlx5_core", BUS PF "/driver");
	tree_write(tree, "1", BUS PF "/net/%s/ifindex", netdev);
	tree_write(tree, "1", BUS PF "/sriov_numvfs");
	tree_link(tree, "../" VF, BUS PF "/virtfn0");
	tree_write(tree, "0x020000", BUS VF "/class");
	tree_link(tree, "../" PF, BUS VF "/physfn");
	tree_write(tree, host_file, "etc/sluice/host.conf");
	if (kernel)
		tree_write(tree, kernel, "proc/sys/kernel/osrelease");
	host_check_eswitches(&source, findings);
	return findings;
}

static void test_well(void)
{
	eswitch = well;
	g_autoptr(GPtrArray) findings = examine(WANTED, "sim1p");
	const struct finding *finding = findings->pdata[0];

	g_assert_cmpuint(findings->len, ==, 1);
	g_assert_cmpint(finding->level, ==, FINDING_OK);
	g_assert_cmpstr(finding->text, ==, "sim1p is in switchdev mode, with firmware 22.31.1014");
}

static void test_kernels(void)
{
	static const struct {
		const char *release;
		enum finding_level level;
	} rows[] = {{"6.1.0-56-amd64\n", FINDING_NOTE}, {"5.10.0", FINDING_NOTE}, {"6.3.1", FINDING_OK},
		{"6.12.9+bpo-amd64", FINDING_OK}, {"7.0", FINDING_OK}, {"odd", FINDING_OK}};

	eswitch = well;
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		kernel = rows[i].release;
		g_autoptr(GPtrArray) findings = examine(WANTED, "sim1p");
		g_assert_cmpuint(findings->len, ==, 1);
		g_assert_cmpint(((const struct finding *)findings->pdata[0])->level, ==, rows[i].level);
	}
	kernel = NULL;
}

static void test_unconcerned(void)
{
	eswitch = well;
	g_autoptr(GPtrArray) unnamed = examine("", "sim1p");
	eswitch.is.mode = DEVLINK_LEGACY;
	g_autoptr(GPtrArray) legacy = examine(UNWANTED, "sim1p");
	eswitch.handle = NULL;
	g_autoptr(GPtrArray) none = examine(UNWANTED, "sim1p");

	g_assert_cmpuint(unnamed->len + legacy->len + none->len, ==, 0);
}

/* One way to break it, and what is found. */
static const struct broken {
	const char *name, *host_file, *netdev;
	struct test_eswitch eswitch;
	enum finding_level level;
	const char *says;
	const char *remedy; /* NULL: whatever it is */
} broken[] = {
	{"a driver without an eswitch", WANTED, "sim1p", {}, FINDING_PROBLEM,
		"the host file wants switchdev mode of sim1p (driver mlx5_core), and cannot have it: pci/" PF
		" shows no eswitch: No such device"},
	{"a NIC that is in legacy mode", WANTED, "sim1p", {.handle = "pci/" PF, .is.mode = DEVLINK_LEGACY},
		FINDING_PROBLEM, "sim1p is in legacy mode, and the host file wants switchdev mode"},
	{"a NIC that should be in legacy mode", UNWANTED, "sim1p",
		{.handle = "pci/" PF, .is.mode = DEVLINK_SWITCHDEV}, FINDING_PROBLEM,
		"the host file wants legacy mode"},
	{"tc offload that is off", WANTED, "sim2p",
		{.handle = "pci/" PF, .is.mode = DEVLINK_SWITCHDEV, .representors = {ON}}, FINDING_PROBLEM,
		"sim2p has tc offload turned off", "host setup --apply"},
	{"a representor whose tc offload is off", WANTED, "sim1p",
		{.handle = "pci/" PF, .is.mode = DEVLINK_SWITCHDEV, .representors = {"sim2p"}},
		FINDING_PROBLEM, "1 of the 1 VFs of sim1p have a representor with tc offload turned off",
		"host setup --apply"},
	{"a driver without tc offload", WANTED, "lo",
		{.handle = "pci/" PF, .is.mode = DEVLINK_SWITCHDEV, .representors = {ON}}, FINDING_PROBLEM,
		"lo has a driver that offloads nothing of tc"},
	{"a VF without a representor", WANTED, "sim1p", {.handle = "pci/" PF, .is.mode = DEVLINK_SWITCHDEV},
		FINDING_PROBLEM, "1 of the 1 VFs of sim1p have no representor here"},
	{"flows that cannot match ports", WANTED, "sim1p",
		{.handle = "pci/" PF,
			.is.mode = DEVLINK_SWITCHDEV,
			.representors = {ON},
			.is.inline_mode = "link"},
		FINDING_PROBLEM, "sim1p does not match ports"},
	{"flows that cannot put tunnels on", WANTED, "sim1p",
		{.handle = "pci/" PF,
			.is.mode = DEVLINK_SWITCHDEV,
			.representors = {ON},
			.is.inline_mode = "none",
			.is.encap_mode = "none"},
		FINDING_PROBLEM, "sim1p puts nothing into tunnels"},
	{"flows that the firmware puts in", WANTED, "sim1p",
		{.handle = "pci/" PF, .is.mode = DEVLINK_SWITCHDEV, .representors = {ON}, .steering = "dmfs"},
		FINDING_NOTE, "sim1p has its firmware put flows in"},
};

static void test_broken(gconstpointer data)
{
	const struct broken *one = data;

	eswitch = one->eswitch;
	g_autoptr(GPtrArray) findings = examine(one->host_file, one->netdev);
	const struct finding *finding = findings->pdata[0];

	g_assert_cmpuint(findings->len, ==, 1);
	g_test_message("%s -> %s", finding->text, finding->remedy);
	g_assert_cmpint(finding->level, ==, one->level);
	g_assert_cmpstr(finding->check, ==, "eswitch");
	g_assert_cmpstr(finding->subject, ==, PF);
	g_assert_nonnull(strstr(finding->text, one->says));
	g_assert_nonnull(finding->remedy);
	g_assert_nonnull(strstr(finding->remedy, one->remedy ? one->remedy : ""));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/doctor/a NIC in switchdev mode that takes flows is well", test_well);
	g_test_add_func("/doctor/kernels in which mlx5 takes no flows are noted", test_kernels);
	g_test_add_func("/doctor/NICs that the host file does not name, or wants as they are, are left alone",
		test_unconcerned);
	for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
		g_autofree char *path =
			g_strdup_printf("/doctor/%s is found, with its remedy", broken[i].name);
		g_test_add_data_func(path, &broken[i], test_broken);
	}
	return g_test_run();
}
