/* What the VM manager is told of a VM of the goal. Pure. */
#pragma once
#include "agent/switch_state.h"
#include "vm/vm.h"

/* NICs come in the goal's order, the primary first. `accelerates`: this host gives functions, so that the
 * NICs that want one are made to pair with it. FAULT_INVALID when a NIC's MAC is none. Owned by the caller.
 */
struct vm_spec *vm_plan_build(const struct goal *goal, const struct goal_vm *vm,
	const struct switch_site *site, const char *vm_dir, bool accelerates, GError **error);
