/* Functions of the template language that apply a lambda, such as map(x, lambda('i', lambdaVariables('i'))), to each
 * item of an array. */
#include "api/arm/expression_functions.h"

#include <stdint.h>
#include <string.h>

#define VARIABLES_MAX 2
#define SORT_MAX      1000 /* items that sort() takes: each pair is a call */

struct lambda {
	const struct expression_node *body;
	const char *names[VARIABLES_MAX];
	guint n;
};

/* An argument that is a call of lambda() with `n` names. */
static bool read_lambda(struct evaluation *evaluation, const struct expression_node *call, guint index,
	guint n, struct lambda *ret)
{
	const struct expression_node *node = call->children->pdata[index];

	if (node->type != NODE_CALL || g_ascii_strcasecmp(node->name, "lambda") != 0 ||
		node->children->len != n + 1) {
		expression_mistake_at(evaluation, node, "a lambda with %u variables is needed here", n);
		return false;
	}
	*ret = (struct lambda){.body = node->children->pdata[n], .n = n};
	for (guint i = 0; i < n; i++) {
		const struct expression_node *name = node->children->pdata[i];
		ret->names[i] = name->type == NODE_VALUE ? json_string_value(name->value) : NULL;
		if (!ret->names[i]) {
			expression_mistake_at(evaluation, name, "the name of a variable is needed here");
			return false;
		}
	}
	return true;
}

/* The lambda's value with these in its variables. New reference. */
static json_t *apply(
	struct evaluation *evaluation, const struct lambda *lambda, json_t *first, json_t *second)
{
	struct expression_scope *scope = evaluation->scope;
	const struct expression_variable outer = {scope->lambda, lambda->names[0], first},
					 inner = {&outer, lambda->names[1], second};
	json_t *value;

	if (!expression_afford(scope, sizeof inner, evaluation->error))
		return NULL;
	scope->lambda = lambda->n == 2 ? &inner : &outer;
	value = expression_value(evaluation, lambda->body);
	scope->lambda = outer.outer;
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
	if (!read_lambda(evaluation, call, 1, 1, &lambda))
		return NULL;
	json_array_foreach(array, i, item)
	{
		json_t *value = apply(evaluation, &lambda, item, NULL);
		if (!value)
			return NULL;
		json_array_append_new(result, value);
	}
	return g_steal_pointer(&result);
}

/* What a lambda says of an item, or two: *ret; unknown counts as true. */
static bool ask(
	struct evaluation *evaluation, const struct lambda *lambda, json_t *first, json_t *second, bool *ret)
{
	json_auto_t *value = apply(evaluation, lambda, first, second);

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
	if (!read_lambda(evaluation, call, 1, 1, &lambda))
		return NULL;
	json_array_foreach(array, i, item)
	{
		if (!ask(evaluation, &lambda, item, NULL, &wanted))
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
	if (!read_lambda(evaluation, call, 2, 2, &lambda))
		return NULL;
	json_t *result = expression_value(evaluation, call->children->pdata[1]);
	json_array_foreach(array, i, item)
	{
		json_auto_t *before = result;
		result = before ? apply(evaluation, &lambda, before, item) : NULL;
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
	if (!read_lambda(evaluation, call, 1, 2, &lambda))
		return NULL;
	if (json_array_size(array) > SORT_MAX)
		return expression_mistake_at(evaluation, call, "sort() takes %d items at most", SORT_MAX);
	json_array_foreach(array, i, item)
	{
		size_t at = i;
		for (bool before = true; at > 0; at -= before) {
			if (!ask(evaluation, &lambda, item, json_array_get(result, at - 1), &before))
				return NULL;
			if (!before)
				break;
		}
		json_array_insert(result, at, item);
	}
	return g_steal_pointer(&result);
}

/* toObject(array, lambda for the key, [lambda for the value]). */
static json_t *value_of_to_object(struct evaluation *evaluation, const struct expression_node *call)
{
	json_auto_t *array = array_of(evaluation, call), *result = json_object();
	struct lambda of_key, of_value;
	json_t *item;
	size_t i;

	if (!array || array == evaluation->scope->unknown)
		return g_steal_pointer(&array);
	if (!read_lambda(evaluation, call, 1, 1, &of_key) ||
		(call->children->len > 2 && !read_lambda(evaluation, call, 2, 1, &of_value)))
		return NULL;
	json_array_foreach(array, i, item)
	{
		json_auto_t *key = apply(evaluation, &of_key, item, NULL);
		json_auto_t *value = !key                      ? NULL
				     : call->children->len > 2 ? apply(evaluation, &of_value, item, NULL)
							       : json_incref(item);
		if (!value)
			return NULL;
		if (expression_is_unknown(evaluation->scope, key))
			return json_incref(evaluation->scope->unknown);
		if (!json_is_string(key))
			return expression_mistake_at(evaluation, of_key.body, "a key must be a string");
		json_object_set(result, json_string_value(key), value);
	}
	return g_steal_pointer(&result);
}

static json_t *value_of_lambda(struct evaluation *evaluation, const struct expression_node *call)
{
	return expression_mistake_at(evaluation, call,
		"a lambda can be an argument of map(), filter(), reduce(), sort() "
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
	{"lambda", 1, VARIABLES_MAX + 1, .lazy = value_of_lambda},
	{"lambdaVariables", 1, 1, call_lambda_variables, .shares = true},
	{"map", 2, 2, .lazy = value_of_map},
	{"reduce", 3, 3, .lazy = value_of_reduce},
	{"sort", 2, 2, .lazy = value_of_sort},
	{"toObject", 2, 3, .lazy = value_of_to_object},
	{},
};
