/* What holds for every decision, in random worlds. That the decisions are the right ones is differential_test.c's. */
#include "switch/decide.h"

#include "policy/policy_gen.h"
#include "switch/state.h"
#include "switch/test_values.h"

#define WORLDS   60
#define PACKETS  400
#define SHARED_1 "203.0.113.250"
#define SHARED_2 "203.0.113.251"

/* A random world as the switch has it, with an outside and a host port. */
static struct snapshot *make_snapshot(const struct policy_gen *gen)
{
	json_auto_t *state = policy_gen_state(gen, 1);
	g_autoptr(GError) error = NULL;

	json_object_set_new(state, "outside",
		json_pack("{s:s, s:s, s:s, s:s}", "interface", "out", "mac", "02:00:00:00:01:00", "prefix",
			"203.0.113.0/24", "gateway", "203.0.113.1"));
	json_object_set_new(state, "host_port",
		json_pack("{s:s, s:s, s:s}", "interface", "host", "mac", "02:00:00:00:02:00", "prefix",
			"100.64.0.0/10"));
	size_t i;
	json_t *network;
	json_array_foreach(json_object_get(state, "networks"), i, network) json_object_set_new(
		network, "source_nat", json_pack("{s:[s, s]}", "addresses", SHARED_1, SHARED_2));
	struct snapshot *snapshot = state_decode(state, NULL, &error);
	g_assert_no_error(error);
	return snapshot;
}

static struct flow_key key_of(const struct snapshot *snapshot, const struct policy_gen_packet *from)
{
	const struct policy_packet *packet = &from->packet;
	bool v6 = packet->source.family == IP_V6;
	struct flow_key key = {
		.nic = snapshot->nics[from->nic]->id,
		.family = packet->source.family,
		.protocol = packet->protocol,
		.sport = htobe16(packet->source_port),
		.dport = htobe16(packet->destination_port),
	};

	memcpy(key.src, packet->source.bytes, 16);
	memcpy(key.dst, packet->destination.bytes, 16);
	if (packet->protocol == POLICY_ICMP) {
		key.protocol = v6 ? 58 : 1;
		key.sport = htobe16(7);
		key.dport = htobe16((v6 ? 128 : 8) << 8);
	}
	return key;
}

/* A key as the packet leaves. */
static struct flow_key rewritten(const struct flow_half *half)
{
	struct flow_key key = half->key;

	if (half->action.flags & FLOW_REWRITE_SRC)
		memcpy(key.src, half->action.new_src, 4);
	if (half->action.flags & FLOW_REWRITE_DST)
		memcpy(key.dst, half->action.new_dst, 4);
	if (half->action.flags & (FLOW_REWRITE_SPORT | FLOW_REWRITE_DPORT))
		*(half->action.flags & FLOW_REWRITE_SPORT || key.protocol == 1 ? &key.sport : &key.dport) =
			half->action.new_port;
	return key;
}

static void assert_same_ends(struct flow_key a, struct flow_key b)
{
	g_assert_cmpmem(a.src, 16, b.src, 16);
	g_assert_cmpmem(a.dst, 16, b.dst, 16);
	g_assert_cmphex(a.sport, ==, b.sport);
	g_assert_cmphex(a.dport, ==, b.dport);
}

static void check(
	const struct snapshot *snapshot, const struct flow_key *first, const struct decision *decision)
{
	const struct flow_key left = rewritten(&decision->forward);
	struct decision again;

	assert_same_ends(decision->forward.key, *first);
	/* The answer to what leaves is what the reply matches; rewritten, it is the answer to what came. */
	assert_same_ends(flow_key_reverse(&left), decision->reply.key);
	assert_same_ends(rewritten(&decision->reply), flow_key_reverse(first));
	g_assert_cmpuint(decision->reply.action.target, ==, first->nic);
	/* Deciding is a function: again is the same. */
	decide(snapshot, first, false, &again);
	g_assert_cmpmem(decision, sizeof *decision, &again, sizeof again);
}

/* By whichever alias it is: the answers are to that one, and undo it; where the address is not shared, it is no
 * matter. */
static void check_alias(
	const struct snapshot *snapshot, const struct flow_key *first, const struct decision *decision)
{
	const struct flow_alias present = flow_alias_of(&decision->reply.key, &decision->forward.action);
	struct flow_alias other = {.port = htobe16((uint16_t)(1024 + test_below(64512)))};
	struct decision again;

	memcpy(other.address, test_addr(test_below(2) ? SHARED_1 : SHARED_2).bytes, 4);
	g_assert_true(decide_as(snapshot, first, false, &present, &again));
	g_assert_cmpmem(decision, sizeof *decision, &again, sizeof again);
	if (!decide_as(snapshot, first, false, &other, &again))
		return; /* a group of the receiver's looks at source ports */
	g_assert_true(again.shared == decision->shared);
	if (!decision->shared) {
		g_assert_cmpmem(decision, sizeof *decision, &again, sizeof again);
		return;
	}
	const struct flow_alias got = flow_alias_of(&again.reply.key, &again.forward.action);
	g_assert_cmpmem(got.address, 4, other.address, 4);
	g_assert_cmphex(got.port, ==, other.port);
	const struct flow_key left = rewritten(&again.forward);
	assert_same_ends(flow_key_reverse(&left), again.reply.key);
	assert_same_ends(rewritten(&again.reply), flow_key_reverse(first));
}

static void test_symmetry(void)
{
	unsigned translated = 0, allowed = 0, shared = 0;

	for (unsigned w = 0; w < WORLDS; w++) {
		_cleanup_(policy_gen_free) struct policy_gen *gen = policy_gen_new(
			(uint64_t)(uint32_t)g_test_rand_int(), &(struct policy_gen_config){.rules_max = 20});
		_cleanup_(snapshot_free) struct snapshot *snapshot = make_snapshot(gen);
		for (unsigned i = 0; i < PACKETS; i++) {
			struct policy_gen_packet packet =
				policy_gen_packet(gen, i % policy_gen_world(gen)->n_nics);
			if (packet.packet.direction != POLICY_OUTBOUND)
				continue;
			struct flow_key key = key_of(snapshot, &packet);
			struct decision decision;
			if (!decide(snapshot, &key, false, &decision))
				continue;
			check(snapshot, &key, &decision);
			check_alias(snapshot, &key, &decision);
			allowed++;
			shared += decision.shared;
			translated += (decision.forward.action.flags & FLOW_REWRITE_SRC) != 0;
		}
	}
	g_assert_cmpuint(allowed, >, WORLDS);
	g_assert_cmpuint(translated, >, WORLDS / 4);
	g_assert_cmpuint(shared, >, WORLDS / 4);
}

/* A refusal says who refused, and a group's by which rule. */
static void test_refusals(void)
{
	unsigned by_group = 0, others = 0;

	for (unsigned w = 0; w < WORLDS; w++) {
		_cleanup_(policy_gen_free) struct policy_gen *gen = policy_gen_new(
			(uint64_t)(uint32_t)g_test_rand_int(), &(struct policy_gen_config){.rules_max = 20});
		_cleanup_(snapshot_free) struct snapshot *snapshot = make_snapshot(gen);
		for (unsigned i = 0; i < PACKETS; i++) {
			struct policy_gen_packet packet =
				policy_gen_packet(gen, i % policy_gen_world(gen)->n_nics);
			struct flow_key key = key_of(snapshot, &packet);
			struct decision decision;
			if (decide(snapshot, &key, false, &decision))
				continue;
			bool denied =
				decision.drop == DROP_DENIED_INBOUND || decision.drop == DROP_DENIED_OUTBOUND;
			g_assert_cmpint(decision.drop, !=, DROP_NONE);
			g_assert_nonnull(decision.layer);
			g_assert_true((decision.group != NULL) == denied);
			g_assert_true((decision.rule != NULL) == denied);
			*(denied ? &by_group : &others) += 1;
		}
	}
	g_assert_cmpuint(by_group, >, WORLDS);
	g_assert_cmpuint(others, >, WORLDS);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/decide/an answer undoes the translation of its question", test_symmetry);
	g_test_add_func("/decide/a refusal says by whom, and a group's by which rule", test_refusals);
	return g_test_run();
}
