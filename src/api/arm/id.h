/* Identities of resources: "/subscriptions/S/resourceGroups/G/providers/NAMESPACE/TYPE/NAME[/CHILD/NAME]". */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <stdbool.h>

/* Members that the id does not have are NULL; a group's id ends behind `group`. */
struct arm_id {
	char *subscription;
	char *group;
	char *namespace; /* "Microsoft.Network" */
	char *type; /* "virtualNetworks" */
	char *name;
	char *child; /* "subnets" */
	char *child_name;
};

void arm_id_clear(struct arm_id *id);
CLEANUP_CLEAR_FUNC(struct arm_id, arm_id_clear)

/* Without case in its fixed words. ARM_INVALID_CONTENT when the text is no id of a group, resource or child.
 */
bool arm_id_parse(const char *text, struct arm_id *ret, GError **error);
/* Owned. */
char *arm_id_format(const struct arm_id *id);
bool arm_id_equal(const struct arm_id *a, const struct arm_id *b);

/* "Microsoft.Network/virtualNetworks/subnets" and "net/sub" as an id in the group. ARM_INVALID_TYPE when the
 * two do not have the same depth, or one that no resource here has. */
bool arm_id_make(const char *subscription, const char *group, const char *type, const char *name,
	struct arm_id *ret, GError **error);
/* "Microsoft.Network/virtualNetworks/subnets". Owned. */
char *arm_id_type(const struct arm_id *id);
