/* `sluice up`: a whole cloud on one machine, or one more host of another machine's, as supervised processes.
 *
 * How it works. Four children, each with its own log file: a libvirt daemon, the switch, the controller and
 * the agent. The first three need nothing of each other and start together; the agent starts when they
 * answer. Everything that is kept lies below the state folder, all that is not a file carries the state
 * folder's hash in its name, so several clouds can run side by side and a cloud that is started again finds
 * what it left.
 *
 * With --controller there is no controller here: the others make this machine a host of that controller's cloud.
 *
 * The switch and the VMs have a network namespace of their own; but where the host file names physical networks they are
 * in the one that `sluice up` was started in, with the interfaces of the NICs, which libvirt and the operator need there.
 *
 * What dies is started again (process.h). SIGTERM and SIGINT stop in this order: the agent, the VMs, the
 * controller, the switch, the libvirt daemon; then the namespaces go. A supervisor that is killed leaves the
 * VMs running for the next one.
 */
#include "base/fault.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/listen.h"
#include "cli/up_priv.h"
#include "nic/host_file.h"
#include "nic/netns.h"

#include <glib-unix.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static const struct up_options defaults = {
	.outside = "host",
	.listen = "127.0.0.1:8443",
	.agent_listen = "127.0.0.1:8444",
	.locations = "centralus,westus,southcentralus",
	.public_prefix = "198.18.0.0/24",
	.cpu_ratio = 16,
	.ram_ratio = 1.5,
	.workers = 1,
	.switch_user = "sluice-switch",
	.host_file = HOST_FILE,
};

/* ---- options ---- */

static bool check_options(struct up_options *options, GError **error)
{
	if (!up_check_options(options, error) || !up_ask_switch(options, error))
		return false;
	if (geteuid() != 0)
		return fault_set(error, FAULT_DENIED,
			"root is needed: it makes network namespaces, taps and virtual machines");
	if (g_str_has_prefix(options->outside, "netns:") && !netns_exists(options->outside + 6))
		return fault_set(error, FAULT_NOT_FOUND,
			"there is no network namespace %s; make it with 'ip netns add %s'",
			options->outside + 6, options->outside + 6);
	return true;
}

/* All options; those that go to the switch are a table of their own. */
static GArray *all_entries(const GOptionEntry *own, struct up_options *o)
{
	GArray *all = g_array_new(TRUE, TRUE, sizeof(GOptionEntry)); /* the last one is zero */

	for (; own->long_name; own++)
		g_array_append_vals(all, own, 1);
	for (unsigned i = 0; i < UP_SWITCH_OPTIONS; i++) {
		const struct up_switch_option *option = &up_switch_options[i];
		const GOptionEntry entry = {option->name, 0, 0, G_OPTION_ARG_STRING, &o->switch_values[i],
			option->text, option->argument};
		g_array_append_vals(all, &entry, 1);
	}
	return all;
}

static int parse_options(struct cloud *cloud, int argc, char **argv)
{
	struct up_options *o = &cloud->options;
	const GOptionEntry own[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &o->state,
			"Keep everything below DIR (/var/lib/sluice)", "DIR"},
		{"outside", 0, 0, G_OPTION_ARG_STRING, &o->outside,
			"Where public addresses are reached from: host (default) or netns:NAME", "WHERE"},
		{"listen", 0, 0, G_OPTION_ARG_STRING, &o->listen,
			"Where clients connect (127.0.0.1:8443); clients on other machines need a real "
			"address here, not 0.0.0.0 or [::]",
			"ADDR:PORT"},
		{"agent-listen", 0, 0, G_OPTION_ARG_STRING, &o->agent_listen,
			"Where agents connect (127.0.0.1:8444)", "ADDR:PORT"},
		{"locations", 0, 0, G_OPTION_ARG_STRING, &o->locations,
			"Locations on offer (centralus,westus,southcentralus)", "LIST"},
		{"public-prefix", 0, 0, G_OPTION_ARG_STRING, &o->public_prefix,
			"Pool of public addresses (198.18.0.0/24)", "PREFIX"},
		{"public-gateway", 0, 0, G_OPTION_ARG_STRING, &o->public_gateway,
			"The outside's own address in the pool (the pool's first)", "ADDR"},
		{"no-default-outbound", 0, 0, G_OPTION_ARG_NONE, &o->no_default_outbound,
			"NICs without a public address do not reach the outside, rather than by one that all "
			"of a "
			"host share",
			NULL},
		{"images", 0, 0, G_OPTION_ARG_FILENAME, &o->images, "Image store (STATE/images)", "DIR"},
		{"sizes", 0, 0, G_OPTION_ARG_FILENAME, &o->sizes,
			"Catalog of sizes (the one that came with Sluice)", "FILE"},
		{"cpu-allocation-ratio", 0, 0, G_OPTION_ARG_DOUBLE, &o->cpu_ratio,
			"vCPUs promised for each processor (16)", "N"},
		{"ram-allocation-ratio", 0, 0, G_OPTION_ARG_DOUBLE, &o->ram_ratio,
			"Memory promised for each byte that is there (1.5)", "N"},
		{"workers", 0, 0, G_OPTION_ARG_INT, &o->workers, "Worker threads of the switch, 1 to 16 (1)",
			"N"},
		{"switch-user", 0, 0, G_OPTION_ARG_STRING, &o->switch_user,
			"System user that the switch runs as (sluice-switch)", "NAME"},
		{"underlay", 0, 0, G_OPTION_ARG_STRING, &o->underlay,
			"Interface that leads to other hosts of the cloud", "NAME"},
		{"underlay-address", 0, 0, G_OPTION_ARG_STRING, &o->underlay_address,
			"Address of this host's switch there, which nobody else has; 'host': the one that "
			"the interface has, by which NICs in switchdev mode can tunnel",
			"ADDR/LENGTH|host"},
		{"underlay-gateway", 0, 0, G_OPTION_ARG_STRING, &o->underlay_gateway,
			"To hosts whose switches have addresses of other prefixes", "ADDR"},
		{"tunnel", 0, 0, G_OPTION_ARG_STRING, &o->tunnel,
			"Take running machines from other hosts at this address of this one", "ADDR:PORT"},
		{"underlay-mtu", 0, 0, G_OPTION_ARG_INT, &o->underlay_mtu,
			"Bytes that packets there may have (the interface's MTU)", "N"},
		{"host-file", 0, 0, G_OPTION_ARG_FILENAME, &o->host_file,
			"Which NICs lead to which physical networks (" HOST_FILE
			"); with such networks, switch "
			"and VMs run in this network namespace",
			"FILE"},
		{"controller", 0, 0, G_OPTION_ARG_STRING, &o->controller,
			"Be a host of the cloud whose controller listens for agents there; certificates: "
			"'sluice host add'",
			"URL"},
		{NULL},
	};
	g_autoptr(GArray) entries = all_entries(own, o);
	g_autoptr(GError) error = NULL;

	*o = defaults;
	if (!cli_options(&argc, &argv, "", "Runs a whole cloud on this machine until it is stopped.",
		    (const GOptionEntry *)(const void *)entries->data))
		return CLI_USAGE;
	g_autofree char *state = cli_state_dir(o->state);
	if (!check_options(o, &error) || !account_find(o->switch_user, &cloud->switch_account, &error) ||
		!(cloud->layout = layout_new(state, &error))) {
		cli_fail("up", error);
		return fault_code(error) == FAULT_INVALID ? CLI_USAGE : CLI_FAILED;
	}
	return CLI_OK;
}

static gboolean on_signal(void *data)
{
	struct cloud *cloud = data;

	cloud->stopping = true;
	g_main_loop_quit(cloud->loop);
	return G_SOURCE_CONTINUE;
}

/* ---- talking ---- */

/* The password is shown once and to a person only: what is not a terminal may be a log that others read. */
static void print_principal(const struct cloud *cloud)
{
	json_auto_t *json = json_load_file(cloud->layout->principal, 0, NULL);
	static const char *const members[] = {"appId", "password", "tenant"};

	printf("first service principal: kept in %s\n", cloud->layout->principal);
	for (size_t i = 0; isatty(STDOUT_FILENO) && i < G_N_ELEMENTS(members); i++)
		printf("  %-8s %s\n", members[i], json_string_value(json_object_get(json, members[i])));
}

static void print_joined(const struct cloud *cloud)
{
	printf("ready: host %s of %s, state in %s\n", g_get_host_name(), cloud->options.controller,
		cloud->layout->state);
	fflush(stdout);
}

static void print_ready(const struct cloud *cloud)
{
	g_autofree char *aliases = g_build_filename(up_image_dir(cloud), "aliases.json", NULL);
	g_autofree char *reach = listen_reach(cloud->options.listen);

	if (!g_file_test(aliases, G_FILE_TEST_EXISTS))
		printf("no image yet: make one with 'sluice image build --images %s'\n", up_image_dir(cloud));
	printf("ready: https://%s, state in %s; 'sluice az-env --state %s' sets a client up\n", reach,
		cloud->layout->state, cloud->layout->state);
	fflush(stdout);
}

static void cloud_clear(struct cloud *cloud)
{
	g_clear_pointer(&cloud->daemon, vm_daemon_free);
	g_clear_pointer(&cloud->layout, layout_free);
	g_clear_pointer(&cloud->loop, g_main_loop_unref);
	account_clear(&cloud->switch_account);
	for (unsigned i = 0; i < UP_SWITCH_OPTIONS; i++)
		g_free(cloud->options.switch_values[i]);
	if (cloud->physicals_lock >= 0)
		close(cloud->physicals_lock);
	if (cloud->lock >= 0)
		close(cloud->lock);
}
CLEANUP_CLEAR_FUNC(struct cloud, cloud_clear)

int cli_up(int argc, char **argv)
{
	_cleanup_(cloud_clear) struct cloud cloud = {.lock = -1, .physicals_lock = -1};
	g_autoptr(GError) error = NULL;
	int status = parse_options(&cloud, argc, argv);

	if (status != CLI_OK)
		return status;
	log_init("sluice-up");
	bool joined = cloud.options.controller != NULL;
	bool first = !joined && !g_file_test(cloud.layout->principal, G_FILE_TEST_EXISTS);
	if (!up_prepare(&cloud, &error))
		return cli_fail("up", error);
	cloud.loop = g_main_loop_new(NULL, FALSE);
	g_unix_signal_add(SIGTERM, on_signal, &cloud);
	g_unix_signal_add(SIGINT, on_signal, &cloud);
	bool up = up_start_parts(&cloud, &error);
	if (up) {
		if (first)
			print_principal(&cloud);
		if (joined)
			print_joined(&cloud);
		else
			print_ready(&cloud);
		g_main_loop_run(cloud.loop);
	}
	up_stop_parts(&cloud);
	up_remove_namespaces(&cloud);
	return up || cloud.stopping ? CLI_OK : cli_fail("up", error);
}
