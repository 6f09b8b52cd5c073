/* Resource groups, and deployments, which live in them.
 *
 * Deleting a group deletes what is in it, users before what they use: scale sets, VMs, then NICs, then the rest. Each
 * step starts the deletes of one kind and waits for the children to be gone; a crash between steps starts
 * over with what is left.
 */
#include "base/failpoint.h"
#include "base/fault.h"
#include "control/control_priv.h"

#define FORGET_PER_TXN 40 /* deployments: each is two keys of a transaction's 128 */

static const enum kind delete_order[] = {KIND_DEPLOYMENT, KIND_SCALE_SET, KIND_VM, KIND_AVAILABILITY_SET,
	KIND_NIC, KIND_BALANCER, KIND_ADDRESS, KIND_NETWORK, KIND_ROUTE_TABLE, KIND_SECURITY_GROUP,
	KIND_APPLICATION_GROUP, KIND_CUSTOM_IMAGE, KIND_KEY_PAIR};

static bool group_prepare(struct put *put, GError **error)
{
	return true;
}

static bool group_release(struct control *control, struct change *change, void *object, GError **error)
{
	return true;
}

static bool delete_children(
	struct control *control, const struct operation *operation, const GPtrArray *children, GError **error)
{
	const struct control_request request = control_request_after(operation);

	for (guint i = 0; i < children->len; i++) {
		void *child = children->pdata[i];
		_cleanup_(control_result_clear) struct control_result result = {};
		g_autoptr(GError) failure = NULL;
		if (model_outcome(child)->state == PROVISIONING_DELETING)
			continue;
		bool begun = control_delete(control, (enum kind)model_meta(child)->kind,
			model_meta(child)->uid, &request, &result, &failure);
		/* Nobody but the operation's end tells of it. */
		if (begun && result.operation->status.state != OPERATION_RUNNING)
			reconciler_tell_end(control, result.operation);
		if (begun || g_error_matches(failure, FAULT, FAULT_NOT_FOUND)) {
			failpoint(FAILPOINT_CONTROL_CHILD_DELETED);
			continue;
		}
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	return true;
}

static bool remove_group(struct change *change, void *data, GError **error)
{
	struct group *group = change_get(change, KIND_GROUP, data, error);

	if (group)
		change_delete(change, group);
	return group != NULL;
}

int group_reconcile(struct control *control, struct operation *operation, int64_t revision, GError **error)
{
	const char *uid = operation->spec.target;
	g_autoptr(GError) failure = NULL;

	if (operation->spec.verb != VERB_DELETE)
		return 1;
	for (size_t i = 0; i < G_N_ELEMENTS(delete_order); i++) {
		g_autoptr(GPtrArray) children = control_list(control, delete_order[i], uid, error);
		if (!children || !delete_children(control, operation, children, error))
			return -1;
		g_autoptr(GPtrArray) left =
			children->len ? control_list(control, delete_order[i], uid, error) : NULL;
		if (children->len && (!left || left->len))
			return left ? 0 : -1;
	}
	if (change_run(control->store, remove_group, (void *)uid, NULL, &failure) ||
		g_error_matches(failure, FAULT, FAULT_NOT_FOUND)) {
		failpoint(FAILPOINT_CONTROL_GROUP_REMOVED);
		return 1;
	}
	g_propagate_error(error, g_steal_pointer(&failure));
	return -1;
}

const struct kind_hooks group_hooks = {
	.prepare = group_prepare,
	.release = group_release,
	.delete_later = true,
};

/* What a deployment means is its dialect's; here it is only kept. */
const struct kind_hooks deployment_hooks = {
	.prepare = group_prepare,
	.release = group_release,
	.nowhere = true,
};

struct forgetting {
	const GPtrArray *uids;
	guint from;
};

static bool forget_some(struct change *change, void *data, GError **error)
{
	const struct forgetting *forgetting = data;

	for (guint i = forgetting->from; i < MIN(forgetting->from + FORGET_PER_TXN, forgetting->uids->len);
		i++) {
		g_autoptr(GError) failure = NULL;
		struct deployment *deployment =
			change_get(change, KIND_DEPLOYMENT, forgetting->uids->pdata[i], &failure);
		if (deployment && !operation_running(&deployment->status.outcome))
			change_delete(change, deployment);
		else if (!deployment && !g_error_matches(failure, FAULT, FAULT_NOT_FOUND)) {
			g_propagate_error(error, g_steal_pointer(&failure));
			return false;
		}
	}
	return true;
}

bool control_forget_deployments(struct control *control, const GPtrArray *uids, GError **error)
{
	struct forgetting forgetting = {.uids = uids};

	for (; forgetting.from < uids->len; forgetting.from += FORGET_PER_TXN)
		if (!change_run(control->store, forget_some, &forgetting, NULL, error))
			return false;
	return true;
}
