/* The server side of JSON-RPC over a unix socket.
 *
 * How it works: everything runs in the main context that the server was made in. Sockets never block; a
 * connection has one source for reading and, while answers wait, one for writing. Lines are answered in
 * order, as they come, so a client may send many before it reads. A client that does not read its answers is
 * not read from either once OUT_PAUSE bytes wait for it: it holds up nobody but itself, and memory stays
 * bounded.
 *
 * A call that is answered later (jsonrpc_defer) holds up its own connection alone, in the same way: what the
 * client has sent behind it waits.
 *
 * Sources are destroyed at once, so nothing outlives the server. GSocketService and GIO's asynchronous
 * streams were rejected for that: their pending operations end only when the context runs again, and the
 * service retries a failing accept() without a pause.
 *
 * A line without its newline at the end of the stream is not run: a client whose send failed half-way may
 * send again.
 */
#include "base/jsonrpc.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_SIZE       (64 * 1024)
#define OUT_PAUSE       (1024 * 1024) /* answers that may wait before a connection is no longer read */
#define KEEP_BUFFER     (1024 * 1024) /* an empty buffer that has grown past this is given back */
#define CONNECTIONS_MAX 256
#define BACKLOG         64
#define ACCEPT_RETRY_MS 100

struct jsonrpc_server {
	char *path;
	const struct jsonrpc_method *methods; /* Borrowed */
	void *data; /* Borrowed */
	GMainContext *context; /* Ref */
	GSocket *listener; /* Owned */
	GSource *accept; /* Owned; a timeout instead after accept() failed; NULL when full */
	GPtrArray *connections; /* Owned, of struct connection */
	struct connection *asking; /* Borrowed: whose call a handler answers at this moment, */
	json_t *asked_id; /* and the call's id: Borrowed; NULL: it is a notification */
	dev_t device; /* of the socket file, to remove no other's */
	ino_t inode;
};

struct connection {
	struct jsonrpc_server *server; /* Borrowed */
	GSocket *socket; /* Owned */
	GSource *readable; /* Owned; NULL while it is not read */
	GSource *writable; /* Owned; NULL while nothing waits to be sent */
	GByteArray *in; /* Owned: what is not answered yet */
	size_t scanned; /* bytes at the front of `in` that hold no newline */
	GByteArray *out; /* Owned: answers; the first `sent` bytes are gone */
	size_t sent;
	bool ended; /* the peer sends no more; what it asked is still answered */
	struct jsonrpc_later *later; /* Borrowed: what it waits for; NULL: nothing */
};

struct jsonrpc_later {
	struct connection *connection; /* Borrowed; NULL: it is gone */
	json_t *id; /* Owned; NULL: of a notification */
};

static void source_drop(GSource **source)
{
	if (!*source)
		return;
	g_source_destroy(*source);
	g_source_unref(*source);
	*source = NULL;
}

static void buffer_empty(GByteArray **buffer)
{
	if ((*buffer)->len > KEEP_BUFFER) {
		g_byte_array_unref(*buffer);
		*buffer = g_byte_array_new();
	}
	g_byte_array_set_size(*buffer, 0);
}

static void connection_free(void *data)
{
	struct connection *c = data;

	if (c->later)
		c->later->connection = NULL;
	source_drop(&c->readable);
	source_drop(&c->writable);
	g_socket_close(c->socket, NULL);
	g_object_unref(c->socket);
	g_byte_array_unref(c->in);
	g_byte_array_unref(c->out);
	g_free(c);
}

/* ---- answers ---- */

static json_t *error_answer(json_t *id, enum jsonrpc_code code, enum fault fault, const char *message)
{
	g_autofree char *text = g_utf8_make_valid(message, -1);

	return json_pack("{s:s, s:{s:i, s:s, s:{s:s}}, s:O}", "jsonrpc", "2.0", "error", "code", (int)code,
		"message", text, "data", "fault", fault_name(fault), "id", id ? id : json_null());
}

static bool is_id(const json_t *id)
{
	return json_is_string(id) || json_is_number(id) || json_is_null(id);
}

/* What makes the request invalid, or NULL. */
static const char *request_fault(const json_t *request)
{
	const json_t *params = json_object_get(request, "params"), *id = json_object_get(request, "id");
	const char *version = json_string_value(json_object_get(request, "jsonrpc"));

	if (json_is_array(request))
		return "batches are not taken; send one request a line";
	if (!json_is_object(request))
		return "a request is a JSON object";
	if (g_strcmp0(version, "2.0") != 0)
		return "the member 'jsonrpc' must be \"2.0\"";
	if (!json_is_string(json_object_get(request, "method")))
		return "the member 'method' must be a string";
	if (params && !json_is_object(params) && !json_is_array(params))
		return "the member 'params' must be an object or an array";
	if (id && !is_id(id))
		return "the member 'id' must be a string, a number or null";
	return NULL;
}

static const struct jsonrpc_method *find_method(const struct jsonrpc_server *server, const char *name)
{
	for (const struct jsonrpc_method *method = server->methods; method->name; method++)
		if (g_str_equal(method->name, name))
			return method;
	return NULL;
}

static json_t *result_answer(json_t *result, json_t *id)
{
	return json_pack("{s:s, s:o, s:O}", "jsonrpc", "2.0", "result", result, "id", id ? id : json_null());
}

/* A line of a process' folder in /proc; NULL: it has ended, or there is none. Owned by the caller. */
static char *process_line(pid_t pid, const char *name)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, name), *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return NULL;
	return g_strescape(g_strchomp(text), NULL);
}

char *jsonrpc_asker(const struct jsonrpc_server *server)
{
	g_autoptr(GCredentials) peer = g_socket_get_credentials(server->asking->socket, NULL);

	if (!peer)
		return g_strdup("somebody unknown");
	guint64 uid = g_credentials_get_unix_user(peer, NULL), login;
	pid_t pid = g_credentials_get_unix_pid(peer, NULL);
	g_autofree char *program = process_line(pid, "comm"), *login_text = process_line(pid, "loginuid");
	/* Who has not logged in, as a service, has the highest number. */
	bool other = login_text &&
		     g_ascii_string_to_unsigned(login_text, 10, 0, G_MAXUINT32 - 1, &login, NULL) &&
		     login != uid;

	return g_strdup_printf("uid %" G_GUINT64_FORMAT ", process %d (%s)%s%s", uid, (int)pid,
		program ? program : "ended", other ? ", logged in as uid " : "", other ? login_text : "");
}

/* Runs a valid request; the answer to it, also when it is a notification; NULL: it comes later. */
static json_t *run(struct connection *c, json_t *request)
{
	struct jsonrpc_server *server = c->server;
	const char *name = json_string_value(json_object_get(request, "method"));
	const struct jsonrpc_method *method = find_method(server, name);
	json_t *id = json_object_get(request, "id");
	g_autoptr(GError) error = NULL;

	if (!method) {
		g_autofree char *message = g_strdup_printf("there is no method '%s'", name);
		return error_answer(id, JSONRPC_METHOD_NOT_FOUND, FAULT_UNSUPPORTED, message);
	}
	server->asking = c;
	server->asked_id = id;
	json_t *result = method->handler(json_object_get(request, "params"), server->data, &error);
	if (!result && c->later)
		return NULL;
	if (!result)
		return error_answer(id, JSONRPC_FAULT, fault_code(error),
			error ? error->message : "the method failed and did not say why");
	return result_answer(result, id);
}

/* The answer to one line; NULL when it gets none, or gets it later. */
static json_t *answer_line(struct connection *c, const char *line, size_t length)
{
	json_error_t parse_error;
	json_auto_t *request =
		json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &parse_error);

	if (!request)
		return error_answer(NULL, JSONRPC_PARSE_ERROR, FAULT_INVALID, parse_error.text);
	const char *why = request_fault(request);
	json_t *id = json_object_get(request, "id");
	if (why)
		return error_answer(is_id(id) ? id : NULL, JSONRPC_INVALID_REQUEST, FAULT_INVALID, why);
	json_t *answer = run(c, request);
	if (id)
		return answer;
	json_decref(answer); /* which it may not have */
	return NULL;
}

static int append_json(const char *text, size_t length, void *data)
{
	g_byte_array_append(data, (const uint8_t *)text, (unsigned)length);
	return ((GByteArray *)data)->len > JSONRPC_LINE_MAX + OUT_PAUSE ? -1 : 0;
}

/* Queues the answer; one that is no valid JSON text or too long is replaced by an error. */
static void queue_answer(struct connection *c, json_t *answer)
{
	unsigned before = c->out->len;

	if (json_dump_callback(answer, append_json, c->out, JSON_COMPACT) != 0) {
		g_byte_array_set_size(c->out, before);
		json_auto_t *instead = error_answer(json_object_get(answer, "id"), JSONRPC_FAULT,
			FAULT_INTERNAL, "the answer is too long or holds text that is not UTF-8");
		json_dump_callback(instead, append_json, c->out, JSON_COMPACT);
	}
	g_byte_array_append(c->out, (const uint8_t *)"\n", 1);
}

/* ---- connections ---- */

static size_t waiting(const struct connection *c)
{
	return c->out->len - c->sent;
}

static bool is_blank(const char *line, size_t length)
{
	while (length > 0 && g_ascii_isspace(line[length - 1]))
		length--;
	return length == 0;
}

/* Answers the lines that are complete. True when it stopped because too much waits to be sent, or an answer comes later. */
static bool answer_lines(struct connection *c)
{
	size_t start = 0;
	bool paused;
	const char *newline = NULL;

	while (!(paused = c->later || waiting(c) >= OUT_PAUSE) && c->in->len > start + c->scanned &&
		(newline = memchr(c->in->data + start + c->scanned, '\n', c->in->len - start - c->scanned))) {
		const char *line = (const char *)c->in->data + start;
		size_t length = (size_t)(newline - line) + 1;
		json_auto_t *answer = is_blank(line, length) ? NULL : answer_line(c, line, length);
		if (answer)
			queue_answer(c, answer);
		start += length;
		c->scanned = 0;
	}
	if (start == c->in->len)
		buffer_empty(&c->in);
	else
		g_byte_array_remove_range(c->in, 0, (unsigned)start);
	c->scanned = paused ? 0 : c->in->len;
	return paused;
}

/* Sends what the peer takes. False when the connection is broken. */
static bool flush(struct connection *c)
{
	while (waiting(c) > 0) {
		g_autoptr(GError) error = NULL;
		ssize_t n = g_socket_send(
			c->socket, (const char *)c->out->data + c->sent, waiting(c), NULL, &error);
		if (n < 0)
			return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
		c->sent += (size_t)n;
	}
	buffer_empty(&c->out);
	c->sent = 0;
	return true;
}

static gboolean on_readable(GSocket *socket, GIOCondition condition, void *data);
static gboolean on_writable(GSocket *socket, GIOCondition condition, void *data);
static void server_accept_again(struct jsonrpc_server *server);

/* Makes the source be there exactly when it is wanted. */
static void want(struct connection *c, GSource **source, bool wanted, GIOCondition condition,
	GSocketSourceFunc callback)
{
	if (!wanted)
		source_drop(source);
	if (!wanted || *source)
		return;
	*source = g_socket_create_source(c->socket, condition, NULL);
	g_source_set_callback(*source, G_SOURCE_FUNC(callback), c, NULL);
	g_source_attach(*source, c->server->context);
}

static void connection_close(struct connection *c)
{
	struct jsonrpc_server *server = c->server;

	g_ptr_array_remove_fast(server->connections, c);
	server_accept_again(server);
}

/* Answers and sends as far as possible, and says what to wait for. Frees the connection when it is done. */
static void connection_run(struct connection *c)
{
	bool paused, broken;

	do {
		paused = answer_lines(c);
		broken = !flush(c);
	} while (!broken && paused && !c->later && waiting(c) < OUT_PAUSE);
	if (broken || c->in->len > JSONRPC_LINE_MAX || (c->ended && !paused && waiting(c) == 0)) {
		connection_close(c);
		return;
	}
	want(c, &c->readable, !c->ended && !paused, G_IO_IN, on_readable);
	want(c, &c->writable, waiting(c) > 0, G_IO_OUT, on_writable);
}

struct jsonrpc_later *jsonrpc_defer(struct jsonrpc_server *server)
{
	struct jsonrpc_later *later = g_new0(struct jsonrpc_later, 1);

	later->connection = server->asking;
	later->id = json_incref(server->asked_id);
	return later->connection->later = later;
}

void jsonrpc_answer(struct jsonrpc_later *later, json_t *result)
{
	struct connection *c = later->connection;
	json_auto_t *id = later->id, *answer = result_answer(result, id);

	g_free(later);
	if (!c)
		return;
	c->later = NULL;
	if (id)
		queue_answer(c, answer);
	connection_run(c);
}

static gboolean on_readable(GSocket *socket, GIOCondition condition, void *data)
{
	struct connection *c = data;
	g_autoptr(GError) error = NULL;
	unsigned before = c->in->len;

	g_byte_array_set_size(c->in, before + READ_SIZE);
	ssize_t n = g_socket_receive(socket, (char *)c->in->data + before, READ_SIZE, NULL, &error);
	g_byte_array_set_size(c->in, before + (unsigned)MAX(n, 0));
	if (n < 0 && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
		return G_SOURCE_CONTINUE;
	if (n < 0) {
		connection_close(c);
		return G_SOURCE_REMOVE;
	}
	c->ended = n == 0;
	connection_run(c);
	return G_SOURCE_CONTINUE; /* of no effect on a source that connection_run() destroyed */
}

static gboolean on_writable(GSocket *socket, GIOCondition condition, void *data)
{
	connection_run(data);
	return G_SOURCE_CONTINUE;
}

static void connection_new(struct jsonrpc_server *server, GSocket *socket)
{
	struct connection *c = g_new0(struct connection, 1);

	g_socket_set_blocking(socket, FALSE);
	c->server = server;
	c->socket = socket;
	c->in = g_byte_array_new();
	c->out = g_byte_array_new();
	g_ptr_array_add(server->connections, c);
	want(c, &c->readable, true, G_IO_IN, on_readable);
}

/* ---- listening ---- */

static gboolean on_accept_retry(void *data)
{
	struct jsonrpc_server *server = data;

	source_drop(&server->accept);
	server_accept_again(server);
	return G_SOURCE_REMOVE;
}

static gboolean on_connect(GSocket *listener, GIOCondition condition, void *data)
{
	struct jsonrpc_server *server = data;
	g_autoptr(GError) error = NULL;
	GSocket *socket = g_socket_accept(listener, NULL, &error);

	if (socket)
		connection_new(server, socket);
	if (socket && server->connections->len < CONNECTIONS_MAX)
		return G_SOURCE_CONTINUE;
	if (!socket && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
		return G_SOURCE_CONTINUE;
	source_drop(&server->accept);
	if (!socket) { /* out of descriptors: the connection stays readable, so wait before the next try */
		server->accept = g_timeout_source_new(ACCEPT_RETRY_MS);
		g_source_set_callback(server->accept, on_accept_retry, server, NULL);
		g_source_attach(server->accept, server->context);
	}
	return G_SOURCE_REMOVE;
}

static void server_accept_again(struct jsonrpc_server *server)
{
	if (server->accept || server->connections->len >= CONNECTIONS_MAX)
		return;
	server->accept = g_socket_create_source(server->listener, G_IO_IN, NULL);
	g_source_set_callback(server->accept, G_SOURCE_FUNC(on_connect), server, NULL);
	g_source_attach(server->accept, server->context);
}

/* Removes a socket file on which nobody answers. False when the path is somebody's. */
static bool remove_stale(const char *path, GSocketAddress *address, GError **error)
{
	struct stat st;
	g_autoptr(GError) refused = NULL;

	if (lstat(path, &st) < 0)
		return true; /* nothing there, or bind() will say why not */
	if (!S_ISSOCK(st.st_mode))
		return fault_set(error, FAULT_INTERNAL,
			"cannot listen on %s: a file that is no socket is in the way; move it", path);
	g_autoptr(GSocket) probe =
		g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, error);
	if (!probe)
		return false;
	g_socket_set_blocking(probe, FALSE);
	if (g_socket_connect(probe, address, NULL, &refused) ||
		!g_error_matches(refused, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED))
		return fault_set(error, FAULT_IN_USE,
			"cannot listen on %s: another process answers on it; stop that one first", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return fault_set(error, FAULT_INTERNAL, "cannot remove the stale socket %s: %s", path,
			g_strerror(errno));
	return true;
}

/* Nobody can connect between bind() and listen(), so the mode is right for every connection. */
static GSocket *bind_listener(const char *path, GSocketAddress *address, GError **error)
{
	g_autoptr(GSocket) socket =
		g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, error);

	if (!socket || !g_socket_bind(socket, address, FALSE, error))
		return NULL;
	if (chmod(path, 0600) < 0) {
		fault_set(error, FAULT_INTERNAL, "cannot set the mode of %s: %s", path, g_strerror(errno));
		return NULL;
	}
	g_socket_set_blocking(socket, FALSE);
	g_socket_set_listen_backlog(socket, BACKLOG);
	if (!g_socket_listen(socket, error))
		return NULL;
	return g_steal_pointer(&socket);
}

/* The folder is locked while a stale file is looked at and replaced: of two servers that start together one
 * gets the path and the other is told so. */
static GSocket *listen_on(const char *path, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(path);
	g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
	GSocket *socket = NULL;
	int lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		fault_set(error, FAULT_INTERNAL, "cannot make the socket %s: %s: %s", path, folder,
			g_strerror(errno));
	else if (remove_stale(path, address, error))
		socket = bind_listener(path, address, error);
	if (lock >= 0)
		close(lock);
	return socket;
}

struct jsonrpc_server *jsonrpc_serve(
	const char *path, const struct jsonrpc_method *methods, void *data, GError **error)
{
	g_autoptr(GError) cause = NULL;
	struct stat st = {};

	if (strlen(path) >= sizeof((struct sockaddr_un *)NULL)->sun_path) {
		fault_set(error, FAULT_INTERNAL, "the socket path %s is too long; %zu bytes are possible",
			path, sizeof((struct sockaddr_un *)NULL)->sun_path - 1);
		return NULL;
	}
	GSocket *listener = listen_on(path, &cause);
	if (!listener) {
		if (cause->domain == FAULT)
			g_propagate_error(error, g_steal_pointer(&cause));
		else
			fault_set(error, FAULT_INTERNAL, "cannot listen on %s: %s", path, cause->message);
		return NULL;
	}
	struct jsonrpc_server *server = g_new0(struct jsonrpc_server, 1);
	server->path = g_strdup(path);
	server->methods = methods;
	server->data = data;
	server->context = g_main_context_ref_thread_default();
	server->listener = listener;
	server->connections = g_ptr_array_new_with_free_func(connection_free);
	if (lstat(path, &st) == 0) {
		server->device = st.st_dev;
		server->inode = st.st_ino;
	}
	server_accept_again(server);
	return server;
}

void jsonrpc_server_free(struct jsonrpc_server *server)
{
	struct stat st;

	if (!server)
		return;
	if (lstat(server->path, &st) == 0 && st.st_dev == server->device && st.st_ino == server->inode)
		unlink(server->path);
	source_drop(&server->accept);
	g_ptr_array_unref(server->connections);
	g_socket_close(server->listener, NULL);
	g_object_unref(server->listener);
	g_main_context_unref(server->context);
	g_free(server->path);
	g_free(server);
}
