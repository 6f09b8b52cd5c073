/* `sluice audit`: who asked for which change, and what came of it. */
#include "base/fault.h"
#include "cli/cli.h"
#include "cli/controller.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

#define LAST_DEFAULT 50

struct options {
	char *state, *who, *what, *result, *id, *since, *until;
	int last;
	gboolean as_json;
};

static void options_clear(struct options *o)
{
	char *const texts[] = {o->state, o->who, o->what, o->result, o->id, o->since, o->until};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		g_free(texts[i]);
}
CLEANUP_CLEAR_FUNC(struct options, options_clear)

static void add(GString *path, const char *name, const char *value)
{
	g_autofree char *encoded = value ? g_uri_escape_string(value, NULL, FALSE) : NULL;

	if (value)
		g_string_append_printf(path, "&%s=%s", name, encoded);
}

static char *path_of(const struct options *o)
{
	g_autoptr(GString) path = g_string_new("/audit?");

	g_string_append_printf(path, "$top=%d", MIN(o->last, 1000));
	add(path, "who", o->who);
	add(path, "what", o->what);
	add(path, "result", o->result);
	add(path, "id", o->id);
	add(path, "since", o->since);
	add(path, "until", o->until);
	return g_string_free(g_steal_pointer(&path), FALSE);
}

/* ---- the table ---- */

static const char *const columns[] = {"time", "who", "result", "what", "code", "request"};
static const char *const titles[] = {"TIME", "WHO", "RESULT", "WHAT", "CODE", "REQUEST"};

static void add_line(struct libscols_table *table, const json_t *record)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);

	for (size_t c = 0; c < G_N_ELEMENTS(columns); c++) {
		const char *text = json_string_value(json_object_get(record, columns[c]));
		scols_line_set_data(line, c, text ? text : "-");
	}
}

/* The newest at the end, as in any log. */
static void print(const json_t *records)
{
	struct libscols_table *table = scols_new_table();
	json_int_t missed = 0;

	for (size_t c = 0; c < G_N_ELEMENTS(titles); c++)
		scols_table_new_column(table, titles[c], 0, 0);
	for (size_t i = json_array_size(records); i-- > 0;) {
		add_line(table, json_array_get(records, i));
		missed += json_integer_value(json_object_get(json_array_get(records, i), "missed"));
	}
	if (json_array_size(records))
		scols_print_table(table);
	else
		puts("nothing of the kind is in the audit log");
	if (missed)
		printf("%" JSON_INTEGER_FORMAT " records are missing in between\n", missed);
	scols_unref_table(table);
}

static bool run(const struct options *o, GError **error)
{
	_cleanup_(controller_close) struct controller *controller = controller_open(o->state, error);
	g_autofree char *path = path_of(o);
	json_auto_t *answer = NULL;

	if (!controller || !controller_list(controller, path, "records", (size_t)o->last, &answer, error))
		return false;
	if (o->as_json)
		cli_print_json(answer);
	else
		print(json_object_get(answer, "records"));
	return true;
}

int cli_audit(int argc, char **argv)
{
	_cleanup_(options_clear) struct options o = {.last = LAST_DEFAULT};
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &o.state,
			"State folder of the cloud (/var/lib/sluice)", "DIR"},
		{"last", 0, 0, G_OPTION_ARG_INT, &o.last, "How many at most, the newest (50)", "N"},
		{"who", 0, 0, G_OPTION_ARG_STRING, &o.who, "Of one principal", "NAME"},
		{"what", 0, 0, G_OPTION_ARG_STRING, &o.what, "With this in method and path", "TEXT"},
		{"result", 0, 0, G_OPTION_ARG_STRING, &o.result,
			"done, accepted, refused, succeeded or failed", "WORD"},
		{"id", 0, 0, G_OPTION_ARG_STRING, &o.id,
			"Of one request and what followed, or of one operation", "ID"},
		{"since", 0, 0, G_OPTION_ARG_STRING, &o.since, "Not before, such as 2026-11-22T08:00:00Z",
			"TIME"},
		{"until", 0, 0, G_OPTION_ARG_STRING, &o.until, "Not after", "TIME"},
		{"json", 0, 0, G_OPTION_ARG_NONE, &o.as_json, "Print JSON, the newest first", NULL},
		{NULL},
	};
	g_autoptr(GError) error = NULL;

	if (!cli_options(&argc, &argv, "",
		    "Shows who asked the controller for which change, when, and what came of it; also what "
		    "was "
		    "refused. Runs on the controller's machine.",
		    entries))
		return CLI_USAGE;
	if (o.last < 1) {
		fprintf(stderr, "sluice audit: --last takes a number from 1 on\n");
		return CLI_USAGE;
	}
	return run(&o, &error) ? CLI_OK : cli_refused("audit", error);
}
