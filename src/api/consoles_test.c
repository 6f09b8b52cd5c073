/* Boot diagnostics over the wire: URLs that are signed, and the log behind them. */
#include "api/test_cloud.h"

#include <string.h>

#define GROUP    "S/resourceGroups/myResourceGroup/providers/Microsoft."
#define VM       GROUP "Compute/virtualMachines/myVM"
#define RETRIEVE VM "/retrieveBootDiagnosticsData"

/* Reads the VM and PUTs it back with other diagnostics, as az does. */
static struct answer put_diagnostics(struct test_cloud *cloud, json_t *boot)
{
	_cleanup_(answer_clear) struct answer now = ask(cloud, "GET", VM, NULL, NULL);
	json_t *properties = json_object_get(now.json, "properties");

	json_object_set_new(properties, "diagnosticsProfile", json_pack("{s:o}", "bootDiagnostics", boot));
	g_autofree char *body = json_dumps(now.json, JSON_COMPACT);
	struct answer answer = ask(cloud, "PUT", VM, body, NULL);
	if (answer.status < 300 && answer_header(&answer, "Azure-AsyncOperation"))
		g_free(finish(cloud, &answer, NULL));
	return answer;
}

static void enable(struct test_cloud *cloud, bool enabled)
{
	_cleanup_(answer_clear) struct answer answer =
		put_diagnostics(cloud, json_pack("{s:b, s:n}", "enabled", (int)enabled, "storageUri"));

	g_assert_cmpint(answer.status, ==, 200);
}

/* Owned. */
static char *retrieve(struct test_cloud *cloud)
{
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "POST", RETRIEVE, NULL, NULL);

	g_assert_cmpint(answer.status, ==, 200);
	return g_strdup(answer_text(&answer, "serialConsoleLogBlobUri"));
}

/* As a client without a token; the status. ret_text may be NULL. */
static unsigned fetch(struct test_cloud *cloud, const char *url, char **ret_text)
{
	g_autoptr(SoupMessage) message = soup_message_new("GET", url);
	g_autoptr(GBytes) body = soup_session_send_and_read(cloud->session, message, NULL, NULL);

	g_assert_nonnull(body);
	if (ret_text)
		*ret_text = g_strndup(g_bytes_get_data(body, NULL), g_bytes_get_size(body));
	return soup_message_get_status(message);
}

static void scenario_log(struct test_cloud *cloud)
{
	g_autofree char *text = NULL;

	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	_cleanup_(answer_clear) struct answer off = ask(cloud, "POST", RETRIEVE, NULL, NULL);
	g_assert_cmpint(off.status, ==, 409);
	g_assert_cmpstr(answer_code(&off), ==, "OperationNotAllowed");
	enable(cloud, true);
	g_autofree char *url = retrieve(cloud);
	g_assert_true(g_str_has_prefix(url, cloud->clients_url));
	g_assert_cmpint(fetch(cloud, url, &text), ==, 200);
	g_assert_cmpstr(text, ==, "[    0.000000] Linux\nlogin: ");
	/* A put that says nothing of it leaves it on. */
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 200);
	g_assert_cmpint(fetch(cloud, url, NULL), ==, 200);
	enable(cloud, false);
	g_assert_cmpint(fetch(cloud, url, NULL), ==, 409);
}

static void scenario_signature(struct test_cloud *cloud)
{
	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	enable(cloud, true);
	g_autofree char *url = retrieve(cloud), *bare = g_strndup(url, strcspn(url, "?"));
	g_autofree char *other = g_strconcat(cloud->clients_url,
		"/boot-diagnostics/00000000-0000-4000-8000-000000000000/serialconsole.log", strchr(url, '?'),
		NULL);
	g_autofree char *login = g_strconcat(bare, "?sig=", cloud->token, NULL);

	g_assert_cmpint(fetch(cloud, bare, NULL), ==, 401);
	g_assert_cmpint(fetch(cloud, other, NULL), ==, 403);
	g_assert_cmpint(fetch(cloud, login, NULL), ==, 401);
	g_free(cloud->token);
	cloud->token = g_strdup(strstr(url, "sig=") + strlen("sig="));
	_cleanup_(answer_clear) struct answer as_login = ask(cloud, "GET", VM, NULL, NULL);
	g_assert_cmpint(as_login.status, ==, 401);
}

static void scenario_refused(struct test_cloud *cloud)
{
	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	_cleanup_(answer_clear) struct answer storage = put_diagnostics(
		cloud, json_pack("{s:b, s:s}", "enabled", 1, "storageUri", "https://x.blob/"));
	g_assert_cmpint(storage.status, ==, 400);
	g_assert_cmpstr(answer_code(&storage), ==, "NotSupported");
	enable(cloud, true);
	_cleanup_(answer_clear) struct answer long_lived =
		ask(cloud, "POST", RETRIEVE "?sasUriExpirationTimeInMinutes=2000", NULL, NULL);
	_cleanup_(answer_clear) struct answer nic = ask(cloud, "POST",
		GROUP "Network/networkInterfaces/myNic/retrieveBootDiagnosticsData", NULL, NULL);
	_cleanup_(answer_clear) struct answer none = ask(
		cloud, "POST", GROUP "Compute/virtualMachines/none/retrieveBootDiagnosticsData", NULL, NULL);
	g_assert_cmpint(long_lived.status, ==, 400);
	g_assert_cmpint(nic.status, ==, 400);
	g_assert_cmpint(none.status, ==, 404);
}

#define ADD(name, fn) TEST_CLOUD_ADD("/boot-diagnostics/" name, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("a machine's console log is read while they are enabled", scenario_log);
	ADD("a URL is good for one machine, and no login", scenario_signature);
	ADD("storage accounts, long lives and other resources are refused", scenario_refused);
	return g_test_run();
}
