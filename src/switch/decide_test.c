/* The walk through all layers against the reference evaluator: random groups on subnets and NICs, random
 * packets between two NICs of a network, to the outside, from the outside, and to a platform address. */
#include "switch/decide.h"

#include "base/fault.h"
#include "policy/policy_json.h"
#include "switch/state.h"
#include "switch/test_policy.h"

#define WORLDS  150
#define PACKETS 100

/* Groups 0 and 1 are on the subnets, 2 and 3 on the NICs; any may be absent. */
struct world {
	struct test_group groups[4];
	bool present[4];
	bool standard;
	struct snapshot *snapshot;
	const struct nic *nics[2];
};

static const char *const addresses[2] = {"10.1.1.4", "10.1.2.7"};
static const char *const publics[2] = {"203.0.113.77", "203.0.113.78"};

static json_t *group_reference(const struct world *world, unsigned i)
{
	return world->present[i] ? json_sprintf("group%u", i) : json_null();
}

static json_t *encode_groups(const struct world *world)
{
	json_t *groups = json_array();

	for (unsigned i = 0; i < 4; i++)
		if (world->present[i])
			json_array_append_new(
				groups, json_pack("{s:o, s:s, s:b, s:o}", "uid", json_sprintf("group%u", i),
						"name", "g", "revalidate", i % 2, "rules",
						policy_rules_encode(&world->groups[i].group)));
	return groups;
}

static json_t *encode_nic(const struct world *world, unsigned i)
{
	return json_pack(
		"{s:o, s:s, s:o, s:s, s:o, s:o, s:i, s:[{s:s, s:s, s:b}], s:o, s:s, s:s, s:[{s:s, s:o}]}",
		"uid", json_sprintf("nic%u", i), "name", "n", "mac", json_sprintf("02:00:00:00:00:0%u", i),
		"network", "net", "subnet", json_sprintf("subnet%u", i), "group",
		group_reference(world, 2 + i), "mtu", 1500, "addresses", "ip", addresses[i], "public",
		publics[i], "standard", world->standard, "host_address", json_sprintf("100.64.0.%u", 4 + i),
		"hostname", "h", "active", "function", "attachments", "kind", "function", "interface",
		json_sprintf("eth%u", i));
}

static json_t *encode_subnet(const struct world *world, unsigned i)
{
	return json_pack("{s:o, s:o, s:o, s:[], s:o}", "uid", json_sprintf("subnet%u", i), "prefix",
		json_sprintf("10.1.%u.0/24", i + 1), "gateway", json_sprintf("10.1.%u.1", i + 1), "dns",
		"group", group_reference(world, i));
}

static void world_make(struct world *world)
{
	g_autoptr(GError) error = NULL;

	world->standard = test_below(2);
	for (unsigned i = 0; i < 4; i++) {
		world->present[i] = test_below(3) > 0;
		test_random_group(&world->groups[i], "g");
		for (unsigned r = 0; r < world->groups[i].group.n_rules; r++) {
			struct policy_rule *rule = &world->groups[i].rules[r];
			/* A side of a rule in JSON must name some address. */
			if (!rule->source.tags && !rule->source.n_prefixes)
				rule->source.tags = POLICY_TAG_ANY;
			if (!rule->destination.tags && !rule->destination.n_prefixes)
				rule->destination.tags = POLICY_TAG_ANY;
		}
	}
	json_auto_t *state = json_pack(
		"{s:i, s:{s:s, s:s, s:s, s:s}, s:{s:s, s:s, s:s}, s:o, s:[{s:s, s:i, s:[s], s:[o,o]}], "
		"s:[o,o]}",
		"generation", 1, "outside", "interface", "out", "mac", "02:00:00:00:01:00", "prefix",
		"203.0.113.0/24", "gateway", "203.0.113.1", "host_port", "interface", "host", "mac",
		"02:00:00:00:02:00", "prefix", "100.64.0.0/10", "groups", encode_groups(world), "networks",
		"uid", "net", "vni", 1, "prefixes", "10.1.0.0/16", "subnets", encode_subnet(world, 0),
		encode_subnet(world, 1), "nics", encode_nic(world, 0), encode_nic(world, 1));
	g_assert_nonnull(state);
	world->snapshot = state_decode(state, NULL, &error);
	g_assert_no_error(error);
	world->nics[0] = world->snapshot->nics[0];
	world->nics[1] = world->snapshot->nics[1];
}

static struct policy_nic policy_nic_of(const struct world *world, unsigned i)
{
	return (struct policy_nic){
		.subnet_group = world->present[i] ? &world->groups[i].group : NULL,
		.nic_group = world->present[2 + i] ? &world->groups[2 + i].group : NULL,
		.space = {.n_prefixes = 1, .prefixes = world->nics[0]->network->prefixes},
		.standard_address = world->standard,
	};
}

static struct flow_key random_key(const char *source, const char *destination)
{
	static const uint8_t protocols[] = {1, 6, 6, 17, 17, 50, 51, 47};
	struct flow_key key = {.family = IP_V4, .protocol = protocols[test_below(G_N_ELEMENTS(protocols))]};

	memcpy(key.src, test_addr(source).bytes, 16);
	memcpy(key.dst, test_addr(destination).bytes, 16);
	if (key.protocol == 6 || key.protocol == 17) {
		key.sport = htobe16(test_random_port());
		key.dport = htobe16(test_random_port());
	} else if (key.protocol == 1) {
		key.sport = htobe16(7);
		key.dport = htobe16(8 << 8);
	}
	return key;
}

/* The reference's verdict for one NIC's side of the packet. */
static bool allows(const struct world *world, unsigned nic, enum policy_direction direction,
	const struct flow_key *key, const char *source, const char *destination)
{
	const struct policy_nic policy = policy_nic_of(world, nic);
	struct policy_packet packet = {
		.direction = direction,
		.protocol = key->protocol,
		.source = test_addr(source),
		.destination = test_addr(destination),
	};

	if (key->protocol == 6 || key->protocol == 17) {
		packet.source_port = be16toh(key->sport);
		packet.destination_port = be16toh(key->dport);
	}
	return policy_check(&policy, &packet).allow;
}

static void assert_verdict(const struct world *world, const struct flow_key *key, bool allowed)
{
	struct decision decision;

	g_assert_cmpint(decide(world->snapshot, key, false, &decision), ==, allowed);
	if (allowed)
		g_assert_cmpint(decision.drop, ==, DROP_NONE);
	else
		g_assert_true(decision.drop == DROP_DENIED_INBOUND || decision.drop == DROP_DENIED_OUTBOUND ||
			      decision.drop == DROP_NO_GROUP);
}

static bool check_between(const struct world *world, unsigned from, bool by_public)
{
	unsigned to = !from;
	const char *source_there = by_public ? publics[from] : addresses[from];
	const char *destination = by_public ? publics[to] : addresses[to];
	struct flow_key key = random_key(addresses[from], destination);
	bool allowed = allows(world, from, POLICY_OUTBOUND, &key, addresses[from], destination) &&
		       allows(world, to, POLICY_INBOUND, &key, source_there, addresses[to]);

	key.nic = world->nics[from]->id;
	assert_verdict(world, &key, allowed);
	return allowed;
}

static bool check_out(const struct world *world, unsigned nic, const char *destination)
{
	struct flow_key key = random_key(addresses[nic], destination);
	bool allowed = allows(world, nic, POLICY_OUTBOUND, &key, addresses[nic], destination);

	key.nic = world->nics[nic]->id;
	assert_verdict(world, &key, allowed);
	return allowed;
}

static bool check_in(const struct world *world, unsigned nic, const char *source)
{
	struct flow_key key = random_key(source, publics[nic]);
	bool allowed = allows(world, nic, POLICY_INBOUND, &key, source, addresses[nic]);

	key.nic = world->nics[nic]->id;
	key.origin = FLOW_FROM_OUTSIDE;
	assert_verdict(world, &key, allowed);
	return allowed;
}

static void test_differential(void)
{
	static const char *const outside[] = {"8.8.8.8", "203.0.113.1", "1.2.3.4", "192.0.2.1"};
	g_autofree struct world *world = g_new0(struct world, 1);
	unsigned allowed = 0, total = 0;

	for (unsigned w = 0; w < WORLDS; w++) {
		world_make(world);
		for (unsigned i = 0; i < PACKETS; i++, total += 4) {
			unsigned nic = test_below(2);
			allowed += check_between(world, nic, false);
			allowed += check_between(world, nic, true);
			allowed += check_out(world, nic, outside[test_below(4)]);
			allowed += check_in(world, nic, outside[test_below(4)]);
			g_assert_true(check_out(world, nic, "169.254.169.254"));
		}
		snapshot_free(world->snapshot);
	}
	g_assert_cmpuint(allowed, >, total / 10);
	g_assert_cmpuint(allowed, <, total * 9 / 10);
}

/* A reply's action undoes what the first packet's did, and its key is what the answer looks like where it
 * enters. */
static void test_symmetry(void)
{
	g_autofree struct world *world = g_new0(struct world, 1);
	unsigned seen = 0;

	for (unsigned w = 0; w < WORLDS; w++) {
		world_make(world);
		for (unsigned i = 0; i < PACKETS; i++) {
			struct flow_key key =
				random_key(addresses[0], test_below(2) ? publics[1] : "8.8.8.8");
			struct decision there, back;
			key.nic = world->nics[0]->id;
			if (!decide(world->snapshot, &key, false, &there))
				continue;
			seen++;
			/* The answer, rewritten, is the first packet turned round. */
			struct flow_key answer = there.reply.key, first = flow_key_reverse(&key);
			if (there.reply.action.flags & FLOW_REWRITE_SRC)
				memcpy(answer.src, there.reply.action.new_src, 4);
			if (there.reply.action.flags & FLOW_REWRITE_DST)
				memcpy(answer.dst, there.reply.action.new_dst, 4);
			g_assert_cmpmem(answer.src, 16, first.src, 16);
			g_assert_cmpmem(answer.dst, 16, first.dst, 16);
			g_assert_cmpuint(there.reply.action.target, ==, key.nic);
			/* Deciding is a function: again is the same. */
			decide(world->snapshot, &key, false, &back);
			g_assert_cmpmem(&there, sizeof there, &back, sizeof back);
		}
		snapshot_free(world->snapshot);
	}
	g_assert_cmpuint(seen, >, WORLDS);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/decide/agrees with the reference on random groups, NICs and packets", test_differential);
	g_test_add_func("/decide/an answer undoes the translation of its question", test_symmetry);
	return g_test_run();
}
