/* Clients in threads.
 *
 * How they connect. GLib shakes hands in threads of a pool that has 10 at first, here as in the server. When ten connections
 * wait here for the server's threads, and its threads for ten others that have none here, both do nothing until the pools have
 * grown, for many seconds. Clients that are programs of their own do not share a pool; these therefore take turns.
 */
#include "client.h"

#include <string.h>

#define TIMEOUT_S      120
#define CONNECTING_MAX 8

static GMutex turns;
static GCond turn_ends;
static unsigned connecting;

void client_init(struct client *client, const struct server *server, unsigned number)
{
	*client = (struct client){.server = server, .number = number};
	client->session = soup_session_new_with_options("timeout", TIMEOUT_S, "proxy-resolver", NULL, NULL);
	for (int i = 0; i < SORTS; i++)
		client->took_us[i] = g_array_new(FALSE, FALSE, sizeof(int64_t));
}

void client_clear(struct client *client)
{
	g_object_unref(client->session);
	for (int i = 0; i < SORTS; i++)
		g_array_unref(client->took_us[i]);
}

static void begin_connecting(struct client *client)
{
	g_mutex_lock(&turns);
	while (!client->connecting && connecting == CONNECTING_MAX)
		g_cond_wait(&turn_ends, &turns);
	connecting += !client->connecting;
	client->connecting = TRUE;
	g_mutex_unlock(&turns);
}

static void end_connecting(struct client *client)
{
	g_mutex_lock(&turns);
	connecting -= client->connecting;
	client->connecting = FALSE;
	g_cond_signal(&turn_ends);
	g_mutex_unlock(&turns);
}

static void on_network_event(
	SoupMessage *message, GSocketClientEvent event, GIOStream *connection, void *client)
{
	if (event == G_SOCKET_CLIENT_CONNECTING)
		begin_connecting(client);
	else if (event == G_SOCKET_CLIENT_TLS_HANDSHAKED)
		end_connecting(client);
}

static SoupMessage *make_message(
	const struct client *client, const char *method, const char *path, const char *body)
{
	g_autofree char *url = g_str_has_prefix(path, "https:")
				       ? g_strdup(path)
				       : g_strconcat(client->server->endpoint, path, NULL);
	SoupMessage *message = soup_message_new(method, url);

	if (client->server->token) {
		g_autofree char *bearer = g_strconcat("Bearer ", client->server->token, NULL);
		soup_message_headers_append(
			soup_message_get_request_headers(message), "Authorization", bearer);
	}
	if (body) {
		g_autoptr(GBytes) bytes = g_bytes_new(body, strlen(body));
		const char *type = *body == '{' ? "application/json" : "application/x-www-form-urlencoded";
		soup_message_set_request_body_from_bytes(message, type, bytes);
	}
	return message;
}

unsigned client_ask(struct client *client, enum sort sort, const char *method, const char *path,
	const char *body, json_t **ret, char **ret_async)
{
	g_autoptr(SoupMessage) message = make_message(client, method, path, body);
	g_autoptr(GError) error = NULL;
	g_signal_connect(message, "network-event", G_CALLBACK(on_network_event), client);
	int64_t from = g_get_monotonic_time();
	g_autoptr(GBytes) bytes = soup_session_send_and_read(client->session, message, NULL, &error);
	int64_t took = g_get_monotonic_time() - from;
	end_connecting(client); /* which may have failed */

	if (ret)
		*ret = bytes ? json_loadb(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), 0, NULL)
			     : NULL;
	if (ret_async)
		*ret_async = g_strdup(soup_message_headers_get_one(
			soup_message_get_response_headers(message), "Azure-AsyncOperation"));
	if (!bytes) {
		g_printerr("%s %s: %s\n", method, path, error->message);
		client->errors++;
		return 0;
	}
	g_array_append_val(client->took_us[sort], took);
	return soup_message_get_status(message);
}

gboolean client_wait(struct client *client, const char *async)
{
	while (async) {
		json_auto_t *answer = NULL;
		unsigned status = client_ask(client, SORT_WAIT, "GET", async, NULL, &answer, NULL);
		const char *state = json_string_value(json_object_get(answer, "status"));
		if (status != 200 || !state)
			return FALSE;
		if (g_str_equal(state, "InProgress") || g_str_equal(state, "Running"))
			continue;
		if (g_str_equal(state, "Succeeded"))
			return TRUE;
		g_autofree char *why = json_dumps(json_object_get(answer, "error"), JSON_COMPACT);
		g_printerr("%s: %s\n", state, why ? why : "");
		return FALSE;
	}
	return TRUE;
}

/* ---- many of them ---- */

struct job {
	struct client client;
	client_work_fn work;
	void *data;
};

static void *run(void *data)
{
	struct job *job = data;

	job->work(&job->client, job->data);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

void clients_run(
	const struct server *server, unsigned n, client_work_fn work, void *data, struct figures *ret)
{
	g_autofree struct job *jobs = g_new0(struct job, n);
	g_autofree GThread **threads = g_new(GThread *, n);
	int64_t from = g_get_monotonic_time();

	*ret = (struct figures){};
	for (int s = 0; s < SORTS; s++)
		ret->took_us[s] = g_array_new(FALSE, FALSE, sizeof(int64_t));
	for (unsigned i = 0; i < n; i++) {
		jobs[i] = (struct job){.work = work, .data = data};
		client_init(&jobs[i].client, server, i);
		threads[i] = g_thread_new("client", run, &jobs[i]);
	}
	for (unsigned i = 0; i < n; i++)
		g_thread_join(threads[i]);
	ret->seconds = (double)(g_get_monotonic_time() - from) / G_USEC_PER_SEC;
	for (unsigned i = 0; i < n; i++) {
		struct client *client = &jobs[i].client;
		for (int s = 0; s < SORTS; s++)
			g_array_append_vals(
				ret->took_us[s], client->took_us[s]->data, client->took_us[s]->len);
		ret->errors += client->errors;
		client_clear(client);
	}
	for (int s = 0; s < SORTS; s++)
		g_array_sort(ret->took_us[s], compare);
}

void figures_clear(struct figures *figures)
{
	for (int s = 0; s < SORTS; s++)
		g_array_unref(figures->took_us[s]);
}

double figures_percentile(const struct figures *figures, enum sort sort, double percent)
{
	const GArray *took = figures->took_us[sort];

	if (!took->len)
		return 0;
	return (double)g_array_index(took, int64_t, (guint)((took->len - 1) * percent / 100)) / 1000;
}

double figures_rate(const struct figures *figures, enum sort sort)
{
	return figures->took_us[sort]->len / figures->seconds;
}
