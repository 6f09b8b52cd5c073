/* Fuzz target: DHCP. The bytes are one frame that a NIC sends. */
#include "fuzz.h"

#include "switch/parse.h"
#include "switch/respond/respond.h"

#include <string.h>

static struct ip_addr dns = {.family = IP_V4, .bytes = {9, 9, 9, 9}};
static struct nic_address address = {.ip = {.family = IP_V4, .bytes = {192, 168, 1, 4}}};
static struct subnet subnet = {
	.prefix = {.addr = {.family = IP_V4, .bytes = {192, 168, 1, 0}}, .length = 24},
	.gateway = {.family = IP_V4, .bytes = {192, 168, 1, 1}},
	.n_dns = 1,
	.dns = &dns,
};
static const struct nic nic = {
	.mac = {{0, 0x0d, 0x3a, 0, 0, 0x0a}},
	.mtu = 1500,
	.subnet = &subnet,
	.n_addresses = 1,
	.addresses = &address,
	.hostname = (char *)"a",
};

/* Its options are whole and end, and it gives the NIC its own address or none. */
static void assert_answer(const uint8_t *message, int length, const uint8_t *request)
{
	enum {
		OP = 0,
		XID = 4,
		YIADDR = 16,
		OPTIONS = 240,
		MIN = 300,
		PAD = 0,
		END = 255,
		TYPE = 53,
		ACK = 5
	};
	int at = OPTIONS;
	uint8_t type = 0;

	g_assert_cmpint(length, >=, MIN);
	g_assert_cmpint(length, <=, DHCP_MESSAGE_MAX);
	g_assert_cmpint(message[OP], ==, 2);
	g_assert_cmpmem(message + XID, 4, request + XID, 4);
	while (at < length && message[at] != END) {
		g_assert_cmpint(message[at], !=, PAD);
		g_assert_cmpint(at + 2, <=, length);
		g_assert_cmpint(at + 2 + message[at + 1], <, length);
		type = message[at] == TYPE ? message[at + 2] : type;
		at += 2 + message[at + 1];
	}
	g_assert_cmpint(at, <, length);
	g_assert_cmpint(type, !=, 0);
	if (memcmp(message + YIADDR, (uint8_t[4]){}, 4) != 0) {
		g_assert_cmpint(type, <=, ACK);
		g_assert_cmpmem(message + YIADDR, 4, address.ip.bytes, 4);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	uint32_t length = (uint32_t)MIN(size, 65535u);
	g_autofree uint8_t *data = g_memdup2(bytes, size);
	uint8_t answer[DHCP_MESSAGE_MAX];
	struct packet parsed;
	bool broadcast = false;
	int answer_length = -1;

	parse_frame(data, length, length, &parsed);
	if (!dhcp_is_request(&parsed))
		return 0;
	memset(data + parsed.l4 + UDP_CHECK, 0, 2); /* there is none: nobody makes one up that is right */
	memset(answer, 0xee, sizeof answer);
	enum drop reason = dhcp_answer_frame(&nic, &parsed, data, length, answer, &answer_length, &broadcast);
	if (reason == DROP_NONE && answer_length != 0)
		assert_answer(answer, answer_length, data + parsed.l4 + UDP_LEN);
	return 0;
}
