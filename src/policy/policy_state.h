/* The policy in a switch's state (docs/API.md, "State"): which rules every NIC of a host is subject to.
 *
 * The state is the switch's; here only what policy looks at is read: groups, the networks' prefixes and
 * application groups, subnets' and NICs' groups, addresses. Other members are not looked at, so that a reader
 * of another version understands what it can; what is read must be right.
 *
 * A network's application groups stand in its optional member "application_groups":
 *     [{"number": 3, "name": "web", "members": ["192.168.1.4/32", "fd00::4/128"]}]
 * A rule's "groups" are such numbers.
 */
#pragma once
#include "base/cleanup.h"
#include "policy/policy.h"

#include <glib.h>
#include <jansson.h>

struct policy_state;

struct policy_state_address {
	struct ip_addr ip;
	struct ip_addr public_ip; /* IP_NONE: none */
	bool standard;
};

/* All Borrowed from the state. */
struct policy_state_nic {
	const char *uid, *name;
	struct policy_nic policy; /* standard_address false: it is each address's */
	unsigned n_addresses;
	const struct policy_state_address *addresses;
};

/* Keeps a reference to `json`. NULL with FAULT_INVALID and the path of the bad member. */
struct policy_state *policy_state_decode(json_t *json, GError **error);
void policy_state_free(struct policy_state *state);
CLEANUP_FUNC(struct policy_state *, policy_state_free)

unsigned policy_state_length(const struct policy_state *state);
const struct policy_state_nic *policy_state_get(const struct policy_state *state, unsigned i);
/* By uid, or by the name where only one NIC has it. NULL with FAULT_NOT_FOUND or FAULT_INVALID. */
const struct policy_state_nic *policy_state_find(
	const struct policy_state *state, const char *name, GError **error);
/* The NIC's address that `addr` is, or that the public address `addr` is translated to; NULL: none. */
const struct policy_state_address *policy_state_find_address(
	const struct policy_state_nic *nic, struct ip_addr addr);
