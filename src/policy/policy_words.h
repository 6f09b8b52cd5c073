/* The words of policy: one table an enumeration, for JSON, tables and whoever shows rules. */
#pragma once
#include "policy/policy.h"

struct policy_word {
	const char *text;
	uint8_t value;
};

/* Each ends with a NULL text. Tags have no word for POLICY_TAG_ANY: JSON says "any": true, people "*". */
extern const struct policy_word policy_direction_words[]; /* "inbound" */
extern const struct policy_word policy_action_words[]; /* "allow" */
extern const struct policy_word policy_protocol_words[]; /* "any", "tcp" */
extern const struct policy_word policy_tag_words[]; /* "VirtualNetwork" */
extern const struct policy_word policy_place_words[]; /* "subnet", "nic" */
extern const struct policy_word policy_reason_words[]; /* "rule", "platform" */

/* NULL when no word has the value. */
const char *policy_word_text(const struct policy_word *words, uint8_t value);
/* NULL when `text` (NULL too) is none of the words. */
const struct policy_word *policy_word_find(const struct policy_word *words, const char *text);
