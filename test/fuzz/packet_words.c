/* Fuzz target: packets in words. The bytes are what an operator gave to trace. */
#include "fuzz.h"

#include "base/fault.h"
#include "switch/packet_words.h"
#include "switch/parse.h"

#include <string.h>

/* The parser of frames reads what the words said. */
static void assert_read(const struct packet_words *words, const struct packet *packet, uint32_t length)
{
	if (words->kind == PACKET_WORDS_ARP) {
		g_assert_cmpint(packet->kind, ==, PACKET_ARP);
		return;
	}
	if (words->kind == PACKET_WORDS_ND || words->kind == PACKET_WORDS_RS) {
		g_assert_cmpint(packet->kind, ==, PACKET_ND);
		return;
	}
	if (packet->kind != PACKET_FLOW)
		return;
	if (words->kind == PACKET_WORDS_DHCP || words->kind == PACKET_WORDS_DHCP6) {
		g_assert_cmpint(packet->key.dport, ==, htobe16(words->dport));
		return;
	}
	unsigned bytes = words->src.family == IP_V6 ? 16 : 4;
	g_assert_cmpint(packet->key.family, ==, words->src.family);
	g_assert_cmpmem(packet->key.src, bytes, words->src.bytes, bytes);
	g_assert_cmpmem(packet->key.dst, bytes, words->dst.bytes, bytes);
	if (packet->key.protocol == PROTO_TCP || packet->key.protocol == PROTO_UDP) {
		g_assert_cmpint(packet->key.sport, ==, htobe16(words->sport));
		g_assert_cmpint(packet->key.dport, ==, htobe16(words->dport));
	}
	if (packet->key.protocol == PROTO_TCP)
		g_assert_cmpint(packet->tcp_flags, ==, words->tcp_flags);
	g_assert_cmpuint(packet->l3_length, ==, length - ETH_LEN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = g_strndup((const char *)data, size);
	g_autoptr(GError) error = NULL;
	g_autofree uint8_t *frame = g_malloc(PACKET_WORDS_FRAME);
	struct packet_words words;
	struct packet packet;

	if (!packet_words_parse(text, &words, &error)) {
		g_assert_error(error, FAULT, FAULT_INVALID);
		return 0;
	}
	g_assert_no_error(error);
	uint32_t length = packet_words_build(&words, frame);
	g_assert_cmpuint(length, >=, ETH_LEN);
	g_autofree uint8_t *exact = g_memdup2(frame, MIN(length, (uint32_t)PACKET_WORDS_FRAME));
	parse_frame(exact, MIN(length, (uint32_t)PACKET_WORDS_FRAME), length, &packet);
	assert_read(&words, &packet, length);
	return 0;
}
