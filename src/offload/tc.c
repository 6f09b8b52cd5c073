/* tc flower as an offload provider: see tc.h. Ports are tc_ports.h's, what flows share is tc_shared.h's. */
#include "offload/tc_message.h"
#include "offload/tc_ports.h"
#include "offload/tc_priv.h"
#include "offload/tc_shared.h"

#include <errno.h>
#include <linux/pkt_cls.h>

#define WAITING_MAX 4096 /* requests that wait for poll */

/* What a request's cookie says beside a handle. */
enum request {
	REQUEST_OTHER, /* nothing comes of its answer */
	REQUEST_PUT,
	REQUEST_REMOVE,
	REQUEST_EVICT,
};

struct filter {
	uint64_t flow; /* its id */
	struct tc_place place;
	struct tc_way in, out;
	bool installed;
	bool leaving; /* it has been asked to be removed, by the owner or by us */
	bool in_hw; /* as of the last answer */
	unsigned seen; /* in that round of stats */
	bool has_stats;
	struct offload_stats stats;
};

struct tc {
	struct offload_provider provider;
	enum offload_tc_mode mode;
	struct tc_socket *socket; /* Owned */
	struct tc_ports *ports; /* Owned */
	struct tc_shared *shared; /* Owned */
	GHashTable *by_handle; /* handle → struct filter, Owned */
	GHashTable *by_flow; /* id → the same, Borrowed */
	uint32_t last_handle;
	GQueue *events; /* of struct offload_event, Owned */
	GPtrArray *texts; /* Owned: reasons of events that have not been handed out, */
	GPtrArray *shown; /* and of those that have */
	bool stats_asked, dead;
	unsigned round; /* of stats */
};

static struct tc *tc_of(struct offload_provider *provider)
{
	return (struct tc *)provider;
}

static uint64_t cookie(enum request request, uint32_t handle)
{
	return (uint64_t)request << 32 | handle;
}

static uint32_t flags_of(const struct tc *tc)
{
	return tc->mode == OFFLOAD_TC_SOFTWARE   ? TCA_CLS_FLAGS_SKIP_HW
	       : tc->mode == OFFLOAD_TC_HARDWARE ? TCA_CLS_FLAGS_SKIP_SW
						 : 0;
}

/* ---- events ---- */

/* reason: taken. */
static void tell(struct tc *tc, struct offload_event event, char *reason)
{
	if (reason)
		g_ptr_array_add(tc->texts, reason);
	event.reason = reason;
	g_queue_push_tail(tc->events, g_memdup2(&event, sizeof event));
}

static void refuse(struct tc *tc, uint64_t flow, char *reason)
{
	tell(tc, (struct offload_event){.kind = OFFLOAD_EVENT_REFUSED, .flow = flow}, reason);
}

static void drop_filter(struct tc *tc, struct filter *filter)
{
	g_hash_table_remove(tc->by_flow, &filter->flow);
	g_hash_table_remove(tc->by_handle, GUINT_TO_POINTER(filter->place.handle));
}

/* Takes a filter out that the owner has not asked for: nobody waits for the answer, unless the owner asks, too. */
static void throw_out(struct tc *tc, struct filter *filter)
{
	tc_message_remove(tc_socket_message(tc->socket), &filter->place);
	tc_socket_add(tc->socket, 0, cookie(REQUEST_OTHER, 0));
	drop_filter(tc, filter);
}

static void on_put(struct tc *tc, struct filter *filter, int status, const char *text)
{
	if (status < 0) {
		refuse(tc, filter->flow,
			g_strdup_printf("the NIC did not take it: %s", text ? text : g_strerror(-status)));
		drop_filter(tc, filter);
	} else if (tc->mode == OFFLOAD_TC_EITHER && !filter->in_hw) {
		refuse(tc, filter->flow,
			g_strdup("the NIC did not take it: the kernel says that it is not in hardware"));
		throw_out(tc, filter);
	} else {
		filter->installed = true;
		tell(tc, (struct offload_event){.kind = OFFLOAD_EVENT_INSTALLED, .flow = filter->flow}, NULL);
	}
}

/* reason: taken. */
static void tell_counted(
	struct tc *tc, const struct filter *filter, enum offload_event_kind kind, char *reason)
{
	tell(tc,
		(struct offload_event){.kind = kind,
			.flow = filter->flow,
			.has_stats = filter->has_stats,
			.stats = filter->stats},
		reason);
}

static void on_removed(struct tc *tc, struct filter *filter, enum offload_event_kind kind, const char *reason)
{
	tell_counted(tc, filter, kind, g_strdup(reason));
	drop_filter(tc, filter);
}

static void see_guard(struct tc *tc, const struct tc_filter *told)
{
	struct tc_device *device = tc_ports_device(tc->ports, told->place.ifindex);

	if (device)
		tc_device_see(device, told, flags_of(tc));
}

/* What an echo or a dump tells of a filter. */
static void on_told(void *data, uint64_t which, struct nlmsghdr *header)
{
	struct tc *tc = data;
	struct tc_filter told;

	if (!tc_read_filter(header, &told) || !told.ours)
		return;
	if (!tc_priority_is_of_flows(told.place.priority)) {
		see_guard(tc, &told);
		return;
	}
	struct filter *filter = g_hash_table_lookup(tc->by_handle, GUINT_TO_POINTER(told.place.handle));
	if (!filter)
		return;
	filter->in_hw = told.in_hw;
	filter->seen = tc->round;
	if (told.has_stats) {
		filter->has_stats = true;
		filter->stats = told.stats;
	}
}

static void on_done(void *data, uint64_t which, int status, const char *text)
{
	struct tc *tc = data;
	struct filter *filter = g_hash_table_lookup(tc->by_handle, GUINT_TO_POINTER((uint32_t)which));

	switch ((enum request)(which >> 32)) {
	case REQUEST_OTHER: return;
	case REQUEST_PUT: on_put(tc, filter, status, text); return;
	case REQUEST_REMOVE: on_removed(tc, filter, OFFLOAD_EVENT_REMOVED, NULL); return;
	case REQUEST_EVICT:
		on_removed(
			tc, filter, OFFLOAD_EVENT_EVICTED, "its port is gone, or is another interface now");
		return;
	}
}

static const struct tc_hearer hearer = {.told = on_told, .done = on_done};

/* Sends what waits, and what comes of its answers. */
static int run(struct tc *tc)
{
	if (!tc->dead)
		tc->dead = tc_socket_run(tc->socket, &hearer, tc) < 0;
	return tc->dead ? -ENODEV : 0;
}

/* ---- places ---- */

static uint32_t next_handle(struct tc *tc)
{
	do
		tc->last_handle = MAX(tc->last_handle + 1, TC_HANDLES);
	while (g_hash_table_contains(tc->by_handle, GUINT_TO_POINTER(tc->last_handle)));
	return tc->last_handle;
}

/* ---- requests ---- */

static char *need_mtu(struct tc *tc, uint16_t mtu)
{
	g_autofree char *text = NULL;

	if (tc_shared_has_mtu(tc->shared, mtu) || run(tc) < 0)
		return NULL;
	int status = tc_shared_add_mtu(tc->shared, mtu, &text);
	return status == 0 ? NULL
			   : g_strdup_printf("the NIC did not take the bound of its MTU: %s",
				     text ? text : g_strerror(-status));
}

/* The flow's ways, and what its actions are here. NULL, or why they cannot be had. */
static char *find_actions(
	struct tc *tc, const struct offload_flow *flow, struct filter *filter, struct tc_out *ret_out)
{
	char *why_not;

	if ((why_not = tc_ports_find(tc->ports, flow->match.port, flow->match.tunnel.used, &filter->in)) ||
		(why_not = tc_ports_find(
			 tc->ports, flow->actions.port, flow->actions.tunnel.used, &filter->out)))
		return why_not;
	*ret_out = (struct tc_out){
		.ifindex = filter->out.ifindex, .mtu_police = tc_mtu_index(flow->actions.mtu, flags_of(tc))};
	if (flow->match.tunnel.used && flow->actions.hop)
		return g_strdup(
			"it makes a hop of what comes by a tunnel, whose last hops nothing lets through");
	if (!tc_ports_device(tc->ports, filter->in.ifindex)->guarded)
		return g_strdup("the NIC does not let last hops through before flows any more");
	if (!tc_shared_find_meters(tc->shared, flow, ret_out))
		return g_strdup("it names a meter that the NIC does not have");
	return need_mtu(tc, flow->actions.mtu);
}

static int tc_put_flow(struct offload_provider *provider, const struct offload_flow *flow)
{
	struct tc *tc = tc_of(provider);
	struct tc_out out;

	if (tc->dead)
		return -ENODEV;
	if (tc_socket_waiting(tc->socket) >= WAITING_MAX)
		return -EAGAIN;
	struct filter *filter = g_new0(struct filter, 1);
	char *why_not = find_actions(tc, flow, filter, &out);
	if (why_not) {
		refuse(tc, flow->id, why_not);
		g_free(filter);
		return 0;
	}
	filter->flow = flow->id;
	filter->place = tc_place_of(&flow->match, filter->in.ifindex, next_handle(tc));
	g_hash_table_insert(tc->by_handle, GUINT_TO_POINTER(filter->place.handle), filter);
	g_hash_table_insert(tc->by_flow, &filter->flow, filter);
	tc_message_put(tc_socket_message(tc->socket), flow, &filter->place, &out, flags_of(tc));
	tc_socket_add(tc->socket, tc->mode == OFFLOAD_TC_EITHER ? NLM_F_ECHO : 0,
		cookie(REQUEST_PUT, filter->place.handle));
	return 0;
}

static int tc_remove_flow(struct offload_provider *provider, uint64_t flow)
{
	struct tc *tc = tc_of(provider);
	struct filter *filter = g_hash_table_lookup(tc->by_flow, &flow);

	if (tc->dead)
		return -ENODEV;
	if (tc_socket_waiting(tc->socket) >= WAITING_MAX)
		return -EAGAIN;
	if (!filter) {
		tell(tc, (struct offload_event){.kind = OFFLOAD_EVENT_REMOVED, .flow = flow}, NULL);
		return 0;
	}
	filter->leaving = true;
	tc_message_remove(tc_socket_message(tc->socket), &filter->place);
	tc_socket_add(tc->socket, NLM_F_ECHO, cookie(REQUEST_REMOVE, filter->place.handle));
	return 0;
}

static int tc_set_meter(struct offload_provider *provider, const struct offload_meter *meter)
{
	struct tc *tc = tc_of(provider);

	return run(tc) < 0 ? -ENODEV : tc_shared_set_meter(tc->shared, meter);
}

static int tc_ask_stats(struct offload_provider *provider)
{
	struct tc *tc = tc_of(provider);

	tc->stats_asked = true;
	return tc->dead ? -ENODEV : 0;
}

static int tc_flush(struct offload_provider *provider)
{
	struct tc *tc = tc_of(provider);

	if (run(tc) < 0)
		return -ENODEV;
	tc_ports_clear(tc->ports);
	g_hash_table_remove_all(tc->by_flow);
	g_hash_table_remove_all(tc->by_handle);
	tell(tc, (struct offload_event){.kind = OFFLOAD_EVENT_FLUSHED}, NULL);
	return 0;
}

/* ---- ports ---- */

/* Those of ports that are not there any more. */
static void evict_lost(struct tc *tc)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, tc->by_handle);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct filter *filter = value;
		if (tc_ports_has(tc->ports, &filter->in) && tc_ports_has(tc->ports, &filter->out))
			continue;
		filter->leaving = true;
		tc_message_remove(tc_socket_message(tc->socket), &filter->place);
		tc_socket_add(tc->socket, NLM_F_ECHO, cookie(REQUEST_EVICT, filter->place.handle));
	}
	run(tc);
}

static bool tc_set_ports(
	struct offload_provider *provider, const struct offload_port *ports, unsigned n, GError **error)
{
	struct tc *tc = tc_of(provider);

	run(tc);
	bool all = tc_ports_set(tc->ports, ports, n, error);
	evict_lost(tc);
	tc_ports_tidy(tc->ports);
	return all;
}

/* ---- stats ---- */

static const char *why_evicted(const struct tc *tc, const struct filter *filter)
{
	if (filter->seen != tc->round)
		return "somebody has removed it from the kernel, or its device is gone";
	if (!tc_device_has_guards(tc_ports_device(tc->ports, filter->place.ifindex)))
		return "the NIC does not let last hops through before flows any more";
	return tc->mode == OFFLOAD_TC_EITHER && !filter->in_hw ? "the NIC has thrown it out" : NULL;
}

static void report(struct tc *tc, struct filter *filter)
{
	const char *evicted = why_evicted(tc, filter);

	if (!filter->installed || filter->leaving)
		return;
	tell_counted(tc, filter, evicted ? OFFLOAD_EVENT_EVICTED : OFFLOAD_EVENT_STATS, g_strdup(evicted));
	if (evicted)
		throw_out(tc, filter);
}

static void do_stats(struct tc *tc)
{
	tc->stats_asked = false;
	tc->round++;
	tc->dead = !tc_ports_dump(tc->ports, &hearer, tc);
	if (tc->dead)
		return;
	g_autoptr(GList) all = g_hash_table_get_values(tc->by_handle);
	for (GList *l = all; l; l = l->next)
		report(tc, l->data);
	run(tc); /* what was thrown out */
	tc_ports_guard(tc->ports);
	tell(tc, (struct offload_event){.kind = OFFLOAD_EVENT_STATS_DONE}, NULL);
}

/* ---- the provider ---- */

/* Reasons live until the call after the one that handed them out. */
static void turn_texts(struct tc *tc)
{
	GPtrArray *shown = tc->shown;

	g_ptr_array_set_size(shown, 0);
	if (!g_queue_is_empty(tc->events))
		return;
	tc->shown = tc->texts;
	tc->texts = shown;
}

static int tc_poll(struct offload_provider *provider, struct offload_event *events, unsigned max)
{
	struct tc *tc = tc_of(provider);
	int n = 0;

	if (!tc->dead)
		tc->dead = tc_socket_run_batch(tc->socket, &hearer, tc) < 0;
	if (tc->stats_asked && !tc->dead && !tc_socket_waiting(tc->socket))
		do_stats(tc);
	if (tc->dead)
		return -ENODEV;
	while ((unsigned)n < max && !g_queue_is_empty(tc->events)) {
		g_autofree struct offload_event *event = g_queue_pop_head(tc->events);
		events[n++] = *event;
	}
	turn_texts(tc);
	return n;
}

static void tc_close(struct offload_provider *provider)
{
	struct tc *tc = tc_of(provider);

	run(tc);
	tc_ports_free(tc->ports);
	tc_shared_free(tc->shared);
	tc_socket_close(tc->socket);
	g_hash_table_unref(tc->by_flow);
	g_hash_table_unref(tc->by_handle);
	g_queue_free_full(tc->events, g_free);
	g_ptr_array_unref(tc->texts);
	g_ptr_array_unref(tc->shown);
	g_free(tc);
}

static const struct offload_provider_ops tc_ops = {
	.put = tc_put_flow,
	.remove = tc_remove_flow,
	.stats = tc_ask_stats,
	.flush = tc_flush,
	.meter = tc_set_meter,
	.ports = tc_set_ports,
	.poll = tc_poll,
	.close = tc_close,
};

struct offload_provider *offload_tc_new(enum offload_tc_mode mode, struct tc_kernel *kernel)
{
	struct tc *tc = g_new0(struct tc, 1);

	tc->provider =
		(struct offload_provider){.ops = &tc_ops, .caps = {.name = "tc", .abilities = OFFLOAD_ALL}};
	tc->mode = mode;
	tc->socket = tc_socket_new(kernel);
	tc->by_handle = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	tc->by_flow = g_hash_table_new(g_int64_hash, g_int64_equal);
	tc->ports = tc_ports_new(tc->socket, flags_of(tc));
	tc->shared = tc_shared_new(tc->socket, flags_of(tc));
	tc->events = g_queue_new();
	tc->texts = g_ptr_array_new_with_free_func(g_free);
	tc->shown = g_ptr_array_new_with_free_func(g_free);
	return &tc->provider;
}

struct offload_provider *offload_tc_open(enum offload_tc_mode mode, GError **error)
{
	struct tc_kernel *kernel = tc_kernel_open(TC_BATCH * TC_MESSAGE_MAX, error);

	return kernel ? offload_tc_new(mode, kernel) : NULL;
}
