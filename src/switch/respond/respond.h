/* Responders: what the switch answers itself. ARP, neighbour discovery, DHCP, ICMP.
 *
 * They are called on the slow path, with packets that the parser accepted and whose source MAC was checked.
 * Each takes the packet over: it is turned into the answer where it lies, or dropped with a reason. Answers
 * to a NIC leave by its active attachments.
 */
#pragma once
#include "switch/worker.h"

/* ---- reach.c ---- */

/* The MAC by which the NIC reaches the address, which ARP and neighbour discovery tell it: its neighbour's own in its
 * subnet, else the gateway's; Borrowed. NULL: nobody is there, or the NIC itself. */
const uint8_t *reach_mac(const struct snapshot *snapshot, const struct nic *nic, struct ip_addr addr);
/* Whether the address is a gateway's, as the NIC sees it. */
bool reach_is_gateway(const struct snapshot *snapshot, const struct nic *nic, struct ip_addr addr);
/* Whether the NIC may speak to the switch itself with that source: it is its own, or an IPv6 link-local one, which the
 * guest chooses as it likes. */
bool reach_may_speak(const struct nic *nic, struct ip_addr source);

/* As whom the switch speaks to the NIC, with the gateways' MAC: the gateway of its subnet, where that is the switch, else
 * the metadata service; of IPv6, the router's link-local address. */
struct ip_addr reach_speaker(const struct nic *nic, enum ip_family family);

/* ---- reply.c ---- */

/* Makes the packet hold `length` bytes in its first segment, none of which is left to a device. False when it
 * has no room for them. */
bool reply_resize(struct rte_mbuf *packet, uint16_t length);
/* Writes Ethernet's and IPv6's headers from a gateway's MAC. */
void reply_write_ipv6(uint8_t *frame, const uint8_t to_mac[6], const uint8_t from[16], const uint8_t to[16],
	uint8_t protocol, uint8_t hops, uint16_t payload);
/* Sets the checksum at `check` of the whole payload behind the IPv6 header, which has no extensions. */
void reply_set_checksum6(uint8_t *ip, uint8_t *check);
/* Whether the checksum of a UDP packet, all of which is there, is right; or there is none, as IPv4 permits. */
bool reply_udp_is_right(const uint8_t *frame, const struct packet *parsed);

/* ---- arp.c ---- */

/* ARP of a NIC: its gateways, and the NICs of its network, are answered for. */
void arp_from_nic(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet);
/* The pure half: an ARP message (its 28 bytes) of the NIC → the MAC that answers it, Borrowed, or why nobody
 * does. NULL: it goes to the NIC's physical network as it is, where somebody may answer. */
enum drop arp_answer(
	const struct snapshot *snapshot, const struct nic *nic, const uint8_t *arp, const uint8_t **ret_mac);
/* RARP of a NIC, by which QEMU tells the switches of the wire that it has come from another host. */
void rarp_from_nic(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet);
/* ARP on an edge: public addresses (outside), or all of the prefix (host port), are answered for; what
 * neighbours say of themselves is learnt. */
void arp_from_edge(struct worker *worker, enum flow_origin origin, struct rte_mbuf *packet);
/* ARP on a physical network, whose tag is off: NICs that are here are answered for; answers to a NIC, and
 * announcements to all of the VLAN's, are delivered. */
void arp_from_physical(struct worker *worker, const struct packet *parsed, struct rte_mbuf *packet);
/* Makes an empty buffer a request: who has `target`, tell `sender`. */
void arp_build_request(
	struct rte_mbuf *packet, const uint8_t mac[6], const uint8_t sender[4], const uint8_t target[4]);
/* Whether the NIC may send the ARP message (its 28 bytes). */
bool arp_is_own(const struct nic *nic, const uint8_t *arp);
/* Makes an empty buffer a question for the NIC's first IPv4 address, to the NIC, which answers to the gateways' MAC. It is
 * in the name of who has that MAC for the NIC: a question without a sender is a claim to the address (RFC 5227, section
 * 2.1.1), on which a guest that has just got it would give it up. */
void arp_build_probe(struct rte_mbuf *packet, const struct nic *nic);
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
/* What an answer of either function above is. */
enum dhcp_kind { DHCP_OFFERS, DHCP_CONFIRMS, DHCP_REFUSES };
enum dhcp_kind dhcp_answer_kind(const uint8_t *answer);

/* ---- nd.c ---- */

/* Neighbour discovery of a NIC: answered for gateways and the NICs of its network, as ARP; and as a router. */
void nd_from_nic(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet);

/* What answers a message. */
struct nd_answer {
	bool router; /* a router advertisement; else a neighbour's, that the target is at `mac` */
	const uint8_t *mac; /* Borrowed */
	bool to_all; /* the asker has no address yet */
	bool target_routes; /* the target is a gateway */
};

/* The pure half: a message of the NIC, in a frame of which `available` bytes are there → the answer, or why there is
 * none. */
enum drop nd_answer(const struct snapshot *snapshot, const struct nic *nic, const struct packet *parsed,
	const uint8_t *frame, uint32_t available, struct nd_answer *ret);
/* Makes an empty buffer a question for the NIC's first IPv6 address, to the NIC, which answers to the gateways'
 * link-local address (RFC 4861, section 7.3.1: whether it is reachable). */
void nd_build_probe(struct rte_mbuf *packet, const struct nic *nic);
/* The router advertisement for a NIC, to all nodes, as a whole frame. Returns its length; 0: the NIC has no IPv6. */
#define ND_ROUTER_FRAME_MAX 128
uint16_t nd_write_router(const struct nic *nic, uint8_t frame[static ND_ROUTER_FRAME_MAX]);

/* ---- dhcp6.c ---- */

/* True for what a DHCPv6 client sends to servers. */
bool dhcp6_is_request(const struct packet *parsed);
void dhcp6_from_nic(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet);
/* The pure half: a DHCPv6 message → the answer's bytes in ret. Returns their number, 0 when none is due, -EBADMSG when
 * the request is not one or asks for more than one message can answer. */
#define DHCP6_MESSAGE_MAX 1232 /* what the smallest link carries (RFC 8200, section 5) without its headers */
int dhcp6_answer(
	const struct nic *nic, const uint8_t *request, size_t length, uint8_t ret[static DHCP6_MESSAGE_MAX]);
/* The same for a frame of the NIC of which `available` bytes are there: DROP_NONE with *ret_length, or why it is
 * refused. */
enum drop dhcp6_answer_frame(const struct nic *nic, const struct packet *parsed, const uint8_t *frame,
	uint32_t available, uint8_t ret[static DHCP6_MESSAGE_MAX], int *ret_length);
/* What an answer of either function above gives to its associations. */
struct dhcp6_given {
	bool advertises; /* else it is a reply */
	unsigned n; /* addresses; 0: a status says why */
	struct ip_addr first;
};
void dhcp6_answer_look(const uint8_t *answer, size_t length, struct dhcp6_given *ret);

/* ---- icmp.c ---- */

/* True for an echo request to a gateway of the NIC's network. */
bool icmp_is_gateway_echo(
	const struct snapshot *snapshot, const struct nic *nic, const struct packet *parsed);
void icmp_answer_echo(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet);
/* Makes an empty buffer an echo request from the switch to the NIC's address, with the nonce as its identifier, sequence
 * number (four bytes) and data (eight). */
void icmp_build_probe(struct rte_mbuf *packet, const struct nic *nic, struct ip_addr to, uint64_t nonce);
/* The nonce that an echo reply from the NIC to the switch bears; 0: it is none, or bears none. */
uint64_t icmp_probe_nonce(const struct nic *nic, const struct packet *parsed, const struct rte_mbuf *packet);

/* Tells the sender why its packet was dropped, where the reason is one that senders are told (RFC 1812,
 * section 5.2.7) and the rate permits; the drop is counted in any case, as that of NIC
 * `refuser`. The packet is as it came in. mtu: for DROP_TOO_BIG. */
void icmp_refuse(struct worker *worker, const struct packet *parsed, uint32_t refuser, enum drop reason,
	uint16_t mtu, struct rte_mbuf *packet);

/* ---- icmp_error.c ---- */

/* An ICMP error about a packet of some connection: passes along that connection, translated with what it
 * quotes, or is dropped when there is no such connection. */
void icmp_error_forward(struct worker *worker, const struct packet *parsed, struct rte_mbuf *packet);
