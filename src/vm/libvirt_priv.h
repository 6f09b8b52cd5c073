/* What the parts of the libvirt provider share. Here, and nowhere else, libvirt's headers come in. */
#pragma once
#include "base/fault.h"
#include "vm/events.h"
#include "vm/kvm_probe.h"
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
/* As an event does. */
void libvirt_link_wake(struct libvirt_link *link);

/* Whether the guest refused to give up the device since libvirt_link_expect(alias). */
void libvirt_link_expect(struct libvirt_link *link, const char *alias);
bool libvirt_link_refused(struct libvirt_link *link, const char *alias);

/* libvirt_call.c */

/* Strings Owned. Nothing but `moves` changes after it is opened. */
struct libvirt_manager {
	struct vm_manager base;
	char *uri, *image_dir, *emulator, *log_dir, *qemu_dir, *pid_file;
	struct kvm_probe probe;
	struct libvirt_link *link; /* Owned */
	GMutex lock; /* guards moves */
	GHashTable
		*moves; /* Owned: uid -> struct move of libvirt_migrate.c, Borrowed, while it is under way */
};
struct libvirt_manager *libvirt_manager_of(struct vm_manager *manager);

/* What every operation holds while it runs. */
struct libvirt_call {
	struct libvirt_link *link;
	virConnectPtr conn; /* Ref */
	virDomainPtr domain; /* Owned; NULL when the call is about none */
	const char
		*name; /* Borrowed from domain: asking for it in a failure would clear the failure's reason */
};

/* uid NULL: no domain. FAULT_NOT_FOUND when the daemon does not know it. */
bool libvirt_call_begin(
	struct libvirt_call *call, struct vm_manager *manager, const char *uid, GError **error);
/* The same on a connection that the call has. */
bool libvirt_call_find(struct libvirt_call *call, const char *uid, GError **error);
void libvirt_call_end(struct libvirt_call *call);
CLEANUP_CLEAR_FUNC(struct libvirt_call, libvirt_call_end)

/* libvirt's last error as "cannot VERB vm NAME: ...". */
bool libvirt_call_fail(struct libvirt_call *call, const char *verb, enum fault otherwise, GError **error);

/* VM_ABSENT when libvirt does not say. */
enum vm_state libvirt_call_state(struct libvirt_call *call);

/* Seconds after which a machine of the domain that is not ready will not be any more. */
unsigned libvirt_call_start_limit(struct libvirt_call *call);

/* The VM's directory; NULL when the domain is not ours. Owned by the caller. */
char *libvirt_call_directory(struct libvirt_call *call);

/* libvirt_migrate.c: vm_ops.migration_paths, .migrate and .migrate_cancel. */
bool libvirt_migration_paths(struct vm_manager *manager, const char *migration, bool incoming,
	struct vm_migration_paths *ret, GError **error);
bool libvirt_migrate(
	struct vm_manager *manager, const char *uid, const struct vm_migration *migration, GError **error);
bool libvirt_migrate_cancel(struct vm_manager *manager, const char *uid, GError **error);

/* libvirt_stale.c: false, and nothing is set, when libvirt's message is not that a machine has the function, or that machine
 * has it. */
bool libvirt_stale_fail(struct vm_manager *manager, const struct libvirt_call *call, const char *pci,
	const char *message, GError **error);

/* What goes with a definition when a VM is undefined. */
#define LIBVIRT_UNDEFINE_FLAGS                                                                               \
	(VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |                         \
		VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM)

/* libvirt_state.c */

/* Whether the machine is still because it changes hosts: on its way here, or stopped or ended here for the other side. */
bool libvirt_is_between(int state, int reason);

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
