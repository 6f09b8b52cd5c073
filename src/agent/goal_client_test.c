/* Goals and reports over TLS, with a controller in the test. Certificates are made with openssl(1). */
#include "agent/goal_client.h"

#include "agent/test_world.h"
#include "base/fault.h"

#include <libsoup/soup.h>
#include <stdlib.h>
#include <string.h>

/* Made once for all tests. */
struct identities {
	char *folder;
	char *ca, *cert, *key; /* of host-a, signed by the CA */
	char *server_cert, *server_key; /* of 127.0.0.1, signed by the CA */
	char *stranger_cert, *stranger_key; /* signed by itself */
};

/* The controller runs in a thread of its own: both ends of a TLS handshake in one thread could wait for each
 * other. */
struct fixture {
	const struct identities *ids;
	GThread *thread; /* the controller's; NULL: there is none */
	GMainLoop *loop; /* of that thread */
	char *server_cert, *server_key;
	unsigned port;
	gint listening, ended;
	GMutex lock; /* guards the controller's side */
	struct goal_client *client;
	struct goal_client_config config;
	char *url;
	/* the controller's side */
	struct goal *offer; /* NULL: nothing newer */
	const char *protocol;
	guint refuse; /* status; 0: none */
	gint polls, reports;
	char *peer; /* CN of the client's certificate, as last seen */
	char *after, *host; /* as last asked for; host: NULL when it was left out */
	int64_t reported; /* version in the last report */
	const char *wanted; /* VMs whose console logs the next answer asks for */
	gint brought; /* logs; the fourth is refused */
	char *log; /* "PATH: TEXT" of the last one */
	/* the agent's side */
	int64_t version; /* of the last goal taken */
	gint goals;
};

/* ---- certificates ---- */

static void shell(const char *folder, const char *command)
{
	g_autofree char *line = g_strdup_printf("cd '%s' && { %s; } >/dev/null 2>&1", folder, command);

	if (system(line) != 0)
		g_error("openssl failed: %s", command);
}

static char *in(const struct identities *ids, const char *name)
{
	return g_build_filename(ids->folder, name, NULL);
}

static void make_identities(struct identities *ids)
{
	ids->folder = g_dir_make_tmp("goal-client-XXXXXX", NULL);
	shell(ids->folder, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
			   "-subj /CN=test-ca -keyout ca.key -out ca.pem");
	shell(ids->folder, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
			   "-subj /CN=stranger -addext subjectAltName=IP:127.0.0.1 -keyout stranger.key -out "
			   "stranger.pem");
	shell(ids->folder, "for n in host-a server; do openssl req -newkey ec -pkeyopt "
			   "ec_paramgen_curve:P-256 -nodes -subj /CN=$n "
			   "-keyout $n.key -out $n.csr && printf subjectAltName=IP:127.0.0.1 >ext && openssl "
			   "x509 -req -days 2 "
			   "-in $n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile ext -out $n.pem || "
			   "exit 1; done");
	ids->ca = in(ids, "ca.pem");
	ids->cert = in(ids, "host-a.pem");
	ids->key = in(ids, "host-a.key");
	ids->server_cert = in(ids, "server.pem");
	ids->server_key = in(ids, "server.key");
	ids->stranger_cert = in(ids, "stranger.pem");
	ids->stranger_key = in(ids, "stranger.key");
}

static void remove_identities(struct identities *ids)
{
	char **texts[] = {&ids->ca, &ids->cert, &ids->key, &ids->server_cert, &ids->server_key,
		&ids->stranger_cert, &ids->stranger_key};

	g_autofree char *command = g_strdup_printf("rm -r '%s'", ids->folder);
	g_assert_cmpint(system(command), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		g_free(*texts[i]);
	g_free(ids->folder);
}

/* ---- the controller ---- */

static void answer(struct fixture *f, SoupServerMessage *message, guint status, const char *body)
{
	if (f->protocol)
		soup_message_headers_append(
			soup_server_message_get_response_headers(message), "Sluice-Protocol", f->protocol);
	soup_server_message_set_status(message, status, NULL);
	if (body)
		soup_server_message_set_response(
			message, "application/json", SOUP_MEMORY_COPY, body, strlen(body));
}

/* Whether the agent asks for goals of the store that the offer is of. */
static bool is_ours(const struct fixture *f)
{
	return g_strcmp0(f->host, f->offer->host) == 0;
}

static void on_goal_request(
	SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	struct fixture *f = data;
	SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
	GTlsCertificate *peer = soup_server_message_get_tls_peer_certificate(message);
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&f->lock);

	g_atomic_int_inc(&f->polls);
	g_assert_cmpstr(soup_message_headers_get_one(headers, "Sluice-Protocol"), ==, "1");
	g_free(f->after);
	f->after = g_strdup(g_hash_table_lookup(query, "after"));
	g_free(f->host);
	f->host = g_strdup(g_hash_table_lookup(query, "host"));
	g_clear_pointer(&f->peer, g_free);
	if (peer)
		g_object_get(peer, "subject-name", &f->peer, NULL);
	if (f->wanted)
		soup_message_headers_append(
			soup_server_message_get_response_headers(message), "Sluice-Consoles", f->wanted);
	f->wanted = NULL;
	if (f->refuse) {
		answer(f, message, f->refuse, "{\"fault\": \"denied\", \"message\": \"host h was removed\"}");
	} else if (f->offer && (f->offer->version != atoi(f->after) || !is_ours(f))) {
		json_auto_t *json = shape_encode(&goal_shape, f->offer);
		char *text = json_dumps(json, 0);
		answer(f, message, 200, text);
		free(text);
	} else {
		answer(f, message, 204, NULL);
	}
}

static void on_report_request(
	SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	struct fixture *f = data;
	SoupMessageBody *body = soup_server_message_get_request_body(message);
	json_auto_t *json = json_loadb(body->data, (size_t)body->length, 0, NULL);
	_cleanup_(report_free) struct report *report = shape_decode(&report_shape, json, SHAPE_STRICT, NULL);

	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&f->lock);

	g_assert_true(soup_server_message_get_method(message) == SOUP_METHOD_PUT);
	g_assert_nonnull(report);
	f->reported = report->received;
	g_atomic_int_inc(&f->reports);
	answer(f, message, f->refuse ? f->refuse : 204, NULL);
}

static void on_console_request(
	SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	struct fixture *f = data;
	SoupMessageBody *body = soup_server_message_get_request_body(message);
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&f->lock);

	g_assert_true(soup_server_message_get_method(message) == SOUP_METHOD_PUT);
	g_free(f->log);
	f->log = g_strdup_printf("%s: %.*s", path, (int)body->length, body->data);
	g_atomic_int_inc(&f->brought);
	answer(f, message, f->brought < 4 ? 204 : 404, NULL);
}

static gboolean accept_any(
	SoupServerMessage *message, GTlsCertificate *certificate, GTlsCertificateFlags errors, void *data)
{
	return true;
}

static void on_started(SoupServer *server, SoupServerMessage *message, void *data)
{
	g_signal_connect(message, "accept-certificate", G_CALLBACK(accept_any), NULL);
}

static SoupServer *listen_on(struct fixture *f)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GTlsCertificate) certificate =
		g_tls_certificate_new_from_files(f->server_cert, f->server_key, &error);

	g_assert_no_error(error);
	SoupServer *server = soup_server_new(
		"tls-certificate", certificate, "tls-auth-mode", G_TLS_AUTHENTICATION_REQUESTED, NULL);
	g_signal_connect(server, "request-started", G_CALLBACK(on_started), NULL);
	soup_server_add_handler(server, "/agent/v1/goal", on_goal_request, f, NULL);
	soup_server_add_handler(server, "/agent/v1/report", on_report_request, f, NULL);
	soup_server_add_handler(server, "/agent/v1/console", on_console_request, f, NULL);
	soup_server_listen_local(
		server, f->port, SOUP_SERVER_LISTEN_HTTPS | SOUP_SERVER_LISTEN_IPV4_ONLY, &error);
	g_assert_no_error(error);
	GSList *uris = soup_server_get_uris(server);
	f->port = (unsigned)g_uri_get_port(uris->data);
	g_slist_free_full(uris, (GDestroyNotify)g_uri_unref);
	return server;
}

static void *run_controller(void *data)
{
	struct fixture *f = data;
	GMainContext *context = g_main_loop_get_context(f->loop);

	g_main_context_push_thread_default(context);
	SoupServer *server = listen_on(f);
	g_atomic_int_set(&f->listening, 1);
	g_main_loop_run(f->loop);
	soup_server_disconnect(server);
	g_object_unref(server);
	g_main_context_pop_thread_default(context);
	g_atomic_int_set(&f->ended, 1);
	return NULL;
}

static void start_controller(struct fixture *f, const char *cert, const char *key)
{
	g_autoptr(GMainContext) context = g_main_context_new();

	f->server_cert = (char *)cert;
	f->server_key = (char *)key;
	f->loop = g_main_loop_new(context, false);
	f->listening = f->ended = 0;
	f->thread = g_thread_new("controller", run_controller, f);
	while (!g_atomic_int_get(&f->listening))
		g_usleep(1000);
}

static gboolean quit(void *loop)
{
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

static void stop_controller(struct fixture *f)
{
	g_main_context_invoke(g_main_loop_get_context(f->loop), quit, f->loop);
	while (!g_atomic_int_get(&f->ended))
		world_run(5);
	g_thread_join(g_steal_pointer(&f->thread));
	g_clear_pointer(&f->loop, g_main_loop_unref);
}

/* ---- the agent's side ---- */

static void on_goal(struct goal *goal, void *data)
{
	struct fixture *f = data;

	f->version = goal->version;
	f->goals++;
	g_assert_cmpstr(world_vm(goal)->name, ==, "myvm");
	goal_free(goal);
}

static struct report *on_report(void *data)
{
	struct report *report = report_new();

	report->host = g_strdup("host-a");
	report->received = ((struct fixture *)data)->version;
	return report;
}

static void on_console(const char *vm, void *data)
{
	struct fixture *f = data;
	g_autofree char *text = g_strdup_printf("log of %s", vm);
	g_autoptr(GBytes) log = g_bytes_new(text, strlen(text));

	goal_client_bring_console(f->client, vm, log);
}

static void start_client(struct fixture *f, int64_t after)
{
	_cleanup_(goal_free) struct goal *goal = after < 0 ? NULL : world_goal(after, false);
	g_autoptr(GError) error = NULL;

	f->url = g_strdup_printf("https://127.0.0.1:%u/", f->port);
	f->config = (struct goal_client_config){.url = f->url,
		.certificate = f->ids->cert,
		.key = f->ids->key,
		.ca = f->ids->ca,
		.report_ms = 60000,
		.retry_max_ms = 50,
		.goal = on_goal,
		.report = on_report,
		.console = on_console,
		.data = f};
	f->client = goal_client_new(&f->config, goal, &error);
	g_assert_no_error(error);
}

static void offer(struct fixture *f, int64_t version)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&f->lock);

	if (f->offer)
		goal_free(f->offer);
	f->offer = world_goal(version, false);
}

/* Runs the main loop until *value is at least `wanted`. */
static void wait_for(gint *value, int wanted)
{
	int64_t deadline = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;

	while (g_atomic_int_get(value) < wanted && g_get_monotonic_time() < deadline)
		world_run(5);
	g_assert_cmpint(g_atomic_int_get(value), >=, wanted);
}

static void setup(struct fixture *f, gconstpointer data)
{
	f->ids = data;
	f->protocol = "1";
	g_mutex_init(&f->lock);
	start_controller(f, f->ids->server_cert, f->ids->server_key);
}

static void teardown(struct fixture *f, gconstpointer data)
{
	goal_client_free(f->client);
	stop_controller(f);
	g_mutex_clear(&f->lock);
	if (f->offer)
		goal_free(f->offer);
	g_free(f->url);
	g_free(f->peer);
	g_free(f->after);
	g_free(f->host);
	g_free(f->log);
}

/* The controller saw the host's certificate, and is asked for goals after this version. */
static void assert_seen(struct fixture *f, const char *after)
{
	int polls = g_atomic_int_get(&f->polls);

	wait_for(&f->polls, polls + 2);
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&f->lock);
	g_assert_nonnull(strstr(f->peer, "CN=host-a"));
	g_assert_cmpstr(f->after, ==, after);
}

static void set_refuse(struct fixture *f, guint status)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&f->lock);

	f->refuse = status;
}

static void set_protocol(struct fixture *f, const char *protocol)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&f->lock);

	f->protocol = protocol;
}

/* ---- tests ---- */

static void test_goals(struct fixture *f, gconstpointer data)
{
	offer(f, 3);
	start_client(f, -1);
	wait_for(&f->goals, 1);
	g_assert_cmpint(f->version, ==, 3);
	assert_seen(f, "3");
	offer(f, 9);
	wait_for(&f->goals, 2);
	g_assert_cmpint(f->version, ==, 9);
	g_assert_true(goal_client_is_connected(f->client));
}

static void test_stored(struct fixture *f, gconstpointer data)
{
	offer(f, 7);
	start_client(f, 7);
	wait_for(&f->polls, 3);
	g_assert_cmpint(f->goals, ==, 0);
	assert_seen(f, "7");
}

static void set_store(struct fixture *f, const char *host)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&f->lock);

	g_free(f->offer->host);
	f->offer->host = g_strdup(host);
}

static void assert_host(struct fixture *f, const char *host)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&f->lock);

	g_assert_cmpstr(f->host, ==, host);
}

static void test_other_store(struct fixture *f, gconstpointer data)
{
	start_client(f, -1);
	wait_for(&f->polls, 2);
	assert_host(f, NULL);
	offer(f, 5000);
	wait_for(&f->goals, 1);
	assert_seen(f, "5000");
	assert_host(f, "host-uid");
	set_store(f, "a uid & more"); /* the same version, of another store */
	wait_for(&f->goals, 2);
	assert_seen(f, "5000");
	assert_host(f, "a uid & more");
	offer(f, 900);
	wait_for(&f->goals, 3);
	assert_seen(f, "900");
	g_assert_cmpint(f->version, ==, 900);
}

static void test_reports(struct fixture *f, gconstpointer data)
{
	start_client(f, -1);
	wait_for(&f->reports, 1);
	world_run(150);
	g_assert_cmpint(f->reports, ==, 1);
	f->version = 5;
	for (unsigned i = 0; i < 10; i++)
		goal_client_touch(f->client);
	wait_for(&f->reports, 2);
	world_run(150);
	g_assert_cmpint(f->reports, ==, 2);
	g_assert_cmpint(f->reported, ==, 5);
}

static void want(struct fixture *f, const char *vms)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&f->lock);

	f->wanted = vms;
}

static void test_consoles(struct fixture *f, gconstpointer data)
{
	want(f, "vm-1,vm-2");
	start_client(f, -1);
	wait_for(&f->brought, 2);
	want(f, "vm 3");
	wait_for(&f->brought, 3);
	g_assert_cmpint(f->brought, ==, 3);
	g_assert_cmpstr(f->log, ==, "/agent/v1/console/vm 3: log of vm 3");
	/* One that is refused is not tried again, and no outage. */
	want(f, "vm-1");
	wait_for(&f->brought, 4);
	wait_for(&f->polls, f->polls + 3);
	g_assert_cmpint(f->brought, ==, 4);
	g_assert_true(goal_client_is_connected(f->client));
}

static void test_outage(struct fixture *f, gconstpointer data)
{
	stop_controller(f);
	offer(f, 2);
	start_client(f, 1);
	world_run(200);
	g_assert_false(goal_client_is_connected(f->client));
	start_controller(f, f->ids->server_cert, f->ids->server_key);
	wait_for(&f->goals, 1);
	wait_for(&f->reports, 1);
	world_run(100);
	g_assert_true(goal_client_is_connected(f->client));
}

/* Of the client's thread, which is the test's. */
static char *last_warning; /* Owned */

static GLogWriterOutput on_log(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data)
{
	for (gsize i = 0; (level & G_LOG_LEVEL_WARNING) && i < n; i++)
		if (g_str_equal(fields[i].key, "MESSAGE")) {
			g_free(last_warning);
			last_warning = g_strdup(fields[i].value);
		}
	return g_log_writer_default(level, fields, n, NULL);
}

static void test_refused(struct fixture *f, gconstpointer data)
{
	set_refuse(f, 503);
	offer(f, 1);
	start_client(f, -1);
	wait_for(&f->polls, 3);
	g_assert_cmpint(f->goals, ==, 0);
	g_assert_nonnull(strstr(last_warning, "the controller answered 503"));
	g_assert_nonnull(strstr(last_warning, ": host h was removed; there is no goal yet"));
	set_refuse(f, 0);
	wait_for(&f->goals, 1);
}

static void test_protocol(struct fixture *f, gconstpointer data)
{
	set_protocol(f, "2");
	offer(f, 1);
	start_client(f, -1);
	wait_for(&f->polls, 2);
	set_protocol(f, NULL);
	int polls = f->polls;
	wait_for(&f->polls, polls + 2);
	g_assert_cmpint(f->goals, ==, 0);
}

static void test_stranger(struct fixture *f, gconstpointer data)
{
	stop_controller(f);
	start_controller(f, f->ids->stranger_cert, f->ids->stranger_key);
	offer(f, 1);
	start_client(f, -1);
	world_run(300);
	g_assert_cmpint(f->goals, ==, 0);
	g_assert_cmpint(f->polls, ==, 0);
	g_assert_cmpint(f->reports, ==, 0);
}

static void test_configuration(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	struct goal_client_config config = {.url = "http://127.0.0.1:1/",
		.certificate = f->ids->cert,
		.key = f->ids->key,
		.ca = f->ids->ca};

	g_assert_null(goal_client_new(&config, NULL, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_clear_error(&error);
	config.url = "https://127.0.0.1:1/";
	config.key = f->ids->ca;
	g_assert_null(goal_client_new(&config, NULL, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_assert_nonnull(strstr(error->message, f->ids->cert));
}

static const struct identities *identities;

static void add(const char *name, void (*fn)(struct fixture *, gconstpointer))
{
	g_test_add(name, struct fixture, identities, setup, fn, teardown);
}

int main(int argc, char **argv)
{
	struct identities ids = {};
	int status;

	g_log_set_writer_func(on_log, NULL, NULL);
	g_test_init(&argc, &argv, NULL);
	g_autofree char *openssl = g_find_program_in_path("openssl");
	if (!openssl) {
		g_print("1..0 # SKIP openssl(1) is not installed\n");
		return 0;
	}
	g_log_set_always_fatal(G_LOG_FATAL_MASK);
	make_identities(&ids);
	identities = &ids;
	add("/goal-client/newer goals come one by one, asked for with the host's certificate", test_goals);
	add("/goal-client/a goal that is there already is not asked for again", test_stored);
	add("/goal-client/a store that is another one, or was set back, is followed", test_other_store);
	add("/goal-client/many changes make one report", test_reports);
	add("/goal-client/console logs are brought as answers ask for them", test_consoles);
	add("/goal-client/a controller that is away is asked until it is back", test_outage);
	add("/goal-client/a controller that refuses is asked again", test_refused);
	add("/goal-client/another protocol is not spoken", test_protocol);
	add("/goal-client/a controller that our CA did not sign is told nothing", test_stranger);
	add("/goal-client/plain http and a wrong key are refused at the start", test_configuration);
	status = g_test_run();
	g_free(last_warning);
	remove_identities(&ids);
	return status;
}
