/* What guests say that they are: see model/guest_os.h and guest/identity.h.
 *
 * How it works. A guest's sluice-guest says it by each of its NICs when it starts, and again every half minute, by which it
 * is known to be there. The metadata service knows the NIC by the address that asks (metadata.h). Nothing of it is
 * on disk: guests say it to the next agent, too. It is a tenant's word: bounded, shown, and trusted in nothing.
 * All of it is the main thread's.
 */
#pragma once
#include "base/cleanup.h"
#include "model/goal.h"

#define GUEST_IDENTITY_RENEW_S 90 /* a guest that is silent for so long is not there */

struct guest_identity {
	struct guest_os os;
	char *driver; /* of the NIC's VF; NULL: it has none */
};

struct guest_identities;

/* now_us: g_get_monotonic_time */
struct guest_identities *guest_identities_new(int64_t (*now_us)(void));
void guest_identities_free(struct guest_identities *identities);
CLEANUP_FUNC(struct guest_identities *, guest_identities_free)

/* {"os": {"kernel","id","version","name","agent"}, "driver"} of the NIC's guest; what else is in it is of a newer one.
 * FAULT_INVALID when it is not of that form. */
bool guest_identities_take(
	struct guest_identities *identities, const char *nic, const json_t *json, GError **error);
/* The guest's machine has gone, or begun anew. */
void guest_identities_forget(struct guest_identities *identities, const char *nic);
/* Forgets NICs that are not in the goal. */
void guest_identities_set_goal(struct guest_identities *identities, const struct goal *goal);
/* NULL: it has not said, or is silent. Borrowed. */
const struct guest_identity *guest_identities_find(
	const struct guest_identities *identities, const char *nic);
