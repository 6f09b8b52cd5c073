/* NICs by the words that operators use. */
#pragma once
#include "switch/snapshot.h"

/* The NIC with that uid, else the only one with that name. FAULT_NOT_FOUND when there is none,
 * FAULT_INVALID when several have the name. */
const struct nic *lookup_nic(const struct snapshot *snapshot, const char *word, GError **error);
