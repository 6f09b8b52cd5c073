/* Driving operations to their end.
 *
 * How it works. The set of running operations is read at start and followed by a watch. Whenever anything in
 * the store changes, a report comes, or a second goes by, one pass asks each of them to take its next step. A
 * step looks at the store and the reports, does one transaction at most, and says done, waiting or failed; so
 * it can be repeated at will, and a crash between two steps loses nothing. Those who wait for an operation
 * are told from here.
 *
 * A watch that lags behind what the store has forgotten ends. Then all operations are read again, and those that have
 * ended since the watch told its last are told of as if it had; an operation that was over when it began is not, as ever.
 *
 * Rejected: one queue per object with dependencies between them. Operations that run at one time are few;
 * asking all of them is simpler than knowing which of them a change concerns.
 */
#include "base/failpoint.h"
#include "base/fault.h"
#include "base/log.h"
#include "control/control_priv.h"

#include <string.h>

#define TICK_MS       1000
#define KEEP_US       (INT64_C(24) * 3600 * G_USEC_PER_SEC) /* finished operations stay readable for a day */
#define PRUNE_PER_TXN 100
#define COMPACT_S     300 /* replaced versions stay readable for this long, twice at most */

struct hook {
	control_reconcile_fn fn;
	void *data;
};

struct waiter {
	guint id;
	char *operation;
	control_wait_fn done;
	void *data;
	guint timeout;
	struct control *control;
};

struct reconciler {
	struct control *control; /* Borrowed */
	GHashTable *running; /* uids of running operations */
	GList *waiters; /* of struct waiter, Owned */
	guint next_id;
	guint pass, tick, prune, compact; /* sources */
	int64_t compact_to; /* revision of the last look; 0: none yet */
	uint64_t watch; /* 0: there is none, as the store could not be read */
	int64_t told; /* newest revision of whose operations all is known */
	control_end_fn ended; /* NULL: nobody is told */
	void *ended_data;
	struct hook hooks[KIND_COUNT];
};

/* ---- waiting ---- */

static void waiter_free(struct waiter *waiter)
{
	if (waiter->timeout)
		g_source_remove(waiter->timeout);
	g_free(waiter->operation);
	g_free(waiter);
}

static void answer(struct waiter *waiter)
{
	struct control *control = waiter->control;
	_cleanup_(model_free) struct operation *operation =
		control_get(control, KIND_OPERATION, waiter->operation, NULL);

	control->reconciler->waiters = g_list_remove(control->reconciler->waiters, waiter);
	waiter->done(operation, waiter->data);
	waiter_free(waiter);
}

static void answer_all(struct reconciler *reconciler, const char *operation)
{
	g_autoptr(GList) waiters = g_list_copy(reconciler->waiters);

	for (GList *item = waiters; item; item = item->next)
		if (g_str_equal(((struct waiter *)item->data)->operation, operation))
			answer(item->data);
}

static gboolean waited_enough(void *data)
{
	struct waiter *waiter = data;

	waiter->timeout = 0;
	answer(waiter);
	return G_SOURCE_REMOVE;
}

guint control_wait(struct control *control, const char *operation_uid, unsigned timeout_ms,
	control_wait_fn done, void *data)
{
	struct reconciler *reconciler = control->reconciler;
	struct waiter *waiter = g_new0(struct waiter, 1);

	if (!g_hash_table_contains(reconciler->running, operation_uid)) {
		/* Over, or so new that the watch has not told yet: look. */
		_cleanup_(model_free) struct operation *now =
			control_get(control, KIND_OPERATION, operation_uid, NULL);
		if (!now || now->status.state != OPERATION_RUNNING)
			timeout_ms = 0;
	}
	*waiter = (struct waiter){
		.id = ++reconciler->next_id,
		.operation = g_strdup(operation_uid),
		.done = done,
		.data = data,
		.timeout = g_timeout_add(timeout_ms, waited_enough, waiter),
		.control = control,
	};
	reconciler->waiters = g_list_append(reconciler->waiters, waiter);
	return waiter->id;
}

void control_wait_cancel(struct control *control, guint id)
{
	for (GList *item = control->reconciler->waiters; item; item = item->next) {
		struct waiter *waiter = item->data;
		if (waiter->id != id)
			continue;
		control->reconciler->waiters = g_list_delete_link(control->reconciler->waiters, item);
		waiter_free(waiter);
		return;
	}
}

/* ---- steps ---- */

struct ending {
	const char *uid;
	const GError *failure; /* NULL: succeeded */
	json_t *details; /* Borrowed */
};

static bool finish(struct change *change, void *data, GError **error)
{
	const struct ending *ending = data;
	struct operation *operation = change_get(change, KIND_OPERATION, ending->uid, error);

	if (!operation)
		return false;
	json_decref(operation->status.details);
	operation->status.details = json_incref(ending->details);
	operation_finish(change, operation, ending->failure);
	return true;
}

/* Writes the end. One that is too large for the store is written without details, and with a short reason: it must not be
 * tried for ever. */
static bool end(struct control *control, const struct ending *ending, GError **error)
{
	g_autoptr(GError) failure = NULL, brief = NULL;

	if (change_run(control->store, finish, (void *)ending, NULL, &failure))
		return true;
	if (!g_error_matches(failure, FAULT, FAULT_INVALID)) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	log_error(ending->uid, "the operation's details are left out: %s", failure->message);
	if (ending->failure)
		fault_set(&brief, fault_code(ending->failure),
			"it failed, and what is to be said of it is too large to be stored");
	const struct ending bare = {ending->uid, brief, NULL};
	return change_run(control->store, finish, (void *)&bare, NULL, error);
}

/* What only hosts must learn: done when they have; failed, for the user to know, when one stays silent. It will still
 * get it before anything else when it comes back. */
static int wait_for_hosts(struct control *control, const struct operation *operation, GError **error)
{
	g_autofree char *behind = NULL;

	if (hosts_applied(control, operation, &behind))
		return 1;
	if (g_get_real_time() - operation->meta.created_us < HOSTS_US)
		return 0;
	fault_set(error, FAULT_TIMEOUT,
		"the change to %s is stored, but %s; it takes effect there when it does",
		operation->spec.target_name, behind);
	return -1;
}

static int step(struct control *control, struct operation *operation, GError **error)
{
	const struct hook *hook = &control->reconciler->hooks[operation->spec.target_kind];
	/* A running operation is written once, so its revision is that of the change it belongs to. */
	int64_t revision = operation->meta.revision;

	if (hook->fn)
		return hook->fn(control, operation, hook->data, error);
	if (operation->spec.target_kind == KIND_VM)
		return vm_reconcile(control, operation, revision, error);
	if (operation->spec.target_kind == KIND_SCALE_SET)
		return scale_set_reconcile(control, operation, error);
	if (operation->spec.target_kind == KIND_GROUP)
		return group_reconcile(control, operation, revision, error);
	return wait_for_hosts(control, operation, error);
}

static void run_step(struct control *control, const char *uid)
{
	g_autoptr(GError) failure = NULL, lost = NULL;
	_cleanup_(model_free) struct operation *operation = control_get(control, KIND_OPERATION, uid, &lost);

	/* Of one that is over, or gone, the watch is about to tell; a store that cannot be read just now is tried again by
	 * the next pass. */
	if (!operation || operation->status.state != OPERATION_RUNNING)
		return;
	int done = step(control, operation, &failure);
	/* Losing a race or a store that is away for a moment ends no operation: the next pass tries again. */
	if (done == 0 || g_error_matches(failure, FAULT, FAULT_CONFLICT) ||
		g_error_matches(failure, FAULT, FAULT_UNAVAILABLE))
		return;
	const struct ending ending = {uid, done < 0 ? failure : NULL, operation->status.details};
	if (!end(control, &ending, &lost))
		log_error(uid, "operation cannot be finished: %s", lost->message);
	failpoint(FAILPOINT_CONTROL_FINISHED);
}

static void *copy_text(const void *text, void *data)
{
	return g_strdup(text);
}

static gboolean run_pass(void *data)
{
	struct reconciler *reconciler = data;
	g_autoptr(GList) running = g_hash_table_get_keys(reconciler->running);
	/* A step may end operations, which takes them out of the set. */
	GList *uids = g_list_copy_deep(running, (GCopyFunc)copy_text, NULL);

	reconciler->pass = 0;
	for (GList *item = uids; item; item = item->next)
		run_step(reconciler->control, item->data);
	g_list_free_full(uids, g_free);
	return G_SOURCE_REMOVE;
}

void reconciler_kick(struct control *control)
{
	struct reconciler *reconciler = control->reconciler;

	if (!reconciler->pass && g_hash_table_size(reconciler->running))
		reconciler->pass = g_idle_add(run_pass, reconciler);
}

/* ---- following the store ---- */

void reconciler_tell_end(struct control *control, const struct operation *operation)
{
	const struct reconciler *reconciler = control->reconciler;

	if (reconciler->ended)
		reconciler->ended(operation, reconciler->ended_data);
}

static void follow_operation(struct reconciler *reconciler, const struct store_event *event)
{
	const char *uid = strrchr(event->kv->key, '/') + 1;
	gsize length = 0;
	const char *text = event->deleted ? NULL : g_bytes_get_data(event->kv->value, &length);
	_cleanup_(model_free) struct operation *operation =
		text ? model_decode(KIND_OPERATION, text, length, event->kv->mod_revision, NULL) : NULL;

	if (operation && operation->status.state == OPERATION_RUNNING) {
		g_hash_table_add(reconciler->running, g_strdup(uid));
		return;
	}
	bool ran = g_hash_table_remove(reconciler->running, uid);
	if (ran && operation)
		reconciler_tell_end(reconciler->control, operation);
	answer_all(reconciler, uid);
}

static void on_change(
	const struct store_event *events, size_t n, int64_t revision, int64_t compacted, void *data);

/* What was put more than once has run: since the watch told its last, when the latest put is newer. */
static void catch_up_operation(struct reconciler *reconciler, const struct store_kv *kv)
{
	const struct store_event event = {.kv = kv};

	if (reconciler->told && kv->mod_revision > reconciler->told && kv->version > 1)
		g_hash_table_add(reconciler->running, g_strdup(strrchr(kv->key, '/') + 1));
	follow_operation(reconciler, &event);
}

/* Reads all operations, and watches from there. */
static bool catch_up(struct reconciler *reconciler, GError **error)
{
	g_autofree char *prefix = key_objects(KIND_OPERATION), *end = store_prefix_end(prefix),
			*root_end = store_prefix_end(KEY_ROOT);
	struct control *control = reconciler->control;
	_cleanup_(store_range_clear) struct store_range range = {};
	int64_t now;

	if (!store_list(control->store, prefix, end, 0, 0, &range, &now, error))
		return false;
	g_hash_table_remove_all(reconciler->running);
	for (guint i = 0; i < range.kvs->len; i++)
		catch_up_operation(reconciler, range.kvs->pdata[i]);
	reconciler->told = now;
	mirror_forget(control->mirror);
	reconciler->watch = store_watch(control->store, KEY_ROOT, root_end, now + 1, on_change, reconciler);
	return true;
}

/* The watch has ended, and the next tick tries again where this fails. */
static void resume(struct reconciler *reconciler)
{
	g_autoptr(GError) failure = NULL;

	reconciler->watch = 0;
	if (!catch_up(reconciler, &failure))
		log_error("reconciler", "operations cannot be read: %s", failure->message);
}

static void on_change(
	const struct store_event *events, size_t n, int64_t revision, int64_t compacted, void *data)
{
	struct reconciler *reconciler = data;
	g_autofree char *prefix = key_objects(KIND_OPERATION);

	if (compacted) {
		resume(reconciler);
	} else {
		mirror_tell(reconciler->control->mirror, events, n, revision);
		reconciler->told = revision;
	}
	for (size_t i = 0; i < n; i++)
		if (g_str_has_prefix(events[i].kv->key, prefix))
			follow_operation(reconciler, &events[i]);
	hosts_touch(reconciler->control);
	reconciler_kick(reconciler->control);
}

static gboolean tick(void *data)
{
	struct reconciler *reconciler = data;
	struct control *control = reconciler->control;

	if (!reconciler->watch)
		resume(reconciler);
	balancers_leave_silent(control);
	reconciler_kick(control);
	return G_SOURCE_CONTINUE;
}

/* ---- forgetting ---- */

struct pruning {
	GPtrArray *old; /* of struct operation */
	guint from;
};

static bool prune_some(struct change *change, void *data, GError **error)
{
	const struct pruning *pruning = data;

	for (guint i = pruning->from; i < MIN(pruning->from + PRUNE_PER_TXN, pruning->old->len); i++)
		change_delete(change, pruning->old->pdata[i]);
	return true;
}

static gboolean prune(void *data)
{
	struct reconciler *reconciler = data;
	g_autoptr(GError) failure = NULL;
	g_autoptr(GPtrArray) all = control_list(reconciler->control, KIND_OPERATION, NULL, &failure);
	g_autoptr(GPtrArray) old = g_ptr_array_new();
	int64_t before = g_get_real_time() - KEEP_US;

	for (guint i = 0; all && i < all->len; i++) {
		struct operation *operation = all->pdata[i];
		if (operation->status.state != OPERATION_RUNNING && operation->status.finished_us < before)
			g_ptr_array_add(old, operation);
	}
	struct pruning pruning = {.old = old};
	for (; !failure && pruning.from < old->len; pruning.from += PRUNE_PER_TXN)
		if (!change_run(reconciler->control->store, prune_some, &pruning, NULL, &failure))
			break;
	if (failure)
		log_warn("reconciler", "old operations are not forgotten: %s", failure->message);
	return G_SOURCE_CONTINUE;
}

/* Nobody reads old versions but watches that lag; kept for ever they would fill the disk, and hold secrets. */
static gboolean compact(void *data)
{
	struct reconciler *reconciler = data;
	g_autoptr(GError) failure = NULL;
	struct store *store = reconciler->control->store;
	int64_t revision;

	if (reconciler->compact_to && !store_compact(store, reconciler->compact_to, &failure))
		log_warn("store", "old versions cannot be forgotten: %s", failure->message);
	if (control_revision(reconciler->control, &revision, NULL))
		reconciler->compact_to = revision;
	return G_SOURCE_CONTINUE;
}

struct reconciler *reconciler_open(struct control *control, GError **error)
{
	struct reconciler *reconciler = g_new0(struct reconciler, 1);

	control->reconciler = reconciler;
	reconciler->control = control;
	reconciler->running = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	if (!catch_up(reconciler, error)) {
		reconciler_close(reconciler);
		return control->reconciler = NULL;
	}
	reconciler->tick = g_timeout_add(TICK_MS, tick, reconciler);
	reconciler->prune = g_timeout_add_seconds(3600, prune, reconciler);
	reconciler->compact = g_timeout_add_seconds(COMPACT_S, compact, reconciler);
	reconciler_kick(control);
	return reconciler;
}

void reconciler_close(struct reconciler *reconciler)
{
	if (!reconciler)
		return;
	if (reconciler->watch)
		store_unwatch(reconciler->control->store, reconciler->watch);
	const guint sources[] = {reconciler->pass, reconciler->tick, reconciler->prune, reconciler->compact};
	for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
		if (sources[i])
			g_source_remove(sources[i]);
	g_list_free_full(reconciler->waiters, (GDestroyNotify)waiter_free);
	g_hash_table_unref(reconciler->running);
	g_free(reconciler);
}

void control_set_listener(struct control *control, control_end_fn fn, void *data)
{
	control->reconciler->ended = fn;
	control->reconciler->ended_data = data;
}

void control_set_reconciler(struct control *control, enum kind kind, control_reconcile_fn fn, void *data)
{
	control->reconciler->hooks[kind] = (struct hook){fn, data};
}

bool reconciler_has(struct control *control, enum kind kind)
{
	return control->reconciler->hooks[kind].fn != NULL;
}
