/* What the model's files share: test_model.c has connections and packets, test_model_judge.c the way of a first
 * packet. */
#pragma once
#include "switch/test_model.h"

/* What becomes of one direction. */
struct way {
	unsigned port;
	struct ip_addr source, destination; /* as they leave */
	struct ip_addr next_hop; /* IP_NONE: to a NIC */
	struct mac_addr from, to;
	bool routed; /* a hop */
	bool shared; /* its sender (of the first packets) shares its address: */
	uint16_t alias; /* its own port as it leaves; in the answers' way, as it comes back */
};

struct model {
	const struct policy_gen_world *world;
	const bool *revalidate;
	const struct ip_addr *shared;
	struct connection *unsettled; /* Borrowed: whose port the switch chooses */
	GHashTable *connections; /* struct tuple → struct connection, Borrowed: of both directions */
	GPtrArray *all; /* Owned: every connection that ever was */
	unsigned epoch;
	unsigned features[MODEL_N_FEATURES];
};

static inline void model_count(struct model *model, enum model_feature feature, bool met)
{
	model->features[feature] += met;
}

static inline bool model_is_nic(const struct model *model, unsigned port)
{
	return port < model->world->n_nics;
}

static inline bool model_is_outside(const struct model *model, unsigned port)
{
	return port == MODEL_OUTSIDE(model->world->n_nics);
}

static inline bool packet_has_ports(const struct test_packet *packet)
{
	return packet->protocol == IPPROTO_TCP || packet->protocol == IPPROTO_UDP;
}

/* ---- addresses ---- */

bool model_is_unicast(struct ip_addr addr);
bool model_is_link_local6(struct ip_addr addr); /* of IPv6 */
const struct policy_gen_network *model_network(const struct model *model, unsigned nic);
/* The number of the NIC's address, or -1. */
int model_own_address(const struct policy_gen_nic *nic, struct ip_addr addr);
/* The NIC that has the public address, and the private one behind it; or -1. */
int model_owner_of_public(const struct model *model, struct ip_addr addr, struct ip_addr *ret_private);
/* Whether NICs of some network share it. */
bool model_is_shared(const struct model *model, struct ip_addr addr);
int model_owner_of_host_address(const struct model *model, struct ip_addr addr);

/* ---- ways ---- */

struct way model_way_to_nic(
	const struct model *model, unsigned nic, struct ip_addr source, struct ip_addr destination);
struct way model_way_outside(const struct model *model, struct ip_addr source, struct ip_addr destination);
struct way model_way_to_host(const struct model *model, struct ip_addr source, struct ip_addr destination);

/* Of a sender's own: TCP's and UDP's source port, ICMP's identifier. */
uint16_t model_own_port(const struct test_packet *packet);

/* Whether the first packet of a connection passes, and then the ways of its packets and of their answers.
 * `existing`: the connection is there already. `alias`: the port that it has, or would have, where its sender
 * shares an address. */
enum drop model_judge(struct model *model, unsigned port, const struct test_packet *packet, bool existing,
	uint16_t alias, struct way ways[2]);
