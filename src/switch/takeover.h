/* Public load balancers that change switches while nobody tells the old one: see takeover.c. */
#pragma once
#include "switch/snapshot.h"

#include <stdatomic.h>

#define TAKEOVER_MS                                                                                          \
	120000 /* what its clients do about a connection that has lost its way, they have done by then */

struct datapath;
struct edge;
struct flow_key;
struct worker;

/* Of a load balancer, by slot. All of it is zero at first. */
struct takeover {
	_Atomic uint32_t nic; /* that has come not long ago; 0: none has */
	_Atomic uint32_t came_ms; /* when, to a tick of the first worker's; 0: it has not ticked since */
	_Atomic uint32_t yielded; /* that another switch has announced as its own; 0: none */
};

/* For the main thread, before it publishes `after`. */
void takeover_begin(struct datapath *datapath, const struct snapshot *before, const struct snapshot *after);
/* For one worker alone, every now and then. */
void takeover_tick(struct worker *worker);

/* An ARP packet that came by the uplink. */
void takeover_hear(struct worker *worker, const uint8_t *arp);
/* Whether the load balancer is another switch's by now, and this one has not been told. */
bool takeover_has_yielded(const struct datapath *datapath, const struct nic *nic);

/* Whether a packet of that key may be of a connection that began when its load balancer was on another switch. */
bool takeover_may_have_begun(
	const struct datapath *datapath, const struct snapshot *state, const struct flow_key *key);
