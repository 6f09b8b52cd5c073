/* The store's front: checks what is the same for every engine, then calls the engine. */
#include "store/store_priv.h"

#include "base/fault.h"

#include <string.h>

/* ---- values ---- */

void store_kv_free(struct store_kv *kv)
{
	if (!kv)
		return;
	g_free(kv->key);
	g_clear_pointer(&kv->value, g_bytes_unref);
	g_free(kv);
}

struct store_kv *store_kv_copy(const struct store_kv *kv)
{
	struct store_kv *copy = g_memdup2(kv, sizeof *kv);

	copy->key = g_strdup(kv->key);
	copy->value = kv->value ? g_bytes_ref(kv->value) : NULL;
	return copy;
}

static void kv_free(void *kv)
{
	store_kv_free(kv);
}

void store_range_init(struct store_range *range)
{
	*range = (struct store_range){.kvs = g_ptr_array_new_with_free_func(kv_free)};
}

void store_range_clear(struct store_range *range)
{
	g_clear_pointer(&range->kvs, g_ptr_array_unref);
	range->more = false;
}

static void range_free(void *range)
{
	store_range_clear(range);
	g_free(range);
}

void store_result_init(struct store_result *result)
{
	*result = (struct store_result){.ranges = g_ptr_array_new_with_free_func(range_free)};
}

struct store_range *store_result_add(struct store_result *result)
{
	struct store_range *range = g_new(struct store_range, 1);

	store_range_init(range);
	g_ptr_array_add(result->ranges, range);
	return range;
}

void store_result_clear(struct store_result *result)
{
	g_clear_pointer(&result->ranges, g_ptr_array_unref);
	*result = (struct store_result){};
}

/* The prefix with its last byte that can grow grown by one, and cut there; "" (no end) when none can. */
char *store_prefix_end(const char *prefix)
{
	char *end = g_strdup(prefix);

	for (size_t n = strlen(end); n > 0; n--) {
		unsigned char last = (unsigned char)end[n - 1];
		end[n - 1] = (char)(last + 1);
		if (last < 0xff)
			break;
		end[n - 1] = '\0';
	}
	return end;
}

bool store_in_range(const char *key, const char *end, const char *candidate)
{
	if (!end)
		return strcmp(candidate, key) == 0;
	return strcmp(candidate, key) >= 0 && (!*end || strcmp(candidate, end) < 0);
}

/* ---- checks ---- */

static bool check_key(const char *key, const char *end, GError **error)
{
	return key && (*key || end) ? true : fault_set(error, FAULT_INVALID, "the empty text is no key");
}

static size_t text_bytes(const char *text)
{
	return text ? strlen(text) : 0;
}

static size_t value_bytes(GBytes *value)
{
	return value ? g_bytes_get_size(value) : 0;
}

static bool check_op(const struct store_op *op, GError **error)
{
	switch (op->type) {
	case STORE_PUT:
		if (!check_key(op->key, NULL, error))
			return false;
		if (!op->value)
			return fault_set(error, FAULT_INVALID, "key %s is put without a value", op->key);
		if (op->lease < 0)
			return fault_set(
				error, FAULT_INVALID, "key %s is put with a negative lease", op->key);
		return true;
	case STORE_RANGE:
		if (op->limit < 0)
			return fault_set(error, FAULT_INVALID, "a range has a negative limit");
		return check_key(op->key, op->end, error);
	case STORE_DELETE: return check_key(op->key, op->end, error);
	}
	return fault_set(error, FAULT_INVALID, "there is no operation of type %d", (int)op->type);
}

/* etcd's rule: a key changes at most once at one revision, so that the two together name one version. A
 * second delete is allowed, since it finds nothing. */
static bool check_changed_once(const struct store_op *ops, size_t n, GError **error)
{
	g_autoptr(GHashTable) puts = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GPtrArray) deletes = g_ptr_array_new();

	for (size_t i = 0; i < n; i++)
		if (ops[i].type == STORE_DELETE)
			g_ptr_array_add(deletes, (void *)&ops[i]);
	for (size_t i = 0; i < n; i++) {
		if (ops[i].type != STORE_PUT)
			continue;
		if (!g_hash_table_add(puts, (char *)ops[i].key))
			return fault_set(
				error, FAULT_INVALID, "key %s is put twice in one transaction", ops[i].key);
		for (unsigned d = 0; d < deletes->len; d++) {
			const struct store_op *op = deletes->pdata[d];
			if (store_in_range(op->key, op->end, ops[i].key))
				return fault_set(error, FAULT_INVALID,
					"key %s is put and deleted in one transaction", ops[i].key);
		}
	}
	return true;
}

static bool check_ops(const struct store_op *ops, size_t n, GError **error)
{
	if (n > STORE_TXN_OPS_MAX)
		return fault_set(error, FAULT_INVALID,
			"a transaction has %zu operations, more than %d; split it", n, STORE_TXN_OPS_MAX);
	for (size_t i = 0; i < n; i++)
		if (!check_op(&ops[i], error))
			return false;
	return check_changed_once(ops, n, error);
}

static bool check_compares(const struct store_txn *txn, GError **error)
{
	if (txn->n_compares > STORE_TXN_OPS_MAX)
		return fault_set(error, FAULT_INVALID,
			"a transaction has %zu compares, more than %d; split it", txn->n_compares,
			STORE_TXN_OPS_MAX);
	for (size_t i = 0; i < txn->n_compares; i++) {
		const struct store_compare *compare = &txn->compares[i];
		if (!check_key(compare->key, compare->end, error))
			return false;
		if ((unsigned)compare->target > STORE_VALUE || (unsigned)compare->relation > STORE_GREATER)
			return fault_set(error, FAULT_INVALID, "the compare of key %s is of no known kind",
				compare->key);
		if (compare->target == STORE_VALUE && !compare->value)
			return fault_set(
				error, FAULT_INVALID, "the compare of key %s has no value", compare->key);
	}
	return true;
}

static size_t ops_bytes(const struct store_op *ops, size_t n)
{
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += text_bytes(ops[i].key) + text_bytes(ops[i].end) + value_bytes(ops[i].value);
	return bytes;
}

size_t store_txn_bytes(const struct store_txn *txn)
{
	size_t bytes = ops_bytes(txn->then_ops, txn->n_then) + ops_bytes(txn->else_ops, txn->n_else);

	for (size_t i = 0; i < txn->n_compares; i++) {
		const struct store_compare *compare = &txn->compares[i];
		bytes += text_bytes(compare->key) + text_bytes(compare->end) + value_bytes(compare->value);
	}
	return bytes;
}

static bool check_txn(const struct store_txn *txn, GError **error)
{
	if (!check_compares(txn, error) || !check_ops(txn->then_ops, txn->n_then, error) ||
		!check_ops(txn->else_ops, txn->n_else, error))
		return false;
	size_t bytes = store_txn_bytes(txn);
	if (bytes > STORE_TXN_BYTES_MAX)
		return fault_set(error, FAULT_INVALID, "a transaction has %zu bytes, more than %d; split it",
			bytes, STORE_TXN_BYTES_MAX);
	return true;
}

/* ---- calls ---- */

void store_close(struct store *store)
{
	if (store)
		store->engine->close(store);
}

bool store_list(struct store *store, const char *key, const char *end, int64_t revision, int64_t limit,
	struct store_range *ret, int64_t *ret_revision, GError **error)
{
	int64_t at;

	if (!check_key(key, end, error))
		return false;
	if (revision < 0 || limit < 0)
		return fault_set(error, FAULT_INVALID, "the revision or the limit of a list is negative");
	if (!store->engine->list(store, key, end, revision, limit, ret, &at, error))
		return false;
	if (ret_revision)
		*ret_revision = at;
	return true;
}

bool store_get(struct store *store, const char *key, struct store_kv **ret, GError **error)
{
	_cleanup_(store_range_clear) struct store_range range = {};

	if (!store_list(store, key, NULL, 0, 0, &range, NULL, error))
		return false;
	*ret = range.kvs->len ? g_ptr_array_steal_index(range.kvs, 0) : NULL;
	return true;
}

bool store_commit(struct store *store, const struct store_txn *txn, struct store_result *ret, GError **error)
{
	_cleanup_(store_result_clear) struct store_result result = {};

	if (!check_txn(txn, error) || !store->engine->commit(store, txn, &result, error))
		return false;
	if (ret) {
		*ret = result;
		result.ranges = NULL;
	}
	return true;
}

static bool commit_one(struct store *store, const struct store_op *op, int64_t *ret_revision, GError **error)
{
	const struct store_txn txn = {.then_ops = op, .n_then = 1};
	_cleanup_(store_result_clear) struct store_result result = {};

	if (!store_commit(store, &txn, &result, error))
		return false;
	if (ret_revision)
		*ret_revision = result.revision;
	return true;
}

bool store_put(struct store *store, const char *key, GBytes *value, int64_t *ret_revision, GError **error)
{
	return commit_one(
		store, &(struct store_op){STORE_PUT, .key = key, .value = value}, ret_revision, error);
}

bool store_delete(struct store *store, const char *key, int64_t *ret_revision, GError **error)
{
	return commit_one(store, &(struct store_op){STORE_DELETE, .key = key}, ret_revision, error);
}

uint64_t store_watch(struct store *store, const char *key, const char *end, int64_t from_revision,
	store_watch_fn fn, void *data)
{
	g_assert(key && fn && from_revision >= 0);
	return store->engine->watch(store, key, end, from_revision, fn, data);
}

void store_unwatch(struct store *store, uint64_t id)
{
	store->engine->unwatch(store, id);
}

bool store_compact(struct store *store, int64_t revision, GError **error)
{
	return store->engine->compact(store, revision, error);
}

bool store_lease_grant(struct store *store, int64_t ttl_s, int64_t *ret_id, GError **error)
{
	int64_t id;

	if (ttl_s < 1 || ttl_s > STORE_LEASE_TTL_MAX)
		return fault_set(
			error, FAULT_INVALID, "a lease of %" G_GINT64_FORMAT " s is not possible", ttl_s);
	if (!store->engine->lease_grant(store, ttl_s, &id, error))
		return false;
	if (ret_id)
		*ret_id = id;
	return true;
}

bool store_lease_keep(struct store *store, int64_t id, GError **error)
{
	return store->engine->lease_keep(store, id, error);
}

bool store_lease_revoke(struct store *store, int64_t id, GError **error)
{
	return store->engine->lease_revoke(store, id, error);
}
