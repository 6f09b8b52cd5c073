/* The last applied state on disk, from which the switch comes back alone. */
#pragma once
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

/* Writes the state to DIR/state.json: whole or not at all, also when the machine loses power. groups: the state's, of
 * struct group; they are most of it, and as text they are there already. */
bool state_file_save(const char *dir, json_t *state, const GPtrArray *groups, GError **error);
/* A new reference; NULL without an error when there is none yet. */
json_t *state_file_load(const char *dir, GError **error);
