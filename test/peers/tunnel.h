/* The underlay's side of the benchmark: frames that travel in VXLAN between the program under test and a VTEP
 * that is the generator. Nobody else speaks on it, so the outer headers are the same in all frames but for
 * lengths and sums.
 */
#pragma once
#include "traffic.h"

#define TUNNEL_SWITCH 0xac1f0001u /* 172.31.0.1: sluice.py says so to the program */
#define TUNNEL_PEER   0xac1f0002u /* 172.31.0.2: the generator */
#define TUNNEL_VNI    100u /* and the lane's number */
#define TUNNEL_PORT   4789
#define TUNNEL_DF     0x4000u

/* What goes before a frame. */
struct tunnel_outer {
	uint8_t dmac[6], smac[6];
	uint16_t ether_type;
	uint8_t version_ihl, tos;
	uint16_t total_length, id, fragment;
	uint8_t ttl, protocol;
	uint16_t check;
	uint32_t src, dst;
	uint16_t sport, dport, udp_length, udp_check;
	uint32_t flags, vni;
} __attribute__((packed));
static_assert(sizeof(struct tunnel_outer) == 50, "RFC 7348, figure 1");

/* Of an IPv4 header without identification and with that fragment word. */
static inline uint16_t tunnel_check(uint32_t total, uint32_t fragment)
{
	const struct traffic_tuple tuple = {
		.src = TUNNEL_PEER, .dst = TUNNEL_SWITCH}; /* or the other way round */
	uint32_t sum = 0x4500u + total + fragment + (TRAFFIC_TTL << 8) + IPPROTO_UDP;

	return htons((uint16_t)~traffic_fold(sum + traffic_sum_addresses(&tuple)));
}

/* Before frames of `length` bytes, from the peer to the program. MACs are the caller's to fill in. */
static inline void tunnel_fill(struct tunnel_outer *outer, uint32_t length, unsigned lane)
{
	uint16_t total = (uint16_t)(length + sizeof *outer - TRAFFIC_ETH);

	*outer = (struct tunnel_outer){
		.ether_type = htons(0x0800),
		.version_ihl = 0x45,
		.total_length = htons(total),
		.ttl = TRAFFIC_TTL,
		.protocol = IPPROTO_UDP,
		.check = tunnel_check(total, 0),
		.src = htonl(TUNNEL_PEER),
		.dst = htonl(TUNNEL_SWITCH),
		.sport = htons(50000),
		.dport = htons(TUNNEL_PORT),
		.udp_length = htons((uint16_t)(total - TRAFFIC_IP)),
		.flags = htonl(0x08000000),
		.vni = htonl((TUNNEL_VNI + lane) << 8),
	};
}

/* Whether a frame of `length` bytes is one that the program may send to the peer: all outer fields but the
 * source port. */
static inline bool tunnel_is_right(const struct tunnel_outer *outer, uint32_t length, unsigned lane)
{
	uint16_t total = (uint16_t)(length - TRAFFIC_ETH);

	return length >= sizeof *outer + TRAFFIC_FRAME_MIN - TRAFFIC_FCS &&
	       outer->ether_type == htons(0x0800) && outer->version_ihl == 0x45 &&
	       outer->total_length == htons(total) && !outer->id && outer->fragment == htons(TUNNEL_DF) &&
	       outer->ttl == TRAFFIC_TTL && outer->protocol == IPPROTO_UDP &&
	       outer->src == htonl(TUNNEL_SWITCH) && outer->dst == htonl(TUNNEL_PEER) &&
	       outer->dport == htons(TUNNEL_PORT) &&
	       outer->udp_length == htons((uint16_t)(total - TRAFFIC_IP)) && !outer->udp_check &&
	       outer->flags == htonl(0x08000000) && outer->vni == htonl((TUNNEL_VNI + lane) << 8) &&
	       outer->check == tunnel_check(total, TUNNEL_DF);
}
