/* Frames → keys and offsets. Pure: reads bytes, trusts none of them.
 *
 * The parser accepts what it can read whole and refuses the rest with the reason: nothing later needs to
 * check a length again. What it guarantees to lie within the given bytes, for each kind:
 *
 *   PACKET_FLOW        The IP header, and what rewriting touches of the transport's: TCP 20, UDP 8, ICMP 8.
 *   PACKET_FRAGMENT    The IP header.
 *   PACKET_ICMP_ERROR  The IP header and 8 bytes of ICMP; the quotation is not looked at.
 *   PACKET_ARP         The whole message, which is of Ethernet and IPv4.
 *   PACKET_ND          The IP header and 8 bytes of ICMP.
 */
#pragma once
#include "switch/packet.h"
#include "switch/wire.h"

#include <stdint.h>

#define PARSE_CONTIGUOUS 256 /* bytes that are enough for any packet that is accepted */

/* data: the frame's first `available` bytes, which are all of it or PARSE_CONTIGUOUS at least; length: all of
 * the frame. Fills all of *ret. */
void parse_frame(const uint8_t *data, uint32_t available, uint32_t length, struct packet *ret);

/* The common packet, in line: TCP or UDP on IPv4, no options, not fragmented. What parse_frame would say of it
 * goes into *ret, but that key.nic and key.origin are the caller's. False: it is another kind, and *ret is as
 * it was. */
static inline __attribute__((always_inline)) bool parse_plain(const uint8_t *data, uint32_t available,
	uint32_t length, uint32_t nic, uint8_t origin, struct packet *ret)
{
	if (available < ETH_LEN + IPV4_MIN + UDP_LEN)
		return false;
	const uint8_t *ip = data + ETH_LEN, *l4 = ip + IPV4_MIN;
	if (load16(data + ETH_TYPE) != ETH_IPV4 || ip[0] != 0x45)
		return false;
	uint32_t total = load16(ip + IPV4_TOTAL), transport = total - IPV4_MIN;
	uint16_t fragment = load16(ip + IPV4_FRAGMENT);
	uint8_t protocol = ip[IPV4_PROTOCOL], tcp_flags = 0;
	if (total > length - ETH_LEN || total < IPV4_MIN + UDP_LEN || fragment & (IPV4_MF | IPV4_OFFSET))
		return false;
	if (protocol == PROTO_UDP) {
		uint32_t claimed = load16(l4 + UDP_LENGTH);
		if (claimed < UDP_LEN || claimed > transport)
			return false;
	} else {
		if (protocol != PROTO_TCP || transport < TCP_MIN || available < ETH_LEN + IPV4_MIN + TCP_MIN)
			return false;
		uint32_t header = (uint32_t)(l4[TCP_OFFSET] >> 4) * 4;
		if (header < TCP_MIN || header > transport)
			return false;
		tcp_flags = l4[TCP_FLAGS];
	}
	*ret = (struct packet){
		.key = {.nic = nic, .origin = origin, .family = IP_V4, .protocol = protocol},
		.kind = PACKET_FLOW,
		.flags = fragment & IPV4_DF ? PACKET_DF : 0,
		.tcp_flags = tcp_flags,
		.l3 = ETH_LEN,
		.l4 = ETH_LEN + IPV4_MIN,
		.l3_length = total,
		.fragment_id = load16(ip + IPV4_ID),
	};
	memcpy(ret->key.src, ip + IPV4_SRC, 4);
	memcpy(ret->key.dst, ip + IPV4_DST, 4);
	memcpy(&ret->key.sport, l4, 4);
	return true;
}

/* The packet that an ICMP error quotes: `data` starts at its IP header and is cut short as a rule. Returns 0
 * and the key (without nic and origin) and the transport header's offset, or -EBADMSG when it tells too
 * little. */
int parse_quoted(const uint8_t *data, uint32_t available, struct flow_key *ret_key, uint16_t *ret_l4);
