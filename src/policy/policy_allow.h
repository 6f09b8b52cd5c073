/* Allow-only groups: any number of them on a NIC, every rule allows, what no rule of any group allows is denied.
 *
 * They compile to one ordinary group, which is the NIC's: the union of their rules, then a rule that denies
 * all in either direction before the default rules could allow (these let a network's own NICs in; allow-only
 * groups do not). No group at all on a NIC whose port security is on is the union of nothing, and denies all.
 *
 * A rule's remote end may be another group: its members, wherever the network has them (struct policy_members).
 * Platform addresses pass as always.
 */
#pragma once
#include "policy/policy_json.h"

enum policy_remote { POLICY_REMOTE_ANY, POLICY_REMOTE_PREFIX, POLICY_REMOTE_GROUP };

struct policy_allow_rule {
	const char *name; /* or uid */
	uint8_t direction; /* enum policy_direction */
	uint8_t family; /* enum ip_family; IP_NONE: both */
	uint8_t protocol; /* as in struct policy_rule */
	bool has_ports;
	struct policy_ports ports; /* where the packet goes to; TCP and UDP only */
	uint8_t remote; /* enum policy_remote: what the end that is not the NIC's may be */
	struct ip_prefix prefix;
	uint32_t group; /* number */
};

struct policy_allow_group {
	const char *name;
	size_t n_rules;
	const struct policy_allow_rule *rules;
};

/* The union of `groups`, called `name`; its rules are called GROUP/RULE. Nothing of the arguments is kept.
 * FAULT_INVALID for a rule that could never match (ports of a protocol without ports, a prefix of another
 * family), FAULT_QUOTA when a direction has more rules than there are priorities. */
struct policy_rules *policy_allow_compile(
	const char *name, const struct policy_allow_group *groups, size_t n, GError **error);
