/* The language of deployment templates: the evaluator. */
#include "api/arm/expression.h"

#include "api/arm/expression_functions.h"

#include <string.h>

#define VALUE_DEPTH_MAX 128

/* ---- mistakes ---- */

json_t *expression_mistake(GError **error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (error)
		*error = g_error_new_valist(EXPRESSION_MISTAKE, 0, format, args);
	va_end(args);
	return NULL;
}

json_t *expression_mistake_at(
	struct evaluation *evaluation, const struct expression_node *node, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (evaluation->error)
		*evaluation->error = g_error_new_valist(EXPRESSION_MISTAKE, (int)node->column, format, args);
	va_end(args);
	return NULL;
}

/* ---- what it may cost ---- */

bool expression_afford(struct expression_scope *scope, size_t bytes, GError **error)
{
	if (bytes <= EXPRESSION_SPEND_MAX - MIN(scope->spent, EXPRESSION_SPEND_MAX)) {
		scope->spent += bytes;
		return true;
	}
	scope->spent = EXPRESSION_SPEND_MAX;
	expression_mistake(error, "the template grows too big when it is evaluated");
	return false;
}

/* Counts a value with all that is in it. */
static bool afford_inside(struct expression_scope *scope, const json_t *value, unsigned depth, GError **error)
{
	const char *key;
	json_t *item;
	size_t i;

	if (depth > VALUE_DEPTH_MAX) {
		expression_mistake(error, "arrays and objects are too deep inside each other");
		return false;
	}
	if (!expression_afford(scope, EXPRESSION_COST + json_string_length(value), error))
		return false;
	json_array_foreach((json_t *)value, i, item)
	{
		if (!afford_inside(scope, item, depth + 1, error))
			return false;
	}
	json_object_foreach((json_t *)value, key, item)
	{
		if (!expression_afford(scope, strlen(key), error) ||
			!afford_inside(scope, item, depth + 1, error))
			return false;
	}
	return true;
}

bool expression_afford_value(struct expression_scope *scope, const json_t *value, GError **error)
{
	return value == scope->unknown || afford_inside(scope, value, 0, error);
}

/* ---- what is not known yet ---- */

bool expression_is_unknown(const struct expression_scope *scope, const json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;

	if (!scope->unknown || value == scope->unknown)
		return scope->unknown != NULL;
	json_array_foreach((json_t *)value, i, item)
	{
		if (expression_is_unknown(scope, item))
			return true;
	}
	json_object_foreach((json_t *)value, key, item)
	{
		if (expression_is_unknown(scope, item))
			return true;
	}
	return false;
}

/* ---- members and items ---- */

const json_t *expression_member(const json_t *object, const char *name)
{
	const json_t *exact = json_object_get(object, name);
	const char *key;
	json_t *value;

	if (exact)
		return exact;
	json_object_foreach((json_t *)object, key, value)
	{
		if (g_ascii_strcasecmp(key, name) == 0)
			return value;
	}
	return NULL;
}

/* The members that an object has, for a message. */
static char *member_names(const json_t *object)
{
	g_autoptr(GString) names = g_string_new(NULL);
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		g_string_append_printf(names, "%s%s", names->len ? ", " : "", key);
	}
	return g_string_free(g_steal_pointer(&names), FALSE);
}

static json_t *member_of(struct evaluation *evaluation, const struct expression_node *node,
	const json_t *object, const char *name)
{
	const json_t *found = expression_member(object, name);

	if (found)
		return json_incref((json_t *)found);
	if (!json_is_object(object))
		return expression_mistake_at(evaluation, node, "only an object has a property '%s'", name);
	g_autofree char *names = member_names(object);
	return expression_mistake_at(
		evaluation, node, "the property '%s' does not exist; there are '%s'", name, names);
}

static json_t *value_of_member(struct evaluation *evaluation, const struct expression_node *node)
{
	json_auto_t *object = expression_value(evaluation, node->children->pdata[0]);

	if (!object || object == evaluation->scope->unknown)
		return g_steal_pointer(&object);
	return member_of(evaluation, node, object, node->name);
}

static json_t *value_of_index(struct evaluation *evaluation, const struct expression_node *node)
{
	json_auto_t *array = expression_value(evaluation, node->children->pdata[0]);
	json_auto_t *index = array ? expression_value(evaluation, node->children->pdata[1]) : NULL;
	json_t *unknown = evaluation->scope->unknown;

	if (!index)
		return NULL;
	if (unknown && (array == unknown || index == unknown))
		return json_incref(unknown);
	if (json_is_string(index))
		return member_of(evaluation, node, array, json_string_value(index));
	json_int_t i = json_integer_value(index);
	if (!json_is_array(array) || !json_is_integer(index) || i < 0 || (size_t)i >= json_array_size(array))
		return expression_mistake_at(evaluation, node, "there is no such item");
	return json_incref(json_array_get(array, (size_t)i));
}

/* ---- calls ---- */

static json_t *value_of_arguments(struct evaluation *evaluation, const struct expression_node *node)
{
	json_auto_t *arguments = json_array();

	for (guint i = 0; i < node->children->len; i++) {
		json_t *argument = expression_value(evaluation, node->children->pdata[i]);
		if (!argument)
			return NULL;
		json_array_append_new(arguments, argument);
	}
	return g_steal_pointer(&arguments);
}

/* The template's own function "namespace.name"; NULL when it has none of the name. Borrowed. */
static const json_t *find_own(const struct expression_scope *scope, const char *name)
{
	const char *point = strchr(name, '.');
	g_autofree char *namespace = point ? g_strndup(name, (gsize)(point - name)) : NULL;
	json_t *item;
	size_t i;

	json_array_foreach(scope->functions, i, item)
	{
		const char *its = json_string_value(expression_member(item, "namespace"));
		if (namespace && its && g_ascii_strcasecmp(its, namespace) == 0)
			return expression_member(expression_member(item, "members"), point + 1);
	}
	return NULL;
}

/* Its arguments by their names. New reference. */
static json_t *name_arguments(const json_t *function, const json_t *arguments, GError **error)
{
	const json_t *names = expression_member(function, "parameters");
	json_auto_t *named = json_object();
	size_t i;
	json_t *item;

	if (json_array_size(names) != json_array_size(arguments))
		return expression_mistake(error,
			"the function has %zu parameters, and %zu arguments are given",
			json_array_size(names), json_array_size(arguments));
	json_array_foreach((json_t *)names, i, item)
	{
		const char *name = json_string_value(expression_member(item, "name"));
		if (!name)
			return expression_mistake(error, "parameter %zu of the function has no name", i + 1);
		json_object_set(named, name, json_array_get(arguments, i));
	}
	return g_steal_pointer(&named);
}

/* A function of the template's own sees its parameters and nothing else. */
static json_t *call_own(struct expression_scope *scope, const char *name, const json_t *function,
	const json_t *arguments, GError **error)
{
	const struct expression_place functions = {.key = "functions"}, place = {&functions, name, 0};
	const json_t *value = expression_member(expression_member(function, "output"), "value");
	json_auto_t *named = name_arguments(function, arguments, error);
	json_t *result;

	if (!named)
		return NULL;
	if (!value)
		return expression_mistake(error, "the function '%s' has no output", name);
	struct expression_scope inner = *scope;
	inner.parameters = named;
	inner.parameter = NULL;
	inner.variables = inner.evaluated = inner.functions = NULL;
	inner.reference = NULL;
	inner.loop = NULL;
	inner.lambda = NULL;
	inner.seed = NULL;
	inner.place = &place;
	result = expression_expand(value, &inner, error);
	scope->spent = inner.spent;
	return result;
}

static json_t *call_eagerly(struct evaluation *evaluation, const struct expression_node *node,
	const struct expression_function *function, const json_t *own)
{
	struct expression_scope *scope = evaluation->scope;
	json_auto_t *arguments = value_of_arguments(evaluation, node);
	GError *failure = NULL;
	json_auto_t *value = NULL;

	if (!arguments)
		return NULL;
	if (expression_is_unknown(scope, arguments))
		return json_incref(scope->unknown);
	if (!expression_afford_value(scope, arguments, &failure))
		goto failed;
	value = own ? call_own(scope, node->name, own, arguments, &failure)
		    : function->call(scope, arguments, &failure);
	if (value && ((function && function->shares) || expression_afford_value(scope, value, &failure)))
		return g_steal_pointer(&value);
failed:
	if (failure->domain == EXPRESSION_MISTAKE && failure->code == 0)
		failure->code = (int)node->column;
	g_propagate_error(evaluation->error, failure);
	return NULL;
}

static json_t *call_lazily(struct evaluation *evaluation, const struct expression_node *node,
	const struct expression_function *function)
{
	json_auto_t *value = function->lazy(evaluation, node);

	if (!value || function->shares ||
		expression_afford_value(evaluation->scope, value, evaluation->error))
		return g_steal_pointer(&value);
	return NULL;
}

static json_t *value_of_call(struct evaluation *evaluation, const struct expression_node *node)
{
	const struct expression_function *function = expression_function_find(node->name);
	const json_t *own = function ? NULL : find_own(evaluation->scope, node->name);
	guint n = node->children->len;

	if (!function && !own) {
		const char *why = expression_function_absence(node->name);
		return expression_mistake_at(evaluation, node, "the function '%s' is not supported%s%s",
			node->name, why ? ": " : "", why ? why : "");
	}
	if (function && (n < function->min || n > function->max))
		return expression_mistake_at(
			evaluation, node, "%s() cannot have %u arguments", function->name, n);
	return function && function->lazy ? call_lazily(evaluation, node, function)
					  : call_eagerly(evaluation, node, function, own);
}

json_t *expression_value(struct evaluation *evaluation, const struct expression_node *node)
{
	switch (node->type) {
	case NODE_VALUE: return json_incref(node->value);
	case NODE_CALL: return value_of_call(evaluation, node);
	case NODE_MEMBER: return value_of_member(evaluation, node);
	case NODE_INDEX: return value_of_index(evaluation, node);
	}
	g_assert_not_reached();
}
