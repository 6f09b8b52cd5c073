/* `sluice status`: whether the parts of this host answer, and what they do. */
#include "base/jsonrpc.h"
#include "cli/cli.h"

#include <stdio.h>

#define CALL_MS     5000
#define NOT_REACHED "not reached" /* the agent's word */

static const struct {
	const char *title, *socket, *method;
} parts[] = {
	{"agent", CLI_AGENT_SOCKET, "status"},
	{"switch", CLI_SWITCH_SOCKET, "version"},
};

/* {"agent": answer or null, ...}; prints what is not there to standard error, once what is true of both. */
static json_t *ask_all(const char *state, bool *well)
{
	json_t *all = json_object();
	g_autofree char *said = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
		g_autoptr(GError) error = NULL;
		_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client =
			cli_client(state, parts[i].socket, &error);
		json_t *answer = client ? jsonrpc_call(client, parts[i].method, NULL, CALL_MS, &error) : NULL;
		*well &= answer != NULL;
		if (!answer && g_strcmp0(said, error->message) != 0)
			fprintf(stderr, "sluice status: %s\n", error->message);
		if (!answer) {
			g_free(said);
			said = g_strdup(error->message);
		}
		json_object_set_new(all, parts[i].title, answer ? answer : json_null());
	}
	return all;
}

/* What the agent says of the others. The controller is asked by it alone; of the switch, what was just seen is
 * newer. */
static bool others_answer(json_t *all)
{
	json_t *agent = json_object_get(all, "agent");
	bool controller =
		g_strcmp0(json_string_value(json_object_get(agent, "controller")), NOT_REACHED) != 0;

	if (!controller)
		fprintf(stderr, "sluice status: the controller does not answer this host's agent\n");
	if (json_is_object(agent) && json_is_null(json_object_get(all, "switch")))
		json_object_set_new(agent, "switch", json_string(NOT_REACHED));
	return controller;
}

/* Below the host's name. */
static void print_drained(const json_t *answer)
{
	if (json_is_true(json_object_get(answer, "drained")))
		printf("  %-12s yes: no NIC gets a function, and no new VM comes, until 'sluice host "
		       "undrain'\n",
			"drained");
}

static void print_scalars(const char *title, json_t *answer)
{
	const char *member;
	json_t *value;

	printf("%s\n", title);
	json_object_foreach(answer, member, value)
	{
		if (g_str_equal(member, "drained"))
			print_drained(answer);
		else if (json_is_string(value))
			printf("  %-12s %s\n", member, json_string_value(value));
		else if (json_is_integer(value))
			printf("  %-12s %" JSON_INTEGER_FORMAT "\n", member, json_integer_value(value));
	}
}

static void print_underlay(json_t *underlay)
{
	const char *vxlans = json_string_value(json_object_get(underlay, "vxlans"));

	printf("  %-12s %s%s, MTU %" JSON_INTEGER_FORMAT "%s%s\n", "underlay",
		json_string_value(json_object_get(underlay, "address")),
		json_is_true(json_object_get(underlay, "kernel")) ? " (the host's own)" : "",
		json_integer_value(json_object_get(underlay, "mtu")),
		vxlans ? "; VXLANs of accelerated NICs pass the host on physical network " : "",
		vxlans ? vxlans : "");
}

/* Of the agent; the switch says nothing of it. */
static void print_network(json_t *answer)
{
	json_t *underlay = json_object_get(answer, "underlay"), *condition;
	size_t i;

	if (json_is_object(underlay))
		print_underlay(underlay);
	json_array_foreach(json_object_get(answer, "conditions"), i, condition)
		printf("  %-12s %s\n", "condition", json_string_value(condition));
}

static void print_migration(json_t *migration)
{
	const char *message = json_string_value(json_object_get(migration, "message"));
	bool source = g_strcmp0(json_string_value(json_object_get(migration, "role")), "source") == 0;

	if (migration)
		printf("    %s host %s: %s, %" JSON_INTEGER_FORMAT " %%%s%s\n",
			source ? "moves to" : "comes from",
			json_string_value(json_object_get(migration, "peer")),
			json_string_value(json_object_get(migration, "state")),
			json_integer_value(json_object_get(migration, "percent")), message ? ": " : "",
			message ? message : "");
}

static void print_vms(json_t *answer)
{
	size_t i;
	json_t *vm;

	json_array_foreach(json_object_get(answer, "vms"), i, vm)
	{
		const char *message = json_string_value(json_object_get(vm, "message"));
		printf("  vm %-20s %s%s%s\n", json_string_value(json_object_get(vm, "name")),
			json_string_value(json_object_get(vm, "power")), message ? ": " : "",
			message ? message : "");
		print_migration(json_object_get(vm, "migration"));
	}
}

static void print_part(const char *title, json_t *answer)
{
	print_scalars(title, answer);
	print_network(answer);
	print_vms(answer);
}

int cli_status(int argc, char **argv)
{
	g_autofree char *state_option = NULL;
	gboolean as_json = FALSE;
	bool well = true;
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &state_option,
			"State folder of the cloud (/var/lib/sluice)", "DIR"},
		{"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "Print JSON", NULL},
		{NULL},
	};

	if (!cli_options(&argc, &argv, "",
		    "Shows what runs on this host; exit status 1 when a part does not answer.", entries))
		return CLI_USAGE;
	json_auto_t *all = ask_all(state_option, &well);
	well &= others_answer(all);
	if (as_json) {
		cli_print_json(all);
	} else {
		for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
			if (!json_is_null(json_object_get(all, parts[i].title)))
				print_part(parts[i].title, json_object_get(all, parts[i].title));
	}
	return well ? CLI_OK : CLI_FAILED;
}
