/* The last applied state on disk, from which the switch comes back alone. */
#pragma once
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

/* Writes the state to DIR/state.json: whole or not at all, also when the machine loses power. */
bool state_file_save(const char *dir, const json_t *state, GError **error);
/* A new reference; NULL without an error when there is none yet. */
json_t *state_file_load(const char *dir, GError **error);
