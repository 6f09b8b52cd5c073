/* Connections by load balancers that move with NIC a, a member or a client, from switch one to switch two: see carry.h. */
#include "switch/test_balancer.h"
#include "switch/test_carry.h"

#include <string.h>

#define VIP       "203.0.113.20"
#define VIP_INNER "192.168.1.20"
#define WEB       80
#define INNER     8080

static json_t *web(const char *address, const char *member)
{
	return json_pack("[o]", test_rule("web", address, WEB, INNER, json_pack("[o]", test_member(member))));
}

/* ---- a public one, which stays ---- */

static struct test_frame to_member(uint8_t flags)
{
	return test_tcp(MAC_PEER, MAC_OUT, PEER, 999, VIP, WEB, flags, 4);
}

/* The load balancer stays where it is, and so the member's connections come by the tunnel from there. */
static void test_public_member(struct pair *p, const void *data)
{
	json_object_set_new(p->one.state, "balancers", json_pack("[o]", test_balancer(VIP, web(VIP, IP_A))));
	lab_apply(&p->one);
	lab_expect(&p->one, "out");
	lab_put(&p->one, "out", to_member(TCP_SYN));
	lab_expect(&p->one, "a");
	lab_put(&p->one, "a", test_tcp(MAC_A, MAC_GATEWAY, IP_A, INNER, PEER, 999, TCP_SYN | TCP_ACK, 0));
	lab_expect(&p->one, "out");
	g_autoptr(GBytes) file = carry_file(p, 3, 0);

	talk_arrive(p);
	json_t *nics = json_object_get(p->two.state, "nics");
	json_object_set_new(json_array_get(nics, json_array_size(nics) - 1), "front",
		json_pack("{s:s, s:s}", "vtep", VTEP_1, "mac", MAC_LB));
	lab_apply(&p->two);
	struct carry_taken taken = carry_take(p, file);
	g_assert_cmpuint(carry_refused(&taken), ==, 0);
	talk_leave(p);
	lab_put(&p->one, "out", to_member(TCP_ACK));
	pair_settle(p);
	struct test_frame in = lab_expect(&p->two, "a");
	lab_assert_path(&in, MAC_GATEWAY, MAC_A, PEER, IP_A);
	lab_put(&p->two, "a", test_tcp(MAC_A, MAC_GATEWAY, IP_A, INNER, PEER, 999, TCP_ACK, 5));
	pair_settle(p);
	struct test_frame out = lab_expect(&p->one, "out");
	lab_assert_path(&out, MAC_OUT, MAC_PEER, VIP, PEER);
}

/* ---- an internal one, which both switches have ---- */

static void set_internal(struct fixture *f, const char *member)
{
	json_t *lb = test_balancer(VIP_INNER, web(VIP_INNER, member));

	json_object_set_new(lb, "internal", json_true());
	json_object_set_new(f->state, "balancers", json_pack("[o]", lb));
	lab_apply(f);
}

/* One end of a connection, and where it is. */
struct end {
	struct fixture *f;
	const char *port, *mac, *ip;
};

static void ask(struct pair *p, const struct end *client, const struct end *member, uint8_t flags)
{
	lab_put(client->f, client->port,
		test_tcp(client->mac, MAC_GATEWAY, client->ip, 999, VIP_INNER, WEB, flags, 4));
	pair_settle(p);
	struct test_frame in = lab_expect(member->f, member->port);
	/* On another switch nobody knows that the client did not find its neighbour itself. */
	lab_assert_path(
		&in, client->f == member->f ? MAC_GATEWAY : client->mac, member->mac, client->ip, member->ip);
	g_assert_cmpuint(load16(in.bytes + 36), ==, INNER);
}

static void reply(struct pair *p, const struct end *member, const struct end *client, uint8_t flags)
{
	lab_put(member->f, member->port,
		test_tcp(member->mac, MAC_GATEWAY, member->ip, INNER, client->ip, 999, flags, 5));
	pair_settle(p);
	struct test_frame in = lab_expect(client->f, client->port);
	lab_assert_path(&in, MAC_GATEWAY, client->mac, VIP_INNER, client->ip);
	g_assert_cmpuint(load16(in.bytes + 34), ==, WEB);
}

/* a moves, a client or (member) the member; the other end is at one of the switches. All goes on, whoever speaks first. */
static void move(struct pair *p, struct end other, bool member, unsigned imported, unsigned known)
{
	struct end a = {&p->one, "a", MAC_A, IP_A};
	const struct end *client = member ? &other : &a, *served = member ? &a : &other;

	set_internal(&p->one, served->ip);
	set_internal(&p->two, served->ip);
	ask(p, client, served, TCP_SYN);
	reply(p, served, client, TCP_SYN | TCP_ACK);
	g_autoptr(GBytes) file = carry_file(p, 3, 0);
	talk_arrive(p);
	carry_assert_taken(carry_take(p, file), imported, known, 0);
	carry_assert_taken(carry_take(p, file), 0, 3, 0); /* the last copy says nothing new */
	talk_leave(p);
	a.f = &p->two;
	reply(p, served, client, TCP_ACK);
	ask(p, client, served, TCP_ACK);
	g_assert_cmpuint(lab_drops(&p->two, DROP_TCP_NO_SYN), ==, 0);
}

static void test_client_from_member(struct pair *p, const void *data)
{
	move(p, (struct end){&p->one, "b", MAC_B, IP_B}, false, 2, 1);
}

static void test_client_to_member(struct pair *p, const void *data)
{
	move(p, (struct end){&p->two, "d", MAC_D, IP_D}, false, 2, 1);
}

static void test_member_from_client(struct pair *p, const void *data)
{
	move(p, (struct end){&p->one, "b", MAC_B, IP_B}, true, 2, 1);
}

static void test_member_to_client(struct pair *p, const void *data)
{
	move(p, (struct end){&p->two, "d", MAC_D, IP_D}, true, 1, 2);
}

static void test_lost_member(struct pair *p, const void *data)
{
	const struct end a = {&p->one, "a", MAC_A, IP_A}, d = {&p->two, "d", MAC_D, IP_D};

	set_internal(&p->one, IP_D);
	ask(p, &a, &d, TCP_SYN);
	reply(p, &d, &a, TCP_SYN | TCP_ACK);
	g_autoptr(GBytes) file = carry_file(p, 3, 0);
	set_internal(&p->two, IP_E);
	talk_arrive(p);
	struct carry_taken taken = carry_take(p, file);
	g_assert_cmpuint(taken.refused[DROP_NO_MEMBER], ==, 1);
}

#define ADD(name, fn) g_test_add("/carry/" name, struct pair, NULL, carry_setup, fn, pair_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("a load balancer's member keeps its connections on another host", test_public_member);
	ADD("a client leaves the member that an internal one led it to", test_client_from_member);
	ADD("a client comes to the member that an internal one led it to", test_client_to_member);
	ADD("a member leaves the client that an internal one led to it", test_member_from_client);
	ADD("a member comes to the client that an internal one led to it", test_member_to_client);
	ADD("a client whose member is none there is not led to another", test_lost_member);
	return lab_run();
}
