/* The SR-IOV provider: which VFs there are, who has them, which one a NIC gets. */
#include "base/fault.h"
#include "base/sysfs.h"
#include "nic/sriov_priv.h"
#include "nic/vf_use.h"

#include <string.h>

#define TOLD_MAX 3 /* obstacles that the message names one by one */
#define NEEDED   (VF_MAC | VF_VLAN | VF_SPOOFCHK) /* what cannot be read cannot be restored, nor be held */

/* ---- MACs ---- */

bool sriov_check_mac(const struct nic_pf *pf, const char *root, const struct nic_vf *but, struct mac_addr mac,
	GError **error)
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

/* No two NICs have one MAC on a physical network, whichever PF they are on. */
static bool check_claimed_mac(const struct sriov *sriov, const struct nic_request *request, GError **error)
{
	char text[MAC_TEXT_MAX];

	for (guint i = 0; i < sriov->ledger->claims->len; i++) {
		const struct sriov_claim *claim = sriov->ledger->claims->pdata[i];
		if (g_str_equal(claim->physical, request->physical) &&
			memcmp(&claim->mac, &request->mac, sizeof claim->mac) == 0)
			return fault_set(error, FAULT_EXISTS,
				"MAC %s is on physical network %s already, of NIC %s with VF %u of %s",
				mac_format(request->mac, text), request->physical, claim->nic, claim->index,
				claim->pf);
	}
	return true;
}

/* ---- choosing ---- */

/* What was seen of a physical network's VFs, for the message. */
struct tally {
	GString *pfs, *obstacles;
	unsigned vfs, claimed, obstructed;
};

/* Why this one cannot be given; NULL: it can. Owned by the caller. */
static char *obstacle_of(const struct sriov *sriov, GHashTable *guests, const struct nic_vf *vf)
{
	if ((vf->attributes.known & NEEDED) != NEEDED)
		return g_strdup("has a PF whose driver does not show its MAC, VLAN and spoofchk");
	return vf_use_obstacle(guests, sriov->root, sriov->links, vf);
}

/* The free VF of the lowest number; NULL: none. */
static const struct nic_vf *first_free(
	const struct sriov *sriov, GHashTable *guests, const struct nic_pf *pf, struct tally *tally)
{
	const struct nic_vf *found = NULL;

	for (guint i = 0; i < pf->vfs->len; i++) {
		const struct nic_vf *vf = pf->vfs->pdata[i];
		tally->vfs++;
		if (sriov_ledger_find_vf(sriov->ledger, pf->address, vf->index)) {
			tally->claimed++;
			continue;
		}
		g_autofree char *obstacle = found ? NULL : obstacle_of(sriov, guests, vf);
		if (obstacle && tally->obstructed++ < TOLD_MAX)
			g_string_append_printf(
				tally->obstacles, "; VF %u of %s %s", vf->index, pf->netdev, obstacle);
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

static bool set_full(GError **error, const char *physical, const struct tally *tally)
{
	if (tally->obstructed > TOLD_MAX)
		g_string_append_printf(
			tally->obstacles, "; %u more cannot be given either", tally->obstructed - TOLD_MAX);
	if (tally->vfs == 0)
		return fault_set(error, FAULT_POOL_FULL,
			"physical network %s has no VFs on %s; make some with `sluice host setup`", physical,
			tally->pfs->str);
	return fault_set(error, FAULT_POOL_FULL,
		"physical network %s has no free VF: of %u on %s, %u %s claimed%s; make more with `sluice "
		"host setup`",
		physical, tally->vfs, tally->pfs->str, tally->claimed, tally->claimed == 1 ? "is" : "are",
		tally->obstacles->str);
}

static bool pick_among(const struct sriov *sriov, const GPtrArray *inventory, const struct physical *physical,
	const struct nic_request *request, struct tally *tally, const struct nic_pf **ret_pf,
	const struct nic_vf **ret_vf, GError **error)
{
	g_autoptr(GHashTable) guests = vf_use_guests(sriov->root);
	g_autoptr(GError) conflict = NULL;
	unsigned fewest = G_MAXUINT;

	for (guint i = 0; i < physical->pfs->len; i++) {
		const char *address = physical->pfs->pdata[i];
		const struct nic_pf *pf = sriov_find_pf(inventory, address);
		g_string_append_printf(tally->pfs, "%s%s", i ? ", " : "", pf ? pf->netdev : address);
		if (!pf)
			continue;
		const struct nic_vf *vf = first_free(sriov, guests, pf, tally);
		unsigned claims = count_claims(sriov, address);
		if (!vf || claims >= fewest ||
			!sriov_check_mac(pf, sriov->root, NULL, request->mac, conflict ? NULL : &conflict))
			continue;
		fewest = claims;
		*ret_pf = pf;
		*ret_vf = vf;
	}
	if (fewest != G_MAXUINT)
		return true;
	if (!conflict)
		return set_full(error, physical->name, tally);
	g_propagate_error(error, g_steal_pointer(&conflict));
	return false;
}

bool sriov_pick(const struct sriov *sriov, const GPtrArray *inventory, const struct nic_request *request,
	const struct nic_pf **ret_pf, const struct nic_vf **ret_vf, GError **error)
{
	const struct physical *physical =
		request->physical ? sriov_find_physical(sriov, request->physical) : NULL;
	g_autoptr(GString) pfs = g_string_new(NULL), obstacles = g_string_new(NULL);
	struct tally tally = {.pfs = pfs, .obstacles = obstacles};

	if (!physical)
		return fault_set(error, FAULT_INVALID,
			"this host has no physical network %s; name its devices in host.conf",
			request->physical ? request->physical : "for a segment that is no VLAN");
	return check_claimed_mac(sriov, request, error) &&
	       pick_among(sriov, inventory, physical, request, &tally, ret_pf, ret_vf, error);
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
	case SRIOV_RESETTING: return claim->reason ? NIC_USE_QUARANTINED : NIC_USE_RELEASING;
	default: return NIC_USE_CLAIMED;
	}
}

static void survey_pf(const struct sriov *sriov, const struct physical *physical, const struct nic_pf *pf,
	GHashTable *guests, GPtrArray *survey)
{
	for (guint i = 0; i < pf->vfs->len; i++) {
		const struct nic_vf *vf = pf->vfs->pdata[i];
		const struct sriov_claim *claim = sriov_ledger_find_vf(sriov->ledger, pf->address, vf->index);
		struct nic_device *device = device_new(physical->name, pf->address, pf->netdev, vf->index);
		device->name = g_strdup(vf->address);
		device->attributes = vf->attributes;
		device->nic = g_strdup(claim ? claim->nic : NULL);
		if (claim) {
			const char *guest = vf_use_guest(guests, sriov->root, vf);
			device->use = use_of(claim);
			device->detail = claim->reason ? g_strdup(claim->reason)
					 : guest       ? g_strdup_printf("is open in %s", guest)
						       : NULL;
		} else {
			device->detail = obstacle_of(sriov, guests, vf);
			device->use = device->detail ? NIC_USE_UNAVAILABLE : NIC_USE_FREE;
		}
		g_ptr_array_add(survey, device);
	}
}

/* Claims of VFs that are not there. */
static void survey_lost(const struct sriov *sriov, const GPtrArray *inventory, GPtrArray *survey)
{
	for (guint i = 0; i < sriov->ledger->claims->len; i++) {
		const struct sriov_claim *claim = sriov->ledger->claims->pdata[i];
		const struct nic_pf *pf = sriov_find_pf(inventory, claim->pf);
		if (pf && claim->index < pf->vfs->len)
			continue;
		struct nic_device *device =
			device_new(claim->physical, claim->pf, pf ? pf->netdev : NULL, claim->index);
		device->name = g_strdup(claim->vf);
		device->nic = g_strdup(claim->nic);
		device->use = NIC_USE_LOST;
		device->detail = g_strdup("is gone");
		g_ptr_array_add(survey, device);
	}
}

GPtrArray *sriov_survey(struct nic_provider *provider)
{
	struct sriov *sriov = (struct sriov *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&sriov->mutex);
	g_autoptr(GPtrArray) inventory = inventory_read(sriov->root);
	g_autoptr(GHashTable) guests = vf_use_guests(sriov->root);
	GPtrArray *survey = g_ptr_array_new_with_free_func((GDestroyNotify)nic_device_free);

	/* Without attributes where netlink does not work; the VFs are there all the same. */
	inventory_add_attributes(inventory, NULL);
	for (guint i = 0; i < sriov->physicals->len; i++) {
		const struct physical *physical = sriov->physicals->pdata[i];
		for (guint p = 0; p < physical->pfs->len; p++) {
			const struct nic_pf *pf = sriov_find_pf(inventory, physical->pfs->pdata[p]);
			if (pf)
				survey_pf(sriov, physical, pf, guests, survey);
		}
	}
	survey_lost(sriov, inventory, survey);
	return survey;
}
