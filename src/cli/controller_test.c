/* What passes for an answer of the controller. Its address is a port of this program, which answers what tests want. */
#include "cli/controller.h"

#include "base/fault.h"
#include "base/pki.h"

#include <glib/gstdio.h>
#include <libsoup/soup.h>
#include <string.h>

struct fixture {
	char *state;
	GMainLoop *loop; /* of the thread that answers */
	GThread *thread;
	gint port; /* atomic; 0: it does not listen yet */
	/* What every request but for a token is answered with; set while none is under way. */
	guint status;
	const char *body;
	gint asked; /* atomic: requests but for tokens */
};

/* ---- who answers ---- */

static void reply(SoupServerMessage *message, guint status, const char *body)
{
	soup_server_message_set_status(message, status, NULL);
	if (status / 100 == 3)
		soup_message_headers_append(
			soup_server_message_get_response_headers(message), "Location", "/elsewhere");
	if (body)
		soup_server_message_set_response(message, "text/html", SOUP_MEMORY_COPY, body, strlen(body));
}

static void on_request(
	SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	struct fixture *f = data;

	if (g_str_equal(path, "/adfs/oauth2/token")) {
		reply(message, 200, "{\"access_token\": \"t\"}");
		return;
	}
	g_atomic_int_inc(&f->asked);
	reply(message, f->status, f->body);
}

static void *serve(void *data)
{
	struct fixture *f = data;
	g_autoptr(GError) error = NULL;

	g_main_context_push_thread_default(g_main_loop_get_context(f->loop));
	g_autoptr(SoupServer) server = soup_server_new(NULL, NULL);
	soup_server_add_handler(server, NULL, on_request, f, NULL);
	soup_server_listen_local(server, 0, SOUP_SERVER_LISTEN_IPV4_ONLY, &error);
	g_assert_no_error(error);
	GSList *uris = soup_server_get_uris(server);
	g_atomic_int_set(&f->port, g_uri_get_port(uris->data));
	g_slist_free_full(uris, (GDestroyNotify)g_uri_unref);
	g_main_loop_run(f->loop);
	soup_server_disconnect(server);
	g_main_context_pop_thread_default(g_main_loop_get_context(f->loop));
	return NULL;
}

/* ---- the state folder ---- */

static const char *const files[] = {"principal.json", "endpoint", "ca.pem", "ca.key"};

static void open_fixture(struct fixture *f)
{
	g_autoptr(GMainContext) context = g_main_context_new();

	f->loop = g_main_loop_new(context, false);
	f->thread = g_thread_new("controller", serve, f);
	while (!g_atomic_int_get(&f->port))
		g_usleep(1000);
	f->state = g_dir_make_tmp("sluice-controller-XXXXXX", NULL);
	g_autofree char *endpoint = g_strdup_printf("http://127.0.0.1:%d\n", g_atomic_int_get(&f->port));
	const char *const texts[] = {"{\"appId\": \"me\", \"password\": \"p\"}", endpoint};
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autofree char *path = g_build_filename(f->state, files[i], NULL);
		g_assert_true(g_file_set_contents(path, texts[i], -1, NULL));
	}
	g_assert_true(pki_ensure_ca(f->state, "test", NULL));
}

static void close_fixture(struct fixture *f)
{
	g_main_loop_quit(f->loop);
	g_thread_join(f->thread);
	g_main_loop_unref(f->loop);
	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_build_filename(f->state, files[i], NULL);
		g_unlink(path);
	}
	g_assert_cmpint(g_rmdir(f->state), ==, 0);
	g_free(f->state);
}
CLEANUP_CLEAR_FUNC(struct fixture, close_fixture)

/* ---- tests ---- */

/* words: NULL when it passes, else what the failure says. */
static void assert_answer(struct fixture *f, guint status, const char *body, bool wanted, const char *words)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(controller_close) struct controller *controller = controller_open(f->state, &error);
	json_auto_t *answer = NULL;

	g_assert_no_error(error);
	f->status = status;
	f->body = body;
	g_test_message("%u %s", status, body ? body : "");
	g_atomic_int_set(&f->asked, 0);
	bool passed = controller_call(controller, "GET", "/networks", NULL, wanted ? &answer : NULL, &error);
	g_assert_cmpint(g_atomic_int_get(&f->asked), ==, 1);
	g_assert_cmpint(passed, ==, words == NULL);
	g_assert_cmpint(answer != NULL, ==, passed && wanted);
	if (!words)
		return;
	g_autofree char *url = g_strdup_printf(
		"http://127.0.0.1:%d/sluice/v1/networks answered", g_atomic_int_get(&f->port));
	g_assert_error(error, FAULT, FAULT_UNAVAILABLE);
	g_assert_nonnull(strstr(error->message, url));
	g_assert_nonnull(strstr(error->message, words));
}

static void test_answers(void)
{
	_cleanup_(close_fixture) struct fixture f = {};

	open_fixture(&f);
	assert_answer(&f, 200, "{\"networks\": []}", true, NULL);
	assert_answer(&f, 204, NULL, false, NULL);
	assert_answer(&f, 200, NULL, true, "answered 200 without JSON");
	assert_answer(&f, 204, NULL, true, "answered 204 without JSON");
	assert_answer(&f, 200, "<html>Welcome</html>", true, "answered 200 without JSON");
	assert_answer(&f, 200, "<html>Welcome</html>", false, "answered 200 without JSON");
	assert_answer(&f, 200, "[1]", true, "answered 200 with other JSON");
	assert_answer(&f, 302, "{}", true, "answered 302");
	assert_answer(&f, 307, NULL, false, "answered 307");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/controller/what answers without being a controller is no success, and named", test_answers);
	return g_test_run();
}
