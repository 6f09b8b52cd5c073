/* Finding a host for a VM: filters refuse, then weighers choose: the host whose free functions accelerate the most of
 * its NICs, among equals the one with the most memory left.
 *
 * Filters have the names that operators know from OpenStack. A failed placement says, for each host, which
 * filter refused and why.
 */
#include "base/fault.h"
#include "control/control_priv.h"

/* What a guest needs of the host's real memory to boot, however much is promised to it. */
#define BOOT_MIB 384

struct candidate {
	const struct control *control;
	const struct host *host;
	struct host_live live;
	const struct size *size;
	const GPtrArray *needs; /* of struct need */
};

/* ---- what the VM's NICs want of physical networks ---- */

struct need {
	char *physical; /* name */
	unsigned accelerated; /* NICs there that a function would accelerate */
};

static void need_free(void *data)
{
	struct need *need = data;

	g_free(need->physical);
	g_free(need);
}

static struct need *get_need(GPtrArray *needs, const char *physical)
{
	for (guint i = 0; i < needs->len; i++)
		if (g_str_equal(((struct need *)needs->pdata[i])->physical, physical))
			return needs->pdata[i];
	struct need *need = g_new0(struct need, 1);
	need->physical = g_strdup(physical);
	g_ptr_array_add(needs, need);
	return need;
}

static bool add_need(struct control *control, const char *nic_uid, const struct size *size, GPtrArray *needs,
	GError **error)
{
	_cleanup_(model_free) struct nic *nic = control_get(control, KIND_NIC, nic_uid, error);
	const struct nic_config *first = nic ? nic->spec.configs->pdata[0] : NULL;
	_cleanup_(model_free) struct network *network =
		nic ? control_get(control, KIND_NETWORK, first->network, error) : NULL;

	if (!network || !network->spec.physical)
		return network != NULL;
	_cleanup_(model_free) struct physical *physical =
		control_get(control, KIND_PHYSICAL, network->spec.physical, error);
	if (!physical)
		return false;
	get_need(needs, physical->meta.name)->accelerated += nic->spec.accelerated && size->accelerated;
	return true;
}

static GPtrArray *find_needs(
	struct control *control, const struct vm *vm, const struct size *size, GError **error)
{
	g_autoptr(GPtrArray) needs = g_ptr_array_new_with_free_func(need_free);

	for (guint i = 0; i < list_length(vm->spec.nics); i++)
		if (!add_need(
			    control, ((struct vm_nic_ref *)vm->spec.nics->pdata[i])->nic, size, needs, error))
			return NULL;
	return g_steal_pointer(&needs);
}

static unsigned count_free(const struct report *report, const char *physical)
{
	unsigned n = 0;

	for (guint i = 0; report && i < list_length(report->functions); i++) {
		const struct report_function *function = report->functions->pdata[i];
		n += !function->nic && g_strcmp0(function->physical, physical) == 0;
	}
	return n;
}

/* ---- filters ---- */

/* A filter answers NULL to let the host pass, else a sentence; Owned. */
static char *compute_filter(const struct candidate *c)
{
	if (c->host->spec.disabled)
		return g_strdup("the host is disabled");
	if (!c->live.alive)
		return g_strdup("its agent has not reported for 30 s; start sluice-agent there");
	return c->live.drained
		       ? g_strdup("it is drained for maintenance; `sluice host undrain` there ends that")
		       : NULL;
}

static char *core_filter(const struct candidate *c)
{
	double limit = (double)c->live.vcpus * c->control->cpu_ratio;

	if ((double)(c->live.used_vcpus + c->size->vcpus) <= limit)
		return NULL;
	return g_strdup_printf("%" G_GINT64_FORMAT " vCPUs are needed, %" G_GINT64_FORMAT
			       " of %.0f are in use "
			       "(%" G_GINT64_FORMAT " processors, cpu_allocation_ratio %.3g)",
		c->size->vcpus, c->live.used_vcpus, limit, c->live.vcpus, c->control->cpu_ratio);
}

static char *ram_filter(const struct candidate *c)
{
	double limit = (double)c->live.memory_mib * c->control->ram_ratio;

	if ((double)(c->live.used_mib + c->size->memory_mib) <= limit)
		return NULL;
	return g_strdup_printf("%" G_GINT64_FORMAT " MiB are needed, %" G_GINT64_FORMAT
			       " of %.0f MiB are in use "
			       "(%" G_GINT64_FORMAT " MiB of memory, ram_allocation_ratio %.3g)",
		c->size->memory_mib, c->live.used_mib, limit, c->live.memory_mib, c->control->ram_ratio);
}

static char *available_memory_filter(const struct candidate *c)
{
	int64_t needed = MIN(c->size->memory_mib, BOOT_MIB);

	if (c->live.available_mib >= needed)
		return NULL;
	return g_strdup_printf("only %" G_GINT64_FORMAT
			       " MiB of the host's memory are available now, a guest needs %" G_GINT64_FORMAT
			       " MiB to boot",
		c->live.available_mib, needed);
}

static char *physical_network_filter(const struct candidate *c)
{
	const GPtrArray *has = c->host->status.physicals;

	for (guint i = 0; i < c->needs->len; i++) {
		const struct need *need = c->needs->pdata[i];
		if (control_host_is_on(c->host, need->physical))
			continue;
		g_autoptr(GString) names = g_string_new(NULL);
		for (guint j = 0; j < list_length(has); j++)
			g_string_append_printf(names, "%s%s", j ? ", " : "", (char *)has->pdata[j]);
		return g_strdup_printf("physical network %s is needed, the host is on %s", need->physical,
			names->len ? names->str : "none");
	}
	return NULL;
}

static const struct {
	const char *name;
	char *(*refuse)(const struct candidate *candidate);
} filters[] = {
	{"ComputeFilter", compute_filter},
	{"CoreFilter", core_filter},
	{"RamFilter", ram_filter},
	{"AvailableMemoryFilter", available_memory_filter},
	{"PhysicalNetworkFilter", physical_network_filter},
};

/* NULL when the host passes; else "FILTER: why". */
static char *refusal(struct candidate *candidate)
{
	for (size_t i = 0; i < G_N_ELEMENTS(filters); i++) {
		g_autofree char *why = filters[i].refuse(candidate);
		if (why)
			return g_strdup_printf("%s: %s", filters[i].name, why);
	}
	return NULL;
}

/* ---- weighers: among the hosts that pass, what counts first comes first ---- */

/* How many of the VM's NICs the host's free functions can accelerate. A wish and no need: a NIC without one goes on
 * by its synthetic path. */
static double pci_weigher(const struct candidate *c)
{
	double fit = 0;

	for (guint i = 0; i < c->needs->len; i++) {
		const struct need *need = c->needs->pdata[i];
		fit += MIN(need->accelerated, count_free(c->live.report, need->physical));
	}
	return fit;
}

static double ram_weigher(const struct candidate *c)
{
	return (double)c->live.memory_mib * c->control->ram_ratio - (double)c->live.used_mib;
}

static double (*const weighers[])(const struct candidate *) = {pci_weigher, ram_weigher};

static bool outweighs(const struct candidate *a, const struct candidate *b)
{
	for (size_t i = 0; i < G_N_ELEMENTS(weighers); i++) {
		double left = weighers[i](a), right = weighers[i](b);
		if (left != right)
			return left > right;
	}
	return false;
}

char *schedule(struct control *control, const struct vm *vm, const struct size *size, GError **error)
{
	g_autoptr(GPtrArray) hosts = control_list(control, KIND_HOST, NULL, error);
	g_autoptr(GPtrArray) needs = hosts ? find_needs(control, vm, size, error) : NULL;
	g_autoptr(GString) reasons = g_string_new(NULL);
	struct candidate best = {};

	if (!needs)
		return NULL;
	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];
		struct candidate candidate = {.control = control, .host = host, .size = size, .needs = needs};
		/* A VM whose disk is on a host can start only there. */
		if (vm->status.host && !g_str_equal(vm->status.host, host->meta.uid))
			continue;
		hosts_live(control, host->meta.uid, &candidate.live);
		g_autofree char *why = refusal(&candidate);
		if (why)
			g_string_append_printf(reasons, " Host %s: %s.", host->meta.name, why);
		else if (!best.host || outweighs(&candidate, &best))
			best = candidate;
	}
	if (best.host)
		return g_strdup(best.host->meta.uid);
	fault_set(error, FAULT_ALLOCATION, "No host can hold virtual machine %s of size %s.%s", vm->meta.name,
		size->name,
		hosts->len ? reasons->str : " No host has reported yet; start sluice-agent on one.");
	return NULL;
}
