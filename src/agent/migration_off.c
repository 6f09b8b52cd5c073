/* A VM's migration while it is off: its disk goes to the target, both sides.
 *
 * How it works. The machine is deallocated, so neither switch nor VM manager has any part in it: the source sends the disk
 * by the tunnel, and the target puts it in the place of the one that it has defined, on stable storage, before it answers.
 * The states are those of migration.h, with less between them: MOVING is left when the target has answered. A source that
 * died meanwhile sends the disk again, which changes nothing.
 *
 * Only the source says that it has moved. The target stays in WAITING with a whole disk, which goes like all that was made in
 * vain when the goal does not name the VM any more: so at no moment may both sides take theirs for the right one.
 */
#include "agent/migration_priv.h"
#include "agent/vm_plan.h"
#include "base/failpoint.h"
#include "base/fault.h"
#include "base/log.h"

#include <errno.h>
#include <glib/gstdio.h>

#define SENDS_MAX 8 /* tries, when the way to the target breaks: a minute or two */
#define LANDING   VM_DISK_FILE ".in" /* of a disk that comes; then the number of its stream */

bool migration_is_off(const struct migration *m)
{
	const struct goal_vm *goal = migration_goal(m);

	return goal && goal->power == POWER_DEALLOCATED;
}

/* Owned by the caller. */
static char *disk_path(const struct migration *m)
{
	return g_build_filename(m->agent->vm_dir, m->vm, VM_DISK_FILE, NULL);
}

/* ---- the source ---- */

/* The way to the target broke, and may be there again. */
static bool may_try_again(const struct migration *m, const GError *error)
{
	enum fault fault = fault_code(error);

	return (fault == FAULT_UNAVAILABLE || fault == FAULT_TIMEOUT) && !m->cancelling &&
	       m->sent < SENDS_MAX;
}

static void sent(json_t *answer, const GError *error, void *data)
{
	struct migration *m = data;

	m->sending = false;
	if (!error) {
		if (migration_enter(m, MIGRATION_MOVED, NULL)) {
			failpoint(FAILPOINT_MIGRATION_LEFT);
			migration_set_message(m, NULL);
		}
	} else if (may_try_again(m, error)) {
		migration_set_message(m, error->message);
		migration_retry_later(m);
	} else {
		migration_stay(m, m->cancelling ? "it was cancelled" : error->message);
	}
	agent_kick(m->agent);
}

static void send_disk(struct migration *m)
{
	const struct tunnel_peer peer = migration_peer(m);
	g_autofree char *path = disk_path(m);
	g_autofree char *message = NULL;
	g_autoptr(GError) closed = NULL;
	GStatBuf st;

	m->sent++;
	if (!m->agent->tunnel) {
		migration_stay(m, "its host's agent has no tunnel to others");
		return;
	}
	if (!peer.address) {
		fault_set(&closed, FAULT_UNAVAILABLE, "host %s takes no machines from others now", peer.host);
		sent(NULL, closed, m);
		return;
	}
	if (g_stat(path, &st) == 0)
		message = g_strdup_printf(
			"its disk of %" G_GINT64_FORMAT " MiB is being copied", (int64_t)st.st_size >> 20);
	migration_set_message(m, message);
	m->sending = true;
	tunnel_send_file(m->agent->tunnel, &peer, NULL, path, sent, m);
}

/* What comes of it is what `sent` hears. */
static void watch_sending(struct migration *m)
{
	if (!migration_goal(m)->migration.cancel || m->cancelling)
		return;
	m->cancelling = true;
	tunnel_end(m->agent->tunnel, m->uid);
}

static void step_waiting(struct migration *m)
{
	if (migration_goal(m)->migration.cancel)
		migration_stay(m, "it was cancelled");
	else if (!migration_goal(m)->migration.go)
		migration_set_message(m, "waits for the target to be ready");
	else if (!vm_machine_is_off(migration_machine(m)))
		migration_set_message(m, "waits for its machine to be off");
	else if (migration_hold(m) && migration_enter(m, MIGRATION_MOVING, NULL)) {
		failpoint(FAILPOINT_MIGRATION_GOING);
		send_disk(m);
	}
}

void migration_step_off(struct migration *m)
{
	if (m->sending) {
		watch_sending(m);
		return;
	}
	switch (migration_state(m)) {
	case MIGRATION_WAITING: step_waiting(m); break;
	case MIGRATION_MOVING:
		if (migration_goal(m)->migration.cancel)
			migration_stay(m, "it was cancelled");
		else if (migration_hold(m))
			send_disk(m);
		break;
	case MIGRATION_MOVED:
		if (!m->told)
			migration_settle_moved(m);
		break;
	case MIGRATION_FAILED:
	case MIGRATION_READY: break;
	}
}

/* ---- the target ---- */

/* Of a process that died, or of a migration that ended. */
static void unlink_landings(const char *directory)
{
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(directory, name, NULL);
		if (g_str_has_prefix(name, LANDING))
			g_unlink(path);
	}
}

void migration_admit_disk(struct migration *m)
{
	const struct tunnel_peer peer = migration_peer(m);
	g_autofree char *directory = g_build_filename(m->agent->vm_dir, m->vm, NULL),
			*landing = g_build_filename(directory, LANDING, NULL);

	g_mkdir_with_parents(directory, 0711);
	unlink_landings(directory);
	tunnel_admit_disk(m->agent->tunnel, &peer, landing);
	m->admitted = true;
	migration_set_message(m, NULL);
	failpoint(FAILPOINT_MIGRATION_ADMITTED);
}

/* A disk on its way to its place. */
struct landing {
	struct vm_machine *held; /* Borrowed; main thread only */
	struct vm_manager *manager; /* Borrowed */
	struct agent *agent; /* Borrowed; main thread only */
	struct tunnel_file *file; /* to be answered */
	struct vm_spec *spec; /* Owned */
	char *path; /* Owned */
	GError *error;
};

static void run_landing(void *data)
{
	struct landing *landing = data;

	landing->manager->ops->take_disk(landing->manager, landing->spec, landing->path, &landing->error);
}

static void landed(void *data)
{
	struct landing *landing = data;
	json_t *answer = landing->error ? NULL : json_object();

	failpoint(FAILPOINT_MIGRATION_ARRIVED);
	tunnel_file_answer(landing->file, answer, landing->error);
	vm_machine_unhold(landing->held);
	agent_kick(landing->agent);
	g_clear_error(&landing->error);
	vm_spec_free(landing->spec);
	g_free(landing->path);
	g_free(landing);
}

void migration_take_disk(struct migration *m, struct tunnel_file *file)
{
	struct agent *agent = m->agent;
	struct vm_machine *machine = migration_machine(m);
	g_autoptr(GError) error = NULL;
	struct vm_spec *spec = vm_plan_build(agent->goal, migration_goal(m), &agent->config.site,
		agent->vm_dir, agent->provider != NULL, &error);

	if (spec && (!machine || !vm_machine_hold(machine))) {
		fault_set(&error, FAULT_UNAVAILABLE, "the target is busy with that machine");
		vm_spec_free(spec);
	}
	if (error) {
		tunnel_file_answer(file, NULL, error);
		return;
	}
	struct landing *landing = g_new0(struct landing, 1);
	*landing = (struct landing){.held = machine,
		.manager = agent->manager,
		.agent = agent,
		.file = file,
		.spec = spec,
		.path = g_strdup(tunnel_file_path(file))};
	jobs_run(agent->jobs, run_landing, landed, landing);
}
