/* What the providers of VFs must not forget: which VFs it has taken, how it found them, what its PFs hear.
 *
 * One JSON file, replaced whole and durably: an intent is in it before the device step that it is of. So after a crash
 * the device is either as the ledger says or as it was one step before, and every step can be done again.
 *
 * The life of a VF, by the provider's calls; "–": refused, as it is not that VF's turn:
 *
 *     step        what it means                                             claim     arm     cut        left       release
 *     FREE        not in the ledger; it is as it was found                  CLAIMED   –       –          FREE       FREE
 *     CLAIMED     a NIC's; set up without MAC; the PF hears the NIC's MAC   CLAIMED   ARMED   CUT        LEFT       RESETTING
 *     ARMED       libvirt may give it driver, MAC and VLAN; a guest may     ARMED     ARMED   CUT        LEFT       RESETTING
 *                 have it; the PF does not hear the NIC's MAC
 *     CUT         its guest held on to it: it has a dead MAC and VLAN, and  –         –       CUT        LEFT       RESETTING
 *                 no link where the driver can; the PF hears the NIC's MAC
 *     LEFT        out of the guest: MAC and VLAN are cleared, the PF hears  CLAIMED   ARMED   LEFT       LEFT       RESETTING
 *                 the NIC's MAC; as in CUT where a guest has it open still
 *     RESETTING   being reset and restored; FREE when all is read back as   –         –       –          –          RESETTING
 *                 it was found. With a reason: quarantined
 *
 * The NIC of one that is RESETTING is without it: its calls, but for release, are about another VF, which it may claim.
 * Originals are read before a VF is first touched, and never again until it is free.
 */
#pragma once
#include "base/cleanup.h"
#include "nic/vf.h"

#include <glib.h>

enum sriov_step { SRIOV_FREE, SRIOV_CLAIMED, SRIOV_ARMED, SRIOV_CUT, SRIOV_LEFT, SRIOV_RESETTING };
enum sriov_call { SRIOV_CALL_CLAIM, SRIOV_CALL_ARM, SRIOV_CALL_CUT, SRIOV_CALL_LEFT, SRIOV_CALL_RELEASE };
#define SRIOV_STEPS   6
#define SRIOV_CALLS   5
#define SRIOV_REFUSED (-1)

/* The table above: the step that the call leads to, or SRIOV_REFUSED. */
int sriov_next(enum sriov_step step, enum sriov_call call);

struct sriov_claim {
	char *pf; /* Owned, as all here; PCI address: interfaces change their names */
	unsigned index;
	char *vf; /* PCI address */
	char *nic; /* uid */
	char *physical; /* NULL: none, a vxlan segment: an earlier build gave VFs to those, which are given back */
	char *kind; /* name of the kind of VFs that it was claimed as, which says what of it is to be held and given back */
	struct mac_addr mac;
	uint16_t vlan;
	uint32_t rate_mbps;
	enum sriov_step step;
	char *reason; /* why it could not be restored; NULL: it was not tried, or it was not needed */
	struct {
		char *driver; /* NULL: none */
		char *override; /* NULL: none */
		struct vf_attributes attributes;
	} original;
};
void sriov_claim_free(struct sriov_claim *claim);

/* A MAC that the host wants to hear. */
struct sriov_heard {
	char *physical; /* Owned */
	struct mac_addr mac;
};
void sriov_heard_free(struct sriov_heard *heard);

/* A MAC that was added to what a PF hears, and is taken away again. */
struct sriov_filter {
	char *pf; /* Owned; PCI address */
	struct mac_addr mac;
};
void sriov_filter_free(struct sriov_filter *filter);

struct sriov_ledger {
	char *path; /* Owned */
	char *kind; /* Owned; name of the provider that made it last; NULL: none has said so */
	GPtrArray *claims; /* of struct sriov_claim */
	GPtrArray *heard; /* of struct sriov_heard */
	GPtrArray *filters; /* of struct sriov_filter */
};

/* An empty one where there is no file. FAULT_INTERNAL when it is there and cannot be read: then nothing is known of
 * what to restore, and nothing may be overwritten. */
struct sriov_ledger *sriov_ledger_load(const char *path, GError **error);
bool sriov_ledger_save(const struct sriov_ledger *ledger, GError **error);
void sriov_ledger_free(struct sriov_ledger *ledger);
CLEANUP_FUNC(struct sriov_ledger *, sriov_ledger_free)

/* Until the file descriptor that it returns is closed nobody else claims VFs of that ledger, or takes away VFs that nobody has
 * claimed. Waits. -1 with FAULT_INTERNAL. */
int sriov_ledger_lock(const char *path, GError **error);
/* The same for who must not wait, since others wait for it: FAULT_UNAVAILABLE while another has it, which may be for the time
 * that NICs take to make VFs. */
int sriov_ledger_try_lock(const char *path, GError **error);
/* For _cleanup_: closes it, unless it is none. */
void sriov_ledger_unlock(int *lock);
CLEANUP_CLEAR_FUNC(int, sriov_ledger_unlock)

/* Of those that are not being released. NULL when there is none. Borrowed. */
struct sriov_claim *sriov_ledger_find_nic(const struct sriov_ledger *ledger, const char *nic);
/* Also of those. */
struct sriov_claim *sriov_ledger_find_vf(const struct sriov_ledger *ledger, const char *pf, unsigned index);
