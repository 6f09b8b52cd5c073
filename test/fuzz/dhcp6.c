/* Fuzz target: DHCPv6. The bytes are one message, as it lies in a datagram of a NIC with two addresses. */
#include "fuzz.h"

#include "switch/respond/respond.h"
#include "switch/wire.h"

#include <string.h>

static struct ip_addr dns = {.family = IP_V6, .bytes = {0x26, 0x20, 0, 0xfe, [15] = 0xfe}};
static struct nic_address addresses[] = {
	{.ip = {.family = IP_V6, .bytes = {0xfd, [15] = 4}}},
	{.ip = {.family = IP_V6, .bytes = {0xfd, [15] = 5}}},
};
static struct subnet subnet = {
	.prefix6 = {.addr = {.family = IP_V6, .bytes = {0xfd}}, .length = 64},
	.gateway6 = {.family = IP_V6, .bytes = {0xfd, [15] = 1}},
	.n_dns = 1,
	.dns = &dns,
};
static const struct nic nic = {.mac = {{0, 0x0d, 0x3a, 0, 0, 4}},
	.mtu = 1500,
	.subnet = &subnet,
	.n_addresses = 2,
	.addresses = addresses};

enum { CLIENT = 1, SERVER = 2, IA_NA = 3, ADDRESS = 5, ADDRESS_LEN = 24 };

/* What is given for any time is the NIC's own. */
static void assert_association(const uint8_t *at, uint32_t length)
{
	const uint8_t *end = at + length;

	g_assert_cmpuint(length, >=, 12);
	for (at += 12; at < end; at += 4 + load16(at + 2)) {
		g_assert_cmpint(end - at, >=, 4 + load16(at + 2));
		if (load16(at) != ADDRESS)
			continue;
		g_assert_cmpuint(load16(at + 2), ==, ADDRESS_LEN);
		if (load32(at + 24) != 0)
			g_assert_true(memcmp(at + 4, addresses[0].ip.bytes, 16) == 0 ||
				      memcmp(at + 4, addresses[1].ip.bytes, 16) == 0);
	}
}

/* Its options are whole; it is of one server, and the transaction and the client are those that asked. */
static void assert_answer(const uint8_t *answer, uint32_t length, const uint8_t *request)
{
	const uint8_t *end = answer + length;
	unsigned servers = 0;

	g_assert_cmpuint(length, <=, DHCP6_MESSAGE_MAX);
	g_assert_true(answer[0] == 2 || answer[0] == 7);
	g_assert_cmpmem(answer + 1, 3, request + 1, 3);
	for (const uint8_t *at = answer + 4; at < end; at += 4 + load16(at + 2)) {
		g_assert_cmpint(end - at, >=, 4 + load16(at + 2));
		servers += load16(at) == SERVER;
		if (load16(at) == IA_NA)
			assert_association(at + 4, load16(at + 2));
	}
	g_assert_cmpuint(servers, ==, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t answer[DHCP6_MESSAGE_MAX];

	memset(answer, 0xee, sizeof answer);
	int length = dhcp6_answer(&nic, data, MIN(size, 65535u), answer);
	if (length > 0)
		assert_answer(answer, (uint32_t)length, data);
	return 0;
}
