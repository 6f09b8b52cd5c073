/* The conformance test of all engines: watches, compaction and leases. */
#include "base/fault.h"
#include "store/fixture.h"

/* What a watch was told, one word a change and one line a call: "3: a=1 -b". */
struct diary {
	GString *text;
	struct store *store;
	uint64_t id;
	unsigned calls, changes;
	bool inside_call; /* of the store: no watch may fire then */
};

static void diary_clear(struct diary *diary)
{
	g_string_free(diary->text, TRUE);
}
CLEANUP_CLEAR_FUNC(struct diary, diary_clear)

static struct diary diary_new(struct store *store)
{
	return (struct diary){.text = g_string_new(NULL), .store = store};
}

static void write_diary(
	const struct store_event *events, size_t n, int64_t revision, int64_t compacted, void *data)
{
	struct diary *diary = data;

	g_assert_false(diary->inside_call);
	diary->calls++;
	diary->changes += (unsigned)n;
	if (compacted) {
		g_assert_cmpuint(n, ==, 0);
		g_string_append_printf(diary->text, "compacted %d\n", (int)compacted);
		return;
	}
	g_string_append_printf(diary->text, "%d:", (int)revision);
	for (size_t i = 0; i < n; i++) {
		const struct store_kv *kv = events[i].kv;
		g_assert_cmpint(kv->mod_revision, ==, revision);
		g_assert_cmpint(events[i].deleted, ==, kv->value == NULL);
		gsize size = 0;
		const char *value = kv->value ? g_bytes_get_data(kv->value, &size) : "";
		g_string_append_printf(diary->text, " %s%s%s%.*s", events[i].deleted ? "-" : "", kv->key,
			events[i].deleted ? "" : "=", (int)size, value);
	}
	g_string_append_c(diary->text, '\n');
}

static void assert_diary(struct diary *diary, const char *expected)
{
	settle();
	g_assert_cmpstr(diary->text->str, ==, expected);
	g_string_truncate(diary->text, 0);
}

/* ---- watches ---- */

static void test_watch(struct fixture *f, const void *engine)
{
	_cleanup_(diary_clear) struct diary one = diary_new(f->store), range = diary_new(f->store);
	g_autoptr(GBytes) value = bytes("x");
	const struct store_op ops[] = {{STORE_PUT, "p/z", .value = value}, {STORE_DELETE, "p/a", "p/c"},
		{STORE_PUT, "q", .value = value}, {STORE_PUT, "p/d", .value = value}};
	const struct store_txn txn = {.then_ops = ops, .n_then = G_N_ELEMENTS(ops)};
	g_autoptr(GError) error = NULL;

	put(f->store, "p/a", "0");
	g_assert_cmpuint(store_watch(f->store, "p/b", NULL, 0, write_diary, &one), >, 0);
	g_assert_cmpuint(store_watch(f->store, "p/", "p0", 0, write_diary, &range), >, 0);
	one.inside_call = range.inside_call = true;
	put(f->store, "p/a", "1");
	put(f->store, "p/b", "1");
	put(f->store, "q", "1");
	put(f->store, "p/b", "2");
	g_assert_true(store_commit(f->store, &txn, NULL, &error));
	delete (f->store, "p/nothing");
	one.inside_call = range.inside_call = false;
	assert_diary(&one, "4: p/b=1\n6: p/b=2\n7: -p/b\n");
	assert_diary(&range, "3: p/a=1\n4: p/b=1\n6: p/b=2\n7: p/z=x -p/a -p/b p/d=x\n");
	put(f->store, "p/c", "3");
	assert_diary(&one, "");
	assert_diary(&range, "8: p/c=3\n");
}

static void check_fields(
	const struct store_event *events, size_t n, int64_t revision, int64_t compacted, void *data)
{
	unsigned *calls = data;
	const struct store_kv *kv = events[0].kv;

	g_assert_cmpuint(n, ==, 1);
	g_assert_cmpstr(kv->key, ==, "a");
	g_assert_cmpint(kv->create_revision, ==, events[0].deleted ? 0 : 2);
	g_assert_cmpint(kv->version, ==, events[0].deleted ? 0 : revision - 1);
	(*calls)++;
}

static void test_watch_fields(struct fixture *f, const void *engine)
{
	unsigned calls = 0;

	store_watch(f->store, "a", NULL, 0, check_fields, &calls);
	put(f->store, "a", "1");
	put(f->store, "a", "2");
	delete (f->store, "a");
	settle();
	g_assert_cmpuint(calls, ==, 3);
}

static void test_watch_from_the_past(struct fixture *f, const void *engine)
{
	_cleanup_(diary_clear) struct diary past = diary_new(f->store), future = diary_new(f->store),
					    all = diary_new(f->store);

	put(f->store, "a", "1");
	put(f->store, "b", "2");
	delete (f->store, "a");
	store_watch(f->store, "a", "c", 3, write_diary, &past);
	store_watch(f->store, "a", "c", 7, write_diary, &future);
	store_watch(f->store, "", "", 1, write_diary, &all);
	put(f->store, "a", "3");
	assert_diary(&past, "3: b=2\n4: -a\n5: a=3\n");
	assert_diary(&all, "2: a=1\n3: b=2\n4: -a\n5: a=3\n");
	assert_diary(&future, "");
	put(f->store, "a", "4");
	assert_diary(&past, "6: a=4\n");
	assert_diary(&future, "");
	put(f->store, "a", "5");
	assert_diary(&past, "7: a=5\n");
	assert_diary(&future, "7: a=5\n");
}

static void count_revisions(
	const struct store_event *events, size_t n, int64_t revision, int64_t compacted, void *data)
{
	int64_t *last = data;

	g_assert_cmpint(revision, ==, *last + 1);
	*last = revision;
}

static void test_watch_long_history(struct fixture *f, const void *engine)
{
	_cleanup_(diary_clear) struct diary rare = diary_new(f->store);
	int64_t last = 1;

	for (unsigned i = 0; i < 1500; i++)
		put(f->store, i == 700 ? "rare" : "often", "1");
	store_watch(f->store, "", "", 2, count_revisions, &last);
	store_watch(f->store, "rare", NULL, 2, write_diary, &rare);
	put(f->store, "rare", "2");
	assert_diary(&rare, "702: rare=1\n1502: rare=2\n");
	g_assert_cmpint(last, ==, 1502);
}

static void test_wide_revision(struct fixture *f, const void *engine)
{
	_cleanup_(diary_clear) struct diary diary = diary_new(f->store);
	const struct store_op op = {STORE_DELETE, "", ""};
	const struct store_txn txn = {.then_ops = &op, .n_then = 1};
	g_autoptr(GError) error = NULL;

	for (unsigned i = 0; i < 1200; i++) {
		g_autofree char *key = g_strdup_printf("key-%u", i);
		put(f->store, key, "1");
	}
	settle();
	store_watch(f->store, "", "", 0, write_diary, &diary);
	g_assert_true(store_commit(f->store, &txn, NULL, &error));
	settle();
	g_assert_cmpuint(diary.calls, ==, 1); /* one revision is one call, however wide */
	g_assert_cmpuint(diary.changes, ==, 1200);
}

static void test_unwatch(struct fixture *f, const void *engine)
{
	_cleanup_(diary_clear) struct diary gone = diary_new(f->store), stays = diary_new(f->store);
	uint64_t id = store_watch(f->store, "a", NULL, 0, write_diary, &gone);

	store_watch(f->store, "a", NULL, 0, write_diary, &stays);
	put(f->store, "a", "1");
	store_unwatch(f->store, id);
	store_unwatch(f->store, id);
	assert_diary(&gone, "");
	assert_diary(&stays, "2: a=1\n");
}

static void leave(const struct store_event *events, size_t n, int64_t revision, int64_t compacted, void *data)
{
	struct diary *diary = data;

	write_diary(events, n, revision, compacted, diary);
	store_unwatch(diary->store, diary->id);
}

static void answer(
	const struct store_event *events, size_t n, int64_t revision, int64_t compacted, void *data)
{
	struct diary *diary = data;

	write_diary(events, n, revision, compacted, diary);
	if (revision == 2) {
		put(diary->store, "answer", "1");
		store_watch(
			diary->store, "a", "b", 2, write_diary, diary); /* hears the question again, later */
	}
}

static void test_watch_uses_store(struct fixture *f, const void *engine)
{
	_cleanup_(diary_clear) struct diary once = diary_new(f->store), busy = diary_new(f->store);

	store_watch(f->store, "a", "b", 0, answer, &busy);
	once.id = store_watch(f->store, "a", "b", 0, leave, &once);
	put(f->store, "a", "1");
	put(f->store, "a", "2");
	assert_diary(&once, "2: a=1\n");
	assert_diary(&busy, "2: a=1\n3: a=2\n2: a=1\n3: a=2\n4: answer=1\n4: answer=1\n");
}

static void test_other_context(struct fixture *f, const void *engine)
{
	_cleanup_(diary_clear) struct diary diary = diary_new(f->store);
	GMainContext *context = g_main_context_new();

	g_main_context_push_thread_default(context);
	fixture_reopen(f);
	g_main_context_pop_thread_default(context);
	store_watch(f->store, "a", NULL, 0, write_diary, &diary);
	put(f->store, "a", "1");
	assert_diary(&diary, ""); /* settle() runs the default context only */
	while (g_main_context_iteration(context, FALSE))
		continue;
	assert_diary(&diary, "2: a=1\n");
	g_main_context_unref(context);
}

/* ---- compaction ---- */

static void assert_compact(struct store *store, int64_t revision)
{
	g_autoptr(GError) error = NULL;

	store_compact(store, revision, &error);
	g_assert_no_error(error);
}

static void test_compaction(struct fixture *f, const void *engine)
{
	_cleanup_(store_range_clear) struct store_range range = {};
	g_autoptr(GError) error = NULL;

	put(f->store, "a", "1"); /* 2 */
	put(f->store, "b", "1"); /* 3 */
	put(f->store, "a", "2"); /* 4 */
	delete (f->store, "b"); /* 5 */
	put(f->store, "c", "1"); /* 6 */
	put(f->store, "a", "3"); /* 7 */
	assert_compact(f->store, 4);
	assert_list(f->store, "", "", 4, 0, "a=2@2.4.2 b=1@3.3.1");
	assert_list(f->store, "", "", 5, 0, "a=2@2.4.2");
	g_assert_false(store_list(f->store, "", "", 3, 0, &range, NULL, &error));
	g_assert_error(error, FAULT, FAULT_COMPACTED);
	assert_compact(f->store, 7);
	assert_list(f->store, "", "", 7, 0, "a=3@2.7.3 c=1@6.6.1");
	assert_list(f->store, "", "", 0, 0, "a=3@2.7.3 c=1@6.6.1");
	g_assert_cmpint(put(f->store, "b", "2"), ==, 8);
	assert_list(f->store, "b", NULL, 0, 0, "b=2@8.8.1");
}

static void test_compaction_refused(struct fixture *f, const void *engine)
{
	static const struct {
		int64_t revision;
		enum fault fault;
	} cases[] = {{4, FAULT_INVALID}, {0, FAULT_INVALID}, {-1, FAULT_INVALID}, {2, FAULT_COMPACTED},
		{1, FAULT_COMPACTED}};

	put(f->store, "a", "1");
	put(f->store, "a", "2");
	assert_compact(f->store, 2);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_false(store_compact(f->store, cases[i].revision, &error));
		g_assert_error(error, FAULT, (int)cases[i].fault);
	}
	assert_list(f->store, "a", NULL, 2, 0, "a=1@2.2.1");
}

static void test_compacted_watch(struct fixture *f, const void *engine)
{
	_cleanup_(diary_clear) struct diary early = diary_new(f->store), exact = diary_new(f->store),
					    present = diary_new(f->store);

	put(f->store, "a", "1"); /* 2 */
	put(f->store, "b", "1"); /* 3 */
	delete (f->store, "a"); /* 4 */
	put(f->store, "b", "2"); /* 5 */
	store_watch(f->store, "", "", 0, write_diary, &present);
	assert_compact(f->store, 4);
	store_watch(f->store, "", "", 3, write_diary, &early);
	store_watch(f->store, "", "", 4, write_diary, &exact);
	assert_diary(&early, "compacted 4\n");
	assert_diary(&exact, "4: -a\n5: b=2\n");
	put(f->store, "b", "3");
	assert_diary(&early, "");
	assert_diary(&exact, "6: b=3\n");
	assert_diary(&present, "6: b=3\n");
}

static void test_watch_overtaken_by_compaction(struct fixture *f, const void *engine)
{
	_cleanup_(diary_clear) struct diary diary = diary_new(f->store);

	store_watch(f->store, "a", NULL, 0, write_diary, &diary);
	put(f->store, "a", "1");
	put(f->store, "a", "2");
	assert_compact(f->store, 3); /* before revision 2 was delivered */
	assert_diary(&diary, "compacted 3\n");
}

/* ---- leases ---- */

static int64_t grant(struct store *store, int64_t ttl_s)
{
	g_autoptr(GError) error = NULL;
	int64_t id = 0;

	store_lease_grant(store, ttl_s, &id, &error);
	g_assert_no_error(error);
	g_assert_cmpint(id, >, 0);
	return id;
}

static void end_lease(struct store *store, int64_t id)
{
	g_autoptr(GError) error = NULL;

	store_lease_revoke(store, id, &error);
	g_assert_no_error(error);
}

static void assert_no_lease(struct store *store, int64_t id)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(store_lease_keep(store, id, &error));
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
	g_clear_error(&error);
	g_assert_false(store_lease_revoke(store, id, &error));
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
}

static void test_revoke(struct fixture *f, const void *engine)
{
	_cleanup_(diary_clear) struct diary diary = diary_new(f->store);
	_cleanup_(store_kv_free) struct store_kv *kv = NULL;
	int64_t lease = grant(f->store, 60), other = grant(f->store, 60);

	g_assert_cmpint(lease, !=, other);
	g_assert_cmpint(revision_of(f->store), ==, 1); /* a lease is no change */
	put_leased(f->store, "c", "1", lease);
	put_leased(f->store, "b", "1", other);
	put_leased(f->store, "a", "1", lease);
	put(f->store, "d", "1");
	g_assert_true(store_get(f->store, "a", &kv, NULL));
	g_assert_cmpint(kv->lease, ==, lease);
	store_watch(f->store, "", "", 0, write_diary, &diary);
	end_lease(f->store, lease);
	g_assert_cmpint(revision_of(f->store), ==, 6);
	assert_diary(&diary, "6: -a -c\n");
	assert_no_lease(f->store, lease);
	assert_list(f->store, "", "", 0, 0, "b=1@3.3.1 d=1@5.5.1");
}

static void test_lease_of_moved_keys(struct fixture *f, const void *engine)
{
	int64_t lease = grant(f->store, 60), other = grant(f->store, 60);

	put_leased(f->store, "freed", "1", lease);
	put(f->store, "freed", "2");
	put_leased(f->store, "moved", "1", lease);
	put_leased(f->store, "moved", "2", other);
	put_leased(f->store, "gone", "1", lease);
	delete (f->store, "gone");
	put(f->store, "gone", "2");
	int64_t before = revision_of(f->store);
	end_lease(f->store, lease);
	g_assert_cmpint(revision_of(f->store), ==, before); /* it had no key any more */
	end_lease(f->store, other);
	assert_list(f->store, "", "", 0, 0, "freed=2@2.3.2 gone=2@8.8.1");
}

static void test_lease_of_many_keys(struct fixture *f, const void *engine)
{
	int64_t lease = grant(f->store, 60);

	for (unsigned i = 0; i < 300; i++) {
		g_autofree char *key = g_strdup_printf("key-%u", i);
		put_leased(f->store, key, "1", lease);
	}
	end_lease(f->store, lease);
	g_assert_cmpint(revision_of(f->store), ==, 302);
	assert_list(f->store, "", "", 0, 0, "");
}

static void test_ttl_bounds(struct fixture *f, const void *engine)
{
	static const int64_t refused[] = {0, -1, STORE_LEASE_TTL_MAX + 1, INT64_MAX};

	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
		g_autoptr(GError) error = NULL;
		int64_t id = 77;
		g_assert_false(store_lease_grant(f->store, refused[i], &id, &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
		g_assert_cmpint(id, ==, 77);
	}
	grant(f->store, STORE_LEASE_TTL_MAX);
	settle();
	assert_no_lease(f->store, 4711);
	assert_no_lease(f->store, 0);
}

static bool short_is_gone(void *data)
{
	struct store *store = data;
	_cleanup_(store_kv_free) struct store_kv *kv = NULL;

	g_assert_true(store_get(store, "short", &kv, NULL));
	return !kv;
}

static void test_expiry(struct fixture *f, const void *engine)
{
	_cleanup_(diary_clear) struct diary diary = diary_new(f->store);
	int64_t kept = grant(f->store, 60), brief = grant(f->store, 1);
	int64_t before = g_get_monotonic_time();

	put_leased(f->store, "kept", "1", kept);
	put_leased(f->store, "short", "1", brief);
	put_leased(f->store, "also", "1", brief);
	store_watch(f->store, "", "", 0, write_diary, &diary);
	wait_until(short_is_gone, f->store);
	g_assert_cmpint(g_get_monotonic_time() - before, >=, G_USEC_PER_SEC);
	assert_diary(&diary, "5: -also -short\n");
	assert_no_lease(f->store, brief);
	assert_list(f->store, "", "", 0, 0, "kept=1@2.2.1");
}

static bool deadline_passed(void *deadline)
{
	return g_get_monotonic_time() >= *(int64_t *)deadline;
}

static void test_keep(struct fixture *f, const void *engine)
{
	g_autoptr(GError) error = NULL;
	int64_t lease = grant(f->store, 2);
	int64_t renewal = g_get_monotonic_time() + G_USEC_PER_SEC;

	put_leased(f->store, "short", "1", lease);
	wait_until(deadline_passed, &renewal);
	g_assert_true(store_lease_keep(f->store, lease, &error));
	int64_t kept_at = g_get_monotonic_time();
	wait_until(short_is_gone, f->store);
	g_assert_cmpint(g_get_monotonic_time() - kept_at, >=, 2 * G_USEC_PER_SEC);
}

static void test_lease_reopen(struct fixture *f, const void *engine)
{
	int64_t lease = grant(f->store, 1), revoked = grant(f->store, 60);
	int64_t before = g_get_monotonic_time(), half = before + G_USEC_PER_SEC / 2;

	put_leased(f->store, "short", "1", lease);
	end_lease(f->store, revoked);
	wait_until(deadline_passed, &half);
	fixture_reopen(f);
	g_assert_false(short_is_gone(f->store));
	wait_until(short_is_gone, f->store);
	g_assert_cmpint(g_get_monotonic_time() - before, >=, 3 * G_USEC_PER_SEC / 2); /* its full ttl again */
	assert_no_lease(f->store, revoked);
	g_assert_cmpint(grant(f->store, 60), >, revoked); /* ids are not used again */
}

static void test_watch_after_reopen(struct fixture *f, const void *engine)
{
	put(f->store, "a", "1");
	delete (f->store, "a");
	put(f->store, "b", "1");
	assert_compact(f->store, 3);
	fixture_reopen(f);
	_cleanup_(diary_clear) struct diary early = diary_new(f->store), exact = diary_new(f->store);
	store_watch(f->store, "", "", 2, write_diary, &early);
	store_watch(f->store, "", "", 3, write_diary, &exact);
	assert_diary(&early, "compacted 3\n");
	assert_diary(&exact, "3: -a\n4: b=1\n");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	fixture_add(
		"a watch gets every change of its range, one call a revision, in order", false, test_watch);
	fixture_add("an event tells the key as it became", false, test_watch_fields);
	fixture_add("a watch may begin in the past and in the future", false, test_watch_from_the_past);
	fixture_add("a watch catches up with a long history", false, test_watch_long_history);
	fixture_add("a revision is never split", false, test_wide_revision);
	fixture_add("a watch that is removed hears no more", false, test_unwatch);
	fixture_add("a watch may use the store, also to leave", false, test_watch_uses_store);
	fixture_add("watches fire in the context of the opener", false, test_other_context);
	fixture_add("compaction forgets the past only", false, test_compaction);
	fixture_add("compaction goes forward, and not into the future", false, test_compaction_refused);
	fixture_add("a watch from compacted revisions is told so and ends", false, test_compacted_watch);
	fixture_add(
		"a watch that compaction overtakes is told so", false, test_watch_overtaken_by_compaction);
	fixture_add("a revoked lease takes its keys with it at one revision", false, test_revoke);
	fixture_add("a key has the lease of its last put", false, test_lease_of_moved_keys);
	fixture_add("a lease may have more keys than a transaction", false, test_lease_of_many_keys);
	fixture_add("a time to live has bounds", false, test_ttl_bounds);
	fixture_add("a lease runs out", false, test_expiry);
	fixture_add("a lease that is kept lives on", false, test_keep);
	fixture_add("a lease has its full time after a restart", true, test_lease_reopen);
	fixture_add("a watch continues over a restart", true, test_watch_after_reopen);
	return g_test_run();
}
