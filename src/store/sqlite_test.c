/* What only the store in a file promises: crashes, damage, other processes. */
#include "base/fault.h"
#include "store/fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void assert_open_fails(const char *path, enum fault fault)
{
	g_autoptr(GError) error = NULL;
	struct store *store = store_sqlite_open(path, &error);

	g_assert_null(store);
	g_assert_error(error, FAULT, (int)fault);
	g_assert_nonnull(strstr(error->message, path)); /* the sentence names the file */
}

static void close_store(struct fixture *f)
{
	store_close(f->store);
	f->store = NULL;
}

static void overwrite(const char *path, long offset, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(pwrite(fd, data, size, offset), ==, (ssize_t)size);
	close(fd);
}

/* ---- crashes ---- */

/* The child: commits until it is killed. Each commit writes a counter and a key of its own, and is reported
 * once it is acknowledged. */
static void commit_for_ever(const char *path, int report)
{
	struct store *store = store_sqlite_open(path, NULL);

	if (!store)
		_exit(1);
	int64_t n = revision_of(store);
	for (;;) {
		g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, ++n);
		g_autofree char *key = g_strdup_printf("each/%s", number);
		g_autoptr(GBytes) value = bytes(number);
		const struct store_op ops[] = {
			{STORE_PUT, "counter", .value = value}, {STORE_PUT, key, .value = value}};
		const struct store_txn txn = {.then_ops = ops, .n_then = 2};
		_cleanup_(store_result_clear) struct store_result result = {};
		if (!store_commit(store, &txn, &result, NULL) || result.revision != n)
			_exit(2);
		if (write(report, &n, sizeof n) != sizeof n)
			_exit(3);
	}
}

/* Kills the child after some commits; the last revision that it had acknowledged. */
static int64_t kill_while_committing(const char *path, unsigned commits)
{
	int ends[2], status;
	int64_t last = 0, n;

	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	pid_t child = fork();
	g_assert_cmpint(child, >=, 0);
	if (child == 0)
		commit_for_ever(path, ends[1]);
	close(ends[1]);
	for (unsigned i = 0; i < commits; i++) {
		g_assert_cmpint(read(ends[0], &n, sizeof n), ==, sizeof n);
		last = n;
	}
	g_assert_cmpint(kill(child, SIGKILL), ==, 0);
	while (read(ends[0], &n, sizeof n) == sizeof n)
		last = n;
	close(ends[0]);
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_true(WIFSIGNALED(status));
	return last;
}

/* Everything that was acknowledged is there, and no transaction is there in part. */
static void assert_whole(struct store *store, int64_t acknowledged)
{
	int64_t revision = revision_of(store);
	_cleanup_(store_range_clear) struct store_range each = {};
	_cleanup_(store_kv_free) struct store_kv *counter = NULL;
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(revision, >=, acknowledged);
	g_assert_cmpint(revision, <=, acknowledged + 1);
	g_assert_true(store_get(store, "counter", &counter, &error));
	g_assert_cmpint(counter->mod_revision, ==, revision);
	g_assert_cmpint(counter->version, ==, revision - 1);
	g_assert_true(store_list(store, "each/", "each0", 0, 0, &each, NULL, &error));
	g_assert_cmpint(each.kvs->len, ==, revision - 1);
	for (unsigned i = 0; i < each.kvs->len; i++) {
		const struct store_kv *kv = each.kvs->pdata[i];
		g_autofree char *key = g_strdup_printf("each/%" G_GINT64_FORMAT, kv->mod_revision);
		g_assert_cmpstr(kv->key, ==, key);
		g_assert_cmpint(kv->version, ==, 1);
	}
}

static void test_killed(struct fixture *f, const void *engine)
{
	for (unsigned round = 0; round < 6; round++) {
		close_store(f);
		int64_t acknowledged = kill_while_committing(f->path, 20 + 37 * round);
		f->store = f->engine->open(f->path); /* which checks the whole file */
		assert_whole(f->store, acknowledged);
	}
}

/* A log that was cut in the middle of its last transaction, as a power cut leaves it. */
static void test_cut_log(struct fixture *f, const void *engine)
{
	g_autofree char *copy = g_build_filename(f->folder, "copy.db", NULL);
	g_autofree char *log = g_strconcat(f->path, "-wal", NULL),
			*log_copy = g_strconcat(copy, "-wal", NULL);
	g_autofree char *data = NULL, *log_data = NULL;
	gsize size, log_size;

	put(f->store, "a", "1");
	put(f->store, "b", "1");
	g_assert_true(g_file_get_contents(f->path, &data, &size, NULL));
	g_assert_true(g_file_get_contents(log, &log_data, &log_size, NULL));
	g_assert_cmpuint(log_size, >, 100);
	g_assert_true(g_file_set_contents(copy, data, (gssize)size, NULL));
	g_assert_true(g_file_set_contents(log_copy, log_data, (gssize)log_size - 100, NULL));
	struct store *store = f->engine->open(copy);
	assert_list(store, "", "", 0, 0, "a=1@2.2.1");
	g_assert_cmpint(put(store, "b", "2"), ==, 3);
	store_close(store);
	g_assert_cmpint(unlink(copy), ==, 0);
}

/* ---- other processes ---- */

#define PATH_VARIABLE "SLUICE_TEST_STORE"

/* Runs in a process of its own; a fork would inherit SQLite's knowledge of the locks. */
static void open_in_subprocess(void)
{
	assert_open_fails(g_getenv(PATH_VARIABLE), FAULT_UNAVAILABLE);
}

static void assert_other_process_is_refused(const char *path)
{
	g_setenv(PATH_VARIABLE, path, TRUE);
	g_test_trap_subprocess("/store/sqlite/subprocess/open", 0, 0);
	g_test_trap_assert_passed();
}

static void test_second_process(struct fixture *f, const void *engine)
{
	assert_other_process_is_refused(f->path); /* also before the first write */
	g_assert_cmpint(put(f->store, "a", "1"), ==, 2);
	assert_other_process_is_refused(f->path);
	g_assert_cmpint(put(f->store, "a", "2"), ==, 3);
}

static void test_second_opening(struct fixture *f, const void *engine)
{
	put(f->store, "a", "1");
	assert_open_fails(f->path, FAULT_UNAVAILABLE);
	assert_other_process_is_refused(f->path);
}

/* ---- the file ---- */

static void test_mode(struct fixture *f, const void *engine)
{
	g_autofree char *log = g_strconcat(f->path, "-wal", NULL);
	const char *const paths[] = {f->path, log};
	struct stat st;

	put(f->store, "a", "secret");
	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
		g_assert_cmpint(stat(paths[i], &st), ==, 0);
		g_assert_cmphex(st.st_mode & 0777, ==, 0600);
	}
}

static void test_no_folder(void)
{
	assert_open_fails("/nonexistent/store.db", FAULT_INTERNAL);
}

static void test_garbage(struct fixture *f, const void *engine)
{
	g_autofree char *garbage = g_strnfill(100000, 'g');

	close_store(f);
	g_assert_true(g_file_set_contents(f->path, garbage, 100000, NULL));
	assert_open_fails(f->path, FAULT_INTERNAL);
	g_autofree char *after = NULL;
	g_assert_true(g_file_get_contents(f->path, &after, NULL, NULL));
	g_assert_cmpstr(after, ==, garbage); /* nothing was written over it */
}

static void fill(struct store *store, unsigned n)
{
	g_autofree char *text = g_strnfill(500, 't');

	for (unsigned i = 0; i < n; i++) {
		g_autofree char *key = g_strdup_printf("key-%u", i);
		put(store, key, text);
	}
}

static void test_damaged_pages(struct fixture *f, const void *engine)
{
	char ones[4096];
	struct stat st;

	memset(ones, 0xff, sizeof ones);
	fill(f->store, 300);
	close_store(f);
	g_assert_cmpint(stat(f->path, &st), ==, 0);
	g_assert_cmpint(st.st_size, >, 20 * 4096);
	overwrite(f->path, 10 * 4096, ones, sizeof ones);
	assert_open_fails(f->path, FAULT_INTERNAL);
	g_assert_cmpint(truncate(f->path, st.st_size / 2), ==, 0);
	assert_open_fails(f->path, FAULT_INTERNAL);
}

/* Offsets 60 and 68 of the file hold the schema's version and the program's mark (SQLite file format, 1.3).
 */
static void test_newer_schema(struct fixture *f, const void *engine)
{
	close_store(f);
	overwrite(f->path, 60, "\0\0\0\x63", 4);
	assert_open_fails(f->path, FAULT_UNSUPPORTED);
}

static void test_foreign_database(struct fixture *f, const void *engine)
{
	close_store(f);
	overwrite(f->path, 68, "Othr", 4);
	assert_open_fails(f->path, FAULT_INTERNAL);
}

/* A limit on the size of files stands for a full disk. */
static void test_no_room(struct fixture *f, const void *engine)
{
	g_autofree char *big = g_strnfill(900 * 1024, 'x');
	g_autoptr(GBytes) value = bytes(big);
	g_autoptr(GError) error = NULL;
	struct rlimit before;

	put(f->store, "a", "1");
	signal(SIGXFSZ, SIG_IGN);
	g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &(struct rlimit){256 * 1024, before.rlim_max}), ==, 0);
	g_assert_false(store_put(f->store, "b", value, NULL, &error));
	g_assert_error(error, FAULT, FAULT_INTERNAL);
	assert_list(f->store, "", "", 0, 0, "a=1@2.2.1");
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
	g_assert_cmpint(put(f->store, "c", "1"), ==, 3);
	fixture_reopen(f);
	assert_list(f->store, "", "", 0, 0, "a=1@2.2.1 c=1@3.3.1");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	fixture_add("a killed process loses nothing that was acknowledged", true, test_killed);
	fixture_add("a transaction that was cut off in the log is not there", true, test_cut_log);
	fixture_add("a second process is refused", true, test_second_process);
	fixture_add("a second opening is refused and does not weaken the first", true, test_second_opening);
	fixture_add("the files are their owner's alone", true, test_mode);
	fixture_add("a file that is no store is refused and left alone", true, test_garbage);
	fixture_add("damaged pages are found at opening", true, test_damaged_pages);
	fixture_add("a newer schema is refused", true, test_newer_schema);
	fixture_add("another program's database is refused", true, test_foreign_database);
	fixture_add("a full disk fails the transaction whole, and the store goes on", true, test_no_room);
	g_test_add_func("/store/sqlite/subprocess/open", open_in_subprocess);
	g_test_add_func("/store/sqlite/a folder that is missing is a fault", test_no_folder);
	return g_test_run();
}
