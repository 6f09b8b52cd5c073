/* The whole pipeline with source NAT: NICs c and d have no public address, and share one. */
#include "switch/test_lab.h"

#include <string.h>

#define MAC_D  "00:0d:3a:00:00:0d"
#define IP_D   "192.168.2.5"
#define SHARED "203.0.113.250"
#define PORTS  64512u /* 1024 to 65535 */

static json_t *network(struct fixture *f)
{
	return json_array_get(json_object_get(f->state, "networks"), 0);
}

static void share(struct fixture *f, json_t *addresses)
{
	json_object_set_new(network(f), "source_nat", json_pack("{s:o}", "addresses", addresses));
	lab_apply(f);
}

static void add_d(struct fixture *f)
{
	json_t *d = json_deep_copy(lab_nic(f, 2));

	json_object_set_new(d, "uid", json_string("d"));
	json_object_set_new(d, "mac", json_string(MAC_D));
	json_object_set_new(json_array_get(json_object_get(d, "addresses"), 0), "ip", json_string(IP_D));
	json_object_set_new(
		json_array_get(json_object_get(d, "attachments"), 0), "interface", json_string("d"));
	json_array_append_new(json_object_get(f->state, "nics"), d);
}

static void begin(struct fixture *f)
{
	add_d(f);
	share(f, json_pack("[s]", SHARED));
	lab_expect(f, "out"); /* announced */
	lab_meet_peer(f);
}

static void setup(struct fixture *f, const void *data)
{
	lab_setup(f, data);
	begin(f);
}

/* With the room that all ports of an address take. */
static void setup_large(struct fixture *f, const void *data)
{
	struct fixture small = {};

	lab_setup(&small, data);
	json_t *state = json_deep_copy(small.state);
	lab_teardown(&small, data);
	lab_start(f, state, 80000, 80000);
	begin(f);
}

static uint16_t sport_of(const struct test_frame *frame)
{
	return load16(frame->bytes + 34);
}

static struct test_frame udp_of(bool d, uint16_t sport, const char *to, uint32_t length)
{
	return test_udp(d ? MAC_D : MAC_C, MAC_GATEWAY, d ? IP_D : IP_C, sport, to, 53, length);
}

/* The next IPv4 packet out of the uplink: the switch may ask for the peer before it. */
static struct test_frame next_out(struct fixture *f)
{
	struct test_frame out;

	do
		out = lab_expect(f, "out");
	while (load16(out.bytes + 12) == ETH_ARP);
	return out;
}

/* What leaves, as the shared address; its port. */
static uint16_t leaves(struct fixture *f, const char *nic, struct test_frame frame)
{
	lab_put(f, nic, frame);
	struct test_frame out = next_out(f);
	lab_assert_path(&out, MAC_OUT, MAC_PEER, SHARED, PEER);
	g_assert_cmpuint(out.length, ==, frame.length);
	return sport_of(&out);
}

/* An answer to a port of the shared address is the NIC's, at its own port. */
static void answers(struct fixture *f, uint16_t port, bool d, uint16_t own)
{
	lab_put(f, "out", test_udp(MAC_PEER, MAC_OUT, PEER, 53, SHARED, port, 11));
	struct test_frame in = lab_expect(f, d ? "d" : "c");
	lab_assert_path(&in, MAC_GATEWAY, d ? MAC_D : MAC_C, PEER, d ? IP_D : IP_C);
	g_assert_cmpuint(load16(in.bytes + 36), ==, own);
}

/* c is told that there is no session for it. */
static void assert_prohibited(struct fixture *f)
{
	struct test_frame error = lab_expect(f, "c");

	lab_assert_path(&error, MAC_GATEWAY, MAC_C, "192.168.2.1", IP_C);
	g_assert_cmpuint(load16(error.bytes + 34), ==, 3 << 8 | 13);
}

/* ---- ports ---- */

static void test_kept(struct fixture *f, const void *data)
{
	for (uint32_t length = 0; length < 9; length++)
		g_assert_cmpuint(leaves(f, "c", udp_of(false, 1000, PEER, length)), ==, 1000);
	answers(f, 1000, false, 1000);
	g_assert_cmpuint(
		leaves(f, "c", test_tcp(MAC_C, MAC_GATEWAY, IP_C, 80, PEER, 80, TCP_SYN, 0)), ==, 80);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 80, SHARED, 80, TCP_SYN | TCP_ACK, 0));
	lab_expect(f, "c");
	lab_put(f, "c", test_icmp(MAC_C, MAC_GATEWAY, IP_C, PEER, 8, 0, 77, 33));
	struct test_frame out = lab_expect(f, "out");
	g_assert_cmpuint(load16(out.bytes + 38), ==, 77);
	lab_put(f, "out", test_icmp(MAC_PEER, MAC_OUT, PEER, SHARED, 0, 0, 77, 33));
	struct test_frame in = lab_expect(f, "c");
	lab_assert_path(&in, MAC_GATEWAY, MAC_C, PEER, IP_C);
	g_assert_cmpuint(load16(in.bytes + 38), ==, 77);
	/* One to another destination may have the port, too. */
	lab_put(f, "d", udp_of(true, 1000, "203.0.113.2", 0));
	lab_put(f, "out", test_arp(MAC_PEER, 2, MAC_PEER, "203.0.113.2", SHARED));
	lab_expect(f, "out"); /* the question */
	out = lab_expect(f, "out");
	g_assert_cmpuint(sport_of(&out), ==, 1000);
}

static void test_taken(struct fixture *f, const void *data)
{
	leaves(f, "c", udp_of(false, 1000, PEER, 4));
	uint16_t port = leaves(f, "d", udp_of(true, 1000, PEER, 5));
	g_assert_cmpuint(port, !=, 1000);
	g_assert_cmpuint(port, >=, 1024);
	for (uint32_t length = 0; length < 9; length++)
		g_assert_cmpuint(leaves(f, "d", udp_of(true, 1000, PEER, length)), ==, port);
	answers(f, 1000, false, 1000);
	answers(f, port, true, 1000);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 3); /* and the one that met the peer */
	g_assert_cmpuint(atomic_load(&f->datapath->nic_connections[2]), ==, 1);
	g_assert_cmpuint(atomic_load(&f->datapath->nic_connections[3]), ==, 1);
	/* A datagram without a checksum stays without. */
	struct test_frame frame = udp_of(true, 1000, PEER, 5);
	memset(frame.bytes + 40, 0, 2);
	lab_put(f, "d", frame);
	frame = lab_expect(f, "out");
	g_assert_cmpuint(load16(frame.bytes + 40), ==, 0);
	g_assert_cmpuint(sport_of(&frame), ==, port);
}

static void test_taken_icmp(struct fixture *f, const void *data)
{
	lab_put(f, "c", test_icmp(MAC_C, MAC_GATEWAY, IP_C, PEER, 8, 0, 5, 33));
	lab_expect(f, "out");
	lab_put(f, "d", test_icmp(MAC_D, MAC_GATEWAY, IP_D, PEER, 8, 0, 5, 33));
	struct test_frame out = lab_expect(f, "out"); /* its checksum is right */
	uint16_t id = load16(out.bytes + 38);
	g_assert_cmpuint(id, !=, 5);
	lab_put(f, "out", test_icmp(MAC_PEER, MAC_OUT, PEER, SHARED, 0, 0, id, 33));
	struct test_frame in = lab_expect(f, "d");
	g_assert_cmpuint(load16(in.bytes + 38), ==, 5);
	lab_put(f, "out", test_icmp(MAC_PEER, MAC_OUT, PEER, SHARED, 0, 0, 5, 33));
	lab_expect(f, "c");
}

/* Checksums whose difference passes through 0 and 0xffff. */
static void test_checksums(struct fixture *f, const void *data)
{
	leaves(f, "c", udp_of(false, 1000, PEER, 4));
	for (unsigned i = 0; i < 20000; i++) {
		struct test_frame frame = udp_of(true, 1000, PEER, 4);
		store32(frame.bytes + 42, g_test_rand_int());
		test_fix(&frame);
		leaves(f, "d", frame); /* asserts the checksums */
	}
}

/* All ports towards a destination are taken; one whose connection is over is the last that is. */
static void test_used(struct fixture *f, const void *data)
{
	const struct test_frame reset =
		test_tcp(MAC_PEER, MAC_OUT, PEER, 80, SHARED, 40000, TCP_RST | TCP_ACK, 0);

	for (unsigned port = 0; port < 65536; port++) {
		lab_put(f, "d", test_tcp(MAC_D, MAC_GATEWAY, IP_D, (uint16_t)port, PEER, 80, TCP_SYN, 0));
		struct test_frame out = lab_expect(f, "out");
		g_assert_cmpuint(sport_of(&out), ==, port);
	}
	const struct test_frame one_more = test_tcp(MAC_C, MAC_GATEWAY, IP_C, 40000, PEER, 80, TCP_SYN, 0);
	lab_put(f, "c", one_more);
	lab_expect_none(f, "out");
	g_assert_cmpuint(lab_drops(f, DROP_PORTS_USED), ==, 1);
	assert_prohibited(f);
	g_assert_cmpuint(
		datapath_nic_drops(f->datapath, datapath_snapshot(f->datapath)->nics[2], DROP_PORTS_USED), ==,
		1);
	leaves(f, "c", udp_of(false, 40000, PEER, 4)); /* another protocol */
	lab_put(f, "out", reset);
	lab_expect(f, "d");
	g_assert_cmpuint(leaves(f, "c", one_more), ==, 40000);
	g_assert_cmpuint(atomic_load(&f->datapath->nic_connections[3]), ==, 65535);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 80, SHARED, 40000, TCP_SYN | TCP_ACK, 0));
	lab_expect(f, "c");
}

/* While there are free ones, that of a connection that is over is left alone. */
static void test_over(struct fixture *f, const void *data)
{
	leaves(f, "d", test_tcp(MAC_D, MAC_GATEWAY, IP_D, 2000, PEER, 80, TCP_SYN, 0));
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 80, SHARED, 2000, TCP_RST | TCP_ACK, 0));
	lab_expect(f, "d");
	const struct test_frame frame = test_tcp(MAC_C, MAC_GATEWAY, IP_C, 2000, PEER, 80, TCP_SYN, 0);
	g_assert_cmpuint(leaves(f, "c", frame), !=, 2000);
	/* But its own sender has it again at once. */
	g_assert_cmpuint(
		leaves(f, "d", test_tcp(MAC_D, MAC_GATEWAY, IP_D, 2000, PEER, 80, TCP_SYN, 0)), ==, 2000);
}

/* ---- fragments and errors ---- */

static struct test_frame as_fragment(struct test_frame frame, uint16_t offset, bool more)
{
	store16(frame.bytes + 18, 4711);
	store16(frame.bytes + 20, (uint16_t)(offset / 8 | (more ? IPV4_MF : 0)));
	memset(frame.bytes + 24, 0, 2);
	test_set_check(frame.bytes + 24, checksum_of(frame.bytes + 14, 20));
	return frame;
}

/* The checksum of the whole covers what both parts hold. */
static void test_fragments(struct fixture *f, const void *data)
{
	struct test_frame whole = udp_of(true, 1000, PEER, 56), first = whole, later = whole;

	leaves(f, "c", udp_of(false, 1000, PEER, 4));
	uint16_t port = leaves(f, "d", udp_of(true, 1000, PEER, 4));
	first.length = 34 + 32;
	store16(first.bytes + 16, 20 + 32);
	later.length = 34 + 32;
	store16(later.bytes + 16, 20 + 32);
	memcpy(later.bytes + 34, whole.bytes + 66, 32);
	g_assert_cmpuint(leaves(f, "d", as_fragment(first, 0, true)), ==, port);
	lab_put(f, "d", as_fragment(later, 32, false));
	struct test_frame out = lab_expect(f, "out");
	lab_assert_path(&out, MAC_OUT, MAC_PEER, SHARED, PEER);
	g_assert_cmpmem(out.bytes + 34, 32, whole.bytes + 66, 32);
	/* The answer's parts. */
	whole = test_udp(MAC_PEER, MAC_OUT, PEER, 53, SHARED, port, 56);
	first = later = whole;
	first.length = later.length = 34 + 32;
	store16(first.bytes + 16, 20 + 32);
	store16(later.bytes + 16, 20 + 32);
	memcpy(later.bytes + 34, whole.bytes + 66, 32);
	lab_put(f, "out", as_fragment(first, 0, true));
	struct test_frame in = lab_expect(f, "d");
	g_assert_cmpuint(load16(in.bytes + 36), ==, 1000);
	lab_put(f, "out", as_fragment(later, 32, false));
	in = lab_expect(f, "d");
	lab_assert_path(&in, MAC_GATEWAY, MAC_D, PEER, IP_D);
	g_assert_cmpmem(in.bytes + 34, 32, whole.bytes + 66, 32);
}

/* What an error quotes, as a frame. */
static struct test_frame quoted_by(const struct test_frame *error)
{
	struct test_frame quoted = {.length = error->length - 28};

	memcpy(quoted.bytes + 14, error->bytes + 42, error->length - 42);
	store16(quoted.bytes + 12, 0x0800);
	test_assert_checksums(quoted.bytes, quoted.length);
	return quoted;
}

static void assert_error_reaches(struct fixture *f, struct test_frame sent, unsigned port_at, uint16_t own)
{
	leaves(f, "c", udp_of(false, 1000, PEER, 0));
	lab_put(f, "c", test_icmp(MAC_C, MAC_GATEWAY, IP_C, PEER, 8, 0, 1000, 0));
	lab_expect(f, "out");
	lab_put(f, "c", test_tcp(MAC_C, MAC_GATEWAY, IP_C, 1000, PEER, 53, TCP_SYN, 0));
	lab_expect(f, "out");
	lab_put(f, "d", sent);
	struct test_frame out = lab_expect(f, "out");
	g_assert_cmpuint(load16(out.bytes + port_at), !=, own);
	struct test_frame error =
		test_icmp(MAC_PEER, MAC_OUT, "198.51.100.9", SHARED, 3, 1, 0, out.length - 14);
	memcpy(error.bytes + 42, out.bytes + 14, out.length - 14);
	test_fix(&error);
	lab_put(f, "out", error);
	struct test_frame got = lab_expect(f, "d");
	lab_assert_path(&got, MAC_GATEWAY, MAC_D, "198.51.100.9", IP_D);
	struct test_frame quoted = quoted_by(&got);
	g_assert_cmpuint(load16(quoted.bytes + port_at), ==, own);
	/* The packet that d sent, but for its hop. */
	g_assert_cmpmem(quoted.bytes + 26, sent.length - 26, sent.bytes + 26, sent.length - 26);
	/* Not from one that says to be inside. */
	test_ip(PUBLIC_A, error.bytes + 26);
	test_fix(&error);
	lab_put(f, "out", error);
	lab_expect_none(f, "d");
	g_assert_cmpuint(datapath_nic_drops(
				 f->datapath, datapath_snapshot(f->datapath)->nics[3], DROP_SPOOFED_OUTSIDE),
		==, 1);
}

static void test_error_udp(struct fixture *f, const void *data)
{
	assert_error_reaches(f, udp_of(true, 1000, PEER, 20), 34, 1000);
}

static void test_error_tcp(struct fixture *f, const void *data)
{
	assert_error_reaches(f, test_tcp(MAC_D, MAC_GATEWAY, IP_D, 1000, PEER, 53, TCP_SYN, 0), 34, 1000);
}

static void test_error_icmp(struct fixture *f, const void *data)
{
	assert_error_reaches(f, test_icmp(MAC_D, MAC_GATEWAY, IP_D, PEER, 8, 0, 1000, 20), 38, 1000);
}

/* d complains about an answer: outside sees the shared address and its port. */
static void test_error_outwards(struct fixture *f, const void *data)
{
	leaves(f, "c", udp_of(false, 1000, PEER, 0));
	uint16_t port = leaves(f, "d", udp_of(true, 1000, PEER, 0));
	lab_put(f, "out", test_udp(MAC_PEER, MAC_OUT, PEER, 53, SHARED, port, 20));
	struct test_frame arrived = lab_expect(f, "d");
	struct test_frame error = test_icmp(MAC_D, MAC_GATEWAY, IP_D, PEER, 3, 3, 0, 48);
	memcpy(error.bytes + 42, arrived.bytes + 14, 48);
	test_fix(&error);
	lab_put(f, "d", error);
	struct test_frame got = lab_expect(f, "out");
	lab_assert_path(&got, MAC_OUT, MAC_PEER, SHARED, PEER);
	struct test_frame quoted = quoted_by(&got);
	g_assert_cmpuint(load16(quoted.bytes + 36), ==, port);
	lab_assert_path(&got, MAC_OUT, MAC_PEER, SHARED, PEER);
	g_assert_cmphex(load32(quoted.bytes + 30), ==, 0xcb0071fa);
}

/* An answer that is too big is told to its sender in the shared address's name, and counted for who would have
 * got it. */
static void test_too_big(struct fixture *f, const void *data)
{
	json_object_set_new(lab_nic(f, 2), "mtu", json_integer(1000));
	lab_apply(f);
	leaves(f, "c", udp_of(false, 1000, PEER, 0));
	lab_put(f, "out", test_udp(MAC_PEER, MAC_OUT, PEER, 53, SHARED, 1000, 1200));
	lab_expect_none(f, "c");
	struct test_frame error = lab_expect(f, "out");
	lab_assert_path(&error, MAC_OUT, MAC_PEER, SHARED, PEER);
	g_assert_cmpuint(load16(error.bytes + 34), ==, 3 << 8 | 4);
	g_assert_cmpuint(load16(error.bytes + 40), ==, 1000);
	g_assert_cmpuint(
		datapath_nic_drops(f->datapath, datapath_snapshot(f->datapath)->nics[2], DROP_TOO_BIG), ==,
		1);
}

/* ---- who may ---- */

static void test_strangers(struct fixture *f, const void *data)
{
	leaves(f, "c", udp_of(false, 1000, PEER, 0));
	lab_put(f, "out", test_udp(MAC_PEER, MAC_OUT, PEER, 54, SHARED, 1000, 0));
	lab_put(f, "out", test_udp(MAC_PEER, MAC_OUT, "203.0.113.2", 53, SHARED, 1000, 0));
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 53, SHARED, 1000, TCP_SYN, 0));
	lab_put(f, "out", test_icmp(MAC_PEER, MAC_OUT, PEER, SHARED, 8, 0, 1000, 0));
	g_assert_cmpuint(lab_drops(f, DROP_SHARED_ADDRESS), ==, 4);
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, SHARED, 1000, 0));
	lab_put(f, "c", test_udp(MAC_C, MAC_GATEWAY, IP_C, 1, SHARED, 1000, 0));
	g_assert_cmpuint(lab_drops(f, DROP_SHARED_ADDRESS), ==, 6);
	lab_put(f, "out", test_icmp(MAC_PEER, MAC_OUT, PEER, SHARED, 0, 0, 5, 0));
	g_assert_cmpuint(lab_drops(f, DROP_ICMP_NO_FLOW), ==, 1);
	lab_put(f, "out", test_udp(MAC_PEER, MAC_OUT, SHARED, 53, PUBLIC_A, 1, 0));
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_OUTSIDE), ==, 1);
	for (unsigned i = 0; i < 4; i++)
		lab_expect_none(f, (const char *const[]){"a", "b", "c", "d"}[i]);
	lab_expect_none(f, "out");
}

static void test_protocols(struct fixture *f, const void *data)
{
	struct test_frame frame = test_ipv4(MAC_C, MAC_GATEWAY, IP_C, PEER, PROTO_ESP, 64);

	test_fix(&frame);
	lab_put(f, "c", frame);
	g_assert_cmpuint(lab_drops(f, DROP_NO_PORTS), ==, 1);
	assert_prohibited(f);
	/* Who has a public address uses that, and its ports are its own. */
	leaves(f, "c", udp_of(false, 1000, PEER, 0));
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, PEER, 53, 0));
	struct test_frame out = lab_expect(f, "out");
	lab_assert_path(&out, MAC_OUT, MAC_PEER, PUBLIC_A, PEER);
	g_assert_cmpuint(sport_of(&out), ==, 1000);
}

static void test_hairpin(struct fixture *f, const void *data)
{
	lab_allow_port(f, 22);
	lab_put(f, "c", test_tcp(MAC_C, MAC_GATEWAY, IP_C, 1000, PUBLIC_B, 22, TCP_SYN, 0));
	struct test_frame frame = lab_expect(f, "b");
	lab_assert_path(&frame, MAC_GATEWAY, MAC_B, SHARED, IP_B);
	g_assert_cmpuint(sport_of(&frame), ==, 1000);
	lab_put(f, "d", test_tcp(MAC_D, MAC_GATEWAY, IP_D, 1000, PUBLIC_B, 22, TCP_SYN, 0));
	frame = lab_expect(f, "b");
	uint16_t port = sport_of(&frame);
	g_assert_cmpuint(port, !=, 1000);
	lab_put(f, "b", test_tcp(MAC_B, MAC_GATEWAY, IP_B, 22, SHARED, port, TCP_SYN | TCP_ACK, 0));
	frame = lab_expect(f, "d");
	lab_assert_path(&frame, MAC_GATEWAY, MAC_D, PUBLIC_B, IP_D);
	g_assert_cmpuint(load16(frame.bytes + 36), ==, 1000);
	/* b's groups are asked. */
	lab_put(f, "c", test_tcp(MAC_C, MAC_GATEWAY, IP_C, 1000, PUBLIC_B, 23, TCP_SYN, 0));
	g_assert_cmpuint(lab_drops(f, DROP_DENIED_INBOUND), ==, 1);
	lab_expect_none(f, "b");
}

/* ---- states ---- */

static void test_revalidated(struct fixture *f, const void *data)
{
	leaves(f, "c", udp_of(false, 1000, PEER, 0));
	uint16_t port = leaves(f, "d", udp_of(true, 1000, PEER, 0));
	lab_deny_all(f); /* a new state, which changes nothing here */
	g_assert_cmpuint(leaves(f, "d", udp_of(true, 1000, PEER, 0)), ==, port);
	/* The first one's port becomes free: the second keeps its own. */
	for (unsigned i = 0; i < 40; i++) {
		leaves(f, "d", udp_of(true, 1000, PEER, 0));
		lab_put(f, "out", test_arp(MAC_PEER, 2, MAC_PEER, PEER, SHARED));
		lab_pass(f, 1 * SECOND);
	}
	g_assert_cmpuint(atomic_load(&f->datapath->nic_connections[2]), ==, 0);
	lab_deny_all(f);
	answers(f, port, true, 1000);
	g_assert_cmpuint(leaves(f, "d", udp_of(true, 1000, PEER, 0)), ==, port);
	/* Its gateway's MAC changes: it is replaced, and has the port again. */
	json_object_set_new(json_object_get(f->state, "outside"), "mac", json_string("02:00:5e:00:00:77"));
	lab_apply(f);
	lab_put(f, "d", udp_of(true, 1000, PEER, 0));
	lab_put(f, "out", test_arp(MAC_PEER, 2, MAC_PEER, PEER, SHARED));
	struct test_frame out = next_out(f);
	g_assert_cmpuint(sport_of(&out), ==, port);
	lab_assert_path(&out, "02:00:5e:00:00:77", MAC_PEER, SHARED, PEER);
}

static const char *source_now(struct fixture *f, struct test_frame frame)
{
	static char text[INET_ADDRSTRLEN];

	lab_put(f, "c", frame);
	struct test_frame out = lab_expect(f, "out");
	return inet_ntop(AF_INET, out.bytes + 26, text, sizeof text);
}

/* A connection keeps its address as long as that is in the list, whatever else is. */
static void test_addresses(struct fixture *f, const void *data)
{
	static const char *const more[] = {"203.0.113.240", "203.0.113.241", "203.0.113.242", SHARED};
	struct test_frame frame = udp_of(false, 1000, PEER, 0);

	g_assert_cmpstr(source_now(f, frame), ==, SHARED);
	share(f, json_pack("[s, s, s, s]", more[0], more[1], more[2], more[3]));
	for (unsigned i = 0; i < 3; i++)
		lab_expect(f, "out"); /* the new ones are announced */
	g_assert_cmpstr(source_now(f, frame), ==, SHARED);
	share(f, json_pack("[s]", more[0]));
	g_assert_cmpstr(source_now(f, frame), ==, more[0]);
	json_object_del(network(f), "source_nat");
	lab_apply(f);
	lab_put(f, "c", frame);
	g_assert_cmpuint(lab_drops(f, DROP_REVOKED), ==, 1);
	lab_put(f, "c", udp_of(false, 1001, PEER, 0));
	g_assert_cmpuint(lab_drops(f, DROP_NO_PUBLIC_ADDRESS), ==, 1);
}

static void test_announced(struct fixture *f, const void *data)
{
	lab_put(f, "out", test_arp(MAC_PEER, 1, MAC_PEER, PEER, SHARED));
	struct test_frame answer = lab_expect(f, "out");
	uint8_t mac[6];
	test_mac(MAC_OUT, mac);
	g_assert_cmpmem(answer.bytes + 22, 6, mac, 6);
	g_assert_cmphex(load32(answer.bytes + 28), ==, 0xcb0071fa);
	share(f, json_pack("[s, s]", SHARED, "203.0.113.249"));
	struct test_frame announced = lab_expect(f, "out");
	g_assert_cmphex(load32(announced.bytes + 28), ==, 0xcb0071f9);
	lab_expect_none(f, "out");
}

/* Answers to an idle connection come in vain; nothing is left of it. */
static void test_life(struct fixture *f, const void *data)
{
	leaves(f, "c", udp_of(false, 1000, PEER, 0));
	answers(f, 1000, false, 1000);
	lab_pass(f, 320 * SECOND);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 0);
	g_assert_cmpuint(atomic_load(&f->datapath->nic_connections[2]), ==, 0);
	lab_put(f, "c", udp_of(false, 1001, PEER, 0));
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 1);
	json_array_remove(json_object_get(f->state, "nics"), 2);
	lab_apply(f);
	lab_pass(f, 10 * SECOND);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 0);
}

#define ADD(name, fn) g_test_add("/source nat/" name, struct fixture, NULL, setup, fn, lab_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("a connection keeps the port that its sender chose", test_kept);
	ADD("two senders of one port get two", test_taken);
	ADD("two senders of one ICMP identifier get two", test_taken_icmp);
	ADD("a port's translation keeps checksums right, for any payload", test_checksums);
	ADD("the port of a connection that is over is not taken while others are free", test_over);
	ADD("fragments follow their first one's port", test_fragments);
	ADD("errors about UDP come back with the port that its sender knows", test_error_udp);
	ADD("errors about TCP do, too", test_error_tcp);
	ADD("errors about echoes come back with their identifier", test_error_icmp);
	ADD("a NIC's own errors leave as its connection does", test_error_outwards);
	ADD("an answer that is too big is told to its sender, and counted for its receiver", test_too_big);
	ADD("nobody but whom it was asked answers by a shared address", test_strangers);
	ADD("protocols without ports have no part, public addresses no need", test_protocols);
	ADD("a NIC of this switch is reached by its public address", test_hairpin);
	ADD("a new state leaves a connection its port", test_revalidated);
	ADD("a connection keeps its address while it is in the list", test_addresses);
	ADD("ARP is answered, and a new address announced", test_announced);
	ADD("connections end like any others, and with their NIC", test_life);
	g_test_add("/source nat/when all ports are taken one that is over is, or none", struct fixture, NULL,
		setup_large, test_used, lab_teardown);
	return lab_run();
}
