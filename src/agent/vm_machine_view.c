/* One VM's machine: what is wanted of it, and what is told of it. */
#include "agent/vm_machine_priv.h"
#include "base/fault.h"

/* ---- what is wanted ---- */

const struct goal_vm *vm_machine_goal(const struct vm_machine *m)
{
	return agent_goal_vm(m->agent, m->uid);
}

struct ledger_vm *vm_machine_record(const struct vm_machine *m)
{
	return ledger_find_vm(m->agent->ledger, m->uid);
}

enum want vm_machine_want(const struct vm_machine *m)
{
	const struct goal_vm *goal = vm_machine_goal(m);

	switch (migration_stance(m->agent, m->uid)) {
	case MIGRATION_COMING: return WANT_COMING;
	case MIGRATION_LEFT: return WANT_LEFT;
	case MIGRATION_LEFTOVER: return m->actual == VM_RUNNING ? WANT_OFF : WANT_GONE;
	case MIGRATION_NOT_CONCERNED: break;
	}
	if (!goal)
		return WANT_OFF;
	if (goal->remove)
		return WANT_GONE;
	return goal->power == POWER_RUNNING ? WANT_RUNNING : WANT_OFF;
}

bool vm_machine_restart_is_due(const struct vm_machine *m)
{
	const struct goal_vm *goal = vm_machine_goal(m);
	const struct ledger_vm *record = vm_machine_record(m);

	return goal && record && goal->restarts > record->restarts;
}

bool vm_machine_reimage_is_due(const struct vm_machine *m)
{
	const struct goal_vm *goal = vm_machine_goal(m);
	const struct ledger_vm *record = vm_machine_record(m);

	return goal && record && goal->reimages > record->reimages;
}

/* ---- questions ---- */

bool vm_machine_is_known(const struct vm_machine *m)
{
	return m->known;
}

uint64_t vm_machine_epoch(const struct vm_machine *m)
{
	return m->epoch;
}

bool vm_machine_is_busy(const struct vm_machine *m)
{
	return m->busy;
}

bool vm_machine_is_up(const struct vm_machine *m)
{
	return m->known && m->actual == VM_RUNNING && (m->phase == VM_REST || m->phase == VM_PORTS) &&
	       vm_machine_want(m) == WANT_RUNNING && !vm_machine_restart_is_due(m) &&
	       !vm_machine_reimage_is_due(m);
}

bool vm_machine_is_absent(const struct vm_machine *m)
{
	return m->known && m->actual == VM_ABSENT;
}

bool vm_machine_is_running(const struct vm_machine *m)
{
	return m->known && m->actual == VM_RUNNING;
}

bool vm_machine_is_ready(const struct vm_machine *m)
{
	return m->phase == VM_READY;
}

bool vm_machine_is_off(const struct vm_machine *m)
{
	return m->known && !m->busy && m->actual != VM_RUNNING && !vm_machine_may_linger(m);
}

bool vm_machine_may_linger(const struct vm_machine *m)
{
	return m->known && m->actual == VM_CRASHED && !m->ended;
}

bool vm_machine_is_starting(const struct vm_machine *m)
{
	return m->phase == VM_DEFINING || m->phase == VM_CONFIRMING || m->phase == VM_READY ||
	       m->phase == VM_STARTING || m->phase == VM_PORTS;
}

bool vm_machine_is_stopping(const struct vm_machine *m)
{
	return m->phase == VM_STOPPING || m->phase == VM_REMOVING;
}

bool vm_machine_is_eager(const struct vm_machine *m)
{
	return m->phase == VM_PORTS || m->phase == VM_CONFIRMING || m->phase == VM_READY;
}

bool vm_machine_is_over(const struct vm_machine *m)
{
	return !m->busy && !m->held && !vm_machine_goal(m) && !vm_machine_record(m);
}

/* ---- the report ---- */

static enum power_state power_at_rest(const struct vm_machine *m, const struct goal_vm *goal)
{
	const struct ledger_vm *entry = vm_machine_record(m);
	bool away = goal->power == POWER_DEALLOCATED || goal->remove;

	if (!m->known)
		return POWER_STATE_UNKNOWN;
	if (vm_machine_may_linger(m) && (away || vm_machine_want(m) == WANT_OFF))
		return away ? POWER_STATE_DEALLOCATING : POWER_STATE_STOPPING;
	bool off = goal->power == POWER_DEALLOCATED && m->actual != VM_RUNNING; /* and may be on its way */
	if (m->actual == VM_RUNNING || (vm_machine_want(m) == WANT_LEFT && !off)) /* here or there */
		return POWER_STATE_RUNNING;
	if (away)
		return POWER_STATE_DEALLOCATED;
	if (goal->power == POWER_RUNNING && !m->fault && !(entry && entry->message))
		return POWER_STATE_STARTING;
	return POWER_STATE_STOPPED;
}

static enum power_state power_of(const struct vm_machine *m, const struct goal_vm *goal)
{
	bool away = goal->power == POWER_DEALLOCATED || goal->remove;

	switch (m->phase) {
	case VM_REST: return power_at_rest(m, goal);
	case VM_DEFINING:
	case VM_CONFIRMING:
	case VM_READY:
	case VM_STARTING:
	case VM_PORTS: return POWER_STATE_STARTING;
	case VM_RELEASING:
		if (vm_machine_want(m) == WANT_RUNNING)
			return POWER_STATE_STARTING;
		return away ? POWER_STATE_DEALLOCATING : POWER_STATE_STOPPING;
	case VM_STOPPING:
	case VM_REMOVING: return away ? POWER_STATE_DEALLOCATING : POWER_STATE_STOPPING;
	}
	return POWER_STATE_UNKNOWN;
}

/* Its guest says it by each of its NICs. */
static void add_guest(const struct vm_machine *m, struct report_vm *report)
{
	const GPtrArray *nics = m->agent->goal->nics;

	for (guint i = 0; i < list_length(nics) && !report->guest.kernel; i++) {
		const struct goal_nic *nic = nics->pdata[i];
		const struct guest_identity *guest =
			g_strcmp0(nic->vm, m->uid) == 0
				? guest_identities_find(m->agent->guest_identities, nic->uid)
				: NULL;
		if (guest)
			guest_os_take(&report->guest, &guest->os);
	}
}

struct report_vm *vm_machine_report(const struct vm_machine *m)
{
	const struct goal_vm *goal = vm_machine_goal(m);
	const struct ledger_vm *entry = vm_machine_record(m);

	if (!goal)
		return NULL;
	struct report_vm *report = shape_new(&report_vm_shape);
	report->uid = g_strdup(m->uid);
	report->power = power_of(m, goal);
	report->absent = goal->remove && m->known && m->phase == VM_REST && m->actual == VM_ABSENT && !entry;
	report->fault = m->fault ? g_strdup(fault_name(fault_code(m->fault))) : NULL;
	/* Nothing is due before its first start. */
	report->restarts = entry ? entry->restarts : goal->restarts;
	report->reimages = entry ? entry->reimages : goal->reimages;
	migration_report(m->agent, m->uid, &report->migration);
	add_guest(m, report);
	if (m->fault)
		report->message = g_strdup(m->fault->message);
	else if (entry && entry->message)
		report->message = g_strdup(entry->message);
	else
		report->message = g_strdup(m->late);
	return report;
}
