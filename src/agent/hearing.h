/* Which MACs the host hears on its physical networks: keeps the provider at the list that is wanted.
 *
 * How it works. The list follows from goal and acceleration: the gateway's MAC in each VLAN that has NICs here, and
 * of these NICs, where their machines are here, the MACs that no function has. It is made anew at each evaluation, and the provider is told the
 * whole of it, by one job at a time, when it is another than the last. A failure is tried again, with pauses. A NIC
 * that is to be armed waits until the provider has been told a list without it, and hears its MAC no more; it does not wait for
 * those that the provider cannot hear, as its filters may be full for ever.
 */
#pragma once
#include "base/cleanup.h"
#include "nic/provider.h"

struct agent;
struct hearing;

struct hearing *hearing_new(struct agent *agent);
/* No job may be running. */
void hearing_free(struct hearing *hearing);
CLEANUP_FUNC(struct hearing *, hearing_free)

/* Tells the provider what has changed. */
void hearing_update(struct hearing *hearing);
/* The provider has been told the list of the last update, hears no other MAC, and is told no other list just now. */
bool hearing_is_settled(const struct hearing *hearing);
/* Why the provider could not be told, or does not hear all; NULL when it does. Borrowed. */
const GError *hearing_error(const struct hearing *hearing);
