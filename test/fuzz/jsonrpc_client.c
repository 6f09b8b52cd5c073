/* Fuzz target: a JSON-RPC client. The bytes are what a server answers to its first call, which has the id 1, before it
 * hangs up. */
#include "fuzz.h"

#include "base/fault.h"
#include "base/jsonrpc.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_MS 10000

struct server {
	int fd;
	const uint8_t *answer;
	size_t size;
};

static int listen_on(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_strlcpy(address.sun_path, path, sizeof address.sun_path);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	g_assert_cmpint(listen(fd, 1), ==, 0);
	return fd;
}

/* Reads one request, answers, hangs up. */
static void *serve(void *data)
{
	const struct server *server = data;
	int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);
	char request[256];

	g_assert_cmpint(recv(fd, request, sizeof request, 0), >, 0);
	for (size_t sent = 0; sent < server->size;) {
		ssize_t n = send(fd, server->answer + sent, server->size - sent, MSG_NOSIGNAL);
		if (n <= 0)
			break; /* the client heard enough */
		sent += (size_t)n;
	}
	close(fd);
	return NULL;
}

/* A result is what the first line says to call 1; all else is a fault. */
static void assert_result(const json_t *result, const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\n', size);

	g_assert_nonnull(end);
	json_auto_t *answer = json_loadb((const char *)data, (size_t)(end - data), 0, NULL);
	g_assert_cmpint(json_integer_value(json_object_get(answer, "id")), ==, 1);
	g_assert_true(json_equal(result, json_object_get(answer, "result")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *folder = g_dir_make_tmp("fuzz-jsonrpc-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "socket", NULL);
	struct server server = {.fd = listen_on(path), .answer = data, .size = size};
	GThread *thread = g_thread_new("server", serve, &server);
	g_autoptr(GError) error = NULL;
	struct jsonrpc_client *client = jsonrpc_client_new(path);
	json_auto_t *result = jsonrpc_call(client, "echo", NULL, TIMEOUT_MS, &error);

	g_assert_true(!result == !!error);
	if (result)
		assert_result(result, data, size);
	else
		g_assert_true(error->domain == FAULT);
	jsonrpc_client_free(client);
	g_thread_join(thread);
	close(server.fd);
	g_unlink(path);
	g_assert_cmpint(g_rmdir(folder), ==, 0);
	return 0;
}
