/* Tags as a resource of their own: {resource or group}/providers/Microsoft.Resources/tags/default. */
#include "api/arm/arm_priv.h"
#include "base/fault.h"

#include <string.h>

#define ATTEMPTS       16 /* changes that lose a race with another client's */
#define ACCEPTED_SINCE "2022-09-01"

enum tag_operation { TAGS_REPLACE, TAGS_MERGE, TAGS_DELETE };
static const char *const operations[] = {
	[TAGS_REPLACE] = "Replace", [TAGS_MERGE] = "Merge", [TAGS_DELETE] = "Delete", NULL};

/* What a request wants. */
struct tags_wish {
	enum tag_operation operation;
	json_t *tags; /* Owned: an object */
};

static void tags_wish_clear(struct tags_wish *wish)
{
	json_decref(wish->tags);
}
CLEANUP_CLEAR_FUNC(struct tags_wish, tags_wish_clear)

/* Names are compared without case, values with it; value NULL or empty: any. */
static void remove_tag(json_t *tags, const char *name, const char *value)
{
	const char *key;
	json_t *its;
	void *next;

	json_object_foreach_safe(tags, next, key, its)
	{
		bool same = !value || !*value || g_strcmp0(json_string_value(its), value) == 0;
		if (same && g_ascii_strcasecmp(key, name) == 0)
			json_object_del(tags, key);
	}
}

/* New reference. */
static json_t *apply(const json_t *old, const struct tags_wish *wish)
{
	json_t *tags = old && wish->operation != TAGS_REPLACE ? json_copy((json_t *)old) : json_object();
	const char *name;
	json_t *value;

	json_object_foreach(wish->tags, name, value)
	{
		remove_tag(tags, name, wish->operation == TAGS_DELETE ? json_string_value(value) : NULL);
		if (wish->operation != TAGS_DELETE)
			json_object_set(tags, name, value);
	}
	return tags;
}

static bool decode(struct call *call, enum tag_operation fallback, struct tags_wish *ret, GError **error)
{
	json_auto_t *body = arm_body(call, error);
	g_autoptr(GError) mistake = NULL;

	if (!body)
		return false;
	struct cursor root = cursor_root(body, &mistake), properties = cursor_object(&root, "properties"),
		      tags = cursor_object(&properties, "tags");
	ret->operation = (enum tag_operation)cursor_word(&root, "operation", operations, (int)fallback);
	ret->tags = cursor_is_set(&tags) ? json_incref((json_t *)tags.json) : json_object();
	if (!mistake)
		return true;
	g_propagate_error(error, g_steal_pointer(&mistake));
	return false;
}

static void answer_tags(struct call *call, struct arm *arm, const struct meta *object)
{
	g_autofree char *of = arm_id_of_object(arm, object);
	g_autofree char *id = g_strconcat(of, "/providers/Microsoft.Resources/tags/default", NULL);
	json_t *json = json_object();

	put_text(json, "id", id);
	put_text(json, "name", "default");
	put_text(json, "type", "Microsoft.Resources/tags");
	put_json(put_object(json, "properties"), "tags",
		object->tags ? json_incref(object->tags) : json_object());
	call_answer_json(call, 200, json);
}

static void get_tags(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(arm_id_clear) struct arm_id id = {};
	GError *error = NULL;

	arm_id_of_call(call, &id);
	_cleanup_(model_free) struct meta *object = arm_find(arm, &id, &error);
	if (object)
		answer_tags(call, arm, object);
	else
		arm_fail(call, error);
}

/* From this version on clients expect that tags may take their time; older ones take 200 and nothing else for success. */
static bool knows_accepted(const struct call *call)
{
	const char *version = call_query(call, "api-version");

	return version && strcmp(version, ACCEPTED_SINCE) >= 0;
}

static void answer_changed(struct call *call, struct arm *arm, const struct operation *operation)
{
	GError *late = NULL;

	if (operation->status.state == OPERATION_SUCCEEDED) {
		get_tags(call, arm);
	} else if (operation->status.state == OPERATION_FAILED || knows_accepted(call)) {
		arm_answer_unfinished(
			call, arm, arm_type_of((enum kind)operation->spec.target_kind), operation);
	} else {
		fault_set(&late, FAULT_TIMEOUT,
			"The tags of %s are stored, but its host has not taken them yet; its "
			"provisioningState shows when it has, and what failed if it cannot.",
			operation->spec.target_name);
		arm_fail(call, late);
	}
}

static bool change_once(struct call *call, struct arm *arm, const struct arm_id *id,
	const struct tags_wish *wish, struct arm_put_result *ret, GError **error)
{
	_cleanup_(model_free) struct meta *object = arm_find(arm, id, error);

	if (!object)
		return false;
	const struct control_request request = {
		.principal = call_principal(call), .id = call_id(call), .if_revision = object->revision};
	json_auto_t *patch = json_pack("{s:o}", "tags", apply(object->tags, wish));
	return arm_patch(arm, id, patch, &request, ret, error);
}

/* Answers when hosts have it, too, or seem to take their time: until then the resource takes no other change, and clients
 * send the next one at once. */
static void change(struct call *call, struct arm *arm, const struct tags_wish *wish)
{
	_cleanup_(arm_id_clear) struct arm_id id = {};
	_cleanup_(arm_put_result_clear) struct arm_put_result put = {};
	GError *error = NULL;
	bool done = false;

	arm_id_of_call(call, &id);
	for (unsigned attempt = 1; !done; attempt++) {
		g_clear_error(&error);
		done = change_once(call, arm, &id, wish, &put, &error);
		if (!done && (attempt == ATTEMPTS || !g_error_matches(error, FAULT, FAULT_PRECONDITION)))
			break;
	}
	if (!done) {
		arm_fail(call, error);
		return;
	}
	call_set_operation(call, put.result.operation->meta.uid);
	arm_wait(call, arm, put.result.operation->meta.uid, answer_changed);
}

static void change_as_sent(struct call *call, struct arm *arm, enum tag_operation fallback)
{
	_cleanup_(tags_wish_clear) struct tags_wish wish = {};
	GError *error = NULL;

	if (decode(call, fallback, &wish, &error))
		change(call, arm, &wish);
	else
		arm_fail(call, error);
}

static void put_tags(struct call *call, void *data)
{
	change_as_sent(call, data, TAGS_REPLACE);
}

static void patch_tags(struct call *call, void *data)
{
	change_as_sent(call, data, TAGS_MERGE);
}

static void delete_tags(struct call *call, void *data)
{
	_cleanup_(tags_wish_clear) struct tags_wish none = {TAGS_REPLACE, json_object()};

	change(call, data, &none);
}

#define GROUP    "/subscriptions/{subscription}/resourceGroups/{group}"
#define RESOURCE GROUP "/providers/{namespace}/{type}/{name}"
#define TAGS     "/providers/Microsoft.Resources/tags/default"

const struct route arm_tag_routes[] = {
	{"GET", GROUP TAGS, get_tags},
	{"PUT", GROUP TAGS, put_tags},
	{"PATCH", GROUP TAGS, patch_tags},
	{"DELETE", GROUP TAGS, delete_tags},
	{"GET", RESOURCE TAGS, get_tags},
	{"PUT", RESOURCE TAGS, put_tags},
	{"PATCH", RESOURCE TAGS, patch_tags},
	{"DELETE", RESOURCE TAGS, delete_tags},
	{},
};
