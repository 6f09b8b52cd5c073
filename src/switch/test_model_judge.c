/* The way of a first packet through the model: see test_model.h. */
#include "switch/test_model_priv.h"

const struct mac_addr model_gateway_mac = {{0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc}};
const struct mac_addr model_outside_mac = {{0x02, 0x00, 0x5e, 0, 0, 1}};
const struct mac_addr model_host_mac = {{0x02, 0x00, 0x5e, 0, 0, 2}};
const struct ip_prefix model_outside = {.addr = {.family = IP_V4, .bytes = {203, 0, 113, 0}}, .length = 24};
const struct ip_prefix model_host = {.addr = {.family = IP_V4, .bytes = {100, 64, 0, 0}}, .length = 10};
const struct ip_addr model_outside_gateway = {.family = IP_V4, .bytes = {203, 0, 113, 1}};

const struct ip_addr model_gateway_link_local = {
	.family = IP_V6, .bytes = {0xfe, 0x80, [8] = 0x12 ^ 0x02, 0x34, 0x56, 0xff, 0xfe, 0x78, 0x9a, 0xbc}};

static const struct ip_addr metadata = {.family = IP_V4, .bytes = {169, 254, 169, 254}};

/* ---- addresses ---- */

struct mac_addr model_neighbour_mac(struct ip_addr addr)
{
	return (struct mac_addr){
		{0x02, 0xfe, addr.bytes[0], addr.bytes[1] ^ addr.bytes[2], addr.bytes[2], addr.bytes[3]}};
}

bool model_is_unicast(struct ip_addr addr)
{
	static const struct ip_addr none = {.family = IP_V6},
				    loopback = {.family = IP_V6, .bytes = {[15] = 1}};

	if (addr.family == IP_V4)
		return addr.bytes[0] != 0 && addr.bytes[0] != 127 && addr.bytes[0] < 224;
	return addr.bytes[0] != 0xff && !ip_equal(addr, none) && !ip_equal(addr, loopback);
}

bool model_is_link_local6(struct ip_addr addr)
{
	return addr.family == IP_V6 && addr.bytes[0] == 0xfe && addr.bytes[1] >> 6 == 2;
}

static bool is_link_local4(struct ip_addr addr)
{
	return addr.family == IP_V4 && addr.bytes[0] == 169 && addr.bytes[1] == 254;
}

const struct policy_gen_network *model_network(const struct model *model, unsigned nic)
{
	return &model->world->networks[model->world->nics[nic].network];
}

static bool in_network(const struct policy_gen_network *network, struct ip_addr addr)
{
	for (size_t i = 0; i < network->space.n_prefixes; i++)
		if (prefix_contains(network->space.prefixes[i], addr))
			return true;
	return false;
}

int model_own_address(const struct policy_gen_nic *nic, struct ip_addr addr)
{
	for (unsigned i = 0; i < nic->n_addresses; i++)
		if (ip_equal(nic->addresses[i].ip, addr))
			return (int)i;
	return -1;
}

/* The NIC of the network that has the address, or -1. */
static int owner_in(const struct model *model, unsigned network, struct ip_addr addr)
{
	for (unsigned i = 0; i < model->world->n_nics; i++)
		if (model->world->nics[i].network == network &&
			model_own_address(&model->world->nics[i], addr) >= 0)
			return (int)i;
	return -1;
}

int model_owner_of_public(const struct model *model, struct ip_addr addr, struct ip_addr *ret_private)
{
	for (unsigned i = 0; i < model->world->n_nics; i++) {
		const struct policy_gen_nic *nic = &model->world->nics[i];
		for (unsigned j = 0; j < nic->n_addresses; j++) {
			if (nic->addresses[j].public_ip.family == IP_NONE ||
				!ip_equal(nic->addresses[j].public_ip, addr))
				continue;
			*ret_private = nic->addresses[j].ip;
			return (int)i;
		}
	}
	return -1;
}

bool model_is_shared(const struct model *model, struct ip_addr addr)
{
	for (unsigned i = 0; i < model->world->n_networks; i++)
		if (model->shared[i].family != IP_NONE && ip_equal(model->shared[i], addr))
			return true;
	return false;
}

uint16_t model_own_port(const struct test_packet *packet)
{
	return packet_has_ports(packet) ? packet->source_port : packet->icmp_id;
}

int model_owner_of_host_address(const struct model *model, struct ip_addr addr)
{
	for (unsigned i = 0; i < model->world->n_nics; i++)
		if (ip_equal(model->world->nics[i].host_address, addr))
			return (int)i;
	return -1;
}

/* ---- policy ---- */

static enum drop denial(
	struct model *model, enum policy_direction direction, const struct policy_verdict *verdict)
{
	if (verdict->allow)
		return DROP_NONE;
	model_count(model, MODEL_STANDARD, verdict->reason == POLICY_BY_ADDRESS);
	if (verdict->reason == POLICY_BY_ADDRESS)
		return DROP_NO_GROUP;
	model_count(model, direction == POLICY_INBOUND ? MODEL_DENIED_IN : MODEL_DENIED_OUT, true);
	return direction == POLICY_INBOUND ? DROP_DENIED_INBOUND : DROP_DENIED_OUTBOUND;
}

/* An existing connection is denied only by a group that revalidates. */
static struct policy_verdict verdict_on_existing(
	struct model *model, const struct policy_explanation *explanation)
{
	struct policy_verdict verdict = explanation->verdict;

	if (explanation->n_steps)
		verdict.allow = true;
	for (unsigned i = 0; i < explanation->n_steps; i++)
		if (!explanation->steps[i].allow &&
			model->revalidate[explanation->steps[i].group - model->world->groups])
			verdict.allow = false;
	model_count(model, MODEL_KEPT, verdict.allow && !explanation->verdict.allow);
	return verdict;
}

static void count_rules(struct model *model, const struct policy_space *space,
	const struct policy_explanation *explanation, const struct policy_packet *asked)
{
	struct policy_space nobody = *space;

	nobody.n_members = 0;
	for (unsigned i = 0; i < explanation->n_steps; i++) {
		const struct policy_rule *rule = explanation->steps[i].rule;
		model_count(model, MODEL_OWN_RULE, rule->priority <= POLICY_PRIORITY_MAX);
		model_count(model, MODEL_APPLICATION, !policy_rule_matches(rule, &nobody, asked));
	}
}

/* What the NIC's policy says of a packet with these ends. */
static enum drop ask(struct model *model, unsigned nic, enum policy_direction direction,
	const struct test_packet *packet, struct ip_addr source, struct ip_addr destination, bool existing)
{
	int near = model_own_address(
		&model->world->nics[nic], direction == POLICY_INBOUND ? destination : source);
	const struct policy_nic policy = policy_gen_policy(model->world, nic, (unsigned)near);
	struct policy_packet asked = {
		.direction = (uint8_t)direction,
		.protocol = test_packet_is_icmp(packet) ? POLICY_ICMP : packet->protocol,
		.source = source,
		.destination = destination,
	};

	if (packet_has_ports(packet)) {
		asked.source_port = packet->source_port;
		asked.destination_port = packet->destination_port;
	}
	const struct policy_explanation explanation = policy_explain(&policy, &asked);
	const struct policy_verdict verdict =
		existing ? verdict_on_existing(model, &explanation) : explanation.verdict;
	model_count(model, MODEL_BOTH_ASKED, explanation.n_steps == 2 && verdict.allow);
	count_rules(model, &policy.space, &explanation, &asked);
	return denial(model, direction, &verdict);
}

/* ---- ways ---- */

struct way model_way_to_nic(
	const struct model *model, unsigned nic, struct ip_addr source, struct ip_addr destination)
{
	return (struct way){
		.port = nic,
		.source = source,
		.destination = destination,
		.from = model_gateway_mac,
		.to = model->world->nics[nic].mac,
		.routed = true,
	};
}

struct way model_way_outside(const struct model *model, struct ip_addr source, struct ip_addr destination)
{
	struct ip_addr next_hop =
		prefix_contains(model_outside, destination) ? destination : model_outside_gateway;

	return (struct way){
		.port = MODEL_OUTSIDE(model->world->n_nics),
		.source = source,
		.destination = destination,
		.next_hop = next_hop,
		.from = model_outside_mac,
		.to = model_neighbour_mac(next_hop),
		.routed = true,
	};
}

/* The host port is no hop: whoever is there answers in the host's place. */
struct way model_way_to_host(const struct model *model, struct ip_addr source, struct ip_addr destination)
{
	return (struct way){
		.port = MODEL_HOST(model->world->n_nics),
		.source = source,
		.destination = destination,
		.next_hop = destination,
		.from = model_host_mac,
		.to = model_neighbour_mac(destination),
	};
}

/* Between two NICs of a network: neighbours see each other, the rest see the gateway. */
static struct way way_between(const struct model *model, unsigned from, unsigned to, struct ip_addr source,
	struct ip_addr destination)
{
	const struct policy_gen_nic *sender = &model->world->nics[from], *receiver = &model->world->nics[to];
	struct way way = model_way_to_nic(model, to, source, destination);

	if (sender->subnet == receiver->subnet) {
		way.from = sender->mac;
		way.routed = false;
	}
	return way;
}

/* ---- judging first packets ---- */

static enum drop judge_leaving(struct model *model, unsigned nic, const struct test_packet *packet,
	bool existing, uint16_t alias, struct way ways[2])
{
	const struct policy_gen_nic *sender = &model->world->nics[nic];
	struct ip_addr public_ip = sender->addresses[model_own_address(sender, packet->source)].public_ip,
		       behind;
	int target = model_owner_of_public(model, packet->destination, &behind);
	bool shared = public_ip.family == IP_NONE;
	struct test_packet seen = *packet; /* by the receiver's groups */

	if (model_is_shared(model, packet->destination))
		return DROP_SHARED_ADDRESS;
	if (shared)
		public_ip = model->shared[sender->network];
	if (public_ip.family == IP_NONE)
		return DROP_NO_PUBLIC_ADDRESS;
	if (shared && !packet_has_ports(packet) && packet->protocol != IPPROTO_ICMP)
		return DROP_NO_PORTS;
	ways[0] = target < 0 ? model_way_outside(model, public_ip, packet->destination)
			     : model_way_to_nic(model, (unsigned)target, public_ip, behind);
	ways[1] = model_way_to_nic(model, nic, packet->destination, packet->source);
	ways[0].shared = ways[1].shared = shared;
	ways[0].alias = alias;
	ways[1].alias = model_own_port(packet);
	if (target < 0)
		return DROP_NONE;
	if (shared)
		seen.source_port = alias;
	return ask(model, (unsigned)target, POLICY_INBOUND, &seen, public_ip, behind, existing);
}

static enum drop judge_within(struct model *model, unsigned nic, const struct test_packet *packet,
	bool existing, struct way ways[2])
{
	int target = owner_in(model, model->world->nics[nic].network, packet->destination);

	if (target < 0)
		return DROP_NO_DESTINATION;
	ways[0] = way_between(model, nic, (unsigned)target, packet->source, packet->destination);
	ways[1] = way_between(model, (unsigned)target, nic, packet->destination, packet->source);
	return ask(model, (unsigned)target, POLICY_INBOUND, packet, packet->source, packet->destination,
		existing);
}

static enum drop judge_from_nic(struct model *model, unsigned nic, const struct test_packet *packet,
	bool existing, uint16_t alias, struct way ways[2])
{
	struct ip_addr host_address = model->world->nics[nic].host_address;

	if (model_is_link_local6(packet->source))
		return DROP_LINK_LOCAL;
	if (model_own_address(&model->world->nics[nic], packet->source) < 0)
		return DROP_SPOOFED_IP;
	enum drop denied =
		ask(model, nic, POLICY_OUTBOUND, packet, packet->source, packet->destination, existing);
	if (denied)
		return denied;
	if (!model_is_unicast(packet->destination))
		return DROP_BAD_DESTINATION;
	if (policy_is_platform(packet->destination)) {
		ways[0] = model_way_to_host(model, host_address, packet->destination);
		ways[1] = model_way_to_nic(model, nic, packet->destination, packet->source);
		ways[1].routed = false;
		return DROP_NONE;
	}
	if (model_is_link_local6(packet->destination))
		return DROP_LINK_LOCAL;
	if (in_network(model_network(model, nic), packet->destination))
		return judge_within(model, nic, packet, existing, ways);
	if (is_link_local4(packet->destination))
		return DROP_BAD_DESTINATION;
	if (packet->destination.family == IP_V6)
		return DROP_IPV6_OUTSIDE;
	return judge_leaving(model, nic, packet, existing, alias, ways);
}

static enum drop judge_from_outside(
	struct model *model, const struct test_packet *packet, bool existing, struct way ways[2])
{
	struct ip_addr private_ip, ignored;
	unsigned nic = (unsigned)model_owner_of_public(model, packet->destination, &private_ip);

	if (!model_is_unicast(packet->source) || policy_is_platform(packet->source) ||
		in_network(model_network(model, nic), packet->source) ||
		prefix_contains(model_host, packet->source) || model_is_shared(model, packet->source) ||
		model_owner_of_public(model, packet->source, &ignored) >= 0)
		return DROP_SPOOFED_OUTSIDE;
	ways[0] = model_way_to_nic(model, nic, packet->source, private_ip);
	ways[1] = model_way_outside(model, packet->destination, packet->source);
	return ask(model, nic, POLICY_INBOUND, packet, packet->source, private_ip, existing);
}

/* To the NIC's first IPv4 address, from the platform's. */
static enum drop judge_from_host(struct model *model, const struct test_packet *packet, struct way ways[2])
{
	unsigned nic = (unsigned)model_owner_of_host_address(model, packet->destination);
	const struct policy_gen_address *first = &model->world->nics[nic].addresses[0];

	if (first->ip.family != IP_V4)
		return DROP_NOT_OURS;
	ways[0] = model_way_to_nic(
		model, nic, policy_is_platform(packet->source) ? packet->source : metadata, first->ip);
	ways[0].routed = false;
	ways[1] = model_way_to_host(model, packet->destination, packet->source);
	return DROP_NONE; /* platform addresses pass groups */
}

enum drop model_judge(struct model *model, unsigned port, const struct test_packet *packet, bool existing,
	uint16_t alias, struct way ways[2])
{
	if (model_is_nic(model, port))
		return judge_from_nic(model, port, packet, existing, alias, ways);
	if (model_is_outside(model, port))
		return judge_from_outside(model, packet, existing, ways);
	return judge_from_host(model, packet, ways);
}
