/* ARP, answering and asking (RFC 826). */
#include "switch/datapath.h"
#include "switch/decide.h"
#include "switch/meter.h"
#include "switch/neighbour.h"
#include "switch/output.h"
#include "switch/respond/respond.h"
#include "switch/takeover.h"
#include "switch/wire.h"

#include <rte_mbuf.h>

static const uint8_t zero_ip[4];
static const uint8_t zero_mac[6];
static const uint8_t broadcast_mac[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static struct ip_addr ipv4_at(const uint8_t *bytes)
{
	struct ip_addr addr = {.family = IP_V4};

	memcpy(addr.bytes, bytes, 4);
	return addr;
}

static void write_arp(uint8_t *frame, uint16_t operation, const uint8_t smac[6], const uint8_t sip[4],
	const uint8_t tmac[6], const uint8_t tip[4])
{
	static const uint8_t ethernet_ipv4[] = {0, 1, 8, 0, 6, 4};
	uint8_t *arp = frame + ETH_LEN;

	store16(frame + ETH_TYPE, ETH_ARP);
	memcpy(arp, ethernet_ipv4, sizeof ethernet_ipv4);
	store16(arp + ARP_OP, operation);
	memcpy(arp + ARP_SENDER_MAC, smac, 6);
	memcpy(arp + ARP_SENDER_IP, sip, 4);
	memcpy(arp + ARP_TARGET_MAC, tmac, 6);
	memcpy(arp + ARP_TARGET_IP, tip, 4);
}

static void build(
	struct rte_mbuf *packet, const uint8_t mac[6], const uint8_t sender[4], const uint8_t target[4])
{
	uint8_t *frame = (uint8_t *)rte_pktmbuf_append(packet, ETH_LEN + ARP_LEN);

	memcpy(frame + ETH_DST, broadcast_mac, 6);
	memcpy(frame + ETH_SRC, mac, 6);
	write_arp(frame, ARP_REQUEST, mac, sender, zero_mac, target);
}

void arp_build_request(
	struct rte_mbuf *packet, const uint8_t mac[6], const uint8_t sender[4], const uint8_t target[4])
{
	build(packet, mac, sender, target);
}

void arp_build_probe(struct rte_mbuf *packet, const struct nic *nic)
{
	build(packet, gateway_mac, reach_speaker(nic, IP_V4).bytes, nic_first_address(nic, IP_V4)->ip.bytes);
	memcpy(rte_pktmbuf_mtod(packet, uint8_t *) + ETH_DST, nic->mac.bytes, 6);
}

void arp_build_announcement(struct rte_mbuf *packet, const uint8_t mac[6], const uint8_t ip[4])
{
	build(packet, mac, ip, ip);
}

/* Turns a request into its answer: `mac` has the address that was asked for. */
static void turn_into_reply(uint8_t *frame, const uint8_t mac[6])
{
	uint8_t *arp = frame + ETH_LEN;
	uint8_t asker_mac[6], asker_ip[4], asked_ip[4];

	memcpy(asker_mac, arp + ARP_SENDER_MAC, 6);
	memcpy(asker_ip, arp + ARP_SENDER_IP, 4);
	memcpy(asked_ip, arp + ARP_TARGET_IP, 4);
	memcpy(frame + ETH_DST, asker_mac, 6);
	memcpy(frame + ETH_SRC, mac, 6);
	write_arp(frame, ARP_REPLY, mac, asked_ip, asker_mac, asker_ip);
}

/* A probe or an announcement speaks of the sender's own address; nobody answers either (RFC 5227). */
static bool is_about_itself(const uint8_t *arp)
{
	return memcmp(arp + ARP_SENDER_IP, zero_ip, 4) == 0 ||
	       memcmp(arp + ARP_SENDER_IP, arp + ARP_TARGET_IP, 4) == 0;
}

/* ---- NICs ---- */

bool arp_is_own(const struct nic *nic, const uint8_t *arp)
{
	if (memcmp(arp + ARP_SENDER_MAC, nic->mac.bytes, 6) != 0)
		return false;
	return memcmp(arp + ARP_SENDER_IP, zero_ip, 4) == 0 ||
	       nic_find_address(nic, ipv4_at(arp + ARP_SENDER_IP));
}

/* On a VLAN it is for the physical network what concerns nobody else here: questions for others, and what the
 * NIC says of itself. */
static bool is_for_physical(const struct snapshot *snapshot, const struct nic *nic, const uint8_t *arp)
{
	const struct ip_addr target = ipv4_at(arp + ARP_TARGET_IP);
	uint16_t operation = load16(arp + ARP_OP);

	if (!nic->network->physical || (operation != ARP_REQUEST && operation != ARP_REPLY) ||
		policy_is_platform(target))
		return false;
	struct owner owner = snapshot_find(snapshot, nic->network->space, target);
	return owner.kind == OWNER_NONE || owner.nic == nic;
}

enum drop arp_answer(
	const struct snapshot *snapshot, const struct nic *nic, const uint8_t *arp, const uint8_t **ret_mac)
{
	const uint8_t *mac = NULL;

	if (!arp_is_own(nic, arp))
		return DROP_SPOOFED_ARP;
	if (load16(arp + ARP_OP) == ARP_REQUEST && !is_about_itself(arp))
		mac = reach_mac(snapshot, nic, ipv4_at(arp + ARP_TARGET_IP));
	if (!mac && !is_for_physical(snapshot, nic, arp))
		return DROP_ARP_UNANSWERED;
	*ret_mac = mac;
	return DROP_NONE;
}

/* To all NICs of the network but the one that it is about: an address has moved, and they may know it at its old place.
 * Functions on the wire have heard it there. */
static void tell_all(struct worker *worker, const struct network *network, const struct nic *but,
	const struct packet *parsed, struct rte_mbuf *packet)
{
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = worker->snapshot->nics[slot];
		if (!nic || nic->load_balancer || nic == but || nic->network != network ||
			nic_is_on_wire(nic))
			continue;
		rte_pktmbuf_refcnt_update(packet, 1); /* ports change nothing in it */
		output_arrived(worker, nic, parsed, packet);
	}
	rte_pktmbuf_free(packet);
}

static bool is_announcement(const uint8_t *arp)
{
	return memcmp(arp + ARP_SENDER_IP, arp + ARP_TARGET_IP, 4) == 0 &&
	       memcmp(arp + ARP_SENDER_IP, zero_ip, 4) != 0;
}

/* Whom it is about hears it there, and answers for itself. */
static bool is_on_wire(const struct snapshot *snapshot, const struct nic *nic, const uint8_t *arp)
{
	struct owner owner = snapshot_find(snapshot, nic->network->space, ipv4_at(arp + ARP_TARGET_IP));

	return owner.kind == OWNER_NIC && nic_is_on_wire(owner.nic);
}

/* The answer to a probe of ours (probe.h): that it came is what was asked. */
static bool is_sign_of_life(const uint8_t *frame)
{
	return load16(frame + ETH_LEN + ARP_OP) == ARP_REPLY && memcmp(frame + ETH_DST, gateway_mac, 6) == 0;
}

void arp_from_nic(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet)
{
	uint8_t *frame = rte_pktmbuf_mtod(packet, uint8_t *), *arp = frame + ETH_LEN;
	const uint8_t *mac = NULL;
	enum drop reason = arp_answer(worker->snapshot, nic, arp, &mac);

	if (reason != DROP_SPOOFED_ARP && is_sign_of_life(frame)) {
		rte_pktmbuf_free(packet);
	} else if (reason != DROP_NONE) {
		output_drop(worker, nic->id, reason, packet);
	} else if (mac && !(parsed->flags & PACKET_ON_WIRE && is_on_wire(worker->snapshot, nic, arp))) {
		turn_into_reply(frame, mac);
		output_nic(worker, nic, packet);
	} else if (!(parsed->flags & PACKET_ON_WIRE)) {
		output_vlan(worker, nic->network, nic->id, packet);
	} else if (!is_announcement(arp)) {
		output_drop(worker, nic->id, DROP_ON_WIRE, packet);
	} else if (meter_may_announce(&worker->datapath->meters[nic_slot(nic->id)], nic, worker->now_ms)) {
		tell_all(worker, nic->network, nic, parsed, packet);
	} else {
		output_drop(worker, nic->id, DROP_RATE, packet);
	}
}

/* On a VLAN the switches of the wire learn by it where the MAC is. In VXLAN each switch is told. */
void rarp_from_nic(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet)
{
	if (!arp_is_own(nic, rte_pktmbuf_mtod(packet, const uint8_t *) + ETH_LEN))
		output_drop(worker, nic->id, DROP_SPOOFED_ARP, packet);
	else if (parsed->flags & PACKET_ON_WIRE)
		output_drop(worker, nic->id, DROP_ON_WIRE, packet);
	else if (!nic->network->physical)
		output_drop(worker, nic->id, DROP_ARP_UNANSWERED, packet);
	else
		output_vlan(worker, nic->network, nic->id, packet);
}

/* ---- edges ---- */

static bool is_ours(const struct worker *worker, enum flow_origin origin, const uint8_t ip[4])
{
	const struct snapshot *snapshot = worker->snapshot;
	struct owner owner = snapshot_find(snapshot, SPACE_PUBLIC, ipv4_at(ip));

	if (origin == FLOW_FROM_OUTSIDE)
		return owner.kind != OWNER_NONE &&
		       !(owner.kind == OWNER_NIC && takeover_has_yielded(worker->datapath, owner.nic));
	if (origin == FLOW_FROM_TUNNEL)
		return ip_equal(snapshot->underlay.address, ipv4_at(ip));
	return prefix_contains(snapshot->host.prefix, ipv4_at(ip));
}

static bool kernel_answers(const struct worker *worker, enum flow_origin origin)
{
	return origin == FLOW_FROM_TUNNEL && worker->snapshot->underlay.kernel;
}

void arp_from_edge(struct worker *worker, enum flow_origin origin, struct rte_mbuf *packet)
{
	const struct edge *edge = snapshot_edge(worker->snapshot, origin);
	struct neighbour_table *table = datapath_neighbours(worker->datapath, origin);
	uint8_t *frame = rte_pktmbuf_mtod(packet, uint8_t *);
	const uint8_t *arp = frame + ETH_LEN;

	if (memcmp(arp + ARP_SENDER_IP, zero_ip, 4) != 0)
		neighbour_learn(table, worker, edge, arp + ARP_SENDER_IP, arp + ARP_SENDER_MAC);
	if (origin == FLOW_FROM_OUTSIDE)
		takeover_hear(worker, arp);
	if (load16(arp + ARP_OP) != ARP_REQUEST || kernel_answers(worker, origin)) {
		rte_pktmbuf_free(packet); /* it is heard */
		return;
	}
	if (is_about_itself(arp) || !is_ours(worker, origin, arp + ARP_TARGET_IP)) {
		output_drop(worker, NO_NIC, DROP_ARP_UNANSWERED, packet);
		return;
	}
	turn_into_reply(frame, edge->mac.bytes);
	output_port(worker, edge->port, NO_NIC, packet);
}

/* ---- physical networks ---- */

/* It speaks for itself, and not for somebody who is here. */
static bool is_stranger(const struct snapshot *snapshot, const struct network *network, const uint8_t *arp)
{
	const struct ip_addr sender = ipv4_at(arp + ARP_SENDER_IP);

	return !snapshot_find_mac(snapshot, network->segment, arp + ARP_SENDER_MAC) &&
	       memcmp(arp + ARP_SENDER_MAC, gateway_mac, 6) != 0 && !policy_is_platform(sender) &&
	       snapshot_find(snapshot, network->space, sender).kind == OWNER_NONE;
}

/* It answers what was asked in the port's own name (neighbour.c). */
static bool is_for_port(const struct port *port, const uint8_t *frame)
{
	uint8_t mac[6];

	return port && port_get_mac(port, mac) && memcmp(frame + ETH_DST, mac, 6) == 0;
}

void arp_from_physical(struct worker *worker, const struct packet *parsed, struct rte_mbuf *packet)
{
	const struct network *network = snapshot_vlan(worker->snapshot, parsed->segment);
	const struct nic *nic = snapshot_nic(worker->snapshot, parsed->key.nic);
	uint8_t *frame = rte_pktmbuf_mtod(packet, uint8_t *);
	const uint8_t *arp = frame + ETH_LEN, *sender = arp + ARP_SENDER_IP, *target = arp + ARP_TARGET_IP;
	struct owner owner = snapshot_find(worker->snapshot, network->space, ipv4_at(target));

	if (!nic && !(frame[ETH_DST] & 1) && !is_for_port(network->physical->edge.port, frame)) {
		output_drop(worker, NO_NIC, DROP_UNKNOWN_MAC, packet);
		return;
	}
	if (!is_stranger(worker->snapshot, network, arp)) {
		output_drop(worker, parsed->key.nic, DROP_SPOOFED_PHYSICAL, packet);
		return;
	}
	if (memcmp(sender, zero_ip, 4) != 0)
		neighbour_learn(
			network->neighbours, worker, &network->physical->edge, sender, arp + ARP_SENDER_MAC);
	bool asks = load16(arp + ARP_OP) == ARP_REQUEST && owner.kind == OWNER_NIC;
	if (asks && !nic_is_on_wire(owner.nic)) {
		turn_into_reply(frame, owner.nic->mac.bytes); /* also to a probe: the address is taken */
		output_vlan(worker, network, owner.nic->id, packet);
	} else if (asks || (nic && nic_is_on_wire(nic))) {
		output_drop(worker, asks ? owner.nic->id : nic->id, DROP_ON_WIRE, packet);
	} else if (nic) {
		output_arrived(worker, nic, parsed, packet);
	} else if (!(frame[ETH_DST] & 1)) {
		rte_pktmbuf_free(packet); /* an answer to the port, and heard */
	} else if (is_announcement(arp)) {
		tell_all(worker, network, NULL, parsed, packet);
	} else {
		output_drop(worker, NO_NIC, DROP_ARP_UNANSWERED, packet);
	}
}
