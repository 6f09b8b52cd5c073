/* The reference evaluator of network policy: see policy.h. */
#include "policy/policy.h"

/* In network order, as struct ip_addr keeps them. */
static const struct ip_addr metadata_address = {.family = IP_V4, .bytes = {169, 254, 169, 254}};
static const struct ip_addr host_address = {.family = IP_V4, .bytes = {168, 63, 129, 16}};

static const struct policy_rule default_rules[] = {
	{
		.name = "AllowVnetInBound",
		.priority = 65000,
		.direction = POLICY_INBOUND,
		.action = POLICY_ALLOW,
		.source.tags = POLICY_TAG_VIRTUAL_NETWORK,
		.destination.tags = POLICY_TAG_VIRTUAL_NETWORK,
	},
	{
		.name = "AllowAzureLoadBalancerInBound",
		.priority = 65001,
		.direction = POLICY_INBOUND,
		.action = POLICY_ALLOW,
		.source.tags = POLICY_TAG_LOAD_BALANCER,
		.destination.tags = POLICY_TAG_ANY,
	},
	{
		.name = "DenyAllInBound",
		.priority = 65500,
		.direction = POLICY_INBOUND,
		.action = POLICY_DENY,
		.source.tags = POLICY_TAG_ANY,
		.destination.tags = POLICY_TAG_ANY,
	},
	{
		.name = "AllowVnetOutBound",
		.priority = 65000,
		.direction = POLICY_OUTBOUND,
		.action = POLICY_ALLOW,
		.source.tags = POLICY_TAG_VIRTUAL_NETWORK,
		.destination.tags = POLICY_TAG_VIRTUAL_NETWORK,
	},
	{
		.name = "AllowInternetOutBound",
		.priority = 65001,
		.direction = POLICY_OUTBOUND,
		.action = POLICY_ALLOW,
		.source.tags = POLICY_TAG_ANY,
		.destination.tags = POLICY_TAG_INTERNET,
	},
	{
		.name = "DenyAllOutBound",
		.priority = 65500,
		.direction = POLICY_OUTBOUND,
		.action = POLICY_DENY,
		.source.tags = POLICY_TAG_ANY,
		.destination.tags = POLICY_TAG_ANY,
	},
};

const struct policy_rule *policy_default_rules(size_t *ret_n)
{
	*ret_n = sizeof default_rules / sizeof default_rules[0];
	return default_rules;
}

bool policy_is_platform(struct ip_addr addr)
{
	return ip_equal(addr, metadata_address) || ip_equal(addr, host_address);
}

static bool in_virtual_network(const struct policy_space *space, struct ip_addr addr)
{
	if (ip_equal(addr, host_address))
		return true;
	for (size_t i = 0; i < space->n_prefixes; i++)
		if (prefix_contains(space->prefixes[i], addr))
			return true;
	return false;
}

static bool tag_matches(uint8_t tags, const struct policy_space *space, struct ip_addr addr)
{
	if (tags & POLICY_TAG_ANY)
		return true;
	if (tags & POLICY_TAG_VIRTUAL_NETWORK && in_virtual_network(space, addr))
		return true;
	if (tags & POLICY_TAG_INTERNET && !in_virtual_network(space, addr))
		return true;
	return tags & POLICY_TAG_LOAD_BALANCER && ip_equal(addr, host_address);
}

static bool share_group(const uint32_t *a, size_t n_a, const uint32_t *b, size_t n_b)
{
	for (size_t i = 0; i < n_a; i++)
		for (size_t j = 0; j < n_b; j++)
			if (a[i] == b[j])
				return true;
	return false;
}

/* One end of a packet, as one side of a rule looks at it. */
struct end {
	struct ip_addr addr;
	uint16_t port;
	const uint32_t *groups;
	size_t n_groups;
};

static bool address_matches(
	const struct policy_side *side, const struct policy_space *space, const struct end *end)
{
	if (tag_matches(side->tags, space, end->addr))
		return true;
	for (size_t i = 0; i < side->n_prefixes; i++)
		if (prefix_contains(side->prefixes[i], end->addr))
			return true;
	return share_group(side->groups, side->n_groups, end->groups, end->n_groups);
}

/* A side that lists ports matches only protocols that have them. */
static bool port_matches(const struct policy_side *side, uint8_t protocol, uint16_t port)
{
	if (side->n_ports == 0)
		return true;
	if (protocol != POLICY_TCP && protocol != POLICY_UDP)
		return false;
	for (size_t i = 0; i < side->n_ports; i++)
		if (side->ports[i].first <= port && port <= side->ports[i].last)
			return true;
	return false;
}

static bool side_matches(const struct policy_side *side, const struct policy_space *space, uint8_t protocol,
	const struct end *end)
{
	return address_matches(side, space, end) && port_matches(side, protocol, end->port);
}

bool policy_rule_matches(
	const struct policy_rule *rule, const struct policy_space *space, const struct policy_packet *packet)
{
	const struct end source = {
		.addr = packet->source,
		.port = packet->source_port,
		.groups = packet->source_groups,
		.n_groups = packet->n_source_groups,
	};
	const struct end destination = {
		.addr = packet->destination,
		.port = packet->destination_port,
		.groups = packet->destination_groups,
		.n_groups = packet->n_destination_groups,
	};

	return rule->direction == packet->direction &&
	       (rule->protocol == POLICY_ANY || rule->protocol == packet->protocol) &&
	       side_matches(&rule->source, space, packet->protocol, &source) &&
	       side_matches(&rule->destination, space, packet->protocol, &destination);
}

/* The matching rule of the lowest priority number, or NULL. */
static const struct policy_rule *first_match(const struct policy_rule *rules, size_t n,
	const struct policy_space *space, const struct policy_packet *packet)
{
	const struct policy_rule *first = NULL;

	for (size_t i = 0; i < n; i++)
		if ((!first || rules[i].priority < first->priority) &&
			policy_rule_matches(&rules[i], space, packet))
			first = &rules[i];
	return first;
}

static struct policy_verdict group_check(const struct policy_group *group, const struct policy_space *space,
	const struct policy_packet *packet)
{
	size_t n;
	const struct policy_rule *defaults = policy_default_rules(&n);
	const struct policy_rule *rule = first_match(group->rules, group->n_rules, space, packet);

	if (!rule)
		rule = first_match(defaults, n, space, packet); /* DenyAll* match everything */
	return (struct policy_verdict){
		.allow = rule->action == POLICY_ALLOW,
		.reason = POLICY_BY_RULE,
		.group = group,
		.rule = rule,
	};
}

static struct policy_verdict no_group_check(const struct policy_nic *nic, const struct policy_packet *packet)
{
	if (nic->standard_address && packet->direction == POLICY_INBOUND &&
		!in_virtual_network(&nic->space, packet->source))
		return (struct policy_verdict){.allow = false, .reason = POLICY_BY_ADDRESS};
	return (struct policy_verdict){.allow = true, .reason = POLICY_BY_NO_GROUP};
}

struct policy_verdict policy_check(const struct policy_nic *nic, const struct policy_packet *packet)
{
	bool inbound = packet->direction == POLICY_INBOUND;
	const struct policy_group *first = inbound ? nic->subnet_group : nic->nic_group;
	const struct policy_group *second = inbound ? nic->nic_group : nic->subnet_group;
	struct policy_verdict verdict;

	if (policy_is_platform(inbound ? packet->source : packet->destination))
		return (struct policy_verdict){.allow = true, .reason = POLICY_BY_PLATFORM};
	if (!first && !second)
		return no_group_check(nic, packet);
	if (first) {
		verdict = group_check(first, &nic->space, packet);
		if (!verdict.allow || !second)
			return verdict;
	}
	return group_check(second, &nic->space, packet);
}
