/* What the switch must do with a packet, by a model that is meant to be obviously right: one packet at a time, every
 * address looked for among all NICs, and policy_explain for every verdict.
 *
 * The model is of docs/API.md and docs/OPERATIONS.md, "Policy". It has the world's NICs, an uplink with 203.0.113.0/24
 * and a gateway, and a host port; whoever is behind these has the MAC that model_neighbour_mac gives.
 *
 *     first packet   spoofing → the sender's groups → route → translation → the receiver's groups: model_open
 *     later ones     belong to a connection, which they are looked up by as they enter. After a change the connection is
 *                    judged again, by its first packet; groups that do not revalidate are not asked.
 *     RSTs           pass within 65,535 bytes of what the other side acknowledged, or if they acknowledge its SYN; a SYN
 *                    begins a connection anew that one ended.
 */
#pragma once
#include "base/cleanup.h"
#include "policy/policy_gen.h"
#include "switch/drop.h"
#include "switch/test_packet.h"

extern const struct mac_addr model_gateway_mac, model_outside_mac, model_host_mac;
extern const struct ip_prefix model_outside, model_host;
extern const struct ip_addr model_outside_gateway, model_gateway_link_local;

/* Where packets enter and leave: the number of a NIC, or one of these, n being the world's NICs. */
#define MODEL_OUTSIDE(n) (n)
#define MODEL_HOST(n)    ((n) + 1)

enum model_answer { MODEL_NOTHING, MODEL_PACKET, MODEL_ERROR };

/* X(NAME, "what it counts"): what packets met. */
#define MODEL_FEATURES(X)                                                                                    \
	X(NEIGHBOUR, "delivered in a subnet")                                                                \
	X(ROUTED, "delivered between subnets")                                                               \
	X(SELF, "delivered to the sender")                                                                   \
	X(HAIRPIN, "delivered by a public address of this switch")                                           \
	X(OUT, "sent outside")                                                                               \
	X(IN, "delivered from outside")                                                                      \
	X(TO_HOST, "sent to a platform address")                                                             \
	X(FROM_HOST, "delivered from the host port")                                                         \
	X(V6, "IPv6 delivered")                                                                              \
	X(REPLY, "answers of connections")                                                                   \
	X(FRAGMENT, "later fragments that followed their first")                                             \
	X(OPTIONS, "with IPv4 options")                                                                      \
	X(NO_CHECKSUM, "UDP without a checksum, translated")                                                 \
	X(BOTH_ASKED, "allowed by two groups at one end")                                                    \
	X(OWN_RULE, "decided by a group's own rule")                                                         \
	X(APPLICATION, "decided by an application group")                                                    \
	X(DENIED_OUT, "denied outbound")                                                                     \
	X(DENIED_IN, "denied inbound")                                                                       \
	X(STANDARD, "closed by a Standard address")                                                          \
	X(REVOKED, "of connections that a change revoked")                                                   \
	X(KEPT, "of connections that only a group without revalidation denies")                              \
	X(AGAIN, "of connections that were revoked and are allowed again")                                   \
	X(REOPENED, "SYNs that began a revoked connection anew")                                             \
	X(FORGED, "RSTs outside of the window")                                                              \
	X(ENDED, "of connections that an RST ended")                                                         \
	X(RENEWED, "SYNs that began an ended connection anew")                                               \
	X(SHARED_OUT, "sent outside by a shared address")                                                    \
	X(SHARED_IN, "answers that came for a shared address")                                               \
	X(SHARED_HAIRPIN, "delivered by a public address, from a shared one")                                \
	X(OTHER_PORT, "first packets that got another port than their own")                                  \
	X(OTHER_PORT_LATER, "later packets with such a port")                                                \
	X(ECHO, "echoes that a gateway answered")                                                            \
	X(ECHO6, "such echoes of IPv6")                                                                      \
	X(TOLD, "ICMP errors that told the sender why")                                                      \
	X(TOLD6, "such errors of IPv6")

enum model_feature {
#define X(NAME, text) MODEL_##NAME,
	MODEL_FEATURES(X)
#undef X
		MODEL_N_FEATURES
};

const char *model_feature_text(enum model_feature feature);

struct model_outcome {
	enum drop drop; /* DROP_NONE: it was not dropped */
	bool nobody; /* it is counted for no NIC */
	unsigned nic; /* else for which */
	enum model_answer answer; /* what comes out, */
	unsigned port; /* where, */
	struct ip_addr next_hop; /* and on an edge for whom, */
	bool any_port; /* its port is the switch's choice, and to be told by model_take_port before anything else is sent */
	struct test_packet packet; /* MODEL_PACKET: which packet */
	struct test_icmp_error error; /* MODEL_ERROR: or which error */
};

struct model;

/* The world is Borrowed; it may change between packets, after each of which model_change is due. revalidate: of its
 * groups, by number; Borrowed too. shared: by network, the address that its NICs share, or IP_NONE; Borrowed, and never
 * changes. */
struct model *model_new(
	const struct policy_gen_world *world, const bool *revalidate, const struct ip_addr *shared);
void model_free(struct model *model);
CLEANUP_FUNC(struct model *, model_free)
void model_change(struct model *model);

struct model_outcome model_send(struct model *model, unsigned port, const struct test_packet *packet);

/* The port (of ICMP, the identifier) that the switch chose for the packet's connection. False: it may not have
 * that one. */
bool model_take_port(struct model *model, struct model_outcome *outcome, uint16_t port);

/* How often each feature was met. */
const unsigned *model_features(const struct model *model);

struct mac_addr model_neighbour_mac(struct ip_addr addr);
