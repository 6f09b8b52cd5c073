/* Migration between two VM managers in memory.
 *
 * How it works: a machine is a state, so all that moves is who has it. The steps are those of the real one, and each takes
 * the lock of one manager only: a VM that is being moved is looked up anew after each.
 */
#include "vm/fake.h"

#include "base/fault.h"
#include "vm/events.h"
#include "vm/fake_priv.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

bool fake_migration_paths(struct vm_manager *manager, const char *migration, bool incoming,
	struct vm_migration_paths *ret, GError **error)
{
	const struct fake_manager *fake = fake_manager_of(manager);

	if (!fake->peer)
		return fault_set(
			error, FAULT_UNSUPPORTED, "VMs of this manager do not migrate: it has no peer");
	*ret = (struct vm_migration_paths){
		.manager = incoming ? g_strdup_printf("%s/manager", fake->dir)
				    : g_strdup_printf("%s/%s.manager", fake->dir, migration),
		.memory = g_strdup_printf("%s/%s.memory", fake->dir, migration),
		.disk = g_strdup_printf("%s/%s.disk", fake->dir, migration),
	};
	return true;
}

static bool is_answered(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_strlcpy(address.sun_path, path, sizeof address.sun_path);
	bool answered = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
	close(fd);
	return answered;
}

/* Whether somebody listens on this side's three sockets. */
static bool check_paths(struct fake_manager *fake, const char *migration, GError **error)
{
	_cleanup_(vm_migration_paths_clear) struct vm_migration_paths paths = {};

	if (!fake_migration_paths(&fake->base, migration, false, &paths, error))
		return false;
	const char *all[] = {paths.manager, paths.memory, paths.disk};
	for (size_t i = 0; fake->dir && i < G_N_ELEMENTS(all); i++)
		if (!is_answered(all[i]))
			return fault_set(error, FAULT_UNAVAILABLE, "nobody leads %s to the target", all[i]);
	return true;
}

static enum vm_state state_at(struct fake_manager *fake, const char *uid)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	const struct fake_vm *vm = g_hash_table_lookup(fake->vms, uid);

	return vm ? vm->state : VM_ABSENT;
}

/* Marks it as moving; *ret_between: an earlier migration was cut off. */
static bool begin(struct fake_manager *fake, const char *uid, bool *ret_between, GError **error)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	struct fake_vm *vm = fake_vm_take(fake, uid, error);

	if (!vm)
		return false;
	if (vm->moving)
		return fault_set(error, FAULT_BUSY, "vm %s is being migrated already", vm->spec->name);
	if (vm->state != VM_RUNNING)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"vm %s is not running; there is nothing to migrate", vm->spec->name);
	if (g_hash_table_size(vm->primaries) > 0)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"vm %s cannot migrate with a function of this host in it; unplug its primaries first",
			vm->spec->name);
	vm->moving = true;
	vm->cancelled = false;
	*ret_between = vm->between;
	return true;
}

/* It is not moving any more: between the hosts, or running here. */
static void end(struct fake_manager *fake, const char *uid, bool between)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	struct fake_vm *vm = g_hash_table_lookup(fake->vms, uid);

	if (!vm)
		return;
	vm->moving = false;
	vm->between = between;
}

/* Copies, as long as it is held; then the machine stops here. False: cancelled. */
static bool copy(struct fake_manager *fake, const char *uid, GError **error)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	struct fake_vm *vm;

	while ((vm = g_hash_table_lookup(fake->vms, uid)) && fake->hold_migrations && !vm->cancelled)
		g_cond_wait(&fake->changed, &fake->lock);
	if (!vm || vm->cancelled)
		return fault_set(error, FAULT_UNAVAILABLE,
			"the migration of vm %s was cancelled; it runs here as before",
			vm ? vm->spec->name : uid);
	vm->between = true;
	return true;
}

/* Runs there what was defined there. */
static bool arrive(struct fake_manager *peer, const char *uid, GError **error)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&peer->lock);
	struct fake_vm *vm = g_hash_table_lookup(peer->vms, uid);
	g_autoptr(GError) reason = NULL;

	if (!vm)
		return fault_set(error, FAULT_UNAVAILABLE,
			"vm %s cannot migrate: the target has not defined it; that comes first", uid);
	if (fake_vm_run(peer, vm, &reason))
		return true;
	return fault_set(error, FAULT_UNAVAILABLE, "vm %s did not migrate: %s", uid, reason->message);
}

/* Whether the migration is cut off at this place, which happens once. */
static bool is_cut(struct fake_manager *fake, enum fake_cut at, GError **error)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);

	if (fake->cut != at)
		return false;
	fake->cut = NOWHERE;
	fault_set(error, FAULT_TIMEOUT,
		"the migration was cut off, and it is not known on which host it goes on");
	return true;
}

static void tell(const struct vm_migration *migration, unsigned percent)
{
	if (migration->progress)
		migration->progress(percent, migration->data);
}

/* The machine has stopped here; it stays on neither side as long as it is held there. */
static void pause_between(struct fake_manager *fake, const struct vm_migration *migration)
{
	if (migration->stopped)
		migration->stopped(migration->data);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	while (fake->hold_arrivals)
		g_cond_wait(&fake->changed, &fake->lock);
}

/* The way of a machine that runs here. *ret_between: where it is left when this fails. */
static bool move(struct fake_manager *fake, const char *uid, const struct vm_migration *migration,
	bool *ret_between, GError **error)
{
	if (!check_paths(fake, migration->uid, error))
		return false;
	tell(migration, 50);
	if (!copy(fake, uid, error))
		return false;
	pause_between(fake, migration);
	if ((*ret_between = is_cut(fake, BETWEEN, error)) || !arrive(fake->peer, uid, error))
		return false;
	tell(migration, 99);
	return !(*ret_between = is_cut(fake, ARRIVED, error));
}

bool fake_migrate(
	struct vm_manager *manager, const char *uid, const struct vm_migration *migration, GError **error)
{
	struct fake_manager *fake = fake_manager_of(manager);
	bool between = false, was_between = false;

	if (!begin(fake, uid, &was_between, error))
		return false;
	bool moved = fake->peer && state_at(fake->peer, uid) == VM_RUNNING;
	if (!moved && was_between)
		fault_set(error, FAULT_UNAVAILABLE,
			"the migration of vm %s was cut off; it goes on here, as before", uid);
	else if (!moved)
		moved = move(fake, uid, migration, &between, error);
	if (moved)
		return manager->ops->remove(manager, uid, error);
	end(fake, uid, between);
	return false;
}

bool fake_migrate_cancel(struct vm_manager *manager, const char *uid, GError **error)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);
	struct fake_vm *vm = fake_vm_take(fake, uid, error);

	if (!vm)
		return false;
	vm->cancelled = vm->moving;
	g_cond_broadcast(&fake->changed);
	return true;
}

void vm_fake_join(struct vm_manager *manager, struct vm_manager *peer, const char *dir)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);

	fake->peer = fake_manager_of(peer);
	g_free(fake->dir);
	fake->dir = g_strdup(dir);
}

void vm_fake_hold_migrations(struct vm_manager *manager, bool hold)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);

	fake->hold_migrations = hold;
	g_cond_broadcast(&fake->changed);
}

void vm_fake_hold_arrivals(struct vm_manager *manager, bool hold)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);

	fake->hold_arrivals = hold;
	g_cond_broadcast(&fake->changed);
}

void vm_fake_cut_migration(struct vm_manager *manager, bool arrived)
{
	struct fake_manager *fake = fake_manager_of(manager);
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&fake->lock);

	fake->cut = arrived ? ARRIVED : BETWEEN;
}
