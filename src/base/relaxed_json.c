/* A recursive descent parser for relaxed JSON. */
#include "base/relaxed_json.h"

#include "base/fault.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct parser {
	const char *start, *at, *end;
	unsigned depth;
	GError **error;
};

static json_t *parse_value(struct parser *parser);

/* Says where; the first failure wins because every caller returns at once. */
static bool fail_at(struct parser *parser, const char *where, const char *what)
{
	size_t line = 1, column = 1;

	for (const char *c = parser->start; c < where; c++) {
		column = *c == '\n' ? 1 : column + 1;
		line += *c == '\n';
	}
	return fault_set(parser->error, FAULT_INVALID, "line %zu, column %zu: %s", line, column, what);
}

static bool fail(struct parser *parser, const char *what)
{
	return fail_at(parser, parser->at, what);
}

/* The next byte; NUL at the end. A NUL byte in the text is no token either, so both end the same way. */
static char peek(const struct parser *parser)
{
	return parser->at < parser->end ? *parser->at : '\0';
}

static bool starts(const struct parser *parser, const char *word)
{
	size_t length = strlen(word);

	return (size_t)(parser->end - parser->at) >= length && memcmp(parser->at, word, length) == 0;
}

static bool skip_block_comment(struct parser *parser)
{
	const char *open = parser->at;

	for (parser->at += 2; parser->at < parser->end; parser->at++)
		if (starts(parser, "*/")) {
			parser->at += 2;
			return true;
		}
	return fail_at(parser, open, "this comment has no end");
}

/* White space and comments. */
static bool skip_space(struct parser *parser)
{
	while (parser->at < parser->end) {
		if (strchr(" \t\r\n", *parser->at) && *parser->at)
			parser->at++;
		else if (starts(parser,
				 "\xef\xbb\xbf")) /* byte order mark, of files that Windows editors wrote */
			parser->at += 3;
		else if (starts(parser, "//"))
			while (parser->at < parser->end && *parser->at != '\n')
				parser->at++;
		else if (!starts(parser, "/*"))
			break;
		else if (!skip_block_comment(parser))
			return false;
	}
	return true;
}

/* The four hex digits of \uXXXX, at the cursor. */
static bool parse_hex(struct parser *parser, gunichar *ret)
{
	*ret = 0;
	for (int i = 0; i < 4; i++, parser->at++) {
		int digit = parser->at < parser->end ? g_ascii_xdigit_value(*parser->at) : -1;
		if (digit < 0)
			return fail(parser, "\\u wants four hexadecimal digits");
		*ret = *ret << 4 | (gunichar)digit;
	}
	return true;
}

static bool parse_unicode(struct parser *parser, GString *text)
{
	const char *from = parser->at;
	gunichar code, low;

	if (!parse_hex(parser, &code))
		return false;
	if (code >= 0xd800 && code < 0xdc00) {
		if (!starts(parser, "\\u"))
			return fail_at(parser, from, "half of a surrogate pair");
		parser->at += 2;
		if (!parse_hex(parser, &low))
			return false;
		if (low < 0xdc00 || low > 0xdfff)
			return fail_at(parser, from, "half of a surrogate pair");
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	} else if (code >= 0xdc00 && code < 0xe000) {
		return fail_at(parser, from, "half of a surrogate pair");
	}
	if (code == 0)
		return fail_at(parser, from, "a NUL character is not allowed");
	g_string_append_unichar(text, code);
	return true;
}

/* Behind the backslash. */
static bool parse_escape(struct parser *parser, GString *text)
{
	static const char names[] = "\"'\\/bfnrt", values[] = "\"'\\/\b\f\n\r\t";
	char name = peek(parser);
	const char *known = name ? strchr(names, name) : NULL;

	if (name == 'u') {
		parser->at++;
		return parse_unicode(parser, text);
	}
	if (!known)
		return fail(parser, "no such escape");
	parser->at++;
	g_string_append_c(text, values[known - names]);
	return true;
}

/* A string at the cursor, which is on its opening quote. */
static char *parse_quoted(struct parser *parser)
{
	const char *open = parser->at;
	g_autoptr(GString) text = g_string_new(NULL);

	for (parser->at++; parser->at < parser->end && *parser->at != *open;) {
		char c = *parser->at++;
		if (c == '\0') {
			fail_at(parser, parser->at - 1, "a NUL character is not allowed");
			return NULL;
		}
		if (c != '\\')
			g_string_append_c(text, c);
		else if (!parse_escape(parser, text))
			return NULL;
	}
	if (parser->at == parser->end) {
		fail_at(parser, open, "this string has no end");
		return NULL;
	}
	parser->at++;
	if (!g_utf8_validate(text->str, (gssize)text->len, NULL)) {
		fail_at(parser, open, "this string is not UTF-8");
		return NULL;
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static char *parse_key(struct parser *parser)
{
	const char *from = parser->at;

	if (peek(parser) == '"' || peek(parser) == '\'')
		return parse_quoted(parser);
	while (g_ascii_isalnum(peek(parser)) || peek(parser) == '_' || peek(parser) == '$')
		parser->at++;
	if (parser->at > from)
		return g_strndup(from, (gsize)(parser->at - from));
	fail(parser, "a key is needed");
	return NULL;
}

/* Behind a member: true with *ret_more when another may follow. */
static bool parse_separator(struct parser *parser, char close, bool *ret_more)
{
	if (!skip_space(parser))
		return false;
	*ret_more = peek(parser) == ',';
	if (*ret_more)
		parser->at++;
	else if (peek(parser) != close)
		return fail(parser, close == '}' ? "a ',' or '}' is needed" : "a ',' or ']' is needed");
	return skip_space(parser);
}

static bool parse_member(struct parser *parser, json_t *object)
{
	g_autofree char *key = parse_key(parser);

	if (!key || !skip_space(parser))
		return false;
	if (peek(parser) != ':')
		return fail(parser, "a ':' is needed behind the key");
	parser->at++;
	json_t *value = parse_value(parser);
	if (!value)
		return false;
	if (json_object_set_new(object, key, value) < 0)
		return fail(parser, "this key is not UTF-8");
	return true;
}

static bool parse_item(struct parser *parser, json_t *array)
{
	json_t *value = parse_value(parser);

	return value && json_array_append_new(array, value) == 0;
}

/* The members of an object or array up to its closing bracket; the cursor is behind the opening one. */
static bool parse_members(struct parser *parser, json_t *into, char close)
{
	bool more = true;

	if (!skip_space(parser))
		return false;
	while (more && peek(parser) != close) {
		if (!(close == '}' ? parse_member(parser, into) : parse_item(parser, into)))
			return false;
		if (!parse_separator(parser, close, &more))
			return false;
	}
	parser->at++;
	return true;
}

static json_t *parse_container(struct parser *parser)
{
	bool object = *parser->at == '{';
	json_t *json = object ? json_object() : json_array();

	if (++parser->depth > RELAXED_JSON_DEPTH_MAX) {
		fail(parser, "too many brackets inside each other");
		json_decref(json);
		return NULL;
	}
	parser->at++;
	if (!parse_members(parser, json, object ? '}' : ']')) {
		json_decref(json);
		return NULL;
	}
	parser->depth--;
	return json;
}

static size_t skip_digits(struct parser *parser)
{
	const char *from = parser->at;

	while (g_ascii_isdigit(peek(parser)))
		parser->at++;
	return (size_t)(parser->at - from);
}

/* Moves over a number of the standard's grammar; *ret_real when it has a fraction or an exponent. */
static bool scan_number(struct parser *parser, bool *ret_real)
{
	const char *from = parser->at;

	*ret_real = false;
	if (peek(parser) == '-')
		parser->at++;
	bool zero = peek(parser) == '0';
	size_t digits = skip_digits(parser);
	if (digits == 0 || (zero && digits > 1))
		return fail_at(parser, from, "a value is needed");
	if (peek(parser) == '.') {
		*ret_real = true;
		parser->at++;
		if (skip_digits(parser) == 0)
			return fail(parser, "a digit is needed behind the point");
	}
	if (peek(parser) == 'e' || peek(parser) == 'E') {
		*ret_real = true;
		parser->at++;
		if (peek(parser) == '+' || peek(parser) == '-')
			parser->at++;
		if (skip_digits(parser) == 0)
			return fail(parser, "a digit is needed in the exponent");
	}
	return true;
}

static json_t *parse_number(struct parser *parser)
{
	const char *from = parser->at;
	bool real;

	if (!scan_number(parser, &real))
		return NULL;
	g_autofree char *text = g_strndup(from, (gsize)(parser->at - from));
	errno = 0;
	json_t *json =
		real ? json_real(g_ascii_strtod(text, NULL)) : json_integer(g_ascii_strtoll(text, NULL, 10));
	if ((!real && errno == ERANGE) || !json) { /* jansson makes no real of an infinity */
		fail_at(parser, from, "this number is too big");
		json_decref(json);
		return NULL;
	}
	return json;
}

static json_t *parse_word(struct parser *parser)
{
	static const struct {
		const char *word;
		enum { WORD_TRUE, WORD_FALSE, WORD_NULL } value;
	} words[] = {{"true", WORD_TRUE}, {"false", WORD_FALSE}, {"null", WORD_NULL}};

	const char *from = parser->at;

	while (g_ascii_isalnum(peek(parser)))
		parser->at++;
	g_autofree char *word = g_strndup(from, (gsize)(parser->at - from));
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		if (g_str_equal(word, words[i].word))
			return words[i].value == WORD_NULL ? json_null()
							   : json_boolean(words[i].value == WORD_TRUE);
	fail_at(parser, from, "a value is needed");
	return NULL;
}

static json_t *parse_string(struct parser *parser)
{
	g_autofree char *text = parse_quoted(parser);

	return text ? json_string(text) : NULL;
}

static json_t *parse_value(struct parser *parser)
{
	if (!skip_space(parser))
		return NULL;
	switch (peek(parser)) {
	case '{':
	case '[': return parse_container(parser);
	case '"':
	case '\'': return parse_string(parser);
	case '-': return parse_number(parser);
	default: return g_ascii_isdigit(peek(parser)) ? parse_number(parser) : parse_word(parser);
	}
}

json_t *relaxed_json_parse(const char *text, size_t length, GError **error)
{
	struct parser parser = {.start = text, .at = text, .end = text + length, .error = error};
	json_t *json = parse_value(&parser);

	if (!json)
		return NULL;
	if (!skip_space(&parser) ||
		(parser.at < parser.end && !fail(&parser, "nothing may follow the value"))) {
		json_decref(json);
		return NULL;
	}
	return json;
}
