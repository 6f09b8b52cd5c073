/* Load balancers: the choice of a member, and connections through one switch and through two. */
#include "switch/load_balancer.h"
#include "switch/report.h"

#include "switch/test_balancer.h"
#include "switch/test_pair.h"

#include <string.h>

#define VIP   "203.0.113.20"
#define WEB   80
#define INNER 8080

/* ---- states ---- */

static json_t *rule(const char *name, int port, int member_port, json_t *members)
{
	return test_rule(name, VIP, port, member_port, members);
}

static void apply(struct fixture *f, json_t *rules)
{
	json_object_set_new(f->state, "balancers", json_pack("[o]", test_balancer(VIP, rules)));
	lab_apply(f);
}

static json_t *first_rule(struct fixture *f)
{
	json_t *lb = json_array_get(json_object_get(f->state, "balancers"), 0);

	return json_array_get(json_object_get(lb, "rules"), 0);
}

static void set_health(struct fixture *f, size_t i, bool healthy)
{
	json_object_set_new(json_array_get(json_object_get(first_rule(f), "members"), i), "healthy",
		json_boolean(healthy));
	lab_apply(f);
}

/* a and c behind port 80, c behind port 50000; the peer is known. */
static void setup(struct fixture *f, const void *data)
{
	lab_setup(f, data);
	apply(f, json_pack("[o, o]",
			 rule("web", WEB, INNER, json_pack("[o, o]", test_member(IP_A), test_member(IP_C))),
			 rule("ssh", 50000, 22, json_pack("[o]", test_member(IP_C)))));
	struct test_frame announced = lab_expect(f, "out");
	uint8_t vip[4];
	test_ip(VIP, vip);
	g_assert_cmpmem(announced.bytes + 28, 4, vip, 4);
	lab_meet_peer(f);
}

/* ---- packets ---- */

static struct test_frame syn(uint16_t sport, uint16_t dport)
{
	return test_tcp(MAC_PEER, MAC_OUT, PEER, sport, VIP, dport, TCP_SYN, 0);
}

static uint16_t dport_of(const struct test_frame *frame)
{
	return load16(frame->bytes + 36);
}

static uint16_t sport_of(const struct test_frame *frame)
{
	return load16(frame->bytes + 34);
}

/* A connection's first packet reaches a or c, translated; which of them is returned. */
static const char *begins(struct fixture *f, uint16_t sport)
{
	struct test_frame in;

	lab_put(f, "out", syn(sport, WEB));
	bool at_a = lab_take(f, "a", &in);
	if (!at_a)
		in = lab_expect(f, "c");
	lab_assert_path(&in, MAC_GATEWAY, at_a ? MAC_A : MAC_C, PEER, at_a ? IP_A : IP_C);
	g_assert_cmpuint(dport_of(&in), ==, INNER);
	g_assert_cmpuint(sport_of(&in), ==, sport);
	g_assert_cmpuint(in.bytes[22], ==, 63);
	return at_a ? "a" : "c";
}

static void answers(struct fixture *f, const char *who, uint16_t sport)
{
	bool at_a = who[0] == 'a';

	lab_put(f, who,
		test_tcp(at_a ? MAC_A : MAC_C, MAC_GATEWAY, at_a ? IP_A : IP_C, INNER, PEER, sport,
			TCP_SYN | TCP_ACK, 5));
	struct test_frame out = lab_expect(f, "out");
	lab_assert_path(&out, MAC_OUT, MAC_PEER, VIP, PEER);
	g_assert_cmpuint(sport_of(&out), ==, WEB);
	g_assert_cmpuint(dport_of(&out), ==, sport);
}

/* ---- one switch ---- */

static void test_spread(struct fixture *f, const void *data)
{
	unsigned n[2] = {};

	for (uint16_t sport = 1000; sport < 1100; sport++) {
		const char *who = begins(f, sport);
		answers(f, who, sport);
		n[who[0] == 'c']++;
		/* What follows goes the same way. */
		lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, sport, VIP, WEB, TCP_ACK, 9));
		lab_expect(f, who);
	}
	g_assert_cmpuint(n[0], >, 30);
	g_assert_cmpuint(n[1], >, 30);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 101); /* and the one that met the peer */
}

static void test_source(struct fixture *f, const void *data)
{
	json_object_set_new(first_rule(f), "distribution", json_string("source"));
	lab_apply(f);
	const char *who = begins(f, 1000);
	for (uint16_t sport = 1001; sport < 1040; sport++)
		g_assert_cmpstr(begins(f, sport), ==, who);
}

static void test_nat_rule(struct fixture *f, const void *data)
{
	lab_put(f, "out", syn(1000, 50000));
	struct test_frame in = lab_expect(f, "c");
	lab_assert_path(&in, MAC_GATEWAY, MAC_C, PEER, IP_C);
	g_assert_cmpuint(dport_of(&in), ==, 22);
	lab_put(f, "c", test_tcp(MAC_C, MAC_GATEWAY, IP_C, 22, PEER, 1000, TCP_SYN | TCP_ACK, 0));
	struct test_frame out = lab_expect(f, "out");
	g_assert_cmpuint(sport_of(&out), ==, 50000);
}

static void test_refused(struct fixture *f, const void *data)
{
	lab_put(f, "out", syn(1000, 81));
	g_assert_cmpuint(lab_drops(f, DROP_NO_RULE), ==, 1);
	lab_put(f, "out", test_udp(MAC_PEER, MAC_OUT, PEER, 1000, VIP, WEB, 4));
	g_assert_cmpuint(lab_drops(f, DROP_NO_RULE), ==, 2);
	set_health(f, 0, false);
	set_health(f, 1, false);
	lab_put(f, "out", syn(1000, WEB));
	g_assert_cmpuint(lab_drops(f, DROP_NO_MEMBER), ==, 1);
	lab_expect_none(f, "a");
	lab_expect_none(f, "c");
}

static void test_health(struct fixture *f, const void *data)
{
	uint16_t of_a = 0;

	for (uint16_t sport = 1000; sport < 1020; sport++)
		if (begins(f, sport)[0] == 'a')
			of_a = sport;
	g_assert_cmpuint(of_a, !=, 0);
	answers(f, "a", of_a);
	set_health(f, 0, false);
	for (uint16_t sport = 2000; sport < 2020; sport++)
		g_assert_cmpstr(begins(f, sport), ==, "c");
	/* What is established stays. */
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, of_a, VIP, WEB, TCP_ACK, 9));
	lab_expect(f, "a");
	answers(f, "a", of_a);
	/* But not with who is no member any more. */
	json_array_remove(json_object_get(first_rule(f), "members"), 0);
	lab_apply(f);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, of_a, VIP, WEB, TCP_ACK, 9));
	lab_expect(f, "c");
}

static void test_groups(struct fixture *f, const void *data)
{
	json_object_set_new(first_rule(f), "members", json_pack("[o]", test_member(IP_B)));
	lab_apply(f);
	lab_put(f, "out", syn(1000, WEB));
	g_assert_cmpuint(lab_drops(f, DROP_DENIED_INBOUND), ==, 1);
	lab_allow_port(f, INNER); /* the group sees what the member does */
	lab_put(f, "out", syn(1000, WEB));
	lab_expect(f, "b");
	lab_deny_all(f);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, VIP, WEB, TCP_ACK, 9));
	lab_expect_none(f, "b");
}

static void test_standard(struct fixture *f, const void *data)
{
	json_object_set_new(
		json_array_get(json_object_get(f->state, "balancers"), 0), "standard", json_true());
	lab_apply(f);
	lab_put(f, "out", syn(1000, 50000));
	g_assert_cmpuint(lab_drops(f, DROP_NO_GROUP), ==, 1);
}

static void test_floating(struct fixture *f, const void *data)
{
	json_object_set_new(first_rule(f), "members", json_pack("[o]", test_member(IP_C)));
	json_object_set_new(first_rule(f), "member_port", json_integer(WEB));
	json_object_set_new(first_rule(f), "floating", json_true());
	lab_apply(f);
	lab_put(f, "out", syn(1000, WEB));
	struct test_frame in = lab_expect(f, "c");
	lab_assert_path(&in, MAC_GATEWAY, MAC_C, PEER, VIP);
	g_assert_cmpuint(dport_of(&in), ==, WEB);
	lab_put(f, "c", test_tcp(MAC_C, MAC_GATEWAY, VIP, WEB, PEER, 1000, TCP_SYN | TCP_ACK, 0));
	struct test_frame out = lab_expect(f, "out");
	lab_assert_path(&out, MAC_OUT, MAC_PEER, VIP, PEER);
	/* It stays so by another state; and that address is nobody's to begin with. */
	set_health(f, 0, true);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, VIP, WEB, TCP_ACK, 1));
	lab_expect(f, "c");
	lab_put(f, "c", test_tcp(MAC_C, MAC_GATEWAY, VIP, 99, PEER, 1000, TCP_SYN, 0));
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_IP), ==, 1);
}

static void test_hairpin(struct fixture *f, const void *data)
{
	struct test_frame in;

	lab_put(f, "b", test_tcp(MAC_B, MAC_GATEWAY, IP_B, 1000, VIP, 50000, TCP_SYN, 0));
	in = lab_expect(f, "c");
	lab_assert_path(&in, MAC_GATEWAY, MAC_C, PUBLIC_B, IP_C);
	g_assert_cmpuint(dport_of(&in), ==, 22);
	lab_put(f, "c", test_tcp(MAC_C, MAC_GATEWAY, IP_C, 22, PUBLIC_B, 1000, TCP_SYN | TCP_ACK, 0));
	in = lab_expect(f, "b");
	lab_assert_path(&in, MAC_GATEWAY, MAC_B, VIP, IP_B);
	g_assert_cmpuint(sport_of(&in), ==, 50000);
}

static void test_outbound(struct fixture *f, const void *data)
{
	json_object_set_new(lab_nic(f, 2), "source_nat", json_string(VIP));
	lab_apply(f);
	lab_put(f, "c", test_udp(MAC_C, MAC_GATEWAY, IP_C, 1000, PEER, 53, 7));
	struct test_frame out = lab_expect(f, "out");
	lab_assert_path(&out, MAC_OUT, MAC_PEER, VIP, PEER);
	lab_put(f, "out", test_udp(MAC_PEER, MAC_OUT, PEER, 53, VIP, sport_of(&out), 9));
	struct test_frame in = lab_expect(f, "c");
	lab_assert_path(&in, MAC_GATEWAY, MAC_C, PEER, IP_C);
	g_assert_cmpuint(dport_of(&in), ==, 1000);
	g_assert_cmpuint(atomic_load(&f->datapath->nic_connections[2]), ==, 1);
}

static void test_errors(struct fixture *f, const void *data)
{
	struct test_frame quoted, error, in;

	lab_put(f, "out", syn(1000, 50000));
	lab_expect(f, "c");
	lab_put(f, "c", test_tcp(MAC_C, MAC_GATEWAY, IP_C, 22, PEER, 1000, TCP_SYN | TCP_ACK, 0));
	quoted = lab_expect(f, "out");
	error = test_icmp(MAC_PEER, MAC_OUT, PEER, VIP, 3, 4, 0, 40);
	memcpy(error.bytes + 42, quoted.bytes + 14, 40);
	test_fix(&error);
	lab_put(f, "out", error);
	in = lab_expect(f, "c");
	lab_assert_path(&in, MAC_GATEWAY, MAC_C, PEER, IP_C);
	g_assert_cmpuint(load16(in.bytes + 42 + 20), ==, 22); /* as c sent it */
}

static void test_report(struct fixture *f, const void *data)
{
	begins(f, 1000);
	json_auto_t *list = report_balancers(f->datapath), *nics = report_nics(f->datapath);
	const json_t *lb = json_array_get(list, 0);
	const json_t *web = json_array_get(json_object_get(lb, "rules"), 0);
	g_assert_cmpuint(json_array_size(list), ==, 1);
	g_assert_cmpuint(json_array_size(nics), ==, 3);
	g_assert_cmpint(json_integer_value(json_object_get(lb, "flows")), ==, 1);
	g_assert_cmpint(json_integer_value(json_object_get(web, "port")), ==, WEB);
	g_assert_cmpint(json_integer_value(json_object_get(web, "member_port")), ==, INNER);
	g_assert_cmpuint(json_array_size(json_object_get(web, "members")), ==, 2);
}

/* ---- two switches ---- */

static void setup_pair(struct pair *p, const void *data)
{
	pair_setup(p, data);
	json_object_set_new(json_array_get(json_object_get(p->two.state, "nics"), 0), "front",
		json_pack("{s:s, s:s}", "vtep", VTEP_1, "mac", MAC_LB));
	lab_allow_port(&p->two, INNER);
	pair_meet(p);
	lab_meet_peer(&p->one);
	apply(&p->one, json_pack("[o]", rule("web", WEB, INNER, json_pack("[o]", test_member(IP_D)))));
	lab_expect(&p->one, "out");
}

static struct test_frame crosses(struct pair *p, uint16_t sport, uint8_t flags)
{
	lab_put(&p->one, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, sport, VIP, WEB, flags, 4));
	pair_settle(p);
	struct test_frame in = lab_expect(&p->two, "d");
	lab_assert_path(&in, MAC_GATEWAY, MAC_D, PEER, IP_D);
	g_assert_cmpuint(dport_of(&in), ==, INNER);
	return in;
}

static void comes_back(struct pair *p, uint16_t sport)
{
	lab_put(&p->two, "d", test_tcp(MAC_D, MAC_GATEWAY, IP_D, INNER, PEER, sport, TCP_SYN | TCP_ACK, 3));
	pair_settle(p);
	struct test_frame out = lab_expect(&p->one, "out");
	lab_assert_path(&out, MAC_OUT, MAC_PEER, VIP, PEER);
	g_assert_cmpuint(sport_of(&out), ==, WEB);
}

static void test_remote(struct pair *p, const void *data)
{
	for (uint16_t sport = 1000; sport < 1010; sport++) {
		crosses(p, sport, TCP_SYN);
		comes_back(p, sport);
		crosses(p, sport, TCP_ACK);
	}
	/* The member's switch asks its groups. */
	lab_deny_all(&p->two);
	lab_put(&p->one, "out", syn(2000, WEB));
	pair_settle(p);
	lab_expect_none(&p->two, "d");
	g_assert_cmpuint(lab_drops(&p->two, DROP_DENIED_INBOUND), ==, 1);
}

/* A frame to d by the wire, from that VTEP and source. */
static struct test_frame brought(const char *vtep, const char *src)
{
	struct test_frame frame = test_tcp(MAC_GATEWAY, MAC_D, src, 1000, IP_D, INNER, TCP_SYN, 0);

	pair_outer(&frame, MAC_W1, MAC_W2, vtep, VTEP_2, 1);
	return frame;
}

static void test_remote_spoofed(struct pair *p, const void *data)
{
	lab_put(&p->two, "wire", brought(VTEP_3, PEER));
	g_assert_cmpuint(lab_drops(&p->two, DROP_SPOOFED_TUNNEL), ==, 1);
	lab_put(&p->two, "wire", brought(VTEP_1, "169.254.169.254"));
	g_assert_cmpuint(lab_drops(&p->two, DROP_SPOOFED_TUNNEL), ==, 2);
	lab_put(&p->two, "wire", brought(VTEP_1, PEER));
	lab_expect(&p->two, "d");
	/* The answers to a connection come by its member's VTEP only. */
	crosses(p, 1001, TCP_SYN);
	struct test_frame answer =
		test_tcp(MAC_GATEWAY, MAC_LB, IP_D, INNER, PEER, 1001, TCP_SYN | TCP_ACK, 0);
	pair_outer(&answer, MAC_W2, MAC_W1, VTEP_3, VTEP_1, 1);
	pair_refused(p, answer, DROP_SPOOFED_TUNNEL);
	comes_back(p, 1001);
	/* Nobody begins one that way. */
	answer = test_tcp(MAC_GATEWAY, MAC_LB, IP_D, 99, PEER, 1001, TCP_SYN, 0);
	pair_outer(&answer, MAC_W2, MAC_W1, VTEP_2, VTEP_1, 1);
	pair_refused(p, answer, DROP_NO_RULE);
}

/* The member comes to the switch with the front end; its connection goes on there. */
static void test_member_comes(struct pair *p, const void *data)
{
	crosses(p, 1000, TCP_SYN);
	comes_back(p, 1000);
	json_array_remove(json_object_get(pair_network(&p->one), "mappings"), 0);
	json_array_append_new(
		json_object_get(p->one.state, "nics"), pair_nic("d", MAC_D, "s1", IP_D, json_null()));
	lab_apply(&p->one);
	lab_put(&p->one, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, VIP, WEB, TCP_ACK, 4));
	struct test_frame in = lab_expect(&p->one, "d");
	lab_assert_path(&in, MAC_GATEWAY, MAC_D, PEER, IP_D);
	lab_put(&p->one, "d", test_tcp(MAC_D, MAC_GATEWAY, IP_D, INNER, PEER, 1000, TCP_ACK, 3));
	struct test_frame out = lab_expect(&p->one, "out");
	lab_assert_path(&out, MAC_OUT, MAC_PEER, VIP, PEER);
	/* And leaves it again. */
	json_array_remove(json_object_get(p->one.state, "nics"), 3);
	json_array_append_new(
		json_object_get(pair_network(&p->one), "mappings"), pair_mapping(IP_D, VTEP_2, MAC_D));
	lab_apply(&p->one);
	crosses(p, 1000, TCP_ACK);
	comes_back(p, 1000);
}

/* ---- the choice alone ---- */

static struct flow_key key_of(uint32_t i)
{
	struct flow_key key = {.family = IP_V4, .protocol = PROTO_TCP, .sport = (uint16_t)(i * 7)};

	memcpy(key.src, &i, sizeof i);
	memcpy(key.dst, (const uint8_t[4]){203, 0, 113, 20}, 4);
	key.dport = htobe16(80);
	return key;
}

#define MEMBERS 8
#define KEYS    8000

static void test_choice(void)
{
	struct load_member members[MEMBERS], other[MEMBERS];
	struct load_rule of_all = {.members = members, .n_members = MEMBERS},
			 reversed = {.members = other, .n_members = MEMBERS};
	unsigned n[MEMBERS] = {}, moved = 0;

	for (unsigned i = 0; i < MEMBERS; i++) {
		members[i] = (struct load_member){{IP_V4, {10, 0, 0, (uint8_t)(4 + i)}}, true};
		other[MEMBERS - 1 - i] = members[i];
	}
	for (uint32_t i = 0; i < KEYS; i++) {
		struct flow_key key = key_of(i);
		const struct load_member *member = load_rule_choose(&of_all, &key, NULL);
		n[member - members]++;
		g_assert_true(ip_equal(load_rule_choose(&reversed, &key, NULL)->ip, member->ip));
		members[0].healthy = false;
		const struct load_member *without = load_rule_choose(&of_all, &key, NULL);
		members[0].healthy = true;
		g_assert_true(without != &members[0]);
		moved += without != member;
	}
	for (unsigned i = 0; i < MEMBERS; i++)
		g_assert_cmpfloat_with_epsilon(n[i], KEYS / MEMBERS, KEYS / MEMBERS * 0.15);
	g_assert_cmpuint(moved, ==, n[0]); /* nobody else's */
}

#define ADD(name, fn) g_test_add("/load balancer/" name, struct fixture, NULL, setup, fn, lab_teardown)
#define ADD_PAIR(name, fn)                                                                                   \
	g_test_add("/load balancer/" name, struct pair, NULL, setup_pair, fn, pair_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/load balancer/members share alike, and only a lost one's move", test_choice);
	ADD("connections are spread, and each keeps its member", test_spread);
	ADD("by source, one client has one member", test_source);
	ADD("a port of one member leads to its own", test_nat_rule);
	ADD("without a rule or a member that is well, nothing passes", test_refused);
	ADD("who is not well gets nothing new", test_health);
	ADD("groups are asked after translation", test_groups);
	ADD("a Standard one needs a group", test_standard);
	ADD("floating, the address itself arrives", test_floating);
	ADD("a NIC here may be the client", test_hairpin);
	ADD("members leave by its address", test_outbound);
	ADD("errors about its connections are translated", test_errors);
	ADD("a load balancer is reported apart from NICs", test_report);
	ADD_PAIR("members on another switch get and answer connections", test_remote);
	ADD_PAIR("nobody else speaks for either side", test_remote_spoofed);
	ADD_PAIR("a member's connections follow it", test_member_comes);
	return lab_run();
}
