/* The switch's state from the goal: what `apply` sends, without its generation. Pure.
 *
 * Source of the format: docs/API.md, "The switch's control socket".
 */
#pragma once
#include "agent/ledger.h"
#include "base/capacity.h"
#include "base/ip.h"
#include "model/goal.h"

struct probes;

/* One of the switch's own interfaces. */
struct switch_port {
	const char *interface;
	struct mac_addr mac; /* the switch's own there */
	struct ip_prefix prefix;
	struct ip_addr gateway; /* of the outside only */
};

/* What leads to the switches of other hosts. */
struct switch_underlay {
	bool kernel; /* the interface is the host's own, and so is the address */
	const char *vxlan_device; /* the kernel's VXLAN device there, for an eswitch; NULL: none */
	const char *interface;
	struct mac_addr mac;
	struct ip_addr address; /* this switch's VTEP */
	struct ip_prefix prefix;
	struct ip_addr gateway; /* IP_NONE: all VTEPs are of the prefix */
	unsigned mtu; /* of what it carries */
};

/* A physical network that this host is on. */
struct switch_physical {
	const char *name;
	const char *interface; /* of its PF */
	unsigned mtu; /* of the wire */
	bool switchdev; /* the interface is the uplink of an eswitch */
	bool absent; /* the host is on it, but has no device of it now: the interface is one that may come */
	bool vxlans; /* the underlay leaves by its device, with an address of the kernel's */
};

#define TUNNEL_BYTES     50 /* a NIC's packet grows by them: IPv4, UDP, VXLAN and Ethernet headers */
#define UNDERLAY_MTU_MIN (1280 + TUNNEL_BYTES) /* what every guest may send, RFC 8200 section 5 */
#define UNDERLAY_MTU_MAX (NIC_MTU_MAX + TUNNEL_BYTES)

/* What is particular of this host; all Borrowed. */
struct switch_site {
	const struct switch_port *outside; /* NULL: none */
	const struct switch_port *host_port; /* NULL: none */
	const struct switch_underlay *underlay; /* NULL: none */
	const struct switch_physical *physicals;
	size_t n_physicals; /* at most PHYSICALS_MAX */
	const char *socket_dir; /* of the vhost-user sockets */
	const struct probes *probes; /* that members of load balancers here are asked; NULL: none */
};

/* What a state is made of; all Borrowed. */
struct switch_source {
	const struct goal *goal;
	const struct ledger *ledger; /* which NICs have a function attached, and which path is active */
	const struct switch_site *site;
	GHashTable *
		elsewhere; /* uids of the goal's VMs whose machines are on other hosts (migration.h); NULL: none is */
};

/* New reference.
 *
 * With an underlay the networks go on where the goal says that others have NICs, and NICs get an MTU that fits its
 * tunnels. Without one, mappings say nothing to the switch; the goal's conditions tell the operator.
 *
 * The NICs of a VM whose machine is elsewhere are `away`. Where it is the source's goal says late: what is for them goes to the
 * migration's peer.
 *
 * A NIC or a mapping that the switch would refuse, or whose physical network this host is not on, is left out, so that all else goes on: `left_out`, a table of
 * uid (or words) → sentence why (both owned by it), gets an entry. But a rule that is not understood is never left
 * out: NULL with FAULT_INVALID and the rule at fault. */
json_t *switch_state_build(const struct switch_source *source, GHashTable *left_out, GError **error);

/* The physical network of that name; NULL when this host is not on it, or name is NULL. Borrowed. */
const struct switch_physical *switch_site_physical(const struct switch_site *site, const char *name);
/* The one by whose eswitch tunnels go past the host; NULL: none. Borrowed. */
const struct switch_physical *switch_site_vxlans(const struct switch_site *site);

/* Path of a NIC's vhost-user socket. Owned by the caller. */
char *switch_state_socket(const struct switch_site *site, const char *nic);

/* An array of the texts; NULL is an empty one. New reference. */
json_t *switch_state_texts(const GPtrArray *texts);
