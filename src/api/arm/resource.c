/* What all resource types share: from body to object, from object to answer, and children inside of parents.
 */
#include "api/arm/arm_priv.h"

#include <string.h>

#define CHILD_ATTEMPTS 16 /* puts of a parent that lose a race with another client's */
#define TAGS_MAX       50
#define TAG_NAME_MAX   512
#define TAG_VALUE_MAX  256

static const char *const provisioning_states[] = {[PROVISIONING_SUCCEEDED] = "Succeeded",
	[PROVISIONING_CREATING] = "Creating",
	[PROVISIONING_UPDATING] = "Updating",
	[PROVISIONING_DELETING] = "Deleting",
	[PROVISIONING_FAILED] = "Failed"};

const char *arm_provisioning_state(int state)
{
	return provisioning_states[state];
}

void arm_put_result_clear(struct arm_put_result *result)
{
	control_result_clear(&result->result);
}

/* ---- object to JSON ---- */

json_t *arm_encode(struct arm *arm, const void *object, unsigned flags)
{
	const struct meta *meta = object;
	const struct arm_type *type = arm_type_of((enum kind)meta->kind);
	json_t *answer = meta->extra ? json_deep_copy(meta->extra) : json_object(), *properties;
	const struct outcome *outcome = model_outcome((void *)object);
	g_autofree char *id = arm_id_of_object(arm, meta), *etag = arm_etag(meta);
	g_autofree char *type_name = g_strdup_printf("%s/%s", type->namespace, type->name);

	put_text(answer, "id", id);
	put_text(answer, "name", meta->name);
	put_text(answer, "type", model_is_inner(meta) ? arm_inner_type((enum kind)meta->kind) : type_name);
	put_text(answer, "location", meta->location);
	if (meta->tags)
		json_object_set(answer, "tags", meta->tags);
	if (meta->kind != KIND_GROUP)
		put_text(answer, "etag", etag);
	properties = put_object(answer, "properties");
	put_text(properties, "provisioningState", provisioning_states[outcome->state]);
	if (type->encode)
		type->encode(arm, object, flags, answer, properties);
	return answer;
}

json_t *arm_child_of(const json_t *parent, const char *list, const char *name)
{
	struct cursor properties, array;
	g_autoptr(GError) ignored = NULL;
	struct cursor root = cursor_root(parent, &ignored);
	json_t *item;
	size_t i;

	properties = cursor_object(&root, "properties");
	array = cursor_any(&properties, list);
	if (!name)
		return json_is_array(array.json) ? (json_t *)array.json : NULL;
	json_array_foreach(array.json, i, item)
	{
		const char *its = json_string_value(json_object_get(item, "name"));
		if (its && g_ascii_strcasecmp(its, name) == 0)
			return item;
	}
	return NULL;
}

/* ---- JSON to object ---- */

static json_t *decode_tags(const struct cursor *body)
{
	struct cursor tags = cursor_object(body, "tags");
	json_t *value, *copy;
	const char *key;

	if (!cursor_is_set(&tags))
		return NULL;
	if (json_object_size(tags.json) > TAGS_MAX)
		cursor_fail(body, "tags", "a resource can have %d tags at most", TAGS_MAX);
	copy = json_object();
	json_object_foreach((json_t *)tags.json, key, value)
	{
		if (json_is_null(value))
			continue;
		if (!json_is_string(value))
			cursor_fail(&tags, key, "a string is needed");
		else if (strlen(key) > TAG_NAME_MAX || json_string_length(value) > TAG_VALUE_MAX)
			cursor_fail(&tags, key, "a tag's name has %d and its value %d characters at most",
				TAG_NAME_MAX, TAG_VALUE_MAX);
		json_object_set(copy, key, value);
	}
	return copy;
}

/* What a body without properties does not speak of. */
static void keep(struct meta *wanted, const struct meta *old, const struct cursor *body)
{
	struct cursor tags = cursor_object(body, "tags");

	json_decref(wanted->extra);
	wanted->extra = json_incref(old->extra);
	if (!cursor_is_set(&tags))
		wanted->tags = json_incref(old->tags);
}

/* A fresh object with what the body wants; NULL with *error. */
static void *decode(struct arm *arm, const struct arm_type *type, const char *name, const char *parent,
	const json_t *json, const void *old, GError **error)
{
	GError *failure = NULL;
	struct cursor body = cursor_root(json, &failure), properties = cursor_object(&body, "properties");
	_cleanup_(model_free) struct meta *wanted = model_new(type->kind, name, parent);

	wanted->location = cursor_need(&body, "location");
	wanted->tags = decode_tags(&body);
	extra_refuse(&body, type->refused);
	if (type->decode)
		type->decode(arm, &body, old, wanted);
	if (failure) {
		g_propagate_error(error, failure);
		return NULL;
	}
	wanted->extra = extra_of(json, type->owned);
	if (type->keeps && old && !cursor_is_set(&properties))
		keep(wanted, old, &body);
	if (!arm_location(arm, type, wanted->location, error))
		return NULL;
	return g_steal_pointer(&wanted);
}

static bool put_resource(struct arm *arm, const struct arm_type *type, const char *parent, const char *name,
	const json_t *json, const struct control_request *request, struct arm_put_result *ret, GError **error)
{
	g_autoptr(GError) failure = NULL;
	_cleanup_(model_free) void *old = control_find(arm->control, type->kind, parent, name, &failure);
	_cleanup_(model_free) void *wanted = NULL;

	if (failure) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	wanted = decode(arm, type, name, parent, json, old, error);
	if (!wanted || !control_put(arm->control, wanted, request, &ret->result, error))
		return false;
	ret->created = ret->result.created;
	return true;
}

/* ---- children ---- */

static const char *element_name(const struct arm_child *child, const void *element)
{
	return *(char *const *)((const char *)element + child->element_name);
}

static void *decode_element(struct arm *arm, const struct arm_child *child, const void *parent,
	const char *name, const json_t *json, GError **error)
{
	GError *failure = NULL;
	struct cursor body = cursor_root(json, &failure);
	void *element = shape_new(child->shape);
	char **at = (char **)((char *)element + child->element_name);

	child->decode(arm, &body, parent, element);
	g_free(*at);
	*at = g_strdup(name);
	if (!failure)
		return element;
	g_propagate_error(error, failure);
	shape_free(child->shape, element);
	return NULL;
}

/* Replaces, adds or (element NULL) removes the one that has the name. Takes the element. */
static bool change_list(const struct arm_child *child, GPtrArray **list, const char *name, void *element)
{
	guint index = 0;

	if (!*list)
		*list = shape_list_new(child->shape);
	while (index < (*list)->len &&
		g_ascii_strcasecmp(element_name(child, (*list)->pdata[index]), name) != 0)
		index++;
	bool found = index < (*list)->len;
	if (found)
		g_ptr_array_remove_index(*list, index);
	if (element)
		g_ptr_array_insert(*list, (gint)index, element);
	return found;
}

/* One attempt; FAULT_PRECONDITION when the parent changed meanwhile. json NULL: remove. */
static bool try_child(struct arm *arm, const struct arm_id *id, const json_t *json,
	const struct control_request *request, struct arm_put_result *ret, GError **error)
{
	_cleanup_(model_free) struct meta *parent = arm_find(arm, id, error);
	const struct arm_type *type = parent ? arm_type_of((enum kind)parent->kind) : NULL;
	const struct arm_child *child = type ? arm_child_find(type, id->child, error) : NULL;
	struct control_request of_parent = *request;
	void *element = NULL;
	bool existed;

	if (!child)
		return false;
	if (json) {
		element = decode_element(arm, child, parent, id->child_name, json, error);
		if (!element)
			return false;
	}
	existed = change_list(child, child->list(parent), id->child_name, element);
	if (request->if_none && existed)
		return fault_set(
			error, FAULT_PRECONDITION, "%s %s exists already.", id->child, id->child_name);
	of_parent.if_none = false;
	if (!of_parent.if_revision)
		of_parent.if_revision = parent->revision;
	ret->created = !existed;
	if (!json && !existed)
		return true; /* nothing to remove */
	return control_put(arm->control, parent, &of_parent, &ret->result, error);
}

bool arm_put_child(struct arm *arm, const struct arm_id *id, const json_t *json,
	const struct control_request *request, struct arm_put_result *ret, GError **error)
{
	for (unsigned attempt = 1;; attempt++) {
		g_autoptr(GError) failure = NULL;
		if (try_child(arm, id, json, request, ret, &failure))
			return true;
		if (!g_error_matches(failure, FAULT, FAULT_PRECONDITION) || request->if_revision ||
			request->if_none || attempt == CHILD_ATTEMPTS) {
			g_propagate_error(error, g_steal_pointer(&failure));
			return false;
		}
	}
}

bool arm_put(struct arm *arm, const struct arm_id *id, const json_t *body,
	const struct control_request *request, struct arm_put_result *ret, GError **error)
{
	const char *subscription = control_subscription(arm->control);
	_cleanup_(model_free) struct group *group = NULL;
	const struct arm_type *type;

	if (id->child_name)
		return arm_put_child(arm, id, body, request, ret, error);
	if (!id->name)
		return arm_check_subscription(arm, id->subscription, error) &&
		       put_resource(arm, &arm_groups, subscription, id->group, body, request, ret, error);
	group = arm_find_group(arm, id->subscription, id->group, error);
	type = group ? arm_type_find(id->namespace, id->type, error) : NULL;
	return type && put_resource(arm, type, group->meta.uid, id->name, body, request, ret, error);
}
