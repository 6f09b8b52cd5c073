/* A deployment template, read. */
#include "api/arm/template.h"

#include "api/arm/error.h"
#include "api/arm/expression_functions.h"
#include "api/arm/template_priv.h"

#include <string.h>

#define RESOURCES_MAX   800 /* ARM's limit */
#define DEPLOYMENT_TYPE "Microsoft.Resources/deployments"

static void resource_free(void *data)
{
	struct template_resource *resource = data;

	arm_id_clear(&resource->id);
	g_free(resource->id_text);
	g_free(resource->type);
	g_free(resource->name);
	g_free(resource->location);
	g_free(resource->symbol);
	g_free(resource->place);
	g_array_unref(resource->depends);
	json_decref(resource->json);
	g_free(resource);
}
CLEANUP_FUNC(struct template_resource *, resource_free)

void template_free(struct template *template)
{
	g_ptr_array_unref(template->resources);
	g_hash_table_unref(template->names);
	g_hash_table_unref(template->loops);
	json_decref(template->parameters);
	json_decref(template->json);
	json_decref(template->scope.globals);
	json_decref(template->scope.evaluated);
	json_decref(template->scope.unknown);
	g_free((char *)template->scope.subscription);
	g_free((char *)template->scope.group);
	g_free(template);
}

/* ---- evaluating for a resource ---- */

/* A member, evaluated; NULL without *error when it is not there. New reference. */
static json_t *expand_member(
	struct template *template, const struct template_resource *resource, const char *key, GError **error)
{
	const json_t *member = expression_member(resource->json, key);

	return member && !json_is_null(member) ? template_expand(template, resource, key, member, error)
					       : NULL;
}

/* A member's text, which may be missing: true with *ret NULL. */
static bool read_text(struct template *template, const struct template_resource *resource, const char *key,
	char **ret, GError **error)
{
	GError *failure = NULL;
	json_auto_t *value = expand_member(template, resource, key, &failure);

	*ret = g_strdup(json_string_value(value));
	if (failure)
		g_propagate_error(error, failure);
	else if (value && !*ret)
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID "%s: '%s' must be a string.", resource->place, key);
	return !failure;
}

static bool need_text(struct template *template, const struct template_resource *resource, const char *key,
	char **ret, GError **error)
{
	if (!read_text(template, resource, key, ret, error))
		return false;
	return *ret || arm_fault_set(error, ARM_INVALID_TEMPLATE,
			       TEMPLATE_INVALID "%s: the resource has no '%s'.", resource->place, key);
}

/* A resource with a condition that is false is not deployed, and neither is one that is only referred to. */
static bool read_condition(struct template *template, struct template_resource *resource, GError **error)
{
	const json_t *condition = expression_member(resource->json, "condition");
	json_auto_t *value =
		condition ? template_expand(template, resource, "condition", condition, error) : json_true();
	const char *text = json_string_value(value);

	if (!value)
		return false;
	if (!json_is_boolean(value) &&
		!(text && (g_ascii_strcasecmp(text, "true") == 0 || g_ascii_strcasecmp(text, "false") == 0)))
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID "%s: 'condition' must be true or false.", resource->place);
	resource->skipped = json_is_false(value) || (text && g_ascii_strcasecmp(text, "false") == 0) ||
			    json_is_true(expression_member(resource->json, "existing"));
	return true;
}

/* ---- resources ---- */

/* Where a resource stands, and what it is a round of. */
struct site {
	const struct template_resource *parent; /* or NULL */
	const char *place, *symbol; /* symbol: or NULL */
	struct expression_loop loop; /* without a name: none */
	json_int_t batch;
};

/* Names inside of a parent are the child's alone: "extensions" of "vm" stands for "TYPE/extensions",
 * "vm/NAME". */
static void qualify(const struct template_resource *parent, struct template_resource *child)
{
	g_autofree char *type = child->type, *name = child->name;

	child->type = strchr(type, '/') ? g_strdup(type) : g_strdup_printf("%s/%s", parent->type, type);
	child->name = strchr(name, '/') ? g_strdup(name) : g_strdup_printf("%s/%s", parent->name, name);
	child->skipped = child->skipped || parent->skipped;
}

/* What is not of a resource group. */
static bool check_scope(struct template *template, const struct template_resource *resource,
	const char *subscription, const char *group, GError **error)
{
	g_autofree char *scope = NULL;

	if (!read_text(template, resource, "scope", &scope, error))
		return false;
	if (scope)
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID
			"%s: a 'scope' is not supported; leave it out, and name another group in "
			"'resourceGroup' of a deployment.",
			resource->place);
	if (resource->deployment && subscription && !group)
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID
			"%s: a subscription cannot be deployed to; name a group in 'resourceGroup'.",
			resource->place);
	return true;
}

/* A deployment may go to another group, and what exists may be in one. */
static bool make_id(struct template *template, struct template_resource *resource, GError **error)
{
	g_autofree char *group = NULL, *subscription = NULL;

	resource->deployment = g_ascii_strcasecmp(resource->type, DEPLOYMENT_TYPE) == 0;
	if ((resource->deployment || json_is_true(expression_member(resource->json, "existing"))) &&
		(!read_text(template, resource, "resourceGroup", &group, error) ||
			!read_text(template, resource, "subscriptionId", &subscription, error)))
		return false;
	if (!check_scope(template, resource, subscription, group, error))
		return false;
	if (!arm_id_make(subscription ? subscription : template->scope.subscription,
		    group ? group : template->scope.group, resource->type, resource->name, &resource->id,
		    error))
		return false;
	resource->id_text = arm_id_format(&resource->id);
	return true;
}

static bool add_resources(struct template *template, const json_t *array,
	const struct template_resource *parent, GError **error);

static bool add_instance(struct template *template, json_t *json, const struct site *site, GError **error)
{
	_cleanup_(resource_free) struct template_resource *resource = g_new0(struct template_resource, 1);

	resource->depends = g_array_new(FALSE, FALSE, sizeof(guint));
	resource->json = json_incref(json);
	resource->place = g_strdup(site->place);
	resource->symbol = g_strdup(site->symbol);
	resource->loop = site->parent ? site->parent->loop : site->loop;
	resource->repeated = !site->parent && site->loop.name;
	resource->batch = site->batch;
	if (!need_text(template, resource, "type", &resource->type, error) ||
		!need_text(template, resource, "name", &resource->name, error) ||
		!read_text(template, resource, "location", &resource->location, error) ||
		!read_condition(template, resource, error))
		return false;
	if (site->parent)
		qualify(site->parent, resource);
	if (!make_id(template, resource, error))
		return false;
	if (template->resources->len >= RESOURCES_MAX)
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID "it has more than %d resources.", RESOURCES_MAX);
	if (!template_know(template, resource, error))
		return false;
	const struct template_resource *added = resource;
	g_ptr_array_add(template->resources, g_steal_pointer(&resource));
	return add_resources(template, expression_member(json, "resources"), added, error);
}

/* How many rounds of a loop run at one time; 0: all. -1 with *error. */
static json_int_t read_batch(struct template *template, const json_t *copy, const char *place, GError **error)
{
	const char *mode = json_string_value(expression_member(copy, "mode"));
	const json_t *size = expression_member(copy, "batchSize");
	json_auto_t *value = size ? expression_expand(size, &template->scope, error) : json_integer(1);

	if (!value)
		return -1;
	if (!mode || g_ascii_strcasecmp(mode, "parallel") == 0)
		return 0;
	if (g_ascii_strcasecmp(mode, "serial") == 0 && json_integer_value(value) > 0)
		return json_integer_value(value);
	arm_fault_set(error, ARM_INVALID_TEMPLATE,
		TEMPLATE_INVALID
		"%s: the mode of a 'copy' loop is parallel, or serial with a 'batchSize' of 1 or more.",
		place);
	return -1;
}

/* As many as its loop has rounds. */
static bool add_repeated(
	struct template *template, json_t *json, const json_t *copy, struct site *site, GError **error)
{
	const struct expression_place whole = {.key = site->place}, place = {&whole, "copy", 0};
	json_int_t count;

	site->loop = (struct expression_loop){
		.name = json_string_value(expression_member(copy, "name")), .main = true};
	if (!site->loop.name)
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID "%s: a 'copy' loop needs a name.", site->place);
	if (!g_hash_table_add(template->loops, g_ascii_strdown(site->loop.name, -1)))
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID "%s: there is a 'copy' loop '%s' already.", site->place,
			site->loop.name);
	if (site->symbol)
		g_hash_table_add(template->loops, g_ascii_strdown(site->symbol, -1));
	template->scope.place = &place;
	site->batch = read_batch(template, copy, site->place, error);
	count = site->batch < 0 ? -1 : expression_count(copy, &template->scope, error);
	template->scope.place = NULL;
	for (; site->loop.index < count; site->loop.index++)
		if (!add_instance(template, json, site, error))
			return false;
	return count >= 0;
}

static bool add_resource(struct template *template, json_t *json, struct site *site, GError **error)
{
	const json_t *copy = expression_member(json, "copy");

	if (!json_is_object(json))
		return arm_fault_set(
			error, ARM_INVALID_TEMPLATE, TEMPLATE_INVALID "%s is no object.", site->place);
	if (copy && site->parent)
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID
			"%s: a resource inside of another cannot have a 'copy' loop; put it beside its "
			"parent, with type and name in full.",
			site->place);
	return copy ? add_repeated(template, json, copy, site, error)
		    : add_instance(template, json, site, error);
}

/* An array, or in newer templates an object, whose keys are symbols that others depend on. */
static bool add_resources(struct template *template, const json_t *resources,
	const struct template_resource *parent, GError **error)
{
	const char *prefix = parent ? parent->place : "", *point = parent ? "." : "", *key;
	bool good = true;
	json_t *item;
	size_t i;

	if (resources && !json_is_array(resources) && (parent || !json_is_object(resources)))
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID "%s%sresources must be an array%s.", prefix, point,
			parent ? "" : " or an object");
	json_array_foreach((json_t *)resources, i, item)
	{
		g_autofree char *place = g_strdup_printf("%s%sresources[%zu]", prefix, point, i);
		struct site site = {.parent = parent, .place = place};
		good = good && add_resource(template, item, &site, error);
	}
	json_object_foreach((json_t *)resources, key, item)
	{
		g_autofree char *place = g_strdup_printf("resources.%s", key);
		struct site site = {.place = place, .symbol = key};
		good = good && add_resource(template, item, &site, error);
	}
	return good;
}

/* ---- opening ---- */

/* Templates of other scopes say so by their schema. */
static bool check_schema(const json_t *template, GError **error)
{
	static const char *const others[] = {"subscriptionDeploymentTemplate.json",
		"managementGroupDeploymentTemplate.json", "tenantDeploymentTemplate.json"};
	const char *schema = json_string_value(json_object_get(template, "$schema"));

	for (size_t i = 0; schema && i < G_N_ELEMENTS(others); i++)
		if (strstr(schema, others[i]))
			return arm_fault_set(error, ARM_INVALID_TEMPLATE,
				TEMPLATE_INVALID
				"its $schema is of a %s, and only resource groups can be deployed to; make "
				"the "
				"group with 'az group create', and use deploymentTemplate.json.",
				others[i]);
	return true;
}

static bool check_input(const struct template_input *input, GError **error)
{
	if (!json_is_object(input->template))
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID "properties.template must be an object.");
	if (!check_schema(input->template, error))
		return false;
	if (!json_object_get(input->template, "resources"))
		return arm_fault_set(error, ARM_INVALID_TEMPLATE, TEMPLATE_INVALID "it has no 'resources'.");
	if (input->mode && g_ascii_strcasecmp(input->mode, "Incremental") != 0 &&
		g_ascii_strcasecmp(input->mode, "Complete") != 0)
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			"The deployment mode '%s' is not supported; there are Incremental and Complete.",
			input->mode);
	return true;
}

static struct template *template_new(const struct template_input *input)
{
	struct template *template = g_new0(struct template, 1);

	template->resources = g_ptr_array_new_with_free_func(resource_free);
	template->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	template->loops = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	template->complete = input->mode &&g_ascii_strcasecmp(input->mode, "Complete") == 0;
	template->json = json_incref((json_t *)input->template);
	template->scope = (struct expression_scope){
		.subscription = g_strdup(input->subscription),
		.group = g_strdup(input->group),
		.globals = json_incref(input->globals),
		.variables = json_object_get(input->template, "variables"),
		.functions = json_object_get(input->template, "functions"),
		.evaluated = json_object(),
		.unknown = json_object(),
		.providers = input->providers,
		.providers_data = input->providers_data,
		.time_us = input->time_us,
		.rounds = template_rounds,
		.rounds_data = template,
	};
	return template;
}

struct template *template_open(const struct template_input *input, GError **error)
{
	_cleanup_(template_free) struct template *template = template_new(input);

	if (!check_input(input, error))
		return NULL;
	template->parameters = template_resolve_parameters(
		input->template, input->parameters, input->seed, &template->scope, error);
	if (!template->parameters)
		return NULL;
	template->scope.parameters = template->parameters;
	if (!add_resources(template, json_object_get(input->template, "resources"), NULL, error) ||
		!template_resolve_dependencies(template, error))
		return NULL;
	return g_steal_pointer(&template);
}
