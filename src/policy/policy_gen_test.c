/* The generator of random worlds, and what holds in all of them. SEED=N starts elsewhere. */
#include "policy/policy_gen.h"

#include "base/fault.h"
#include "policy/policy_effective.h"
#include "policy/policy_json.h"
#include "policy/policy_state.h"

#define WORLDS  40
#define PACKETS 400 /* in each */

static uint64_t first_seed(void)
{
	const char *text = g_getenv("SEED");

	return text ? g_ascii_strtoull(text, NULL, 10) : 1;
}

static char *state_text(const struct policy_gen *gen)
{
	json_t *state = policy_gen_state(gen, 7);
	char *text = json_dumps(state, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(state);
	return text;
}

static void test_deterministic(void)
{
	const struct policy_gen_config config = {.rules_max = 60};
	_cleanup_(policy_gen_free) struct policy_gen *a = policy_gen_new(5, &config);
	_cleanup_(policy_gen_free) struct policy_gen *b = policy_gen_new(5, &config);
	_cleanup_(policy_gen_free) struct policy_gen *other = policy_gen_new(6, &config);

	for (unsigned i = 0; i < 10; i++) {
		char *text = state_text(a), *same = state_text(b), *different = state_text(other);
		g_assert_cmpstr(text, ==, same);
		g_assert_cmpstr(text, !=, different);
		free(text);
		free(same);
		free(different);
		struct policy_gen_packet x = policy_gen_packet(a, i), y = policy_gen_packet(b, i);
		g_assert_cmpmem(
			&x.packet.source, sizeof x.packet.source, &y.packet.source, sizeof y.packet.source);
		g_assert_cmpmem(&x.packet.destination, sizeof x.packet.destination, &y.packet.destination,
			sizeof y.packet.destination);
		g_assert_cmpuint(x.packet.destination_port, ==, y.packet.destination_port);
		policy_gen_change(a);
		policy_gen_change(b);
	}
}

static void test_coverage(void)
{
	struct policy_gen_coverage coverage = {};
	unsigned missing = 0;

	for (unsigned i = 0; i < WORLDS; i++) {
		_cleanup_(policy_gen_free) struct policy_gen *gen =
			policy_gen_new(first_seed() + i, &(struct policy_gen_config){});
		const struct policy_gen_world *world = policy_gen_world(gen);
		policy_gen_cover_world(&coverage, world);
		for (unsigned p = 0; p < PACKETS; p++) {
			struct policy_gen_packet packet = policy_gen_packet(gen, p % world->n_nics);
			policy_gen_cover_packet(&coverage, world, &packet);
		}
	}
	for (enum policy_gen_feature f = 0; f < POLICY_GEN_N_FEATURES; f++) {
		g_test_message("%8u %s", coverage.counts[f], policy_gen_feature_text(f));
		missing += coverage.counts[f] == 0;
	}
	g_assert_cmpuint(missing, ==, 0);
	/* Either answer is common, and so are own rules that decide. */
	g_assert_cmpuint(coverage.counts[POLICY_GEN_VERDICT_ALLOW] * 4, >, WORLDS * PACKETS);
	g_assert_cmpuint(coverage.counts[POLICY_GEN_VERDICT_DENY] * 4, >, WORLDS * PACKETS);
	g_assert_cmpuint(coverage.counts[POLICY_GEN_BY_OWN_RULE] * 3, >, WORLDS * PACKETS);
}

/* A NIC's new group may be its old one; but changes that change nothing would test nothing. */
static void test_changes(void)
{
	unsigned changed = 0;

	for (unsigned i = 0; i < WORLDS; i++) {
		_cleanup_(policy_gen_free) struct policy_gen *gen =
			policy_gen_new(first_seed() + i, &(struct policy_gen_config){.rules_max = 60});
		char *before = state_text(gen);
		policy_gen_change(gen);
		char *after = state_text(gen);
		changed += !g_str_equal(before, after);
		free(before);
		free(after);
	}
	g_assert_cmpuint(changed * 4, >=, WORLDS * 3);
}

static void test_configuration(void)
{
	const struct policy_gen_config config = {
		.rules_max = 5,
		.groups = 3,
		.networks = 1,
		.nics = 4,
		.no_ipv6 = true,
		.no_application_groups = true,
		.no_numbers = true,
	};
	struct policy_gen_coverage coverage = {};

	for (unsigned i = 0; i < WORLDS; i++) {
		_cleanup_(policy_gen_free) struct policy_gen *gen = policy_gen_new(first_seed() + i, &config);
		const struct policy_gen_world *world = policy_gen_world(gen);
		g_assert_cmpuint(world->n_groups, ==, 3);
		g_assert_cmpuint(world->n_networks, ==, 1);
		g_assert_cmpuint(world->n_nics, ==, 4);
		for (unsigned g = 0; g < world->n_groups; g++)
			g_assert_cmpuint(world->groups[g].n_rules, <=, 5);
		policy_gen_cover_world(&coverage, world);
	}
	g_assert_cmpuint(coverage.counts[POLICY_GEN_NIC_V6], ==, 0);
	g_assert_cmpuint(coverage.counts[POLICY_GEN_SIDE_GROUP], ==, 0);
	g_assert_cmpuint(coverage.counts[POLICY_GEN_RULE_NUMBER], ==, 0);
	g_assert_cmpuint(coverage.counts[POLICY_GEN_SIDE_V6], >, 0);
}

/* ---- what holds in every world ---- */

static void assert_same(const struct policy_explanation *a, const struct policy_explanation *b)
{
	g_assert_cmpint(a->verdict.allow, ==, b->verdict.allow);
	g_assert_cmpint(a->verdict.reason, ==, b->verdict.reason);
	g_assert_cmpuint(a->n_steps, ==, b->n_steps);
	for (unsigned i = 0; i < a->n_steps; i++) {
		g_assert_cmpint(a->steps[i].at, ==, b->steps[i].at);
		g_assert_cmpstr(a->steps[i].rule->name, ==, b->steps[i].rule->name);
	}
}

/* The verdicts of the world, and of what its state says once it was JSON. */
static void compare_with_state(struct policy_gen *gen)
{
	const struct policy_gen_world *world = policy_gen_world(gen);
	g_autoptr(GError) error = NULL;
	json_t *json = policy_gen_state(gen, 1);
	_cleanup_(policy_state_free) struct policy_state *state = policy_state_decode(json, &error);

	json_decref(json);
	g_assert_no_error(error);
	g_assert_cmpuint(policy_state_length(state), ==, world->n_nics);
	for (unsigned i = 0; i < 100; i++) {
		struct policy_gen_packet packet = policy_gen_packet(gen, i % world->n_nics);
		const struct policy_state_nic *nic =
			policy_state_find(state, world->nics[packet.nic].uid, NULL);
		const struct policy_nic expected = policy_gen_policy(world, packet.nic, packet.address);
		struct policy_nic actual = nic->policy;
		actual.standard_address = nic->addresses[packet.address].standard;
		struct policy_explanation a = policy_explain(&expected, &packet.packet);
		struct policy_explanation b = policy_explain(&actual, &packet.packet);
		assert_same(&a, &b);
	}
}

static void test_state(void)
{
	for (unsigned i = 0; i < WORLDS; i++) {
		_cleanup_(policy_gen_free) struct policy_gen *gen =
			policy_gen_new(first_seed() + i, &(struct policy_gen_config){.rules_max = 100});
		g_test_message("seed %" G_GUINT64_FORMAT, first_seed() + i);
		for (unsigned change = 0; change < 3; change++) {
			compare_with_state(gen);
			policy_gen_change(gen);
		}
	}
}

static bool lists(const GArray *prefixes, struct ip_addr addr)
{
	for (unsigned i = 0; i < prefixes->len; i++)
		if (prefix_contains(g_array_index(prefixes, struct ip_prefix, i), addr))
			return true;
	return false;
}

/* A walk down the effective rules with tags and groups resolved gives the same rule. */
static const struct policy_rule *walk(
	const struct policy_nic *nic, const struct policy_step *step, const struct policy_packet *packet)
{
	g_autoptr(GArray) list = policy_effective(nic, packet->direction);

	for (unsigned i = 0; i < list->len; i++) {
		const struct policy_effective_rule *entry =
			&g_array_index(list, struct policy_effective_rule, i);
		struct policy_rule open = *entry->rule;
		open.source.tags = open.destination.tags = POLICY_TAG_ANY;
		if (entry->at != step->at || !policy_rule_matches(&open, &nic->space, packet))
			continue;
		g_autoptr(GArray) sources = policy_side_prefixes(&entry->rule->source, &nic->space);
		g_autoptr(GArray) destinations = policy_side_prefixes(&entry->rule->destination, &nic->space);
		if (lists(sources, packet->source) && lists(destinations, packet->destination))
			return entry->rule;
	}
	return NULL;
}

static void test_effective(void)
{
	for (unsigned i = 0; i < WORLDS; i++) {
		_cleanup_(policy_gen_free) struct policy_gen *gen =
			policy_gen_new(first_seed() + i, &(struct policy_gen_config){.rules_max = 60});
		const struct policy_gen_world *world = policy_gen_world(gen);
		g_test_message("seed %" G_GUINT64_FORMAT, first_seed() + i);
		for (unsigned p = 0; p < 50; p++) {
			struct policy_gen_packet packet = policy_gen_packet(gen, p % world->n_nics);
			struct policy_nic nic = policy_gen_policy(world, packet.nic, packet.address);
			struct policy_explanation expected = policy_explain(&nic, &packet.packet);
			for (unsigned s = 0; s < expected.n_steps; s++)
				g_assert_true(walk(&nic, &expected.steps[s], &packet.packet) ==
					      expected.steps[s].rule);
		}
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/policy_gen/a seed gives one world and its packets", test_deterministic);
	g_test_add_func("/policy_gen/worlds and packets have every feature", test_coverage);
	g_test_add_func("/policy_gen/a change changes the world", test_changes);
	g_test_add_func("/policy_gen/a configuration is kept to", test_configuration);
	g_test_add_func("/policy_gen/verdicts survive the state's JSON", test_state);
	g_test_add_func(
		"/policy_gen/effective rules, resolved, decide as the evaluator does", test_effective);
	return g_test_run();
}
