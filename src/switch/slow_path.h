/* What no valid flow matches: the slow path. See slow_path.c. */
#pragma once
#include "switch/worker.h"

/* Takes the packet over: it is answered, decided (and then executed), or dropped. The parser's findings are
 * complete: nic and origin are in the key. */
void slow_path(struct worker *worker, struct packet *parsed, struct rte_mbuf *packet);

/* Removes a connection and gives its place in the NIC's quota back. */
void slow_path_remove(struct worker *worker, struct flow *flow);
