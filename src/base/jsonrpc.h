/* JSON-RPC 2.0 over a unix stream socket, one JSON text a line.
 *
 * The same protocol that SPDK and OVSDB speak: any client that can write to a socket can drive a server.
 * Errors carry the fault's word: {"code": -32000, "message": "...", "data": {"fault": "in-use"}}.
 * Source: JSON-RPC 2.0 specification (jsonrpc.org). Batches are not taken; notifications are.
 */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#define JSONRPC_LINE_MAX (64u * 1024 * 1024) /* a line longer than this closes the connection */

/* Codes of the specification, section 5.1; a handler's fault is JSONRPC_FAULT. */
enum jsonrpc_code {
	JSONRPC_PARSE_ERROR = -32700,
	JSONRPC_INVALID_REQUEST = -32600,
	JSONRPC_METHOD_NOT_FOUND = -32601,
	JSONRPC_INVALID_PARAMS = -32602, /* never sent by this server: a handler says FAULT_INVALID */
	JSONRPC_FAULT = -32000,
};

struct jsonrpc_server;

/* Answers one call. Returns the result (new reference), or NULL with *error set, or NULL when it was deferred. params is Borrowed and may
 * be NULL. Runs in the main context that the server was made in; it neither frees the server nor iterates
 * that context. */
typedef json_t *(*jsonrpc_handler)(json_t *params, void *data, GError **error);

struct jsonrpc_method {
	const char *name;
	jsonrpc_handler handler;
};

/* Listens on `path` with mode 0600, in the thread-default main context. A socket file on which nobody answers
 * any more is replaced; any other file is left alone. `methods` ends with a NULL name and is Borrowed.
 * FAULT_IN_USE when another process answers on `path`, else FAULT_INTERNAL when the socket cannot be made. */
struct jsonrpc_server *jsonrpc_serve(
	const char *path, const struct jsonrpc_method *methods, void *data, GError **error);
/* Closes all connections, dropping answers that were not read yet, and removes the socket file. */
void jsonrpc_server_free(struct jsonrpc_server *server);
CLEANUP_FUNC(struct jsonrpc_server *, jsonrpc_server_free)

/* For a handler: who asks, as far as the kernel tells (unix(7), SO_PEERCRED): "uid 0, process 812 (sluice)", with ", logged in as
 * uid 1000" where that is another one. Owned by the caller. */
char *jsonrpc_asker(const struct jsonrpc_server *server);

/* A call that is answered later. */
struct jsonrpc_later;

/* For a handler, which then returns NULL without an error. Until jsonrpc_answer no more is read of that connection; others go
 * on. */
struct jsonrpc_later *jsonrpc_defer(struct jsonrpc_server *server);
/* Answers, and frees it; takes the result. Once for each, not from a handler, also when the server or the connection is gone. */
void jsonrpc_answer(struct jsonrpc_later *later, json_t *result);

struct jsonrpc_client;

/* Connects lazily: at the first call, and again after the server went away. */
struct jsonrpc_client *jsonrpc_client_new(const char *path);
void jsonrpc_client_free(struct jsonrpc_client *client);
CLEANUP_FUNC(struct jsonrpc_client *, jsonrpc_client_free)

/* One call, blocking, from any one thread at a time. Takes the reference to params (NULL: none). Returns the
 * result (new reference) or NULL with *error: FAULT_UNAVAILABLE when nobody answers within timeout_ms (the
 * call may or may not have run), else the fault that the server named. */
json_t *jsonrpc_call(struct jsonrpc_client *client, const char *method, json_t *params, unsigned timeout_ms,
	GError **error);
