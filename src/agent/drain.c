/* Draining a host. */
#include "agent/drain.h"

#include "agent/agent_priv.h"
#include "base/log.h"

#define KEY "drain"

static int64_t now_s(void)
{
	return g_get_real_time() / G_USEC_PER_SEC;
}

bool drain_begin(struct agent *agent, unsigned notice_s, bool force, GError **error)
{
	struct ledger *ledger = agent->ledger;
	bool was = ledger->drained, was_forced = ledger->drain_forced;
	int64_t before = ledger->drain_due_s, due = now_s() + notice_s;

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
	const struct event *event = vm ? agent_events_find(agent, vm, KEY) : NULL;

	if (!agent->ledger->drained)
		return false;
	return now_s() >= agent->ledger->drain_due_s || (event && event->status == EVENT_STARTED);
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

static const struct event *announce(struct agent *agent, const char *vm, GError **error)
{
	int64_t left = agent->ledger->drain_due_s - now_s();
	const struct event_plan plan = {.vm = vm,
		.key = KEY,
		.type = EVENT_FREEZE,
		.description =
			"Host maintenance: accelerated networking is off meanwhile; connections go on.",
		.not_before_s = (unsigned)MAX(left, 0)};

	return agent_events_announce(agent, &plan, error);
}

static void tell_of_drain(struct agent *agent, const char *vm)
{
	g_autoptr(GError) error = NULL;
	const struct event *event = announce(agent, vm, &error);

	if (event && event->status == EVENT_SCHEDULED && agent_events_is_ready(agent, event))
		agent_events_started(agent, event->id, &error);
	if (error)
		log_warn(vm, "its guest is not told of the drain: %s", error->message);
}

static void tell_of_end(struct agent *agent, const char *vm)
{
	const struct event *event = agent_events_find(agent, vm, KEY);
	g_autoptr(GError) error = NULL;

	if (event && !agent_events_done(agent, event->id, &error))
		log_warn(vm, "its guest is not told that the drain is over: %s", error->message);
}

void drain_step(struct agent *agent)
{
	g_autoptr(GHashTable) holding = holders(agent);

	for (guint i = 0; i < list_length(agent->goal->vms); i++) {
		const char *vm = ((const struct goal_vm *)agent->goal->vms->pdata[i])->uid;
		if (!vm)
			continue;
		if (agent->ledger->drained && g_hash_table_contains(holding, vm))
			tell_of_drain(agent, vm);
		else
			tell_of_end(agent, vm);
	}
}
