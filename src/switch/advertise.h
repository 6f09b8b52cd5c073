/* Router advertisements that nobody asked for: see advertise.c. For the main thread. */
#pragma once
#include "switch/datapath.h"

#define ADVERTISE_PERIOD_MS                                                                                  \
	200000 /* in which every NIC of IPv6 is told once; a router lives for 1800 s (respond/nd.c) */

/* Tells the NICs that are due; to be called every second or so. */
void advertise_tick(struct datapath *datapath, uint32_t now_ms);
/* Tells the NICs whose router says something else than before. */
void advertise_changes(
	struct datapath *datapath, const struct snapshot *before, const struct snapshot *after);
