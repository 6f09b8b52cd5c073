/* The operator's requests, with the same tokens as the rest: all hosts, their functions, physical networks, the
 * segments of virtual networks, and which virtual machine is where. docs/API.md, "Operators", has them. */
#pragma once
#include "api/server.h"
#include "control/control.h"

void admin_serve(struct control *control, struct server *server);
