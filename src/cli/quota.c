/* `sluice quota`: what the subscription has, and how much of it it may have. */
#include "base/fault.h"
#include "cli/cli.h"
#include "cli/controller.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

static char *number(const json_t *value)
{
	return json_is_integer(value) ? g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value))
				      : g_strdup("unlimited");
}

static void print(const json_t *quotas)
{
	struct libscols_table *table = scols_new_table();
	json_t *quota;
	size_t i;

	scols_table_new_column(table, "QUOTA", 0, 0);
	scols_table_new_column(table, "USED", 0, SCOLS_FL_RIGHT);
	scols_table_new_column(table, "LIMIT", 0, SCOLS_FL_RIGHT);
	json_array_foreach(quotas, i, quota)
	{
		struct libscols_line *line = scols_table_new_line(table, NULL);
		g_autofree char *used = number(json_object_get(quota, "used")),
				*limit = number(json_object_get(quota, "limit"));
		scols_line_set_data(line, 0, json_string_value(json_object_get(quota, "name")));
		scols_line_set_data(line, 1, used);
		scols_line_set_data(line, 2, limit);
	}
	scols_print_table(table);
	scols_unref_table(table);
}

/* {NAME: number or null} of "NAME=N" and "NAME=unlimited"; NULL with *error. */
static json_t *parse(char **words, GError **error)
{
	json_auto_t *body = json_object();

	for (char **word = words; *word; word++) {
		g_auto(GStrv) parts = g_strsplit(*word, "=", 2);
		const char *value = parts[0] && parts[1] ? parts[1] : "";
		guint64 limit;
		if (g_str_equal(value, "unlimited")) {
			json_object_set_new(body, parts[0], json_null());
		} else if (g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT64, &limit, NULL)) {
			json_object_set_new(body, parts[0], json_integer((json_int_t)limit));
		} else {
			fault_set(error, FAULT_INVALID,
				"'%s': what is needed looks like cores=100 or cores=unlimited", *word);
			return NULL;
		}
	}
	return json_incref(body);
}

/* body: NULL: it only shows. */
static bool run(const char *state, json_t *body, bool as_json, GError **error)
{
	json_auto_t *answer = NULL;

	_cleanup_(controller_close) struct controller *controller = controller_open(state, error);
	if (!controller || !controller_call(controller, body ? "PUT" : "GET", "/quotas", json_incref(body),
				   &answer, error))
		return false;
	if (as_json)
		cli_print_json(answer);
	else
		print(json_object_get(answer, "quotas"));
	return true;
}

int cli_quota(int argc, char **argv)
{
	g_autofree char *state = NULL;
	gboolean as_json = FALSE;
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &state, "State folder of the cloud (/var/lib/sluice)",
			"DIR"},
		{"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "Print JSON", NULL},
		{NULL},
	};
	g_autoptr(GError) error = NULL;

	if (!cli_options(&argc, &argv, "[list | set NAME=LIMIT...]",
		    "Shows how much of what the subscription has, and may have; sets limits, to a number or "
		    "'unlimited'. What is there already stays, also where it is more. Runs on the "
		    "controller's machine.",
		    entries))
		return CLI_USAGE;
	bool set = argc > 2 && g_str_equal(argv[1], "set");
	bool list = argc == 1 || g_str_equal(argv[1], "list");
	if (list && argc > 2)
		return cli_misused("quota", "list takes no argument");
	if (!list && !set)
		return cli_no_action(
			"quota", g_str_equal(argv[1], "set") ? NULL : argv[1], "'list' or 'set NAME=LIMIT'");
	json_auto_t *body = set ? parse(argv + 2, &error) : NULL;
	if (error)
		return cli_misused("quota", error->message);
	return run(state, body, as_json, &error) ? CLI_OK : cli_refused("quota", error);
}
