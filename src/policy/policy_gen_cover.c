/* What random worlds and packets have met. */
#include "policy/policy_gen_priv.h"

const char *policy_gen_feature_text(enum policy_gen_feature feature)
{
	static const char *const texts[] = {
#define X(NAME, text) [POLICY_GEN_##NAME] = text,
		POLICY_GEN_FEATURES(X)
#undef X
	};

	return texts[feature];
}

/* Counts the feature when it is there. */
#define COUNT(coverage, NAME, there) ((coverage)->counts[POLICY_GEN_##NAME] += !!(there))

static bool has_word(uint8_t protocol)
{
	return protocol == POLICY_ICMP || protocol == POLICY_ESP || protocol == POLICY_AH ||
	       policy_protocol_has_ports(protocol);
}

/* ---- the world ---- */

static void cover_prefixes(struct policy_gen_coverage *coverage, const struct policy_side *side)
{
	bool v4 = false, v6 = false;

	for (size_t i = 0; i < side->n_prefixes; i++) {
		const struct ip_prefix *prefix = &side->prefixes[i];
		bool is_v4 = prefix->addr.family == IP_V4;
		v4 |= is_v4;
		v6 |= !is_v4;
		COUNT(coverage, PREFIX_ALL, prefix->length == 0);
		COUNT(coverage, PREFIX_HOST, prefix->length == gen_bits(prefix->addr.family));
		COUNT(coverage, PREFIX_ODD, prefix->length % 8);
	}
	COUNT(coverage, SIDE_V4, v4);
	COUNT(coverage, SIDE_V6, v6);
	COUNT(coverage, SIDE_BOTH, v4 && v6);
	COUNT(coverage, SIDE_LIST, side->n_prefixes >= 4);
	COUNT(coverage, SIDE_MIXED, side->n_prefixes && side->tags);
}

static void cover_side(struct policy_gen_coverage *coverage, const struct policy_side *side)
{
	COUNT(coverage, SIDE_ANY, side->tags & POLICY_TAG_ANY);
	COUNT(coverage, SIDE_NETWORK, side->tags & POLICY_TAG_VIRTUAL_NETWORK);
	COUNT(coverage, SIDE_INTERNET, side->tags & POLICY_TAG_INTERNET);
	COUNT(coverage, SIDE_BALANCER, side->tags & POLICY_TAG_LOAD_BALANCER);
	COUNT(coverage, SIDE_GROUP, side->n_groups);
	for (size_t i = 0; i < side->n_groups; i++)
		COUNT(coverage, SIDE_GROUP_EMPTY, side->groups[i] == GEN_APPLICATION_GROUPS);
	cover_prefixes(coverage, side);
	for (size_t i = 0; i < side->n_ports; i++) {
		struct policy_ports ports = side->ports[i];
		COUNT(coverage, PORT_SINGLE, ports.first == ports.last);
		COUNT(coverage, PORT_RANGE, ports.first < ports.last);
		COUNT(coverage, PORT_ALL, ports.first == 0 && ports.last == UINT16_MAX);
	}
	COUNT(coverage, PORT_LIST, side->n_ports > 1);
}

static void cover_rule(struct policy_gen_coverage *coverage, const struct policy_rule *rule)
{
	COUNT(coverage, RULE_INBOUND, rule->direction == POLICY_INBOUND);
	COUNT(coverage, RULE_OUTBOUND, rule->direction == POLICY_OUTBOUND);
	COUNT(coverage, RULE_ALLOW, rule->action == POLICY_ALLOW);
	COUNT(coverage, RULE_DENY, rule->action == POLICY_DENY);
	COUNT(coverage, RULE_FIRST, rule->priority == POLICY_PRIORITY_MIN);
	COUNT(coverage, RULE_LAST, rule->priority == POLICY_PRIORITY_MAX);
	COUNT(coverage, RULE_ANY, rule->protocol == POLICY_ANY);
	COUNT(coverage, RULE_TCP, rule->protocol == POLICY_TCP);
	COUNT(coverage, RULE_UDP, rule->protocol == POLICY_UDP);
	COUNT(coverage, RULE_ICMP, rule->protocol == POLICY_ICMP);
	COUNT(coverage, RULE_ESP, rule->protocol == POLICY_ESP);
	COUNT(coverage, RULE_AH, rule->protocol == POLICY_AH);
	COUNT(coverage, RULE_NUMBER, rule->protocol != POLICY_ANY && !has_word(rule->protocol));
	COUNT(coverage, PORT_SOURCE, rule->source.n_ports);
	cover_side(coverage, &rule->source);
	cover_side(coverage, &rule->destination);
}

static void cover_nic(struct policy_gen_coverage *coverage, const struct policy_gen_world *world,
	const struct policy_gen_nic *nic)
{
	const struct policy_gen_subnet *subnet = &world->networks[nic->network].subnets[nic->subnet];

	COUNT(coverage, NIC_V4, subnet->prefix.addr.family == IP_V4);
	COUNT(coverage, NIC_V6, subnet->prefix.addr.family == IP_V6);
	COUNT(coverage, NIC_BOTH_GROUPS, nic->group && subnet->group);
	COUNT(coverage, NIC_OWN_GROUP, nic->group && !subnet->group);
	COUNT(coverage, NIC_SUBNET_GROUP, !nic->group && subnet->group);
	COUNT(coverage, NIC_NO_GROUP, !nic->group && !subnet->group);
	for (unsigned i = 0; i < nic->n_addresses; i++)
		COUNT(coverage, NIC_STANDARD, nic->addresses[i].standard);
}

void policy_gen_cover_world(struct policy_gen_coverage *coverage, const struct policy_gen_world *world)
{
	for (unsigned i = 0; i < world->n_groups; i++) {
		const struct policy_group *group = &world->groups[i];
		COUNT(coverage, GROUP_EMPTY, group->n_rules == 0);
		COUNT(coverage, GROUP_LARGE, group->n_rules >= 500);
		for (size_t j = 0; j < group->n_rules; j++)
			cover_rule(coverage, &group->rules[j]);
	}
	for (unsigned i = 1; i < world->n_networks; i++)
		COUNT(coverage, NETWORK_OVERLAP,
			ip_equal(world->networks[i].space.prefixes[0].addr,
				world->networks[i - 1].space.prefixes[0].addr));
	for (unsigned i = 0; i < world->n_nics; i++)
		cover_nic(coverage, world, &world->nics[i]);
}

/* ---- packets ---- */

/* The rule with nothing but one kind of address on either side matches still. */
static bool matches_with(const struct policy_rule *rule, const struct policy_space *space,
	const struct policy_packet *packet, bool tags, bool prefixes, bool groups)
{
	struct policy_rule only = *rule;

	for (struct policy_side *side = &only.source;; side = &only.destination) {
		side->tags = tags ? side->tags : side->tags & POLICY_TAG_ANY;
		side->n_prefixes = prefixes ? side->n_prefixes : 0;
		side->n_groups = groups ? side->n_groups : 0;
		if (side == &only.destination)
			return policy_rule_matches(&only, space, packet);
	}
}

static bool at_edge(const struct policy_side *side, uint16_t port)
{
	for (size_t i = 0; i < side->n_ports; i++)
		if (side->ports[i].first == port || side->ports[i].last == port)
			return true;
	return false;
}

static void cover_deciding(struct policy_gen_coverage *coverage, const struct policy_rule *rule,
	const struct policy_space *space, const struct policy_packet *packet)
{
	COUNT(coverage, BY_TAG, !matches_with(rule, space, packet, false, true, true));
	COUNT(coverage, BY_PREFIX, !matches_with(rule, space, packet, true, false, true));
	COUNT(coverage, BY_GROUP, !matches_with(rule, space, packet, true, true, false));
	COUNT(coverage, BY_PORT, rule->source.n_ports || rule->destination.n_ports);
	COUNT(coverage, EDGE_INSIDE,
		at_edge(&rule->source, packet->source_port) ||
			at_edge(&rule->destination, packet->destination_port));
}

/* One port further it would match. */
static bool misses_by_one(
	const struct policy_rule *rule, const struct policy_space *space, const struct policy_packet *packet)
{
	if (rule->destination.n_ports == 0 || policy_rule_matches(rule, space, packet))
		return false;
	for (int step = -1; step <= 1; step += 2) {
		struct policy_packet beside = *packet;
		beside.destination_port = (uint16_t)(packet->destination_port + step);
		if (policy_rule_matches(rule, space, &beside))
			return true;
	}
	return false;
}

static void cover_explanation(struct policy_gen_coverage *coverage, const struct policy_nic *nic,
	const struct policy_packet *packet)
{
	const struct policy_explanation explanation = policy_explain(nic, packet);
	const struct policy_verdict *verdict = &explanation.verdict;
	bool own = verdict->reason == POLICY_BY_RULE && verdict->rule->priority <= POLICY_PRIORITY_MAX;

	COUNT(coverage, VERDICT_ALLOW, verdict->allow);
	COUNT(coverage, VERDICT_DENY, !verdict->allow);
	COUNT(coverage, BY_OWN_RULE, own);
	COUNT(coverage, BY_DEFAULT_RULE, verdict->reason == POLICY_BY_RULE && !own);
	COUNT(coverage, BY_PLATFORM, verdict->reason == POLICY_BY_PLATFORM);
	COUNT(coverage, BY_NO_GROUP, verdict->reason == POLICY_BY_NO_GROUP);
	COUNT(coverage, BY_ADDRESS, verdict->reason == POLICY_BY_ADDRESS);
	if (explanation.n_steps == 2) {
		COUNT(coverage, FIRST_DENIES, !explanation.steps[0].allow && explanation.steps[1].allow);
		COUNT(coverage, SECOND_DENIES, explanation.steps[0].allow && !explanation.steps[1].allow);
	}
	if (own)
		cover_deciding(coverage, verdict->rule, &nic->space, packet);
	for (unsigned i = 0; i < explanation.n_steps; i++)
		for (size_t j = 0; j < explanation.steps[i].group->n_rules; j++)
			COUNT(coverage, EDGE_OUTSIDE,
				misses_by_one(&explanation.steps[i].group->rules[j], &nic->space, packet));
}

void policy_gen_cover_packet(struct policy_gen_coverage *coverage, const struct policy_gen_world *world,
	const struct policy_gen_packet *packet)
{
	const struct policy_packet *fields = &packet->packet;
	struct policy_nic nic = policy_gen_policy(world, packet->nic, packet->address);

	COUNT(coverage, PACKET_INBOUND, fields->direction == POLICY_INBOUND);
	COUNT(coverage, PACKET_OUTBOUND, fields->direction == POLICY_OUTBOUND);
	COUNT(coverage, PACKET_V4, fields->source.family == IP_V4);
	COUNT(coverage, PACKET_V6, fields->source.family == IP_V6);
	COUNT(coverage, PACKET_TCP, fields->protocol == POLICY_TCP);
	COUNT(coverage, PACKET_UDP, fields->protocol == POLICY_UDP);
	COUNT(coverage, PACKET_ICMP, fields->protocol == POLICY_ICMP);
	COUNT(coverage, PACKET_ESP, fields->protocol == POLICY_ESP);
	COUNT(coverage, PACKET_AH, fields->protocol == POLICY_AH);
	COUNT(coverage, PACKET_NUMBER, !has_word(fields->protocol));
	cover_explanation(coverage, &nic, fields);
}
