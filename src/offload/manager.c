/* Which flows a NIC executes: see manager.h. */
#include "offload/manager.h"

#include <errno.h>

#define EVENTS_AT_ONCE 64

struct entry {
	struct offload_flow flow;
	uint32_t generation;
	enum offload_state state;
	bool unwanted; /* QUEUED: to be taken out as soon as the NIC has answered */
	char *reason; /* Owned; see offload_flow_report */
	struct offload_stats stats; /* that the owner knows of */
	uint64_t used_ms; /* when it was installed, or carried packets last */
	uint64_t refused_ms;
};

struct meter {
	struct offload_meter is;
	bool held; /* the NIC has taken it, as it is */
};

struct offload_manager {
	struct offload_policy policy;
	const struct offload_listener *listener;
	void *data;
	struct offload_provider *provider; /* Owned; NULL: none */
	bool ready; /* it has been flushed */
	bool dead; /* it has said so: to be closed */
	bool flush_asked;
	bool stats_asked; /* and not all answered */
	uint64_t stats_ms; /* when */
	uint32_t generation;
	GHashTable *entries; /* id → struct entry, Owned */
	unsigned n_unwanted; /* entries that are */
	GQueue *leaving; /* of struct entry: EVICTING, and the provider has not been asked */
	GHashTable *meters; /* id → struct meter, Owned */
	uint64_t meters_ms; /* when those were asked for again that the NIC has not taken */
	struct offload_counts counts;
};

const char *offload_state_word(enum offload_state state)
{
	static const char *const words[OFFLOAD_STATES] = {
		[OFFLOAD_STATE_NONE] = "none",
		[OFFLOAD_STATE_QUEUED] = "queued",
		[OFFLOAD_STATE_INSTALLED] = "installed",
		[OFFLOAD_STATE_REFUSED] = "refused",
		[OFFLOAD_STATE_EVICTING] = "evicting",
	};

	return words[state];
}

/* ---- entries ---- */

static void entry_free(gpointer data)
{
	struct entry *entry = data;

	g_free(entry->reason);
	g_free(entry);
}

static struct entry *find(const struct offload_manager *manager, uint64_t flow)
{
	return g_hash_table_lookup(manager->entries, &flow);
}

static void set_state(struct offload_manager *m, struct entry *entry, enum offload_state state)
{
	m->counts.states[entry->state]--;
	m->counts.states[state]++;
	entry->state = state;
}

static void set_reason(struct entry *entry, const char *reason)
{
	g_free(entry->reason);
	entry->reason = g_strdup(reason);
}

/* The NIC has nothing of it any more, and the owner has been told. */
static void forget(struct offload_manager *m, struct entry *entry)
{
	m->counts.states[entry->state]--;
	g_hash_table_remove(m->entries, &entry->flow.id);
}

/* The switch has it again. */
static void give_back(struct offload_manager *m, struct entry *entry, const char *reason)
{
	m->listener->left(m->data, entry->flow.id, OFFLOAD_STATE_NONE, reason);
	forget(m, entry);
}

static void refuse(struct offload_manager *m, struct entry *entry, const char *reason, uint64_t now_ms)
{
	set_state(m, entry, OFFLOAD_STATE_REFUSED);
	set_reason(entry, reason);
	entry->refused_ms = now_ms;
	m->listener->left(m->data, entry->flow.id, OFFLOAD_STATE_REFUSED, entry->reason);
}

/* Takes it out of the NIC, now or when the NIC has answered. */
static void leave(struct offload_manager *m, struct entry *entry, const char *reason)
{
	if (entry->state == OFFLOAD_STATE_QUEUED) {
		m->n_unwanted += !entry->unwanted;
		entry->unwanted = true;
		set_reason(entry, reason);
	} else if (entry->state == OFFLOAD_STATE_INSTALLED) {
		set_state(m, entry, OFFLOAD_STATE_EVICTING);
		set_reason(entry, reason);
		g_queue_push_tail(m->leaving, entry);
	} else if (entry->state == OFFLOAD_STATE_REFUSED) {
		forget(m, entry);
	}
}

/* Calls leave for those that `which` tells; the table may change under a walk over it, so they are gathered first. */
static void leave_all(struct offload_manager *m,
	bool (*which)(const struct entry *, const struct offload_manager *, uint64_t now_ms), uint64_t now_ms,
	const char *reason)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new();
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, m->entries);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		if (which(value, m, now_ms))
			g_ptr_array_add(found, value);
	for (guint i = 0; i < found->len; i++)
		leave(m, found->pdata[i], reason);
}

/* ---- the provider's end ---- */

/* Whoever calls the provider looks at what it says; what is to be done about its death waits until poll. */
static bool hear(struct offload_manager *m, int status)
{
	if (status == -ENODEV)
		m->dead = true;
	return status >= 0;
}

static void bury(struct offload_manager *m)
{
	g_autoptr(GList) all = g_hash_table_get_values(m->entries);

	m->counts.deaths++;
	g_clear_pointer(&m->provider, offload_provider_close);
	m->dead = m->ready = m->stats_asked = false;
	g_queue_clear(m->leaving);
	m->n_unwanted = 0;
	for (GList *l = all; l; l = l->next) {
		struct entry *entry = l->data;
		if (entry->state == OFFLOAD_STATE_REFUSED)
			forget(m, entry);
		else
			give_back(m, entry, "the NIC is gone");
	}
}

/* ---- events ---- */

static void account(
	struct offload_manager *m, struct entry *entry, const struct offload_event *event, uint64_t now_ms)
{
	const struct offload_stats *now = &event->stats;
	struct offload_stats more = *now; /* a counter that went back began anew */

	if (!event->has_stats)
		return;
	if (now->packets >= entry->stats.packets && now->bytes >= entry->stats.bytes) {
		more.packets -= entry->stats.packets;
		more.bytes -= entry->stats.bytes;
	}
	entry->stats = *now;
	if (more.packets == 0)
		return;
	entry->used_ms = now_ms;
	m->listener->carried(m->data, entry->flow.id, &more);
}

static void on_installed(struct offload_manager *m, struct entry *entry, uint64_t now_ms)
{
	if (entry->state != OFFLOAD_STATE_QUEUED)
		return;
	m->counts.installed++;
	entry->used_ms = now_ms;
	set_state(m, entry, OFFLOAD_STATE_INSTALLED);
	if (!entry->unwanted)
		return;
	m->n_unwanted--;
	entry->unwanted = false;
	g_autofree char *reason = g_steal_pointer(&entry->reason);
	leave(m, entry, reason);
}

static void on_refused(struct offload_manager *m, struct entry *entry, const char *reason, uint64_t now_ms)
{
	if (entry->state != OFFLOAD_STATE_QUEUED)
		return;
	m->counts.refused++;
	m->n_unwanted -= entry->unwanted;
	if (entry->unwanted)
		give_back(m, entry, entry->reason);
	else
		refuse(m, entry, reason, now_ms);
}

static void on_evicted(
	struct offload_manager *m, struct entry *entry, const struct offload_event *event, uint64_t now_ms)
{
	m->counts.evicted++;
	account(m, entry, event, now_ms);
	if (entry->state == OFFLOAD_STATE_INSTALLED) /* else it is asked for already, and will be answered */
		refuse(m, entry, event->reason, now_ms);
}

static void on_event(struct offload_manager *m, const struct offload_event *event, uint64_t now_ms)
{
	struct entry *entry = find(m, event->flow);

	if (event->kind == OFFLOAD_EVENT_FLUSHED) {
		m->ready = true;
	} else if (event->kind == OFFLOAD_EVENT_STATS_DONE) {
		m->stats_asked = false;
	} else if (!entry) {
		return; /* what is on its way of a flow that is gone */
	} else if (event->kind == OFFLOAD_EVENT_INSTALLED) {
		on_installed(m, entry, now_ms);
	} else if (event->kind == OFFLOAD_EVENT_REFUSED) {
		on_refused(m, entry, event->reason, now_ms);
	} else if (event->kind == OFFLOAD_EVENT_EVICTED) {
		on_evicted(m, entry, event, now_ms);
	} else {
		account(m, entry, event, now_ms);
		if (event->kind == OFFLOAD_EVENT_REMOVED && entry->state == OFFLOAD_STATE_EVICTING)
			give_back(m, entry, entry->reason);
	}
}

/* Whether there may be more. */
static bool hear_events(struct offload_manager *m, uint64_t now_ms)
{
	struct offload_event events[EVENTS_AT_ONCE];
	int n = m->provider->ops->poll(m->provider, events, EVENTS_AT_ONCE);

	if (!hear(m, n))
		return false;
	for (int i = 0; i < n; i++)
		on_event(m, &events[i], now_ms);
	return n == EVENTS_AT_ONCE;
}

/* ---- what is asked by the clock ---- */

static bool is_idle(const struct entry *entry, const struct offload_manager *m, uint64_t now_ms)
{
	return entry->state == OFFLOAD_STATE_INSTALLED && now_ms - entry->used_ms > m->policy.idle_ms;
}

static void ask_removals(struct offload_manager *m)
{
	while (!g_queue_is_empty(m->leaving)) {
		const struct entry *entry = g_queue_peek_head(m->leaving);
		if (!hear(m, m->provider->ops->remove(m->provider, entry->flow.id)))
			return; /* later */
		g_queue_pop_head(m->leaving);
	}
}

/* Whether the flow is to be held to what the NIC has not taken. */
static bool lacks_meter(const struct offload_manager *m, const struct offload_flow *flow)
{
	for (unsigned i = 0; i < OFFLOAD_METERS; i++) {
		const struct meter *meter = g_hash_table_lookup(m->meters, &flow->actions.meters[i]);
		if (meter && !meter->held)
			return true;
	}
	return false;
}

static bool is_unmetered(const struct entry *entry, const struct offload_manager *m, uint64_t now_ms)
{
	return lacks_meter(m, &entry->flow);
}

static void ask_meter(struct offload_manager *m, struct meter *meter)
{
	int status = m->provider->ops->meter(m->provider, &meter->is);

	meter->held = hear(m, status);
	if (meter->held || m->dead)
		return;
	g_autofree char *reason = g_strdup_printf("the NIC did not take its limit: %s", g_strerror(-status));
	leave_all(m, is_unmetered, 0, reason);
}

/* Those that the NIC has not taken. */
static void ask_meters(struct offload_manager *m)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, m->meters);
	while (!m->dead && g_hash_table_iter_next(&iter, NULL, &value))
		if (!((struct meter *)value)->held)
			ask_meter(m, value);
}

static void ask_meters_again(struct offload_manager *m, uint64_t now_ms)
{
	if (now_ms - m->meters_ms < m->policy.retry_ms)
		return;
	m->meters_ms = now_ms;
	ask_meters(m);
}

static void ask_stats(struct offload_manager *m, uint64_t now_ms)
{
	if (m->stats_asked || now_ms - m->stats_ms < m->policy.stats_ms)
		return;
	leave_all(m, is_idle, now_ms, "no packets came");
	if (!hear(m, m->provider->ops->stats(m->provider)))
		return;
	m->stats_asked = true;
	m->stats_ms = now_ms;
}

bool offload_manager_poll(struct offload_manager *m, uint64_t now_ms)
{
	bool more = false;

	if (m->provider && !m->flush_asked)
		m->flush_asked = hear(m, m->provider->ops->flush(m->provider));
	if (m->provider && !m->dead)
		ask_removals(m);
	if (m->provider && !m->dead)
		ask_meters_again(m, now_ms);
	if (m->ready && !m->dead)
		ask_stats(m, now_ms);
	if (m->provider && !m->dead)
		more = hear_events(m, now_ms);
	if (m->dead)
		bury(m);
	return more || !g_queue_is_empty(m->leaving);
}

/* ---- the owner ---- */

static bool is_worth(const struct offload_manager *m, uint32_t generation, uint64_t packets)
{
	return m->ready && !m->dead && generation == m->generation && packets >= m->policy.packets;
}

/* Why the NIC is not even asked; NULL: it is. */
static char *why_not(const struct offload_manager *m, const struct offload_flow *flow)
{
	const char *unable = offload_flow_refuse(flow, m->provider->caps.abilities);

	if (unable)
		return g_strdup_printf("the NIC %s", unable);
	return lacks_meter(m, flow) ? g_strdup("the NIC did not take its limit") : NULL;
}

static enum offload_state put(struct offload_manager *m, struct entry *entry, uint64_t now_ms)
{
	g_autofree char *reason = why_not(m, &entry->flow);

	entry->stats = (struct offload_stats){};
	if (reason) {
		m->counts.refused++;
		refuse(m, entry, reason, now_ms);
		return OFFLOAD_STATE_REFUSED;
	}
	if (m->counts.states[OFFLOAD_STATE_QUEUED] >= m->policy.pending ||
		!hear(m, m->provider->ops->put(m->provider, &entry->flow))) {
		forget(m, entry);
		return OFFLOAD_STATE_NONE;
	}
	set_reason(entry, NULL);
	set_state(m, entry, OFFLOAD_STATE_QUEUED);
	return OFFLOAD_STATE_QUEUED;
}

enum offload_state offload_manager_offer(struct offload_manager *m, const struct offload_flow *flow,
	uint32_t generation, uint64_t packets, uint64_t now_ms)
{
	struct entry *entry = find(m, flow->id);

	if (entry &&
		(entry->state != OFFLOAD_STATE_REFUSED || now_ms - entry->refused_ms < m->policy.retry_ms))
		return entry->state;
	if (!is_worth(m, generation, packets))
		return entry ? entry->state : OFFLOAD_STATE_NONE;
	if (!entry) {
		entry = g_new0(struct entry, 1);
		entry->flow.id = flow->id;
		m->counts.states[OFFLOAD_STATE_NONE]++;
		g_hash_table_insert(m->entries, &entry->flow.id, entry);
	}
	entry->flow = *flow;
	entry->generation = generation;
	return put(m, entry, now_ms);
}

void offload_manager_withdraw(struct offload_manager *m, uint64_t flow, const char *reason)
{
	struct entry *entry = find(m, flow);

	if (entry)
		leave(m, entry, reason);
}

void offload_manager_confirm(struct offload_manager *m, uint64_t flow, uint32_t generation)
{
	struct entry *entry = find(m, flow);

	if (entry)
		entry->generation = generation;
}

static bool is_of_another(const struct entry *entry, const struct offload_manager *m, uint64_t now_ms)
{
	return entry->generation != m->generation;
}

void offload_manager_set_generation(struct offload_manager *m, uint32_t generation)
{
	m->generation = generation;
	leave_all(m, is_of_another, 0, "policy has changed");
}

bool offload_manager_is_settled(const struct offload_manager *m)
{
	return (!m->provider || m->ready) && m->n_unwanted == 0 &&
	       m->counts.states[OFFLOAD_STATE_EVICTING] == 0;
}

void offload_manager_set_meter(struct offload_manager *m, const struct offload_meter *is)
{
	struct meter *meter = g_new0(struct meter, 1);

	meter->is = *is;
	g_hash_table_replace(m->meters, &meter->is.id, meter);
	if (m->provider && !m->dead)
		ask_meter(m, meter);
}

static void meter_lost(gpointer id, gpointer meter, gpointer data)
{
	((struct meter *)meter)->held = false;
}

void offload_manager_attach(struct offload_manager *m, struct offload_provider *provider)
{
	g_assert(!m->provider);
	m->provider = provider;
	m->flush_asked = false;
	g_hash_table_foreach(m->meters, meter_lost, NULL);
	ask_meters(m);
}

struct offload_provider *offload_manager_provider(const struct offload_manager *m)
{
	return m->dead ? NULL : m->provider;
}

struct offload_flow_report offload_manager_find(const struct offload_manager *m, uint64_t flow)
{
	const struct entry *entry = find(m, flow);

	if (!entry)
		return (struct offload_flow_report){};
	return (struct offload_flow_report){
		.state = entry->state, .reason = entry->reason, .stats = entry->stats};
}

struct offload_counts offload_manager_counts(const struct offload_manager *m)
{
	return m->counts;
}

struct offload_manager *offload_manager_new(
	const struct offload_policy *policy, const struct offload_listener *listener, void *data)
{
	struct offload_manager *m = g_new0(struct offload_manager, 1);

	g_assert(policy->idle_ms > policy->stats_ms);
	m->policy = *policy;
	m->listener = listener;
	m->data = data;
	m->entries = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, entry_free);
	m->leaving = g_queue_new();
	m->meters = g_hash_table_new_full(g_int_hash, g_int_equal, NULL, g_free);
	return m;
}

void offload_manager_free(struct offload_manager *m)
{
	g_clear_pointer(&m->provider, offload_provider_close);
	g_queue_free(m->leaving);
	g_hash_table_unref(m->entries);
	g_hash_table_unref(m->meters);
	g_free(m);
}
