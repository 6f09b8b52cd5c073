/* Looks at all VMs: what the VM manager says of each, told to its machine. */
#include "agent/agent_priv.h"
#include "base/log.h"
#include "vm/files.h"

struct look {
	struct agent *agent; /* main thread only */
	struct vm_manager *manager;
	const char *vm_dir; /* Borrowed; it does not change */
	uint64_t number;
	GHashTable *epochs; /* Owned: uid → epoch when the look began, of machines that were not busy */
	GPtrArray *infos; /* Owned; NULL with error */
	GError *error;
};

/* What guests write to their consoles is kept within bounds on the way. */
static void look(void *data)
{
	struct look *job = data;

	job->infos = job->manager->ops->list(job->manager, &job->error);
	for (guint i = 0; job->infos && i < job->infos->len; i++) {
		const struct vm_info *info = job->infos->pdata[i];
		g_autofree char *directory = g_build_filename(job->vm_dir, info->uid, NULL);
		if (info->state == VM_RUNNING)
			vm_files_trim(directory);
	}
}

static const struct vm_info *find_info(const GPtrArray *infos, const char *uid)
{
	for (guint i = 0; i < infos->len; i++) {
		const struct vm_info *info = infos->pdata[i];
		if (g_str_equal(info->uid, uid))
			return info;
	}
	return NULL;
}

/* Tells each machine that did nothing meanwhile. */
static void tell_machines(struct agent *agent, const struct look *job)
{
	GHashTableIter iter;
	void *uid, *epoch;

	g_hash_table_iter_init(&iter, job->epochs);
	while (g_hash_table_iter_next(&iter, &uid, &epoch)) {
		struct vm_machine *machine = g_hash_table_lookup(agent->machines, uid);
		const struct vm_info *info = find_info(job->infos, uid);
		if (machine && vm_machine_epoch(machine) == GPOINTER_TO_SIZE(epoch))
			vm_machine_set_actual(
				machine, info ? info->state : VM_ABSENT, info ? info->detail : NULL);
	}
	agent->refreshed = true;
	agent->looks_done = job->number;
}

static gboolean refresh_again(void *data)
{
	struct agent *agent = data;

	agent->refresh_timer = 0;
	agent_refresh(agent);
	return G_SOURCE_REMOVE;
}

static void looked(void *data)
{
	struct look *job = data;
	struct agent *agent = job->agent;

	agent->refreshing = false;
	if (job->error && !agent->refresh_failed)
		log_warn("vms", "%s; it is tried again", job->error->message);
	agent->refresh_failed = job->error != NULL;
	if (job->infos && !agent->stopping)
		tell_machines(agent, job);
	if (!agent->stopping)
		agent->refresh_timer = g_timeout_add(agent->refresh_again    ? 0
						     : agent->refresh_failed ? agent->config.times.retry_ms
									     : agent->config.times.refresh_ms,
			refresh_again, agent);
	agent->refresh_again = false;
	agent_kick(agent);
	if (job->infos)
		g_ptr_array_unref(job->infos);
	g_clear_error(&job->error);
	g_hash_table_unref(job->epochs);
	g_free(job);
}

void agent_refresh(struct agent *agent)
{
	GHashTableIter iter;
	void *uid, *machine;

	if (agent->stopping || !agent->manager)
		return;
	if (agent->refreshing) {
		agent->refresh_again = true;
		return;
	}
	g_clear_handle_id(&agent->refresh_timer, g_source_remove);
	struct look *job = g_new0(struct look, 1);
	job->agent = agent;
	job->manager = agent->manager;
	job->vm_dir = agent->vm_dir;
	job->number = ++agent->looks_begun;
	job->epochs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_hash_table_iter_init(&iter, agent->machines);
	while (g_hash_table_iter_next(&iter, &uid, &machine))
		if (!vm_machine_is_busy(machine))
			g_hash_table_insert(
				job->epochs, g_strdup(uid), GSIZE_TO_POINTER(vm_machine_epoch(machine)));
	agent->refreshing = true;
	jobs_run(agent->jobs, look, looked, job);
}
