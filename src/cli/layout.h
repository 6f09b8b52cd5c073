/* Where `sluice up` keeps things, and what else of this machine it uses. */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <stdbool.h>

/* All Owned. Below the state folder, but for the programs and the catalog. */
struct layout {
	char *state;
	char *tls, *logs, *run, *images, *controller, *agent, *switch_, *libvirt;
	char *vhost; /* below run: where the agent lets QEMU make its sockets for the switch */
	char *switch_socket, *agent_socket, *principal, *lock;
	char *instance; /* 8 hex digits of the state folder's path: in the names of namespaces */
	char *netns; /* of the switch, its taps and the VMs' processes: "sluice-INSTANCE" */
	char *outside_interface; /* of the gateway, where public addresses are reached from: "sl-INSTANCE" */
	char *meta_netns; /* where the metadata service listens */
	char *sizes; /* the catalog of sizes */
};

/* Makes the folders, 0700, and finds the catalog. FAULT_INVALID when the path is too long for sockets in it.
 */
struct layout *layout_new(const char *state, GError **error);
void layout_free(struct layout *layout);
CLEANUP_FUNC(struct layout *, layout_free)

/* Path of one of our programs: beside the running one, in the build tree, or where it is installed. Owned. */
char *layout_program(const char *name, GError **error);
/* Path of a data file given below dist/ ("catalog/sizes.json"). Owned; NULL when it is nowhere. */
char *layout_data(const char *name);
