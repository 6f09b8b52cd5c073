/* Which of libvirt's words about a function in use are stale, and what becomes of its daemon: on libvirt's own test driver,
 * whose machine "test" is in memory, with a process that sleeps for the daemon. */
#include "vm/files.h"
#include "vm/libvirt_priv.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUNCTION "0000:01:10.0"
#define IN_USE(vm)                                                                                           \
	"Requested operation is not valid: PCI device " FUNCTION " is in use by driver QEMU, domain " vm

/* As domain_xml.c gives it to libvirt. */
#define MACHINE_WITH_FUNCTION                                                                                \
	"<domain type='test'><name>has-it</name><memory>8192</memory><os><type>hvm</type></os><devices>"     \
	"<interface type='hostdev' managed='yes'><source><address type='pci' domain='0x0000' bus='0x01' "    \
	"slot='0x10' function='0x0'/></source></interface></devices></domain>"

struct bed {
	struct libvirt_manager manager;
	struct libvirt_call call;
	pid_t daemon;
	char *folder;
};

static void bed_set_up(struct bed *bed, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(GError) error = NULL;

	bed->call.conn = virConnectOpen("test:///default");
	g_assert_nonnull(bed->call.conn);
	bed->folder = g_dir_make_tmp("sluice-stale-XXXXXX", &error);
	g_assert_no_error(error);
	bed->daemon = fork();
	g_assert_cmpint(bed->daemon, >=, 0);
	if (bed->daemon == 0) {
		sleep(60);
		_exit(0);
	}
	g_mutex_init(&bed->manager.lock);
	bed->manager.moves = g_hash_table_new(g_str_hash, g_str_equal);
	bed->manager.pid_file = g_build_filename(bed->folder, "pid", NULL);
	g_autofree char *pid = g_strdup_printf("%d\n", (int)bed->daemon);
	g_assert_true(g_file_set_contents(bed->manager.pid_file, pid, -1, NULL));
}

static void bed_tear_down(struct bed *bed, gconstpointer data G_GNUC_UNUSED)
{
	kill(bed->daemon, SIGKILL);
	waitpid(bed->daemon, NULL, 0);
	g_assert_true(vm_files_remove(bed->folder, NULL));
	libvirt_call_end(&bed->call);
	g_hash_table_unref(bed->manager.moves);
	g_mutex_clear(&bed->manager.lock);
	g_free(bed->manager.pid_file);
	g_free(bed->folder);
}

static bool fail(struct bed *bed, const char *message, GError **error)
{
	return libvirt_stale_fail(&bed->manager.base, &bed->call, FUNCTION, message, error);
}

/* Nothing is set, and the daemon lives. */
static void expect_untouched(struct bed *bed, const char *message)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(fail(bed, message, &error));
	g_assert_no_error(error);
	g_assert_cmpint(waitpid(bed->daemon, NULL, WNOHANG), ==, 0);
}

static void expect_ended(struct bed *bed, const char *message)
{
	g_autoptr(GError) error = NULL;
	int status;

	g_assert_true(fail(bed, message, &error));
	g_assert_error(error, FAULT, FAULT_UNAVAILABLE);
	g_assert_nonnull(strstr(error->message, "its daemon starts again"));
	g_assert_cmpint(waitpid(bed->daemon, &status, 0), ==, bed->daemon);
	g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void expect_told(struct bed *bed)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(fail(bed, IN_USE("test"), &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	g_assert_nonnull(strstr(error->message, "restart libvirtd"));
	g_assert_cmpint(waitpid(bed->daemon, NULL, WNOHANG), ==, 0);
}

static void other_failures_are_not_about_it(struct bed *bed, gconstpointer data G_GNUC_UNUSED)
{
	expect_untouched(bed, "internal error: something else");
	expect_untouched(bed, "PCI device 0000:01:10.1 is in use by driver QEMU, domain test");
}

static void a_machine_that_has_the_function_keeps_it(struct bed *bed, gconstpointer data G_GNUC_UNUSED)
{
	virDomainPtr domain = virDomainDefineXML(bed->call.conn, MACHINE_WITH_FUNCTION);

	g_assert_nonnull(domain);
	virDomainFree(domain);
	expect_untouched(bed, IN_USE("has-it"));
}

static void a_private_daemon_that_counts_wrongly_ends(struct bed *bed, gconstpointer data G_GNUC_UNUSED)
{
	expect_ended(bed, IN_USE("test"));
}

static void one_that_counts_a_machine_which_is_gone_ends_too(
	struct bed *bed, gconstpointer data G_GNUC_UNUSED)
{
	expect_ended(bed, IN_USE("gone"));
}

static void while_a_machine_moves_the_daemon_stays(struct bed *bed, gconstpointer data G_GNUC_UNUSED)
{
	g_hash_table_insert(bed->manager.moves, "a", "b");
	expect_told(bed);
}

static void of_the_hosts_own_daemon_a_person_is_told(struct bed *bed, gconstpointer data G_GNUC_UNUSED)
{
	g_clear_pointer(&bed->manager.pid_file, g_free);
	expect_told(bed);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *promise;
		void (*test)(struct bed *, gconstpointer);
	} tests[] = {
		{"other failures are not about it", other_failures_are_not_about_it},
		{"a machine that has the function keeps it", a_machine_that_has_the_function_keeps_it},
		{"a private daemon that counts wrongly ends", a_private_daemon_that_counts_wrongly_ends},
		{"one that counts a machine which is gone ends too",
			one_that_counts_a_machine_which_is_gone_ends_too},
		{"while a machine moves the daemon stays", while_a_machine_moves_the_daemon_stays},
		{"of the host's own daemon a person is told", of_the_hosts_own_daemon_a_person_is_told},
	};

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
		g_autofree char *path = g_strconcat("/vm/libvirt stale/", tests[i].promise, NULL);
		g_test_add(path, struct bed, NULL, bed_set_up, tests[i].test, bed_tear_down);
	}
	return g_test_run();
}
