/* Template deployments: the REST side. What drives them is in deploy.c.
 *
 * A client of ARM cannot show an error that comes as the answer to the PUT of a deployment (az 2.74 ends with
 * a traceback), so what can be stored is accepted, and a template that is wrong fails the operation.
 */
#include "api/arm/deploy.h"
#include "base/relaxed_json.h"

#define TYPE          "Microsoft.Resources/deployments"
#define STATUS_PARAMS "api-version=2021-04-01"

/* ---- encoding ---- */

static const char *const states[] = {[PROVISIONING_SUCCEEDED] = "Succeeded",
	[PROVISIONING_CREATING] = "Running",
	[PROVISIONING_UPDATING] = "Running",
	[PROVISIONING_DELETING] = "Deleting",
	[PROVISIONING_FAILED] = "Failed"};

static char *id_of(struct arm *arm, const struct group *group, const char *name)
{
	return g_strdup_printf("/subscriptions/%s/resourceGroups/%s/providers/" TYPE "/%s",
		control_subscription(arm->control), group->meta.name, name);
}

static json_t *encode_resources(const struct deployment *deployment)
{
	json_t *array = json_array();

	for (guint i = 0; i < list_length(deployment->status.resources); i++) {
		const struct deployment_resource *resource = deployment->status.resources->pdata[i];
		if (resource->state == PROVISIONING_SUCCEEDED && resource->id)
			json_array_append_new(array, json_pack("{s:s}", "id", resource->id));
	}
	return array;
}

/* state: NULL for what the deployment's own is. */
static json_t *encode(
	struct arm *arm, const struct group *group, const struct deployment *deployment, const char *state)
{
	g_autofree char *id = id_of(arm, group, deployment->meta.name);
	json_t *json = json_pack("{s:s, s:s, s:s}", "id", id, "name", deployment->meta.name, "type", TYPE);
	json_t *properties = put_object(json, "properties");
	int64_t finished = deployment->status.finished_us;

	if (deployment->meta.tags)
		json_object_set(json, "tags", deployment->meta.tags);
	put_text(properties, "provisioningState", state ? state : states[deployment->status.outcome.state]);
	put_text(properties, "mode", "Incremental");
	put_text(properties, "correlationId", deployment->meta.uid);
	put_time(properties, "timestamp", finished ? finished : deployment->meta.created_us);
	put_json(properties, "parameters",
		template_shown_parameters(deployment->spec.template, deployment->spec.parameters));
	put_json(properties, "dependencies", json_array());
	put_json(properties, "outputResources", encode_resources(deployment));
	if (deployment->status.outputs)
		json_object_set(properties, "outputs", deployment->status.outputs);
	if (deployment->status.outcome.state == PROVISIONING_FAILED)
		put_json(properties, "error",
			deploy_error(deployment->status.details, deployment->status.outcome.message));
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

/* Not strict JSON: clients splice the user's file as it is into the body. */
static struct deployment *decode(const struct call *call, const struct group *group, GError **error)
{
	size_t length;
	const char *text = call_body(call, &length);
	json_auto_t *json = relaxed_json_parse(text, length, error);
	GError *failure = NULL;
	_cleanup_(model_free) struct deployment *deployment = NULL;

	if (!json)
		return NULL;
	struct cursor body = cursor_root(json, &failure), properties = cursor_object(&body, "properties"),
		      template = cursor_object(&properties, "template"),
		      parameters = cursor_object(&properties, "parameters"),
		      tags = cursor_object(&body, "tags");
	deployment = model_new(KIND_DEPLOYMENT, call_param(call, "name"), group->meta.uid);
	deployment->spec.mode = cursor_dup(&properties, "mode");
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

/* ---- methods ---- */

static void put_deployment(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(model_free) struct group *group = NULL;
	_cleanup_(control_result_clear) struct control_result result = {};
	struct control_request request;
	GError *error = NULL;

	if (!find(call, arm, &group, NULL))
		return;
	_cleanup_(model_free) struct deployment *wanted = decode(call, group, &error);
	if (!wanted || !arm_request_of(call, &request, &error) ||
		!control_put(arm->control, wanted, &request, &result, &error)) {
		arm_fail(call, error);
		return;
	}
	const struct deployment *deployment = result.object;
	g_autofree char *id = id_of(arm, group, deployment->meta.name);
	g_autofree char *url = g_strdup_printf(
		"%s%s/operationStatuses/%s?" STATUS_PARAMS, arm->url, id, result.operation->meta.uid);
	arm_set_async(call, "Azure-AsyncOperation", url);
	call_answer_json(call, result.created ? 201 : 200, encode(arm, group, deployment, "Accepted"));
}

static void get_deployment(struct call *call, void *data)
{
	_cleanup_(model_free) struct group *group = NULL;
	_cleanup_(model_free) struct deployment *deployment = NULL;

	if (find(call, data, &group, &deployment))
		call_answer_json(call, 200, encode(data, group, deployment, NULL));
}

static void head_deployment(struct call *call, void *data)
{
	_cleanup_(model_free) struct group *group = NULL;
	_cleanup_(model_free) struct deployment *deployment = NULL;

	if (find(call, data, &group, &deployment))
		call_answer(call, 204);
}

static void list_deployments(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(model_free) struct group *group = NULL;
	GError *error = NULL;
	json_t *array;

	if (!find(call, arm, &group, NULL))
		return;
	g_autoptr(GPtrArray) list = control_list(arm->control, KIND_DEPLOYMENT, group->meta.uid, &error);
	if (!list) {
		arm_fail(call, error);
		return;
	}
	array = json_array();
	for (guint i = 0; i < list->len; i++)
		json_array_append_new(array, encode(arm, group, list->pdata[i], NULL));
	call_answer_json(call, 200, put_list(array));
}

/* Forgets the deployment; what it deployed stays. */
static void delete_deployment(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(model_free) struct group *group = NULL;
	_cleanup_(model_free) struct deployment *deployment = NULL;
	_cleanup_(control_result_clear) struct control_result result = {};
	const struct control_request request = {.principal = call_principal(call)};
	GError *error = NULL;

	if (!find(call, arm, &group, &deployment))
		return;
	if (control_delete(arm->control, KIND_DEPLOYMENT, deployment->meta.uid, &request, &result, &error))
		arm_answer_accepted(call, arm, &arm_groups, &result);
	else
		arm_fail(call, error);
}

/* ---- validation ---- */

/* A mistake is an answer with 200, which clients print; they cannot print a 400 to this request. */
static void post_validate(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(model_free) struct group *group = NULL;
	g_autoptr(GError) error = NULL;

	if (!find(call, arm, &group, NULL))
		return;
	_cleanup_(model_free) struct deployment *wanted = decode(call, group, &error);
	_cleanup_(template_free) struct template *template =
		wanted ? deploy_open(arm, group, wanted, &error) : NULL;
	if (!template) {
		call_answer_json(call, 200,
			json_pack("{s:o}", "error",
				arm_error_json(arm_error_of(error).code, error->message, NULL)));
		return;
	}
	json_t *json = encode(arm, group, wanted, "Succeeded"), *resources = json_array();
	for (guint i = 0; i < template->resources->len; i++) {
		const struct template_resource *resource = template->resources->pdata[i];
		if (!resource->skipped)
			json_array_append_new(resources, json_pack("{s:s}", "id", resource->id_text));
	}
	put_json(json_object_get(json, "properties"), "validatedResources", resources);
	call_answer_json(call, 200, json);
}

/* ---- operations ---- */

static void answer_status(struct call *call, struct arm *arm, const struct operation *operation)
{
	static const char *const words[] = {[OPERATION_RUNNING] = "Running",
		[OPERATION_SUCCEEDED] = "Succeeded",
		[OPERATION_FAILED] = "Failed"};
	json_t *json = json_pack("{s:s}", "status", words[operation->status.state]);

	if (operation->status.state == OPERATION_RUNNING)
		call_set_header(call, "Retry-After", "1");
	if (operation->status.state == OPERATION_FAILED)
		put_json(json, "error", deploy_error(operation->status.details, operation->status.message));
	call_answer_json(call, 200, json);
}

static void get_status(struct call *call, void *data)
{
	arm_wait(call, data, call_param(call, "operation"), answer_status);
}

/* One for each resource: `az deployment operation group list`. */
static void list_operations(struct call *call, void *data)
{
	_cleanup_(model_free) struct group *group = NULL;
	_cleanup_(model_free) struct deployment *deployment = NULL;
	json_t *array;

	if (!find(call, data, &group, &deployment))
		return;
	g_autofree char *id = id_of(data, group, deployment->meta.name);
	array = json_array();
	for (guint i = 0; i < list_length(deployment->status.resources); i++) {
		const struct deployment_resource *resource = deployment->status.resources->pdata[i];
		g_autofree char *operation = g_strdup_printf("%08X", i),
				*its = g_strdup_printf("%s/operations/%s", id, operation);
		json_t *properties = json_pack("{s:s, s:s, s:{s:s, s:s, s:s}}", "provisioningOperation",
			"Create", "provisioningState", states[resource->state], "targetResource", "id",
			resource->id ? resource->id : "", "resourceType", resource->type, "resourceName",
			resource->name);
		if (resource->state == PROVISIONING_FAILED)
			put_json(properties, "statusMessage",
				json_pack("{s:s, s:o}", "status", "Failed", "error",
					arm_error_json(resource->code, resource->message, NULL)));
		json_array_append_new(array, json_pack("{s:s, s:s, s:o}", "id", its, "operationId", operation,
						     "properties", properties));
	}
	call_answer_json(call, 200, put_list(array));
}

#define DEPLOYMENTS "/subscriptions/{subscription}/resourceGroups/{group}/providers/" TYPE

const struct route arm_deployment_routes[] = {
	{"GET", DEPLOYMENTS, list_deployments},
	{"GET", DEPLOYMENTS "/{name}", get_deployment},
	{"HEAD", DEPLOYMENTS "/{name}", head_deployment},
	{"PUT", DEPLOYMENTS "/{name}", put_deployment},
	{"DELETE", DEPLOYMENTS "/{name}", delete_deployment},
	{"POST", DEPLOYMENTS "/{name}/validate", post_validate},
	{"GET", DEPLOYMENTS "/{name}/operations", list_operations},
	{"GET", "/subscriptions/{subscription}/resourceGroups/{group}/deployments/{name}/operations",
		list_operations},
	{"GET", DEPLOYMENTS "/{name}/operationStatuses/{operation}", get_status},
	{},
};
