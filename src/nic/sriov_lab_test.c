/* The SR-IOV provider on a real PF, in the lab (test/lab/sriov_test.py): SLUICE_PF names an igb interface with three VFs, of
 * which the first is bound to igbvf, and SLUICE_WIRE another one on the same wire. libvirt's part is imitated: it binds
 * vfio-pci, sets MAC and VLAN, and puts back what it found. */
#include "base/failpoint.h"
#include "base/fault.h"
#include "nic/filter.h"
#include "nic/pci_driver.h"
#include "nic/sriov_priv.h"
#include "nic/test_frames.h"
#include "nic/test_pf.h"
#include "nic/test_snapshot.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PHYSICAL    "physnet1"
#define LIBVIRT_MS  300 /* between a device's leaving and libvirt's restoring it */
#define FAILPOINT_S 60

#define DEAD_VLAN 4095 /* of VFs that are cut off */

static const struct mac_addr mac_a = {{0x00, 0x0d, 0x3a, 0, 0, 0x0a}}, none;
static const struct mac_addr dead = {{0x02, 'c', 'u', 't', 0, 0}}; /* likewise, of VF 0 */
static const struct nic_request request_a = {.nic = "a",
	.physical = PHYSICAL,
	.mac = {{0x00, 0x0d, 0x3a, 0, 0, 0x0a}},
	.vlan = LAB_VLAN,
	.rate_mbps = 100};

struct fixture {
	char *folder, *ledger, *before; /* before: what the host was */
	struct nic_provider *provider;
};

static void expect_unchanged(const struct fixture *f)
{
	g_autofree char *now = test_snapshot(lab_links, lab_pf, lab_pf_address);

	g_assert_cmpstr(now, ==, f->before);
}

static void *unplug_late(void *index)
{
	g_usleep(LIBVIRT_MS * 1000);
	lab_unplug(GPOINTER_TO_UINT(index));
	return NULL;
}

/* ---- the provider ---- */

static struct nic_provider *provider_open(const struct fixture *f)
{
	g_autoptr(GPtrArray) pfs = g_ptr_array_new();
	g_autoptr(GError) error = NULL;

	g_ptr_array_add(pfs, lab_pf_address);
	struct nic_provider *provider =
		nic_sriov_open("", f->ledger, &(struct sriov_physical){PHYSICAL, pfs}, 1, &error);
	g_assert_no_error(error);
	return provider;
}

static void setup(struct fixture *f, gconstpointer data)
{
	lab_wait_for_carrier();
	f->folder = g_dir_make_tmp("sriov-XXXXXX", NULL);
	f->ledger = g_build_filename(f->folder, "vfs.json", NULL);
	f->before = test_snapshot(lab_links, lab_pf, lab_pf_address);
	f->provider = provider_open(f);
}

static void teardown(struct fixture *f, gconstpointer data)
{
	nic_provider_close(f->provider);
	lab_shell("rm -r '%s'", f->folder);
	g_free(f->folder);
	g_free(f->ledger);
	g_free(f->before);
}

static char *claim(struct nic_provider *provider, const struct nic_request *request)
{
	g_autoptr(GError) error = NULL;
	char *name = NULL;

	provider->ops->claim(provider, request, &name, &error);
	g_assert_no_error(error);
	return name;
}

#define CALL(provider, call, nic)                                                                            \
	do {                                                                                                 \
		g_autoptr(GError) call_error = NULL;                                                         \
		(provider)->ops->call(provider, nic, &call_error);                                           \
		g_assert_no_error(call_error);                                                               \
	} while (0)

static void hear(struct nic_provider *provider, const struct nic_heard *heard, size_t n)
{
	g_autoptr(GError) error = NULL;

	provider->ops->hear(provider, heard, n, &error);
	g_assert_no_error(error);
}

/* What check says, a sentence a line. Owned by the caller. */
static char *check(const struct fixture *f)
{
	g_autoptr(GPtrArray) sentences = f->provider->ops->check(f->provider);

	g_ptr_array_add(sentences, NULL);
	char *text = g_strjoinv("\n", (char **)sentences->pdata);
	g_test_message("check: %s", text);
	return text;
}

static void expect_check(const struct fixture *f, const char *says)
{
	g_autofree char *text = check(f), *again = NULL;

	g_assert_cmpstr(text, ==, says);
	again = check(f);
	g_assert_cmpstr(again, ==, "");
}

static enum nic_use use_of(const struct fixture *f, unsigned index)
{
	g_autoptr(GPtrArray) survey = f->provider->ops->survey(f->provider);

	g_assert_cmpuint(survey->len, >, index);
	return ((struct nic_device *)survey->pdata[index])->use;
}

/* ---- tests ---- */

static void expect_attributes(
	unsigned index, struct mac_addr mac, unsigned vlan, bool spoofchk, bool trust, uint32_t rate)
{
	struct vf_attributes is = lab_read_vf(index);

	g_assert_cmpmem(is.mac.bytes, 6, mac.bytes, 6);
	g_assert_cmpuint(is.vlan, ==, vlan);
	g_assert_cmpint(is.spoofchk, ==, spoofchk);
	g_assert_cmpint(is.trust, ==, trust);
	g_assert_cmpuint(is.max_rate, ==, rate);
}

static void test_round(struct fixture *f, gconstpointer data)
{
	g_autofree char *first = lab_vf_address(0), *name = claim(f->provider, &request_a);
	g_autofree char *unbound = pci_driver_get("", name);

	g_assert_cmpstr(name, ==, first);
	g_assert_null(unbound);
	expect_attributes(0, none, LAB_VLAN, true, false, 100);
	g_assert_true(lab_hears(mac_a));
	g_assert_cmpint(use_of(f, 0), ==, NIC_USE_CLAIMED);
	CALL(f->provider, arm, "a");
	g_assert_false(lab_hears(mac_a));
	g_assert_cmpint(use_of(f, 0), ==, NIC_USE_ARMED);
	lab_plug(0, mac_a);
	expect_check(f, "");
	expect_attributes(0, mac_a, LAB_VLAN, true, false, 100);

	/* libvirt comes after the agent: until then the MAC is cleared already, and afterwards so is the VLAN. */
	GThread *libvirt = g_thread_new("libvirt", unplug_late, GUINT_TO_POINTER(0));
	int64_t began = g_get_monotonic_time();
	CALL(f->provider, left, "a");
	g_assert_cmpint(g_get_monotonic_time() - began, >=, LIBVIRT_MS * 500);
	g_thread_join(libvirt);
	expect_attributes(0, none, 0, true, false, 100);
	g_assert_true(lab_hears(mac_a));
	expect_check(f, "");
	CALL(f->provider, release, "a");
	g_assert_cmpint(use_of(f, 0), ==, NIC_USE_FREE);
	expect_unchanged(f);
}

static void *leave(void *provider)
{
	CALL((struct nic_provider *)provider, left, "a");
	return NULL;
}

static void test_left_at_once(struct fixture *f, gconstpointer data)
{
	g_autofree char *name = claim(f->provider, &request_a);

	CALL(f->provider, arm, "a");
	lab_plug(0, mac_a);
	GThread *agent = g_thread_new("agent", leave, f->provider);
	int64_t deadline = g_get_monotonic_time() + 2 * G_USEC_PER_SEC;
	for (;;) {
		struct vf_attributes is = lab_read_vf(0);
		if (memcmp(&is.mac, &none, sizeof none) == 0 && lab_hears(mac_a))
			break;
		g_assert_cmpint(g_get_monotonic_time(), <, deadline);
		g_usleep(10000);
	}
	g_autofree char *still = pci_driver_get("", name);
	g_assert_cmpstr(still, ==, "vfio-pci");
	lab_unplug(0);
	g_thread_join(agent);
	CALL(f->provider, release, "a");
	expect_unchanged(f);
}

static void test_originals(struct fixture *f, gconstpointer data)
{
	const struct vf_attributes strange = {.mac = {{0x02, 0, 0, 0, 0, 0x77}},
		.vlan = 7,
		.priority = 3,
		.spoofchk = false,
		.trust = true,
		.max_rate = 50};
	const unsigned which = VF_MAC | VF_VLAN | VF_SPOOFCHK | VF_TRUST | VF_RATE;
	const struct vf_attributes was = lab_read_vf(0);

	lab_write_vf(0, strange, which);
	g_autofree char *before = test_snapshot(lab_links, lab_pf, lab_pf_address);
	g_autofree char *name = claim(f->provider, &request_a);
	expect_attributes(0, none, LAB_VLAN, true, false, 100);
	CALL(f->provider, release, "a");
	g_autofree char *after = test_snapshot(lab_links, lab_pf, lab_pf_address);
	g_assert_cmpstr(after, ==, before);
	lab_write_vf(0, was, which);
	expect_unchanged(f);
}

/* The PF has none of a VF's driver that was bound while the PF was in reset. */
static void test_chosen_mac(struct fixture *f, gconstpointer data)
{
	lab_write_vf(0, (struct vf_attributes){}, VF_MAC);
	g_autofree char *name = claim(f->provider, &request_a);
	CALL(f->provider, release, "a");
	g_autofree char *driver = pci_driver_get("", name);
	g_assert_cmpstr(driver, ==, "igbvf");
	const struct vf_attributes is = lab_read_vf(0);
	g_assert_cmpint(memcmp(&is.mac, &none, sizeof none), !=, 0);
}

static int open_by_vfio(const char *name)
{
	g_autofree char *link = g_strdup_printf("/sys/bus/pci/devices/%s/iommu_group", name);
	g_autofree char *target = g_file_read_link(link, NULL), *group = g_path_get_basename(target);
	g_autofree char *path = g_strdup_printf("/dev/vfio/%s", group);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	return fd;
}

static void test_in_guest(struct fixture *f, gconstpointer data)
{
	g_autofree char *name = claim(f->provider, &request_a);
	g_autoptr(GError) error = NULL;

	CALL(f->provider, arm, "a");
	lab_plug(0, mac_a);
	int fd = open_by_vfio(name);

	g_assert_false(f->provider->ops->release(f->provider, "a", &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	g_assert_nonnull(strstr(error->message, "NIC a) is open in sriov_lab_test (process"));
	expect_check(f, "");
	lab_write_vf(0, (struct vf_attributes){.mac = {{2, 0, 0, 0, 0, 1}}, .vlan = 7}, VF_MAC | VF_VLAN);
	g_autofree char *says = g_strdup_printf(
		"VF 0 of %s (NIC a): its mac was 02:00:00:00:00:01; it is 00:0d:3a:00:00:0a again\n"
		"VF 0 of %s (NIC a): its vlan was 7; it is 100 again",
		lab_pf, lab_pf);
	expect_check(f, says);
	close(fd);
	lab_unplug(0);
	CALL(f->provider, left, "a");
	CALL(f->provider, release, "a");
	expect_unchanged(f);
}

/* The VM manager was wrong, or its guest is held still: it is not to go on by the function when it is let go on. */
static void test_left_in_guest(struct fixture *f, gconstpointer data)
{
	g_autofree char *name = claim(f->provider, &request_a);
	g_autoptr(GError) error = NULL;

	CALL(f->provider, arm, "a");
	lab_plug(0, mac_a);
	int fd = open_by_vfio(name);
	g_assert_false(f->provider->ops->left(f->provider, "a", &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	expect_attributes(0, dead, DEAD_VLAN, true, false, 100);
	g_assert_true(lab_hears(mac_a));
	expect_check(f, "");
	lab_write_vf(0, (struct vf_attributes){.vlan = LAB_VLAN}, VF_VLAN);
	g_autofree char *says =
		g_strdup_printf("VF 0 of %s (NIC a): its vlan was 100; it is 4095 again", lab_pf);
	expect_check(f, says);
	close(fd);
	lab_unplug(0);
	CALL(f->provider, left, "a");
	expect_attributes(0, none, 0, true, false, 100);
	expect_check(f, "");
	CALL(f->provider, release, "a");
	expect_unchanged(f);
}

static void test_drift(struct fixture *f, gconstpointer data)
{
	g_autofree char *name = claim(f->provider, &request_a);
	const struct {
		struct vf_attributes to;
		enum vf_attribute which;
		const char *says;
	} cases[] = {
		{{.mac = {{2, 0, 0, 0, 0, 1}}}, VF_MAC,
			"its mac was 02:00:00:00:00:01; it is 00:00:00:00:00:00 again"},
		{{.vlan = 9}, VF_VLAN, "its vlan was 9; it is 100 again"},
		{{.spoofchk = false}, VF_SPOOFCHK, "its spoofchk was off; it is on again"},
		{{.trust = true}, VF_TRUST, "its trust was on; it is off again"},
		{{.max_rate = 0}, VF_RATE, "its rate was 0 Mbit/s; it is 100 Mbit/s again"},
	};

	expect_check(f, "");
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *says = g_strdup_printf("VF 0 of %s (NIC a): %s", lab_pf, cases[i].says);
		lab_write_vf(0, cases[i].to, cases[i].which);
		expect_check(f, says);
	}
	g_autoptr(GError) error = NULL;
	g_assert_true(pci_driver_bind("", name, "igbvf", &error) &&
		      pci_driver_set_override("", name, NULL, &error));
	g_autofree char *bound = check(f), *driver = pci_driver_get("", name);
	g_assert_nonnull(strstr(bound, "it was bound to igbvf; it is unbound again"));
	g_assert_null(driver);
	CALL(f->provider, release, "a");
	expect_unchanged(f);
}

static void test_heard(struct fixture *f, gconstpointer data)
{
	const struct mac_addr foreign = {{2, 0, 0, 0, 0, 0xf0}}, gone = {{2, 0, 0, 0, 0, 0xf1}};
	const struct nic_heard heard[] = {
		{PHYSICAL, 0, gone}, {PHYSICAL, LAB_VLAN, mac_a}, {PHYSICAL, 0, foreign}};
	g_autoptr(GError) error = NULL;

	g_assert_true(filter_add(lab_links, lab_pf, foreign, &error));
	hear(f->provider, heard, 3);
	g_assert_true(lab_hears(mac_a) && lab_hears(gone));
	expect_check(f, "");
	g_assert_true(filter_remove(lab_links, lab_pf, mac_a, &error));
	g_autofree char *says =
		g_strdup_printf("%s did not hear MAC 00:0d:3a:00:00:0a any more; it does again", lab_pf);
	expect_check(f, says);
	hear(f->provider, heard + 1, 2);
	g_assert_true(lab_hears(mac_a) && !lab_hears(gone));

	/* A VF that is armed has its MAC for itself, whatever the host was told to hear. */
	g_autofree char *name = claim(f->provider, &request_a);
	CALL(f->provider, arm, "a");
	g_assert_false(lab_hears(mac_a));
	hear(f->provider, heard, 3);
	g_assert_false(lab_hears(mac_a));
	CALL(f->provider, left, "a");
	CALL(f->provider, release, "a");
	g_assert_true(lab_hears(mac_a));
	hear(f->provider, NULL, 0);
	g_assert_true(!lab_hears(mac_a) && lab_hears(foreign));
	g_assert_true(filter_remove(lab_links, lab_pf, foreign, &error));
	expect_unchanged(f);
}

static void test_heard_by_others(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL, refused = NULL;

	g_assert_true(filter_add(lab_links, lab_pf, mac_a, &error));
	g_autofree char *name = claim(f->provider, &request_a);
	g_assert_false(f->provider->ops->arm(f->provider, "a", &refused));
	g_test_message("%s", refused->message);
	g_assert_error(refused, FAULT, FAULT_EXISTS);
	g_assert_true(lab_hears(mac_a));
	g_assert_true(filter_remove(lab_links, lab_pf, mac_a, &error));
	CALL(f->provider, arm, "a");
	g_assert_false(lab_hears(mac_a));
	CALL(f->provider, left, "a");
	CALL(f->provider, release, "a");
	expect_unchanged(f);
}

static void test_heard_by_others_later(struct fixture *f, gconstpointer data)
{
	g_autofree char
		*name = claim(f->provider, &request_a),
		*begins = g_strdup_printf(
			"VF 0 of %s (NIC a): somebody has told %s to hear its MAC 00:0d:3a:00:00:0a, ",
			lab_pf, lab_pf);

	CALL(f->provider, arm, "a");
	lab_plug(0, mac_a);
	lab_shell("bridge fdb add 00:0d:3a:00:00:0a dev %s self", lab_pf);
	for (int look = 0; look < 2; look++) {
		g_autofree char *text = check(f);
		g_assert_true(g_str_has_prefix(text, begins) && !strchr(text, '\n') && lab_hears(mac_a));
	}
	lab_shell("bridge fdb del 00:0d:3a:00:00:0a dev %s self", lab_pf); /* as it is told */
	expect_check(f, "");
	lab_unplug(0);
	CALL(f->provider, left, "a");
	CALL(f->provider, release, "a");
	expect_unchanged(f);
}

static void test_heard_full(struct fixture *f, gconstpointer data)
{
	struct nic_heard heard[32];
	g_autoptr(GError) error = NULL;

	for (unsigned i = 0; i < G_N_ELEMENTS(heard); i++)
		heard[i] = (struct nic_heard){PHYSICAL, 0, {{2, 0, 0, 0, 2, (uint8_t)i}}};
	g_assert_false(f->provider->ops->hear(f->provider, heard, G_N_ELEMENTS(heard), &error));
	g_test_message("%s", error->message);
	g_assert_error(error, FAULT, FAULT_POOL_FULL);
	g_assert_nonnull(strstr(error->message, "are missing"));
	g_assert_true(lab_hears(heard[0].mac));
	/* Functions are given all the same. */
	g_autofree char *name = claim(f->provider, &request_a);
	CALL(f->provider, arm, "a");
	g_assert_false(lab_hears(mac_a));
	CALL(f->provider, left, "a");
	CALL(f->provider, release, "a");
	/* What is to be heard no more is not, though others find no room still. */
	g_clear_error(&error);
	g_assert_true(lab_hears(heard[0].mac));
	g_assert_false(f->provider->ops->hear(f->provider, heard + 1, G_N_ELEMENTS(heard) - 1, &error));
	g_assert_error(error, FAULT, FAULT_POOL_FULL);
	g_assert_false(lab_hears(heard[0].mac));
	hear(f->provider, heard, 2);
	expect_check(f, "");
	hear(f->provider, NULL, 0);
	expect_unchanged(f);
}

static void test_vlan_heard(struct fixture *f, gconstpointer data)
{
	int fd = frames_listen(lab_pf), sender = frames_listen(lab_wire);

	g_autofree char *name = claim(f->provider, &request_a);
	g_assert_true(frames_broadcast_arrives(fd, sender, LAB_VLAN));
	CALL(f->provider, arm, "a");
	lab_plug(0, mac_a);
	g_assert_true(frames_broadcast_arrives(fd, sender, LAB_VLAN));
	lab_unplug(0);
	CALL(f->provider, left, "a");
	CALL(f->provider, release, "a");
	close(fd);
	close(sender);
	expect_unchanged(f);
}

/* ---- a guest that holds on ---- */

/* A socket on the interface that the host's own driver makes of the VF, in the guest's place. */
static int open_guest(const char *address, char **ret_netdev)
{
	g_autofree char *folder = g_strdup_printf("/sys/bus/pci/devices/%s/net", address);
	g_autoptr(GError) error = NULL;

	pci_driver_bind("", address, "igbvf", &error);
	g_assert_no_error(error);
	g_autoptr(GDir) netdevs = g_dir_open(folder, 0, &error);
	g_assert_no_error(error);
	*ret_netdev = g_strdup(g_dir_read_name(netdevs));
	lab_shell("ip link set dev %s up", *ret_netdev);
	lab_shell(
		"i=0; until grep -q 1 /sys/class/net/%s/carrier; do i=$((i + 1)); [ $i -lt %d ]; sleep 0.1; "
		"done",
		*ret_netdev, LAB_CARRIER_S * 10);
	return frames_listen(*ret_netdev);
}

/* What leaves the VF by the wire is on the VLAN, which is -1 where nothing does; what is on the NIC's VLAN comes to it, or not. */
static void expect_traffic(int outside, int guest, bool passes)
{
	int vlan = frames_vlan_of_broadcast(outside, guest);

	g_test_message("what the guest sends is on VLAN %d", vlan);
	g_assert_true(passes ? vlan == LAB_VLAN : vlan == -1 || vlan == DEAD_VLAN);
	g_assert_cmpint(frames_broadcast_arrives(guest, outside, LAB_VLAN), ==, passes);
}

/* The guest resets its VF and asks for its MAC again, and nothing comes of it. */
static void test_cut(struct fixture *f, gconstpointer data)
{
	g_autofree char *name = claim(f->provider, &request_a), *netdev = NULL;
	g_autoptr(GError) error = NULL;

	CALL(f->provider, arm, "a");
	lab_write_vf(0, (struct vf_attributes){.mac = mac_a, .vlan = LAB_VLAN}, VF_MAC | VF_VLAN);
	int outside = frames_listen(lab_wire), guest = open_guest(name, &netdev);
	expect_traffic(outside, guest, true);
	CALL(f->provider, cut, "a");
	expect_traffic(outside, guest, false);
	expect_attributes(0, dead, DEAD_VLAN, true, false, 100);
	g_assert_true(lab_hears(mac_a));
	g_assert_cmpint(use_of(f, 0), ==, NIC_USE_CUT);
	lab_shell("ip link set dev %s down && ! ip link set dev %s address 00:0d:3a:00:00:0a && "
		  "ip link set dev %s up && sleep 3",
		netdev, netdev, netdev);
	close(guest); /* it has been told that its interface was down */
	guest = frames_listen(netdev);
	expect_traffic(outside, guest, false);
	expect_check(f, "");
	lab_write_vf(0, (struct vf_attributes){.mac = mac_a, .vlan = LAB_VLAN}, VF_MAC | VF_VLAN);
	g_autofree char *says = g_strdup_printf(
		"VF 0 of %s (NIC a): its mac was 00:0d:3a:00:00:0a; it is 02:63:75:74:00:00 again\n"
		"VF 0 of %s (NIC a): its vlan was 100; it is 4095 again",
		lab_pf, lab_pf);
	expect_check(f, says);
	expect_traffic(outside, guest, false);
	close(guest);
	close(outside);
	lab_unplug(0);
	CALL(f->provider, left, "a");
	expect_attributes(0, none, 0, true, false, 100);
	CALL(f->provider, release, "a");
	expect_unchanged(f);
}

static void test_pf_down(struct fixture *f, gconstpointer data)
{
	lab_shell("ip link set dev %s down", lab_pf);
	g_autofree char *name = claim(f->provider, &request_a);
	lab_wait_for_carrier();
	lab_shell("ip link set dev %s down", lab_pf);
	g_autofree char *says = check(f), *up = g_strdup_printf("%s was down; it is up again", lab_pf);
	g_assert_nonnull(strstr(says, up));
	lab_wait_for_carrier();
	CALL(f->provider, release, "a");
	expect_unchanged(f);
}

static void test_lost(struct fixture *f, gconstpointer data)
{
	const struct vf_attributes was = lab_read_vf(0);
	g_autofree char *name = claim(f->provider, &request_a), *again = NULL;
	g_autoptr(GError) error = NULL;

	lab_shell("echo 0 >/sys/class/net/%s/device/sriov_numvfs", lab_pf);
	g_autofree char *gone = check(f);
	g_assert_nonnull(strstr(
		gone, "(NIC a) is gone: its PF has fewer VFs; make VFs again with `sluice host setup`"));
	g_assert_cmpint(use_of(f, 0), ==, NIC_USE_LOST);
	g_assert_false(f->provider->ops->claim(f->provider, &request_a, &again, &error));
	g_assert_error(error, FAULT, FAULT_UNAVAILABLE);
	lab_shell("echo 3 >/sys/class/net/%s/device/sriov_numvfs", lab_pf);
	lab_wait_for_carrier();
	g_autofree char *back = check(f);
	g_assert_nonnull(strstr(back, "its vlan was 0; it is 100 again"));
	expect_attributes(0, none, LAB_VLAN, true, false, 100);
	CALL(f->provider, release, "a");
	/* As it was before the VFs were made anew. */
	expect_attributes(0, was.mac, was.vlan, was.spoofchk, was.trust, was.max_rate);
	g_autofree char *driver = pci_driver_get("", name);
	g_assert_cmpstr(driver, ==, "igbvf");
	/* The others have igbvf again too. */
	for (unsigned i = 1; i < 3; i++) {
		g_autofree char *address = lab_vf_address(i);
		g_assert_true(pci_driver_unbind("", address, NULL));
	}
}

/* Its NIC may have another meanwhile. */
static void test_quarantine(struct fixture *f, gconstpointer data)
{
	lab_write_vf(0, (struct vf_attributes){.max_rate = 50}, VF_RATE);
	g_autofree char *name = claim(f->provider, &request_a);
	lab_shell("ip link set dev %s down", lab_pf); /* igb sets no rate then */
	CALL(f->provider, left, "a");
	CALL(f->provider, release, "a");
	g_assert_cmpint(use_of(f, 0), ==, NIC_USE_QUARANTINED);
	g_autofree char *other = claim(f->provider, &request_a);
	g_assert_cmpstr(other, !=, name);
	g_assert_cmpint(use_of(f, 0), ==, NIC_USE_QUARANTINED);
	lab_wait_for_carrier();
	g_autofree char *says = g_strdup_printf(
		"VF 0 of %s (NIC a): its release had not been finished; it is as it was found now",
		lab_pf_address);
	g_autofree char *text = check(f);
	g_assert_nonnull(strstr(text, says));
	g_assert_cmpint(use_of(f, 0), ==, NIC_USE_FREE);
	g_assert_cmpint(use_of(f, 1), ==, NIC_USE_CLAIMED);
	CALL(f->provider, release, "a");
	lab_write_vf(0, (struct vf_attributes){}, VF_RATE);
	expect_unchanged(f);
}

/* An operator wants the VF, whose rate of before the PF does not take now: igb sets none while the PF is down. */
static void test_reclaim(struct fixture *f, gconstpointer data)
{
	g_autoptr(GPtrArray) lost = NULL;
	g_autoptr(GError) error = NULL;

	lab_write_vf(0, (struct vf_attributes){.max_rate = 50}, VF_RATE);
	g_autofree char *name = claim(f->provider, &request_a);
	lab_shell("ip link set dev %s down", lab_pf);
	CALL(f->provider, left, "a");
	CALL(f->provider, release, "a");
	g_assert_cmpint(use_of(f, 0), ==, NIC_USE_QUARANTINED);
	g_assert_false(f->provider->ops->reclaim(f->provider, name, false, &lost, &error));
	g_test_message("%s", error->message);
	g_assert_cmpint(use_of(f, 0), ==, NIC_USE_QUARANTINED);
	g_clear_error(&error);
	g_assert_true(f->provider->ops->reclaim(f->provider, name, true, &lost, &error));
	g_assert_no_error(error);
	for (guint i = 0; i < lost->len; i++)
		g_test_message("given up: %s", (char *)lost->pdata[i]);
	g_assert_cmpuint(lost->len, ==, 1);
	g_assert_true(g_str_has_prefix(lost->pdata[0], "its rate is "));
	g_assert_nonnull(strstr(lost->pdata[0], "not 50 Mbit/s"));
	g_assert_cmpint(use_of(f, 0), ==, NIC_USE_FREE);
	/* All else is as it was found. */
	lab_shell("ip link set dev %s up", lab_pf);
	lab_wait_for_carrier();
	lab_write_vf(0, (struct vf_attributes){}, VF_RATE);
	expect_unchanged(f);
}

/* The PF's interface is in another namespace when the guest lets go: the VF is there, and is not forgotten. */
static void test_elsewhere(struct fixture *f, gconstpointer data)
{
	g_autofree char *name = claim(f->provider, &request_a);

	CALL(f->provider, arm, "a");
	lab_plug(0, mac_a);
	lab_shell("ip netns add away && ip link set dev %s netns away", lab_pf);
	g_autofree char *told = check(f);
	g_assert_nonnull(strstr(told, "cannot be reached: its PF has no interface here"));
	CALL(f->provider, left, "a");
	CALL(f->provider, release, "a");
	g_assert_cmpint(use_of(f, 0), ==, NIC_USE_QUARANTINED);
	lab_shell("ip -n away link set dev %s netns 1 && ip netns del away && ip link set dev %s up", lab_pf,
		lab_pf);
	lab_wait_for_carrier();
	g_autofree char *says = g_strdup_printf(
		"VF 0 of %s (NIC a): its release had not been finished; it is as it was found now",
		lab_pf_address);
	g_autofree char *text = check(f);
	g_assert_nonnull(strstr(text, says));
	g_assert_cmpint(use_of(f, 0), ==, NIC_USE_FREE);
	expect_unchanged(f);
}

/* libvirt has died before it gave the driver back. */
static void test_abandoned(struct fixture *f, gconstpointer data)
{
	g_autofree char *name = claim(f->provider, &request_a);
	g_autoptr(GError) error = NULL;

	CALL(f->provider, arm, "a");
	lab_plug(0, mac_a);
	g_assert_false(f->provider->ops->left(f->provider, "a", &error));
	g_assert_error(error, FAULT, FAULT_TIMEOUT);
	expect_attributes(0, none, 0, true, false, 100);
	CALL(f->provider, release, "a");
	expect_unchanged(f);
}

/* ---- crashes ---- */

/* Of a life that ended while its guest held on. */
static void end_cut(struct nic_provider *provider)
{
	g_autoptr(GPtrArray) list = provider->ops->list(provider);

	if (list->len == 0 || !((const struct nic_function *)list->pdata[0])->cut)
		return;
	lab_unplug(0);
	CALL(provider, left, "a");
	CALL(provider, release, "a");
}

/* A life of a VF that passes all failpoints. */
static void live(struct nic_provider *provider)
{
	const struct nic_heard heard = {PHYSICAL, 0, {{2, 0, 0, 0, 0, 0x55}}};

	end_cut(provider);
	hear(provider, &heard, 1);
	g_autofree char *name = claim(provider, &request_a);
	CALL(provider, arm, "a");
	lab_plug(0, mac_a);
	CALL(provider, cut, "a");
	lab_unplug(0);
	CALL(provider, left, "a");
	CALL(provider, release, "a");
	hear(provider, NULL, 0);
}

static bool dies_at(const struct fixture *f, const char *point)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		links_close(lab_links);
		lab_links = links_open(NULL, NULL);
		if (point)
			setenv("SLUICE_FAILPOINT", point, 1);
		alarm(FAILPOINT_S);
		live(provider_open(f));
		_exit(0);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status);
}

static void test_failpoint(struct fixture *f, gconstpointer data)
{
	g_assert_true(dies_at(f, data));
	/* The agent does again what it does not know to be done; here: give it up. */
	nic_provider_close(f->provider);
	f->provider = provider_open(f);
	end_cut(f->provider);
	CALL(f->provider, left, "a");
	CALL(f->provider, release, "a");
	hear(f->provider, NULL, 0);
	expect_check(f, "");
	expect_unchanged(f);

	/* And once more, to be finished. */
	g_assert_true(dies_at(f, data));
	g_assert_false(dies_at(f, NULL));
	expect_unchanged(f);
}

static void add(const char *name, void (*fn)(struct fixture *, gconstpointer), gconstpointer data)
{
	g_autofree char *path = g_strconcat("/sriov/", name, NULL);

	g_test_add(path, struct fixture, data, setup, fn, teardown);
}

static void add_failpoints(void)
{
	for (unsigned i = 0; i < FAILPOINT_COUNT; i++) {
		if (!g_str_has_prefix(failpoint_name(i), "sriov."))
			continue;
		g_autofree char *name =
			g_strdup_printf("killed when %s (%s)", failpoint_text(i), failpoint_name(i));
		add(name, test_failpoint, failpoint_name(i));
	}
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;

	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK); /* that a VF is quarantined is logged */
	lab_pf = g_getenv("SLUICE_PF");
	lab_wire = g_getenv("SLUICE_WIRE");
	g_assert_true(lab_pf && lab_wire);
	lab_links = links_open(NULL, &error);
	g_assert_no_error(error);
	g_autofree char *link = g_strdup_printf("/sys/class/net/%s/device", lab_pf);
	g_autofree char *target = g_file_read_link(link, NULL);
	lab_pf_address = g_path_get_basename(target);
	add("claim, arm, left and release leave the host as it was", test_round, NULL);
	add("a MAC is cleared as soon as the guest lets go, before libvirt gives the VF back",
		test_left_at_once, NULL);
	add("what an operator had set on a VF is restored", test_originals, NULL);
	add("a MAC that nobody had set is left to the VF's driver", test_chosen_mac, NULL);
	add("one that a guest has open is not taken, and keeps its MAC and VLAN", test_in_guest, NULL);
	add("nothing passes one that its guest was said to have left and has open", test_left_in_guest, NULL);
	add("what somebody else changes is repaired, and told", test_drift, NULL);
	add("the PF hears what it is told, and removes only what it added", test_heard, NULL);
	add("a VF is not armed while somebody has the PF hear its MAC", test_heard_by_others, NULL);
	add("that somebody has the PF hear the MAC of a VF that is armed is told as long as it is so",
		test_heard_by_others_later, NULL);
	add("a PF whose filters are full says so", test_heard_full, NULL);
	add("a VLAN that a VF has is heard by a port on the PF too", test_vlan_heard, NULL);
	add("nothing passes a VF that is cut off, whatever its guest does", test_cut, NULL);
	add("a PF that is down is brought up", test_pf_down, NULL);
	add("VFs that vanish stay claimed, and are set up when they are back", test_lost, NULL);
	add("one that cannot be restored is given to nobody until it can be, and is not its NIC's any more",
		test_quarantine, NULL);
	add("one that an operator wants as it is is free, and what was given up is told", test_reclaim, NULL);
	add("one whose PF is in another namespace is given back when that is here again", test_elsewhere,
		NULL);
	add("one that libvirt does not give back is taken back all the same", test_abandoned, NULL);
	add_failpoints();
	int status = g_test_run();
	links_close(lab_links);
	g_free(lab_pf_address);
	return status;
}
