/* Random packets for a world: see test_traffic.h. */
#include "switch/test_traffic.h"

#include "switch/test_model.h"
#include "switch/test_values.h"

#include <netinet/in.h>

bool traffic_once_in(unsigned n)
{
	return test_below(n) == 0;
}

/* Where TCP's packets lie: all acknowledge much the same, so that an RST is plainly in the window, or far from it. */
#define ACKNOWLEDGED 1000000u /* and up to 50,000 more */
#define NEAR         (ACKNOWLEDGED + 60000u)
#define FAR          (ACKNOWLEDGED + 0x80000000u) /* from the largest of windows */
#define BEGUN        0xa0000000u /* and up to 2^20 more: far from both */

static void set_tcp(struct test_packet *packet, uint8_t flags)
{
	packet->tcp_flags = flags;
	packet->sequence = BEGUN + test_below(1 << 20);
	packet->acknowledged = flags & TCP_ACK ? ACKNOWLEDGED + test_below(50000) : 0;
}

static void set_reset(struct test_packet *packet, bool believed)
{
	packet->tcp_flags = TCP_RST;
	packet->sequence = believed ? NEAR : FAR;
	packet->acknowledged = 0;
}

/* What no verdict depends on. */
static void vary(struct test_packet *packet)
{
	bool v4 = packet->source.family == IP_V4;

	packet->hops = traffic_once_in(200) ? (uint8_t)test_below(2) : (uint8_t)(2 + test_below(254));
	packet->service = (uint8_t)test_below(256);
	packet->id = (uint16_t)test_below(65536);
	packet->df = traffic_once_in(2);
	packet->options = v4 && traffic_once_in(16) ? (uint8_t)(1 + test_below(10)) : 0;
	packet->no_checksum = v4 && packet->protocol == IPPROTO_UDP && traffic_once_in(8);
	packet->payload = (uint16_t)(traffic_once_in(20) ? test_below(1000) : test_below(64));
	packet->fill = (uint8_t)test_below(256);
	packet->padding = traffic_once_in(10) ? (uint8_t)test_below(20) : 0;
	packet->cut = 0;
	packet->later = false;
}

static void set_protocol(struct test_packet *packet, const struct policy_packet *from)
{
	packet->protocol = from->protocol;
	if (from->protocol == POLICY_ICMP && packet->source.family == IP_V6)
		packet->protocol = IPPROTO_ICMPV6;
	packet->source_port = from->source_port;
	packet->destination_port = from->destination_port;
	set_tcp(packet, traffic_once_in(30) ? TCP_ACK : TCP_SYN);
	packet->icmp_type = packet->protocol == IPPROTO_ICMPV6 ? 128 : 8;
	packet->icmp_id = (uint16_t)test_below(65536);
	if (test_packet_is_icmp(packet) && traffic_once_in(30))
		packet->icmp_type = packet->icmp_type == 8 ? 0 : 129;
	/* DHCP is the switch's, and has tests of its own. */
	if (packet->protocol == IPPROTO_UDP &&
		(packet->destination_port == 67 || packet->destination_port == 68 ||
			packet->destination_port == 546))
		packet->destination_port = 69;
}

/* Where the switch sends from an edge: to whatever is its MAC there. */
static struct mac_addr edge_mac(const struct traffic *traffic, unsigned port)
{
	if (traffic_once_in(100))
		return (struct mac_addr){{2, 2, 2, 2, 2, 2}};
	return port == MODEL_OUTSIDE(traffic->world->n_nics) ? model_outside_mac : model_host_mac;
}

static void set_macs(const struct traffic *traffic, unsigned port, struct test_packet *packet)
{
	if (port >= traffic->world->n_nics) {
		packet->from = model_neighbour_mac(packet->source);
		packet->to = edge_mac(traffic, port);
		return;
	}
	packet->from =
		traffic->world->nics[traffic_once_in(100) ? test_below(traffic->world->n_nics) : port].mac;
	packet->to = model_gateway_mac; /* nobody looks */
	if (traffic_once_in(100))
		packet->to.bytes[0] |= 1;
}

/* Another NIC of the network and family, or the same. */
static unsigned neighbour_of(const struct traffic *traffic, unsigned nic)
{
	unsigned start = test_below(traffic->world->n_nics);

	for (unsigned i = 0; i < traffic->world->n_nics; i++) {
		unsigned other = (start + i) % traffic->world->n_nics;
		if ((other != nic || traffic_once_in(20)) &&
			traffic->world->nics[other].network == traffic->world->nics[nic].network &&
			traffic->world->nics[other].addresses[0].ip.family ==
				traffic->world->nics[nic].addresses[0].ip.family)
			return other;
	}
	return nic;
}

static int owner_of(const struct traffic *traffic, unsigned network, struct ip_addr addr)
{
	for (unsigned i = 0; i < traffic->world->n_nics; i++)
		for (unsigned j = 0; j < traffic->world->nics[i].n_addresses; j++)
			if (traffic->world->nics[i].network == network &&
				ip_equal(traffic->world->nics[i].addresses[j].ip, addr))
				return (int)i;
	return -1;
}

/* A public address of this switch, or IP_NONE. */
static struct ip_addr some_public_address(const struct traffic *traffic)
{
	unsigned start = test_below(traffic->world->n_nics);

	for (unsigned i = 0; i < traffic->world->n_nics; i++) {
		const struct policy_gen_nic *nic =
			&traffic->world->nics[(start + i) % traffic->world->n_nics];
		if (nic->addresses[0].public_ip.family != IP_NONE)
			return nic->addresses[0].public_ip;
	}
	return (struct ip_addr){};
}

static bool has_public_address(const struct traffic *traffic, unsigned nic, struct ip_addr addr)
{
	const struct policy_gen_nic *sender = &traffic->world->nics[nic];

	for (unsigned i = 0; i < sender->n_addresses; i++)
		if (ip_equal(sender->addresses[i].ip, addr))
			return sender->addresses[i].public_ip.family != IP_NONE;
	return false;
}

/* To the destination of another NIC's packet, from the same port: who shares an address with that one needs another. */
static void meet(struct traffic *traffic, unsigned port, struct test_packet *packet)
{
	const struct test_packet *recent = &traffic->recent;

	if (port >= traffic->world->n_nics || packet->source.family != IP_V4 ||
		has_public_address(traffic, port, packet->source))
		return;
	if (recent->source.family == IP_V4 && traffic_once_in(3)) {
		packet->destination = recent->destination;
		packet->protocol = recent->protocol;
		packet->source_port = recent->source_port;
		packet->destination_port = recent->destination_port;
		packet->icmp_type = recent->icmp_type;
		packet->icmp_id = recent->icmp_id;
	}
	packet->hops = (uint8_t)MAX(packet->hops, 2); /* so that its port is seen */
	traffic->recent = *packet;
}

static unsigned set_outbound(
	struct traffic *traffic, const struct policy_gen_packet *from, struct test_packet *packet)
{
	struct ip_addr other = traffic_once_in(12) ? some_public_address(traffic) : (struct ip_addr){};
	const struct policy_gen_nic *nic = &traffic->world->nics[from->nic];
	bool v4 = packet->source.family == IP_V4;

	if (v4 && other.family != IP_NONE)
		packet->destination = other;
	else if (v4 && traffic_once_in(40))
		packet->destination = traffic->shared;
	else if (traffic_once_in(3))
		packet->destination = traffic->world->nics[neighbour_of(traffic, from->nic)].addresses[0].ip;
	else if (traffic_once_in(10))
		packet->destination = traffic->world->networks[nic->network].subnets[nic->subnet].gateway;
	else if (!v4 && traffic_once_in(20))
		packet->destination = traffic_once_in(2) ? model_gateway_link_local : ip_link_local(nic->mac);
	if (!v4 && traffic_once_in(40))
		packet->source = ip_link_local(nic->mac);
	return from->nic;
}

/* What is for a NIC comes from another NIC, from outside or by the host port, as its source says; sometimes it lies. */
static unsigned set_inbound(
	struct traffic *traffic, const struct policy_gen_packet *from, struct test_packet *packet)
{
	const struct policy_gen_nic *nic = &traffic->world->nics[from->nic];
	const struct policy_gen_address *address = &nic->addresses[from->address];
	int sender = owner_of(traffic, nic->network, packet->source);

	if (sender >= 0)
		return (unsigned)sender;
	if (policy_is_platform(packet->source) || traffic_once_in(40)) {
		packet->destination = nic->host_address;
		return MODEL_HOST(traffic->world->n_nics);
	}
	if (packet->source.family == IP_V4 && (address->public_ip.family != IP_NONE || traffic_once_in(20))) {
		if (address->public_ip.family != IP_NONE)
			packet->destination = address->public_ip;
		if (traffic_once_in(30))
			packet->destination = traffic->shared;
		return MODEL_OUTSIDE(traffic->world->n_nics);
	}
	unsigned other = neighbour_of(traffic, from->nic);
	if (!traffic_once_in(10))
		packet->source = traffic->world->nics[other].addresses[0].ip;
	return other;
}

unsigned traffic_first(struct traffic *traffic, struct test_packet *packet)
{
	struct policy_gen_packet from = policy_gen_packet(traffic->gen, test_below(traffic->world->n_nics));
	bool inbound = from.packet.direction == POLICY_INBOUND;

	*packet = (struct test_packet){.source = from.packet.source, .destination = from.packet.destination};
	policy_gen_cover_packet(traffic->coverage, traffic->world, &from);
	unsigned port = inbound ? set_inbound(traffic, &from, packet) : set_outbound(traffic, &from, packet);
	/* A host address is of IPv4, whatever the NIC's, and whoever is there can be answered. */
	if (port == MODEL_HOST(traffic->world->n_nics) && !policy_is_platform(packet->source))
		packet->source = prefix_nth(model_host, 1 + test_below(3));
	set_protocol(packet, &from.packet);
	set_macs(traffic, port, packet);
	vary(packet);
	meet(traffic, port, packet);
	return port;
}

struct test_packet traffic_answer(
	const struct traffic *traffic, unsigned port, const struct test_packet *seen)
{
	struct test_packet packet = *seen;

	packet.source = seen->destination;
	packet.destination = seen->source;
	packet.from = seen->to;
	packet.to = seen->from;
	if (port < traffic->world->n_nics)
		packet.from = traffic->world->nics[port].mac;
	if (test_packet_is_icmp(seen)) {
		packet.icmp_type = seen->icmp_type == 8 ? 0 : 129;
	} else {
		packet.source_port = seen->destination_port;
		packet.destination_port = seen->source_port;
	}
	set_tcp(&packet, TCP_SYN | TCP_ACK);
	if (traffic_once_in(20)) {
		set_reset(&packet, true);
		packet.tcp_flags |= TCP_ACK;
		packet.acknowledged = seen->sequence + 1;
	}
	vary(&packet);
	packet.hops = (uint8_t)MAX(
		packet.hops, 2); /* it arrives, and its next hop is known to the bursts after it */
	return packet;
}

struct test_packet traffic_forged(const struct test_packet *answer)
{
	struct test_packet forged = *answer;

	set_reset(&forged, false);
	forged.tcp_flags |= TCP_ACK;
	forged.acknowledged = FAR;
	return forged;
}

struct test_packet traffic_later(const struct test_packet *packet)
{
	struct test_packet later = *packet;

	if (traffic_once_in(50))
		set_reset(&later, traffic_once_in(2));
	else
		set_tcp(&later, TCP_ACK);
	vary(&later);
	return later;
}
