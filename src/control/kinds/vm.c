/* Virtual machines.
 *
 * How it works. A put, start, stop, ... writes what the user wants into spec and leaves an operation.
 * vm_reconcile() takes it from there: it finds a host (once: the disk stays where it was made), and waits
 * until that host reports the wanted power state for a goal that holds the operation. A fault in the host's
 * report fails the operation, and so does a host that is silent for too long; the spec stays, so the same command can be
 * repeated, and the host keeps trying. A deletion alone waits for its host for as long as it takes.
 *
 * | operation  | spec                | done when the host reports      |
 * |------------|---------------------|---------------------------------|
 * | put, start | power running       | running                         |
 * | resize     | size, restarts + 1  | running, restarts done          |
 * | powerOff   | power stopped       | stopped                         |
 * | deallocate | power deallocated   | deallocated                     |
 * | restart    | restarts + 1        | running, restarts done          |
 * | reimage    | reimages + 1        | the power of before, reimages done |
 * | delete     | deletion mark       | absent; then all is released    |
 * | migrate    | -                   | see control/migrate.c           |
 */
#include "base/failpoint.h"
#include "base/fault.h"
#include "base/kernel_age.h"
#include "control/control_priv.h"

#include <string.h>

bool vm_is_off(const struct vm *vm)
{
	if (!vm->status.host && !operation_running(&vm->status.outcome))
		return true;
	return vm->spec.power == POWER_DEALLOCATED && vm->status.power == POWER_STATE_DEALLOCATED;
}

bool vm_check_there(const struct vm *vm, GError **error)
{
	return !vm->status.lost || fault_set(error, FAULT_NOT_ALLOWED,
					   "virtual machine %s was lost: host %s, which had its disk, was "
					   "given up and removed from the "
					   "cloud; it can only be deleted, and created anew",
					   vm->meta.name, vm->status.lost);
}

bool vm_needs_size(const struct vm *vm)
{
	return vm->status.host && vm->spec.power != POWER_DEALLOCATED &&
	       vm->status.outcome.state != PROVISIONING_DELETING;
}

const struct vm_nic_ref *vm_find_nic(const struct vm *vm, const char *nic)
{
	for (guint i = 0; i < list_length(vm->spec.nics); i++) {
		const struct vm_nic_ref *ref = vm->spec.nics->pdata[i];
		if (g_str_equal(ref->nic, nic))
			return ref;
	}
	return NULL;
}

void vm_reimage(struct vm *vm)
{
	vm->spec.reimages++;
	vm->status.guest_heard = false;
	shape_clear(&guest_os_shape, &vm->status.guest);
}

bool vm_check_kernel(const struct vm *vm, const char *nic, GError **error)
{
	const struct guest_os *guest = &vm->status.guest;
	const struct kernel_minimum *minimum =
		kernel_minimum_missed(guest->id, guest->version, guest->kernel);

	return !minimum || fault_set(error, FAULT_NOT_ALLOWED,
				   "The guest of virtual machine %s ran kernel %s when it was heard last, "
				   "older than %s, with "
				   "which accelerated networking begins to work in %s. Start it without "
				   "acceleration of network "
				   "interface %s, " KERNEL_REMEDY ", then deallocate it and try again.",
				   vm->meta.name, guest->kernel, minimum->kernel, minimum->name, nic);
}

/* ---- put ---- */

bool machine_check_user(const struct meta *of, const char *user, const GPtrArray *ssh_keys, GError **error)
{
	static const char *const reserved[] = {"root", "admin", "administrator", "daemon", "bin", "sys",
		"sync", "mail", "nobody", "sshd", NULL};
	const char *title = kind_info((enum kind)of->kind)->title;

	if (!user || !*user)
		return fault_set(error, FAULT_INVALID, "%s %s needs an admin user name", title, of->name);
	if (strlen(user) > 32 ||
		!g_regex_match_simple("^[a-z_][a-z0-9_-]*$", user, G_REGEX_DOLLAR_ENDONLY, 0))
		return fault_set(error, FAULT_INVALID,
			"%s %s: '%s' is no admin user name; use up to 32 lower-case letters, digits, '-' and "
			"'_', starting with a letter",
			title, of->name, user);
	if (words_find(reserved, user) >= 0)
		return fault_set(error, FAULT_INVALID,
			"%s %s: the admin user name '%s' is not allowed; choose another, such as azureuser",
			title, of->name, user);
	if (list_length(ssh_keys) == 0)
		return fault_set(error, FAULT_INVALID,
			"%s %s has no ssh key; passwords are not supported, use --generate-ssh-keys or "
			"--ssh-key-values",
			title, of->name);
	return true;
}

const struct size *machine_check_size(struct control *control, const struct meta *of, char **size_name,
	const GPtrArray *nics, GError **error)
{
	const struct size *size = control_size(control, *size_name ? *size_name : "");
	const char *title = kind_info((enum kind)of->kind)->title;

	if (!size) {
		fault_set(error, FAULT_INVALID,
			"The value '%s' of %s %s is no size of this cloud; 'az vm list-sizes -l %s' shows "
			"them",
			*size_name ? *size_name : "", title, of->name, of->location);
		return NULL;
	}
	if (list_length(nics) > (guint)size->max_nics) {
		fault_set(error, FAULT_INVALID,
			"%s %s has %u network interfaces; size %s takes %" G_GINT64_FORMAT " at most", title,
			of->name, nics->len, size->name, size->max_nics);
		return NULL;
	}
	g_free(*size_name);
	*size_name = g_strdup(size->name);
	return size;
}

static bool bind_nic(
	struct put *put, const struct vm_nic_ref *ref, bool primary, const struct size *size, GError **error)
{
	struct vm *vm = put->object;
	struct nic *nic = check_reference(put->change, KIND_NIC, ref->nic, &vm->meta, error);

	if (!nic)
		return false;
	if (nic->status.vm && !g_str_equal(nic->status.vm, vm->meta.uid)) {
		const struct vm *other = change_get(put->change, KIND_VM, nic->status.vm, NULL);
		return fault_set(error, FAULT_IN_USE,
			"Network interface %s is attached to virtual machine %s already; create another one "
			"for %s",
			nic->meta.name, other ? other->meta.name : nic->status.vm, vm->meta.name);
	}
	if (!g_str_equal(nic->meta.location, vm->meta.location))
		return fault_set(error, FAULT_INVALID_REFERENCE,
			"network interface %s is in %s but virtual machine %s is in %s", nic->meta.name,
			nic->meta.location, vm->meta.name, vm->meta.location);
	if (nic->spec.accelerated && !size_takes_acceleration(size))
		return fault_set(error, FAULT_NOT_ALLOWED,
			"Network interface %s has accelerated networking, which size %s of virtual machine "
			"%s does not support; "
			"take a size that 'az vm list-skus' shows with AcceleratedNetworkingEnabled, or %s",
			nic->meta.name, size->name, vm->meta.name,
			put->old ? "turn it off on the interface"
				 : "create the machine with an interface without it "
				   "(--accelerated-networking false)");
	const struct machine_image image = {vm->spec.image, vm->spec.custom_image};
	if (nic->spec.accelerated && !machine_check_support(put, &vm->meta, &image, nic->meta.name, error))
		return false;
	if (nic->spec.accelerated && !nic->status.vm && !vm_check_kernel(vm, nic->meta.name, error))
		return false;
	g_free(nic->status.vm);
	nic->status.vm = g_strdup(vm->meta.uid);
	nic->status.primary = primary;
	change_put(put->change, nic);
	return true;
}

/* One primary: the first one where the client names none. */
static bool choose_primary(struct vm *vm, GError **error)
{
	guint primaries = 0;

	if (list_length(vm->spec.nics) == 0)
		return fault_set(error, FAULT_INVALID,
			"virtual machine %s needs at least one network interface", vm->meta.name);
	for (guint i = 0; i < vm->spec.nics->len; i++)
		primaries += ((struct vm_nic_ref *)vm->spec.nics->pdata[i])->primary;
	if (primaries == 0)
		((struct vm_nic_ref *)vm->spec.nics->pdata[0])->primary = true;
	return primaries <= 1 ||
	       fault_set(error, FAULT_INVALID,
		       "virtual machine %s has %u primary network interfaces, one is needed", vm->meta.name,
		       primaries);
}

static bool bind_nics(struct put *put, const struct size *size, GError **error)
{
	const struct vm *old = put->old;
	struct vm *vm = put->object;

	for (guint i = 0; i < vm->spec.nics->len; i++) {
		const struct vm_nic_ref *ref = vm->spec.nics->pdata[i];
		if (vm_find_nic(vm, ref->nic) != ref)
			return fault_set(error, FAULT_INVALID,
				"virtual machine %s names one network interface twice", vm->meta.name);
		if (!bind_nic(put, ref, ref->primary, size, error))
			return false;
	}
	for (guint i = 0; old && i < list_length(old->spec.nics); i++) {
		const struct vm_nic_ref *was = old->spec.nics->pdata[i];
		if (vm_find_nic(vm, was->nic))
			continue;
		struct nic *nic = change_get(put->change, KIND_NIC, was->nic, error);
		if (!nic)
			return false;
		g_clear_pointer(&nic->status.vm, g_free);
		nic_clear_path(nic);
		change_put(put->change, nic);
	}
	return true;
}

static bool nics_equal(const struct vm *a, const struct vm *b)
{
	if (list_length(a->spec.nics) != list_length(b->spec.nics))
		return false;
	for (guint i = 0; i < list_length(a->spec.nics); i++)
		if (!shape_equal(&vm_nic_ref_shape, a->spec.nics->pdata[i], b->spec.nics->pdata[i]))
			return false;
	return true;
}

/* An accelerated NIC that comes to a VM or leaves it changes what its availability set has. */
static bool check_exchange(struct change *change, const struct vm *with, const struct vm *without,
	const struct vm *vm, GError **error)
{
	for (guint i = 0; i < list_length(with->spec.nics); i++) {
		const char *uid = ((const struct vm_nic_ref *)with->spec.nics->pdata[i])->nic;
		if (vm_find_nic(without, uid))
			continue;
		const struct nic *nic = check_reference(change, KIND_NIC, uid, &vm->meta, error);
		if (!nic)
			return false;
		g_autofree char *what = g_strdup_printf("Network interface %s has accelerated networking: it "
							"cannot be attached to or detached "
							"from virtual machine %s",
			nic->meta.name, vm->meta.name);
		if (nic->spec.accelerated && !availability_check_off(change, vm, what, error))
			return false;
	}
	return true;
}

static bool check_nics(struct put *put, GError **error)
{
	const struct vm *old = put->old, *vm = put->object;

	if (nics_equal(vm, old))
		return true;
	if (old->spec.scale_set)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"network interfaces of virtual machine %s are what the model of its scale set says; "
			"they cannot be attached or detached",
			vm->meta.name);
	if (!vm_is_off(old))
		return fault_set(error, FAULT_NOT_ALLOWED,
			"network interfaces of virtual machine %s cannot be changed while it is not "
			"deallocated; deallocate it first",
			vm->meta.name);
	return check_exchange(put->change, vm, old, old, error) &&
	       check_exchange(put->change, old, vm, old, error);
}

/* The host that has its disk must have room for it, now or when it starts. A VM that runs is restarted there; one whose
 * guest turned it off has its new size when it is started. */
static bool resize(struct put *put, const struct size *size, GError **error)
{
	const struct vm *old = put->old;
	struct vm *vm = put->object;
	g_autoptr(GError) failure = NULL;

	if (g_str_equal(vm->spec.size, old->spec.size) || !vm->status.host)
		return true;
	g_autofree char *host = schedule(put->control, vm, size, &failure);
	if (!host && !hosts_awaited(put->control)) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	if (vm->spec.power == POWER_RUNNING && vm->status.power != POWER_STATE_STOPPED)
		vm->spec.restarts++;
	return true;
}

/* A put of a VM that exists: identity stays, NICs change only while it is deallocated. */
static bool check_update(struct put *put, const struct size *size, GError **error)
{
	const struct vm *old = put->old;
	struct vm *vm = put->object;

	vm->spec.power = old->spec.power;
	vm->spec.restarts = old->spec.restarts;
	vm->spec.reimages = old->spec.reimages;
	if (!put->by_set && (g_strcmp0(vm->spec.image, old->spec.image) != 0 ||
				    g_strcmp0(vm->spec.custom_image, old->spec.custom_image) != 0))
		return fault_set(error, FAULT_NOT_ALLOWED,
			"the image of virtual machine %s cannot be changed; delete it and create it anew",
			vm->meta.name);
	if (g_strcmp0(vm->spec.admin_user, old->spec.admin_user) != 0)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"the admin user of virtual machine %s cannot be changed", vm->meta.name);
	/* Clients send back what any release has shown them; one that was made without a size has the image's. */
	if (!put->by_set && old->status.host && old->spec.disk_gib == 0)
		vm->spec.disk_gib = 0;
	/* One that no host has yet has no disk. */
	if (!put->by_set && old->status.host && vm->spec.disk_gib != old->spec.disk_gib)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"the disk of virtual machine %s keeps the size that it was made with; leave it as it "
			"is, or "
			"delete the machine and create it anew",
			vm->meta.name);
	if (!g_str_equal(vm->spec.size, old->spec.size) && !size_takes_acceleration(size) &&
		!availability_check_plain(put->change, vm, size, error))
		return false;
	return check_nics(put, error);
}

/* An instance has the image that its set's model was put with. */
static bool check_new(struct put *put, GError **error)
{
	const struct vm *vm = put->object;
	const struct machine_image image = {vm->spec.image, vm->spec.custom_image};

	return vm->spec.scale_set || machine_check_image(put, &vm->meta, &image, error);
}

/* A host name that guests take (RFC 1123); DHCP gives it where it is one label. One that the VM has already stays. */
static bool check_computer_name(struct put *put, GError **error)
{
	static const char pattern[] = "^[0-9A-Za-z]([0-9A-Za-z.-]{0,61}[0-9A-Za-z])?$";
	const struct vm *old = put->old;
	struct vm *vm = put->object;
	const char *name = vm->spec.computer_name;

	if (!name)
		vm->spec.computer_name = g_strdup(vm->meta.name);
	if (!name || put->by_set || (old && g_strcmp0(name, old->spec.computer_name) == 0))
		return true;
	return g_regex_match_simple(pattern, name, G_REGEX_DOLLAR_ENDONLY, 0) ||
	       fault_set(error, FAULT_INVALID,
		       "virtual machine %s: '%s' is no computer name; use 1 to 63 letters, digits, '-' and "
		       "'.', with a "
		       "letter or digit at both ends",
		       vm->meta.name, name);
}

static bool vm_prepare(struct put *put, GError **error)
{
	struct vm *vm = put->object;
	const struct size *size;

	if ((put->old && !vm_check_there(put->old, error)) || !scale_set_prepare_instance(put, error) ||
		!machine_check_user(&vm->meta, vm->spec.admin_user, vm->spec.ssh_keys, error))
		return false;
	size = machine_check_size(put->control, &vm->meta, &vm->spec.size, vm->spec.nics, error);
	if (!size || !choose_primary(vm, error) || !availability_join(put, error) ||
		(put->old ? !check_update(put, size, error) : !check_new(put, error)))
		return false;
	vm->status.vcpus = size->vcpus;
	return check_computer_name(put, error) && bind_nics(put, size, error) &&
	       (!put->old || resize(put, size, error));
}

/* ---- reconcile ---- */

struct step {
	struct control *control;
	const char *uid;
	const char *host;
};

bool vm_enter_host(
	struct control *control, struct change *change, const char *host_uid, const char *vm, GError **error)
{
	struct host *host = change_get(change, KIND_HOST, host_uid, error);

	if (!host || !outbound_settle(control, change, host, true, error))
		return false;
	change_put(change, host);
	change_place(change, host_uid, vm);
	return true;
}

bool vm_leave_host(
	struct control *control, struct change *change, const char *host_uid, const char *vm, GError **error)
{
	struct host *host = change_get(change, KIND_HOST, host_uid, error);
	bool others;

	change_unplace(change, host_uid, vm);
	if (!host || !change_has_placed(change, host_uid, &others, error) ||
		!outbound_settle(control, change, host, others, error))
		return false;
	change_put(change, host);
	return true;
}

static bool place(struct change *change, void *data, GError **error)
{
	const struct step *step = data;
	struct vm *vm = change_get(change, KIND_VM, step->uid, error);

	if (!vm)
		return false;
	if (vm->status.host)
		return true;
	if (!vm_enter_host(step->control, change, step->host, vm->meta.uid, error))
		return false;
	vm->status.host = g_strdup(step->host);
	vm->status.power = POWER_STATE_STARTING;
	change_put(change, vm);
	return true;
}

/* Takes the VM and all that it holds out of the store. */
static bool dissolve(struct change *change, void *data, GError **error)
{
	const struct step *step = data;
	struct vm *vm = change_get(change, KIND_VM, step->uid, error);

	if (!vm)
		return false;
	for (guint i = 0; i < list_length(vm->spec.nics); i++) {
		const struct vm_nic_ref *ref = vm->spec.nics->pdata[i];
		struct nic *nic = change_get(change, KIND_NIC, ref->nic, NULL);
		if (!nic)
			continue;
		g_clear_pointer(&nic->status.vm, g_free);
		nic_clear_path(nic);
		change_put(change, nic);
		if (vm->spec.scale_set && !scale_set_take_nic(step->control, change, nic, error))
			return false;
	}
	if (vm->spec.scale_set)
		change_unref(change, vm->spec.scale_set, vm->meta.uid);
	if (vm->spec.availability_set)
		change_unref(change, vm->spec.availability_set, vm->meta.uid);
	change_delete(change, vm);
	return !vm->status.host || vm_leave_host(step->control, change, vm->status.host, vm->meta.uid, error);
}

static int reconcile_delete(struct control *control, const struct vm *vm, int64_t revision, GError **error)
{
	const struct report_vm *report =
		vm->status.host ? hosts_vm_report(control, vm->status.host, vm, revision) : NULL;
	struct step step = {.control = control, .uid = vm->meta.uid};

	if (vm->status.host && !(report && report->absent))
		return 0;
	if (!change_run(control->store, dissolve, &step, NULL, error))
		return -1;
	failpoint(FAILPOINT_CONTROL_DISSOLVED);
	return 1;
}

static int reconcile_place(
	struct control *control, const struct vm *vm, const struct size *size, GError **error)
{
	g_autoptr(GError) failure = NULL;
	g_autofree char *host = schedule(control, vm, size, &failure);
	struct step step = {.control = control, .uid = vm->meta.uid, .host = host};

	if (!host && g_error_matches(failure, FAULT, FAULT_ALLOCATION) && hosts_awaited(control))
		return 0;
	if (!host)
		g_propagate_error(error, g_steal_pointer(&failure));
	if (!host || !change_run(control->store, place, &step, NULL, error))
		return -1;
	failpoint(FAILPOINT_CONTROL_PLACED);
	return 0;
}

static bool power_reached(const struct vm *vm, const struct report_vm *report)
{
	static const enum power_state wanted[] = {
		[POWER_RUNNING] = POWER_STATE_RUNNING,
		[POWER_STOPPED] = POWER_STATE_STOPPED,
		[POWER_DEALLOCATED] = POWER_STATE_DEALLOCATED,
	};
	return report->power == (int)wanted[vm->spec.power] && report->restarts >= vm->spec.restarts &&
	       report->reimages >= vm->spec.reimages;
}

/* A host that reports has only not come to it yet; when it is silent for too long, its user is told so. The spec stays: it is
 * done when the host is back. */
static int wait_for_host(
	struct control *control, const struct operation *operation, const struct vm *vm, GError **error)
{
	if (!hosts_is_silent(control, vm->status.host) ||
		g_get_real_time() - operation->meta.created_us < HOSTS_US)
		return 0;
	_cleanup_(model_free) struct host *host = control_get(control, KIND_HOST, vm->status.host, error);
	if (host)
		fault_set(error, FAULT_TIMEOUT,
			"what is asked of virtual machine %s is stored, but the agent of host %s, which has "
			"its disk, does not report; it is done there when it does",
			vm->meta.name, host->meta.name);
	return -1;
}

int vm_reconcile(struct control *control, struct operation *operation, int64_t revision, GError **error)
{
	g_autoptr(GError) failure = NULL;
	_cleanup_(model_free) struct vm *vm = control_get(control, KIND_VM, operation->spec.target, &failure);

	if (!vm && g_error_matches(failure, FAULT, FAULT_NOT_FOUND) && operation->spec.verb == VERB_DELETE)
		return 1;
	if (!vm) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return -1;
	}
	if (operation->spec.verb != VERB_DELETE && vm->status.outcome.state == PROVISIONING_DELETING) {
		fault_set(error, FAULT_NOT_FOUND, "virtual machine %s was deleted meanwhile", vm->meta.name);
		return -1;
	}
	if (operation->spec.verb == VERB_DELETE)
		return reconcile_delete(control, vm, revision, error);
	if (!vm_check_there(vm, error))
		return -1;
	if (operation->spec.verb == VERB_MIGRATE)
		return migrate_reconcile(control, operation, vm, error);
	const struct size *size = control_size(control, vm->spec.size);
	if (!size) {
		fault_set(error, FAULT_INVALID,
			"size %s is no longer in the catalog; add it there or resize the VM", vm->spec.size);
		return -1;
	}
	if (!vm->status.host)
		return vm->spec.power == POWER_RUNNING ? reconcile_place(control, vm, size, error) : 1;
	const struct report_vm *report = hosts_vm_report(control, vm->status.host, vm, revision);
	if (report && report->fault) {
		fault_set(error, fault_from_name(report->fault), "%s",
			report->message ? report->message : report->fault);
		return -1;
	}
	/* Whoever changes a VM whose guest turned it off does not turn it on. */
	bool rests = report && operation->spec.verb == VERB_PUT && report->power == POWER_STATE_STOPPED &&
		     report->restarts >= vm->spec.restarts && report->reimages >= vm->spec.reimages;
	return rests || (report && power_reached(vm, report)) ? 1
							      : wait_for_host(control, operation, vm, error);
}

static bool vm_release(struct control *control, struct change *change, void *object, GError **error)
{
	/* It may go at any time but while two hosts have it; dissolve() releases what it holds when its host has let go. */
	return migrate_check_still(object, error) && scale_set_let_go(change, object, error);
}

const struct kind_hooks vm_hooks = {
	.prepare = vm_prepare,
	.release = vm_release,
	.reaches_hosts = true,
	.delete_later = true,
};
