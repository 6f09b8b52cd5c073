/* What is remembered of functions past the host: see bypass.c. */
#pragma once
#include "switch/decide.h"

#include <stdatomic.h>

#define BYPASS_TAKE_UP_MS                                                                                    \
	120000 /* what a guest does with a connection that has lost its way, it has done by then */

struct datapath;
struct worker;

/* Of a NIC, by slot. All of it is zero at first. */
struct bypass {
	_Atomic uint32_t nic; /* whose function was active not long ago; 0: nobody's */
	_Atomic uint32_t active_ms; /* when it last was, to a tick of the first worker's */
	_Atomic uint64_t nonce; /* of what its guest is asked (probe.c); 0: it cannot be */
	_Atomic bool answered; /* by the function, since it was asked last */
};

/* For the main thread, before it publishes `after`: guests whose functions become active in it, or are joined by the other
 * attachment, are asked anew. */
void bypass_begin(struct datapath *datapath, const struct snapshot *before, const struct snapshot *after);
/* For one worker alone, every now and then. */
void bypass_tick(struct worker *worker);

/* Whether its guest has answered by the NIC's function, which is past the host, since it was asked last. */
bool bypass_has_answered(const struct datapath *datapath, const struct nic *nic);

/* Whether a packet of that key may be of a connection that began past the switch. */
bool bypass_may_have_begun(
	const struct datapath *datapath, const struct snapshot *state, const struct flow_key *key);
/* Whether such a connection, of which a packet was seen and decided so, is taken up. */
bool bypass_takes_up(
	const struct datapath *datapath, const struct snapshot *state, const struct decision *decision);
