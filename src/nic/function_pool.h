/* Functions that are made on demand: the ledger behind the emulated and the fake provider.
 *
 * How it works. The ledger is one JSON file, replaced whole: {"functions": [{"name": "sl-f0", "nic": UID}]}.
 * A claim writes the entry, then makes the device; a release removes the device, then the entry. So every
 * device that exists is in the ledger, and after a crash between the two the same call, repeated, ends right.
 * The lowest free number is taken, which keeps names short and stable.
 */
#pragma once
#include "nic/provider.h"

/* Idempotent both, called with the pool locked. */
struct function_maker {
	bool (*make)(void *data, const char *name, GError **error);
	bool (*remove)(void *data, const char *name, GError **error);
	void (*free)(void *data);
};

/* A provider (opened by nic_provider ops) whose functions `maker` makes. Takes `data`, also on failure.
 * FAULT_INTERNAL when the ledger is there and cannot be read. */
struct nic_provider *function_pool_open(const struct nic_caps *caps, const char *ledger, unsigned limit,
	const struct function_maker *maker, void *data, GError **error);
