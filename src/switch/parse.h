/* Frames → keys and offsets. Pure: reads bytes, trusts none of them.
 *
 * The parser accepts what it can read whole and refuses the rest with the reason: nothing later needs to
 * check a length again. What it guarantees to lie within the given bytes, for each kind:
 *
 *   PACKET_FLOW        The IP header, and what rewriting touches of the transport's: TCP 20, UDP 8, ICMP 8.
 *   PACKET_FRAGMENT    The IP header.
 *   PACKET_ICMP_ERROR  The IP header and 8 bytes of ICMP; the quotation is not looked at.
 *   PACKET_ARP         The whole message, which is of Ethernet and IPv4.
 */
#pragma once
#include "switch/packet.h"

#include <stdint.h>

#define PARSE_CONTIGUOUS 256 /* bytes that are enough for any packet that is accepted */

/* data: the frame's first `available` bytes, which are all of it or PARSE_CONTIGUOUS at least; length: all of
 * the frame. Fills all of *ret. */
void parse_frame(const uint8_t *data, uint32_t available, uint32_t length, struct packet *ret);

/* The packet that an ICMP error quotes: `data` starts at its IP header and is cut short as a rule. Returns 0
 * and the key (without nic and origin) and the transport header's offset, or -EBADMSG when it tells too
 * little. */
int parse_quoted(const uint8_t *data, uint32_t available, struct flow_key *ret_key, uint16_t *ret_l4);
