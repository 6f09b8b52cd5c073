/* Jobs on a GThreadPool, answered by idle sources. */
#include "agent/jobs.h"

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>

struct jobs {
	GThreadPool *pool; /* Owned */
	GMainContext *context; /* Ref */
	unsigned running; /* main thread only */
};

struct job {
	struct jobs *jobs; /* Borrowed */
	job_fn run, done;
	void *data;
	/* The hand-over, there and back. GLib's own locks order it, which a sanitizer of threads does not see into. */
	atomic_bool given, done_with;
};

/* What was attached first is dispatched first. */
static void attach(struct jobs *jobs, GSourceFunc fn, void *data)
{
	g_autoptr(GSource) source = g_idle_source_new();

	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_callback(source, fn, data, g_free);
	g_source_attach(source, jobs->context);
}

static gboolean finish(void *data)
{
	struct job *job = data;
	atomic_load_explicit(&job->done_with, memory_order_acquire);
	struct jobs *jobs = job->jobs;

	jobs->running--;
	job->done(job->data);
	return G_SOURCE_REMOVE;
}

static void work(void *data, void *user_data)
{
	struct job *job = data;

	atomic_load_explicit(&job->given, memory_order_acquire);
	struct jobs *jobs = job->jobs;
	job->run(job->data);
	atomic_store_explicit(&job->done_with, true, memory_order_release);
	attach(jobs, finish, job);
}

struct word {
	job_fn then;
	void *data;
};

static gboolean hear(void *data)
{
	const struct word *word = data;

	word->then(word->data);
	return G_SOURCE_REMOVE;
}

void jobs_tell(struct jobs *jobs, job_fn then, void *data)
{
	struct word *word = g_new(struct word, 1);

	*word = (struct word){then, data};
	attach(jobs, hear, word);
}

struct jobs *jobs_new(unsigned max_threads)
{
	struct jobs *jobs = g_new0(struct jobs, 1);

	jobs->pool = g_thread_pool_new(work, NULL, (int)max_threads, false, NULL);
	jobs->context = g_main_context_ref_thread_default();
	return jobs;
}

void jobs_free(struct jobs *jobs)
{
	if (!jobs)
		return;
	g_assert(jobs->running == 0);
	g_thread_pool_free(jobs->pool, false, true);
	g_main_context_unref(jobs->context);
	g_free(jobs);
}

void jobs_run(struct jobs *jobs, job_fn run, job_fn done, void *data)
{
	struct job *job = g_new(struct job, 1);

	*job = (struct job){.jobs = jobs, .run = run, .done = done, .data = data};
	jobs->running++;
	atomic_store_explicit(&job->given, true, memory_order_release);
	g_thread_pool_push(jobs->pool, job, NULL);
}

void jobs_drain(struct jobs *jobs)
{
	while (jobs->running > 0)
		g_main_context_iteration(jobs->context, true);
}
