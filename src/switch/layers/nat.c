/* Public addresses: 1:1 translation, private ↔ public, ports untouched; and source NAT for addresses without one.
 *
 * On the way out the source becomes the NIC's public address, on the way in the destination becomes the
 * private one. A packet between two NICs by their public addresses meets both. ICMP errors are translated
 * with the packet that they quote (icmp_error.c). TCP, UDP and ICMP checksums are kept right; SCTP's does not
 * cover addresses; protocols whose own integrity does (AH) end here, as behind any translation.
 *
 * Source NAT. What leaves by an address that has no public one gets one that its network's NICs share
 * (source_nat in the state), if there is one, and a port of it. Every address of a NIC keeps to one shared
 * address (RFC 4787, REQ-2), and every connection to the port that its sender chose, unless another connection
 * to the same destination has it (source_nat.h). The mapping depends on the destination: 64,512 connections and
 * more are possible to each, and nobody but the destination can answer. Only TCP, UDP and ICMP's questions can
 * be told apart so. No connection begins from outside.
 *
 * An existing connection keeps its alias as long as the state has the address. What outside sees of fragments is their
 * sender's identification: two senders of one address can collide there, as behind any such translation.
 */
#include "switch/layers/layer.h"

#include "switch/wire.h"

#include <string.h>

/* Ports, or an identifier, tell the connections of NICs apart that share an address. */
static bool can_share(const struct flow_key *key)
{
	return flow_key_has_ports(key) || key->protocol == PROTO_ICMP;
}

/* Always the same one for a private address, as long as the list is the same. */
static const uint8_t *shared_address(const struct network *network, const uint8_t private_ip[4])
{
	uint32_t hash = load32(private_ip) * 0x9e3779b1u;

	return network->source_nat[(uint64_t)hash * network->n_source_nat >> 32].bytes;
}

/* A member of a load balancer here may have the load balancer's. */
static bool has_own(const struct nic *nic)
{
	return nic->source_nat.family != IP_NONE;
}

static bool may_share(const struct nic *nic, const uint8_t address[4])
{
	return network_shares(nic->network, address) ||
	       (has_own(nic) && memcmp(nic->source_nat.bytes, address, 4) == 0);
}

static bool share(struct walk *walk)
{
	const struct nic *nic = walk->source;

	if (nic->network->n_source_nat == 0 && !has_own(nic))
		return layer_refuse(walk, DROP_NO_PUBLIC_ADDRESS);
	if (!can_share(&walk->key))
		return layer_refuse(walk, DROP_NO_PORTS);
	if (walk->alias && may_share(nic, walk->alias->address)) {
		memcpy(walk->key.src, walk->alias->address, 4);
		walk->key.sport = walk->alias->port;
	} else {
		memcpy(walk->key.src,
			has_own(nic) ? nic->source_nat.bytes : shared_address(nic->network, walk->key.src),
			4);
	}
	walk->shared = true;
	return true;
}

static bool outbound(struct walk *walk)
{
	if (!walk->leaves)
		return true;
	const struct nic_address *address = nic_find_address(walk->source, flow_key_source(&walk->key));
	if (!address)
		return layer_refuse(walk, DROP_NO_PUBLIC_ADDRESS); /* it forwards for others */
	if (address->public_ip.family == IP_NONE)
		return share(walk);
	memcpy(walk->key.src, address->public_ip.bytes, 4);
	return true;
}

static bool inbound(struct walk *walk)
{
	if (walk->front || (!walk->leaves && walk->key.origin != FLOW_FROM_OUTSIDE))
		return true;
	const struct nic_address *address = nic_find_public(walk->target, flow_key_destination(&walk->key));
	if (!address)
		return layer_refuse(walk, DROP_NOT_OURS);
	memcpy(walk->key.dst, address->ip.bytes, 4);
	return true;
}

const struct layer layer_nat = {.name = "nat", .outbound = outbound, .inbound = inbound};
