/* Complete mode: what is in the group and not in the template goes, once all of the template is there.
 *
 * How it works. What goes is listed once, behind the template's resources in the record, so that a program that begins
 * anew goes on with the same list. All of it is deleted as soon as the control plane lets it: what is in use by
 * something else is refused, and tried again when more is gone. When nothing is on its way any more and some are still
 * in use, these fail by their names.
 *
 * Safe side: nothing is deleted before everything else has succeeded; a parent stays when one of its children is in
 * the template; what a deployment inside of this one has deployed stays; deployments stay.
 */
#include "api/arm/deploy_priv.h"

#include <string.h>

#define INNER_MAX 8 /* deployments inside each other that are looked into */

/* ---- what stays ---- */

void deploy_keep(GHashTable *kept, const char *id_text)
{
	_cleanup_(arm_id_clear) struct arm_id id = {};

	g_hash_table_add(kept, g_ascii_strdown(id_text, -1));
	if (!arm_id_parse(id_text, &id, NULL) || !id.child)
		return;
	g_clear_pointer(&id.child, g_free);
	g_clear_pointer(&id.child_name, g_free);
	g_autofree char *parent = arm_id_format(&id);
	g_hash_table_add(kept, g_ascii_strdown(parent, -1));
}

static void keep_deployed(
	struct arm *arm, const struct deployment *deployment, GHashTable *kept, unsigned depth)
{
	for (guint i = 0; i < list_length(deployment->status.resources); i++) {
		const struct deployment_resource *record = deployment->status.resources->pdata[i];
		_cleanup_(arm_id_clear) struct arm_id id = {};
		if (!record->id || record->removed)
			continue;
		deploy_keep(kept, record->id);
		if (depth == INNER_MAX || g_ascii_strcasecmp(record->type, DEPLOY_TYPE) != 0 ||
			!arm_id_parse(record->id, &id, NULL))
			continue;
		_cleanup_(model_free) struct group *group =
			arm_find_group(arm, id.subscription, id.group, NULL);
		_cleanup_(model_free) struct deployment *inner =
			group ? control_find(arm->control, KIND_DEPLOYMENT, group->meta.uid, id.name, NULL)
			      : NULL;
		if (inner)
			keep_deployed(arm, inner, kept, depth + 1);
	}
}

/* ---- what goes ---- */

static void add_removal(const struct arm_type *type, const struct meta *meta, const char *id, void *data)
{
	struct deploying *deploying = data;
	struct deployment_resource *record = shape_new(&deployment_resource_shape);

	record->type = g_strdup_printf("%s/%s", type->namespace, type->name);
	record->name = g_strdup(meta->name);
	record->id = g_strdup(id);
	record->state = PROVISIONING_DELETING;
	record->removed = true;
	g_ptr_array_add(deploying->deployment->status.resources, record);
	deploying->changed = true;
}

bool deploy_each_other(struct arm *arm, const struct group *group, GHashTable *ids, deploy_other_fn fn,
	void *data, GError **error)
{
	for (const struct arm_type *const *type = arm_types; *type; type++) {
		g_autoptr(GPtrArray) objects =
			control_list(arm->control, (*type)->kind, group->meta.uid, error);
		if (!objects)
			return false;
		for (guint i = 0; i < objects->len; i++) {
			const struct meta *meta = objects->pdata[i];
			g_autofree char *id = arm_id_of_object(arm, meta),
					*small = id ? g_ascii_strdown(id, -1) : NULL;
			if (id && !g_hash_table_contains(ids, small) &&
				!control_is_of_instance(arm->control, meta))
				fn(*type, meta, id, data);
		}
	}
	return true;
}

static bool list_removals(struct deploying *deploying, GError **error)
{
	g_autoptr(GHashTable) kept = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	keep_deployed(deploying->arm, deploying->deployment, kept, 0);
	return deploy_each_other(deploying->arm, deploying->group, kept, add_removal, deploying, error);
}

/* ---- steps ---- */

/* last: nothing else is on its way, so that what is in use stays so. *ret_busy is set when it must be tried again. */
static void remove_one(
	struct deploying *deploying, struct deployment_resource *record, bool last, bool *ret_busy)
{
	const struct control_request request = control_request_after(deploying->operation);
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(arm_id_clear) struct arm_id id = {};
	g_autoptr(GError) failure = NULL;
	_cleanup_(model_free) struct meta *object =
		arm_id_parse(record->id, &id, &failure) ? arm_find(deploying->arm, &id, &failure) : NULL;

	if (object && control_delete(deploying->arm->control, (enum kind)object->kind, object->uid, &request,
			      &result, &failure)) {
		deploying_begun(deploying, record, result.operation);
	} else if (fault_code(failure) == FAULT_NOT_FOUND) {
		record->state = PROVISIONING_SUCCEEDED;
		deploying->changed = true;
	} else if (deploying_is_passing(failure)) {
		*ret_busy = true;
	} else if (last || fault_code(failure) != FAULT_IN_USE) {
		deploying_set_failed(deploying, record, failure);
	}
}

/* One look at all that goes. *ret_busy: something is on its way; *ret_progress: something is gone. */
static bool look_at_all(
	struct deploying *deploying, bool last, bool *ret_busy, bool *ret_progress, GError **error)
{
	const GPtrArray *records = deploying->deployment->status.resources;

	*ret_busy = *ret_progress = false;
	for (guint i = deploying->template->resources->len; i < records->len; i++) {
		struct deployment_resource *record = records->pdata[i];
		if (record->state != PROVISIONING_DELETING)
			continue;
		if (!record->operation)
			remove_one(deploying, record, last, ret_busy);
		else if (!deploying_follow(deploying, record, error))
			return false;
		*ret_busy = *ret_busy || (record->state == PROVISIONING_DELETING && record->operation);
		*ret_progress = *ret_progress || record->state != PROVISIONING_DELETING;
	}
	return true;
}

bool deploying_sweep(struct deploying *deploying, GError **error)
{
	bool busy, progress,
		listed = deploying->deployment->status.resources->len > deploying->template->resources->len;

	if (!listed && !list_removals(deploying, error))
		return false;
	do {
		if (!look_at_all(deploying, false, &busy, &progress, error))
			return false;
	} while (progress);
	return busy || look_at_all(deploying, true, &busy, &progress, error);
}
