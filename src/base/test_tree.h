/* For tests: a made-up tree of files, as /sys and /proc below a root of our own (base/sysfs.h). */
#pragma once
#include "base/cleanup.h"

#include <glib.h>

struct tree {
	char *root; /* Owned; a folder for this test alone */
};

struct tree *tree_new(void);
/* Removes all of it. */
void tree_free(struct tree *tree);
CLEANUP_FUNC(struct tree *, tree_free)

/* Each makes the folders above. Paths are printf formats below the root: "sys/class/net/%s/address". */
void tree_write(const struct tree *tree, const char *text, const char *format, ...) G_GNUC_PRINTF(3, 4);
void tree_write_bytes(const struct tree *tree, const void *bytes, size_t length, const char *format, ...)
	G_GNUC_PRINTF(4, 5);
void tree_link(const struct tree *tree, const char *target, const char *format, ...) G_GNUC_PRINTF(3, 4);
void tree_remove(const struct tree *tree, const char *format, ...) G_GNUC_PRINTF(2, 3);
