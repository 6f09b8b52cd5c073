/* Random worlds for differential tests: groups, networks, NICs, and packets to their rules. For tests only.
 *
 * All comes from the seed: the same seed and configuration give the same world and packets on every machine
 * and in every build, so a test prints the seed and takes it back to replay. Packets are not uniform: most are
 * aimed at one rule of the NIC's groups, at the edges of its prefixes and ports or one beside them, so that
 * neighbouring answers are told apart.
 *
 *     struct policy_gen *gen = policy_gen_new(seed, &(struct policy_gen_config){});
 *     const struct policy_gen_world *world = policy_gen_world(gen);
 *     json_t *state = policy_gen_state(gen, generation);         what the switch applies
 *     struct policy_gen_packet packet = policy_gen_packet(gen, nic);
 *     struct policy_nic policy = policy_gen_policy(world, packet.nic, packet.address);
 *     policy_check(&policy, &packet.packet)                      what the switch must say
 *     policy_gen_change(gen);                                    some rules, members or groups are others now
 *
 * Pointers into the world are valid until policy_gen_free: what a change replaces lives on, so that verdicts
 * before and after can be compared.
 */
#pragma once
#include "base/cleanup.h"
#include "policy/policy.h"

#include <jansson.h>

#define POLICY_GEN_RULES_MAX 1000 /* of one group */
#define POLICY_GEN_ADDRESSES 2 /* of one NIC, at most */
#define POLICY_GEN_SUBNETS   4 /* of one network, at most */
#define POLICY_GEN_UID_MAX   12

/* All zero is a world of everything. */
struct policy_gen_config {
	unsigned rules_max; /* of one group; 0: POLICY_GEN_RULES_MAX */
	unsigned groups, networks, nics; /* 0: 6, 2, 12; at most 100, 16, 200 */
	bool no_ipv6; /* no subnet and no NIC of IPv6; rules still name its prefixes */
	bool no_application_groups;
	bool no_numbers; /* rules only of protocols that have words */
};

struct policy_gen_subnet {
	char uid[POLICY_GEN_UID_MAX];
	struct ip_prefix prefix;
	struct ip_addr gateway; /* its first address */
	const struct policy_group *group; /* NULL: none */
	unsigned n_taken; /* addresses given to NICs */
};

struct policy_gen_network {
	char uid[POLICY_GEN_UID_MAX];
	uint32_t vni;
	struct policy_space space; /* two networks may have the same prefixes */
	unsigned n_subnets;
	struct policy_gen_subnet subnets[POLICY_GEN_SUBNETS];
};

struct policy_gen_address {
	struct ip_addr ip;
	struct ip_addr public_ip; /* in 203.0.113.0/24; IP_NONE: none */
	bool standard; /* only with a public address */
};

struct policy_gen_nic {
	char uid[POLICY_GEN_UID_MAX]; /* also the name of its attachment's interface */
	struct mac_addr mac;
	struct ip_addr host_address; /* in 100.64.0.0/10 */
	unsigned network, subnet; /* indices */
	const struct policy_group *group; /* NULL: none */
	unsigned n_addresses;
	struct policy_gen_address addresses[POLICY_GEN_ADDRESSES]; /* all in the subnet */
};

struct policy_gen_world {
	uint64_t seed;
	unsigned n_groups, n_networks, n_nics;
	struct policy_group *groups; /* uid and name are the same */
	struct policy_gen_network *networks;
	struct policy_gen_nic *nics;
};

/* First packet of a connection at one NIC, its near end the address of that number. */
struct policy_gen_packet {
	unsigned nic, address;
	struct policy_packet packet;
};

struct policy_gen;

/* `config` is Borrowed for the call. */
struct policy_gen *policy_gen_new(uint64_t seed, const struct policy_gen_config *config);
void policy_gen_free(struct policy_gen *gen);
CLEANUP_FUNC(struct policy_gen *, policy_gen_free)

const struct policy_gen_world *policy_gen_world(const struct policy_gen *gen);
/* What the NIC is subject to for packets of that address. */
struct policy_nic policy_gen_policy(const struct policy_gen_world *world, unsigned nic, unsigned address);
struct policy_gen_packet policy_gen_packet(struct policy_gen *gen, unsigned nic);

/* Changes the world as an operator would: rules of a group are added, removed or become others, a group's
 * rules are all replaced, a NIC's or subnet's group is another or none, members come and go. */
void policy_gen_change(struct policy_gen *gen);

/* The world as the switch's state (docs/API.md): each NIC has one attachment, a function whose interface is
 * called as its uid; no outside and no host port. New reference. */
json_t *policy_gen_state(const struct policy_gen *gen, uint64_t generation);

/* ---- coverage ---- */

/* X(NAME, "what it counts") */
#define POLICY_GEN_FEATURES(X)                                                                               \
	X(GROUP_EMPTY, "groups without rules")                                                               \
	X(GROUP_LARGE, "groups of 500 rules or more")                                                        \
	X(RULE_INBOUND, "inbound rules")                                                                     \
	X(RULE_OUTBOUND, "outbound rules")                                                                   \
	X(RULE_ALLOW, "rules that allow")                                                                    \
	X(RULE_DENY, "rules that deny")                                                                      \
	X(RULE_FIRST, "rules of priority 100")                                                               \
	X(RULE_LAST, "rules of priority 4096")                                                               \
	X(RULE_ANY, "rules of any protocol")                                                                 \
	X(RULE_TCP, "rules of TCP")                                                                          \
	X(RULE_UDP, "rules of UDP")                                                                          \
	X(RULE_ICMP, "rules of ICMP")                                                                        \
	X(RULE_ESP, "rules of ESP")                                                                          \
	X(RULE_AH, "rules of AH")                                                                            \
	X(RULE_NUMBER, "rules of a protocol without a word")                                                 \
	X(SIDE_ANY, "sides of any address")                                                                  \
	X(SIDE_NETWORK, "sides of VirtualNetwork")                                                           \
	X(SIDE_INTERNET, "sides of Internet")                                                                \
	X(SIDE_BALANCER, "sides of AzureLoadBalancer")                                                       \
	X(SIDE_GROUP, "sides of an application group")                                                       \
	X(SIDE_GROUP_EMPTY, "sides of an application group without members")                                 \
	X(SIDE_V4, "sides with IPv4 prefixes")                                                               \
	X(SIDE_V6, "sides with IPv6 prefixes")                                                               \
	X(SIDE_BOTH, "sides with prefixes of both families")                                                 \
	X(SIDE_LIST, "sides with four prefixes or more")                                                     \
	X(SIDE_MIXED, "sides with tags and prefixes")                                                        \
	X(PREFIX_ALL, "prefixes of length 0")                                                                \
	X(PREFIX_HOST, "prefixes of one address")                                                            \
	X(PREFIX_ODD, "prefixes whose length is no multiple of 8")                                           \
	X(PORT_SINGLE, "single ports")                                                                       \
	X(PORT_RANGE, "ranges of ports")                                                                     \
	X(PORT_ALL, "ranges 0-65535")                                                                        \
	X(PORT_LIST, "sides with two ranges or more")                                                        \
	X(PORT_SOURCE, "sources with ports")                                                                 \
	X(NIC_V4, "NICs of IPv4")                                                                            \
	X(NIC_V6, "NICs of IPv6")                                                                            \
	X(NIC_BOTH_GROUPS, "NICs with a group, in a subnet with one")                                        \
	X(NIC_OWN_GROUP, "NICs with a group, in a subnet without")                                           \
	X(NIC_SUBNET_GROUP, "NICs without a group, in a subnet with one")                                    \
	X(NIC_NO_GROUP, "NICs without any group")                                                            \
	X(NIC_STANDARD, "NICs with a Standard public address")                                               \
	X(NETWORK_OVERLAP, "networks with the prefixes of another")                                          \
	X(PACKET_INBOUND, "inbound packets")                                                                 \
	X(PACKET_OUTBOUND, "outbound packets")                                                               \
	X(PACKET_V4, "packets of IPv4")                                                                      \
	X(PACKET_V6, "packets of IPv6")                                                                      \
	X(PACKET_TCP, "packets of TCP")                                                                      \
	X(PACKET_UDP, "packets of UDP")                                                                      \
	X(PACKET_ICMP, "packets of ICMP")                                                                    \
	X(PACKET_ESP, "packets of ESP")                                                                      \
	X(PACKET_AH, "packets of AH")                                                                        \
	X(PACKET_NUMBER, "packets of other protocols")                                                       \
	X(VERDICT_ALLOW, "packets allowed")                                                                  \
	X(VERDICT_DENY, "packets denied")                                                                    \
	X(BY_OWN_RULE, "verdicts by a group's own rule")                                                     \
	X(BY_DEFAULT_RULE, "verdicts by a default rule")                                                     \
	X(BY_PLATFORM, "verdicts by a platform address")                                                     \
	X(BY_NO_GROUP, "verdicts by no group")                                                               \
	X(BY_ADDRESS, "verdicts by a Standard public address")                                               \
	X(FIRST_DENIES, "packets that the first group denies and the second allows")                         \
	X(SECOND_DENIES, "packets that the first group allows and the second denies")                        \
	X(BY_TAG, "rules that decided by a tag")                                                             \
	X(BY_PREFIX, "rules that decided by a prefix alone")                                                 \
	X(BY_GROUP, "rules that decided by an application group alone")                                      \
	X(BY_PORT, "rules with ports that decided")                                                          \
	X(EDGE_INSIDE, "packets at the edge of a deciding rule's ports")                                     \
	X(EDGE_OUTSIDE, "packets one beside the ports of a rule that else matches")

enum policy_gen_feature {
#define X(NAME, text) POLICY_GEN_##NAME,
	POLICY_GEN_FEATURES(X)
#undef X
		POLICY_GEN_N_FEATURES
};

struct policy_gen_coverage {
	unsigned counts[POLICY_GEN_N_FEATURES];
};

const char *policy_gen_feature_text(enum policy_gen_feature feature);
/* Adds what the world has. */
void policy_gen_cover_world(struct policy_gen_coverage *coverage, const struct policy_gen_world *world);
/* Adds what the packet meets. */
void policy_gen_cover_packet(struct policy_gen_coverage *coverage, const struct policy_gen_world *world,
	const struct policy_gen_packet *packet);
