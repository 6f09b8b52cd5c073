/* Draining a host. */
#include "agent/drain.h"

#include "agent/agent_priv.h"

#define KEY "drain"

static struct notice notice_of(const struct agent *agent, const char *vm)
{
	return (struct notice){.vm = vm,
		.key = KEY,
		.description =
			"Host maintenance: accelerated networking is off meanwhile; connections go on.",
		.due_s = agent->ledger->drain_due_s};
}

bool drain_begin(struct agent *agent, unsigned notice_s, bool force, GError **error)
{
	struct ledger *ledger = agent->ledger;
	bool was = ledger->drained, was_forced = ledger->drain_forced;
	int64_t before = ledger->drain_due_s, due = notice_now_s() + notice_s;

	ledger->drained = true;
	ledger->drain_forced = force || (was && was_forced);
	ledger->drain_due_s = was ? MIN(before, due) : due;
	if (agent_save(agent, error))
		return true;
	ledger->drained = was;
	ledger->drain_forced = was_forced;
	ledger->drain_due_s = before;
	return false;
}

bool drain_end(struct agent *agent, GError **error)
{
	bool was = agent->ledger->drained;

	agent->ledger->drained = false;
	if (agent_save(agent, error))
		return true;
	agent->ledger->drained = was;
	return false;
}

bool drain_is_due(const struct agent *agent, const char *vm)
{
	const struct notice notice = notice_of(agent, vm);

	return agent->ledger->drained && notice_is_due(agent, &notice);
}

/* ---- events ---- */

/* The VMs of this host that have a function, or may have one: a set of uids, borrowed. */
static GHashTable *holders(const struct agent *agent)
{
	GHashTable *set = g_hash_table_new(g_str_hash, g_str_equal);

	for (guint i = 0; i < list_length(agent->ledger->nics); i++) {
		const struct ledger_nic *record = agent->ledger->nics->pdata[i];
		if (record->vm && record->state != ACCEL_OFF)
			g_hash_table_add(set, record->vm);
	}
	return set;
}

void drain_step(struct agent *agent)
{
	g_autoptr(GHashTable) holding = holders(agent);

	for (guint i = 0; i < list_length(agent->goal->vms); i++) {
		const char *vm = ((const struct goal_vm *)agent->goal->vms->pdata[i])->uid;
		if (!vm)
			continue;
		const struct notice notice = notice_of(agent, vm);
		if (agent->ledger->drained && g_hash_table_contains(holding, vm))
			notice_give(agent, &notice);
		else
			notice_end(agent, vm, KEY);
	}
}
