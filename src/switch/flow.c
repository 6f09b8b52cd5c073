/* Questions about flow keys: their reversal, and what answers are addressed to. */
#include "switch/flow.h"

#include "switch/wire.h"

static const struct {
	uint8_t family, question, answer;
} icmp_pairs[] = {
	{IP_V4, ICMP_TYPE_ECHO, ICMP_TYPE_ECHO_REPLY},
	{IP_V4, ICMP_TYPE_TIMESTAMP, ICMP_TYPE_TIMESTAMP_REPLY},
	{IP_V6, ICMPV6_TYPE_ECHO, ICMPV6_TYPE_ECHO_REPLY},
};

static const size_t n_icmp_pairs = sizeof icmp_pairs / sizeof icmp_pairs[0];

bool flow_icmp_type_asks(uint8_t family, uint8_t type)
{
	for (size_t i = 0; i < n_icmp_pairs; i++)
		if (icmp_pairs[i].family == family && icmp_pairs[i].question == type)
			return true;
	return false;
}

bool flow_icmp_type_answers(uint8_t family, uint8_t type)
{
	for (size_t i = 0; i < n_icmp_pairs; i++)
		if (icmp_pairs[i].family == family && icmp_pairs[i].answer == type)
			return true;
	return false;
}

static uint8_t icmp_other(uint8_t family, uint8_t type)
{
	for (size_t i = 0; i < n_icmp_pairs; i++) {
		if (icmp_pairs[i].family != family)
			continue;
		if (icmp_pairs[i].question == type)
			return icmp_pairs[i].answer;
		if (icmp_pairs[i].answer == type)
			return icmp_pairs[i].question;
	}
	return type;
}

bool flow_key_has_ports(const struct flow_key *key)
{
	return key->protocol == PROTO_TCP || key->protocol == PROTO_UDP;
}

struct flow_key flow_key_reverse(const struct flow_key *key)
{
	struct flow_key reverse = *key;

	memcpy(reverse.src, key->dst, sizeof reverse.src);
	memcpy(reverse.dst, key->src, sizeof reverse.dst);
	if (key->protocol == PROTO_ICMP || key->protocol == PROTO_ICMPV6) {
		uint16_t type_code = be16toh(key->dport);
		uint8_t type = icmp_other(key->family, (uint8_t)(type_code >> 8));
		reverse.dport = htobe16((uint16_t)(type << 8));
	} else {
		reverse.sport = key->dport;
		reverse.dport = key->sport;
	}
	return reverse;
}

/* An answer to ICMP bears the identifier of the question, in the place of both ports. */
static bool has_identifier(const struct flow_key *key)
{
	return key->protocol == PROTO_ICMP || key->protocol == PROTO_ICMPV6;
}

struct flow_alias flow_alias_of(const struct flow_key *reply, const struct flow_action *forward)
{
	struct flow_alias alias = {.port = has_identifier(reply) ? reply->sport : reply->dport};

	memcpy(alias.address, reply->dst, sizeof alias.address);
	memcpy(alias.member, forward->dmac, sizeof alias.member);
	return alias;
}

void flow_alias_set_port(struct flow_key *reply, uint16_t port)
{
	*(has_identifier(reply) ? &reply->sport : &reply->dport) = port;
}
