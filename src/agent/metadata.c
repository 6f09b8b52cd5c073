/* The metadata service on libsoup. */
#include "agent/metadata_document.h"
#include "agent/metadata_priv.h"
#include "base/fault.h"
#include "nic/netns.h"

#include <gio/gio.h>
#include <string.h>

#define INSTANCE_PATH "/metadata/instance"
#define NEWEST        "2021-08-01"
#define BODY_MAX      65536

/* Those that clients are known to ask for; the answer is the same for all. */
static const char *const api_versions[] = {"2017-04-02", "2017-08-01", "2017-12-01", "2018-02-01",
	"2018-04-02", "2018-10-01", "2019-02-01", "2019-03-11", "2019-04-30", "2019-06-01", "2019-06-04",
	"2019-08-01", "2019-08-15", "2019-11-01", "2020-06-01", "2020-07-15", "2020-09-01", "2020-10-01",
	"2020-12-01", "2021-01-01", "2021-02-01", "2021-03-01", "2021-05-01", NEWEST, NULL};

/* ---- answers ---- */

void metadata_answer(SoupServerMessage *message, guint status, const char *type, const char *body)
{
	soup_server_message_set_status(message, status, NULL);
	soup_server_message_set_response(message, type, SOUP_MEMORY_COPY, body, strlen(body));
}

void metadata_answer_json(SoupServerMessage *message, guint status, const json_t *json)
{
	char *body = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);

	metadata_answer(message, status, "application/json; charset=utf-8", body);
	free(body);
}

void metadata_refuse(SoupServerMessage *message, guint status, const char *sentence)
{
	json_auto_t *json = json_pack("{s:s}", "error", sentence);

	metadata_answer_json(message, status, json);
}

/* ---- the rules ---- */

static void refuse_method(SoupServerMessage *message, const char *const *methods)
{
	g_autofree char *list = g_strjoinv(" or ", (char **)methods);
	g_autofree char *sentence = g_strdup_printf("Method not allowed. Use %s.", list);

	metadata_refuse(message, 405, sentence);
}

bool metadata_check_request(SoupServerMessage *message, const char *const *methods)
{
	SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
	const char *mark = soup_message_headers_get_one(headers, "Metadata");

	if (!g_strv_contains(methods, soup_server_message_get_method(message)))
		refuse_method(message, methods);
	else if (soup_message_headers_get_list(headers, "X-Forwarded-For"))
		metadata_refuse(message, 400, "Bad request. A forwarded request is not answered.");
	else if (!mark || g_ascii_strcasecmp(mark, "true") != 0)
		metadata_refuse(message, 400, "Bad request. Required metadata header not specified");
	else
		return true;
	return false;
}

static bool check_get(SoupServerMessage *message)
{
	static const char *const methods[] = {"GET", NULL};

	return metadata_check_request(message, methods);
}

/* What is larger than any request that makes sense is not kept. */
static void on_headers(
	SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
	bool chunked = soup_message_headers_get_encoding(headers) == SOUP_ENCODING_CHUNKED;

	if (!chunked && soup_message_headers_get_content_length(headers) <= BODY_MAX)
		return;
	soup_message_body_set_accumulate(soup_server_message_get_request_body(message), false);
	metadata_refuse(
		message, chunked ? 411 : 413, "Bad request. The body must have a length, of 65536 at most");
}

static bool check_version(SoupServerMessage *message, GHashTable *query)
{
	const char *version = query ? g_hash_table_lookup(query, "api-version") : NULL;

	if (version && g_strv_contains(api_versions, version))
		return true;
	json_auto_t *json = json_pack("{s:s, s:[s]}", "error",
		version ? "Bad request. api-version is invalid or not supported"
			: "Bad request. api-version was not specified in the request",
		"newest-versions", NEWEST);
	metadata_answer_json(message, 400, json);
	return false;
}

/* Who asks: the address of the connection. Owned by the caller. */
static char *peer_address(SoupServerMessage *message)
{
	GSocketAddress *remote = soup_server_message_get_remote_address(message);
	GInetSocketAddress *inet = G_IS_INET_SOCKET_ADDRESS(remote) ? G_INET_SOCKET_ADDRESS(remote) : NULL;

	return inet ? g_inet_address_to_string(g_inet_socket_address_get_address(inet)) : NULL;
}

const struct goal_nic *metadata_asker(const struct metadata *metadata, SoupServerMessage *message)
{
	g_autofree char *peer = peer_address(message);

	return peer ? metadata_find_nic(metadata->config.goal(metadata->config.data), peer) : NULL;
}

json_t *metadata_body(SoupServerMessage *message)
{
	const SoupMessageBody *body = soup_server_message_get_request_body(message);
	json_t *json = json_loadb(body->data ? body->data : "", (size_t)body->length, 0, NULL);

	if (!json)
		metadata_refuse(message, 400, "Bad request. The body is no JSON");
	return json;
}

/* ---- the handlers ---- */

static void answer_part(SoupServerMessage *message, const json_t *part, const char *format)
{
	if (format && g_ascii_strcasecmp(format, "text") == 0) {
		g_autofree char *body = metadata_text(part);
		metadata_answer(message, 200, "text/plain; charset=utf-8", body);
	} else if (format && g_ascii_strcasecmp(format, "json") != 0) {
		metadata_refuse(message, 400, "Bad request. format is json or text");
	} else {
		metadata_answer_json(message, 200, part);
	}
}

static void on_instance(
	SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	const struct metadata *metadata = data;
	const char *rest = path + strlen(INSTANCE_PATH);
	const struct goal *goal = metadata->config.goal(metadata->config.data);
	const struct goal_nic *nic = metadata_asker(metadata, message);

	if (!check_get(message) || !check_version(message, query))
		return;
	json_auto_t *document = nic ? metadata_document(goal, nic) : NULL;
	const json_t *part = *rest == '/' || *rest == '\0' ? metadata_find(document, rest) : NULL;
	if (part)
		answer_part(message, part, g_hash_table_lookup(query, "format"));
	else
		metadata_refuse(message, 404, "Not found");
}

static void on_versions(
	SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	json_t *list = json_array();

	for (const char *const *version = api_versions; *version; version++)
		json_array_append_new(list, json_string(*version));
	json_auto_t *json = json_pack("{s:o}", "apiVersions", list);
	if (check_get(message))
		metadata_answer_json(message, 200, json);
}

static void on_other(
	SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	if (check_get(message))
		metadata_refuse(message, 404, "Not found");
}

/* The longest path that a request's begins with decides. */
static const struct {
	const char *path;
	SoupServerCallback callback;
} handlers[] = {
	{"/", on_other},
	{INSTANCE_PATH, on_instance},
	{"/metadata/scheduledevents", metadata_on_events},
	{"/metadata/versions", on_versions},
	{"/sluice/v1/guest", metadata_on_guest},
	{"/sluice/v1/policy", metadata_on_policy},
};

/* ---- listening ---- */

struct listen {
	const struct metadata_config *config;
	GSocket *socket; /* Owned */
};

/* Runs in the namespace. */
static bool make_socket(void *data, GError **error)
{
	struct listen *out = data;
	g_autoptr(GSocketAddress) address =
		g_inet_socket_address_new_from_string(out->config->address, out->config->port);
	g_autoptr(GError) cause = NULL;
	g_autoptr(GSocket) socket =
		g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, &cause);

	if (!socket || !g_socket_bind(socket, address, true, &cause) || !g_socket_listen(socket, &cause))
		return fault_set(error, FAULT_INTERNAL, "the metadata service cannot listen on %s:%u: %s",
			out->config->address, out->config->port, cause->message);
	out->socket = g_steal_pointer(&socket);
	return true;
}

static bool start(struct metadata *metadata, GSocket *socket, GError **error)
{
	g_autoptr(GSocketAddress) local = g_socket_get_local_address(socket, NULL);
	g_autoptr(GError) cause = NULL;

	metadata->port = g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(local));
	metadata->server = soup_server_new("server-header", "IMDS", NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(handlers); i++) {
		soup_server_add_handler(
			metadata->server, handlers[i].path, handlers[i].callback, metadata, NULL);
		soup_server_add_early_handler(metadata->server, handlers[i].path, on_headers, metadata, NULL);
	}
	return soup_server_listen_socket(metadata->server, socket, 0, &cause) ||
	       fault_set(error, FAULT_INTERNAL, "the metadata service cannot start: %s", cause->message);
}

struct metadata *metadata_serve(const struct metadata_config *config, GError **error)
{
	struct listen out = {.config = config};

	if (!netns_run(config->netns, make_socket, &out, error))
		return NULL;
	struct metadata *metadata = g_new0(struct metadata, 1);
	g_autoptr(GSocket) socket = out.socket;
	metadata->config = *config;
	metadata->held = g_hash_table_new(NULL, NULL);
	if (start(metadata, socket, error))
		return metadata;
	metadata_free(metadata);
	return NULL;
}

void metadata_free(struct metadata *metadata)
{
	if (!metadata)
		return;
	metadata_policy_done(metadata);
	soup_server_disconnect(metadata->server);
	g_object_unref(metadata->server);
	g_free(metadata);
}

unsigned metadata_port(const struct metadata *metadata)
{
	return metadata->port;
}
