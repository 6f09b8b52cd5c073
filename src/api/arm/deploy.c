/* What drives template deployments.
 *
 * How it works. A deployment is an operation like any other; control calls arm_deploy() whenever anything
 * changes, until it ends. Each call opens the template again (opening is pure) and looks at the record in
 * status.resources, one entry a resource:
 *
 * | state     | operation | means                                                            |
 * |-----------|-----------|------------------------------------------------------------------|
 * | creating  | none      | not put yet, or put and then crashed: putting again does no harm |
 * | creating  | uid       | put; its operation runs                                          |
 * | succeeded |           | done; what depends on it may start                               |
 * | failed    |           | with code and message; what depends on it never starts           |
 *
 * Every resource whose dependencies have succeeded is put at once, so independent ones run in parallel. The
 * record is written behind each step. When nothing runs and nothing can start any more, the deployment is
 * over. A resource that another operation is busy with is put later.
 *
 * The record carries the uid of the operation it belongs to; a deployment of the same name that is put again
 * begins with an empty one.
 *
 * A deployment inside of another is put like any resource and has an operation of its own, which is driven like this
 * one. In Complete mode, what is not in the template goes last (deploy_sweep.c). A deployment that somebody cancels
 * starts nothing more; what runs already is left to its own operation.
 */
#include "api/arm/deploy_priv.h"

#include <string.h>

#define FAILED_MESSAGE                                                                                       \
	"At least one resource deployment operation failed. Please list deployment operations for details "  \
	"(az deployment operation group list)."
/* ARM's words for a deployment inside of another. */
#define INNER_CODE "ResourceDeploymentFailure"
#define INNER_MESSAGE                                                                                        \
	"The resource write operation failed to complete successfully, because it reached terminal "         \
	"provisioning state 'Failed'."
#define DETAILS_MAX                                                                                          \
	(32 * 1024) /* bytes of what failed inside of others: it is stored twice more, beside the template */
#define SHOWN_MAX   (2 * DETAILS_MAX) /* bytes of what failed at all, which its operation has once more */
#define MESSAGE_MAX 1024 /* bytes of what is said of one resource, or of the whole */
#define END_ROOM                                                                                             \
	(SHOWN_MAX + 16 * 1024) /* what the end of its operation adds to the deployment in one transaction */
#define BARE_ROOM (CONTROL_STORE_ROOM + 1024) /* the same of one that says nothing; keys */

json_t *deploy_error(const json_t *details, const char *message, const char *target)
{
	const json_t *only = json_array_size(details) == 1 ? json_array_get(details, 0) : NULL;

	if (only && !json_object_get(only, "target"))
		return json_deep_copy(only);
	json_auto_t *error = arm_error_json("DeploymentFailed", message, json_incref((json_t *)details));
	put_text(error, "target", target);
	return arm_error_copy(error);
}

/* ---- the record ---- */

struct deployment_resource *deploying_record(const struct deploying *deploying, guint index)
{
	return deploying->deployment->status.resources->pdata[index];
}

/* An empty record, of this operation. */
static void reset(struct deploying *deploying)
{
	struct deployment_status *status = &deploying->deployment->status;

	g_free(status->operation);
	status->operation = g_strdup(deploying->operation->meta.uid);
	g_clear_pointer(&status->resources, g_ptr_array_unref);
	g_clear_pointer(&status->outputs, json_decref);
	g_clear_pointer(&status->details, json_decref);
	status->finished_us = 0;
	status->resources = shape_list_new(&deployment_resource_shape);
	deploying->changed = true;
}

static void begin(struct deploying *deploying)
{
	reset(deploying);
	for (guint i = 0; i < deploying->template->resources->len; i++) {
		const struct template_resource *resource = deploying->template->resources->pdata[i];
		struct deployment_resource *record = shape_new(&deployment_resource_shape);
		record->type = g_strdup(resource->type);
		record->name = g_strdup(resource->name);
		record->id = resource->skipped ? NULL : g_strdup(resource->id_text);
		record->state = resource->skipped ? PROVISIONING_SUCCEEDED : PROVISIONING_CREATING;
		g_ptr_array_add(deploying->deployment->status.resources, record);
	}
}

/* Owned. */
static char *shorten(const char *text)
{
	if (!text || strlen(text) <= MESSAGE_MAX)
		return g_strdup(text);
	const char *end = g_utf8_find_prev_char(text, text + MESSAGE_MAX + 1);
	return g_strdup_printf("%.*s...", end ? (int)(end - text) : 0, text);
}

/* details: its reference is taken; NULL: there are none. */
static void set_failed(struct deploying *deploying, struct deployment_resource *record, const char *code,
	const char *message, json_t *details)
{
	record->state = PROVISIONING_FAILED;
	g_free(record->code);
	g_free(record->message);
	json_decref(record->details);
	record->code = g_strdup(code);
	record->message = shorten(message);
	record->details = details;
	deploying->changed = true;
}

static void put_on_record(const struct deploying *deploying, const struct deployment_resource *record,
	const struct operation *operation, const char *code)
{
	arm_record_part(deploying->arm, deploying->operation, record->removed ? "DELETE" : "PUT",
		record->id ? record->id : record->name, operation, code);
}

void deploying_set_failed(
	struct deploying *deploying, struct deployment_resource *record, const GError *failure)
{
	put_on_record(deploying, record, NULL, arm_error_of(failure).code);
	set_failed(deploying, record, arm_error_of(failure).code, failure->message, NULL);
}

/* Bytes of the details that all records have. */
static size_t details_bytes(const struct deploying *deploying)
{
	size_t sum = 0;

	for (guint i = 0; i < deploying->deployment->status.resources->len; i++) {
		const json_t *details = deploying_record(deploying, i)->details;
		sum += details ? json_dumpb(details, NULL, 0, JSON_COMPACT) : 0;
	}
	return sum;
}

/* A deployment inside of this one says what failed in it, as deep as there are any, in the form that ARM has for it. */
static void set_inner_failed(
	struct deploying *deploying, struct deployment_resource *record, const struct operation *operation)
{
	json_t *details = json_pack(
		"[o]", deploy_error(operation->status.details, operation->status.message, record->id));
	size_t bytes = json_dumpb(details, NULL, 0, JSON_COMPACT);

	if (details_bytes(deploying) + bytes <= DETAILS_MAX) {
		set_failed(deploying, record, INNER_CODE, INNER_MESSAGE, details);
		return;
	}
	g_autofree char *message = g_strdup_printf(INNER_MESSAGE
		" What failed in it is too much to be shown here: az deployment operation group list --name "
		"'%s'.",
		record->name);
	json_decref(details);
	set_failed(deploying, record, INNER_CODE, message, NULL);
}

/* What became of a resource's operation. */
static void settle(
	struct deploying *deploying, struct deployment_resource *record, const struct operation *operation)
{
	switch ((enum operation_state)operation->status.state) {
	case OPERATION_RUNNING: return;
	case OPERATION_SUCCEEDED:
		record->state = PROVISIONING_SUCCEEDED;
		deploying->changed = true;
		return;
	case OPERATION_FAILED:
		if (operation->spec.target_kind == KIND_DEPLOYMENT && operation->status.details)
			set_inner_failed(deploying, record, operation);
		else
			set_failed(deploying, record, arm_error_of_word(operation->status.fault).code,
				operation->status.message, NULL);
		return;
	}
}

void deploying_begun(
	struct deploying *deploying, struct deployment_resource *record, const struct operation *operation)
{
	g_free(record->operation);
	record->operation = g_strdup(operation->meta.uid);
	deploying->changed = true;
	put_on_record(deploying, record, operation, NULL);
	settle(deploying, record, operation);
}

bool deploying_follow(struct deploying *deploying, struct deployment_resource *record, GError **error)
{
	g_autoptr(GError) failure = NULL;
	_cleanup_(model_free) struct operation *operation =
		control_get(deploying->arm->control, KIND_OPERATION, record->operation, &failure);

	if (operation)
		settle(deploying, record, operation);
	else if (fault_code(failure) == FAULT_NOT_FOUND)
		set_failed(deploying, record, "InternalServerError",
			"The record of its operation is gone; deploy again.", NULL);
	else
		g_propagate_error(error, g_steal_pointer(&failure));
	return operation || record->state == PROVISIONING_FAILED;
}

/* ---- steps ---- */

static bool is_startable(const struct deploying *deploying, guint index)
{
	const struct template_resource *resource = deploying->template->resources->pdata[index];
	const struct deployment_resource *record = deploying_record(deploying, index);

	if (record->state != PROVISIONING_CREATING || record->operation)
		return false;
	for (guint i = 0; i < resource->depends->len; i++)
		if (deploying_record(deploying, g_array_index(resource->depends, guint, i))->state !=
			PROVISIONING_SUCCEEDED)
			return false;
	return true;
}

bool deploying_is_passing(const GError *error)
{
	enum fault fault = fault_code(error);

	return error->domain == FAULT &&
	       (fault == FAULT_BUSY || fault == FAULT_CONFLICT || fault == FAULT_UNAVAILABLE);
}

/* Writes the record; FAULT_CONFLICT makes control call again. */
static bool save(struct deploying *deploying, GError **error)
{
	if (deploying->changed && !control_store(deploying->arm->control, deploying->deployment, error))
		return false;
	deploying->changed = false;
	return true;
}

/* One look at one resource: what became of it, or its start. */
static bool look_at(struct deploying *deploying, guint index, GError **error)
{
	struct deployment_resource *record = deploying_record(deploying, index);

	if (record->state == PROVISIONING_CREATING && record->operation &&
		!deploying_follow(deploying, record, error))
		return false;
	if (is_startable(deploying, index))
		deploying_start(deploying, index);
	return true;
}

/* All of the template is there. */
static bool is_complete(const struct deploying *deploying)
{
	for (guint i = 0; i < deploying->template->resources->len; i++)
		if (deploying_record(deploying, i)->state != PROVISIONING_SUCCEEDED)
			return false;
	return true;
}

/* Goes on until nothing changes any more. What was put is on record behind each round. */
static bool advance(struct deploying *deploying, GError **error)
{
	bool progress = true;

	while (progress) {
		for (guint i = 0; i < deploying->template->resources->len; i++)
			if (!look_at(deploying, i, error))
				return false;
		progress = deploying->changed;
		if (!save(deploying, error))
			return false;
	}
	if (!deploying->template->complete || !is_complete(deploying))
		return true;
	return deploying_sweep(deploying, error) && save(deploying, error);
}

/* ---- the end ---- */

/* Secrets were needed for the deployment only. */
static void forget_secrets(struct deployment *deployment)
{
	json_t *shown = template_shown_parameters(deployment->spec.template, deployment->spec.parameters);

	json_decref(deployment->spec.parameters);
	deployment->spec.parameters = shown;
}

/* Nothing more is asked of the record but what came of it. */
static void forget_reasons(struct deployment *deployment)
{
	for (guint i = 0; i < list_length(deployment->status.resources); i++) {
		struct deployment_resource *record = deployment->status.resources->pdata[i];
		g_clear_pointer(&record->message, g_free);
		g_clear_pointer(&record->details, json_decref);
	}
}

static bool leaves_room(const struct deployment *deployment, size_t bytes)
{
	g_autofree char *text = model_encode(deployment);

	return strlen(text) + bytes <= STORE_TXN_BYTES_MAX;
}

/* Writes how it ended, without its secrets. A record that is too large for that goes in parts: the end, and that no secret
 * is kept, are worth more; the error says what failed. */
static bool save_end(struct deploying *deploying, GError **error)
{
	struct deployment *deployment = deploying->deployment;

	deployment->status.finished_us = g_get_real_time();
	forget_secrets(deployment);
	if (!leaves_room(deployment, END_ROOM))
		forget_reasons(deployment);
	if (!leaves_room(deployment, END_ROOM) && deployment->status.resources)
		g_ptr_array_set_size(deployment->status.resources, 0);
	if (!leaves_room(deployment, BARE_ROOM))
		g_clear_pointer(&deployment->status.details, json_decref);
	deploying->changed = true;
	return save(deploying, error);
}

/* Fails the deployment with what is in `details`, whose reference is taken. */
static int fail(struct deploying *deploying, json_t *details, const char *message, GError **error)
{
	struct deployment *deployment = deploying->deployment;

	if (g_strcmp0(deployment->status.operation, deploying->operation->meta.uid) != 0)
		reset(deploying);
	json_decref(deployment->status.details);
	deployment->status.details = json_incref(details);
	json_decref(deploying->operation->status.details);
	deploying->operation->status.details = details;
	if (save_end(deploying, error))
		fault_set(error, FAULT_INVALID, "%s", message);
	return -1;
}

static int fail_whole(struct deploying *deploying, const GError *failure, GError **error)
{
	g_autofree char *message = shorten(failure->message);
	json_t *details = json_pack("[o]", arm_error_json(arm_error_of(failure).code, message, NULL));

	return fail(deploying, details, message, error);
}

/* The record cannot be written, so that nothing is begun; when it is too large, with the template, there is none. */
static int fail_unrecorded(struct deploying *deploying, const GError *failure, GError **error)
{
	if (fault_code(failure) != FAULT_INVALID) {
		g_propagate_error(error, g_error_copy(failure));
		return -1;
	}
	reset(deploying);
	return fail_whole(deploying, failure, error);
}

/* What was begun cannot go on. When its record is too large to be written, it ends here; what runs already is left to its
 * own operation. */
static int fail_begun(struct deploying *deploying, const GError *failure, GError **error)
{
	if (fault_code(failure) == FAULT_INVALID)
		return fail_whole(deploying, failure, error);
	g_propagate_error(error, g_error_copy(failure));
	return -1;
}

static int succeed(struct deploying *deploying, GError **error)
{
	struct deployment *deployment = deploying->deployment;
	g_autoptr(GError) failure = NULL;

	json_decref(deployment->status.outputs);
	deployment->status.outputs =
		template_outputs(deploying->template, deploying_look_up, deploying->arm, &failure);
	if (!deployment->status.outputs)
		return fail_whole(deploying, failure, error);
	if (save_end(deploying, &failure))
		return 1;
	g_clear_pointer(&deployment->status.outputs, json_decref); /* it is they that are too large */
	return fail_begun(deploying, failure, error);
}

/* What the error has of one that failed, unless there is too much already: *bytes are there. */
static bool add_detail(json_t *details, const struct deployment_resource *record, size_t *bytes)
{
	json_auto_t *detail = arm_error_json(record->code, record->message, json_incref(record->details));

	put_text(detail, "target", record->id);
	size_t more = json_dumpb(detail, NULL, 0, JSON_COMPACT);
	if (*bytes + more > SHOWN_MAX)
		return false;
	*bytes += more;
	return json_array_append(details, detail) == 0;
}

static void add_rest(json_t *details, guint n)
{
	g_autofree char *message = g_strdup_printf(
		"%u more resources failed, which are too much to be shown here: az deployment operation "
		"group list.",
		n);

	json_array_append_new(details, arm_error_json("DeploymentFailed", message, NULL));
}

static int conclude(struct deploying *deploying, GError **error)
{
	json_auto_t *details = json_array();
	bool waiting = false;
	size_t bytes = 0;
	guint left_out = 0;

	for (guint i = 0; i < deploying->deployment->status.resources->len; i++) {
		const struct deployment_resource *record = deploying_record(deploying, i);
		waiting = waiting || record->state == PROVISIONING_DELETING ||
			  (record->state == PROVISIONING_CREATING && record->operation) ||
			  (i < deploying->template->resources->len && is_startable(deploying, i));
		if (record->state == PROVISIONING_FAILED && !add_detail(details, record, &bytes))
			left_out++;
	}
	if (waiting)
		return 0;
	if (left_out)
		add_rest(details, left_out);
	if (json_array_size(details) > 0)
		return fail(deploying, g_steal_pointer(&details), FAILED_MESSAGE, error);
	return succeed(deploying, error);
}

static bool is_cancelled(const struct deployment *deployment)
{
	return deployment->status.cancelled == deployment->meta.generation;
}

static int fail_cancelled(const struct deploying *deploying, GError **error)
{
	fault_set(error, FAULT_CANCELLED, "Deployment '%s' was cancelled.", deploying->deployment->meta.name);
	return -1;
}

/* It ended, and the program did before control knew. */
static int repeat_end(struct deploying *deploying, GError **error)
{
	json_t *details = deploying->deployment->status.details;

	if (is_cancelled(deploying->deployment))
		return fail_cancelled(deploying, error);
	if (!details)
		return 1;
	json_decref(deploying->operation->status.details);
	deploying->operation->status.details = json_incref(details);
	fault_set(error, FAULT_INVALID, FAILED_MESSAGE);
	return -1;
}

/* Those inside of it end too. */
static int cancel(struct deploying *deploying, GError **error)
{
	if (!deploying_cancel_inner(deploying, error))
		return -1;
	return save_end(deploying, error) ? fail_cancelled(deploying, error) : -1;
}

static int drive(struct deploying *deploying, GError **error)
{
	g_autoptr(GError) failure = NULL;
	struct deployment *deployment = deploying->deployment;
	bool begun = g_strcmp0(deployment->status.operation, deploying->operation->meta.uid) == 0;

	if (begun && deployment->status.finished_us)
		return repeat_end(deploying, error);
	deploying->template =
		deploy_open(deploying->arm, deploying->group, deployment, deploying->operation, &failure);
	if (!deploying->template)
		return fail_whole(deploying, failure, error);
	if (!begun)
		begin(deploying);
	if (is_cancelled(deployment))
		return cancel(deploying, error);
	if (!save(deploying, &failure))
		return fail_unrecorded(deploying, failure, error);
	if (!advance(deploying, &failure))
		return fail_begun(deploying, failure, error);
	return conclude(deploying, error);
}

int arm_deploy(struct control *control, struct operation *operation, void *data, GError **error)
{
	struct deploying deploying = {.arm = data, .operation = operation};
	int done = -1;

	if (operation->spec.verb != VERB_PUT)
		return 1;
	deploying.deployment = control_get(control, KIND_DEPLOYMENT, operation->spec.target, error);
	if (!deploying.deployment)
		return -1;
	deploying.group = control_get(control, KIND_GROUP, deploying.deployment->meta.parent, error);
	if (deploying.group)
		done = drive(&deploying, error);
	if (deploying.template)
		template_free(deploying.template);
	model_free(deploying.group);
	model_free(deploying.deployment);
	return done;
}
