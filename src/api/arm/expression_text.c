/* Functions of the template language on strings. Positions and lengths are in characters. */
#include "api/arm/expression_functions.h"

#include <stdint.h>
#include <string.h>

#define PAD_MAX 65536 /* characters that padLeft() makes */

/* ---- concat(), which takes arrays too, and format() ---- */

static json_t *concat_arrays(const json_t *arguments, GError **error)
{
	json_auto_t *array = json_array();
	json_t *argument;
	size_t i;

	json_array_foreach((json_t *)arguments, i, argument)
	{
		if (json_array_extend(array, argument) < 0)
			return expression_mistake(error, "concat() takes either strings or arrays");
	}
	return g_steal_pointer(&array);
}

static json_t *call_concat(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	json_t *argument;
	size_t i;

	if (json_is_array(json_array_get(arguments, 0)))
		return concat_arrays(arguments, error);
	json_array_foreach((json_t *)arguments, i, argument)
	{
		if (!expression_append_text(text, argument))
			return expression_mistake(error, "concat() takes either strings or arrays");
	}
	return json_string(text->str);
}

/* 8175133 as "8,175,133". */
static void append_grouped(GString *to, const char *digits)
{
	size_t length = strlen(digits), first = digits[0] == '-';

	for (size_t i = 0; i < length; i++) {
		if (i > first && (length - i) % 3 == 0)
			g_string_append_c(to, ',');
		g_string_append_c(to, digits[i]);
	}
}

/* A whole number by .NET's standard formats D, N, F and X with their precision, or by a row of zeros. */
static bool append_number(GString *to, json_int_t value, const char *format)
{
	char kind = g_ascii_toupper(format[0]);
	size_t zeros = strspn(format, "0");
	guint64 precision = 0;
	g_autofree char *plain = g_strdup_printf("%" JSON_INTEGER_FORMAT, value);

	if (zeros && !format[zeros] && zeros <= 64) {
		g_string_append_printf(to, "%0*" JSON_INTEGER_FORMAT, (int)zeros + (value < 0), value);
		return true;
	}
	if (!format[0]) {
		g_string_append(to, plain);
		return true;
	}
	if (format[1] && !g_ascii_string_to_unsigned(format + 1, 10, 0, 64, &precision, NULL))
		return false;
	switch (kind) {
	case 'D':
		g_string_append_printf(to, "%0*" JSON_INTEGER_FORMAT, (int)precision + (value < 0), value);
		return true;
	case 'X':
		g_string_append_printf(to,
			format[0] == 'x' ? "%0*" G_GINT64_MODIFIER "x" : "%0*" G_GINT64_MODIFIER "X",
			(int)precision, (guint64)value);
		return true;
	case 'N':
	case 'F':
		if (kind == 'N')
			append_grouped(to, plain);
		else
			g_string_append(to, plain);
		precision = format[1] ? precision : 2;
		g_string_append_printf(to, "%s%.*s", precision ? "." : "", (int)precision,
			"0000000000000000000000000000000000000000000000000000000000000000");
		return true;
	default: return false;
	}
}

/* What is behind a placeholder's number: [,WIDTH][:FORMAT]. */
static bool append_formatted(GString *to, const json_t *value, const char *how)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const char *colon = strchr(how, ':');
	g_autofree char *width =
		how[0] == ',' ? g_strndup(how + 1, colon ? (gsize)(colon - how - 1) : strlen(how) - 1) : NULL;
	gint64 wanted = 0;

	if ((width && !g_ascii_string_to_signed(g_strstrip(width), 10, -1000, 1000, &wanted, NULL)) ||
		(how[0] && how[0] != ',' && how != colon))
		return false;
	if (colon && json_is_integer(value)) {
		if (!append_number(text, json_integer_value(value), colon + 1))
			return false;
	} else if (!expression_append_text(text, value)) {
		g_autofree char *json = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		g_string_append(text, json_is_null(value) ? "" : json);
	}
	glong have = g_utf8_strlen(text->str, -1);
	for (; wanted > have; wanted--)
		g_string_append_c(to, ' ');
	g_string_append(to, text->str);
	for (; - wanted > have; wanted++)
		g_string_append_c(to, ' ');
	return true;
}

/* "{1}": the argument behind the text with that number, at `at`, which is on the brace. Moves behind it. */
static bool append_placeholder(GString *to, const char **at, const json_t *arguments, GError **error)
{
	const char *digits = *at + 1, *end = strchr(*at, '}');
	size_t length = strspn(digits, "0123456789");
	g_autofree char *number = g_strndup(digits, length),
			*how = end && end >= digits + length
				       ? g_strndup(digits + length, (gsize)(end - digits - (ptrdiff_t)length))
				       : NULL;
	guint64 index;

	if (!how || json_array_size(arguments) < 2 ||
		!g_ascii_string_to_unsigned(number, 10, 0, json_array_size(arguments) - 2, &index, NULL) ||
		!append_formatted(to, json_array_get(arguments, (size_t)index + 1), how)) {
		expression_mistake(error, "format() has no argument for '%.*s', or cannot write it like that",
			(int)strcspn(*at, "}") + 1, *at);
		return false;
	}
	*at = end + 1;
	return true;
}

static json_t *call_format(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *at = expression_text_argument(arguments, 0, error);
	g_autoptr(GString) text = g_string_new(NULL);

	while (at && *at) {
		if ((at[0] == '{' && at[1] == '{') || (at[0] == '}' && at[1] == '}')) {
			g_string_append_c(text, *at);
			at += 2;
		} else if (*at != '{') {
			g_string_append_c(text, *at++);
		} else {
			size_t before = text->len;
			if (!append_placeholder(text, &at, arguments, error) ||
				!expression_afford(scope, text->len - before, error))
				return NULL;
		}
	}
	return at ? json_string(text->str) : NULL;
}

/* ---- one string ---- */

static json_t *take_text(char *owned)
{
	g_autofree char *text = owned;

	return text ? json_string(text) : NULL;
}

static json_t *call_to_lower(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *text = expression_text_argument(arguments, 0, error);

	return text ? take_text(g_utf8_strdown(text, -1)) : NULL;
}

static json_t *call_to_upper(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *text = expression_text_argument(arguments, 0, error);

	return text ? take_text(g_utf8_strup(text, -1)) : NULL;
}

static json_t *call_trim(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *text = expression_text_argument(arguments, 0, error);

	return text ? take_text(g_strstrip(g_strdup(text))) : NULL;
}

/* padLeft(text or number, length, [character]). */
static json_t *call_pad_left(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *with =
		json_array_size(arguments) > 2 ? expression_text_argument(arguments, 2, error) : " ";
	g_autoptr(GString) text = g_string_new(NULL), padded = g_string_new(NULL);
	json_int_t length;

	if (!with || !expression_integer_argument(arguments, 1, &length, error))
		return NULL;
	if (g_utf8_strlen(with, -1) != 1)
		return expression_mistake(error, "argument 3 must be one character");
	if (length < 0 || length > PAD_MAX)
		return expression_mistake(error, "argument 2 must be from 0 to %d", PAD_MAX);
	if (json_is_boolean(json_array_get(arguments, 0)) ||
		!expression_append_text(text, json_array_get(arguments, 0)))
		return expression_mistake(error, "argument 1 must be a string or a whole number");
	for (glong have = g_utf8_strlen(text->str, -1); have < length; have++)
		g_string_append(padded, with);
	g_string_append(padded, text->str);
	return json_string(padded->str);
}

static json_t *call_substring(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *text = expression_text_argument(arguments, 0, error);
	json_int_t start, length = 0;

	if (!text || !expression_integer_argument(arguments, 1, &start, error))
		return NULL;
	glong have = g_utf8_strlen(text, -1);
	if (json_array_size(arguments) < 3)
		length = have - start;
	else if (!expression_integer_argument(arguments, 2, &length, error))
		return NULL;
	if (start < 0 || start > have || length < 0 || length > have - start)
		return expression_mistake(error,
			"the string has %ld characters, which do not reach from %" JSON_INTEGER_FORMAT
			" over %" JSON_INTEGER_FORMAT,
			have, start, length);
	return take_text(g_utf8_substring(text, (glong)start, (glong)(start + length)));
}

/* ---- finding ---- */

static json_t *starts_or_ends(const json_t *arguments, bool ends, GError **error)
{
	const char *text = expression_text_argument(arguments, 0, error),
		   *part = text ? expression_text_argument(arguments, 1, error) : NULL;

	if (!part)
		return NULL;
	g_autofree char *in = g_utf8_casefold(text, -1), *of = g_utf8_casefold(part, -1);
	return json_boolean(ends ? g_str_has_suffix(in, of) : g_str_has_prefix(in, of));
}

static json_t *call_starts_with(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return starts_or_ends(arguments, false, error);
}

static json_t *call_ends_with(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return starts_or_ends(arguments, true, error);
}

/* Of an array, where an equal item is; of a string, where a part of it is, without case. -1: nowhere. */
static json_t *index_of(const json_t *arguments, bool last, GError **error)
{
	const json_t *in = json_array_get(arguments, 0), *of = json_array_get(arguments, 1);
	json_int_t found = -1;
	json_t *item;
	size_t i;

	if (json_is_array(in)) {
		json_array_foreach((json_t *)in, i, item)
		{
			if (json_equal(item, of) && (last || found < 0))
				found = (json_int_t)i;
		}
		return json_integer(found);
	}
	if (!json_is_string(in) || !json_is_string(of))
		return expression_mistake(error, "two strings, or an array and an item are needed");
	g_autofree char *text = g_utf8_strdown(json_string_value(in), -1),
			*part = g_utf8_strdown(json_string_value(of), -1);
	const char *at = last ? g_strrstr(text, part) : strstr(text, part);
	return json_integer(at ? g_utf8_pointer_to_offset(text, at) : -1);
}

static json_t *call_index_of(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return index_of(arguments, false, error);
}

static json_t *call_last_index_of(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return index_of(arguments, true, error);
}

/* ---- parts ---- */

static json_t *call_replace(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *text = expression_text_argument(arguments, 0, error),
		   *old = text ? expression_text_argument(arguments, 1, error) : NULL,
		   *new = old ? expression_text_argument(arguments, 2, error) : NULL;
	g_autoptr(GString) result = g_string_new(NULL);

	if (!new)
		return NULL;
	if (!*old)
		return expression_mistake(error, "argument 2 must not be empty");
	for (const char *at = strstr(text, old); at; text = at + strlen(old), at = strstr(text, old)) {
		if (!expression_afford(scope, strlen(new), error))
			return NULL;
		g_string_append_len(result, text, at - text);
		g_string_append(result, new);
	}
	g_string_append(result, text);
	return json_string(result->str);
}

/* Length of the delimiter that the text begins with, the longest; 0: with none. */
static size_t delimiter_at(const char *text, const json_t *delimiters)
{
	size_t i, longest = json_is_string(delimiters) && json_string_length(delimiters) &&
					    g_str_has_prefix(text, json_string_value(delimiters))
				    ? json_string_length(delimiters)
				    : 0;
	json_t *item;

	json_array_foreach((json_t *)delimiters, i, item)
	{
		size_t length = json_string_length(item);
		if (length > longest && g_str_has_prefix(text, json_string_value(item)))
			longest = length;
	}
	return longest;
}

/* split(text, delimiter or array of them). */
static json_t *call_split(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *text = expression_text_argument(arguments, 0, error), *from = text;
	const json_t *delimiters = json_array_get(arguments, 1);
	json_auto_t *parts = json_array();

	if (!text)
		return NULL;
	if (!json_is_string(delimiters) && !json_is_array(delimiters))
		return expression_mistake(error, "argument 2 must be a string or an array of strings");
	while (*text) {
		size_t length = delimiter_at(text, delimiters);
		if (!length) {
			text++;
			continue;
		}
		if (!expression_afford(scope, sizeof(json_t) * 4, error))
			return NULL;
		json_array_append_new(parts, json_stringn(from, (size_t)(text - from)));
		text = from = text + length;
	}
	json_array_append_new(parts, json_string(from));
	return g_steal_pointer(&parts);
}

static json_t *call_join(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const json_t *array = json_array_get(arguments, 0);
	const char *delimiter = expression_text_argument(arguments, 1, error);
	g_autoptr(GString) text = g_string_new(NULL);
	json_t *item;
	size_t i;

	if (!delimiter)
		return NULL;
	if (!json_is_array(array))
		return expression_mistake(error, "argument 1 must be an array");
	json_array_foreach((json_t *)array, i, item)
	{
		if (!expression_afford(scope, strlen(delimiter) + json_string_length(item), error))
			return NULL;
		if (i)
			g_string_append(text, delimiter);
		if (!expression_append_text(text, item))
			return expression_mistake(error, "item %zu of the array is no string", i);
	}
	return json_string(text->str);
}

const struct expression_function expression_text_functions[] = {
	{"concat", 1, SIZE_MAX, call_concat},
	{"endsWith", 2, 2, call_ends_with},
	{"format", 1, SIZE_MAX, call_format},
	{"indexOf", 2, 2, call_index_of},
	{"join", 2, 2, call_join},
	{"lastIndexOf", 2, 2, call_last_index_of},
	{"padLeft", 2, 3, call_pad_left},
	{"replace", 3, 3, call_replace},
	{"split", 2, 2, call_split},
	{"startsWith", 2, 2, call_starts_with},
	{"substring", 2, 3, call_substring},
	{"toLower", 1, 1, call_to_lower},
	{"toUpper", 1, 1, call_to_upper},
	{"trim", 1, 1, call_trim},
	{},
};
