/* Neighbour discovery for NICs (RFC 4861): the switch answers in the name of gateways and neighbours, and is
 * the router.
 *
 * How it works. Nothing of it passes from NIC to NIC: solicitations are answered by the rule that ARP has
 * (reach.c), what NICs say of themselves is checked and needed by nobody. A NIC that probes an address before
 * it uses it (RFC 4862, section 5.4) is told when it is another's. There is no cache and so no state: an answer
 * is a function of the snapshot and the message.
 *
 * Router advertisements say: this is the router, the subnet's prefix is on this link, addresses come by DHCPv6
 * (M and O, and no A: an address that a guest made for itself would be refused as spoofed), the MTU. They go to
 * all nodes, which on a NIC's link is that NIC. Hosts ask once, when they start; advertise.c tells them again
 * before ROUTER_LIFETIME is over.
 */
#include "switch/checksum.h"
#include "switch/decide.h"
#include "switch/output.h"
#include "switch/respond/respond.h"
#include "switch/wire.h"

#include <rte_mbuf.h>

#define ROUTER_LIFETIME 1800 /* s; RFC 4861, section 6.2.1 */
#define HOP_LIMIT       255 /* of every message: it has crossed no router */

enum {
	ND_TARGET = 8,
	SOLICITATION_LEN = 24, /* of a neighbour; so are its advertisements */
	ROUTER_SOLICITATION_LEN = 8,
	ROUTER_LEN = 16,

	ADVERTISEMENT_FLAGS = 4,
	FROM_ROUTER = 0x80,
	SOLICITED = 0x40,
	OVERRIDE = 0x20,

	ROUTER_HOPS = 4, /* RFC 4861, section 4.2 */
	ROUTER_FLAGS = 5,
	ROUTER_LIFE = 6,
	MANAGED = 0x80,
	OTHER = 0x40,

	OPTION_SOURCE_LINK = 1, /* RFC 4861, section 4.6 */
	OPTION_TARGET_LINK = 2,
	OPTION_PREFIX = 3,
	OPTION_MTU = 5,
	LINK_OPTION_LEN = 8,
	PREFIX_OPTION_LEN = 32,
	MTU_OPTION_LEN = 8,
	ON_LINK = 0x80,
};

static const uint8_t unspecified[16];
static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};

/* A message that is whole. */
struct message {
	const uint8_t *icmp;
	const uint8_t *source_link, *target_link; /* the MACs of these options; NULL: not given */
};

/* ---- messages ---- */

static uint32_t least_length(uint8_t type)
{
	return type == ICMPV6_TYPE_ROUTER_SOLICITATION ? ROUTER_SOLICITATION_LEN : SOLICITATION_LEN;
}

static bool parse_options(const uint8_t *at, const uint8_t *end, struct message *ret)
{
	while (at < end) {
		if (end - at < 8 || at[1] == 0 || end - at < at[1] * 8)
			return false;
		if (at[0] == OPTION_SOURCE_LINK)
			ret->source_link = at + 2;
		else if (at[0] == OPTION_TARGET_LINK)
			ret->target_link = at + 2;
		at += at[1] * 8;
	}
	return true;
}

/* RFC 4861, sections 6.1.1, 7.1.1 and 7.1.2, but for what concerns addresses. */
static bool parse_message(
	const struct packet *parsed, const uint8_t *frame, uint32_t available, struct message *ret)
{
	const uint8_t *ip = frame + parsed->l3, *icmp = frame + parsed->l4;
	uint32_t length = parsed->l3_length - IPV6_LEN;

	*ret = (struct message){.icmp = icmp};
	if (parsed->l3 + parsed->l3_length > available || ip[IPV6_HOPS] != HOP_LIMIT || icmp[1] != 0 ||
		length < least_length(icmp[0]))
		return false;
	uint64_t sum = checksum_add(checksum_pseudo6(ip + IPV6_SRC, PROTO_ICMPV6, length), icmp, length);
	return checksum_fold(sum) == 0xffff &&
	       parse_options(icmp + least_length(icmp[0]), icmp + length, ret);
}

/* ff02::1:ff00:0/104 */
static bool is_solicited_node(const uint8_t addr[16])
{
	static const uint8_t prefix[13] = {0xff, 2, [11] = 1, [12] = 0xff};

	return memcmp(addr, prefix, sizeof prefix) == 0;
}

static struct ip_addr target_of(const struct message *message)
{
	struct ip_addr target = {.family = IP_V6};

	memcpy(target.bytes, message->icmp + ND_TARGET, 16);
	return target;
}

/* ---- answers ---- */

static bool is_mac_of(const struct nic *nic, const uint8_t *link)
{
	return !link || memcmp(link, nic->mac.bytes, 6) == 0;
}

/* Who asks says who it is, or nothing at all yet. */
static enum drop check_asker(
	const struct nic *nic, const struct packet *parsed, const struct message *message)
{
	if (memcmp(parsed->key.src, unspecified, 16) == 0)
		return message->source_link ? DROP_ND_MALFORMED : DROP_NONE;
	return reach_may_speak(nic, flow_key_source(&parsed->key)) && is_mac_of(nic, message->source_link)
		       ? DROP_NONE
		       : DROP_SPOOFED_ND;
}

static enum drop answer_neighbour(const struct snapshot *snapshot, const struct nic *nic,
	const struct packet *parsed, const struct message *message, struct nd_answer *ret)
{
	struct ip_addr target = target_of(message);
	bool probes = memcmp(parsed->key.src, unspecified, 16) == 0;
	enum drop wrong = check_asker(nic, parsed, message);

	if (wrong)
		return wrong;
	if (target.bytes[0] == 0xff || (probes && !is_solicited_node(parsed->key.dst)))
		return DROP_ND_MALFORMED;
	const uint8_t *mac = reach_mac(snapshot, nic, target);
	if (!mac)
		return DROP_ND_UNANSWERED;
	*ret = (struct nd_answer){
		.mac = mac, .to_all = probes, .target_routes = reach_is_gateway(snapshot, nic, target)};
	return DROP_NONE;
}

static enum drop answer_as_router(const struct nic *nic, const struct packet *parsed,
	const struct message *message, struct nd_answer *ret)
{
	enum drop wrong = check_asker(nic, parsed, message);

	if (wrong)
		return wrong;
	if (!nic_first_address(nic, IP_V6))
		return DROP_NO_IPV6;
	*ret = (struct nd_answer){.router = true};
	return DROP_NONE;
}

static enum drop check_advertisement(
	const struct nic *nic, const struct packet *parsed, const struct message *message)
{
	return reach_may_speak(nic, flow_key_source(&parsed->key)) &&
			       reach_may_speak(nic, target_of(message)) &&
			       is_mac_of(nic, message->target_link)
		       ? DROP_ND_HEARD
		       : DROP_SPOOFED_ND;
}

enum drop nd_answer(const struct snapshot *snapshot, const struct nic *nic, const struct packet *parsed,
	const uint8_t *frame, uint32_t available, struct nd_answer *ret)
{
	uint8_t type = frame[parsed->l4];
	struct message message;

	if (type == ICMPV6_TYPE_ROUTER_ADVERTISEMENT || type == ICMPV6_TYPE_REDIRECT)
		return DROP_ROGUE_ROUTER;
	if (!parse_message(parsed, frame, available, &message))
		return DROP_ND_MALFORMED;
	if (type == ICMPV6_TYPE_ROUTER_SOLICITATION)
		return answer_as_router(nic, parsed, &message, ret);
	if (type == ICMPV6_TYPE_NEIGHBOUR_SOLICITATION)
		return answer_neighbour(snapshot, nic, parsed, &message, ret);
	return check_advertisement(nic, parsed, &message);
}

/* ---- frames ---- */

static uint8_t *put_link(uint8_t *at, uint8_t option, const uint8_t mac[6])
{
	at[0] = option;
	at[1] = LINK_OPTION_LEN / 8;
	memcpy(at + 2, mac, 6);
	return at + LINK_OPTION_LEN;
}

/* On the link for ever, and not to make addresses of. */
static uint8_t *put_prefix(uint8_t *at, struct ip_prefix prefix)
{
	memset(at, 0, PREFIX_OPTION_LEN);
	at[0] = OPTION_PREFIX;
	at[1] = PREFIX_OPTION_LEN / 8;
	at[2] = prefix.length;
	at[3] = ON_LINK;
	store32(at + 4, UINT32_MAX); /* valid, */
	store32(at + 8, UINT32_MAX); /* and preferred */
	memcpy(at + 16, prefix.addr.bytes, 16);
	return at + PREFIX_OPTION_LEN;
}

static uint8_t *put_mtu(uint8_t *at, uint16_t mtu)
{
	at[0] = OPTION_MTU;
	at[1] = MTU_OPTION_LEN / 8;
	store16(at + 2, 0);
	store32(at + 4, mtu);
	return at + MTU_OPTION_LEN;
}

uint16_t nd_write_router(const struct nic *nic, uint8_t frame[static ND_ROUTER_FRAME_MAX])
{
	uint8_t *ip = frame + ETH_LEN, *icmp = ip + IPV6_LEN;

	if (!nic_first_address(nic, IP_V6))
		return 0;
	memset(icmp, 0, ROUTER_LEN); /* times of reachability are the host's own */
	icmp[0] = ICMPV6_TYPE_ROUTER_ADVERTISEMENT;
	icmp[ROUTER_HOPS] = 64;
	icmp[ROUTER_FLAGS] = MANAGED | OTHER;
	store16(icmp + ROUTER_LIFE, ROUTER_LIFETIME);
	uint8_t *end = put_link(icmp + ROUTER_LEN, OPTION_SOURCE_LINK, gateway_mac);
	end = put_mtu(end, nic->mtu);
	end = put_prefix(end, nic->subnet->prefix6);
	reply_write_ipv6(frame, all_nodes_mac, gateway_link_local.bytes, all_nodes, PROTO_ICMPV6, HOP_LIMIT,
		(uint16_t)(end - icmp));
	reply_set_checksum6(ip, icmp + ICMP_CHECK);
	return (uint16_t)(end - frame);
}
static_assert(ETH_LEN + IPV6_LEN + ROUTER_LEN + LINK_OPTION_LEN + MTU_OPTION_LEN + PREFIX_OPTION_LEN <=
		      ND_ROUTER_FRAME_MAX,
	"the largest router advertisement has room");

#define NEIGHBOUR_FRAME (ETH_LEN + IPV6_LEN + SOLICITATION_LEN + LINK_OPTION_LEN)

/* In the name of the target, to the asker. */
static void write_neighbour(uint8_t frame[static NEIGHBOUR_FRAME], const struct nic *nic,
	const uint8_t asker[16], const uint8_t target[16], const struct nd_answer *answer)
{
	uint8_t *ip = frame + ETH_LEN, *icmp = ip + IPV6_LEN;

	memset(icmp, 0, ND_TARGET);
	icmp[0] = ICMPV6_TYPE_NEIGHBOUR_ADVERTISEMENT;
	icmp[ADVERTISEMENT_FLAGS] = (uint8_t)((answer->target_routes ? FROM_ROUTER : 0) |
					      (answer->to_all ? 0 : SOLICITED) | OVERRIDE);
	memcpy(icmp + ND_TARGET, target, 16);
	put_link(icmp + SOLICITATION_LEN, OPTION_TARGET_LINK, answer->mac);
	reply_write_ipv6(frame, answer->to_all ? all_nodes_mac : nic->mac.bytes, target,
		answer->to_all ? all_nodes : asker, PROTO_ICMPV6, HOP_LIMIT,
		SOLICITATION_LEN + LINK_OPTION_LEN);
	memcpy(frame + ETH_SRC, answer->mac, 6);
	reply_set_checksum6(ip, icmp + ICMP_CHECK);
}

void nd_build_probe(struct rte_mbuf *packet, const struct nic *nic)
{
	uint8_t frame[NEIGHBOUR_FRAME], *ip = frame + ETH_LEN, *icmp = ip + IPV6_LEN;
	const uint8_t *target = nic_first_address(nic, IP_V6)->ip.bytes;

	memset(icmp, 0, ND_TARGET);
	icmp[0] = ICMPV6_TYPE_NEIGHBOUR_SOLICITATION;
	memcpy(icmp + ND_TARGET, target, 16);
	put_link(icmp + SOLICITATION_LEN, OPTION_SOURCE_LINK, gateway_mac);
	reply_write_ipv6(frame, nic->mac.bytes, gateway_link_local.bytes, target, PROTO_ICMPV6, HOP_LIMIT,
		SOLICITATION_LEN + LINK_OPTION_LEN);
	reply_set_checksum6(ip, icmp + ICMP_CHECK);
	memcpy(rte_pktmbuf_append(packet, sizeof frame), frame, sizeof frame); /* an empty buffer has room */
}

void nd_from_nic(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet)
{
	uint8_t answer_frame[ND_ROUTER_FRAME_MAX];
	const uint8_t *frame = rte_pktmbuf_mtod(packet, const uint8_t *);
	struct nd_answer answer;
	uint16_t length = NEIGHBOUR_FRAME;
	enum drop reason = nd_answer(worker->snapshot, nic, parsed, frame, packet->data_len, &answer);

	if (reason != DROP_NONE) {
		output_drop(worker, nic->id, reason, packet);
		return;
	}
	if (answer.router)
		length = nd_write_router(nic, answer_frame);
	else
		write_neighbour(answer_frame, nic, parsed->key.src, frame + parsed->l4 + ND_TARGET, &answer);
	if (!reply_resize(packet, length)) {
		output_drop(worker, nic->id, DROP_NO_BUFFER, packet);
		return;
	}
	memcpy(rte_pktmbuf_mtod(packet, void *), answer_frame, length);
	output_nic(worker, nic, packet);
}
static_assert(NEIGHBOUR_FRAME <= ND_ROUTER_FRAME_MAX, "both kinds of answers have room");
