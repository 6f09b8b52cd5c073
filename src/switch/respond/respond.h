/* Responders: what the switch answers itself. ARP, DHCP, ICMP.
 *
 * They are called on the slow path, with packets that the parser accepted and whose source MAC was checked.
 * Each takes the packet over: it is turned into the answer where it lies, or dropped with a reason. Answers
 * to a NIC leave by its active attachments.
 */
#pragma once
#include "switch/worker.h"

/* ---- arp.c ---- */

/* ARP of a NIC: its gateways, and the NICs of its network, are answered for. */
void arp_from_nic(struct worker *worker, const struct nic *nic, struct rte_mbuf *packet);
/* The pure half: an ARP message (its 28 bytes) of the NIC → the MAC that answers it, Borrowed, or why nobody
 * does. */
enum drop arp_answer(
	const struct snapshot *snapshot, const struct nic *nic, const uint8_t *arp, const uint8_t **ret_mac);
/* ARP on an edge: public addresses (outside), or all of the prefix (host port), are answered for; what
 * neighbours say of themselves is learnt. */
void arp_from_edge(struct worker *worker, enum flow_origin origin, struct rte_mbuf *packet);
/* Makes an empty buffer a request: who has `target`, tell `sender`. */
void arp_build_request(
	struct rte_mbuf *packet, const uint8_t mac[6], const uint8_t sender[4], const uint8_t target[4]);
/* Makes an empty buffer an announcement that `ip` is at `mac` (RFC 5227, section 3). */
void arp_build_announcement(struct rte_mbuf *packet, const uint8_t mac[6], const uint8_t ip[4]);

/* ---- dhcp.c ---- */

/* True for what a DHCP client sends to a server. */
bool dhcp_is_request(const struct packet *parsed);
void dhcp_from_nic(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet);
/* The pure half: a BOOTP message → the answer's bytes in ret (DHCP_MESSAGE_MAX of them at most). Returns
 * their number, 0 when none is due, -EBADMSG when the request is not one. *ret_broadcast: the client cannot
 * take unicast yet. */
#define DHCP_MESSAGE_MAX 576
int dhcp_answer(const struct nic *nic, const uint8_t *request, size_t length,
	uint8_t ret[static DHCP_MESSAGE_MAX], bool *ret_broadcast);
/* The same for a frame of the NIC of which `available` bytes are there: DROP_NONE with *ret_length, or why it
 * is refused. */
enum drop dhcp_answer_frame(const struct nic *nic, const struct packet *parsed, const uint8_t *frame,
	uint32_t available, uint8_t ret[static DHCP_MESSAGE_MAX], int *ret_length, bool *ret_broadcast);

/* ---- icmp.c ---- */

/* True for an echo request to a gateway of the NIC's network. */
bool icmp_is_gateway_echo(
	const struct snapshot *snapshot, const struct nic *nic, const struct packet *parsed);
void icmp_answer_echo(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet);

/* Tells the sender why its packet was dropped, where the reason is one that senders are told (RFC 1812,
 * section 5.2.7) and the rate permits; the drop is counted in any case. The packet is as it came in. mtu: for
 * DROP_TOO_BIG. */
void icmp_refuse(struct worker *worker, const struct packet *parsed, enum drop reason, uint16_t mtu,
	struct rte_mbuf *packet);

/* ---- icmp_error.c ---- */

/* An ICMP error about a packet of some connection: passes along that connection, translated with what it
 * quotes, or is dropped when there is no such connection. */
void icmp_error_forward(struct worker *worker, const struct packet *parsed, struct rte_mbuf *packet);
