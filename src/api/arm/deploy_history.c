/* The history of deployments: each leaves a record with its template, and the oldest ones of a group are forgotten.
 *
 * How it works. As in Azure a group has HISTORY_MAX of them. A new one that is beyond makes room down to HISTORY_KEPT, so
 * that few have to look at all of them. They do so by pages, since each may have a template of a megabyte. The oldest is
 * the one that ended first when it was deployed last. Source: Azure's "Automatic deletions from deployment history", whose
 * numbers leave fewer.
 *
 * Safe side: what runs stays, and so does what is inside of a deployment that runs, as its outputs may be asked for still and
 * Complete mode spares what it has made. A group may have more than HISTORY_MAX for as long as these last.
 */
#include "api/arm/deploy.h"
#include "base/log.h"

#define HISTORY_MAX  800
#define HISTORY_KEPT 775
#define INNER_MAX    8 /* deployments inside each other that are followed */
#define PAGE         16 /* deployments that are read at one time */

/* What is asked of one that is over. Strings Owned; within: NULL: it was by itself. */
struct past {
	char *uid, *name, *within;
	int64_t ended_us;
};

static void past_free(void *data)
{
	struct past *past = data;

	g_free(past->uid);
	g_free(past->name);
	g_free(past->within);
	g_free(past);
}

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

static struct past *past_of(const struct deployment *deployment)
{
	const struct deployment_status *status = &deployment->status;
	struct past *past = g_new(struct past, 1);

	*past = (struct past){.uid = g_strdup(deployment->meta.uid),
		.name = g_strdup(deployment->meta.name),
		.within = g_strdup(deployment->spec.within),
		.ended_us = status->finished_us ? status->finished_us : deployment->meta.created_us};
	return past;
}

/* Those of the group that are over, of struct past, and how many there are at all. NULL with *error. */
static GPtrArray *list_past(struct arm *arm, const struct group *group, guint *ret_count, GError **error)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(past_free);
	g_autofree char *after = NULL;

	*ret_count = 0;
	do {
		_cleanup_(control_page_clear) struct control_page page = {};
		if (!control_list_page(
			    arm->control, KIND_DEPLOYMENT, group->meta.uid, after, PAGE, &page, error))
			return NULL;
		for (guint i = 0; i < page.objects->len; i++)
			if (!deploy_is_running(page.objects->pdata[i]))
				g_ptr_array_add(all, past_of(page.objects->pdata[i]));
		*ret_count += page.objects->len;
		g_free(after);
		after = g_steal_pointer(&page.next);
	} while (after);
	return g_steal_pointer(&all);
}

static int compare_ends(const void *a, const void *b)
{
	int64_t one = (*(const struct past *const *)a)->ended_us,
		other = (*(const struct past *const *)b)->ended_us;

	return (one > other) - (one < other);
}

static bool forget(
	struct arm *arm, const struct group *group, const struct operation *operation, GError **error)
{
	guint count;
	g_autoptr(GPtrArray) all = list_past(arm, group, &count, error);
	g_autoptr(GPtrArray) uids = g_ptr_array_new(), ids = g_ptr_array_new_with_free_func(g_free);

	if (!all)
		return false;
	g_ptr_array_sort(all, compare_ends);
	for (guint i = 0; i < all->len && count - uids->len > HISTORY_KEPT; i++) {
		const struct past *past = all->pdata[i];
		if (is_needed(arm, past->within))
			continue;
		g_ptr_array_add(uids, past->uid);
		g_ptr_array_add(ids, deploy_id(arm, group, past->name));
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

	if (!put->created ||
		!is_time(put->object, control_count(arm->control, KIND_DEPLOYMENT, group->meta.uid)))
		return;
	if (!forget(arm, group, put->operation, &failure))
		log_warn("deployments", "the oldest of group %s are not forgotten: %s", group->meta.name,
			failure->message);
}
