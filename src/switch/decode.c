/* Strict decoding of JSON: see decode.h. */
#include "switch/decode.h"

#include "base/capacity.h"
#include "base/fault.h"

#include <errno.h>
#include <string.h>

void decode_init(struct decode *d, struct snapshot *snapshot, void *data)
{
	*d = (struct decode){.path = g_string_new(NULL), .snapshot = snapshot, .data = data};
}

bool decode_done(struct decode *d, GError **error)
{
	g_string_free(d->path, true);
	if (!d->error)
		return true;
	g_propagate_error(error, g_steal_pointer(&d->error));
	return false;
}

bool decode_fail(struct decode *d, const char *format, ...)
{
	va_list args;

	if (d->error)
		return false;
	va_start(args, format);
	g_autofree char *sentence = g_strdup_vprintf(format, args);
	va_end(args);
	return fault_set(&d->error, FAULT_INVALID, "%s: %s", d->path->len ? d->path->str : "state", sentence);
}

bool decode_fail_at(struct decode *d, const char *name, const char *format, ...)
{
	size_t length = d->path->len;
	va_list args;

	va_start(args, format);
	g_autofree char *sentence = g_strdup_vprintf(format, args);
	va_end(args);
	g_string_append_printf(d->path, "%s%s", length ? "." : "", name);
	decode_fail(d, "%s", sentence);
	g_string_truncate(d->path, length);
	return false;
}

static bool is_known(const struct decode_member *members, const char *name)
{
	for (; members->name; members++)
		if (g_str_equal(members->name, name))
			return true;
	return false;
}

static bool check_known(struct decode *d, json_t *object, const struct decode_member *members)
{
	for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i))
		if (!is_known(members, json_object_iter_key(i)))
			return decode_fail_at(d, json_object_iter_key(i), "is not known here");
	return true;
}

bool decode_at(struct decode *d, const char *name, json_t *value, decode_value decode, void *to)
{
	size_t length = d->path->len;

	g_string_append_printf(d->path, "%s%s", length ? "." : "", name);
	if (!decode(d, value, to))
		return false;
	g_string_truncate(d->path, length);
	return true;
}

bool decode_object(struct decode *d, json_t *value, const struct decode_member *members, void *to)
{
	if (!json_is_object(value))
		return decode_fail(d, "must be an object");
	if (!check_known(d, value, members))
		return false;
	for (const struct decode_member *member = members; member->name; member++) {
		json_t *at = json_object_get(value, member->name);
		if (!at && !member->optional)
			return decode_fail_at(d, member->name, "is missing");
		if (member->optional && (!at || json_is_null(at)))
			continue;
		if (!decode_at(d, member->name, at, member->decode, (char *)to + member->offset))
			return false;
	}
	return true;
}

bool decode_params(json_t *params, const struct decode_member *members, void *to, GError **error)
{
	json_auto_t *none = json_object();
	struct decode d;

	if (params && !json_is_object(params))
		return fault_set(error, FAULT_INVALID, "the parameters must be an object");
	decode_init(&d, NULL, NULL);
	decode_object(&d, params ? params : none, members, to);
	return decode_done(&d, error);
}

void *decode_list(
	struct decode *d, json_t *value, size_t size, unsigned max, decode_value decode, unsigned *ret_n)
{
	size_t n = json_array_size(value), length = d->path->len;

	if (!json_is_array(value)) {
		decode_fail(d, "must be an array");
		return NULL;
	}
	if (n > max) {
		decode_fail(d, "has %zu elements; %u are possible", n, max);
		return NULL;
	}
	char *list = snapshot_alloc(d->snapshot, n, size);
	for (size_t i = 0; i < n; i++) {
		g_string_append_printf(d->path, "[%zu]", i);
		if (!decode(d, json_array_get(value, i), list + i * size))
			return NULL;
		g_string_truncate(d->path, length);
	}
	*ret_n = (unsigned)n;
	return list;
}

bool decode_whole(struct decode *d, json_t *value, int64_t min, int64_t max, int64_t *ret)
{
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < min || number > max)
		return decode_fail(
			d, "must be a whole number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, min, max);
	*ret = number;
	return true;
}

bool decode_word(struct decode *d, json_t *value, void *to)
{
	if (!json_is_string(value))
		return decode_fail(d, "must be a text");
	*(const char **)to = json_string_value(value);
	return true;
}

bool decode_bool(struct decode *d, json_t *value, void *to)
{
	if (!json_is_boolean(value))
		return decode_fail(d, "must be true or false");
	*(bool *)to = json_is_true(value);
	return true;
}

bool decode_text(struct decode *d, json_t *value, void *to)
{
	const char *text = json_string_value(value);

	if (!text || !*text || strlen(text) > TEXT_LENGTH_MAX || strlen(text) != json_string_length(value))
		return decode_fail(d, "must be text of 1 to %d bytes", TEXT_LENGTH_MAX);
	*(char **)to = snapshot_strdup(d->snapshot, text);
	return true;
}

bool decode_ip(struct decode *d, json_t *value, void *to)
{
	if (ip_parse(json_string_value(value), to) < 0)
		return decode_fail(d, "must be an IP address");
	return true;
}

bool decode_ipv4(struct decode *d, json_t *value, void *to)
{
	struct ip_addr addr;

	if (ip_parse(json_string_value(value), &addr) < 0 || addr.family != IP_V4)
		return decode_fail(d, "must be an IPv4 address");
	*(struct ip_addr *)to = addr;
	return true;
}

bool decode_prefix(struct decode *d, json_t *value, void *to)
{
	int r = prefix_parse(json_string_value(value), to);

	if (r == -ERANGE)
		return decode_fail(d, "has bits set past its length; write the first address of the prefix");
	if (r < 0)
		return decode_fail(d, "must be a prefix like \"10.0.0.0/16\"");
	return true;
}

bool decode_prefix_ipv4(struct decode *d, json_t *value, void *to)
{
	struct ip_prefix prefix;

	if (!decode_prefix(d, value, &prefix))
		return false;
	if (prefix.addr.family != IP_V4)
		return decode_fail(d, "must be an IPv4 prefix");
	*(struct ip_prefix *)to = prefix;
	return true;
}

bool decode_mac(struct decode *d, json_t *value, void *to)
{
	static const struct mac_addr zero;
	struct mac_addr mac;

	if (mac_parse(json_string_value(value), &mac) < 0)
		return decode_fail(d, "must be a MAC address");
	if (mac.bytes[0] & 1 || memcmp(&mac, &zero, sizeof mac) == 0)
		return decode_fail(d, "must be a unicast MAC address");
	*(struct mac_addr *)to = mac;
	return true;
}
