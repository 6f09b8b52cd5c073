/* A deployment template, read. */
#include "api/arm/template.h"

#include "api/arm/error.h"
#include "api/arm/expression_functions.h"
#include "api/arm/put.h"
#include "api/arm/template_priv.h"

#include <string.h>

#define RESOURCES_MAX 800 /* ARM's limit */

/* What of a template's resource is not the resource. */
static const char *const not_body[] = {"type", "name", "apiVersion", "dependsOn", "comments", "condition",
	"resources", "scope", "copy", NULL};

static void resource_free(void *data)
{
	struct template_resource *resource = data;

	arm_id_clear(&resource->id);
	g_free(resource->id_text);
	g_free(resource->type);
	g_free(resource->name);
	g_free(resource->location);
	g_array_unref(resource->depends);
	json_decref(resource->json);
	g_free(resource);
}

void template_free(struct template *template)
{
	g_ptr_array_unref(template->resources);
	json_decref(template->parameters);
	json_decref(template->json);
	json_decref(template->group_object);
	json_decref(template->subscription_object);
	g_free((char *)template->scope.subscription);
	g_free((char *)template->scope.group);
	g_free(template);
}

/* ---- resources ---- */

/* A member's text, evaluated. NULL without *error when it is not there. Owned. */
static char *text_of(struct template *template, const json_t *json, const char *key, GError **error)
{
	const json_t *member = expression_member(json, key);
	json_auto_t *value = NULL;

	if (!member || json_is_null(member))
		return NULL;
	value = expression_expand(member, &template->scope, error);
	if (value && !json_is_string(value))
		arm_fault_set(error, ARM_INVALID_TEMPLATE,
			"Deployment template validation failed: '%s' must be a string.", key);
	return g_strdup(json_string_value(value));
}

static char *need_text(struct template *template, const json_t *json, const char *key, GError **error)
{
	g_autoptr(GError) failure = NULL;
	char *text = text_of(template, json, key, &failure);

	if (failure)
		g_propagate_error(error, g_steal_pointer(&failure));
	else if (!text)
		arm_fault_set(error, ARM_INVALID_TEMPLATE,
			"Deployment template validation failed: a resource has no '%s'.", key);
	return text;
}

/* A resource with a condition that is false is not deployed. */
static bool is_wanted(struct template *template, const json_t *json, bool *ret, GError **error)
{
	const json_t *condition = expression_member(json, "condition");
	json_auto_t *value = condition ? expression_expand(condition, &template->scope, error) : json_true();

	if (!value)
		return false;
	*ret = json_is_true(value) ||
	       (json_is_string(value) && g_ascii_strcasecmp(json_string_value(value), "true") == 0);
	return true;
}

/* Names inside of a parent are the child's alone: "extensions" of "vm" stands for "TYPE/extensions",
 * "vm/NAME". */
static void qualify(const struct template_resource *parent, char **type, char **name)
{
	g_autofree char *short_type = *type, *short_name = *name;

	*type = strchr(short_type, '/') ? g_strdup(short_type)
					: g_strdup_printf("%s/%s", parent->type, short_type);
	*name = strchr(short_name, '/') ? g_strdup(short_name)
					: g_strdup_printf("%s/%s", parent->name, short_name);
}

static bool check_new(
	const struct template *template, const struct template_resource *resource, GError **error)
{
	if (template->resources->len >= RESOURCES_MAX)
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			"Deployment template validation failed: it has more than %d resources.",
			RESOURCES_MAX);
	for (guint i = 0; i < template->resources->len; i++) {
		const struct template_resource *other = template->resources->pdata[i];
		if (g_ascii_strcasecmp(other->id_text, resource->id_text) == 0)
			return arm_fault_set(error, ARM_INVALID_TEMPLATE,
				"Deployment template validation failed: the resource '%s' is defined twice.",
				resource->id_text);
	}
	return true;
}

static bool add_resources(struct template *template, const json_t *array,
	const struct template_resource *parent, GError **error);

static bool add_resource(
	struct template *template, json_t *json, const struct template_resource *parent, GError **error)
{
	struct template_resource *resource;
	g_autofree char *type = need_text(template, json, "type", error);
	g_autofree char *name = type ? need_text(template, json, "name", error) : NULL;
	bool wanted;

	if (!name || !is_wanted(template, json, &wanted, error))
		return false;
	if (expression_member(json, "copy"))
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			"Deployment template validation failed: resource '%s' has a 'copy' loop, which is "
			"not supported.",
			name);
	if (parent)
		qualify(parent, &type, &name);
	resource = g_new0(struct template_resource, 1);
	resource->depends = g_array_new(FALSE, FALSE, sizeof(guint));
	resource->skipped = !wanted || (parent && parent->skipped);
	resource->json = json_incref(json);
	resource->type = g_steal_pointer(&type);
	resource->name = g_steal_pointer(&name);
	GError *failure = NULL;
	resource->location = text_of(template, json, "location", &failure);
	bool good = !failure && arm_id_make(template->scope.subscription, template->scope.group,
					resource->type, resource->name, &resource->id, &failure);
	if (good) {
		resource->id_text = arm_id_format(&resource->id);
		good = check_new(template, resource, &failure);
	}
	if (!good) {
		g_propagate_error(error, failure);
		resource_free(resource);
		return false;
	}
	g_ptr_array_add(template->resources, resource);
	return add_resources(template, expression_member(json, "resources"), resource, error);
}

static bool add_resources(struct template *template, const json_t *array,
	const struct template_resource *parent, GError **error)
{
	json_t *item;
	size_t i;

	if (array && !json_is_array(array))
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			"Deployment template validation failed: 'resources' must be an array.");
	json_array_foreach((json_t *)array, i, item)
	{
		if (!json_is_object(item))
			return arm_fault_set(error, ARM_INVALID_TEMPLATE,
				"Deployment template validation failed: item %zu of 'resources' is no "
				"object.",
				i);
		if (!add_resource(template, item, parent, error))
			return false;
	}
	return true;
}

/* ---- opening ---- */

static bool check_input(const struct template_input *input, GError **error)
{
	const json_t *functions = json_object_get(input->template, "functions");

	if (!json_is_object(input->template))
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			"Deployment template validation failed: properties.template must be an object; links "
			"to templates "
			"are not supported.");
	if (!json_object_get(input->template, "resources"))
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			"Deployment template validation failed: it has no 'resources'.");
	if (json_array_size(functions) > 0)
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			"Deployment template validation failed: functions of one's own are not supported.");
	if (input->mode && g_ascii_strcasecmp(input->mode, "Incremental") != 0)
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			"The deployment mode '%s' is not supported; use Incremental.", input->mode);
	return true;
}

struct template *template_open(const struct template_input *input, GError **error)
{
	_cleanup_(template_free) struct template *template = g_new0(struct template, 1);
	g_autofree char *id = g_strdup_printf("/subscriptions/%s", input->subscription);

	template->resources = g_ptr_array_new_with_free_func(resource_free);
	template->group_object = json_incref(input->group_object);
	template->subscription_object = json_pack("{s:s, s:s, s:s, s:s}", "id", id, "subscriptionId",
		input->subscription, "tenantId", input->tenant, "displayName", "sluice");
	template->json = json_incref((json_t *)input->template);
	template->scope = (struct expression_scope){
		.subscription = g_strdup(input->subscription),
		.group = g_strdup(input->group),
		.subscription_object = template->subscription_object,
		.group_object = template->group_object,
		.variables = json_object_get(input->template, "variables"),
	};
	if (!check_input(input, error))
		return NULL;
	template->parameters =
		template_resolve_parameters(input->template, input->parameters, &template->scope, error);
	if (!template->parameters)
		return NULL;
	template->scope.parameters = template->parameters;
	if (!add_resources(template, json_object_get(input->template, "resources"), NULL, error) ||
		!template_resolve_dependencies(template, error))
		return NULL;
	return g_steal_pointer(&template);
}

/* ---- values that need other resources ---- */

struct lookup {
	struct template *template;
	template_lookup lookup;
	void *data;
};

static json_t *look_up(const char *name, void *data, GError **error)
{
	const struct lookup *lookup = data;
	const struct template_resource *known = template_find(lookup->template, name, NULL);
	_cleanup_(arm_id_clear) struct arm_id id = {};

	if (known)
		return lookup->lookup(&known->id, lookup->data, error);
	if (!arm_id_parse(name, &id, NULL)) {
		arm_fault_set(error, ARM_INVALID_TEMPLATE,
			"The resource '%s' that reference() names is not defined in the template, and is no "
			"id.",
			name);
		return NULL;
	}
	return lookup->lookup(&id, lookup->data, error);
}

static json_t *expand_with(
	struct template *template, const json_t *json, template_lookup fn, void *data, GError **error)
{
	struct lookup lookup = {template, fn, data};
	json_t *value;

	template->scope.reference = look_up;
	template->scope.data = &lookup;
	value = expression_expand(json, &template->scope, error);
	template->scope.reference = NULL;
	return value;
}

json_t *template_body(
	struct template *template, guint index, template_lookup lookup, void *data, GError **error)
{
	const struct template_resource *resource = template->resources->pdata[index];
	json_auto_t *body = json_copy(resource->json);
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe(body, next, key,
		value) for (size_t i = 0; not_body[i]; i++) if (g_ascii_strcasecmp(key, not_body[i]) == 0)
	{
		json_object_del(body, key);
		break;
	}
	return expand_with(template, body, lookup, data, error);
}

json_t *template_outputs(struct template *template, template_lookup lookup, void *data, GError **error)
{
	const json_t *outputs = json_object_get(template->json, "outputs");

	return outputs ? expand_with(template, outputs, lookup, data, error) : json_object();
}
