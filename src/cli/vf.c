/* `sluice vf`: the functions of this host, taken from NICs and given back while their connections live on. */
#include "base/fault.h"
#include "base/jsonrpc.h"
#include "cli/cli.h"
#include "nic/vf_counters.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

/* The agent itself gives up on a change after 60 s. */
#define CALL_MS 70000

static const struct {
	const char *title, *member;
} columns[] = {
	{"FUNCTION", "function"},
	{"PHYSICAL", "physical"},
	{"PF", "pf"},
	{"VF", "index"},
	{"REPRESENTOR", "representor"},
	{"MAC", "mac"},
	{"VLAN", "vlan"},
	{"NIC", "nic_name"},
	{"VM", "vm"},
	{"STATE", "state"},
	{"ACTIVE PATH", "active"},
	{"REVOKED", "revoked"},
	{"FLOWS IN NIC", "offloaded_flows"},
	{"CHANGES", "changes"},
	{"REASON", "reason"},
	{"REPAIRED", "repaired"},
	{"PROVIDER", "provider"},
};

static char *cell(const json_t *entry, const char *member)
{
	const json_t *value = json_object_get(entry, member);

	if (json_is_boolean(value))
		return g_strdup(json_is_true(value) ? "yes" : "no");
	if (json_is_integer(value))
		return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
	if (json_is_real(value))
		return g_strdup_printf("%.0f", json_real_value(value));
	return g_strdup(json_is_string(value) ? json_string_value(value) : "-");
}

/* The NIC's name; its uid when the host has forgotten the name, as of a VM that is deallocated. */
static char *column_cell(const json_t *entry, const char *member)
{
	bool nameless = g_str_equal(member, "nic_name") && !json_is_string(json_object_get(entry, member));

	return cell(entry, nameless ? "nic" : member);
}

static void print_table(json_t *list)
{
	struct libscols_table *table = scols_new_table();
	size_t i;
	json_t *entry;

	for (size_t c = 0; c < G_N_ELEMENTS(columns); c++)
		scols_table_new_column(table, columns[c].title, 0, 0);
	json_array_foreach(list, i, entry)
	{
		struct libscols_line *line = scols_table_new_line(table, NULL);
		for (size_t c = 0; c < G_N_ELEMENTS(columns); c++) {
			g_autofree char *text = column_cell(entry, columns[c].member);
			scols_line_set_data(line, c, text);
		}
	}
	scols_print_table(table);
	scols_unref_table(table);
}

/* What functions have carried; those that their NIC tells it of. */
static void print_statistics(json_t *list)
{
	static const struct {
		const char *title, *member;
	} names[] = {
		{"FUNCTION", "function"}, {"PF", "pf"}, {"VF", "index"}, {"NIC", "nic_name"}, {"VM", "vm"}};
	struct libscols_table *table = scols_new_table();
	size_t i, n = 0;
	json_t *entry;

	for (size_t c = 0; c < G_N_ELEMENTS(names); c++)
		scols_table_new_column(table, names[c].title, 0, 0);
	for (unsigned c = 0; c < VF_COUNTERS; c++)
		scols_table_new_column(table, vf_counter_title(c), 0, SCOLS_FL_RIGHT);
	json_array_foreach(list, i, entry)
	{
		const json_t *statistics = json_object_get(entry, "statistics");
		struct libscols_line *line = statistics ? scols_table_new_line(table, NULL) : NULL;
		for (size_t c = 0; line && c < G_N_ELEMENTS(names); c++) {
			g_autofree char *text = column_cell(entry, names[c].member);
			scols_line_set_data(line, c, text);
		}
		for (unsigned c = 0; line && c < VF_COUNTERS; c++) {
			g_autofree char *text = cell(statistics, vf_counter_word(c));
			scols_line_set_data(line, G_N_ELEMENTS(names) + c, text);
		}
		n += line != NULL;
	}
	if (n)
		scols_print_table(table);
	else
		puts("no function of this host has statistics: its NICs' drivers tell none of VFs, or "
		     "nothing "
		     "has passed any yet");
	scols_unref_table(table);
}

/* What a change took: its members as the agent named them. */
static void print_change(const char *action, json_t *result)
{
	const char *member;
	json_t *value;

	printf("%sd:", action);
	json_object_foreach(result, member, value)
	{
		g_autofree char *text = column_cell(result, member);
		if (!g_str_equal(member, "nic"))
			printf(" %s %s", g_str_equal(member, "nic_name") ? "nic" : member, text);
	}
	putchar('\n');
}

/* What the command line asks for. */
struct vf_options {
	gboolean force, statistics, as_json;
};

static void print_list(json_t *list, const struct vf_options *o)
{
	if (json_array_size(list) == 0)
		puts("no NIC of this host is accelerated, and it has no function");
	else if (o->statistics)
		print_statistics(list);
	else
		print_table(list);
}

static int run_action(const char *state, const char *action, const char *name, const struct vf_options *o)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client =
		cli_client(state, CLI_AGENT_SOCKET, &error);
	g_autofree char *method = g_strdup_printf("vf.%s", action);
	if (!client)
		return cli_fail("vf", error);
	json_t *params = name ? json_pack("{s:s}", "nic", name) : NULL;
	if (o->force)
		json_object_set_new(params, "force", json_true());
	json_auto_t *result = jsonrpc_call(client, method, params, CALL_MS, &error);

	if (!result)
		return cli_fail("vf", error);
	if (o->as_json)
		cli_print_json(result);
	else if (name)
		print_change(action, result);
	else
		print_list(result, o);
	return CLI_OK;
}

int cli_vf(int argc, char **argv)
{
	g_autofree char *state_option = NULL;
	struct vf_options o = {};
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &state_option,
			"State folder of the cloud (/var/lib/sluice)", "DIR"},
		{"force", 0, 0, G_OPTION_ARG_NONE, &o.force,
			"revoke: cut the function off when the guest does not let go of it", NULL},
		{"stats", 0, 0, G_OPTION_ARG_NONE, &o.statistics,
			"list: what functions have carried, in place of what they are; JSON has both", NULL},
		{"json", 0, 0, G_OPTION_ARG_NONE, &o.as_json, "Print JSON", NULL},
		{NULL},
	};

	if (!cli_options(&argc, &argv, "list [--stats] | revoke [--force] NIC | restore NIC",
		    "Lists functions; takes one from its NIC (uid or name), whose traffic then goes the "
		    "synthetic way until it "
		    "is restored.",
		    entries))
		return CLI_USAGE;
	bool list = argc > 1 && g_str_equal(argv[1], "list");
	const char *mistake = NULL;
	if (argc < 2 || (!list && !g_str_equal(argv[1], "revoke") && !g_str_equal(argv[1], "restore")))
		mistake = "'list', 'revoke NIC' or 'restore NIC' is needed";
	else if (list && argc > 2)
		mistake = "list takes no argument";
	else if (!list && argc != 3)
		mistake = "one NIC is needed, by its uid or name";
	else if (o.statistics && !list)
		mistake = "--stats is for 'list'";
	else if (o.force && !g_str_equal(argv[1], "revoke"))
		mistake = "--force is for 'revoke NIC'";
	if (mistake) {
		fprintf(stderr, "sluice vf: %s\n", mistake);
		return CLI_USAGE;
	}
	return run_action(state_option, argv[1], list ? NULL : argv[2], &o);
}
