/* Connections by the present state: see connections.h. */
#include "switch/connections.h"

#include "switch/datapath.h"
#include "switch/load_balancer.h"
#include "switch/peer.h"

#include <errno.h>

/* ---- quotas ---- */

static _Atomic uint32_t *quota_of(struct worker *worker, uint32_t nic)
{
	return &worker->datapath->nic_connections[nic_slot(nic) % NIC_SLOTS];
}

static void count(struct worker *worker, uint32_t nic)
{
	atomic_fetch_add_explicit(quota_of(worker, nic), 1, memory_order_relaxed);
}

static void give_back(struct worker *worker, uint32_t nic)
{
	atomic_fetch_sub_explicit(quota_of(worker, nic), 1, memory_order_relaxed);
}

bool connections_are_over_quota(const struct datapath *datapath, uint32_t nic)
{
	return atomic_load_explicit(&datapath->nic_connections[nic_slot(nic) % NIC_SLOTS],
		       memory_order_relaxed) >= datapath->limits.nic_connections;
}

/* ---- in and out ---- */

/* Which workers will see the packets. */
static void set_zones(const struct worker *worker, struct decision *decision)
{
	struct flow_half *halves[] = {&decision->forward, &decision->reply};

	for (size_t i = 0; i < RTE_DIM(halves); i++)
		halves[i]->zone =
			(uint8_t)polling_worker(worker->polling, halves[i]->key.origin, halves[i]->key.nic);
}

struct flow *connections_take_in(
	struct worker *worker, struct decision *decision, const struct flow past[2], int *ret_error)
{
	set_zones(worker, decision);
	struct flow *flow = flow_table_take_in(worker->datapath->flows, &decision->forward, &decision->reply,
		past, worker->snapshot->epoch, ret_error);
	if (flow)
		count(worker, flow->key.nic);
	return flow;
}

struct flow *connections_put(struct worker *worker, struct decision *decision, int *ret_error)
{
	const struct flow fresh = {.created_s = worker->now_s, .seen_ms = worker->now_ms};

	return connections_take_in(worker, decision, (const struct flow[2]){fresh, fresh}, ret_error);
}

static uint32_t payer_of(struct worker *worker, const struct flow *flow)
{
	return (flow->reply ? flow_table_pair(worker->datapath->flows, flow) : flow)->key.nic;
}

void connections_remove(struct worker *worker, struct flow *flow)
{
	if (flow_table_remove(worker->datapath->flows, flow))
		give_back(worker, payer_of(worker, flow));
}

bool connections_remove_seen(struct worker *worker, struct flow *flow, const struct flow *seen)
{
	bool removed = flow_table_remove_seen(worker->datapath->flows, flow, seen);

	if (removed)
		give_back(worker, payer_of(worker, flow));
	return removed;
}

enum connection_state connections_state(struct worker *worker, const struct flow *flow)
{
	return connection_state_of(flow, flow_table_pair(worker->datapath->flows, flow));
}

bool connections_evict_finished(struct worker *worker, const struct flow_key *key)
{
	struct flow *flow = flow_table_find(worker->datapath->flows, key);

	if (!flow || connections_state(worker, flow) != CONNECTION_CLOSED)
		return false;
	connections_remove(worker, flow);
	return true;
}

/* ---- decided anew ---- */

static bool is_same(const struct flow_half *half, const struct flow *flow)
{
	return flow_key_equal(&half->key, &flow->key) &&
	       memcmp(&half->action, &flow->action, sizeof half->action) == 0;
}

static bool are_same(const struct decision *decision, const struct flow *forward, const struct flow *reply)
{
	return is_same(&decision->forward, forward) && is_same(&decision->reply, reply);
}

/* A blocked connection comes back only when all groups allow it. */
static bool decide_again(const struct snapshot *state, const struct flow *forward, const struct flow *reply,
	struct decision *ret)
{
	const struct flow_key first = peer_first(state, &forward->key, &reply->key);
	const struct flow_alias alias = flow_alias_of(&reply->key, &forward->action);

	return decide_as(state, &first, !flow_is_blocked(forward), &alias, ret);
}

bool connections_are_kept(const struct snapshot *state, const struct flow *forward, const struct flow *reply)
{
	struct decision decision;

	return decide_again(state, forward, reply, &decision) && are_same(&decision, forward, reply);
}

/* 0, or the error of flow_table_replace. */
static int try_replace(struct worker *worker, struct flow *forward, const struct decision *decision)
{
	uint32_t before = forward->key.nic, after = decision->forward.key.nic;
	int error = 0;

	if (!flow_table_replace(worker->datapath->flows, forward, &decision->forward, &decision->reply,
		    worker->snapshot->epoch, &error))
		return error;
	if (before != after) {
		count(worker, after);
		give_back(worker, before);
	}
	return 0;
}

/* Who has one of the keys that the connection is to have, if not the connection itself. */
static const struct flow_key *taken_key(
	struct worker *worker, const struct flow *forward, const struct decision *decision)
{
	const struct flow *holder = flow_table_find(worker->datapath->flows, &decision->forward.key);

	return holder && holder != forward ? &decision->forward.key : &decision->reply.key;
}

/* The connection goes on, another way. */
static void replace(struct worker *worker, struct flow *forward, const struct decision *decision)
{
	if (try_replace(worker, forward, decision) != -EEXIST)
		return;
	if (!connections_evict_finished(worker, taken_key(worker, forward, decision)) ||
		try_replace(worker, forward, decision) == -EEXIST)
		connections_remove(worker, forward); /* another connection has its new tuple */
}

void connections_revalidate(struct worker *worker, struct flow *flow)
{
	struct flow_table *table = worker->datapath->flows;
	struct flow *pair = flow_table_pair(table, flow);
	struct flow *forward = flow->reply ? pair : flow, *reply = flow->reply ? flow : pair;
	uint32_t epoch = worker->snapshot->epoch;
	struct decision decision;

	counter_add(&worker->counters.revalidations, 1);
	if (!decide_again(worker->snapshot, forward, reply, &decision)) {
		flow_table_decide(table, forward, true, epoch);
		return;
	}
	set_zones(worker, &decision);
	if (are_same(&decision, forward, reply))
		flow_table_decide(table, forward, false, epoch);
	else
		replace(worker, forward, &decision);
}

bool connections_is_stale(const struct worker *worker, const struct flow *flow)
{
	uint32_t epoch = __atomic_load_n(&flow->epoch, __ATOMIC_ACQUIRE);

	return (int32_t)(worker->snapshot->epoch - epoch) > 0;
}

struct flow *connections_find(struct worker *worker, const struct flow_key *key)
{
	struct flow *flow = flow_table_find(worker->datapath->flows, key);

	if (flow && connections_is_stale(worker, flow)) {
		connections_revalidate(worker, flow);
		flow = flow_table_find(worker->datapath->flows, key);
	}
	return flow && !connections_is_stale(worker, flow) && !flow_is_blocked(flow) ? flow : NULL;
}

/* The keys that the other direction of a packet's connection may have, one after the other from {}. */
struct backs {
	bool begun;
	struct load_asked asked;
};

static bool next_back(
	const struct snapshot *state, const struct flow_key *key, struct backs *at, struct flow_key *ret)
{
	bool first = !at->begun;

	at->begun = true;
	return (first && peer_answer(state, key, ret)) ||
	       load_balancer_next_asked(state, key, &at->asked, ret);
}

struct flow *connections_find_moved(struct worker *worker, const struct flow_key *key)
{
	struct flow *moved = NULL;
	struct flow_key back;
	struct backs at = {};

	while (!moved && next_back(worker->snapshot, key, &at, &back)) {
		struct flow *flow = flow_table_find(worker->datapath->flows, &back);
		if (!flow || !connections_is_stale(worker, flow))
			continue;
		connections_revalidate(worker, flow);
		moved = flow_table_find(worker->datapath->flows, key);
	}
	return moved;
}

/* Copies of the connection whose one direction has the key `back`, as they would be decided anew: whether the other one then
 * has the key. */
static bool looks_moved(const struct datapath *datapath, const struct snapshot *state,
	const struct flow_key *key, const struct flow_key *back, struct flow *ret_flow, struct flow *ret_pair)
{
	struct decision decision;

	if (!flow_table_find_copy(datapath->flows, back, ret_pair, ret_flow) ||
		ret_pair->epoch == state->epoch)
		return false;
	bool reply = ret_flow->reply;
	return decide_again(state, reply ? ret_pair : ret_flow, reply ? ret_flow : ret_pair, &decision) &&
	       flow_key_equal(reply ? &decision.reply.key : &decision.forward.key, key);
}

bool connections_look_moved(const struct datapath *datapath, const struct snapshot *state,
	const struct flow_key *key, struct flow *ret_flow, struct flow *ret_pair)
{
	struct flow_key back;
	struct backs at = {};

	while (next_back(state, key, &at, &back))
		if (looks_moved(datapath, state, key, &back, ret_flow, ret_pair))
			return true;
	return false;
}
