/* `sluice policy` against a switch that has nothing but a state. */
#include "base/jsonrpc.h"
#include "cli/cli.h"
#include "cli/test_case.h"

#include <glib/gstdio.h>

static const char state_text[] =
	"{\"generation\": 7, \"outside\": null, \"host_port\": null,"
	" \"groups\": ["
	"  {\"uid\": \"g1\", \"name\": \"web\", \"revalidate\": true, \"rules\": ["
	"   {\"name\": \"ssh\", \"direction\": \"inbound\", \"priority\": 100, \"protocol\": \"tcp\","
	"    \"action\": \"allow\", \"source\": {\"tags\": [\"Internet\"], \"groups\": [3]},"
	"    \"destination\": {\"any\": true, \"ports\": [[22, 22], [8000, 8080]]}},"
	"   {\"name\": \"sctp\", \"direction\": \"inbound\", \"priority\": 110, \"protocol\": 132,"
	"    \"action\": \"allow\", \"source\": {\"prefixes\": [\"9.0.0.0/8\"]}, \"destination\": {\"any\": "
	"true}}]},"
	"  {\"uid\": \"g2\", \"name\": \"closed\", \"revalidate\": true, \"rules\": ["
	"   {\"name\": \"nobody\", \"direction\": \"outbound\", \"priority\": 100, \"protocol\": \"any\","
	"    \"action\": \"deny\", \"source\": {\"any\": true}, \"destination\": {\"any\": true}}]}],"
	" \"networks\": [{\"uid\": \"n1\", \"vni\": 4096, \"prefixes\": [\"192.168.0.0/16\"],"
	"   \"application_groups\": [{\"number\": 3, \"name\": \"jump\", \"members\": [\"192.168.1.9/32\"]}],"
	"   \"subnets\": [{\"uid\": \"s1\", \"group\": \"g2\"}, {\"uid\": \"s2\", \"group\": null}]}],"
	" \"nics\": ["
	"  {\"uid\": \"u1\", \"name\": \"one\", \"network\": \"n1\", \"subnet\": \"s2\", \"group\": \"g1\","
	"   \"addresses\": [{\"ip\": \"192.168.1.4\", \"public\": \"203.0.113.10\", \"standard\": true}]},"
	"  {\"uid\": \"u2\", \"name\": \"two\", \"network\": \"n1\", \"subnet\": \"s1\", \"group\": \"g1\","
	"   \"addresses\": [{\"ip\": \"192.168.1.5\", \"public\": null, \"standard\": false}]},"
	"  {\"uid\": \"u3\", \"name\": \"bare\", \"network\": \"n1\", \"subnet\": \"s2\", \"group\": null,"
	"   \"addresses\": [{\"ip\": \"192.168.1.6\", \"public\": \"203.0.113.12\", \"standard\": true}]}]}";

static json_t *on_state(json_t *params, void *data, GError **error)
{
	return json_loads(state_text, 0, NULL);
}

static const struct jsonrpc_method methods[] = {{"state", on_state}, {NULL, NULL}};

struct service {
	GMainContext *context;
	GMainLoop *loop;
	struct jsonrpc_server *server;
	char *dir, *folder, *socket;
};

static void *serve(void *data)
{
	struct service *service = data;

	g_main_context_push_thread_default(service->context);
	g_main_loop_run(service->loop);
	jsonrpc_server_free(service->server);
	g_main_context_pop_thread_default(service->context);
	return NULL;
}

static gboolean quit(void *loop)
{
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

/* The verb with its words, beside a switch's socket; its exit status. */
static int run(const char *words)
{
	struct service service = {.context = g_main_context_new()};
	g_autofree char *line = NULL;

	service.loop = g_main_loop_new(service.context, false);
	service.dir = g_dir_make_tmp("sluice-policy-XXXXXX", NULL);
	service.folder = g_build_filename(service.dir, "switch", NULL);
	service.socket = g_build_filename(service.folder, "switch.sock", NULL);
	g_assert_cmpint(g_mkdir(service.folder, 0700), ==, 0);
	g_main_context_push_thread_default(service.context);
	service.server = jsonrpc_serve(service.socket, methods, NULL, NULL);
	g_main_context_pop_thread_default(service.context);
	g_assert_nonnull(service.server);
	GThread *thread = g_thread_new("switch", serve, &service);

	line = g_strdup_printf("policy --state %s %s", service.dir, words);
	int status = test_case_call(cli_policy, line);

	g_main_context_invoke(service.context, quit, service.loop);
	g_thread_join(thread);
	g_main_loop_unref(service.loop);
	g_main_context_unref(service.context);
	g_rmdir(service.folder);
	g_rmdir(service.dir);
	g_free(service.dir);
	g_free(service.folder);
	g_free(service.socket);
	return status;
}

static void test_check(void)
{
	static const struct test_case cases[] = {
		{"check one --src 9.9.9.9 --dport 22", CLI_OK,
			"*allow: inbound tcp from 9.9.9.9:49152 to 192.168.1.4:22\n"
			"  NIC group web: allow by rule ssh, priority 100\n*"},
		{"check u1 --src 9.9.9.9 --dst 203.0.113.10 --dport 23", CLI_OK,
			"*deny: inbound tcp from 9.9.9.9:49152 to 192.168.1.4:23\n"
			"  NIC group web: deny by rule DenyAllInBound, priority 65500\n*"},
		{"check one --src 192.168.1.9 --dport 8080 --sport 7", CLI_OK,
			"*allow: inbound tcp from 192.168.1.9:7*by rule ssh*"},
		{"check two --dst 8.8.8.8 --proto UDP --dport 53", CLI_OK,
			"*deny: outbound udp from 192.168.1.5:49152 to 8.8.8.8:53\n"
			"  NIC group web: allow by rule AllowInternetOutBound, priority 65001\n"
			"  subnet group closed: deny by rule nobody, priority 100\n*"},
		{"check one --dport 22", CLI_OK,
			"*allow: inbound tcp from 198.51.100.1:49152 to 192.168.1.4:22\n*by rule ssh*"},
		{"check one --src 9.9.9.9 --proto 132", CLI_OK,
			"*allow: inbound 132 from 9.9.9.9 to 192.168.1.4\n*by rule sctp*"},
		{"check one --direction inbound --proto icmp", CLI_OK,
			"*deny: inbound icmp from 198.51.100.1 to 192.168.1.4\n*"},
		{"check bare --src 9.9.9.9 --dport 22", CLI_OK, "*deny: *Standard public address*"},
		{"check bare --src 192.168.1.4 --dport 22", CLI_OK, "*allow: *neither*has a group*"},
		{"check two --dst 169.254.169.254 --dport 80", CLI_OK, "*allow: *platform address*"},
	};

	test_cases_answer(run);
	test_cases_assert(cases, G_N_ELEMENTS(cases));
}

static void test_check_json(void)
{
	static const struct test_case cases[] = {
		{"check two --dst 8.8.8.8 --proto udp --dport 53 --json", CLI_OK,
			"*\"verdict\": \"deny\"*\"rule\": \"AllowInternetOutBound\"*\"rule\": \"nobody\"*"
			"\"nic\": \"u2\"*\"sport\": 49152*"},
	};

	test_cases_answer(run);
	test_cases_assert(cases, G_N_ELEMENTS(cases));
}

static void test_effective(void)
{
	static const struct test_case cases[] = {
		{"effective one", CLI_OK,
			"*inbound\n*AT*GROUP*PRIORITY*RULE*ACTION*\n"
			"nic*web*100*ssh*allow*tcp*Internet, jump*22, 8000-8080*\n*132*\n*outbound\n*"
			"VirtualNetwork: 168.63.129.16/32, 192.168.0.0/16\n*jump: 192.168.1.9/32\n*"},
		{"effective two", CLI_OK, "*subnet*closed*nic*web*outbound*nic*web*subnet*closed*nobody*"},
		{"effective bare", CLI_OK, "*bare has no security group*Standard public address*"},
		{"effective one --json", CLI_OK,
			"*\"inbound\"*\"resolved\"*\"0.0.0.0/1\"*\"nic_name\": \"one\"*"},
	};

	test_cases_answer(run);
	test_cases_assert(cases, G_N_ELEMENTS(cases));
}

static void test_refusals(void)
{
	static const struct test_case cases[] = {
		{"effective three", CLI_FAILED, "*no NIC called three*"},
		{"effective", CLI_USAGE, "*a NIC is needed, by its uid or name*"},
		{"check one --src 9.9.9.9", CLI_USAGE, "*--dport is needed*"},
		{"check one --src 9.9.9.9 --dport 65536", CLI_USAGE, "*65536 is no port*"},
		{"check one --src 9.9.9.9 --dport -1", CLI_USAGE, "*--dport: -1 is no port\n"},
		{"check one --src 9.9.9.9 --dport 22 --sport -1", CLI_USAGE, "*--sport: -1 is no port\n"},
		{"check one --src 9.9.9.9 --proto icmp --dport -1", CLI_USAGE,
			"*--dport: only tcp and udp have ports\n"},
		{"effective one --sport -1", CLI_USAGE, "*'check NIC' asks about a packet\n"},
		{"check one --src 9.9.9.9 --proto icmp --dport 1", CLI_USAGE,
			"*only tcp and udp have ports*"},
		{"check one --src 9.9.9.9 --proto quic", CLI_USAGE, "*--proto: 'quic' is none of*"},
		{"check one --src 9.9.9 --dport 1", CLI_USAGE, "*--src: '9.9.9' is no IP address*"},
		{"check one --src fd00::1 --dport 1", CLI_USAGE,
			"*no such address of the other end's family*"},
		{"check one --src 192.168.1.5 --dst 203.0.113.10 --dport 22", CLI_USAGE,
			"*192.168.1.5 is of one's own network*say that*or --dst 192.168.1.4*"},
		{"check one --src 9.9.9.9 --dst 8.8.8.8 --dport 1", CLI_USAGE,
			"*neither --src nor --dst is*one*"},
		{"check one --direction up --dport 1", CLI_USAGE, "*--direction: 'up' is none of*"},
	};

	test_cases_answer(run);
	test_cases_assert(cases, G_N_ELEMENTS(cases));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cli_policy/check names the rule of each group", test_check);
	g_test_add_func("/cli_policy/check says the same in JSON", test_check_json);
	g_test_add_func("/cli_policy/effective lists rules and what names stand for", test_effective);
	g_test_add_func("/cli_policy/what cannot be answered is refused with a sentence", test_refusals);
	return g_test_run();
}
