/* `sluice up`: the parts of a cloud as child processes: how each is started, when it is ready, how all are
 * stopped. */
#include "base/fault.h"
#include "base/jsonrpc.h"
#include "base/log.h"
#include "cli/listen.h"
#include "cli/up_priv.h"
#include "vm/vm.h"

#include <gio/gio.h>
#include <jansson.h>
#include <stdint.h>
#include <string.h>

/* What dies is noticed by itself; a busy host takes over a minute for the agent and its libvirt. */
#define READY_MS        180000
#define CONNECT_S       5
#define ANSWER_MS       1000
#define POLL_MS         50
#define STOP_GRACE_S    10
#define VM_STOP_GRACE_S 15

/* ---- children ---- */

/* Starts one of our programs: the config needs its name, the rest follows. */
static struct process *start(
	const struct cloud *cloud, struct process_config config, GPtrArray *args, GError **error)
{
	g_autofree char *log_path = g_strdup_printf("%s/%s.log", cloud->layout->logs, config.name);
	g_autofree char *program = layout_program(config.name, error);

	if (!program)
		return NULL;
	g_ptr_array_insert(args, 0, g_strdup(program));
	g_ptr_array_add(args, NULL);
	config.log_path = log_path;
	config.argv = (const char *const *)args->pdata;
	return process_start(&config, error);
}

static void add(GPtrArray *args, const char *option, const char *value)
{
	g_ptr_array_add(args, g_strdup(option));
	g_ptr_array_add(args, g_strdup(value));
}

static void add_tls(const struct cloud *cloud, GPtrArray *args, const char *name)
{
	static const struct {
		const char *option, *suffix;
	} files[] = {{"--cert", ".pem"}, {"--key", ".key"}};

	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_strdup_printf("%s/%s%s", cloud->layout->tls, name, files[i].suffix);
		add(args, files[i].option, path);
	}
	g_autofree char *ca = g_build_filename(cloud->layout->tls, "ca.pem", NULL);
	add(args, "--ca", ca);
}

static struct process *start_controller(const struct cloud *cloud, GError **error)
{
	g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);
	const struct up_options *o = &cloud->options;
	char ratio[G_ASCII_DTOSTR_BUF_SIZE];
	g_autofree char *reach = listen_reach(o->listen), *url = g_strdup_printf("https://%s", reach);
	g_autofree char *aliases = g_build_filename(up_image_dir(cloud), "aliases.json", NULL);

	add(args, "--state", cloud->layout->controller);
	add(args, "--listen", o->listen);
	add(args, "--agent-listen", o->agent_listen);
	add(args, "--advertise", url);
	add_tls(cloud, args, "controller");
	add(args, "--sizes", o->sizes ? o->sizes : cloud->layout->sizes);
	add(args, "--aliases", aliases);
	add(args, "--locations", o->locations);
	add(args, "--public-prefix", o->public_prefix);
	add(args, "--public-gateway", o->public_gateway);
	add(args, "--cpu-allocation-ratio", g_ascii_dtostr(ratio, sizeof ratio, o->cpu_ratio));
	add(args, "--ram-allocation-ratio", g_ascii_dtostr(ratio, sizeof ratio, o->ram_ratio));
	add(args, "--print-principal", cloud->layout->principal);
	if (o->no_default_outbound)
		g_ptr_array_add(args, g_strdup("--no-default-outbound"));
	return start(cloud, (struct process_config){.name = "sluice-controller"}, args, error);
}

static struct process *start_switch(const struct cloud *cloud, GError **error)
{
	g_autoptr(GPtrArray) args =
		up_switch_arguments(&cloud->options, cloud->layout->switch_socket, cloud->layout->switch_);
	g_autofree char *netns = up_switch_netns(cloud);
	const struct process_config config = {
		.name = "sluice-switch",
		.oom_score_adj = -1000,
		.runtime_dir = cloud->layout->switch_, /* DPDK's files, else in /tmp */
		.netns = netns,
		.account = &cloud->switch_account,
	};
	return start(cloud, config, args, error);
}

static void add_underlay(const struct up_options *o, GPtrArray *args)
{
	g_autofree char *mtu = g_strdup_printf("%d", o->underlay_mtu);

	if (!o->underlay)
		return;
	add(args, "--underlay", o->underlay);
	add(args, "--underlay-address", o->underlay_address);
	add(args, "--underlay-mtu", mtu);
	if (o->underlay_gateway)
		add(args, "--underlay-gateway", o->underlay_gateway);
}

static struct process *start_agent(const struct cloud *cloud, GError **error)
{
	g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);
	const struct up_options *o = &cloud->options;
	g_autofree char *reach = listen_reach(o->agent_listen), *here = g_strdup_printf("https://%s", reach);
	const char *slash = strchr(o->public_prefix, '/');
	g_autofree char *outside = g_strdup_printf("%s%s", o->public_gateway, slash ? slash : "/32");

	add(args, "--host-name", g_get_host_name());
	add(args, "--state", cloud->layout->agent);
	add(args, "--run", cloud->layout->run);
	add(args, "--controller", o->controller ? o->controller : here);
	add_tls(cloud, args, "host");
	add(args, "--libvirt-uri", vm_daemon_uri(cloud->daemon));
	add(args, "--qemu-dir", vm_daemon_qemu_dir(cloud->daemon));
	add(args, "--libvirt-pid-file", vm_daemon_pid_file(cloud->daemon));
	add(args, "--image-dir", up_image_dir(cloud));
	add(args, "--vm", "libvirt");
	add(args, "--provider", "auto");
	add(args, "--host-file", o->host_file);
	add(args, "--switch-socket", cloud->layout->switch_socket);
	if (!cloud->on_physicals)
		add(args, "--netns-switch", cloud->layout->netns);
	add(args, "--netns-meta", cloud->layout->meta_netns);
	add(args, "--outside", o->outside);
	add(args, "--outside-interface", cloud->layout->outside_interface);
	add(args, "--outside-address", outside);
	add_underlay(o, args);
	if (o->tunnel)
		add(args, "--tunnel", o->tunnel);
	return start(cloud, (struct process_config){.name = "sluice-agent"}, args, error);
}

static void become_libvirt(const void *data)
{
	vm_daemon_exec(data);
}

static struct process *start_libvirt(const struct cloud *cloud, GError **error)
{
	g_autofree char *log_path = g_build_filename(cloud->layout->logs, "libvirtd.log", NULL);
	const struct process_config config = {
		.name = "libvirtd",
		.log_path = log_path,
		.become = become_libvirt,
		.become_data = cloud->daemon,
	};

	return process_start(&config, error);
}

/* ---- waiting for them ---- */

static bool libvirt_ready(const struct cloud *cloud)
{
	return vm_daemon_is_up(cloud->daemon);
}

static json_t *ask(const char *socket, const char *method)
{
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(socket);

	return jsonrpc_call(client, method, NULL, ANSWER_MS, NULL);
}

static bool switch_ready(const struct cloud *cloud)
{
	json_auto_t *version = ask(cloud->layout->switch_socket, "version");

	return version != NULL;
}

/* An agent that has not reached the controller would let the first VM wait. But one of another machine's cloud
 * works on the goal that it has, whether that controller is up or not. */
static bool agent_ready(const struct cloud *cloud)
{
	json_auto_t *status = ask(cloud->layout->agent_socket, "status");

	if (cloud->options.controller)
		return status != NULL;
	return g_strcmp0(json_string_value(json_object_get(status, "controller")), "connected") == 0;
}

static void trust_own_ca(GSocketClient *client, GSocketClientEvent event, GSocketConnectable *to,
	GIOStream *stream, void *data)
{
	const struct cloud *cloud = data;
	g_autofree char *path = g_build_filename(cloud->layout->tls, "ca.pem", NULL);
	g_autoptr(GTlsDatabase) ca =
		event == G_SOCKET_CLIENT_TLS_HANDSHAKING ? g_tls_file_database_new(path, NULL) : NULL;

	if (ca)
		g_tls_connection_set_database(G_TLS_CONNECTION(stream), ca);
}

/* Somebody with a certificate of this cloud's CA answers: not just anybody who has the port. */
static bool controller_ready(const struct cloud *cloud)
{
	g_autoptr(GSocketClient) client = g_socket_client_new();
	g_autofree char *reach = listen_reach(cloud->options.listen);

	if (!process_pid(cloud->controller) || !g_file_test(cloud->layout->principal, G_FILE_TEST_EXISTS))
		return false;
	g_socket_client_set_tls(client, TRUE);
	g_socket_client_set_timeout(client, CONNECT_S);
	g_signal_connect(client, "event", G_CALLBACK(trust_own_ca), (void *)cloud);
	g_autoptr(GSocketConnection) connection =
		g_socket_client_connect_to_host(client, reach, 0, NULL, NULL);
	return connection != NULL;
}

/* Its last words. Owned by the caller. */
static char *last_line(const struct process *process)
{
	g_autofree char *text = NULL;

	if (!g_file_get_contents(process_log(process), &text, NULL, NULL))
		return g_strdup("");
	g_strchomp(text);
	const char *newline = strrchr(text, '\n');
	return g_strdup(newline ? newline + 1 : text);
}

/* Runs the main loop (so that what dies is started again) until the part answers. A part that dies three
 * times before it ever answered will not get better by waiting. */
static bool wait_for(struct cloud *cloud, const char *what, bool (*ready)(const struct cloud *cloud),
	const struct process *process, GError **error)
{
	int64_t limit = g_get_monotonic_time() + READY_MS * INT64_C(1000);

	while (!ready(cloud)) {
		if (cloud->stopping)
			return fault_set(error, FAULT_UNAVAILABLE, "stopped before it was ready");
		if (g_get_monotonic_time() > limit || process_deaths(process) >= 3) {
			g_autofree char *words = last_line(process);
			return fault_set(error, FAULT_UNAVAILABLE,
				"%s does not come up; the last line of %s is: %s", what, process_log(process),
				words);
		}
		while (g_main_context_iteration(NULL, FALSE))
			;
		g_usleep(POLL_MS * 1000);
	}
	return true;
}

/* The parts that need nothing of each other. */
static bool start_first(struct cloud *cloud, GError **error)
{
	cloud->libvirt = start_libvirt(cloud, error);
	cloud->switch_ = cloud->libvirt ? start_switch(cloud, error) : NULL;
	if (!cloud->switch_ || cloud->options.controller)
		return cloud->switch_ != NULL;
	cloud->controller = start_controller(cloud, error);
	return cloud->controller &&
	       wait_for(cloud, "the controller", controller_ready, cloud->controller, error);
}

bool up_start_parts(struct cloud *cloud, GError **error)
{
	if (!start_first(cloud, error) ||
		!wait_for(cloud, "the switch", switch_ready, cloud->switch_, error) ||
		!wait_for(cloud, "the libvirt daemon", libvirt_ready, cloud->libvirt, error))
		return false;
	cloud->agent = start_agent(cloud, error);
	return cloud->agent && wait_for(cloud, "the agent", agent_ready, cloud->agent, error);
}

/* ---- stopping ---- */

struct stopping {
	struct vm_manager *manager;
	char *uid;
};

static void *stop_vm(void *data)
{
	struct stopping *stopping = data;
	g_autoptr(GError) failure = NULL;

	if (!stopping->manager->ops->stop(stopping->manager, stopping->uid, VM_STOP_GRACE_S, &failure))
		log_warn(stopping->uid, "virtual machine is left running: %s", failure->message);
	return NULL;
}

/* Turns all VMs off, side by side; what their users want stays recorded, so the next start brings them back.
 */
static void stop_vms(const struct cloud *cloud)
{
	g_autoptr(GError) failure = NULL;
	const struct vm_libvirt_config config = {
		.uri = vm_daemon_uri(cloud->daemon), .image_dir = up_image_dir(cloud)};
	_cleanup_(vm_manager_close) struct vm_manager *manager =
		vm_libvirt_open(&config, NULL, NULL, &failure);
	g_autoptr(GPtrArray) vms = manager ? manager->ops->list(manager, &failure) : NULL;
	g_autofree struct stopping *stopping = vms ? g_new0(struct stopping, vms->len + 1) : NULL;
	g_autofree GThread **threads = vms ? g_new0(GThread *, vms->len + 1) : NULL;

	if (!vms) {
		log_warn("up", "virtual machines may be left running: %s", failure->message);
		return;
	}
	for (guint i = 0; i < vms->len; i++) {
		const struct vm_info *info = vms->pdata[i];
		stopping[i] = (struct stopping){manager, info->uid};
		if (info->state == VM_RUNNING)
			threads[i] = g_thread_new("stop-vm", stop_vm, &stopping[i]);
	}
	for (guint i = 0; i < vms->len; i++)
		if (threads[i])
			g_thread_join(threads[i]);
}

void up_stop_parts(struct cloud *cloud)
{
	bool had_agent = cloud->agent != NULL;

	process_stop(cloud->agent, STOP_GRACE_S);
	if (had_agent)
		stop_vms(cloud);
	process_stop(cloud->controller, STOP_GRACE_S);
	if (had_agent)
		json_decref(ask(cloud->layout->switch_socket, "flow.forget")); /* they ended with the VMs */
	process_stop(cloud->switch_, STOP_GRACE_S);
	process_stop(cloud->libvirt, STOP_GRACE_S);
}
