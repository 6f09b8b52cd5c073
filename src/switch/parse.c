/* The parser: see parse.h.
 *
 * How it works: one function a header, each of which either advances the packet or refuses it with a reason.
 * A cursor carries the bytes that are there and the length that the frame claims.
 */
#include "switch/parse.h"

#include "switch/wire.h"

#include <errno.h>

#define IPV6_HEADERS_MAX 8 /* extension headers that are followed */

struct cursor {
	const uint8_t *data;
	uint32_t available; /* bytes that may be read */
	struct packet *packet;
};

static void refuse(struct packet *packet, enum drop reason)
{
	packet->kind = PACKET_DROP;
	packet->drop = (uint8_t)reason;
}

static bool readable(const struct cursor *c, uint32_t from, uint32_t n)
{
	return from + n <= c->available;
}

/* ---- transport ---- */

/* Bytes of transport that the IP packet has, by its own length. */
static uint32_t transport_length(const struct packet *packet)
{
	return packet->l3_length - (uint32_t)(packet->l4 - packet->l3);
}

static void parse_tcp(struct cursor *c)
{
	struct packet *p = c->packet;
	const uint8_t *tcp = c->data + p->l4;

	if (transport_length(p) < TCP_MIN || !readable(c, p->l4, TCP_MIN)) {
		/* A first fragment too short for its header hides the flags (RFC 1858). */
		refuse(p, p->flags & PACKET_FRAGMENT_FIRST ? DROP_FRAGMENT_TINY : DROP_TRUNCATED);
		return;
	}
	uint32_t header = (uint32_t)(tcp[TCP_OFFSET] >> 4) * 4;
	if (header < TCP_MIN || (header > transport_length(p) && !(p->flags & PACKET_FRAGMENT_FIRST))) {
		refuse(p, DROP_MALFORMED);
		return;
	}
	p->tcp_flags = tcp[TCP_FLAGS];
	memcpy(&p->key.sport, tcp, 2);
	memcpy(&p->key.dport, tcp + 2, 2);
}

static void parse_udp(struct cursor *c)
{
	struct packet *p = c->packet;
	const uint8_t *udp = c->data + p->l4;

	if (transport_length(p) < UDP_LEN || !readable(c, p->l4, UDP_LEN)) {
		refuse(p, p->flags & PACKET_FRAGMENT_FIRST ? DROP_FRAGMENT_TINY : DROP_TRUNCATED);
		return;
	}
	uint16_t length = load16(udp + UDP_LENGTH);
	if (length < UDP_LEN || (length > transport_length(p) && !(p->flags & PACKET_FRAGMENT_FIRST))) {
		refuse(p, DROP_MALFORMED);
		return;
	}
	memcpy(&p->key.sport, udp, 2);
	memcpy(&p->key.dport, udp + UDP_DST, 2);
}

static bool is_icmp_error(uint8_t family, uint8_t type)
{
	if (family == IP_V6)
		return type >= ICMPV6_TYPE_UNREACHABLE && type <= ICMPV6_TYPE_PARAMETER;
	return type == ICMP_TYPE_UNREACHABLE || type == ICMP_TYPE_TIME_EXCEEDED ||
	       type == ICMP_TYPE_PARAMETER;
}

/* What stays on its link. */
static bool is_link_message(uint8_t type)
{
	return (type >= ICMPV6_TYPE_MLD_QUERY && type <= ICMPV6_TYPE_REDIRECT) ||
	       type == ICMPV6_TYPE_MLD2_REPORT;
}

static void parse_link_message(struct packet *p, uint8_t type)
{
	if (type <= ICMPV6_TYPE_MLD_DONE || type == ICMPV6_TYPE_MLD2_REPORT)
		refuse(p, DROP_MLD);
	else if (p->flags &
		 PACKET_OPTIONS) /* nobody puts headers before it, and fragments are ignored (RFC 6980) */
		refuse(p, DROP_ND_MALFORMED);
	else
		p->kind = PACKET_ND;
}

static void parse_icmp(struct cursor *c)
{
	struct packet *p = c->packet;
	const uint8_t *icmp = c->data + p->l4;

	if (transport_length(p) < ICMP_MIN || !readable(c, p->l4, ICMP_MIN)) {
		refuse(p, p->flags & PACKET_FRAGMENT_FIRST ? DROP_FRAGMENT_TINY : DROP_TRUNCATED);
		return;
	}
	uint8_t type = icmp[0], code = icmp[1];
	if (is_icmp_error(p->key.family, type)) {
		p->kind = PACKET_ICMP_ERROR;
		return;
	}
	if (p->key.family == IP_V6 && is_link_message(type)) {
		parse_link_message(p, type);
		return;
	}
	if (!flow_icmp_type_asks(p->key.family, type) && !flow_icmp_type_answers(p->key.family, type)) {
		refuse(p, DROP_ICMP_TYPE);
		return;
	}
	memcpy(&p->key.sport, icmp + ICMP_REST, 2);
	p->key.dport = htobe16((uint16_t)(type << 8 | code));
}

static void parse_transport(struct cursor *c)
{
	struct packet *p = c->packet;

	p->kind = PACKET_FLOW;
	switch (p->key.protocol) {
	case PROTO_TCP: parse_tcp(c); break;
	case PROTO_UDP: parse_udp(c); break;
	case PROTO_ICMP:
		if (p->key.family == IP_V4)
			parse_icmp(c);
		else
			refuse(p, DROP_MALFORMED);
		break;
	case PROTO_ICMPV6:
		if (p->key.family == IP_V6)
			parse_icmp(c);
		else
			refuse(p, DROP_MALFORMED);
		break;
	default: break; /* a flow without ports */
	}
}

/* offset: in bytes, of a fragment that is not the first. p->l4: where its payload begins. */
static void later_fragment(struct packet *p, uint32_t offset)
{
	p->kind = PACKET_FRAGMENT;
	/* No datagram reaches so far; cut once more, its offset would begin anew at zero. */
	if (offset + transport_length(p) > UINT16_MAX)
		refuse(p, DROP_MALFORMED);
	/* Eight bytes into a TCP header lie its flags: such a fragment could rewrite them (RFC 3128). */
	if (offset < TCP_MIN && p->key.protocol == PROTO_TCP)
		refuse(p, DROP_FRAGMENT_TINY);
}

/* ---- IPv4 ---- */

/* Options are passed, but for those that choose the way (RFC 7126, section 4). */
static enum drop check_ipv4_options(const uint8_t *options, uint32_t length)
{
	for (uint32_t i = 0; i < length;) {
		uint8_t kind = options[i];
		if (kind == 0)
			return DROP_NONE;
		if (kind == 1) {
			i++;
			continue;
		}
		if (kind == 131 || kind == 137)
			return DROP_SOURCE_ROUTE;
		if (i + 1 >= length || options[i + 1] < 2 || i + options[i + 1] > length)
			return DROP_MALFORMED;
		i += options[i + 1];
	}
	return DROP_NONE;
}

static void parse_ipv4(struct cursor *c, uint32_t left)
{
	struct packet *p = c->packet;
	const uint8_t *ip = c->data + p->l3;

	if (left < IPV4_MIN || !readable(c, p->l3, IPV4_MIN)) {
		refuse(p, DROP_TRUNCATED);
		return;
	}
	uint32_t header = (uint32_t)(ip[0] & 0xf) * 4;
	p->l3_length = load16(ip + IPV4_TOTAL);
	if (ip[0] >> 4 != 4 || header < IPV4_MIN || p->l3_length < header) {
		refuse(p, DROP_MALFORMED);
		return;
	}
	if (p->l3_length > left || !readable(c, p->l3, header)) {
		refuse(p, DROP_TRUNCATED);
		return;
	}
	p->key.family = IP_V4;
	p->key.protocol = ip[IPV4_PROTOCOL];
	memcpy(p->key.src, ip + IPV4_SRC, 4);
	memcpy(p->key.dst, ip + IPV4_DST, 4);
	p->l4 = (uint16_t)(p->l3 + header);
	if (header > IPV4_MIN) {
		enum drop bad = check_ipv4_options(ip + IPV4_MIN, header - IPV4_MIN);
		p->flags |= PACKET_OPTIONS;
		if (bad) {
			refuse(p, bad);
			return;
		}
	}
	uint16_t fragment = load16(ip + IPV4_FRAGMENT);
	p->flags |= fragment & IPV4_DF ? PACKET_DF : 0;
	p->flags |= fragment & IPV4_MF && !(fragment & IPV4_OFFSET) ? PACKET_FRAGMENT_FIRST : 0;
	p->fragment_id = load16(ip + IPV4_ID);
	if (fragment & IPV4_OFFSET)
		later_fragment(p, (uint32_t)(fragment & IPV4_OFFSET) * 8);
	else
		parse_transport(c);
}

/* ---- IPv6 ---- */

/* Steps over one extension header at p->l4. Returns false when the walk is over: the packet is refused, or is
 * a later fragment. */
static bool skip_ipv6_header(struct cursor *c)
{
	struct packet *p = c->packet;
	const uint8_t *header = c->data + p->l4;

	if (transport_length(p) < 8 || !readable(c, p->l4, 8)) {
		refuse(p, DROP_TRUNCATED);
		return false;
	}
	uint8_t kind = p->key.protocol;
	uint32_t length = kind == PROTO_FRAGMENT ? 8 : ((uint32_t)header[1] + 1) * 8;
	if (length > transport_length(p) || !readable(c, p->l4, length)) {
		refuse(p, DROP_TRUNCATED);
		return false;
	}
	if (kind == PROTO_ROUTING) {
		refuse(p, DROP_SOURCE_ROUTE);
		return false;
	}
	p->flags |= PACKET_OPTIONS;
	p->key.protocol = header[0];
	p->l4 = (uint16_t)(p->l4 + length);
	if (kind != PROTO_FRAGMENT)
		return true;
	uint16_t fragment = load16(header + 2);
	p->fragment_id = load32(header + 4);
	if (fragment >> 3) {
		later_fragment(p, (uint32_t)(fragment & 0xfff8));
		return false;
	}
	p->flags |= fragment & 1 ? PACKET_FRAGMENT_FIRST : 0;
	return true;
}

static bool is_ipv6_extension(uint8_t protocol)
{
	return protocol == PROTO_HOPOPTS || protocol == PROTO_ROUTING || protocol == PROTO_FRAGMENT ||
	       protocol == PROTO_DSTOPTS;
}

static void parse_ipv6(struct cursor *c, uint32_t left)
{
	struct packet *p = c->packet;
	const uint8_t *ip = c->data + p->l3;

	if (left < IPV6_LEN || !readable(c, p->l3, IPV6_LEN)) {
		refuse(p, DROP_TRUNCATED);
		return;
	}
	if (ip[0] >> 4 != 6) {
		refuse(p, DROP_MALFORMED);
		return;
	}
	p->l3_length = IPV6_LEN + load16(ip + IPV6_PAYLOAD);
	if (p->l3_length > left) {
		refuse(p, DROP_TRUNCATED);
		return;
	}
	p->flags |= PACKET_DF; /* routers never fragment IPv6 */
	p->key.family = IP_V6;
	p->key.protocol = ip[IPV6_NEXT];
	memcpy(p->key.src, ip + IPV6_SRC, 16);
	memcpy(p->key.dst, ip + IPV6_DST, 16);
	p->l4 = (uint16_t)(p->l3 + IPV6_LEN);
	for (unsigned i = 0; is_ipv6_extension(p->key.protocol); i++) {
		if (i == IPV6_HEADERS_MAX) {
			refuse(p, DROP_MALFORMED);
			return;
		}
		if (!skip_ipv6_header(c))
			return;
	}
	parse_transport(c);
}

/* ---- frames ---- */

static void parse_arp(struct cursor *c)
{
	struct packet *p = c->packet;
	static const uint8_t ethernet_ipv4[] = {0, 1, 8, 0, 6, 4};

	p->l3_length = ARP_LEN;
	if (!readable(c, p->l3, ARP_LEN))
		refuse(p, DROP_TRUNCATED);
	else if (memcmp(c->data + p->l3, ethernet_ipv4, sizeof ethernet_ipv4) != 0)
		refuse(p, DROP_MALFORMED);
	else
		p->kind = PACKET_ARP;
}

static void parse_rarp(struct cursor *c)
{
	struct packet *p = c->packet;

	parse_arp(c);
	if (p->kind != PACKET_ARP)
		return;
	if (load16(c->data + p->l3 + ARP_OP) == RARP_REQUEST)
		p->kind = PACKET_RARP;
	else
		refuse(p, DROP_MALFORMED);
}

void parse_frame(const uint8_t *data, uint32_t available, uint32_t length, struct packet *ret)
{
	struct cursor c = {.data = data, .available = available, .packet = ret};

	memset(ret, 0, sizeof *ret);
	if (available < ETH_LEN) {
		refuse(ret, DROP_TRUNCATED);
		return;
	}
	ret->l3 = ETH_LEN;
	switch (load16(data + ETH_TYPE)) {
	case ETH_IPV4: parse_ipv4(&c, length - ETH_LEN); break;
	case ETH_IPV6: parse_ipv6(&c, length - ETH_LEN); break;
	case ETH_ARP: parse_arp(&c); break;
	case ETH_RARP: parse_rarp(&c); break;
	case ETH_VLAN:
	case ETH_QINQ: refuse(ret, DROP_VLAN); break;
	default: refuse(ret, DROP_ETHERTYPE); break;
	}
}

/* ---- quotations ---- */

static bool quoted_ipv4(const uint8_t *data, uint32_t available, struct flow_key *key, uint32_t *ret_l4)
{
	uint32_t header = available ? (uint32_t)(data[0] & 0xf) * 4 : 0;

	if (available < IPV4_MIN || header < IPV4_MIN || load16(data + IPV4_FRAGMENT) & IPV4_OFFSET)
		return false;
	key->family = IP_V4;
	key->protocol = data[IPV4_PROTOCOL];
	memcpy(key->src, data + IPV4_SRC, 4);
	memcpy(key->dst, data + IPV4_DST, 4);
	*ret_l4 = header;
	return true;
}

static bool quoted_ipv6(const uint8_t *data, uint32_t available, struct flow_key *key, uint32_t *ret_l4)
{
	if (available < IPV6_LEN)
		return false;
	key->family = IP_V6;
	key->protocol = data[IPV6_NEXT];
	memcpy(key->src, data + IPV6_SRC, 16);
	memcpy(key->dst, data + IPV6_DST, 16);
	*ret_l4 = IPV6_LEN;
	for (unsigned i = 0; is_ipv6_extension(key->protocol); i++) {
		const uint8_t *header = data + *ret_l4;
		if (i == IPV6_HEADERS_MAX || available < *ret_l4 + 8)
			return false;
		bool fragment = key->protocol == PROTO_FRAGMENT;
		if (fragment && load16(header + 2) >> 3)
			return false;
		*ret_l4 += fragment ? 8 : ((uint32_t)header[1] + 1) * 8;
		key->protocol = header[0];
	}
	return true;
}

int parse_quoted(const uint8_t *data, uint32_t available, struct flow_key *ret_key, uint16_t *ret_l4)
{
	struct flow_key key = {};
	uint32_t header = 0;
	uint8_t version = available ? data[0] >> 4 : 0;

	if (!(version == 4 && quoted_ipv4(data, available, &key, &header)) &&
		!(version == 6 && quoted_ipv6(data, available, &key, &header)))
		return -EBADMSG;
	if (available < header + 8)
		return -EBADMSG;
	const uint8_t *l4 = data + header;
	if (key.protocol == PROTO_TCP || key.protocol == PROTO_UDP) {
		memcpy(&key.sport, l4, 2);
		memcpy(&key.dport, l4 + 2, 2);
	} else if (key.protocol == (key.family == IP_V6 ? PROTO_ICMPV6 : PROTO_ICMP)) {
		if (!flow_icmp_type_asks(key.family, l4[0]) && !flow_icmp_type_answers(key.family, l4[0]))
			return -EBADMSG; /* no error is ever about an error (RFC 1122, section 3.2.2) */
		memcpy(&key.sport, l4 + ICMP_REST, 2);
		key.dport = htobe16((uint16_t)(l4[0] << 8 | l4[1]));
	}
	*ret_key = key;
	*ret_l4 = (uint16_t)header;
	return 0;
}
