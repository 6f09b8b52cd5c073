/* Console logs that the controller asks for: read by a job, brought by the goal client. */
#include "agent/agent_priv.h"
#include "vm/files.h"

#define CONSOLE_MAX (1024 * 1024) /* as much of a log as is brought: its end */

struct errand {
	struct agent *agent; /* main thread only */
	char *vm, *directory; /* Owned */
	GBytes *log; /* Owned; NULL: not read yet */
};

static void read_log(void *data)
{
	struct errand *errand = data;

	errand->log = vm_files_console(errand->directory, CONSOLE_MAX);
}

static void bring(void *data)
{
	struct errand *errand = data;

	if (!errand->agent->stopping)
		goal_client_bring_console(errand->agent->client, errand->vm, errand->log);
	g_bytes_unref(errand->log);
	g_free(errand->directory);
	g_free(errand->vm);
	g_free(errand);
}

void agent_fetch_console(struct agent *agent, const char *vm)
{
	struct errand *errand;

	/* Only those have a directory here, whatever the text is. */
	if (!g_hash_table_contains(agent->machines, vm))
		return;
	errand = g_new0(struct errand, 1);
	*errand = (struct errand){
		.agent = agent,
		.vm = g_strdup(vm),
		.directory = g_build_filename(agent->vm_dir, vm, NULL),
	};
	jobs_run(agent->jobs, read_log, bring, errand);
}
