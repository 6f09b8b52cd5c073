/* A VM's migration: the target's side. */
#include "agent/migration_priv.h"
#include "base/failpoint.h"
#include "base/fault.h"
#include "base/log.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file of connections that the switch reads. */
struct arrival {
	struct tunnel_file *file; /* to be answered */
	char *path; /* Owned; where the switch has it */
};

/* ---- what comes ---- */

static void unlink_sockets(const struct vm_migration_paths *paths)
{
	unlink(paths->memory);
	unlink(paths->disk);
}

static void admit(struct migration *m)
{
	struct vm_manager *manager = m->agent->manager;
	_cleanup_(vm_migration_paths_clear) struct vm_migration_paths paths = {};
	const struct tunnel_peer peer = migration_peer(m);
	g_autoptr(GError) error = NULL;

	if (!m->agent->tunnel || !tunnel_address(m->agent->tunnel)) {
		migration_set_message(m, "its host takes no machines from others; give its agent --tunnel");
	} else if (migration_is_off(m)) {
		migration_admit_disk(m);
	} else if (!manager->ops->migration_paths(manager, m->uid, true, &paths, &error)) {
		migration_set_message(m, error->message);
	} else {
		unlink_sockets(&paths); /* of a process that died */
		tunnel_admit(m->agent->tunnel, &peer, paths.manager, paths.memory, paths.disk);
		m->admitted = true;
		migration_set_message(m, NULL);
		failpoint(FAILPOINT_MIGRATION_ADMITTED);
	}
}

void migration_close_target(struct migration *m)
{
	struct vm_manager *manager = m->agent->manager;
	_cleanup_(vm_migration_paths_clear) struct vm_migration_paths paths = {};

	if (m->admitted && manager->ops->migration_paths(manager, m->uid, true, &paths, NULL))
		unlink_sockets(&paths);
	m->admitted = false;
}

/* ---- connections ---- */

static void imported(json_t *result, const GError *error, void *data)
{
	struct arrival *arrival = data;

	tunnel_file_answer(arrival->file, json_incref(result), error);
	unlink(arrival->path);
	g_free(arrival->path);
	g_free(arrival);
}

/* Takes the file to where the switch can read it: by its group, which the folder gives. */
static bool share(const struct agent *agent, const char *from, const char *to, GError **error)
{
	struct stat folder;

	if (stat(agent->exchange_dir, &folder) == 0 && g_rename(from, to) == 0 &&
		chown(to, (uid_t)-1, folder.st_gid) == 0 && chmod(to, 0640) == 0)
		return true;
	return fault_set(
		error, FAULT_INTERNAL, "%s cannot be given to the switch: %s", from, g_strerror(errno));
}

static bool is_awaited(const struct agent *agent, const struct tunnel_file *file)
{
	const struct migration *m = g_hash_table_lookup(agent->migrations, tunnel_file_vm(file));
	const char *uid = tunnel_file_nic(file);
	const struct goal_nic *nic = uid ? agent_goal_nic(agent, uid) : NULL;

	return !agent->stopping && m && m->admitted &&
	       (uid ? nic && g_strcmp0(nic->vm, m->vm) == 0 : migration_is_off(m));
}

void migration_take_file(struct agent *agent, struct tunnel_file *file)
{
	const char *nic = tunnel_file_nic(file);
	g_autofree char *path = nic ? g_strdup_printf("%s/%s.in", agent->exchange_dir, nic) : NULL;
	g_autoptr(GError) error = NULL;

	if (!is_awaited(agent, file)) {
		fault_set(&error, FAULT_UNAVAILABLE, "this host does not take that machine");
	} else if (!nic) {
		migration_take_disk(g_hash_table_lookup(agent->migrations, tunnel_file_vm(file)), file);
		return;
	}
	if (error || !share(agent, tunnel_file_path(file), path, &error)) {
		tunnel_file_answer(file, NULL, error);
		return;
	}
	struct arrival *arrival = g_new0(struct arrival, 1);
	*arrival = (struct arrival){.file = file, .path = g_steal_pointer(&path)};
	switch_link_call(agent->link, "connection.import",
		json_pack("{s:s, s:s}", "nic", nic, "path", arrival->path), imported, arrival);
}

/* ---- steps ---- */

void migration_step_target(struct migration *m)
{
	struct vm_machine *machine = migration_machine(m);
	const struct ledger_vm *record = migration_record(m);

	if (!record || g_strcmp0(record->migration.uid, m->uid) != 0)
		return;
	if (vm_machine_is_running(machine) && migration_state(m) == MIGRATION_WAITING) {
		if (!migration_enter(m, MIGRATION_MOVED, NULL))
			return;
		failpoint(FAILPOINT_MIGRATION_ARRIVED);
	}
	if (!m->admitted && (vm_machine_is_ready(machine) || migration_state(m) == MIGRATION_MOVED))
		admit(m);
}
