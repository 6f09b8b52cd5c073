/* Generated operations on every engine and on a trivial model: all must answer the same.
 *
 * The model keeps a whole copy of the store for each revision. Keys and values are few, so that operations
 * meet. Each answer is rendered as text, and so is what a watch of everything hears. A failure prints the
 * seed; run again with --seed to see it again.
 */
#include "base/fault.h"
#include "store/fixture.h"

#include <string.h>

#define STEPS      6000
#define KEYS       "abcdefgh"
#define LIST_MAX   5
#define LEASES_MAX 64

/* ---- what is generated ---- */

struct step_op {
	enum store_op_type type;
	char key[2], end[2];
	bool has_end;
	char value[2];
	int lease; /* 0: none, else number of a lease, alive or not */
	int64_t limit;
};

struct step_compare {
	char key[2], end[2];
	bool has_end;
	enum store_target target;
	enum store_relation relation;
	int64_t number;
	char value[2];
};

struct step_list {
	struct step_op ops[LIST_MAX];
	size_t n;
};

struct step {
	struct step_compare compares[LIST_MAX];
	size_t n_compares;
	struct step_list lists[2]; /* else, then */
};

static void random_range(char key[static 2], char end[static 2], bool *has_end)
{
	key[0] = KEYS[g_test_rand_int_range(0, sizeof KEYS - 1)];
	*has_end = g_test_rand_int_range(0, 3) == 0;
	end[0] = *has_end && g_test_rand_int_range(0, 4) ? KEYS[g_test_rand_int_range(0, sizeof KEYS - 1)]
							 : '\0';
}

static void random_list(struct step_list *list, int leases)
{
	list->n = (size_t)g_test_rand_int_range(0, LIST_MAX + 1);
	for (size_t i = 0; i < list->n; i++) {
		struct step_op *op = &list->ops[i];
		int type = g_test_rand_int_range(0, 10);
		*op = (struct step_op){.type = type < 6 ? STORE_PUT : type < 8 ? STORE_DELETE : STORE_RANGE};
		random_range(op->key, op->end, &op->has_end);
		op->has_end &= op->type != STORE_PUT;
		op->value[0] = (char)('0' + g_test_rand_int_range(0, 4));
		op->lease =
			leases && g_test_rand_int_range(0, 8) == 0 ? g_test_rand_int_range(1, leases + 1) : 0;
		op->limit = g_test_rand_int_range(0, 4);
	}
}

static struct step random_step(int64_t revision, int leases)
{
	struct step step = {.n_compares = (size_t)g_test_rand_int_range(0, 3)};

	for (size_t i = 0; i < step.n_compares; i++) {
		struct step_compare *compare = &step.compares[i];
		random_range(compare->key, compare->end, &compare->has_end);
		compare->target = (enum store_target)g_test_rand_int_range(0, STORE_VALUE + 1);
		compare->relation = (enum store_relation)g_test_rand_int_range(0, STORE_GREATER + 1);
		compare->number =
			g_test_rand_int_range(0, compare->target == STORE_VERSION ? 4 : (int)revision + 1);
		compare->value[0] = (char)('0' + g_test_rand_int_range(0, 4));
	}
	random_list(&step.lists[0], leases);
	random_list(&step.lists[1], leases);
	return step;
}

/* ---- the model ---- */

struct entry {
	int64_t create, mod, version;
	char value[2];
	int lease;
};

struct model {
	GPtrArray *states; /* of GTree: key -> struct entry; index is the revision; NULL at 0 */
	int64_t compacted;
	bool leases[LEASES_MAX + 1]; /* alive */
	GString *heard;
};

static int compare_texts(const void *a, const void *b, void *data)
{
	return strcmp(a, b);
}

static GTree *state_new(void)
{
	return g_tree_new_full(compare_texts, NULL, g_free, g_free);
}

static gboolean copy_entry(void *key, void *value, void *copy)
{
	g_tree_insert(copy, g_strdup(key), g_memdup2(value, sizeof(struct entry)));
	return FALSE;
}

static GTree *state_copy(GTree *state)
{
	GTree *copy = state_new();

	g_tree_foreach(state, copy_entry, copy);
	return copy;
}

static void state_free(void *state)
{
	if (state)
		g_tree_unref(state);
}

static int64_t newest(const struct model *model)
{
	return (int64_t)model->states->len - 1;
}

static GTree *state_at(const struct model *model, int64_t revision)
{
	return model->states->pdata[revision];
}

static bool lies_in(const char *key, const char *start, const char *end, bool has_end)
{
	if (!has_end)
		return g_str_equal(key, start);
	return strcmp(key, start) >= 0 && (*end == '\0' || strcmp(key, end) < 0);
}

/* Keys of the state in the range, in order; Borrowed until the state changes. */
static GPtrArray *keys_in(GTree *state, const char *start, const char *end, bool has_end)
{
	GPtrArray *keys = g_ptr_array_new();

	for (GTreeNode *node = g_tree_node_first(state); node; node = g_tree_node_next(node))
		if (lies_in(g_tree_node_key(node), start, end, has_end))
			g_ptr_array_add(keys, g_tree_node_key(node));
	return keys;
}

static void render_range(
	GString *text, GTree *state, const char *start, const char *end, bool has_end, int64_t limit)
{
	g_autoptr(GPtrArray) keys = keys_in(state, start, end, has_end);

	g_string_append(text, " |");
	for (unsigned i = 0; i < keys->len; i++) {
		const struct entry *entry = g_tree_lookup(state, keys->pdata[i]);
		if (limit && i == limit) {
			g_string_append(text, " more");
			break;
		}
		g_string_append_printf(text, " %s=%s@%d.%d.%d/%d", (char *)keys->pdata[i], entry->value,
			(int)entry->create, (int)entry->mod, (int)entry->version, entry->lease);
	}
}

static bool relation_is(enum store_relation relation, int64_t a, int64_t b)
{
	const bool answers[] = {[STORE_EQUAL] = a == b,
		[STORE_NOT_EQUAL] = a != b,
		[STORE_LESS] = a<b, [STORE_GREATER] = a> b};

	return answers[relation];
}

static bool model_compare(GTree *state, const struct step_compare *compare)
{
	g_autoptr(GPtrArray) keys = keys_in(state, compare->key, compare->end, compare->has_end);
	bool holds = true;

	if (!keys->len)
		return compare->target != STORE_VALUE && relation_is(compare->relation, 0, compare->number);
	for (unsigned i = 0; i < keys->len; i++) {
		const struct entry *entry = g_tree_lookup(state, keys->pdata[i]);
		const int64_t numbers[] = {[STORE_VERSION] = entry->version,
			[STORE_CREATE_REVISION] = entry->create,
			[STORE_MOD_REVISION] = entry->mod,
			[STORE_VALUE] = entry->value[0]};
		int64_t number = compare->target == STORE_VALUE ? compare->value[0] : compare->number;
		holds &= relation_is(compare->relation, numbers[compare->target], number);
	}
	return holds;
}

static bool has_duplicates(const struct step_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct step_op *put_op = &list->ops[i];
		for (size_t j = 0; put_op->type == STORE_PUT && j < list->n; j++) {
			const struct step_op *other = &list->ops[j];
			if (i != j && other->type != STORE_RANGE &&
				lies_in(put_op->key, other->key, other->end, other->has_end))
				return true;
		}
	}
	return false;
}

static void model_put(struct model *model, GTree *state, const struct step_op *op, GString *heard)
{
	int64_t revision = newest(model) + 1;
	const struct entry *old = g_tree_lookup(state, op->key);
	struct entry entry = {
		old ? old->create : revision, revision, old ? old->version + 1 : 1, .lease = op->lease};

	entry.value[0] = op->value[0];
	g_tree_insert(state, g_strdup(op->key), g_memdup2(&entry, sizeof entry));
	g_string_append_printf(heard, " %s=%s", op->key, op->value);
}

static void model_delete(GTree *state, const struct step_op *op, GString *heard)
{
	g_autoptr(GPtrArray) keys = keys_in(state, op->key, op->end, op->has_end);

	for (unsigned i = 0; i < keys->len; i++) {
		g_string_append_printf(heard, " -%s", (char *)keys->pdata[i]);
		g_tree_remove(state, keys->pdata[i]);
	}
}

/* The state is the new one when anything was heard. Takes the state. */
static void model_keep(struct model *model, GTree *state, const GString *heard)
{
	if (heard->len == 0) {
		state_free(state);
		return;
	}
	g_ptr_array_add(model->states, state);
	g_string_append_printf(model->heard, "%d:%s\n", (int)newest(model), heard->str);
}

static char *model_step(struct model *model, const struct step *step)
{
	GTree *state = state_copy(state_at(model, newest(model)));
	g_autoptr(GString) heard = g_string_new(NULL);
	g_autoptr(GString) ranges = g_string_new(NULL);
	bool succeeded = true, missing = false;

	for (size_t i = 0; i < step->n_compares; i++)
		succeeded &= model_compare(state, &step->compares[i]);
	const struct step_list *list = &step->lists[succeeded];
	for (size_t i = 0; i < list->n; i++) {
		const struct step_op *op = &list->ops[i];
		missing |= op->type == STORE_PUT && !model->leases[op->lease];
		if (op->type == STORE_PUT)
			model_put(model, state, op, heard);
		else if (op->type == STORE_DELETE)
			model_delete(state, op, heard);
		else
			render_range(ranges, state, op->key, op->end, op->has_end, op->limit);
	}
	bool duplicates = has_duplicates(&step->lists[0]) || has_duplicates(&step->lists[1]);
	if (duplicates || missing) {
		state_free(state);
		return g_strdup(fault_name(duplicates ? FAULT_INVALID : FAULT_NOT_FOUND));
	}
	model_keep(model, state, heard);
	return g_strdup_printf("%s %d%s", succeeded ? "then" : "else", (int)newest(model), ranges->str);
}

static void model_revoke(struct model *model, int lease)
{
	GTree *state = state_copy(state_at(model, newest(model)));
	g_autoptr(GPtrArray) keys = keys_in(state, "", "", true);
	g_autoptr(GString) heard = g_string_new(NULL);

	for (unsigned i = 0; i < keys->len; i++) {
		const struct entry *entry = g_tree_lookup(state, keys->pdata[i]);
		const struct step_op op = {.key = {((char *)keys->pdata[i])[0]}};
		if (entry->lease == lease)
			model_delete(state, &op, heard);
	}
	model->leases[lease] = false;
	model_keep(model, state, heard);
}

/* ---- an engine under test ---- */

struct subject {
	struct fixture fixture;
	int64_t leases[LEASES_MAX + 1]; /* its ids of the leases' numbers; [0] is 0 */
	GString *heard;
	int64_t heard_upto;
};

static void hear(const struct store_event *events, size_t n, int64_t revision, int64_t compacted, void *data)
{
	struct subject *subject = data;

	g_assert_cmpint(compacted, ==, 0);
	g_string_append_printf(subject->heard, "%d:", (int)revision);
	for (size_t i = 0; i < n; i++) {
		const struct store_kv *kv = events[i].kv;
		if (events[i].deleted)
			g_string_append_printf(subject->heard, " -%s", kv->key);
		else
			g_string_append_printf(subject->heard, " %s=%c", kv->key,
				*(const char *)g_bytes_get_data(kv->value, NULL));
	}
	g_string_append_c(subject->heard, '\n');
	subject->heard_upto = revision;
}

static int lease_number(const struct subject *subject, int64_t id)
{
	for (int i = 0; i <= LEASES_MAX; i++)
		if (subject->leases[i] == id)
			return i;
	return -1;
}

static void render_found(GString *text, const struct subject *subject, const struct store_range *range)
{
	g_string_append(text, " |");
	for (unsigned i = 0; i < range->kvs->len; i++) {
		const struct store_kv *kv = range->kvs->pdata[i];
		g_string_append_printf(text, " %s=%c@%d.%d.%d/%d", kv->key,
			*(const char *)g_bytes_get_data(kv->value, NULL), (int)kv->create_revision,
			(int)kv->mod_revision, (int)kv->version, lease_number(subject, kv->lease));
	}
	if (range->more)
		g_string_append(text, " more");
}

static char *render_result(const struct subject *subject, const struct store_result *result)
{
	GString *text = g_string_new(NULL);

	g_string_append_printf(text, "%s %d", result->succeeded ? "then" : "else", (int)result->revision);
	for (unsigned i = 0; i < result->ranges->len; i++)
		render_found(text, subject, result->ranges->pdata[i]);
	return g_string_free(text, FALSE);
}

static size_t build_ops(const struct subject *subject, const struct step_list *list, GBytes *const *values,
	struct store_op *ret)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct step_op *op = &list->ops[i];
		ret[i] = (struct store_op){op->type, op->key, op->has_end ? op->end : NULL,
			op->type == STORE_PUT ? values[op->value[0] - '0'] : NULL,
			op->type == STORE_PUT ? subject->leases[op->lease] : 0,
			op->type == STORE_RANGE ? op->limit : 0};
	}
	return list->n;
}

static char *subject_step(struct subject *subject, const struct step *step, GBytes *const *values)
{
	struct store_compare compares[LIST_MAX];
	struct store_op then_ops[LIST_MAX], else_ops[LIST_MAX];
	struct store_txn txn = {.compares = compares, .then_ops = then_ops, .else_ops = else_ops};
	_cleanup_(store_result_clear) struct store_result result = {};
	g_autoptr(GError) error = NULL;

	for (; txn.n_compares < step->n_compares; txn.n_compares++) {
		const struct step_compare *compare = &step->compares[txn.n_compares];
		compares[txn.n_compares] = (struct store_compare){compare->key,
			compare->has_end ? compare->end : NULL, compare->target, compare->relation,
			compare->number, values[compare->value[0] - '0']};
	}
	txn.n_then = build_ops(subject, &step->lists[1], values, then_ops);
	txn.n_else = build_ops(subject, &step->lists[0], values, else_ops);
	if (!store_commit(subject->fixture.store, &txn, &result, &error))
		return g_strdup(fault_name(fault_code(error)));
	return render_result(subject, &result);
}

/* ---- the run ---- */

struct run {
	struct model model;
	struct subject *subjects; /* one for each engine */
	int leases; /* numbers given so far */
	GBytes *values[4];
};

static void step_txn(struct run *run)
{
	struct step step = random_step(newest(&run->model), run->leases);
	g_autofree char *expected = model_step(&run->model, &step);

	for (size_t i = 0; i < n_engines; i++) {
		g_autofree char *got = subject_step(&run->subjects[i], &step, run->values);
		g_assert_cmpstr(got, ==, expected);
	}
}

static char *model_list(const struct model *model, const struct step_op *range, int64_t revision)
{
	GString *text = g_string_new(NULL);

	if (revision > newest(model))
		g_string_append(text, fault_name(FAULT_INVALID));
	else if (revision && revision < model->compacted)
		g_string_append(text, fault_name(FAULT_COMPACTED));
	else
		render_range(text, state_at(model, revision ? revision : newest(model)), range->key,
			range->end, range->has_end, range->limit);
	return g_string_free(text, FALSE);
}

static void step_list(struct run *run)
{
	int64_t revision = g_test_rand_int_range(0, (int)newest(&run->model) + 2);
	struct step_op range = {.limit = g_test_rand_int_range(0, 4)};

	random_range(range.key, range.end, &range.has_end);
	g_autofree char *expected = model_list(&run->model, &range, revision);
	for (size_t i = 0; i < n_engines; i++) {
		_cleanup_(store_range_clear) struct store_range found = {};
		g_autoptr(GString) got = g_string_new(NULL);
		g_autoptr(GError) error = NULL;
		if (store_list(run->subjects[i].fixture.store, range.key, range.has_end ? range.end : NULL,
			    revision, range.limit, &found, NULL, &error))
			render_found(got, &run->subjects[i], &found);
		else
			g_string_append(got, fault_name(fault_code(error)));
		g_assert_cmpstr(got->str, ==, expected);
	}
}

static void step_lease(struct run *run)
{
	int number = run->leases ? g_test_rand_int_range(1, run->leases + 1) : 0;

	if (run->model.leases[number] && number) {
		model_revoke(&run->model, number);
		for (size_t i = 0; i < n_engines; i++)
			g_assert_true(store_lease_revoke(
				run->subjects[i].fixture.store, run->subjects[i].leases[number], NULL));
	} else if (run->leases < LEASES_MAX) {
		run->model.leases[++run->leases] = true;
		for (size_t i = 0; i < n_engines; i++)
			g_assert_true(store_lease_grant(run->subjects[i].fixture.store, 3600,
				&run->subjects[i].leases[run->leases], NULL));
	}
}

static void step_settle(struct run *run)
{
	settle();
	for (size_t i = 0; i < n_engines; i++)
		g_assert_cmpstr(run->subjects[i].heard->str, ==, run->model.heard->str);
}

static void step_compact(struct run *run)
{
	int64_t revision =
		g_test_rand_int_range(MAX(1, (int)newest(&run->model) - 30), (int)newest(&run->model) + 1);
	bool possible = revision > run->model.compacted;

	step_settle(run);
	for (size_t i = 0; i < n_engines; i++) {
		g_autoptr(GError) error = NULL;
		g_assert_cmpint(
			store_compact(run->subjects[i].fixture.store, revision, &error), ==, possible);
		if (!possible)
			g_assert_error(error, FAULT, FAULT_COMPACTED);
	}
	if (possible)
		run->model.compacted = revision;
}

/* Engines that last are closed and opened again; their watch goes on from where it was. */
static void step_reopen(struct run *run)
{
	for (size_t i = 0; i < n_engines; i++) {
		struct subject *subject = &run->subjects[i];
		if (!subject->fixture.engine->lasts || subject->heard_upto + 1 < run->model.compacted)
			continue;
		fixture_reopen(&subject->fixture);
		store_watch(subject->fixture.store, "", "", subject->heard_upto + 1, hear, subject);
	}
}

static void run_init(struct run *run)
{
	run->model.states = g_ptr_array_new_with_free_func(state_free);
	g_ptr_array_add(run->model.states, NULL);
	g_ptr_array_add(run->model.states, state_new());
	run->model.leases[0] = true; /* "no lease" may always be named */
	run->model.heard = g_string_new(NULL);
	run->subjects = g_new0(struct subject, n_engines);
	for (size_t i = 0; i < n_engines; i++) {
		struct subject *subject = &run->subjects[i];
		fixture_set_up(&subject->fixture, &engines[i]);
		subject->heard = g_string_new(NULL);
		subject->heard_upto = 1;
		store_watch(subject->fixture.store, "", "", 0, hear, subject);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(run->values); i++)
		run->values[i] = bytes((const char[]){(char)('0' + i), '\0'});
}

static void run_done(struct run *run)
{
	for (size_t i = 0; i < n_engines; i++) {
		fixture_tear_down(&run->subjects[i].fixture, &engines[i]);
		g_string_free(run->subjects[i].heard, TRUE);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(run->values); i++)
		g_bytes_unref(run->values[i]);
	g_free(run->subjects);
	g_string_free(run->model.heard, TRUE);
	g_ptr_array_unref(run->model.states);
}

static void test_model(void)
{
	static const struct {
		int weight;
		void (*take)(struct run *run);
	} kinds[] = {{60, step_txn}, {25, step_list}, {6, step_settle}, {6, step_lease}, {2, step_compact},
		{1, step_reopen}};
	struct run run = {};

	run_init(&run);
	for (unsigned i = 0; i < STEPS; i++) {
		int at = g_test_rand_int_range(0, 100);
		size_t kind = 0;
		for (; at >= kinds[kind].weight; kind++)
			at -= kinds[kind].weight;
		kinds[kind].take(&run);
	}
	step_settle(&run);
	g_test_message("%d revisions", (int)newest(&run.model));
	g_assert_cmpint(newest(&run.model), >, STEPS / 10);
	run_done(&run);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/store/all engines answer generated operations as the model does", test_model);
	return g_test_run();
}
