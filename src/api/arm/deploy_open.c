/* Opening the template of a deployment: what its expressions see, and whether Sluice has its types. */
#include "api/arm/deploy.h"

bool deploy_check_depth(unsigned depth, GError **error)
{
	return depth < DEPLOY_NESTED_MAX ||
	       arm_fault_set(error, ARM_INVALID_TEMPLATE,
		       "Deployment template validation failed: more than %d deployments inside each other.",
		       DEPLOY_NESTED_MAX);
}

/* What deployment() gives. */
static json_t *describe(const struct deployment *deployment)
{
	json_t *json = json_pack("{s:s}", "name", deployment->meta.name),
	       *properties = put_object(json, "properties");

	if (deployment->spec.template)
		json_object_set(properties, "template", deployment->spec.template);
	put_json(properties, "parameters",
		template_shown_parameters(deployment->spec.template, deployment->spec.parameters));
	put_text(properties, "mode", deployment->spec.mode);
	put_text(properties, "provisioningState", "Accepted");
	return json;
}

static json_t *make_globals(struct arm *arm, const struct group *group, const struct deployment *deployment)
{
	json_t *globals = json_object();

	put_json(globals, "deployment", describe(deployment));
	put_json(globals, "environment", arm_environment(arm));
	put_json(globals, "resourceGroup", arm_encode(arm, group, 0));
	put_json(globals, "subscription", arm_subscription(arm));
	put_json(globals, "tenant", json_pack("{s:s}", "tenantId", control_tenant(arm->control)));
	return globals;
}

static json_t *provider_of(const char *namespace, void *data)
{
	return arm_provider(data, namespace);
}

static struct template *open_one(struct arm *arm, const struct group *group,
	const struct deployment *deployment, const struct operation *operation, GError **error)
{
	json_auto_t *globals = make_globals(arm, group, deployment);
	g_autofree char *seed = operation ? g_strdup(operation->meta.uid) : g_uuid_string_random();
	const struct template_input input = {
		.template = deployment->spec.template,
		.parameters = deployment->spec.parameters,
		.mode = deployment->spec.mode,
		.subscription = control_subscription(arm->control),
		.group = group->meta.name,
		.globals = globals,
		.providers = provider_of,
		.providers_data = arm,
		.seed = seed,
		.time_us = operation ? operation->meta.created_us : g_get_real_time(),
	};

	return template_open(&input, error);
}

static bool check_type(struct arm *arm, const struct template_resource *resource, GError **error)
{
	const struct arm_type *type = arm_type_find(resource->id.namespace, resource->id.type, error);

	if (!type || (resource->id.child && !arm_child_find(type, resource->id.child, error)))
		return false;
	return !resource->location || arm_location(arm, type, resource->location, error);
}

static bool check_resources(struct arm *arm, struct template *template, unsigned depth, GError **error);

/* A deployment inside of this one; what it is given may only be known later, and then so is the rest. */
static bool check_inner(struct arm *arm, struct template *template, const struct template_resource *resource,
	unsigned depth, GError **error)
{
	json_auto_t *body = template_body(template, resource->index, NULL, NULL, error);
	_cleanup_(model_free) struct group *group = NULL;
	_cleanup_(model_free) struct deployment *inner = NULL;
	_cleanup_(template_free) struct template *opened = NULL;

	if (!body)
		return false;
	if (!deploy_check_depth(depth, error))
		return false;
	group = arm_find_group(arm, resource->id.subscription, resource->id.group, error);
	inner = group ? deploy_decode(body, resource->name, group, error) : NULL;
	if (!inner || template_is_unknown(template, body))
		return inner != NULL;
	if (inner->spec.mode && g_ascii_strcasecmp(inner->spec.mode, "Incremental") != 0)
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			"Deployment template validation failed: the mode of '%s' must be Incremental, "
			"because it is "
			"deployed by another.",
			resource->name);
	opened = open_one(arm, group, inner, NULL, error);
	if (opened && check_resources(arm, opened, depth + 1, error))
		return true;
	g_prefix_error(error, "In the deployment '%s': ", resource->name);
	return false;
}

static bool check_resources(struct arm *arm, struct template *template, unsigned depth, GError **error)
{
	for (guint i = 0; i < template->resources->len; i++) {
		const struct template_resource *resource = template->resources->pdata[i];
		if (resource->skipped)
			continue;
		if (resource->deployment ? !check_inner(arm, template, resource, depth, error)
					 : !check_type(arm, resource, error))
			return false;
	}
	return true;
}

struct template *deploy_open(struct arm *arm, const struct group *group, const struct deployment *deployment,
	const struct operation *operation, GError **error)
{
	_cleanup_(template_free) struct template *template =
		open_one(arm, group, deployment, operation, error);

	return template && check_resources(arm, template, 0, error) ? g_steal_pointer(&template) : NULL;
}
