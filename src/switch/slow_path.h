/* What no valid flow matches: the slow path. See slow_path.c. */
#pragma once
#include "switch/decide.h"
#include "switch/worker.h"

#define SLOW_PATH_LEARN_MS 60000 /* after a start that adopted no connections */

/* Takes the packet over: it is answered, decided (and then executed), or dropped. The parser's findings are
 * complete: nic and origin are in the key. */
void slow_path(struct worker *worker, struct packet *parsed, struct rte_mbuf *packet);

/* The flow of the key as the present state decides it, if need be anew; NULL: there is none, or it is blocked. */
struct flow *slow_path_find(struct worker *worker, const struct flow_key *key);

/* Removes a connection whose time is over, by what `seen`, a copy of the entry, says; its place in the NIC's
 * quota is given back. False when the entry is no longer that connection's. */
bool slow_path_expire(struct worker *worker, struct flow *flow, const struct flow *seen);

/* ---- what of it only looks: for the slow path itself and for trace.c, from any thread ---- */

/* A SYN that begins a TCP connection. */
bool slow_path_is_opening(const struct packet *parsed);
/* Whether a packet may begin a connection, before policy is asked. */
enum drop slow_path_check_first(const struct datapath *datapath, const struct snapshot *state,
	uint32_t now_ms, const struct packet *parsed, const uint8_t *frame);
/* The same once policy has allowed it. */
enum drop slow_path_check_decided(const struct datapath *datapath, const struct snapshot *state,
	uint32_t now_ms, const struct packet *parsed, const struct decision *decision);
/* Whether the NIC of that number holds as many connections as it may. */
bool slow_path_is_over_quota(const struct datapath *datapath, uint32_t nic);
