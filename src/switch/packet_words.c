/* Packets in words: the grammar is in packet_words.h. */
#include "switch/packet_words.h"

#include "base/fault.h"
#include "switch/flow_text.h"
#include "switch/wire.h"

#define LENGTH_MAX 65535
#define TTL        64

#define TCP_NO_FLAGS 0x100 /* "none" */

/* The words that are left. */
struct reader {
	char **words; /* Owned; ends with NULL */
	unsigned next;
	struct packet_words *packet;
	GError **error;
};

static const char *peek(const struct reader *r)
{
	return r->words[r->next];
}

/* Takes the next word, if it is this one. */
static bool take(struct reader *r, const char *word)
{
	if (!peek(r) || !g_str_equal(peek(r), word))
		return false;
	r->next++;
	return true;
}

/* The next word is not `wanted`; always false. */
static bool fail(struct reader *r, const char *wanted)
{
	if (peek(r))
		return fault_set(r->error, FAULT_INVALID, "packet: '%s' is not %s", peek(r), wanted);
	return fault_set(r->error, FAULT_INVALID, "packet: it ends where %s must stand", wanted);
}

static bool take_number(struct reader *r, uint64_t max, const char *what, uint64_t *ret)
{
	if (peek(r) && g_ascii_string_to_unsigned(peek(r), 10, 0, max, ret, NULL)) {
		r->next++;
		return true;
	}
	g_autofree char *wanted = g_strdup_printf("%s, a number up to %" G_GUINT64_FORMAT, what, max);
	return fail(r, wanted);
}

static bool take_address(struct reader *r, struct ip_addr *ret)
{
	if (ip_parse(peek(r), ret) < 0)
		return fail(r, "an IP address");
	r->next++;
	return true;
}

static bool take_mac(struct reader *r, struct mac_addr *ret, bool *ret_has)
{
	if (!peek(r) || mac_parse(peek(r), ret) < 0)
		return fail(r, "a MAC address");
	*ret_has = true;
	r->next++;
	return true;
}

/* "192.168.1.4:1234", "[fd00::4]:1234" */
static bool parse_end(const char *text, struct ip_addr *ret_addr, uint16_t *ret_port)
{
	const char *colon = text ? strrchr(text, ':') : NULL;
	uint64_t port;

	if (!colon || !g_ascii_string_to_unsigned(colon + 1, 10, 0, UINT16_MAX, &port, NULL))
		return false;
	g_autofree char *addr = g_strndup(text, (size_t)(colon - text));
	size_t length = strlen(addr);
	bool bracketed = length > 2 && addr[0] == '[' && addr[length - 1] == ']';
	if (bracketed) {
		addr[length - 1] = '\0';
		memmove(addr, addr + 1, length - 1);
	}
	*ret_port = (uint16_t)port;
	return ip_parse(addr, ret_addr) == 0 && (ret_addr->family == IP_V6) == bracketed;
}

static bool take_end(struct reader *r, bool ports, struct ip_addr *ret_addr, uint16_t *ret_port)
{
	if (!ports)
		return take_address(r, ret_addr);
	if (!parse_end(peek(r), ret_addr, ret_port))
		return fail(r, "an address and a port from 0 to 65535, as 192.168.1.4:80 or [fd00::4]:80");
	r->next++;
	return true;
}

static bool take_ends(struct reader *r, bool ports)
{
	struct packet_words *p = r->packet;

	if (!take_end(r, ports, &p->src, &p->sport))
		return false;
	if (!take(r, ">"))
		return fail(r, "'>'");
	if (!take_end(r, ports, &p->dst, &p->dport))
		return false;
	if (p->src.family != p->dst.family)
		return fault_set(r->error, FAULT_INVALID,
			"packet: one address is IPv4, the other IPv6; they must be of one family");
	return true;
}

/* ---- what ---- */

static const struct {
	const char *word;
	unsigned flag;
} tcp_flags[] = {{"syn", TCP_SYN}, {"ack", TCP_ACK}, {"fin", TCP_FIN}, {"rst", TCP_RST}, {"psh", TCP_PSH},
	{"urg", TCP_URG}, {"none", TCP_NO_FLAGS}};

static unsigned tcp_flag(const char *word)
{
	for (size_t i = 0; i < G_N_ELEMENTS(tcp_flags); i++)
		if (g_str_equal(tcp_flags[i].word, word))
			return tcp_flags[i].flag;
	return 0;
}

/* A word of flags: "syn" or "syn,ack". Their sum, or 0. */
static unsigned tcp_flag_list(const char *word)
{
	g_auto(GStrv) parts = g_strsplit(word, ",", -1);
	unsigned all = 0;

	for (char **part = parts; *part; part++) {
		unsigned flag = tcp_flag(*part);
		if (!flag)
			return 0;
		all |= flag;
	}
	return all;
}

static bool read_tcp(struct reader *r)
{
	unsigned all = 0, more;

	if (!take_ends(r, true))
		return false;
	while (peek(r) && (more = tcp_flag_list(peek(r))) != 0) {
		all |= more;
		if (all & TCP_NO_FLAGS && all != TCP_NO_FLAGS)
			return fault_set(r->error, FAULT_INVALID,
				"packet: 'none' says that it has no flags; leave it or the flags out");
		r->next++;
	}
	r->packet->tcp_flags = (uint8_t)(all ? all & 0xff : TCP_SYN);
	return true;
}

static bool read_udp(struct reader *r)
{
	return take_ends(r, true);
}

static bool read_icmp_type(struct reader *r, bool v6, uint64_t *ret)
{
	*ret = v6 ? ICMPV6_TYPE_ECHO : ICMP_TYPE_ECHO;
	if (take(r, "echo"))
		return true;
	if (take(r, "type"))
		return take_number(r, UINT8_MAX, "an ICMP type", ret);
	if (take(r, "echo-reply"))
		*ret = v6 ? ICMPV6_TYPE_ECHO_REPLY : ICMP_TYPE_ECHO_REPLY;
	return true;
}

static bool read_icmp(struct reader *r)
{
	struct packet_words *p = r->packet;
	uint64_t type, code = 0, id = 0;

	if (!take_ends(r, false))
		return false;
	bool v6 = p->src.family == IP_V6;
	p->protocol = v6 ? PROTO_ICMPV6 : PROTO_ICMP;
	if (!read_icmp_type(r, v6, &type) ||
		(take(r, "code") && !take_number(r, UINT8_MAX, "an ICMP code", &code)) ||
		(take(r, "id") && !take_number(r, UINT16_MAX, "an identifier", &id)))
		return false;
	p->icmp_type = (uint8_t)type;
	p->icmp_code = (uint8_t)code;
	p->icmp_id = (uint16_t)id;
	return true;
}

static bool read_plain(struct reader *r)
{
	return take_ends(r, false);
}

static bool read_proto(struct reader *r)
{
	uint64_t number;

	if (!take_number(r, UINT8_MAX, "a protocol", &number))
		return false;
	if (number == PROTO_TCP || number == PROTO_UDP || number == PROTO_ICMP || number == PROTO_ICMPV6)
		return fault_set(r->error, FAULT_INVALID,
			"packet: protocol %d has a word of its own, with ports or types: %s", (int)number,
			flow_protocol_word((uint8_t)number));
	r->packet->protocol = (uint8_t)number;
	return take_ends(r, false);
}

static bool read_arp(struct reader *r)
{
	struct packet_words *p = r->packet;

	p->kind = PACKET_WORDS_ARP;
	if (!take(r, "who-has"))
		return fail(r, "'who-has', as in: arp who-has 192.168.1.1 tell 192.168.1.4");
	if (!take_address(r, &p->dst))
		return false;
	if (!take(r, "tell"))
		return fail(r, "'tell'");
	if (!take_address(r, &p->src))
		return false;
	if (p->src.family != IP_V4 || p->dst.family != IP_V4)
		return fault_set(r->error, FAULT_INVALID, "packet: ARP is for IPv4 addresses");
	return true;
}

static bool read_dhcp(struct reader *r)
{
	struct packet_words *p = r->packet;

	p->kind = PACKET_WORDS_DHCP;
	p->src = (struct ip_addr){.family = IP_V4};
	p->dst = (struct ip_addr){.family = IP_V4, .bytes = {255, 255, 255, 255}};
	p->protocol = PROTO_UDP;
	p->sport = DHCP_CLIENT_PORT;
	p->dport = DHCP_SERVER_PORT;
	if (!take(r, "request")) {
		take(r, "discover");
		return true;
	}
	if (!take_address(r, &p->requested))
		return false;
	if (p->requested.family != IP_V4)
		return fault_set(r->error, FAULT_INVALID, "packet: DHCP is for IPv4 addresses");
	return true;
}

#define HOPS_ON_LINK 255 /* of neighbour discovery, RFC 4861 */

static bool read_nd(struct reader *r)
{
	struct packet_words *p = r->packet;

	p->kind = PACKET_WORDS_ND;
	p->ttl = HOPS_ON_LINK;
	if (!take(r, "who-has"))
		return fail(r, "'who-has', as in: nd who-has fd00::1");
	if (!take_address(r, &p->dst) || (take(r, "tell") && !take_address(r, &p->src)))
		return false;
	if (p->dst.family != IP_V6 || p->src.family == IP_V4)
		return fault_set(r->error, FAULT_INVALID,
			"packet: neighbour discovery is for IPv6 addresses; for IPv4 it is ARP");
	return true;
}

static bool read_rs(struct reader *r)
{
	r->packet->kind = PACKET_WORDS_RS;
	r->packet->ttl = HOPS_ON_LINK;
	r->packet->dst = (struct ip_addr){.family = IP_V6, .bytes = {0xff, 2, [15] = 2}};
	return true;
}

static bool read_dhcp6(struct reader *r)
{
	struct packet_words *p = r->packet;

	p->kind = PACKET_WORDS_DHCP6;
	p->dst = (struct ip_addr){.family = IP_V6, .bytes = {0xff, 2, [13] = 1, [15] = 2}};
	p->sport = DHCP6_CLIENT_PORT;
	p->dport = DHCP6_SERVER_PORT;
	if (!take(r, "request")) {
		take(r, "solicit");
		return true;
	}
	if (!take_address(r, &p->requested))
		return false;
	if (p->requested.family != IP_V6)
		return fault_set(r->error, FAULT_INVALID, "packet: DHCPv6 is for IPv6 addresses");
	return true;
}

static const struct {
	const char *word;
	uint8_t protocol;
	bool (*read)(struct reader *r);
} whats[] = {
	{"tcp", PROTO_TCP, read_tcp},
	{"udp", PROTO_UDP, read_udp},
	{"icmp", PROTO_ICMP, read_icmp},
	{"esp", PROTO_ESP, read_plain},
	{"ah", PROTO_AH, read_plain},
	{"proto", 0, read_proto},
	{"arp", 0, read_arp},
	{"dhcp", PROTO_UDP, read_dhcp},
	{"nd", PROTO_ICMPV6, read_nd},
	{"rs", PROTO_ICMPV6, read_rs},
	{"dhcp6", PROTO_UDP, read_dhcp6},
};

static bool read_what(struct reader *r)
{
	for (size_t i = 0; i < G_N_ELEMENTS(whats); i++) {
		if (take(r, whats[i].word)) {
			r->packet->protocol = whats[i].protocol;
			return whats[i].read(r);
		}
	}
	return fail(r, "one of tcp, udp, icmp, esp, ah, proto, arp, dhcp, nd, rs, dhcp6");
}

/* ---- options ---- */

static bool read_option(struct reader *r)
{
	struct packet_words *p = r->packet;
	uint64_t number;

	if (take(r, "smac"))
		return take_mac(r, &p->smac, &p->has_smac);
	if (take(r, "dmac"))
		return take_mac(r, &p->dmac, &p->has_dmac);
	if (take(r, "df"))
		return p->df = true;
	if (take(r, "ttl")) {
		if (!take_number(r, UINT8_MAX, "a time to live", &number))
			return false;
		p->ttl = (uint8_t)number;
		return true;
	}
	if (take(r, "length")) {
		if (!take_number(r, LENGTH_MAX, "the IP packet's length", &number))
			return false;
		p->length = (uint32_t)number;
		return number >= packet_words_least(p) ||
		       fault_set(r->error, FAULT_INVALID,
			       "packet: length %u is less than its headers have, %u bytes", p->length,
			       packet_words_least(p));
	}
	return fail(r, r->packet->protocol == PROTO_TCP
			       ? "a flag (syn, ack, fin, rst, psh, urg, none; in small letters) or an option "
				 "(smac, dmac, ttl, length, df)"
			       : "an option: smac, dmac, ttl, length, df");
}

static char **split(const char *text)
{
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	g_auto(GStrv) parts = g_strsplit_set(text, " \t\n", -1);

	for (char **part = parts; *part; part++)
		if (**part)
			g_strv_builder_add(builder, *part);
	return g_strv_builder_end(builder);
}

bool packet_words_parse(const char *text, struct packet_words *ret, GError **error)
{
	g_auto(GStrv) words = split(text);
	struct packet_words packet = {.ttl = TTL};
	struct reader r = {.words = words, .packet = &packet, .error = error};

	packet.inwards = take(&r, "in");
	if (!packet.inwards && !take(&r, "out"))
		return fail(&r, "a direction: out (the NIC sends the packet) or in (it is sent to the NIC)");
	if (!read_what(&r))
		return false;
	while (peek(&r))
		if (!read_option(&r))
			return false;
	*ret = packet;
	return true;
}
