/* What verbs say where there is no cloud, and of words that they do not take. */
#include "base/fault.h"
#include "cli/cli.h"
#include "cli/test_case.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct cli_verb verbs[] = {
	{"audit", "", cli_audit},
	{"az-env", "", cli_az_env},
	{"doctor", "", cli_doctor},
	{"drops", "", cli_drops},
	{"flow", "", cli_flow},
	{"host", "", cli_host},
	{"image", "", cli_image},
	{"metrics", "", cli_metrics},
	{"mirror", "", cli_mirror},
	{"network", "", cli_network},
	{"policy", "", cli_policy},
	{"quota", "", cli_quota},
	{"status", "", cli_status},
	{"top", "", cli_top},
	{"trace", "", cli_trace},
	{"up", "", cli_up},
	{"vf", "", cli_vf},
	{"vm", "", cli_vm},
};

static int run(const char *words)
{
	for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
		size_t length = strlen(verbs[i].name);
		if (g_str_has_prefix(words, verbs[i].name) && (!words[length] || words[length] == ' '))
			return test_case_call(verbs[i].run, words);
	}
	g_error("no verb in '%s'", words);
}

static void assert_case(const struct test_case *expected, const char *state)
{
	g_setenv("SLUICE_STATE", state, true);
	test_cases_assert(expected, 1);
}

/* Each with an empty state folder. */
static void assert_cases(const struct test_case *cases, size_t n)
{
	test_cases_answer(run);
	g_autofree char *state = g_dir_make_tmp("sluice-verbs-XXXXXX", NULL);
	for (size_t i = 0; i < n; i++)
		assert_case(&cases[i], state);
	g_assert_cmpint(g_rmdir(state), ==, 0);
}

static void test_no_cloud(void)
{
	static const char said[] = "*no cloud runs on */sluice-verbs-*; start one with 'sluice up', or name "
				   "another by --state or $SLUICE_STATE\n";
	static const struct test_case cases[] = {
		{"status", CLI_FAILED, said},
		{"vf list", CLI_FAILED, said},
		{"drops", CLI_FAILED, said},
		{"flow list", CLI_FAILED, said},
		{"metrics", CLI_FAILED, said},
		{"mirror nic --json", CLI_FAILED, said},
		{"policy effective nic", CLI_FAILED, said},
		{"top --once", CLI_FAILED, said},
		{"trace nic 'out dhcp'", CLI_FAILED, said},
	};

	assert_cases(cases, G_N_ELEMENTS(cases));
}

static void test_words(void)
{
	static const struct test_case cases[] = {
		{"status web", CLI_USAGE, "sluice status: it takes no argument 'web'\n"},
		{"up now", CLI_USAGE, "sluice up: it takes no argument 'now'\n"},
		{"up --switch-hugepages maybe", CLI_USAGE,
			"sluice up: --switch-hugepages maybe: must be one of auto, on, off\n"},
		{"up --switch-flow-memory /proc/flows", CLI_USAGE,
			"sluice up: --switch-flow-memory: */proc/flows lies on *tmpfs*\n"},
		{"up --switch-nic-connections 0", CLI_USAGE,
			"sluice up: --switch-nic-connections: must be at least 1\n"},
		{"up --switch-connections many", CLI_USAGE, "sluice up: *many* for --switch-connections\n"},
		{"up --workers 99", CLI_USAGE, "sluice up: --workers takes a number from 1 to *"},
		{"host", CLI_USAGE,
			"sluice host: 'list', 'show', 'add NAME', 'remove NAME', 'fault-domain HOST', "
			"'drain', 'undrain' or 'setup' is needed\n"},
		{"host setup", CLI_USAGE,
			"sluice host setup: one of --plan, --apply and --revert is needed\n"},
		{"host setup --plan --host-file /nonexistent", CLI_USAGE,
			"*--host-file: there is no /nonexistent\n"},
		{"host setup --plan --apply", CLI_USAGE, "*one of --plan, --apply and --revert is needed*"},
		{"host show all", CLI_USAGE, "sluice host: show takes no argument\n"},
		{"host list a", CLI_USAGE, "sluice host: list takes no argument\n"},
		{"host list", CLI_FAILED, "sluice host: */endpoint cannot be read; start the cloud*"},
		{"host park", CLI_USAGE, "sluice host: there is no 'park'; 'list', 'show', *"},
		{"host add", CLI_USAGE, "sluice host: add takes one NAME, *"},
		{"host remove a b", CLI_USAGE, "sluice host: remove takes one NAME, *"},
		{"host fault-domain", CLI_USAGE, "sluice host: fault-domain takes a HOST, *"},
		{"host drain web", CLI_USAGE, "sluice host: drain takes no argument*"},
		{"host drain --timeout -1", CLI_USAGE, "sluice host: --timeout takes a number of seconds, *"},
		{"host drain --timeout soon", CLI_USAGE, "sluice host: *soon* for --timeout\n"},
		{"host drain --notice 3601", CLI_USAGE, "sluice host: --notice * from 0 to 3600\n"},
		{"host show --timeout 3", CLI_USAGE, "sluice host: * are for 'drain'\n"},
		{"host undrain --lost", CLI_USAGE, "sluice host: --lost is for 'remove NAME'\n"},
		{"status --frob", CLI_USAGE, "sluice status: *--frob*Usage:*"},
		{"host add ../x", CLI_USAGE, "*'../x' is no name of a host*"},
		{"host add other", CLI_FAILED, "*no certificate for other; did 'sluice up' run*"},
		{"mirror nic -c 0", CLI_USAGE, "*-c and --seconds take a number from 1*"},
		{"mirror nic --seconds -5", CLI_USAGE, "*-c and --seconds take a number from 1*"},
		{"mirror nic --port 65536", CLI_USAGE,
			"sluice mirror: --port must be a number from 0 to 65535\n"},
		{"mirror nic --snaplen 63", CLI_USAGE,
			"sluice mirror: --snaplen must be a number from 64 to 65535\n"},
		{"mirror nic --rate 9", CLI_USAGE,
			"sluice mirror: --rate must be a number from 10 to 1000000\n"},
		{"mirror", CLI_USAGE, "sluice mirror: one NIC is needed\n"},
		{"mirror one two", CLI_USAGE,
			"sluice mirror: it does not take 'two'; usage: sluice mirror [OPTION...] NIC\n"},
		{"drops one two", CLI_USAGE, "sluice drops: one NIC at most, *"},
		{"trace nic", CLI_USAGE, "sluice trace: a NIC and a packet are needed, *"},
		{"quota", CLI_FAILED, "*/endpoint cannot be read; start the cloud*"},
		{"quota list all", CLI_USAGE, "sluice quota: list takes no argument\n"},
		{"quota raise", CLI_USAGE,
			"sluice quota: there is no 'raise'; 'list' or 'set NAME=LIMIT' is needed\n"},
		{"quota set", CLI_USAGE, "sluice quota: 'list' or 'set NAME=LIMIT' is needed\n"},
		{"quota set cores", CLI_USAGE,
			"sluice quota: 'cores': what is needed looks like cores=100 *"},
		{"quota set cores=many", CLI_USAGE, "sluice quota: 'cores=many': what is needed *"},
		{"audit --last 0", CLI_USAGE, "sluice audit: --last takes a number from 1 on\n"},
		{"flow", CLI_USAGE, "sluice flow: 'list', 'count' or 'show ID' is needed\n"},
		{"flow stop", CLI_USAGE,
			"sluice flow: there is no 'stop'; 'list', 'count' or 'show ID' is needed\n"},
		{"flow list all", CLI_USAGE, "sluice flow: list and count take no argument*"},
		{"flow show", CLI_USAGE, "sluice flow: show takes one ID*"},
		{"flow count --limit 3", CLI_USAGE, "sluice flow: --limit is of list alone\n"},
		{"flow show 1-2 --port 3", CLI_USAGE, "*no option that chooses connections\n"},
		{"flow list --limit 1", CLI_USAGE, "*--limit must be 0 or at least 2*"},
		{"flow list --port 99999", CLI_USAGE, "*--port must be a number from 0 to 65535\n"},
		{"flow list --port -1", CLI_USAGE, "*--port must be a number from 0 to 65535\n"},
		{"flow list --port x", CLI_USAGE, "sluice flow: *x*--port\n"},
		{"policy check nic --dport 99999999999", CLI_USAGE, "sluice policy: *99999999999*--dport*\n"},
		{"top --interval", CLI_USAGE, "sluice top: *--interval\n"},
		{"flow list --connection-state zombie", CLI_USAGE, "*--connection-state must be new, est*"},
		{"policy", CLI_USAGE, "*'effective NIC' or 'check NIC' is needed\n"},
		{"policy frob nic", CLI_USAGE,
			"*there is no 'frob'; 'effective NIC' or 'check NIC' is needed\n"},
		{"policy check nic", CLI_USAGE, "sluice policy: --dport is needed: *"},
		{"policy check nic --dport 65536", CLI_USAGE, "sluice policy: --dport: 65536 is no port\n"},
		{"policy check nic --dport 22 --src web", CLI_USAGE,
			"sluice policy: --src: 'web' is no IP address\n"},
		{"policy check nic --dport 22 --direction up", CLI_USAGE,
			"sluice policy: --direction: 'up' is none of *"},
		{"policy effective", CLI_USAGE, "*a NIC is needed, by its uid or name\n"},
		{"policy effective nic extra", CLI_USAGE, "*it takes one NIC, *"},
		{"policy effective nic --dport 22", CLI_USAGE, "*'check NIC' asks about a packet\n"},
		{"vf", CLI_USAGE,
			"sluice vf: 'list', 'revoke NIC', 'restore NIC' or 'release FUNCTION' is needed\n"},
		{"vf steal nic", CLI_USAGE, "sluice vf: there is no 'steal'; 'list', 'revoke NIC', *"},
		{"vf release", CLI_USAGE, "sluice vf: one function is needed, *"},
		{"vf revoke --as-is n", CLI_USAGE, "sluice vf: --as-is is for 'release FUNCTION'\n"},
		{"vf release --force f", CLI_USAGE, "sluice vf: --force is for 'revoke NIC'\n"},
		{"vf revoke one two", CLI_USAGE,
			"sluice vf: it does not take 'two'; usage: sluice vf [OPTION...] revoke NIC\n"},
		{"vf release --as-is f g", CLI_USAGE,
			"sluice vf: it does not take 'g'; usage: sluice vf [OPTION...] release FUNCTION\n"},
		{"vf list all", CLI_USAGE, "sluice vf: list takes no argument\n"},
		{"vf revoke", CLI_USAGE, "sluice vf: one NIC is needed, *"},
		{"vf revoke nic --notice -1", CLI_USAGE, "sluice vf: --notice * from 0 to 3600\n"},
		{"vf revoke nic --notice 3601", CLI_USAGE, "sluice vf: --notice * from 0 to 3600\n"},
		{"vf restore nic --notice 5", CLI_USAGE, "sluice vf: --notice is for 'revoke NIC'\n"},
		{"doctor --host-file /nonexistent", CLI_USAGE, "*there is no /nonexistent\n"},
		{"network", CLI_USAGE,
			"sluice network: one of list, segment NETWORK, physical list, physical add NAME*"},
		{"network frob", CLI_USAGE, "*there is no 'frob'; one of list, segment NETWORK,*"},
		{"network physical", CLI_USAGE, "sluice network: one of list, segment NETWORK,*"},
		{"network list all", CLI_USAGE, "*list and physical list take no argument\n"},
		{"network list --vxlan", CLI_USAGE, "*--vlan and --vxlan are for 'segment NETWORK'\n"},
		{"network segment", CLI_USAGE, "*segment takes one NETWORK: NAME, GROUP/NAME or a uid*"},
		{"network segment rg/net --vlan physnet1:4095", CLI_USAGE, "*a VLAN from 1 to 4094*"},
		{"network segment rg/net --vlan physnet1:x", CLI_USAGE, "*a VLAN from 1 to 4094*"},
		{"network physical add", CLI_USAGE, "*take one NAME\n"},
		{"network physical remove p --vlans 1", CLI_USAGE, "*are for 'physical add NAME'\n"},
		{"network segment rg/net", CLI_USAGE, "*needs either --vlan or --vxlan*"},
		{"network segment rg/net --vxlan --vlan physnet1", CLI_USAGE,
			"*needs either --vlan or --vxlan*"},
		{"network physical add physnet1", CLI_USAGE, "*needs --vlans*"},
		{"network physical add p --vlans 1 --guest-enforcement --no-guest-enforcement", CLI_USAGE,
			"*--guest-enforcement or --no-guest-enforcement, not both*"},
		{"network list", CLI_FAILED, "*/endpoint cannot be read; start the cloud with 'sluice up*"},
		{"vm", CLI_USAGE, "sluice vm: 'list' or 'migrate VM' is needed\n"},
		{"vm list web", CLI_USAGE, "sluice vm: list takes no argument\n"},
		{"vm list --to a", CLI_USAGE, "sluice vm: * are for 'migrate'\n"},
		{"vm move web", CLI_USAGE,
			"sluice vm: there is no 'move'; 'list' or 'migrate VM' is needed\n"},
		{"vm migrate web db", CLI_USAGE, "sluice vm: migrate takes one VM, or --from HOST\n"},
		{"vm migrate", CLI_USAGE, "*either a VM or --from HOST*"},
		{"vm migrate web --from a", CLI_USAGE, "*either a VM or --from HOST*"},
		{"vm migrate web --to a --cancel", CLI_USAGE, "*--cancel takes a VM alone*"},
		{"vm migrate web --notice -1", CLI_USAGE, "*from 0 to 3600*"},
		{"vm migrate web", CLI_FAILED, "sluice vm: */endpoint cannot be read; start the cloud*"},
		{"image list all", CLI_USAGE, "sluice image: list does not take 'all'\n"},
		{"image remove one two", CLI_USAGE, "sluice image: remove does not take 'two'\n"},
		{"image frob", CLI_USAGE, "sluice image: there is no 'frob'; one of build, import, *"},
		{"image import", CLI_USAGE, "sluice image: a qcow2 file and --id NAME are needed\n"},
		{"image import disk.qcow2", CLI_USAGE,
			"sluice image: a qcow2 file and --id NAME are needed\n"},
		{"image alias", CLI_USAGE, "sluice image: give the id of an image and --alias NAME, *"},
		{"image alias --remove", CLI_USAGE, "*the name of an alias is needed*"},
		{"image alias a --remove --alias b", CLI_USAGE, "*neither --alias nor --urn\n"},
		{"image remove", CLI_USAGE, "sluice image: the id of an image is needed*"},
		{"image list --id a", CLI_USAGE, "sluice image: * are for 'import FILE'\n"},
		{"image build --alias a", CLI_USAGE,
			"sluice image: * are for 'import FILE' and 'alias ID'\n"},
		{"image list --remove", CLI_USAGE, "sluice image: --remove is for 'alias --remove NAME'\n"},
		{"image alias --remove UbuntuLTS", CLI_FAILED, "*there is no alias UbuntuLTS in *"},
		{"image alias ../a --alias b", CLI_USAGE, "*'../a' cannot be the id of an image\n"},
		{"image alias a --alias b:c", CLI_USAGE, "*an alias has letters, *; 'b:c' does not\n"},
		{"image alias a --alias b --urn c:d", CLI_USAGE,
			"*a URN is publisher:offer:sku, *not 'c:d'\n"},
		{"image import f --id a/b", CLI_USAGE, "*'a/b' cannot be the id of an image\n"},
		{"image remove .", CLI_USAGE, "*'.' cannot be the id of an image\n"},
		{"image remove none", CLI_FAILED, "*none*"},
		{"image list", CLI_OK, "*no image in */images; make one with 'sluice image build'*"},
	};

	assert_cases(cases, G_N_ELEMENTS(cases));
}

static void touch(const char *state, const char *name, mode_t mode)
{
	g_autofree char *path = g_build_filename(state, name, NULL), *dir = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
	g_assert_true(g_file_set_contents_full(path, "", 0, 0, (int)mode, NULL));
	g_assert_cmpint(chmod(path, mode), ==, 0);
}

static void discard(const char *state, const char *name)
{
	g_autofree char *path = g_build_filename(state, name, NULL), *dir = g_path_get_dirname(path);

	g_unlink(path);
	g_rmdir(dir);
}

static void test_client(void)
{
	g_autofree char *state = g_dir_make_tmp("sluice-verbs-XXXXXX", NULL);
	g_autoptr(GError) error = NULL;

	g_assert_null(cli_client(state, CLI_AGENT_SOCKET, &error));
	g_assert_error(error, FAULT, FAULT_UNAVAILABLE);
	g_clear_error(&error);

	touch(state, CLI_SWITCH_SOCKET, 0600);
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client =
		cli_client(state, CLI_AGENT_SOCKET, &error);
	g_assert_no_error(error);
	g_assert_nonnull(client);

	touch(state, CLI_SWITCH_SOCKET, 0400);
	if (geteuid() != 0) {
		g_assert_null(cli_client(state, CLI_SWITCH_SOCKET, &error));
		g_assert_error(error, FAULT, FAULT_DENIED);
	}
	discard(state, CLI_SWITCH_SOCKET);
	g_rmdir(state);
}

/* An az 2.45 that writes down what it is told, knows the cloud already, and fails to log in with the password "bad". */
static const char fake_az[] = "#!/bin/sh\n"
			      "[ \"$1\" != version ] || { echo '{\"azure-cli\": \"2.45.0\"}'; exit; }\n"
			      "echo \"$REQUESTS_CA_BUNDLE $*\" >>\"${0%/*}/told\"\n"
			      "echo 'misleading advice' >&2\n"
			      "[ \"$2\" != register ] || exit 1\n"
			      "[ \"$1\" != login ] || ! grep -q bad \"${0%/*}/principal.secret\" || { echo "
			      "'no such secret' >&2; exit 1; }\n";

static void az_env(const char *state, const char *password, const struct test_case *expected)
{
	static const struct {
		const char *name, *text;
	} files[] = {{"endpoint", "https://127.0.0.1:1\n"}, {"az", fake_az}};
	g_autofree char *principal = g_build_filename(state, "principal.json", NULL);
	g_autofree char *text =
		g_strdup_printf("{\"appId\": \"me\", \"password\": \"%s\", \"tenant\": \"t\"}", password);

	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_build_filename(state, files[i].name, NULL);
		g_assert_true(g_file_set_contents_full(path, files[i].text, -1, 0, 0755, NULL));
	}
	g_assert_true(g_file_set_contents(principal, text, -1, NULL));
	assert_case(expected, state);
}

static void test_az_env(void)
{
	test_cases_answer(run);
	g_autofree char *state = g_dir_make_tmp("sluice-verbs-XXXXXX", NULL);
	g_autofree char *words = g_strdup_printf("az-env --do --az %s/az", state);
	g_autofree char *told_path = g_build_filename(state, "told", NULL), *told = NULL;
	g_autofree char *last = g_strdup_printf("*this az is 2.45.0, *2020-09-01-hybrid only\naz is logged "
						"in to https://127.0.0.1:1; each shell that runs it needs:\n"
						"export REQUESTS_CA_BUNDLE=%s/ca.pem\n*",
		state);
	g_autofree char *login = g_strdup_printf("%s/ca.pem login --service-principal -u me", state);

	az_env(state, "good", &(struct test_case){words, CLI_OK, last});
	g_test_trap_assert_stderr_unmatched("*misleading*");
	g_assert_true(g_file_get_contents(told_path, &told, NULL, NULL));
	g_assert_nonnull(
		strstr(told, "cloud update --name sluice --endpoint-resource-manager https://127.0.0.1:1"));
	g_assert_nonnull(strstr(told, login));
	g_assert_nonnull(strstr(told, "cloud update --profile 2020-09-01-hybrid\n"));
	az_env(state, "bad",
		&(struct test_case){
			words, CLI_FAILED, "*az login --service-principal' failed:*no such secret\n"});
	for (const char *const *name = (const char *const[]){"endpoint", "az", "principal.json",
		     "principal.secret", "told", NULL};
		*name; name++) {
		g_autofree char *path = g_build_filename(state, *name, NULL);
		g_assert_cmpint(g_unlink(path), ==, 0);
	}
	g_assert_cmpint(g_rmdir(state), ==, 0);
}

static void test_capture(void)
{
	test_cases_answer(run);
	g_autofree char *state = g_dir_make_tmp("sluice-verbs-XXXXXX", NULL), *text = NULL;
	g_autofree char *path = g_build_filename(state, "old.pcapng", NULL);
	g_autofree char *words = g_strdup_printf("mirror nic -w %s", path);

	g_assert_true(g_file_set_contents(path, "kept", -1, NULL));
	assert_case(&(struct test_case){words, CLI_FAILED, "*no cloud runs on *"}, state);
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "kept");
	g_assert_cmpint(g_unlink(path), ==, 0);
	g_assert_cmpint(g_rmdir(state), ==, 0);
}

/* ---- an agent alone: its switch is away, and it does not reach the controller ---- */

struct lone_agent {
	char *socket;
	GMainContext *context;
	GMainLoop *loop;
	struct jsonrpc_server *server;
	bool drained;
};

static json_t *answer_status(json_t *params, void *data, GError **error)
{
	return json_pack("{s:s, s:b, s:s, s:s}", "host", "a", "drained", ((struct lone_agent *)data)->drained,
		"controller", "not reached", "switch", "in step");
}

static const struct jsonrpc_method agent_methods[] = {{"status", answer_status}, {NULL, NULL}};

static void *run_agent(void *data)
{
	struct lone_agent *agent = data;

	g_main_context_push_thread_default(agent->context);
	g_main_loop_run(agent->loop);
	jsonrpc_server_free(agent->server);
	g_main_context_pop_thread_default(agent->context);
	return NULL;
}

static GThread *start_agent(struct lone_agent *agent, const char *state)
{
	g_autofree char *dir = g_build_filename(state, "run", NULL);
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(g_mkdir(dir, 0755), ==, 0);
	agent->socket = g_build_filename(state, CLI_AGENT_SOCKET, NULL);
	agent->context = g_main_context_new();
	agent->loop = g_main_loop_new(agent->context, false);
	g_main_context_push_thread_default(agent->context);
	agent->server = jsonrpc_serve(agent->socket, agent_methods, agent, &error);
	g_main_context_pop_thread_default(agent->context);
	g_assert_no_error(error);
	return g_thread_new("agent", run_agent, agent);
}

static gboolean quit(void *loop)
{
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

static void stop_agent(struct lone_agent *agent, GThread *thread, const char *state)
{
	g_main_context_invoke(agent->context, quit, agent->loop);
	g_thread_join(thread);
	discard(state, CLI_AGENT_SOCKET);
	g_main_loop_unref(agent->loop);
	g_main_context_unref(agent->context);
	g_free(agent->socket);
}

static void test_status(void)
{
	struct lone_agent agent = {};

	test_cases_answer(run);
	g_autofree char *state = g_dir_make_tmp("sluice-verbs-XXXXXX", NULL);
	GThread *thread = start_agent(&agent, state);
	assert_case(&(struct test_case){"status", CLI_FAILED,
			    "*the controller does not answer this host's agent\n"},
		state);
	g_test_trap_assert_stdout("*switch       not reached\n*");
	g_test_trap_assert_stdout_unmatched("*in step*");
	g_test_trap_assert_stdout_unmatched("*drained*");
	agent.drained = true;
	assert_case(&(struct test_case){"status", CLI_FAILED, "*"}, state);
	g_test_trap_assert_stdout("*host         a\n  drained      yes: *until 'sluice host undrain'\n*");
	assert_case(&(struct test_case){"status --json", CLI_FAILED, "*"}, state);
	g_test_trap_assert_stdout("*\"drained\": true*");
	stop_agent(&agent, thread, state);
	g_assert_cmpint(g_rmdir(state), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/verbs/all say alike that no cloud runs, and once", test_no_cloud);
	g_test_add_func("/verbs/words that are not taken are refused with a sentence", test_words);
	g_test_add_func(
		"/verbs/az-env brings a known cloud up to date and ends with what to export", test_az_env);
	g_test_add_func("/verbs/a capture is kept when the next one cannot begin", test_capture);
	g_test_add_func(
		"/verbs/status fails when a part does not answer, also the controller, and says that the "
		"host is drained",
		test_status);
	g_test_add_func("/verbs/a part that alone is away is asked all the same", test_client);
	return g_test_run();
}
