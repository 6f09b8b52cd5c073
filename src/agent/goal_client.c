/* Goals and reports over HTTPS. */
#include "agent/goal_client.h"

#include "base/fault.h"
#include "base/log.h"

#include <gio/gio.h>
#include <libsoup/soup.h>

#define POLL_TIMEOUT_S 60 /* the controller answers within 25 s */
#define POLL_PAUSE_MS  20 /* spares a controller that answers at once */
#define RETRY_FIRST_MS 250
#define TOUCH_DELAY_MS 50
#define GOAL_PATH      "/agent/v1/goal"
#define REPORT_PATH    "/agent/v1/report"
#define CONSOLE_PATH   "/agent/v1/console/"

struct goal_client {
	struct goal_client_config config; /* callbacks and times; its texts are not used after creation */
	char *url;
	SoupSession *session; /* Owned */
	GTlsCertificate *certificate; /* Owned */
	GCancellable *cancellable; /* Owned; cancelled by free */
	int64_t version; /* of the newest goal; -1: none */
	char *host; /* Owned: that goal's; NULL: none */
	unsigned poll_failures, report_failures;
	guint poll_timer, report_timer;
	bool reporting; /* a PUT is under way */
	bool touched; /* another one is due after it */
	bool warned; /* the present outage is in the log */
	bool answered; /* at least once */
};

/* What a callback of libsoup needs; `client` is dead once the cancellable is cancelled. */
struct request {
	struct goal_client *client; /* Borrowed */
	SoupMessage *message; /* Ref */
	GCancellable *cancellable; /* Ref */
};

static gboolean poll_goal(void *data);
static gboolean send_report(void *data);

/* ---- requests ---- */

static struct request *request_new(struct goal_client *client, const char *method, const char *path)
{
	g_autofree char *uri = g_strconcat(client->url, path, NULL);
	struct request *request = g_new0(struct request, 1);

	request->client = client;
	request->cancellable = g_object_ref(client->cancellable);
	request->message = soup_message_new(method, uri);
	soup_message_set_tls_client_certificate(request->message, client->certificate);
	soup_message_headers_append(soup_message_get_request_headers(request->message), "Sluice-Protocol",
		G_STRINGIFY(GOAL_PROTOCOL));
	return request;
}

static void request_free(struct request *request)
{
	g_object_unref(request->message);
	g_object_unref(request->cancellable);
	g_free(request);
}
CLEANUP_FUNC(struct request *, request_free)

/* Why the controller refuses, in its words. Owned; NULL when it gives none. */
static char *refusal(GBytes *body)
{
	size_t length;
	const char *text = g_bytes_get_data(body, &length);
	json_auto_t *json = text ? json_loadb(text, length, 0, NULL) : NULL;

	return g_strdup(json_string_value(json_object_get(json, "message")));
}

/* Whether an answer that has come is one of our protocol; its status is the caller's matter. */
static bool check_answer(struct request *request, GBytes *body, GError **error)
{
	SoupMessageHeaders *headers = soup_message_get_response_headers(request->message);
	const char *protocol = soup_message_headers_get_one(headers, "Sluice-Protocol");
	guint status = soup_message_get_status(request->message);

	g_autofree char *why = status >= 400 ? refusal(body) : NULL;

	if (status >= 400)
		return fault_set(error, status == 401 || status == 403 ? FAULT_DENIED : FAULT_UNAVAILABLE,
			"the controller answered %u %s%s%s", status,
			soup_message_get_reason_phrase(request->message), why ? ": " : "", why ? why : "");
	if (g_strcmp0(protocol, G_STRINGIFY(GOAL_PROTOCOL)) != 0)
		return fault_set(error, FAULT_UNSUPPORTED,
			"the controller speaks agent protocol %s, this agent %d; run programs of one version",
			protocol ? protocol : "unknown", GOAL_PROTOCOL);
	return true;
}

static unsigned backoff_ms(const struct goal_client *client, unsigned failures)
{
	unsigned ms = RETRY_FIRST_MS << MIN(failures, 10);

	ms = MIN(ms, client->config.retry_max_ms);
	return ms - (unsigned)g_random_int_range(0, (int)(ms / 4) + 1);
}

/* One line when the controller goes, one when it is back. */
static void note(struct goal_client *client, const GError *error)
{
	if (error && !client->warned)
		log_warn("controller", "%s; %s", error->message,
			client->version < 0 ? "there is no goal yet" : "working on with the goal at hand");
	if (!error && client->warned)
		log_info("controller", "it answers again");
	client->warned = error != NULL;
	client->answered |= !error;
}

/* ---- goals ---- */

static void remember(struct goal_client *client, const struct goal *goal)
{
	g_free(client->host);
	client->host = g_strdup(goal->host);
	client->version = goal->version;
}

static void take_goal(struct goal_client *client, GBytes *body, GError **error)
{
	size_t length;
	const char *text = g_bytes_get_data(body, &length);
	json_error_t parse_error;
	json_auto_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &parse_error);
	g_autoptr(GError) cause = NULL;

	if (!json) {
		fault_set(error, FAULT_INVALID, "the controller's goal is no JSON: %s", parse_error.text);
		return;
	}
	_cleanup_(goal_free) struct goal *goal = shape_decode(&goal_shape, json, SHAPE_LENIENT, &cause);
	if (!goal) {
		fault_set(error, FAULT_INVALID, "the controller's goal is malformed: %s", cause->message);
		return;
	}
	if (goal->version == client->version && g_strcmp0(goal->host, client->host) == 0)
		return;
	remember(client, goal);
	client->config.goal(g_steal_pointer(&goal), client->config.data);
}

/* After the goal that came with them, which may be the first to have those VMs. */
static void take_wishes(struct request *request)
{
	struct goal_client *client = request->client;
	SoupMessageHeaders *headers = soup_message_get_response_headers(request->message);
	const char *wanted = soup_message_headers_get_one(headers, "Sluice-Consoles");
	g_auto(GStrv) vms = g_strsplit(wanted ? wanted : "", ",", -1);

	for (char **vm = vms; client->config.console && *vm; vm++)
		client->config.console(*vm, client->config.data);
}

static void on_goal(GObject *source, GAsyncResult *result, void *data)
{
	_cleanup_(request_free) struct request *request = data;
	struct goal_client *client = request->client;
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) body = soup_session_send_and_read_finish(SOUP_SESSION(source), result, &error);

	if (g_cancellable_is_cancelled(request->cancellable))
		return;
	if (body && check_answer(request, body, &error)) {
		if (soup_message_get_status(request->message) == 200)
			take_goal(client, body, &error);
		take_wishes(request);
	}
	note(client, error);
	client->poll_failures = error ? client->poll_failures + 1 : 0;
	client->poll_timer = g_timeout_add(
		error ? backoff_ms(client, client->poll_failures - 1) : POLL_PAUSE_MS, poll_goal, client);
}

static gboolean poll_goal(void *data)
{
	struct goal_client *client = data;
	g_autofree char *host = client->host ? g_uri_escape_string(client->host, NULL, false) : NULL;
	g_autofree char *path = g_strdup_printf(GOAL_PATH "?after=%" G_GINT64_FORMAT "%s%s", client->version,
		host ? "&host=" : "", host ? host : "");
	struct request *request = request_new(client, "GET", path);

	client->poll_timer = 0;
	soup_session_send_and_read_async(
		client->session, request->message, G_PRIORITY_DEFAULT, client->cancellable, on_goal, request);
	return G_SOURCE_REMOVE;
}

/* ---- reports ---- */

static void schedule_report(struct goal_client *client, unsigned ms)
{
	g_clear_handle_id(&client->report_timer, g_source_remove);
	client->report_timer = g_timeout_add(ms, send_report, client);
}

static void on_report(GObject *source, GAsyncResult *result, void *data)
{
	_cleanup_(request_free) struct request *request = data;
	struct goal_client *client = request->client;
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) body = soup_session_send_and_read_finish(SOUP_SESSION(source), result, &error);

	if (g_cancellable_is_cancelled(request->cancellable))
		return;
	client->reporting = false;
	if (body)
		check_answer(request, body, &error);
	note(client, error);
	client->report_failures = error ? client->report_failures + 1 : 0;
	if (error)
		schedule_report(client, backoff_ms(client, client->report_failures - 1));
	else
		schedule_report(client, client->touched ? TOUCH_DELAY_MS : client->config.report_ms);
}

static gboolean send_report(void *data)
{
	struct goal_client *client = data;
	_cleanup_(report_free) struct report *report = client->config.report(client->config.data);
	json_auto_t *json = shape_encode(&report_shape, report);
	char *text = json_dumps(json, JSON_COMPACT);
	g_autoptr(GBytes) body = g_bytes_new_with_free_func(text, strlen(text), free, text);
	struct request *request = request_new(client, "PUT", REPORT_PATH);

	client->report_timer = 0;
	client->reporting = true;
	client->touched = false;
	soup_message_set_request_body_from_bytes(request->message, "application/json", body);
	soup_session_send_and_read_async(client->session, request->message, G_PRIORITY_DEFAULT,
		client->cancellable, on_report, request);
	return G_SOURCE_REMOVE;
}

void goal_client_touch(struct goal_client *client)
{
	if (client->touched)
		return;
	client->touched = true;
	if (!client->reporting && client->report_failures == 0)
		schedule_report(client, TOUCH_DELAY_MS);
}

/* ---- console logs ---- */

static void on_brought(GObject *source, GAsyncResult *result, void *data)
{
	_cleanup_(request_free) struct request *request = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) body = soup_session_send_and_read_finish(SOUP_SESSION(source), result, &error);

	if (g_cancellable_is_cancelled(request->cancellable))
		return;
	if (body)
		check_answer(request, body, &error);
	if (error)
		log_debug("controller", "a console log was not taken: %s", error->message);
}

void goal_client_bring_console(struct goal_client *client, const char *vm, GBytes *log)
{
	g_autofree char *name = g_uri_escape_string(vm, NULL, false);
	g_autofree char *path = g_strconcat(CONSOLE_PATH, name, NULL);
	struct request *request = request_new(client, "PUT", path);

	soup_message_set_request_body_from_bytes(request->message, "application/octet-stream", log);
	soup_session_send_and_read_async(client->session, request->message, G_PRIORITY_DEFAULT,
		client->cancellable, on_brought, request);
}

bool goal_client_is_connected(const struct goal_client *client)
{
	return client->answered && !client->warned && client->poll_failures == 0 &&
	       client->report_failures == 0;
}

/* ---- life ---- */

static bool load_identity(struct goal_client *client, const struct goal_client_config *config, GError **error)
{
	g_autoptr(GError) cause = NULL;

	client->certificate = g_tls_certificate_new_from_files(config->certificate, config->key, &cause);
	if (!client->certificate)
		return fault_set(error, FAULT_INVALID, "cannot use the host's certificate %s with key %s: %s",
			config->certificate, config->key, cause->message);
	g_autoptr(GTlsDatabase) database = g_tls_file_database_new(config->ca, &cause);
	if (!database)
		return fault_set(
			error, FAULT_INVALID, "cannot use the CA file %s: %s", config->ca, cause->message);
	client->session = soup_session_new_with_options("tls-database", database, "timeout", POLL_TIMEOUT_S,
		"user-agent", "sluice-agent", "max-conns-per-host", 4, NULL);
	return true;
}

struct goal_client *goal_client_new(
	const struct goal_client_config *config, const struct goal *goal, GError **error)
{
	_cleanup_(goal_client_free) struct goal_client *client = NULL;

	if (!g_str_has_prefix(config->url, "https://")) {
		fault_set(error, FAULT_INVALID, "the controller's URL '%s' must begin with https://",
			config->url);
		return NULL;
	}
	client = g_new0(struct goal_client, 1);
	client->config = *config;
	client->url = g_str_has_suffix(config->url, "/") ? g_strndup(config->url, strlen(config->url) - 1)
							 : g_strdup(config->url);
	client->cancellable = g_cancellable_new();
	client->version = -1;
	if (goal)
		remember(client, goal);
	if (!load_identity(client, config, error))
		return NULL;
	client->poll_timer = g_timeout_add(0, poll_goal, client);
	schedule_report(client, TOUCH_DELAY_MS);
	return g_steal_pointer(&client);
}

void goal_client_free(struct goal_client *client)
{
	if (!client)
		return;
	g_clear_handle_id(&client->poll_timer, g_source_remove);
	g_clear_handle_id(&client->report_timer, g_source_remove);
	g_cancellable_cancel(client->cancellable);
	if (client->session)
		soup_session_abort(client->session);
	g_clear_object(&client->session);
	g_clear_object(&client->certificate);
	g_object_unref(client->cancellable);
	g_free(client->host);
	g_free(client->url);
	g_free(client);
}
