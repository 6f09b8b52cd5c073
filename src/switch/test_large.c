/* Large frames: see test_large.h. */
#include "switch/test_large.h"

#include <arpa/inet.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#define ACK 0x10
#define PSH 0x08
#define FIN 0x01
#define CWR 0x80

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v);
}

/* RFC 1071 by the letter. */
static uint32_t sum16(uint32_t sum, const uint8_t *bytes, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static void put_mac(uint8_t *at, const char *text)
{
	unsigned b[6];

	g_assert_cmpint(sscanf(text, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]), ==, 6);
	for (unsigned i = 0; i < 6; i++)
		at[i] = (uint8_t)b[i];
}

static bool is_ipv6(const struct large *large)
{
	return strchr(large->src, ':') != NULL;
}

static uint8_t payload_at(uint32_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

static uint32_t ip_length(const struct large *large)
{
	return is_ipv6(large) ? 40 : 20 + large->ip_words * 4;
}

static uint32_t headers_of(const struct large *large)
{
	return 14 + ip_length(large) + 20 + large->tcp_words * 4;
}

static void write_ip(const struct large *large, uint8_t *ip, unsigned n, uint32_t payload, uint8_t ttl)
{
	uint32_t length = ip_length(large), transport = 20 + large->tcp_words * 4 + payload;

	if (is_ipv6(large)) {
		put32(ip, 0x60012345);
		put16(ip + 4, transport);
		ip[6] = 6;
		ip[7] = ttl;
		g_assert_cmpint(inet_pton(AF_INET6, large->src, ip + 8), ==, 1);
		g_assert_cmpint(inet_pton(AF_INET6, large->dst, ip + 24), ==, 1);
		return;
	}
	ip[0] = (uint8_t)(0x40 | length / 4);
	ip[1] = 0x02; /* ECT(0) */
	put16(ip + 2, length + transport);
	put16(ip + 4, LARGE_ID + n);
	put16(ip + 6, large->may_fragment ? 0 : 0x4000);
	ip[8] = ttl;
	ip[9] = 6;
	g_assert_cmpint(inet_pton(AF_INET, large->src, ip + 12), ==, 1);
	g_assert_cmpint(inet_pton(AF_INET, large->dst, ip + 16), ==, 1);
	memset(ip + 20, 1, length - 20);
	put16(ip + 10, ~sum16(0, ip, length));
}

/* The segment of the payload's bytes from..from+payload-1; n of them are before it. Its checksum is right. */
static uint32_t write_segment(
	const struct large *large, uint8_t *at, unsigned n, uint32_t from, uint32_t payload, uint8_t ttl)
{
	uint32_t header = 20 + large->tcp_words * 4, length = ip_length(large);
	uint8_t *ip = at + 14, *tcp = ip + length, flags = large->tcp_flags ? large->tcp_flags : ACK | PSH;

	memset(at, 0, headers_of(large));
	put_mac(at, large->dmac);
	put_mac(at + 6, large->smac);
	put16(at + 12, is_ipv6(large) ? 0x86dd : 0x0800);
	write_ip(large, ip, n, payload, ttl);
	put16(tcp, large->sport);
	put16(tcp + 2, large->dport);
	put32(tcp + 4, LARGE_SEQ + from);
	put32(tcp + 8, 0x01020304);
	tcp[12] = (uint8_t)(header / 4 << 4);
	tcp[13] = (uint8_t)(flags & ~(n ? CWR : 0) & ~(from + payload < large->payload ? FIN | PSH : 0));
	put16(tcp + 14, 0x2000);
	memset(tcp + 20, 1, header - 20);
	for (uint32_t i = 0; i < payload; i++)
		tcp[header + i] = payload_at(from + i);
	uint32_t sum = is_ipv6(large) ? sum16(0, ip + 8, 32) : sum16(0, ip + 12, 8);
	put16(tcp + 16, ~sum16(sum + 6 + header + payload, tcp, header + payload));
	return 14 + length + header + payload;
}

struct rte_mbuf *large_make(const struct large *large, struct rte_mempool *pool, uint32_t part)
{
	g_autofree uint8_t *bytes = g_malloc(LARGE_MAX);
	uint32_t length = write_segment(large, bytes, 0, 0, large->payload, 64), done = 0;
	struct rte_mbuf *packet = rte_pktmbuf_alloc(pool);

	put16(bytes + 14 + ip_length(large) + 16, 0xbad0);
	for (struct rte_mbuf *last = packet; done < length;) {
		if (last->data_len) {
			last = rte_pktmbuf_alloc(pool);
			g_assert_cmpint(rte_pktmbuf_chain(packet, last), ==, 0);
		}
		/* The first holds the headers. */
		uint32_t most = part ? MAX(part, done ? 0 : 256) : UINT32_MAX;
		uint32_t n = MIN(MIN(most, rte_pktmbuf_tailroom(last)), length - done);
		memcpy(rte_pktmbuf_mtod(last, void *), bytes + done, n);
		last->data_len = (uint16_t)n;
		packet->pkt_len += n;
		done += n;
	}
	return packet;
}

void large_claim(struct rte_mbuf *packet, uint16_t segment)
{
	packet->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE | (segment ? RTE_MBUF_F_RX_LRO : 0);
	packet->tso_segsz = segment;
}

uint32_t large_check(const struct large *large, const uint8_t *bytes, uint32_t length, unsigned n,
	uint32_t from, uint32_t segment, uint8_t ttl)
{
	g_autofree uint8_t *want = g_malloc(LARGE_MAX);
	uint32_t payload = MIN(segment, large->payload - from);
	uint32_t size = write_segment(large, want, n, from, payload, ttl);

	g_assert_cmpmem(bytes, length, want, size);
	return from + payload;
}

void large_check_whole(const struct large *large, const uint8_t *bytes, uint32_t length, uint8_t ttl)
{
	g_autofree uint8_t *want = g_malloc(LARGE_MAX), *got = g_memdup2(bytes, length);
	uint32_t size = write_segment(large, want, 0, 0, large->payload, ttl);
	uint8_t *check = want + 14 + ip_length(large) + 16;

	g_assert_cmpuint(length, ==, size);
	memcpy(got + (check - want), check, 2);
	g_assert_cmpmem(got, length, want, size);
}

void large_check_started(const struct large *large, const uint8_t *bytes)
{
	const uint8_t *ip = bytes + 14, *check = ip + ip_length(large) + 16;
	uint32_t length = 20 + large->tcp_words * 4 + large->payload;
	uint32_t sum = is_ipv6(large) ? sum16(0, ip + 8, 32) : sum16(0, ip + 12, 8);

	sum += 6 + length;
	sum = (sum & 0xffff) + (sum >> 16);
	g_assert_cmphex((uint32_t)check[0] << 8 | check[1], ==, sum);
}
