/* Fields of packets: unaligned loads and stores in network order, and the few numbers that standards fix.
 *
 * Headers are read by offset rather than through structs, so that no alignment is assumed and each access
 * shows the offset that the RFC's drawing has.
 */
#pragma once
#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t load16(const void *at)
{
	uint16_t v;

	memcpy(&v, at, sizeof v);
	return be16toh(v);
}

static inline uint32_t load32(const void *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof v);
	return be32toh(v);
}

static inline void store16(void *at, uint16_t v)
{
	v = htobe16(v);
	memcpy(at, &v, sizeof v);
}

static inline void store32(void *at, uint32_t v)
{
	v = htobe32(v);
	memcpy(at, &v, sizeof v);
}

enum {
	ETH_LEN = 14, /* two MACs, one type; IEEE 802.3 */
	ETH_FRAME_MIN = 60, /* what is shorter is padded to it; without the checksum */
	ETH_DST = 0,
	ETH_SRC = 6,
	ETH_TYPE = 12,

	ETH_IPV4 = 0x0800,
	ETH_ARP = 0x0806,
	ETH_RARP = 0x8035,
	ETH_VLAN = 0x8100,
	ETH_QINQ = 0x88a8,
	ETH_IPV6 = 0x86dd,

	IPV4_MIN = 20, /* RFC 791 */
	IPV4_TOTAL = 2,
	IPV4_ID = 4,
	IPV4_FRAGMENT = 6,
	IPV4_TTL = 8,
	IPV4_PROTOCOL = 9,
	IPV4_CHECK = 10,
	IPV4_SRC = 12,
	IPV4_DST = 16,

	IPV4_DF = 0x4000,
	IPV4_MF = 0x2000,
	IPV4_OFFSET = 0x1fff,

	IPV6_LEN = 40, /* RFC 8200 */
	IPV6_PAYLOAD = 4,
	IPV6_NEXT = 6,
	IPV6_HOPS = 7,
	IPV6_SRC = 8,
	IPV6_DST = 24,
	IPV6_MTU_MIN = 1280,

	PROTO_HOPOPTS = 0,
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_ESP = 50,
	PROTO_AH = 51,
	PROTO_ICMPV6 = 58,
	PROTO_DSTOPTS = 60,

	PORT_SRC = 0, /* of TCP and UDP */
	PORT_DST = 2,

	TCP_MIN = 20, /* RFC 9293 */
	TCP_SEQUENCE = 4,
	TCP_ACKNOWLEDGED = 8,
	TCP_OFFSET = 12,
	TCP_FLAGS = 13,
	TCP_CHECK = 16,
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_URG = 0x20,
	TCP_CWR = 0x80,

	UDP_LEN = 8, /* RFC 768 */
	UDP_DST = 2,
	UDP_LENGTH = 4,
	UDP_CHECK = 6,

	ICMP_MIN = 8, /* RFC 792 */
	ICMP_CHECK = 2,
	ICMP_REST = 4,
	ICMP_TYPE_ECHO_REPLY = 0,
	ICMP_TYPE_UNREACHABLE = 3,
	ICMP_TYPE_ECHO = 8,
	ICMP_TYPE_TIME_EXCEEDED = 11,
	ICMP_TYPE_PARAMETER = 12,
	ICMP_TYPE_TIMESTAMP = 13,
	ICMP_TYPE_TIMESTAMP_REPLY = 14,

	ICMPV6_TYPE_UNREACHABLE = 1, /* RFC 4443 */
	ICMPV6_TYPE_TOO_BIG = 2,
	ICMPV6_TYPE_TIME_EXCEEDED = 3,
	ICMPV6_TYPE_PARAMETER = 4,
	ICMPV6_TYPE_ECHO = 128,
	ICMPV6_TYPE_ECHO_REPLY = 129,
	ICMPV6_TYPE_MLD_QUERY = 130, /* RFC 2710 */
	ICMPV6_TYPE_MLD_REPORT = 131,
	ICMPV6_TYPE_MLD_DONE = 132,
	ICMPV6_TYPE_MLD2_REPORT = 143, /* RFC 3810 */
	ICMPV6_TYPE_ROUTER_SOLICITATION = 133, /* RFC 4861 */
	ICMPV6_TYPE_ROUTER_ADVERTISEMENT = 134,
	ICMPV6_TYPE_NEIGHBOUR_SOLICITATION = 135,
	ICMPV6_TYPE_NEIGHBOUR_ADVERTISEMENT = 136,
	ICMPV6_TYPE_REDIRECT = 137,

	ARP_LEN = 28, /* RFC 826, Ethernet and IPv4 */
	ARP_OP = 6,
	ARP_SENDER_MAC = 8,
	ARP_SENDER_IP = 14,
	ARP_TARGET_MAC = 18,
	ARP_TARGET_IP = 24,
	ARP_REQUEST = 1,
	ARP_REPLY = 2,
	RARP_REQUEST = 3, /* RFC 903 */

	DHCP_SERVER_PORT = 67,
	DHCP_CLIENT_PORT = 68,
	DHCP6_CLIENT_PORT = 546,
	DHCP6_SERVER_PORT = 547,
};
