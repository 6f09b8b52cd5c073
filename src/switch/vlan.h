/* 802.1Q: the tag that says which VLAN of a physical network a frame is in (IEEE 802.1Q, clause 9). Bytes only; who may
 * send what to whom is layers/vlan.c's.
 *
 * Within the switch frames have no tag: it is taken off as they come in from a physical network and put on as
 * they leave to it. A tag with the id 0 gives a priority and no VLAN: such a frame is one without a tag (clause
 * 6.9.1).
 */
#pragma once
#include "switch/drop.h"
#include "switch/segmentation.h"
#include "switch/wire.h"

#include <rte_mbuf.h>
#include <stdbool.h>

#define VLAN_TAG_LEN 4
#define VLAN_ID_MASK 0xfff

/* Takes the tag off, if there is one, and says whose frame it is; 0: of the network that is not tagged. A
 * second tag, and one of another kind, stay where they are: the parser refuses them. The packet is nobody
 * else's. */
static inline enum drop vlan_open(struct rte_mbuf *packet, uint16_t *ret_id)
{
	uint8_t *frame = rte_pktmbuf_mtod(packet, uint8_t *);

	*ret_id = 0;
	if (packet->data_len < ETH_LEN)
		return DROP_TRUNCATED;
	if (load16(frame + ETH_TYPE) != ETH_VLAN)
		return DROP_NONE;
	if (packet->data_len < ETH_LEN + VLAN_TAG_LEN)
		return DROP_TRUNCATED;
	*ret_id = load16(frame + ETH_LEN) & VLAN_ID_MASK;
	memmove(frame + VLAN_TAG_LEN, frame, ETH_TYPE);
	rte_pktmbuf_adj(packet, VLAN_TAG_LEN);
	return DROP_NONE;
}

/* Puts a tag of that type before the frame's own. False: there is no room. The packet is nobody else's. */
static inline bool vlan_insert(struct rte_mbuf *packet, uint16_t type, uint16_t tci)
{
	uint8_t *frame = (uint8_t *)rte_pktmbuf_prepend(packet, VLAN_TAG_LEN);

	if (!frame)
		return false;
	memmove(frame, frame + VLAN_TAG_LEN, ETH_TYPE);
	store16(frame + ETH_TYPE, type);
	store16(frame + ETH_TYPE + 2, tci);
	return true;
}

/* Puts the VLAN's tag on; none for the id 0. False: there is no room before the frame. The packet is nobody else's. */
static inline bool vlan_push(struct rte_mbuf *packet, uint16_t id)
{
	if (id == 0)
		return true;
	if (!vlan_insert(packet, ETH_VLAN, id))
		return false;
	if (segmentation_is_open(packet))
		packet->l2_len += VLAN_TAG_LEN;
	return true;
}
