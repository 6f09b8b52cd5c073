/* A VM's migration: what others must know of it. */
#include "agent/migration_priv.h"

/* What the ledger has of a migration of the VM; NULL: nothing. */
static const struct ledger_migration *find_done(const struct agent *agent, const char *vm)
{
	const struct ledger_vm *record = ledger_find_vm(agent->ledger, vm);

	return record && record->migration.uid ? &record->migration : NULL;
}

/* What is here of a machine that is elsewhere: left by it, or made for it. */
static bool is_leftover(const struct ledger_migration *done)
{
	if (!done)
		return false;
	return done->role == MIGRATION_SOURCE ? done->state == MIGRATION_MOVED
					      : done->state == MIGRATION_WAITING;
}

/* One that has failed is away until the VM manager was looked at. */
static bool is_away(const struct agent *agent, const char *vm, const struct ledger_migration *done)
{
	const struct migration *m = g_hash_table_lookup(agent->migrations, vm);

	return done->state == MIGRATION_MOVING || done->state == MIGRATION_MOVED ||
	       (done->state == MIGRATION_FAILED && m && m->held);
}

enum migration_stance migration_stance(const struct agent *agent, const char *vm)
{
	const struct goal_vm *goal = agent_goal_vm(agent, vm);
	const struct ledger_migration *done = find_done(agent, vm);
	bool same = goal && done && g_strcmp0(done->uid, goal->migration.uid) == 0;
	bool left = is_leftover(done) && done->role == MIGRATION_SOURCE;

	if (!goal)
		return is_leftover(done) ? MIGRATION_LEFTOVER : MIGRATION_NOT_CONCERNED;
	if (!goal->migration.uid)
		return left ? MIGRATION_LEFT : MIGRATION_NOT_CONCERNED;
	if (goal->migration.role == MIGRATION_TARGET)
		return is_leftover(done) && !same ? MIGRATION_LEFTOVER : MIGRATION_COMING;
	return same && is_away(agent, vm, done) ? MIGRATION_LEFT : MIGRATION_NOT_CONCERNED;
}

bool migration_is_elsewhere(const struct agent *agent, const char *vm)
{
	const struct goal_vm *goal = agent_goal_vm(agent, vm);
	const struct ledger_migration *done = find_done(agent, vm);
	const struct migration *m = g_hash_table_lookup(agent->migrations, vm);

	if (!goal || !goal->migration.uid)
		return false;
	bool same = done && g_strcmp0(done->uid, goal->migration.uid) == 0;
	bool moved = same && done->state == MIGRATION_MOVED;
	if (goal->migration.role == MIGRATION_TARGET)
		return !moved;
	return moved || (same && done->state == MIGRATION_MOVING && m && m->stopped);
}

char *migration_whereabouts(const struct agent *agent, const char *vm)
{
	if (!migration_is_elsewhere(agent, vm))
		return NULL;
	const struct goal_migration *goal = &agent_goal_vm(agent, vm)->migration;
	return g_strdup_printf(goal->role == MIGRATION_SOURCE
				       ? "Its virtual machine has stopped here, and goes on at host %s."
				       : "Its virtual machine is to come from host %s.",
		goal->peer);
}

const char *migration_bar(const struct agent *agent, const char *vm)
{
	const struct goal_vm *goal = agent_goal_vm(agent, vm);
	const struct ledger_migration *done = find_done(agent, vm);
	const struct event *event = agent_events_find(agent, vm, MIGRATION_EVENT);

	if (!goal || !goal->migration.uid)
		return NULL;
	if (goal->migration.role == MIGRATION_TARGET)
		return "Its virtual machine comes from another host, and gets a function once it is here.";
	if (!goal->migration.go || (event && event->status != EVENT_STARTED))
		return NULL;
	bool failed =
		done && g_strcmp0(done->uid, goal->migration.uid) == 0 && done->state == MIGRATION_FAILED;
	return failed ? NULL : "Its virtual machine is moving to another host, and gets a function there.";
}

static enum migration_state source_state(
	const struct goal_migration *goal, const struct ledger_migration *done, const struct migration *m)
{
	bool same = done && g_strcmp0(done->uid, goal->uid) == 0;

	if (!same || done->state == MIGRATION_WAITING)
		return goal->go ? MIGRATION_MOVING : MIGRATION_WAITING;
	if (done->state == MIGRATION_MOVED && !(m && m->told))
		return MIGRATION_MOVING;
	return (enum migration_state)done->state;
}

static enum migration_state target_state(const struct migration *m)
{
	const struct vm_machine *machine = m ? migration_machine(m) : NULL;

	if (!machine)
		return MIGRATION_WAITING;
	if (vm_machine_is_running(machine) && migration_state(m) == MIGRATION_MOVED)
		return MIGRATION_MOVED;
	return m->admitted && vm_machine_is_ready(machine) ? MIGRATION_READY : MIGRATION_WAITING;
}

void migration_report(const struct agent *agent, const char *vm, struct report_migration *ret)
{
	const struct goal_vm *goal = agent_goal_vm(agent, vm);
	const struct ledger_migration *done = find_done(agent, vm);
	const struct migration *m = g_hash_table_lookup(agent->migrations, vm);

	if (!goal || !goal->migration.uid)
		return;
	ret->uid = g_strdup(goal->migration.uid);
	if (goal->migration.role == MIGRATION_TARGET)
		ret->state = (int)target_state(m);
	else
		ret->state = (int)source_state(&goal->migration, done, m);
	ret->percent = m ? g_atomic_int_get(&m->percent) : 0;
	ret->message = g_strdup(ret->state == MIGRATION_FAILED ? done->message : m ? m->message : NULL);
}
