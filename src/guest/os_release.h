/* Which distribution this is: os-release(5). */
#pragma once
#include "base/cleanup.h"

/* All Owned; NULL: it does not say. */
struct os_release {
	char *id, *version; /* ID and VERSION_ID: "debian", "12" */
	char *name; /* PRETTY_NAME */
};

/* root: before /etc and /usr; "" on a real machine. */
void os_release_read(const char *root, struct os_release *ret);
void os_release_clear(struct os_release *release);
CLEANUP_CLEAR_FUNC(struct os_release, os_release_clear)
