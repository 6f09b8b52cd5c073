/* Functions in quarantine, and operators. */
#include "agent/quarantine.h"

#include "agent/agent_priv.h"
#include "base/fault.h"

struct reclaim {
	struct agent *agent; /* main thread only */
	struct nic_provider *provider;
	char *function; /* Owned */
	bool as_is;
	GPtrArray *lost; /* Owned; NULL with error */
	GError *error; /* Owned */
	quarantine_done_fn done; /* main thread only, with its data */
	void *data;
};

static void run(void *data)
{
	struct reclaim *job = data;

	job->provider->ops->reclaim(job->provider, job->function, job->as_is, &job->lost, &job->error);
}

/* What an operator can do who does not want to wait for what is in the way. */
static void add_remedy(struct reclaim *job)
{
	if (job->as_is || g_error_matches(job->error, FAULT, FAULT_NOT_FOUND) ||
		g_error_matches(job->error, FAULT, FAULT_NOT_ALLOWED) ||
		g_error_matches(job->error, FAULT, FAULT_IN_USE))
		return;
	g_autoptr(GError) cause = g_steal_pointer(&job->error);
	fault_set(&job->error, fault_code(cause),
		"%s; see to that, or give it up: `sluice vf release --as-is %s`", cause->message,
		job->function);
}

static json_t *answer_of(const struct reclaim *job)
{
	json_t *list = json_array();

	for (guint i = 0; i < job->lost->len; i++)
		json_array_append_new(list, json_string(job->lost->pdata[i]));
	return json_pack("{s:s, s:o}", "function", job->function, "given_up", list);
}

static void finish(void *data)
{
	struct reclaim *job = data;

	if (job->error) {
		add_remedy(job);
		job->done(NULL, job->error, job->data);
	} else {
		accel_tell_freed(job->agent);
		health_touch(job->agent->health);
		agent_kick(job->agent);
		job->done(answer_of(job), NULL, job->data);
	}
	g_clear_pointer(&job->lost, g_ptr_array_unref);
	g_clear_error(&job->error);
	g_free(job->function);
	g_free(job);
}

void quarantine_reclaim(
	struct agent *agent, const char *function, bool as_is, quarantine_done_fn done, void *data)
{
	g_autoptr(GError) error = NULL;

	if (!agent->provider) {
		fault_set(&error, FAULT_NOT_FOUND, "this host has no functions to give");
		done(NULL, error, data);
		return;
	}
	struct reclaim *job = g_new0(struct reclaim, 1);
	*job = (struct reclaim){.agent = agent,
		.provider = agent->provider,
		.function = g_strdup(function),
		.as_is = as_is,
		.done = done,
		.data = data};
	jobs_run(agent->jobs, run, finish, job);
}
