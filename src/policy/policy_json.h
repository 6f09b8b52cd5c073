/* JSON of a group's rules, as the switch's state carries them (docs/API.md, "State").
 *
 * Decoding is strict: a member that is not known, a word that is none of its list, a prefix with host bits, a
 * priority used twice in one direction is FAULT_INVALID, never ignored, since a misspelt "ports" would open
 * all of them. The sentence starts with the path of the bad member from the rules downwards
 * ("rules[3].source.prefixes[0]: ..."), so that a caller prefixes its own ("groups[1].").
 */
#pragma once
#include "base/cleanup.h"
#include "policy/policy.h"

#include <glib.h>
#include <jansson.h>

/* One group with all that it points to. */
struct policy_rules {
	struct policy_group group; /* point a struct policy_nic here; valid until policy_rules_free */
	GPtrArray *blocks; /* Owned: names and arrays of the rules */
};

/* Decodes the array `rules` of the group called `name`. Both are Borrowed; nothing of them is kept. NULL with
 * FAULT_INVALID. */
struct policy_rules *policy_rules_decode(const char *name, const json_t *rules, GError **error);
void policy_rules_free(struct policy_rules *rules);
CLEANUP_FUNC(struct policy_rules *, policy_rules_free)

/* The array of the group's own rules, in their order: a new reference. Default rules are never listed. */
json_t *policy_rules_encode(const struct policy_group *group);

/* One rule as an object: a new reference. */
json_t *policy_rule_encode(const struct policy_rule *rule);

/* "tcp", or the number of a protocol without a word: a new reference. */
json_t *policy_protocol_encode(uint8_t protocol);
