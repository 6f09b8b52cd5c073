/* Supervised child processes. */
#include "cli/process.h"

#include "base/fault.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE_FIRST_MS 500
#define PAUSE_LAST_MS  30000
#define LONG_LIFE_US   (10 * G_USEC_PER_SEC) /* what dies of its own start does so sooner */

struct process {
	char *name;
	char *log_path;
	char **argv, **env;
	void (*become)(const void *data);
	const void *become_data;
	char oom_score_adj[16]; /* text, ready for the child to write; empty: leave it */
	char *netns; /* or NULL */
	const struct account *account; /* Borrowed, or NULL */
	pid_t pid; /* 0: not running */
	guint watch, restart; /* sources */
	unsigned deaths;
	unsigned pause_ms;
	int64_t started_us;
};

static void on_exit_of(GPid pid, int status, void *data);

/* ---- in the child: only system calls, the parent may have had threads ---- */

static void G_GNUC_NORETURN give_up(const char *what)
{
	const char *reason = strerrordesc_np(errno);
	const char *const words[] = {what, ": ", reason ? reason : "?", "\n"};
	struct iovec parts[G_N_ELEMENTS(words)];

	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		parts[i] = (struct iovec){.iov_base = (void *)words[i], .iov_len = strlen(words[i])};
	_exit(writev(STDERR_FILENO, parts, G_N_ELEMENTS(words)) < 0 ? 126 : 127);
}

static bool enter_netns(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && setns(fd, CLONE_NEWNET) == 0;
}

static void G_GNUC_NORETURN run_child(const struct process *process, int log, pid_t parent)
{
	sigset_t none;

	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int null = open("/dev/null", O_RDONLY);
	dup2(null, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	int oom = process->oom_score_adj[0] ? open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC) : -1;
	if (oom >= 0 && write(oom, process->oom_score_adj, strlen(process->oom_score_adj)) < 0)
		close(oom); /* a container may forbid it; the program runs all the same */
	if (process->netns && !enter_netns(process->netns))
		give_up("the network namespace cannot be entered");
	if (process->account && !account_become(process->account))
		give_up("root's rights cannot be given up");
	prctl(PR_SET_PDEATHSIG, SIGTERM); /* not before: a change of the user undoes it */
	if (getppid() != parent)
		_exit(1); /* the parent died before the line above */
	if (process->become)
		process->become(process->become_data);
	else
		execve(process->argv[0], process->argv, process->env);
	give_up("the program cannot be executed");
}

/* ---- in the supervisor ---- */

static bool spawn(struct process *process, GError **error)
{
	int log = open(process->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	pid_t parent = getpid();

	if (log < 0)
		return fault_set(error, FAULT_INTERNAL, "%s cannot be opened: %s", process->log_path,
			g_strerror(errno));
	process->pid = fork();
	if (process->pid == 0)
		run_child(process, log, parent);
	close(log);
	if (process->pid < 0) {
		process->pid = 0;
		return fault_set(
			error, FAULT_INTERNAL, "%s cannot be started: %s", process->name, g_strerror(errno));
	}
	process->started_us = g_get_monotonic_time();
	process->watch = g_child_watch_add(process->pid, on_exit_of, process);
	return true;
}

static gboolean start_again(void *data);

/* Sets the timer of the next start, and doubles the pause before the one after. */
static void start_later(struct process *process)
{
	process->restart = g_timeout_add(process->pause_ms, start_again, process);
	process->pause_ms = MIN(process->pause_ms * 2, PAUSE_LAST_MS);
}

static gboolean start_again(void *data)
{
	struct process *process = data;
	g_autoptr(GError) failure = NULL;

	process->restart = 0;
	if (!spawn(process, &failure)) {
		log_error(process->name, "%s; tried again in %u ms", failure->message, process->pause_ms);
		start_later(process);
	}
	return G_SOURCE_REMOVE;
}

static void on_exit_of(GPid pid, int status, void *data)
{
	struct process *process = data;

	process->watch = 0;
	process->pid = 0;
	process->deaths++;
	if (g_get_monotonic_time() - process->started_us > LONG_LIFE_US)
		process->pause_ms = PAUSE_FIRST_MS;
	if (WIFSIGNALED(status))
		log_warn(process->name, "killed by signal %d (%s); started again in %u ms", WTERMSIG(status),
			strsignal(WTERMSIG(status)), process->pause_ms);
	else
		log_warn(process->name, "ended with status %d; started again in %u ms; %s says why",
			WEXITSTATUS(status), process->pause_ms, process->log_path);
	start_later(process);
}

static void process_free(struct process *process)
{
	if (process->watch)
		g_source_remove(process->watch);
	if (process->restart)
		g_source_remove(process->restart);
	g_free(process->name);
	g_free(process->log_path);
	g_free(process->netns);
	g_strfreev(process->argv);
	g_strfreev(process->env);
	g_free(process);
}

struct process *process_start(const struct process_config *config, GError **error)
{
	struct process *process = g_new0(struct process, 1);

	process->name = g_strdup(config->name);
	process->log_path = g_strdup(config->log_path);
	process->argv = g_strdupv((char **)config->argv);
	process->env = g_get_environ();
	if (config->runtime_dir)
		process->env = g_environ_setenv(process->env, "RUNTIME_DIRECTORY", config->runtime_dir, TRUE);
	process->become = config->become;
	process->become_data = config->become_data;
	process->netns = g_strdup(config->netns);
	process->account = config->account;
	process->pause_ms = PAUSE_FIRST_MS;
	if (config->oom_score_adj)
		snprintf(process->oom_score_adj, sizeof process->oom_score_adj, "%d", config->oom_score_adj);
	if (spawn(process, error))
		return process;
	process_free(process);
	return NULL;
}

/* Waits for the pid with the main loop standing still: the program is on its way out. */
static bool gone_within(pid_t pid, unsigned grace_s)
{
	for (unsigned i = 0; i < grace_s * 50; i++) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return true;
		g_usleep(20000);
	}
	return false;
}

void process_stop(struct process *process, unsigned grace_s)
{
	if (!process)
		return;
	if (process->watch)
		g_source_remove(process->watch);
	process->watch = 0;
	if (process->pid) {
		kill(process->pid, SIGTERM);
		if (!gone_within(process->pid, grace_s)) {
			log_warn(process->name, "did not stop within %u s; killed", grace_s);
			kill(process->pid, SIGKILL);
			waitpid(process->pid, NULL, 0);
		}
	}
	process_free(process);
}

unsigned process_deaths(const struct process *process)
{
	return process->deaths;
}

const char *process_log(const struct process *process)
{
	return process->log_path;
}

pid_t process_pid(const struct process *process)
{
	return process->pid;
}
