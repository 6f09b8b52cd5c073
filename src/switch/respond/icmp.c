/* ICMP of the switch itself: the gateway's echo, and errors (RFC 792, RFC 1191, RFC 1812).
 *
 * Errors are sent for IPv4 only. They go back on the way that the packet came: to a NIC from its gateway, to
 * an edge from the address that the packet was for. Policy's refusals are silent.
 */
#include "switch/checksum.h"
#include "switch/datapath.h"
#include "switch/decide.h"
#include "switch/layers/layer.h"
#include "switch/offload.h"
#include "switch/output.h"
#include "switch/respond/respond.h"
#include "switch/wire.h"

#include <rte_mbuf.h>

#define ERRORS_PER_SECOND 1000 /* of one worker */
#define ERROR_PACKET_MAX  576 /* RFC 1812, section 4.3.2.3 */
#define ERROR_HEADERS     (IPV4_MIN + ICMP_MIN)

/* ---- echo ---- */

bool icmp_is_gateway_echo(const struct snapshot *snapshot, const struct nic *nic, const struct packet *parsed)
{
	/* A later fragment bears the key of its first, but no ICMP header. */
	if (parsed->kind != PACKET_FLOW || parsed->key.family != IP_V4 ||
		parsed->key.protocol != PROTO_ICMP || parsed->key.dport != htobe16(ICMP_TYPE_ECHO << 8) ||
		parsed->flags & PACKET_FRAGMENT_FIRST)
		return false;
	return snapshot_find(snapshot, nic->network->space, flow_key_destination(&parsed->key)).kind ==
	       OWNER_GATEWAY;
}

void icmp_answer_echo(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet)
{
	uint8_t *frame = rte_pktmbuf_mtod(packet, uint8_t *);
	uint8_t *ip = frame + parsed->l3, *icmp = frame + parsed->l4;
	static const uint8_t echo[2] = {ICMP_TYPE_ECHO, 0}, reply[2] = {ICMP_TYPE_ECHO_REPLY, 0};
	uint8_t before[2] = {ip[IPV4_TTL], ip[IPV4_PROTOCOL]};

	if (!nic_find_address(nic, flow_key_source(&parsed->key))) {
		output_drop(worker, nic->id, DROP_SPOOFED_IP, packet);
		return;
	}
	memcpy(frame + ETH_DST, nic->mac.bytes, 6);
	memcpy(frame + ETH_SRC, gateway_mac, 6);
	memcpy(ip + IPV4_SRC, parsed->key.dst, 4); /* a swap leaves the sum as it is */
	memcpy(ip + IPV4_DST, parsed->key.src, 4);
	ip[IPV4_TTL] = 64;
	checksum_fix(ip + IPV4_CHECK, checksum_fold(checksum_difference(0, before, ip + IPV4_TTL, 2)));
	icmp[0] = ICMP_TYPE_ECHO_REPLY;
	checksum_fix(icmp + ICMP_CHECK, checksum_fold(checksum_difference(0, echo, reply, 2)));
	output_nic(worker, nic, packet);
}

/* ---- errors ---- */

static const struct {
	enum drop reason;
	uint8_t type, code;
} error_table[] = {
	{DROP_TTL, ICMP_TYPE_TIME_EXCEEDED, 0},
	{DROP_NO_DESTINATION, ICMP_TYPE_UNREACHABLE, 1}, /* host */
	{DROP_NO_PUBLIC_ADDRESS, ICMP_TYPE_UNREACHABLE, 0}, /* network */
	{DROP_NO_OUTSIDE, ICMP_TYPE_UNREACHABLE, 0},
	{DROP_NO_HOST_PORT, ICMP_TYPE_UNREACHABLE, 1},
	{DROP_TOO_BIG, ICMP_TYPE_UNREACHABLE, 4}, /* fragmentation needed */
	{DROP_NO_PORTS, ICMP_TYPE_UNREACHABLE, 13}, /* RFC 5508, REQ-8: no session can be had */
	{DROP_PORTS_USED, ICMP_TYPE_UNREACHABLE, 13},
};

static bool error_of(enum drop reason, uint8_t *ret_type, uint8_t *ret_code)
{
	for (size_t i = 0; i < RTE_DIM(error_table); i++) {
		if (error_table[i].reason == reason) {
			*ret_type = error_table[i].type;
			*ret_code = error_table[i].code;
			return true;
		}
	}
	return false;
}

/* RFC 1812, section 4.3.2.7: never about a later fragment, an ICMP message that answers, or to nobody's
 * address. */
static bool may_answer(const struct packet *parsed, const uint8_t *frame)
{
	if (parsed->kind != PACKET_FLOW || parsed->key.family != IP_V4 || frame[ETH_DST] & 1)
		return false;
	if (parsed->key.protocol == PROTO_ICMP && parsed->key.dport != htobe16(ICMP_TYPE_ECHO << 8))
		return false;
	return route_is_unicast(flow_key_source(&parsed->key)) &&
	       route_is_unicast(flow_key_destination(&parsed->key));
}

static bool take_token(struct worker *worker)
{
	uint32_t second = worker->now_ms / 1000;

	if (worker->error_second != second) {
		worker->error_second = second;
		worker->error_tokens = ERRORS_PER_SECOND;
	}
	if (worker->error_tokens == 0)
		return false;
	worker->error_tokens--;
	return true;
}

/* Cuts the frame to what is quoted, and makes room before it. Returns the new frame, or NULL. */
static uint8_t *make_room(struct rte_mbuf *packet, const struct packet *parsed, uint16_t *ret_quoted)
{
	uint32_t quoted = RTE_MIN(parsed->l3_length, (uint32_t)(ERROR_PACKET_MAX - ERROR_HEADERS));

	if (offload_is_open(packet) && !offload_is_segmented(packet))
		offload_complete(packet); /* as it would have gone on */
	offload_clear(packet);
	quoted = RTE_MIN(quoted, (uint32_t)(packet->data_len - parsed->l3));
	*ret_quoted = (uint16_t)quoted;
	if (packet->nb_segs > 1) {
		rte_pktmbuf_free(packet->next);
		packet->next = NULL;
		packet->nb_segs = 1;
		packet->pkt_len = packet->data_len;
	}
	if (rte_pktmbuf_trim(packet, (uint16_t)(packet->data_len - parsed->l3 - quoted)) < 0 ||
		!rte_pktmbuf_adj(packet, parsed->l3))
		return NULL;
	return (uint8_t *)rte_pktmbuf_prepend(packet, ETH_LEN + ERROR_HEADERS);
}

static void write_error(uint8_t *frame, const uint8_t from[4], const uint8_t to[4], uint8_t type,
	uint8_t code, uint16_t mtu, uint16_t quoted)
{
	uint8_t *ip = frame + ETH_LEN, *icmp = ip + IPV4_MIN;

	memset(frame, 0, ETH_LEN + ERROR_HEADERS);
	store16(frame + ETH_TYPE, ETH_IPV4);
	ip[0] = 0x45;
	ip[1] = 0xc0; /* RFC 1812, section 4.3.2.5: internetwork control */
	store16(ip + IPV4_TOTAL, (uint16_t)(ERROR_HEADERS + quoted));
	ip[IPV4_TTL] = 64;
	ip[IPV4_PROTOCOL] = PROTO_ICMP;
	memcpy(ip + IPV4_SRC, from, 4);
	memcpy(ip + IPV4_DST, to, 4);
	uint16_t check = checksum_of(ip, IPV4_MIN);
	memcpy(ip + IPV4_CHECK, &check, sizeof check);
	icmp[0] = type;
	icmp[1] = code;
	store16(icmp + ICMP_REST + 2, mtu); /* RFC 1191: next-hop MTU */
	check = checksum_of(icmp, (size_t)ICMP_MIN + quoted);
	memcpy(icmp + ICMP_CHECK, &check, sizeof check);
}

/* In the name of the NIC that the packet was for: it is behind this VTEP. */
static void send_back_by_tunnel(
	struct worker *worker, const struct packet *parsed, uint8_t *frame, struct rte_mbuf *packet)
{
	const struct nic *nic = snapshot_nic(worker->snapshot, parsed->key.nic);
	const struct mapping *remote = vxlan_remote(worker->snapshot, nic, flow_key_source(&parsed->key));

	if (!remote || memcmp(remote->vtep, parsed->vtep, 4) != 0) {
		rte_pktmbuf_free(packet);
		return;
	}
	memcpy(frame + ETH_DST, remote->mac.bytes, 6);
	memcpy(frame + ETH_SRC, gateway_mac, 6);
	output_tunnel(worker, nic->network->vni, remote->vtep, nic->id, packet);
}

/* Sends the built error back to where the packet came from. */
static void send_back(
	struct worker *worker, const struct packet *parsed, uint8_t *frame, struct rte_mbuf *packet)
{
	const struct snapshot *state = worker->snapshot;
	const struct nic *nic = snapshot_nic(state, parsed->key.nic);
	uint8_t next_hop[4];

	if (parsed->key.origin == FLOW_FROM_NIC) {
		memcpy(frame + ETH_DST, nic->mac.bytes, 6);
		memcpy(frame + ETH_SRC, gateway_mac, 6);
		output_nic(worker, nic, packet);
		return;
	}
	if (parsed->key.origin == FLOW_FROM_TUNNEL) {
		send_back_by_tunnel(worker, parsed, frame, packet);
		return;
	}
	bool outside = parsed->key.origin == FLOW_FROM_OUTSIDE;
	memcpy(next_hop, parsed->key.src, 4);
	if (outside && !route_outside(state, parsed->key.src, next_hop)) {
		rte_pktmbuf_free(packet);
		return;
	}
	memcpy(frame + ETH_SRC, outside ? state->outside.mac.bytes : state->host.mac.bytes, 6);
	output_edge(worker, outside ? FLOW_TO_OUTSIDE : FLOW_TO_HOST, next_hop, parsed->key.nic, packet);
}

void icmp_refuse(struct worker *worker, const struct packet *parsed, enum drop reason, uint16_t mtu,
	struct rte_mbuf *packet)
{
	const struct nic *nic = snapshot_nic(worker->snapshot, parsed->key.nic);
	uint8_t *frame = rte_pktmbuf_mtod(packet, uint8_t *), type, code, from[4];
	uint16_t quoted;

	output_count_drop(worker, parsed->key.nic, reason);
	if (!nic || !error_of(reason, &type, &code) || !may_answer(parsed, frame) ||
		(reason == DROP_TOO_BIG && !(parsed->flags & PACKET_DF))) {
		rte_pktmbuf_free(packet);
		return;
	}
	if (!take_token(worker)) {
		output_count_drop(worker, parsed->key.nic, DROP_ERROR_RATE);
		rte_pktmbuf_free(packet);
		return;
	}
	memcpy(from, parsed->key.origin == FLOW_FROM_NIC ? nic->subnet->gateway.bytes : parsed->key.dst, 4);
	frame = make_room(packet, parsed, &quoted);
	if (!frame) {
		rte_pktmbuf_free(packet);
		return;
	}
	write_error(frame, from, parsed->key.src, type, code, mtu, quoted);
	send_back(worker, parsed, frame, packet);
}
