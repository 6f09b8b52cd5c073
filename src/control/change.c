/* One optimistic transaction over objects, names, references and pools. */
#include "control/change.h"

#include "base/fault.h"
#include "control/quota.h"

#include <string.h>

#define ATTEMPTS_MAX 64

/* What is staged for one key. */
struct write {
	GBytes *value; /* NULL: delete */
};

struct guard {
	char *key;
	char *end; /* NULL: one key; else: a range */
	int64_t mod_revision; /* of the key; 0 of a range: it must be empty */
	int64_t before; /* > 0: everything in the range must be older than this revision */
};

/* What an object counts for. */
struct counting {
	struct quota_counts was, is;
};

struct change {
	struct store *store; /* Borrowed */
	GHashTable *guards; /* key → struct guard, Owned */
	GHashTable *writes; /* key → struct write, Owned */
	GHashTable *objects; /* key → object handed out, Owned */
	GHashTable *countings; /* key → struct counting, Owned: of objects that were handed out or staged */
	size_t reserved; /* bytes */
};

static void guard_free(void *data)
{
	struct guard *guard = data;

	g_free(guard->key);
	g_free(guard->end);
	g_free(guard);
}

static void write_free(void *data)
{
	struct write *write = data;

	g_clear_pointer(&write->value, g_bytes_unref);
	g_free(write);
}

static struct change *change_new(struct store *store)
{
	struct change *change = g_new0(struct change, 1);

	change->store = store;
	change->guards = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, guard_free);
	change->writes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, write_free);
	change->objects = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, model_free);
	change->countings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return change;
}

static void change_free(struct change *change)
{
	g_hash_table_unref(change->guards);
	g_hash_table_unref(change->writes);
	g_hash_table_unref(change->objects);
	g_hash_table_unref(change->countings);
	g_free(change);
}
CLEANUP_FUNC(struct change *, change_free)

/* The first guard of a key stands: a later read of another revision then fails at commit, as it must. */
static void add_guard(struct change *change, const char *key, const char *end, int64_t mod_revision)
{
	if (g_hash_table_contains(change->guards, key))
		return;
	struct guard *guard = g_new0(struct guard, 1);
	*guard = (struct guard){.key = g_strdup(key), .end = g_strdup(end), .mod_revision = mod_revision};
	g_hash_table_insert(change->guards, guard->key, guard);
}

static void guard_unchanged(struct change *change, const char *prefix, const char *end, int64_t revision)
{
	if (g_hash_table_contains(change->guards, prefix))
		return;
	struct guard *guard = g_new0(struct guard, 1);
	*guard = (struct guard){.key = g_strdup(prefix), .end = g_strdup(end), .before = revision + 1};
	g_hash_table_insert(change->guards, guard->key, guard);
}

static void stage(struct change *change, char *key, GBytes *value)
{
	struct write *write = g_new0(struct write, 1);

	write->value = value;
	g_hash_table_replace(change->writes, key, write);
}

/* Of the object as it is stored. */
static void count_was(struct change *change, const char *key, const void *object)
{
	struct counting *counting = g_new(struct counting, 1);

	counting->was = counting->is = quota_of(object);
	g_hash_table_insert(change->countings, g_strdup(key), counting);
}

/* It will count for that. One that is new, or was not handed out, counted for nothing, or the same, before. */
static void count_is(struct change *change, const char *key, const void *object, bool deleted)
{
	struct counting *counting = g_hash_table_lookup(change->countings, key);

	if (!counting) {
		count_was(change, key, object);
		counting = g_hash_table_lookup(change->countings, key);
		if (!((const struct meta *)object)->revision)
			counting->was = (struct quota_counts){};
	}
	counting->is = deleted ? (struct quota_counts){} : quota_of(object);
}

static GBytes *text_bytes(const char *text)
{
	return g_bytes_new(text, strlen(text));
}

/* ---- reading ---- */

static bool read_guarded(struct change *change, const char *key, struct store_kv **ret, GError **error)
{
	if (!store_get(change->store, key, ret, error))
		return false;
	add_guard(change, key, NULL, *ret ? (*ret)->mod_revision : 0);
	return true;
}

static void *decode_kv(enum kind kind, const struct store_kv *kv, GError **error)
{
	gsize length;
	const char *text = g_bytes_get_data(kv->value, &length);

	return model_decode(kind, text, length, kv->mod_revision, error);
}

void *change_get(struct change *change, enum kind kind, const char *uid, GError **error)
{
	g_autofree char *key = key_object(kind, uid);
	_cleanup_(store_kv_free) struct store_kv *kv = NULL;
	void *object = g_hash_table_lookup(change->objects, key);

	if (object)
		return object;
	if (!read_guarded(change, key, &kv, error))
		return NULL;
	if (!kv) {
		fault_set(error, FAULT_NOT_FOUND, "there is no %s with id %s", kind_info(kind)->title, uid);
		return NULL;
	}
	object = decode_kv(kind, kv, error);
	if (object) {
		count_was(change, key, object);
		g_hash_table_insert(change->objects, g_steal_pointer(&key), object);
	}
	return object;
}

bool change_find(struct change *change, enum kind kind, const char *parent, const char *name, void **ret,
	GError **error)
{
	g_autofree char *key = key_name(kind, parent, name);
	_cleanup_(store_kv_free) struct store_kv *kv = NULL;

	*ret = NULL;
	if (!read_guarded(change, key, &kv, error))
		return false;
	if (!kv)
		return true;
	gsize length;
	const char *text = g_bytes_get_data(kv->value, &length);
	g_autofree char *uid = g_strndup(text, length);
	*ret = change_get(change, kind, uid, error);
	return *ret != NULL;
}

struct subscription *change_subscription(struct change *change, GError **error)
{
	void *subscription;

	if (!change_find(change, KIND_SUBSCRIPTION, NULL, "default", &subscription, error))
		return NULL;
	if (!subscription)
		fault_set(error, FAULT_INTERNAL, "the store has no subscription");
	return subscription;
}

GPtrArray *change_list(struct change *change, enum kind kind, GError **error)
{
	g_autofree char *prefix = key_objects(kind), *end = store_prefix_end(prefix);
	_cleanup_(store_range_clear) struct store_range range = {};
	g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(model_free);
	int64_t revision;

	if (!store_list(change->store, prefix, end, 0, 0, &range, &revision, error))
		return NULL;
	guard_unchanged(change, prefix, end, revision);
	for (guint i = 0; i < range.kvs->len; i++) {
		void *object = decode_kv(kind, range.kvs->pdata[i], error);
		if (!object)
			return NULL;
		g_ptr_array_add(list, object);
	}
	return g_steal_pointer(&list);
}

/* ---- objects ---- */

void change_reserve(struct change *change, size_t bytes)
{
	change->reserved = bytes;
}

void change_put(struct change *change, const void *object)
{
	const struct meta *meta = object;
	char *key = key_object((enum kind)meta->kind, meta->uid), *text = model_encode(object);

	add_guard(change, key, NULL, meta->revision);
	count_is(change, key, object, false);
	stage(change, key, g_bytes_new_with_free_func(text, strlen(text), free, text));
}

void change_add(struct change *change, void *object)
{
	const struct meta *meta = object;

	change_put(change, object);
	if (!meta->revision)
		change_name(change, object);
	g_hash_table_replace(change->objects, key_object((enum kind)meta->kind, meta->uid), object);
}

void change_name(struct change *change, const void *object)
{
	const struct meta *meta = object;
	char *key = key_name((enum kind)meta->kind, meta->parent, meta->name);

	add_guard(change, key, NULL, 0);
	stage(change, key, text_bytes(meta->uid));
}

void change_delete(struct change *change, const void *object)
{
	const struct meta *meta = object;
	char *key = key_object((enum kind)meta->kind, meta->uid);

	add_guard(change, key, NULL, meta->revision);
	count_is(change, key, object, true);
	stage(change, key, NULL);
	if (meta->name)
		stage(change, key_name((enum kind)meta->kind, meta->parent, meta->name), NULL);
}

/* ---- references ---- */

void change_ref(struct change *change, const char *target, const struct meta *source)
{
	stage(change, key_ref(target, source->uid), text_bytes(kind_info((enum kind)source->kind)->name));
}

void change_unref(struct change *change, const char *target, const char *source)
{
	stage(change, key_ref(target, source), NULL);
}

/* The last part of each key, as a set. */
static GHashTable *last_parts(const GPtrArray *kvs)
{
	GHashTable *set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (guint i = 0; i < kvs->len; i++)
		g_hash_table_add(set, g_strdup(strrchr(((struct store_kv *)kvs->pdata[i])->key, '/') + 1));
	return set;
}

GHashTable *change_refs(struct change *change, const char *target, GError **error)
{
	g_autofree char *prefix = key_refs(target), *end = store_prefix_end(prefix);
	_cleanup_(store_range_clear) struct store_range range = {};

	if (!store_list(change->store, prefix, end, 0, 0, &range, NULL, error))
		return NULL;
	return last_parts(range.kvs);
}

static enum kind kind_by_name(const char *name)
{
	for (int kind = KIND_NONE + 1; kind < KIND_COUNT; kind++)
		if (g_str_equal(kind_info(kind)->name, name))
			return kind;
	return KIND_NONE;
}

/* "network interface myNic", for a message; the uid when the object cannot be read. */
static char *describe_source(struct change *change, const struct store_kv *kv)
{
	gsize length;
	const char *text = g_bytes_get_data(kv->value, &length), *uid = strrchr(kv->key, '/') + 1;
	g_autofree char *word = g_strndup(text, length);
	enum kind kind = kind_by_name(word);
	struct meta *meta = kind != KIND_NONE ? change_get(change, kind, uid, NULL) : NULL;

	return g_strdup_printf(
		"%s %s", kind != KIND_NONE ? kind_info(kind)->title : word, meta ? meta->name : uid);
}

bool change_unreferenced(struct change *change, const struct meta *target, GError **error)
{
	g_autofree char *prefix = key_refs(target->uid), *end = store_prefix_end(prefix);
	_cleanup_(store_range_clear) struct store_range range = {};
	g_autoptr(GString) users = g_string_new(NULL);
	unsigned n = 0;

	if (!store_list(change->store, prefix, end, 0, 5, &range, NULL, error))
		return false;
	if (range.kvs->len == 0)
		add_guard(change, prefix, end, 0);
	for (guint i = 0; i < range.kvs->len; i++) {
		const struct store_kv *kv = range.kvs->pdata[i];
		g_autofree char *user = describe_source(change, kv);
		if (n < 3)
			g_string_append_printf(users, "%s%s", n ? ", " : "", user);
		n++;
	}
	if (n == 0)
		return true;
	return fault_set(error, FAULT_IN_USE, "%s %s is in use by %s%s; detach or delete that first",
		kind_info((enum kind)target->kind)->title, target->name, users->str,
		n > 3 ? " and others" : "");
}

/* ---- pools ---- */

bool change_claim(
	struct change *change, const char *pool, const char *value, const char *holder, GError **error)
{
	char *key = key_pool(pool, value);
	_cleanup_(store_kv_free) struct store_kv *kv = NULL;
	const struct write *staged = g_hash_table_lookup(change->writes, key);
	bool released = staged && !staged->value;

	if (!read_guarded(change, key, &kv, error)) {
		g_free(key);
		return false;
	}
	if ((kv && !released) || (staged && staged->value)) {
		g_free(key);
		return fault_set(error, FAULT_EXISTS, "%s is taken already", value);
	}
	stage(change, key, text_bytes(holder));
	return true;
}

void change_release(struct change *change, const char *pool, const char *value)
{
	stage(change, key_pool(pool, value), NULL);
}

GHashTable *change_pool(struct change *change, const char *pool, GError **error)
{
	g_autofree char *prefix = key_pools(pool), *end = store_prefix_end(prefix);
	_cleanup_(store_range_clear) struct store_range range = {};
	GHashTable *held;
	GHashTableIter iter;
	void *key, *value;

	if (!store_list(change->store, prefix, end, 0, 0, &range, NULL, error))
		return NULL;
	held = last_parts(range.kvs);
	g_hash_table_iter_init(&iter, change->writes);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		if (!g_str_has_prefix(key, prefix))
			continue;
		const char *name = strrchr(key, '/') + 1;
		if (((struct write *)value)->value)
			g_hash_table_add(held, g_strdup(name));
		else
			g_hash_table_remove(held, name);
	}
	return held;
}

char *change_holder(struct change *change, const char *pool, const char *value)
{
	g_autofree char *key = key_pool(pool, value);
	_cleanup_(store_kv_free) struct store_kv *kv = NULL;
	gsize length;

	if (!store_get(change->store, key, &kv, NULL) || !kv)
		return NULL;
	const char *text = g_bytes_get_data(kv->value, &length);
	return g_strndup(text, length);
}

GHashTable *change_pool_guarded(struct change *change, const char *pool, GError **error)
{
	g_autofree char *prefix = key_pools(pool), *end = store_prefix_end(prefix);
	_cleanup_(store_range_clear) struct store_range range = {};
	int64_t revision;

	if (!store_list(change->store, prefix, end, 0, 0, &range, &revision, error))
		return NULL;
	guard_unchanged(change, prefix, end, revision);
	return last_parts(range.kvs);
}

/* ---- placement ---- */

void change_place(struct change *change, const char *host, const char *vm)
{
	stage(change, key_placed(host, vm), text_bytes("1"));
}

void change_unplace(struct change *change, const char *host, const char *vm)
{
	stage(change, key_placed(host, vm), NULL);
}

bool change_has_placed(struct change *change, const char *host, bool *ret, GError **error)
{
	g_autofree char *prefix = key_placements(host), *end = store_prefix_end(prefix);
	_cleanup_(store_range_clear) struct store_range range = {};

	if (!store_list(change->store, prefix, end, 0, 0, &range, NULL, error))
		return false;
	*ret = false;
	for (guint i = 0; i < range.kvs->len; i++) {
		const struct store_kv *kv = range.kvs->pdata[i];
		const struct write *staged = g_hash_table_lookup(change->writes, kv->key);
		*ret |= !staged || staged->value;
	}
	return true;
}

bool change_any_placed(struct change *change, bool *ret, GError **error)
{
	g_autofree char *prefix = key_placements(NULL), *end = store_prefix_end(prefix);
	_cleanup_(store_range_clear) struct store_range range = {};

	if (!store_list(change->store, prefix, end, 0, 1, &range, NULL, error))
		return false;
	*ret = range.kvs->len > 0;
	return true;
}

/* ---- commit ---- */

static GArray *compares_of(struct change *change)
{
	GArray *compares = g_array_new(FALSE, TRUE, sizeof(struct store_compare));
	GHashTableIter iter;
	void *value;

	g_hash_table_iter_init(&iter, change->guards);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct guard *guard = value;
		bool empty = guard->end && !guard->before;
		struct store_compare compare = {
			.key = guard->key,
			.end = guard->end,
			.target = empty ? STORE_CREATE_REVISION : STORE_MOD_REVISION,
			.relation = guard->before ? STORE_LESS : STORE_EQUAL,
			.number = guard->before ? guard->before : guard->mod_revision,
		};
		g_array_append_val(compares, compare);
	}
	return compares;
}

static GArray *ops_of(struct change *change)
{
	GArray *ops = g_array_new(FALSE, TRUE, sizeof(struct store_op));
	GHashTableIter iter;
	void *key, *value;

	g_hash_table_iter_init(&iter, change->writes);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		const struct write *write = value;
		struct store_op op = {
			.type = write->value ? STORE_PUT : STORE_DELETE,
			.key = key,
			.value = write->value,
		};
		g_array_append_val(ops, op);
	}
	return ops;
}

/* Stages what the change adds to what the subscription has. */
static bool count(struct change *change, GError **error)
{
	struct quota_counts difference = {};
	GHashTableIter iter;
	void *value;

	g_hash_table_iter_init(&iter, change->countings);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct counting *counting = value;
		quota_add_difference(&difference, &counting->was, &counting->is);
	}
	if (quota_is_zero(&difference))
		return true;
	struct subscription *subscription = change_subscription(change, error);
	if (!subscription || !quota_take(subscription, &difference, error))
		return false;
	change_put(change, subscription);
	return true;
}

/* The largest object that the change writes, decoded, and its bytes. Owned by the caller; NULL when there is none. */
static struct meta *find_largest(const struct change *change, size_t *ret_bytes)
{
	const char *found = NULL, *text = NULL;
	gsize most = 0, length;
	GHashTableIter iter;
	void *key, *value;

	g_hash_table_iter_init(&iter, change->writes);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		const struct write *write = value;
		const char *its = write->value ? g_bytes_get_data(write->value, &length) : NULL;
		if (!its || !g_str_has_prefix(key, KEY_OBJECTS) || length <= most)
			continue;
		found = key;
		text = its;
		most = length;
	}
	g_auto(GStrv) parts = found ? g_strsplit(found + strlen(KEY_OBJECTS), "/", 2) : NULL;
	enum kind kind = parts ? kind_by_name(parts[0]) : KIND_NONE;
	*ret_bytes = most;
	return kind != KIND_NONE ? model_decode(kind, text, most, 0, NULL) : NULL;
}

/* The store's own refusal speaks of keys and transactions, which no user has heard of. */
static bool check_bytes(const struct change *change, const struct store_txn *txn, GError **error)
{
	size_t bytes = store_txn_bytes(txn) + change->reserved, most;
	_cleanup_(model_free) struct meta *largest = NULL;

	if (bytes <= STORE_TXN_BYTES_MAX)
		return true;
	largest = find_largest(change, &most);
	if (!largest)
		return true;
	return fault_set(error, FAULT_INVALID,
		"%s %s is too large to be stored: it has %zu bytes as it is kept, with all that changes "
		"together, now and at its end, %zu, and %d are the most; %s",
		kind_info((enum kind)largest->kind)->title, largest->name, most, bytes, STORE_TXN_BYTES_MAX,
		largest->kind == KIND_DEPLOYMENT
			? "split the template, and deploy its parts one after the other"
			: "make several smaller ones of it");
}

static bool change_commit(struct change *change, int64_t *ret_revision, GError **error)
{
	if (!count(change, error))
		return false;
	g_autoptr(GArray) compares = compares_of(change), ops = ops_of(change);
	_cleanup_(store_result_clear) struct store_result result = {};
	const struct store_txn txn = {
		.compares = (const struct store_compare *)compares->data,
		.n_compares = compares->len,
		.then_ops = (const struct store_op *)ops->data,
		.n_then = ops->len,
	};

	if (!check_bytes(change, &txn, error) || !store_commit(change->store, &txn, &result, error))
		return false;
	if (!result.succeeded)
		return fault_set(
			error, FAULT_CONFLICT, "another request changed the same resources; try again");
	if (ret_revision)
		*ret_revision = result.revision;
	return true;
}

bool change_run(struct store *store, change_fn fn, void *data, int64_t *ret_revision, GError **error)
{
	for (unsigned attempt = 0;; attempt++) {
		_cleanup_(change_free) struct change *change = change_new(store);
		g_autoptr(GError) failure = NULL;

		if (fn(change, data, &failure) && change_commit(change, ret_revision, &failure))
			return true;
		if (!g_error_matches(failure, FAULT, FAULT_CONFLICT) || attempt + 1 == ATTEMPTS_MAX) {
			g_propagate_error(error, g_steal_pointer(&failure));
			return false;
		}
	}
}
