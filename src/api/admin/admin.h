/* The operator's requests, with the same tokens as the rest: all hosts, their functions, physical networks, the
 * segments of virtual networks, which virtual machine is where, quotas, and the audit log. docs/API.md, "Operators", has them. */
#pragma once
#include "api/audit.h"
#include "api/server.h"
#include "control/control.h"

void admin_serve(struct control *control, struct server *server);
/* The audit log. */
void admin_serve_audit(struct audit *audit, struct server *server);
