/* Unified flows as an eswitch is given them: an exact match and the composed actions, in plain values.
 *
 * Which packets a flow means, whoever executes it. It means those whose fields are all as the match says, and never
 * these, which go up to the switch, as packets without a flow do:
 *
 *   fragments, first ones too          the switch tells whose later ones are
 *   TCP with SYN, FIN or RST           the switch follows the state of connections
 *   `hop` with a time to live below 2  the switch answers
 *   IP packets longer than `mtu`       the switch cuts them, or answers
 *
 * Anything else that a provider cannot execute as it stands (IPv6 extension headers, say) it may pass up as well:
 * what the switch does with a packet is always right, only slower.
 */
#pragma once
#include "base/ip.h"

#include <stdbool.h>
#include <stdint.h>

#define OFFLOAD_VLAN_NONE 0
#define OFFLOAD_METERS    2 /* of the sender and of the receiver */

/* VXLAN over IPv4, to UDP port 4789. The source port, and whether the outer packet may be fragmented, are the
 * provider's choice. */
struct offload_tunnel {
	bool used;
	uint32_t vni;
	uint8_t source[4], destination[4]; /* VTEPs */
};

struct offload_match {
	uint32_t port; /* that it enters by (struct offload_port) */
	uint16_t vlan; /* that it is tagged with; OFFLOAD_VLAN_NONE: it has no tag */
	struct offload_tunnel tunnel; /* that it comes by; all else here is of the frame within */
	bool has_smac, has_dmac; /* else any */
	uint8_t smac[6], dmac[6];
	uint8_t family; /* enum ip_family */
	uint8_t protocol; /* IANA number, not ICMP's: eswitches do not match its identifiers */
	uint8_t src[16], dst[16]; /* as in struct ip_addr */
	uint16_t sport, dport; /* TCP and UDP; network order */
};

struct offload_actions {
	uint16_t mtu; /* largest IP packet that is executed */
	bool set_macs, hop; /* hop: time to live is one less */
	uint8_t smac[6], dmac[6];
	bool set_src, set_dst, set_sport, set_dport; /* addresses: IPv4 only */
	uint8_t new_src[4], new_dst[4];
	uint16_t new_sport, new_dport; /* network order */
	uint32_t meters[OFFLOAD_METERS]; /* ids of struct offload_meter that all must pass; 0: none */
	uint16_t push_vlan; /* OFFLOAD_VLAN_NONE: it leaves without a tag */
	struct offload_tunnel tunnel; /* that it is put into, */
	uint8_t outer_smac[6],
		outer_dmac[6]; /* and the frame around; the kernel's providers find these themselves */
	uint32_t port; /* that it leaves by */
};

struct offload_flow {
	uint64_t id; /* the owner's, unique among its flows and not 0 */
	struct offload_match match;
	struct offload_actions actions;
};

/* Packets beyond it are dropped. All flows with its id share it. */
struct offload_meter {
	uint32_t id; /* not 0 */
	uint64_t bits_per_s, packets_per_s; /* 0: no limit */
	uint32_t burst_ms;
};

/* X(NAME, "what a NIC without it cannot do") */
#define OFFLOAD_ABILITIES(X)                                                                                 \
	X(IPV4, "cannot match IPv4")                                                                         \
	X(IPV6, "cannot match IPv6")                                                                         \
	X(VLAN_POP, "cannot take VLAN tags off")                                                             \
	X(VLAN_PUSH, "cannot put VLAN tags on")                                                              \
	X(TUNNEL_MATCH, "cannot match what comes by VXLAN")                                                  \
	X(TUNNEL_SET, "cannot put packets into VXLAN")                                                       \
	X(REWRITE, "cannot rewrite MACs or the time to live")                                                \
	X(TRANSLATE, "cannot translate addresses and ports")                                                 \
	X(METER, "cannot hold rates")

enum offload_ability_bit {
#define X(NAME, text) OFFLOAD_BIT_##NAME,
	OFFLOAD_ABILITIES(X)
#undef X
		OFFLOAD_N_ABILITIES
};
enum offload_ability {
#define X(NAME, text) OFFLOAD_##NAME = 1 << OFFLOAD_BIT_##NAME,
	OFFLOAD_ABILITIES(X)
#undef X
		OFFLOAD_ALL = (1 << OFFLOAD_N_ABILITIES) - 1,
};

/* Which of OFFLOAD_IPV4 .. the flow needs. */
uint32_t offload_flow_needs(const struct offload_flow *flow);
/* What a NIC with these abilities cannot do of what the flow needs, as a constant that follows "the NIC"; NULL: it
 * can all. */
const char *offload_flow_refuse(const struct offload_flow *flow, uint32_t abilities);
