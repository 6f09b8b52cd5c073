/* Names and dependencies of a template's resources. */
#include "api/arm/error.h"
#include "api/arm/expression_functions.h"
#include "api/arm/template_priv.h"

/* ---- names ---- */

static void add_name(struct template *template, const char *name, struct template_resource *resource)
{
	char *small = g_ascii_strdown(name, -1);
	bool taken = g_hash_table_contains(template->names, small);

	/* Ids and types have a '/', and are of one resource only. */
	g_hash_table_replace(template->names, small, taken ? NULL : resource);
}

bool template_know(struct template *template, struct template_resource *resource, GError **error)
{
	g_autofree char *small = g_ascii_strdown(resource->id_text, -1),
			*type_and_name = g_strdup_printf("%s/%s", resource->type, resource->name);

	if (g_hash_table_contains(template->names, small))
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID "the resource '%s' is defined twice.", resource->id_text);
	resource->index = template->resources->len;
	add_name(template, resource->id_text, resource);
	add_name(template, type_and_name, resource);
	/* A symbol of one may be the name of another, so that names mean nothing where there are symbols. */
	if (!resource->symbol) {
		add_name(template, resource->name, resource);
	} else if (!resource->repeated) {
		add_name(template, resource->symbol, resource);
	} else {
		g_autofree char *round = g_strdup_printf(
			"%s[%" JSON_INTEGER_FORMAT "]", resource->symbol, resource->loop.index);
		add_name(template, round, resource);
	}
	return true;
}

json_int_t template_rounds(const char *symbol, void *data)
{
	const struct template *template = data;
	g_autofree char *small = g_ascii_strdown(symbol, -1);
	json_int_t n = 0;

	for (guint i = 0; i < template->resources->len; i++) {
		const struct template_resource *resource = template->resources->pdata[i];
		n += resource->repeated && resource->symbol &&
		     g_ascii_strcasecmp(resource->symbol, symbol) == 0;
	}
	return n || g_hash_table_contains(template->loops, small) ? n : -1;
}

struct template_resource *template_find(const struct template *template, const char *text)
{
	g_autofree char *small = g_ascii_strdown(text, -1);

	return g_hash_table_lookup(template->names, small);
}

/* ---- dependencies ---- */

static void add_dependency(struct template_resource *resource, const struct template_resource *on)
{
	if (on == resource)
		return;
	for (guint i = 0; i < resource->depends->len; i++)
		if (g_array_index(resource->depends, guint, i) == on->index)
			return;
	g_array_append_val(resource->depends, on->index);
}

/* All rounds of the loop, which may be none. */
static bool add_loop(const struct template *template, struct template_resource *resource, const char *name)
{
	bool found = false;

	for (guint i = 0; i < template->resources->len; i++) {
		const struct template_resource *other = template->resources->pdata[i];
		if (!other->repeated ||
			(g_ascii_strcasecmp(other->loop.name, name) != 0 &&
				(!other->symbol || g_ascii_strcasecmp(other->symbol, name) != 0)))
			continue;
		add_dependency(resource, other);
		found = true;
	}
	g_autofree char *small = g_ascii_strdown(name, -1);
	return found || g_hash_table_contains(template->loops, small);
}

static bool add_named(
	struct template *template, struct template_resource *resource, const char *name, GError **error)
{
	g_autofree char *small = g_ascii_strdown(name, -1);
	const struct template_resource *on = template_find(template, name);
	bool ambiguous = !on && g_hash_table_contains(template->names, small);

	if (on)
		add_dependency(resource, on);
	else if (!add_loop(template, resource, name))
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID "the resource '%s' that '%s' depends on %s in the template.", name,
			resource->name, ambiguous ? "is there more than once" : "is not defined");
	return true;
}

/* What dependsOn says. */
static bool add_stated(struct template *template, struct template_resource *resource, GError **error)
{
	const json_t *list = expression_member(resource->json, "dependsOn");
	json_auto_t *names = list && !json_is_null(list)
				     ? template_expand(template, resource, "dependsOn", list, error)
				     : json_array();
	json_t *item;
	size_t i;

	if (!names)
		return false;
	if (!json_is_array(names))
		return arm_fault_set(error, ARM_INVALID_TEMPLATE,
			TEMPLATE_INVALID "dependsOn of '%s' must be a list of strings.", resource->name);
	json_array_foreach(names, i, item)
	{
		if (!json_is_string(item))
			return arm_fault_set(error, ARM_INVALID_TEMPLATE,
				TEMPLATE_INVALID "dependsOn of '%s' must be a list of strings.",
				resource->name);
		if (!add_named(template, resource, json_string_value(item), error))
			return false;
	}
	return true;
}

/* A child waits for its parent. */
static void add_parent(const struct template *template, struct template_resource *resource)
{
	struct arm_id id = resource->id;

	if (!id.child)
		return;
	id.child = id.child_name = NULL;
	g_autofree char *text = arm_id_format(&id);
	const struct template_resource *parent = template_find(template, text);
	if (parent)
		add_dependency(resource, parent);
}

/* A round of a serial loop waits for those of the batch before. */
static void add_batch(const struct template *template, struct template_resource *resource)
{
	for (guint i = 0; resource->repeated && resource->batch && i < template->resources->len; i++) {
		const struct template_resource *other = template->resources->pdata[i];
		if (other->repeated && g_ascii_strcasecmp(other->loop.name, resource->loop.name) == 0 &&
			other->loop.index / resource->batch == resource->loop.index / resource->batch - 1)
			add_dependency(resource, other);
	}
}

struct recording {
	struct template *template;
	struct template_resource *resource; /* NULL: nobody depends (outputs) */
};

/* reference() of a resource of the template waits for it. */
static json_t *record(const char *name, void *data, GError **error)
{
	const struct recording *recording = data;
	const struct template_resource *on = template_find(recording->template, name);
	_cleanup_(arm_id_clear) struct arm_id id = {};

	if (on && recording->resource)
		add_dependency(recording->resource, on);
	if (on || arm_id_parse(name, &id, NULL))
		return json_incref(recording->template->scope.unknown);
	arm_fault_set(error, ARM_INVALID_TEMPLATE,
		"The resource '%s' that reference() names is not defined in the template, and is no id.",
		name);
	return NULL;
}

/* Evaluates once what is evaluated again when it is needed; resource NULL: the outputs. */
static bool rehearse(struct template *template, struct template_resource *resource, GError **error)
{
	struct recording recording = {template, resource};
	json_auto_t *value = NULL;

	template->scope.reference = record;
	template->scope.data = &recording;
	value = resource ? template_make_body(template, resource, error)
			 : template_evaluate_outputs(template, error);
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
				TEMPLATE_INVALID "the resource '%s' depends on itself in a circle.",
				((struct template_resource *)template->resources->pdata[i])->name);
	return true;
}

bool template_resolve_dependencies(struct template *template, GError **error)
{
	for (guint i = 0; i < template->resources->len; i++) {
		struct template_resource *resource = template->resources->pdata[i];
		if (resource->skipped)
			continue;
		if (!add_stated(template, resource, error) || !rehearse(template, resource, error))
			return false;
		add_parent(template, resource);
		add_batch(template, resource);
	}
	return rehearse(template, NULL, error) && check_circles(template, error);
}
