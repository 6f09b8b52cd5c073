/* What goes over the wire about load balancers: the bodies are those of az. */
#include "api/test_cloud.h"

#include <string.h>

#define GROUP   "S/resourceGroups/myResourceGroup"
#define NETWORK GROUP "/providers/Microsoft.Network"
#define LB      NETWORK "/loadBalancers/myvmssLB"
#define LB_ID                                                                                                \
	"/subscriptions/$S/resourceGroups/myResourceGroup/providers/Microsoft.Network/loadBalancers/"        \
	"myvmssLB"

/* With the subscription's id where the text has $S. Owned. */
static char *expand(struct test_cloud *cloud, const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, "$S", -1);

	return g_strjoinv(control_subscription(cloud->fixture.control), parts);
}

/* What was begun has succeeded. */
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

static const char balancer[] =
	"{\"location\": \"centralus\", \"sku\": {\"name\": \"Standard\"}, \"properties\": {"
	"\"backendAddressPools\": [{\"name\": \"myvmssLBBEPool\"}],"
	"\"frontendIPConfigurations\": [{\"name\": \"loadBalancerFrontEnd\", \"properties\": "
	"{\"publicIPAddress\": "
	"{\"id\": \"/subscriptions/$S/resourceGroups/myResourceGroup/providers/Microsoft.Network/"
	"publicIPAddresses/lbip\"}}}],"
	"\"probes\": [{\"name\": \"tcp80\", \"properties\": {\"protocol\": \"Tcp\", \"port\": 80, "
	"\"intervalInSeconds\": 5, \"numberOfProbes\": 2}}],"
	"\"loadBalancingRules\": [{\"name\": \"LBRule\", \"properties\": {"
	"\"frontendIPConfiguration\": {\"id\": \"" LB_ID "/frontendIPConfigurations/loadBalancerFrontEnd\"},"
	"\"backendAddressPool\": {\"id\": \"" LB_ID "/backendAddressPools/myvmssLBBEPool\"},"
	"\"probe\": {\"id\": \"" LB_ID "/probes/tcp80\"},"
	"\"protocol\": \"tcp\", \"frontendPort\": 80, \"backendPort\": 80, \"enableFloatingIP\": false, "
	"\"idleTimeoutInMinutes\": 5}}],"
	"\"inboundNatPools\": [{\"name\": \"natpool\", \"properties\": {"
	"\"frontendIPConfiguration\": {\"id\": \"" LB_ID "/frontendIPConfigurations/loadBalancerFrontEnd\"},"
	"\"protocol\": \"tcp\", \"frontendPortRangeStart\": \"51000\", \"frontendPortRangeEnd\": \"51119\", "
	"\"backendPort\": 22}}]}}";

static const char nat_rule[] =
	"{\"properties\": {\"frontendIPConfiguration\": {\"id\": \"" LB_ID
	"/frontendIPConfigurations/loadBalancerFrontEnd\"},"
	"\"backendAddressPool\": {\"id\": \"" LB_ID "/backendAddressPools/myvmssLBBEPool\"},"
	"\"backendPort\": 22, \"frontendPortRangeStart\": \"50000\", \"frontendPortRangeEnd\": \"50119\", "
	"\"protocol\": \"tcp\", \"idleTimeoutInMinutes\": 5}}";

static void put_address(struct test_cloud *cloud)
{
	send(cloud, "PUT", NETWORK "/publicIPAddresses/lbip",
		"{\"location\": \"centralus\", \"sku\": {\"name\": \"Standard\"}, \"properties\": "
		"{\"publicIPAllocationMethod\": \"Static\"}}",
		201, NULL);
}

static void scenario_life(struct test_cloud *cloud)
{
	put_base(cloud);
	put_address(cloud);
	send(cloud, "PUT", LB, balancer, 201, "\"loadDistribution\":\"Default\"");
	send(cloud, "PUT", LB "/inboundNatRules/NatRule", nat_rule, 201, "\"frontendPortRangeStart\":50000");
	/* What a client reads and puts back changes nothing. */
	_cleanup_(answer_clear) struct answer read = ask(cloud, "GET", LB, NULL, NULL);
	g_autofree char *text = json_dumps(read.json, JSON_COMPACT);
	send(cloud, "PUT", LB, text, 200, "inboundNatRules/NatRule\"");
	send(cloud, "GET", LB "/loadBalancingRules/LBRule", NULL, 200,
		"\"backendAddressPools\":[{\"id\":\"" LB_ID "/backendAddressPools/myvmssLBBEPool\"}]");
	send(cloud, "GET", NETWORK "/publicIPAddresses/lbip", NULL, 200,
		"\"ipConfiguration\":{\"id\":\"" LB_ID "/frontendIPConfigurations/loadBalancerFrontEnd\"}");
	send(cloud, "PUT", LB "/backendAddressPools/second", "{\"properties\": {}}", 201,
		"\"backendIPConfigurations\":[]");
	send(cloud, "GET", LB "/backendAddressPools", NULL, 200, "\"name\":\"second\"");
	send(cloud, "DELETE", LB "/backendAddressPools/second", NULL, 200, NULL);
	send(cloud, "DELETE", LB "/backendAddressPools/myvmssLBBEPool", NULL, 400, "LBRule");
	send(cloud, "GET", NETWORK "/loadBalancers", NULL, 200, "\"name\":\"myvmssLB\"");
	send(cloud, "DELETE", NETWORK "/publicIPAddresses/lbip", NULL, 409, "load balancer myvmssLB");
	send(cloud, "DELETE", LB, NULL, 200, NULL);
	send(cloud, "DELETE", NETWORK "/publicIPAddresses/lbip", NULL, 200, NULL);
}

static void scenario_member(struct test_cloud *cloud)
{
	const char *nic = NETWORK "/networkInterfaces/member";

	put_base(cloud);
	put_address(cloud);
	send(cloud, "PUT", LB, balancer, 201, NULL);
	send(cloud, "PUT", nic,
		"{\"location\": \"centralus\", \"properties\": {\"ipConfigurations\": [{\"name\": \"c\", "
		"\"properties\": {\"subnet\": {\"id\": \"/subscriptions/$S/resourceGroups/myResourceGroup/"
		"providers/Microsoft.Network/virtualNetworks/myVnet/subnets/mySubnet\"}, "
		"\"loadBalancerBackendAddressPools\": [{\"id\": \"" LB_ID
		"/backendAddressPools/myvmssLBBEPool\"}]}}]}}",
		201, LB_ID "/backendAddressPools/myvmssLBBEPool");
	send(cloud, "GET", LB "/backendAddressPools/myvmssLBBEPool", NULL, 200,
		"networkInterfaces/member/ipConfigurations/c");
	send(cloud, "DELETE", LB, NULL, 409, "network interface member");
	send(cloud, "PUT", NETWORK "/networkInterfaces/lost",
		"{\"location\": \"centralus\", \"properties\": {\"ipConfigurations\": [{\"name\": \"c\", "
		"\"properties\": {\"subnet\": {\"id\": \"/subscriptions/$S/resourceGroups/myResourceGroup/"
		"providers/Microsoft.Network/virtualNetworks/myVnet/subnets/mySubnet\"}, "
		"\"loadBalancerBackendAddressPools\": [{\"id\": \"" LB_ID "/probes/tcp80\"}]}}]}}",
		400, "is none of backendAddressPools");
	send(cloud, "DELETE", nic, NULL, 200, NULL);
	send(cloud, "DELETE", LB, NULL, 200, NULL);
}

#define SUBNET                                                                                               \
	"\"subnet\": {\"id\": \"/subscriptions/$S/resourceGroups/myResourceGroup/providers/"                 \
	"Microsoft.Network/virtualNetworks/myVnet/subnets/mySubnet\"}"

/* A front end of these properties. */
static char *with_front(const char *properties)
{
	return g_strdup_printf(
		"{\"location\": \"centralus\", \"sku\": {\"name\": \"Standard\"}, \"properties\": "
		"{\"frontendIPConfigurations\": [{\"name\": \"f\", \"properties\": {%s}}]}}",
		properties);
}

static void send_front(struct test_cloud *cloud, const char *properties, unsigned status, const char *words)
{
	g_autofree char *body = with_front(properties);

	send(cloud, "PUT", LB, body, status, words);
}

static void scenario_internal(struct test_cloud *cloud)
{
	put_base(cloud);
	send_front(cloud, SUBNET, 201, "\"privateIPAddress\":\"192.168.1.5\"");
	_cleanup_(answer_clear) struct answer read = ask(cloud, "GET", LB, NULL, NULL);
	g_autofree char *text = json_dumps(read.json, JSON_COMPACT);
	send(cloud, "PUT", LB, text, 200, "\"privateIPAllocationMethod\":\"Dynamic\"");
	send_front(cloud,
		SUBNET ", \"privateIPAllocationMethod\": \"Static\", \"privateIPAddress\": \"192.168.1.99\"",
		200, "\"privateIPAddress\":\"192.168.1.99\"");
	send(cloud, "GET", LB "/frontendIPConfigurations/f", NULL, 200, "/subnets/mySubnet\"");
	send_front(cloud, SUBNET ", \"privateIPAllocationMethod\": \"Static\"", 400,
		"it is required with the Static method");
	send_front(cloud,
		SUBNET ", \"privateIPAllocationMethod\": \"Static\", \"privateIPAddress\": \"10.9.9.9\"", 400,
		"10.9.9.9");
	send_front(cloud, SUBNET ", \"privateIPAddressVersion\": \"IPv6\"", 400, "of IPv4 here");
	send_front(cloud, "", 400, "it, or a subnet, is required");
	send(cloud, "DELETE", NETWORK "/virtualNetworks/myVnet", NULL, 409, "load balancer myvmssLB");
	send(cloud, "DELETE", LB, NULL, 200, NULL);
}

static void scenario_refused(struct test_cloud *cloud)
{
	put_base(cloud);
	send(cloud, "PUT", LB,
		"{\"location\": \"centralus\", \"properties\": {\"loadBalancingRules\": [{\"name\": \"r\", "
		"\"properties\": {\"frontendIPConfiguration\": {\"id\": \"/subscriptions/$S/resourceGroups/g/"
		"providers/Microsoft.Network/loadBalancers/other/frontendIPConfigurations/f\"}}}]}}",
		400, "frontendIPConfigurations of load balancer myvmssLB");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST_CLOUD_ADD("/balancers/are put, changed by parts, read and deleted", scenario_life);
	TEST_CLOUD_ADD("/balancers/network interfaces join and leave pools", scenario_member);
	TEST_CLOUD_ADD("/balancers/an internal one has an address of its subnet", scenario_internal);
	TEST_CLOUD_ADD("/balancers/what there is not is refused by name", scenario_refused);
	return g_test_run();
}
