/* The whole pipeline on packets that cannot go on: what the sender is told, and who may tell it. */
#include "switch/test_lab.h"

#include <string.h>

static void test_too_big(struct fixture *f, const void *data)
{
	json_object_set_new(lab_nic(f, 2), "mtu", json_integer(1000));
	lab_apply(f);
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 1, 972)); /* just fits */
	lab_expect(f, "c");
	struct test_frame frame = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 1, 973);
	lab_put(f, "a", frame);
	lab_expect_none(f, "c");
	struct test_frame error = lab_expect(f, "a");
	lab_assert_path(&error, MAC_GATEWAY, MAC_A, "192.168.1.1", IP_A);
	g_assert_cmpuint(load16(error.bytes + 34), ==, 3 << 8 | 4);
	g_assert_cmpuint(load16(error.bytes + 40), ==, 1000);
	g_assert_cmpuint(error.length, ==, 14 + 576); /* no more is quoted than a small MTU carries */
	g_assert_cmpuint(lab_drops(f, DROP_TOO_BIG), ==, 1);
}

static void test_ttl(struct fixture *f, const void *data)
{
	struct test_frame frame = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 1, 100);

	frame.bytes[22] = 1;
	test_fix(&frame);
	lab_put(f, "a", frame);
	struct test_frame error = lab_expect(f, "a");
	lab_assert_path(&error, MAC_GATEWAY, MAC_A, "192.168.1.1", IP_A);
	g_assert_cmpuint(error.bytes[34], ==, 11);
	g_assert_cmpmem(error.bytes + 42, 100, frame.bytes + 14, 100); /* quotes the packet as it was */
	lab_expect_none(f, "c");
	frame.bytes[20] = 0; /* a later fragment gets no error */
	frame.bytes[21] = 1;
	test_fix(&frame);
	lab_put(f, "a", frame);
	lab_expect_none(f, "a");
}

static void test_error_rate(struct fixture *f, const void *data)
{
	struct test_frame frame = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 1, 0);

	frame.bytes[22] = 1;
	test_fix(&frame);
	for (unsigned i = 0; i < 1500; i++)
		lab_put(f, "a", frame);
	g_assert_cmpuint(lab_drops(f, DROP_ERROR_RATE), ==, 500);
	lab_pass(f, 1 * SECOND);
	lab_put(f, "a", frame);
	g_assert_cmpuint(lab_drops(f, DROP_ERROR_RATE), ==, 500);
}

static void test_error_translation(struct fixture *f, const void *data)
{
	lab_meet_peer(f);
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, PEER, 53, 20));
	struct test_frame sent = lab_expect(f, "out");
	struct test_frame error = test_icmp(MAC_PEER, MAC_OUT, PEER, PUBLIC_A, 3, 3, 0, 48);
	memcpy(error.bytes + 42, sent.bytes + 14, 48);
	test_fix(&error);
	lab_put(f, "out", error);
	struct test_frame got = lab_expect(f, "a");
	lab_assert_path(&got, MAC_GATEWAY, MAC_A, PEER, IP_A);
	/* What is quoted is the packet that a sent, but for the hop that it made; with right checksums. */
	struct test_frame quoted = {.length = 14 + 48};
	memcpy(quoted.bytes + 14, got.bytes + 42, 48);
	store16(quoted.bytes + 12, 0x0800);
	test_assert_checksums(quoted.bytes, quoted.length);
	g_assert_cmphex(load32(quoted.bytes + 26), ==, 0xc0a80104);
	/* Not with a broken checksum, and not for a connection that does not exist. */
	error.bytes[36]++;
	lab_put(f, "out", error);
	lab_expect_none(f, "a");
	error.bytes[62]++;
	test_fix(&error);
	lab_put(f, "out", error);
	lab_expect_none(f, "a");
	g_assert_cmpuint(lab_drops(f, DROP_ICMP_NO_FLOW), ==, 2);
}

/* The outside layer's rule holds for errors about connections that are there, too. */
static void test_error_spoofed(struct fixture *f, const void *data)
{
	static const char *const sources[] = {IP_B, PUBLIC_A, PUBLIC_B, "168.63.129.16", "169.254.169.254",
		"100.64.0.1", "127.0.0.1", "224.0.0.1"};

	lab_meet_peer(f);
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, PEER, 53, 20));
	struct test_frame sent = lab_expect(f, "out");
	struct test_frame error = test_icmp(MAC_PEER, MAC_OUT, PEER, PUBLIC_A, 3, 3, 0, 48);
	memcpy(error.bytes + 42, sent.bytes + 14, 48);
	for (size_t i = 0; i < G_N_ELEMENTS(sources); i++) {
		test_ip(sources[i], error.bytes + 26);
		test_fix(&error);
		lab_put(f, "out", error);
		lab_expect_none(f, "a");
		g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_OUTSIDE), ==, i + 1);
	}
	test_ip("198.51.100.9", error.bytes + 26); /* a router on the way */
	test_fix(&error);
	lab_put(f, "out", error);
	lab_expect(f, "a");
}

/* The other way: a NIC complains about what it got; outside sees its public address, also in the quotation.
 */
static void test_error_outwards(struct fixture *f, const void *data)
{
	lab_meet_peer(f);
	lab_allow_port(f, 22);
	lab_put(f, "out", test_tcp(MAC_PEER, MAC_OUT, PEER, 1000, PUBLIC_B, 22, TCP_SYN, 8));
	struct test_frame arrived = lab_expect(f, "b");
	struct test_frame error = test_icmp(MAC_B, MAC_GATEWAY, IP_B, PEER, 3, 10, 0, 48);
	memcpy(error.bytes + 42, arrived.bytes + 14, 48);
	test_fix(&error);
	lab_put(f, "b", error);
	struct test_frame got = lab_expect(f, "out");
	lab_assert_path(&got, MAC_OUT, MAC_PEER, PUBLIC_B, PEER);
	struct test_frame quoted = {.length = 14 + 48};
	memcpy(quoted.bytes + 14, got.bytes + 42, 48);
	store16(quoted.bytes + 12, 0x0800);
	test_assert_checksums(quoted.bytes, quoted.length);
	g_assert_cmphex(load32(quoted.bytes + 30), ==, 0xcb00710b);
	/* In another's name: no. */
	test_ip(IP_A, error.bytes + 26);
	test_fix(&error);
	lab_put(f, "b", error);
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_IP), ==, 1);
}

static void test_bad_first(struct fixture *f, const void *data)
{
	struct test_frame frame = test_udp(MAC_A, MAC_B, IP_A, 1, IP_B, 1, 4);

	frame.bytes[24]++;
	lab_put(f, "a", frame);
	g_assert_cmpuint(lab_drops(f, DROP_CHECKSUM), ==, 1);
	frame = test_udp(MAC_A, "ff:ff:ff:ff:ff:ff", IP_A, 1, IP_B, 1, 4);
	lab_put(f, "a", frame);
	frame = test_udp(MAC_A, "01:00:5e:00:00:fb", IP_A, 1, "224.0.0.251", 5353, 4);
	lab_put(f, "a", frame);
	g_assert_cmpuint(lab_drops(f, DROP_MULTICAST), ==, 2);
	frame = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, "127.0.0.1", 1, 4);
	lab_put(f, "a", frame);
	g_assert_cmpuint(lab_drops(f, DROP_BAD_DESTINATION), ==, 1);
	frame = test_udp(MAC_PEER, MAC_PEER, PEER, 1, PUBLIC_A, 1, 4); /* another's frame, on a shared wire */
	lab_put(f, "out", frame);
	g_assert_cmpuint(lab_drops(f, DROP_NOT_OURS), ==, 1);
	g_assert_cmpuint(flow_table_count(f->datapath->flows), ==, 0);
}

/* The connection was decided by the state before. */
static void test_error_after_change(struct fixture *f, const void *data)
{
	lab_allow_port(f, 80);
	struct test_frame sent = test_udp(MAC_A, MAC_B, IP_A, 1, IP_B, 80, 20);
	lab_put(f, "a", sent);
	lab_expect(f, "b");
	struct test_frame error = test_icmp(MAC_B, MAC_A, IP_B, IP_A, 3, 3, 0, 48);
	memcpy(error.bytes + 42, sent.bytes + 14, 48);
	test_fix(&error);
	lab_apply(f);
	lab_put(f, "b", error);
	lab_expect(f, "a");
}

#define ADD(name, fn) g_test_add("/errors/" name, struct fixture, NULL, lab_setup, fn, lab_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("a packet too big for the way ahead is told its MTU", test_too_big);
	ADD("the last hop tells the sender", test_ttl);
	ADD("ICMP errors are limited in rate", test_error_rate);
	ADD("ICMP errors are translated with what they quote", test_error_translation);
	ADD("ICMP errors from outside cannot claim to be from inside", test_error_spoofed);
	ADD("a NIC's ICMP errors leave by its public address", test_error_outwards);
	ADD("ICMP errors pass as their connection does when the state has changed", test_error_after_change);
	ADD("first packets that are wrong begin nothing", test_bad_first);
	return lab_run();
}
