/* Random numbers, addresses and ports, the same from the same seed everywhere. */
#include "policy/policy_gen_priv.h"

#include <string.h>

/* SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). */
uint64_t gen_next(struct gen_random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

unsigned gen_below(struct gen_random *random, unsigned n)
{
	return n ? (unsigned)(gen_next(random) % n) : 0;
}

bool gen_once_in(struct gen_random *random, unsigned n)
{
	return gen_below(random, n) == 0;
}

unsigned gen_bits(uint8_t family)
{
	return family == IP_V4 ? 32 : 128;
}

struct ip_addr gen_after(struct ip_addr addr)
{
	for (unsigned i = gen_bits(addr.family) / 8; i-- > 0;)
		if (++addr.bytes[i])
			break;
	return addr;
}

struct ip_addr gen_before(struct ip_addr addr)
{
	for (unsigned i = gen_bits(addr.family) / 8; i-- > 0;)
		if (addr.bytes[i]--)
			break;
	return addr;
}

struct ip_addr gen_last(struct ip_prefix prefix)
{
	for (unsigned bit = prefix.length; bit < gen_bits(prefix.addr.family); bit++)
		prefix.addr.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return prefix.addr;
}

struct ip_prefix gen_prefix_of(struct ip_addr addr, unsigned length)
{
	for (unsigned bit = length; bit < gen_bits(addr.family); bit++)
		addr.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return (struct ip_prefix){.addr = addr, .length = (uint8_t)length};
}

static struct ip_addr any_address(struct gen_random *random, uint8_t family)
{
	struct ip_addr addr = {.family = family};
	uint64_t halves[2];

	for (unsigned i = 0; i < 2; i++) /* not in an initialiser, whose order is the compiler's */
		halves[i] = GUINT64_TO_BE(gen_next(random));
	memcpy(addr.bytes, halves, gen_bits(family) / 8);
	return addr;
}

struct ip_addr gen_address(struct policy_gen *gen, uint8_t family)
{
	unsigned start = gen_below(&gen->random, gen->addresses->len);

	if (gen_once_in(&gen->random, 6))
		return any_address(&gen->random, family != IP_NONE              ? family
						 : gen_once_in(&gen->random, 2) ? IP_V4
										: IP_V6);
	for (unsigned i = 0; i < gen->addresses->len; i++) {
		struct ip_addr addr =
			g_array_index(gen->addresses, struct ip_addr, (start + i) % gen->addresses->len);
		if (family == IP_NONE || addr.family == family)
			return addr;
	}
	return any_address(&gen->random, family);
}

uint16_t gen_port(struct gen_random *random)
{
	static const uint16_t liked[] = {
		0, 1, 21, 22, 23, 53, 80, 443, 1023, 1024, 8080, 49152, 65534, 65535};

	return gen_once_in(random, 2) ? liked[gen_below(random, G_N_ELEMENTS(liked))]
				      : (uint16_t)gen_next(random);
}
