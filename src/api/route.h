/* Paths and the patterns that they are matched with. Pure: no HTTP library in here.
 *
 * A path is a list of segments. Empty ones count as not there, so "/a//b/" is "/a/b". Clients of ARM disagree
 * on the case of every fixed word ("resourcegroups", "resourceGroups"), so those are compared without case.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* Segments of an encoded path, each decoded. NULL when an escape is malformed or hides a '/' or a NUL. Owned,
 * free with g_strfreev. */
char **path_split(const char *path);

/* Whether the segments fit a pattern such as "/hosts/{name}". *ret_params gets a table of name → segment
 * ("name" → "web-1"), Owned by the caller; it is left alone when they do not fit. */
bool path_match(const char *pattern, char *const *segments, GHashTable **ret_params);
