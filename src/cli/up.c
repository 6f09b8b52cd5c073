/* `sluice up`: a whole cloud on one machine, as supervised processes.
 *
 * How it works. Four children, each with its own log file: a libvirt daemon, the switch, the controller and
 * the agent. The first three need nothing of each other and start together; the agent starts when they
 * answer. Everything that is kept lies below the state folder, all that is not a file carries the state
 * folder's hash in its name, so several clouds can run side by side and a cloud that is started again finds
 * what it left.
 *
 * What dies is started again (process.h). SIGTERM and SIGINT stop in this order: the agent, which turns the
 * VMs off and takes the interfaces down, then the controller, the switch, the libvirt daemon.
 */
#include "base/fault.h"
#include "base/ip.h"
#include "base/jsonrpc.h"
#include "base/log.h"
#include "base/pki.h"
#include "cli/cli.h"
#include "cli/layout.h"
#include "cli/process.h"
#include "nic/netns.h"
#include "vm/daemon.h"
#include "vm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define READY_MS        60000
#define CONNECT_S       5
#define POLL_MS         50
#define STOP_GRACE_S    10
#define VM_STOP_GRACE_S 15

struct options {
	char *state;
	char *outside;
	char *listen;
	char *agent_listen;
	char *locations;
	char *public_prefix;
	char *public_gateway;
	char *images;
	double cpu_ratio, ram_ratio;
	int workers;
};

struct cloud {
	struct options options;
	struct layout *layout;
	struct vm_daemon *daemon;
	struct process *libvirt, *switch_, *controller, *agent;
	GMainLoop *loop;
	bool stopping;
	int lock;
};

static const struct options defaults = {
	.outside = "host",
	.listen = "127.0.0.1:8443",
	.agent_listen = "127.0.0.1:8444",
	.locations = "centralus,westus,southcentralus",
	.public_prefix = "203.0.113.0/24",
	.public_gateway = "203.0.113.1",
	.cpu_ratio = 16,
	.ram_ratio = 1.5,
	.workers = 1,
};

/* ---- options ---- */

static bool check_options(const struct options *options, GError **error)
{
	if (geteuid() != 0)
		return fault_set(error, FAULT_DENIED,
			"root is needed: it makes network namespaces, taps and virtual machines");
	if (!g_str_equal(options->outside, "host") && !g_str_has_prefix(options->outside, "netns:"))
		return fault_set(error, FAULT_INVALID, "--outside takes 'host' or 'netns:NAME', not '%s'",
			options->outside);
	if (g_str_has_prefix(options->outside, "netns:") && !netns_exists(options->outside + 6))
		return fault_set(error, FAULT_NOT_FOUND,
			"there is no network namespace %s; make it with 'ip netns add %s'",
			options->outside + 6, options->outside + 6);
	struct ip_prefix pool;
	struct ip_addr gateway;
	if (prefix_parse(options->public_prefix, &pool) < 0)
		return fault_set(error, FAULT_INVALID,
			"--public-prefix takes a prefix such as 203.0.113.0/24, not '%s'",
			options->public_prefix);
	if (ip_parse(options->public_gateway, &gateway) < 0 || !prefix_contains(pool, gateway))
		return fault_set(error, FAULT_INVALID, "--public-gateway takes an address of %s, not '%s'",
			options->public_prefix, options->public_gateway);
	if (options->cpu_ratio <= 0 || options->ram_ratio <= 0)
		return fault_set(error, FAULT_INVALID, "allocation ratios must be greater than 0");
	return true;
}

static int parse_options(struct cloud *cloud, int argc, char **argv)
{
	struct options *o = &cloud->options;
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &o->state,
			"Keep everything below DIR (/var/lib/sluice)", "DIR"},
		{"outside", 0, 0, G_OPTION_ARG_STRING, &o->outside,
			"Where public addresses are reached from: host (default) or netns:NAME", "WHERE"},
		{"listen", 0, 0, G_OPTION_ARG_STRING, &o->listen, "Where clients connect (127.0.0.1:8443)",
			"ADDR:PORT"},
		{"agent-listen", 0, 0, G_OPTION_ARG_STRING, &o->agent_listen,
			"Where agents connect (127.0.0.1:8444)", "ADDR:PORT"},
		{"locations", 0, 0, G_OPTION_ARG_STRING, &o->locations,
			"Locations on offer (centralus,westus,southcentralus)", "LIST"},
		{"public-prefix", 0, 0, G_OPTION_ARG_STRING, &o->public_prefix,
			"Pool of public addresses (203.0.113.0/24)", "PREFIX"},
		{"public-gateway", 0, 0, G_OPTION_ARG_STRING, &o->public_gateway,
			"The outside's own address in the pool (203.0.113.1)", "ADDR"},
		{"images", 0, 0, G_OPTION_ARG_FILENAME, &o->images, "Image store (STATE/images)", "DIR"},
		{"cpu-allocation-ratio", 0, 0, G_OPTION_ARG_DOUBLE, &o->cpu_ratio,
			"vCPUs promised for each processor (16)", "N"},
		{"ram-allocation-ratio", 0, 0, G_OPTION_ARG_DOUBLE, &o->ram_ratio,
			"Memory promised for each byte that is there (1.5)", "N"},
		{"workers", 0, 0, G_OPTION_ARG_INT, &o->workers, "Worker threads of the switch (1)", "N"},
		{NULL},
	};
	g_autoptr(GError) error = NULL;

	*o = defaults;
	if (!cli_options(
		    &argc, &argv, "", "Runs a whole cloud on this machine until it is stopped.", entries))
		return CLI_USAGE;
	if (argc > 1) {
		fprintf(stderr, "sluice up: it takes no argument '%s'\n", argv[1]);
		return CLI_USAGE;
	}
	g_autofree char *state = cli_state_dir(o->state);
	if (!check_options(o, &error) || !(cloud->layout = layout_new(state, &error)))
		return cli_fail("up", error);
	return CLI_OK;
}

/* ---- preparing ---- */

static bool take_lock(struct cloud *cloud, GError **error)
{
	cloud->lock = open(cloud->layout->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (cloud->lock >= 0 && flock(cloud->lock, LOCK_EX | LOCK_NB) == 0)
		return true;
	return fault_set(error, FAULT_BUSY,
		"another 'sluice up' runs on %s; stop it first or give another --state",
		cloud->layout->state);
}

/* "127.0.0.1:8443" → "IP:127.0.0.1,DNS:localhost" and, for other addresses, theirs too. */
static char *alt_names(const char *listen)
{
	g_autofree char *host = g_strndup(listen, (gsize)(strrchr(listen, ':') - listen));

	if (g_str_equal(host, "127.0.0.1") || g_str_equal(host, "0.0.0.0"))
		return g_strdup("IP:127.0.0.1,DNS:localhost");
	g_strdelimit(host, "[]", ' ');
	g_strstrip(host);
	return g_strdup_printf(
		"%s:%s,IP:127.0.0.1,DNS:localhost", g_hostname_is_ip_address(host) ? "IP" : "DNS", host);
}

/* Clients that may not look into tls/ find the CA beside it. */
static bool publish_ca(const struct cloud *cloud, GError **error)
{
	g_autofree char *from = g_build_filename(cloud->layout->tls, "ca.pem", NULL);
	g_autofree char *to = g_build_filename(cloud->layout->state, "ca.pem", NULL);
	g_autofree char *text = NULL;
	gsize length;

	return g_file_get_contents(from, &text, &length, error) &&
	       g_file_set_contents_full(
		       to, text, (gssize)length, G_FILE_SET_CONTENTS_CONSISTENT, 0644, error);
}

/* Where clients connect, for `sluice az-env`. */
static bool publish_endpoint(const struct cloud *cloud, GError **error)
{
	g_autofree char *path = g_build_filename(cloud->layout->state, "endpoint", NULL);
	g_autofree char *text = g_strdup_printf("https://%s\n", cloud->options.listen);

	return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, error);
}

static bool make_certificates(const struct cloud *cloud, GError **error)
{
	const char *tls = cloud->layout->tls;

	for (const char *const *listen =
			(const char *const[]){cloud->options.listen, cloud->options.agent_listen, NULL};
		*listen; listen++)
		if (!strrchr(*listen, ':'))
			return fault_set(error, FAULT_INVALID, "'%s' is no ADDR:PORT to listen on", *listen);
	g_autofree char *names = alt_names(cloud->options.listen);
	return pki_ensure_ca(tls, "Sluice CA", error) && publish_ca(cloud, error) &&
	       pki_ensure_leaf(tls, "controller", "sluice-controller", names, error) &&
	       pki_ensure_leaf(tls, "host", g_get_host_name(), NULL, error);
}

static bool prepare(struct cloud *cloud, GError **error)
{
	g_autofree char *netns = netns_path(cloud->layout->netns);
	const struct vm_daemon_config config = {.state_dir = cloud->layout->libvirt, .netns = netns};

	if (!take_lock(cloud, error) || !make_certificates(cloud, error) || !publish_endpoint(cloud, error) ||
		!netns_create(cloud->layout->netns, error))
		return false;
	cloud->daemon = vm_daemon_new(&config, error);
	return cloud->daemon != NULL;
}

/* ---- children ---- */

static struct process *start(
	const struct cloud *cloud, const char *name, int oom_score_adj, GPtrArray *args, GError **error)
{
	g_autofree char *log_path = g_strdup_printf("%s/%s.log", cloud->layout->logs, name);
	g_autofree char *program = layout_program(name, error);

	if (!program)
		return NULL;
	g_ptr_array_insert(args, 0, g_strdup(program));
	g_ptr_array_add(args, NULL);
	const struct process_config config = {
		.name = name,
		.log_path = log_path,
		.argv = (const char *const *)args->pdata,
		.oom_score_adj = oom_score_adj,
	};
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

static const char *image_dir(const struct cloud *cloud)
{
	return cloud->options.images ? cloud->options.images : cloud->layout->images;
}

static struct process *start_controller(const struct cloud *cloud, GError **error)
{
	g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);
	const struct options *o = &cloud->options;
	char ratio[G_ASCII_DTOSTR_BUF_SIZE];
	g_autofree char *url = g_strdup_printf("https://%s", o->listen);
	g_autofree char *aliases = g_build_filename(image_dir(cloud), "aliases.json", NULL);

	add(args, "--state", cloud->layout->controller);
	add(args, "--listen", o->listen);
	add(args, "--agent-listen", o->agent_listen);
	add(args, "--advertise", url);
	add_tls(cloud, args, "controller");
	add(args, "--sizes", cloud->layout->sizes);
	add(args, "--aliases", aliases);
	add(args, "--locations", o->locations);
	add(args, "--public-prefix", o->public_prefix);
	add(args, "--public-gateway", o->public_gateway);
	add(args, "--cpu-allocation-ratio", g_ascii_dtostr(ratio, sizeof ratio, o->cpu_ratio));
	add(args, "--ram-allocation-ratio", g_ascii_dtostr(ratio, sizeof ratio, o->ram_ratio));
	add(args, "--print-principal", cloud->layout->principal);
	return start(cloud, "sluice-controller", 0, args, error);
}

static struct process *start_switch(const struct cloud *cloud, GError **error)
{
	g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *workers = g_strdup_printf("%d", cloud->options.workers);

	add(args, "--socket", cloud->layout->switch_socket);
	add(args, "--state-dir", cloud->layout->switch_);
	add(args, "--netns", cloud->layout->netns);
	add(args, "--workers", workers);
	return start(cloud, "sluice-switch", -1000, args, error);
}

static struct process *start_agent(const struct cloud *cloud, GError **error)
{
	g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);
	const struct options *o = &cloud->options;
	g_autofree char *url = g_strdup_printf("https://%s", o->agent_listen);
	const char *slash = strchr(o->public_prefix, '/');
	g_autofree char *outside = g_strdup_printf("%s%s", o->public_gateway, slash ? slash : "/32");

	add(args, "--host-name", g_get_host_name());
	add(args, "--state", cloud->layout->agent);
	add(args, "--run", cloud->layout->run);
	add(args, "--controller", url);
	add_tls(cloud, args, "host");
	add(args, "--libvirt-uri", vm_daemon_uri(cloud->daemon));
	add(args, "--image-dir", image_dir(cloud));
	add(args, "--vm", "libvirt");
	add(args, "--provider", "emulated");
	add(args, "--switch-socket", cloud->layout->switch_socket);
	add(args, "--netns-switch", cloud->layout->netns);
	add(args, "--netns-meta", cloud->layout->meta_netns);
	add(args, "--outside", o->outside);
	add(args, "--outside-address", outside);
	return start(cloud, "sluice-agent", 0, args, error);
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

static bool answers(const char *socket, const char *method)
{
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(socket);
	json_t *result = jsonrpc_call(client, method, NULL, 1000, NULL);
	bool answered = result != NULL;

	json_decref(result);
	return answered;
}

static bool switch_ready(const struct cloud *cloud)
{
	return answers(cloud->layout->switch_socket, "version");
}

static bool agent_ready(const struct cloud *cloud)
{
	return answers(cloud->layout->agent_socket, "status");
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

	if (!process_pid(cloud->controller) || !g_file_test(cloud->layout->principal, G_FILE_TEST_EXISTS))
		return false;
	g_socket_client_set_tls(client, TRUE);
	g_socket_client_set_timeout(client, CONNECT_S);
	g_signal_connect(client, "event", G_CALLBACK(trust_own_ca), (void *)cloud);
	g_autoptr(GSocketConnection) connection =
		g_socket_client_connect_to_host(client, cloud->options.listen, 8443, NULL, NULL);
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

static bool bring_up(struct cloud *cloud, GError **error)
{
	cloud->libvirt = start_libvirt(cloud, error);
	cloud->switch_ = cloud->libvirt ? start_switch(cloud, error) : NULL;
	cloud->controller = cloud->switch_ ? start_controller(cloud, error) : NULL;
	if (!cloud->controller ||
		!wait_for(cloud, "the controller", controller_ready, cloud->controller, error) ||
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
		.uri = vm_daemon_uri(cloud->daemon), .image_dir = image_dir(cloud)};
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

/* With the last process of a namespace its interfaces go, and the other ends of their pairs. */
static void remove_namespaces(const struct cloud *cloud)
{
	const char *const names[] = {cloud->layout->netns, cloud->layout->meta_netns};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autoptr(GError) failure = NULL;
		if (!netns_remove(names[i], &failure))
			log_warn("up", "%s", failure->message);
	}
}

static void take_down(struct cloud *cloud)
{
	bool had_agent = cloud->agent != NULL;

	process_stop(cloud->agent, STOP_GRACE_S);
	if (had_agent)
		stop_vms(cloud);
	process_stop(cloud->controller, STOP_GRACE_S);
	process_stop(cloud->switch_, STOP_GRACE_S);
	process_stop(cloud->libvirt, STOP_GRACE_S);
	remove_namespaces(cloud);
}

static gboolean on_signal(void *data)
{
	struct cloud *cloud = data;

	cloud->stopping = true;
	g_main_loop_quit(cloud->loop);
	return G_SOURCE_CONTINUE;
}

/* ---- talking ---- */

static void print_principal(const struct cloud *cloud)
{
	json_t *json = json_load_file(cloud->layout->principal, 0, NULL);

	printf("first service principal (kept in %s):\n"
	       "  az login --service-principal -u %s -p %s --tenant %s\n",
		cloud->layout->principal, json_string_value(json_object_get(json, "appId")),
		json_string_value(json_object_get(json, "password")),
		json_string_value(json_object_get(json, "tenant")));
	json_decref(json);
}

static void print_ready(const struct cloud *cloud)
{
	g_autofree char *aliases = g_build_filename(image_dir(cloud), "aliases.json", NULL);

	if (!g_file_test(aliases, G_FILE_TEST_EXISTS))
		printf("no image yet: make one with 'sluice image build --state %s'\n", cloud->layout->state);
	printf("ready: https://%s, state in %s; 'sluice az-env --state %s' sets a client up\n",
		cloud->options.listen, cloud->layout->state, cloud->layout->state);
	fflush(stdout);
}

static void cloud_clear(struct cloud *cloud)
{
	g_clear_pointer(&cloud->daemon, vm_daemon_free);
	g_clear_pointer(&cloud->layout, layout_free);
	g_clear_pointer(&cloud->loop, g_main_loop_unref);
	if (cloud->lock >= 0)
		close(cloud->lock);
}
CLEANUP_CLEAR_FUNC(struct cloud, cloud_clear)

int cli_up(int argc, char **argv)
{
	_cleanup_(cloud_clear) struct cloud cloud = {.lock = -1};
	g_autoptr(GError) error = NULL;
	int status = parse_options(&cloud, argc, argv);

	if (status != CLI_OK)
		return status;
	log_init("sluice-up");
	bool first = !g_file_test(cloud.layout->principal, G_FILE_TEST_EXISTS);
	if (!prepare(&cloud, &error))
		return cli_fail("up", error);
	cloud.loop = g_main_loop_new(NULL, FALSE);
	g_unix_signal_add(SIGTERM, on_signal, &cloud);
	g_unix_signal_add(SIGINT, on_signal, &cloud);
	bool up = bring_up(&cloud, &error);
	if (up) {
		if (first)
			print_principal(&cloud);
		print_ready(&cloud);
		g_main_loop_run(cloud.loop);
	}
	take_down(&cloud);
	return up || cloud.stopping ? CLI_OK : cli_fail("up", error);
}
