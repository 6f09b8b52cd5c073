/* Finding a host for a VM: filters refuse, then the host with the most memory left is taken.
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
};

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

static const struct {
	const char *name;
	char *(*refuse)(const struct candidate *candidate);
} filters[] = {
	{"ComputeFilter", compute_filter},
	{"CoreFilter", core_filter},
	{"RamFilter", ram_filter},
	{"AvailableMemoryFilter", available_memory_filter},
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

char *schedule(struct control *control, const struct vm *vm, const struct size *size, GError **error)
{
	g_autoptr(GPtrArray) hosts = control_list(control, KIND_HOST, NULL, error);
	g_autoptr(GString) reasons = g_string_new(NULL);
	const struct host *best = NULL;
	double best_left = 0;

	if (!hosts)
		return NULL;
	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];
		struct candidate candidate = {.control = control, .host = host, .size = size};
		/* A VM whose disk is on a host can start only there. */
		if (vm->status.host && !g_str_equal(vm->status.host, host->meta.uid))
			continue;
		hosts_live(control, host->meta.uid, &candidate.live);
		g_autofree char *why = refusal(&candidate);
		double left = (double)candidate.live.memory_mib * control->ram_ratio -
			      (double)candidate.live.used_mib;
		if (why)
			g_string_append_printf(reasons, " Host %s: %s.", host->meta.name, why);
		else if (!best || left > best_left) {
			best = host;
			best_left = left;
		}
	}
	if (best)
		return g_strdup(best->meta.uid);
	fault_set(error, FAULT_ALLOCATION, "No host can hold virtual machine %s of size %s.%s", vm->meta.name,
		size->name,
		hosts->len ? reasons->str : " No host has reported yet; start sluice-agent on one.");
	return NULL;
}
