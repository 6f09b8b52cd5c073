/* Objects as they were last read: what is read again and again (by goals, by the scheduler, by lists) is decoded once for
 * each of its versions. The store is still asked each time, so nothing old is ever given out: a key's revision says
 * whether what was decoded is what is there.
 */
#pragma once
#include "base/cleanup.h"
#include "model/model.h"
#include "store/store.h"

struct cache;

struct cache *cache_new(void);
void cache_free(struct cache *cache);
CLEANUP_FUNC(struct cache *, cache_free)

/* A copy of the object that is stored under the key. Owned by the caller; NULL with *error. */
void *cache_decode(struct cache *cache, enum kind kind, const struct store_kv *kv, GError **error);
