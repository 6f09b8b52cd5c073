/* What the generator (net_gen.c, inside the program under test) and its controller (measure.c) share: a file in
 * memory that both map.
 *
 * Ordering. The controller writes `order` and `rules`, then a new `sequence` with release. A generator port that
 * sees the new sequence (acquire) starts the order anew; the controller changes an order only while it is idle.
 * Counters are each written by the one thread that polls the port, and read by the controller.
 */
#pragma once
#include "traffic.h"

#define NET_GEN_MAGIC   0x6e67656e00000001ull /* the last digit is the layout's version */
#define NET_GEN_LANES   2 /* pairs of ports, one a core of the program under test */
#define NET_GEN_BURST   32
#define NET_GEN_BUCKETS (64 * 16) /* of times: sixteen for each power of two cycles */

/* The side that a port is on: side 0 sends forward, side 1 the replies. */
enum net_gen_side { NET_GEN_NEAR, NET_GEN_FAR };

enum net_gen_macs {
	NET_GEN_MACS_KEPT, /* frames must come out with the MACs that they were sent with */
	NET_GEN_MACS_ANY,
};

struct net_gen_order {
	uint32_t n_rules; /* of `rules`, from the first: packets are taken from each in turn */
	uint32_t frame_bytes; /* with its check sequence */
	uint64_t flows; /* then the same again; 0: never */
	uint8_t send[2]; /* by side: does it send? */
	uint32_t window; /* packets that may be on their way at once, one direction; 0: any number */
	uint8_t once; /* `flows` packets, then silence */
	uint8_t tcp_flags;
	uint8_t macs; /* enum net_gen_macs */
};

struct net_gen_port {
	/* Of the receiving half, which generates. */
	uint64_t sent;
	uint64_t left; /* that an order of `once` has still to send */
	uint64_t no_buffer; /* times that the program under test had none left */
	uint64_t began; /* time-stamp counter at the first packet of the last order that made it send */
	uint32_t obeyed; /* sequence of the order in hand */
	/* Of the transmitting half, the sink. */
	uint64_t verdicts[4] __attribute__((aligned(64))); /* by enum traffic_verdict */
	uint64_t ended; /* time-stamp counter at the last packet */
} __attribute__((aligned(64)));

struct net_gen_control {
	uint64_t magic; /* set last, by the generator */
	uint64_t hz; /* of the time-stamp counter */
	uint32_t sequence;
	struct net_gen_order order;
	struct net_gen_port ports[NET_GEN_LANES][2];
	uint64_t times[NET_GEN_LANES]
		      [NET_GEN_BUCKETS]; /* near port's rx to far port's tx, of UDP, in cycles */
	uint32_t n_rules; /* that are set */
	struct traffic_rule rules[TRAFFIC_RULES];
};
