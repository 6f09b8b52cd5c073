/* DPDK's environment: see eal.h.
 *
 * Nothing here locks memory: not --no-huge memory, which the kernel may swap, and never a guest's. */
#include "switch/eal.h"

#include "base/fault.h"
#include "switch/pci.h"

#include <errno.h>
#include <fcntl.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_version.h>
#include <sched.h>
#include <unistd.h>

#define POOL_CACHE  256
#define BUFFERS_MIN 1024
#define FREE_PAGES  "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"

bool eal_enter_netns(const char *name, GError **error)
{
	g_autofree char *path = strchr(name, '/') ? g_strdup(name) : g_strdup_printf("/run/netns/%s", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fault_set(error, FAULT_NOT_FOUND, "cannot open network namespace %s: %s", path,
			g_strerror(errno));
	int r = setns(fd, CLONE_NEWNET) < 0 ? errno : 0;
	close(fd);
	if (r)
		return fault_set(
			error, FAULT_INTERNAL, "cannot enter network namespace %s: %s", path, g_strerror(r));
	return true;
}

/* "0,1,5" of the CPUs that this process may run on. */
static char *allowed_cpus(void)
{
	GString *list = g_string_new(NULL);
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set) < 0)
		CPU_ZERO(&set);
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set))
			g_string_append_printf(list, "%s%u", list->len ? "," : "", cpu);
	return g_string_free(list, false);
}

/* Every lcore floats over all CPUs: the kernel's scheduler places threads that sleep when idle better than a
 * fixed map. */
static char *lcores_argument(unsigned workers)
{
	g_autofree char *cpus = allowed_cpus();
	GString *argument = g_string_new("--lcores=");

	for (unsigned i = 0; i <= workers; i++)
		g_string_append_printf(argument, "%s%u@(%s)", i ? "," : "", i, cpus);
	return g_string_free(argument, false);
}

static bool want_hugepages(const struct eal_config *config)
{
	g_autofree char *text = NULL;

	if (config->hugepages != EAL_HUGEPAGES_AUTO)
		return config->hugepages == EAL_HUGEPAGES_ON;
	if (!g_file_get_contents(FREE_PAGES, &text, NULL, NULL))
		return false;
	return g_ascii_strtoull(text, NULL, 10) * 2 >= config->memory_mib;
}

static void add_options(GPtrArray *arguments, char *option, char **values)
{
	for (; values && *values; values++) {
		g_ptr_array_add(arguments, option);
		g_ptr_array_add(arguments, *values);
	}
}

/* Physical devices read and write packet buffers by themselves, which takes memory that stays where it is. */
static bool check_pci(const struct eal_config *config, bool huge, GError **error)
{
	for (char **address = config->pci; address && *address; address++)
		if (!pci_check("", *address, error))
			return false;
	if (config->pci && *config->pci && !huge)
		return fault_set(error, FAULT_UNAVAILABLE,
			"--pci needs huge pages: leave --hugepages to auto, and have %u MiB of them free "
			"(sysctl vm.nr_hugepages=%u)",
			config->memory_mib, (config->memory_mib + 1) / 2);
	return true;
}

/* What names a file must be one; other words are sought by the loader. */
static bool check_drivers(const struct eal_config *config, GError **error)
{
	for (char **driver = config->drivers; driver && *driver; driver++)
		if (strchr(*driver, '/') && access(*driver, R_OK) < 0)
			return fault_set(
				error, FAULT_NOT_FOUND, "--driver %s: %s", *driver, g_strerror(errno));
	return true;
}

/* Why DPDK has not started, as far as its error tells; the rest it has printed itself. */
static bool fail_start(const struct eal_config *config, bool huge, GError **error)
{
	bool devices = config->drivers || config->vdevs || config->pci;

	if (rte_errno == ENOMEM || rte_errno == EACCES)
		return fault_set(error, FAULT_INTERNAL,
			"DPDK does not start with %u MiB %s huge pages: %s; try another --memory or "
			"--hugepages",
			config->memory_mib, huge ? "in" : "without", rte_strerror(rte_errno));
	return fault_set(error, FAULT_INTERNAL, "DPDK does not start: %s; what it says itself is above%s",
		rte_strerror(rte_errno), devices ? ", and is mostly about a --driver, --vdev or --pci" : "");
}

bool eal_start(const struct eal_config *config, bool *ret_hugepages, GError **error)
{
	bool huge = want_hugepages(config);
	g_autofree char *lcores = lcores_argument(config->workers);
	g_autofree char *memory = g_strdup_printf("%u", config->memory_mib);
	/* Neither way leaves shared files, so any number of switches run side by side. --in-memory is the
	 * stricter, but DPDK does not take it together with --no-huge. */
	char *fixed[] = {"sluice-switch", "--no-telemetry", "--file-prefix=sluice-switch",
		"--log-level=error", "--iova-mode=va", "-m", memory, lcores,
		huge ? "--in-memory" : "--no-huge", huge ? NULL : "--no-shconf", NULL};
	g_autoptr(GPtrArray) arguments = g_ptr_array_new();

	if (!check_drivers(config, error) || !check_pci(config, huge, error))
		return false;
	for (char **argument = fixed; *argument; argument++)
		g_ptr_array_add(arguments, *argument);
	add_options(arguments, "-d", config->drivers);
	add_options(arguments, "--vdev", config->vdevs);
	add_options(arguments, "-a", config->pci);
	if (!config->pci)
		g_ptr_array_add(arguments, "--no-pci");
	if (rte_eal_init((int)arguments->len, (char **)arguments->pdata) < 0)
		return fail_start(config, huge, error);
	*ret_hugepages = huge;
	return true;
}

void eal_stop(void)
{
	rte_eal_cleanup();
}

/* rte_pktmbuf_pool_create, but for a flag: without huge pages DPDK would keep each buffer within one small
 * page, for devices that need physical addresses, and waste almost half of the memory. There are no such
 * devices then. */
static struct rte_mempool *pool_create(unsigned n)
{
	struct rte_pktmbuf_pool_private sizes = {.mbuf_data_room_size = RTE_MBUF_DEFAULT_BUF_SIZE};
	unsigned flags = rte_eal_has_hugepages() ? 0 : RTE_MEMPOOL_F_NO_IOVA_CONTIG;
	struct rte_mempool *pool =
		rte_mempool_create_empty("packets", n, sizeof(struct rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE,
			POOL_CACHE, sizeof sizes, SOCKET_ID_ANY, flags);

	if (!pool)
		return NULL;
	if (rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL) < 0) {
		rte_mempool_free(pool);
		return NULL;
	}
	rte_pktmbuf_pool_init(pool, &sizes);
	if (rte_mempool_populate_default(pool) < 0) {
		rte_mempool_free(pool);
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}

struct rte_mempool *eal_pool_new(const struct eal_config *config, GError **error)
{
	size_t each = sizeof(struct rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE + 2 * RTE_CACHE_LINE_SIZE;
	size_t n = (size_t)config->memory_mib * 1024 * 1024 / 4 * 3 / each;
	struct rte_mempool *pool = n < BUFFERS_MIN ? NULL : pool_create((unsigned)n);

	if (!pool)
		fault_set(error, FAULT_INTERNAL,
			"%u MiB are too little memory for packet buffers; try more --memory",
			config->memory_mib);
	return pool;
}

const char *eal_version(void)
{
	return rte_version();
}
