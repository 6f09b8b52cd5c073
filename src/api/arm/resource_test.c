/* Resources: what clients were seen to send becomes the model and comes back as they want it; what is wrong
 * is refused with the place. */
#include "api/arm/arm_priv.h"
#include "api/fixture.h"

#include <string.h>

static const struct control_request request = {.principal = "tester"};

static void set_up(struct fixture *f, const void *data)
{
	fixture_open(f, false);
}

static void tear_down(struct fixture *f, const void *data)
{
	fixture_close(f);
}

/* ---- helpers ---- */

/* PUTs; the error of ARM's code, or NULL. */
static char *try_put(struct fixture *f, const char *path, const char *text, json_t **ret)
{
	json_error_t where;
	json_auto_t *body = json_loads(text, 0, &where);
	g_autofree char *full =
		g_strdup_printf("/subscriptions/%s%s", control_subscription(f->control), path);
	_cleanup_(arm_id_clear) struct arm_id id = {};
	_cleanup_(arm_put_result_clear) struct arm_put_result put = {};
	g_autoptr(GError) error = NULL;

	g_assert_nonnull(body);
	if (arm_id_parse(full, &id, &error) && arm_put(f->arm, &id, body, &request, &put, &error)) {
		if (ret)
			*ret = arm_encode(f->arm, put.result.object, 0);
		return NULL;
	}
	return g_strdup_printf("%s: %s", arm_error_of(error).code, error->message);
}

static void must_put(struct fixture *f, const char *path, const char *text)
{
	g_autofree char *failure = try_put(f, path, text, NULL);

	g_assert_cmpstr(failure, ==, NULL);
}

static void assert_refused(struct fixture *f, const char *path, const char *text, const char *failure)
{
	g_autofree char *actual = try_put(f, path, text, NULL);

	g_assert_cmpstr(actual, ==, failure);
}

/* Puts a recorded body and compares the answer with the recorded one. */
static json_t *put_recorded(struct fixture *f, const char *name)
{
	json_auto_t *recorded = fixture_load(f, name);
	_cleanup_(arm_id_clear) struct arm_id id = {};
	_cleanup_(arm_put_result_clear) struct arm_put_result put = {};
	g_autoptr(GError) error = NULL;
	json_t *answer, *compared;

	arm_id_parse(json_string_value(json_object_get(recorded, "path")), &id, &error);
	g_assert_no_error(error);
	arm_put(f->arm, &id, json_object_get(recorded, "request"), &request, &put, &error);
	g_assert_no_error(error);
	answer = arm_encode(f->arm, put.result.object, 0);
	compared = id.child_name ? arm_child_of(answer, id.child, id.child_name) : answer;
	fixture_assert_covers(json_object_get(recorded, "answer"), compared);
	return answer;
}

static void put_all(struct fixture *f, const char *const *names)
{
	for (; *names; names++)
		json_decref(put_recorded(f, *names));
}

#define BASE "group", "network", "security_group", "rule", "address", "nic"

/* ---- golden answers ---- */

static void test_golden(struct fixture *f, const void *data)
{
	put_all(f, (const char *const[]){BASE, "vm", "nic_update", NULL});
}

/* A put makes a new version of everything in the resource. */
static void drop_etags(json_t *json)
{
	const char *key;
	json_t *value;
	size_t i;

	json_object_del(json, "etag");
	json_object_foreach(json, key, value) drop_etags(value);
	json_array_foreach(json, i, value) drop_etags(value);
}

/* The resource as it was read, put back, is the same resource. */
static void test_read_write(struct fixture *f, const void *data)
{
	static const char *const names[] = {BASE, NULL};

	put_all(f, names);
	for (size_t i = 0; names[i]; i++) {
		json_auto_t *recorded = fixture_load(f, names[i]);
		_cleanup_(arm_id_clear) struct arm_id id = {};
		_cleanup_(arm_put_result_clear) struct arm_put_result put = {};
		g_autoptr(GError) error = NULL;
		arm_id_parse(json_string_value(json_object_get(recorded, "path")), &id, &error);
		g_clear_pointer(&id.child_name, g_free);
		_cleanup_(model_free) void *object = arm_find(f->arm, &id, &error);
		json_auto_t *before = arm_encode(f->arm, object, 0);
		arm_put(f->arm, &id, before, &request, &put, &error);
		g_assert_no_error(error);
		json_auto_t *after = arm_encode(f->arm, put.result.object, 0);
		drop_etags(before);
		fixture_assert_covers(before, after);
	}
}

/* Until its host has reported, a machine cannot be changed; the test says what the host would. */
static void settle_vm(struct fixture *f, int power, int state)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) vms = control_list(f->control, KIND_VM, NULL, &error);
	struct vm *vm = vms->pdata[0];

	vm->spec.power = power;
	vm->status.power = state;
	vm->status.outcome.state = PROVISIONING_SUCCEEDED;
	g_assert_true(control_store(f->control, vm, &error));
}

static void test_resize(struct fixture *f, const void *data)
{
	put_all(f, (const char *const[]){BASE, "vm", NULL});
	settle_vm(f, POWER_DEALLOCATED, POWER_STATE_DEALLOCATED);
	put_all(f, (const char *const[]){"vm_resize", NULL});
}

static void test_instance_view(struct fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;

	put_all(f, (const char *const[]){BASE, "vm", NULL});
	settle_vm(f, POWER_RUNNING, POWER_STATE_RUNNING);
	g_autoptr(GPtrArray) vms = control_list(f->control, KIND_VM, NULL, &error);
	json_auto_t *json = arm_encode(f->arm, vms->pdata[0], ENCODE_INSTANCE_VIEW);
	json_auto_t *expected = json_pack("{s:{s:{s:s, s:[{s:s, s:s}, {s:s, s:s}]}}}", "properties",
		"instanceView", "computerName", "myVM", "statuses", "code", "ProvisioningState/succeeded",
		"level", "Info", "code", "PowerState/running", "displayStatus", "VM running");
	fixture_assert_covers(expected, json);
}

static void test_references_back(struct fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *vm = NULL, *config = NULL;

	put_all(f, (const char *const[]){BASE, "vm", NULL});
	g_autoptr(GPtrArray) nics = control_list(f->control, KIND_NIC, NULL, &error);
	g_autoptr(GPtrArray) addresses = control_list(f->control, KIND_ADDRESS, NULL, &error);
	json_auto_t *nic = arm_encode(f->arm, nics->pdata[0], 0),
		    *address = arm_encode(f->arm, addresses->pdata[0], 0);
	vm = g_strdup_printf("/subscriptions/%s/resourceGroups/myResourceGroup/providers/Microsoft.Compute/"
			     "virtualMachines/myVM",
		control_subscription(f->control));
	config = g_strdup_printf(
		"%s/ipConfigurations/ipconfig1", json_string_value(json_object_get(nic, "id")));
	json_auto_t *bound = json_pack("{s:{s:{s:s}, s:b, s:{s:s}}}", "properties", "virtualMachine", "id",
		vm, "primary", 1, "accelerationStatus", "path", "none");
	json_auto_t *used = json_pack("{s:{s:{s:s}}}", "properties", "ipConfiguration", "id", config);
	fixture_assert_covers(bound, nic);
	fixture_assert_covers(used, address);
}

/* ---- what clients send oddly ---- */

#define GROUP "/resourceGroups/g"
#define NET   GROUP "/providers/Microsoft.Network/virtualNetworks/net"
#define NSG   GROUP "/providers/Microsoft.Network/networkSecurityGroups/nsg"
#define PIP   GROUP "/providers/Microsoft.Network/publicIPAddresses/pip"
#define NIC   GROUP "/providers/Microsoft.Network/networkInterfaces/nic"
#define VM    GROUP "/providers/Microsoft.Compute/virtualMachines/vm"

static void test_loose_types(struct fixture *f, const void *data)
{
	json_auto_t *json = NULL;
	g_autofree char *failure = NULL;

	must_put(f, GROUP, "{\"location\": \"Central US\", \"tags\": null}");
	must_put(f, NSG, "{\"location\": \"centralus\", \"properties\": null}");
	failure = try_put(f, NSG "/securityRules/r",
		"{\"properties\": {\"Access\": \"allow\", \"protocol\": \"TCP\", \"direction\": \"inbound\","
		" \"priority\": \"100\", \"sourceAddressPrefix\": \"*\", \"sourcePortRange\": \"*\","
		" \"destinationAddressPrefix\": \"*\", \"destinationPortRanges\": [22, \"80-81\"], "
		"\"description\": null}}",
		&json);
	g_assert_cmpstr(failure, ==, NULL);
	json_auto_t *expected = json_pack("{s:s, s:{s:s, s:s, s:s, s:i, s:[s, s]}}", "name", "r",
		"properties", "access", "Allow", "protocol", "Tcp", "direction", "Inbound", "priority", 100,
		"destinationPortRanges", "22", "80-81");
	fixture_assert_covers(expected, arm_child_of(json, "securityrules", "R"));
}

/* As az sends it where nobody said which port. */
static void test_portless(struct fixture *f, const void *data)
{
	static const char format[] =
		"{\"properties\": {\"access\": \"Deny\", \"protocol\": \"Icmp\", \"direction\": \"Inbound\","
		" \"priority\": 100, \"sourceAddressPrefix\": \"*\", \"sourcePortRange\": \"*\","
		" \"destinationAddressPrefix\": \"*\", \"destinationPortRange\": \"%s\"}}";
	g_autofree char *some = g_strdup_printf(format, "80"), *any = g_strdup_printf(format, "*");

	must_put(f, GROUP, "{\"location\": \"centralus\"}");
	must_put(f, NSG, "{\"location\": \"centralus\"}");
	g_autofree char *failure = try_put(f, NSG "/securityRules/r", some, NULL);
	g_assert_nonnull(failure);
	g_assert_nonnull(strstr(failure, "security rule r would never match: protocol icmp has no ports. Its "
					 "destination port range must be '*', not '80'"));
	must_put(f, NSG "/securityRules/r", any);
}

static void test_echo(struct fixture *f, const void *data)
{
	json_auto_t *json = NULL;
	g_autofree char *failure = NULL;

	must_put(f, GROUP, "{\"location\": \"centralus\"}");
	failure = try_put(f, NET,
		"{\"location\": \"centralus\", \"tags\": {\"a\": \"b\"}, \"etag\": \"x\", \"properties\": "
		"{\"provisioningState\":"
		" \"Mine\", \"resourceGuid\": \"mine\", \"flowTimeoutInMinutes\": 7, \"nothing\": null,"
		" \"addressSpace\": {\"addressPrefixes\": [\"10.0.0.0/8\"]},"
		" \"subnets\": [{\"name\": \"s\", \"properties\": {\"addressPrefix\": \"10.0.0.0/24\", "
		"\"purpose\": \"p\"}}]}}",
		&json);
	g_assert_cmpstr(failure, ==, NULL);
	json_auto_t *expected = json_pack("{s:{s:s}, s:{s:s, s:i, s:[{s:s, s:{s:s}}]}}", "tags", "a", "b",
		"properties", "provisioningState", "Succeeded", "flowTimeoutInMinutes", 7, "subnets", "name",
		"s", "properties", "purpose", "p");
	fixture_assert_covers(expected, json);
	g_assert_cmpstr(
		json_string_value(json_object_get(json_object_get(json, "properties"), "resourceGuid")), !=,
		"mine");
	g_assert_null(json_object_get(json_object_get(json, "properties"), "nothing"));
}

static void test_subnets_stay(struct fixture *f, const void *data)
{
	json_auto_t *kept = NULL, *gone = NULL;
	g_autofree char *first = NULL, *second = NULL;

	must_put(f, GROUP, "{\"location\": \"centralus\"}");
	must_put(f, NET,
		"{\"location\": \"centralus\", \"properties\": {\"addressSpace\": {\"addressPrefixes\": "
		"[\"10.0.0.0/8\"]}}}");
	must_put(f, NET "/subnets/s", "{\"properties\": {\"addressPrefixes\": [\"10.1.0.0/16\"]}}");
	first = try_put(f, NET,
		"{\"location\": \"centralus\", \"properties\": {\"addressSpace\": {\"addressPrefixes\": "
		"[\"10.0.0.0/8\"]}}}",
		&kept);
	g_assert_cmpstr(first, ==, NULL);
	g_assert_nonnull(arm_child_of(kept, "subnets", "s"));
	second = try_put(f, NET,
		"{\"location\": \"centralus\", \"properties\": {\"addressSpace\": {\"addressPrefixes\": "
		"[\"10.0.0.0/8\"]},"
		" \"subnets\": []}}",
		&gone);
	g_assert_cmpstr(second, ==, NULL);
	g_assert_null(arm_child_of(gone, "subnets", "s"));
}

static void test_default_outbound(struct fixture *f, const void *data)
{
#define OUTBOUND_NETWORK(subnets)                                                                            \
	"{\"location\": \"centralus\", \"properties\": {\"addressSpace\": {\"addressPrefixes\": "            \
	"[\"10.0.0.0/8\"]}, \"subnets\": [" subnets "]}}"
#define OUTBOUND_SUBNET(name, prefix, more)                                                                  \
	"{\"name\": \"" name "\", \"properties\": {\"addressPrefix\": \"" prefix "\"" more "}}"
	json_auto_t *open = NULL, *closed = NULL;

	must_put(f, GROUP, "{\"location\": \"centralus\"}");
	g_assert_null(try_put(f, NET, OUTBOUND_NETWORK(OUTBOUND_SUBNET("s", "10.1.0.0/16", "")), &open));
	g_assert_null(json_object_get(
		json_object_get(arm_child_of(open, "subnets", "s"), "properties"), "defaultOutboundAccess"));
	g_assert_null(try_put(f, NET,
		OUTBOUND_NETWORK(OUTBOUND_SUBNET("s", "10.1.0.0/16", ", \"defaultOutboundAccess\": false")),
		&closed));
	g_assert_true(json_is_false(
		json_object_get(json_object_get(arm_child_of(closed, "subnets", "s"), "properties"),
			"defaultOutboundAccess")));
	g_autofree char *mixed = try_put(f, NET,
		OUTBOUND_NETWORK(OUTBOUND_SUBNET("s", "10.1.0.0/16",
			", \"defaultOutboundAccess\": false") ", " OUTBOUND_SUBNET("t", "10.2.0.0/16", "")),
		NULL);
	g_assert_nonnull(mixed);
	g_assert_true(g_str_has_prefix(mixed, "NotSupported: "));
}

static void test_flow_revalidation(struct fixture *f, const void *data)
{
	static const struct {
		const char *properties;
		bool flush;
	} cases[] = {
		{"{}", true},
		{"{\"flushConnection\": false}", false},
		{"{\"flowRevalidation\": \"false\"}", false},
		{"{\"flushConnection\": true, \"flowRevalidation\": false}", false},
	};

	must_put(f, GROUP, "{\"location\": \"centralus\"}");
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *body = g_strdup_printf("{\"location\": \"centralus\", \"properties\": %s}",
					cases[i].properties),
				*failure = NULL;
		json_auto_t *json = NULL;
		failure = try_put(f, NSG, body, &json);
		g_assert_cmpstr(failure, ==, NULL);
		g_assert_true(json_is_true(json_object_get(json_object_get(json, "properties"),
				      "flushConnection")) == cases[i].flush);
	}
}

/* ---- refusals ---- */

static void test_shape_errors(struct fixture *f, const void *data)
{
#define BAD "InvalidRequestContent: The request content is not valid: "
	must_put(f, GROUP, "{\"location\": \"centralus\"}");
	assert_refused(f, NET, "[]", BAD "an object is needed.");
	assert_refused(f, NET, "{}", BAD "location: it is required.");
	assert_refused(
		f, NET, "{\"location\": 7, \"properties\": []}", BAD "properties: an object is needed.");
	assert_refused(f, NET, "{\"location\": \"centralus\"}",
		BAD "properties.addressSpace.addressPrefixes: it is required.");
	assert_refused(f, NET,
		"{\"location\": \"centralus\", \"properties\": {\"addressSpace\": {\"addressPrefixes\": "
		"[\"10.0.0.0/8\"]},"
		" \"subnets\": [{\"name\": \"a\", \"properties\": {\"addressPrefix\": \"10.0.0.0/24\"}}, "
		"{\"properties\": {}}]}}",
		BAD "properties.subnets[1].properties.addressPrefix: it is required.");
	assert_refused(f, NET, "{\"location\": \"centralus\", \"tags\": {\"a\": 1}}",
		BAD "tags.a: a string is needed.");
	assert_refused(f, NIC,
		"{\"location\": \"centralus\", \"properties\": {\"enableAcceleratedNetworking\": \"maybe\"}}",
		BAD "properties.enableAcceleratedNetworking: true or false is needed.");
	assert_refused(f, PIP,
		"{\"location\": \"centralus\", \"properties\": {\"publicIPAllocationMethod\": "
		"\"Sometimes\"}}",
		BAD
		"properties.publicIPAllocationMethod: 'Sometimes' is not allowed; use Dynamic or Static.");
	assert_refused(f, NSG,
		"{\"location\": \"centralus\", \"properties\": {\"securityRules\": [{\"name\": \"r\", "
		"\"properties\":"
		" {\"direction\": \"Inbound\", \"access\": \"Allow\", \"protocol\": \"*\", \"priority\": "
		"\"high\"}}]}}",
		BAD "properties.securityRules[0].properties.priority: a whole number is needed.");
	assert_refused(f, VM, "{\"location\": \"centralus\", \"properties\": {\"hardwareProfile\": {}}}",
		BAD "properties.hardwareProfile.vmSize: it is required.");
#undef BAD
}

static void test_unsupported(struct fixture *f, const void *data)
{
	must_put(f, GROUP, "{\"location\": \"centralus\"}");
	assert_refused(f, NET,
		"{\"location\": \"centralus\", \"properties\": {\"virtualNetworkPeerings\": [{\"name\": "
		"\"p\"}]}}",
		"NotSupported: properties.virtualNetworkPeerings: peerings are not supported here; leave it "
		"out.");
	assert_refused(f, NIC,
		"{\"location\": \"centralus\", \"properties\": {\"ipConfigurations\": [{\"name\": \"i\", "
		"\"properties\":"
		" {\"applicationGatewayBackendAddressPools\": [{\"id\": \"x\"}]}}]}}",
		"NotSupported: "
		"properties.ipConfigurations[0].properties.applicationGatewayBackendAddressPools: "
		"application gateways are "
		"not supported here; leave it out.");
	assert_refused(f, GROUP "/providers/Microsoft.ClassicCompute/virtualMachines/old",
		"{\"location\": \"centralus\"}",
		"InvalidResourceType: The resource type 'Microsoft.ClassicCompute/virtualMachines' is not "
		"supported: classic "
		"virtual machines cannot be deployed, so they cannot have accelerated networking either; use "
		"Microsoft.Compute/virtualMachines.");
	must_put(f, NET,
		"{\"location\": \"centralus\", \"properties\": {\"addressSpace\": {\"addressPrefixes\": "
		"[\"10.0.0.0/8\"]}}}");
	assert_refused(f, NET "/peerings/p", "{}",
		"InvalidResourceType: The resource type 'Microsoft.Network/virtualNetworks/peerings' is not "
		"supported, or "
		"cannot be changed.");
}

static void test_missing(struct fixture *f, const void *data)
{
	g_autofree char *failure = NULL;

	assert_refused(f, NET, "{\"location\": \"centralus\"}",
		"ResourceGroupNotFound: Resource group 'g' could not be found.");
	must_put(f, GROUP, "{\"location\": \"centralus\"}");
	assert_refused(f, NET "/subnets/s", "{\"properties\": {\"addressPrefix\": \"10.0.0.0/24\"}}",
		"ParentResourceNotFound: The Resource 'Microsoft.Network/virtualNetworks/net' under resource "
		"group 'g' was "
		"not found.");
	assert_refused(f, NET,
		"{\"location\": \"mars\", \"properties\": {\"addressSpace\": {\"addressPrefixes\": "
		"[\"10.0.0.0/8\"]}}}",
		"LocationNotAvailableForResourceType: The provided location 'mars' is not available for "
		"resource type "
		"'Microsoft.Network/virtualNetworks'. List of available regions for the resource type is "
		"'centralus,westus'.");
	failure = try_put(f, NIC,
		"{\"location\": \"centralus\", \"properties\": {\"networkSecurityGroup\": {\"id\": "
		"\"/subscriptions/x/resourceGroups"
		"/g/providers/Microsoft.Network/virtualNetworks/net\"}, \"ipConfigurations\": []}}",
		NULL);
	g_assert_true(g_str_has_prefix(failure, "InvalidResourceReference: "));
	g_assert_nonnull(strstr(failure, "is no network security group"));
}

static const char vm_body[] =
	"{\"location\": \"centralus\", \"properties\": {\"hardwareProfile\": {\"vmSize\": "
	"\"Standard_DS4_v2\"},"
	" \"storageProfile\": {\"imageReference\": {\"publisher\": \"Canonical\", \"offer\": "
	"\"UbuntuServer\", \"sku\":"
	" \"%s\"}}, \"osProfile\": {\"adminUsername\": \"azureuser\", \"adminPassword\": \"hunter2\", %s},"
	" \"networkProfile\": {\"networkInterfaces\": [{\"id\": \"/subscriptions/%s" NIC "\"}]}}}";

static void make_nic(struct fixture *f)
{
	g_autofree char *body =
		g_strdup_printf("{\"location\": \"centralus\", \"properties\": {\"ipConfigurations\": "
				"[{\"name\": \"i\", \"properties\": {\"subnet\":"
				" {\"id\": \"/subscriptions/%s" NET "/subnets/s\"}}}]}}",
			control_subscription(f->control));

	must_put(f, GROUP, "{\"location\": \"centralus\"}");
	must_put(f, NET,
		"{\"location\": \"centralus\", \"properties\": {\"addressSpace\": {\"addressPrefixes\": "
		"[\"10.0.0.0/8\"]}, \"subnets\":"
		" [{\"name\": \"s\", \"properties\": {\"addressPrefix\": \"10.0.0.0/24\"}}]}}");
	must_put(f, NIC, body);
}

static void test_secrets(struct fixture *f, const void *data)
{
	const char *subscription = control_subscription(f->control);
	g_autofree char *password_only = g_strdup_printf(
				vm_body, "18.04-LTS", "\"linuxConfiguration\": {}", subscription),
			*with_key = g_strdup_printf(vm_body, "18.04-LTS",
				"\"linuxConfiguration\": {\"ssh\": {\"publicKeys\": [{\"keyData\": "
				"\"ssh-ed25519 AAAA me\\n\"}]}}",
				subscription),
			*failure = NULL, *text = NULL;
	json_auto_t *json = NULL;

	make_nic(f);
	assert_refused(f, VM, password_only,
		"NotSupported: osProfile.adminPassword: the images here admit ssh keys only; give a public "
		"key (az vm create "
		"--generate-ssh-keys).");
	failure = try_put(f, VM, with_key, &json);
	g_assert_cmpstr(failure, ==, NULL);
	text = json_dumps(json, JSON_COMPACT);
	g_assert_null(strstr(text, "hunter2"));
	g_assert_nonnull(strstr(text, "\"keyData\":\"ssh-ed25519 AAAA me\""));
	g_autoptr(GPtrArray) vms = control_list(f->control, KIND_VM, NULL, NULL);
	g_autofree char *stored = model_encode(vms->pdata[0]);
	g_assert_null(strstr(stored, "hunter2"));
}

static void test_image(struct fixture *f, const void *data)
{
	g_autofree char *body = g_strdup_printf(vm_body, "99.04",
		"\"linuxConfiguration\": {\"ssh\": {\"publicKeys\": [{\"keyData\": \"ssh-ed25519 AAAA "
		"me\"}]}}",
		control_subscription(f->control));

	make_nic(f);
	assert_refused(f, VM, body,
		"InvalidResourceReference: The platform image 'Canonical:UbuntuServer:99.04:latest' is not "
		"available. Verify "
		"that all fields in the storage profile are correct; \"az vm image list\" shows the images "
		"there are.");
}

static char *with_disk(const struct fixture *f, const char *size)
{
	g_autofree char *body = g_strdup_printf(vm_body, "18.04-LTS",
		"\"linuxConfiguration\": {\"ssh\": {\"publicKeys\": [{\"keyData\": \"ssh-ed25519 AAAA "
		"me\"}]}}",
		control_subscription(f->control));
	g_auto(GStrv) parts = g_strsplit(body, "\"storageProfile\": {", 2);

	return g_strdup_printf(
		"%s\"storageProfile\": {\"osDisk\": {\"diskSizeGB\": %s}, %s", parts[0], size, parts[1]);
}

static void test_disk_size(struct fixture *f, const void *data)
{
	static const char *const bad[] = {"-1", "4096", "17179869185"};

	make_nic(f);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *body = with_disk(f, bad[i]);
		assert_refused(f, VM, body,
			"InvalidRequestContent: The request content is not valid: "
			"properties.storageProfile.osDisk.diskSizeGB: a number of 1 to "
			"4095 is needed.");
	}
	g_autofree char *most = with_disk(f, "4095");
	must_put(f, VM, most);
}

#define ADD(name, test) g_test_add("/arm/resource/" name, struct fixture, NULL, set_up, test, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("recorded requests get the recorded answers", test_golden);
	ADD("what is read can be put back and changes nothing", test_read_write);
	ADD("a resize that leaves the image out keeps it", test_resize);
	ADD("the instance view tells the power state", test_instance_view);
	ADD("a bound interface and its address name their users", test_references_back);
	ADD("a rule of a protocol without ports has '*' for them", test_portless);
	ADD("numbers as text, text as numbers and nulls are taken", test_loose_types);
	ADD("members the model does not hold come back, the server's own do not", test_echo);
	ADD("subnets stay when a network is put without them", test_subnets_stay);
	ADD("default outbound access is on unless a network's subnets turn it off", test_default_outbound);
	ADD("flow revalidation is on unless it is turned off", test_flow_revalidation);
	ADD("a wrong shape is refused with its JSON path", test_shape_errors);
	ADD("features and types that are not there are refused by name", test_unsupported);
	ADD("missing groups, parents, locations and references are told", test_missing);
	ADD("passwords are neither stored nor shown, and do not replace keys", test_secrets);
	ADD("a disk is of 1 to 4095 GiB", test_disk_size);
	ADD("an unknown image is refused", test_image);
	return g_test_run();
}
