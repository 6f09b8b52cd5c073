/* The conformance test of all engines: keys, transactions, limits. Watches, compaction and leases are in
 * store_watch_test.c. */
#include "base/fault.h"
#include "store/fixture.h"

#include <string.h>

/* ---- keys ---- */

static void test_empty(struct fixture *f, const void *engine)
{
	_cleanup_(store_kv_free) struct store_kv *kv = NULL;
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(revision_of(f->store), ==, 1);
	g_assert_true(store_get(f->store, "a", &kv, &error));
	g_assert_null(kv);
	assert_list(f->store, "", "", 0, 0, "");
	assert_list(f->store, "", "", 1, 0, "");
}

static void test_revisions_of_a_key(struct fixture *f, const void *engine)
{
	g_assert_cmpint(put(f->store, "a", "1"), ==, 2);
	g_assert_cmpint(put(f->store, "b", "1"), ==, 3);
	g_assert_cmpint(put(f->store, "a", "2"), ==, 4);
	assert_list(f->store, "a", "c", 0, 0, "a=2@2.4.2 b=1@3.3.1");
	g_assert_cmpint(delete (f->store, "a"), ==, 5);
	assert_list(f->store, "a", "c", 0, 0, "b=1@3.3.1");
	g_assert_cmpint(put(f->store, "a", "3"), ==, 6);
	assert_list(f->store, "a", "c", 0, 0, "a=3@6.6.1 b=1@3.3.1");
}

static void test_no_change(struct fixture *f, const void *engine)
{
	put(f->store, "a", "1");
	g_assert_cmpint(delete (f->store, "b"), ==, 2);
	g_assert_cmpint(put(f->store, "a", "1"), ==, 3); /* the same value is a change */
	assert_list(f->store, "a", NULL, 0, 0, "a=1@2.3.2");
}

static void test_values_are_bytes(struct fixture *f, const void *engine)
{
	static const char *const keys[] = {"empty", "zeros", "big"};
	g_autofree char *big = g_strnfill(900 * 1024, '\xee');
	g_autoptr(GBytes) empty = g_bytes_new("", 0);
	g_autoptr(GBytes) zeros = g_bytes_new("\0a\0\xff\0", 5);
	g_autoptr(GBytes) large = g_bytes_new(big, 900 * 1024);
	GBytes *const values[] = {empty, zeros, large};

	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		_cleanup_(store_kv_free) struct store_kv *kv = NULL;
		g_autoptr(GError) error = NULL;
		g_assert_true(store_put(f->store, keys[i], values[i], NULL, &error));
		g_assert_true(store_get(f->store, keys[i], &kv, &error));
		g_assert_true(g_bytes_equal(kv->value, values[i]));
	}
}

static void test_order_is_of_bytes(struct fixture *f, const void *engine)
{
	static const char *const keys[] = {
		"b", "a/b", "\xc3\xa9", "a", "B", "a0", "a/", "ab", "\xf0\x9f\x98\x80"};

	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
		put(f->store, keys[i], "");
	assert_list(f->store, "", "", 0, 0,
		"B=@6.6.1 a=@5.5.1 a/=@8.8.1 a/b=@3.3.1 a0=@7.7.1 ab=@9.9.1 b=@2.2.1 \xc3\xa9=@4.4.1 "
		"\xf0\x9f\x98\x80=@10.10.1");
	assert_list(f->store, "a/", "a0", 0, 0, "a/=@8.8.1 a/b=@3.3.1");
	assert_list(f->store, "b", "", 0, 0, "b=@2.2.1 \xc3\xa9=@4.4.1 \xf0\x9f\x98\x80=@10.10.1");
	assert_list(f->store, "", "a/", 0, 0, "B=@6.6.1 a=@5.5.1");
	assert_list(f->store, "b", "a", 0, 0, "");
	assert_list(f->store, "a", "a", 0, 0, "");
	assert_list(f->store, "a", "", 6, 0, "a=@5.5.1 a/b=@3.3.1 b=@2.2.1 \xc3\xa9=@4.4.1");
}

static void test_prefix_end(void)
{
	static const struct {
		const char *prefix, *end;
	} cases[] = {
		{"a", "b"},
		{"vm/", "vm0"},
		{"a\xff", "b"},
		{"a\x7f", "a\x80"},
		{"\xff\xff", ""},
		{"", ""},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *end = store_prefix_end(cases[i].prefix);
		g_assert_cmpstr(end, ==, cases[i].end);
	}
}

static void test_old_revisions(struct fixture *f, const void *engine)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(store_range_clear) struct store_range range = {};
	int64_t revision;

	put(f->store, "a", "1"); /* 2 */
	put(f->store, "b", "1"); /* 3 */
	put(f->store, "a", "2"); /* 4 */
	delete (f->store, "b"); /* 5 */
	put(f->store, "c", "1"); /* 6 */
	put(f->store, "b", "2"); /* 7 */
	assert_list(f->store, "", "", 1, 0, "");
	assert_list(f->store, "", "", 2, 0, "a=1@2.2.1");
	assert_list(f->store, "", "", 3, 0, "a=1@2.2.1 b=1@3.3.1");
	assert_list(f->store, "", "", 4, 0, "a=2@2.4.2 b=1@3.3.1");
	assert_list(f->store, "", "", 5, 0, "a=2@2.4.2");
	assert_list(f->store, "", "", 6, 0, "a=2@2.4.2 c=1@6.6.1");
	assert_list(f->store, "", "", 7, 0, "a=2@2.4.2 b=2@7.7.1 c=1@6.6.1");
	assert_list(f->store, "a", NULL, 3, 0, "a=1@2.2.1");
	assert_list(f->store, "b", NULL, 5, 0, "");
	g_assert_true(store_list(f->store, "a", NULL, 2, 0, &range, &revision, &error));
	g_assert_cmpint(revision, ==, 7);
	g_assert_false(store_list(f->store, "a", NULL, 8, 0, &range, NULL, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
}

static void test_limit(struct fixture *f, const void *engine)
{
	put(f->store, "a", "1");
	put(f->store, "b", "1");
	put(f->store, "c", "1");
	delete (f->store, "c");
	put(f->store, "d", "1");
	for (int64_t revision = 0; revision <= 6; revision += 6) {
		assert_list(f->store, "", "", revision, 1, "a=1@2.2.1 more");
		assert_list(f->store, "", "", revision, 2, "a=1@2.2.1 b=1@3.3.1 more");
		assert_list(f->store, "", "", revision, 3, "a=1@2.2.1 b=1@3.3.1 d=1@6.6.1");
		assert_list(f->store, "", "", revision, INT64_MAX, "a=1@2.2.1 b=1@3.3.1 d=1@6.6.1");
	}
	assert_list(f->store, "", "", 5, 2, "a=1@2.2.1 b=1@3.3.1"); /* "c" is deleted: nothing was left out */
	assert_list(f->store, "a", NULL, 0, 1, "a=1@2.2.1");
}

/* Who goes on behind the last key of a list that was cut sees each key that stays once. */
static void test_pages(struct fixture *f, const void *engine)
{
	static const char *const keys[] = {"p/a", "p/b", "p/c", "p/d", "q"};

	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
		put(f->store, keys[i], "");
	assert_list(f->store, "p/", "p0", 0, 2, "p/a=@2.2.1 p/b=@3.3.1 more");
	delete (f->store, "p/b");
	put(f->store, "p/aa", "");
	put(f->store, "p/b.1", "");
	assert_list(f->store, "p/b\x01", "p0", 0, 2, "p/b.1=@9.9.1 p/c=@4.4.1 more");
	assert_list(f->store, "p/c\x01", "p0", 0, 2, "p/d=@5.5.1");
}

/* ---- compares ---- */

static bool holds(struct store *store, const struct store_compare *compares, size_t n)
{
	const struct store_txn txn = {.compares = compares, .n_compares = n};
	_cleanup_(store_result_clear) struct store_result result = {};
	g_autoptr(GError) error = NULL;

	store_commit(store, &txn, &result, &error);
	g_assert_no_error(error);
	return result.succeeded;
}

/* Expected for a number below, equal to and above the key's own. */
static const struct {
	enum store_relation relation;
	const char *text;
	bool below, equal, above;
} relations[] = {
	{STORE_EQUAL, "equal", false, true, false},
	{STORE_NOT_EQUAL, "not equal", true, false, true},
	{STORE_LESS, "less", false, false, true},
	{STORE_GREATER, "greater", true, false, false},
};

static void test_compare_numbers(struct fixture *f, const void *engine)
{
	put(f->store, "other", "");
	put(f->store, "k", "1");
	put(f->store, "k", "2"); /* now 3.4.2 */
	static const struct {
		const char *key;
		enum store_target target;
		int64_t own;
	} cases[] = {
		{"k", STORE_VERSION, 2},
		{"k", STORE_CREATE_REVISION, 3},
		{"k", STORE_MOD_REVISION, 4},
		{"missing", STORE_VERSION, 0},
		{"missing", STORE_CREATE_REVISION, 0},
		{"missing", STORE_MOD_REVISION, 0},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		for (size_t r = 0; r < G_N_ELEMENTS(relations); r++) {
			struct store_compare compare = {.key = cases[i].key,
				.target = cases[i].target,
				.relation = relations[r].relation};
			g_test_message(
				"%s target %d %s", compare.key, (int)compare.target, relations[r].text);
			compare.number = cases[i].own - 1;
			g_assert_cmpint(holds(f->store, &compare, 1), ==, relations[r].below);
			compare.number = cases[i].own;
			g_assert_cmpint(holds(f->store, &compare, 1), ==, relations[r].equal);
			compare.number = cases[i].own + 1;
			g_assert_cmpint(holds(f->store, &compare, 1), ==, relations[r].above);
		}
	}
}

static void test_compare_values(struct fixture *f, const void *engine)
{
	static const char *const values[] = {"m", "mm\xff", "n"};

	put(f->store, "k", "mm\xff");
	for (size_t r = 0; r < G_N_ELEMENTS(relations); r++) {
		const bool expected[] = {relations[r].below, relations[r].equal, relations[r].above};
		for (size_t v = 0; v < G_N_ELEMENTS(values); v++) {
			g_autoptr(GBytes) value = bytes(values[v]);
			struct store_compare compare = {.key = "k",
				.target = STORE_VALUE,
				.relation = relations[r].relation,
				.value = value};
			g_assert_cmpint(holds(f->store, &compare, 1), ==, expected[v]);
			compare.key = "missing";
			g_assert_false(holds(f->store, &compare, 1));
			compare.end = "missing0";
			g_assert_false(holds(f->store, &compare, 1));
		}
	}
}

static void test_compare_ranges(struct fixture *f, const void *engine)
{
	put(f->store, "p/a", "1");
	put(f->store, "p/b", "1");
	put(f->store, "p/b", "1");
	g_autoptr(GBytes) one = bytes("1");
	const struct {
		struct store_compare compare;
		bool expected;
	} cases[] = {
		{{"p/", "p0", STORE_CREATE_REVISION, STORE_EQUAL, .number = 0}, false},
		{{"q/", "q0", STORE_CREATE_REVISION, STORE_EQUAL, .number = 0}, true},
		{{"q/", "q0", STORE_CREATE_REVISION, STORE_GREATER, .number = 0}, false},
		{{"p/", "p0", STORE_VERSION, STORE_GREATER, .number = 0}, true},
		{{"p/", "p0", STORE_VERSION, STORE_EQUAL, .number = 1}, false},
		{{"p/", "p/b", STORE_VERSION, STORE_EQUAL, .number = 1}, true},
		{{"p/", "p0", STORE_MOD_REVISION, STORE_LESS, .number = 4}, false},
		{{"p/", "p0", STORE_MOD_REVISION, STORE_LESS, .number = 5}, true},
		{{"p/", "p0", STORE_VALUE, STORE_EQUAL, .value = one}, true},
		{{"", "", STORE_VERSION, STORE_LESS, .number = 3}, true},
		{{"z", "a", STORE_VERSION, STORE_EQUAL, .number = 0}, true},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_test_message("case %zu", i);
		g_assert_cmpint(holds(f->store, &cases[i].compare, 1), ==, cases[i].expected);
	}
	const struct store_compare both[] = {cases[3].compare, cases[4].compare};
	g_assert_false(holds(f->store, both, 2));
	g_assert_true(holds(f->store, both, 1));
	g_assert_true(holds(f->store, NULL, 0));
}

/* ---- transactions ---- */

static void test_branches(struct fixture *f, const void *engine)
{
	g_autoptr(GBytes) one = bytes("1");
	g_autoptr(GBytes) two = bytes("2");
	const struct store_compare absent = {"k", .target = STORE_CREATE_REVISION};
	const struct store_op then_ops[] = {
		{STORE_PUT, "k", .value = one}, {STORE_PUT, "l", .value = one}, {STORE_RANGE, "", ""}};
	const struct store_op else_ops[] = {{STORE_RANGE, "k"}, {STORE_PUT, "k", .value = two},
		{STORE_DELETE, "l"}, {STORE_RANGE, "", "", .limit = 1}, {STORE_RANGE, "l"}};
	const struct store_txn txn = {
		&absent, 1, then_ops, G_N_ELEMENTS(then_ops), else_ops, G_N_ELEMENTS(else_ops)};
	g_autoptr(GError) error = NULL;
	_cleanup_(store_result_clear) struct store_result first = {};
	_cleanup_(store_result_clear) struct store_result second = {};

	g_assert_true(store_commit(f->store, &txn, &first, &error));
	g_assert_true(first.succeeded);
	g_assert_cmpint(first.revision, ==, 2);
	g_assert_cmpuint(first.ranges->len, ==, 1);
	g_autofree char *all = describe(first.ranges->pdata[0]);
	g_assert_cmpstr(all, ==, "k=1@2.2.1 l=1@2.2.1");

	g_assert_true(store_commit(f->store, &txn, &second, &error));
	g_assert_false(second.succeeded);
	g_assert_cmpint(second.revision, ==, 3);
	static const char *const expected[] = {"k=1@2.2.1", "k=2@2.3.2", ""};
	g_assert_cmpuint(second.ranges->len, ==, G_N_ELEMENTS(expected));
	for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
		g_autofree char *range = describe(second.ranges->pdata[i]);
		g_assert_cmpstr(range, ==, expected[i]);
	}
}

static void test_no_result_wanted(struct fixture *f, const void *engine)
{
	const struct store_op op = {STORE_RANGE, "", ""};
	const struct store_txn txn = {.then_ops = &op, .n_then = 1};
	g_autoptr(GError) error = NULL;

	g_assert_true(store_commit(f->store, &txn, NULL, &error));
	g_assert_cmpint(revision_of(f->store), ==, 1);
}

static void test_delete_range(struct fixture *f, const void *engine)
{
	const struct store_op ops[] = {
		{STORE_DELETE, "b", "d"}, {STORE_DELETE, "c"}, {STORE_DELETE, "a", "c"}};
	const struct store_txn txn = {.then_ops = ops, .n_then = G_N_ELEMENTS(ops)};
	_cleanup_(store_result_clear) struct store_result result = {};
	g_autoptr(GError) error = NULL;

	for (const char *key = "abcd"; *key; key++)
		put(f->store, (const char[]){*key, '\0'}, "1");
	g_assert_true(store_commit(f->store, &txn, &result, &error));
	g_assert_cmpint(result.revision, ==, 6);
	assert_list(f->store, "", "", 0, 0, "d=1@5.5.1");
	assert_list(f->store, "", "", 5, 0, "a=1@2.2.1 b=1@3.3.1 c=1@4.4.1 d=1@5.5.1");
}

static void assert_refused(struct store *store, const struct store_txn *txn, enum fault fault)
{
	int64_t before = revision_of(store);
	g_autofree char *contents = list(store, "", "", 0, 0);
	g_autoptr(GError) error = NULL;
	struct store_result result = {.revision = 77};

	g_assert_false(store_commit(store, txn, &result, &error));
	g_assert_error(error, FAULT, (int)fault);
	g_assert_cmpint(result.revision, ==, 77); /* outputs are set only on success */
	g_assert_cmpint(revision_of(store), ==, before);
	assert_list(store, "", "", 0, 0, contents);
}

static void test_atomicity(struct fixture *f, const void *engine)
{
	g_autoptr(GBytes) value = bytes("new");
	const struct store_op ops[] = {{STORE_PUT, "a", .value = value}, {STORE_DELETE, "b"},
		{STORE_PUT, "c", .value = value, .lease = 4711}};
	const struct store_txn txn = {.then_ops = ops, .n_then = G_N_ELEMENTS(ops)};

	put(f->store, "a", "1");
	put(f->store, "b", "1");
	assert_refused(f->store, &txn, FAULT_NOT_FOUND);
	g_assert_cmpint(put(f->store, "c", "1"), ==, 4); /* and the store goes on */
}

static void test_unused_branch_may_name_a_missing_lease(struct fixture *f, const void *engine)
{
	g_autoptr(GBytes) value = bytes("1");
	const struct store_op good = {STORE_PUT, "a", .value = value};
	const struct store_op bad = {STORE_PUT, "a", .value = value, .lease = 4711};
	const struct store_txn txn = {.then_ops = &good, .n_then = 1, .else_ops = &bad, .n_else = 1};
	g_autoptr(GError) error = NULL;

	g_assert_true(store_commit(f->store, &txn, NULL, &error));
	assert_list(f->store, "a", NULL, 0, 0, "a=1@2.2.1");
}

static void test_count_limits(struct fixture *f, const void *engine)
{
	enum { MAX = STORE_TXN_OPS_MAX };
	g_autoptr(GBytes) value = bytes("1");
	g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
	struct store_compare compares[MAX + 1] = {};
	struct store_op ops[MAX + 1] = {};
	g_autoptr(GError) error = NULL;

	for (unsigned i = 0; i <= MAX; i++) {
		char *key = g_strdup_printf("key-%03u", i);
		g_ptr_array_add(keys, key);
		compares[i] = (struct store_compare){
			key, .target = STORE_VERSION, .relation = STORE_LESS, .number = 9};
		ops[i] = (struct store_op){STORE_PUT, key, .value = value};
	}
	assert_refused(
		f->store, &(struct store_txn){.compares = compares, .n_compares = MAX + 1}, FAULT_INVALID);
	assert_refused(f->store, &(struct store_txn){.then_ops = ops, .n_then = MAX + 1}, FAULT_INVALID);
	assert_refused(f->store, &(struct store_txn){.else_ops = ops, .n_else = MAX + 1}, FAULT_INVALID);
	const struct store_txn full = {compares, MAX, ops, MAX, ops, MAX};
	g_assert_true(store_commit(f->store, &full, NULL, &error));
	g_assert_cmpint(revision_of(f->store), ==, 2);
}

static void test_byte_limit(struct fixture *f, const void *engine)
{
	g_autofree char *big = g_strnfill(STORE_TXN_BYTES_MAX, 'x');
	g_autoptr(GBytes) fits = g_bytes_new(big, STORE_TXN_BYTES_MAX - 10);
	g_autoptr(GBytes) passes = g_bytes_new(big, STORE_TXN_BYTES_MAX - 9);
	const struct store_compare compare = {"cc", "dd", STORE_VERSION, STORE_EQUAL, .number = 0};
	struct store_op put_op = {STORE_PUT, "aa", .value = fits};
	const struct store_op delete_op = {STORE_DELETE, "ee", "ff"};
	const struct store_txn txn = {&compare, 1, &put_op, 1, &delete_op, 1};
	g_autoptr(GError) error = NULL;

	put_op.value = passes; /* with five texts of two bytes, the compare's and the other list's too */
	assert_refused(f->store, &txn, FAULT_INVALID);
	put_op.value = fits;
	g_assert_true(store_commit(f->store, &txn, NULL, &error));
}

static void test_duplicate_keys(struct fixture *f, const void *engine)
{
	g_autoptr(GBytes) value = bytes("1");
	const struct store_op lists[][2] = {
		{{STORE_PUT, "a", .value = value}, {STORE_PUT, "a", .value = value}},
		{{STORE_PUT, "a", .value = value}, {STORE_DELETE, "a"}},
		{{STORE_DELETE, "a"}, {STORE_PUT, "a", .value = value}},
		{{STORE_PUT, "b", .value = value}, {STORE_DELETE, "a", "c"}},
		{{STORE_DELETE, "a", ""}, {STORE_PUT, "b", .value = value}},
	};
	g_autoptr(GError) error = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
		assert_refused(
			f->store, &(struct store_txn){.then_ops = lists[i], .n_then = 2}, FAULT_INVALID);
		assert_refused(
			f->store, &(struct store_txn){.else_ops = lists[i], .n_else = 2}, FAULT_INVALID);
	}
	const struct store_op next_to[] = {{STORE_DELETE, "a", "b"}, {STORE_PUT, "b", .value = value}};
	const struct store_txn txn = {.then_ops = next_to, .n_then = 2, .else_ops = next_to, .n_else = 2};
	g_assert_true(store_commit(f->store, &txn, NULL, &error));
	g_assert_no_error(error);
}

static void test_malformed(struct fixture *f, const void *engine)
{
	g_autoptr(GBytes) value = bytes("1");
	const struct store_op ops[] = {
		{STORE_PUT, "", .value = value},
		{STORE_PUT, NULL, .value = value},
		{STORE_PUT, "a"},
		{STORE_PUT, "a", .value = value, .lease = -1},
		{STORE_DELETE, ""},
		{STORE_RANGE, ""},
		{STORE_RANGE, "a", .limit = -1},
		{(enum store_op_type)9, "a"},
	};
	const struct store_compare compares[] = {
		{""},
		{"a", .target = STORE_VALUE},
		{"a", .target = (enum store_target)9},
		{"a", .relation = (enum store_relation)9},
	};
	_cleanup_(store_range_clear) struct store_range range = {};
	g_autoptr(GError) error = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(ops); i++)
		assert_refused(
			f->store, &(struct store_txn){.then_ops = &ops[i], .n_then = 1}, FAULT_INVALID);
	for (size_t i = 0; i < G_N_ELEMENTS(compares); i++)
		assert_refused(f->store, &(struct store_txn){.compares = &compares[i], .n_compares = 1},
			FAULT_INVALID);
	g_assert_false(store_list(f->store, "", NULL, 0, 0, &range, NULL, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_clear_error(&error);
	g_assert_false(store_list(f->store, "a", NULL, -1, 0, &range, NULL, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_clear_error(&error);
	g_assert_false(store_list(f->store, "a", NULL, 0, -1, &range, NULL, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
}

static void test_reopen(struct fixture *f, const void *engine)
{
	g_autoptr(GError) error = NULL;

	put(f->store, "a", "1");
	put(f->store, "b", "1");
	put(f->store, "a", "2");
	delete (f->store, "b");
	fixture_reopen(f);
	g_assert_cmpint(revision_of(f->store), ==, 5);
	assert_list(f->store, "", "", 0, 0, "a=2@2.4.2");
	assert_list(f->store, "", "", 3, 0, "a=1@2.2.1 b=1@3.3.1");
	g_assert_true(store_compact(f->store, 5, &error));
	fixture_reopen(f);
	g_assert_cmpint(revision_of(f->store), ==, 5); /* though the newest revision is a deletion */
	g_assert_cmpint(put(f->store, "b", "2"), ==, 6);
	assert_list(f->store, "", "", 0, 0, "a=2@2.4.2 b=2@6.6.1");
	_cleanup_(store_range_clear) struct store_range range = {};
	g_assert_false(store_list(f->store, "a", NULL, 4, 0, &range, NULL, &error));
	g_assert_error(error, FAULT, FAULT_COMPACTED);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	fixture_add("an empty store is at revision 1", false, test_empty);
	fixture_add(
		"a key counts its versions and begins anew after deletion", false, test_revisions_of_a_key);
	fixture_add("the revision counts changes only", false, test_no_change);
	fixture_add("values are any bytes, none of them too", false, test_values_are_bytes);
	fixture_add("ranges are in the order of bytes", false, test_order_is_of_bytes);
	fixture_add("an old revision is listed as it was", false, test_old_revisions);
	fixture_add("a limit cuts a list and says so", false, test_limit);
	fixture_add("a list goes on behind any key, whatever came and went", false, test_pages);
	fixture_add("numbers compare by every relation, a missing key as 0", false, test_compare_numbers);
	fixture_add("values compare by bytes, a missing key never", false, test_compare_values);
	fixture_add("a compare of a range holds for all its keys", false, test_compare_ranges);
	fixture_add("the compares choose the list, and ranges see what came before", false, test_branches);
	fixture_add("a result that nobody wants may be NULL", false, test_no_result_wanted);
	fixture_add("a range is deleted at one revision", false, test_delete_range);
	fixture_add("a transaction that fails changes nothing", false, test_atomicity);
	fixture_add("a lease is looked for only by the list that runs", false,
		test_unused_branch_may_name_a_missing_lease);
	fixture_add("128 compares and operations fit, 129 do not", false, test_count_limits);
	fixture_add("one MiB fits, one byte more does not", false, test_byte_limit);
	fixture_add("a key is changed once in a transaction", false, test_duplicate_keys);
	fixture_add("malformed requests are refused", false, test_malformed);
	fixture_add("all is there again after a restart", true, test_reopen);
	g_test_add_func("/store/the end of a prefix is behind all that begins with it", test_prefix_end);
	return g_test_run();
}
