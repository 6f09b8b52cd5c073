/* What is remembered of functions past the host: see bypass.c. */
#pragma once
#include "switch/conntrack.h"
#include "switch/decide.h"

#include <stdatomic.h>

/* For so long after its NIC's function a connection may be silent and go on: no shorter than one that the switch has. */
#define BYPASS_TAKE_UP_S CONNECTION_TCP_ESTABLISHED_S

struct datapath;
struct worker;

/* What a NIC's guest is asked, by slot. All of it is zero at first. */
struct bypass {
	_Atomic uint64_t nonce; /* of the question (probe.c); 0: it cannot be asked */
	_Atomic bool answered; /* by the function, since it was asked last */
};

/* For the main thread, before it publishes `after`: guests whose functions become active in it, or are joined by the other
 * attachment, are asked anew. */
void bypass_begin(struct datapath *datapath, const struct snapshot *before, const struct snapshot *after);
/* For one worker alone, every now and then. */
void bypass_tick(struct worker *worker);

/* Whether its guest has answered by the NIC's function, which is past the host, since it was asked last. */
bool bypass_has_answered(const struct datapath *datapath, const struct nic *nic);

/* Whether the NIC's function is active past the host, or was within BYPASS_TAKE_UP_S, here or where it was before. */
bool bypass_was_active(const struct datapath *datapath, const struct nic *nic);
/* The same; and how long ago it was (0: it is), by a clock of the seconds of datapath_clock_ms. */
bool bypass_was_active_ago(
	const struct datapath *datapath, const struct nic *nic, uint32_t now_s, uint32_t *ret_ago_s);
/* For the main thread: it was so long ago, at most BYPASS_TAKE_UP_S, on another host. Who was active later here stays so. */
void bypass_note_ago(struct datapath *datapath, const struct nic *nic, uint32_t now_s, uint32_t ago_s);

/* Whether a packet of that key may be of a connection that began past the switch. */
bool bypass_may_have_begun(
	const struct datapath *datapath, const struct snapshot *state, const struct flow_key *key);
/* Whether such a connection, of which a packet was seen and decided so, is taken up. */
bool bypass_takes_up(
	const struct datapath *datapath, const struct snapshot *state, const struct decision *decision);
