/* Platform addresses: a NIC's identity behind the host port.
 *
 * Private addresses repeat between networks, so behind the host port each NIC has an address of its own
 * (host_address), and whoever answers 169.254.169.254 there knows by it who asks. Connections from there
 * reach the NIC from the platform address, as a guest expects.
 */
#include "switch/layers/layer.h"

#include <string.h>

static const uint8_t metadata[4] = {169, 254, 169, 254};

static bool outbound(struct walk *walk)
{
	if (walk->exit == FLOW_TO_HOST)
		memcpy(walk->key.src, walk->source->host_address, 4);
	return true;
}

static bool inbound(struct walk *walk)
{
	if (walk->key.origin != FLOW_FROM_HOST)
		return true;
	const struct nic_address *address = nic_first_address(walk->target, IP_V4);
	if (!address || walk->key.family != IP_V4 ||
		memcmp(walk->key.dst, walk->target->host_address, 4) != 0)
		return layer_refuse(walk, DROP_NOT_OURS);
	memcpy(walk->key.dst, address->ip.bytes, 4);
	if (!policy_is_platform(flow_key_source(&walk->key)))
		memcpy(walk->key.src, metadata, 4);
	return true;
}

const struct layer layer_platform = {.name = "platform", .outbound = outbound, .inbound = inbound};
