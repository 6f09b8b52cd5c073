/* The bytes of a stream: each direction reads when what it has read before is written. */
#include "agent/tunnel_priv.h"

static void pump_read(struct pump *pump);
static void pump_write(struct pump *pump);

static void on_written(GObject *source, GAsyncResult *result, void *data)
{
	struct pump *pump = data;
	_cleanup_(stream_unref) struct stream *stream = pump->stream;
	g_autoptr(GError) error = NULL;

	if (!g_output_stream_write_all_finish(G_OUTPUT_STREAM(source), result, NULL, &error)) {
		if (!stream->ended)
			stream_break(stream, "lost the stream with", error);
		return;
	}
	if (stream->ended)
		return;
	pump->fill = 0;
	if (pump->left)
		pump_read(pump);
	else
		pump->done(pump);
}

static void pump_write(struct pump *pump)
{
	pump->left -= pump->left == G_MAXUINT64 ? 0 : pump->fill;
	stream_ref(pump->stream);
	g_output_stream_write_all_async(pump->out, pump->buffer, pump->fill, G_PRIORITY_DEFAULT,
		pump->stream->cancellable, on_written, pump);
}

static void on_read(GObject *source, GAsyncResult *result, void *data)
{
	struct pump *pump = data;
	_cleanup_(stream_unref) struct stream *stream = pump->stream;
	g_autoptr(GError) error = NULL;
	gssize n = g_input_stream_read_finish(G_INPUT_STREAM(source), result, &error);

	if (stream->ended)
		return;
	if (n > 0) {
		pump->fill = (gsize)n;
		pump_write(pump);
	} else if (n == 0 && pump->left == G_MAXUINT64) {
		pump->done(pump);
	} else {
		stream_break(stream, "lost the stream with", error);
	}
}

static void pump_read(struct pump *pump)
{
	stream_ref(pump->stream);
	g_input_stream_read_async(pump->in, pump->buffer, MIN(pump->left, TUNNEL_BUFFER), G_PRIORITY_DEFAULT,
		pump->stream->cancellable, on_read, pump);
}

void pump_start(struct pump *pump, GInputStream *in, GOutputStream *out, guint64 bytes,
	void (*done)(struct pump *pump))
{
	pump->in = in;
	pump->out = out;
	pump->left = bytes;
	pump->done = done;
	if (pump->fill > bytes)
		stream_reject(pump->stream, "sent more than it said");
	else if (pump->fill)
		pump_write(pump);
	else if (bytes)
		pump_read(pump);
	else
		done(pump);
}

/* A direction has come to its end; the stream ends with the second. */
static void finish(struct pump *pump)
{
	struct stream *stream = pump->stream;

	pump->done = NULL;
	if (!stream->in.done && !stream->out.done)
		stream_close(stream);
}

static void on_closed(GObject *source, GAsyncResult *result, void *data)
{
	struct pump *pump = data;
	_cleanup_(stream_unref) struct stream *stream = pump->stream;
	g_autoptr(GError) error = NULL;
	bool closed = g_output_stream_close_finish(G_OUTPUT_STREAM(source), result, &error);

	if (stream->ended)
		return;
	if (closed)
		finish(pump);
	else
		stream_break(stream, "lost the stream with", error);
}

/* The local side has no more to say: TLS says so to the peer. */
static void on_local_end(struct pump *pump)
{
	stream_ref(pump->stream);
	g_output_stream_close_async(
		pump->out, G_PRIORITY_DEFAULT, pump->stream->cancellable, on_closed, pump);
}

static void on_peer_end(struct pump *pump)
{
	GSocket *socket = g_socket_connection_get_socket(G_SOCKET_CONNECTION(pump->stream->local));

	g_socket_shutdown(socket, false, true, NULL);
	finish(pump);
}

void stream_join(struct stream *stream)
{
	stream_set_deadline(stream, 0);
	stream->in.done =
		on_peer_end; /* before either begins: the one that ends first looks at the other's */
	stream->out.done = on_local_end;
	pump_start(&stream->out, g_io_stream_get_input_stream(stream->local),
		g_io_stream_get_output_stream(stream->tls), G_MAXUINT64, on_local_end);
	pump_start(&stream->in, g_io_stream_get_input_stream(stream->tls),
		g_io_stream_get_output_stream(stream->local), G_MAXUINT64, on_peer_end);
}
