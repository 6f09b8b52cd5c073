/* Functions of the template language between strings and other things: encodings, JSON, hashes. */
#include "api/arm/expression_functions.h"

#include "base/relaxed_json.h"

#include <stdint.h>
#include <string.h>

/* ---- JSON ---- */

/* As people write it: with single quotes, too. */
static json_t *parse_json(const char *text, GError **error)
{
	g_autoptr(GError) failure = NULL;
	json_t *json = relaxed_json_parse(text, strlen(text), &failure);

	return json ? json : expression_mistake(error, "the string is no JSON: %s", failure->message);
}

static json_t *call_json(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *text = expression_text_argument(arguments, 0, error);

	return text ? parse_json(text, error) : NULL;
}

static json_t *call_string(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const json_t *value = json_array_get(arguments, 0);
	g_autoptr(GString) text = g_string_new(NULL);

	if (expression_append_text(text, value))
		return json_string(text->str);
	g_autofree char *json = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	return json_string(json_is_null(value) ? "" : json);
}

/* ---- base64 and data URIs ---- */

static json_t *call_base64(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *text = expression_text_argument(arguments, 0, error);
	g_autofree char *encoded = text ? g_base64_encode((const guchar *)text, strlen(text)) : NULL;

	return encoded ? json_string(encoded) : NULL;
}

/* NULL with a mistake unless it is the base64 of a text. Owned. */
static char *decode_base64(const char *encoded, GError **error)
{
	gsize length;
	g_autofree guchar *bytes = g_base64_decode(encoded, &length);
	g_autofree char *text = g_strndup((const char *)bytes, length);

	/* GLib skips what is no base64. */
	g_autofree char *again = g_base64_encode(bytes, length);
	if (g_str_equal(again, encoded) && strlen(text) == length && g_utf8_validate(text, -1, NULL))
		return g_steal_pointer(&text);
	expression_mistake(error, "the string is no base64 of a text");
	return NULL;
}

static json_t *call_base64_to_string(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *encoded = expression_text_argument(arguments, 0, error);
	g_autofree char *text = encoded ? decode_base64(encoded, error) : NULL;

	return text ? json_string(text) : NULL;
}

static json_t *call_base64_to_json(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *encoded = expression_text_argument(arguments, 0, error);
	g_autofree char *text = encoded ? decode_base64(encoded, error) : NULL;

	return text ? parse_json(text, error) : NULL;
}

static json_t *call_data_uri(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *text = expression_text_argument(arguments, 0, error);
	g_autofree char *encoded = text ? g_base64_encode((const guchar *)text, strlen(text)) : NULL;
	g_autofree char *uri =
		encoded ? g_strconcat("data:text/plain;charset=utf8;base64,", encoded, NULL) : NULL;

	return uri ? json_string(uri) : NULL;
}

static json_t *call_data_uri_to_string(
	struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *uri = expression_text_argument(arguments, 0, error),
		   *comma = uri ? strchr(uri, ',') : NULL;

	if (!uri)
		return NULL;
	if (g_ascii_strncasecmp(uri, "data:", 5) != 0 || !comma)
		return expression_mistake(error, "the string is no data URI");
	bool base64 = comma - uri >= 7 && g_ascii_strncasecmp(comma - 7, ";base64", 7) == 0;
	g_autofree char *text =
		base64 ? decode_base64(comma + 1, error) : g_uri_unescape_string(comma + 1, NULL);
	if (!text && !base64)
		return expression_mistake(error, "the string is no data URI");
	return text ? json_string(text) : NULL;
}

/* ---- URIs ---- */

/* uri(base, relative): what is behind the base's last '/' is replaced, whether the relative one begins with one or not. */
static json_t *call_uri(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *base = expression_text_argument(arguments, 0, error),
		   *relative = base ? expression_text_argument(arguments, 1, error) : NULL;

	if (!relative)
		return NULL;
	g_autofree char *uri =
		g_uri_resolve_relative(base, relative + (*relative == '/'), G_URI_FLAGS_ENCODED, NULL);
	return uri ? json_string(uri) : expression_mistake(error, "'%s' is no absolute URI", base);
}

static json_t *call_uri_component(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *text = expression_text_argument(arguments, 0, error);
	g_autofree char *escaped = text ? g_uri_escape_string(text, NULL, FALSE) : NULL;

	return escaped ? json_string(escaped) : NULL;
}

static json_t *call_uri_component_to_string(
	struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *escaped = expression_text_argument(arguments, 0, error);
	g_autofree char *text = escaped ? g_uri_unescape_string(escaped, NULL) : NULL;

	if (escaped && (!text || !g_utf8_validate(text, -1, NULL)))
		return expression_mistake(error, "the string is no escaped text");
	return text ? json_string(text) : NULL;
}

/* ---- hashes ---- */

/* The arguments with '-' between; NULL with a mistake. Owned. */
static char *hash_input(const json_t *arguments, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (size_t i = 0; i < json_array_size(arguments); i++) {
		const char *argument = expression_text_argument(arguments, i, error);
		if (!argument)
			return NULL;
		g_string_append_printf(text, "%s%s", i ? "-" : "", argument);
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static uint32_t rotate(uint32_t value, unsigned bits)
{
	return value << bits | value >> (32 - bits);
}

static uint32_t mix(uint32_t k, uint32_t by, unsigned bits, uint32_t then)
{
	return rotate(k * by, bits) * then;
}

static uint32_t avalanche(uint32_t h)
{
	h = (h ^ h >> 16) * 0x85ebca6b;
	h = (h ^ h >> 13) * 0xc2b2ae35;
	return h ^ h >> 16;
}

/* Up to four bytes, the first one lowest. */
static uint32_t word_of(const uint8_t *bytes, size_t n)
{
	uint32_t word = 0;

	for (size_t i = 0; i < MIN(n, 4); i++)
		word |= (uint32_t)bytes[i] << (8 * i);
	return word;
}

/* A sibling of MurmurHash3 with two lanes of 32 bits: what ARM's uniqueString() is made of, so that names that a
 * template derives are those that they are in Azure. */
static uint64_t murmur64(const uint8_t *bytes, size_t length)
{
	static const uint32_t c1 = 0x239b961b, c2 = 0xab0e9789;
	uint32_t h1 = 0, h2 = 0;
	size_t at = 0;

	for (; length - at >= 8; at += 8) {
		h1 = rotate(h1 ^ mix(word_of(bytes + at, 4), c1, 15, c2), 19) + h2;
		h1 = h1 * 5 + 0x561ccd1b;
		h2 = rotate(h2 ^ mix(word_of(bytes + at + 4, 4), c2, 17, c1), 13) + h1;
		h2 = h2 * 5 + 0x0bcaa747;
	}
	h1 ^= mix(word_of(bytes + at, length - at), c1, 15, c2);
	if (length - at > 4)
		h2 ^= mix(word_of(bytes + at + 4, length - at - 4), c2, 17, c1);
	h1 ^= (uint32_t)length;
	h2 ^= (uint32_t)length;
	h1 += h2;
	h2 += h1;
	h1 = avalanche(h1);
	h2 = avalanche(h2);
	h1 += h2;
	h2 += h1;
	return (uint64_t)h2 << 32 | h1;
}

static json_t *call_unique_string(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	g_autofree char *input = hash_input(arguments, error);
	char text[14] = {};

	if (!input)
		return NULL;
	uint64_t hash = murmur64((const uint8_t *)input, strlen(input));
	for (size_t i = 0; i + 1 < sizeof text; i++, hash <<= 5)
		text[i] = "abcdefghijklmnopqrstuvwxyz234567"[hash >> 59];
	return json_string(text);
}

/* A UUID of version 5 (RFC 4122, 4.3) in the name space that ARM has for it. */
static json_t *guid_of(const char *input)
{
	static const uint8_t namespace[] = {0x11, 0xfb, 0x06, 0xfb, 0x71, 0x2d, 0x4d, 0xdd, 0x98, 0xc7, 0xe7,
		0x1b, 0xbd, 0x58, 0x88, 0x30};
	g_autoptr(GChecksum) sha1 = g_checksum_new(G_CHECKSUM_SHA1);
	g_autoptr(GString) text = g_string_new(NULL);
	guint8 digest[20];
	gsize length = sizeof digest;

	g_checksum_update(sha1, namespace, sizeof namespace);
	g_checksum_update(sha1, (const guchar *)input, (gssize)strlen(input));
	g_checksum_get_digest(sha1, digest, &length);
	digest[6] = (digest[6] & 0x0f) | 0x50;
	digest[8] = (digest[8] & 0x3f) | 0x80;
	for (size_t i = 0; i < 16; i++)
		g_string_append_printf(
			text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", digest[i]);
	return json_string(text->str);
}

static json_t *call_guid(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	g_autofree char *input = hash_input(arguments, error);

	return input ? guid_of(input) : NULL;
}

/* The same each time the deployment's template is opened, another one in its next deployment. */
static json_t *call_new_guid(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	if (!scope->seed)
		return expression_mistake(error, "newGuid() can stand in default values of parameters only");
	g_autofree char *input = g_strdup_printf("%s-%u", scope->seed, scope->guids++);
	return guid_of(input);
}

const struct expression_function expression_code_functions[] = {
	{"base64", 1, 1, call_base64},
	{"base64ToJson", 1, 1, call_base64_to_json},
	{"base64ToString", 1, 1, call_base64_to_string},
	{"dataUri", 1, 1, call_data_uri},
	{"dataUriToString", 1, 1, call_data_uri_to_string},
	{"guid", 1, SIZE_MAX, call_guid},
	{"json", 1, 1, call_json},
	{"newGuid", 0, 0, call_new_guid},
	{"string", 1, 1, call_string},
	{"uniqueString", 1, SIZE_MAX, call_unique_string},
	{"uri", 2, 2, call_uri},
	{"uriComponent", 1, 1, call_uri_component},
	{"uriComponentToString", 1, 1, call_uri_component_to_string},
	{},
};
