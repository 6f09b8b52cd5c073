/* One VM on its way to what the goal wants.
 *
 * How it works. vm_machine_step() compares goal, ledger and what the VM manager said last, and takes the next
 * step; blocking ones run as jobs, one at a time. Only the way up has phases to remember; they are not on
 * disk, since all steps are idempotent and a new process finds its place by looking:
 *
 *     goal      machine   held functions   step
 *     running   off       some             wait until they are released
 *     running   off       none             admit → define → switch confirms the ports → start → rings are up
 *     running   on        -                none; or stop, when a restart is due: counted once it is off
 *     off       on        -                stop (a grace, then hard)
 *     off       off       some             wait until they are released
 *     any       crashed   some             end what may be left of it, which may have them open
 *     off       crashed   -                the same
 *     remove    off       none             remove disk and definition, report it absent
 *     coming    off       -                admit → define → switch confirms the ports → let its migration in
 *     left      -         -                none: its migration decides (migration.h)
 *
 * A VM that the goal does not name is stopped, but its disk stays: only `remove` deletes, so a controller
 * that lost its memory destroys nothing. (The exception is what a migration has left, or prepared in vain.)
 *
 * Death. A machine that ran and is then seen off, without a stop of ours, died. One that crashed is reported
 * as stopped with the reason, and started again after a pause that doubles, at most AGENT_DEATHS_MAX times. A command
 * about it, such as its start, ends the pause, and they are counted anew. One whose disk failed is held still, and counts
 * as crashed: its process is there with its memory and all that it has open, and goes on when somebody resumes it. So what
 * crashed is not taken for off until a stop has ended it.
 * Rejected: to tell the two apart by a state of their own, as VM managers learn late of a process that died.
 * One whose guest powered itself off stays off, as on Azure, until the goal's restart count rises or its
 * power is changed and changed back. One that a new process finds off (the host was rebooted) is just
 * started.
 */
#pragma once
#include "base/cleanup.h"
#include "model/goal.h"
#include "vm/vm.h"

struct agent;
struct vm_machine;

struct vm_machine *vm_machine_new(struct agent *agent, const char *uid);
/* No job may be running. */
void vm_machine_free(struct vm_machine *machine);
CLEANUP_FUNC(struct vm_machine *, vm_machine_free)

/* The switch's state that is wanted now, of this number, has all the VM's ports. Whether that is news. */
bool vm_machine_set_number(struct vm_machine *machine, uint64_t number);
/* A new goal is there: what failed is tried at once, and of a machine about which a command was given what died, too. */
void vm_machine_goal_changed(struct vm_machine *machine);

/* Counts jobs begun and ended: a look at all VMs is about this machine only if the count did not change. */
uint64_t vm_machine_epoch(const struct vm_machine *machine);
/* A job of its own is running: what the VM manager says meanwhile is half-way. */
bool vm_machine_is_busy(const struct vm_machine *machine);
/* What the VM manager says. */
void vm_machine_set_actual(struct vm_machine *machine, enum vm_state state, const char *detail);

void vm_machine_step(struct vm_machine *machine);

/* Keeps the machine still for a call about it from elsewhere (plug, unplug); false while it is busy itself.
 */
bool vm_machine_hold(struct vm_machine *machine);
void vm_machine_unhold(struct vm_machine *machine);

/* The VM manager was asked about it since the agent started; nothing below means anything before. */
bool vm_machine_is_known(const struct vm_machine *machine);
/* The machine runs and is not about to be stopped by us: its functions may be attached. */
bool vm_machine_is_up(const struct vm_machine *machine);
/* What the VM manager said last. */
bool vm_machine_is_absent(const struct vm_machine *machine);
bool vm_machine_is_running(const struct vm_machine *machine);
/* The machine may come from another host. */
bool vm_machine_is_ready(const struct vm_machine *machine);
/* The machine is off for sure: no device of it is left. */
bool vm_machine_is_off(const struct vm_machine *machine);
/* It crashed, and its process may be there still, with its devices: it may be held still. It is ended before its functions are
 * taken back, and before it counts as off. */
bool vm_machine_may_linger(const struct vm_machine *machine);
/* It is being started: a job or a wait between admission and the guest's first sign. */
bool vm_machine_is_starting(const struct vm_machine *machine);
/* It is being stopped or removed by us. */
bool vm_machine_is_stopping(const struct vm_machine *machine);
/* Waits for the switch, or for the guest's drivers: wants to see the ports soon. */
bool vm_machine_is_eager(const struct vm_machine *machine);
/* Neither goal nor ledger name it any more, and nothing runs: it may be freed. */
bool vm_machine_is_over(const struct vm_machine *machine);

/* Its entry in the report. Owned by the caller; NULL when the goal does not name it. */
struct report_vm *vm_machine_report(const struct vm_machine *machine);
