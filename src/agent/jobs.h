/* Blocking work off the main loop: run in a worker thread, finished in the main context.
 *
 * All state of the agent belongs to its main thread. A job gets copies, or objects that may be used from any
 * thread, and brings its outcome back in the same block; so the agent has no locks.
 */
#pragma once
#include "base/cleanup.h"

struct jobs;

typedef void (*job_fn)(void *data);

/* `done` functions run in the thread-default main context of the caller. */
struct jobs *jobs_new(unsigned max_threads);
/* Nothing may be running. */
void jobs_free(struct jobs *jobs);
CLEANUP_FUNC(struct jobs *, jobs_free)

/* run(data) in a worker thread, then done(data) in the main context. */
void jobs_run(struct jobs *jobs, job_fn run, job_fn done, void *data);

/* From within a job: then(data) in the main context, before that job's done. */
void jobs_tell(struct jobs *jobs, job_fn then, void *data);

/* Iterates the main context until no job is left. */
void jobs_drain(struct jobs *jobs);
