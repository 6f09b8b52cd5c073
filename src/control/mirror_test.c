/* The mirror: what it gives is what the store has, however far the watch is, and it asks for no more than it must. */
#include "base/fault.h"
#include "control/keys.h"
#include "control/mirror.h"
#include "store/spy.h"

#define OBJECTS 6
#define STEPS   4000

struct fixture {
	struct store *store;
	struct cache *cache;
	struct mirror *mirror;
	struct store_spy spy;
	struct group *groups[OBJECTS]; /* as they were put last */
	unsigned reads; /* of the store */
	int64_t revision; /* of the store */
};

static void count_read(const char *key, void *data)
{
	((struct fixture *)data)->reads++;
}

static void on_change(
	const struct store_event *events, size_t n, int64_t revision, int64_t compacted, void *data)
{
	struct fixture *f = data;

	mirror_tell(f->mirror, events, n, revision);
}

static void setup(struct fixture *f, const void *data)
{
	g_autofree char *end = store_prefix_end(KEY_ROOT);

	f->store = store_memory_open();
	f->cache = cache_new();
	f->mirror = mirror_new(f->store, f->cache);
	for (unsigned i = 0; i < OBJECTS; i++)
		f->groups[i] = model_new(KIND_GROUP, "group", NULL);
	mirror_forget(f->mirror);
	store_watch(f->store, KEY_ROOT, end, 0, on_change, f);
	store_spy_start(&f->spy, f->store, count_read, f);
}

static void teardown(struct fixture *f, const void *data)
{
	store_spy_stop(&f->spy);
	mirror_free(f->mirror);
	cache_free(f->cache);
	store_close(f->store);
	for (unsigned i = 0; i < OBJECTS; i++)
		model_free(f->groups[i]);
}

static void put(struct fixture *f, unsigned i)
{
	struct group *group = f->groups[i];
	g_autofree char *key = key_object(KIND_GROUP, group->meta.uid);

	group->meta.generation++;
	char *text = model_encode(group);
	g_autoptr(GBytes) value = g_bytes_new_with_free_func(text, strlen(text), free, text);
	g_assert_true(store_put(f->store, key, value, &f->revision, NULL));
}

static void drop(struct fixture *f, unsigned i)
{
	g_autofree char *key = key_object(KIND_GROUP, f->groups[i]->meta.uid);

	g_assert_true(store_delete(f->store, key, &f->revision, NULL));
}

/* The watch tells all. */
static void follow(void)
{
	while (g_main_context_iteration(NULL, FALSE))
		;
}

/* What the mirror has of the object: its generation, 0 when there is none. */
static int64_t look(struct fixture *f, unsigned i)
{
	g_autoptr(GError) error = NULL;
	const struct group *group = mirror_get(f->mirror, KIND_GROUP, f->groups[i]->meta.uid, &error);

	if (!group)
		g_assert_error(error, FAULT, FAULT_NOT_FOUND);
	return group ? group->meta.generation : 0;
}

/* The same of the store as it is now; *ret_reads: how often the store was asked. */
static int64_t look_now(struct fixture *f, unsigned i, unsigned *ret_reads)
{
	unsigned before = f->reads;

	mirror_at(f->mirror, f->revision);
	int64_t generation = look(f, i);
	if (ret_reads)
		*ret_reads = f->reads - before;
	return generation;
}

static void test_unchanged(struct fixture *f, const void *data)
{
	unsigned reads;

	put(f, 0);
	g_assert_cmpint(look_now(f, 0, &reads), ==, f->groups[0]->meta.generation);
	g_assert_cmpuint(reads, ==, 1);
	look_now(f, 0, &reads);
	g_assert_cmpuint(reads, ==, 0);
	put(f, 1);
	follow();
	look_now(f, 0, &reads);
	g_assert_cmpuint(reads, ==, 0);
	const void *object = mirror_get(f->mirror, KIND_GROUP, f->groups[0]->meta.uid, NULL);
	put(f, 1);
	look_now(f, 0, &reads);
	g_assert_cmpuint(reads, ==, 1); /* the watch has not told that it was the other one */
	g_assert_true(object == mirror_get(f->mirror, KIND_GROUP, f->groups[0]->meta.uid, NULL));
}

static void test_changed(struct fixture *f, const void *data)
{
	unsigned reads;

	put(f, 0);
	look_now(f, 0, NULL);
	put(f, 0);
	g_assert_cmpint(look_now(f, 0, NULL), ==, f->groups[0]->meta.generation);
	put(f, 0);
	follow();
	g_assert_cmpint(look_now(f, 0, &reads), ==, f->groups[0]->meta.generation);
	g_assert_cmpuint(reads, ==, 1);
}

static void test_gone(struct fixture *f, const void *data)
{
	put(f, 0);
	put(f, 1);
	look_now(f, 0, NULL);
	look_now(f, 1, NULL);
	drop(f, 0);
	g_assert_cmpint(look_now(f, 0, NULL), ==, 0);
	drop(f, 1);
	follow();
	g_assert_cmpint(look_now(f, 1, NULL), ==, 0);
	put(f, 0);
	g_assert_cmpint(look_now(f, 0, NULL), ==, f->groups[0]->meta.generation);
}

/* Another controller may write between the look at the revision and that at the object. */
static void test_meanwhile(struct fixture *f, const void *data)
{
	put(f, 0);
	follow();
	mirror_at(f->mirror, f->revision);
	put(f, 0);
	g_assert_cmpint(look(f, 0), ==, f->groups[0]->meta.generation);
	put(f, 0);
	follow();
	g_assert_cmpint(look_now(f, 0, NULL), ==, f->groups[0]->meta.generation);
}

static void test_forgotten(struct fixture *f, const void *data)
{
	put(f, 0);
	look_now(f, 0, NULL);
	put(f, 1);
	follow();
	mirror_forget(f->mirror);
	unsigned reads;
	g_assert_cmpint(look_now(f, 0, &reads), ==, f->groups[0]->meta.generation);
	g_assert_cmpuint(reads, ==, 1);
}

/* Whatever comes in whatever order, one reads what there is. */
static void test_any_order(struct fixture *f, const void *data)
{
	bool there[OBJECTS] = {};

	for (unsigned step = 0; step < STEPS; step++) {
		unsigned i = (unsigned)g_test_rand_int_range(0, OBJECTS);
		switch (g_test_rand_int_range(0, 6)) {
		case 0:
		case 1:
			put(f, i);
			there[i] = true;
			break;
		case 2:
			if (there[i])
				drop(f, i);
			there[i] = false;
			break;
		case 3: g_main_context_iteration(NULL, FALSE); break;
		default:
			g_assert_cmpint(
				look_now(f, i, NULL), ==, there[i] ? f->groups[i]->meta.generation : 0);
		}
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name, fn) g_test_add("/mirror/" name, struct fixture, NULL, setup, fn, teardown)
	ADD("what nobody changed is read once", test_unchanged);
	ADD("what was changed is read again, whether the watch has told or not", test_changed);
	ADD("what is gone is not found, whether the watch has told or not", test_gone);
	ADD("what is changed while one reads is read again", test_meanwhile);
	ADD("what was read before a watch began is read again", test_forgotten);
	ADD("what one reads is what there is, in any order of changes, news and looks", test_any_order);
	return g_test_run();
}
