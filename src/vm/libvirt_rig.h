/* Test support: a host. A private libvirt daemon in a network namespace of its own and under a host name of its own, an
 * image, and what stands in for the switch; all of it goes with rig_free. */
#pragma once
#include "vm/conformance.h"
#include "vm/daemon.h"

struct rig {
	struct conformance c; /* its manager is open */
	char *root; /* Owned: folder of everything */
	char *netns; /* Owned: name of the namespace */
	struct vm_daemon *daemon;
	pid_t daemon_pid;
	GHashTable *peers; /* Owned: VM uid -> struct vhost_peer */
	GMainLoop *loop; /* of the default context, in `thread` */
	GThread *thread;
};

/* NULL with the reason when this machine cannot run it. */
struct rig *rig_new(char **ret_reason);
void rig_free(struct rig *rig);
CLEANUP_FUNC(struct rig *, rig_free)

/* VMs of `rig` migrate to `target`, which outlives it; streams go straight from one folder to the other. */
void rig_join(struct rig *rig, struct rig *target);

/* Starts the daemon and waits until it answers; kills it without warning. */
void rig_start_daemon(struct rig *rig);
void rig_kill_daemon(struct rig *rig);

/* Process of a VM's QEMU; 0 when there is none. */
pid_t rig_qemu_pid(struct rig *rig, const struct vm_spec *spec);

/* `virsh VERB` on a VM. */
void rig_virsh(struct rig *rig, const char *verb, const struct vm_spec *spec);

/* MiB/s that memory is copied by when the VM migrates. */
void rig_set_speed(struct rig *rig, const struct vm_spec *spec, unsigned long mib);

/* Types a line into a guest's console. */
void rig_type(const struct vm_spec *spec, const char *line);
/* Waits until the console log holds `text` `count` times; fails the test after a minute. */
void rig_await_console(const struct vm_spec *spec, const char *text, unsigned count);
