/* This host's switch, as verbs ask it. */
#include "cli/switch_call.h"

#include "cli/cli.h"

#include <string.h>

#define CALL_MS 5000

struct jsonrpc_client *switch_client(const char *state_option, GError **error)
{
	return cli_client(state_option, CLI_SWITCH_SOCKET, error);
}

json_t *switch_call(struct jsonrpc_client *client, const char *method, json_t *params, GError **error)
{
	return jsonrpc_call(client, method, params, CALL_MS, error);
}

char *switch_format_end(const json_t *flow, const char *addr, const char *port)
{
	const char *protocol = json_string_value(json_object_get(flow, "protocol"));
	const char *text = json_string_value(json_object_get(flow, addr));
	json_int_t number = json_integer_value(json_object_get(flow, port));

	if (g_strcmp0(protocol, "tcp") != 0 && g_strcmp0(protocol, "udp") != 0)
		return g_strdup(text);
	return g_strdup_printf(
		strchr(text, ':') ? "[%s]:%" JSON_INTEGER_FORMAT : "%s:%" JSON_INTEGER_FORMAT, text, number);
}

char *switch_format_actions(const json_t *flow)
{
	GString *all = g_string_new(NULL);
	size_t i;
	json_t *action;

	json_array_foreach(json_object_get(flow, "actions"), i, action)
		g_string_append_printf(all, "%s%s", i ? ", " : "", json_string_value(action));
	return g_string_free(all, false);
}
