/* For tests: a store that tells before it lists. */
#include "store/spy.h"

static bool spy_list(struct store *store, const char *key, const char *end, int64_t revision, int64_t limit,
	struct store_range *ret, int64_t *ret_revision, GError **error)
{
	const struct store_spy *spy = (const struct store_spy *)store->engine;

	spy->before_list(key, spy->data);
	return spy->real->list(store, key, end, revision, limit, ret, ret_revision, error);
}

void store_spy_start(struct store_spy *spy, struct store *store,
	void (*before_list)(const char *key, void *data), void *data)
{
	*spy = (struct store_spy){*store->engine, store->engine, store, before_list, data};
	spy->engine.list = spy_list;
	store->engine = &spy->engine;
}

void store_spy_stop(struct store_spy *spy)
{
	spy->store->engine = spy->real;
}
