/* What `sluice host drain` and `sluice vf list` make of an agent's answers, and of the controller's; what `sluice host show` prints
 * of devices. */
#include "base/jsonrpc.h"
#include "cli/cli.h"
#include "cli/host_priv.h"
#include "cli/test_case.h"
#include "cli/test_controller.h"
#include "nic/inventory.h"

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
			json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "nic", "n1", "nic_name", "web", "vm", "v",
				"function", "sl-f0", "state", "unplugging", "reason",
				"Its guest is about to be asked."));
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

	if (g_str_has_suffix(path, "/gone")) {
		test_controller_reply(message, 404,
			"{\"error\": {\"code\": \"x\", \"message\": \"there is no host gone\"}}");
		return;
	}
	if (g_str_has_suffix(path, "/hosts/b")) {
		bool lost = query && g_strcmp0(g_hash_table_lookup(query, "lost"), "true") == 0;
		g_assert_cmpstr(soup_server_message_get_method(message), ==, "DELETE");
		text = lost ? "{\"host\": \"b\", \"lost\": [\"rg/web\"]}" : "{\"host\": \"b\", \"lost\": []}";
	} else if (g_str_has_suffix(path, "/hosts"))
		text = "{\"hosts\": [{\"name\": \"h10\", \"silent\": true, \"drained\": true}, "
		       "{\"name\": \"h2\", \"silent\": false, \"drained\": false, \"vms\": 0}, "
		       "{\"name\": \"h1\", \"silent\": false, \"drained\": true, \"vms\": 2, \"vcpus\": 4, "
		       "\"memoryMib\": 8192, \"availableMib\": 1536, \"provider\": \"emulated\", \"vtep\": "
		       "null, \"faultDomain\": \"rack-1\", \"version\": \"0.1\", "
		       "\"conditions\": [\"it has no underlay\"]}, {\"name\": \"h9\", \"silent\": false}]}";
	else if (g_str_has_suffix(path, "/virtual-machines"))
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
	{"host drain --timeout 0", CLI_FAILED,
		"sluice host: NIC web of VM v still has sl-f0 after 0 s: Its guest is about to be asked.\n*",
		""},
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

/* ---- list ---- */

static const struct test_case lists[] = {
	{"host list", CLI_OK,
		"HOST *STATE *VMS *FAULT DOMAIN VERSION\n"
		"h1 *drained *2 *4 *8.0 *1.5 emulated *- *rack-1 *0.1\nh2 *ready *0 *\nh9 *awaited *- *\n"
		"h10 *silent *\n"
		"h1: it has no underlay\n",
		""},
	{"host list --json", CLI_OK, "{\"hosts\":[{\"name\":\"h1\",*\"drained\":true*h10*\n", ""},
};

static void test_list(void)
{
	test_controller_assert(run_case, answer, NULL, lists, G_N_ELEMENTS(lists));
}

/* ---- removal ---- */

static const struct test_case removals[] = {
	{"host remove b", CLI_OK, "host b is removed\n", ""},
	{"host remove b --lost", CLI_OK,
		"host b is removed\nvirtual machine rg/web is lost; it can be deleted\n", ""},
	{"host remove b --lost --json", CLI_OK, "{\"host\":\"b\",\"lost\":[\"rg/web\"]}\n", ""},
};

static void write_file(const char *dir, const char *name)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);

	g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
	g_assert_true(g_file_set_contents(path, "x", -1, NULL));
}

/* Its certificates go, others stay. */
static void test_remove(void)
{
	static const char *const files[] = {"ca.pem", "host.pem", "host.key"};
	_cleanup_(test_controller_close) struct test_controller controller;

	test_cases_answer(run_case);
	test_controller_open(&controller, answer, NULL);
	g_autofree char *tls = g_build_filename(controller.state, "tls", NULL),
			*hosts = g_build_filename(tls, "hosts", NULL),
			*bundle = g_build_filename(hosts, "b", NULL),
			*own = g_build_filename(tls, "host.pem", NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
		write_file(bundle, files[i]);
	write_file(tls, "host-b.pem");
	write_file(tls, "host-b.key");
	write_file(tls, "host.pem");
	g_setenv("SLUICE_STATE", controller.state, true);
	test_cases_assert(removals, G_N_ELEMENTS(removals));
	/* Nothing else is there any more. */
	g_assert_cmpint(g_rmdir(hosts), ==, 0);
	g_assert_cmpint(g_unlink(own), ==, 0);
	g_assert_cmpint(g_rmdir(tls), ==, 0);
}

/* A command that was cut off between the controller and the files is repeated. */
static const struct test_case tidied[] = {
	{"host remove gone", CLI_OK, "the cloud has no host gone; its certificates are removed here\n", ""},
	{"host remove gone", CLI_FAILED, "sluice host: there is no host gone\n", ""},
	{"host remove ./gone", CLI_FAILED, "sluice host: there is no host gone\n", ""},
};

static void test_tidy(void)
{
	_cleanup_(test_controller_close) struct test_controller controller;

	test_cases_answer(run_case);
	test_controller_open(&controller, answer, NULL);
	g_autofree char *tls = g_build_filename(controller.state, "tls", NULL),
			*hosts = g_build_filename(tls, "hosts", NULL),
			*bundle = g_build_filename(hosts, "gone", NULL),
			*own = g_build_filename(tls, "host.pem", NULL);
	write_file(bundle, "host.pem");
	write_file(tls, "host-gone.pem");
	write_file(tls, "host-gone.key");
	write_file(tls, "host.pem");
	g_setenv("SLUICE_STATE", controller.state, true);
	test_cases_assert(tidied, 2);
	write_file(bundle, "host.pem");
	test_cases_assert(tidied + 2, 1); /* what is no name leads to no files */
	test_cases_assert(tidied, 1);
	g_assert_cmpint(g_rmdir(hosts), ==, 0);
	g_assert_cmpint(g_unlink(own), ==, 0);
	g_assert_cmpint(g_rmdir(tls), ==, 0);
}

/* ---- devices ---- */

static struct nic_vf *vf_new(unsigned index, const char *address, const struct vf_attributes *attributes)
{
	struct nic_vf *vf = g_new0(struct nic_vf, 1);

	vf->index = index;
	vf->address = g_strdup(address);
	vf->iommu_group = INVENTORY_NONE;
	vf->attributes = *attributes;
	return vf;
}

static void vf_free(struct nic_vf *vf)
{
	g_free(vf->address);
	g_free(vf);
}

/* One with three VFs: what can be said of one is; another's driver tells little; and there is one without limits. */
static GPtrArray *devices_new(void)
{
	static const struct vf_attributes attributes[] = {
		{.known = VF_MAC | VF_VLAN | VF_SPOOFCHK | VF_TRUST | VF_RATE | VF_LINK,
			.mac = {{0, 0x0d, 0x3a, 0, 0, 7}},
			.vlan = 100,
			.priority = 3,
			.spoofchk = true,
			.min_rate = 10,
			.max_rate = 200,
			.link = VF_LINK_ENABLE},
		{.known = VF_MAC},
		{.known = VF_VLAN | VF_TRUST | VF_RATE, .trust = true},
	};
	GPtrArray *pfs = g_ptr_array_new_with_free_func((GDestroyNotify)nic_pf_free);
	struct nic_pf *pf = g_new0(struct nic_pf, 1);

	pf->address = g_strdup("0000:3b:00.0");
	pf->netdev = g_strdup("ens1f0");
	pf->sriov = true;
	pf->total_vfs = 7;
	pf->num_vfs = G_N_ELEMENTS(attributes);
	pf->queues =
		(struct ethtool_queues){.count = {[ETHTOOL_COMBINED] = 4}, .max = {[ETHTOOL_COMBINED] = 8}};
	pf->vfs = g_ptr_array_new_with_free_func((GDestroyNotify)vf_free);
	for (unsigned i = 0; i < G_N_ELEMENTS(attributes); i++) {
		g_autofree char *address = g_strdup_printf("0000:3b:10.%u", i);
		g_ptr_array_add(pf->vfs, vf_new(i, address, &attributes[i]));
	}
	g_ptr_array_add(pfs, pf);
	return pfs;
}

static void print_devices(void)
{
	g_autoptr(GPtrArray) pfs = devices_new();
	json_auto_t *encoded = inventory_encode(pfs);

	host_add_vms(NULL, encoded);
	host_print(pfs, encoded);
}

static void test_show(void)
{
	if (g_test_subprocess()) {
		print_devices();
		return;
	}
	g_autofree char *state = g_dir_make_tmp("sluice-host-XXXXXX", NULL);
	struct agent agent;

	agent_open(&agent, state);
	g_setenv("SLUICE_STATE", state, true);
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
	g_test_trap_assert_stdout("ADDRESS *REPRESENTOR QUEUES\n0000:3b:00.0 * 3/7 * 4/8\n*");
	g_test_trap_assert_stdout("*\nPORT *VF ADDRESS *MAC *VLAN QOS SPOOFCHK TRUST *RATE LINK *VM\n*");
	g_test_trap_assert_stdout("*\nens1f0 *0 0000:3b:10.0 00:0d:3a:00:00:07 *100 *3 on *off "
				  "*10-200 Mbit/s enable v\n*");
	g_test_trap_assert_stdout("*\nens1f0 *1 0000:3b:10.1 00:00:00:00:00:00 *- *- - *- *- - *-\n*");
	g_test_trap_assert_stdout("*\nens1f0 *2 0000:3b:10.2 - *none *0 - *on *none - *-\n*");
	agent_close(&agent);
	g_assert_cmpint(g_rmdir(state), ==, 0);
	g_test_trap_subprocess(NULL, 0, 0); /* without an agent */
	g_test_trap_assert_passed();
	g_test_trap_assert_stdout("*\nens1f0 *0 0000:3b:10.0 * enable -\n*");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/host/a drain is told as it goes, or as one document; statistics where there are some",
		test_drain);
	g_test_add_func(
		"/host/a drain without a controller tells what it has done, as one document", test_alone);
	g_test_add_func("/host/hosts are listed by name, drained ones and silent ones as such", test_list);
	g_test_add_func(
		"/host/a removed host's certificates go, and its lost machines are named", test_remove);
	g_test_add_func("/host/a removal that was cut off can be repeated", test_tidy);
	g_test_add_func("/host/what each VF may do is a table, as far as the driver tells it, with its VM "
			"where the agent does",
		test_show);
	return g_test_run();
}
