/* Failpoints: they kill where they are told to, and nowhere else. */
#include "base/failpoint.h"

#include <glib.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Wait status of a child that reaches GOAL_CACHED once and VM_DEFINED three times. */
static int status_of_child(const char *wanted)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		setenv("SLUICE_FAILPOINT", wanted, 1);
		failpoint(FAILPOINT_AGENT_GOAL_CACHED);
		failpoint(FAILPOINT_AGENT_VM_DEFINED);
		failpoint(FAILPOINT_AGENT_VM_DEFINED);
		if (g_str_equal(wanted, "agent.vm-defined:3"))
			failpoint(FAILPOINT_AGENT_VM_DEFINED);
		_exit(7);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	return status;
}

static void assert_killed(const char *wanted)
{
	int status = status_of_child(wanted);

	g_assert_true(WIFSIGNALED(status));
	g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
}

static void assert_survives(const char *wanted)
{
	int status = status_of_child(wanted);

	g_assert_true(WIFEXITED(status));
	g_assert_cmpint(WEXITSTATUS(status), ==, 7);
}

static void test_kills(void)
{
	assert_killed("agent.goal-cached");
	assert_killed("agent.vm-defined");
	assert_killed("agent.vm-defined:2");
	assert_killed("agent.vm-defined:3");
}

static void test_survives(void)
{
	assert_survives("");
	assert_survives("agent.goal");
	assert_survives("agent.goal-cached-not");
	assert_survives("agent.goal-cached:2");
	assert_survives("agent.vm-started");
}

static void test_file(void)
{
	g_autofree char *path = NULL, *wanted = NULL;
	int file = g_file_open_tmp("failpoint-XXXXXX", &path, NULL);

	g_assert_cmpint(file, >=, 0);
	g_assert_cmpint(write(file, "agent.vm-defined\n", 17), ==, 17);
	close(file);
	wanted = g_strconcat("@", path, NULL);
	assert_killed(wanted);
	g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
	assert_survives(wanted);
	g_assert_true(g_file_set_contents(path, "agent.vm-started", -1, NULL));
	assert_survives(wanted);
	g_assert_cmpint(unlink(path), ==, 0);
}

static void test_names(void)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

	for (unsigned i = 0; i < FAILPOINT_COUNT; i++) {
		g_assert_nonnull(failpoint_text(i));
		g_assert_true(g_hash_table_add(seen, (char *)failpoint_name(i)));
	}
	g_assert_null(failpoint_name(FAILPOINT_COUNT));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/failpoint/the named point kills the process with SIGKILL at its n-th visit", test_kills);
	g_test_add_func(
		"/failpoint/other points, and names that only begin alike, do nothing", test_survives);
	g_test_add_func("/failpoint/a point that a file names kills once, and the file is gone", test_file);
	g_test_add_func("/failpoint/every point has a name of its own and a text", test_names);
	return g_test_run();
}
