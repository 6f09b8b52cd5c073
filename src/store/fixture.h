/* What the store's tests share: the table of engines, and short forms of calls that must succeed. */
#pragma once
#include "store/store.h"

/* `path` is a file in a temporary folder; engines that last find their state there again. */
struct engine {
	const char *name;
	bool lasts;
	struct store *(*open)(const char *path);
};

extern const struct engine engines[];
extern const size_t n_engines;

struct fixture {
	const struct engine *engine;
	char *folder, *path;
	struct store *store;
};

void fixture_set_up(struct fixture *fixture, const void *engine);
void fixture_tear_down(struct fixture *fixture, const void *engine);
/* Closes the store and opens it again. */
void fixture_reopen(struct fixture *fixture);

/* Runs the test on every engine that there is (lasting: on those that keep their state). */
void fixture_add(const char *name, bool lasting, void (*test)(struct fixture *fixture, const void *engine));

GBytes *bytes(const char *text);

/* Each returns the store's revision after it. */
int64_t put(struct store *store, const char *key, const char *text);
int64_t put_leased(struct store *store, const char *key, const char *text, int64_t lease);
int64_t delete (struct store *store, const char *key);
int64_t revision_of(struct store *store);

/* "key=text@create.mod.version ..." of a range, with a final "more" when there is. */
char *describe(const struct store_range *range);
/* The same of a list at a revision (0: newest). */
char *list(struct store *store, const char *key, const char *end, int64_t revision, int64_t limit);
#define assert_list(store, key, end, revision, limit, expected)                                              \
	do {                                                                                                 \
		g_autofree char *listed_ = list(store, key, end, revision, limit);                           \
		g_assert_cmpstr(listed_, ==, expected);                                                      \
	} while (0)

/* Lets the main context run until nothing is left to do. */
void settle(void);
/* Lets the main context run until the condition holds; fails after some seconds. */
void wait_until(bool (*condition)(void *data), void *data);
