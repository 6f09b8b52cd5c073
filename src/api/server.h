/* An HTTPS listener that hands requests to handlers by a table of routes.
 *
 * How it works. Everything runs in the thread-default main context of the thread that made the server. A
 * request is read whole (SERVER_BODY_MAX at most), its path is split and matched with the route tables in the
 * order in which they were added, the dialect says who asks, and the route's handler answers, now or later
 * (call_hold). Failures take the shape that the dialect gives them, also those that no handler sees (404,
 * 405, 413, 401).
 *
 * With a client CA, connections without a certificate of that CA, made for clients, do not get past the
 * handshake; call_peer() is its common name.
 */
#pragma once
#include "api/call.h"
#include "base/cleanup.h"

#define SERVER_BODY_MAX (4 * 1024 * 1024)

struct server;

typedef void (*call_handler)(struct call *call, void *data);

enum route_flags {
	ROUTE_OPEN = 1 << 0, /* anybody may call it */
};

struct route {
	const char *method;
	const char *pattern; /* "/hosts/{name}": see api/route.h */
	call_handler handler;
	unsigned flags; /* enum route_flags */
};

/* What one family of clients wants of every answer. */
struct server_dialect {
	/* First thing of every call: headers that each answer has. May be NULL. */
	void (*begin)(struct call *call, void *data);
	/* Who asks: Owned name, or NULL with *error. */
	char *(*authenticate)(struct call *call, void *data, GError **error);
	/* Answers with a failure. status 0: what the error's code stands for. */
	void (*fail)(struct call *call, unsigned status, const GError *error, void *data);
	/* Last thing of every call that is answered, before the answer goes out. May be NULL. */
	void (*answered)(struct call *call, unsigned status, void *data);
};

struct server_config {
	const char *listen; /* "127.0.0.1:8443", "[::1]:0" (0: any free port) */
	const char *certificate, *key; /* PEM files */
	const char *client_ca; /* PEM file, or NULL: clients need no certificate */
	/* A few clients with connections that last. Else, with a libsoup before 3.3, every answer ends its
	 * connection: those versions keep a connection for ever that its client closed between two requests.
	 */
	bool long_lived;
	const struct server_dialect *dialect; /* Borrowed */
	void *dialect_data; /* Borrowed */
};

/* Listens, but answers nothing before the main loop runs: add routes first. */
struct server *server_new(const struct server_config *config, GError **error);
/* Stops, within seconds whatever clients do: calls that are held end with their `gone`, and handshakes fail. Iterates the
 * main context for these. */
void server_free(struct server *server);
CLEANUP_FUNC(struct server *, server_free)

/* Ends with a NULL method; Borrowed. `data` goes to the handlers. */
void server_add_routes(struct server *server, const struct route *routes, void *data);
/* "https://127.0.0.1:8443", with the real port. Borrowed. */
const char *server_url(const struct server *server);
