/* The state that `apply` carries (docs/API.md) → a snapshot. */
#pragma once
#include "switch/snapshot.h"

/* Decodes and checks the whole state. `previous` (Borrowed): the snapshot in use, from which NICs keep their
 * slots and equal groups their classifiers; also the last word on the generation, which never goes down. The
 * snapshot keeps references to parts of `json`, which is not to be changed any more. Ports are not opened:
 * every struct port pointer is NULL yet. NULL with FAULT_INVALID and the path of the bad member. */
struct snapshot *state_decode(json_t *json, const struct snapshot *previous, GError **error);
