/* ICMP of the switch itself: the gateway's echo, and errors (RFC 792, RFC 1191, RFC 1812; RFC 4443).
 *
 * Errors go back on the way that the packet came: to a NIC from its gateway, to an edge or a physical network from the
 * address that the packet was for. Policy's refusals are silent.
 */
#include "switch/checksum.h"
#include "switch/datapath.h"
#include "switch/decide.h"
#include "switch/layers/layer.h"
#include "switch/output.h"
#include "switch/respond/respond.h"
#include "switch/segmentation.h"
#include "switch/wire.h"

#include <rte_mbuf.h>

#define ERRORS_PER_SECOND    1000 /* of one worker */
#define INTERNETWORK_CONTROL 0xc0 /* RFC 1812, section 4.3.2.5: errors' precedence */
#define ERROR_PACKET_MAX     576 /* RFC 1812, section 4.3.2.3; of IPv6, what every link carries */

/* Ethernet's type, and the headers of IPv4 and ICMP with nothing in the latter yet. */
static void write_ipv4(
	uint8_t *frame, const uint8_t from[4], const uint8_t to[4], uint8_t service, uint16_t payload)
{
	uint8_t *ip = frame + ETH_LEN;

	memset(frame, 0, ETH_LEN + IPV4_MIN + ICMP_MIN);
	store16(frame + ETH_TYPE, ETH_IPV4);
	ip[0] = 0x45;
	ip[1] = service;
	store16(ip + IPV4_TOTAL, (uint16_t)(IPV4_MIN + payload));
	ip[IPV4_TTL] = 64;
	ip[IPV4_PROTOCOL] = PROTO_ICMP;
	memcpy(ip + IPV4_SRC, from, 4);
	memcpy(ip + IPV4_DST, to, 4);
	checksum_set(ip, IPV4_MIN, IPV4_CHECK);
}

/* ---- echo ---- */

static uint8_t protocol_of(uint8_t family)
{
	return family == IP_V6 ? PROTO_ICMPV6 : PROTO_ICMP;
}

bool icmp_is_gateway_echo(const struct snapshot *snapshot, const struct nic *nic, const struct packet *parsed)
{
	uint8_t echo = parsed->key.family == IP_V6 ? ICMPV6_TYPE_ECHO : ICMP_TYPE_ECHO;

	/* A later fragment bears the key of its first, but no ICMP header. */
	if (parsed->kind != PACKET_FLOW || parsed->key.protocol != protocol_of(parsed->key.family) ||
		parsed->key.dport != htobe16((uint16_t)(echo << 8)) || parsed->flags & PACKET_FRAGMENT_FIRST)
		return false;
	return reach_is_gateway(snapshot, nic, flow_key_destination(&parsed->key));
}

/* A swap of addresses leaves sums as they are. */
static void turn_ipv4(uint8_t *ip, const struct flow_key *asked)
{
	uint8_t before[2] = {ip[IPV4_TTL], ip[IPV4_PROTOCOL]};

	memcpy(ip + IPV4_SRC, asked->dst, 4);
	memcpy(ip + IPV4_DST, asked->src, 4);
	ip[IPV4_TTL] = 64;
	checksum_fix(ip + IPV4_CHECK, checksum_fold(checksum_difference(0, before, ip + IPV4_TTL, 2)));
}

static void turn_ipv6(uint8_t *ip, const struct flow_key *asked)
{
	memcpy(ip + IPV6_SRC, asked->dst, 16);
	memcpy(ip + IPV6_DST, asked->src, 16);
	ip[IPV6_HOPS] = 64;
}

void icmp_answer_echo(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet)
{
	uint8_t *frame = rte_pktmbuf_mtod(packet, uint8_t *), *icmp = frame + parsed->l4;
	bool v6 = parsed->key.family == IP_V6;
	const uint8_t echo[2] = {v6 ? ICMPV6_TYPE_ECHO : ICMP_TYPE_ECHO, 0};
	const uint8_t reply[2] = {v6 ? ICMPV6_TYPE_ECHO_REPLY : ICMP_TYPE_ECHO_REPLY, 0};

	if (!reach_may_speak(nic, flow_key_source(&parsed->key))) {
		output_drop(worker, nic->id, DROP_SPOOFED_IP, packet);
		return;
	}
	memcpy(frame + ETH_DST, nic->mac.bytes, 6);
	memcpy(frame + ETH_SRC, gateway_mac, 6);
	if (v6)
		turn_ipv6(frame + parsed->l3, &parsed->key);
	else
		turn_ipv4(frame + parsed->l3, &parsed->key);
	icmp[0] = reply[0];
	checksum_fix(icmp + ICMP_CHECK, checksum_fold(checksum_difference(0, echo, reply, 2)));
	output_nic(worker, nic, packet);
}

/* ---- probes ---- */

#define PROBE_REST    4 /* of the nonce, in the header */
#define PROBE_PAYLOAD (ICMP_MIN + sizeof(uint64_t))

void icmp_build_probe(struct rte_mbuf *packet, const struct nic *nic, struct ip_addr to, uint64_t nonce)
{
	const struct ip_addr from = reach_speaker(nic, to.family);
	uint16_t headers = to.family == IP_V6 ? IPV6_LEN : IPV4_MIN;
	uint8_t *frame = (uint8_t *)rte_pktmbuf_append(packet, (uint16_t)(ETH_LEN + headers + PROBE_PAYLOAD));
	uint8_t *ip = frame + ETH_LEN, *icmp = ip + headers;

	if (to.family == IP_V6)
		reply_write_ipv6(
			frame, nic->mac.bytes, from.bytes, to.bytes, PROTO_ICMPV6, 64, PROBE_PAYLOAD);
	else
		write_ipv4(frame, from.bytes, to.bytes, 0, PROBE_PAYLOAD);
	memcpy(frame + ETH_DST, nic->mac.bytes, 6);
	memcpy(frame + ETH_SRC, gateway_mac, 6);
	memset(icmp, 0, ICMP_MIN);
	icmp[0] = to.family == IP_V6 ? ICMPV6_TYPE_ECHO : ICMP_TYPE_ECHO;
	memcpy(icmp + ICMP_REST, &nonce, PROBE_REST);
	memcpy(icmp + ICMP_MIN, &nonce, sizeof nonce);
	if (to.family == IP_V6)
		reply_set_checksum6(ip, icmp + ICMP_CHECK);
	else
		checksum_set(icmp, PROBE_PAYLOAD, ICMP_CHECK);
}

uint64_t icmp_probe_nonce(const struct nic *nic, const struct packet *parsed, const struct rte_mbuf *packet)
{
	bool v6 = parsed->key.family == IP_V6;
	uint8_t reply = v6 ? ICMPV6_TYPE_ECHO_REPLY : ICMP_TYPE_ECHO_REPLY;
	const uint8_t *icmp = rte_pktmbuf_mtod(packet, const uint8_t *) + parsed->l4;
	uint64_t nonce;

	if (parsed->kind != PACKET_FLOW || parsed->key.protocol != protocol_of(parsed->key.family) ||
		parsed->key.dport != htobe16((uint16_t)(reply << 8)) ||
		parsed->flags & PACKET_FRAGMENT_FIRST || packet->data_len < parsed->l4 + PROBE_PAYLOAD ||
		!ip_equal(flow_key_destination(&parsed->key), reach_speaker(nic, parsed->key.family)))
		return 0;
	memcpy(&nonce, icmp + ICMP_MIN, sizeof nonce);
	return nonce;
}

/* ---- errors ---- */

/* What senders are told. */
struct notice {
	enum drop reason;
	uint8_t type, code; /* of ICMP, */
	uint8_t type6, code6; /* of ICMPv6 */
};

static const struct notice notices[] = {
	{DROP_TTL, ICMP_TYPE_TIME_EXCEEDED, 0, ICMPV6_TYPE_TIME_EXCEEDED, 0},
	{DROP_NO_DESTINATION, ICMP_TYPE_UNREACHABLE, 1, ICMPV6_TYPE_UNREACHABLE, 3}, /* host */
	{DROP_NO_PUBLIC_ADDRESS, ICMP_TYPE_UNREACHABLE, 0, ICMPV6_TYPE_UNREACHABLE, 0}, /* network */
	{DROP_IPV6_OUTSIDE, ICMP_TYPE_UNREACHABLE, 0, ICMPV6_TYPE_UNREACHABLE, 0},
	{DROP_NO_OUTSIDE, ICMP_TYPE_UNREACHABLE, 0, ICMPV6_TYPE_UNREACHABLE, 0},
	{DROP_NO_HOST_PORT, ICMP_TYPE_UNREACHABLE, 1, ICMPV6_TYPE_UNREACHABLE, 3},
	{DROP_TOO_BIG, ICMP_TYPE_UNREACHABLE, 4, ICMPV6_TYPE_TOO_BIG, 0}, /* fragmentation needed */
	{DROP_NO_PORTS, ICMP_TYPE_UNREACHABLE,
		13}, /* RFC 5508, REQ-8: no session can be had; of IPv4 alone */
	{DROP_PORTS_USED, ICMP_TYPE_UNREACHABLE, 13},
};

static const struct notice *notice_of(enum drop reason)
{
	for (size_t i = 0; i < RTE_DIM(notices); i++)
		if (notices[i].reason == reason)
			return &notices[i];
	return NULL;
}

/* RFC 1812, section 4.3.2.7, and RFC 4443, section 2.4: never about a later fragment, an ICMP message that
 * answers, or to nobody's address. Of IPv6, echoes' answers are told too: nobody but their sender can make them
 * smaller. */
static bool may_answer(const struct packet *parsed, const uint8_t *frame)
{
	if (parsed->kind != PACKET_FLOW || frame[ETH_DST] & 1)
		return false;
	if (parsed->key.protocol == PROTO_ICMP && parsed->key.dport != htobe16(ICMP_TYPE_ECHO << 8))
		return false;
	return route_is_unicast(flow_key_source(&parsed->key)) &&
	       route_is_unicast(flow_key_destination(&parsed->key));
}

static bool take_token(struct worker *worker)
{
	if (worker->error_second != worker->now_s) {
		worker->error_second = worker->now_s;
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
	bool v6 = parsed->key.family == IP_V6;
	uint16_t headers = (v6 ? IPV6_LEN : IPV4_MIN) + ICMP_MIN, most = v6 ? IPV6_MTU_MIN : ERROR_PACKET_MAX;
	uint32_t quoted = RTE_MIN(parsed->l3_length, (uint32_t)(most - headers));

	if (segmentation_is_open(packet) && !segmentation_is_needed(packet))
		segmentation_complete(packet); /* as it would have gone on */
	segmentation_clear(packet);
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
	return (uint8_t *)rte_pktmbuf_prepend(packet, (uint16_t)(ETH_LEN + headers));
}

static void write_error(uint8_t *frame, const uint8_t from[4], const uint8_t to[4],
	const struct notice *notice, uint16_t mtu, uint16_t quoted)
{
	uint8_t *icmp = frame + ETH_LEN + IPV4_MIN;

	write_ipv4(frame, from, to, INTERNETWORK_CONTROL, (uint16_t)(ICMP_MIN + quoted));
	icmp[0] = notice->type;
	icmp[1] = notice->code;
	store16(icmp + ICMP_REST + 2, mtu); /* RFC 1191: next-hop MTU */
	checksum_set(icmp, (size_t)ICMP_MIN + quoted, ICMP_CHECK);
}

static void write_error6(uint8_t *frame, const uint8_t from[16], const uint8_t to[16],
	const struct notice *notice, uint16_t mtu, uint16_t quoted)
{
	uint8_t *ip = frame + ETH_LEN, *icmp = ip + IPV6_LEN;

	reply_write_ipv6(frame, gateway_mac, from, to, PROTO_ICMPV6, 64, (uint16_t)(ICMP_MIN + quoted));
	memset(icmp, 0, ICMP_MIN);
	icmp[0] = notice->type6;
	icmp[1] = notice->code6;
	store16(icmp + ICMP_REST + 2, mtu);
	reply_set_checksum6(ip, icmp + ICMP_CHECK);
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
	output_tunnel(worker, nic->network->segment, remote->vtep, nic->id, packet);
}

/* Sends the built error back to where the packet came from: on a physical network, to the MAC that sent it. */
static void send_back(struct worker *worker, const struct packet *parsed, const uint8_t sender[6],
	uint8_t *frame, struct rte_mbuf *packet)
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
	if (parsed->key.origin == FLOW_FROM_PHYSICAL) {
		memcpy(frame + ETH_DST, sender, 6);
		memcpy(frame + ETH_SRC, nic->mac.bytes, 6);
		output_vlan(worker, nic->network, nic->id, packet);
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

/* In whose name the sender is told. IP_NONE: its subnet has no gateway of that family. */
static struct ip_addr speaker(const struct nic *nic, const struct packet *parsed)
{
	if (parsed->key.origin != FLOW_FROM_NIC)
		return flow_key_destination(&parsed->key);
	return parsed->key.family == IP_V6 ? nic->subnet->gateway6 : nic->subnet->gateway;
}

void icmp_refuse(struct worker *worker, const struct packet *parsed, uint32_t refuser, enum drop reason,
	uint16_t mtu, struct rte_mbuf *packet)
{
	const struct nic *nic = snapshot_nic(worker->snapshot, parsed->key.nic);
	const struct notice *notice = notice_of(reason);
	struct ip_addr from = nic ? speaker(nic, parsed) : (struct ip_addr){};
	uint8_t sender[6];
	uint16_t quoted;

	output_count_drop(worker, refuser, reason);
	if (from.family == IP_NONE || !notice ||
		!may_answer(parsed, rte_pktmbuf_mtod(packet, const uint8_t *)) ||
		(reason == DROP_TOO_BIG && !(parsed->flags & PACKET_DF))) {
		rte_pktmbuf_free(packet);
		return;
	}
	if (!take_token(worker)) {
		output_count_drop(worker, parsed->key.nic, DROP_ERROR_RATE);
		rte_pktmbuf_free(packet);
		return;
	}
	memcpy(sender, rte_pktmbuf_mtod(packet, const uint8_t *) + ETH_SRC, sizeof sender);
	uint8_t *frame = make_room(packet, parsed, &quoted);
	if (!frame) {
		rte_pktmbuf_free(packet);
		return;
	}
	if (from.family == IP_V6)
		write_error6(frame, from.bytes, parsed->key.src, notice, mtu, quoted);
	else
		write_error(frame, from.bytes, parsed->key.src, notice, mtu, quoted);
	send_back(worker, parsed, sender, frame, packet);
}
