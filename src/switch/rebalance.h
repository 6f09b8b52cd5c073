/* Measures the workers, and moves sources between them as balance.h says. The main thread's. */
#pragma once
#include "switch/datapath.h"

#define REBALANCE_SECONDS 2 /* a period */

struct rebalance;

struct rebalance *rebalance_new(struct datapath *datapath);
void rebalance_free(struct rebalance *rebalance);
CLEANUP_FUNC(struct rebalance *, rebalance_free)

/* At the end of a period of so many cycles (rte_rdtsc). True: a source was moved. */
bool rebalance_look(struct rebalance *rebalance, uint64_t cycles);
/* Every second, by the clock. */
void rebalance_tick(struct rebalance *rebalance);
