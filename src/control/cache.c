/* Objects as they were last read. */
#include "control/cache.h"

/* A few kB each; deployments have up to a megabyte. When they are more all are forgotten: to keep count of which are used
 * would cost as much as it saves. */
#define OBJECTS_MAX 8192
#define BYTES_MAX   (64 * 1024 * 1024) /* of their texts */

struct entry {
	struct meta *object; /* Owned */
	gsize bytes; /* of its text */
};

struct cache {
	GHashTable *entries; /* key → struct entry, Owned */
	gsize bytes; /* of all */
};

static void entry_free(void *data)
{
	struct entry *entry = data;

	model_free(entry->object);
	g_free(entry);
}

struct cache *cache_new(void)
{
	struct cache *cache = g_new0(struct cache, 1);

	cache->entries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, entry_free);
	return cache;
}

void cache_free(struct cache *cache)
{
	if (!cache)
		return;
	g_hash_table_unref(cache->entries);
	g_free(cache);
}

/* Takes the object; old: of the same key, or NULL. */
static void keep(
	struct cache *cache, const char *key, struct meta *object, gsize bytes, const struct entry *old)
{
	struct entry *entry = g_new(struct entry, 1);

	cache->bytes -= old ? old->bytes : 0;
	if (g_hash_table_size(cache->entries) >= OBJECTS_MAX || cache->bytes + bytes > BYTES_MAX) {
		g_hash_table_remove_all(cache->entries);
		cache->bytes = 0;
	}
	cache->bytes += bytes;
	*entry = (struct entry){object, bytes};
	g_hash_table_replace(cache->entries, g_strdup(key), entry);
}

void *cache_decode(struct cache *cache, enum kind kind, const struct store_kv *kv, GError **error)
{
	const struct entry *entry = g_hash_table_lookup(cache->entries, kv->key);
	gsize length;
	const char *text = g_bytes_get_data(kv->value, &length);

	if (entry && entry->object->revision == kv->mod_revision)
		return model_copy(entry->object);
	struct meta *object = model_decode(kind, text, length, kv->mod_revision, error);
	if (!object)
		return NULL;
	keep(cache, kv->key, object, length, entry);
	return model_copy(object);
}
