/* One stream of the tunnel: connecting, TLS, lines, and its end.
 *
 * How it works: each operation is asynchronous, holds a reference to the stream, and looks first whether the stream has
 * ended meanwhile; ending cancels all of them. So a stream goes on by one callback after another, and may be ended from
 * anywhere in its thread.
 */
#include "agent/tunnel_priv.h"
#include "base/fault.h"
#include "base/peer.h"

#include <glib/gstdio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#define OPEN_CLIENT_S   (TUNNEL_OPEN_S + 5) /* the server speaks first when its side does not come */
#define KEEPALIVE_S     5
#define KEEPALIVE_TRIES 3

struct stream_target *stream_target_new(
	const struct tunnel_peer *peer, enum tunnel_stream stream, const char *nic)
{
	struct stream_target *target = g_new0(struct stream_target, 1);

	*target = (struct stream_target){.vm = g_strdup(peer->vm),
		.migration = g_strdup(peer->migration),
		.host = g_strdup(peer->host),
		.address = g_strdup(peer->address),
		.nic = g_strdup(nic),
		.stream = stream};
	return target;
}

void stream_target_free(struct stream_target *target)
{
	if (!target)
		return;
	g_free(target->vm);
	g_free(target->migration);
	g_free(target->host);
	g_free(target->address);
	g_free(target->nic);
	g_free(target);
}

/* ---- life ---- */

static struct stream *stream_new(struct tunnel *tunnel)
{
	struct stream *stream = g_new0(struct stream, 1);

	*stream = (struct stream){.tunnel = tunnel,
		.id = ++tunnel->last_id,
		.refs = 1,
		.cancellable = g_cancellable_new(),
		.in.buffer = g_malloc(TUNNEL_BUFFER),
		.out.buffer = g_malloc(TUNNEL_BUFFER)};
	stream->in.stream = stream->out.stream = stream;
	g_hash_table_insert(tunnel->streams, &stream->id, stream);
	tunnel->live++;
	return stream;
}

struct stream *stream_ref(struct stream *stream)
{
	stream->refs++;
	return stream;
}

void stream_unref(struct stream *stream)
{
	if (--stream->refs)
		return;
	struct tunnel *tunnel = stream->tunnel;
	g_clear_object(&stream->tls);
	g_clear_object(&stream->local);
	g_clear_object(&stream->file);
	g_object_unref(stream->cancellable);
	stream_target_free(stream->target);
	if (stream->file_path)
		g_unlink(stream->file_path);
	g_free(stream->file_path);
	g_free(stream->peer);
	g_free(stream->in.buffer);
	g_free(stream->out.buffer);
	g_free(stream);
	tunnel->live--;
	tunnel_stream_over(tunnel);
}

/* Cuts its connections; message NULL: all went well. */
static void stream_over(struct stream *stream, enum fault fault, const char *message)
{
	const char *migration = stream->target ? stream->target->migration : NULL;

	if (stream->ended)
		return;
	stream->ended = true;
	if (message)
		tunnel_note(stream->tunnel, migration, stream->is_server, message);
	if (stream->answer)
		file_tell_answer(stream, NULL, fault, message ? message : "the migration has ended");
	stream_set_deadline(stream, 0);
	if (stream->retry) {
		g_source_destroy(stream->retry);
		g_clear_pointer(&stream->retry, g_source_unref);
	}
	g_hash_table_remove(stream->tunnel->streams, &stream->id);
	g_cancellable_cancel(stream->cancellable);
	stream_unref(stream);
}

void stream_end(struct stream *stream, enum fault fault, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *message = g_strdup_vprintf(format, args);
	va_end(args);
	stream_over(stream, fault, message);
}

void stream_close(struct stream *stream)
{
	stream_over(stream, FAULT_UNAVAILABLE, NULL);
}

/* Who the other end is, for sentences. Owned by the caller. */
static char *other_end(const struct stream *stream)
{
	if (!stream->is_server)
		return g_strdup_printf("host %s at %s", stream->target->host, stream->target->address);
	return stream->peer ? g_strdup_printf("host %s", stream->peer) : g_strdup("an unknown host");
}

void stream_break(struct stream *stream, const char *what, const GError *reason)
{
	g_autofree char *other = other_end(stream);

	stream_end(stream, FAULT_UNAVAILABLE, "%s %s: %s", what, other,
		reason ? reason->message : "it has closed");
}

void stream_reject(struct stream *stream, const char *what)
{
	g_autofree char *other = other_end(stream);

	stream_end(stream, FAULT_INVALID, "%s %s", other, what);
}

static gboolean on_deadline(void *data)
{
	g_autofree char *other = other_end(data);

	stream_end(data, FAULT_UNAVAILABLE, "%s did not answer in time", other);
	return G_SOURCE_REMOVE;
}

void stream_set_deadline(struct stream *stream, unsigned seconds)
{
	if (stream->deadline) {
		g_source_destroy(stream->deadline);
		g_clear_pointer(&stream->deadline, g_source_unref);
	}
	if (!seconds)
		return;
	stream->deadline = g_timeout_source_new_seconds(seconds);
	g_source_set_callback(stream->deadline, on_deadline, stream, NULL);
	g_source_attach(stream->deadline, stream->tunnel->context);
}

/* ---- lines ---- */

/* One write under way, and what comes after it. */
struct sending {
	struct stream *stream;
	char *text;
	void (*next)(struct stream *stream);
};

static void on_line_sent(GObject *source, GAsyncResult *result, void *data)
{
	struct sending *sending = data;
	_cleanup_(stream_unref) struct stream *stream = sending->stream;
	void (*next)(struct stream *) = sending->next;
	g_autoptr(GError) error = NULL;
	bool sent = g_output_stream_write_all_finish(G_OUTPUT_STREAM(source), result, NULL, &error);

	g_free(sending->text);
	g_free(sending);
	if (stream->ended)
		return;
	if (sent)
		next(stream);
	else
		stream_break(stream, "cannot send to", error);
}

void stream_send_line(struct stream *stream, json_t *line, void (*next)(struct stream *stream))
{
	struct sending *sending = g_new0(struct sending, 1);
	char *json = json_dumps(line, JSON_COMPACT);

	json_decref(line);
	*sending = (struct sending){stream_ref(stream), g_strconcat(json, "\n", NULL), next};
	free(json);
	g_output_stream_write_all_async(g_io_stream_get_output_stream(stream->tls), sending->text,
		strlen(sending->text), G_PRIORITY_DEFAULT, stream->cancellable, on_line_sent, sending);
}

static void on_drained(GObject *source, GAsyncResult *result, void *data)
{
	_cleanup_(stream_unref) struct stream *stream = data;

	g_output_stream_close_finish(G_OUTPUT_STREAM(source), result, NULL);
	stream_close(stream);
}

static void on_refused(struct stream *stream)
{
	g_output_stream_close_async(g_io_stream_get_output_stream(stream->tls), G_PRIORITY_DEFAULT,
		stream->cancellable, on_drained, stream_ref(stream));
}

void stream_refuse(struct stream *stream, enum fault fault, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *message = g_strdup_vprintf(format, args);
	va_end(args);
	tunnel_note(stream->tunnel, stream->target ? stream->target->migration : NULL, true, message);
	stream_send_line(
		stream, json_pack("{s:s, s:s}", "fault", fault_name(fault), "message", message), on_refused);
}

static void read_more(struct stream *stream);

/* Takes a whole line out of the buffer; what follows it is the pump's. */
static void take_line(struct stream *stream, const guint8 *end)
{
	struct pump *in = &stream->in;
	gsize length = (gsize)(end - in->buffer);
	json_auto_t *line = json_loadb((const char *)in->buffer, length, JSON_REJECT_DUPLICATES, NULL);

	in->fill -= length + 1;
	memmove(in->buffer, end + 1, in->fill);
	if (json_is_object(line))
		stream->line(stream, line);
	else
		stream_reject(stream, "does not speak the tunnel's protocol");
}

static void look_for_line(struct stream *stream)
{
	const guint8 *end = memchr(stream->in.buffer, '\n', stream->in.fill);

	if (end)
		take_line(stream, end);
	else if (stream->in.fill < TUNNEL_LINE_MAX)
		read_more(stream);
	else
		stream_reject(stream, "sent a line that is too long");
}

static void on_line_read(GObject *source, GAsyncResult *result, void *data)
{
	_cleanup_(stream_unref) struct stream *stream = data;
	g_autoptr(GError) error = NULL;
	gssize n = g_input_stream_read_finish(G_INPUT_STREAM(source), result, &error);

	if (stream->ended)
		return;
	if (n <= 0) {
		stream_break(stream, "cannot hear from", error);
		return;
	}
	stream->in.fill += (gsize)n;
	look_for_line(stream);
}

static void read_more(struct stream *stream)
{
	struct pump *in = &stream->in;

	g_input_stream_read_async(g_io_stream_get_input_stream(stream->tls), in->buffer + in->fill,
		TUNNEL_BUFFER - in->fill, G_PRIORITY_DEFAULT, stream->cancellable, on_line_read,
		stream_ref(stream));
}

void stream_read_line(struct stream *stream, void (*next)(struct stream *stream, json_t *line))
{
	stream->line = next;
	look_for_line(stream);
}

/* ---- TLS ---- */

/* A peer that is gone without a word is noticed, whether it owes us bytes or not. */
static void watch_peer(GSocketConnection *tcp)
{
	GSocket *socket = g_socket_connection_get_socket(tcp);

	g_socket_set_keepalive(socket, true);
	g_socket_set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1, NULL);
	g_socket_set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S, NULL);
	g_socket_set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_S, NULL);
	g_socket_set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_TRIES, NULL);
	g_socket_set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, TUNNEL_DEAD_S * 1000, NULL);
}

/* GLib asks a server about every certificate, and a client about one with which it finds fault: a host's is made for a
 * client, at whichever end. Its name and use are looked at after the handshake, when one has been accepted at all. */
static gboolean on_certificate(
	GTlsConnection *tls, GTlsCertificate *certificate, GTlsCertificateFlags errors, void *data)
{
	struct stream *stream = data;

	return g_tls_database_verify_chain(stream->tunnel->database, certificate,
		       G_TLS_DATABASE_PURPOSE_AUTHENTICATE_CLIENT, NULL, NULL, G_TLS_DATABASE_VERIFY_NONE,
		       NULL, NULL) == 0;
}

static void on_opened(struct stream *stream, json_t *line)
{
	const char *message = json_string_value(json_object_get(line, "message"));
	const char *word = json_string_value(json_object_get(line, "fault"));

	if (message)
		stream_end(stream, fault_from_name(word ? word : ""), "%s", message);
	else if (stream->target->stream >= TUNNEL_CONNECTIONS)
		file_send(stream);
	else
		stream_join(stream);
}

static void on_asked(struct stream *stream)
{
	stream_read_line(stream, on_opened);
}

static json_t *opening_line(const struct stream *stream)
{
	const struct stream_target *target = stream->target;
	json_t *line = json_pack("{s:s, s:s, s:s}", "vm", target->vm, "migration", target->migration,
		"stream", tunnel_stream_words[target->stream]);

	if (target->nic)
		json_object_set_new(line, "nic", json_string(target->nic));
	if (target->stream >= TUNNEL_CONNECTIONS)
		json_object_set_new(line, "bytes", json_integer((json_int_t)stream->file_bytes));
	return line;
}

static void on_handshake(GObject *source, GAsyncResult *result, void *data)
{
	_cleanup_(stream_unref) struct stream *stream = data;
	g_autoptr(GError) error = NULL;
	bool done = g_tls_connection_handshake_finish(G_TLS_CONNECTION(source), result, &error);

	if (stream->ended)
		return;
	GTlsCertificate *certificate =
		done ? g_tls_connection_get_peer_certificate(G_TLS_CONNECTION(source)) : NULL;
	if (certificate && peer_is_client(certificate))
		stream->peer = peer_name(certificate);
	if (g_error_matches(error, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE))
		stream_reject(
			stream, "shows a certificate that is not of this cloud's CA, or no longer good");
	else if (!done)
		stream_break(stream, "no TLS with", error);
	else if (stream->is_server)
		serve_begin(stream);
	else if (g_strcmp0(stream->peer, stream->target->host) != 0)
		stream_end(stream, FAULT_DENIED,
			"the tunnel at %s is not that of host %s: its certificate is that of %s",
			stream->target->address, stream->target->host,
			stream->peer ? stream->peer : "no host");
	else
		stream_send_line(stream, opening_line(stream), on_asked);
}

static void begin_tls(struct stream *stream, GIOStream *tls)
{
	GTlsConnection *connection = G_TLS_CONNECTION(tls);

	stream->tls = tls;
	g_tls_connection_set_database(connection, stream->tunnel->database);
	g_signal_connect(tls, "accept-certificate", G_CALLBACK(on_certificate), stream);
	g_tls_connection_handshake_async(
		connection, G_PRIORITY_DEFAULT, stream->cancellable, on_handshake, stream_ref(stream));
}

struct stream *stream_accept(struct tunnel *tunnel, GSocketConnection *tcp)
{
	struct stream *stream = stream_new(tunnel);
	g_autoptr(GError) error = NULL;
	GIOStream *tls = g_tls_server_connection_new(G_IO_STREAM(tcp), tunnel->certificate, &error);

	stream->is_server = true;
	stream_set_deadline(stream, TUNNEL_OPEN_S);
	if (!tls) {
		stream_break(stream, "no TLS with", error);
		return NULL;
	}
	watch_peer(tcp);
	g_object_set(tls, "authentication-mode", G_TLS_AUTHENTICATION_REQUIRED, NULL);
	begin_tls(stream, tls);
	return stream;
}

static void on_connected(GObject *source, GAsyncResult *result, void *data)
{
	_cleanup_(stream_unref) struct stream *stream = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GSocketConnection) tcp =
		g_socket_client_connect_finish(G_SOCKET_CLIENT(source), result, &error);

	if (stream->ended)
		return;
	GIOStream *tls = tcp ? g_tls_client_connection_new(G_IO_STREAM(tcp), NULL, &error) : NULL;
	if (!tls) {
		stream_break(stream, "cannot reach", error);
		return;
	}
	watch_peer(tcp);
	g_tls_connection_set_certificate(G_TLS_CONNECTION(tls), stream->tunnel->certificate);
	begin_tls(stream, tls);
}

struct stream *stream_open(struct tunnel *tunnel, struct stream_target *target, GIOStream *local)
{
	struct stream *stream = stream_new(tunnel);
	g_autoptr(GSocketClient) client = g_socket_client_new();

	stream->target = target;
	stream->local = local;
	stream_set_deadline(stream, OPEN_CLIENT_S);
	g_socket_client_set_enable_proxy(client, false);
	g_socket_client_connect_to_host_async(
		client, target->address, TUNNEL_PORT, stream->cancellable, on_connected, stream_ref(stream));
	return stream;
}
