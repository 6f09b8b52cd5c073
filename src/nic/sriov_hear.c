/* The SR-IOV provider: what the PFs hear for the host.
 *
 * The first PF of each physical network, whose interface is the switch's port, hears the MACs that the host was told to
 * hear and those of claimed VFs that are not armed. What was added is in the ledger before it is, and only that is ever
 * removed.
 *
 * From the wire the switch's port hears all, also of every VLAN, since it makes the PF promiscuous. The filters are for
 * what VFs of the same PF send: the NIC gives it to the PF only where a filter says so, and to the wire otherwise. So
 * where they are full, the VFs of the PF do not reach the rest, unless the network beyond the wire sends it back. That is
 * told, and holds nothing else up: a VF may be armed as soon as its own MAC is no filter.
 *
 * Others may add filters too. Where somebody has a PF hear the MAC of a VF that is armed, the NIC gives the PF what is for the
 * VF. Such a VF is not armed; of one that is, each look says so, with what to do. Nobody but who added a filter knows what it
 * is for, so none of others' is removed here.
 *
 * Rejected: to give the PF a VLAN interface for each VLAN, which opens its VLAN filter without promiscuous mode: i40e
 * then needs a filter for each pair of MAC and VLAN.
 */
#include "base/failpoint.h"
#include "base/fault.h"
#include "base/log.h"
#include "nic/filter.h"
#include "nic/sriov_priv.h"

#include <string.h>

static bool is_same_mac(struct mac_addr a, struct mac_addr b)
{
	return memcmp(&a, &b, sizeof a) == 0;
}

/* ---- what is wanted ---- */

static bool has(const GPtrArray *filters, const char *pf, struct mac_addr mac)
{
	for (guint i = 0; i < filters->len; i++) {
		const struct sriov_filter *filter = filters->pdata[i];
		if (g_str_equal(filter->pf, pf) && is_same_mac(filter->mac, mac))
			return true;
	}
	return false;
}

static void add(GPtrArray *filters, const char *pf, struct mac_addr mac)
{
	if (has(filters, pf, mac))
		return;
	struct sriov_filter *filter = g_new0(struct sriov_filter, 1);
	*filter = (struct sriov_filter){g_strdup(pf), mac};
	g_ptr_array_add(filters, filter);
}

static bool is_armed(const struct sriov *sriov, const char *physical, struct mac_addr mac)
{
	for (guint i = 0; i < sriov->ledger->claims->len; i++) {
		const struct sriov_claim *claim = sriov->ledger->claims->pdata[i];
		if (claim->step == SRIOV_ARMED && g_strcmp0(claim->physical, physical) == 0 &&
			is_same_mac(claim->mac, mac))
			return true;
	}
	return false;
}

static void want(const struct sriov *sriov, GPtrArray *filters, const char *name, struct mac_addr mac)
{
	const struct physical *physical = sriov_find_physical(sriov, name);

	/* The operator may have taken the physical network off this host, and its NICs may be away. */
	if (physical && physical->pfs->len && !is_armed(sriov, name, mac))
		add(filters, physical->pfs->pdata[0], mac);
}

/* GPtrArray of struct sriov_filter. Owned by the caller. */
static GPtrArray *all_wanted(const struct sriov *sriov)
{
	GPtrArray *filters = g_ptr_array_new_with_free_func((GDestroyNotify)sriov_filter_free);

	/* Of NICs in switchdev mode all that no flow takes comes to the host. */
	for (guint i = 0; !sriov->kind->caps.representors && i < sriov->ledger->heard->len; i++) {
		const struct sriov_heard *heard = sriov->ledger->heard->pdata[i];
		want(sriov, filters, heard->physical, heard->mac);
	}
	for (guint i = 0; i < sriov->ledger->claims->len; i++) {
		const struct sriov_claim *claim = sriov->ledger->claims->pdata[i];
		if (claim->step != SRIOV_RESETTING && !sriov_kind_of(sriov, claim)->caps.representors)
			want(sriov, filters, claim->physical, claim->mac);
	}
	return filters;
}

/* ---- less ---- */

bool sriov_hear_less(struct sriov *sriov, GError **error)
{
	g_autoptr(GPtrArray) wanted = all_wanted(sriov);
	g_autoptr(GPtrArray) inventory = NULL;
	GPtrArray *ours = sriov->ledger->filters;
	bool changed = false;

	for (guint i = ours->len; i-- > 0;) {
		const struct sriov_filter *filter = ours->pdata[i];
		if (has(wanted, filter->pf, filter->mac))
			continue;
		inventory = inventory ? inventory : inventory_read(sriov->root);
		const struct nic_pf *pf = sriov_find_pf(inventory, filter->pf);
		/* Filters go with the interface. */
		if (pf && !filter_remove(sriov->links, pf->netdev, filter->mac, error))
			return false;
		failpoint(FAILPOINT_SRIOV_FILTERED);
		g_ptr_array_remove_index(ours, i);
		changed = true;
	}
	return !changed || sriov_ledger_save(sriov->ledger, error);
}

/* ---- what PFs hear ---- */

static bool hears(const GArray *macs, struct mac_addr mac)
{
	for (guint i = 0; i < macs->len; i++)
		if (is_same_mac(g_array_index(macs, struct mac_addr, i), mac))
			return true;
	return false;
}

/* What the kernel has said of PFs, each of which is asked about once. */
struct dumps {
	GPtrArray *inventory; /* Owned */
	GHashTable
		*macs; /* Owned: address of a PF, Borrowed from the inventory → GArray of struct mac_addr */
};

static struct dumps dumps_init(const struct sriov *sriov)
{
	return (struct dumps){inventory_read(sriov->root),
		g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_array_unref)};
}

static void dumps_done(struct dumps *dumps)
{
	g_hash_table_unref(dumps->macs);
	g_ptr_array_unref(dumps->inventory);
}
CLEANUP_CLEAR_FUNC(struct dumps, dumps_done)

/* The PF is of their inventory. Borrowed; NULL with *error. */
static const GArray *dumps_get(
	const struct dumps *dumps, struct sriov *sriov, const struct nic_pf *pf, GError **error)
{
	GArray *macs = g_hash_table_lookup(dumps->macs, pf->address);

	if (!macs)
		macs = filter_list(sriov->links, pf->netdev, error);
	if (macs && !g_hash_table_contains(dumps->macs, pf->address))
		g_hash_table_insert(dumps->macs, pf->address, macs);
	return macs;
}

/* ---- more ---- */

/* Enters those that are new to ours. */
static bool record(struct sriov *sriov, const GPtrArray *missing, GError **error)
{
	GPtrArray *ours = sriov->ledger->filters;
	guint before = ours->len;

	for (guint i = 0; i < missing->len; i++) {
		const struct sriov_filter *filter = missing->pdata[i];
		add(ours, filter->pf, filter->mac);
	}
	if (ours->len == before)
		return true;
	if (!sriov_ledger_save(sriov->ledger, error)) {
		g_ptr_array_set_size(ours, (int)before); /* they are new to the next try, too */
		return false;
	}
	failpoint(FAILPOINT_SRIOV_FILTERING);
	return true;
}

static bool set_full(const struct sriov *sriov, const struct nic_pf *pf, guint missing, GError **error)
{
	g_autoptr(GArray) macs = filter_list(sriov->links, pf->netdev, NULL);

	return fault_set(error, FAULT_POOL_FULL,
		"%s hears %u MACs besides its own, and its hardware holds no more; %u are missing, and VFs "
		"of %s may not reach them: accelerate the NICs that have none, move virtual machines to "
		"other hosts, or have %s make fewer VFs, which leaves it more room",
		pf->netdev, macs ? macs->len : 0, missing, pf->netdev, pf->netdev);
}

/* Those from the first on were not added after all: they are not ours, and when they fit later that is no repair. */
static void forget(struct sriov *sriov, const GPtrArray *missing, guint first)
{
	GPtrArray *ours = sriov->ledger->filters;
	g_autoptr(GPtrArray) rest = g_ptr_array_new();

	for (guint i = first; i < missing->len; i++)
		g_ptr_array_add(rest, missing->pdata[i]);
	for (guint i = ours->len; i-- > 0;) {
		const struct sriov_filter *filter = ours->pdata[i];
		if (has(rest, filter->pf, filter->mac))
			g_ptr_array_remove_index(ours, i);
	}
	sriov_ledger_save(sriov->ledger, NULL); /* one too many in the file does no more than tell a repair */
}

/* Those of one PF that are missing: `lost` were ours before. */
static bool add_missing(struct sriov *sriov, const struct nic_pf *pf, const GPtrArray *missing,
	GPtrArray *lost, GPtrArray *sentences, GError **error)
{
	for (guint i = 0; i < missing->len; i++) {
		const struct sriov_filter *filter = missing->pdata[i];
		g_autoptr(GError) cause = NULL;
		char text[MAC_TEXT_MAX];
		if (!filter_add(sriov->links, pf->netdev, filter->mac, &cause)) {
			forget(sriov, missing, i);
			if (g_error_matches(cause, FAULT, FAULT_POOL_FULL))
				return set_full(sriov, pf, missing->len - i, error);
			g_propagate_error(error, g_steal_pointer(&cause));
			return false;
		}
		if (sentences && g_ptr_array_find(lost, filter, NULL))
			g_ptr_array_add(
				sentences, g_strdup_printf("%s did not hear MAC %s any more; it does again",
						   pf->netdev, mac_format(filter->mac, text)));
	}
	return true;
}

static GPtrArray *wanted_of(const GPtrArray *wanted, const char *pf)
{
	GPtrArray *some = g_ptr_array_new();

	for (guint i = 0; i < wanted->len; i++)
		if (g_str_equal(((const struct sriov_filter *)wanted->pdata[i])->pf, pf))
			g_ptr_array_add(some, wanted->pdata[i]);
	return some;
}

static bool fill(struct sriov *sriov, const char *address, const struct dumps *dumps, const GPtrArray *all,
	GPtrArray *sentences, GError **error)
{
	g_autoptr(GPtrArray) wanted = wanted_of(all, address), missing = g_ptr_array_new(),
			     lost = g_ptr_array_new();
	const struct nic_pf *pf = sriov_find_pf(dumps->inventory, address);

	if (wanted->len == 0)
		return true;
	if (!pf)
		return fault_set(error, FAULT_UNAVAILABLE,
			"the PF %s has no interface, so nothing is heard on its physical network; see that "
			"its driver is "
			"loaded",
			address);
	const GArray *macs = dumps_get(dumps, sriov, pf, error);
	for (guint i = 0; macs && i < wanted->len; i++) {
		struct sriov_filter *filter = wanted->pdata[i];
		if (hears(macs, filter->mac))
			continue; /* somebody else's is as good, and stays theirs */
		g_ptr_array_add(missing, filter);
		if (has(sriov->ledger->filters, filter->pf, filter->mac))
			g_ptr_array_add(lost, filter);
	}
	return macs && record(sriov, missing, error) &&
	       add_missing(sriov, pf, missing, lost, sentences, error);
}

/* sentences: for those that somebody else has removed; may be NULL. */
static bool hear_more(struct sriov *sriov, const struct dumps *dumps, GPtrArray *sentences, GError **error)
{
	g_autoptr(GPtrArray) wanted = all_wanted(sriov);
	bool ok = true;

	for (guint i = 0; wanted->len && i < sriov->physicals->len; i++) {
		const struct physical *physical = sriov->physicals->pdata[i];
		if (physical->pfs->len == 0)
			continue;
		/* The first cause wins; other PFs are served all the same. */
		ok = fill(sriov, physical->pfs->pdata[0], dumps, wanted, sentences, ok ? error : NULL) && ok;
	}
	return ok;
}

static bool hear_anew(struct sriov *sriov, GError **error)
{
	_cleanup_(dumps_done) struct dumps dumps = dumps_init(sriov);

	return hear_more(sriov, &dumps, NULL, error);
}

void sriov_hear_anew(struct sriov *sriov)
{
	g_autoptr(GError) error = NULL;

	if (!sriov_hear_less(sriov, &error) || !hear_anew(sriov, &error))
		log_warn("sriov", "%s", error->message);
}

/* ---- others' ---- */

bool sriov_check_filters(struct sriov *sriov, const GPtrArray *inventory, const char *name,
	struct mac_addr mac, GError **error)
{
	const struct physical *physical = sriov_find_physical(sriov, name);
	char text[MAC_TEXT_MAX];

	for (guint i = 0; physical && i < physical->pfs->len; i++) {
		const struct nic_pf *pf = sriov_find_pf(inventory, physical->pfs->pdata[i]);
		if (!pf || has(sriov->ledger->filters, pf->address, mac))
			continue;
		g_autoptr(GArray) macs = filter_list(sriov->links, pf->netdev, error);
		if (!macs)
			return false;
		if (hears(macs, mac))
			return fault_set(error, FAULT_EXISTS,
				"%s hears MAC %s, as somebody has told it to, and would take what other VFs "
				"send to it; see who has (`bridge fdb show dev %s`) and take it away "
				"(`bridge "
				"fdb del %s dev %s self`)",
				pf->netdev, mac_format(mac, text), pf->netdev, text, pf->netdev);
	}
	return true;
}

/* PFs on which frames for the VF may be taken: its own, and those whose VFs reach it by the wire. GPtrArray of addresses,
 * Borrowed. Owned by the caller. */
static GPtrArray *pfs_around(const struct sriov *sriov, const struct sriov_claim *claim)
{
	const struct physical *physical = sriov_find_physical(sriov, claim->physical);
	GPtrArray *pfs = g_ptr_array_new();

	g_ptr_array_add(pfs, claim->pf);
	for (guint i = 0; physical && i < physical->pfs->len; i++)
		if (!g_str_equal(physical->pfs->pdata[i], claim->pf))
			g_ptr_array_add(pfs, physical->pfs->pdata[i]);
	return pfs;
}

static void tell_foreign(
	const struct sriov_claim *claim, const char *own, const struct nic_pf *pf, GPtrArray *sentences)
{
	g_autofree char *from = g_strdup_printf("what VFs of %s send", pf->netdev);
	char mac[MAC_TEXT_MAX];

	mac_format(claim->mac, mac);
	g_ptr_array_add(sentences,
		g_strdup_printf("VF %u of %s (NIC %s): somebody has told %s to hear its MAC %s, so that "
				"%s to it may go to this host, and not to the guest; see who has (`bridge "
				"fdb show dev %s`) and take it away (`bridge fdb del %s dev %s self`)",
			claim->index, own, claim->nic, pf->netdev, mac,
			g_str_equal(pf->address, claim->pf) ? "what is sent" : from, pf->netdev, mac,
			pf->netdev));
}

/* Of one that is armed: its MAC is no filter of ours. */
static bool check_foreign(struct sriov *sriov, const struct sriov_claim *claim, const struct dumps *dumps,
	GPtrArray *sentences, GError **error)
{
	g_autoptr(GPtrArray) pfs = pfs_around(sriov, claim);
	const struct nic_pf *own = sriov_find_pf(dumps->inventory, claim->pf);

	for (guint i = 0; i < pfs->len; i++) {
		const struct nic_pf *pf = sriov_find_pf(dumps->inventory, pfs->pdata[i]);
		const GArray *macs = pf ? dumps_get(dumps, sriov, pf, error) : NULL;
		if (pf && !macs)
			return false;
		if (pf && hears(macs, claim->mac) && !has(sriov->ledger->filters, pf->address, claim->mac))
			tell_foreign(claim, own ? own->netdev : claim->pf, pf, sentences);
	}
	return true;
}

static bool check_all_foreign(
	struct sriov *sriov, const struct dumps *dumps, GPtrArray *sentences, GError **error)
{
	for (guint i = 0; i < sriov->ledger->claims->len; i++) {
		const struct sriov_claim *claim = sriov->ledger->claims->pdata[i];
		if (claim->step == SRIOV_ARMED && !sriov_kind_of(sriov, claim)->caps.representors &&
			!check_foreign(sriov, claim, dumps, sentences, error))
			return false;
	}
	return true;
}

/* ---- the provider's calls ---- */

void sriov_hear_check(struct sriov *sriov, GPtrArray *sentences)
{
	_cleanup_(dumps_done) struct dumps dumps = dumps_init(sriov);
	g_autoptr(GError) error = NULL, unseen = NULL;

	if (!sriov_hear_less(sriov, &error) || !hear_more(sriov, &dumps, sentences, &error))
		g_ptr_array_add(sentences, g_strdup(error->message));
	if (!check_all_foreign(sriov, &dumps, sentences, &unseen) && !error)
		g_ptr_array_add(sentences, g_strdup(unseen->message));
}

static bool is_heard(const GPtrArray *list, const struct nic_heard *heard, size_t n)
{
	if (list->len != n)
		return false;
	for (guint i = 0; i < n; i++) {
		const struct sriov_heard *entry = list->pdata[i];
		if (!g_str_equal(entry->physical, heard[i].physical) ||
			!is_same_mac(entry->mac, heard[i].mac))
			return false;
	}
	return true;
}

static GPtrArray *heard_new(const struct nic_heard *heard, size_t n)
{
	GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)sriov_heard_free);

	for (size_t i = 0; i < n; i++) {
		struct sriov_heard *entry = g_new0(struct sriov_heard, 1);
		*entry = (struct sriov_heard){g_strdup(heard[i].physical), heard[i].mac};
		g_ptr_array_add(list, entry);
	}
	return list;
}

/* What cannot be written down is not wanted: the next try finds it new again. */
static bool want_heard(struct sriov *sriov, const struct nic_heard *heard, size_t n, GError **error)
{
	GPtrArray *old = sriov->ledger->heard;

	if (is_heard(old, heard, n))
		return true;
	sriov->ledger->heard = heard_new(heard, n);
	if (sriov_ledger_save(sriov->ledger, error)) {
		g_ptr_array_unref(old);
		return true;
	}
	g_ptr_array_unref(sriov->ledger->heard);
	sriov->ledger->heard = old;
	return false;
}

bool sriov_hear(struct nic_provider *provider, const struct nic_heard *heard, size_t n, GError **error)
{
	struct sriov *sriov = (struct sriov *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&sriov->mutex);

	if (!want_heard(sriov, heard, n, error))
		return false;
	g_autoptr(GError) kept = NULL, lacking = NULL;
	if (!sriov_hear_less(sriov, &kept))
		return fault_set(error, FAULT_INTERNAL, "%s", kept->message);
	if (hear_anew(sriov, &lacking))
		return true;
	bool full = g_error_matches(lacking, FAULT, FAULT_POOL_FULL);
	return fault_set(error, full ? FAULT_POOL_FULL : FAULT_UNAVAILABLE, "%s", lacking->message);
}
