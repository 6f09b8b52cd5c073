/* What the parts of the VM manager in memory share. */
#pragma once
#include "vm/fake.h"

struct fake_vm {
	struct vm_spec *spec; /* Owned */
	enum vm_state state;
	bool frozen; /* CRASHED only: it is held still, with its primaries */
	GHashTable *primaries; /* Owned: NIC uid -> PCI address of its function, "" on a tap */
	bool moving, cancelled; /* a migrate is under way, and is to end */
	bool between; /* stopped by a migration, and the other side has not taken it */
};

/* Where a migration is cut off. */
enum fake_cut { NOWHERE, BETWEEN, ARRIVED };

struct fake_manager {
	struct vm_manager base;
	GMutex lock; /* guards what follows; never held together with another manager's */
	GCond changed; /* what a held migration waits for */
	GHashTable *vms; /* Owned: uid -> struct fake_vm */
	uint64_t memory_mib;
	bool hold_primaries, switch_lost, hold_migrations, hold_arrivals;
	enum fake_cut cut;
	struct fake_manager *peer; /* Borrowed; where VMs migrate to */
	char *dir; /* Owned: of the sockets of migrations; may be NULL */
};
struct fake_manager *fake_manager_of(struct vm_manager *manager);

/* All that take a struct fake_manager are called with its lock held. */

struct fake_vm *fake_vm_take(struct fake_manager *fake, const char *uid, GError **error);
void fake_vm_change(struct fake_manager *fake, struct fake_vm *vm, enum vm_state state);
/* Runs it, if the host can. */
bool fake_vm_run(struct fake_manager *fake, struct fake_vm *vm, GError **error);

/* fake_migrate.c: vm_ops.migration_paths, .migrate and .migrate_cancel; they take the lock themselves. */
bool fake_migration_paths(struct vm_manager *manager, const char *migration, bool incoming,
	struct vm_migration_paths *ret, GError **error);
bool fake_migrate(
	struct vm_manager *manager, const char *uid, const struct vm_migration *migration, GError **error);
bool fake_migrate_cancel(struct vm_manager *manager, const char *uid, GError **error);
