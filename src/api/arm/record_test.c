/* The audit log over crashes: what the store has and nobody was told of is on record when the program is back. */
#include "api/arm/arm_priv.h"
#include "api/fixture.h"

#include <string.h>

static void set_up(struct fixture *f, const void *data)
{
	fixture_open(f, true);
}

static void tear_down(struct fixture *f, const void *data)
{
	fixture_close(f);
}

/* ---- helpers ---- */

/* Puts the group, as a request of that id does that is not answered. Its operation, which is over; Owned. */
static struct operation *put_group(struct fixture *f, const char *name, const char *id)
{
	const struct control_request request = {.principal = "tester", .id = id};
	_cleanup_(model_free) struct group *group =
		model_new(KIND_GROUP, name, control_subscription(f->control));
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	group->meta.location = g_strdup("centralus");
	control_put(f->control, group, &request, &result, &error);
	g_assert_no_error(error);
	g_assert_cmpint(result.operation->status.state, ==, OPERATION_SUCCEEDED);
	return g_steal_pointer(&result.operation);
}

static bool is_over(struct fixture *f, const char *operation)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct operation *now =
		control_get(f->control, KIND_OPERATION, operation, &error);

	g_assert_no_error(error);
	return now->status.state != OPERATION_RUNNING;
}

/* Deletes it, until the store says that it is gone and before anything else does. The operation's uid; Owned. */
static char *delete_group(struct fixture *f, const char *name)
{
	const struct control_request request = {.principal = "tester", .id = "deletion"};
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct group *group =
		control_find(f->control, KIND_GROUP, control_subscription(f->control), name, &error);

	g_assert_nonnull(group);
	control_delete(f->control, KIND_GROUP, group->meta.uid, &request, &result, &error);
	g_assert_no_error(error);
	while (!is_over(f, result.operation->meta.uid))
		g_main_context_iteration(NULL, TRUE);
	return g_strdup(result.operation->meta.uid);
}

/* The records that have the id, newest first. New reference. */
static json_t *find(struct fixture *f, const char *id)
{
	const struct audit_filter filter = {.id = id};
	_cleanup_(page_clear) struct page page = {.limit = 100};
	json_t *records = json_array();
	g_autoptr(GError) error = NULL;

	audit_read(f->audit, &filter, &page, records, &error);
	g_assert_no_error(error);
	return records;
}

static void assert_records(struct fixture *f, const char *id, size_t n)
{
	json_auto_t *records = find(f, id);

	g_assert_cmpuint(json_array_size(records), ==, n);
}

/* There is that one record, which came late. */
static void assert_late(struct fixture *f, const char *id, const char *what)
{
	json_auto_t *records = find(f, id), *expected = json_pack("[{s:s, s:s, s:s}]", "result", "succeeded",
						    "who", "tester", "what", what);
	const json_t *record = json_array_get(records, 0);

	fixture_assert_covers(expected, records);
	g_assert_cmpstr(json_string_value(json_object_get(record, "ended")), <,
		json_string_value(json_object_get(record, "time")));
}

/* ---- tests ---- */

static void test_unanswered(struct fixture *f, const void *data)
{
	_cleanup_(model_free) struct operation *one = put_group(f, "one", "first"),
					       *two = put_group(f, "two", "second");

	assert_records(f, "first", 0);
	fixture_restart(f);
	assert_late(f, "first", "put resource group one");
	assert_late(f, two->meta.uid, "put resource group two");
	fixture_restart(f);
	assert_records(f, one->meta.uid, 1);
	assert_records(f, "second", 1);
}

static void test_untold(struct fixture *f, const void *data)
{
	_cleanup_(model_free) struct operation *put = put_group(f, "one", "first");
	g_autofree char *deletion = delete_group(f, "one");

	assert_records(f, deletion, 0);
	fixture_restart(f);
	assert_late(f, deletion, "delete resource group one");
	fixture_restart(f);
	assert_records(f, deletion, 1);
}

static void test_told(struct fixture *f, const void *data)
{
	const struct audit_record answer = {
		.result = AUDIT_DONE, .status = 201, .who = "tester", .what = "PUT", .request = "first"};
	_cleanup_(model_free) struct operation *put = put_group(f, "one", "first");
	g_autofree char *deletion = NULL;

	audit_write(f->audit, &answer);
	deletion = delete_group(f, "one");
	while (g_main_context_iteration(NULL, FALSE))
		;
	assert_records(f, deletion, 1);
	fixture_restart(f);
	assert_records(f, deletion, 1);
	assert_records(f, "first", 1);
}

/* What ended long before the log's last record was on it, and is so no more: its file is gone. */
static void test_old(struct fixture *f, const void *data)
{
	const struct audit_record answer = {.result = AUDIT_DONE, .what = "PUT", .request = "other"};
	_cleanup_(model_free) struct operation *put = put_group(f, "one", "first");
	g_autoptr(GError) error = NULL;

	put->status.finished_us -= 120 * G_USEC_PER_SEC;
	control_store(f->control, put, &error);
	g_assert_no_error(error);
	audit_write(f->audit, &answer);
	fixture_restart(f);
	assert_records(f, "first", 0);
}

/* More of them than are read at once. */
static void test_many(struct fixture *f, const void *data)
{
	enum { MANY = 1200 };
	g_autoptr(GPtrArray) requests = g_ptr_array_new_with_free_func(g_free);

	for (int i = 0; i < MANY; i++) {
		g_autofree char *id = g_strdup_printf("r%d", i);
		const struct audit_record answer = {
			.result = AUDIT_DONE, .what = "PUT", .request = id, .who = "tester"};
		if (i % 100 == 0) {
			model_free(put_group(f, id, id));
			g_ptr_array_add(requests, g_steal_pointer(&id));
		}
		audit_write(f->audit, &answer);
	}
	_cleanup_(model_free) struct operation *last = put_group(f, "last", "missed");
	fixture_restart(f);
	for (guint i = 0; i < requests->len; i++)
		assert_records(f, requests->pdata[i], 1);
	assert_late(f, "missed", "put resource group last");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(promise, fn) g_test_add("/arm/record/" promise, struct fixture, NULL, set_up, fn, tear_down)
	ADD("what was done and not answered is on record after a crash", test_unanswered);
	ADD("what ended and was not told is on record after a crash", test_untold);
	ADD("what is on record is not repeated", test_told);
	ADD("what the log has forgotten is not told again", test_old);
	ADD("each of many is looked for", test_many);
	return g_test_run();
}
