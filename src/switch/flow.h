/* Flows: what is matched, what is done, and how one direction of a connection lies in memory.
 *
 * A flow is one direction of one connection: an exact match and the composed actions of all layers. Both
 * directions are made at once, on the first packet, and know each other by `pair`. Entries hold 32-bit
 * indices and NIC numbers, never pointers, so that the table can lie in a file that another process adopts.
 *
 * Who writes what, and where it lies.
 *
 *   key, action and all that tells what the entry is    Under the table's lock, while `seq` is odd, by the slow
 *       path or the ageing of any worker; not changed while the entry is live.
 *   blocked (first line), epoch (second)    When the connection is decided anew: by the worker of whichever
 *       direction's packet comes first after a new state, in both directions' entries, under the table's lock and
 *       never to an older epoch, as another worker may know a newer state already. Who sees an epoch (acquire) sees
 *       what blocked was with it.
 *   carried (first line)    Once, under the table's lock, before a NIC gets the direction.
 *   counters, seen_ms, tcp (second line)    By each packet, so only by the worker that polls the port it
 *       comes by: all attachments of a NIC belong to one worker, and so does each queue of an edge (polling.h), of
 *       which a connection keeps to one (rss.h, which says what happens when it does not). Plain loads, relaxed stores:
 *       nobody else adds to them. A NIC whose function is past the host has two such workers: its own, and the
 *       one of its physical network's port. A guest sends by one path at a time, so that they meet only as it
 *       changes, and what rss.h says of two holds then. seen_ms also by the offloader, for what a NIC has carried: both write
 *       the present time.
 *
 * So per packet the second line alone is written; but the line is not one worker's own, as a new state makes
 * the other direction's worker write it once.
 */
#pragma once
#include "base/ip.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Where a packet came from, which decides what its addresses mean. Origins and exits of one place have one number. */
enum flow_origin {
	FLOW_FROM_NIC, /* on any attachment of the NIC */
	FLOW_FROM_OUTSIDE, /* by the uplink, for a public address of the NIC, or for one that NICs share */
	FLOW_FROM_HOST, /* by the host port, for the NIC's host address */
	FLOW_FROM_TUNNEL, /* by the underlay, from the NIC's network on another switch */
	FLOW_FROM_PHYSICAL, /* by the physical network, in the VLAN of the NIC's network */
};

/* In the place of a NIC's number: the packet came from outside for an address that NICs share (layers/nat.c),
 * so that only its flow knows whose it is. No NIC's number (snapshot.h) has this slot. */
#define FLOW_NIC_SHARED 0xffffu

/* Hashed and compared as bytes: no padding. Addresses as in struct ip_addr: IPv4 in the first four bytes, the
 * rest zero. Ports in network order. ICMP: sport is the identifier of echo and timestamp messages (else 0)
 * and dport holds the type and code. Protocols without ports have zero in both. */
struct flow_key {
	uint8_t src[16], dst[16];
	uint16_t sport, dport;
	uint32_t
		nic; /* number of the NIC that sent it, or that it was sent to: see nic_id in snapshot.h; FLOW_NIC_SHARED */
	uint8_t origin; /* enum flow_origin */
	uint8_t family; /* enum ip_family */
	uint8_t protocol; /* IANA number */
	uint8_t zero;
};
static_assert(sizeof(struct flow_key) == 16 + 16 + 2 + 2 + 4 + 4, "the key is hashed: no padding");

enum flow_exit {
	FLOW_TO_NIC, /* `target` */
	FLOW_TO_OUTSIDE, /* `next_hop` on the uplink */
	FLOW_TO_HOST, /* `next_hop` on the host port */
	FLOW_TO_TUNNEL, /* the VTEP `next_hop`, in the VNI `target` */
	FLOW_TO_PHYSICAL, /* the physical network, in the VLAN `target` (snapshot.h): see FLOW_BRIDGED */
};

enum {
	FLOW_REWRITE_SRC = 1 << 0, /* the source becomes new_src; IPv4 only */
	FLOW_REWRITE_DST = 1 << 1, /* the destination becomes new_dst; IPv4 only */
	FLOW_ROUTED = 1 << 2, /* a router's hop: time to live is one less */
	FLOW_REWRITE_SPORT =
		1 << 3, /* the source port becomes new_port; ICMP: the identifier. With an address only */
	FLOW_REWRITE_DPORT = 1 << 4, /* the same of the destination port; never both */
	/* The frame keeps both MACs: it is between neighbours on a VLAN, or for a router there that its sender
	 * chose. Without it, or when the frame is for the gateway that the switch is, it goes to `next_hop`,
	 * whose MAC is found. */
	FLOW_BRIDGED = 1 << 5,
};

/* What is done with each packet of a flow. */
struct flow_action {
	uint8_t exit; /* enum flow_exit */
	uint8_t flags; /* FLOW_REWRITE_SRC .. */
	uint16_t mtu; /* largest IP packet that the way ahead carries */
	uint32_t target; /* of what comes by the tunnel and leaves by the uplink: as next_hop below */
	uint8_t dmac[6],
		smac[6]; /* unless FLOW_BRIDGED. dmac: of FLOW_TO_NIC and FLOW_TO_TUNNEL; else it is the next hop's */
	uint8_t new_src[4], new_dst[4];
	uint8_t next_hop[4]; /* of what comes by the tunnel: the only VTEP that it may come from */
	uint16_t difference; /* what the addresses' rewrites add to a checksum of them (checksum.h) */
	uint16_t new_port; /* network order */
};
static_assert(sizeof(struct flow_action) == 36, "part of struct flow's layout");

struct flow {
	/* Read by every packet, written when made: one line. */
	struct flow_key key;
	uint32_t seq; /* odd while it is being written; another value tells that the entry was reused */
	uint32_t pair; /* index of the other direction */
	uint32_t created_s; /* clock of the workers, in seconds: 136 years */
	uint32_t hash;
	uint8_t live; /* in the table; false: free, or waiting until nobody can hold it any more */
	uint8_t reply; /* the direction of the connection's answers; the pair's is false */
	uint8_t blocked; /* revoked: see CONNECTION_BLOCKED; both directions bear it */
	uint8_t carried; /* a NIC has, or had, this direction's packets (offloader.h): what `tcp` says is old */

	/* Read by every packet; what follows `epoch` is written by it. */
	struct flow_action action;
	uint32_t epoch; /* of the state that this was last decided by */
	uint32_t seen_ms; /* when the last packet came; wraps, as no connection is silent for so long */
	uint32_t tcp; /* what TCP's packets of this way left (tcp.h) */
	uint64_t packets, bytes;
} __attribute__((aligned(64)));
static_assert(sizeof(struct flow) == 128, "two cache lines a direction");
static_assert(offsetof(struct flow, action) == 64, "the match is one cache line, the rest another");

/* Whether an ICMP type (of either family) is a question that is answered, or such an answer. */
bool flow_icmp_type_asks(uint8_t family, uint8_t type);
bool flow_icmp_type_answers(uint8_t family, uint8_t type);

/* Whether its ports are ports: it is TCP's or UDP's. */
bool flow_key_has_ports(const struct flow_key *key);

/* The key of what answers a packet of `key`; the caller sets nic and origin. */
struct flow_key flow_key_reverse(const struct flow_key *key);

/* These change under their readers' eyes. */
static inline bool flow_is_live(const struct flow *flow)
{
	return __atomic_load_n(&flow->live, __ATOMIC_RELAXED);
}

static inline bool flow_is_reply(const struct flow *flow)
{
	return __atomic_load_n(&flow->reply, __ATOMIC_RELAXED);
}

static inline bool flow_is_blocked(const struct flow *flow)
{
	return __atomic_load_n(&flow->blocked, __ATOMIC_RELAXED);
}

/* What a connection's answers from outside are addressed to: another one's, where NICs share an address, has
 * another port. */
struct flow_alias {
	uint8_t address[4];
	uint16_t port; /* network order; ICMP: the identifier */
	uint8_t member
		[6]; /* MAC of whom it goes to: of a load balancer's members, that one has the connection */
};

/* The only VTEP that a packet of the flow may come from, where it comes by the tunnel. */
static inline const void *flow_action_vtep(const struct flow_action *action)
{
	return action->exit == FLOW_TO_OUTSIDE ? (const void *)&action->target : action->next_hop;
}

/* By the key of the answers, and what is done with the packets of the side that began it. */
struct flow_alias flow_alias_of(const struct flow_key *reply, const struct flow_action *forward);
void flow_alias_set_port(struct flow_key *reply, uint16_t port);

static inline bool flow_key_equal(const struct flow_key *a, const struct flow_key *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

static inline bool flow_is_carried(const struct flow *flow)
{
	return __atomic_load_n(&flow->carried, __ATOMIC_RELAXED);
}

static inline struct ip_addr flow_key_source(const struct flow_key *key)
{
	struct ip_addr addr = {.family = key->family};

	memcpy(addr.bytes, key->src, sizeof addr.bytes);
	return addr;
}

static inline struct ip_addr flow_key_destination(const struct flow_key *key)
{
	struct ip_addr addr = {.family = key->family};

	memcpy(addr.bytes, key->dst, sizeof addr.bytes);
	return addr;
}
