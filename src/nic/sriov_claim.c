/* The SR-IOV provider: the calls that lead a VF through its steps (sriov_ledger.h). */
#include "base/failpoint.h"
#include "base/fault.h"
#include "base/log.h"
#include "nic/pci_driver.h"
#include "nic/sriov_priv.h"

#include <string.h>

#define RESTORE_WAIT_MS 5000 /* libvirt takes some 100 ms to give a driver back */
#define POLL_US         (20 * 1000)

/* ---- the end of a release ---- */

/* Nobody has it any more; while that cannot be written down it stays in the ledger, here too. */
static bool set_free(struct sriov *sriov, struct sriov_claim *claim, GError **error)
{
	GPtrArray *claims = sriov->ledger->claims;
	guint index;

	if (!g_ptr_array_find(claims, claim, &index))
		return true;
	g_ptr_array_steal_index(claims, index);
	if (!sriov_ledger_save(sriov->ledger, error)) {
		g_ptr_array_insert(claims, (int)index, claim);
		return false;
	}
	sriov_claim_free(claim);
	failpoint(FAILPOINT_SRIOV_RELEASED);
	sriov_hear_anew(sriov);
	return true;
}

bool sriov_finish_release(struct sriov *sriov, struct sriov_claim *claim, GError **error)
{
	g_autoptr(GError) cause = NULL;

	if (!sriov_vf_restore(sriov, claim, &cause)) {
		g_free(claim->reason);
		claim->reason = g_strdup(cause->message);
		sriov_ledger_save(sriov->ledger, NULL); /* the reason is told again by each check */
		return fault_set(error, fault_code(cause),
			"VF %u of %s cannot be given back as it was found, and is given to nobody: %s",
			claim->index, claim->pf, cause->message);
	}
	failpoint(FAILPOINT_SRIOV_RESTORED);
	return set_free(sriov, claim, error);
}

/* Goes on with what the NIC has no more; what fails is told, and tried again by each check. */
static void finish_releases(struct sriov *sriov, const char *nic)
{
	for (guint i = sriov->ledger->claims->len; i-- > 0;) {
		struct sriov_claim *claim = sriov->ledger->claims->pdata[i];
		g_autoptr(GError) error = NULL;
		if (claim->step == SRIOV_RESETTING && g_str_equal(claim->nic, nic) &&
			!sriov_finish_release(sriov, claim, &error))
			log_warn("sriov", "%s", error->message);
	}
}

/* ---- claim ---- */

static struct sriov_claim *claim_new(const struct sriov *sriov, const struct nic_request *request,
	const struct nic_pf *pf, const struct nic_vf *vf)
{
	struct sriov_claim *claim = g_new0(struct sriov_claim, 1);

	claim->pf = g_strdup(pf->address);
	claim->index = vf->index;
	claim->vf = g_strdup(vf->address);
	claim->nic = g_strdup(request->nic);
	claim->physical = g_strdup(request->physical);
	claim->kind = g_strdup(sriov->kind->caps.name);
	claim->mac = request->mac;
	claim->vlan = request->vlan;
	claim->rate_mbps = request->rate_mbps;
	claim->step = SRIOV_CLAIMED;
	claim->original.driver = g_strdup(vf->driver);
	claim->original.override = pci_driver_get_override(sriov->root, vf->address);
	claim->original.attributes = vf->attributes;
	return claim;
}

/* Chooses a VF and enters it in the ledger. NULL with *error when that fails. Whoever sets the host up sees it there, or has
 * taken the VFs away before they were looked at; while it is at that, which may take a minute, no VF is chosen: those that are
 * to be cut off or cleared must not wait for it. */
static struct sriov_claim *record(struct sriov *sriov, const struct nic_request *request, GError **error)
{
	_cleanup_(sriov_ledger_unlock) int lock = sriov_ledger_try_lock(sriov->ledger->path, error);

	if (lock < 0)
		return NULL;
	g_autoptr(GPtrArray) inventory = sriov_inventory(sriov);
	const struct nic_pf *pf;
	const struct nic_vf *vf;

	if (!inventory_add_attributes(inventory, error) ||
		!sriov_pick(sriov, inventory, request, &pf, &vf, error))
		return NULL;
	struct sriov_claim *claim = claim_new(sriov, request, pf, vf);
	g_ptr_array_add(sriov->ledger->claims, claim);
	if (sriov_ledger_save(sriov->ledger, error)) {
		failpoint(FAILPOINT_SRIOV_RECORDED);
		return claim;
	}
	g_ptr_array_remove(sriov->ledger->claims, claim);
	return NULL;
}

static bool enter(struct sriov *sriov, struct sriov_claim *claim, enum sriov_step step, GError **error)
{
	enum sriov_step old = claim->step;

	if (step == old)
		return true;
	claim->step = step;
	if (sriov_ledger_save(sriov->ledger, error))
		return true;
	claim->step = old;
	return false;
}

static bool is_for(const struct sriov_claim *claim, const struct nic_request *request)
{
	return g_strcmp0(claim->physical, request->physical) == 0 && claim->vlan == request->vlan &&
	       memcmp(&claim->mac, &request->mac, sizeof claim->mac) == 0;
}

/* Check sees to it where the VF is armed. */
static bool set_rate(struct sriov *sriov, struct sriov_claim *claim, uint32_t rate_mbps, GError **error)
{
	uint32_t old = claim->rate_mbps;

	if (rate_mbps == old)
		return true;
	claim->rate_mbps = rate_mbps;
	if (sriov_ledger_save(sriov->ledger, error))
		return true;
	claim->rate_mbps = old;
	return false;
}

/* What a failed set-up leaves is undone; when that fails too, check goes on with it. */
static void roll_back(struct sriov *sriov, struct sriov_claim *claim)
{
	g_autofree char *nic = g_strdup(claim->nic);
	g_autoptr(GError) error = NULL;

	if (enter(sriov, claim, SRIOV_RESETTING, &error))
		finish_releases(sriov, nic);
	else
		log_warn(nic, "%s", error->message);
}

/* One of another kind than VFs are now, which no guest may have. */
static bool is_outdated(const struct sriov *sriov, const struct sriov_claim *claim)
{
	return sriov_kind_of(sriov, claim) != sriov->kind &&
	       (claim->step == SRIOV_CLAIMED || claim->step == SRIOV_LEFT);
}

/* The claim that the NIC has, when it is for the same request, or a new one. */
static struct sriov_claim *claim_of(struct sriov *sriov, const struct nic_request *request, GError **error)
{
	finish_releases(sriov, request->nic);
	struct sriov_claim *claim = sriov_ledger_find_nic(sriov->ledger, request->nic);

	if (claim && is_for(claim, request) && is_outdated(sriov, claim)) {
		roll_back(sriov, claim);
		claim = sriov_ledger_find_nic(sriov->ledger, request->nic);
	}
	if (!claim)
		return record(sriov, request, error);
	if (is_for(claim, request))
		return set_rate(sriov, claim, request->rate_mbps, error) ? claim : NULL;
	fault_set(error, FAULT_IN_USE, "NIC %s has VF %u of %s for another MAC or VLAN; release it first",
		claim->nic, claim->index, claim->pf);
	return NULL;
}

static bool set_up(struct sriov *sriov, struct sriov_claim *claim, GError **error)
{
	g_autoptr(GError) cause = NULL;

	if (!enter(sriov, claim, SRIOV_CLAIMED, error))
		return false;
	if (sriov_vf_set_up(sriov, claim, &cause)) {
		sriov_hear_anew(sriov);
		failpoint(FAILPOINT_SRIOV_SET_UP);
		return true;
	}
	/* One that is gone, or that a guest has, stays the NIC's. */
	if (!g_error_matches(cause, FAULT, FAULT_UNAVAILABLE) && !g_error_matches(cause, FAULT, FAULT_IN_USE))
		roll_back(sriov, claim);
	g_propagate_error(error, g_steal_pointer(&cause));
	return false;
}

bool sriov_claim(
	struct nic_provider *provider, const struct nic_request *request, char **ret_name, GError **error)
{
	struct sriov *sriov = (struct sriov *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&sriov->mutex);
	struct sriov_claim *claim = claim_of(sriov, request, error);

	if (!claim)
		return false;
	g_autofree char *name = g_strdup(claim->vf);
	int next = sriov_next(claim->step, SRIOV_CALL_CLAIM);
	if (next == SRIOV_REFUSED)
		return fault_set(error, FAULT_IN_USE,
			"NIC %s has VF %u of %s, which was cut off; release it first", claim->nic,
			claim->index, claim->pf);
	if (next == SRIOV_CLAIMED && !set_up(sriov, claim, error))
		return false;
	*ret_name = g_steal_pointer(&name);
	return true;
}

/* ---- arm ---- */

/* That nobody else has its MAC. What goes to a VF with a representor is decided by flows, not by filters. */
static bool check_free_of(struct sriov *sriov, const struct sriov_claim *claim, GError **error)
{
	_cleanup_(sriov_place_done) struct sriov_place place;

	return sriov_must_find(sriov, claim, &place, error) &&
	       inventory_add_attributes(place.inventory, error) &&
	       sriov_check_mac(sriov, place.inventory, claim->physical, place.vf, claim->mac, error) &&
	       (sriov_kind_of(sriov, claim)->caps.representors ||
		       sriov_check_filters(sriov, place.inventory, claim->physical, claim->mac, error));
}

bool sriov_arm(struct nic_provider *provider, const char *nic, GError **error)
{
	struct sriov *sriov = (struct sriov *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&sriov->mutex);
	struct sriov_claim *claim = sriov_ledger_find_nic(sriov->ledger, nic);
	int next = sriov_next(claim ? claim->step : SRIOV_FREE, SRIOV_CALL_ARM);

	if (next == SRIOV_REFUSED)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"NIC %s has no VF that could be armed; claim one first", nic);
	if (!check_free_of(sriov, claim, error) || !enter(sriov, claim, (enum sriov_step)next, error))
		return false;
	failpoint(FAILPOINT_SRIOV_ARMING);
	if (!sriov_hear_less(sriov, error))
		return false;
	failpoint(FAILPOINT_SRIOV_ARMED);
	return true;
}

/* ---- cut ---- */

bool sriov_cut(struct nic_provider *provider, const char *nic, GError **error)
{
	struct sriov *sriov = (struct sriov *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&sriov->mutex);
	struct sriov_claim *claim = sriov_ledger_find_nic(sriov->ledger, nic);
	int next = sriov_next(claim ? claim->step : SRIOV_FREE, SRIOV_CALL_CUT);

	if (next == SRIOV_REFUSED)
		return fault_set(error, FAULT_NOT_FOUND, "NIC %s has no VF here that could be cut off", nic);
	if (next != SRIOV_CUT)
		return true;
	if (!enter(sriov, claim, SRIOV_CUT, error))
		return false;
	failpoint(FAILPOINT_SRIOV_CUTTING);
	if (!sriov_vf_cut(sriov, claim, error))
		return false;
	failpoint(FAILPOINT_SRIOV_CUT);
	sriov_hear_anew(sriov);
	return true;
}

/* ---- left ---- */

/* One whose PF cannot be reached is left to its release: it has its guest no more, and is in quarantine until then. */
static bool clear(struct sriov *sriov, const struct sriov_claim *claim, bool *ret_reached, GError **error)
{
	g_autoptr(GError) cause = NULL;

	*ret_reached = sriov_vf_clear(sriov, claim, &cause);
	if (*ret_reached)
		return true;
	if (g_error_matches(cause, FAULT, FAULT_UNAVAILABLE)) {
		log_warn("sriov", "%s", cause->message);
		return true;
	}
	g_propagate_error(error, g_steal_pointer(&cause));
	return false;
}

/* The part that cannot wait. Whether there is a VF whose driver libvirt has to give back. */
static bool let_go(struct sriov *sriov, const char *nic, bool *ret_waits, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&sriov->mutex);
	struct sriov_claim *claim = sriov_ledger_find_nic(sriov->ledger, nic);
	int next = sriov_next(claim ? claim->step : SRIOV_FREE, SRIOV_CALL_LEFT);

	*ret_waits = next == SRIOV_LEFT;
	if (next != SRIOV_LEFT)
		return true;
	if (!enter(sriov, claim, SRIOV_LEFT, error))
		return false;
	failpoint(FAILPOINT_SRIOV_LEFT);
	if (!clear(sriov, claim, ret_waits, error))
		return false;
	failpoint(FAILPOINT_SRIOV_CLEARED);
	sriov_hear_anew(sriov);
	return true;
}

/* Whether libvirt has given the VF back: its order is MAC and VLAN, then the driver. */
static bool is_back(const struct sriov *sriov, const struct sriov_claim *claim, GError **error)
{
	_cleanup_(sriov_place_done) struct sriov_place place = sriov_find(sriov, claim);

	if (!place.vf)
		return sriov_is_gone(sriov, claim, &place, error);
	if (!sriov_vf_check_unused(sriov, claim, &place, error))
		return false;
	if (!pci_driver_is_vfio(place.vf->driver) || pci_driver_is_vfio(claim->original.driver))
		return true;
	g_autofree char *label = sriov_label(claim, place.pf);
	return fault_set(error, FAULT_TIMEOUT,
		"%s is still bound to %s %d s after it left its guest; libvirt should have given it back",
		label, place.vf->driver, RESTORE_WAIT_MS / 1000);
}

/* It has not left where a guest has it open still: nothing passes it until it has. */
static void keep_dead(struct sriov *sriov, const struct sriov_claim *claim, GError **error)
{
	g_autoptr(GError) cause = NULL;

	if (!g_error_matches(*error, FAULT, FAULT_IN_USE) || sriov_vf_cut(sriov, claim, &cause))
		return;
	g_autofree char *in_use = g_strdup((*error)->message);
	g_clear_error(error);
	fault_set(error, FAULT_IN_USE, "%s; and it cannot be cut off: %s", in_use, cause->message);
}

/* Once it is back it is cleared of what libvirt has restored. */
static bool finish_leaving(struct sriov *sriov, const char *nic, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&sriov->mutex);
	struct sriov_claim *claim = sriov_ledger_find_nic(sriov->ledger, nic);
	GError *cause = NULL;

	/* Others may have gone on with it meanwhile. */
	if (!claim || claim->step != SRIOV_LEFT)
		return true;
	if (is_back(sriov, claim, &cause))
		return sriov_vf_clear(sriov, claim, error);
	keep_dead(sriov, claim, &cause);
	g_propagate_error(error, cause);
	return false;
}

bool sriov_left(struct nic_provider *provider, const char *nic, GError **error)
{
	struct sriov *sriov = (struct sriov *)provider;
	int64_t deadline = g_get_monotonic_time() + RESTORE_WAIT_MS * 1000;
	bool waits;

	if (!let_go(sriov, nic, &waits, error))
		return false;
	while (waits) {
		g_autoptr(GError) cause = NULL;
		if (finish_leaving(sriov, nic, &cause))
			return true;
		if (g_get_monotonic_time() > deadline) {
			g_propagate_error(error, g_steal_pointer(&cause));
			return false;
		}
		g_usleep(POLL_US);
	}
	return true;
}

/* ---- release ---- */

/* A guest may have one that it was not seen to leave. */
static bool begin_release(struct sriov *sriov, struct sriov_claim *claim, GError **error)
{
	_cleanup_(sriov_place_done) struct sriov_place place = sriov_find(sriov, claim);
	bool may_be_held = claim->step == SRIOV_ARMED || claim->step == SRIOV_CUT;

	return (!may_be_held || sriov_vf_check_unused(sriov, claim, &place, error)) &&
	       enter(sriov, claim, (enum sriov_step)sriov_next(claim->step, SRIOV_CALL_RELEASE), error);
}

bool sriov_release(struct nic_provider *provider, const char *nic, GError **error)
{
	struct sriov *sriov = (struct sriov *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&sriov->mutex);
	struct sriov_claim *claim = sriov_ledger_find_nic(sriov->ledger, nic);

	if (claim && !begin_release(sriov, claim, error))
		return false;
	if (claim)
		failpoint(FAILPOINT_SRIOV_RESETTING);
	finish_releases(sriov, nic);
	return true;
}

/* ---- out of quarantine, by an operator ---- */

static struct sriov_claim *find_function(const struct sriov *sriov, const char *name, GError **error)
{
	for (guint i = 0; i < sriov->ledger->claims->len; i++) {
		struct sriov_claim *claim = sriov->ledger->claims->pdata[i];
		if (!g_str_equal(claim->vf, name))
			continue;
		if (claim->step == SRIOV_RESETTING)
			return claim;
		fault_set(error, FAULT_NOT_ALLOWED,
			"function %s is in no quarantine: it is NIC %s's; `sluice vf revoke` takes it back",
			name, claim->nic);
		return NULL;
	}
	fault_set(error, FAULT_NOT_FOUND, "no function %s is in quarantine; see `sluice vf list`", name);
	return NULL;
}

bool sriov_reclaim(
	struct nic_provider *provider, const char *name, bool as_is, GPtrArray **ret_lost, GError **error)
{
	struct sriov *sriov = (struct sriov *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&sriov->mutex);
	g_autoptr(GPtrArray) lost = g_ptr_array_new_with_free_func(g_free);
	struct sriov_claim *claim = find_function(sriov, name, error);
	g_autoptr(GError) cause = NULL;

	if (!claim)
		return false;
	g_autofree char *label = sriov_label(claim, NULL);
	bool done = sriov_finish_release(sriov, claim, &cause);
	if (!done && (!as_is || g_error_matches(cause, FAULT, FAULT_IN_USE))) {
		g_propagate_error(error, g_steal_pointer(&cause));
		return false;
	}
	if (!done && (!sriov_vf_give_up(sriov, claim, lost, error) || !set_free(sriov, claim, error)))
		return false;
	for (guint i = 0; i < lost->len; i++)
		log_warn("sriov", "%s: an operator gave it up as it is: %s", label, (char *)lost->pdata[i]);
	*ret_lost = g_steal_pointer(&lost);
	return true;
}
