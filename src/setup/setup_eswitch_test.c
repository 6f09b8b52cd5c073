/* Tests of setting eswitches up: their modes, and the tc offload that flows need, on a made-up host. */
#include "setup/test_setup.h"

#include <string.h>

#define USUAL     "[physical physnet1]\ndevices = eth0\nvfs = 3\n"
#define SWITCHDEV "[physical p]\ndevices=eth0\nvfs=3\nmode=switchdev\n"

static void test_switchdev(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();

	test_setup_expect_blocked(tree, SWITCHDEV, SETUP_MODE, "the NIC or its driver has no eswitch");
	test_setup.eswitch.handle = "pci/" TEST_SETUP_PF;
	g_autoptr(GPtrArray) steps = test_setup_apply(tree, SWITCHDEV, false);
	g_assert_true(setup_is_well(steps));
	g_assert_cmpstr(test_setup.eswitch.is.mode, ==, DEVLINK_SWITCHDEV);
	g_assert_cmpint(test_setup_find(steps, SETUP_INLINE_MODE)->state, ==, SETUP_SO);
	g_assert_cmpint(test_setup_find(steps, SETUP_ENCAP_MODE)->state, ==, SETUP_SO);
	test_setup.eswitch.is.mode = DEVLINK_LEGACY; /* a restart */
	tree_write(tree, "0", TEST_SETUP_BUS TEST_SETUP_PF "/sriov_numvfs");
	g_autoptr(GPtrArray) again = test_setup_apply(tree, SWITCHDEV, true);
	g_assert_true(setup_is_well(again));
	g_assert_cmpstr(test_setup.eswitch.is.mode, ==, DEVLINK_SWITCHDEV);
	g_autoptr(GPtrArray) undone = test_setup_revert(tree);
	g_assert_true(setup_is_well(undone));
	g_assert_cmpstr(test_setup.eswitch.is.mode, ==, DEVLINK_LEGACY);
}

static void expect_features(enum ethtool_feature of_pf, enum ethtool_feature of_representors)
{
	g_assert_cmpint(test_setup.features[0].is, ==, of_pf);
	for (unsigned i = 0; i < TEST_SETUP_VFS; i++)
		g_assert_cmpint(test_setup.features[1 + i].is, ==, of_representors);
}

static void test_offload(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();

	test_setup.eswitch.handle = "pci/" TEST_SETUP_PF;
	g_autoptr(GPtrArray) plan = test_setup_plan(tree, SWITCHDEV, false, NULL);
	g_autofree char *text = setup_text(plan);
	g_assert_nonnull(strstr(text,
		"to do    tc-offload  " TEST_SETUP_PF " (off -> on): the NIC takes flows of tc on eth0"));
	g_assert_nonnull(strstr(text, "to do    representors  " TEST_SETUP_PF " (- -> on): "));
	expect_features(ETHTOOL_OFF, ETHTOOL_OFF);
	g_autoptr(GPtrArray) steps = test_setup_apply(tree, SWITCHDEV, false);
	g_assert_true(setup_is_well(steps));
	expect_features(ETHTOOL_ON, ETHTOOL_ON);
	g_autoptr(GPtrArray) again = test_setup_apply(tree, SWITCHDEV, false);
	g_assert_cmpuint(test_setup_count(again, SETUP_SO), ==, again->len);
	test_setup.features[0].is = test_setup.features[1].is = test_setup.features[2].is =
		test_setup.features[3].is = ETHTOOL_OFF; /* a restart */
	g_autoptr(GPtrArray) boot = test_setup_apply(tree, SWITCHDEV, true);
	g_assert_cmpint(test_setup_find(boot, SETUP_OFFLOAD)->state, ==, SETUP_DONE);
	expect_features(ETHTOOL_ON, ETHTOOL_ON);
	test_setup.features[2].is = ETHTOOL_OFF; /* of one VF, as after it was made again */
	g_autoptr(GPtrArray) one = test_setup_apply(tree, SWITCHDEV, true);
	g_assert_cmpint(test_setup_find(one, SETUP_OFFLOAD)->state, ==, SETUP_SO);
	g_assert_cmpint(test_setup_find(one, SETUP_REPRESENTORS)->state, ==, SETUP_DONE);
	expect_features(ETHTOOL_ON, ETHTOOL_ON);
	g_autoptr(GPtrArray) undone = test_setup_revert(tree);
	g_assert_true(setup_is_well(undone));
	g_assert_cmpint(test_setup_find(undone, SETUP_OFFLOAD)->state, ==, SETUP_UNDONE);
	expect_features(ETHTOOL_OFF, ETHTOOL_OFF);
}

/* What was on before us stays on, and a driver that turns it on with the mode (mlx5_core) is asked for nothing. */
static void test_offload_before(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();

	test_setup.eswitch.handle = "pci/" TEST_SETUP_PF;
	test_setup.features[0].is = test_setup.features[1].is = test_setup.features[2].is =
		test_setup.features[3].is = ETHTOOL_ON;
	g_autoptr(GPtrArray) steps = test_setup_apply(tree, SWITCHDEV, false);
	g_assert_cmpint(test_setup_find(steps, SETUP_OFFLOAD)->state, ==, SETUP_SO);
	g_assert_cmpint(test_setup_find(steps, SETUP_REPRESENTORS)->state, ==, SETUP_SO);
	g_autoptr(GPtrArray) undone = test_setup_revert(tree);
	g_assert_true(setup_is_well(undone));
	expect_features(ETHTOOL_ON, ETHTOOL_ON);
}

static void test_offload_refused(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();

	test_setup.eswitch.handle = "pci/" TEST_SETUP_PF;
	test_setup.features[0].is = ETHTOOL_ABSENT;
	test_setup_expect_blocked(tree, SWITCHDEV, SETUP_OFFLOAD,
		"its driver, igb, offloads nothing of tc (ethtool -k: hw-tc-offload off [fixed])");
	g_assert_cmpstr(test_setup.eswitch.is.mode, ==, DEVLINK_LEGACY);
	test_setup.features[0].is = ETHTOOL_OFF;
	test_setup.features[2].stays = true;
	g_autoptr(GPtrArray) steps = test_setup_apply(tree, SWITCHDEV, false);
	g_assert_cmpint(test_setup_find(steps, SETUP_OFFLOAD)->state, ==, SETUP_DONE);
	g_assert_cmpint(test_setup_find(steps, SETUP_REPRESENTORS)->state, ==, SETUP_FAILED);
	g_assert_nonnull(strstr(test_setup_find(steps, SETUP_REPRESENTORS)->problem,
		"hw-tc-offload of rep1 cannot be turned on: its driver leaves it as it is"));
	test_setup.features[2].stays = false;
	test_setup.eswitch.representors[1] = NULL;
	g_autoptr(GPtrArray) lacking = test_setup_apply(tree, SWITCHDEV, false);
	g_assert_nonnull(strstr(test_setup_find(lacking, SETUP_REPRESENTORS)->problem,
		"1 of the 3 VFs of " TEST_SETUP_PF " have no representor here after"));
	test_setup.eswitch.representors[1] = "rep1";
	g_autoptr(GPtrArray) whole = test_setup_apply(tree, SWITCHDEV, false);
	g_assert_true(setup_is_well(whole));
	g_autoptr(GPtrArray) undone = test_setup_revert(tree);
	g_assert_true(setup_is_well(undone));
	expect_features(ETHTOOL_OFF, ETHTOOL_OFF);
}

static void use_vf(const struct tree *tree)
{
	tree_link(tree, "../../../bus/pci/drivers/igbvf", TEST_SETUP_BUS "0000:01:10.1/driver");
	tree_write(tree, "7", TEST_SETUP_BUS "0000:01:10.1/net/eth5/ifindex");
	tree_write(tree, "0x1003", "sys/class/net/eth5/flags");
}

static void expect_vfs(const struct tree *tree, const char *number, const char *mode)
{
	g_autofree char *now = test_setup_text(tree, "/" TEST_SETUP_BUS TEST_SETUP_PF "/sriov_numvfs");

	g_assert_cmpstr(now, ==, number);
	g_assert_cmpstr(test_setup.eswitch.is.mode, ==, mode);
}

/* Through zero there and back, and not while one is in use. */
static void test_switchdev_with_vfs(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();

	test_setup.eswitch.handle = "pci/" TEST_SETUP_PF;
	tree_write(tree, "2", TEST_SETUP_BUS TEST_SETUP_PF "/sriov_numvfs");
	test_setup_make_vfs(TEST_SETUP_PF, 2);
	g_autoptr(GPtrArray) steps = test_setup_apply(tree, SWITCHDEV, false);
	g_assert_true(setup_is_well(steps));
	expect_vfs(tree, "3", DEVLINK_SWITCHDEV);
	use_vf(tree);
	g_autoptr(GPtrArray) failed = test_setup_revert(tree);
	g_assert_false(setup_is_well(failed));
	expect_vfs(tree, "3", DEVLINK_SWITCHDEV);
	expect_features(ETHTOOL_ON, ETHTOOL_ON);
	tree_write(tree, "0x1002", "sys/class/net/eth5/flags");
	g_autoptr(GPtrArray) undone = test_setup_revert(tree);
	g_assert_true(setup_is_well(undone));
	expect_vfs(tree, "2", DEVLINK_LEGACY);
	expect_features(ETHTOOL_OFF, ETHTOOL_OFF);
}

static void test_switchdev_in_use(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();

	test_setup.eswitch.handle = "pci/" TEST_SETUP_PF;
	tree_write(tree, "3", TEST_SETUP_BUS TEST_SETUP_PF "/sriov_numvfs");
	test_setup_make_vfs(TEST_SETUP_PF, 3);
	use_vf(tree);
	test_setup_expect_blocked(tree, SWITCHDEV, SETUP_MODE, "VF 1 (0000:01:10.1) is up, as eth5");
	g_assert_cmpstr(test_setup.eswitch.is.mode, ==, DEVLINK_LEGACY);
}

#define LEGACY "[physical p]\ndevices=eth0\nvfs=3\nmode=legacy\n"

/* What we have put into switchdev mode, and a NIC that was in it before us. */
static void test_legacy(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();

	test_setup.eswitch.handle = "pci/" TEST_SETUP_PF;
	test_setup.wants_headers = true;
	g_autoptr(GPtrArray) switchdev = test_setup_apply(tree, SWITCHDEV, false);
	use_vf(tree);
	test_setup_expect_blocked(tree, LEGACY, SETUP_MODE, "VF 1 (0000:01:10.1) is up, as eth5");
	expect_vfs(tree, "3", DEVLINK_SWITCHDEV);
	tree_write(tree, "0x1002", "sys/class/net/eth5/flags");
	g_autoptr(GPtrArray) legacy = test_setup_apply(tree, LEGACY, false);
	g_assert_cmpint(test_setup_find(legacy, SETUP_MODE)->state, ==, SETUP_DONE);
	expect_vfs(tree, "3", DEVLINK_LEGACY);
	g_autoptr(GPtrArray) undone = test_setup_revert(tree);
	g_assert_true(setup_is_well(switchdev) && setup_is_well(legacy) && setup_is_well(undone));
	g_assert_cmpstr(test_setup.eswitch.is.inline_mode, ==, "transport"); /* which legacy mode has not */
	expect_vfs(tree, "0", DEVLINK_LEGACY);
	test_setup.eswitch.is.mode = DEVLINK_SWITCHDEV;
	g_autoptr(GPtrArray) boot = test_setup_apply(tree, USUAL, true);
	expect_vfs(tree, "3", DEVLINK_LEGACY);
	g_autoptr(GPtrArray) as_before = test_setup_revert(tree);
	g_assert_true(setup_is_well(boot) && setup_is_well(as_before));
	expect_vfs(tree, "0", DEVLINK_SWITCHDEV);
}

static void test_headers(void)
{
	_cleanup_(tree_free) struct tree *tree = test_setup_new();

	test_setup.eswitch.handle = "pci/" TEST_SETUP_PF;
	test_setup.eswitch.is.inline_mode = "none";
	test_setup.eswitch.is.encap_mode = "none";
	test_setup.wants_headers = true;
	g_autoptr(GPtrArray) steps = test_setup_apply(tree, SWITCHDEV, false);
	g_assert_true(setup_is_well(steps));
	g_assert_cmpint(test_setup_find(steps, SETUP_INLINE_MODE)->state, ==, SETUP_DONE);
	g_assert_cmpstr(test_setup.eswitch.is.inline_mode, ==, "transport");
	g_assert_cmpstr(test_setup.eswitch.is.encap_mode, ==, "basic");
	g_autoptr(GPtrArray) undone = test_setup_revert(tree);
	g_assert_true(setup_is_well(undone));
	g_assert_cmpstr(test_setup.eswitch.is.inline_mode, ==, "link");
	g_assert_cmpstr(test_setup.eswitch.is.encap_mode, ==, "none");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add_func("/setup/" name, function)
	TEST("an eswitch is set before there are VFs, again at a start, and reverted", test_switchdev);
	TEST("tc offload is turned on, of representors too, again at a start, and reverted", test_offload);
	TEST("tc offload that was on before is left on", test_offload_before);
	TEST("a NIC without tc offload is told before anything is done, one that refuses it afterwards",
		test_offload_refused);
	TEST("VFs are made again around a change of the eswitch's mode", test_switchdev_with_vfs);
	TEST("an eswitch whose VFs are in use is left alone, and they are named", test_switchdev_in_use);
	TEST("an eswitch is set back where the host file has legacy, never under VFs in use, and reverted",
		test_legacy);
	TEST("headers and tunnels are seen to once the mode shows what they are", test_headers);
	return g_test_run();
}
