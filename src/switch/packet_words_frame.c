/* Frames of packets that were described in words. */
#include "switch/checksum.h"
#include "switch/decide.h"
#include "switch/packet_words.h"
#include "switch/wire.h"

#define DHCP_LENGTH 300 /* of the smallest message, RFC 1542 section 2.1 */

/* ---- IPv6's own: neighbour discovery and DHCPv6 ---- */

enum {
	LINK_OPTION = 8, /* RFC 4861, section 4.6.1 */
	SOLICITATION = 24, /* of a neighbour */
	ROUTER_SOLICITATION = 8,
	DHCP6_SOLICIT = 4 + 14 + 16, /* RFC 8415: header, client's DUID-LL, one IA_NA */
	DHCP6_REQUEST = DHCP6_SOLICIT + 14 + 28, /* the server's, and an address in the IA_NA */
};

static bool is_nobody(struct ip_addr addr)
{
	return ip_equal(addr, (struct ip_addr){.family = IP_V6});
}

static struct ip_addr source_of(const struct packet_words *p)
{
	return p->src.family == IP_NONE ? ip_link_local(p->smac) : p->src;
}

/* Solicitations are sent to a group that the target's last 24 bits choose (RFC 4291, section 2.7.1). */
static struct ip_addr destination_of(const struct packet_words *p)
{
	struct ip_addr group = {.family = IP_V6, .bytes = {0xff, 2, [11] = 1, [12] = 0xff}};

	if (p->kind != PACKET_WORDS_ND)
		return p->dst;
	memcpy(group.bytes + 13, p->dst.bytes + 13, 3);
	return group;
}

static uint32_t discovery_length(const struct packet_words *p)
{
	uint32_t link = is_nobody(p->src) ? 0 : LINK_OPTION;

	return (p->kind == PACKET_WORDS_ND ? SOLICITATION : ROUTER_SOLICITATION) + link;
}

static uint32_t dhcp6_length(const struct packet_words *p)
{
	return p->requested.family == IP_NONE ? DHCP6_SOLICIT : DHCP6_REQUEST;
}

static void write_discovery(const struct packet_words *p, uint8_t *ip, uint32_t length)
{
	uint8_t *icmp = ip + IPV6_LEN, *link = icmp + ROUTER_SOLICITATION;

	icmp[0] = ICMPV6_TYPE_ROUTER_SOLICITATION;
	if (p->kind == PACKET_WORDS_ND) {
		icmp[0] = ICMPV6_TYPE_NEIGHBOUR_SOLICITATION;
		memcpy(icmp + 8, p->dst.bytes, 16);
		link = icmp + SOLICITATION;
	}
	if (!is_nobody(p->src)) {
		link[0] = link[1] = 1;
		memcpy(link + 2, p->smac.bytes, 6);
	}
	uint64_t sum = checksum_pseudo6(ip + IPV6_SRC, PROTO_ICMPV6, length);
	uint16_t check = (uint16_t)~checksum_fold(checksum_add(sum, icmp, length));
	memcpy(icmp + ICMP_CHECK, &check, sizeof check);
}

static uint8_t *write_duid(uint8_t *at, uint16_t option, const uint8_t mac[6])
{
	store16(at, option);
	store16(at + 2, 10);
	store32(at + 4, 3 << 16 | 1); /* DUID-LL of Ethernet */
	memcpy(at + 8, mac, 6);
	return at + 14;
}

static void write_dhcp6(const struct packet_words *p, uint8_t *message)
{
	bool request = p->requested.family != IP_NONE;
	uint8_t *at = write_duid(message + 4, 1, p->smac.bytes);

	message[0] = request ? 3 : 1;
	if (request)
		at = write_duid(at, 2, gateway_mac);
	store16(at, 3);
	store16(at + 2, request ? 12 + 28 : 12);
	if (!request)
		return;
	store16(at + 16, 5);
	store16(at + 18, 24);
	memcpy(at + 20, p->requested.bytes, 16);
}

/* ---- every packet ---- */

static uint32_t transport_length(const struct packet_words *p)
{
	if (p->kind == PACKET_WORDS_ND || p->kind == PACKET_WORDS_RS)
		return discovery_length(p);
	if (p->kind == PACKET_WORDS_DHCP6)
		return UDP_LEN + dhcp6_length(p);
	switch (p->protocol) {
	case PROTO_TCP: return TCP_MIN;
	case PROTO_UDP: return p->kind == PACKET_WORDS_DHCP ? UDP_LEN + DHCP_LENGTH : UDP_LEN;
	case PROTO_ICMP:
	case PROTO_ICMPV6: return ICMP_MIN;
	default: return 0;
	}
}

static void write_transport(const struct packet_words *p, uint8_t *at, uint32_t length)
{
	switch (p->protocol) {
	case PROTO_TCP:
		at[TCP_OFFSET] = TCP_MIN / 4 << 4;
		at[TCP_FLAGS] = p->tcp_flags;
		break;
	case PROTO_UDP: store16(at + UDP_LENGTH, (uint16_t)length); break;
	case PROTO_ICMP:
	case PROTO_ICMPV6:
		at[0] = p->icmp_type;
		at[1] = p->icmp_code;
		store16(at + ICMP_REST, p->icmp_id);
		return;
	default: return;
	}
	store16(at, p->sport);
	store16(at + 2, p->dport);
}

static void write_ipv4(const struct packet_words *p, uint8_t *ip, uint32_t length)
{
	ip[0] = 0x45;
	store16(ip + IPV4_TOTAL, (uint16_t)length);
	store16(ip + IPV4_FRAGMENT, p->df ? IPV4_DF : 0);
	ip[IPV4_TTL] = p->ttl;
	ip[IPV4_PROTOCOL] = p->protocol;
	memcpy(ip + IPV4_SRC, p->src.bytes, 4);
	memcpy(ip + IPV4_DST, p->dst.bytes, 4);
	checksum_set(ip, IPV4_MIN, IPV4_CHECK);
}

static void write_ipv6(const struct packet_words *p, uint8_t *ip, uint32_t length)
{
	ip[0] = 0x60;
	store16(ip + IPV6_PAYLOAD, (uint16_t)(length - IPV6_LEN));
	ip[IPV6_NEXT] = p->protocol;
	ip[IPV6_HOPS] = p->ttl;
	const struct ip_addr source = source_of(p), destination = destination_of(p);
	memcpy(ip + IPV6_SRC, source.bytes, 16);
	memcpy(ip + IPV6_DST, destination.bytes, 16);
}

/* Over IPv6 there is always one. What is behind the frame's bytes is zero, and adds nothing. */
static void set_udp_check6(uint8_t *ip, uint32_t length)
{
	uint8_t *udp = ip + IPV6_LEN;
	uint32_t there = MIN(length, (uint32_t)(PACKET_WORDS_FRAME - ETH_LEN - IPV6_LEN));
	uint64_t sum = checksum_add(checksum_pseudo6(ip + IPV6_SRC, PROTO_UDP, length), udp, there);
	uint16_t check = (uint16_t)~checksum_fold(sum);

	check = check ? check : 0xffff;
	memcpy(udp + UDP_CHECK, &check, sizeof check);
}

/* RFC 2131, figure 1, with the options that the responder looks at. */
static void write_dhcp(const struct packet_words *p, uint8_t *message)
{
	static const uint8_t cookie[] = {99, 130, 83, 99};
	bool request = p->requested.family != IP_NONE;
	const uint8_t *r = p->requested.bytes;
	const uint8_t options[] = {
		53, 1, request ? 3 : 1, request ? 50 : 255, 4, r[0], r[1], r[2], r[3], 255};

	message[0] = 1; /* op: request */
	message[1] = 1; /* Ethernet */
	message[2] = 6;
	memcpy(message + 28, p->smac.bytes, 6);
	memcpy(message + 236, cookie, sizeof cookie);
	memcpy(message + 240, options, sizeof options);
}

static void write_arp(const struct packet_words *p, uint8_t *arp)
{
	static const uint8_t ethernet_ipv4[] = {0, 1, 8, 0, 6, 4};

	memcpy(arp, ethernet_ipv4, sizeof ethernet_ipv4);
	store16(arp + ARP_OP, ARP_REQUEST);
	memcpy(arp + ARP_SENDER_MAC, p->smac.bytes, 6);
	memcpy(arp + ARP_SENDER_IP, p->src.bytes, 4);
	memcpy(arp + ARP_TARGET_IP, p->dst.bytes, 4);
}

static uint32_t header_length(const struct packet_words *p)
{
	return p->dst.family == IP_V6 ? IPV6_LEN : IPV4_MIN;
}

uint32_t packet_words_least(const struct packet_words *p)
{
	return header_length(p) + transport_length(p);
}

uint32_t packet_words_build(const struct packet_words *p, uint8_t frame[static PACKET_WORDS_FRAME])
{
	bool v6 = p->dst.family == IP_V6;
	uint32_t header = header_length(p), least = packet_words_least(p);
	uint32_t length = MAX(p->length, least);

	memset(frame, 0, PACKET_WORDS_FRAME);
	memcpy(frame + ETH_DST, p->dmac.bytes, 6);
	memcpy(frame + ETH_SRC, p->smac.bytes, 6);
	store16(frame + ETH_TYPE, p->kind == PACKET_WORDS_ARP ? ETH_ARP : v6 ? ETH_IPV6 : ETH_IPV4);
	if (p->kind == PACKET_WORDS_ARP) {
		write_arp(p, frame + ETH_LEN);
		return ETH_LEN + ARP_LEN;
	}
	if (v6)
		write_ipv6(p, frame + ETH_LEN, length);
	else
		write_ipv4(p, frame + ETH_LEN, length);
	write_transport(p, frame + ETH_LEN + header, length - header);
	switch (p->kind) {
	case PACKET_WORDS_DHCP: write_dhcp(p, frame + ETH_LEN + header + UDP_LEN); break;
	case PACKET_WORDS_DHCP6:
		write_dhcp6(p, frame + ETH_LEN + header + UDP_LEN);
		set_udp_check6(frame + ETH_LEN, length - header);
		break;
	case PACKET_WORDS_ND:
	case PACKET_WORDS_RS: write_discovery(p, frame + ETH_LEN, least - header); break;
	case PACKET_WORDS_IP:
	case PACKET_WORDS_ARP: break;
	}
	return ETH_LEN + length;
}
