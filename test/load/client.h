/* Clients that make requests at the same time, each in a thread of its own, and how long their requests took. */
#pragma once
#include <glib.h>
#include <jansson.h>
#include <libsoup/soup.h>

/* What requests are told apart by in figures. */
enum sort { SORT_READ, SORT_LIST, SORT_WRITE, SORT_WAIT, SORTS };

struct server {
	const char *endpoint; /* "https://127.0.0.1:8443" */
	const char *token; /* NULL: none is needed */
};

struct client {
	const struct server *server;
	unsigned number;
	gboolean connecting; /* is among those who do */
	SoupSession *session;
	GArray *took_us[SORTS]; /* of int64_t */
	unsigned errors; /* requests that no server answered */
};

void client_init(struct client *client, const struct server *server, unsigned number);
void client_clear(struct client *client);

/* The answer's status; 0: nobody answered. body: text or NULL. *ret (may be NULL): the answer's JSON, or NULL.
 * *ret_async (may be NULL): where the operation's state is, or NULL; Owned. */
unsigned client_ask(struct client *client, enum sort sort, const char *method, const char *path,
	const char *body, json_t **ret, char **ret_async);
/* Waits for the operation's end; whether it succeeded. NULL: it is over. Prints why it failed. */
gboolean client_wait(struct client *client, const char *async);

/* Runs n clients of a server at once, each through `work`. */
typedef void (*client_work_fn)(struct client *client, void *data);
struct figures {
	double seconds;
	GArray *took_us[SORTS]; /* of int64_t, sorted */
	unsigned errors;
};
void clients_run(
	const struct server *server, unsigned n, client_work_fn work, void *data, struct figures *ret);
void figures_clear(struct figures *figures);
/* In ms; 0 when there are none. */
double figures_percentile(const struct figures *figures, enum sort sort, double percent);
double figures_rate(const struct figures *figures, enum sort sort); /* a second */
