/* Which distribution this is. */
#include "guest/os_release.h"

#include "base/sysfs.h"

#include <string.h>

/* The value of a line KEY=VALUE, without the quotes of a shell; NULL: there is none. Owned by the caller. */
static char *value_of(char *const *lines, const char *key)
{
	size_t length = strlen(key);

	for (; *lines; lines++)
		if (g_str_has_prefix(*lines, key) && (*lines)[length] == '=')
			return g_shell_unquote(*lines + length + 1, NULL);
	return NULL;
}

void os_release_read(const char *root, struct os_release *ret)
{
	g_autofree char *own = sysfs_text(root, "/etc/os-release"),
			*text = own ? g_steal_pointer(&own) : sysfs_text(root, "/usr/lib/os-release");
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);

	ret->id = value_of(lines, "ID");
	ret->version = value_of(lines, "VERSION_ID");
	ret->name = value_of(lines, "PRETTY_NAME");
}

void os_release_clear(struct os_release *release)
{
	g_free(release->id);
	g_free(release->version);
	g_free(release->name);
}
