/* What goes over the wire about migrations: the operator's requests, and what a client sees meanwhile. */
#include "api/test_cloud.h"

#include <string.h>

#define GROUP   "S/resourceGroups/myResourceGroup"
#define VM      GROUP "/providers/Microsoft.Compute/virtualMachines/myVM"
#define VMS     "/sluice/v1/virtual-machines"
#define MIGRATE VMS "/myresourcegroup/MYVM/migrate"

static void assert_says(struct answer *answer, unsigned status, const char *words)
{
	g_autofree char *text = answer->json ? json_dumps(answer->json, JSON_COMPACT) : g_strdup("");

	g_assert_cmpint(answer->status, ==, status);
	if (!strstr(text, words))
		g_error("'%s' is not in: %s", words, text);
}

static void assert_asked(struct test_cloud *cloud, const char *method, const char *path, const char *body,
	unsigned status, const char *words)
{
	_cleanup_(answer_clear) struct answer answer = ask(cloud, method, path, body, NULL);

	assert_says(&answer, status, words);
}

/* Asks for the operation until its answer has the words. */
static void wait_for(struct test_cloud *cloud, const char *uid, const char *words)
{
	g_autofree char *path = g_strdup_printf("/sluice/v1/operations/%s", uid);
	int64_t deadline = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

	for (;;) {
		_cleanup_(answer_clear) struct answer answer = ask(cloud, "GET", path, NULL, NULL);
		g_autofree char *text = json_dumps(answer.json, JSON_COMPACT);
		g_assert_cmpint(answer.status, ==, 200);
		if (strstr(text, words))
			return;
		if (g_get_monotonic_time() > deadline)
			g_error("'%s' is not in: %s", words, text);
		g_usleep(20000);
	}
}

/* Begins one to the other host. uid of the operation, Owned. */
static char *begin(struct test_cloud *cloud, const char *body)
{
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "POST", MIGRATE, body, NULL);

	assert_says(&answer, 202, "\"verb\":\"migrate\",\"state\":\"running\"");
	return g_strdup(answer_text(&answer, "uid"));
}

static void begin_cloud(struct test_cloud *cloud)
{
	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
}

/* The host that has the VM; Owned. */
static char *host_of(struct test_cloud *cloud)
{
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "GET", VMS, NULL, NULL);
	const json_t *vm = json_array_get(json_object_get(answer.json, "virtualMachines"), 0);

	g_assert_true(json_is_null(json_object_get(vm, "migration")));
	return g_strdup(json_string_value(json_object_get(vm, "host")));
}

static void scenario_way(struct test_cloud *cloud)
{
	begin_cloud(cloud);
	g_autofree char *from = host_of(cloud);
	const char *to = g_str_equal(from, "host1") ? "host2" : "host1";
	g_autofree char *body = g_strdup_printf("{\"host\": \"%s\", \"noticeSeconds\": 5}", to);
	g_autofree char *here = g_strdup_printf(VMS "?host=%s", from);
	g_autofree char *uid = begin(cloud, body);
	wait_for(cloud, uid, "\"state\":\"succeeded\"");
	g_autofree char *now = host_of(cloud);
	g_assert_cmpstr(now, ==, to);
	assert_asked(cloud, "GET", here, NULL, 200, "{\"virtualMachines\":[]}");
	assert_asked(cloud, "GET", VM, NULL, 200, "\"provisioningState\":\"Succeeded\"");
}

/* One that no host has room for is there all the same, and says why it is nowhere. */
static void scenario_unplaced(struct test_cloud *cloud)
{
	json_auto_t *recorded = fixture_load(&cloud->fixture, "vm");
	json_t *properties = json_object_get(json_object_get(recorded, "request"), "properties");

	put_base(cloud);
	json_object_set_new(
		json_object_get(properties, "hardwareProfile"), "vmSize", json_string("Standard_M128ms"));
	g_autofree char *body = json_dumps(json_object_get(recorded, "request"), JSON_COMPACT);
	_cleanup_(answer_clear) struct answer put = ask(cloud, "PUT", VM, body, NULL);
	g_autofree char *end = put.status < 300 ? finish(cloud, &put, NULL) : g_strdup("Failed");
	g_assert_cmpstr(end, ==, "Failed");
	_cleanup_(answer_clear) struct answer listed = ask(cloud, "GET", VMS, NULL, NULL);
	assert_says(
		&listed, 200, "\"host\":null,\"power\":\"unknown\",\"provisioning\":\"failed\",\"fault\":\"");
	assert_says(&listed, 200, "Host host1: ");
}

static void scenario_cancel(struct test_cloud *cloud)
{
	begin_cloud(cloud);
	g_autofree char *from = host_of(cloud);
	g_atomic_int_set(&cloud->hold, 1);
	g_autofree char *uid = begin(cloud, NULL);
	wait_for(cloud, uid, "\"phase\":\"moving\",\"percent\":50");
	assert_asked(cloud, "POST", VM "/deallocate", NULL, 409, "\"code\":\"OperationNotAllowed\"");
	assert_asked(cloud, "DELETE", VM, NULL, 409, "is being migrated to another host");
	assert_asked(cloud, "POST", MIGRATE, NULL, 409, "is being migrated to another host");
	assert_asked(cloud, "DELETE", MIGRATE, NULL, 202, uid);
	wait_for(cloud, uid, "\"state\":\"failed\",\"fault\":\"cancelled\"");
	g_autofree char *now = host_of(cloud);
	g_assert_cmpstr(now, ==, from);
	assert_asked(cloud, "DELETE", MIGRATE, NULL, 409, "is not being migrated");
	assert_asked(cloud, "GET", VM, NULL, 200, "\"provisioningState\":\"Succeeded\"");
}

static void scenario_refused(struct test_cloud *cloud)
{
	assert_asked(cloud, "POST", MIGRATE, NULL, 401, "");
	begin_cloud(cloud);
	assert_asked(cloud, "POST", VMS "/none/myVM/migrate", NULL, 404, "no resource group none");
	assert_asked(
		cloud, "POST", VMS "/myResourceGroup/none/migrate", NULL, 404, "no virtual machine none");
	assert_asked(cloud, "POST", VMS "/none/migrate", NULL, 404, "no virtual machine with id none");
	assert_asked(cloud, "POST", MIGRATE, "{", 400, "no JSON");
	assert_asked(cloud, "POST", MIGRATE, "[]", 400, "what is needed looks like");
	assert_asked(cloud, "POST", MIGRATE, "{\"to\": \"host2\"}", 400, "what is needed looks like");
	assert_asked(cloud, "POST", MIGRATE, "{\"noticeSeconds\": -1}", 400, "from 0 to 3600");
	assert_asked(cloud, "POST", MIGRATE, "{\"host\": \"host9\"}", 400, "there is no such host");
	assert_asked(cloud, "GET", "/sluice/v1/operations/none", NULL, 404, "no operation with id none");
}

static void test_scenario(const void *scenario)
{
	test_cloud_run_pair((void (*)(struct test_cloud *))scenario);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(title, fn) g_test_add_data_func("/migrate/" title, (const void *)fn, test_scenario)
	ADD("an operator moves a virtual machine and sees where it is", scenario_way);
	ADD("a migration is followed and cancelled; meanwhile nothing else is done to the machine",
		scenario_cancel);
	ADD("one that could not be placed is listed as failed, with the reason", scenario_unplaced);
	ADD("what cannot be is refused in words", scenario_refused);
	return g_test_run();
}
