/* For tests: a store that tells before it lists, so that somebody else can write just then. */
#pragma once
#include "store/store_priv.h"

struct store_spy {
	struct store_engine engine; /* the real one but for its list; first */
	const struct store_engine *real;
	struct store *store; /* Borrowed */
	void (*before_list)(const char *key, void *data); /* may use the store */
	void *data;
};

/* Spies on the store until store_spy_stop(). */
void store_spy_start(struct store_spy *spy, struct store *store,
	void (*before_list)(const char *key, void *data), void *data);
void store_spy_stop(struct store_spy *spy);
