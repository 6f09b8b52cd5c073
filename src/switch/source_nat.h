/* Ports for connections that share a public address (layers/nat.c).
 *
 * How it works. What must be unique is the key of the answers, and the flow table sees to that. The layers are
 * a pure function, which cannot know what is taken: they give a connection its sender's own port. Where the
 * table says that another connection has that, ports of 1024 to 65535 are tried in an order that nobody outside
 * can foretell (RFC 6056), a bounded number of times: of an address of which nine ports in ten are taken
 * towards a destination, one connection in a thousand finds none. Each is decided as if it were the sender's,
 * since who is asked last may be a group of a NIC of this switch.
 *
 * A port whose connection is over is taken only when no free one was met: the destination may still be waiting
 * for stray segments of that connection.
 */
#pragma once
#include "switch/decide.h"
#include "switch/flow_table.h"

/* Gives a decision that is `shared` a port that is free, its present one if that is. Where none is, it may get
 * one whose connection is over: *ret_over, and that is to be removed before. False when neither was met:
 * DROP_PORTS_USED. It only looks, from any thread, and another thread may be quicker. */
bool source_nat_choose(struct flow_table *table, const struct snapshot *state, const struct flow_key *first,
	struct decision *decision, bool *ret_over);
