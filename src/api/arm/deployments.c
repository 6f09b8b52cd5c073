/* Template deployments: the REST side. What drives them is in deploy.c.
 *
 * A client of ARM cannot show an error that comes as the answer to the PUT of a deployment (az 2.74 ends with
 * a traceback), so what can be stored is accepted, and a template that is wrong fails the operation. So does what came
 * into its way between the client's check and its PUT: a deployment of the same name, or the group's deletion. A body that is
 * no deployment, or of a mode that there is not, is refused: that clients do not send.
 */
#include "api/arm/deploy.h"
#include "api/arm/filter.h"
#include "base/relaxed_json.h"

#define TYPE            DEPLOY_TYPE
#define STATUS_PARAMS   "api-version=2021-04-01"
#define CANCEL_ATTEMPTS 16 /* that lose a race with what drives the deployment */

/* ---- encoding ---- */

static const char *const states[] = {[PROVISIONING_SUCCEEDED] = "Succeeded",
	[PROVISIONING_CREATING] = "Running",
	[PROVISIONING_UPDATING] = "Running",
	[PROVISIONING_DELETING] = "Deleting",
	[PROVISIONING_FAILED] = "Failed"};

char *deploy_id(struct arm *arm, const struct group *group, const char *name)
{
	return g_strdup_printf("/subscriptions/%s/resourceGroups/%s/providers/" TYPE "/%s",
		control_subscription(arm->control), group->meta.name, name);
}

static bool is_mode(const struct deployment *deployment, const char *mode)
{
	return deployment->spec.mode && g_ascii_strcasecmp(deployment->spec.mode, mode) == 0;
}

static json_t *encode_resources(const struct deployment *deployment)
{
	json_t *array = json_array();

	for (guint i = 0; i < list_length(deployment->status.resources); i++) {
		const struct deployment_resource *resource = deployment->status.resources->pdata[i];
		if (resource->state == PROVISIONING_SUCCEEDED && resource->id && !resource->removed)
			json_array_append_new(array, json_pack("{s:s}", "id", resource->id));
	}
	return array;
}

/* A failure that somebody asked for has a word of its own. */
static bool is_cancelled(const struct outcome *outcome)
{
	return outcome->state == PROVISIONING_FAILED && fault_from_name(outcome->fault) == FAULT_CANCELLED;
}

static const char *state_of(const struct deployment *deployment)
{
	const struct outcome *outcome = &deployment->status.outcome;

	return is_cancelled(outcome) ? "Canceled" : states[outcome->state];
}

static json_t *encode_cancelled(const char *message)
{
	return arm_error_json("DeploymentCanceled", message, NULL);
}

json_t *deploy_encode(
	struct arm *arm, const struct group *group, const struct deployment *deployment, const char *state)
{
	g_autofree char *id = deploy_id(arm, group, deployment->meta.name);
	json_t *json = json_pack("{s:s, s:s, s:s}", "id", id, "name", deployment->meta.name, "type", TYPE);
	json_t *properties = put_object(json, "properties");
	int64_t finished = deployment->status.finished_us;
	bool over =
		!deploy_is_running(deployment); /* what came of the deployment before this one says nothing */

	if (deployment->meta.tags)
		json_object_set(json, "tags", deployment->meta.tags);
	put_text(properties, "provisioningState", state ? state : state_of(deployment));
	put_text(properties, "mode", is_mode(deployment, "Complete") ? "Complete" : "Incremental");
	put_text(properties, "correlationId", deployment->meta.uid);
	put_time(properties, "timestamp", over && finished ? finished : deployment->meta.created_us);
	put_json(properties, "parameters",
		template_shown_parameters(deployment->spec.template, deployment->spec.parameters));
	put_json(properties, "dependencies", json_array());
	put_json(properties, "outputResources", over ? encode_resources(deployment) : json_array());
	if (over && deployment->status.outputs)
		json_object_set(properties, "outputs", deployment->status.outputs);
	if (deployment->status.outcome.state == PROVISIONING_FAILED)
		put_json(properties, "error",
			is_cancelled(&deployment->status.outcome)
				? encode_cancelled(deployment->status.outcome.message)
				: deploy_error(deployment->status.details, deployment->status.outcome.message,
					  id));
	return json;
}

/* ---- reading the request ---- */

/* The group of the path, and the deployment when `ret` is not NULL. False after it has answered. */
static bool find(struct call *call, struct arm *arm, struct group **ret_group, struct deployment **ret)
{
	GError *error = NULL;
	const char *name = call_param(call, "name");

	*ret_group = arm_find_group(arm, call_param(call, "subscription"), call_param(call, "group"), &error);
	if (*ret_group && ret) {
		*ret = control_find(arm->control, KIND_DEPLOYMENT, (*ret_group)->meta.uid, name, &error);
		if (!*ret && !error)
			fault_set(&error, FAULT_NOT_FOUND, "Deployment '%s' could not be found.", name);
	}
	if (!error)
		return true;
	arm_fail(call, error);
	return false;
}

/* What would have to be fetched, or be done once it has failed. */
static void refuse_links(const struct cursor *properties)
{
	static const struct {
		const char *key, *why;
	} refused[] = {
		{"templateLink",
			"links to templates are not followed: the controller fetches nothing from "
			"addresses that its users give it. Deploy the file (--template-file), and put the "
			"templates of deployments inside of it inline ('template')"},
		{"parametersLink",
			"links to parameters are not followed: the controller fetches nothing from "
			"addresses that its users give it. Give the file (--parameters @FILE), and "
			"'parameters' inline"},
		{"onErrorDeployment",
			"a deployment that fails is not rolled back; deploy the one before it again"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
		struct cursor at = cursor_any(properties, refused[i].key);
		if (cursor_is_set(&at))
			cursor_fail(properties, refused[i].key, "%s", refused[i].why);
	}
}

struct deployment *deploy_decode(
	const json_t *json, const char *name, const struct group *group, GError **error)
{
	GError *failure = NULL;
	_cleanup_(model_free) struct deployment *deployment = NULL;
	struct cursor body = cursor_root(json, &failure), properties = cursor_object(&body, "properties"),
		      template = cursor_object(&properties, "template"),
		      parameters = cursor_object(&properties, "parameters"),
		      tags = cursor_object(&body, "tags");

	deployment = model_new(KIND_DEPLOYMENT, name, group->meta.uid);
	deployment->spec.mode = cursor_dup(&properties, "mode");
	refuse_links(&properties);
	if (!cursor_is_set(&properties))
		cursor_fail(&body, "properties", "it is required");
	if (failure) {
		g_propagate_error(error, failure);
		return NULL;
	}
	deployment->meta.location = g_strdup(group->meta.location);
	deployment->meta.tags = json_incref((json_t *)tags.json);
	deployment->spec.template = json_incref((json_t *)template.json);
	deployment->spec.parameters = json_incref((json_t *)parameters.json);
	return g_steal_pointer(&deployment);
}

/* What a client says of its own deployment; one inside of another may have an expression there, and is told by its template. */
static bool check_mode(const json_t *json, GError **error)
{
	static const char *const modes[] = {"Incremental", "Complete", NULL};
	GError *failure = NULL;
	struct cursor body = cursor_root(json, &failure), properties = cursor_object(&body, "properties");

	cursor_word(&properties, "mode", modes, 0);
	if (failure)
		g_propagate_error(error, failure);
	return !failure;
}

/* Not strict JSON: clients splice the user's file as it is into the body. */
struct deployment *deploy_read(
	const struct call *call, const struct group *group, json_t **ret_body, GError **error)
{
	size_t length;
	const char *text = call_body(call, &length);
	json_auto_t *json = relaxed_json_parse(text, length, error);
	_cleanup_(model_free) struct deployment *wanted =
		json ? deploy_decode(json, call_param(call, "name"), group, error) : NULL;

	if (!wanted || !check_mode(json, error))
		return NULL;
	if (ret_body)
		*ret_body = g_steal_pointer(&json);
	return g_steal_pointer(&wanted);
}

void deploy_explain(struct arm *arm, const struct group *group, const char *name, GError **failure)
{
	if (fault_code(*failure) != FAULT_BUSY || group->status.outcome.state == PROVISIONING_DELETING)
		return;
	_cleanup_(model_free) struct deployment *there =
		control_find(arm->control, KIND_DEPLOYMENT, group->meta.uid, name, NULL);
	if (!there || !deploy_is_running(there))
		return;
	g_clear_error(failure);
	arm_fault_set(failure, ARM_DEPLOYMENT_ACTIVE,
		"Unable to edit or replace deployment '%s': it is still active. Wait until it is over, "
		"cancel it "
		"(az deployment group cancel), or give this one another name (--name).",
		there->meta.name);
}

/* ---- methods ---- */

/* state: NULL for what the deployment's own is. */
static void answer_put(struct call *call, struct arm *arm, const struct group *group,
	const struct deployment *deployment, const struct operation *operation, bool created,
	const char *state)
{
	g_autofree char *id = deploy_id(arm, group, deployment->meta.name),
			*url = g_strdup_printf("%s%s/operationStatuses/%s?" STATUS_PARAMS, arm->url, id,
				operation->meta.uid);

	call_set_operation(call, operation->meta.uid);
	arm_set_async(call, "Azure-AsyncOperation", url);
	call_answer_json(call, created ? 201 : 200, deploy_encode(arm, group, deployment, state));
}

/* A client that checked the deployment before (/validate) is told by an operation, too, of what came into its way since.
 * What runs is left alone. */
static void refuse_put(struct call *call, struct arm *arm, const struct group *group,
	struct deployment *wanted, const struct control_request *request, GError *failure)
{
	_cleanup_(model_free) struct operation *operation = NULL;
	g_autoptr(GError) told = g_error_copy(failure);
	GError *error = NULL;

	if (fault_code(failure) != FAULT_BUSY) {
		arm_fail(call, failure);
		return;
	}
	deploy_explain(arm, group, wanted->meta.name, &told);
	const char *code = arm_error_of(told).code;
	wanted->status.outcome.state = PROVISIONING_FAILED;
	wanted->status.details = json_pack("[o]", arm_error_json(code, told->message, NULL));
	if (control_refuse(
		    arm->control, wanted, request, failure, wanted->status.details, &operation, &error)) {
		call_set_code(call, code);
		answer_put(call, arm, group, wanted, operation, false, NULL);
	} else {
		arm_fail(call, error);
	}
	g_error_free(failure);
}

static void put_deployment(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(model_free) struct group *group = NULL;
	_cleanup_(control_result_clear) struct control_result result = {};
	struct control_request request;
	GError *error = NULL;

	if (!find(call, arm, &group, NULL))
		return;
	_cleanup_(model_free) struct deployment *wanted = deploy_read(call, group, NULL, &error);
	if (!wanted || !arm_request_of(call, &request, &error))
		arm_fail(call, error);
	else if (!control_put(arm->control, wanted, &request, &result, &error))
		refuse_put(call, arm, group, wanted, &request, error);
	else
		answer_put(call, arm, group, result.object, result.operation, result.created, "Accepted");
	if (result.operation)
		deploy_forget_oldest(arm, group, &result);
}

static void get_deployment(struct call *call, void *data)
{
	_cleanup_(model_free) struct group *group = NULL;
	_cleanup_(model_free) struct deployment *deployment = NULL;

	if (find(call, data, &group, &deployment))
		call_answer_json(call, 200, deploy_encode(data, group, deployment, NULL));
}

static void head_deployment(struct call *call, void *data)
{
	_cleanup_(model_free) struct group *group = NULL;
	_cleanup_(model_free) struct deployment *deployment = NULL;

	if (find(call, data, &group, &deployment))
		call_answer(call, 204);
}

struct listing {
	struct arm *arm; /* Borrowed */
	const struct group *group; /* Borrowed */
	struct filter filter;
	json_t *array;
};

static bool take(const void *object, void *data)
{
	struct listing *listing = data;
	json_t *json = deploy_encode(listing->arm, listing->group, object, NULL);
	const char *state =
		json_string_value(json_object_get(json_object_get(json, "properties"), "provisioningState"));

	if (!listing->filter.state || g_ascii_strcasecmp(listing->filter.state, state) == 0)
		return json_array_append_new(listing->array, json) == 0;
	json_decref(json);
	return false;
}

static void list_deployments(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(model_free) struct group *group = NULL;
	_cleanup_(page_clear) struct page page = {};
	GError *error = NULL;

	if (!find(call, arm, &group, NULL))
		return;
	struct listing listing = {.arm = arm, .group = group, .array = json_array()};
	if (filter_parse(call_query(call, "$filter"), &listing.filter, &error) &&
		filter_has_only(&listing.filter, "provisioningState", &error) &&
		page_of_call(call, &page, &error) &&
		page_walk(&page, arm->control, KIND_DEPLOYMENT, group->meta.uid, take, &listing, &error))
		arm_answer_page(call, &page, json_incref(listing.array));
	else
		arm_fail(call, error);
	json_decref(listing.array);
	filter_clear(&listing.filter);
}

/* Forgets the deployment; what it deployed stays. Clients take 202 and 204 for an answer, and no other. */
static void delete_deployment(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(model_free) struct group *group = NULL;
	_cleanup_(model_free) struct deployment *deployment = NULL;
	_cleanup_(control_result_clear) struct control_result result = {};
	const struct control_request request = {.principal = call_principal(call), .id = call_id(call)};
	GError *error = NULL;

	if (!find(call, arm, &group, &deployment))
		return;
	if (deploy_is_running(deployment)) {
		fault_set(&error, FAULT_BUSY, "Deployment '%s' is running; cancel it before it is deleted.",
			deployment->meta.name);
		arm_fail(call, error);
	} else if (control_delete(
			   arm->control, KIND_DEPLOYMENT, deployment->meta.uid, &request, &result, &error)) {
		call_answer(call, 204);
	} else {
		arm_fail(call, error);
	}
}

/* 204: it ends as soon as what drives it looks. */
static void post_cancel(struct call *call, void *data)
{
	struct arm *arm = data;
	bool done = false;

	for (unsigned attempt = 1; !done; attempt++) {
		_cleanup_(model_free) struct group *group = NULL;
		_cleanup_(model_free) struct deployment *deployment = NULL;
		GError *error = NULL;
		if (!find(call, arm, &group, &deployment))
			return;
		done = deploy_cancel(arm, deployment, &error);
		if (!done && (fault_code(error) != FAULT_CONFLICT || attempt == CANCEL_ATTEMPTS)) {
			arm_fail(call, error);
			return;
		}
		g_clear_error(&error);
	}
	call_answer(call, 204);
}

/* The template as it was deployed. */
static void post_export(struct call *call, void *data)
{
	_cleanup_(model_free) struct group *group = NULL;
	_cleanup_(model_free) struct deployment *deployment = NULL;

	if (find(call, data, &group, &deployment))
		call_answer_json(call, 200, json_pack("{s:O?}", "template", deployment->spec.template));
}

/* ---- operations ---- */

/* The id of the deployment of ID/operationStatuses/OPERATION, which may be gone. Owned. */
static char *id_of_status(const struct call *call)
{
	g_autofree char *statuses = g_path_get_dirname(call_path(call));

	return g_path_get_dirname(statuses);
}

static void answer_status(struct call *call, struct arm *arm, const struct operation *operation)
{
	g_autofree char *id = id_of_status(call);
	static const char *const words[] = {[OPERATION_RUNNING] = "Running",
		[OPERATION_SUCCEEDED] = "Succeeded",
		[OPERATION_FAILED] = "Failed"};
	bool failed = operation->status.state == OPERATION_FAILED,
	     cancelled = failed && fault_from_name(operation->status.fault) == FAULT_CANCELLED;
	json_t *json = json_pack("{s:s}", "status", cancelled ? "Canceled" : words[operation->status.state]);

	if (operation->status.state == OPERATION_RUNNING)
		call_set_header(call, "Retry-After", "1");
	if (cancelled)
		put_json(json, "error", encode_cancelled(operation->status.message));
	else if (failed)
		put_json(json, "error",
			deploy_error(operation->status.details, operation->status.message, id));
	call_answer_json(call, 200, json);
}

static void get_status(struct call *call, void *data)
{
	arm_wait(call, data, call_param(call, "operation"), answer_status);
}

/* Resource `index` of the record. */
static json_t *encode_operation(const struct deployment *deployment, const char *id, guint index)
{
	const struct deployment_resource *resource = deployment->status.resources->pdata[index];
	bool failed = resource->state == PROVISIONING_FAILED,
	     running = resource->operation && !failed && resource->state != PROVISIONING_SUCCEEDED;
	g_autofree char *name = g_strdup_printf("%08X", index),
			*its = g_strdup_printf("%s/operations/%s", id, name);
	json_t *properties = json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:s}}", "provisioningOperation",
		resource->removed ? "Delete" : "Create", "provisioningState",
		failed || running || resource->state == PROVISIONING_SUCCEEDED ? states[resource->state]
									       : "NotStarted",
		"statusCode",
		failed    ? "Conflict"
		: running ? "Accepted"
			  : "OK",
		"targetResource", "id", resource->id ? resource->id : "", "resourceType", resource->type,
		"resourceName", resource->name);

	if (failed) {
		json_auto_t *error =
			arm_error_json(resource->code, resource->message, json_incref(resource->details));
		put_text(error, "target", resource->id);
		put_json(properties, "statusMessage",
			json_pack("{s:s, s:o}", "status", "Failed", "error", arm_error_copy(error)));
	}
	return json_pack("{s:s, s:s, s:o}", "id", its, "operationId", name, "properties", properties);
}

/* What was looked at: all but what a condition left out. */
static bool is_operation(const struct deployment *deployment, guint index)
{
	return ((const struct deployment_resource *)deployment->status.resources->pdata[index])->id;
}

/* One for each resource: `az deployment operation group list`. */
static void list_operations(struct call *call, void *data)
{
	_cleanup_(model_free) struct group *group = NULL;
	_cleanup_(model_free) struct deployment *deployment = NULL;
	_cleanup_(page_clear) struct page page = {};
	GError *error = NULL;
	json_t *array;

	if (!find(call, data, &group, &deployment))
		return;
	if (!filter_is_absent(call, &error) || !page_of_call(call, &page, &error)) {
		arm_fail(call, error);
		return;
	}
	g_autofree char *id = deploy_id(data, group, deployment->meta.name);
	array = json_array();
	for (guint i = 0; i < list_length(deployment->status.resources); i++)
		if (is_operation(deployment, i))
			json_array_append_new(array, encode_operation(deployment, id, i));
	arm_answer_page(call, &page, page_cut(&page, array, page_key_id));
}

static void get_operation(struct call *call, void *data)
{
	_cleanup_(model_free) struct group *group = NULL;
	_cleanup_(model_free) struct deployment *deployment = NULL;
	const char *name = call_param(call, "operation");
	GError *error = NULL;
	guint64 index;

	if (!find(call, data, &group, &deployment))
		return;
	g_autofree char *id = deploy_id(data, group, deployment->meta.name);
	if (g_ascii_string_to_unsigned(name, 16, 0, UINT32_MAX, &index, NULL) &&
		index < list_length(deployment->status.resources) && is_operation(deployment, (guint)index)) {
		call_answer_json(call, 200, encode_operation(deployment, id, (guint)index));
		return;
	}
	fault_set(&error, FAULT_NOT_FOUND, "Deployment '%s' has no operation '%s'.", deployment->meta.name,
		name);
	arm_fail(call, error);
}

#define DEPLOYMENTS "/subscriptions/{subscription}/resourceGroups/{group}/providers/" TYPE

const struct route arm_deployment_routes[] = {
	{"GET", DEPLOYMENTS, list_deployments},
	{"GET", DEPLOYMENTS "/{name}", get_deployment},
	{"HEAD", DEPLOYMENTS "/{name}", head_deployment},
	{"PUT", DEPLOYMENTS "/{name}", put_deployment},
	{"DELETE", DEPLOYMENTS "/{name}", delete_deployment},
	{"POST", DEPLOYMENTS "/{name}/cancel", post_cancel},
	{"POST", DEPLOYMENTS "/{name}/exportTemplate", post_export},
	{"GET", DEPLOYMENTS "/{name}/operations", list_operations},
	{"GET", "/subscriptions/{subscription}/resourceGroups/{group}/deployments/{name}/operations",
		list_operations},
	{"GET", DEPLOYMENTS "/{name}/operations/{operation}", get_operation},
	{"GET",
		"/subscriptions/{subscription}/resourceGroups/{group}/deployments/{name}/operations/"
		"{operation}",
		get_operation},
	{"GET", DEPLOYMENTS "/{name}/operationStatuses/{operation}", get_status},
	{},
};
