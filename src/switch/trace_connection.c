/* What becomes of a traced packet of a connection, known or new: see trace.c. */
#include "switch/connections.h"
#include "switch/decide.h"
#include "switch/flow_query.h"
#include "switch/flow_text.h"
#include "switch/layers/layer.h"
#include "switch/offloader.h"
#include "switch/peer.h"
#include "switch/respond/respond.h"
#include "switch/rewrite.h"
#include "switch/slow_path.h"
#include "switch/source_nat.h"
#include "switch/tcp.h"
#include "switch/trace_priv.h"
#include "switch/walk_text.h"

/* ---- layers ---- */

static void on_asked(void *data, const struct layer *layer, enum policy_direction direction,
	const struct walk *before, const struct walk *after, bool passed)
{
	struct trace *t = data;
	const struct nic *nic = direction == POLICY_OUTBOUND ? before->source : before->target;
	bool changed = !flow_key_equal(&before->key, &after->key);
	g_autofree char *text = walk_text(layer, nic, before, after, passed);

	t->layer_refused = !passed;
	trace_step(t, layer->name, !passed ? "refused" : changed ? "changed" : "passed", "%s", text);
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
		trace_step(t, "compose", "refused", "%s", drop_text(ret_decision->drop));
	return false;
}

/* `reason`: as the drop is counted, which need not be what the layer said. */
static void tell_refusal(struct trace *t, const struct decision *decision, enum drop reason)
{
	trace_set_drop(t, reason);
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

static bool is_ready(const struct port *port)
{
	return port && port->ops->state(port) == PORT_READY;
}

static const char *state_text(const struct port *port)
{
	return port ? port_state_word(port->ops->state(port)) : "which is not open";
}

/* As output_edge and output_physical drop. A next hop that is not known yet is asked for by the same port. */
static enum drop deliver_to_edge(const struct trace *t, enum flow_exit exit, GString *text)
{
	static const enum drop absent[] = {
		[FLOW_TO_OUTSIDE] = DROP_NO_OUTSIDE,
		[FLOW_TO_HOST] = DROP_NO_HOST_PORT,
		[FLOW_TO_TUNNEL] = DROP_NO_UNDERLAY,
		[FLOW_TO_PHYSICAL] = DROP_NO_PHYSICAL,
	};
	const struct edge *edge = trace_edge(t, exit);

	g_string_printf(text, "by the %s, %s", trace_edge_word(exit), state_text(edge->port));
	return !edge->present || !edge->port ? absent[exit]
	       : is_ready(edge->port)        ? DROP_NONE
					     : DROP_PORT_DOWN;
}

/* As output_arrived drops: a packet arrives if one of the attachments takes it. */
static enum drop deliver_to_nic(const struct trace *t, const struct nic *nic, GString *text)
{
	enum drop drop = DROP_PORT_DOWN;

	if (!nic)
		return DROP_NO_DESTINATION;
	for (unsigned i = 0; i < nic->n_attachments; i++) {
		const struct attachment *a = &nic->attachments[i];
		if (!a->active || (a->physical && is_brought(t, nic)))
			continue;
		g_string_append_printf(text, "%sto the %s attachment of NIC %s%s, %s", text->len ? "; " : "",
			a->kind == ATTACHMENT_SYNTHETIC ? "synthetic" : "function", nic->name,
			a->physical ? " on the physical network" : "", state_text(a->port));
		if (is_ready(a->port))
			drop = DROP_NONE;
	}
	return drop;
}

static void deliver(struct trace *t, const struct flow_action *action)
{
	g_autoptr(GString) text = g_string_new(NULL);
	enum drop drop = action->exit == FLOW_TO_NIC
				 ? deliver_to_nic(t, snapshot_nic(t->state, action->target), text)
				 : deliver_to_edge(t, action->exit, text);

	if (drop == DROP_NONE) {
		trace_step(t, "deliver", "passed", "%s", text->str);
		trace_outcome(t, "forwarded");
	} else {
		trace_step(
			t, "deliver", "refused", "%s%s%s", text->str, text->len ? ": " : "", drop_text(drop));
		trace_set_drop(t, drop);
	}
}

/* What the packet's direction does with it, and what the other does with its answers. */
static void execute(struct trace *t, const struct flow_action *action, const struct flow_key *reply_key,
	const struct flow_action *reply_action)
{
	json_object_set_new(t->result, "forward", encode_half(t, &t->parsed.key, action));
	json_object_set_new(t->result, "reply", encode_half(t, reply_key, reply_action));
	bool oversized = t->parsed.l3_length > action->mtu;
	if (oversized && t->parsed.flags & PACKET_DF) {
		trace_drop(t, "execute", DROP_TOO_BIG);
	} else if (action->flags & FLOW_ROUTED && rewrite_is_last_hop(t->frame, &t->parsed)) {
		trace_drop(t, "execute", DROP_TTL);
	} else if (action->exit == FLOW_TO_PHYSICAL && t->parsed.flags & PACKET_ON_WIRE) {
		trace_drop(t, "execute", DROP_ON_WIRE);
	} else {
		if (oversized)
			trace_step(
				t, "execute", "changed", "IPv4 fragments of at most %u bytes", action->mtu);
		deliver(t, action);
	}
}

/* ---- connections ---- */

/* True: no responder takes it. */
static bool ask_responders(struct trace *t)
{
	if (t->origin != FLOW_FROM_NIC)
		return true;
	if (dhcp_is_request(&t->parsed) || dhcp6_is_request(&t->parsed))
		return trace_ask_dhcp(t);
	if (!icmp_is_gateway_echo(t->state, t->nic, &t->parsed))
		return true;
	if (!reach_may_speak(t->nic, flow_key_source(&t->parsed.key)))
		return trace_drop(t, "responders", DROP_SPOOFED_IP);
	return trace_answered(t, "the switch answers the echo to a gateway");
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
		return trace_drop(t, "connection", DROP_PORTS_USED);
	return true;
}

/* Whether the table would take it. What is over makes room. */
static bool may_install(struct trace *t, const struct decision *decision)
{
	struct flow holder, pair;

	if (flow_query_find(t->datapath, &decision->reply.key, &holder, &pair) &&
		connection_state_of(&holder, &pair) != CONNECTION_CLOSED)
		return trace_drop(t, "install", DROP_TUPLE_IN_USE);
	if (flow_table_count(t->datapath->flows) >= flow_table_capacity(t->datapath->flows))
		return trace_drop(t, "install", DROP_TABLE_FULL);
	return true;
}

void trace_first_packet(struct trace *t)
{
	struct decision decision;
	struct flow_alias alias;

	if (!ask_responders(t))
		return;
	enum drop reason =
		slow_path_check_first(t->datapath, t->state, datapath_clock_ms(), &t->parsed, t->frame);
	if (reason != DROP_NONE) {
		trace_drop(t, "connection", reason);
		return;
	}
	trace_step(t, "connection", "passed", "it may begin a connection");
	if (!find_alias(t, &alias))
		return;
	if (!ask_layers(t, &t->parsed.key, false, &alias, &decision)) {
		tell_refusal(t, &decision, decision.drop);
		return;
	}
	reason = slow_path_check_decided(t->datapath, t->state, datapath_clock_ms(), &t->parsed, &decision);
	if (reason != DROP_NONE) {
		trace_drop(t, "connection", reason);
		return;
	}
	if (connections_are_over_quota(t->datapath, t->parsed.key.nic)) {
		trace_drop(t, "quota", DROP_FLOW_QUOTA);
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
		trace_step(t, "flow", "none",
			"its connection goes another way now, and this packet is not of it");
		trace_first_packet(t);
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

	trace_step(t, "flow", "found", "%s", drop_text(DROP_REVOKED));
	if (ask_layers(t, &first, false, &alias, &decision))
		trace_drop(t, "flow", DROP_REVOKED);
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
	trace_step(t, "flow", "found",
		"an RST passes if its sequence number is from %u to %u; else it is dropped: %s", first, last,
		drop_text(DROP_TCP_WINDOW));
}

void trace_known_flow(struct trace *t, const struct flow *flow, const struct flow *pair)
{
	const struct flow *forward = flow->reply ? pair : flow, *reply = flow->reply ? flow : pair;
	enum connection_state state = connection_state(forward, reply);
	const struct flow_alias alias = flow_alias_of(&reply->key, &forward->action);
	const char *word = connection_word(state);
	struct decision decision;

	tell_flow(t, flow, forward, reply, word);
	if (slow_path_is_opening(&t->parsed) && (state == CONNECTION_CLOSED || state == CONNECTION_BLOCKED)) {
		trace_step(t, "flow", "none", "its connection is %s: a SYN begins it anew", word);
		trace_first_packet(t);
	} else if (flow->epoch != t->state->epoch) {
		trace_step(t, "flow", "found",
			"a connection that is %s, %s; decided by an earlier state, it is judged anew", word,
			flow->reply ? "as an answer" : "in its own direction");
		judge_anew(t, flow, forward, reply);
	} else if (flow->blocked) {
		tell_blocked(t, forward, reply);
	} else {
		trace_step(t, "flow", "found",
			"a connection that is %s, %s: its flow is executed, which the layers composed", word,
			flow->reply ? "as an answer" : "in its own direction");
		tell_window(t, pair);
		ask_layers(t, &forward->key, true, &alias, &decision);
		execute(t, &flow->action, &pair->key, &pair->action);
	}
}
