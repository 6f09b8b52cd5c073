/* The providers of VFs: which there are, who has them, which one a NIC gets. */
#include "base/fault.h"
#include "base/sysfs.h"
#include "nic/sriov_priv.h"
#include "nic/vf_use.h"

#include <string.h>

#define TOLD_MAX 3 /* obstacles that the message names one by one */

/* ---- MACs ---- */

static bool check_mac_on(const struct nic_pf *pf, const char *root, const struct nic_vf *but,
	struct mac_addr mac, GError **error)
{
	g_autofree char *own = sysfs_text(root, "/sys/class/net/%s/address", pf->netdev);
	struct mac_addr pf_mac;
	char text[MAC_TEXT_MAX];

	if (own && mac_parse(own, &pf_mac) == 0 && memcmp(&pf_mac, &mac, sizeof mac) == 0)
		return fault_set(
			error, FAULT_EXISTS, "MAC %s is %s's own", mac_format(mac, text), pf->netdev);
	for (guint i = 0; i < pf->vfs->len; i++) {
		const struct nic_vf *vf = pf->vfs->pdata[i];
		if (vf != but && vf->attributes.known & VF_MAC &&
			memcmp(&vf->attributes.mac, &mac, sizeof mac) == 0)
			return fault_set(error, FAULT_EXISTS,
				"VF %u of %s has MAC %s already; clear it (`ip link set %s vf %u mac "
				"00:00:00:00:00:00`)",
				vf->index, pf->netdev, mac_format(mac, text), pf->netdev, vf->index);
	}
	return true;
}

/* They are on one wire. */
static bool check_mac_of(const struct sriov *sriov, const GPtrArray *inventory,
	const struct physical *physical, const struct nic_vf *but, struct mac_addr mac, GError **error)
{
	for (guint i = 0; i < physical->pfs->len; i++) {
		const struct nic_pf *pf = sriov_find_pf(inventory, physical->pfs->pdata[i]);
		if (pf && !check_mac_on(pf, sriov->root, but, mac, error))
			return false;
	}
	return true;
}

bool sriov_check_mac(const struct sriov *sriov, const GPtrArray *inventory, const char *physical,
	const struct nic_vf *but, struct mac_addr mac, GError **error)
{
	for (guint i = 0; i < sriov->physicals->len; i++) {
		const struct physical *one = sriov->physicals->pdata[i];
		if ((!physical || g_str_equal(one->name, physical)) &&
			!check_mac_of(sriov, inventory, one, but, mac, error))
			return false;
	}
	return true;
}

/* "physical network physnet1". Owned by the caller. */
static char *place_of(const struct nic_request *request)
{
	return g_strdup_printf(
		"%sphysical network %s", request->tunnel ? "the underlay on " : "", request->physical);
}

/* No two NICs have one MAC on a physical network, whichever PF they are on. */
static bool check_claimed_mac(const struct sriov *sriov, const struct nic_request *request, GError **error)
{
	g_autofree char *where = place_of(request);
	char text[MAC_TEXT_MAX];

	for (guint i = 0; i < sriov->ledger->claims->len; i++) {
		const struct sriov_claim *claim = sriov->ledger->claims->pdata[i];
		if (claim->step != SRIOV_RESETTING && g_strcmp0(claim->physical, request->physical) == 0 &&
			memcmp(&claim->mac, &request->mac, sizeof claim->mac) == 0)
			return fault_set(error, FAULT_EXISTS,
				"MAC %s is on %s already, of NIC %s with VF %u of %s",
				mac_format(request->mac, text), where, claim->nic, claim->index, claim->pf);
	}
	return true;
}

/* ---- choosing ---- */

/* The search: what was seen, for the message, and the best so far. */
struct search {
	GString *pfs, *obstacles; /* Owned */
	unsigned vfs, claimed, obstructed;
	const struct nic_pf *pf; /* NULL: none yet */
	const struct nic_vf *vf;
	unsigned claims; /* on pf */
	GError *conflict; /* Owned; why a physical network with a free VF will not do; NULL: there is none such */
};

static void search_done(struct search *search)
{
	g_string_free(search->pfs, true);
	g_string_free(search->obstacles, true);
	g_clear_error(&search->conflict);
}
CLEANUP_CLEAR_FUNC(struct search, search_done)

/* "mac, vlan": Owned by the caller. */
static char *words_of(unsigned attributes)
{
	GString *words = g_string_new(NULL);

	for (unsigned i = 0; i < VF_ATTRIBUTES; i++)
		if (attributes & 1u << i)
			g_string_append_printf(
				words, "%s%s", words->len ? ", " : "", vf_attribute_word(1u << i));
	return g_string_free(words, false);
}

/* Why this one cannot be given; NULL: it can. Owned by the caller. */
static char *obstacle_of(
	const struct sriov *sriov, GHashTable *guests, const struct nic_pf *pf, const struct nic_vf *vf)
{
	unsigned missing = sriov->kind->needed & ~vf->attributes.known;
	char *obstacle = switchdev_obstacle(sriov, pf, vf);

	if (obstacle)
		return obstacle;
	if (missing) {
		g_autofree char *words = words_of(missing);
		return g_strdup_printf("has a PF whose driver does not show its %s", words);
	}
	return vf_use_obstacle(guests, sriov->root, sriov->links, vf);
}

/* The free VF of the lowest number; NULL: none. */
static const struct nic_vf *first_free(
	const struct sriov *sriov, GHashTable *guests, const struct nic_pf *pf, struct search *search)
{
	const struct nic_vf *found = NULL;

	for (guint i = 0; i < pf->vfs->len; i++) {
		const struct nic_vf *vf = pf->vfs->pdata[i];
		search->vfs++;
		if (sriov_ledger_find_vf(sriov->ledger, pf->address, vf->index)) {
			search->claimed++;
			continue;
		}
		g_autofree char *obstacle = found ? NULL : obstacle_of(sriov, guests, pf, vf);
		if (obstacle && search->obstructed++ < TOLD_MAX)
			g_string_append_printf(
				search->obstacles, "; VF %u of %s %s", vf->index, pf->netdev, obstacle);
		if (!obstacle && !found)
			found = vf;
	}
	return found;
}

static unsigned count_claims(const struct sriov *sriov, const char *pf)
{
	unsigned n = 0;

	for (guint i = 0; i < sriov->ledger->claims->len; i++)
		n += g_str_equal(((struct sriov_claim *)sriov->ledger->claims->pdata[i])->pf, pf);
	return n;
}

static bool set_full(GError **error, const struct nic_request *request, const struct search *search)
{
	g_autofree char *where = place_of(request);

	if (search->obstructed > TOLD_MAX)
		g_string_append_printf(
			search->obstacles, "; %u more cannot be given either", search->obstructed - TOLD_MAX);
	if (search->pfs->len == 0)
		return fault_set(error, FAULT_POOL_FULL, "%s has no PF here now; see `sluice status`", where);
	if (search->vfs == 0)
		return fault_set(error, FAULT_POOL_FULL,
			"%s has no VFs on %s; make some with `sluice host setup`", where, search->pfs->str);
	return fault_set(error, FAULT_POOL_FULL,
		"%s has no free VF: of %u on %s, %u %s claimed%s; make more with `sluice host setup`", where,
		search->vfs, search->pfs->str, search->claimed, search->claimed == 1 ? "is" : "are",
		search->obstacles->str);
}

/* What a VF with a representor sends by flows leaves by its own eswitch: packets for a VLAN by the switch's port, which is the first PF,
 * or one with the same eswitch. What others' VFs sent would go packet by packet. */
static bool shares_eswitch(const struct nic_pf *pf, const struct nic_pf *first)
{
	return pf == first ||
	       (pf && first && pf->switch_id && g_strcmp0(pf->switch_id, first->switch_id) == 0);
}

/* NULL: VFs of the PF, which is one of the physical network, do for its VLANs; else whose eswitch would. Borrowed. */
static const char *foreign_eswitch(const struct sriov *sriov, const GPtrArray *inventory,
	const struct physical *physical, const struct nic_pf *pf)
{
	const struct nic_pf *first = sriov_find_pf(inventory, physical->pfs->pdata[0]);

	if (!sriov->kind->caps.representors || shares_eswitch(pf, first))
		return NULL;
	return first ? first->netdev : physical->pfs->pdata[0];
}

/* Looks among the PFs of one physical network. */
static void look_on(const struct sriov *sriov, const GPtrArray *inventory, const struct physical *physical,
	const struct nic_request *request, struct search *search)
{
	const GPtrArray *pfs = request->tunnel ? physical->tunnel_pfs : physical->pfs;
	g_autoptr(GHashTable) guests = vf_use_guests(sriov->root);
	g_autoptr(GError) conflict = NULL;
	bool may = check_mac_of(sriov, inventory, physical, NULL, request->mac, &conflict);

	for (guint i = 0; i < pfs->len; i++) {
		const char *address = pfs->pdata[i];
		const struct nic_pf *pf = sriov_find_pf(inventory, address);
		g_string_append_printf(
			search->pfs, "%s%s", search->pfs->len ? ", " : "", pf ? pf->netdev : address);
		if (!pf)
			continue;
		const char *foreign =
			request->tunnel ? NULL : foreign_eswitch(sriov, inventory, physical, pf);
		if (foreign) {
			g_string_append_printf(search->obstacles,
				"; VFs of %s are of another eswitch than %s, which the switch is on",
				pf->netdev, foreign);
			continue;
		}
		const struct nic_vf *vf = first_free(sriov, guests, pf, search);
		unsigned claims = count_claims(sriov, address);
		if (vf && !may && !search->conflict)
			search->conflict = g_error_copy(conflict);
		if (!vf || !may || (search->pf && claims >= search->claims))
			continue;
		search->pf = pf;
		search->vf = vf;
		search->claims = claims;
	}
}

bool sriov_pick(const struct sriov *sriov, const GPtrArray *inventory, const struct nic_request *request,
	const struct nic_pf **ret_pf, const struct nic_vf **ret_vf, GError **error)
{
	_cleanup_(search_done) struct search search = {
		.pfs = g_string_new(NULL), .obstacles = g_string_new(NULL)};

	if (!request->physical || !sriov_find_physical(sriov, request->physical))
		return fault_set(error, FAULT_INVALID,
			"this host has no physical network %s; name its devices in host.conf",
			request->physical ? request->physical : "for a segment that is no VLAN");
	if (!check_claimed_mac(sriov, request, error))
		return false;
	for (guint i = 0; i < sriov->physicals->len; i++) {
		const struct physical *physical = sriov->physicals->pdata[i];
		if (g_str_equal(physical->name, request->physical))
			look_on(sriov, inventory, physical, request, &search);
	}
	*ret_pf = search.pf;
	*ret_vf = search.vf;
	if (search.pf)
		return true;
	if (!search.conflict)
		return set_full(error, request, &search);
	g_propagate_error(error, g_steal_pointer(&search.conflict));
	return false;
}

/* ---- listing ---- */

static struct nic_device *device_new(const char *physical, const char *pf, const char *netdev, unsigned index)
{
	struct nic_device *device = g_new0(struct nic_device, 1);

	device->physical = g_strdup(physical);
	device->pf = g_strdup(pf);
	device->pf_netdev = g_strdup(netdev);
	device->index = index;
	return device;
}

static enum nic_use use_of(const struct sriov_claim *claim)
{
	switch (claim->step) {
	case SRIOV_ARMED: return NIC_USE_ARMED;
	case SRIOV_CUT: return NIC_USE_CUT;
	case SRIOV_RESETTING: return claim->reason ? NIC_USE_QUARANTINED : NIC_USE_RELEASING;
	default: return NIC_USE_CLAIMED;
	}
}

/* foreign: as of foreign_eswitch, of a PF that VXLANs do not go by either. */
static void survey_vf(const struct sriov *sriov, const char *physical, const char *foreign,
	const struct nic_pf *pf, const struct nic_vf *vf, GHashTable *guests, GPtrArray *survey)
{
	const struct sriov_claim *claim = sriov_ledger_find_vf(sriov->ledger, pf->address, vf->index);
	struct nic_device *device = device_new(physical, pf->address, pf->netdev, vf->index);

	device->name = g_strdup(vf->address);
	device->representor = g_strdup(vf->representor);
	device->attributes = vf->attributes;
	device->counters = vf->counters;
	device->nic = g_strdup(claim ? claim->nic : NULL);
	if (claim) {
		const char *guest = vf_use_guest(guests, sriov->root, vf);
		device->use = use_of(claim);
		device->detail = claim->reason ? g_strdup(claim->reason)
				 : guest       ? g_strdup_printf("is open in %s", guest)
					       : NULL;
	} else {
		device->detail =
			foreign ? g_strdup_printf(
					  "is of another eswitch than %s, which the switch is on", foreign)
				: obstacle_of(sriov, guests, pf, vf);
		device->use = device->detail ? NIC_USE_UNAVAILABLE : NIC_USE_FREE;
	}
	g_ptr_array_add(survey, device);
}

static bool is_surveyed(const GPtrArray *survey, const struct sriov_claim *claim)
{
	for (guint i = 0; i < survey->len; i++) {
		const struct nic_device *device = survey->pdata[i];
		if (g_str_equal(device->pf, claim->pf) && device->index == claim->index)
			return true;
	}
	return false;
}

/* Claims of VFs that are not there, or whose PFs are on no physical network any more. */
static void survey_rest(
	const struct sriov *sriov, const GPtrArray *inventory, GHashTable *guests, GPtrArray *survey)
{
	for (guint i = 0; i < sriov->ledger->claims->len; i++) {
		const struct sriov_claim *claim = sriov->ledger->claims->pdata[i];
		const struct nic_pf *pf = sriov_find_pf(inventory, claim->pf);
		if (is_surveyed(survey, claim))
			continue;
		if (pf && claim->index < pf->vfs->len) {
			survey_vf(sriov, claim->physical, NULL, pf, pf->vfs->pdata[claim->index], guests,
				survey);
			continue;
		}
		struct nic_device *device =
			device_new(claim->physical, claim->pf, pf ? pf->netdev : NULL, claim->index);
		const struct sriov_place place = {.pf = pf};
		bool gone = sriov_is_gone(sriov, claim, &place, NULL);
		device->name = g_strdup(claim->vf);
		device->nic = g_strdup(claim->nic);
		device->use = gone ? NIC_USE_LOST : use_of(claim);
		device->detail = g_strdup(gone            ? "is gone"
					  : claim->reason ? claim->reason
							  : "has a PF that has no interface here");
		g_ptr_array_add(survey, device);
	}
}

GPtrArray *sriov_survey(struct nic_provider *provider)
{
	struct sriov *sriov = (struct sriov *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&sriov->mutex);
	g_autoptr(GPtrArray) inventory = sriov_inventory(sriov);
	g_autoptr(GHashTable) guests = vf_use_guests(sriov->root);
	GPtrArray *survey = g_ptr_array_new_with_free_func((GDestroyNotify)nic_device_free);

	/* Without attributes where netlink does not work; the VFs are there all the same. */
	inventory_add_attributes(inventory, NULL);
	for (guint i = 0; i < sriov->physicals->len; i++) {
		const struct physical *physical = sriov->physicals->pdata[i];
		for (guint p = 0; p < physical->pfs->len; p++) {
			const char *address = physical->pfs->pdata[p];
			const struct nic_pf *pf = sriov_find_pf(inventory, address);
			bool tunnels = g_ptr_array_find_with_equal_func(
				physical->tunnel_pfs, address, g_str_equal, NULL);
			const char *foreign =
				tunnels ? NULL : foreign_eswitch(sriov, inventory, physical, pf);
			for (guint v = 0; pf && v < pf->vfs->len; v++)
				survey_vf(sriov, physical->name, foreign, pf, pf->vfs->pdata[v], guests,
					survey);
		}
	}
	survey_rest(sriov, inventory, guests, survey);
	return survey;
}
