/* What NIC a of the pair's switches talks about with others, and its move from switch one to switch two, for tests. */
#pragma once
#include "switch/test_pair.h"

enum talk_side { TALK_OUTSIDE, TALK_ONE, TALK_TWO };

/* Whom a talks to. */
struct talk_other {
	const char *name, *mac, *ip, *port;
	bool routed;
	enum talk_side side; /* the switch that it is at; the outside is at that which a is at */
};

/* One connection of a's. */
struct talk {
	const struct talk_other *other;
	uint8_t protocol;
	bool answers; /* the other one begins */
	uint16_t number; /* a's port, or the identifier */
};

/* With b, c, d, e and the outside, begun by a or not: TCP, then UDP, then ICMP. */
#define TALKS    30
#define TALK_OUT 8 /* with the outside, by TCP, begun by a; the next one by it */
#define TALK_UDP 10 /* with b, by UDP, begun by a; the next one by it */
struct talk talk_of(unsigned i);

/* A packet of a's, which is at that switch; whether it came out where the other one is, as it should be. */
bool talk_from_a(struct pair *p, struct fixture *of_a, const struct talk *talk, uint8_t flags);
/* The same of the other one's. */
bool talk_to_a(struct pair *p, struct fixture *of_a, const struct talk *talk, uint8_t flags);
/* Fails with who it was when it is not as wanted. */
void talk_expect(bool passed, bool wanted, const struct talk *talk, const char *who);

void talk_begin(struct pair *p, struct fixture *of_a, const struct talk *talk);
/* Both directions pass, or neither; who speaks first makes no difference. */
void talk_go_on(struct pair *p, struct fixture *of_a, const struct talk *talk, bool a_first, bool wanted);

/* Takes all that came out of the ports. */
void talk_drain(struct fixture *f);
/* a comes to switch two, which has had its mapping; a leaves switch one, which gets it. */
void talk_arrive(struct pair *p);
void talk_leave(struct pair *p);
