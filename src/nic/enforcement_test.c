/* Tests of what functions of PFs can enforce: drivers' answers are made up, or netdevsim's as they were recorded. */
#include "base/fault.h"
#include "base/test_tree.h"
#include "nic/enforcement.h"
#include "nic/sriov_priv.h"
#include "nic/test_devlink.h"
#include "nic/test_trace.h"

#include <string.h>

#define BUS     "sys/bus/pci/devices/"
#define ADDRESS "0000:03:00.0"
#define TOTAL   7

/* A driver: attributes that it has, and what happens to those who ask. */
struct driver {
	unsigned takes; /* set of enum vf_attribute */
	bool denies;
	unsigned asked;
};

static bool takes(void *data, const char *pf, unsigned beyond, enum vf_attribute attribute, GError **error)
{
	struct driver *driver = data;

	driver->asked++;
	g_assert_cmpuint(beyond, ==, TOTAL);
	if (driver->denies)
		return fault_set(error, FAULT_DENIED, "%s: Operation not permitted", pf);
	return driver->takes & attribute ||
	       fault_set(error, FAULT_UNSUPPORTED, "%s: Operation not supported", pf);
}

/* igb's, as the lab's kernel has it: no state of links. */
#define IGB (VF_MAC | VF_VLAN | VF_SPOOFCHK | VF_TRUST | VF_RATE)

/* A PF with `n` VFs whose attributes are known. */
static GPtrArray *pf_new(const struct tree *tree, const char *netdev, unsigned n)
{
	g_autofree char *number = g_strdup_printf("%u", n);

	tree_write(tree, "0x020000", BUS ADDRESS "/class");
	tree_write(tree, "0x8086", BUS ADDRESS "/vendor");
	tree_link(tree, "../../../bus/pci/drivers/igb", BUS ADDRESS "/driver");
	tree_write(tree, "1", BUS ADDRESS "/net/%s/ifindex", netdev);
	tree_write(tree, G_STRINGIFY(TOTAL), BUS ADDRESS "/sriov_totalvfs");
	tree_write(tree, number, BUS ADDRESS "/sriov_numvfs");
	for (unsigned i = 0; i < n; i++) {
		g_autofree char *target = g_strdup_printf("../0000:03:10.%u", i);
		tree_write(tree, "0x020000", BUS "0000:03:10.%u/class", i);
		tree_link(tree, target, BUS ADDRESS "/virtfn%u", i);
		tree_link(tree, "../" ADDRESS, BUS "0000:03:10.%u/physfn", i);
	}
	GPtrArray *pfs = inventory_read(tree->root);
	g_assert_cmpuint(pfs->len, ==, 1);
	const struct nic_pf *pf = pfs->pdata[0];
	g_assert_cmpuint(pf->vfs->len, ==, n);
	for (unsigned i = 0; i < n; i++)
		((struct nic_vf *)pf->vfs->pdata[i])->attributes.known = IGB | VF_LINK;
	return pfs;
}

static json_t *describe(const GPtrArray *pfs, struct driver *driver, struct genl *ethtool)
{
	const struct enforcement_source source = {takes, driver, ethtool};

	return enforcement_describe(pfs->pdata[0], &source);
}

static const char *text_of(const json_t *json, const char *member)
{
	return json_string_value(json_object_get(json, member));
}

/* reason: pattern; NULL: none is wanted. */
static void expect_ability(const json_t *json, const char *name, const char *answer, const char *reason)
{
	json_t *ability;
	size_t i;

	json_array_foreach(json_object_get(json, "abilities"), i, ability)
	{
		if (!g_str_equal(text_of(ability, "name"), name))
			continue;
		g_assert_cmpstr(text_of(ability, "answer"), ==, answer);
		const char *is = text_of(ability, "reason");
		if (is)
			g_test_message("%s: %s", name, is);
		g_assert_true(reason ? is && g_pattern_match_simple(reason, is) : !is);
		return;
	}
	g_error("there is no ability %s", name);
}

/* enforcer: NULL: it stays synthetic. */
static void expect_network(const json_t *json, size_t i, const char *enforcer, bool guest, const char *reason)
{
	const json_t *network = json_array_get(json_object_get(json, "networks"), i);
	const char *is = text_of(network, "reason");

	g_assert_cmpstr(text_of(network, "enforcer"), ==, enforcer);
	g_assert_cmpint(json_is_true(json_object_get(network, "guest")), ==, guest);
	g_assert_true(reason ? is && g_pattern_match_simple(reason, is) : !is);
}

/* As nic_caps_allow() decides by the provider's own bits. */
static void expect_same(const json_t *json, const struct nic_caps *caps)
{
	static const struct {
		enum nic_segment segment;
		enum nic_policy policy;
	} rows[] = {{NIC_SEGMENT_VXLAN, NIC_POLICY_OTHER}, {NIC_SEGMENT_VLAN, NIC_POLICY_ALLOW_ALL},
		{NIC_SEGMENT_VLAN, NIC_POLICY_OTHER}};

	g_assert_cmpstr(text_of(json, "provider"), ==, caps->name);
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		const char *reason = NULL, *unused;
		enum nic_enforcer by;
		bool alone = nic_caps_allow(caps, rows[i].segment, rows[i].policy, false, &by, &reason),
		     guest = nic_caps_allow(caps, rows[i].segment, rows[i].policy, true, &by, &unused);
		if (alone && rows[i].segment == NIC_SEGMENT_VXLAN)
			reason = "if the host's underlay leaves by it*";
		expect_network(json, i, alone ? "hardware" : NULL, guest && !alone, reason);
	}
}

static void test_legacy(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	g_autoptr(GPtrArray) pfs = pf_new(tree, "ens1", 2);
	struct driver igb = {.takes = IGB};
	json_auto_t *json = describe(pfs, &igb, NULL);

	g_assert_cmpstr(text_of(json, "provider"), ==, "sriov");
	g_assert_cmpuint(igb.asked, ==, VF_ATTRIBUTES);
	for (unsigned i = 0; i < VF_ATTRIBUTES; i++)
		if (IGB & 1u << i)
			expect_ability(json, vf_attribute_word(1u << i), ENFORCEMENT_YES, NULL);
	expect_ability(json, "link", ENFORCEMENT_NO, "its driver, igb, does not take it");
	expect_ability(json, "addresses", ENFORCEMENT_NO, "*whatever IP addresses*");
	expect_ability(json, "policy", ENFORCEMENT_NO, "*MAC and VLAN alone*shows no eswitch");
	expect_ability(json, "tunnels", ENFORCEMENT_NO, "*shows no eswitch");
	expect_network(json, 0, NULL, false, "*vxlan segment*");
	expect_network(json, 1, "hardware", false, NULL);
	expect_network(json, 2, NULL, true, "*security groups*");
	expect_same(json, &sriov_legacy.caps);
}

static void test_withheld(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	g_autoptr(GPtrArray) pfs = pf_new(tree, "ens1", 1);
	struct driver weak = {.takes = IGB & ~VF_SPOOFCHK};
	json_auto_t *json = describe(pfs, &weak, NULL);

	expect_ability(json, "spoofchk", ENFORCEMENT_NO, "its driver, igb, does not take it");
	for (size_t i = 0; i < 3; i++)
		expect_network(json, i, NULL, false, "No VF is handed out without its spoofchk: its driver*");
}

static void test_hidden(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	g_autoptr(GPtrArray) pfs = pf_new(tree, "ens1", 1);
	const struct nic_pf *pf = pfs->pdata[0];
	struct driver igb = {.takes = IGB};

	((struct nic_vf *)pf->vfs->pdata[0])->attributes.known &= ~VF_SPOOFCHK;
	json_auto_t *json = describe(pfs, &igb, NULL);
	expect_ability(json, "spoofchk", ENFORCEMENT_NO, "*does not show it");
	expect_network(json, 1, NULL, false, "No VF is handed out*");
}

static void test_unknown(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new(), *other = tree_new();
	g_autoptr(GPtrArray) without = pf_new(tree, "ens1", 0), with = pf_new(other, "ens1", 1);
	struct driver silent = {}, strict = {.denies = true};
	json_auto_t *no_vf = describe(without, &silent, NULL), *denied = describe(with, &strict, NULL);

	g_assert_cmpuint(silent.asked, ==, 0);
	expect_ability(no_vf, "spoofchk", ENFORCEMENT_UNKNOWN, "*no VF now*");
	expect_network(no_vf, 1, "hardware", false, NULL);
	expect_ability(denied, "mac", ENFORCEMENT_UNKNOWN, "*may not be asked by this user");
	expect_network(denied, 1, "hardware", false, NULL);
}

static void test_plain(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	g_autoptr(GPtrArray) pfs = pf_new(tree, "ens1", 0);
	struct driver none = {};

	((struct nic_pf *)pfs->pdata[0])->sriov = false;
	json_auto_t *json = describe(pfs, &none, NULL);
	g_assert_true(json_is_null(json_object_get(json, "provider")));
	g_assert_nonnull(text_of(json, "reason"));
	g_assert_null(json_object_get(json, "networks"));
}

static struct genl *recorded_ethtool(void)
{
	g_autofree char *path = g_test_build_filename(G_TEST_DIST, "traces", "netdevsim-ethtool.trace", NULL);

	return trace_replay(path);
}

/* As describe(), of a PF in the mode that the eswitch has. */
static json_t *describe_eswitch(const char *netdev, struct test_eswitch eswitch)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	g_autoptr(GPtrArray) pfs = pf_new(tree, netdev, 1);
	struct driver driver = {.takes = VF_MAC};
	_cleanup_(genl_close) struct genl *devlink = test_devlink_open(&eswitch, 1),
					  *ethtool = recorded_ethtool();

	inventory_add_eswitches(pfs, devlink);
	json_t *json = describe(pfs, &driver, ethtool);
	g_assert_cmpuint(driver.asked, ==, g_str_equal(eswitch.is.mode, DEVLINK_SWITCHDEV) ? 1 : 6);
	return json;
}

static void test_switchdev(void)
{
	json_auto_t *json = describe_eswitch("sim1p", (struct test_eswitch){.handle = "pci/" ADDRESS,
							      .is = {DEVLINK_SWITCHDEV, "transport", "basic"},
							      .representors = {"eth7"}});

	g_assert_cmpstr(text_of(json, "provider"), ==, "switchdev");
	expect_ability(json, "mac", ENFORCEMENT_YES, NULL);
	expect_ability(json, "vlan", ENFORCEMENT_NO, "the switch does, *");
	expect_ability(json, "rate", ENFORCEMENT_NO, "the switch does, *");
	expect_ability(json, "addresses", ENFORCEMENT_YES, NULL);
	expect_ability(json, "policy", ENFORCEMENT_YES, NULL);
	expect_ability(json, "tunnels", ENFORCEMENT_YES, "if the host's underlay leaves by it*");
	expect_same(json, &sriov_switchdev.caps);
}

static void test_no_offload(void)
{
	json_auto_t *json = describe_eswitch(
		"sim2p", (struct test_eswitch){.handle = "pci/" ADDRESS, .is.mode = DEVLINK_SWITCHDEV});

	expect_ability(
		json, "policy", ENFORCEMENT_NO, "tc offload of sim2p is turned off; *host setup --apply*");
	for (size_t i = 0; i < 3; i++)
		expect_network(json, i, "switch", false, "tc offload of sim2p is turned off*");
}

static void test_modes(void)
{
	json_auto_t *narrow = describe_eswitch("sim1p", (struct test_eswitch){.handle = "pci/" ADDRESS,
								.is = {DEVLINK_SWITCHDEV, "link", "none"}}),
		    *plain = describe_eswitch(
			    "sim1p", (struct test_eswitch){.handle = "pci/" ADDRESS,
					     .is = {DEVLINK_SWITCHDEV, "transport", "none"}}),
		    *legacy = describe_eswitch("sim1p",
			    (struct test_eswitch){.handle = "pci/" ADDRESS, .is.mode = DEVLINK_LEGACY});

	expect_ability(narrow, "policy", ENFORCEMENT_NO, "*inline mode link*host setup*");
	expect_ability(narrow, "tunnels", ENFORCEMENT_NO, "*inline mode link*host setup*");
	expect_network(narrow, 1, "switch", false, "*inline mode*");
	expect_ability(plain, "policy", ENFORCEMENT_YES, NULL);
	expect_ability(plain, "tunnels", ENFORCEMENT_NO, "*encap mode none*host setup*");
	expect_network(plain, 0, "switch", false, "*encap mode none*");
	expect_network(plain, 2, "hardware", false, NULL);
	g_assert_cmpstr(text_of(legacy, "provider"), ==, "sriov");
	expect_ability(legacy, "policy", ENFORCEMENT_NO, "*legacy mode*'mode = switchdev'*");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add_func("/enforcement/" name, function)
	TEST("a legacy PF enforces what its driver takes, and says why not the rest", test_legacy);
	TEST("without anti-spoofing no VF is handed out, and all networks say so", test_withheld);
	TEST("what a driver does not show it does not enforce", test_hidden);
	TEST("what cannot be asked is unknown, and nothing is made of it", test_unknown);
	TEST("a NIC without SR-IOV gives no functions", test_plain);
	TEST("a PF in switchdev mode enforces flows, and the switch the rest", test_switchdev);
	TEST("where tc offload is off, the switch enforces, and says why", test_no_offload);
	TEST("modes of an eswitch that keep flows out are reasons", test_modes);
	return g_test_run();
}
