/* VM manager: virtual machines of this host, by any provider.
 *
 * libvirt.c is the real one; fake.c is for tests (`sluice up` refuses it). One conformance test runs on both.
 * All calls are idempotent: what is already so succeeds at once. They may block for seconds (libvirt does);
 * the agent calls them from worker threads, one call at a time for each VM. A VM that the provider does not
 * know is FAULT_NOT_FOUND, except for remove.
 *
 * Order that the caller keeps
 *
 * QEMU is the vhost-user server of each NIC, and a QEMU that starts does nothing else until a client has
 * connected to each socket and has answered (`server=on` without `wait=off` is all that libvirt can say, and
 * QEMU's vhost-user needs the answer to build the device anyway). So:
 *
 *     define -> tell the switch about the NICs -> start
 *
 * The switch keeps trying to connect until the socket exists, so it never has to be told when. `start` is the
 * moment at which the port is confirmed: it returns true only after every NIC's backend has answered, one after the
 * other. When they have not within VM_START_DEADLINE_S, and VM_START_NIC_S more for each, the start is undone and FAULT_UNAVAILABLE says so: nothing is left
 * frozen. While a VM runs, the switch may come and go; QEMU keeps listening. Before a primary is plugged its
 * tap exists and the switch has opened it; it goes after unplug returned.
 *
 * Migration
 *
 * A running VM moves from the manager of its host, the source, to one of the same kind on another, the target:
 *
 *     target:  define -> tell the switch about the NICs -> migration_paths(incoming), let the streams in
 *     source:  unplug the primaries -> migration_paths(outgoing), listen there -> migrate
 *
 * The definition on the target says where things are there: directory, disk, sockets, the image. What the guest sees
 * comes from the running machine, so addresses of devices stay although another version defined it there. The image
 * is on both hosts under one id; only the VM's own disk is copied.
 *
 * At any moment the machine runs on one side at most. Between its stop here and its start there, and when its daemons
 * died just then, it is VM_STOPPED on both: start is FAULT_BUSY for it, and only `migrate` of the source, which asks
 * the target, may decide where it goes on. So the next process that finds a migration in its books calls migrate again,
 * whatever state the VM is in, and the answer is as good as the first one's would have been. When the source does not
 * know the VM any more, it runs on the target: nothing else that happens in a migration removes it.
 *
 * What failed to arrive is VM_STOPPED or VM_CRASHED on the target until it is removed there.
 *
 * A VM that is off moves by its disk alone: take_disk of the target, then remove of the source. Which of the two it is, its
 * callers know.
 *
 * Events: a machine that has left is told as VM_ABSENT, never as stopped; one that comes is told when it runs.
 */
#pragma once
#include "base/cleanup.h"
#include "base/ip.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define VM_START_DEADLINE_S 30
#define VM_START_NIC_S      5

/* Longest path of a socket in a VM's directory (sun_path with its NUL). */
#define VM_SOCKET_PATH_MAX 107

enum vm_state {
	VM_ABSENT, /* the provider does not know it; nothing is held */
	VM_STOPPED, /* defined, guest off by request or by itself; also while it is starting or changes hosts */
	VM_RUNNING,
	VM_CRASHED, /* its process died, the guest panicked, or its disk failed: `detail` says what is known.
		     * It stays so until it is started or removed. One whose disk failed is held still: its process is there,
		     * with its disk and its primaries open, until it is stopped, started or removed */
};

/* Stable word: "absent", "stopped", "running", "crashed". */
const char *vm_state_name(enum vm_state state);

/* One NIC as the machine sees it. Strings Owned. */
struct vm_nic {
	char *uid;
	struct mac_addr mac;
	uint16_t mtu; /* told to the guest by virtio; 0, or below 1500 when teamed: not told, DHCP must */
	char *vhost_socket; /* path; QEMU is the vhost-user server, the switch connects to it */
	bool teamed; /* the virtio NIC is the failover standby of a primary that comes and goes */
	uint16_t queues; /* queue pairs, >= 1 */
};

/* Spec of one VM. Strings Owned. */
struct vm_spec {
	char *uid; /* also the libvirt UUID */
	char *name; /* for people: libvirt name is "NAME-" and the first 8 digits of the uid */
	uint32_t vcpus;
	uint64_t memory_mib;
	char *image; /* id of an image of the image store */
	char *directory; /* absolute; where disk, console log and sockets of this VM live. It is this VM's
			  * alone: define makes it, remove deletes it with all that is in it */
	uint64_t disk_gib; /* 0: the image's own size */
	GPtrArray *nics; /* Owned, of struct vm_nic, in order */
};

/* What is in a VM's directory besides the NICs' sockets. */
#define VM_DISK_FILE      "disk.qcow2" /* overlay on the image's disk */
#define VM_CONSOLE_LOG    "console.log" /* all that the guest wrote to ttyS0, appended over restarts */
#define VM_CONSOLE_SOCKET "console.sock" /* ttyS0 itself, for one client at a time, while the VM runs */

void vm_nic_free(struct vm_nic *nic);
CLEANUP_FUNC(struct vm_nic *, vm_nic_free)
struct vm_spec *vm_spec_new(void);
void vm_spec_free(struct vm_spec *spec);
CLEANUP_FUNC(struct vm_spec *, vm_spec_free)

/* FAULT_INVALID with a sentence when no provider could run it: a uid that is no UUID, no CPU or memory, a
 * relative directory, a socket path that is too long, ... */
bool vm_spec_check(const struct vm_spec *spec, GError **error);

/* Strings Owned. */
struct vm_info {
	char *uid;
	enum vm_state state;
	char *detail; /* one sentence for VM_CRASHED, else NULL */
};
void vm_info_free(struct vm_info *info);

/* The primary of a teamed NIC, same MAC as its standby: an e1000e on a tap that exists already, or a virtual function
 * of the host. Of a function, libvirt has driver, MAC and VLAN from plug to the end of unplug: it makes them the guest's
 * when it is plugged, and puts back what it found when it left, or when its machine ended. */
struct vm_primary {
	const char *nic_uid;
	struct mac_addr mac;
	const char
		*tap; /* interface name in the network namespace of the VM daemon; NULL: it is a function */
	const char *pci; /* "0000:3b:10.0"; NULL: it is a tap */
	uint16_t vlan; /* of the function's frames on the wire; 0: not tagged */
};

struct vm_pci {
	unsigned domain, bus, slot, function;
};

/* Reads a PCI address as Linux writes it, and nothing else. */
bool vm_pci_parse(const char *text, struct vm_pci *ret);

/* FAULT_INVALID when no provider could plug it: it is not one of tap and function, the address is malformed, a tap has
 * a VLAN, ... */
bool vm_primary_check(const struct vm_primary *primary, GError **error);

/* Where the three streams of a migration meet this host: paths of unix sockets, as this process sees them. Strings
 * Owned. Outgoing: the manager and its hypervisor connect to each, so somebody must listen there before migrate, who
 * leads them to the paths that the target's manager names. Incoming: manager and hypervisor listen, the last two only
 * while the machine comes; what is left of those two at the end is the caller's to unlink. Each may be connected to more
 * than once. */
struct vm_migration_paths {
	char *manager; /* calls of manager to manager: whoever gets here may do all that the daemon can */
	char *memory; /* the guest's memory and devices */
	char *disk;
};
void vm_migration_paths_clear(struct vm_migration_paths *paths);
CLEANUP_CLEAR_FUNC(struct vm_migration_paths, vm_migration_paths_clear)

struct vm_migration {
	const char *uid; /* the migration's own, a UUID: the same on both hosts */
	/* Told now and then, in a thread of the manager's: 0 to 99, never less than before. NULL: nobody asks. */
	void (*progress)(unsigned percent, void *data);
	/* Told once in the same way, when the machine has stopped here to run there; it may run here again, which is what
	 * migrate answers then. Not of a machine that another call had stopped. NULL: nobody asks. */
	void (*stopped)(void *data);
	void *data;
};

/* Strings Owned. */
struct vm_host {
	bool kvm; /* hardware virtualisation really works (probed, not assumed) */
	char *accel_detail; /* a sentence: why TCG, or which KVM */
	char *version; /* "QEMU 10.0.2, libvirt 9.0.0" */
};
void vm_host_clear(struct vm_host *host);

struct vm_manager;
struct vm_events;

/* A VM's state changed, or (gone_nic is not NULL) the primary of that NIC left the guest (DEVICE_DELETED);
 * then `state` is the VM's present state. uid NULL: the provider was away and is back, all states are told, and primaries may have
 * left that are not: ask `plugged`. Told from the thread-default main context of the thread that opened
 * the manager, never after vm_manager_close has returned in that thread. What changed while the provider was
 * away is told once it is back, the last state only. */
typedef void (*vm_event_fn)(const char *uid, enum vm_state state, const char *gone_nic, void *data);

struct vm_ops {
	const char *name;
	/* What runs VMs here. The caller clears ret. */
	bool (*host)(struct vm_manager *manager, struct vm_host *ret, GError **error);
	/* Makes disk and definition. Does not start. A VM that exists is redefined when it is not running;
	 * one that runs is left as it is. An existing disk is kept. */
	bool (*define)(struct vm_manager *manager, const struct vm_spec *spec, GError **error);
	/* Puts the file, which is the disk of a VM of that spec from another host and on the same file system as the VM's
	 * directory, in the place of the disk that define has made. It is on stable storage when this returns.
	 * FAULT_NOT_ALLOWED when the VM runs, FAULT_INVALID when the file is no such disk; then it is left alone. */
	bool (*take_disk)(
		struct vm_manager *manager, const struct vm_spec *spec, const char *path, GError **error);
	/* FAULT_ALLOCATION when the host lacks memory, FAULT_UNAVAILABLE when the switch does not serve a
	 * NIC. */
	bool (*start)(struct vm_manager *manager, const char *uid, GError **error);
	/* Asks the guest to power off, then after grace_s seconds turns it off; grace 0: at once. When this returns nothing of
	 * the machine is left, also of one that has crashed, which may go on to count as such. */
	bool (*stop)(struct vm_manager *manager, const char *uid, unsigned grace_s, GError **error);
	/* FAULT_NOT_ALLOWED when it is not running. */
	bool (*reset)(struct vm_manager *manager, const char *uid, GError **error);
	/* Stops it if need be, removes directory with disk, then definition. A VM that is absent is success.
	 */
	bool (*remove)(struct vm_manager *manager, const char *uid, GError **error);
	/* All VMs of this provider that Sluice made: GPtrArray of struct vm_info. */
	GPtrArray *(*list)(struct vm_manager *manager, GError **error);
	/* Plugs the primary; returns once the device is in the machine. FAULT_NOT_ALLOWED when the VM is not
	 * running, FAULT_UNAVAILABLE: the guest refused, FAULT_IN_USE: another VM has the function, FAULT_ALLOCATION:
	 * the host cannot lock the guest's memory, which a function needs. A function whose guest has no driver for
	 * its standby yet waits inside the machine, unseen, and enters when the driver is there. */
	bool (*plug)(struct vm_manager *manager, const char *uid, const struct vm_primary *primary,
		GError **error);
	/* Asks the guest to let it go and waits for DEVICE_DELETED, timeout_ms at most. FAULT_UNAVAILABLE:
	 * the guest did not (it may be booting, hung, or have no hot-plug driver); the request stays pending
	 * in it. A VM that is not running has no primary: success. */
	bool (*unplug)(struct vm_manager *manager, const char *uid, const struct vm_primary *primary,
		unsigned timeout_ms, GError **error);
	/* Whether the primary of a NIC is in the machine; false when the VM is not running. */
	bool (*plugged)(
		struct vm_manager *manager, const char *uid, const char *nic_uid, bool *ret, GError **error);
	/* FAULT_UNSUPPORTED: this manager was opened without what it needs for it. The caller clears ret. */
	bool (*migration_paths)(struct vm_manager *manager, const char *migration, bool incoming,
		struct vm_migration_paths *ret, GError **error);
	/* Moves a running VM and returns when that is over. True: it runs on the target, and nothing of it is left here,
	 * as after remove. FAULT_TIMEOUT: the daemon here, or the way to the target,
	 * was lost when it could have been decided either way; call again, see above. Any other fault: it runs here as
	 * before; FAULT_NOT_ALLOWED: it does not run, FAULT_BUSY: a migration of it is under way, FAULT_UNAVAILABLE: the
	 * target cannot be reached, has not defined it, or its switch does not serve the NICs, or it was cancelled. */
	bool (*migrate)(struct vm_manager *manager, const char *uid, const struct vm_migration *migration,
		GError **error);
	/* Lets a migrate that another thread has called fail as cancelled, unless it is past the point where it can
	 * still go back; what migrate returns says which. Nothing under way: success. */
	bool (*migrate_cancel)(struct vm_manager *manager, const char *uid, GError **error);
	void (*close)(struct vm_manager *manager);
};

/* First member of every provider's own struct. */
struct vm_manager {
	const struct vm_ops *ops;
	struct vm_events *events; /* Ref: vm/events.h */
};

struct vm_libvirt_config {
	const char *uri; /* e.g. "qemu+unix:///system?socket=/…/libvirt-sock" */
	const char *image_dir; /* the image store, see vm/image.h */
	const char *emulator; /* path of qemu-system-x86_64; NULL: libvirt's default */
	const char *log_dir; /* where the daemon keeps NAME.log of each QEMU, quoted when it died; NULL:
				unknown */
	const char *
		qemu_dir; /* what the daemon and its QEMUs have as /var/lib/libvirt/qemu, as this process sees
			       * it; sockets of migrations go there, since their paths must be the same text on
			       * all hosts. NULL: VMs do not migrate */
	const char *
		pid_file; /* of a private daemon, which may be told to end, since it is started again; NULL: the
			       * daemon is the host's */
};

/* Waits some seconds for a daemon that does not answer: it may be on its way. FAULT_UNAVAILABLE when it still
 * does not; open again later. Once open, the manager itself reconnects when the daemon was restarted; calls
 * meanwhile are FAULT_UNAVAILABLE after a few seconds.
 *
 * The program must run GLib's default main context (in any thread): libvirt's event loop lives on it. SIGPIPE is ignored from
 * then on, as GIO's sockets have it, too. */
struct vm_manager *vm_libvirt_open(
	const struct vm_libvirt_config *config, vm_event_fn event, void *data, GError **error);
/* vm/fake.h has what tests do to it. */
struct vm_manager *vm_fake_open(vm_event_fn event, void *data);
void vm_manager_close(struct vm_manager *manager);
CLEANUP_FUNC(struct vm_manager *, vm_manager_close)
