/* Anti-spoofing: who may claim which address.
 *
 * A NIC sends with its own addresses only, unless it forwards for others; and is no DHCP server. Its MAC is
 * checked on every packet, before any flow is looked up (arrival.c), since it is no part of the key; so is the
 * sender of ARP (respond/arp.c) and of neighbour discovery (respond/nd.c).
 */
#include "switch/layers/layer.h"

#include "switch/wire.h"

static bool is_dhcp_answer(const struct flow_key *key)
{
	uint16_t server = key->family == IP_V6 ? DHCP6_SERVER_PORT : DHCP_SERVER_PORT;
	uint16_t client = key->family == IP_V6 ? DHCP6_CLIENT_PORT : DHCP_CLIENT_PORT;

	return key->protocol == PROTO_UDP && key->sport == htobe16(server) && key->dport == htobe16(client);
}

/* IPv6: the switch itself is all that a link-local address reaches (respond/). */
static bool is_link_local(struct ip_addr source)
{
	return source.family == IP_V6 && ip_is_link_local(source);
}

bool spoof_may_send(const struct nic *nic, struct ip_addr source)
{
	return nic_find_address(nic, source) ||
	       (nic->forwarding && route_is_unicast(source) && !policy_is_platform(source) &&
		       !is_link_local(source));
}

static bool outbound(struct walk *walk)
{
	struct ip_addr source = flow_key_source(&walk->key);

	if (is_dhcp_answer(&walk->key))
		return layer_refuse(walk, DROP_DHCP_SERVER);
	if (is_link_local(source))
		return layer_refuse(walk, DROP_LINK_LOCAL);
	if (!spoof_may_send(walk->source, source))
		return layer_refuse(walk, DROP_SPOOFED_IP);
	return true;
}

const struct layer layer_spoof = {.name = "spoof", .outbound = outbound};
