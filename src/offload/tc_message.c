/* Filters, qdiscs and dumps: see tc_message.h. Actions are in tc_action.c. */
#include "offload/tc_message.h"

#include "offload/tc_message_priv.h"

#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <netinet/in.h>

#define ETHERTYPE_IPV4  0x0800
#define ETHERTYPE_IPV6  0x86dd
#define ETHERTYPE_VLAN  0x8100
#define TCP_SYN_FIN_RST 0x07

/* Flower wants one protocol in a priority. */
enum { PRIORITY_GUARD = 0x10, PRIORITY_IPV4 = 0x20, PRIORITY_IPV6, PRIORITY_VLAN };

static uint16_t ethertype_of(uint8_t family)
{
	return family == IP_V6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4;
}

struct tc_place tc_place_of(const struct offload_match *match, int ifindex, uint32_t handle)
{
	bool tagged = match->vlan != OFFLOAD_VLAN_NONE;

	return (struct tc_place){
		.ifindex = ifindex,
		.handle = handle,
		.protocol = tagged ? ETHERTYPE_VLAN : ethertype_of(match->family),
		.priority = tagged                   ? PRIORITY_VLAN
			    : match->family == IP_V6 ? PRIORITY_IPV6
						     : PRIORITY_IPV4,
	};
}

bool tc_priority_is_of_flows(uint16_t priority)
{
	return priority >= PRIORITY_IPV4 && priority <= PRIORITY_VLAN;
}

/* ---- the heads of messages ---- */

void tc_begin(struct nl_msg *msg, int type, int flags, const void *head, size_t size)
{
	nlmsg_hdr(msg)->nlmsg_len = NLMSG_HDRLEN;
	struct nlmsghdr *header = nlmsg_put(msg, 0, 0, type, (int)size, NLM_F_REQUEST | flags);
	memcpy(nlmsg_data(header), head, size);
}

static void begin_filter(struct nl_msg *msg, int type, int flags, const struct tc_place *place)
{
	const struct tcmsg head = {
		.tcm_ifindex = place->ifindex,
		.tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
		.tcm_handle = place->handle,
		.tcm_info = TC_H_MAKE((uint32_t)place->priority << 16, htons(place->protocol)),
	};

	tc_begin(msg, type, flags, &head, sizeof head);
}

static void begin_qdisc(struct nl_msg *msg, int type, int flags, int ifindex)
{
	const struct tcmsg head = {
		.tcm_ifindex = ifindex, .tcm_parent = TC_H_CLSACT, .tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0)};

	tc_begin(msg, type, flags, &head, sizeof head);
	tc_put_text(msg, TCA_KIND, "clsact");
}

void tc_message_qdisc(struct nl_msg *msg, int ifindex)
{
	begin_qdisc(msg, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex);
}

void tc_message_remove_qdisc(struct nl_msg *msg, int ifindex)
{
	begin_qdisc(msg, RTM_DELQDISC, 0, ifindex);
}

void tc_message_remove(struct nl_msg *msg, const struct tc_place *place)
{
	begin_filter(msg, RTM_DELTFILTER, 0, place);
	tc_put_text(msg, TCA_KIND, "flower");
}

void tc_message_dump(struct nl_msg *msg, int ifindex, bool egress)
{
	const struct nla_bitfield32 terse = {.value = TCA_DUMP_FLAGS_TERSE, .selector = TCA_DUMP_FLAGS_TERSE};
	const struct tcmsg head = {.tcm_ifindex = ifindex,
		.tcm_parent = TC_H_MAKE(TC_H_CLSACT, egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS)};

	tc_begin(msg, RTM_GETTFILTER, NLM_F_DUMP, &head, sizeof head);
	tc_put(msg, TCA_DUMP_FLAGS, &terse, sizeof terse);
}

void tc_message_link(struct nl_msg *msg, int ifindex)
{
	const struct ifinfomsg head = {.ifi_index = ifindex};

	tc_begin(msg, RTM_GETLINK, 0, &head, sizeof head);
}

/* ---- matches ---- */

static void match_bytes(
	struct nl_msg *msg, int value_type, const void *value, int mask_type, size_t size, const void *mask)
{
	static const uint8_t all[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff};

	tc_put(msg, value_type, value, size);
	tc_put(msg, mask_type, mask ? mask : all, size);
}

static void match_tunnel(struct nl_msg *msg, const struct offload_tunnel *tunnel)
{
	tc_put_be32(msg, TCA_FLOWER_KEY_ENC_KEY_ID, tunnel->vni);
	match_bytes(
		msg, TCA_FLOWER_KEY_ENC_IPV4_SRC, tunnel->source, TCA_FLOWER_KEY_ENC_IPV4_SRC_MASK, 4, NULL);
	match_bytes(msg, TCA_FLOWER_KEY_ENC_IPV4_DST, tunnel->destination, TCA_FLOWER_KEY_ENC_IPV4_DST_MASK,
		4, NULL);
	/* Drivers want it (mlx5: "UDP tunnel decap filter must include enc_dst_port condition"). */
	tc_put_be16(msg, TCA_FLOWER_KEY_ENC_UDP_DST_PORT, IP_VXLAN_PORT);
	tc_put_be16(msg, TCA_FLOWER_KEY_ENC_UDP_DST_PORT_MASK, 0xffff);
}

static void match_ethernet(struct nl_msg *msg, const struct offload_match *match)
{
	if (match->has_dmac)
		match_bytes(msg, TCA_FLOWER_KEY_ETH_DST, match->dmac, TCA_FLOWER_KEY_ETH_DST_MASK, 6, NULL);
	if (match->has_smac)
		match_bytes(msg, TCA_FLOWER_KEY_ETH_SRC, match->smac, TCA_FLOWER_KEY_ETH_SRC_MASK, 6, NULL);
	if (match->vlan == OFFLOAD_VLAN_NONE) {
		tc_put_be16(msg, TCA_FLOWER_KEY_ETH_TYPE, ethertype_of(match->family));
		return;
	}
	tc_put_be16(msg, TCA_FLOWER_KEY_ETH_TYPE, ETHERTYPE_VLAN);
	tc_put_u16(msg, TCA_FLOWER_KEY_VLAN_ID, match->vlan);
	tc_put_be16(msg, TCA_FLOWER_KEY_VLAN_ETH_TYPE, ethertype_of(match->family));
}

static void match_ip(struct nl_msg *msg, const struct offload_match *match)
{
	bool v6 = match->family == IP_V6;
	size_t size = v6 ? 16 : 4;

	match_bytes(msg, v6 ? TCA_FLOWER_KEY_IPV6_SRC : TCA_FLOWER_KEY_IPV4_SRC, match->src,
		v6 ? TCA_FLOWER_KEY_IPV6_SRC_MASK : TCA_FLOWER_KEY_IPV4_SRC_MASK, size, NULL);
	match_bytes(msg, v6 ? TCA_FLOWER_KEY_IPV6_DST : TCA_FLOWER_KEY_IPV4_DST, match->dst,
		v6 ? TCA_FLOWER_KEY_IPV6_DST_MASK : TCA_FLOWER_KEY_IPV4_DST_MASK, size, NULL);
	tc_put(msg, TCA_FLOWER_KEY_IP_PROTO, &match->protocol, 1);
	/* No fragment. */
	tc_put_be32(msg, TCA_FLOWER_KEY_FLAGS, 0);
	tc_put_be32(msg, TCA_FLOWER_KEY_FLAGS_MASK, TCA_FLOWER_KEY_FLAGS_IS_FRAGMENT);
}

static void match_ports(struct nl_msg *msg, const struct offload_match *match)
{
	if (match->protocol == IPPROTO_TCP) {
		match_bytes(msg, TCA_FLOWER_KEY_TCP_SRC, &match->sport, TCA_FLOWER_KEY_TCP_SRC_MASK, 2, NULL);
		match_bytes(msg, TCA_FLOWER_KEY_TCP_DST, &match->dport, TCA_FLOWER_KEY_TCP_DST_MASK, 2, NULL);
		tc_put_be16(msg, TCA_FLOWER_KEY_TCP_FLAGS, 0);
		tc_put_be16(msg, TCA_FLOWER_KEY_TCP_FLAGS_MASK, TCP_SYN_FIN_RST);
	} else if (match->protocol == IPPROTO_UDP) {
		match_bytes(msg, TCA_FLOWER_KEY_UDP_SRC, &match->sport, TCA_FLOWER_KEY_UDP_SRC_MASK, 2, NULL);
		match_bytes(msg, TCA_FLOWER_KEY_UDP_DST, &match->dport, TCA_FLOWER_KEY_UDP_DST_MASK, 2, NULL);
	}
}

/* ---- filters ---- */

void tc_message_put(struct nl_msg *msg, const struct offload_flow *flow, const struct tc_place *place,
	const struct tc_out *out, uint32_t flags)
{
	const struct offload_match *match = &flow->match;

	begin_filter(msg, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, place);
	tc_put_text(msg, TCA_KIND, "flower");
	struct nlattr *options = tc_nest(msg, TCA_OPTIONS);
	tc_put_u32(msg, TCA_FLOWER_FLAGS, flags);
	if (match->tunnel.used)
		match_tunnel(msg, &match->tunnel);
	match_ethernet(msg, match);
	match_ip(msg, match);
	match_ports(msg, match);
	struct nlattr *actions = tc_nest(msg, TCA_FLOWER_ACT);
	tc_put_actions(msg, flow, out);
	nla_nest_end(msg, actions);
	nla_nest_end(msg, options);
}

/* The last hop: IPv4 and IPv6, without and with a tag. */
static uint16_t guarded_type(unsigned i)
{
	return ethertype_of(i & 1 ? IP_V6 : IP_V4);
}

struct tc_place tc_guard_place(int ifindex, unsigned i)
{
	return (struct tc_place){.ifindex = ifindex,
		.handle = TC_HANDLES,
		.protocol = i & 2 ? ETHERTYPE_VLAN : guarded_type(i),
		.priority = (uint16_t)(PRIORITY_GUARD + i)};
}

void tc_message_guard(struct nl_msg *msg, int ifindex, unsigned i, bool made_ingress, uint32_t flags)
{
	const uint8_t hops = 0, mask = 0xfe;
	const struct tc_place place = tc_guard_place(ifindex, i);

	begin_filter(msg, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &place);
	tc_put_text(msg, TCA_KIND, "flower");
	struct nlattr *options = tc_nest(msg, TCA_OPTIONS);
	tc_put_u32(msg, TCA_FLOWER_FLAGS, flags);
	tc_put_be16(msg, TCA_FLOWER_KEY_ETH_TYPE, place.protocol);
	if (place.protocol == ETHERTYPE_VLAN)
		tc_put_be16(msg, TCA_FLOWER_KEY_VLAN_ETH_TYPE, guarded_type(i));
	match_bytes(msg, TCA_FLOWER_KEY_IP_TTL, &hops, TCA_FLOWER_KEY_IP_TTL_MASK, 1, &mask);
	struct nlattr *actions = tc_nest(msg, TCA_FLOWER_ACT);
	tc_put_pass(msg, made_ingress);
	nla_nest_end(msg, actions);
	nla_nest_end(msg, options);
}
