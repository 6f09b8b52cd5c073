/* A deployment before it is one: validation and what-if.
 *
 * A mistake is an answer with 200, which clients print; they cannot print a 400 to these requests (az 2.74 ends with a
 * traceback). The audit log has it as refused all the same.
 */
#include "api/arm/deploy.h"

#include <string.h>

#define DEPLOYMENTS "/subscriptions/{subscription}/resourceGroups/{group}/providers/" DEPLOY_TYPE

static json_t *error_json(const GError *failure)
{
	return arm_error_json(arm_error_of(failure).code, failure->message, NULL);
}

/* Takes the answer; what has an "error" is a refusal. */
static void answer(struct call *call, json_t *json)
{
	const json_t *error = json_object_get(json, "error");

	if (error)
		call_set_code(call, json_string_value(json_object_get(error, "code")));
	call_answer_json(call, 200, json);
}

static struct group *find_group(const struct call *call, struct arm *arm, GError **error)
{
	return arm_find_group(arm, call_param(call, "subscription"), call_param(call, "group"), error);
}

/* ---- validation ---- */

static void post_validate(struct call *call, void *data)
{
	struct arm *arm = data;
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct group *group = find_group(call, arm, &error);
	_cleanup_(model_free) struct deployment *wanted =
		group ? deploy_read(call, group, NULL, &error) : NULL;
	json_t *ids = NULL, *json,
	       *why_not = wanted ? deploy_validate(arm, group, wanted, call_principal(call), &ids)
				 : error_json(error);

	if (why_not) {
		answer(call, json_pack("{s:o}", "error", why_not));
		return;
	}
	json = deploy_encode(arm, group, wanted, "Succeeded");
	put_json(json_object_get(json, "properties"), "validatedResources", ids);
	answer(call, json);
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
	answer(call, error ? json_pack("{s:s, s:o}", "status", "Failed", "error", error_json(error))
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
		answer(call, json_pack("{s:s, s:o}", "status", "Failed", "error", error_json(error)));
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
