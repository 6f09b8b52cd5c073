/* What tests do to the VM manager in memory, beyond its interface. */
#pragma once
#include "vm/vm.h"

/* Its process dies. */
void vm_fake_crash(struct vm_manager *manager, const char *uid);

/* While set, guests let no primary go: unplug waits its time and fails. */
void vm_fake_hold_primaries(struct vm_manager *manager, bool hold);

/* While set, no backend serves the NICs: start fails. */
void vm_fake_lose_switch(struct vm_manager *manager, bool lost);

/* Memory of the host; starting more than that is FAULT_ALLOCATION. */
void vm_fake_set_memory(struct vm_manager *manager, uint64_t mib);

/* Definition of a VM, Borrowed until it is defined again or removed; NULL when it is absent. */
const struct vm_spec *vm_fake_spec(struct vm_manager *manager, const char *uid);
