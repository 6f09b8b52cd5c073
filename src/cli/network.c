/* `sluice network`: which virtual network travels where, asked of the controller and told to it. */
#include "cli/cli.h"
#include "cli/network_priv.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

char *network_title(const json_t *network)
{
	const char *group = json_string_value(json_object_get(network, "group"));

	return g_strdup_printf(
		"%s/%s", group ? group : "-", json_string_value(json_object_get(network, "name")));
}

void network_print(const char *const *titles, const GPtrArray *rows)
{
	struct libscols_table *table = scols_new_table();

	for (const char *const *title = titles; *title; title++)
		scols_table_new_column(table, *title, 0, 0);
	for (guint i = 0; i < rows->len; i++) {
		struct libscols_line *line = scols_table_new_line(table, NULL);
		char *const *cells = rows->pdata[i];
		for (size_t c = 0; cells[c]; c++)
			scols_line_set_data(line, c, cells[c]);
	}
	scols_print_table(table);
	scols_unref_table(table);
}

/* "-" when there is none. */
static char *number(const json_t *value)
{
	return json_is_integer(value) ? g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value))
				      : g_strdup("-");
}

static char **row_of(const json_t *network)
{
	GStrv row = g_new0(char *, 6);

	row[0] = network_title(network);
	row[1] = g_strdup(json_string_value(json_object_get(network, "segment")));
	row[2] = number(json_object_get(network, "vni"));
	row[3] = number(json_object_get(network, "nicCount"));
	row[4] = g_strdup(json_string_value(json_object_get(network, "uid")));
	return row;
}

static bool do_list(struct controller *controller, const struct network_options *options, const char *name,
	GError **error)
{
	static const char *const titles[] = {"NETWORK", "SEGMENT", "VNI", "NICS", "UID", NULL};
	g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
	json_auto_t *answer = NULL;
	json_t *network;
	size_t i;

	if (!controller_list(controller, "/networks", "networks", 0, &answer, error))
		return false;
	if (options->as_json) {
		cli_print_json(answer);
		return true;
	}
	json_array_foreach(json_object_get(answer, "networks"), i, network)
	{
		g_ptr_array_add(rows, row_of(network));
	}
	if (rows->len)
		network_print(titles, rows);
	else
		puts("there is no virtual network");
	return true;
}

/* "/networks/GROUP/NAME/segment" or "/networks/UID/segment". */
static char *segment_path(const char *network)
{
	g_auto(GStrv) parts = g_strsplit(network, "/", 2);
	g_autoptr(GString) path = g_string_new("/networks");

	for (char **part = parts; *part; part++) {
		g_autofree char *encoded = g_uri_escape_string(*part, NULL, false);
		g_string_append_printf(path, "/%s", encoded);
	}
	g_string_append(path, "/segment");
	return g_string_free(g_steal_pointer(&path), FALSE);
}

static bool do_segment(struct controller *controller, const struct network_options *options, const char *name,
	GError **error)
{
	g_autofree char *path = segment_path(name);
	g_autofree char *words =
		options->vlan ? g_strconcat("vlan:", options->vlan, NULL) : g_strdup("vxlan");
	json_auto_t *answer = NULL;

	if (!controller_call(controller, "PUT", path, json_pack("{s:s}", "segment", words), &answer, error))
		return false;
	g_autofree char *title = network_title(answer);
	if (options->as_json)
		cli_print_json(answer);
	else
		printf("%s: %s\n", title, json_string_value(json_object_get(answer, "segment")));
	return true;
}

/* ---- words and options ---- */

/* NULL when the options are what the action needs; else a sentence. */
static const char *check_segment(const struct network_options *options)
{
	return (options->vlan != NULL) != options->vxlan ? NULL : "segment needs either --vlan or --vxlan";
}

static const char *check_add(const struct network_options *options)
{
	if (options->guest_enforcement && options->no_guest_enforcement)
		return "physical add takes --guest-enforcement or --no-guest-enforcement, not both";
	return options->vlans ? NULL : "physical add needs --vlans, such as 100-199,300";
}

static const struct action {
	const char *words[3];
	int arguments;
	bool (*run)(struct controller *controller, const struct network_options *options, const char *name,
		GError **error);
	const char *(*check)(const struct network_options *options); /* NULL: it needs none */
} actions[] = {
	{{"list"}, 0, do_list, NULL},
	{{"segment"}, 1, do_segment, check_segment},
	{{"physical", "list"}, 0, network_physical_list, NULL},
	{{"physical", "add"}, 1, network_physical_add, check_add},
	{{"physical", "remove"}, 1, network_physical_remove, NULL},
};

static const struct action *find_action(int argc, char **argv)
{
	for (size_t i = 0; i < G_N_ELEMENTS(actions); i++) {
		int n = 0;
		while (actions[i].words[n] && n + 1 < argc && g_str_equal(actions[i].words[n], argv[n + 1]))
			n++;
		if (!actions[i].words[n] && argc == 1 + n + actions[i].arguments)
			return &actions[i];
	}
	return NULL;
}

static void options_clear(struct network_options *options)
{
	g_free(options->state);
	g_free(options->vlan);
	g_free(options->vlans);
}
CLEANUP_CLEAR_FUNC(struct network_options, options_clear)

static int run(const struct action *action, const struct network_options *options, const char *name)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(controller_close) struct controller *controller = controller_open(options->state, &error);

	return controller && action->run(controller, options, name, &error) ? CLI_OK
									    : cli_fail("network", error);
}

#define SYNOPSIS "list | segment NETWORK | physical list | physical add NAME | physical remove NAME"

int cli_network(int argc, char **argv)
{
	_cleanup_(options_clear) struct network_options o = {};
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &o.state,
			"State folder of the cloud (/var/lib/sluice)", "DIR"},
		{"vlan", 0, 0, G_OPTION_ARG_STRING, &o.vlan,
			"A VLAN of a physical network, the first free one if no ID is given (segment)",
			"PHYSICAL[:ID]"},
		{"vxlan", 0, 0, G_OPTION_ARG_NONE, &o.vxlan, "A VXLAN (segment)", NULL},
		{"vlans", 0, 0, G_OPTION_ARG_STRING, &o.vlans,
			"VLANs that networks may have, such as 100-199,300 (physical add)", "RANGES"},
		{"guest-enforcement", 0, 0, G_OPTION_ARG_NONE, &o.guest_enforcement,
			"Let guests apply their rules themselves where nothing else can (physical add)",
			NULL},
		{"no-guest-enforcement", 0, 0, G_OPTION_ARG_NONE, &o.no_guest_enforcement,
			"Withdraw that; without either it stays as it was, at first withheld (physical add)",
			NULL},
		{"json", 0, 0, G_OPTION_ARG_NONE, &o.as_json, "Print JSON", NULL},
		{NULL},
	};

	if (!cli_options(&argc, &argv, SYNOPSIS,
		    "Shows which virtual network travels where, and takes one to another segment while the "
		    "machines "
		    "in it are deallocated. Shows, adds (or changes) and removes the physical networks whose "
		    "VLANs "
		    "they may have. NETWORK is GROUP/NAME or a uid. Runs on the controller's machine.",
		    entries))
		return CLI_USAGE;
	const struct action *action = find_action(argc, argv);
	const char *missing = !action ? "one of list, segment NETWORK, physical list, physical add NAME, "
					"physical remove NAME is needed"
			      : action->check ? action->check(&o)
					      : NULL;
	if (missing) {
		fprintf(stderr, "sluice network: %s\n", missing);
		return CLI_USAGE;
	}
	return run(action, &o, action->arguments ? argv[argc - 1] : NULL);
}
