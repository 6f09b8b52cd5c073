/* Aliases: the names by which clients ask for images (az's `--image UbuntuLTS`), and what stands behind them.
 *
 *     {"UbuntuLTS": {"publisher": "Canonical", "offer": "UbuntuServer", "sku": "18.04-LTS",
 *                    "version": "1.0.20261116", "architecture": "x64", "image": "sluice-debian12-3c357f0388",
 *                    "accelerated": true, "description": "Not Ubuntu: ..."}}
 *
 * The file is IMAGE_DIR/aliases.json. It belongs to the operator: `image build` writes it when it is missing,
 * and later only moves what stands for an image that was built before to the new one; `image alias` sets or
 * removes one.
 */
#pragma once
#include "vm/image.h"

#include <glib.h>
#include <stdbool.h>

/* Strings Owned, none is NULL. */
struct image_alias {
	char *name;
	char *publisher;
	char *offer;
	char *sku;
	char *version;
	char *architecture;
	char *image; /* id in the image store */
	char *description; /* what really stands behind it */
	bool accelerated; /* its guest can use a VF: its image says so, or its URN does (vm/image_support.h) */
};

void image_alias_free(struct image_alias *alias);

/* GPtrArray of struct image_alias, by name. A store without the file has no aliases. FAULT_INVALID with the
 * alias and member at fault when the file is malformed. */
GPtrArray *image_alias_list(const char *image_dir, GError **error);

/* Makes the aliases of a built image: the default ones when there is no file, else those that stood for an
 * earlier build now stand for this one and the others stay. The file is replaced as a whole. */
bool image_alias_set_built(const char *image_dir, const struct image *image, GError **error);

/* Makes the alias `name` stand for the image. urn: "publisher:offer:sku" by which clients ask for it; NULL keeps what
 * the alias had, or makes "sluice:NAME:default". FAULT_INVALID when the name or the URN is malformed, or another
 * alias has the URN. */
bool image_alias_set(
	const char *image_dir, const char *name, const char *urn, const struct image *image, GError **error);

/* FAULT_NOT_FOUND when there is no such alias. */
bool image_alias_remove(const char *image_dir, const char *name, GError **error);

/* One of those in the list (image_alias_list) that stand for the image says that its guest can use a VF. */
bool image_alias_supports(const GPtrArray *aliases, const char *image);

/* Names of those in the list (image_alias_list) that stand for the image, "Debian12, UbuntuLTS"; "" for none.
 * Owned by the caller. */
char *image_alias_names(const GPtrArray *aliases, const char *image, const char *separator);
