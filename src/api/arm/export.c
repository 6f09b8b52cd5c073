/* Resources as a template would say them, and a group's as the template that makes them. */
#include "api/arm/deploy.h"
#include "api/arm/expression_functions.h"

#include <string.h>

#define SCHEMA "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"

/* ---- one resource ---- */

/* Without what comes and goes by itself; tags are the user's. */
static void strip(json_t *json)
{
	static const char *const keys[] = {"etag", "provisioningState", "resourceGuid"};
	const char *key;
	json_t *value;
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(keys) && json_is_object(json); i++)
		json_object_del(json, keys[i]);
	json_object_foreach(json, key, value)
	{
		if (!g_str_equal(key, "tags"))
			strip(value);
	}
	json_array_foreach(json, i, value)
	{
		strip(value);
	}
}

json_t *arm_encode_wanted(struct arm *arm, const void *object)
{
	json_t *json = arm_encode(arm, object, ENCODE_WANTED);

	strip(json);
	return json;
}

/* ---- its template ---- */

struct export
{
	struct arm *arm; /* Borrowed */
	const struct group *group; /* Borrowed */
	json_t *resources;
	GHashTable *wanted; /* ids in small letters; NULL: all */
	GHashTable *ids; /* of what is exported, in small letters */
};

/* One on its way. */
struct exporting {
	const struct export *export;
	const char *id; /* of the resource */
	json_t *depends;
};

/* Appends ", 'text'", with its quotes doubled. */
static void append_quoted(GString *to, const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, "'", -1);
	g_autofree char *doubled = g_strjoinv("''", parts);

	g_string_append_printf(to, "%s'%s'", to->str[to->len - 1] == '(' ? "" : ", ", doubled);
}

/* "[resourceId('Microsoft.Network/virtualNetworks', 'net')]". Owned. */
static char *id_expression(const struct arm_id *id)
{
	g_autofree char *type = arm_id_type(id);
	g_autoptr(GString) text = g_string_new("[resourceId(");

	append_quoted(text, type);
	append_quoted(text, id->name);
	if (id->child_name)
		append_quoted(text, id->child_name);
	g_string_append(text, ")]");
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static bool is_of_group(const struct export *export, const struct arm_id *id)
{
	return id->name &&
	       g_ascii_strcasecmp(id->subscription, control_subscription(export->arm->control)) == 0 &&
	       g_ascii_strcasecmp(id->group, export->group->meta.name) == 0;
}

/* Waits for the resource that the id is of, or of a part of, when it is exported, too. */
static void depend(const struct exporting *exporting, const struct arm_id *id)
{
	struct arm_id whole = *id;

	whole.child = whole.child_name = NULL;
	g_autofree char *text = arm_id_format(&whole), *small = g_ascii_strdown(text, -1),
			*expression = id_expression(&whole);
	if (g_ascii_strcasecmp(text, exporting->id) == 0 ||
		!g_hash_table_contains(exporting->export->ids, small))
		return;
	for (size_t i = 0; i < json_array_size(exporting->depends); i++)
		if (g_str_equal(json_string_value(json_array_get(exporting->depends, i)), expression))
			return;
	json_array_append_new(exporting->depends, json_string(expression));
}

static json_t *convert(const struct exporting *exporting, const json_t *json);

/* A text: ids of the group become expressions, what looks like an expression stays as it is. */
static json_t *convert_text(const struct exporting *exporting, const json_t *json)
{
	_cleanup_(arm_id_clear) struct arm_id id = {};
	const char *text = json_string_value(json);

	if (*text != '/' || !arm_id_parse(text, &id, NULL) || !is_of_group(exporting->export, &id))
		return expression_escape(json);
	depend(exporting, &id);
	g_autofree char *expression = id_expression(&id);
	return json_string(expression);
}

/* Parts of a resource are called by their names: their own ids and types are left out. Tags are the user's words. */
static json_t *convert_object(const struct exporting *exporting, const json_t *object)
{
	bool part = json_is_string(json_object_get(object, "name")) &&
		    json_is_string(json_object_get(object, "id"));
	json_t *copy = json_object(), *value;
	const char *key;

	json_object_foreach((json_t *)object, key, value)
	{
		if (g_str_equal(key, "tags"))
			json_object_set_new(copy, key, expression_escape(value));
		else if (!part || (!g_str_equal(key, "id") && !g_str_equal(key, "type")))
			json_object_set_new(copy, key, convert(exporting, value));
	}
	return copy;
}

static json_t *convert(const struct exporting *exporting, const json_t *json)
{
	json_t *array, *item;
	size_t i;

	if (json_is_string(json))
		return convert_text(exporting, json);
	if (json_is_object(json))
		return convert_object(exporting, json);
	if (!json_is_array(json))
		return json_incref((json_t *)json);
	array = json_array();
	json_array_foreach((json_t *)json, i, item)
	{
		json_array_append_new(array, convert(exporting, item));
	}
	return array;
}

/* ---- the group ---- */

static void note_id(const struct arm_type *type, const struct meta *meta, const char *id, void *data)
{
	struct export *export = data;
	g_autofree char *small = g_ascii_strdown(id, -1);

	if (!export->wanted || g_hash_table_contains(export->wanted, small))
		g_hash_table_add(export->ids, g_steal_pointer(&small));
}

static void add_resource(const struct arm_type *type, const struct meta *meta, const char *id, void *data)
{
	struct export *export = data;
	g_autofree char *small = g_ascii_strdown(id, -1),
			*type_name = g_strdup_printf("%s/%s", type->namespace, type->name);
	struct exporting exporting = {export, id, json_array()};

	if (g_hash_table_contains(export->ids, small)) {
		json_auto_t *wanted = arm_encode_wanted(export->arm, meta);
		json_auto_t *body = convert(&exporting, wanted);
		json_t *resource = json_pack("{s:s, s:s, s:s}", "type", type_name, "apiVersion",
			arm_api_version(), "name", meta->name);
		if (json_array_size(exporting.depends))
			json_object_set(resource, "dependsOn", exporting.depends);
		json_object_update_missing(resource, body);
		json_array_append_new(export->resources, resource);
	}
	json_decref(exporting.depends);
}

/* "resources" of the request: ["*"], or ids. False with *error for one that is not there. */
static bool read_wanted(struct export *export, const json_t *list, GError **error)
{
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)list, i, item)
	{
		const char *text = json_string_value(item);
		_cleanup_(arm_id_clear) struct arm_id id = {};
		if (text && g_str_equal(text, "*"))
			continue;
		_cleanup_(model_free) void *object =
			arm_id_parse(text ? text : "", &id, error) ? arm_find(export->arm, &id, error) : NULL;
		if (!object)
			return false;
		if (!export->wanted)
			export->wanted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
		g_hash_table_add(export->wanted, g_ascii_strdown(text, -1));
	}
	return true;
}

static bool fill(struct export *export, const json_t *request, GError **error)
{
	g_autoptr(GHashTable) none = g_hash_table_new(g_str_hash, g_str_equal);

	return read_wanted(export, json_object_get(request, "resources"), error) &&
	       deploy_each_other(export->arm, export->group, none, note_id, export, error) &&
	       deploy_each_other(export->arm, export->group, none, add_resource, export, error);
}

static void post_export(struct call *call, void *data)
{
	struct arm *arm = data;
	GError *error = NULL;
	_cleanup_(model_free) struct group *group =
		arm_find_group(arm, call_param(call, "subscription"), call_param(call, "group"), &error);
	json_auto_t *request = group ? arm_body(call, &error) : NULL;
	g_autoptr(GHashTable) ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	struct export export = {.arm = arm, .group = group, .resources = json_array(), .ids = ids};

	if (request && fill(&export, request, &error))
		call_answer_json(call, 200,
			json_pack("{s:{s:s, s:s, s:{}, s:{}, s:O}}", "template", "$schema", SCHEMA,
				"contentVersion", "1.0.0.0", "parameters", "variables", "resources",
				export.resources));
	else
		arm_fail(call, error);
	json_decref(export.resources);
	g_clear_pointer(&export.wanted, g_hash_table_unref);
}

const struct route arm_export_routes[] = {
	{"POST", "/subscriptions/{subscription}/resourceGroups/{group}/exportTemplate", post_export},
	{},
};
