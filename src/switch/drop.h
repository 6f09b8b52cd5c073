/* Why a packet was dropped: one reason, one stable word, one sentence, one counter per NIC.
 *
 * Nothing is ever dropped without a reason. A word never changes its meaning, since dashboards and scripts
 * hold on to it; a new reason goes to the end of its block.
 */
#pragma once

/* X(NAME, "word", "sentence") */
#define DROP_REASONS(X)                                                                                      \
	/* the frame itself */                                                                               \
	X(TRUNCATED, "truncated", "the frame ends before its headers do")                                    \
	X(MALFORMED, "malformed", "a header contradicts itself")                                             \
	X(CHECKSUM, "checksum",                                                                              \
		"the IPv4 header checksum of a first packet, of one to be cut, or of a tunnel's is wrong")   \
	X(SOURCE_ROUTE, "source-route", "the packet asks for source routing")                                \
	X(VLAN, "vlan", "a tagged frame where tags are not allowed")                                         \
	X(ETHERTYPE, "ethertype", "neither IPv4, IPv6 nor ARP")                                              \
	X(MULTICAST, "multicast", "multicast and broadcast are not forwarded")                               \
	X(FRAGMENT, "fragment", "a later fragment whose first fragment was not seen")                        \
	X(FRAGMENT_TINY, "fragment-tiny", "a fragment that hides or overlaps its transport header")          \
	X(ICMP_TYPE, "icmp-type", "an ICMP type that no network here has a use for")                         \
	X(BAD_OFFLOAD, "bad-offload",                                                                        \
		"its headers are not what its sender left its device to complete or cut")                    \
	X(ND_MALFORMED, "nd-malformed", "neighbour discovery that is not whole, or has crossed a router")    \
	X(MLD, "mld", "who listens to which multicast makes no difference: none is forwarded")               \
	/* who may send it */                                                                                \
	X(SPOOFED_MAC, "spoofed-mac", "the source MAC is not the NIC's")                                     \
	X(SPOOFED_IP, "spoofed-ip", "the source address is not the NIC's")                                   \
	X(SPOOFED_ARP, "spoofed-arp", "the ARP sender is not the NIC")                                       \
	X(DHCP_SERVER, "dhcp-server", "a NIC answered DHCP; only the switch does")                           \
	X(SPOOFED_OUTSIDE, "spoofed-outside", "a packet from outside bears an inside source address")        \
	X(SPOOFED_TUNNEL, "spoofed-tunnel", "it came by a VTEP that is not the way to its source")           \
	X(SPOOFED_ND, "spoofed-nd", "neighbour discovery speaks of an address or MAC that is not the NIC's") \
	X(ROGUE_ROUTER, "rogue-router", "a NIC spoke as a router does; only the switch does")                \
	X(LINK_LOCAL, "link-local", "IPv6 link-local addresses reach the switch itself, and no NIC")         \
	X(SPOOFED_PHYSICAL, "spoofed-physical",                                                              \
		"it came by the physical network, and its sender is not there")                              \
	/* policy */                                                                                         \
	X(DENIED_INBOUND, "denied-inbound", "a security group denies it, inbound")                           \
	X(DENIED_OUTBOUND, "denied-outbound", "a security group denies it, outbound")                        \
	X(NO_GROUP, "no-group", "a Standard public address without a group admits nothing from outside")     \
	X(REVOKED, "revoked", "its connection was established and has been revoked since")                   \
	/* where it goes */                                                                                  \
	X(NO_PUBLIC_ADDRESS, "no-public-address", "it leaves the network and its NIC has no public address") \
	X(NO_DESTINATION, "no-destination", "no NIC of the network has the destination address")             \
	X(NOT_OURS, "not-ours", "it came by an edge for a MAC or address that is not here")                  \
	X(NO_OUTSIDE, "no-outside", "it goes outside and there is no uplink")                                \
	X(NO_HOST_PORT, "no-host-port", "it goes to a platform address and nothing is behind the host port") \
	X(IPV6_OUTSIDE, "ipv6-outside", "IPv6 does not leave virtual networks")                              \
	X(BAD_DESTINATION, "bad-destination", "the destination can be nobody's unicast address")             \
	X(TTL, "ttl", "its time to live ended here")                                                         \
	X(TOO_BIG, "too-big", "larger than the way ahead carries")                                           \
	X(NO_ROUTE, "no-route", "a route of its subnet says that it goes nowhere")                           \
	X(NO_FORWARDING, "no-forwarding", "it is led to a NIC that does not forward for others")             \
	X(NO_UNDERLAY, "no-underlay", "it goes to another host and there is no underlay")                    \
	X(UNKNOWN_VNI, "unknown-vni", "it came by the tunnel for a network that is not here")                \
	X(UNKNOWN_MAC, "unknown-mac", "it came to its network for a MAC that no NIC here has")               \
	X(TUNNEL_FRAGMENT, "tunnel-fragment", "an outer packet of the tunnel was fragmented on its way")     \
	X(CONGESTION, "congestion", "the underlay was congested and the sender understands a loss only")     \
	X(SHARED_ADDRESS, "shared-address", "to an address that NICs share, and no answer to any of them")   \
	X(NO_PORTS, "no-ports", "its NIC shares a public address, and its protocol has no ports")            \
	X(NO_PHYSICAL, "no-physical", "it goes to its physical network, which is not open")                  \
	X(UNKNOWN_VLAN, "unknown-vlan", "it came in a VLAN of the physical network that nobody here is on")  \
	X(IPV6_PHYSICAL, "ipv6-physical", "IPv6 does not pass to or from physical networks")                 \
	X(ON_WIRE, "on-wire", "it came by the physical network, which itself brings it to whom it is for")   \
	X(NO_RULE, "no-rule", "to an address of a load balancer, which has no rule for that port")           \
	X(NO_MEMBER, "no-member", "no member of the load balancer's pool is well")                           \
	X(TWO_PORTS, "two-ports", "to a load balancer, from a port that source NAT had to change, too")      \
	/* connections */                                                                                    \
	X(TCP_NO_SYN, "tcp-no-syn", "a TCP segment of no known connection")                                  \
	X(TCP_WINDOW, "tcp-window", "a TCP reset outside of its connection's window")                        \
	X(ICMP_NO_FLOW, "icmp-no-flow", "an ICMP reply or error that belongs to no connection")              \
	X(TUPLE_IN_USE, "tuple-in-use", "another connection has the translated addresses and ports")         \
	X(TABLE_FULL, "table-full", "the flow table is full")                                                \
	X(FLOW_QUOTA, "flow-quota", "the NIC holds as many connections as it may")                           \
	X(PORTS_USED, "ports-used", "no port of the shared public address is free towards its destination")  \
	/* neighbours and responders */                                                                      \
	X(ARP_UNANSWERED, "arp-unanswered", "ARP for an address that is nobody's")                           \
	X(NEIGHBOUR_WAIT, "neighbour-wait", "too many packets wait for next hops' MACs")                     \
	X(NEIGHBOUR_FAILED, "neighbour-failed", "the next hop does not answer ARP")                          \
	X(DHCP_MALFORMED, "dhcp-malformed", "a DHCP request that cannot be answered")                        \
	X(ND_UNANSWERED, "nd-unanswered", "neighbour discovery about an address that is nobody else's")      \
	X(ND_HEARD, "nd-heard", "a neighbour advertisement: the switch knows where everybody is")            \
	X(ERROR_RATE, "error-rate", "an ICMP error was due and the limit on them reached")                   \
	X(NO_IPV6, "no-ipv6", "an IPv6 router is asked for, and the NIC has no IPv6 address")                \
	/* ports */                                                                                          \
	X(PORT_DOWN, "port-down", "nobody is connected to the port")                                         \
	X(PORT_FULL, "port-full", "the receiver does not take packets fast enough, or has not begun to")     \
	X(NO_BUFFER, "no-buffer", "no packet buffer was free")                                               \
	X(RATE, "rate", "more than the NIC may receive, or its function on a physical network may send here")

enum drop {
	DROP_NONE, /* not dropped */
#define X(NAME, word, text) DROP_##NAME,
	DROP_REASONS(X)
#undef X
		DROP_COUNT,
};

/* "spoofed-mac" */
const char *drop_word(enum drop reason);
/* The sentence. */
const char *drop_text(enum drop reason);
