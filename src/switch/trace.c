/* Trace: what would become of a packet.
 *
 * How it works. The description becomes a frame, and the frame goes the way of a real one through the same
 * functions: the parser, the check of its MAC, the flow table, the responders, the checks of a first packet,
 * the layers (decide_observed), the quota, the table's room, the checks of execution. Only what these would do is left out: no
 * flow is put in, nothing is counted, nothing is sent. Each leaves a step; the first that refuses or answers
 * is the last.
 *
 * A packet of a known connection is executed by its flows; the layers are asked all the same, as they are
 * when the state changes, since what they say is what the flows were composed from.
 */
#include "switch/trace.h"

#include "base/fault.h"
#include "switch/connections.h"
#include "switch/decide.h"
#include "switch/decode.h"
#include "switch/flow_query.h"
#include "switch/flow_text.h"
#include "switch/layers/layer.h"
#include "switch/lookup.h"
#include "switch/offloader.h"
#include "switch/packet_words.h"
#include "switch/parse.h"
#include "switch/peer.h"
#include "switch/respond/respond.h"
#include "switch/rewrite.h"
#include "switch/slow_path.h"
#include "switch/source_nat.h"
#include "switch/tcp.h"
#include "switch/walk_text.h"

struct trace {
	const struct datapath *datapath;
	const struct snapshot *state;
	const struct nic *nic; /* that sends it; from an edge: that it is for */
	enum flow_origin origin;
	bool shared; /* from outside, for an address that NICs share */
	struct packet_words words;
	uint8_t frame[PACKET_WORDS_FRAME];
	uint32_t length; /* of the frame */
	struct packet parsed;
	bool layer_refused; /* in the last walk */
	json_t *steps, *result; /* the steps are the result's */
};

/* ---- steps and outcomes ---- */

G_GNUC_PRINTF(4, 5)
static void step(struct trace *t, const char *stage, const char *verdict, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *text = g_strdup_vprintf(format, args);
	va_end(args);
	json_array_append_new(
		t->steps, json_pack("{s:s, s:s, s:s}", "stage", stage, "verdict", verdict, "text", text));
}

static void outcome(struct trace *t, const char *verdict)
{
	json_object_set_new(t->result, "verdict", json_string(verdict));
}

static void set_drop(struct trace *t, enum drop reason)
{
	outcome(t, "dropped");
	json_object_set_new(t->result, "drop",
		json_pack("{s:s, s:s}", "reason", drop_word(reason), "text", drop_text(reason)));
}

/* Always false. */
static bool drop(struct trace *t, const char *stage, enum drop reason)
{
	step(t, stage, "refused", "%s", drop_text(reason));
	set_drop(t, reason);
	return false;
}

static bool answered(struct trace *t, const char *text)
{
	step(t, "responders", "answered", "%s", text);
	outcome(t, "answered");
	return false;
}

/* ---- where it comes from ---- */

/* The edge of that origin or exit, towards the NIC's physical network its own. */
static const struct edge *edge_at(const struct trace *t, unsigned place)
{
	return place == FLOW_TO_PHYSICAL ? &t->nic->network->physical->edge : snapshot_edge(t->state, place);
}

static const struct edge *edge_of(const struct trace *t)
{
	return edge_at(t, t->origin);
}

static const char *edge_word(unsigned place)
{
	return place == FLOW_TO_OUTSIDE    ? "uplink"
	       : place == FLOW_TO_TUNNEL   ? "underlay"
	       : place == FLOW_TO_PHYSICAL ? "physical network"
					   : "host port";
}

static bool is_host_address(const struct nic *nic, struct ip_addr addr)
{
	static const uint8_t none[4];

	return addr.family == IP_V4 && memcmp(nic->host_address, none, 4) != 0 &&
	       memcmp(nic->host_address, addr.bytes, 4) == 0;
}

/* "in": by an edge, or from a neighbour, whose packet it then is. */
static bool find_sender(struct trace *t, GError **error)
{
	char dst[IP_TEXT_MAX], src[IP_TEXT_MAX];
	struct ip_addr to = t->words.dst;
	struct owner owner = snapshot_find(t->state, SPACE_PUBLIC, to);

	ip_format(to, dst);
	ip_format(t->words.src, src);
	if (t->words.kind != PACKET_WORDS_IP)
		return fault_set(error, FAULT_INVALID,
			"packet: ARP, neighbour discovery and DHCP are traced on their way out only");
	if (owner.kind == OWNER_NIC && owner.nic->load_balancer)
		t->nic = owner.nic; /* whose choice may be another member */
	if ((owner.kind == OWNER_NIC && owner.nic == t->nic) ||
		(owner.kind == OWNER_SHARED && network_shares(t->nic->network, to.bytes))) {
		t->origin = FLOW_FROM_OUTSIDE;
		t->shared = owner.kind == OWNER_SHARED;
	} else if (is_host_address(t->nic, to)) {
		t->origin = FLOW_FROM_HOST;
	} else if (!nic_find_address(t->nic, to)) {
		return fault_set(
			error, FAULT_INVALID, "packet: %s is no address of NIC %s", dst, t->nic->name);
	} else {
		owner = snapshot_find(t->state, t->nic->network->space, t->words.src);
		if (vxlan_remote(t->state, t->nic, t->words.src)) {
			t->origin = FLOW_FROM_TUNNEL;
			return true;
		}
		if (vlan_remote(t->state, t->nic, t->words.src).family != IP_NONE) {
			t->origin = FLOW_FROM_PHYSICAL;
			return true;
		}
		if (owner.kind != OWNER_NIC || owner.nic == t->nic)
			return fault_set(error, FAULT_INVALID,
				"packet: no other NIC of the network has the address %s; from outside, a "
				"packet is for a public address of the NIC, from the host for its host "
				"address",
				src);
		t->nic = owner.nic;
	}
	if (t->origin != FLOW_FROM_NIC && !edge_of(t)->present)
		return fault_set(error, FAULT_INVALID,
			"packet: the switch has no %s, so nothing comes from there", edge_word(t->origin));
	return true;
}

/* Of what is for all, or for a group of IPv6 (RFC 2464, section 7). */
static struct mac_addr group_mac(const struct packet_words *w)
{
	struct mac_addr mac = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

	if (w->dst.family != IP_V6)
		return mac;
	mac.bytes[0] = mac.bytes[1] = 0x33;
	memcpy(mac.bytes + 2, w->dst.bytes + 12, 4);
	if (w->kind == PACKET_WORDS_ND)
		mac.bytes[2] = 0xff;
	return mac;
}

static void set_macs(struct trace *t)
{
	struct packet_words *w = &t->words;
	bool from_nic = t->origin == FLOW_FROM_NIC;
	struct owner owner = snapshot_find(t->state, t->nic->network->space, w->dst);

	if (!w->has_smac && from_nic)
		w->smac = t->nic->mac;
	if (w->has_dmac)
		return;
	if (t->origin == FLOW_FROM_TUNNEL || t->origin == FLOW_FROM_PHYSICAL)
		w->dmac = t->nic->mac;
	else if (!from_nic)
		w->dmac = edge_of(t)->mac;
	else if (packet_words_is_for_all(w))
		w->dmac = group_mac(w);
	else if (owner.kind == OWNER_NIC && owner.nic->subnet == t->nic->subnet)
		w->dmac = owner.nic->mac;
	else
		memcpy(w->dmac.bytes, gateway_mac, 6);
}

/* ---- the frame ---- */

/* The sender's MAC is of somebody here: see arrival.c. */
static bool is_mac_here(const struct trace *t)
{
	const uint8_t *mac = t->frame + ETH_SRC;

	return snapshot_find_mac(t->state, t->nic->network->segment, mac) || memcmp(mac, gateway_mac, 6) == 0;
}

/* From the wire: see arrival.c. */
static enum drop check_stranger(struct trace *t)
{
	t->parsed.flags |= PACKET_ON_WIRE;
	return t->frame[ETH_SRC] & 1 || is_mac_here(t) ? DROP_SPOOFED_PHYSICAL
	       : t->frame[ETH_DST] & 1                 ? DROP_MULTICAST
	       : nic_is_on_wire(t->nic)                ? DROP_ON_WIRE
						       : DROP_NONE;
}

/* Whether a neighbour on the wire gets it from the NIC's function, when the guest has found the neighbour's MAC. */
static bool goes_past(const struct trace *t)
{
	struct owner owner = snapshot_find(t->state, t->nic->network->space, t->words.dst);
	bool routed = false;

	if (t->words.kind != PACKET_WORDS_IP || t->words.has_dmac)
		return false;
	if (owner.kind == OWNER_NIC)
		return owner.nic->subnet == t->nic->subnet && nic_is_on_wire(owner.nic);
	return vlan_remote(t->state, t->nic, t->words.dst).family != IP_NONE &&
	       route_via(t->nic, t->words.dst, &routed).family != IP_NONE && !routed;
}

/* By the NIC's function, which is on the wire. */
static bool check_function(struct trace *t)
{
	const uint8_t *to = t->frame + ETH_DST;
	const struct nic *neighbour = snapshot_find_mac(t->state, t->nic->network->segment, to);

	t->parsed.flags |= PACKET_BY_FUNCTION;
	if (goes_past(t)) {
		step(t, "deliver", "passed",
			"its function sends it to the physical network, past the switch");
		outcome(t, "forwarded");
		return false;
	}
	if (memcmp(to, gateway_mac, 6) == 0)
		return true;
	t->parsed.flags |= PACKET_ON_WIRE;
	return to[0] & 1 || (neighbour && !nic_is_on_wire(neighbour)) || drop(t, "mac", DROP_ON_WIRE);
}

static bool check_mac(struct trace *t)
{
	char mac[MAC_TEXT_MAX];

	if (t->origin == FLOW_FROM_TUNNEL || t->origin == FLOW_FROM_PHYSICAL) {
		g_autofree char *segment = flow_segment_format(t->state, t->nic->network->segment);
		enum drop reason = t->origin == FLOW_FROM_PHYSICAL ? check_stranger(t) : DROP_NONE;
		if (reason != DROP_NONE)
			return drop(t, "mac", reason);
		if (memcmp(t->frame + ETH_DST, t->nic->mac.bytes, 6) != 0)
			return drop(t, "mac", DROP_UNKNOWN_MAC);
		step(t, "mac", "passed", "it comes by the %s, %s", edge_word(t->origin), segment);
		return true;
	}
	if (t->origin != FLOW_FROM_NIC) {
		if (memcmp(t->frame + ETH_DST, edge_of(t)->mac.bytes, 6) != 0)
			return drop(t, "mac", DROP_NOT_OURS);
		step(t, "mac", "passed", "it comes by the %s, for the switch's MAC", edge_word(t->origin));
		return true;
	}
	if (memcmp(t->frame + ETH_SRC, t->nic->mac.bytes, 6) != 0)
		return drop(t, "mac", DROP_SPOOFED_MAC);
	bool on_wire = nic_is_on_wire(t->nic);
	step(t, "mac", "passed", "%s is NIC %s%s", mac_format(t->nic->mac, mac), t->nic->name,
		on_wire ? ", by its function on the physical network" : "");
	return !on_wire || check_function(t);
}

static bool check_arp(struct trace *t)
{
	const uint8_t *mac = NULL;
	struct mac_addr addr;
	char text[MAC_TEXT_MAX];
	enum drop reason = arp_answer(t->state, t->nic, t->frame + ETH_LEN, &mac);

	if (reason != DROP_NONE)
		return drop(t, "responders", reason);
	if (!mac) {
		g_autofree char *segment = flow_segment_format(t->state, t->nic->network->segment);
		step(t, "responders", "passed", "it %s %s as it is",
			t->parsed.flags & PACKET_ON_WIRE ? "is on" : "goes to", segment);
		outcome(t, "forwarded");
		return false;
	}
	memcpy(addr.bytes, mac, 6);
	g_autofree char *answer =
		g_strdup_printf("the switch answers that it is at %s", mac_format(addr, text));
	return answered(t, answer);
}

static bool check_nd(struct trace *t, uint32_t available)
{
	struct nd_answer answer;
	struct mac_addr addr;
	char text[MAC_TEXT_MAX];
	enum drop reason = nd_answer(t->state, t->nic, &t->parsed, t->frame, available, &answer);

	if (reason != DROP_NONE)
		return drop(t, "responders", reason);
	if (answer.router)
		return answered(t, "the switch answers as the router");
	memcpy(addr.bytes, answer.mac, 6);
	g_autofree char *says = g_strdup_printf("the switch answers that it is at %s%s",
		mac_format(addr, text), answer.to_all ? ", so that the address is not taken twice" : "");
	return answered(t, says);
}

/* True: a packet with a key, of which more is to be said. */
static bool check_frame(struct trace *t)
{
	uint32_t available = MIN(t->length, (uint32_t)PACKET_WORDS_FRAME);

	parse_frame(t->frame, available, t->length, &t->parsed);
	t->parsed.key.nic = t->shared ? FLOW_NIC_SHARED : t->nic->id;
	t->parsed.key.origin = (uint8_t)t->origin;
	if (!check_mac(t))
		return false;
	if (t->parsed.kind == PACKET_DROP)
		return drop(t, "parse", t->parsed.drop);
	if (t->parsed.kind == PACKET_ARP) {
		step(t, "parse", "passed", "ARP, %u bytes", t->length);
		return check_arp(t);
	}
	if (t->parsed.kind == PACKET_ND) {
		step(t, "parse", "passed", "neighbour discovery, %u bytes", t->parsed.l3_length);
		return check_nd(t, available);
	}
	g_autofree char *key = flow_key_format(&t->parsed.key);
	if (t->parsed.kind == PACKET_ICMP_ERROR) {
		step(t, "parse", "passed", "%s, an error: it passes along the connection that it quotes",
			key);
		return drop(t, "flow", DROP_ICMP_NO_FLOW);
	}
	step(t, "parse", "passed", "%s, %u bytes", key, t->parsed.l3_length);
	return true;
}

/* ---- layers ---- */

static void on_asked(void *data, const struct layer *layer, enum policy_direction direction,
	const struct walk *before, const struct walk *after, bool passed)
{
	struct trace *t = data;
	const struct nic *nic = direction == POLICY_OUTBOUND ? before->source : before->target;
	bool changed = !flow_key_equal(&before->key, &after->key);
	g_autofree char *text = walk_text(layer, nic, before, after, passed);

	t->layer_refused = !passed;
	step(t, layer->name, !passed ? "refused" : changed ? "changed" : "passed", "%s", text);
	json_t *last = json_array_get(t->steps, json_array_size(t->steps) - 1);
	json_object_set_new(last, "nic", json_string(nic->uid));
	json_object_set_new(last, "nic_name", json_string(nic->name));
	json_object_set_new(
		last, "direction", json_string(direction == POLICY_OUTBOUND ? "outbound" : "inbound"));
}

static bool ask_layers(struct trace *t, const struct flow_key *first, bool existing,
	const struct flow_alias *alias, struct decision *ret_decision)
{
	const struct decide_observer observer = {.asked = on_asked, .data = t};

	t->layer_refused = false;
	if (decide_observed(t->state, first, existing, alias, &observer, ret_decision))
		return true;
	if (!t->layer_refused) /* but there is no way back for the answers, or only answers come for that address */
		step(t, "compose", "refused", "%s", drop_text(ret_decision->drop));
	return false;
}

/* `reason`: as the drop is counted, which need not be what the layer said. */
static void tell_refusal(struct trace *t, const struct decision *decision, enum drop reason)
{
	set_drop(t, reason);
	json_t *object = json_object_get(t->result, "drop");
	if (decision->layer)
		json_object_set_new(object, "layer", json_string(decision->layer));
	if (decision->group)
		json_object_set_new(object, "group", json_string(decision->group->name));
	if (decision->rule)
		json_object_set_new(object, "rule", json_string(decision->rule));
}

/* ---- execution ---- */

static json_t *encode_half(
	const struct trace *t, const struct flow_key *key, const struct flow_action *action)
{
	json_t *object = flow_key_encode(key);

	json_object_set_new(object, "actions", flow_actions_encode(t->state, action));
	json_object_set_new(object, "mtu", json_integer(action->mtu));
	return object;
}

/* By the physical network, to the NIC's function: see output_arrived. */
static bool is_brought(const struct trace *t, const struct nic *nic)
{
	return t->parsed.flags & PACKET_ON_WIRE && nic_is_changing(nic);
}

static void tell_delivery(struct trace *t, const struct flow_action *action)
{
	const struct nic *nic = snapshot_nic(t->state, action->target);
	const struct edge *edge = edge_at(t, action->exit);
	g_autoptr(GString) text = g_string_new(NULL);

	if (action->exit != FLOW_TO_NIC) {
		g_string_printf(text, "by the %s, %s", edge_word(action->exit),
			edge->port ? port_state_word(edge->port->ops->state(edge->port))
				   : "which is not open");
	} else {
		for (unsigned i = 0; nic && i < nic->n_attachments; i++) {
			const struct attachment *a = &nic->attachments[i];
			if (a->active && !(a->physical && is_brought(t, nic)))
				g_string_append_printf(text, "%sto the %s attachment of NIC %s%s, %s",
					text->len ? "; " : "",
					a->kind == ATTACHMENT_SYNTHETIC ? "synthetic" : "function", nic->name,
					a->physical ? " on the physical network" : "",
					a->port ? port_state_word(a->port->ops->state(a->port))
						: "which is not open");
		}
	}
	step(t, "deliver", "passed", "%s", text->str);
}

/* What the packet's direction does with it, and what the other does with its answers. */
static void execute(struct trace *t, const struct flow_action *action, const struct flow_key *reply_key,
	const struct flow_action *reply_action)
{
	json_object_set_new(t->result, "forward", encode_half(t, &t->parsed.key, action));
	json_object_set_new(t->result, "reply", encode_half(t, reply_key, reply_action));
	bool oversized = t->parsed.l3_length > action->mtu;
	if (oversized && t->parsed.flags & PACKET_DF) {
		drop(t, "execute", DROP_TOO_BIG);
	} else if (action->flags & FLOW_ROUTED && rewrite_is_last_hop(t->frame, &t->parsed)) {
		drop(t, "execute", DROP_TTL);
	} else if (action->exit == FLOW_TO_PHYSICAL && t->parsed.flags & PACKET_ON_WIRE) {
		drop(t, "execute", DROP_ON_WIRE);
	} else {
		if (oversized)
			step(t, "execute", "changed", "IPv4 fragments of at most %u bytes", action->mtu);
		tell_delivery(t, action);
		outcome(t, "forwarded");
	}
}

/* ---- connections ---- */

/* Always false. */
static bool ask_dhcp(struct trace *t)
{
	uint32_t available = MIN(t->length, (uint32_t)PACKET_WORDS_FRAME);
	uint8_t answer[MAX(DHCP_MESSAGE_MAX, DHCP6_MESSAGE_MAX)];
	bool broadcast = false, v6 = t->parsed.key.family == IP_V6;
	int length = 0;
	enum drop reason =
		v6 ? dhcp6_answer_frame(t->nic, &t->parsed, t->frame, available, answer, &length)
		   : dhcp_answer_frame(t->nic, &t->parsed, t->frame, available, answer, &length, &broadcast);

	if (reason != DROP_NONE)
		return drop(t, "responders", reason);
	return answered(t, !length ? "DHCP that needs no answer"
			   : v6    ? "the switch answers DHCPv6"
				   : "the switch answers DHCP");
}

/* True: no responder takes it. */
static bool ask_responders(struct trace *t)
{
	if (t->origin != FLOW_FROM_NIC)
		return true;
	if (dhcp_is_request(&t->parsed) || dhcp6_is_request(&t->parsed))
		return ask_dhcp(t);
	if (!icmp_is_gateway_echo(t->state, t->nic, &t->parsed))
		return true;
	if (!reach_may_speak(t->nic, flow_key_source(&t->parsed.key)))
		return drop(t, "responders", DROP_SPOOFED_IP);
	return answered(t, "the switch answers the echo to a gateway");
}

/* The alias that a connection would get; its address is the layers' choice. False: no port is free, and that is
 * told. */
static bool find_alias(struct trace *t, struct flow_alias *ret)
{
	struct decision decision;
	bool over;

	if (!decide(t->state, &t->parsed.key, false, &decision) || !decision.shared)
		*ret = (struct flow_alias){};
	else if (source_nat_choose(t->datapath->flows, t->state, &t->parsed.key, &decision, &over))
		*ret = flow_alias_of(&decision.reply.key, &decision.forward.action);
	else
		return drop(t, "connection", DROP_PORTS_USED);
	return true;
}

/* Whether the table would take it. What is over makes room. */
static bool may_install(struct trace *t, const struct decision *decision)
{
	struct flow holder, pair;

	if (flow_query_find(t->datapath, &decision->reply.key, &holder, &pair) &&
		connection_state_of(&holder, &pair) != CONNECTION_CLOSED)
		return drop(t, "install", DROP_TUPLE_IN_USE);
	if (flow_table_count(t->datapath->flows) >= flow_table_capacity(t->datapath->flows))
		return drop(t, "install", DROP_TABLE_FULL);
	return true;
}

static void first_packet(struct trace *t)
{
	struct decision decision;
	struct flow_alias alias;

	if (!ask_responders(t))
		return;
	enum drop reason =
		slow_path_check_first(t->datapath, t->state, datapath_clock_ms(), &t->parsed, t->frame);
	if (reason != DROP_NONE) {
		drop(t, "connection", reason);
		return;
	}
	step(t, "connection", "passed", "it may begin a connection");
	if (!find_alias(t, &alias))
		return;
	if (!ask_layers(t, &t->parsed.key, false, &alias, &decision)) {
		tell_refusal(t, &decision, decision.drop);
		return;
	}
	reason = slow_path_check_decided(t->datapath, t->state, datapath_clock_ms(), &t->parsed, &decision);
	if (reason != DROP_NONE) {
		drop(t, "connection", reason);
		return;
	}
	if (connections_are_over_quota(t->datapath, t->parsed.key.nic)) {
		drop(t, "quota", DROP_FLOW_QUOTA);
		return;
	}
	if (!may_install(t, &decision))
		return;
	execute(t, &decision.forward.action, &decision.reply.key, &decision.reply.action);
}

/* The connection was decided by an earlier state. */
static void judge_anew(
	struct trace *t, const struct flow *flow, const struct flow *forward, const struct flow *reply)
{
	const struct flow_key first = peer_first(t->state, &forward->key, &reply->key);
	const struct flow_alias alias = flow_alias_of(&reply->key, &forward->action);
	struct decision decision;

	if (!ask_layers(t, &first, !forward->blocked, &alias, &decision)) {
		tell_refusal(t, &decision, DROP_REVOKED);
		return;
	}
	const struct flow_half *half = flow->reply ? &decision.reply : &decision.forward;
	const struct flow_half *other = flow->reply ? &decision.forward : &decision.reply;
	if (!flow_key_equal(&half->key, &t->parsed.key)) {
		step(t, "flow", "none", "its connection goes another way now, and this packet is not of it");
		first_packet(t);
		return;
	}
	execute(t, &half->action, &other->key, &other->action);
}

/* The flow drops it, whatever layers say now; they tell by which rule. */
static void tell_blocked(struct trace *t, const struct flow *forward, const struct flow *reply)
{
	const struct flow_key first = peer_first(t->state, &forward->key, &reply->key);
	const struct flow_alias alias = flow_alias_of(&reply->key, &forward->action);
	struct decision decision;

	step(t, "flow", "found", "%s", drop_text(DROP_REVOKED));
	if (ask_layers(t, &first, false, &alias, &decision))
		drop(t, "flow", DROP_REVOKED);
	else
		tell_refusal(t, &decision, DROP_REVOKED);
}

static void tell_flow(struct trace *t, const struct flow *flow, const struct flow *forward,
	const struct flow *reply, const char *state)
{
	g_autofree char *id = flow_query_id(forward, reply);
	_cleanup_(offloader_flow_clear) struct offloader_flow offload =
		offloader_look(t->datapath->offloader, flow, flow->reply ? forward : reply);

	json_object_set_new(t->result, "flow",
		json_pack("{s:s, s:s, s:b, s:b, s:s}", "id", id, "state", state, "reply", flow->reply,
			"current", flow->epoch == t->state->epoch, "offload",
			offload_state_word(offload.state)));
}

/* Words do not tell where an RST lies. */
static void tell_window(struct trace *t, const struct flow *pair)
{
	uint32_t first, last;

	if (!(t->parsed.tcp_flags & TCP_RST) || !(tcp_flags_seen(pair->tcp) & TCP_ACK) ||
		flow_is_carried(pair))
		return;
	tcp_window(pair->tcp, &first, &last);
	step(t, "flow", "found",
		"an RST passes if its sequence number is from %u to %u; else it is dropped: %s", first, last,
		drop_text(DROP_TCP_WINDOW));
}

static void known_flow(struct trace *t, const struct flow *flow, const struct flow *pair)
{
	const struct flow *forward = flow->reply ? pair : flow, *reply = flow->reply ? flow : pair;
	enum connection_state state = connection_state(forward, reply);
	const struct flow_alias alias = flow_alias_of(&reply->key, &forward->action);
	const char *word = connection_word(state);
	struct decision decision;

	tell_flow(t, flow, forward, reply, word);
	if (slow_path_is_opening(&t->parsed) && (state == CONNECTION_CLOSED || state == CONNECTION_BLOCKED)) {
		step(t, "flow", "none", "its connection is %s: a SYN begins it anew", word);
		first_packet(t);
	} else if (flow->epoch != t->state->epoch) {
		step(t, "flow", "found",
			"a connection that is %s, %s; decided by an earlier state, it is judged anew", word,
			flow->reply ? "as an answer" : "in its own direction");
		judge_anew(t, flow, forward, reply);
	} else if (flow->blocked) {
		tell_blocked(t, forward, reply);
	} else {
		step(t, "flow", "found",
			"a connection that is %s, %s: its flow is executed, which the layers composed", word,
			flow->reply ? "as an answer" : "in its own direction");
		tell_window(t, pair);
		ask_layers(t, &forward->key, true, &alias, &decision);
		execute(t, &flow->action, &pair->key, &pair->action);
	}
}

static void run(struct trace *t)
{
	struct flow flow, pair;

	set_macs(t);
	t->length = packet_words_build(&t->words, t->frame);
	if (!check_frame(t))
		return;
	if (flow_query_find(t->datapath, &t->parsed.key, &flow, &pair)) {
		known_flow(t, &flow, &pair);
	} else if (connections_look_moved(t->datapath, t->state, &t->parsed.key, &flow, &pair)) {
		step(t, "flow", "found", "its connection came another way before a NIC moved");
		known_flow(t, &flow, &pair);
	} else {
		step(t, "flow", "none", "no connection has it: a first packet");
		first_packet(t);
	}
}

/* ---- the method ---- */

struct trace_params {
	const char *nic, *packet; /* Borrowed */
};

static const struct decode_member trace_members[] = {
	{"nic", decode_word, offsetof(struct trace_params, nic)},
	{"packet", decode_word, offsetof(struct trace_params, packet)},
	{},
};

json_t *trace_packet(const struct datapath *datapath, json_t *params, GError **error)
{
	struct trace t = {
		.datapath = datapath, .state = datapath_snapshot(datapath), .origin = FLOW_FROM_NIC};
	struct trace_params words = {};

	if (!decode_params(params, trace_members, &words, error))
		return NULL;
	const struct nic *asked = t.nic = lookup_nic(t.state, words.nic, error);
	if (!asked || !packet_words_parse(words.packet, &t.words, error) ||
		(t.words.inwards && !find_sender(&t, error)))
		return NULL;
	t.steps = json_array();
	t.result = json_pack(
		"{s:s, s:s, s:o, s:n}", "nic", asked->uid, "packet", words.packet, "steps", t.steps, "flow");
	run(&t);
	return t.result;
}
