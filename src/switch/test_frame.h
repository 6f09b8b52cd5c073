/* Frames for tests: written and read by their own code, not by the parser's. */
#pragma once
#include "switch/checksum.h"
#include "switch/wire.h"

#include <arpa/inet.h>
#include <glib.h>
#include <stdio.h>

#define TEST_FRAME_MAX 2048

struct test_frame {
	uint8_t bytes[TEST_FRAME_MAX];
	uint32_t length;
};

static inline void test_ip(const char *text, uint8_t ret[4])
{
	g_assert_cmpint(inet_pton(AF_INET, text, ret), ==, 1);
}

static inline void test_mac(const char *text, uint8_t ret[6])
{
	unsigned b[6];

	g_assert_cmpint(sscanf(text, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]), ==, 6);
	for (unsigned i = 0; i < 6; i++)
		ret[i] = (uint8_t)b[i];
}

static inline void test_set_check(uint8_t *at, uint16_t check)
{
	memcpy(at, &check, sizeof check);
}

/* Sum of TCP or UDP with its pseudo header; 0 when the checksum in it is right. */
static inline uint16_t test_transport_sum(const uint8_t *ip, uint32_t header, uint32_t length)
{
	uint8_t pseudo[4] = {0, ip[9], (uint8_t)((length - header) >> 8), (uint8_t)(length - header)};
	uint64_t sum = checksum_add(checksum_add(0, ip + 12, 8), pseudo, 4);

	return (uint16_t)~checksum_fold(checksum_add(sum, ip + header, length - header));
}

/* Recomputes all checksums of an IPv4 frame without options. */
static inline void test_fix(struct test_frame *frame)
{
	uint8_t *ip = frame->bytes + 14;
	uint32_t length = load16(ip + 2);

	memset(ip + 10, 0, 2);
	test_set_check(ip + 10, checksum_of(ip, 20));
	if (ip[9] == 6) {
		memset(ip + 36, 0, 2);
		test_set_check(ip + 36, test_transport_sum(ip, 20, length));
	} else if (ip[9] == 17) {
		memset(ip + 26, 0, 2);
		test_set_check(ip + 26, test_transport_sum(ip, 20, length));
	} else if (ip[9] == 1) {
		memset(ip + 22, 0, 2);
		test_set_check(ip + 22, checksum_of(ip + 20, length - 20));
	}
}

static inline struct test_frame test_ipv4(const char *smac, const char *dmac, const char *src,
	const char *dst, uint8_t protocol, uint32_t payload)
{
	struct test_frame frame = {.length = 14 + 20 + payload};
	uint8_t *ip = frame.bytes + 14;

	test_mac(dmac, frame.bytes);
	test_mac(smac, frame.bytes + 6);
	store16(frame.bytes + 12, 0x0800);
	ip[0] = 0x45;
	store16(ip + 2, (uint16_t)(20 + payload));
	store16(ip + 6, 0x4000);
	ip[8] = 64;
	ip[9] = protocol;
	test_ip(src, ip + 12);
	test_ip(dst, ip + 16);
	for (uint32_t i = 0; i < payload; i++)
		ip[20 + i] = (uint8_t)(i * 7);
	return frame;
}

static inline struct test_frame test_udp(const char *smac, const char *dmac, const char *src, uint16_t sport,
	const char *dst, uint16_t dport, uint32_t data)
{
	struct test_frame frame = test_ipv4(smac, dmac, src, dst, 17, 8 + data);
	uint8_t *udp = frame.bytes + 34;

	store16(udp, sport);
	store16(udp + 2, dport);
	store16(udp + 4, (uint16_t)(8 + data));
	test_fix(&frame);
	return frame;
}

static inline struct test_frame test_tcp(const char *smac, const char *dmac, const char *src, uint16_t sport,
	const char *dst, uint16_t dport, uint8_t flags, uint32_t data)
{
	struct test_frame frame = test_ipv4(smac, dmac, src, dst, 6, 20 + data);
	uint8_t *tcp = frame.bytes + 34;

	store16(tcp, sport);
	store16(tcp + 2, dport);
	store32(tcp + 4, 0); /* sequence and acknowledged numbers */
	store32(tcp + 8, 0);
	tcp[12] = 0x50;
	tcp[13] = flags;
	test_fix(&frame);
	return frame;
}

static inline struct test_frame test_icmp(const char *smac, const char *dmac, const char *src,
	const char *dst, uint8_t type, uint8_t code, uint16_t id, uint32_t data)
{
	struct test_frame frame = test_ipv4(smac, dmac, src, dst, 1, 8 + data);
	uint8_t *icmp = frame.bytes + 34;

	icmp[0] = type;
	icmp[1] = code;
	store16(icmp + 4, id);
	store16(icmp + 6, 1);
	test_fix(&frame);
	return frame;
}

static inline struct test_frame test_arp(
	const char *smac, uint16_t operation, const char *sha, const char *spa, const char *tpa)
{
	struct test_frame frame = {.length = 42};
	uint8_t *arp = frame.bytes + 14;

	memset(frame.bytes, 0xff, 6);
	test_mac(smac, frame.bytes + 6);
	store16(frame.bytes + 12, 0x0806);
	memcpy(arp, (uint8_t[]){0, 1, 8, 0, 6, 4}, 6);
	store16(arp + 6, operation);
	test_mac(sha, arp + 8);
	test_ip(spa, arp + 14);
	test_ip(tpa, arp + 24);
	return frame;
}

/* Asserts that every checksum in an IPv4 frame is right. */
static inline void test_assert_checksums(const uint8_t *bytes, uint32_t length)
{
	const uint8_t *ip = bytes + 14;
	uint32_t header = (uint32_t)(ip[0] & 15) * 4, total = load16(ip + 2);

	g_assert_cmpuint(load16(bytes + 12), ==, 0x0800);
	g_assert_cmpuint(14 + total, <=, length);
	g_assert_cmpuint(checksum_of(ip, header), ==, 0);
	if (load16(ip + 6) & 0x3fff)
		return; /* a fragment's transport checksum is of the whole */
	if (ip[9] == 6 || (ip[9] == 17 && load16(ip + header + 6)))
		g_assert_cmpuint(test_transport_sum(ip, header, total), ==, 0);
	if (ip[9] == 1)
		g_assert_cmpuint(checksum_of(ip + header, total - header), ==, 0);
}
