/* Where things are in the store. */
#include "control/keys.h"

char *key_object(enum kind kind, const char *uid)
{
	return g_strdup_printf(KEY_OBJECTS "%s/%s", kind_info(kind)->name, uid);
}

char *key_objects(enum kind kind)
{
	return g_strdup_printf(KEY_OBJECTS "%s/", kind_info(kind)->name);
}

char *key_names(enum kind kind, const char *parent)
{
	return g_strdup_printf(
		KEY_ROOT "name/%s/%s/", kind_info(kind)->name, parent && *parent ? parent : "-");
}

char *key_name(enum kind kind, const char *parent, const char *name)
{
	g_autofree char *prefix = key_names(kind, parent), *lower = g_ascii_strdown(name, -1);

	return g_strconcat(prefix, lower, NULL);
}

char *key_refs(const char *target)
{
	return g_strdup_printf(KEY_ROOT "ref/%s/", target);
}

char *key_ref(const char *target, const char *source)
{
	return g_strdup_printf(KEY_ROOT "ref/%s/%s", target, source);
}

char *key_pools(const char *pool)
{
	return g_strdup_printf(KEY_ROOT "pool/%s/", pool);
}

char *key_pool(const char *pool, const char *value)
{
	return g_strdup_printf(KEY_ROOT "pool/%s/%s", pool, value);
}

char *key_placements(const char *host)
{
	return host ? g_strdup_printf(KEY_ROOT "placed/%s/", host) : g_strdup(KEY_ROOT "placed/");
}

char *key_placed(const char *host, const char *vm)
{
	return g_strdup_printf(KEY_ROOT "placed/%s/%s", host, vm);
}
