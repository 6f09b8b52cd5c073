/* The functions of the template language. */
#include "api/arm/expression_functions.h"

#include <stdint.h>
#include <string.h>

#define DEPTH_MAX 32 /* variables that refer to each other */

G_DEFINE_QUARK(sluice - expression - mistake, expression_mistake)

static json_t *mistake(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static json_t *mistake(GError **error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	*error = g_error_new_valist(EXPRESSION_MISTAKE, 0, format, args);
	va_end(args);
	return NULL;
}

const json_t *expression_member(const json_t *object, const char *name)
{
	const json_t *exact = json_object_get(object, name);
	const char *key;
	json_t *value;

	if (exact)
		return exact;
	json_object_foreach(
		(json_t *)object, key, value) if (g_ascii_strcasecmp(key, name) == 0) return value;
	return NULL;
}

/* Appends a text or a whole number; what is not known yet is empty. */
static bool append(GString *to, const json_t *json)
{
	if (json_is_string(json))
		g_string_append(to, json_string_value(json));
	else if (json_is_integer(json))
		g_string_append_printf(to, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
	return json_is_string(json) || json_is_integer(json) || json_is_null(json);
}

/* The argument's text; NULL with *error when it is none. */
static const char *text_of(const json_t *arguments, size_t index, GError **error)
{
	const char *text = json_string_value(json_array_get(arguments, index));

	if (!text)
		mistake(error, "argument %zu must be a string", index + 1);
	return text;
}

static json_t *concat_arrays(const json_t *arguments, GError **error)
{
	json_auto_t *array = json_array();
	json_t *argument;
	size_t i;

	json_array_foreach((json_t *)arguments, i,
		argument) if (json_array_extend(array, argument) < 0) return mistake(error,
		"concat() takes either strings or arrays");
	return g_steal_pointer(&array);
}

static json_t *call_concat(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	json_t *argument;
	size_t i;

	if (json_is_array(json_array_get(arguments, 0)))
		return concat_arrays(arguments, error);
	json_array_foreach((json_t *)arguments, i, argument) if (!append(text, argument)) return mistake(
		error, "concat() takes either strings or arrays");
	return json_string(text->str);
}

/* "{1}": the argument behind the text with that number, at `at`, which is on the brace. Moves behind it. */
static bool append_placeholder(GString *to, const char **at, const json_t *arguments, GError **error)
{
	const char *digits = *at + 1;
	size_t length = strspn(digits, "0123456789");
	g_autofree char *number = g_strndup(digits, length);
	guint64 index;

	if (digits[length] != '}' ||
		!g_ascii_string_to_unsigned(number, 10, 0, json_array_size(arguments) - 2, &index, NULL)) {
		mistake(error, "format() has no argument for '%.*s'", (int)strcspn(*at, "}") + 1, *at);
		return false;
	}
	*at = digits + length + 1;
	if (append(to, json_array_get(arguments, (size_t)index + 1)))
		return true;
	mistake(error, "format() takes strings and whole numbers");
	return false;
}

static json_t *call_format(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *at = text_of(arguments, 0, error);
	g_autoptr(GString) text = g_string_new(NULL);

	while (at && *at) {
		if ((at[0] == '{' && at[1] == '{') || (at[0] == '}' && at[1] == '}')) {
			g_string_append_c(text, *at);
			at += 2;
		} else if (*at != '{') {
			g_string_append_c(text, *at++);
		} else if (!append_placeholder(text, &at, arguments, error)) {
			return NULL;
		}
	}
	return at ? json_string(text->str) : NULL;
}

static json_t *call_to_lower(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *text = text_of(arguments, 0, error);
	g_autofree char *lower = text ? g_utf8_strdown(text, -1) : NULL;

	return lower ? json_string(lower) : NULL;
}

static json_t *call_parameters(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *name = text_of(arguments, 0, error);
	const json_t *value = name ? expression_member(scope->parameters, name) : NULL;

	if (name && !value)
		return mistake(error, "the template has no parameter '%s'", name);
	return json_incref((json_t *)value);
}

static json_t *call_variables(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *name = text_of(arguments, 0, error);
	const json_t *value = name ? expression_member(scope->variables, name) : NULL;
	json_t *expanded;

	if (!name)
		return NULL;
	if (!value)
		return mistake(error, "the template has no variable '%s'", name);
	if (scope->depth >= DEPTH_MAX)
		return mistake(error, "variable '%s' refers to itself", name);
	scope->depth++;
	expanded = expression_expand(value, scope, error);
	scope->depth--;
	return expanded;
}

static json_t *call_resource_group(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return json_incref(scope->group_object);
}

static json_t *call_subscription(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return json_incref(scope->subscription_object);
}

/* resourceId([subscription], [group], type, name, ...): the type is the first argument with a '/', and names
 * follow it, one for each part of the type behind its namespace. */
static json_t *call_resource_id(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *subscription = scope->subscription, *group = scope->group;
	size_t n = json_array_size(arguments), at = 0;
	g_autoptr(GString) id = g_string_new(NULL);

	for (size_t i = 0; i < n; i++)
		if (!text_of(arguments, i, error))
			return NULL;
	while (at < n && !strchr(text_of(arguments, at, error), '/'))
		at++;
	if (at == n || at > 2)
		return mistake(error, "resourceId() has no argument that is a type, such as "
				      "'Microsoft.Network/virtualNetworks'");
	if (at > 0)
		group = text_of(arguments, at - 1, error);
	if (at > 1)
		subscription = text_of(arguments, 0, error);
	g_auto(GStrv) type = g_strsplit(text_of(arguments, at, error), "/", -1);
	if (n - at != g_strv_length(type))
		return mistake(error, "resourceId() needs %u names behind the type '%s'",
			g_strv_length(type) - 1, text_of(arguments, at, error));
	g_string_append_printf(
		id, "/subscriptions/%s/resourceGroups/%s/providers/%s", subscription, group, type[0]);
	for (guint i = 1; type[i]; i++)
		g_string_append_printf(id, "/%s/%s", type[i], text_of(arguments, at + i, error));
	return json_string(id->str);
}

/* reference(name or id, [apiVersion], ['Full']): its properties, or all of it. */
static json_t *call_reference(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *name = text_of(arguments, 0, error);
	const char *full = json_string_value(json_array_get(arguments, 2));

	if (!scope->reference)
		return mistake(error, "reference() can stand in properties and outputs only");
	json_auto_t *resource = name ? scope->reference(name, scope->data, error) : NULL;

	if (!resource)
		return NULL;
	if (json_is_null(resource) || (full && g_ascii_strcasecmp(full, "Full") == 0))
		return g_steal_pointer(&resource);
	if (!json_object_get(resource, "properties"))
		return mistake(error, "'%s' has no properties", name);
	return json_incref(json_object_get(resource, "properties"));
}

static const struct expression_function functions[] = {
	{"concat", 1, SIZE_MAX, call_concat},
	{"format", 2, SIZE_MAX, call_format},
	{"parameters", 1, 1, call_parameters},
	{"reference", 1, 3, call_reference},
	{"resourceGroup", 0, 0, call_resource_group},
	{"resourceId", 2, SIZE_MAX, call_resource_id},
	{"subscription", 0, 0, call_subscription},
	{"toLower", 1, 1, call_to_lower},
	{"variables", 1, 1, call_variables},
};

const struct expression_function *expression_function_find(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(functions); i++)
		if (g_ascii_strcasecmp(functions[i].name, name) == 0)
			return &functions[i];
	return NULL;
}

char *expression_function_names(void)
{
	g_autoptr(GString) names = g_string_new(NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(functions); i++)
		g_string_append_printf(names, "%s%s", i ? ", " : "", functions[i].name);
	return g_string_free(g_steal_pointer(&names), FALSE);
}
