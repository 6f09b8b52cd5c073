/* The tunnel itself: who is let in, where it listens, and its owner's calls, which are done in its thread. */
#include "agent/tunnel.h"

#include "agent/tunnel_priv.h"
#include "base/fault.h"
#include "base/log.h"

#include <errno.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <string.h>

#define LOG_PER_MINUTE 10
#define FILE_MODE      0666 /* QEMU may run as a user of its own; the folder keeps others out */

/* A unix socket of the source's, and where its connections go. */
struct tunnel_forward {
	struct tunnel *tunnel;
	struct stream_target *target; /* Owned */
	GSocketService *service; /* Ref */
	char *path; /* Owned */
};

/* ---- what is known of migrations ---- */

static void admission_free(void *data)
{
	struct tunnel_admission *admission = data;

	g_free(admission->vm);
	g_free(admission->host);
	for (size_t i = 0; i < G_N_ELEMENTS(admission->paths); i++)
		g_free(admission->paths[i]);
	g_free(admission->disk);
	g_free(admission);
}

static bool may_log(struct tunnel *tunnel)
{
	gint64 now = g_get_monotonic_time();

	if (now - tunnel->log_since_us > 60 * G_USEC_PER_SEC) {
		tunnel->log_since_us = now;
		tunnel->log_count = 0;
	}
	return tunnel->log_count++ < LOG_PER_MINUTE;
}

void tunnel_note(struct tunnel *tunnel, const char *migration, bool log, const char *sentence)
{
	if (tunnel->closing)
		return;
	if (migration)
		g_hash_table_insert(tunnel->troubles, g_strdup(migration), g_strdup(sentence));
	if (log && may_log(tunnel))
		log_warn("tunnel", "%s", sentence);
}

void tunnel_stream_over(struct tunnel *tunnel)
{
	if (tunnel->closing && !tunnel->live)
		g_main_loop_quit(tunnel->loop);
}

/* ---- who comes ---- */

static gboolean on_incoming(GSocketService *service, GSocketConnection *tcp, GObject *source, void *data)
{
	struct tunnel *tunnel = data;

	if (tunnel->live < TUNNEL_STREAMS_MAX)
		stream_accept(tunnel, tcp);
	return true;
}

static gboolean on_local_incoming(
	GSocketService *service, GSocketConnection *local, GObject *source, void *data)
{
	const struct tunnel_forward *forward = data;
	const struct stream_target *target = forward->target;
	const struct tunnel_peer peer = {target->vm, target->migration, target->host, target->address};

	if (forward->tunnel->live < TUNNEL_STREAMS_MAX)
		stream_open(forward->tunnel, stream_target_new(&peer, target->stream, NULL),
			G_IO_STREAM(g_object_ref(local)));
	return true;
}

static void forward_free(void *data)
{
	struct tunnel_forward *forward = data;

	if (forward->service) {
		g_socket_service_stop(forward->service);
		g_socket_listener_close(G_SOCKET_LISTENER(forward->service));
		g_object_unref(forward->service);
		g_unlink(forward->path);
	}
	stream_target_free(forward->target);
	g_free(forward->path);
	g_free(forward);
}

/* "IP:PORT" or "[IP6]:PORT", and nothing that would have to be asked of a name server. NULL with the error. */
static GSocketAddress *parse_address(const char *text, GError **error)
{
	g_autoptr(GNetworkAddress) parsed =
		G_NETWORK_ADDRESS(g_network_address_parse(text, TUNNEL_PORT, NULL));
	g_autoptr(GInetAddress) ip =
		parsed ? g_inet_address_new_from_string(g_network_address_get_hostname(parsed)) : NULL;

	if (ip)
		return g_inet_socket_address_new(ip, g_network_address_get_port(parsed));
	fault_set(error, FAULT_INVALID, "'%s' is no address of a tunnel; '192.0.2.1:%d' is one", text,
		TUNNEL_PORT);
	return NULL;
}

static char *format_address(GSocketAddress *address)
{
	GInetSocketAddress *inet = G_INET_SOCKET_ADDRESS(address);
	GInetAddress *ip = g_inet_socket_address_get_address(inet);
	g_autofree char *text = g_inet_address_to_string(ip);
	guint port = g_inet_socket_address_get_port(inet);

	return g_inet_address_get_family(ip) == G_SOCKET_FAMILY_IPV6 ? g_strdup_printf("[%s]:%u", text, port)
								     : g_strdup_printf("%s:%u", text, port);
}

/* ---- making ---- */

/* Something that is done in the tunnel's thread for a call of the owner's. */
struct request {
	struct tunnel *tunnel;
	const struct tunnel_peer *peer;
	enum tunnel_stream stream;
	const char *path; /* of a forward's socket, or the file to send */
	const char *paths[3], *disk; /* of an admission */
	const char *nic, *migration;
	GSocketAddress *address;
	tunnel_answer_fn answer;
	void *answer_data;
	GError **error;
	char *text; /* what comes of it */
	bool ok;
};

static void do_listen(void *data)
{
	struct request *request = data;
	struct tunnel *tunnel = request->tunnel;
	g_autoptr(GSocketAddress) effective = NULL;
	g_autoptr(GError) reason = NULL;

	tunnel->listener = g_socket_service_new();
	if (!g_socket_listener_add_address(G_SOCKET_LISTENER(tunnel->listener), request->address,
		    G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL, &effective, &reason)) {
		fault_set(request->error,
			g_error_matches(reason, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE) ? FAULT_IN_USE
										       : FAULT_UNAVAILABLE,
			"the tunnel for migrations cannot listen on %s: %s", request->path, reason->message);
		return;
	}
	tunnel->address = format_address(effective);
	g_signal_connect(tunnel->listener, "incoming", G_CALLBACK(on_incoming), tunnel);
	request->ok = true;
}

static bool load_identity(struct tunnel *tunnel, const struct tunnel_config *config, GError **error)
{
	g_autoptr(GError) cause = NULL;

	tunnel->certificate = g_tls_certificate_new_from_files(config->certificate, config->key, &cause);
	if (!tunnel->certificate)
		return fault_set(error, FAULT_INVALID, "cannot use the host's certificate %s with key %s: %s",
			config->certificate, config->key, cause->message);
	tunnel->database = g_tls_file_database_new(config->ca, &cause);
	return tunnel->database ||
	       fault_set(error, FAULT_INVALID, "cannot use the CA file %s: %s", config->ca, cause->message);
}

/* What an earlier process was about to hand over is nobody's any more. */
static bool empty_spool(const char *spool, GError **error)
{
	g_autoptr(GDir) dir = g_mkdir_with_parents(spool, 0700) == 0 ? g_dir_open(spool, 0, NULL) : NULL;
	const char *name;

	if (!dir)
		return fault_set(
			error, FAULT_INTERNAL, "cannot make folder %s: %s", spool, g_strerror(errno));
	while ((name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(spool, name, NULL);
		g_unlink(path);
	}
	return true;
}

static bool start_listening(struct tunnel *tunnel, const char *listen, GError **error)
{
	g_autoptr(GSocketAddress) address = parse_address(listen, error);
	struct request request = {.tunnel = tunnel, .address = address, .path = listen, .error = error};

	if (address)
		tunnel_do(tunnel, do_listen, &request);
	return request.ok;
}

struct tunnel *tunnel_new(const struct tunnel_config *config, GError **error)
{
	_cleanup_(tunnel_free) struct tunnel *tunnel = g_new0(struct tunnel, 1);

	tunnel_thread_init(tunnel);
	tunnel->spool = g_strdup(config->spool);
	tunnel->file = config->file;
	tunnel->data = config->data;
	tunnel->admissions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, admission_free);
	tunnel->forwards = g_ptr_array_new_with_free_func(forward_free);
	tunnel->troubles = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	tunnel->streams = g_hash_table_new(g_int64_hash, g_int64_equal);
	if (!load_identity(tunnel, config, error) || !empty_spool(config->spool, error))
		return NULL;
	tunnel_thread_start(tunnel);
	if (config->listen && !start_listening(tunnel, config->listen, error))
		return NULL;
	return g_steal_pointer(&tunnel);
}

const char *tunnel_address(const struct tunnel *tunnel)
{
	return tunnel->address;
}

static void end_streams(struct tunnel *tunnel, const char *migration)
{
	g_autoptr(GList) all = g_hash_table_get_values(tunnel->streams);

	for (GList *at = all; at; at = at->next) {
		struct stream *stream = at->data;
		if (!migration || (stream->target && g_str_equal(stream->target->migration, migration)))
			stream_close(stream);
	}
}

static void do_close(void *data)
{
	struct tunnel *tunnel = data;

	tunnel->closing = true;
	if (tunnel->listener) {
		g_socket_service_stop(tunnel->listener);
		g_socket_listener_close(G_SOCKET_LISTENER(tunnel->listener));
		g_clear_object(&tunnel->listener);
	}
	g_ptr_array_set_size(tunnel->forwards, 0);
	end_streams(tunnel, NULL);
	tunnel_stream_over(tunnel);
}

void tunnel_free(struct tunnel *tunnel)
{
	tunnel->life->ended = true;
	if (tunnel->thread) {
		tunnel_do(tunnel, do_close, tunnel);
		g_thread_join(tunnel->thread);
	}
	g_hash_table_unref(tunnel->streams);
	g_hash_table_unref(tunnel->troubles);
	g_ptr_array_unref(tunnel->forwards);
	g_hash_table_unref(tunnel->admissions);
	tunnel_thread_clear(tunnel);
	g_clear_object(&tunnel->database);
	g_clear_object(&tunnel->certificate);
	g_free(tunnel->address);
	g_free(tunnel->spool);
	g_free(tunnel);
}

/* ---- calls ---- */

static void do_admit(void *data)
{
	struct request *request = data;
	struct tunnel_admission *admission = g_new0(struct tunnel_admission, 1);

	admission->vm = g_strdup(request->peer->vm);
	admission->host = g_strdup(request->peer->host);
	for (size_t i = 0; i < G_N_ELEMENTS(admission->paths); i++)
		admission->paths[i] = g_strdup(request->paths[i]);
	admission->disk = g_strdup(request->disk);
	g_hash_table_insert(request->tunnel->admissions, g_strdup(request->peer->migration), admission);
}

void tunnel_admit(struct tunnel *tunnel, const struct tunnel_peer *peer, const char *libvirt,
	const char *memory, const char *disk)
{
	struct request request = {.tunnel = tunnel, .peer = peer, .paths = {libvirt, memory, disk}};

	tunnel_do(tunnel, do_admit, &request);
}

void tunnel_admit_disk(struct tunnel *tunnel, const struct tunnel_peer *peer, const char *disk)
{
	struct request request = {.tunnel = tunnel, .peer = peer, .disk = disk};

	tunnel_do(tunnel, do_admit, &request);
}

static bool is_forwarded(const struct request *request)
{
	for (guint i = 0; i < request->tunnel->forwards->len; i++) {
		const struct stream_target *target =
			((struct tunnel_forward *)request->tunnel->forwards->pdata[i])->target;
		if (target->stream == request->stream &&
			g_str_equal(target->migration, request->peer->migration))
			return true;
	}
	return false;
}

static void do_forward(void *data)
{
	struct request *request = data;
	g_autoptr(GSocketAddress) address = g_unix_socket_address_new(request->path);
	g_autoptr(GError) reason = NULL;

	request->ok = is_forwarded(request);
	if (request->ok)
		return;
	struct tunnel_forward *forward = g_new0(struct tunnel_forward, 1);
	*forward = (struct tunnel_forward){.tunnel = request->tunnel,
		.target = stream_target_new(request->peer, request->stream, NULL),
		.service = g_socket_service_new(),
		.path = g_strdup(request->path)};
	g_unlink(request->path);
	request->ok = g_socket_listener_add_address(G_SOCKET_LISTENER(forward->service), address,
			      G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL, NULL, &reason) &&
		      g_chmod(request->path, FILE_MODE) == 0;
	if (request->ok) {
		g_signal_connect(forward->service, "incoming", G_CALLBACK(on_local_incoming), forward);
		g_ptr_array_add(request->tunnel->forwards, forward);
		return;
	}
	fault_set(request->error, FAULT_INTERNAL, "the tunnel cannot make the socket %s: %s", request->path,
		reason ? reason->message : g_strerror(errno));
	forward_free(forward);
}

bool tunnel_forward(struct tunnel *tunnel, const struct tunnel_peer *peer, enum tunnel_stream stream,
	const char *path, GError **error)
{
	struct request request = {
		.tunnel = tunnel, .peer = peer, .stream = stream, .path = path, .error = error};
	g_autoptr(GSocketAddress) address = parse_address(peer->address, error);

	if (address)
		tunnel_do(tunnel, do_forward, &request);
	return request.ok;
}

static void do_send_file(void *data)
{
	struct request *request = data;
	struct tunnel *tunnel = request->tunnel;
	struct stream *stream = stream_open(tunnel,
		stream_target_new(
			request->peer, request->nic ? TUNNEL_CONNECTIONS : TUNNEL_MACHINE, request->nic),
		NULL);
	g_autoptr(GFile) file = g_file_new_for_path(request->path);
	g_autoptr(GError) reason = NULL;

	stream->answer = request->answer;
	stream->answer_data = request->answer_data;
	stream->file = (GObject *)g_file_read(file, NULL, &reason);
	g_autoptr(GFileInfo) info =
		stream->file ? g_file_input_stream_query_info(G_FILE_INPUT_STREAM(stream->file),
				       G_FILE_ATTRIBUTE_STANDARD_SIZE, NULL, &reason)
			     : NULL;
	if (info)
		stream->file_bytes = (guint64)g_file_info_get_size(info);
	else
		stream_end(stream, FAULT_INTERNAL, "%s cannot be read: %s", request->path, reason->message);
}

void tunnel_send_file(struct tunnel *tunnel, const struct tunnel_peer *peer, const char *nic,
	const char *path, tunnel_answer_fn done, void *data)
{
	struct request request = {.tunnel = tunnel,
		.peer = peer,
		.nic = nic,
		.path = path,
		.answer = done,
		.answer_data = data};

	tunnel_do(tunnel, do_send_file, &request);
}

static void do_trouble(void *data)
{
	struct request *request = data;

	request->text = g_strdup(g_hash_table_lookup(request->tunnel->troubles, request->migration));
}

char *tunnel_trouble(struct tunnel *tunnel, const char *migration)
{
	struct request request = {.tunnel = tunnel, .migration = migration};

	tunnel_do(tunnel, do_trouble, &request);
	return request.text;
}

static void do_end(void *data)
{
	const struct request *request = data;
	struct tunnel *tunnel = request->tunnel;

	g_hash_table_remove(tunnel->admissions, request->migration);
	for (guint i = tunnel->forwards->len; i-- > 0;) {
		const struct tunnel_forward *forward = tunnel->forwards->pdata[i];
		if (g_str_equal(forward->target->migration, request->migration))
			g_ptr_array_remove_index(tunnel->forwards, i);
	}
	end_streams(tunnel, request->migration);
	g_hash_table_remove(tunnel->troubles, request->migration);
}

void tunnel_end(struct tunnel *tunnel, const char *migration)
{
	struct request request = {.tunnel = tunnel, .migration = migration};

	tunnel_do(tunnel, do_end, &request);
}
