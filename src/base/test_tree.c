/* For tests: a made-up tree of files. */
#include "base/test_tree.h"

#include <ftw.h>
#include <glib/gstdio.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

struct tree *tree_new(void)
{
	struct tree *tree = g_new0(struct tree, 1);

	tree->root = g_dir_make_tmp("tree-XXXXXX", NULL);
	g_assert_nonnull(tree->root);
	return tree;
}

void tree_free(struct tree *tree)
{
	nftw(tree->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	g_free(tree->root);
	g_free(tree);
}

/* Full path of a printf format, its folder made. */
static char *full_path(const struct tree *tree, const char *format, va_list args) G_GNUC_PRINTF(2, 0);

static char *full_path(const struct tree *tree, const char *format, va_list args)
{
	g_autofree char *path = g_strdup_vprintf(format, args);
	char *full = g_build_filename(tree->root, path, NULL);
	g_autofree char *folder = g_path_get_dirname(full);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
	return full;
}

void tree_write(const struct tree *tree, const char *text, const char *format, ...)
{
	g_autofree char *line = g_strconcat(text, "\n", NULL);
	va_list args;

	va_start(args, format);
	g_autofree char *full = full_path(tree, format, args);
	va_end(args);
	g_assert_true(g_file_set_contents(full, line, -1, NULL));
}

void tree_write_bytes(const struct tree *tree, const void *bytes, size_t length, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *full = full_path(tree, format, args);
	va_end(args);
	g_assert_true(g_file_set_contents(full, bytes, (gssize)length, NULL));
}

void tree_link(const struct tree *tree, const char *target, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *full = full_path(tree, format, args);
	va_end(args);
	g_assert_cmpint(symlink(target, full), ==, 0);
}

void tree_remove(const struct tree *tree, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *full = full_path(tree, format, args);
	va_end(args);
	g_assert_cmpint(nftw(full, remove_entry, 16, FTW_DEPTH | FTW_PHYS), ==, 0);
}
