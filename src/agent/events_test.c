/* Scheduled events: their life, their file, and Azure's service. */
#include "agent/events.h"

#include "agent/agent_priv.h"
#include "agent/test_metadata.h"
#include "base/fault.h"

#include <glib/gstdio.h>
#include <string.h>

#define GUEST "127.0.0.4"
#define PATH  "/metadata/scheduledevents?api-version=2020-07-01"

static int64_t clock_s;

static int64_t now_s(void)
{
	return clock_s;
}

struct fixture {
	struct guests guests;
	struct events *events;
	char *folder, *path;
	unsigned changes; /* that were told */
};

static void on_change(void *data)
{
	((struct fixture *)data)->changes++;
}

static struct events *open_events(struct fixture *f)
{
	const struct events_config config = {
		.path = f->path, .now_s = now_s, .changed = on_change, .data = f};
	g_autoptr(GError) error = NULL;
	struct events *events = events_open(&config, &error);

	g_assert_no_error(error);
	return events;
}

static void setup(struct fixture *f, gconstpointer data)
{
	clock_s = 1474309787; /* Mon, 19 Sep 2016 18:29:47 GMT */
	f->folder = g_dir_make_tmp("events-XXXXXX", NULL);
	f->path = g_build_filename(f->folder, "events.json", NULL);
	f->events = open_events(f);
	guests_init(&f->guests, NULL, f->events);
}

static void teardown(struct fixture *f, gconstpointer data)
{
	guests_done(&f->guests);
	events_free(f->events);
	g_remove(f->path);
	g_rmdir(f->folder);
	g_free(f->path);
	g_free(f->folder);
}

/* The next agent's. */
static void restart(struct fixture *f)
{
	guests_done(&f->guests);
	events_free(f->events);
	f->events = open_events(f);
	guests_init(&f->guests, NULL, f->events);
}

static const struct event *announce_in(struct fixture *f, const char *key, int64_t seconds)
{
	const struct event_plan plan = {.vm = WORLD_VM,
		.key = key,
		.type = EVENT_FREEZE,
		.description = "Host maintenance",
		.not_before = clock_s + seconds};
	g_autoptr(GError) error = NULL;
	const struct event *event = events_announce(f->events, &plan, &error);

	g_assert_no_error(error);
	return event;
}

static const struct event *announce(struct fixture *f, const char *key)
{
	return announce_in(f, key, 900);
}

static json_t *get(struct fixture *f, const char *from)
{
	_cleanup_(answer_clear) struct answer answer =
		guests_ask(&f->guests, &(struct request){from, "GET", PATH, NULL, NULL});

	g_assert_cmpuint(answer.status, ==, 200);
	return json_loads(answer.body, 0, NULL);
}

static guint post(struct fixture *f, const char *from, const char *body)
{
	_cleanup_(answer_clear) struct answer answer =
		guests_ask(&f->guests, &(struct request){from, "POST", PATH, NULL, body});

	return answer.status;
}

static guint acknowledge(struct fixture *f, const char *from, const char *id)
{
	g_autofree char *body = g_strdup_printf("{\"StartRequests\": [{\"EventId\": \"%s\"}]}", id);

	return post(f, from, body);
}

static void assert_document(struct fixture *f, const char *wanted)
{
	json_auto_t *json = get(f, GUEST), *golden = json_loads(wanted, 0, NULL);
	char *text = json_dumps(json, 0);

	g_assert_nonnull(golden);
	if (!json_equal(json, golden))
		g_error("this is not what is wanted: %s", text);
	free(text);
}

static void test_life(struct fixture *f, gconstpointer data)
{
	assert_document(f, "{\"DocumentIncarnation\": 0, \"Events\": []}");
	const struct event *event = announce(f, "move");
	g_autofree char *id = g_strdup(event->id);
	g_autofree char *scheduled = g_strdup_printf(
		"{\"DocumentIncarnation\": 1, \"Events\": [{\"EventId\": \"%s\", \"EventType\": \"Freeze\", "
		"\"ResourceType\": \"VirtualMachine\", \"Resources\": [\"myvm\"], \"EventStatus\": "
		"\"Scheduled\", "
		"\"NotBefore\": \"Mon, 19 Sep 2016 18:44:47 GMT\", \"Description\": \"Host maintenance\", "
		"\"EventSource\": \"Platform\", \"DurationInSeconds\": -1}]}",
		id);
	g_autofree char *started = g_strdup_printf(
		"{\"DocumentIncarnation\": 2, \"Events\": [{\"EventId\": \"%s\", \"EventType\": \"Freeze\", "
		"\"ResourceType\": \"VirtualMachine\", \"Resources\": [\"myvm\"], \"EventStatus\": "
		"\"Started\", "
		"\"NotBefore\": \"\", \"Description\": \"Host maintenance\", "
		"\"EventSource\": \"Platform\", \"DurationInSeconds\": -1}]}",
		id);

	assert_document(f, scheduled);
	g_assert_true(events_started(f->events, id, NULL));
	g_assert_true(events_started(f->events, id, NULL));
	assert_document(f, started);
	g_assert_true(events_done(f->events, id, NULL));
	g_assert_true(events_done(f->events, id, NULL));
	assert_document(f, "{\"DocumentIncarnation\": 3, \"Events\": []}");
	g_assert_false(events_started(f->events, id, NULL));
}

static void test_ready(struct fixture *f, gconstpointer data)
{
	const struct event *event = announce(f, "move");

	g_assert_false(events_is_ready(f->events, event));
	clock_s += 899;
	g_assert_false(events_is_ready(f->events, event));
	clock_s += 1;
	g_assert_true(events_is_ready(f->events, event));
}

static void test_acknowledge(struct fixture *f, gconstpointer data)
{
	const struct event *first = announce(f, "move"), *second = announce(f, "revoke");
	g_autofree char *lower = g_ascii_strdown(first->id, -1);

	g_assert_cmpuint(acknowledge(f, GUEST, lower), ==, 200);
	g_assert_cmpuint(f->changes, ==, 1);
	g_assert_true(events_is_ready(f->events, first));
	g_assert_false(events_is_ready(f->events, second));
}

static void expect_not_before(struct fixture *f, json_int_t incarnation, const char *when)
{
	json_auto_t *json = get(f, GUEST);
	json_t *event = json_array_get(json_object_get(json, "Events"), 0);

	g_assert_cmpint(json_integer_value(json_object_get(json, "DocumentIncarnation")), ==, incarnation);
	g_assert_cmpstr(json_string_value(json_object_get(event, "NotBefore")), ==, when);
}

/* The guest is not to rely on a time that holds no more. */
static void test_forward(struct fixture *f, gconstpointer data)
{
	const struct event *event = announce(f, "move");
	g_autoptr(GError) error = NULL;

	expect_not_before(f, 1, "Mon, 19 Sep 2016 18:44:47 GMT");
	g_assert_true(announce_in(f, "move", 901) == event);
	expect_not_before(f, 1, "Mon, 19 Sep 2016 18:44:47 GMT");
	g_assert_true(announce_in(f, "move", 60) == event);
	expect_not_before(f, 2, "Mon, 19 Sep 2016 18:30:47 GMT");
	restart(f);
	event = events_find(f->events, WORLD_VM, "move");
	expect_not_before(f, 2, "Mon, 19 Sep 2016 18:30:47 GMT");
	/* What cannot be kept is not told. */
	const struct event_plan sooner = {.vm = WORLD_VM, .key = "move", .not_before = clock_s + 10};
	g_remove(f->path);
	g_assert_cmpint(g_mkdir(f->path, 0700), ==, 0);
	g_assert_null(events_announce(f->events, &sooner, &error));
	g_assert_error(error, FAULT, FAULT_INTERNAL);
	expect_not_before(f, 2, "Mon, 19 Sep 2016 18:30:47 GMT");
	g_assert_cmpint(g_rmdir(f->path), ==, 0);
	clock_s += 60;
	g_assert_true(events_is_ready(f->events, event));
	g_assert_true(events_started(f->events, event->id, NULL));
	g_assert_true(announce_in(f, "move", 0) == event);
	expect_not_before(f, 3, "");
}

static void test_bad_requests(struct fixture *f, gconstpointer data)
{
	static const char *const bad[] = {"", "{}", "[]", "{\"StartRequests\": []}", "{\"StartRequests\": 7}",
		"{\"StartRequests\": [7]}", "{\"StartRequests\": [{\"EventId\": 7}]}",
		"{\"StartRequests\": [{\"EventId\": \"x\"}]}"};
	const struct event *event = announce(f, "move");
	g_autofree char *half = g_strdup_printf(
		"{\"StartRequests\": [{\"EventId\": \"%s\"}, {\"EventId\": \"x\"}]}", event->id);

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpuint(post(f, GUEST, bad[i]), ==, 400);
	g_assert_cmpuint(post(f, GUEST, half), ==, 400);
	/* Another VM's guest. */
	g_assert_cmpuint(acknowledge(f, "127.0.0.5", event->id), ==, 400);
	g_assert_false(events_is_ready(f->events, event));
	g_assert_cmpuint(f->changes, ==, 0);
}

static void test_rules(struct fixture *f, gconstpointer data)
{
	static const char *const none[] = {NULL};
	const struct {
		struct request request;
		guint status;
	} cases[] = {
		{{GUEST, "GET", "/metadata/scheduledevents", NULL, NULL}, 400},
		{{GUEST, "GET", "/metadata/scheduledevents?api-version=1999-01-01", NULL, NULL}, 400},
		{{GUEST, "GET", "/metadata/scheduledevents?api-version=2019-08-01", NULL, NULL}, 200},
		{{GUEST, "GET", PATH, none, NULL}, 400},
		{{GUEST, "PUT", PATH, NULL, "{}"}, 405},
		{{"127.0.0.6", "GET", PATH, NULL, NULL}, 404},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		_cleanup_(answer_clear) struct answer answer = guests_ask(&f->guests, &cases[i].request);
		g_assert_cmpuint(answer.status, ==, cases[i].status);
	}
}

static void test_own_only(struct fixture *f, gconstpointer data)
{
	announce(f, "move");
	json_auto_t *other = get(f, "127.0.0.5");

	g_assert_cmpuint(json_array_size(json_object_get(other, "Events")), ==, 0);
}

static void test_restart(struct fixture *f, gconstpointer data)
{
	g_autofree char *id = g_strdup(announce(f, "move")->id);

	g_assert_cmpuint(acknowledge(f, GUEST, id), ==, 200);
	restart(f);
	const struct event *event = events_find(f->events, WORLD_VM, "move");
	g_assert_cmpstr(event->id, ==, id);
	g_assert_true(events_is_ready(f->events, event));
	/* Whoever announces again what it announced before it died gets the same. */
	g_assert_true(announce(f, "move") == event);
	g_assert_true(events_done(f->events, id, NULL));
	restart(f);
	assert_document(f, "{\"DocumentIncarnation\": 2, \"Events\": []}");
}

static void test_vm_goes(struct fixture *f, gconstpointer data)
{
	announce(f, "move");
	g_ptr_array_remove_index(f->guests.goal->vms, 0);
	events_set_goal(f->events, f->guests.goal);
	g_assert_null(events_find(f->events, WORLD_VM, "move"));
	restart(f);
	assert_document(f, "{\"DocumentIncarnation\": 0, \"Events\": []}");
}

static void test_damaged(struct fixture *f, gconstpointer data)
{
	const struct events_config config = {.path = f->path, .now_s = now_s};
	g_autoptr(GError) error = NULL;

	g_file_set_contents(f->path, "{\"vms\": 7}", -1, NULL);
	g_assert_null(events_open(&config, &error));
	g_assert_error(error, FAULT, FAULT_INTERNAL);
}

static void test_agent(void)
{
	struct world world;
	g_autoptr(GError) error = NULL;

	world_init(&world);
	world_start_agent(&world, false);
	agent_take_goal(world.agent, world_goal(1, false));
	const struct event_plan plan = {.vm = WORLD_VM,
					.key = "move",
					.type = EVENT_FREEZE,
					.not_before = g_get_real_time() / G_USEC_PER_SEC + 1},
				stray = {.vm = "nobody", .key = "move"};
	const struct event *event = agent_events_announce(world.agent, &plan, &error);
	g_assert_no_error(error);
	g_assert_true(agent_events_find(world.agent, WORLD_VM, "move") == event);
	g_assert_null(agent_events_announce(world.agent, &stray, &error));
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
	g_assert_false(agent_events_is_ready(world.agent, event));
	g_assert_cmpuint(world.agent->wake_timer, !=, 0);
	world_run(1500);
	g_assert_true(agent_events_is_ready(world.agent, event));
	g_assert_true(agent_events_started(world.agent, event->id, NULL));
	g_assert_true(agent_events_done(world.agent, event->id, NULL));
	g_assert_null(agent_events_find(world.agent, WORLD_VM, "move"));
	world_done(&world);
}

static void add_test(const char *name, void (*fn)(struct fixture *, gconstpointer))
{
	g_test_add(name, struct fixture, NULL, setup, fn, teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add_test("/events/an event is scheduled, started and gone, in Azure's form", test_life);
	add_test("/events/what nobody acknowledges is ready when its time has come", test_ready);
	add_test("/events/what the guest acknowledges is ready at once", test_acknowledge);
	add_test("/events/who announces it for earlier brings it forward", test_forward);
	add_test("/events/a request that is malformed, or for another VM's event, acknowledges nothing",
		test_bad_requests);
	add_test("/events/header, version and method are demanded", test_rules);
	add_test("/events/a guest sees its own VM's events only", test_own_only);
	add_test("/events/events and acknowledgements outlive the agent", test_restart);
	add_test("/events/a VM that leaves the host takes its events along", test_vm_goes);
	add_test("/events/a damaged file is an error", test_damaged);
	g_test_add_func("/events/an agent wakes when an event's time has come", test_agent);
	return g_test_run();
}
