/* What goes over the wire about template deployments: loops, deployments inside each other, Complete mode, cancelling,
 * refusals. */
#include "api/test_cloud.h"

#include <string.h>

#define GROUP       "S/resourceGroups/myResourceGroup"
#define NET         GROUP "/providers/Microsoft.Network"
#define NSG         NET "/networkSecurityGroups"
#define DEPLOYMENTS GROUP "/providers/Microsoft.Resources/deployments"

#define NSG_TYPE "type: 'Microsoft.Network/networkSecurityGroups', location: \"[resourceGroup().location]\""

/* The body of a deployment; parameters: members of an object. Owned. */
static char *body_of(const char *mode, const char *parameters, const char *template)
{
	return g_strdup_printf("{\"properties\": {\"mode\": \"%s\", \"parameters\": {%s}, template: {%s}}}",
		mode, parameters, template);
}

/* Deploys, and waits for its end. ret_text (may be NULL): the last answer about it, Owned. The word that it ended with,
 * Owned. */
static char *deploy(struct test_cloud *cloud, const char *name, const char *body, char **ret_text)
{
	g_autofree char *path = g_strconcat(DEPLOYMENTS "/", name, NULL);
	_cleanup_(answer_clear) struct answer put = ask(cloud, "PUT", path, body, NULL);

	g_assert_true(put.status == 200 || put.status == 201);
	char *end = finish(cloud, &put, NULL);
	_cleanup_(answer_clear) struct answer status =
		ask(cloud, "GET", answer_header(&put, "Azure-AsyncOperation"), NULL, NULL);
	if (ret_text)
		*ret_text = json_dumps(status.json, JSON_COMPACT);
	return end;
}

static void assert_deployed(struct test_cloud *cloud, const char *name, const char *body)
{
	g_autofree char *text = NULL, *end = deploy(cloud, name, body, &text);

	if (!g_str_equal(end, "Succeeded"))
		g_error("%s: %s", name, text);
}

static void assert_fails(struct test_cloud *cloud, const char *name, const char *body, const char *words)
{
	g_autofree char *text = NULL, *end = deploy(cloud, name, body, &text);

	g_assert_cmpstr(end, ==, "Failed");
	if (!strstr(text, words))
		g_error("'%s' is not in: %s", words, text);
}

static unsigned status_of(struct test_cloud *cloud, const char *method, const char *path)
{
	_cleanup_(answer_clear) struct answer answer = ask(cloud, method, path, NULL, NULL);

	return answer.status;
}

static void assert_read(struct test_cloud *cloud, const char *path, json_t *expected)
{
	json_auto_t *own = expected;
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "GET", path, NULL, NULL);

	g_assert_cmpint(answer.status, ==, 200);
	fixture_assert_covers(own, answer.json);
}

/* ---- one template ---- */

static void scenario_loops(struct test_cloud *cloud)
{
	static const char template[] =
		"parameters: {names: {type: 'array'}, stamp: {type: 'string', defaultValue: "
		"'[newGuid()]'}},\n"
		"variables: {prefix: \"[concat(deployment().name, '-')]\"}, // by name\n"
		"resources: [{" NSG_TYPE
		", name: \"[concat(variables('prefix'), parameters('names')[copyIndex()])]\","
		"  tags: {stamp: \"[parameters('stamp')]\"},"
		"  copy: {name: 'groups', count: \"[length(parameters('names'))]\", mode: 'serial', "
		"batchSize: 1},"
		"  properties: {copy: [{name: 'securityRules', count: 2, input: {name: \"[format('r{0}', "
		"copyIndex('securityRules'))]\","
		"   properties: {priority: \"[copyIndex('securityRules', 100)]\", access: 'Allow', "
		"direction: 'Inbound',"
		"   protocol: 'Tcp', sourceAddressPrefix: '*', sourcePortRange: '*', "
		"destinationAddressPrefix: '*',"
		"   destinationPortRange: \"[string(add(8000, copyIndex()))]\"}}}]}},"
		" {" NSG_TYPE ", name: 'left-out', condition: \"[greater(length(parameters('names')), 5)]\"},"
		" {" NSG_TYPE ", name: 'last', dependsOn: ['groups', 'left-out']}],"
		"outputs: {ports: {type: 'array', copy: {count: \"[length(parameters('names'))]\", input:"
		" \"[reference(concat(variables('prefix'), "
		"parameters('names')[copyIndex()])).securityRules[1].properties."
		"destinationPortRange]\"}}}";

	put_base(cloud);
	g_autofree char *body =
		body_of("Incremental", "\"names\": {\"value\": [\"a\", \"b\", \"c\"]}", template);
	assert_deployed(cloud, "loop", body);
	assert_deployed(cloud, "loop", body); /* what is there stays, and is no mistake */
	assert_read(cloud, DEPLOYMENTS "/loop",
		json_pack("{s:{s:s, s:[{}, {}, {}, {}], s:{s:{s:s, s:[s, s, s]}}}}", "properties", "mode",
			"Incremental", "outputResources", "outputs", "ports", "type", "Array", "value",
			"8000", "8001", "8002"));
	assert_read(cloud, DEPLOYMENTS "/loop/operations",
		json_pack("{s:[{s:{s:s, s:s, s:{s:s}}}, {}, {}, {}]}", "value", "properties",
			"provisioningOperation", "Create", "provisioningState", "Succeeded", "targetResource",
			"resourceName", "loop-a"));
	assert_read(cloud, DEPLOYMENTS "/loop/operations/00000002",
		json_pack("{s:s, s:{s:{s:s}}}", "operationId", "00000002", "properties", "targetResource",
			"resourceName", "loop-c"));
	g_assert_cmpint(status_of(cloud, "GET", DEPLOYMENTS "/loop/operations/00000003"), ==, 404);
	g_assert_cmpint(status_of(cloud, "GET", NSG "/left-out"), ==, 404);
	_cleanup_(answer_clear) struct answer exported =
		ask(cloud, "POST", DEPLOYMENTS "/loop/exportTemplate", NULL, NULL);
	json_auto_t *expected = json_pack(
		"{s:{s:{s:s}}}", "template", "variables", "prefix", "[concat(deployment().name, '-')]");
	fixture_assert_covers(expected, exported.json);
}

/* The message has the place; what cannot be put is named, and the rest is there; mended, it goes on. */
static void scenario_failures(struct test_cloud *cloud)
{
	static const char broken[] =
		"resources: [{" NSG_TYPE ", name: 'one', tags: {t: \"[concat('a', nosuch())]\"}}]";
	static const char format[] =
		"parameters: {priority: {type: 'int'}}, resources: [{" NSG_TYPE ", name: 'free'},"
		" {" NSG_TYPE ", name: 'bad', properties: {securityRules: [{name: 'r', properties: {priority:"
		" \"[parameters('priority')]\", access: 'Allow', direction: 'Inbound', protocol: 'Tcp', "
		"sourceAddressPrefix: '*',"
		" sourcePortRange: '*', destinationAddressPrefix: '*', destinationPortRange: '22'}}]}},"
		" {" NSG_TYPE ", name: 'after', tags: {t: \"[reference('bad').provisioningState]\"}}]";

	put_base(cloud);
	g_autofree char *never = body_of("Incremental", "", broken),
			*bad = body_of("Incremental", "\"priority\": {\"value\": 7}", format),
			*good = body_of("Incremental", "\"priority\": {\"value\": 700}", format);
	assert_fails(cloud, "f", never, "in resources[0].tags.t: column 14: the function 'nosuch'");
	assert_fails(cloud, "f", bad, "/networkSecurityGroups/bad");
	g_assert_cmpint(status_of(cloud, "GET", NSG "/free"), ==, 200);
	g_assert_cmpint(status_of(cloud, "GET", NSG "/after"), ==, 404);
	assert_deployed(cloud, "f", good);
	assert_read(cloud, NSG "/after", json_pack("{s:{s:s}}", "tags", "t", "Succeeded"));
}

/* What can be known of the request alone is refused at once. */
static void scenario_mode(struct test_cloud *cloud)
{
	g_autofree char *body = body_of("Bogus", "", "resources: []"),
			*good = body_of("COMPLETE", "", "resources: []");

	put_base(cloud);
	_cleanup_(answer_clear) struct answer put = ask(cloud, "PUT", DEPLOYMENTS "/m", body, NULL);
	g_assert_cmpint(put.status, ==, 400);
	g_assert_cmpstr(answer_code(&put), ==, "InvalidRequestContent");
	g_autofree char *text = json_dumps(put.json, JSON_COMPACT);
	if (!strstr(text, "properties.mode: 'Bogus' is not allowed; use Incremental or Complete"))
		g_error("%s", text);
	g_assert_cmpint(status_of(cloud, "GET", DEPLOYMENTS "/m"), ==, 404);
	_cleanup_(answer_clear) struct answer check =
		ask(cloud, "POST", DEPLOYMENTS "/m/validate", body, NULL);
	g_assert_cmpint(check.status, ==, 200); /* as all that this refuses */
	g_assert_cmpstr(answer_code(&check), ==, "InvalidRequestContent");
	_cleanup_(answer_clear) struct answer taken =
		ask(cloud, "POST", DEPLOYMENTS "/m/validate", good, NULL);
	g_assert_null(json_object_get(taken.json, "error"));
}

/* ---- deployments inside each other ---- */

#define INNER                                                                                                \
	"{type: 'Microsoft.Resources/deployments', name: 'inner', properties: {mode: 'Incremental',"         \
	" expressionEvaluationOptions: {scope: 'inner'}, parameters: {name: {value: \"[concat('in-', "       \
	"reference('out')"                                                                                   \
	".provisioningState)]\"}}, template: {parameters: {name: {type: 'string'}}, resources: [{" NSG_TYPE  \
	","                                                                                                  \
	" name: \"[parameters('name')]\"}], outputs: {id: {type: 'string', value: "                          \
	"\"[resourceId('Microsoft.Network/"                                                                  \
	"networkSecurityGroups', parameters('name'))]\"}}}}}"

static void scenario_inner(struct test_cloud *cloud)
{
	static const char template[] =
		"resources: [{" NSG_TYPE ", name: 'out'}, " INNER "], outputs: {id: {type: 'string', value:"
		" \"[reference('inner').outputs.id.value]\"}}";

	put_base(cloud);
	g_autofree char *body = body_of("Incremental", "", template);
	_cleanup_(answer_clear) struct answer valid =
		ask(cloud, "POST", DEPLOYMENTS "/outer/validate", body, NULL);
	g_assert_cmpstr(answer_code(&valid), ==, "");
	_cleanup_(answer_clear) struct answer nowhere = ask(cloud, "POST",
		"S/resourceGroups/none/providers/Microsoft.Resources/deployments/outer/validate", body, NULL);
	g_assert_cmpint(nowhere.status, ==, 200);
	g_assert_cmpstr(answer_code(&nowhere), ==, "ResourceGroupNotFound");
	assert_deployed(cloud, "outer", body);
	g_assert_cmpint(status_of(cloud, "GET", NSG "/in-Succeeded"), ==, 200);
	_cleanup_(answer_clear) struct answer outer = ask(cloud, "GET", DEPLOYMENTS "/outer", NULL, NULL);
	g_autofree char *text = json_dumps(outer.json, JSON_COMPACT);
	g_assert_nonnull(strstr(text, "networkSecurityGroups/in-Succeeded\"}}"));
	assert_read(cloud, DEPLOYMENTS "/inner",
		json_pack("{s:{s:s}}", "properties", "provisioningState", "Succeeded"));
}

static char *inner_of(const char *name, const char *properties, const char *resources)
{
	g_autofree char *template =
		g_strdup_printf("resources: [{type: 'Microsoft.Resources/deployments', name: '%s', "
				"properties: {%s template: {resources: [%s]}}}]",
			name, properties, resources);

	return body_of("Incremental", "", template);
}

static void scenario_inner_fails(struct test_cloud *cloud)
{
	static const char
		classic[] = "{type: 'Microsoft.ClassicCompute/virtualMachines', name: 'old'}",
		self[] = "{type: 'Microsoft.Resources/deployments', name: 'outer', properties: {template: "
			 "{resources: []}}}",
		bad[] = "{type: 'Microsoft.Network/virtualNetworks', name: 'bad', location: 'centralus'}";

	put_base(cloud);
	g_autofree char *of_classic = inner_of("inner", "", classic), *of_self = inner_of("middle", "", self),
			*of_bad = inner_of("inner", "", bad),
			*of_complete = inner_of("inner", "mode: 'Complete',", ""),
			*elsewhere = body_of("Incremental", "",
				"resources: [{type: 'Microsoft.Resources/deployments', name: 'x', "
				"resourceGroup: 'none',"
				" properties: {template: {resources: []}}}]");
	assert_fails(cloud, "outer", of_classic,
		"In the deployment 'inner': The resource type 'Microsoft.ClassicCompute");
	assert_fails(cloud, "outer", of_complete, "the mode of 'inner' must be Incremental");
	assert_fails(cloud, "outer", elsewhere, "Resource group 'none' could not be found");
	assert_fails(cloud, "outer", of_bad, "deployments/inner");
	assert_fails(cloud, "outer", of_self, "deployments/middle");
	assert_read(cloud, DEPLOYMENTS "/middle",
		json_pack("{s:{s:s}}", "properties", "provisioningState", "Failed"));
}

/* The error has, deployment inside deployment, what failed in the end and why. */
static void assert_explained(const json_t *error, const char *code, const char *words)
{
	static const char *const names[] = {"outer", "middle", "inner"};
	json_auto_t *expected = json_pack("{s:s, s:[{s:s}]}", "code", "DeploymentFailed", "details", "code",
			    "ResourceDeploymentFailure"),
		    *last = json_pack("{s:[{s:s}, {s:s}]}", "details", "code", code, "code", code);

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *suffix = g_strdup_printf("/deployments/%s", names[i]);
		g_assert_true(g_str_has_suffix(json_string_value(json_object_get(error, "target")), suffix));
		if (i + 1 == G_N_ELEMENTS(names))
			break;
		fixture_assert_covers(expected, error);
		const json_t *inner = json_array_get(json_object_get(error, "details"), 0);
		error = json_array_get(json_object_get(inner, "details"), 0);
		g_assert_cmpstr(json_string_value(json_object_get(inner, "target")), ==,
			json_string_value(json_object_get(error, "target")));
	}
	fixture_assert_covers(last, error);
	const json_t *second = json_array_get(json_object_get(error, "details"), 1);
	g_assert_true(g_str_has_suffix(
		json_string_value(json_object_get(second, "target")), "/networkSecurityGroups/worse"));
	g_assert_nonnull(strstr(json_string_value(json_object_get(second, "message")), words));
}

/* What fails two deployments deep is told with its name and reason in the answer about the outermost, in the record of it
 * and in that of its operations; what is wrong with a template of theirs likewise. */
static void scenario_deep_failure(struct test_cloud *cloud)
{
	static const char inner[] =
		"{type: 'Microsoft.Resources/deployments', name: 'inner', properties: {template: {resources: "
		"["
		"{" NSG_TYPE ", name: 'good'}, {" NSG_TYPE ", name: 'bad', tags: {n: 7}}, {" NSG_TYPE
		", name: 'worse', tags: {n: [1]}}]}}}";
	g_autofree char *body = inner_of("middle", "", inner), *text = NULL;

	put_base(cloud);
	g_autofree char *end = deploy(cloud, "outer", body, &text);
	json_auto_t *status = json_loads(text, 0, NULL);
	g_assert_cmpstr(end, ==, "Failed");
	/* az prints it as it is: what, of what, why. */
	g_assert_nonnull(
		strstr(text, "{\"status\":\"Failed\",\"error\":{\"code\":\"DeploymentFailed\",\"target\":"));
	g_assert_nonnull(
		strstr(text, "networkSecurityGroups/worse\",\"message\":\"The request content is not valid"));
	assert_explained(json_object_get(status, "error"), "InvalidRequestContent", "tags.n");
	_cleanup_(answer_clear) struct answer outer = ask(cloud, "GET", DEPLOYMENTS "/outer", NULL, NULL);
	assert_explained(json_object_get(json_object_get(outer.json, "properties"), "error"),
		"InvalidRequestContent", "tags.n");
	assert_read(cloud, DEPLOYMENTS "/outer/operations",
		json_pack("{s:[{s:{s:{s:{s:s, s:[{s:s, s:[{s:s, s:[{s:s, s:[{}, {}]}]}]}]}}}}]}", "value",
			"properties", "statusMessage", "error", "code", "ResourceDeploymentFailure",
			"details", "code", "DeploymentFailed", "details", "code", "ResourceDeploymentFailure",
			"details", "code", "DeploymentFailed", "details"));
	g_assert_cmpint(status_of(cloud, "GET", NSG "/good"), ==, 200);
	/* More than is kept is left where it is. */
	g_autofree char *much = inner_of("inner", "expressionEvaluationOptions: {scope: 'inner'},",
		"{" NSG_TYPE
		", name: \"[concat('n', copyIndex())]\", copy: {name: 'c', count: 150}, tags: {n: 7}}");
	assert_fails(cloud, "outer", much,
		"too much to be shown here: az deployment operation group list --name 'inner'");
	assert_fails(cloud, "outer", much, "/deployments/inner");
}

/* ---- Complete mode ---- */

static void scenario_complete(struct test_cloud *cloud)
{
	put_base(cloud);
	g_autofree char *first = body_of("Incremental", "",
				"resources: [{" NSG_TYPE ", name: 'extra'}, " INNER ", {" NSG_TYPE
				", name: 'out'}]"),
			*failing = body_of("Complete", "",
				"resources: [{type: 'Microsoft.Network/virtualNetworks', name: 'bad', "
				"location: 'centralus'}]"),
			*second = body_of(
				"Complete", "", "resources: [{" NSG_TYPE ", name: 'out'}, " INNER "]");
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	assert_deployed(cloud, "first", first);
	assert_fails(cloud, "second", failing, "bad");
	g_assert_cmpint(
		status_of(cloud, "GET", NSG "/extra"), ==, 200); /* nothing goes before all else is there */
	assert_deployed(cloud, "second", second);
	_cleanup_(answer_clear) struct answer left = ask(cloud, "GET", GROUP "/resources", NULL, NULL);
	json_auto_t *expected =
		json_pack("{s:[{s:s}, {s:s}]}", "value", "name", "in-Succeeded", "name", "out");
	fixture_assert_covers(expected, left.json);
	g_assert_cmpint(json_array_size(json_object_get(left.json, "value")), ==, 2);
	_cleanup_(answer_clear) struct answer operations =
		ask(cloud, "GET", DEPLOYMENTS "/second/operations", NULL, NULL);
	g_autofree char *text = json_dumps(operations.json, JSON_COMPACT);
	g_assert_nonnull(strstr(text, "\"provisioningOperation\":\"Delete\""));
	assert_read(cloud, DEPLOYMENTS "/second",
		json_pack("{s:{s:s, s:[{}, {}]}}", "properties", "mode", "Complete", "outputResources"));
}

/* What stays keeps what it uses, which is named; the rest goes. */
static void scenario_in_use(struct test_cloud *cloud)
{
	json_auto_t *nic = fixture_load(&cloud->fixture, "nic");
	json_t *request = json_object_get(nic, "request");

	put_base(cloud);
	g_autofree char *extra = body_of("Incremental", "", "resources: [{" NSG_TYPE ", name: 'extra'}]");
	assert_deployed(cloud, "first", extra);
	json_object_set_new(request, "type", json_string("Microsoft.Network/networkInterfaces"));
	json_object_set_new(request, "name", json_string("myNic"));
	g_autofree char *text = json_dumps(request, JSON_COMPACT),
			*template = g_strdup_printf("resources: [%s]", text),
			*body = body_of("Complete", "", template);
	assert_fails(cloud, "second", body, "/virtualNetworks/myVnet");
	g_assert_cmpint(status_of(cloud, "GET", NSG "/extra"), ==, 404);
	g_assert_cmpint(status_of(cloud, "GET", NET "/virtualNetworks/myVnet"), ==, 200);
	g_assert_cmpint(status_of(cloud, "GET", NET "/networkInterfaces/myNic"), ==, 200);
}

/* ---- cancelling ---- */

/* A deployment whose machine waits for its host, inside of another. Owned. */
static char *slow_body(struct test_cloud *cloud)
{
	json_auto_t *vm = fixture_load(&cloud->fixture, "vm");
	json_t *request = json_object_get(vm, "request");

	json_object_set_new(request, "type", json_string("Microsoft.Compute/virtualMachines"));
	json_object_set_new(request, "name", json_string("myVM"));
	g_autofree char *text = json_dumps(request, JSON_COMPACT),
			*resources = g_strdup_printf(
				"%s, {" NSG_TYPE ", name: 'after', dependsOn: ['myVM']}", text);
	return inner_of("inner", "", resources);
}

static void wait_for_operation(struct test_cloud *cloud)
{
	for (;;) {
		_cleanup_(answer_clear) struct answer answer =
			ask(cloud, "GET", DEPLOYMENTS "/inner/operations", NULL, NULL);
		const json_t *first = json_array_get(json_object_get(answer.json, "value"), 0);
		const char *state = json_string_value(
			json_object_get(json_object_get(first, "properties"), "provisioningState"));
		if (g_strcmp0(state, "Running") == 0)
			return;
		g_usleep(10 * 1000);
	}
}

struct reading {
	struct test_cloud *cloud;
	const char *name;
	struct deployment *found; /* Owned */
	bool done;
};

/* In the thread of the servers, whose the store is. */
static gboolean read_deployment(void *data)
{
	struct reading *reading = data;
	struct control *control = reading->cloud->fixture.control;
	g_autoptr(GPtrArray) all = control_list(control, KIND_DEPLOYMENT, NULL, NULL);
	struct deployment *found = NULL;

	for (guint i = 0; all && !found && i < all->len; i++)
		if (g_str_equal(model_meta(all->pdata[i])->name, reading->name))
			found = model_copy(all->pdata[i]);
	g_mutex_lock(&reading->cloud->lock);
	reading->found = found;
	reading->done = true;
	g_cond_broadcast(&reading->cloud->changed);
	g_mutex_unlock(&reading->cloud->lock);
	return G_SOURCE_REMOVE;
}

/* As it is stored. Owned; NULL when there is no such deployment. */
static struct deployment *stored(struct test_cloud *cloud, const char *name)
{
	struct reading reading = {.cloud = cloud, .name = name};

	g_idle_add(read_deployment, &reading);
	g_mutex_lock(&cloud->lock);
	while (!reading.done)
		g_cond_wait(&cloud->changed, &cloud->lock);
	g_mutex_unlock(&cloud->lock);
	return reading.found;
}

/* Somebody runs what a deployment wants inside of it: it waits for that, and has it as its own part then, which its history
 * keeps as long. */
static void scenario_same_inner(struct test_cloud *cloud)
{
	json_auto_t *vm = fixture_load(&cloud->fixture, "vm");
	json_t *request = json_object_get(vm, "request");

	put_base(cloud);
	json_object_set_new(request, "type", json_string("Microsoft.Compute/virtualMachines"));
	json_object_set_new(request, "name", json_string("myVM"));
	g_autofree char *text = json_dumps(request, JSON_COMPACT),
			*template = g_strdup_printf("resources: [%s]", text),
			*alone = body_of("Incremental", "", template),
			*around = inner_of("inner", "expressionEvaluationOptions: {scope: 'inner'},", text);
	g_usleep(100 * 1000); /* the host must have been seen alive for the machine to be placed */
	test_cloud_obey(cloud, false);
	_cleanup_(answer_clear) struct answer first = ask(cloud, "PUT", DEPLOYMENTS "/inner", alone, NULL),
					      outer = ask(cloud, "PUT", DEPLOYMENTS "/outer", around, NULL);
	wait_for_operation(cloud);
	_cleanup_(model_free) struct deployment *before = stored(cloud, "inner");
	g_assert_null(before->spec.within);
	test_cloud_obey(cloud, true);
	g_autofree char *one = finish(cloud, &first, NULL), *other = finish(cloud, &outer, NULL);
	g_assert_cmpstr(one, ==, "Succeeded");
	g_assert_cmpstr(other, ==, "Succeeded");
	_cleanup_(model_free) struct deployment *after = stored(cloud, "inner");
	g_assert_nonnull(after->spec.within);
	g_assert_nonnull(strstr(answer_header(&outer, "Azure-AsyncOperation"), after->spec.within));
}

static void scenario_cancel(struct test_cloud *cloud)
{
	put_base(cloud);
	g_autofree char *body = slow_body(cloud);
	g_usleep(100 * 1000); /* the host must have been seen alive for the machine to be placed */
	test_cloud_obey(cloud, false);
	_cleanup_(answer_clear) struct answer put = ask(cloud, "PUT", DEPLOYMENTS "/slow", body, NULL);
	g_assert_cmpint(put.status, ==, 201);
	wait_for_operation(cloud);
	g_assert_cmpint(status_of(cloud, "DELETE", DEPLOYMENTS "/slow"), ==, 409);
	g_assert_cmpint(status_of(cloud, "POST", DEPLOYMENTS "/slow/cancel"), ==, 204);
	g_autofree char *end = finish(cloud, &put, NULL);
	g_assert_cmpstr(end, ==, "Canceled");
	assert_read(cloud, DEPLOYMENTS "/slow",
		json_pack("{s:{s:s}}", "properties", "provisioningState", "Canceled"));
	while (status_of(cloud, "POST", DEPLOYMENTS "/inner/cancel") != 409)
		g_usleep(10 * 1000);
	assert_read(cloud, DEPLOYMENTS "/inner",
		json_pack("{s:{s:s}}", "properties", "provisioningState", "Canceled"));
	g_assert_cmpint(status_of(cloud, "POST", DEPLOYMENTS "/slow/cancel"), ==, 409);
	g_assert_cmpint(status_of(cloud, "POST", DEPLOYMENTS "/none/cancel"), ==, 404);
	test_cloud_obey(cloud, true);
	g_assert_cmpint(status_of(cloud, "GET", NSG "/after"), ==, 404);
	/* The machine's own operation goes on; deployed anew, it is waited for, and the rest comes. */
	assert_deployed(cloud, "slow", body);
	g_assert_cmpint(status_of(cloud, "GET", NSG "/after"), ==, 200);
	g_assert_cmpint(status_of(cloud, "DELETE", DEPLOYMENTS "/slow"), ==, 204);
}

/* ---- what cannot be put now ---- */

/* Both the check and the put say so, in the way that clients can show. */
static void assert_refused(struct test_cloud *cloud, const char *name, const char *body, const char *code)
{
	g_autofree char *path = g_strconcat(DEPLOYMENTS "/", name, "/validate", NULL), *text = NULL,
			*quoted = g_strdup_printf("\"error\":{\"code\":\"%s\"", code);
	_cleanup_(answer_clear) struct answer check = ask(cloud, "POST", path, body, NULL);

	g_assert_cmpint(check.status, ==, 200);
	g_assert_cmpstr(answer_code(&check), ==, code);
	g_autofree char *end = deploy(cloud, name, body, &text);
	g_assert_cmpstr(end, ==, "Failed");
	if (!strstr(text, quoted))
		g_error("'%s' is not in: %s", quoted, text);
	_cleanup_(answer_clear) struct answer record =
		ask(cloud, "GET", "/sluice/v1/audit?$top=1&result=refused", NULL, NULL);
	json_auto_t *expected = json_pack("{s:[{s:s, s:i}]}", "records", "code", code, "status", 200);
	fixture_assert_covers(expected, record.json);
}

static void scenario_active(struct test_cloud *cloud)
{
	put_base(cloud);
	g_autofree char *body = slow_body(cloud), *other = body_of("Incremental", "", "resources: []");
	g_usleep(100 * 1000); /* the host must have been seen alive for the machine to be placed */
	test_cloud_obey(cloud, false);
	_cleanup_(answer_clear) struct answer put = ask(cloud, "PUT", DEPLOYMENTS "/slow", body, NULL);
	g_assert_cmpint(put.status, ==, 201);
	wait_for_operation(cloud);
	assert_refused(cloud, "slow", other, "DeploymentActive");
	assert_refused(cloud, "SLOW", body, "DeploymentActive");
	assert_deployed(cloud, "fast", other);
	_cleanup_(answer_clear) struct answer twice =
		ask(cloud, "PUT", DEPLOYMENTS "/slow", body, "If-None-Match", "*", NULL);
	g_assert_cmpint(twice.status, ==, 412);
	/* The one that runs is as it was. */
	assert_read(cloud, DEPLOYMENTS "/slow",
		json_pack("{s:{s:s}}", "properties", "provisioningState", "Running"));
	test_cloud_obey(cloud, true);
	g_autofree char *end = finish(cloud, &put, NULL);
	g_assert_cmpstr(end, ==, "Succeeded");
	g_assert_cmpint(status_of(cloud, "GET", NSG "/after"), ==, 200);
	assert_deployed(cloud, "slow", other);
}

static void scenario_group_goes(struct test_cloud *cloud)
{
	g_autofree char *body = body_of("Incremental", "", "resources: [{" NSG_TYPE ", name: 'late'}]");

	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	test_cloud_obey(cloud, false);
	_cleanup_(answer_clear) struct answer going = ask(cloud, "DELETE", GROUP, NULL, NULL);
	g_assert_cmpint(going.status, ==, 202);
	assert_refused(cloud, "late", body, "AnotherOperationInProgress");
	test_cloud_obey(cloud, true);
	while (status_of(cloud, "GET", GROUP) != 404)
		g_usleep(10 * 1000);
	_cleanup_(answer_clear) struct answer gone = ask(cloud, "PUT", DEPLOYMENTS "/late", body, NULL);
	g_assert_cmpstr(answer_code(&gone), ==, "ResourceGroupNotFound");
}

static void scenario_names(struct test_cloud *cloud)
{
	g_autofree char *body = body_of("Incremental", "", "resources: []");
	char longest[66] = {};

	put_base(cloud);
	memset(longest, 'n', 64);
	assert_deployed(cloud, "copy(1)", body);
	assert_deployed(cloud, "-a_b.", body);
	assert_deployed(cloud, longest, body);
	longest[64] = 'n';
	const char *const wrong[] = {"two%20words", "a+b", longest};
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_autofree char *path = g_strconcat(DEPLOYMENTS "/", wrong[i], "/validate", NULL);
		_cleanup_(answer_clear) struct answer check = ask(cloud, "POST", path, body, NULL);
		g_assert_cmpint(check.status, ==, 200);
		g_assert_cmpstr(answer_code(&check), ==, "InvalidParameter");
	}
}

/* What is more than the store takes is refused by its name, with what to do; so is, before anything is made, a template that
 * leaves no room for the record of its resources. */
static void scenario_too_large(struct test_cloud *cloud)
{
	static const char words[] = "deployment big is too large to be stored";
	g_autofree char *filler = g_strnfill(1100 * 1000, 'x'), *some = g_strndup(filler, 950 * 1000),
			*large_template = g_strdup_printf("variables: {v: '%s'}, resources: []", filler),
			*full_template = g_strdup_printf(
				"variables: {v: '%s'}, resources: [{" NSG_TYPE
				", name: \"[concat('n', copyIndex())]\", copy: {name: 'c', count: 800}}]",
				some),
			*large = body_of("Incremental", "", large_template),
			*full = body_of("Incremental", "", full_template);

	put_base(cloud);
	_cleanup_(answer_clear) struct answer check =
		ask(cloud, "POST", DEPLOYMENTS "/big/validate", large, NULL);
	g_autofree char *said = json_dumps(check.json, JSON_COMPACT);
	g_assert_cmpint(check.status, ==, 200);
	g_assert_nonnull(strstr(said, words));
	g_assert_nonnull(strstr(said, "1048576 are the most; split the template"));
	_cleanup_(answer_clear) struct answer put = ask(cloud, "PUT", DEPLOYMENTS "/big", large, NULL);
	g_autofree char *again = json_dumps(put.json, JSON_COMPACT);
	g_assert_cmpint(put.status, ==, 400);
	g_assert_nonnull(strstr(again, words));
	assert_fails(cloud, "big", full, words);
	g_assert_cmpint(status_of(cloud, "GET", NSG "/n0"), ==, 404);
}

/* Resources that fail once there is the one that they ask; what is said of each has the word in it. */
#define FAILING(n)                                                                                           \
	"resources: [{" NSG_TYPE ", name: 'first'}, {" NSG_TYPE                                              \
	", name: \"[concat('n', copyIndex())]\", tags: {t: "                                                 \
	"\"[reference('first')[variables('word')]]\"}, copy: {name: 'c', count: " n "}}]"

/* What fails says much: as many as are shown are, and the others are counted. */
static void scenario_many_failures(struct test_cloud *cloud)
{
	g_autofree char *word = g_strnfill(4000, 'p'),
			*template = g_strdup_printf("variables: {word: '%s'}, " FAILING("400"), word),
			*many = body_of("Incremental", "", template), *text = NULL, *end = NULL;

	put_base(cloud);
	end = deploy(cloud, "many", many, &text);
	g_assert_cmpstr(end, ==, "Failed");
	if (!strstr(text, "more resources failed"))
		g_error("%.3000s", text);
	g_assert_cmpuint(strlen(text), <, 96 * 1024);
}

static void assert_no_secret(struct test_cloud *cloud, const char *name)
{
	_cleanup_(model_free) struct deployment *kept = stored(cloud, name);
	g_assert_nonnull(kept);
	g_autofree char *text = json_dumps(kept->spec.parameters, JSON_COMPACT);

	g_assert_null(strstr(text, "tell-nobody"));
}

/* There is room for the record as it begins, and none for what it says of failures: it ends, and keeps no secret. */
static void scenario_no_room(struct test_cloud *cloud)
{
	static const char secret[] = "\"s\": {\"value\": \"tell-nobody\"}";
	g_autofree char *filler = g_strnfill(970 * 1000, 'x'), *word = g_strnfill(2000, 'p'),
			*template = g_strdup_printf("parameters: {s: {type: 'securestring'}}, variables: "
						    "{f: '%s', word: '%s'}, " FAILING("80"),
				filler, word),
			*body = body_of("Incremental", secret, template);

	put_base(cloud);
	assert_fails(cloud, "full", body, "deployment full is too large to be stored");
	assert_read(cloud, DEPLOYMENTS "/full",
		json_pack("{s:{s:s}}", "properties", "provisioningState", "Failed"));
	assert_no_secret(cloud, "full");
}

/* As large as what is taken may be, it ends, and keeps no secret; what is larger is refused at once. */
static void scenario_largest(struct test_cloud *cloud)
{
	g_autoptr(GString) definitions = g_string_new("s: {type: 'securestring'}"),
			   values = g_string_new("\"s\": {\"value\": \"tell-nobody\"}");
	bool refused = false, taken = false;

	put_base(cloud);
	for (unsigned i = 1; i < 256; i++) {
		g_string_append_printf(definitions, ", p%u: {type: 'string'}", i);
		g_string_append_printf(values, ", \"p%u\": {\"value\": \"\"}", i);
	}
	for (size_t bytes = 984 * 1024; !refused; bytes += 2 * 1024) {
		g_autofree char *filler = g_strnfill(bytes, 'x'),
				*template = g_strdup_printf("parameters: {%s}, variables: {f: '%s'}, "
							    "resources: [{" NSG_TYPE ", name: 7}]",
					definitions->str, filler),
				*body = body_of("Incremental", values->str, template);
		_cleanup_(answer_clear) struct answer put =
			ask(cloud, "PUT", DEPLOYMENTS "/largest", body, NULL);
		refused = put.status == 400;
		if (refused)
			break;
		g_autofree char *end = finish(cloud, &put, NULL);
		g_assert_cmpstr(end, ==, "Failed");
		assert_no_secret(cloud, "largest");
		taken = true;
	}
	g_assert_true(taken);
}

/* ---- the history ---- */

static size_t count_deployments(struct test_cloud *cloud)
{
	_cleanup_(answer_clear) struct answer answer =
		ask(cloud, "GET", DEPLOYMENTS "?$top=1000", NULL, NULL);

	return json_array_size(json_object_get(answer.json, "value"));
}

/* 800 deployments inside of one, which wants what they have given; and one that lasts. */
static void scenario_history(struct test_cloud *cloud)
{
	static const char template[] =
		"resources: [{type: 'Microsoft.Resources/deployments', name: \"[format('n{0}', "
		"copyIndex())]\", "
		"copy: {name: 'all', count: 800}, properties: {expressionEvaluationOptions: {scope: "
		"'inner'}, "
		"template: {resources: [], outputs: {o: {type: 'string', value: 'given'}}}}}], outputs: "
		"{all: "
		"{type: 'array', copy: {count: 800, input: \"[reference(format('n{0}', "
		"copyIndex())).outputs.o.value]\"}}}";
	g_autofree char *many = body_of("Incremental", "", template),
			*one = body_of("Incremental", "", "resources: []"), *slow = NULL;

	put_base(cloud);
	slow = slow_body(cloud);
	g_usleep(100 * 1000); /* the host must have been seen alive for the machine to be placed */
	test_cloud_obey(cloud, false);
	_cleanup_(answer_clear) struct answer put = ask(cloud, "PUT", DEPLOYMENTS "/slow", slow, NULL);
	g_assert_cmpint(put.status, ==, 201);
	wait_for_operation(cloud);
	assert_deployed(cloud, "old", one);
	/* "old" makes room while the others come, and is all that can: those inside of one that runs stay. */
	assert_deployed(cloud, "many", many);
	g_assert_cmpint(status_of(cloud, "GET", DEPLOYMENTS "/old"), ==, 404);
	g_assert_cmpuint(count_deployments(cloud), ==, 803);
	/* One of them is deployed again, and so is not the oldest any more. */
	assert_deployed(cloud, "n0", one);
	g_assert_cmpuint(count_deployments(cloud), ==, 803);
	assert_deployed(cloud, "last", one);
	g_assert_cmpuint(count_deployments(cloud), ==, 775);
	static const char *const kept[] = {"slow", "inner", "many", "n0", "last"};
	for (size_t i = 0; i < G_N_ELEMENTS(kept); i++) {
		g_autofree char *path = g_strconcat(DEPLOYMENTS "/", kept[i], NULL);
		g_assert_cmpint(status_of(cloud, "GET", path), ==, 200);
	}
	_cleanup_(answer_clear) struct answer record =
		ask(cloud, "GET", "/sluice/v1/audit?$top=2&result=done", NULL, NULL);
	g_autofree char *text = json_dumps(record.json, JSON_COMPACT);
	g_assert_nonnull(strstr(text, "\"what\":\"DELETE /subscriptions/"));
	for (size_t i = 0; i < 2; i++) {
		const json_t *one_record = json_array_get(json_object_get(record.json, "records"), i);
		g_assert_nonnull(json_string_value(json_object_get(one_record, "request")));
	}
	test_cloud_obey(cloud, true);
	g_autofree char *end = finish(cloud, &put, NULL);
	g_assert_cmpstr(end, ==, "Succeeded");
}

#define ADD(name, fn) TEST_CLOUD_ADD("/deployments/" name, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("loops and conditions make what they say, as often as they are deployed", scenario_loops);
	ADD("a failure has its place and its resource, and can be mended", scenario_failures);
	ADD("a mode that there is not is refused at once", scenario_mode);
	ADD("a deployment inside of another gets values and gives some", scenario_inner);
	ADD("what is wrong inside of another is said outside", scenario_inner_fails);
	ADD("what fails deep inside of others is explained outside", scenario_deep_failure);
	ADD("Complete mode takes away what is not in the template, in the order of use", scenario_complete);
	ADD("Complete mode leaves what is in use, and names it", scenario_in_use);
	ADD("one that somebody runs already is waited for, and is a part then", scenario_same_inner);
	ADD("a cancelled deployment starts nothing more, inside of it neither", scenario_cancel);
	ADD("a deployment whose name is running is refused where its client can show it", scenario_active);
	ADD("so is one into a group that is being deleted", scenario_group_goes);
	ADD("names are what Azure's may be, and a check says of others that they are none", scenario_names);
	ADD("what is too large to be kept is refused with what to do", scenario_too_large);
	ADD("what many failures say is bounded, and the others are counted", scenario_many_failures);
	ADD("a record that outgrows the store ends, without its secrets", scenario_no_room);
	ADD("as large as it may be it ends, without its secrets", scenario_largest);
	ADD("the oldest that are over make room for new ones", scenario_history);
	return g_test_run();
}
