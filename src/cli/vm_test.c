/* What `sluice vm` makes of a controller's answers. Its address is a port of this program. */
#include "cli/cli.h"

#include "base/pki.h"

#include <glib/gstdio.h>
#include <libsoup/soup.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VM(uid, name, power)                                                                                 \
	"{\"uid\": \"" uid "\", \"name\": \"" name                                                           \
	"\", \"group\": \"rg\", \"host\": \"a\", \"power\": \"" power "\", \"migration\": null}"
#define OPERATION(state, more) "{\"uid\": \"op\", \"verb\": \"migrate\", \"state\": \"" state "\", " more "}"
#define MOVING(phase, percent)                                                                               \
	"\"virtualMachine\": {\"uid\": \"u1\", \"name\": \"web\", \"group\": \"rg\", \"migration\": "        \
	"{\"phase\": \"" phase "\", \"percent\": " percent ", \"message\": \"waits\"}}"

struct fixture {
	char *state;
	GMainLoop *loop; /* of the thread that answers */
	GThread *thread;
	gint port; /* atomic; 0: it does not listen yet */
	unsigned looks; /* at the operation; the thread's */
};

/* ---- the controller ---- */

static const char *answer_post(struct fixture *f, SoupServerMessage *message, guint *status)
{
	SoupMessageBody *body = soup_server_message_get_request_body(message);
	g_autofree char *text = g_strndup(body->data, (gsize)body->length);

	f->looks = 0;
	*status = strstr(text, "full") ? 409 : 202;
	return *status == 202 ? OPERATION("running", MOVING("preparing", "0"))
			      : "{\"error\": {\"code\": \"AllocationFailed\", \"message\": \"no room\"}}";
}

static void on_request(
	SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	static const char vms[] = "{\"virtualMachines\": [" VM("u1", "web", "running") ", " VM(
		"u2", "twin", "running") ", " VM("u3", "twin", "running") "]}";
	static const char of_a[] =
		"{\"virtualMachines\": [" VM("u1", "web", "running") ", " VM("u4", "db", "stopped") "]}";
	const char *method = soup_server_message_get_method(message);
	struct fixture *f = data;
	const char *text = "{\"access_token\": \"t\"}";
	guint status = 200;

	if (g_str_has_suffix(path, "/virtual-machines"))
		text = query ? of_a : vms;
	else if (g_str_equal(method, "POST") && g_str_has_suffix(path, "/u1/migrate"))
		text = answer_post(f, message, &status);
	else if (g_str_has_suffix(path, "/u1/migrate"))
		text = OPERATION("running", MOVING("cancelling", "0"));
	else if (g_str_has_suffix(path, "/operations/op"))
		text = f->looks++ ? OPERATION("succeeded",
					    "\"virtualMachine\": {\"name\": \"web\", \"group\": \"rg\", "
					    "\"host\": \"b\"}")
				  : OPERATION("running", MOVING("moving", "42"));
	soup_server_message_set_status(message, status, NULL);
	soup_server_message_set_response(message, "application/json", SOUP_MEMORY_COPY, text, strlen(text));
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

static const char *const files[] = {"principal.json", "endpoint", "ca.pem", "ca.key"};

static void open_fixture(struct fixture *f)
{
	g_autoptr(GMainContext) context = g_main_context_new();

	f->loop = g_main_loop_new(context, false);
	f->thread = g_thread_new("controller", serve, f);
	while (!g_atomic_int_get(&f->port))
		g_usleep(1000);
	f->state = g_dir_make_tmp("sluice-vm-XXXXXX", NULL);
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

/* ---- tests ---- */

/* In the subprocess; "^C " in front: as if that was pressed at once. */
static int run_case(const char *line)
{
	bool interrupted = g_str_has_prefix(line, "^C ");
	g_auto(GStrv) argv = g_strsplit(interrupted ? line + 3 : line, " ", -1);
	g_autofree char **borrowed = g_memdup2(argv, sizeof *argv * (g_strv_length(argv) + 1));
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	if (interrupted && sigprocmask(SIG_BLOCK, &set, NULL) == 0)
		raise(SIGINT);
	int status = cli_vm((int)g_strv_length(argv), borrowed);
	fflush(stdout);
	fprintf(stderr, "status %d\n", status);
	return status;
}

static const struct {
	const char *words, *output, *errors; /* patterns */
} cases[] = {
	{"vm list", "*rg/web*a*running*rg/twin*", "status 0\n"},
	{"vm migrate web", "rg/web: preparing: waits\nrg/web: moving, 42 %: waits\nrg/web runs on host b\n",
		"status 0\n"},
	{"vm migrate RG/WEB --json", "*\"state\": \"succeeded\"*", "status 0\n"},
	{"vm migrate u1 --to full", "", "sluice vm: no room\nstatus 1\n"},
	{"vm migrate none", "", "sluice vm: there is no virtual machine none;*status 1\n"},
	{"vm migrate twin", "", "*2 virtual machines are called twin; say GROUP/twin\nstatus 1\n"},
	{"vm migrate web --cancel", "web: cancelling;*", "status 0\n"},
	{"vm migrate --from a", "*rg/web runs on host b\n", "rg/db stays: it is stopped*status 1\n"},
	{"^C vm migrate web", "rg/web: preparing*",
		"rg/web: its migration goes on;*'sluice vm migrate rg/web --cancel' ends it\nstatus 0\n"},
};

static void test_verbs(void)
{
	struct fixture f = {};

	if (g_test_subprocess())
		exit(run_case(g_getenv("VM_CASE")));
	open_fixture(&f);
	g_setenv("SLUICE_STATE", f.state, true);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_setenv("VM_CASE", cases[i].words, true);
		g_test_message("%s", cases[i].words);
		g_test_trap_subprocess(NULL, 0, 0);
		g_test_trap_assert_stderr(cases[i].errors);
		if (*cases[i].output)
			g_test_trap_assert_stdout(cases[i].output);
	}
	close_fixture(&f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vm/machines are found, moved, watched, left alone and called back", test_verbs);
	return g_test_run();
}
