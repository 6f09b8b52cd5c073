/* Acceleration: the order of revocation and restoration, what operators are told, and what goes wrong. */
#include "agent/control_socket.h"
#include "agent/drain.h"
#include "agent/events.h"
#include "agent/test_world.h"
#include "base/fault.h"
#include "base/jsonrpc.h"

#include <string.h>

#define BOTH      "switch " WORLD_NIC " both +sl-f0"
#define FUNCTION  "switch " WORLD_NIC " function +sl-f0"
#define DRAINING  "switch " WORLD_NIC " synthetic +sl-f0"
#define SYNTHETIC "switch " WORLD_NIC " synthetic"
#define PLUG      "plug " WORLD_NIC " sl-f0"
#define UNPLUG    "unplug " WORLD_NIC

static void setup(struct world *w, gconstpointer data)
{
	world_init(w);
}

static void teardown(struct world *w, gconstpointer data)
{
	world_done(w);
}

static const struct report_nic *entry_of(const struct report *report)
{
	return report->nics->len ? report->nics->pdata[0] : NULL;
}

static bool is_on(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	const struct report_nic *entry = entry_of(report);

	return entry && entry->path == PATH_EMULATED &&
	       g_strcmp0(json_string_value(json_object_get(
				 json_array_get(json_object_get(w->state, "nics"), 0), "active")),
		       "function") == 0;
}

static bool nothing_is_claimed(struct world *w)
{
	g_autoptr(GPtrArray) list = w->provider->ops->list(w->provider);

	return list->len == 0;
}

static bool is_synthetic(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	const struct report_nic *entry = entry_of(report);

	return entry && entry->path == PATH_SYNTHETIC && nothing_is_claimed(w);
}

static char *reason_of(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	return g_strdup(entry_of(report)->reason);
}

static void bring_up(struct world *w)
{
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal(1, true));
	world_wait(w, "the NIC is on its function", is_on);
}

/* ---- operators, on a thread as another program would be ---- */

struct request {
	char *path, *method, *nic;
	bool force;
	int notice_s;
	json_t *result;
	GError *error;
	gint done;
};

static void *ask(void *data)
{
	struct request *request = data;
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(request->path);

	json_t *params = json_pack("{s:s*, s:b}", "nic", request->nic, "force", request->force);
	if (request->notice_s)
		json_object_set_new(params, "notice_s", json_integer(request->notice_s));
	request->result = jsonrpc_call(client, request->method, params, 10000, &request->error);
	g_atomic_int_set(&request->done, 1);
	return NULL;
}

/* Asks the agent's control socket while the main loop runs. */
static json_t *carry_out(struct world *w, struct request *request, GError **error)
{
	request->path = g_build_filename(w->folder, "agent.sock", NULL);
	GThread *thread = g_thread_new("operator", ask, request);

	while (!g_atomic_int_get(&request->done))
		world_run(5);
	g_thread_join(thread);
	g_free(request->path);
	if (request->error)
		g_propagate_error(error, request->error);
	return request->result;
}

static json_t *operate_by(struct world *w, const char *method, const char *nic, bool force, GError **error)
{
	struct request request = {.method = (char *)method, .nic = (char *)nic, .force = force};

	return carry_out(w, &request, error);
}

static json_t *revoke_with_notice(struct world *w, int notice_s, GError **error)
{
	struct request request = {
		.method = (char *)"vf.revoke", .nic = (char *)WORLD_NIC, .notice_s = notice_s};

	return carry_out(w, &request, error);
}

static json_t *operate(struct world *w, const char *method, const char *nic, GError **error)
{
	return operate_by(w, method, nic, false, error);
}

static struct control_socket *open_control(struct world *w)
{
	g_autofree char *path = g_build_filename(w->folder, "agent.sock", NULL);
	g_autoptr(GError) error = NULL;
	struct control_socket *control = control_socket_open(w->agent, path, &error);

	g_assert_no_error(error);
	return control;
}

static json_int_t number(const json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	g_assert_true(json_is_integer(value));
	return json_integer_value(value);
}

/* ---- the order ---- */

static void test_attach(struct world *w, gconstpointer data)
{
	_cleanup_(report_free) struct report *report = NULL;

	bring_up(w);
	world_expect(w, SYNTHETIC, "start " WORLD_VM, BOTH, PLUG, FUNCTION, NULL);
	const struct vm_spec *spec = vm_fake_spec(w->machines, WORLD_VM);
	g_assert_true(((const struct vm_nic *)spec->nics->pdata[0])->teamed);
	report = agent_report(w->agent);
	g_assert_cmpint(entry_of(report)->enforcement, ==, ENFORCEMENT_SWITCH);
	g_assert_null(entry_of(report)->reason);
	const struct report_function *function = report->functions->pdata[0];
	g_assert_cmpstr(function->name, ==, "sl-f0");
	g_assert_cmpstr(function->state, ==, "attached");
}

static void test_revoke(struct world *w, gconstpointer data)
{
	bring_up(w);
	_cleanup_(control_socket_close) struct control_socket *control = open_control(w);
	g_autoptr(GError) error = NULL;

	g_ptr_array_set_size(w->log, 0);
	json_auto_t *revoked = operate(w, "vf.revoke", WORLD_NIC, &error);
	g_assert_no_error(error);
	world_expect(w, BOTH, UNPLUG, DRAINING, SYNTHETIC, NULL);
	g_assert_cmpuint(w->log->len, ==, 4);
	g_assert_true(nothing_is_claimed(w));
	g_assert_cmpstr(json_string_value(json_object_get(revoked, "state")), ==, "revoked");
	g_assert_cmpstr(json_string_value(json_object_get(revoked, "nic_name")), ==, "nic-4");
	g_assert_cmpint(number(revoked, "copy_ms"), >, 0);
	g_assert_cmpint(number(revoked, "total_ms"), >=, number(revoked, "copy_ms"));
	g_autofree char *reason = reason_of(w);
	g_assert_nonnull(strstr(reason, "revoked"));
}

static void test_restore(struct world *w, gconstpointer data)
{
	bring_up(w);
	_cleanup_(control_socket_close) struct control_socket *control = open_control(w);
	g_autoptr(GError) error = NULL;

	json_auto_t *revoked = operate(w, "vf.revoke", "nic-4", &error);
	g_assert_no_error(error);
	world_run(100);
	g_assert_true(nothing_is_claimed(w));
	g_ptr_array_set_size(w->log, 0);
	json_auto_t *restored = operate(w, "vf.restore", WORLD_NIC, &error);
	g_assert_no_error(error);
	world_expect(w, BOTH, PLUG, FUNCTION, NULL);
	g_assert_cmpuint(w->log->len, ==, 3);
	g_assert_cmpstr(json_string_value(json_object_get(restored, "state")), ==, "attached");
	g_assert_cmpint(number(restored, "copy_ms"), >, 0);
	g_assert_cmpint(number(restored, "total_ms"), >=, number(restored, "copy_ms"));
	g_assert_cmpint(json_integer_value(json_object_get(restored, "changes")), ==, 3);
	json_auto_t *again = operate(w, "vf.restore", "sl-f0", &error);
	g_assert_no_error(error);
	g_assert_cmpuint(w->log->len, ==, 3);
}

static size_t n_holding(const json_t *state)
{
	return json_array_size(json_object_get(state, "holding"));
}

static bool is_drained(struct world *w)
{
	g_autoptr(GError) error = NULL;
	json_auto_t *held = operate(w, "host.draining", NULL, &error);

	g_assert_no_error(error);
	return n_holding(held) == 0;
}

static void test_drain(struct world *w, gconstpointer data)
{
	bring_up(w);
	struct control_socket *control = open_control(w);
	g_autoptr(GError) error = NULL;

	g_ptr_array_set_size(w->log, 0);
	json_auto_t *began = operate(w, "host.drain", NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(n_holding(began), ==, 1);
	world_wait(w, "the NIC is synthetic", is_synthetic);
	world_expect(w, BOTH, UNPLUG, DRAINING, SYNTHETIC, NULL);
	world_wait(w, "nothing is held", is_drained);
	control_socket_close(control);
	world_stop_agent(w);
	world_start_agent(w, true);
	world_run(200);
	g_assert_true(is_synthetic(w));
	g_autofree char *reason = reason_of(w);
	g_assert_nonnull(strstr(reason, "drained"));
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	g_assert_true(report->drained);
	control = open_control(w);
	json_auto_t *undrained = operate(w, "host.undrain", NULL, &error);
	g_assert_false(json_is_true(json_object_get(undrained, "drained")));
	world_wait(w, "the NIC has a function again", is_on);
	control_socket_close(control);
}

static void test_drain_held(struct world *w, gconstpointer data)
{
	bring_up(w);
	_cleanup_(control_socket_close) struct control_socket *control = open_control(w);
	g_autoptr(GError) error = NULL;

	vm_fake_hold_primaries(w->machines, true);
	json_auto_t *began = operate(w, "host.drain", NULL, &error);
	world_run(300);
	json_auto_t *state = operate(w, "host.draining", NULL, &error);
	g_assert_cmpuint(n_holding(state), ==, 1);
	const char *reason = json_string_value(
		json_object_get(json_array_get(json_object_get(state, "holding"), 0), "reason"));
	g_assert_nonnull(strstr(reason, "did not let go"));
	vm_fake_hold_primaries(w->machines, false);
	world_wait(w, "it lets go in the end", is_synthetic);
}

static json_t *event_of(struct world *w)
{
	json_t *document = events_document(agent_events(w->agent), WORLD_VM, "myvm");
	json_t *event = json_incref(json_array_get(json_object_get(document, "Events"), 0));

	json_decref(document);
	return event;
}

static void acknowledge(struct world *w, const json_t *event)
{
	json_auto_t *request =
		json_pack("{s:[{s:O}]}", "StartRequests", "EventId", json_object_get(event, "EventId"));
	g_autoptr(GError) error = NULL;

	events_acknowledge(agent_events(w->agent), WORLD_VM, request, &error);
	g_assert_no_error(error);
}

/* The function stays until the guest has acknowledged what comes. */
static void test_drain_notice(struct world *w, gconstpointer data)
{
	bring_up(w);
	_cleanup_(control_socket_close) struct control_socket *control = open_control(w);
	g_autoptr(GError) error = NULL;

	g_assert_true(drain_begin(w->agent, 600, false, &error));
	world_run(300);
	g_assert_true(is_on(w));
	json_auto_t *event = event_of(w);
	g_assert_cmpstr(json_string_value(json_object_get(event, "EventStatus")), ==, "Scheduled");
	g_assert_cmpstr(json_string_value(json_object_get(event, "EventType")), ==, "Freeze");
	acknowledge(w, event);
	world_wait(w, "the NIC is synthetic", is_synthetic);
	world_run(100);
	json_auto_t *left = event_of(w);
	g_assert_null(left);
	json_auto_t *undrained = operate(w, "host.undrain", NULL, &error);
	world_wait(w, "the NIC has a function again", is_on);
}

static void expect_notice(struct world *w, const json_t *entry)
{
	json_auto_t *event = event_of(w);

	g_assert_cmpstr(json_string_value(json_object_get(entry, "state")), ==, "attached");
	g_assert_true(json_is_true(json_object_get(entry, "revoked")));
	g_assert_cmpint(number(entry, "notice_s"), >, 0);
	world_run(100);
	g_assert_true(is_on(w));
	g_assert_cmpint(world_find(w, UNPLUG, 0), <, 0);
	g_assert_cmpstr(json_string_value(json_object_get(event, "EventStatus")), ==, "Scheduled");
	g_assert_cmpstr(json_string_value(json_object_get(event, "EventType")), ==, "Freeze");
	g_assert_nonnull(strstr(json_string_value(json_object_get(event, "Description")), "nic-4"));
}

static void expect_no_event(struct world *w)
{
	world_run(100);
	json_auto_t *event = event_of(w);
	g_assert_null(event);
}

/* It outlives the agent, too. */
static void test_revoke_acknowledged(struct world *w, gconstpointer data)
{
	bring_up(w);
	struct control_socket *control = open_control(w);
	g_autoptr(GError) error = NULL;

	json_auto_t *began = revoke_with_notice(w, 600, &error);
	g_assert_no_error(error);
	world_run(50);
	expect_notice(w, began);
	control_socket_close(control);
	world_stop_agent(w);
	world_start_agent(w, true);
	world_run(100);
	world_wait(w, "the function stays with the next agent", is_on);
	g_assert_cmpint(world_find(w, UNPLUG, 0), <, 0);
	json_auto_t *event = event_of(w);
	acknowledge(w, event);
	world_wait(w, "the NIC is synthetic", is_synthetic);
	expect_no_event(w);
	control = open_control(w);
	json_auto_t *revoked = operate(w, "vf.revoke", WORLD_NIC, &error);
	g_assert_cmpstr(json_string_value(json_object_get(revoked, "state")), ==, "revoked");
	g_assert_cmpint(number(revoked, "copy_ms"), >, 0);
	g_assert_cmpint(number(revoked, "total_ms"), <, 5000);
	control_socket_close(control);
}

static void test_revoke_notice(struct world *w, gconstpointer data)
{
	bring_up(w);
	_cleanup_(control_socket_close) struct control_socket *control = open_control(w);
	g_autoptr(GError) error = NULL;
	g_autoptr(GError) refused_by = NULL;

	json_auto_t *began = revoke_with_notice(w, 600, &error);
	g_assert_no_error(error);
	world_run(50);
	expect_notice(w, began);
	json_auto_t *restored = operate(w, "vf.restore", WORLD_NIC, &error);
	g_assert_no_error(error);
	expect_no_event(w);
	g_assert_true(is_on(w));
	json_auto_t *again = revoke_with_notice(w, 600, &error);
	world_run(50);
	json_auto_t *late = event_of(w);
	json_auto_t *hurried = revoke_with_notice(w, 300, &error);
	world_run(50);
	json_auto_t *early = event_of(w);
	g_assert_cmpstr(json_string_value(json_object_get(early, "EventId")), ==,
		json_string_value(json_object_get(late, "EventId")));
	g_assert_cmpstr(json_string_value(json_object_get(early, "NotBefore")), !=,
		json_string_value(json_object_get(late, "NotBefore")));
	json_auto_t *sooner = revoke_with_notice(w, 1, &error);
	g_assert_cmpint(number(sooner, "notice_s"), <=, 1);
	world_wait(w, "its time is over", is_synthetic);
	expect_no_event(w);
	g_assert_null(revoke_with_notice(w, 3601, &refused_by));
	g_assert_error(refused_by, FAULT, FAULT_INVALID);
}

static void test_sticky(struct world *w, gconstpointer data)
{
	bring_up(w);
	struct control_socket *control = open_control(w);
	g_autoptr(GError) error = NULL;

	json_auto_t *revoked = operate(w, "vf.revoke", WORLD_NIC, &error);
	control_socket_close(control);
	world_stop_agent(w);
	world_start_agent(w, true);
	world_wait(w, "the next agent knows that it is revoked", is_synthetic);
	world_run(200);
	g_assert_true(is_synthetic(w));
	control = open_control(w);
	json_auto_t *restored = operate(w, "vf.restore", WORLD_NIC, &error);
	g_assert_no_error(error);
	g_assert_true(is_on(w));
	control_socket_close(control);
}

/* ---- what operators are told ---- */

static void test_list(struct world *w, gconstpointer data)
{
	bring_up(w);
	_cleanup_(control_socket_close) struct control_socket *control = open_control(w);
	g_autoptr(GError) error = NULL;
	json_auto_t *list = operate(w, "vf.list", NULL, &error);
	json_t *entry = json_array_get(list, 0);

	g_assert_no_error(error);
	g_assert_cmpuint(json_array_size(list), ==, 1);
	g_assert_cmpstr(json_string_value(json_object_get(entry, "nic_name")), ==, "nic-4");
	g_assert_cmpstr(json_string_value(json_object_get(entry, "vm")), ==, "myvm");
	g_assert_cmpstr(json_string_value(json_object_get(entry, "function")), ==, "sl-f0");
	g_assert_cmpstr(json_string_value(json_object_get(entry, "state")), ==, "attached");
	json_auto_t *status = operate(w, "status", NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(json_string_value(json_object_get(status, "switch")), ==, "in step");
	g_assert_cmpstr(json_string_value(json_object_get(status, "host")), ==, "host-a");
	g_assert_cmpuint(json_array_size(json_object_get(status, "vms")), ==, 1);
	g_assert_true(json_is_null(json_object_get(status, "underlay")));
	g_assert_cmpuint(json_array_size(json_object_get(status, "conditions")), ==, 0);
	struct goal *goal = world_goal(2, true);
	goal->conditions = strings_new();
	g_ptr_array_add(goal->conditions, g_strdup("Host b has no underlay."));
	agent_take_goal(w->agent, goal);
	json_auto_t *later = operate(w, "status", NULL, &error);
	g_assert_cmpstr(json_string_value(json_array_get(json_object_get(later, "conditions"), 0)), ==,
		"Host b has no underlay.");
}

/* The mark that its function was taken stays; its goal, and its name, do not. */
static void test_list_deallocated(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal(2, true);
	g_autoptr(GError) error = NULL;

	bring_up(w);
	_cleanup_(control_socket_close) struct control_socket *control = open_control(w);
	json_auto_t *revoked = operate(w, "vf.revoke", WORLD_NIC, &error);
	g_assert_no_error(error);
	((struct goal_vm *)goal->vms->pdata[0])->power = POWER_DEALLOCATED;
	g_ptr_array_set_size(goal->nics, 0);
	agent_take_goal(w->agent, goal);
	world_run(200);
	json_auto_t *list = operate(w, "vf.list", NULL, &error);
	const json_t *entry = json_array_get(list, 0);
	g_assert_cmpstr(json_string_value(json_object_get(entry, "nic")), ==, WORLD_NIC);
	g_assert_cmpstr(json_string_value(json_object_get(entry, "vm")), ==, "myvm");
}

static void refused(struct world *w, const char *method, const char *nic, enum fault fault)
{
	g_autoptr(GError) error = NULL;
	json_auto_t *answer = operate(w, method, nic, &error);

	g_assert_null(answer);
	g_assert_error(error, FAULT, (int)fault);
}

static void test_refusals(struct world *w, gconstpointer data)
{
	struct goal *plain = world_goal(2, false);

	bring_up(w);
	_cleanup_(control_socket_close) struct control_socket *control = open_control(w);
	refused(w, "vf.revoke", "nobody", FAULT_NOT_FOUND);
	refused(w, "vf.revoke", NULL, FAULT_INVALID);
	refused(w, "vf.explode", NULL, FAULT_UNSUPPORTED);
	agent_take_goal(w->agent, plain);
	world_wait(w, "the NIC lost its function", is_synthetic);
	refused(w, "vf.revoke", WORLD_NIC, FAULT_NOT_ALLOWED);
}

/* Of two that have the name one is not accelerated: the operator may mean that one. */
static void test_ambiguous(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal(2, true);
	g_autoptr(GError) error = NULL;

	bring_up(w);
	_cleanup_(control_socket_close) struct control_socket *control = open_control(w);
	world_add_vm(goal);
	struct goal_nic *second = goal->nics->pdata[1];
	g_free(second->name);
	second->name = g_strdup("nic-4");
	agent_take_goal(w->agent, goal);
	world_run(100);
	g_assert_null(operate(w, "vf.revoke", "nic-4", &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_assert_nonnull(strstr(error->message, WORLD_NIC " of VM myvm"));
	g_assert_nonnull(strstr(error->message, WORLD_NIC_2 " of VM other"));
	refused(w, "vf.revoke", WORLD_NIC_2, FAULT_NOT_ALLOWED);
	g_assert_true(is_on(w));
}

static void test_held(struct world *w, gconstpointer data)
{
	bring_up(w);
	_cleanup_(control_socket_close) struct control_socket *control = open_control(w);

	vm_fake_hold_primaries(w->machines, true);
	refused(w, "vf.revoke", WORLD_NIC, FAULT_UNAVAILABLE);
	g_assert_false(nothing_is_claimed(w));
	g_assert_cmpint(world_find(w, DRAINING, 0), <, 0);
	vm_fake_hold_primaries(w->machines, false);
	world_wait(w, "it is taken back once the guest lets go", nothing_is_claimed);
	world_expect(w, BOTH, UNPLUG, DRAINING, SYNTHETIC, NULL);
}

static bool is_cut(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	const struct report_nic *entry = entry_of(report);
	g_autofree char *path = g_build_filename(w->folder, "sl-f0", NULL), *text = NULL;

	return entry && entry->enforcement == ENFORCEMENT_CUT &&
	       g_file_get_contents(path, &text, NULL, NULL) && g_str_equal(text, "cut");
}

static bool is_steered(struct world *w)
{
	return world_find(w, SYNTHETIC, 0) >= 0;
}

static void test_forced(struct world *w, gconstpointer data)
{
	bring_up(w);
	struct control_socket *control = open_control(w);
	g_autoptr(GError) error = NULL;

	vm_fake_hold_primaries(w->machines, true);
	refused(w, "vf.revoke", WORLD_NIC, FAULT_UNAVAILABLE);
	g_assert_false(is_cut(w));
	world_forget(w);
	json_auto_t *revoked = operate_by(w, "vf.revoke", WORLD_NIC, true, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(json_string_value(json_object_get(revoked, "state")), ==, "cut");
	g_assert_true(is_cut(w));
	world_wait(w, "the switch delivers to the synthetic path alone", is_steered);
	refused(w, "vf.restore", WORLD_NIC, FAULT_UNAVAILABLE);
	json_auto_t *again = operate_by(w, "vf.revoke", WORLD_NIC, true, &error);
	g_assert_cmpstr(json_string_value(json_object_get(again, "state")), ==, "cut");
	control_socket_close(control);
	world_stop_agent(w);
	world_start_agent(w, true);
	world_wait(w, "it is cut off for the next agent, too", is_cut);
	vm_fake_hold_primaries(w->machines, false);
	world_wait(w, "it is taken back once the guest lets go", nothing_is_claimed);
	g_autofree char *reason = reason_of(w);
	g_assert_nonnull(strstr(reason, "revoked"));
}

static void test_drain_forced(struct world *w, gconstpointer data)
{
	bring_up(w);
	_cleanup_(control_socket_close) struct control_socket *control = open_control(w);
	g_autoptr(GError) error = NULL;

	vm_fake_hold_primaries(w->machines, true);
	json_auto_t *began = operate_by(w, "host.drain", NULL, true, &error);
	g_assert_no_error(error);
	world_wait(w, "its function is cut off", is_cut);
	json_auto_t *state = operate(w, "host.draining", NULL, &error);
	const json_t *entry = json_array_get(json_object_get(state, "holding"), 0);
	g_assert_cmpuint(n_holding(state), ==, 1);
	g_assert_cmpstr(json_string_value(json_object_get(entry, "state")), ==, "cut");
	vm_fake_hold_primaries(w->machines, false);
	world_wait(w, "the guest lets go", is_synthetic);
	json_auto_t *undrained = operate(w, "host.undrain", NULL, &error);
	world_wait(w, "the NIC has a function again", is_on);
}

/* ---- what else happens ---- */

static void test_quiet(struct world *w, gconstpointer data)
{
	w->guest_is_quiet = true;
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal(1, true));
	world_run(600);
	g_assert_cmpint(world_find(w, FUNCTION, 0), <, 0);
	world_expect(w, BOTH, PLUG, NULL);
	g_autofree char *reason = reason_of(w);
	g_assert_nonnull(strstr(reason, "sent nothing"));
	w->guest_is_quiet = false;
	world_wait(w, "its first frame makes the function active", is_on);
}

static bool copies_again(struct world *w)
{
	int on = world_find(w, FUNCTION, 0);

	return on >= 0 && world_find(w, BOTH, on) > on;
}

static void test_reboot(struct world *w, gconstpointer data)
{
	bring_up(w);
	w->reboot = true;
	world_wait(w, "copies go to both while the guest is away", copies_again);
	g_assert_cmpint(world_find(w, UNPLUG, 0), <, 0);
	w->reboot = false;
	world_wait(w, "the function is active again", is_on);
}

static bool is_down_and_clean(struct world *w)
{
	return world_power(w, WORLD_VM) == POWER_STATE_DEALLOCATED && nothing_is_claimed(w);
}

static void test_deallocate(struct world *w, gconstpointer data)
{
	struct goal *goal = world_goal(2, true);

	bring_up(w);
	world_vm(goal)->power = POWER_DEALLOCATED;
	g_ptr_array_set_size(goal->nics, 0);
	agent_take_goal(w->agent, goal);
	world_wait(w, "the VM is deallocated and its function released", is_down_and_clean);
	g_assert_cmpint(world_find(w, UNPLUG, 0), <, 0);
	agent_take_goal(w->agent, world_goal(3, true));
	world_wait(w, "it is accelerated again", is_on);
}

static bool was_attached(struct world *w)
{
	return world_find(w, FUNCTION, 0) >= 0 && is_on(w);
}

static void test_crash(struct world *w, gconstpointer data)
{
	bring_up(w);
	g_ptr_array_set_size(w->log, 0);
	vm_fake_crash(w->machines, WORLD_VM);
	world_wait(w, "it runs and is accelerated again", was_attached);
	world_expect(w, DRAINING, SYNTHETIC, "start " WORLD_VM, BOTH, PLUG, FUNCTION, NULL);
	g_assert_cmpint(world_find(w, UNPLUG, 0), <, 0);
}

static void test_none(struct world *w, gconstpointer data)
{
	g_autofree char *reason = NULL;

	world_start_agent(w, false);
	agent_take_goal(w->agent, world_goal(1, true));
	world_run(200);
	reason = reason_of(w);
	g_assert_nonnull(strstr(reason, "no functions"));
	g_assert_cmpint(world_find(w, BOTH, 0), <, 0);
	g_assert_false(((const struct vm_nic *)vm_fake_spec(w->machines, WORLD_VM)->nics->pdata[0])->teamed);
}

static void test_strays(struct world *w, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *name = NULL, *path = g_build_filename(w->folder, "sl-f0", NULL);
	struct nic_provider *provider = nic_fake_open(w->folder, 4, &error);

	g_assert_true(
		provider->ops->claim(provider, &(struct nic_request){.nic = "nobody's"}, &name, &error));
	nic_provider_close(provider);
	g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
	world_start_agent(w, true);
	g_assert_true(nothing_is_claimed(w));
	g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void test_damping(struct world *w, gconstpointer data)
{
	bring_up(w);
	_cleanup_(control_socket_close) struct control_socket *control = open_control(w);
	g_autoptr(GError) error = NULL;
	unsigned restores = 0;

	while (!error && restores < AGENT_CHANGES_MAX) {
		json_auto_t *revoked = operate(w, "vf.revoke", WORLD_NIC, &error);
		g_assert_no_error(error);
		g_assert_cmpint(number(revoked, "total_ms"), <, 900);
		json_auto_t *restored = operate(w, "vf.restore", WORLD_NIC, &error);
		restores += restored != NULL;
	}
	/* Who restores is told at once, and need not ask again. */
	g_assert_cmpuint(restores, >=, AGENT_CHANGES_MAX / 2 - 1);
	g_assert_error(error, FAULT, FAULT_UNAVAILABLE);
	g_assert_nonnull(strstr(error->message, "is held off for"));
	int64_t began = g_get_monotonic_time();
	world_wait(w, "it is restored in the end", is_on);
	g_assert_cmpint(g_get_monotonic_time() - began, >, 100 * 1000);
	/* To restore what is attached is nothing that is held off. */
	g_autoptr(GError) none = NULL;
	json_auto_t *attached = operate(w, "vf.restore", WORLD_NIC, &none);
	g_assert_no_error(none);
	g_assert_nonnull(attached);
}

static void test_stop_while_waiting(struct world *w, gconstpointer data)
{
	bring_up(w);
	struct control_socket *control = open_control(w);
	struct request request = {.path = g_build_filename(w->folder, "agent.sock", NULL),
		.method = "vf.restore",
		.nic = WORLD_NIC};

	world_stop_switch(w);
	world_run(50);
	request.method = "vf.revoke";
	GThread *thread = g_thread_new("operator", ask, &request);
	world_run(100);
	g_assert_false(g_atomic_int_get(&request.done));
	control_socket_close(control);
	g_thread_join(thread);
	g_assert_error(request.error, FAULT, FAULT_UNAVAILABLE);
	g_clear_error(&request.error);
	g_free(request.path);
}

static void add(const char *name, void (*fn)(struct world *, gconstpointer))
{
	g_test_add(name, struct world, NULL, setup, fn, teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/accel/attach: copies to both, then plug, then the first frame makes the function active",
		test_attach);
	add("/accel/revoke: copies to both, then unplug, then the synthetic path, then release", test_revoke);
	add("/accel/restore attaches again, and restoring what is attached does nothing", test_restore);
	add("/accel/a guest that is given notice of a revocation keeps its function until it acknowledges",
		test_revoke_acknowledged);
	add("/accel/or until its time is over, and is told when it is called off", test_revoke_notice);
	add("/accel/a revocation sticks over a restart of the agent", test_sticky);
	add("/accel/a drained host takes its functions back and gives none, also over a restart, until "
	    "undrained",
		test_drain);
	add("/accel/a guest that is given notice of a drain keeps its function until it acknowledges",
		test_drain_notice);
	add("/accel/draining says which guest does not let go, and why", test_drain_held);
	add("/accel/operators see functions and the agent's status", test_list);
	add("/accel/a NIC whose VM is deallocated is listed with its VM", test_list_deallocated);
	add("/accel/operators are told what cannot be done", test_refusals);
	add("/accel/a name that two NICs have is refused with whose they are", test_ambiguous);
	add("/accel/a guest that does not let go keeps its function until it does", test_held);
	add("/accel/by force it is cut off, which sticks until the guest lets go", test_forced);
	add("/accel/a forced drain cuts off what guests do not let go of", test_drain_forced);
	add("/accel/an idle guest gets copies on both paths until it speaks", test_quiet);
	add("/accel/a guest that reboots gets copies on both paths until it speaks again", test_reboot);
	add("/accel/deallocating releases the function after the machine is off", test_deallocate);
	add("/accel/a machine that crashed is accelerated again after its restart", test_crash);
	add("/accel/a host without functions says so and leaves the NIC synthetic", test_none);
	add("/accel/functions that nobody knows are released at the start", test_strays);
	add("/accel/a path that flaps is held off, and revoking never waits", test_damping);
	add("/accel/an operator who waits is told when the agent stops", test_stop_while_waiting);
	return g_test_run();
}
