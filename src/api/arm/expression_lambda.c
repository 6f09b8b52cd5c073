/* Functions of the template language that apply a lambda, such as map(x, lambda('i', lambdaVariables('i'))), to each
 * item of an array. */
#include "api/arm/expression_functions.h"

#include <stdint.h>
#include <string.h>

#define VARIABLES_MAX 3
#define SORT_MAX      1000 /* items that sort() takes: each pair is a call */

struct lambda {
	const struct expression_node *body;
	const char *names[VARIABLES_MAX];
	guint n;
};

/* An argument that is a call of lambda() with `least` names, or with one more, for the item's place. */
static bool read_lambda(struct evaluation *evaluation, const struct expression_node *call, guint index,
	guint least, bool counts, struct lambda *ret)
{
	const struct expression_node *node = call->children->pdata[index];
	guint n = node->children->len;

	if (node->type != NODE_CALL || g_ascii_strcasecmp(node->name, "lambda") != 0 || n <= least ||
		n > least + 1 + counts) {
		expression_mistake_at(evaluation, node, "a lambda with %u variables is needed here", least);
		return false;
	}
	*ret = (struct lambda){.body = node->children->pdata[n - 1], .n = n - 1};
	for (guint i = 0; i < ret->n; i++) {
		const struct expression_node *name = node->children->pdata[i];
		ret->names[i] = name->type == NODE_VALUE ? json_string_value(name->value) : NULL;
		if (!ret->names[i]) {
			expression_mistake_at(evaluation, name, "the name of a variable is needed here");
			return false;
		}
	}
	return true;
}

/* The lambda's value with these in its variables; second may be NULL; place: what comes behind them. New reference. */
static json_t *apply(struct evaluation *evaluation, const struct lambda *lambda, json_t *first,
	json_t *second, size_t place)
{
	struct expression_scope *scope = evaluation->scope;
	const struct expression_variable *outer = scope->lambda;
	struct expression_variable variables[VARIABLES_MAX];
	json_auto_t *index = json_integer((json_int_t)place);
	json_t *const values[] = {first, second ? second : index, index};
	json_t *value;

	if (!expression_afford(scope, sizeof variables, evaluation->error))
		return NULL;
	for (guint i = 0; i < lambda->n; i++) {
		variables[i] = (struct expression_variable){scope->lambda, lambda->names[i], values[i]};
		scope->lambda = &variables[i];
	}
	value = expression_value(evaluation, lambda->body);
	scope->lambda = outer;
	return value;
}

/* The array that is argument 0; unknown, or NULL with a mistake, otherwise. New reference. */
static json_t *array_of(struct evaluation *evaluation, const struct expression_node *call)
{
	json_auto_t *array = expression_value(evaluation, call->children->pdata[0]);

	if (!array)
		return NULL;
	if (expression_is_unknown(evaluation->scope, array))
		return json_incref(evaluation->scope->unknown);
	if (!json_is_array(array))
		return expression_mistake_at(evaluation, call->children->pdata[0], "an array is needed here");
	return g_steal_pointer(&array);
}

static json_t *value_of_map(struct evaluation *evaluation, const struct expression_node *call)
{
	json_auto_t *array = array_of(evaluation, call), *result = json_array();
	struct lambda lambda;
	json_t *item;
	size_t i;

	if (!array || array == evaluation->scope->unknown)
		return g_steal_pointer(&array);
	if (!read_lambda(evaluation, call, 1, 1, true, &lambda))
		return NULL;
	json_array_foreach(array, i, item)
	{
		json_t *value = apply(evaluation, &lambda, item, NULL, i);
		if (!value)
			return NULL;
		json_array_append_new(result, value);
	}
	return g_steal_pointer(&result);
}

/* What a lambda says of an item, or two: *ret; unknown counts as true. */
static bool ask(struct evaluation *evaluation, const struct lambda *lambda, json_t *first, json_t *second,
	size_t place, bool *ret)
{
	json_auto_t *value = apply(evaluation, lambda, first, second, place);

	*ret = value && !json_is_false(value);
	if (!value || json_is_boolean(value) || expression_is_unknown(evaluation->scope, value))
		return value != NULL;
	expression_mistake_at(evaluation, lambda->body, "the lambda must give true or false");
	return false;
}

static json_t *value_of_filter(struct evaluation *evaluation, const struct expression_node *call)
{
	json_auto_t *array = array_of(evaluation, call), *result = json_array();
	struct lambda lambda;
	json_t *item;
	size_t i;
	bool wanted;

	if (!array || array == evaluation->scope->unknown)
		return g_steal_pointer(&array);
	if (!read_lambda(evaluation, call, 1, 1, true, &lambda))
		return NULL;
	json_array_foreach(array, i, item)
	{
		if (!ask(evaluation, &lambda, item, NULL, i, &wanted))
			return NULL;
		if (wanted)
			json_array_append(result, item);
	}
	return g_steal_pointer(&result);
}

/* reduce(array, begin, lambda('so far', 'item', value)). */
static json_t *value_of_reduce(struct evaluation *evaluation, const struct expression_node *call)
{
	json_auto_t *array = array_of(evaluation, call);
	struct lambda lambda;
	json_t *item;
	size_t i;

	if (!array || array == evaluation->scope->unknown)
		return g_steal_pointer(&array);
	if (!read_lambda(evaluation, call, 2, 2, true, &lambda))
		return NULL;
	json_t *result = expression_value(evaluation, call->children->pdata[1]);
	json_array_foreach(array, i, item)
	{
		json_auto_t *before = result;
		result = before ? apply(evaluation, &lambda, before, item, i) : NULL;
	}
	return result;
}

/* sort(array, lambda('a', 'b', a is before b)): by insertion, which keeps the order of equals. */
static json_t *value_of_sort(struct evaluation *evaluation, const struct expression_node *call)
{
	json_auto_t *array = array_of(evaluation, call), *result = json_array();
	struct lambda lambda;
	json_t *item;
	size_t i;

	if (!array || array == evaluation->scope->unknown)
		return g_steal_pointer(&array);
	if (!read_lambda(evaluation, call, 1, 2, false, &lambda))
		return NULL;
	if (json_array_size(array) > SORT_MAX)
		return expression_mistake_at(evaluation, call, "sort() takes %d items at most", SORT_MAX);
	json_array_foreach(array, i, item)
	{
		size_t at = i;
		for (bool before = true; at > 0; at -= before) {
			if (!ask(evaluation, &lambda, item, json_array_get(result, at - 1), 0, &before))
				return NULL;
			if (!before)
				break;
		}
		json_array_insert(result, at, item);
	}
	return g_steal_pointer(&result);
}

/* A key that a lambda makes of an item: text, or unknown; NULL with a mistake. New reference. */
static json_t *key_of(struct evaluation *evaluation, const struct lambda *lambda, json_t *item)
{
	json_auto_t *key = apply(evaluation, lambda, item, NULL, 0);

	if (!key || json_is_string(key))
		return g_steal_pointer(&key);
	if (expression_is_unknown(evaluation->scope, key))
		return json_incref(evaluation->scope->unknown);
	return expression_mistake_at(evaluation, lambda->body, "a key must be a string");
}

/* toObject(array, lambda for the key, [lambda for the value]). */
static json_t *value_of_to_object(struct evaluation *evaluation, const struct expression_node *call)
{
	json_auto_t *array = array_of(evaluation, call), *result = json_object();
	struct lambda of_key, of_value;
	bool maps = call->children->len > 2;
	json_t *item;
	size_t i;

	if (!array || array == evaluation->scope->unknown)
		return g_steal_pointer(&array);
	if (!read_lambda(evaluation, call, 1, 1, false, &of_key) ||
		(maps && !read_lambda(evaluation, call, 2, 1, false, &of_value)))
		return NULL;
	json_array_foreach(array, i, item)
	{
		json_auto_t *key = key_of(evaluation, &of_key, item);
		json_auto_t *value = !key   ? NULL
				     : maps ? apply(evaluation, &of_value, item, NULL, i)
					    : json_incref(item);
		if (!value)
			return NULL;
		if (key == evaluation->scope->unknown)
			return g_steal_pointer(&key);
		json_object_set(result, json_string_value(key), value);
	}
	return g_steal_pointer(&result);
}

/* groupBy(array, lambda for the key): {key: [items]}. */
static json_t *value_of_group_by(struct evaluation *evaluation, const struct expression_node *call)
{
	json_auto_t *array = array_of(evaluation, call), *result = json_object();
	struct lambda of_key;
	json_t *item;
	size_t i;

	if (!array || array == evaluation->scope->unknown)
		return g_steal_pointer(&array);
	if (!read_lambda(evaluation, call, 1, 1, false, &of_key))
		return NULL;
	json_array_foreach(array, i, item)
	{
		json_auto_t *key = key_of(evaluation, &of_key, item);
		if (!key || key == evaluation->scope->unknown)
			return g_steal_pointer(&key);
		if (!json_object_get(result, json_string_value(key)))
			json_object_set_new(result, json_string_value(key), json_array());
		json_array_append(json_object_get(result, json_string_value(key)), item);
	}
	return g_steal_pointer(&result);
}

/* mapValues(object, lambda for the value). */
static json_t *value_of_map_values(struct evaluation *evaluation, const struct expression_node *call)
{
	json_auto_t *object = expression_value(evaluation, call->children->pdata[0]), *result = json_object();
	struct lambda lambda;
	const char *key;
	json_t *item;

	if (!object)
		return NULL;
	if (expression_is_unknown(evaluation->scope, object))
		return json_incref(evaluation->scope->unknown);
	if (!json_is_object(object))
		return expression_mistake_at(
			evaluation, call->children->pdata[0], "an object is needed here");
	if (!read_lambda(evaluation, call, 1, 1, false, &lambda))
		return NULL;
	json_object_foreach(object, key, item)
	{
		json_t *value = apply(evaluation, &lambda, item, NULL, 0);
		if (!value)
			return NULL;
		json_object_set_new(result, key, value);
	}
	return g_steal_pointer(&result);
}

static json_t *value_of_lambda(struct evaluation *evaluation, const struct expression_node *call)
{
	return expression_mistake_at(evaluation, call,
		"a lambda can be an argument of map(), mapValues(), filter(), reduce(), sort(), groupBy() "
		"and toObject() only");
}

static json_t *call_lambda_variables(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *name = expression_text_argument(arguments, 0, error);

	for (const struct expression_variable *variable = scope->lambda; name && variable;
		variable = variable->outer)
		if (g_ascii_strcasecmp(variable->name, name) == 0)
			return json_incref(variable->value);
	return name ? expression_mistake(error, "there is no lambda with a variable '%s' here", name) : NULL;
}

const struct expression_function expression_lambda_functions[] = {
	{"filter", 2, 2, .lazy = value_of_filter},
	{"groupBy", 2, 2, .lazy = value_of_group_by},
	{"lambda", 1, VARIABLES_MAX + 1, .lazy = value_of_lambda},
	{"lambdaVariables", 1, 1, call_lambda_variables, .shares = true},
	{"map", 2, 2, .lazy = value_of_map},
	{"mapValues", 2, 2, .lazy = value_of_map_values},
	{"reduce", 3, 3, .lazy = value_of_reduce},
	{"sort", 2, 2, .lazy = value_of_sort},
	{"toObject", 2, 3, .lazy = value_of_to_object},
	{},
};
