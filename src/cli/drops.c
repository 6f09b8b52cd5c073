/* `sluice drops`: why the switch dropped packets. */
#include "base/jsonrpc.h"
#include "cli/cli.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

#define CALL_MS 5000

static void print_table(json_t *list, bool all)
{
	struct libscols_table *table = scols_new_table();
	size_t i;
	json_t *entry;

	scols_table_new_column(table, "PACKETS", 0, SCOLS_FL_RIGHT);
	scols_table_new_column(table, "REASON", 0, 0);
	scols_table_new_column(table, "", 0, 0);
	json_array_foreach(list, i, entry)
	{
		json_int_t packets = json_integer_value(json_object_get(entry, "packets"));
		if (!packets && !all)
			continue;
		struct libscols_line *line = scols_table_new_line(table, NULL);
		g_autofree char *text = g_strdup_printf("%" JSON_INTEGER_FORMAT, packets);
		scols_line_set_data(line, 0, text);
		scols_line_set_data(line, 1, json_string_value(json_object_get(entry, "reason")));
		scols_line_set_data(line, 2, json_string_value(json_object_get(entry, "text")));
	}
	scols_print_table(table);
	scols_unref_table(table);
}

int cli_drops(int argc, char **argv)
{
	g_autofree char *state_option = NULL;
	gboolean as_json = FALSE, all = FALSE;
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &state_option,
			"State folder of the cloud (/var/lib/sluice)", "DIR"},
		{"all", 0, 0, G_OPTION_ARG_NONE, &all, "Also the reasons for which nothing was dropped",
			NULL},
		{"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "Print JSON, all reasons", NULL},
		{NULL},
	};
	g_autoptr(GError) error = NULL;

	if (!cli_options(&argc, &argv, "", "Counts the packets that the switch dropped, by reason.", entries))
		return CLI_USAGE;
	g_autofree char *state = cli_state_dir(state_option);
	g_autofree char *socket = g_build_filename(state, "run", "switch.sock", NULL);
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(socket);
	json_t *list = jsonrpc_call(client, "drop.list", NULL, CALL_MS, &error);
	if (!list)
		return cli_fail("drops", error);
	if (as_json) {
		json_dumpf(list, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_table(list, all);
	}
	json_decref(list);
	return CLI_OK;
}
