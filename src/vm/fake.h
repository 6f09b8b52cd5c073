/* What tests do to the VM manager in memory, beyond its interface. */
#pragma once
#include "vm/vm.h"

/* Its process dies. */
void vm_fake_crash(struct vm_manager *manager, const char *uid);

/* Its disk fails: it is as crashed and is held still, with its primaries, until it is stopped, started or removed. */
void vm_fake_freeze(struct vm_manager *manager, const char *uid);

/* While set, guests let no primary go: unplug waits its time and fails. */
void vm_fake_hold_primaries(struct vm_manager *manager, bool hold);

/* The primary of the NIC leaves the guest, and nobody is told. */
void vm_fake_drop_primary(struct vm_manager *manager, const char *uid, const char *nic_uid);

/* Tells that it was away. */
void vm_fake_come_back(struct vm_manager *manager);

/* While set, no backend serves the NICs: start fails. */
void vm_fake_lose_switch(struct vm_manager *manager, bool lost);

/* Memory of the host; starting more than that is FAULT_ALLOCATION. */
void vm_fake_set_memory(struct vm_manager *manager, uint64_t mib);

/* Definition of a VM, Borrowed until it is defined again or removed; NULL when it is absent. */
const struct vm_spec *vm_fake_spec(struct vm_manager *manager, const char *uid);

/* Migrations of this manager go to `peer`, another of this process, which outlives them; its sockets of migrations have
 * paths in `dir`, a folder of its own. migrate wants somebody to listen on the three (their bytes are nothing to it),
 * unless dir is NULL. */
void vm_fake_join(struct vm_manager *manager, struct vm_manager *peer, const char *dir);

/* While set, a migration stays at 50 % until it is cancelled or this is cleared. */
void vm_fake_hold_migrations(struct vm_manager *manager, bool hold);

/* While set, what has stopped for a migration begins nowhere. */
void vm_fake_hold_arrivals(struct vm_manager *manager, bool hold);

/* The next migration is cut off as by a daemon that dies when the machine is stopped here and does not run there yet, or
 * (arrived) when it runs there and is not forgotten here: FAULT_TIMEOUT. */
void vm_fake_cut_migration(struct vm_manager *manager, bool arrived);
