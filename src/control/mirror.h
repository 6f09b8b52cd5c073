/* Objects as they are in the store, for what is computed from many of them again and again: goals, places, the scheduler.
 * None is copied, and the store is asked only for what may have changed.
 *
 * How it works. Of each object it is known at which revision it was last read, and a watch tells what changes, in order
 * (mirror_tell). One that was read at the revision that is asked for, or later, is as it is; so is any other one when
 * all was told up to that revision: the watch would have named it. Else the store is asked, and when the key's revision
 * is the one that is here, nothing is decoded. A watch that lags, or none, costs time and no truth.
 */
#pragma once
#include "control/cache.h"

struct mirror;

/* Both are Borrowed. */
struct mirror *mirror_new(struct store *store, struct cache *cache);
void mirror_free(struct mirror *mirror);

/* From now on it gives what is there at this revision, which is the store's newest, or later: what comes while one reads. */
void mirror_at(struct mirror *mirror, int64_t revision);
/* Borrowed until mirror_at() with another revision, or the main loop's next turn. NULL with *error; FAULT_NOT_FOUND. */
const void *mirror_get(struct mirror *mirror, enum kind kind, const char *uid, GError **error);

/* The events of one revision, as a watch of KEY_ROOT has them. */
void mirror_tell(struct mirror *mirror, const struct store_event *events, size_t n, int64_t revision);
/* A watch begins: what changed before it is not told. */
void mirror_forget(struct mirror *mirror);
