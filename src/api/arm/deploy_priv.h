/* What the files that drive a deployment share. */
#pragma once
#include "api/arm/deploy.h"

struct deploying {
	struct arm *arm;
	struct operation *operation; /* Borrowed */
	struct deployment *deployment;
	struct group *group;
	struct template *template;
	bool changed; /* the record is not written yet */
};

/* ---- deploy.c ---- */

/* The record of a resource of the template, by its index, or behind those of one that goes. */
struct deployment_resource *deploying_record(const struct deploying *deploying, guint index);
void deploying_set_failed(
	struct deploying *deploying, struct deployment_resource *record, const GError *failure);
/* Notes what became of the operation that the record names. */
bool deploying_follow(struct deploying *deploying, struct deployment_resource *record, GError **error);
/* Notes the operation that was begun. */
void deploying_begun(
	struct deploying *deploying, struct deployment_resource *record, const struct operation *operation);
/* Somebody else is in the way at this moment. */
bool deploying_is_passing(const GError *error);

/* ---- deploy_resources.c ---- */

/* For template_body() and template_outputs(), with struct arm. */
json_t *deploying_look_up(const struct arm_id *id, void *data, GError **error);
/* Puts a resource of the template. */
void deploying_start(struct deploying *deploying, guint index);
/* Asks the deployments inside of this one to end. */
bool deploying_cancel_inner(struct deploying *deploying, GError **error);

/* ---- deploy_sweep.c ---- */

/* A step of Complete mode, once the template's resources are there: what else is in the group goes. */
bool deploying_sweep(struct deploying *deploying, GError **error);
/* Adds the id, and that of its parent, to those that stay: a set of ids in small letters. */
void deploy_keep(GHashTable *kept, const char *id);
