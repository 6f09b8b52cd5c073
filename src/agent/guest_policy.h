/* Rules that guests apply themselves: what each NIC's guest is to apply, and whether it says that it does.
 *
 * How it works. A NIC whose goal says guest_enforcement has a document of its rules (policy/policy_document.h)
 * and the document's SHA-256 as its name. The metadata service hands both to that NIC's guest, which reports the hash of
 * what it has put in force, and again every 25 s or so (guest/enforce.h). The report is a promise of the
 * tenant's: whoever is root in the guest can break it, so it never counts as the host's enforcement.
 *
 * Reports are not on disk: an agent that begins knows of none, and guests notice its absence and report anew.
 * All of it is the main thread's.
 */
#pragma once
#include "base/cleanup.h"
#include "model/goal.h"

struct agent;
struct guest_policies;

#define GUEST_POLICY_RENEW_S 90 /* a report counts for so long */
#define GUEST_POLICY_GRACE_S 10 /* a guest has so long to put new rules in force */

enum guest_policy_state {
	/* No report since the agent began, or since the guest's machine did. The NIC must not get a function that cannot hold
	 * its rules. Left by a report. */
	GUEST_POLICY_NEVER,
	/* The guest has reported the rules in force. Left by a change of rules, and by silence. */
	GUEST_POLICY_CURRENT,
	/* What it reported last are not the rules in force, or it is silent. A function that the NIC has must go at the
	 * deadline; a goal must not be reported as applied meanwhile. */
	GUEST_POLICY_STALE,
	/* The guest says that it cannot apply the rules in force. As GUEST_POLICY_STALE. */
	GUEST_POLICY_FAILED,
};

/* ---- for whoever gives and takes functions ---- */

/* NEVER when the NIC is not one whose guest applies rules. */
enum guest_policy_state guest_policy_state(const struct agent *agent, const char *nic);
/* Until when (monotonic) the NIC may have a function that cannot hold its rules: while the state is CURRENT, that of the
 * next silence. 0: it may not. */
int64_t guest_policy_deadline_us(const struct agent *agent, const char *nic);
/* Why the state is not CURRENT. Borrowed until the main loop runs again; NULL when it is. */
const char *guest_policy_sentence(const struct agent *agent, const char *nic);
/* The guest's machine has gone or begun anew: what was reported is no longer so, and it may not have a function before it has
 * reported again. */
void guest_policy_forget(struct agent *agent, const char *nic);

/* ---- for the agent and its metadata service ---- */

struct guest_policies_config {
	int64_t (*now_us)(void); /* g_get_monotonic_time */
	void (*reported)(void *data); /* a NIC's state may have changed; NULL: nobody wants to know */
	void *data;
};

struct guest_policies *guest_policies_new(const struct guest_policies_config *config);
/* Those who wait are told first. */
void guest_policies_free(struct guest_policies *policies);
CLEANUP_FUNC(struct guest_policies *, guest_policies_free)

/* Computes all documents from the goal. A NIC whose rules are not understood keeps its last document. */
void guest_policies_set_goal(struct guest_policies *policies, const struct goal *goal);

/* {"hash": HASH, "policy": DOCUMENT}, null for a document when the guest is to apply none. NULL when the goal
 * does not name the NIC. Borrowed until the main loop runs again. */
const char *guest_policies_body(const struct guest_policies *policies, const char *nic);
const char *guest_policies_hash(const struct guest_policies *policies, const char *nic);

/* {"hash": HASH, "applied": bool, "error": "sentence"?} of the NIC's guest. FAULT_INVALID when it is not of that form,
 * FAULT_NOT_ALLOWED when the guest is not to apply rules. */
bool guest_policies_report(
	struct guest_policies *policies, const char *nic, const json_t *report, GError **error);

/* Calls back once: when the NIC's hash is another than `after`, or after so long with news false. One may wait for a NIC: the one
 * before is called back. Never from within this call. */
typedef void (*guest_policies_fn)(bool news, void *data);
void guest_policies_wait(struct guest_policies *policies, const char *nic, const char *after,
	unsigned timeout_ms, guest_policies_fn fn, void *data);
/* Forgets who waits with this data, uncalled. */
void guest_policies_cancel(struct guest_policies *policies, const void *data);

enum guest_policy_state guest_policies_state(const struct guest_policies *policies, const char *nic);
int64_t guest_policies_deadline_us(const struct guest_policies *policies, const char *nic);
const char *guest_policies_sentence(const struct guest_policies *policies, const char *nic);
void guest_policies_forget(struct guest_policies *policies, const char *nic);
