/* Supervised child processes: started, watched, started again when they die, stopped in order.
 *
 * How it works. A child gets its own process group (Ctrl-C reaches the supervisor alone), its standard output
 * and error go to a log file, and it is sent SIGTERM by the kernel should the supervisor itself die. A child
 * that ends without being asked to is started again after a pause that doubles from 0.5 s to 30 s; a child
 * that lived for 10 s starts over at 0.5 s: pauses are for what cannot start, not for what dies now and then. A
 * start that fails (no memory, no log file) is tried again after the next pause. All calls are of the main thread.
 *
 * A child that runs as another user keeps root's rights no longer than it needs them: its log file, its place in
 * the OOM killer's order and its network namespace are settled before it gives them up.
 */
#pragma once
#include "base/cleanup.h"
#include "cli/account.h"

#include <glib.h>
#include <stdbool.h>

struct process;

struct process_config {
	const char *name; /* for messages; Borrowed, as all here */
	const char *log_path; /* appended to */
	const char *const *argv; /* argv[0] is a path; ignored when become is set */
	/* Runs in the child instead of an exec of argv, after a fork: system calls only; returns on failure
	 * only. */
	void (*become)(const void *data);
	const void *become_data;
	int oom_score_adj; /* -1000 keeps the kernel's OOM killer away; 0: as it is */
	const char *runtime_dir; /* its $RUNTIME_DIRECTORY, as under systemd; NULL: none */
	const char *netns; /* path of the network namespace that it enters; NULL: ours */
	const struct account *account; /* whom it becomes; NULL: it stays root. Borrowed until process_stop */
};

/* Starts it. FAULT_INTERNAL when it cannot be forked; a program that is missing shows as an early end. */
struct process *process_start(const struct process_config *config, GError **error);

/* SIGTERM, then SIGKILL after grace_s; returns when it is gone. Frees it. */
void process_stop(struct process *process, unsigned grace_s);

/* How often it ended without being asked to. */
unsigned process_deaths(const struct process *process);
const char *process_log(const struct process *process);
pid_t process_pid(const struct process *process);
