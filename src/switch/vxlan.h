/* VXLAN (RFC 7348): an Ethernet frame in a UDP datagram over IPv4. Bytes only; who may send what to whom is
 * layers/vxlan.c's.
 *
 * What goes before a frame differs from packet to packet in eight fields, so all of it is composed once a
 * state, with the sum of the IPv4 header, and copied: the rest is one store a field. The UDP checksum is zero,
 * as section 4.1 has it; the source port spreads flows over paths. The outer packet must not be fragmented, so
 * its identification may stay zero (RFC 6864).
 */
#pragma once
#include "base/ip.h"
#include "switch/checksum.h"
#include "switch/drop.h"
#include "switch/wire.h"

#include <stdbool.h>

#define VXLAN_LEN      8
#define VXLAN_OVERHEAD (ETH_LEN + IPV4_MIN + UDP_LEN + VXLAN_LEN) /* before the frame that is carried */
/* How much larger an IP packet becomes: it gets a frame of its own, but the outer frame's header is not counted. */
#define VXLAN_MTU_LESS (IPV4_MIN + UDP_LEN + VXLAN_LEN + ETH_LEN)
#define VXLAN_VNI_MAX  0xffffff

/* ---- outwards ---- */

struct vxlan_outer {
	uint8_t bytes[VXLAN_OVERHEAD];
	uint32_t sum; /* of the IPv4 header, folded */
};

/* mac, address: the sender's. */
void vxlan_outer_init(struct vxlan_outer *outer, const uint8_t mac[6], const uint8_t address[4]);

/* Writes what goes before a frame of `length` bytes, VXLAN_OVERHEAD of it; the destination MAC is left zero. `hash`: of
 * the flow. */
static inline __attribute__((always_inline)) void vxlan_encapsulate(uint8_t *at,
	const struct vxlan_outer *outer, uint32_t length, const uint8_t vtep[4], uint32_t vni, uint32_t hash)
{
	uint8_t *ip = at + ETH_LEN, *udp = ip + IPV4_MIN, *vxlan = udp + UDP_LEN;
	uint16_t datagram = htobe16((uint16_t)(length + UDP_LEN + VXLAN_LEN));
	uint16_t total = htobe16((uint16_t)(length + IPV4_MIN + UDP_LEN + VXLAN_LEN));
	uint16_t check, high, low;
	uint32_t sum;

	memcpy(at, outer->bytes, sizeof outer->bytes);
	memcpy(&high, vtep, 2);
	memcpy(&low, vtep + 2, 2);
	sum = outer->sum + total + high + low; /* 18 bits: two folds are enough, and no branch */
	sum = (sum & 0xffff) + (sum >> 16);
	check = (uint16_t) ~(sum + (sum >> 16));
	memcpy(ip + IPV4_TOTAL, &total, 2);
	memcpy(ip + IPV4_CHECK, &check, 2);
	memcpy(ip + IPV4_DST, vtep, 4);
	store16(udp, (uint16_t)(0xc000 | hash >> 18)); /* 49152 and up: section 5 */
	memcpy(udp + UDP_LENGTH, &datagram, 2);
	store32(vxlan + 4, vni << 8);
}

/* ---- inwards ---- */

/* What a datagram of the tunnel carries. */
struct vxlan_inner {
	uint32_t vni;
	uint8_t vtep[4]; /* that sent it */
	uint32_t offset, length; /* of the frame within the outer one */
	bool congested; /* the underlay marked it (RFC 3168) */
};

/* Reads a frame that came by the underlay: data is its first `available` bytes, length all of it. mac, address: ours.
 * DROP_NONE with *ret, of which vni, vtep and offset are within what is available; or why it carries nothing for us. */
enum drop vxlan_open(const uint8_t *data, uint32_t available, uint32_t length, const uint8_t mac[6],
	const uint8_t address[4], struct vxlan_inner *ret);

/* Marks the inner IP packet as the outer one was marked (RFC 6040, section 4.2). False when its sender could not tell:
 * then it is to be dropped. ip: the header, whole. */
bool vxlan_mark_congested(uint8_t *ip, bool is_ipv6);
