/* What is done to one instance of a scale set: each is one transaction, so that nothing is ever half made.
 *
 * How it works. The hooks of the kinds of which an instance consists do their checks and claims, as in puts of clients,
 * one after the other in one change. All that an instance has goes with it: an instance of a set that is not
 * flexible is inside of the set, its interfaces are inside of it, and their public addresses inside of them.
 */
#include "base/failpoint.h"
#include "base/fault.h"
#include "control/control_priv.h"

#include <string.h>

struct vm *control_scale_set_machine(const struct scale_set *set)
{
	const struct set_model *model = &set->spec.model;
	struct vm *vm = model_new(KIND_VM, NULL, NULL);

	vm->meta.location = g_strdup(set->meta.location);
	vm->spec.size = g_strdup(model->size);
	vm->spec.image = g_strdup(model->image);
	vm->spec.custom_image = g_strdup(model->custom_image);
	vm->spec.image_reference = json_incref(model->image_reference);
	vm->spec.disk_gib = model->disk_gib;
	vm->spec.admin_user = g_strdup(model->admin_user);
	vm->spec.ssh_keys = shape_list_new(&ssh_key_shape);
	for (guint i = 0; i < list_length(model->ssh_keys); i++)
		g_ptr_array_add(vm->spec.ssh_keys, shape_copy(&ssh_key_shape, model->ssh_keys->pdata[i]));
	return vm;
}

/* One change of one instance. */
struct task {
	struct control *control;
	const struct operation *operation; /* of the set */
	const char *vm; /* uid; of instance_upgrade() */
	int64_t revision; /* of the set; of instance_make() */
	bool done;
};

/* ---- making ---- */

/* What is being made. */
struct making {
	struct put put; /* its object changes */
	const struct scale_set *set;
	struct vm *vm;
};

/* "eth0", or "eth0-1a2b3c4d" for what is in the group, where names must differ. */
static char *name_part(const struct making *making, const char *name)
{
	return making->set->spec.flexible ? g_strdup_printf("%s-%.8s", name, making->vm->meta.uid)
					  : g_strdup(name);
}

/* An object that belongs to the instance: inside of `owner`, or in the group. */
static void *new_part(const struct making *making, enum kind kind, const char *name, const struct meta *owner)
{
	const struct scale_set *set = making->set;
	g_autofree char *full = name_part(making, name);
	struct meta *meta = model_new(kind, full, set->spec.flexible ? set->meta.parent : owner->uid);

	meta->parent_kind = set->spec.flexible ? KIND_NONE : owner->kind;
	meta->location = g_strdup(set->meta.location);
	meta->tags = json_incref(set->meta.tags);
	meta->generation = 1;
	return meta;
}

/* Takes the object. */
static bool add(struct making *making, void *object, GError **error)
{
	_cleanup_(model_free) struct meta *part = object;

	making->put.object = part;
	if (!kind_hooks((enum kind)part->kind)->prepare(&making->put, error))
		return false;
	change_add(making->put.change, g_steal_pointer(&part));
	return true;
}

static bool add_address(struct making *making, const struct nic *nic, const struct set_address *wanted,
	char **ret, GError **error)
{
	if (!wanted->name)
		return true;
	struct address *address = new_part(making, KIND_ADDRESS, wanted->name, &nic->meta);
	address->spec.sku = wanted->sku;
	address->spec.allocation = wanted->sku == ADDRESS_STANDARD ? ALLOCATION_STATIC : ALLOCATION_DYNAMIC;
	address->spec.idle_timeout_min = wanted->idle_timeout_min;
	*ret = g_strdup(address->meta.uid);
	return add(making, address, error);
}

static bool add_nic(struct making *making, const struct set_nic *wanted, GError **error)
{
	_cleanup_(model_free) struct nic *nic = new_part(making, KIND_NIC, wanted->name, &making->vm->meta);
	struct vm_nic_ref *ref = shape_new(&vm_nic_ref_shape);

	g_ptr_array_add(making->vm->spec.nics, ref);
	ref->nic = g_strdup(nic->meta.uid);
	ref->primary = wanted->primary;
	nic->spec.accelerated = wanted->accelerated;
	nic->spec.ip_forwarding = wanted->ip_forwarding;
	nic->spec.security_group = g_strdup(wanted->security_group);
	nic->spec.configs = shape_list_new(&nic_config_shape);
	for (guint i = 0; i < wanted->configs->len; i++) {
		const struct set_config *its = wanted->configs->pdata[i];
		struct nic_config *config = shape_copy(&nic_config_shape, &its->nic);
		g_ptr_array_add(nic->spec.configs, config);
		if (!add_address(making, nic, &its->address, &config->address, error))
			return false;
	}
	return add(making, g_steal_pointer(&nic), error);
}

/* Six digits of base 36, as in Azure. */
static char *computer_name(const struct scale_set *set, int64_t number)
{
	char digits[] = "000000";

	for (size_t i = sizeof(digits) - 1; i-- > 0; number /= 36)
		digits[i] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number % 36];
	return g_strconcat(set->spec.model.name_prefix, digits, NULL);
}

static struct vm *new_instance(const struct scale_set *set)
{
	struct vm *vm = control_scale_set_machine(set);
	int64_t number = set->status.instances_made;

	vm->meta.name = set->spec.flexible ? g_strdup_printf("%s_%.8s", set->meta.name, vm->meta.uid)
					   : g_strdup_printf("%s_%" G_GINT64_FORMAT, set->meta.name, number);
	vm->meta.parent = g_strdup(set->spec.flexible ? set->meta.parent : set->meta.uid);
	vm->meta.parent_kind = set->spec.flexible ? KIND_NONE : KIND_SCALE_SET;
	vm->meta.tags = json_incref(set->meta.tags);
	vm->meta.generation = 1;
	vm->spec.computer_name = computer_name(set, number);
	vm->spec.scale_set = g_strdup(set->meta.uid);
	vm->spec.instance = number;
	vm->spec.nics = shape_list_new(&vm_nic_ref_shape);
	return vm;
}

/* Its operation begins, for the one of the set. */
static void begin(struct change *change, const struct task *task, const struct scale_set *set, struct vm *vm,
	enum provisioning state)
{
	const struct control_request request = control_request_after(task->operation);
	_cleanup_(model_free) struct operation *operation =
		operation_new(VERB_PUT, vm, &request, state == PROVISIONING_CREATING);

	vm->status.model = set->status.model;
	g_free(vm->status.set_operation);
	vm->status.set_operation = g_strdup(task->operation->meta.uid);
	outcome_begin(vm, state);
	change_put(change, operation);
}

static bool make(struct change *change, void *data, GError **error)
{
	struct task *task = data;
	struct scale_set *set = change_get(change, KIND_SCALE_SET, task->operation->spec.target, error);

	task->done = false;
	if (!set)
		return false;
	if (set->meta.revision != task->revision)
		return true;
	struct vm *vm = new_instance(set);
	struct making making = {
		.put = {.control = task->control, .change = change, .by_set = true}, .set = set, .vm = vm};
	bool good = true;
	for (guint i = 0; good && i < set->spec.model.nics->len; i++)
		good = add_nic(&making, set->spec.model.nics->pdata[i], error);
	if (!good) {
		model_free(vm);
		return false;
	}
	begin(change, task, set, vm, PROVISIONING_CREATING);
	vm->status.made_by = g_strdup(task->operation->meta.uid);
	change_ref(change, set->meta.uid, &vm->meta);
	set->status.instances_made++;
	change_put(change, set);
	task->done = true;
	return add(&making, vm, error);
}

bool instance_make(
	struct control *control, const struct operation *operation, int64_t *revision, GError **error)
{
	struct task task = {.control = control, .operation = operation, .revision = *revision};

	if (!change_run(control->store, make, &task, revision, error))
		return false;
	if (task.done)
		failpoint(FAILPOINT_CONTROL_INSTANCE_MADE);
	return true;
}

/* ---- upgrading ---- */

static bool upgrade_nic(
	struct put *put, const struct vm *vm, guint index, const struct scale_set *set, GError **error)
{
	const struct set_nic *wanted = set->spec.model.nics->pdata[index];
	const struct vm_nic_ref *ref = vm->spec.nics->pdata[index];
	const struct nic *old = change_get(put->change, KIND_NIC, ref->nic, error);
	_cleanup_(model_free) struct nic *nic = old ? model_copy(old) : NULL;
	g_autofree char *what = g_strdup_printf(
		"Accelerated networking of network interface %s cannot be changed", wanted->name);

	if (!nic || (old->spec.accelerated != wanted->accelerated &&
			    !scale_set_check_off(put->change, set, what, error)))
		return false;
	nic->spec.accelerated = wanted->accelerated;
	nic->spec.ip_forwarding = wanted->ip_forwarding;
	g_free(nic->spec.security_group);
	nic->spec.security_group = g_strdup(wanted->security_group);
	for (guint i = 0; i < MIN(nic->spec.configs->len, wanted->configs->len); i++)
		nic_config_take_memberships(nic->spec.configs->pdata[i],
			&((const struct set_config *)wanted->configs->pdata[i])->nic);
	nic->meta.generation++;
	put->old = old;
	put->object = nic;
	if (!nic_hooks.prepare(put, error))
		return false;
	change_add(put->change, g_steal_pointer(&nic));
	return true;
}

static bool upgrade_machine(struct put *put, const struct task *task, const struct vm *old,
	const struct scale_set *set, GError **error)
{
	_cleanup_(model_free) struct vm *vm = model_copy(old), *wanted = control_scale_set_machine(set);

	bool disk = g_strcmp0(vm->spec.image, wanted->spec.image) != 0 ||
		    vm->spec.disk_gib != wanted->spec.disk_gib;

	g_free(vm->spec.size);
	vm->spec.size = g_steal_pointer(&wanted->spec.size);
	g_free(vm->spec.image);
	vm->spec.image = g_steal_pointer(&wanted->spec.image);
	g_free(vm->spec.custom_image);
	vm->spec.custom_image = g_steal_pointer(&wanted->spec.custom_image);
	vm->spec.disk_gib = wanted->spec.disk_gib;
	json_decref(vm->spec.image_reference);
	vm->spec.image_reference = g_steal_pointer(&wanted->spec.image_reference);
	g_clear_pointer(&vm->spec.ssh_keys, g_ptr_array_unref);
	vm->spec.ssh_keys = g_steal_pointer(&wanted->spec.ssh_keys);
	vm->meta.generation++;
	put->old = old;
	put->object = vm;
	if (!vm_hooks.prepare(put, error))
		return false;
	if (disk && vm->status.host)
		vm_reimage(vm);
	begin(put->change, task, set, vm, PROVISIONING_UPDATING);
	change_add(put->change, g_steal_pointer(&vm));
	return true;
}

static bool upgrade(struct change *change, void *data, GError **error)
{
	const struct task *task = data;
	const struct scale_set *set = change_get(change, KIND_SCALE_SET, task->operation->spec.target, error);
	const struct vm *vm = set ? change_get(change, KIND_VM, task->vm, error) : NULL;
	struct put put = {.control = task->control, .change = change, .by_set = true};

	if (!vm || !check_not_busy(vm, error))
		return false;
	for (guint i = 0; i < MIN(list_length(vm->spec.nics), set->spec.model.nics->len); i++)
		if (!upgrade_nic(&put, vm, i, set, error))
			return false;
	return upgrade_machine(&put, task, vm, set, error);
}

bool instance_upgrade(
	struct control *control, const struct operation *operation, const char *vm, GError **error)
{
	struct task task = {.control = control, .operation = operation, .vm = vm};

	if (!change_run(control->store, upgrade, &task, NULL, error))
		return false;
	failpoint(FAILPOINT_CONTROL_INSTANCE_UPGRADED);
	return true;
}

/* ---- removing ---- */

static bool take_address(struct change *change, const char *uid, GError **error)
{
	const struct address *address = change_get(change, KIND_ADDRESS, uid, error);

	if (!address)
		return false;
	change_release(change, POOL_PUBLIC, address->status.ip);
	change_delete(change, address);
	return true;
}

bool scale_set_take_nic(struct control *control, struct change *change, struct nic *nic, GError **error)
{
	if (!nic_hooks.release(control, change, nic, error))
		return false;
	for (guint i = 0; i < nic->spec.configs->len; i++) {
		const struct nic_config *config = nic->spec.configs->pdata[i];
		if (config->address && !take_address(change, config->address, error))
			return false;
	}
	change_delete(change, nic);
	return true;
}
