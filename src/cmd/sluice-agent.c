/* sluice-agent: follows its host's goal state. Wiring only; see agent/agent.h for how it works. */
#include "agent/agent.h"
#include "agent/control_socket.h"
#include "agent/metadata.h"
#include "agent/namespaces.h"
#include "base/failpoint.h"
#include "base/fault.h"
#include "base/help.h"
#include "base/log.h"
#include "nic/heir.h"
#include "nic/host_file.h"

#include <errno.h>
#include <glib-unix.h>
#include <locale.h>
#include <stdio.h>
#include <sys/stat.h>

/* Of functions, in the state folder. */
#define EMULATED_LEDGER "functions.json"
#define VFS_LEDGER      "vfs.json"

/* Set from the command line; texts Owned. */
struct options {
	char *host_name, *state, *run, *controller, *certificate, *key, *ca;
	char *tunnel;
	char *vm, *libvirt_uri, *libvirt_pid_file, *qemu_dir, *image_dir, *emulator, *switch_socket,
		*provider, *host_file;
	char *netns_switch, *netns_meta, *outside, *outside_interface, *outside_address;
	char *underlay, *underlay_address, *underlay_gateway;
	int underlay_mtu, memory_start, memory_reserve;
	gboolean cleanup, list_failpoints, show_version;
};

/* What runs, in the order in which it was started. */
struct program {
	struct options options;
	struct namespaces_config namespaces;
	struct namespaces_ports ports;
	struct namespaces_keeper *keeper;
	struct host_file *host_file; /* Owned */
	struct physicals_source physicals;
	struct goal_client_config controller;
	struct tunnel_config tunnel;
	char *namespaces_ledger, *functions_ledger, *control_path; /* Owned */
	struct agent *agent;
	struct vm_manager *manager;
	struct nic_provider *provider;
	struct metadata *metadata;
	struct control_socket *control;
	GMainLoop *loop; /* Borrowed */
	bool moved; /* the underlay's address or MAC is another one */
};

static struct options defaults(void)
{
	return (struct options){
		.host_name = g_strdup(g_get_host_name()),
		.state = g_strdup("/var/lib/sluice/agent"),
		.run = g_strdup("/run/sluice"),
		.vm = g_strdup("libvirt"),
		.libvirt_uri = g_strdup("qemu:///system"),
		.qemu_dir = g_strdup("/var/lib/libvirt/qemu"),
		.image_dir = g_strdup("/var/lib/sluice/images"),
		.switch_socket = g_strdup("/run/sluice/switch.sock"),
		.provider = g_strdup("auto"),
		.host_file = g_strdup(HOST_FILE),
		.outside = g_strdup("none"),
		.memory_start = 1024,
		.memory_reserve = 512,
	};
}

/* VMs and switch have working directories of their own. */
static void make_absolute(char **path)
{
	char *absolute = g_canonicalize_filename(*path, NULL);

	g_free(*path);
	*path = absolute;
}

static bool parse(struct options *o, int *argc, char ***argv, GError **error)
{
	const GOptionEntry entries[] = {
		{"host-name", 0, 0, G_OPTION_ARG_STRING, &o->host_name, "name of this host", "NAME"},
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &o->state, "ledger, goal and VMs' disks", "DIR"},
		{"run", 0, 0, G_OPTION_ARG_FILENAME, &o->run, "sockets", "DIR"},
		{"controller", 0, 0, G_OPTION_ARG_STRING, &o->controller,
			"follow this controller (else: the stored goal)", "URL"},
		{"cert", 0, 0, G_OPTION_ARG_FILENAME, &o->certificate, "this host's certificate", "FILE"},
		{"key", 0, 0, G_OPTION_ARG_FILENAME, &o->key, "its key", "FILE"},
		{"ca", 0, 0, G_OPTION_ARG_FILENAME, &o->ca, "who signs the controller's certificate", "FILE"},
		{"vm", 0, 0, G_OPTION_ARG_STRING, &o->vm, "VM manager", "libvirt|fake"},
		{"libvirt-uri", 0, 0, G_OPTION_ARG_STRING, &o->libvirt_uri, "libvirt daemon", "URI"},
		{"libvirt-pid-file", 0, 0, G_OPTION_ARG_FILENAME, &o->libvirt_pid_file,
			"its process, if it is nobody else's and is started again when it ends: the agent "
			"may "
			"then end it",
			"FILE"},
		{"qemu-dir", 0, 0, G_OPTION_ARG_FILENAME, &o->qemu_dir,
			"what that daemon has as /var/lib/libvirt/qemu (the same)", "DIR"},
		{"tunnel", 0, 0, G_OPTION_ARG_STRING, &o->tunnel,
			"take running machines from other hosts at this address of this one; needs "
			"--controller",
			"ADDRESS:PORT"},
		{"image-dir", 0, 0, G_OPTION_ARG_FILENAME, &o->image_dir, "image store", "DIR"},
		{"emulator", 0, 0, G_OPTION_ARG_FILENAME, &o->emulator, "QEMU (else: libvirt's choice)",
			"FILE"},
		{"switch-socket", 0, 0, G_OPTION_ARG_FILENAME, &o->switch_socket,
			"the switch's control socket", "FILE"},
		{"provider", 0, 0, G_OPTION_ARG_STRING, &o->provider,
			"where accelerated NICs' functions come from; auto: sriov (VFs, with an eswitch "
			"where the host file says so) where the host file names "
			"physical networks, else emulated",
			"auto|sriov|emulated|none"},
		{"host-file", 0, 0, G_OPTION_ARG_FILENAME, &o->host_file,
			"which NICs lead to which physical networks (" HOST_FILE ")", "FILE"},
		{"netns-switch", 0, 0, G_OPTION_ARG_STRING, &o->netns_switch,
			"namespace of the switch and of QEMU (else: this one)", "NAME"},
		{"netns-meta", 0, 0, G_OPTION_ARG_STRING, &o->netns_meta, "namespace of the metadata service",
			"NAME"},
		{"outside", 0, 0, G_OPTION_ARG_STRING, &o->outside, "where the switch's uplink leads",
			"none|host|netns:NAME"},
		{"outside-interface", 0, 0, G_OPTION_ARG_STRING, &o->outside_interface,
			"what the uplink's far end is called there (sl-gw)", "NAME"},
		{"outside-address", 0, 0, G_OPTION_ARG_STRING, &o->outside_address,
			"gateway of the public addresses there", "ADDRESS/LENGTH"},
		{"underlay", 0, 0, G_OPTION_ARG_STRING, &o->underlay,
			"interface of this host that leads to the switches of other hosts", "NAME"},
		{"underlay-address", 0, 0, G_OPTION_ARG_STRING, &o->underlay_address,
			"the switch's own address there, which nobody else has; host: it shares the one that "
			"the interface has, by which NICs in switchdev mode can tunnel",
			"ADDRESS/LENGTH|host"},
		{"underlay-gateway", 0, 0, G_OPTION_ARG_STRING, &o->underlay_gateway,
			"to hosts whose addresses there are of other prefixes", "ADDRESS"},
		{"underlay-mtu", 0, 0, G_OPTION_ARG_INT, &o->underlay_mtu,
			"bytes that it carries (the interface's MTU)", "N"},
		{"memory-start-mib", 0, 0, G_OPTION_ARG_INT, &o->memory_start,
			"memory that must be free for a VM to start", "MIB"},
		{"memory-reserve-mib", 0, 0, G_OPTION_ARG_INT, &o->memory_reserve,
			"memory that stays free for the host", "MIB"},
		{"cleanup", 0, 0, G_OPTION_ARG_NONE, &o->cleanup, "remove namespaces and links at the end",
			NULL},
		{"list-failpoints", 0, 0, G_OPTION_ARG_NONE, &o->list_failpoints,
			"name the places where SLUICE_FAILPOINT can end this program", NULL},
		{"version", 0, 0, G_OPTION_ARG_NONE, &o->show_version, "print the version", NULL},
		{},
	};
	g_autoptr(GOptionContext) context = g_option_context_new("- the agent of one host");

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, argc, argv, error))
		return false;
	make_absolute(&o->state);
	make_absolute(&o->run);
	return true;
}

/* ---- starting ---- */

static gboolean end_for_move(void *data)
{
	struct program *p = data;

	p->moved = true;
	g_main_loop_quit(p->loop);
	return G_SOURCE_REMOVE;
}

/* Who supervises this program starts it again, and it begins with what is. In the keeper's thread. */
static void on_moved(const char *message, void *data)
{
	log_warn("network", "%s; this program ends, to be started again with that", message);
	g_idle_add(end_for_move, data);
}

static bool set_up_network(struct program *p, GError **error)
{
	const struct options *o = &p->options;
	char address[IP_TEXT_MAX];

	p->namespaces_ledger = g_build_filename(o->state, "namespaces.json", NULL);
	p->namespaces = (struct namespaces_config){
		.switch_netns = o->netns_switch,
		.meta_netns = o->netns_meta,
		.outside_interface = o->outside_interface,
		.outside_address = o->outside_address,
		.underlay_interface = o->underlay,
		.underlay_address = o->underlay_address,
		.underlay_gateway = o->underlay_gateway,
		.underlay_mtu = o->underlay_mtu,
		.ledger = p->namespaces_ledger,
	};
	if (!namespaces_parse_outside(o->outside, &p->namespaces))
		return fault_set(
			error, FAULT_INVALID, "--outside %s: none, host or netns:NAME is needed", o->outside);
	if (!o->underlay != !o->underlay_address)
		return fault_set(error, FAULT_INVALID,
			"--underlay and --underlay-address are given together, or none of them");
	if (!namespaces_set_up(&p->namespaces, &p->ports, error))
		return false;
	if (p->ports.underlay.kernel) {
		p->physicals.underlay = p->ports.underlay.interface;
		log_info("network", "the switch shares the host's address %s on %s",
			ip_format(p->ports.underlay.address, address), p->ports.underlay.interface);
	}
	p->keeper = namespaces_keep(&p->namespaces, &p->ports, on_moved, p);
	return true;
}

static bool read_host_file(struct program *p, GError **error)
{
	p->host_file = physicals_open(p->options.host_file, error);
	if (!p->host_file)
		return false;
	p->physicals = (struct physicals_source){"", p->host_file, NULL};
	return p->host_file->physicals->len == 0 || !p->options.netns_switch ||
	       fault_set(error, FAULT_INVALID,
		       "--netns-switch %s: where the host file names physical networks the switch runs "
		       "beside "
		       "their interfaces, in this namespace",
		       p->options.netns_switch);
}

static bool new_agent(struct program *p, GError **error)
{
	const struct options *o = &p->options;
	const struct agent_config config = {
		.host_name = o->host_name,
		.version = SLUICE_VERSION,
		.state_dir = o->state,
		.run_dir = o->run,
		.switch_socket = o->switch_socket,
		.proc = "/proc",
		.site = {.outside = p->ports.has_outside ? &p->ports.outside : NULL,
			.host_port = &p->ports.host,
			.underlay = p->ports.has_underlay ? &p->ports.underlay : NULL},
		.physicals = &p->physicals,
		.probe_source = NAMESPACES_PROBES,
		.probe_netns = o->netns_meta,
		.admission = {.start_mib = o->memory_start, .reserve_mib = o->memory_reserve},
		.controller = o->controller ? &p->controller : NULL,
		.tunnel = o->controller ? &p->tunnel : NULL,
	};

	p->tunnel = (struct tunnel_config){
		.certificate = o->certificate, .key = o->key, .ca = o->ca, .listen = o->tunnel};
	p->controller = (struct goal_client_config){
		.url = o->controller, .certificate = o->certificate, .key = o->key, .ca = o->ca};
	if (o->controller && (!o->certificate || !o->key || !o->ca))
		return fault_set(error, FAULT_INVALID, "--controller needs --cert, --key and --ca");
	if (o->tunnel && !o->controller)
		return fault_set(error, FAULT_INVALID, "--tunnel needs --controller");
	p->agent = agent_new(&config, error);
	return p->agent != NULL;
}

static bool open_manager(struct program *p, GError **error)
{
	const struct options *o = &p->options;
	const struct vm_libvirt_config config = {.uri = o->libvirt_uri,
		.image_dir = o->image_dir,
		.emulator = o->emulator,
		.qemu_dir = o->qemu_dir,
		.pid_file = o->libvirt_pid_file};

	if (g_str_equal(o->vm, "fake"))
		p->manager = vm_fake_open(agent_vm_event, p->agent);
	else if (g_str_equal(o->vm, "libvirt"))
		p->manager = vm_libvirt_open(&config, agent_vm_event, p->agent, error);
	else
		fault_set(error, FAULT_INVALID, "--vm %s: libvirt or fake is needed", o->vm);
	return p->manager != NULL;
}

static bool open_emulated(struct program *p, GError **error)
{
	p->functions_ledger = g_build_filename(p->options.state, EMULATED_LEDGER, NULL);
	p->provider = nic_emulated_open(p->functions_ledger, p->options.netns_switch, error);
	return p->provider != NULL;
}

/* VFs, as the host file has its NICs' eswitches: all of them alike, which its reader sees to. */
static bool open_vfs(struct program *p, GError **error)
{
	const struct host_physical *first = p->host_file->physicals->pdata[0];
	const GPtrArray *physicals = agent_physicals(p->agent);
	g_autofree struct sriov_physical *list = physicals_for_provider(physicals);

	p->functions_ledger = g_build_filename(p->options.state, VFS_LEDGER, NULL);
	p->provider = (first->switchdev ? nic_switchdev_open : nic_sriov_open)(
		"", p->functions_ledger, list, physicals->len, error);
	return p->provider != NULL;
}

static bool open_chosen(struct program *p, GError **error)
{
	const char *name = p->options.provider;

	if (g_str_equal(name, "none"))
		return true;
	if (g_str_equal(name, "auto"))
		return p->host_file->physicals->len ? open_vfs(p, error) : open_emulated(p, error);
	if (g_str_equal(name, "emulated"))
		return open_emulated(p, error);
	if (!g_str_equal(name, "sriov"))
		return fault_set(
			error, FAULT_INVALID, "--provider %s: auto, sriov, emulated or none is needed", name);
	return p->host_file->physicals->len
		       ? open_vfs(p, error)
		       : fault_set(error, FAULT_INVALID,
				 "--provider sriov: %s names no physical network; see `sluice host setup`",
				 p->options.host_file);
}

/* Functions that the host gave by another provider than now are taken back by that one. */
static bool add_former(struct program *p, enum nic_former kind, const char *name, GError **error)
{
	g_autofree char *ledger = g_build_filename(p->options.state, name, NULL);
	struct nic_provider *former;

	if (g_strcmp0(ledger, p->functions_ledger) == 0)
		return true;
	if (!nic_former_open(kind, ledger, &former, error))
		return false;
	if (!former)
		return true;
	log_warn(NULL, "functions that were given as '%s' are taken back, as the host gives such no more",
		former->caps->name);
	p->provider = nic_heir_open(p->provider, former);
	return true;
}

static bool open_provider(struct program *p, GError **error)
{
	return open_chosen(p, error) && add_former(p, NIC_FORMER_EMULATED, EMULATED_LEDGER, error) &&
	       add_former(p, NIC_FORMER_VFS, VFS_LEDGER, error);
}

static const struct goal *current_goal(void *data)
{
	return agent_goal(data);
}

static bool open_services(struct program *p, GError **error)
{
	const struct metadata_config metadata = {
		.netns = p->options.netns_meta,
		.address = "169.254.169.254",
		.port = 80,
		.goal = current_goal,
		.data = p->agent,
		.policies = agent_guest_policies(p->agent),
		.identities = agent_guest_identities(p->agent),
		.events = agent_events(p->agent),
	};

	p->control_path = g_build_filename(p->options.run, "agent.sock", NULL);
	p->metadata = metadata_serve(&metadata, error);
	if (p->metadata)
		p->control = control_socket_open(p->agent, p->control_path, error);
	return p->control != NULL;
}

static bool start(struct program *p, GError **error)
{
	return agent_make_folder(p->options.state, error) && agent_make_folder(p->options.run, error) &&
	       read_host_file(p, error) && set_up_network(p, error) && new_agent(p, error) &&
	       open_manager(p, error) && open_provider(p, error) &&
	       agent_start(p->agent, p->manager, p->provider, error) && open_services(p, error);
}

/* ---- ending ---- */

static void stop(struct program *p)
{
	g_autoptr(GError) error = NULL;

	control_socket_close(p->control);
	metadata_free(p->metadata);
	agent_free(p->agent);
	vm_manager_close(p->manager);
	nic_provider_close(p->provider);
	namespaces_keeper_free(p->keeper);
	if (p->options.cleanup && p->namespaces.ledger && !namespaces_tear_down(&p->namespaces, &error))
		log_warn(NULL, "%s", error->message);
	g_clear_pointer(&p->host_file, host_file_free);
	g_free(p->namespaces_ledger);
	g_free(p->functions_ledger);
	g_free(p->control_path);
}

static void options_clear(struct options *o)
{
	char **texts[] = {&o->host_name, &o->state, &o->run, &o->controller, &o->certificate, &o->key, &o->ca,
		&o->tunnel, &o->vm, &o->libvirt_uri, &o->libvirt_pid_file, &o->qemu_dir, &o->image_dir,
		&o->emulator, &o->switch_socket, &o->provider, &o->host_file, &o->netns_switch,
		&o->netns_meta, &o->outside, &o->outside_interface, &o->outside_address, &o->underlay,
		&o->underlay_address, &o->underlay_gateway};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		g_clear_pointer(texts[i], g_free);
}

static gboolean on_signal(void *loop)
{
	log_info(NULL, "stopping; VMs and switch go on");
	g_main_loop_quit(loop);
	return G_SOURCE_CONTINUE;
}

static int run(struct program *p)
{
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, false);
	g_autoptr(GError) error = NULL;
	bool ok;

	g_unix_signal_add(SIGTERM, on_signal, loop);
	g_unix_signal_add(SIGINT, on_signal, loop);
	p->loop = loop;
	ok = start(p, &error);
	if (ok) {
		log_info(NULL, "ready: host %s, VMs by %s, functions: %s", p->options.host_name,
			p->options.vm, p->provider ? p->provider->caps->claim : "none");
		g_main_loop_run(loop);
	} else {
		log_error(NULL, "%s", error->message);
	}
	stop(p);
	return ok && !p->moved ? 0 : 1;
}

static void list_failpoints(void)
{
	for (unsigned i = 0; i < FAILPOINT_COUNT; i++)
		printf("%-26s %s\n", failpoint_name(i), failpoint_text(i));
}

int main(int argc, char **argv)
{
	struct program program = {.options = defaults()};
	g_autoptr(GError) error = NULL;
	int status = 0;

	setlocale(LC_ALL, "");
	help_init();
	log_init("sluice-agent");
	if (!parse(&program.options, &argc, &argv, &error)) {
		fprintf(stderr, "sluice-agent: %s\n", error->message);
		status = 2;
	} else if (program.options.list_failpoints) {
		list_failpoints();
	} else if (program.options.show_version) {
		printf("sluice-agent %s\n", SLUICE_VERSION);
	} else {
		status = run(&program);
	}
	options_clear(&program.options);
	return status;
}
