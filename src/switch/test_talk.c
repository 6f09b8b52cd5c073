/* What a talks about, and its move: see test_talk.h. */
#include "switch/test_talk.h"

#include <string.h>

#define CREDIT 0x10000000u /* first sequence numbers: of a; others' are twice that */

static const struct talk_other others[] = {
	{"a neighbour of the old host", MAC_B, IP_B, "b", false, TALK_ONE},
	{"another subnet of the old host", MAC_C, IP_C, "c", true, TALK_ONE},
	{"a neighbour of the new host", MAC_D, IP_D, "d", false, TALK_TWO},
	{"another subnet of the new host", MAC_E, IP_E, "e", true, TALK_TWO},
	{"the outside", MAC_PEER, PEER, "out", true, TALK_OUTSIDE},
};

static const uint8_t protocols[] = {6, 17, 1};

static_assert(TALKS == 2 * G_N_ELEMENTS(others) * G_N_ELEMENTS(protocols), "each with each");

struct talk talk_of(unsigned i)
{
	return (struct talk){.other = &others[i / 2 % G_N_ELEMENTS(others)],
		.protocol = protocols[i / 2 / G_N_ELEMENTS(others)],
		.answers = i % 2,
		.number = (uint16_t)(2000 + i)};
}

struct end {
	const char *mac, *ip;
	uint16_t port;
};

static struct test_frame frame_of(
	const struct talk *talk, struct end from, struct end to, uint8_t flags, bool asks)
{
	uint32_t there = strcmp(from.mac, MAC_A) == 0 ? CREDIT : 2 * CREDIT;
	struct test_frame frame;

	if (talk->protocol == 17)
		return test_udp(from.mac, to.mac, from.ip, from.port, to.ip, to.port, 20);
	if (talk->protocol == 1)
		return test_icmp(from.mac, to.mac, from.ip, to.ip, asks ? 8 : 0, 0, talk->number, 56);
	frame = test_tcp(from.mac, to.mac, from.ip, from.port, to.ip, to.port, flags, 0);
	store32(frame.bytes + 38, there + !(flags & TCP_SYN));
	store32(frame.bytes + 42, flags & TCP_ACK ? 3 * CREDIT - there + 1 : 0);
	test_fix(&frame);
	return frame;
}

static struct fixture *side_of(struct pair *p, enum talk_side side, struct fixture *of_a)
{
	return side == TALK_OUTSIDE ? of_a : side == TALK_ONE ? &p->one : &p->two;
}

bool talk_from_a(struct pair *p, struct fixture *of_a, const struct talk *talk, uint8_t flags)
{
	const struct talk_other *other = talk->other;
	struct fixture *there = side_of(p, other->side, of_a);

	lab_put(of_a, "a",
		frame_of(talk, (struct end){MAC_A, IP_A, talk->number},
			(struct end){other->routed ? MAC_GATEWAY : other->mac, other->ip, 80}, flags,
			!talk->answers));
	pair_settle(p);
	g_autoptr(GBytes) seen = port_fake_take(lab_port(there, other->port));
	if (!seen)
		return false;
	uint8_t source[4];
	test_ip(other->side == TALK_OUTSIDE ? PUBLIC_A : IP_A, source);
	g_assert_cmpmem((const uint8_t *)g_bytes_get_data(seen, NULL) + 26, 4, source, 4);
	return true;
}

bool talk_to_a(struct pair *p, struct fixture *of_a, const struct talk *talk, uint8_t flags)
{
	const struct talk_other *other = talk->other;
	bool outside = other->side == TALK_OUTSIDE;

	lab_put(side_of(p, other->side, of_a), other->port,
		frame_of(talk, (struct end){other->mac, other->ip, 80},
			(struct end){outside         ? MAC_OUT
				     : other->routed ? MAC_GATEWAY
						     : MAC_A,
				outside ? PUBLIC_A : IP_A, talk->number},
			flags, talk->answers));
	pair_settle(p);
	g_autoptr(GBytes) seen = port_fake_take(lab_port(of_a, "a"));
	if (!seen)
		return false;
	uint8_t destination[4];
	test_ip(IP_A, destination);
	g_assert_cmpmem((const uint8_t *)g_bytes_get_data(seen, NULL) + 30, 4, destination, 4);
	return true;
}

void talk_expect(bool passed, bool wanted, const struct talk *talk, const char *who)
{
	if (passed != wanted)
		g_error("%s of %s, protocol %u, begun by %s: %s", who, talk->other->name, talk->protocol,
			talk->answers ? "it" : "a", passed ? "passed" : "did not pass");
}

void talk_begin(struct pair *p, struct fixture *of_a, const struct talk *talk)
{
	bool (*first)(struct pair *, struct fixture *, const struct talk *, uint8_t) =
		talk->answers ? talk_to_a : talk_from_a;
	bool (*second)(struct pair *, struct fixture *, const struct talk *, uint8_t) =
		talk->answers ? talk_from_a : talk_to_a;

	talk_expect(first(p, of_a, talk, TCP_SYN), true, talk, "the first packet");
	talk_expect(second(p, of_a, talk, TCP_SYN | TCP_ACK), true, talk, "the answer");
	if (talk->protocol == 6)
		talk_expect(first(p, of_a, talk, TCP_ACK), true, talk, "the third packet");
}

void talk_go_on(struct pair *p, struct fixture *of_a, const struct talk *talk, bool a_first, bool wanted)
{
	for (unsigned i = 0; i < 2; i++) {
		bool from_a = (i == 0) == a_first;
		bool passed =
			from_a ? talk_from_a(p, of_a, talk, TCP_ACK) : talk_to_a(p, of_a, talk, TCP_ACK);
		talk_expect(passed, wanted, talk, from_a ? "a packet to" : "a packet");
	}
}

/* ---- the move ---- */

void talk_drain(struct fixture *f)
{
	GHashTableIter ports;
	void *port;

	g_hash_table_iter_init(&ports, f->ports);
	while (g_hash_table_iter_next(&ports, NULL, &port))
		for (GBytes *frame; (frame = port_fake_take(port));)
			g_bytes_unref(frame);
}

void talk_arrive(struct pair *p)
{
	json_t *mappings = json_object_get(pair_network(&p->two), "mappings");

	json_array_append_new(json_object_get(p->two.state, "nics"), json_deep_copy(lab_nic(&p->one, 0)));
	json_array_remove(mappings, 0);
	lab_apply(&p->two);
	talk_drain(&p->two);
}

void talk_leave(struct pair *p)
{
	json_array_remove(json_object_get(p->one.state, "nics"), 0);
	json_array_append_new(
		json_object_get(pair_network(&p->one), "mappings"), pair_mapping(IP_A, VTEP_2, MAC_A));
	lab_apply(&p->one);
}
