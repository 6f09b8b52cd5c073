/* Streams between two tunnels of one process; the test stands for the VM managers at their ends, with blocking sockets. */
#include "agent/tunnel.h"

#include "base/fault.h"
#include "base/pki.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define VM        "8c7f3a52-0b6e-4a44-9a65-7d1f36a1c9e0"
#define MIGRATION "8f1d4f8e-0d0c-4f0e-9a51-000000000001"
#define NIC       "8f1d4f8e-0d0c-4f0e-9a51-0000000000aa"
#define WAIT_S    10
#define MIB       (1024 * 1024)

/* Certificates; made once. */
static char *pki;

struct fixture {
	char *root; /* Owned */
	struct tunnel *source, *target; /* Owned */
	char *path; /* Owned: where the source's manager connects to */
	char *memory; /* Owned: where the target's QEMU listens */
	int listener; /* there */
	struct tunnel_peer to_target, from_source;
	/* What came of a file. */
	struct tunnel_file *file;
	json_t *answer; /* Ref */
	GError *error; /* Owned */
	bool answered;
};

/* ---- sockets ---- */

static int unix_socket(const char *path, struct sockaddr_un *address)
{
	const struct timeval wait = {.tv_sec = WAIT_S};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(fd, >=, 0);
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	g_assert_cmpuint(
		g_strlcpy(address->sun_path, path, sizeof address->sun_path), <, sizeof address->sun_path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
	return fd;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address;
	int fd = unix_socket(path, &address);

	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	g_assert_cmpint(listen(fd, 8), ==, 0);
	return fd;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address;
	int fd = unix_socket(path, &address);

	g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	return fd;
}

static int accept_from(int listener)
{
	const struct timeval wait = {.tv_sec = WAIT_S};
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
	return fd;
}

static void say(int fd, const char *text)
{
	g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, strlen(text));
}

static void hear(int fd, const char *text)
{
	char buffer[64] = {};

	g_assert_cmpint(recv(fd, buffer, strlen(text), MSG_WAITALL), ==, strlen(text));
	g_assert_cmpstr(buffer, ==, text);
}

/* Whether the other end has closed, or does so within the time. */
static bool ends(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);

	return n == 0 || (n < 0 && errno == ECONNRESET);
}

/* ---- two hosts ---- */

static void on_file(struct tunnel_file *file, void *data)
{
	((struct fixture *)data)->file = file;
}

static struct tunnel *tunnel_of(struct fixture *f, const char *ca, const char *name, const char *listen)
{
	g_autofree char *certificate = g_strdup_printf("%s/%s/%s.pem", pki, ca, name);
	g_autofree char *key = g_strdup_printf("%s/%s/%s.key", pki, ca, name);
	g_autofree char *trusted = g_strdup_printf("%s/%s/ca.pem", pki, ca);
	g_autofree char *spool = g_build_filename(f->root, name, NULL);
	g_autoptr(GError) error = NULL;
	struct tunnel *tunnel = tunnel_new(&(struct tunnel_config){.certificate = certificate,
						   .key = key,
						   .ca = trusted,
						   .listen = listen,
						   .spool = spool,
						   .file = on_file,
						   .data = f},
		&error);

	g_assert_no_error(error);
	return tunnel;
}

static void set_up_with(struct fixture *f, struct tunnel *source, struct tunnel *target)
{
	f->source = source;
	f->target = target;
	f->path = g_build_filename(f->root, "source.memory", NULL);
	f->memory = g_build_filename(f->root, "target.memory", NULL);
	f->listener = listen_at(f->memory);
	f->to_target = (struct tunnel_peer){
		.vm = VM, .migration = MIGRATION, .host = "host-b", .address = tunnel_address(f->target)};
	f->from_source = (struct tunnel_peer){.vm = VM, .migration = MIGRATION, .host = "host-a"};
	tunnel_admit(f->target, &f->from_source, "/nonexistent", f->memory, "/nonexistent");
}

static void set_up(struct fixture *f, const void *data)
{
	f->root = g_dir_make_tmp("tunnel-XXXXXX", NULL);
	set_up_with(f, tunnel_of(f, "cloud", "host-a", NULL), tunnel_of(f, "cloud", "host-b", "127.0.0.1:0"));
}

static void remove_folder(const char *folder)
{
	g_autofree char *quoted = g_shell_quote(folder);
	g_autofree char *command = g_strdup_printf("rm -r %s", quoted);

	g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
}

static void tear_down(struct fixture *f, const void *data)
{
	g_clear_pointer(&f->source, tunnel_free);
	g_clear_pointer(&f->target, tunnel_free);
	close(f->listener);
	remove_folder(f->root);
	json_decref(f->answer);
	g_clear_error(&f->error);
	g_free(f->path);
	g_free(f->memory);
	g_free(f->root);
}

static void forward(struct fixture *f)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(tunnel_forward(f->source, &f->to_target, TUNNEL_MEMORY, f->path, &error));
	g_assert_no_error(error);
}

/* A stream that is refused: the source's side closes, and why is said. */
static void check_refused(struct fixture *f, const char *word)
{
	forward(f);
	int fd = connect_to(f->path);
	g_assert_true(ends(fd));
	close(fd);
	g_autofree char *trouble = tunnel_trouble(f->source, MIGRATION);
	g_test_message("%s", trouble);
	g_assert_nonnull(trouble);
	g_assert_nonnull(strstr(trouble, word));
}

/* ---- bytes ---- */

static void bytes_go_both_ways_and_an_end_of_one_is_handed_on(struct fixture *f, const void *data)
{
	forward(f);
	int here = connect_to(f->path), there = accept_from(f->listener);

	say(there, "the target may be first");
	hear(here, "the target may be first");
	say(here, "ping");
	hear(there, "ping");
	shutdown(here, SHUT_WR);
	g_assert_true(ends(there));
	say(there, "still talking");
	hear(here, "still talking");
	close(there);
	g_assert_true(ends(here));
	close(here);
	g_assert_null(tunnel_trouble(f->source, MIGRATION));
	g_assert_null(tunnel_trouble(f->target, MIGRATION));
}

/* Pseudo-random bytes; both ends know which. */
static void fill(guint8 *bytes, gsize n, guint32 seed)
{
	for (gsize i = 0; i < n; i++)
		bytes[i] = (guint8)((seed = seed * 1664525 + 1013904223) >> 24);
}

struct flood {
	int fd;
	guint32 seed;
	gsize bytes;
};

static void *send_flood(void *data)
{
	const struct flood *flood = data;
	g_autofree guint8 *bytes = g_malloc(flood->bytes);

	fill(bytes, flood->bytes, flood->seed);
	for (gsize sent = 0; sent < flood->bytes;) {
		ssize_t n = send(flood->fd, bytes + sent, flood->bytes - sent, MSG_NOSIGNAL);
		g_assert_cmpint(n, >, 0);
		sent += (gsize)n;
	}
	shutdown(flood->fd, SHUT_WR);
	return NULL;
}

static void *receive_flood(void *data)
{
	const struct flood *flood = data;
	g_autofree guint8 *expected = g_malloc(flood->bytes), *bytes = g_malloc(flood->bytes);

	fill(expected, flood->bytes, flood->seed);
	g_assert_cmpint(recv(flood->fd, bytes, flood->bytes, MSG_WAITALL), ==, flood->bytes);
	g_assert_cmpint(memcmp(bytes, expected, flood->bytes), ==, 0);
	g_assert_true(ends(flood->fd));
	return NULL;
}

static void many_mib_both_ways_at_once_arrive_whole(struct fixture *f, const void *data)
{
	forward(f);
	int here = connect_to(f->path), there = accept_from(f->listener);
	struct flood up = {here, 1, 24 * MIB + 7}, down = {there, 2, 16 * MIB + 1};
	struct flood up_end = {there, 1, up.bytes}, down_end = {here, 2, down.bytes};
	GThread *threads[] = {g_thread_new("up", send_flood, &up),
		g_thread_new("up end", receive_flood, &up_end), g_thread_new("down", send_flood, &down),
		g_thread_new("down end", receive_flood, &down_end)};

	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		g_thread_join(threads[i]);
	close(here);
	close(there);
}

static void a_side_that_does_not_read_stops_the_other_and_nothing_is_lost(struct fixture *f, const void *data)
{
	g_autofree guint8 *bytes = g_malloc0(MIB);
	const struct timeval soon = {.tv_usec = 500000};
	gsize sent = 0, received = 0;
	ssize_t n;

	forward(f);
	int here = connect_to(f->path), there = accept_from(f->listener);
	setsockopt(here, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
	while ((n = send(here, bytes, MIB, MSG_NOSIGNAL)) > 0 && sent < 256 * MIB)
		sent += (gsize)n;
	g_test_message("%zu KiB were on the way", sent / 1024);
	g_assert_cmpuint(sent, <, 64 * MIB); /* what the kernel holds in its buffers */
	shutdown(here, SHUT_WR);
	while ((n = recv(there, bytes, MIB, 0)) > 0)
		received += (gsize)n;
	g_assert_cmpuint(received, ==, sent);
	close(here);
	close(there);
}

static void a_stream_waits_for_its_socket(struct fixture *f, const void *data)
{
	close(f->listener);
	g_unlink(f->memory);
	forward(f);
	int here = connect_to(f->path);
	say(here, "early");
	g_usleep(G_USEC_PER_SEC / 2);
	f->listener = listen_at(f->memory);
	int there = accept_from(f->listener);
	hear(there, "early");
	close(here);
	close(there);
}

/* ---- who may ---- */

static void what_the_target_does_not_await_is_refused(struct fixture *f, const void *data)
{
	static const struct tunnel_peer others[] = {
		{.vm = VM, .migration = MIGRATION, .host = "host-c"},
		{.vm = NIC, .migration = MIGRATION, .host = "host-a"},
		{.vm = VM, .migration = NIC, .host = "host-a"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
		tunnel_end(f->source, MIGRATION);
		tunnel_end(f->target, MIGRATION);
		tunnel_admit(f->target, &others[i], f->memory, f->memory, f->memory);
		check_refused(f, "awaited");
	}
}

static void a_host_is_known_by_its_own_name_only(struct fixture *f, const void *data)
{
	f->to_target.host = "host-c";
	check_refused(f, "is not that of host host-c: its certificate is that of host-b");
}

static void a_host_of_another_cloud_is_refused_on_either_side(struct fixture *f, const void *data)
{
	tunnel_free(f->source);
	f->source = tunnel_of(f, "other", "host-a", "127.0.0.1:0");
	check_refused(f, "host-b");
	struct tunnel *ours = tunnel_of(f, "cloud", "host-b", NULL);
	struct fixture back = *f;
	back.source = ours;
	back.to_target.host = "host-a";
	back.to_target.address = tunnel_address(f->source);
	g_autofree char *path = back.path = g_build_filename(f->root, "back", NULL);
	check_refused(&back, "certificate");
	tunnel_free(ours);
}

static void the_controllers_certificate_is_no_hosts(struct fixture *f, const void *data)
{
	tunnel_free(f->source);
	f->source = tunnel_of(f, "cloud", "controller", "127.0.0.1:0");
	const struct tunnel_peer controller = {.vm = VM, .migration = MIGRATION, .host = "controller"};
	tunnel_admit(f->target, &controller, f->memory, f->memory, f->memory);
	check_refused(f, "host");
	struct fixture back = *f;
	g_autofree char *path = back.path = g_build_filename(f->root, "back", NULL);
	back.source = tunnel_of(f, "cloud", "host-a", NULL);
	back.to_target.host = "controller";
	back.to_target.address = tunnel_address(f->source);
	check_refused(&back, "is not that of host controller: its certificate is that of no host");
	tunnel_free(back.source);
}

static void a_peer_that_is_not_there_is_said(struct fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;

	f->to_target.address = "127.0.0.1:1";
	check_refused(f, "cannot reach host host-b at 127.0.0.1:1");
	f->to_target.address = "host.example";
	g_assert_false(tunnel_forward(f->source, &f->to_target, TUNNEL_DISK, f->path, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
}

static int dial(struct fixture *f)
{
	g_autoptr(GSocketClient) client = g_socket_client_new();
	g_autoptr(GSocketConnection) connection =
		g_socket_client_connect_to_host(client, tunnel_address(f->target), 0, NULL, NULL);
	const struct timeval wait = {.tv_sec = TUNNEL_OPEN_S + 5};

	g_assert_nonnull(connection);
	int fd = dup(g_socket_get_fd(g_socket_connection_get_socket(connection)));
	fcntl(fd, F_SETFL, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	return fd;
}

static void who_speaks_no_TLS_or_nothing_is_given_up(struct fixture *f, const void *data)
{
	int mute = dial(f), rude = dial(f);

	say(rude, "GET / HTTP/1.0\r\n\r\n");
	char byte;
	while (recv(rude, &byte, 1, 0) > 0) /* an alert */
		;
	close(rude);
	g_assert_true(ends(mute));
	close(mute);
}

static gboolean accept_any(
	GTlsConnection *tls, GTlsCertificate *certificate, GTlsCertificateFlags errors, void *data)
{
	return true;
}

/* A host of the cloud that says one thing and listens. */
static char *tell(struct fixture *f, const char *line)
{
	g_autofree char *pem = g_strdup_printf("%s/cloud/host-a.pem", pki);
	g_autofree char *key = g_strdup_printf("%s/cloud/host-a.key", pki);
	g_autoptr(GTlsCertificate) certificate = g_tls_certificate_new_from_files(pem, key, NULL);
	g_autoptr(GSocketClient) client = g_socket_client_new();
	g_autoptr(GSocketConnection) tcp =
		g_socket_client_connect_to_host(client, tunnel_address(f->target), 0, NULL, NULL);
	g_autoptr(GIOStream) tls = g_tls_client_connection_new(G_IO_STREAM(tcp), NULL, NULL);
	char answer[1024] = {};

	g_socket_set_timeout(g_socket_connection_get_socket(tcp), WAIT_S);
	g_signal_connect(tls, "accept-certificate", G_CALLBACK(accept_any), NULL);
	g_tls_connection_set_certificate(G_TLS_CONNECTION(tls), certificate);
	g_assert_true(g_output_stream_write_all(
		g_io_stream_get_output_stream(tls), line, strlen(line), NULL, NULL, NULL));
	g_input_stream_read_all(
		g_io_stream_get_input_stream(tls), answer, sizeof answer - 1, NULL, NULL, NULL);
	return g_strdup(answer);
}

static void what_is_no_opening_line_is_refused(struct fixture *f, const void *data)
{
#define WHO "\"vm\":\"" VM "\",\"migration\":\"" MIGRATION "\","
	static const struct {
		const char *line, *answer; /* a word of it; NULL: none */
	} cases[] = {
		{"nonsense\n", NULL},
		{"[]\n", NULL},
		{"{}\n", "must say"},
		{"{\"vm\":1,\"migration\":2,\"stream\":3}\n", "must say"},
		{"{" WHO "\"stream\":\"other\"}\n", "must say"},
		{"{" WHO "\"stream\":\"memory\",\"nic\":\"x\"}\n", "must say"},
		{"{" WHO "\"stream\":\"connections\",\"bytes\":1}\n", "must say"},
		{"{" WHO "\"stream\":\"connections\",\"nic\":\"x\",\"bytes\":-1}\n", "must say"},
		{"{" WHO "\"stream\":\"connections\",\"nic\":\"x\",\"bytes\":999999999999}\n", "not taken"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *answer = tell(f, cases[i].line);
		if (cases[i].answer)
			g_assert_nonnull(strstr(answer, cases[i].answer));
		else
			g_assert_cmpstr(answer, ==, "");
	}
	g_autofree char *endless = g_strnfill(8000, 'x'), *answer = tell(f, endless);
	g_assert_cmpstr(answer, ==, "");
	g_assert_null(f->file);
}

static void two_tunnels_do_not_share_a_port_and_files_must_be_right(struct fixture *f, const void *data)
{
	g_autofree char *certificate = g_strdup_printf("%s/cloud/host-a.pem", pki);
	g_autofree char *key = g_strdup_printf("%s/cloud/host-a.key", pki);
	g_autofree char *ca = g_strdup_printf("%s/cloud/ca.pem", pki);
	struct tunnel_config config = {.certificate = certificate,
		.key = key,
		.ca = ca,
		.spool = f->root,
		.listen = tunnel_address(f->target)};
	g_autoptr(GError) used = NULL, address = NULL, pair = NULL, trusted = NULL;

	config.spool = g_build_filename(f->root, "spool", NULL);
	g_assert_null(tunnel_new(&config, &used));
	g_assert_error(used, FAULT, FAULT_IN_USE);
	config.listen = "nowhere";
	g_assert_null(tunnel_new(&config, &address));
	g_assert_error(address, FAULT, FAULT_INVALID);
	config.listen = NULL;
	config.ca = key;
	g_assert_null(tunnel_new(&config, &trusted));
	g_assert_error(trusted, FAULT, FAULT_INVALID);
	config.key = ca;
	g_assert_null(tunnel_new(&config, &pair));
	g_assert_error(pair, FAULT, FAULT_INVALID);
	g_free((char *)config.spool);
}

/* ---- ends ---- */

static void ending_a_migration_cuts_its_streams_and_removes_its_sockets(struct fixture *f, const void *data)
{
	forward(f);
	forward(f); /* once more is success */
	int here = connect_to(f->path), there = accept_from(f->listener);

	say(here, "x");
	hear(there, "x");
	tunnel_end(f->target, MIGRATION);
	g_assert_true(ends(here));
	g_assert_true(ends(there));
	close(here);
	close(there);
	tunnel_end(f->source, MIGRATION);
	tunnel_end(f->source, MIGRATION);
	g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
	g_assert_null(tunnel_trouble(f->source, MIGRATION));
}

static void a_tunnel_that_is_freed_cuts_its_streams(struct fixture *f, const void *data)
{
	forward(f);
	int here = connect_to(f->path), there = accept_from(f->listener);

	say(here, "x");
	hear(there, "x");
	g_clear_pointer(&f->source, tunnel_free);
	g_assert_true(ends(here));
	g_assert_true(ends(there));
	close(here);
	close(there);
}

static void a_peer_that_vanishes_is_noticed(struct fixture *f, const void *data)
{
	const struct timeval wait = {.tv_sec = TUNNEL_DEAD_S + 10};

	if (geteuid() != 0) {
		g_test_skip("not root: no network namespace of its own");
		return;
	}
	forward(f);
	int here = connect_to(f->path), there = accept_from(f->listener);
	say(here, "x");
	hear(there, "x");
	g_assert_true(g_spawn_command_line_sync("ip link set lo down", NULL, NULL, NULL, NULL));
	setsockopt(here, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	setsockopt(there, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	g_assert_true(ends(here));
	g_assert_true(ends(there));
	g_assert_true(g_spawn_command_line_sync("ip link set lo up", NULL, NULL, NULL, NULL));
	close(here);
	close(there);
}

/* ---- files ---- */

static void on_answer(json_t *answer, const GError *error, void *data)
{
	struct fixture *f = data;

	f->answered = true;
	f->answer = json_incref(answer);
	f->error = error ? g_error_copy(error) : NULL;
}

static void send_for(struct fixture *f, const char *nic, const char *text, gsize length)
{
	g_autofree char *path = g_build_filename(f->root, "export", NULL);

	g_assert_true(g_file_set_contents(path, text, (gssize)length, NULL));
	tunnel_send_file(f->source, &f->to_target, nic, path, on_answer, f);
}

static void send_file(struct fixture *f, const char *text, gsize length)
{
	send_for(f, NIC, text, length);
}

static void await(const bool *flag)
{
	gint64 end = g_get_monotonic_time() + WAIT_S * G_USEC_PER_SEC;

	while (!*flag && g_get_monotonic_time() < end)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(1000);
	g_assert_true(*flag);
}

static void await_file(struct fixture *f)
{
	for (int i = 0; !f->file && i < WAIT_S * 1000; i++)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(1000);
	g_assert_nonnull(f->file);
}

static void a_file_comes_whole_and_its_answer_goes_back(struct fixture *f, const void *data)
{
	g_autofree guint8 *bytes = g_malloc(3 * MIB);
	g_autofree char *came = NULL;
	gsize length;

	fill(bytes, 3 * MIB, 9);
	send_file(f, (char *)bytes, 3 * MIB);
	await_file(f);
	g_assert_cmpstr(tunnel_file_vm(f->file), ==, VM);
	g_assert_cmpstr(tunnel_file_nic(f->file), ==, NIC);
	g_autofree char *path = g_strdup(tunnel_file_path(f->file));
	g_assert_true(g_file_get_contents(path, &came, &length, NULL));
	g_assert_cmpmem(came, length, bytes, 3 * MIB);
	tunnel_file_answer(f->file, json_pack("{s:i}", "imported", 7), NULL);
	await(&f->answered);
	g_assert_no_error(f->error);
	g_assert_cmpint(json_integer_value(json_object_get(f->answer, "imported")), ==, 7);
	g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void check_file(const struct tunnel_file *file, const char *expected)
{
	g_autofree char *came = NULL;

	g_assert_true(g_file_get_contents(tunnel_file_path(file), &came, NULL, NULL));
	g_assert_cmpstr(came, ==, expected);
}

/* The first one's end is not noticed yet when the second comes. */
static void a_disk_that_is_sent_again_has_a_file_of_its_own(struct fixture *f, const void *data)
{
	g_autofree char *landing = g_build_filename(f->root, "landing", NULL);

	tunnel_admit_disk(f->target, &f->from_source, landing);
	send_for(f, NULL, "first", 5);
	await_file(f);
	struct tunnel_file *first = g_steal_pointer(&f->file);
	g_assert_null(tunnel_file_nic(first));
	send_for(f, NULL, "second", 6);
	await_file(f);
	check_file(first, "first");
	tunnel_file_answer(first, json_object(), NULL);
	await(&f->answered);
	json_decref(g_steal_pointer(&f->answer));
	f->answered = false;
	check_file(f->file, "second");
	tunnel_file_answer(f->file, json_object(), NULL);
	await(&f->answered);
	g_assert_no_error(f->error);
}

static void an_empty_file_is_a_file_and_a_fault_is_an_answer(struct fixture *f, const void *data)
{
	g_autoptr(GError) error =
		g_error_new_literal(FAULT, FAULT_IN_USE, "the switch is not ready for NIC x");

	send_file(f, "", 0);
	await_file(f);
	tunnel_file_answer(f->file, NULL, error);
	await(&f->answered);
	g_assert_null(f->answer);
	g_assert_error(f->error, FAULT, FAULT_IN_USE);
	g_assert_cmpstr(f->error->message, ==, error->message);
}

static void a_file_that_is_not_awaited_or_not_there_is_refused(struct fixture *f, const void *data)
{
	tunnel_end(f->target, MIGRATION);
	send_file(f, "x", 1);
	await(&f->answered);
	g_assert_error(f->error, FAULT, FAULT_DENIED);
	g_assert_null(f->file);
	g_clear_error(&f->error);
	f->answered = false;
	tunnel_send_file(f->source, &f->to_target, NIC, "/nonexistent", on_answer, f);
	await(&f->answered);
	g_assert_error(f->error, FAULT, FAULT_INTERNAL);
}

static void a_sender_hears_of_the_end_and_a_late_answer_is_nobodys(struct fixture *f, const void *data)
{
	send_file(f, "x", 1);
	await_file(f);
	tunnel_end(f->source, MIGRATION);
	await(&f->answered);
	g_assert_error(f->error, FAULT, FAULT_UNAVAILABLE);
	tunnel_file_answer(f->file, json_object(), NULL);
}

static void nothing_is_told_after_the_end(struct fixture *f, const void *data)
{
	send_file(f, "x", 1);
	g_usleep(G_USEC_PER_SEC / 2); /* the file is on its way to this thread */
	g_clear_pointer(&f->target, tunnel_free);
	g_clear_pointer(&f->source, tunnel_free);
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_null(f->file);
	g_assert_false(f->answered);
}

static void make_certificates(void)
{
	g_autofree char *cloud = g_build_filename(pki, "cloud", NULL),
			*other = g_build_filename(pki, "other", NULL);
	g_autoptr(GError) error = NULL;

	if (!pki_ensure_ca(cloud, "test CA", &error) ||
		!pki_ensure_leaf(cloud, "host-a", "host-a", NULL, &error) ||
		!pki_ensure_leaf(cloud, "host-b", "host-b", NULL, &error) ||
		!pki_ensure_leaf(cloud, "controller", "controller", "IP:127.0.0.1", &error) ||
		!pki_ensure_ca(other, "test CA", &error) ||
		!pki_ensure_leaf(other, "host-a", "host-a", NULL, &error))
		g_error("certificates: %s", error->message);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct fixture *, const void *);
	} tests[] = {
		{"bytes go both ways, and an end of one is handed on",
			bytes_go_both_ways_and_an_end_of_one_is_handed_on},
		{"many MiB both ways at once arrive whole", many_mib_both_ways_at_once_arrive_whole},
		{"a side that does not read stops the other, and nothing is lost",
			a_side_that_does_not_read_stops_the_other_and_nothing_is_lost},
		{"a stream waits for its socket", a_stream_waits_for_its_socket},
		{"what the target does not await is refused", what_the_target_does_not_await_is_refused},
		{"a host is known by its own name only", a_host_is_known_by_its_own_name_only},
		{"a host of another cloud is refused, on either side",
			a_host_of_another_cloud_is_refused_on_either_side},
		{"the controller's certificate is no host's", the_controllers_certificate_is_no_hosts},
		{"a peer that is not there is said", a_peer_that_is_not_there_is_said},
		{"who speaks no TLS, or nothing, is given up", who_speaks_no_TLS_or_nothing_is_given_up},
		{"what is no opening line is refused", what_is_no_opening_line_is_refused},
		{"two tunnels do not share a port, and files must be right",
			two_tunnels_do_not_share_a_port_and_files_must_be_right},
		{"ending a migration cuts its streams and removes its sockets",
			ending_a_migration_cuts_its_streams_and_removes_its_sockets},
		{"a tunnel that is freed cuts its streams", a_tunnel_that_is_freed_cuts_its_streams},
		{"a peer that vanishes is noticed", a_peer_that_vanishes_is_noticed},
		{"a file comes whole, and its answer goes back", a_file_comes_whole_and_its_answer_goes_back},
		{"a disk that is sent again has a file of its own",
			a_disk_that_is_sent_again_has_a_file_of_its_own},
		{"an empty file is a file, and a fault is an answer",
			an_empty_file_is_a_file_and_a_fault_is_an_answer},
		{"a file that is not awaited, or not there, is refused",
			a_file_that_is_not_awaited_or_not_there_is_refused},
		{"a sender hears of the end, and a late answer is nobody's",
			a_sender_hears_of_the_end_and_a_late_answer_is_nobodys},
		{"nothing is told after the end", nothing_is_told_after_the_end},
	};

	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_LEVEL_ERROR); /* what is refused is logged */
	if (geteuid() == 0) {
		g_assert_cmpint(unshare(CLONE_NEWNET), ==, 0);
		g_assert_true(g_spawn_command_line_sync("ip link set lo up", NULL, NULL, NULL, NULL));
	}
	pki = g_dir_make_tmp("tunnel-pki-XXXXXX", NULL);
	make_certificates();
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
		g_autofree char *path = g_strdup_printf("/tunnel/%s", tests[i].name);
		g_test_add(path, struct fixture, NULL, set_up, tests[i].run, tear_down);
	}
	int result = g_test_run();
	remove_folder(pki);
	g_free(pki);
	return result;
}
