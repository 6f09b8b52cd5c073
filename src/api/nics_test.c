/* What goes over the wire about addresses of interfaces: both families, several configurations. */
#include "api/test_cloud.h"

#include <string.h>

#define NET    "S/resourceGroups/myResourceGroup/providers/Microsoft.Network"
#define VNET   NET "/virtualNetworks/dual"
#define SUBNET VNET "/subnets/sub"
#define NIC    NET "/networkInterfaces/dualNic"
#define PIP    NET "/publicIPAddresses/six"

/* Bodies say S for the subscription's id, as paths do. */
static void assert_put(
	struct test_cloud *cloud, const char *path, const char *body, unsigned status, const char *words)
{
	g_autofree char *subscription =
		g_strdup_printf("/subscriptions/%s", control_subscription(cloud->fixture.control));
	g_auto(GStrv) parts = g_strsplit(body, "\"S/", -1);
	g_autofree char *start = g_strdup_printf("\"%s/", subscription), *full = g_strjoinv(start, parts);
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "PUT", path, full, NULL);
	g_autofree char *text = answer.json ? json_dumps(answer.json, JSON_COMPACT) : NULL;

	if (answer.status != status || !strstr(text, words))
		g_error("%u, '%s' is not what was answered: %u %s", status, words, answer.status, text);
	if (answer.status < 300 && answer_header(&answer, "Azure-AsyncOperation"))
		g_free(finish(cloud, &answer, NULL));
}

static void assert_read(struct test_cloud *cloud, const char *path, const char *expected)
{
	json_auto_t *wanted = json_loads(expected, 0, NULL);
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "GET", path, NULL, NULL);

	g_assert_nonnull(wanted);
	g_assert_cmpint(answer.status, ==, 200);
	fixture_assert_covers(wanted, answer.json);
}

static void put_vnet(struct test_cloud *cloud)
{
	assert_put(cloud, VNET,
		"{\"location\": \"centralus\", \"properties\": {\"addressSpace\": {\"addressPrefixes\": "
		"[\"10.8.0.0/16\", \"fd00:8::/48\"]}, \"subnets\": [{\"name\": \"sub\", \"properties\": "
		"{\"addressPrefixes\": [\"fd00:8:0:1::/64\", \"10.8.1.0/24\"]}}]}}",
		201, "");
}

static void scenario_subnets(struct test_cloud *cloud)
{
	put_base(cloud);
	put_vnet(cloud);
	assert_read(cloud, SUBNET,
		"{\"properties\": {\"addressPrefixes\": [\"10.8.1.0/24\", \"fd00:8:0:1::/64\"]}}");
	assert_put(cloud, VNET "/subnets/two", "{\"properties\": {\"addressPrefix\": \"10.8.2.0/24\"}}", 201,
		"\"addressPrefix\":\"10.8.2.0/24\"");
	assert_put(cloud, VNET "/subnets/two",
		"{\"properties\": {\"addressPrefix\": \"10.8.2.0/24\", \"addressPrefixes\": "
		"[\"10.8.2.0/24\", "
		"\"fd00:8:0:2::/64\"]}}",
		200, "\"fd00:8:0:2::/64\"]");
	assert_put(cloud, VNET "/subnets/three",
		"{\"properties\": {\"addressPrefixes\": [\"10.8.3.0/24\", \"10.8.4.0/24\"]}}", 400,
		"one prefix of IPv4");
	assert_put(cloud, VNET "/subnets/three",
		"{\"properties\": {\"addressPrefixes\": [\"fd00:8:0:3::/64\"]}}", 400,
		"needs an IPv4 prefix");
	assert_put(cloud, VNET "/subnets/three", "{\"properties\": {}}", 400, "it is required");
}

#define CONFIG(name, rest)                                                                                   \
	"{\"name\": \"" name "\", \"properties\": {\"subnet\": {\"id\": \"" SUBNET "\"}" rest "}}"
#define SIX ", \"privateIPAddressVersion\": \"IPv6\""

static void put_nic(struct test_cloud *cloud, const char *configs, unsigned status, const char *words)
{
	g_autofree char *body = g_strdup_printf(
		"{\"location\": \"centralus\", \"properties\": {\"ipConfigurations\": [%s]}}", configs);

	assert_put(cloud, NIC, body, status, words);
}

static void scenario_configurations(struct test_cloud *cloud)
{
	put_base(cloud);
	put_vnet(cloud);
	put_nic(cloud, CONFIG("six", SIX), 400, "cannot be the primary one");
	put_nic(cloud, CONFIG("four", "") ", " CONFIG("six", SIX), 201, "\"fd00:8:0:1::4\"");
	assert_read(cloud, NIC,
		"{\"properties\": {\"ipConfigurations\": ["
		"{\"name\": \"four\", \"properties\": {\"primary\": true, \"privateIPAddress\": "
		"\"10.8.1.4\", "
		"\"privateIPAddressVersion\": \"IPv4\", \"privateIPAllocationMethod\": \"Dynamic\"}}, "
		"{\"name\": \"six\", \"properties\": {\"primary\": false, \"privateIPAddress\": "
		"\"fd00:8:0:1::4\", \"privateIPAddressVersion\": \"IPv6\"}}]}}");
	/* What a client has read goes back, with one more; the one that it marks comes first. */
	put_nic(cloud,
		CONFIG("four", ", \"primary\": false, \"privateIPAddress\": \"10.8.1.4\"") ", " CONFIG("six",
			SIX ", \"privateIPAllocationMethod\": \"Static\", \"privateIPAddress\": "
			    "\"fd00:8:0:1::77\"") ", " CONFIG("more", ", \"primary\": true"),
		200, "\"fd00:8:0:1::77\"");
	assert_read(cloud, NIC,
		"{\"properties\": {\"ipConfigurations\": [{\"name\": \"more\", \"properties\": {\"primary\": "
		"true, "
		"\"privateIPAddress\": \"10.8.1.5\"}}, {\"name\": \"four\", \"properties\": {\"primary\": "
		"false, "
		"\"privateIPAddress\": \"10.8.1.4\"}}, {\"name\": \"six\"}]}}");
	put_nic(cloud, CONFIG("four", ", \"primary\": false"), 409, "make another one primary first");
	put_nic(cloud, CONFIG("more", ", \"primary\": true") ", " CONFIG("four", ", \"primary\": true"), 400,
		"only one can be primary");
	/* One that becomes of the other family gets another address. */
	put_nic(cloud, CONFIG("more", "") ", " CONFIG("four", SIX ", \"privateIPAddress\": \"10.8.1.4\""),
		200, "\"fd00:8:0:1::4\"");
}

static void scenario_public(struct test_cloud *cloud)
{
	put_base(cloud);
	assert_put(cloud, PIP,
		"{\"location\": \"centralus\", \"properties\": {\"publicIPAddressVersion\": \"IPv6\"}}", 400,
		"IPv6 does not leave virtual networks; use IPv4");
	assert_put(cloud, PIP,
		"{\"location\": \"centralus\", \"properties\": {\"publicIPAddressVersion\": \"IPv4\"}}", 201,
		"");
}

#define ADD(name, fn) TEST_CLOUD_ADD("/nics/" name, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("subnets have a prefix of each family", scenario_subnets);
	ADD("interfaces have several configurations, of both families", scenario_configurations);
	ADD("public addresses are of IPv4", scenario_public);
	return g_test_run();
}
