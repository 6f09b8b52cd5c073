/* Byte streams between two agents, for the migrations of their VMs: each is a TCP connection of its own, in TLS.
 *
 * How it works. On the source the tunnel listens on unix sockets that the VM manager and its hypervisor connect to;
 * each connection there becomes a stream to the peer's tunnel, which connects it to its own manager's or hypervisor's
 * socket. Streams begin with a line of JSON from the source,
 *
 *     {"vm": UID, "migration": UID, "stream": "libvirt" | "memory" | "disk"}
 *     {"vm": UID, "migration": UID, "stream": "connections", "nic": UID, "bytes": N}
 *     {"vm": UID, "migration": UID, "stream": "machine", "bytes": N}
 *
 * and a line of the target's: {} to go on, or {"fault": WORD, "message": SENTENCE}, after which it closes. The first three
 * then carry bytes both ways until both sides have ended theirs; an end of one direction is handed on as such. The others
 * carry N bytes, a switch's connections or the disk of a machine that is off, and one line of JSON back: {"answer": ...} or
 * a fault as above.
 *
 * Who may. Both ends show the certificate that they have from the cloud's CA for the controller, and both ask for the
 * same: signed by that CA, made for a host (its use is 'client': the controller's own is not one), and in the name of the
 * very host that the goal names as the peer. A server is thereby known by its name as a host, not by an address, which
 * no certificate of a host has. What the target lets in is only what tunnel_admit said: this migration, of this VM, from
 * that host; everything else is refused with a reason, and logged, a few a minute.
 *
 * Threads. All streams live in a thread of the tunnel's own with its own main context, and no call here blocks, so the
 * calls of the VM manager, which block a thread of the agent's for minutes, wait for nobody but the peer. Callbacks come
 * in the thread-default main context of tunnel_new's caller. All functions are for that one thread.
 *
 * Bounds. A direction of a stream reads its next TUNNEL_BUFFER bytes when the last have been taken by the other side:
 * that is all memory that a stream holds, and how a slow side slows the other. A TLS handshake and the two lines have
 * TUNNEL_OPEN_S together; the source waits a little longer, to hear why. A peer that vanishes is noticed by TCP within TUNNEL_DEAD_S, busy or idle; a stream that is
 * merely idle lives on. At most TUNNEL_STREAMS_MAX are open at once.
 *
 * Rejected: libvirt's own TLS listeners (two more certificates and three more open ports on each host, and whoever has a
 * certificate may do everything, at any time); migration tunnelled in libvirt's protocol (it cannot copy disks).
 */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define TUNNEL_PORT        8446
#define TUNNEL_BUFFER      (64 * 1024)
#define TUNNEL_OPEN_S      10
#define TUNNEL_DEAD_S      20
#define TUNNEL_STREAMS_MAX 256
#define TUNNEL_FILE_MAX    (256 * 1024 * 1024) /* bytes of a file of connections */
#define TUNNEL_ANSWER_S    60 /* for the peer to take such a file in */
#define TUNNEL_DISK_S      600 /* the same of a disk, which must be on its own disk first */

enum tunnel_stream {
	TUNNEL_LIBVIRT, /* vm_migration_paths.manager of both sides */
	TUNNEL_MEMORY,
	TUNNEL_DISK,
	TUNNEL_CONNECTIONS, /* one file of a switch; by tunnel_send_file only */
	TUNNEL_MACHINE, /* the disk of a machine that is off; likewise */
};

struct tunnel;
struct tunnel_file;

/* A whole file has come, for one NIC, or (NULL) the VM's disk; `path` is there until it is answered. The callee keeps `file` and answers it once,
 * before tunnel_free. Strings Borrowed until the answer. */
typedef void (*tunnel_file_fn)(struct tunnel_file *file, void *data);
const char *tunnel_file_path(const struct tunnel_file *file);
const char *tunnel_file_vm(const struct tunnel_file *file);
const char *tunnel_file_nic(const struct tunnel_file *file);
/* What the sender is told: takes the answer's reference, or (answer NULL) copies the error. The file is deleted, unless the
 * callee has moved it away. A
 * sender that went away meanwhile is nobody's trouble. */
void tunnel_file_answer(struct tunnel_file *file, json_t *answer, const GError *error);

/* Strings Borrowed for the call. */
struct tunnel_config {
	const char *certificate, *key, *ca; /* paths, PEM: as of goal_client_config */
	const char *listen; /* "IP:PORT", "[IP6]:PORT"; port 0: any that is free. NULL: nothing comes in */
	const char *spool; /* folder for files that come; made, mode 0700, and emptied */
	tunnel_file_fn file; /* NULL: files are refused */
	void *data;
};

/* FAULT_INVALID: a file is no certificate or key, or `listen` no address; FAULT_IN_USE: another listens there. */
struct tunnel *tunnel_new(const struct tunnel_config *config, GError **error);
/* Cuts all streams and forgets all migrations; callbacks that are due do not come any more. */
void tunnel_free(struct tunnel *tunnel);
CLEANUP_FUNC(struct tunnel *, tunnel_free)

/* "IP:PORT" where it listens, with the port that it got; NULL: nowhere. Borrowed. */
const char *tunnel_address(const struct tunnel *tunnel);

/* The other end of a migration. Strings Borrowed for the call. */
struct tunnel_peer {
	const char *vm, *migration; /* uids */
	const char *host; /* its name, as in its certificate */
	const char *address; /* "IP:PORT" of its tunnel; not needed by tunnel_admit */
};

/* On the target: from now on streams of this migration are let in from that host and led to these unix sockets, which
 * need not be there yet: a stream that comes first waits for its socket, up to TUNNEL_OPEN_S. Once more with the same
 * migration replaces what was said. */
void tunnel_admit(struct tunnel *tunnel, const struct tunnel_peer *peer, const char *libvirt,
	const char *memory, const char *disk);

/* The same of a VM that is off, whose disk is let in and nothing else: it lands in a file of its own each
 * time that it comes, `disk` with a number behind it. FAULT_ALLOCATION for the source where there is no room for it. */
void tunnel_admit_disk(struct tunnel *tunnel, const struct tunnel_peer *peer, const char *disk);

/* On the source: listens on the unix socket `path` (mode 0600; a file that is there is replaced) and leads each connection
 * to the peer. FAULT_INVALID: the address is none; FAULT_INTERNAL: the socket cannot be made. Once more with the same
 * migration and stream: success. */
bool tunnel_forward(struct tunnel *tunnel, const struct tunnel_peer *peer, enum tunnel_stream stream,
	const char *path, GError **error);

/* On the source; nic NULL: it is the VM's disk. `answer` is what the peer's agent said, Borrowed; NULL with the error. It always comes, except after
 * tunnel_free; after tunnel_end as FAULT_UNAVAILABLE. */
typedef void (*tunnel_answer_fn)(json_t *answer, const GError *error, void *data);
void tunnel_send_file(struct tunnel *tunnel, const struct tunnel_peer *peer, const char *nic,
	const char *path, tunnel_answer_fn done, void *data);

/* The last thing that went wrong with a stream of this migration, as a sentence: libvirt, which sees a socket close, can
 * not say it. NULL: nothing did. Owned by the caller. */
char *tunnel_trouble(struct tunnel *tunnel, const char *migration);

/* Cuts all streams of this migration, lets no more in, and removes the sockets that tunnel_forward made for it. A
 * migration that is not known is one that has ended. */
void tunnel_end(struct tunnel *tunnel, const char *migration);
