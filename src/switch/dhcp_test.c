/* Tests of the DHCP answers. */
#include "switch/packet_words.h"
#include "switch/parse.h"
#include "switch/respond/respond.h"
#include "switch/test_values.h"
#include "switch/wire.h"

#include <errno.h>

static struct ip_addr dns[8];
static struct subnet subnet;
static struct nic_address address;
static struct nic nic;

static void make_nic(void)
{
	subnet = (struct subnet){
		.prefix = test_prefix("192.168.0.0/20"), .gateway = test_addr("192.168.0.1"), .dns = dns};
	for (unsigned i = 0; i < 8; i++)
		dns[i] = test_addr("9.9.9.9");
	subnet.n_dns = 8;
	address = (struct nic_address){.ip = test_addr("192.168.1.4")};
	nic = (struct nic){.mac = {{0, 0x0d, 0x3a, 0, 0, 4}},
		.mtu = 1400,
		.subnet = &subnet,
		.n_addresses = 1,
		.addresses = &address,
		.hostname = (char *)"a-name-of-sixty-three-letters-is-the-longest-that-a-label-can-be"};
}

/* A request with the options given as they go on the wire. */
static size_t request(uint8_t *message, const uint8_t *options, size_t n)
{
	memset(message, 0, 240);
	message[0] = message[1] = 1;
	message[2] = 6;
	store32(message + 4, 0xcafe);
	memcpy(message + 28, nic.mac.bytes, 6);
	memcpy(message + 236, (uint8_t[]){99, 130, 83, 99}, 4);
	memcpy(message + 240, options, n);
	return 240 + n;
}

static const uint8_t *option(const uint8_t *message, int length, uint8_t kind)
{
	for (int i = 240; i < length && message[i] != 255; i += 2 + message[i + 1])
		if (message[i] == kind)
			return message + i;
	return NULL;
}

static int answer(const uint8_t *options, size_t n, uint8_t ret[DHCP_MESSAGE_MAX])
{
	uint8_t message[600];
	bool broadcast;
	size_t length = request(message, options, n);
	g_autofree uint8_t *exact = g_memdup2(message, length);

	return dhcp_answer(&nic, exact, length, ret, &broadcast);
}

static void test_offer(void)
{
	uint8_t reply[DHCP_MESSAGE_MAX];
	int length = answer((uint8_t[]){53, 1, 1, 255}, 4, reply);

	g_assert_cmpint(length, >=, 300);
	g_assert_cmphex(load32(reply + 4), ==, 0xcafe);
	g_assert_cmphex(load32(reply + 16), ==, 0xc0a80104);
	g_assert_cmpint(option(reply, length, 53)[2], ==, 2);
	g_assert_cmphex(load32(option(reply, length, 54) + 2), ==, 0xc0a80001);
	g_assert_cmphex(load32(option(reply, length, 1) + 2), ==, 0xfffff000);
	g_assert_cmpint(option(reply, length, 6)[1], ==, 32);
	g_assert_cmpuint(load16(option(reply, length, 26) + 2), ==, 1400);
	g_assert_cmpint(option(reply, length, 12)[1], ==, strlen(nic.hostname));
	const uint8_t *routes = option(reply, length, 121);
	g_assert_cmpmem(routes + 2, 9, ((uint8_t[]){32, 169, 254, 169, 254, 192, 168, 0, 1}), 9);
	g_assert_cmpmem(routes + 11, 5, ((uint8_t[]){0, 192, 168, 0, 1}), 5);
}

static void test_request(void)
{
	uint8_t reply[DHCP_MESSAGE_MAX];
	uint8_t right[] = {53, 1, 3, 50, 4, 192, 168, 1, 4, 54, 4, 192, 168, 0, 1, 255};
	uint8_t wrong[] = {53, 1, 3, 50, 4, 192, 168, 1, 9, 255};
	uint8_t others[] = {53, 1, 3, 50, 4, 192, 168, 1, 4, 54, 4, 192, 168, 0, 9, 255};

	int length = answer(right, sizeof right, reply);
	g_assert_cmpint(option(reply, length, 53)[2], ==, 5);
	length = answer(wrong, sizeof wrong, reply);
	g_assert_cmpint(option(reply, length, 53)[2], ==, 6);
	g_assert_cmphex(load32(reply + 16), ==, 0);
	g_assert_cmpint(answer(others, sizeof others, reply), ==, 0);
}

/* RFC 2131, table 3: of the client's own words, an acknowledgement repeats its address, and nothing its seconds. */
static void test_head(void)
{
	static const struct {
		uint32_t ciaddr;
		uint8_t type;
		uint32_t repeated;
	} cases[] = {{0xc0a80104, 5, 0xc0a80104}, {0xc0a80109, 6, 0}};
	uint8_t message[600], reply[DHCP_MESSAGE_MAX];
	size_t n = request(message, (uint8_t[]){53, 1, 3, 255}, 4);
	bool broadcast;

	message[9] = 7;
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		store32(message + 12, cases[i].ciaddr);
		int length = dhcp_answer(&nic, message, n, reply, &broadcast);
		g_assert_cmpint(option(reply, length, 53)[2], ==, cases[i].type);
		g_assert_cmphex(load32(reply + 12), ==, cases[i].repeated);
		g_assert_cmpuint(load16(reply + 8), ==, 0);
	}
}

static void test_others(void)
{
	uint8_t reply[DHCP_MESSAGE_MAX];
	int length = answer((uint8_t[]){53, 1, 8, 255}, 4, reply); /* INFORM: no address, no lease */

	g_assert_cmpint(option(reply, length, 53)[2], ==, 5);
	g_assert_cmphex(load32(reply + 16), ==, 0);
	g_assert_null(option(reply, length, 51));
	g_assert_cmpint(answer((uint8_t[]){53, 1, 7, 255}, 4, reply), ==, 0); /* RELEASE */
	g_assert_cmpint(answer((uint8_t[]){255}, 1, reply), ==, 0); /* BOOTP */
}

static void test_malformed(void)
{
	uint8_t message[600], reply[DHCP_MESSAGE_MAX];
	size_t length = request(message, (uint8_t[]){53, 1, 1, 255}, 4);
	bool broadcast;

	for (size_t n = 0; n < 240; n++) {
		g_autofree uint8_t *exact = g_memdup2(message, n);
		g_assert_cmpint(dhcp_answer(&nic, exact, n, reply, &broadcast), ==, -EBADMSG);
	}
	message[28] = 2; /* for another MAC */
	g_assert_cmpint(dhcp_answer(&nic, message, length, reply, &broadcast), ==, -EBADMSG);
	message[28] = 0;
	message[24] = 10; /* by a relay */
	g_assert_cmpint(dhcp_answer(&nic, message, length, reply, &broadcast), ==, -EBADMSG);
	g_assert_cmpint(answer((uint8_t[]){53, 1, 1, 12, 200, 1}, 6, reply), ==, -EBADMSG);
	g_assert_cmpint(answer((uint8_t[]){53, 1, 1, 12}, 4, reply), ==, -EBADMSG);
}

/* Of zero: there is none (RFC 768). */
static void test_checksum(void)
{
	uint8_t frame[PACKET_WORDS_FRAME], reply[DHCP_MESSAGE_MAX];
	static const enum drop wanted[] = {DROP_NONE, DROP_DHCP_MALFORMED, DROP_NONE};
	struct packet_words words;
	struct packet parsed;
	bool broadcast;
	int length;

	g_assert_true(packet_words_parse("out dhcp", &words, NULL));
	words.smac = nic.mac;
	uint32_t size = packet_words_build(&words, frame);
	parse_frame(frame, size, size, &parsed);
	uint8_t *check = frame + parsed.l4 + UDP_CHECK;
	for (unsigned i = 0; i < G_N_ELEMENTS(wanted); i++) {
		g_assert_cmpint(dhcp_answer_frame(&nic, &parsed, frame, size, reply, &length, &broadcast), ==,
			wanted[i]);
		if (i == 0)
			check[1] ^= 1;
		else
			memset(check, 0, 2);
	}
}

static void test_random(void)
{
	uint8_t options[300], reply[DHCP_MESSAGE_MAX];

	for (unsigned i = 0; i < 50000; i++) {
		size_t n = test_below(sizeof options);
		for (size_t j = 0; j < n; j++)
			options[j] = (uint8_t)(test_below(3) ? test_below(60) : test_below(256));
		int length = answer(options, n, reply);
		g_assert_cmpint(length, <=, DHCP_MESSAGE_MAX);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	make_nic();
	g_test_add_func("/dhcp/a discovery is offered the NIC's address and all it should know", test_offer);
	g_test_add_func(
		"/dhcp/a request for the right address is acknowledged, another refused", test_request);
	g_test_add_func("/dhcp/an answer repeats of the request what it should", test_head);
	g_test_add_func("/dhcp/INFORM is told no address, RELEASE nothing", test_others);
	g_test_add_func("/dhcp/what is malformed, another's or relayed is refused", test_malformed);
	g_test_add_func("/dhcp/a wrong checksum is answered as little as what is malformed", test_checksum);
	g_test_add_func("/dhcp/random options are never read past their end", test_random);
	return g_test_run();
}
