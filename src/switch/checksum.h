/* The Internet checksum: whole, and by difference.
 *
 * A flow's rewrite always replaces the same old words by the same new ones, so its effect on a checksum is
 * one number, worked out when the flow is made: a fix-up is an addition and a fold. Sums are taken over
 * 16-bit words as they lie in memory; one's complement addition does not mind the byte order (RFC 1071,
 * section 2).
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Adds the words at `data`; an odd last byte counts as if a zero followed. Only the last part may be odd. */
static inline uint64_t checksum_add(uint64_t sum, const void *data, size_t length)
{
	const uint8_t *at = data;
	uint16_t word;

	for (; length >= sizeof word; at += sizeof word, length -= sizeof word) {
		memcpy(&word, at, sizeof word);
		sum += word;
	}
	if (length) {
		word = 0;
		memcpy(&word, at, 1);
		sum += word;
	}
	return sum;
}

static inline uint16_t checksum_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Checksum of a whole header or message whose checksum field is zero; ready to be stored by memcpy. */
static inline uint16_t checksum_of(const void *data, size_t length)
{
	return (uint16_t)~checksum_fold(checksum_add(0, data, length));
}

/* Sets the checksum of a whole header or message, `field` bytes into it. */
static inline void checksum_set(uint8_t *data, size_t length, size_t field)
{
	memset(data + field, 0, 2);
	uint16_t check = checksum_of(data, length);
	memcpy(data + field, &check, sizeof check);
}

/* The sum of what IPv6's transports cover beside themselves (RFC 8200, section 8.1). addresses: both, as they
 * lie in the header. */
static inline uint64_t checksum_pseudo6(const uint8_t addresses[32], uint8_t protocol, uint32_t length)
{
	const uint8_t rest[8] = {(uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8),
		(uint8_t)length, 0, 0, 0, protocol};

	return checksum_add(checksum_add(0, addresses, 32), rest, sizeof rest);
}

/* The same of IPv4's (RFC 793, section 3.1). */
static inline uint64_t checksum_pseudo4(const uint8_t addresses[8], uint8_t protocol, uint16_t length)
{
	const uint8_t rest[4] = {0, protocol, (uint8_t)(length >> 8), (uint8_t)length};

	return checksum_add(checksum_add(0, addresses, 8), rest, sizeof rest);
}

/* What replacing `before` by `after` adds to a sum (RFC 1624, equation 3). length is even. */
static inline uint64_t checksum_difference(uint64_t sum, const void *before, const void *after, size_t length)
{
	uint16_t was, is;

	for (size_t i = 0; i + sizeof was <= length; i += sizeof was) {
		memcpy(&was, (const uint8_t *)before + i, sizeof was);
		memcpy(&is, (const uint8_t *)after + i, sizeof is);
		sum += (uint16_t)~was;
		sum += is;
	}
	return sum;
}

/* Applies a folded difference to the checksum at `field`. */
static inline void checksum_fix(void *field, uint16_t difference)
{
	uint16_t check;

	memcpy(&check, field, sizeof check);
	check = (uint16_t)~checksum_fold((uint64_t)(uint16_t)~check + difference);
	memcpy(field, &check, sizeof check);
}

/* The same for UDP over IPv4, where zero says that there is no checksum (RFC 768). */
static inline void checksum_fix_udp(void *field, uint16_t difference)
{
	uint16_t check;

	memcpy(&check, field, sizeof check);
	if (check == 0)
		return;
	check = (uint16_t)~checksum_fold((uint64_t)(uint16_t)~check + difference);
	if (check == 0)
		check = 0xffff;
	memcpy(field, &check, sizeof check);
}
