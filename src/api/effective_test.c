/* What goes over the wire about application security groups, route tables, and what is in effect of both; bodies are
 * those of az. */
#include "api/test_cloud.h"

#include <string.h>

#define GROUP   "S/resourceGroups/myResourceGroup"
#define NETWORK GROUP "/providers/Microsoft.Network"
#define IDS     "/subscriptions/$S/resourceGroups/myResourceGroup/providers/Microsoft.Network/"
#define WEB     NETWORK "/applicationSecurityGroups/web"
#define WEB_ID  IDS "applicationSecurityGroups/web"
#define NSG     NETWORK "/networkSecurityGroups/myNetworkSecurityGroup"
#define VNET    NETWORK "/virtualNetworks/myVnet"
#define SUBNET  VNET "/subnets/mySubnet"
#define TABLE   NETWORK "/routeTables/myTable"
#define NIC     NETWORK "/networkInterfaces/myNic"
#define RULES   NIC "/effectiveNetworkSecurityGroups"
#define ROUTES  NIC "/effectiveRouteTable"
#define NOTHING "{\"location\": \"centralus\"}"

/* With the subscription's id where the text has $S. Owned. */
static char *expand(struct test_cloud *cloud, const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, "$S", -1);

	return g_strjoinv(control_subscription(cloud->fixture.control), parts);
}

/* What was begun has succeeded. `words` are in the answer. */
static void send(struct test_cloud *cloud, const char *method, const char *path, const char *body,
	unsigned status, const char *words)
{
	g_autofree char *text = body ? expand(cloud, body) : NULL,
			*expected = words ? expand(cloud, words) : NULL;
	_cleanup_(answer_clear) struct answer answer = ask(cloud, method, path, text, NULL);
	char *got = answer.json ? json_dumps(answer.json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	if (answer.status != status || (expected && (!got || !strstr(got, expected))))
		g_error("%s %s: %u %s", method, path, answer.status, got ? got : "");
	free(got);
	if (answer.status < 300 && answer_header(&answer, "Azure-AsyncOperation")) {
		g_autofree char *end = finish(cloud, &answer, NULL);
		g_assert_cmpstr(end, ==, "Succeeded");
	}
}

/* "source" of the rule is JSON members of properties. */
static void put_rule(struct test_cloud *cloud, const char *name, unsigned priority, const char *source,
	unsigned status, const char *words)
{
	g_autofree char *path = g_strdup_printf(NSG "/securityRules/%s", name);
	g_autofree char *body = g_strdup_printf(
		"{\"properties\": {\"access\": \"Allow\", \"direction\": \"Inbound\", \"protocol\": \"Tcp\", "
		"\"priority\": %u, \"sourcePortRange\": \"*\", \"destinationAddressPrefix\": \"*\", "
		"\"destinationPortRanges\": [\"80\", \"8000-8999\"], %s}}",
		priority, source);

	send(cloud, "PUT", path, body, status, words);
}

/* Reads the NIC and puts it back with its configuration in these groups. */
static void put_into(struct test_cloud *cloud, const char *groups, unsigned status, const char *words)
{
	_cleanup_(answer_clear) struct answer now = ask(cloud, "GET", NIC, NULL, NULL);
	json_t *configs = json_object_get(json_object_get(now.json, "properties"), "ipConfigurations"),
	       *config = json_object_get(json_array_get(configs, 0), "properties");
	g_autofree char *text = expand(cloud, groups);

	json_object_set_new(config, "applicationSecurityGroups", json_loads(text, 0, NULL));
	char *body = json_dumps(now.json, JSON_COMPACT);
	send(cloud, "PUT", NIC, body, status, words);
	free(body);
}

static void scenario_application_groups(struct test_cloud *cloud)
{
	put_base(cloud);
	send(cloud, "PUT", WEB, NOTHING, 201, "\"provisioningState\":\"Succeeded\"");
	send(cloud, "GET", NETWORK "/applicationSecurityGroups", NULL, 200, "\"name\":\"web\"");
	put_rule(cloud, "named", 200, "\"sourceApplicationSecurityGroups\": [{\"id\": \"" WEB_ID "\"}]", 201,
		"\"sourceApplicationSecurityGroups\":[{\"id\":\"" WEB_ID "\"}]");
	put_rule(cloud, "both", 201,
		"\"sourceAddressPrefix\": \"*\", \"sourceApplicationSecurityGroups\": [{\"id\": \"" WEB_ID
		"\"}]",
		400, "a side of a rule can have only one of both");
	put_rule(cloud, "neither", 201, "\"sourceAddressPrefix\": \"\"", 400, "it is required");
	put_rule(cloud, "lost", 201,
		"\"sourceApplicationSecurityGroups\": [{\"id\": \"" IDS "applicationSecurityGroups/no\"}]",
		400, "applicationSecurityGroups/no");
	send(cloud, "GET", NSG, NULL, 200,
		"\"networkInterfaces\":[{\"id\":\"" IDS "networkInterfaces/myNic\"}]");
	put_into(cloud, "[{\"id\": \"" WEB_ID "\"}]", 200,
		"\"applicationSecurityGroups\":[{\"id\":\"" WEB_ID "\"}]");
	put_into(cloud, "[{\"id\": \"" IDS "routeTables/web\"}]", 400, "is no application security group");
	send(cloud, "DELETE", WEB, NULL, 409, "network interface myNic");
	put_into(cloud, "[]", 200, NULL);
	send(cloud, "DELETE", WEB, NULL, 409, "network security group myNetworkSecurityGroup");
	send(cloud, "DELETE", NSG "/securityRules/named", NULL, 200, NULL);
	send(cloud, "DELETE", WEB, NULL, 200, NULL);
}

/* Reads the subnet and puts it back with that table; JSON. */
static void put_table(struct test_cloud *cloud, const char *table, unsigned status, const char *words)
{
	_cleanup_(answer_clear) struct answer now = ask(cloud, "GET", SUBNET, NULL, NULL);
	g_autofree char *text = expand(cloud, table);

	json_object_set_new(json_object_get(now.json, "properties"), "routeTable",
		json_loads(text, JSON_DECODE_ANY, NULL));
	char *body = json_dumps(now.json, JSON_COMPACT);
	send(cloud, "PUT", SUBNET, body, status, words);
	free(body);
}

static void put_route(struct test_cloud *cloud, const char *name, const char *prefix, const char *next_hop,
	const char *address, unsigned status, const char *words)
{
	g_autofree char *path = g_strdup_printf(TABLE "/routes/%s", name);
	json_auto_t *json = json_pack("{s:{s:s, s:s, s:s*}}", "properties", "addressPrefix", prefix,
		"nextHopType", next_hop, "nextHopIpAddress", address);
	char *body = json_dumps(json, JSON_COMPACT);

	send(cloud, "PUT", path, body, status, words);
	free(body);
}

#define TABLE_REF "{\"id\": \"" IDS "routeTables/myTable\"}"

static void scenario_routes(struct test_cloud *cloud)
{
	put_base(cloud);
	send(cloud, "PUT", TABLE,
		"{\"location\": \"centralus\", \"properties\": {\"disableBgpRoutePropagation\": true}}", 201,
		"\"disableBgpRoutePropagation\":true");
	put_route(cloud, "all", "0.0.0.0/0", "VirtualAppliance", "192.168.1.9", 201,
		"\"nextHopIpAddress\":\"192.168.1.9\"");
	put_route(cloud, "dark", "10.0.0.0/8", "none", NULL, 201, "\"nextHopType\":\"None\"");
	put_route(cloud, "near", "10.1.0.0/16", "VnetLocal", NULL, 201, NULL);
	put_route(cloud, "far", "10.2.0.0/16", "Internet", NULL, 201, NULL);
	put_route(cloud, "gate", "10.3.0.0/16", "VirtualNetworkGateway", NULL, 400,
		"virtual network gateways are not supported");
	put_route(cloud, "odd", "10.3.0.0/16", "Nowhere", NULL, 400, "nextHopType");
	put_route(cloud, "odd", "10.3.0.0/16", "VirtualAppliance", NULL, 400, "does not say which");
	put_route(cloud, "again", "10.0.0.0/8", "None", NULL, 409, "conflicts with route dark");
	put_table(cloud, TABLE_REF, 200, "\"routeTable\":{\"id\":\"" IDS "routeTables/myTable\"}");
	send(cloud, "GET", TABLE, NULL, 200,
		"\"subnets\":[{\"id\":\"" IDS "virtualNetworks/myVnet/subnets/mySubnet\"}]");
	send(cloud, "DELETE", TABLE, NULL, 409, "virtual network myVnet");
	put_route(cloud, "all", "0.0.0.0/0", "VirtualAppliance", "10.9.9.9", 400, "which uses the table");
	send(cloud, "DELETE", TABLE "/routes/near", NULL, 200, NULL);
	send(cloud, "GET", TABLE "/routes/near", NULL, 404, NULL);
	put_table(cloud, "{\"id\": \"" IDS "routeTables/other\"}", 400, "routeTables/other");
	put_table(cloud, "null", 200, NULL);
	send(cloud, "DELETE", TABLE, NULL, 200, NULL);
}

/* POSTs, and compares what it can see with what is expected. Takes the JSON. */
static void assert_effective(struct test_cloud *cloud, const char *path, json_t *expected)
{
	json_auto_t *own = expected;
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "POST", path, NULL, NULL);

	g_assert_cmpint(answer.status, ==, 200);
	fixture_assert_covers(own, json_object_get(answer.json, "value"));
}

/* The group at that place, by its rule of that name. */
static json_t *ask_rule(struct test_cloud *cloud, size_t place, const char *name)
{
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "POST", RULES, NULL, NULL);
	json_t *group = json_array_get(json_object_get(answer.json, "value"), place), *rule;
	size_t i;

	json_array_foreach(json_object_get(group, "effectiveSecurityRules"), i, rule)
	{
		if (g_strcmp0(json_string_value(json_object_get(rule, "name")), name) == 0)
			return json_incref(rule);
	}
	g_error("there is no rule %s", name);
}

static void assert_rule(struct test_cloud *cloud, size_t place, const char *name, json_t *expected)
{
	json_auto_t *own = expected, *rule = ask_rule(cloud, place, name);

	fixture_assert_covers(own, rule);
}

static void scenario_effective(struct test_cloud *cloud)
{
	put_base(cloud);
	send(cloud, "POST", RULES, NULL, 409, "not attached to a virtual machine");
	send(cloud, "POST", ROUTES, NULL, 409, "not attached to a virtual machine");
	send(cloud, "PUT", WEB, NOTHING, 201, NULL);
	put_rule(cloud, "named", 200, "\"sourceApplicationSecurityGroups\": [{\"id\": \"" WEB_ID "\"}]", 201,
		NULL);
	put_rule(cloud, "prefixes", 201, "\"sourceAddressPrefixes\": [\"10.1.0.0/16\", \"10.0.0.0/16\"]", 201,
		NULL);
	put_into(cloud, "[{\"id\": \"" WEB_ID "\"}]", 200, NULL);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	g_autofree char *nsg = expand(cloud, IDS "networkSecurityGroups/myNetworkSecurityGroup"),
			*nic = expand(cloud, IDS "networkInterfaces/myNic");
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "POST", RULES, NULL, NULL);
	const json_t *group = json_array_get(json_object_get(answer.json, "value"), 0);
	json_auto_t *expected = json_pack("{s:{s:s}, s:{s:{s:s}}}", "networkSecurityGroup", "id", nsg,
		"association", "networkInterface", "id", nic);
	fixture_assert_covers(expected, group);
	g_assert_cmpint(json_array_size(json_object_get(answer.json, "value")), ==, 1);
	/* Its own three and the six that every group ends with. */
	g_assert_cmpint(json_array_size(json_object_get(group, "effectiveSecurityRules")), ==, 9);
	assert_rule(cloud, 0, "securityRules/named",
		json_pack("{s:s, s:i, s:s, s:s, s:s, s:[s], s:[s], s:s, s:[ss], s:[ss]}", "protocol", "Tcp",
			"priority", 200, "direction", "Inbound", "access", "Allow", "sourceAddressPrefix",
			"192.168.1.4/32", "sourceAddressPrefixes", "192.168.1.4/32",
			"expandedSourceAddressPrefix", "192.168.1.4/32", "sourcePortRange", "0-65535",
			"destinationPortRanges", "80-80", "8000-8999", "expandedDestinationAddressPrefix",
			"0.0.0.0/0", "::/0"));
	assert_rule(cloud, 0, "securityRules/prefixes",
		json_pack("{s:[ss], s:[s]}", "sourceAddressPrefixes", "10.1.0.0/16", "10.0.0.0/16",
			"expandedSourceAddressPrefix", "10.0.0.0/15"));
	assert_rule(cloud, 0, "defaultSecurityRules/AllowVnetInBound",
		json_pack("{s:s, s:s, s:i, s:[ss]}", "protocol", "All", "sourceAddressPrefix",
			"VirtualNetwork", "priority", 65000, "expandedSourceAddressPrefix",
			"168.63.129.16/32", "192.168.0.0/16"));

	send(cloud, "PUT", TABLE, NOTHING, 201, NULL);
	put_route(cloud, "all", "0.0.0.0/0", "VirtualAppliance", "192.168.1.9", 201, NULL);
	put_table(cloud, TABLE_REF, 200, NULL);
	assert_effective(cloud, ROUTES,
		json_pack("[{s:s, s:s, s:[s], s:s}, {s:s, s:s, s:[s], s:s}, {s:s, s:s, s:s, s:[s], s:s, "
			  "s:[s]}]",
			"source", "Default", "state", "Active", "addressPrefix", "192.168.0.0/16",
			"nextHopType", "VnetLocal", "source", "Default", "state", "Invalid", "addressPrefix",
			"0.0.0.0/0", "nextHopType", "Internet", "name", "all", "source", "User", "state",
			"Active", "addressPrefix", "0.0.0.0/0", "nextHopType", "VirtualAppliance",
			"nextHopIpAddress", "192.168.1.9"));
	send(cloud, "POST", VNET "/effectiveRouteTable", NULL, 400, "not supported");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST_CLOUD_ADD("/effective/application security groups are held by rules and interfaces",
		scenario_application_groups);
	TEST_CLOUD_ADD("/effective/routes are put one by one, and held by subnets", scenario_routes);
	TEST_CLOUD_ADD("/effective/rules and routes are those that a host is told", scenario_effective);
	return g_test_run();
}
