/* Attributes of VFs on a real PF, in the lab (test/lab): SLUICE_PF names an igb interface with two VFs. What
 * this driver refuses is expected too: another driver's answers would be others. */
#include "base/fault.h"
#include "nic/enforcement.h"
#include "nic/ethtool.h"

#include <linux/if_ether.h>
#include <stdlib.h>
#include <string.h>

static struct links *links;
static const char *pf;

static struct vf_attributes read_of(unsigned index)
{
	g_autoptr(GError) error = NULL;
	struct vf_attributes is;

	g_assert_true(vf_read(links, pf, index, &is, &error));
	g_assert_no_error(error);
	return is;
}

static void expect_taken(const struct vf_attributes *want, unsigned which)
{
	g_autoptr(GError) error = NULL;
	unsigned refused = vf_write(links, pf, 0, want, which, &error);

	g_assert_no_error(error);
	g_assert_cmpuint(refused, ==, 0);
}

static void expect_refused(const struct vf_attributes *want, unsigned which, int code, const char *says)
{
	g_autoptr(GError) error = NULL;
	unsigned refused = vf_write(links, pf, 0, want, which, &error);

	g_assert_cmpuint(refused, ==, which);
	g_test_message("%s", error->message);
	g_assert_error(error, FAULT, code);
	g_assert_nonnull(strstr(error->message, says));
}

static void test_mac(void)
{
	const struct mac_addr mac = {{0x00, 0x0d, 0x3a, 0, 0, 0x07}}, none = {};

	expect_taken(&(struct vf_attributes){.mac = mac}, VF_MAC);
	g_assert_cmpmem(read_of(0).mac.bytes, 6, mac.bytes, 6);
	expect_taken(&(struct vf_attributes){.mac = none}, VF_MAC);
	g_assert_cmpmem(read_of(0).mac.bytes, 6, none.bytes, 6);
	expect_refused(&(struct vf_attributes){.mac = {{1, 0, 0x5e, 0, 0, 1}}}, VF_MAC, FAULT_INVALID,
		"the mac of its VF 0");
}

static void test_vlan(void)
{
	expect_taken(&(struct vf_attributes){.vlan = 100, .priority = 3}, VF_VLAN);
	g_assert_cmpuint(read_of(0).vlan, ==, 100);
	g_assert_cmpuint(read_of(0).priority, ==, 3);
	g_assert_cmpuint(read_of(1).vlan, ==, 0);
	expect_taken(&(struct vf_attributes){}, VF_VLAN);
	g_assert_cmpuint(read_of(0).vlan, ==, 0);
	expect_refused(&(struct vf_attributes){.vlan = 100, .priority = 8}, VF_VLAN, FAULT_INVALID, "vlan");
	expect_refused(&(struct vf_attributes){.vlan = 4096}, VF_VLAN, FAULT_INVALID, "vlan");
	expect_refused(&(struct vf_attributes){.vlan = 100, .vlan_protocol = ETH_P_8021AD}, VF_VLAN,
		FAULT_INVALID, "vlan");
}

static void test_switches(void)
{
	for (unsigned on = 2; on-- > 0;) {
		const struct vf_attributes want = {.trust = on, .spoofchk = on};
		expect_taken(&want, VF_TRUST | VF_SPOOFCHK);
		g_assert_cmpint(read_of(0).trust, ==, on);
		g_assert_cmpint(read_of(0).spoofchk, ==, on);
	}
}

static void test_rate(void)
{
	expect_taken(&(struct vf_attributes){.max_rate = 100}, VF_RATE);
	g_assert_cmpuint(read_of(0).max_rate, ==, 100);
	expect_refused(
		&(struct vf_attributes){.min_rate = 10, .max_rate = 100}, VF_RATE, FAULT_INVALID, "rate");
	expect_refused(&(struct vf_attributes){.max_rate = 1000000}, VF_RATE, FAULT_INVALID, "rate");
	expect_taken(&(struct vf_attributes){}, VF_RATE);
	g_assert_cmpuint(read_of(0).max_rate, ==, 0);
}

static void test_unsupported(void)
{
	expect_refused(&(struct vf_attributes){.link = VF_LINK_DISABLE}, VF_LINK, FAULT_UNSUPPORTED,
		"does not take the link of its VF 0");
}

/* One that is refused keeps none of the others back. */
static void test_several(void)
{
	const struct vf_attributes want = {.vlan = 7, .trust = true, .link = VF_LINK_ENABLE};
	g_autoptr(GError) error = NULL;

	g_assert_cmpuint(vf_write(links, pf, 0, &want, VF_VLAN | VF_LINK | VF_TRUST, &error), ==, VF_LINK);
	g_assert_error(error, FAULT, FAULT_UNSUPPORTED);
	g_assert_cmpuint(read_of(0).vlan, ==, 7);
	g_assert_true(read_of(0).trust);
	expect_taken(&(struct vf_attributes){}, VF_VLAN | VF_TRUST);
}

static void test_absent(void)
{
	g_autoptr(GError) error = NULL;
	struct vf_attributes is = {};

	g_assert_false(vf_read(links, pf, 5, &is, &error));
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
	g_clear_error(&error);
	g_assert_false(vf_read(links, "none9", 0, &is, &error));
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
	g_clear_error(&error);
	g_assert_cmpuint(vf_write(links, pf, 5, &is, VF_VLAN, &error), ==, VF_VLAN);
	g_assert_nonnull(error);
}

static void test_known(void)
{
	struct vf_attributes is = read_of(1);

	g_assert_cmpuint(is.known & (VF_MAC | VF_VLAN | VF_SPOOFCHK | VF_TRUST | VF_RATE), ==,
		VF_MAC | VF_VLAN | VF_SPOOFCHK | VF_TRUST | VF_RATE);
}

/* igb counts nothing of its VFs, though they send as soon as their driver has them up: zeros that must not be shown. */
static void test_counters(void)
{
	g_autoptr(GArray) counters = vf_counters_read(links, pf);

	g_assert_cmpuint(counters->len, ==, 0);
}

static void test_firmware(void)
{
	g_autofree char *firmware = ethtool_firmware(pf);

	g_test_message("firmware %s", firmware);
	g_assert_nonnull(firmware);
	g_assert_true(g_ascii_isdigit(firmware[0]));
}

static bool takes(
	void *data, const char *netdev, unsigned beyond, enum vf_attribute attribute, GError **error)
{
	return vf_takes(data, netdev, beyond, attribute, error);
}

static const struct nic_pf *find_pf(const GPtrArray *pfs)
{
	for (guint i = 0; i < pfs->len; i++)
		if (g_strcmp0(((const struct nic_pf *)pfs->pdata[i])->netdev, pf) == 0)
			return pfs->pdata[i];
	g_assert_not_reached();
}

/* Asking changes nothing, and tells what writing would. */
static void test_takes(void)
{
	const struct enforcement_source source = {takes, links, NULL};
	g_autoptr(GPtrArray) pfs = inventory_read("");
	g_autoptr(GError) error = NULL;

	g_assert_true(inventory_add_attributes(pfs, &error));
	json_auto_t *before = inventory_encode(pfs);
	const struct nic_pf *own = find_pf(pfs);
	for (unsigned i = 0; i < VF_ATTRIBUTES; i++) {
		enum vf_attribute attribute = 1u << i;
		g_assert_cmpint(
			vf_takes(links, pf, own->total_vfs, attribute, &error), ==, attribute != VF_LINK);
	}
	g_assert_error(error, FAULT, FAULT_UNSUPPORTED);
	json_auto_t *told = enforcement_describe(own, &source);
	char *text = json_dumps(told, 0);
	g_test_message("%s", text);
	free(text);
	g_autoptr(GPtrArray) again = inventory_read("");
	g_assert_true(inventory_add_attributes(again, NULL));
	json_auto_t *after = inventory_encode(again);
	g_assert_true(json_equal(before, after));
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;

	g_test_init(&argc, &argv, NULL);
	pf = g_getenv("SLUICE_PF");
	g_assert_nonnull(pf);
	links = links_open(NULL, &error);
	g_assert_no_error(error);
#define TEST(name, function) g_test_add_func("/vf/" name, function)
	TEST("what the driver shows is known", test_known);
	TEST("a driver that counts nothing of VFs has no counters", test_counters);
	TEST("the driver tells its firmware's version", test_firmware);
	TEST("what the driver takes is asked without a change", test_takes);
	TEST("a MAC is set and cleared, and none for groups is taken", test_mac);
	TEST("a VLAN with its priority is set and cleared on one VF alone", test_vlan);
	TEST("trust and the check of senders go on and off", test_switches);
	TEST("a rate is set and lifted, and one that the NIC cannot hold is refused", test_rate);
	TEST("what the driver cannot do is told as such", test_unsupported);
	TEST("one attribute that is refused keeps none of the others back", test_several);
	TEST("a VF or PF that is not there is not found", test_absent);
	int status = g_test_run();
	links_close(links);
	return status;
}
