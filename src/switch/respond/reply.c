/* What answers are made of: room in the packet that asked, and headers of IPv6. */
#include "switch/checksum.h"
#include "switch/decide.h"
#include "switch/respond/respond.h"
#include "switch/segmentation.h"
#include "switch/wire.h"

#include <rte_mbuf.h>

bool reply_resize(struct rte_mbuf *packet, uint16_t length)
{
	segmentation_clear(packet);
	if (packet->nb_segs > 1)
		return false;
	if (length > packet->data_len)
		return rte_pktmbuf_append(packet, (uint16_t)(length - packet->data_len)) != NULL;
	return rte_pktmbuf_trim(packet, (uint16_t)(packet->data_len - length)) == 0;
}

void reply_write_ipv6(uint8_t *frame, const uint8_t to_mac[6], const uint8_t from[16], const uint8_t to[16],
	uint8_t protocol, uint8_t hops, uint16_t payload)
{
	uint8_t *ip = frame + ETH_LEN;

	memcpy(frame + ETH_DST, to_mac, 6);
	memcpy(frame + ETH_SRC, gateway_mac, 6);
	store16(frame + ETH_TYPE, ETH_IPV6);
	store32(ip, 6u << 28); /* no traffic class, no flow label */
	store16(ip + IPV6_PAYLOAD, payload);
	ip[IPV6_NEXT] = protocol;
	ip[IPV6_HOPS] = hops;
	memcpy(ip + IPV6_SRC, from, 16);
	memcpy(ip + IPV6_DST, to, 16);
}

void reply_set_checksum6(uint8_t *ip, uint8_t *check)
{
	uint32_t length = load16(ip + IPV6_PAYLOAD);

	memset(check, 0, 2);
	uint64_t sum = checksum_pseudo6(ip + IPV6_SRC, ip[IPV6_NEXT], length);
	uint16_t value = (uint16_t)~checksum_fold(checksum_add(sum, ip + IPV6_LEN, length));
	if (value == 0 && ip[IPV6_NEXT] == PROTO_UDP)
		value = 0xffff; /* zero would say that there is none */
	memcpy(check, &value, sizeof value);
}

bool reply_udp_is_right(const uint8_t *frame, const struct packet *parsed)
{
	const uint8_t *ip = frame + parsed->l3, *udp = frame + parsed->l4;
	bool is_ipv6 = parsed->key.family == IP_V6;
	uint16_t length = load16(udp + UDP_LENGTH);

	if (load16(udp + UDP_CHECK) == 0)
		return !is_ipv6;
	uint64_t sum = is_ipv6 ? checksum_pseudo6(ip + IPV6_SRC, PROTO_UDP, length)
			       : checksum_pseudo4(ip + IPV4_SRC, PROTO_UDP, length);
	return checksum_fold(checksum_add(sum, udp, length)) == 0xffff;
}
