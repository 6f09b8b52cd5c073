/* Live migration: the daemon here moves a machine to the daemon of another host, peer to peer.
 *
 * How it works. All that the two hosts say to each other goes by unix sockets whose other ends are on the other host (see
 * vm_migration_paths): ours and our daemon's calls to the daemon there, QEMU's memory, QEMU's disk (NBD). libvirt takes
 * unix sockets where it takes host names, on one condition: the text of the path is the same on both hosts, since the
 * source's is what the target's QEMU is told to listen on. That is why the paths lie in a folder whose name, as daemons
 * and QEMUs see it, is compiled into libvirt; a private daemon has that folder elsewhere (qemu_dir).
 *
 *   1. look: which of the two runs the machine (struct standing). Mostly it is the one here, and the other is off.
 *   2. virDomainMigrateToURI3, with the running machine's definition in the places of the one that was defined there. The
 *      disk is copied first (incrementally on the image, which is there), with writes that go to both from then on, so
 *      that it ends; then the memory, with a guest that is slowed more and more if it does not end.
 *   3. look again, and tidy up by what is seen: settle() is the only place that ends, resumes or forgets a machine.
 *
 * What settle does is all that a process needs that finds a migration which was cut off, so migrate begins with it too.
 * libvirt resumes, or ends, most by itself: when its connection to the target breaks before the target was told to run,
 * the target ends its machine and the source resumes its own. What it leaves open, and settle decides by asking:
 *
 *     here           there runs             there does not run         nobody answers there
 *     runs           end it there (*)       end what is on its way     it goes on here (*)
 *     in between     end and forget here    end it there, resume here  not decided: FAULT_TIMEOUT
 *     off            forget here            nothing runs, as it was    not decided: FAULT_TIMEOUT
 *
 * (*) The connection broke when the target was just told to run: libvirt's source, which got no answer, goes on. That is
 * a moment of two copies which libvirt leaves to lock managers. They share no disk, and the one here has the network, as
 * the controller did not hear of a move; the other is ended, at the latest by its own agent, whose goal it is not.
 *
 * The definition here is not libvirt's to remove (VIR_MIGRATE_UNDEFINE_SOURCE is not set): the directory goes first, as in
 * libvirt.c, so that nothing is left that nobody knows of.
 *
 * Threads: migrate blocks in libvirt's call; a watcher beside it looks whenever an event comes, and now and then: it tells
 * progress and the machine's stop, hands a cancel on, and ends the machine there when it does not get ready (its switch does
 * not come: a QEMU that waits for that answers nothing, see vm.h).
 */
#include "vm/domain_xml.h"
#include "vm/files.h"
#include "vm/libvirt_priv.h"

#include <stdlib.h>
#include <string.h>

#define QEMU_DIR        "/var/lib/libvirt/qemu" /* as libvirt has it compiled in */
#define WATCH_US        (G_USEC_PER_SEC / 4)
#define KEEPALIVE_S     5
#define KEEPALIVE_COUNT 4
#define SLOW_DOWN       30 /* percent that a guest is slowed by at first, when its memory does not come to an end */
#define SLOW_DOWN_MORE  20
#define PERCENT_MAX     99
#define MIGRATE_FLAGS                                                                                        \
	(VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_NON_SHARED_INC |  \
		VIR_MIGRATE_NON_SHARED_SYNCHRONOUS_WRITES | VIR_MIGRATE_ABORT_ON_ERROR |                     \
		VIR_MIGRATE_AUTO_CONVERGE)

/* One migrate under way. */
struct move {
	struct libvirt_call here, there;
	const struct vm_migration *migration;
	guint64 memory; /* bytes that the guest has */
	unsigned limit_s; /* from its beginning there until it is ready */
	GThread *watcher;
	/* The watcher's, until it has ended. */
	struct {
		bool ready, stopped;
		unsigned percent;
		gint64 begun_us; /* when the machine was seen to begin there; 0: not yet */
	} told;
	GMutex lock; /* guards what follows */
	bool done, cancelled;
	bool late; /* the target was not ready in time and was ended */
};

/* ---- paths ---- */

/* A socket of a migration in a folder: this process's view of it, or the daemons'. */
static char *socket_in(const char *folder, const char *migration, const char *stream)
{
	return g_strdup_printf("%s/%s.%s", folder, migration, stream);
}

/* Path of the socket in "qemu+unix:///system?socket=PATH", or where libvirt has it. */
static char *daemon_socket(const char *uri)
{
	g_autoptr(GUri) parsed = g_uri_parse(uri, G_URI_FLAGS_NONE, NULL);
	const char *query = parsed ? g_uri_get_query(parsed) : NULL;
	g_autoptr(GHashTable) params =
		query ? g_uri_parse_params(query, -1, "&", G_URI_PARAMS_NONE, NULL) : NULL;
	const char *path = params ? g_hash_table_lookup(params, "socket") : NULL;

	return g_strdup(path ? path : "/run/libvirt/libvirt-sock");
}

bool libvirt_migration_paths(struct vm_manager *manager, const char *migration, bool incoming,
	struct vm_migration_paths *ret, GError **error)
{
	const struct libvirt_manager *libvirt = libvirt_manager_of(manager);
	const char *folder = libvirt->qemu_dir;

	if (!folder)
		return fault_set(error, FAULT_UNSUPPORTED,
			"VMs of this host do not migrate: it was not said where libvirt's QEMUs have "
			"sockets");
	if (!g_uuid_string_is_valid(migration))
		return fault_set(error, FAULT_INVALID, "a migration needs a UUID, not '%s'", migration);
	_cleanup_(vm_migration_paths_clear) struct vm_migration_paths paths = {
		.manager = incoming ? daemon_socket(libvirt->uri) : socket_in(folder, migration, "libvirt"),
		.memory = socket_in(folder, migration, "memory"),
		.disk = socket_in(folder, migration, "disk"),
	};
	if (strlen(folder) + strlen("//.libvirt") + strlen(migration) > VM_SOCKET_PATH_MAX)
		return fault_set(error, FAULT_INVALID,
			"sockets of migrations in %s would have paths longer than %d bytes; choose a shorter "
			"one",
			folder, VM_SOCKET_PATH_MAX);
	*ret = paths;
	paths = (struct vm_migration_paths){};
	return true;
}

/* ---- where it stands ---- */

enum standing {
	RUNS,
	BETWEEN, /* stopped by a migration, its memory still there */
	OFF,
	UNKNOWN, /* the daemon does not say */
};

static enum standing standing_of(struct libvirt_call *call)
{
	int state, reason;

	if (!call->domain)
		return OFF;
	if (virDomainGetState(call->domain, &state, &reason, 0) < 0)
		return virGetLastErrorCode() == VIR_ERR_NO_DOMAIN ? OFF : UNKNOWN;
	if (libvirt_is_between(state, reason))
		return virDomainIsActive(call->domain) == 1 ? BETWEEN : OFF;
	return libvirt_vm_state(state, reason) == VM_RUNNING ? RUNS : OFF;
}

static bool end_machine(struct libvirt_call *call)
{
	return !call->domain || virDomainDestroy(call->domain) == 0 || virDomainIsActive(call->domain) == 0;
}

/* What went to the other host goes here: directory, then definition. */
static bool forget(struct libvirt_call *call, GError **error)
{
	g_autofree char *directory = libvirt_call_directory(call);

	if (directory && !vm_files_remove(directory, error))
		return false;
	return virDomainUndefineFlags(call->domain, LIBVIRT_UNDEFINE_FLAGS) == 0 ||
	       virGetLastErrorCode() == VIR_ERR_NO_DOMAIN ||
	       libvirt_call_fail(call, "forget", FAULT_INTERNAL, error);
}

static bool undecided(const struct move *move, GError **error)
{
	return fault_set(error, FAULT_TIMEOUT,
		"the migration of vm %s was cut off, and where it goes on is not known; that is decided when "
		"the libvirt daemons of both hosts answer",
		move->here.name);
}

/* See the table above. *ret_moved: it runs there and is forgotten here. False: it cannot be decided now. */
static bool settle(struct move *move, bool *ret_moved, GError **error)
{
	enum standing here = standing_of(&move->here), there = standing_of(&move->there);

	*ret_moved = false;
	if (here == RUNS && there == UNKNOWN)
		return true;
	if (here == UNKNOWN || there == UNKNOWN)
		return undecided(move, error);
	if (there == RUNS && here != RUNS) {
		*ret_moved = true;
		return (here == OFF || end_machine(&move->here)) && forget(&move->here, error);
	}
	/* A machine that is still on its way there must not begin to run once the one here does. */
	if (here == OFF || (there == OFF && here == RUNS))
		return true;
	if (!end_machine(&move->there))
		return undecided(move, error);
	return here == RUNS || virDomainResume(move->here.domain) == 0 ||
	       libvirt_call_fail(&move->here, "resume", FAULT_INTERNAL, error);
}

/* ---- watching ---- */

/* A number of libvirt's job statistics; 0 when it is not there. */
static guint64 number(virTypedParameterPtr params, int n, const char *name)
{
	unsigned long long value = 0;

	virTypedParamsGetULLong(params, n, name, &value);
	return value;
}

/* Percent of disk and memory that is over there. Memory goes several rounds, and is not counted before the first. False:
 * the target is not ready yet. */
static bool progress_of(const struct move *move, unsigned *ret)
{
	virTypedParameterPtr params = NULL;
	int type, n = 0;

	if (virDomainGetJobStats(move->here.domain, &type, &params, &n, 0) < 0)
		return false;
	guint64 memory = number(params, n, VIR_DOMAIN_JOB_MEMORY_TOTAL),
		disk = number(params, n, VIR_DOMAIN_JOB_DISK_TOTAL),
		left = number(params, n, VIR_DOMAIN_JOB_DISK_REMAINING) +
		       (memory ? number(params, n, VIR_DOMAIN_JOB_MEMORY_REMAINING) : move->memory),
		total = disk + (memory ? memory : move->memory);
	virTypedParamsFree(params, n);
	*ret = total > left ? (unsigned)MIN((total - left) * 100 / total, PERCENT_MAX) : 0;
	return memory || disk;
}

static void tell_percent(struct move *move, unsigned percent)
{
	if (percent > move->told.percent && move->migration->progress)
		move->migration->progress(move->told.percent = percent, move->migration->data);
}

static void tell_stop(struct move *move)
{
	if (!move->told.stopped && move->migration->stopped)
		move->migration->stopped(move->migration->data);
	move->told.stopped = true;
}

static void look(struct move *move)
{
	unsigned percent;

	if (!move->told.stopped && standing_of(&move->here) == BETWEEN)
		tell_stop(move);
	if (!progress_of(move, &percent))
		return;
	move->told.ready = true;
	tell_percent(move, percent);
}

/* False: it is done. */
static bool read_wishes(struct move *move, bool late, bool *ret_late, bool *ret_cancelled)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&move->lock);

	*ret_late = move->late = move->late || late;
	*ret_cancelled = move->cancelled;
	return !move->done;
}

/* Counted from its beginning: what the daemons do before that may take as long on slow hosts, and is watched by keepalives. */
static bool is_late(struct move *move, gint64 now)
{
	if (move->told.ready)
		return false;
	if (move->told.begun_us == 0 && virDomainIsActive(move->there.domain) == 1)
		move->told.begun_us = now;
	return move->told.begun_us != 0 && now - move->told.begun_us > move->limit_s * G_USEC_PER_SEC;
}

static void *watch(void *data)
{
	struct move *move = data;
	uint64_t serial = libvirt_link_serial(move->here.link);
	gint64 now = g_get_monotonic_time();
	bool late, cancelled;

	while (read_wishes(move, is_late(move, now), &late, &cancelled)) {
		if (cancelled)
			virDomainAbortJob(
				move->here.domain); /* again until it takes: the job may not have begun */
		if (late || (cancelled && !move->told.ready))
			end_machine(&move->there);
		look(move);
		libvirt_link_wait(move->here.link, &serial, now + WATCH_US);
		now = g_get_monotonic_time();
	}
	return NULL;
}

/* The wish is one of the move's; the link's waiters include its watcher, if there is one. */
static void set_wish(struct move *move, bool *wish, struct libvirt_link *link)
{
	g_mutex_lock(&move->lock);
	*wish = true;
	g_mutex_unlock(&move->lock);
	libvirt_link_wake(link);
}

/* ---- moving ---- */

/* Definitions of the machine here as it is to be there: running (flags 0) or for later. */
static char *definition(struct move *move, unsigned flags, GError **error)
{
	char *here = virDomainGetXMLDesc(
		     move->here.domain, flags | VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_MIGRATABLE),
	     *there =
		     virDomainGetXMLDesc(move->there.domain, VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_INACTIVE);
	char *moved = NULL;

	if (!here || !there)
		libvirt_call_fail(here ? &move->there : &move->here, "read the definition of",
			FAULT_UNAVAILABLE, error);
	else if (domain_xml_has_primary(here))
		fault_set(error, FAULT_NOT_ALLOWED,
			"vm %s cannot migrate with a function of this host in it; unplug its primaries first",
			move->here.name);
	else
		moved = domain_xml_move(here, there, error);
	free(here);
	free(there);
	return moved;
}

static void add_text(virTypedParameterPtr *params, int *n, int *max, const char *name, const char *value)
{
	if (virTypedParamsAddString(params, n, max, name, value) < 0)
		g_error("out of memory");
}

static void add_number(virTypedParameterPtr *params, int *n, int *max, const char *name, int value)
{
	if (virTypedParamsAddInt(params, n, max, name, value) < 0)
		g_error("out of memory");
}

static bool transfer(struct move *move, const char *running, const char *later)
{
	const char *uid = move->migration->uid;
	g_autofree char *daemon = socket_in(QEMU_DIR, uid, "libvirt"),
			*memory = socket_in(QEMU_DIR, uid, "memory"),
			*disk = socket_in(QEMU_DIR, uid, "disk");
	g_autofree char *daemon_uri = g_strconcat("qemu+unix:///system?socket=", daemon, NULL),
			*memory_uri = g_strconcat("unix://", memory, NULL),
			*disk_uri = g_strconcat("unix://", disk, NULL);
	virTypedParameterPtr params = NULL;
	int n = 0, max = 0;

	add_text(&params, &n, &max, VIR_MIGRATE_PARAM_URI, memory_uri);
	add_text(&params, &n, &max, VIR_MIGRATE_PARAM_DISKS_URI, disk_uri);
	add_text(&params, &n, &max, VIR_MIGRATE_PARAM_DEST_XML, running);
	add_text(&params, &n, &max, VIR_MIGRATE_PARAM_PERSIST_XML, later);
	add_number(&params, &n, &max, VIR_MIGRATE_PARAM_AUTO_CONVERGE_INITIAL, SLOW_DOWN);
	add_number(&params, &n, &max, VIR_MIGRATE_PARAM_AUTO_CONVERGE_INCREMENT, SLOW_DOWN_MORE);
	int result =
		virDomainMigrateToURI3(move->here.domain, daemon_uri, params, (unsigned)n, MIGRATE_FLAGS);
	virTypedParamsFree(params, n);
	return result == 0;
}

/* Why libvirt's call failed; its last error is still there. */
static void explain(struct move *move, GError **error)
{
	/* Also when it is the target's QEMU that has ended: libvirt does not say whose. */
	bool qemu_failed = virGetLastErrorCode() == VIR_ERR_OPERATION_FAILED;

	if (move->late)
		fault_set(error, FAULT_UNAVAILABLE,
			"vm %s did not migrate: its machine was not ready on the target within %u s; see "
			"that the switch there runs and knows its NICs",
			move->here.name, move->limit_s);
	else if (move->cancelled)
		fault_set(error, FAULT_UNAVAILABLE,
			"the migration of vm %s was cancelled; it runs here as before", move->here.name);
	else if (!libvirt_call_fail(&move->here, "migrate", FAULT_UNAVAILABLE, error))
		g_prefix_error(error, "%s",
			virConnectIsAlive(move->there.conn) != 1
				? "the target was lost on the way; see that its agent and its libvirt daemon "
				  "run, then migrate again: "
			: qemu_failed
				? "its QEMU failed on one of the hosts, where its log (log/qemu) may say "
				  "why; then migrate again: "
				: "");
}

static bool is_cancelled(struct move *move)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&move->lock);

	return move->cancelled;
}

static bool perform(struct move *move, GError **error)
{
	g_autofree char *running = definition(move, 0, error);
	g_autofree char *later = running ? definition(move, VIR_DOMAIN_XML_INACTIVE, error) : NULL;
	g_autoptr(GError) reason = NULL;
	bool moved;

	if (!later)
		return false;
	move->limit_s = libvirt_call_start_limit(&move->there);
	move->watcher = g_thread_new("vm-migration", watch, move);
	bool ok = !is_cancelled(move) && transfer(move, running, later);
	set_wish(move, &move->done, move->here.link);
	g_thread_join(move->watcher);
	if (!ok)
		explain(move, &reason);
	if (!settle(move, &moved, error))
		return false;
	if (moved) { /* and it may have been too quick for the watcher */
		tell_stop(move);
		tell_percent(move, PERCENT_MAX);
		return true;
	}
	if (ok)
		return undecided(move, error);
	g_propagate_error(error, g_steal_pointer(&reason));
	return false;
}

/* ---- beginning and end ---- */

/* A connection of our own to the daemon there, and the VM's definition, NULL when there is none. */
static bool reach(struct move *move, const char *socket, const char *uid, GError **error)
{
	g_autofree char *escaped = g_uri_escape_string(socket, "/", FALSE);
	g_autofree char *uri = g_strconcat("qemu+unix:///system?socket=", escaped, NULL);
	g_autoptr(GError) reason = NULL;

	move->there.conn = virConnectOpen(uri);
	if (!move->there.conn)
		fault_set(&reason, FAULT_UNAVAILABLE, "%s", virGetLastErrorMessage());
	else if (virConnectSetKeepAlive(move->there.conn, KEEPALIVE_S, KEEPALIVE_COUNT) >= 0 &&
		 (libvirt_call_find(&move->there, uid, &reason) ||
			 g_error_matches(reason, FAULT, FAULT_NOT_FOUND)))
		return true;
	if (standing_of(&move->here) != RUNS)
		return undecided(move, error);
	return fault_set(error, FAULT_UNAVAILABLE,
		"vm %s cannot migrate: the libvirt daemon of the target does not answer: %s", move->here.name,
		reason ? reason->message : virGetLastErrorMessage());
}

/* Both sides, and nobody else's migration of this machine. */
static bool move_begin(struct move *move, struct vm_manager *manager, const char *uid, GError **error)
{
	_cleanup_(vm_migration_paths_clear) struct vm_migration_paths paths = {};
	virDomainJobInfo job = {};
	virDomainInfo info = {};

	if (!libvirt_migration_paths(manager, move->migration->uid, false, &paths, error) ||
		!libvirt_call_begin(&move->here, manager, uid, error))
		return false;
	/* The daemon goes on with what another process of ours has begun. */
	if (virDomainGetJobInfo(move->here.domain, &job) == 0 && job.type != VIR_DOMAIN_JOB_NONE)
		return fault_set(error, FAULT_BUSY, "vm %s is being migrated already", move->here.name);
	virDomainGetInfo(move->here.domain, &info);
	move->memory = (guint64)info.memory * 1024;
	return reach(move, paths.manager, uid, error);
}

static bool move_run(struct move *move, GError **error)
{
	enum standing before = standing_of(&move->here);
	bool moved;

	if (!settle(move, &moved, error))
		return false;
	if (moved)
		return true;
	if (before == OFF)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"vm %s is not running; there is nothing to migrate", move->here.name);
	if (before == BETWEEN)
		return fault_set(error, FAULT_UNAVAILABLE,
			"the migration of vm %s was cut off; it goes on here, as before", move->here.name);
	if (!move->there.domain)
		return fault_set(error, FAULT_UNAVAILABLE,
			"vm %s cannot migrate: the target has not defined it; that comes first",
			move->here.name);
	return perform(move, error);
}

static bool enlist(struct libvirt_manager *libvirt, const char *uid, struct move *move)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&libvirt->lock);

	return !g_hash_table_contains(libvirt->moves, uid) &&
	       g_hash_table_insert(libvirt->moves, (char *)uid, move);
}

static void delist(struct libvirt_manager *libvirt, const char *uid)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&libvirt->lock);

	g_hash_table_remove(libvirt->moves, uid);
}

bool libvirt_migrate(
	struct vm_manager *manager, const char *uid, const struct vm_migration *migration, GError **error)
{
	struct libvirt_manager *libvirt = libvirt_manager_of(manager);
	struct move move = {.migration = migration};

	g_mutex_init(&move.lock);
	bool first = enlist(libvirt, uid, &move);
	bool ok = first ? move_begin(&move, manager, uid, error) && move_run(&move, error)
			: fault_set(error, FAULT_BUSY, "vm %s is being migrated already", uid);
	if (first)
		delist(libvirt, uid);
	libvirt_call_end(&move.there);
	libvirt_call_end(&move.here);
	g_mutex_clear(&move.lock);
	return ok;
}

/* Of a migrate of this process. */
static bool cancel_move(struct libvirt_manager *libvirt, const char *uid)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&libvirt->lock);
	struct move *move = g_hash_table_lookup(libvirt->moves, uid);

	if (!move)
		return false;
	set_wish(move, &move->cancelled, libvirt->link);
	return true;
}

bool libvirt_migrate_cancel(struct vm_manager *manager, const char *uid, GError **error)
{
	_cleanup_(libvirt_call_end) struct libvirt_call call = {};
	virDomainJobInfo job = {};

	if (cancel_move(libvirt_manager_of(manager), uid))
		return true;
	if (!libvirt_call_begin(&call, manager, uid, error))
		return false;
	/* One that a process before us began, and the daemon goes on with. */
	if (virDomainGetJobInfo(call.domain, &job) < 0 || job.type == VIR_DOMAIN_JOB_NONE)
		return true;
	return virDomainAbortJob(call.domain) == 0 || virGetLastErrorCode() == VIR_ERR_OPERATION_INVALID ||
	       libvirt_call_fail(&call, "cancel the migration of", FAULT_UNAVAILABLE, error);
}
