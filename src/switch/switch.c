/* The program: command line, start, stop. */
#include "switch/switch.h"

#include "base/fault.h"
#include "base/log.h"
#include "offload/tc.h"
#include "switch/control.h"
#include "switch/eal.h"
#include "switch/numa.h"
#include "switch/offloader.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define CONNECTIONS     2000000 /* that the flow table holds, on a machine that has the memory */
#define CONNECTIONS_MIN 65536
#define NIC_CONNECTIONS 500000 /* that one NIC may hold */
#define NOT_GIVEN       INT_MIN
#define MEMORY_MIB      64
#define MEMORY_MIB_MIN  32

struct options {
	char *socket, *state_dir, *flow_memory, *netns, *hugepages; /* Owned */
	char **drivers, **vdevs, **pci; /* Owned lists */
	int workers, memory_mib, connections, nic_connections, numa_node;
	gboolean check, version;
};

static void options_clear(struct options *options)
{
	g_free(options->socket);
	g_free(options->state_dir);
	g_free(options->flow_memory);
	g_free(options->netns);
	g_free(options->hugepages);
	g_strfreev(options->drivers);
	g_strfreev(options->vdevs);
	g_strfreev(options->pci);
}
CLEANUP_CLEAR_FUNC(struct options, options_clear)

/* ---- command line ---- */

static bool parse_hugepages(const char *word, enum eal_hugepages *ret, GError **error)
{
	static const char *const words[] = {
		[EAL_HUGEPAGES_AUTO] = "auto",
		[EAL_HUGEPAGES_ON] = "on",
		[EAL_HUGEPAGES_OFF] = "off",
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
		if (!word || g_str_equal(word, words[i])) {
			*ret = (enum eal_hugepages)i;
			return true;
		}
	}
	return fault_set(error, FAULT_INVALID, "--hugepages %s: must be one of auto, on, off", word);
}

static bool check_options(const struct options *options, struct eal_config *ret, GError **error)
{
	if (!options->socket)
		return fault_set(
			error, FAULT_INVALID, "--socket is missing: where should the control socket be?");
	if (options->workers < 1 || options->workers > SNAPSHOT_WORKERS)
		return fault_set(error, FAULT_INVALID, "--workers: must be from 1 to %d", SNAPSHOT_WORKERS);
	if (options->memory_mib < MEMORY_MIB_MIN)
		return fault_set(error, FAULT_INVALID, "--memory: must be at least %d (MiB)", MEMORY_MIB_MIN);
	if (options->connections < 1 || options->connections > FLOW_MEMORY_CONNECTIONS_MAX)
		return fault_set(error, FAULT_INVALID, "--connections: must be from 1 to %d",
			FLOW_MEMORY_CONNECTIONS_MAX);
	if (options->numa_node != NOT_GIVEN && options->numa_node < 0)
		return fault_set(error, FAULT_INVALID, "--numa-node: must be 0 or more");
	if (options->nic_connections != NOT_GIVEN && options->nic_connections < 1)
		return fault_set(error, FAULT_INVALID, "--nic-connections: must be at least 1");
	if (options->flow_memory && !flow_memory_check_place(options->flow_memory, error)) {
		g_prefix_error(error, "--flow-memory: ");
		return false;
	}
	ret->workers = (unsigned)options->workers;
	ret->memory_mib = (unsigned)options->memory_mib;
	ret->drivers = options->drivers;
	ret->vdevs = options->vdevs;
	ret->pci = options->pci;
	return parse_hugepages(options->hugepages, &ret->hugepages, error);
}

static bool parse_options(int *argc, char ***argv, struct options *options, GError **error)
{
	const GOptionEntry entries[] = {
		{"socket", 's', 0, G_OPTION_ARG_FILENAME, &options->socket, "Control socket (JSON-RPC)",
			"PATH"},
		{"state-dir", 'd', 0, G_OPTION_ARG_FILENAME, &options->state_dir,
			"Keep the last applied state here and come back with it", "DIR"},
		{"flow-memory", 0, 0, G_OPTION_ARG_FILENAME, &options->flow_memory,
			"Keep connections here for the next start: a file on tmpfs or hugetlbfs (with "
			"--state-dir: one of its own)",
			"FILE"},
		{"netns", 'n', 0, G_OPTION_ARG_STRING, &options->netns,
			"Open network interfaces in this network namespace", "NAME|PATH"},
		{"workers", 'w', 0, G_OPTION_ARG_INT, &options->workers, "Threads that move packets (1)",
			"N"},
		{"memory", 'm', 0, G_OPTION_ARG_INT, &options->memory_mib, "Memory for packet buffers (64)",
			"MIB"},
		{"hugepages", 0, 0, G_OPTION_ARG_STRING, &options->hugepages,
			"Use huge pages: auto (when enough are free), on, off", "WHEN"},
		{"connections", 0, 0, G_OPTION_ARG_INT, &options->connections,
			"Connections that the flow table holds (" G_STRINGIFY(
				CONNECTIONS) " where an eighth of the "
					     "memory is enough for them)",
			"N"},
		{"nic-connections", 0, 0, G_OPTION_ARG_INT, &options->nic_connections,
			"Connections that one NIC may hold (" G_STRINGIFY(NIC_CONNECTIONS) ")", "N"},
		{"numa-node", 0, 0, G_OPTION_ARG_INT, &options->numa_node,
			"Run on the processors of this NUMA node and with its memory (that of the first "
			"--pci "
			"device)",
			"N"},
		{"vdev", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options->vdevs,
			"Make a DPDK device that the state may name; may be given several times",
			"NAME[,ARGUMENTS]"},
		{"pci", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options->pci,
			"Take a physical device, bound to vfio-pci, that the state may name; may be given "
			"several "
			"times",
			"ADDRESS"},
		{"driver", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->drivers,
			"Load a driver of DPDK devices; may be given several times", "FILE"},
		{"check", 0, 0, G_OPTION_ARG_NONE, &options->check,
			"Start nothing: only say whether the options are right", NULL},
		{"version", 0, 0, G_OPTION_ARG_NONE, &options->version, "Print the version", NULL},
		{},
	};
	g_autoptr(GOptionContext) context = g_option_context_new("- Sluice's virtual switch");

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, argc, argv, error))
		return false;
	if (*argc > 1)
		return fault_set(error, FAULT_INVALID, "%s is not understood; see --help", (*argv)[1]);
	return true;
}

/* ---- run ---- */

static gboolean on_signal(void *data)
{
	g_main_loop_quit(data);
	return G_SOURCE_CONTINUE;
}

static void loop_until_signal(void)
{
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, false);

	g_unix_signal_add(SIGTERM, on_signal, loop);
	g_unix_signal_add(SIGINT, on_signal, loop);
	g_main_loop_run(loop);
}

/* Where connections are kept; NULL: nowhere. False when the operator named a place that is none. What nobody
 * asked for by name is done without: the connections then go with the process. */
static bool open_flow_memory(
	const struct options *options, bool hugepages, struct flow_memory **ret, GError **error)
{
	uint32_t n = (uint32_t)options->connections;
	g_autoptr(GError) cause = NULL;

	*ret = NULL;
	if (options->flow_memory) {
		*ret = flow_memory_open(options->flow_memory, n, error);
		return *ret != NULL;
	}
	if (!options->state_dir)
		return true;
	*ret = flow_memory_open_for(options->state_dir, n, hugepages, &cause);
	if (!*ret && g_error_matches(cause, FAULT, FAULT_IN_USE)) {
		g_propagate_error(error, g_steal_pointer(&cause));
		return false;
	}
	if (!*ret)
		log_warn(NULL, "connections will not survive a restart: %s", cause->message);
	return true;
}

/* Unless told otherwise a quarter of the table at most, so that no NIC alone fills it. */
static uint32_t nic_limit(const struct options *options)
{
	int quarter = MAX(options->connections / 4, 1);

	return (uint32_t)(options->nic_connections != NOT_GIVEN ? options->nic_connections
								: MIN(NIC_CONNECTIONS, quarter));
}

static struct offload_provider *open_tc(void *data, GError **error)
{
	return offload_tc_open(OFFLOAD_TC_HARDWARE, error);
}

/* DPDK runs. */
static bool serve(const struct options *options, const struct eal_config *eal, bool hugepages, GError **error)
{
	const struct datapath_limits limits = {
		.workers = eal->workers,
		.connections = (uint32_t)options->connections,
		.nic_connections = nic_limit(options),
	};
	const struct control_config config = {
		.socket = options->socket,
		.state_dir = options->state_dir,
		.hugepages = hugepages,
	};
	struct rte_mempool *pool = eal_pool_new(eal, error);
	struct flow_memory *memory;

	if (!pool || !open_flow_memory(options, hugepages, &memory, error))
		return false;
	_cleanup_(datapath_free) struct datapath *datapath = datapath_new(&limits, memory, pool, error);
	if (!datapath)
		return false;
	_cleanup_(ports_free) struct ports *ports = ports_new(pool, datapath->readers, eal->workers);
	_cleanup_(offloader_free) struct offloader *offloader = offloader_new(datapath, open_tc, NULL);
	offloader_start(offloader);
	datapath_start(datapath);
	_cleanup_(control_free) struct control *control = control_new(&config, datapath, ports, error);
	if (control) {
		log_info(NULL, "ready on %s, %u worker%s, %s huge pages", options->socket, eal->workers,
			eal->workers == 1 ? "" : "s", hugepages ? "with" : "without");
		loop_until_signal();
	} else
		flow_memory_forget_made(flow_table_memory(datapath->flows));
	datapath_stop(datapath);
	return control != NULL;
}

/* Before anything is allocated: so all of it lies there. */
static bool enter_numa_node(const struct options *options, GError **error)
{
	int node = options->numa_node;

	if (node == NOT_GIVEN && options->pci && *options->pci)
		node = numa_node_of("", *options->pci);
	return node < 0 || numa_enter("", (unsigned)node, error);
}

/* The folder of a path is the operator's to make. */
static bool check_parent(const char *option, const char *path, GError **error)
{
	g_autofree char *parent = g_path_get_dirname(path);

	return g_file_test(parent, G_FILE_TEST_IS_DIR) ||
	       fault_set(error, FAULT_NOT_FOUND, "%s %s: there is no folder %s; make it first", option, path,
		       parent);
}

/* The state directory may be new, and the socket in it. *ret_made: it is, by this. */
static bool make_state_dir(const struct options *options, bool *ret_made, GError **error)
{
	const char *dir = options->state_dir;

	*ret_made = false;
	if (dir && !check_parent("--state-dir", dir, error))
		return false;
	*ret_made = dir && g_mkdir(dir, 0700) == 0;
	if (dir && !*ret_made && !g_file_test(dir, G_FILE_TEST_IS_DIR))
		return fault_set(error, FAULT_INTERNAL, "cannot make the state directory %s: %s", dir,
			g_strerror(errno));
	if (check_parent("--socket", options->socket, error))
		return true;
	if (*ret_made)
		g_rmdir(dir);
	return false;
}

static bool start(const struct options *options, const struct eal_config *eal, GError **error)
{
	bool hugepages;

	if (!enter_numa_node(options, error) || (options->netns && !eal_enter_netns(options->netns, error)))
		return false;
	if (!eal_start(eal, &hugepages, error))
		return false;
	bool ok = serve(options, eal, hugepages, error);
	eal_stop();
	return ok;
}

/* A start that fails leaves what it found. */
static bool run(const struct options *options, const struct eal_config *eal, GError **error)
{
	bool made;

	if (!make_state_dir(options, &made, error))
		return false;
	bool ok = start(options, eal, error);
	if (!ok && made)
		g_rmdir(options->state_dir);
	return ok;
}

static int default_connections(void)
{
	size_t machine = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
	uint32_t n = CONNECTIONS;

	while (n > CONNECTIONS_MIN && flow_memory_size(n) > machine / 8)
		n /= 2;
	return (int)n;
}

int switch_main(int argc, char **argv)
{
	_cleanup_(options_clear) struct options options = {.workers = 1,
		.numa_node = NOT_GIVEN,
		.memory_mib = MEMORY_MIB,
		.connections = default_connections(),
		.nic_connections = NOT_GIVEN};
	g_autoptr(GError) error = NULL;
	struct eal_config eal = {};

	log_init("sluice-switch");
	if (!parse_options(&argc, &argv, &options, &error)) {
		fprintf(stderr, "sluice-switch: %s\n", error->message);
		return 2;
	}
	if (options.version) {
		printf("sluice-switch %s (%s)\n", SLUICE_VERSION, eal_version());
		return 0;
	}
	if (!check_options(&options, &eal, &error)) {
		fprintf(stderr, "sluice-switch: %s\n", error->message);
		return 2;
	}
	if (options.check)
		return 0;
	if (!run(&options, &eal, &error)) {
		log_error(NULL, "%s", error->message);
		return 1;
	}
	return 0;
}
