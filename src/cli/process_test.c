/* Supervised processes: what ends is started again, also when starting it failed in between. */
#include "cli/process.h"

#include "base/log.h"

#include <glib/gstdio.h>
#include <stdint.h>

#define PATIENCE_US (15 * G_USEC_PER_SEC)

/* Runs the main loop until the process has ended `deaths` times. */
static bool wait_deaths(const struct process *process, unsigned deaths)
{
	int64_t limit = g_get_monotonic_time() + PATIENCE_US;

	while (process_deaths(process) < deaths && g_get_monotonic_time() < limit) {
		g_main_context_iteration(NULL, FALSE);
		g_usleep(5000);
	}
	return process_deaths(process) >= deaths;
}

static void run_for(unsigned ms)
{
	int64_t limit = g_get_monotonic_time() + ms * INT64_C(1000);

	while (g_get_monotonic_time() < limit) {
		g_main_context_iteration(NULL, FALSE);
		g_usleep(5000);
	}
}

static struct process *start_false(const char *log_path)
{
	static const char *const argv[] = {"/bin/false", NULL};
	const struct process_config config = {.name = "false", .log_path = log_path, .argv = argv};
	g_autoptr(GError) error = NULL;
	struct process *process = process_start(&config, &error);

	g_assert_no_error(error);
	return process;
}

static void test_again(void)
{
	g_autofree char *dir = g_dir_make_tmp("sluice-process-XXXXXX", NULL);
	g_autofree char *log_path = g_build_filename(dir, "log", NULL);
	struct process *process = start_false(log_path);

	g_assert_true(wait_deaths(process, 2));
	process_stop(process, 1);
	g_remove(log_path);
	g_assert_cmpint(g_rmdir(dir), ==, 0);
}

/* Without its log's folder a start fails; when the folder is back, the next one succeeds. */
static void test_failed_start(void)
{
	g_autofree char *dir = g_dir_make_tmp("sluice-process-XXXXXX", NULL);
	g_autofree char *log_path = g_build_filename(dir, "log", NULL);
	struct process *process = start_false(log_path);

	g_assert_true(wait_deaths(process, 1));
	g_assert_cmpint(g_remove(log_path), ==, 0);
	g_assert_cmpint(g_rmdir(dir), ==, 0);
	run_for(800);
	g_assert_cmpint(process_pid(process), ==, 0);
	g_assert_cmpuint(process_deaths(process), ==, 1);
	g_assert_cmpint(g_mkdir(dir, 0700), ==, 0);
	g_assert_true(wait_deaths(process, 2));
	process_stop(process, 1);
	g_remove(log_path);
	g_assert_cmpint(g_rmdir(dir), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	/* What is logged here is expected. */
	g_log_set_always_fatal(G_LOG_LEVEL_ERROR);
	log_init("process_test");
	g_test_add_func("/process/what ends is started again", test_again);
	g_test_add_func("/process/a start that fails is tried again", test_failed_start);
	return g_test_run();
}
