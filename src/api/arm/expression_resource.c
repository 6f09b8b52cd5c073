/* Functions of the template language that look at the deployment and at resources. */
#include "api/arm/expression_functions.h"

#include <stdint.h>
#include <string.h>

/* ---- parameters and variables ---- */

static json_t *call_parameters(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *name = expression_text_argument(arguments, 0, error);
	const json_t *value = name ? expression_member(scope->parameters, name) : NULL;

	if (!name || value)
		return json_incref((json_t *)value);
	return scope->parameter ? scope->parameter(name, scope, scope->parameter_data, error)
				: expression_mistake(error, "there is no parameter '%s' here", name);
}

/* The loop {"name", "count", "input"} of {"copy": [...]} that makes the variable. Borrowed; NULL when none does. */
static const json_t *find_loop(const json_t *variables, const char *name)
{
	const json_t *loops = expression_member(variables, "copy");
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)loops, i, item)
	{
		const char *its = json_string_value(expression_member(item, "name"));
		if (its && g_ascii_strcasecmp(its, name) == 0)
			return item;
	}
	return NULL;
}

/* A variable sees parameters and other variables, not where it is used. */
static json_t *evaluate_variable(struct expression_scope *scope, const char *name, const json_t *definition,
	const json_t *loop, GError **error)
{
	const struct expression_place variables = {.key = "variables"}, place = {&variables, name, 0};
	struct expression_scope inner = *scope;
	json_t *value;

	inner.reference = NULL;
	inner.loop = NULL;
	inner.lambda = NULL;
	inner.seed = NULL;
	inner.depth++;
	inner.place = &place;
	value = loop ? expression_repeat(loop, name, &inner, error)
		     : expression_expand(definition, &inner, error);
	scope->spent = inner.spent;
	return value;
}

static json_t *call_variables(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *name = expression_text_argument(arguments, 0, error);
	const json_t *known = name ? expression_member(scope->evaluated, name) : NULL;

	if (!name || known)
		return json_incref((json_t *)known);
	const json_t *definition = expression_member(scope->variables, name),
		     *loop = definition ? NULL : find_loop(scope->variables, name);
	if (!definition && !loop)
		return expression_mistake(error, "there is no variable '%s' here", name);
	if (scope->depth >= EXPRESSION_DEPTH_MAX)
		return expression_mistake(error, "variable '%s' refers to itself", name);
	json_t *value = evaluate_variable(scope, name, definition, loop, error);
	if (value && scope->evaluated)
		json_object_set(scope->evaluated, name, value);
	return value;
}

/* ---- loops ---- */

/* The loop of that name, or without one that of the resource or output itself, or the innermost. */
static const struct expression_loop *find_round(const struct expression_loop *innermost, const char *name)
{
	for (const struct expression_loop *loop = innermost; loop; loop = loop->outer)
		if (name ? loop->name && g_ascii_strcasecmp(loop->name, name) == 0 : loop->main)
			return loop;
	return name ? NULL : innermost;
}

/* copyIndex([name], [offset]). */
static json_t *call_copy_index(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *name = json_string_value(json_array_get(arguments, 0));
	size_t n = json_array_size(arguments), names = name ? 1 : 0;
	const struct expression_loop *loop = find_round(scope->loop, name);
	json_int_t offset = 0, index;

	if ((n > names && !expression_integer_argument(arguments, names, &offset, error)))
		return NULL;
	if (n > names + 1)
		return expression_mistake(error, "copyIndex() takes a name and an offset");
	if (!loop)
		return expression_mistake(error,
			name ? "there is no loop '%s' here" : "there is no loop here%s", name ? name : "");
	if (__builtin_add_overflow(loop->index, offset, &index))
		return expression_mistake(error, "the result is too big");
	return json_integer(index);
}

/* ---- where it is deployed ---- */

static json_t *global(const struct expression_scope *scope, const char *name, GError **error)
{
	json_t *value = json_object_get(scope->globals, name);

	return value ? json_incref(value) : expression_mistake(error, "%s() is not known here", name);
}

static json_t *call_deployment(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return global(scope, "deployment", error);
}

static json_t *call_environment(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return global(scope, "environment", error);
}

static json_t *call_resource_group(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return global(scope, "resourceGroup", error);
}

static json_t *call_subscription(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return global(scope, "subscription", error);
}

static json_t *call_tenant(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return global(scope, "tenant", error);
}

/* ---- resource ids ---- */

/* Appends "/providers/NAMESPACE/TYPE/NAME..." of the arguments from `at` on: a type, and a name for each of its parts
 * behind the namespace. */
static bool append_type(GString *id, const json_t *arguments, size_t at, GError **error)
{
	size_t n = json_array_size(arguments);
	const char *type_text = expression_text_argument(arguments, at, error);
	g_auto(GStrv) type = type_text ? g_strsplit(type_text, "/", -1) : NULL;

	if (!type)
		return false;
	if (n - at != g_strv_length(type) || n - at < 2) {
		expression_mistake(error, "%u names are needed behind the type '%s'",
			MAX(g_strv_length(type), 2) - 1, type_text);
		return false;
	}
	g_string_append_printf(id, "/providers/%s", type[0]);
	for (guint i = 1; type[i]; i++) {
		const char *name = expression_text_argument(arguments, at + i, error);
		if (!name)
			return false;
		g_string_append_printf(id, "/%s/%s", type[i], name);
	}
	return true;
}

/* The argument that is the type: the first with a '/', which at most `before` others come before; -1 with a mistake. */
static ssize_t find_type(const json_t *arguments, size_t before, GError **error)
{
	for (size_t i = 0; i < json_array_size(arguments) && i <= before; i++) {
		const char *text = expression_text_argument(arguments, i, error);
		if (!text)
			return -1;
		if (strchr(text, '/'))
			return (ssize_t)i;
	}
	expression_mistake(
		error, "there is no argument that is a type, such as 'Microsoft.Network/virtualNetworks'");
	return -1;
}

/* resourceId([subscription], [group], type, name, ...). */
static json_t *call_resource_id(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *subscription = scope->subscription, *group = scope->group;
	g_autoptr(GString) id = g_string_new(NULL);
	ssize_t at = find_type(arguments, 2, error);

	if (at < 0)
		return NULL;
	if (at > 0)
		group = expression_text_argument(arguments, (size_t)at - 1, error);
	if (at > 1)
		subscription = expression_text_argument(arguments, 0, error);
	g_string_append_printf(id, "/subscriptions/%s/resourceGroups/%s", subscription, group);
	return append_type(id, arguments, (size_t)at, error) ? json_string(id->str) : NULL;
}

/* subscriptionResourceId([subscription], type, name, ...). */
static json_t *call_subscription_resource_id(
	struct expression_scope *scope, const json_t *arguments, GError **error)
{
	g_autoptr(GString) id = g_string_new(NULL);
	ssize_t at = find_type(arguments, 1, error);

	if (at < 0)
		return NULL;
	g_string_append_printf(id, "/subscriptions/%s",
		at > 0 ? expression_text_argument(arguments, 0, error) : scope->subscription);
	return append_type(id, arguments, (size_t)at, error) ? json_string(id->str) : NULL;
}

static json_t *call_tenant_resource_id(
	struct expression_scope *scope, const json_t *arguments, GError **error)
{
	g_autoptr(GString) id = g_string_new(NULL);

	return append_type(id, arguments, 0, error) ? json_string(id->str) : NULL;
}

/* extensionResourceId(id, type, name, ...). */
static json_t *call_extension_resource_id(
	struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *base = expression_text_argument(arguments, 0, error);
	g_autoptr(GString) id = g_string_new(base);

	return base && append_type(id, arguments, 1, error) ? json_string(id->str) : NULL;
}

/* ---- resources ---- */

/* Its properties, or all of it. New reference. */
static json_t *refer(struct expression_scope *scope, const char *name, bool full, GError **error)
{
	json_auto_t *resource = scope->reference(name, scope->data, error);

	if (!resource)
		return NULL;
	if (resource == scope->unknown || full)
		return g_steal_pointer(&resource);
	if (!json_object_get(resource, "properties"))
		return expression_mistake(error, "'%s' has no properties", name);
	return json_incref(json_object_get(resource, "properties"));
}

static bool is_full(const json_t *argument)
{
	const char *text = json_string_value(argument);

	return text && g_ascii_strcasecmp(text, "Full") == 0;
}

/* reference(name or id, [apiVersion], ['Full']). */
static json_t *call_reference(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *name = expression_text_argument(arguments, 0, error);

	if (!scope->reference)
		return expression_mistake(error, "reference() can stand in properties and outputs only");
	return name ? refer(scope, name, is_full(json_array_get(arguments, 2)), error) : NULL;
}

/* references(symbol of a loop, ['Full']): what reference() gives of each of its rounds. */
static json_t *call_references(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *symbol = expression_text_argument(arguments, 0, error);
	json_int_t n = symbol && scope->rounds ? scope->rounds(symbol, scope->rounds_data) : -1;
	json_auto_t *array = json_array();

	if (!symbol)
		return NULL;
	if (!scope->reference)
		return expression_mistake(error, "references() can stand in properties and outputs only");
	if (n < 0)
		return expression_mistake(error, "there is no loop with the symbol '%s'", symbol);
	for (json_int_t i = 0; i < n; i++) {
		g_autofree char *name = g_strdup_printf("%s[%" JSON_INTEGER_FORMAT "]", symbol, i);
		json_t *item = refer(scope, name, is_full(json_array_get(arguments, 1)), error);
		if (!item)
			return NULL;
		json_array_append_new(array, item);
	}
	return g_steal_pointer(&array);
}

/* providers(namespace, [type]). */
static json_t *call_providers(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *namespace = expression_text_argument(arguments, 0, error),
		   *type = json_string_value(json_array_get(arguments, 1));
	json_auto_t *provider =
		namespace && scope->providers ? scope->providers(namespace, scope->providers_data) : NULL;
	json_t *item;
	size_t i;

	if (!namespace)
		return NULL;
	if (!provider)
		return expression_mistake(error, "there is no resource provider '%s'", namespace);
	if (!type)
		return g_steal_pointer(&provider);
	json_array_foreach(json_object_get(provider, "resourceTypes"), i, item)
	{
		const char *its = json_string_value(json_object_get(item, "resourceType"));
		if (its && g_ascii_strcasecmp(its, type) == 0)
			return json_incref(item);
	}
	return expression_mistake(error, "the resource provider '%s' has no type '%s'", namespace, type);
}

const struct expression_function expression_resource_functions[] = {
	{"copyIndex", 0, 2, call_copy_index},
	{"deployment", 0, 0, call_deployment, .shares = true},
	{"environment", 0, 0, call_environment, .shares = true},
	{"extensionResourceId", 3, SIZE_MAX, call_extension_resource_id},
	{"parameters", 1, 1, call_parameters, .shares = true},
	{"providers", 1, 2, call_providers},
	{"reference", 1, 3, call_reference, .shares = true},
	{"references", 1, 2, call_references},
	{"resourceGroup", 0, 0, call_resource_group, .shares = true},
	{"resourceId", 2, SIZE_MAX, call_resource_id},
	{"subscription", 0, 0, call_subscription, .shares = true},
	{"subscriptionResourceId", 2, SIZE_MAX, call_subscription_resource_id},
	{"tenant", 0, 0, call_tenant, .shares = true},
	{"tenantResourceId", 2, SIZE_MAX, call_tenant_resource_id},
	{"variables", 1, 1, call_variables, .shares = true},
	{},
};
