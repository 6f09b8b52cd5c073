/* Load balancers: see load_balancer.h. */
#include "switch/load_balancer.h"

#include "switch/flow.h"

#include <string.h>

const char *const load_distribution_words[] = {[LOAD_BY_TUPLE] = "tuple",
	[LOAD_BY_SOURCE] = "source",
	[LOAD_BY_SOURCE_PROTOCOL] = "source-protocol",
	NULL};

int load_rule_compare(const void *a, const void *b)
{
	const struct load_rule *one = a, *two = b;
	int r = memcmp(one->address.bytes, two->address.bytes, 4);

	if (r == 0)
		r = (one->protocol > two->protocol) - (one->protocol < two->protocol);
	return r ? r : (one->port > two->port) - (one->port < two->port);
}

const struct load_rule *load_balancer_find(const struct load_balancer *balancer, const struct flow_key *key)
{
	const struct load_rule wanted = {
		.address = flow_key_destination(key), .protocol = key->protocol, .port = key->dport};

	if (key->family != IP_V4 || balancer->n_rules == 0)
		return NULL;
	return bsearch(
		&wanted, balancer->rules, balancer->n_rules, sizeof *balancer->rules, load_rule_compare);
}

/* The finaliser of MurmurHash3: each bit of the word changes half of the result's. */
static uint64_t mix(uint64_t word)
{
	word = (word ^ word >> 33) * UINT64_C(0xff51afd7ed558ccd);
	word = (word ^ word >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return word ^ word >> 33;
}

static uint32_t word_of(const uint8_t bytes[4])
{
	uint32_t word;

	memcpy(&word, bytes, sizeof word);
	return word;
}

static uint64_t hash_of(const struct load_rule *rule, const struct flow_key *key)
{
	uint64_t hash = mix((uint64_t)word_of(key->src) << 32 | word_of(key->dst));

	switch ((enum load_distribution)rule->distribution) {
	case LOAD_BY_SOURCE: break;
	case LOAD_BY_SOURCE_PROTOCOL: hash = mix(hash ^ key->protocol); break;
	case LOAD_BY_TUPLE:
		hash = mix(hash ^ ((uint64_t)key->protocol << 32 | (uint64_t)key->sport << 16 | key->dport));
		break;
	}
	return hash;
}

const struct load_member *load_rule_choose(
	const struct load_rule *rule, const struct flow_key *key, const struct nic *but)
{
	const struct load_member *best = NULL;
	uint64_t hash = hash_of(rule, key), highest = 0;

	for (unsigned i = 0; i < rule->n_members; i++) {
		const struct load_member *member = &rule->members[i];
		uint64_t rank = mix(hash ^ mix(word_of(member->ip.bytes)));
		if (member->healthy && (!best || rank > highest) &&
			!(but && nic_find_address(but, member->ip))) {
			best = member;
			highest = rank;
		}
	}
	return best;
}

static bool leads_to(const struct load_rule *rule, const struct flow_key *answer)
{
	struct ip_addr source = flow_key_source(answer);

	if (rule->protocol != answer->protocol || rule->member_port != answer->sport || rule->floating)
		return false;
	for (unsigned i = 0; i < rule->n_members; i++)
		if (ip_equal(rule->members[i].ip, source))
			return true;
	return false;
}

/* client: NULL: it is outside. */
static struct flow_key key_of_asked(const struct load_rule *rule, const struct flow_key *answer,
	const struct nic *client, const struct nic *front)
{
	struct flow_key key = flow_key_reverse(answer);

	key.nic = client ? client->id : front->id;
	key.origin = client ? FLOW_FROM_NIC : FLOW_FROM_OUTSIDE;
	memcpy(key.dst, rule->address.bytes, sizeof key.dst);
	key.dport = rule->port;
	return key;
}

/* Who asked for it: a NIC here, or (NULL) somebody outside by the load balancer that the packet came to. False: neither. */
static bool find_client(const struct snapshot *state, const struct nic *nic, const struct flow_key *answer,
	const struct nic **ret)
{
	struct owner owner = snapshot_find(state, nic->network->space, flow_key_destination(answer));

	*ret = owner.kind == OWNER_NIC ? owner.nic : NULL;
	return nic->load_balancer ? owner.kind == OWNER_NONE : *ret != NULL;
}

bool load_balancer_next_asked(const struct snapshot *state, const struct flow_key *answer,
	struct load_asked *at, struct flow_key *ret)
{
	const struct nic *nic = snapshot_nic(state, answer->nic), *client;

	if (!nic || (answer->origin != FLOW_FROM_NIC && answer->origin != FLOW_FROM_TUNNEL) ||
		!find_client(state, nic, answer, &client))
		return false;
	if (!at->begun)
		*at = (struct load_asked){
			.begun = true, .front = client ? nic->network->internal_front : nic};
	while (at->front) {
		const struct load_balancer *balancer = at->front->load_balancer;
		while (at->rule < balancer->n_rules) {
			const struct load_rule *rule = &balancer->rules[at->rule++];
			if (leads_to(rule, answer)) {
				*ret = key_of_asked(rule, answer, client, at->front);
				return true;
			}
		}
		at->front = client ? balancer->next_internal : NULL;
		at->rule = 0;
	}
	return false;
}

bool load_balancer_asked(const struct snapshot *state, const struct flow_key *answer, struct flow_key *ret)
{
	const struct nic *nic = snapshot_nic(state, answer->nic);

	for (unsigned slot = 0; nic && slot < NIC_SLOTS; slot++) {
		const struct nic *front = state->nics[slot];
		if (!front || !front->load_balancer || front->load_balancer->internal ||
			front->network != nic->network)
			continue;
		for (unsigned i = 0; i < front->load_balancer->n_rules; i++) {
			const struct load_rule *rule = &front->load_balancer->rules[i];
			if (leads_to(rule, answer)) {
				*ret = key_of_asked(rule, answer, NULL, front);
				return true;
			}
		}
	}
	return false;
}

static bool has_member(const struct load_rule *rule, const struct nic *nic)
{
	for (unsigned i = 0; i < rule->n_members; i++)
		if (nic_find_address(nic, rule->members[i].ip))
			return true;
	return false;
}

bool load_balancer_floats_to(const struct snapshot *state, const struct nic *nic, const struct flow_key *key)
{
	const struct nic *front = load_balancer_of(state, nic->network->space, flow_key_destination(key));
	const struct load_rule *rule = front ? load_balancer_find(front->load_balancer, key) : NULL;

	return rule && rule->floating && has_member(rule, nic);
}

bool front_is_floating(const struct front *front, struct ip_addr address)
{
	for (unsigned i = 0; i < front->n_floating; i++)
		if (ip_equal(front->floating[i], address))
			return true;
	return false;
}
