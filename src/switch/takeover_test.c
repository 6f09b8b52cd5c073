/* Public load balancers that change switches: who answers for the addresses, and what becomes of connections. */
#include "switch/takeover.h"

#include "switch/report.h"
#include "switch/test_balancer.h"
#include "switch/test_pair.h"

#include <string.h>

#define VIP     "203.0.113.20"
#define MAC_NEW "02:00:5e:00:00:77" /* of another switch, outside */
#define WEB     80
#define INNER   8080

static json_t *web(const char *member)
{
	return test_balancer(VIP,
		json_pack("[o]", test_rule("web", VIP, WEB, INNER, json_pack("[o]", test_member(member)))));
}

static void bring(struct fixture *f, const char *member)
{
	json_object_set_new(f->state, "balancers", json_pack("[o]", web(member)));
	lab_apply(f);
}

static void setup(struct fixture *f, const void *data)
{
	lab_setup(f, data);
	bring(f, IP_C);
	lab_expect(f, "out"); /* its announcement */
	lab_meet_peer(f);
}

static void ask_for(struct fixture *f, const char *ip)
{
	lab_put(f, "out", test_arp(MAC_PEER, 1, MAC_PEER, PEER, ip));
}

static bool is_yielded(struct fixture *f)
{
	json_auto_t *list = report_balancers(f->datapath);

	return json_is_true(json_object_get(json_array_get(list, 0), "yielded"));
}

static void announce(struct fixture *f, const char *mac, const char *ip)
{
	lab_put(f, "out", test_arp(mac, 1, mac, ip, ip));
}

static void test_yields(struct fixture *f, const void *data)
{
	ask_for(f, VIP);
	lab_expect(f, "out");
	g_assert_false(is_yielded(f));
	/* Of others' addresses, and by a question, nothing is given up; nor by what it said itself. */
	announce(f, MAC_NEW, "203.0.113.99");
	lab_put(f, "out", test_arp(MAC_NEW, 1, MAC_NEW, VIP, PEER));
	announce(f, MAC_OUT, VIP);
	g_assert_false(is_yielded(f));
	announce(f, MAC_NEW, VIP);
	g_assert_true(is_yielded(f));
	ask_for(f, VIP);
	lab_expect_none(f, "out");
	/* A NIC's own address is no load balancer's to give up. */
	announce(f, MAC_NEW, PUBLIC_A);
	ask_for(f, PUBLIC_A);
	lab_expect(f, "out");
	/* What is sent to it all the same goes on, and the same state again changes nothing. */
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, VIP, WEB, TCP_SYN, 0));
	lab_expect(f, "c");
	lab_apply(f);
	lab_expect_none(f, "out");
	g_assert_true(is_yielded(f));
	/* It is told at last; and when it comes back it is its own. */
	json_object_del(f->state, "balancers");
	lab_apply(f);
	bring(f, IP_C);
	lab_expect(f, "out");
	g_assert_false(is_yielded(f));
	ask_for(f, VIP);
	lab_expect(f, "out");
}

/* A process that begins says nothing of what was on disk, of which another may be the holder by now. */
static void test_first_state(struct fixture *f, const void *data)
{
	struct fixture other = {};

	lab_start(&other, json_incref(f->state), 1000, 500);
	/* a's address and b's. */
	g_assert_cmpuint(port_counters_sum(lab_port(&other, "out")).tx_packets, ==, 2);
	ask_for(&other, VIP);
	lab_expect(&other, "out");
	lab_teardown(&other, NULL);
}

/* The client goes on in the middle; later, and of an address that it had before, nobody does. */
static void test_taken_up(struct fixture *f, const void *data)
{
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, VIP, WEB, TCP_ACK, 4));
	struct test_frame in = lab_expect(f, "c");
	lab_assert_path(&in, MAC_GATEWAY, MAC_C, PEER, IP_C);
	lab_put(f, "c", test_tcp(MAC_C, MAC_GATEWAY, IP_C, INNER, PEER, 1000, TCP_ACK, 3));
	struct test_frame out = lab_expect(f, "out");
	lab_assert_path(&out, MAC_OUT, MAC_PEER, VIP, PEER);
	lab_pass(f, TAKEOVER_MS + 5 * SECOND);
	lab_meet_peer(f);
	uint64_t before = lab_drops(f, DROP_TCP_NO_SYN);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1001, VIP, WEB, TCP_ACK, 4));
	lab_expect_none(f, "c");
	g_assert_cmpuint(lab_drops(f, DROP_TCP_NO_SYN), ==, before + 1);
}

/* ---- two switches: from one to two, with a member at each ---- */

static void set_front(struct fixture *f, size_t nic, const char *vtep)
{
	json_object_set_new(lab_nic(f, nic), "front", json_pack("{s:s, s:s}", "vtep", vtep, "mac", MAC_LB));
}

static void setup_pair(struct pair *p, const void *data)
{
	pair_setup(p, data);
	lab_allow_port(&p->one, INNER);
	lab_allow_port(&p->two, INNER);
	pair_meet(p);
	lab_meet_peer(&p->one);
}

/* The member, which stays where it is. */
struct member {
	struct fixture *f;
	const char *port, *mac, *ip;
	size_t number; /* of its NIC in the state */
};

static void client_speaks(struct pair *p, struct fixture *front, const struct member *member, uint8_t flags)
{
	lab_put(front, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, VIP, WEB, flags, 4));
	pair_settle(p);
	struct test_frame in = lab_expect(member->f, member->port);
	lab_assert_path(&in, MAC_GATEWAY, member->mac, PEER, member->ip);
	g_assert_cmpuint(load16(in.bytes + 36), ==, INNER);
}

static void member_speaks(struct pair *p, struct fixture *front, const struct member *member, uint8_t flags)
{
	lab_put(member->f, member->port,
		test_tcp(member->mac, MAC_GATEWAY, member->ip, INNER, PEER, 1000, flags, 3));
	pair_settle(p);
	struct test_frame out = lab_expect(front, "out");
	if (load16(out.bytes + 12) == 0x0806) { /* the new switch asks for the client first */
		lab_put(front, "out", test_arp(MAC_PEER, 2, MAC_PEER, PEER, VIP));
		out = lab_expect(front, "out");
	}
	lab_assert_path(&out, MAC_OUT, MAC_PEER, VIP, PEER);
	g_assert_cmpuint(load16(out.bytes + 34), ==, WEB);
}

/* The load balancer goes from switch one to switch two, and a connection with it. It was only one's agent that was away: it
 * comes back. */
static void move(struct pair *p, const struct member *member, bool member_first)
{
	bool here = member->f == &p->two;

	if (here) {
		set_front(&p->two, member->number, VTEP_1);
		lab_apply(&p->two);
	}
	bring(&p->one, member->ip);
	lab_expect(&p->one, "out");
	client_speaks(p, &p->one, member, TCP_SYN);
	member_speaks(p, &p->one, member, TCP_SYN | TCP_ACK);
	if (here)
		json_object_del(lab_nic(&p->two, member->number), "front");
	bring(&p->two, member->ip);
	lab_expect(&p->two, "out");
	json_object_del(p->one.state, "balancers");
	if (!here)
		set_front(&p->one, member->number, VTEP_2);
	lab_apply(&p->one);
	if (member_first)
		member_speaks(p, &p->two, member, TCP_ACK);
	client_speaks(p, &p->two, member, TCP_ACK);
	member_speaks(p, &p->two, member, TCP_ACK);
}

/* data: the member speaks first. */
static void test_member_there(struct pair *p, const void *data)
{
	const struct member b = {&p->one, "b", MAC_B, IP_B, 1};

	move(p, &b, data != NULL);
	/* Nobody begins one so. */
	lab_put(&p->one, "b", test_tcp(MAC_B, MAC_GATEWAY, IP_B, INNER, "203.0.113.2", 1001, TCP_SYN, 3));
	pair_settle(p);
	lab_expect_none(&p->two, "out");
}

static void test_member_here(struct pair *p, const void *data)
{
	const struct member d = {&p->two, "d", MAC_D, IP_D, 0};

	move(p, &d, data != NULL);
}

#define ADD(name, fn) g_test_add("/takeover/" name, struct fixture, NULL, setup, fn, lab_teardown)
#define ADD_PAIR(name, first, fn)                                                                            \
	g_test_add("/takeover/" name, struct pair, first, setup_pair, fn, pair_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("a load balancer is left to the switch that announces it", test_yields);
	ADD("a process does not begin by announcing load balancers", test_first_state);
	ADD("connections of a load balancer that has come are taken up for a while", test_taken_up);
	ADD_PAIR("a connection to the old switch goes on, and its client speaks first", NULL,
		test_member_there);
	ADD_PAIR(
		"a connection to the old switch goes on, and its member speaks first", "", test_member_there);
	ADD_PAIR("a connection to the new switch goes on, and its client speaks first", NULL,
		test_member_here);
	ADD_PAIR("a connection to the new switch goes on, and its member speaks first", "", test_member_here);
	return lab_run();
}
