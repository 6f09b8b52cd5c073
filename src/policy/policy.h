/* Network policy: rules → verdict. Pure: no I/O, no time, no allocation per verdict.
 *
 * This is the one reference evaluator. Every path that enforces policy (the switch, the offload providers,
 * the guest) is tested against policy_check() with generated rules and packets. It is written to be obviously
 * right, not fast: rules are walked in order of priority.
 *
 * Source of the rules: docs/OPERATIONS.md, "Policy", which follows Azure's documented behaviour of network
 * security groups.
 */
#pragma once
#include "base/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_PRIORITY_MIN 100
#define POLICY_PRIORITY_MAX 4096 /* of a group's own rules; the defaults follow at 65000.. */

enum policy_direction { POLICY_INBOUND, POLICY_OUTBOUND };
enum policy_action { POLICY_DENY, POLICY_ALLOW };

/* Protocol numbers are IANA's; a rule may hold any other one of them too (GRE, SCTP, ...), but 58: POLICY_ICMP
 * matches ICMP on IPv4 and ICMPv6 on IPv6. */
enum policy_protocol {
	POLICY_ANY = 0,
	POLICY_ICMP = 1,
	POLICY_TCP = 6,
	POLICY_UDP = 17,
	POLICY_ESP = 50,
	POLICY_AH = 51,
};

/* What an address side of a rule names, beside prefixes. */
enum policy_tag {
	POLICY_TAG_VIRTUAL_NETWORK =
		1 << 0, /* the network's space, its peers, routed prefixes, platform address */
	POLICY_TAG_INTERNET = 1 << 1, /* everything that is not VirtualNetwork */
	POLICY_TAG_LOAD_BALANCER = 1 << 2, /* 168.63.129.16, where health probes come from */
	POLICY_TAG_ANY = 1 << 3, /* "*": any address of either family */
};

/* TCP and UDP do; with any other protocol a rule that lists ports would match nothing. */
bool policy_protocol_has_ports(uint8_t protocol);

struct policy_ports {
	uint16_t first, last; /* inclusive */
};

/* One side (source or destination) of a rule: matches when a tag, a prefix or an application group does. */
struct policy_side {
	uint8_t tags; /* of enum policy_tag */
	size_t n_prefixes;
	const struct ip_prefix *prefixes;
	size_t n_groups;
	const uint32_t *groups; /* application groups by number; see struct policy_members */
	size_t n_ports; /* 0: any port, and protocols without ports match */
	const struct policy_ports *ports; /* with TCP, UDP, and any protocol */
};

struct policy_rule {
	const char *name;
	uint16_t priority; /* lower comes first; unique per direction within a group, defaults at 65000.. */
	uint8_t direction; /* enum policy_direction */
	uint8_t action; /* enum policy_action */
	uint8_t protocol; /* enum policy_protocol */
	struct policy_side source, destination;
};

/* A group's own rules; the six default rules come after them in every group (policy_default_rules). */
struct policy_group {
	const char *name;
	const char *uid; /* NULL: not known; never looked at here */
	size_t n_rules;
	const struct policy_rule *rules; /* in any order */
};

/* An application group as one network sees it: the addresses of its NICs there. A security group that other
 * groups' rules name as their remote end is one too. A rule says the number; who is a member is the
 * network's, so that a NIC that comes or goes changes no rule. */
struct policy_members {
	uint32_t group; /* number */
	const char *name;
	size_t n_prefixes;
	const struct ip_prefix *prefixes; /* single addresses, mostly */
};

/* What tags and application groups stand for at one NIC. */
struct policy_space {
	size_t n_prefixes; /* VirtualNetwork, but for the platform address, which is always of it */
	const struct ip_prefix *prefixes;
	size_t n_members; /* a group that is not here has no member */
	const struct policy_members *members;
};

/* What a NIC is subject to. Inbound: subnet group, then NIC group; outbound the reverse; both must allow. */
struct policy_nic {
	const struct policy_group *subnet_group; /* NULL: none */
	const struct policy_group *nic_group; /* NULL: none */
	struct policy_space space;
	/* The address that the packet is for has a Standard public one: with no group at all, it admits
	 * nothing from outside. */
	bool standard_address;
};

/* First packet of a connection as the NIC's policy sees it (inbound: after address translation; outbound:
 * before). */
struct policy_packet {
	uint8_t direction; /* enum policy_direction */
	uint8_t protocol; /* IANA number; ICMP and ICMPv6 are both POLICY_ICMP */
	struct ip_addr source, destination;
	uint16_t source_port, destination_port; /* 0 where the protocol has none */
};

enum policy_reason {
	POLICY_BY_RULE, /* the rule decided */
	POLICY_BY_PLATFORM, /* platform addresses pass groups */
	POLICY_BY_NO_GROUP, /* no group at all: allowed */
	POLICY_BY_ADDRESS, /* no group, Standard public address, from outside: denied */
};

struct policy_verdict {
	bool allow;
	enum policy_reason reason;
	const struct policy_group *group; /* that decided (the one that denied, or the last that allowed) */
	const struct policy_rule *rule; /* POLICY_BY_RULE only */
};

/* Where a group stands. */
enum policy_place { POLICY_AT_SUBNET, POLICY_AT_NIC };

/* What one group says. */
struct policy_step {
	enum policy_place at;
	bool allow;
	const struct policy_group *group;
	const struct policy_rule *rule;
};

/* A verdict with the word of every group, in the order in which they are asked. The second is asked also
 * when the first denies, which no packet would live to see: whoever opens the first must know. */
struct policy_explanation {
	struct policy_verdict verdict;
	unsigned n_steps; /* none when groups are not asked: POLICY_BY_PLATFORM, _NO_GROUP, _ADDRESS */
	struct policy_step steps[2];
};

/* The six default rules: 65000, 65001, 65500 of either direction. */
const struct policy_rule *policy_default_rules(size_t *ret_n);

/* True for 169.254.169.254 and 168.63.129.16, which pass groups. */
bool policy_is_platform(struct ip_addr addr);

struct policy_verdict policy_check(const struct policy_nic *nic, const struct policy_packet *packet);

struct policy_explanation policy_explain(const struct policy_nic *nic, const struct policy_packet *packet);

/* The NIC's groups in the order in which a packet of that direction meets them, into the steps' `at` and
 * `group`. Returns how many there are. */
unsigned policy_order(const struct policy_nic *nic, enum policy_direction direction,
	struct policy_step ret_steps[static 2]);

/* The prefix that VirtualNetwork always holds and that AzureLoadBalancer stands for: 168.63.129.16. */
struct ip_prefix policy_platform_prefix(void);

/* Whether one rule matches; `space` gives tags and application groups their meaning. */
bool policy_rule_matches(
	const struct policy_rule *rule, const struct policy_space *space, const struct policy_packet *packet);
