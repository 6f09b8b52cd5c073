/* Who is where, as a NIC is told: the rule that ARP and neighbour discovery share. */
#include "switch/decide.h"
#include "switch/layers/layer.h"
#include "switch/respond/respond.h"

static const struct ip_addr reach_metadata = {.family = IP_V4, .bytes = {169, 254, 169, 254}};

/* Of an address that no NIC here has. */
static const uint8_t *reach_remote(
	const struct snapshot *snapshot, const struct nic *nic, struct ip_addr addr)
{
	const struct mapping *remote = vxlan_remote(snapshot, nic, addr);

	if (!remote || !network_contains(nic->network, addr))
		return NULL;
	return subnet_contains(nic->subnet, addr) ? remote->mac.bytes : gateway_mac;
}

bool reach_is_gateway(const struct snapshot *snapshot, const struct nic *nic, struct ip_addr addr)
{
	if (addr.family == IP_V6 && ip_equal(addr, gateway_link_local))
		return nic->subnet->gateway6.family != IP_NONE;
	return snapshot_find(snapshot, nic->network->space, addr).kind == OWNER_GATEWAY;
}

const uint8_t *reach_mac(const struct snapshot *snapshot, const struct nic *nic, struct ip_addr addr)
{
	if (reach_is_gateway(snapshot, nic, addr))
		return gateway_mac;
	struct owner owner = snapshot_find(snapshot, nic->network->space, addr);
	if (owner.kind == OWNER_NONE)
		return reach_remote(snapshot, nic, addr);
	if (owner.nic == nic)
		return NULL;
	return owner.nic->subnet == nic->subnet || nic->network->physical ? owner.nic->mac.bytes
									  : gateway_mac;
}

bool reach_may_speak(const struct nic *nic, struct ip_addr source)
{
	if (source.family == IP_V6 && ip_is_link_local(source))
		return !ip_equal(source, gateway_link_local);
	return nic_find_address(nic, source) != NULL;
}

struct ip_addr reach_speaker(const struct nic *nic, enum ip_family family)
{
	const struct subnet *subnet = nic->subnet;

	if (family == IP_V6)
		return gateway_link_local;
	return subnet->gateway_external || subnet->gateway.family == IP_NONE ? reach_metadata
									     : subnet->gateway;
}
