/* The client side of JSON-RPC over a unix socket: one blocking call at a time.
 *
 * A connection on which a call failed is closed, so a late answer can never be taken for the next call's. A
 * request is sent again, once and on a new connection, only when it did not go out whole: the server runs no
 * line that lacks its end, so no call is run twice.
 */
#include "base/fault.h"
#include "base/jsonrpc.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#define READ_SIZE        (64 * 1024)
#define CONNECT_RETRY_US 5000 /* the server's queue of connections is full */

struct jsonrpc_client {
	char *path;
	GSocket *socket; /* Owned; NULL while not connected */
	json_int_t last_id;
};

struct jsonrpc_client *jsonrpc_client_new(const char *path)
{
	struct jsonrpc_client *client = g_new0(struct jsonrpc_client, 1);

	client->path = g_strdup(path);
	return client;
}

static void disconnect(struct jsonrpc_client *client)
{
	g_clear_object(&client->socket);
}

void jsonrpc_client_free(struct jsonrpc_client *client)
{
	if (!client)
		return;
	disconnect(client);
	g_free(client->path);
	g_free(client);
}

/* Waits for the condition until the deadline (monotonic microseconds). False when it passed. */
static bool wait_for(GSocket *socket, GIOCondition condition, int64_t deadline, GError **error)
{
	int64_t left = deadline - g_get_monotonic_time();

	if (left > 0)
		return g_socket_condition_timed_wait(
			socket, condition, left + 999, NULL, error); /* whole ms */
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "no answer in time");
	return false;
}

static bool connect_until(struct jsonrpc_client *client, int64_t deadline, GError **error)
{
	g_autoptr(GSocketAddress) address = NULL;
	g_autoptr(GSocket) socket = NULL;

	if (strlen(client->path) >= sizeof((struct sockaddr_un *)NULL)->sun_path) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG, "the path is too long");
		return false;
	}
	address = g_unix_socket_address_new(client->path);
	socket = g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, error);
	if (!socket)
		return false;
	g_socket_set_blocking(socket, FALSE);
	for (;;) {
		g_autoptr(GError) cause = NULL;
		if (g_socket_connect(socket, address, NULL, &cause))
			break;
		if (!g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK) ||
			g_get_monotonic_time() + CONNECT_RETRY_US >= deadline) {
			g_propagate_error(error, g_steal_pointer(&cause));
			return false;
		}
		g_usleep(CONNECT_RETRY_US);
	}
	client->socket = g_steal_pointer(&socket);
	return true;
}

static bool send_all(GSocket *socket, const char *text, size_t length, int64_t deadline, GError **error)
{
	while (length > 0) {
		g_autoptr(GError) cause = NULL;
		ssize_t n = g_socket_send(socket, text, length, NULL, &cause);
		if (n >= 0) {
			text += n;
			length -= (size_t)n;
		} else if (!g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
			g_propagate_error(error, g_steal_pointer(&cause));
			return false;
		} else if (!wait_for(socket, G_IO_OUT, deadline, error)) {
			return false;
		}
	}
	return true;
}

static bool send_request(struct jsonrpc_client *client, const GString *line, int64_t deadline, GError **error)
{
	if (client->socket && send_all(client->socket, line->str, line->len, deadline, NULL))
		return true;
	disconnect(client);
	return connect_until(client, deadline, error) &&
	       send_all(client->socket, line->str, line->len, deadline, error);
}

/* Appends what has arrived to `in`; the first call after a complete line finds `in` empty, since a server
 * sends nothing unasked. */
static bool receive_some(GSocket *socket, GByteArray *in, int64_t deadline, GError **error)
{
	unsigned before = in->len;

	for (;;) {
		g_autoptr(GError) cause = NULL;
		g_byte_array_set_size(in, before + READ_SIZE);
		ssize_t n = g_socket_receive(socket, (char *)in->data + before, READ_SIZE, NULL, &cause);
		g_byte_array_set_size(in, before + (unsigned)MAX(n, 0));
		if (n > 0 && in->len <= JSONRPC_LINE_MAX + READ_SIZE)
			return true;
		if (n > 0)
			g_set_error(
				error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE, "the answer is too long");
		else if (n == 0)
			g_set_error(
				error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "it closed the connection");
		else if (!g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
			g_propagate_error(error, g_steal_pointer(&cause));
		else if (wait_for(socket, G_IO_IN, deadline, error))
			continue;
		return false;
	}
}

/* The server's answer (new reference), as it is. */
static json_t *receive_answer(GSocket *socket, int64_t deadline, GError **error)
{
	g_autoptr(GByteArray) in = g_byte_array_new();
	const uint8_t *newline = NULL;
	json_error_t parse_error;

	while (!newline) {
		size_t scanned = in->len;
		if (!receive_some(socket, in, deadline, error))
			return NULL;
		newline = memchr(in->data + scanned, '\n', in->len - scanned);
	}
	json_t *answer = json_loadb((const char *)in->data, (size_t)(newline - in->data), 0, &parse_error);
	if (!answer)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "its answer is no JSON: %s",
			parse_error.text);
	return answer;
}

/* The fault of a server that names none in data.fault, as other projects' servers do. */
static enum fault fault_of_code(json_int_t code)
{
	switch (code) {
	case JSONRPC_METHOD_NOT_FOUND: return FAULT_UNSUPPORTED;
	case JSONRPC_PARSE_ERROR:
	case JSONRPC_INVALID_REQUEST:
	case JSONRPC_INVALID_PARAMS: return FAULT_INVALID;
	default: return FAULT_INTERNAL;
	}
}

static void set_server_fault(const json_t *object, GError **error)
{
	const char *message = json_string_value(json_object_get(object, "message"));
	const char *word = json_string_value(json_object_get(json_object_get(object, "data"), "fault"));
	json_int_t code = json_integer_value(json_object_get(object, "code"));

	fault_set(error, word ? fault_from_name(word) : fault_of_code(code), "%s",
		message ? message : "the server gave no reason");
}

json_t *jsonrpc_call(struct jsonrpc_client *client, const char *method, json_t *params, unsigned timeout_ms,
	GError **error)
{
	int64_t deadline = g_get_monotonic_time() + (int64_t)timeout_ms * 1000;
	json_int_t id = ++client->last_id;
	json_auto_t *request = json_pack(
		"{s:s, s:s, s:I, s:o*}", "jsonrpc", "2.0", "method", method, "id", id, "params", params);
	g_autofree char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	g_autoptr(GError) cause = NULL;
	json_auto_t *answer = NULL;

	if (!text) {
		fault_set(error, FAULT_INVALID, "cannot call %s: its parameters are not UTF-8", method);
		return NULL;
	}
	g_autoptr(GString) line = g_string_new(text);
	g_string_append_c(line, '\n');
	if (send_request(client, line, deadline, &cause))
		answer = receive_answer(client->socket, deadline, &cause);
	if (!answer) {
		disconnect(client);
		fault_set(error, FAULT_UNAVAILABLE,
			"%s gave no answer to %s: %s; check that the program behind it runs", client->path,
			method, cause->message);
		return NULL;
	}
	json_t *result = json_object_get(answer, "result"), *fault = json_object_get(answer, "error");
	if (result && json_integer_value(json_object_get(answer, "id")) == id)
		return json_incref(result);
	if (fault) {
		set_server_fault(fault, error);
		return NULL;
	}
	disconnect(client);
	fault_set(error, FAULT_INTERNAL, "%s broke the protocol in its answer to %s", client->path, method);
	return NULL;
}
