/* A VM's migration: the VM manager's part on the source. */
#include "agent/migration_priv.h"
#include "base/failpoint.h"
#include "base/fault.h"
#include "base/log.h"

struct move {
	struct migration *m; /* main thread only, but for its percent and its agent's jobs */
	struct vm_manager *manager;
	char *vm, *uid; /* Owned */
	GError *error;
};

static void on_progress(unsigned percent, void *data)
{
	g_atomic_int_set(&((struct move *)data)->m->percent, (gint)percent);
}

/* What is for its NICs goes there from now on. */
static void hear_stop(void *data)
{
	struct migration *m = ((struct move *)data)->m;

	m->stopped = true;
	m->agent->state_dirty = true;
	agent_kick(m->agent);
}

/* In a thread of the VM manager's. */
static void on_stopped(void *data)
{
	struct move *job = data;

	jobs_tell(job->m->agent->jobs, hear_stop, job);
}

static void run_move(void *data)
{
	struct move *job = data;
	const struct vm_migration migration = {
		.uid = job->uid, .progress = on_progress, .stopped = on_stopped, .data = job};

	if (!job->manager->ops->migrate(job->manager, job->vm, &migration, &job->error) && !job->error)
		fault_set(&job->error, FAULT_INTERNAL, "the VM manager failed without a reason");
}

/* What the tunnel saw is nearer to the cause than what the VM manager made of it. */
static char *explain(struct migration *m, const GError *error)
{
	g_autofree char *trouble = tunnel_trouble(m->agent->tunnel, m->uid);

	return trouble ? g_strdup_printf("%s (%s)", error->message, trouble) : g_strdup(error->message);
}

static void moved(struct migration *m, const GError *error)
{
	g_autofree char *why = error ? explain(m, error) : NULL;

	m->failures = error ? m->failures : 0;
	/* What the VM manager does not know any more has moved: vm/vm.h. */
	if (!error || fault_code(error) == FAULT_NOT_FOUND) {
		if (!migration_enter(m, MIGRATION_MOVED, NULL))
			return; /* it is asked again */
		failpoint(FAILPOINT_MIGRATION_LEFT);
		vm_machine_set_actual(migration_machine(m), VM_ABSENT, NULL);
		migration_set_message(m, NULL);
	} else if (fault_code(error) == FAULT_TIMEOUT || fault_code(error) == FAULT_BUSY) {
		/* Undecided, or the call of a process before this one goes on. */
		migration_set_message(m, why);
		migration_retry_later(m);
	} else {
		migration_stay(m, why);
	}
}

static void finish_move(void *data)
{
	struct move *job = data;
	struct migration *m = job->m;

	m->moving = m->cancelling = false;
	failpoint(FAILPOINT_MIGRATION_OVER);
	moved(m, job->error);
	agent_refresh(m->agent);
	agent_kick(m->agent);
	g_clear_error(&job->error);
	g_free(job->vm);
	g_free(job->uid);
	g_free(job);
}

bool migration_open_way(struct migration *m, GError **error)
{
	struct vm_manager *manager = m->agent->manager;
	_cleanup_(vm_migration_paths_clear) struct vm_migration_paths paths = {};
	struct tunnel_peer peer = migration_peer(m);

	if (!peer.address)
		return fault_set(
			error, FAULT_UNAVAILABLE, "host %s takes no machines from others now", peer.host);
	return manager->ops->migration_paths(manager, m->uid, false, &paths, error) &&
	       tunnel_forward(m->agent->tunnel, &peer, TUNNEL_LIBVIRT, paths.manager, error) &&
	       tunnel_forward(m->agent->tunnel, &peer, TUNNEL_MEMORY, paths.memory, error) &&
	       tunnel_forward(m->agent->tunnel, &peer, TUNNEL_DISK, paths.disk, error);
}

void migration_begin_move(struct migration *m)
{
	struct move *job = g_new0(struct move, 1);

	*job = (struct move){
		.m = m, .manager = m->agent->manager, .vm = g_strdup(m->vm), .uid = g_strdup(m->uid)};
	m->moving = true;
	m->agent->state_dirty |= m->stopped; /* by an earlier call, after which it may run here again */
	m->stopped = false;
	migration_set_message(m, NULL);
	jobs_run(m->agent->jobs, run_move, finish_move, job);
}

static void run_cancel(void *data)
{
	struct move *job = data;

	job->manager->ops->migrate_cancel(job->manager, job->vm, &job->error);
}

static void finish_cancel(void *data)
{
	struct move *job = data;

	if (job->error)
		log_warn(job->vm, "its migration cannot be cancelled: %s", job->error->message);
	g_clear_error(&job->error);
	g_free(job->vm);
	g_free(job);
}

void migration_cancel_move(struct migration *m)
{
	struct move *job = g_new0(struct move, 1);

	*job = (struct move){.manager = m->agent->manager, .vm = g_strdup(m->vm)};
	m->cancelling = true;
	jobs_run(m->agent->jobs, run_cancel, finish_cancel, job);
}
