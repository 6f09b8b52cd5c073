/* Events from any thread to the owner's main context. */
#include "vm/events.h"

/* Reference counted; `stopped` is atomic, the rest never changes. */
struct vm_events {
	vm_event_fn fn;
	void *data;
	GMainContext *context; /* Ref */
	gint stopped;
};

/* One event on its way. */
struct telling {
	struct vm_events *events; /* Ref */
	char *uid, *gone_nic;
	enum vm_state state;
};

struct vm_events *vm_events_new(vm_event_fn fn, void *data)
{
	struct vm_events *events = g_atomic_rc_box_new0(struct vm_events);

	events->fn = fn;
	events->data = data;
	events->context = g_main_context_ref_thread_default();
	return events;
}

struct vm_events *vm_events_ref(struct vm_events *events)
{
	return g_atomic_rc_box_acquire(events);
}

static void clear(void *data)
{
	struct vm_events *events = data;

	g_main_context_unref(events->context);
}

void vm_events_unref(struct vm_events *events)
{
	g_atomic_rc_box_release_full(events, clear);
}

static void telling_free(void *data)
{
	struct telling *telling = data;

	vm_events_unref(telling->events);
	g_free(telling->uid);
	g_free(telling->gone_nic);
	g_free(telling);
}

static gboolean tell(void *data)
{
	struct telling *telling = data;
	struct vm_events *events = telling->events;

	if (!g_atomic_int_get(&events->stopped))
		events->fn(telling->uid, telling->state, telling->gone_nic, events->data);
	return G_SOURCE_REMOVE;
}

void vm_events_tell(struct vm_events *events, const char *uid, enum vm_state state, const char *gone_nic)
{
	if (!events->fn || g_atomic_int_get(&events->stopped))
		return;
	struct telling *telling = g_new0(struct telling, 1);
	telling->events = vm_events_ref(events);
	telling->uid = g_strdup(uid);
	telling->gone_nic = g_strdup(gone_nic);
	telling->state = state;
	GSource *source = g_idle_source_new();
	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_callback(source, tell, telling, telling_free);
	g_source_attach(source, events->context);
	g_source_unref(source);
}

void vm_events_stop(struct vm_events *events)
{
	g_atomic_int_set(&events->stopped, 1);
}
