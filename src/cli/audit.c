/* `sluice audit`: who asked for which change, and what came of it. */
#include "base/fault.h"
#include "cli/cli.h"
#include "cli/controller.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LAST_DEFAULT 50
/* Characters, where the table is made to fit on a terminal. */
#define WHO_MAX  18 /* of principals with uids for names half of it */
#define WHAT_MIN 20

struct options {
	char *state, *who, *what, *result, *id, *since, *until;
	int last;
	gboolean as_json, wide;
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

enum { TIME, WHO, RESULT, WHAT, CODE, REQUEST, COLUMNS };
static const struct {
	const char *title, *member;
} columns[COLUMNS] = {
	[TIME] = {"TIME", "time"},
	[WHO] = {"WHO", "who"},
	[RESULT] = {"RESULT", "result"},
	[WHAT] = {"WHAT", "what"},
	[CODE] = {"CODE", "code"},
	[REQUEST] = {"REQUEST", "request"},
};

/* How the table is made to fit on a terminal. */
struct fit {
	bool narrow; /* times have seconds, names are cut, and there are no requests */
	size_t what; /* so many characters of it */
};

static const char *member_of(const json_t *record, size_t column)
{
	const char *text = json_string_value(json_object_get(record, columns[column].member));

	return text ? text : "-";
}

/* A fraction of seconds is in "2026-11-22T08:00:00.000000Z". */
static char *short_time(const char *time)
{
	const char *dot = strchr(time, '.');

	return dot ? g_strdup_printf("%.*sZ", (int)(dot - time), time) : g_strdup(time);
}

/* "vm_deploy_gTTYO..." */
static char *short_text(const char *text, size_t most)
{
	size_t kept = most > strlen("...") ? most - strlen("...") : 0;

	if ((size_t)g_utf8_strlen(text, -1) <= most)
		return g_strdup(text);
	return g_strdup_printf("%.*s...", (int)(g_utf8_offset_to_pointer(text, (glong)kept) - text), text);
}

/* "PUT .../networkInterfaces/nic": of a path the end tells most. */
static char *short_what(const char *text, size_t most)
{
	const char *path = strchr(text, '/');
	size_t head = path ? (size_t)(path - text) : 0;
	size_t room = most > head + strlen("...") ? most - head - strlen("...") : 0;

	if (strlen(text) <= most || !path)
		return short_text(text, most);
	while (*path && strlen(path) > room)
		path = path + 1 + strcspn(path + 1, "/");
	return *path ? g_strdup_printf("%.*s...%s", (int)head, text, path) : short_text(text, most);
}

static char *cell_of(const json_t *record, size_t column, const struct fit *fit)
{
	const char *text = member_of(record, column);

	if (fit->narrow && column == TIME)
		return short_time(text);
	if (fit->narrow && column == WHO)
		return short_text(text, WHO_MAX);
	return column == WHAT ? short_what(text, fit->what) : g_strdup(text);
}

/* What is printed of a column when nothing is cut. */
static size_t width_of(const json_t *records, size_t column, const struct fit *fit)
{
	size_t i, width = strlen(columns[column].title);
	json_t *record;

	json_array_foreach((json_t *)records, i, record)
	{
		g_autofree char *cell = cell_of(record, column, fit);
		width = MAX(width, (size_t)g_utf8_strlen(cell, -1));
	}
	return width;
}

/* terminal: its width; 0: as wide as it is. */
static struct fit fit_to(const json_t *records, size_t terminal)
{
	struct fit whole = {.what = G_MAXINT}, narrow = {.narrow = true, .what = G_MAXINT};
	size_t full = COLUMNS - 1, rest = COLUMNS - 2;

	for (size_t c = 0; c < COLUMNS; c++) {
		full += width_of(records, c, &whole);
		rest += c == WHAT || c == REQUEST ? 0 : width_of(records, c, &narrow);
	}
	if (!terminal || full <= terminal)
		return whole;
	narrow.what = MAX(WHAT_MIN, terminal > rest ? terminal - rest : 0);
	return narrow;
}

/* Records are newest first; the newest is at the end, as in any log. */
static void print_lines(struct libscols_table *table, const json_t *records, const struct fit *fit)
{
	size_t n = fit->narrow ? REQUEST : COLUMNS;

	for (size_t c = 0; c < n; c++)
		scols_table_new_column(table, columns[c].title, 0, 0);
	for (size_t i = json_array_size(records); i-- > 0;) {
		struct libscols_line *line = scols_table_new_line(table, NULL);
		for (size_t c = 0; c < n; c++) {
			g_autofree char *cell = cell_of(json_array_get(records, i), c, fit);
			scols_line_set_data(line, c, cell);
		}
	}
	scols_print_table(table);
}

static void print_missed(const json_t *records)
{
	json_int_t missed = 0;
	json_t *record;
	size_t i;

	json_array_foreach((json_t *)records, i, record)
	{
		missed += json_integer_value(json_object_get(record, "missed"));
	}
	if (missed)
		printf("%" JSON_INTEGER_FORMAT " records are missing in between\n", missed);
}

static void print(const json_t *records, bool wide)
{
	struct libscols_table *table = scols_new_table();
	bool terminal = isatty(STDOUT_FILENO) && !wide;
	const struct fit fit = fit_to(records, terminal ? scols_table_get_termwidth(table) : 0);

	if (json_array_size(records))
		print_lines(table, records, &fit);
	else
		puts("nothing of the kind is in the audit log");
	print_missed(records);
	fflush(stdout);
	if (fit.narrow)
		fprintf(stderr, "sluice audit: as far as it fits; --wide prints all, with requests' ids\n");
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
		print(json_object_get(answer, "records"), o->wide);
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
		{"wide", 0, 0, G_OPTION_ARG_NONE, &o.wide, "Print all of it on a terminal, too, however wide",
			NULL},
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
