/* Template deployments: what their REST side and what drives them share. */
#pragma once
#include "api/arm/arm_priv.h"
#include "api/arm/template.h"

#define DEPLOY_TYPE       "Microsoft.Resources/deployments"
#define DEPLOY_NESTED_MAX 5 /* deployments inside each other */

/* ---- deployments.c ---- */

/* Owned. */
char *deploy_id(struct arm *arm, const struct group *group, const char *name);

/* A deployment as its body says; ARM_INVALID_CONTENT, ARM_INVALID_TEMPLATE. */
struct deployment *deploy_decode(
	const json_t *body, const char *name, const struct group *group, GError **error);
/* As clients read it. state: NULL for what the deployment's own is. New reference. */
json_t *deploy_encode(
	struct arm *arm, const struct group *group, const struct deployment *deployment, const char *state);
/* Whether an operation of it is under way. */
bool deploy_is_running(const struct deployment *deployment);

/* Why control would not take one of that name: FAULT_BUSY of a deployment that runs becomes ARM_DEPLOYMENT_ACTIVE, with
 * what to do about it; any other failure stays. */
void deploy_explain(struct arm *arm, const struct group *group, const char *name, GError **failure);

/* The deployment that the call's body wants, whose JSON is *ret_body (a new reference; may be NULL). */
struct deployment *deploy_read(
	const struct call *call, const struct group *group, json_t **ret_body, GError **error);

/* ---- deploy_history.c ---- */

/* Forgets the oldest of the group's deployments when there are too many, now that `put` came of the PUT of one. A failure is
 * logged: the next one tries again. */
void deploy_forget_oldest(struct arm *arm, const struct group *group, const struct control_result *put);

/* ---- deploy_sweep.c ---- */

/* Calls back for each resource of the group whose id is not in the set. Instances of scale sets are their sets'. */
typedef void (*deploy_other_fn)(
	const struct arm_type *type, const struct meta *meta, const char *id, void *data);
bool deploy_each_other(struct arm *arm, const struct group *group, GHashTable *ids, deploy_other_fn fn,
	void *data, GError **error);

/* ---- what_if.c ---- */

/* Why the deployment would be refused, or fail by what can be known before: {"code","message","details"}, a new reference.
 * NULL: nothing speaks against it; then *ret_ids has what it deploys: an array of {"id"}, a new reference. */
json_t *deploy_validate(struct arm *arm, const struct group *group, const struct deployment *deployment,
	const char *principal, json_t **ret_ids);
/* {"status", "properties": {"changes"}} or {"status", "error"}: what the deployment would change. whole: with the resources
 * as they are and would be. New reference. */
json_t *deploy_what_if(struct arm *arm, const struct group *group, const struct deployment *deployment,
	bool whole, const char *principal);

/* ---- deploy_open.c ---- */

/* A deployment's template, with types that Sluice has, and so those of the deployments in it, as far as what they are
 * given is known. operation: whose deployment it is; NULL: nobody's, for a look at it only. */
struct template *deploy_open(struct arm *arm, const struct group *group, const struct deployment *deployment,
	const struct operation *operation, GError **error);

/* Whether a deployment inside of `depth` others may have one more inside of it; ARM_INVALID_TEMPLATE. */
bool deploy_check_depth(unsigned depth, GError **error);

/* ---- deploy.c ---- */

/* {"code","message","target","details"} of a failed deployment, whose id is `target`, from its details: an array of
 * {"code","message","target","details"}, whose only item is given by itself when it is about the template and not about
 * one of its resources. New reference. */
json_t *deploy_error(const json_t *details, const char *message, const char *target);

/* ---- deploy_resources.c ---- */

/* Asks for its end: nothing more of it is started. FAULT_NOT_ALLOWED when it does not run, FAULT_CONFLICT when somebody
 * else changed it meanwhile. */
bool deploy_cancel(struct arm *arm, struct deployment *deployment, GError **error);
