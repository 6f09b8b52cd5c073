/* The model NIC: see fake.h. */
#include "offload/fake.h"

#include "base/fault.h"
#include "offload/fake_frame.h"

#include <errno.h>
#include <string.h>

#define QUEUE_MAX 4096 /* requests that wait */

enum request_kind { REQUEST_PUT, REQUEST_REMOVE, REQUEST_STATS, REQUEST_FLUSH };

struct request {
	enum request_kind kind;
	struct offload_flow flow; /* PUT; of REMOVE its id */
};

/* By which the table is searched: what every flow matches. Hashed as bytes. */
struct table_key {
	uint8_t src[16], dst[16];
	uint32_t port, vni, source, destination;
	uint16_t sport, dport, vlan;
	uint8_t family, protocol, tunnelled, zero[3];
};
G_STATIC_ASSERT(sizeof(struct table_key) == 32 + 16 + 6 + 6);

struct entry {
	struct table_key key;
	struct offload_flow flow;
	struct offload_stats stats;
};

struct bucket {
	struct offload_meter meter;
	double bits, packets; /* left */
	uint64_t filled_ms;
};

struct fake {
	struct offload_provider provider;
	GHashTable *by_key; /* struct table_key → struct entry, Owned here */
	GHashTable *by_id; /* id → the same, Borrowed */
	GHashTable *meters; /* id → struct bucket, Owned */
	GHashTable *ports; /* number → struct offload_port, Owned; NULL: it was not told, and has any */
	GQueue *requests; /* of struct request, Owned */
	GQueue *events; /* of struct offload_event, Owned */
	uint64_t now_ms;
	uint32_t refused_port; /* 0: none */
	unsigned n_refuse;
	const char *refuse_reason;
	bool refuses_meters, held, dead;
};

static struct fake *fake_of(const struct offload_provider *provider)
{
	return (struct fake *)provider;
}

/* ---- the table ---- */

static guint key_hash(gconstpointer key)
{
	const uint8_t *at = key;
	guint hash = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < sizeof(struct table_key); i++)
		hash = (hash ^ at[i]) * 16777619u;
	return hash;
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, sizeof(struct table_key)) == 0;
}

static struct table_key key_of(const struct offload_match *match)
{
	struct table_key key = {.port = match->port,
		.sport = match->sport,
		.dport = match->dport,
		.vlan = match->vlan,
		.family = match->family,
		.protocol = match->protocol,
		.tunnelled = match->tunnel.used};

	memcpy(key.src, match->src, sizeof key.src);
	memcpy(key.dst, match->dst, sizeof key.dst);
	if (match->tunnel.used) {
		key.vni = match->tunnel.vni;
		memcpy(&key.source, match->tunnel.source, 4);
		memcpy(&key.destination, match->tunnel.destination, 4);
	}
	return key;
}

static bool macs_match(const struct offload_match *match, const struct offload_match *seen)
{
	return (!match->has_smac || memcmp(match->smac, seen->smac, 6) == 0) &&
	       (!match->has_dmac || memcmp(match->dmac, seen->dmac, 6) == 0);
}

/* ---- requests ---- */

static void answer(struct fake *fake, struct offload_event event)
{
	g_queue_push_tail(fake->events, g_memdup2(&event, sizeof event));
}

static bool has_port(const struct fake *fake, uint32_t number, const struct offload_tunnel *tunnel)
{
	const struct offload_port *port =
		fake->ports ? g_hash_table_lookup(fake->ports, GUINT_TO_POINTER(number)) : NULL;

	return !fake->ports || (port && (!tunnel->used || port->tunnel_ifindex));
}

static const char *why_not(struct fake *fake, const struct offload_flow *flow, const struct table_key *key)
{
	const char *unable = offload_flow_refuse(flow, fake->provider.caps.abilities);

	if (fake->n_refuse) {
		fake->n_refuse--;
		return fake->refuse_reason;
	}
	if (unable)
		return unable;
	if (g_hash_table_size(fake->by_key) >= fake->provider.caps.flows)
		return "the NIC's table is full";
	if (!has_port(fake, flow->match.port, &flow->match.tunnel) ||
		!has_port(fake, flow->actions.port, &flow->actions.tunnel))
		return "it names a port that the NIC does not have";
	for (unsigned i = 0; i < OFFLOAD_METERS; i++)
		if (flow->actions.meters[i] &&
			!g_hash_table_contains(fake->meters, GUINT_TO_POINTER(flow->actions.meters[i])))
			return "it names a meter that the NIC does not have";
	return g_hash_table_contains(fake->by_key, key) ? "the NIC has a flow with this match" : NULL;
}

static void do_put(struct fake *fake, const struct offload_flow *flow)
{
	struct table_key key = key_of(&flow->match);
	const char *reason = why_not(fake, flow, &key);

	if (reason) {
		answer(fake, (struct offload_event){
				     .kind = OFFLOAD_EVENT_REFUSED, .flow = flow->id, .reason = reason});
		return;
	}
	struct entry *entry = g_new0(struct entry, 1);
	entry->key = key;
	entry->flow = *flow;
	g_hash_table_insert(fake->by_key, &entry->key, entry);
	g_hash_table_insert(fake->by_id, &entry->flow.id, entry);
	answer(fake, (struct offload_event){.kind = OFFLOAD_EVENT_INSTALLED, .flow = flow->id});
}

static bool take_out(struct fake *fake, uint64_t id, enum offload_event_kind kind, const char *reason)
{
	struct entry *entry = g_hash_table_lookup(fake->by_id, &id);
	struct offload_event event = {.kind = kind, .flow = id, .reason = reason};

	if (entry) {
		event.has_stats = true;
		event.stats = entry->stats;
		g_hash_table_remove(fake->by_id, &id);
		g_hash_table_remove(fake->by_key, &entry->key);
	}
	if (entry || kind == OFFLOAD_EVENT_REMOVED)
		answer(fake, event);
	return entry != NULL;
}

static void do_stats(struct fake *fake)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, fake->by_id);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct entry *entry = value;
		answer(fake, (struct offload_event){.kind = OFFLOAD_EVENT_STATS,
				     .flow = entry->flow.id,
				     .has_stats = true,
				     .stats = entry->stats});
	}
	answer(fake, (struct offload_event){.kind = OFFLOAD_EVENT_STATS_DONE});
}

static void do_request(struct fake *fake, const struct request *request)
{
	switch (request->kind) {
	case REQUEST_PUT: do_put(fake, &request->flow); return;
	case REQUEST_REMOVE: take_out(fake, request->flow.id, OFFLOAD_EVENT_REMOVED, NULL); return;
	case REQUEST_STATS: do_stats(fake); return;
	case REQUEST_FLUSH:
		g_hash_table_remove_all(fake->by_id);
		g_hash_table_remove_all(fake->by_key);
		answer(fake, (struct offload_event){.kind = OFFLOAD_EVENT_FLUSHED});
		return;
	}
}

static int queue(struct offload_provider *provider, const struct request *request)
{
	struct fake *fake = fake_of(provider);

	if (fake->dead)
		return -ENODEV;
	if (g_queue_get_length(fake->requests) >= QUEUE_MAX)
		return -EAGAIN;
	g_queue_push_tail(fake->requests, g_memdup2(request, sizeof *request));
	return 0;
}

/* ---- the provider ---- */

static int fake_put(struct offload_provider *provider, const struct offload_flow *flow)
{
	return queue(provider, &(struct request){.kind = REQUEST_PUT, .flow = *flow});
}

static int fake_remove(struct offload_provider *provider, uint64_t flow)
{
	return queue(provider, &(struct request){.kind = REQUEST_REMOVE, .flow.id = flow});
}

static int fake_stats(struct offload_provider *provider)
{
	return queue(provider, &(struct request){.kind = REQUEST_STATS});
}

static int fake_flush(struct offload_provider *provider)
{
	return queue(provider, &(struct request){.kind = REQUEST_FLUSH});
}

static int fake_meter(struct offload_provider *provider, const struct offload_meter *meter)
{
	struct fake *fake = fake_of(provider);

	if (fake->dead)
		return -ENODEV;
	if (fake->refuses_meters)
		return -EOPNOTSUPP;
	struct bucket *bucket = g_new(struct bucket, 1);
	*bucket = (struct bucket){.meter = *meter,
		.bits = (double)meter->bits_per_s * meter->burst_ms / 1000,
		.packets = (double)meter->packets_per_s * meter->burst_ms / 1000,
		.filled_ms = fake->now_ms};
	g_hash_table_replace(fake->meters, GUINT_TO_POINTER(meter->id), bucket);
	return 0;
}

static bool is_as_before(struct fake *fake, GHashTable *before, uint32_t number)
{
	const struct offload_port *is = g_hash_table_lookup(fake->ports, GUINT_TO_POINTER(number));
	const struct offload_port *was = before ? g_hash_table_lookup(before, GUINT_TO_POINTER(number)) : is;

	return is && was && is->ifindex == was->ifindex && is->tunnel_ifindex == was->tunnel_ifindex;
}

static void evict_lost(struct fake *fake, GHashTable *before)
{
	g_autoptr(GList) all = g_hash_table_get_values(fake->by_id);

	for (GList *l = all; l; l = l->next) {
		const struct offload_flow *flow = &((const struct entry *)l->data)->flow;
		if (!is_as_before(fake, before, flow->match.port) ||
			!is_as_before(fake, before, flow->actions.port))
			take_out(fake, flow->id, OFFLOAD_EVENT_EVICTED, "its port is gone");
	}
}

static bool fake_ports(
	struct offload_provider *provider, const struct offload_port *ports, unsigned n, GError **error)
{
	struct fake *fake = fake_of(provider);
	g_autoptr(GHashTable) before = g_steal_pointer(&fake->ports);

	fake->ports = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	for (unsigned i = 0; i < n; i++)
		if (!fake->refused_port || ports[i].number != fake->refused_port)
			g_hash_table_replace(fake->ports, GUINT_TO_POINTER(ports[i].number),
				g_memdup2(&ports[i], sizeof ports[i]));
	evict_lost(fake, before);
	return g_hash_table_size(fake->ports) == n ||
	       fault_set(error, FAULT_UNSUPPORTED, "the NIC does not take port %u", fake->refused_port);
}

static int fake_poll(struct offload_provider *provider, struct offload_event *events, unsigned max)
{
	struct fake *fake = fake_of(provider);
	struct request *request;
	int n = 0;

	if (fake->dead)
		return -ENODEV;
	while ((request = g_queue_pop_head(fake->requests))) {
		do_request(fake, request);
		g_free(request);
	}
	while (!fake->held && (unsigned)n < max && !g_queue_is_empty(fake->events)) {
		g_autofree struct offload_event *event = g_queue_pop_head(fake->events);
		events[n++] = *event;
	}
	return n;
}

static void fake_close(struct offload_provider *provider)
{
	struct fake *fake = fake_of(provider);

	g_hash_table_unref(fake->by_id);
	g_hash_table_unref(fake->by_key);
	g_hash_table_unref(fake->meters);
	g_clear_pointer(&fake->ports, g_hash_table_unref);
	g_queue_free_full(fake->requests, g_free);
	g_queue_free_full(fake->events, g_free);
	g_free(fake);
}

static const struct offload_provider_ops fake_ops = {
	.put = fake_put,
	.remove = fake_remove,
	.stats = fake_stats,
	.flush = fake_flush,
	.meter = fake_meter,
	.ports = fake_ports,
	.poll = fake_poll,
	.close = fake_close,
};

struct offload_provider *offload_fake_new(uint32_t abilities, uint32_t flows)
{
	struct fake *fake = g_new0(struct fake, 1);

	fake->provider = (struct offload_provider){
		.ops = &fake_ops, .caps = {.name = "model", .abilities = abilities, .flows = flows}};
	fake->by_key = g_hash_table_new_full(key_hash, key_equal, NULL, g_free);
	fake->by_id = g_hash_table_new(g_int64_hash, g_int64_equal);
	fake->meters = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	fake->requests = g_queue_new();
	fake->events = g_queue_new();
	return &fake->provider;
}

/* ---- commands ---- */

void offload_fake_set_clock(struct offload_provider *provider, uint64_t now_ms)
{
	fake_of(provider)->now_ms = now_ms;
}

void offload_fake_refuse(struct offload_provider *provider, unsigned n, const char *reason)
{
	fake_of(provider)->n_refuse = n;
	fake_of(provider)->refuse_reason = reason;
}

void offload_fake_refuse_meters(struct offload_provider *provider, bool refuse)
{
	fake_of(provider)->refuses_meters = refuse;
}

void offload_fake_refuse_port(struct offload_provider *provider, uint32_t number)
{
	fake_of(provider)->refused_port = number;
}

bool offload_fake_evict(struct offload_provider *provider, uint64_t flow, const char *reason)
{
	return take_out(fake_of(provider), flow, OFFLOAD_EVENT_EVICTED, reason);
}

void offload_fake_hold(struct offload_provider *provider, bool hold)
{
	fake_of(provider)->held = hold;
}

void offload_fake_reverse(struct offload_provider *provider)
{
	g_queue_reverse(fake_of(provider)->events);
}

void offload_fake_die(struct offload_provider *provider)
{
	struct fake *fake = fake_of(provider);

	fake->dead = true;
	g_hash_table_remove_all(fake->by_id);
	g_hash_table_remove_all(fake->by_key);
}

unsigned offload_fake_count(const struct offload_provider *provider)
{
	return g_hash_table_size(fake_of(provider)->by_key);
}

bool offload_fake_has(const struct offload_provider *provider, uint64_t flow)
{
	return g_hash_table_contains(fake_of(provider)->by_id, &flow);
}

/* ---- packets ---- */

static bool spend(double *left, uint64_t per_s, uint32_t burst_ms, uint64_t elapsed_ms, double cost)
{
	*left = MIN(*left + (double)per_s * (double)elapsed_ms / 1000, (double)per_s * burst_ms / 1000);
	if (*left < cost)
		return false;
	*left -= cost;
	return true;
}

static bool passes_meter(struct fake *fake, uint32_t id, size_t length)
{
	struct bucket *bucket = id ? g_hash_table_lookup(fake->meters, GUINT_TO_POINTER(id)) : NULL;

	if (!bucket)
		return true;
	const struct offload_meter *meter = &bucket->meter;
	uint64_t elapsed = fake->now_ms - bucket->filled_ms;
	bucket->filled_ms = fake->now_ms;
	return (!meter->bits_per_s || spend(&bucket->bits, meter->bits_per_s, meter->burst_ms, elapsed,
					      8.0 * (double)length)) &&
	       (!meter->packets_per_s ||
		       spend(&bucket->packets, meter->packets_per_s, meter->burst_ms, elapsed, 1));
}

enum offload_fake_verdict offload_fake_receive(struct offload_provider *provider, uint32_t port,
	const uint8_t *bytes, size_t length, uint32_t *ret_port, GByteArray **ret_frame)
{
	struct fake *fake = fake_of(provider);
	struct fake_frame frame;

	if (!fake_frame_parse(bytes, length, fake->provider.caps.abilities & OFFLOAD_TUNNEL_MATCH, &frame))
		return OFFLOAD_FAKE_UP;
	frame.match.port = port;
	struct table_key key = key_of(&frame.match);
	struct entry *entry = g_hash_table_lookup(fake->by_key, &key);
	if (!entry || !macs_match(&entry->flow.match, &frame.match) ||
		!fake_frame_fits(&frame, &entry->flow.actions))
		return OFFLOAD_FAKE_UP;
	entry->stats.packets++;
	entry->stats.bytes += frame.end - frame.start;
	for (unsigned i = 0; i < OFFLOAD_METERS; i++)
		if (!passes_meter(fake, entry->flow.actions.meters[i], frame.end - frame.start))
			return OFFLOAD_FAKE_METERED;
	*ret_port = entry->flow.actions.port;
	*ret_frame = fake_frame_execute(bytes, &frame, &entry->flow.actions);
	return OFFLOAD_FAKE_SENT;
}
