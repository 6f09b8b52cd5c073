/* Damping of a NIC's path: see damping.h. */
#include "agent/damping.h"

#include "agent/agent.h"

#define SECOND_MS 1000
#define MINUTE_MS (60 * SECOND_MS)

static bool is_recent(const struct ledger_change *change, int64_t now_ms)
{
	return change->at_ms <= now_ms && now_ms - change->at_ms <= MINUTE_MS;
}

/* Leaves the changes of the last minute, and no more than count for one more. */
static void forget(struct ledger_nic *nic, int64_t now_ms)
{
	for (guint i = list_length(nic->changed); i-- > 0;)
		if (!is_recent(nic->changed->pdata[i], now_ms))
			g_ptr_array_remove_index(nic->changed, i);
	while (list_length(nic->changed) > AGENT_CHANGES_MAX)
		g_ptr_array_remove_index(nic->changed, 0);
}

int64_t damping_note(struct ledger_nic *nic, int64_t now_ms)
{
	forget(nic, now_ms);
	bool damped = list_length(nic->changed) == AGENT_CHANGES_MAX;
	ledger_add_change(nic, now_ms);
	if (now_ms - nic->damped_until_ms > MINUTE_MS)
		nic->dampings_in_row = 0;
	if (!damped)
		return 0;
	int64_t hold_ms = MIN(SECOND_MS << CLAMP(nic->dampings_in_row, 0, 6), MINUTE_MS);
	hold_ms = MAX(hold_ms, damping_left_ms(nic, now_ms));
	nic->damped_until_ms = now_ms + hold_ms;
	nic->dampings_in_row++;
	nic->dampings++;
	return hold_ms;
}

int64_t damping_left_ms(const struct ledger_nic *nic, int64_t now_ms)
{
	int64_t left_ms = nic ? nic->damped_until_ms - now_ms : 0;

	return left_ms > 0 && left_ms <= MINUTE_MS ? left_ms : 0;
}

void damping_end(struct ledger_nic *nic)
{
	nic->damped_until_ms = nic->dampings_in_row = 0;
	if (nic->changed)
		g_ptr_array_set_size(nic->changed, 0);
}
