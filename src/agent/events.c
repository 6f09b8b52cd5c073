/* Scheduled events on disk and as Azure's document: see events.h. */
#include "agent/events.h"

#include "agent/agent_priv.h"
#include "base/fault.h"
#include "base/log.h"

static const char *const type_words[] = {"Freeze", "Reboot", "Redeploy", "Terminate", NULL};
static const char *const status_words[] = {"Scheduled", "Started", NULL};

/* What is kept of a VM that has had events. */
struct event_vm {
	char *uid;
	int64_t incarnation;
	GPtrArray *events; /* Owned, of struct event, the oldest first */
};

struct events {
	GPtrArray *vms; /* Owned, of struct event_vm */
	struct events_config config;
	char *path; /* Owned */
};

static const struct field event_fields[] = {F_STRING(event, id), F_STRING(event, key),
	F_ENUM(event, type, type_words), F_ENUM(event, status, status_words), F_STRING(event, description),
	F_INT(event, not_before), F_BOOL(event, acknowledged), F_END};
static const struct shape event_shape = {"scheduled event", sizeof(struct event), event_fields};

static const struct field vm_fields[] = {
	F_STRING(event_vm, uid), F_INT(event_vm, incarnation), F_LIST(event_vm, events, event_shape), F_END};
static const struct shape vm_shape = {"VM with scheduled events", sizeof(struct event_vm), vm_fields};

static const struct field events_fields[] = {F_LIST(events, vms, vm_shape), F_END};
static const struct shape events_shape = {"scheduled events", sizeof(struct events), events_fields};

/* ---- the file ---- */

static bool save(const struct events *events, GError **error)
{
	json_auto_t *json = shape_encode(&events_shape, events);
	char *text = json_dumps(json, JSON_INDENT(1));
	g_autoptr(GError) cause = NULL;
	bool ok = g_file_set_contents_full(events->path, text, -1,
		G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &cause);

	free(text);
	return ok || fault_set(error, FAULT_INTERNAL, "scheduled events cannot be kept: %s", cause->message);
}

static struct events *decode(const char *path, GError **error)
{
	json_error_t parse_error;
	g_autoptr(GError) cause = NULL;

	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return shape_new(&events_shape);
	json_auto_t *json = json_load_file(path, 0, &parse_error);
	struct events *events = json ? shape_decode(&events_shape, json, SHAPE_LENIENT, &cause) : NULL;
	if (!events)
		fault_set(error, FAULT_INTERNAL,
			"the file of scheduled events %s is damaged (%s); mend it, or remove it: guests then "
			"see no events that were announced",
			path, cause ? cause->message : parse_error.text);
	return events;
}

struct events *events_open(const struct events_config *config, GError **error)
{
	struct events *events = decode(config->path, error);

	if (!events)
		return NULL;
	events->config = *config;
	events->path = g_strdup(config->path);
	if (!events->vms)
		events->vms = shape_list_new(&vm_shape);
	return events;
}

void events_free(struct events *events)
{
	g_free(events->path);
	shape_free(&events_shape, events);
}

/* ---- lookups ---- */

static struct event_vm *find_vm(const struct events *events, const char *uid)
{
	for (guint i = 0; i < events->vms->len; i++) {
		struct event_vm *vm = events->vms->pdata[i];
		if (g_strcmp0(vm->uid, uid) == 0)
			return vm;
	}
	return NULL;
}

static struct event *find_id(const struct event_vm *vm, const char *id)
{
	for (guint i = 0; vm && i < list_length(vm->events); i++) {
		struct event *event = vm->events->pdata[i];
		if (id && g_ascii_strcasecmp(event->id, id) == 0)
			return event;
	}
	return NULL;
}

/* *ret_vm: whose it is. */
static struct event *find_anywhere(const struct events *events, const char *id, struct event_vm **ret_vm)
{
	for (guint i = 0; i < events->vms->len; i++) {
		struct event *event = find_id(events->vms->pdata[i], id);
		*ret_vm = events->vms->pdata[i];
		if (event)
			return event;
	}
	return NULL;
}

const struct event *events_find(const struct events *events, const char *vm_uid, const char *key)
{
	const struct event_vm *vm = find_vm(events, vm_uid);

	for (guint i = 0; vm && i < list_length(vm->events); i++) {
		const struct event *event = vm->events->pdata[i];
		if (g_strcmp0(event->key, key) == 0)
			return event;
	}
	return NULL;
}

/* ---- life of an event ---- */

static struct event_vm *take_vm(struct events *events, const char *uid)
{
	struct event_vm *vm = find_vm(events, uid);

	if (vm)
		return vm;
	vm = shape_new(&vm_shape);
	vm->uid = g_strdup(uid);
	vm->events = shape_list_new(&event_shape);
	g_ptr_array_add(events->vms, vm);
	return vm;
}

/* Who announces it again may be in more of a hurry; the guest is not to rely on the time of before. */
static bool bring_forward(struct events *events, const char *id, int64_t not_before, GError **error)
{
	struct event_vm *vm;
	struct event *event = find_anywhere(events, id, &vm);
	int64_t old = event->not_before;

	if (event->status != EVENT_SCHEDULED || not_before >= old)
		return true;
	event->not_before = not_before;
	vm->incarnation++;
	if (save(events, error))
		return true;
	event->not_before = old;
	vm->incarnation--;
	return false;
}

const struct event *events_announce(struct events *events, const struct event_plan *plan, GError **error)
{
	const struct event *known = events_find(events, plan->vm, plan->key);
	g_autofree char *id = g_uuid_string_random();

	if (known)
		return bring_forward(events, known->id, plan->not_before, error) ? known : NULL;
	struct event_vm *vm = take_vm(events, plan->vm);
	struct event *event = shape_new(&event_shape);
	event->id = g_ascii_strup(id, -1);
	event->key = g_strdup(plan->key);
	event->type = plan->type;
	event->description = g_strdup(plan->description);
	event->not_before = plan->not_before;
	if (!vm->events)
		vm->events = shape_list_new(&event_shape);
	g_ptr_array_add(vm->events, event);
	vm->incarnation++;
	if (save(events, error))
		return event;
	g_ptr_array_remove(vm->events, event);
	return NULL;
}

bool events_is_ready(const struct events *events, const struct event *event)
{
	return event->status == EVENT_STARTED || event->acknowledged ||
	       events->config.now_s() >= event->not_before;
}

bool events_started(struct events *events, const char *id, GError **error)
{
	struct event_vm *vm;
	struct event *event = find_anywhere(events, id, &vm);

	if (!event)
		return fault_set(error, FAULT_NOT_FOUND, "there is no scheduled event %s", id);
	if (event->status == EVENT_STARTED)
		return true;
	event->status = EVENT_STARTED;
	vm->incarnation++;
	return save(events, error);
}

bool events_done(struct events *events, const char *id, GError **error)
{
	struct event_vm *vm;
	struct event *event = find_anywhere(events, id, &vm);

	if (!event)
		return true;
	g_ptr_array_remove(vm->events, event);
	vm->incarnation++;
	return save(events, error);
}

static bool has_vm(const struct goal *goal, const char *uid)
{
	for (guint i = 0; i < list_length(goal->vms); i++)
		if (g_strcmp0(((const struct goal_vm *)goal->vms->pdata[i])->uid, uid) == 0)
			return true;
	return false;
}

void events_set_goal(struct events *events, const struct goal *goal)
{
	g_autoptr(GError) error = NULL;
	guint before = events->vms->len;

	for (guint i = before; i-- > 0;)
		if (!has_vm(goal, ((const struct event_vm *)events->vms->pdata[i])->uid))
			g_ptr_array_remove_index(events->vms, i);
	if (events->vms->len < before && !save(events, &error))
		log_warn("events", "%s", error->message);
}

/* ---- Azure's document ---- */

/* "Mon, 19 Sep 2016 18:29:47 GMT"; empty when it has started. Owned by the caller. */
static char *not_before_text(const struct event *event)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(event->not_before);
	static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
	static const char *const months[] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

	if (event->status == EVENT_STARTED || !time)
		return g_strdup("");
	return g_strdup_printf("%s, %02d %s %d %02d:%02d:%02d GMT",
		days[g_date_time_get_day_of_week(time) - 1], g_date_time_get_day_of_month(time),
		months[g_date_time_get_month(time) - 1], g_date_time_get_year(time),
		g_date_time_get_hour(time), g_date_time_get_minute(time), g_date_time_get_second(time));
}

static json_t *event_encode(const struct event *event, const char *vm_name)
{
	g_autofree char *not_before = not_before_text(event);

	return json_pack("{s:s, s:s, s:s, s:[s], s:s, s:s, s:s, s:s, s:i}", "EventId", event->id, "EventType",
		type_words[event->type], "ResourceType", "VirtualMachine", "Resources", vm_name,
		"EventStatus", status_words[event->status], "NotBefore", not_before, "Description",
		event->description ? event->description : "", "EventSource", "Platform", "DurationInSeconds",
		-1); /* not known */
}

json_t *events_document(const struct events *events, const char *vm_uid, const char *vm_name)
{
	const struct event_vm *vm = find_vm(events, vm_uid);
	json_t *list = json_array();

	for (guint i = 0; vm && i < list_length(vm->events); i++)
		json_array_append_new(list, event_encode(vm->events->pdata[i], vm_name));
	return json_pack(
		"{s:I, s:o}", "DocumentIncarnation", (json_int_t)(vm ? vm->incarnation : 0), "Events", list);
}

static bool check_requests(const struct event_vm *vm, const json_t *requests, GError **error)
{
	const json_t *request;
	size_t i;

	if (json_array_size(requests) == 0)
		return fault_set(error, FAULT_INVALID, "StartRequests must be a list of {\"EventId\": text}");
	json_array_foreach(requests, i, request)
	{
		const char *id = json_string_value(json_object_get(request, "EventId"));
		if (!id)
			return fault_set(error, FAULT_INVALID, "StartRequests[%zu] has no EventId", i);
		if (!find_id(vm, id))
			return fault_set(error, FAULT_NOT_FOUND, "there is no event %s", id);
	}
	return true;
}

bool events_acknowledge(struct events *events, const char *vm_uid, const json_t *json, GError **error)
{
	struct event_vm *vm = find_vm(events, vm_uid);
	const json_t *requests = json_object_get(json, "StartRequests"), *request;
	size_t i;

	if (!check_requests(vm, requests, error))
		return false;
	json_array_foreach(requests, i, request)
	{
		struct event *event = find_id(vm, json_string_value(json_object_get(request, "EventId")));
		if (!event->acknowledged)
			log_info(vm_uid, "its guest acknowledges the event %s", event->id);
		event->acknowledged = true;
	}
	if (!save(events, error))
		return false;
	if (events->config.changed)
		events->config.changed(events->config.data);
	return true;
}

/* ---- of an agent ---- */

const struct event *agent_events_announce(struct agent *agent, const struct event_plan *plan, GError **error)
{
	if (!agent_goal_vm(agent, plan->vm)) {
		fault_set(error, FAULT_NOT_FOUND, "this host has no VM %s to announce an event to", plan->vm);
		return NULL;
	}
	return events_announce(agent->events, plan, error);
}

const struct event *agent_events_find(const struct agent *agent, const char *vm, const char *key)
{
	return events_find(agent->events, vm, key);
}

bool agent_events_is_ready(struct agent *agent, const struct event *event)
{
	int64_t left_s = event->not_before - agent->events->config.now_s();

	if (events_is_ready(agent->events, event))
		return true;
	agent_wake_at(agent, g_get_monotonic_time() + left_s * G_USEC_PER_SEC);
	return false;
}

bool agent_events_started(struct agent *agent, const char *id, GError **error)
{
	return events_started(agent->events, id, error);
}

bool agent_events_done(struct agent *agent, const char *id, GError **error)
{
	return events_done(agent->events, id, error);
}
