/* Application security groups. Who is in one is said by network interfaces. */
#include "api/arm/arm_priv.h"

static const char *const owned[] = {NULL};

static void encode(struct arm *arm, const void *object, unsigned flags, json_t *answer, json_t *properties)
{
	const struct application_group *group = object;

	put_text(properties, "resourceGuid", group->meta.uid);
}

const struct arm_type arm_application_groups = {
	.namespace = "Microsoft.Network",
	.name = "applicationSecurityGroups",
	.kind = KIND_APPLICATION_GROUP,
	.owned = owned,
	.encode = encode,
};
