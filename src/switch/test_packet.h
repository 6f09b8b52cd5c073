/* Packets by their fields, and fields → bytes: written from scratch, each checksum summed over what it covers.
 * None of the switch's own code has a part in it. */
#pragma once
#include "base/ip.h"
#include "switch/test_frame.h"

#include <netinet/in.h>

/* What a packet is made of. Two packets of equal fields are equal byte by byte. */
struct test_packet {
	struct mac_addr from, to;
	struct ip_addr source, destination;
	uint8_t protocol; /* as on the wire: ICMPv6 is 58 */
	uint8_t hops; /* time to live */
	uint8_t service; /* type of service, traffic class */
	uint16_t id; /* of fragments */
	bool df;
	uint8_t options; /* IPv4: words of NOP options, 0..10 */
	uint16_t source_port, destination_port; /* TCP and UDP */
	uint8_t tcp_flags;
	uint32_t sequence, acknowledged;
	uint8_t icmp_type;
	uint16_t icmp_id;
	bool no_checksum; /* UDP over IPv4: it has none */
	uint16_t payload; /* bytes after the transport header */
	uint8_t fill; /* the first of them */
	uint8_t padding; /* bytes after the packet */
	/* A part of the packet: what lies before (or, `later`, from) that byte of the IP payload, a multiple of 8. 0:
	 * all of it. */
	uint16_t cut;
	bool later;
};

static inline bool test_packet_is_icmp(const struct test_packet *packet)
{
	return packet->protocol == IPPROTO_ICMP || packet->protocol == IPPROTO_ICMPV6;
}

struct test_frame test_packet_write(const struct test_packet *packet);

/* The ICMP error of the switch about a packet that came as `about`. */
struct test_icmp_error {
	struct mac_addr from, to;
	struct ip_addr source, destination;
	uint8_t type, code;
	struct test_packet about;
};

struct test_frame test_icmp_error_write(const struct test_icmp_error *error);

/* One line, for people; g_free it. */
char *test_packet_text(const struct test_packet *packet);
