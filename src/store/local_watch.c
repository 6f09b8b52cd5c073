/* Delivery of changes to watches.
 *
 * How it works: every watch has the next revision that it has not been told. A commit only wakes an idle
 * source; its turn reads the changes since the watch that is furthest behind, once for all watches, and gives
 * each watch what it lacks. A watch from the past is thereby nothing special, a watch costs nothing but
 * comparisons of keys, and nothing is kept in memory between a commit and its delivery.
 *
 * A turn reads about TURN_VERSIONS versions, so a watch that starts far back does not hold up the main loop.
 *
 * Callbacks may add and remove watches, commit and compact. Removal during a turn only marks the watch;
 * watches that were added during a turn wait for the next one, since the turn may have passed their revision.
 *
 * When the changes cannot be read, that is logged and tried again every RETRY_MS: a watch never skips a
 * change.
 */
#include "store/local_priv.h"

#include "base/log.h"

#define TURN_VERSIONS 512
#define RETRY_MS      1000

struct watch {
	uint64_t id;
	char *key, *end;
	int64_t next; /* first revision that it has not been told */
	store_watch_fn fn;
	void *data; /* Borrowed */
	bool removed;
};

static void watch_free(void *data)
{
	struct watch *watch = data;

	g_free(watch->key);
	g_free(watch->end);
	g_free(watch);
}

void local_watch_init(struct local *local)
{
	local->watches.all = g_ptr_array_new_with_free_func(watch_free);
}

static void drop_turn(struct local_watches *watches)
{
	if (!watches->turn)
		return;
	g_source_destroy(watches->turn);
	g_clear_pointer(&watches->turn, g_source_unref);
}

void local_watch_done(struct local *local)
{
	drop_turn(&local->watches);
	g_ptr_array_unref(local->watches.all);
}

static bool is_behind(const struct local *local, const struct watch *watch)
{
	return !watch->removed && (watch->next <= local->revision || watch->next < local->compacted);
}

static bool any_behind(const struct local *local)
{
	for (unsigned i = 0; i < local->watches.all->len; i++)
		if (is_behind(local, local->watches.all->pdata[i]))
			return true;
	return false;
}

/* ---- one turn ---- */

static void tell_compacted(struct local *local, unsigned n_watches)
{
	for (unsigned i = 0; i < n_watches; i++) {
		struct watch *watch = local->watches.all->pdata[i];
		if (watch->removed || watch->next >= local->compacted)
			continue;
		watch->removed = true;
		watch->fn(NULL, 0, local->revision, local->compacted, watch->data);
	}
}

/* Tells one watch what it has not been told of the n versions, which are one revision. */
static void tell(struct watch *watch, struct store_kv *const *versions, unsigned n, int64_t revision)
{
	if (watch->removed || watch->next > revision)
		return;
	g_autoptr(GArray) events = g_array_new(FALSE, FALSE, sizeof(struct store_event));
	for (unsigned i = 0; i < n; i++) {
		struct store_event event = {.deleted = !versions[i]->value, .kv = versions[i]};
		if (store_in_range(watch->key, watch->end, versions[i]->key))
			g_array_append_val(events, event);
	}
	watch->next = revision + 1;
	if (events->len)
		watch->fn((const struct store_event *)(void *)events->data, events->len, revision, 0,
			watch->data);
}

/* Tells the first n_watches watches the versions, revision by revision. */
static void tell_all(struct local *local, unsigned n_watches, const GPtrArray *versions)
{
	struct store_kv *const *at = (struct store_kv *const *)versions->pdata;
	struct store_kv *const *end = at + versions->len;

	while (at < end) {
		struct store_kv *const *next = at;
		while (next < end && (*next)->mod_revision == (*at)->mod_revision)
			next++;
		for (unsigned i = 0; i < n_watches; i++)
			tell(local->watches.all->pdata[i], at, (unsigned)(next - at), (*at)->mod_revision);
		at = next;
	}
}

static int64_t furthest_behind(const struct local *local, unsigned n_watches)
{
	int64_t from = INT64_MAX;

	for (unsigned i = 0; i < n_watches; i++) {
		const struct watch *watch = local->watches.all->pdata[i];
		if (!watch->removed)
			from = MIN(from, watch->next);
	}
	return from;
}

/* False when the changes cannot be read. */
static bool deliver(struct local *local)
{
	unsigned n_watches = local->watches.all->len;
	g_autoptr(GPtrArray) versions = g_ptr_array_new_with_free_func((GDestroyNotify)store_kv_free);
	g_autoptr(GError) error = NULL;
	int64_t upto;

	tell_compacted(local, n_watches);
	int64_t from = furthest_behind(local, n_watches);
	if (from > local->revision)
		return true;
	if (!local->storage->changes(local, from, TURN_VERSIONS, versions, &upto, &error)) {
		log_error("store", "watches wait: %s", error->message);
		return false;
	}
	tell_all(local, n_watches, versions);
	for (unsigned i = 0; i < n_watches; i++) {
		struct watch *watch = local->watches.all->pdata[i];
		watch->next = MAX(watch->next, upto + 1);
	}
	return true;
}

static void free_removed(GPtrArray *watches)
{
	for (unsigned i = watches->len; i > 0; i--) {
		const struct watch *watch = watches->pdata[i - 1];
		if (watch->removed)
			g_ptr_array_remove_index(watches, i - 1);
	}
}

static void plan_turn(struct local *local, GSource *source);

static gboolean on_turn(void *data)
{
	struct local *local = data;

	local->watches.delivering = true;
	bool ok = deliver(local);
	local->watches.delivering = false;
	free_removed(local->watches.all);
	if (ok && any_behind(local))
		return G_SOURCE_CONTINUE;
	drop_turn(&local->watches);
	if (!ok)
		plan_turn(local, g_timeout_source_new(RETRY_MS));
	return G_SOURCE_REMOVE;
}

static void plan_turn(struct local *local, GSource *source)
{
	local->watches.turn = source; /* takes the reference */
	g_source_set_priority(source, G_PRIORITY_DEFAULT); /* an idle source's own would starve under load */
	g_source_set_callback(source, on_turn, local, NULL);
	g_source_attach(source, local->context);
}

void local_watch_wake(struct local *local)
{
	if (!local->watches.turn && any_behind(local))
		plan_turn(local, g_idle_source_new());
}

/* ---- adding and removing ---- */

uint64_t local_watch_add(struct store *store, const char *key, const char *end, int64_t from_revision,
	store_watch_fn fn, void *data)
{
	struct local *local = (struct local *)store;
	struct watch *watch = g_new0(struct watch, 1);

	watch->id = ++local->watches.last_id;
	watch->key = g_strdup(key);
	watch->end = g_strdup(end);
	watch->next = from_revision ? from_revision : local->revision + 1;
	watch->fn = fn;
	watch->data = data;
	g_ptr_array_add(local->watches.all, watch);
	local_watch_wake(local);
	return watch->id;
}

void local_watch_remove(struct store *store, uint64_t id)
{
	struct local *local = (struct local *)store;

	for (unsigned i = 0; i < local->watches.all->len; i++) {
		struct watch *watch = local->watches.all->pdata[i];
		if (watch->id != id)
			continue;
		watch->removed = true;
		if (!local->watches.delivering)
			g_ptr_array_remove_index(local->watches.all, i);
		return;
	}
}
