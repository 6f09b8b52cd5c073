/* What a deployment does with one resource: looks it up, puts it. A deployment inside of it is one too. */
#include "api/arm/deploy_priv.h"

#include <string.h>

static bool is_deployment(const struct arm_id *id)
{
	return id->name && !id->child && g_ascii_strcasecmp(id->namespace, "Microsoft.Resources") == 0 &&
	       g_ascii_strcasecmp(id->type, "deployments") == 0;
}

/* FAULT_NOT_FOUND. */
static struct deployment *find_deployment(
	struct arm *arm, const struct arm_id *id, struct group **ret_group, GError **error)
{
	g_autoptr(GError) failure = NULL;
	struct deployment *found;

	*ret_group = arm_find_group(arm, id->subscription, id->group, error);
	if (!*ret_group)
		return NULL;
	found = control_find(arm->control, KIND_DEPLOYMENT, (*ret_group)->meta.uid, id->name, &failure);
	if (failure)
		g_propagate_error(error, g_steal_pointer(&failure));
	else if (!found)
		fault_set(error, FAULT_NOT_FOUND, "Deployment '%s' could not be found.", id->name);
	return found;
}

static json_t *look_up_deployment(struct arm *arm, const struct arm_id *id, GError **error)
{
	_cleanup_(model_free) struct group *group = NULL;
	_cleanup_(model_free) struct deployment *deployment = find_deployment(arm, id, &group, error);

	return deployment ? deploy_encode(arm, group, deployment, NULL) : NULL;
}

json_t *deploying_look_up(const struct arm_id *id, void *data, GError **error)
{
	struct arm *arm = data;
	json_t *child;

	if (is_deployment(id))
		return look_up_deployment(arm, id, error);
	_cleanup_(model_free) void *object = arm_find(arm, id, error);
	json_auto_t *json = object ? arm_encode(arm, object, ENCODE_INSTANCE_VIEW) : NULL;
	if (!json || !id->child_name)
		return g_steal_pointer(&json);
	child = arm_child_of(json, id->child, id->child_name);
	if (!child)
		fault_set(error, FAULT_NOT_FOUND, "The resource '%s/%s' of %s was not found.", id->child,
			id->child_name, id->name);
	return json_incref(child);
}

/* ---- deployments inside of this one ---- */

/* One of its name runs. With the same template it is what was asked for, as where the program ended between the put and its
 * record: it is waited for and put again, and is a part of this deployment from then on, whoever began it. Any other keeps
 * ours from ever starting: it may be the one that this is a part of. */
static void wait_or_fail(struct deploying *deploying, struct deployment_resource *record,
	const struct arm_id *id, const struct deployment *wanted)
{
	_cleanup_(model_free) struct group *group = NULL;
	g_autoptr(GError) failure = NULL;
	_cleanup_(model_free) struct deployment *there =
		find_deployment(deploying->arm, id, &group, &failure);

	if (!there)
		return;
	if (!json_equal(there->spec.template, wanted->spec.template)) {
		arm_fault_set(&failure, ARM_DEPLOYMENT_ACTIVE,
			"Another deployment '%s' is running in that group; give this one another name.",
			id->name);
		deploying_set_failed(deploying, record, failure);
	}
}

static void start_deployment(struct deploying *deploying, const struct arm_id *id, const json_t *body,
	struct deployment_resource *record)
{
	const struct control_request request = control_request_after(deploying->operation);
	struct arm *arm = deploying->arm;
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct group *group = NULL;
	_cleanup_(model_free) struct deployment *wanted = NULL;
	g_autoptr(GError) failure = NULL;

	group = arm_find_group(arm, id->subscription, id->group, &failure);
	wanted = group ? deploy_decode(body, id->name, group, &failure) : NULL;
	if (wanted)
		wanted->spec.within = g_strdup(deploying->operation->meta.uid);
	if (wanted && control_put(arm->control, wanted, &request, &result, &failure)) {
		deploying_begun(deploying, record, result.operation);
		deploy_forget_oldest(arm, group, &result);
	} else if (wanted && fault_code(failure) == FAULT_BUSY &&
		   group->status.outcome.state != PROVISIONING_DELETING) {
		wait_or_fail(deploying, record, id, wanted);
	} else if (!deploying_is_passing(failure)) {
		deploying_set_failed(deploying, record, failure);
	}
}

bool deploy_is_running(const struct deployment *deployment)
{
	int state = deployment->status.outcome.state;

	return state == PROVISIONING_CREATING || state == PROVISIONING_UPDATING;
}

bool deploy_cancel(struct arm *arm, struct deployment *deployment, GError **error)
{
	if (!deploy_is_running(deployment))
		return fault_set(error, FAULT_NOT_ALLOWED,
			"Deployment '%s' does not run, so it cannot be cancelled.", deployment->meta.name);
	deployment->status.cancelled = deployment->meta.generation;
	return control_store(arm->control, deployment, error);
}

bool deploying_cancel_inner(struct deploying *deploying, GError **error)
{
	for (guint i = 0; i < deploying->template->resources->len; i++) {
		const struct template_resource *resource = deploying->template->resources->pdata[i];
		const struct deployment_resource *record = deploying_record(deploying, i);
		_cleanup_(model_free) struct group *group = NULL;
		g_autoptr(GError) ignored = NULL;
		if (!resource->deployment || !record->operation || record->state != PROVISIONING_CREATING)
			continue;
		_cleanup_(model_free) struct deployment *inner =
			find_deployment(deploying->arm, &resource->id, &group, &ignored);
		if (inner && deploy_is_running(inner) && !deploy_cancel(deploying->arm, inner, error))
			return false;
	}
	return true;
}

/* ---- putting ---- */

void deploying_start(struct deploying *deploying, guint index)
{
	const struct template_resource *resource = deploying->template->resources->pdata[index];
	struct deployment_resource *record = deploying_record(deploying, index);
	const struct control_request request = control_request_after(deploying->operation);
	_cleanup_(arm_put_result_clear) struct arm_put_result put = {};
	g_autoptr(GError) failure = NULL;
	json_auto_t *body =
		template_body(deploying->template, index, deploying_look_up, deploying->arm, &failure);

	if (body && resource->deployment)
		start_deployment(deploying, &resource->id, body, record);
	else if (body && arm_put(deploying->arm, &resource->id, body, &request, &put, &failure))
		deploying_begun(deploying, record, put.result.operation);
	else if (!deploying_is_passing(failure))
		deploying_set_failed(deploying, record, failure);
}
