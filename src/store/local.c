/* Transactions over a place that keeps versions of keys.
 *
 * One thread, so a transaction is alone: compares need no protection. The storage's transaction is opened
 * only when the list that runs may change something, so a compare that fails or a list that only reads costs
 * no write. It ends in a commit only when something was changed, and then the revision grows by one.
 */
#include "store/local_priv.h"

#include "base/fault.h"

#define REVISION "%" G_GINT64_FORMAT

/* A storage transaction under way. */
struct change {
	struct local *local; /* Borrowed */
	int64_t revision; /* of all its versions */
	unsigned n; /* versions written */
};

static struct local *local_of(struct store *store)
{
	return (struct local *)store;
}

static bool local_list(struct store *store, const char *key, const char *end, int64_t revision, int64_t limit,
	struct store_range *ret, int64_t *ret_revision, GError **error)
{
	struct local *local = local_of(store);
	const struct local_query query = {
		key, end, .revision = revision == local->revision ? 0 : revision, .limit = limit};
	struct store_range range;

	if (revision > local->revision)
		return fault_set(error, FAULT_INVALID,
			"revision " REVISION " is in the future; the newest is " REVISION, revision,
			local->revision);
	if (revision && revision < local->compacted)
		return fault_set(error, FAULT_COMPACTED,
			"revision " REVISION " was compacted; the oldest left is " REVISION ": list again",
			revision, local->compacted);
	store_range_init(&range);
	if (!local->storage->range(local, &query, &range, error)) {
		store_range_clear(&range);
		return false;
	}
	*ret = range;
	*ret_revision = local->revision;
	return true;
}

/* ---- compares ---- */

static int compare_numbers(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static bool relation_holds(enum store_relation relation, int order)
{
	switch (relation) {
	case STORE_EQUAL: return order == 0;
	case STORE_NOT_EQUAL: return order != 0;
	case STORE_LESS: return order < 0;
	case STORE_GREATER: return order > 0;
	}
	return false;
}

static bool holds_for(const struct store_compare *compare, const struct store_kv *kv)
{
	int order = 0;

	switch (compare->target) {
	case STORE_VERSION: order = compare_numbers(kv->version, compare->number); break;
	case STORE_CREATE_REVISION: order = compare_numbers(kv->create_revision, compare->number); break;
	case STORE_MOD_REVISION: order = compare_numbers(kv->mod_revision, compare->number); break;
	case STORE_VALUE:
		if (!kv->value)
			return false;
		order = g_bytes_compare(kv->value, compare->value);
		break;
	}
	return relation_holds(compare->relation, order);
}

static bool compare_holds(struct local *local, const struct store_compare *compare, bool *ret, GError **error)
{
	static const struct store_kv missing;
	const struct local_query query = {
		compare->key, compare->end, .keys_only = compare->target != STORE_VALUE};
	_cleanup_(store_range_clear) struct store_range range;

	store_range_init(&range);
	if (!local->storage->range(local, &query, &range, error))
		return false;
	*ret = range.kvs->len > 0 || holds_for(compare, &missing);
	for (unsigned i = 0; *ret && i < range.kvs->len; i++)
		*ret = holds_for(compare, range.kvs->pdata[i]);
	return true;
}

static bool all_hold(struct local *local, const struct store_txn *txn, bool *ret, GError **error)
{
	*ret = true;
	for (size_t i = 0; *ret && i < txn->n_compares; i++)
		if (!compare_holds(local, &txn->compares[i], ret, error))
			return false;
	return true;
}

/* ---- operations ---- */

static bool put(struct change *change, const struct store_op *op, GError **error)
{
	struct local *local = change->local;
	const struct local_query query = {op->key, NULL, .keys_only = true};
	struct store_kv kv = {(char *)op->key, op->value, change->revision, change->revision, 1, op->lease};
	_cleanup_(store_range_clear) struct store_range range;

	store_range_init(&range);
	if (!local->storage->range(local, &query, &range, error))
		return false;
	if (range.kvs->len) {
		const struct store_kv *old = range.kvs->pdata[0];
		kv.create_revision = old->create_revision;
		kv.version = old->version + 1;
	}
	return local->storage->write(local, &kv, change->n++, error);
}

static bool delete_key(struct change *change, const char *key, GError **error)
{
	const struct store_kv kv = {.key = (char *)key, .mod_revision = change->revision};

	return change->local->storage->write(change->local, &kv, change->n++, error);
}

static bool delete_range(struct change *change, const struct store_op *op, GError **error)
{
	const struct local_query query = {op->key, op->end, .keys_only = true};
	_cleanup_(store_range_clear) struct store_range range;

	store_range_init(&range);
	if (!change->local->storage->range(change->local, &query, &range, error))
		return false;
	for (unsigned i = 0; i < range.kvs->len; i++) {
		const struct store_kv *kv = range.kvs->pdata[i];
		if (!delete_key(change, kv->key, error))
			return false;
	}
	return true;
}

static bool run_op(
	struct change *change, const struct store_op *op, struct store_result *result, GError **error)
{
	const struct local_query query = {op->key, op->end, .limit = op->limit};

	switch (op->type) {
	case STORE_PUT: return put(change, op, error);
	case STORE_DELETE: return delete_range(change, op, error);
	case STORE_RANGE:
		return change->local->storage->range(change->local, &query, store_result_add(result), error);
	}
	return fault_set(error, FAULT_INTERNAL, "there is no operation of type %d", (int)op->type);
}

/* Whether the list may change something. Leases that it names must be there. */
static bool check_list(
	struct local *local, const struct store_op *ops, size_t n, bool *ret_writes, GError **error)
{
	*ret_writes = false;
	for (size_t i = 0; i < n; i++) {
		*ret_writes |= ops[i].type != STORE_RANGE;
		if (ops[i].type == STORE_PUT && ops[i].lease && !local_lease_exists(local, ops[i].lease))
			return fault_set(error, FAULT_NOT_FOUND,
				"key %s cannot be put: there is no lease %" G_GINT64_FORMAT " (any more)",
				ops[i].key, ops[i].lease);
	}
	return true;
}

/* ---- changes ---- */

static bool change_begin(struct change *change, struct local *local, GError **error)
{
	*change = (struct change){local, local->revision + 1, 0};
	return local->storage->begin(local, error);
}

static bool change_commit(struct change *change, GError **error)
{
	struct local *local = change->local;

	if (!local->storage->commit(local, error))
		return false;
	if (change->n) {
		local->revision = change->revision;
		local_watch_wake(local);
	}
	return true;
}

static bool run_list(struct local *local, const struct store_op *ops, size_t n, struct store_result *result,
	GError **error)
{
	struct change change = {.local = local};
	bool writes, ok = true;

	if (!check_list(local, ops, n, &writes, error) || (writes && !change_begin(&change, local, error)))
		return false;
	for (size_t i = 0; ok && i < n; i++)
		ok = run_op(&change, &ops[i], result, error);
	if (ok && change.n && change_commit(&change, error))
		return true;
	if (writes)
		local->storage->rollback(local);
	return ok && !change.n;
}

static bool local_commit(
	struct store *store, const struct store_txn *txn, struct store_result *ret, GError **error)
{
	struct local *local = local_of(store);
	_cleanup_(store_result_clear) struct store_result result;
	bool ok;

	store_result_init(&result);
	if (!all_hold(local, txn, &result.succeeded, error))
		return false;
	if (result.succeeded)
		ok = run_list(local, txn->then_ops, txn->n_then, &result, error);
	else
		ok = run_list(local, txn->else_ops, txn->n_else, &result, error);
	if (!ok)
		return false;
	result.revision = local->revision;
	*ret = result;
	result.ranges = NULL;
	return true;
}

bool local_end_lease(struct local *local, int64_t id, GError **error)
{
	g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
	struct change change;
	bool ok;

	if (!local->storage->lease_keys(local, id, keys, error) || !change_begin(&change, local, error))
		return false;
	ok = true;
	for (unsigned i = 0; ok && i < keys->len; i++)
		ok = delete_key(&change, keys->pdata[i], error);
	if (ok && local->storage->lease_drop(local, id, error) && change_commit(&change, error))
		return true;
	local->storage->rollback(local);
	return false;
}

static bool local_compact(struct store *store, int64_t revision, GError **error)
{
	struct local *local = local_of(store);

	if (revision < 1 || revision > local->revision)
		return fault_set(error, FAULT_INVALID,
			"cannot compact to revision " REVISION ": the newest is " REVISION, revision,
			local->revision);
	if (revision <= local->compacted)
		return fault_set(
			error, FAULT_COMPACTED, "revision " REVISION " was compacted before", revision);
	if (!local->storage->compact(local, revision, error))
		return false;
	local->compacted = revision;
	local_watch_wake(local);
	return true;
}

/* ---- life ---- */

static void local_close(struct store *store)
{
	struct local *local = local_of(store);

	local_done(local);
	local->storage->free(local);
}

static const struct store_engine local_engine = {
	.list = local_list,
	.commit = local_commit,
	.watch = local_watch_add,
	.unwatch = local_watch_remove,
	.compact = local_compact,
	.lease_grant = local_lease_grant,
	.lease_keep = local_lease_keep,
	.lease_revoke = local_lease_revoke,
	.close = local_close,
};

void local_init(struct local *local, const struct local_storage *storage)
{
	local->store.engine = &local_engine;
	local->storage = storage;
	local->context = g_main_context_ref_thread_default();
	local_watch_init(local);
	local_lease_init(local);
}

void local_done(struct local *local)
{
	local_lease_done(local);
	local_watch_done(local);
	g_main_context_unref(local->context);
}
