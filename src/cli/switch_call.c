/* This host's switch, as verbs ask it. */
#include "cli/switch_call.h"

#include "cli/cli.h"

#include <stdio.h>

#define CALL_MS 5000

struct jsonrpc_client *switch_client(const char *state_option)
{
	g_autofree char *state = cli_state_dir(state_option);
	g_autofree char *socket = g_build_filename(state, "switch", "switch.sock", NULL);

	return jsonrpc_client_new(socket);
}

json_t *switch_call(struct jsonrpc_client *client, const char *method, json_t *params, GError **error)
{
	return jsonrpc_call(client, method, params, CALL_MS, error);
}

void switch_print_json(const json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2));
	putchar('\n');
}
