/* Flows in words. */
#include "switch/flow_text.h"

#include "switch/wire.h"

static const struct {
	const char *word;
	uint8_t protocol;
} protocols[] = {
	{"tcp", PROTO_TCP},
	{"udp", PROTO_UDP},
	{"icmp", PROTO_ICMP},
	{"icmp", PROTO_ICMPV6},
	{"esp", PROTO_ESP},
	{"ah", PROTO_AH},
};

const char *flow_protocol_word(uint8_t protocol)
{
	for (size_t i = 0; i < G_N_ELEMENTS(protocols); i++)
		if (protocols[i].protocol == protocol)
			return protocols[i].word;
	return NULL;
}

int flow_protocol_parse(const char *text)
{
	uint64_t number;

	for (size_t i = 0; i < G_N_ELEMENTS(protocols); i++)
		if (g_str_equal(protocols[i].word, text))
			return protocols[i].protocol;
	return g_ascii_string_to_unsigned(text, 10, 0, 255, &number, NULL) ? (int)number : -1;
}

json_t *flow_protocol_encode(uint8_t protocol)
{
	const char *word = flow_protocol_word(protocol);

	return word ? json_string(word) : json_sprintf("%u", protocol);
}

const char *flow_direction_word(const struct flow_key *key)
{
	return key->origin == FLOW_FROM_NIC ? "outbound" : "inbound";
}

char *flow_segment_format(const struct snapshot *snapshot, uint32_t segment)
{
	unsigned slot = segment_physical_slot(segment), id = segment_vlan_id(segment);
	const char *name = slot < PHYSICAL_SLOTS ? snapshot->physicals[slot].name : NULL;

	if (!(segment & SEGMENT_VLAN))
		return g_strdup_printf("vxlan %u", segment);
	if (!name)
		name = "nobody"; /* it is gone, and the flow has not been judged since */
	return id ? g_strdup_printf("vlan %u of %s", id, name) : g_strdup_printf("untagged on %s", name);
}

static json_t *encode_exit(const struct snapshot *snapshot, const struct flow_action *action)
{
	const struct nic *target = snapshot_nic(snapshot, action->target);
	const uint8_t *h = action->next_hop;

	if (action->exit == FLOW_TO_NIC)
		return json_sprintf("deliver %s", target ? target->name : "nobody");
	if (action->exit == FLOW_TO_TUNNEL || action->exit == FLOW_TO_PHYSICAL) {
		g_autofree char *segment = flow_segment_format(snapshot, action->target);
		if (action->flags & FLOW_BRIDGED)
			return json_string(segment);
		return json_sprintf("%s %s %u.%u.%u.%u", segment,
			action->exit == FLOW_TO_TUNNEL ? "to" : "by", h[0], h[1], h[2], h[3]);
	}
	return json_sprintf("%s by %u.%u.%u.%u", action->exit == FLOW_TO_OUTSIDE ? "outside" : "host", h[0],
		h[1], h[2], h[3]);
}

json_t *flow_actions_encode(const struct snapshot *snapshot, const struct flow_action *action)
{
	const uint8_t *s = action->new_src, *d = action->new_dst;
	json_t *list = json_array();

	if (action->flags & FLOW_REWRITE_SRC)
		json_array_append_new(list, json_sprintf("source %u.%u.%u.%u", s[0], s[1], s[2], s[3]));
	if (action->flags & FLOW_REWRITE_DST)
		json_array_append_new(list, json_sprintf("destination %u.%u.%u.%u", d[0], d[1], d[2], d[3]));
	if (action->flags & (FLOW_REWRITE_SPORT | FLOW_REWRITE_DPORT))
		json_array_append_new(
			list, json_sprintf("%s port %u",
				      action->flags & FLOW_REWRITE_SPORT ? "source" : "destination",
				      be16toh(action->new_port)));
	if (action->flags & FLOW_ROUTED)
		json_array_append_new(list, json_string("hop"));
	json_array_append_new(list, encode_exit(snapshot, action));
	return list;
}

json_t *flow_key_encode(const struct flow_key *key)
{
	char src[IP_TEXT_MAX], dst[IP_TEXT_MAX];

	return json_pack("{s:o, s:s, s:s, s:i, s:i}", "protocol", flow_protocol_encode(key->protocol), "src",
		ip_format(flow_key_source(key), src), "dst", ip_format(flow_key_destination(key), dst),
		"sport", be16toh(key->sport), "dport", be16toh(key->dport));
}

static char *end_format(struct ip_addr addr, uint16_t port, bool has_port)
{
	char text[IP_TEXT_MAX];

	ip_format(addr, text);
	if (!has_port)
		return g_strdup(text);
	return g_strdup_printf(addr.family == IP_V6 ? "[%s]:%u" : "%s:%u", text, be16toh(port));
}

char *flow_key_format(const struct flow_key *key)
{
	bool ports = flow_key_has_ports(key);
	const char *word = flow_protocol_word(key->protocol);
	g_autofree char *src = end_format(flow_key_source(key), key->sport, ports);
	g_autofree char *dst = end_format(flow_key_destination(key), key->dport, ports);

	return word ? g_strdup_printf("%s %s > %s", word, src, dst)
		    : g_strdup_printf("proto %u %s > %s", key->protocol, src, dst);
}
