/* Draining a host for its maintenance: its NICs give their functions back and get none, until it is undrained.
 *
 * How it works. The mark, and when functions must go, are in the ledger. Each VM that has one is given notice (agent/notice.h);
 * it is done when the VM has no function left. All of it is looked at again in each evaluation, so a drain outlives the agent.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>

struct agent;

/* Functions go after so long at the latest. A host that is drained already keeps the earlier time. FAULT_INTERNAL when the
 * mark cannot be kept; then nothing has changed. force: guests that do not let go in time have theirs cut off; so it stays until
 * the host is undrained. */
bool drain_begin(struct agent *agent, unsigned notice_s, bool force, GError **error);
bool drain_end(struct agent *agent, GError **error);

/* Whether the VM's functions must go now; false while the host is not drained. */
bool drain_is_due(const struct agent *agent, const char *vm);
/* Once in each evaluation: tells VMs what comes, and that it is over. */
void drain_step(struct agent *agent);
