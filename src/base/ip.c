/* IP addresses, prefixes and MAC addresses. */
#include "base/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned family_bits(uint8_t family)
{
	return family == IP_V4 ? 32 : family == IP_V6 ? 128 : 0;
}

int ip_parse(const char *text, struct ip_addr *ret)
{
	struct ip_addr addr = {};

	if (!text)
		return -EINVAL;
	if (inet_pton(AF_INET, text, addr.bytes) == 1)
		addr.family = IP_V4;
	else if (inet_pton(AF_INET6, text, addr.bytes) == 1)
		addr.family = IP_V6;
	else
		return -EINVAL;
	*ret = addr;
	return 0;
}

char *ip_format(struct ip_addr addr, char text[static IP_TEXT_MAX])
{
	if (addr.family == IP_NONE)
		strcpy(text, "-");
	else
		inet_ntop(addr.family == IP_V4 ? AF_INET : AF_INET6, addr.bytes, text, IP_TEXT_MAX);
	return text;
}

bool ip_equal(struct ip_addr a, struct ip_addr b)
{
	return memcmp(&a, &b, sizeof a) == 0;
}

bool ip_is_link_local(struct ip_addr addr)
{
	if (addr.family == IP_V4)
		return addr.bytes[0] == 169 && addr.bytes[1] == 254;
	return addr.family == IP_V6 && addr.bytes[0] == 0xfe && (addr.bytes[1] & 0xc0) == 0x80;
}

struct ip_addr ip_link_local(struct mac_addr mac)
{
	const uint8_t *m = mac.bytes;

	return (struct ip_addr){
		.family = IP_V6,
		.bytes = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]},
	};
}

/* The address with all bits past `length` cleared. */
static struct ip_addr masked(struct ip_addr addr, unsigned length)
{
	for (unsigned i = 0; i < sizeof addr.bytes; i++) {
		unsigned keep = length > i * 8 ? length - i * 8 : 0;
		if (keep < 8)
			addr.bytes[i] &= (uint8_t)(0xff00 >> keep);
	}
	return addr;
}

int prefix_parse(const char *text, struct ip_prefix *ret)
{
	char copy[PREFIX_TEXT_MAX];
	struct ip_prefix prefix;

	if (!text || strlen(text) >= sizeof copy)
		return -EINVAL;
	strcpy(copy, text);
	char *slash = strchr(copy, '/');
	if (slash)
		*slash++ = '\0';
	if (ip_parse(copy, &prefix.addr) < 0)
		return -EINVAL;
	unsigned long length = family_bits(prefix.addr.family);
	if (slash) {
		char *end;
		length = strtoul(slash, &end, 10);
		if (*slash < '0' || *slash > '9' || *end || length > family_bits(prefix.addr.family))
			return -EINVAL;
	}
	prefix.length = (uint8_t)length;
	if (!ip_equal(prefix.addr, masked(prefix.addr, prefix.length)))
		return -ERANGE;
	*ret = prefix;
	return 0;
}

char *prefix_format(struct ip_prefix prefix, char text[static PREFIX_TEXT_MAX])
{
	char addr[IP_TEXT_MAX];

	snprintf(text, PREFIX_TEXT_MAX, "%s/%u", ip_format(prefix.addr, addr), prefix.length);
	return text;
}

bool prefix_contains(struct ip_prefix prefix, struct ip_addr addr)
{
	return addr.family != IP_NONE && addr.family == prefix.addr.family &&
	       ip_equal(masked(addr, prefix.length), prefix.addr);
}

bool prefix_covers(struct ip_prefix outer, struct ip_prefix inner)
{
	return inner.length >= outer.length && prefix_contains(outer, inner.addr);
}

bool prefix_overlaps(struct ip_prefix a, struct ip_prefix b)
{
	return prefix_covers(a, b) || prefix_covers(b, a);
}

uint64_t prefix_size(struct ip_prefix prefix)
{
	unsigned host_bits = family_bits(prefix.addr.family) - prefix.length;

	return host_bits >= 64 ? UINT64_MAX : UINT64_C(1) << host_bits;
}

struct ip_addr prefix_nth(struct ip_prefix prefix, uint64_t n)
{
	struct ip_addr addr = prefix.addr;
	unsigned host_bits = family_bits(addr.family) - prefix.length;

	if (host_bits < 64 && n >> host_bits)
		return (struct ip_addr){};
	for (unsigned i = family_bits(addr.family) / 8; n; n >>= 8)
		addr.bytes[--i] |= (uint8_t)n;
	return addr;
}

const char *prefix_reserved(struct ip_prefix prefix, struct ip_addr addr)
{
	uint64_t size = prefix_size(prefix);

	if (size <= 2)
		return NULL;
	if (ip_equal(addr, prefix.addr))
		return addr.family == IP_V6 ? "subnet-router anycast" : "network";
	return addr.family == IP_V4 && ip_equal(addr, prefix_nth(prefix, size - 1)) ? "broadcast" : NULL;
}

int mac_parse(const char *text, struct mac_addr *ret)
{
	struct mac_addr mac;

	if (!text || strlen(text) != MAC_TEXT_MAX - 1 || (text[2] != ':' && text[2] != '-'))
		return -EINVAL;
	for (unsigned i = 0; i < 6; i++) {
		char pair[3] = {text[i * 3], text[i * 3 + 1]}, *end;
		if (i < 5 && text[i * 3 + 2] != text[2])
			return -EINVAL;
		if (!strchr("0123456789abcdefABCDEF", pair[0]))
			return -EINVAL;
		mac.bytes[i] = (uint8_t)strtoul(pair, &end, 16);
		if (*end)
			return -EINVAL;
	}
	*ret = mac;
	return 0;
}

char *mac_format(struct mac_addr mac, char text[static MAC_TEXT_MAX])
{
	snprintf(text, MAC_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", mac.bytes[0], mac.bytes[1],
		mac.bytes[2], mac.bytes[3], mac.bytes[4], mac.bytes[5]);
	return text;
}
