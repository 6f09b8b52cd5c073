/* Memory of the host, admission, and the ledger on disk. */
#include "agent/host.h"

#include "agent/ledger.h"
#include "base/fault.h"

#include <glib/gstdio.h>
#include <string.h>

static const struct host_admission admission = {.start_mib = 1024, .reserve_mib = 512};

static char *folder_with(const char *name, const char *text)
{
	char *folder = g_dir_make_tmp("host-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, name, NULL);

	if (text)
		g_assert_true(g_file_set_contents(path, text, -1, NULL));
	return folder;
}

static void remove_folder(char *folder, const char *name)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);

	g_unlink(path);
	g_assert_cmpint(g_rmdir(folder), ==, 0);
	g_free(folder);
}

static void test_memory(void)
{
	char *folder = folder_with(
		"meminfo", "MemTotal:       24616724 kB\nMemFree:  1 kB\nMemAvailable:   20480000 kB\n");
	struct host_memory memory;
	g_autoptr(GError) error = NULL;

	g_assert_true(host_read_memory(folder, &memory, &error));
	g_assert_cmpint(memory.total_mib, ==, 24039);
	g_assert_cmpint(memory.available_mib, ==, 20000);
	remove_folder(folder, "meminfo");
	g_assert_cmpint(host_vcpus(), >=, 1);
}

static void test_bad_memory(void)
{
	char *empty = folder_with("meminfo", NULL),
	     *odd = folder_with("meminfo", "MemTotal: 1 kB\nMemAvailable: x kB\n");
	struct host_memory memory;
	g_autoptr(GError) error = NULL;

	g_assert_false(host_read_memory(empty, &memory, &error));
	g_assert_error(error, FAULT, FAULT_INTERNAL);
	g_clear_error(&error);
	g_assert_false(host_read_memory(odd, &memory, &error));
	g_assert_error(error, FAULT, FAULT_INTERNAL);
	remove_folder(empty, "meminfo");
	remove_folder(odd, "meminfo");
}

static bool admit(int64_t available, int64_t wanted, int64_t starting, GError **error)
{
	struct host_memory memory = {.total_mib = 32768, .available_mib = available};

	return host_admit(&admission, &memory, "web-1", wanted, starting, error);
}

static void test_admission(void)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(admit(1536, 28672, 0, NULL));
	g_assert_false(admit(1535, 28672, 0, NULL));
	g_assert_true(admit(1024, 512, 0, NULL));
	g_assert_false(admit(1023, 512, 0, NULL));
	g_assert_true(admit(4096, 28672, 2560, NULL));
	g_assert_false(admit(4096, 28672, 2561, &error));
	g_assert_error(error, FAULT, FAULT_ALLOCATION);
	g_assert_nonnull(strstr(error->message, "web-1 needs 1024 MiB"));
	g_assert_nonnull(strstr(error->message, "4096 MiB available"));
}

static void test_ledger(void)
{
	char *folder = folder_with("ledger", NULL);
	g_autofree char *path = g_build_filename(folder, "ledger", NULL);
	g_autoptr(GError) error = NULL;
	struct ledger *ledger = ledger_load(path, &error);

	g_assert_no_error(error);
	g_assert_null(ledger_find_vm(ledger, "vm"));
	ledger->generation = 17;
	ledger_add_vm(ledger, "vm")->restarts = 3;
	ledger_add_vm(ledger, "other");
	struct ledger_nic *nic = ledger_add_nic(ledger, "nic");
	nic->state = ACCEL_COPYING;
	nic->function = g_strdup("sl-f1");
	nic->revoked = true;
	ledger_drop_vm(ledger, "other");
	g_assert_true(ledger_save(ledger, &error));
	ledger_free(ledger);
	ledger = ledger_load(path, &error);
	g_assert_no_error(error);
	g_assert_cmpint(ledger->generation, ==, 17);
	g_assert_cmpint(ledger_find_vm(ledger, "vm")->restarts, ==, 3);
	g_assert_null(ledger_find_vm(ledger, "other"));
	nic = ledger_find_nic(ledger, "nic");
	g_assert_cmpint(nic->state, ==, ACCEL_COPYING);
	g_assert_cmpstr(nic->function, ==, "sl-f1");
	g_assert_true(nic->revoked);
	ledger_free(ledger);
	remove_folder(folder, "ledger");
}

static void test_unwritable(void)
{
	struct ledger *ledger = ledger_load("/nonexistent/folder/ledger", NULL);
	g_autoptr(GError) error = NULL;

	g_assert_false(ledger_save(ledger, &error));
	g_assert_error(error, FAULT, FAULT_INTERNAL);
	ledger_free(ledger);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/host/memory is read from meminfo", test_memory);
	g_test_add_func("/host/a meminfo that cannot be read is a fault", test_bad_memory);
	g_test_add_func("/host/a VM starts when what it touches at boot is there, beside the reserve",
		test_admission);
	g_test_add_func("/ledger/what was saved is loaded again", test_ledger);
	g_test_add_func("/ledger/a ledger that cannot be written says so", test_unwritable);
	return g_test_run();
}
