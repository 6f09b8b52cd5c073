/* Random packets, aimed at rules. */
#include "policy/policy_gen_priv.h"

#include <netinet/in.h>

/* ---- addresses ---- */

/* In the prefix, at one of its edges, or one beside. */
static struct ip_addr around(struct policy_gen *gen, struct ip_prefix prefix)
{
	switch (gen_below(&gen->random, 8)) {
	case 0:
	case 1: return prefix.addr;
	case 2:
	case 3: return gen_last(prefix);
	case 4: return gen_before(prefix.addr);
	case 5: return gen_after(gen_last(prefix));
	default: {
		struct ip_addr addr = gen_address(gen, prefix.addr.family);
		for (unsigned bit = 0; bit < prefix.length; bit++) {
			uint8_t mask = (uint8_t)(0x80 >> bit % 8);
			addr.bytes[bit / 8] = (uint8_t)((addr.bytes[bit / 8] & ~mask) |
							(prefix.addr.bytes[bit / 8] & mask));
		}
		return addr;
	}
	}
}

/* Around one of the prefixes of the family; an address that nobody aims at when there is none. */
static struct ip_addr around_one(
	struct policy_gen *gen, const struct ip_prefix *prefixes, size_t n, uint8_t family)
{
	unsigned start = gen_below(&gen->random, (unsigned)n);

	for (unsigned i = 0; i < n; i++)
		if (prefixes[(start + i) % n].addr.family == family)
			return around(gen, prefixes[(start + i) % n]);
	return gen_address(gen, family);
}

static struct ip_addr around_members(
	struct policy_gen *gen, uint32_t group, const struct policy_space *space, uint8_t family)
{
	for (size_t i = 0; i < space->n_members; i++)
		if (space->members[i].group == group)
			return around_one(
				gen, space->members[i].prefixes, space->members[i].n_prefixes, family);
	return gen_address(gen, family);
}

static struct ip_addr aim_at_side(struct policy_gen *gen, const struct policy_side *side,
	const struct policy_space *space, uint8_t family)
{
	struct gen_random *random = &gen->random;

	if (side->n_groups && gen_once_in(random, 2))
		return around_members(
			gen, side->groups[gen_below(random, (unsigned)side->n_groups)], space, family);
	if (side->n_prefixes && (!side->tags || gen_once_in(random, 2)))
		return around_one(gen, side->prefixes, side->n_prefixes, family);
	if (side->tags & POLICY_TAG_LOAD_BALANCER && family == IP_V4 && gen_once_in(random, 2))
		return around(gen, policy_platform_prefix());
	if (side->tags & (POLICY_TAG_VIRTUAL_NETWORK | POLICY_TAG_INTERNET))
		return around_one(gen, space->prefixes, space->n_prefixes, family);
	return gen_address(gen, family);
}

/* ---- ports ---- */

/* In a range of the side, at its edges, or one beside. */
static uint16_t aim_at_ports(struct gen_random *random, const struct policy_side *side)
{
	if (side->n_ports == 0)
		return gen_port(random);
	struct policy_ports ports = side->ports[gen_below(random, (unsigned)side->n_ports)];
	switch (gen_below(random, 8)) {
	case 0:
	case 1: return ports.first;
	case 2:
	case 3: return ports.last;
	case 4: return (uint16_t)(ports.first - 1);
	case 5: return (uint16_t)(ports.last + 1);
	default: return (uint16_t)(ports.first + gen_below(random, ports.last - ports.first + 1u));
	}
}

static uint8_t aim_at_protocol(struct policy_gen *gen, const struct policy_rule *rule)
{
	static const uint8_t protocols[] = {POLICY_TCP, POLICY_TCP, POLICY_TCP, POLICY_UDP, POLICY_UDP,
		POLICY_ICMP, POLICY_ESP, POLICY_AH, IPPROTO_GRE, IPPROTO_SCTP};

	if (rule && rule->protocol != POLICY_ANY && !gen_once_in(&gen->random, 10))
		return rule->protocol;
	return protocols[gen_below(&gen->random, G_N_ELEMENTS(protocols))];
}

/* ---- packets ---- */

/* Whether the rule, were it for any other end, protocol and port, matched packets of the near end. */
static bool suits(const struct policy_rule *rule, const struct policy_space *space, struct ip_addr near)
{
	bool inbound = rule->direction == POLICY_INBOUND;
	struct policy_rule open = {
		.direction = rule->direction, .source = rule->source, .destination = rule->destination};
	const struct policy_packet packet = {
		.direction = rule->direction, .source = near, .destination = near};

	*(inbound ? &open.source : &open.destination) = (struct policy_side){.tags = POLICY_TAG_ANY};
	(inbound ? &open.destination : &open.source)->n_ports = 0;
	return policy_rule_matches(&open, space, &packet);
}

/* A rule of one of the groups that the packet will meet, mostly one that suits; NULL: aim at none. */
static const struct policy_rule *random_target(
	struct policy_gen *gen, const struct policy_nic *nic, uint8_t direction, struct ip_addr near)
{
	struct gen_random *random = &gen->random;
	struct policy_step steps[2];
	unsigned n = policy_order(nic, direction, steps);
	const struct policy_group *group = n ? steps[gen_below(random, n)].group : NULL;
	size_t n_rules = group ? group->n_rules : 0;
	unsigned start = gen_below(random, (unsigned)n_rules);
	bool any = gen_once_in(random, 8);

	if (gen_once_in(random, 10))
		return NULL;
	for (unsigned i = 0; i < n_rules; i++) {
		const struct policy_rule *rule = &group->rules[(start + i) % n_rules];
		if (rule->direction == direction && (any || suits(rule, &nic->space, near)))
			return rule;
	}
	return NULL;
}

static struct ip_addr far_end(struct policy_gen *gen, const struct policy_side *aim,
	const struct policy_nic *nic, struct ip_addr near)
{
	static const struct ip_addr metadata = {.family = IP_V4, .bytes = {169, 254, 169, 254}};
	struct ip_addr far =
		aim ? aim_at_side(gen, aim, &nic->space, near.family) : gen_address(gen, near.family);

	if (near.family == IP_V4 && gen_once_in(&gen->random, 40))
		far = gen_once_in(&gen->random, 2) ? metadata : policy_platform_prefix().addr;
	return ip_equal(far, near) ? gen_after(far) : far;
}

struct policy_gen_packet policy_gen_packet(struct policy_gen *gen, unsigned nic)
{
	static const struct policy_side any = {};
	const struct policy_gen_nic *subject = &gen->world.nics[nic];
	unsigned address = gen_below(&gen->random, subject->n_addresses);
	struct policy_nic policy = policy_gen_policy(&gen->world, nic, address);
	struct policy_packet packet = {
		.direction = gen_once_in(&gen->random, 2) ? POLICY_INBOUND : POLICY_OUTBOUND};
	bool inbound = packet.direction == POLICY_INBOUND;
	struct ip_addr near = subject->addresses[address].ip;
	const struct policy_rule *rule = random_target(gen, &policy, packet.direction, near);
	struct ip_addr far =
		far_end(gen, rule ? inbound ? &rule->source : &rule->destination : NULL, &policy, near);

	packet.source = inbound ? far : near;
	packet.destination = inbound ? near : far;
	packet.protocol = aim_at_protocol(gen, rule);
	if (packet.protocol == POLICY_TCP || packet.protocol == POLICY_UDP) {
		packet.source_port = aim_at_ports(&gen->random, rule ? &rule->source : &any);
		packet.destination_port = aim_at_ports(&gen->random, rule ? &rule->destination : &any);
	}
	return (struct policy_gen_packet){.nic = nic, .address = address, .packet = packet};
}
