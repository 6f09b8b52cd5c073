/* Anti-spoofing: who may claim which address.
 *
 * A NIC sends with its own addresses only, unless it forwards for others; and is no DHCP server. Its MAC is checked on every packet, before
 * any flow is looked up (worker.c), since it is no part of the key; so is the sender of ARP (respond/arp.c).
 */
#include "switch/layers/layer.h"

#include "switch/wire.h"

static bool is_dhcp_answer(const struct flow_key *key)
{
	return key->protocol == PROTO_UDP && key->sport == htobe16(DHCP_SERVER_PORT) &&
	       key->dport == htobe16(DHCP_CLIENT_PORT);
}

bool spoof_may_send(const struct nic *nic, struct ip_addr source)
{
	return nic_find_address(nic, source) ||
	       (nic->forwarding && route_is_unicast(source) && !policy_is_platform(source));
}

static bool outbound(struct walk *walk)
{
	if (!spoof_may_send(walk->source, flow_key_source(&walk->key)))
		return layer_refuse(walk, DROP_SPOOFED_IP);
	if (is_dhcp_answer(&walk->key))
		return layer_refuse(walk, DROP_DHCP_SERVER);
	return true;
}

const struct layer layer_spoof = {.name = "spoof", .outbound = outbound};
