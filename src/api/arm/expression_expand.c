/* The language of deployment templates: texts in their places, structures and copy loops. */
#include "api/arm/error.h"
#include "api/arm/expression.h"
#include "api/arm/expression_functions.h"

#include <string.h>

/* ---- places ---- */

static void append_place(GString *text, const struct expression_place *place)
{
	if (place->outer)
		append_place(text, place->outer);
	if (place->key)
		g_string_append_printf(text, "%s%s", place->outer ? "." : "", place->key);
	else
		g_string_append_printf(text, "[%zu]", place->index);
}

char *expression_place_text(const struct expression_place *place)
{
	g_autoptr(GString) text = g_string_new(NULL);

	if (place)
		append_place(text, place);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

/* ---- texts ---- */

/* "column 7", or of an expression over several lines "line 2, column 3". Owned. */
static char *column_text(const char *text, size_t column)
{
	size_t line = 1, begin = 0;

	for (size_t i = 0; i + 1 < column && text[i]; i++)
		if (text[i] == '\n') {
			line++;
			begin = i + 1;
		}
	return strchr(text, '\n') ? g_strdup_printf("line %zu, column %zu", line, column - begin)
				  : g_strdup_printf("column %zu", column);
}

/* A mistake in a text, as clients read it; whatever else failed has its own words. */
static json_t *fail(const char *text, const struct expression_scope *scope, GError *mistake, GError **error)
{
	g_autofree char *place = expression_place_text(scope->place);

	if (mistake->domain != EXPRESSION_MISTAKE) {
		g_propagate_error(error, mistake);
		return NULL;
	}
	g_autofree char *column = column_text(text, (size_t)MAX(mistake->code, 1));
	arm_fault_set(error, ARM_INVALID_TEMPLATE,
		"Unable to evaluate the template language expression '%s'%s%s: %s: %s.", text,
		*place ? " in " : "", place, column, mistake->message);
	g_error_free(mistake);
	return NULL;
}

bool expression_is(const char *text)
{
	size_t length = strlen(text);

	return length >= 2 && text[0] == '[' && text[1] != '[' && text[length - 1] == ']';
}

/* A value goes into what is expanded as often as it is named, so that counts each time. */
static json_t *evaluate(const char *text, struct expression_scope *scope, GError **error)
{
	struct evaluation evaluation = {scope, error};
	_cleanup_(expression_node_free) struct expression_node *node = NULL;

	if (!expression_afford(scope, EXPRESSION_COST + strlen(text), error))
		return NULL;
	if (!expression_is(text))
		return json_string(g_str_has_prefix(text, "[[") ? text + 1 : text);
	node = expression_parse(text, error);
	if (!node)
		return NULL;
	json_auto_t *value = expression_value(&evaluation, node);
	if (!value || !expression_afford_value(scope, value, error))
		return NULL;
	return g_steal_pointer(&value);
}

json_t *expression_evaluate(const char *text, struct expression_scope *scope, GError **error)
{
	GError *mistake = NULL;
	json_auto_t *value = evaluate(text, scope, &mistake);

	if (!value)
		return fail(text, scope, mistake, error);
	return scope->shows && expression_is_unknown(scope, value) ? json_string(text)
								   : g_steal_pointer(&value);
}

json_t *expression_escape(const json_t *json)
{
	const char *text = json_string_value(json), *key;
	json_t *copy, *value;
	size_t i;

	if (text && (expression_is(text) || g_str_has_prefix(text, "[["))) {
		g_autofree char *escaped = g_strconcat("[", text, NULL);
		return json_string(escaped);
	}
	if (!json_is_object(json) && !json_is_array(json))
		return json_incref((json_t *)json);
	copy = json_is_object(json) ? json_object() : json_array();
	json_object_foreach((json_t *)json, key, value)
	{
		json_object_set_new(copy, key, expression_escape(value));
	}
	json_array_foreach((json_t *)json, i, value)
	{
		json_array_append_new(copy, expression_escape(value));
	}
	return copy;
}

/* ---- structures and loops ---- */

static json_t *expand_at(
	const json_t *json, const char *key, size_t index, struct expression_scope *scope, GError **error)
{
	const struct expression_place place = {scope->place, key, index};
	json_t *value;

	scope->place = &place;
	value = expression_expand(json, scope, error);
	scope->place = place.outer;
	return value;
}

static bool fail_loop(const struct expression_scope *scope, const char *what, GError **error)
{
	g_autofree char *place = expression_place_text(scope->place);

	return arm_fault_set(error, ARM_INVALID_TEMPLATE,
		"Deployment template validation failed: the 'copy' loop%s%s %s.", *place ? " in " : "", place,
		what);
}

json_int_t expression_count(const json_t *copy, struct expression_scope *scope, GError **error)
{
	const json_t *count = expression_member(copy, "count");
	json_auto_t *value = count ? expand_at(count, "count", 0, scope, error) : NULL;
	json_int_t n = json_integer_value(value);

	if (count && !value)
		return -1;
	if (json_is_integer(value) && n >= 0 && n <= EXPRESSION_COPY_MAX)
		return n;
	fail_loop(scope, "needs a 'count' from 0 to " G_STRINGIFY(EXPRESSION_COPY_MAX), error);
	return -1;
}

json_t *expression_repeat(
	const json_t *copy, const char *name, struct expression_scope *scope, GError **error)
{
	const json_t *input = expression_member(copy, "input");
	struct expression_loop loop = {.outer = scope->loop, .name = name, .main = !name};
	json_auto_t *array = json_array();
	json_int_t count = expression_count(copy, scope, error);

	if (count < 0)
		return NULL;
	if (!input) {
		fail_loop(scope, "has no 'input'", error);
		return NULL;
	}
	scope->loop = &loop;
	for (; loop.index < count; loop.index++) {
		json_t *item = expand_at(input, "input", 0, scope, error);
		if (!item)
			break;
		json_array_append_new(array, item);
	}
	scope->loop = loop.outer;
	return loop.index == count ? g_steal_pointer(&array) : NULL;
}

/* Loops of properties: {"copy": [{"name", "count", "input"}]}. Anything else of that name is a member like others. */
static bool is_loops(const char *key, const json_t *value)
{
	size_t i;
	json_t *item;

	if (g_ascii_strcasecmp(key, "copy") != 0 || json_array_size(value) == 0)
		return false;
	json_array_foreach((json_t *)value, i, item)
	{
		if (!json_is_string(expression_member(item, "name")) || !expression_member(item, "count"))
			return false;
	}
	return true;
}

static bool expand_loops(json_t *into, const json_t *loops, struct expression_scope *scope, GError **error)
{
	size_t i;
	json_t *item;

	json_array_foreach((json_t *)loops, i, item)
	{
		const char *name = json_string_value(expression_member(item, "name"));
		const struct expression_place copy = {scope->place, "copy", 0}, place = {&copy, NULL, i};
		scope->place = &place;
		json_t *array = expression_repeat(item, name, scope, error);
		scope->place = copy.outer;
		if (!array)
			return false;
		json_object_set_new(into, name, array);
	}
	return true;
}

static json_t *expand_object(const json_t *object, struct expression_scope *scope, GError **error)
{
	json_auto_t *copy = json_object();
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		if (is_loops(key, value)) {
			if (!expand_loops(copy, value, scope, error))
				return NULL;
			continue;
		}
		json_t *expanded = expand_at(value, key, 0, scope, error);
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
		json_t *expanded = expand_at(value, NULL, i, scope, error);
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
