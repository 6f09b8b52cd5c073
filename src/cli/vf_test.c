/* What `sluice vf revoke` and `restore` make of an agent's answers, with and without notice to the guest. */
#include "base/fault.h"
#include "base/jsonrpc.h"
#include "cli/cli.h"
#include "cli/test_case.h"

#include <glib/gstdio.h>
#include <string.h>

/* An agent whose NICs are called by what becomes of them: "web" loses its function at the second look, "back" is restored by
 * then, "off" has none, "gone" is on the host no more, and "deaf" has one that does not work as it should. */
struct agent {
	GMainContext *context;
	GMainLoop *loop;
	struct jsonrpc_server *server;
	unsigned looks;
};

static json_t *entry(const char *nic, bool revoked, bool notice)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:b}", "nic", nic, "nic_name", nic, "state",
		revoked && !notice ? "revoked" : "attached", "revoked", revoked);

	if (notice)
		json_object_set_new(json, "notice_s", json_integer(60));
	return json;
}

static json_t *on_list(json_t *params, void *data, GError **error)
{
	struct agent *agent = data;
	bool over = ++agent->looks > 1;

	json_t *deaf = entry("deaf", false, false);

	json_object_update_new(deaf, json_pack("{s:s, s:[s, s]}", "reason", "it is so", "conditions",
					     "VF 7 lacks this", "and that"));
	return json_pack("[o, o, o]", entry("web", true, !over), entry("back", !over, !over), deaf);
}

/* Only what had its notice may be asked about without one. */
static json_t *on_revoke(json_t *params, void *data, GError **error)
{
	struct agent *agent = data;
	const char *nic = json_string_value(json_object_get(params, "nic"));
	bool notice = json_integer_value(json_object_get(params, "notice_s")) == 60;
	bool has = !g_str_equal(nic, "off");

	if (!has || (!notice && agent->looks > 1 && json_is_true(json_object_get(params, "force"))))
		return json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i}", "nic", nic, "nic_name", nic,
			"function", "sl-f0", "state", "revoked", "unplug_ms", 300, "copy_ms", 310, "total_ms",
			321);
	agent->looks = 0;
	if (notice)
		return entry(nic, true, true);
	fault_set(error, FAULT_INVALID, "it is asked for at once");
	return NULL;
}

static json_t *on_restore(json_t *params, void *data, GError **error)
{
	const char *nic = json_string_value(json_object_get(params, "nic"));

	if (g_str_equal(nic, "off"))
		return json_pack("{s:s, s:s, s:n, s:s, s:s}", "nic", nic, "nic_name", nic, "function",
			"state", "detached", "reason", "Its host is drained.");
	return json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i}", "nic", nic, "nic_name", nic, "function",
		"sl-f0", "state", "attached", "plug_ms", 100, "copy_ms", 110, "total_ms", 123);
}

static const struct jsonrpc_method methods[] = {
	{"vf.list", on_list}, {"vf.revoke", on_revoke}, {"vf.restore", on_restore}, {NULL, NULL}};

static void *run_agent(void *data)
{
	struct agent *agent = data;

	g_main_context_push_thread_default(agent->context);
	g_main_loop_run(agent->loop);
	jsonrpc_server_free(agent->server);
	g_main_context_pop_thread_default(agent->context);
	return NULL;
}

static gboolean quit(void *loop)
{
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

static const struct test_case cases[] = {
	{"vf list", CLI_OK, "FUNCTION*REASON*deaf*it is so; VF 7 lacks this; and that*", ""},
	{"vf list --json", CLI_OK, "[*\"conditions\": [*\"and that\"*]*", ""},
	{"vf revoke web --notice 60 --force", CLI_OK,
		"the guest of NIC web is told; its function goes in 60 s, or when it acknowledges that\n"
		"NIC web: its function is revoked (sl-f0); it took 321 ms: out of the guest 300 ms, copies "
		"to both "
		"paths 310 ms\n",
		""},
	{"vf revoke web --notice 60 --force --json", CLI_OK, "{*\"total_ms\": 321*", ""},
	{"vf revoke back --notice 60", CLI_FAILED, "sluice vf: NIC back was restored meanwhile\n"},
	{"vf revoke gone --notice 60", CLI_FAILED,
		"sluice vf: NIC gone is not on this host any more: its virtual machine was deleted, or has "
		"moved*"},
	{"vf revoke off --notice 60", CLI_OK, "NIC off: its function is revoked (sl-f0); it took 321 ms: *",
		""},
	{"vf restore web", CLI_OK,
		"NIC web: it is on its function (sl-f0); it took 123 ms: plugged into the guest 100 ms, "
		"copies to "
		"both paths 110 ms\n",
		""},
	{"vf restore web --json", CLI_OK, "{*\"plug_ms\": 100*}\n", ""},
	{"vf restore off", CLI_OK,
		"NIC off: it is not revoked any more, and gets no function for now: Its host is drained.\n",
		""},
	{"vf revoke web", CLI_USAGE, "sluice vf: it is asked for at once\n"},
};

static int run_case(const char *words)
{
	return test_case_call(cli_vf, words);
}

static void test_revoke(void)
{
	struct agent agent = {};
	g_autoptr(GError) error = NULL;

	test_cases_answer(run_case);
	g_autofree char *state = g_dir_make_tmp("sluice-vf-XXXXXX", NULL);
	g_autofree char *dir = g_build_filename(state, "run", NULL);
	g_autofree char *socket = g_build_filename(state, CLI_AGENT_SOCKET, NULL);
	g_assert_cmpint(g_mkdir(dir, 0755), ==, 0);
	agent.context = g_main_context_new();
	agent.loop = g_main_loop_new(agent.context, false);
	g_main_context_push_thread_default(agent.context);
	agent.server = jsonrpc_serve(socket, methods, &agent, &error);
	g_main_context_pop_thread_default(agent.context);
	g_assert_no_error(error);
	GThread *thread = g_thread_new("agent", run_agent, &agent);
	g_setenv("SLUICE_STATE", state, true);
	test_cases_assert(cases, G_N_ELEMENTS(cases));
	g_main_context_invoke(agent.context, quit, agent.loop);
	g_thread_join(thread);
	g_main_loop_unref(agent.loop);
	g_main_context_unref(agent.context);
	g_assert_cmpint(g_rmdir(dir), ==, 0);
	g_assert_cmpint(g_rmdir(state), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vf/a revocation with notice is followed to its end, and until it is called off; "
			"what came of "
			"changes is a sentence",
		test_revoke);
	return g_test_run();
}
