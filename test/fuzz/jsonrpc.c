/* Fuzz target: a JSON-RPC server. The bytes are what a client sends before it hangs up. */
#include "fuzz.h"

#include "base/fault.h"
#include "base/jsonrpc.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SEND_MAX 65536 /* fits into the socket's buffer, so that one thread can be client and server */

static json_t *echo(json_t *params, void *data, GError **error)
{
	return params ? json_incref(params) : json_null();
}

static json_t *fail(json_t *params, void *data, GError **error)
{
	fault_set(error, FAULT_NOT_FOUND, "there is no '%s'", json_string_value(json_array_get(params, 0)));
	return NULL;
}

static const struct jsonrpc_method methods[] = {{"echo", echo}, {"fail", fail}, {NULL, NULL}};

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_strlcpy(address.sun_path, path, sizeof address.sun_path);
	g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	return fd;
}

/* Everything that the server answers before it closes the connection, which it does. */
static GString *answers_of(const char *path, const uint8_t *data, size_t size)
{
	GString *answers = g_string_new(NULL);
	int fd = connect_to(path);
	ssize_t n;

	g_assert_cmpint(send(fd, data, size, MSG_NOSIGNAL), ==, (ssize_t)size);
	g_assert_cmpint(shutdown(fd, SHUT_WR), ==, 0);
	do {
		char buffer[4096];
		g_main_context_iteration(NULL, FALSE);
		n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
		if (n > 0)
			g_string_append_len(answers, buffer, n);
	} while (n > 0 || (n < 0 && errno == EAGAIN));
	g_assert_cmpint(n, ==, 0);
	close(fd);
	return answers;
}

/* Specification, section 5. */
static void assert_answer(const char *line)
{
	json_auto_t *answer = json_loads(line, 0, NULL);
	const json_t *error = json_object_get(answer, "error"), *id = json_object_get(answer, "id");

	g_assert_cmpstr(json_string_value(json_object_get(answer, "jsonrpc")), ==, "2.0");
	g_assert_true(!error != !json_object_get(answer, "result"));
	g_assert_true(json_is_string(id) || json_is_number(id) || json_is_null(id));
	if (error) {
		g_assert_true(json_is_integer(json_object_get(error, "code")));
		g_assert_true(json_is_string(json_object_get(error, "message")));
	}
}

static unsigned lines_in(const char *text, size_t length)
{
	unsigned n = 0;

	for (size_t i = 0; i < length; i++)
		n += text[i] == '\n';
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *folder = g_dir_make_tmp("fuzz-jsonrpc-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "socket", NULL);
	struct jsonrpc_server *server = jsonrpc_serve(path, methods, NULL, &error);

	g_assert_no_error(error);
	size = MIN(size, SEND_MAX);
	GString *answers = answers_of(path, data, size);
	unsigned n = lines_in(answers->str, answers->len);
	g_assert_cmpuint(n, <=, lines_in((const char *)data, size));
	g_assert_cmpuint(strlen(answers->str), ==, answers->len);
	g_auto(GStrv) lines = g_strsplit(answers->str, "\n", -1);
	for (unsigned i = 0; i < n; i++)
		assert_answer(lines[i]);
	g_string_free(answers, TRUE);
	jsonrpc_server_free(server);
	g_assert_cmpint(g_rmdir(folder), ==, 0);
	return 0;
}
