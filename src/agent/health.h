/* The health of the host's functions: has the provider look at them, tells what it found, and keeps what it saw; and which NICs
 * lead to the host's physical networks.
 *
 * How it works. Every health_ms, and soon after a NIC's acceleration has changed or the switch cannot open its function, one
 * job looks for the NICs of the physical networks, tells the provider of them, and asks it to check and to survey its
 * functions. What it repaired, or could not, is a sentence; a new one is logged and counted, and the next look is soon. One that
 * this finds, too, was not repaired, or somebody undoes it each time: it is a condition, shown and not counted, until a look
 * does not find it. So are the conditions of physical networks. A function that only its guest can have work again, as its tap is
 * gone, its NIC's acceleration replaces. Where no program has a function open that a guest should have, its NIC's acceleration
 * asks the VM manager. The last sentence about a NIC's function is shown with the NIC, with how many there were and when, until
 * the NIC has another function or the function another NIC. The switch follows NICs that come, go or have new names: the site
 * of the agent's configuration is kept here.
 */
#pragma once
#include "base/cleanup.h"
#include "nic/provider.h"

#include <jansson.h>

struct agent;
struct health;

/* Where the configuration says where physical networks are found, they are by now. */
struct health *health_new(struct agent *agent);
/* No job may be running. */
void health_free(struct health *health);
CLEANUP_FUNC(struct health *, health_free)

/* Looks if it is time to. */
void health_update(struct health *health);
/* Functions have changed, or one does not work: the next look is soon. */
void health_touch(struct health *health);

/* Something was found that somebody else had changed: a sentence, which names the NIC if it is about one. */
void health_note(struct health *health, const char *sentence);
/* How many things were found that somebody else had changed, since the agent started. */
unsigned health_repairs(const struct health *health);
/* What was found last, about any; NULL: nothing. Borrowed. */
const char *health_last_repair(const struct health *health);
/* When that was, as of RFC 3339; NULL: never. Owned by the caller. */
char *health_last_repair_at(const struct health *health);
/* What looks find of functions one after another, of text; NULL: nothing yet. Borrowed. */
const GPtrArray *health_conditions(const struct health *health);
/* What vf.list says of what was found about the NIC's function: {"repaired": the last sentence or null, "repairs": number, "repaired_at": time, "conditions": [sentence]},
 * repairs and the time only where there was one, conditions only where there are any. New reference. */
json_t *health_describe_finding(const struct health *health, const char *nic);
/* All functions, of struct nic_device, by the last look; NULL when there are none to be seen. Borrowed. */
const GPtrArray *health_devices(const struct health *health);
/* NULL when it was not there at the last look. Borrowed. */
const struct nic_device *health_device(const struct health *health, const char *name);
/* Of struct physical_port, by the last look; NULL where the configuration does not say where they are found. Borrowed until the
 * main loop runs. */
const GPtrArray *health_physicals(const struct health *health);
/* What vf.list says of a function beside its NIC: {"physical","pf","index","representor","mac","vlan","detail",
 * "statistics"}, those that are known, as of the last look. New reference. */
json_t *health_describe(const struct nic_device *device);
