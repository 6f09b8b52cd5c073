/* Questions about flows: see flow_query.h. */
#include "switch/flow_query.h"

#include "base/fault.h"
#include "switch/decode.h"
#include "switch/flow_text.h"
#include "switch/lookup.h"
#include "switch/offloader.h"
#include "switch/tcp.h"
#include "switch/wire.h"

#include <stdio.h>

#define LIMIT_MAX 10000

/* ---- filters ---- */

struct flow_filter flow_filter_any(void)
{
	return (struct flow_filter){.nic = NO_NIC, .protocol = -1, .state = -1};
}

static bool same_protocol(int wanted, uint8_t protocol)
{
	return wanted == protocol || (wanted == PROTO_ICMP && protocol == PROTO_ICMPV6);
}

static bool matches_prefix(const struct flow_filter *filter, const struct flow_key *key)
{
	return prefix_contains(filter->prefix, flow_key_source(key)) ||
	       prefix_contains(filter->prefix, flow_key_destination(key));
}

static bool matches_but_prefix(const struct flow_filter *filter, const struct flow_key *key)
{
	uint16_t port = htobe16(filter->port);

	return (filter->protocol < 0 || same_protocol(filter->protocol, key->protocol)) &&
	       (!filter->has_port || (flow_key_has_ports(key) && (key->sport == port || key->dport == port)));
}

bool flow_filter_matches_key(const struct flow_filter *filter, const struct flow_key *key)
{
	return matches_but_prefix(filter, key) &&
	       (filter->prefix.addr.family == IP_NONE || matches_prefix(filter, key));
}

/* A direction, as it comes or as it leaves. Its translated form is the other direction's key turned round, so
 * both directions together cover all addresses that the connection has. */
static bool matches_flow(const struct flow_filter *filter, const struct flow *flow)
{
	return (filter->nic == NO_NIC || flow->key.nic == filter->nic ||
		       (flow->action.exit == FLOW_TO_NIC && flow->action.target == filter->nic)) &&
	       flow_filter_matches_key(filter, &flow->key);
}

static bool matches(const struct flow_filter *filter, const struct flow *forward, const struct flow *reply)
{
	return (filter->state < 0 || (int)connection_state(forward, reply) == filter->state) &&
	       (matches_flow(filter, forward) || matches_flow(filter, reply));
}

bool flow_filter_decode_protocol(struct decode *d, json_t *value, void *to)
{
	int protocol = json_is_string(value) ? flow_protocol_parse(json_string_value(value)) : -1;

	if (protocol < 0)
		return decode_fail(d, "must be tcp, udp, icmp, esp, ah or a protocol's number, as text");
	*(int *)to = protocol;
	return true;
}

bool flow_filter_decode_port(struct decode *d, json_t *value, void *to)
{
	struct flow_filter *filter = to;
	int64_t port;

	if (!decode_whole(d, value, 0, UINT16_MAX, &port))
		return false;
	filter->has_port = true;
	filter->port = (uint16_t)port;
	return true;
}

bool flow_filter_decode_address(struct decode *d, json_t *value, void *to)
{
	struct flow_filter *filter = to;

	if (json_is_string(value) && prefix_parse(json_string_value(value), &filter->prefix) == 0)
		return true;
	return decode_fail(d, "must be an address or a prefix without host bits, such as 10.0.0.0/16");
}

static bool decode_state(struct decode *d, json_t *value, void *to)
{
	for (int state = 0; json_is_string(value) && state < CONNECTION_STATES; state++) {
		if (g_str_equal(json_string_value(value), connection_word((enum connection_state)state))) {
			((struct flow_filter *)to)->state = state;
			return true;
		}
	}
	return decode_fail(d, "must be one of new, established, closing, closed, blocked");
}

/* ---- parameters ---- */

struct query {
	const char *nic, *id; /* Borrowed from the parameters, or NULL */
	struct flow_filter filter;
	uint32_t limit, cursor;
};

static bool decode_limit(struct decode *d, json_t *value, void *to)
{
	int64_t limit = 0;

	if (!decode_whole(d, value, 2, LIMIT_MAX, &limit))
		return false;
	*(uint32_t *)to = (uint32_t)limit;
	return true;
}

static bool decode_cursor(struct decode *d, json_t *value, void *to)
{
	int64_t cursor = 0;

	if (!decode_whole(d, value, 1, UINT32_MAX, &cursor))
		return false;
	*(uint32_t *)to = (uint32_t)cursor;
	return true;
}

static const struct decode_member query_members[] = {
	{"nic", decode_word, offsetof(struct query, nic), .optional = true},
	{"protocol", flow_filter_decode_protocol, offsetof(struct query, filter.protocol), .optional = true},
	{"address", flow_filter_decode_address, offsetof(struct query, filter), .optional = true},
	{"port", flow_filter_decode_port, offsetof(struct query, filter), .optional = true},
	{"state", decode_state, offsetof(struct query, filter), .optional = true},
	{"limit", decode_limit, offsetof(struct query, limit), .optional = true},
	{"cursor", decode_cursor, offsetof(struct query, cursor), .optional = true},
	{},
};

static const struct decode_member show_members[] = {
	{"id", decode_word, offsetof(struct query, id)},
	{},
};

static bool decode_query(const struct datapath *datapath, json_t *params, const struct decode_member *members,
	struct query *ret, GError **error)
{
	*ret = (struct query){.filter = flow_filter_any(), .limit = QUERY_LIMIT, .cursor = 1};
	if (!decode_params(params, members, ret, error))
		return false;
	if (!ret->nic)
		return true;
	const struct nic *nic = lookup_nic(datapath_snapshot(datapath), ret->nic, error);
	ret->filter.nic = nic ? nic->id : NO_NIC;
	return nic != NULL;
}

/* ---- the walk over the table ---- */

/* The next connection that matches, and the cursor behind it. False at the end of the page: *cursor is where
 * the next one begins, or the table's end. */
static bool next_connection(const struct datapath *datapath, const struct flow_filter *filter,
	uint32_t page_end, uint32_t *cursor, struct flow *ret_forward, struct flow *ret_reply)
{
	while (*cursor < page_end) {
		uint32_t index = (*cursor)++;
		if (flow_table_copy_both(datapath->flows, index, ret_forward, ret_reply) &&
			!ret_forward->reply && matches(filter, ret_forward, ret_reply))
			return true;
	}
	return false;
}

static uint32_t page_end(const struct datapath *datapath, uint32_t cursor)
{
	uint32_t end = flow_table_end(datapath->flows);

	return cursor < end && end - cursor > QUERY_ENTRIES ? cursor + QUERY_ENTRIES : end;
}

static json_t *encode_next(const struct datapath *datapath, uint32_t cursor)
{
	return cursor < flow_table_end(datapath->flows) ? json_integer(cursor) : json_null();
}

/* ---- encoding ---- */

static int seconds_since(uint32_t then_ms)
{
	int32_t elapsed =
		(int32_t)((uint32_t)datapath_clock_ms() - then_ms); /* a worker's clock may be ahead */

	return elapsed > 0 ? elapsed / 1000 : 0;
}

static uint32_t age_of(const struct flow *flow)
{
	int32_t age_s = (int32_t)((uint32_t)(datapath_clock_ms() / 1000) - flow->created_s);

	return age_s > 0 ? (uint32_t)age_s : 0;
}

char *flow_query_id(const struct flow *forward, const struct flow *reply)
{
	return g_strdup_printf("%u-%x", reply->pair, forward->seq);
}

static json_t *encode_direction(
	const struct datapath *datapath, const struct flow *flow, const struct flow *pair)
{
	const struct snapshot *snapshot = datapath_snapshot(datapath);
	_cleanup_(offloader_flow_clear) struct offloader_flow offload =
		offloader_look(datapath->offloader, flow, pair);
	/* Answers to an address that NICs share are for one of them. */
	const struct nic *nic = snapshot_nic(
		snapshot, flow->key.nic == FLOW_NIC_SHARED ? flow->action.target : flow->key.nic);
	json_t *object = json_pack("{s:s?, s:s?, s:s, s:b, s:I, s:I, s:i, s:o, s:s}", "nic",
		nic ? nic->uid : NULL, "nic_name", nic ? nic->name : NULL, "direction",
		flow_direction_word(&flow->key), "reply", flow->reply, "packets",
		(json_int_t)(flow->packets + offload.carried.packets), "bytes",
		(json_int_t)(flow->bytes + offload.carried.bytes), "idle_s", seconds_since(flow->seen_ms),
		"actions", flow_actions_encode(snapshot, &flow->action), "offload",
		offload_state_word(offload.state));

	if (offload.reason)
		json_object_set_new(object, "offload_reason", json_string(offload.reason));

	json_object_update_new(object, flow_key_encode(&flow->key));
	return object;
}

/* What is the connection's, in every row of it. */
static void add_connection(json_t *object, const struct flow *forward, const struct flow *reply)
{
	g_autofree char *id = flow_query_id(forward, reply);

	json_object_set_new(object, "id", json_string(id));
	json_object_set_new(object, "state", json_string(connection_word(connection_state(forward, reply))));
	json_object_set_new(object, "age_s", json_integer(age_of(forward)));
}

static void append_row(json_t *list, const struct datapath *datapath, const struct flow *flow,
	const struct flow *forward, const struct flow *reply)
{
	json_t *row = encode_direction(datapath, flow, flow == forward ? reply : forward);

	add_connection(row, forward, reply);
	json_array_append_new(list, row);
}

/* ---- methods ---- */

json_t *flow_query_list(const struct datapath *datapath, json_t *params, GError **error)
{
	struct flow forward, reply;
	struct query query;

	if (!decode_query(datapath, params, query_members, &query, error))
		return NULL;
	json_t *list = json_array();
	uint32_t cursor = query.cursor, end = page_end(datapath, cursor);
	while (json_array_size(list) + 2 <= query.limit &&
		next_connection(datapath, &query.filter, end, &cursor, &forward, &reply)) {
		append_row(list, datapath, &forward, &forward, &reply);
		append_row(list, datapath, &reply, &forward, &reply);
	}
	return json_pack("{s:o, s:o}", "flows", list, "next", encode_next(datapath, cursor));
}

json_t *flow_query_count(const struct datapath *datapath, json_t *params, GError **error)
{
	json_int_t states[CONNECTION_STATES] = {}, connections = 0, packets = 0, bytes = 0;
	struct flow forward, reply;
	struct query query;

	if (!decode_query(datapath, params, query_members, &query, error))
		return NULL;
	uint32_t cursor = query.cursor, end = page_end(datapath, cursor);
	while (next_connection(datapath, &query.filter, end, &cursor, &forward, &reply)) {
		connections++;
		states[connection_state(&forward, &reply)]++;
		const struct offload_stats there = offloader_carried(datapath->offloader, &forward, &reply),
					   back = offloader_carried(datapath->offloader, &reply, &forward);
		packets += (json_int_t)(forward.packets + reply.packets + there.packets + back.packets);
		bytes += (json_int_t)(forward.bytes + reply.bytes + there.bytes + back.bytes);
	}
	json_t *by_state = json_object();
	for (unsigned i = 0; i < CONNECTION_STATES; i++)
		json_object_set_new(
			by_state, connection_word((enum connection_state)i), json_integer(states[i]));
	return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o}", "connections", connections, "flows",
		2 * connections, "packets", packets, "bytes", bytes, "states", by_state, "next",
		encode_next(datapath, cursor));
}

/* The connection of an id. */
static bool find_id(
	const struct datapath *datapath, const char *id, struct flow *ret_forward, struct flow *ret_reply)
{
	unsigned index, seq;
	int length = 0;

	return sscanf(id, "%u-%x%n", &index, &seq, &length) == 2 && id[length] == '\0' && index >= 1 &&
	       index < flow_table_end(datapath->flows) &&
	       flow_table_copy_both(datapath->flows, index, ret_forward, ret_reply) && !ret_forward->reply &&
	       ret_forward->seq == seq;
}

static json_t *encode_tcp_flags(uint8_t seen)
{
	static const struct {
		uint8_t flag;
		const char *word;
	} flags[] = {{TCP_SYN, "syn"}, {TCP_ACK, "ack"}, {TCP_FIN, "fin"}, {TCP_RST, "rst"}};
	json_t *list = json_array();

	for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
		if (seen & flags[i].flag)
			json_array_append_new(list, json_string(flags[i].word));
	return list;
}

static void encode_tcp(json_t *object, uint32_t tcp)
{
	json_object_set_new(object, "tcp_flags_seen", encode_tcp_flags(tcp_flags_seen(tcp)));
	json_object_set_new(object, "tcp_window_shift", json_integer(tcp_shift(tcp)));
	if (tcp_flags_seen(tcp) & TCP_ACK)
		json_object_set_new(object, "tcp_acknowledged", json_integer(tcp_mark(tcp)));
}

static json_t *encode_whole(const struct datapath *datapath, const struct flow *flow, const struct flow *pair)
{
	json_t *object = encode_direction(datapath, flow, pair);

	json_object_set_new(object, "mtu", json_integer(flow->action.mtu));
	if (flow->key.protocol == PROTO_TCP)
		encode_tcp(object, flow->tcp);
	return object;
}

json_t *flow_query_show(const struct datapath *datapath, json_t *params, GError **error)
{
	const struct snapshot *snapshot = datapath_snapshot(datapath);
	struct flow forward, reply;
	struct query query;

	if (!decode_query(datapath, params, show_members, &query, error))
		return NULL;
	if (!find_id(datapath, query.id, &forward, &reply)) {
		fault_set(error, FAULT_NOT_FOUND,
			"there is no connection %s: it has ended, or was sent another way; list them again",
			query.id);
		return NULL;
	}
	enum connection_state state = connection_state(&forward, &reply);
	int idle = MIN(seconds_since(forward.seen_ms), seconds_since(reply.seen_ms));
	int limit = (int)(connection_timeout_ms(forward.key.protocol, state) / 1000);
	json_t *object = json_pack("{s:b, s:i, s:i, s:o, s:o}", "current", forward.epoch == snapshot->epoch,
		"idle_s", idle, "expires_s", MAX(limit - idle, 0), "forward",
		encode_whole(datapath, &forward, &reply), "reply", encode_whole(datapath, &reply, &forward));
	add_connection(object, &forward, &reply);
	return object;
}

bool flow_query_find(const struct datapath *datapath, const struct flow_key *key, struct flow *ret_flow,
	struct flow *ret_pair)
{
	return flow_table_find_copy(datapath->flows, key, ret_flow, ret_pair);
}
