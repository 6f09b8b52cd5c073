/* What rules a NIC is subject to, and why a packet passes or not: for people and their scripts.
 *
 * Lists are GArrays, Owned by the caller; rules, groups and names in them are Borrowed from the NIC.
 */
#pragma once
#include "policy/policy.h"

#include <glib.h>
#include <jansson.h>

struct policy_effective_rule {
	enum policy_place at;
	const struct policy_group *group;
	const struct policy_rule *rule;
	bool is_default;
};

/* Every rule of a direction, of struct policy_effective_rule: group by group as a packet meets them, in each
 * by priority, the default rules last. */
GArray *policy_effective(const struct policy_nic *nic, enum policy_direction direction);

/* The addresses of a side at a NIC, tags and application groups resolved: the shortest list of struct
 * ip_prefix (policy_prefixes.h). Empty when the side names only groups that have no member here. */
GArray *policy_side_prefixes(const struct policy_side *side, const struct policy_space *space);

/* {"inbound": [RULE...], "outbound": [RULE...]}: each RULE as in docs/API.md, "State", with "at" ("subnet",
 * "nic"), "group", "group_uid" (null: not known), "default", and in either side "resolved": its prefixes. New
 * reference. */
json_t *policy_effective_encode(const struct policy_nic *nic);

/* {"verdict": "allow" | "deny", "reason", "groups": [{"at", "group", "group_uid", "rule", "priority", "default",
 * "action"}...]}: the groups in the order in which they are asked, all of them. New reference. */
json_t *policy_explanation_encode(const struct policy_explanation *explanation);
