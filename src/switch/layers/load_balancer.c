/* Load balancers: what comes for one of their addresses goes on to a member of a pool.
 *
 * On the way in the walk's target is the load balancer, and becomes the member; or nobody here, when the member is on
 * another switch, which asks the groups. For an internal one the packet goes on in its sender's name, as if it had been
 * sent to the member; never to a member that sent it itself, whose guest would take its own address for forged. Otherwise
 * a packet of a NIC here to a public address of a load balancer here turns round
 * as one to any public address does; where its own port has been translated, too, it is refused, as a flow has one port
 * to rewrite.
 *
 * A connection that is there keeps its member, known by its MAC, as long as that is one. The address and port that a
 * rule is for come with the packet, so that a new state may take a rule away, or give it to another load balancer.
 */
#include "switch/load_balancer.h"
#include "switch/layers/layer.h"

#include <string.h>

/* Where a member is: here, or at the end of a tunnel. False: nobody knows. */
static bool find(const struct walk *walk, const struct nic *front, const struct load_member *member,
	const struct nic **ret_nic, const struct mapping **ret_remote)
{
	struct owner owner = snapshot_find(walk->state, front->network->space, member->ip);

	*ret_nic = owner.kind == OWNER_NIC ? owner.nic : NULL;
	*ret_remote = *ret_nic ? NULL : vxlan_remote(walk->state, front, member->ip);
	return *ret_nic || *ret_remote;
}

static bool has_mac(const struct walk *walk, const struct nic *front, const struct load_member *member,
	const uint8_t mac[6])
{
	const struct mapping *remote;
	const struct nic *nic;

	return find(walk, front, member, &nic, &remote) &&
	       memcmp(nic ? nic->mac.bytes : remote->mac.bytes, mac, 6) == 0;
}

/* The member that the connection has already, or NULL. */
static const struct load_member *present(
	const struct walk *walk, const struct nic *front, const struct load_rule *rule)
{
	static const uint8_t none[6];

	if (!walk->alias || memcmp(walk->alias->member, none, sizeof none) == 0)
		return NULL;
	for (unsigned i = 0; i < rule->n_members; i++)
		if (has_mac(walk, front, &rule->members[i], walk->alias->member))
			return &rule->members[i];
	return NULL;
}

static bool lead(struct walk *walk, const struct nic *front, const struct load_member *member)
{
	if (!find(walk, front, member, &walk->target, &walk->remote))
		return layer_refuse(walk, DROP_NO_DESTINATION);
	if (!front->load_balancer->internal) {
		walk->front = front;
		walk->standard = front->load_balancer->standard;
	}
	if (walk->target) {
		walk->exit = FLOW_TO_NIC;
		return true;
	}
	walk->exit = FLOW_TO_TUNNEL;
	memcpy(walk->next_hop, walk->remote->vtep, 4);
	return true;
}

static bool inbound(struct walk *walk)
{
	const struct nic *front = walk->target;

	if (!front->load_balancer)
		return true;
	const struct load_rule *rule = load_balancer_find(front->load_balancer, &walk->key);
	if (!rule || (walk->key.origin != FLOW_FROM_OUTSIDE && walk->key.origin != FLOW_FROM_NIC))
		return layer_refuse(walk, DROP_NO_RULE);
	walk->rule = rule->name;
	const struct load_member *member = present(walk, front, rule);
	if (!member)
		member = load_rule_choose(
			rule, &walk->key, front->load_balancer->internal ? walk->source : NULL);
	if (!member)
		return layer_refuse(walk, DROP_NO_MEMBER);
	if (!rule->floating) {
		memcpy(walk->key.dst, member->ip.bytes, 4);
		walk->key.dport = rule->member_port;
	}
	return lead(walk, front, member);
}

const struct layer layer_load_balancer = {.name = "load balancer", .inbound = inbound};
