/* Where the other end of a connection is: see peer.h. */
#include "switch/peer.h"

#include "switch/layers/layer.h"
#include "switch/load_balancer.h"

/* Both ends are known to each other by public addresses: a NIC here that has one, or somebody outside. A member of a load
 * balancer has it from there. */
static bool by_public(const struct snapshot *state, const struct nic *nic, struct flow_key *key)
{
	struct owner owner = snapshot_find(state, SPACE_PUBLIC, flow_key_source(key));

	key->nic = nic->id;
	key->origin = FLOW_FROM_OUTSIDE;
	if (owner.kind != OWNER_NIC)
		return true;
	if (owner.nic->load_balancer)
		return false; /* only flows know who shares it */
	key->nic = owner.nic->id;
	key->origin = FLOW_FROM_NIC;
	memcpy(key->src, owner.address->ip.bytes, sizeof key->src);
	return true;
}

/* Both are in the network: the other one itself, or the appliance that it is behind, is here or elsewhere. */
static bool by_network(const struct snapshot *state, const struct nic *nic, struct flow_key *key)
{
	struct ip_addr via = route_via(nic, flow_key_source(key), NULL);
	struct owner owner = snapshot_find(state, nic->network->space, via);

	if (via.family == IP_NONE) {
		key->nic = nic->id;
		key->origin = FLOW_FROM_TUNNEL;
		return vxlan_front(state, nic, flow_key_source(key)) != NULL;
	}
	/* A NIC that is here is as near as a router on the wire. */
	if (owner.kind != OWNER_NIC && nic->subnet->gateway_external)
		owner = snapshot_find(state, nic->network->space, flow_key_source(key));
	key->nic = owner.kind == OWNER_NIC ? owner.nic->id : nic->id;
	key->origin = owner.kind == OWNER_NIC  ? FLOW_FROM_NIC
		      : nic->network->physical ? FLOW_FROM_PHYSICAL
					       : FLOW_FROM_TUNNEL;
	return true;
}

bool peer_key(const struct snapshot *state, const struct flow_key *own, const uint8_t alias[16],
	struct flow_key *ret)
{
	const struct nic *nic = snapshot_nic(state, own->nic);

	if (!nic)
		return false;
	*ret = flow_key_reverse(own);
	memcpy(ret->dst, alias, sizeof ret->dst);
	const struct nic *front = load_balancer_of(state, SPACE_PUBLIC, flow_key_destination(ret));
	if (!front && memcmp(alias, own->src, sizeof own->src) == 0)
		return by_network(state, nic, ret);
	return by_public(state, front ? front : nic, ret);
}

/* What its NIC is known by to whom it sends that: its own address within the network, its public one beyond. */
static bool find_alias(const struct nic *nic, const struct flow_key *own, uint8_t ret[16])
{
	const struct nic_address *address = nic_find_address(nic, flow_key_source(own));

	memcpy(ret, own->src, sizeof own->src);
	if (route_via(nic, flow_key_destination(own), NULL).family != IP_NONE)
		return true;
	if (!address || address->public_ip.family == IP_NONE)
		return false;
	memcpy(ret, address->public_ip.bytes, sizeof address->public_ip.bytes);
	return true;
}

bool peer_answer(const struct snapshot *state, const struct flow_key *key, struct flow_key *ret)
{
	const struct nic *nic = snapshot_nic(state, key->nic);
	uint8_t alias[16];

	if (!nic || nic->load_balancer)
		return false;
	if (key->origin == FLOW_FROM_NIC)
		return find_alias(nic, key, alias) && peer_key(state, key, alias, ret);
	struct owner owner = snapshot_find(state, SPACE_PUBLIC, flow_key_destination(key));
	*ret = flow_key_reverse(key);
	ret->origin = FLOW_FROM_NIC;
	if (key->origin == FLOW_FROM_OUTSIDE && owner.kind == OWNER_NIC)
		memcpy(ret->src, owner.address->ip.bytes, sizeof ret->src);
	return true;
}

static bool is_here(const struct snapshot *state, uint32_t id)
{
	const struct nic *nic = snapshot_nic(state, id);

	return nic && !nic->away;
}

/* A load balancer led it to the NIC that answers, an internal one, or a public one that has gone to another switch: what
 * comes from another switch comes to that NIC itself. */
static bool was_led(
	const struct snapshot *state, const struct flow_key *forward, const struct flow_key *reply)
{
	const struct nic *nic = snapshot_nic(state, reply->nic);
	struct ip_addr asked = flow_key_destination(forward);

	if (!nic)
		return false;
	if (load_balancer_of(state, nic->network->space, asked))
		return true;
	return forward->origin == FLOW_FROM_OUTSIDE && !nic_find_public(nic, asked) &&
	       !load_balancer_of(state, SPACE_PUBLIC, asked) &&
	       vxlan_front(state, nic, flow_key_destination(reply));
}

struct flow_key peer_first(
	const struct snapshot *state, const struct flow_key *forward, const struct flow_key *reply)
{
	bool led = was_led(state, forward, reply);
	struct flow_key first;

	if (forward->origin == FLOW_FROM_HOST || reply->origin != FLOW_FROM_NIC ||
		(forward->origin == FLOW_FROM_NIC && is_here(state, forward->nic)))
		return *forward;
	if (!peer_key(state, reply, led ? reply->src : forward->dst, &first)) {
		/* A public one has come here with its front end. */
		bool came = forward->origin == FLOW_FROM_TUNNEL && load_balancer_asked(state, reply, &first);
		return came ? first : *forward;
	}
	if (!led) {
		first.sport = forward->sport;
		first.dport = forward->dport;
	}
	return first;
}
