/* `sluice metrics`: the switch's counters in Prometheus' text format, version 0.0.4.
 *
 * Source: Prometheus documentation, "Exposition formats".
 */
#include "cli/cli.h"
#include "cli/switch_call.h"

#include <stdio.h>

/* Label values: backslash, quote and new line are escaped; help texts lack quotes' part of it. */
static void print_escaped(const char *text, bool quotes)
{
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", stdout);
		else if (*text == '\\' || (quotes && *text == '"'))
			printf("\\%c", *text);
		else
			putchar(*text);
	}
}

static void print_sample(const char *name, json_t *sample)
{
	const char *label;
	json_t *value;
	unsigned n = 0;

	fputs(name, stdout);
	json_object_foreach(json_object_get(sample, "labels"), label, value)
	{
		printf("%s%s=\"", n++ ? "," : "{", label);
		print_escaped(json_string_value(value), true);
		putchar('"');
	}
	printf("%s %" JSON_INTEGER_FORMAT "\n", n ? "}" : "",
		json_integer_value(json_object_get(sample, "value")));
}

static void print_family(json_t *family)
{
	const char *name = json_string_value(json_object_get(family, "name"));
	size_t i;
	json_t *sample;

	printf("# HELP %s ", name);
	print_escaped(json_string_value(json_object_get(family, "help")), false);
	printf("\n# TYPE %s %s\n", name, json_string_value(json_object_get(family, "type")));
	json_array_foreach(json_object_get(family, "samples"), i, sample) print_sample(name, sample);
}

int cli_metrics(int argc, char **argv)
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
	size_t i;
	json_t *family;

	if (!cli_options(&argc, &argv, "",
		    "Prints the switch's counters as Prometheus text, for node_exporter's textfile "
		    "collector.",
		    entries))
		return CLI_USAGE;
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = switch_client(state, &error);
	json_auto_t *families = client ? switch_call(client, "metrics", NULL, &error) : NULL;
	if (!families)
		return cli_fail("metrics", error);
	if (as_json) {
		cli_print_json(families);
		return CLI_OK;
	}
	json_array_foreach(families, i, family) print_family(family);
	return CLI_OK;
}
