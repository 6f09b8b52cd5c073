/* Compiled security groups: see classifier.h. */
#include "switch/classifier.h"

#include "switch/wire.h"

#include <glib.h>

/* An address as numbers that a mask can be laid over: IPv4 in `high` alone. */
struct wide {
	uint64_t high, low;
};

struct mask {
	struct wide value, bits;
	uint8_t family;
};

struct side {
	uint8_t tags;
	unsigned first_mask, n_masks; /* in the classifier's array */
	unsigned first_range, n_ranges;
};

struct rule {
	uint8_t protocol;
	uint8_t allow;
	uint16_t priority;
	struct side source, destination;
	char *name; /* Owned */
};

struct classifier {
	GArray *rules[2]; /* Owned, of struct rule, by direction, in order of priority */
	GArray *masks; /* Owned, of struct mask */
	GArray *ranges; /* Owned, of struct policy_ports */
};

/* ---- compiling ---- */

static struct wide wide_of(struct ip_addr addr)
{
	if (addr.family == IP_V4)
		return (struct wide){.high = (uint64_t)load32(addr.bytes) << 32};
	return (struct wide){
		.high = (uint64_t)load32(addr.bytes) << 32 | load32(addr.bytes + 4),
		.low = (uint64_t)load32(addr.bytes + 8) << 32 | load32(addr.bytes + 12),
	};
}

/* The highest n of 64 bits. */
static uint64_t high_bits(unsigned n)
{
	return n == 0 ? 0 : n >= 64 ? UINT64_MAX : ~(UINT64_MAX >> n);
}

static struct mask mask_of(struct ip_prefix prefix)
{
	return (struct mask){
		.value = wide_of(prefix.addr),
		.bits = {high_bits(prefix.length), high_bits(prefix.length > 64 ? prefix.length - 64u : 0)},
		.family = prefix.addr.family,
	};
}

static struct side compile_side(struct classifier *classifier, const struct policy_side *side)
{
	struct side compiled = {
		.tags = side->tags,
		.first_mask = classifier->masks->len,
		.n_masks = (unsigned)side->n_prefixes,
		.first_range = classifier->ranges->len,
		.n_ranges = (unsigned)side->n_ports,
	};

	g_assert(side->n_groups == 0);
	for (size_t i = 0; i < side->n_prefixes; i++) {
		struct mask mask = mask_of(side->prefixes[i]);
		g_array_append_val(classifier->masks, mask);
	}
	if (side->n_ports)
		g_array_append_vals(classifier->ranges, side->ports, (unsigned)side->n_ports);
	return compiled;
}

static void compile_rules(struct classifier *classifier, const struct policy_rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct rule rule = {
			.protocol = rules[i].protocol,
			.allow = rules[i].action == POLICY_ALLOW,
			.priority = rules[i].priority,
			.source = compile_side(classifier, &rules[i].source),
			.destination = compile_side(classifier, &rules[i].destination),
			.name = g_strdup(rules[i].name),
		};
		g_array_append_val(classifier->rules[rules[i].direction], rule);
	}
}

static int by_priority(const void *a, const void *b)
{
	return (int)((const struct rule *)a)->priority - (int)((const struct rule *)b)->priority;
}

static void rule_clear(void *data)
{
	g_free(((struct rule *)data)->name);
}

struct classifier *classifier_new(const struct policy_group *group)
{
	struct classifier *classifier = g_new0(struct classifier, 1);
	size_t n_defaults;
	const struct policy_rule *defaults = policy_default_rules(&n_defaults);

	classifier->masks = g_array_new(false, false, sizeof(struct mask));
	classifier->ranges = g_array_new(false, false, sizeof(struct policy_ports));
	for (unsigned d = 0; d < 2; d++) {
		classifier->rules[d] = g_array_new(false, false, sizeof(struct rule));
		g_array_set_clear_func(classifier->rules[d], rule_clear);
	}
	compile_rules(classifier, group->rules, group->n_rules);
	compile_rules(classifier, defaults, n_defaults);
	for (unsigned d = 0; d < 2; d++)
		g_array_sort(classifier->rules[d], by_priority);
	return classifier;
}

void classifier_free(struct classifier *classifier)
{
	if (!classifier)
		return;
	for (unsigned d = 0; d < 2; d++)
		g_array_unref(classifier->rules[d]);
	g_array_unref(classifier->masks);
	g_array_unref(classifier->ranges);
	g_free(classifier);
}

/* ---- checking ---- */

static bool address_matches(const struct classifier *classifier, const struct side *side, uint8_t tags,
	struct ip_addr addr, struct wide wide)
{
	if (side->tags & tags)
		return true;
	for (unsigned i = 0; i < side->n_masks; i++) {
		const struct mask *mask =
			&g_array_index(classifier->masks, struct mask, side->first_mask + i);
		if (mask->family == addr.family && (wide.high & mask->bits.high) == mask->value.high &&
			(wide.low & mask->bits.low) == mask->value.low)
			return true;
	}
	return false;
}

static bool port_matches(
	const struct classifier *classifier, const struct side *side, bool has_ports, uint16_t port)
{
	if (side->n_ranges == 0)
		return true;
	for (unsigned i = 0; has_ports && i < side->n_ranges; i++) {
		const struct policy_ports *range =
			&g_array_index(classifier->ranges, struct policy_ports, side->first_range + i);
		if (range->first <= port && port <= range->last)
			return true;
	}
	return false;
}

struct classifier_verdict classifier_check(const struct classifier *classifier,
	enum policy_direction direction, const struct classifier_packet *packet)
{
	const GArray *rules = classifier->rules[direction];
	struct wide source = wide_of(packet->source), destination = wide_of(packet->destination);
	uint8_t source_tags = packet->source_tags | POLICY_TAG_ANY;
	uint8_t destination_tags = packet->destination_tags | POLICY_TAG_ANY;

	for (unsigned i = 0; i < rules->len; i++) {
		const struct rule *rule = &g_array_index(rules, struct rule, i);
		if (rule->protocol != POLICY_ANY && rule->protocol != packet->protocol)
			continue;
		if (!port_matches(
			    classifier, &rule->destination, packet->has_ports, packet->destination_port) ||
			!port_matches(classifier, &rule->source, packet->has_ports, packet->source_port))
			continue;
		if (address_matches(classifier, &rule->source, source_tags, packet->source, source) &&
			address_matches(classifier, &rule->destination, destination_tags, packet->destination,
				destination))
			return (struct classifier_verdict){.allow = rule->allow, .rule = rule->name};
	}
	g_assert_not_reached(); /* DenyAllInBound and DenyAllOutBound match everything */
}

uint8_t classifier_tags(const struct policy_space *space, struct ip_addr addr)
{
	static const struct ip_addr platform = {.family = IP_V4, .bytes = {168, 63, 129, 16}};

	if (ip_equal(addr, platform))
		return POLICY_TAG_VIRTUAL_NETWORK | POLICY_TAG_LOAD_BALANCER;
	for (size_t i = 0; i < space->n_prefixes; i++)
		if (prefix_contains(space->prefixes[i], addr))
			return POLICY_TAG_VIRTUAL_NETWORK;
	return POLICY_TAG_INTERNET;
}
