/* Templates: what they expand to, and what is wrong with them. */
#include "api/arm/template.h"

#include "api/arm/error.h"
#include "base/relaxed_json.h"

#include <string.h>

static struct template *open_text(const char *text, const char *parameters, GError **error)
{
	json_auto_t *json = relaxed_json_parse(text, strlen(text), error);
	json_auto_t *given = parameters ? json_loads(parameters, 0, NULL) : NULL;
	json_auto_t *globals = json_pack("{s:{s:s, s:s}, s:{s:s}}", "resourceGroup", "name", "rg", "location",
		"centralus", "deployment", "name", "d");
	const struct template_input input = {
		.template = json,
		.parameters = given,
		.mode = "incremental",
		.subscription = "sub",
		.group = "rg",
		.globals = globals,
		.seed = "operation",
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
	g_assert_cmpstr(out, ==, "{\"o\":{\"type\":\"String\",\"value\":\"x\"}}");
}

/* The values of the parameters of a template that has no more, sorted by name; NULL with *error. Owned. */
static char *parameters_of(const char *parameters, const char *given, GError **error)
{
	g_autofree char *text = g_strdup_printf(
		"{parameters: {%s}, variables: {v: \"[parameters('z')]\"}, resources: []}", parameters);
	_cleanup_(template_free) struct template *template = open_text(text, given, error);

	return template ? json_dumps(template->parameters, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
}

static void assert_parameters(const char *parameters, const char *given, const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *values = parameters_of(parameters, given, &error);

	g_assert_no_error(error);
	g_assert_cmpstr(values, ==, expected);
}

#define TEXT "type: 'string'"

/* What a default refers to may stand before or behind it, be given or have a default itself. */
static void test_defaults(void)
{
	static const char name[] = "nsg: {" TEXT ", defaultValue: \"[concat(parameters('Vm'), '-nsg')]\"}";
	g_autofree char *given = g_strconcat(name, ", vm: {" TEXT "}", NULL),
			*defaulted = g_strconcat(name,
				", vm: {" TEXT ", defaultValue: \"[parameters('z')]\"}, z: {" TEXT
				", defaultValue: 'end'}",
				NULL),
			*before = g_strconcat("vm: {" TEXT ", defaultValue: 'x'}, ", name, NULL);

	assert_parameters(given, "{\"vm\": {\"value\": \"web\"}}", "{\"nsg\":\"web-nsg\",\"vm\":\"web\"}");
	assert_parameters(defaulted, NULL, "{\"nsg\":\"end-nsg\",\"vm\":\"end\",\"z\":\"end\"}");
	assert_parameters(
		defaulted, "{\"vm\": {\"value\": \"v\"}}", "{\"nsg\":\"v-nsg\",\"vm\":\"v\",\"z\":\"end\"}");
	assert_parameters(before, NULL, "{\"nsg\":\"x-nsg\",\"vm\":\"x\"}");
	/* Two that want each other, of which one is given, are no circle. */
	assert_parameters("a: {" TEXT ", defaultValue: \"[parameters('b')]\"}, b: {" TEXT
			  ", defaultValue: \"[parameters('a')]\"}",
		"{\"a\": {\"value\": \"x\"}}", "{\"a\":\"x\",\"b\":\"x\"}");
	/* It does not see the loop or the lambda that asks for it; a variable may be on the way. */
	assert_parameters("a: {type: 'array', defaultValue: \"[map(createArray(1, 2), lambda('i', "
			  "concat(lambdaVariables('i'), variables('v'))))]\"}, z: {" TEXT
			  ", defaultValue: \"[first(map(createArray('y'), lambda('i', "
			  "lambdaVariables('i'))))]\"}",
		NULL, "{\"a\":[\"1y\",\"2y\"],\"z\":\"y\"}");
	assert_parameters("a: {type: 'string', nullable: true}, b: {type: 'bool', defaultValue: "
			  "\"[empty(parameters('a'))]\"}",
		NULL, "{\"a\":null,\"b\":true}");
}

/* What newGuid() gives is its parameter's own, whichever is asked for first. */
static void test_default_guids(void)
{
	static const char one[] = "one: {" TEXT ", defaultValue: '[newGuid()]'}",
			  two[] = "two: {" TEXT ", defaultValue: \"[concat(newGuid(), newGuid())]\"}",
			  both[] = "both: {" TEXT
				   ", defaultValue: \"[concat(parameters('two'), newGuid())]\"}";
	g_autofree char *forward = g_strjoin(", ", one, two, both, NULL),
			*backward = g_strjoin(", ", both, two, one, NULL);
	g_autoptr(GError) error = NULL;
	g_autofree char *values = parameters_of(forward, NULL, &error),
			*again = parameters_of(backward, NULL, &error);
	json_auto_t *json = values ? json_loads(values, 0, NULL) : NULL;

	g_assert_no_error(error);
	g_assert_cmpstr(values, ==, again);
	g_assert_cmpuint(json_string_length(json_object_get(json, "both")), ==, 3 * 36);
}

static void test_parameters_limit(void)
{
	g_autoptr(GString) text = g_string_new("z: {" TEXT ", defaultValue: 'end'}");
	g_autoptr(GError) none = NULL, error = NULL;

	for (unsigned i = 1; i < 256; i++)
		g_string_append_printf(text, ", p%u: {" TEXT ", defaultValue: \"[parameters('Z')]\"}", i);
	g_autofree char *values = parameters_of(text->str, NULL, &none);
	g_assert_no_error(none);
	g_assert_nonnull(strstr(values, "\"p255\":\"end\""));
	g_string_append(text, ", p256: {" TEXT ", defaultValue: 'x'}");
	g_autofree char *more = parameters_of(text->str, NULL, &error);
	g_assert_null(more);
	g_assert_nonnull(strstr(error->message, "it has 257 parameters, more than 256"));
}

static void assert_body(struct template *template, guint index, const char *expected)
{
	g_autoptr(GError) error = NULL;
	json_auto_t *body = template_body(template, index, lookup, NULL, &error);

	g_assert_no_error(error);
	g_autofree char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
	g_assert_cmpstr(text, ==, expected);
}

/* Two rounds and none; a child goes with its parent's round, and properties have loops of their own. */
static void test_loops(void)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(template_free) struct template *template = open_text(
		"{variables: {copy: [{name: 'ports', count: 2, input: \"[add(80, copyIndex('ports'))]\"}],"
		" o: {copy: [{name: 'l', count: 2, input: \"[copyIndex('l')]\"}]}}, resources: ["
		"{type: 'N.W/a', name: \"[concat('x', copyIndex(1))]\", copy: {name: 'xs', count: 2},"
		" properties: {n: '[copyIndex()]', copy: [{name: 'disks', count: '[add(copyIndex(), 1)]',"
		" input: {lun: \"[format('{0}-{1}', copyIndex(), copyIndex('disks', 5))]\"}}]},"
		" resources: [{type: 'c', name: \"[concat('of', copyIndex())]\"}]},"
		"{type: 'N.W/b', name: \"[concat('n', copyIndex())]\", copy: {name: 'none', count: 0}},"
		"{type: 'N.W/d', name: 'after', dependsOn: ['XS', 'none'], properties: {ports: "
		"\"[variables('ports')]\","
		" l: \"[variables('o').l]\"}}],"
		" outputs: {all: {type: 'array', copy: {count: 2, input: \"[reference(concat('x', "
		"copyIndex(1))).name]\"}},"
		" not: {type: 'string', condition: '[false()]', value: '[nosuch()]'},"
		" hidden: {type: 'secureString', value: 'hunter2'}}}",
		NULL, &error);

	g_assert_no_error(error);
	g_assert_cmpint(template->resources->len, ==, 5);
	g_assert_cmpstr(at(template, 0)->name, ==, "x1");
	g_assert_cmpstr(at(template, 1)->name, ==, "x1/of0");
	g_assert_cmpstr(at(template, 3)->name, ==, "x2/of1");
	assert_depends(template, 0, "");
	assert_depends(template, 2, "");
	assert_depends(template, 3, "2");
	assert_depends(template, 4, "0,2");
	assert_body(template, 0, "{\"properties\":{\"disks\":[{\"lun\":\"0-5\"}],\"n\":0}}");
	assert_body(
		template, 2, "{\"properties\":{\"disks\":[{\"lun\":\"1-5\"},{\"lun\":\"1-6\"}],\"n\":1}}");
	assert_body(template, 4, "{\"properties\":{\"l\":[0,1],\"ports\":[80,81]}}");
	json_auto_t *outputs = template_outputs(template, lookup, NULL, &error);
	g_assert_no_error(error);
	g_autofree char *text = json_dumps(outputs, JSON_COMPACT | JSON_SORT_KEYS);
	g_assert_cmpstr(text, ==,
		"{\"all\":{\"type\":\"Array\",\"value\":[\"x1\",\"x2\"]},\"hidden\":{\"type\":"
		"\"SecureString\"}}");
}

static void test_batches(void)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(template_free) struct template *template =
		open_text("{resources: [{type: 'N.W/a', name: \"[concat('x', copyIndex())]\","
			  " copy: {name: 'xs', count: 5, mode: 'Serial', batchSize: 2}},"
			  " {type: 'N.W/b', name: \"[concat('y', copyIndex())]\", copy: {name: 'ys', count: "
			  "2, mode: 'serial'}}]}",
			NULL, &error);

	g_assert_no_error(error);
	assert_depends(template, 0, "");
	assert_depends(template, 1, "");
	assert_depends(template, 2, "0,1");
	assert_depends(template, 3, "0,1");
	assert_depends(template, 4, "2,3");
	assert_depends(template, 5, "");
	assert_depends(template, 6, "5");
}

/* As newer tools write them: symbols, which others depend on and refer to, and resources that are there already. */
static void test_symbols(void)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(template_free) struct template *template = open_text(
		"{languageVersion: '2.0', parameters: {p: {type: 'string', nullable: true}}, resources: {"
		"net: {existing: true, type: 'N.W/vnets', name: 'there'},"
		"nic: {type: 'N.W/nics', name: 'net', properties: {n: \"[reference('net').name]\"}},"
		"vm: {type: 'N.W/vms', name: 'v', dependsOn: ['nic']}}}",
		NULL, &error);

	g_assert_no_error(error);
	g_assert_true(at(template, 0)->skipped);
	assert_depends(template, 1, "0");
	assert_depends(template, 2, "1");
	assert_body(template, 1, "{\"properties\":{\"n\":\"there\"}}");
}

/* A loop's rounds are called by its symbol and their numbers, and referred to all together; what exists may be elsewhere. */
static void test_rounds(void)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(template_free) struct template *template =
		open_text("{languageVersion: '2.0', resources: {"
			  "far: {existing: true, type: 'N.W/vnets', name: 'far', resourceGroup: 'other'},"
			  "nics: {type: 'N.W/nics', name: \"[format('n{0}', copyIndex())]\", copy: {name: "
			  "'nics', count: 2}},"
			  "one: {type: 'N.W/vms', name: 'one', dependsOn: [\"[format('nics[{0}]', 1)]\"]},"
			  "two: {type: 'N.W/vms', name: 'two', properties: {n: \"[references('nics')]\", f: "
			  "\"[reference('far').name]\","
			  " m: \"[reference('nics[0]').name]\"}},"
			  "none: {type: 'N.W/x', name: 'none', properties: {n: \"[references('empty')]\"}},"
			  "empty: {type: 'N.W/y', name: \"[format('e{0}', copyIndex())]\", copy: {name: "
			  "'empty', count: 0}}}}",
			NULL, &error);

	g_assert_no_error(error);
	g_assert_nonnull(strstr(at(template, 0)->id_text, "resourceGroups/other/"));
	assert_depends(template, 3, "2");
	assert_depends(template, 4, "1,2,0");
	assert_body(template, 4,
		"{\"properties\":{\"f\":\"far\",\"m\":\"n0\",\"n\":[{\"name\":\"n0\"},{\"name\":\"n1\"}]}}");
	assert_body(template, 5, "{\"properties\":{\"n\":[]}}");
}

/* Types of the template's own, as newer tools write them. */
static void test_definitions(void)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(template_free) struct template *template = open_text(
		"{definitions: {name: {type: 'string', maxLength: 3}, names: {type: 'array', items: {$ref: "
		"'#/definitions/name'}}, mine: {$ref: '#/definitions/names', nullable: true}}, parameters: "
		"{p: {$ref: "
		"'#/definitions/mine'}, q: {$ref: '#/definitions/name', defaultValue: 'ab'}, r: {type: "
		"'array', "
		"allowedValues: ['a', 'b'], defaultValue: ['b']}}, resources: []}",
		NULL, &error);

	g_assert_no_error(error);
	g_autofree char *text = json_dumps(template->parameters, JSON_COMPACT | JSON_SORT_KEYS);
	g_assert_cmpstr(text, ==, "{\"p\":null,\"q\":\"ab\",\"r\":[\"b\"]}");
}

/* By default the expressions of an inner template are the outer's, and are worked out before it is deployed. */
static void test_inner_templates(void)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(template_free) struct template *template = open_text(
		"{variables: {v: 'outer'}, resources: ["
		"{type: 'N.W/a', name: 'a'},"
		"{type: 'Microsoft.Resources/deployments', name: 'one', properties: {mode: 'Incremental', "
		"template:"
		" {resources: [{type: 'N.W/b', name: \"[variables('v')]\", p: '[[literal]'}]}}},"
		"{type: 'Microsoft.Resources/deployments', name: 'two', resourceGroup: 'other', properties: {"
		" expressionEvaluationOptions: {scope: 'inner'}, parameters: {p: {value: "
		"\"[reference('a').name]\"}},"
		" template: {parameters: {p: {type: 'string'}}, resources: [{type: 'N.W/b', name: "
		"\"[parameters('p')]\"}]}}}]}",
		NULL, &error);

	g_assert_no_error(error);
	g_assert_true(at(template, 1)->deployment);
	g_assert_cmpstr(at(template, 2)->id_text, ==,
		"/subscriptions/sub/resourceGroups/other/providers/Microsoft.Resources/deployments/two");
	assert_depends(template, 2, "0");
	assert_body(template, 1,
		"{\"properties\":{\"mode\":\"Incremental\",\"template\":{\"resources\":[{\"name\":\"outer\","
		"\"p\":\"[[literal]\",\"type\":"
		"\"N.W/b\"}]}}}");
	assert_body(template, 2,
		"{\"properties\":{\"expressionEvaluationOptions\":{\"scope\":\"inner\"},\"parameters\":{"
		"\"p\":{\"value\":\"a\"}},"
		"\"template\":{\"parameters\":{\"p\":{\"type\":\"string\"}},\"resources\":[{\"name\":\"["
		"parameters('p')]\",\"type\":"
		"\"N.W/b\"}]}}}");
	json_auto_t *unknown = template_body(template, 2, NULL, NULL, &error);
	g_assert_no_error(error);
	g_assert_true(template_is_unknown(template, unknown));
	json_auto_t *known = template_body(template, 1, NULL, NULL, &error);
	g_assert_false(template_is_unknown(template, known));
}

/* As many resources as there can be, each waiting for the one before, do not take long. */
static void test_most(void)
{
	g_autoptr(GError) error = NULL;
	gint64 start = g_get_monotonic_time();
	_cleanup_(template_free) struct template *template =
		open_text("{resources: [{type: 'N.W/a', name: \"[format('x{0}', copyIndex())]\", tags: {n: "
			  "\"[string(copyIndex())]\"},"
			  " dependsOn: \"[if(equals(copyIndex(), 0), createArray(), "
			  "createArray(format('x{0}', sub(copyIndex(), 1))))]\","
			  " copy: {name: 'xs', count: 800}}]}",
			NULL, &error);

	g_assert_no_error(error);
	g_assert_cmpint(template->resources->len, ==, 800);
	assert_depends(template, 799, "798");
	g_assert_cmpint(g_get_monotonic_time() - start, <, 5 * G_USEC_PER_SEC);
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

static const struct {
	const char *text, *parameters, *message;
} mistakes[] = {
	{"[]", NULL, "properties.template must be an object"},
	{"{}", NULL, "it has no 'resources'"},
	{"{resources: 7}", NULL, "resources must be an array or an object"},
	{"{resources: [7]}", NULL, "resources[0] is no object"},
	{"{resources: [{name: 'x'}]}", NULL, "resources[0]: the resource has no 'type'"},
	{"{resources: [{type: 'N/t'}]}", NULL, "resources[0]: the resource has no 'name'"},
	{"{resources: {s: {type: 'N/t', name: ['x']}}}", NULL, "resources.s: 'name' must be a string"},
	{"{resources: [{type: 'N/t', name: 'x', condition: 7}]}", NULL, "'condition' must be true or false"},
	{"{resources: [{type: 'N/t/c', name: 'x'}]}", NULL, "do not fit"},
	{"{resources: [{type: 'N/t', name: 'x', resources: [{type: 'c', name: 'y', resources: "
	 "[{type: 'd', "
	 "name: 'z'}]}]}]}",
		NULL, "'N/t/c/d' is not supported: no resource here has children of children"},
	{"{resources: [{type: 'N/t', name: 'x'}, {type: 'n/T', name: 'X'}]}", NULL, "is defined twice"},
	{"{resources: [{type: 'N/t', name: 'x', dependsOn: ['y']}]}", NULL,
		"the resource 'y' that 'x' depends on is not defined"},
	{"{resources: [{type: 'N/t', name: 'x', dependsOn: ['y']}, {type: 'N/t', name: 'y', "
	 "dependsOn: ['x']}]}",
		NULL, "depends on itself in a circle"},
	{"{resources: [{type: 'N/a', name: 'x'}, {type: 'N/b', name: 'x'}, {type: 'N/c', name: 'y', "
	 "dependsOn: ['x']}]}",
		NULL, "is there more than once"},
	{"{resources: [{type: 'N/t', name: 'x', copy: {name: 'c', count: 2}}]}", NULL, "is defined twice"},
	{"{resources: [{type: 'N/t', name: 'x', copy: {count: 2}}]}", NULL, "a 'copy' loop needs a name"},
	{"{resources: [{type: 'N/t', name: 'x', copy: {name: 'c', count: 801}}]}", NULL,
		"the 'copy' loop in resources[0].copy needs a 'count' from 0 to 800"},
	{"{resources: [{type: 'N/t', name: 'x', copy: {name: 'c', count: 1, mode: 'odd'}}]}", NULL,
		"the mode of a 'copy' loop"},
	{"{resources: [{type: 'N/t', name: 'x', resources: [{type: 'c', name: 'd', copy: {name: 'c', "
	 "count: 1}}]}]}",
		NULL, "resources[0].resources[0]: a resource inside of another"},
	{"{resources: [{type: 'N/t', name: 'x', properties: {copy: [{name: 'c', count: 1}]}}]}", NULL,
		"the 'copy' loop in resources[0].properties.copy[0] has no 'input'"},
	{"{resources: [{type: 'N/t', name: '[copyIndex()]'}]}", NULL,
		"in resources[0].name: column 2: there is no loop here"},
	{"{variables: {v: \"[reference('x')]\"}, resources: [{type: 'N/t', name: 'x', tags: "
	 "\"[variables('v')]\"}]}",
		NULL, "in variables.v: column 2: reference() can stand"},
	{"{resources: [{type: 'N/t', name: 'x', properties: {a: '[nosuch()]'}}]}", NULL,
		"in resources[0].properties.a: column 2: the function 'nosuch'"},
	{"{resources: [{type: 'N/t', name: \"[reference('x').y]\"}]}", NULL,
		"reference() can stand in properties and outputs only"},
	{"{resources: [], outputs: {o: {type: 'string', value: \"[reference('x').y]\"}}}", NULL,
		"is not defined in the template"},
	{"{parameters: {p: {type: 'string'}}, resources: []}", NULL,
		"The value for the template parameter 'p'"},
	{"{parameters: {p: {type: 'strange'}}, resources: []}", NULL, "has no type that is known"},
	{"{parameters: {p: {type: 'int'}}, resources: []}", "{\"p\": {\"value\": \"x\"}}",
		"has a value that is no Int"},
	{"{parameters: {p: {type: 'string', allowedValues: ['a']}}, resources: []}",
		"{\"p\": {\"value\": \"x\"}}", "has a value that is not allowed; allowed are [\"a\"]"},
	{"{parameters: {p: {type: 'int', minValue: 3}}, resources: []}", "{\"p\": {\"value\": 2}}",
		"is 2, and 3 is the least"},
	{"{parameters: {p: {type: 'int', maxValue: 3}}, resources: []}", "{\"p\": {\"value\": 4}}",
		"is 4, and 3 is the most"},
	{"{parameters: {p: {type: 'string', minLength: 3}}, resources: []}", "{\"p\": {\"value\": \"ab\"}}",
		"has a length of 2, and 3 is the least"},
	{"{parameters: {p: {type: 'array', maxLength: 1}}, resources: []}", "{\"p\": {\"value\": [1, 2]}}",
		"has a length of 2, and 1 is the most"},
	{"{parameters: {p: {type: 'string'}}, resources: []}", "{\"p\": {\"reference\": {}}}",
		"refers to a key vault, and there is none"},
	{"{parameters: {p: {type: 'string', defaultValue: '[nosuch()]'}}, resources: []}", NULL,
		"in parameters.p.defaultValue: column 2"},
	{"{parameters: {p: {type: 'string', defaultValue: \"[parameters('P')]\"}}, resources: []}", NULL,
		"'p' has a default value that refers to itself: 'p', 'p'"},
	{"{parameters: {a: {type: 'string', defaultValue: \"[parameters('b')]\"}, b: {type: 'string', "
	 "defaultValue: \"[concat(parameters('c'), 'x')]\"}, c: {type: 'string', defaultValue: "
	 "\"[parameters('b')]\"}}, resources: []}",
		NULL, "'b' has a default value that refers to itself: 'b', 'c', 'b'"},
	{"{parameters: {a: {type: 'string', defaultValue: \"[variables('v')]\"}}, variables: {v: "
	 "\"[parameters('a')]\"}, resources: []}",
		NULL, "'a' has a default value that refers to itself: 'a', 'a'"},
	{"{parameters: {a: {type: 'array', defaultValue: \"[map(createArray(1), lambda('i', "
	 "parameters('b')))]\"}, b: {type: 'int', defaultValue: \"[lambdaVariables('i')]\"}}, resources: []}",
		NULL, "in parameters.b.defaultValue: column 2"},
	{"{parameters: {a: {type: 'string', defaultValue: \"[parameters('nosuch')]\"}}, resources: []}", NULL,
		"in parameters.a.defaultValue: column 2: there is no parameter 'nosuch' here"},
	{"{parameters: {a: {type: 'string', defaultValue: \"[parameters('b')]\"}, b: {type: 'string'}}, "
	 "resources: []}",
		NULL, "The value for the template parameter 'b' is not provided"},
	{"{parameters: {a: {type: 'string', defaultValue: \"[string(parameters('b'))]\"}, b: {type: 'int', "
	 "defaultValue: 7, maxValue: 5}}, resources: []}",
		NULL, "'b' is 7, and 5 is the most"},
	{"{resources: [], outputs: {o: {type: 'string', value: 7}}}", NULL,
		"the output 'o' has a value that is no String"},
	{"{resources: [], outputs: {o: {type: 'string'}}}", NULL, "the output 'o' has no value"},
	{"{resources: [], outputs: {o: {value: 'x'}}}", NULL, "the output 'o' has no type that is known"},
	{"{resources: []}", "{\"p\": {\"value\": \"x\"}}", "the template has no parameter 'p'"},
	{"{parameters: {p: {type: 'array', allowedValues: ['a', 'b']}}, resources: []}",
		"{\"p\": {\"value\": [\"a\", \"c\"]}}", "allowed are [\"a\",\"b\"]"},
	{"{definitions: {n: {type: 'string', minLength: 3}}, parameters: {p: {$ref: "
	 "'#/definitions/n'}}, "
	 "resources: []}",
		"{\"p\": {\"value\": \"ab\"}}", "and 3 is the least"},
	{"{definitions: {a: {$ref: '#/definitions/a'}}, parameters: {p: {$ref: '#/definitions/a'}}, "
	 "resources: []}",
		NULL, "has no type that is known"},
	{"{$schema: 'https://x/tenantDeploymentTemplate.json#', resources: []}", NULL,
		"only resource groups can be deployed to"},
	{"{resources: [{type: 'N/t', name: 'x', scope: '/'}]}", NULL, "resources[0]: a 'scope' is not"},
	{"{resources: [{type: 'Microsoft.Resources/deployments', name: 'x', subscriptionId: 's'}]}", NULL,
		"a subscription cannot be deployed to; name a group"},
	{"{resources: {s: {type: 'N/t', name: 'x', dependsOn: ['r[2]']}, r: {type: 'N/t', name: "
	 "\"[format('r{0}', copyIndex())]\", copy: {name: 'r', count: 2}}}}",
		NULL, "the resource 'r[2]' that 'x' depends on is not defined"},
};

static void test_mistakes(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(mistakes); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(open_text(mistakes[i].text, mistakes[i].parameters, &error));
		g_assert_nonnull(error);
		if (error->domain != ARM_FAULT || !strstr(error->message, mistakes[i].message))
			g_error("'%s': expected '%s', got '%s'", mistakes[i].text, mistakes[i].message,
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

	g_assert_cmpstr(text, ==,
		"{\"a\":{\"type\":\"String\",\"value\":1},\"b\":{\"type\":\"SecureString\"},\"c\":{\"type\":"
		"\"SecureObject\"}}");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/arm/template/dependencies are named by id, type and name, or name", test_dependencies);
	g_test_add_func("/arm/template/children are found inside and beside their parents and wait for them",
		test_children);
	g_test_add_func("/arm/template/bodies and outputs are evaluated when others are there", test_bodies);
	g_test_add_func(
		"/arm/template/defaults of parameters may refer to any other parameter", test_defaults);
	g_test_add_func("/arm/template/more parameters than ARM allows are refused", test_parameters_limit);
	g_test_add_func("/arm/template/what newGuid() gives a default is its own", test_default_guids);
	g_test_add_func("/arm/template/what a condition leaves out can still be depended on", test_condition);
	g_test_add_func(
		"/arm/template/loops repeat resources, properties, variables and outputs", test_loops);
	g_test_add_func("/arm/template/a serial loop goes by batches", test_batches);
	g_test_add_func("/arm/template/resources can be called by symbols", test_symbols);
	g_test_add_func("/arm/template/rounds of loops can be called by symbols", test_rounds);
	g_test_add_func("/arm/template/types can be the template's own", test_definitions);
	g_test_add_func("/arm/template/an inner template has the outer's expressions or its own",
		test_inner_templates);
	g_test_add_func("/arm/template/the most resources there can be are read in time", test_most);
	g_test_add_func("/arm/template/mistakes are named", test_mistakes);
	g_test_add_func("/arm/template/secure parameters are not shown", test_secrets);
	return g_test_run();
}
