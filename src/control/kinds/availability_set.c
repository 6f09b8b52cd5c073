/* Availability sets: virtual machines that shall not fail together.
 *
 * How it works. A VM names its set when it is created, and stays in it. Three things follow:
 *
 * Placement. The scheduler puts the VMs of a set on different fault domains and hosts as far as there are several that
 * can hold them. A fault domain is what the operator says that hosts share, else each host is one of its own; a set
 * numbers them from 0 to its count in the order in which they came to the cloud, so that what is shown of a VM follows
 * from its host: two VMs on one host are always seen in one fault domain.
 *
 * Update domains are numbers that VMs get in turn when they are created, for those who plan work by them.
 *
 * Acceleration. A set is one unit of it: on any NIC of any of its VMs it changes only while all of them are
 * deallocated, whether the NIC is changed or exchanged. Who asks reads all VMs in one guarded list, so that a VM that
 * is started or joins meanwhile makes the change look again.
 *
 * Instances of a scale set are placed by the same rules.
 */
#include "base/fault.h"
#include "control/control_priv.h"

#include <string.h>

#define MACHINES_MAX       200 /* as in Azure, as the two below */
#define FAULT_DOMAINS_MAX  3
#define UPDATE_DOMAINS_MAX 20
#define DOMAIN_NAME_MAX    64
#define NAMES_MAX          20
#define ALL_DOMAINS        G_MAXINT32 /* of a scale set that tells apart as many as there are */

/* ---- who is in it ---- */

/* Uid of what its VMs shall not fail together: its availability set, or the scale set of an instance; NULL: it is in
 * none. */
static const char *circle_of(const struct vm *vm)
{
	return vm->spec.availability_set ? vm->spec.availability_set : vm->spec.scale_set;
}

/* Leaves those of the list that are in the VM's set, but not itself. */
static GPtrArray *keep_others(GPtrArray *vms, const struct vm *vm)
{
	for (guint i = vms->len; i-- > 0;) {
		const struct vm *other = vms->pdata[i];
		if (g_strcmp0(circle_of(other), circle_of(vm)) != 0 ||
			g_str_equal(other->meta.uid, vm->meta.uid))
			g_ptr_array_remove_index(vms, i);
	}
	return vms;
}

/* The other VMs of the VM's set, which must have one, as change_list(). */
static GPtrArray *list_others(struct change *change, const struct vm *vm, GError **error)
{
	GPtrArray *vms = change_list(change, KIND_VM, error);

	return vms ? keep_others(vms, vm) : NULL;
}

/* "a, b and 3 more" */
static void append_name(GString *names, guint *n, const char *name)
{
	if ((*n)++ < NAMES_MAX)
		g_string_append_printf(names, "%s%s", names->len ? ", " : "", name);
}

static void append_rest(GString *names, guint n)
{
	if (n > NAMES_MAX)
		g_string_append_printf(names, " and %u more", n - NAMES_MAX);
}

/* ---- acceleration ---- */

bool availability_check_off(struct change *change, const struct vm *vm, const char *what, GError **error)
{
	g_autoptr(GString) names = g_string_new(NULL);
	guint n = 0;

	if (!vm->spec.availability_set)
		return vm_is_off(vm) ||
		       fault_set(error, FAULT_NOT_ALLOWED,
			       "%s while virtual machine %s is not deallocated. Deallocate it first (az vm "
			       "deallocate), change the interface, then start it again.",
			       what, vm->meta.name);
	const struct availability_set *set =
		change_get(change, KIND_AVAILABILITY_SET, vm->spec.availability_set, error);
	g_autoptr(GPtrArray) others = set ? list_others(change, vm, error) : NULL;
	if (!others)
		return false;
	if (!vm_is_off(vm))
		append_name(names, &n, vm->meta.name);
	for (guint i = 0; i < others->len; i++)
		if (!vm_is_off(others->pdata[i]))
			append_name(names, &n, model_meta(others->pdata[i])->name);
	append_rest(names, n);
	return n == 0 ||
	       fault_set(error, FAULT_NOT_ALLOWED,
		       "%s while virtual machines of availability set %s are not deallocated: %s. Deallocate "
		       "all virtual machines of the set first (az vm deallocate), change the interface, then "
		       "start them again.",
		       what, set->meta.name, names->str);
}

static const char *find_name(const GPtrArray *vms, const char *uid)
{
	for (guint i = 0; uid && i < vms->len; i++)
		if (g_str_equal(model_meta(vms->pdata[i])->uid, uid))
			return model_meta(vms->pdata[i])->name;
	return NULL;
}

bool availability_check_plain(
	struct change *change, const struct vm *vm, const struct size *size, GError **error)
{
	g_autoptr(GString) names = g_string_new(NULL);
	guint n = 0;

	if (!vm->spec.availability_set)
		return true;
	const struct availability_set *set =
		change_get(change, KIND_AVAILABILITY_SET, vm->spec.availability_set, error);
	g_autoptr(GPtrArray) others = set ? list_others(change, vm, error) : NULL;
	g_autoptr(GPtrArray) nics = others ? change_list(change, KIND_NIC, error) : NULL;
	if (!nics)
		return false;
	for (guint i = 0; i < nics->len; i++) {
		const struct nic *nic = nics->pdata[i];
		const char *owner =
			vm_find_nic(vm, nic->meta.uid) ? vm->meta.name : find_name(others, nic->status.vm);
		g_autofree char *name = g_strdup_printf("%s of %s", nic->meta.name, owner);
		if (owner && nic->spec.accelerated)
			append_name(names, &n, name);
	}
	append_rest(names, n);
	return n == 0 ||
	       fault_set(error, FAULT_NOT_ALLOWED,
		       "Size %s does not support accelerated networking, which network interfaces of "
		       "availability set %s have: %s. Deallocate all virtual machines of the set, turn it "
		       "off "
		       "on these interfaces (az network nic update --accelerated-networking false), then "
		       "resize.",
		       size->name, set->meta.name, names->str);
}

/* ---- joining ---- */

static bool check_fit(const struct availability_set *set, const struct vm *vm, GError **error)
{
	if (g_strcmp0(set->meta.parent, vm->meta.parent) != 0)
		return fault_set(error, FAULT_INVALID_REFERENCE,
			"virtual machine %s and availability set %s must be in one resource group",
			vm->meta.name, set->meta.name);
	if (!g_str_equal(set->meta.location, vm->meta.location))
		return fault_set(error, FAULT_INVALID_REFERENCE,
			"availability set %s is in %s but virtual machine %s is in %s; both must be in one "
			"location",
			set->meta.name, set->meta.location, vm->meta.name, vm->meta.location);
	if (!set->spec.aligned)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"Availability set %s has the sku Classic, for machines without managed disks; "
			"virtual "
			"machine %s has one. Convert the set (az vm availability-set convert).",
			set->meta.name, vm->meta.name);
	return true;
}

/* The update domain with the fewest VMs. */
static int64_t next_update_domain(const struct availability_set *set, const GPtrArray *vms)
{
	unsigned taken[UPDATE_DOMAINS_MAX] = {};
	int64_t best = 0;

	for (guint i = 0; i < vms->len; i++) {
		int64_t domain = ((const struct vm *)vms->pdata[i])->status.update_domain;
		if (domain >= 0 && domain < UPDATE_DOMAINS_MAX)
			taken[domain]++;
	}
	for (int64_t domain = 1; domain < set->spec.update_domains; domain++)
		if (taken[domain] < taken[best])
			best = domain;
	return best;
}

static bool join(struct put *put, struct vm *vm, GError **error)
{
	const struct availability_set *set = check_reference(
		put->change, KIND_AVAILABILITY_SET, vm->spec.availability_set, &vm->meta, error);
	g_autoptr(GPtrArray) others =
		set && check_fit(set, vm, error) ? list_others(put->change, vm, error) : NULL;

	if (!others)
		return false;
	if (others->len >= MACHINES_MAX)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"Availability set %s has %d virtual machines, more than that it does not take; "
			"create "
			"another set for %s",
			set->meta.name, MACHINES_MAX, vm->meta.name);
	vm->status.update_domain = next_update_domain(set, others);
	change_ref(put->change, set->meta.uid, &vm->meta);
	return true;
}

bool availability_join(struct put *put, GError **error)
{
	const struct vm *old = put->old;
	struct vm *vm = put->object;

	if (!old)
		return !vm->spec.availability_set || join(put, vm, error);
	return g_strcmp0(old->spec.availability_set, vm->spec.availability_set) == 0 ||
	       fault_set(error, FAULT_NOT_ALLOWED,
		       "Virtual machine %s was created %s; a machine's availability set cannot be changed. "
		       "Delete it and create it anew.",
		       vm->meta.name,
		       old->spec.availability_set ? "in an availability set" : "in no availability set");
}

/* ---- where its VMs are ---- */

static int older(const void *a, const void *b)
{
	const struct meta *left = *(const struct meta *const *)a, *right = *(const struct meta *const *)b;

	if (left->created_us != right->created_us)
		return left->created_us < right->created_us ? -1 : 1;
	return strcmp(left->uid, right->uid);
}

/* Number of each host's fault domain in a set that tells `count` of them apart: uid → number. */
static GHashTable *number_domains(GPtrArray *hosts, int64_t count)
{
	GHashTable *numbers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GPtrArray) domains = g_ptr_array_new();

	g_ptr_array_sort(hosts, older);
	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];
		const char *domain = host->spec.fault_domain ? host->spec.fault_domain : host->meta.uid;
		guint number;
		if (!g_ptr_array_find_with_equal_func(domains, domain, g_str_equal, &number)) {
			number = domains->len;
			g_ptr_array_add(domains, (char *)domain);
		}
		g_hash_table_insert(
			numbers, g_strdup(host->meta.uid), GUINT_TO_POINTER(number % (guint)MAX(count, 1)));
	}
	return numbers;
}

struct move {
	const char *host; /* name */
	const char *fault_domain; /* or NULL */
};

static bool move_host(struct change *change, void *data, GError **error)
{
	const struct move *move = data;
	void *there;

	if (!change_find(change, KIND_HOST, NULL, move->host, &there, error))
		return false;
	struct host *host = there;
	if (!host)
		return fault_set(error, FAULT_NOT_FOUND, "there is no host %s", move->host);
	g_free(host->spec.fault_domain);
	host->spec.fault_domain = g_strdup(move->fault_domain);
	host->meta.generation++;
	change_put(change, host);
	return true;
}

bool control_set_fault_domain(
	struct control *control, const char *host_name, const char *fault_domain, GError **error)
{
	struct move move = {host_name, fault_domain};

	if (fault_domain && (!*fault_domain || strlen(fault_domain) > DOMAIN_NAME_MAX ||
				    fault_domain[strspn(fault_domain, G_CSET_a_2_z G_CSET_DIGITS "-_.")]))
		return fault_set(error, FAULT_INVALID,
			"'%s' is no name of a fault domain: up to %d lower-case letters, digits, '-', '_' "
			"and '.'",
			fault_domain, DOMAIN_NAME_MAX);
	return change_run(control->store, move_host, &move, NULL, error);
}

/* How many fault domains the VM's set tells apart; 0 on failure. */
static int64_t read_count(struct control *control, const struct vm *vm, GError **error)
{
	if (vm->spec.availability_set) {
		_cleanup_(model_free) struct availability_set *set =
			control_get(control, KIND_AVAILABILITY_SET, vm->spec.availability_set, error);
		return set ? set->spec.fault_domains : 0;
	}
	_cleanup_(model_free) struct scale_set *set =
		control_get(control, KIND_SCALE_SET, vm->spec.scale_set, error);
	return !set ? 0 : set->spec.fault_domains > 1 ? set->spec.fault_domains : ALL_DOMAINS;
}

static GHashTable *read_domains(struct control *control, int64_t count, GError **error)
{
	g_autoptr(GPtrArray) hosts = count ? control_list(control, KIND_HOST, NULL, error) : NULL;

	return hosts ? number_domains(hosts, count) : NULL;
}

bool control_fault_domain(struct control *control, const struct vm *vm, int64_t *ret)
{
	int64_t count = circle_of(vm) && vm->status.host ? read_count(control, vm, NULL) : 0;
	g_autoptr(GHashTable) domains = count != ALL_DOMAINS ? read_domains(control, count, NULL) : NULL;

	if (!domains || !g_hash_table_contains(domains, vm->status.host))
		return false;
	*ret = GPOINTER_TO_UINT(g_hash_table_lookup(domains, vm->status.host));
	return true;
}

static bool has_accelerated_nic(struct control *control, const struct vm *vm)
{
	for (guint i = 0; i < list_length(vm->spec.nics); i++) {
		const struct vm_nic_ref *ref = vm->spec.nics->pdata[i];
		_cleanup_(model_free) struct nic *nic = control_get(control, KIND_NIC, ref->nic, NULL);
		if (nic && nic->spec.accelerated)
			return true;
	}
	return false;
}

bool control_is_accelerated(struct control *control, const struct vm *vm)
{
	g_autoptr(GPtrArray) vms =
		circle_of(vm) ? control_list(control, KIND_VM, vm->meta.parent, NULL) : NULL;

	if (has_accelerated_nic(control, vm))
		return true;
	if (vms)
		keep_others(vms, vm);
	for (guint i = 0; i < list_length(vms); i++)
		if (has_accelerated_nic(control, vms->pdata[i]))
			return true;
	return false;
}

GPtrArray *control_set_machines(struct control *control, const struct availability_set *set, GError **error)
{
	GPtrArray *vms = control_list(control, KIND_VM, set->meta.parent, error);

	for (guint i = vms ? vms->len : 0; i-- > 0;)
		if (g_strcmp0(((const struct vm *)vms->pdata[i])->spec.availability_set, set->meta.uid) != 0)
			g_ptr_array_remove_index(vms, i);
	return vms;
}

bool availability_find_mates(
	struct control *control, const struct vm *vm, struct availability_mates *ret, GError **error)
{
	if (!circle_of(vm))
		return true;
	ret->domains = read_domains(control, read_count(control, vm, error), error);
	g_autoptr(GPtrArray) vms =
		ret->domains ? control_list(control, KIND_VM, vm->meta.parent, error) : NULL;
	if (!vms)
		return false;
	keep_others(vms, vm);
	ret->hosts = strings_new();
	for (guint i = 0; i < vms->len; i++) {
		const struct vm *other = vms->pdata[i];
		if (other->status.host)
			g_ptr_array_add(ret->hosts, g_strdup(other->status.host));
	}
	return true;
}

void availability_mates_clear(struct availability_mates *mates)
{
	g_clear_pointer(&mates->domains, g_hash_table_unref);
	g_clear_pointer(&mates->hosts, g_ptr_array_unref);
}

void availability_count(
	const struct availability_mates *mates, const char *host, unsigned *ret_domain, unsigned *ret_host)
{
	*ret_domain = *ret_host = 0;
	for (guint i = 0; i < list_length(mates->hosts); i++) {
		const char *its = mates->hosts->pdata[i];
		*ret_host += g_str_equal(its, host);
		*ret_domain +=
			g_hash_table_lookup(mates->domains, its) == g_hash_table_lookup(mates->domains, host);
	}
}

/* ---- the kind ---- */

static bool availability_set_prepare(struct put *put, GError **error)
{
	const struct availability_set *old = put->old, *set = put->object;
	int64_t faults = set->spec.fault_domains, updates = set->spec.update_domains;

	if (faults < 1 || faults > FAULT_DOMAINS_MAX)
		return fault_set(error, FAULT_INVALID,
			"availability set %s: the number of fault domains is 1 to %d, not %" G_GINT64_FORMAT,
			set->meta.name, FAULT_DOMAINS_MAX, faults);
	if (updates < 1 || updates > UPDATE_DOMAINS_MAX)
		return fault_set(error, FAULT_INVALID,
			"availability set %s: the number of update domains is 1 to %d, not %" G_GINT64_FORMAT,
			set->meta.name, UPDATE_DOMAINS_MAX, updates);
	if (old && (old->spec.fault_domains != faults || old->spec.update_domains != updates))
		return fault_set(error, FAULT_NOT_ALLOWED,
			"The numbers of fault and update domains of availability set %s cannot be changed; "
			"delete "
			"it and create it anew.",
			set->meta.name);
	if (old && old->spec.aligned && !set->spec.aligned)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"Availability set %s has the sku Aligned and cannot go back to Classic.",
			set->meta.name);
	return true;
}

static bool availability_set_release(
	struct control *control, struct change *change, void *object, GError **error)
{
	return change_unreferenced(change, model_meta(object), error);
}

const struct kind_hooks availability_set_hooks = {
	.prepare = availability_set_prepare,
	.release = availability_set_release,
};
