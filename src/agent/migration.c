/* A VM's migration: its life, and the source's side. */
#include "agent/migration_priv.h"
#include "agent/notice.h"
#include "base/failpoint.h"
#include "base/fault.h"
#include "base/log.h"

#define LOOK_US     (G_USEC_PER_SEC / 2) /* between two looks at how far it is */
#define LAST_COPIES 5 /* tries, since what has moved does not come back for its connections */

const struct goal_vm *migration_goal(const struct migration *m)
{
	return agent_goal_vm(m->agent, m->vm);
}

struct ledger_vm *migration_record(const struct migration *m)
{
	return ledger_find_vm(m->agent->ledger, m->vm);
}

struct vm_machine *migration_machine(const struct migration *m)
{
	return g_hash_table_lookup(m->agent->machines, m->vm);
}

struct tunnel_peer migration_peer(const struct migration *m)
{
	const struct goal_migration *goal = &migration_goal(m)->migration;

	return (struct tunnel_peer){m->vm, m->uid, goal->peer, goal->address};
}

void migration_set_message(struct migration *m, const char *message)
{
	if (g_strcmp0(m->message, message) == 0)
		return;
	g_free(m->message);
	m->message = g_strdup(message);
	if (message)
		log_info(m->vm, "migration: %s", message);
}

enum migration_state migration_state(const struct migration *m)
{
	const struct ledger_vm *record = migration_record(m);
	bool same = record && m->uid && g_strcmp0(record->migration.uid, m->uid) == 0;

	return same ? (enum migration_state)record->migration.state : MIGRATION_WAITING;
}

void migration_retry_later(struct migration *m)
{
	m->retry_at_us = g_get_monotonic_time() + agent_backoff_us(m->agent, m->failures++);
	agent_wake_at(m->agent, m->retry_at_us);
}

bool migration_enter(struct migration *m, enum migration_state state, const char *message)
{
	struct ledger_migration *record = &migration_record(m)->migration;
	struct ledger_migration old = *record;
	g_autoptr(GError) error = NULL;

	*record = (struct ledger_migration){
		.uid = g_strdup(m->uid), .role = m->role, .state = (int)state, .message = g_strdup(message)};
	bool saved = agent_save(m->agent, &error);
	struct ledger_migration drop = saved ? old : *record;
	if (!saved) {
		*record = old;
		migration_set_message(m, error->message);
		migration_retry_later(m);
	}
	g_free(drop.uid);
	g_free(drop.message);
	return saved;
}

bool migration_hold(struct migration *m)
{
	struct vm_machine *machine = migration_machine(m);

	if (!m->held && vm_machine_hold(machine))
		m->held = machine;
	return m->held != NULL;
}

static void release(struct migration *m)
{
	if (m->held)
		vm_machine_unhold(m->held);
	m->held = NULL;
	m->release_at_look = 0;
}

/* ---- the guest's event ---- */

/* Whether it has started. */
static bool has_started(struct migration *m)
{
	const struct goal_migration *goal = &migration_goal(m)->migration;
	const struct event_plan plan = {.vm = m->vm,
		.key = MIGRATION_EVENT,
		.type = EVENT_FREEZE,
		.description =
			"Live migration to another host: the machine pauses for a moment; connections go on.",
		.not_before = notice_now_s() + CLAMP(goal->notice_s, 0, G_MAXINT)};
	g_autoptr(GError) error = NULL;
	const struct event *event = agent_events_announce(m->agent, &plan, &error);

	if (event && event->status == EVENT_SCHEDULED && goal->go && agent_events_is_ready(m->agent, event))
		agent_events_started(m->agent, event->id, &error);
	if (error)
		log_warn(m->vm, "its guest is not told of the migration: %s", error->message);
	return goal->go && (!event || event->status == EVENT_STARTED);
}

static void end_event(struct migration *m)
{
	const struct event *event = agent_events_find(m->agent, m->vm, MIGRATION_EVENT);
	g_autoptr(GError) error = NULL;

	if (event && !agent_events_done(m->agent, event->id, &error))
		log_warn(m->vm, "its guest is not told that the migration is over: %s", error->message);
}

/* ---- ends of the source ---- */

void migration_stay(struct migration *m, const char *message)
{
	if (!migration_enter(m, MIGRATION_FAILED, message))
		return;
	failpoint(FAILPOINT_MIGRATION_FAILED);
	log_warn(m->vm, "it stays here: %s", message);
	if (m->agent->tunnel)
		tunnel_end(m->agent->tunnel, m->uid);
	end_event(m);
	/* What was last seen of the machine may be from between the hosts. */
	m->release_at_look = m->agent->looks_begun + 1;
	agent_refresh(m->agent);
}

void migration_settle_moved(struct migration *m)
{
	m->told = true;
	if (m->agent->tunnel)
		tunnel_end(m->agent->tunnel, m->uid);
	end_event(m);
	release(m);
}

static void last_copied(struct migration *m, const GError *error)
{
	if (error && ++m->last_copies < LAST_COPIES) {
		migration_set_message(m, error->message);
		migration_retry_later(m);
		return;
	}
	if (error)
		log_warn(m->vm, "it has moved, but its connections' last changes have not: %s",
			error->message);
	migration_settle_moved(m);
}

/* ---- the source's steps ---- */

static void first_copied(struct migration *m, const GError *error)
{
	g_autofree char *why =
		error ? g_strdup_printf("the connections cannot be copied: %s", error->message) : NULL;

	if (error)
		migration_stay(m, why);
	else
		m->first_copied = true;
}

/* The guest has let all functions go; else it is given up in time. */
static bool are_functions_back(struct migration *m)
{
	int64_t limit = (int64_t)m->agent->config.times.migrate_functions_ms * 1000;
	int64_t now = g_get_monotonic_time();

	if (!agent_functions_held(m->agent, m->vm))
		return true;
	if (m->started_us == 0)
		m->started_us = now;
	migration_set_message(m, "waits for its guest to let its functions go");
	if (now - m->started_us < limit) {
		agent_wake_at(m->agent, m->started_us + limit);
		return false;
	}
	migration_stay(m, "its guest does not let its functions go; see `sluice vf list` on its host");
	return false;
}

/* Everything is ready: from here on only the VM manager knows. */
static void go(struct migration *m)
{
	g_autoptr(GError) error = NULL;

	if (!migration_open_way(m, &error)) {
		migration_stay(m, error->message);
		return;
	}
	if (!migration_enter(m, MIGRATION_MOVING, NULL))
		return;
	failpoint(FAILPOINT_MIGRATION_GOING);
	migration_begin_move(m);
}

/* Why it cannot begin; NULL: it can, or cannot yet. */
static const char *find_hindrance(const struct migration *m)
{
	const struct vm_machine *machine = migration_machine(m);

	if (migration_goal(m)->migration.cancel)
		return "it was cancelled";
	if (!m->held && (vm_machine_is_off(machine) || vm_machine_may_linger(machine)))
		return "its machine does not run";
	return m->agent->tunnel ? NULL : "its host's agent has no tunnel to others";
}

static void step_waiting(struct migration *m)
{
	const char *hindrance = find_hindrance(m);

	if (hindrance) {
		migration_stay(m, hindrance);
		return;
	}
	bool started = has_started(m);
	if (!migration_goal(m)->migration.go) {
		migration_set_message(m, "waits for the target to be ready");
	} else if (!started) {
		migration_set_message(m, "waits for its guest to get ready, as long as it has notice");
	} else if (are_functions_back(m) && migration_hold(m)) {
		if (m->first_copied)
			go(m);
		else
			migration_copy(m, first_copied);
	}
}

/* Also in a new process, whose predecessor may have died at any moment of it. */
static void step_moving(struct migration *m)
{
	g_autoptr(GError) error = NULL;

	if (!migration_hold(m))
		return;
	if (m->agent->tunnel && !migration_open_way(m, &error))
		migration_set_message(m, error->message);
	migration_begin_move(m);
}

static void watch_move(struct migration *m)
{
	agent_wake_at(m->agent, g_get_monotonic_time() + LOOK_US);
	if (migration_goal(m)->migration.cancel && !m->cancelling)
		migration_cancel_move(m);
}

/* Not once it has failed: then it is as if it had run. */
static void step_source(struct migration *m)
{
	if (m->moving) {
		watch_move(m);
		return;
	}
	/* Its disk is on its way also when its virtual machine is not to be off any more. */
	if (m->sending || (migration_is_off(m) && migration_state(m) != MIGRATION_FAILED)) {
		migration_step_off(m);
		return;
	}
	switch (migration_state(m)) {
	case MIGRATION_WAITING: step_waiting(m); break;
	case MIGRATION_MOVING: step_moving(m); break;
	case MIGRATION_MOVED:
		if (!m->told)
			migration_copy(m, last_copied);
		break;
	case MIGRATION_FAILED:
		if (m->release_at_look && m->agent->looks_done >= m->release_at_look)
			release(m);
		break;
	case MIGRATION_READY: /* the target's */ break;
	}
}

/* ---- life ---- */

/* From now on it is about another migration; NULL: about none. */
static void begin_anew(struct migration *m, const struct goal_migration *goal)
{
	const char *uid = goal ? goal->uid : NULL;

	if (g_strcmp0(m->uid, uid) == 0)
		return;
	if (m->uid && m->agent->tunnel)
		tunnel_end(m->agent->tunnel, m->uid);
	migration_close_target(m);
	release(m);
	g_free(m->uid);
	m->uid = g_strdup(uid);
	m->role = goal ? goal->role : MIGRATION_SOURCE;
	m->cancelling = m->stopped = m->first_copied = m->told = false;
	m->last_copies = m->failures = m->sent = 0;
	g_atomic_int_set(&m->percent, 0);
	m->started_us = m->retry_at_us = 0;
	g_clear_pointer(&m->message, g_free);
}

/* What the VM manager shows is as good as what it would have answered. */
static void learn(struct migration *m, struct ledger_migration *record)
{
	const struct vm_machine *machine = migration_machine(m);
	bool gone = record->role == MIGRATION_SOURCE && record->state == MIGRATION_MOVING &&
		    vm_machine_is_absent(machine);
	bool came = record->role == MIGRATION_TARGET && record->state == MIGRATION_WAITING &&
		    vm_machine_is_running(machine);

	if (!gone && !came)
		return;
	record->state = MIGRATION_MOVED;
	agent_save(m->agent, NULL); /* the next process sees the same */
}

/* The goal does not speak of a migration (any more). What the ledger has of it counts only where the disk that is here is no
 * good: it stays until that is gone. */
static void settle(struct migration *m)
{
	struct ledger_vm *record = migration_record(m);

	begin_anew(m, NULL);
	if (!record || !record->migration.uid)
		return;
	learn(m, &record->migration);
	if (!migration_goal(m) || migration_stance(m->agent, m->vm) != MIGRATION_NOT_CONCERNED)
		return;
	end_event(m);
	ledger_clear_migration(record);
	agent_save(m->agent, NULL); /* an entry that stays in the file is cleared again by the next process */
}

static bool is_busy(const struct migration *m)
{
	return m->moving || m->nics || m->sending;
}

void migration_step(struct migration *m)
{
	const struct goal_vm *goal = migration_goal(m);
	const struct vm_machine *machine = migration_machine(m);

	if (m->agent->stopping || m->nics || !machine || !vm_machine_is_known(machine))
		return;
	if (g_get_monotonic_time() < m->retry_at_us) {
		agent_wake_at(m->agent, m->retry_at_us);
		return;
	}
	if (!goal || !goal->migration.uid) {
		if (!m->moving && !m->sending)
			settle(m);
		return;
	}
	if (!m->moving && !m->sending)
		begin_anew(m, &goal->migration);
	if (m->role == MIGRATION_TARGET)
		migration_step_target(m);
	else if (g_str_equal(m->uid, goal->migration.uid) && migration_record(m))
		step_source(m);
}

void migration_stop(struct migration *m)
{
	if (m->moving && !m->cancelling)
		migration_cancel_move(m);
}

bool migration_is_over(const struct migration *m)
{
	const struct goal_vm *goal = migration_goal(m);
	const struct ledger_vm *record = migration_record(m);

	return !is_busy(m) && !m->held && !(goal && goal->migration.uid) &&
	       !(record && record->migration.uid);
}

struct migration *migration_new(struct agent *agent, const char *vm)
{
	struct migration *m = g_new0(struct migration, 1);

	m->agent = agent;
	m->vm = g_strdup(vm);
	return m;
}

void migration_free(struct migration *m)
{
	if (!m)
		return;
	g_assert(!m->moving);
	begin_anew(m, NULL);
	migration_drop_copy(m);
	g_free(m->vm);
	g_free(m);
}
