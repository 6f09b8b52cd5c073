/* Paths and patterns. */
#include "api/route.h"

#include <string.h>

char **path_split(const char *path)
{
	g_autoptr(GStrvBuilder) segments = g_strv_builder_new();
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);

	for (char **part = parts; *part; part++) {
		if (!**part)
			continue;
		g_autofree char *decoded = g_uri_unescape_segment(*part, NULL, "/");
		if (!decoded)
			return NULL;
		g_strv_builder_add(segments, decoded);
	}
	return g_strv_builder_end(segments);
}

/* One segment of a pattern against one of the path. */
static bool match_segment(const char *pattern, size_t length, const char *segment, GHashTable *params)
{
	if (pattern[0] == '{') {
		g_hash_table_insert(params, g_strndup(pattern + 1, length - 2), g_strdup(segment));
		return true;
	}
	return strlen(segment) == length && g_ascii_strncasecmp(pattern, segment, length) == 0;
}

bool path_match(const char *pattern, char *const *segments, GHashTable **ret_params)
{
	g_autoptr(GHashTable) params = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

	while (*pattern == '/' && pattern[1]) {
		size_t length = strcspn(++pattern, "/");
		if (!*segments || !match_segment(pattern, length, *segments, params))
			return false;
		pattern += length;
		segments++;
	}
	if (*segments)
		return false;
	*ret_params = g_steal_pointer(&params);
	return true;
}
