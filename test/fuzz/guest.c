/* Fuzz target: what a guest is answered by its host. The bytes are an HTTP answer; its body, a policy document. */
#include "fuzz.h"

#include "base/fault.h"
#include "guest/enforce_http.h"
#include "guest/enforce_rules.h"

#include <string.h>

/* Braces close, and quotes hold nothing but the interface's name: no text of the document got out of its place. */
static void check_text(const char *text)
{
	int depth = 0;

	for (const char *c = text; *c; c++) {
		depth += *c == '{';
		depth -= *c == '}';
		g_assert_cmpint(depth, >=, 0);
		g_assert_true(
			*c != '"' || g_str_has_prefix(c, "\"eth0\"") || g_str_has_prefix(c - 5, "\"eth0\""));
		g_assert_true(g_ascii_isprint(*c) || *c == '\n');
	}
	g_assert_cmpint(depth, ==, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(http_answer_clear) struct http_answer answer = {};
	g_autoptr(GError) error = NULL;

	if (!http_parse((const char *)data, size, &answer, &error)) {
		g_assert_error(error, FAULT, FAULT_UNAVAILABLE);
		return 0;
	}
	g_assert_cmpuint(answer.length, <=, size);
	json_t *policy = json_loadb(answer.body, answer.length, 0, NULL);
	const struct enforce_nic nic = {.interface = "eth0", .policy = policy};
	g_autofree char *text = policy ? enforce_rules_text(&nic, 1, 1, &error) : NULL;
	if (text)
		check_text(text);
	else if (policy)
		g_assert_error(error, FAULT, FAULT_INVALID);
	if (policy)
		json_decref(policy);
	return 0;
}
