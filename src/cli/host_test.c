/* What `sluice host drain` and `sluice vf list` make of an agent's answers, and of the controller's. */
#include "base/jsonrpc.h"
#include "cli/cli.h"
#include "cli/test_case.h"
#include "cli/test_controller.h"

#include <glib/gstdio.h>
#include <string.h>

/* ---- the agent ---- */

struct agent {
	char *folder, *path; /* of its socket */
	GMainLoop *loop; /* of the thread that answers */
	GThread *thread;
	gint ready;
	unsigned looks; /* its thread alone */
};

/* NIC web's guest lets its function go when it has been looked for once. */
static json_t *draining(bool holds)
{
	json_t *state = json_pack("{s:s, s:b, s:[]}", "host", "a", "drained", true, "holding");

	if (holds)
		json_array_append_new(json_object_get(state, "holding"),
			json_pack("{s:s, s:s, s:s, s:s}", "nic", "n1", "nic_name", "web", "vm", "v", "state",
				"unplugging"));
	return state;
}

static json_t *on_drain(json_t *params, void *data, GError **error)
{
	((struct agent *)data)->looks = 0;
	return draining(true);
}

static json_t *on_draining(json_t *params, void *data, GError **error)
{
	return draining(((struct agent *)data)->looks++ == 0);
}

static json_t *on_list(json_t *params, void *data, GError **error)
{
	return json_pack("[{s:s, s:s, s:s, s:i, s:s, s:{s:i, s:i}}, {s:s, s:n, s:s}]", "function",
		"0000:3b:10.0", "nic_name", "web", "pf", "ens3", "index", 0, "vm", "v", "statistics",
		"rx_packets", 3, "tx_packets", 5, "function", "0000:3b:10.1", "nic", "state", "free");
}

static const struct jsonrpc_method methods[] = {
	{"host.drain", on_drain},
	{"host.draining", on_draining},
	{"vf.list", on_list},
	{NULL, NULL},
};

static void *serve(void *data)
{
	struct agent *agent = data;
	g_autoptr(GError) error = NULL;

	g_main_context_push_thread_default(g_main_loop_get_context(agent->loop));
	_cleanup_(jsonrpc_server_free) struct jsonrpc_server *server =
		jsonrpc_serve(agent->path, methods, agent, &error);
	g_assert_no_error(error);
	g_atomic_int_set(&agent->ready, 1);
	g_main_loop_run(agent->loop);
	g_clear_pointer(&server, jsonrpc_server_free);
	g_main_context_pop_thread_default(g_main_loop_get_context(agent->loop));
	return NULL;
}

static void agent_open(struct agent *agent, const char *state)
{
	g_autoptr(GMainContext) context = g_main_context_new();

	*agent = (struct agent){.loop = g_main_loop_new(context, false)};
	agent->path = g_build_filename(state, CLI_AGENT_SOCKET, NULL);
	agent->folder = g_path_get_dirname(agent->path);
	g_assert_cmpint(g_mkdir(agent->folder, 0700), ==, 0);
	agent->thread = g_thread_new("agent", serve, agent);
	while (!g_atomic_int_get(&agent->ready))
		g_usleep(1000);
}

static void agent_close(struct agent *agent)
{
	g_main_loop_quit(agent->loop);
	g_thread_join(agent->thread);
	g_main_loop_unref(agent->loop);
	g_assert_cmpint(g_rmdir(agent->folder), ==, 0);
	g_free(agent->folder);
	g_free(agent->path);
}

/* ---- the controller ---- */

#define VM(uid, name, power)                                                                                 \
	"{\"uid\": \"" uid "\", \"name\": \"" name "\", \"group\": \"rg\", \"power\": \"" power "\"}"

static void answer(SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	const char *text = "{}";

	if (g_str_has_suffix(path, "/virtual-machines"))
		text = "{\"virtualMachines\": [" VM("u1", "web", "running") ", " VM(
			"u2", "db", "running") ", " VM("u3", "old", "stopped") "]}";
	else if (g_str_has_suffix(path, "/migrate"))
		text = "{\"uid\": \"op\", \"state\": \"succeeded\", \"virtualMachine\": {\"name\": \"x\", "
		       "\"group\": \"rg\", \"host\": \"b\"}}";
	test_controller_reply(message, 200, text);
}

/* ---- tests ---- */

static int call(int (*verb)(int argc, char **argv), const char *words)
{
	return strstr(words, "--json") ? test_case_call_json(verb, words) : test_case_call(verb, words);
}

static int run_case(const char *words)
{
	return call(g_str_has_prefix(words, "vf ") ? cli_vf : cli_host, words);
}

static const struct test_case cases[] = {
	{"host drain", CLI_OK, "NIC web of VM v is on its synthetic path\nhost a is drained: *", ""},
	{"host drain --json", CLI_OK, "{\"host\":\"a\",\"drained\":true,\"holding\":[]}\n", ""},
	{"host drain --timeout 0 --json", CLI_FAILED, "", "{*\"holding\":[{\"nic\":\"n1\",*}]}\n"},
	{"host drain --migrate", CLI_FAILED, "rg/old stays: it is stopped, and its disk is here\n",
		"NIC web of *host a is drained: *rg/x runs on host b\nrg/x runs on host b\n"},
	{"host drain --migrate --json", CLI_FAILED, "rg/old stays: it is stopped, and its disk is here\n",
		"{\"host\":\"a\",\"drained\":true,\"holding\":[],\"migrations\":[{*},{*}],\"staying\":["
		"{\"uid\":\"u3\",\"group\":\"rg\",\"name\":\"old\",\"reason\":\"it is stopped, and its disk "
		"is "
		"here\"}]}\n"},
	{"vf list", CLI_OK, "FUNCTION *0000:3b:10.0*0000:3b:10.1*", ""},
	{"vf list --stats", CLI_OK, "FUNCTION *RX PACKETS*TX DROPPED\n0000:3b:10.0 ens3 0 *web*v* 3 * 5 *-\n",
		""},
	{"vf list --json", CLI_OK, "[{*\"statistics\":{\"rx_packets\":3,\"tx_packets\":5}},{*}]\n", ""},
	{"vf revoke web --stats", CLI_USAGE, "sluice vf: --stats is for 'list'\n"},
};

/* A drain that takes the functions, and has no controller to move machines by, still tells what it has done. */
static const struct test_case cases_alone[] = {
	{"host drain --migrate --json", CLI_FAILED, "sluice host: the functions are off, *",
		"{\"host\":\"a\",\"drained\":true,\"holding\":[]}\n"},
};

static void test_drain(void)
{
	_cleanup_(test_controller_close) struct test_controller controller;
	struct agent agent;

	test_cases_answer(run_case);
	test_controller_open(&controller, answer, NULL);
	agent_open(&agent, controller.state);
	g_setenv("SLUICE_STATE", controller.state, true);
	test_cases_assert(cases, G_N_ELEMENTS(cases));
	agent_close(&agent);
}

static void test_alone(void)
{
	test_cases_answer(run_case);
	g_autofree char *state = g_dir_make_tmp("sluice-host-XXXXXX", NULL);
	struct agent agent;

	agent_open(&agent, state);
	g_setenv("SLUICE_STATE", state, true);
	test_cases_assert(cases_alone, G_N_ELEMENTS(cases_alone));
	agent_close(&agent);
	g_assert_cmpint(g_rmdir(state), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/host/a drain is told as it goes, or as one document; statistics where there are some",
		test_drain);
	g_test_add_func(
		"/host/a drain without a controller tells what it has done, as one document", test_alone);
	return g_test_run();
}
