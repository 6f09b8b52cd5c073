/* The HTTPS listener, over libsoup. */
#include "api/server.h"

#include "api/call_priv.h"
#include "api/route.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define CALL_KEY "sluice-call"
#define PEER_KEY "sluice-peer"
#define SEEN_KEY "sluice-seen"

struct route_table {
	const struct route *routes; /* Borrowed */
	void *data; /* Borrowed */
};

struct server {
	SoupServer *soup; /* Ref */
	const struct server_dialect *dialect; /* Borrowed */
	void *dialect_data; /* Borrowed */
	GArray *tables; /* of struct route_table */
	GHashTable *live; /* the message of each connection: SoupServerMessage (Borrowed) to GSocket (Ref) */
	GHashTable *handshakes; /* those whose connection is in its TLS handshake */
	char *url;
	bool keep_alive; /* connections stay open between requests */
};

static struct call *call_of(SoupServerMessage *message)
{
	return g_object_get_data(G_OBJECT(message), CALL_KEY);
}

/* ---- finding the handler ---- */

static const struct route *find_route(const struct server *server, struct call *call, char *const *segments,
	void **ret_data, GString *allowed)
{
	for (guint t = 0; t < server->tables->len; t++) {
		const struct route_table *table = &g_array_index(server->tables, struct route_table, t);
		for (const struct route *route = table->routes; route->method; route++) {
			g_autoptr(GHashTable) params = NULL;
			if (!path_match(route->pattern, segments, &params))
				continue;
			if (g_str_equal(route->method, call_method(call))) {
				call->params = g_steal_pointer(&params);
				*ret_data = table->data;
				return route;
			}
			g_string_append_printf(allowed, "%s%s", allowed->len ? ", " : "", route->method);
		}
	}
	return NULL;
}

static void dispatch(struct server *server, struct call *call)
{
	g_auto(GStrv) segments = path_split(call_path(call));
	g_autoptr(GString) allowed = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	const struct route *route;
	void *data;

	if (!segments) {
		call_fail_status(call, 400, "The path '%s' is malformed.", call_path(call));
		return;
	}
	route = find_route(server, call, segments, &data, allowed);
	if (!route && allowed->len) {
		call_set_header(call, "Allow", allowed->str);
		call_fail_status(call, 405, "%s is not possible on '%s'; use %s.", call_method(call),
			call_path(call), allowed->str);
		return;
	}
	call->open = route && (route->flags & ROUTE_OPEN);
	if (!call->open) {
		call->principal = server->dialect->authenticate(call, server->dialect_data, &error);
		if (!call->principal) {
			call_fail(call, error);
			return;
		}
	}
	if (route)
		route->handler(call, data);
	else
		call_fail_status(call, 404, "There is nothing at '%s'.", call_path(call));
}

/* ---- libsoup's callbacks ---- */

/* Not earlier: headers that are there before the body is read go out with "100 Continue" and are lost. */
static void begin(const struct server *server, struct call *call)
{
	if (!server->keep_alive)
		call_set_header(call, "Connection", "close");
	if (call->dialect->begin)
		call->dialect->begin(call, call->dialect_data);
}

static void refuse_length(const struct server *server, struct call *call)
{
	begin(server, call);
	call_fail_status(call, 413, "The request is longer than %d bytes.", SERVER_BODY_MAX);
}

/* What is kept of a client's certificate. */
struct peer {
	char *name; /* Owned; NULL: see peer_name() */
	int64_t made_s;
};

static void peer_free(void *data)
{
	struct peer *peer = data;

	g_free(peer->name);
	g_free(peer);
}

/* libsoup gives the client's certificate to the first message of a connection only, so what is asked of it is kept with
 * the connection's socket. */
static void set_peer(struct call *call, SoupServerMessage *message)
{
	GTlsCertificate *certificate = soup_server_message_get_tls_peer_certificate(message);
	GSocket *socket = soup_server_message_get_socket(message);

	if (certificate && socket) {
		struct peer *made = g_new0(struct peer, 1);
		*made = (struct peer){peer_name(certificate), peer_made_s(certificate)};
		g_object_set_data_full(G_OBJECT(socket), PEER_KEY, made, peer_free);
	}
	const struct peer *peer = socket ? g_object_get_data(G_OBJECT(socket), PEER_KEY) : NULL;
	call->peer = g_strdup(peer ? peer->name : NULL);
	call->peer_made_s = peer ? peer->made_s : 0;
}

/* Behind the headers, before the body: refuses what is announced to be too long, watches what is not
 * announced. */
static void on_headers(
	SoupServer *soup, SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	struct server *server = data;
	struct call *call = call_new(message, server->dialect, server->dialect_data);
	SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);

	g_object_set_data_full(G_OBJECT(message), CALL_KEY, call, (GDestroyNotify)call_free);
	call->query = query ? g_hash_table_ref(query) : NULL;
	set_peer(call, message);
	if (soup_message_headers_get_encoding(headers) == SOUP_ENCODING_CONTENT_LENGTH &&
		soup_message_headers_get_content_length(headers) > SERVER_BODY_MAX)
		refuse_length(server, call);
}

static void on_request(
	SoupServer *soup, SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	begin(data, call_of(message));
	dispatch(data, call_of(message));
}

/* A body without announced length: once it is too long, no more of it is kept and the answer is 413. */
static void on_chunk(SoupServerMessage *message, GBytes *chunk, void *data)
{
	SoupMessageBody *body = soup_server_message_get_request_body(message);

	if (soup_server_message_get_status(message) || body->length <= SERVER_BODY_MAX)
		return;
	soup_message_body_set_accumulate(body, FALSE);
	refuse_length(data, call_of(message));
}

/* libsoup takes an answer without a length for one that ends with the connection, and closes it behind every
 * 204. Saying that such an answer has no body keeps the connection. */
static void on_wrote_headers(SoupServerMessage *message, void *data)
{
	if (soup_server_message_get_status(message) == SOUP_STATUS_NO_CONTENT)
		soup_message_headers_set_encoding(
			soup_server_message_get_response_headers(message), SOUP_ENCODING_NONE);
}

/* libsoup asks about every client certificate, also those in which GLib found nothing wrong. */
static gboolean on_certificate(
	SoupServerMessage *message, GTlsCertificate *certificate, GTlsCertificateFlags errors, void *data)
{
	return errors == 0 && peer_is_client(certificate);
}

static void on_connected(SoupServerMessage *message, void *data)
{
	struct server *server = data;

	g_hash_table_remove(server->handshakes, message);
}

static void on_disconnected(SoupServerMessage *message, void *data)
{
	struct server *server = data;

	g_hash_table_remove(server->handshakes, message);
	g_hash_table_remove(server->live, message);
}

/* libsoup makes the first message of a connection before the handshake, the others behind it. */
static void follow(struct server *server, SoupServerMessage *message, GSocket *socket)
{
	g_hash_table_insert(server->live, message, g_object_ref(socket));
	g_signal_connect(message, "disconnected", G_CALLBACK(on_disconnected), server);
	if (g_object_get_data(G_OBJECT(socket), SEEN_KEY))
		return;
	g_object_set_data(G_OBJECT(socket), SEEN_KEY, server);
	g_hash_table_add(server->handshakes, message);
	g_signal_connect(message, "connected", G_CALLBACK(on_connected), server);
}

static void on_started(SoupServer *soup, SoupServerMessage *message, void *data)
{
	GSocket *socket = soup_server_message_get_socket(message);

	if (socket) {
		/* Head and body of an answer are two writes; Nagle's algorithm would hold the second for 40 ms. */
		g_socket_set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1, NULL);
		follow(data, message, socket);
	}
	g_signal_connect(message, "accept-certificate", G_CALLBACK(on_certificate), NULL);
	g_signal_connect(message, "wrote-headers", G_CALLBACK(on_wrote_headers), NULL);
	g_signal_connect(message, "got-chunk", G_CALLBACK(on_chunk), data);
}

static void on_finished(SoupServer *soup, SoupServerMessage *message, void *data)
{
	const struct server *server = data;
	const struct call *call = call_of(message);

	g_hash_table_remove(server->live, message);
	if (call)
		log_debug(NULL, "%s %s: %u in %.1f ms (%s)", call_method(call), call_path(call),
			soup_server_message_get_status(message),
			(double)(g_get_monotonic_time() - call->started_us) / 1000,
			call->principal ? call->principal : "-");
	/* The call ends here, though libsoup may keep the message until the connection's next one. */
	g_object_set_data(G_OBJECT(message), CALL_KEY, NULL);
}

/* ---- set-up ---- */

static GSocketAddress *parse_address(const char *text, GError **error)
{
	const char *colon = strrchr(text, ':');
	guint64 port = 0;

	if (!colon || !g_ascii_string_to_unsigned(colon + 1, 10, 0, 65535, &port, NULL)) {
		fault_set(error, FAULT_INVALID, "'%s' is no address to listen on, such as 127.0.0.1:8443",
			text);
		return NULL;
	}
	bool brackets = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
	g_autofree char *host = brackets ? g_strndup(text + 1, (gsize)(colon - text - 2))
					 : g_strndup(text, (gsize)(colon - text));
	GSocketAddress *address = g_inet_socket_address_new_from_string(host, (guint)port);
	if (!address)
		fault_set(error, FAULT_INVALID, "'%s' is no address to listen on, such as 127.0.0.1:8443",
			text);
	return address;
}

static bool set_tls(struct server *server, const struct server_config *config, GError **error)
{
	g_autoptr(GTlsCertificate) certificate =
		g_tls_certificate_new_from_files(config->certificate, config->key, error);

	if (!certificate) {
		g_prefix_error(error, "certificate %s with key %s: ", config->certificate, config->key);
		return false;
	}
	soup_server_set_tls_certificate(server->soup, certificate);
	if (!config->client_ca)
		return true;
	/* The database insists on an absolute path. */
	g_autofree char *ca_path = g_canonicalize_filename(config->client_ca, NULL);
	g_autoptr(GTlsDatabase) ca = g_tls_file_database_new(ca_path, error);
	if (!ca) {
		g_prefix_error(error, "client CA %s: ", config->client_ca);
		return false;
	}
	soup_server_set_tls_database(server->soup, ca);
	soup_server_set_tls_auth_mode(server->soup, G_TLS_AUTHENTICATION_REQUIRED);
	return true;
}

/* soup_server_get_uris() would do, but it leaks. */
static bool find_url(struct server *server, GError **error)
{
	g_autoptr(GSList) listeners = soup_server_get_listeners(server->soup);
	g_autoptr(GSocketAddress) address = g_socket_get_local_address(listeners->data, error);

	if (!address)
		return false;
	g_autofree char *text = g_socket_connectable_to_string(G_SOCKET_CONNECTABLE(address));
	server->url = g_strconcat("https://", text, NULL);
	return true;
}

/* GLib leaves room for 10 connections that wait to be accepted: clients that come all at once would be turned away. */
static void lengthen_queue(struct server *server)
{
	g_autoptr(GSList) listeners = soup_server_get_listeners(server->soup);

	for (GSList *item = listeners; item; item = item->next)
		if (listen(g_socket_get_fd(item->data), SOMAXCONN) < 0)
			log_warn(NULL, "the queue of connections stays short: %s", g_strerror(errno));
}

static bool start(struct server *server, const struct server_config *config, GError **error)
{
	g_autoptr(GSocketAddress) address = parse_address(config->listen, error);

	if (!address || !set_tls(server, config, error))
		return false;
	if (!soup_server_listen(server->soup, address, SOUP_SERVER_LISTEN_HTTPS, error)) {
		g_prefix_error(error, "listening on %s: ", config->listen);
		return false;
	}
	lengthen_queue(server);
	return find_url(server, error);
}

struct server *server_new(const struct server_config *config, GError **error)
{
	_cleanup_(server_free) struct server *server = g_new0(struct server, 1);

	server->dialect = config->dialect;
	server->dialect_data = config->dialect_data;
	server->keep_alive = config->long_lived || soup_check_version(3, 3, 0);
	server->tables = g_array_new(FALSE, FALSE, sizeof(struct route_table));
	server->live = g_hash_table_new_full(NULL, NULL, NULL, g_object_unref);
	server->handshakes = g_hash_table_new(NULL, NULL);
	server->soup = soup_server_new("server-header", "sluice", NULL);
	g_signal_connect(server->soup, "request-started", G_CALLBACK(on_started), server);
	g_signal_connect(server->soup, "request-finished", G_CALLBACK(on_finished), server);
	g_signal_connect(server->soup, "request-aborted", G_CALLBACK(on_finished), server);
	soup_server_add_early_handler(server->soup, NULL, on_headers, server, NULL);
	soup_server_add_handler(server->soup, NULL, on_request, server, NULL);
	if (!start(server, config, error))
		return NULL;
	return g_steal_pointer(&server);
}

/* soup_server_disconnect() closes every connection, and closing blocks (glib-networking 2.74): until all is sent, for a
 * client that does not read; in the midst of a TLS handshake until that is over, whose thread may wait for the client,
 * and then for this thread, which is to look at the client's certificate. So nobody is let in any more, all are cut off,
 * and handshakes fail here first. */
static void cut_off(struct server *server)
{
	g_autoptr(GSList) listeners = soup_server_get_listeners(server->soup);
	GHashTableIter at;
	void *socket;

	for (GSList *item = listeners; item; item = item->next)
		shutdown(g_socket_get_fd(item->data), SHUT_RDWR);
	g_hash_table_iter_init(&at, server->live);
	while (g_hash_table_iter_next(&at, NULL, &socket))
		g_socket_shutdown(socket, true, true, NULL);
	while (g_hash_table_size(server->handshakes))
		g_main_context_iteration(g_main_context_get_thread_default(), true);
}

void server_free(struct server *server)
{
	cut_off(server);
	soup_server_disconnect(server->soup);
	g_object_unref(server->soup);
	g_hash_table_unref(server->handshakes);
	g_hash_table_unref(server->live);
	g_array_unref(server->tables);
	g_free(server->url);
	g_free(server);
}

void server_add_routes(struct server *server, const struct route *routes, void *data)
{
	const struct route_table table = {routes, data};

	g_array_append_val(server->tables, table);
}

const char *server_url(const struct server *server)
{
	return server->url;
}
