/* Which flows an eswitch executes: see offloader.h. */
#include "switch/offloader_priv.h"

#include "base/log.h"
#include "switch/meter.h"
#include "switch/port.h"

#include <net/if.h>
#include <time.h>

#define IDLE_NS   20000000 /* between two turns */
#define BUSY_NS   500000 /* the same when there is more to do: whoever waits for the lock gets it */
#define SECOND_NS 1000000000
#define RETRY_MS  5000

static const struct offload_policy policy = {
	.pending = 1024, .idle_ms = 10000, .stats_ms = 1000, .retry_ms = 10000};

/* ---- ports ---- */

/* The index is what the port has open: to look a name up has the kernel seek a module for one that is not there. */
static void add_port(struct offloader *o, GArray *ports, const struct port *port, int tunnel)
{
	struct offload_port found = {.number = port->index,
		.ifindex = (int)atomic_load(&port->interface),
		.tunnel_ifindex = tunnel};

	o->is_port[port->index] = true;
	g_array_append_val(ports, found);
}

static void add_edge(struct offloader *o, GArray *ports, const struct edge *edge)
{
	if (edge->offload && edge->port)
		add_port(o, ports, edge->port, 0);
}

/* The kernel's VXLAN device, which may be made anew under its name. Names that are not there are not sought each round. */
static int find_tunnel(struct offloader *o, const char *name)
{
	char found[IF_NAMESIZE];

	if (o->tunnel && if_indextoname(o->tunnel, found) && g_str_equal(found, name))
		return (int)o->tunnel;
	if (o->tunnel || o->now_ms >= o->tunnel_ms) {
		o->tunnel_ms = o->now_ms + RETRY_MS;
		o->tunnel = if_nametoindex(name);
	}
	return (int)o->tunnel;
}

static void add_underlay(struct offloader *o, GArray *ports, const struct underlay *underlay)
{
	if (underlay->edge.offload && underlay->edge.port)
		add_port(o, ports, underlay->edge.port, find_tunnel(o, underlay->vxlan_device));
}

static void add_nic(struct offloader *o, GArray *ports, const struct nic *nic)
{
	for (unsigned i = 0; i < nic->n_attachments; i++) {
		const struct attachment *attachment = &nic->attachments[i];
		if (!attachment->offload || !attachment->port)
			continue;
		add_port(o, ports, attachment->port, 0);
		o->is_wanted[nic_slot(nic->id)] = attachment->active;
	}
}

/* The eswitch's ports as they are now: an interface may have been made anew. */
static GArray *find_ports(struct offloader *o)
{
	const struct snapshot *snapshot = datapath_snapshot(o->datapath);
	GArray *ports = g_array_new(false, true, sizeof(struct offload_port));

	memset(o->is_port, 0, sizeof o->is_port);
	memset(o->is_wanted, 0, sizeof o->is_wanted);
	add_edge(o, ports, &snapshot->outside);
	add_underlay(o, ports, &snapshot->underlay);
	for (unsigned slot = 0; slot < PHYSICAL_SLOTS; slot++)
		add_edge(o, ports, &snapshot->physicals[slot].edge);
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++)
		if (snapshot->nics[slot])
			add_nic(o, ports, snapshot->nics[slot]);
	return ports;
}

static void set_error(struct offloader *o, GError *error)
{
	if (error && g_strcmp0(o->error ? o->error->message : NULL, error->message) != 0)
		log_warn("offload", "%s", error->message);
	g_clear_error(&o->error);
	o->error = error;
}

static bool same_ports(const GArray *a, const GArray *b)
{
	return a->len == b->len &&
	       (a->len == 0 || memcmp(a->data, b->data, a->len * sizeof(struct offload_port)) == 0);
}

/* Tells the provider, if it is there. */
static void tell_ports(struct offloader *o)
{
	struct offload_provider *provider = offload_manager_provider(o->manager);
	GError *error = NULL;

	if (!provider)
		return;
	o->ports_ms = o->now_ms;
	g_array_set_size(o->told, 0);
	g_array_append_vals(o->told, o->ports->data, o->ports->len);
	o->port_lacks = !provider->ops->ports(
		provider, (const struct offload_port *)(const void *)o->ports->data, o->ports->len, &error);
	set_error(o, error);
}

static void take_ports(struct offloader *o)
{
	g_array_unref(o->ports);
	o->ports = find_ports(o);
}

static void tell_new_ports(struct offloader *o)
{
	if (!same_ports(o->told, o->ports) || (o->port_lacks && o->now_ms - o->ports_ms >= RETRY_MS))
		tell_ports(o);
}

static void open_provider(struct offloader *o)
{
	GError *error = NULL;

	o->open_ms = o->now_ms;
	struct offload_provider *provider = o->open(o->data, &error);
	if (!provider) {
		set_error(o, error);
		return;
	}
	offload_manager_attach(o->manager, provider);
	tell_ports(o);
}

/* ---- limits ---- */

static bool same_meter(const struct offload_meter *a, const struct offload_meter *b)
{
	return a->id == b->id && a->bits_per_s == b->bits_per_s && a->packets_per_s == b->packets_per_s &&
	       a->burst_ms == b->burst_ms;
}

static void set_meter(struct offloader *o, const struct nic *nic, bool receive)
{
	struct offload_meter *kept = &o->meters[nic_slot(nic->id)][receive], meter;

	if (!offload_flows_meter(nic, receive, &meter) || same_meter(kept, &meter))
		return;
	*kept = meter;
	offload_manager_set_meter(o->manager, &meter);
}

static void update_meters(struct offloader *o)
{
	const struct snapshot *snapshot = datapath_snapshot(o->datapath);

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = snapshot->nics[slot];
		for (unsigned receive = 0; nic && o->is_wanted[slot] && receive < 2; receive++)
			set_meter(o, nic, receive);
	}
}

/* What the switch's own meters are to leave to the eswitch. */
static void share_limits(struct offloader *o, uint32_t elapsed_ms)
{
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		struct traffic *traffic = &o->traffic[slot];
		struct meter *meter = &o->datapath->meters[slot];
		const struct offload_stats *sent = &traffic->sent_since, *received = &traffic->received_since;
		meter_set_carried(&meter->sent, sent->packets, sent->bytes, elapsed_ms);
		meter_set_carried(&meter->received, received->packets, received->bytes, elapsed_ms);
		traffic->sent_since = traffic->received_since = (struct offload_stats){};
	}
}

/* ---- turns ---- */

static void tick(struct offloader *o, uint32_t now_ms)
{
	o->now_ms += (uint32_t)(now_ms - (uint32_t)o->now_ms);
}

static void begin_round(struct offloader *o)
{
	uint32_t elapsed_ms = (uint32_t)(o->now_ms - o->round_ms);

	o->round_ms = o->now_ms;
	o->enough = MAX(HOT_PER_S * (uint64_t)elapsed_ms / 1000, 1);
	o->scan_next = 1;
	take_ports(o);
	tell_new_ports(o);
	share_limits(o, elapsed_ms);
	offload_choice_check(o);
}

/* Until the eswitch executes nothing any more that it must not: a provider answers all that it was asked. */
static void follow(struct offloader *o)
{
	if (o->begins)
		open_provider(o);
	o->begins = false;
	if (o->follow == FOLLOW_CONFIRM) {
		if (offload_choice_confirm(o))
			return;
		offload_manager_set_generation(o->manager, datapath_snapshot(o->datapath)->epoch);
		update_meters(o); /* what cannot be held to its limit leaves, too */
		o->follow = FOLLOW_SETTLE;
	}
	if (!offload_manager_is_settled(o->manager))
		offload_manager_poll(o->manager, o->now_ms);
	if (!offload_manager_is_settled(o->manager))
		return;
	tell_new_ports(o);
	o->follow = FOLLOW_DONE;
}

static bool take_turn(struct offloader *o)
{
	if (!o->used)
		return false;
	if (o->follow != FOLLOW_DONE) {
		follow(o);
		return true;
	}
	if (!offload_manager_provider(o->manager)) {
		offload_manager_poll(o->manager, o->now_ms); /* one that died is closed */
		if (o->ports->len && o->now_ms - o->open_ms >= RETRY_MS)
			open_provider(o);
	}
	if (o->scan_next == 0 && o->now_ms - o->round_ms >= ROUND_MS)
		begin_round(o);
	bool more = offload_choice_scan(o);
	return offload_manager_poll(o->manager, o->now_ms) || more;
}

bool offloader_turn(struct offloader *o, uint32_t now_ms)
{
	offloader_lock(o);
	tick(o, now_ms);
	bool more = take_turn(o);
	offloader_unlock(o);
	return more;
}

/* Without the lock, unless it is to stop. */
static void rest(struct offloader *o, long ns)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (until.tv_nsec + ns) / SECOND_NS;
	until.tv_nsec = (until.tv_nsec + ns) % SECOND_NS;
	if (!o->stopping)
		pthread_cond_timedwait(&o->woken, &o->lock, &until);
}

static void *run(void *data)
{
	struct offloader *o = data;

	offloader_lock(o);
	while (!o->stopping) {
		tick(o, datapath_clock_ms());
		rest(o, take_turn(o) ? BUSY_NS : IDLE_NS);
	}
	offloader_unlock(o);
	return NULL;
}

/* ---- publication ---- */

void offloader_hold(struct offloader *o)
{
	if (o)
		offloader_lock(o);
}

/* There is an eswitch. What a process before left in it goes with the first state, too. */
static void begin(struct offloader *o)
{
	o->used = o->begins = true;
	offload_choice_begin(o);
	if (o->started)
		o->thread = g_thread_new("offload", run, o);
}

void offloader_follow(struct offloader *o)
{
	if (!o)
		return;
	take_ports(o);
	if (o->ports->len && !o->used)
		begin(o);
	if (o->used) {
		offload_choice_begin_confirm(o);
		o->follow = FOLLOW_CONFIRM;
	}
	while (!o->thread && o->follow != FOLLOW_DONE)
		follow(o);
	pthread_cond_signal(&o->woken);
	offloader_unlock(o);
}

bool offloader_is_settled(const struct offloader *o)
{
	return !o || o->follow == FOLLOW_DONE;
}

/* ---- life ---- */

struct offloader *offloader_new(struct datapath *datapath, offloader_open open, void *data)
{
	struct offloader *o = g_new0(struct offloader, 1);
	pthread_condattr_t clock;

	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&o->woken, &clock);
	pthread_condattr_destroy(&clock);
	pthread_mutex_init(&o->lock, NULL);
	o->datapath = datapath;
	o->open = open;
	o->data = data;
	o->ports = g_array_new(false, true, sizeof(struct offload_port));
	o->told = g_array_new(false, true, sizeof(struct offload_port));
	offload_choice_init(o, &policy);
	datapath->offloader = o;
	return o;
}

void offloader_start(struct offloader *o)
{
	offloader_lock(o);
	o->started = true;
	offloader_unlock(o);
}

void offloader_free(struct offloader *o)
{
	if (!o)
		return;
	offloader_lock(o);
	o->stopping = true;
	pthread_cond_signal(&o->woken);
	offloader_unlock(o);
	if (o->thread)
		g_thread_join(o->thread);
	o->datapath->offloader = NULL;
	offload_choice_done(o);
	g_array_unref(o->ports);
	g_array_unref(o->told);
	g_clear_error(&o->error);
	pthread_cond_destroy(&o->woken);
	pthread_mutex_destroy(&o->lock);
	g_free(o);
}
