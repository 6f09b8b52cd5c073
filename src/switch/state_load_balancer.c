/* Decoding of load balancers, and of what NICs have of them: see state.c.
 *
 * A load balancer becomes a NIC without attachments (load_balancer.h), and so takes one of the slots that NICs have.
 */
#include "base/capacity.h"
#include "switch/load_balancer.h"
#include "switch/state_priv.h"
#include "switch/wire.h"

#include <string.h>

struct balancer_words {
	struct nic *nic;
	struct load_balancer *balancer;
};

/* ---- rules ---- */

static bool decode_member(struct decode *d, json_t *value, void *to)
{
	static const struct decode_member members[] = {
		{"ip", decode_ipv4, offsetof(struct load_member, ip)},
		{"healthy", decode_bool, offsetof(struct load_member, healthy)},
		{},
	};

	return decode_object(d, value, members, to);
}

static bool decode_pool(struct decode *d, json_t *value, void *to)
{
	struct load_rule *rule = to;

	rule->members = decode_list(
		d, value, sizeof *rule->members, BALANCER_MEMBERS, decode_member, &rule->n_members);
	return !d->error;
}

static bool decode_load_port(struct decode *d, json_t *value, void *to)
{
	int64_t port;

	if (!decode_whole(d, value, 1, UINT16_MAX, &port))
		return false;
	*(uint16_t *)to = htobe16((uint16_t)port);
	return true;
}

/* Index of the word, as a byte. */
static bool decode_one_of(
	struct decode *d, json_t *value, const char *const *words, const char *list, uint8_t *to)
{
	for (uint8_t i = 0; words[i]; i++) {
		if (g_strcmp0(json_string_value(value), words[i]) == 0) {
			*to = i;
			return true;
		}
	}
	return decode_fail(d, "must be one of %s", list);
}

static bool decode_protocol(struct decode *d, json_t *value, void *to)
{
	static const char *const words[] = {"tcp", "udp", NULL};
	static const uint8_t numbers[] = {PROTO_TCP, PROTO_UDP};
	uint8_t index = 0;

	if (!decode_one_of(d, value, words, "tcp, udp", &index))
		return false;
	*(uint8_t *)to = numbers[index];
	return true;
}

static bool decode_distribution(struct decode *d, json_t *value, void *to)
{
	return decode_one_of(d, value, load_distribution_words, "tuple, source, source-protocol", to);
}

static const struct decode_member rule_members[] = {
	{"name", decode_text, offsetof(struct load_rule, name)},
	{"address", decode_ipv4, offsetof(struct load_rule, address)},
	{"protocol", decode_protocol, offsetof(struct load_rule, protocol)},
	{"port", decode_load_port, offsetof(struct load_rule, port)},
	{"member_port", decode_load_port, offsetof(struct load_rule, member_port)},
	{"floating", decode_bool, offsetof(struct load_rule, floating), .optional = true},
	{"distribution", decode_distribution, offsetof(struct load_rule, distribution), .optional = true},
	{"members", decode_pool, 0},
	{},
};

static bool decode_rule(struct decode *d, json_t *value, void *to)
{
	struct load_rule *rule = to;

	return decode_object(d, value, rule_members, rule) &&
	       (!rule->floating || rule->port == rule->member_port ||
		       decode_fail_at(d, "member_port", "is the port itself where the address is floating"));
}

/* Sorted, as they are looked up. */
static bool decode_rules(struct decode *d, json_t *value, void *to)
{
	struct load_balancer *balancer = ((struct balancer_words *)to)->balancer;
	struct load_rule *rules =
		decode_list(d, value, sizeof *rules, BALANCER_RULES, decode_rule, &balancer->n_rules);

	if (d->error)
		return false;
	balancer->rules = rules;
	if (rules)
		qsort(rules, balancer->n_rules, sizeof *rules, load_rule_compare);
	for (unsigned i = 1; i < balancer->n_rules; i++)
		if (load_rule_compare(&rules[i - 1], &rules[i]) == 0)
			return decode_fail(d, "%s and %s are for one port", rules[i - 1].name, rules[i].name);
	return true;
}

/* ---- load balancers ---- */

static bool decode_public(struct decode *d, json_t *value, void *to)
{
	return decode_public_address(d, value, &((struct nic_address *)to)->public_ip);
}

static bool decode_private(struct decode *d, json_t *value, void *to)
{
	return decode_ipv4(d, value, &((struct nic_address *)to)->ip);
}

/* Comes after `internal` in the table. */
static bool decode_fronts(struct decode *d, json_t *value, void *to)
{
	const struct balancer_words *words = to;
	struct nic *nic = words->nic;

	nic->addresses = decode_list(d, value, sizeof *nic->addresses, NIC_ADDRESSES,
		words->balancer->internal ? decode_private : decode_public, &nic->n_addresses);
	return !d->error;
}

static bool decode_internal(struct decode *d, json_t *value, void *to)
{
	return decode_bool(d, value, &((struct balancer_words *)to)->balancer->internal);
}

static bool decode_uid(struct decode *d, json_t *value, void *to)
{
	return decode_text(d, value, &((struct balancer_words *)to)->nic->uid);
}

static bool decode_name(struct decode *d, json_t *value, void *to)
{
	return decode_text(d, value, &((struct balancer_words *)to)->nic->name);
}

static bool decode_balancer_mac(struct decode *d, json_t *value, void *to)
{
	return decode_mac(d, value, &((struct balancer_words *)to)->nic->mac);
}

static bool decode_balancer_network(struct decode *d, json_t *value, void *to)
{
	return decode_network_reference(d, value, &((struct balancer_words *)to)->nic->network);
}

static bool decode_standard(struct decode *d, json_t *value, void *to)
{
	return decode_bool(d, value, &((struct balancer_words *)to)->balancer->standard);
}

static const struct decode_member balancer_members[] = {
	{"uid", decode_uid},
	{"name", decode_name},
	{"mac", decode_balancer_mac},
	{"network", decode_balancer_network},
	{"standard", decode_standard, .optional = true},
	{"internal", decode_internal, .optional = true},
	{"addresses", decode_fronts},
	{"rules", decode_rules},
	{},
};

/* On a VLAN the clients that are not here would not find it. */
static bool check_internal(struct decode *d, const struct nic *nic)
{
	char text[IP_TEXT_MAX];

	if (nic->network->physical)
		return decode_fail_at(
			d, "internal", "cannot be on network %s, which is in a VLAN", nic->network->uid);
	for (unsigned i = 0; i < nic->n_addresses; i++)
		if (!network_contains(nic->network, nic->addresses[i].ip))
			return decode_fail_at(d, "addresses", "%s lies outside the network",
				ip_format(nic->addresses[i].ip, text));
	return true;
}

static bool check_rules(struct decode *d, const struct nic *nic, const struct load_balancer *balancer)
{
	char text[IP_TEXT_MAX];

	for (unsigned i = 0; i < balancer->n_rules; i++) {
		const struct load_rule *rule = &balancer->rules[i];
		if (!(balancer->internal ? nic_find_address(nic, rule->address)
					 : nic_find_public(nic, rule->address)))
			return decode_fail_at(d, "rules", "%s is for %s, which is none of the addresses",
				rule->name, ip_format(rule->address, text));
		for (unsigned j = 0; j < rule->n_members; j++)
			if (!network_contains(nic->network, rule->members[j].ip))
				return decode_fail_at(d, "rules",
					"%s has the member %s, which lies outside the network", rule->name,
					ip_format(rule->members[j].ip, text));
	}
	return true;
}

static bool claim(struct decode *d, struct nic *nic)
{
	bool internal = nic->load_balancer->internal;
	char text[IP_TEXT_MAX];

	if (!g_hash_table_insert(index_of(d)->nics, nic->uid, nic))
		return decode_fail_at(d, "uid", "a NIC, or another load balancer, has the uid %s", nic->uid);
	for (unsigned i = 0; i < nic->n_addresses; i++) {
		struct nic_address *address = &nic->addresses[i];
		const struct owner owner = {.kind = OWNER_NIC, .nic = nic, .address = address};
		struct ip_addr ip = internal ? address->ip : address->public_ip;
		if (!snapshot_add_address(
			    d->snapshot, internal ? nic->network->space : SPACE_PUBLIC, ip, owner))
			return decode_fail_at(d, "addresses", "%s is taken", ip_format(ip, text));
	}
	if (!snapshot_add_mac(d->snapshot, nic))
		return decode_fail_at(d, "mac", "is a NIC's of this network too");
	return take_slot(d, nic);
}

/* Into the list that the network has of them. */
static void add_internal(struct decode *d, const struct nic *nic, struct load_balancer *balancer)
{
	struct network *network = &d->snapshot->networks[nic->network - d->snapshot->networks];

	balancer->next_internal = network->internal_front;
	network->internal_front = nic;
}

static bool decode_balancer(struct decode *d, json_t *value, void *to)
{
	struct load_balancer *balancer = snapshot_alloc(d->snapshot, 1, sizeof *balancer);
	struct balancer_words words = {.nic = to, .balancer = balancer};

	words.nic->load_balancer = balancer;
	words.nic->subnet = snapshot_alloc(d->snapshot, 1, sizeof(struct subnet));
	if (!decode_object(d, value, balancer_members, &words) ||
		(balancer->internal && !check_internal(d, words.nic)) ||
		!check_rules(d, words.nic, balancer) || !claim(d, words.nic))
		return false;
	if (balancer->internal)
		add_internal(d, words.nic, balancer);
	return true;
}

bool decode_balancers(struct decode *d, json_t *value, void *to)
{
	unsigned n;

	decode_list(d, value, sizeof(struct nic), NIC_SLOTS, decode_balancer, &n);
	return !d->error;
}

size_t count_balancer_addresses(json_t *balancers)
{
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(balancers); i++)
		n += 1 + json_array_size(json_object_get(json_array_get(balancers, i), "addresses"));
	return n;
}

/* ---- NICs ---- */

static bool decode_floating(struct decode *d, json_t *value, void *to)
{
	struct front *front = to;

	front->floating = decode_list(
		d, value, sizeof *front->floating, NIC_ADDRESSES, decode_ipv4, &front->n_floating);
	return !d->error;
}

static const struct decode_member front_members[] = {
	{"vtep", decode_vtep, offsetof(struct front, way.vtep)},
	{"mac", decode_mac, offsetof(struct front, way.mac)},
	{"standard", decode_bool, offsetof(struct front, standard), .optional = true},
	{"floating", decode_floating, 0, .optional = true},
	{},
};

bool decode_front(struct decode *d, json_t *value, void *to)
{
	struct front *front = snapshot_alloc(d->snapshot, 1, sizeof *front);

	*(const struct front **)to = front;
	return decode_object(d, value, front_members, front);
}

bool check_source_nats(struct decode *d)
{
	char text[IP_TEXT_MAX];

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = d->snapshot->nics[slot];
		if (!nic || nic->source_nat.family == IP_NONE)
			continue;
		struct owner owner = snapshot_find(d->snapshot, SPACE_PUBLIC, nic->source_nat);
		if (owner.kind != OWNER_NIC || !owner.nic->load_balancer)
			return decode_fail(d,
				"nics: NIC %s is to share %s, which is no load balancer's of this state",
				nic->name, ip_format(nic->source_nat, text));
	}
	return true;
}
