/* Fuzz target: the frame parser. The bytes are one frame. */
#include "fuzz.h"

#include "switch/parse.h"

#include <string.h>

/* What later stages touch without looking at a length again: see parse.h. */
static void assert_within(const struct packet *p, const uint8_t *frame, uint32_t available, uint32_t length)
{
	uint32_t header = p->key.family == IP_V6 ? IPV6_LEN : IPV4_MIN;

	if (p->kind == PACKET_DROP) {
		g_assert_cmpint(p->drop, >, DROP_NONE);
		g_assert_cmpint(p->drop, <, DROP_COUNT);
		return;
	}
	g_assert_cmpint(p->drop, ==, DROP_NONE);
	g_assert_cmpuint(p->l3, ==, ETH_LEN);
	if (p->kind == PACKET_ARP) {
		g_assert_cmpuint(p->l3 + ARP_LEN, <=, available);
		return;
	}
	g_assert_true(p->key.family == IP_V4 || p->key.family == IP_V6);
	g_assert_cmpuint(p->l3 + p->l3_length, <=, length);
	g_assert_cmpuint(p->l4, >=, p->l3 + header);
	g_assert_cmpuint(p->l4, <=, available);
	g_assert_cmpuint(p->l4, <=, p->l3 + p->l3_length);
	if (p->kind == PACKET_FLOW) {
		uint32_t touched = p->key.protocol == PROTO_TCP                          ? TCP_MIN
				   : p->key.protocol == PROTO_UDP                        ? UDP_LEN
				   : p->key.protocol == PROTO_ICMP && header == IPV4_MIN ? ICMP_MIN
				   : p->key.protocol == PROTO_ICMPV6                     ? ICMP_MIN
											 : 0;
		g_assert_cmpuint(p->l4 + touched, <=, available);
		g_assert_cmpuint(p->l4 + touched, <=, p->l3 + p->l3_length);
	} else if (p->kind == PACKET_ICMP_ERROR || p->kind == PACKET_ND) {
		g_assert_cmpuint(p->l4 + ICMP_MIN, <=, available);
		g_assert_cmpuint(p->l4 + ICMP_MIN, <=, p->l3 + p->l3_length);
	} else {
		g_assert_cmpint(p->kind, ==, PACKET_FRAGMENT);
	}
}

/* What is plain is read alike by both. */
static void assert_alike(const uint8_t *frame, uint32_t available, uint32_t length, const struct packet *slow)
{
	struct packet plain, before;

	memset(&plain, 0xa5, sizeof plain);
	before = plain;
	if (parse_plain(frame, available, length, 0, 0, &plain)) {
		g_assert_cmpint(slow->kind, ==, PACKET_FLOW);
		g_assert_true(flow_key_equal(&plain.key, &slow->key));
		g_assert_cmpint(plain.flags, ==, slow->flags);
		g_assert_cmpint(plain.tcp_flags, ==, slow->tcp_flags);
		g_assert_cmpint(plain.l3, ==, slow->l3);
		g_assert_cmpint(plain.l4, ==, slow->l4);
		g_assert_cmpuint(plain.l3_length, ==, slow->l3_length);
		g_assert_cmpuint(plain.fragment_id, ==, slow->fragment_id);
	} else {
		g_assert_cmpmem(&plain, sizeof plain, &before, sizeof before);
	}
}

static void parse(const uint8_t *frame, uint32_t available, uint32_t length)
{
	struct packet packet;

	memset(&packet, 0x5a, sizeof packet);
	parse_frame(frame, available, length, &packet);
	assert_within(&packet, frame, available, length);
	if (available >= ETH_LEN)
		assert_alike(frame, available, length, &packet);
	if (packet.kind != PACKET_ICMP_ERROR)
		return;
	uint32_t quoted = packet.l4 + ICMP_MIN;
	struct flow_key key;
	uint16_t l4;
	if (parse_quoted(frame + quoted, available - quoted, &key, &l4) == 0) {
		g_assert_true(key.family == IP_V4 || key.family == IP_V6);
		g_assert_cmpuint(quoted + l4 + 8, <=, available);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t length = (uint32_t)MIN(size, 65535u);

	parse(data, length, length);
	if (length > PARSE_CONTIGUOUS) { /* the rest in other segments */
		uint8_t *first = g_memdup2(data, PARSE_CONTIGUOUS);
		parse(first, PARSE_CONTIGUOUS, length);
		g_free(first);
	}
	return 0;
}
