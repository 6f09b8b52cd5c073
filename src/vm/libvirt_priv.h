/* What the parts of the libvirt provider share. Here, and nowhere else, libvirt's headers come in. */
#pragma once
#include "base/fault.h"
#include "vm/events.h"
#include "vm/vm.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

/* libvirt_link.c: the connection, its events and what was told of them. */
struct libvirt_link;

/* Connects (FAULT_UNAVAILABLE) and learns which VMs there are, telling nothing about them. Takes no reference
 * to anything but events. */
struct libvirt_link *libvirt_link_open(
	const char *uri, const char *log_dir, struct vm_events *events, GError **error);
/* Ends the connection; callbacks that still run keep the memory. */
void libvirt_link_close(struct libvirt_link *link);
CLEANUP_FUNC(struct libvirt_link *, libvirt_link_close)

/* The connection, referenced: virConnectClose() gives it back. Waits a few seconds for a daemon that is being
 * restarted, then FAULT_UNAVAILABLE. */
virConnectPtr libvirt_link_take(struct libvirt_link *link, GError **error);

/* A VM of ours is defined now: events about it count from here on. */
void libvirt_link_add(struct libvirt_link *link, const char *uid);

/* Sleeps until an event came or deadline_us (monotonic time) passed. *serial is what the caller saw last, and
 * is moved on; begin with libvirt_link_serial(). */
uint64_t libvirt_link_serial(struct libvirt_link *link);
void libvirt_link_wait(struct libvirt_link *link, uint64_t *serial, gint64 deadline_us);

/* Whether the guest refused to give up the device since libvirt_link_expect(alias). */
void libvirt_link_expect(struct libvirt_link *link, const char *alias);
bool libvirt_link_refused(struct libvirt_link *link, const char *alias);

/* libvirt_state.c */

/* What libvirt's state and reason mean to us. */
enum vm_state libvirt_vm_state(int state, int reason);

/* The last thing that a QEMU said in its present life, NULL when it said nothing of note. LOG_DIR/NAME.log
 * has the lines of several lives; each begins with libvirt's "starting up". */
char *libvirt_last_words(const char *log_dir, const char *name);

/* Our VMs as the daemon has them: GPtrArray of struct vm_info, all of them or NULL. */
GPtrArray *libvirt_scan(virConnectPtr conn, const char *log_dir, GError **error);

/* What a message of libvirt or QEMU that its code says nothing of means, and what to do about it (a constant; NULL: the
 * message says so). False when it is none of those that are known; nothing is set then. */
bool libvirt_complaint(const char *message, enum fault *ret_fault, const char **ret_remedy);

/* Sets *error to libvirt's last error in this thread, "WHAT: its text", with the fault that its code stands
 * for, `otherwise` where that says nothing. Returns false. */
bool libvirt_fail(virConnectPtr conn, const char *what, enum fault otherwise, GError **error);

static inline void libvirt_domain_free(virDomainPtr domain)
{
	virDomainFree(domain);
}
CLEANUP_FUNC(virDomainPtr, libvirt_domain_free)

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virError, virFreeError)

static inline void libvirt_connection_free(virConnectPtr conn)
{
	virConnectClose(conn);
}
CLEANUP_FUNC(virConnectPtr, libvirt_connection_free)
