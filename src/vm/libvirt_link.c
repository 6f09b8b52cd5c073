/* Connection to the libvirt daemon, kept up, and its events.
 *
 * How it works
 *
 * Event loop. virEventRegisterDefaultImpl() puts libvirt's sources on GLib's default main context (since
 * libvirt 6.1); a GLib program that runs its main loop has libvirt's events with it, and need not do more.
 * Rejected: a thread that calls virEventRunDefaultImpl(), which every libvirt example shows. It would iterate
 * the default context too, and so run the program's own sources in a foreign thread. Rejected: an
 * implementation of our own on a private context, 150 lines for what the library does. What follows from the
 * choice: calls must not be made from the thread that runs the default context while they wait for events;
 * unplug, the only one that waits, looks every half second itself and so is right, only slower, even then.
 *
 * Opening waits OPEN_WAIT_US for the daemon: when it died together with our program, both are being started again.
 *
 * Reconnecting. The keeper thread sleeps until the connection is lost (libvirt's close callback, or a look
 * every KEEPER_LOOK_US), then tries again with growing pauses. QEMU processes live on without the daemon and
 * the new daemon adopts them. After each connect, the keeper reads all states and tells what differs from
 * what was told last; then that it was away, since devices that left meanwhile are nowhere to be read.
 *
 * States. `told` has every VM that is ours, with the last state told. Events about other domains of a shared
 * daemon find no entry and are dropped, so no callback has to ask the daemon anything. A scan that an event
 * overtook (the serial moved) is done again, so that an old state never follows a new one.
 *
 * Threads: libvirt calls back in the thread of the default main context, the keeper is its own, everything
 * else comes from any thread. `lock` is never held during a call to libvirt that may block.
 */
#include "base/fault.h"
#include "base/log.h"
#include "vm/domain_xml.h"
#include "vm/libvirt_priv.h"

#include <signal.h>
#include <string.h>

#define OPEN_WAIT_US    (10 * G_USEC_PER_SEC)
#define TAKE_WAIT_US    (5 * G_USEC_PER_SEC)
#define KEEPER_LOOK_US  (2 * G_USEC_PER_SEC)
#define RETRY_FIRST_US  (G_USEC_PER_SEC / 5)
#define RETRY_LAST_US   (2 * G_USEC_PER_SEC)
#define KEEPALIVE_S     5 /* a daemon that is there but stuck is given up after KEEPALIVE_COUNT of these */
#define KEEPALIVE_COUNT 12
#define SCANS_MAX       10 /* in a storm of events, which then say it all themselves */
#define SUBSCRIPTIONS   3

struct libvirt_link {
	char *uri, *log_dir; /* Owned; log_dir may be NULL */
	struct vm_events *events; /* Ref */
	GThread *keeper;
	int subscribed[SUBSCRIPTIONS]; /* ids on conn; only of the thread that connects */
	GMutex lock; /* guards all below */
	GCond changed; /* any of it did */
	virConnectPtr conn; /* Ref; NULL while the daemon is away */
	bool closing;
	uint64_t serial; /* counts what came in: events, new VMs */
	GHashTable *told; /* Owned: uid -> enum vm_state */
	GHashTable *refused; /* Owned: aliases that a guest refused to give up */
};

static void ignore_error(void *data, virErrorPtr error)
{
	/* Otherwise libvirt prints every error, also those that we expect. */
}

/* The library's own global state: once in a process. */
static void *library_init(void *ok)
{
	signal(SIGPIPE,
		SIG_IGN); /* the library sends keepalives without MSG_NOSIGNAL, also to a daemon that was just killed */
	virSetErrorFunc(NULL, ignore_error);
	return virInitialize() == 0 && virEventRegisterDefaultImpl() == 0 ? ok : NULL;
}

static void link_clear(void *data)
{
	struct libvirt_link *link = data;

	g_hash_table_unref(link->told);
	g_hash_table_unref(link->refused);
	vm_events_unref(link->events);
	g_mutex_clear(&link->lock);
	g_cond_clear(&link->changed);
	g_free(link->log_dir);
	g_free(link->uri);
}

static void link_release(void *link)
{
	g_atomic_rc_box_release_full(link, link_clear);
}

/* States */

/* What a life-cycle event means, -1 when nothing. A start that fails and a process that dies send the same
 * event; the state before it tells them apart. A machine that comes from another host runs when it is resumed; one
 * that went to another is gone when it is undefined, which follows. */
static int event_state(int event, int detail, enum vm_state before)
{
	switch (event) {
	case VIR_DOMAIN_EVENT_STARTED: return detail == VIR_DOMAIN_EVENT_STARTED_MIGRATED ? -1 : VM_RUNNING;
	case VIR_DOMAIN_EVENT_RESUMED: return VM_RUNNING;
	case VIR_DOMAIN_EVENT_SUSPENDED:
		return detail == VIR_DOMAIN_EVENT_SUSPENDED_IOERROR ? VM_CRASHED : -1;
	case VIR_DOMAIN_EVENT_CRASHED: return VM_CRASHED;
	case VIR_DOMAIN_EVENT_UNDEFINED: return VM_ABSENT;
	case VIR_DOMAIN_EVENT_STOPPED:
		if (before == VM_CRASHED || detail == VIR_DOMAIN_EVENT_STOPPED_MIGRATED)
			return -1; /* a panic has said so already */
		return before == VM_RUNNING && (detail == VIR_DOMAIN_EVENT_STOPPED_CRASHED ||
						       detail == VIR_DOMAIN_EVENT_STOPPED_FAILED)
			       ? VM_CRASHED
			       : VM_STOPPED;
	default: return -1;
	}
}

/* The rest of this section is called with the lock held. */

static void touch(struct libvirt_link *link)
{
	link->serial++;
	g_cond_broadcast(&link->changed);
}

static void note_state(struct libvirt_link *link, const char *uid, enum vm_state state)
{
	void *before = NULL;
	bool known = g_hash_table_lookup_extended(link->told, uid, NULL, &before);

	if (known && GPOINTER_TO_INT(before) == (int)state)
		return;
	vm_events_tell(link->events, uid, state, NULL);
	if (state == VM_ABSENT)
		g_hash_table_remove(link->told, uid);
	else
		g_hash_table_insert(link->told, g_strdup(uid), GINT_TO_POINTER((int)state));
}

/* Tells all that differs from what was told. */
static void note_scan(struct libvirt_link *link, const GPtrArray *infos)
{
	g_autoptr(GHashTable) present = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	char *uid;

	for (guint i = 0; i < infos->len; i++) {
		const struct vm_info *info = infos->pdata[i];
		g_hash_table_add(present, info->uid);
		note_state(link, info->uid, info->state);
	}
	g_hash_table_iter_init(&iter, link->told);
	while (g_hash_table_iter_next(&iter, (void **)&uid, NULL))
		if (!g_hash_table_contains(present, uid))
			g_ptr_array_add(gone, g_strdup(uid));
	for (guint i = 0; i < gone->len; i++)
		note_state(link, gone->pdata[i], VM_ABSENT);
}

/* Callbacks, in the thread of the default main context */

static int on_life_cycle(virConnectPtr conn, virDomainPtr domain, int event, int detail, void *data)
{
	struct libvirt_link *link = data;
	char uid[VIR_UUID_STRING_BUFLEN];
	void *before;

	virDomainGetUUIDString(domain, uid);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&link->lock);
	if (g_hash_table_lookup_extended(link->told, uid, NULL, &before)) {
		int state = event_state(event, detail, (enum vm_state)GPOINTER_TO_INT(before));
		if (state >= 0)
			note_state(link, uid, (enum vm_state)state);
	}
	touch(link);
	return 0;
}

static void on_device_removed(virConnectPtr conn, virDomainPtr domain, const char *alias, void *data)
{
	struct libvirt_link *link = data;
	const char *nic_uid = domain_xml_alias_nic(alias);
	char uid[VIR_UUID_STRING_BUFLEN];
	void *state;

	virDomainGetUUIDString(domain, uid);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&link->lock);
	if (nic_uid && g_hash_table_lookup_extended(link->told, uid, NULL, &state))
		vm_events_tell(link->events, uid, (enum vm_state)GPOINTER_TO_INT(state), nic_uid);
	touch(link);
}

static void on_removal_failed(virConnectPtr conn, virDomainPtr domain, const char *alias, void *data)
{
	struct libvirt_link *link = data;
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&link->lock);

	g_hash_table_add(link->refused, g_strdup(alias));
	touch(link);
}

static void on_closed(virConnectPtr conn, int reason, void *data)
{
	struct libvirt_link *link = data;
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&link->lock);

	touch(link); /* the keeper looks at once */
}

/* Connecting */

static bool is_alive(virConnectPtr conn)
{
	return conn && virConnectIsAlive(conn) == 1;
}

static const struct {
	int event;
	virConnectDomainEventGenericCallback callback;
} subscriptions[SUBSCRIPTIONS] = {
	{VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_life_cycle)},
	{VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device_removed)},
	{VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, VIR_DOMAIN_EVENT_CALLBACK(on_removal_failed)},
};

static bool subscribe(struct libvirt_link *link, virConnectPtr conn)
{
	memset(link->subscribed, -1, sizeof link->subscribed);
	for (size_t i = 0; i < SUBSCRIPTIONS; i++) {
		g_atomic_rc_box_acquire(link);
		link->subscribed[i] = virConnectDomainEventRegisterAny(
			conn, NULL, subscriptions[i].event, subscriptions[i].callback, link, link_release);
		if (link->subscribed[i] < 0) {
			link_release(link);
			return false;
		}
	}
	g_atomic_rc_box_acquire(link);
	if (virConnectRegisterCloseCallback(conn, on_closed, link, link_release) < 0) {
		link_release(link);
		return false;
	}
	return virConnectSetKeepAlive(conn, KEEPALIVE_S, KEEPALIVE_COUNT) >= 0;
}

/* Subscriptions hold references to connection and link: without this neither would ever be freed. */
static void disconnect(struct libvirt_link *link, virConnectPtr conn)
{
	for (size_t i = 0; i < SUBSCRIPTIONS; i++)
		if (link->subscribed[i] >= 0)
			virConnectDomainEventDeregisterAny(conn, link->subscribed[i]);
	virConnectUnregisterCloseCallback(conn, on_closed);
	virConnectClose(conn);
}

static virConnectPtr connect_once(struct libvirt_link *link, GError **error)
{
	virConnectPtr conn = virConnectOpen(link->uri);

	if (conn && subscribe(link, conn))
		return conn;
	fault_set(error, FAULT_UNAVAILABLE, "the libvirt daemon at %s does not answer: %s", link->uri,
		virGetLastErrorMessage());
	if (conn)
		disconnect(link, conn);
	return NULL;
}

/* Publishes the connection, then brings `told` up to date; a scan that an event overtook is done again. */
static void adopt(struct libvirt_link *link, virConnectPtr conn)
{
	bool current = false;

	g_mutex_lock(&link->lock);
	link->conn = conn;
	touch(link);
	for (int i = 0; i < SCANS_MAX && !current && !link->closing; i++) {
		uint64_t serial = link->serial;
		g_mutex_unlock(&link->lock);
		g_autoptr(GPtrArray) infos = libvirt_scan(conn, link->log_dir, NULL);
		g_mutex_lock(&link->lock);
		current = !infos || link->serial == serial;
		if (infos && current)
			note_scan(link, infos);
	}
	g_mutex_unlock(&link->lock);
}

/* Called with the lock held, which it gives up meanwhile: drops a dead connection and makes a new one. False:
 * the daemon is still away. */
static bool reconnect(struct libvirt_link *link)
{
	virConnectPtr dead = g_steal_pointer(&link->conn);

	g_mutex_unlock(&link->lock);
	if (dead)
		disconnect(link, dead);
	virConnectPtr conn = connect_once(link, NULL);
	if (conn) {
		log_info("libvirt", "connected again to %s", link->uri);
		adopt(link, conn);
		vm_events_tell(link->events, NULL, VM_ABSENT, NULL);
	}
	g_mutex_lock(&link->lock);
	return conn;
}

static void *keep(void *data)
{
	struct libvirt_link *link = data;
	gint64 pause_us = RETRY_FIRST_US;

	g_mutex_lock(&link->lock);
	while (!link->closing) {
		if (is_alive(link->conn)) {
			g_cond_wait_until(
				&link->changed, &link->lock, g_get_monotonic_time() + KEEPER_LOOK_US);
			continue;
		}
		if (link->conn)
			log_warn("libvirt", "the daemon at %s went away; connecting again until it is back",
				link->uri);
		if (reconnect(link)) {
			pause_us = RETRY_FIRST_US;
			continue;
		}
		gint64 until = g_get_monotonic_time() + pause_us;
		while (!link->closing && g_cond_wait_until(&link->changed, &link->lock, until))
			;
		pause_us = MIN(2 * pause_us, RETRY_LAST_US);
	}
	g_mutex_unlock(&link->lock);
	return NULL;
}

/* The first connection, and what there is. */
static virConnectPtr connect_first(struct libvirt_link *link, GPtrArray **ret_infos, GError **error)
{
	virConnectPtr conn = connect_once(link, error);

	if (!conn)
		return NULL;
	*ret_infos = libvirt_scan(conn, link->log_dir, error);
	if (*ret_infos)
		return conn;
	disconnect(link, conn);
	return NULL;
}

static virConnectPtr connect_patiently(struct libvirt_link *link, GPtrArray **ret_infos, GError **error)
{
	gint64 until = g_get_monotonic_time() + OPEN_WAIT_US, pause_us = RETRY_FIRST_US;

	for (;;) {
		g_autoptr(GError) failure = NULL;
		virConnectPtr conn = connect_first(link, ret_infos, &failure);
		if (conn)
			return conn;
		if (g_get_monotonic_time() + pause_us > until) {
			g_propagate_error(error, g_steal_pointer(&failure));
			return NULL;
		}
		g_usleep((gulong)pause_us);
		pause_us = MIN(2 * pause_us, RETRY_LAST_US);
	}
}

struct libvirt_link *libvirt_link_open(
	const char *uri, const char *log_dir, struct vm_events *events, GError **error)
{
	static GOnce once = G_ONCE_INIT;

	if (!g_once(&once, library_init, &once)) {
		fault_set(error, FAULT_INTERNAL, "libvirt's library does not initialise: %s",
			virGetLastErrorMessage());
		return NULL;
	}
	struct libvirt_link *link = g_atomic_rc_box_new0(struct libvirt_link);
	link->uri = g_strdup(uri);
	link->log_dir = g_strdup(log_dir);
	link->events = vm_events_ref(events);
	g_mutex_init(&link->lock);
	g_cond_init(&link->changed);
	link->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	link->refused = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GPtrArray) infos = NULL;
	virConnectPtr conn = connect_patiently(link, &infos, error);
	if (!conn) {
		link_release(link);
		return NULL;
	}
	for (guint i = 0; i < infos->len; i++) {
		const struct vm_info *info = infos->pdata[i];
		g_hash_table_insert(link->told, g_strdup(info->uid), GINT_TO_POINTER((int)info->state));
	}
	adopt(link, conn);
	link->keeper = g_thread_new("libvirt-keeper", keep, link);
	return link;
}

void libvirt_link_close(struct libvirt_link *link)
{
	g_mutex_lock(&link->lock);
	link->closing = true;
	touch(link);
	g_mutex_unlock(&link->lock);
	g_thread_join(link->keeper);
	if (link->conn)
		disconnect(link, g_steal_pointer(&link->conn));
	link_release(link);
}

virConnectPtr libvirt_link_take(struct libvirt_link *link, GError **error)
{
	gint64 until = g_get_monotonic_time() + TAKE_WAIT_US;
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&link->lock);

	if (!is_alive(link->conn))
		g_cond_broadcast(&link->changed); /* the keeper may not have seen it yet */
	while (!link->closing && !is_alive(link->conn))
		if (!g_cond_wait_until(&link->changed, &link->lock, until))
			break;
	if (!is_alive(link->conn)) {
		fault_set(error, FAULT_UNAVAILABLE,
			"the libvirt daemon at %s is away; running VMs go on, try again when it is back",
			link->uri);
		return NULL;
	}
	virConnectRef(link->conn);
	return link->conn;
}

/* What the provider asks */

void libvirt_link_add(struct libvirt_link *link, const char *uid)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&link->lock);

	if (!g_hash_table_contains(link->told, uid))
		note_state(link, uid, VM_STOPPED);
	touch(link); /* a scan under way has not seen it */
}

uint64_t libvirt_link_serial(struct libvirt_link *link)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&link->lock);

	return link->serial;
}

void libvirt_link_wait(struct libvirt_link *link, uint64_t *serial, gint64 deadline_us)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&link->lock);

	while (link->serial == *serial && g_cond_wait_until(&link->changed, &link->lock, deadline_us))
		;
	*serial = link->serial;
}

void libvirt_link_wake(struct libvirt_link *link)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&link->lock);

	touch(link);
}

void libvirt_link_expect(struct libvirt_link *link, const char *alias)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&link->lock);

	g_hash_table_remove(link->refused, alias);
}

bool libvirt_link_refused(struct libvirt_link *link, const char *alias)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&link->lock);

	return g_hash_table_contains(link->refused, alias);
}
