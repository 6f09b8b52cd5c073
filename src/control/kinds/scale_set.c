/* Scale sets: virtual machines that are made alike, by a model.
 *
 * How it works. A set has a model and a capacity; its instances are VMs that refer to it. A put changes the model at
 * once, and instances take it when the upgrade policy says so: each remembers which version of the model it was made
 * by. What drives capacity, upgrades and actions is in scale_set_reconcile.c, what is done to one instance in
 * scale_set_instance.c.
 *
 * Membership. The set is written whenever an instance comes or is taken away, so that its revision stands for who is in
 * it. Instances that a client deletes are not made again. While an operation on the set is under way clients cannot
 * do anything to its instances.
 *
 * Acceleration. It is a matter of the model alone, and changes only while all instances are deallocated: when the model
 * changes, and again when an instance takes it. Who asks reads all VMs in one guarded list, so that an instance that is
 * started meanwhile makes the change look again.
 *
 * The frame of the model stands as long as there are instances: which interfaces they have, and in which subnets. An
 * instance takes another image or disk size by a new disk.
 */
#include "base/fault.h"
#include "control/control_priv.h"

#include <string.h>

#define CAPACITY_MAX      1000 /* as in Azure, as the next */
#define FAULT_DOMAINS_MAX 5
#define CONFIGS_MAX       12 /* of an instance: all that it has is stored in one transaction */
#define PREFIX_MAX        57 /* and six characters of the instance's number make a host name of 63 (RFC 1123) */
#define PAUSE_MAX_S       (24 * 3600)
#define NAMES_MAX         20

/* ---- its instances ---- */

static int by_number(const void *a, const void *b)
{
	const struct vm *left = *(const struct vm *const *)a, *right = *(const struct vm *const *)b;

	return (left->spec.instance > right->spec.instance) - (left->spec.instance < right->spec.instance);
}

GPtrArray *control_scale_set_instances(struct control *control, const struct scale_set *set, GError **error)
{
	GPtrArray *vms =
		control_list(control, KIND_VM, set->spec.flexible ? set->meta.parent : set->meta.uid, error);

	for (guint i = vms ? vms->len : 0; i-- > 0;)
		if (g_strcmp0(((const struct vm *)vms->pdata[i])->spec.scale_set, set->meta.uid) != 0)
			g_ptr_array_remove_index(vms, i);
	if (vms)
		g_ptr_array_sort(vms, by_number);
	return vms;
}

bool control_is_of_instance(struct control *control, const void *object)
{
	enum kind kind = (enum kind)((const struct meta *)object)->kind;
	const char *user = kind == KIND_NIC       ? ((const struct nic *)object)->status.vm
			   : kind == KIND_ADDRESS ? ((const struct address *)object)->status.nic
						  : NULL;

	if (kind == KIND_VM)
		return ((const struct vm *)object)->spec.scale_set != NULL;
	_cleanup_(model_free) void *its =
		user ? control_get(control, kind == KIND_NIC ? KIND_VM : KIND_NIC, user, NULL) : NULL;
	return its && control_is_of_instance(control, its);
}

bool control_instance_is_current(const struct scale_set *set, const struct vm *vm)
{
	return vm->status.model == set->status.model;
}

bool control_instance_was_upgraded(const struct vm *vm, const char *operation)
{
	return g_strcmp0(vm->status.set_operation, operation) == 0 &&
	       g_strcmp0(vm->status.made_by, operation) != 0;
}

bool scale_set_check_off(struct change *change, const struct scale_set *set, const char *what, GError **error)
{
	g_autoptr(GPtrArray) vms = change_list(change, KIND_VM, error);
	g_autoptr(GString) names = g_string_new(NULL);
	guint n = 0;

	if (!vms)
		return false;
	g_ptr_array_sort(vms, by_number);
	for (guint i = 0; i < vms->len; i++) {
		const struct vm *vm = vms->pdata[i];
		if (g_strcmp0(vm->spec.scale_set, set->meta.uid) != 0 || vm_is_off(vm))
			continue;
		if (n++ < NAMES_MAX)
			g_string_append_printf(names, "%s%s", names->len ? ", " : "", vm->meta.name);
	}
	if (n > NAMES_MAX)
		g_string_append_printf(names, " and %u more", n - NAMES_MAX);
	return n == 0 || fault_set(error, FAULT_NOT_ALLOWED,
				 "%s while instances of scale set %s are not deallocated: %s. Deallocate all "
				 "of them first "
				 "(az vmss deallocate), change it, then start them again (az vmss start).",
				 what, set->meta.name, names->str);
}

static bool specs_equal(const struct nic *a, const struct nic *b)
{
	for (const struct field *field = kind_info(KIND_NIC)->shape->fields; field->type != FIELD_END;
		field++)
		if (field->offset == offsetof(struct nic, spec))
			return shape_equal(field->shape, &a->spec, &b->spec);
	return false;
}

bool scale_set_check_nic(struct put *put, const struct vm *vm, GError **error)
{
	const struct nic *old = put->old, *nic = put->object;

	if (put->by_set || specs_equal(old, nic))
		return true;
	const struct scale_set *set = change_get(put->change, KIND_SCALE_SET, vm->spec.scale_set, error);
	return set &&
	       fault_set(error, FAULT_NOT_ALLOWED,
		       "Network interface %s cannot be changed: it is what the model of scale set %s says. "
		       "Change it there (az vmss update).",
		       nic->meta.name, set->meta.name);
}

bool scale_set_check_idle(struct change *change, const struct vm *vm, GError **error)
{
	const struct scale_set *set =
		vm->spec.scale_set ? change_get(change, KIND_SCALE_SET, vm->spec.scale_set, error) : NULL;

	return vm->spec.scale_set ? set && check_not_busy(set, error) : true;
}

bool scale_set_prepare_instance(struct put *put, GError **error)
{
	const struct vm *old = put->old;
	struct vm *vm = put->object;

	if (put->by_set || !old)
		return true;
	g_free(vm->spec.scale_set);
	vm->spec.scale_set = g_strdup(old->spec.scale_set);
	vm->spec.instance = old->spec.instance;
	g_clear_pointer(&vm->status.set_operation, g_free);
	return scale_set_check_idle(put->change, vm, error);
}

bool scale_set_let_go(struct change *change, const struct vm *vm, GError **error)
{
	if (!vm->spec.scale_set || vm->status.set_operation)
		return true;
	struct scale_set *set = change_get(change, KIND_SCALE_SET, vm->spec.scale_set, error);
	if (!set || !check_not_busy(set, error))
		return false;
	set->spec.capacity = MAX(set->spec.capacity - 1, 0);
	set->meta.generation++;
	change_put(change, set);
	return true;
}

/* ---- actions ---- */

static bool is_among(const GPtrArray *uids, const char *uid)
{
	return g_ptr_array_find_with_equal_func((GPtrArray *)uids, uid, g_str_equal, NULL);
}

bool scale_set_begin(struct control *control, struct scale_set *set, enum verb verb,
	const GPtrArray *instances, GError **error)
{
	if (verb != VERB_REMOVE)
		return true;
	/* The set, which the caller has guarded, stands for its list of instances. */
	g_autoptr(GPtrArray) vms = control_scale_set_instances(control, set, error);
	if (!vms)
		return false;
	for (guint i = 0; i < vms->len; i++) {
		const struct vm *vm = vms->pdata[i];
		if (vm->status.outcome.state != PROVISIONING_DELETING &&
			(list_length(instances) == 0 || is_among(instances, vm->meta.uid)))
			set->spec.capacity = MAX(set->spec.capacity - 1, 0);
	}
	set->meta.generation++;
	return true;
}

static bool mark_cancelled(struct change *change, void *data, GError **error)
{
	struct scale_set *set = change_get(change, KIND_SCALE_SET, data, error);

	if (!set)
		return false;
	if (set->status.rolling.state != ROLLING_FORWARD || !operation_running(&set->status.outcome))
		return fault_set(error, FAULT_NOT_ALLOWED,
			"no rolling upgrade of scale set %s is under way that could be cancelled",
			set->meta.name);
	set->status.rolling.cancel = true;
	change_put(change, set);
	return true;
}

bool control_scale_set_cancel(struct control *control, const char *uid, GError **error)
{
	return change_run(control->store, mark_cancelled, (void *)uid, NULL, error);
}

/* ---- references: what the model names cannot be deleted ---- */

static void stage_ref(struct change *change, const struct scale_set *set, const char *target, bool wanted)
{
	if (target && wanted)
		change_ref(change, target, &set->meta);
	else if (target)
		change_unref(change, target, set->meta.uid);
}

static void stage_balancers(
	struct change *change, const struct scale_set *set, const GPtrArray *refs, bool wanted)
{
	for (guint i = 0; i < list_length(refs); i++)
		stage_ref(change, set, ((const struct balancer_ref *)refs->pdata[i])->balancer, wanted);
}

void scale_set_stage_refs(struct change *change, const struct scale_set *set, bool wanted)
{
	stage_ref(change, set, set->spec.health.balancer, wanted);
	for (guint i = 0; i < list_length(set->spec.model.nics); i++) {
		const struct set_nic *nic = set->spec.model.nics->pdata[i];
		stage_ref(change, set, nic->security_group, wanted);
		for (guint c = 0; c < nic->configs->len; c++) {
			const struct nic_config *config =
				&((const struct set_config *)nic->configs->pdata[c])->nic;
			stage_ref(change, set, config->network, wanted);
			stage_balancers(change, set, config->pools, wanted);
			stage_balancers(change, set, config->nat_pools, wanted);
			for (guint g = 0; g < list_length(config->application_groups); g++)
				stage_ref(change, set, config->application_groups->pdata[g], wanted);
		}
	}
}

/* ---- a put: what the model must be ---- */

static struct set_nic *find_nic(const struct set_model *model, const char *name)
{
	for (guint i = 0; i < list_length(model->nics); i++) {
		struct set_nic *nic = model->nics->pdata[i];
		if (g_ascii_strcasecmp(nic->name, name) == 0)
			return nic;
	}
	return NULL;
}

/* As each instance would have it. */
static bool check_as_nic(struct put *put, const struct set_nic *wanted, GError **error)
{
	const struct scale_set *set = put->object;
	_cleanup_(model_free) struct nic *nic = model_new(KIND_NIC, wanted->name, set->meta.uid);
	struct put as_nic = {.control = put->control, .change = put->change, .object = nic};

	nic->meta.location = g_strdup(set->meta.location);
	nic->spec.security_group = g_strdup(wanted->security_group);
	nic->spec.configs = shape_list_new(&nic_config_shape);
	for (guint i = 0; i < list_length(wanted->configs); i++) {
		const struct set_config *config = wanted->configs->pdata[i];
		g_ptr_array_add(nic->spec.configs, shape_copy(&nic_config_shape, &config->nic));
	}
	return nic_check(&as_nic, error);
}

static bool check_addresses(const struct scale_set *set, const struct set_nic *nic, GError **error)
{
	for (guint i = 0; i < nic->configs->len; i++) {
		const struct set_address *address =
			&((const struct set_config *)nic->configs->pdata[i])->address;
		if (address->name && ((const struct set_config *)nic->configs->pdata[i])->nic.ipv6)
			return fault_set(error, FAULT_UNSUPPORTED,
				"scale set %s: public address %s is for a configuration of IPv6, and public "
				"addresses are of IPv4 here; name it in one of IPv4",
				set->meta.name, address->name);
		for (guint j = 0; address->name && j < i; j++) {
			const struct set_config *before = nic->configs->pdata[j];
			if (before->address.name &&
				g_ascii_strcasecmp(before->address.name, address->name) == 0)
				return fault_set(error, FAULT_INVALID,
					"scale set %s: two public addresses of network interface %s are "
					"named %s",
					set->meta.name, nic->name, address->name);
		}
		if (address->idle_timeout_min &&
			(address->idle_timeout_min < 4 || address->idle_timeout_min > 30))
			return fault_set(error, FAULT_INVALID,
				"scale set %s: public address %s needs an idle timeout of 4 to 30 minutes",
				set->meta.name, address->name);
	}
	return true;
}

/* Load balancers that it names are there, with these parts; the rest of their rules is about instances. */
static bool check_parts(struct put *put, const GPtrArray *refs, size_t list, GError **error)
{
	const struct scale_set *set = put->object;

	for (guint i = 0; i < list_length(refs); i++) {
		const struct balancer_ref *ref = refs->pdata[i];
		const struct balancer *balancer =
			check_reference(put->change, KIND_BALANCER, ref->balancer, &set->meta, error);
		if (!balancer)
			return false;
		if (!balancer_part(*(GPtrArray *const *)((const char *)balancer + list), ref->name))
			return fault_set(error, FAULT_INVALID_REFERENCE,
				"scale set %s refers to %s of load balancer %s, which does not have it",
				set->meta.name, ref->name, balancer->meta.name);
	}
	return true;
}

static bool check_balancers(struct put *put, const struct set_nic *nic, GError **error)
{
	for (guint i = 0; i < nic->configs->len; i++) {
		const struct nic_config *config = &((const struct set_config *)nic->configs->pdata[i])->nic;
		if (!check_parts(put, config->pools, offsetof(struct balancer, spec.pools), error) ||
			!check_parts(
				put, config->nat_pools, offsetof(struct balancer, spec.nat_pools), error))
			return false;
	}
	return true;
}

static bool check_nic(struct put *put, const struct set_nic *nic, const struct size *size, GError **error)
{
	const struct scale_set *set = put->object;

	if (find_nic(&set->spec.model, nic->name) != nic)
		return fault_set(error, FAULT_INVALID, "scale set %s has two network interfaces named %s",
			set->meta.name, nic->name);
	if (!check_name(KIND_NIC, nic->name, error) || !check_as_nic(put, nic, error) ||
		!check_addresses(set, nic, error) || !check_balancers(put, nic, error))
		return false;
	if (nic->accelerated && !size_takes_acceleration(size))
		return fault_set(error, FAULT_NOT_ALLOWED,
			"Network interface %s of scale set %s has accelerated networking, which size %s does "
			"not support; take a size that 'az vm list-skus' shows with "
			"AcceleratedNetworkingEnabled, or %s",
			nic->name, set->meta.name, size->name,
			put->old ? "deallocate all instances, turn it off in the model (az vmss update --set "
				   "virtualMachineProfile.networkProfile.networkInterfaceConfigurations[0]"
				   ".enableAcceleratedNetworking=false), then resize"
				 : "create the set without it (--accelerated-networking false)");
	const struct machine_image image = {set->spec.model.image, set->spec.model.custom_image};
	return !nic->accelerated || machine_check_support(put, &set->meta, &image, nic->name, error);
}

static bool check_nics(struct put *put, const struct size *size, GError **error)
{
	struct scale_set *set = put->object;
	const GPtrArray *nics = set->spec.model.nics;
	guint primaries = 0, configs = 0;

	if (list_length(nics) == 0)
		return fault_set(error, FAULT_INVALID, "scale set %s needs at least one network interface",
			set->meta.name);
	for (guint i = 0; i < nics->len; i++) {
		const struct set_nic *nic = nics->pdata[i];
		if (!check_nic(put, nic, size, error))
			return false;
		primaries += nic->primary;
		configs += list_length(nic->configs);
	}
	if (configs > CONFIGS_MAX)
		return fault_set(error, FAULT_INVALID,
			"scale set %s has %u IP configurations in its model, %d are possible", set->meta.name,
			configs, CONFIGS_MAX);
	if (primaries == 0)
		((struct set_nic *)nics->pdata[0])->primary = true;
	return primaries <= 1 || fault_set(error, FAULT_INVALID,
					 "scale set %s has %u primary network interfaces, one is needed",
					 set->meta.name, primaries);
}

/* What instances of a flexible set have is named after it in the group, and must be a name there: see scale_set_instance.c. */
static bool check_instance_name(
	const struct scale_set *set, enum kind kind, const char *name, const char *suffix, GError **error)
{
	g_autofree char *full = g_strconcat(name, set->spec.flexible ? suffix : NULL, NULL);

	return check_name(kind, name, error) &&
	       (check_name(kind, full, NULL) ||
		       fault_set(error, FAULT_INVALID,
			       "'%s' is too long a name for a flexible scale set: instances have it with %zu "
			       "characters more, and the name of a %s has %zu at most",
			       name, strlen(suffix), kind_info(kind)->title, check_name_max(kind)));
}

static bool check_instance_names(const struct scale_set *set, GError **error)
{
	if (!check_instance_name(set, KIND_VM, set->meta.name, "_12345678", error))
		return false;
	for (guint i = 0; i < list_length(set->spec.model.nics); i++) {
		const struct set_nic *nic = set->spec.model.nics->pdata[i];
		if (!check_instance_name(set, KIND_NIC, nic->name, "-12345678", error))
			return false;
		for (guint c = 0; c < list_length(nic->configs); c++) {
			const char *address =
				((const struct set_config *)nic->configs->pdata[c])->address.name;
			if (address && !check_instance_name(set, KIND_ADDRESS, address, "-12345678", error))
				return false;
		}
	}
	return true;
}

/* One that the set has already stays. */
static bool check_prefix(const struct scale_set *set, const struct scale_set *old, GError **error)
{
	const char *prefix = set->spec.model.name_prefix;
	size_t length = prefix ? strlen(prefix) : 0;

	if (old && g_strcmp0(old->spec.model.name_prefix, prefix) == 0)
		return true;
	return (length > 0 && length <= PREFIX_MAX && g_ascii_isalnum(prefix[0]) &&
		       strspn(prefix, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-") == length) ||
	       fault_set(error, FAULT_INVALID,
		       "scale set %s: '%s' is no prefix of computer names (--computer-name-prefix); use 1 to "
		       "%d letters, digits and '-', starting with a letter or digit: instances have six "
		       "characters more, and a host name has 63 at most",
		       set->meta.name, prefix ? prefix : "", PREFIX_MAX);
}

static bool check_model(struct put *put, GError **error)
{
	const struct scale_set *old = put->old;
	struct scale_set *set = put->object;
	struct set_model *model = &set->spec.model;
	const struct machine_image image = {model->image, model->custom_image};
	bool same_image = old && g_strcmp0(old->spec.model.image, model->image) == 0 &&
			  g_strcmp0(old->spec.model.custom_image, model->custom_image) == 0;
	const struct size *size;

	if (!machine_check_user(&set->meta, model->admin_user, model->ssh_keys, error) ||
		(!same_image && !machine_check_image(put, &set->meta, &image, error)) ||
		!check_prefix(set, old, error))
		return false;
	size = machine_check_size(put->control, &set->meta, &model->size, model->nics, error);
	return size && check_nics(put, size, error);
}

static bool check_range(const struct scale_set *set, const char *what, int64_t value, int64_t min,
	int64_t max, GError **error)
{
	return (value >= min && value <= max) || fault_set(error, FAULT_INVALID,
							 "scale set %s: %s is %" G_GINT64_FORMAT
							 " to %" G_GINT64_FORMAT ", not %" G_GINT64_FORMAT,
							 set->meta.name, what, min, max, value);
}

static bool check_numbers(const struct scale_set *set, GError **error)
{
	const struct set_rolling_policy *rolling = &set->spec.rolling;

	/* A rolling upgrade may be asked for whatever the mode is. */
	return check_range(set, "the capacity", set->spec.capacity, 0, CAPACITY_MAX, error) &&
	       check_range(set, "the number of fault domains", set->spec.fault_domains, 1, FAULT_DOMAINS_MAX,
		       error) &&
	       check_range(set, "the percentage of a batch", rolling->batch_percent, 5, 100, error) &&
	       check_range(set, "the percentage of unhealthy instances", rolling->unhealthy_percent, 5, 100,
		       error) &&
	       check_range(set, "the percentage of unhealthy upgraded instances",
		       rolling->unhealthy_upgraded_percent, 0, 100, error) &&
	       check_range(set, "the pause between batches, in seconds,", rolling->pause_s, 0, PAUSE_MAX_S,
		       error);
}

/* ---- a put of a set that exists: what may change ---- */

/* Alike but for what instances can take. */
static bool nic_frames_equal(const struct set_nic *a, const struct set_nic *b)
{
	struct set_nic *left = shape_copy(&set_nic_shape, a);

	left->accelerated = b->accelerated;
	left->ip_forwarding = b->ip_forwarding;
	g_free(left->security_group);
	left->security_group = g_strdup(b->security_group);
	for (guint i = 0; i < MIN(left->configs->len, b->configs->len); i++)
		nic_config_take_memberships(&((struct set_config *)left->configs->pdata[i])->nic,
			&((const struct set_config *)b->configs->pdata[i])->nic);
	bool equal = shape_equal(&set_nic_shape, left, b);
	shape_free(&set_nic_shape, left);
	return equal;
}

static bool frames_equal(const struct set_model *a, const struct set_model *b)
{
	if (list_length(a->nics) != list_length(b->nics))
		return false;
	for (guint i = 0; i < a->nics->len; i++)
		if (!nic_frames_equal(a->nics->pdata[i], b->nics->pdata[i]))
			return false;
	return true;
}

static bool check_frame(struct put *put, GError **error)
{
	const struct scale_set *old = put->old, *set = put->object;

	if (frames_equal(&old->spec.model, &set->spec.model))
		return true;
	g_autoptr(GPtrArray) vms = control_scale_set_instances(put->control, old, error);
	if (!vms)
		return false;
	return vms->len == 0 || fault_set(error, FAULT_NOT_ALLOWED,
					"Which network interfaces and IP configurations instances of scale "
					"set %s have cannot be "
					"changed while it has %u instances. Scale it to 0 first (az vmss "
					"scale --new-capacity 0), "
					"or make another set.",
					set->meta.name, vms->len);
}

static bool check_acceleration(struct put *put, GError **error)
{
	const struct scale_set *old = put->old, *set = put->object;

	for (guint i = 0; i < set->spec.model.nics->len; i++) {
		const struct set_nic *nic = set->spec.model.nics->pdata[i],
				     *was = find_nic(&old->spec.model, nic->name);
		g_autofree char *what = g_strdup_printf(
			"Accelerated networking of network interface %s cannot be changed", nic->name);
		if (was && was->accelerated != nic->accelerated &&
			!scale_set_check_off(put->change, old, what, error))
			return false;
	}
	return true;
}

static bool check_update(struct put *put, GError **error)
{
	const struct scale_set *old = put->old, *set = put->object;

	if (old->spec.flexible != set->spec.flexible || old->spec.fault_domains != set->spec.fault_domains)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"The orchestration mode and the number of fault domains of scale set %s cannot be "
			"changed; "
			"delete it and create it anew.",
			set->meta.name);
	if (g_strcmp0(old->spec.model.admin_user, set->spec.model.admin_user) != 0 ||
		g_strcmp0(old->spec.model.name_prefix, set->spec.model.name_prefix) != 0)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"The admin user and the prefix of computer names of scale set %s cannot be changed; "
			"delete "
			"it and create it anew.",
			set->meta.name);
	return check_frame(put, error) && check_acceleration(put, error);
}

void scale_set_take_image(struct scale_set *set, const char *image, json_t *reference)
{
	struct set_model *model = &set->spec.model;

	if (g_strcmp0(model->image, image) == 0)
		return;
	g_free(model->image);
	model->image = g_strdup(image);
	json_decref(model->image_reference);
	model->image_reference = json_incref(reference);
	set->status.model++;
	set->meta.generation++;
}

static bool scale_set_prepare(struct put *put, GError **error)
{
	const struct scale_set *old = put->old;
	struct scale_set *set = put->object;

	if (!check_numbers(set, error) || !check_model(put, error) || !scale_set_check_health(put, error) ||
		(old && !check_update(put, error)))
		return false;
	/* Sets of before go on with their names. */
	if (!(old && frames_equal(&old->spec.model, &set->spec.model)) && !check_instance_names(set, error))
		return false;
	if (!old || !shape_equal(&set_model_shape, &old->spec.model, &set->spec.model))
		set->status.model++;
	if (old)
		scale_set_stage_refs(put->change, old, false);
	scale_set_stage_refs(put->change, set, true);
	return true;
}

static bool scale_set_release(struct control *control, struct change *change, void *object, GError **error)
{
	/* Its instances go first; the reconciler releases what it holds behind the last one. */
	return true;
}

const struct kind_hooks scale_set_hooks = {
	.prepare = scale_set_prepare,
	.release = scale_set_release,
	.delete_later = true,
};
