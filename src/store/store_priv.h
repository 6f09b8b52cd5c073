/* What an engine is, and what engines share. */
#pragma once
#include "store/store.h"

/* The contract of store.h, with arguments that store.c has checked; outputs are never NULL. */
struct store_engine {
	bool (*list)(struct store *store, const char *key, const char *end, int64_t revision, int64_t limit,
		struct store_range *ret, int64_t *ret_revision, GError **error);
	bool (*commit)(
		struct store *store, const struct store_txn *txn, struct store_result *ret, GError **error);
	uint64_t (*watch)(struct store *store, const char *key, const char *end, int64_t from_revision,
		store_watch_fn fn, void *data);
	void (*unwatch)(struct store *store, uint64_t id);
	bool (*compact)(struct store *store, int64_t revision, GError **error);
	bool (*lease_grant)(struct store *store, int64_t ttl_s, int64_t *ret_id, GError **error);
	bool (*lease_keep)(struct store *store, int64_t id, GError **error);
	bool (*lease_revoke)(struct store *store, int64_t id, GError **error);
	void (*close)(struct store *store);
};

/* First member of every engine's own struct. */
struct store {
	const struct store_engine *engine;
};

struct store_kv *store_kv_copy(const struct store_kv *kv);

/* An empty answer that owns its keys; store_range_clear. */
void store_range_init(struct store_range *range);
/* An empty answer with room for ranges; store_result_clear. */
void store_result_init(struct store_result *result);
/* Adds an empty range, and returns it (Borrowed). */
struct store_range *store_result_add(struct store_result *result);

/* Whether candidate is in [key, end). */
bool store_in_range(const char *key, const char *end, const char *candidate);
