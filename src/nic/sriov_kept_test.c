/* Tests of the providers of VFs, on made-up sysfs trees: VFs that are not given back in the way that they were given. They are of
 * another kind than VFs are now, their PF cannot be reached, or an operator wants them as they are. */
#include "base/fault.h"
#include "nic/filter.h"
#include "nic/test_sriov.h"

#include <glib/gstdio.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define BUS TEST_SRIOV_BUS
#define PF1 TEST_SRIOV_PF1

static const struct nic_request request = {
	.nic = "a", .physical = "physnet1", .mac = {{2, 0, 0, 0, 0, 1}}, .vlan = 100};

/* ---- claims of another kind than VFs are now ---- */

/* Legacy VFs, of the first PF, as the host file has them now. */
static void open_as_legacy(struct test_sriov *f)
{
	g_autoptr(GPtrArray) pfs = g_ptr_array_new();
	g_autoptr(GError) error = NULL;

	g_ptr_array_add(pfs, (char *)PF1);
	nic_provider_close(f->provider);
	f->provider = sriov_open(&sriov_legacy, f->tree->root, f->ledger, test_devlink_open(f->eswitches, 2),
		&(struct sriov_physical){"physnet1", pfs}, 1, &error);
	g_assert_no_error(error);
}

/* A claim of a VXLAN network's NIC, as an agent with NICs in switchdev mode has made it. */
static struct sriov_claim *add_tunnelled(const struct test_sriov *f, enum sriov_step step)
{
	test_sriov_add_claim(f, PF1, 1, "t");
	struct sriov_claim *claim =
		test_sriov_provider(f)
			->ledger->claims->pdata[test_sriov_provider(f)->ledger->claims->len - 1];
	g_clear_pointer(&claim->physical, g_free);
	claim->step = step;
	return claim;
}

static void save_ledger(const struct test_sriov *f)
{
	g_autoptr(GError) error = NULL;

	sriov_ledger_save(test_sriov_provider(f)->ledger, &error);
	g_assert_no_error(error);
}

/* The host file has gone from switchdev mode back to legacy. */
static void test_was_switchdev(struct test_sriov *f, gconstpointer data)
{
	static const enum sriov_step steps[] = {
		SRIOV_CLAIMED, SRIOV_ARMED, SRIOV_CUT, SRIOV_LEFT, SRIOV_RESETTING};
	const struct nic_heard heard = {.physical = "physnet1", .mac = {{2, 0, 0, 0, 0, 7}}};
	/* The kernel of this tree can reset no VF, which is logged. */
	GLogLevelFlags fatal = g_log_set_always_fatal(G_LOG_FATAL_MASK);

	for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
		g_autoptr(GError) error = NULL;
		add_tunnelled(f, steps[i])->kind = g_strdup("switchdev");
		save_ledger(f);
		open_as_legacy(f);
		const struct sriov_claim *claim = test_sriov_provider(f)->ledger->claims->pdata[0];
		g_assert_true(sriov_kind_of(test_sriov_provider(f), claim) == &sriov_switchdev);
		/* Its MAC is on no physical network, so there is nothing to hear; it is asked for by name all the same. */
		g_assert_true(f->provider->ops->hear(f->provider, NULL, 0, &error));
		g_assert_no_error(error);
		g_assert_false(f->provider->ops->hear(f->provider, &heard, 1, NULL));
		g_autoptr(GPtrArray) sentences = f->provider->ops->check(f->provider);
		g_assert_cmpuint(sentences->len, >=, 1);
		g_autoptr(GPtrArray) list = f->provider->ops->list(f->provider);
		const struct nic_function *function = list->pdata[0];
		g_assert_cmpstr(function->representor, ==, "rep1"); /* the switch has it still */
		g_autoptr(GPtrArray) survey = f->provider->ops->survey(f->provider);
		g_assert_cmpstr(((struct nic_device *)survey->pdata[1])->nic, ==, "t");
		/* New ones are legacy ones. */
		g_autoptr(GPtrArray) inventory = test_sriov_inventory(f);
		const struct nic_pf *pf;
		const struct nic_vf *vf;
		g_assert_true(sriov_pick(test_sriov_provider(f), inventory, &request, &pf, &vf, &error));
		g_assert_cmpstr(vf->address, ==, test_sriov_vfs[0][0]);
		g_ptr_array_set_size(test_sriov_provider(f)->ledger->claims, 0);
	}
	g_log_set_always_fatal(fatal);
}

/* An earlier version said of all claims at once what they are, and wrongly so after it had been started with the other kind. */
static void test_early_ledger(struct test_sriov *f, gconstpointer data)
{
	static const struct {
		const char *written, *physical;
		const struct sriov_kind *kind;
	} cases[] = {{"switchdev", NULL, &sriov_switchdev}, {"switchdev", "physnet1", &sriov_switchdev},
		{"sriov", "physnet1", &sriov_legacy}, {"sriov", NULL, &sriov_switchdev},
		{NULL, "physnet1", &sriov_legacy}};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct sriov_claim *claim = add_tunnelled(f, SRIOV_ARMED);
		claim->physical = g_strdup(cases[i].physical);
		g_free(test_sriov_provider(f)->ledger->kind);
		test_sriov_provider(f)->ledger->kind = g_strdup(cases[i].written);
		save_ledger(f);
		open_as_legacy(f);
		claim = test_sriov_provider(f)->ledger->claims->pdata[0];
		g_assert_true(sriov_kind_of(test_sriov_provider(f), claim) == cases[i].kind);
		g_assert_cmpstr(claim->kind, ==, cases[i].kind->caps.name);
		g_ptr_array_set_size(test_sriov_provider(f)->ledger->claims, 0);
	}
}

/* ---- PFs that cannot be reached ---- */

/* No driver has the first PF, or its interface is in another namespace; its VFs are there. */
static void hide_pf(const struct test_sriov *f)
{
	tree_remove(f->tree, BUS PF1 "/net/sriov-pf1/ifindex");
	tree_remove(f->tree, BUS PF1 "/net/sriov-pf1");
	tree_remove(f->tree, BUS PF1 "/net");
}

static const struct nic_device *device_of(const GPtrArray *survey, const char *name)
{
	for (guint i = 0; i < survey->len; i++) {
		const struct nic_device *device = survey->pdata[i];
		if (g_strcmp0(device->name, name) == 0)
			return device;
	}
	g_error("%s is not there", name);
}

static void expect_use(const struct test_sriov *f, enum nic_use use, const char *says)
{
	g_autoptr(GPtrArray) survey = f->provider->ops->survey(f->provider);
	const struct nic_device *device = device_of(survey, test_sriov_vfs[0][0]);

	g_assert_cmpint(device->use, ==, use);
	g_test_message("%s", device->detail);
	g_assert_nonnull(strstr(device->detail, says));
}

static void test_unreachable(struct test_sriov *f, gconstpointer data)
{
	GLogLevelFlags fatal =
		g_log_set_always_fatal(G_LOG_FATAL_MASK); /* that it is quarantined is logged */
	g_autoptr(GError) error = NULL;

	test_sriov_add_claim(f, PF1, 0, "b");
	struct sriov_claim *claim = test_sriov_provider(f)->ledger->claims->pdata[0];
	claim->step = SRIOV_ARMED;
	hide_pf(f);
	expect_use(f, NIC_USE_ARMED, "has a PF that has no interface here");
	g_autoptr(GPtrArray) sentences = f->provider->ops->check(f->provider);
	g_assert_nonnull(strstr(sentences->pdata[0],
		"VF 0 of " PF1 " (NIC b) cannot be reached: its PF has no interface here"));
	/* Its NIC goes on without it at once, and may have another. */
	g_assert_true(f->provider->ops->left(f->provider, "b", &error));
	g_assert_cmpint(claim->step, ==, SRIOV_LEFT);
	g_assert_true(f->provider->ops->release(f->provider, "b", &error));
	g_assert_no_error(error);
	expect_use(f, NIC_USE_QUARANTINED, "cannot be reached");
	g_assert_cmpuint(test_sriov_provider(f)->ledger->claims->len, ==, 1);
	/* It is there, so it is not forgotten; when it is gone there is nothing to give back. */
	g_autoptr(GPtrArray) again = f->provider->ops->check(f->provider);
	g_assert_nonnull(strstr(again->pdata[0], "cannot be given back as it was found"));
	tree_remove(f->tree, BUS "%s/class", test_sriov_vfs[0][0]);
	tree_remove(f->tree, BUS "%s/vendor", test_sriov_vfs[0][0]);
	tree_remove(f->tree, BUS "%s/physfn", test_sriov_vfs[0][0]);
	tree_remove(f->tree, BUS "%s/iommu_group", test_sriov_vfs[0][0]);
	tree_remove(f->tree, BUS "%s", test_sriov_vfs[0][0]);
	g_autoptr(GPtrArray) gone = f->provider->ops->check(f->provider);
	g_assert_nonnull(strstr(gone->pdata[0], "it is as it was found now"));
	g_assert_cmpuint(test_sriov_provider(f)->ledger->claims->len, ==, 0);
	g_log_set_always_fatal(fatal);
}

static void test_reclaim(struct test_sriov *f, gconstpointer data)
{
	GLogLevelFlags fatal = g_log_set_always_fatal(G_LOG_FATAL_MASK);
	const char *name = test_sriov_vfs[0][0];
	g_autoptr(GPtrArray) lost = NULL;
	g_autoptr(GError) error = NULL;

	test_sriov_add_claim(f, PF1, 0, "b");
	((struct sriov_claim *)test_sriov_provider(f)->ledger->claims->pdata[0])->step = SRIOV_RESETTING;
	hide_pf(f);
	g_assert_false(f->provider->ops->reclaim(f->provider, name, false, &lost, &error));
	g_assert_error(error, FAULT, FAULT_UNAVAILABLE);
	g_assert_nonnull(strstr(error->message, "cannot be reached"));
	g_assert_cmpuint(test_sriov_provider(f)->ledger->claims->len, ==, 1);
	g_clear_error(&error);
	g_assert_true(f->provider->ops->reclaim(f->provider, name, true, &lost, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(lost->len, ==, 1);
	g_assert_nonnull(strstr(lost->pdata[0], "cannot be reached"));
	g_assert_cmpuint(test_sriov_provider(f)->ledger->claims->len, ==, 0);
	_cleanup_(sriov_ledger_free) struct sriov_ledger *again = sriov_ledger_load(f->ledger, &error);
	g_assert_cmpuint(again->claims->len, ==, 0);
	g_log_set_always_fatal(fatal);
}

/* A guest has the first VF. */
static void open_in_guest(const struct test_sriov *f)
{
	test_sriov_bind(f, test_sriov_vfs[0][0], "vfio-pci");
	tree_write(f->tree, "1:3", "sys/class/vfio/10/dev"); /* of /dev/null */
	tree_write(f->tree, "qemu", "proc/4711/comm");
	tree_link(f->tree, "/dev/null", "proc/4711/fd/4");
}

static void expect_not_reclaimed(const struct test_sriov *f, const char *name, int code)
{
	guint before = test_sriov_provider(f)->ledger->claims->len;

	for (int as_is = 0; as_is < 2; as_is++) {
		g_autoptr(GError) error = NULL;
		GPtrArray *lost = NULL;
		g_assert_false(f->provider->ops->reclaim(f->provider, name, as_is, &lost, &error));
		g_test_message("%s", error->message);
		g_assert_error(error, FAULT, code);
		g_assert_null(lost);
		g_assert_cmpuint(test_sriov_provider(f)->ledger->claims->len, ==, before);
	}
}

/* One that a guest has is given to nobody, whatever an operator wants, and whether or not its PF can be reached. */
static void test_reclaim_in_use(struct test_sriov *f, gconstpointer data)
{
	GLogLevelFlags fatal = g_log_set_always_fatal(G_LOG_FATAL_MASK);
	g_autoptr(GError) error = NULL;

	test_sriov_add_claim(f, PF1, 0, "b");
	struct sriov_claim *claim = test_sriov_provider(f)->ledger->claims->pdata[0];
	claim->step = SRIOV_RESETTING;
	open_in_guest(f);
	expect_not_reclaimed(f, test_sriov_vfs[0][0], FAULT_IN_USE);
	hide_pf(f);
	expect_not_reclaimed(f, test_sriov_vfs[0][0], FAULT_IN_USE);
	claim->step = SRIOV_ARMED;
	g_assert_false(f->provider->ops->release(f->provider, "b", &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	g_assert_cmpint(claim->step, ==, SRIOV_ARMED);
	g_log_set_always_fatal(fatal);
}

/* A new rate that cannot be written down is as new to the next try. */
static void expect_rate_refused(const struct test_sriov *f, const struct sriov_claim *claim)
{
	const struct nic_request faster = {.nic = claim->nic,
		.physical = claim->physical,
		.mac = claim->mac,
		.vlan = claim->vlan,
		.rate_mbps = claim->rate_mbps + 1};
	uint32_t before = claim->rate_mbps;

	for (int try = 0; try < 2; try++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *name = NULL;
		g_assert_false(f->provider->ops->claim(f->provider, &faster, &name, &error));
		g_assert_error(error, FAULT, FAULT_INTERNAL);
		g_assert_nonnull(strstr(error->message, "cannot write the ledger"));
		g_assert_cmpuint(claim->rate_mbps, ==, before);
	}
}

/* What was given back, and cannot be written down as such, stays claimed until it can. */
static void test_unsaved(struct test_sriov *f, gconstpointer data)
{
	GLogLevelFlags fatal = g_log_set_always_fatal(G_LOG_FATAL_MASK); /* its PF hears nothing */
	GPtrArray *claims = test_sriov_provider(f)->ledger->claims;
	const char *name = "0000:05:10.0"; /* gone, so there is nothing to give back */
	g_autoptr(GPtrArray) lost = NULL;
	g_autoptr(GError) error = NULL;

	test_sriov_add_claim(f, PF1, 0, "a");
	test_sriov_add_claim(f, PF1, 2, "b");
	test_sriov_add_claim(f, PF1, 1, "c");
	((struct sriov_claim *)claims->pdata[1])->step = SRIOV_RESETTING;
	g_assert_cmpint(g_mkdir(f->ledger, 0700), ==, 0); /* no file can be put there */
	expect_not_reclaimed(f, name, FAULT_INTERNAL);
	g_assert_cmpstr(((struct sriov_claim *)claims->pdata[1])->nic, ==, "b");
	expect_rate_refused(f, claims->pdata[0]);
	g_assert_cmpint(g_rmdir(f->ledger), ==, 0);
	g_assert_true(f->provider->ops->reclaim(f->provider, name, true, &lost, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(lost->len, ==, 0);
	_cleanup_(sriov_ledger_free) struct sriov_ledger *again = sriov_ledger_load(f->ledger, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(again->claims->len, ==, 2);
	g_assert_cmpuint(claims->len, ==, 2);
	g_log_set_always_fatal(fatal);
}

static bool tells(const GPtrArray *sentences, const char *word)
{
	for (guint i = 0; i < sentences->len; i++)
		if (strstr(sentences->pdata[i], word))
			return true;
	return false;
}

/* That the VF cannot be reset keeps nobody from setting its representor down. */
static void test_reclaim_representor(struct test_sriov *f, gconstpointer data)
{
	GLogLevelFlags fatal = g_log_set_always_fatal(G_LOG_FATAL_MASK);
	g_autoptr(GPtrArray) lost = NULL;
	g_autoptr(GError) error = NULL;

	add_tunnelled(f, SRIOV_RESETTING)->kind = g_strdup("switchdev");
	tree_write(f->tree, "", BUS "%s/reset/file", test_sriov_vfs[0][1]); /* to write to it fails */
	g_assert_true(f->provider->ops->reclaim(f->provider, test_sriov_vfs[0][1], true, &lost, &error));
	g_assert_no_error(error);
	for (guint i = 0; i < lost->len; i++)
		g_test_message("%s", (char *)lost->pdata[i]);
	g_assert_true(tells(lost, "cannot reset 0000:03:10.2"));
	g_assert_true(tells(lost, "rep1")); /* the kernel has no such interface */
	g_log_set_always_fatal(fatal);
}

/* ---- what VFs have to have ---- */

static const struct mac_addr none;
static const struct mac_addr dead = {{0x02, 'c', 'u', 't', 0, 3}}; /* of the fourth VF of a PF */

/* Who has the NIC's MAC is never one that its guest has left, or was not given yet. */
static void test_wanted(void)
{
	static const struct {
		enum sriov_step step;
		bool in_guest;
		const struct mac_addr *mac;
		unsigned vlan;
		enum vf_link link;
	} cases[] = {
		{SRIOV_CLAIMED, false, &none, 100, VF_LINK_AUTO},
		{SRIOV_CLAIMED, true, &none, 100, VF_LINK_AUTO},
		{SRIOV_ARMED, false, &none, 100, VF_LINK_AUTO},
		{SRIOV_ARMED, true, &request.mac, 100, VF_LINK_AUTO},
		{SRIOV_CUT, false, &dead, 4095, VF_LINK_DISABLE},
		{SRIOV_CUT, true, &dead, 4095, VF_LINK_DISABLE},
		{SRIOV_LEFT, false, &none, 0, VF_LINK_AUTO},
		{SRIOV_LEFT, true, &dead, 4095, VF_LINK_DISABLE},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct sriov_claim claim = {
			.index = 3, .mac = request.mac, .vlan = 100, .rate_mbps = 500, .step = cases[i].step};
		const struct vf_attributes want = sriov_vf_wanted(&claim, cases[i].in_guest);
		g_assert_cmpmem(want.mac.bytes, 6, cases[i].mac->bytes, 6);
		g_assert_cmpuint(want.vlan, ==, cases[i].vlan);
		g_assert_cmpint(want.link, ==, cases[i].link);
		g_assert_true(want.spoofchk && !want.trust);
		g_assert_cmpuint(want.max_rate, ==, 500);
	}
}

/* ---- filters ---- */

static void make_pf(const char *type)
{
	g_autofree char *command =
		g_strdup_printf("ip link del dev sriov-pf1 2>/dev/null; ip link add dev sriov-pf1 %s", type);

	g_assert_cmpint(system(command), ==, 0);
}

/* In a network namespace where the first PF is there, of that type. Whether there is one. */
static bool enter_namespace(const struct test_sriov *f, const char *type)
{
	struct sriov *sriov = test_sriov_provider(f);
	g_autoptr(GError) error = NULL;

	if (unshare(CLONE_NEWNET) < 0) {
		g_test_skip("network namespaces need root");
		return false;
	}
	make_pf(type);
	links_close(sriov->links);
	sriov->links = links_open(NULL, &error);
	g_assert_no_error(error);
	return true;
}

/* On an interface that takes no filter at first. */
static void test_filters(struct test_sriov *f, gconstpointer data)
{
	const struct nic_heard heard[] = {{.physical = "physnet1", .mac = {{2, 0, 0, 0, 0, 7}}},
		{.physical = "physnet1", .mac = {{2, 0, 0, 0, 0, 8}}}};
	struct sriov *sriov = test_sriov_provider(f);
	g_autoptr(GError) error = NULL, refused = NULL;

	if (!enter_namespace(f, "type vxlan id 7 dstport 4789 remote 192.0.2.1"))
		return;
	g_assert_false(f->provider->ops->hear(f->provider, heard, 2, &refused));
	g_test_message("%s", refused->message);
	g_assert_nonnull(strstr(refused->message, "cannot hear MAC"));
	g_assert_cmpuint(sriov->ledger->filters->len, ==, 0);
	_cleanup_(sriov_ledger_free) struct sriov_ledger *saved = sriov_ledger_load(f->ledger, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(saved->heard->len, ==, 2);
	g_assert_cmpuint(saved->filters->len, ==, 0);
	/* There is room now, which is no repair; that they went with the interface is one. */
	for (guint repairs = 0; repairs <= 2; repairs += 2) {
		make_pf("type veth peer name wire");
		g_autoptr(GPtrArray) sentences = f->provider->ops->check(f->provider);
		g_assert_cmpuint(sentences->len, ==, repairs);
		g_assert_cmpuint(sriov->ledger->filters->len, ==, 2);
	}
}

static guint heard_by_pf(const struct test_sriov *f)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) macs = filter_list(test_sriov_provider(f)->links, "sriov-pf1", &error);

	g_assert_no_error(error);
	return macs->len;
}

/* What cannot be written down is neither done nor taken for done, however often it is tried. */
static void test_unsaved_filters(struct test_sriov *f, gconstpointer data)
{
	const struct nic_heard heard = {.physical = "physnet1", .mac = {{2, 0, 0, 0, 0, 7}}};
	struct sriov_ledger *ledger = test_sriov_provider(f)->ledger;
	g_autoptr(GError) error = NULL;

	if (!enter_namespace(f, "type veth peer name wire"))
		return;
	test_sriov_add_claim(f, PF1, 0, "a"); /* its NIC is to be heard, too */
	g_assert_cmpint(g_mkdir(f->ledger, 0700), ==, 0);
	for (int try = 0; try < 2; try++) {
		g_autoptr(GError) unsaved = NULL;
		g_autoptr(GPtrArray) sentences = f->provider->ops->check(f->provider);
		g_assert_true(tells(sentences, "cannot write the ledger"));
		g_assert_false(f->provider->ops->hear(f->provider, &heard, 1, &unsaved));
		g_assert_error(unsaved, FAULT, FAULT_INTERNAL);
		g_assert_cmpuint(ledger->filters->len, ==, 0);
		g_assert_cmpuint(ledger->heard->len, ==, 0);
		g_assert_cmpuint(heard_by_pf(f), ==, 0);
	}
	g_assert_cmpint(g_rmdir(f->ledger), ==, 0);
	g_assert_true(f->provider->ops->hear(f->provider, &heard, 1, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(heard_by_pf(f), ==, 2);
	_cleanup_(sriov_ledger_free) struct sriov_ledger *saved = sriov_ledger_load(f->ledger, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(saved->filters->len, ==, 2);
	g_assert_cmpuint(saved->heard->len, ==, 1);
}

static void add_filter(const struct sriov *sriov, const char *pf, struct mac_addr mac)
{
	g_autoptr(GError) error = NULL;

	filter_add(sriov->links, pf, mac, &error);
	g_assert_no_error(error);
}

/* `by`: whose filter is in the way; NULL: nobody's. */
static void expect_armed(struct test_sriov *f, const struct sriov_claim *claim, const char *by)
{
	g_autoptr(GError) error = NULL;
	bool armed = f->provider->ops->arm(f->provider, claim->nic, &error);

	g_assert_cmpint(armed, ==, !by);
	g_assert_cmpint(claim->step, ==, by ? SRIOV_CLAIMED : SRIOV_ARMED);
	if (!by)
		return;
	g_test_message("%s", error->message);
	g_assert_error(error, FAULT, FAULT_EXISTS);
	g_autofree char *remedy = g_strdup_printf("`bridge fdb del 02:00:00:00:09:00 dev %s self`", by);
	g_assert_nonnull(strstr(error->message, remedy));
}

/* By such a filter the NIC gives the PF what is for the VF. */
static void test_others_filters(struct test_sriov *f, gconstpointer data)
{
	struct sriov *sriov = test_sriov_provider(f);
	g_autoptr(GError) error = NULL;

	if (!enter_namespace(f, "type veth peer name sriov-pf2"))
		return;
	test_sriov_add_claim(f, PF1, 0, "a");
	const struct sriov_claim *claim = sriov->ledger->claims->pdata[0];
	add_filter(sriov, "sriov-pf1", claim->mac); /* before the agent had it added */
	sriov_hear_anew(sriov);
	g_assert_cmpuint(sriov->ledger->filters->len, ==, 0);
	expect_armed(f, claim, "sriov-pf1");
	g_assert_true(filter_remove(sriov->links, "sriov-pf1", claim->mac, &error));
	add_filter(sriov, "sriov-pf2", claim->mac);
	expect_armed(f, claim, "sriov-pf2");
	g_assert_true(filter_remove(sriov->links, "sriov-pf2", claim->mac, &error));
	/* Its own is taken away, and others' of other MACs are others' matter. */
	sriov_hear_anew(sriov);
	g_assert_cmpuint(sriov->ledger->filters->len, ==, 1);
	g_assert_cmpuint(heard_by_pf(f), ==, 1);
	add_filter(sriov, "sriov-pf2", (struct mac_addr){{2, 0, 0, 0, 0, 7}});
	expect_armed(f, claim, NULL);
	g_assert_cmpuint(sriov->ledger->filters->len, ==, 0);
	g_assert_cmpuint(heard_by_pf(f), ==, 0);
}

/* What a look says of it, where somebody has that PF hear the MAC of a claim on the first one. Owned by the caller. */
static char *foreign_text(const struct sriov_claim *claim, const char *pf)
{
	char mac[MAC_TEXT_MAX];
	bool own = g_str_equal(pf, "sriov-pf1");

	mac_format(claim->mac, mac);
	return g_strdup_printf(
		"VF %u of sriov-pf1 (NIC %s): somebody has told %s to hear its MAC %s, so that %s "
		"to it may go to this host, and not to the guest; see who has (`bridge fdb show "
		"dev %s`) and take it away (`bridge fdb del %s dev %s self`)",
		claim->index, claim->nic, pf, mac, own ? "what is sent" : "what VFs of sriov-pf2 send", pf,
		mac, pf);
}

/* Which PFs hear the claim's MAC by somebody else's doing. Looked at twice: it is so still. */
static void expect_foreign(struct test_sriov *f, const struct sriov_claim *claim, bool first, bool second)
{
	g_autofree char *by_first = foreign_text(claim, "sriov-pf1"),
			*by_second = foreign_text(claim, "sriov-pf2");

	for (int look = 0; look < 2; look++) {
		g_autoptr(GPtrArray) sentences = f->provider->ops->check(f->provider);
		unsigned told = 0;
		for (guint i = 0; i < sentences->len; i++)
			told += strstr(sentences->pdata[i], "to hear its MAC") != NULL;
		g_assert_cmpint(tells(sentences, by_first), ==, first);
		g_assert_cmpint(tells(sentences, by_second), ==, second);
		g_assert_cmpuint(told, ==, (unsigned)first + second);
	}
}

/* Nobody asks before he adds a filter. It stays, as somebody may need it. */
static void test_foreign(struct test_sriov *f, gconstpointer data)
{
	const struct nic_heard other = {.physical = "physnet1", .mac = {{2, 0, 0, 0, 0, 7}}};
	struct sriov *sriov = test_sriov_provider(f);
	g_autoptr(GError) error = NULL;

	if (!enter_namespace(f, "type veth peer name sriov-pf2"))
		return;
	test_sriov_add_claim(f, PF1, 0, "a");
	test_sriov_add_claim(f, PF1, 1, "b");
	struct sriov_claim *claim = sriov->ledger->claims->pdata[0];
	sriov_hear_anew(sriov);
	g_assert_true(f->provider->ops->hear(f->provider, &other, 1, &error));
	expect_armed(f, claim, NULL);
	/* What the host hears for the other NIC, which is not armed, is ours. */
	g_assert_cmpuint(heard_by_pf(f), ==, 2);
	expect_foreign(f, claim, false, false);
	add_filter(sriov, "sriov-pf1", (struct mac_addr){{2, 0, 0, 0, 0, 8}});
	expect_foreign(f, claim, false, false);
	add_filter(sriov, "sriov-pf2", claim->mac);
	expect_foreign(f, claim, false, true);
	add_filter(sriov, "sriov-pf1", claim->mac);
	expect_foreign(f, claim, true, true);
	g_assert_true(filter_remove(sriov->links, "sriov-pf2", claim->mac, &error));
	expect_foreign(f, claim, true, false);
	g_assert_cmpuint(heard_by_pf(f), ==, 4);
	/* It does no harm while the VF is away: the host is to hear the MAC then. */
	claim->step = SRIOV_CUT;
	expect_foreign(f, claim, false, false);
	claim->step = SRIOV_ARMED;
	expect_foreign(f, claim, true, false);
	g_assert_true(filter_remove(sriov->links, "sriov-pf1", claim->mac, &error));
	expect_foreign(f, claim, false, false);
}

/* To a VF with a representor flows lead, and no filter. */
static void test_foreign_representor(struct test_sriov *f, gconstpointer data)
{
	if (!enter_namespace(f, "type veth peer name sriov-pf2"))
		return;
	test_sriov_add_claim(f, PF1, 1, "a");
	struct sriov_claim *claim = test_sriov_provider(f)->ledger->claims->pdata[0];
	claim->step = SRIOV_ARMED;
	add_filter(test_sriov_provider(f), "sriov-pf1", claim->mac);
	expect_foreign(f, claim, false, false);
	/* One that was given as a legacy VF is one. */
	claim->kind = g_strdup("sriov");
	expect_foreign(f, claim, true, false);
}

/* ---- a host that is being set up ---- */

/* Making VFs takes NICs their time. Nobody waits for that, since others would wait for who does. */
static void test_set_up_elsewhere(struct test_sriov *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL, later = NULL;
	g_autofree char *name = NULL;
	int lock = sriov_ledger_lock(f->ledger, &error);

	g_assert_cmpint(lock, >=, 0);
	g_assert_false(f->provider->ops->claim(f->provider, &request, &name, &error));
	g_test_message("%s", error->message);
	g_assert_error(error, FAULT, FAULT_UNAVAILABLE);
	g_assert_nonnull(strstr(error->message, "sluice host setup"));
	g_assert_cmpuint(test_sriov_provider(f)->ledger->claims->len, ==, 0);
	sriov_ledger_unlock(&lock);
	/* Now it is the kernel, which has no such PF, that keeps it from a VF. */
	g_assert_false(f->provider->ops->claim(f->provider, &request, &name, &later));
	g_test_message("%s", later->message);
	g_assert_error(later, FAULT, FAULT_POOL_FULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, setup, function)                                                                          \
	g_test_add("/sriov/kept/" name, struct test_sriov, NULL, setup, function, test_sriov_teardown)
	TEST("claims are taken back as they were made when the host file names legacy NICs",
		test_sriov_setup_switchdev, test_was_switchdev);
	TEST("an early ledger says of all claims at once what they are", test_sriov_setup_switchdev,
		test_early_ledger);
	TEST("a VF whose PF cannot be reached is not forgotten, and holds up nobody", test_sriov_setup,
		test_unreachable);
	TEST("an operator has what cannot be given back given up, and learns what that is", test_sriov_setup,
		test_reclaim);
	TEST("what a guest has is not given up", test_sriov_setup, test_reclaim_in_use);
	TEST("what the ledger cannot be rid of stays claimed", test_sriov_setup, test_unsaved);
	TEST("a representor is set down whatever becomes of its VF", test_sriov_setup_switchdev,
		test_reclaim_representor);
	g_test_add_func(
		"/sriov/kept/a VF has its NIC's MAC while that is armed and in a guest, and no longer",
		test_wanted);
	TEST("MACs that could not be heard are no repair when they can be", test_sriov_setup, test_filters);
	TEST("a MAC that cannot be written down is not heard", test_sriov_setup, test_unsaved_filters);
	TEST("a VF is not armed while somebody has a PF hear its MAC", test_sriov_setup, test_others_filters);
	TEST("that somebody has a PF hear the MAC of a VF that is armed is told as long as it is so",
		test_sriov_setup, test_foreign);
	TEST("others' filters are nothing to VFs with representors", test_sriov_setup_switchdev,
		test_foreign_representor);
	TEST("who sets the host up holds no call up", test_sriov_setup, test_set_up_elsewhere);
	return g_test_run();
}
