/* One NIC's acceleration: gives it a function while it may have one, takes it back without losing
 * connections.
 *
 * How it works. The states and their order are in accel_state.h. accel_step() looks whether the switch has
 * confirmed the state's attachments and whether its work is done, and goes on to the next state, which is
 * written to the ledger before anything of it is done.
 *
 * A NIC may have a function while the goal accelerates it, the provider's capabilities allow that for its
 * network and groups, its guest is up (the machine runs, and the virtio driver has set the rings up), and no
 * operator has revoked it. Revocation sticks until it is restored, also over restarts of the agent, but not over a
 * migration: it is of this host's functions. The guest is told of it by a scheduled event, and may be given notice.
 *
 * A bypass function is taken back, too, from a guest that goes on sending by its standby: it has no driver for the
 * function, which others could use, or has set it down, and hears nothing then of what the wire brings to the function. It gets one again when its machine starts anew, else after a pause that
 * doubles.
 *
 * A path that changes more than AGENT_CHANGES_MAX times in a minute is damped (damping.h): attaching waits, twice as long
 * each time, a minute at most, also over restarts of the agent. Taking back never waits. Who restores a NIC that is not revoked
 * ends it.
 *
 * What leaves a guest by itself is told by the VM manager. It is asked, too, wherever that may have been missed: once by each
 * agent, when the manager was away, and when the health look (health.h) finds a function that no program has open.
 *
 * A function of which the guest has only an end that leads nowhere is taken back as if it were revoked, and given anew: the switch
 * delivers by the standby, too, from then on.
 *
 * A guest that does not let go within unplug_ms has its function cut off when rules are at stake or an operator forces
 * it (accel_state.h); else it is asked again and again.
 */
#pragma once
#include "agent/accel_state.h"
#include "base/cleanup.h"
#include "model/goal.h"

#include <glib.h>

struct agent;
struct accel;

struct accel *accel_new(struct agent *agent, const char *nic);
/* No job may be running. Waiting operators are told that the agent stops. */
void accel_free(struct accel *accel);
CLEANUP_FUNC(struct accel *, accel_free)

/* The switch's state that is wanted now, of this number, has the attachments of the present state. Whether
 * that is news. */
bool accel_set_number(struct accel *accel, uint64_t number);
void accel_step(struct accel *accel);
/* Before each step: tells its guest what an operator has revoked, and that it is over (notice.h). */
void accel_tell_guest(struct accel *accel);
/* A new goal is there. */
void accel_goal_changed(struct accel *accel);
/* A function is free again: NICs for which there was none try again. */
void accel_tell_freed(struct agent *agent);
/* The VM manager says that the device has left the guest, asked or not. */
void accel_gone(struct accel *accel);
/* The device may have left unseen: the VM manager is asked whether it is still there. */
void accel_doubt(struct accel *accel);
/* By a look that began then (monotonic), its function has the loss of struct nic_function: a guest that has it, and had it by then, is
 * to give it back, and gets one again. */
void accel_lose(struct accel *accel, const char *loss, int64_t seen_us);

/* Wants to see the switch's counters soon. */
bool accel_is_eager(const struct accel *accel);
/* Neither goal nor ledger name the NIC any more: it may be freed. */
bool accel_is_over(const struct accel *accel);

/* The host must hear the NIC's MAC on its physical network: no function has it. */
bool accel_is_heard(const struct accel *accel);

/* Holds a function, or may: it is not wholly back on its synthetic path. */
bool accel_holds(const struct accel *accel);

/* An operator has revoked it before, and it has no function, nor is one on its way: there is nothing to revoke. */
bool accel_is_revoked(const struct accel *accel);

/* Called once: {"nic", "nic_name", "function", "state", "changes", "unplug_ms" or "plug_ms", "copy_ms", "total_ms"} (new reference),
 * or NULL with error. copy_ms: how long deliveries were copied to both attachments. */
typedef void (*accel_done_fn)(json_t *result, const GError *error, void *data);
/* Marks the NIC as revoked, or restored, and calls back when that is done or cannot be now. force: a guest that does not let
 * go in time has its function cut off, and that is as good as done (state "cut"). notice_s: its guest is told, and the function goes
 * when it has acknowledged that, or after so long, the earliest of all that were asked for; while it has notice, it calls back at
 * once, with accel_describe(). */
void accel_revoke(struct accel *accel, bool force, unsigned notice_s, accel_done_fn done, void *data);
void accel_restore(struct accel *accel, accel_done_fn done, void *data);

/* Tells those who wait that the agent stops. */
void accel_dismiss(struct accel *accel);

/* Its entry in the report. Owned by the caller; NULL when the goal does not name it. */
struct report_nic *accel_report(const struct accel *accel);
/* Its entry among the exposed in the report. Owned by the caller; NULL when it is not exposed. */
struct report_exposure *accel_report_exposure(const struct accel *accel);
/* Its function's entry in the report. Owned by the caller; NULL when it has none. */
struct report_function *accel_report_function(const struct accel *accel);
/* Its entry in vf.list; new reference, NULL when the NIC is not accelerated and holds nothing. */
json_t *accel_describe(const struct accel *accel);
