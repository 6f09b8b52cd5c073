/* The switch's state as workers read it: one immutable whole.
 *
 * Theory of operation. The main thread builds a snapshot aside (state.c decodes it from JSON), publishes its
 * pointer with release, and frees the one before after every worker has passed a quiescent state
 * (datapath.c). A worker reads the pointer once per turn, with acquire, and uses that snapshot to the end of
 * the turn: it never sees half of a change. Nothing in it is written after publication but what `struct port`
 * guards itself, and `polling`, which may be replaced.
 *
 * All its memory is blocks that go with it, and pointers within it are Borrowed from them. Security groups
 * are shared by reference between snapshots: one that did not change is not compiled again.
 *
 * A NIC has a slot, which it keeps from snapshot to snapshot, and a number (nic_id), the slot beside the
 * slot's incarnation. Flows hold numbers: those of a NIC that is gone match nothing, also when its slot is
 * taken again. Flows that were adopted from another process hold that process's numbers: the first snapshot,
 * which has no NICs, knows whose they are, so that the first state gives them to the same NICs.
 */
#pragma once
#include "base/capacity.h"
#include "base/cleanup.h"
#include "base/ip.h"
#include "policy/policy.h"
#include "switch/prefix_table.h"
#include "switch/vxlan.h"

#include <glib.h>
#include <jansson.h>

#define OUTSIDE_MTU      1500
#define SNAPSHOT_WORKERS 16 /* at most */
#define PHYSICAL_SLOTS   (2 * PHYSICALS_MAX)

struct classifier;
struct front;
struct load_balancer;
struct membership_map;
struct meter;
struct neighbour_table;
struct polling;
struct port;

struct group {
	gatomicrefcount references;
	char *uid, *name;
	bool revalidate; /* a rule that is gone stops connections that it had allowed */
	json_t *source; /* Ref: what it was made from, to know it again */
	char *text; /* Owned: the same, written */
	struct classifier *classifier;
};

/* Where a route of a subnet leads. */
enum route_kind {
	ROUTE_NETWORK, /* within the network */
	ROUTE_OUTSIDE, /* by the uplink */
	ROUTE_APPLIANCE, /* to a NIC of the network, which forwards it */
	ROUTE_NOWHERE,
	ROUTE_GATEWAY, /* to the subnet's gateway, a router on the physical network */
};

struct route {
	struct ip_prefix prefix;
	uint8_t kind; /* enum route_kind */
	struct ip_addr appliance;
};

/* Where addresses of a network live that no NIC here has. */
struct mapping {
	struct ip_prefix prefix;
	struct mac_addr mac;
	uint8_t vtep[4]; /* of the switch that they are on */
};

/* Of IPv4, of IPv6, or of both: what it does not have is IP_NONE. */
struct subnet {
	char *uid;
	struct ip_prefix prefix, prefix6;
	struct ip_addr gateway, gateway6;
	bool gateway_external; /* a physical router has `gateway`: the switch neither answers for it nor routes IPv4 */
	unsigned n_dns;
	struct ip_addr *dns;
	const struct group *group; /* NULL: none */
	const struct prefix_table *routes; /* of struct route; Borrowed from the snapshot; NULL: none */
};

/* A network's segment, as a number: its VNI, or where it is on a physical network. A physical network has a slot, which
 * it keeps from snapshot to snapshot and which nobody else takes before it was free for one: so flows may hold the
 * number. */
#define SEGMENT_VLAN (UINT32_C(1) << 31)
#define VLAN_ID_MAX  4094 /* IEEE 802.1Q, table 9-2 */

static inline uint32_t segment_of_vlan(unsigned slot, uint16_t id)
{
	return SEGMENT_VLAN | (uint32_t)slot << 12 | id;
}

static inline uint16_t segment_vlan_id(uint32_t segment)
{
	return segment & 0xfff;
}

static inline unsigned segment_physical_slot(uint32_t segment)
{
	return segment >> 12 & 0xffff;
}

struct network {
	char *uid;
	uint32_t segment;
	const struct physical
		*physical; /* that it is a VLAN of, Borrowed from the snapshot; NULL: it is in VXLAN */
	struct neighbour_table
		*neighbours; /* on the VLAN: a reference of the snapshot's; NULL: it is in VXLAN */
	uint32_t space; /* of its addresses in snapshot_find */
	unsigned n_prefixes, n_subnets;
	struct ip_prefix *prefixes;
	struct subnet *subnets;
	const struct prefix_table *mappings; /* of struct mapping; Borrowed from the snapshot; NULL: none */
	const struct nic *internal_front; /* of its internal load balancers, the first; NULL: there is none */
	unsigned n_source_nat;
	struct ip_addr *source_nat; /* public addresses that its NICs share (layers/nat.c); IPv4 */
	unsigned n_application_groups;
	struct policy_members *application_groups;
	const struct membership_map
		*memberships; /* of addresses as its rules see them; Borrowed from the snapshot */
};

struct nic_address {
	struct ip_addr ip;
	struct ip_addr public_ip; /* IP_NONE: none */
	bool standard;
};

#define LIMIT_BITS_MIN     UINT64_C(64000)
#define LIMIT_BITS_MAX     UINT64_C(1000000000000)
#define LIMIT_PACKETS_MIN  UINT64_C(10)
#define LIMIT_PACKETS_MAX  UINT64_C(1000000000)
#define LIMIT_BURST_MAX_MS 1000
/* Unless said otherwise. A sender whose whole window was dropped is silent for 200 ms at least (Linux's
 * smallest retransmission time-out), which a TCP stream that is policed has to make up for: 50 ms gave it 0.3
 * of its rate, 200 ms all. */
#define LIMIT_SEND_BURST_MS    50
#define LIMIT_RECEIVE_BURST_MS 200

/* What a NIC may send, or receive (meter.h). */
struct limit {
	uint64_t bits_per_s, packets_per_s; /* 0: no limit */
	uint32_t burst_ms; /* of idle time that may be made up for */
};

static inline bool limit_is_set(const struct limit *limit)
{
	return limit->bits_per_s || limit->packets_per_s;
}

enum attachment_kind { ATTACHMENT_SYNTHETIC, ATTACHMENT_FUNCTION };

struct attachment {
	enum attachment_kind kind;
	char *name; /* socket path or interface name */
	struct port *port; /* Borrowed from the ports registry */
	bool active; /* packets to the NIC go here */
	bool physical; /* the function is on the NIC's physical network itself, past the host (function.c) */
	bool offload; /* the interface is a representor, of an eswitch that may get flows (offloader.h) */
};

struct nic {
	uint32_t id;
	char *uid, *name, *hostname;
	struct mac_addr mac;
	uint16_t mtu;
	uint8_t host_address[4]; /* zero: none */
	struct limit send, receive;
	/* Its machine is on another host, still or already: what is for its addresses goes there, while its port is ready
	 * and its connections may come, or go (carry.h). */
	bool away;
	bool forwarding; /* it sends for others, and gets what is for others: an appliance */
	bool bypassed; /* it has or had a function past the host: connections may have begun there, unseen */
	const struct load_balancer *load_balancer; /* that it stands for, without a guest; NULL: it has one */
	const struct front *front; /* of a load balancer on another switch, which it is behind; NULL: none */
	struct ip_addr
		source_nat; /* of a load balancer here, which it shares; IP_NONE: the network's, if any */
	const struct network *network;
	const struct subnet *subnet; /* a load balancer's has no prefix */
	const struct group *group; /* NULL: none */
	unsigned n_addresses;
	struct nic_address *addresses; /* a load balancer's have no `ip`; an internal one's nothing else */
	unsigned n_attachments;
	struct attachment attachments[NIC_ATTACHMENTS];
};

/* A way out of the switch that is no NIC: the uplink, the host port, the underlay, a physical network. */
struct edge {
	bool present;
	char *interface;
	struct mac_addr mac;
	struct ip_prefix prefix;
	struct ip_addr gateway; /* outside only; IP_NONE: none */
	struct port *port; /* Borrowed from the ports registry */
	bool offload; /* the interface is the uplink of an eswitch that may get flows (offloader.h) */
};

/* A wire that networks are on, each in a VLAN of it, with machines that this switch knows nothing of. */
struct physical {
	struct edge edge; /* without addresses: its networks have them */
	char *name;
	uint16_t mtu; /* of the IP packets that it carries, tagged or not */
	const struct network **vlans; /* by their ids; 0: the one that is not tagged; NULL: nobody's */
};

/* What joins switches: their networks' packets travel between VTEPs here. */
struct underlay {
	struct edge edge;
	struct ip_addr address; /* this switch's VTEP */
	bool kernel; /* address and interface are the kernel's, which answers there for all but VXLAN */
	char *vxlan_device; /* the kernel's VXLAN device, by which an eswitch gets flows of tunnels (offloader.h); NULL: it gets none */
	uint16_t mtu;
	uint32_t on_link, on_link_mask; /* the edge's prefix, in memory order */
	struct vxlan_outer outer;
};

static inline bool underlay_is_on_link(const struct underlay *underlay, const uint8_t vtep[4])
{
	uint32_t word;

	memcpy(&word, vtep, sizeof word);
	return (word & underlay->on_link_mask) == underlay->on_link;
}

/* What is polled: a queue of a port, and whose it is. */
struct source {
	struct port *port;
	uint32_t nic; /* nic_id; FLOW_FROM_NIC only */
	uint8_t origin; /* enum flow_origin */
	uint8_t queue;
	uint8_t physical; /* its slot; FLOW_FROM_PHYSICAL only */
	const struct limit *limit; /* of what the NIC may send; NULL: none */
	struct meter *meter; /* Borrowed from the data path, where there is a limit */
};

struct address_slot; /* of the map of addresses */

struct snapshot {
	GPtrArray *blocks; /* Owned: what snapshot_alloc gave */
	uint64_t generation; /* of whoever applied it */
	uint32_t epoch; /* the switch's own count of states: flows remember which one decided them */
	struct edge outside, host;
	struct underlay underlay;
	struct physical physicals[PHYSICAL_SLOTS]; /* by slot */
	unsigned n_networks;
	struct network *networks;
	GPtrArray *memberships; /* Owned, of struct membership_map: the networks' */
	GPtrArray *groups; /* of struct group, a reference each */
	GPtrArray *tables; /* of struct prefix_table, a reference each */
	GPtrArray *neighbours; /* of struct neighbour_table, a reference each: the VLANs' */
	struct nic *nics[NIC_SLOTS];
	unsigned n_changing; /* of them: nic_is_changing */
	uint16_t incarnations[NIC_SLOTS]; /* of the slots' last users */
	char *adopted[NIC_SLOTS]; /* of the first snapshot alone: uids of the NICs that adopted flows know */
	unsigned n_address_slots; /* a power of two */
	struct address_slot *address_slots;
	struct polling *_Atomic
		polling; /* Owned; the main thread replaces it (polling.h); NULL before publication */
};

static inline uint32_t nic_id(unsigned slot, uint16_t incarnation)
{
	return (uint32_t)incarnation << 16 | slot;
}

static inline unsigned nic_slot(uint32_t id)
{
	return id & 0xffff;
}

static inline uint16_t nic_incarnation(uint32_t id)
{
	return (uint16_t)(id >> 16);
}

/* The NIC of that number, or NULL when it is gone. */
static inline const struct nic *snapshot_nic(const struct snapshot *snapshot, uint32_t id)
{
	const struct nic *nic = nic_slot(id) < NIC_SLOTS ? snapshot->nics[nic_slot(id)] : NULL;

	return nic && nic->id == id ? nic : NULL;
}

/* Whose number nic_id(slot, incarnations[slot]) is; NULL: nobody's. */
static inline const char *snapshot_slot_uid(const struct snapshot *snapshot, unsigned slot)
{
	return snapshot->nics[slot] ? snapshot->nics[slot]->uid : snapshot->adopted[slot];
}

/* Whether flows may bear that number: its NIC is there, or is expected in the first state. */
static inline bool snapshot_knows(const struct snapshot *snapshot, uint32_t id)
{
	unsigned slot = nic_slot(id);

	return slot < NIC_SLOTS && snapshot_slot_uid(snapshot, slot) &&
	       id == nic_id(slot, snapshot->incarnations[slot]);
}

/* Spaces of addresses: two that all share, and one for each network (struct network.space). */
#define SPACE_PUBLIC   0u
#define SPACE_HOST     1u
#define SPACE_NETWORKS 2u

enum owner_kind {
	OWNER_NONE,
	OWNER_NIC, /* address `address` of `nic` */
	OWNER_GATEWAY, /* of `subnet` */
	OWNER_SHARED, /* networks' source_nat */
};

struct owner {
	enum owner_kind kind;
	const struct nic *nic;
	const struct nic_address *address; /* NULL in SPACE_HOST */
	const struct subnet *subnet;
};

/* Whose address it is. */
struct owner snapshot_find(const struct snapshot *snapshot, uint32_t space, struct ip_addr addr);

/* The NIC that has the MAC in that segment, or NULL. */
const struct nic *snapshot_find_mac(const struct snapshot *snapshot, uint32_t segment, const uint8_t mac[6]);

/* The network of that VNI, or NULL; a search, for what is rare. */
const struct network *snapshot_find_vni(const struct snapshot *snapshot, uint32_t vni);

/* The network of that segment, which is a VLAN's, or NULL. */
static inline const struct network *snapshot_vlan(const struct snapshot *snapshot, uint32_t segment)
{
	unsigned slot = segment_physical_slot(segment);
	const struct physical *physical =
		segment & SEGMENT_VLAN && slot < PHYSICAL_SLOTS ? &snapshot->physicals[slot] : NULL;

	return physical && physical->vlans ? physical->vlans[segment_vlan_id(segment)] : NULL;
}

/* The edge of that origin or exit; NULL for a NIC's, and for a physical network's, of which there are several. */
const struct edge *snapshot_edge(const struct snapshot *snapshot, unsigned place);

/* Whether the address lies in one of the network's prefixes. */
bool network_contains(const struct network *network, struct ip_addr addr);

/* Whether the network's NICs may share the public address. */
static inline bool network_shares(const struct network *network, const uint8_t address[4])
{
	for (unsigned i = 0; i < network->n_source_nat; i++)
		if (memcmp(network->source_nat[i].bytes, address, 4) == 0)
			return true;
	return false;
}
/* Whether the address lies in the subnet's prefix of its family. */
bool subnet_contains(const struct subnet *subnet, struct ip_addr addr);
/* The NIC's address record of that private address, or NULL. */
const struct nic_address *nic_find_address(const struct nic *nic, struct ip_addr ip);
/* The one whose public address that is, or NULL. */
const struct nic_address *nic_find_public(const struct nic *nic, struct ip_addr ip);
/* The NIC's first address of the family, or NULL. */
const struct nic_address *nic_first_address(const struct nic *nic, enum ip_family family);

/* The NIC's function on its physical network itself, or NULL. */
static inline const struct attachment *nic_physical_function(const struct nic *nic)
{
	for (unsigned i = 0; i < nic->n_attachments; i++)
		if (nic->attachments[i].physical)
			return &nic->attachments[i];
	return NULL;
}

/* Whether packets to it go to that function, alone or beside the other attachment. */
static inline bool nic_uses_wire(const struct nic *nic)
{
	const struct attachment *function = nic_physical_function(nic);

	return function && function->active;
}

/* Whether it is there alone: what its physical network brings for the NIC, that function has got already. */
static inline bool nic_is_on_wire(const struct nic *nic)
{
	bool there = false, here = false;

	for (unsigned i = 0; i < nic->n_attachments; i++) {
		there = there || (nic->attachments[i].active && nic->attachments[i].physical);
		here = here || (nic->attachments[i].active && !nic->attachments[i].physical);
	}
	return there && !here;
}

/* Whether packets to it go to both of its attachments. */
static inline bool nic_is_changing(const struct nic *nic)
{
	return nic->n_attachments == 2 && nic->attachments[0].active && nic->attachments[1].active;
}

/* An empty snapshot: no networks, nothing polled. */
struct snapshot *snapshot_new(void);
void snapshot_free(struct snapshot *snapshot);
CLEANUP_FUNC(struct snapshot *, snapshot_free)

/* Zeroed memory that lives as long as the snapshot; NULL when n is 0. */
void *snapshot_alloc(struct snapshot *snapshot, size_t n, size_t size);
char *snapshot_strdup(struct snapshot *snapshot, const char *text);

/* Makes room for n addresses and MACs in the map. */
void snapshot_reserve(struct snapshot *snapshot, unsigned n);
/* False when the address is taken in that space. */
bool snapshot_add_address(struct snapshot *snapshot, uint32_t space, struct ip_addr addr, struct owner owner);

/* False when the MAC is taken in the NIC's network. */
bool snapshot_add_mac(struct snapshot *snapshot, const struct nic *nic);

struct group *group_ref(struct group *group);
void group_unref(struct group *group);
