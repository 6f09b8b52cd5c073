/* The history of deployments: each leaves a record with its template, and the oldest ones of a group are forgotten.
 *
 * How it works. As in Azure a group has HISTORY_MAX of them. A new one that is beyond makes room down to HISTORY_KEPT, so
 * that few have to look at all of them. The oldest is the one that ended first when it was deployed last. Source: Azure's
 * "Automatic deletions from deployment history", whose numbers leave fewer.
 *
 * Safe side: what runs stays, and so does what is inside of a deployment that runs, as its outputs may be asked for still and
 * Complete mode spares what it has made. A group may have more than HISTORY_MAX for as long as these last.
 */
#include "api/arm/deploy.h"
#include "base/log.h"

#define HISTORY_MAX  800
#define HISTORY_KEPT 775
#define INNER_MAX    8 /* deployments inside each other that are followed */

/* A deployment that it is inside of is not over. */
static bool is_needed(struct arm *arm, const char *within)
{
	g_autofree char *uid = g_strdup(within);

	for (unsigned depth = 0; uid && depth < INNER_MAX; depth++) {
		_cleanup_(model_free) struct operation *operation =
			control_get(arm->control, KIND_OPERATION, uid, NULL);
		if (!operation || operation->status.state == OPERATION_RUNNING)
			return operation != NULL;
		_cleanup_(model_free) struct deployment *outer =
			control_get(arm->control, KIND_DEPLOYMENT, operation->spec.target, NULL);
		g_free(uid);
		uid = outer ? g_strdup(outer->spec.within) : NULL;
	}
	return false;
}

static int64_t ended_us(const struct deployment *deployment)
{
	return deployment->status.finished_us ? deployment->status.finished_us : deployment->meta.created_us;
}

static int compare_ends(const void *a, const void *b)
{
	int64_t one = ended_us(*(const struct deployment *const *)a),
		other = ended_us(*(const struct deployment *const *)b);

	return (one > other) - (one < other);
}

static bool forget(struct arm *arm, const struct group *group, const struct operation *operation,
	GPtrArray *deployments, GError **error)
{
	g_autoptr(GPtrArray) uids = g_ptr_array_new(), ids = g_ptr_array_new_with_free_func(g_free);

	g_ptr_array_sort(deployments, compare_ends);
	for (guint i = 0; i < deployments->len && deployments->len - uids->len > HISTORY_KEPT; i++) {
		const struct deployment *deployment = deployments->pdata[i];
		if (deploy_is_running(deployment) || is_needed(arm, deployment->spec.within))
			continue;
		g_ptr_array_add(uids, deployment->meta.uid);
		g_ptr_array_add(ids, deploy_id(arm, group, deployment->meta.name));
	}
	if (!control_forget_deployments(arm->control, uids, error))
		return false;
	for (guint i = 0; i < ids->len; i++)
		arm_record_forgotten(arm, operation, ids->pdata[i]);
	return true;
}

/* Of those inside of one that runs there may be thousands, all of which stay, so that not each of them has to look. */
static bool is_time(const struct deployment *created, guint n)
{
	return n > HISTORY_MAX && (!created->spec.within || n % (HISTORY_MAX - HISTORY_KEPT) == 1);
}

void deploy_forget_oldest(struct arm *arm, const struct group *group, const struct control_result *put)
{
	g_autoptr(GError) failure = NULL;
	g_autoptr(GPtrArray) all = NULL;

	if (!put->created ||
		!is_time(put->object, control_count(arm->control, KIND_DEPLOYMENT, group->meta.uid)))
		return;
	all = control_list(arm->control, KIND_DEPLOYMENT, group->meta.uid, &failure);
	if (!all || !forget(arm, group, put->operation, all, &failure))
		log_warn("deployments", "the oldest of group %s are not forgotten: %s", group->meta.name,
			failure->message);
}
