/* What goes over the wire about deployments that are not made yet: what they would change. */
#include "api/test_cloud.h"

#include <string.h>

#define GROUP       "S/resourceGroups/myResourceGroup"
#define NET         GROUP "/providers/Microsoft.Network"
#define DEPLOYMENTS GROUP "/providers/Microsoft.Resources/deployments"

#define NSG_TYPE                                                                                             \
	"type: 'Microsoft.Network/networkSecurityGroups', apiVersion: '2022-01-01', location: 'centralus'"
#define RULE(name, port)                                                                                     \
	"{name: '" name "', properties: {priority: " port                                                    \
	", access: 'Allow', direction: 'Inbound', protocol: 'Tcp', "                                         \
	"sourceAddressPrefix: '*', sourcePortRange: '*', destinationAddressPrefix: '*', "                    \
	"destinationPortRange: '" port "'}}"
#define GROUP_OF(rules) "resources: [{" NSG_TYPE ", name: 'group', properties: {securityRules: [" rules "]}}]"

/* A group with a network. */
static void put_network(struct test_cloud *cloud)
{
	log_in_as_tester(cloud);
	g_assert_cmpint(put_recorded(cloud, "group"), ==, 201);
	g_assert_cmpint(put_recorded(cloud, "network"), ==, 201);
}

/* Owned. */
static char *body_of(const char *mode, const char *settings, const char *template)
{
	return g_strdup_printf(
		"{\"properties\": {\"mode\": \"%s\", %s template: {%s}}}", mode, settings, template);
}

static void deploy(struct test_cloud *cloud, const char *template)
{
	g_autofree char *body = body_of("Incremental", "", template);
	_cleanup_(answer_clear) struct answer put = ask(cloud, "PUT", DEPLOYMENTS "/done", body, NULL);
	g_autofree char *end = finish(cloud, &put, NULL);

	g_assert_cmpstr(end, ==, "Succeeded");
}

static struct answer look(
	struct test_cloud *cloud, const char *mode, const char *settings, const char *template)
{
	g_autofree char *body = body_of(mode, settings, template);
	struct answer answer = ask(cloud, "POST", DEPLOYMENTS "/looked/whatIf", body, NULL);

	g_assert_cmpint(answer.status, ==, 200);
	return answer;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "group Create, myVnet Ignore": kinds of changes and names of their resources, in the order of names. Owned. */
static char *changes_of(const struct answer *answer)
{
	const json_t *changes = json_object_get(json_object_get(answer->json, "properties"), "changes");
	g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
	json_t *change;
	size_t i;

	if (!json_is_array(changes))
		g_error("%s", json_dumps(answer->json, JSON_COMPACT));
	json_array_foreach((json_t *)changes, i, change)
	{
		g_ptr_array_add(texts,
			g_strdup_printf("%s %s",
				strrchr(json_string_value(json_object_get(change, "resourceId")), '/') + 1,
				json_string_value(json_object_get(change, "changeType"))));
	}
	g_ptr_array_sort(texts, compare_texts);
	g_ptr_array_add(texts, NULL);
	return g_strjoinv(", ", (char **)texts->pdata);
}

static void assert_changes(
	struct test_cloud *cloud, const char *mode, const char *template, const char *expected)
{
	_cleanup_(answer_clear) struct answer answer = look(cloud, mode, "", template);
	g_autofree char *changes = changes_of(&answer);

	g_assert_cmpstr(changes, ==, expected);
}

static void assert_refused(struct test_cloud *cloud, const char *template, const char *words)
{
	_cleanup_(answer_clear) struct answer answer = look(cloud, "Incremental", "", template);
	g_autofree char *text = json_dumps(answer.json, JSON_COMPACT);

	g_assert_cmpstr(json_string_value(json_object_get(answer.json, "status")), ==, "Failed");
	if (!strstr(text, words))
		g_error("'%s' is not in: %s", words, text);
}

/* The change of the resource of that name. Borrowed. */
static const json_t *find_change(const struct answer *answer, const char *name)
{
	const json_t *changes = json_object_get(json_object_get(answer->json, "properties"), "changes");
	json_t *change;
	size_t i;

	json_array_foreach((json_t *)changes, i, change)
	{
		if (g_str_has_suffix(json_string_value(json_object_get(change, "resourceId")), name))
			return change;
	}
	g_error("there is no change of %s", name);
}

static void assert_delta(
	struct test_cloud *cloud, const char *template, const char *name, const char *expected)
{
	_cleanup_(answer_clear) struct answer answer = look(cloud, "Incremental", "", template);
	const json_t *change = find_change(&answer, name);
	g_autofree char *text = json_dumps(json_object_get(change, "delta"), JSON_COMPACT | JSON_SORT_KEYS);

	g_assert_cmpstr(json_string_value(json_object_get(change, "changeType")), ==, "Modify");
	g_assert_cmpstr(text, ==, expected);
}

/* ---- kinds of changes ---- */

static void scenario_kinds(struct test_cloud *cloud)
{
	static const char two[] = "resources: [{" NSG_TYPE ", name: 'group'}, {" NSG_TYPE
				  ", name: 'other', condition: '[equals(1, 2)]'}]";

	put_network(cloud);
	assert_changes(cloud, "Incremental", two, "group Create, myVnet Ignore");
	_cleanup_(answer_clear) struct answer made =
		ask(cloud, "GET", NET "/networkSecurityGroups/group", NULL, NULL);
	g_assert_cmpint(made.status, ==, 404);
	_cleanup_(answer_clear) struct answer kept = ask(cloud, "GET", DEPLOYMENTS "/looked", NULL, NULL);
	g_assert_cmpint(kept.status, ==, 404);
	deploy(cloud, two);
	assert_changes(cloud, "Incremental", two, "group NoChange, myVnet Ignore");
	assert_changes(cloud, "Complete", two, "group NoChange, myVnet Delete");
	/* A parent stays for its child's sake. */
	assert_changes(cloud, "Complete",
		"resources: [{type: 'Microsoft.Network/virtualNetworks/subnets', name: 'myVnet/more', "
		"properties: {addressPrefix: '192.168.9.0/24'}}]",
		"group Delete, more Create, myVnet Ignore");
	assert_changes(cloud, "Incremental",
		"resources: [{type: 'Microsoft.Resources/deployments', name: 'inner', properties: {mode: "
		"'Incremental', "
		"template: {" GROUP_OF(RULE(
			"r", "100")) ", outputs: {o: {type: 'string', value: 'inside'}}}}},"
				     " {" NSG_TYPE
				     ", name: 'after', tags: {t: \"[reference('inner').outputs.o.value]\"}}]",
		"after Create, group Modify, myVnet Ignore");
}

/* ---- what of it changes ---- */

static void scenario_deltas(struct test_cloud *cloud)
{
	put_network(cloud);
	deploy(cloud, GROUP_OF(RULE("a", "100") "," RULE("b", "200")));
	assert_changes(cloud, "Incremental", GROUP_OF(RULE("a", "100") "," RULE("b", "200")),
		"group NoChange, myVnet Ignore");
	assert_delta(cloud,
		"resources: [{" NSG_TYPE
		", name: 'group', tags: {t: 'x'}, properties: {securityRules: [" RULE("a", "100") "," RULE(
			"b", "200") "]}}]",
		"group", "[{\"after\":{\"t\":\"x\"},\"path\":\"tags\",\"propertyChangeType\":\"Create\"}]");
	_cleanup_(answer_clear) struct answer answer =
		look(cloud, "Incremental", "", GROUP_OF(RULE("a", "100") "," RULE("c", "300")));
	json_auto_t *expected = json_pack("{s:s, s:s, s:[{s:s, s:s}, {s:s, s:s}]}", "path",
		"properties.securityRules", "propertyChangeType", "Array", "children", "path", "1",
		"propertyChangeType", "Delete", "path", "1", "propertyChangeType", "Create");
	const json_t *change = find_change(&answer, "group");
	fixture_assert_covers(expected, json_array_get(json_object_get(change, "delta"), 0));
	g_assert_cmpint(json_array_size(json_object_get(change, "delta")), ==, 1);
	g_assert_cmpstr(json_string_value(json_object_get(json_object_get(change, "after"), "apiVersion")),
		==, "2022-01-01");
	/* Nothing of the state that comes by itself. */
	g_autofree char *text = json_dumps(change, JSON_COMPACT);
	g_assert_null(strstr(text, "etag"));
	g_assert_null(strstr(text, "provisioningState"));
	/* A rule by itself. */
	assert_delta(cloud,
		"resources: [{type: 'Microsoft.Network/networkSecurityGroups/securityRules', name: "
		"'group/a', properties: "
		"{priority: 101, access: 'Allow', direction: 'Inbound', protocol: 'Tcp', "
		"sourceAddressPrefix: '*', "
		"sourcePortRange: '*', destinationAddressPrefix: '*', destinationPortRange: '100'}}]",
		"securityRules/a",
		"[{\"after\":101,\"before\":100,\"path\":\"properties.priority\",\"propertyChangeType\":"
		"\"Modify\"}]");
}

static void scenario_brief(struct test_cloud *cloud)
{
	static const char brief[] = "\"whatIfSettings\": {\"resultFormat\": \"ResourceIdOnly\"},";

	put_network(cloud);
	deploy(cloud, GROUP_OF(RULE("a", "100")));
	_cleanup_(answer_clear) struct answer answer =
		look(cloud, "Incremental", brief, GROUP_OF(RULE("a", "101")));
	const json_t *change = find_change(&answer, "group");
	g_assert_cmpint(json_object_size(change), ==, 2);
	g_assert_cmpstr(json_string_value(json_object_get(change, "changeType")), ==, "Modify");
	_cleanup_(answer_clear) struct answer odd =
		look(cloud, "Incremental", "\"whatIfSettings\": {\"resultFormat\": \"Odd\"},", GROUP_OF(""));
	g_assert_cmpstr(json_string_value(json_object_get(odd.json, "status")), ==, "Failed");
}

/* ---- machines: what is only known later, and what is refused ---- */

#define NIC(accelerated)                                                                                     \
	"{type: 'Microsoft.Network/networkInterfaces', apiVersion: '2022-01-01', name: 'myNic', location: "  \
	"'centralus', "                                                                                      \
	"properties: {enableAcceleratedNetworking: " accelerated                                             \
	", ipConfigurations: [{name: 'ipconfig1', properties: "                                              \
	"{subnet: {id: \"[resourceId('Microsoft.Network/virtualNetworks/subnets', 'myVnet', "                \
	"'mySubnet')]\"}}}]}}"

static void scenario_refused(struct test_cloud *cloud)
{
	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "nic"), <, 300);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	/* The flag changes only while the machine is deallocated: said before anything is done. */
	_cleanup_(answer_clear) struct answer nic =
		ask(cloud, "GET", NET "/networkInterfaces/myNic", NULL, NULL);
	bool accelerated = json_is_true(
		json_object_get(json_object_get(nic.json, "properties"), "enableAcceleratedNetworking"));
	assert_refused(cloud, accelerated ? "resources: [" NIC("false") "]" : "resources: [" NIC("true") "]",
		"OperationNotAllowed");
	assert_refused(cloud, "resources: [{" NSG_TYPE ", name: 'x', tags: {t: '[nosuch()]'}}]",
		"column 2: the function 'nosuch'");
	assert_refused(cloud, "resources: [{type: 'Microsoft.Web/sites', name: 'x', location: 'centralus'}]",
		"Microsoft.Web/sites");
	assert_refused(cloud, "resources: [{" NSG_TYPE ", name: 'x', location: 'nowhere'}]", "nowhere");
}

/* A NIC whose network comes by the same template; its address is shown as it is written. */
static void scenario_together(struct test_cloud *cloud)
{
	static const char template[] =
		"resources: [{type: 'Microsoft.Network/virtualNetworks', name: 'net', location: 'centralus', "
		"properties: "
		"{addressSpace: {addressPrefixes: ['10.0.0.0/16']}, subnets: [{name: 'sub', properties: "
		"{addressPrefix: "
		"'10.0.0.0/24'}}]}},"
		" {type: 'Microsoft.Network/networkInterfaces', name: 'nic', location: 'centralus', "
		"dependsOn: ['net'], "
		"properties: {ipConfigurations: [{name: 'one', properties: {subnet: {id: "
		"\"[resourceId('Microsoft.Network/virtualNetworks/subnets', 'net', 'sub')]\"}}}]}},"
		" {" NSG_TYPE ", name: 'mine', tags: {ip: "
		"\"[reference('nic').ipConfigurations[0].properties.privateIPAddress]\"}},"
		" {" NSG_TYPE ", name: 'later', tags: {ip: \"[string(reference('nic').nosuch)]\"}},"
		" {" NSG_TYPE ", name: 'last', dependsOn: ['later']}]";

	put_network(cloud);
	_cleanup_(answer_clear) struct answer answer = look(cloud, "Incremental", "", template);
	g_autofree char *changes = changes_of(&answer);
	g_assert_cmpstr(
		changes, ==, "last Create, later Create, mine Create, myVnet Ignore, net Create, nic Create");
	json_auto_t *expected = json_pack("{s:{s:s}}", "tags", "ip",
		"[reference('nic').ipConfigurations[0].properties.privateIPAddress]");
	fixture_assert_covers(json_object_get(expected, "tags"),
		json_object_get(json_object_get(find_change(&answer, "mine"), "after"), "tags"));
	/* What is there already, and depends on what nobody knows. */
	deploy(cloud, "resources: [{" NSG_TYPE ", name: 'last'}, {" NSG_TYPE ", name: 'later'}]");
	_cleanup_(answer_clear) struct answer again = look(cloud, "Incremental", "", template);
	g_autofree char *open = changes_of(&again);
	g_assert_cmpstr(open, ==,
		"last Unsupported, later Unsupported, mine Create, myVnet Ignore, net Create, nic Create");
	g_autofree char *text = json_dumps(find_change(&again, "last"), JSON_COMPACT);
	g_assert_nonnull(strstr(text, "What becomes of 'later'"));
}

/* ---- what is not deployed at all ---- */

/* What a deployment has that depends on what nobody knows may be among what is there. */
static void scenario_veiled(struct test_cloud *cloud)
{
	static const char template[] =
		"resources: [{" NSG_TYPE ", name: 'known'}, {" NSG_TYPE
		", name: 'later', tags: {ip: \"[string(reference('known').nosuch)]\"}},"
		" {type: 'Microsoft.Resources/deployments', apiVersion: '2022-09-01', name: 'inner', "
		"dependsOn: "
		"['later'], properties: {mode: 'Incremental', template: {resources: [{" NSG_TYPE
		", name: 'kept'}]}}}]";

	put_network(cloud);
	deploy(cloud, "resources: [{" NSG_TYPE ", name: 'kept'}]");
	_cleanup_(answer_clear) struct answer answer = look(cloud, "Complete", "", template);
	g_autofree char *changes = changes_of(&answer);
	g_assert_cmpstr(changes, ==,
		"inner Unsupported, kept Unsupported, known Create, later Create, myVnet Unsupported");
}

/* A deployment inside of itself: by a template whose expressions are the outer one's it is there once, and is no template
 * then; one that has its own ends at the limit, also where that it has is only known on the way. */
static void scenario_depth(struct test_cloud *cloud)
{
	static const struct {
		const char *properties, *words;
	} cases[] = {
		{"{mode: 'Incremental', Template: \"[deployment().properties.template]\"}",
			"an object is needed"},
		{"\"[createObject('mode', 'Incremental', 'template', deployment().properties.template)]\"",
			"an object is needed"},
		{"\"[createObject('mode', 'Incremental', 'expressionEvaluationOptions', "
		 "createObject('scope', "
		 "'inner'), 'template', deployment().properties.template)]\"",
			"more than 5 deployments inside each other"},
		{"\"[createObject('mode', 'Incremental', 'expressionEvaluationOptions', "
		 "createObject('scope', "
		 "'inner'), 'template', deployment().properties.template, 'parameters', createObject('u', "
		 "createObject('value', reference(resourceId('Microsoft.Network/networkSecurityGroups', "
		 "'group')).resourceGuid)))]\"",
			"more than 5 deployments inside each other"},
	};

	put_network(cloud);
	deploy(cloud, GROUP_OF(""));
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *template = g_strdup_printf(
			"parameters: {u: {type: 'string', defaultValue: 'x'}}, resources: [{type: "
			"'Microsoft.Resources/deployments', apiVersion: '2022-09-01', name: 'again', "
			"properties: %s}]",
			cases[i].properties);
		_cleanup_(answer_clear) struct answer answer = look(cloud, "Incremental", "", template);
		g_autofree char *text = json_dumps(answer.json, JSON_COMPACT);
		if (!strstr(text, cases[i].words))
			g_error("%s: %s", cases[i].properties, text);
	}
}

static void scenario_secrets(struct test_cloud *cloud)
{
	static const char template[] =
		"parameters: {pw: {type: 'secureString', defaultValue: 'hunter2'}}, variables: {v: "
		"\"[concat(parameters('pw'), '!')]\"}, resources: [{" NSG_TYPE
		", name: 'secret', tags: {of: \"[parameters('pw')]\", by: \"[variables('v')]\"}, "
		"properties: {adminPassword: 'hunter2'}}]";

	put_network(cloud);
	_cleanup_(answer_clear) struct answer answer = look(cloud, "Incremental", "", template);
	g_autofree char *text = json_dumps(answer.json, JSON_COMPACT);
	g_assert_nonnull(strstr(text, "[parameters('pw')]"));
	g_assert_null(strstr(text, "hunter2"));
}

static void scenario_scopes(struct test_cloud *cloud)
{
	static const char *const paths[] = {"S/providers/Microsoft.Resources/deployments/d",
		("/providers/Microsoft.Management/managementGroups/m/providers/Microsoft.Resources/"
		 "deployments/d"),
		"/providers/Microsoft.Resources/deployments/d"};

	put_network(cloud);
	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
		g_autofree char *validate = g_strconcat(paths[i], "/validate", NULL);
		_cleanup_(answer_clear) struct answer looked = ask(cloud, "POST", validate, "{}", NULL);
		g_autofree char *text = json_dumps(looked.json, JSON_COMPACT);
		g_assert_cmpint(looked.status, ==, 200);
		g_assert_nonnull(strstr(text, "Only resource groups can be deployed to"));
		_cleanup_(answer_clear) struct answer put = ask(cloud, "PUT", paths[i], "{}", NULL);
		g_assert_cmpint(put.status, ==, 400);
	}
}

static void scenario_links(struct test_cloud *cloud)
{
	static const struct {
		const char *member, *words;
	} cases[] = {
		{"templateLink: {uri: 'http://169.254.169.254/x.json'}",
			"links to templates are not followed"},
		{"templateLink: {relativePath: 'x.json'}", "--template-file"},
		{"template: {resources: []}, parametersLink: {uri: 'http://x/y'}",
			"links to parameters are not followed"},
		{"template: {resources: []}, onErrorDeployment: {type: 'LastSuccessful'}",
			"is not rolled back"},
	};

	put_network(cloud);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *body = g_strdup_printf(
					"{properties: {mode: 'Incremental', %s}}", cases[i].member),
				*inner = g_strdup_printf(
					"resources: [{type: 'Microsoft.Resources/deployments', name: 'i', "
					"properties: {mode: 'Incremental', %s}}]",
					cases[i].member);
		_cleanup_(answer_clear) struct answer answer =
			ask(cloud, "POST", DEPLOYMENTS "/d/validate", body, NULL);
		g_autofree char *text = json_dumps(answer.json, JSON_COMPACT);
		if (!strstr(text, cases[i].words))
			g_error("'%s' is not in: %s", cases[i].words, text);
		_cleanup_(answer_clear) struct answer put = ask(cloud, "PUT", DEPLOYMENTS "/d", body, NULL);
		g_assert_cmpint(put.status, ==, 400);
		assert_refused(cloud, inner, cases[i].words);
	}
}

/* ---- what there is, as a template ---- */

static struct answer export_group(struct test_cloud *cloud, const char *resources)
{
	g_autofree char *body = g_strdup_printf("{\"resources\": [%s]}", resources);

	return ask(cloud, "POST", GROUP "/exportTemplate", body, NULL);
}

/* The members of the exported template, as body_of() wants them. Owned. */
static char *template_of(const struct answer *answer)
{
	g_autofree char *text = json_dumps(json_object_get(answer->json, "template"), JSON_COMPACT);

	return g_strndup(text + 1, strlen(text) - 2);
}

/* Deployed again it changes nothing, and made anew elsewhere it is the same. */
static void scenario_export(struct test_cloud *cloud)
{
	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	/* Tags are words, whatever they look like. */
	deploy(cloud,
		"resources: [{" NSG_TYPE ", name: 'tagged', tags: {name: 'web', id: '42', type: 'x', of: "
		"\"[resourceId('Microsoft.Network/networkInterfaces', 'myNic')]\"}}]");
	_cleanup_(answer_clear) struct answer exported = export_group(cloud, "\"*\"");
	g_assert_cmpint(exported.status, ==, 200);
	g_autofree char *template = template_of(&exported);
	_cleanup_(answer_clear) struct answer again = look(cloud, "Complete", "", template);
	g_autofree char *changes = changes_of(&again);
	g_assert_nonnull(strstr(changes, "myVM NoChange"));
	g_assert_nonnull(strstr(changes, "myNic NoChange"));
	g_assert_nonnull(strstr(changes, "tagged NoChange"));
	if (strstr(changes, "Create") || strstr(changes, "Modify") || strstr(changes, "Delete"))
		g_error("%s: %s", changes, json_dumps(again.json, JSON_COMPACT));
	/* Nobody who uses a thing, and nothing that was given to it. */
	static const char *const given[] = {
		"macAddress", "vmId", "ipAddress", "defaultSecurityRules\":[{", "resourceGuid", "etag"};
	for (size_t i = 0; i < G_N_ELEMENTS(given); i++)
		if (strstr(template, given[i]))
			g_error("'%s' is in %s", given[i], template);
	g_assert_nonnull(strstr(template,
		"\"dependsOn\":[\"[resourceId('Microsoft.Network/networkInterfaces', 'myNic')]\"]"));
	/* In another group it is made in the order of its dependencies. */
	_cleanup_(answer_clear) struct answer group =
		ask(cloud, "PUT", "S/resourceGroups/copy", "{\"location\": \"centralus\"}", NULL);
	g_autofree char *body = body_of("Incremental", "", template);
	_cleanup_(answer_clear) struct answer put = ask(cloud, "PUT",
		"S/resourceGroups/copy/providers/Microsoft.Resources/deployments/copied", body, NULL);
	g_autofree char *end = finish(cloud, &put, NULL);
	g_assert_cmpstr(end, ==, "Succeeded");
}

static void scenario_export_some(struct test_cloud *cloud)
{
	put_base(cloud);
	_cleanup_(answer_clear) struct answer nic =
		ask(cloud, "GET", NET "/networkInterfaces/myNic", NULL, NULL);
	g_autofree char *ids = g_strdup_printf("\"%s\"", answer_text(&nic, "id"));
	_cleanup_(answer_clear) struct answer exported = export_group(cloud, ids);
	const json_t *resources = json_object_get(json_object_get(exported.json, "template"), "resources");
	g_assert_cmpint(json_array_size(resources), ==, 1);
	g_assert_null(json_object_get(json_array_get(resources, 0), "dependsOn"));
	_cleanup_(answer_clear) struct answer lost = export_group(cloud,
		"\"/subscriptions/x/resourceGroups/y/providers/Microsoft.Network/networkInterfaces/z\"");
	g_assert_cmpint(lost.status, ==, 404);
	/* What looks like an expression is none. */
	_cleanup_(answer_clear) struct answer tagged = ask(cloud, "PUT", NET "/networkSecurityGroups/odd",
		"{\"location\": \"centralus\", \"tags\": {\"t\": \"[nosuch()]\"}}", NULL);
	g_assert_cmpint(tagged.status, ==, 201);
	g_autofree char *odd = g_strdup_printf("\"%s\"", answer_text(&tagged, "id"));
	_cleanup_(answer_clear) struct answer escaped = export_group(cloud, odd);
	g_autofree char *text = template_of(&escaped);
	g_assert_nonnull(strstr(text, "\"[[nosuch()]\""));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST_CLOUD_ADD(
		"/api/what-if/says what comes, goes, changes and stays, and does nothing", scenario_kinds);
	TEST_CLOUD_ADD("/api/what-if/says what of a resource changes, and nothing else", scenario_deltas);
	TEST_CLOUD_ADD("/api/what-if/leaves contents out when only ids are wanted", scenario_brief);
	TEST_CLOUD_ADD("/api/what-if/foretells what would be refused", scenario_refused);
	TEST_CLOUD_ADD("/api/what-if/sees resources that come together, and says what it cannot know",
		scenario_together);
	TEST_CLOUD_ADD(
		"/api/what-if/foretells no end of what an unknown deployment may have", scenario_veiled);
	TEST_CLOUD_ADD("/api/what-if/a template inside of itself ends soon", scenario_depth);
	TEST_CLOUD_ADD("/api/what-if/secure values are not shown", scenario_secrets);
	TEST_CLOUD_ADD("/api/what-if/refuses scopes that there are none of", scenario_scopes);
	TEST_CLOUD_ADD("/api/what-if/follows no links", scenario_links);
	TEST_CLOUD_ADD("/api/what-if/a group is exported as the template that makes it", scenario_export);
	TEST_CLOUD_ADD("/api/what-if/some of a group is exported by ids", scenario_export_some);
	return g_test_run();
}
