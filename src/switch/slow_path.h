/* What no valid flow matches: the slow path. See slow_path.c. */
#pragma once
#include "switch/decide.h"
#include "switch/worker.h"

#define SLOW_PATH_LEARN_MS 60000 /* after a start that adopted no connections */

/* The clock; one worker calls it, more often than once in SLOW_PATH_LEARN_MS. */
void slow_path_tick(const struct worker *worker);

/* Takes the packet over: it is answered, decided (and then executed), or dropped. The parser's findings are
 * complete: nic and origin are in the key. */
void slow_path(struct worker *worker, struct packet *parsed, struct rte_mbuf *packet);

/* ---- what of it only looks: for the slow path itself and for trace.c, from any thread ---- */

/* A SYN that begins a TCP connection. */
bool slow_path_is_opening(const struct packet *parsed);
/* Whether a packet may begin a connection, before policy is asked. */
enum drop slow_path_check_first(const struct datapath *datapath, const struct snapshot *state,
	uint32_t now_ms, const struct packet *parsed, const uint8_t *frame);
/* The same once policy has allowed it. */
enum drop slow_path_check_decided(const struct datapath *datapath, const struct snapshot *state,
	uint32_t now_ms, const struct packet *parsed, const struct decision *decision);
