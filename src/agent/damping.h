/* Damping: a NIC whose path changes again and again gets no function for a while.
 *
 * How it works. The ledger has each NIC's last changes, functions given and taken. One that is more than AGENT_CHANGES_MAX of them
 * within a minute damps the path: attaching waits for a second, twice as long each time that follows without a minute's rest, a
 * minute at most. Taking back never waits. All of it is in the ledger, in Unix time, so that it goes on where the agent starts
 * anew; a clock that is set back ends it, which is the safe side: a NIC is never left without a function for longer than a minute.
 * Pure, but for the entry.
 */
#pragma once
#include "agent/ledger.h"

/* Notes a change of the path. How long that holds attaching off, in ms; 0: not at all. */
int64_t damping_note(struct ledger_nic *nic, int64_t now_ms);
/* For how long attaching is held off still, in ms; 0: it is not. The entry may be NULL. */
int64_t damping_left_ms(const struct ledger_nic *nic, int64_t now_ms);
/* An operator wants it attached: nothing of the last minute counts any more. */
void damping_end(struct ledger_nic *nic);
