/* Relaxed JSON: what it takes, what it refuses, and where it says the mistake is. */
#include "base/relaxed_json.h"

#include "base/fault.h"

#include <string.h>

static void assert_parses(const char *text, const char *expected)
{
	g_autoptr(GError) error = NULL;
	json_t *json = relaxed_json_parse(text, strlen(text), &error);

	g_assert_no_error(error);
	g_assert_nonnull(json);
	char *canonical =
		json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_SORT_KEYS);
	g_assert_cmpstr(canonical, ==, expected);
	free(canonical);
	json_decref(json);
}

static void assert_refused(const char *text, size_t length, const char *message)
{
	g_autoptr(GError) error = NULL;
	json_t *json = relaxed_json_parse(text, length, &error);

	g_assert_null(json);
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_assert_cmpstr(error->message, ==, message);
}

static void test_standard(void)
{
	assert_parses("{\"a\": [1, -2, 0.5, 1e3, true, false, null], \"b\": {}}",
		"{\"a\":[1,-2,0.5,1000.0,true,false,null],\"b\":{}}");
	assert_parses(" \"text\" ", "\"text\"");
	assert_parses("[]", "[]");
	assert_parses("9223372036854775807", "9223372036854775807");
	assert_parses("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"",
		"\"\\\"\\\\/\\b\\f\\n\\r\\t\\u00E9\\uD83D\\uDE00\"");
}

static void test_relaxed(void)
{
	assert_parses("{a: 1, $b_2: 2}", "{\"$b_2\":2,\"a\":1}");
	assert_parses("{'a': 'it\\'s \"x\"'}", "{\"a\":\"it's \\\"x\\\"\"}");
	assert_parses("[1, 2,]", "[1,2]");
	assert_parses("{\"a\": 1, }", "{\"a\":1}");
	assert_parses("// first\n[1, /* two\nlines */ 2] // last", "[1,2]");
	assert_parses("\"two\nlines\"", "\"two\\nlines\"");
	assert_parses("{\"a\": 1, \"a\": 2}", "{\"a\":2}");
	assert_parses("\xef\xbb\xbf{}", "{}");
}

/* What az posts for `deployment group create`: the user's file behind an unquoted key. */
static void test_spliced_template(void)
{
	assert_parses("{\"properties\": {\"parameters\": {}, \"mode\": \"Incremental\", template:{ // mine\n"
		      "  \"$schema\": \"https://example/deploymentTemplate.json#\", /* none */\n"
		      "  \"resources\": [ {\"name\": \"x\",}, ],\n}}}",
		"{\"properties\":{\"mode\":\"Incremental\",\"parameters\":{},\"template\":{\"$schema\":"
		"\"https://example/deploymentTemplate.json#\",\"resources\":[{\"name\":\"x\"}]}}}");
}

static void test_refusals(void)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"", "line 1, column 1: a value is needed"},
		{"{\"a\" 1}", "line 1, column 6: a ':' is needed behind the key"},
		{"{\n  \"a\": 1\n  \"b\": 2}", "line 3, column 3: a ',' or '}' is needed"},
		{"[1 2]", "line 1, column 4: a ',' or ']' is needed"},
		{"[,]", "line 1, column 2: a value is needed"},
		{"{,}", "line 1, column 2: a key is needed"},
		{"{\"a\":}", "line 1, column 6: a value is needed"},
		{"[1]]", "line 1, column 4: nothing may follow the value"},
		{"[1", "line 1, column 3: a ',' or ']' is needed"},
		{"\n\"open", "line 2, column 1: this string has no end"},
		{"/* open", "line 1, column 1: this comment has no end"},
		{"\"\\q\"", "line 1, column 3: no such escape"},
		{"\"\\u12\"", "line 1, column 6: \\u wants four hexadecimal digits"},
		{"\"\\ud800\"", "line 1, column 4: half of a surrogate pair"},
		{"\"\\udc00\"", "line 1, column 4: half of a surrogate pair"},
		{"\"\\u0000\"", "line 1, column 4: a NUL character is not allowed"},
		{"\"\xff\"", "line 1, column 1: this string is not UTF-8"},
		{"truex", "line 1, column 1: a value is needed"},
		{"01", "line 1, column 1: a value is needed"},
		{"-", "line 1, column 1: a value is needed"},
		{"1.", "line 1, column 3: a digit is needed behind the point"},
		{"1e", "line 1, column 3: a digit is needed in the exponent"},
		{"99999999999999999999", "line 1, column 1: this number is too big"},
		{"1e999", "line 1, column 1: this number is too big"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		assert_refused(cases[i].text, strlen(cases[i].text), cases[i].message);
	assert_refused("\"a\0b\"", 5, "line 1, column 3: a NUL character is not allowed");
	assert_refused("1\0", 2, "line 1, column 2: nothing may follow the value");
}

static void test_depth(void)
{
	g_autofree char *deep = g_strnfill(100000, '[');
	g_autofree char *edge = g_malloc0(2 * RELAXED_JSON_DEPTH_MAX + 1);

	assert_refused(deep, strlen(deep), "line 1, column 101: too many brackets inside each other");
	memset(edge, '[', RELAXED_JSON_DEPTH_MAX);
	memset(edge + RELAXED_JSON_DEPTH_MAX, ']', RELAXED_JSON_DEPTH_MAX);
	assert_parses(edge, edge);
}

/* Every prefix and every single-byte change of a good text ends with a value or an error, in bounds: the copy
 * is exactly as long as the text, so a sanitizer sees any step over its end. */
static void test_mangled(void)
{
	static const char good[] = "{a: [1.5e-3, 'x\\u00e9\\n', /* c */ true, null,], \"b\": {} // d\n}";
	const size_t length = sizeof good - 1;

	for (size_t cut = 0; cut <= length; cut++)
		for (int byte = 0; byte < 256; byte += 3) {
			g_autoptr(GError) error = NULL;
			g_autofree char *text = g_memdup2(good, cut ? cut : 1);
			if (cut)
				text[cut - 1] = (char)byte;
			json_t *json = relaxed_json_parse(text, cut, &error);
			g_assert_true((json != NULL) != (error != NULL));
			json_decref(json);
		}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/relaxed-json/reads what the standard allows", test_standard);
	g_test_add_func(
		"/relaxed-json/reads comments, bare keys, trailing commas and raw line breaks", test_relaxed);
	g_test_add_func(
		"/relaxed-json/reads a template spliced behind an unquoted key", test_spliced_template);
	g_test_add_func("/relaxed-json/names line and column of a mistake", test_refusals);
	g_test_add_func("/relaxed-json/refuses depth that would exhaust the stack", test_depth);
	g_test_add_func("/relaxed-json/survives mangled text", test_mangled);
	return g_test_run();
}
