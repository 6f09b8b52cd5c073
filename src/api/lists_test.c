/* What goes over the wire of lists in pages, quotas, and the audit log. */
#include "api/test_cloud.h"

#include <glib/gstdio.h>
#include <string.h>

#define GROUP  "S/resourceGroups/myResourceGroup"
#define GROUPS GROUP "/providers/Microsoft.Network/networkSecurityGroups"
#define N      7

static void put(struct test_cloud *cloud, const char *path, const char *body, unsigned status)
{
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "PUT", path, body, NULL);

	g_assert_cmpint(answer.status, ==, status);
}

static void put_security_group(struct test_cloud *cloud, const char *name)
{
	g_autofree char *path = g_strdup_printf(GROUPS "/%s", name);

	put(cloud, path, "{\"location\": \"centralus\", \"tags\": {\"its\": \"odd\"}}", 201);
}

static void remove_security_group(struct test_cloud *cloud, const char *name)
{
	g_autofree char *path = g_strdup_printf(GROUPS "/%s", name);
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "DELETE", path, NULL, NULL);

	g_assert_cmpint(answer.status, ==, 200);
}

static void make_groups(struct test_cloud *cloud)
{
	log_in_as_tester(cloud);
	put_recorded(cloud, "group");
	for (int i = 0; i < N; i++) {
		g_autofree char *name = g_strdup_printf("nsg%d", i);
		put_security_group(cloud, name);
	}
}

/* ---- pages ---- */

static const char *next_of(const struct answer *answer)
{
	return json_string_value(json_object_get(answer->json, "nextLink"));
}

/* Follows the links from a path to the end; the names that came, each with a space. A page has `most` elements. */
static char *follow(
	struct test_cloud *cloud, const char *path, const char *word, size_t most, unsigned *ret_pages)
{
	g_autofree char *at = g_strdup(path);
	g_autoptr(GString) names = g_string_new(NULL);

	for (*ret_pages = 0; at; (*ret_pages)++) {
		_cleanup_(answer_clear) struct answer page = ask(cloud, "GET", at, NULL, NULL);
		const json_t *list = json_object_get(page.json, word);
		size_t i;
		json_t *element;
		g_assert_cmpint(page.status, ==, 200);
		g_assert_cmpint(json_array_size(list), <=, most);
		json_array_foreach(list, i, element)
		{
			g_string_append_printf(
				names, "%s ", json_string_value(json_object_get(element, "name")));
		}
		g_free(at);
		at = g_strdup(next_of(&page));
	}
	return g_string_free(g_steal_pointer(&names), FALSE);
}

static void assert_followed(struct test_cloud *cloud, const char *path, const char *word, size_t most,
	unsigned pages, const char *expected)
{
	unsigned n;
	g_autofree char *names = follow(cloud, path, word, most, &n);

	if (expected)
		g_assert_cmpstr(names, ==, expected);
	g_assert_cmpint(n, ==, pages);
}

static void scenario_pages(struct test_cloud *cloud)
{
	make_groups(cloud);
	assert_followed(
		cloud, GROUPS "?api-version=1&$top=3", "value", 3, 3, "nsg0 nsg1 nsg2 nsg3 nsg4 nsg5 nsg6 ");
	assert_followed(cloud, GROUPS, "value", N, 1, "nsg0 nsg1 nsg2 nsg3 nsg4 nsg5 nsg6 ");
	assert_followed(
		cloud, "S/providers/Microsoft.Network/networkSecurityGroups?$top=2", "value", 2, 4, NULL);
	assert_followed(
		cloud, GROUP "/resources?$top=4", "value", 4, 2, "nsg0 nsg1 nsg2 nsg3 nsg4 nsg5 nsg6 ");
	/* A page that is full does not look whether resources of other types follow. */
	assert_followed(cloud, "S/resources?$top=1", "value", 1, N + 1, NULL);
	assert_followed(cloud, "S/resourceGroups?$top=1", "value", 1, 1, "myResourceGroup ");
	assert_followed(cloud, GROUPS "/nsg0/defaultSecurityRules?%24top=4", "value", 4, 2,
		"AllowAzureLoadBalancerInBound AllowInternetOutBound AllowVnetInBound AllowVnetOutBound "
		"DenyAllInBound DenyAllOutBound ");
	assert_followed(cloud, GROUPS "?$top=2&$filter=name%20eq%20%27NSG5%27", "value", 2, 1, "nsg5 ");
	assert_followed(
		cloud, GROUPS "?$filter=provisioningState%20eq%20%27succeeded%27", "value", N, 1, NULL);
	assert_followed(cloud, GROUPS "?$filter=provisioningState%20eq%20%27Failed%27", "value", 0, 1, "");
	assert_followed(
		cloud, "S/resources?$filter=provisioningState%20eq%20%27Failed%27", "value", 0, 1, "");
	assert_followed(
		cloud, "S/resourceGroups?$filter=provisioningState%20eq%20%27Failed%27", "value", 0, 1, "");
}

/* The list goes on behind the element that the page ended with, also when that is gone. */
static void scenario_changes(struct test_cloud *cloud)
{
	unsigned pages;

	make_groups(cloud);
	_cleanup_(answer_clear) struct answer first = ask(cloud, "GET", GROUPS "?$top=3", NULL, NULL);
	remove_security_group(cloud, "nsg2");
	remove_security_group(cloud, "nsg4");
	put_security_group(cloud, "early");
	put_security_group(cloud, "nsg3a");
	test_cloud_restart(cloud);
	g_autofree char *restarted = g_strdup(strstr(next_of(&first), "/subscriptions"));
	g_autofree char *rest = follow(cloud, restarted, "value", 3, &pages);
	g_assert_cmpstr(rest, ==, "nsg3 nsg3a nsg5 nsg6 ");
}

/* Whatever name the client has for the server, links have it. */
static void scenario_links(struct test_cloud *cloud)
{
	const char *port = strrchr(cloud->clients_url, ':');
	g_autofree char *link = g_strconcat("https://localhost", port, "/subscriptions/", NULL);

	make_groups(cloud);
	g_autofree char *host = g_strconcat("localhost", port, NULL);
	_cleanup_(answer_clear) struct answer page =
		ask(cloud, "GET", GROUPS "?$top=3&$skiptoken=&a=b%20c&$skipToken=", NULL, "Host", host, NULL);
	g_assert_cmpint(page.status, ==, 400);
	_cleanup_(answer_clear) struct answer good =
		ask(cloud, "GET", GROUPS "?$top=3&a=b%20c", NULL, "Host", host, NULL);
	g_assert_cmpint(good.status, ==, 200);
	if (!g_str_has_prefix(next_of(&good), link) ||
		!strstr(next_of(&good), "?$top=3&a=b%20c&%24skiptoken="))
		g_error("%s", next_of(&good));
}

static void assert_refused(struct test_cloud *cloud, const char *path)
{
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "GET", path, NULL, NULL);

	g_test_message("%s", path);
	g_assert_cmpint(answer.status, ==, 400);
}

static void scenario_mistakes(struct test_cloud *cloud)
{
	static const char *const wrong[] = {"$top=0", "$top=-1", "$top=many", "$skiptoken=bm9uc2Vuc2U",
		"$skiptoken=%2F%2F", "$filter=size%20eq%20%27x%27"};

	make_groups(cloud);
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_autofree char *path = g_strconcat(GROUPS "?", wrong[i], NULL);
		assert_refused(cloud, path);
	}
	assert_refused(cloud, GROUP "/providers/Microsoft.Resources/deployments?$filter=name%20eq%20%27x%27");
	assert_refused(cloud, "S/providers/Microsoft.Compute/skus?$filter=provisioningState%20eq%20%27x%27");
	assert_refused(cloud, GROUPS "/nsg1/securityRules?$filter=name%20eq%20%27x%27");
	/* More than a page has is as many as it has. */
	_cleanup_(answer_clear) struct answer many =
		ask(cloud, "GET", GROUPS "?$top=99999999999", NULL, NULL);
	g_assert_cmpint(json_array_size(json_object_get(many.json, "value")), ==, N);
}

static void scenario_operator(struct test_cloud *cloud)
{
	put_base(cloud);
	for (int i = 1; i < 4; i++) {
		g_autofree char *path = g_strdup_printf("/sluice/v1/physical-networks/net%d", i);
		put(cloud, path, "{\"vlans\": \"100-199\"}", 201);
	}
	assert_followed(cloud, "/sluice/v1/physical-networks?$top=1", "physicalNetworks", 1, 3, NULL);
	assert_followed(cloud, "/sluice/v1/networks?$top=1", "networks", 1, 1, "myVnet ");
	assert_followed(cloud, "/sluice/v1/hosts?$top=1", "hosts", 1, 1, "host1 ");
	_cleanup_(answer_clear) struct answer nobody =
		ask(cloud, "GET", "/sluice/v1/virtual-machines?host=nobody", NULL, NULL);
	g_assert_cmpint(nobody.status, ==, 404);
	_cleanup_(answer_clear) struct answer networks = ask(cloud, "GET", "/sluice/v1/networks", NULL, NULL);
	json_auto_t *expected = json_pack("{s:[{s:[s], s:i}]}", "networks", "nics", "myNic", "nicCount", 1);
	fixture_assert_covers(expected, networks.json);
}

/* ---- quotas ---- */

static void assert_usage(
	struct test_cloud *cloud, const char *provider, const char *name, int used, json_int_t limit)
{
	g_autofree char *path =
		g_strdup_printf("S/providers/Microsoft.%s/locations/centralus/usages", provider);
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "GET", path, NULL, NULL);
	json_t *usage;
	size_t i;

	g_assert_cmpint(answer.status, ==, 200);
	json_array_foreach(json_object_get(answer.json, "value"), i, usage)
	{
		const json_t *its = json_object_get(json_object_get(usage, "name"), "value");
		if (!g_str_equal(json_string_value(its), name))
			continue;
		g_assert_cmpint(json_integer_value(json_object_get(usage, "currentValue")), ==, used);
		g_assert_cmpint(json_integer_value(json_object_get(usage, "limit")), ==, limit);
		return;
	}
	g_error("no usage %s", name);
}

static void scenario_quotas(struct test_cloud *cloud)
{
	static const char body[] = "{\"location\": \"centralus\"}";

	put_base(cloud);
	assert_usage(cloud, "Network", "PublicIPAddresses", 1, 2147483647);
	put(cloud, "/sluice/v1/quotas", "{\"public-addresses\": 1, \"cores\": 4}", 200);
	assert_usage(cloud, "Network", "PublicIPAddresses", 1, 1);
	assert_usage(cloud, "Network", "AcceleratedNetworkInterfaces", 1, 2147483647);
	_cleanup_(answer_clear) struct answer refused =
		ask(cloud, "PUT", GROUP "/providers/Microsoft.Network/publicIPAddresses/second", body, NULL);
	g_assert_cmpint(refused.status, ==, 409);
	g_assert_cmpstr(answer_code(&refused), ==, "QuotaExceeded");
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 409);
	put(cloud, "/sluice/v1/quotas", "{\"cores\": 8}", 200);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	assert_usage(cloud, "Compute", "cores", 8, 8);
	assert_usage(cloud, "Compute", "virtualMachines", 1, 2147483647);
	put(cloud, "/sluice/v1/quotas", "{\"cores\": null}", 200);
	assert_usage(cloud, "Compute", "cores", 8, 2147483647);
	put(cloud, "/sluice/v1/quotas", "{\"bananas\": 1}", 400);
	put(cloud, "/sluice/v1/quotas", "{\"cores\": -1}", 400);
	put(cloud, "/sluice/v1/quotas", "{}", 400);
}

/* ---- the audit log ---- */

static void assert_recorded(struct test_cloud *cloud, const char *query, json_t *expected)
{
	json_auto_t *own = expected;
	g_autofree char *path = g_strconcat("/sluice/v1/audit?$top=1&", query, NULL);
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "GET", path, NULL, NULL);

	g_assert_cmpint(answer.status, ==, 200);
	fixture_assert_covers(own, json_array_get(json_object_get(answer.json, "records"), 0));
}

/* All of the log as it lies on the disk. */
static char *read_log(struct test_cloud *cloud)
{
	g_autofree char *path = g_build_filename(cloud->fixture.dir, "audit", "0000000000000001.jsonl", NULL),
			*text = NULL;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	return g_steal_pointer(&text);
}

static void scenario_audit(struct test_cloud *cloud)
{
	static const char body[] = "{\"location\": \"nowhere\", \"properties\": {\"secret\": \"hunter2\"}}";

	put_base(cloud);
	assert_recorded(cloud, "what=virtualNetworks/myVnet",
		json_pack("{s:s, s:s, s:i}", "who", "tester", "result", "done", "status", 201));
	_cleanup_(answer_clear) struct answer refused =
		ask(cloud, "PUT", GROUPS "/x?sig=hunter2", body, "x-ms-client-request-id", "mine", NULL);
	g_assert_cmpint(refused.status, ==, 400);
	assert_recorded(cloud, "id=mine",
		json_pack("{s:s, s:i, s:s, s:s}", "result", "refused", "status", 400, "code",
			"LocationNotAvailableForResourceType", "request",
			answer_header(&refused, "x-ms-request-id")));
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	assert_recorded(cloud, "result=accepted&what=myVM", json_pack("{s:s}", "who", "tester"));
	assert_recorded(cloud, "result=succeeded",
		json_pack("{s:s, s:s}", "who", "tester", "what", "put virtual machine myVM"));
	g_autofree char *token = g_steal_pointer(&cloud->token), *log = NULL;
	_cleanup_(answer_clear) struct answer stranger = ask(cloud, "DELETE", GROUP, NULL, NULL);
	cloud->token = g_steal_pointer(&token);
	g_assert_cmpint(stranger.status, ==, 401);
	assert_recorded(cloud, "result=refused&what=DELETE",
		json_pack("{s:i, s:s}", "status", 401, "code", "AuthenticationFailed"));
	log = read_log(cloud);
	g_assert_null(strstr(log, "hunter2"));
	g_assert_null(strstr(log, cloud->fixture.secret));
	g_assert_null(strstr(log, "GET "));
	g_assert_null(strstr(log, "/adfs/"));
	test_cloud_restart(cloud);
	assert_recorded(cloud, "id=mine", json_pack("{s:s}", "result", "refused"));
	_cleanup_(answer_clear) struct answer wrong =
		ask(cloud, "GET", "/sluice/v1/audit?result=good", NULL, NULL);
	g_assert_cmpint(wrong.status, ==, 400);
}

/* The records of one id, as "RESULT WHAT\n", the oldest first. Owned. */
static char *trail(struct test_cloud *cloud, const char *id)
{
	g_autofree char *path = g_strdup_printf("/sluice/v1/audit?$top=100&id=%s", id);
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "GET", path, NULL, NULL);
	const json_t *records = json_object_get(answer.json, "records");
	g_autoptr(GString) text = g_string_new(NULL);

	g_assert_cmpint(answer.status, ==, 200);
	for (size_t i = json_array_size(records); i-- > 0;) {
		const json_t *record = json_array_get(records, i);
		g_assert_cmpstr(json_string_value(json_object_get(record, "who")), ==, "tester");
		g_string_append_printf(text, "%s %s\n", json_string_value(json_object_get(record, "result")),
			json_string_value(json_object_get(record, "what")));
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static void assert_on_trail(const char *trail, const char *words)
{
	if (!strstr(trail, words))
		g_error("'%s' is not in:\n%s", words, trail);
}

static guint count_on_trail(const char *trail, const char *words)
{
	g_auto(GStrv) parts = g_strsplit(trail, words, -1);

	return g_strv_length(parts) - 1;
}

#define MINE GROUP "/providers/Microsoft.Resources/deployments/mine"

/* A deployment with a resource that is its own. */
static const char makes_group[] =
	"{\"properties\": {\"mode\": \"Incremental\", \"template\": {\"resources\": [{\"type\": "
	"\"Microsoft.Network/networkSecurityGroups\", \"name\": \"made\", \"location\": \"centralus\"}]}}}";

/* Before there is any machine no host must learn of a change, which is done at once: nothing waits for an end that never
 * comes. */
static void scenario_trail_at_once(struct test_cloud *cloud)
{
	static const char empty[] =
		"{\"properties\": {\"mode\": \"Complete\", \"template\": {\"resources\": []}}}";

	put_base(cloud);
	_cleanup_(answer_clear) struct answer put = ask(cloud, "PUT", MINE, makes_group, NULL);
	g_autofree char *end = finish(cloud, &put, NULL);
	g_assert_cmpstr(end, ==, "Succeeded");
	g_autofree char *made = trail(cloud, answer_header(&put, "x-ms-request-id"));
	assert_on_trail(made, "\ndone PUT /subscriptions/");
	assert_on_trail(made, "networkSecurityGroups/made\n");
	g_assert_cmpuint(count_on_trail(made, "accepted "), ==, 1); /* the deployment's own */
	_cleanup_(answer_clear) struct answer sweep = ask(cloud, "PUT", MINE, empty, NULL);
	g_autofree char *swept = finish(cloud, &sweep, NULL);
	g_assert_cmpstr(swept, ==, "Succeeded");
	g_autofree char *gone = trail(cloud, answer_header(&sweep, "x-ms-request-id"));
	assert_on_trail(gone, "\ndone DELETE /subscriptions/");
	g_assert_cmpuint(count_on_trail(gone, "accepted "), ==, 1);
	g_assert_cmpuint(count_on_trail(gone, "succeeded "), ==, 1);
}

/* One id leads from a request to all that it has done: az vm create sends a deployment and nothing else. */
static void scenario_trail(struct test_cloud *cloud)
{
	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	_cleanup_(answer_clear) struct answer put = ask(cloud, "PUT", MINE, makes_group, NULL);
	g_autofree char *end = finish(cloud, &put, NULL);
	g_assert_cmpstr(end, ==, "Succeeded");
	g_autofree char *deployed = trail(cloud, answer_header(&put, "x-ms-request-id"));
	assert_on_trail(deployed, "accepted PUT /subscriptions/");
	assert_on_trail(deployed, "networkSecurityGroups/made\n");
	assert_on_trail(deployed, "succeeded put deployment mine\n");
	_cleanup_(answer_clear) struct answer tags = ask(cloud, "PUT",
		GROUP "/providers/Microsoft.Compute/virtualMachines/myVM/providers/Microsoft.Resources/tags/"
		      "default",
		"{\"properties\": {\"tags\": {\"a\": \"1\"}}}", NULL);
	g_autofree char *tagged = trail(cloud, answer_header(&tags, "x-ms-request-id"));
	assert_on_trail(tagged, "tags/default\n");
	assert_on_trail(tagged, "succeeded put virtual machine myVM\n");
	_cleanup_(answer_clear) struct answer gone = ask(cloud, "DELETE", GROUP, NULL, NULL);
	g_autofree char *over = finish(cloud, &gone, NULL), *deleted = NULL;
	g_assert_cmpstr(over, ==, "Succeeded");
	deleted = trail(cloud, answer_header(&gone, "x-ms-request-id"));
	assert_on_trail(deleted, "accepted DELETE /subscriptions/");
	assert_on_trail(deleted, "succeeded delete virtual machine myVM\n");
	assert_on_trail(deleted, "succeeded delete network security group made\n");
	assert_on_trail(deleted, "succeeded delete resource group myResourceGroup\n");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST_CLOUD_ADD("/lists/every list comes in pages, in order and whole", scenario_pages);
	TEST_CLOUD_ADD(
		"/lists/what comes and goes between two pages costs no other element", scenario_changes);
	TEST_CLOUD_ADD("/lists/links have the name by which the client reached the server", scenario_links);
	TEST_CLOUD_ADD("/lists/what no list has given is refused", scenario_mistakes);
	TEST_CLOUD_ADD("/lists/operators' lists come in pages, too", scenario_operator);
	TEST_CLOUD_ADD("/lists/quotas are set, shown and held", scenario_quotas);
	TEST_CLOUD_ADD(
		"/lists/each change is on record, also a refused one, and no secret is", scenario_audit);
	TEST_CLOUD_ADD("/lists/one id leads from a request to all that follows from it", scenario_trail);
	TEST_CLOUD_ADD("/lists/what a deployment does at once is on record as done", scenario_trail_at_once);
	return g_test_run();
}
