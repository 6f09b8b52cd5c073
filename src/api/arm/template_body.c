/* What a template says of its resources, evaluated: bodies and outputs. */
#include "api/arm/error.h"
#include "api/arm/expression_functions.h"
#include "api/arm/template_priv.h"

bool template_is_unknown(const struct template *template, const json_t *value)
{
	return expression_is_unknown(&template->scope, value);
}

json_t *template_expand(struct template *template, const struct template_resource *resource, const char *key,
	const json_t *json, GError **error)
{
	const struct expression_place whole = {.key = resource->place}, place = {&whole, key, 0};
	struct expression_scope *scope = &template->scope;
	json_t *value;

	scope->place = key ? &place : &whole;
	scope->loop = resource->loop.name ? &resource->loop : NULL;
	value = expression_expand(json, scope, error);
	scope->place = NULL;
	scope->loop = NULL;
	return value;
}

/* ---- bodies ---- */

/* What of a template's resource is not the resource. */
static const char *const not_body[] = {"type", "name", "apiVersion", "dependsOn", "comments", "condition",
	"resources", "scope", "copy", "existing", NULL};

static bool is_body(const char *key, bool deployment)
{
	for (size_t i = 0; not_body[i]; i++)
		if (g_ascii_strcasecmp(key, not_body[i]) == 0)
			return false;
	return !deployment || (g_ascii_strcasecmp(key, "resourceGroup") != 0 &&
				      g_ascii_strcasecmp(key, "subscriptionId") != 0);
}

/* The template of a deployment inside of this one has expressions of its own only when it says so: by default they are
 * this one's. */
static bool has_own_expressions(const json_t *properties)
{
	const json_t *options = expression_member(properties, "expressionEvaluationOptions");
	const char *scope = json_string_value(expression_member(options, "scope"));

	return scope && g_ascii_strcasecmp(scope, "inner") == 0;
}

/* The member of that name, written in any case, under the very name. NULL when there is none. Borrowed. */
static json_t *settle_name(json_t *object, const char *name)
{
	const json_t *member = expression_member(object, name);
	const char *key;
	json_t *value;
	void *next;

	if (!member || json_object_get(object, name))
		return (json_t *)member;
	json_object_set(object, name, (json_t *)member);
	json_object_foreach_safe(object, next, key, value)
	{
		if (g_ascii_strcasecmp(key, name) == 0 && !g_str_equal(key, name))
			json_object_del(object, key);
	}
	return json_object_get(object, name);
}

/* A template that was evaluated here is made plain, so that evaluating it once more changes nothing. inner: one as it was
 * written, which has expressions of its own; NULL: it has not. */
static void place_inner(json_t *expanded, json_t *inner)
{
	json_t *properties = settle_name(expanded, "properties");
	json_t *evaluated = inner ? NULL : settle_name(properties, "template");

	if (inner)
		json_object_set(properties, "template", inner);
	else if (evaluated && !has_own_expressions(properties))
		json_object_set_new(properties, "template", expression_escape(evaluated));
}

json_t *template_make_body(
	struct template *template, const struct template_resource *resource, GError **error)
{
	json_auto_t *body = json_copy(resource->json);
	json_auto_t *inner = NULL;
	json_t *value;
	const char *key;
	void *next;

	json_object_foreach_safe(body, next, key, value)
	{
		if (!is_body(key, resource->deployment))
			json_object_del(body, key);
	}
	json_t *properties = resource->deployment ? settle_name(body, "properties") : NULL;
	if (has_own_expressions(properties)) {
		json_auto_t *without = json_copy(properties);
		inner = json_incref(settle_name(without, "template"));
		json_object_del(without, "template");
		json_object_set(body, "properties", without);
	}
	json_t *expanded = template_expand(template, resource, NULL, body, error);
	if (expanded && resource->deployment)
		place_inner(expanded, inner);
	return expanded;
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
	const struct template_resource *known = template_find(lookup->template, name);
	_cleanup_(arm_id_clear) struct arm_id id = {};

	if (!lookup->lookup)
		return json_incref(lookup->template->scope.unknown);
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

/* What each body takes is counted anew: only one is there at a time. */
static void begin_lookup(struct template *template, struct lookup *lookup)
{
	template->scope.reference = look_up;
	template->scope.data = lookup;
	template->scope.spent = 0;
}

json_t *template_body(struct template *template, guint index, template_lookup fn, void *data, GError **error)
{
	struct lookup lookup = {template, fn, data};
	json_t *body;

	begin_lookup(template, &lookup);
	body = template_make_body(template, template->resources->pdata[index], error);
	template->scope.reference = NULL;
	return body;
}

json_t *template_shown_body(struct template *template, guint index, GError **error)
{
	struct expression_scope *scope = &template->scope, before = *scope;
	json_auto_t *parameters = template_open_parameters(template);
	json_t *body;

	scope->shows = true;
	scope->parameters = parameters;
	scope->evaluated = NULL; /* variables are made of parameters */
	body = template_body(template, index, NULL, NULL, error);
	scope->shows = before.shows;
	scope->parameters = before.parameters;
	scope->evaluated = before.evaluated;
	return body;
}

json_t *template_outputs(struct template *template, template_lookup fn, void *data, GError **error)
{
	struct lookup lookup = {template, fn, data};
	json_t *outputs;

	begin_lookup(template, &lookup);
	outputs = template_evaluate_outputs(template, error);
	template->scope.reference = NULL;
	return outputs;
}
