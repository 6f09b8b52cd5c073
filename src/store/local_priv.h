/* The part that engines inside this process share: transactions, watches and leases over a place that keeps
 * versions of keys. memory.c and sqlite.c are such places. */
#pragma once
#include "store/store_priv.h"

struct local;

struct local_query {
	const char *key, *end; /* as in store.h */
	int64_t revision; /* 0: newest */
	int64_t limit; /* 0: all */
	bool keys_only; /* values may stay NULL; only with revision 0 */
};

/* What a place that keeps versions does. Arguments have been checked. Failures are the machine's (disk full,
 * a damaged file), never the caller's. */
struct local_storage {
	/* Fills an initialised range, in key order. With revision 0 it sees what the open transaction wrote;
	 * any other revision is neither compacted nor in the future. */
	bool (*range)(struct local *local, const struct local_query *query, struct store_range *ret,
		GError **error);

	/* A transaction is open from begin to commit (also to a commit that fails: then rollback follows) or
	 * to rollback. All its versions are of revision local->revision + 1, and it writes a key at most
	 * once. */
	bool (*begin)(struct local *local, GError **error);
	/* Adds a version; one without a value is a deletion of a key that is there. `sub` counts the versions
	 * of the transaction from 0. A lease in it is there. */
	bool (*write)(struct local *local, const struct store_kv *kv, unsigned sub, GError **error);
	/* Also inside a transaction: the lease is forgotten; no key has it any more. */
	bool (*lease_drop)(struct local *local, int64_t id, GError **error);
	bool (*commit)(struct local *local, GError **error);
	void (*rollback)(struct local *local);

	/* Appends copies of the versions from revision `from` on in order of revision and sub: whole
	 * revisions, and no more of them once there are `enough` versions. ret_upto: last revision that was
	 * looked at. */
	bool (*changes)(struct local *local, int64_t from, unsigned enough, GPtrArray *ret, int64_t *ret_upto,
		GError **error);
	bool (*compact)(struct local *local, int64_t revision, GError **error);

	bool (*lease_add)(struct local *local, int64_t ttl_s, int64_t *ret_id, GError **error);
	/* Appends the keys (owned texts) that have the lease, in order. */
	bool (*lease_keys)(struct local *local, int64_t id, GPtrArray *ret, GError **error);

	void (*free)(struct local *local); /* also the struct itself */
};

/* Watches; see local_watch.c. */
struct local_watches {
	GPtrArray *all; /* Owned, of struct watch, in order of id */
	uint64_t last_id;
	GSource *turn; /* Owned; NULL while every watch has been told all */
	bool delivering;
};

/* Leases; see local_lease.c. */
struct local_leases {
	GHashTable *all; /* Owned, id -> struct lease */
	GSource *timer; /* Owned; ready when the next lease may run out */
};

/* First member of every such engine's own struct. */
struct local {
	struct store store;
	const struct local_storage *storage;
	GMainContext *context; /* Ref: the owner's thread-default one */
	int64_t revision;
	int64_t compacted; /* oldest revision that is left; 0: all are */
	struct local_watches watches;
	struct local_leases leases;
};

/* Prepares an engine that has set its revision and compacted revision. */
void local_init(struct local *local, const struct local_storage *storage);
/* A lease that was kept over a restart: it starts anew with its full ttl. */
void local_restore_lease(struct local *local, int64_t id, int64_t ttl_s);
/* Stops watches and timers; called by store_close before storage->free. */
void local_done(struct local *local);

/* ---- between local*.c ---- */

/* Deletes the lease's keys and the lease, in one transaction. */
bool local_end_lease(struct local *local, int64_t id, GError **error);

void local_watch_init(struct local *local);
void local_watch_done(struct local *local);
uint64_t local_watch_add(struct store *store, const char *key, const char *end, int64_t from_revision,
	store_watch_fn fn, void *data);
void local_watch_remove(struct store *store, uint64_t id);
/* The revision or the compacted revision has grown. */
void local_watch_wake(struct local *local);

void local_lease_init(struct local *local);
void local_lease_done(struct local *local);
bool local_lease_exists(struct local *local, int64_t id);
bool local_lease_grant(struct store *store, int64_t ttl_s, int64_t *ret_id, GError **error);
bool local_lease_keep(struct store *store, int64_t id, GError **error);
bool local_lease_revoke(struct store *store, int64_t id, GError **error);
