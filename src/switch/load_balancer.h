/* Load balancers: which connections they take, and who gets each.
 *
 * Theory of operation. A load balancer is a NIC of its network that has no guest: it has a number, a MAC and public
 * addresses, a quota of connections and counters of drops, like any other, and what comes from outside for its addresses
 * belongs to it. The switch that has it in its state answers for these addresses. Its layer (layers/load_balancer.c)
 * chooses a member of the pool for a connection's first packet, translates, and the walk goes on as that member's: its
 * groups see a private destination, and the client's own address. Every later packet is executed by the unified flow.
 *
 * A member on another switch gets the packets by its network's tunnel, and answers by it: that switch knows the load
 * balancer as the way back for whatever is outside (struct front). So the switch with the front end sees both directions,
 * which its connection tracking needs, and nobody answers in its name. Direct return would save the answers one host's
 * work, at the price of flows that know one direction only.
 *
 * An internal one has addresses of its network instead, and each switch with a NIC of that network has it: it leads what
 * its own NICs send there. To the member's switch that is as if the client had sent it to the member, and the answers come
 * to the client's switch by themselves. So nobody else sees these connections, and no host is one that all depend on.
 * Rejected for it: one switch with the address, as above; the members' answers would have to be kept from their shorter
 * way, and a host that fails would take the address with it.
 *
 * The choice is rendezvous hashing: each member gets a number by the packet and its own address, and the highest one
 * wins. So it depends neither on the order of members nor on the switch; when a member goes, only its connections move,
 * and when one comes, it takes its share from all alike. Addresses and ports are the sender's choice, and so the hash
 * holds no secret. A connection keeps its member as long as that is one, whatever its probe says.
 */
#pragma once
#include "switch/snapshot.h"

struct flow_key;

/* What of the packet counts. */
enum load_distribution {
	LOAD_BY_TUPLE, /* addresses, ports and protocol */
	LOAD_BY_SOURCE, /* addresses */
	LOAD_BY_SOURCE_PROTOCOL, /* addresses and protocol */
};

/* "tuple" */
extern const char *const load_distribution_words[];

struct load_member {
	struct ip_addr ip; /* in the load balancer's network; IPv4 */
	bool healthy;
};

/* One port of one of its addresses. */
struct load_rule {
	char *name;
	struct ip_addr address; /* IPv4 */
	uint16_t port, member_port; /* network order */
	uint8_t protocol; /* IANA number; TCP or UDP */
	uint8_t distribution; /* enum load_distribution */
	bool floating; /* members get packets as they came: for the address itself */
	unsigned n_members;
	struct load_member *members;
};

struct load_balancer {
	bool internal; /* its addresses are its network's, and no switch's alone */
	const struct nic *next_internal; /* of its network; NULL: it is the last one */
	bool standard; /* members without a group get nothing from it */
	unsigned n_rules;
	struct load_rule *rules; /* sorted by load_rule_compare */
};

/* A load balancer on another switch, as a NIC is behind it. */
struct front {
	struct mapping way; /* to it; without a prefix */
	bool standard;
	unsigned n_floating;
	struct ip_addr *floating; /* of its addresses, those that come as they are */
};

/* The load balancer whose address that is (SPACE_PUBLIC; a network's space: an internal one), or NULL. */
static inline const struct nic *load_balancer_of(
	const struct snapshot *state, uint32_t space, struct ip_addr addr)
{
	struct owner owner = snapshot_find(state, space, addr);

	return owner.kind == OWNER_NIC && owner.nic->load_balancer ? owner.nic : NULL;
}

/* By address, protocol and port. */
int load_rule_compare(const void *a, const void *b);
/* The rule for a packet of that key, or NULL. */
const struct load_rule *load_balancer_find(const struct load_balancer *balancer, const struct flow_key *key);
/* The member that gets a connection whose first packet has the key, or NULL: none is healthy. `but` (may be NULL): a NIC
 * that does not get it. */
const struct load_member *load_rule_choose(
	const struct load_rule *rule, const struct flow_key *key, const struct nic *but);
/* What a load balancer may have led so that a packet of that key answers it: *ret is the key of what a client here sent to
 * an internal one, or of what came from outside to the public one that the packet is brought to by the tunnel. One after the other from {}; false: that was all. */
struct load_asked {
	bool begun;
	const struct nic *front;
	unsigned rule;
};
bool load_balancer_next_asked(const struct snapshot *state, const struct flow_key *answer,
	struct load_asked *at, struct flow_key *ret);
/* The same of what a NIC here answers that came by a public load balancer here; false: by none. */
bool load_balancer_asked(const struct snapshot *state, const struct flow_key *answer, struct flow_key *ret);
/* Whether packets of that key, which are for an address of an internal load balancer of the NIC's network, come to the NIC
 * as they are. */
bool load_balancer_floats_to(const struct snapshot *state, const struct nic *nic, const struct flow_key *key);
/* Whether packets to the address come to the NIC as they are. */
bool front_is_floating(const struct front *front, struct ip_addr address);
