/* Template deployments: what their REST side and what drives them share. */
#pragma once
#include "api/arm/arm_priv.h"
#include "api/arm/template.h"

/* The deployment's template, with types that Sluice has. */
struct template *deploy_open(
	struct arm *arm, const struct group *group, const struct deployment *deployment, GError **error);

/* {"code","message","details"} of a failed deployment from its details: an array of {"code","message"}, whose
 * only item is given by itself when it is about the template and not about one of its resources. */
json_t *deploy_error(const json_t *details, const char *message);
