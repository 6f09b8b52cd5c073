/* The metadata service: its document, its rules, and who sees what. */
#include "agent/metadata.h"

#include "agent/metadata_document.h"
#include "agent/test_world.h"

#include <gio/gio.h>
#include <libsoup/soup.h>
#include <string.h>

#define V "?api-version=2021-08-01"

/* A service on loopback; guests are 127.0.0.4 and 127.0.0.5. */
struct fixture {
	struct goal *goal;
	struct metadata *metadata;
};

static const struct goal *goal_of(void *data)
{
	return ((struct fixture *)data)->goal;
}

static void set_host_address(struct goal *goal, guint i, const char *address)
{
	struct goal_nic *nic = goal->nics->pdata[i];

	g_free(nic->host_address);
	nic->host_address = g_strdup(address);
}

static void setup(struct fixture *f, gconstpointer data)
{
	const struct metadata_config config = {.address = "127.0.0.1", .goal = goal_of, .data = f};
	g_autoptr(GError) error = NULL;

	f->goal = world_goal(1, true);
	world_add_vm(f->goal);
	set_host_address(f->goal, 0, "127.0.0.4");
	set_host_address(f->goal, 1, "127.0.0.5");
	f->metadata = metadata_serve(&config, &error);
	g_assert_no_error(error);
}

static void teardown(struct fixture *f, gconstpointer data)
{
	metadata_free(f->metadata);
	if (f->goal)
		goal_free(f->goal);
}

/* ---- a guest ---- */

struct answer {
	guint status;
	char *body; /* Owned */
	char *type; /* Owned */
};

static void answer_clear(struct answer *answer)
{
	g_free(answer->body);
	g_free(answer->type);
}
CLEANUP_CLEAR_FUNC(struct answer, answer_clear)

struct waiting {
	GBytes *body;
	GError *error;
	bool done;
};

static void on_answer(GObject *source, GAsyncResult *result, void *data)
{
	struct waiting *waiting = data;

	waiting->body = soup_session_send_and_read_finish(SOUP_SESSION(source), result, &waiting->error);
	waiting->done = true;
}

/* What a guest with this address gets. `headers`: names and values, NULL-terminated. */
static struct answer ask(
	struct fixture *f, const char *from, const char *method, const char *path, const char *const *headers)
{
	g_autoptr(GSocketAddress) local = g_inet_socket_address_new_from_string(from, 0);
	g_autoptr(SoupSession) session = soup_session_new_with_options("local-address", local, NULL);
	g_autofree char *uri = g_strdup_printf("http://127.0.0.1:%u%s", metadata_port(f->metadata), path);
	g_autoptr(SoupMessage) message = soup_message_new(method, uri);
	struct waiting waiting = {};
	gsize length;

	for (; headers && *headers; headers += 2)
		soup_message_headers_append(
			soup_message_get_request_headers(message), headers[0], headers[1]);
	soup_session_send_and_read_async(session, message, G_PRIORITY_DEFAULT, NULL, on_answer, &waiting);
	while (!waiting.done)
		g_main_context_iteration(NULL, true);
	g_assert_no_error(waiting.error);
	const char *body = g_bytes_get_data(waiting.body, &length);
	struct answer answer = {soup_message_get_status(message), g_strndup(body ? body : "", length),
		g_strdup(soup_message_headers_get_content_type(
			soup_message_get_response_headers(message), NULL))};
	g_bytes_unref(waiting.body);
	return answer;
}

static const char *const asks_well[] = {"Metadata", "true", NULL};

static void assert_text(struct fixture *f, const char *from, const char *path, const char *wanted)
{
	g_autofree char *full = g_strdup_printf("/metadata/instance%s" V "&format=text", path);
	_cleanup_(answer_clear) struct answer answer = ask(f, from, "GET", full, asks_well);

	g_assert_cmpuint(answer.status, ==, 200);
	g_assert_cmpstr(answer.type, ==, "text/plain");
	g_assert_cmpstr(answer.body, ==, wanted);
}

static void assert_status(
	struct fixture *f, const char *from, const char *path, const char *const *headers, guint status)
{
	_cleanup_(answer_clear) struct answer answer = ask(f, from, "GET", path, headers);

	g_assert_cmpuint(answer.status, ==, status);
	if (status != 200) {
		json_auto_t *json = json_loads(answer.body, 0, NULL);
		g_assert_true(json_is_string(json_object_get(json, "error")));
	}
}

/* ---- tests ---- */

static void test_document(struct fixture *f, gconstpointer data)
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

static void test_parts(struct fixture *f, gconstpointer data)
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

static void test_identity(struct fixture *f, gconstpointer data)
{
	assert_text(f, "127.0.0.4", "/compute/name", "myvm");
	assert_text(f, "127.0.0.5", "/compute/name", "other");
	assert_status(f, "127.0.0.6", "/metadata/instance" V, asks_well, 404);
	goal_free(g_steal_pointer(&f->goal));
	assert_status(f, "127.0.0.4", "/metadata/instance" V, asks_well, 404);
}

static void test_rules(struct fixture *f, gconstpointer data)
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
}

static void test_primary_first(struct fixture *f, gconstpointer data)
{
	struct goal_nic *second = f->goal->nics->pdata[1];

	g_free(second->vm);
	second->vm = g_strdup(WORLD_VM);
	world_nic(f->goal)->primary = false;
	assert_text(f, "127.0.0.4", "/network/interface/0/macAddress", "000D3A000005");
	assert_text(f, "127.0.0.4", "/network/interface/1/macAddress", "000D3A000004");
}

static void add(const char *name, void (*fn)(struct fixture *, gconstpointer))
{
	g_test_add(name, struct fixture, NULL, setup, fn, teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/metadata/the whole document has Azure's shape", test_document);
	add("/metadata/paths lead to parts, as JSON or as text", test_parts);
	add("/metadata/a guest sees its own VM and nobody else's", test_identity);
	add("/metadata/header, version and method are demanded, forwarded requests refused", test_rules);
	add("/metadata/the primary NIC comes first", test_primary_first);
	return g_test_run();
}
