/* Public addresses: 1:1 translation, private ↔ public, ports untouched.
 *
 * On the way out the source becomes the NIC's public address, on the way in the destination becomes the
 * private one. A packet between two NICs by their public addresses meets both. ICMP errors are translated
 * with the packet that they quote (icmp_error.c). TCP, UDP and ICMP checksums are kept right; SCTP's does not
 * cover addresses; protocols whose own integrity does (AH) end here, as behind any translation.
 */
#include "switch/layers/layer.h"

#include <string.h>

static bool outbound(struct walk *walk)
{
	if (!walk->leaves)
		return true;
	const struct nic_address *address = nic_find_address(walk->source, flow_key_source(&walk->key));
	if (!address || address->public_ip.family == IP_NONE)
		return layer_refuse(walk, DROP_NO_PUBLIC_ADDRESS);
	memcpy(walk->key.src, address->public_ip.bytes, 4);
	return true;
}

static bool inbound(struct walk *walk)
{
	if (!walk->leaves && walk->key.origin != FLOW_FROM_OUTSIDE)
		return true;
	struct owner owner = snapshot_find(walk->state, SPACE_PUBLIC, flow_key_destination(&walk->key));
	if (owner.kind != OWNER_NIC || owner.nic != walk->target)
		return layer_refuse(walk, DROP_NOT_OURS);
	memcpy(walk->key.dst, owner.address->ip.bytes, 4);
	return true;
}

const struct layer layer_nat = {.name = "nat", .outbound = outbound, .inbound = inbound};
