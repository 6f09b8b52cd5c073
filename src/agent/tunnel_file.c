/* Files, both ends: of connections, and disks of machines that are off.
 *
 * How it works: the receiver writes what comes to a file of its spool folder, or where the disk shall land, gives its path to the owner in the owner's
 * context, and remembers the stream by its number: the answer finds the stream again, or does not, if it has ended. Each
 * stream has a file of its own: one whose end is not noticed yet takes nothing from the next, which brings the same again.
 */
#include "agent/tunnel_priv.h"
#include "base/fault.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/statvfs.h>

struct tunnel_file {
	struct tunnel *tunnel; /* Borrowed */
	guint64 stream;
	char *path, *vm, *nic; /* Owned */
};

const char *tunnel_file_path(const struct tunnel_file *file)
{
	return file->path;
}

const char *tunnel_file_vm(const struct tunnel_file *file)
{
	return file->vm;
}

const char *tunnel_file_nic(const struct tunnel_file *file)
{
	return file->nic;
}

static void file_release(void *data)
{
	struct tunnel_file *file = data;

	g_unlink(file->path);
	g_free(file->path);
	g_free(file->vm);
	g_free(file->nic);
	g_free(file);
}

/* ---- the sender ---- */

/* An answer on its way to the owner. */
struct told {
	tunnel_answer_fn fn;
	void *data;
	json_t *answer; /* Ref */
	GError *error; /* Owned */
};

static void told_release(void *data)
{
	struct told *told = data;

	json_decref(told->answer);
	g_clear_error(&told->error);
	g_free(told);
}

static void tell(void *data)
{
	struct told *told = data;

	told->fn(told->answer, told->error, told->data);
}

void file_tell_answer(struct stream *stream, json_t *answer, enum fault fault, const char *message)
{
	struct told *told = g_new0(struct told, 1);

	*told = (struct told){.fn = stream->answer, .data = stream->answer_data, .answer = answer};
	if (!answer)
		fault_set(&told->error, fault, "%s", message);
	stream->answer = NULL;
	tunnel_tell(stream->tunnel, tell, told, told_release);
}

static void on_answer(struct stream *stream, json_t *line)
{
	json_t *answer = json_object_get(line, "answer");
	const char *message = json_string_value(json_object_get(line, "message"));
	const char *word = json_string_value(json_object_get(line, "fault"));

	if (answer) {
		file_tell_answer(stream, json_incref(answer), FAULT_INTERNAL, NULL);
		stream_close(stream);
	} else {
		stream_end(stream, fault_from_name(word ? word : ""), "%s",
			message ? message : "the peer did not say what became of the file");
	}
}

static void on_sent(struct pump *pump)
{
	bool disk = pump->stream->target->stream == TUNNEL_MACHINE;

	stream_set_deadline(pump->stream, disk ? TUNNEL_DISK_S : TUNNEL_ANSWER_S);
	stream_read_line(pump->stream, on_answer);
}

void file_send(struct stream *stream)
{
	stream_set_deadline(stream, 0);
	pump_start(&stream->out, G_INPUT_STREAM(stream->file), g_io_stream_get_output_stream(stream->tls),
		stream->file_bytes, on_sent);
}

/* ---- the receiver ---- */

/* A line for the stream with this number. */
struct reply {
	struct tunnel *tunnel;
	guint64 stream;
	json_t *line; /* Ref */
};

static gboolean send_reply(void *data)
{
	struct reply *reply = data;
	struct stream *stream = g_hash_table_lookup(reply->tunnel->streams, &reply->stream);

	if (stream)
		stream_send_line(stream, json_incref(reply->line), stream_close);
	return G_SOURCE_REMOVE;
}

static void reply_free(void *data)
{
	struct reply *reply = data;

	json_decref(reply->line);
	g_free(reply);
}

void tunnel_file_answer(struct tunnel_file *file, json_t *answer, const GError *error)
{
	struct reply *reply = g_new0(struct reply, 1);

	*reply = (struct reply){.tunnel = file->tunnel,
		.stream = file->stream,
		.line = answer ? json_pack("{s:o}", "answer", answer)
			       : json_pack("{s:s, s:s}", "fault", fault_name(fault_code(error)), "message",
					 error->message)};
	g_main_context_invoke_full(file->tunnel->context, G_PRIORITY_DEFAULT, send_reply, reply, reply_free);
	file_release(file);
}

static void deliver(void *data)
{
	struct tunnel_file **file = data;
	struct tunnel *tunnel = (*file)->tunnel;

	tunnel->file(g_steal_pointer(file), tunnel->data);
}

static void delivery_release(void *data)
{
	struct tunnel_file **file = data;

	if (*file)
		file_release(*file);
	g_free(file);
}

static void on_received(struct pump *pump)
{
	struct stream *stream = pump->stream;
	struct tunnel_file **file = g_new(struct tunnel_file *, 1);

	g_clear_object(&stream->file); /* closed and flushed */
	*file = g_new(struct tunnel_file, 1);
	**file = (struct tunnel_file){.tunnel = stream->tunnel,
		.stream = stream->id,
		.path = g_steal_pointer(&stream->file_path),
		.vm = g_strdup(stream->target->vm),
		.nic = g_strdup(stream->target->nic)};
	tunnel_tell(stream->tunnel, deliver, file, delivery_release);
}

static void on_invited(struct stream *stream)
{
	stream_set_deadline(stream, 0);
	pump_start(&stream->in, g_io_stream_get_input_stream(stream->tls), G_OUTPUT_STREAM(stream->file),
		stream->file_bytes, on_received);
}

/* Whether the folder of a disk's file has room for it; what cannot be asked is tried. */
static bool has_room(const char *path, guint64 bytes)
{
	g_autofree char *folder = g_path_get_dirname(path);
	struct statvfs room;

	return statvfs(folder, &room) < 0 || bytes <= (guint64)room.f_bavail * room.f_frsize;
}

void file_receive(struct stream *stream, const char *disk)
{
	g_autoptr(GError) error = NULL;

	if (!stream->tunnel->file || (!disk && stream->file_bytes > TUNNEL_FILE_MAX)) {
		stream_refuse(stream, FAULT_UNSUPPORTED,
			"a file of %" G_GUINT64_FORMAT " bytes is not taken here", stream->file_bytes);
		return;
	}
	if (disk && !has_room(disk, stream->file_bytes)) {
		stream_refuse(stream, FAULT_ALLOCATION,
			"the target has no room for its disk of %" G_GUINT64_FORMAT " MiB in %s",
			stream->file_bytes >> 20, disk);
		return;
	}
	stream->file_path = disk ? g_strdup_printf("%s.%" G_GUINT64_FORMAT, disk, stream->id)
				 : g_strdup_printf("%s/%" G_GUINT64_FORMAT ".connections",
					   stream->tunnel->spool, stream->id);
	g_autoptr(GFile) file = g_file_new_for_path(stream->file_path);
	stream->file = (GObject *)g_file_replace(file, NULL, false, G_FILE_CREATE_PRIVATE, NULL, &error);
	if (stream->file)
		stream_send_line(stream, json_object(), on_invited);
	else
		stream_refuse(stream, FAULT_INTERNAL, "the target cannot make a file: %s", error->message);
}
