/* The registry of open ports: the main thread's. */
#pragma once
#include "switch/port.h"

struct ports;

/* Both Borrowed: see port.h. workers: how many there are. */
struct ports *ports_new(struct rte_mempool *pool, struct rte_rcu_qsbr *readers, unsigned workers);
/* Closes all; no worker runs any more. */
void ports_free(struct ports *ports);
CLEANUP_FUNC(struct ports *, ports_free)

/* Sets every port of a snapshot that is not published yet: one that is open already under the same name, or
 * one opened now. A port that cannot be opened is there all the same and says why. */
void ports_resolve(struct ports *ports, struct snapshot *snapshot);
/* Closes the ports that the snapshot, which is the one in use, does not name. */
void ports_collect(struct ports *ports, const struct snapshot *snapshot);
/* Every second. */
void ports_tick(struct ports *ports);
