/* VXLAN headers: see vxlan.h. */
#include "switch/vxlan.h"

#define FLAG_VNI 0x08 /* the VNI is valid; the other bits are ignored on receipt */
#define TTL      64

/* The two bits of ECN (RFC 3168): in an IPv4 header's second byte; in IPv6's, four bits higher. */
#define ECN_CE 0x03

void vxlan_outer_init(struct vxlan_outer *outer, const uint8_t mac[6], const uint8_t address[4])
{
	uint8_t *frame = outer->bytes, *ip = frame + ETH_LEN, *udp = ip + IPV4_MIN;

	*outer = (struct vxlan_outer){};
	memcpy(frame + ETH_SRC, mac, 6);
	store16(frame + ETH_TYPE, ETH_IPV4);
	ip[0] = 0x45;
	store16(ip + IPV4_FRAGMENT, IPV4_DF);
	ip[IPV4_TTL] = TTL;
	ip[IPV4_PROTOCOL] = PROTO_UDP;
	memcpy(ip + IPV4_SRC, address, 4);
	store16(udp + UDP_DST, IP_VXLAN_PORT);
	udp[UDP_LEN] = FLAG_VNI;
	outer->sum = checksum_fold(checksum_add(0, ip, IPV4_MIN));
}

/* The IPv4 header, whole and for us. */
static enum drop check_ip(const uint8_t *ip, uint32_t available, uint32_t left, const uint8_t address[4])
{
	uint32_t header = (uint32_t)(ip[0] & 0xf) * 4, total = load16(ip + IPV4_TOTAL);

	if (ip[0] >> 4 != 4 || header < IPV4_MIN || total < header)
		return DROP_MALFORMED;
	if (total > left || header > available)
		return DROP_TRUNCATED;
	if (memcmp(ip + IPV4_DST, address, 4) != 0 || ip[IPV4_PROTOCOL] != PROTO_UDP)
		return DROP_NOT_OURS;
	if (checksum_of(ip, header) != 0)
		return DROP_CHECKSUM;
	/* Section 4.3: a VTEP may discard fragments; what sends them does not know the underlay's MTU. */
	if (load16(ip + IPV4_FRAGMENT) & (IPV4_MF | IPV4_OFFSET))
		return DROP_TUNNEL_FRAGMENT;
	return DROP_NONE;
}

enum drop vxlan_open(const uint8_t *data, uint32_t available, uint32_t length, const uint8_t mac[6],
	const uint8_t address[4], struct vxlan_inner *ret)
{
	const uint8_t *ip = data + ETH_LEN;

	if (available < ETH_LEN)
		return DROP_TRUNCATED;
	if (load16(data + ETH_TYPE) != ETH_IPV4)
		return DROP_ETHERTYPE;
	if (available < VXLAN_OVERHEAD)
		return DROP_TRUNCATED;
	if (memcmp(data + ETH_DST, mac, 6) != 0)
		return DROP_NOT_OURS;
	enum drop bad = check_ip(ip, available - ETH_LEN, length - ETH_LEN, address);
	if (bad != DROP_NONE)
		return bad;

	uint32_t header = (uint32_t)(ip[0] & 0xf) * 4, left = load16(ip + IPV4_TOTAL) - header;
	const uint8_t *udp = ip + header, *vxlan = udp + UDP_LEN;
	ret->offset = ETH_LEN + header + UDP_LEN + VXLAN_LEN;
	if (left < UDP_LEN || available < ETH_LEN + header + UDP_LEN)
		return DROP_TRUNCATED;
	if (load16(udp + UDP_DST) != IP_VXLAN_PORT)
		return DROP_NOT_OURS;
	uint32_t datagram = load16(udp + UDP_LENGTH);
	if (datagram > left || datagram < UDP_LEN)
		return DROP_MALFORMED;
	if (datagram < UDP_LEN + VXLAN_LEN + ETH_LEN || available < ret->offset + ETH_LEN)
		return DROP_TRUNCATED;
	if (!(vxlan[0] & FLAG_VNI))
		return DROP_MALFORMED;
	ret->vni = load32(vxlan + 4) >> 8;
	memcpy(ret->vtep, ip + IPV4_SRC, 4);
	ret->congested = (ip[1] & ECN_CE) == ECN_CE;
	ret->length = datagram - UDP_LEN - VXLAN_LEN;
	return DROP_NONE;
}

bool vxlan_mark_congested(uint8_t *ip, bool is_ipv6)
{
	unsigned shift = is_ipv6 ? 4 : 0;
	uint8_t before[2] = {ip[0], ip[1]};

	if (!(ip[1] >> shift & ECN_CE))
		return false;
	ip[1] |= (uint8_t)(ECN_CE << shift);
	if (!is_ipv6)
		checksum_fix(ip + IPV4_CHECK, checksum_fold(checksum_difference(0, before, ip, 2)));
	return true;
}
