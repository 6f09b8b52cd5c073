/* What the store's tests share. */
#include "store/fixture.h"

#include "base/fault.h"

#include <glib/gstdio.h>

#define WAIT_S 20

static struct store *open_memory(const char *path)
{
	return store_memory_open();
}

static struct store *open_sqlite(const char *path)
{
	g_autoptr(GError) error = NULL;
	struct store *store = store_sqlite_open(path, &error);

	g_assert_no_error(error);
	return store;
}

const struct engine engines[] = {
	{"memory", false, open_memory},
	{"sqlite", true, open_sqlite},
};
const size_t n_engines = G_N_ELEMENTS(engines);

void fixture_set_up(struct fixture *fixture, const void *engine)
{
	fixture->engine = engine;
	fixture->folder = g_dir_make_tmp("store-XXXXXX", NULL);
	fixture->path = g_build_filename(fixture->folder, "store.db", NULL);
	fixture->store = fixture->engine->open(fixture->path);
}

void fixture_tear_down(struct fixture *fixture, const void *engine)
{
	g_autofree char *log = g_strconcat(fixture->path, "-wal", NULL);

	store_close(fixture->store);
	g_unlink(fixture->path);
	g_unlink(log);
	g_assert_cmpint(g_rmdir(fixture->folder), ==, 0);
	g_free(fixture->path);
	g_free(fixture->folder);
}

void fixture_reopen(struct fixture *fixture)
{
	store_close(fixture->store);
	fixture->store = fixture->engine->open(fixture->path);
}

void fixture_add(const char *name, bool lasting, void (*test)(struct fixture *fixture, const void *engine))
{
	for (size_t i = 0; i < n_engines; i++) {
		g_autofree char *path = g_strdup_printf("/store/%s/%s", engines[i].name, name);
		if (engines[i].lasts || !lasting)
			g_test_add(
				path, struct fixture, &engines[i], fixture_set_up, test, fixture_tear_down);
	}
}

GBytes *bytes(const char *text)
{
	return g_bytes_new(text, strlen(text));
}

static int64_t commit_op(struct store *store, const struct store_op *op)
{
	const struct store_txn txn = {.then_ops = op, .n_then = 1};
	_cleanup_(store_result_clear) struct store_result result = {};
	g_autoptr(GError) error = NULL;

	store_commit(store, &txn, &result, &error);
	g_assert_no_error(error);
	return result.revision;
}

int64_t put_leased(struct store *store, const char *key, const char *text, int64_t lease)
{
	g_autoptr(GBytes) value = bytes(text);

	return commit_op(store, &(struct store_op){STORE_PUT, .key = key, .value = value, .lease = lease});
}

int64_t put(struct store *store, const char *key, const char *text)
{
	return put_leased(store, key, text, 0);
}

int64_t delete (struct store *store, const char *key)
{
	return commit_op(store, &(struct store_op){STORE_DELETE, .key = key});
}

int64_t revision_of(struct store *store)
{
	_cleanup_(store_range_clear) struct store_range range = {};
	g_autoptr(GError) error = NULL;
	int64_t revision = -1;

	store_list(store, "x", NULL, 0, 0, &range, &revision, &error);
	g_assert_no_error(error);
	return revision;
}

char *describe(const struct store_range *range)
{
	GString *text = g_string_new(NULL);

	for (unsigned i = 0; i < range->kvs->len; i++) {
		const struct store_kv *kv = range->kvs->pdata[i];
		gsize size;
		const char *value = g_bytes_get_data(kv->value, &size);
		g_string_append_printf(text, "%s%s=%.*s@%d.%d.%d", i ? " " : "", kv->key, (int)size, value,
			(int)kv->create_revision, (int)kv->mod_revision, (int)kv->version);
	}
	if (range->more)
		g_string_append(text, " more");
	return g_string_free(text, FALSE);
}

char *list(struct store *store, const char *key, const char *end, int64_t revision, int64_t limit)
{
	_cleanup_(store_range_clear) struct store_range range = {};
	g_autoptr(GError) error = NULL;

	store_list(store, key, end, revision, limit, &range, NULL, &error);
	g_assert_no_error(error);
	return describe(&range);
}

void settle(void)
{
	while (g_main_context_iteration(NULL, FALSE))
		continue;
}

static gboolean on_tick(void *data)
{
	return G_SOURCE_CONTINUE;
}

void wait_until(bool (*condition)(void *data), void *data)
{
	int64_t deadline = g_get_monotonic_time() + WAIT_S * G_USEC_PER_SEC;
	unsigned tick = g_timeout_add(20, on_tick, NULL);

	while (!condition(data)) {
		g_assert_cmpint(g_get_monotonic_time(), <, deadline);
		g_main_context_iteration(NULL, TRUE);
	}
	g_source_remove(tick);
}
