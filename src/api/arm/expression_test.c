/* The template language. */
#include "api/arm/expression.h"

#include "api/arm/error.h"

#include <string.h>

static json_t *unknown;

static json_t *reference(const char *name, void *data, GError **error)
{
	if (g_str_equal(name, "later"))
		return json_incref(unknown);
	if (g_str_equal(name, "ip"))
		return json_pack("{s:s, s:{s:s, s:[s, s]}}", "location", "here", "properties", "address",
			"203.0.113.2", "list", "a", "b");
	arm_fault_set(error, ARM_INVALID_TEMPLATE, "no %s", name);
	return NULL;
}

static json_t *providers(const char *namespace, void *data)
{
	return g_str_equal(namespace, "N.W") ? json_pack("{s:[{s:s, s:[s]}]}", "resourceTypes",
						       "resourceType", "vnets", "apiVersions", "2024")
					     : NULL;
}

static json_t *evaluate(const char *text, GError **error)
{
	json_auto_t *parameters =
		json_pack("{s:s, s:i, s:{s:s}}", "vm", "Web", "count", 3, "object", "Key", "value");
	json_auto_t *variables =
		json_loads("{\"name\": \"[concat(parameters('VM'), '-nic')]\", \"a\": \"[variables('b')]\","
			   " \"b\": \"[variables('a')]\", \"list\": [\"[toLower('X')]\", 2],"
			   " \"deep\": {\"a\": [1, \"[nosuch()]\"]}}",
			0, NULL);
	json_t *group = json_pack("{s:s, s:s}", "name", "rg", "location", "centralus"),
	       *subscription = json_pack("{s:s}", "subscriptionId", "sub");
	json_auto_t *functions = json_loads(
		"[{\"namespace\": \"my\", \"members\": {\"twice\": {\"parameters\": [{\"name\": \"x\"}],"
		" \"output\": {\"value\": \"[concat(parameters('x'), parameters('X'))]\"}},"
		" \"blind\": {\"parameters\": [], \"output\": {\"value\": \"[variables('name')]\"}}}}]",
		0, NULL);
	json_auto_t *globals = json_pack("{s:o, s:o}", "resourceGroup", group, "subscription", subscription);
	const struct expression_loop outer = {.name = "vms", .index = 4, .main = true},
				     inner = {.outer = &outer, .name = "disks", .index = 1};
	struct expression_scope scope = {
		.subscription = "sub",
		.group = "rg",
		.globals = globals,
		.parameters = parameters,
		.variables = variables,
		.functions = functions,
		.unknown = unknown,
		.reference = reference,
		.providers = providers,
		.loop = &inner,
	};

	return expression_evaluate(text, &scope, error);
}

struct value_case {
	const char *text, *value;
};

static void assert_values(const struct value_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		g_autoptr(GError) error = NULL;
		json_auto_t *value = evaluate(cases[i].text, &error);
		if (error)
			g_error("'%s': %s", cases[i].text, error->message);
		g_autofree char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		if (!g_str_equal(text, cases[i].value))
			g_error("'%s': expected %s, got %s", cases[i].text, cases[i].value, text);
	}
}

static void test_values(void)
{
	static const struct value_case cases[] = {
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
		{"[-5]", "-5"},
		{"[my.twice('ab')]", "\"abab\""},
		{"[My.Twice(my.twice('a'))]", "\"aaaa\""},
		{"[subscriptionResourceId('N.A/roles', 'r')]",
			"\"/subscriptions/sub/providers/N.A/roles/r\""},
		{"[subscriptionResourceId('s2', 'N.A/roles', 'r')]",
			"\"/subscriptions/s2/providers/N.A/roles/r\""},
		{"[tenantResourceId('N.A/roles', 'r')]", "\"/providers/N.A/roles/r\""},
		{"[extensionResourceId('/x', 'N.A/locks', 'l')]", "\"/x/providers/N.A/locks/l\""},
		{"[providers('N.W', 'VNETS').apiVersions[0]]", "\"2024\""},
		{"[copyIndex()]", "4"},
		{"[copyIndex(1)]", "5"},
		{"[copyIndex('disks')]", "1"},
		{"[copyIndex('DISKS', 10)]", "11"},
	};

	assert_values(cases, G_N_ELEMENTS(cases));
}

static void test_text_functions(void)
{
	static const struct value_case cases[] = {
		{"[concat('a', 1, true(), json('1.5'))]", "\"a1True1.5\""},
		{"[toUpper('grün')]", "\"GRÜN\""},
		{"[trim('  a b ')]", "\"a b\""},
		{"[padLeft('7', 3, '0')]", "\"007\""},
		{"[padLeft(12, 4)]", "\"  12\""},
		{"[padLeft('long', 2, '0')]", "\"long\""},
		{"[substring('one two three', 4, 3)]", "\"two\""},
		{"[substring('grün', 2)]", "\"ün\""},
		{"[replace('123-123', '-', '')]", "\"123123\""},
		{"[replace('aaa', 'a', 'aa')]", "\"aaaaaa\""},
		{"[split('one;two,three', createArray(',', ';'))]", "[\"one\",\"two\",\"three\"]"},
		{"[split('a--b', '-')]", "[\"a\",\"\",\"b\"]"},
		{"[join(createArray('a', 2, 'c'), '/')]", "\"a/2/c\""},
		{"[startsWith('abcdef', 'AB')]", "true"},
		{"[endsWith('abcdef', 'eG')]", "false"},
		{"[indexOf('test', 'T')]", "0"},
		{"[indexOf('grün', 'N')]", "3"},
		{"[lastIndexOf('test', 't')]", "3"},
		{"[indexOf(createArray('a', 'b', 'b'), 'b')]", "1"},
		{"[lastIndexOf(createArray('a', 'b', 'b'), 'b')]", "2"},
		{"[indexOf('abc', 'z')]", "-1"},
		{"[format('{0}, {1}. Number: {2:N0}', 'Hello', 'User', 8175133)]",
			"\"Hello, User. Number: 8,175,133\""},
		{"[format('{0:D3}|{0:X4}|{0:x}|{0:F2}|{0:N1}|{0:000}', 26)]",
			"\"026|001A|1a|26.00|26.0|026\""},
		{"[format('[{0,4}] {0,-4}|', 7)]", "\"[   7] 7   |\""},
		{"[format('{0} {1}', true(), createArray(1))]", "\"True [1]\""},
	};

	assert_values(cases, G_N_ELEMENTS(cases));
}

static void test_code_functions(void)
{
	static const struct value_case cases[] = {
		{"[string(createObject('a', createArray(1, true())))]", "\"{\\\"a\\\":[1,true]}\""},
		{"[string(5)]", "\"5\""},
		{"[toLower(string(true()))]", "\"true\""},
		{"[json('{''a'': [1, null]}').a]", "[1,null]"},
		{"[base64('one, two, three')]", "\"b25lLCB0d28sIHRocmVl\""},
		{"[base64ToString('b25lLCB0d28sIHRocmVl')]", "\"one, two, three\""},
		{"[base64ToJson(base64('{''one'': 1}')).one]", "1"},
		{"[dataUri('Hello')]", "\"data:text/plain;charset=utf8;base64,SGVsbG8=\""},
		{"[dataUriToString('data:;base64,SGVsbG8=')]", "\"Hello\""},
		{"[dataUriToString('data:,a%20b')]", "\"a b\""},
		{"[uri('http://contoso.org/firstpath', 'x.sh')]", "\"http://contoso.org/x.sh\""},
		{"[uri('http://contoso.org/firstpath/', '/x.sh')]", "\"http://contoso.org/firstpath/x.sh\""},
		{"[uriComponent('http://a b/')]", "\"http%3A%2F%2Fa%20b%2F\""},
		{"[uriComponentToString('a%20b')]", "\"a b\""},
		/* What Azure's make of the same arguments. */
		{"[uniqueString('tyeth')]", "\"zcztcwvu6iyg6\""},
		{"[uniqueString('hello', 'world')]", "\"a7wkljktk6wne\""},
		{"[uniqueString('/subscriptions/00000000-0000-0000-0000-000000000000', 'resource-id')]",
			"\"cwvxuqg24sifi\""},
		{"[guid('a')]", "\"3703365d-5a9f-59b4-bca7-b9681389e4c1\""},
		{"[equals(guid('a', 'b'), guid('a-b'))]", "true"},
	};

	assert_values(cases, G_N_ELEMENTS(cases));
}

static void test_list_functions(void)
{
	static const struct value_case cases[] = {
		{"[array('a')]", "[\"a\"]"},
		{"[array(createArray(1))]", "[1]"},
		{"[createArray()]", "[]"},
		{"[createObject('a', 1, 'b', null())]", "{\"a\":1,\"b\":null}"},
		{"[range(5, 3)]", "[5,6,7]"},
		{"[length('grün')]", "4"},
		{"[length(createObject('a', 1, 'b', 2))]", "2"},
		{"[length(range(0, 7))]", "7"},
		{"[empty('')]", "true"},
		{"[empty(createArray(1))]", "false"},
		{"[empty(null())]", "true"},
		{"[contains('OneTwo', 'Two')]", "true"},
		{"[contains('OneTwo', 'two')]", "false"},
		{"[contains(createObject('One', 1), 'one')]", "true"},
		{"[contains(range(1, 3), 3)]", "true"},
		{"[take('One Two', 3)]", "\"One\""},
		{"[take(range(1, 3), 9)]", "[1,2,3]"},
		{"[skip('One Two', 4)]", "\"Two\""},
		{"[skip(range(1, 3), -2)]", "[1,2,3]"},
		{"[first('One')]", "\"O\""},
		{"[first(createArray())]", "null"},
		{"[last(range(1, 3))]", "3"},
		{"[last('')]", "\"\""},
		{"[union(range(1, 2), createArray(2, 3))]", "[1,2,3]"},
		{"[union(createObject('a', 1, 'o', createObject('x', 1)), createObject('a', 2, 'o', "
		 "createObject('y', 2)))]",
			"{\"a\":2,\"o\":{\"x\":1,\"y\":2}}"},
		{"[intersection(range(1, 3), range(2, 3))]", "[2,3]"},
		{"[intersection(createObject('a', 1, 'b', 2), createObject('a', 1, 'b', 3))]", "{\"a\":1}"},
		{"[items(createObject('b', 1, 'a', 2))]",
			"[{\"key\":\"a\",\"value\":2},{\"key\":\"b\",\"value\":1}]"},
		{"[objectKeys(createObject('b', 1, 'a', 2))]", "[\"a\",\"b\"]"},
		{"[flatten(createArray(range(0, 2), range(5, 1)))]", "[0,1,5]"},
		{"[shallowMerge(createArray(createObject('a', 1), createObject('a', 2)))]", "{\"a\":2}"},
		{"[tryGet(createObject('a', createArray(7)), 'a', 0)]", "7"},
		{"[tryGet(createObject('a', 1), 'b', 'c')]", "null"},
		{"[map(range(0, 3), lambda('i', mul(lambdaVariables('i'), 2)))]", "[0,2,4]"},
		{"[filter(range(0, 6), lambda('i', equals(mod(lambdaVariables('i'), 2), 0)))]", "[0,2,4]"},
		{"[reduce(range(1, 4), 0, lambda('a', 'b', add(lambdaVariables('a'), "
		 "lambdaVariables('b'))))]",
			"10"},
		{"[sort(createArray(3, 1, 2), lambda('a', 'b', less(lambdaVariables('a'), "
		 "lambdaVariables('b'))))]",
			"[1,2,3]"},
		{"[toObject(createArray('x', 'y'), lambda('k', lambdaVariables('k')), lambda('k', "
		 "length(lambdaVariables('k'))))]",
			"{\"x\":1,\"y\":1}"},
		{"[map(createArray('a', 'b'), lambda('x', 'i', format('{0}{1}', lambdaVariables('x'), "
		 "lambdaVariables('i'))))]",
			"[\"a0\",\"b1\"]"},
		{"[filter(createArray('a', 'b'), lambda('x', 'i', equals(lambdaVariables('i'), 1)))]",
			"[\"b\"]"},
		{"[reduce(createArray(5, 7), 0, lambda('a', 'b', 'i', add(lambdaVariables('a'), "
		 "mul(lambdaVariables('b'), lambdaVariables('i')))))]",
			"7"},
		{"[groupBy(createArray('ab', 'c', 'ad'), lambda('x', first(lambdaVariables('x'))))]",
			"{\"a\":[\"ab\",\"ad\"],\"c\":[\"c\"]}"},
		{"[mapValues(createObject('a', 1), lambda('x', add(lambdaVariables('x'), 1)))]", "{\"a\":2}"},
		{"[map(range(0, 2), lambda('x', map(range(0, 1), lambda('y', add(lambdaVariables('x'), "
		 "lambdaVariables('y'))))))]",
			"[[0],[1]]"},
		{"[indexFromEnd(range(1, 3), 1)]", "3"},
		{"[tryIndexFromEnd(range(1, 3), 4)]", "null"},
		{"[indexOf(createArray('a', 'b'), 'b')]", "1"},
	};

	assert_values(cases, G_N_ELEMENTS(cases));
}

static void test_prefixes(void)
{
	static const struct value_case cases[] = {
		{"[parseCidr('10.144.0.0/20')]",
			"{\"network\":\"10.144.0.0\",\"netmask\":\"255.255.240.0\",\"broadcast\":\"10.144.15."
			"255\","
			"\"firstUsable\":\"10.144.0.1\",\"lastUsable\":\"10.144.15.254\",\"cidr\":20}"},
		{"[parseCidr('fd00:1::/64')]", "{\"network\":\"fd00:1::\",\"netmask\":\"ffff:ffff:ffff:ffff::"
					       "\",\"firstUsable\":\"fd00:1::\","
					       "\"lastUsable\":\"fd00:1::ffff:ffff:ffff:ffff\",\"cidr\":64}"},
		{"[parseCidr('10.0.0.4/32').lastUsable]", "\"10.0.0.4\""},
		{"[cidrSubnet('10.144.0.0/20', 24, 0)]", "\"10.144.0.0/24\""},
		{"[cidrSubnet('10.144.0.0/20', 24, 15)]", "\"10.144.15.0/24\""},
		{"[cidrSubnet('10.0.0.0/8', 8, 0)]", "\"10.0.0.0/8\""},
		{"[cidrSubnet('0.0.0.0/0', 32, 4294967295)]", "\"255.255.255.255/32\""},
		{"[cidrSubnet('fd00::/16', 128, 9223372036854775807)]", "\"fd00::7fff:ffff:ffff:ffff/128\""},
		{"[cidrSubnet('fd00:1::/32', 48, 258)]", "\"fd00:1:102::/48\""},
		{"[cidrHost('10.144.3.0/24', 0)]", "\"10.144.3.1\""},
		{"[cidrHost('10.144.3.0/24', 253)]", "\"10.144.3.254\""},
		{"[cidrHost('10.144.3.4/31', 1)]", "\"10.144.3.5\""},
		{"[cidrHost('fd00:1::/64', 4)]", "\"fd00:1::5\""},
	};

	assert_values(cases, G_N_ELEMENTS(cases));
}

static void test_numbers_and_logic(void)
{
	static const struct value_case cases[] = {
		{"[add(5, sub(3, 9))]", "-1"},
		{"[mul(4, div(7, 2))]", "12"},
		{"[mod(7, 3)]", "1"},
		{"[div(-7, -1)]", "7"},
		{"[min(3, 1, 2)]", "1"},
		{"[max(createArray(3, 1, 7))]", "7"},
		{"[int('-12')]", "-12"},
		{"[float('2.5')]", "2.5"},
		{"[equals(createObject('a', 1), createObject('a', 1))]", "true"},
		{"[equals('a', 'A')]", "false"},
		{"[equals('1', 1)]", "false"},
		{"[less('a', 'b')]", "true"},
		{"[lessOrEquals(2, 2)]", "true"},
		{"[greater(2, 2)]", "false"},
		{"[greaterOrEquals('b', 'a')]", "true"},
		{"[if(true(), 'a', parameters('none'))]", "\"a\""},
		{"[if(false(), parameters('none'), 'b')]", "\"b\""},
		{"[and(true(), false(), parameters('none'))]", "false"},
		{"[or(false(), true(), parameters('none'))]", "true"},
		{"[and(true(), not(false()))]", "true"},
		{"[bool('TRUE')]", "true"},
		{"[bool(0)]", "false"},
		{"[coalesce(null(), null(), 'x', 'y')]", "\"x\""},
	};

	assert_values(cases, G_N_ELEMENTS(cases));
}

static void test_time(void)
{
	static const struct value_case cases[] = {
		{"[dateTimeAdd('2020-04-07 14:53:14Z', 'P3Y')]", "\"2023-04-07 14:53:14Z\""},
		{"[dateTimeAdd('2020-04-07T14:53:14Z', '-P9D')]", "\"2020-03-29 14:53:14Z\""},
		{"[dateTimeAdd('20200407T145314Z', 'PT1H30M', 'HH:mm')]", "\"16:23\""},
		{"[dateTimeAdd('2020-04-07T14:05:09Z', 'P2W', 'ddd d MMMM yy, h:m:s tt')]",
			"\"Tue 21 April 20, 2:5:9 PM\""},
		{"[dateTimeFromEpoch(1683040573)]", "\"2023-05-02T15:16:13Z\""},
		{"[dateTimeToEpoch('2023-05-02T15:16:13Z')]", "1683040573"},
	};

	assert_values(cases, G_N_ELEMENTS(cases));
}

/* Parameters' defaults only: the same for the same seed, and each call another one. */
static void test_defaults(void)
{
	struct expression_scope scope = {.seed = "operation", .time_us = INT64_C(1683040573000000)},
				again = scope, other = {.seed = "another"};
	json_auto_t *now = expression_evaluate("[utcNow('yyyy-MM-dd')]", &scope, NULL),
		    *now_as_it_is = expression_evaluate("[utcNow()]", &scope, NULL),
		    *one = expression_evaluate("[newGuid()]", &scope, NULL),
		    *two = expression_evaluate("[newGuid()]", &scope, NULL),
		    *one_again = expression_evaluate("[newGuid()]", &again, NULL),
		    *of_other = expression_evaluate("[newGuid()]", &other, NULL);

	g_assert_cmpstr(json_string_value(now), ==, "2023-05-02");
	g_assert_cmpstr(json_string_value(now_as_it_is), ==, "20230502T151613Z");
	g_assert_true(g_uuid_string_is_valid(json_string_value(one)));
	g_assert_cmpstr(json_string_value(one), ==, json_string_value(one_again));
	g_assert_cmpstr(json_string_value(one), !=, json_string_value(two));
	g_assert_cmpstr(json_string_value(one), !=, json_string_value(of_other));
}

/* What is made of something that is not known is not known either, but mistakes beside it are seen. */
static void test_unknown(void)
{
	static const char *const texts[] = {"[reference('later').anything[3].else]",
		"[concat('x', reference('later').y)]", "[length(createArray(reference('later'), 1))]",
		"[createArray(1)[reference('later').i]]", "[if(reference('later').on, 'a', 'b')]",
		"[and(true(), reference('later').on)]",
		"[map(reference('later').list, lambda('x', toLower(lambdaVariables('x'))))]",
		"[equals(reference('later').a, createObject())]"};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) error = NULL;
		json_auto_t *value = evaluate(texts[i], &error);
		g_assert_no_error(error);
		g_assert_true(value == unknown);
	}
	json_auto_t *decided = evaluate("[and(reference('later').on, false())]", NULL);
	g_assert_true(json_is_false(decided));
	g_assert_null(evaluate("[if(reference('later').on, 'a', nosuch())]", NULL));
}

static void test_loops(void)
{
	json_auto_t *json = json_loads(
		"{\"copy\": [{\"name\": \"disks\", \"count\": \"[add(1, 1)]\", \"input\":"
		" {\"lun\": \"[copyIndex('disks', 1)]\"}}, {\"name\": \"none\", \"count\": 0, \"input\": 1}],"
		" \"other\": {\"copy\": \"[concat('a', 'b')]\"}}",
		0, NULL);
	struct expression_scope scope = {};
	g_autoptr(GError) error = NULL;
	json_auto_t *value = expression_expand(json, &scope, &error);
	g_autofree char *text = json_dumps(value, JSON_COMPACT);

	g_assert_no_error(error);
	g_assert_cmpstr(
		text, ==, "{\"disks\":[{\"lun\":1},{\"lun\":2}],\"none\":[],\"other\":{\"copy\":\"ab\"}}");
}

/* Escaped, a value is what it was when it is evaluated. */
static void test_escape(void)
{
	json_auto_t *json = json_loads("[\"[nosuch()]\", \"[[x]\", \"[a\", {\"k\": [\"[]\", 1]}]", 0, NULL);
	json_auto_t *escaped = expression_escape(json);
	struct expression_scope scope = {};
	json_auto_t *value = expression_expand(escaped, &scope, NULL);

	g_assert_true(json_equal(json, value));
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
		{"[nosuch('a')]", "column 2: the function 'nosuch' is not supported."},
		{"[concat('a') 'b']", "column 14: the expression should end here"},
		{"[toLower()]", "column 2: toLower() cannot have 0 arguments"},
		{"[toLower(1)]", "column 2: argument 1 must be a string"},
		{"[concat(variables('list'), 'x')]", "column 2: concat() takes either strings or arrays"},
		{"[parameters('none')]", "column 2: there is no parameter 'none' here"},
		{"[variables('none')]", "column 2: there is no variable 'none' here"},
		{"[variables('a')]", "refers to itself"},
		{"[resourceGroup().color]",
			"column 18: the property 'color' does not exist; there are 'name, location'"},
		{"[resourceGroup().name.x]", "only an object has a property 'x'"},
		{"[variables('list')[9]]", "there is no such item"},
		{"[variables('list')[-1]]", "there is no such item"},
		{"[format('{1}', 'a')]", "format() has no argument for '{1}'"},
		{"[format('{0:q}', 1)]",
			"format() has no argument for '{0:q}', or cannot write it like that"},
		{"[format('{', 1)]", "format() has no argument"},
		{"[resourceId('v', 'w')]", "there is no argument that is a type"},
		{"[resourceId('N/v', 'a', 'b')]", "1 names are needed behind the type 'N/v'"},
		{"[reference('gone').x]", "no gone"},
		{"[9999999999999999999]", "column 2: this is no whole number"},
		{"[%]", "column 2: '%' is not expected here"},
		{"[ü]", "column 2: 'ü' is not expected here"},
		{"[concat('a',)]", "column 13: ')' is not expected here"},
		{"[my.none()]", "the function 'my.none' is not supported"},
		{"[my.twice()]", "the function has 1 parameters, and 0 arguments are given"},
		{"[my.blind()]", "in functions.my.blind: column 2: there is no variable 'name' here"},
		{"[concat('a', add(1, 'x'))]", "column 14: argument 2 must be a whole number"},
		{"[if('yes', 1, 2)]", "column 5: true or false is needed here"},
		{"[div(1, 0)]", "divided by zero"},
		{"[div(-9223372036854775808, -1)]", "the result is too big"},
		{"[mul(9223372036854775807, 2)]", "the result is too big"},
		{"[min()]", "min() cannot have 0 arguments"},
		{"[substring('abc', 2, 2)]", "the string has 3 characters"},
		{"[range(0, 10001)]", "range() gives 0 to 10000 numbers"},
		{"[union(createArray(), createObject())]", "either arrays or objects are needed"},
		{"[replace('a', '', 'b')]", "argument 2 must not be empty"},
		{"[createObject('a')]", "pairs of a key and a value"},
		{"[base64ToString('*')]", "no base64 of a text"},
		{"[json('{')]", "the string is no JSON: line 1, column 2"},
		{"[int('x')]", "a whole number, or a string that is one"},
		{"[newGuid()]", "default values of parameters only"},
		{"[utcNow()]", "default values of parameters only"},
		{"[dateTimeAdd('2020-01-01T00:00:00Z', 'P1X')]", "is no duration"},
		{"[providers('N.W', 'none')]", "has no type 'none'"},
		{"[deployment().name]", "deployment() is not known here"},
		{"[copyIndex('none')]", "there is no loop 'none' here"},
		{"[lambda('x', 1)]", "a lambda can be an argument of"},
		{"[map(range(0, 1), 'x')]", "column 19: a lambda with 1 variables is needed here"},
		{"[lambdaVariables('x')]", "there is no lambda with a variable 'x' here"},
		{"[listKeys('x', '2020')]",
			"column 2: the function 'listKeys' is not supported: no resource here has keys"},
		{"[pickZones('a', 'b', 'c')]", "there are no availability zones"},
		{"[managementGroup().id]", "there are no management groups"},
		{"[fail('not so')]", "column 2: the template says: not so"},
		{"[references('s')]", "there is no loop with the symbol 's'"},
		{"[indexFromEnd(range(1, 3), 0)]", "there is no such item"},
		{"[indexFromEnd('abc', 1)]", "an array is needed"},
		{"[map(range(0, 1), lambda('a', 'b', 'c', 1))]", "a lambda with 1 variables is needed here"},
		{"[sort(range(0, 2), lambda('a', 'b', 'c', true()))]",
			"a lambda with 2 variables is needed here"},
		{"[groupBy(range(0, 1), lambda('x', lambdaVariables('x')))]", "a key must be a string"},
		{"[mapValues(range(0, 1), lambda('x', 1))]", "an object is needed here"},
		{"[parseCidr('10.0.0.4')]", "'10.0.0.4' is no prefix such as 10.0.0.0/16"},
		{"[parseCidr('10.0.0.4/8')]", "is an address in a network"},
		{"[cidrSubnet('10.0.0.0/16', 8, 0)]",
			"there is no prefix length 8 in it; the last one is 32"},
		{"[cidrSubnet('10.0.0.0/16', 24, 256)]", "there is no subnet 256 in it; the last one is 255"},
		{"[cidrHost('10.0.0.0/24', 254)]", "there is no host 254 in it; the last one is 253"},
		{"[cidrHost('10.0.0.0/24', -1)]", "there is no host -1"},
		{"[concat('a',\n  nosuch())]", "line 2, column 3: the function 'nosuch'"},
		{"[variables('deep').a[1]]", "in variables.deep.a[1]: column 2: the function 'nosuch'"},
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

/* Few words that would make much. */
static void test_cost(void)
{
	static const char *const texts[] = {
		"[replace(padLeft('', 60000, 'a'), 'a', padLeft('', 60000, 'b'))]",
		"[length(map(range(0, 10000), lambda('x', range(0, 10000))))]",
		("[string(reduce(range(0, 40), 'x', lambda('a', 'b', createArray(lambdaVariables('a'), "
		 "lambdaVariables('a')))))]"),
		"[reduce(range(0, 500), 'x', lambda('a', 'b', createArray(lambdaVariables('a'))))]",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(evaluate(texts[i], &error));
		g_assert_error(error, ARM_FAULT, ARM_INVALID_TEMPLATE);
		g_assert_true(strstr(error->message, "grows too big") || strstr(error->message, "too deep"));
	}
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
	static const char good[] =
		"[concat(parameters('vm'), my.twice('-'), format('{0,3:D2}', variables('list')[1]).x)]";

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
	unknown = json_object();
	g_test_add_func("/arm/expression/evaluates functions, members and items", test_values);
	g_test_add_func("/arm/expression/has functions of strings", test_text_functions);
	g_test_add_func("/arm/expression/has functions of codes, hashes as Azure's", test_code_functions);
	g_test_add_func("/arm/expression/has functions of lists and objects", test_list_functions);
	g_test_add_func("/arm/expression/calculates with IP prefixes", test_prefixes);
	g_test_add_func("/arm/expression/evaluates only what decides", test_numbers_and_logic);
	g_test_add_func("/arm/expression/has functions of time", test_time);
	g_test_add_func("/arm/expression/makes the same defaults of the same deployment", test_defaults);
	g_test_add_func("/arm/expression/passes on what is not known yet", test_unknown);
	g_test_add_func("/arm/expression/repeats properties", test_loops);
	g_test_add_func("/arm/expression/escapes what shall stay as it is", test_escape);
	g_test_add_func("/arm/expression/refuses what would cost too much", test_cost);
	g_test_add_func("/arm/expression/names the column of a mistake", test_mistakes);
	g_test_add_func("/arm/expression/refuses depth that would exhaust the stack", test_depth);
	g_test_add_func("/arm/expression/refuses to grow without bounds", test_growth);
	g_test_add_func("/arm/expression/survives mangled text", test_mangled);
	int status = g_test_run();
	json_decref(unknown);
	return status;
}
