/* What the files of the providers of VFs share, sriov and switchdev. All is called with the provider locked. */
#pragma once
#include "nic/inventory.h"
#include "nic/provider.h"
#include "nic/sriov_ledger.h"

struct physical {
	char *name; /* Owned */
	GPtrArray *pfs; /* Owned; PCI addresses, as text; empty while none is there */
	GPtrArray *tunnel_pfs; /* the same: those of them that the host's underlay leaves by */
};

/* In what VFs of legacy NICs and VFs of NICs in switchdev mode differ. Sets are of enum vf_attribute. A claim goes by the kind that
 * it was made as, also after the host file has named the other one: what was set up by the one is taken back by it. */
struct sriov_kind {
	struct nic_caps caps;
	unsigned needed; /* what cannot be read cannot be restored, nor be held; each is written at a claim */
	unsigned protection; /* without these a VF is not handed out; `needed` and more */
	unsigned limits; /* without these it is, and that is said */
};

extern const struct sriov_kind sriov_legacy, sriov_switchdev;

struct sriov {
	struct nic_provider provider; /* first member */
	const struct sriov_kind *kind; /* of VFs that are claimed now */
	char *root; /* Owned */
	GMutex mutex; /* guards what follows */
	GPtrArray *physicals; /* Owned, of struct physical */
	struct links *links; /* Owned; of this process's namespace */
	struct genl *devlink; /* Owned; NULL: no VF has a representor, neither now nor by an earlier claim */
	struct sriov_ledger *ledger; /* Owned */
};

/* Takes devlink, also on failure. */
struct nic_provider *sriov_open(const struct sriov_kind *kind, const char *root, const char *ledger,
	struct genl *devlink, const struct sriov_physical *physicals, size_t n, GError **error);

/* The kind that the VF was claimed as. */
const struct sriov_kind *sriov_kind_of(const struct sriov *sriov, const struct sriov_claim *claim);

/* NULL when there is none of that name, or none is named. Borrowed. */
const struct physical *sriov_find_physical(const struct sriov *sriov, const char *name);

/* Where a claimed VF is now. */
struct sriov_place {
	GPtrArray *inventory; /* Owned */
	const struct nic_pf *pf; /* NULL: it has gone, or has no interface */
	const struct nic_vf *vf; /* NULL: its PF has none of that number */
};
void sriov_place_done(struct sriov_place *place);
CLEANUP_CLEAR_FUNC(struct sriov_place, sriov_place_done)

/* With representors, where VFs have them. Owned by the caller. */
GPtrArray *sriov_inventory(const struct sriov *sriov);
/* NULL when no PF of that address has an interface. Borrowed from the inventory. */
const struct nic_pf *sriov_find_pf(const GPtrArray *inventory, const char *address);
struct sriov_place sriov_find(const struct sriov *sriov, const struct sriov_claim *claim);
/* The same, FAULT_UNAVAILABLE when the VF is not there now. ret_place is the caller's in any case. */
bool sriov_must_find(const struct sriov *sriov, const struct sriov_claim *claim,
	struct sriov_place *ret_place, GError **error);
/* Of one whose place has no VF: whether it is gone, with what was set of it. FAULT_UNAVAILABLE when it is there, and only its PF
 * cannot be reached: no driver has it, or its interface is in another namespace. */
bool sriov_is_gone(const struct sriov *sriov, const struct sriov_claim *claim,
	const struct sriov_place *place, GError **error);
/* "VF 2 of ens1 (NIC 4711)". pf may be NULL. Owned by the caller. */
char *sriov_label(const struct sriov_claim *claim, const struct nic_pf *pf);

/* ---- choosing (sriov_pick.c) ---- */

/* A free VF of the request's physical network, and of the underlay's PFs where it is for a tunnel, of the PF with the fewest claims. FAULT_POOL_FULL, FAULT_EXISTS when others
 * have the MAC, FAULT_INVALID. inventory: with attributes; what is returned is Borrowed from it. */
bool sriov_pick(const struct sriov *sriov, const GPtrArray *inventory, const struct nic_request *request,
	const struct nic_pf **ret_pf, const struct nic_vf **ret_vf, GError **error);
/* FAULT_EXISTS when somebody else than this VF has the MAC on a PF of the physical network (NULL: any): a PF itself or
 * another VF. inventory: with attributes. */
bool sriov_check_mac(const struct sriov *sriov, const GPtrArray *inventory, const char *physical,
	const struct nic_vf *but, struct mac_addr mac, GError **error);
GPtrArray *sriov_survey(struct nic_provider *provider);

/* ---- one VF (sriov_vf.c) ---- */

/* Sets a claimed VF up: PF up, no driver, no MAC, its VLAN, limits. */
bool sriov_vf_set_up(struct sriov *sriov, const struct sriov_claim *claim, GError **error);
/* What the VF has to have in its present step; in_guest: a guest has it open. One that it was said to have left, and has not,
 * passes nothing until it has. */
struct vf_attributes sriov_vf_wanted(const struct sriov_claim *claim, bool in_guest);
/* A MAC and a VLAN that nobody has, and no link where the driver can: nothing passes it. Of one that is cut off, or has left
 * and is in its guest all the same. Only what differs is written, since
 * drivers reset the VF for it. One that is gone is fine. FAULT_UNSUPPORTED when the driver does not keep it, FAULT_UNAVAILABLE when its
 * PF cannot be reached. */
bool sriov_vf_cut(struct sriov *sriov, const struct sriov_claim *claim, GError **error);
/* No MAC, no VLAN. One that is gone is fine; FAULT_UNAVAILABLE as above. */
bool sriov_vf_clear(struct sriov *sriov, const struct sriov_claim *claim, GError **error);
/* Resets it, gives it back what it had, and sees that it has. One that is gone is fine: a VF that is made again is a
 * new one. FAULT_IN_USE when a guest has it; FAULT_UNAVAILABLE as above. */
bool sriov_vf_restore(struct sriov *sriov, const struct sriov_claim *claim, GError **error);
/* As much of that as can be, and what could not goes to `lost`, as text. FAULT_IN_USE when a guest has it. */
bool sriov_vf_give_up(struct sriov *sriov, const struct sriov_claim *claim, GPtrArray *lost, GError **error);
/* FAULT_IN_USE when a guest has it. */
bool sriov_vf_check_unused(const struct sriov *sriov, const struct sriov_claim *claim,
	const struct sriov_place *place, GError **error);
/* What of it differs from what was set is set again; a sentence for each. */
void sriov_vf_check(
	struct sriov *sriov, const struct sriov_claim *claim, GHashTable *guests, GPtrArray *sentences);

bool sriov_is_up(const struct sriov *sriov, const char *netdev);
/* One that is down is set up; a sentence for that. */
void sriov_check_up(struct sriov *sriov, const char *netdev, GPtrArray *sentences);

/* ---- representors (switchdev.c): where VFs have none, each is fine with that ---- */

/* Why the VF cannot be given for the sake of its representor, as the end of a sentence about the VF; NULL: it can. Owned by the
 * caller. */
char *switchdev_obstacle(const struct sriov *sriov, const struct nic_pf *pf, const struct nic_vf *vf);
/* Sets it up, which gives the VF carrier. FAULT_UNAVAILABLE when there is none. */
bool switchdev_raise(struct sriov *sriov, const struct sriov_claim *claim, const struct sriov_place *place,
	GError **error);
/* Sets it down again. One that is not there is fine. */
bool switchdev_lower(struct sriov *sriov, const struct sriov_claim *claim, const struct sriov_place *place,
	GError **error);
/* What of it differs is set again; a sentence for each. */
void switchdev_check(struct sriov *sriov, const struct sriov_claim *claim, const struct sriov_place *place,
	GPtrArray *sentences);
/* nic_switchdev_open, by a devlink that is given, and taken. */
struct nic_provider *switchdev_open(const char *root, const char *ledger, struct genl *devlink,
	const struct sriov_physical *physicals, size_t n, GError **error);

/* ---- what the PFs hear (sriov_hear.c) ---- */

/* Removes filters of ours that are not wanted now. */
bool sriov_hear_less(struct sriov *sriov, GError **error);
/* FAULT_EXISTS when a PF of the physical network has the MAC as a filter that is not ours. name may be NULL: of none. */
bool sriov_check_filters(struct sriov *sriov, const GPtrArray *inventory, const char *name,
	struct mac_addr mac, GError **error);
/* That, and adds those that are wanted; what fails is logged, and tried again by each check. */
void sriov_hear_anew(struct sriov *sriov);
/* The same, with a sentence for each that somebody else has removed, for what fails, and, as long as it is so, for each VF
 * that is armed and whose MAC is a filter of somebody else's. The kernel is asked once about each PF that this concerns. */
void sriov_hear_check(struct sriov *sriov, GPtrArray *sentences);
bool sriov_hear(struct nic_provider *provider, const struct nic_heard *heard, size_t n, GError **error);

/* ---- claims (sriov_claim.c) ---- */

bool sriov_claim(
	struct nic_provider *provider, const struct nic_request *request, char **ret_name, GError **error);
bool sriov_arm(struct nic_provider *provider, const char *nic, GError **error);
bool sriov_cut(struct nic_provider *provider, const char *nic, GError **error);
bool sriov_left(struct nic_provider *provider, const char *nic, GError **error);
bool sriov_release(struct nic_provider *provider, const char *nic, GError **error);
bool sriov_reclaim(
	struct nic_provider *provider, const char *name, bool as_is, GPtrArray **ret_lost, GError **error);

/* The end of a release, which may have been interrupted: restores the VF and frees it, or writes down why not. Frees the
 * claim when it succeeds. */
bool sriov_finish_release(struct sriov *sriov, struct sriov_claim *claim, GError **error);
