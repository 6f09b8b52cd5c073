/* `sluice vf release`: a function out of quarantine. */
#include "base/jsonrpc.h"
#include "cli/cli.h"
#include "cli/vf_priv.h"

#include <stdio.h>

/* The agent itself gives up on an answer after 60 s. */
#define CALL_MS 70000

static void print_released(const json_t *result)
{
	const json_t *list = json_object_get(result, "given_up");
	size_t i;
	json_t *sentence;

	printf("released: function %s, %s\n", json_string_value(json_object_get(result, "function")),
		json_array_size(list) ? "as it is now" : "as it was found");
	json_array_foreach((json_t *)list, i, sentence)
	{
		printf("given up: %s\n", json_string_value(sentence));
	}
}

int vf_release(const char *state, const char *function, bool as_is, bool as_json)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client =
		cli_client(state, CLI_AGENT_SOCKET, &error);

	if (!client)
		return cli_fail("vf", error);
	json_t *params = json_pack("{s:s, s:b}", "function", function, "as_is", as_is);
	json_auto_t *result = jsonrpc_call(client, "vf.release", params, CALL_MS, &error);
	if (!result)
		return cli_refused("vf", error);
	if (as_json)
		cli_print_json(result);
	else
		print_released(result);
	return CLI_OK;
}
