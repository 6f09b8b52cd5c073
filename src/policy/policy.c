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

struct ip_prefix policy_platform_prefix(void)
{
	return (struct ip_prefix){.addr = host_address, .length = 32};
}

bool policy_is_platform(struct ip_addr addr)
{
	return ip_equal(addr, metadata_address) || ip_equal(addr, host_address);
}

static bool prefixes_contain(const struct ip_prefix *prefixes, size_t n, struct ip_addr addr)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_contains(prefixes[i], addr))
			return true;
	return false;
}

static bool in_virtual_network(const struct policy_space *space, struct ip_addr addr)
{
	return ip_equal(addr, host_address) || prefixes_contain(space->prefixes, space->n_prefixes, addr);
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

static bool is_member(const struct policy_space *space, uint32_t group, struct ip_addr addr)
{
	for (size_t i = 0; i < space->n_members; i++)
		if (space->members[i].group == group &&
			prefixes_contain(space->members[i].prefixes, space->members[i].n_prefixes, addr))
			return true;
	return false;
}

static bool address_matches(
	const struct policy_side *side, const struct policy_space *space, struct ip_addr addr)
{
	if (tag_matches(side->tags, space, addr) || prefixes_contain(side->prefixes, side->n_prefixes, addr))
		return true;
	for (size_t i = 0; i < side->n_groups; i++)
		if (is_member(space, side->groups[i], addr))
			return true;
	return false;
}

bool policy_protocol_has_ports(uint8_t protocol)
{
	return protocol == POLICY_TCP || protocol == POLICY_UDP;
}

/* A side that lists ports matches only protocols that have them. */
static bool port_matches(const struct policy_side *side, uint8_t protocol, uint16_t port)
{
	if (side->n_ports == 0)
		return true;
	if (!policy_protocol_has_ports(protocol))
		return false;
	for (size_t i = 0; i < side->n_ports; i++)
		if (side->ports[i].first <= port && port <= side->ports[i].last)
			return true;
	return false;
}

static bool side_matches(const struct policy_side *side, const struct policy_space *space,
	const struct policy_packet *packet, struct ip_addr addr, uint16_t port)
{
	return address_matches(side, space, addr) && port_matches(side, packet->protocol, port);
}

bool policy_rule_matches(
	const struct policy_rule *rule, const struct policy_space *space, const struct policy_packet *packet)
{
	return rule->direction == packet->direction &&
	       (rule->protocol == POLICY_ANY || rule->protocol == packet->protocol) &&
	       side_matches(&rule->source, space, packet, packet->source, packet->source_port) &&
	       side_matches(&rule->destination, space, packet, packet->destination, packet->destination_port);
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

static const struct policy_rule *deciding_rule(const struct policy_group *group,
	const struct policy_space *space, const struct policy_packet *packet)
{
	size_t n;
	const struct policy_rule *defaults = policy_default_rules(&n);
	const struct policy_rule *rule = first_match(group->rules, group->n_rules, space, packet);

	return rule ? rule : first_match(defaults, n, space, packet); /* DenyAll* match everything */
}

unsigned policy_order(
	const struct policy_nic *nic, enum policy_direction direction, struct policy_step ret_steps[static 2])
{
	const struct policy_step subnet = {.at = POLICY_AT_SUBNET, .group = nic->subnet_group};
	const struct policy_step own = {.at = POLICY_AT_NIC, .group = nic->nic_group};
	unsigned n = 0;

	if (direction == POLICY_INBOUND && subnet.group)
		ret_steps[n++] = subnet;
	if (own.group)
		ret_steps[n++] = own;
	if (direction == POLICY_OUTBOUND && subnet.group)
		ret_steps[n++] = subnet;
	return n;
}

static struct policy_verdict no_group_check(const struct policy_nic *nic, const struct policy_packet *packet)
{
	if (nic->standard_address && packet->direction == POLICY_INBOUND &&
		!in_virtual_network(&nic->space, packet->source))
		return (struct policy_verdict){.allow = false, .reason = POLICY_BY_ADDRESS};
	return (struct policy_verdict){.allow = true, .reason = POLICY_BY_NO_GROUP};
}

static struct policy_verdict step_verdict(const struct policy_step *step)
{
	return (struct policy_verdict){
		.allow = step->allow,
		.reason = POLICY_BY_RULE,
		.group = step->group,
		.rule = step->rule,
	};
}

struct policy_explanation policy_explain(const struct policy_nic *nic, const struct policy_packet *packet)
{
	bool inbound = packet->direction == POLICY_INBOUND;
	struct policy_explanation explanation = {
		.verdict = {.allow = true, .reason = POLICY_BY_PLATFORM},
	};

	if (policy_is_platform(inbound ? packet->source : packet->destination))
		return explanation;
	explanation.n_steps = policy_order(nic, packet->direction, explanation.steps);
	if (explanation.n_steps == 0)
		explanation.verdict = no_group_check(nic, packet);
	for (unsigned i = 0; i < explanation.n_steps; i++) {
		struct policy_step *step = &explanation.steps[i];
		step->rule = deciding_rule(step->group, &nic->space, packet);
		step->allow = step->rule->action == POLICY_ALLOW;
		if (explanation.verdict.allow)
			explanation.verdict = step_verdict(step);
	}
	return explanation;
}

struct policy_verdict policy_check(const struct policy_nic *nic, const struct policy_packet *packet)
{
	return policy_explain(nic, packet).verdict;
}
