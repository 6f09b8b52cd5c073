/* A private libvirt daemon for `sluice up`: its folder, and the process that becomes it.
 *
 * libvirtd has its paths compiled in, so it runs in a mount namespace of its own where /run/libvirt,
 * /var/lib/libvirt, /etc/libvirt, /var/cache/libvirt and /var/log/libvirt are folders of the state directory.
 * Nothing of the host's own libvirt is read or written; where the host has no such folder, an empty one is
 * made to mount on. Of libvirt's drivers only QEMU's is loaded: the others would look after the host's
 * networks, firewall and devices.
 *
 * The daemon may be killed and started again at any time: QEMU processes live on, and the next daemon adopts
 * them. VMs migrate between two daemons when their machines have different host names, as hosts do; two of one machine
 * need UTS namespaces of their own.
 */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <stdbool.h>

struct vm_daemon;

struct vm_daemon_config {
	const char *state_dir; /* absolute; made if missing, 0700 */
	const char
		*netns; /* path of the network namespace to run in, e.g. "/run/netns/x"; NULL: the caller's */
};

/* Writes configuration (a new host UUID the first time) and prepares all that vm_daemon_exec needs.
 * FAULT_UNSUPPORTED: libvirtd or its QEMU driver is not installed. FAULT_INVALID: a path is too long for a
 * socket. */
struct vm_daemon *vm_daemon_new(const struct vm_daemon_config *config, GError **error);
void vm_daemon_free(struct vm_daemon *daemon);
CLEANUP_FUNC(struct vm_daemon *, vm_daemon_free)

/* For vm_libvirt_config; Borrowed. */
const char *vm_daemon_uri(const struct vm_daemon *daemon);
const char *vm_daemon_log_dir(const struct vm_daemon *daemon);
const char *vm_daemon_qemu_dir(const struct vm_daemon *daemon);
const char *vm_daemon_pid_file(const struct vm_daemon *daemon);

/* Whether it listens: a connection to its socket is accepted. */
bool vm_daemon_is_up(const struct vm_daemon *daemon);

/* Called in a child process, as root: becomes libvirtd, in the foreground, logging to standard error. Makes
 * system calls only, so it is safe after the fork of a threaded program. Returns only on failure, having
 * written a line to standard error; the child then exits. */
void vm_daemon_exec(const struct vm_daemon *daemon);
