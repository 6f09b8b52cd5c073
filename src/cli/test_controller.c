/* The thread that answers, and the folder that leads to it. */
#include "cli/test_controller.h"

#include "base/pki.h"

#include <glib/gstdio.h>
#include <string.h>

void test_controller_reply(SoupServerMessage *message, guint status, const char *body)
{
	soup_server_message_set_status(message, status, NULL);
	if (body)
		soup_server_message_set_response(
			message, "application/json", SOUP_MEMORY_COPY, body, strlen(body));
}

static void on_request(
	SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	struct test_controller *c = data;

	if (g_str_equal(path, "/adfs/oauth2/token"))
		test_controller_reply(message, 200, "{\"access_token\": \"t\"}");
	else
		c->answer(message, path, query, c->data);
}

static void *serve(void *data)
{
	struct test_controller *c = data;
	g_autoptr(GError) error = NULL;

	g_main_context_push_thread_default(g_main_loop_get_context(c->loop));
	g_autoptr(SoupServer) server = soup_server_new(NULL, NULL);
	soup_server_add_handler(server, NULL, on_request, c, NULL);
	soup_server_listen_local(server, 0, SOUP_SERVER_LISTEN_IPV4_ONLY, &error);
	g_assert_no_error(error);
	GSList *uris = soup_server_get_uris(server);
	g_atomic_int_set(&c->port, g_uri_get_port(uris->data));
	g_slist_free_full(uris, (GDestroyNotify)g_uri_unref);
	g_main_loop_run(c->loop);
	soup_server_disconnect(server);
	g_main_context_pop_thread_default(g_main_loop_get_context(c->loop));
	return NULL;
}

static const char *const files[] = {"principal.json", "endpoint", "ca.pem", "ca.key"};

void test_controller_open(struct test_controller *c, test_controller_answer answer, void *data)
{
	g_autoptr(GMainContext) context = g_main_context_new();

	*c = (struct test_controller){
		.answer = answer, .data = data, .loop = g_main_loop_new(context, false)};
	c->thread = g_thread_new("controller", serve, c);
	while (!g_atomic_int_get(&c->port))
		g_usleep(1000);
	c->state = g_dir_make_tmp("sluice-controller-XXXXXX", NULL);
	g_autofree char *endpoint = g_strdup_printf("http://127.0.0.1:%d\n", g_atomic_int_get(&c->port));
	const char *const texts[] = {"{\"appId\": \"me\", \"password\": \"p\"}", endpoint};
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autofree char *path = g_build_filename(c->state, files[i], NULL);
		g_assert_true(g_file_set_contents(path, texts[i], -1, NULL));
	}
	g_assert_true(pki_ensure_ca(c->state, "test", NULL));
}

void test_controller_assert(int (*run)(const char *words), test_controller_answer answer, void *data,
	const struct test_case *cases, size_t n)
{
	_cleanup_(test_controller_close) struct test_controller controller;

	test_cases_answer(run);
	test_controller_open(&controller, answer, data);
	g_setenv("SLUICE_STATE", controller.state, true);
	test_cases_assert(cases, n);
}

void test_controller_close(struct test_controller *c)
{
	g_main_loop_quit(c->loop);
	g_thread_join(c->thread);
	g_main_loop_unref(c->loop);
	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_build_filename(c->state, files[i], NULL);
		g_unlink(path);
	}
	g_assert_cmpint(g_rmdir(c->state), ==, 0);
	g_free(c->state);
}
