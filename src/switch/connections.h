/* Connections of the flow table by the present state: put in, decided anew, removed, and counted for NICs' quotas.
 *
 * For workers, and for the main thread where it stands in for one (carry.c): a flow that one of these has found may be
 * used until its next quiescent state. Each connection counts for the NIC of its forward key: who began it, or with whom
 * it was begun from an edge.
 *
 * Deciding anew. A connection whose epoch is older than the worker's state is stale. The layers decide its first packet's
 * key again, with the alias that it has:
 *
 *   the same    The epoch is brought up to date.
 *   different   Another way or translation: both directions are replaced. Where there is no room for that just now, it is
 *               as stale as before.
 *   refused     It is blocked.
 *
 * The first packet's key is where that would enter the switch now (peer.h). So a connection goes on when the NIC that
 * began it has come here from another host, or has gone to one: it is known by another key, and counts for another NIC.
 * Its packets, which come there before, find it by the key that the other direction has kept.
 */
#pragma once
#include "switch/conntrack.h"
#include "switch/decide.h"
#include "switch/worker.h"

/* As flow_table_put and flow_table_take_in (past: of both directions), in the worker's state and time. */
struct flow *connections_put(struct worker *worker, struct decision *decision, int *ret_error);
struct flow *connections_take_in(
	struct worker *worker, struct decision *decision, const struct flow past[2], int *ret_error);

void connections_remove(struct worker *worker, struct flow *flow);
/* The same, if it is still the connection that `seen`, a copy of the entry, says. False when it is not. */
bool connections_remove_seen(struct worker *worker, struct flow *flow, const struct flow *seen);
/* Removes the connection that has the key, if it is over. */
bool connections_evict_finished(struct worker *worker, const struct flow_key *key);

enum connection_state connections_state(struct worker *worker, const struct flow *flow);

/* An older state than this worker's decided it. One that a newer state has decided is as good: its worker was
 * quicker. */
bool connections_is_stale(const struct worker *worker, const struct flow *flow);
/* Decides it anew by the present state. The flow may be another one afterwards, or gone, or as stale as before. */
void connections_revalidate(struct worker *worker, struct flow *flow);
/* Whether the state decides a connection, of which these may be copies, as it is; from any thread. */
bool connections_are_kept(const struct snapshot *state, const struct flow *forward, const struct flow *reply);
/* The flow of the key as the present state decides it, if need be anew; NULL: there is none, or it is blocked. */
struct flow *connections_find(struct worker *worker, const struct flow_key *key);

/* The flow of a key that no flow has: of a connection that had another one by an older state, and is decided anew. It may
 * be blocked. NULL: there is none. */
struct flow *connections_find_moved(struct worker *worker, const struct flow_key *key);
/* Whether it would find one that goes on, and copies of what that is now: the key's direction, and the other. From any
 * thread, and nothing is changed. */
bool connections_look_moved(const struct datapath *datapath, const struct snapshot *state,
	const struct flow_key *key, struct flow *ret_flow, struct flow *ret_pair);

/* Whether the NIC of that number holds as many as it may; from any thread. */
bool connections_are_over_quota(const struct datapath *datapath, uint32_t nic);
