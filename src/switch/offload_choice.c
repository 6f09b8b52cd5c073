/* Which flows an eswitch gets, and which it keeps: see offloader.h. */
#include "switch/connections.h"
#include "switch/offloader_priv.h"

#define SCAN_ENTRIES  65536 /* a turn */
#define CONFIRM_FLOWS 2048 /* the same */

uint32_t offload_choice_nic(const struct flow *flow)
{
	return flow->key.nic == FLOW_NIC_SHARED ? flow->action.target : flow->key.nic;
}

/* ---- what comes back ---- */

static void add_stats(struct offload_stats *sum, const struct offload_stats *more)
{
	sum->packets += more->packets;
	sum->bytes += more->bytes;
}

/* Of the NIC's slot; whoever is new there begins with nothing. */
static struct traffic *traffic_of(struct offloader *o, uint32_t nic)
{
	struct traffic *traffic = &o->traffic[nic_slot(nic) % NIC_SLOTS];

	if (traffic->nic != nic)
		*traffic = (struct traffic){.nic = nic};
	return traffic;
}

/* The direction as it is now. False: it is gone, or the entry is another one's. */
static bool find(const struct offloader *o, const struct offered *offered, struct flow *ret_flow,
	struct flow *ret_pair)
{
	return flow_table_copy_both(o->datapath->flows, offered->index, ret_flow, ret_pair) &&
	       offload_flows_id(ret_flow, ret_pair) == offered->id;
}

static void on_carried(void *data, uint64_t id, const struct offload_stats *more)
{
	struct offloader *o = data;
	struct offered *offered = g_hash_table_lookup(o->flows, &id);
	struct flow flow, pair;

	if (!offered)
		return;
	add_stats(&offered->carried, more);
	if (!find(o, offered, &flow, &pair))
		return;
	flow_table_touch(o->datapath->flows, offered->index, &flow, (uint32_t)o->now_ms);
	if (flow.key.origin == FLOW_FROM_NIC) {
		struct traffic *sender = traffic_of(o, flow.key.nic);
		add_stats(&sender->sent, more);
		add_stats(&sender->sent_since, more);
	}
	if (flow.action.exit == FLOW_TO_NIC) {
		struct traffic *receiver = traffic_of(o, flow.action.target);
		add_stats(&receiver->received, more);
		add_stats(&receiver->received_since, more);
	}
}

/* Of what no NIC ever carried, the switch knows TCP's window as well as of any. */
static void forget_carried(struct offloader *o, const struct offered *offered)
{
	struct flow flow, pair;

	if (offered->carried.packets == 0 && !offered->was_carried && find(o, offered, &flow, &pair))
		flow_table_set_carried(o->datapath->flows, offered->index, &flow, false);
}

static void on_left(void *data, uint64_t id, enum offload_state state, const char *reason)
{
	struct offloader *o = data;
	const struct offered *offered = g_hash_table_lookup(o->flows, &id);

	if (offered)
		forget_carried(o, offered);
}

static const struct offload_listener listener = {.carried = on_carried, .left = on_left};

/* ---- making ---- */

static bool make(const struct offloader *o, const struct flow *flow, const struct flow *pair,
	struct offload_flow *ret, const char **ret_reason)
{
	if (!offload_flows_make(o->datapath, flow, pair, (uint32_t)o->now_ms, ret, ret_reason))
		return false;
	if (o->is_port[ret->match.port] && o->is_port[ret->actions.port])
		return true;
	*ret_reason = "the way that it comes or leaves by is no port of an eswitch";
	return false;
}

/* Whether the eswitch has of it what it would get now. */
static bool is_same(
	struct offloader *o, const struct offered *offered, const struct flow *flow, const struct flow *pair)
{
	struct offload_flow made;
	const char *reason;

	return connection_state_of(flow, pair) == CONNECTION_ESTABLISHED &&
	       make(o, flow, pair, &made, &reason) && memcmp(&made, &offered->flow, sizeof made) == 0;
}

/* ---- choosing ---- */

static struct offered *take(struct offloader *o, uint32_t index, const struct flow *flow, uint64_t id)
{
	struct offered *offered = g_hash_table_lookup(o->flows, &id);

	if (offered)
		return offered;
	offered = g_new0(struct offered, 1);
	offered->id = id;
	offered->index = index;
	offered->nic = offload_choice_nic(flow);
	g_hash_table_insert(o->flows, &offered->id, offered);
	return offered;
}

/* index: of the direction. */
static void offer(struct offloader *o, uint32_t index, const struct flow *flow, const struct flow *pair)
{
	struct offered *offered = take(o, index, flow, offload_flows_id(flow, pair));
	enum offload_state state = offload_manager_find(o->manager, offered->id).state;
	struct offload_flow made;

	if ((state != OFFLOAD_STATE_NONE && state != OFFLOAD_STATE_REFUSED) ||
		!make(o, flow, pair, &made, &offered->unable))
		return;
	offered->flow = made;
	offered->was_carried |= state == OFFLOAD_STATE_NONE && flow_is_carried(flow);
	if (!flow_table_set_carried(o->datapath->flows, index, flow, true))
		return;
	state = offload_manager_offer(o->manager, &made, flow->epoch, flow->packets, o->now_ms);
	if (state == OFFLOAD_STATE_NONE || state == OFFLOAD_STATE_REFUSED)
		forget_carried(o, offered);
}

static bool is_wanted(const struct offloader *o, uint32_t nic)
{
	return nic_slot(nic) < NIC_SLOTS && o->is_wanted[nic_slot(nic)];
}

/* A direction has had packets enough. */
static void choose(struct offloader *o, uint32_t index)
{
	struct flow flow, pair;

	if (!flow_table_copy_both(o->datapath->flows, index, &flow, &pair) ||
		connection_state_of(&flow, &pair) != CONNECTION_ESTABLISHED ||
		(!is_wanted(o, offload_choice_nic(&flow)) && !is_wanted(o, offload_choice_nic(&pair))))
		return;
	offer(o, index, &flow, &pair);
	offer(o, flow.pair, &pair, &flow);
}

bool offload_choice_scan(struct offloader *o)
{
	struct flow_table *table = o->datapath->flows;
	uint32_t end = flow_table_end(table), stop = MIN(end, o->scan_next + SCAN_ENTRIES);

	if (o->scan_next == 0)
		return false;
	for (; o->scan_next < stop; o->scan_next++) {
		const struct flow *flow = flow_table_at(table, o->scan_next);
		uint64_t packets = __atomic_load_n(&flow->packets, __ATOMIC_RELAXED);
		uint64_t before = o->noted[o->scan_next];
		o->noted[o->scan_next] = packets;
		/* Fewer than before: it is another connection's by now. */
		if (flow_is_live(flow) && packets - (packets < before ? 0 : before) >= o->enough)
			choose(o, o->scan_next);
	}
	if (stop == end)
		o->scan_next = 0;
	return o->scan_next != 0;
}

/* ---- keeping ---- */

static bool is_there(enum offload_state state)
{
	return state == OFFLOAD_STATE_QUEUED || state == OFFLOAD_STATE_INSTALLED;
}

/* Returns whether nothing is left of it. */
static bool check(struct offloader *o, const struct offered *offered)
{
	enum offload_state state = offload_manager_find(o->manager, offered->id).state;
	struct flow flow, pair;

	if (!find(o, offered, &flow, &pair)) {
		offload_manager_withdraw(o->manager, offered->id, "its connection is over");
		return state == OFFLOAD_STATE_NONE;
	}
	if (is_there(state) && !is_same(o, offered, &flow, &pair))
		offload_manager_withdraw(o->manager, offered->id, "its connection ends, or goes another way");
	return false;
}

void offload_choice_check(struct offloader *o)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, o->flows);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		if (check(o, value))
			g_hash_table_iter_remove(&iter);
}

/* By the state in use, of which the table is told: the decision is a function of state and connection alone, so a worker that
 * decides it at the same moment says the same. */
static bool decide_anew(struct offloader *o, const struct offered *offered)
{
	const struct snapshot *snapshot = datapath_snapshot(o->datapath);
	struct flow flow, pair;

	if (!find(o, offered, &flow, &pair) ||
		!connections_are_kept(snapshot, flow.reply ? &pair : &flow, flow.reply ? &flow : &pair) ||
		!flow_table_decide_seen(o->datapath->flows, offered->index, &flow, false, snapshot->epoch))
		return false;
	flow.epoch = snapshot->epoch;
	return is_same(o, offered, &flow, &pair);
}

void offload_choice_begin_confirm(struct offloader *o)
{
	g_clear_pointer(&o->unconfirmed, g_array_unref);
}

static void gather(struct offloader *o)
{
	GHashTableIter iter;
	gpointer value;

	o->unconfirmed = g_array_new(false, false, sizeof(uint64_t));
	g_hash_table_iter_init(&iter, o->flows);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		g_array_append_val(o->unconfirmed, ((const struct offered *)value)->id);
}

bool offload_choice_confirm(struct offloader *o)
{
	uint32_t epoch = datapath_snapshot(o->datapath)->epoch;

	if (!o->unconfirmed)
		gather(o);
	for (unsigned i = 0; i < CONFIRM_FLOWS && o->unconfirmed->len; i++) {
		uint64_t id = g_array_index(o->unconfirmed, uint64_t, o->unconfirmed->len - 1);
		const struct offered *offered = g_hash_table_lookup(o->flows, &id);
		g_array_set_size(o->unconfirmed, o->unconfirmed->len - 1);
		if (is_there(offload_manager_find(o->manager, id).state) && decide_anew(o, offered))
			offload_manager_confirm(o->manager, id, epoch);
	}
	return o->unconfirmed->len;
}

/* ---- life ---- */

void offload_choice_init(struct offloader *o, const struct offload_policy *policy)
{
	o->manager = offload_manager_new(policy, &listener, o);
	o->flows = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
}

void offload_choice_begin(struct offloader *o)
{
	o->noted = g_new0(uint64_t, flow_table_memory(o->datapath->flows)->n_entries);
}

void offload_choice_done(struct offloader *o)
{
	offload_manager_free(o->manager);
	g_hash_table_unref(o->flows);
	offload_choice_begin_confirm(o);
	g_free(o->noted);
}
