/* What the two halves of a VM's machine share: vm_machine.c drives it, vm_machine_view.c tells about it. */
#pragma once
#include "agent/agent_priv.h"

enum vm_phase {
	/* Nothing is under way. Every step starts from here, by looking. */
	VM_REST,
	/* Job: disk and definition are being made. */
	VM_DEFINING,
	/* Waits until the switch has the ports; starting earlier would freeze the machine. Left at the
	 * deadline, as a failure. */
	VM_CONFIRMING,
	/* Its machine is to come from another host, and may: streams of its migration are let in. Starting it is forbidden.
	 * Left when it is seen to run, and when the goal does not want it to come any more. */
	VM_READY,
	/* Job: the machine is being started. */
	VM_STARTING,
	/* Runs; waits until the guest's drivers have set the rings up. Left at the deadline, with a message.
	 */
	VM_PORTS,
	/* Job: the machine is being stopped. */
	VM_STOPPING,
	/* Off; waits until its NICs' functions are released. */
	VM_RELEASING,
	/* Job: disk and definition are being removed, for good or to be made anew. */
	VM_REMOVING,
};

/* COMING: to be ready for it; LEFT: nothing is done to it, see migration.h. */
enum want { WANT_RUNNING, WANT_OFF, WANT_GONE, WANT_COMING, WANT_LEFT };

struct vm_machine {
	struct agent *agent; /* Borrowed */
	char *uid;
	enum vm_phase phase;
	bool busy; /* a job is running: nothing else is done */
	bool overtaken; /* by another goal than the one it began for */
	bool held; /* a job of a NIC is running: likewise */
	bool known; /* the VM manager was asked since we started */
	enum vm_state actual;
	bool ended; /* CRASHED only: a stop has seen to it that no process of it is left */
	uint64_t epoch;
	uint64_t number; /* of the switch's state that has the ports; 0: not built yet */
	int64_t deadline_us; /* of CONFIRMING and PORTS */
	int64_t retry_at_us; /* nothing is tried before */
	int64_t generation; /* of the goal's VM when it was looked at last: another one is another command */
	int64_t up_since_us;
	unsigned failures, deaths;
	GError *fault; /* Owned; why the last step failed */
	char *late; /* Owned; sentence about a guest that does not come up */
};

const struct goal_vm *vm_machine_goal(const struct vm_machine *m);
struct ledger_vm *vm_machine_record(const struct vm_machine *m);
enum want vm_machine_want(const struct vm_machine *m);
/* The goal's count of restarts is above what was done. */
bool vm_machine_restart_is_due(const struct vm_machine *m);
/* Likewise of new disks. */
bool vm_machine_reimage_is_due(const struct vm_machine *m);
