/* Makes a small Linux image from this machine's own Debian packages, by dist/image/build.sh. */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* Ids of built images start with it: "sluice-debian12-3c357f0388". The rest stands for all that went in. */
#define IMAGE_BUILD_PREFIX "sluice-debian"

struct image_build {
	const char *image_dir;
	const char *script; /* build.sh; NULL: found, see image_build_run */
	const char *guest_tool; /* the static sluice-guest that is put in; NULL: found */
	bool update; /* update apt's lists first, so that newer packages make a new image */
	bool quiet; /* no progress on standard error */
};

/* Builds (needs root, apt's lists, e2fsprogs, qemu-utils, kmod; about 15 s) or finds that the image is
 * already made from the same inputs (1 s), then sets the aliases (vm/image_alias.h). *ret_id is Owned by the
 * caller. A program that runs from its build folder uses the script of its source tree and the tool that was
 * built with it, an installed one what was installed. */
bool image_build_run(const struct image_build *build, char **ret_id, GError **error);
