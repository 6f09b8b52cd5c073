/* The language of deployment templates: parser and evaluator in one pass. */
#include "api/arm/expression.h"

#include "api/arm/error.h"
#include "api/arm/expression_functions.h"

#include <string.h>

#define DEPTH_MAX 32 /* expressions, and variables, inside each other */

struct parser {
	const char *text; /* the whole expression with its brackets */
	const char *at, *end; /* what is left of its inside */
	struct expression_scope *scope;
	unsigned depth;
	GError **error;
};

static json_t *parse_expression(struct parser *parser);

static json_t *fail_at(struct parser *parser, const char *where, const char *format, ...) G_GNUC_PRINTF(3, 4);
static json_t *fail_at(struct parser *parser, const char *where, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *what = g_strdup_vprintf(format, args);
	va_end(args);
	arm_fault_set(parser->error, ARM_INVALID_TEMPLATE,
		"Unable to evaluate the template language expression '%s': column %td: %s.", parser->text,
		where - parser->text + 1, what);
	return NULL;
}

static char next(struct parser *parser)
{
	while (parser->at < parser->end && g_ascii_isspace(*parser->at))
		parser->at++;
	return parser->at < parser->end ? *parser->at : '\0';
}

static char *parse_name(struct parser *parser)
{
	const char *from = parser->at;

	while (parser->at < parser->end && (g_ascii_isalnum(*parser->at) || *parser->at == '_'))
		parser->at++;
	return g_strndup(from, (gsize)(parser->at - from));
}

/* 'text', in which two quotes stand for one. */
static json_t *parse_text(struct parser *parser)
{
	const char *open = parser->at;
	g_autoptr(GString) text = g_string_new(NULL);

	for (parser->at++; parser->at < parser->end; parser->at++) {
		if (*parser->at != '\'')
			g_string_append_c(text, *parser->at);
		else if (parser->at + 1 < parser->end && parser->at[1] == '\'')
			g_string_append_c(text, *parser->at++);
		else
			break;
	}
	if (parser->at == parser->end)
		return fail_at(parser, open, "this string has no end");
	parser->at++;
	return json_string(text->str);
}

static json_t *parse_integer(struct parser *parser)
{
	const char *from = parser->at;
	gint64 value;

	if (*parser->at == '-')
		parser->at++;
	while (parser->at < parser->end && g_ascii_isdigit(*parser->at))
		parser->at++;
	g_autofree char *text = g_strndup(from, (gsize)(parser->at - from));
	if (!g_ascii_string_to_signed(text, 10, G_MININT64, G_MAXINT64, &value, NULL))
		return fail_at(parser, from, "this is no whole number");
	return json_integer(value);
}

/* The arguments behind an opening bracket, up to the closing one. */
static json_t *parse_arguments(struct parser *parser)
{
	json_auto_t *arguments = json_array();

	parser->at++;
	while (next(parser) != ')') {
		json_t *argument = parse_expression(parser);
		if (!argument)
			return NULL;
		json_array_append_new(arguments, argument);
		if (next(parser) == ',')
			parser->at++;
		else if (next(parser) != ')')
			return fail_at(parser, parser->at, "a ',' or ')' is needed");
	}
	parser->at++;
	return g_steal_pointer(&arguments);
}

/* Counts what a value takes. */
static bool spend(struct parser *parser, const char *where, size_t bytes)
{
	parser->scope->spent += 64 + bytes;
	if (parser->scope->spent > EXPRESSION_SPEND_MAX)
		fail_at(parser, where, "the template grows too big when it is evaluated");
	return parser->scope->spent <= EXPRESSION_SPEND_MAX;
}

static json_t *parse_call(struct parser *parser)
{
	const char *from = parser->at;
	g_autofree char *name = parse_name(parser);
	const struct expression_function *function = expression_function_find(name);
	g_autoptr(GError) failure = NULL;

	if (next(parser) != '(')
		return fail_at(parser, parser->at, "expected '(' after '%s'", name);
	if (!function) {
		g_autofree char *known = expression_function_names();
		return fail_at(parser, from, "the function '%s' is not supported; there are %s", name, known);
	}
	json_auto_t *arguments = parse_arguments(parser);
	if (!arguments)
		return NULL;
	if (json_array_size(arguments) < function->min || json_array_size(arguments) > function->max)
		return fail_at(parser, from, "%s() cannot have %zu arguments", function->name,
			json_array_size(arguments));
	json_auto_t *value = function->call(parser->scope, arguments, &failure);
	if (value)
		return spend(parser, from, json_string_length(value) + 8 * json_array_size(value))
			       ? g_steal_pointer(&value)
			       : NULL;
	/* A mistake inside of a variable has its own place. */
	if (failure->domain != EXPRESSION_MISTAKE) {
		g_propagate_error(parser->error, g_steal_pointer(&failure));
		return NULL;
	}
	return fail_at(parser, from, "%s", failure->message);
}

static json_t *parse_primary(struct parser *parser)
{
	char c = next(parser);

	if (c == '\'')
		return parse_text(parser);
	if (c == '-' || g_ascii_isdigit(c))
		return parse_integer(parser);
	if (g_ascii_isalpha(c) || c == '_')
		return parse_call(parser);
	return c ? fail_at(parser, parser->at, "'%c' is not expected here", c)
		 : fail_at(parser, parser->at, "it ends too early");
}

/* The members that an object has, for a message. */
static char *member_names(const json_t *object)
{
	g_autoptr(GString) names = g_string_new(NULL);
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
		g_string_append_printf(names, "%s%s", names->len ? ", " : "", key);
	return g_string_free(g_steal_pointer(&names), FALSE);
}

/* Members of what is not known yet are not known either. */
static json_t *member_of(struct parser *parser, const char *where, const json_t *object, const char *name)
{
	const json_t *found = expression_member(object, name);

	if (json_is_null(object))
		return json_null();
	if (found)
		return json_incref((json_t *)found);
	if (!json_is_object(object))
		return fail_at(parser, where, "only an object has a property '%s'", name);
	g_autofree char *names = member_names(object);
	return fail_at(parser, where, "the property '%s' does not exist; there are '%s'", name, names);
}

static json_t *parse_member(struct parser *parser, const json_t *object)
{
	const char *from = ++parser->at;

	next(parser);
	g_autofree char *name = parse_name(parser);
	return *name ? member_of(parser, from, object, name)
		     : fail_at(parser, from, "a property's name is needed");
}

static json_t *parse_index(struct parser *parser, const json_t *array)
{
	const char *from = parser->at++;
	json_auto_t *index = parse_expression(parser);

	if (!index)
		return NULL;
	if (next(parser) != ']')
		return fail_at(parser, parser->at, "a ']' is needed");
	parser->at++;
	if (json_is_null(array))
		return json_null();
	if (json_is_string(index))
		return member_of(parser, from, array, json_string_value(index));
	json_int_t i = json_integer_value(index);
	if (!json_is_array(array) || !json_is_integer(index) || i < 0 || (size_t)i >= json_array_size(array))
		return fail_at(parser, from, "there is no such item");
	return json_incref(json_array_get(array, (size_t)i));
}

static json_t *parse_expression(struct parser *parser)
{
	json_t *value;

	if (++parser->depth > DEPTH_MAX)
		return fail_at(parser, parser->at, "too many brackets inside each other");
	value = parse_primary(parser);
	while (value && (next(parser) == '.' || next(parser) == '[')) {
		json_auto_t *object = value;
		value = next(parser) == '.' ? parse_member(parser, object) : parse_index(parser, object);
	}
	parser->depth--;
	return value;
}

bool expression_is(const char *text)
{
	size_t length = strlen(text);

	return length >= 2 && text[0] == '[' && text[1] != '[' && text[length - 1] == ']';
}

json_t *expression_evaluate(const char *text, struct expression_scope *scope, GError **error)
{
	size_t length = strlen(text);
	struct parser parser = {.text = text, .at = text + 1, .scope = scope, .error = error};

	if (!spend(&parser, text, length))
		return NULL;
	if (!expression_is(text))
		return json_string(g_str_has_prefix(text, "[[") ? text + 1 : text);
	parser.end = text + length - 1;
	json_auto_t *value = parse_expression(&parser);
	if (value && next(&parser))
		return fail_at(&parser, parser.at, "the expression should end here");
	return g_steal_pointer(&value);
}

static json_t *expand_object(const json_t *object, struct expression_scope *scope, GError **error)
{
	json_auto_t *copy = json_object();
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		json_t *expanded = expression_expand(value, scope, error);
		if (!expanded)
			return NULL;
		json_object_set_new(copy, key, expanded);
	}
	return g_steal_pointer(&copy);
}

static json_t *expand_array(const json_t *array, struct expression_scope *scope, GError **error)
{
	json_auto_t *copy = json_array();
	json_t *value;
	size_t i;

	json_array_foreach((json_t *)array, i, value)
	{
		json_t *expanded = expression_expand(value, scope, error);
		if (!expanded)
			return NULL;
		json_array_append_new(copy, expanded);
	}
	return g_steal_pointer(&copy);
}

json_t *expression_expand(const json_t *json, struct expression_scope *scope, GError **error)
{
	if (json_is_string(json))
		return expression_evaluate(json_string_value(json), scope, error);
	if (json_is_object(json))
		return expand_object(json, scope, error);
	if (json_is_array(json))
		return expand_array(json, scope, error);
	return json_incref((json_t *)json);
}
