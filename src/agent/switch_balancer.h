/* Load balancers in the switch's state: those whose addresses this host's switch has, and NICs' ways to others. */
#pragma once
#include "agent/switch_nic.h"

/* What the switch is told of the goal's load balancers; one that it would refuse is left out. They come before the NICs:
 * `nics` has none yet. `shared` gets the addresses that NICs may share. New reference. */
json_t *switch_balancers_build(struct switch_nics *nics, GHashTable *left_out, GHashTable *shared);

/* Adds to the NIC's state what it has of load balancers. */
void switch_balancers_add_nic(const struct switch_nics *nics, const struct goal_nic *nic,
	const struct goal_network *network, GHashTable *shared, json_t *json);
