/* What the files that decode the state share: state.c has the whole, security groups, networks and edges;
 * state_physical.c, state_overlay.c, state_members.c and state_nic.c the rest. */
#pragma once
#include "switch/decode.h"

/* What references are looked up in. */
struct state_index {
	const struct snapshot *previous; /* Borrowed */
	json_t *state; /* Borrowed: all of it */
	GHashTable *groups; /* uid → struct group */
	GHashTable *networks; /* uid → struct network */
	GHashTable *segments; /* numbers of those in use */
	GHashTable *nics; /* uid → struct nic */
	GHashTable *ports; /* names of ports in use */
	GHashTable *tables; /* struct prefix_table, known by their rows */
};

static inline struct state_index *index_of(struct decode *d)
{
	return d->data;
}

/* Element decoders of state.c; `to` as said. */
bool decode_group_reference(struct decode *d, json_t *value, void *to); /* const struct group * */
bool decode_interface(struct decode *d, json_t *value, void *to); /* char *: a port's name, used once */
/* The same of a port whose name is the interface's behind that prefix. */
bool decode_interface_behind(struct decode *d, const char *prefix, json_t *value, void *to);
bool check_interface(struct decode *d, const char *name); /* that an interface can have it */
bool decode_device(struct decode *d, json_t *value, void *to); /* the same; `to` must be NULL still */
bool decode_offload(struct decode *d, json_t *value, void *to); /* bool */
/* Whether an object had an interface or a device; false after decode_fail. */
bool decode_port_named(struct decode *d, const char *name);
/* Whether the port of that name can be an eswitch's; false after decode_fail. */
bool check_offload(struct decode *d, const char *name, bool offload);

/* Of state_members.c: the application groups of the struct network `to`, and then what its addresses are. */
bool decode_application_groups(struct decode *d, json_t *value, void *to);
bool make_memberships(struct decode *d, struct network *network);

/* Of state_physical.c. */
bool decode_physicals(struct decode *d, json_t *value, void *to); /* all, into the snapshot */
bool decode_vlan(struct decode *d, json_t *value, void *to); /* into the struct network `to` */
bool check_segment(
	struct decode *d, struct network *network); /* that it has one, and what only one kind can have */
/* The networks, which stay where they are, are found by their VLANs. */
void link_vlans(struct snapshot *snapshot, const struct snapshot *previous);

/* Of state_overlay.c. */
bool decode_underlay(struct decode *d, json_t *value, void *to); /* struct underlay */
bool decode_mappings(struct decode *d, json_t *value, void *to); /* into the struct network `to` */
bool decode_routes(struct decode *d, json_t *value, void *to); /* into the struct subnet `to` */
/* That appliances can be where the subnets' routes lead; subnets and mappings are there. */
bool check_routes(struct decode *d, const struct network *network);
bool decode_source_nat(
	struct decode *d, json_t *value, void *to); /* into the struct network `to`; edges are there */
/* struct ip_addr of IPv4; edges are there: it is no gateway, and nobody's at one */
bool decode_public_address(struct decode *d, json_t *value, void *to);
bool decode_vtep(struct decode *d, json_t *value, void *to); /* uint8_t[4] */

/* Of state_nic.c: all NICs, into the snapshot; groups, networks and edges are there already. */
bool decode_nics(struct decode *d, json_t *value, void *to);
/* Gives the NIC its number. */
bool take_slot(struct decode *d, struct nic *nic);
bool decode_network_reference(struct decode *d, json_t *value, void *to); /* const struct network * */

/* Of state_load_balancer.c. */
bool decode_balancers(
	struct decode *d, json_t *value, void *to); /* all, into the snapshot; NICs are there already */
size_t count_balancer_addresses(json_t *balancers);
bool decode_front(struct decode *d, json_t *value, void *to); /* const struct front * */
/* The load balancers whose addresses NICs are to share are there. */
bool check_source_nats(struct decode *d);
