/* The model: see test_model.h. */
#include "switch/test_model_priv.h"

#include <assert.h>

static const char *const feature_texts[] = {
#define X(NAME, text) [MODEL_##NAME] = text,
	MODEL_FEATURES(X)
#undef X
};

/* What tells one direction of a connection from all others, where its packets enter. */
struct tuple {
	unsigned port;
	struct ip_addr source, destination;
	uint8_t protocol, icmp_type;
	uint16_t source_port, destination_port; /* ICMP: the identifier in the first */
};
static_assert(sizeof(struct tuple) == 4 + 17 + 17 + 1 + 1 + 2 + 2, "the tuple is hashed: no padding");

/* What the packets of one direction told. */
struct side {
	bool spoke, acknowledges;
	uint32_t began; /* before it acknowledges anything: its SYN's sequence number */
	uint32_t acknowledged;
};

struct connection {
	unsigned port; /* that its first packet came by */
	struct test_packet first;
	struct tuple tuples[2]; /* of its packets and of their answers */
	struct way ways[2];
	struct side sides[2];
	bool blocked, ended;
	unsigned epoch; /* of the state that it was judged by */
};

const char *model_feature_text(enum model_feature feature)
{
	return feature_texts[feature];
}

const unsigned *model_features(const struct model *model)
{
	return model->features;
}

/* ---- connections ---- */

static struct tuple tuple_of(unsigned port, const struct test_packet *packet)
{
	struct tuple tuple;

	memset(&tuple, 0, sizeof tuple);
	tuple.port = port;
	tuple.source = packet->source;
	tuple.destination = packet->destination;
	tuple.protocol = packet->protocol;
	if (packet_has_ports(packet)) {
		tuple.source_port = packet->source_port;
		tuple.destination_port = packet->destination_port;
	} else if (test_packet_is_icmp(packet)) {
		tuple.source_port = packet->icmp_id;
		tuple.icmp_type = packet->icmp_type;
	}
	return tuple;
}

/* Of the answers to packets that leave this way. */
static struct tuple answering(const struct tuple *asked, const struct way *way)
{
	struct tuple tuple = *asked;

	tuple.port = way->port;
	tuple.source = way->destination;
	tuple.destination = way->source;
	if (asked->protocol == IPPROTO_ICMP)
		tuple.icmp_type = 0;
	else if (asked->protocol == IPPROTO_ICMPV6)
		tuple.icmp_type = 129;
	if (asked->protocol == IPPROTO_TCP || asked->protocol == IPPROTO_UDP) {
		tuple.source_port = asked->destination_port;
		tuple.destination_port = way->shared ? way->alias : asked->source_port;
	} else if (way->shared) {
		tuple.source_port = way->alias;
	}
	return tuple;
}

static guint tuple_hash(gconstpointer key)
{
	const uint8_t *bytes = key;
	guint h = 2166136261u;

	for (size_t i = 0; i < sizeof(struct tuple); i++)
		h = (h ^ bytes[i]) * 16777619u;
	return h;
}

static gboolean tuple_equal(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, sizeof(struct tuple)) == 0;
}

static void forget(struct model *model, struct connection *connection)
{
	for (unsigned i = 0; i < 2; i++)
		g_hash_table_remove(model->connections, &connection->tuples[i]);
}

/* False when another connection has one of its tuples, or both are one. One that is over gives way, but for who
 * can have another port. */
static bool remember(struct model *model, struct connection *connection)
{
	struct connection *other = g_hash_table_lookup(model->connections, &connection->tuples[1]);

	if (tuple_equal(&connection->tuples[0], &connection->tuples[1]) ||
		(other && (connection->ways[0].shared || !other->ended || other->blocked)))
		return false;
	if (other)
		forget(model, other);
	for (unsigned i = 0; i < 2; i++)
		g_hash_table_insert(model->connections, &connection->tuples[i], connection);
	return true;
}

/* ---- TCP ---- */

static bool is_tcp(const struct test_packet *packet)
{
	return packet->protocol == IPPROTO_TCP && !packet->later;
}

static bool is_reset(const struct test_packet *packet)
{
	return is_tcp(packet) && packet->tcp_flags & 0x04;
}

/* No SYN here offers to scale windows. */
static bool is_believed(const struct side *other, const struct test_packet *packet)
{
	if (!other->spoke)
		return true;
	if (other->acknowledges)
		return packet->sequence - other->acknowledged <= 65535;
	return packet->tcp_flags & 0x10 && packet->acknowledged - other->began == 1;
}

/* A packet of the direction passed. */
static void note(struct connection *connection, unsigned direction, const struct test_packet *packet)
{
	struct side *side = &connection->sides[direction];

	if (!is_tcp(packet))
		return;
	side->spoke = true;
	connection->ended |= is_reset(packet);
	if (packet->tcp_flags & 0x10) {
		side->acknowledges = true;
		side->acknowledged = packet->acknowledged;
	} else if (packet->tcp_flags & 0x02 && !side->acknowledges) {
		side->began = packet->sequence;
	}
}

/* By the present state, if that was not done yet. */
static void judge_again(struct model *model, struct connection *connection)
{
	struct way ways[2];
	bool was_blocked = connection->blocked;

	if (connection->epoch == model->epoch)
		return;
	connection->epoch = model->epoch;
	connection->blocked = model_judge(model, connection->port, &connection->first, !was_blocked,
				      connection->ways[0].alias, ways) != DROP_NONE;
	model_count(model, MODEL_AGAIN, was_blocked && !connection->blocked);
}

/* ---- outcomes ---- */

static bool error_about(enum drop reason, bool v6, uint8_t *ret_type, uint8_t *ret_code)
{
	*ret_type = reason == DROP_TTL ? (v6 ? 3 : 11) : (v6 ? 1 : 3);
	switch ((int)reason) {
	case DROP_TTL:
	case DROP_IPV6_OUTSIDE:
	case DROP_NO_PUBLIC_ADDRESS: *ret_code = 0; return true;
	case DROP_NO_DESTINATION: *ret_code = v6 ? 3 : 1; return true;
	case DROP_NO_PORTS: *ret_code = 13; return true;
	default: return false;
	}
}

static void add_error(
	struct model *model, struct model_outcome *outcome, unsigned port, const struct test_packet *packet)
{
	struct test_icmp_error *error = &outcome->error;

	bool v6 = packet->source.family == IP_V6;

	if (packet->later || packet->to.bytes[0] & 1 ||
		(packet->protocol == IPPROTO_ICMP && packet->icmp_type != 8) ||
		!model_is_unicast(packet->source) || !model_is_unicast(packet->destination) ||
		!error_about(outcome->drop, v6, &error->type, &error->code))
		return;
	struct ip_addr gateway =
		model_network(model, outcome->nic)->subnets[model->world->nics[outcome->nic].subnet].gateway;
	struct ip_addr from = model_is_nic(model, port) ? gateway : packet->destination;
	struct way back = model_is_nic(model, port) ? model_way_to_nic(model, port, from, packet->source)
			  : model_is_outside(model, port) ? model_way_outside(model, from, packet->source)
							  : model_way_to_host(model, from, packet->source);
	error->from = back.from;
	error->to = back.to;
	error->source = from;
	error->destination = packet->source;
	error->about = *packet;
	outcome->answer = MODEL_ERROR;
	outcome->port = back.port;
	outcome->next_hop = back.next_hop;
	model_count(model, MODEL_TOLD, true);
	model_count(model, MODEL_TOLD6, v6);
}

static struct model_outcome dropped(
	struct model *model, unsigned nic, unsigned port, const struct test_packet *packet, enum drop reason)
{
	struct model_outcome outcome = {.drop = reason, .nic = nic};

	add_error(model, &outcome, port, packet);
	return outcome;
}

static void count_delivery(
	struct model *model, unsigned port, const struct test_packet *packet, const struct way *way)
{
	bool from_nic = model_is_nic(model, port), to_nic = model_is_nic(model, way->port);
	bool translated =
		!ip_equal(way->source, packet->source) || !ip_equal(way->destination, packet->destination);

	model_count(model, MODEL_NEIGHBOUR, from_nic && to_nic && !way->routed && port != way->port);
	model_count(model, MODEL_ROUTED, from_nic && to_nic && way->routed && !translated);
	model_count(model, MODEL_SELF, from_nic && port == way->port);
	model_count(model, MODEL_HAIRPIN, from_nic && to_nic && translated);
	model_count(model, MODEL_OUT, from_nic && model_is_outside(model, way->port));
	model_count(model, MODEL_IN, model_is_outside(model, port));
	model_count(model, MODEL_TO_HOST, from_nic && !to_nic && !model_is_outside(model, way->port));
	model_count(model, MODEL_FROM_HOST, !from_nic && !model_is_outside(model, port));
	model_count(model, MODEL_V6, packet->source.family == IP_V6);
	model_count(model, MODEL_FRAGMENT, packet->later);
	model_count(model, MODEL_OPTIONS, packet->options != 0);
	model_count(model, MODEL_NO_CHECKSUM, packet->no_checksum && translated);
	model_count(model, MODEL_SHARED_OUT, way->shared && model_is_outside(model, way->port));
	model_count(model, MODEL_SHARED_IN, way->shared && model_is_outside(model, port));
	model_count(model, MODEL_SHARED_HAIRPIN, way->shared && from_nic && to_nic);
}

/* In the place of the sender's own, on the way out; of the receiver's, on the way back. */
static void set_port(struct test_packet *packet, const struct way *way, bool answers)
{
	if (!packet_has_ports(packet))
		packet->icmp_id = way->alias;
	else if (answers)
		packet->destination_port = way->alias;
	else
		packet->source_port = way->alias;
}

static struct model_outcome sent(struct model *model, unsigned nic, unsigned port,
	const struct test_packet *packet, const struct way *way, bool answers)
{
	struct model_outcome outcome = {
		.answer = MODEL_PACKET, .port = way->port, .next_hop = way->next_hop, .packet = *packet};

	if (way->routed && packet->hops <= 1)
		return dropped(model, nic, port, packet, DROP_TTL);
	outcome.packet.from = way->from;
	outcome.packet.to = way->to;
	outcome.packet.source = way->source;
	outcome.packet.destination = way->destination;
	outcome.packet.hops -= way->routed;
	if (way->shared)
		set_port(&outcome.packet, way, answers);
	count_delivery(model, port, packet, way);
	return outcome;
}

/* Of an answer that has the packet's size: no more than makes an Ethernet frame of it. */
static uint8_t answer_padding(const struct test_packet *packet)
{
	struct test_packet bare = *packet;

	bare.padding = 0;
	uint32_t length = test_packet_write(&bare).length;
	return (uint8_t)MIN(packet->padding, length < 60 ? 60 - length : 0);
}

static struct model_outcome echoed(struct model *model, unsigned nic, const struct test_packet *packet)
{
	struct model_outcome outcome = {.answer = MODEL_PACKET, .port = nic, .packet = *packet};

	outcome.packet.from = model_gateway_mac;
	outcome.packet.to = model->world->nics[nic].mac;
	outcome.packet.source = packet->destination;
	outcome.packet.destination = packet->source;
	outcome.packet.hops = 64;
	outcome.packet.padding = answer_padding(packet);
	outcome.packet.icmp_type = packet->protocol == IPPROTO_ICMP ? 0 : 129;
	model_count(model, MODEL_ECHO, true);
	model_count(model, MODEL_ECHO6, packet->protocol == IPPROTO_ICMPV6);
	return outcome;
}

/* ---- packets ---- */

/* Whose packet it is, or -1. */
static int subject_of(const struct model *model, unsigned port, const struct test_packet *packet)
{
	struct ip_addr ignored;
	bool outside = model_is_outside(model, port);

	if (model_is_nic(model, port))
		return (int)port;
	if (memcmp(&packet->to, outside ? &model_outside_mac : &model_host_mac, sizeof packet->to) != 0)
		return -1;
	return outside ? model_owner_of_public(model, packet->destination, &ignored)
		       : model_owner_of_host_address(model, packet->destination);
}

static bool is_for_shared(const struct model *model, unsigned port, const struct test_packet *packet)
{
	return model_is_outside(model, port) && model_is_shared(model, packet->destination) &&
	       memcmp(&packet->to, &model_outside_mac, sizeof packet->to) == 0;
}

static bool is_opening(const struct test_packet *packet)
{
	return packet->protocol == IPPROTO_TCP && !packet->later && packet->tcp_flags == 0x02;
}

/* What is no connection's and begins none, whatever policy says. */
static enum drop cannot_begin(const struct test_packet *packet)
{
	if (packet->to.bytes[0] & 1)
		return DROP_MULTICAST;
	if (packet->later)
		return DROP_FRAGMENT;
	if (packet->protocol == IPPROTO_TCP && !is_opening(packet))
		return DROP_TCP_NO_SYN;
	if (test_packet_is_icmp(packet) && packet->icmp_type != (packet->protocol == IPPROTO_ICMP ? 8 : 128))
		return DROP_ICMP_NO_FLOW;
	return DROP_NONE;
}

static bool is_gateway_in(const struct policy_gen_network *network, struct ip_addr addr)
{
	for (unsigned i = 0; i < network->n_subnets; i++)
		if (ip_equal(network->subnets[i].gateway, addr))
			return true;
	return false;
}

static const struct policy_gen_subnet *subnet_of(const struct model *model, unsigned nic)
{
	return &model_network(model, nic)->subnets[model->world->nics[nic].subnet];
}

/* To the switch itself. */
static bool may_speak(const struct model *model, unsigned nic, struct ip_addr source)
{
	if (model_is_link_local6(source))
		return !ip_equal(source, model_gateway_link_local);
	return model_own_address(&model->world->nics[nic], source) >= 0;
}

static bool is_gateway_echo(const struct model *model, unsigned port, const struct test_packet *packet)
{
	if (!model_is_nic(model, port) || packet->cut || !test_packet_is_icmp(packet) ||
		packet->icmp_type != (packet->protocol == IPPROTO_ICMP ? 8 : 128))
		return false;
	if (ip_equal(packet->destination, model_gateway_link_local))
		return subnet_of(model, port)->prefix.addr.family == IP_V6;
	return is_gateway_in(model_network(model, port), packet->destination);
}

static struct model_outcome conveyed(struct model *model, struct connection *connection, unsigned direction,
	unsigned nic, unsigned port, const struct test_packet *packet)
{
	struct model_outcome outcome =
		sent(model, nic, port, packet, &connection->ways[direction], direction);

	if (outcome.drop == DROP_NONE)
		note(connection, direction, packet);
	return outcome;
}

/* The NIC whose rules say no: what comes in is for the other one. */
static unsigned refuser(enum drop reason, unsigned nic, const struct connection *connection)
{
	return reason == DROP_DENIED_INBOUND || reason == DROP_NO_GROUP ? connection->ways[0].port : nic;
}

static struct model_outcome model_open(
	struct model *model, unsigned nic, unsigned port, const struct test_packet *packet)
{
	struct connection *connection = g_new0(struct connection, 1);

	g_ptr_array_add(model->all, connection);
	*connection = (struct connection){.port = port, .first = *packet, .epoch = model->epoch};
	enum drop reason = cannot_begin(packet);
	if (!reason)
		reason = model_judge(model, port, packet, false, model_own_port(packet), connection->ways);
	if (reason)
		return dropped(model, refuser(reason, nic, connection), port, packet, reason);
	connection->tuples[0] = tuple_of(port, packet);
	connection->tuples[1] = answering(&connection->tuples[0], &connection->ways[0]);
	bool remembered = remember(model, connection);
	if (!remembered && !connection->ways[0].shared)
		return dropped(model, nic, port, packet, DROP_TUPLE_IN_USE);
	struct model_outcome outcome = conveyed(model, connection, 0, nic, port, packet);
	outcome.any_port = !remembered;
	model->unsettled = remembered ? NULL : connection;
	model_count(model, MODEL_OTHER_PORT, !remembered);
	return outcome;
}

bool model_take_port(struct model *model, struct model_outcome *outcome, uint16_t port)
{
	struct connection *connection = model->unsettled;
	struct way ways[2];

	if (port < 1024 || model_judge(model, connection->port, &connection->first, false, port, ways))
		return false;
	connection->ways[0] = ways[0];
	connection->tuples[1] = answering(&connection->tuples[0], &ways[0]);
	set_port(&outcome->packet, &ways[0], false);
	return remember(model, connection);
}

static struct model_outcome model_continue(struct model *model, struct connection *connection, unsigned nic,
	unsigned port, const struct test_packet *packet, const struct tuple *tuple)
{
	bool answers = tuple_equal(tuple, &connection->tuples[1]);

	judge_again(model, connection);
	model_count(model, MODEL_REVOKED, connection->blocked);
	if (connection->blocked)
		return dropped(model, nic, port, packet, DROP_REVOKED);
	if (is_reset(packet) && !is_believed(&connection->sides[!answers], packet)) {
		model_count(model, MODEL_FORGED, true);
		return dropped(model, nic, port, packet, DROP_TCP_WINDOW);
	}
	model_count(model, MODEL_REPLY, answers);
	model_count(model, MODEL_ENDED, connection->ended);
	model_count(model, MODEL_OTHER_PORT_LATER,
		connection->ways[0].shared && connection->ways[0].alias != connection->ways[1].alias);
	return conveyed(model, connection, answers, nic, port, packet);
}

/* It came from outside, for an address that NICs share: only answers do. */
static struct model_outcome send_to_shared(
	struct model *model, unsigned port, const struct test_packet *packet, const struct tuple *tuple)
{
	struct connection *connection = g_hash_table_lookup(model->connections, tuple);
	enum drop reason = cannot_begin(packet);

	if (connection && !((connection->blocked || connection->ended) && is_opening(packet)))
		return model_continue(model, connection, connection->port, port, packet, tuple);
	if (connection)
		forget(model, connection);
	return (struct model_outcome){.drop = reason ? reason : DROP_SHARED_ADDRESS, .nobody = true};
}

struct model_outcome model_send(struct model *model, unsigned port, const struct test_packet *packet)
{
	int nic = subject_of(model, port, packet);
	const struct tuple tuple = tuple_of(port, packet);

	if (is_for_shared(model, port, packet))
		return send_to_shared(model, port, packet, &tuple);
	if (nic < 0)
		return (struct model_outcome){.drop = DROP_NOT_OURS, .nobody = true};
	if (model_is_nic(model, port) &&
		memcmp(&packet->from, &model->world->nics[port].mac, sizeof packet->from) != 0)
		return (struct model_outcome){.drop = DROP_SPOOFED_MAC, .nic = port};
	struct connection *connection = g_hash_table_lookup(model->connections, &tuple);
	if (connection && (connection->blocked || connection->ended) && is_opening(packet)) {
		model_count(model, connection->blocked ? MODEL_REOPENED : MODEL_RENEWED, true);
		forget(model, connection);
		connection = NULL;
	}
	if (connection)
		return model_continue(model, connection, (unsigned)nic, port, packet, &tuple);
	if (is_gateway_echo(model, port, packet))
		return may_speak(model, port, packet->source)
			       ? echoed(model, port, packet)
			       : dropped(model, port, port, packet, DROP_SPOOFED_IP);
	return model_open(model, (unsigned)nic, port, packet);
}

/* ---- life ---- */

struct model *model_new(
	const struct policy_gen_world *world, const bool *revalidate, const struct ip_addr *shared)
{
	struct model *model = g_new0(struct model, 1);

	model->world = world;
	model->revalidate = revalidate;
	model->shared = shared;
	model->connections = g_hash_table_new(tuple_hash, tuple_equal);
	model->all = g_ptr_array_new_with_free_func(g_free);
	return model;
}

void model_free(struct model *model)
{
	if (!model)
		return;
	g_hash_table_unref(model->connections);
	g_ptr_array_unref(model->all);
	g_free(model);
}

void model_change(struct model *model)
{
	model->epoch++;
}
