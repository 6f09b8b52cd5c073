/* Open frames: see segmentation.h. */
#include "switch/segmentation.h"

#include "switch/checksum.h"
#include "switch/port.h"
#include "switch/wire.h"

#include <rte_ip.h>

#define L3_LEN_MAX ((1u << RTE_MBUF_L3_LEN_BITS) - 1)

/* ---- claims ---- */

static uint32_t tcp_header(const struct rte_mbuf *packet, const struct packet *parsed)
{
	return (uint32_t)(*rte_pktmbuf_mtod_offset(packet, const uint8_t *, parsed->l4 + TCP_OFFSET) >> 4) *
	       4;
}

/* The claim that the frame is several segments. */
static enum drop accept_segments(struct rte_mbuf *packet, const struct packet *parsed, uint16_t segment)
{
	if (parsed->key.protocol != PROTO_TCP || segment < SEGMENTATION_SEGMENT_MIN ||
		parsed->tcp_flags & (TCP_SYN | TCP_RST))
		return DROP_BAD_OFFLOAD;
	uint32_t header = tcp_header(packet, parsed), before = (uint32_t)parsed->l4 - parsed->l3 + header;
	if (before > parsed->l3_length || parsed->l3 + before > packet->data_len)
		return DROP_BAD_OFFLOAD;
	/* Each segment gets a header of its own, whose checksum would be right whatever this one's is. */
	if (parsed->key.family == IP_V4 &&
		checksum_of(rte_pktmbuf_mtod_offset(packet, const uint8_t *, parsed->l3),
			(size_t)(parsed->l4 - parsed->l3)) != 0)
		return DROP_CHECKSUM;
	if (parsed->l3_length - before <= segment)
		return DROP_NONE; /* it is one */
	packet->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	packet->tso_segsz = segment;
	return DROP_NONE;
}

enum drop segmentation_accept(struct rte_mbuf *packet, const struct packet *parsed, uint32_t stripped)
{
	bool merged = packet->ol_flags & RTE_MBUF_F_RX_LRO;
	uint32_t start = packet->l3_len;
	uint16_t segment = packet->tso_segsz;
	uint8_t protocol = parsed->key.protocol;

	packet->ol_flags &= ~(RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_MASK);
	packet->tx_offload = 0;
	if (parsed->kind == PACKET_DROP)
		return DROP_NONE;
	/* Of what else there is, nothing can have been left open: who received it has completed it. */
	if (parsed->kind != PACKET_FLOW || parsed->flags & PACKET_FRAGMENT_FIRST ||
		(protocol != PROTO_TCP && protocol != PROTO_UDP))
		return merged ? DROP_BAD_OFFLOAD : DROP_NONE;
	if (start && start != parsed->l4 + stripped)
		return DROP_BAD_OFFLOAD;
	/* The mbuf has nine bits for what is cut by later; nobody's headers are that long in good faith. */
	if ((uint32_t)(parsed->l4 - parsed->l3) > L3_LEN_MAX)
		return DROP_BAD_OFFLOAD;
	packet->l2_len = parsed->l3;
	packet->l3_len = (uint16_t)(parsed->l4 - parsed->l3);
	packet->l4_len = protocol == PROTO_TCP ? tcp_header(packet, parsed) : UDP_LEN;
	packet->ol_flags |= parsed->key.family == IP_V4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
	packet->ol_flags |= protocol == PROTO_TCP ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
	return merged ? accept_segments(packet, parsed, segment) : DROP_NONE;
}

/* ---- open frames ---- */

bool segmentation_is_taken(const struct rte_mbuf *packet, uint32_t takes)
{
	const uint8_t *tcp =
		rte_pktmbuf_mtod_offset(packet, const uint8_t *, packet->l2_len + packet->l3_len);
	uint32_t needs = PORT_TAKES_CHECKSUM;

	if (packet->pkt_len > UINT16_MAX)
		return false; /* with its Ethernet header it is more than Linux lets any device have */
	if (segmentation_is_needed(packet)) {
		needs |= packet->ol_flags & RTE_MBUF_F_TX_IPV6 ? PORT_TAKES_TSO6 : PORT_TAKES_TSO4;
		needs |= tcp[TCP_FLAGS] & TCP_CWR ? PORT_TAKES_CWR : 0;
	}
	return (takes & needs) == needs;
}

bool segmentation_shorten(struct rte_mbuf *packet, uint16_t mtu)
{
	uint32_t headers = (uint32_t)packet->l3_len + packet->l4_len;

	if (mtu < headers + SEGMENTATION_SEGMENT_MIN)
		return false;
	packet->tso_segsz = (uint16_t)(mtu - headers);
	return true;
}

/* Sum of the pseudo header; *ret_length: what the checksum covers. */
static uint64_t pseudo_sum(const struct rte_mbuf *packet, uint32_t *ret_length)
{
	const uint8_t *ip = rte_pktmbuf_mtod_offset(packet, const uint8_t *, packet->l2_len);
	bool is_ipv6 = packet->ol_flags & RTE_MBUF_F_TX_IPV6;
	bool is_udp = (packet->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_UDP_CKSUM;
	uint32_t total = is_ipv6 ? IPV6_LEN + (uint32_t)load16(ip + IPV6_PAYLOAD) : load16(ip + IPV4_TOTAL);
	uint32_t length = is_udp ? load16(ip + packet->l3_len + UDP_LENGTH) : total - packet->l3_len;
	uint8_t protocol = is_udp ? PROTO_UDP : PROTO_TCP;

	*ret_length = length;
	return is_ipv6 ? checksum_pseudo6(ip + IPV6_SRC, protocol, length)
		       : checksum_pseudo4(ip + IPV4_SRC, protocol, (uint16_t)length);
}

static uint8_t *checksum_field(const struct rte_mbuf *packet)
{
	bool is_udp = (packet->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_UDP_CKSUM;

	return rte_pktmbuf_mtod_offset(
		packet, uint8_t *, packet->l2_len + packet->l3_len + (is_udp ? UDP_CHECK : TCP_CHECK));
}

void segmentation_complete(struct rte_mbuf *packet)
{
	uint32_t length;
	uint64_t sum = pseudo_sum(packet, &length);
	uint8_t *field = checksum_field(packet);
	uint16_t payload = 0;

	memset(field, 0, 2);
	rte_raw_cksum_mbuf(packet, (uint32_t)packet->l2_len + packet->l3_len, length, &payload);
	uint16_t check = (uint16_t)~checksum_fold(sum + payload);
	if (check == 0 && (packet->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_UDP_CKSUM)
		check = 0xffff; /* zero says that there is none (RFC 768) */
	memcpy(field, &check, sizeof check);
	segmentation_clear(packet);
}

void segmentation_start_checksum(struct rte_mbuf *packet)
{
	uint32_t length;
	uint16_t sum = checksum_fold(pseudo_sum(packet, &length));

	memcpy(checksum_field(packet), &sum, sizeof sum);
}
