/* The functions of the template language: finding them, and reading their arguments. */
#include "api/arm/expression_functions.h"

#include <string.h>

static const struct expression_function *const families[] = {expression_text_functions,
	expression_code_functions, expression_cidr_functions, expression_list_functions,
	expression_lambda_functions, expression_number_functions, expression_logic_functions,
	expression_time_functions, expression_resource_functions};

const struct expression_function *expression_function_find(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(families); i++)
		for (const struct expression_function *function = families[i]; function->name; function++)
			if (g_ascii_strcasecmp(function->name, name) == 0)
				return function;
	return NULL;
}

/* Functions of Azure's that would say something that is not so here. */
static const struct {
	const char *name, *why;
} absent[] = {
	{"deployer", "templates are not told who deploys them; pass it as a parameter"},
	{"externalInput", "parameter files are evaluated by the client"},
	{"getSecret", "there is no key vault; pass the value as a parameter of the type secureString"},
	{"managementGroup", "there are no management groups"},
	{"managementGroupResourceId", "there are no management groups"},
	{"pickZones", "there are no availability zones; use an availability set"},
	{"toLogicalZone", "there are no availability zones; use an availability set"},
	{"toLogicalZones", "there are no availability zones; use an availability set"},
	{"toPhysicalZone", "there are no availability zones; use an availability set"},
	{"toPhysicalZones", "there are no availability zones; use an availability set"},
};

const char *expression_function_absence(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(absent); i++)
		if (g_ascii_strcasecmp(absent[i].name, name) == 0)
			return absent[i].why;
	return g_ascii_strncasecmp(name, "list", 4) == 0 ? "no resource here has keys or the like to list"
							 : NULL;
}

const char *expression_text_argument(const json_t *arguments, size_t index, GError **error)
{
	const char *text = json_string_value(json_array_get(arguments, index));

	if (!text)
		expression_mistake(error, "argument %zu must be a string", index + 1);
	return text;
}

bool expression_integer_argument(const json_t *arguments, size_t index, json_int_t *ret, GError **error)
{
	const json_t *argument = json_array_get(arguments, index);

	*ret = json_integer_value(argument);
	if (!json_is_integer(argument))
		expression_mistake(error, "argument %zu must be a whole number", index + 1);
	return json_is_integer(argument);
}

bool expression_append_text(GString *to, const json_t *value)
{
	char digits[G_ASCII_DTOSTR_BUF_SIZE];

	if (json_is_string(value))
		g_string_append(to, json_string_value(value));
	else if (json_is_integer(value))
		g_string_append_printf(to, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		g_string_append(to, g_ascii_dtostr(digits, sizeof digits, json_real_value(value)));
	else if (json_is_boolean(value))
		g_string_append(to, json_is_true(value) ? "True" : "False");
	else
		return false;
	return true;
}
