/* The metadata service: its document, its rules, and who sees what. */
#include "agent/metadata_document.h"
#include "agent/test_metadata.h"

#include <string.h>

#define V "?api-version=2021-08-01"

static void setup(struct guests *f, gconstpointer data)
{
	guests_init(f, NULL, NULL);
}

static void teardown(struct guests *f, gconstpointer data)
{
	guests_done(f);
}

static struct answer ask(
	struct guests *f, const char *from, const char *method, const char *path, const char *const *headers)
{
	static const char *const none[] = {NULL};

	return guests_ask(f, &(struct request){from, method, path, headers ? headers : none, NULL});
}

static const char *const asks_well[] = {"Metadata", "true", NULL};

static void assert_text(struct guests *f, const char *from, const char *path, const char *wanted)
{
	g_autofree char *full = g_strdup_printf("/metadata/instance%s" V "&format=text", path);
	_cleanup_(answer_clear) struct answer answer = ask(f, from, "GET", full, asks_well);

	g_assert_cmpuint(answer.status, ==, 200);
	g_assert_cmpstr(answer.type, ==, "text/plain");
	g_assert_cmpstr(answer.body, ==, wanted);
}

static void assert_status(
	struct guests *f, const char *from, const char *path, const char *const *headers, guint status)
{
	_cleanup_(answer_clear) struct answer answer = ask(f, from, "GET", path, headers);

	g_assert_cmpuint(answer.status, ==, status);
	if (status != 200) {
		json_auto_t *json = json_loads(answer.body, 0, NULL);
		g_assert_true(json_is_string(json_object_get(json, "error")));
	}
}

/* ---- tests ---- */

static void test_document(struct guests *f, gconstpointer data)
{
	_cleanup_(answer_clear) struct answer answer =
		ask(f, "127.0.0.4", "GET", "/metadata/instance" V, asks_well);
	json_auto_t
		*json = json_loads(answer.body, 0, NULL),
		*golden = json_loads(
			"{\"compute\": {\"azEnvironment\": \"Sluice\", \"location\": \"centralus\", "
			"\"name\": \"myvm\","
			" \"osType\": \"Linux\", \"osProfile\": {\"adminUsername\": \"azureuser\", "
			"\"computerName\": \"myvm\","
			" \"disablePasswordAuthentication\": \"true\"}, \"provider\": \"Microsoft.Compute\","
			" \"publicKeys\": [{\"keyData\": \"ssh-rsa AAAA me@there\", \"path\": "
			"\"/home/azureuser/.ssh/authorized_keys\"}],"
			" \"resourceGroupName\": \"myGroup\", \"resourceId\": "
			"\"/subscriptions/55555555-5555-4555-8555-555555555555/resourceGroups/myGroup/"
			"providers/"
			"Microsoft.Compute/virtualMachines/myvm\","
			" \"subscriptionId\": \"55555555-5555-4555-8555-555555555555\", \"tags\": "
			"\"purpose:test\","
			" \"tagsList\": [{\"name\": \"purpose\", \"value\": \"test\"}], \"vmId\": \"" WORLD_VM
			"\","
			" \"vmScaleSetName\": \"\", \"vmSize\": \"Standard_DS4_v2\", \"zone\": \"\"},"
			" \"network\": {\"interface\": [{\"ipv4\": {\"ipAddress\": [{\"privateIpAddress\": "
			"\"192.168.1.4\","
			" \"publicIpAddress\": \"203.0.113.4\"}], \"subnet\": [{\"address\": "
			"\"192.168.1.0\", \"prefix\": "
			"\"24\"}]}, \"ipv6\": {\"ipAddress\": []}, \"macAddress\": \"000D3A000004\"}]}}",
			0, NULL);

	g_assert_cmpuint(answer.status, ==, 200);
	g_assert_cmpstr(answer.type, ==, "application/json");
	g_assert_nonnull(golden);
	if (!json_equal(json, golden))
		g_error("this is not what is wanted: %s", answer.body);
}

static void test_parts(struct guests *f, gconstpointer data)
{
	assert_text(f, "127.0.0.4", "/compute/vmSize", "Standard_DS4_v2");
	assert_text(f, "127.0.0.4", "/compute/osProfile/computerName/", "myvm");
	assert_text(f, "127.0.0.4", "/compute/publicKeys/0/keyData", "ssh-rsa AAAA me@there");
	assert_text(f, "127.0.0.4", "/network/interface/0/ipv4/ipAddress/0/publicIpAddress", "203.0.113.4");
	assert_text(f, "127.0.0.4", "", "compute/\nnetwork/");
	assert_text(f, "127.0.0.4", "/network/interface", "0/");
	assert_status(f, "127.0.0.4", "/metadata/instance/compute/vmSise" V, asks_well, 404);
	assert_status(f, "127.0.0.4", "/metadata/instance/compute/publicKeys/1" V, asks_well, 404);
	assert_status(f, "127.0.0.4", "/metadata/instance/compute/publicKeys/x" V, asks_well, 404);
	assert_status(f, "127.0.0.4", "/metadata/instancex" V, asks_well, 404);
	assert_status(f, "127.0.0.4", "/metadata/instance" V "&format=xml", asks_well, 400);
}

static void test_identity(struct guests *f, gconstpointer data)
{
	assert_text(f, "127.0.0.4", "/compute/name", "myvm");
	assert_text(f, "127.0.0.5", "/compute/name", "other");
	assert_status(f, "127.0.0.6", "/metadata/instance" V, asks_well, 404);
	goal_free(g_steal_pointer(&f->goal));
	assert_status(f, "127.0.0.4", "/metadata/instance" V, asks_well, 404);
}

static void test_rules(struct guests *f, gconstpointer data)
{
	static const char *const wrong[] = {"Metadata", "yes", NULL};
	static const char *const upper[] = {"metadata", "True", NULL};
	static const char *const forwarded[] = {"Metadata", "true", "X-Forwarded-For", "10.0.0.1", NULL};

	assert_status(f, "127.0.0.4", "/metadata/instance" V, upper, 200);
	assert_status(f, "127.0.0.4", "/metadata/instance" V, NULL, 400);
	assert_status(f, "127.0.0.4", "/metadata/instance" V, wrong, 400);
	assert_status(f, "127.0.0.4", "/metadata/instance" V, forwarded, 400);
	assert_status(f, "127.0.0.4", "/metadata/instance", asks_well, 400);
	assert_status(f, "127.0.0.4", "/metadata/instance?api-version=1999-01-01", asks_well, 400);
	assert_status(f, "127.0.0.4", "/metadata/versions", asks_well, 200);
	assert_status(f, "127.0.0.4", "/", asks_well, 404);
	_cleanup_(answer_clear) struct answer put =
		ask(f, "127.0.0.4", "PUT", "/metadata/instance" V, asks_well);
	g_assert_cmpuint(put.status, ==, 405);
	/* What it was not given, it does not know. */
	assert_status(f, "127.0.0.4", "/sluice/v1/policy", asks_well, 404);
	assert_status(f, "127.0.0.4", "/metadata/scheduledevents?api-version=2020-07-01", asks_well, 404);
}

static void test_large(struct guests *f, gconstpointer data)
{
	g_autofree char *body = g_strnfill(65537, ' ');
	_cleanup_(answer_clear) struct answer large =
		guests_ask(f, &(struct request){"127.0.0.4", "PUT", "/sluice/v1/policy", NULL, body});

	g_assert_cmpuint(large.status, ==, 413);
	body[65536] = '\0';
	_cleanup_(answer_clear) struct answer fitting =
		guests_ask(f, &(struct request){"127.0.0.4", "PUT", "/sluice/v1/policy", NULL, body});
	g_assert_cmpuint(fitting.status, ==, 404);
}

static void test_primary_first(struct guests *f, gconstpointer data)
{
	struct goal_nic *second = f->goal->nics->pdata[1];

	g_free(second->vm);
	second->vm = g_strdup(WORLD_VM);
	world_nic(f->goal)->primary = false;
	assert_text(f, "127.0.0.4", "/network/interface/0/macAddress", "000D3A000005");
	assert_text(f, "127.0.0.4", "/network/interface/1/macAddress", "000D3A000004");
}

static void test_ipv6(struct guests *f, gconstpointer data)
{
	struct goal_address *address = shape_new(&goal_address_shape);

	address->ip = g_strdup("fd00:8:0:1::4");
	g_ptr_array_add(world_nic(f->goal)->addresses, address);
	assert_text(
		f, "127.0.0.4", "/network/interface/0/ipv6/ipAddress/0/privateIpAddress", "fd00:8:0:1::4");
	assert_text(f, "127.0.0.4", "/network/interface/0/ipv6/ipAddress/0", "privateIpAddress");
	assert_text(f, "127.0.0.4", "/network/interface/0/ipv4/ipAddress", "0/");
}

static void add(const char *name, void (*fn)(struct guests *, gconstpointer))
{
	g_test_add(name, struct guests, NULL, setup, fn, teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/metadata/the whole document has Azure's shape", test_document);
	add("/metadata/paths lead to parts, as JSON or as text", test_parts);
	add("/metadata/a guest sees its own VM and nobody else's", test_identity);
	add("/metadata/header, version and method are demanded, forwarded requests refused", test_rules);
	add("/metadata/a body that is too large is refused", test_large);
	add("/metadata/the primary NIC comes first", test_primary_first);
	add("/metadata/addresses of IPv6 stand apart from those of IPv4", test_ipv6);
	return g_test_run();
}
