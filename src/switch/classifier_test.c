/* The compiled classifier against the reference evaluator. --seed replays; -m slow has ten times the worlds. */
#include "switch/classifier.h"

#include "policy/policy_gen.h"
#include "switch/membership.h"
#include "switch/test_values.h"

#define PACKETS   1000 /* of a world */
#define RULES_MAX 1500 /* of a group */

static struct classifier_packet compile_packet(
	const struct membership_map *memberships, const struct policy_packet *packet)
{
	const struct membership source = membership_find(memberships, packet->source);
	const struct membership destination = membership_find(memberships, packet->destination);

	return (struct classifier_packet){
		.protocol = packet->protocol,
		.has_ports = packet->protocol == POLICY_TCP || packet->protocol == POLICY_UDP,
		.source_tags = source.tags,
		.destination_tags = destination.tags,
		.source = packet->source,
		.destination = packet->destination,
		.source_port = packet->source_port,
		.destination_port = packet->destination_port,
		.n_source_groups = source.n_groups,
		.n_destination_groups = destination.n_groups,
		.source_groups = source.groups,
		.destination_groups = destination.groups,
	};
}

/* ---- worlds ---- */

/* A world with its groups compiled. */
struct compiled {
	struct policy_gen *gen;
	const struct policy_gen_world *world;
	GPtrArray *groups; /* of struct policy_group: the world's, and one of all their rules */
	GPtrArray *classifiers; /* of the same */
	GPtrArray *memberships; /* of the networks */
};

static bool is_taken(const GArray *rules, const struct policy_rule *rule)
{
	for (unsigned i = 0; i < rules->len; i++) {
		const struct policy_rule *other = &g_array_index(rules, struct policy_rule, i);
		if (other->priority == rule->priority && other->direction == rule->direction)
			return true;
	}
	return false;
}

/* The rules of all groups, but for priorities that are taken: more than any has. */
static GArray *merge_rules(const struct policy_gen_world *world)
{
	GArray *rules = g_array_new(false, false, sizeof(struct policy_rule));

	for (unsigned g = 0; g < world->n_groups; g++)
		for (size_t i = 0; i < world->groups[g].n_rules && rules->len < RULES_MAX; i++)
			if (!is_taken(rules, &world->groups[g].rules[i]))
				g_array_append_val(rules, world->groups[g].rules[i]);
	return rules;
}

static void compile_world(struct compiled *c, const struct policy_gen_config *config, GArray **ret_merged,
	struct policy_group *merged)
{
	uint64_t seed = (uint64_t)(uint32_t)g_test_rand_int() << 32 | (uint32_t)g_test_rand_int();

	c->gen = policy_gen_new(seed, config);
	c->world = policy_gen_world(c->gen);
	c->groups = g_ptr_array_new();
	c->classifiers = g_ptr_array_new_with_free_func((GDestroyNotify)classifier_free);
	c->memberships = g_ptr_array_new_with_free_func((GDestroyNotify)membership_map_free);
	*ret_merged = merge_rules(c->world);
	*merged = (struct policy_group){.name = "merged",
		.n_rules = (*ret_merged)->len,
		.rules = &g_array_index(*ret_merged, struct policy_rule, 0)};
	for (unsigned g = 0; g < c->world->n_groups; g++)
		g_ptr_array_add(c->groups, &c->world->groups[g]);
	g_ptr_array_add(c->groups, merged);
	for (unsigned g = 0; g < c->groups->len; g++)
		g_ptr_array_add(c->classifiers, classifier_new(c->groups->pdata[g]));
	for (unsigned n = 0; n < c->world->n_networks; n++)
		g_ptr_array_add(c->memberships, membership_map_new(&c->world->networks[n].space, NULL));
}

static void compiled_done(struct compiled *c)
{
	g_ptr_array_unref(c->groups);
	g_ptr_array_unref(c->classifiers);
	g_ptr_array_unref(c->memberships);
	policy_gen_free(c->gen);
}

/* ---- verdicts ---- */

struct tally {
	unsigned allowed, denied, by_own_rule, by_application_group, cases;
	size_t most_rules;
	struct policy_gen_coverage coverage;
};

static bool is_by_application_group(
	const struct policy_rule *rule, const struct policy_space *space, const struct policy_packet *packet)
{
	struct policy_space nobody = *space;

	nobody.n_members = 0;
	return !policy_rule_matches(rule, &nobody, packet);
}

static void check_packet(
	struct compiled *c, unsigned group, const struct policy_gen_packet *packet, struct tally *tally)
{
	unsigned network = c->world->nics[packet->nic].network;
	const struct policy_nic nic = {
		.nic_group = c->groups->pdata[group], .space = c->world->networks[network].space};
	const struct policy_verdict expected = policy_check(&nic, &packet->packet);
	const struct classifier_packet compiled =
		compile_packet(c->memberships->pdata[network], &packet->packet);

	/* Platform addresses pass groups before a classifier is asked (layers/group.c). */
	if (expected.reason != POLICY_BY_RULE)
		return;
	struct classifier_verdict verdict = classifier_check(
		c->classifiers->pdata[group], (enum policy_direction)packet->packet.direction, &compiled);
	g_assert_cmpstr(verdict.rule, ==, expected.rule->name);
	g_assert_cmpint(verdict.allow, ==, expected.allow);
	tally->cases++;
	tally->allowed += verdict.allow;
	tally->denied += !verdict.allow;
	tally->by_own_rule += expected.rule->priority < 65000;
	tally->by_application_group += is_by_application_group(expected.rule, &nic.space, &packet->packet);
}

/* Each packet is shown to every group, and was aimed at those of its NIC. */
static void check_worlds(const struct policy_gen_config *config, unsigned worlds, struct tally *tally)
{
	*tally = (struct tally){};
	for (unsigned w = 0; w < worlds * (g_test_slow() ? 10 : 1); w++) {
		g_autoptr(GArray) merged = NULL;
		struct policy_group merged_group;
		struct compiled c = {};
		compile_world(&c, config, &merged, &merged_group);
		tally->most_rules = MAX(tally->most_rules, merged_group.n_rules);
		policy_gen_cover_world(&tally->coverage, c.world);
		for (unsigned i = 0; i < PACKETS; i++) {
			struct policy_gen_packet packet = policy_gen_packet(c.gen, i % c.world->n_nics);
			policy_gen_cover_packet(&tally->coverage, c.world, &packet);
			for (unsigned g = 0; g < c.groups->len; g++)
				check_packet(&c, g, &packet, tally);
		}
		compiled_done(&c);
	}
	g_test_message("%u cases: %u allowed, %u by own rules, %u by application groups", tally->cases,
		tally->allowed, tally->by_own_rule, tally->by_application_group);
	/* The cases are worth something only if all kinds of verdict are among them. */
	g_assert_cmpuint(tally->allowed, >, tally->cases / 10);
	g_assert_cmpuint(tally->denied, >, tally->cases / 10);
	g_assert_cmpuint(tally->by_own_rule, >, tally->cases / 10);
	g_assert_cmpuint(tally->by_application_group, >, tally->cases / 1000);
}

static void test_few_rules(void)
{
	struct tally tally;

	check_worlds(&(struct policy_gen_config){.rules_max = 20}, 30, &tally);
}

static void test_many_rules(void)
{
	struct tally tally;

	check_worlds(&(struct policy_gen_config){.groups = 16}, 6, &tally);
	g_assert_cmpuint(tally.most_rules, ==, RULES_MAX);
	for (enum policy_gen_feature f = 0; f < POLICY_GEN_N_FEATURES; f++)
		g_test_message("%8u %s", tally.coverage.counts[f], policy_gen_feature_text(f));
	g_assert_cmpuint(tally.coverage.counts[POLICY_GEN_EDGE_INSIDE], >, 0);
	g_assert_cmpuint(tally.coverage.counts[POLICY_GEN_EDGE_OUTSIDE], >, 0);
	g_assert_cmpuint(tally.coverage.counts[POLICY_GEN_PACKET_V6], >, 0);
}

/* ---- what is known without a reference ---- */

static void test_defaults(void)
{
	const struct policy_group empty = {.name = "empty"};
	_cleanup_(classifier_free) struct classifier *classifier = classifier_new(&empty);
	struct classifier_packet packet = {.protocol = POLICY_TCP, .source = test_addr("1.2.3.4")};

	packet.destination = test_addr("10.0.0.4");
	packet.source_tags = POLICY_TAG_INTERNET;
	packet.destination_tags = POLICY_TAG_VIRTUAL_NETWORK;
	g_assert_cmpstr(classifier_check(classifier, POLICY_INBOUND, &packet).rule, ==, "DenyAllInBound");
	packet.source_tags = POLICY_TAG_VIRTUAL_NETWORK;
	g_assert_cmpstr(classifier_check(classifier, POLICY_INBOUND, &packet).rule, ==, "AllowVnetInBound");
	packet.destination_tags = POLICY_TAG_INTERNET;
	g_assert_cmpstr(
		classifier_check(classifier, POLICY_OUTBOUND, &packet).rule, ==, "AllowInternetOutBound");
}

static void test_platform(void)
{
	const struct policy_space space = {};
	_cleanup_(membership_map_free) struct membership_map *map = membership_map_new(&space, NULL);

	g_assert_cmpuint(membership_find(map, test_addr("168.63.129.16")).tags, ==,
		POLICY_TAG_VIRTUAL_NETWORK | POLICY_TAG_LOAD_BALANCER);
	g_assert_cmpuint(membership_find(map, test_addr("168.63.129.15")).tags, ==, POLICY_TAG_INTERNET);
	g_assert_cmpuint(membership_find(map, test_addr("168.63.129.17")).tags, ==, POLICY_TAG_INTERNET);
	g_assert_cmpuint(membership_find(map, test_addr("a83f:8110::")).tags, ==, POLICY_TAG_INTERNET);
}

/* An address is in many groups, each rule names the last of them. */
static void test_many_groups(void)
{
	struct policy_members members[CLASSIFIER_GROUPS_MAX];
	const struct ip_prefix prefix = test_prefix("10.0.0.4/32");
	const uint32_t last = 1000;
	const struct policy_rule rule = {.name = "last",
		.priority = 100,
		.direction = POLICY_INBOUND,
		.action = POLICY_ALLOW,
		.source = {.n_groups = 1, .groups = &last},
		.destination.tags = POLICY_TAG_ANY};
	const struct policy_group group = {.name = "g", .n_rules = 1, .rules = &rule};

	for (uint32_t i = 0; i < CLASSIFIER_GROUPS_MAX; i++)
		members[i] = (struct policy_members){
			.group = last - i, .name = "m", .n_prefixes = 1, .prefixes = &prefix};
	const struct policy_space space = {.n_members = CLASSIFIER_GROUPS_MAX, .members = members};
	_cleanup_(membership_map_free) struct membership_map *map = membership_map_new(&space, NULL);
	_cleanup_(classifier_free) struct classifier *classifier = classifier_new(&group);
	struct policy_packet packet = {.protocol = POLICY_UDP,
		.source = test_addr("10.0.0.4"),
		.destination = test_addr("10.0.0.5")};
	struct classifier_packet compiled = compile_packet(map, &packet);
	g_assert_cmpuint(compiled.n_source_groups, ==, CLASSIFIER_GROUPS_MAX);
	g_assert_cmpuint(compiled.n_destination_groups, ==, 0);
	g_assert_cmpstr(classifier_check(classifier, POLICY_INBOUND, &compiled).rule, ==, "last");
	packet.source = test_addr("10.0.0.3");
	compiled = compile_packet(map, &packet);
	g_assert_cmpstr(classifier_check(classifier, POLICY_INBOUND, &compiled).rule, ==, "DenyAllInBound");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/classifier/agrees with the reference on groups of few rules", test_few_rules);
	g_test_add_func(
		"/classifier/agrees with the reference on groups of up to 1500 rules", test_many_rules);
	g_test_add_func("/classifier/default rules come last in every group", test_defaults);
	g_test_add_func("/classifier/the platform address has its tags, its neighbours not", test_platform);
	g_test_add_func("/classifier/an address may be in many application groups", test_many_groups);
	return g_test_run();
}
