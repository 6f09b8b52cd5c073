/* What goes over the wire about availability sets, sizes, resizing, what images support and
 * what guests run. */
#include "api/test_cloud.h"

#include <glib/gstdio.h>
#include <string.h>

#define GROUP   "S/resourceGroups/myResourceGroup"
#define COMPUTE GROUP "/providers/Microsoft.Compute"
#define SET     COMPUTE "/availabilitySets/mySet"
#define VM      COMPUTE "/virtualMachines/myVM"
#define IMAGE   COMPUTE "/images/mine"
#define NIC     GROUP "/providers/Microsoft.Network/networkInterfaces/myNic"

/* The status; ret_text (may be NULL): the answer as text, Owned. What was begun has succeeded. */
static unsigned put(struct test_cloud *cloud, const char *path, const json_t *body, char **ret_text)
{
	g_autofree char *text = json_dumps(body, JSON_COMPACT);
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "PUT", path, text, NULL);

	if (ret_text)
		*ret_text = answer.json ? json_dumps(answer.json, JSON_COMPACT) : NULL;
	if (answer.status < 300 && answer_header(&answer, "Azure-AsyncOperation")) {
		g_autofree char *end = finish(cloud, &answer, NULL);
		g_assert_cmpstr(end, ==, "Succeeded");
	}
	return answer.status;
}

/* Takes the body. */
static void assert_put(
	struct test_cloud *cloud, const char *path, json_t *body, unsigned status, const char *words)
{
	json_auto_t *own = body;
	g_autofree char *text = NULL;

	g_assert_cmpint(put(cloud, path, own, &text), ==, status);
	if (!strstr(text, words))
		g_error("'%s' is not in: %s", words, text);
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

static void act(struct test_cloud *cloud, const char *path)
{
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "POST", path, NULL, NULL);
	g_autofree char *end = finish(cloud, &answer, NULL);

	g_assert_cmpstr(end, ==, "Succeeded");
}

static json_t *set_body(const char *sku, int faults, int updates)
{
	return json_pack("{s:s, s:{s:s}, s:{s:i, s:i}}", "location", "centralus", "sku", "name", sku,
		"properties", "platformFaultDomainCount", faults, "platformUpdateDomainCount", updates);
}

/* The recorded VM, in a set unless it is NULL. */
static json_t *vm_body(struct test_cloud *cloud, const char *set)
{
	json_auto_t *recorded = fixture_load(&cloud->fixture, "vm");
	json_t *body = json_incref(json_object_get(recorded, "request"));
	g_autofree char *id = g_strdup_printf("/subscriptions/%s/resourceGroups/MYRESOURCEGROUP/providers/"
					      "Microsoft.Compute/availabilitySets/%s",
		control_subscription(cloud->fixture.control), set);

	if (set)
		json_object_set_new(
			json_object_get(body, "properties"), "availabilitySet", json_pack("{s:s}", "id", id));
	return body;
}

/* As az does it: the VM as it is read, with another size. */
static json_t *resized(struct test_cloud *cloud, const char *size)
{
	json_t *body = read_json(cloud, VM);

	json_object_set_new(json_object_get(json_object_get(body, "properties"), "hardwareProfile"), "vmSize",
		json_string(size));
	return body;
}

static json_t *accelerated(struct test_cloud *cloud, bool on)
{
	json_t *body = read_json(cloud, NIC);

	json_object_set_new(
		json_object_get(body, "properties"), "enableAcceleratedNetworking", json_boolean(on));
	return body;
}

/* ---- sets ---- */

static void scenario_set(struct test_cloud *cloud)
{
	put_base(cloud);
	assert_put(cloud, SET, set_body("Aligned", 2, 20), 201, "\"virtualMachines\":[]");
	assert_read(cloud, SET,
		json_pack("{s:s, s:s, s:{s:s}, s:{s:i, s:i, s:[]}}", "name", "mySet", "type",
			"Microsoft.Compute/availabilitySets", "sku", "name", "Aligned", "properties",
			"platformFaultDomainCount", 2, "platformUpdateDomainCount", 20, "virtualMachines"));
	assert_put(cloud, SET, set_body("Aligned", 3, 20), 409, "cannot be changed");
	assert_put(cloud, COMPUTE "/availabilitySets/other", set_body("Aligned", 4, 5), 400, "1 to 3");
	assert_put(cloud, COMPUTE "/availabilitySets/other", set_body("Odd", 2, 5), 400, "sku.name");
	assert_put(cloud, COMPUTE "/availabilitySets/other", json_pack("{s:s}", "location", "westus"), 201,
		"\"Classic\"");
	assert_read(cloud, COMPUTE "/availabilitySets/other",
		json_pack("{s:{s:i, s:i}}", "properties", "platformFaultDomainCount", 1,
			"platformUpdateDomainCount", 5));
	_cleanup_(answer_clear) struct answer converted = ask(cloud, "PATCH",
		COMPUTE "/availabilitySets/other", "{\"sku\": {\"name\": \"Aligned\"}}", NULL);
	g_assert_cmpint(converted.status, ==, 200);
	json_auto_t *all = read_json(cloud, "S/providers/Microsoft.Compute/availabilitySets"),
		    *sizes = read_json(cloud, SET "/vmSizes");
	g_assert_cmpuint(json_array_size(json_object_get(all, "value")), ==, 2);
	g_assert_cmpuint(json_array_size(json_object_get(sizes, "value")), >, 100);
	_cleanup_(answer_clear) struct answer gone = ask(cloud, "DELETE", SET, NULL, NULL);
	_cleanup_(answer_clear) struct answer again = ask(cloud, "DELETE", SET, NULL, NULL);
	g_assert_cmpint(gone.status, ==, 200);
	g_assert_cmpint(again.status, ==, 204);
}

static void scenario_machine(struct test_cloud *cloud)
{
	put_base(cloud);
	assert_put(cloud, VM, vm_body(cloud, "mySet"), 400,
		"mySet referenced by properties.availabilitySet was not");
	assert_put(cloud, SET, set_body("Aligned", 2, 5), 201, "");
	assert_put(cloud, VM, vm_body(cloud, "MYSET"), 201, "/availabilitySets/mySet\"");
	g_autofree char *id = g_strdup_printf("/subscriptions/%s/resourceGroups/myResourceGroup/providers/"
					      "Microsoft.Compute/virtualMachines/myVM",
		control_subscription(cloud->fixture.control));
	assert_read(cloud, SET, json_pack("{s:{s:[{s:s}]}}", "properties", "virtualMachines", "id", id));
	assert_read(cloud, VM "/instanceView",
		json_pack("{s:i, s:i}", "platformUpdateDomain", 0, "platformFaultDomain", 0));
	assert_put(cloud, VM, vm_body(cloud, NULL), 409, "availability set cannot be changed");
	_cleanup_(answer_clear) struct answer used = ask(cloud, "DELETE", SET, NULL, NULL);
	g_assert_cmpint(used.status, ==, 409);
	g_assert_cmpstr(answer_code(&used), ==, "ResourceInUse");
	assert_put(cloud, NIC, accelerated(cloud, false), 409,
		"availability set mySet are not deallocated: myVM");
	act(cloud, VM "/deallocate");
	assert_put(cloud, NIC, accelerated(cloud, false), 200, "\"enableAcceleratedNetworking\":false");
	/* What a client says of a set's machines is no wish. */
	json_auto_t *set = read_json(cloud, SET);
	json_object_set_new(json_object_get(set, "properties"), "virtualMachines", json_array());
	g_assert_cmpint(put(cloud, SET, set, NULL), ==, 200);
	assert_read(cloud, SET, json_pack("{s:{s:[{s:s}]}}", "properties", "virtualMachines", "id", id));
}

/* ---- sizes ---- */

static bool lists_size(struct test_cloud *cloud, const char *name)
{
	json_auto_t *json = read_json(cloud, VM "/vmSizes");
	json_t *size;
	size_t i;

	json_array_foreach(json_object_get(json, "value"), i, size)
	{
		if (g_str_equal(json_string_value(json_object_get(size, "name")), name))
			return true;
	}
	return false;
}

static void scenario_resize(struct test_cloud *cloud)
{
	put_base(cloud);
	assert_put(cloud, VM, vm_body(cloud, NULL), 201, "Standard_DS4_v2");
	g_assert_true(lists_size(cloud, "Standard_D4s_v3") && lists_size(cloud, "Standard_NC6"));
	g_assert_false(lists_size(cloud, "Standard_D2s_v3") || lists_size(cloud, "Standard_A8_v2"));
	assert_put(cloud, VM, resized(cloud, "Standard_D4s_v3"), 200, "Standard_D4s_v3");
	assert_read(cloud, VM "/instanceView",
		json_pack("{s:[{}, {s:s}]}", "statuses", "code", "PowerState/running"));
	assert_put(cloud, VM, resized(cloud, "Standard_A8_v2"), 409, "OperationNotAllowed");
	assert_put(cloud, VM, resized(cloud, "Standard_M128ms"), 409, "AllocationFailed");
	assert_put(cloud, VM, resized(cloud, "Standard_M128ms"), 409, "Host host1: ");
	assert_read(cloud, VM,
		json_pack("{s:{s:s, s:{s:s}}}", "properties", "provisioningState", "Succeeded",
			"hardwareProfile", "vmSize", "Standard_D4s_v3"));
	assert_put(cloud, VM, resized(cloud, "Standard_NC6"), 200, "Standard_NC6");
	assert_read(cloud, NIC,
		json_pack("{s:{s:b, s:{s:s, s:s}}, s:{s:s}}", "properties", "enableAcceleratedNetworking", 1,
			"accelerationStatus", "path", "synthetic", "reason",
			"size Standard_NC6 accepts accelerated networking, but does not support it: it has "
			"no "
			"effect there",
			"tags", "sluice-acceleration",
			"synthetic, policy by switch: size Standard_NC6 accepts accelerated networking, but "
			"does "
			"not support it: it has no effect there"));
	act(cloud, VM "/deallocate");
	assert_put(cloud, NIC, accelerated(cloud, false), 200, "");
	g_assert_true(lists_size(cloud, "Standard_A8_v2"));
	assert_put(cloud, VM, resized(cloud, "Standard_A8_v2"), 200, "Standard_A8_v2");
}

static const char *capability(const json_t *sku, const char *name)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(sku, "capabilities"), i, item)
	{
		if (g_str_equal(json_string_value(json_object_get(item, "name")), name))
			return json_string_value(json_object_get(item, "value"));
	}
	return NULL;
}

static json_t *of_image(struct test_cloud *cloud, const char *publisher, const char *offer)
{
	json_t *body = vm_body(cloud, NULL);

	json_object_set_new(json_object_get(json_object_get(body, "properties"), "storageProfile"),
		"imageReference",
		json_pack("{s:s, s:s, s:s, s:s}", "publisher", publisher, "offer", offer, "sku", "1",
			"version", "latest"));
	return body;
}

static void scenario_image(struct test_cloud *cloud)
{
	static const char versions[] =
		"S/providers/Microsoft.Compute/locations/centralus/publishers/me/artifacttypes/"
		"vmimage/offers/old/skus/1/versions/1.0.0";

	put_base(cloud);
	assert_read(cloud, versions,
		json_pack("{s:{s:[{s:s, s:s}]}}", "properties", "features", "name",
			"IsAcceleratedNetworkSupported", "value", "False"));
	assert_put(cloud, VM, of_image(cloud, "me", "old"), 409, "OperationNotAllowed");
	assert_put(cloud, VM, of_image(cloud, "me", "old"), 409,
		"The image of virtual machine myVM does not support accelerated networking, which network "
		"interface myNic has");
	assert_put(cloud, VM, of_image(cloud, "me", "none"), 400, "The platform image 'me:none:1:latest'");
	assert_put(cloud, NIC, accelerated(cloud, false), 200, "");
	assert_put(cloud, VM, of_image(cloud, "me", "old"), 201, "\"offer\":\"old\"");
	act(cloud, VM "/deallocate");
	assert_put(cloud, NIC, accelerated(cloud, true), 409, "The image of virtual machine myVM does not");
}

/* ---- images of users' own ---- */

/* As `sluice image import` leaves one, as far as the controller looks. */
static void add_stored(struct test_cloud *cloud, const char *id)
{
	g_autofree char *folder = g_build_filename(cloud->fixture.dir, id, NULL),
			*path = g_build_filename(folder, "manifest.json", NULL);

	g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
	g_assert_true(g_file_set_contents(path, "{}", -1, NULL));
}

/* As az makes it. */
static json_t *image_body(const char *source, const char *support)
{
	return json_pack("{s:s, s:{s:s*}, s:{s:{s:{s:s, s:s, s:s*, s:s}, s:[]}}}", "location", "centralus",
		"tags", "sluice-accelerated-networking", support, "properties", "storageProfile", "osDisk",
		"osType", "Linux", "osState", "Generalized", "blobUri", source, "caching", "ReadOnly",
		"dataDisks");
}

static json_t *of_custom_image(struct test_cloud *cloud, const char *name)
{
	g_autofree char *id = g_strdup_printf(
		"/subscriptions/%s/resourceGroups/myresourcegroup/providers/Microsoft.Compute/images/%s",
		control_subscription(cloud->fixture.control), name);
	json_t *body = vm_body(cloud, NULL);

	json_object_set_new(json_object_get(json_object_get(body, "properties"), "storageProfile"),
		"imageReference", json_pack("{s:s}", "id", id));
	return body;
}

static void scenario_making_images(struct test_cloud *cloud)
{
	put_base(cloud);
	assert_put(cloud, IMAGE, image_body("sluice:web", NULL), 400, "made of web, which");
	add_stored(cloud, "web");
	assert_put(cloud, IMAGE, image_body("https://example.net/web.vhd", NULL), 400,
		"properties.storageProfile.osDisk.blobUri");
	assert_put(cloud, IMAGE, image_body(NULL, NULL), 400, "as sluice:NAME");
	json_t *captured = image_body("sluice:web", NULL);
	json_object_set_new(json_object_get(captured, "properties"), "sourceVirtualMachine",
		json_pack("{s:s}", "id", "/x"));
	assert_put(cloud, IMAGE, captured, 400, "images of virtual machines are not supported");
	assert_put(cloud, IMAGE, image_body("sluice:web", "maybe"), 400, "'maybe'");
	assert_put(cloud, IMAGE, image_body("sluice:web", "false"), 201, "\"blobUri\":\"sluice:web\"");
	assert_read(cloud, IMAGE,
		json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:{s:s, s:s, s:s}, s:[]}}}", "name", "mine", "type",
			"Microsoft.Compute/images", "properties", "provisioningState", "Succeeded",
			"hyperVGeneration", "V1", "storageProfile", "osDisk", "osType", "Linux", "osState",
			"Generalized", "caching", "ReadOnly", "dataDisks"));
	assert_put(cloud, IMAGE, read_json(cloud, IMAGE), 200, "\"blobUri\":\"sluice:web\"");
	json_auto_t *all = read_json(cloud, "S/providers/Microsoft.Compute/images");
	g_assert_cmpuint(json_array_size(json_object_get(all, "value")), ==, 1);
	_cleanup_(answer_clear) struct answer gone = ask(cloud, "DELETE", IMAGE, NULL, NULL);
	g_assert_cmpint(gone.status, ==, 200);
}

static void scenario_custom_image(struct test_cloud *cloud)
{
	put_base(cloud);
	add_stored(cloud, "web");
	assert_put(cloud, VM, of_custom_image(cloud, "mine"), 400,
		"referenced by properties.storageProfile.imageReference was not found");
	assert_put(cloud, IMAGE, image_body("sluice:web", NULL), 201, "");
	assert_put(cloud, VM, of_custom_image(cloud, "mine"), 409,
		"if guests of image mine do, declare it by the image's tag "
		"sluice-accelerated-networking=true");
	_cleanup_(answer_clear) struct answer tagged =
		ask(cloud, "PATCH", IMAGE, "{\"tags\": {\"sluice-accelerated-networking\": \"true\"}}", NULL);
	g_assert_cmpint(tagged.status, ==, 200);
	assert_put(cloud, VM, of_custom_image(cloud, "mine"), 201, "/images/mine\"");
	_cleanup_(answer_clear) struct answer gone = ask(cloud, "DELETE", IMAGE, NULL, NULL);
	g_assert_cmpint(gone.status, ==, 200);
	assert_put(cloud, VM, resized(cloud, "Standard_DS3_v2"), 200, "/images/mine\"");
	assert_put(cloud, VM, of_image(cloud, "me", "old"), 409, "cannot be changed");
}

/* What a client reads and puts back is no wish for another image. */
static void scenario_newer_alias(struct test_cloud *cloud)
{
	static const char moved[] =
		"{\"UbuntuLTS\": {\"publisher\": \"Canonical\", \"offer\": \"UbuntuServer\", \"sku\": "
		"\"18.04-LTS\", \"version\": \"2\", \"image\": \"newer\", \"accelerated\": true}}";
	g_autofree char *aliases = g_build_filename(cloud->fixture.dir, "aliases.json", NULL);

	put_base(cloud);
	assert_put(cloud, VM, vm_body(cloud, NULL), 201, "");
	g_assert_true(g_file_set_contents(aliases, moved, -1, NULL));
	assert_put(cloud, VM, resized(cloud, "Standard_DS3_v2"), 200, "18.04.202611220");
	g_assert_true(g_file_set_contents(aliases, "{}", -1, NULL));
	assert_put(cloud, VM, resized(cloud, "Standard_DS4_v2"), 200, "18.04.202611220");
}

/* ---- guests ---- */

static json_t *with_guest(struct test_cloud *cloud, const char *guest)
{
	json_t *body = read_json(cloud, VM);

	json_object_set_new(body, "tags", json_pack("{s:s*}", "pretend-guest", guest));
	return body;
}

static void scenario_guest(struct test_cloud *cloud)
{
	put_base(cloud);
	assert_put(cloud, VM, vm_body(cloud, NULL), 201, "");
	assert_read(cloud, VM "/instanceView",
		json_pack("{s:{s:s, s:[{s:s}]}}", "vmAgent", "vmAgentVersion", "Unknown", "statuses",
			"displayStatus", "Not Ready"));
	assert_put(cloud, VM, with_guest(cloud, "ubuntu 16.04 4.4.0-31-generic"), 200, "");
	assert_read(cloud, VM "/instanceView",
		json_pack("{s:s, s:s, s:{s:s, s:[], s:[{s:s, s:s, s:s}]}}", "osName", "ubuntu", "osVersion",
			"16.04", "vmAgent", "vmAgentVersion", "0.1", "extensionHandlers", "statuses", "code",
			"ProvisioningState/succeeded", "displayStatus", "Ready", "message",
			"sluice-guest runs, on kernel 4.4.0-31-generic."));
	assert_read(cloud, NIC,
		json_pack("{s:{s:s}}", "tags", "sluice-acceleration",
			"emulated, policy by switch: Its guest runs kernel 4.4.0-31-generic, older than "
			"4.11.0-1013, with which VFs begin to work in Ubuntu 16.04: install the "
			"distribution's newest kernel (Ubuntu 16.04: linux-azure), and reboot."));
	assert_put(cloud, VM, with_guest(cloud, NULL), 200, "");
	act(cloud, VM "/deallocate");
	json_auto_t *off = read_json(cloud, VM "/instanceView");
	g_assert_null(json_object_get(off, "vmAgent"));
	assert_put(cloud, NIC, accelerated(cloud, false), 200, "");
	assert_put(cloud, NIC, accelerated(cloud, true), 409,
		"The guest of virtual machine myVM ran kernel 4.4.0-31-generic when it was heard last");
	assert_put(cloud, VM, with_guest(cloud, "ubuntu 16.04 4.15.0-1113-azure"), 200, "");
	act(cloud, VM "/start");
	act(cloud, VM "/deallocate");
	assert_put(cloud, NIC, accelerated(cloud, true), 200, "");
}

static void scenario_skus(struct test_cloud *cloud)
{
	static const struct {
		const char *name, *accelerated, *rdma;
	} cases[] = {
		{"Standard_DS4_v2", "True", "False"},
		{"Standard_DS1_v2", "False", "False"},
		{"Standard_D2_v3", "False", "False"},
		{"Standard_D4_v3", "True", "False"},
		{"Standard_NC6", "True", "False"},
		{"Standard_NC24rs_v3", "True", "True"},
		{"Standard_NV6", "True", "False"},
		{"Standard_H16r", "False", "True"},
		{"Standard_HB60rs", "True", "True"},
		{"Standard_A8_v2", "False", "False"},
	};

	log_in_as_tester(cloud);
	json_auto_t *all =
		read_json(cloud, "S/providers/Microsoft.Compute/skus?$filter=location%20eq%20'westus'");
	for (size_t c = 0; c < G_N_ELEMENTS(cases); c++) {
		json_t *sku, *found = NULL;
		size_t i;
		json_array_foreach(json_object_get(all, "value"), i, sku)
		{
			if (g_str_equal(json_string_value(json_object_get(sku, "name")), cases[c].name))
				found = sku;
		}
		g_assert_nonnull(found);
		g_assert_cmpstr(capability(found, "AcceleratedNetworkingEnabled"), ==, cases[c].accelerated);
		g_assert_cmpstr(capability(found, "RdmaEnabled"), ==, cases[c].rdma);
	}
}

/* ---- the operator ---- */

static void scenario_fault_domain(struct test_cloud *cloud)
{
	static const char host[] = "/sluice/v1/hosts/host1/fault-domain";

	put_base(cloud);
	assert_put(cloud, VM, vm_body(cloud, NULL), 201, ""); /* its host has reported then */
	assert_put(
		cloud, host, json_pack("{s:s}", "faultDomain", "rack-1"), 200, "\"faultDomain\":\"rack-1\"");
	assert_read(cloud, "/sluice/v1/hosts", json_pack("{s:[{s:s}]}", "hosts", "faultDomain", "rack-1"));
	assert_put(cloud, host, json_pack("{s:s}", "faultDomain", "Rack 1"), 400, "'Rack 1' is no name");
	assert_put(cloud, host, json_pack("{s:s}", "rack", "1"), 400, "what is needed looks like");
	assert_put(cloud, "/sluice/v1/hosts/none/fault-domain", json_pack("{s:n}", "faultDomain"), 404,
		"no host none");
	assert_put(cloud, host, json_pack("{s:n}", "faultDomain"), 200, "\"faultDomain\":null");
}

#define ADD(name, fn) TEST_CLOUD_ADD("/sets/" name, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("an availability set is made, shown, converted and deleted", scenario_set);
	ADD("a machine names its set, and the set its machines", scenario_machine);
	ADD("a machine is resized to what its interfaces and its host allow", scenario_resize);
	ADD("an operator says which hosts fail together", scenario_fault_domain);
	ADD("an accelerated interface is only for machines of images that support it", scenario_image);
	ADD("users make images of what was imported", scenario_making_images);
	ADD("a machine is made from a user's own image, and accelerated when that declares it",
		scenario_custom_image);
	ADD("a machine stays with its image when others get newer ones", scenario_newer_alias);
	ADD("what guests say that they run is shown, and keeps acceleration off old kernels", scenario_guest);
	ADD("SKUs say what each size accepts", scenario_skus);
	return g_test_run();
}
