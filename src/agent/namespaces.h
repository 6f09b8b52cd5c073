/* The network around the switch on one machine: namespaces and the veth pairs between them.
 *
 *     switch namespace             outside (this host, or a namespace)
 *       sl-out  <------------------>  sl-gw     the gateway's address; the name is the config's
 *       sl-host <---.
 *       sl-f0...    |              metadata namespace
 *                   '-------------->  sl-meta   169.254.169.254, 168.63.129.16, route to 100.64.0.0/10
 *       sl-under  - - - - - - - - - ->  an interface of this host, of which it is a macvlan
 *
 * With an underlay of which address and interface are the host's own there is no sl-under: the switch opens that interface. Then
 * there is sl-vxlan, the kernel's VXLAN device: eswitches get flows of tunnels by it, and it has the UDP port, so that the kernel
 * does not call it unreachable to other hosts. Nobody reads it.
 *
 * The switch's namespace is one of its own, or, where it has physical networks, this host's, in which their interfaces
 * are. The switch opens its ends by packet socket: the kernel has no address there, answers no ARP, speaks no
 * IPv6, forwards nothing. The other ends send whole packets with whole checksums. All of it is made idempotently; namespaces
 * that were not there before are written down first, so that only those are removed again.
 */
#pragma once
#include "agent/switch_state.h"
#include "nic/names.h"

#define NAMESPACES_OUTSIDE_SWITCH NAME_OUTSIDE_SWITCH
#define NAMESPACES_OUTSIDE        "sl-gw" /* unless the config names it */
#define NAMESPACES_HOST_SWITCH    NAME_HOST_SWITCH
#define NAMESPACES_HOST           "sl-meta"
#define NAMESPACES_PROBES         "168.63.129.16" /* address of sl-meta that load balancers ask from */
#define NAMESPACES_UNDERLAY       NAME_UNDERLAY
#define NAMESPACES_VXLAN          NAME_VXLAN
#define NAMESPACES_HOST_ADDRESS                                                                              \
	"host" /* in the place of an underlay's address: the one that the interface has */

enum namespaces_outside { OUTSIDE_NONE, OUTSIDE_HOST, OUTSIDE_NETNS };

struct namespaces_config {
	const char *switch_netns; /* NULL: this process's own */
	const char *meta_netns; /* NULL: this process's own */
	enum namespaces_outside outside;
	const char *outside_netns; /* for OUTSIDE_NETNS */
	const char *outside_interface; /* NULL: NAMESPACES_OUTSIDE; hosts of several clouds need one each */
	const char *outside_address; /* "203.0.113.1/24": the gateway and the public addresses' prefix */
	const char *underlay_interface; /* of this host; NULL: no underlay */
	const char *
		underlay_address; /* "172.16.0.1/24": the switch's own there, which nobody else has; or "host" */
	const char *underlay_gateway; /* in that prefix, to VTEPs outside of it; NULL: there are none */
	int underlay_mtu; /* that packets of the underlay may have; 0: the interface's */
	const char *ledger; /* file of the namespaces that were made here */
};

/* What the switch is told of its ports; interfaces are constants. */
struct namespaces_ports {
	struct switch_port outside, host;
	struct switch_underlay underlay;
	bool has_outside, has_underlay;
};

/* FAULT_INVALID when an address is none, or is the host's and was to be the switch's; FAULT_NOT_FOUND when there is no such interface,
 * or it has no address yet; FAULT_INTERNAL with what could not be made. */
bool namespaces_set_up(const struct namespaces_config *config, struct namespaces_ports *ret, GError **error);

/* In the keeper's thread, once: an underlay with the host's address is not what it was set up as any more. message: a sentence;
 * Borrowed. */
typedef void (*namespaces_moved_fn)(const char *message, void *data);

/* Sets up again every few seconds, in a thread of its own, so that a pair that somebody removed comes back. config: Borrowed until
 * namespaces_keeper_free; ports: what it was set up as. moved: may be NULL. */
struct namespaces_keeper *namespaces_keep(const struct namespaces_config *config,
	const struct namespaces_ports *ports, namespaces_moved_fn moved, void *data);
void namespaces_keeper_free(struct namespaces_keeper *keeper);

/* Removes the pairs, and the namespaces that were made here. */
bool namespaces_tear_down(const struct namespaces_config *config, GError **error);

/* "none", "host" or "netns:NAME" into config (whose texts borrow from `text`). False when it is none of them.
 */
bool namespaces_parse_outside(const char *text, struct namespaces_config *config);
