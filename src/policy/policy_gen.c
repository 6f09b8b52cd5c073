/* Random worlds: see policy_gen.h. */
#include "policy/policy_gen_priv.h"

#define MEMBERS_MAX 6

/* ---- memory ---- */

void *gen_alloc(struct policy_gen *gen, size_t n, size_t size)
{
	void *block = g_malloc0_n(n + 1, size); /* never NULL */

	g_ptr_array_add(gen->blocks, block);
	return block;
}

char *gen_text(struct policy_gen *gen, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	char *text = g_strdup_vprintf(format, args);
	va_end(args);
	g_ptr_array_add(gen->blocks, text);
	return text;
}

static struct ip_addr parse(const char *text)
{
	struct ip_addr addr;
	int r = ip_parse(text, &addr);

	g_assert(r == 0);
	return addr;
}

static void like(struct policy_gen *gen, struct ip_addr addr)
{
	g_array_append_val(gen->addresses, addr);
}

/* ---- networks ---- */

/* The IPv4 space of network i: 10.16i.0.0/12, or that of the network before. */
static unsigned space_of(struct policy_gen *gen, unsigned i)
{
	return i && gen_once_in(&gen->random, 2) ? i - 1 : i;
}

static void make_prefixes(struct policy_gen *gen, struct policy_gen_network *network, unsigned space)
{
	struct ip_prefix *prefixes = gen_alloc(gen, 3, sizeof *prefixes);
	unsigned n = 0;

	prefixes[n++] = (struct ip_prefix){
		.addr = {.family = IP_V4, .bytes = {10, (uint8_t)(space * 16)}}, .length = 12};
	if (gen_once_in(&gen->random, 2))
		prefixes[n++] = (struct ip_prefix){
			.addr = {.family = IP_V4, .bytes = {172, 16, (uint8_t)(space * 16)}}, .length = 20};
	if (!gen->config.no_ipv6)
		prefixes[n++] = (struct ip_prefix){
			.addr = {.family = IP_V6, .bytes = {0xfd, 0, 0, (uint8_t)space}}, .length = 32};
	network->space.prefixes = prefixes;
	network->space.n_prefixes = n;
	for (unsigned i = 0; i < n; i++) {
		like(gen, prefixes[i].addr);
		like(gen, gen_last(prefixes[i]));
	}
}

/* IPv4: a /22 in the first prefix; IPv6: a /64 in the last. */
static void make_subnet(struct policy_gen *gen, struct policy_gen_network *network, unsigned i)
{
	struct policy_gen_subnet *subnet = &network->subnets[i];
	bool v6 = !gen->config.no_ipv6 && i % 2 == 1;
	struct ip_prefix prefix = network->space.prefixes[v6 ? network->space.n_prefixes - 1 : 0];

	if (v6) {
		prefix.addr.bytes[7] = (uint8_t)i;
		prefix.length = 64;
	} else {
		prefix.addr.bytes[2] = (uint8_t)(i * 4);
		prefix.length = 22;
	}
	g_snprintf(subnet->uid, sizeof subnet->uid, "%s-%u", network->uid, i);
	subnet->prefix = prefix;
	subnet->gateway = prefix_nth(prefix, 1);
	like(gen, subnet->gateway);
}

static const struct policy_group *random_group(struct policy_gen *gen)
{
	const struct policy_gen_world *world = &gen->world;

	return gen_once_in(&gen->random, 3) ? NULL : &world->groups[gen_below(&gen->random, world->n_groups)];
}

static void make_networks(struct policy_gen *gen)
{
	struct policy_gen_world *world = &gen->world;

	for (unsigned i = 0; i < world->n_networks; i++) {
		struct policy_gen_network *network = &world->networks[i];
		g_snprintf(network->uid, sizeof network->uid, "net%u", i);
		network->vni = 4096 + i;
		make_prefixes(gen, network, space_of(gen, i));
		network->n_subnets = 2 + gen_below(&gen->random, POLICY_GEN_SUBNETS - 1);
		for (unsigned j = 0; j < network->n_subnets; j++) {
			make_subnet(gen, network, j);
			network->subnets[j].group = random_group(gen);
		}
	}
}

void gen_members(struct policy_gen *gen, struct policy_gen_network *network)
{
	struct policy_members *all = gen_alloc(gen, GEN_APPLICATION_GROUPS, sizeof *all);

	for (unsigned g = 0; g < GEN_APPLICATION_GROUPS - 1; g++) {
		unsigned n = gen_below(&gen->random, MEMBERS_MAX + 1);
		struct ip_prefix *prefixes = gen_alloc(gen, n, sizeof *prefixes);
		for (unsigned i = 0; i < n; i++) {
			struct ip_addr addr = gen_address(gen, IP_NONE);
			prefixes[i] = gen_prefix_of(addr, gen_bits(addr.family));
		}
		all[g] = (struct policy_members){.group = g + 1,
			.name = gen_text(gen, "app%u", g + 1),
			.n_prefixes = n,
			.prefixes = prefixes};
	}
	network->space.members = all;
	network->space.n_members = gen->config.no_application_groups ? 0 : GEN_APPLICATION_GROUPS - 1;
}

/* ---- NICs ---- */

static struct policy_gen_address random_address(
	struct policy_gen *gen, unsigned nic, struct ip_addr ip, bool primary)
{
	struct policy_gen_address address = {.ip = ip};

	if (primary && ip.family == IP_V4 && gen_once_in(&gen->random, 2)) {
		address.public_ip =
			(struct ip_addr){.family = IP_V4, .bytes = {203, 0, 113, (uint8_t)(10 + nic)}};
		address.standard = gen_once_in(&gen->random, 2);
	}
	return address;
}

static void make_nic(struct policy_gen *gen, unsigned i)
{
	struct policy_gen_world *world = &gen->world;
	struct policy_gen_nic *nic = &world->nics[i];

	g_snprintf(nic->uid, sizeof nic->uid, "n%u", i);
	nic->network = gen_below(&gen->random, world->n_networks);
	struct policy_gen_network *network = &world->networks[nic->network];
	nic->subnet = gen_below(&gen->random, network->n_subnets);
	struct policy_gen_subnet *subnet = &network->subnets[nic->subnet];
	nic->mac = (struct mac_addr){{2, 0x5e, 0, 0, (uint8_t)(i >> 8), (uint8_t)i}};
	nic->host_address = (struct ip_addr){
		.family = IP_V4, .bytes = {100, 64, (uint8_t)(i >> 7), (uint8_t)(i % 128 + 4)}};
	nic->group = random_group(gen);
	nic->n_addresses = 1 + gen_once_in(&gen->random, 4);
	for (unsigned j = 0; j < nic->n_addresses; j++) {
		struct ip_addr ip = prefix_nth(subnet->prefix, 4 + subnet->n_taken++);
		nic->addresses[j] = random_address(gen, i, ip, j == 0);
		like(gen, ip);
	}
}

/* ---- the world ---- */

static void like_the_world(struct policy_gen *gen)
{
	static const char *const texts[] = {"8.8.8.8", "8.8.8.9", "198.51.100.1", "203.0.113.77", "0.0.0.0",
		"255.255.255.255", "168.63.129.16", "168.63.129.17", "2001:db8::1",
		"2001:db8:8000::", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		like(gen, parse(texts[i]));
}

struct policy_gen *policy_gen_new(uint64_t seed, const struct policy_gen_config *config)
{
	struct policy_gen *gen = g_new0(struct policy_gen, 1);
	struct policy_gen_world *world = &gen->world;

	gen->config = *config;
	gen->config.rules_max =
		config->rules_max ? MIN(config->rules_max, POLICY_GEN_RULES_MAX) : POLICY_GEN_RULES_MAX;
	gen->random.state = seed;
	gen->blocks = g_ptr_array_new_with_free_func(g_free);
	gen->addresses = g_array_new(false, false, sizeof(struct ip_addr));
	world->seed = seed;
	world->n_groups = config->groups ? MIN(config->groups, 100) : 6;
	world->n_networks = config->networks ? MIN(config->networks, 16) : 2;
	world->n_nics = config->nics ? MIN(config->nics, 200) : 12;
	world->groups = gen_alloc(gen, world->n_groups, sizeof *world->groups);
	world->networks = gen_alloc(gen, world->n_networks, sizeof *world->networks);
	world->nics = gen_alloc(gen, world->n_nics, sizeof *world->nics);
	like_the_world(gen);
	make_networks(gen);
	for (unsigned i = 0; i < world->n_nics; i++)
		make_nic(gen, i);
	for (unsigned i = 0; i < world->n_networks; i++)
		gen_members(gen, &world->networks[i]);
	for (unsigned i = 0; i < world->n_groups; i++) {
		world->groups[i].uid = world->groups[i].name = gen_text(gen, "g%u", i);
		gen_rules(gen, &world->groups[i]);
	}
	return gen;
}

void policy_gen_free(struct policy_gen *gen)
{
	if (!gen)
		return;
	g_ptr_array_unref(gen->blocks);
	g_array_unref(gen->addresses);
	g_free(gen);
}

const struct policy_gen_world *policy_gen_world(const struct policy_gen *gen)
{
	return &gen->world;
}

struct policy_nic policy_gen_policy(const struct policy_gen_world *world, unsigned nic, unsigned address)
{
	const struct policy_gen_nic *subject = &world->nics[nic];
	const struct policy_gen_network *network = &world->networks[subject->network];

	return (struct policy_nic){
		.subnet_group = network->subnets[subject->subnet].group,
		.nic_group = subject->group,
		.space = network->space,
		.standard_address = subject->addresses[address].standard,
	};
}

void policy_gen_change(struct policy_gen *gen)
{
	struct policy_gen_world *world = &gen->world;
	struct policy_group *group = &world->groups[gen_below(&gen->random, world->n_groups)];
	struct policy_gen_nic *nic = &world->nics[gen_below(&gen->random, world->n_nics)];
	struct policy_gen_network *network = &world->networks[nic->network];

	switch (gen_below(&gen->random, 8)) {
	case 0: gen_rules(gen, group); break;
	case 1: nic->group = random_group(gen); break;
	case 2: network->subnets[nic->subnet].group = random_group(gen); break;
	case 3: gen_members(gen, network); break;
	default: gen_change_rule(gen, group);
	}
}
