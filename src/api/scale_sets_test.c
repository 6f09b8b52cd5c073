/* What goes over the wire about scale sets: as az asks for it. */
#include "api/test_cloud.h"

#include <string.h>

#define GROUP   "S/resourceGroups/myResourceGroup"
#define COMPUTE GROUP "/providers/Microsoft.Compute"
#define SET     COMPUTE "/virtualMachineScaleSets/myvmss"
#define IMAGE                                                                                                \
	"\"imageReference\": {\"publisher\": \"Canonical\", \"offer\": \"UbuntuServer\", \"sku\": "          \
	"\"18.04-LTS\", \"version\": \"latest\"}"

/* What `az vmss create` puts, with %s: subscription, more of the interface, more of properties; %d: capacity. */
static const char body_format[] =
	"{\"location\": \"centralus\", \"tags\": {\"who\": \"me\"}, \"sku\": {\"name\": \"Standard_DS4_v2\", "
	"\"capacity\": %d}, \"properties\": {\"overprovision\": true, \"upgradePolicy\": {\"mode\": "
	"\"manual\"}, "
	"\"singlePlacementGroup\": null, \"virtualMachineProfile\": {\"storageProfile\": {\"osDisk\": "
	"{\"createOption\": \"FromImage\", \"caching\": \"ReadWrite\", \"managedDisk\": "
	"{\"storageAccountType\": "
	"null}}, " IMAGE "}, \"osProfile\": {\"computerNamePrefix\": \"myvmsf95d\", \"adminUsername\": "
	"\"azureuser\", \"linuxConfiguration\": {\"disablePasswordAuthentication\": true, \"ssh\": "
	"{\"publicKeys\": "
	"[{\"path\": \"/home/azureuser/.ssh/authorized_keys\", \"keyData\": \"ssh-rsa AAAAB3 me\"}]}}}, "
	"\"networkProfile\": {\"networkInterfaceConfigurations\": [{\"name\": \"myNic\", \"properties\": "
	"{\"ipConfigurations\": [{\"name\": \"myConfig\", \"properties\": {\"subnet\": {\"id\": "
	"\"/subscriptions/%s/resourceGroups/myResourceGroup/providers/Microsoft.Network/virtualNetworks/"
	"myVnet/"
	"subnets/mySubnet\"}%s}}], \"primary\": \"true\"}}]}}%s}}";

static char *make_body(struct test_cloud *cloud, int capacity, const char *nic, const char *more)
{
	return g_strdup_printf(
		body_format, capacity, control_subscription(cloud->fixture.control), nic, more);
}

/* ---- asking ---- */

/* The HTTP status, and the answer's or the operation's text; Owned. */
static unsigned send(
	struct test_cloud *cloud, const char *method, const char *path, const char *body, char **ret)
{
	_cleanup_(answer_clear) struct answer answer = ask(cloud, method, path, body, NULL);

	*ret = answer.json ? json_dumps(answer.json, JSON_COMPACT) : g_strdup("");
	if (answer.status < 300 && answer_header(&answer, "Azure-AsyncOperation")) {
		const char *url = answer_header(&answer, "Azure-AsyncOperation");
		g_autofree char *end = finish(cloud, &answer, NULL);
		if (!g_str_equal(end, "Succeeded")) {
			_cleanup_(answer_clear) struct answer over = ask(cloud, "GET", url, NULL, NULL);
			g_free(*ret);
			*ret = json_dumps(over.json, JSON_COMPACT);
			return 0;
		}
	}
	return answer.status;
}

/* status 0: it was accepted and failed. */
static void assert_sent(struct test_cloud *cloud, const char *method, const char *path, const char *body,
	unsigned status, const char *words)
{
	g_autofree char *text = NULL;
	unsigned its = send(cloud, method, path, body, &text);

	if (its != status || !strstr(text, words))
		g_error("%s %s: %u with '%s' is expected, it is %u: %s", method, path, status, words, its,
			text);
}

static json_t *read_json(struct test_cloud *cloud, const char *path)
{
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "GET", path, NULL, NULL);

	g_assert_cmpint(answer.status, ==, 200);
	return json_incref(answer.json);
}

static void assert_read(struct test_cloud *cloud, const char *path, json_t *expected)
{
	json_auto_t *own = expected, *actual = read_json(cloud, path);

	fixture_assert_covers(own, actual);
}

static void put_set(struct test_cloud *cloud, int capacity, const char *nic, const char *more)
{
	g_autofree char *body = make_body(cloud, capacity, nic, more);

	assert_sent(cloud, "PUT", SET, body, 201, "myvmss");
}

static json_t *member(json_t *json, const char *path)
{
	g_auto(GStrv) names = g_strsplit(path, ".", -1);

	for (guint i = 0; names[i]; i++)
		json = json_is_array(json) ? json_array_get(json, 0) : json_object_get(json, names[i]);
	g_assert_nonnull(json);
	return json;
}

#define NICS "properties.virtualMachineProfile.networkProfile.networkInterfaceConfigurations"

/* As `az vmss update --set` does it: what is read, with one member changed. Takes the value. */
static void assert_updated(struct test_cloud *cloud, const char *path, const char *name, json_t *value,
	unsigned status, const char *words)
{
	json_auto_t *body = read_json(cloud, SET);

	json_object_set_new(member(body, path), name, value);
	/* The client drops what it may not send. */
	json_object_del(member(body, "properties.virtualMachineProfile.storageProfile"), "imageReference");
	g_autofree char *text = json_dumps(body, JSON_COMPACT);
	assert_sent(cloud, "PUT", SET, text, status, words);
}

static void assert_summary(struct test_cloud *cloud, const char *code, int count)
{
	assert_read(cloud, SET "/instanceView",
		json_pack("{s:{s:[{s:s, s:i}, {s:s, s:i}]}}", "virtualMachine", "statusesSummary", "code",
			"ProvisioningState/succeeded", "count", count, "code", code, "count", count));
}

/* ---- scenarios ---- */

static void scenario_made(struct test_cloud *cloud)
{
	put_base(cloud);
	put_set(cloud, 2, "", "");
	assert_read(cloud, SET,
		json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:s, s:i}, s:{s:s, s:s, s:b, s:{s:s}, "
			  "s:{s:{s:s}, s:{s:{s:s}, s:{s:s}}}}}",
			"name", "myvmss", "type", "Microsoft.Compute/virtualMachineScaleSets", "tags", "who",
			"me", "sku", "name", "Standard_DS4_v2", "tier", "Standard", "capacity", 2,
			"properties", "provisioningState", "Succeeded", "orchestrationMode", "Uniform",
			"overprovision", 1, "upgradePolicy", "mode", "Manual", "virtualMachineProfile",
			"osProfile", "computerNamePrefix", "myvmsf95d", "storageProfile", "osDisk", "caching",
			"ReadWrite", "imageReference", "sku", "18.04-LTS"));
	assert_summary(cloud, "PowerState/running", 2);
	json_auto_t *machines = read_json(cloud, COMPUTE "/virtualMachines"),
		    *all = read_json(cloud, "S/providers/Microsoft.Compute/virtualMachines"),
		    *resources = read_json(cloud, GROUP "/resources"), *skus = read_json(cloud, SET "/skus");
	g_assert_cmpuint(json_array_size(json_object_get(machines, "value")), ==, 0);
	g_assert_cmpuint(json_array_size(json_object_get(all, "value")), ==, 0);
	g_assert_cmpuint(json_array_size(json_object_get(resources, "value")), ==, 5);
	g_assert_cmpuint(json_array_size(json_object_get(skus, "value")), ==, 1);
	assert_sent(cloud, "DELETE", SET, NULL, 202, "");
	assert_sent(cloud, "DELETE", SET, NULL, 204, "");
}

static void scenario_instances(struct test_cloud *cloud)
{
	static const char suffix[] =
		"/virtualMachineScaleSets/myvmss/virtualMachines/1/networkInterfaces/myNic";

	put_base(cloud);
	put_set(cloud, 2, "", "");
	assert_read(cloud, SET "/virtualMachines/1",
		json_pack("{s:s, s:s, s:s, s:s, s:{s:s}, s:{s:b, s:s, s:{s:s}, "
			  "s:{s:[{s:s, s:{s:b}}]}}}",
			"name", "myvmss_1", "instanceId", "1", "type",
			"Microsoft.Compute/virtualMachineScaleSets/virtualMachines", "location", "centralus",
			"sku", "name", "Standard_DS4_v2", "properties", "latestModelApplied", 1,
			"provisioningState", "Succeeded", "osProfile", "computerName", "myvmsf95d000001",
			"networkProfileConfiguration", "networkInterfaceConfigurations", "name", "myNic",
			"properties", "enableAcceleratedNetworking", 0));
	json_auto_t *list = read_json(cloud, SET "/virtualMachines?$expand=instanceView"),
		    *nics = read_json(cloud, SET "/networkInterfaces"),
		    *its = read_json(cloud, SET "/virtualMachines/1/networkInterfaces");
	g_assert_cmpuint(json_array_size(json_object_get(list, "value")), ==, 2);
	member(list, "value.0.properties.instanceView");
	g_assert_cmpuint(json_array_size(json_object_get(nics, "value")), ==, 2);
	g_assert_cmpuint(json_array_size(json_object_get(its, "value")), ==, 1);
	const char *id = json_string_value(member(its, "value.0.id"));
	g_assert_true(g_str_has_suffix(id, suffix));
	g_autofree char *path = g_strconcat("S", strchr(strchr(id + 1, '/') + 1, '/'), NULL);
	assert_read(cloud, path, json_pack("{s:s, s:s}", "name", "myNic", "id", id));
	assert_read(cloud, SET "/virtualMachines/0/instanceView",
		json_pack("{s:s}", "computerName", "myvmsf95d000000"));
	assert_sent(cloud, "GET", SET "/virtualMachines/7", NULL, 404, "has no instance '7'");
	assert_sent(cloud, "PUT", SET "/virtualMachines/1", "{\"location\": \"centralus\"}", 400,
		"cannot be changed");
	assert_sent(cloud, "POST", SET "/virtualMachines/1/deallocate", NULL, 202, "");
	assert_read(cloud, SET "/virtualMachines/1/instanceView",
		json_pack("{s:[{}, {s:s}]}", "statuses", "code", "PowerState/deallocated"));
	assert_sent(cloud, "DELETE", SET "/virtualMachines/0", NULL, 202, "");
	assert_read(cloud, SET, json_pack("{s:{s:i}}", "sku", "capacity", 1));
}

static void scenario_scale(struct test_cloud *cloud)
{
	static const char scale[] = "{\"location\": \"centralus\", \"sku\": {\"name\": \"Standard_DS4_v2\", "
				    "\"tier\": \"Standard\", \"capacity\": 3}}";

	put_base(cloud);
	put_set(cloud, 1, "", "");
	assert_sent(cloud, "PUT", SET, scale, 200, "\"capacity\":3");
	assert_summary(cloud, "PowerState/running", 3);
	assert_read(cloud, SET,
		json_pack("{s:{s:s}, s:{s:b}}", "tags", "who", "me", "properties", "overprovision", 1));
	assert_sent(cloud, "PATCH", SET, "{\"sku\": {\"capacity\": 2}}", 200, "\"capacity\":2");
	assert_sent(cloud, "POST", SET "/delete", "{\"instanceIds\": [\"0\"]}", 202, "");
	json_auto_t *list = read_json(cloud, SET "/virtualMachines");
	g_assert_cmpuint(json_array_size(json_object_get(list, "value")), ==, 1);
	g_assert_cmpstr(json_string_value(member(list, "value.0.instanceId")), ==, "1");
	assert_sent(cloud, "POST", SET "/delete", "{}", 400, "instanceIds");
	assert_sent(
		cloud, "POST", SET "/restart", "{\"instanceIds\": [\"1\", \"9\"]}", 404, "no instance '9'");
	assert_sent(cloud, "POST", SET "/reapply", "{}", 400, "'reapply' is not supported");
}

static void scenario_scale_in(struct test_cloud *cloud)
{
	put_base(cloud);
	put_set(cloud, 2, "", ", \"scaleInPolicy\": {\"rules\": [\"OldestVM\"], \"forceDeletion\": false}");
	assert_read(
		cloud, SET, json_pack("{s:{s:{s:[s]}}}", "properties", "scaleInPolicy", "rules", "OldestVM"));
	assert_sent(cloud, "PATCH", SET, "{\"sku\": {\"capacity\": 1}}", 200, "OldestVM");
	assert_read(cloud, SET "/virtualMachines/1", json_pack("{s:s}", "instanceId", "1"));
	assert_sent(cloud, "PATCH", SET, "{\"properties\": {\"scaleInPolicy\": {\"rules\": [\"Any\"]}}}", 400,
		"one of Default, NewestVM and OldestVM is needed");
	assert_sent(cloud, "PATCH", SET, "{\"properties\": {\"scaleInPolicy\": {\"forceDeletion\": true}}}",
		400, "forced deletions are not supported");
}

static void scenario_new_disks(struct test_cloud *cloud)
{
	static const char disk[] = "properties.virtualMachineProfile.storageProfile.osDisk";

	put_base(cloud);
	put_set(cloud, 2, "", "");
	assert_sent(cloud, "POST", SET "/reimage", NULL, 202, "");
	assert_sent(cloud, "POST", SET "/reimageall", "{\"instanceIds\": [\"1\"]}", 202, "");
	assert_sent(cloud, "POST", SET "/virtualMachines/0/reimage", NULL, 202, "");
	assert_sent(cloud, "POST", SET "/reimage", "{\"instanceIds\": [\"7\"]}", 404, "no instance '7'");
	assert_updated(cloud, disk, "diskSizeGB", json_integer(64), 200, "\"diskSizeGB\":64");
	assert_read(cloud, SET "/virtualMachines/1",
		json_pack("{s:{s:b}}", "properties", "latestModelApplied", 0));
	assert_sent(cloud, "POST", SET "/osRollingUpgrade", NULL, 202, "");
	assert_read(cloud, SET "/virtualMachines/1",
		json_pack("{s:{s:b, s:{s:{s:i}}}}", "properties", "latestModelApplied", 1, "storageProfile",
			"osDisk", "diskSizeGB", 64));
	assert_read(cloud, SET "/rollingUpgrades/latest",
		json_pack("{s:{s:{s:s}, s:{s:i}}}", "properties", "runningStatus", "code", "Completed",
			"progress", "successfulInstanceCount", 2));
	assert_summary(cloud, "PowerState/running", 2);
}

/* Each command of the document. */
static void scenario_document(struct test_cloud *cloud)
{
	put_base(cloud);
	put_set(cloud, 2, "", "");
	assert_updated(cloud, NICS ".0.properties", "enableAcceleratedNetworking", json_true(), 409,
		"Accelerated networking of network interface myNic cannot be changed while instances of "
		"scale set "
		"myvmss are not deallocated: myvmss_0, myvmss_1.");
	assert_sent(cloud, "POST", SET "/deallocate", "{}", 202, "");
	assert_summary(cloud, "PowerState/deallocated", 2);
	assert_updated(cloud, NICS ".0.properties", "enableAcceleratedNetworking", json_true(), 200,
		"\"enableAcceleratedNetworking\":true");
	assert_read(cloud, SET "/virtualMachines/0",
		json_pack("{s:{s:b}}", "properties", "latestModelApplied", 0));
	assert_updated(
		cloud, "properties.upgradePolicy", "mode", json_string("automatic"), 200, "\"Automatic\"");
	assert_sent(cloud, "POST", SET "/start", "{\"instanceIds\": [\"*\"]}", 202, "");
	assert_summary(cloud, "PowerState/running", 2);
	assert_read(cloud, SET "/virtualMachines/1",
		json_pack("{s:{s:b, s:{s:[{s:{s:b}}]}}}", "properties", "latestModelApplied", 1,
			"networkProfileConfiguration", "networkInterfaceConfigurations", "properties",
			"enableAcceleratedNetworking", 1));
	assert_read(cloud, SET "/virtualMachines/1/networkInterfaces/myNic",
		json_pack("{s:{s:b, s:{s:s}}}", "properties", "enableAcceleratedNetworking", 1,
			"accelerationStatus", "path", "emulated"));
}

static void scenario_upgrades(struct test_cloud *cloud)
{
	put_base(cloud);
	put_set(cloud, 2, "", "");
	assert_updated(cloud, "sku", "name", json_string("Standard_DS3_v2"), 200, "Standard_DS3_v2");
	assert_read(cloud, SET "/virtualMachines/0",
		json_pack("{s:{s:s}, s:{s:b}}", "sku", "name", "Standard_DS4_v2", "properties",
			"latestModelApplied", 0));
	assert_sent(cloud, "POST", SET "/manualupgrade", "{}", 400, "instanceIds");
	assert_sent(cloud, "POST", SET "/manualupgrade", "{\"instanceIds\": [\"*\"]}", 202, "");
	assert_read(cloud, SET "/virtualMachines/0",
		json_pack("{s:{s:s}, s:{s:b}}", "sku", "name", "Standard_DS3_v2", "properties",
			"latestModelApplied", 1));
	assert_sent(cloud, "GET", SET "/rollingUpgrades/latest", NULL, 404, "no rolling upgrade yet");
	assert_updated(cloud, "properties", "upgradePolicy",
		json_pack("{s:s, s:{s:i, s:s}}", "mode", "Rolling", "rollingUpgradePolicy",
			"maxBatchInstancePercent", 50, "pauseTimeBetweenBatches", "PT1H2M3S"),
		200, "\"pauseTimeBetweenBatches\":\"PT3723S\"");
	assert_updated(cloud, "properties.upgradePolicy.rollingUpgradePolicy", "pauseTimeBetweenBatches",
		json_string("soon"), 400, "a duration is needed");
	assert_updated(cloud, "properties.upgradePolicy.rollingUpgradePolicy", "pauseTimeBetweenBatches",
		json_string("PT0S"), 200, "PT0S");
	assert_updated(cloud, "sku", "name", json_string("Standard_DS4_v2"), 200, "Standard_DS4_v2");
	assert_read(cloud, SET "/rollingUpgrades/latest",
		json_pack("{s:{s:{s:s}, s:{s:i, s:i}}}", "properties", "runningStatus", "code", "Completed",
			"progress", "successfulInstanceCount", 2, "pendingInstanceCount", 0));
	assert_sent(cloud, "POST", SET "/rollingUpgrades/cancel", NULL, 409, "no rolling upgrade");
}

/* As `az vm list --vmss` asks; %s: the set, or what the client takes for one. */
static struct answer list_of_set(struct test_cloud *cloud, const char *path, const char *set)
{
	g_autofree char *filter =
				g_strdup_printf("'virtualMachineScaleSet/id' eq "
						"'/subscriptions/%s/resourceGroups/MYRESOURCEGROUP/providers/"
						"Microsoft.Compute/%s'",
					control_subscription(cloud->fixture.control), set),
			*escaped = g_uri_escape_string(filter, NULL, FALSE),
			*url = g_strdup_printf("%s?$filter=%s", path, escaped);

	return ask(cloud, "GET", url, NULL, NULL);
}

static void assert_listed(struct test_cloud *cloud, const char *path, const char *set, size_t n)
{
	_cleanup_(answer_clear) struct answer answer = list_of_set(cloud, path, set);

	g_assert_cmpint(answer.status, ==, 200);
	g_assert_cmpuint(json_array_size(json_object_get(answer.json, "value")), ==, n);
}

static void assert_not_listed(struct test_cloud *cloud, const char *set, unsigned status, const char *code)
{
	_cleanup_(answer_clear) struct answer answer = list_of_set(cloud, COMPUTE "/virtualMachines", set);

	g_assert_cmpint(answer.status, ==, status);
	g_assert_cmpstr(answer_code(&answer), ==, code);
}

static void scenario_list_of_set(struct test_cloud *cloud)
{
	g_autofree char *uniform = make_body(cloud, 1, "", "");

	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	put_set(cloud, 2, "", ", \"orchestrationMode\": \"Flexible\", \"platformFaultDomainCount\": 1");
	assert_sent(cloud, "PUT", COMPUTE "/virtualMachineScaleSets/uniform", uniform, 201, "uniform");
	assert_listed(cloud, COMPUTE "/virtualMachines", "virtualMachineScaleSets/MyVmss", 2);
	assert_listed(
		cloud, "S/providers/Microsoft.Compute/virtualMachines", "virtualMachineScaleSets/myvmss", 2);
	assert_listed(cloud, GROUP "/resources", "virtualMachineScaleSets/myvmss", 2);
	/* Those of a uniform set are no machines of the group. */
	assert_listed(cloud, COMPUTE "/virtualMachines", "virtualMachineScaleSets/uniform", 0);
	assert_not_listed(cloud, "virtualMachineScaleSets/nosuch", 404, "ResourceNotFound");
	assert_not_listed(cloud, "virtualMachines/myVM", 400, "InvalidFilterInQueryString");
	assert_not_listed(cloud, "virtualMachineScaleSets/uniform/virtualMachines/0", 400,
		"InvalidFilterInQueryString");
}

static void scenario_flexible(struct test_cloud *cloud)
{
	static const char address[] =
		", \"publicIPAddressConfiguration\": {\"name\": \"pub\", \"sku\": {\"name\": "
		"\"Standard\"}, \"properties\": {\"idleTimeoutInMinutes\": 10}}";

	put_base(cloud);
	put_set(cloud, 1, address, ", \"orchestrationMode\": \"Flexible\", \"platformFaultDomainCount\": 1");
	json_auto_t *machines = read_json(cloud, COMPUTE "/virtualMachines"),
		    *list = read_json(cloud, SET "/virtualMachines"),
		    *addresses = read_json(cloud, SET "/publicipaddresses");
	g_assert_cmpuint(json_array_size(json_object_get(machines, "value")), ==, 1);
	const char *name = json_string_value(member(machines, "value.0.name")),
		   *ip = json_string_value(member(addresses, "value.0.properties.ipAddress"));
	g_assert_true(g_str_has_prefix(name, "myvmss_"));
	g_assert_true(g_str_has_prefix(ip, "203.0.113."));
	g_assert_cmpstr(json_string_value(member(list, "value.0.instanceId")), ==, name);
	g_assert_nonnull(
		strstr(json_string_value(member(machines, "value.0.properties.virtualMachineScaleSet.id")),
			"/virtualMachineScaleSets/myvmss"));

	/* A complete deployment of the set leaves its machines. */
	_cleanup_(answer_clear) struct answer complete = ask(cloud, "PUT",
		GROUP "/providers/Microsoft.Resources/deployments/all",
		"{\"properties\": {\"mode\": \"Complete\", \"parameters\": {}, \"template\": {\"$schema\": "
		"\"https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#\", "
		"\"contentVersion\": \"1.0.0.0\", \"resources\": [{\"type\": "
		"\"Microsoft.Compute/virtualMachineScaleSets\", \"name\": \"myvmss\", \"apiVersion\": "
		"\"2024-11-01\", \"location\": \"centralus\", \"sku\": {\"name\": \"Standard_DS4_v2\", "
		"\"capacity\": 1}}]}}}",
		NULL);
	g_free(finish(cloud, &complete, NULL));
	_cleanup_(answer_clear) struct answer plain =
		ask(cloud, "GET", GROUP "/providers/Microsoft.Network/networkInterfaces/myNic", NULL, NULL);
	g_assert_cmpint(plain.status, ==, 404); /* that has gone */
	json_auto_t *left = read_json(cloud, COMPUTE "/virtualMachines");
	g_assert_cmpuint(json_array_size(json_object_get(left, "value")), ==, 1);

	/* An interface's tags are its own, the rest is the model's. */
	g_autofree char *nic = g_strdup_printf(
		GROUP "/providers/Microsoft.Network/networkInterfaces/myNic-%s", strchr(name, '_') + 1);
	assert_sent(cloud, "PATCH", nic, "{\"tags\": {\"a\": \"b\"}}", 200, "\"a\":\"b\"");
	assert_sent(cloud, "PATCH", nic, "{\"properties\": {\"enableAcceleratedNetworking\": true}}", 409,
		"it is what the model of scale set myvmss says");

	/* A machine is put back as it was read, and stays what it is. */
	g_autofree char *path = g_strdup_printf(COMPUTE "/virtualMachines/%s", name);
	g_autofree char *body = json_dumps(member(machines, "value.0"), JSON_COMPACT);
	assert_sent(cloud, "PUT", path, body, 200, "virtualMachineScaleSet");
	assert_sent(cloud, "PUT", COMPUTE "/virtualMachines/other", body, 400,
		"a machine cannot be put into a scale set");
	g_autofree char *action = g_strdup_printf("{\"instanceIds\": [\"%s\"]}", name);
	assert_sent(cloud, "POST", SET "/deallocate", action, 202, "");
	assert_summary(cloud, "PowerState/deallocated", 1);
	assert_sent(cloud, "DELETE", path, NULL, 202, "");
	assert_read(cloud, SET, json_pack("{s:{s:i}}", "sku", "capacity", 0));
	json_auto_t *nics = read_json(cloud, GROUP "/providers/Microsoft.Network/networkInterfaces");
	g_assert_cmpuint(json_array_size(json_object_get(nics, "value")), ==, 0);
}

#define NETWORK GROUP "/providers/Microsoft.Network"
#define LB                                                                                                   \
	"/subscriptions/%1$s/resourceGroups/myResourceGroup/providers/Microsoft.Network/loadBalancers/"      \
	"myvmssLB"

/* What the client's own template carries, in the older way (a NAT pool) and the newer (a NAT rule of a pool). */
static void put_balancer(struct test_cloud *cloud)
{
	const char *subscription = control_subscription(cloud->fixture.control);
	g_autofree char *balancer = g_strdup_printf(
		"{\"location\": \"centralus\", \"sku\": {\"name\": \"Standard\"}, \"properties\": {"
		"\"backendAddressPools\": [{\"name\": \"pool\"}], \"frontendIPConfigurations\": [{\"name\": "
		"\"front\", \"properties\": {\"publicIPAddress\": {\"id\": "
		"\"/subscriptions/%1$s/resourceGroups/"
		"myResourceGroup/providers/Microsoft.Network/publicIPAddresses/lbip\"}}}], "
		"\"inboundNatPools\": "
		"[{\"name\": \"nat\", \"properties\": {\"frontendIPConfiguration\": {\"id\": \"" LB
		"/frontendIPConfigurations/front\"}, \"protocol\": \"tcp\", \"frontendPortRangeStart\": "
		"\"50000\", "
		"\"frontendPortRangeEnd\": \"50001\", \"backendPort\": 22}}]}}",
		subscription);

	assert_sent(cloud, "PUT", NETWORK "/publicIPAddresses/lbip",
		"{\"location\": \"centralus\", \"sku\": {\"name\": \"Standard\"}, \"properties\": "
		"{\"publicIPAllocationMethod\": \"Static\"}}",
		201, "");
	assert_sent(cloud, "PUT", NETWORK "/loadBalancers/myvmssLB", balancer, 201, "");
}

static void scenario_balanced(struct test_cloud *cloud)
{
	const char *subscription = control_subscription(cloud->fixture.control);

	put_base(cloud);
	put_balancer(cloud);
	g_autofree char *in =
		g_strdup_printf(", \"loadBalancerBackendAddressPools\": [{\"id\": \"" LB
				"/backendAddressPools/pool\"}], \"loadBalancerInboundNatPools\": "
				"[{\"id\": \"" LB "/inboundNatPools/nat\"}]",
			subscription);
	put_set(cloud, 2, in, "");
	json_auto_t *pool = read_json(cloud, NETWORK "/loadBalancers/myvmssLB/backendAddressPools");
	g_assert_cmpuint(json_array_size(member(pool, "value.0.properties.backendIPConfigurations")), ==, 2);
	json_auto_t *set = read_json(cloud, SET);
	member(set, NICS ".0.properties.ipConfigurations.0.properties.loadBalancerInboundNatPools.0.id");
	assert_sent(cloud, "DELETE", NETWORK "/loadBalancers/myvmssLB", NULL, 409, "myvmssLB");

	/* Ports of the NAT pool are shown as NAT rules, and are what they are when they are put back. */
	json_auto_t *balancer = read_json(cloud, NETWORK "/loadBalancers/myvmssLB");
	g_assert_cmpuint(json_array_size(member(balancer, "properties.inboundNatRules")), ==, 2);
	g_assert_cmpstr(
		json_string_value(member(balancer, "properties.inboundNatRules.0.name")), ==, "nat.0");
	g_assert_cmpint(
		json_integer_value(member(balancer, "properties.inboundNatRules.0.properties.frontendPort")),
		==, 50000);
	g_assert_nonnull(strstr(json_string_value(member(balancer,
					"properties.inboundNatRules.0.properties.backendIPConfiguration.id")),
		"/virtualMachineScaleSets/myvmss/virtualMachines/0/networkInterfaces/"));
	/* Some clients drop what they take for the server's alone. */
	json_object_del(
		member(balancer, "properties.inboundNatRules.0.properties"), "backendIPConfiguration");
	g_autofree char *same = json_dumps(balancer, JSON_COMPACT);
	assert_sent(cloud, "PUT", NETWORK "/loadBalancers/myvmssLB", same, 200, "nat.1");
	json_object_set_new(member(balancer, "properties.inboundNatRules.0.properties"), "frontendPort",
		json_integer(60000));
	g_autofree char *own = json_dumps(balancer, JSON_COMPACT);
	assert_sent(cloud, "PUT", NETWORK "/loadBalancers/myvmssLB", own, 400,
		"ports of an inbound NAT pool have such names");

	/* The pool has ports for two. */
	g_autofree char *text = NULL;
	g_assert_cmpint(send(cloud, "PATCH", SET, "{\"sku\": {\"capacity\": 3}}", &text), ==, 0);
	g_assert_nonnull(strstr(text, "InsufficientCapacity"));
	assert_sent(cloud, "PATCH", SET, "{\"sku\": {\"capacity\": 2}}", 200, "");

	/* Instances leave it when the model does. */
	json_object_del(member(set, NICS ".0.properties.ipConfigurations.0.properties"),
		"loadBalancerInboundNatPools");
	json_object_del(member(set, NICS ".0.properties.ipConfigurations.0.properties"),
		"loadBalancerBackendAddressPools");
	g_autofree char *without = json_dumps(set, JSON_COMPACT);
	assert_sent(cloud, "PUT", SET, without, 200, "");
	assert_sent(cloud, "POST", SET "/manualupgrade", "{\"instanceIds\": [\"*\"]}", 202, "");
	assert_sent(cloud, "DELETE", NETWORK "/loadBalancers/myvmssLB", NULL, 202, "");
}

static void scenario_health(struct test_cloud *cloud)
{
	const char *subscription = control_subscription(cloud->fixture.control);

	put_base(cloud);
	put_balancer(cloud);
	g_autofree char *in = g_strdup_printf(", \"loadBalancerBackendAddressPools\": [{\"id\": \"" LB
					      "/backendAddressPools/pool\"}]",
				subscription),
			*probe = g_strdup_printf(LB "/probes/web", subscription);
	json_auto_t *balancer = read_json(cloud, NETWORK "/loadBalancers/myvmssLB");
	json_object_set_new(member(balancer, "properties"), "probes",
		json_pack(
			"[{s:s, s:{s:s, s:i}}]", "name", "web", "properties", "protocol", "Tcp", "port", 80));
	json_object_set_new(member(balancer, "properties"), "loadBalancingRules",
		json_pack("[{s:s, s:{s:O, s:{s:O}, s:{s:s}, s:s, s:i}}]", "name", "web", "properties",
			"frontendIPConfiguration",
			member(balancer, "properties.inboundNatPools.0.properties.frontendIPConfiguration"),
			"backendAddressPool", "id", member(balancer, "properties.backendAddressPools.0.id"),
			"probe", "id", probe, "protocol", "Tcp", "frontendPort", 80));
	g_autofree char *text = json_dumps(balancer, JSON_COMPACT);
	assert_sent(cloud, "PUT", NETWORK "/loadBalancers/myvmssLB", text, 200, "");
	put_set(cloud, 1, in, "");
	assert_updated(cloud, "properties.virtualMachineProfile.networkProfile", "healthProbe",
		json_pack("{s:s}", "id", probe), 200, "/probes/web");
	/* Nobody has found it well. */
	assert_read(cloud, SET "/virtualMachines/0/instanceView",
		json_pack("{s:{s:{s:s}}}", "vmHealth", "status", "code", "HealthState/unhealthy"));
	assert_sent(cloud, "PATCH", SET, "{\"sku\": {\"capacity\": 1}}", 200, "/probes/web");
	assert_updated(cloud, "properties.virtualMachineProfile.networkProfile", "healthProbe", json_null(),
		200, "");
	json_auto_t *view = read_json(cloud, SET "/virtualMachines/0/instanceView");
	g_assert_null(json_object_get(view, "vmHealth"));
}

static void scenario_refused(struct test_cloud *cloud)
{
	static const struct {
		const char *nic, *more, *words;
	} cases[] = {
		{"", ", \"orchestrationMode\": \"Odd\"", "properties.orchestrationMode"},
		{"", ", \"platformFaultDomainCount\": 6", "1 to 5"},
		{"", ", \"automaticRepairsPolicy\": {\"enabled\": true}",
			"automatic repairs are not supported"},
		{", \"applicationSecurityGroups\": [{\"id\": \"x\"}]", "",
			"applicationSecurityGroups[0].id: 'x' is no resource id"},
		{", \"publicIPAddressConfiguration\": {\"name\": \"p\", \"properties\": "
		 "{\"idleTimeoutInMinutes\": 31}}",
			"", "idle timeout of 4 to 30"},
	};

	put_base(cloud);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *body = make_body(cloud, 1, cases[i].nic, cases[i].more);
		assert_sent(cloud, "PUT", SET, body, 400, cases[i].words);
	}
	assert_sent(cloud, "PUT", SET,
		"{\"location\": \"centralus\", \"sku\": {\"name\": \"Standard_DS4_v2\"}}", 400,
		"sku.capacity");
	assert_sent(cloud, "GET", SET "/virtualMachines", NULL, 404, "myvmss");
	g_autofree char *huge = make_body(cloud, 1, "", "");
	g_autofree char *text = NULL;
	char *at = strstr(huge, "Standard_DS4_v2");
	memcpy(at, "Standard_M128ms", strlen("Standard_M128ms"));
	g_assert_cmpint(send(cloud, "PUT", SET, huge, &text), ==, 0);
	g_assert_nonnull(strstr(text, "AllocationFailed"));
	g_assert_nonnull(strstr(text, "myvmss_0: No host can hold virtual machine myvmss_0"));
}

#define ADD(name, fn) TEST_CLOUD_ADD("/scale-sets/" name, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("a set is made, shown and deleted", scenario_made);
	ADD("instances are shown with what is theirs, told and deleted", scenario_instances);
	ADD("a set is scaled, and instances are deleted by their numbers", scenario_scale);
	ADD("who goes first is what its rule says", scenario_scale_in);
	ADD("instances get new disks, and take another disk size by a rolling upgrade", scenario_new_disks);
	ADD("a probe says who of its instances is healthy", scenario_health);
	ADD("acceleration is turned on as the document says", scenario_document);
	ADD("instances take the model by each upgrade policy", scenario_upgrades);
	ADD("machines of a flexible set are the group's", scenario_flexible);
	ADD("the group's machines of a set are listed by its id", scenario_list_of_set);
	ADD("instances are in the pools of load balancers, and leave them", scenario_balanced);
	ADD("what is wrong or not there is refused by name", scenario_refused);
	return g_test_run();
}
