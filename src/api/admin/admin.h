/* The operator's view of all hosts: read only, with the same tokens as the rest.
 *
 *     GET /sluice/v1/functions   {"functions": [{"host", "name", "provider", "state", "nic", "vm"}]}
 *     GET /sluice/v1/hosts       {"hosts": [{"name", "vcpus", ...}]}
 *
 * "nic" and "vm" are {"uid", "name", "group"} of what uses the function, or null.
 */
#pragma once
#include "api/server.h"
#include "control/control.h"

void admin_serve(struct control *control, struct server *server);
