/* Tests of the choices of the providers sriov and switchdev and of their ledger, on made-up sysfs trees. What they do to VFs is
 * tested in the lab (sriov_lab_test.c, switchdev_lab_test.c). */
#include "base/fault.h"
#include "nic/pci_driver.h"
#include "nic/test_sriov.h"
#include "nic/vf_use.h"

#include <jansson.h>
#include <linux/if_ether.h>
#include <stdlib.h>
#include <string.h>

#define BUS TEST_SRIOV_BUS
#define PF1 TEST_SRIOV_PF1
#define PF2 TEST_SRIOV_PF2

static const struct nic_request request = {
	.nic = "a", .physical = "physnet1", .mac = {{2, 0, 0, 0, 0, 1}}, .vlan = 100};

/* The address of the VF that is picked. */
static const char *pick(const struct test_sriov *f, GPtrArray *inventory)
{
	g_autoptr(GError) error = NULL;
	const struct nic_pf *pf;
	const struct nic_vf *vf;

	g_assert_true(sriov_pick(test_sriov_provider(f), inventory, &request, &pf, &vf, &error));
	g_assert_no_error(error);
	return vf->address;
}

static void expect_refused(const struct test_sriov *f, GPtrArray *inventory, const struct nic_request *asked,
	int code, const char *says)
{
	g_autoptr(GError) error = NULL;
	const struct nic_pf *pf;
	const struct nic_vf *vf;

	g_assert_false(sriov_pick(test_sriov_provider(f), inventory, asked, &pf, &vf, &error));
	g_test_message("%s", error->message);
	g_assert_error(error, FAULT, code);
	g_assert_nonnull(strstr(error->message, says));
}

/* The first VF of both PFs is not given for that reason, and the second is. */
static void expect_obstacle(const struct test_sriov *f, const char *says)
{
	g_autoptr(GPtrArray) inventory = test_sriov_inventory(f);

	g_assert_cmpstr(pick(f, inventory), ==, test_sriov_vfs[0][1]);
	for (unsigned pf = 0; pf < 2; pf++)
		for (unsigned vf = pf ? 0 : 1; vf < 2; vf++)
			test_sriov_add_claim(f, pf ? PF2 : PF1, vf, "b");
	expect_refused(f, inventory, &request, FAULT_POOL_FULL, says);
}

static void add_netdev(const struct test_sriov *f, const char *flags)
{
	test_sriov_bind(f, test_sriov_vfs[0][0], "igbvf");
	tree_write(f->tree, "7", BUS "%s/net/sriov-vf1/ifindex", test_sriov_vfs[0][0]);
	tree_write(f->tree, flags, "sys/class/net/sriov-vf1/flags");
}

/* ---- choosing ---- */

static void test_spread(struct test_sriov *f, gconstpointer data)
{
	g_autoptr(GPtrArray) inventory = test_sriov_inventory(f);

	g_assert_cmpstr(pick(f, inventory), ==, test_sriov_vfs[0][0]);
	test_sriov_add_claim(f, PF1, 0, "b");
	g_assert_cmpstr(pick(f, inventory), ==, test_sriov_vfs[1][0]);
	test_sriov_add_claim(f, PF2, 0, "c");
	g_assert_cmpstr(pick(f, inventory), ==, test_sriov_vfs[0][1]);
	test_sriov_add_claim(f, PF1, 1, "d");
	test_sriov_add_claim(f, PF2, 1, "e");
	expect_refused(f, inventory, &request, FAULT_POOL_FULL,
		"of 4 on sriov-pf1, sriov-pf2, 4 are claimed; make more with `sluice host setup`");
}

static void test_idle_netdev(struct test_sriov *f, gconstpointer data)
{
	g_autoptr(GPtrArray) inventory = NULL;

	add_netdev(f, "0x1002");
	inventory = test_sriov_inventory(f);
	g_assert_cmpstr(pick(f, inventory), ==, test_sriov_vfs[0][0]);
}

static void test_up(struct test_sriov *f, gconstpointer data)
{
	add_netdev(f, "0x1003");
	expect_obstacle(f, "VF 0 of sriov-pf1 is up, as sriov-vf1");
}

static void test_port(struct test_sriov *f, gconstpointer data)
{
	add_netdev(f, "0x1002");
	tree_link(f->tree, "../br0", "sys/class/net/sriov-vf1/master");
	expect_obstacle(f, "VF 0 of sriov-pf1 is a port of br0");
}

static void test_upper(struct test_sriov *f, gconstpointer data)
{
	add_netdev(f, "0x1002");
	tree_link(f->tree, "../macvlan0", "sys/class/net/sriov-vf1/upper_macvlan0");
	expect_obstacle(f, "VF 0 of sriov-pf1 carries macvlan0");
}

static void test_elsewhere(struct test_sriov *f, gconstpointer data)
{
	test_sriov_bind(f, test_sriov_vfs[0][0], "igbvf");
	expect_obstacle(f, "VF 0 of sriov-pf1 is bound to igbvf, with no interface here");
}

static void test_group(struct test_sriov *f, gconstpointer data)
{
	test_sriov_add_device(f->tree, "0000:03:1f.0");
	tree_write(f->tree, "", "sys/kernel/iommu_groups/10/devices/0000:03:1f.0");
	expect_obstacle(f, "VF 0 of sriov-pf1 shares its IOMMU group with 0000:03:1f.0");
}

static void test_no_group(struct test_sriov *f, gconstpointer data)
{
	tree_remove(f->tree, BUS "%s/iommu_group", test_sriov_vfs[0][0]);
	expect_obstacle(f, "VF 0 of sriov-pf1 has no IOMMU group");
}

static void test_open(struct test_sriov *f, gconstpointer data)
{
	test_sriov_bind(f, test_sriov_vfs[0][0], "vfio-pci");
	tree_write(f->tree, "1:3", "sys/class/vfio/10/dev"); /* of /dev/null */
	tree_write(f->tree, "qemu", "proc/4711/comm");
	tree_link(f->tree, "/dev/zero", "proc/4711/fd/3");
	g_autoptr(GPtrArray) inventory = test_sriov_inventory(f);
	/* What is elsewhere is not looked at, since it might be where nobody answers. */
	tree_link(f->tree, "/dev/null", "mnt/disk");
	g_autofree char *disk = g_build_filename(f->tree->root, "mnt", "disk", NULL);
	tree_link(f->tree, disk, "proc/4711/fd/5");
	g_assert_cmpstr(pick(f, inventory), ==, test_sriov_vfs[0][0]);
	tree_link(f->tree, "/dev/null", "proc/4711/fd/4");
	expect_obstacle(f, "VF 0 of sriov-pf1 is open in qemu (process 4711)");
}

static void test_unknown_attributes(struct test_sriov *f, gconstpointer data)
{
	g_autoptr(GPtrArray) inventory = inventory_read(f->tree->root);

	expect_refused(f, inventory, &request, FAULT_POOL_FULL, "does not show its mac, vlan, spoofchk");
	expect_refused(f, inventory, &request, FAULT_POOL_FULL, "; 1 more cannot be given either");
}

static void test_macs(struct test_sriov *f, gconstpointer data)
{
	g_autoptr(GPtrArray) inventory = test_sriov_inventory(f);
	struct nic_request other = request;
	struct nic_pf *first = inventory->pdata[0], *second = inventory->pdata[1];

	((struct nic_vf *)second->vfs->pdata[1])->attributes.mac = request.mac;
	expect_refused(
		f, inventory, &request, FAULT_EXISTS, "VF 1 of sriov-pf2 has MAC 02:00:00:00:00:01 already");
	((struct nic_vf *)second->vfs->pdata[1])->attributes.mac = (struct mac_addr){};
	test_sriov_add_claim(f, PF1, 0, "b");
	other.mac = (struct mac_addr){{2, 0, 0, 0, 9, 0}};
	expect_refused(f, inventory, &other, FAULT_EXISTS, "of NIC b with VF 0");
	other.mac = (struct mac_addr){{0x52, 0x54, 0, 0, 0, 1}};
	g_assert_false(sriov_check_mac(
		test_sriov_provider(f), inventory, "physnet1", NULL, other.mac, NULL)); /* PF 1's */
	other.mac = (struct mac_addr){{2, 0, 0, 0, 0, 5}};
	g_assert_true(sriov_check_mac(test_sriov_provider(f), inventory, "physnet1", NULL, other.mac, NULL));
	struct nic_vf *own = first->vfs->pdata[1];
	own->attributes.mac = other.mac;
	g_assert_true(sriov_check_mac(test_sriov_provider(f), inventory, "physnet1", own, other.mac, NULL));
	g_assert_false(sriov_check_mac(test_sriov_provider(f), inventory, NULL, NULL, other.mac, NULL));
}

static void test_nothing(struct test_sriov *f, gconstpointer data)
{
	struct nic_request other = request;
	g_autoptr(GPtrArray) inventory = test_sriov_inventory(f), empty = g_ptr_array_new();

	other.physical = "physnet2";
	expect_refused(f, inventory, &other, FAULT_INVALID, "no physical network physnet2");
	other.physical = NULL;
	expect_refused(f, inventory, &other, FAULT_INVALID, "for a segment that is no VLAN");
	expect_refused(f, empty, &request, FAULT_POOL_FULL,
		"physnet1 has no VFs on 0000:03:00.0, 0000:04:00.0; make some with `sluice host setup`");
}

/* Its PFs may all be away, and come again: the first of them hears. */
static void test_follow(struct test_sriov *f, gconstpointer data)
{
	const struct nic_heard heard = {.physical = "physnet1", .mac = {{2, 0, 0, 0, 0, 7}}};
	g_autoptr(GPtrArray) none = g_ptr_array_new(), pfs = g_ptr_array_new(),
			     inventory = test_sriov_inventory(f);
	g_autoptr(GError) error = NULL;

	f->provider->ops->follow(f->provider, &(struct sriov_physical){"physnet1", none}, 1);
	expect_refused(f, inventory, &request, FAULT_POOL_FULL, "physnet1 has no PF here now");
	g_assert_true(f->provider->ops->hear(f->provider, &heard, 1, &error));
	g_assert_no_error(error);
	g_ptr_array_add(pfs, (char *)PF2);
	f->provider->ops->follow(f->provider, &(struct sriov_physical){"physnet1", pfs}, 1);
	g_assert_cmpstr(pick(f, inventory), ==, test_sriov_vfs[1][0]);
	g_assert_false(f->provider->ops->hear(f->provider, &heard, 1, &error));
	g_assert_nonnull(
		strstr(error->message, "sriov-pf2")); /* there is no such interface but in the tree */
}

/* ---- VFs with representors ---- */

static void test_representor(struct test_sriov *f, gconstpointer data)
{
	struct nic_request other = request;
	g_autoptr(GPtrArray) inventory = test_sriov_inventory(f);

	other.physical = "physnet2";
	g_assert_cmpstr(pick(f, inventory), ==, test_sriov_vfs[0][1]);
	expect_refused(f, inventory, &other, FAULT_POOL_FULL,
		"VF 0 of sriov-pf2 has a PF in legacy mode, not in switchdev mode");
	tree_write(f->tree, "0x1003", "sys/class/net/rep1/flags");
	expect_refused(f, inventory, &request, FAULT_POOL_FULL,
		"VF 0 of sriov-pf1 has no representor here; VF 1 of sriov-pf1 has a representor that is up, "
		"as rep1");
}

/* It is given what the underlay's NIC has, which is the one that can tunnel; the table says so, whatever its policy. */
static void test_vxlan(struct test_sriov *f, gconstpointer data)
{
	const struct nic_caps *caps = f->provider->caps;
	g_autoptr(GPtrArray) both = g_ptr_array_new(), second = g_ptr_array_new(),
			     inventory = test_sriov_inventory(f);
	struct nic_request tunnelled = request;
	enum nic_enforcer enforcer;
	const char *reason;

	for (int policy = NIC_POLICY_ALLOW_ALL; policy <= NIC_POLICY_OTHER; policy++) {
		g_assert_true(nic_caps_allow(caps, NIC_SEGMENT_VXLAN, policy, false, &enforcer, &reason));
		g_assert_cmpint(enforcer, ==, NIC_ENFORCER_HARDWARE);
	}
	tunnelled.tunnel = true;
	expect_refused(f, inventory, &tunnelled, FAULT_POOL_FULL,
		"the underlay on physical network physnet1 has no PF");
	g_ptr_array_add(both, (char *)PF1);
	g_ptr_array_add(both, (char *)PF2);
	g_ptr_array_add(second, (char *)PF2);
	f->provider->ops->follow(f->provider, &(struct sriov_physical){"physnet1", both, second}, 1);
	expect_refused(
		f, inventory, &tunnelled, FAULT_POOL_FULL, "VF 0 of sriov-pf2 has a PF in legacy mode");
	f->provider->ops->follow(f->provider, &(struct sriov_physical){"physnet1", both, both}, 1);
	const struct nic_pf *pf;
	const struct nic_vf *vf;
	g_autoptr(GError) error = NULL;
	g_assert_true(sriov_pick(test_sriov_provider(f), inventory, &tunnelled, &pf, &vf, &error));
	g_assert_cmpstr(vf->address, ==, test_sriov_vfs[0][1]);
	tunnelled.physical = NULL;
	expect_refused(f, inventory, &tunnelled, FAULT_INVALID, "no physical network");
}

/* Two PFs on a wire: for VLANs there are VFs of the first, whose eswitch has the switch's port, or of both where they have one eswitch. */
static void test_two_eswitches(struct test_sriov *f, gconstpointer data)
{
	g_autoptr(GPtrArray) both = g_ptr_array_new(), inventory = test_sriov_inventory(f);

	f->eswitches[1].is.mode = DEVLINK_SWITCHDEV;
	g_ptr_array_add(both, (char *)PF1);
	g_ptr_array_add(both, (char *)PF2);
	f->provider->ops->follow(f->provider, &(struct sriov_physical){"physnet1", both}, 1);
	g_clear_pointer(&inventory, g_ptr_array_unref);
	inventory = test_sriov_inventory(f);
	g_assert_cmpstr(pick(f, inventory), ==, test_sriov_vfs[0][1]);
	test_sriov_add_claim(f, PF1, 1, "b"); /* and there is another on the first now */
	expect_refused(f, inventory, &request, FAULT_POOL_FULL,
		"VFs of sriov-pf2 are of another eswitch than sriov-pf1, which the switch is on");
	g_autoptr(GPtrArray) survey = f->provider->ops->survey(f->provider);
	const struct nic_device *last = survey->pdata[3];
	g_assert_cmpint(last->use, ==, NIC_USE_UNAVAILABLE);
	g_assert_cmpstr(last->detail, ==, "is of another eswitch than sriov-pf1, which the switch is on");

	tree_write(f->tree, "0011223344556677", "sys/class/net/sriov-pf1/phys_switch_id");
	tree_write(f->tree, "0011223344556677", "sys/class/net/sriov-pf2/phys_switch_id");
	g_autoptr(GPtrArray) one = test_sriov_inventory(f);
	g_assert_cmpstr(pick(f, one), ==, test_sriov_vfs[1][0]);
}

static void test_representors_told(struct test_sriov *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	test_sriov_add_claim(f, PF1, 1, "b");
	g_autoptr(GPtrArray) list = f->provider->ops->list(f->provider);
	g_autoptr(GPtrArray) survey = f->provider->ops->survey(f->provider);
	const struct nic_function *function = list->pdata[0];
	const struct nic_device *first = survey->pdata[0], *second = survey->pdata[1];
	g_assert_cmpstr(function->representor, ==, "rep1");
	g_assert_null(first->representor);
	g_assert_cmpstr(first->detail, ==, "has no representor here");
	g_assert_cmpstr(second->representor, ==, "rep1");

	struct sriov_claim *claim = test_sriov_provider(f)->ledger->claims->pdata[0];
	g_clear_pointer(&claim->physical, g_free);
	g_assert_true(sriov_ledger_save(test_sriov_provider(f)->ledger, &error));
	_cleanup_(sriov_ledger_free) struct sriov_ledger *again = sriov_ledger_load(f->ledger, &error);
	g_assert_no_error(error);
	claim = again->claims->pdata[0];
	g_assert_null(claim->physical);
}

/* ---- listing ---- */

static void test_survey(struct test_sriov *f, gconstpointer data)
{
	test_sriov_add_claim(f, PF2, 1, "b");
	test_sriov_add_claim(f, PF2, 7, "c"); /* such a VF there is not */
	g_autoptr(GPtrArray) survey = f->provider->ops->survey(f->provider);
	g_assert_cmpuint(survey->len, ==, 5);
	const struct nic_device *unknown = survey->pdata[0], *claimed = survey->pdata[3],
				*lost = survey->pdata[4];
	g_assert_cmpstr(nic_use_word(unknown->use), ==, "unavailable");
	g_assert_cmpstr(claimed->name, ==, test_sriov_vfs[1][1]);
	g_assert_cmpstr(claimed->nic, ==, "b");
	g_assert_cmpstr(nic_use_word(claimed->use), ==, "claimed");
	g_assert_cmpstr(nic_use_word(lost->use), ==, "lost");
	g_assert_cmpstr(lost->nic, ==, "c");
}

/* ---- the ledger ---- */

static void test_steps(void)
{
	g_assert_cmpint(sriov_next(SRIOV_FREE, SRIOV_CALL_ARM), ==, SRIOV_REFUSED);
	g_assert_cmpint(sriov_next(SRIOV_RESETTING, SRIOV_CALL_CLAIM), ==, SRIOV_REFUSED);
	g_assert_cmpint(sriov_next(SRIOV_RESETTING, SRIOV_CALL_ARM), ==, SRIOV_REFUSED);
	g_assert_cmpint(sriov_next(SRIOV_CUT, SRIOV_CALL_CLAIM), ==, SRIOV_REFUSED);
	g_assert_cmpint(sriov_next(SRIOV_CUT, SRIOV_CALL_ARM), ==, SRIOV_REFUSED);
	g_assert_cmpint(sriov_next(SRIOV_FREE, SRIOV_CALL_CUT), ==, SRIOV_REFUSED);
	g_assert_cmpint(sriov_next(SRIOV_ARMED, SRIOV_CALL_CLAIM), ==, SRIOV_ARMED);
	/* A call that is repeated stays where it has led. */
	for (int step = 0; step < SRIOV_STEPS; step++)
		for (int call = 0; call < SRIOV_CALLS; call++) {
			int next = sriov_next(step, call);
			if (next != SRIOV_REFUSED)
				g_assert_cmpint(sriov_next(next, call), ==, next);
		}
	/* Nothing but the end of a release makes a VF free. */
	for (int step = SRIOV_CLAIMED; step < SRIOV_STEPS; step++)
		for (int call = 0; call < SRIOV_CALLS; call++)
			g_assert_cmpint(sriov_next(step, call), !=, SRIOV_FREE);
}

static void test_ledger(struct test_sriov *f, gconstpointer data)
{
	struct sriov_ledger *ledger = test_sriov_provider(f)->ledger;
	g_autoptr(GError) error = NULL;

	test_sriov_add_claim(f, PF1, 1, "b");
	struct sriov_claim *claim = ledger->claims->pdata[0];
	claim->rate_mbps = 4000000000u;
	claim->vlan = 4094;
	claim->step = SRIOV_RESETTING;
	claim->reason = g_strdup("its mac is …");
	claim->original.driver = g_strdup("igbvf");
	claim->original.attributes = (struct vf_attributes){.known = VF_MAC | VF_TRUST,
		.mac = request.mac,
		.vlan = 7,
		.priority = 3,
		.vlan_protocol = ETH_P_8021AD,
		.trust = true,
		.min_rate = 1,
		.max_rate = 2,
		.link = VF_LINK_DISABLE};
	struct sriov_heard *heard = g_new0(struct sriov_heard, 1);
	*heard = (struct sriov_heard){g_strdup("physnet1"), request.mac};
	g_ptr_array_add(ledger->heard, heard);
	struct sriov_filter *filter = g_new0(struct sriov_filter, 1);
	*filter = (struct sriov_filter){g_strdup(PF1), request.mac};
	g_ptr_array_add(ledger->filters, filter);
	g_assert_true(sriov_ledger_save(ledger, &error));

	_cleanup_(sriov_ledger_free) struct sriov_ledger *again = sriov_ledger_load(f->ledger, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(again->claims->len, ==, 1);
	const struct sriov_claim *read = sriov_ledger_find_vf(again, PF1, 1);
	g_assert_cmpstr(read->nic, ==, "b");
	g_assert_null(sriov_ledger_find_nic(again, "b")); /* it may claim another */
	g_assert_cmpuint(read->rate_mbps, ==, 4000000000u);
	g_assert_cmpuint(read->vlan, ==, 4094);
	g_assert_cmpint(read->step, ==, SRIOV_RESETTING);
	g_assert_cmpstr(read->reason, ==, claim->reason);
	g_assert_cmpstr(read->original.driver, ==, "igbvf");
	g_assert_null(read->original.override);
	const unsigned all = (1u << VF_ATTRIBUTES) - 1;
	g_assert_cmpuint(read->original.attributes.known, ==, VF_MAC | VF_TRUST);
	struct vf_attributes compared = read->original.attributes;
	compared.known = all;
	g_assert_cmpuint(vf_compare(&compared, &claim->original.attributes, all), ==, 0);
	const struct sriov_heard *heard_again = again->heard->pdata[0];
	g_assert_cmpstr(heard_again->physical, ==, "physnet1");
	g_assert_cmpmem(heard_again->mac.bytes, 6, request.mac.bytes, 6);
	const struct sriov_filter *filter_again = again->filters->pdata[0];
	g_assert_cmpstr(filter_again->pf, ==, PF1);
	g_assert_cmpmem(filter_again->mac.bytes, 6, request.mac.bytes, 6);
}

static void expect_damaged(const struct test_sriov *f, const char *text)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *still = NULL;

	g_assert_true(g_file_set_contents(f->ledger, text, -1, NULL));
	g_assert_null(sriov_ledger_load(f->ledger, &error));
	g_assert_error(error, FAULT, FAULT_INTERNAL);
	g_assert_true(g_file_get_contents(f->ledger, &still, NULL, NULL));
	g_assert_cmpstr(still, ==, text);
}

/* As one of a whole claim, on the way of keys to it: "/original/link". NULL: the claim as it is. Owned by the caller. */
static char *ledger_with(const struct test_sriov *f, const char *key, json_int_t value)
{
	json_auto_t *root = json_load_file(f->ledger, 0, NULL);
	json_t *claim = json_array_get(json_object_get(root, "claims"), 0);
	const char *last = key ? strrchr(key, '/') + 1 : NULL;

	g_assert_nonnull(claim);
	if (key && g_str_has_prefix(key, "/original/"))
		claim = json_object_get(claim, "original");
	if (key) {
		g_assert_nonnull(json_object_get(claim, last));
		json_object_set_new(claim, last, json_integer(value));
	}
	char *text = json_dumps(root, 0), *copy = g_strdup(text);
	free(text);
	return copy;
}

/* Numbers that nobody has written there: what is put back by them would be anything, and some are looked up in tables. */
static void test_out_of_range(struct test_sriov *f, gconstpointer data)
{
	static const struct {
		const char *key;
		json_int_t value;
	} cases[] = {
		{"/index", -1},
		{"/index", 1ll << 32},
		{"/vlan", -1},
		{"/vlan", 4096},
		{"/rate_mbps", -1},
		{"/rate_mbps", 1ll << 32},
		{"/original/known", -1},
		{"/original/known", 1 << VF_ATTRIBUTES},
		{"/original/vlan", -1},
		{"/original/vlan", 4096},
		{"/original/priority", 8},
		{"/original/vlan_protocol", 1 << 16},
		{"/original/min_rate", -1},
		{"/original/max_rate", 1ll << 32},
		{"/original/link", -1},
		{"/original/link", 9},
		{"/original/link", 1ll << 32},
	};

	test_sriov_add_claim(f, PF1, 1, "b");
	((struct sriov_claim *)test_sriov_provider(f)->ledger->claims->pdata[0])->kind = g_strdup("sriov");
	g_assert_true(sriov_ledger_save(test_sriov_provider(f)->ledger, NULL));
	g_autofree char *whole = ledger_with(f, NULL, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_test_message("%s: %lld", cases[i].key, (long long)cases[i].value);
		g_assert_true(g_file_set_contents(f->ledger, whole, -1, NULL));
		g_autofree char *text = ledger_with(f, cases[i].key, cases[i].value);
		expect_damaged(f, text);
	}
	g_autoptr(GError) error = NULL;
	g_assert_true(g_file_set_contents(f->ledger, whole, -1, NULL));
	_cleanup_(sriov_ledger_free) struct sriov_ledger *again = sriov_ledger_load(f->ledger, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(again->claims->len, ==, 1);
}

static void test_damaged(struct test_sriov *f, gconstpointer data)
{
	expect_damaged(f, "");
	expect_damaged(f, "{\"claims\": 7, \"heard\": [], \"filters\": []}");
	expect_damaged(f, "{\"claims\": [{\"pf\": \"0000:03:00.0\"}], \"heard\": [], \"filters\": []}");
	expect_damaged(f, "{\"claims\": [], \"heard\": []}");
}

/* ---- drivers and attributes ---- */

static void test_override(struct test_sriov *f, gconstpointer data)
{
	const char *vf = test_sriov_vfs[0][0], *root = f->tree->root;
	g_autoptr(GError) error = NULL;

	tree_write(f->tree, "(null)\n", BUS "%s/driver_override", vf);
	g_assert_null(pci_driver_get_override(root, vf));
	g_assert_true(pci_driver_set_override(root, vf, "vfio-pci", &error));
	g_autofree char *now = pci_driver_get_override(root, vf);
	g_assert_cmpstr(now, ==, "vfio-pci");
	test_sriov_bind(f, vf, "igbvf");
	tree_write(f->tree, "", "sys/bus/pci/drivers_probe");
	g_assert_true(pci_driver_bind(root, vf, "igbvf", &error));
	g_assert_false(pci_driver_set_override(root, "0000:09:00.0", NULL, &error));
	g_assert_nonnull(strstr(error->message, "0000:09:00.0"));
	g_assert_true(pci_driver_is_vfio("mlx5_vfio_pci") && !pci_driver_is_vfio("igbvf") &&
		      !pci_driver_is_vfio(NULL));
}

static void test_compare(void)
{
	const struct vf_attributes is = {.known = VF_MAC | VF_VLAN | VF_RATE,
					   .vlan = 5,
					   .priority = 2,
					   .trust = true},
				   want = {.vlan = 5, .priority = 3, .max_rate = 9, .link = VF_LINK_ENABLE};
	const struct vf_attributes stacked = {
		.known = VF_VLAN, .vlan = 5, .priority = 2, .vlan_protocol = ETH_P_8021AD};
	const struct vf_attributes plain = {.vlan = 5, .priority = 2, .vlan_protocol = ETH_P_8021Q};
	const struct vf_attributes none = {.known = VF_VLAN, .vlan_protocol = ETH_P_8021AD};
	g_autofree char *vlan = vf_attribute_format(&is, VF_VLAN),
			*tag = vf_attribute_format(&stacked, VF_VLAN),
			*rate = vf_attribute_format(&want, VF_RATE), *mac = vf_attribute_format(&is, VF_MAC),
			*trust = vf_attribute_format(&is, VF_TRUST);

	/* What is not known does not differ. */
	g_assert_cmpuint(vf_compare(&is, &want, VF_MAC | VF_VLAN | VF_RATE | VF_TRUST | VF_LINK), ==,
		VF_VLAN | VF_RATE);
	g_assert_cmpuint(vf_compare(&is, &want, VF_RATE), ==, VF_RATE);
	g_assert_cmpuint(vf_compare(&stacked, &plain, VF_VLAN), ==, VF_VLAN);
	g_assert_cmpuint(vf_compare(&is, &plain, VF_VLAN), ==, 0);
	g_assert_cmpuint(vf_compare(&none, &(struct vf_attributes){}, VF_VLAN), ==, 0);
	g_assert_cmpstr(tag, ==, "5, priority 2, 802.1ad");
	g_assert_cmpstr(vlan, ==, "5, priority 2");
	g_assert_cmpstr(rate, ==, "9 Mbit/s");
	g_assert_cmpstr(mac, ==, "00:00:00:00:00:00");
	g_assert_cmpstr(trust, ==, "on");
}

static void add(const char *name, void (*fn)(struct test_sriov *, gconstpointer))
{
	g_autofree char *path = g_strconcat("/sriov/", name, NULL);

	g_test_add(path, struct test_sriov, NULL, test_sriov_setup, fn, test_sriov_teardown);
}

static void add_switchdev(const char *name, void (*fn)(struct test_sriov *, gconstpointer))
{
	g_autofree char *path = g_strconcat("/switchdev/", name, NULL);

	g_test_add(path, struct test_sriov, NULL, test_sriov_setup_switchdev, fn, test_sriov_teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("claims are spread over PFs, and the last is followed by a fault that says what to do",
		test_spread);
	add("a VF whose interface is idle is given", test_idle_netdev);
	add("one whose interface is up is not", test_up);
	add("nor one whose interface is a bridge's port", test_port);
	add("nor one that carries another interface", test_upper);
	add("nor one whose interface is in another namespace", test_elsewhere);
	add("nor one that shares its IOMMU group", test_group);
	add("nor one that no guest can have", test_no_group);
	add("nor one that a program has open by vfio", test_open);
	add("nor one whose attributes could not be restored", test_unknown_attributes);
	add("no two functions of a physical network have one MAC", test_macs);
	add("a host without the physical network, or without VFs, says so", test_nothing);
	add("PFs that go and come are followed", test_follow);
	add("the survey has free, claimed and lost VFs", test_survey);
	g_test_add_func(
		"/sriov/steps: only a release that is finished frees, and calls can be repeated", test_steps);
	add("what is written to the ledger is read from it", test_ledger);
	add("a damaged ledger is refused, not overwritten", test_damaged);
	add("so is one with numbers that nobody has written", test_out_of_range);
	add("a driver is chosen, and the choice is told", test_override);
	g_test_add_func("/sriov/attributes are compared as far as they are known", test_compare);
	add_switchdev("a VF is given that has a representor, of a PF in switchdev mode", test_representor);
	add_switchdev(
		"on a VLAN a NIC has one of the eswitch that the switch's port is of", test_two_eswitches);
	add_switchdev("a NIC on a vxlan segment has one of the NIC that the underlay leaves by", test_vxlan);
	add_switchdev("representors are listed, and a claim on no physical network is kept",
		test_representors_told);
	return g_test_run();
}
