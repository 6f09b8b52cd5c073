/* `sluice network`: which virtual network travels where, asked of the controller and told to it. */
#include "base/fault.h"
#include "cli/cli.h"
#include "cli/network_priv.h"
#include "cli/order.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <string.h>

#define VLAN_ID_MAX 4094

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
	static const char *const order[] = {"group", "name", NULL};
	g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
	json_auto_t *answer = NULL;
	json_t *network;
	size_t i;

	if (!controller_list(controller, "/networks", "networks", 0, &answer, error))
		return false;
	json_t *networks = json_object_get(answer, "networks");
	order_by(networks, order);
	if (options->as_json) {
		cli_print_json(answer);
		return true;
	}
	json_array_foreach(networks, i, network)
	{
		g_ptr_array_add(rows, row_of(network));
	}
	if (rows->len)
		network_print(titles, rows);
	else
		puts("there is no virtual network");
	return true;
}

static bool is_named(const json_t *network, const char *name)
{
	const char *own = json_string_value(json_object_get(network, "name"));

	return g_strcmp0(json_string_value(json_object_get(network, "uid")), name) == 0 ||
	       (own && g_ascii_strcasecmp(own, name) == 0);
}

/* The uid of the one that is called so by its uid, or by its name, where that is one's alone. Owned by the caller; NULL with *error. */
static char *find_uid(struct controller *controller, const char *name, GError **error)
{
	json_auto_t *answer = NULL;
	const json_t *found = NULL;
	json_t *network;
	unsigned n = 0;
	size_t i;

	if (!controller_list(controller, "/networks", "networks", 0, &answer, error))
		return NULL;
	json_array_foreach(json_object_get(answer, "networks"), i, network)
	{
		if (is_named(network, name) && n++ == 0)
			found = network;
	}
	if (n == 1)
		return g_strdup(json_string_value(json_object_get(found, "uid")));
	if (n == 0)
		fault_set(error, FAULT_NOT_FOUND,
			"there is no virtual network %s: give NAME, GROUP/NAME or a uid, as 'sluice network "
			"list' shows them",
			name);
	else
		fault_set(error, FAULT_INVALID,
			"%u virtual networks are called %s; give GROUP/NAME or a uid, as 'sluice network "
			"list' shows them",
			n, name);
	return NULL;
}

/* "/networks/GROUP/NAME/segment" or "/networks/UID/segment". Owned by the caller; NULL with *error. */
static char *segment_path(struct controller *controller, const char *name, GError **error)
{
	const char *slash = strchr(name, '/');

	if (!slash) {
		g_autofree char *uid = find_uid(controller, name, error);
		return uid ? g_strdup_printf("/networks/%s/segment", uid) : NULL;
	}
	g_autofree char *group = g_strndup(name, (gsize)(slash - name));
	g_autofree char *group_word = g_uri_escape_string(group, NULL, false),
			*name_word = g_uri_escape_string(slash + 1, NULL, false);
	return g_strdup_printf("/networks/%s/%s/segment", group_word, name_word);
}

static bool do_segment(struct controller *controller, const struct network_options *options, const char *name,
	GError **error)
{
	g_autofree char *path = segment_path(controller, name, error);
	g_autofree char *words =
		options->vlan ? g_strconcat("vlan:", options->vlan, NULL) : g_strdup("vxlan");
	json_auto_t *answer = NULL;

	if (!path || !controller_call(
			     controller, "PUT", path, json_pack("{s:s}", "segment", words), &answer, error))
		return false;
	g_autofree char *title = network_title(answer);
	if (options->as_json)
		cli_print_json(answer);
	else
		printf("%s: %s\n", title, json_string_value(json_object_get(answer, "segment")));
	return true;
}

/* ---- words and options ---- */

/* As controllers take it: control/segment.c. */
static bool is_vlan(const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, ":", -1);
	guint n = g_strv_length(parts);

	return (n == 1 || n == 2) && *parts[0] &&
	       (n == 1 || g_ascii_string_to_unsigned(parts[1], 10, 1, VLAN_ID_MAX, NULL, NULL));
}

/* NULL when the options are what the action needs; else a sentence. */
static const char *check_segment(const struct network_options *options)
{
	if ((options->vlan != NULL) == options->vxlan)
		return "segment needs either --vlan or --vxlan";
	if (options->vlan && !is_vlan(options->vlan))
		return "--vlan takes a physical network, alone or with a VLAN from 1 to " G_STRINGIFY(
			VLAN_ID_MAX) ", such as physnet1:150";
	return NULL;
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

/* By its words alone. *ret_arguments: how many follow them. */
static const struct action *find_action(int argc, char **argv, int *ret_arguments)
{
	for (size_t i = 0; i < G_N_ELEMENTS(actions); i++) {
		int n = 0;
		while (actions[i].words[n] && n + 1 < argc && g_str_equal(actions[i].words[n], argv[n + 1]))
			n++;
		*ret_arguments = argc - 1 - n;
		if (!actions[i].words[n])
			return &actions[i];
	}
	return NULL;
}

/* What is wrong with the command line of an action that there is; NULL: nothing. */
static const char *find_mistake(const struct action *action, int arguments, const struct network_options *o)
{
	bool segment = action->run == do_segment;

	if (arguments != action->arguments)
		return segment ? "segment takes one NETWORK: NAME, GROUP/NAME or a uid, as 'sluice network "
				 "list' "
				 "shows them"
		       : action->arguments ? "physical add and physical remove take one NAME"
					   : "list and physical list take no argument";
	if (!segment && (o->vlan || o->vxlan))
		return "--vlan and --vxlan are for 'segment NETWORK'";
	if (action->run != network_physical_add &&
		(o->vlans || o->guest_enforcement || o->no_guest_enforcement))
		return "--vlans, --guest-enforcement and --no-guest-enforcement are for 'physical add NAME'";
	return action->check ? action->check(o) : NULL;
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
									    : cli_refused("network", error);
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
		    "they may have. NETWORK is NAME, GROUP/NAME or a uid. Runs on the controller's machine.",
		    entries))
		return CLI_USAGE;
	int arguments;
	const struct action *action = find_action(argc, argv, &arguments);
	if (!action) {
		bool half = argc < 2 || (argc == 2 && g_str_equal(argv[1], "physical"));
		g_autofree char *words = half ? NULL : g_strjoinv(" ", argv + 1);
		return cli_no_action("network", words,
			"one of list, segment NETWORK, physical list, physical add NAME, physical remove "
			"NAME");
	}
	const char *mistake = find_mistake(action, arguments, &o);
	if (mistake)
		return cli_misused("network", mistake);
	return run(action, &o, action->arguments ? argv[argc - 1] : NULL);
}
