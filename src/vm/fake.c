/* VM manager in memory, for tests. It keeps the contract of vm.h, and nothing runs. */
#include "vm/fake.h"

#include "base/fault.h"
#include "vm/events.h"
#include "vm/fake_priv.h"

#include <errno.h>
#include <glib/gstdio.h>

#define FAKE_MEMORY_MIB (64 * 1024)

static struct vm_nic *nic_copy(const struct vm_nic *nic)
{
	struct vm_nic *copy = g_memdup2(nic, sizeof *nic);

	copy->uid = g_strdup(nic->uid);
	copy->vhost_socket = g_strdup(nic->vhost_socket);
	return copy;
}

static struct vm_spec *spec_copy(const struct vm_spec *spec)
{
	struct vm_spec *copy = vm_spec_new();

	copy->uid = g_strdup(spec->uid);
	copy->name = g_strdup(spec->name);
	copy->vcpus = spec->vcpus;
	copy->memory_mib = spec->memory_mib;
	copy->image = g_strdup(spec->image);
	copy->directory = g_strdup(spec->directory);
	copy->disk_gib = spec->disk_gib;
	for (guint i = 0; i < spec->nics->len; i++)
		g_ptr_array_add(copy->nics, nic_copy(spec->nics->pdata[i]));
	return copy;
}

static void fake_vm_free(void *data)
{
	struct fake_vm *vm = data;

	vm_spec_free(vm->spec);
	g_hash_table_unref(vm->primaries);
	g_free(vm);
}

struct fake_manager *fake_manager_of(struct vm_manager *manager)
{
	return (struct fake_manager *)manager;
}

/* All below that take a struct fake_manager are called with its lock held. */

struct fake_vm *fake_vm_take(struct fake_manager *fake, const char *uid, GError **error)
{
	struct fake_vm *vm = g_hash_table_lookup(fake->vms, uid);

	if (!vm)
		fault_set(error, FAULT_NOT_FOUND, "there is no vm %s", uid);
	return vm;
}

void fake_vm_change(struct fake_manager *fake, struct fake_vm *vm, enum vm_state state)
{
	if (vm->state == state)
		return;
	vm->state = state;
	vm->frozen = vm->frozen && state == VM_CRASHED;
	if (state != VM_RUNNING && !vm->frozen)
		g_hash_table_remove_all(vm->primaries);
	vm_events_tell(fake->base.events, vm->spec->uid, state, NULL);
}

bool fake_vm_run(struct fake_manager *fake, struct fake_vm *vm, GError **error)
{
	if (vm->spec->memory_mib > fake->memory_mib)
		return fault_set(error, FAULT_ALLOCATION,
			"vm %s needs %" G_GUINT64_FORMAT " MiB of memory, the host has %" G_GUINT64_FORMAT,
			vm->spec->name, vm->spec->memory_mib, fake->memory_mib);
	if (fake->switch_lost && vm->spec->nics->len)
		return fault_set(error, FAULT_UNAVAILABLE, "vm %s: the switch does not serve its NICs",
			vm->spec->name);
	g_hash_table_remove_all(vm->primaries); /* of one that is held still */
	fake_vm_change(fake, vm, VM_RUNNING);
	return true;
}

static bool fake_host(struct vm_manager *manager, struct vm_host *ret, GError **error)
{
	*ret = (struct vm_host){.accel_detail = g_strdup("no machine at all: this is the manager in memory"),
		.version = g_strdup("fake")};
	return true;
}

static bool fake_define(struct vm_manager *manager, const struct vm_spec *spec, GError **error)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);

	if (!vm_spec_check(spec, error))
		return false;
	struct fake_vm *vm = g_hash_table_lookup(fake->vms, spec->uid);
	if (!vm) {
		vm = g_new0(struct fake_vm, 1);
		vm->spec = spec_copy(spec);
		vm->primaries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
		g_hash_table_insert(fake->vms, g_strdup(spec->uid), vm);
		fake_vm_change(fake, vm, VM_STOPPED);
	} else if (vm->state != VM_RUNNING && !vm->frozen) {
		vm_spec_free(vm->spec);
		vm->spec = spec_copy(spec);
	}
	return true;
}

static bool fake_take_disk(
	struct vm_manager *manager, const struct vm_spec *spec, const char *path, GError **error)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	const struct fake_vm *vm = fake_vm_take(fake, spec->uid, error);
	g_autofree char *disk = g_build_filename(spec->directory, VM_DISK_FILE, NULL);

	if (!vm)
		return false;
	if (vm->state == VM_RUNNING || vm->frozen)
		return fault_set(error, FAULT_NOT_ALLOWED, "vm %s runs", spec->name);
	return g_rename(path, disk) == 0 ||
	       fault_set(error, FAULT_INVALID, "%s is no disk: %s", path, g_strerror(errno));
}

static bool fake_start(struct vm_manager *manager, const char *uid, GError **error)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	struct fake_vm *vm = fake_vm_take(fake, uid, error);

	if (!vm)
		return false;
	if (vm->between)
		return fault_set(error, FAULT_BUSY, "vm %s is on its way to another host", vm->spec->name);
	return vm->state == VM_RUNNING || fake_vm_run(fake, vm, error);
}

static bool fake_stop(struct vm_manager *manager, const char *uid, unsigned grace_s, GError **error)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	struct fake_vm *vm = fake_vm_take(fake, uid, error);

	if (!vm)
		return false;
	if (vm->state == VM_RUNNING || vm->frozen)
		fake_vm_change(fake, vm, VM_STOPPED);
	return true;
}

static bool fake_reset(struct vm_manager *manager, const char *uid, GError **error)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	struct fake_vm *vm = fake_vm_take(fake, uid, error);

	if (!vm)
		return false;
	if (vm->state != VM_RUNNING)
		return fault_set(error, FAULT_NOT_ALLOWED, "vm %s is not running; start it", vm->spec->name);
	return true;
}

static bool fake_remove(struct vm_manager *manager, const char *uid, GError **error)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);

	if (g_hash_table_remove(fake->vms, uid))
		vm_events_tell(fake->base.events, uid, VM_ABSENT, NULL);
	return true;
}

static GPtrArray *fake_list(struct vm_manager *manager, GError **error)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	GPtrArray *infos = g_ptr_array_new_with_free_func((GDestroyNotify)vm_info_free);
	GHashTableIter iter;
	struct fake_vm *vm;

	g_hash_table_iter_init(&iter, fake->vms);
	while (g_hash_table_iter_next(&iter, NULL, (void **)&vm)) {
		struct vm_info *info = g_new0(struct vm_info, 1);
		info->uid = g_strdup(vm->spec->uid);
		info->state = vm->between ? VM_STOPPED : vm->state;
		if (vm->state == VM_CRASHED)
			info->detail =
				g_strdup_printf("The machine of vm %s ended unexpectedly.", vm->spec->name);
		g_ptr_array_add(infos, info);
	}
	return infos;
}

/* The VM that has this function. */
static struct fake_vm *holder_of(struct fake_manager *fake, const char *pci)
{
	GHashTableIter vms, primaries;
	struct fake_vm *vm;
	const char *held;

	g_hash_table_iter_init(&vms, fake->vms);
	while (g_hash_table_iter_next(&vms, NULL, (void **)&vm)) {
		g_hash_table_iter_init(&primaries, vm->primaries);
		while (g_hash_table_iter_next(&primaries, NULL, (void **)&held))
			if (g_str_equal(held, pci))
				return vm;
	}
	return NULL;
}

static bool fake_plug(
	struct vm_manager *manager, const char *uid, const struct vm_primary *primary, GError **error)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	if (!vm_primary_check(primary, error))
		return false;
	struct fake_vm *vm = fake_vm_take(fake, uid, error);
	if (!vm)
		return false;
	if (vm->state != VM_RUNNING)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"vm %s is not running: nothing can be plugged into it", vm->spec->name);
	if (g_hash_table_contains(vm->primaries, primary->nic_uid))
		return true;
	struct fake_vm *holder = primary->pci ? holder_of(fake, primary->pci) : NULL;
	if (holder)
		return fault_set(error, FAULT_IN_USE, "the function %s is in use by vm %s", primary->pci,
			holder->spec->name);
	g_hash_table_insert(
		vm->primaries, g_strdup(primary->nic_uid), g_strdup(primary->pci ? primary->pci : ""));
	return true;
}

static bool fake_unplug(struct vm_manager *manager, const char *uid, const struct vm_primary *primary,
	unsigned timeout_ms, GError **error)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	struct fake_vm *vm = fake_vm_take(fake, uid, error);

	if (!vm)
		return false;
	if (!g_hash_table_contains(vm->primaries, primary->nic_uid))
		return true;
	if (fake->hold_primaries || vm->frozen)
		return fault_set(error, FAULT_UNAVAILABLE,
			"the guest of vm %s did not let go of the primary of NIC %s within %u ms",
			vm->spec->name, primary->nic_uid, timeout_ms);
	g_hash_table_remove(vm->primaries, primary->nic_uid);
	vm_events_tell(fake->base.events, uid, vm->state, primary->nic_uid);
	return true;
}

static bool fake_plugged(
	struct vm_manager *manager, const char *uid, const char *nic_uid, bool *ret, GError **error)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	struct fake_vm *vm = fake_vm_take(fake, uid, error);

	if (!vm)
		return false;
	*ret = g_hash_table_contains(vm->primaries, nic_uid);
	return true;
}

static void fake_close(struct vm_manager *manager)
{
	struct fake_manager *fake = fake_manager_of(manager);

	vm_events_stop(fake->base.events);
	vm_events_unref(fake->base.events);
	g_hash_table_unref(fake->vms);
	g_cond_clear(&fake->changed);
	g_mutex_clear(&fake->lock);
	g_free(fake->dir);
	g_free(fake);
}

static const struct vm_ops fake_ops = {
	.name = "fake",
	.host = fake_host,
	.define = fake_define,
	.take_disk = fake_take_disk,
	.start = fake_start,
	.stop = fake_stop,
	.reset = fake_reset,
	.remove = fake_remove,
	.list = fake_list,
	.plug = fake_plug,
	.unplug = fake_unplug,
	.plugged = fake_plugged,
	.migration_paths = fake_migration_paths,
	.migrate = fake_migrate,
	.migrate_cancel = fake_migrate_cancel,
	.close = fake_close,
};

struct vm_manager *vm_fake_open(vm_event_fn event, void *data)
{
	struct fake_manager *fake = g_new0(struct fake_manager, 1);

	fake->base.ops = &fake_ops;
	fake->base.events = vm_events_new(event, data);
	g_mutex_init(&fake->lock);
	g_cond_init(&fake->changed);
	fake->vms = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, fake_vm_free);
	fake->memory_mib = FAKE_MEMORY_MIB;
	return &fake->base;
}

void vm_fake_crash(struct vm_manager *manager, const char *uid)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	struct fake_vm *vm = g_hash_table_lookup(fake->vms, uid);

	if (vm && vm->state == VM_RUNNING)
		fake_vm_change(fake, vm, VM_CRASHED);
}

void vm_fake_freeze(struct vm_manager *manager, const char *uid)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	struct fake_vm *vm = g_hash_table_lookup(fake->vms, uid);

	if (!vm || vm->state != VM_RUNNING)
		return;
	vm->frozen = true;
	fake_vm_change(fake, vm, VM_CRASHED);
}

void vm_fake_hold_primaries(struct vm_manager *manager, bool hold)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);

	fake->hold_primaries = hold;
}

void vm_fake_drop_primary(struct vm_manager *manager, const char *uid, const char *nic_uid)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	struct fake_vm *vm = g_hash_table_lookup(fake->vms, uid);

	if (vm)
		g_hash_table_remove(vm->primaries, nic_uid);
}

void vm_fake_come_back(struct vm_manager *manager)
{
	vm_events_tell(manager->events, NULL, VM_ABSENT, NULL);
}

void vm_fake_lose_switch(struct vm_manager *manager, bool lost)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);

	fake->switch_lost = lost;
}

void vm_fake_set_memory(struct vm_manager *manager, uint64_t mib)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);

	fake->memory_mib = mib;
}

const struct vm_spec *vm_fake_spec(struct vm_manager *manager, const char *uid)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	struct fake_vm *vm = g_hash_table_lookup(fake->vms, uid);

	return vm ? vm->spec : NULL;
}
