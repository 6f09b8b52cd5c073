/* The audit log: what is kept, over crashes and full files, and what is found in it again. */
#include "api/audit.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

struct log {
	char *dir;
	struct audit *audit;
};

static void open_log(struct log *log, int64_t file_bytes)
{
	const struct audit_config config = {.dir = log->dir, .file_bytes = file_bytes, .files = 3};
	g_autoptr(GError) error = NULL;

	g_clear_pointer(&log->audit, audit_close);
	log->audit = audit_open(&config, &error);
	g_assert_no_error(error);
}

static void log_init_at(struct log *log)
{
	*log = (struct log){.dir = g_dir_make_tmp("sluice-audit-XXXXXX", NULL)};
	open_log(log, 1 << 20);
}

/* Names of its files; Owned. */
static GPtrArray *files_of(const struct log *log)
{
	g_autoptr(GDir) dir = g_dir_open(log->dir, 0, NULL);
	GPtrArray *files = g_ptr_array_new_with_free_func(g_free);
	const char *name;

	while ((name = g_dir_read_name(dir)))
		g_ptr_array_add(files, g_build_filename(log->dir, name, NULL));
	return files;
}

static void log_clear(struct log *log)
{
	g_autoptr(GPtrArray) files = files_of(log);

	audit_close(log->audit);
	for (guint i = 0; i < files->len; i++)
		g_unlink(files->pdata[i]);
	g_rmdir(log->dir);
	g_free(log->dir);
}
CLEANUP_CLEAR_FUNC(struct log, log_clear)

static void note(struct log *log, const char *who, const char *what, enum audit_result result)
{
	const struct audit_record record = {
		.result = result, .who = who, .what = what, .status = 200, .request = what};

	audit_write(log->audit, &record);
}

/* Numbers of the records that fit, newest first, page after page of n. Owned. */
static char *find(struct log *log, const struct audit_filter *filter, guint n)
{
	g_autoptr(GString) numbers = g_string_new(NULL);
	g_autofree char *after = NULL;

	do {
		_cleanup_(page_clear) struct page page = {.limit = n, .after = g_steal_pointer(&after)};
		json_auto_t *array = json_array();
		g_autoptr(GError) error = NULL;
		json_t *record;
		size_t i;
		audit_read(log->audit, filter, &page, array, &error);
		g_assert_no_error(error);
		g_assert_cmpint(json_array_size(array), <=, n);
		json_array_foreach(array, i, record)
		{
			g_string_append_printf(numbers, "%" JSON_INTEGER_FORMAT " ",
				json_integer_value(json_object_get(record, "seq")));
		}
		after = g_steal_pointer(&page.next);
	} while (after);
	return g_string_free(g_steal_pointer(&numbers), FALSE);
}

#define assert_found(log, expected, ...)                                                                     \
	do {                                                                                                 \
		const struct audit_filter filter_ = {__VA_ARGS__};                                           \
		for (guint n_ = 1; n_ <= 4; n_++) {                                                          \
			g_autofree char *found_ = find(log, &filter_, n_);                                   \
			g_assert_cmpstr(found_, ==, expected);                                               \
		}                                                                                            \
	} while (0)

/* ---- tests ---- */

static void test_filters(void)
{
	_cleanup_(log_clear) struct log log;

	log_init_at(&log);
	note(&log, "ada", "PUT /groups/One", AUDIT_DONE);
	note(&log, "bob", "PUT /groups/two", AUDIT_REFUSED);
	note(&log, "ada", "DELETE /groups/one", AUDIT_ACCEPTED);
	note(&log, "ada", "delete one", AUDIT_FAILED);
	assert_found(&log, "4 3 2 1 ", .who = NULL);
	assert_found(&log, "4 3 1 ", .who = "ADA");
	assert_found(&log, "4 3 1 ", .what = "ONE");
	assert_found(&log, "2 ", .result = "refused");
	assert_found(&log, "3 ", .id = "DELETE /groups/one");
	assert_found(&log, "", .who = "ad");
	assert_found(&log, "", .since_us = g_get_real_time() + G_USEC_PER_SEC);
	assert_found(&log, "", .until_us = g_get_real_time() - 60 * G_USEC_PER_SEC);
	assert_found(&log, "4 3 2 1 ", .since_us = g_get_real_time() - 60 * G_USEC_PER_SEC);
}

/* What a crash leaves of a line is passed over, and what follows is whole. */
static void test_torn(void)
{
	static const char torn[] = "{\"seq\":3,\"time\":\"2026-11-22T";
	_cleanup_(log_clear) struct log log;

	log_init_at(&log);
	note(&log, "ada", "one", AUDIT_DONE);
	note(&log, "ada", "two", AUDIT_DONE);
	g_autoptr(GPtrArray) files = files_of(&log);
	g_assert_cmpint(files->len, ==, 1);
	int fd = open(files->pdata[0], O_WRONLY | O_APPEND | O_CLOEXEC);
	g_assert_cmpint(write(fd, torn, strlen(torn)), ==, (ssize_t)strlen(torn));
	close(fd);
	assert_found(&log, "2 1 ", .who = NULL);
	open_log(&log, 1 << 20);
	note(&log, "ada", "three", AUDIT_DONE);
	open_log(&log, 1 << 20);
	note(&log, "ada", "four", AUDIT_DONE);
	assert_found(&log, "4 3 2 1 ", .who = NULL);
}

/* Only the newest files are kept, and a page's place stays good while others are begun. */
static void test_rotation(void)
{
	_cleanup_(log_clear) struct log log;
	_cleanup_(page_clear) struct page page = {.limit = 2}, next = {.limit = 2};
	const struct audit_filter all = {};
	json_auto_t *array = json_array(), *second = json_array();

	log_init_at(&log);
	open_log(&log, 200); /* two records a file */
	for (int i = 0; i < 7; i++)
		note(&log, "ada", "something", AUDIT_DONE);
	assert_found(&log, "7 6 5 4 3 ", .who = NULL);
	g_assert_true(audit_read(log.audit, &all, &page, array, NULL));
	note(&log, "ada", "something", AUDIT_DONE);
	next.after = g_strdup(page.next);
	g_assert_true(audit_read(log.audit, &all, &next, second, NULL));
	g_assert_cmpint(json_integer_value(json_object_get(json_array_get(second, 0), "seq")), ==, 5);
	g_autoptr(GPtrArray) files = files_of(&log);
	g_assert_cmpint(files->len, ==, 3);
	open_log(&log, 200);
	note(&log, "ada", "something", AUDIT_DONE);
	assert_found(&log, "9 8 7 6 5 ", .who = NULL);
}

/* Blocks of the file end within lines. */
static void test_long(void)
{
	_cleanup_(log_clear) struct log log;
	g_autofree char *what = g_strnfill(3000, 'x');
	g_autoptr(GString) expected = g_string_new(NULL);
	const struct audit_filter all = {};

	log_init_at(&log);
	for (int i = 0; i < 200; i++)
		note(&log, "ada", what, AUDIT_DONE);
	for (int i = 200; i > 0; i--)
		g_string_append_printf(expected, "%d ", i);
	g_autofree char *found = find(&log, &all, 7);
	g_assert_cmpstr(found, ==, expected->str);
}

static void test_strangers(void)
{
	_cleanup_(log_clear) struct log log;
	_cleanup_(page_clear) struct page page = {.limit = 1};
	const struct audit_filter filter = {.who = "ada"};
	json_auto_t *array = json_array();

	log_init_at(&log);
	for (int i = 0; i < 1000; i++)
		note(&log, NULL, "PUT /x", AUDIT_REFUSED);
	note(&log, "ada", "PUT /y", AUDIT_DONE);
	g_assert_true(audit_read(log.audit, &filter, &page, array, NULL));
	const json_t *record = json_array_get(array, 0);
	g_assert_cmpint(json_integer_value(json_object_get(record, "seq")), <=, 32);
	g_assert_cmpint(json_integer_value(json_object_get(record, "missed")), >=, 969);
}

static void test_strange_bytes(void)
{
	_cleanup_(log_clear) struct log log;

	log_init_at(&log);
	note(&log, "a\xff\"\n", "PUT /\x01", AUDIT_DONE);
	note(&log, "ada", "PUT", AUDIT_DONE);
	assert_found(&log, "2 1 ", .who = NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/audit/records are found by who, what, result, id and time", test_filters);
	g_test_add_func("/audit/a line that a crash cut off is passed over, and numbers go on", test_torn);
	g_test_add_func("/audit/old files go, and pages go on while new ones are begun", test_rotation);
	g_test_add_func("/audit/lines of any length are found again", test_long);
	g_test_add_func("/audit/strangers cannot push others' records out", test_strangers);
	g_test_add_func("/audit/strange bytes make no strange lines", test_strange_bytes);
	return g_test_run();
}
