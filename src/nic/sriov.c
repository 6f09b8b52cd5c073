/* The SR-IOV provider: virtual functions of legacy NICs, for NICs on VLANs of physical networks; and what it shares with the
 * switchdev provider, which is nearly all (switchdev.c has the rest).
 *
 * How it works. The life of a VF and what each step means are in sriov_ledger.h; a call writes the step that it enters
 * to the ledger, then does it, and every step can be done again. So a call that a crash cut off is finished by repeating
 * it, and a claim that could not be set up is rolled back by what a release does. Nothing is done at opening: the
 * agent's own ledger says which calls to repeat.
 *
 * Between arm and left, libvirt owns driver, MAC and VLAN of a VF. All else that its PF holds is ours: trust, spoofchk,
 * rate, link; and MAC and VLAN as soon as the guest has let go, since what the PF has for a VF that is gone swallows the
 * NIC's frames. A VF that is cut off has a MAC and a VLAN that nobody has: drivers put what the PF is told into the NIC's
 * filters at once, or reset the VF first, and refuse the guest another one. A claimed VF has no driver: this host's own could be configured by others, and chooses a MAC.
 *
 * Rejected: to keep PFs' names, which change when devices are enumerated anew; to find VFs by their addresses alone,
 * which say nothing of the PF that holds their attributes; to cut a VF off by its link state, which igb has not, and which
 * other drivers only tell the guest of; to unbind it from vfio-pci, which waits for the guest.
 */
#include "base/fault.h"
#include "base/log.h"
#include "nic/sriov_priv.h"
#include "nic/vf_use.h"

const struct sriov_kind sriov_legacy = {
	.caps =
		{
			.name = "sriov",
			.claim = "sriov: packets bypass the host",
			.bypass = true,
		},
	.needed = VF_MAC | VF_VLAN | VF_SPOOFCHK,
	.protection = VF_MAC | VF_VLAN | VF_SPOOFCHK | VF_TRUST,
	.limits = VF_RATE | VF_LINK,
};

/* ---- finding ---- */

const struct sriov_kind *sriov_kind_of(const struct sriov *sriov, const struct sriov_claim *claim)
{
	static const struct sriov_kind *const kinds[] = {&sriov_legacy, &sriov_switchdev};

	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (g_strcmp0(claim->kind, kinds[i]->caps.name) == 0)
			return kinds[i];
	return sriov->kind; /* an early version did not say */
}

const struct physical *sriov_find_physical(const struct sriov *sriov, const char *name)
{
	for (guint i = 0; i < sriov->physicals->len; i++) {
		const struct physical *physical = sriov->physicals->pdata[i];
		if (g_strcmp0(physical->name, name) == 0)
			return physical;
	}
	return NULL;
}

GPtrArray *sriov_inventory(const struct sriov *sriov)
{
	GPtrArray *inventory = inventory_read(sriov->root);

	inventory_add_eswitches(inventory, sriov->devlink);
	return inventory;
}

const struct nic_pf *sriov_find_pf(const GPtrArray *inventory, const char *address)
{
	for (guint i = 0; i < inventory->len; i++) {
		const struct nic_pf *pf = inventory->pdata[i];
		if (g_str_equal(pf->address, address))
			return pf->netdev ? pf : NULL;
	}
	return NULL;
}

void sriov_place_done(struct sriov_place *place)
{
	g_clear_pointer(&place->inventory, g_ptr_array_unref);
}

static const struct nic_vf *find_vf(const struct nic_pf *pf, unsigned index)
{
	return pf && index < pf->vfs->len ? pf->vfs->pdata[index] : NULL;
}

struct sriov_place sriov_find(const struct sriov *sriov, const struct sriov_claim *claim)
{
	struct sriov_place place = {.inventory = sriov_inventory(sriov)};

	place.pf = sriov_find_pf(place.inventory, claim->pf);
	place.vf = find_vf(place.pf, claim->index);
	return place;
}

bool sriov_must_find(const struct sriov *sriov, const struct sriov_claim *claim,
	struct sriov_place *ret_place, GError **error)
{
	*ret_place = sriov_find(sriov, claim);
	if (ret_place->vf || !sriov_is_gone(sriov, claim, ret_place, error))
		return ret_place->vf != NULL;
	g_autofree char *label = sriov_label(claim, ret_place->pf);
	return fault_set(error, FAULT_UNAVAILABLE, "%s is gone: %s; make VFs again with `sluice host setup`",
		label, ret_place->pf ? "its PF has fewer VFs" : "its PF has no interface");
}

bool sriov_is_gone(const struct sriov *sriov, const struct sriov_claim *claim,
	const struct sriov_place *place, GError **error)
{
	g_autofree char *device = g_strdup_printf("%s/sys/bus/pci/devices/%s", sriov->root, claim->vf);

	if (place->pf || !g_file_test(device, G_FILE_TEST_EXISTS))
		return true;
	return fault_set(error, FAULT_UNAVAILABLE,
		"VF %u of %s (NIC %s) cannot be reached: its PF has no interface here; bind the PF's driver, "
		"or "
		"bring its interface back into this network namespace",
		claim->index, claim->pf, claim->nic);
}

char *sriov_label(const struct sriov_claim *claim, const struct nic_pf *pf)
{
	return g_strdup_printf("VF %u of %s (NIC %s)", claim->index, pf ? pf->netdev : claim->pf, claim->nic);
}

/* ---- check ---- */

static void go_on_releasing(struct sriov *sriov, struct sriov_claim *claim, GPtrArray *sentences)
{
	g_autofree char *label = sriov_label(claim, NULL);
	g_autoptr(GError) error = NULL;

	if (sriov_finish_release(sriov, claim, &error))
		g_ptr_array_add(sentences,
			g_strdup_printf(
				"%s: its release had not been finished; it is as it was found now", label));
	else
		g_ptr_array_add(sentences, g_strdup(error->message));
}

static GPtrArray *sriov_check(struct nic_provider *provider)
{
	struct sriov *sriov = (struct sriov *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&sriov->mutex);
	g_autoptr(GHashTable) guests = vf_use_guests(sriov->root);
	GPtrArray *sentences = g_ptr_array_new_with_free_func(g_free);

	for (guint i = sriov->ledger->claims->len; i-- > 0;) {
		struct sriov_claim *claim = sriov->ledger->claims->pdata[i];
		if (claim->step == SRIOV_RESETTING)
			go_on_releasing(sriov, claim, sentences);
		else
			sriov_vf_check(sriov, claim, guests, sentences);
	}
	sriov_hear_check(sriov, sentences);
	return sentences;
}

/* ---- the provider ---- */

static GPtrArray *sriov_list(struct nic_provider *provider)
{
	struct sriov *sriov = (struct sriov *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&sriov->mutex);
	g_autoptr(GPtrArray) inventory = sriov->devlink ? sriov_inventory(sriov) : NULL;
	GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)nic_function_free);

	for (guint i = 0; i < sriov->ledger->claims->len; i++) {
		const struct sriov_claim *claim = sriov->ledger->claims->pdata[i];
		const struct nic_pf *pf = inventory ? sriov_find_pf(inventory, claim->pf) : NULL;
		const struct nic_vf *vf = find_vf(pf, claim->index);
		bool by_representor = vf && sriov_kind_of(sriov, claim)->caps.representors;
		struct nic_function *function = g_new0(struct nic_function, 1);
		*function = (struct nic_function){g_strdup(claim->vf), g_strdup(claim->nic),
			g_strdup(by_representor ? vf->representor : NULL), claim->step == SRIOV_CUT,
			claim->step == SRIOV_RESETTING};
		g_ptr_array_add(list, function);
	}
	return list;
}

static void sriov_close(struct nic_provider *provider)
{
	struct sriov *sriov = (struct sriov *)provider;

	g_clear_pointer(&sriov->ledger, sriov_ledger_free);
	links_close(sriov->links);
	genl_close(sriov->devlink);
	g_mutex_clear(&sriov->mutex);
	g_ptr_array_unref(sriov->physicals);
	g_free(sriov->root);
	g_free(sriov);
}

static void physical_free(struct physical *physical)
{
	g_free(physical->name);
	g_ptr_array_unref(physical->pfs);
	g_ptr_array_unref(physical->tunnel_pfs);
	g_free(physical);
}

/* NULL is an empty one. */
static GPtrArray *texts_copy(const GPtrArray *from)
{
	GPtrArray *texts = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; from && i < from->len; i++)
		g_ptr_array_add(texts, g_strdup(from->pdata[i]));
	return texts;
}

static GPtrArray *physicals_copy(const struct sriov_physical *from, size_t n)
{
	GPtrArray *physicals = g_ptr_array_new_with_free_func((GDestroyNotify)physical_free);

	for (size_t i = 0; i < n; i++) {
		struct physical *physical = g_new0(struct physical, 1);
		g_ptr_array_add(physicals, physical);
		physical->name = g_strdup(from[i].name);
		physical->pfs = texts_copy(from[i].pfs);
		physical->tunnel_pfs = texts_copy(from[i].tunnel_pfs);
	}
	return physicals;
}

static void sriov_follow(struct nic_provider *provider, const struct sriov_physical *physicals, size_t n)
{
	struct sriov *sriov = (struct sriov *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&sriov->mutex);

	g_ptr_array_unref(sriov->physicals);
	sriov->physicals = physicals_copy(physicals, n);
}

static const struct nic_provider_ops sriov_ops = {
	.claim = sriov_claim,
	.arm = sriov_arm,
	.cut = sriov_cut,
	.left = sriov_left,
	.release = sriov_release,
	.reclaim = sriov_reclaim,
	.list = sriov_list,
	.survey = sriov_survey,
	.check = sriov_check,
	.hear = sriov_hear,
	.follow = sriov_follow,
	.close = sriov_close,
};

/* Those of earlier claims, as the host file had its NICs then. They are taken back by what they were claimed as; their
 * representors are asked for, too. */
static void adopt_claims(struct sriov *sriov)
{
	unsigned others = 0;
	bool representors = false;

	for (guint i = 0; i < sriov->ledger->claims->len; i++) {
		struct sriov_claim *claim = sriov->ledger->claims->pdata[i];
		const struct sriov_kind *kind = sriov_kind_of(sriov, claim);
		if (!claim->kind)
			claim->kind = g_strdup(kind->caps.name);
		others += kind != sriov->kind;
		representors |= kind->caps.representors;
	}
	g_free(sriov->ledger->kind);
	sriov->ledger->kind = g_strdup(sriov->kind->caps.name);
	if (others)
		log_info("sriov",
			"%u VFs were given otherwise than as '%s'; they are taken back as they were given",
			others, sriov->kind->caps.name);
	if (representors && !sriov->devlink) {
		g_autoptr(GError) error = NULL;
		sriov->devlink = genl_open("devlink", &error);
		if (!sriov->devlink) /* then there are none any more */
			log_info("sriov", "%s", error->message);
	}
}

struct nic_provider *sriov_open(const struct sriov_kind *kind, const char *root, const char *ledger,
	struct genl *devlink, const struct sriov_physical *physicals, size_t n, GError **error)
{
	struct sriov *sriov = g_new0(struct sriov, 1);

	sriov->provider = (struct nic_provider){&sriov_ops, &kind->caps};
	sriov->kind = kind;
	sriov->root = g_strdup(root);
	sriov->devlink = devlink;
	sriov->physicals = physicals_copy(physicals, n);
	g_mutex_init(&sriov->mutex);
	sriov->ledger = sriov_ledger_load(ledger, error);
	sriov->links = sriov->ledger ? links_open(NULL, error) : NULL;
	if (sriov->links) {
		adopt_claims(sriov);
		return &sriov->provider;
	}
	sriov_close(&sriov->provider);
	return NULL;
}

struct nic_provider *nic_sriov_open(const char *root, const char *ledger,
	const struct sriov_physical *physicals, size_t n, GError **error)
{
	return sriov_open(&sriov_legacy, root, ledger, NULL, physicals, n, error);
}
