/* Resource groups, and lists of resources of all types. */
#include "api/arm/arm_priv.h"
#include "api/arm/filter.h"

const struct arm_type arm_groups = {
	.namespace = "Microsoft.Resources",
	.name = "resourceGroups",
	.kind = KIND_GROUP,
};

/* What lists of mixed types show of a resource. */
static json_t *summary(struct arm *arm, const struct meta *meta)
{
	json_t *full = arm_encode(arm, meta, 0), *brief = json_object();
	static const char *const keys[] = {"id", "name", "type", "location", "tags", "sku"};

	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
		if (json_object_get(full, keys[i]))
			json_object_set(brief, keys[i], json_object_get(full, keys[i]));
	json_object_set(brief, "provisioningState",
		json_object_get(json_object_get(full, "properties"), "provisioningState"));
	put_time(brief, "createdTime", meta->created_us);
	json_decref(full);
	return brief;
}

/* Resources of one type, in one group or (NULL) in all. */
static bool append_type(struct arm *arm, const struct arm_type *type, const char *group,
	const struct filter *filter, json_t *array, GError **error)
{
	g_autoptr(GPtrArray) objects = control_list(arm->control, type->kind, group, error);

	for (guint i = 0; objects && i < objects->len; i++) {
		const struct meta *meta = objects->pdata[i];
		_cleanup_(model_free) struct meta *parent =
			filter->group ? control_get(arm->control, KIND_GROUP, meta->parent, NULL) : NULL;
		if (!model_is_inner(meta) && filter_fits(filter, meta, type, parent ? parent->name : NULL))
			json_array_append_new(array, summary(arm, meta));
	}
	return objects != NULL;
}

static void answer_inventory(struct call *call, struct arm *arm, const char *group)
{
	_cleanup_(filter_clear) struct filter filter = {};
	json_t *array = json_array();
	GError *error = NULL;
	bool good = filter_parse(call_query(call, "$filter"), &filter, &error);

	for (const struct arm_type *const *type = arm_types; good && *type; type++)
		good = append_type(arm, *type, group, &filter, array, &error);
	if (good) {
		call_answer_json(call, 200, put_list(array));
		return;
	}
	json_decref(array);
	arm_fail(call, error);
}

static void list_all(struct call *call, void *data)
{
	struct arm *arm = data;
	GError *error = NULL;

	if (arm_check_subscription(arm, call_param(call, "subscription"), &error))
		answer_inventory(call, arm, NULL);
	else
		arm_fail(call, error);
}

static void list_of_group(struct call *call, void *data)
{
	struct arm *arm = data;
	GError *error = NULL;
	_cleanup_(model_free) struct group *group =
		arm_find_group(arm, call_param(call, "subscription"), call_param(call, "group"), &error);

	if (group)
		answer_inventory(call, arm, group->meta.uid);
	else
		arm_fail(call, error);
}

const struct route arm_inventory_routes[] = {
	{"GET", "/subscriptions/{subscription}/resources", list_all},
	{"GET", "/subscriptions/{subscription}/resourceGroups/{group}/resources", list_of_group},
	{},
};
