/* `sluice vf`: the functions of this host, taken from NICs and given back while their connections live on. */
#include "base/fault.h"
#include "base/jsonrpc.h"
#include "cli/cli.h"

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

static int run_action(const char *state, const char *action, const char *name, bool force, bool as_json)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client =
		cli_client(state, CLI_AGENT_SOCKET, &error);
	g_autofree char *method = g_strdup_printf("vf.%s", action);
	if (!client)
		return cli_fail("vf", error);
	json_t *params = name ? json_pack("{s:s}", "nic", name) : NULL;
	if (force)
		json_object_set_new(params, "force", json_true());
	json_auto_t *result = jsonrpc_call(client, method, params, CALL_MS, &error);

	if (!result)
		return cli_fail("vf", error);
	if (as_json)
		cli_print_json(result);
	else if (name)
		print_change(action, result);
	else if (json_array_size(result))
		print_table(result);
	else
		puts("no NIC of this host is accelerated, and it has no function");
	return CLI_OK;
}

int cli_vf(int argc, char **argv)
{
	g_autofree char *state_option = NULL;
	gboolean force = FALSE, as_json = FALSE;
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &state_option,
			"State folder of the cloud (/var/lib/sluice)", "DIR"},
		{"force", 0, 0, G_OPTION_ARG_NONE, &force,
			"revoke: cut the function off when the guest does not let go of it", NULL},
		{"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "Print JSON", NULL},
		{NULL},
	};

	if (!cli_options(&argc, &argv, "list | revoke [--force] NIC | restore NIC",
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
	else if (force && !g_str_equal(argv[1], "revoke"))
		mistake = "--force is for 'revoke NIC'";
	if (mistake) {
		fprintf(stderr, "sluice vf: %s\n", mistake);
		return CLI_USAGE;
	}
	return run_action(state_option, argv[1], list ? NULL : argv[2], force, as_json);
}
