/* ICMP errors about packets of connections (RFC 5508, section 4 and 5; RFC 4443).
 *
 * How it works: an error quotes the packet that it is about, as that packet looked where the error was made.
 * An error that comes in by X about a packet that went out by X: so the quoted key, reversed, is that of the
 * flow which arrives by X, and what that flow does to its packets is what has to be done to the error: the
 * same way, the same translation outside, and its mirror image in the quotation. An error that quotes no
 * connection of the switch goes nowhere. Where NICs share the address that it came for, the flow says whose it is.
 */
#include "switch/checksum.h"
#include "switch/connections.h"
#include "switch/conntrack.h"
#include "switch/datapath.h"
#include "switch/layers/layer.h"
#include "switch/load_balancer.h"
#include "switch/output.h"
#include "switch/parse.h"
#include "switch/respond/respond.h"
#include "switch/rewrite.h"
#include "switch/wire.h"

#include <rte_mbuf.h>

#define QUOTE_MAX 1500 /* what a sane error may be as a whole */

/* The flow that the error travels with, or NULL. */
static struct flow *find_flow(struct worker *worker, const struct packet *parsed, const uint8_t *quote,
	uint32_t available, uint16_t *ret_l4)
{
	struct flow_key quoted, key;

	if (parse_quoted(quote, available, &quoted, ret_l4) < 0 || quoted.family != parsed->key.family)
		return NULL;
	/* It must be addressed to whoever sent the packet that it is about. */
	if (memcmp(quoted.src, parsed->key.dst, 16) != 0)
		return NULL;
	key = flow_key_reverse(&quoted);
	key.nic = parsed->key.nic;
	key.origin = parsed->key.origin;
	return connections_find(worker, &key);
}

/* Replaces four bytes of an address and mends the header checksum that covers them. */
static void replace_address(uint8_t *ip, unsigned offset, const uint8_t to[4])
{
	uint16_t difference = checksum_fold(checksum_difference(0, ip + offset, to, 4));

	memcpy(ip + offset, to, 4);
	checksum_fix(ip + IPV4_CHECK, difference);
}

/* The port that the sender of the quoted packet has for itself, or ICMP's identifier. parse_quoted has seen
 * eight bytes. */
static void translate_quoted_port(
	uint8_t *l4, uint8_t protocol, uint32_t available, const struct flow_action *action)
{
	uint8_t *port = l4 + (protocol == PROTO_ICMP                      ? ICMP_REST
				     : action->flags & FLOW_REWRITE_DPORT ? PORT_SRC
									  : PORT_DST);
	uint16_t difference = checksum_fold(checksum_difference(0, port, &action->new_port, 2));

	memcpy(port, &action->new_port, 2);
	if (protocol == PROTO_ICMP)
		checksum_fix(l4 + ICMP_CHECK, difference);
	else if (protocol == PROTO_UDP)
		checksum_fix_udp(l4 + UDP_CHECK, difference);
	else if (protocol == PROTO_TCP && available >= TCP_CHECK + 2u)
		checksum_fix(l4 + TCP_CHECK, difference);
}

/* Of IPv4, as all that is translated. The quotation shows the packet as its sender sent it: the flow's
 * translation, backwards. */
static void translate_quote(uint8_t *quote, uint16_t l4, uint32_t available, const struct flow *flow)
{
	const struct flow_action *action = &flow->action;
	uint8_t protocol = quote[IPV4_PROTOCOL];
	uint16_t difference = action->difference;

	if (action->flags & (FLOW_REWRITE_SPORT | FLOW_REWRITE_DPORT))
		translate_quoted_port(quote + l4, protocol, available - l4, action);
	if (action->flags & FLOW_REWRITE_DST)
		replace_address(quote, IPV4_SRC, action->new_dst);
	if (action->flags & FLOW_REWRITE_SRC)
		replace_address(quote, IPV4_DST, action->new_src);
	if (protocol == PROTO_UDP && available >= l4 + UDP_CHECK + 2u)
		checksum_fix_udp(quote + l4 + UDP_CHECK, difference);
	else if (protocol == PROTO_TCP && available >= l4 + TCP_CHECK + 2u)
		checksum_fix(quote + l4 + TCP_CHECK, difference);
}

static void translate(uint8_t *frame, const struct packet *parsed, const struct flow *flow)
{
	uint8_t *ip = frame + parsed->l3, *icmp = frame + parsed->l4;
	const struct flow_action *action = &flow->action;
	bool from_peer = memcmp(parsed->key.src, flow->key.src, 4) == 0;

	if (action->flags & FLOW_REWRITE_DST)
		replace_address(ip, IPV4_DST, action->new_dst);
	/* A router on the way speaks for itself; only the peer hides behind its translation. */
	if (action->flags & FLOW_REWRITE_SRC && from_peer)
		replace_address(ip, IPV4_SRC, action->new_src);

	size_t length = parsed->l3_length - (size_t)(parsed->l4 - parsed->l3);
	memset(icmp + ICMP_CHECK, 0, 2);
	uint16_t check = checksum_of(icmp, length);
	memcpy(icmp + ICMP_CHECK, &check, sizeof check);
}

static bool checksum_is_right(const uint8_t *frame, const struct packet *parsed)
{
	uint32_t length = parsed->l3_length - (uint32_t)(parsed->l4 - parsed->l3);
	uint64_t sum = 0;

	if (parsed->key.family == IP_V6)
		sum = checksum_pseudo6(frame + parsed->l3 + IPV6_SRC, PROTO_ICMPV6, length);
	return checksum_fold(checksum_add(sum, frame + parsed->l4, length)) == 0xffff;
}

/* A NIC speaks for itself, also in errors; and outside is outside. */
static bool sender_may(const struct worker *worker, const struct packet *parsed, uint32_t number)
{
	const struct nic *nic = snapshot_nic(worker->snapshot, number);

	if (!nic)
		return false;
	if (parsed->key.origin == FLOW_FROM_NIC)
		return spoof_may_send(nic, flow_key_source(&parsed->key));
	if (parsed->key.origin == FLOW_FROM_TUNNEL) {
		const struct mapping *remote =
			vxlan_remote(worker->snapshot, nic, flow_key_source(&parsed->key));
		const struct front *front =
			remote ? NULL : vxlan_front(worker->snapshot, nic, flow_key_source(&parsed->key));
		remote = front ? &front->way : remote;
		return remote && memcmp(remote->vtep, parsed->vtep, 4) == 0;
	}
	if (parsed->key.origin == FLOW_FROM_PHYSICAL)
		return vlan_remote(worker->snapshot, nic, flow_key_source(&parsed->key)).family != IP_NONE;
	return parsed->key.origin != FLOW_FROM_OUTSIDE ||
	       outside_may_send(worker->snapshot, nic->network, flow_key_source(&parsed->key));
}

static enum drop spoofed_of(uint8_t origin)
{
	return origin == FLOW_FROM_NIC        ? DROP_SPOOFED_IP
	       : origin == FLOW_FROM_TUNNEL   ? DROP_SPOOFED_TUNNEL
	       : origin == FLOW_FROM_PHYSICAL ? DROP_SPOOFED_PHYSICAL
					      : DROP_SPOOFED_OUTSIDE;
}

void icmp_error_forward(struct worker *worker, const struct packet *parsed, struct rte_mbuf *packet)
{
	uint8_t *frame = rte_pktmbuf_mtod(packet, uint8_t *), *icmp = frame + parsed->l4;
	uint32_t end = parsed->l3 + parsed->l3_length;
	uint32_t nic = parsed->key.nic;

	if (parsed->l3_length > QUOTE_MAX || end > packet->data_len ||
		parsed->flags & PACKET_FRAGMENT_FIRST) {
		output_drop(worker, nic, DROP_ICMP_NO_FLOW, packet);
		return;
	}
	uint8_t *quote = icmp + ICMP_MIN;
	uint32_t available = (uint32_t)(frame + end - quote);
	uint16_t l4;
	const struct flow *flow =
		checksum_is_right(frame, parsed) ? find_flow(worker, parsed, quote, available, &l4) : NULL;
	if (nic == FLOW_NIC_SHARED && flow)
		nic = flow->action.target;
	if (nic != FLOW_NIC_SHARED && !sender_may(worker, parsed, nic)) {
		output_drop(worker, nic, spoofed_of(parsed->key.origin), packet);
		return;
	}
	if (!flow) {
		output_drop(worker, nic, DROP_ICMP_NO_FLOW, packet);
		return;
	}
	if (parsed->l3_length > flow->action.mtu) {
		output_drop(worker, nic, DROP_TOO_BIG, packet); /* no error is ever about an error */
		return;
	}
	if (flow->action.flags & FLOW_ROUTED && rewrite_is_last_hop(frame, parsed)) {
		output_drop(worker, nic, DROP_TTL, packet);
		return;
	}
	if (parsed->key.family == IP_V4) {
		translate_quote(quote, l4, available, flow);
		translate(frame, parsed, flow);
	}
	if (flow->action.flags & FLOW_ROUTED)
		rewrite_hop(frame, parsed);
	rewrite_macs(frame, &flow->action);
	packet->hash.rss = flow->hash;
	output_flow(worker, &flow->action, parsed, packet);
}
