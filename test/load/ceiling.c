/* The bare server. */
#include "ceiling.h"

#include <libsoup/soup.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define VALUE_BYTES 1500 /* about what a machine is as JSON */

struct ceiling {
	pid_t pid;
	char *endpoint;
};

struct bare {
	sqlite3 *db;
	sqlite3_stmt *get, *put;
};

static void must(gboolean good, const char *what)
{
	if (!good) {
		fprintf(stderr, "the bare server: %s failed\n", what);
		_exit(1);
	}
}

static void open_database(struct bare *bare, const char *folder)
{
	g_autofree char *path = g_build_filename(folder, "ceiling.db", NULL);

	must(sqlite3_open(path, &bare->db) == SQLITE_OK &&
			sqlite3_exec(bare->db,
				"PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA "
				"synchronous = FULL;"
				"PRAGMA cache_size = -32768; CREATE TABLE keys (key TEXT PRIMARY KEY, value "
				"BLOB) WITHOUT ROWID;",
				NULL, NULL, NULL) == SQLITE_OK &&
			sqlite3_prepare_v2(bare->db, "SELECT value FROM keys WHERE key = ?1", -1, &bare->get,
				NULL) == SQLITE_OK &&
			sqlite3_prepare_v2(bare->db, "INSERT OR REPLACE INTO keys VALUES (?1, ?2)", -1,
				&bare->put, NULL) == SQLITE_OK,
		"SQLite");
}

static void write_row(struct bare *bare, const char *key, const char *value, int length)
{
	sqlite3_bind_text(bare->put, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_blob(bare->put, 2, value, length, SQLITE_STATIC);
	must(sqlite3_step(bare->put) == SQLITE_DONE, "writing");
	sqlite3_reset(bare->put);
}

static void answer(
	SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	struct bare *bare = data;
	g_autofree char *value = g_strnfill(VALUE_BYTES, ' ');

	memcpy(value, "{}", 2);
	if (g_str_equal(soup_server_message_get_method(message), "PUT"))
		write_row(bare, path, value, VALUE_BYTES);
	sqlite3_bind_text(bare->get, 1, path, -1, SQLITE_STATIC);
	if (sqlite3_step(bare->get) == SQLITE_ROW)
		memcpy(value, sqlite3_column_blob(bare->get, 0), VALUE_BYTES);
	sqlite3_reset(bare->get);
	if (!soup_check_version(3, 3, 0))
		soup_message_headers_replace(
			soup_server_message_get_response_headers(message), "Connection", "close");
	soup_server_message_set_status(message, 200, NULL);
	soup_server_message_set_response(message, "application/json", SOUP_MEMORY_COPY, value, VALUE_BYTES);
}

static void on_started(SoupServer *server, SoupServerMessage *message, void *data)
{
	g_socket_set_option(soup_server_message_get_socket(message), IPPROTO_TCP, TCP_NODELAY, 1, NULL);
}

void ceiling_serve(const char *folder)
{
	g_autofree char *cert = g_build_filename(folder, "controller.pem", NULL),
			*key = g_build_filename(folder, "controller.key", NULL);
	g_autoptr(GTlsCertificate) certificate = g_tls_certificate_new_from_files(cert, key, NULL);
	g_autoptr(SoupServer) server = soup_server_new("tls-certificate", certificate, NULL);
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	struct bare bare;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	open_database(&bare, folder);
	g_signal_connect(server, "request-started", G_CALLBACK(on_started), NULL);
	soup_server_add_handler(server, NULL, answer, &bare, NULL);
	must(soup_server_listen_local(
		     server, 0, SOUP_SERVER_LISTEN_HTTPS | SOUP_SERVER_LISTEN_IPV4_ONLY, NULL),
		"listening");
	g_autoptr(GSList) listeners = soup_server_get_listeners(server);
	must(listen(g_socket_get_fd(listeners->data), SOMAXCONN) == 0, "listening");
	GSList *uris = soup_server_get_uris(server);
	int port = g_uri_get_port(uris->data);
	must(write(STDOUT_FILENO, &port, sizeof port) == sizeof port, "telling the port");
	g_main_loop_run(loop);
}

struct ceiling *ceiling_start(const char *folder)
{
	struct ceiling *ceiling = g_new0(struct ceiling, 1);
	char program[4096];
	int pipes[2], port = 0;

	/* A program with threads may not go on in a child: it begins anew. */
	must(pipe(pipes) == 0, "a pipe");
	ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
	must(n > 0, "finding itself");
	program[n] = '\0';
	ceiling->pid = fork();
	if (ceiling->pid == 0) {
		dup2(pipes[1], STDOUT_FILENO);
		execl(program, program, "--ceiling", folder, (char *)NULL);
		_exit(127);
	}
	close(pipes[1]);
	must(read(pipes[0], &port, sizeof port) == sizeof port, "starting");
	close(pipes[0]);
	ceiling->endpoint = g_strdup_printf("https://127.0.0.1:%d", port);
	return ceiling;
}

const char *ceiling_endpoint(const struct ceiling *ceiling)
{
	return ceiling->endpoint;
}

void ceiling_stop(struct ceiling *ceiling)
{
	kill(ceiling->pid, SIGTERM);
	waitpid(ceiling->pid, NULL, 0);
	g_free(ceiling->endpoint);
	g_free(ceiling);
}
