/* Internal load balancers: what NICs send to an address of their own network, through one switch and through two. */
#include "switch/load_balancer.h"
#include "switch/report.h"
#include "switch/state.h"

#include "switch/test_balancer.h"
#include "switch/test_pair.h"

#include <string.h>

#define VIP   "192.168.1.20" /* of the subnet of a and b */
#define WEB   80
#define INNER 8080

/* ---- states ---- */

static json_t *internal(json_t *rules)
{
	json_t *lb = test_balancer(VIP, rules);

	json_object_set_new(lb, "internal", json_true());
	return lb;
}

static json_t *web(json_t *members)
{
	return json_pack("[o]", test_rule("web", VIP, WEB, INNER, members));
}

static void apply(struct fixture *f, json_t *members)
{
	json_object_set_new(f->state, "balancers", json_pack("[o]", internal(web(members))));
	lab_apply(f);
}

static json_t *first_rule(struct fixture *f)
{
	json_t *lb = json_array_get(json_object_get(f->state, "balancers"), 0);

	return json_array_get(json_object_get(lb, "rules"), 0);
}

static void set_floating(struct fixture *f)
{
	json_object_set_new(first_rule(f), "member_port", json_integer(WEB));
	json_object_set_new(first_rule(f), "floating", json_true());
	lab_apply(f);
}

static void setup(struct fixture *f, const void *data)
{
	lab_setup(f, data);
	apply(f, json_pack("[o, o]", test_member(IP_A), test_member(IP_C)));
}

/* ---- packets ---- */

static uint16_t sport_of(const struct test_frame *frame)
{
	return load16(frame->bytes + 34);
}

static uint16_t dport_of(const struct test_frame *frame)
{
	return load16(frame->bytes + 36);
}

static struct test_frame to_vip(const char *mac, const char *ip, uint16_t sport, uint8_t flags)
{
	return test_tcp(mac, MAC_GATEWAY, ip, sport, VIP, WEB, flags, 7);
}

static struct test_frame answer(const char *mac, const char *ip, const char *to, uint16_t dport)
{
	return test_tcp(mac, MAC_GATEWAY, ip, INNER, to, dport, TCP_SYN | TCP_ACK, 5);
}

/* b's answer comes back in the load balancer's name. */
static void assert_answered(struct fixture *f, uint16_t sport)
{
	struct test_frame back = lab_expect(f, "b");

	lab_assert_path(&back, MAC_GATEWAY, MAC_B, VIP, IP_B);
	g_assert_cmpuint(sport_of(&back), ==, WEB);
	g_assert_cmpuint(dport_of(&back), ==, sport);
}

/* ---- one switch ---- */

static void test_spread(struct fixture *f, const void *data)
{
	unsigned n[2] = {};

	for (uint16_t sport = 1000; sport < 1100; sport++) {
		struct test_frame in;
		lab_put(f, "b", to_vip(MAC_B, IP_B, sport, TCP_SYN));
		bool at_a = lab_take(f, "a", &in);
		if (!at_a)
			in = lab_expect(f, "c");
		lab_assert_path(&in, MAC_GATEWAY, at_a ? MAC_A : MAC_C, IP_B, at_a ? IP_A : IP_C);
		g_assert_cmpuint(dport_of(&in), ==, INNER);
		g_assert_cmpuint(in.bytes[22], ==, 63);
		n[at_a]++;
		lab_put(f, at_a ? "a" : "c", answer(at_a ? MAC_A : MAC_C, at_a ? IP_A : IP_C, IP_B, sport));
		assert_answered(f, sport);
		lab_put(f, "b", to_vip(MAC_B, IP_B, sport, TCP_ACK));
		lab_expect(f, at_a ? "a" : "c");
	}
	g_assert_cmpuint(n[0], >, 30);
	g_assert_cmpuint(n[1], >, 30);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 100);
}

/* Nobody is at its address itself; the gateway's MAC leads there, also within its subnet. */
static void test_address(struct fixture *f, const void *data)
{
	lab_put(f, "b", test_arp(MAC_B, 1, MAC_B, IP_B, VIP));
	struct test_frame reply = lab_expect(f, "b");
	uint8_t mac[6];
	test_mac(MAC_GATEWAY, mac);
	g_assert_cmpmem(reply.bytes + 22, 6, mac, 6);
	lab_put(f, "b", test_tcp(MAC_B, MAC_GATEWAY, IP_B, 1000, VIP, 81, TCP_SYN, 0));
	g_assert_cmpuint(lab_drops(f, DROP_NO_RULE), ==, 1);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, VIP, WEB, TCP_SYN, 0));
	g_assert_cmpuint(lab_drops(f, DROP_NOT_OURS), ==, 1);
	lab_put(f, "b", test_tcp(MAC_B, MAC_GATEWAY, VIP, 1000, IP_C, WEB, TCP_SYN, 0));
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_IP), ==, 1);
}

/* A member that sends there gets the other ones, and without another nothing. */
static void test_own(struct fixture *f, const void *data)
{
	for (uint16_t sport = 1000; sport < 1040; sport++) {
		lab_put(f, "a", to_vip(MAC_A, IP_A, sport, TCP_SYN));
		struct test_frame in = lab_expect(f, "c");
		lab_assert_path(&in, MAC_GATEWAY, MAC_C, IP_A, IP_C);
	}
	apply(f, json_pack("[o]", test_member(IP_A)));
	lab_put(f, "a", to_vip(MAC_A, IP_A, 2000, TCP_SYN));
	g_assert_cmpuint(lab_drops(f, DROP_NO_MEMBER), ==, 1);
}

/* The member's groups see the client and the member; the client's see the load balancer. */
static void test_groups(struct fixture *f, const void *data)
{
	apply(f, json_pack("[o]", test_member(IP_B)));
	json_t *deny = json_pack("{s:s, s:s, s:i, s:s, s:s, s:{s:b, s:[s]}, s:{s:b, s:[s], s:[[i,i]]}}",
		"name", "r", "direction", "inbound", "priority", 100, "protocol", "tcp", "action", "deny",
		"source", "any", false, "prefixes", IP_A "/32", "destination", "any", false, "prefixes",
		IP_B "/32", "ports", INNER, INNER);
	json_object_set_new(lab_group(f), "rules", json_pack("[o]", deny));
	lab_apply(f);
	lab_put(f, "a", to_vip(MAC_A, IP_A, 1000, TCP_SYN));
	g_assert_cmpuint(lab_drops(f, DROP_DENIED_INBOUND), ==, 1);
	lab_put(f, "c", to_vip(MAC_C, IP_C, 1000, TCP_SYN));
	lab_expect(f, "b");

	apply(f, json_pack("[o]", test_member(IP_A)));
	json_object_set_new(deny, "direction", json_string("outbound"));
	json_object_set_new(deny, "source", json_pack("{s:b}", "any", true));
	json_object_set_new(deny, "destination",
		json_pack("{s:b, s:[s], s:[[i,i]]}", "any", false, "prefixes", VIP "/32", "ports", WEB, WEB));
	lab_apply(f);
	lab_put(f, "b", to_vip(MAC_B, IP_B, 1000, TCP_SYN));
	g_assert_cmpuint(lab_drops(f, DROP_DENIED_OUTBOUND), ==, 1);
}

static void test_floating(struct fixture *f, const void *data)
{
	apply(f, json_pack("[o]", test_member(IP_C)));
	set_floating(f);
	lab_put(f, "b", to_vip(MAC_B, IP_B, 1000, TCP_SYN));
	struct test_frame in = lab_expect(f, "c");
	lab_assert_path(&in, MAC_GATEWAY, MAC_C, IP_B, VIP);
	lab_put(f, "c", test_tcp(MAC_C, MAC_GATEWAY, VIP, WEB, IP_B, 1000, TCP_SYN | TCP_ACK, 0));
	assert_answered(f, 1000);
}

static void test_report(struct fixture *f, const void *data)
{
	json_auto_t *list = report_balancers(f->datapath);
	const json_t *lb = json_array_get(list, 0);

	g_assert_true(json_is_true(json_object_get(lb, "internal")));
	g_assert_cmpstr(json_string_value(json_array_get(json_object_get(lb, "addresses"), 0)), ==, VIP);
}

static void assert_state_refused(struct fixture *f, const char *words)
{
	g_autoptr(GError) error = NULL;
	struct snapshot *snapshot = state_decode(f->state, NULL, &error);

	g_assert_null(snapshot);
	if (!strstr(error->message, words))
		g_error("'%s' is not in: %s", words, error->message);
}

static void test_refused(struct fixture *f, const void *data)
{
	json_t *lb = json_array_get(json_object_get(f->state, "balancers"), 0);

	json_object_set_new(lb, "addresses", json_pack("[s]", IP_A));
	json_object_set_new(first_rule(f), "address", json_string(IP_A));
	assert_state_refused(f, IP_A " is taken");
	json_object_set_new(lb, "addresses", json_pack("[s]", "10.0.0.9"));
	json_object_set_new(first_rule(f), "address", json_string("10.0.0.9"));
	assert_state_refused(f, "10.0.0.9 lies outside the network");
}

/* ---- two switches ---- */

/* Both have it; the only member is d, on switch two. */
static void setup_pair(struct pair *p, const void *data)
{
	pair_setup(p, data);
	lab_allow_port(&p->two, INNER);
	pair_meet(p);
	apply(&p->one, json_pack("[o]", test_member(IP_D)));
	apply(&p->two, json_pack("[o]", test_member(IP_D)));
}

static struct test_frame crosses(struct pair *p, uint16_t sport, uint8_t flags)
{
	lab_put(&p->one, "b", to_vip(MAC_B, IP_B, sport, flags));
	pair_settle(p);
	return lab_expect(&p->two, "d");
}

static void comes_back(struct pair *p, uint16_t sport)
{
	lab_put(&p->two, "d", answer(MAC_D, IP_D, IP_B, sport));
	pair_settle(p);
	assert_answered(&p->one, sport);
}

static void test_remote(struct pair *p, const void *data)
{
	for (uint16_t sport = 1000; sport < 1010; sport++) {
		struct test_frame in = crosses(p, sport, TCP_SYN);
		lab_assert_path(&in, MAC_B, MAC_D, IP_B, IP_D);
		g_assert_cmpuint(dport_of(&in), ==, INNER);
		comes_back(p, sport);
		crosses(p, sport, TCP_ACK);
	}
	/* A client on the member's own switch has it, too. */
	lab_put(&p->two, "e", to_vip(MAC_E, IP_E, 1000, TCP_SYN));
	struct test_frame in = lab_expect(&p->two, "d");
	lab_assert_path(&in, MAC_GATEWAY, MAC_D, IP_E, IP_D);
}

static void test_remote_floating(struct pair *p, const void *data)
{
	set_floating(&p->one);
	lab_put(&p->one, "b", to_vip(MAC_B, IP_B, 1000, TCP_SYN));
	pair_settle(p);
	/* The member's switch leaves what is for others to nobody. */
	lab_expect_none(&p->two, "d");
	g_assert_cmpuint(lab_drops(&p->two, DROP_NO_FORWARDING), ==, 1);
	set_floating(&p->two);
	lab_allow_port(&p->two, WEB);
	struct test_frame in = crosses(p, 1001, TCP_SYN);
	lab_assert_path(&in, MAC_GATEWAY, MAC_D, IP_B, VIP);
	lab_put(&p->two, "d", test_tcp(MAC_D, MAC_GATEWAY, VIP, WEB, IP_B, 1001, TCP_SYN | TCP_ACK, 0));
	pair_settle(p);
	assert_answered(&p->one, 1001);
}

static void remove_mapping(struct fixture *f, const char *prefix)
{
	json_t *mappings = json_object_get(pair_network(f), "mappings");

	for (size_t i = json_array_size(mappings); i-- > 0;)
		if (g_str_equal(prefix,
			    json_string_value(json_object_get(json_array_get(mappings, i), "prefix"))))
			json_array_remove(mappings, i);
}

/* The member comes to its client's switch, and the connection with it. */
static void test_member_comes(struct pair *p, const void *data)
{
	crosses(p, 1000, TCP_SYN);
	comes_back(p, 1000);
	remove_mapping(&p->one, IP_D);
	json_array_append_new(
		json_object_get(p->one.state, "nics"), pair_nic("d", MAC_D, "s1", IP_D, json_null()));
	lab_apply(&p->one);
	lab_put(&p->one, "b", to_vip(MAC_B, IP_B, 1000, TCP_ACK));
	struct test_frame in = lab_expect(&p->one, "d");
	lab_assert_path(&in, MAC_GATEWAY, MAC_D, IP_B, IP_D);
	lab_put(&p->one, "d", answer(MAC_D, IP_D, IP_B, 1000));
	assert_answered(&p->one, 1000);
}

/* The client leaves its member's switch: what comes from it then is for the member itself. */
static void test_client_leaves(struct pair *p, const void *data)
{
	lab_put(&p->two, "e", to_vip(MAC_E, IP_E, 1000, TCP_SYN));
	lab_expect(&p->two, "d");
	lab_put(&p->two, "d", answer(MAC_D, IP_D, IP_E, 1000));
	lab_expect(&p->two, "e");
	json_array_remove(json_object_get(p->two.state, "nics"), 1);
	json_array_append_new(
		json_object_get(pair_network(&p->two), "mappings"), pair_mapping(IP_E, VTEP_1, MAC_E));
	lab_apply(&p->two);
	lab_put(&p->two, "d", answer(MAC_D, IP_D, IP_E, 1000));
	struct test_frame out;
	g_assert_true(pair_take(&p->two, &out));
	g_assert_cmpuint(load16(out.bytes + OUTER + 34), ==, INNER);
}

#define ADD(name, fn)                                                                                        \
	g_test_add("/internal load balancer/" name, struct fixture, NULL, setup, fn, lab_teardown)
#define ADD_PAIR(name, fn)                                                                                   \
	g_test_add("/internal load balancer/" name, struct pair, NULL, setup_pair, fn, pair_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("connections are spread, and answered in its name", test_spread);
	ADD("its address is nobody's but its clients' way", test_address);
	ADD("a member is not led to itself", test_own);
	ADD("groups see the client and the member", test_groups);
	ADD("floating, the address itself arrives", test_floating);
	ADD("it is reported with its own addresses", test_report);
	ADD("an address that is another's or none of the network's is refused", test_refused);
	ADD_PAIR("each switch leads its own NICs' connections", test_remote);
	ADD_PAIR("floating, members on other switches get the address itself", test_remote_floating);
	ADD_PAIR("a member that moves keeps its connections", test_member_comes);
	ADD_PAIR("a client that leaves keeps its connections", test_client_leaves);
	return lab_run();
}
