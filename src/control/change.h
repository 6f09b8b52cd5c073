/* One optimistic transaction over objects, names, references and pools.
 *
 * How it works. Everything that is read through a change is guarded: the commit compares the revision that
 * was read (or the absence). Writes are staged, the last one of a key wins. change_commit() does all in one
 * store transaction; when a guard fails, somebody else was faster: FAULT_CONFLICT, and the caller runs its
 * function again on fresh reads (change_run does). Thus checks such as "not in use" or "still free" cannot
 * race. What the subscription has is counted there, too, and held to its quotas (FAULT_QUOTA): see quota.h.
 */
#pragma once
#include "base/cleanup.h"
#include "control/keys.h"
#include "store/store.h"

struct change;

/* Stages everything; false with *error to give up. Run again from the start after a conflict. */
typedef bool (*change_fn)(struct change *change, void *data, GError **error);

/* Runs fn and commits, up to some tens of times. ret_revision (may be NULL): of the store after the commit.
 */
bool change_run(struct store *store, change_fn fn, void *data, int64_t *ret_revision, GError **error);

/* Objects that the change hands out live as long as it does; copy what is to be kept. One object is handed out
 * once: who asks again sees what was done to it. */

/* FAULT_NOT_FOUND when there is none. */
void *change_get(struct change *change, enum kind kind, const char *uid, GError **error);
/* *ret is NULL when there is none (which is guarded, too). parent NULL: kinds without one. */
bool change_find(struct change *change, enum kind kind, const char *parent, const char *name, void **ret,
	GError **error);

/* The one that everything is in. */
struct subscription *change_subscription(struct change *change, GError **error);

/* All of a kind as they are stored, whatever is staged; GPtrArray of objects, released with it. Guarded against any
 * that is put meanwhile, not against deletions. */
GPtrArray *change_list(struct change *change, enum kind kind, GError **error);

/* The transaction must leave that much room, else it is too large. */
void change_reserve(struct change *change, size_t bytes);

/* Stages the object as it is now; the caller keeps it. A new one (meta.revision 0) is guarded by its absence.
 */
void change_put(struct change *change, const void *object);
/* Takes it out, its name too. */
void change_delete(struct change *change, const void *object);
/* Takes a new object, or a new version of one, stages it, and hands it out from then on; the one that was handed out
 * before is freed. */
void change_add(struct change *change, void *object);
/* The name index entry of a new object. */
void change_name(struct change *change, const void *object);

/* References. Deleting a target wants change_unreferenced() first. */
void change_ref(struct change *change, const char *target, const struct meta *source);
void change_unref(struct change *change, const char *target, const char *source);
/* uids of those that refer to it, as a set of text. Not guarded. */
GHashTable *change_refs(struct change *change, const char *target, GError **error);
/* FAULT_IN_USE, naming up to three of those that refer to it, when anything does. */
bool change_unreferenced(struct change *change, const struct meta *target, GError **error);

/* Claims a value of a pool for holder. FAULT_EXISTS when someone holds it. */
bool change_claim(
	struct change *change, const char *pool, const char *value, const char *holder, GError **error);
void change_release(struct change *change, const char *pool, const char *value);
/* Values held, as a set of text. */
GHashTable *change_pool(struct change *change, const char *pool, GError **error);
/* uid of who holds the value; NULL: nobody, or it cannot be read. Not guarded: for messages. Owned by the caller. */
char *change_holder(struct change *change, const char *pool, const char *value);
/* The same as it is stored, guarded against any that is claimed meanwhile. */
GHashTable *change_pool_guarded(struct change *change, const char *pool, GError **error);

void change_place(struct change *change, const char *host, const char *vm);
void change_unplace(struct change *change, const char *host, const char *vm);
/* Whether a VM is placed on the host but for those that the change itself takes away. Not guarded, as below. */
bool change_has_placed(struct change *change, const char *host, bool *ret, GError **error);
/* True when any VM is placed on any host. Not guarded: a VM that comes meanwhile gets the newest goal anyway.
 */
bool change_any_placed(struct change *change, bool *ret, GError **error);
