/* Fuzz target: expressions of deployment templates. The bytes are one text. */
#include "fuzz.h"

#include "api/arm/error.h"
#include "api/arm/expression.h"

#include <string.h>

static json_t *unknown;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	unknown = json_object();
	return 0;
}

/* "later" is not there yet, anything else is. */
static json_t *reference(const char *name, void *data, GError **error)
{
	return g_str_equal(name, "later")
		       ? json_incref(unknown)
		       : json_pack("{s:s, s:{s:[s, i]}}", "name", name, "properties", "list", "a", 7);
}

/* There is one loop. */
static json_int_t rounds(const char *symbol, void *data)
{
	return g_str_equal(symbol, "nics") ? 3 : -1;
}

static json_t *evaluate(const char *text, GError **error)
{
	json_auto_t *parameters = json_pack("{s:s, s:i, s:[s, s], s:{s:b}}", "text", "Web", "number", 3,
		"list", "a", "b", "object", "key", 1);
	json_auto_t *variables = json_pack(
		"{s:s, s:s}", "v", "[concat(parameters('text'), '-x')]", "loop", "[variables('loop')]");
	json_auto_t *functions = json_loads(
		"[{\"namespace\": \"my\", \"members\": {\"f\": {\"parameters\": [{\"name\": \"x\"}],"
		" \"output\": {\"value\": \"[parameters('x')]\"}}}}]",
		0, NULL);
	json_auto_t *globals = json_pack("{s:{s:s}}", "resourceGroup", "name", "rg");
	const struct expression_loop loop = {.name = "loop", .index = 2, .main = true};
	struct expression_scope scope = {.subscription = "sub",
		.group = "rg",
		.globals = globals,
		.parameters = parameters,
		.variables = variables,
		.functions = functions,
		.unknown = unknown,
		.reference = reference,
		.rounds = rounds,
		.loop = &loop,
		.seed = "seed",
		.time_us = INT64_C(1700000000000000)};

	return expression_evaluate(text, &scope, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = g_strndup((const char *)data, size);
	struct expression_scope bare = {};
	g_autoptr(GError) error = NULL;

	/* Texts come out of JSON. */
	if (strlen(text) != size || !g_utf8_validate(text, (gssize)size, NULL))
		return 0;
	json_auto_t *value = evaluate(text, &error);
	if (!value) {
		g_assert_error(error, ARM_FAULT, ARM_INVALID_TEMPLATE);
		return 0;
	}
	g_assert_no_error(error);
	if (value == unknown)
		return 0;
	/* The same once more, and a value that is escaped stays what it is. */
	json_auto_t *again = evaluate(text, NULL);
	json_auto_t *escaped = expression_escape(value), *plain = expression_expand(escaped, &bare, &error);
	g_assert_true(json_equal(value, again));
	/* Loops stand for something else by themselves. */
	if (!json_is_object(value) && !json_is_array(value)) {
		g_assert_no_error(error);
		g_assert_true(json_equal(value, plain));
	}
	return 0;
}
