/* A listener that stops ends within seconds, whatever its clients are in the midst of. */
#include "api/server.h"
#include "base/fault.h"
#include "base/pki.h"

#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STOP_S     5 /* a server that takes longer has hung, and SIGALRM ends the test */
#define CROWD      16
#define ROUNDS     16
#define LONG_BYTES (64 << 20)

struct fixture {
	char *dir;
	GTlsCertificate *host; /* Ref */
	struct server *server;
	GSocketConnectable *address; /* Ref */
	gint asked; /* requests that came to the handler */
};

/* ---- the server ---- */

static char *authenticate(struct call *call, void *data, GError **error)
{
	return g_strdup(call_peer(call));
}

static void fail(struct call *call, unsigned status, const GError *error, void *data)
{
	call_answer(call, status ? status : 500);
}

static const struct server_dialect dialect = {.authenticate = authenticate, .fail = fail};

static void answer_long(struct call *call, void *data)
{
	struct fixture *f = data;
	g_autoptr(GBytes) bytes = g_bytes_new_take(g_malloc0(LONG_BYTES), LONG_BYTES);

	f->asked++;
	call_answer_bytes(call, 200, "application/octet-stream", bytes);
}

static void on_gone(void *data)
{
	struct fixture *f = data;

	f->asked--;
}

static void hold(struct call *call, void *data)
{
	struct fixture *f = data;

	f->asked++;
	call_hold(call, on_gone, f);
}

static const struct route routes[] = {
	{.method = "GET", .pattern = "/long", .handler = answer_long},
	{.method = "GET", .pattern = "/held", .handler = hold},
	{},
};

static void start(struct fixture *f)
{
	g_autofree char *cert = g_build_filename(f->dir, "server.pem", NULL),
			*key = g_build_filename(f->dir, "server.key", NULL),
			*ca = g_build_filename(f->dir, "ca.pem", NULL);
	const struct server_config config = {.listen = "127.0.0.1:0",
		.certificate = cert,
		.key = key,
		.client_ca = ca,
		.long_lived = true,
		.dialect = &dialect};
	g_autoptr(GError) error = NULL;

	f->server = server_new(&config, &error);
	g_assert_no_error(error);
	server_add_routes(f->server, routes, f);
	f->address = g_network_address_parse_uri(server_url(f->server), 0, &error);
	g_assert_no_error(error);
}

static void stop(struct fixture *f)
{
	alarm(STOP_S);
	g_clear_pointer(&f->server, server_free);
	alarm(0);
	g_clear_object(&f->address);
}

static void serve(struct fixture *f, unsigned ms)
{
	gint64 end = g_get_monotonic_time() + ms * G_TIME_SPAN_MILLISECOND;

	while (g_get_monotonic_time() < end)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(1000);
}

static void set_up(struct fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;

	f->dir = g_dir_make_tmp("sluice-server-XXXXXX", &error);
	g_assert_no_error(error);
	g_autofree char *pem = g_build_filename(f->dir, "host.pem", NULL),
			*key = g_build_filename(f->dir, "host.key", NULL);
	if (!pki_ensure_ca(f->dir, "test CA", &error) ||
		!pki_ensure_leaf(f->dir, "server", "server", "IP:127.0.0.1", &error) ||
		!pki_ensure_leaf(f->dir, "host", "host1", NULL, &error))
		g_error("certificates: %s", error->message);
	f->host = g_tls_certificate_new_from_files(pem, key, &error);
	g_assert_no_error(error);
	start(f);
}

static void tear_down(struct fixture *f, const void *data)
{
	static const char *const files[] = {
		"ca.pem", "ca.key", "server.pem", "server.key", "host.pem", "host.key"};

	g_clear_object(&f->host);
	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_build_filename(f->dir, files[i], NULL);
		g_unlink(path);
	}
	g_assert_cmpint(g_rmdir(f->dir), ==, 0);
	g_free(f->dir);
}

/* ---- clients ---- */

/* One that speaks TLS in a thread of its own. */
struct client {
	GSocketConnection *tcp; /* Owned */
	GTlsCertificate *certificate; /* Borrowed */
	const char *request; /* NULL: none */
	gint stay; /* atomic: it stops once it has sent the request, or without one, once it sees the server's certificate */
	gint stopped; /* atomic: there it is */
	GThread *thread;
};

static GSocketConnection *dial(struct fixture *f)
{
	g_autoptr(GSocketClient) client = g_socket_client_new();
	g_autoptr(GError) error = NULL;
	GSocketConnection *tcp = g_socket_client_connect(client, f->address, NULL, &error);

	g_assert_no_error(error);
	return tcp;
}

static void stay(struct client *client)
{
	g_atomic_int_set(&client->stopped, 1);
	while (g_atomic_int_get(&client->stay))
		g_usleep(1000);
}

static gboolean on_server_certificate(
	GTlsConnection *tls, GTlsCertificate *certificate, GTlsCertificateFlags errors, void *data)
{
	struct client *client = data;

	if (!client->request)
		stay(client);
	return true;
}

static void *run_client(void *data)
{
	struct client *client = data;
	g_autoptr(GMainContext) context = g_main_context_new();

	g_main_context_push_thread_default(context);
	g_autoptr(GIOStream) tls = g_tls_client_connection_new(G_IO_STREAM(client->tcp), NULL, NULL);
	g_tls_connection_set_certificate(G_TLS_CONNECTION(tls), client->certificate);
	g_signal_connect(tls, "accept-certificate", G_CALLBACK(on_server_certificate), client);
	if (g_tls_connection_handshake(G_TLS_CONNECTION(tls), NULL, NULL) && client->request) {
		g_output_stream_write_all(g_io_stream_get_output_stream(tls), client->request,
			strlen(client->request), NULL, NULL, NULL);
		stay(client);
	}
	g_main_context_pop_thread_default(context);
	return NULL;
}

static void begin(struct fixture *f, struct client *client)
{
	client->tcp = dial(f);
	/* What it does not read soon fills the server's end, too. */
	g_socket_set_option(g_socket_connection_get_socket(client->tcp), SOL_SOCKET, SO_RCVBUF, 4096, NULL);
	client->certificate = f->host;
	client->thread = g_thread_new("client", run_client, client);
}

static void join(struct client *client)
{
	g_atomic_int_set(&client->stay, 0);
	g_thread_join(client->thread);
	g_object_unref(client->tcp);
}

/* ---- tests ---- */

static void test_half_hello(struct fixture *f, const void *data)
{
	/* A TLS record of 512 bytes is announced, a ClientHello begins in it, and it goes no further. */
	static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
	g_autoptr(GSocketConnection) silent = dial(f), half = dial(f), stranger = dial(f);
	GSocketConnection *const said[] = {half, stranger};
	const char *const words[] = {hello, "GET / HTTP/1.1\r\n\r\n"};

	for (size_t i = 0; i < G_N_ELEMENTS(said); i++)
		g_assert_cmpint(g_socket_send(g_socket_connection_get_socket(said[i]), words[i],
					i ? strlen(words[i]) : sizeof hello - 1, NULL, NULL),
			>, 0);
	serve(f, 50);
	stop(f);
	char byte;
	g_assert_cmpint(g_socket_receive(g_socket_connection_get_socket(half), &byte, 1, NULL, NULL), <=, 0);
}

static void test_after_server_hello(struct fixture *f, const void *data)
{
	struct client client = {.stay = 1};

	begin(f, &client);
	while (!g_atomic_int_get(&client.stopped))
		serve(f, 1);
	stop(f);
	join(&client);
}

/* Each round stops at another moment of their handshakes. */
static void test_crowd(struct fixture *f, const void *data)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct client crowd[CROWD] = {};

		if (round)
			start(f);
		for (size_t i = 0; i < CROWD; i++)
			begin(f, &crowd[i]);
		serve(f, 2 * round);
		stop(f);
		for (size_t i = 0; i < CROWD; i++)
			join(&crowd[i]);
	}
}

static void test_unread(struct fixture *f, const void *data)
{
	struct client client = {.stay = 1, .request = "GET /long HTTP/1.1\r\nHost: x\r\n\r\n"};

	begin(f, &client);
	while (!f->asked)
		serve(f, 1);
	serve(f, 200); /* until nothing more goes to it */
	stop(f);
	join(&client);
}

static void test_held(struct fixture *f, const void *data)
{
	struct client client = {.stay = 1, .request = "GET /held HTTP/1.1\r\nHost: x\r\n\r\n"};

	begin(f, &client);
	while (!f->asked)
		serve(f, 1);
	stop(f);
	g_assert_cmpint(f->asked, ==, 0);
	join(&client);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct fixture *f, const void *data);
	} tests[] = {
		{"clients say nothing, half a greeting, or no TLS", test_half_hello},
		{"a client looks at its certificate", test_after_server_hello},
		{"many clients come at once", test_crowd},
		{"a client does not read its answer", test_unread},
		{"a client waits for its answer", test_held},
	};

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
		g_autofree char *path = g_strdup_printf("/server/ends while %s", tests[i].name);
		g_test_add(path, struct fixture, NULL, set_up, tests[i].run, tear_down);
	}
	return g_test_run();
}
