/* Lists of what there is, page by page, and whether it is what there should be. */
#pragma once
#include "load.h"

#define PAGE 100 /* elements of a page at most when nobody asks for fewer */

/* The ids in a list, in small letters: of a type in the subscription, or (type NULL) of all; at, Borrowed: of a path of
 * one's own. limit: elements of a page, 0 for PAGE. NULL when a page fails, is too long, or has what another one had. */
GHashTable *list_ids(struct load *load, struct client *client, const char *type, unsigned limit);
GHashTable *list_ids_at(struct load *load, struct client *client, const char *at, unsigned limit);

/* Whether the ids are those expected, and no others; prints those that are not. Takes `ids`, which may be NULL. */
gboolean lists_are_same(GHashTable *ids, GHashTable *expected, const char *what);
/* Whether those expected are among them. Takes `ids`. */
gboolean lists_have(GHashTable *ids, GHashTable *expected, const char *what);

/* An empty set of ids; one more, which it takes; and those of another one. */
GHashTable *ids_new(void);
void ids_add(GHashTable *ids, char *id);
void ids_join(GHashTable *ids, GHashTable *others);
