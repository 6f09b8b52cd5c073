/* Functions of the template language about IP prefixes: parseCidr, cidrSubnet, cidrHost. */
#include "api/arm/expression_functions.h"
#include "base/ip.h"

#include <errno.h>
#include <string.h>

static unsigned width_of(struct ip_prefix prefix)
{
	return prefix.addr.family == IP_V4 ? 32 : 128;
}

static bool prefix_argument(const json_t *arguments, struct ip_prefix *ret, GError **error)
{
	const char *text = expression_text_argument(arguments, 0, error);
	int status = !text ? 0 : strchr(text, '/') ? prefix_parse(text, ret) : -EINVAL;

	if (status == -ERANGE)
		expression_mistake(error, "'%s' is an address in a network, and no network", text);
	else if (status < 0)
		expression_mistake(error, "'%s' is no prefix such as 10.0.0.0/16", text);
	return text && status == 0;
}

/* A whole number from `least` to `most`. */
static bool limited_argument(const json_t *arguments, size_t index, uint64_t least, uint64_t most,
	const char *what, uint64_t *ret, GError **error)
{
	json_int_t number;

	if (!expression_integer_argument(arguments, index, &number, error))
		return false;
	*ret = (uint64_t)number;
	if (number >= 0 && *ret >= least && *ret <= most)
		return true;
	expression_mistake(error,
		"there is no %s %" JSON_INTEGER_FORMAT " in it; the last one is %" G_GUINT64_FORMAT, what,
		number, most);
	return false;
}

/* Sets the bits from `from` to the end to `bit`. */
static struct ip_addr fill_bits(struct ip_addr addr, unsigned from, unsigned width, bool bit)
{
	for (unsigned i = from; i < width; i++) {
		uint8_t mask = (uint8_t)(0x80 >> i % 8);
		addr.bytes[i / 8] = (uint8_t)(bit ? addr.bytes[i / 8] | mask : addr.bytes[i / 8] & ~mask);
	}
	return addr;
}

static json_t *text_of(struct ip_addr addr)
{
	char text[IP_TEXT_MAX];

	return json_string(ip_format(addr, text));
}

/* Of IPv4 the first and the last address are no hosts', but for prefixes of one or two. */
static json_t *call_parse_cidr(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	struct ip_prefix prefix;

	if (!prefix_argument(arguments, &prefix, error))
		return NULL;
	unsigned width = width_of(prefix);
	struct ip_addr mask = fill_bits(prefix.addr, 0, prefix.length, true),
		       last = fill_bits(prefix.addr, prefix.length, width, true);
	bool reserves = width == 32 && prefix.length < 31;
	json_t *json = json_pack("{s:o, s:o}", "network", text_of(prefix.addr), "netmask",
		text_of(fill_bits(mask, prefix.length, width, false)));
	if (width == 32)
		json_object_set_new(json, "broadcast", text_of(last));
	json_object_set_new(json, "firstUsable", text_of(reserves ? prefix_nth(prefix, 1) : prefix.addr));
	json_object_set_new(
		json, "lastUsable", text_of(reserves ? prefix_nth(prefix, prefix_size(prefix) - 2) : last));
	json_object_set_new(json, "cidr", json_integer(prefix.length));
	return json;
}

/* Adds a number to the bits before `end`. The sum fits. */
static void add_before(struct ip_addr *addr, unsigned end, uint64_t number)
{
	unsigned carry = 0;

	for (unsigned i = end; i-- > 0 && (number || carry);) {
		uint8_t mask = (uint8_t)(0x80 >> i % 8);
		unsigned sum = ((addr->bytes[i / 8] & mask) ? 1U : 0U) + (unsigned)(number & 1) + carry;
		addr->bytes[i / 8] =
			(uint8_t)(sum & 1 ? addr->bytes[i / 8] | mask : addr->bytes[i / 8] & ~mask);
		carry = sum >> 1;
		number >>= 1;
	}
}

/* cidrSubnet(network, length, index): one of those that it has, counted from 0. */
static json_t *call_cidr_subnet(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	char text[PREFIX_TEXT_MAX];
	struct ip_prefix prefix;
	uint64_t length, index;

	if (!prefix_argument(arguments, &prefix, error) ||
		!limited_argument(
			arguments, 1, prefix.length, width_of(prefix), "prefix length", &length, error))
		return NULL;
	unsigned bits = (unsigned)length - prefix.length;
	uint64_t last = bits < 63 ? (UINT64_C(1) << bits) - 1 : INT64_MAX;
	if (!limited_argument(arguments, 2, 0, last, "subnet", &index, error))
		return NULL;
	prefix.length = (uint8_t)length;
	add_before(&prefix.addr, (unsigned)length, index);
	return json_string(prefix_format(prefix, text));
}

/* cidrHost(network, index): an address, counted from 0, which stands for the first one that a host can have. */
static json_t *call_cidr_host(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	struct ip_prefix prefix;
	uint64_t index;

	if (!prefix_argument(arguments, &prefix, error))
		return NULL;
	uint64_t size = prefix_size(prefix), skipped = size > 2 ? 1 : 0,
		 last = size > 2 && width_of(prefix) == 32 ? size - 3 : size - 1 - skipped;
	if (!limited_argument(arguments, 1, 0, MIN(last, INT64_MAX), "host", &index, error))
		return NULL;
	return text_of(prefix_nth(prefix, index + skipped));
}

const struct expression_function expression_cidr_functions[] = {
	{"cidrHost", 2, 2, call_cidr_host},
	{"cidrSubnet", 3, 3, call_cidr_subnet},
	{"parseCidr", 1, 1, call_parse_cidr},
	{},
};
