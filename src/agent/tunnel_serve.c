/* The target's side of a stream: whether it is let in, and where it leads. */
#include "agent/tunnel_priv.h"
#include "base/fault.h"
#include "model/shape.h"

#include <gio/gunixsocketaddress.h>
#include <string.h>

#define RETRY_MS 100

const char *const tunnel_stream_words[] = {
	[TUNNEL_LIBVIRT] = "libvirt",
	[TUNNEL_MEMORY] = "memory",
	[TUNNEL_DISK] = "disk",
	[TUNNEL_CONNECTIONS] = "connections",
	[TUNNEL_MACHINE] = "machine",
	NULL,
};

static bool stream_of(const char *name, enum tunnel_stream *ret)
{
	int i = words_find(tunnel_stream_words, name);

	*ret = (enum tunnel_stream)MAX(i, 0);
	return i >= 0;
}

/* What the stream is for; NULL when the line is malformed. */
static struct stream_target *read_target(struct stream *stream, json_t *line)
{
	const char *vm, *migration, *name, *nic = NULL;
	json_int_t bytes = 0;
	enum tunnel_stream which;

	if (json_unpack(line, "{s:s, s:s, s:s, s?s, s?I}", "vm", &vm, "migration", &migration, "stream",
		    &name, "nic", &nic, "bytes", &bytes) < 0 ||
		!stream_of(name, &which) || (which == TUNNEL_CONNECTIONS) != (nic != NULL) || bytes < 0)
		return NULL;
	const struct tunnel_peer peer = {.vm = vm, .migration = migration, .host = stream->peer};
	stream->file_bytes = (guint64)bytes;
	return stream_target_new(&peer, which, nic);
}

/* All that is not exactly what the agent awaits is refused alike: who has no business here learns nothing. */
static const struct tunnel_admission *admission_of(struct stream *stream, const struct stream_target *target)
{
	const struct tunnel_admission *admission =
		g_hash_table_lookup(stream->tunnel->admissions, target->migration);

	/* One that is off has no other streams, and one that runs has not this one. */
	return admission && stream->peer && g_str_equal(admission->host, stream->peer) &&
			       g_str_equal(admission->vm, target->vm) &&
			       (target->stream == TUNNEL_MACHINE) == (admission->disk != NULL)
		       ? admission
		       : NULL;
}

static void on_let_in(struct stream *stream)
{
	stream_join(stream);
}

static void connect_local(struct stream *stream, const char *path);

static gboolean on_retry(void *data)
{
	struct stream *stream = data;
	const struct tunnel_admission *admission = admission_of(stream, stream->target);

	g_clear_pointer(&stream->retry, g_source_unref);
	if (admission)
		connect_local(stream, admission->paths[stream->target->stream]);
	return G_SOURCE_REMOVE;
}

static void on_local(GObject *source, GAsyncResult *result, void *data)
{
	_cleanup_(stream_unref) struct stream *stream = data;
	g_autoptr(GError) error = NULL;
	GSocketConnection *local = g_socket_client_connect_finish(G_SOCKET_CLIENT(source), result, &error);

	if (stream->ended) {
		g_clear_object(&local);
	} else if (local) {
		stream->local = G_IO_STREAM(local);
		stream_send_line(stream, json_object(), on_let_in);
	} else if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ||
		   g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED)) {
		stream->retry = g_timeout_source_new(RETRY_MS);
		g_source_set_callback(stream->retry, on_retry, stream, NULL);
		g_source_attach(stream->retry, stream->tunnel->context);
	} else {
		stream_refuse(stream, FAULT_UNAVAILABLE,
			"the target cannot open its end of the stream '%s': %s",
			tunnel_stream_words[stream->target->stream], error->message);
	}
}

static void connect_local(struct stream *stream, const char *path)
{
	g_autoptr(GSocketClient) client = g_socket_client_new();
	g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);

	g_socket_client_connect_async(
		client, G_SOCKET_CONNECTABLE(address), stream->cancellable, on_local, stream_ref(stream));
}

static void on_asked_for(struct stream *stream, json_t *line)
{
	_cleanup_(stream_target_free) struct stream_target *target = read_target(stream, line);
	const struct tunnel_admission *admission = target ? admission_of(stream, target) : NULL;

	if (!target) {
		stream_refuse(stream, FAULT_INVALID, "a stream must say its vm, migration and stream");
	} else if (!admission) {
		stream_refuse(stream, FAULT_DENIED, "no migration %s of vm %s is awaited from %s here",
			target->migration, target->vm, stream->peer ? stream->peer : "one that is no host");
	} else {
		stream->target = g_steal_pointer(&target);
		if (stream->target->stream >= TUNNEL_CONNECTIONS)
			file_receive(stream, admission->disk);
		else
			connect_local(stream, admission->paths[stream->target->stream]);
	}
}

void serve_begin(struct stream *stream)
{
	stream_read_line(stream, on_asked_for);
}
