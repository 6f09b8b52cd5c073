/* Leases: who holds one, and the timer that ends those that ran out.
 *
 * Deadlines are of the monotonic clock and live in memory only: keeping a lease writes nothing. The one timer
 * is set to the earliest deadline when leases come and when it fires; a lease that was kept since then makes
 * it fire early, which is harmless. A lease that cannot be ended (disk full) is tried again after RETRY_US.
 */
#include "store/local_priv.h"

#include "base/fault.h"
#include "base/log.h"

#define RETRY_US (1 * G_USEC_PER_SEC)

struct lease {
	int64_t id;
	int64_t ttl_s;
	int64_t deadline_us; /* of g_get_monotonic_time() */
};

static gboolean timer_dispatch(GSource *source, GSourceFunc callback, void *data)
{
	return callback(data);
}

static void set_timer(struct local *local)
{
	GHashTableIter iter;
	void *value;
	int64_t earliest = INT64_MAX;

	g_hash_table_iter_init(&iter, local->leases.all);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		earliest = MIN(earliest, ((struct lease *)value)->deadline_us);
	g_source_set_ready_time(local->leases.timer, earliest == INT64_MAX ? -1 : earliest);
}

static void renew(struct lease *lease)
{
	lease->deadline_us = g_get_monotonic_time() + lease->ttl_s * G_USEC_PER_SEC;
}

static int compare_ids(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* The due leases' ids, the oldest lease first. */
static GArray *find_due(struct local *local)
{
	GArray *due = g_array_new(FALSE, FALSE, sizeof(int64_t));
	int64_t now = g_get_monotonic_time();
	GHashTableIter iter;
	void *value;

	g_hash_table_iter_init(&iter, local->leases.all);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct lease *lease = value;
		if (lease->deadline_us <= now)
			g_array_append_val(due, lease->id);
	}
	g_array_sort(due, compare_ids);
	return due;
}

static gboolean on_timer(void *data)
{
	struct local *local = data;
	g_autoptr(GArray) due = find_due(local);

	for (unsigned i = 0; i < due->len; i++) {
		g_autoptr(GError) error = NULL;
		int64_t id = g_array_index(due, int64_t, i);
		if (local_lease_revoke(&local->store, id, &error))
			continue;
		struct lease *lease = g_hash_table_lookup(local->leases.all, &id);
		lease->deadline_us = g_get_monotonic_time() + RETRY_US;
		log_error("store", "lease %" G_GINT64_FORMAT " ran out but stays: %s", id, error->message);
	}
	set_timer(local);
	return G_SOURCE_CONTINUE;
}

void local_lease_init(struct local *local)
{
	static GSourceFuncs functions = {.dispatch = timer_dispatch};

	local->leases.all = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
	local->leases.timer = g_source_new(&functions, sizeof(GSource));
	g_source_set_callback(local->leases.timer, on_timer, local, NULL);
	g_source_attach(local->leases.timer, local->context);
}

void local_lease_done(struct local *local)
{
	g_source_destroy(local->leases.timer);
	g_source_unref(local->leases.timer);
	g_hash_table_unref(local->leases.all);
}

void local_restore_lease(struct local *local, int64_t id, int64_t ttl_s)
{
	struct lease *lease = g_new0(struct lease, 1);

	lease->id = id;
	lease->ttl_s = ttl_s;
	renew(lease);
	g_hash_table_insert(local->leases.all, &lease->id, lease);
	int64_t ready = g_source_get_ready_time(local->leases.timer);
	if (ready < 0 || lease->deadline_us < ready)
		g_source_set_ready_time(local->leases.timer, lease->deadline_us);
}

bool local_lease_exists(struct local *local, int64_t id)
{
	return g_hash_table_contains(local->leases.all, &id);
}

static bool not_found(int64_t id, GError **error)
{
	return fault_set(error, FAULT_NOT_FOUND, "there is no lease %" G_GINT64_FORMAT " (any more)", id);
}

bool local_lease_grant(struct store *store, int64_t ttl_s, int64_t *ret_id, GError **error)
{
	struct local *local = (struct local *)store;

	if (!local->storage->lease_add(local, ttl_s, ret_id, error))
		return false;
	local_restore_lease(local, *ret_id, ttl_s);
	return true;
}

bool local_lease_keep(struct store *store, int64_t id, GError **error)
{
	struct local *local = (struct local *)store;
	struct lease *lease = g_hash_table_lookup(local->leases.all, &id);

	if (!lease)
		return not_found(id, error);
	renew(lease);
	return true;
}

bool local_lease_revoke(struct store *store, int64_t id, GError **error)
{
	struct local *local = (struct local *)store;

	if (!local_lease_exists(local, id))
		return not_found(id, error);
	if (!local_end_lease(local, id, error))
		return false;
	g_hash_table_remove(local->leases.all, &id);
	return true;
}
