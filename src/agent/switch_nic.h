/* Whether the switch would take a NIC.
 *
 * The switch takes a state as a whole or not at all. So that one bad NIC does not keep every other change of
 * the host out, what src/switch/state_nic.c would refuse is found here, and the NIC left out.
 */
#pragma once
#include "agent/switch_state.h"

/* Over all NICs of one goal, in order: of two that want the same, the first gets it. */
struct switch_nics {
	const struct goal *goal; /* Borrowed */
	const struct switch_site *site; /* Borrowed */
	GHashTable *lost; /* Borrowed: uid → sentence why that network is not told to the switch */
	GHashTable *taken; /* Owned, of text: addresses, MACs and uids of the NICs so far, with their space */
	unsigned n; /* NICs so far */
};

void switch_nics_init(
	struct switch_nics *nics, const struct goal *goal, const struct switch_site *site, GHashTable *lost);
void switch_nics_done(struct switch_nics *nics);
CLEANUP_CLEAR_FUNC(struct switch_nics, switch_nics_done)

/* Whether the text (NULL: no) is a MAC address that a NIC can have. */
bool switch_mac_parse(const char *text, struct mac_addr *ret);

/* Takes a text of a space ("public", "uid") for who is no NIC. False when it is taken. */
bool switch_nics_take(struct switch_nics *nics, const char *space, const char *text);

/* NULL, with the NIC's network in *ret_network, when the switch takes the NIC beside those before it; else a sentence
 * that says why not, and the NIC takes nothing. Owned by the caller. */
char *switch_nics_add(
	struct switch_nics *nics, const struct goal_nic *nic, const struct goal_network **ret_network);
