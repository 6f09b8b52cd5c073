/* A store over another one answers as a store that has everything itself, and leaves the one below as it was. */
#include "base/fault.h"
#include "store/fixture.h"

#define KEYS   "abcdefgh"
#define STEPS  40
#define ROUNDS 60

static char random_key(void)
{
	return KEYS[g_test_rand_int_range(0, sizeof KEYS - 1)];
}

/* The same random change of each store, which is refused or not alike. */
static void change(struct store *const *stores, size_t n)
{
	const char key[] = {random_key(), '\0'}, end[] = {random_key(), '\0'}, text[] = {random_key(), '\0'};
	g_autoptr(GBytes) value = bytes(text);
	bool deletes = g_test_rand_int_range(0, 3) == 0, range = g_test_rand_bit();
	const struct store_compare compare = {
		key, .target = STORE_VERSION, .relation = STORE_LESS, .number = 4};
	const struct store_op op = {deletes ? STORE_DELETE : STORE_PUT, .key = key,
		.end = deletes && range ? end : NULL, .value = deletes ? NULL : value};

	for (size_t i = 0; i < n; i++) {
		const struct store_txn txn = {&compare, 1, &op, 1, NULL, 0};
		_cleanup_(store_result_clear) struct store_result result = {};
		g_autoptr(GError) error = NULL;
		store_commit(stores[i], &txn, &result, &error);
		g_assert_no_error(error);
	}
}

static void assert_lists(struct store *whole, struct store *over, int64_t oldest)
{
	int64_t newest = revision_of(whole);

	g_assert_cmpint(revision_of(over), ==, newest);
	for (int i = 0; i < STEPS; i++) {
		const char key[] = {random_key(), '\0'}, text[] = {random_key(), '\0'};
		const char *ends[] = {NULL, "", text}, *end = ends[g_test_rand_int_range(0, 3)];
		int64_t revision =
			g_test_rand_bit() ? 0 : g_test_rand_int_range((gint32)oldest, (gint32)newest + 1);
		int64_t limit = g_test_rand_int_range(0, 4);
		g_autofree char *expected = list(whole, key, end, revision, limit),
				*actual = list(over, key, end, revision, limit);
		g_assert_cmpstr(actual, ==, expected);
	}
}

/* `below` has what `whole` has until a store is opened over it. */
static void test_alike(void)
{
	for (int round = 0; round < ROUNDS; round++) {
		struct store *whole = store_memory_open(), *below = store_memory_open(),
			     *first[] = {whole, below};
		g_autoptr(GError) error = NULL;
		for (int i = 0; i < STEPS; i++)
			change(first, 2);
		int64_t oldest = revision_of(below);
		g_autofree char *before = list(below, "a", "", 0, 0);
		struct store *over = store_memory_over(below, &error), *then[] = {whole, over};
		g_assert_no_error(error);
		for (int i = 0; i < STEPS; i++) {
			change(then, 2);
			assert_lists(whole, over, oldest);
		}
		g_autofree char *after = list(below, "a", "", 0, 0);
		g_assert_cmpstr(after, ==, before);
		g_assert_cmpint(revision_of(below), ==, oldest);
		store_close(over);
		store_close(below);
		store_close(whole);
	}
}

static void test_past(void)
{
	struct store *below = store_memory_open();
	_cleanup_(store_range_clear) struct store_range range = {};
	g_autoptr(GError) error = NULL;

	put(below, "a", "1");
	int64_t past = put(below, "a", "2");
	put(below, "a", "3");
	struct store *over = store_memory_over(below, &error);
	g_assert_no_error(error);
	g_assert_false(store_list(over, "a", NULL, past, 0, &range, NULL, &error));
	g_assert_error(error, FAULT, FAULT_COMPACTED);
	g_clear_error(&error);
	/* What was deleted stays so, whatever is forgotten. */
	delete (over, "a");
	int64_t last = put(over, "b", "1");
	g_assert_true(store_compact(over, last, &error));
	g_autofree char *left = list(over, "a", "", 0, 0), *then = list(over, "a", "", last, 0);
	g_assert_cmpstr(left, ==, then);
	g_assert_true(g_str_has_prefix(left, "b=1"));
	store_close(over);
	store_close(below);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/store/overlay/answers as a store that has everything itself", test_alike);
	g_test_add_func("/store/overlay/has no past but its own, and hides what was deleted", test_past);
	return g_test_run();
}
