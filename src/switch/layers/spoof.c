/* Anti-spoofing: who may claim which address.
 *
 * A NIC sends with its own addresses only, and is no DHCP server. Its MAC is checked on every packet, before
 * any flow is looked up (worker.c), since it is no part of the key; so is the sender of ARP (respond/arp.c).
 */
#include "switch/layers/layer.h"

#include "switch/wire.h"

static bool is_dhcp_answer(const struct flow_key *key)
{
	return key->protocol == PROTO_UDP && key->sport == htobe16(DHCP_SERVER_PORT) &&
	       key->dport == htobe16(DHCP_CLIENT_PORT);
}

static bool outbound(struct walk *walk)
{
	if (!nic_find_address(walk->source, flow_key_source(&walk->key)))
		return layer_refuse(walk, DROP_SPOOFED_IP);
	if (is_dhcp_answer(&walk->key))
		return layer_refuse(walk, DROP_DHCP_SERVER);
	return true;
}

const struct layer layer_spoof = {.name = "spoof", .outbound = outbound};
