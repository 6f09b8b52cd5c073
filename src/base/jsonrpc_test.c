/* The server and the client of JSON-RPC, against each other and against raw bytes. */
#include "base/fault.h"
#include "base/jsonrpc.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_MS 10000

/* A server in a thread of its own, as the programs that it stands for are processes of their own. */
struct harness {
	char *folder, *path;
	GThread *thread;
	GMainContext *context;
	GMainLoop *loop;
	unsigned calls; /* of "count" */
	struct jsonrpc_server *server; /* Borrowed: the thread's */
	struct jsonrpc_later *later; /* atomic; of "defer" */
};

static json_t *echo(json_t *params, void *data, GError **error)
{
	return params ? json_incref(params) : json_null();
}

static json_t *count(json_t *params, void *data, GError **error)
{
	struct harness *h = data;

	return json_integer((json_int_t)g_atomic_int_add(&h->calls, 1) + 1);
}

static json_t *busy(json_t *params, void *data, GError **error)
{
	fault_set(error, FAULT_BUSY, "port %s is being changed; try again", "p1");
	return NULL;
}

static json_t *foreign(json_t *params, void *data, GError **error)
{
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC, "disk full \xff");
	return NULL;
}

static json_t *silent(json_t *params, void *data, GError **error)
{
	return NULL;
}

static json_t *defer(json_t *params, void *data, GError **error)
{
	struct harness *h = data;

	g_assert_null(h->later);
	g_atomic_pointer_set(&h->later, jsonrpc_defer(h->server));
	return NULL;
}

static gboolean answer_now(void *data)
{
	struct harness *h = data;
	struct jsonrpc_later *later = h->later;

	g_atomic_pointer_set(&h->later, NULL);
	jsonrpc_answer(later, json_integer(7));
	return G_SOURCE_REMOVE;
}

/* Answers what was deferred, and says so before. */
static json_t *finish(json_t *params, void *data, GError **error)
{
	struct harness *h = data;
	g_autoptr(GSource) source = g_idle_source_new();

	g_source_set_callback(source, answer_now, h, NULL);
	g_source_attach(source, h->context);
	return json_true();
}

static json_t *nap(json_t *params, void *data, GError **error)
{
	g_usleep(300 * 1000);
	return json_true();
}

static json_t *big(json_t *params, void *data, GError **error)
{
	g_autofree char *text = g_strnfill(4 * 1024 * 1024, 'b');

	return json_string(text);
}

static const struct jsonrpc_method methods[] = {
	{"echo", echo},
	{"count", count},
	{"busy", busy},
	{"foreign", foreign},
	{"nap", nap},
	{"defer", defer},
	{"finish", finish},
	{"silent", silent},
	{"big", big},
	{NULL, NULL},
};

static void *serve(void *data)
{
	struct harness *h = data;
	g_autoptr(GError) error = NULL;

	g_main_context_push_thread_default(h->context);
	struct jsonrpc_server *server = jsonrpc_serve(h->path, methods, h, &error);
	g_assert_no_error(error);
	h->server = server;
	g_main_loop_run(h->loop);
	jsonrpc_server_free(server);
	if (h->later)
		answer_now(h); /* of no effect */
	g_main_context_pop_thread_default(h->context);
	return NULL;
}

static gboolean quit(void *loop)
{
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

static void wait_until_running(struct harness *h)
{
	while (!g_main_loop_is_running(h->loop))
		g_usleep(1000);
}

static void start(struct harness *h)
{
	h->context = g_main_context_new();
	h->loop = g_main_loop_new(h->context, FALSE);
	h->thread = g_thread_new("server", serve, h);
	wait_until_running(h);
}

static void stop(struct harness *h)
{
	g_autoptr(GSource) source = g_idle_source_new();

	g_source_set_callback(source, quit, h->loop, NULL);
	g_source_attach(source, h->context);
	g_thread_join(h->thread);
	g_main_loop_unref(h->loop);
	g_main_context_unref(h->context);
}

static void set_up(struct harness *h, const void *data)
{
	h->folder = g_dir_make_tmp("jsonrpc-XXXXXX", NULL);
	h->path = g_build_filename(h->folder, "socket", NULL);
	start(h);
}

static void tear_down(struct harness *h, const void *data)
{
	stop(h);
	g_assert_false(g_file_test(h->path, G_FILE_TEST_EXISTS));
	g_assert_cmpint(g_rmdir(h->folder), ==, 0);
	g_free(h->path);
	g_free(h->folder);
}

/* ---- raw connections ---- */

static int raw_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(fd, >=, 0);
	g_strlcpy(address.sun_path, path, sizeof address.sun_path);
	g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	return fd;
}

static void raw_send(int fd, const char *text)
{
	g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, (ssize_t)strlen(text));
}

/* One line without its newline; NULL at the end of the stream. */
static char *raw_line(int fd)
{
	g_autoptr(GString) line = g_string_new(NULL);
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	char byte;

	for (;;) {
		g_assert_cmpint(poll(&poll_fd, 1, TIMEOUT_MS), ==, 1);
		if (read(fd, &byte, 1) != 1)
			return NULL;
		if (byte == '\n')
			return g_string_free(g_steal_pointer(&line), FALSE);
		g_string_append_c(line, byte);
	}
}

static void assert_error_line(int fd, int code, const char *id)
{
	g_autofree char *line = raw_line(fd);
	json_auto_t *answer = json_loads(line, 0, NULL);
	json_auto_t *expected_id = json_loads(id, JSON_DECODE_ANY, NULL);
	json_t *error = json_object_get(answer, "error");

	g_assert_cmpint(json_integer_value(json_object_get(error, "code")), ==, code);
	g_assert_nonnull(json_string_value(json_object_get(error, "message")));
	g_assert_true(json_equal(json_object_get(answer, "id"), expected_id));
	g_assert_null(json_object_get(answer, "result"));
}

/* ---- tests ---- */

static void test_round_trip(struct harness *h, const void *data)
{
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(h->path);
	g_autoptr(GError) error = NULL;
	json_t *params = json_pack("{s:i, s:[s, n]}", "a", 1, "b", "\xc3\xa9");
	json_auto_t *expected = json_deep_copy(params);
	json_auto_t *result = jsonrpc_call(client, "echo", params, TIMEOUT_MS, &error);

	g_assert_no_error(error);
	g_assert_true(json_equal(result, expected));
	json_auto_t *nothing = jsonrpc_call(client, "echo", NULL, TIMEOUT_MS, &error);
	g_assert_no_error(error);
	g_assert_true(json_is_null(nothing));
}

static void test_faults(struct harness *h, const void *data)
{
	static const struct {
		const char *method;
		enum fault fault;
		const char *message;
	} cases[] = {
		{"busy", FAULT_BUSY, "port p1 is being changed; try again"},
		{"foreign", FAULT_INTERNAL, "disk full \xef\xbf\xbd"},
		{"silent", FAULT_INTERNAL, "the method failed and did not say why"},
		{"no.such", FAULT_UNSUPPORTED, "there is no method 'no.such'"},
	};
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(h->path);

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(jsonrpc_call(client, cases[i].method, NULL, TIMEOUT_MS, &error));
		g_assert_error(error, FAULT, (int)cases[i].fault);
		g_assert_cmpstr(error->message, ==, cases[i].message);
	}
}

static void test_scalar_params(struct harness *h, const void *data)
{
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(h->path);
	g_autoptr(GError) error = NULL;

	g_assert_null(jsonrpc_call(client, "echo", json_integer(1), TIMEOUT_MS, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
}

static void test_big_message(struct harness *h, const void *data)
{
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(h->path);
	g_autoptr(GError) error = NULL;
	g_autofree char *text = g_strnfill(8 * 1024 * 1024, 'x');
	json_auto_t *result = jsonrpc_call(client, "echo", json_pack("[s]", text), TIMEOUT_MS, &error);

	g_assert_no_error(error);
	g_assert_cmpstr(json_string_value(json_array_get(result, 0)), ==, text);
}

static void test_garbage(struct harness *h, const void *data)
{
	static const struct {
		const char *line;
		int code;
		const char *id;
	} cases[] = {
		{"garbage\n", JSONRPC_PARSE_ERROR, "null"},
		{"{\"jsonrpc\":\"2.0\",\n", JSONRPC_PARSE_ERROR, "null"},
		{"\xff\xfe\n", JSONRPC_PARSE_ERROR, "null"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"echo\"}\n", JSONRPC_PARSE_ERROR,
			"null"},
		{"7\n", JSONRPC_INVALID_REQUEST, "null"},
		{"[]\n", JSONRPC_INVALID_REQUEST, "null"},
		{"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}]\n", JSONRPC_INVALID_REQUEST, "null"},
		{"{\"id\":1,\"method\":\"echo\"}\n", JSONRPC_INVALID_REQUEST, "1"},
		{"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"echo\"}\n", JSONRPC_INVALID_REQUEST, "1"},
		{"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":1}\n", JSONRPC_INVALID_REQUEST, "\"x\""},
		{"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"echo\"}\n", JSONRPC_INVALID_REQUEST, "null"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":1}\n", JSONRPC_INVALID_REQUEST,
			"1"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"none\"}\n", JSONRPC_METHOD_NOT_FOUND, "1.5"},
		{"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"busy\"}\n", JSONRPC_FAULT, "null"},
	};
	int fd = raw_connect(h->path);

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		raw_send(fd, cases[i].line);
		assert_error_line(fd, cases[i].code, cases[i].id);
	}
	raw_send(fd, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"echo\",\"params\":[9]}\r\n");
	g_autofree char *line = raw_line(fd);
	g_assert_cmpstr(line, ==, "{\"jsonrpc\":\"2.0\",\"result\":[9],\"id\":9}");
	close(fd);
}

static void test_notifications(struct harness *h, const void *data)
{
	int fd = raw_connect(h->path);

	raw_send(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"count\"}\n\n "
		     "\t\n{\"jsonrpc\":\"2.0\",\"method\":\"busy\"}\n"
		     "{\"jsonrpc\":\"2.0\",\"method\":\"none\"}\n"
		     "{\"jsonrpc\":\"2.0\",\"method\":\"count\",\"id\":1}\n");
	g_autofree char *line = raw_line(fd);
	g_assert_cmpstr(line, ==, "{\"jsonrpc\":\"2.0\",\"result\":2,\"id\":1}");
	close(fd);
}

static void test_pipelining(struct harness *h, const void *data)
{
	enum { CALLS = 5000 };
	g_autoptr(GString) lines = g_string_new(NULL);
	int fd = raw_connect(h->path);

	for (unsigned i = 0; i < CALLS; i++)
		g_string_append_printf(lines, "{\"jsonrpc\":\"2.0\",\"method\":\"count\",\"id\":%u}\n", i);
	raw_send(fd, lines->str);
	shutdown(fd, SHUT_WR);
	for (unsigned i = 0; i < CALLS; i++) {
		g_autofree char *line = raw_line(fd);
		g_autofree char *expected =
			g_strdup_printf("{\"jsonrpc\":\"2.0\",\"result\":%u,\"id\":%u}", i + 1, i);
		g_assert_cmpstr(line, ==, expected);
	}
	g_assert_null(raw_line(fd));
	close(fd);
}

static void test_later(struct harness *h, const void *data)
{
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(h->path);
	int fd = raw_connect(h->path);

	raw_send(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"defer\",\"id\":1}\n"
		     "{\"jsonrpc\":\"2.0\",\"method\":\"count\",\"id\":2}\n");
	shutdown(fd, SHUT_WR);
	for (unsigned i = 0; i < 3; i++) {
		json_auto_t *echoed = jsonrpc_call(client, "echo", NULL, TIMEOUT_MS, NULL);
		g_assert_nonnull(echoed);
		g_usleep(10000);
	}
	g_assert_cmpuint(g_atomic_int_get(&h->calls), ==, 0); /* what is behind it waits */
	json_auto_t *done = jsonrpc_call(client, "finish", NULL, TIMEOUT_MS, NULL);
	g_assert_nonnull(done);
	for (unsigned i = 1; i <= 2; i++) {
		g_autofree char *line = raw_line(fd);
		json_auto_t *answer = json_loads(line, 0, NULL);
		g_assert_cmpint(json_integer_value(json_object_get(answer, "id")), ==, i);
		g_assert_cmpint(json_integer_value(json_object_get(answer, "result")), ==, i == 1 ? 7 : 1);
	}
	g_assert_null(raw_line(fd));
	close(fd);
}

/* And the other way round: its server ends before the answer. */
static void test_later_gone(struct harness *h, const void *data)
{
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(h->path);
	int fd = raw_connect(h->path);

	raw_send(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"defer\"}\n");
	while (!g_atomic_pointer_get(&h->later))
		g_usleep(1000);
	close(fd);
	json_auto_t *done = jsonrpc_call(client, "finish", NULL, TIMEOUT_MS, NULL);
	g_assert_nonnull(done);
	while (g_atomic_pointer_get(&h->later))
		g_usleep(1000);
	fd = raw_connect(h->path);
	raw_send(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"defer\",\"id\":1}\n");
	while (!g_atomic_pointer_get(&h->later))
		g_usleep(1000);
	stop(h);
	g_assert_null(raw_line(fd));
	close(fd);
	start(h);
}

static void test_cut_line(struct harness *h, const void *data)
{
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(h->path);
	g_autoptr(GError) error = NULL;
	int fd = raw_connect(h->path);

	raw_send(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"count\",\"id\":1}");
	shutdown(fd, SHUT_WR);
	g_assert_null(raw_line(fd));
	close(fd);
	json_auto_t *result = jsonrpc_call(client, "count", NULL, TIMEOUT_MS, &error);
	g_assert_cmpint(json_integer_value(result), ==, 1);
}

static void test_slow_reader(struct harness *h, const void *data)
{
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(h->path);
	g_autoptr(GError) error = NULL;
	int fd = raw_connect(h->path);

	for (unsigned i = 0; i < 20; i++)
		raw_send(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"big\",\"id\":1}\n{\"jsonrpc\":\"2.0\","
			     "\"method\":\"count\"}\n");
	json_auto_t *result = jsonrpc_call(client, "count", NULL, TIMEOUT_MS, &error);
	g_assert_no_error(error);
	g_assert_cmpint(json_integer_value(result), <, 20); /* it was not answered further than it reads */
	close(fd);
	json_auto_t *again = jsonrpc_call(client, "echo", NULL, TIMEOUT_MS, &error);
	g_assert_no_error(error);
	g_assert_true(json_is_null(again));
}

static void test_overlong_line(struct harness *h, const void *data)
{
	g_autofree char *chunk = g_strnfill(1024 * 1024, ' ');
	int fd = raw_connect(h->path);
	size_t sent = 0;

	while (sent < 2 * (size_t)JSONRPC_LINE_MAX) {
		ssize_t n = send(fd, chunk, 1024 * 1024, MSG_NOSIGNAL);
		if (n < 0)
			break;
		sent += (size_t)n;
	}
	g_assert_cmpint(errno, ==, EPIPE);
	g_assert_cmpuint(sent, >=, JSONRPC_LINE_MAX);
	g_assert_cmpuint(sent, <, 2 * (size_t)JSONRPC_LINE_MAX);
	close(fd);
}

static void test_restart(struct harness *h, const void *data)
{
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(h->path);
	g_autoptr(GError) error = NULL;
	json_auto_t *first = jsonrpc_call(client, "count", NULL, TIMEOUT_MS, &error);

	g_assert_no_error(error);
	g_assert_cmpint(json_integer_value(first), ==, 1);
	stop(h);
	g_assert_null(jsonrpc_call(client, "count", NULL, TIMEOUT_MS, &error));
	g_assert_error(error, FAULT, FAULT_UNAVAILABLE);
	g_clear_error(&error);
	start(h);
	json_auto_t *second = jsonrpc_call(client, "count", NULL, TIMEOUT_MS, &error);
	g_assert_no_error(error);
	g_assert_cmpint(json_integer_value(second), ==, 2);
	stop(h); /* without a call in between: the client finds its old connection dead and makes a new one */
	start(h);
	json_auto_t *third = jsonrpc_call(client, "count", NULL, TIMEOUT_MS, &error);
	g_assert_no_error(error);
	g_assert_cmpint(json_integer_value(third), ==, 3);
}

static void test_timeout(struct harness *h, const void *data)
{
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(h->path);
	g_autoptr(GError) error = NULL;
	int64_t before = g_get_monotonic_time();

	g_assert_null(jsonrpc_call(client, "nap", NULL, 50, &error));
	g_assert_error(error, FAULT, FAULT_UNAVAILABLE);
	g_assert_cmpint(g_get_monotonic_time() - before, >=, 50 * 1000);
	g_clear_error(&error);
	json_auto_t *next = jsonrpc_call(client, "echo", json_pack("[i]", 5), TIMEOUT_MS, &error);
	g_assert_no_error(error);
	g_assert_cmpint(json_integer_value(json_array_get(next, 0)), ==, 5);
}

static void test_mode(struct harness *h, const void *data)
{
	struct stat st;

	g_assert_cmpint(stat(h->path, &st), ==, 0);
	g_assert_true(S_ISSOCK(st.st_mode));
	g_assert_cmphex(st.st_mode & 0777, ==, 0600);
}

static void test_path_in_use(struct harness *h, const void *data)
{
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(h->path);
	g_autoptr(GError) error = NULL;

	g_assert_null(jsonrpc_serve(h->path, methods, h, &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	g_clear_error(&error);
	json_auto_t *result = jsonrpc_call(client, "echo", NULL, TIMEOUT_MS, &error);
	g_assert_no_error(error);
	g_assert_true(json_is_null(result));
}

static void test_stale_socket(void)
{
	g_autofree char *folder = g_dir_make_tmp("jsonrpc-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "socket", NULL);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	g_autoptr(GError) error = NULL;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_strlcpy(address.sun_path, path, sizeof address.sun_path);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	close(fd); /* as after a kill: the file stays, nobody answers */
	struct jsonrpc_server *server = jsonrpc_serve(path, methods, NULL, &error);
	g_assert_no_error(error);
	jsonrpc_server_free(server);
	g_assert_cmpint(g_rmdir(folder), ==, 0);
}

static void test_file_in_the_way(void)
{
	g_autofree char *folder = g_dir_make_tmp("jsonrpc-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "precious", NULL);
	g_autofree char *contents = NULL;
	g_autoptr(GError) error = NULL;

	g_assert_true(g_file_set_contents(path, "text", -1, NULL));
	g_assert_null(jsonrpc_serve(path, methods, NULL, &error));
	g_assert_error(error, FAULT, FAULT_INTERNAL);
	g_assert_true(g_file_get_contents(path, &contents, NULL, NULL));
	g_assert_cmpstr(contents, ==, "text");
	g_unlink(path);
	g_rmdir(folder);
}

static void test_bad_paths(void)
{
	g_autofree char *dots = g_strnfill(120, 'x');
	g_autofree char *too_long = g_strdup_printf("/tmp/%s", dots);
	const char *const paths[] = {too_long, "/nonexistent/socket"};

	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
		_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(paths[i]);
		g_autoptr(GError) error = NULL;
		g_assert_null(jsonrpc_serve(paths[i], methods, NULL, &error));
		g_assert_error(error, FAULT, FAULT_INTERNAL);
		g_clear_error(&error);
		g_assert_null(jsonrpc_call(client, "echo", NULL, TIMEOUT_MS, &error));
		g_assert_error(error, FAULT, FAULT_UNAVAILABLE);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct harness *h, const void *data);
	} tests[] = {
		{"a call returns what the method returned", test_round_trip},
		{"a fault keeps its code and its sentence", test_faults},
		{"parameters that are a scalar are refused", test_scalar_params},
		{"a message of several MiB passes both ways", test_big_message},
		{"garbage gets the specification's errors and the connection goes on", test_garbage},
		{"notifications run and get no answer", test_notifications},
		{"pipelined calls are answered in order, also after the client ended its side",
			test_pipelining},
		{"an answer that comes later holds up its own connection alone", test_later},
		{"an answer that comes too late is nobody's", test_later_gone},
		{"a line without its newline is not run", test_cut_line},
		{"a client that does not read holds up nobody else", test_slow_reader},
		{"a line that is too long ends the connection", test_overlong_line},
		{"a client finds a server that was restarted", test_restart},
		{"a late answer is a fault and is not taken for the next one", test_timeout},
		{"the socket is its owner's alone", test_mode},
		{"a path on which a server answers is refused", test_path_in_use},
	};

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
		g_autofree char *path = g_strdup_printf("/jsonrpc/%s", tests[i].name);
		g_test_add(path, struct harness, NULL, set_up, tests[i].run, tear_down);
	}
	g_test_add_func("/jsonrpc/a stale socket is replaced", test_stale_socket);
	g_test_add_func("/jsonrpc/a file that is no socket is left alone", test_file_in_the_way);
	g_test_add_func("/jsonrpc/a path that cannot be is a fault on both sides", test_bad_paths);
	return g_test_run();
}
