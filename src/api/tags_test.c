/* Tags over the wire, as members of resources and as a resource of their own. */
#include "api/test_cloud.h"

#include <string.h>

#define GROUP "S/resourceGroups/myResourceGroup"
#define VM    GROUP "/providers/Microsoft.Compute/virtualMachines/myVM"
#define TAGS  "/providers/Microsoft.Resources/tags/default"

/* The answer's tags, and those that the resource has then. */
static void assert_tags(
	struct test_cloud *cloud, const char *method, const char *of, const char *body, const char *expected)
{
	g_autofree char *path = g_strconcat(of, TAGS, NULL);
	_cleanup_(answer_clear) struct answer answer = ask(cloud, method, path, body, NULL);
	_cleanup_(answer_clear) struct answer resource = ask(cloud, "GET", of, NULL, NULL);
	json_auto_t *wanted = json_loads(expected, 0, NULL);
	const json_t *said = json_object_get(json_object_get(answer.json, "properties"), "tags");

	g_assert_cmpint(answer.status, ==, 200);
	g_assert_cmpstr(answer_text(&answer, "name"), ==, "default");
	if (!json_equal(said, wanted) ||
		(json_object_size(wanted) && !json_equal(json_object_get(resource.json, "tags"), wanted))) {
		g_autofree char *text = json_dumps(answer.json, JSON_COMPACT);
		g_error("not %s: %s", expected, text);
	}
}

static void scenario_own_resource(struct test_cloud *cloud)
{
	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	assert_tags(cloud, "PUT", VM, "{\"properties\": {\"tags\": {\"a\": \"1\", \"B\": \"2\"}}}",
		"{\"a\": \"1\", \"B\": \"2\"}");
	assert_tags(cloud, "PATCH", VM,
		"{\"operation\": \"Merge\", \"properties\": {\"tags\": {\"b\": \"3\", \"c\": \"4\"}}}",
		"{\"a\": \"1\", \"b\": \"3\", \"c\": \"4\"}");
	assert_tags(cloud, "PATCH", VM,
		"{\"operation\": \"Delete\", \"properties\": {\"tags\": {\"A\": \"\", \"c\": \"other\"}}}",
		"{\"b\": \"3\", \"c\": \"4\"}");
	assert_tags(cloud, "PATCH", VM,
		"{\"operation\": \"Replace\", \"properties\": {\"tags\": {\"d\": \"5\"}}}", "{\"d\": \"5\"}");
	assert_tags(cloud, "GET", VM, NULL, "{\"d\": \"5\"}");
	assert_tags(cloud, "DELETE", VM, NULL, "{}");
	assert_tags(cloud, "PUT", GROUP, "{\"properties\": {\"tags\": {\"team\": \"net\"}}}",
		"{\"team\": \"net\"}");
}

static void scenario_refused(struct test_cloud *cloud)
{
	put_base(cloud);
	_cleanup_(answer_clear) struct answer none =
		ask(cloud, "PUT", VM TAGS, "{\"properties\": {\"tags\": {\"a\": \"1\"}}}", NULL);
	_cleanup_(answer_clear) struct answer number =
		ask(cloud, "PUT", GROUP TAGS, "{\"properties\": {\"tags\": {\"a\": 1}}}", NULL);
	_cleanup_(answer_clear) struct answer operation = ask(
		cloud, "PATCH", GROUP TAGS, "{\"operation\": \"Add\", \"properties\": {\"tags\": {}}}", NULL);
	g_assert_cmpint(none.status, ==, 404);
	g_assert_cmpint(number.status, ==, 400);
	g_assert_cmpint(operation.status, ==, 400);
}

/* What a host makes of the change is the answer. */
static void scenario_fails(struct test_cloud *cloud)
{
	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	_cleanup_(answer_clear) struct answer failed = ask(cloud, "PUT", VM TAGS,
		"{\"properties\": {\"tags\": {\"pretend-fault\": \"its disk is broken\"}}}", NULL);
	const char *said =
		json_string_value(json_object_get(json_object_get(failed.json, "error"), "message"));
	g_assert_cmpint(failed.status, >=, 400);
	g_assert_cmpstr(said, ==, "its disk is broken");
}

/* A host that is silent is waited for as long as a poll is; old clients take no 202. */
static void scenario_unfinished(struct test_cloud *cloud)
{
	static const char body[] = "{\"properties\": {\"tags\": {\"a\": \"1\"}}}";

	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	test_cloud_obey(cloud, false);
	_cleanup_(answer_clear) struct answer answer =
		ask(cloud, "PUT", VM TAGS "?api-version=2024-11-01", body, NULL);
	g_assert_cmpint(answer.status, ==, 202);
	g_assert_nonnull(answer_header(&answer, "Location"));
	test_cloud_obey(cloud, true);
	g_autofree char *end = finish(cloud, &answer, NULL);
	g_assert_cmpstr(end, ==, "Succeeded");
	assert_tags(cloud, "GET", VM, NULL, "{\"a\": \"1\"}");
	test_cloud_obey(cloud, false);
	_cleanup_(answer_clear) struct answer old =
		ask(cloud, "DELETE", VM TAGS "?api-version=2021-04-01", NULL, NULL);
	g_assert_cmpint(old.status, ==, 409);
	g_assert_cmpstr(answer_code(&old), ==, "OperationTimedOut");
	test_cloud_obey(cloud, true);
}

#define ADD(name, fn) TEST_CLOUD_ADD("/tags/" name, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("tags are replaced, merged and deleted beside their resource", scenario_own_resource);
	ADD("a change of tags that a host cannot take has failed", scenario_fails);
	ADD("a change of tags that no host has taken yet is not answered as done", scenario_unfinished);
	ADD("what is no tag or no operation on them is refused", scenario_refused);
	return g_test_run();
}
