/* What a client sent and the model does not hold. */
#include "api/arm/extra.h"

#include "base/fault.h"

#include <string.h>

/* At the top of every resource: ours to say, or the template language's. */
static const char *const common[] = {"id", "name", "type", "location", "tags", "etag", "apiVersion",
	"dependsOn", "comments", "condition", "resources", "scope", "systemData", NULL};

/* In "properties" of every resource: ours to say. */
static const char *const common_properties[] = {"provisioningState", "resourceGuid", NULL};

/* Never kept, wherever they are. */
static const char *const secrets[] = {"adminPassword", "customData", "userData", "protectedSettings",
	"password", "secrets", "secureString", "unattendContent", "additionalUnattendContent", NULL};

static bool listed(const char *const *list, const char *key)
{
	for (; list && *list; list++)
		if (g_ascii_strcasecmp(*list, key) == 0)
			return true;
	return false;
}

json_t *extra_clean(const json_t *json)
{
	const char *key;
	json_t *value;
	size_t i;

	if (json_is_object(json)) {
		json_t *copy = json_object();
		json_object_foreach(
			(json_t *)json, key, value) if (!json_is_null(value) && !listed(secrets, key))
			json_object_set_new(copy, key, extra_clean(value));
		return copy;
	}
	if (json_is_array(json)) {
		json_t *copy = json_array();
		json_array_foreach(json, i, value) json_array_append_new(copy, extra_clean(value));
		return copy;
	}
	return json_deep_copy(json);
}

static void drop(json_t *object, const char *const *names)
{
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe(object, next, key, value) if (listed(names, key))
		json_object_del(object, key);
}

json_t *extra_of(const json_t *body, const char *const *owned)
{
	json_t *extra = extra_clean(body), *properties = json_object_get(extra, "properties");

	drop(extra, common);
	drop(properties, common_properties);
	drop(properties, owned);
	if (properties && json_object_size(properties) == 0)
		json_object_del(extra, "properties");
	if (json_object_size(extra) > 0)
		return extra;
	json_decref(extra);
	return NULL;
}

static bool is_empty(const json_t *json)
{
	switch (json ? json_typeof(json) : JSON_NULL) {
	case JSON_NULL:
	case JSON_FALSE: return true;
	case JSON_STRING: return json_string_length(json) == 0;
	case JSON_ARRAY: return json_array_size(json) == 0;
	case JSON_OBJECT: return json_object_size(json) == 0;
	default: return false;
	}
}

static void refuse_at(const struct cursor *at, const char *path, const char *feature)
{
	size_t length = strcspn(path, ".");
	bool each = length > 2 && path[length - 1] == ']';
	g_autofree char *key = g_strndup(path, each ? length - 2 : length);
	struct cursor to = cursor_any(at, key);

	if (each) {
		for (size_t i = 0; i < cursor_length(&to); i++) {
			struct cursor item = cursor_item(&to, i);
			refuse_at(&item, path + length + 1, feature);
		}
	} else if (path[length] == '.') {
		refuse_at(&to, path + length + 1, feature);
	} else if (!is_empty(to.json)) {
		g_autofree char *where = cursor_path(&to, NULL);
		GError *error = NULL;
		fault_set(&error, FAULT_UNSUPPORTED, "%s: %s are not supported here; leave it out.", where,
			feature);
		cursor_take_error(at, error);
	}
}

void extra_refuse(const struct cursor *body, const struct refusal *table)
{
	for (; table && table->path; table++)
		refuse_at(body, table->path, table->feature);
}
