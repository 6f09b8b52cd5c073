/* What a traced DHCP message of either family is answered: see trace.c. */
#include "switch/respond/respond.h"
#include "switch/trace_priv.h"

/* The words of the answer to a NIC's message. `length`: of the answer, 0 when there is none. */
static char *tell_dhcp(const struct trace *t, const uint8_t *answer, int length)
{
	const struct nic_address *own = nic_first_address(t->nic, IP_V4);
	char address[IP_TEXT_MAX], asked[IP_TEXT_MAX];

	if (!own)
		return g_strdup("no answer: the NIC has no IPv4 address");
	if (length == 0)
		return g_strdup("DHCP that needs no answer");
	ip_format(own->ip, address);
	ip_format(t->words.requested, asked);
	switch (dhcp_answer_kind(answer)) {
	case DHCP_OFFERS: return g_strdup_printf("the switch offers %s (DHCPOFFER)", address);
	case DHCP_CONFIRMS: return g_strdup_printf("the switch confirms %s (DHCPACK)", address);
	default:
		return g_strdup_printf(
			"the switch refuses %s (DHCPNAK): the NIC's address is %s", asked, address);
	}
}

static char *tell_dhcp6(const struct trace *t, const uint8_t *answer, int length)
{
	struct dhcp6_given given;
	char first[IP_TEXT_MAX], asked[IP_TEXT_MAX];

	if (length == 0)
		return g_strdup("DHCPv6 that needs no answer");
	dhcp6_answer_look(answer, (size_t)length, &given);
	const char *word = given.advertises ? "Advertise" : "Reply";
	if (given.n == 0 && !nic_first_address(t->nic, IP_V6))
		return g_strdup_printf("the switch answers that there is no address (%s with NoAddrsAvail): "
				       "the NIC has none of IPv6",
			word);
	if (given.n == 0)
		return g_strdup_printf("the switch refuses %s (%s with NotOnLink): it is not of the subnet",
			ip_format(t->words.requested, asked), word);
	g_autofree char *more = given.n > 1 ? g_strdup_printf(" and %u more", given.n - 1) : g_strdup("");
	return g_strdup_printf("the switch %s %s%s (%s)", given.advertises ? "offers" : "gives",
		ip_format(given.first, first), more, word);
}

bool trace_ask_dhcp(struct trace *t)
{
	uint32_t available = MIN(t->length, (uint32_t)PACKET_WORDS_FRAME);
	uint8_t answer[MAX(DHCP_MESSAGE_MAX, DHCP6_MESSAGE_MAX)];
	bool broadcast = false, v6 = t->parsed.key.family == IP_V6;
	int length = 0;
	enum drop reason =
		v6 ? dhcp6_answer_frame(t->nic, &t->parsed, t->frame, available, answer, &length)
		   : dhcp_answer_frame(t->nic, &t->parsed, t->frame, available, answer, &length, &broadcast);

	if (reason != DROP_NONE)
		return trace_drop(t, "responders", reason);
	g_autofree char *text = v6 ? tell_dhcp6(t, answer, length) : tell_dhcp(t, answer, length);
	return trace_answered(t, text);
}
