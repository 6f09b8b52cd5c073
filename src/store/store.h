/* The store: etcd's semantics, whatever the engine.
 *
 * Keys are text; values are bytes. One 64-bit revision counts transactions that changed anything, from 1 for
 * an empty store. A transaction compares, then runs one of two lists of operations, all or nothing. Watches
 * deliver every change after a revision, in order. Leases delete their keys when they run out.
 *
 * Every engine refuses what etcd refuses (so that what works embedded works distributed), with FAULT_INVALID:
 * more than STORE_TXN_OPS_MAX compares, or operations in either list; keys, ends and values of one
 * transaction that sum up to more than STORE_TXN_BYTES_MAX; in one list, a key that is put twice, or put and
 * deleted (by a range too); an empty key. Source of the semantics: etcd's API reference (v3.5), KV, Watch and
 * Lease services; limits are etcd's --max-txn-ops default (128) and 1 MiB of its 1.5 MiB request limit.
 *
 * Threads: a store belongs to the thread that opened it, and its watches fire from that thread's default
 * main context, never from within a call. A watch's callback may use the store in every way but closing it.
 *
 * Outputs (ret_...) are set only on success and may be NULL where nobody wants them, except those of
 * store_get and store_list.
 */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define STORE_TXN_OPS_MAX   128
#define STORE_TXN_BYTES_MAX (1024 * 1024)
#define STORE_LEASE_TTL_MAX INT64_C(9000000000) /* etcd's MaxLeaseTTL */

struct store;

/* One key as it was at some revision. Owned by who received it; store_kv_free. */
struct store_kv {
	char *key;
	GBytes *value;
	int64_t create_revision; /* of the transaction that created the key */
	int64_t mod_revision; /* of the transaction that last put it */
	int64_t version; /* number of puts since creation, from 1 */
	int64_t lease; /* 0: none */
};

void store_kv_free(struct store_kv *kv);
CLEANUP_FUNC(struct store_kv *, store_kv_free)

/* A range is [key, end) in the order of bytes; end NULL means the single key, end "" means no end: every key
 * from `key` on. The empty key stands before all others, so ["", "") is the whole store. A range whose end is
 * not after its key is empty. store_prefix_end() gives the end for "all keys with this prefix". */
char *store_prefix_end(const char *prefix);

enum store_target { STORE_VERSION, STORE_CREATE_REVISION, STORE_MOD_REVISION, STORE_VALUE };
enum store_relation { STORE_EQUAL, STORE_NOT_EQUAL, STORE_LESS, STORE_GREATER };

/* True when the relation holds for every key of the range. A range without keys compares as one key with
 * version, create and mod revision 0 (so "create revision == 0" over a prefix means: no key there), except
 * that a STORE_VALUE compare of a missing key is false. */
struct store_compare {
	const char *key; /* Borrowed until the transaction ends, like all pointers here. */
	const char *end;
	enum store_target target;
	enum store_relation relation;
	int64_t number; /* for all targets but STORE_VALUE */
	GBytes *value; /* for STORE_VALUE */
};

/* Operations run in order; a range sees what the operations before it did. */
enum store_op_type { STORE_PUT, STORE_DELETE, STORE_RANGE };

struct store_op {
	enum store_op_type type;
	const char *key;
	const char *end; /* STORE_DELETE and STORE_RANGE */
	GBytes *value; /* STORE_PUT */
	int64_t lease; /* STORE_PUT; FAULT_NOT_FOUND when there is no such lease */
	int64_t limit; /* STORE_RANGE; 0: all */
};

/* Answer of one STORE_RANGE. */
struct store_range {
	GPtrArray *kvs; /* Owned, of struct store_kv, in key order */
	bool more; /* the limit left some out */
};

struct store_result {
	bool succeeded; /* the compares held, the "then" list ran; else the "else" list ran */
	int64_t revision; /* of the store after the transaction */
	GPtrArray *ranges; /* Owned, of struct store_range, one for each STORE_RANGE of the list that ran */
};

void store_result_clear(struct store_result *result);
CLEANUP_CLEAR_FUNC(struct store_result, store_result_clear)

struct store_txn {
	const struct store_compare *compares;
	size_t n_compares;
	const struct store_op *then_ops;
	size_t n_then;
	const struct store_op *else_ops;
	size_t n_else;
};

/* What counts for STORE_TXN_BYTES_MAX. */
size_t store_txn_bytes(const struct store_txn *txn);

/* One change that a watch saw. Borrowed for the length of the callback. */
struct store_event {
	bool deleted; /* kv.value is NULL then and kv.mod_revision the revision of the deletion */
	const struct store_kv *kv;
};

/* Called with the events of one revision (n of them, all matching the watch), in order of revision. When the
 * revisions that the watch still needed were compacted, it is called once with n = 0 and `compacted` set to
 * the oldest revision that is left, and the watch is cancelled: list again and watch from there. */
typedef void (*store_watch_fn)(
	const struct store_event *events, size_t n, int64_t revision, int64_t compacted, void *data);

/* ---- what callers use ---- */

struct store *store_memory_open(void);

/* What `below` (Borrowed) is at this moment, to be changed and thrown away: nothing that is written reaches `below`, which
 * must not be changed while this is open. Revisions go on from there, and what was before counts as compacted; leases
 * and watches are its own. */
struct store *store_memory_over(struct store *below, GError **error);

/* Makes the file (mode 0600) when there is none. What a call has acknowledged survives kill -9 and a power
 * cut. FAULT_UNAVAILABLE when the store is held by another process, FAULT_UNSUPPORTED when a newer version of
 * Sluice wrote it, FAULT_INTERNAL when the file is damaged or cannot be used. */
struct store *store_sqlite_open(const char *path, GError **error);
void store_close(struct store *store);
CLEANUP_FUNC(struct store *, store_close)

/* Newest version of a key; *ret is NULL when there is none. */
bool store_get(struct store *store, const char *key, struct store_kv **ret, GError **error);

/* Keys of [key, end) in order as of `revision` (0: newest), `limit` of them at most (0: all).
 * FAULT_COMPACTED when the revision is gone, FAULT_INVALID when it is in the future. */
bool store_list(struct store *store, const char *key, const char *end, int64_t revision, int64_t limit,
	struct store_range *ret, int64_t *ret_revision, GError **error);
void store_range_clear(struct store_range *range);
CLEANUP_CLEAR_FUNC(struct store_range, store_range_clear)

/* FAULT_INVALID when a limit is passed, FAULT_NOT_FOUND when a put names a lease that is not there; nothing
 * is changed then. A transaction that changes nothing (it only reads, or deletes what is not there) leaves
 * the revision as it is. */
bool store_commit(struct store *store, const struct store_txn *txn, struct store_result *ret, GError **error);

/* Unconditional forms, for tests and tools. */
bool store_put(struct store *store, const char *key, GBytes *value, int64_t *ret_revision, GError **error);
bool store_delete(struct store *store, const char *key, int64_t *ret_revision, GError **error);

/* Delivers changes of [key, end) from `from_revision` on (0: from the next change on; it may be in the past
 * or in the future). Returns an id > 0. */
uint64_t store_watch(struct store *store, const char *key, const char *end, int64_t from_revision,
	store_watch_fn fn, void *data);
/* The callback does not come any more. An id that is gone is ignored. */
void store_unwatch(struct store *store, uint64_t id);

/* Forgets what only revisions before `revision` show: versions replaced by then, and keys deleted before it.
 * The newest version of each key stays. FAULT_COMPACTED when that was done already, FAULT_INVALID when
 * `revision` is in the future. */
bool store_compact(struct store *store, int64_t revision, GError **error);

/* ttl in seconds, 1 to STORE_LEASE_TTL_MAX. Keys put with the lease are deleted, in one transaction, when it
 * runs out or is revoked. Leases survive a restart with their full ttl, as etcd's do after a change of
 * leader. FAULT_NOT_FOUND when there is no such lease (any more). */
bool store_lease_grant(struct store *store, int64_t ttl_s, int64_t *ret_id, GError **error);
bool store_lease_keep(struct store *store, int64_t id, GError **error);
bool store_lease_revoke(struct store *store, int64_t id, GError **error);
