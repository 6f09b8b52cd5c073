/* IPv6 frames for tests: written and read by their own code, not by the parser's. */
#pragma once
#include "switch/test_frame.h"

static inline void test_ip6(const char *text, uint8_t ret[16])
{
	g_assert_cmpint(inet_pton(AF_INET6, text, ret), ==, 1);
}

/* The transport's checksum, by the words of RFC 8200, section 8.1; 0 when the one in the frame is right. */
static inline uint16_t test_sum6(const struct test_frame *frame)
{
	const uint8_t *ip = frame->bytes + 14;
	uint32_t length = load16(ip + 4);
	uint64_t sum = length + ip[6];

	for (uint32_t i = 8; i < 40; i += 2)
		sum += load16(ip + i);
	for (uint32_t i = 0; i < length; i++)
		sum += i % 2 ? ip[40 + i] : (uint32_t)ip[40 + i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static inline uint32_t test_check_offset6(uint8_t protocol)
{
	return protocol == 6 ? 16 : protocol == 17 ? 6 : protocol == 58 ? 2 : 0;
}

/* Recomputes the lengths and the checksum of an IPv6 frame without extension headers. */
static inline void test_fix6(struct test_frame *frame)
{
	uint8_t *ip = frame->bytes + 14;
	uint32_t check = test_check_offset6(ip[6]);

	store16(ip + 4, (uint16_t)(frame->length - 54));
	if (ip[6] == 17)
		store16(ip + 44, (uint16_t)(frame->length - 54));
	if (check == 0)
		return;
	memset(ip + 40 + check, 0, 2);
	store16(ip + 40 + check, test_sum6(frame));
}

/* Asserts that the transport's checksum is right. */
static inline void test_assert_checksum6(const struct test_frame *frame)
{
	const uint8_t *ip = frame->bytes + 14;

	g_assert_cmpuint(54u + load16(ip + 4), <=, frame->length);
	if (test_check_offset6(ip[6]))
		g_assert_cmphex(test_sum6(frame), ==, 0);
}

static inline struct test_frame test_ipv6(const char *smac, const char *dmac, const char *src,
	const char *dst, uint8_t protocol, const void *payload, uint32_t n)
{
	struct test_frame frame = {.length = 54 + n};
	uint8_t *ip = frame.bytes + 14;

	test_mac(dmac, frame.bytes);
	test_mac(smac, frame.bytes + 6);
	store16(frame.bytes + 12, 0x86dd);
	ip[0] = 0x60;
	ip[6] = protocol;
	ip[7] = 64;
	test_ip6(src, ip + 8);
	test_ip6(dst, ip + 24);
	memcpy(ip + 40, payload, n);
	test_fix6(&frame);
	return frame;
}

static inline struct test_frame test_udp6(const char *smac, const char *dmac, const char *src, uint16_t sport,
	const char *dst, uint16_t dport, uint32_t data)
{
	uint8_t udp[TEST_FRAME_MAX] = {};

	store16(udp, sport);
	store16(udp + 2, dport);
	for (uint32_t i = 0; i < data; i++)
		udp[8 + i] = (uint8_t)(i * 7);
	return test_ipv6(smac, dmac, src, dst, 17, udp, 8 + data);
}

static inline struct test_frame test_icmp6(const char *smac, const char *dmac, const char *src,
	const char *dst, uint8_t type, uint8_t code, uint32_t data)
{
	uint8_t icmp[TEST_FRAME_MAX] = {type, code, 0, 0, 0, 7, 0, 1};

	return test_ipv6(smac, dmac, src, dst, 58, icmp, 8 + data);
}

/* A message of neighbour discovery: hop limit 255; target and link (an option's MAC) may be NULL. */
static inline struct test_frame test_nd(const char *smac, const char *dmac, const char *src, const char *dst,
	uint8_t type, const char *target, uint8_t option, const char *link)
{
	uint8_t icmp[64] = {type};
	uint32_t n = 8;

	if (target) {
		test_ip6(target, icmp + 8);
		n = 24;
	}
	if (link) {
		icmp[n] = option;
		icmp[n + 1] = 1;
		test_mac(link, icmp + n + 2);
		n += 8;
	}
	struct test_frame frame = test_ipv6(smac, dmac, src, dst, 58, icmp, n);
	frame.bytes[21] = 255;
	return frame;
}
