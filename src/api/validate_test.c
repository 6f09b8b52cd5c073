/* What goes over the wire about deployments that are only checked: what is refused before anything is done, and what is not. */
#include "api/test_cloud.h"

#include <string.h>

#define GROUP       "S/resourceGroups/myResourceGroup"
#define NET         GROUP "/providers/Microsoft.Network"
#define DEPLOYMENTS GROUP "/providers/Microsoft.Resources/deployments"

/* A machine whose network, interface and all comes with it. */
struct machine {
	const char *size, *accelerated, *subnet, *publisher, *offer, *sku;
};

static const struct machine good = {
	"Standard_DS2_v2", "true", "sub", "Canonical", "UbuntuServer", "18.04-LTS"};

#define TEMPLATE                                                                                             \
	"resources: [{type: 'Microsoft.Network/virtualNetworks', name: 'net', location: 'centralus', "       \
	"properties: {addressSpace: {addressPrefixes: ['10.0.0.0/16']}, subnets: [{name: 'sub', "            \
	"properties: {addressPrefix: '10.0.0.0/24'}}]}},"                                                    \
	" {type: 'Microsoft.Network/networkInterfaces', name: 'nic', location: 'centralus', dependsOn: "     \
	"['net'], properties: {enableAcceleratedNetworking: %s, ipConfigurations: [{name: 'one', "           \
	"properties: {subnet: {id: \"[resourceId('Microsoft.Network/virtualNetworks/subnets', 'net', "       \
	"'%s')]\"}}}]}},"                                                                                    \
	" {type: 'Microsoft.Compute/virtualMachines', name: 'web', location: 'centralus', dependsOn: "       \
	"['nic'], properties: {hardwareProfile: {vmSize: '%s'}, networkProfile: {networkInterfaces: [{id: "  \
	"\"[resourceId('Microsoft.Network/networkInterfaces', 'nic')]\"}]}, storageProfile: {osDisk: "       \
	"{createOption: 'FromImage'}, imageReference: {publisher: '%s', offer: '%s', sku: '%s', version: "   \
	"'latest'}}, osProfile: {computerName: 'web', adminUsername: 'azureuser', linuxConfiguration: "      \
	"{disablePasswordAuthentication: true, ssh: {publicKeys: [{path: "                                   \
	"'/home/azureuser/.ssh/authorized_keys', keyData: 'ssh-rsa "                                         \
	"AAAAB3NzaC1yc2EAAAADAQABAAABAQDq'}]}}}}}]"

/* Owned. */
static char *template_of(const struct machine *machine)
{
	return g_strdup_printf(TEMPLATE, machine->accelerated, machine->subnet, machine->size,
		machine->publisher, machine->offer, machine->sku);
}

static struct answer check(struct test_cloud *cloud, const char *template)
{
	g_autofree char *body =
		g_strdup_printf("{\"properties\": {\"mode\": \"Incremental\", template: {%s}}}", template);
	struct answer answer = ask(cloud, "POST", DEPLOYMENTS "/checked/validate", body, NULL);

	g_assert_cmpint(answer.status, ==, 200);
	return answer;
}

static void assert_good(struct test_cloud *cloud, const char *template)
{
	_cleanup_(answer_clear) struct answer answer = check(cloud, template);

	if (json_object_get(answer.json, "error"))
		g_error("%s", json_dumps(answer.json, JSON_COMPACT));
}

/* target: of the resource that is refused; words: in the message. */
static void assert_refused(struct test_cloud *cloud, const char *template, const char *code,
	const char *target, const char *words)
{
	_cleanup_(answer_clear) struct answer answer = check(cloud, template);
	g_autofree char *text = json_dumps(answer.json, JSON_COMPACT);
	const json_t *details = json_object_get(json_object_get(answer.json, "error"), "details"),
		     *detail = json_array_get(details, 0);
	const char *message = json_string_value(json_object_get(detail, "message"));

	g_assert_cmpstr(answer_code(&answer), ==, "InvalidTemplateDeployment");
	if (json_array_size(details) != 1 ||
		g_strcmp0(json_string_value(json_object_get(detail, "code")), code) != 0)
		g_error("%s is not the only one in: %s", code, text);
	if (!g_str_has_suffix(json_string_value(json_object_get(detail, "target")), target) ||
		!strstr(message, words))
		g_error("'%s' and '%s' are not in: %s", target, words, text);
	/* Clients print codes and messages only, so these have the name, too. */
	g_assert_nonnull(strstr(message, strrchr(target, '/') + 1));
}

static void assert_machine_refused(
	struct test_cloud *cloud, const struct machine *machine, const char *code, const char *words)
{
	g_autofree char *template = template_of(machine);

	assert_refused(cloud, template, code, "/virtualMachines/web", words);
}

static void put_group(struct test_cloud *cloud)
{
	log_in_as_tester(cloud);
	g_assert_cmpint(put_recorded(cloud, "group"), ==, 201);
}

static size_t count_resources(struct test_cloud *cloud)
{
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "GET", GROUP "/resources", NULL, NULL);

	return json_array_size(json_object_get(answer.json, "value"));
}

/* ---- machines ---- */

static void scenario_machines(struct test_cloud *cloud)
{
	struct machine no_size = good, small = good, plain = good, old = good, plain_old = good,
		       no_image = good, no_subnet = good;

	no_size.size = "Standard_Huge";
	small.size = plain.size = "Standard_DS1_v2";
	old.publisher = plain_old.publisher = "me";
	old.offer = plain_old.offer = "old";
	old.sku = plain_old.sku = "1";
	plain.accelerated = plain_old.accelerated = "false";
	no_image.sku = "19";
	no_subnet.subnet = "nowhere";
	g_autofree char *whole = template_of(&good), *without = template_of(&plain),
			*of_old = template_of(&plain_old), *astray = template_of(&no_subnet);

	put_group(cloud);
	assert_good(cloud, whole);
	assert_machine_refused(cloud, &no_size, "InvalidParameter", "Standard_Huge");
	assert_machine_refused(cloud, &small, "OperationNotAllowed", "Standard_DS1_v2");
	assert_good(cloud, without);
	assert_machine_refused(cloud, &old, "OperationNotAllowed", "image");
	assert_good(cloud, of_old);
	assert_machine_refused(cloud, &no_image, "InvalidResourceReference", "19");
	/* The machine waits for its interface, so that one refusal is all. */
	assert_refused(cloud, astray, "InvalidResourceReference", "/networkInterfaces/nic", "nowhere");
	g_assert_cmpint(count_resources(cloud), ==, 0);
	_cleanup_(answer_clear) struct answer none = ask(cloud, "GET", DEPLOYMENTS "/checked", NULL, NULL);
	g_assert_cmpint(none.status, ==, 404);
}

static void scenario_quotas(struct test_cloud *cloud)
{
	g_autofree char *whole = template_of(&good);

	put_group(cloud);
	_cleanup_(answer_clear) struct answer few =
		ask(cloud, "PUT", "/sluice/v1/quotas", "{\"cores\": 1}", NULL);
	g_assert_cmpint(few.status, ==, 200);
	assert_machine_refused(cloud, &good, "QuotaExceeded", "Total Cores");
	_cleanup_(answer_clear) struct answer enough =
		ask(cloud, "PUT", "/sluice/v1/quotas", "{\"cores\": 2}", NULL);
	g_assert_cmpint(enough.status, ==, 200);
	assert_good(cloud, whole);
}

/* ---- what there is already ---- */

#define MY_NIC(accelerated)                                                                                  \
	"resources: [{type: 'Microsoft.Network/networkInterfaces', name: 'myNic', location: 'centralus', "   \
	"properties: {enableAcceleratedNetworking: " accelerated                                             \
	", ipConfigurations: [{name: 'ipconfig1', properties: {subnet: {id: "                                \
	"\"[resourceId('Microsoft.Network/virtualNetworks/subnets', 'myVnet', 'mySubnet')]\"}}}]}}]"

/* The machine runs: its interface keeps its flag. What it is busy with is waited for, and is no reason to refuse. */
static void scenario_running(struct test_cloud *cloud)
{
	json_auto_t *vm = NULL;

	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	assert_good(cloud, MY_NIC("true"));
	assert_refused(cloud, MY_NIC("false"), "OperationNotAllowed", "/networkInterfaces/myNic", "myVM");
	vm = fixture_load(&cloud->fixture, "vm");
	json_t *request = json_object_get(vm, "request");
	json_object_set_new(request, "type", json_string("Microsoft.Compute/virtualMachines"));
	json_object_set_new(request, "name", json_string("myVM"));
	g_autofree char *text = json_dumps(request, JSON_COMPACT),
			*machine = g_strdup_printf("resources: [%s]", text);
	test_cloud_obey(cloud, false);
	_cleanup_(answer_clear) struct answer stop = ask(cloud, "POST",
		GROUP "/providers/Microsoft.Compute/virtualMachines/myVM/deallocate", NULL, NULL);
	g_assert_cmpint(stop.status, ==, 202);
	assert_good(cloud, machine);
	test_cloud_obey(cloud, true);
}

/* ---- what is only known later, and deployments inside of others ---- */

#define NSG_TYPE "type: 'Microsoft.Network/networkSecurityGroups', location: 'centralus'"

static void scenario_later(struct test_cloud *cloud)
{
	put_group(cloud);
	/* A value that nobody has yet, and what depends on it, may become anything. */
	assert_good(cloud, "resources: [{" NSG_TYPE ", name: 'one'}, {" NSG_TYPE
			   ", name: 'two', tags: {ip: \"[string(reference('one').nosuch)]\"}}, {" NSG_TYPE
			   ", name: 'three', dependsOn: ['two'], tags: {n: 7}}]");
	assert_refused(cloud,
		"resources: [{" NSG_TYPE ", name: 'one'}, {" NSG_TYPE
		", name: 'three', dependsOn: ['one'], tags: {n: 7}}]",
		"InvalidRequestContent", "/networkSecurityGroups/three", "tags.n");
	/* Two that come by it at the same time, in the order of the text. */
	assert_good(cloud,
		"resources: [{" NSG_TYPE
		", name: 'first'}, {type: 'Microsoft.Network/virtualNetworks/subnets', "
		"name: 'late/sub', dependsOn: ['first'], properties: {addressPrefix: '10.0.0.0/24'}}, {type: "
		"'Microsoft.Network/virtualNetworks', name: 'late', location: 'centralus', properties: "
		"{addressSpace: {addressPrefixes: ['10.0.0.0/16']}}}]");
}

static void scenario_inside(struct test_cloud *cloud)
{
	struct machine no_size = good;

	no_size.size = "Standard_Huge";
	g_autofree char *right = template_of(&good), *wrong = template_of(&no_size),
			*of_right =
				g_strdup_printf("resources: [{type: 'Microsoft.Resources/deployments', name: "
						"'module', properties: {template: {%s}}}]",
					right),
			*of_wrong =
				g_strdup_printf("resources: [{type: 'Microsoft.Resources/deployments', name: "
						"'module', properties: {template: {%s}}}]",
					wrong);

	put_group(cloud);
	assert_good(cloud, of_right);
	assert_refused(cloud, of_wrong, "InvalidParameter", "/virtualMachines/web",
		"In the deployment 'module': Microsoft.Compute/virtualMachines 'web': ");
}

/* ---- the audit log ---- */

static void assert_recorded(struct test_cloud *cloud, const char *path, const char *result, const char *code)
{
	json_auto_t *expected = json_pack("{s:s, s:s*, s:i}", "result", result, "code", code, "status", 200);
	_cleanup_(answer_clear) struct answer answer =
		ask(cloud, "GET", "/sluice/v1/audit?$top=1", NULL, NULL);
	const json_t *record = json_array_get(json_object_get(answer.json, "records"), 0);

	g_assert_true(g_str_has_suffix(json_string_value(json_object_get(record, "what")), path));
	fixture_assert_covers(expected, record);
	g_assert_true(code || !json_object_get(record, "code"));
}

static void scenario_audit(struct test_cloud *cloud)
{
	struct machine no_size = good;

	no_size.size = "Standard_Huge";
	g_autofree char *wrong = template_of(&no_size), *right = template_of(&good),
			*body = g_strdup_printf("{\"properties\": {template: {%s}}}", wrong);

	put_group(cloud);
	assert_machine_refused(cloud, &no_size, "InvalidParameter", "Standard_Huge");
	assert_recorded(cloud, "/deployments/checked/validate", "refused", "InvalidTemplateDeployment");
	assert_good(cloud, right);
	assert_recorded(cloud, "/deployments/checked/validate", "done", NULL);
	_cleanup_(answer_clear) struct answer what_if =
		ask(cloud, "POST", DEPLOYMENTS "/checked/whatIf", body, NULL);
	g_assert_cmpint(what_if.status, ==, 200);
	assert_recorded(cloud, "/deployments/checked/whatIf", "refused", "InvalidTemplateDeployment");
	_cleanup_(answer_clear) struct answer scope =
		ask(cloud, "POST", "S/providers/Microsoft.Resources/deployments/d/validate", "{}", NULL);
	g_assert_cmpint(scope.status, ==, 200);
	assert_recorded(cloud, "/deployments/d/validate", "refused", answer_code(&scope));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST_CLOUD_ADD("/api/validate/refuses what a machine cannot be, and does nothing", scenario_machines);
	TEST_CLOUD_ADD("/api/validate/refuses what goes over a quota", scenario_quotas);
	TEST_CLOUD_ADD("/api/validate/sees what there is already, and waits as a deployment would",
		scenario_running);
	TEST_CLOUD_ADD("/api/validate/refuses nothing that may become good", scenario_later);
	TEST_CLOUD_ADD("/api/validate/looks into deployments inside of others", scenario_inside);
	TEST_CLOUD_ADD("/api/validate/is on record as what came of it", scenario_audit);
	return g_test_run();
}
