/* Scheduled events: what is going to happen to a VM, told to its guest by the metadata service in Azure's form
 * (GET /metadata/scheduledevents, docs/API.md).
 *
 * How it works. Who is about to take something from a VM announces it, and goes on when the event is ready: when its guest
 * has acknowledged it, or when `not_before` has come. Nothing calls back: the agent evaluates when either
 * happens, and whoever waits asks events_is_ready() in its step. Then it says started, does it, says done. Azure's service
 * shows Scheduled and Started; what is done is not in the document any more.
 *
 *     announce ──► SCHEDULED ──guest acknowledges, or not_before──► ready ──started──► STARTED ──done──► gone
 *
 * All of it is on disk before the call returns, so events outlive the agent; who announced one finds it again by what it
 * is called (`key`). A VM's incarnation grows with each change of its document, for as long as its host has it.
 */
#pragma once
#include "base/cleanup.h"
#include "model/goal.h"

struct agent;
struct events;

enum event_type { EVENT_FREEZE, EVENT_REBOOT, EVENT_REDEPLOY, EVENT_TERMINATE };
enum event_status {
	EVENT_SCHEDULED, /* the guest may acknowledge it; may be taken back by done */
	EVENT_STARTED, /* it is happening; only done follows */
};

struct event {
	char *id; /* GUID */
	char *key; /* of whoever announced it, e.g. "drain"; once a VM */
	int type; /* enum event_type */
	int status; /* enum event_status */
	char *description;
	int64_t not_before; /* Unix time; it does not start before unless acknowledged; may become earlier, never later */
	bool acknowledged;
};

/* What is announced. Strings Borrowed. */
struct event_plan {
	const char *vm; /* uid */
	const char *key;
	enum event_type type;
	const char *description;
	int64_t not_before; /* Unix time */
};

/* ---- of an agent ---- */

/* Announces, or finds what has this key already: one that is scheduled for later comes forward to the plan's time, and its
 * guest is told. NULL with FAULT_NOT_FOUND when the goal does not have the VM, or with
 * FAULT_INTERNAL when it cannot be kept. Borrowed until done, or until the VM leaves the goal. */
const struct event *agent_events_announce(struct agent *agent, const struct event_plan *plan, GError **error);
/* NULL when there is none. Borrowed likewise. */
const struct event *agent_events_find(const struct agent *agent, const char *vm, const char *key);
/* Whether it may start. While it may not, the agent evaluates again when that changes. */
bool agent_events_is_ready(struct agent *agent, const struct event *event);
bool agent_events_started(struct agent *agent, const char *id, GError **error);
/* Also takes back what has not started. An id that is gone is done. */
bool agent_events_done(struct agent *agent, const char *id, GError **error);

/* ---- for the agent and its metadata service ---- */

struct events_config {
	const char *path; /* of the file */
	int64_t (*now_s)(void); /* Unix time */
	void (*changed)(void *data); /* an event was acknowledged */
	void *data;
};

/* FAULT_INTERNAL when the file is damaged. */
struct events *events_open(const struct events_config *config, GError **error);
void events_free(struct events *events);
CLEANUP_FUNC(struct events *, events_free)

const struct event *events_announce(struct events *events, const struct event_plan *plan, GError **error);
const struct event *events_find(const struct events *events, const char *vm, const char *key);
bool events_is_ready(const struct events *events, const struct event *event);
bool events_started(struct events *events, const char *id, GError **error);
bool events_done(struct events *events, const char *id, GError **error);
/* Forgets VMs that the goal does not have. */
void events_set_goal(struct events *events, const struct goal *goal);

/* {"DocumentIncarnation", "Events": [...]} of a VM, which Azure's service calls by its name. New reference. */
json_t *events_document(const struct events *events, const char *vm, const char *vm_name);
/* {"StartRequests": [{"EventId"}...]} from the VM's guest. All or nothing: FAULT_INVALID when it is not of that form,
 * FAULT_NOT_FOUND when an event is not the VM's. */
bool events_acknowledge(struct events *events, const char *vm, const json_t *request, GError **error);
