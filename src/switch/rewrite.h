/* A flow's action, applied to the bytes of a packet. */
#pragma once
#include "switch/checksum.h"
#include "switch/packet.h"
#include "switch/wire.h"

/* Adds what the new addresses change to the transport's checksum, which covers them. */
static inline __attribute__((always_inline)) void rewrite_transport(
	uint8_t *frame, const struct packet *packet, uint16_t difference)
{
	if (packet->kind == PACKET_FRAGMENT)
		return; /* the checksum went with the first fragment */
	if (packet->key.protocol == PROTO_TCP)
		checksum_fix(frame + packet->l4 + TCP_CHECK, difference);
	else if (packet->key.protocol == PROTO_UDP)
		checksum_fix_udp(frame + packet->l4 + UDP_CHECK, difference);
}

/* The port, or ICMP's identifier, and the checksum that covers it. Few flows have this: the port that a guest
 * chose is kept where it can be, so what it adds is worked out here, from the packet. */
static inline void rewrite_port(uint8_t *frame, const struct packet *packet, const struct flow_action *action)
{
	uint8_t *l4 = frame + packet->l4;
	bool icmp = packet->key.protocol == PROTO_ICMP;
	uint8_t *port = l4 + (icmp ? ICMP_REST : action->flags & FLOW_REWRITE_DPORT ? PORT_DST : PORT_SRC);

	if (packet->kind == PACKET_FRAGMENT)
		return; /* the port, too, went with the first fragment */
	uint16_t difference = checksum_fold(checksum_difference(0, port, &action->new_port, 2));
	memcpy(port, &action->new_port, 2);
	if (icmp)
		checksum_fix(l4 + ICMP_CHECK, difference);
	else
		rewrite_transport(frame, packet, difference);
}

/* One hop less. The word that holds the time to live is one less in its high byte, so that the checksum grows
 * by as much. */
static inline __attribute__((always_inline)) void rewrite_hop(uint8_t *frame, const struct packet *packet)
{
	uint8_t *ip = frame + packet->l3;

	if (packet->key.family == IP_V6) {
		ip[IPV6_HOPS]--;
		return;
	}
	uint8_t before[2] = {ip[IPV4_TTL], ip[IPV4_PROTOCOL]};
	ip[IPV4_TTL]--;
	checksum_fix(ip + IPV4_CHECK, checksum_fold(checksum_difference(0, before, ip + IPV4_TTL, 2)));
}

/* True when the packet cannot make another hop. */
static inline __attribute__((always_inline)) bool rewrite_is_last_hop(
	const uint8_t *frame, const struct packet *packet)
{
	return frame[packet->l3 + (packet->key.family == IP_V6 ? IPV6_HOPS : IPV4_TTL)] <= 1;
}

static inline __attribute__((always_inline)) void rewrite_macs(
	uint8_t *frame, const struct flow_action *action)
{
	if (__builtin_expect(action->flags & FLOW_BRIDGED, 0))
		return;
	memcpy(frame + ETH_DST, action->dmac, 6);
	memcpy(frame + ETH_SRC, action->smac, 6);
}

/* Everything but the MAC of a next hop that ARP has to find. The parser has made sure that these bytes are
 * there. */
static inline __attribute__((always_inline)) void rewrite_packet(
	uint8_t *frame, const struct packet *packet, const struct flow_action *action)
{
	uint8_t *ip = frame + packet->l3;

	rewrite_macs(frame, action);
	if (action->flags & (FLOW_REWRITE_SRC | FLOW_REWRITE_DST)) {
		if (action->flags & FLOW_REWRITE_SRC)
			memcpy(ip + IPV4_SRC, action->new_src, 4);
		if (action->flags & FLOW_REWRITE_DST)
			memcpy(ip + IPV4_DST, action->new_dst, 4);
		checksum_fix(ip + IPV4_CHECK, action->difference);
		rewrite_transport(frame, packet, action->difference);
		if (__builtin_expect(action->flags & (FLOW_REWRITE_SPORT | FLOW_REWRITE_DPORT), 0))
			rewrite_port(frame, packet, action);
	}
	if (action->flags & FLOW_ROUTED)
		rewrite_hop(frame, packet);
}
