/* The template language. */
#include "api/arm/expression.h"

#include "api/arm/error.h"

#include <string.h>

static json_t *reference(const char *name, void *data, GError **error)
{
	if (g_str_equal(name, "later"))
		return json_null();
	if (g_str_equal(name, "ip"))
		return json_pack("{s:s, s:{s:s, s:[s, s]}}", "location", "here", "properties", "address",
			"203.0.113.2", "list", "a", "b");
	arm_fault_set(error, ARM_INVALID_TEMPLATE, "no %s", name);
	return NULL;
}

static json_t *evaluate(const char *text, GError **error)
{
	json_auto_t *parameters =
		json_pack("{s:s, s:i, s:{s:s}}", "vm", "Web", "count", 3, "object", "Key", "value");
	json_auto_t *variables =
		json_loads("{\"name\": \"[concat(parameters('VM'), '-nic')]\", \"a\": \"[variables('b')]\","
			   " \"b\": \"[variables('a')]\", \"list\": [\"[toLower('X')]\", 2]}",
			0, NULL);
	json_auto_t *group = json_pack("{s:s, s:s}", "name", "rg", "location", "centralus");
	json_auto_t *subscription = json_pack("{s:s}", "subscriptionId", "sub");
	struct expression_scope scope = {
		.subscription = "sub",
		.group = "rg",
		.subscription_object = subscription,
		.group_object = group,
		.parameters = parameters,
		.variables = variables,
		.reference = reference,
	};

	return expression_evaluate(text, &scope, error);
}

static void test_values(void)
{
	static const struct {
		const char *text, *value;
	} cases[] = {
		{"plain", "\"plain\""},
		{"[[literal]", "\"[literal]\""},
		{"[not closed", "\"[not closed\""},
		{"['it''s']", "\"it's\""},
		{"[ concat ( 'a' , 1 , 'b' ) ]", "\"a1b\""},
		{"[concat(variables('list'), variables('list'))]", "[\"x\",2,\"x\",2]"},
		{"[Parameters('vm')]", "\"Web\""},
		{"[parameters('object').key]", "\"value\""},
		{"[parameters('object')['Key']]", "\"value\""},
		{"[parameters('count')]", "3"},
		{"[variables('name')]", "\"Web-nic\""},
		{"[variables('list')[1]]", "2"},
		{"[tolower(parameters('vm'))]", "\"web\""},
		{"[format('{0}-{1}-{{0}}', 'a', 7)]", "\"a-7-{0}\""},
		{"[resourceGroup().location]", "\"centralus\""},
		{"[subscription().subscriptionId]", "\"sub\""},
		{"[resourceId('N.W/vnets', 'v')]",
			"\"/subscriptions/sub/resourceGroups/rg/providers/N.W/vnets/v\""},
		{"[resourceId('N.W/vnets/subnets', 'v', 's')]",
			"\"/subscriptions/sub/resourceGroups/rg/providers/N.W/vnets/v/subnets/s\""},
		{"[resourceId('other', 'N.W/vnets', 'v')]",
			"\"/subscriptions/sub/resourceGroups/other/providers/N.W/vnets/v\""},
		{"[resourceId('s2', 'g2', 'N.W/vnets', 'v')]",
			"\"/subscriptions/s2/resourceGroups/g2/providers/N.W/vnets/v\""},
		{"[reference('ip').address]", "\"203.0.113.2\""},
		{"[reference('ip').list[1]]", "\"b\""},
		{"[reference('ip', '2022-01-01', 'Full').location]", "\"here\""},
		{"[reference('later').anything[3].else]", "null"},
		{"[concat('x', reference('later').y)]", "\"x\""},
		{"[-5]", "-5"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		json_auto_t *value = evaluate(cases[i].text, &error);
		g_assert_no_error(error);
		g_autofree char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		g_assert_cmpstr(text, ==, cases[i].value);
	}
}

static void test_mistakes(void)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"[concat('Microsoft.Compute/virtualMachines/', myVM)]",
			"column 51: expected '(' after 'myVM'"},
		{"[]", "column 2: it ends too early"},
		{"[concat('a']", "column 12: a ',' or ')' is needed"},
		{"[concat('a)]", "column 9: this string has no end"},
		{"[nosuch('a')]", "column 2: the function 'nosuch' is not supported; there are concat,"},
		{"[concat('a') 'b']", "column 14: the expression should end here"},
		{"[toLower()]", "column 2: toLower() cannot have 0 arguments"},
		{"[toLower(1)]", "column 2: argument 1 must be a string"},
		{"[concat(variables('list'), 'x')]", "column 2: concat() takes either strings or arrays"},
		{"[parameters('none')]", "column 2: the template has no parameter 'none'"},
		{"[variables('none')]", "column 2: the template has no variable 'none'"},
		{"[variables('a')]", "refers to itself"},
		{"[resourceGroup().color]",
			"column 18: the property 'color' does not exist; there are 'name, location'"},
		{"[resourceGroup().name.x]", "only an object has a property 'x'"},
		{"[variables('list')[9]]", "there is no such item"},
		{"[variables('list')[-1]]", "there is no such item"},
		{"[format('{1}', 'a')]", "format() has no argument for '{1}'"},
		{"[format('{0:x}', 1)]", "format() has no argument for '{0:x}'"},
		{"[format('{', 1)]", "format() has no argument"},
		{"[resourceId('v', 'w')]", "has no argument that is a type"},
		{"[resourceId('N/v', 'a', 'b')]", "resourceId() needs 1 names behind the type 'N/v'"},
		{"[reference('gone').x]", "no gone"},
		{"[9999999999999999999]", "column 2: this is no whole number"},
		{"[%]", "column 2: '%' is not expected here"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(evaluate(cases[i].text, &error));
		g_assert_error(error, ARM_FAULT, ARM_INVALID_TEMPLATE);
		if (!strstr(error->message, cases[i].message))
			g_error("'%s': expected '%s', got '%s'", cases[i].text, cases[i].message,
				error->message);
	}
}

static void test_depth(void)
{
	g_autoptr(GString) text = g_string_new("[");
	g_autoptr(GError) error = NULL;

	for (int i = 0; i < 100000; i++)
		g_string_append(text, "concat(");
	g_string_append(text, "]");
	g_assert_null(evaluate(text->str, &error));
	g_assert_nonnull(strstr(error->message, "too many brackets"));
}

/* Thirty variables, each twice the one before: a gigabyte, were it allowed. */
static void test_growth(void)
{
	json_auto_t *variables = json_object();
	struct expression_scope scope = {.variables = variables};
	g_autoptr(GError) error = NULL;

	json_object_set_new(variables, "v0", json_string("0123456789"));
	for (int i = 1; i <= 30; i++) {
		g_autofree char *name = g_strdup_printf("v%d", i),
				*value = g_strdup_printf(
					"[concat(variables('v%d'), variables('v%d'))]", i - 1, i - 1);
		json_object_set_new(variables, name, json_string(value));
	}
	g_assert_null(expression_evaluate("[variables('v30')]", &scope, &error));
	g_assert_error(error, ARM_FAULT, ARM_INVALID_TEMPLATE);
	g_assert_nonnull(strstr(error->message, "grows too big"));
}

/* Every prefix and single-byte change ends with a value or an error. */
static void test_mangled(void)
{
	static const char good[] = "[concat(parameters('vm'), '-', format('{0}', variables('list')[1]).x)]";

	for (size_t cut = 0; cut < sizeof good; cut++)
		for (int byte = 1; byte < 128; byte++) {
			g_autoptr(GError) error = NULL;
			g_autofree char *text = g_strndup(good, cut);
			if (cut)
				text[cut - 1] = (char)byte;
			json_auto_t *value = evaluate(text, &error);
			g_assert_true((value != NULL) != (error != NULL));
		}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/arm/expression/evaluates functions, members and items", test_values);
	g_test_add_func("/arm/expression/names the column of a mistake", test_mistakes);
	g_test_add_func("/arm/expression/refuses depth that would exhaust the stack", test_depth);
	g_test_add_func("/arm/expression/refuses to grow without bounds", test_growth);
	g_test_add_func("/arm/expression/survives mangled text", test_mangled);
	return g_test_run();
}
