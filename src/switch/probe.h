/* Signs of life of NICs whose path changes: see probe.c. */
#pragma once
#include "switch/worker.h"

#define PROBE_QUICK_MS     100
#define PROBE_QUICK_FOR_MS 3000
#define PROBE_SLOW_MS      1000

/* What a worker remembers of a NIC. */
struct probe {
	uint32_t nic; /* its number */
	uint32_t began_ms, ticked_ms, sent_ms;
};

/* Asks the NICs that are due; for one worker alone, every PROBE_QUICK_MS. */
void probe_tick(struct worker *worker);

/* Takes the answer to a question of ours by echo, by whatever path it came; false for all else, which is left. */
bool probe_hear(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet);
