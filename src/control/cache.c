/* Objects as they were last read. */
#include "control/cache.h"

/* A few kB each. When they are more all are forgotten: to keep count of which are used would cost as much as it saves. */
#define OBJECTS_MAX 8192

struct cache {
	GHashTable *objects; /* key → object, Owned */
};

struct cache *cache_new(void)
{
	struct cache *cache = g_new0(struct cache, 1);

	cache->objects = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, model_free);
	return cache;
}

void cache_free(struct cache *cache)
{
	if (!cache)
		return;
	g_hash_table_unref(cache->objects);
	g_free(cache);
}

void *cache_decode(struct cache *cache, enum kind kind, const struct store_kv *kv, GError **error)
{
	struct meta *object = g_hash_table_lookup(cache->objects, kv->key);
	gsize length;
	const char *text = g_bytes_get_data(kv->value, &length);

	if (object && object->revision == kv->mod_revision)
		return model_copy(object);
	object = model_decode(kind, text, length, kv->mod_revision, error);
	if (!object)
		return NULL;
	if (g_hash_table_size(cache->objects) >= OBJECTS_MAX)
		g_hash_table_remove_all(cache->objects);
	g_hash_table_replace(cache->objects, g_strdup(kv->key), object);
	return model_copy(object);
}
