/* Security groups: the subnet's and the NIC's, two layers of one kind.
 *
 * Both must allow. Outbound the NIC's is asked first, inbound the subnet's, as Azure documents it: that is the order in
 * which layers are walked each way, of which these are two. Only first packets get here, so answers pass by their
 * connection.
 */
#include "switch/classifier.h"
#include "switch/layers/layer.h"
#include "switch/wire.h"

static const struct nic *subject(const struct walk *walk, enum policy_direction direction)
{
	return direction == POLICY_OUTBOUND ? walk->source : walk->target;
}

/* Platform addresses pass groups. */
static bool is_exempt(const struct walk *walk, enum policy_direction direction)
{
	return policy_is_platform(direction == POLICY_OUTBOUND ? flow_key_destination(&walk->key)
							       : flow_key_source(&walk->key));
}

/* The packet's ends in the network. A walk asks up to four groups, mostly of one network. */
static const struct walk_ends *ends_in(struct walk *walk, const struct network *network)
{
	const struct ip_addr addrs[2] = {flow_key_source(&walk->key), flow_key_destination(&walk->key)};
	struct walk_ends *ends = &walk->ends;

	if (ends->network == network && ip_equal(ends->addrs[0], addrs[0]) &&
		ip_equal(ends->addrs[1], addrs[1]))
		return ends;
	ends->network = network;
	for (unsigned i = 0; i < 2; i++) {
		ends->addrs[i] = addrs[i];
		ends->are[i] = membership_find(network->memberships, addrs[i]);
	}
	return ends;
}

static struct classifier_packet packet_of(struct walk *walk, const struct nic *nic)
{
	const struct flow_key *key = &walk->key;
	const struct walk_ends *ends = ends_in(walk, nic->network);
	const struct membership *source = &ends->are[0], *destination = &ends->are[1];
	struct classifier_packet packet = {
		.protocol = key->protocol == PROTO_ICMPV6 ? POLICY_ICMP : key->protocol,
		.has_ports = flow_key_has_ports(key),
		.source_tags = source->tags,
		.destination_tags = destination->tags,
		.source = ends->addrs[0],
		.destination = ends->addrs[1],
		.n_source_groups = source->n_groups,
		.n_destination_groups = destination->n_groups,
		.source_groups = source->groups,
		.destination_groups = destination->groups,
	};

	if (packet.has_ports) {
		packet.source_port = be16toh(key->sport);
		packet.destination_port = be16toh(key->dport);
	}
	return packet;
}

static bool check(struct walk *walk, const struct group *group, enum policy_direction direction)
{
	if (!group || is_exempt(walk, direction) || (walk->existing && !group->revalidate))
		return true;
	const struct classifier_packet packet = packet_of(walk, subject(walk, direction));
	const struct classifier_verdict verdict = classifier_check(group->classifier, direction, &packet);

	walk->group = group;
	walk->rule = verdict.rule;
	if (verdict.allow)
		return true;
	return layer_refuse(walk, direction == POLICY_INBOUND ? DROP_DENIED_INBOUND : DROP_DENIED_OUTBOUND);
}

/* A Standard public address, or load balancer, is closed until a group opens it. */
static bool check_no_group(struct walk *walk)
{
	const struct nic *nic = walk->target;
	const struct nic_address *address = nic_find_address(nic, flow_key_destination(&walk->key));

	if (nic->group || nic->subnet->group || is_exempt(walk, POLICY_INBOUND) ||
		!(walk->standard || (address && address->standard)))
		return true;
	if (ends_in(walk, nic->network)->are[0].tags & POLICY_TAG_VIRTUAL_NETWORK)
		return true;
	return layer_refuse(walk, DROP_NO_GROUP);
}

static bool nic_outbound(struct walk *walk)
{
	return check(walk, walk->source->group, POLICY_OUTBOUND);
}

static bool nic_inbound(struct walk *walk)
{
	return check(walk, walk->target->group, POLICY_INBOUND) && check_no_group(walk);
}

static bool subnet_outbound(struct walk *walk)
{
	return check(walk, walk->source->subnet->group, POLICY_OUTBOUND);
}

static bool subnet_inbound(struct walk *walk)
{
	return check(walk, walk->target->subnet->group, POLICY_INBOUND);
}

const struct layer layer_nic_group = {.name = "nic group", .outbound = nic_outbound, .inbound = nic_inbound};
const struct layer layer_subnet_group = {
	.name = "subnet group", .outbound = subnet_outbound, .inbound = subnet_inbound};
