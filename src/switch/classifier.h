/* One security group's rules, compiled for the slow path.
 *
 * How it works. Rules are numbered in order of priority, defaults last. Each of a packet's five fields is looked up by
 * itself and gives the set of rules that it satisfies (rule_sets.h). The rules that match are what is in all five sets;
 * the first of them decides. So a lookup costs a binary search a field, and a few words for each thousand rules.
 *
 * An address satisfies a rule by a prefix, by a tag, or by an application group. Which tags and groups an
 * address has depends on the NIC's network and is resolved before (membership.h); the compiled rules do not, so
 * every NIC and subnet that a group is on shares one classifier. An address's set is the union of those of its
 * prefixes, of its tags, and of its application groups: lists do not multiply rules.
 *
 * There always is a rule that matches: the last default rule matches everything.
 *
 * Threads: immutable once made. The reference that it must agree with is policy_check() in policy/.
 */
#pragma once
#include "base/cleanup.h"
#include "policy/policy.h"

#define CLASSIFIER_GROUPS_MAX 32 /* application groups of one address */

struct classifier;

/* What the rules look at. Tags are those that the address has: VIRTUAL_NETWORK or INTERNET, and
 * LOAD_BALANCER; groups its application groups, CLASSIFIER_GROUPS_MAX at most. Ports are in host order and count only
 * where has_ports. */
struct classifier_packet {
	uint8_t protocol; /* as in struct policy_packet */
	bool has_ports;
	uint8_t source_tags, destination_tags;
	struct ip_addr source, destination;
	uint16_t source_port, destination_port;
	unsigned n_source_groups, n_destination_groups;
	const uint32_t *source_groups, *destination_groups; /* Borrowed */
};

struct classifier_verdict {
	bool allow;
	const char *rule; /* Borrowed from the classifier */
};

/* Compiles; the rules are copied. */
struct classifier *classifier_new(const struct policy_group *group);
void classifier_free(struct classifier *classifier);
CLEANUP_FUNC(struct classifier *, classifier_free)

struct classifier_verdict classifier_check(const struct classifier *classifier,
	enum policy_direction direction, const struct classifier_packet *packet);
