/* What the files of `sluice up` share: up.c (the run), up_options.c (what options may be),
 * up_prepare.c (lock, certificates, namespaces), up_parts.c (the children). */
#pragma once
#include "base/ip.h"
#include "cli/layout.h"
#include "cli/process.h"
#include "vm/daemon.h"

#include <stdbool.h>

/* Texts are Borrowed from the command line or the defaults. */
/* Options of sluice-switch that are handed on to it as they are: it knows what they may be. `name` is the option here;
 * there it is without what it begins with. */
#define UP_SWITCH_PREFIX        "switch-"
#define UP_SWITCH_OPTIONS       6
#define UP_SWITCH_OWN_ARGUMENTS 3 /* that the switch has without any of them */
struct up_switch_option {
	const char *name, *text, *argument;
};
extern const struct up_switch_option up_switch_options[UP_SWITCH_OPTIONS];

struct up_options {
	char *state;
	char *outside;
	char *listen;
	char *agent_listen;
	char *locations;
	char *public_prefix;
	char *public_gateway; /* NULL until up_check_options(): the pool's first */
	char first_address[IP_TEXT_MAX]; /* what public_gateway then points to */
	char *images, *sizes;
	char *switch_user;
	char *switch_values[UP_SWITCH_OPTIONS]; /* Owned; of up_switch_options; NULL: it was not given */
	char *controller; /* URL of another machine's; NULL: there is one here */
	char *tunnel; /* where the agent takes machines from other hosts; NULL: nowhere */
	char *underlay, *underlay_address, *underlay_gateway; /* NULL: none */
	char *host_file;
	gboolean no_default_outbound;
	int underlay_mtu; /* 0: the interface's */
	double cpu_ratio, ram_ratio;
	int workers;
};

struct cloud {
	struct up_options options;
	struct layout *layout;
	struct vm_daemon *daemon;
	struct account switch_account;
	struct process *libvirt, *switch_, *controller, *agent;
	GMainLoop *loop;
	bool stopping;
	bool on_physicals; /* the host file names physical networks: switch and VMs run in this network namespace */
	int lock, physicals_lock;
};

/* up_options.c: FAULT_INVALID or FAULT_UNSUPPORTED, of the option at fault, unless a cloud can be made of them;
 * completes the gateway. Looks at nothing but the options. */
bool up_check_options(struct up_options *options, GError **error);

/* up_prepare.c: takes the state folder's lock, and that of the host file when it names physical networks, sees that addresses to listen on are free, lets the switch's
 * user into its folders, makes certificates and the switch's namespace, readies the daemon. FAULT_BUSY when
 * another `sluice up` runs on the state folder, FAULT_IN_USE when something listens on an address already,
 * FAULT_NOT_FOUND when the certificates of a host of another machine's cloud are missing. */
bool up_prepare(struct cloud *cloud, GError **error);
/* Removes the namespaces, and what is around the switch in this one, when all processes are gone. */
void up_remove_namespaces(const struct cloud *cloud);
/* Path of the network namespace of switch and VMs; NULL: it is this one. Owned by the caller. */
char *up_switch_netns(const struct cloud *cloud);
/* Where images are: the option or the state folder's. Borrowed. */
const char *up_image_dir(const struct cloud *cloud);

/* Whether the switch takes the options that are for it, which it is asked itself; FAULT_INVALID with its words. */
bool up_ask_switch(const struct up_options *options, GError **error);

/* Command line of the switch, without its program. Owned by the caller. */
GPtrArray *up_switch_arguments(const struct up_options *options, const char *socket, const char *state_dir);

/* up_parts.c: starts all parts and waits until they answer; FAULT_UNAVAILABLE quotes the one that does not.
 */
bool up_start_parts(struct cloud *cloud, GError **error);
/* Stops the agent, the VMs and the other parts, in that order. */
void up_stop_parts(struct cloud *cloud);
