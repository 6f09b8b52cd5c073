/* Objects as they are in the store, read again only when they may have changed. */
#include "control/mirror.h"

#include "base/fault.h"
#include "control/keys.h"

struct entry {
	struct meta *object; /* Owned */
	int64_t read; /* revision at which it was what the store has; 0: it was changed since */
};

struct mirror {
	struct store *store; /* Borrowed */
	struct cache *cache; /* Borrowed */
	GHashTable *entries; /* Owned: key → struct entry */
	int64_t revision; /* that is asked for */
	int64_t told; /* all changes up to this one were told; 0: none */
};

static void entry_free(void *data)
{
	struct entry *entry = data;

	model_free(entry->object);
	g_free(entry);
}

struct mirror *mirror_new(struct store *store, struct cache *cache)
{
	struct mirror *mirror = g_new0(struct mirror, 1);

	mirror->store = store;
	mirror->cache = cache;
	mirror->entries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, entry_free);
	return mirror;
}

void mirror_free(struct mirror *mirror)
{
	if (!mirror)
		return;
	g_hash_table_unref(mirror->entries);
	g_free(mirror);
}

void mirror_at(struct mirror *mirror, int64_t revision)
{
	mirror->revision = revision;
}

static bool is_current(const struct mirror *mirror, const struct entry *entry)
{
	return entry->read && (entry->read >= mirror->revision || mirror->told >= mirror->revision);
}

/* Takes what the store has under the key; entry NULL: it was not there yet. */
static const void *take(
	struct mirror *mirror, enum kind kind, const struct store_kv *kv, struct entry *entry, GError **error)
{
	if (!entry || entry->object->revision != kv->mod_revision) {
		struct meta *object = cache_decode(mirror->cache, kind, kv, error);
		if (!object)
			return NULL;
		entry = g_new0(struct entry, 1);
		entry->object = object;
		g_hash_table_replace(mirror->entries, g_strdup(kv->key), entry);
	}
	entry->read = mirror->revision;
	return entry->object;
}

const void *mirror_get(struct mirror *mirror, enum kind kind, const char *uid, GError **error)
{
	g_autofree char *key = key_object(kind, uid);
	struct entry *entry = g_hash_table_lookup(mirror->entries, key);
	_cleanup_(store_kv_free) struct store_kv *kv = NULL;

	if (entry && is_current(mirror, entry))
		return entry->object;
	if (!store_get(mirror->store, key, &kv, error))
		return NULL;
	if (kv)
		return take(mirror, kind, kv, entry, error);
	g_hash_table_remove(mirror->entries, key);
	fault_set(error, FAULT_NOT_FOUND, "there is no %s with id %s", kind_info(kind)->title, uid);
	return NULL;
}

void mirror_tell(struct mirror *mirror, const struct store_event *events, size_t n, int64_t revision)
{
	for (size_t i = 0; i < n; i++) {
		struct entry *entry = g_hash_table_lookup(mirror->entries, events[i].kv->key);
		if (entry && events[i].deleted)
			g_hash_table_remove(mirror->entries, events[i].kv->key);
		else if (entry && entry->read < revision)
			entry->read = 0;
	}
	mirror->told = revision;
}

void mirror_forget(struct mirror *mirror)
{
	g_hash_table_remove_all(mirror->entries);
	mirror->told = 0;
}
