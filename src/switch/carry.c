/* Connections that move from switch to switch: see carry.h. */
#include "switch/carry.h"

#include "base/fault.h"
#include "base/log.h"
#include "switch/bypass.h"
#include "switch/connection_file.h"
#include "switch/connections.h"
#include "switch/decode.h"
#include "switch/layers/layer.h"
#include "switch/load_balancer.h"
#include "switch/lookup.h"
#include "switch/offloader.h"
#include "switch/peer.h"

#include <errno.h>

#define READ_ON        64 /* connections that are taken in between two quiescent states */
#define CLOCKS_APART_S 10 /* at most, of two workers */

/* ---- export ---- */

/* Clocks of two workers may differ a little. */
static uint32_t since(uint32_t then, uint32_t now, uint32_t apart)
{
	uint32_t elapsed = now - then;

	return elapsed > UINT32_MAX - apart ? 0 : elapsed;
}

static uint32_t idle_ms(const struct flow *flow, uint32_t age_s, uint64_t now_ms)
{
	uint32_t idle = since(flow->seen_ms, (uint32_t)now_ms, CLOCKS_APART_S * 1000);

	return (uint32_t)MIN(MIN(idle, (uint64_t)age_s * 1000 + 999), (uint64_t)CONNECTION_IDLE_MAX);
}

/* What an eswitch has carried of it counts, too. */
static struct connection_way way_of(const struct datapath *datapath, const struct flow *flow,
	const struct flow *pair, uint32_t age_s, uint64_t now_ms)
{
	const struct offload_stats there = offloader_carried(datapath->offloader, flow, pair);

	return (struct connection_way){
		.idle_ms = idle_ms(flow, age_s, now_ms),
		.tcp = flow->tcp,
		.carried = flow->carried,
		.packets = flow->packets + there.packets,
		.bytes = flow->bytes + there.bytes,
	};
}

/* own: the NIC's direction; other: what comes to it. */
static struct connection_record record_of(
	const struct datapath *datapath, const struct flow *own, const struct flow *other, uint64_t now_ms)
{
	uint32_t age_s = since(own->created_s, (uint32_t)(now_ms / 1000), CLOCKS_APART_S);
	struct connection_record record = {
		.own = own->key,
		.answers = own->reply,
		.blocked = own->blocked,
		.age_s = age_s,
		.sent = way_of(datapath, own, other, age_s, now_ms),
		.received = way_of(datapath, other, own, age_s, now_ms),
	};

	memcpy(record.alias, other->key.dst, sizeof record.alias);
	return record;
}

/* Whether the NIC sends that. To another one here it may come by the tunnel or the wire: from when this NIC was elsewhere, as it
 * may be again. */
static bool is_of(const struct snapshot *state, const struct flow *flow, const struct nic *nic)
{
	const struct nic *at = snapshot_nic(state, flow->key.nic);
	bool from_network = flow->key.origin == FLOW_FROM_TUNNEL || flow->key.origin == FLOW_FROM_PHYSICAL;

	if (flow->key.origin == FLOW_FROM_NIC)
		return at == nic;
	return from_network && at && at != nic && at->network == nic->network &&
	       nic_find_address(nic, flow_key_source(&flow->key));
}

/* Whether the address that the other end has for the NIC is the NIC's: the one it sends from, or its public one. */
static bool is_own_alias(const struct nic *nic, const struct flow_key *own, const uint8_t alias[16])
{
	const struct nic_address *address = nic_find_address(nic, flow_key_source(own));

	return memcmp(own->src, alias, sizeof own->src) == 0 ||
	       (address && address->public_ip.family != IP_NONE &&
		       memcmp(address->public_ip.bytes, alias, sizeof address->public_ip.bytes) == 0);
}

/* A member's, by a load balancer here: from another host it has that by the tunnel, translated already. */
static bool is_led_here(
	const struct snapshot *state, const struct nic *nic, const struct connection_record *record)
{
	struct ip_addr alias = {.family = record->own.family};

	memcpy(alias.bytes, record->alias, sizeof alias.bytes);
	return record->answers && (load_balancer_of(state, SPACE_PUBLIC, alias) ||
					  load_balancer_of(state, nic->network->space, alias));
}

/* What the other host needs to lead it as it was led here. */
static void note_member(const struct snapshot *state, const struct nic *nic, const struct flow *own,
	struct connection_record *ret)
{
	if (!ret->answers && load_balancer_of(state, nic->network->space, flow_key_destination(&own->key)))
		memcpy(ret->member, own->action.dmac, sizeof ret->member);
}

void carry_export(const struct datapath *datapath, const struct nic *nic, uint64_t now_ms,
	struct connection_writer *writer, struct carry_left *ret)
{
	const struct snapshot *state = datapath_snapshot(datapath);
	uint32_t end = flow_table_end(datapath->flows);
	struct flow forward, reply;
	uint32_t ago_s;

	*ret = (struct carry_left){};
	if (bypass_was_active_ago(datapath, nic, (uint32_t)(now_ms / 1000), &ago_s))
		connection_writer_note_function(writer, ago_s);
	for (uint32_t index = 1; index < end; index++) {
		if (!flow_table_copy_both(datapath->flows, index, &forward, &reply) || forward.reply)
			continue;
		bool began = is_of(state, &forward, nic);
		if (!(began || is_of(state, &reply, nic)) ||
			connection_expired(&forward, &reply, (uint32_t)now_ms))
			continue;
		const struct flow *own = began ? &forward : &reply, *other = began ? &reply : &forward;
		struct connection_record record = record_of(datapath, own, other, now_ms);
		if (is_led_here(state, nic, &record))
			memcpy(record.alias, record.own.src, sizeof record.alias);
		note_member(state, nic, own, &record);
		if (other->key.origin == FLOW_FROM_HOST)
			ret->host++;
		else if (!is_own_alias(nic, &own->key, record.alias))
			ret->shared++;
		else
			connection_writer_add(writer, &record);
	}
}

/* ---- import ---- */

struct import {
	struct worker *worker; /* Borrowed: what the main thread is to the table */
	const struct nic *nic; /* Borrowed */
	struct carry_taken *taken; /* Borrowed */
};

static struct flow past_of(const struct connection_record *record, const struct connection_way *way,
	bool blocked, const struct worker *now)
{
	return (struct flow){
		.created_s = now->now_s - record->age_s,
		.seen_ms = now->now_ms - way->idle_ms,
		.tcp = way->tcp,
		.packets = way->packets,
		.bytes = way->bytes,
		.blocked = blocked,
		.carried = way->carried,
	};
}

static enum drop drop_of(int error)
{
	return error == -EEXIST ? DROP_TUPLE_IN_USE : DROP_TABLE_FULL;
}

/* What comes by the tunnel is of the connection only if it comes from there (execute.h), also where it is blocked. */
static void set_vtep(const struct import *import, struct flow_half *half)
{
	const struct mapping *remote =
		half->key.origin != FLOW_FROM_TUNNEL
			? NULL
			: vxlan_remote(import->worker->snapshot, import->nic, flow_key_source(&half->key));

	const struct front *front =
		half->key.origin != FLOW_FROM_TUNNEL
			? NULL
			: vxlan_front(import->worker->snapshot, import->nic, flow_key_source(&half->key));

	if (remote || front)
		memcpy(half->action.next_hop, remote ? remote->vtep : front->way.vtep,
			sizeof half->action.next_hop);
}

/* Whether the state allows it; else *ret is what it takes to remember that it does not. */
static bool judge(const struct import *import, const struct connection_record *record,
	const struct flow_key *own, const struct flow_key *other, struct decision *ret)
{
	const struct flow_key *first = record->answers ? other : own, *back = record->answers ? own : other;
	bool allowed = decide(import->worker->snapshot, first, !record->blocked, ret);

	/* It is another connection where its answers are not what they were. */
	if (allowed && flow_key_equal(&ret->reply.key, back))
		return true;
	*ret = (struct decision){.drop = allowed ? DROP_NOT_OURS : ret->drop};
	ret->forward.key = *first;
	ret->reply.key = *back;
	set_vtep(import, &ret->forward);
	set_vtep(import, &ret->reply);
	return false;
}

/* Both directions of it come in, as they were decided. */
static void put_in(struct import *import, const struct connection_record *record, struct decision *decision,
	bool allowed)
{
	struct worker *worker = import->worker;
	int error = 0;

	const struct flow sent = past_of(record, &record->sent, !allowed, worker);
	const struct flow received = past_of(record, &record->received, !allowed, worker);
	const struct flow past[2] = {record->answers ? received : sent, record->answers ? sent : received};
	if (!connections_take_in(worker, decision, past, &error))
		import->taken->refused[drop_of(error)]++;
	else if (allowed)
		import->taken->imported++;
	else
		import->taken->refused[decision->drop]++;
}

static void take_in(struct import *import, const struct connection_record *record, const struct flow_key *own,
	const struct flow_key *other)
{
	struct decision decision;

	if (connections_are_over_quota(import->worker->datapath, (record->answers ? other : own)->nic)) {
		import->taken->refused[DROP_FLOW_QUOTA]++;
		return;
	}
	bool allowed = judge(import, record, own, other, &decision);
	put_in(import, record, &decision, allowed);
}

/* What an internal load balancer has led to a member is led there again, or not at all. Where the member is here, its
 * switch had the connection without the load balancer: now it is one of both. */
static void take_led(
	struct import *import, const struct connection_record *record, const struct flow_key *own)
{
	struct worker *worker = import->worker;
	struct flow_alias alias = {};
	struct decision decision;

	memcpy(alias.member, record->member, sizeof alias.member);
	if (!decide_as(worker->snapshot, own, !record->blocked, &alias, &decision)) {
		import->taken->refused[decision.drop]++;
	} else if (memcmp(decision.forward.action.dmac, record->member, sizeof record->member) != 0) {
		import->taken->refused[DROP_NO_MEMBER]++;
	} else if (connections_are_over_quota(worker->datapath, own->nic)) {
		import->taken->refused[DROP_FLOW_QUOTA]++;
	} else {
		struct flow *there = flow_table_find(worker->datapath->flows, &decision.reply.key);
		if (there)
			connections_remove(worker, there);
		put_in(import, record, &decision, true);
	}
}

/* A client here has it by an internal load balancer, from when the member was elsewhere. */
static bool has_client_here(
	const struct import *import, const struct flow_key *own, const struct flow_key *other)
{
	struct flow_key back = *own;

	if (other->origin != FLOW_FROM_NIC)
		return false;
	back.nic = other->nic;
	back.origin = FLOW_FROM_TUNNEL;
	/* The first look decides it anew: the answers may come from here by then. */
	return connections_find(import->worker, &back) || connections_find(import->worker, own);
}

/* The other end's NIC is here, and has the connection from when this one was elsewhere, as it may be still: that becomes
 * the one of both. */
static void join(struct import *import, const struct connection_record *record, const struct flow_key *own,
	const struct flow_key *other)
{
	struct decision decision;

	if (connections_find(import->worker, other))
		import->taken->known++;
	else
		import->taken->refused[judge(import, record, own, other, &decision) ? DROP_REVOKED
										    : decision.drop]++;
}

/* Its own address, or one that a load balancer elsewhere leaves to it. */
static bool may_have(const struct nic *nic, struct ip_addr source)
{
	return spoof_may_send(nic, source) || (nic->front && front_is_floating(nic->front, source));
}

/* The same of an internal load balancer, which leaves it what comes to that port. */
static bool may_answer(const struct snapshot *state, const struct nic *nic, const struct flow_key *own)
{
	const struct flow_key asked = flow_key_reverse(own);

	return may_have(nic, flow_key_source(own)) || load_balancer_floats_to(state, nic, &asked);
}

/* What is no connection of this NIC's is not remembered either: it might be another's. */
static void import_one(struct import *import, const struct connection_record *record)
{
	struct flow_table *table = import->worker->datapath->flows;
	struct flow_key own = record->own, other;

	own.nic = import->nic->id;
	own.origin = FLOW_FROM_NIC;
	if (!may_answer(import->worker->snapshot, import->nic, &own))
		import->taken->refused[DROP_SPOOFED_IP]++;
	else if (!is_own_alias(import->nic, &own, record->alias))
		import->taken->refused[DROP_NOT_OURS]++;
	else if (flow_table_find(table, &own))
		import->taken->known++;
	else if (connection_record_is_led(record))
		take_led(import, record, &own);
	else if (!peer_key(import->worker->snapshot, &own, record->alias, &other))
		import->taken->refused[DROP_NO_DESTINATION]++;
	else if (has_client_here(import, &own, &other))
		import->taken->known++;
	else if (flow_table_find(table, &other))
		join(import, record, &own, &other);
	else
		take_in(import, record, &own, &other);
}

void carry_import(struct datapath *datapath, const struct nic *nic, uint64_t now_ms,
	const struct connection_reader *reader, struct carry_taken *ret)
{
	struct worker worker = {.datapath = datapath};
	struct import import = {.worker = &worker, .nic = nic, .taken = ret};
	struct connection_record record;
	uint32_t ago_s;

	*ret = (struct carry_taken){};
	if (connection_reader_function(reader, &ago_s))
		bypass_note_ago(datapath, nic, (uint32_t)(now_ms / 1000), ago_s);
	worker_begin(&worker, now_ms);
	datapath_read_begin(datapath);
	for (unsigned i = 0; i < connection_reader_count(reader); i++) {
		connection_reader_get(reader, i, &record);
		import_one(&import, &record);
		if (i % READ_ON == 0)
			datapath_read_on(datapath);
	}
	datapath_read_end(datapath);
}

/* ---- methods ---- */

struct call {
	const char *nic_word, *path; /* Borrowed from the parameters */
	const struct nic *nic; /* Borrowed from the snapshot */
};

static bool decode_path(struct decode *d, json_t *value, void *to)
{
	const char *path = json_string_value(value);

	if (!path || !g_path_is_absolute(path))
		return decode_fail(d, "must be an absolute path");
	*(const char **)to = path;
	return true;
}

static const struct decode_member call_members[] = {
	{"nic", decode_word, offsetof(struct call, nic_word)},
	{"path", decode_path, offsetof(struct call, path)},
	{},
};

static bool decode_call(const struct datapath *datapath, json_t *params, struct call *ret, GError **error)
{
	*ret = (struct call){};
	if (!decode_params(params, call_members, ret, error))
		return false;
	ret->nic = lookup_nic(datapath_snapshot(datapath), ret->nic_word, error);
	return ret->nic != NULL;
}

json_t *carry_method_export(struct datapath *datapath, json_t *params, GError **error)
{
	struct carry_left left;
	struct call call;

	if (!decode_call(datapath, params, &call, error))
		return NULL;
	_cleanup_(connection_writer_free) struct connection_writer *writer =
		connection_writer_new(call.nic->uid);
	carry_export(datapath, call.nic, datapath_clock_ms(), writer, &left);
	if (!connection_writer_save(writer, call.path, error))
		return NULL;
	unsigned n = connection_writer_count(writer);
	log_info(call.nic->uid, "%u connections exported; %u by a shared address and %u with the host stay",
		n, left.shared, left.host);
	return json_pack("{s:i, s:{s:i, s:i}}", "connections", (int)n, "left", "shared-address",
		(int)left.shared, "host", (int)left.host);
}

static json_t *encode_refused(const struct carry_taken *taken, unsigned *ret_sum)
{
	json_t *refused = json_object();

	*ret_sum = 0;
	for (unsigned reason = 0; reason < DROP_COUNT; reason++) {
		*ret_sum += taken->refused[reason];
		if (taken->refused[reason])
			json_object_set_new(
				refused, drop_word((enum drop)reason), json_integer(taken->refused[reason]));
	}
	return refused;
}

json_t *carry_method_import(struct datapath *datapath, json_t *params, GError **error)
{
	struct carry_taken taken;
	struct call call;
	unsigned n_refused;

	if (!decode_call(datapath, params, &call, error))
		return NULL;
	_cleanup_(connection_reader_free) struct connection_reader *reader =
		connection_reader_open(call.path, call.nic->uid, flow_table_capacity(datapath->flows), error);
	if (!reader)
		return NULL;
	carry_import(datapath, call.nic, datapath_clock_ms(), reader, &taken);
	json_t *refused = encode_refused(&taken, &n_refused);
	log_info(call.nic->uid, "%u connections imported, %u known, %u refused", taken.imported, taken.known,
		n_refused);
	return json_pack("{s:i, s:i, s:o}", "imported", (int)taken.imported, "known", (int)taken.known,
		"refused", refused);
}
