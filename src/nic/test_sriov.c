/* A made-up host with two PFs. */
#include "nic/test_sriov.h"

#define BUS TEST_SRIOV_BUS
#define PF1 TEST_SRIOV_PF1
#define PF2 TEST_SRIOV_PF2

const char *const test_sriov_vfs[2][2] = {{"0000:03:10.0", "0000:03:10.2"}, {"0000:04:10.0", "0000:04:10.2"}};

void test_sriov_add_device(const struct tree *tree, const char *address)
{
	tree_write(tree, "0x020000", BUS "%s/class", address);
	tree_write(tree, "0x8086", BUS "%s/vendor", address);
}

static void add_vf(
	const struct tree *tree, const char *pf, unsigned index, const char *address, unsigned group)
{
	g_autofree char *target = g_strdup_printf("../%s", address), *back = g_strdup_printf("../%s", pf);
	g_autofree char *link = g_strdup_printf("../../../kernel/iommu_groups/%u", group);

	test_sriov_add_device(tree, address);
	tree_link(tree, target, BUS "%s/virtfn%u", pf, index);
	tree_link(tree, back, BUS "%s/physfn", address);
	tree_link(tree, link, BUS "%s/iommu_group", address);
	tree_write(tree, "", "sys/kernel/iommu_groups/%u/devices/%s", group, address);
}

static void add_pf(const struct tree *tree, const char *address, const char *netdev, const char *mac)
{
	test_sriov_add_device(tree, address);
	tree_write(tree, "2", BUS "%s/sriov_numvfs", address);
	tree_write(tree, "7", BUS "%s/sriov_totalvfs", address);
	tree_write(tree, "1", BUS "%s/net/%s/ifindex", address, netdev);
	tree_write(tree, mac, "sys/class/net/%s/address", netdev);
}

/* Two PFs, two VFs each. */
static void add_host(struct test_sriov *f)
{
	f->tree = tree_new();
	add_pf(f->tree, PF1, "sriov-pf1", "52:54:00:00:00:01");
	add_pf(f->tree, PF2, "sriov-pf2", "52:54:00:00:00:02");
	for (unsigned pf = 0; pf < 2; pf++)
		for (unsigned vf = 0; vf < 2; vf++)
			add_vf(f->tree, pf ? PF2 : PF1, vf, test_sriov_vfs[pf][vf], 10 + 2 * pf + vf);
	f->ledger = g_build_filename(f->tree->root, "vfs.json", NULL);
}

void test_sriov_setup(struct test_sriov *f, gconstpointer data)
{
	g_autoptr(GPtrArray) pfs = g_ptr_array_new();
	g_autoptr(GError) error = NULL;

	add_host(f);
	g_ptr_array_add(pfs, (char *)PF1);
	g_ptr_array_add(pfs, (char *)PF2);
	f->provider = nic_sriov_open(
		f->tree->root, f->ledger, &(struct sriov_physical){"physnet1", pfs}, 1, &error);
	g_assert_no_error(error);
}

void test_sriov_setup_switchdev(struct test_sriov *f, gconstpointer data)
{
	g_autoptr(GPtrArray) first = g_ptr_array_new(), second = g_ptr_array_new();
	const struct sriov_physical physicals[] = {{"physnet1", first}, {"physnet2", second}};
	g_autoptr(GError) error = NULL;

	add_host(f);
	f->eswitches[0] = (struct test_eswitch){
		.handle = "pci/" PF1, .is.mode = DEVLINK_SWITCHDEV, .representors = {NULL, "rep1"}};
	f->eswitches[1] = (struct test_eswitch){
		.handle = "pci/" PF2, .is.mode = DEVLINK_LEGACY, .representors = {"rep2", "rep3"}};
	g_ptr_array_add(first, (char *)PF1);
	g_ptr_array_add(second, (char *)PF2);
	f->provider = switchdev_open(
		f->tree->root, f->ledger, test_devlink_open(f->eswitches, 2), physicals, 2, &error);
	g_assert_no_error(error);
}

void test_sriov_teardown(struct test_sriov *f, gconstpointer data)
{
	nic_provider_close(f->provider);
	tree_free(f->tree);
	g_free(f->ledger);
}

struct sriov *test_sriov_provider(const struct test_sriov *f)
{
	return (struct sriov *)f->provider;
}

GPtrArray *test_sriov_inventory(const struct test_sriov *f)
{
	GPtrArray *inventory = sriov_inventory(test_sriov_provider(f));

	for (guint p = 0; p < inventory->len; p++) {
		struct nic_pf *pf = inventory->pdata[p];
		for (guint v = 0; v < pf->vfs->len; v++)
			((struct nic_vf *)pf->vfs->pdata[v])->attributes.known =
				VF_MAC | VF_VLAN | VF_SPOOFCHK;
	}
	return inventory;
}

void test_sriov_add_claim(const struct test_sriov *f, const char *pf, unsigned index, const char *nic)
{
	struct sriov_claim *claim = g_new0(struct sriov_claim, 1);

	claim->pf = g_strdup(pf);
	claim->index = index;
	claim->vf = g_strdup(index < 2 ? test_sriov_vfs[!g_str_equal(pf, PF1)][index] : "0000:05:10.0");
	claim->nic = g_strdup(nic);
	claim->physical = g_strdup("physnet1");
	claim->mac = (struct mac_addr){{2, 0, 0, 0, 9, (uint8_t)test_sriov_provider(f)->ledger->claims->len}};
	claim->step = SRIOV_CLAIMED;
	g_ptr_array_add(test_sriov_provider(f)->ledger->claims, claim);
}

void test_sriov_bind(const struct test_sriov *f, const char *address, const char *driver)
{
	g_autofree char *link = g_strdup_printf("../../../bus/pci/drivers/%s", driver);

	tree_link(f->tree, link, BUS "%s/driver", address);
}
