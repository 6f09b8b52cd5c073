/* Templates: what they expand to, and what is wrong with them. */
#include "api/arm/template.h"

#include "api/arm/error.h"
#include "base/relaxed_json.h"

#include <string.h>

static struct template *open_text(const char *text, const char *parameters, GError **error)
{
	json_auto_t *json = relaxed_json_parse(text, strlen(text), error);
	json_auto_t *given = parameters ? json_loads(parameters, 0, NULL) : NULL;
	json_auto_t *group = json_pack("{s:s, s:s}", "name", "rg", "location", "centralus");
	const struct template_input input = {
		.template = json,
		.parameters = given,
		.mode = "incremental",
		.subscription = "sub",
		.tenant = "tenant",
		.group = "rg",
		.group_object = group,
	};

	return json ? template_open(&input, error) : NULL;
}

static const struct template_resource *at(const struct template *template, guint index)
{
	return template->resources->pdata[index];
}

/* "1,2": what a resource depends on. */
static char *depends(const struct template *template, guint index)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const GArray *list = at(template, index)->depends;

	for (guint i = 0; i < list->len; i++)
		g_string_append_printf(text, "%s%u", i ? "," : "", g_array_index(list, guint, i));
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static void assert_depends(const struct template *template, guint index, const char *expected)
{
	g_autofree char *actual = depends(template, index);

	g_assert_cmpstr(actual, ==, expected);
}

/* As az posts it for `vm create` without --nics: type and name, in another case than the type's. */
static void test_dependencies(void)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(template_free) struct template *template =
		open_text("{resources: [{type: 'Microsoft.Network/networkSecurityGroups', name: 'nsg'},"
			  " {type: 'Microsoft.Network/publicIPAddresses', name: 'ip'},"
			  " {type: 'Microsoft.Network/networkInterfaces', name: 'nic', dependsOn: "
			  "['Microsoft.Network/networkSecurityGroups/nsg',"
			  " 'Microsoft.Network/publicIpAddresses/IP']},"
			  " {type: 'Microsoft.Compute/virtualMachines', name: 'vm', dependsOn: ['nic',"
			  " \"[resourceId('Microsoft.Network/publicIPAddresses', 'ip')]\"]}]}",
			NULL, &error);

	g_assert_no_error(error);
	assert_depends(template, 0, "");
	assert_depends(template, 2, "0,1");
	assert_depends(template, 3, "2,1");
	g_assert_cmpstr(at(template, 3)->id_text, ==,
		"/subscriptions/sub/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm");
}

static void test_children(void)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(template_free) struct template *template =
		open_text("{variables: {net: 'n'}, resources: [{type: 'N.W/vnets', name: "
			  "\"[variables('net')]\", resources:"
			  " [{type: 'subnets', name: 'a'}, {type: 'N.W/vnets/subnets', name: 'n/b', "
			  "dependsOn: ['n/a']}]},"
			  " {type: 'N.W/vnets/subnets', name: 'n/c'}]}",
			NULL, &error);

	g_assert_no_error(error);
	g_assert_cmpint(template->resources->len, ==, 4);
	g_assert_cmpstr(at(template, 1)->type, ==, "N.W/vnets/subnets");
	g_assert_cmpstr(at(template, 1)->name, ==, "n/a");
	assert_depends(template, 1, "0");
	assert_depends(template, 2, "1,0");
	assert_depends(template, 3, "0");
}

static json_t *lookup(const struct arm_id *id, void *data, GError **error)
{
	return json_pack("{s:{s:s}}", "properties", "name", id->name);
}

static void test_bodies(void)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(template_free) struct template *template =
		open_text("{parameters: {tag: {type: 'string'}, size: {type: 'int', defaultValue: 3}},"
			  " resources: [{type: 'N.W/a', name: 'x', apiVersion: '1', dependsOn: [], location: "
			  "'[resourceGroup().location]',"
			  " tags: {t: \"[parameters('tag')]\"}, properties: {of: \"[reference('y').name]\", "
			  "n: \"[parameters('size')]\"}},"
			  " {type: 'N.W/a', name: 'y'}], outputs: {o: {type: 'string', value: "
			  "\"[reference('x').name]\"}}}",
			"{\"tag\": {\"value\": \"blue\"}}", &error);

	g_assert_no_error(error);
	assert_depends(template, 0, "1");
	g_assert_cmpstr(at(template, 0)->location, ==, "centralus");
	json_auto_t *body = template_body(template, 0, lookup, NULL, &error);
	json_auto_t *outputs = template_outputs(template, lookup, NULL, &error);
	g_assert_no_error(error);
	g_autofree char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
	g_assert_cmpstr(text, ==,
		"{\"location\":\"centralus\",\"properties\":{\"n\":3,\"of\":\"y\"},\"tags\":{\"t\":\"blue\"}"
		"}");
	g_autofree char *out = json_dumps(outputs, JSON_COMPACT | JSON_SORT_KEYS);
	g_assert_cmpstr(out, ==, "{\"o\":{\"type\":\"string\",\"value\":\"x\"}}");
}

static void test_condition(void)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(template_free) struct template *template =
		open_text("{parameters: {on: {type: 'bool', defaultValue: false}}, resources: [{type: "
			  "'N.W/a', name: 'x',"
			  " condition: \"[parameters('on')]\", resources: [{type: 'c', name: 'd'}]},"
			  " {type: 'N.W/a', name: 'y', dependsOn: ['x']}]}",
			NULL, &error);

	g_assert_no_error(error);
	g_assert_true(at(template, 0)->skipped);
	g_assert_true(at(template, 1)->skipped);
	g_assert_false(at(template, 2)->skipped);
	assert_depends(template, 2, "0");
}

static void test_mistakes(void)
{
	static const struct {
		const char *text, *parameters, *message;
	} cases[] = {
		{"[]", NULL, "properties.template must be an object"},
		{"{}", NULL, "it has no 'resources'"},
		{"{resources: {}}", NULL, "'resources' must be an array"},
		{"{resources: [7]}", NULL, "item 0 of 'resources' is no object"},
		{"{resources: [{name: 'x'}]}", NULL, "a resource has no 'type'"},
		{"{resources: [{type: 'N/t'}]}", NULL, "a resource has no 'name'"},
		{"{resources: [{type: 'N/t', name: ['x']}]}", NULL, "'name' must be a string"},
		{"{resources: [{type: 'N/t/c', name: 'x'}]}", NULL, "do not fit"},
		{"{resources: [{type: 'N/t', name: 'x'}, {type: 'n/T', name: 'X'}]}", NULL,
			"is defined twice"},
		{"{resources: [{type: 'N/t', name: 'x', dependsOn: ['y']}]}", NULL,
			"the resource 'y' that 'x' depends on is not defined"},
		{"{resources: [{type: 'N/t', name: 'x', dependsOn: ['y']}, {type: 'N/t', name: 'y', "
		 "dependsOn: ['x']}]}",
			NULL, "depends on itself in a circle"},
		{"{resources: [{type: 'N/a', name: 'x'}, {type: 'N/b', name: 'x'}, {type: 'N/c', name: 'y', "
		 "dependsOn: ['x']}]}",
			NULL, "is there more than once"},
		{"{resources: [{type: 'N/t', name: 'x', copy: {name: 'c', count: 2}}]}", NULL, "'copy' loop"},
		{"{resources: [{type: 'N/t', name: 'x', properties: {a: '[nosuch()]'}}]}", NULL,
			"the function 'nosuch'"},
		{"{resources: [{type: 'N/t', name: \"[reference('x').y]\"}]}", NULL,
			"reference() can stand in properties and outputs only"},
		{"{resources: [], outputs: {o: {value: \"[reference('x').y]\"}}}", NULL,
			"is not defined in the template"},
		{"{parameters: {p: {type: 'string'}}, resources: []}", NULL,
			"The value for the template parameter 'p'"},
		{"{parameters: {p: {type: 'strange'}}, resources: []}", NULL, "has no type that is known"},
		{"{parameters: {p: {type: 'int'}}, resources: []}", "{\"p\": {\"value\": \"x\"}}",
			"is no int that is allowed"},
		{"{parameters: {p: {type: 'string', allowedValues: ['a']}}, resources: []}",
			"{\"p\": {\"value\": \"x\"}}", "is no string that is allowed"},
		{"{resources: []}", "{\"p\": {\"value\": \"x\"}}", "the template has no parameter 'p'"},
		{"{functions: [{}], resources: []}", NULL, "functions of one's own"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(open_text(cases[i].text, cases[i].parameters, &error));
		g_assert_nonnull(error);
		if (error->domain != ARM_FAULT || !strstr(error->message, cases[i].message))
			g_error("'%s': expected '%s', got '%s'", cases[i].text, cases[i].message,
				error->message);
	}
}

static void test_secrets(void)
{
	json_auto_t *template = json_loads(
		"{\"parameters\": {\"a\": {\"type\": \"string\"}, \"b\": {\"type\": \"secureString\"},"
		" \"c\": {\"type\": \"secureobject\"}}}",
		0, NULL);
	json_auto_t *given = json_loads("{\"a\": {\"value\": 1}, \"b\": {\"value\": 2}, \"c\": {\"value\": "
					"3}, \"d\": {\"value\": 4}}",
		0, NULL);
	json_auto_t *shown = template_shown_parameters(template, given);
	g_autofree char *text = json_dumps(shown, JSON_COMPACT);

	g_assert_cmpstr(text, ==, "{\"a\":{\"value\":1}}");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/arm/template/dependencies are named by id, type and name, or name", test_dependencies);
	g_test_add_func("/arm/template/children are found inside and beside their parents and wait for them",
		test_children);
	g_test_add_func("/arm/template/bodies and outputs are evaluated when others are there", test_bodies);
	g_test_add_func("/arm/template/what a condition leaves out can still be depended on", test_condition);
	g_test_add_func("/arm/template/mistakes are named", test_mistakes);
	g_test_add_func("/arm/template/secure parameters are not shown", test_secrets);
	return g_test_run();
}
