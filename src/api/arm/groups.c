/* Resource groups, and lists of resources of all types. */
#include "api/arm/arm_priv.h"
#include "api/arm/filter.h"

#include <string.h>

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

/* A list of all types, one after another. */
struct inventory {
	struct arm *arm; /* Borrowed */
	const struct arm_type *type; /* that is looked at */
	struct filter filter;
	json_t *array;
};

static bool take(const void *object, void *data)
{
	struct inventory *inventory = data;
	const struct meta *meta = object;

	if (model_is_inner(meta))
		return false;
	_cleanup_(model_free) struct meta *parent =
		inventory->filter.group ? control_get(inventory->arm->control, KIND_GROUP, meta->parent, NULL)
					: NULL;
	return filter_fits(&inventory->filter, meta, inventory->type, parent ? parent->name : NULL) &&
	       json_array_append_new(inventory->array, summary(inventory->arm, meta)) == 0;
}

/* A page of all types says behind which type's which element it ends: "TYPE:POSITION". The type where it goes on, whose
 * position alone is left in page->after. */
static const struct arm_type *const *begin_at(struct page *page)
{
	const char *colon = page->after ? strchr(page->after, ':') : NULL;
	const struct arm_type *const *type = arm_types;

	if (!colon)
		return type;
	while (*type && (strlen((*type)->name) != (size_t)(colon - page->after) ||
				!g_str_has_prefix(page->after, (*type)->name)))
		type++;
	char *position = colon[1] ? g_strdup(colon + 1) : NULL;
	g_free(page->after);
	page->after = position;
	return type;
}

static bool fill(struct inventory *inventory, struct page *page, const char *group, GError **error)
{
	for (const struct arm_type *const *type = begin_at(page); *type; type++) {
		inventory->type = *type;
		if (page_is_full(page)) {
			page->next = g_strdup_printf("%s:", (*type)->name);
			return true;
		}
		if (!page_walk(page, inventory->arm->control, (*type)->kind, group, take, inventory, error))
			return false;
		if (page->next) {
			g_autofree char *position = g_steal_pointer(&page->next);
			page->next = g_strdup_printf("%s:%s", (*type)->name, position);
			return true;
		}
		g_clear_pointer(&page->after, g_free);
	}
	return true;
}

/* In one group or (NULL) in all. */
static void answer_inventory(struct call *call, struct arm *arm, const char *group)
{
	_cleanup_(page_clear) struct page page = {};
	struct inventory inventory = {.arm = arm, .array = json_array()};
	GError *error = NULL;

	if (filter_of_call(arm, call, &inventory.filter, &error) && page_of_call(call, &page, &error) &&
		fill(&inventory, &page, group, &error))
		arm_answer_page(call, &page, json_incref(inventory.array));
	else
		arm_fail(call, error);
	json_decref(inventory.array);
	filter_clear(&inventory.filter);
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
