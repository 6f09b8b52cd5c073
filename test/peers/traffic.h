/* The benchmark's traffic: what packet number `round` of rule number `rule` looks like, in either direction.
 *
 * The generator writes frames with traffic_write, the sink judges them with traffic_judge. A frame carries a
 * claim in its payload, the rule and the round it was made for; the sink makes the tuple anew from the claim
 * and compares. So a frame that comes out is right only when it is, header by header, one that was made; and
 * it may come out only when its rule lets it pass.
 *
 * Sources are the addresses of one NIC, destinations those of the other (rules.py says which). The flows of a
 * rule differ in source port, destination and, where the rule has several, destination port; they are distinct
 * for the first TRAFFIC_PORTS * TRAFFIC_DESTINATIONS rounds.
 */
#pragma once
#include <assert.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define TRAFFIC_RULES        32768 /* at most */
#define TRAFFIC_PORTS        60000u /* source ports, from TRAFFIC_FIRST_PORT */
#define TRAFFIC_FIRST_PORT   1024u
#define TRAFFIC_DESTINATIONS 64u /* addresses, from TRAFFIC_DESTINATION */
#define TRAFFIC_DESTINATION  0x0aff0010u /* 10.255.0.16 */
#define TRAFFIC_TTL          64
#define TRAFFIC_FRAME_MIN    64 /* with the four bytes of the check sequence, which no frame here has */
#define TRAFFIC_FCS          4
#define TRAFFIC_ETH          14
#define TRAFFIC_IP           20

/* One rule's packets. Ports and address in host order. */
struct traffic_rule {
	uint32_t source;
	uint16_t first_port, n_ports; /* destination ports; n_ports ≥ 1 */
	uint8_t protocol; /* IPPROTO_UDP or IPPROTO_TCP */
	bool passes; /* false: whatever comes out has leaked */
};

struct traffic_claim {
	uint32_t round;
	uint16_t rule;
} __attribute__((packed));

struct traffic_udp {
	uint16_t sport, dport, length, check;
	struct traffic_claim claim;
	uint64_t stamp; /* the generator's time-stamp counter, or 0 */
} __attribute__((packed));

struct traffic_tcp {
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint8_t offset, flags;
	uint16_t window, check, urgent;
	struct traffic_claim claim;
} __attribute__((packed));

struct traffic_frame {
	uint8_t dmac[6], smac[6];
	uint16_t ether_type;
	uint8_t version_ihl, tos;
	uint16_t total_length, id, fragment;
	uint8_t ttl, protocol;
	uint16_t check;
	uint32_t src, dst;
	union {
		struct traffic_udp udp;
		struct traffic_tcp tcp;
	};
} __attribute__((packed));
static_assert(sizeof(struct traffic_frame) <= TRAFFIC_FRAME_MIN - TRAFFIC_FCS, "fits the smallest frame");

/* Host order. */
struct traffic_tuple {
	uint32_t src, dst;
	uint16_t sport, dport;
};

enum traffic_verdict {
	TRAFFIC_RIGHT, /* it was made, and may pass */
	TRAFFIC_LEAKED, /* it was made, and must not pass */
	TRAFFIC_WRONG, /* nobody made such a frame for this direction */
	TRAFFIC_OTHER, /* not the benchmark's: ARP and the like */
};

static inline struct traffic_tuple traffic_tuple(
	const struct traffic_rule *rule, uint32_t round, bool reverse)
{
	uint32_t lap = round / TRAFFIC_PORTS;
	/* Both factors are odd: with a source port, each lap has another destination. */
	struct traffic_tuple tuple = {
		.src = rule->source,
		.dst = TRAFFIC_DESTINATION + (round + lap) % TRAFFIC_DESTINATIONS,
		.sport = (uint16_t)(TRAFFIC_FIRST_PORT + round % TRAFFIC_PORTS),
		.dport = (uint16_t)(rule->first_port + ((round * 40503u & 0xffff) * rule->n_ports >> 16)),
	};

	if (!reverse)
		return tuple;
	return (struct traffic_tuple){
		.src = tuple.dst, .dst = tuple.src, .sport = tuple.dport, .dport = tuple.sport};
}

static inline uint16_t traffic_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}

/* The sum, in host order and not folded, of the addresses: part of the sums of IPv4, UDP and TCP. */
static inline uint32_t traffic_sum_addresses(const struct traffic_tuple *tuple)
{
	return (tuple->src >> 16) + (tuple->src & 0xffff) + (tuple->dst >> 16) + (tuple->dst & 0xffff);
}

/* Of a packet of `length` bytes. */
static inline uint16_t traffic_ip_check(uint32_t length, uint8_t protocol, const struct traffic_tuple *tuple)
{
	uint32_t sum = 0x4500u + length + (TRAFFIC_TTL << 8) + protocol;

	return htons((uint16_t)~traffic_fold(sum + traffic_sum_addresses(tuple)));
}

static inline uint16_t traffic_tcp_check(
	const struct traffic_frame *frame, const struct traffic_tuple *tuple, uint32_t length)
{
	const struct traffic_tcp *tcp = &frame->tcp;
	uint32_t seq = ntohl(tcp->seq), ack = ntohl(tcp->ack);
	uint16_t words[3];

	memcpy(words, &tcp->claim, sizeof words);
	uint32_t sum = IPPROTO_TCP + length + tuple->sport + tuple->dport + (seq >> 16) + (seq & 0xffff) +
		       (ack >> 16) + (ack & 0xffff) + ((uint32_t)tcp->offset << 8) + tcp->flags +
		       ntohs(tcp->window) + ntohs(words[0]) + ntohs(words[1]) + ntohs(words[2]);
	return htons((uint16_t)~traffic_fold(sum + traffic_sum_addresses(tuple)));
}

/* Writes a frame of `length` bytes over `frame`, a copy of a template whose MACs, lengths, sequence numbers and TCP
 * flags are set for its direction and whose payload beyond the claim is zero. `rule` is the claim's. */
static inline void traffic_write(struct traffic_frame *frame, uint32_t length,
	const struct traffic_rule *rule, struct traffic_claim claim, bool reverse)
{
	struct traffic_tuple tuple = traffic_tuple(rule, claim.round, reverse);

	frame->protocol = rule->protocol;
	frame->src = htonl(tuple.src);
	frame->dst = htonl(tuple.dst);
	frame->check = traffic_ip_check(length - TRAFFIC_ETH, rule->protocol, &tuple);
	frame->udp.sport = htons(tuple.sport);
	frame->udp.dport = htons(tuple.dport);
	if (rule->protocol == IPPROTO_UDP) {
		frame->udp.claim = claim;
	} else {
		frame->tcp.claim = claim;
		frame->tcp.check = traffic_tcp_check(frame, &tuple, length - TRAFFIC_ETH - TRAFFIC_IP);
	}
}

/* What a frame of `length` bytes is that came out at the far end of a direction. `macs`: the twelve bytes that
 * it must begin with, or NULL for any. */
static inline enum traffic_verdict traffic_judge(const struct traffic_frame *frame, uint32_t length,
	const struct traffic_rule *rules, uint32_t n_rules, bool reverse, const uint8_t *macs)
{
	bool tcp = frame->protocol == IPPROTO_TCP;

	if (length < sizeof *frame || frame->ether_type != htons(0x0800) ||
		(!tcp && frame->protocol != IPPROTO_UDP))
		return TRAFFIC_OTHER;
	struct traffic_claim claim = tcp ? frame->tcp.claim : frame->udp.claim;
	if (claim.rule >= n_rules)
		return TRAFFIC_WRONG;
	const struct traffic_rule *rule = &rules[claim.rule];
	struct traffic_tuple tuple = traffic_tuple(rule, claim.round, reverse);
	if (frame->version_ihl != 0x45 || frame->ttl != TRAFFIC_TTL || frame->protocol != rule->protocol ||
		ntohs(frame->total_length) != length - TRAFFIC_ETH || frame->src != htonl(tuple.src) ||
		frame->dst != htonl(tuple.dst) || frame->udp.sport != htons(tuple.sport) ||
		frame->udp.dport != htons(tuple.dport) ||
		frame->check != traffic_ip_check(length - TRAFFIC_ETH, rule->protocol, &tuple) ||
		(macs && memcmp(frame, macs, 12) != 0))
		return TRAFFIC_WRONG;
	return rule->passes ? TRAFFIC_RIGHT : TRAFFIC_LEAKED;
}
