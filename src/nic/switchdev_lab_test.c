/* The switchdev provider on a real PF's VFs, whose eswitch is made up (nic/test_switchdev.h), in the lab
 * (test/lab/switchdev_test.py). libvirt's part is imitated: it sets the MAC. */
#include "base/fault.h"
#include "base/sysfs.h"
#include "nic/pci_driver.h"
#include "nic/sriov_priv.h"
#include "nic/test_switchdev.h"

#include <string.h>

static const struct mac_addr mac = {{0x00, 0x0d, 0x3a, 0, 0, 0x0a}}, none;

struct fixture {
	char *ledger;
	struct links *links;
	struct nic_provider *provider;
};

static void setup(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	test_switchdev_make_vfs();
	f->ledger = g_strdup("/run/switchdev.json");
	f->links = links_open(NULL, &error);
	f->provider = test_switchdev_open(f->ledger, &error);
	g_assert_no_error(error);
}

static void teardown(struct fixture *f, gconstpointer data)
{
	test_switchdev_eswitch()->is.mode = DEVLINK_SWITCHDEV;
	f->provider->ops->release(f->provider, "a", NULL);
	nic_provider_close(f->provider);
	links_close(f->links);
	g_free(f->ledger);
}

static bool try_claim(struct fixture *f, const char *physical, GError **error)
{
	const struct nic_request request = {
		.nic = "a", .physical = physical, .mac = mac, .vlan = physical ? 100 : 0, .rate_mbps = 100};
	g_autofree char *name = NULL;

	return f->provider->ops->claim(f->provider, &request, &name, error);
}

static void claim(struct fixture *f, const char *physical)
{
	g_autoptr(GError) error = NULL;

	try_claim(f, physical, &error);
	g_assert_no_error(error);
}

static struct vf_attributes attributes_of(struct fixture *f, unsigned index)
{
	struct vf_attributes is;
	g_autoptr(GError) error = NULL;

	vf_read(f->links, g_getenv("SLUICE_PF"), index, &is, &error);
	g_assert_no_error(error);
	return is;
}

static void expect_mac(struct fixture *f, struct mac_addr wanted)
{
	const struct vf_attributes is = attributes_of(f, 0);

	g_assert_cmpmem(is.mac.bytes, 6, wanted.bytes, 6);
}

static void expect_check(struct fixture *f, const char *says)
{
	g_autoptr(GPtrArray) sentences = f->provider->ops->check(f->provider);

	g_ptr_array_add(sentences, NULL);
	g_autofree char *text = g_strjoinv("\n", (char **)sentences->pdata);
	g_assert_cmpstr(text, ==, says);
}

static char *representor_of(struct fixture *f)
{
	g_autoptr(GPtrArray) list = f->provider->ops->list(f->provider);

	g_assert_cmpuint(list->len, ==, 1);
	return g_strdup(((struct nic_function *)list->pdata[0])->representor);
}

/* ---- tests ---- */

static void test_round(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	claim(f, "physnet1");
	g_autofree char *representor = representor_of(f);
	g_assert_cmpstr(representor, ==, "rep0");
	g_assert_true(test_switchdev_is_up(0));
	g_assert_cmpuint(sysfs_number("", 0, "/proc/sys/net/ipv6/conf/rep0/disable_ipv6"), ==, 1);
	expect_mac(f, none);
	g_assert_true(f->provider->ops->arm(f->provider, "a", &error));
	g_assert_cmpuint(vf_write(f->links, g_getenv("SLUICE_PF"), 0, &(struct vf_attributes){.mac = mac},
				 VF_MAC, &error),
		==, 0);
	expect_check(f, "");
	expect_mac(f, mac);
	g_assert_true(f->provider->ops->left(f->provider, "a", &error));
	expect_mac(f, none);
	g_assert_true(f->provider->ops->release(f->provider, "a", &error));
	g_assert_no_error(error);
	g_assert_false(test_switchdev_is_up(0));
}

static void test_used(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(links_set_up(f->links, "rep0", &error));
	claim(f, "physnet1");
	g_autofree char *representor = representor_of(f);
	g_assert_cmpstr(representor, ==, "rep1");
}

/* VLAN, spoofchk, trust and rate are not the PF's business. */
static void test_attributes(struct fixture *f, gconstpointer data)
{
	const struct vf_attributes set = {.vlan = 7, .trust = true},
				   before = (vf_write(f->links, g_getenv("SLUICE_PF"), 0, &set,
						     VF_VLAN | VF_TRUST, NULL),
					   attributes_of(f, 0));

	claim(f, "physnet1");
	const struct vf_attributes is = attributes_of(f, 0);
	g_assert_cmpuint(vf_compare(&is, &before, ~0u), ==, 0);
	g_assert_cmpuint(is.vlan, ==, 7);
	expect_check(f, "");
}

static void test_drift(struct fixture *f, gconstpointer data)
{
	claim(f, "physnet1");
	g_assert_true(links_set_down(f->links, "rep0", NULL));
	expect_check(f, "rep0 was down; it is up again");
	g_assert_true(test_switchdev_is_up(0));
	expect_check(f, "");
}

static void test_cut(struct fixture *f, gconstpointer data)
{
	const struct mac_addr dead = {{0x02, 'c', 'u', 't', 0, 0}};
	g_autoptr(GError) error = NULL;

	claim(f, "physnet1");
	g_assert_true(f->provider->ops->arm(f->provider, "a", &error));
	g_assert_true(f->provider->ops->cut(f->provider, "a", &error));
	g_assert_no_error(error);
	g_assert_false(test_switchdev_is_up(0));
	expect_mac(f, dead);
	expect_check(f, "");
	g_assert_true(links_set_up(f->links, "rep0", NULL));
	expect_check(f, "rep0 was up, though its VF is cut off; it is down again");
	g_assert_false(test_switchdev_is_up(0));
	g_assert_true(f->provider->ops->left(f->provider, "a", &error));
	expect_mac(f, none);
	expect_check(f, "");
}

static void test_legacy(struct fixture *f, gconstpointer data)
{
	g_autofree char *gone = g_strdup_printf(
		"VF 0 of %s (NIC a) has a PF in legacy mode, not in switchdev mode", g_getenv("SLUICE_PF"));
	g_autoptr(GError) full = NULL, unavailable = NULL;

	test_switchdev_eswitch()->is.mode = DEVLINK_LEGACY;
	g_assert_false(try_claim(f, "physnet1", &full));
	g_assert_error(full, FAULT, FAULT_POOL_FULL);
	g_assert_nonnull(strstr(full->message, "VF 0 of "));
	g_assert_nonnull(strstr(full->message, "has a PF in legacy mode, not in switchdev mode"));
	test_switchdev_eswitch()->is.mode = DEVLINK_SWITCHDEV;
	claim(f, "physnet1");
	test_switchdev_eswitch()->is.mode = DEVLINK_LEGACY;
	g_autofree char *representor = representor_of(f);
	g_assert_null(representor);
	expect_check(f, gone);
	/* It stays the NIC's. */
	g_assert_false(try_claim(f, "physnet1", &unavailable));
	g_assert_error(unavailable, FAULT, FAULT_UNAVAILABLE);
}

/* ---- the host file names the other kind ---- */

/* The same PF and ledger, as legacy NICs. */
static void open_as_legacy(struct fixture *f)
{
	g_autofree char *address = sysfs_link_name("", "/sys/class/net/%s/device", g_getenv("SLUICE_PF"));
	g_autoptr(GPtrArray) pfs = g_ptr_array_new();
	g_autoptr(GError) error = NULL;

	g_ptr_array_add(pfs, address);
	nic_provider_close(f->provider);
	f->provider = sriov_open(&sriov_legacy, "", f->ledger, test_devlink_open(test_switchdev_eswitch(), 1),
		&(struct sriov_physical){"physnet1", pfs}, 1, &error);
	g_assert_no_error(error);
}

static void open_as_switchdev(struct fixture *f)
{
	g_autoptr(GError) error = NULL;

	nic_provider_close(f->provider);
	f->provider = test_switchdev_open(f->ledger, &error);
	g_assert_no_error(error);
}

static void leave(struct fixture *f)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(f->provider->ops->left(f->provider, "a", &error));
	g_assert_no_error(error);
}

static void release(struct fixture *f)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(f->provider->ops->release(f->provider, "a", &error));
	g_assert_no_error(error);
	g_autoptr(GPtrArray) list = f->provider->ops->list(f->provider);
	g_assert_cmpuint(list->len, ==, 0);
}

/* As an earlier build gave it, to a NIC on a VXLAN: a legacy provider's to take back. */
static void test_to_legacy(struct fixture *f, gconstpointer data)
{
	const struct vf_attributes before = attributes_of(f, 0);
	g_autoptr(GError) error = NULL;

	claim(f, "physnet1");
	struct sriov_ledger *ledger = ((struct sriov *)f->provider)->ledger;
	g_clear_pointer(&((struct sriov_claim *)ledger->claims->pdata[0])->physical, g_free);
	g_assert_true(f->provider->ops->arm(f->provider, "a", &error));
	vf_write(f->links, g_getenv("SLUICE_PF"), 0, &(struct vf_attributes){.mac = mac}, VF_MAC, &error);
	g_assert_no_error(error);
	open_as_legacy(f);
	expect_check(f, "");
	g_autofree char *representor = representor_of(f);
	g_assert_cmpstr(representor, ==, "rep0");
	leave(f);
	expect_mac(f, none);
	release(f);
	g_assert_false(test_switchdev_is_up(0));
	const struct vf_attributes after = attributes_of(f, 0);
	g_assert_cmpuint(vf_compare(&after, &before, ~0u), ==, 0);
}

/* Making VFs resets the PF, and igb takes no rate while it has no link. */
static void wait_for_carrier(void)
{
	int64_t deadline = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;

	while (sysfs_number("", 0, "/sys/class/net/%s/carrier", g_getenv("SLUICE_PF")) != 1) {
		g_assert_cmpint(g_get_monotonic_time(), <, deadline);
		g_usleep(100000);
	}
}

/* A VF that was given with a VLAN loses it, too, when it leaves its guest. */
static void test_to_switchdev(struct fixture *f, gconstpointer data)
{
	const struct vf_attributes before = attributes_of(f, 0);
	g_autoptr(GError) error = NULL;

	open_as_legacy(f);
	wait_for_carrier();
	claim(f, "physnet1");
	g_assert_true(f->provider->ops->arm(f->provider, "a", &error));
	vf_write(f->links, g_getenv("SLUICE_PF"), 0, &(struct vf_attributes){.mac = mac}, VF_MAC, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(attributes_of(f, 0).vlan, ==, 100);
	open_as_switchdev(f);
	g_autofree char *representor = representor_of(f);
	g_assert_null(representor);
	leave(f);
	expect_mac(f, none);
	g_assert_cmpuint(attributes_of(f, 0).vlan, ==, 0);
	expect_check(f, "");
	/* What nobody has is given anew as such a NIC's VF. */
	claim(f, "physnet1");
	g_autofree char *now = representor_of(f);
	g_assert_cmpstr(now, ==, "rep0");
	g_assert_cmpuint(attributes_of(f, 0).vlan, ==, before.vlan);
	release(f);
	const struct vf_attributes after = attributes_of(f, 0);
	g_assert_cmpuint(vf_compare(&after, &before, ~0u), ==, 0);
}

static void add(const char *name, void (*fn)(struct fixture *, gconstpointer))
{
	g_autofree char *path = g_strconcat("/switchdev/", name, NULL);

	g_test_add(path, struct fixture, NULL, setup, fn, teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("a claim raises the representor, and a release lowers it", test_round);
	add("a VF whose representor is up already is left to whoever has it", test_used);
	add("of a VF only the MAC is held, also on no physical network", test_attributes);
	add("a representor that somebody sets down is set up, and told", test_drift);
	add("of a VF that is cut off the representor is down, and stays so", test_cut);
	add("a PF that is in legacy mode is told of, and what is claimed there stays so", test_legacy);
	add("a VF that was given by its representor is taken back as such when the NIC is a legacy one now",
		test_to_legacy);
	add("a VF that was given with a VLAN is taken back as such when the NIC is in switchdev mode now",
		test_to_switchdev);
	return g_test_run();
}
