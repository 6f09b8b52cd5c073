/* Reading sysfs and proc below a root directory.
 *
 * The root is "" on a real machine and a folder with a made-up tree in tests. Paths are printf formats that
 * start with '/'. What cannot be read counts as absent: devices come and go while we look.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Contents of a file without white space around them; NULL when it cannot be read. Owned by the caller. */
char *sysfs_text(const char *root, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Value of a file that holds one number, decimal or 0x…; `absent` when there is none. */
uint64_t sysfs_number(const char *root, uint64_t absent, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Last component of what a symbolic link points to; NULL when it is no link. Owned by the caller. */
char *sysfs_link_name(const char *root, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Names in a folder that start with `prefix`, sorted; empty when there is no such folder. */
GStrv sysfs_children(const char *root, const char *prefix, const char *format, ...) G_GNUC_PRINTF(3, 4);
