/* Captures in the pcapng format: see pcapng.h. */
#include "cli/pcapng.h"

#include <string.h>

enum {
	BLOCK_SECTION = 0x0a0d0d0a, /* section 4.1 */
	BLOCK_INTERFACE = 1, /* 4.2 */
	BLOCK_PACKET = 6, /* 4.3 */
	BYTE_ORDER_MAGIC = 0x1a2b3c4d,
	LINKTYPE_ETHERNET = 1,

	OPTION_END = 0,
	OPTION_SECTION_PROGRAM = 4,
	OPTION_INTERFACE_NAME = 2,
	OPTION_INTERFACE_RESOLUTION = 9, /* one byte: 10 to the minus so many seconds */
	OPTION_PACKET_FLAGS = 2, /* bits 0-1: 1 inbound, 2 outbound */

	BODY_MAX = 1024, /* bytes of a block without the packet's */
};

/* A block while it is put together. Names are short: what does not fit is cut. */
struct block {
	uint8_t body[BODY_MAX];
	size_t length;
};

static size_t padded(size_t length)
{
	return (length + 3) & ~(size_t)3;
}

static void put(struct block *block, const void *bytes, size_t length)
{
	if (length)
		memcpy(block->body + block->length, bytes, length);
	memset(block->body + block->length + length, 0, padded(length) - length);
	block->length += padded(length);
}

static void put32(struct block *block, uint32_t value)
{
	put(block, &value, sizeof value);
}

static void put_option(struct block *block, uint16_t code, const void *value, size_t length)
{
	const uint16_t head[] = {code, (uint16_t)length};

	put(block, head, sizeof head);
	put(block, value, length);
}

static void put_text(struct block *block, uint16_t code, const char *text)
{
	size_t length = strlen(text);

	put_option(block, code, text, length < BODY_MAX / 2 ? length : BODY_MAX / 2);
}

/* Type, total length, body, what follows it, total length. */
static bool write_block(FILE *to, uint32_t type, const struct block *head, const uint8_t *bytes, size_t n,
	const struct block *options)
{
	static const uint8_t zeros[4];
	uint32_t total = (uint32_t)(12 + head->length + padded(n) + options->length);
	const uint32_t front[] = {type, total};

	return fwrite(front, sizeof front, 1, to) == 1 &&
	       fwrite(head->body, 1, head->length, to) == head->length &&
	       (n == 0 || fwrite(bytes, 1, n, to) == n) &&
	       fwrite(zeros, 1, padded(n) - n, to) == padded(n) - n &&
	       fwrite(options->body, 1, options->length, to) == options->length &&
	       fwrite(&total, sizeof total, 1, to) == 1;
}

bool pcapng_begin(FILE *to, const char *program)
{
	static const uint16_t version[] = {1, 0};
	static const int64_t unknown_length = -1;
	struct block head = {}, options = {};

	put32(&head, BYTE_ORDER_MAGIC);
	put(&head, version, sizeof version);
	put(&head, &unknown_length, sizeof unknown_length);
	put_text(&options, OPTION_SECTION_PROGRAM, program);
	put_option(&options, OPTION_END, NULL, 0);
	return write_block(to, BLOCK_SECTION, &head, NULL, 0, &options);
}

bool pcapng_interface(FILE *to, const char *name, uint32_t snaplen)
{
	static const uint16_t link[] = {LINKTYPE_ETHERNET, 0};
	static const uint8_t nanoseconds = 9;
	struct block head = {}, options = {};

	put(&head, link, sizeof link);
	put32(&head, snaplen);
	put_text(&options, OPTION_INTERFACE_NAME, name);
	put_option(&options, OPTION_INTERFACE_RESOLUTION, &nanoseconds, 1);
	put_option(&options, OPTION_END, NULL, 0);
	return write_block(to, BLOCK_INTERFACE, &head, NULL, 0, &options);
}

bool pcapng_packet(FILE *to, const struct pcapng_packet *packet)
{
	uint32_t flags = packet->outbound ? 2 : 1;
	struct block head = {}, options = {};

	put32(&head, packet->interface);
	put32(&head, (uint32_t)(packet->time_ns >> 32));
	put32(&head, (uint32_t)packet->time_ns);
	put32(&head, packet->captured);
	put32(&head, packet->length);
	put_option(&options, OPTION_PACKET_FLAGS, &flags, sizeof flags);
	put_option(&options, OPTION_END, NULL, 0);
	return write_block(to, BLOCK_PACKET, &head, packet->bytes, packet->captured, &options);
}
