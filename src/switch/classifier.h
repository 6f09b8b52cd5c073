/* One security group's rules, compiled for the slow path.
 *
 * How it works: rules are sorted by priority, defaults last, each flattened to what a packet is compared
 * with: tag bits, numeric prefixes per family, port ranges. The walk ends at the first rule that matches, and
 * always ends: the last default rule matches everything. An address is first resolved to its tag bits, which
 * depend on the NIC's network; the compiled rules do not, so every NIC and subnet that a group is on shares
 * one classifier.
 *
 * Threads: immutable once made. The reference that it must agree with is policy_check() in policy/.
 */
#pragma once
#include "base/cleanup.h"
#include "policy/policy.h"

struct classifier;

/* What the rules look at. Tags are those that the address has: VIRTUAL_NETWORK or INTERNET, and
 * LOAD_BALANCER. Ports are in host order and count only where has_ports. */
struct classifier_packet {
	uint8_t protocol; /* as in struct policy_packet */
	bool has_ports;
	uint8_t source_tags, destination_tags;
	struct ip_addr source, destination;
	uint16_t source_port, destination_port;
};

struct classifier_verdict {
	bool allow;
	const char *rule; /* Borrowed from the classifier */
};

/* Compiles; the rules are copied. Application groups (struct policy_side.groups) must be empty: the switch's
 * state has none. */
struct classifier *classifier_new(const struct policy_group *group);
void classifier_free(struct classifier *classifier);
CLEANUP_FUNC(struct classifier *, classifier_free)

struct classifier_verdict classifier_check(const struct classifier *classifier,
	enum policy_direction direction, const struct classifier_packet *packet);

/* The tags of an address in a network whose space is given. */
uint8_t classifier_tags(const struct policy_space *space, struct ip_addr addr);
