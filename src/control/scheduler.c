/* Finding a host for a VM: filters refuse, then weighers choose: away from the other VMs of its availability set, then
 * the host whose free functions accelerate the most of its NICs, among equals the one with the most memory left.
 *
 * Filters have the names that operators know from OpenStack. A failed placement says, for each host, which
 * filter refused and why; one of a VM whose disk is on a host already, what is left to do.
 */
#include "base/fault.h"
#include "control/control_priv.h"

#include <string.h>

#define FUNCTION_FREE "free" /* in reports: nobody's, and to be had */
/* In reports: functions there bypass the host. */
#define PROVIDER_SRIOV     "sriov"
#define PROVIDER_SWITCHDEV "switchdev"

/* What a guest needs of the host's real memory to boot, however much is promised to it. */
#define BOOT_MIB 384

/* What a VM's NIC wants of a host's physical networks. */
struct need {
	char *nic; /* uid */
	char *physical; /* name; NULL: its network is in a VXLAN, and it wants no more than a function */
	bool accelerated; /* a function would accelerate it */
};

/* What VMs that were placed on a host take of it, whether it has heard of them or not. Not those deallocated. */
struct used {
	int64_t vcpus, mib;
	int64_t pinned_mib; /* of mib */
	GPtrArray *promised; /* Owned, of struct need: NICs that wait there for a function */
};

struct candidate {
	const struct control *control;
	const struct host *host;
	struct host_live live;
	struct used used;
	const struct vm *vm;
	const struct size *size;
	const GPtrArray *needs; /* of struct need */
	unsigned in_domain, on_host; /* others of its availability set: in the host's fault domain, on it */
};

static void need_free(void *data)
{
	struct need *need = data;

	g_free(need->nic);
	g_free(need->physical);
	g_free(need);
}

static GPtrArray *needs_new(void)
{
	return g_ptr_array_new_with_free_func(need_free);
}

static void candidate_clear(struct candidate *candidate)
{
	g_clear_pointer(&candidate->used.promised, g_ptr_array_unref);
}
CLEANUP_CLEAR_FUNC(struct candidate, candidate_clear)

/* ---- what the VM's NICs want of physical networks ---- */

static bool add_need(struct control *control, const char *nic_uid, const struct size *size, GPtrArray *needs,
	GError **error)
{
	const struct nic *nic = mirror_get(control->mirror, KIND_NIC, nic_uid, error);
	const struct nic_config *first = nic ? nic->spec.configs->pdata[0] : NULL;
	const struct network *network =
		nic ? mirror_get(control->mirror, KIND_NETWORK, first->network, error) : NULL;

	bool accelerated = nic && nic->spec.accelerated && size->accelerated;
	if (!network || (!network->spec.physical && !accelerated))
		return network != NULL;
	const struct physical *physical = network->spec.physical ? mirror_get(control->mirror, KIND_PHYSICAL,
									   network->spec.physical, error)
								 : NULL;
	if (network->spec.physical && !physical)
		return false;
	struct need *need = g_new0(struct need, 1);
	need->nic = g_strdup(nic_uid);
	need->physical = g_strdup(physical ? physical->meta.name : NULL);
	need->accelerated = accelerated;
	g_ptr_array_add(needs, need);
	return true;
}

static GPtrArray *find_needs(
	struct control *control, const struct vm *vm, const struct size *size, GError **error)
{
	g_autoptr(GPtrArray) needs = needs_new();

	for (guint i = 0; i < list_length(vm->spec.nics); i++)
		if (!add_need(
			    control, ((struct vm_nic_ref *)vm->spec.nics->pdata[i])->nic, size, needs, error))
			return NULL;
	return g_steal_pointer(&needs);
}

/* Whether NICs like that are accelerated by functions of a host that reports so, if it has one for them. */
static bool can_accelerate(const struct report *report, const struct need *need)
{
	return need->accelerated && (need->physical || (report && report->vxlans));
}

/* Of the first n needs, those of the same functions: of a physical network's VLANs, or for VXLANs. */
static unsigned count_alike(const GPtrArray *needs, guint n, const struct need *need)
{
	unsigned count = 0;

	for (guint i = 0; i < n; i++) {
		const struct need *other = needs->pdata[i];
		count += other->accelerated && !other->physical == !need->physical &&
			 (!need->physical || g_ascii_strcasecmp(other->physical, need->physical) == 0);
	}
	return count;
}

/* ---- what other VMs take ---- */

static bool has_function(const struct report *report, const char *nic)
{
	for (guint i = 0; report && i < list_length(report->functions); i++)
		if (g_strcmp0(((struct report_function *)report->functions->pdata[i])->nic, nic) == 0)
			return true;
	return false;
}

/* A function that bypasses the host reaches all of its guest's memory by the IOMMU, so that all of it is there and
 * stays (vfio). A VM whose NIC gets none for want of one, or by its rules, counts alike: it may get it any time. */
static bool is_pinned(const struct report *report, const GPtrArray *needs)
{
	if (!report || (g_strcmp0(report->provider, PROVIDER_SRIOV) != 0 &&
			       g_strcmp0(report->provider, PROVIDER_SWITCHDEV) != 0))
		return false;
	for (guint i = 0; i < needs->len; i++)
		if (can_accelerate(report, needs->pdata[i]))
			return true;
	return false;
}

static void add_used(struct candidate *candidate, const struct size *size, GPtrArray *needs)
{
	const struct report *report = candidate->live.report;

	candidate->used.vcpus += size->vcpus;
	candidate->used.mib += size->memory_mib;
	if (is_pinned(report, needs))
		candidate->used.pinned_mib += size->memory_mib;
	for (guint i = needs->len; i-- > 0;) {
		const struct need *need = needs->pdata[i];
		if (need->accelerated && !has_function(report, need->nic))
			g_ptr_array_add(candidate->used.promised, g_ptr_array_steal_index(needs, i));
	}
}

/* What cannot be read is on its way out of the store, and takes nothing. What the VM itself has there, it gives back. */
static void find_used(struct control *control, struct candidate *candidate)
{
	g_autofree char *prefix = key_placements(candidate->host->meta.uid), *end = store_prefix_end(prefix);
	_cleanup_(store_range_clear) struct store_range range = {};

	candidate->used.promised = needs_new();
	if (!store_list(control->store, prefix, end, 0, 0, &range, NULL, NULL))
		return;
	for (guint i = 0; i < range.kvs->len; i++) {
		const char *uid = strrchr(((struct store_kv *)range.kvs->pdata[i])->key, '/') + 1;
		const struct vm *vm = mirror_get(control->mirror, KIND_VM, uid, NULL);
		const struct size *size = vm ? control_size(control, vm->spec.size) : NULL;
		if (!size || vm->spec.power == POWER_DEALLOCATED || g_str_equal(uid, candidate->vm->meta.uid))
			continue;
		g_autoptr(GPtrArray) needs = find_needs(control, vm, size, NULL);
		if (needs)
			add_used(candidate, size, needs);
	}
}

static bool is_free_for(const struct report_function *function, const struct need *need)
{
	if (function->nic || (function->state && !g_str_equal(function->state, FUNCTION_FREE)))
		return false;
	return need->physical
		       ? function->physical && g_ascii_strcasecmp(function->physical, need->physical) == 0
		       : function->vxlan;
}

/* Functions that are free there for NICs like that and promised to nobody; below 0: more are promised than there are. */
static int count_free(const struct candidate *c, const struct need *need)
{
	const GPtrArray *promised = c->used.promised;
	const struct report *report = c->live.report;
	int n = 0;

	for (guint i = 0; report && i < list_length(report->functions); i++)
		n += is_free_for(report->functions->pdata[i], need);
	return n - (int)count_alike(promised, promised->len, need);
}

/* Memory as it is promised: each real MiB ram_ratio times. A pinned one is there once, so that it takes as many. */
static double promise(const struct candidate *c, int64_t mib, int64_t pinned_mib)
{
	return (double)(mib - pinned_mib) + (double)pinned_mib * MAX(c->control->ram_ratio, 1);
}

static double ram_left(const struct candidate *c)
{
	return (double)c->live.memory_mib * c->control->ram_ratio -
	       promise(c, c->used.mib, c->used.pinned_mib);
}

/* ---- filters ---- */

/* A filter answers NULL to let the host pass, else a sentence; Owned. */
static char *compute_filter(const struct candidate *c)
{
	if (!c->live.alive)
		return g_strdup_printf("its agent has not reported for %" G_GINT64_FORMAT
				       " s; start sluice-agent there",
			c->control->silent_us / G_USEC_PER_SEC);
	return c->live.drained
		       ? g_strdup("it is drained for maintenance; `sluice host undrain` there ends that")
		       : NULL;
}

static char *core_filter(const struct candidate *c)
{
	double limit = (double)c->live.vcpus * c->control->cpu_ratio;

	if ((double)(c->used.vcpus + c->size->vcpus) <= limit)
		return NULL;
	return g_strdup_printf("%" G_GINT64_FORMAT " vCPUs are needed, %" G_GINT64_FORMAT
			       " of %.0f are in use "
			       "(%" G_GINT64_FORMAT " processors, cpu_allocation_ratio %.3g)",
		c->size->vcpus, c->used.vcpus, limit, c->live.vcpus, c->control->cpu_ratio);
}

static char *ram_filter(const struct candidate *c)
{
	int64_t pinned = is_pinned(c->live.report, c->needs) ? c->size->memory_mib : 0,
		all_pinned = pinned + c->used.pinned_mib;
	g_autofree char *why = NULL;

	if (promise(c, c->size->memory_mib, pinned) <= ram_left(c))
		return NULL;
	if (all_pinned)
		why = g_strdup_printf("; %" G_GINT64_FORMAT
				      " MiB of the needed and used are pinned for functions that bypass the "
				      "host, and pinned memory cannot be overcommitted",
			all_pinned);
	return g_strdup_printf("%" G_GINT64_FORMAT " MiB are needed, %" G_GINT64_FORMAT
			       " of %.0f MiB are in use "
			       "(%" G_GINT64_FORMAT " MiB of memory, ram_allocation_ratio %.3g)%s",
		c->size->memory_mib, c->used.mib, (double)c->live.memory_mib * c->control->ram_ratio,
		c->live.memory_mib, c->control->ram_ratio, why ? why : "");
}

static char *available_memory_filter(const struct candidate *c)
{
	int64_t needed = MIN(c->size->memory_mib, BOOT_MIB);
	bool runs_there = c->vm->status.power == POWER_STATE_RUNNING &&
			  g_strcmp0(c->vm->status.host, c->host->meta.uid) == 0;

	/* A guest that is there already boots in what it leaves. */
	if (c->live.available_mib >= needed || runs_there)
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
		if (!need->physical || control_host_is_on(c->host, need->physical))
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
		fit += need->accelerated && (int)count_alike(c->needs, i, need) < count_free(c, need);
	}
	return fit;
}

/* Soft anti-affinity: where all hosts have one of the set, they share. */
static double fault_domain_weigher(const struct candidate *c)
{
	return -(double)c->in_domain;
}

static double host_weigher(const struct candidate *c)
{
	return -(double)c->on_host;
}

static double (*const weighers[])(const struct candidate *) = {
	fault_domain_weigher, host_weigher, pci_weigher, ram_left};

static bool outweighs(const struct candidate *a, const struct candidate *b)
{
	for (size_t i = 0; i < G_N_ELEMENTS(weighers); i++) {
		double left = weighers[i](a), right = weighers[i](b);
		if (left != right)
			return left > right;
	}
	return false;
}

static void swap(struct candidate *a, struct candidate *b)
{
	struct candidate was = *a;

	*a = *b;
	*b = was;
}

/* Which hosts are looked at, by uid; NULL: any, none is left out. */
struct choice {
	const char *only, *but;
};

/* NULL when no host passes: then *error is set, or `reasons` has what speaks against each. */
static char *choose(struct control *control, const struct vm *vm, const struct size *size,
	const struct choice *choice, GString *reasons, GError **error)
{
	_cleanup_(candidate_clear) struct candidate best = {};
	_cleanup_(availability_mates_clear) struct availability_mates mates = {};
	int64_t revision;

	/* What others have taken a moment ago counts, too. */
	if (!control_revision(control, &revision, error))
		return NULL;
	mirror_at(control->mirror, revision);
	g_autoptr(GPtrArray) hosts = control_list(control, KIND_HOST, NULL, error);
	g_autoptr(GPtrArray) needs = hosts ? find_needs(control, vm, size, error) : NULL;
	if (!needs || !availability_find_mates(control, vm, &mates, error))
		return NULL;
	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];
		_cleanup_(candidate_clear) struct candidate candidate = {
			.control = control, .host = host, .vm = vm, .size = size, .needs = needs};
		if ((choice->only && !g_str_equal(choice->only, host->meta.uid)) ||
			g_strcmp0(choice->but, host->meta.uid) == 0)
			continue;
		hosts_live(control, host->meta.uid, &candidate.live);
		find_used(control, &candidate);
		availability_count(&mates, host->meta.uid, &candidate.in_domain, &candidate.on_host);
		g_autofree char *why = refusal(&candidate);
		if (!why && choice->but && !host->status.tunnel)
			why = g_strdup(
				"MigrationFilter: its agent takes no machines from other hosts; give it "
				"--tunnel");
		if (why)
			g_string_append_printf(reasons, " Host %s: %s.", host->meta.name, why);
		else if (!best.host || outweighs(&candidate, &best))
			swap(&candidate, &best);
	}
	return best.host ? g_strdup(best.host->meta.uid) : NULL;
}

/* What is left to whoever wants a VM whose disk is on a host that cannot hold it: a host that can, by name, or why none
 * does, into `advice`. */
static bool advise(struct control *control, const struct vm *vm, const struct size *size, GString *advice,
	GError **error)
{
	const struct choice elsewhere = {.but = vm->status.host};
	bool runs = vm->spec.power == POWER_RUNNING && vm->status.power == POWER_STATE_RUNNING,
	     off = vm->spec.power == POWER_DEALLOCATED && vm->status.power == POWER_STATE_DEALLOCATED;
	g_autoptr(GString) reasons = g_string_new(NULL);
	g_autoptr(GError) failure = NULL;
	g_autofree char *other = choose(control, vm, size, &elsewhere, reasons, &failure);
	_cleanup_(model_free) struct host *host =
		other ? control_get(control, KIND_HOST, other, &failure) : NULL;

	if (failure) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	if (host && (runs || off))
		g_string_append_printf(advice,
			" Host %s can: 'sluice vm migrate %s --to %s' moves %s there; then try again.",
			host->meta.name, vm->meta.name, host->meta.name, runs ? "it" : "its disk");
	else if (host)
		g_string_append_printf(advice,
			" Host %s can, once the machine runs or is deallocated and 'sluice vm migrate %s "
			"--to "
			"%s' has moved it there; then try again.",
			host->meta.name, vm->meta.name, host->meta.name);
	else
		g_string_append_printf(advice,
			"%s%s Take a smaller size, or make room where the disk is: 'sluice vm list' shows "
			"what is "
			"there, 'sluice vm migrate' moves it, deallocating makes room too.",
			reasons->len ? " No other host can." : " There is no other host.", reasons->str);
	return true;
}

/* A VM whose disk is on a host can start only there. */
static bool fail_at_home(struct control *control, const struct vm *vm, const struct size *size,
	const char *reasons, GError **error)
{
	g_autoptr(GString) advice = g_string_new(NULL);

	return advise(control, vm, size, advice, error) &&
	       fault_set(error, FAULT_ALLOCATION,
		       "The host that has the disk of virtual machine %s cannot hold it in size %s.%s%s",
		       vm->meta.name, size->name, *reasons ? reasons : " That host is not known any more.",
		       advice->str);
}

char *schedule(struct control *control, const struct vm *vm, const struct size *size, GError **error)
{
	const struct choice choice = {.only = vm->status.host};
	g_autoptr(GString) reasons = g_string_new(NULL);
	g_autoptr(GError) failure = NULL;
	char *host = choose(control, vm, size, &choice, reasons, &failure);

	if (failure)
		g_propagate_error(error, g_steal_pointer(&failure));
	else if (!host && vm->status.host)
		fail_at_home(control, vm, size, reasons->str, error);
	else if (!host)
		fault_set(error, FAULT_ALLOCATION, "No host can hold virtual machine %s of size %s.%s",
			vm->meta.name, size->name,
			reasons->len ? reasons->str
				     : " No host has reported yet; start sluice-agent on one.");
	return host;
}

char *schedule_target(struct control *control, const struct vm *vm, const struct size *size,
	const char *wanted, GError **error)
{
	const struct choice choice = {.only = wanted, .but = vm->status.host};
	g_autoptr(GString) reasons = g_string_new(NULL);
	g_autoptr(GError) failure = NULL;
	char *host = choose(control, vm, size, &choice, reasons, &failure);

	if (failure)
		g_propagate_error(error, g_steal_pointer(&failure));
	else if (!host)
		fault_set(error, FAULT_ALLOCATION, "Virtual machine %s of size %s cannot be migrated: %s.%s",
			vm->meta.name, size->name,
			wanted         ? "that host cannot hold it"
			: reasons->len ? "no other host can hold it"
				       : "there is no other host; 'sluice host add' lets a machine be one",
			reasons->str);
	return host;
}
