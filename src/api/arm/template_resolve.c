/* Parameters and dependencies of a template. */
#include "api/arm/error.h"
#include "api/arm/expression_functions.h"
#include "api/arm/template_priv.h"

#include <string.h>

/* ---- parameters ---- */

static bool is_text(const json_t *json)
{
	return json_is_string(json);
}

static bool is_whole(const json_t *json)
{
	return json_is_integer(json);
}

static bool is_truth(const json_t *json)
{
	return json_is_boolean(json);
}

static bool is_object(const json_t *json)
{
	return json_is_object(json);
}

static bool is_array(const json_t *json)
{
	return json_is_array(json);
}

static const struct {
	const char *name;
	bool (*fits)(const json_t *json);
	bool secure;
} types[] = {
	{"string", is_text, false},
	{"secureString", is_text, true},
	{"int", is_whole, false},
	{"bool", is_truth, false},
	{"object", is_object, false},
	{"secureObject", is_object, true},
	{"array", is_array, false},
};

static int find_type(const json_t *definition)
{
	const char *name = json_string_value(expression_member(definition, "type"));

	for (size_t i = 0; name && i < G_N_ELEMENTS(types); i++)
		if (g_ascii_strcasecmp(types[i].name, name) == 0)
			return (int)i;
	return -1;
}

static bool is_allowed(const json_t *definition, const json_t *value)
{
	const json_t *allowed = expression_member(definition, "allowedValues");
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)allowed, i, item) if (json_equal(item, value)) return true;
	return !json_is_array(allowed);
}

/* New reference. */
static json_t *resolve_parameter(const char *name, const json_t *definition, const json_t *given,
	struct expression_scope *scope, GError **error)
{
	const json_t *value = expression_member(expression_member(given, name), "value"),
		     *fallback = expression_member(definition, "defaultValue");
	json_auto_t *resolved = NULL;
	int type = find_type(definition);

	if (type < 0) {
		arm_fault_set(error, ARM_INVALID_TEMPLATE,
			"Deployment template validation failed: the template parameter '%s' has no type that "
			"is known.",
			name);
		return NULL;
	}
	if (!value && !fallback) {
		arm_fault_set(error, ARM_INVALID_TEMPLATE,
			"Deployment template validation failed: The value for the template parameter '%s' is "
			"not provided.",
			name);
		return NULL;
	}
	resolved = value ? json_incref((json_t *)value) : expression_expand(fallback, scope, error);
	if (!resolved)
		return NULL;
	if (!types[type].fits(resolved) || !is_allowed(definition, resolved)) {
		arm_fault_set(error, ARM_INVALID_TEMPLATE,
			"Deployment template validation failed: the value of the template parameter '%s' is "
			"no %s that is "
			"allowed.",
			name, types[type].name);
		return NULL;
	}
	return g_steal_pointer(&resolved);
}

json_t *template_resolve_parameters(
	const json_t *template, const json_t *given, struct expression_scope *scope, GError **error)
{
	const json_t *definitions = json_object_get(template, "parameters");
	json_auto_t *parameters = json_object();
	const char *name;
	json_t *definition, *value;

	json_object_foreach((json_t *)given, name, value)
	{
		if (expression_member(definitions, name))
			continue;
		arm_fault_set(error, ARM_INVALID_TEMPLATE,
			"Deployment template validation failed: the template has no parameter '%s'.", name);
		return NULL;
	}
	scope->parameters = parameters;
	json_object_foreach((json_t *)definitions, name, definition)
	{
		value = resolve_parameter(name, definition, given, scope, error);
		if (!value)
			return NULL;
		json_object_set_new(parameters, name, value);
	}
	return g_steal_pointer(&parameters);
}

json_t *template_shown_parameters(const json_t *template, const json_t *parameters)
{
	const json_t *definitions = json_object_get(template, "parameters");
	json_t *shown = json_object(), *value;
	const char *name;

	json_object_foreach((json_t *)parameters, name, value)
	{
		int type = find_type(expression_member(definitions, name));
		if (type >= 0 && !types[type].secure)
			json_object_set(shown, name, value);
	}
	return shown;
}

/* ---- dependencies ---- */

static bool names(const struct template_resource *resource, const char *text, bool *ret_by_name)
{
	g_autofree char *type_and_name = g_strdup_printf("%s/%s", resource->type, resource->name);

	*ret_by_name = g_ascii_strcasecmp(resource->name, text) == 0;
	return *ret_by_name || g_ascii_strcasecmp(resource->id_text, text) == 0 ||
	       g_ascii_strcasecmp(type_and_name, text) == 0;
}

const struct template_resource *template_find(
	const struct template *template, const char *text, bool *ret_ambiguous)
{
	const struct template_resource *found = NULL;

	if (ret_ambiguous)
		*ret_ambiguous = false;
	for (guint i = 0; i < template->resources->len; i++) {
		const struct template_resource *resource = template->resources->pdata[i];
		bool by_name;
		if (!names(resource, text, &by_name))
			continue;
		if (!by_name)
			return resource;
		if (found && ret_ambiguous)
			*ret_ambiguous = true;
		if (found)
			return NULL;
		found = resource;
	}
	return found;
}

static void add_dependency(const struct template *template, struct template_resource *resource,
	const struct template_resource *on)
{
	guint index;

	if (on == resource || !g_ptr_array_find(template->resources, on, &index))
		return;
	for (guint i = 0; i < resource->depends->len; i++)
		if (g_array_index(resource->depends, guint, i) == index)
			return;
	g_array_append_val(resource->depends, index);
}

static bool add_named(
	struct template *template, struct template_resource *resource, const char *name, GError **error)
{
	bool ambiguous;
	const struct template_resource *on = template_find(template, name, &ambiguous);

	if (!on)
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			"Deployment template validation failed: the resource '%s' that '%s' depends on %s in "
			"the template.",
			name, resource->name, ambiguous ? "is there more than once" : "is not defined");
	add_dependency(template, resource, on);
	return true;
}

/* What dependsOn says, and for a child its parent. */
static bool add_stated(struct template *template, struct template_resource *resource, GError **error)
{
	const json_t *list = expression_member(resource->json, "dependsOn");
	json_auto_t *names_list = list ? expression_expand(list, &template->scope, error) : json_array();
	json_t *item;
	size_t i;

	if (!names_list)
		return false;
	json_array_foreach(names_list, i, item)
	{
		if (!json_is_string(item))
			return arm_fault_set(error, ARM_INVALID_TEMPLATE,
				"Deployment template validation failed: dependsOn of '%s' must be a list of "
				"strings.",
				resource->name);
		if (!add_named(template, resource, json_string_value(item), error))
			return false;
	}
	for (guint j = 0; resource->id.child && j < template->resources->len; j++) {
		const struct template_resource *other = template->resources->pdata[j];
		if (!other->id.child &&
			g_ascii_strcasecmp(other->id.namespace, resource->id.namespace) == 0 &&
			g_ascii_strcasecmp(other->id.type, resource->id.type) == 0 &&
			g_ascii_strcasecmp(other->id.name, resource->id.name) == 0)
			add_dependency(template, resource, other);
	}
	return true;
}

struct recording {
	struct template *template;
	struct template_resource *resource; /* NULL: nobody depends (outputs) */
};

/* reference() of a resource of the template waits for it. */
static json_t *record(const char *name, void *data, GError **error)
{
	const struct recording *recording = data;
	const struct template_resource *on = template_find(recording->template, name, NULL);
	_cleanup_(arm_id_clear) struct arm_id id = {};

	if (on && recording->resource)
		add_dependency(recording->template, recording->resource, on);
	if (on || arm_id_parse(name, &id, NULL))
		return json_null();
	arm_fault_set(error, ARM_INVALID_TEMPLATE,
		"The resource '%s' that reference() names is not defined in the template, and is no id.",
		name);
	return NULL;
}

/* Evaluates once what is evaluated again when it is needed. */
static bool rehearse(
	struct template *template, struct template_resource *resource, const json_t *json, GError **error)
{
	struct recording recording = {template, resource};
	json_auto_t *value = NULL;

	template->scope.reference = record;
	template->scope.data = &recording;
	value = expression_expand(json, &template->scope, error);
	template->scope.reference = NULL;
	return value != NULL;
}

/* Takes away, again and again, those that depend on nothing that is left; a circle stays. */
static bool check_circles(const struct template *template, GError **error)
{
	guint n = template->resources->len, left = n;
	g_autofree bool *gone = g_new0(bool, n);

	for (bool progress = true; progress && left;) {
		progress = false;
		for (guint i = 0; i < n; i++) {
			const struct template_resource *resource = template->resources->pdata[i];
			bool waits = false;
			for (guint j = 0; j < resource->depends->len; j++)
				waits = waits || !gone[g_array_index(resource->depends, guint, j)];
			if (gone[i] || waits)
				continue;
			gone[i] = progress = true;
			left--;
		}
	}
	for (guint i = 0; left && i < n; i++)
		if (!gone[i])
			return arm_fault_set(error, ARM_INVALID_TEMPLATE,
				"Deployment template validation failed: the resource '%s' depends on itself "
				"in a circle.",
				((struct template_resource *)template->resources->pdata[i])->name);
	return true;
}

bool template_resolve_dependencies(struct template *template, GError **error)
{
	const json_t *outputs = json_object_get(template->json, "outputs");

	for (guint i = 0; i < template->resources->len; i++) {
		struct template_resource *resource = template->resources->pdata[i];
		if (resource->skipped)
			continue;
		json_auto_t *body = json_copy(resource->json);
		json_object_del(body, "resources");
		json_object_del(body, "dependsOn");
		if (!add_stated(template, resource, error) || !rehearse(template, resource, body, error))
			return false;
	}
	if (outputs && !rehearse(template, NULL, outputs, error))
		return false;
	return check_circles(template, error);
}
