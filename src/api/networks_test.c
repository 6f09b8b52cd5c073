/* What goes over the wire about segments: the operator's requests, and what a client sees of them. */
#include "api/test_cloud.h"

#include <string.h>

#define GROUP     "S/resourceGroups/myResourceGroup"
#define NET       GROUP "/providers/Microsoft.Network"
#define NIC       NET "/networkInterfaces/myNic"
#define VNET      NET "/virtualNetworks/myVnet"
#define VM        GROUP "/providers/Microsoft.Compute/virtualMachines/myVM"
#define PHYSICALS "/sluice/v1/physical-networks"
#define SEGMENT   "/sluice/v1/networks/myresourcegroup/MYVNET/segment"

/* The status; ret_text (may be NULL): the answer as text, Owned. */
static unsigned put(struct test_cloud *cloud, const char *path, const char *body, char **ret_text)
{
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "PUT", path, body, NULL);

	if (ret_text)
		*ret_text = answer.json ? json_dumps(answer.json, JSON_COMPACT) : NULL;
	if (answer.status < 300 && answer_header(&answer, "Azure-AsyncOperation"))
		g_free(finish(cloud, &answer, NULL));
	return answer.status;
}

static void assert_put(
	struct test_cloud *cloud, const char *path, const char *body, unsigned status, const char *words)
{
	g_autofree char *text = NULL;

	g_assert_cmpint(put(cloud, path, body, &text), ==, status);
	if (!strstr(text, words))
		g_error("'%s' is not in: %s", words, text);
}

/* Reads the resource and PUTs it back with one more tag. */
static unsigned add_tag(struct test_cloud *cloud, const char *path, const char *name, const char *value)
{
	_cleanup_(answer_clear) struct answer now = ask(cloud, "GET", path, NULL, NULL);

	json_object_set_new(now.json, "tags", json_pack("{s:s}", name, value));
	g_autofree char *body = json_dumps(now.json, JSON_COMPACT);
	return put(cloud, path, body, NULL);
}

static void act(struct test_cloud *cloud, const char *path)
{
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "POST", path, NULL, NULL);
	g_autofree char *end = finish(cloud, &answer, NULL);

	g_assert_cmpstr(end, ==, "Succeeded");
}

static void assert_read(struct test_cloud *cloud, const char *path, json_t *expected)
{
	json_auto_t *own = expected;
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "GET", path, NULL, NULL);

	g_assert_cmpint(answer.status, ==, 200);
	fixture_assert_covers(own, answer.json);
}

/* ---- the operator ---- */

static void scenario_physicals(struct test_cloud *cloud)
{
	g_assert_cmpint(put(cloud, PHYSICALS "/physnet1", "{\"vlans\": \"1\"}", NULL), ==, 401);
	put_base(cloud);
	assert_put(cloud, PHYSICALS "/physnet1", "{\"vlans\": \"300,100-199\"}", 201,
		"\"vlans\":\"100-199,300\"");
	assert_put(cloud, PHYSICALS "/physnet1", "{\"vlans\": \"100-199\", \"guestEnforcement\": true}", 200,
		"\"was\":{\"vlans\":\"100-199,300\",\"guestEnforcement\":false}");
	assert_put(cloud, PHYSICALS "/physnet1", "{\"vlans\": \"99-199\"}", 200, "\"guestEnforcement\":true");
	assert_put(cloud, PHYSICALS "/PHYSNET1", "{\"vlans\": \"100-199\", \"guestEnforcement\": false}", 200,
		"\"was\":{\"vlans\":\"99-199\",\"guestEnforcement\":true}");
	assert_put(cloud, PHYSICALS "/physnet1", "{\"vlans\": \"100-199\", \"guestEnforcement\": true}", 200,
		"\"was\":{\"guestEnforcement\":false}");
	assert_put(cloud, PHYSICALS "/physnet1", "{\"vlans\": \"100-199\"}", 200, "\"was\":{}");
	assert_put(cloud, PHYSICALS "/physnet1", "{\"vlans\": \"0\"}", 400, "are no VLANs");
	assert_put(cloud, PHYSICALS "/physnet1", "{\"vlan\": \"5\"}", 400, "what is needed looks like");
	assert_put(cloud, PHYSICALS "/physnet1", "[]", 400, "what is needed looks like");
	assert_put(cloud, PHYSICALS "/physnet1", "{", 400, "no JSON");
	assert_put(cloud, SEGMENT, "{\"segment\": \"vlan:physnet1:150\"}", 200, "\"nics\":[\"myNic\"]");
	assert_read(cloud, PHYSICALS,
		json_pack("{s:[{s:s, s:s, s:b, s:[{s:s, s:s, s:i}], s:[s]}]}", "physicalNetworks", "name",
			"physnet1", "vlans", "100-199", "guestEnforcement", 1, "networks", "name", "myVnet",
			"group", "myResourceGroup", "vlan", 150, "hosts", "host1"));
	_cleanup_(answer_clear) struct answer used = ask(cloud, "DELETE", PHYSICALS "/physnet1", NULL, NULL);
	g_assert_cmpint(used.status, ==, 409);
	assert_put(cloud, SEGMENT, "{\"segment\": \"vxlan\"}", 200, "\"vni\":");
	_cleanup_(answer_clear) struct answer gone = ask(cloud, "DELETE", PHYSICALS "/physnet1", NULL, NULL);
	_cleanup_(answer_clear) struct answer again = ask(cloud, "DELETE", PHYSICALS "/physnet1", NULL, NULL);
	g_assert_cmpint(gone.status, ==, 204);
	g_assert_cmpint(again.status, ==, 404);
}

static void scenario_segments(struct test_cloud *cloud)
{
	put_base(cloud);
	g_assert_cmpint(put(cloud, PHYSICALS "/physnet1", "{\"vlans\": \"100-199\"}", NULL), ==, 201);
	_cleanup_(answer_clear) struct answer net = ask(cloud, "GET", VNET, NULL, NULL);
	g_autofree char *by_uid = g_strdup_printf("/sluice/v1/networks/%s/segment",
		json_string_value(json_object_get(json_object_get(net.json, "properties"), "resourceGuid")));
	assert_put(
		cloud, by_uid, "{\"segment\": \"vlan:physnet1\"}", 200, "\"segment\":\"vlan:physnet1:100\"");
	assert_read(cloud, "/sluice/v1/networks",
		json_pack("{s:[{s:s, s:s, s:i}]}", "networks", "name", "myVnet", "segment",
			"vlan:physnet1:100", "vlan", 100));
	assert_put(cloud, "/sluice/v1/networks/none/myVnet/segment", "{\"segment\": \"vxlan\"}", 404,
		"no resource group");
	assert_put(cloud, "/sluice/v1/networks/myResourceGroup/none/segment", "{\"segment\": \"vxlan\"}", 404,
		"no virtual network none");
	assert_put(cloud, "/sluice/v1/networks/none/segment", "{\"segment\": \"vxlan\"}", 404, "");
	assert_put(cloud, SEGMENT, "{\"segment\": \"vlan:physnet1:9\"}", 400, "100-199");
	assert_put(cloud, SEGMENT, "{\"segment\": 7}", 400, "what is needed looks like");
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	assert_put(cloud, SEGMENT, "{\"segment\": \"vxlan\"}", 409, "not deallocated: myVM");
	assert_put(cloud, SEGMENT, "{\"segment\": \"vlan:physnet1\"}", 200, "vlan:physnet1:100");
}

/* ---- a client ---- */

static void assert_status(
	struct test_cloud *cloud, const char *path, const char *enforcement, const char *guest_enforcement)
{
	assert_read(cloud, NIC,
		json_pack("{s:{s:{s:s, s:s, s:s?}}}", "properties", "accelerationStatus", "path", path,
			"enforcement", enforcement, "guestEnforcement", guest_enforcement));
}

static void scenario_status(struct test_cloud *cloud)
{
	put_base(cloud);
	g_assert_cmpint(put(cloud, PHYSICALS "/physnet1", "{\"vlans\": \"100-199\"}", NULL), ==, 201);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	assert_status(cloud, "emulated", "switch", NULL);
	g_assert_cmpint(add_tag(cloud, VNET, "sluice-segment", "vlan:physnet1:150"), ==, 409);
	act(cloud, VM "/deallocate");
	assert_status(cloud, "none", "none", NULL);
	g_assert_cmpint(add_tag(cloud, VNET, "sluice-segment", "vlan:physnet1:150"), ==, 200);
	act(cloud, VM "/start");
	assert_status(cloud, "vf", "hardware", NULL);
	assert_read(cloud, "/sluice/v1/functions",
		json_pack("{s:[{s:s, s:s, s:s, s:s, s:i, s:i}]}", "functions", "host", "host1", "provider",
			"sriov", "physical", "physnet1", "pf", "ens1f0", "index", 0, "vlan", 0));
	g_assert_cmpint(add_tag(cloud, NIC, "sluice-enforcement", "never"), ==, 400);
	g_assert_cmpint(add_tag(cloud, NIC, "sluice-enforcement", "guest"), ==, 200);
	assert_status(cloud, "vf", "hardware", "notAllowed");
	g_assert_cmpint(put(cloud, PHYSICALS "/physnet1",
				"{\"vlans\": \"100-199\", \"guestEnforcement\": true}", NULL),
		==, 200);
	/* A change that hosts must know of ends when they do. */
	g_assert_cmpint(add_tag(cloud, NIC, "SLUICE-enforcement", "guest"), ==, 200);
	assert_status(cloud, "vf", "guest", "allowed");
}

/* `az network nic show` prints no member that it does not know, but all tags. */
static void scenario_shown_tag(struct test_cloud *cloud)
{
	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	assert_read(cloud, NIC,
		json_pack("{s:{s:s}}", "tags", "sluice-acceleration", "emulated, policy by switch"));
	/* An update sends back what was shown. */
	g_assert_cmpint(add_tag(cloud, NIC, "sluice-acceleration", "vf, policy by hardware"), ==, 200);
	assert_read(cloud, NIC,
		json_pack("{s:{s:s}}", "tags", "sluice-acceleration", "emulated, policy by switch"));
	act(cloud, VM "/deallocate");
	_cleanup_(answer_clear) struct answer off = ask(cloud, "GET", NIC, NULL, NULL);
	g_assert_null(json_object_get(json_object_get(off.json, "tags"), "sluice-acceleration"));
}

static void scenario_shown_as_ever(struct test_cloud *cloud)
{
	put_base(cloud);
	json_auto_t *recorded = fixture_load(&cloud->fixture, "network");
	g_assert_cmpint(put(cloud, PHYSICALS "/physnet1", "{\"vlans\": \"100-199\"}", NULL), ==, 201);
	assert_put(cloud, SEGMENT, "{\"segment\": \"vlan:physnet1\"}", 200, "physnet1");
	_cleanup_(answer_clear) struct answer net = ask(cloud, "GET", VNET, NULL, NULL);
	fixture_assert_covers(json_object_get(recorded, "answer"), net.json);
	g_autofree char *text = json_dumps(net.json, JSON_COMPACT);
	g_assert_null(strstr(text, "physnet1"));
	g_assert_cmpint(put_recorded(cloud, "network"), ==, 200); /* as a template that knows nothing of it */
	assert_read(cloud, "/sluice/v1/networks",
		json_pack("{s:[{s:s}]}", "networks", "segment", "vlan:physnet1:100"));
}

#define ADD(name, fn) TEST_CLOUD_ADD("/networks/" name, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("the operator makes, changes, shows and removes physical networks", scenario_physicals);
	ADD("the operator takes networks to other segments, by name or uid", scenario_segments);
	ADD("a client sees which path its NIC has and who enforces its policy there", scenario_status);
	ADD("a client without members of ours sees the same as a tag, which is never stored",
		scenario_shown_tag);
	ADD("a network on a VLAN looks to clients as ever, and their puts leave it there",
		scenario_shown_as_ever);
	return g_test_run();
}
