/* Fuzz target: relaxed JSON. The bytes are the text. */
#include "fuzz.h"

#include "base/fault.h"
#include "base/relaxed_json.h"

#include <string.h>

/* Arrays and objects are no deeper inside each other. */
static unsigned brackets_in(const char *text, size_t length)
{
	unsigned n = 0;

	for (size_t i = 0; i < length; i++)
		n += text[i] == '[' || text[i] == '{';
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	g_autoptr(GError) error = NULL;
	json_auto_t *json = relaxed_json_parse(text, size, &error);
	json_auto_t *strict = json_loadb(text, size, JSON_DECODE_ANY, NULL);

	if (!json)
		g_assert_error(error, FAULT, FAULT_INVALID);
	else
		g_assert_no_error(error);
	/* What the standard takes is taken, and means the same; but jansson takes a NUL behind a number for the end. */
	if (strict && !memchr(text, 0, size) && brackets_in(text, size) <= RELAXED_JSON_DEPTH_MAX) {
		g_assert_no_error(error);
		g_assert_true(json_equal(json, strict));
	}
	if (!json)
		return 0;
	g_autofree char *said = json_dumps(json, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
	g_assert_nonnull(said);
	json_auto_t *again = relaxed_json_parse(said, strlen(said), &error);
	g_assert_no_error(error);
	g_assert_true(json_equal(json, again));
	return 0;
}
