/* A store in memory, for tests and for whoever throws its state away.
 *
 * Every version is kept once, in the log, in order of revision; two trees point into it: all versions of each
 * key, and the newest of each key that is there. Writing cannot fail here, so a transaction that is rolled
 * back has written nothing and there is nothing to undo.
 *
 * One over another store has only what was written to it: of all other keys the store below says what they are, which
 * must not change meanwhile. A key that was deleted stays in the tree of the newest ones, so that it hides the one below.
 */
#include "store/local_priv.h"

#include "base/fault.h"

#include <string.h>

struct version {
	struct store_kv kv; /* without a value: a deletion */
	bool forgotten; /* for the length of a compaction */
};

struct memory {
	struct local local;
	GPtrArray *log; /* Owned, of struct version, in order of revision and of writing */
	GTree *history; /* key (Owned) -> GPtrArray (Owned) of struct version (Borrowed), the oldest first */
	GTree *newest; /* key -> struct version (Borrowed, as its key); no deletions, unless it is over another store */
	struct store *below; /* Borrowed; NULL: it is over none */
	GHashTable *leases; /* id -> GHashTable set of keys (Owned) */
	int64_t last_lease;
};

static struct memory *memory_of(struct local *local)
{
	return (struct memory *)local;
}

static void version_free(void *data)
{
	struct version *version = data;

	g_free(version->kv.key);
	g_clear_pointer(&version->kv.value, g_bytes_unref);
	g_free(version);
}

/* ---- reading ---- */

/* Number of a key's versions that are of `revision` or older. */
static unsigned count_upto(const GPtrArray *versions, int64_t revision)
{
	unsigned low = 0, high = versions->len;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		const struct version *version = versions->pdata[middle];
		if (version->kv.mod_revision <= revision)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A range on its way through both stores, in order of keys. */
struct merge {
	const struct local_query *query;
	struct store_range below; /* what the store below has of the range */
	guint next; /* of those */
	GTreeNode *node; /* of our own */
};

static const char *own_key(const struct merge *merge)
{
	const char *key = merge->node ? g_tree_node_key(merge->node) : NULL;

	return key && store_in_range(merge->query->key, merge->query->end, key) ? key : NULL;
}

/* What is known here of the key: false when it was not written by then. *ret is NULL when it was deleted. */
static bool own_version(const struct merge *merge, const struct store_kv **ret)
{
	const struct version *version = NULL;
	int64_t revision = merge->query->revision;

	if (revision) {
		const GPtrArray *versions = g_tree_node_value(merge->node);
		unsigned n = count_upto(versions, revision);
		version = n ? versions->pdata[n - 1] : NULL;
	} else {
		version = g_tree_node_value(merge->node);
	}
	*ret = version && version->kv.value ? &version->kv : NULL;
	return version != NULL;
}

/* The next key of both. False at the end; *ret is NULL when the key is not there. */
static bool merge_step(struct merge *merge, const struct store_kv **ret)
{
	const GPtrArray *list = merge->below.kvs;
	const struct store_kv *under = list && merge->next < list->len ? list->pdata[merge->next] : NULL;
	const char *own = own_key(merge);
	int order = !own ? 1 : under ? strcmp(own, under->key) : -1;

	*ret = NULL;
	if (!own && !under)
		return false;
	bool known = order <= 0 && own_version(merge, ret);
	if (order >= 0 && !known)
		*ret = under;
	merge->next += order >= 0;
	if (order <= 0)
		merge->node = g_tree_node_next(merge->node);
	return true;
}

static bool memory_range(
	struct local *local, const struct local_query *query, struct store_range *ret, GError **error)
{
	struct memory *memory = memory_of(local);
	GTree *tree = query->revision ? memory->history : memory->newest;
	struct merge merge = {.query = query, .node = g_tree_lower_bound(tree, query->key)};
	const struct store_kv *kv;

	if (memory->below &&
		!store_list(memory->below, query->key, query->end, 0, 0, &merge.below, NULL, error))
		return false;
	while (merge_step(&merge, &kv)) {
		if (!kv)
			continue;
		if (query->limit && ret->kvs->len >= query->limit) {
			ret->more = true;
			break;
		}
		g_ptr_array_add(ret->kvs, store_kv_copy(kv));
	}
	store_range_clear(&merge.below);
	return true;
}

static bool memory_changes(
	struct local *local, int64_t from, unsigned enough, GPtrArray *ret, int64_t *ret_upto, GError **error)
{
	const GPtrArray *log = memory_of(local)->log;

	*ret_upto = local->revision;
	for (unsigned i = count_upto(log, from - 1); i < log->len; i++) {
		const struct version *version = log->pdata[i];
		const struct version *before = i > 0 ? log->pdata[i - 1] : NULL;
		if (ret->len >= enough && before->kv.mod_revision != version->kv.mod_revision) {
			*ret_upto = before->kv.mod_revision;
			break;
		}
		g_ptr_array_add(ret, store_kv_copy(&version->kv));
	}
	return true;
}

/* ---- writing ---- */

static bool memory_begin(struct local *local, GError **error)
{
	return true;
}

static bool memory_commit(struct local *local, GError **error)
{
	return true;
}

static void memory_rollback(struct local *local)
{
}

static void detach(struct memory *memory, const struct version *version)
{
	GHashTable *keys = g_hash_table_lookup(memory->leases, &version->kv.lease);

	if (keys)
		g_hash_table_remove(keys, version->kv.key);
}

static void attach(struct memory *memory, const struct version *version)
{
	GHashTable *keys = g_hash_table_lookup(memory->leases, &version->kv.lease);

	if (keys)
		g_hash_table_add(keys, g_strdup(version->kv.key));
}

static bool memory_write(struct local *local, const struct store_kv *kv, unsigned sub, GError **error)
{
	struct memory *memory = memory_of(local);
	struct version *version = g_new0(struct version, 1);
	const struct version *old = g_tree_lookup(memory->newest, kv->key);
	GPtrArray *versions = g_tree_lookup(memory->history, kv->key);

	version->kv = *kv;
	version->kv.key = g_strdup(kv->key);
	version->kv.value = kv->value ? g_bytes_ref(kv->value) : NULL;
	g_ptr_array_add(memory->log, version);
	if (!versions) {
		versions = g_ptr_array_new();
		g_tree_insert(memory->history, g_strdup(kv->key), versions);
	}
	g_ptr_array_add(versions, version);
	if (old)
		detach(memory, old);
	if (kv->value)
		attach(memory, version);
	if (kv->value || memory->below) {
		g_tree_replace(memory->newest, version->kv.key, version);
	} else {
		g_tree_remove(memory->newest, kv->key);
	}
	return true;
}

/* ---- compaction ---- */

struct compaction {
	int64_t revision;
	bool over; /* deletions hide what is below */
	GPtrArray *gone; /* keys of which nothing is left; Borrowed */
};

/* Marks and drops the versions of one key that no revision from the compacted one on shows. A deletion at
 * just that revision stays: a watch from there must see it. */
static gboolean forget_versions(void *key, void *value, void *data)
{
	struct compaction *compaction = data;
	GPtrArray *versions = value;
	unsigned n = count_upto(versions, compaction->revision);

	if (n == 0)
		return FALSE;
	const struct version *shown = versions->pdata[n - 1];
	if (shown->kv.value || shown->kv.mod_revision == compaction->revision || compaction->over)
		n--;
	for (unsigned i = 0; i < n; i++)
		((struct version *)versions->pdata[i])->forgotten = true;
	if (n > 0)
		g_ptr_array_remove_range(versions, 0, n);
	if (versions->len == 0)
		g_ptr_array_add(compaction->gone, key);
	return FALSE;
}

static bool memory_compact(struct local *local, int64_t revision, GError **error)
{
	struct memory *memory = memory_of(local);
	g_autoptr(GPtrArray) gone = g_ptr_array_new();
	struct compaction compaction = {revision, memory->below != NULL, gone};
	GPtrArray *left = g_ptr_array_new_with_free_func(version_free);

	g_tree_foreach(memory->history, forget_versions, &compaction);
	for (unsigned i = 0; i < gone->len; i++)
		g_tree_remove(memory->history, gone->pdata[i]);
	for (unsigned i = 0; i < memory->log->len; i++) {
		struct version *version = memory->log->pdata[i];
		if (version->forgotten)
			version_free(version);
		else
			g_ptr_array_add(left, version);
	}
	g_ptr_array_set_free_func(memory->log, NULL);
	g_ptr_array_unref(memory->log);
	memory->log = left;
	return true;
}

/* ---- leases ---- */

static bool memory_lease_add(struct local *local, int64_t ttl_s, int64_t *ret_id, GError **error)
{
	struct memory *memory = memory_of(local);
	GHashTable *keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	*ret_id = ++memory->last_lease;
	g_hash_table_insert(memory->leases, g_memdup2(ret_id, sizeof *ret_id), keys);
	return true;
}

static bool memory_lease_drop(struct local *local, int64_t id, GError **error)
{
	g_hash_table_remove(memory_of(local)->leases, &id);
	return true;
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool memory_lease_keys(struct local *local, int64_t id, GPtrArray *ret, GError **error)
{
	GHashTableIter iter;
	void *key;

	g_hash_table_iter_init(&iter, g_hash_table_lookup(memory_of(local)->leases, &id));
	while (g_hash_table_iter_next(&iter, &key, NULL))
		g_ptr_array_add(ret, g_strdup(key));
	g_ptr_array_sort(ret, compare_keys);
	return true;
}

/* ---- life ---- */

static void memory_free(struct local *local)
{
	struct memory *memory = memory_of(local);

	g_tree_unref(memory->newest);
	g_tree_unref(memory->history);
	g_ptr_array_unref(memory->log);
	g_hash_table_unref(memory->leases);
	g_free(memory);
}

static const struct local_storage memory_storage = {
	.range = memory_range,
	.begin = memory_begin,
	.write = memory_write,
	.lease_drop = memory_lease_drop,
	.commit = memory_commit,
	.rollback = memory_rollback,
	.changes = memory_changes,
	.compact = memory_compact,
	.lease_add = memory_lease_add,
	.lease_keys = memory_lease_keys,
	.free = memory_free,
};

static int compare_texts(const void *a, const void *b, void *data)
{
	return strcmp(a, b);
}

static struct memory *memory_new(struct store *below, int64_t revision)
{
	struct memory *memory = g_new0(struct memory, 1);

	memory->log = g_ptr_array_new_with_free_func(version_free);
	memory->history = g_tree_new_full(
		compare_texts, NULL, g_free, (GDestroyNotify)(void (*)(void))g_ptr_array_unref);
	memory->newest = g_tree_new_full(compare_texts, NULL, NULL, NULL);
	memory->leases = g_hash_table_new_full(
		g_int64_hash, g_int64_equal, g_free, (GDestroyNotify)(void (*)(void))g_hash_table_unref);
	memory->below = below;
	memory->local.revision = revision;
	memory->local.compacted = below ? revision : 0;
	local_init(&memory->local, &memory_storage);
	return memory;
}

struct store *store_memory_open(void)
{
	return &memory_new(NULL, 1)->local.store;
}

struct store *store_memory_over(struct store *below, GError **error)
{
	_cleanup_(store_range_clear) struct store_range nothing = {};
	int64_t revision;

	if (!store_list(below, "-", NULL, 0, 0, &nothing, &revision, error))
		return NULL;
	return &memory_new(below, revision)->local.store;
}
