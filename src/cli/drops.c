/* `sluice drops`: why the switch dropped packets. */
#include "cli/cli.h"
#include "cli/switch_call.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

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
	if (scols_table_is_empty(table))
		puts("no packet was dropped");
	else
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

	if (!cli_options(&argc, &argv, "[NIC]",
		    "Counts the packets that the switch dropped, by reason: all of them, or those of one NIC "
		    "(uid or "
		    "name).",
		    entries))
		return CLI_USAGE;
	if (argc > 2) {
		fprintf(stderr, "sluice drops: one NIC at most, and '%s' is another word\n", argv[2]);
		return CLI_USAGE;
	}
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = switch_client(state_option, &error);
	if (!client)
		return cli_fail("drops", error);
	json_auto_t *list = switch_call(
		client, "drop.list", argc == 2 ? json_pack("{s:s}", "nic", argv[1]) : NULL, &error);
	if (!list)
		return cli_refused("drops", error);
	if (as_json)
		cli_print_json(list);
	else
		print_table(list, all);
	return CLI_OK;
}
