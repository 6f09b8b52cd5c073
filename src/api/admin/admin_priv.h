/* What the files of the operator's view share. */
#pragma once
#include "api/admin/admin.h"

/* {"uid", "name", "group"}; null when there is none. */
json_t *admin_user(struct control *control, enum kind kind, const char *uid);

/* networks.c: physical networks, and the segments of virtual ones. */
extern const struct route admin_network_routes[];
