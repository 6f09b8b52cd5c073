/* A deployment before it is one: validation and what-if.
 *
 * A mistake is an answer with 200, which clients print; they cannot print a 400 to these requests (az 2.74 ends with a
 * traceback).
 */
#include "api/arm/deploy.h"

#include <string.h>

#define DEPLOYMENTS "/subscriptions/{subscription}/resourceGroups/{group}/providers/" DEPLOY_TYPE

static json_t *error_json(const GError *failure)
{
	return arm_error_json(arm_error_of(failure).code, failure->message, NULL);
}

static struct group *find_group(const struct call *call, struct arm *arm, GError **error)
{
	return arm_find_group(arm, call_param(call, "subscription"), call_param(call, "group"), error);
}

/* ---- validation ---- */

/* Whether its PUT would be taken now. */
static bool check_put(struct arm *arm, const struct group *group, const struct deployment *wanted,
	const char *principal, GError **error)
{
	const struct control_request request = {.principal = principal};
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(control_preview_close) struct control *preview = control_preview_open(arm->control, error);
	GError *failure = NULL;

	if (!preview || control_put(preview, wanted, &request, &result, &failure))
		return preview;
	deploy_explain(arm, group, wanted->meta.name, &failure);
	g_propagate_error(error, failure);
	return false;
}

static void post_validate(struct call *call, void *data)
{
	struct arm *arm = data;
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct group *group = find_group(call, arm, &error);
	_cleanup_(model_free) struct deployment *wanted =
		group ? deploy_read(call, group, NULL, &error) : NULL;
	_cleanup_(template_free) struct template *template =
		wanted ? deploy_open(arm, group, wanted, NULL, &error) : NULL;
	if (!template || !check_put(arm, group, wanted, call_principal(call), &error)) {
		call_answer_json(call, 200, json_pack("{s:o}", "error", error_json(error)));
		return;
	}
	json_t *json = deploy_encode(arm, group, wanted, "Succeeded"), *resources = json_array();
	for (guint i = 0; i < template->resources->len; i++) {
		const struct template_resource *resource = template->resources->pdata[i];
		if (!resource->skipped)
			json_array_append_new(resources, json_pack("{s:s}", "id", resource->id_text));
	}
	put_json(json_object_get(json, "properties"), "validatedResources", resources);
	call_answer_json(call, 200, json);
}

/* ---- what-if ---- */

/* Whether changes are wanted with the resources: "whatIfSettings". */
static bool wants_whole(const json_t *body, GError **error)
{
	static const char *const formats[] = {"FullResourcePayloads", "ResourceIdOnly", NULL};
	GError *failure = NULL;
	struct cursor root = cursor_root(body, &failure), properties = cursor_object(&root, "properties"),
		      settings = cursor_object(&properties, "whatIfSettings");
	int format = cursor_word(&settings, "resultFormat", formats, 0);

	if (failure)
		g_propagate_error(error, failure);
	return format == 0;
}

static void post_what_if(struct call *call, void *data)
{
	struct arm *arm = data;
	g_autoptr(GError) error = NULL;
	json_auto_t *body = NULL;
	_cleanup_(model_free) struct group *group = find_group(call, arm, &error);
	_cleanup_(model_free) struct deployment *wanted =
		group ? deploy_read(call, group, &body, &error) : NULL;
	bool whole = wanted && wants_whole(body, &error);
	call_answer_json(call, 200,
		error ? json_pack("{s:s, s:o}", "status", "Failed", "error", error_json(error))
		      : deploy_what_if(arm, group, wanted, whole, call_principal(call)));
}

/* ---- scopes that there are none of ---- */

static const char other_scopes[] =
	"Only resource groups can be deployed to: make the group with 'az group create', and use "
	"'az deployment group'.";

/* To a subscription, a management group or the tenant. */
static void refuse_scope(struct call *call, void *data)
{
	const char *action = call_param(call, "action");
	bool preflight = action && (g_ascii_strcasecmp(action, "validate") == 0 ||
					   g_ascii_strcasecmp(action, "whatIf") == 0);
	g_autoptr(GError) error = NULL;

	fault_set(&error, FAULT_UNSUPPORTED, "%s", other_scopes);
	if (preflight)
		call_answer_json(
			call, 200, json_pack("{s:s, s:o}", "status", "Failed", "error", error_json(error)));
	else
		arm_fail(call, g_steal_pointer(&error));
}

#define SUBSCRIPTION "/subscriptions/{subscription}/providers/" DEPLOY_TYPE "/{name}"
#define MANAGEMENT                                                                                           \
	"/providers/Microsoft.Management/managementGroups/{management}/providers/" DEPLOY_TYPE "/{name}"
#define TENANT "/providers/" DEPLOY_TYPE "/{name}"

const struct route arm_preflight_routes[] = {
	{"POST", DEPLOYMENTS "/{name}/validate", post_validate},
	{"POST", DEPLOYMENTS "/{name}/whatIf", post_what_if},
	{"PUT", SUBSCRIPTION, refuse_scope},
	{"POST", SUBSCRIPTION "/{action}", refuse_scope},
	{"PUT", MANAGEMENT, refuse_scope},
	{"POST", MANAGEMENT "/{action}", refuse_scope},
	{"PUT", TENANT, refuse_scope},
	{"POST", TENANT "/{action}", refuse_scope},
	{},
};
