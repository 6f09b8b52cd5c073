/* Asynchronous operations.
 *
 * How it works. A change whose operation is over when control answers is answered like any synchronous
 * request. Else the answer names two URLs: Azure-AsyncOperation, which tells how the operation stands, and
 * for requests that have no resource to read at the end, Location. Clients ask the first at once and then
 * every Retry-After seconds; a GET there is held until the operation is over or HOLD_MS have passed, so that
 * one is enough for most. Source: ARM's "Track asynchronous Azure operations", and what the clients were seen
 * to do with it.
 */
#include "api/arm/arm_priv.h"

#include <string.h>

#define HOLD_MS     25000
#define API_VERSION "2022-11-01" /* in URLs, for requests that had none */

/* ---- answering a change ---- */

void arm_set_async(struct call *call, const char *header, const char *url)
{
	call_set_header(call, header, url);
	call_set_header(call, "Retry-After", "1");
}

static char *operation_url(const struct call *call, const struct arm *arm, const struct arm_type *type,
	const struct operation *operation, const char *word)
{
	const char *location = operation->meta.location, *version = call_query(call, "api-version");

	return g_strdup_printf("%s/subscriptions/%s/providers/%s/locations/%s/%s/%s?api-version=%s", arm->url,
		control_subscription(arm->control), type->namespace, location ? location : "global", word,
		operation->meta.uid, version ? version : API_VERSION);
}

json_t *arm_operation_error(const struct operation *operation)
{
	struct arm_error error = arm_error_of_word(operation->status.fault);

	return arm_error_json(error.code, operation->status.message, json_incref(operation->status.details));
}

static void answer_failed(struct call *call, const struct operation *operation)
{
	call_set_code(call, arm_error_of_word(operation->status.fault).code);
	call_answer_json(call, arm_error_of_word(operation->status.fault).status,
		json_pack("{s:o}", "error", arm_operation_error(operation)));
}

void arm_answer_put(struct call *call, struct arm *arm, const struct arm_type *type, bool created,
	const struct control_result *result, json_t *body)
{
	const struct operation *operation = result->operation;

	call_set_operation(call, operation->meta.uid);
	if (operation->status.state == OPERATION_FAILED) {
		json_decref(body);
		answer_failed(call, operation);
		return;
	}
	if (operation->status.state == OPERATION_RUNNING) {
		g_autofree char *url = operation_url(call, arm, type, operation, "operations");
		arm_set_async(call, "Azure-AsyncOperation", url);
	}
	call_answer_json(call, created ? 201 : 200, body);
}

void arm_answer_unfinished(
	struct call *call, struct arm *arm, const struct arm_type *type, const struct operation *operation)
{
	if (operation->status.state == OPERATION_FAILED) {
		answer_failed(call, operation);
		return;
	}
	g_autofree char *status = operation_url(call, arm, type, operation, "operations");
	g_autofree char *location = operation_url(call, arm, type, operation, "operationResults");
	arm_set_async(call, "Azure-AsyncOperation", status);
	arm_set_async(call, "Location", location);
	call_answer(call, 202);
}

void arm_answer_accepted(
	struct call *call, struct arm *arm, const struct arm_type *type, const struct control_result *result)
{
	const struct operation *operation = result->operation;

	call_set_operation(call, operation->meta.uid);
	if (operation->status.state == OPERATION_SUCCEEDED)
		call_answer(call, 200);
	else
		arm_answer_unfinished(call, arm, type, operation);
}

/* ---- waiting ---- */

struct wait {
	struct call *call; /* Borrowed: held until it is answered or gone */
	struct arm *arm; /* Borrowed */
	guint id; /* of control_wait() */
	arm_answer_fn answer;
};

static void on_waited(const struct operation *operation, void *data)
{
	g_autofree struct wait *wait = data;
	g_autoptr(GError) error = NULL;

	if (operation) {
		wait->answer(wait->call, wait->arm, operation);
		return;
	}
	fault_set(&error, FAULT_NOT_FOUND, "The operation is not known any more.");
	call_fail(wait->call, error);
}

static void on_gone(void *data)
{
	g_autofree struct wait *wait = data;

	control_wait_cancel(wait->arm->control, wait->id);
}

void arm_wait(struct call *call, struct arm *arm, const char *uid, arm_answer_fn answer)
{
	GError *error = NULL;
	_cleanup_(model_free) struct operation *operation =
		control_get(arm->control, KIND_OPERATION, uid, &error);
	struct wait *wait;

	if (!operation) {
		arm_fail(call, error);
		return;
	}
	if (operation->status.state != OPERATION_RUNNING) {
		answer(call, arm, operation);
		return;
	}
	wait = g_new0(struct wait, 1);
	*wait = (struct wait){.call = call, .arm = arm, .answer = answer};
	call_hold(call, on_gone, wait);
	wait->id = control_wait(arm->control, uid, HOLD_MS, on_waited, wait);
}

/* ---- the two URLs ---- */

static const char *const states[] = {[OPERATION_RUNNING] = "InProgress",
	[OPERATION_SUCCEEDED] = "Succeeded",
	[OPERATION_FAILED] = "Failed"};

static void answer_status(struct call *call, struct arm *arm, const struct operation *operation)
{
	json_t *json = json_object();

	put_text(json, "id", call_path(call));
	put_text(json, "name", operation->meta.uid);
	put_text(json, "status", states[operation->status.state]);
	put_time(json, "startTime", operation->meta.created_us);
	if (operation->status.state == OPERATION_RUNNING)
		call_set_header(call, "Retry-After", "1");
	else
		put_time(json, "endTime", operation->status.finished_us);
	if (operation->status.state == OPERATION_FAILED)
		put_json(json, "error", arm_operation_error(operation));
	call_answer_json(call, 200, json);
}

static void answer_result(struct call *call, struct arm *arm, const struct operation *operation)
{
	switch ((enum operation_state)operation->status.state) {
	case OPERATION_FAILED: answer_failed(call, operation); break;
	case OPERATION_SUCCEEDED: call_answer(call, operation->spec.verb == VERB_DELETE ? 204 : 200); break;
	case OPERATION_RUNNING: {
		const char *version = call_query(call, "api-version");
		g_autofree char *again = g_strdup_printf(
			"%s%s?api-version=%s", arm->url, call_path(call), version ? version : API_VERSION);
		arm_set_async(call, "Location", again);
		call_answer(call, 202);
		break;
	}
	}
}

static void get_status(struct call *call, void *data)
{
	arm_wait(call, data, call_param(call, "operation"), answer_status);
}

static void get_result(struct call *call, void *data)
{
	arm_wait(call, data, call_param(call, "operation"), answer_result);
}

#define LOCATION "/subscriptions/{subscription}/providers/{namespace}/locations/{location}"

const struct route arm_operation_routes[] = {
	{"GET", LOCATION "/operations/{operation}", get_status},
	{"GET", LOCATION "/operationResults/{operation}", get_result},
	{},
};
