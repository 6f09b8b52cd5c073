/* Trace, compared with what the switch then does with the same packet. */
#include "switch/trace.h"

#include "base/fault.h"
#include "switch/decide.h"
#include "switch/packet_words.h"
#include "switch/parse.h"
#include "switch/test_lab.h"

static json_t *trace(struct fixture *f, const char *nic, const char *packet)
{
	json_auto_t *params = json_pack("{s:s, s:s}", "nic", nic, "packet", packet);
	g_autoptr(GError) error = NULL;
	json_t *result = trace_packet(f->datapath, params, &error);

	g_assert_no_error(error);
	return result;
}

static const char *text(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

/* The step of that stage, the n-th; NULL: there is none. */
static const json_t *step_of(const json_t *result, const char *stage, unsigned n)
{
	size_t i;
	json_t *step;

	json_array_foreach(json_object_get(result, "steps"), i,
		step) if (g_str_equal(text(step, "stage"), stage) && n-- == 0) return step;
	return NULL;
}

static void assert_step(
	const json_t *result, const char *stage, unsigned n, const char *verdict, const char *says)
{
	const json_t *step = step_of(result, stage, n);

	g_assert_nonnull(step);
	g_assert_cmpstr(text(step, "verdict"), ==, verdict);
	if (!strstr(text(step, "text"), says))
		g_error("step %s says '%s', not '%s'", stage, text(step, "text"), says);
}

static void assert_dropped(struct fixture *f, const char *nic, const char *packet, const char *reason)
{
	json_auto_t *result = trace(f, nic, packet);

	g_assert_cmpstr(text(result, "verdict"), ==, "dropped");
	g_assert_cmpstr(text(json_object_get(result, "drop"), "reason"), ==, reason);
	const json_t *steps = json_object_get(result, "steps");
	g_assert_cmpstr(text(json_array_get(steps, json_array_size(steps) - 1), "verdict"), ==, "refused");
}

/* The frame of a description, as a guest or an edge would send it. */
static struct test_frame frame_of(const char *packet, const char *smac, const char *dmac)
{
	uint8_t bytes[PACKET_WORDS_FRAME];
	struct test_frame frame = {};
	struct packet_words words;

	g_assert_true(packet_words_parse(packet, &words, NULL));
	if (!words.has_smac)
		mac_parse(smac, &words.smac);
	if (!words.has_dmac)
		mac_parse(dmac, &words.dmac);
	frame.length = packet_words_build(&words, bytes);
	g_assert_cmpuint(frame.length, <=, TEST_FRAME_MAX);
	memcpy(frame.bytes, bytes, MIN(frame.length, PACKET_WORDS_FRAME));
	return frame;
}

/* Trace says it, and then the switch does it. */
static void assert_both_drop(struct fixture *f, const char *nic, const char *packet, enum drop reason)
{
	g_autofree char *smac = g_strdup_printf("00:0d:3a:00:00:0%s", nic);
	bool inwards = packet[0] == 'i';
	uint64_t before = lab_drops(f, reason), all = datapath_counters(f->datapath).drops;

	assert_dropped(f, nic, packet, drop_word(reason));
	g_assert_cmpuint(datapath_counters(f->datapath).drops, ==, all);
	lab_put(f, inwards ? "out" : nic,
		frame_of(packet, inwards ? MAC_PEER : smac, inwards ? MAC_OUT : MAC_GATEWAY));
	g_assert_cmpuint(lab_drops(f, reason), ==, before + 1);
	g_assert_cmpuint(datapath_counters(f->datapath).drops, ==, all + 1);
}

static void assert_answered(struct fixture *f, const char *nic, const char *packet)
{
	json_auto_t *result = trace(f, nic, packet);

	g_assert_cmpstr(text(result, "verdict"), ==, "answered");
}

static void test_out(struct fixture *f, const void *data)
{
	json_auto_t *result = trace(f, "a", "out tcp " IP_A ":1234 > " PEER ":443 syn");
	const json_t *forward = json_object_get(result, "forward"), *reply = json_object_get(result, "reply");
	json_auto_t *actions = json_pack("[s, s, s]", "source " PUBLIC_A, "hop", "outside by " PEER);

	g_assert_cmpstr(text(result, "verdict"), ==, "forwarded");
	assert_step(result, "parse", 0, "passed", "tcp " IP_A ":1234 > " PEER ":443");
	assert_step(result, "mac", 0, "passed", "NIC a");
	assert_step(result, "flow", 0, "none", "first packet");
	assert_step(result, "spoof", 0, "passed", "");
	assert_step(result, "nic group", 0, "passed", "there is none");
	assert_step(result, "route", 0, "passed", "to the outside by " PEER);
	assert_step(result, "nat", 0, "changed", "it becomes tcp " PUBLIC_A ":1234 > " PEER ":443");
	assert_step(result, "deliver", 0, "passed", "by the uplink, ready");
	g_assert_true(json_equal(json_object_get(forward, "actions"), actions));
	g_assert_cmpstr(text(reply, "dst"), ==, PUBLIC_A);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 0); /* it only looked */
	g_assert_cmpuint(datapath_counters(f->datapath).drops, ==, 0);
}

static void test_between(struct fixture *f, const void *data)
{
	json_auto_t *denied = trace(f, "a", "out tcp " IP_A ":1 > " IP_B ":80");
	json_auto_t *in = NULL;

	/* Two NICs of one network: VirtualNetwork is allowed by default. */
	g_assert_cmpstr(text(denied, "verdict"), ==, "forwarded");
	assert_step(denied, "route", 0, "passed", "to NIC b, in the same subnet");
	assert_step(denied, "nic group", 1, "passed", "group g");
	g_assert_cmpstr(text(step_of(denied, "nic group", 1), "nic"), ==, "b");
	g_assert_cmpstr(text(step_of(denied, "nic group", 1), "direction"), ==, "inbound");
	in = trace(f, "b", "in tcp " IP_A ":1 > " IP_B ":80");
	g_assert_cmpstr(text(in, "nic"), ==, "b");
	json_object_del(in, "packet");
	json_object_del(denied, "packet");
	json_object_del(in, "nic");
	json_object_del(denied, "nic");
	g_assert_true(json_equal(in, denied)); /* the same packet, seen from its other end */
}

static void test_rule(struct fixture *f, const void *data)
{
	json_auto_t *result = trace(f, "b", "in tcp " PEER ":5000 > " PUBLIC_B ":22");
	const json_t *drop = json_object_get(result, "drop");

	g_assert_cmpstr(text(drop, "reason"), ==, "denied-inbound");
	g_assert_cmpstr(text(drop, "layer"), ==, "nic group");
	g_assert_cmpstr(text(drop, "group"), ==, "g");
	g_assert_cmpstr(text(drop, "rule"), ==, "DenyAllInBound");
	assert_step(result, "nat", 0, "changed", "it becomes tcp " PEER ":5000 > " IP_B ":22");
	assert_step(result, "nic group", 0, "refused", "rule DenyAllInBound");
	lab_allow_port(f, 22);
	json_auto_t *allowed = trace(f, "b", "in tcp " PEER ":5000 > " PUBLIC_B ":22");
	g_assert_cmpstr(text(allowed, "verdict"), ==, "forwarded");
	assert_step(allowed, "deliver", 0, "passed", "to the function attachment of NIC b, ready");
}

static void test_fragments(struct fixture *f, const void *data)
{
	json_auto_t *result = trace(f, "a", "out udp " IP_A ":1 > " IP_C ":2 length 2000");

	assert_step(result, "execute", 0, "changed", "IPv4 fragments of at most 1500 bytes");
	g_assert_cmpstr(text(result, "verdict"), ==, "forwarded");
	/* And so it is. */
	lab_put(f, "a", frame_of("out udp " IP_A ":1 > " IP_C ":2 length 2000", MAC_A, MAC_GATEWAY));
	lab_expect(f, "c");
	lab_expect(f, "c");
	lab_expect_none(f, "c");
}

static void test_drops(struct fixture *f, const void *data)
{
	f->datapath->started_ms -= 3600 * SECOND; /* of the real clock, which trace looks at */
	assert_both_drop(f, "a", "out tcp 192.168.1.99:1 > " IP_C ":2", DROP_SPOOFED_IP);
	assert_both_drop(f, "a", "out tcp " IP_A ":1 > " IP_C ":2 smac " MAC_B, DROP_SPOOFED_MAC);
	assert_both_drop(f, "a", "out tcp " IP_A ":1 > " IP_C ":2 ack", DROP_TCP_NO_SYN);
	assert_both_drop(f, "a", "out udp " IP_A ":67 > " IP_B ":68", DROP_DHCP_SERVER);
	assert_both_drop(f, "a", "out udp " IP_A ":1 > 192.168.1.77:2", DROP_NO_DESTINATION);
	assert_both_drop(f, "a", "out udp " IP_A ":1 > 224.0.0.1:2 dmac 01:00:5e:00:00:01", DROP_MULTICAST);
	assert_both_drop(f, "c", "out udp " IP_C ":1 > " PEER ":2", DROP_NO_PUBLIC_ADDRESS);
	assert_both_drop(f, "a", "out udp " IP_A ":1 > " IP_C ":2 ttl 1", DROP_TTL);
	assert_both_drop(f, "a", "out udp " IP_A ":1 > " IP_C ":2 length 2000 df", DROP_TOO_BIG);
	assert_both_drop(f, "a", "out icmp " IP_A " > " IP_C " echo-reply", DROP_ICMP_NO_FLOW);
	assert_both_drop(f, "a", "out icmp " IP_A " > " IP_C " type 3", DROP_ICMP_NO_FLOW);
	assert_both_drop(f, "a", "out arp who-has 192.168.1.99 tell " IP_A, DROP_ARP_UNANSWERED);
	assert_both_drop(f, "a", "out arp who-has " IP_B " tell " IP_B, DROP_SPOOFED_ARP);
	assert_both_drop(f, "a", "in udp " IP_A ":1 > " PUBLIC_A ":2", DROP_SPOOFED_OUTSIDE);
	assert_both_drop(f, "a", "in udp " PEER ":1 > " PUBLIC_A ":2 dmac " MAC_A, DROP_NOT_OURS);
}

/* Nobody is at the other end; of two attachments one is enough. */
static void test_down(struct fixture *f, const void *data)
{
	const char *out = "out udp " IP_A ":1 > " PEER ":2", *there = "out udp " IP_B ":1 > " IP_A ":2";

	lab_meet_peer(f);
	port_fake_set_down(lab_port(f, "out"), true);
	assert_both_drop(f, "a", out, DROP_PORT_DOWN);
	port_fake_set_down(lab_port(f, "a"), true);
	assert_both_drop(f, "b", there, DROP_PORT_DOWN);
	assert_both_drop(f, "b", there, DROP_PORT_DOWN); /* of its connection */
	json_auto_t *one = trace(f, "b", there);
	assert_step(one, "deliver", 0, "refused", "to the function attachment of NIC a, waiting: nobody");
	json_object_set_new(lab_nic(f, 0), "active", json_string("both"));
	lab_apply(f);
	json_auto_t *both = trace(f, "b", there);
	g_assert_cmpstr(text(both, "verdict"), ==, "forwarded");
	assert_step(
		both, "deliver", 0, "passed", "NIC a, waiting; to the synthetic attachment of NIC a, ready");
	port_fake_set_down(lab_port(f, "/a"), true);
	assert_dropped(f, "b", there, "port-down");
}

/* Another connection has the key that the answers to this one would have. */
static void take_tuple(struct fixture *f, const struct test_frame *frame)
{
	struct decision decision;
	struct packet parsed;
	int error;

	parse_frame(frame->bytes, frame->length, frame->length, &parsed);
	parsed.key.origin = FLOW_FROM_NIC;
	parsed.key.nic = f->worker->snapshot->nics[0]->id;
	g_assert_true(decide(f->worker->snapshot, &parsed.key, false, &decision));
	decision.forward.key.sport++;
	g_assert_nonnull(flow_table_put(f->datapath->flows, &decision.forward, &decision.reply,
		f->worker->snapshot->epoch, f->now_ms, &error));
}

static void test_tuple(struct fixture *f, const void *data)
{
	const struct test_frame frame = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, PEER, 2, 0);

	take_tuple(f, &frame);
	assert_both_drop(f, "a", "out udp " IP_A ":1 > " PEER ":2", DROP_TUPLE_IN_USE);
}

static void test_full(struct fixture *f, const void *data)
{
	for (uint16_t i = 0; i < 16; i++) {
		json_auto_t *result = trace(f, "a", "out udp " IP_A ":99 > " IP_B ":1");
		g_assert_cmpstr(text(result, "verdict"), ==, "forwarded");
		lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, (uint16_t)(1 + i), IP_B, 1, 0));
	}
	assert_both_drop(f, "a", "out udp " IP_A ":99 > " IP_B ":1", DROP_TABLE_FULL);
}

static const char *action(const json_t *result, const char *half, unsigned n)
{
	return json_string_value(
		json_array_get(json_object_get(json_object_get(result, half), "actions"), n));
}

/* The port that a packet would have, also where its own is taken; and answers to it. */
static void test_shared(struct fixture *f, const void *data)
{
	const char *question = "out udp " IP_C ":1 > " PEER ":2";

	json_object_set_new(json_array_get(json_object_get(f->state, "networks"), 0), "source_nat",
		json_pack("{s:[s]}", "addresses", "203.0.113.250"));
	json_object_set_new(
		json_array_get(json_object_get(lab_nic(f, 0), "addresses"), 0), "public", json_null());
	lab_apply(f);
	json_auto_t *own = trace(f, "c", question);
	g_assert_cmpstr(text(own, "verdict"), ==, "forwarded");
	assert_step(
		own, "nat", 0, "changed", "by an address that NICs share, it becomes udp 203.0.113.250:1 >");
	g_assert_cmpstr(action(own, "forward", 0), ==, "source 203.0.113.250");
	g_assert_cmpstr(action(own, "forward", 1), ==, "hop");
	assert_both_drop(f, "c", "in udp " PEER ":2 > 203.0.113.250:1", DROP_SHARED_ADDRESS);
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, PEER, 2, 0));
	json_auto_t *other = trace(f, "c", question);
	g_assert_true(g_str_has_prefix(action(other, "forward", 1), "source port "));
	g_assert_cmpstr(action(other, "reply", 1), ==, "destination port 1");
	/* The switch does the same. */
	lab_put(f, "c", test_udp(MAC_C, MAC_GATEWAY, IP_C, 1, PEER, 2, 0));
	json_auto_t *known = trace(f, "c", question);
	assert_step(known, "flow", 0, "found", "a connection that is new");
	g_assert_cmpstr(action(known, "forward", 1), ==, action(other, "forward", 1));
	g_autofree char *answer = g_strdup_printf(
		"in udp " PEER ":2 > 203.0.113.250:%s", action(known, "forward", 1) + strlen("source port "));
	json_auto_t *back = trace(f, "c", answer);
	g_assert_cmpstr(text(back, "verdict"), ==, "forwarded");
	g_assert_cmpstr(action(back, "forward", 0), ==, "destination " IP_C);
	/* A new state is asked about the connection as it is. */
	lab_deny_all(f);
	json_auto_t *anew = trace(f, "c", answer);
	assert_step(anew, "flow", 0, "found", "judged anew");
	g_assert_cmpstr(text(anew, "verdict"), ==, "forwarded");
	g_assert_cmpstr(action(anew, "reply", 1), ==, action(other, "forward", 1));
}

/* NIC a's packet is answered, and that is said of the answer. */
static void assert_says(struct fixture *f, const char *packet, const char *says)
{
	json_auto_t *result = trace(f, "a", packet);

	g_assert_cmpstr(text(result, "verdict"), ==, "answered");
	assert_step(result, "responders", 0, "answered", says);
}

static void test_answers(struct fixture *f, const void *data)
{
	assert_says(f, "out dhcp", "the switch offers " IP_A " (DHCPOFFER)");
	assert_says(f, "out dhcp request " IP_A, "the switch confirms " IP_A " (DHCPACK)");
	assert_says(f, "out dhcp request 192.168.1.9",
		"the switch refuses 192.168.1.9 (DHCPNAK): the NIC's address is " IP_A);
	assert_says(f, "out dhcp6", "no address (Advertise with NoAddrsAvail): the NIC has none of IPv6");
	assert_says(f, "out dhcp6 request " IP6_A, "no address (Reply with NoAddrsAvail)");
	assert_both_drop(f, "a", "out rs", DROP_NO_IPV6);
	assert_answered(f, "a", "out icmp " IP_A " > 192.168.1.1");
	assert_answered(f, "a", "out arp who-has 192.168.1.1 tell " IP_A);
	assert_answered(f, "a", "out arp who-has " IP_B " tell " IP_A);
}

static void test_connection(struct fixture *f, const void *data)
{
	const char *there = "out udp " IP_A ":1 > " IP_B ":2", *back = "out udp " IP_B ":2 > " IP_A ":1";

	lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, 1, IP_B, 2, 0));
	json_auto_t *first = trace(f, "a", there);
	g_assert_cmpstr(text(first, "verdict"), ==, "forwarded");
	assert_step(first, "flow", 0, "found", "a connection that is new");
	g_assert_cmpstr(text(json_object_get(first, "flow"), "state"), ==, "new");
	json_auto_t *answer = trace(f, "b", back);
	assert_step(answer, "flow", 0, "found", "as an answer");
	/* It is its own packet that goes on, whichever direction the layers are asked about. */
	g_assert_cmpstr(text(json_object_get(answer, "forward"), "src"), ==, IP_B);
	g_assert_cmpstr(json_string_value(json_array_get(
				json_object_get(json_object_get(answer, "forward"), "actions"), 0)),
		==, "deliver a");
	/* The state changes: the same packet is judged anew, by trace and by the switch. */
	lab_deny_all(f);
	json_auto_t *again = trace(f, "b", back);
	assert_step(again, "flow", 0, "found", "judged anew");
	g_assert_cmpstr(text(again, "verdict"), ==, "forwarded");
}

/* Words do not say where a segment lies, so the window is told. */
static void test_reset(struct fixture *f, const void *data)
{
	struct test_frame answer = test_tcp(MAC_B, MAC_A, IP_B, 2, IP_A, 1, TCP_SYN | TCP_ACK, 0);

	store32(answer.bytes + 42, 1000001); /* acknowledges */
	test_fix(&answer);
	lab_put(f, "a", test_tcp(MAC_A, MAC_B, IP_A, 1, IP_B, 2, TCP_SYN, 0));
	json_auto_t *early = trace(f, "a", "out tcp " IP_A ":1 > " IP_B ":2 rst");
	g_assert_null(step_of(early, "flow", 1));
	lab_put(f, "b", answer);
	json_auto_t *result = trace(f, "a", "out tcp " IP_A ":1 > " IP_B ":2 rst");
	g_assert_cmpstr(text(result, "verdict"), ==, "forwarded");
	/* 1000001 in units of 4 KiB, and 65535 behind it. */
	assert_step(result, "flow", 1, "found", "from 995328 to 1069055");
}

/* A rule of group g that denies everything inbound. */
static void deny_inbound(struct fixture *f)
{
	json_object_set_new(lab_group(f), "rules",
		json_pack("[{s:s, s:s, s:i, s:s, s:s, s:{s:b}, s:{s:b}}]", "name", "no", "direction",
			"inbound", "priority", 100, "protocol", "any", "action", "deny", "source", "any", 1,
			"destination", "any", 1));
	lab_apply(f);
}

static void test_revoked(struct fixture *f, const void *data)
{
	const char *packet = "out udp " IP_A ":1 > " IP_B ":2";

	lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, 1, IP_B, 2, 0));
	lab_expect(f, "b");
	deny_inbound(f);
	json_auto_t *result = trace(f, "a", packet);
	g_assert_cmpstr(text(json_object_get(result, "drop"), "reason"), ==, "revoked");
	g_assert_cmpstr(text(json_object_get(result, "drop"), "rule"), ==, "no");
	assert_dropped(f, "a", packet, "revoked");
	lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, 1, IP_B, 2, 0)); /* the switch says the same */
	g_assert_cmpuint(lab_drops(f, DROP_REVOKED), ==, 1);
	json_auto_t *blocked = trace(f, "a", packet);
	assert_dropped(f, "a", packet, "revoked"); /* and once it is blocked */
	g_assert_cmpstr(text(json_object_get(blocked, "drop"), "rule"), ==, "no");
}

static void test_host(struct fixture *f, const void *data)
{
	json_auto_t *out = trace(f, "a", "out tcp " IP_A ":1 > 169.254.169.254:80");
	json_auto_t *in = trace(f, "b", "in tcp 169.254.169.254:1 > 100.64.0.5:80");

	assert_step(out, "nic group", 0, "passed", "");
	assert_step(out, "platform", 0, "changed", "it becomes tcp 100.64.0.4:1 > 169.254.169.254:80");
	g_assert_cmpstr(text(in, "verdict"), ==, "forwarded");
	assert_step(in, "nic group", 0, "passed", "platform addresses pass");
}

static void test_refused(struct fixture *f, const void *data)
{
	static const struct {
		const char *nic, *packet, *says;
		enum fault code;
	} cases[] = {
		{"q", "out dhcp", "no NIC", FAULT_NOT_FOUND},
		{"a", "sideways", "'sideways' is not a direction", FAULT_INVALID},
		{"a", "in udp 8.8.8.8:1 > " IP_A ":2", "no other NIC of the network has the address 8.8.8.8",
			FAULT_INVALID},
		{"a", "in udp 8.8.8.8:1 > " IP_B ":2", IP_B " is no address of NIC a", FAULT_INVALID},
		{"a", "in dhcp", "on their way out only", FAULT_INVALID},
		{"a", "in rs", "on their way out only", FAULT_INVALID},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		json_auto_t *params = json_pack("{s:s, s:s}", "nic", cases[i].nic, "packet", cases[i].packet);
		g_autoptr(GError) error = NULL;
		g_assert_null(trace_packet(f->datapath, params, &error));
		g_assert_error(error, FAULT, (int)cases[i].code);
		if (!strstr(error->message, cases[i].says))
			g_error("%s", error->message);
	}
}

static void test_discovery(struct fixture *f, const void *data)
{
	lab_setup_ipv6(f);
	json_auto_t *router = trace(f, "a", "out rs");
	assert_step(router, "parse", 0, "passed", "neighbour discovery");
	assert_step(router, "responders", 0, "answered", "as the router");
	json_auto_t *neighbour = trace(f, "a", "out nd who-has " IP6_B);
	assert_step(neighbour, "responders", 0, "answered", "it is at " MAC_B);
	json_auto_t *probe = trace(f, "a", "out nd who-has " IP6_B " tell ::");
	assert_step(probe, "responders", 0, "answered", "not taken twice");
	assert_says(f, "out dhcp6", "the switch offers " IP6_A " (Advertise)");
	assert_says(f, "out dhcp6 request " IP6_A, "the switch gives " IP6_A " (Reply)");
	assert_says(f, "out dhcp6 request 2001:db8::9",
		"the switch refuses 2001:db8::9 (Reply with NotOnLink): it is not of the subnet");
	assert_answered(f, "a", "out icmp " IP6_A " > " GATEWAY_LL);
	assert_both_drop(f, "a", "out nd who-has fd00:0:0:1::99", DROP_ND_UNANSWERED);
	assert_both_drop(f, "a", "out nd who-has " IP6_B " tell " IP6_C, DROP_SPOOFED_ND);
	assert_both_drop(f, "a", "out nd who-has " IP6_B " ttl 64", DROP_ND_MALFORMED);
	assert_both_drop(f, "a", "out icmp " IP6_A " > " IP6_B " type 134", DROP_ROGUE_ROUTER);
	assert_both_drop(f, "a", "out udp [fe80::1]:1 > [" IP6_B "]:2", DROP_LINK_LOCAL);
	assert_both_drop(f, "a", "out udp [" IP6_A "]:547 > [" IP6_B "]:546", DROP_DHCP_SERVER);
}

#define ADD(name, test) g_test_add("/trace/" name, struct fixture, NULL, lab_setup, test, lab_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("every layer has its say on the way out, and the actions are composed", test_out);
	ADD("a packet between two NICs is the same from either end", test_between);
	ADD("a denial names the layer, the group and the rule", test_rule);
	ADD("what would be fragmented is", test_fragments);
	ADD("what would be dropped is, for the reason that would be counted", test_drops);
	ADD("a port that nobody is behind drops, as the switch does", test_down);
	ADD("a port of a shared address is the one that the connection gets", test_shared);
	ADD("what the switch answers itself is answered", test_answers);
	ADD("neighbour discovery and DHCPv6 are answered as they would be", test_discovery);
	ADD("a packet of a connection is executed by its flow", test_connection);
	ADD("an RST is told the window that it must lie in", test_reset);
	ADD("a revoked connection is said to be", test_revoked);
	ADD("the host port is reached and reaches, by its translation", test_host);
	ADD("another connection's translated tuple is found to be taken", test_tuple);
	g_test_add("/trace/a full table is found to be so", struct fixture, NULL, lab_setup_small, test_full,
		lab_teardown);
	ADD("what cannot be traced is refused and says why", test_refused);
	return lab_run();
}
