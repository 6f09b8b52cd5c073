/* IP addresses, prefixes, port ranges and MAC addresses: plain values, no allocation.
 *
 * An address is 16 bytes in network order; an IPv4 address stands in the first four, the rest are zero, so
 * that values compare with memcmp and copy with '='.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ip_family {
	IP_NONE = 0,
	IP_V4 = 4,
	IP_V6 = 6,
};

struct ip_addr {
	uint8_t family; /* enum ip_family */
	uint8_t bytes[16];
};

/* The bits past `length` are zero. */
struct ip_prefix {
	struct ip_addr addr;
	uint8_t length; /* 0..32 or 0..128 */
};

struct mac_addr {
	uint8_t bytes[6];
};

#define IP_VXLAN_PORT 4789 /* of UDP: RFC 7348 */

#define IP_TEXT_MAX     46 /* longest text of an address, with its NUL */
#define PREFIX_TEXT_MAX 50
#define MAC_TEXT_MAX    18

/* All parsers want the whole text, accept nothing around it, and return 0 or -EINVAL. */

/* "10.0.0.4", "fd00::1" */
int ip_parse(const char *text, struct ip_addr *ret);
/* Writes IP_TEXT_MAX bytes at most and returns text. */
char *ip_format(struct ip_addr addr, char text[static IP_TEXT_MAX]);
/* "10.0.0.0/16"; a bare address is its host prefix. Host bits that are set are an error: -ERANGE. */
int prefix_parse(const char *text, struct ip_prefix *ret);
char *prefix_format(struct ip_prefix prefix, char text[static PREFIX_TEXT_MAX]);
bool prefix_contains(struct ip_prefix prefix, struct ip_addr addr);
bool prefix_overlaps(struct ip_prefix a, struct ip_prefix b);
/* True when all of `inner` lies in `outer`. */
bool prefix_covers(struct ip_prefix outer, struct ip_prefix inner);
/* The n-th address of the prefix, counted from its first; IP_NONE when the prefix has no such address. */
struct ip_addr prefix_nth(struct ip_prefix prefix, uint64_t n);
/* Number of addresses in the prefix, UINT64_MAX when they are more than fit. */
uint64_t prefix_size(struct ip_prefix prefix);
/* What no host of that link can have as its own address, in a word or two ("broadcast"); NULL: any other. Of IPv4 they are
 * the first and the last one, but for prefixes of one or two (RFC 3021); of IPv6 the first one is all its routers' (RFC
 * 4291, section 2.6.1), with the same exception (RFC 6164). */
const char *prefix_reserved(struct ip_prefix prefix, struct ip_addr addr);
bool ip_equal(struct ip_addr a, struct ip_addr b);
/* 169.254.0.0/16, fe80::/10 */
bool ip_is_link_local(struct ip_addr addr);
/* The IPv6 link-local address that is made of the MAC (RFC 4291, appendix A). */
struct ip_addr ip_link_local(struct mac_addr mac);

/* Accepts "00:0d:3a:01:02:03" and "00-0D-3A-01-02-03". */
int mac_parse(const char *text, struct mac_addr *ret);
/* Lower case with colons. */
char *mac_format(struct mac_addr mac, char text[static MAC_TEXT_MAX]);
