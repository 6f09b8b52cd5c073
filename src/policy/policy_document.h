/* The rules that a NIC's guest is to apply, as a document that needs no knowledge of networks or tags.
 *
 * It says what the rules do and nothing else: tags and application groups are resolved, default rules are
 * listed, names and priorities are left out, rules that match nothing too. So two ways to write the same rules
 * down give the same text, and a hash of the text tells whether rules changed:
 *
 *     {"version": 1, "inbound": [GROUP...], "outbound": [GROUP...]}    in the order in which a packet meets the groups
 *     GROUP = {"revalidate": bool, "rules": [RULE...]}   the first rule that matches decides; one always does
 *     RULE = {"action": "allow" | "deny", "protocol": "any" | "icmp" | number,
 *             "source": SIDE, "destination": SIDE}
 *     SIDE = {"prefixes": [PREFIX...], "ports": [[FIRST, LAST]...]}
 *
 * All groups of a direction must allow a packet; without any group everything passes. "icmp" is ICMP on IPv4
 * and ICMPv6 on IPv6. Prefixes are the shortest list (policy_prefixes.h), ports are sorted and merged; no ports
 * stand for any port and for protocols without ports, a list of all ports for TCP and UDP only. A connection that is
 * there when rules change is asked of the groups that revalidate. Packets from and to platform addresses pass
 * groups: whoever applies the document knows that.
 *
 * A NIC without groups that has Standard public addresses gets a group that says what that means.
 */
#pragma once
#include "policy/policy.h"

#include <jansson.h>

#define POLICY_DOCUMENT_VERSION 1

struct policy_document {
	const struct policy_nic *nic; /* its standard_address is not looked at */
	bool subnet_revalidates, nic_revalidates; /* its groups */
	size_t n_standard; /* addresses of the NIC that have Standard public ones */
	const struct ip_prefix *standard;
};

/* New reference. */
json_t *policy_document_encode(const struct policy_document *document);

/* The text that is hashed. Owned by the caller. */
char *policy_document_text(const json_t *json);
