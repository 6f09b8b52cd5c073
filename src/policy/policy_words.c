/* Words of enumerations: see policy_words.h. */
#include "policy/policy_words.h"

#include <string.h>

const struct policy_word policy_direction_words[] = {
	{"inbound", POLICY_INBOUND}, {"outbound", POLICY_OUTBOUND}, {}};
const struct policy_word policy_action_words[] = {{"allow", POLICY_ALLOW}, {"deny", POLICY_DENY}, {}};
const struct policy_word policy_protocol_words[] = {{"any", POLICY_ANY}, {"tcp", POLICY_TCP},
	{"udp", POLICY_UDP}, {"icmp", POLICY_ICMP}, {"esp", POLICY_ESP}, {"ah", POLICY_AH}, {}};
const struct policy_word policy_tag_words[] = {{"VirtualNetwork", POLICY_TAG_VIRTUAL_NETWORK},
	{"Internet", POLICY_TAG_INTERNET}, {"AzureLoadBalancer", POLICY_TAG_LOAD_BALANCER}, {}};
const struct policy_word policy_place_words[] = {{"subnet", POLICY_AT_SUBNET}, {"nic", POLICY_AT_NIC}, {}};
const struct policy_word policy_reason_words[] = {{"rule", POLICY_BY_RULE}, {"platform", POLICY_BY_PLATFORM},
	{"no-group", POLICY_BY_NO_GROUP}, {"standard-address", POLICY_BY_ADDRESS}, {}};

const char *policy_word_text(const struct policy_word *words, uint8_t value)
{
	while (words->text && words->value != value)
		words++;
	return words->text;
}

const struct policy_word *policy_word_find(const struct policy_word *words, const char *text)
{
	for (; text && words->text; words++)
		if (strcmp(words->text, text) == 0)
			return words;
	return NULL;
}
