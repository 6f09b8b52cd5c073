/* Parameters and outputs of a template. */
#include "api/arm/error.h"
#include "api/arm/expression_functions.h"
#include "api/arm/template_priv.h"

#include <string.h>

#define REF_DEPTH_MAX  16 /* types that are each other */
#define PARAMETERS_MAX 256 /* ARM's limit; names are looked up one by one, without case */

/* ---- types ---- */

static bool is_text(const json_t *json)
{
	return json_is_string(json);
}

static bool is_whole(const json_t *json)
{
	return json_is_integer(json);
}

static bool is_truth(const json_t *json)
{
	return json_is_boolean(json);
}

static bool is_object(const json_t *json)
{
	return json_is_object(json);
}

static bool is_array(const json_t *json)
{
	return json_is_array(json);
}

struct type {
	const char *name;
	bool (*fits)(const json_t *json);
	bool secure;
};

static const struct type types[] = {
	{"String", is_text, false},
	{"SecureString", is_text, true},
	{"Int", is_whole, false},
	{"Bool", is_truth, false},
	{"Object", is_object, false},
	{"SecureObject", is_object, true},
	{"Array", is_array, false},
};

/* Of a parameter or output; NULL when it has none that is known. */
static const struct type *find_type(const json_t *definition)
{
	const char *name = json_string_value(expression_member(definition, "type"));

	for (size_t i = 0; name && i < G_N_ELEMENTS(types); i++)
		if (g_ascii_strcasecmp(types[i].name, name) == 0)
			return &types[i];
	return NULL;
}

/* A parameter or output with what it has of a type of the template's own, {"$ref": "#/definitions/NAME"}; its own members
 * count first. New reference. */
static json_t *whole_definition(const json_t *template, const json_t *definition)
{
	static const char definitions[] = "#/definitions/";
	json_t *whole = json_is_object(definition) ? json_copy((json_t *)definition) : json_object();

	for (unsigned depth = 0; depth < REF_DEPTH_MAX; depth++) {
		const char *ref = json_string_value(json_object_get(whole, "$ref"));
		const json_t *named = ref && g_str_has_prefix(ref, definitions)
					      ? expression_member(json_object_get(template, "definitions"),
							ref + strlen(definitions))
					      : NULL;
		json_object_del(whole, "$ref");
		if (!named)
			break;
		json_object_update_missing(whole, (json_t *)named);
	}
	return whole;
}

/* ---- parameters ---- */

static bool fail_parameter(GError **error, const char *name, const char *format, ...) G_GNUC_PRINTF(3, 4);
static bool fail_parameter(GError **error, const char *name, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *what = g_strdup_vprintf(format, args);
	va_end(args);
	return arm_fault_set(
		error, ARM_INVALID_TEMPLATE, TEMPLATE_INVALID "the template parameter '%s' %s.", name, what);
}

static bool has(const json_t *array, const json_t *value)
{
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)array, i, item)
	{
		if (json_equal(item, value))
			return true;
	}
	return false;
}

/* Of an array each item is asked for. */
static bool check_allowed(const char *name, const json_t *definition, const json_t *value, GError **error)
{
	const json_t *allowed = expression_member(definition, "allowedValues");
	bool good = !json_is_array(allowed) || has(allowed, value);

	if (!good && json_is_array(value)) {
		good = true;
		for (size_t i = 0; i < json_array_size(value); i++)
			good = good && has(allowed, json_array_get(value, i));
	}
	if (good)
		return true;
	g_autofree char *list = json_dumps(allowed, JSON_COMPACT);
	return fail_parameter(error, name, "has a value that is not allowed; allowed are %s", list);
}

/* A whole number of the definition; false when it has none of the name. */
static bool limit_of(const json_t *definition, const char *key, json_int_t *ret)
{
	const json_t *limit = expression_member(definition, key);

	*ret = json_integer_value(limit);
	return json_is_integer(limit);
}

static bool check_limits(const char *name, const json_t *definition, const json_t *value, GError **error)
{
	json_int_t limit, number = json_integer_value(value),
			  length = json_is_string(value) ? g_utf8_strlen(json_string_value(value), -1)
							 : (json_int_t)json_array_size(value);

	if (json_is_integer(value) && limit_of(definition, "minValue", &limit) && number < limit)
		return fail_parameter(
			error, name, "is %lld, and %lld is the least", (long long)number, (long long)limit);
	if (json_is_integer(value) && limit_of(definition, "maxValue", &limit) && number > limit)
		return fail_parameter(
			error, name, "is %lld, and %lld is the most", (long long)number, (long long)limit);
	if (!json_is_string(value) && !json_is_array(value))
		return true;
	if (limit_of(definition, "minLength", &limit) && length < limit)
		return fail_parameter(error, name, "has a length of %lld, and %lld is the least",
			(long long)length, (long long)limit);
	if (limit_of(definition, "maxLength", &limit) && length > limit)
		return fail_parameter(error, name, "has a length of %lld, and %lld is the most",
			(long long)length, (long long)limit);
	return true;
}

static bool check_value(const char *name, const json_t *definition, const json_t *value, GError **error)
{
	const struct type *type = find_type(definition);

	if (!type->fits(value))
		return fail_parameter(error, name, "has a value that is no %s", type->name);
	return check_allowed(name, definition, value, error) && check_limits(name, definition, value, error);
}

/* A parameter whose default is being evaluated, for one that is asked for by it. */
struct asking {
	const struct asking *outer; /* or NULL */
	const char *name;
};

struct resolution {
	const json_t *template, *given;
	const char *seed; /* of the template */
	json_t *values; /* name → value, of those that are known */
	const struct asking *innermost;
};

/* Its default value, in which other parameters, newGuid() and utcNow() may stand, and nothing of the place that asks for
 * it. What newGuid() gives does not depend on which parameter was asked for first. New reference. */
static json_t *evaluate_default(const struct resolution *resolution, const char *name,
	const json_t *definition, struct expression_scope *scope, GError **error)
{
	const struct expression_place parameters = {.key = "parameters"}, parameter = {&parameters, name, 0},
				      place = {&parameter, "defaultValue", 0};
	struct expression_scope inner = *scope;
	g_autofree char *small = g_ascii_strdown(name, -1),
			*seed = g_strdup_printf("%s-%s", resolution->seed, small);
	json_t *value;

	inner.seed = seed;
	inner.guids = 0;
	inner.loop = NULL;
	inner.lambda = NULL;
	inner.depth++;
	inner.place = &place;
	value = expression_expand(expression_member(definition, "defaultValue"), &inner, error);
	scope->spent = inner.spent;
	return value;
}

/* "'a', 'b', 'a'": each refers to the next. Owned. */
static char *describe_circle(const struct asking *innermost, const char *name)
{
	g_autoptr(GString) text = g_string_new(NULL);

	g_string_printf(text, "'%s'", name);
	for (const struct asking *asking = innermost; asking; asking = asking->outer) {
		g_autofree char *before = g_strdup_printf("'%s', ", asking->name);
		g_string_prepend(text, before);
		if (g_ascii_strcasecmp(asking->name, name) == 0)
			break;
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static bool check_asking(const struct resolution *resolution, const char *name,
	const struct expression_scope *scope, GError **error)
{
	for (const struct asking *asking = resolution->innermost; asking; asking = asking->outer) {
		if (g_ascii_strcasecmp(asking->name, name) != 0)
			continue;
		g_autofree char *circle = describe_circle(resolution->innermost, name);
		return fail_parameter(error, name, "has a default value that refers to itself: %s", circle);
	}
	return scope->depth < EXPRESSION_DEPTH_MAX ||
	       fail_parameter(error, name, "is behind more than %d default values that refer to each other",
		       EXPRESSION_DEPTH_MAX);
}

/* The value of one that is not given. New reference. */
static json_t *resolve_default(struct resolution *resolution, const char *name, const json_t *definition,
	struct expression_scope *scope, GError **error)
{
	const struct asking asking = {resolution->innermost, name};
	json_auto_t *value = NULL;

	if (!expression_member(definition, "defaultValue")) {
		if (json_is_true(expression_member(definition, "nullable")))
			return json_null();
		arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID "The value for the template parameter '%s' is not provided.", name);
		return NULL;
	}
	if (!check_asking(resolution, name, scope, error))
		return NULL;
	resolution->innermost = &asking;
	value = evaluate_default(resolution, name, definition, scope, error);
	resolution->innermost = asking.outer;
	return value && check_value(name, definition, value, error) ? g_steal_pointer(&value) : NULL;
}

/* Takes the value of a parameter that has one in the deployment. */
static bool take_given(
	struct resolution *resolution, const char *name, const json_t *definition, GError **error)
{
	const json_t *entry = expression_member(resolution->given, name),
		     *value = expression_member(entry, "value");
	bool nullable = json_is_true(expression_member(definition, "nullable"));

	if (!find_type(definition))
		return fail_parameter(error, name, "has no type that is known");
	if (!value && expression_member(entry, "reference"))
		return fail_parameter(error, name, "refers to a key vault, and there is none");
	if (!value || (nullable && json_is_null(value)))
		return true;
	if (!check_value(name, definition, value, error))
		return false;
	json_object_set(resolution->values, name, (json_t *)value);
	return true;
}

/* The same, which is known from then on. `name` is the definition's. New reference. */
static json_t *settle_default(struct resolution *resolution, const char *name, const json_t *definition,
	struct expression_scope *scope, GError **error)
{
	json_auto_t *whole = whole_definition(resolution->template, definition);
	json_t *value = resolve_default(resolution, name, whole, scope, error);

	if (value)
		json_object_set(resolution->values, name, value);
	return value;
}

/* struct expression_scope.parameter; data: the resolution. */
static json_t *ask_for(const char *asked, struct expression_scope *scope, void *data, GError **error)
{
	struct resolution *resolution = data;
	json_t *definitions = json_object_get(resolution->template, "parameters"),
	       *definition = json_object_get(definitions, asked);
	const char *name;

	if (definition)
		return settle_default(resolution, asked, definition, scope, error);
	json_object_foreach(definitions, name, definition)
	{
		if (g_ascii_strcasecmp(name, asked) == 0)
			return settle_default(resolution, name, definition, scope, error);
	}
	return expression_mistake(error, "there is no parameter '%s' here", asked);
}

/* Those that are given first, then the defaults of the others, each when it is asked for: their order in the text says
 * nothing. */
static bool resolve_all(struct resolution *resolution, struct expression_scope *scope, GError **error)
{
	json_t *definitions = json_object_get(resolution->template, "parameters"), *definition;
	const char *name;

	json_object_foreach(definitions, name, definition)
	{
		json_auto_t *whole = whole_definition(resolution->template, definition);
		if (!take_given(resolution, name, whole, error))
			return false;
	}
	json_object_foreach(definitions, name, definition)
	{
		if (json_object_get(resolution->values, name))
			continue;
		json_auto_t *value = settle_default(resolution, name, definition, scope, error);
		if (!value)
			return false;
	}
	return true;
}

json_t *template_resolve_parameters(const json_t *template, const json_t *given, const char *seed,
	struct expression_scope *scope, GError **error)
{
	const json_t *definitions = json_object_get(template, "parameters");
	json_auto_t *values = json_object();
	struct resolution resolution = {.template = template, .given = given, .seed = seed, .values = values};
	const char *name;
	json_t *value;
	bool good;

	if (json_object_size(definitions) > PARAMETERS_MAX) {
		arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID "it has %zu parameters, more than %d; put some into one object.",
			json_object_size(definitions), PARAMETERS_MAX);
		return NULL;
	}
	json_object_foreach((json_t *)given, name, value)
	{
		if (expression_member(definitions, name))
			continue;
		arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID "the template has no parameter '%s'.", name);
		return NULL;
	}
	scope->parameters = values;
	scope->parameter = ask_for;
	scope->parameter_data = &resolution;
	good = resolve_all(&resolution, scope, error);
	scope->parameters = NULL;
	scope->parameter = NULL;
	scope->parameter_data = NULL;
	return good ? g_steal_pointer(&values) : NULL;
}

json_t *template_open_parameters(const struct template *template)
{
	const json_t *definitions = json_object_get(template->json, "parameters");
	json_t *open = json_copy(template->parameters), *value;
	const char *name;

	json_object_foreach(template->parameters, name, value)
	{
		json_auto_t *definition =
			whole_definition(template->json, expression_member(definitions, name));
		const struct type *type = find_type(definition);
		if (!type || type->secure)
			json_object_set(open, name, template->scope.unknown);
	}
	return open;
}

json_t *template_shown_parameters(const json_t *template, const json_t *parameters)
{
	const json_t *definitions = json_object_get(template, "parameters");
	json_t *shown = json_object(), *given;
	const char *name;

	json_object_foreach((json_t *)parameters, name, given)
	{
		json_auto_t *definition = whole_definition(template, expression_member(definitions, name));
		const struct type *type = find_type(definition);
		json_t *value = (json_t *)expression_member(given, "value");
		if (!type)
			continue;
		json_t *parameter = json_pack("{s:s}", "type", type->name);
		if (value && !type->secure)
			json_object_set(parameter, "value", value);
		json_object_set_new(shown, name, parameter);
	}
	return shown;
}

/* ---- outputs ---- */

/* An output's value: of its 'value', or of its loop. New reference. */
static json_t *value_of(
	struct expression_scope *scope, const char *name, const json_t *output, GError **error)
{
	const json_t *value = expression_member(output, "value"), *copy = expression_member(output, "copy");

	if (copy)
		return expression_repeat(copy, NULL, scope, error);
	if (value)
		return expression_expand(value, scope, error);
	arm_fault_set(error, ARM_INVALID_TEMPLATE, TEMPLATE_INVALID "the output '%s' has no value.", name);
	return NULL;
}

static bool evaluate_output(
	struct expression_scope *scope, const char *name, const json_t *output, json_t *into, GError **error)
{
	const json_t *condition = expression_member(output, "condition");
	json_auto_t *wanted = condition ? expression_expand(condition, scope, error) : json_true();
	json_auto_t *value = NULL;
	const struct type *type = find_type(output);

	if (!type)
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID "the output '%s' has no type that is known.", name);
	if (!wanted || json_is_false(wanted))
		return wanted != NULL;
	value = value_of(scope, name, output, error);
	if (!value)
		return false;
	if (!type->fits(value) && !json_is_null(value) && !expression_is_unknown(scope, value))
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID "the output '%s' has a value that is no %s.", name, type->name);
	json_t *shown = json_pack("{s:s}", "type", type->name);
	if (!type->secure)
		json_object_set(shown, "value", value);
	json_object_set_new(into, name, shown);
	return true;
}

json_t *template_evaluate_outputs(struct template *template, GError **error)
{
	const json_t *outputs = json_object_get(template->json, "outputs");
	struct expression_scope *scope = &template->scope;
	json_auto_t *result = json_object();
	const char *name;
	json_t *output;

	json_object_foreach((json_t *)outputs, name, output)
	{
		const struct expression_place all = {.key = "outputs"}, place = {&all, name, 0};
		scope->place = &place;
		json_auto_t *whole = whole_definition(template->json, output);
		bool good = evaluate_output(scope, name, whole, result, error);
		scope->place = NULL;
		if (!good)
			return NULL;
	}
	return g_steal_pointer(&result);
}
