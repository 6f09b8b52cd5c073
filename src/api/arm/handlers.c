/* The REST methods on resources, whatever their type. */
#include "api/arm/arm_priv.h"
#include "api/arm/filter.h"

#define PATCH_ATTEMPTS 16

/* ---- GET ---- */

unsigned arm_expand_of(const struct call *call)
{
	const char *expand = call_query(call, "$expand");

	return expand && g_ascii_strcasecmp(expand, "instanceView") == 0 ? ENCODE_INSTANCE_VIEW : 0;
}

void arm_answer_page(struct call *call, const struct page *page, json_t *array)
{
	call_answer_json(call, 200, page_encode(page, call, "value", array));
}

void arm_answer_read(struct call *call, const struct meta *meta, json_t *json)
{
	g_autofree char *etag = arm_etag(meta);
	const char *have = call_header(call, "If-None-Match");

	call_set_header(call, "ETag", etag);
	if (have && g_str_equal(have, etag)) {
		json_decref(json);
		call_answer(call, 304);
		return;
	}
	call_answer_json(call, 200, json);
}

static void get_resource(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(arm_id_clear) struct arm_id id = {};
	GError *error = NULL;

	arm_id_of_call(call, &id);
	_cleanup_(model_free) void *object = arm_find(arm, &id, &error);
	if (!object)
		arm_fail(call, error);
	else
		arm_answer_read(call, object, arm_encode(arm, object, arm_expand_of(call)));
}

static void head_resource(struct call *call, void *data)
{
	_cleanup_(arm_id_clear) struct arm_id id = {};
	GError *error = NULL;

	arm_id_of_call(call, &id);
	_cleanup_(model_free) void *object = arm_find(data, &id, &error);
	if (!object)
		arm_fail(call, error);
	else
		call_answer(call, 204);
}

/* A list inside of the resource, or one of its views. */
static void get_inner(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(arm_id_clear) struct arm_id id = {};
	_cleanup_(page_clear) struct page page = {};
	GError *error = NULL;
	json_t *list;

	arm_id_of_call(call, &id);
	_cleanup_(model_free) struct meta *object =
		filter_is_absent(call, &error) && page_of_call(call, &page, &error)
			? arm_find(arm, &id, &error)
			: NULL;
	if (!object) {
		arm_fail(call, error);
		return;
	}
	const struct arm_type *type = arm_type_of((enum kind)object->kind);
	for (const struct arm_view *view = type->views; view && view->name; view++)
		if (g_ascii_strcasecmp(view->name, id.child) == 0) {
			call_answer_json(call, 200, view->encode(arm, object));
			return;
		}
	json_t *json = arm_encode(arm, object, 0);
	list = arm_child_of(json, id.child, NULL);
	if (list) {
		arm_answer_page(call, &page, page_cut(&page, json_incref(list), page_key_name));
	} else {
		arm_fault_set(&error, ARM_INVALID_TYPE, "The resource type '%s/%s/%s' is not supported.",
			type->namespace, type->name, id.child);
		arm_fail(call, error);
	}
	json_decref(json);
}

static void get_child(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(arm_id_clear) struct arm_id id = {};
	GError *error = NULL;

	arm_id_of_call(call, &id);
	_cleanup_(model_free) struct meta *object = arm_find(arm, &id, &error);
	if (!object) {
		arm_fail(call, error);
		return;
	}
	json_t *json = arm_encode(arm, object, 0), *child = arm_child_of(json, id.child, id.child_name);
	if (child) {
		arm_answer_read(call, object, json_incref(child));
	} else {
		fault_set(&error, FAULT_NOT_FOUND,
			"The Resource '%s/%s/%s/%s/%s' under resource group '%s' was not found.",
			id.namespace, id.type, id.name, id.child, id.child_name, id.group);
		arm_fail(call, error);
	}
	json_decref(json);
}

/* A list that is on its way. */
struct listing {
	struct arm *arm; /* Borrowed */
	const struct arm_type *type;
	struct filter filter;
	unsigned flags; /* enum encode_flags */
	json_t *array;
};

static bool take(const void *object, void *data)
{
	struct listing *listing = data;

	return !model_is_inner(object) && filter_fits(&listing->filter, object, listing->type, NULL) &&
	       json_array_append_new(listing->array, arm_encode(listing->arm, object, listing->flags)) == 0;
}

static void answer_list(struct call *call, struct arm *arm, const struct arm_type *type, const char *parent)
{
	_cleanup_(page_clear) struct page page = {};
	struct listing listing = {
		.arm = arm, .type = type, .flags = arm_expand_of(call), .array = json_array()};
	GError *error = NULL;

	if (filter_of_call(arm, call, &listing.filter, &error) && page_of_call(call, &page, &error) &&
		page_walk(&page, arm->control, type->kind, parent, take, &listing, &error))
		arm_answer_page(call, &page, json_incref(listing.array));
	else
		arm_fail(call, error);
	json_decref(listing.array);
	filter_clear(&listing.filter);
}

static void list_in_group(struct call *call, void *data)
{
	struct arm *arm = data;
	GError *error = NULL;
	_cleanup_(model_free) struct group *group =
		arm_find_group(arm, call_param(call, "subscription"), call_param(call, "group"), &error);
	const struct arm_type *type =
		group ? arm_type_find(call_param(call, "namespace"), call_param(call, "type"), &error) : NULL;

	if (type)
		answer_list(call, arm, type, group->meta.uid);
	else
		arm_fail(call, error);
}

static void list_in_subscription(struct call *call, void *data)
{
	struct arm *arm = data;
	GError *error = NULL;
	const struct arm_type *type = NULL;

	if (arm_check_subscription(arm, call_param(call, "subscription"), &error))
		type = arm_type_find(call_param(call, "namespace"), call_param(call, "type"), &error);
	if (type)
		answer_list(call, arm, type, NULL);
	else
		arm_fail(call, error);
}

static void list_groups(struct call *call, void *data)
{
	struct arm *arm = data;
	GError *error = NULL;

	if (arm_check_subscription(arm, call_param(call, "subscription"), &error))
		answer_list(call, arm, &arm_groups, control_subscription(arm->control));
	else
		arm_fail(call, error);
}

/* ---- PUT and PATCH ---- */

static void answer_changed(
	struct call *call, struct arm *arm, const struct arm_id *id, const struct arm_put_result *put)
{
	const struct meta *meta = put->result.object;
	g_autofree char *etag = arm_etag(meta);
	json_t *json = arm_encode(arm, meta, 0), *body = json;

	if (id->child_name)
		body = arm_child_of(json, id->child, id->child_name);
	call_set_header(call, "ETag", etag);
	arm_answer_put(
		call, arm, arm_type_of((enum kind)meta->kind), put->created, &put->result, json_incref(body));
	json_decref(json);
}

/* "If-Match: *" wants the resource to be there, whatever its version. */
static bool check_exists(struct call *call, struct arm *arm, const struct arm_id *id, GError **error)
{
	const char *match = call_header(call, "If-Match");

	if (!match || !g_str_equal(match, "*"))
		return true;
	_cleanup_(model_free) struct meta *object = arm_find(arm, id, NULL);
	json_t *json = object && id->child_name ? arm_encode(arm, object, 0) : NULL;
	bool exists = object && (!id->child_name || arm_child_of(json, id->child, id->child_name));
	json_decref(json);
	return exists ||
	       fault_set(error, FAULT_PRECONDITION, "There is no %s to replace, and If-Match was given.",
		       id->child_name ? id->child_name
		       : id->name     ? id->name
				      : id->group);
}

static void put_handler(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(arm_id_clear) struct arm_id id = {};
	_cleanup_(arm_put_result_clear) struct arm_put_result put = {};
	struct control_request request;
	GError *error = NULL;
	json_t *body = arm_body(call, &error);

	arm_id_of_call(call, &id);
	if (body && arm_request_of(call, &request, &error) && check_exists(call, arm, &id, &error) &&
		arm_put(arm, &id, body, &request, &put, &error))
		answer_changed(call, arm, &id, &put);
	else
		arm_fail(call, error);
	json_decref(body);
}

/* RFC 7396, but a resource's tags are replaced as a whole, as ARM does. */
static void merge(json_t *into, const json_t *patch)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)patch, key, value)
	{
		json_t *there = json_object_get(into, key);
		if (json_is_null(value))
			json_object_del(into, key);
		else if (json_is_object(value) && json_is_object(there) && !g_str_equal(key, "tags"))
			merge(there, value);
		else
			json_object_set(into, key, value);
	}
}

bool arm_patch(struct arm *arm, const struct arm_id *id, const json_t *patch,
	const struct control_request *request, struct arm_put_result *ret, GError **error)
{
	_cleanup_(model_free) struct meta *object = arm_find(arm, id, error);
	struct control_request of_now = *request;
	bool done;

	if (!object)
		return false;
	if (!of_now.if_revision)
		of_now.if_revision = object->revision;
	json_t *json = arm_encode(arm, object, 0);
	merge(json, patch);
	done = arm_put(arm, id, json, &of_now, ret, error);
	json_decref(json);
	return done;
}

static void patch_handler(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(arm_id_clear) struct arm_id id = {};
	_cleanup_(arm_put_result_clear) struct arm_put_result put = {};
	struct control_request request;
	GError *error = NULL;
	json_t *body = arm_body(call, &error);
	bool done = false;

	arm_id_of_call(call, &id);
	if (!body || !arm_request_of(call, &request, &error)) {
		json_decref(body);
		arm_fail(call, error);
		return;
	}
	for (unsigned attempt = 1; !done; attempt++) {
		g_clear_error(&error);
		done = arm_patch(arm, &id, body, &request, &put, &error);
		if (!done && (!g_error_matches(error, FAULT, FAULT_PRECONDITION) || request.if_revision ||
				     attempt == PATCH_ATTEMPTS))
			break;
	}
	if (done)
		answer_changed(call, arm, &id, &put);
	else
		arm_fail(call, error);
	json_decref(body);
}

/* ---- DELETE and actions ---- */

/* A resource that is not there is deleted already: 204. A group must exist. */
static void delete_handler(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(arm_id_clear) struct arm_id id = {};
	_cleanup_(control_result_clear) struct control_result result = {};
	struct control_request request;
	GError *error = NULL;

	arm_id_of_call(call, &id);
	_cleanup_(model_free) struct meta *object = arm_find(arm, &id, &error);
	if (!object && g_error_matches(error, FAULT, FAULT_NOT_FOUND) && !call_header(call, "If-Match")) {
		g_error_free(error);
		call_answer(call, 204);
	} else if (object && arm_request_of(call, &request, &error) &&
		   control_delete(
			   arm->control, (enum kind)object->kind, object->uid, &request, &result, &error)) {
		arm_answer_accepted(call, arm, arm_type_of((enum kind)object->kind), &result);
	} else {
		arm_fail(call, error);
	}
}

static void delete_child(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(arm_id_clear) struct arm_id id = {};
	_cleanup_(arm_put_result_clear) struct arm_put_result put = {};
	struct control_request request;
	GError *error = NULL;

	arm_id_of_call(call, &id);
	if (!arm_request_of(call, &request, &error) || !arm_put_child(arm, &id, NULL, &request, &put, &error))
		arm_fail(call, error);
	else if (!put.result.operation)
		call_answer(call, 204);
	else
		arm_answer_accepted(call, arm,
			arm_type_of((enum kind)((struct meta *)put.result.object)->kind), &put.result);
}

const struct arm_action *arm_action_find(
	const struct call *call, const struct arm_type *type, const char *name, GError **error)
{
	const char *hibernate = call_query(call, "hibernate");

	if (hibernate && g_ascii_strcasecmp(hibernate, "true") == 0) {
		fault_set(error, FAULT_UNSUPPORTED, "A %s cannot hibernate; deallocate it without.",
			kind_info(type->kind)->title);
		return NULL;
	}
	for (const struct arm_action *action = type->actions; action && action->name; action++)
		if (g_ascii_strcasecmp(action->name, name) == 0)
			return action;
	fault_set(error, FAULT_UNSUPPORTED, "'%s' is not supported on a %s.", name,
		kind_info(type->kind)->title);
	return NULL;
}

/* NULL when the type has none of that name. */
static const struct arm_report *find_report(const struct arm_type *type, const char *name)
{
	for (const struct arm_report *report = type->reports; report && report->name; report++)
		if (g_ascii_strcasecmp(report->name, name) == 0)
			return report;
	return NULL;
}

static void answer_report(
	struct call *call, struct arm *arm, const struct arm_report *report, const struct meta *object)
{
	GError *error = NULL;
	json_t *json = report->encode(arm, object, &error);

	if (json)
		call_answer_json(call, 200, json);
	else
		arm_fail(call, error);
}

static void post_action(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(arm_id_clear) struct arm_id id = {};
	_cleanup_(control_result_clear) struct control_result result = {};
	const struct control_request request = {.principal = call_principal(call), .id = call_id(call)};
	GError *error = NULL;

	arm_id_of_call(call, &id);
	_cleanup_(model_free) struct meta *object = arm_find(arm, &id, &error);
	const struct arm_type *type = object ? arm_type_of((enum kind)object->kind) : NULL;
	const struct arm_report *report = type ? find_report(type, id.child) : NULL;
	if (report) {
		answer_report(call, arm, report, object);
		return;
	}
	const struct arm_action *action = type ? arm_action_find(call, type, id.child, &error) : NULL;
	if (action && control_vm_action(arm->control, object->uid, action->verb, &request, &result, &error))
		arm_answer_accepted(call, arm, type, &result);
	else
		arm_fail(call, error);
}

#define SUBSCRIPTION "/subscriptions/{subscription}"
#define GROUP        SUBSCRIPTION "/resourceGroups/{group}"
#define TYPE         "/providers/{namespace}/{type}"

const struct route arm_resource_routes[] = {
	{"GET", SUBSCRIPTION "/resourceGroups", list_groups},
	{"GET", GROUP, get_resource},
	{"HEAD", GROUP, head_resource},
	{"PUT", GROUP, put_handler},
	{"PATCH", GROUP, patch_handler},
	{"DELETE", GROUP, delete_handler},
	{"GET", SUBSCRIPTION TYPE, list_in_subscription},
	{"GET", GROUP TYPE, list_in_group},
	{"GET", GROUP TYPE "/{name}", get_resource},
	{"HEAD", GROUP TYPE "/{name}", head_resource},
	{"PUT", GROUP TYPE "/{name}", put_handler},
	{"PATCH", GROUP TYPE "/{name}", patch_handler},
	{"DELETE", GROUP TYPE "/{name}", delete_handler},
	{"GET", GROUP TYPE "/{name}/{child}", get_inner},
	{"POST", GROUP TYPE "/{name}/{child}", post_action},
	{"GET", GROUP TYPE "/{name}/{child}/{child_name}", get_child},
	{"PUT", GROUP TYPE "/{name}/{child}/{child_name}", put_handler},
	{"DELETE", GROUP TYPE "/{name}/{child}/{child_name}", delete_child},
	{},
};
