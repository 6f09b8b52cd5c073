/* What the parser found in one frame. */
#pragma once
#include "switch/drop.h"
#include "switch/flow.h"
#include "switch/wire.h"

enum packet_kind {
	PACKET_DROP, /* `drop` says why */
	PACKET_FLOW, /* has a whole key but for nic and origin */
	PACKET_FRAGMENT, /* a later fragment: the key lacks its ports */
	PACKET_ICMP_ERROR, /* concerns the connection that it quotes */
	PACKET_ARP,
	PACKET_RARP, /* QEMU, for a guest that has come from another host: its MAC is here */
	PACKET_ND, /* of neighbour discovery */
};

enum {
	PACKET_FRAGMENT_FIRST = 1 << 0, /* the first fragment of several */
	PACKET_OPTIONS = 1 << 1, /* IPv4 options or IPv6 extension headers are present */
	PACKET_DF = 1 << 2, /* must not be fragmented */
	/* By a physical network, and not for the switch's gateway: the network brings it itself to whoever of it the
	 * frame is for, functions past the host among them. So it does not go there again. */
	PACKET_ON_WIRE = 1 << 3,
	PACKET_BY_FUNCTION = 1 << 4, /* by a physical network, from its NIC's function there */
};

struct packet {
	struct flow_key key;
	uint8_t kind; /* enum packet_kind */
	uint8_t drop; /* enum drop */
	uint8_t flags;
	uint8_t tcp_flags;
	uint16_t l3, l4; /* offsets of the IP and the transport header */
	uint32_t l3_length; /* of the IP packet or ARP's message; what follows in the frame is padding */
	uint32_t fragment_id;
	union {
		uint8_t vtep[4]; /* FLOW_FROM_TUNNEL: that sent it */
		uint32_t segment; /* FLOW_FROM_PHYSICAL: that it came in */
	};
};

/* Of the frame, without what was behind the packet beyond Ethernet's shortest frame. */
static inline uint32_t packet_frame_length(const struct packet *packet)
{
	uint32_t end = packet->l3 + packet->l3_length;

	return end < ETH_FRAME_MIN ? ETH_FRAME_MIN : end;
}
