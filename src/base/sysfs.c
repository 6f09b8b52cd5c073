/* Reading sysfs and proc below a root directory. */
#include "base/sysfs.h"

#include <stdlib.h>

static char *path_format(const char *root, const char *format, va_list args) G_GNUC_PRINTF(2, 0);

static char *path_format(const char *root, const char *format, va_list args)
{
	g_autofree char *path = g_strdup_vprintf(format, args);

	return g_strconcat(root, path, NULL);
}

static char *read_text(const char *path)
{
	char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? g_strstrip(text) : NULL;
}

char *sysfs_text(const char *root, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *path = path_format(root, format, args);
	va_end(args);
	return read_text(path);
}

uint64_t sysfs_number(const char *root, uint64_t absent, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *path = path_format(root, format, args);
	va_end(args);

	g_autofree char *text = read_text(path);
	char *end = NULL;
	uint64_t value = text ? g_ascii_strtoull(text, &end, 0) : 0;

	return text && end != text && *end == '\0' ? value : absent;
}

char *sysfs_link_name(const char *root, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *path = path_format(root, format, args);
	va_end(args);

	g_autofree char *target = g_file_read_link(path, NULL);

	return target ? g_path_get_basename(target) : NULL;
}

static int compare_names(const void *a, const void *b)
{
	return g_strcmp0(*(const char *const *)a, *(const char *const *)b);
}

GStrv sysfs_children(const char *root, const char *prefix, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *path = path_format(root, format, args);
	va_end(args);

	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (g_str_has_prefix(name, prefix))
			g_ptr_array_add(names, g_strdup(name));
	g_ptr_array_sort(names, compare_names);
	g_ptr_array_add(names, NULL);
	return (GStrv)g_ptr_array_steal(names, NULL);
}
