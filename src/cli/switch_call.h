/* This host's switch, as verbs ask it: its control socket (docs/API.md). */
#pragma once
#include "base/jsonrpc.h"

/* A client of the switch of a state folder, as cli_client() gives it. */
struct jsonrpc_client *switch_client(const char *state_option, GError **error);

/* One call. Takes the reference to params (NULL: none). Returns the result (new reference) or NULL with *error. */
json_t *switch_call(struct jsonrpc_client *client, const char *method, json_t *params, GError **error);

/* ---- flows in words; all Owned by the caller ---- */

/* "192.168.1.4:22" of a flow's members `addr` and `port`; without the port where its protocol has none. */
char *switch_format_end(const json_t *flow, const char *addr, const char *port);
/* "source 203.0.113.10, hop, outside by 203.0.113.1" */
char *switch_format_actions(const json_t *flow);
