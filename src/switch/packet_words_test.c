/* Descriptions of packets: what they stand for, by the parser of real frames, and what is refused. */
#include "switch/packet_words.h"

#include "base/fault.h"
#include "switch/flow_text.h"
#include "switch/parse.h"
#include "switch/wire.h"

static struct packet_words words_of(const char *text)
{
	g_autoptr(GError) error = NULL;
	struct packet_words words;

	packet_words_parse(text, &words, &error);
	g_assert_no_error(error);
	return words;
}

/* The frame, as the switch's parser reads it. */
static struct packet packet_of(const char *text, uint8_t frame[static PACKET_WORDS_FRAME])
{
	const struct packet_words words = words_of(text);
	uint32_t length = packet_words_build(&words, frame);
	struct packet packet;

	parse_frame(frame, MIN(length, PACKET_WORDS_FRAME), length, &packet);
	return packet;
}

static void test_round(void)
{
	static const char *const packets[] = {
		"tcp 192.168.1.4:1234 > 10.0.0.5:22",
		"udp 192.168.1.4:0 > 10.0.0.5:65535",
		"tcp [fd00::4]:1234 > [fd00::5]:22",
		"icmp 192.168.1.4 > 10.0.0.5",
		"icmp fd00::4 > fd00::5",
		"esp 192.168.1.4 > 10.0.0.5",
		"ah 192.168.1.4 > 10.0.0.5",
		"proto 47 192.168.1.4 > 10.0.0.5",
	};
	uint8_t frame[PACKET_WORDS_FRAME];

	for (size_t i = 0; i < G_N_ELEMENTS(packets); i++) {
		g_autofree char *text = g_strdup_printf("out %s", packets[i]);
		struct packet packet = packet_of(text, frame);
		g_assert_cmpint(packet.kind, ==, PACKET_FLOW);
		g_autofree char *key = flow_key_format(&packet.key);
		g_assert_cmpstr(key, ==, packets[i]);
	}
}

static void test_details(void)
{
	uint8_t frame[PACKET_WORDS_FRAME];
	struct packet p =
		packet_of("out tcp 10.0.0.1:1 > 10.0.0.2:2 syn,ack psh ttl 3 df length 9000", frame);

	g_assert_cmpint(p.tcp_flags, ==, TCP_SYN | TCP_ACK | 8);
	g_assert_cmpint(p.flags, ==, PACKET_DF);
	g_assert_cmpint(p.l3_length, ==, 9000);
	g_assert_cmpint(frame[ETH_LEN + IPV4_TTL], ==, 3);
	g_assert_cmpint(packet_of("out tcp 10.0.0.1:1 > 10.0.0.2:2", frame).tcp_flags, ==, TCP_SYN);
	g_assert_cmpint(packet_of("out tcp 10.0.0.1:1 > 10.0.0.2:2 none", frame).tcp_flags, ==, 0);
	p = packet_of("in icmp 10.0.0.1 > 10.0.0.2 type 13 code 0 id 7", frame);
	g_assert_cmpint(p.key.dport, ==, htobe16(13 << 8));
	g_assert_cmpint(p.key.sport, ==, htobe16(7));
	g_assert_true(words_of("in icmp 10.0.0.1 > 10.0.0.2").inwards);
	g_assert_cmpint(packet_of("out icmp 10.0.0.1 > 10.0.0.2 type 3", frame).kind, ==, PACKET_ICMP_ERROR);
	g_assert_cmpint(packet_of("out icmp fd00::1 > fd00::2 echo-reply", frame).key.dport, ==,
		htobe16(ICMPV6_TYPE_ECHO_REPLY << 8));
	g_assert_cmpint(packet_of("out arp who-has 10.0.0.1 tell 10.0.0.2", frame).kind, ==, PACKET_ARP);
	g_assert_cmpint(load32(frame + ETH_LEN + ARP_TARGET_IP), ==, 0x0a000001);
	p = packet_of("out dhcp request 10.0.0.9 smac 00:0d:3a:00:00:01", frame);
	g_assert_cmpint(p.key.dport, ==, htobe16(DHCP_SERVER_PORT));
	g_assert_cmpint(frame[ETH_SRC + 5], ==, 1);
}

static void test_ipv6(void)
{
	static const uint8_t group[16] = {0xff, 2, [11] = 1, [12] = 0xff, 0, 0, 0x2a};
	uint8_t frame[PACKET_WORDS_FRAME];
	char text[IP_TEXT_MAX];
	struct packet p = packet_of("out nd who-has fd00::2a smac 00:0d:3a:00:00:01", frame);

	g_assert_cmpint(p.kind, ==, PACKET_ND);
	g_assert_cmpint(frame[p.l4], ==, ICMPV6_TYPE_NEIGHBOUR_SOLICITATION);
	g_assert_cmpint(frame[ETH_LEN + IPV6_HOPS], ==, 255);
	g_assert_cmpmem(p.key.dst, 16, group, 16);
	g_assert_cmpstr(ip_format(flow_key_source(&p.key), text), ==, "fe80::20d:3aff:fe00:1");
	p = packet_of("out nd who-has fd00::2a tell :: ttl 64", frame);
	g_assert_cmpint(p.l3_length, ==, IPV6_LEN + 24); /* who probes has no MAC to tell */
	g_assert_cmpint(frame[ETH_LEN + IPV6_HOPS], ==, 64);
	g_assert_cmpstr(ip_format(flow_key_source(&p.key), text), ==, "::");
	p = packet_of("out rs", frame);
	g_assert_cmpint(p.kind, ==, PACKET_ND);
	g_assert_cmpstr(ip_format(flow_key_destination(&p.key), text), ==, "ff02::2");
	p = packet_of("out dhcp6", frame);
	g_assert_cmpint(p.key.dport, ==, htobe16(DHCP6_SERVER_PORT));
	g_assert_cmpint(frame[p.l4 + UDP_LEN], ==, 1);
	p = packet_of("out dhcp6 request fd00::9", frame);
	g_assert_cmpint(frame[p.l4 + UDP_LEN], ==, 3);
	g_assert_cmpint(frame[ETH_LEN + p.l3_length - 9], ==, 9); /* the address, before its lifetimes */
}

static void test_refused(void)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"", "direction"},
		{"tcp 1.2.3.4:1 > 1.2.3.5:2", "'tcp' is not a direction"},
		{"out", "ends where one of tcp"},
		{"out tpc 1.2.3.4:1 > 1.2.3.5:2", "'tpc' is not one of tcp"},
		{"out tcp 1.2.3.4 > 1.2.3.5:2", "'1.2.3.4' is not an address and a port"},
		{"out tcp 1.2.3.4:1 1.2.3.5:2", "'1.2.3.5:2' is not '>'"},
		{"out tcp 1.2.3.4:1 > 1.2.3.5:65536", "not an address and a port from 0 to 65535"},
		{"out tcp fd00::1:5 > [fd00::2]:5", "not an address and a port"},
		{"out tcp [1.2.3.4]:5 > 1.2.3.5:5", "not an address and a port"},
		{"out tcp 1.2.3.4:1 > [fd00::2]:5", "one family"},
		{"out tcp 1.2.3.4:1 > 1.2.3.5:2 sin", "'sin' is not a flag (syn, ack,"},
		{"out tcp 1.2.3.4:1 > 1.2.3.5:2 syn,akc", "'syn,akc' is not a flag (syn, ack,"},
		{"out tcp 1.2.3.4:1 > 1.2.3.5:2 SYN", "'SYN' is not a flag (syn, ack,"},
		{"out tcp 1.2.3.4:1 > 1.2.3.5:2 none syn", "'none' says that it has no flags"},
		{"out tcp 1.2.3.4:1 > 1.2.3.5:2 syn,none", "'none' says that it has no flags"},
		{"out udp 1.2.3.4:1 > 1.2.3.5:2 syn", "'syn' is not an option: smac"},
		{"out tcp 1.2.3.4:1 > 1.2.3.5:2 length 39", "length 39 is less than its headers have, 40"},
		{"out udp 1.2.3.4:1 > 1.2.3.5:2 ttl 256", "'256' is not a time to live"},
		{"out udp 1.2.3.4:1 > 1.2.3.5:2 ttl", "ends where a time to live"},
		{"out udp 1.2.3.4:1 > 1.2.3.5:2 smac 1", "not a MAC address"},
		{"out icmp 1.2.3.4 > 1.2.3.5 type x", "not an ICMP type"},
		{"out proto 6 1.2.3.4 > 1.2.3.5", "a word of its own"},
		{"out arp is-at 1.2.3.4", "'is-at' is not 'who-has'"},
		{"out arp who-has fd00::1 tell fd00::2", "ARP is for IPv4"},
		{"out dhcp request", "ends where an IP address"},
		{"out nd fd00::1", "'fd00::1' is not 'who-has'"},
		{"out nd who-has 10.0.0.1", "neighbour discovery is for IPv6"},
		{"out nd who-has fd00::1 tell 10.0.0.1", "neighbour discovery is for IPv6"},
		{"out dhcp6 request 10.0.0.1", "DHCPv6 is for IPv6"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		struct packet_words words;
		g_assert_false(packet_words_parse(cases[i].text, &words, &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
		g_test_message("%s: %s", cases[i].text, error->message);
		g_assert_nonnull(strstr(error->message, cases[i].says));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/packet words/the parser of frames reads what the words said", test_round);
	g_test_add_func("/packet words/flags, lengths, types and MACs get into the frame", test_details);
	g_test_add_func("/packet words/IPv6's own messages are whole, and to their groups", test_ipv6);
	g_test_add_func("/packet words/a mistake is named, and what may stand there", test_refused);
	return g_test_run();
}
