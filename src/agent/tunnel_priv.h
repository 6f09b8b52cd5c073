/* What the parts of the tunnel share. Everything here belongs to the tunnel's thread, but where it says otherwise. */
#pragma once
#include "agent/tunnel.h"
#include "base/fault.h"

#include <gio/gio.h>

/* Lines are short; one that is longer is no peer's of ours. */
#define TUNNEL_LINE_MAX 4096

struct stream;

/* Whether the owner has freed the tunnel; of the owner's thread, shared with what is on its way there. */
struct tunnel_life {
	bool ended;
};

struct tunnel {
	/* Constant once it is made. */
	GThread *thread; /* Owned */
	GMainContext *context, *owner; /* Ref */
	GMainLoop *loop; /* Owned */
	GTlsCertificate *certificate; /* Ref */
	GTlsDatabase *database; /* Ref */
	char *address, *spool; /* Owned */
	tunnel_file_fn file;
	void *data;
	struct tunnel_life *life; /* Ref, atomic */

	GSocketService *listener; /* Ref; NULL: none */
	GHashTable *admissions; /* Owned: migration -> struct tunnel_admission */
	GPtrArray *forwards; /* Owned, of struct tunnel_forward */
	GHashTable *troubles; /* Owned: migration -> sentence */
	GHashTable *streams; /* id -> struct stream that has not ended */
	guint64 last_id;
	unsigned live; /* streams whose operations are not over, ended or not */
	bool closing;
	gint64 log_since_us; /* of log_count lines in this minute */
	unsigned log_count;
};

/* What tunnel_admit said. Strings Owned. */
struct tunnel_admission {
	char *vm, *host;
	char *paths[3]; /* by enum tunnel_stream; NULL: it is off */
	char *disk; /* where the disk of one that is off lands, without the stream's number; else NULL */
};

/* The other end, and what for. Strings Owned; nic NULL but for connections. */
struct stream_target {
	char *vm, *migration, *host, *address, *nic;
	enum tunnel_stream stream;
};
struct stream_target *stream_target_new(
	const struct tunnel_peer *peer, enum tunnel_stream stream, const char *nic);
void stream_target_free(struct stream_target *target);
CLEANUP_FUNC(struct stream_target *, stream_target_free)

/* One direction. */
struct pump {
	struct stream *stream; /* Borrowed: it is part of it */
	GInputStream *in; /* Borrowed */
	GOutputStream *out; /* Borrowed */
	guint8 *buffer; /* Owned, of TUNNEL_BUFFER bytes */
	gsize fill; /* bytes in it that are not written yet */
	guint64 left; /* bytes until it is done; G_MAXUINT64: until the end of `in` */
	void (*done)(struct pump *pump);
};

/* Life of a stream: connected, TLS, lines, pumping, ended. It is freed when it has ended and its last operation is over. */
struct stream {
	struct tunnel *tunnel;
	guint64 id;
	unsigned refs; /* one while it has not ended, one for each operation under way */
	bool ended, is_server;
	GCancellable *cancellable; /* Owned */
	GSource *deadline; /* Owned; NULL: none */
	GIOStream *tls; /* Ref; over the TCP connection */
	GIOStream *local; /* Ref: unix socket, or the file's stream is `file` */
	GObject *file; /* Ref: the file's input or output stream */
	GSource *retry; /* Owned: until the local socket is there */
	char *file_path; /* Owned: where it lands, or what is sent */
	char *peer; /* Owned: name in the certificate of who is there */
	struct stream_target *target; /* Owned; of a server's stream once it has said it */
	guint64 file_bytes;
	struct pump in, out; /* from the peer, to the peer */
	void (*line)(struct stream *stream, json_t *line); /* who waits for the next line of the peer */
	tunnel_answer_fn answer; /* of tunnel_send_file */
	void *answer_data;
};

/* tunnel_stream.c */

/* A stream over a TCP connection that came, or to a target that is to be connected to. Takes target and local. */
struct stream *stream_accept(struct tunnel *tunnel, GSocketConnection *tcp);
struct stream *stream_open(struct tunnel *tunnel, struct stream_target *target, GIOStream *local);
/* Ends it because of something: its connections are cut, and who must know is told. */
void stream_end(struct stream *stream, enum fault fault, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* The same for an operation that failed (reason NULL: the other end has closed): "WHAT host X: reason". */
void stream_break(struct stream *stream, const char *what, const GError *reason);
/* The same for an end that does what no tunnel does: "host X WHAT". */
void stream_reject(struct stream *stream, const char *what);
/* Ends it because it is over. */
void stream_close(struct stream *stream);
struct stream *stream_ref(struct stream *stream);
void stream_unref(struct stream *stream);
CLEANUP_FUNC(struct stream *, stream_unref)
/* Sends a line, then calls next. Takes the line's reference. */
void stream_send_line(struct stream *stream, json_t *line, void (*next)(struct stream *stream));
/* Sends a fault as the line, and ends when the peer has taken it. */
void stream_refuse(struct stream *stream, enum fault fault, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* Reads one, then calls next with it. */
void stream_read_line(struct stream *stream, void (*next)(struct stream *stream, json_t *line));
/* Ends the stream in seconds; 0: it may last. */
void stream_set_deadline(struct stream *stream, unsigned seconds);

/* tunnel_pump.c */

/* Begins, with what is in the buffer already. */
void pump_start(struct pump *pump, GInputStream *in, GOutputStream *out, guint64 bytes,
	void (*done)(struct pump *pump));
/* Both ways between the peer and the local socket, until both directions have ended. */
void stream_join(struct stream *stream);

/* tunnel_serve.c: the target's side of a stream once TLS stands. */
extern const char *const tunnel_stream_words[]; /* by enum tunnel_stream; ends with NULL */
void serve_begin(struct stream *stream);

/* tunnel_file.c */

/* The sender: the peer lets the file in. */
void file_send(struct stream *stream);
/* The receiver: {} is sent and the bytes come. disk: of its admission. */
void file_receive(struct stream *stream, const char *disk);
/* Ends with an answer for who sent it. Takes the answer. */
void file_tell_answer(struct stream *stream, json_t *answer, enum fault fault, const char *message);

/* tunnel_thread.c */

/* Makes contexts and life, of the calling thread; nothing runs yet. */
void tunnel_thread_init(struct tunnel *tunnel);
void tunnel_thread_start(struct tunnel *tunnel);
/* Gives back what init made, once the thread, if it was started, is joined. */
void tunnel_thread_clear(struct tunnel *tunnel);
/* fn(data) in the owner's context, unless the tunnel is freed before; then, or without, release(data). */
void tunnel_tell(struct tunnel *tunnel, void (*fn)(void *data), void *data, void (*release)(void *data));
/* fn(data) in the tunnel's thread; from any other. Returns when it is done. */
void tunnel_do(struct tunnel *tunnel, void (*fn)(void *data), void *data);

/* tunnel.c */

/* A stream went wrong: remembered for its migration (NULL: none is known), and logged on the target's side. */
void tunnel_note(struct tunnel *tunnel, const char *migration, bool log, const char *sentence);
/* The last stream of a tunnel that closes is over. */
void tunnel_stream_over(struct tunnel *tunnel);
