/* Security groups: the subnet's and the NIC's, two layers of one kind.
 *
 * Both must allow. That they are two rows of the table gives the order of DESIGN.md for nothing: outbound the
 * NIC's is asked first, inbound the subnet's. Only first packets get here, so answers pass by their
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

static struct classifier_packet packet_of(const struct walk *walk, const struct nic *nic)
{
	const struct flow_key *key = &walk->key;
	const struct policy_space space = {
		.n_prefixes = nic->network->n_prefixes,
		.prefixes = nic->network->prefixes,
	};
	struct classifier_packet packet = {
		.protocol = key->protocol == PROTO_ICMPV6 ? POLICY_ICMP : key->protocol,
		.has_ports = key->protocol == PROTO_TCP || key->protocol == PROTO_UDP,
		.source = flow_key_source(key),
		.destination = flow_key_destination(key),
	};

	if (packet.has_ports) {
		packet.source_port = be16toh(key->sport);
		packet.destination_port = be16toh(key->dport);
	}
	packet.source_tags = classifier_tags(&space, packet.source);
	packet.destination_tags = classifier_tags(&space, packet.destination);
	return packet;
}

static bool check(struct walk *walk, const struct group *group, enum policy_direction direction)
{
	if (!group || is_exempt(walk, direction) || (walk->existing && !group->revalidate))
		return true;
	const struct classifier_packet packet = packet_of(walk, subject(walk, direction));
	const struct classifier_verdict verdict = classifier_check(group->classifier, direction, &packet);
	if (verdict.allow)
		return true;
	walk->group = group;
	walk->rule = verdict.rule;
	return layer_refuse(walk, direction == POLICY_INBOUND ? DROP_DENIED_INBOUND : DROP_DENIED_OUTBOUND);
}

/* A Standard public address is closed until a group opens it. */
static bool check_no_group(struct walk *walk)
{
	const struct nic *nic = walk->target;
	const struct nic_address *address = nic_find_address(nic, flow_key_destination(&walk->key));
	const struct policy_space space = {
		.n_prefixes = nic->network->n_prefixes,
		.prefixes = nic->network->prefixes,
	};

	if (nic->group || nic->subnet->group || is_exempt(walk, POLICY_INBOUND) || !address ||
		!address->standard)
		return true;
	if (classifier_tags(&space, flow_key_source(&walk->key)) & POLICY_TAG_VIRTUAL_NETWORK)
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
