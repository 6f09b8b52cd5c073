/* The model NIC's own parser and actions. Where a header has its fields: RFC 791, 8200, 9293, 768, 7348, IEEE 802.1Q. */
#include "offload/fake_frame.h"

#include <netinet/in.h>
#include <string.h>

#define OUTER_LENGTH 50 /* Ethernet, IPv4, UDP, VXLAN */

static unsigned get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* ---- checksums: always whole, never by difference ---- */

static uint32_t sum(uint32_t before, const uint8_t *data, size_t length)
{
	uint64_t total = before;

	for (size_t i = 0; i < length; i++)
		total += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint32_t)total;
}

static void set_ip_checksum(uint8_t *ip)
{
	put16(ip + 10, 0);
	put16(ip + 10, 0xffff & ~sum(0, ip, (ip[0] & 15u) * 4u));
}

/* Of IPv4 alone: nothing that IPv6's covers is ever changed. */
static void set_transport_checksum(uint8_t *ip, uint8_t *l4, size_t length, uint8_t protocol)
{
	uint8_t pseudo[12] = {};
	uint8_t *field = l4 + (protocol == IPPROTO_TCP ? 16 : 6);

	if (protocol == IPPROTO_UDP && get16(field) == 0)
		return; /* it has none */
	memcpy(pseudo, ip + 12, 8);
	pseudo[9] = protocol;
	put16(pseudo + 10, (unsigned)length);
	put16(field, 0);
	unsigned check = 0xffff & ~sum(sum(0, pseudo, sizeof pseudo), l4, length);
	put16(field, protocol == IPPROTO_UDP && check == 0 ? 0xffff : check);
}

/* ---- parsing ---- */

static bool parse_ipv4(const uint8_t *bytes, struct fake_frame *f)
{
	const uint8_t *ip = bytes + f->l3;
	size_t room = f->end - f->l3, header = room < 20 ? 0 : (ip[0] & 15u) * 4u;

	if (header < 20 || ip[0] >> 4 != 4)
		return false;
	f->l3_length = get16(ip + 2);
	if (f->l3_length > room || f->l3_length < header || get16(ip + 6) & 0x3fff)
		return false; /* cut short, or a fragment */
	f->l4 = f->l3 + header;
	f->hops = ip[8];
	f->match.family = IP_V4;
	f->match.protocol = ip[9];
	memcpy(f->match.src, ip + 12, 4);
	memcpy(f->match.dst, ip + 16, 4);
	return true;
}

/* With an extension header, which is a protocol that no flow has, it matches none. */
static bool parse_ipv6(const uint8_t *bytes, struct fake_frame *f)
{
	const uint8_t *ip = bytes + f->l3;
	size_t room = f->end - f->l3;

	if (room < 40 || ip[0] >> 4 != 6)
		return false;
	f->l3_length = 40 + get16(ip + 4);
	if (f->l3_length > room)
		return false;
	f->l4 = f->l3 + 40;
	f->hops = ip[7];
	f->match.family = IP_V6;
	f->match.protocol = ip[6];
	memcpy(f->match.src, ip + 8, 16);
	memcpy(f->match.dst, ip + 24, 16);
	return true;
}

static bool parse_transport(const uint8_t *bytes, struct fake_frame *f)
{
	const uint8_t *l4 = bytes + f->l4;
	size_t room = f->l3 + f->l3_length - f->l4;
	bool tcp = f->match.protocol == IPPROTO_TCP;

	if (!tcp && f->match.protocol != IPPROTO_UDP)
		return f->match.protocol != IPPROTO_ICMP && f->match.protocol != IPPROTO_ICMPV6;
	if (room < (tcp ? 20u : 8u) || (tcp && l4[13] & 7)) /* FIN, SYN, RST */
		return false;
	memcpy(&f->match.sport, l4, 2);
	memcpy(&f->match.dport, l4 + 2, 2);
	return true;
}

/* From f->start on: Ethernet, perhaps one tag, IP. */
static bool parse_ethernet(const uint8_t *bytes, struct fake_frame *f)
{
	const uint8_t *eth = bytes + f->start;

	if (f->end - f->start < 14)
		return false;
	unsigned type = get16(eth + 12);
	f->l3 = f->start + 14;
	if (type == 0x8100) {
		if (f->end - f->start < 18)
			return false;
		f->match.vlan = get16(eth + 14) & 0xfff;
		if (f->match.vlan == OFFLOAD_VLAN_NONE)
			return false; /* a tag that tells priority alone */
		type = get16(eth + 16);
		f->l3 += 4;
	}
	f->match.has_dmac = f->match.has_smac = true;
	memcpy(f->match.dmac, eth, 6);
	memcpy(f->match.smac, eth + 6, 6);
	if (type == 0x0800)
		return parse_ipv4(bytes, f);
	return type == 0x86dd && parse_ipv6(bytes, f);
}

/* The frame within, when it is a VXLAN packet whose congestion nobody has to be told of. */
static bool open_tunnel(const uint8_t *bytes, struct fake_frame *f)
{
	const uint8_t *ip = bytes + f->l3, *udp = bytes + f->l4;
	size_t datagram = f->l3 + f->l3_length - f->l4;
	struct fake_frame inner = {};

	if (f->match.family != IP_V4 || f->match.protocol != IPPROTO_UDP || get16(udp + 2) != IP_VXLAN_PORT ||
		get16(udp + 4) > datagram || get16(udp + 4) < 16 + 14 || !(udp[8] & 8) || (ip[1] & 3) == 3)
		return false;
	inner.match.tunnel.used = true;
	inner.match.tunnel.vni = get16(udp + 12) << 8 | udp[14];
	memcpy(inner.match.tunnel.source, ip + 12, 4);
	memcpy(inner.match.tunnel.destination, ip + 16, 4);
	inner.start = f->l4 + 16;
	inner.end = f->l4 + get16(udp + 4);
	*f = inner;
	return true;
}

bool fake_frame_parse(const uint8_t *bytes, size_t length, bool tunnels, struct fake_frame *ret)
{
	*ret = (struct fake_frame){.end = length};
	if (!parse_ethernet(bytes, ret) || !parse_transport(bytes, ret))
		return false;
	return !tunnels || !open_tunnel(bytes, ret) ||
	       (parse_ethernet(bytes, ret) && parse_transport(bytes, ret));
}

bool fake_frame_fits(const struct fake_frame *frame, const struct offload_actions *actions)
{
	return frame->l3_length <= actions->mtu && (!actions->hop || frame->hops >= 2);
}

/* ---- actions ---- */

static void rewrite_ipv4(
	uint8_t *ip, uint8_t *l4, const struct fake_frame *f, const struct offload_actions *a)
{
	if (a->set_src)
		memcpy(ip + 12, a->new_src, 4);
	if (a->set_dst)
		memcpy(ip + 16, a->new_dst, 4);
	if (a->set_sport)
		memcpy(l4, &a->new_sport, 2);
	if (a->set_dport)
		memcpy(l4 + 2, &a->new_dport, 2);
	if (a->hop)
		ip[8]--;
	set_ip_checksum(ip);
	if ((a->set_src || a->set_dst || a->set_sport || a->set_dport) &&
		(f->match.protocol == IPPROTO_TCP || f->match.protocol == IPPROTO_UDP))
		set_transport_checksum(ip, l4, f->l3 + f->l3_length - f->l4, f->match.protocol);
}

static void push_vlan(GByteArray *frame, uint16_t vlan)
{
	uint8_t tag[4] = {0x81};

	put16(tag + 2, vlan);
	g_byte_array_set_size(frame, frame->len + 4);
	memmove(frame->data + 16, frame->data + 12, frame->len - 16);
	memcpy(frame->data + 12, tag, 4);
}

static void encapsulate(GByteArray *frame, const struct offload_actions *a)
{
	uint8_t outer[OUTER_LENGTH] = {};
	uint8_t *ip = outer + 14, *udp = ip + 20, *vxlan = udp + 8;
	unsigned inner = frame->len;

	memcpy(outer, a->outer_dmac, 6);
	memcpy(outer + 6, a->outer_smac, 6);
	put16(outer + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, inner + 36);
	put16(ip + 6, 0x4000); /* not to be fragmented */
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, a->tunnel.source, 4);
	memcpy(ip + 16, a->tunnel.destination, 4);
	set_ip_checksum(ip);
	put16(udp, 0xc000 | sum(0, frame->data, MIN(inner, 54))); /* some spread over paths */
	put16(udp + 2, IP_VXLAN_PORT);
	put16(udp + 4, inner + 16);
	vxlan[0] = 8;
	put16(vxlan + 4, a->tunnel.vni >> 8);
	vxlan[6] = (uint8_t)a->tunnel.vni;
	g_byte_array_prepend(frame, outer, sizeof outer);
}

GByteArray *fake_frame_execute(
	const uint8_t *bytes, const struct fake_frame *f, const struct offload_actions *actions)
{
	GByteArray *out = g_byte_array_new();
	size_t l3 = 14, l4 = l3 + (f->l4 - f->l3);

	/* Without tag and tunnel. */
	g_byte_array_append(out, bytes + f->start, 12);
	g_byte_array_append(out, bytes + f->l3 - 2, (guint)(f->end - f->l3 + 2));
	if (actions->set_macs) {
		memcpy(out->data, actions->dmac, 6);
		memcpy(out->data + 6, actions->smac, 6);
	}
	if (f->match.family == IP_V4)
		rewrite_ipv4(out->data + l3, out->data + l4, f, actions);
	else if (actions->hop)
		out->data[l3 + 7]--;
	if (actions->push_vlan != OFFLOAD_VLAN_NONE)
		push_vlan(out, actions->push_vlan);
	if (actions->tunnel.used)
		encapsulate(out, actions);
	return out;
}
