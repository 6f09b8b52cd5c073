/* The table in the kernel that holds all NICs' rules, and what it was made of. From any thread. */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

struct enforce_table;

/* `folder` need not be there. Nothing is run, and no file is made, before there are rules. */
struct enforce_table *enforce_table_open(const char *folder);
/* The rules stay in force. */
void enforce_table_free(struct enforce_table *table);
CLEANUP_FUNC(struct enforce_table *, enforce_table_free)

/* The rules of a NIC from now on (NULL: none), all in one transaction with those of the others. On failure its
 * former rules stay. FAULT_INVALID: the document; else FAULT_UNAVAILABLE, which trying again may cure. */
bool enforce_table_set(struct enforce_table *table, const char *interface, json_t *policy, GError **error);
/* Makes the table again unless it is what was made. */
bool enforce_table_keep(struct enforce_table *table, GError **error);
