/* Actions of tc: what flows do, and what they share. */
#include "offload/tc_message.h"
#include "offload/tc_message_priv.h"

#include <linux/pkt_cls.h>
#include <linux/tc_act/tc_csum.h>
#include <linux/tc_act/tc_gact.h>
#include <linux/tc_act/tc_mirred.h>
#include <linux/tc_act/tc_pedit.h>
#include <linux/tc_act/tc_tunnel_key.h>
#include <linux/tc_act/tc_vlan.h>
#include <netinet/in.h>

#define TUNNEL_HOPS    64
#define PEDIT_KEYS_MAX 8
/* Of police actions, apart from those that others make with small numbers. Filters and their actions must agree on
 * skip_hw and skip_sw, which are part of the index: what another mode left behind is another one. */
#define MTU_INDEX(flags)   (UINT32_C(0x58000000) | ((flags)&3) << 24)
#define METER_INDEX(flags) (UINT32_C(0x5c000000) | ((flags)&3) << 24)
#define METERS_MAX         (1u << 23)
#define ETHERNET_BYTES     14
#define NS_PER_TICK        64 /* include/net/pkt_sched.h: PSCHED_SHIFT */
#define RATE_TABLE         1024 /* TC_RTAB_SIZE */

/* An action's number in its list, with its kind and options. */
struct action {
	struct nlattr *outer, *options;
};

static struct action begin(struct nl_msg *msg, int *order, const char *kind)
{
	struct action action = {.outer = tc_nest(msg, (*order)++)};

	tc_put_text(msg, TCA_ACT_KIND, kind);
	action.options = tc_nest(msg, TCA_ACT_OPTIONS);
	return action;
}

static void end(struct nl_msg *msg, struct action action)
{
	nla_nest_end(msg, action.options);
	nla_nest_end(msg, action.outer);
}

/* A filter's last one. */
static void end_ours(struct nl_msg *msg, struct action action, bool made_ingress)
{
	const struct tc_cookie cookie = {.name = TC_NAME, .made_ingress = made_ingress};

	nla_nest_end(msg, action.options);
	tc_put(msg, TCA_ACT_COOKIE, &cookie, sizeof cookie);
	nla_nest_end(msg, action.outer);
}

/* ---- what flows do ---- */

static void put_shared_police(struct nl_msg *msg, int *order, uint32_t index)
{
	const struct tc_police police = {.index = index};
	struct action action = begin(msg, order, "police");

	tc_put(msg, TCA_POLICE_TBF, &police, sizeof police);
	end(msg, action);
}

/* Writes to headers, by words of four bytes: those bits change that are not in the mask. */
struct pedit {
	struct {
		struct tc_pedit_sel sel;
		struct tc_pedit_key keys[PEDIT_KEYS_MAX];
	} parameters;
	struct {
		uint16_t header, command;
	} extended[PEDIT_KEYS_MAX];
};

static void pedit_add(struct pedit *pedit, enum pedit_header_type header, enum pedit_cmd command,
	uint32_t offset, const uint8_t value[4], const uint8_t change[4])
{
	unsigned i = pedit->parameters.sel.nkeys++;
	struct tc_pedit_key *key = &pedit->parameters.keys[i];
	uint32_t changed;

	memcpy(&key->val, value, 4);
	memcpy(&changed, change, 4);
	key->mask = ~changed;
	key->off = offset;
	pedit->extended[i].header = header;
	pedit->extended[i].command = command;
}

static const uint8_t whole[4] = {0xff, 0xff, 0xff, 0xff}, upper[4] = {0xff, 0xff},
		     lower[4] = {0, 0, 0xff, 0xff};

static void pedit_set(struct pedit *pedit, enum pedit_header_type header, uint32_t offset,
	const uint8_t value[4], const uint8_t change[4])
{
	pedit_add(pedit, header, TCA_PEDIT_KEY_EX_CMD_SET, offset, value, change);
}

static void pedit_macs(struct pedit *pedit, const struct offload_actions *a)
{
	const uint8_t *d = a->dmac, *s = a->smac;

	pedit_set(pedit, TCA_PEDIT_KEY_EX_HDR_TYPE_ETH, 0, d, whole);
	pedit_set(pedit, TCA_PEDIT_KEY_EX_HDR_TYPE_ETH, 4, (uint8_t[]){d[4], d[5], s[0], s[1]}, whole);
	pedit_set(pedit, TCA_PEDIT_KEY_EX_HDR_TYPE_ETH, 8, s + 2, whole);
}

/* 255 more, without a carry, is one less. */
static void pedit_hop(struct pedit *pedit, bool v6)
{
	if (v6)
		pedit_add(pedit, TCA_PEDIT_KEY_EX_HDR_TYPE_IP6, TCA_PEDIT_KEY_EX_CMD_ADD, 4,
			(uint8_t[]){0, 0, 0, 0xff}, (uint8_t[]){0, 0, 0, 0xff});
	else
		pedit_add(pedit, TCA_PEDIT_KEY_EX_HDR_TYPE_IP4, TCA_PEDIT_KEY_EX_CMD_ADD, 8,
			(uint8_t[]){0xff, 0, 0, 0}, (uint8_t[]){0xff, 0, 0, 0});
}

static void pedit_ports(struct pedit *pedit, const struct offload_actions *a, uint8_t protocol)
{
	enum pedit_header_type header =
		protocol == IPPROTO_TCP ? TCA_PEDIT_KEY_EX_HDR_TYPE_TCP : TCA_PEDIT_KEY_EX_HDR_TYPE_UDP;
	uint8_t ports[4];

	memcpy(ports, &a->new_sport, 2);
	memcpy(ports + 2, &a->new_dport, 2);
	if (a->set_sport || a->set_dport)
		pedit_set(pedit, header, 0, ports, !a->set_dport ? upper : a->set_sport ? whole : lower);
}

static void put_pedit(struct nl_msg *msg, int *order, const struct offload_flow *flow)
{
	const struct offload_actions *a = &flow->actions;
	struct pedit pedit = {.parameters.sel.action = TC_ACT_PIPE};

	if (a->set_macs)
		pedit_macs(&pedit, a);
	if (a->set_src)
		pedit_set(&pedit, TCA_PEDIT_KEY_EX_HDR_TYPE_IP4, 12, a->new_src, whole);
	if (a->set_dst)
		pedit_set(&pedit, TCA_PEDIT_KEY_EX_HDR_TYPE_IP4, 16, a->new_dst, whole);
	if (a->hop)
		pedit_hop(&pedit, flow->match.family == IP_V6);
	pedit_ports(&pedit, a, flow->match.protocol);
	unsigned n = pedit.parameters.sel.nkeys;
	if (n == 0)
		return;
	struct action action = begin(msg, order, "pedit");
	tc_put(msg, TCA_PEDIT_PARMS_EX, &pedit.parameters,
		sizeof pedit.parameters.sel + n * sizeof pedit.parameters.keys[0]);
	struct nlattr *keys = tc_nest(msg, TCA_PEDIT_KEYS_EX | NLA_F_NESTED);
	for (unsigned i = 0; i < n; i++) {
		struct nlattr *key = tc_nest(msg, TCA_PEDIT_KEY_EX | NLA_F_NESTED);
		tc_put_u16(msg, TCA_PEDIT_KEY_EX_HTYPE, pedit.extended[i].header);
		tc_put_u16(msg, TCA_PEDIT_KEY_EX_CMD, pedit.extended[i].command);
		nla_nest_end(msg, key);
	}
	nla_nest_end(msg, keys);
	end(msg, action);
}

static void put_csum(struct nl_msg *msg, int *order, const struct offload_flow *flow)
{
	const struct offload_actions *a = &flow->actions;
	bool translated = a->set_src || a->set_dst || a->set_sport || a->set_dport;
	struct tc_csum csum = {.action = TC_ACT_PIPE, .update_flags = TCA_CSUM_UPDATE_FLAG_IPV4HDR};

	if (flow->match.family != IP_V4 || (!translated && !a->hop))
		return;
	if (translated && flow->match.protocol == IPPROTO_TCP)
		csum.update_flags |= TCA_CSUM_UPDATE_FLAG_TCP;
	if (translated && flow->match.protocol == IPPROTO_UDP)
		csum.update_flags |= TCA_CSUM_UPDATE_FLAG_UDP;
	struct action action = begin(msg, order, "csum");
	tc_put(msg, TCA_CSUM_PARMS, &csum, sizeof csum);
	end(msg, action);
}

static void put_vlan(struct nl_msg *msg, int *order, int what, uint16_t id)
{
	const struct tc_vlan vlan = {.action = TC_ACT_PIPE, .v_action = what};
	struct action action = begin(msg, order, "vlan");

	tc_put(msg, TCA_VLAN_PARMS, &vlan, sizeof vlan);
	if (what == TCA_VLAN_ACT_PUSH)
		tc_put_u16(msg, TCA_VLAN_PUSH_VLAN_ID, id);
	end(msg, action);
}

/* NULL: what it came with is taken off. */
static void put_tunnel_key(struct nl_msg *msg, int *order, const struct offload_tunnel *tunnel)
{
	const uint8_t hops = TUNNEL_HOPS, no_csum = 1;
	const struct tc_tunnel_key key = {.action = TC_ACT_PIPE,
		.t_action = tunnel ? TCA_TUNNEL_KEY_ACT_SET : TCA_TUNNEL_KEY_ACT_RELEASE};
	struct action action = begin(msg, order, "tunnel_key");

	tc_put(msg, TCA_TUNNEL_KEY_PARMS, &key, sizeof key);
	if (tunnel) {
		tc_put(msg, TCA_TUNNEL_KEY_ENC_IPV4_SRC, tunnel->source, 4);
		tc_put(msg, TCA_TUNNEL_KEY_ENC_IPV4_DST, tunnel->destination, 4);
		tc_put_be32(msg, TCA_TUNNEL_KEY_ENC_KEY_ID, tunnel->vni);
		tc_put_be16(msg, TCA_TUNNEL_KEY_ENC_DST_PORT, IP_VXLAN_PORT);
		tc_put(msg, TCA_TUNNEL_KEY_NO_CSUM, &no_csum, 1);
		tc_put(msg, TCA_TUNNEL_KEY_ENC_TTL, &hops, 1);
	}
	end(msg, action);
}

static void put_redirect(struct nl_msg *msg, int *order, int ifindex)
{
	const struct tc_mirred mirred = {
		.action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (uint32_t)ifindex};
	struct action action = begin(msg, order, "mirred");

	tc_put(msg, TCA_MIRRED_PARMS, &mirred, sizeof mirred);
	end_ours(msg, action, false);
}

void tc_put_actions(struct nl_msg *msg, const struct offload_flow *flow, const struct tc_out *out)
{
	const struct offload_actions *a = &flow->actions;
	int order = 1;

	put_shared_police(msg, &order, out->mtu_police);
	if (flow->match.tunnel.used)
		put_tunnel_key(msg, &order, NULL);
	if (flow->match.vlan != OFFLOAD_VLAN_NONE)
		put_vlan(msg, &order, TCA_VLAN_ACT_POP, 0);
	put_pedit(msg, &order, flow);
	put_csum(msg, &order, flow);
	for (unsigned i = 0; i < out->n_police; i++)
		put_shared_police(msg, &order, out->police[i]);
	if (a->push_vlan != OFFLOAD_VLAN_NONE)
		put_vlan(msg, &order, TCA_VLAN_ACT_PUSH, a->push_vlan);
	if (a->tunnel.used)
		put_tunnel_key(msg, &order, &a->tunnel);
	put_redirect(msg, &order, out->ifindex);
}

void tc_put_pass(struct nl_msg *msg, bool made_ingress)
{
	const struct tc_gact gact = {.action = TC_ACT_OK};
	int order = 1;
	struct action action = begin(msg, &order, "gact");

	tc_put(msg, TCA_GACT_PARMS, &gact, sizeof gact);
	end_ours(msg, action, made_ingress);
}

/* ---- what they share ---- */

static_assert(TCA_CLS_FLAGS_SKIP_HW == 1 && TCA_CLS_FLAGS_SKIP_SW == 2, "two bits of an index");

uint32_t tc_mtu_index(uint16_t mtu, uint32_t flags)
{
	return MTU_INDEX(flags) | mtu;
}

uint32_t tc_meter_index(uint32_t meter, bool packets, uint32_t flags)
{
	assert(meter > 0 && meter < METERS_MAX);
	return METER_INDEX(flags) + meter * 2 + packets;
}

/* A message with one police action. */
static struct action begin_police(struct nl_msg *msg, uint32_t filter_flags, struct nlattr **ret_table)
{
	const struct tcamsg head = {};
	uint32_t value = (filter_flags & TCA_CLS_FLAGS_SKIP_HW ? TCA_ACT_FLAGS_SKIP_HW : 0) |
			 (filter_flags & TCA_CLS_FLAGS_SKIP_SW ? TCA_ACT_FLAGS_SKIP_SW : 0);
	const struct nla_bitfield32 flags = {.value = value, .selector = value};
	struct action action;

	tc_begin(msg, RTM_NEWACTION, NLM_F_CREATE | NLM_F_REPLACE, &head, sizeof head);
	*ret_table = tc_nest(msg, TCA_ACT_TAB);
	action.outer = tc_nest(msg, 1);
	tc_put_text(msg, TCA_ACT_KIND, "police");
	if (value)
		tc_put(msg, TCA_ACT_FLAGS, &flags, sizeof flags);
	action.options = tc_nest(msg, TCA_ACT_OPTIONS);
	return action;
}

void tc_message_mtu(struct nl_msg *msg, uint16_t mtu, uint32_t flags)
{
	const struct tc_police police = {.index = tc_mtu_index(mtu, flags),
		.action = TC_ACT_OK,
		.mtu = (uint32_t)mtu + ETHERNET_BYTES};
	struct nlattr *table;
	struct action action = begin_police(msg, flags, &table);

	tc_put(msg, TCA_POLICE_TBF, &police, sizeof police);
	tc_put_u32(msg, TCA_POLICE_RESULT, TC_ACT_PIPE);
	end(msg, action);
	nla_nest_end(msg, table);
}

void tc_message_meter(struct nl_msg *msg, const struct offload_meter *meter, bool packets, uint32_t flags)
{
	/* The kernel wants to see a table of rates, and reads none of it. */
	static const uint8_t rates[RATE_TABLE];
	uint64_t bytes_per_s = meter->bits_per_s / 8,
		 burst = meter->burst_ms * UINT64_C(1000000) / NS_PER_TICK;
	struct tc_police police = {
		.index = tc_meter_index(meter->id, packets, flags), .action = TC_ACT_SHOT, .mtu = UINT32_MAX};
	struct nlattr *table;
	struct action action = begin_police(msg, flags, &table);

	if (!packets) {
		police.burst = (uint32_t)burst;
		police.rate = (struct tc_ratespec){.cell_log = 3,
			.linklayer = TC_LINKLAYER_ETHERNET,
			.rate = bytes_per_s < UINT32_MAX ? (uint32_t)bytes_per_s : UINT32_MAX};
		tc_put(msg, TCA_POLICE_RATE, rates, sizeof rates);
		tc_put(msg, TCA_POLICE_RATE64, &bytes_per_s, sizeof bytes_per_s);
	}
	tc_put(msg, TCA_POLICE_TBF, &police, sizeof police);
	if (packets) {
		tc_put(msg, TCA_POLICE_PKTRATE64, &meter->packets_per_s, sizeof meter->packets_per_s);
		tc_put(msg, TCA_POLICE_PKTBURST64, &burst, sizeof burst);
	}
	tc_put_u32(msg, TCA_POLICE_RESULT, TC_ACT_PIPE);
	end(msg, action);
	nla_nest_end(msg, table);
}

void tc_message_remove_police(struct nl_msg *msg, uint32_t index)
{
	const struct tcamsg head = {};

	tc_begin(msg, RTM_DELACTION, 0, &head, sizeof head);
	struct nlattr *table = tc_nest(msg, TCA_ACT_TAB), *action = tc_nest(msg, 1);
	tc_put_text(msg, TCA_ACT_KIND, "police");
	tc_put_u32(msg, TCA_ACT_INDEX, index);
	nla_nest_end(msg, action);
	nla_nest_end(msg, table);
}
