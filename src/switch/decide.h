/* One connection's first packet → both of its flows. */
#pragma once
#include "switch/drop.h"
#include "switch/flow_table.h"
#include "switch/snapshot.h"

/* The MAC that gateways have, in every subnet of every network (docs/API.md). */
extern const uint8_t gateway_mac[6];
/* And the IPv6 link-local address that goes with it. */
extern const struct ip_addr gateway_link_local;

struct decision {
	enum drop drop; /* DROP_NONE: allowed, and the halves are set */
	const char *layer; /* that refused */
	const struct nic *refuser; /* whose layer that was, Borrowed from the state; or NULL */
	const struct group *group; /* that denied, with its rule; or NULL */
	const char *rule;
	bool shared; /* it gets an address that others have too: the reply's key must be free (source_nat.h) */
	struct flow_half forward, reply;
};

/* Walks the layers with the first packet's key. `existing`: for a connection that is there already
 * (layers/layer.h). Pure: the same snapshot and key always give the same. Returns whether it is allowed. */
bool decide(const struct snapshot *state, const struct flow_key *first, bool existing, struct decision *ret);

/* The same for a connection that has that alias, or would have it: it is taken where the state gives the NIC
 * that address to share, whoever else has it (source_nat.h). NULL: the first packet's own port is. */
bool decide_as(const struct snapshot *state, const struct flow_key *first, bool existing,
	const struct flow_alias *alias, struct decision *ret);

struct layer;
struct walk;

/* Who watches a walk. `asked` is called after each layer that has a say in that direction, with the walk
 * (layers/layer.h) as it was before and as it is now; both are Borrowed for the call. */
struct decide_observer {
	void (*asked)(void *data, const struct layer *layer, enum policy_direction direction,
		const struct walk *before, const struct walk *after, bool passed);
	void *data;
};

/* The same as decide_as, seen by the observer: for trace. */
bool decide_observed(const struct snapshot *state, const struct flow_key *first, bool existing,
	const struct flow_alias *alias, const struct decide_observer *observer, struct decision *ret);
