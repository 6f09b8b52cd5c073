/* Notice to guests, by scheduled events: see notice.h. */
#include "agent/notice.h"

#include "agent/agent_priv.h"
#include "base/log.h"

int64_t notice_now_s(void)
{
	return g_get_real_time() / G_USEC_PER_SEC;
}

bool notice_is_due(const struct agent *agent, const struct notice *notice)
{
	const struct event *event = agent_events_find(agent, notice->vm, notice->key);

	return notice_now_s() >= notice->due_s || (event && event->status == EVENT_STARTED);
}

/* Whether it is due by the time alone. */
static bool has_come(struct agent *agent, const struct notice *notice)
{
	int64_t left_s = notice->due_s - notice_now_s();

	if (left_s <= 0)
		return true;
	agent_wake_at(agent, g_get_monotonic_time() + left_s * G_USEC_PER_SEC);
	return false;
}

void notice_give(struct agent *agent, const struct notice *notice)
{
	const struct event_plan plan = {.vm = notice->vm,
		.key = notice->key,
		.type = EVENT_FREEZE,
		.description = notice->description,
		.not_before = MAX(notice->due_s, notice_now_s())};
	g_autoptr(GError) error = NULL;
	bool come = has_come(agent, notice);
	const struct event *event = agent_events_announce(agent, &plan, &error);

	if (event && event->status == EVENT_SCHEDULED && (come || agent_events_is_ready(agent, event)))
		agent_events_started(agent, event->id, &error);
	if (error)
		log_warn(notice->vm, "its guest is not told of '%s': %s", notice->key, error->message);
}

void notice_end(struct agent *agent, const char *vm, const char *key)
{
	const struct event *event = agent_events_find(agent, vm, key);
	g_autoptr(GError) error = NULL;

	if (event && !agent_events_done(agent, event->id, &error))
		log_warn(vm, "its guest is not told that '%s' is over: %s", key, error->message);
}
