/* Packets for the NICs and edges of a random world, aimed at its rules (policy_gen_packet) and sometimes made wrong on
 * purpose. All randomness is GTest's, so that --seed replays it. */
#pragma once
#include "policy/policy_gen.h"
#include "switch/test_packet.h"

struct traffic {
	struct policy_gen *gen; /* Borrowed, as all here */
	const struct policy_gen_world *world;
	struct policy_gen_coverage *coverage; /* of what was aimed */
	struct ip_addr shared; /* an address that NICs may share */
	struct test_packet
		recent; /* the last first packet by an address that has no public one; zero: none yet */
};

/* True once in n times. */
bool traffic_once_in(unsigned n);

/* A connection's first packet; returns the port that it comes by (test_model.h). */
unsigned traffic_first(struct traffic *traffic, struct test_packet *packet);
/* What answers `seen`, which came out of the port. */
struct test_packet traffic_answer(
	const struct traffic *traffic, unsigned port, const struct test_packet *seen);
/* An RST in the place of that answer, by somebody who has not seen what it answers. */
struct test_packet traffic_forged(const struct test_packet *answer);
/* Another one of the same connection and direction. */
struct test_packet traffic_later(const struct test_packet *packet);
