/* Functions that are made on demand: the ledger behind the emulated and the fake provider.
 *
 * How it works. The ledger is one JSON file, replaced whole: {"place": WHERE, "functions": [{"name": "sl-f0", "nic": UID,
 * "cut": bool, "quarantined": bool}]}.
 * A claim writes the entry, then makes the device; a release removes the device, then the entry. So every
 * device that exists is in the ledger, and after a crash between the two the same call, repeated, ends right.
 * The lowest free number is taken, which keeps names short and stable.
 */
#pragma once
#include "nic/provider.h"

/* Called with the pool locked, and idempotent all. */
struct function_maker {
	/* Of the n-th function. Owned by the caller. NULL: they are called "sl-f0" and so on. */
	char *(*name)(unsigned n);
	bool (*make)(void *data, const char *name, const struct nic_request *request, GError **error);
	/* FAULT_IN_USE: a guest may have it; any other: it is put in quarantine, and tried again. */
	bool (*remove)(void *data, const char *name, GError **error);
	/* Nothing passes the function any more; it is claimed. */
	bool (*cut)(void *data, const char *name, GError **error);
	void (*free)(void *data);
	/* Of a function. Owned by the caller. NULL: they have none. */
	char *(*representor)(const char *name);
	/* Of bypass functions only, all or none: as in struct nic_provider_ops, of a function that is claimed. */
	bool (*arm)(void *data, const char *name, GError **error);
	bool (*left)(void *data, const char *name, GError **error);
	/* Completes what is known of the n-th function: `name` and `nic` are there. */
	void (*survey)(void *data, unsigned n, struct nic_device *device);
	GPtrArray *(*check)(void *data);
	bool (*hear)(void *data, const struct nic_heard *heard, size_t n, GError **error);
	/* The function's loss, as of struct nic_function. Owned by the caller. NULL: none is ever lost. */
	char *(*loss)(void *data, const char *name);
	/* Makes the function as it was set, unless that needs its guest: a sentence, as of check(), when it was not. Owned by the
	 * caller. NULL: nothing of the kind. */
	char *(*mend)(void *data, const struct nic_function *function);
};

/* A provider (opened by nic_provider ops) whose functions `maker` makes. Takes `data`, also on failure. place: where the devices
 * are, for who takes them back later; NULL: nothing to say.
 * FAULT_INTERNAL when the ledger is there and cannot be read. */
struct nic_provider *function_pool_open(const struct nic_caps *caps, const char *ledger, unsigned limit,
	const char *place, const struct function_maker *maker, void *data, GError **error);
/* What the ledger has as its place; NULL: none, or no such ledger. Owned by the caller. */
char *function_pool_place(const char *ledger);
