/* The MACs of next hops on an edge or a VLAN: ARP's asking half (RFC 826, RFC 1122 section 2.3.2).
 *
 * Theory of operation. The states of an entry, and how it leaves them:
 *
 *   FREE        A packet wants the address: INCOMPLETE.
 *   INCOMPLETE  Packets wait in it, WAIT_MAX of them, each in one buffer: nobody can have all buffers wait. ARP
 *               asks once a second. An answer: they are sent, and it is REACHABLE. No answer to TRIES questions:
 *               they are dropped, and it is FREE.
 *   REACHABLE   After CONFIRM_MS, if it is in use: PROBING. Not used for UNUSED_MS: FREE.
 *   PROBING     Still used while ARP asks again. An answer: REACHABLE. None to TRIES questions: FREE.
 *
 *   Any of them: the NIC that asked on a VLAN, or the public address on the uplink, is gone when ARP is to ask again:
 *   FREE, and its packets are dropped. The next packet asks in its own name.
 *
 * Places. The table is of a fixed size, tenants share it, and an address may be in a few places of it only, which a
 * secret number chooses. A NIC has OPEN_MAX INCOMPLETE entries at most. Where no place of an address is free, a
 * neighbour that nobody has used for IDLE_MS gives way; else an INCOMPLETE entry, of a NIC that has more of them than
 * the one that asks now would. Neighbours in use stay, and gateways whatever comes: they get any place that is no
 * gateway's. So who asks for addresses that nobody has takes nothing from others, who wait for no more than a moment.
 *
 * Threads. neighbour_find takes no lock: it reads the address, the MAC, and the address again, and the writer
 * changes them in the order that makes this right: MAC to 0, address, MAC. The rest is under the table's
 * lock, and rare: first packets to a neighbour, ARP messages, the clock.
 */
#pragma once
#include "base/cleanup.h"
#include "switch/worker.h"

struct neighbour_table;

/* Of an edge (segment 0), with a reference for the caller; or of a VLAN, which is smaller, as each has its own:
 * so nobody can fill another network's. There a NIC asks, in its own name, and an entry goes with the NIC that
 * asked for it. */
struct neighbour_table *neighbour_table_new(uint32_t segment);
struct neighbour_table *neighbour_table_ref(struct neighbour_table *table);
/* After the last one no thread uses it; packets that wait are dropped. */
void neighbour_table_unref(struct neighbour_table *table);
CLEANUP_FUNC(struct neighbour_table *, neighbour_table_unref)

/* Writes the MAC of `ip` to ret_mac and returns true when it is known. */
bool neighbour_find(struct neighbour_table *table, const uint8_t ip[4], uint32_t now_ms, uint8_t ret_mac[6]);

/* Takes a packet whose next hop's MAC is not known, and asks for it. On an edge the packet's own source address
 * is the one that asks: it is an address that the switch answers for there. On a VLAN, where the packet has its tag
 * already, it is the NIC's. */
void neighbour_wait(struct neighbour_table *table, struct worker *worker, const struct edge *edge,
	const uint8_t ip[4], uint32_t nic, struct rte_mbuf *packet);

/* ARP said that `ip` is at `mac`: updates an entry that is there, and sends what waits in it. */
void neighbour_learn(struct neighbour_table *table, struct worker *worker, const struct edge *edge,
	const uint8_t ip[4], const uint8_t mac[6]);

/* The clock; one worker calls it several times a second. */
void neighbour_tick(struct neighbour_table *table, struct worker *worker, const struct edge *edge);

/* Forgets everything: the edge is another one now. Packets that wait are dropped. */
void neighbour_flush(struct neighbour_table *table);
