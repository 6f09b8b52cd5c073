/* This host's switch, as verbs ask it: its control socket (docs/API.md). */
#pragma once
#include "base/jsonrpc.h"

/* A client of the switch of a state folder (cli_state_dir). Owned by the caller. */
struct jsonrpc_client *switch_client(const char *state_option);

/* One call. Takes the reference to params (NULL: none). Returns the result (new reference) or NULL with *error. */
json_t *switch_call(struct jsonrpc_client *client, const char *method, json_t *params, GError **error);

/* For --json: the value and a new line to standard output. */
void switch_print_json(const json_t *value);
