/* `sluice vf`: the functions of this host, taken from NICs and given back while their connections live on. */
#include "base/fault.h"
#include "base/jsonrpc.h"
#include "cli/cli.h"
#include "cli/vf_priv.h"

#include <stdio.h>

static const char *const action_words[] = {"list", "revoke", "restore", "release", NULL};

/* The agent itself gives up on a change after 60 s. */
#define CALL_MS      70000
#define LOOK_US      (G_USEC_PER_SEC / 5)
#define NOTICE_MAX_S 3600 /* the agent's */

static json_int_t number(const json_t *result, const char *member)
{
	return json_integer_value(json_object_get(result, member));
}

/* What became of the function, as a sentence. */
static const char *outcome_of(const char *state)
{
	static const struct {
		const char *state, *text;
	} outcomes[] = {
		{"revoked", "its function is revoked"},
		{"cut", "its guest does not let go of its function, which is cut off"},
		{"attached", "it is on its function"},
		{"copying",
			"it has its function; the guest has sent nothing by it yet, so both paths deliver"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(outcomes); i++)
		if (g_str_equal(outcomes[i].state, state))
			return outcomes[i].text;
	return state;
}

/* What a change came to, and what it took where something changed: "NIC web: its function is revoked; 321 ms in all: …". */
static void print_change(const json_t *result)
{
	g_autofree char *name = vf_text(result, "nic_name"), *function = vf_text(result, "function"),
			*state = vf_text(result, "state");
	const char *reason = json_string_value(json_object_get(result, "reason"));
	bool plugged = json_object_get(result, "plug_ms") != NULL;

	if (reason) {
		printf("NIC %s: it is not revoked any more, and gets no function for now: %s\n", name,
			reason);
		return;
	}
	printf("NIC %s: %s", name, outcome_of(state));
	if (!g_str_equal(function, "-"))
		printf(" (%s)", function);
	if (number(result, "total_ms"))
		printf("; it took %" JSON_INTEGER_FORMAT " ms: %s the guest %" JSON_INTEGER_FORMAT
		       " ms, copies to both paths %" JSON_INTEGER_FORMAT " ms",
			number(result, "total_ms"), plugged ? "plugged into" : "out of",
			number(result, plugged ? "plug_ms" : "unplug_ms"), number(result, "copy_ms"));
	putchar('\n');
}

struct request {
	const char *action;
	const char *nic; /* uid or name; NULL: all, to list */
	gboolean force, as_is, statistics, as_json;
	int notice_s;
};

static json_t *request_params(const struct request *request, const char *nic, int notice_s)
{
	json_t *params = nic ? json_pack("{s:s}", "nic", nic) : NULL;

	if (request->force)
		json_object_set_new(params, "force", json_true());
	if (notice_s)
		json_object_set_new(params, "notice_s", json_integer(notice_s));
	return params;
}

static const json_t *find_nic(const json_t *list, const char *uid)
{
	size_t i;
	json_t *entry;

	json_array_foreach(list, i, entry)
	{
		if (g_strcmp0(json_string_value(json_object_get(entry, "nic")), uid) == 0)
			return entry;
	}
	return NULL;
}

/* Whether the NIC's guest has notice still. *ret_revoked: its function is to go, or has gone. */
static bool has_notice(
	struct jsonrpc_client *client, const char *uid, const char *name, bool *ret_revoked, GError **error)
{
	g_autoptr(GError) cause = NULL;
	json_auto_t *list = jsonrpc_call(client, "vf.list", NULL, CALL_MS, &cause);
	const json_t *entry = list ? find_nic(list, uid) : NULL;

	if (!list)
		return fault_set(
			error, fault_code(cause), "%s; the function goes all the same", cause->message);
	if (!entry)
		return fault_set(error, FAULT_NOT_FOUND,
			"NIC %s is not on this host any more: its virtual machine was deleted, or has moved; "
			"'sluice vf list' on its new host tells of it",
			name);
	*ret_revoked = json_is_true(json_object_get(entry, "revoked"));
	return json_object_get(entry, "notice_s");
}

/* Waits until the guest has had its notice, then for what a revocation answers. began: what the agent answered to it. New
 * reference. */
static json_t *follow_notice(
	struct jsonrpc_client *client, const struct request *request, const json_t *began, GError **error)
{
	const char *uid = json_string_value(json_object_get(began, "nic"));
	g_autofree char *name = vf_text(began, "nic_name"), *left = vf_text(began, "notice_s");
	g_autoptr(GError) cause = NULL;
	bool revoked = true;

	if (!request->as_json) {
		printf("the guest of NIC %s is told; its function goes in %s s, or when it acknowledges "
		       "that\n",
			name, left);
		fflush(stdout);
	}
	while (has_notice(client, uid, name, &revoked, &cause) && revoked)
		g_usleep(LOOK_US);
	if (cause)
		g_propagate_error(error, g_steal_pointer(&cause));
	else if (!revoked)
		fault_set(error, FAULT_CONFLICT, "NIC %s was restored meanwhile", name);
	else
		return jsonrpc_call(client, "vf.revoke", request_params(request, uid, 0), CALL_MS, error);
	return NULL;
}

static json_t *ask(struct jsonrpc_client *client, const struct request *request, GError **error)
{
	g_autofree char *method = g_strdup_printf("vf.%s", request->action);
	json_t *result = jsonrpc_call(
		client, method, request_params(request, request->nic, request->notice_s), CALL_MS, error);

	if (!json_object_get(result, "notice_s"))
		return result;
	json_t *end = follow_notice(client, request, result, error);
	json_decref(result);
	return end;
}

static int run_action(const char *state, const struct request *request)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client =
		cli_client(state, CLI_AGENT_SOCKET, &error);
	json_auto_t *result = client ? ask(client, request, &error) : NULL;

	if (!result)
		return cli_refused("vf", error);
	if (!request->nic)
		vf_print_list(result, request->statistics, request->as_json);
	else if (request->as_json)
		cli_print_json(result);
	else
		print_change(result);
	return CLI_OK;
}

/* What is wrong with the command line of an action that there is; NULL: nothing. */
static const char *find_mistake(int argc, char **argv, const struct request *request)
{
	bool list = g_str_equal(argv[1], "list"), revoke = g_str_equal(argv[1], "revoke"),
	     release = g_str_equal(argv[1], "release");

	if (list && argc > 2)
		return "list takes no argument";
	if (release && argc != 3)
		return "one function is needed, as 'sluice vf list' names it";
	if (!list && argc != 3)
		return "one NIC is needed, by its uid or name";
	if (request->statistics && !list)
		return "--stats is for 'list'";
	if (request->force && !revoke)
		return "--force is for 'revoke NIC'";
	if (request->as_is && !release)
		return "--as-is is for 'release FUNCTION'";
	if (request->notice_s && !revoke)
		return "--notice is for 'revoke NIC'";
	if (request->notice_s < 0 || request->notice_s > NOTICE_MAX_S)
		return "--notice takes a number of seconds, from 0 to 3600";
	return NULL;
}

int cli_vf(int argc, char **argv)
{
	g_autofree char *state_option = NULL;
	struct request request = {};
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &state_option,
			"State folder of the cloud (/var/lib/sluice)", "DIR"},
		{"force", 0, 0, G_OPTION_ARG_NONE, &request.force,
			"revoke: cut the function off when the guest does not let go of it", NULL},
		{"notice", 0, 0, G_OPTION_ARG_INT, &request.notice_s,
			"revoke: tell the guest by a scheduled event, and wait so long for it to acknowledge",
			"SECONDS"},
		{"as-is", 0, 0, G_OPTION_ARG_NONE, &request.as_is,
			"release: give up what cannot be made as it was found, and say what that is", NULL},
		{"stats", 0, 0, G_OPTION_ARG_NONE, &request.statistics,
			"list: what functions have carried, in place of what they are; JSON has both", NULL},
		{"json", 0, 0, G_OPTION_ARG_NONE, &request.as_json, "Print JSON", NULL},
		{NULL},
	};

	if (!cli_options(&argc, &argv,
		    "list [--stats] | revoke [--notice SECONDS] [--force] NIC | restore NIC | release "
		    "[--as-is] FUNCTION",
		    "Lists functions; takes one from its NIC (uid or name), whose traffic then goes the "
		    "synthetic way until it is restored. With --notice its guest is told before, and the "
		    "function goes when the guest has acknowledged that, or the time is over. 'release' "
		    "tries at "
		    "once again to give back one that is in quarantine.",
		    entries))
		return CLI_USAGE;
	if (argc < 2 || !g_strv_contains(action_words, argv[1]))
		return cli_no_action("vf", argc < 2 ? NULL : argv[1],
			"'list', 'revoke NIC', 'restore NIC' or 'release FUNCTION'");
	if (argc > 3 && !g_str_equal(argv[1], "list")) {
		g_autofree char *usage = g_strdup_printf(
			"[OPTION...] %s %s", argv[1], g_str_equal(argv[1], "release") ? "FUNCTION" : "NIC");
		return cli_surplus("vf", argv[3], usage);
	}
	const char *mistake = find_mistake(argc, argv, &request);
	if (mistake)
		return cli_misused("vf", mistake);
	request.action = argv[1];
	request.nic = argc > 2 ? argv[2] : NULL;
	if (g_str_equal(request.action, "release"))
		return vf_release(state_option, argv[2], request.as_is, request.as_json);
	return run_action(state_option, &request);
}
