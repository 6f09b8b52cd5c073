/* Functions of the template language on whole numbers, and comparisons. */
#include "api/arm/expression_functions.h"

#include <stdint.h>
#include <string.h>

/* ---- arithmetic ---- */

enum arithmetic { ADD, SUB, MUL, DIV, MOD };

static json_t *calculate(const json_t *arguments, enum arithmetic what, GError **error)
{
	json_int_t a, b, result = 0;
	bool overflow = false;

	if (!expression_integer_argument(arguments, 0, &a, error) ||
		!expression_integer_argument(arguments, 1, &b, error))
		return NULL;
	if (what >= DIV && b == 0)
		return expression_mistake(error, "a number cannot be divided by zero");
	switch (what) {
	case ADD: overflow = __builtin_add_overflow(a, b, &result); break;
	case SUB: overflow = __builtin_sub_overflow(a, b, &result); break;
	case MUL: overflow = __builtin_mul_overflow(a, b, &result); break;
	case DIV:
	case MOD:
		/* The smallest number by -1 is one more than the biggest. */
		overflow = what == DIV && b == -1 && __builtin_sub_overflow((json_int_t)0, a, &result);
		if (b != -1)
			result = what == DIV ? a / b : a % b;
		break;
	}
	return overflow ? expression_mistake(error, "the result is too big") : json_integer(result);
}

static json_t *call_add(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return calculate(arguments, ADD, error);
}

static json_t *call_sub(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return calculate(arguments, SUB, error);
}

static json_t *call_mul(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return calculate(arguments, MUL, error);
}

static json_t *call_div(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return calculate(arguments, DIV, error);
}

static json_t *call_mod(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return calculate(arguments, MOD, error);
}

/* Of the arguments, or of the items of the only one. */
static json_t *extreme(const json_t *arguments, bool biggest, GError **error)
{
	const json_t *numbers =
		json_is_array(json_array_get(arguments, 0)) ? json_array_get(arguments, 0) : arguments;
	json_int_t found = 0, number;

	if (json_array_size(numbers) == 0)
		return expression_mistake(error, "there is no number");
	for (size_t i = 0; i < json_array_size(numbers); i++) {
		if (!expression_integer_argument(numbers, i, &number, error))
			return NULL;
		if (i == 0 || (biggest ? number > found : number < found))
			found = number;
	}
	return json_integer(found);
}

static json_t *call_min(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return extreme(arguments, false, error);
}

static json_t *call_max(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return extreme(arguments, true, error);
}

static json_t *call_int(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	json_t *value = json_array_get(arguments, 0);
	gint64 number;

	if (json_is_integer(value))
		return json_incref(value);
	if (json_is_real(value) && json_real_value(value) > -9e18 && json_real_value(value) < 9e18)
		return json_integer((json_int_t)json_real_value(value));
	if (json_is_string(value) &&
		g_ascii_string_to_signed(json_string_value(value), 10, G_MININT64, G_MAXINT64, &number, NULL))
		return json_integer(number);
	return expression_mistake(error, "a whole number, or a string that is one, is needed");
}

static json_t *call_float(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const json_t *value = json_array_get(arguments, 0);
	const char *text = json_string_value(value);
	char *end = NULL;
	double number = text ? g_ascii_strtod(text, &end) : json_number_value(value);
	json_t *real = (text && (end == text || *end)) || (!text && !json_is_number(value))
			       ? NULL
			       : json_real(number);

	return real ? real : expression_mistake(error, "a number, or a string that is one, is needed");
}

/* ---- comparing ---- */

/* < 0, 0, > 0 of two numbers or two strings. */
static bool compare(const json_t *arguments, int *ret, GError **error)
{
	const json_t *a = json_array_get(arguments, 0), *b = json_array_get(arguments, 1);

	if (json_is_string(a) && json_is_string(b)) {
		*ret = strcmp(json_string_value(a), json_string_value(b));
		return true;
	}
	if (json_is_integer(a) && json_is_integer(b)) {
		*ret = (json_integer_value(a) > json_integer_value(b)) -
		       (json_integer_value(a) < json_integer_value(b));
		return true;
	}
	expression_mistake(error, "two whole numbers or two strings are needed");
	return false;
}

static json_t *call_less(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	int order;

	return compare(arguments, &order, error) ? json_boolean(order < 0) : NULL;
}

static json_t *call_less_or_equals(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	int order;

	return compare(arguments, &order, error) ? json_boolean(order <= 0) : NULL;
}

static json_t *call_greater(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	int order;

	return compare(arguments, &order, error) ? json_boolean(order > 0) : NULL;
}

static json_t *call_greater_or_equals(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	int order;

	return compare(arguments, &order, error) ? json_boolean(order >= 0) : NULL;
}

/* Of any two values; strings with their case. */
static json_t *call_equals(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return json_boolean(json_equal(json_array_get(arguments, 0), json_array_get(arguments, 1)));
}

const struct expression_function expression_number_functions[] = {
	{"add", 2, 2, call_add},
	{"div", 2, 2, call_div},
	{"equals", 2, 2, call_equals},
	{"float", 1, 1, call_float},
	{"greater", 2, 2, call_greater},
	{"greaterOrEquals", 2, 2, call_greater_or_equals},
	{"int", 1, 1, call_int},
	{"less", 2, 2, call_less},
	{"lessOrEquals", 2, 2, call_less_or_equals},
	{"max", 1, SIZE_MAX, call_max},
	{"min", 1, SIZE_MAX, call_min},
	{"mod", 2, 2, call_mod},
	{"mul", 2, 2, call_mul},
	{"sub", 2, 2, call_sub},
	{},
};
