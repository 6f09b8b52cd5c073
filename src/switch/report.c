/* Reports: see report.h. Counters are read while workers write them: each is exact, together they are of
 * about now. */
#include "switch/report.h"

#include "switch/conntrack.h"
#include "switch/wire.h"

/* ---- NICs ---- */

static json_t *encode_attachment(const struct attachment *attachment)
{
	const struct port *port = attachment->port;
	const char *kind = attachment->kind == ATTACHMENT_SYNTHETIC ? "synthetic" : "function";

	if (!port)
		return json_pack("{s:s, s:s, s:s}", "kind", kind, "state", port_state_word(PORT_FAILED),
			"error", "no port is free");
	struct port_counters sum = port_counters_sum(port);
	json_t *object = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "kind", kind, "state",
		port_state_word(port->ops->state(port)), "rx_packets", (json_int_t)sum.rx_packets, "rx_bytes",
		(json_int_t)sum.rx_bytes, "tx_packets", (json_int_t)sum.tx_packets, "tx_bytes",
		(json_int_t)sum.tx_bytes, "drops", (json_int_t)sum.drops);
	if (port->error)
		json_object_set_new(object, "error", json_string(port->error));
	return object;
}

static const char *active_word(const struct nic *nic)
{
	unsigned n = 0;
	enum attachment_kind kind = ATTACHMENT_SYNTHETIC;

	for (unsigned i = 0; i < nic->n_attachments; i++) {
		if (nic->attachments[i].active) {
			kind = nic->attachments[i].kind;
			n++;
		}
	}
	return n == 2 ? "both" : kind == ATTACHMENT_SYNTHETIC ? "synthetic" : "function";
}

/* Reasons that occurred. */
static json_t *encode_drops(const struct datapath *datapath, const struct nic *nic)
{
	json_t *drops = json_object();

	for (enum drop reason = DROP_NONE + 1; reason < DROP_COUNT; reason++) {
		uint64_t n = datapath_nic_drops(datapath, nic, reason);
		if (n)
			json_object_set_new(drops, drop_word(reason), json_integer((json_int_t)n));
	}
	return drops;
}

json_t *report_nics(const struct datapath *datapath)
{
	const struct snapshot *snapshot = datapath_snapshot(datapath);
	json_t *list = json_array();

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = snapshot->nics[slot];
		if (!nic)
			continue;
		json_t *attachments = json_array();
		for (unsigned i = 0; i < nic->n_attachments; i++)
			json_array_append_new(attachments, encode_attachment(&nic->attachments[i]));
		json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:I, s:o}", "uid", nic->uid, "active",
						    active_word(nic), "attachments", attachments, "flows",
						    (json_int_t)atomic_load(&datapath->nic_connections[slot]),
						    "drops", encode_drops(datapath, nic)));
	}
	return list;
}

/* ---- flows ---- */

static const char *const origin_words[] = {
	[FLOW_FROM_NIC] = "outbound",
	[FLOW_FROM_OUTSIDE] = "inbound",
	[FLOW_FROM_HOST] = "inbound",
};

static json_t *encode_protocol(const struct flow_key *key)
{
	switch (key->protocol) {
	case PROTO_TCP: return json_string("tcp");
	case PROTO_UDP: return json_string("udp");
	case PROTO_ICMP:
	case PROTO_ICMPV6: return json_string("icmp");
	default: return json_sprintf("%u", key->protocol);
	}
}

static json_t *encode_actions(const struct snapshot *snapshot, const struct flow *flow)
{
	const struct flow_action *action = &flow->action;
	const struct nic *target = snapshot_nic(snapshot, action->target);
	const uint8_t *s = action->new_src, *d = action->new_dst, *h = action->next_hop;
	json_t *list = json_array();

	if (action->flags & FLOW_REWRITE_SRC)
		json_array_append_new(list, json_sprintf("source %u.%u.%u.%u", s[0], s[1], s[2], s[3]));
	if (action->flags & FLOW_REWRITE_DST)
		json_array_append_new(list, json_sprintf("destination %u.%u.%u.%u", d[0], d[1], d[2], d[3]));
	if (action->flags & FLOW_ROUTED)
		json_array_append_new(list, json_string("hop"));
	if (action->exit == FLOW_TO_NIC)
		json_array_append_new(list, json_sprintf("deliver %s", target ? target->uid : "nobody"));
	else
		json_array_append_new(list, json_sprintf("%s by %u.%u.%u.%u",
						    action->exit == FLOW_TO_OUTSIDE ? "outside" : "host",
						    h[0], h[1], h[2], h[3]));
	return list;
}

static json_t *encode_flow(const struct snapshot *snapshot, const struct nic *nic, const struct flow *flow,
	const struct flow *pair)
{
	char src[IP_TEXT_MAX], dst[IP_TEXT_MAX];
	enum connection_state state =
		flow->reply ? connection_state(pair, flow) : connection_state(flow, pair);

	return json_pack("{s:s, s:s, s:o, s:s, s:s, s:i, s:i, s:s, s:I, s:I, s:i, s:o}", "nic", nic->uid,
		"direction", origin_words[flow->key.origin], "protocol", encode_protocol(&flow->key), "src",
		ip_format(flow_key_source(&flow->key), src), "dst",
		ip_format(flow_key_destination(&flow->key), dst), "sport", be16toh(flow->key.sport), "dport",
		be16toh(flow->key.dport), "state", connection_word(state), "packets",
		(json_int_t)flow->packets, "bytes", (json_int_t)flow->bytes, "age_s",
		(int)((datapath_clock_ms() - flow->created_ms) / 1000), "actions",
		encode_actions(snapshot, flow));
}

json_t *report_flows(const struct datapath *datapath, const char *nic, unsigned limit)
{
	const struct snapshot *snapshot = datapath_snapshot(datapath);
	json_t *list = json_array();
	struct flow flow, pair;

	for (uint32_t i = 1; i < flow_table_end(datapath->flows) && json_array_size(list) < limit; i++) {
		if (!flow_table_copy(datapath->flows, i, &flow) ||
			!flow_table_copy(datapath->flows, flow.pair, &pair))
			continue;
		const struct nic *owner = snapshot_nic(snapshot, flow.key.nic);
		if (owner && (!nic || g_str_equal(owner->uid, nic)))
			json_array_append_new(list, encode_flow(snapshot, owner, &flow, &pair));
	}
	return list;
}

/* ---- counters ---- */

json_t *report_drops(const struct datapath *datapath)
{
	json_t *list = json_array();

	for (enum drop reason = DROP_NONE + 1; reason < DROP_COUNT; reason++) {
		uint64_t n = datapath_drops(datapath, reason);
		json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "reason", drop_word(reason), "text",
						    drop_text(reason), "packets", (json_int_t)n));
	}
	return list;
}

json_t *report_counters(const struct datapath *datapath)
{
	const struct worker_counters counters = datapath_counters(datapath);
	json_t *object = json_object();

#define X(name, help) json_object_set_new(object, #name, json_integer((json_int_t)counters.name));
	WORKER_COUNTERS(X)
#undef X
	json_object_set_new(object, "flows", json_integer(flow_table_count(datapath->flows)));
	json_object_set_new(object, "flow_capacity", json_integer(flow_table_capacity(datapath->flows)));
	return object;
}
