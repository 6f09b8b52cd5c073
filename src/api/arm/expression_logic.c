/* Functions of the template language on truth. Those that decide by a part of their arguments evaluate no others. */
#include "api/arm/expression_functions.h"

#include <stdint.h>
#include <string.h>

/* An argument's truth; *ret_known false when it is not known yet. */
static bool truth_of(struct evaluation *evaluation, const struct expression_node *call, guint index,
	bool *ret, bool *ret_known)
{
	const struct expression_node *node = call->children->pdata[index];
	json_auto_t *value = expression_value(evaluation, node);

	if (!value)
		return false;
	*ret = json_is_true(value);
	*ret_known = !expression_is_unknown(evaluation->scope, value);
	if (*ret_known && !json_is_boolean(value))
		expression_mistake_at(evaluation, node, "true or false is needed here");
	return !*ret_known || json_is_boolean(value);
}

/* When it is not known yet which one will be needed, both are looked at for mistakes and for what they wait for. */
static json_t *value_of_if(struct evaluation *evaluation, const struct expression_node *call)
{
	bool truth, known;

	if (!truth_of(evaluation, call, 0, &truth, &known))
		return NULL;
	if (known)
		return expression_value(evaluation, call->children->pdata[truth ? 1 : 2]);
	json_auto_t *one = expression_value(evaluation, call->children->pdata[1]);
	json_auto_t *other = one ? expression_value(evaluation, call->children->pdata[2]) : NULL;
	return other ? json_incref(evaluation->scope->unknown) : NULL;
}

/* Looks until one argument decides. */
static json_t *decide(struct evaluation *evaluation, const struct expression_node *call, bool decisive)
{
	bool truth, known, all_known = true;

	for (guint i = 0; i < call->children->len; i++) {
		if (!truth_of(evaluation, call, i, &truth, &known))
			return NULL;
		if (known && truth == decisive)
			return json_boolean(decisive);
		all_known = all_known && known;
	}
	return all_known ? json_boolean(!decisive) : json_incref(evaluation->scope->unknown);
}

static json_t *value_of_and(struct evaluation *evaluation, const struct expression_node *call)
{
	return decide(evaluation, call, false);
}

static json_t *value_of_or(struct evaluation *evaluation, const struct expression_node *call)
{
	return decide(evaluation, call, true);
}

static json_t *call_not(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const json_t *value = json_array_get(arguments, 0);

	return json_is_boolean(value) ? json_boolean(!json_is_true(value))
				      : expression_mistake(error, "true or false is needed");
}

static json_t *call_bool(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	static const char *const words[] = {"false", "true", "0", "1"};
	json_t *value = json_array_get(arguments, 0);

	if (json_is_boolean(value))
		return json_incref(value);
	if (json_is_integer(value))
		return json_boolean(json_integer_value(value) != 0);
	for (size_t i = 0; json_is_string(value) && i < G_N_ELEMENTS(words); i++)
		if (g_ascii_strcasecmp(words[i], json_string_value(value)) == 0)
			return json_boolean(i % 2);
	return expression_mistake(error, "a number, or the string 'true' or 'false' is needed");
}

static json_t *call_true(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return json_true();
}

static json_t *call_false(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return json_false();
}

static json_t *call_null(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return json_null();
}

/* The first that is not null. */
static json_t *call_coalesce(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	json_t *argument;
	size_t i;

	json_array_foreach((json_t *)arguments, i, argument)
	{
		if (!json_is_null(argument))
			return json_incref(argument);
	}
	return json_null();
}

/* fail('why'): the template's own refusal. */
static json_t *call_fail(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *why = expression_text_argument(arguments, 0, error);

	return why ? expression_mistake(error, "the template says: %s", why) : NULL;
}

const struct expression_function expression_logic_functions[] = {
	{"and", 1, SIZE_MAX, .lazy = value_of_and, .shares = true},
	{"bool", 1, 1, call_bool},
	{"coalesce", 1, SIZE_MAX, call_coalesce},
	{"fail", 1, 1, call_fail},
	{"false", 0, 0, call_false},
	{"if", 3, 3, .lazy = value_of_if, .shares = true},
	{"not", 1, 1, call_not},
	{"null", 0, 0, call_null},
	{"or", 1, SIZE_MAX, .lazy = value_of_or, .shares = true},
	{"true", 0, 0, call_true},
	{},
};
