/* What a sender left to its device: checksums, and the cutting of TCP into segments.
 *
 * How it works. A frame is complete, or it is open, and its mbuf says so in DPDK's words for what a device that sends
 * has to do:
 *
 *   ol_flags    RTE_MBUF_F_TX_TCP_CKSUM or _UDP_CKSUM: the transport's checksum is not made yet. With it _TCP_SEG: the
 *               frame is several TCP segments in one. With either _IPV4 or _IPV6.
 *   tso_segsz   bytes of payload in each segment but the last.
 *   l2_len, l3_len, l4_len    lengths of the headers.
 *
 * Ports say what a sender claims in the words for what was received: RTE_MBUF_F_RX_L4_CKSUM_NONE,
 * RTE_MBUF_F_RX_LRO with tso_segsz, and in l3_len where the checksum starts, 0 where nobody said. A guest may
 * claim anything: segmentation_accept holds it against what the parser read, and is the only one who opens a frame.
 *
 * What an open frame has in its checksum field has no meaning. Who sends the frame writes it anew, from the headers as
 * they are then: translation of addresses need not know, and what a sender wrote there does no harm. At output each
 * port gets what it takes (port.h): the frame as it is, or complete; before a tunnel it is always completed.
 *
 * A frame that is sent by several ports is a copy for each, as they may complete it.
 */
#pragma once
#include "switch/packet.h"

#include <rte_mbuf.h>

#define SEGMENTATION_OPEN (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG)

/* Payload of a segment: no less than Linux ever makes of it (tcp_min_snd_mss), so that 64 KB do not become 64
 * Ki frames. */
#define SEGMENTATION_SEGMENT_MIN 48
/* A frame around the longest packet that an IP header can tell of, with a tag. */
#define SEGMENTATION_FRAME_MAX (14 + 4 + 40 + 65535)

/* As received: whether its sender claims to have left something to do. */
static inline bool segmentation_is_claimed(const struct rte_mbuf *packet)
{
	return packet->ol_flags & RTE_MBUF_F_RX_LRO ||
	       (packet->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE;
}

/* Opens a frame that was received, as far as its claim is right: DROP_NONE, or why it is none that can be.
 * stripped: bytes that were before the frame when the claim was made. */
enum drop segmentation_accept(struct rte_mbuf *packet, const struct packet *parsed, uint32_t stripped);

static inline bool segmentation_is_open(const struct rte_mbuf *packet)
{
	return packet->ol_flags & SEGMENTATION_OPEN;
}

/* Several TCP segments in one. */
static inline bool segmentation_is_needed(const struct rte_mbuf *packet)
{
	return packet->ol_flags & RTE_MBUF_F_TX_TCP_SEG;
}

/* It was turned into another packet, which is complete. */
static inline void segmentation_clear(struct rte_mbuf *packet)
{
	packet->ol_flags &= ~(SEGMENTATION_OPEN | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6);
	packet->tx_offload = 0;
}

/* Whether a port that takes `takes` (PORT_TAKES_CHECKSUM ..) takes the open frame as it is. */
bool segmentation_is_taken(const struct rte_mbuf *packet, uint32_t takes);

/* Makes the segments small enough for the MTU. False when it leaves too little room for payload. */
bool segmentation_shorten(struct rte_mbuf *packet, uint16_t mtu);
/* Bytes of the longest IP packet that it will be. */
static inline uint32_t segmentation_packet_length(const struct rte_mbuf *packet)
{
	return (uint32_t)packet->l3_len + packet->l4_len + packet->tso_segsz;
}

/* Makes the checksum of an open frame, which is one segment. It is complete then. */
void segmentation_complete(struct rte_mbuf *packet);
/* Writes the pseudo header's sum, from which the receiver of an open frame goes on (virtio 1.1, 5.1.6.2). */
void segmentation_start_checksum(struct rte_mbuf *packet);
